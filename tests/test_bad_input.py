"""What bad input gets: a clear error that names the argument, and a model that is as it was."""

import os
import signal
import subprocess
import sys
import textwrap
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pellucid as pc
from pellucid.errors import (
    ArgumentError,
    DataError,
    DtypeError,
    NotBuiltError,
    PellucidError,
    ShapeError,
    TraceError,
)

X, Y = pc.data.moons(20)
CLASSES = pc.data.blobs(20)
Model = Any


def binary(*, built: bool = False, **settings: Any) -> Model:
    layers = [pc.Dense(4, "tanh", inputs=2 if built else None), pc.Dense(1, "sigmoid")]
    return pc.Sequential(layers, loss="bce", **settings)


def classes(loss: str = "cce") -> Model:
    return pc.Sequential([pc.Dense(3, "softmax" if loss == "cce" else None)], loss=loss)


def values(units: int = 1, loss: str = "mse") -> Model:
    return pc.Sequential([pc.Dense(units)], loss=loss)


def photo(model: Model) -> Any:
    """Return everything a refused call must leave alone."""
    if model._net is None:
        return model.layers, model.history, model._labels, model.seed
    numbers = model._numbers.copy()
    arrays = [numbers.params.tobytes(), *(a.tobytes() for a in numbers.state.values())]
    return arrays, numbers.steps, numbers.epochs, model.layers, model.history, model._labels


def with_nan(array: Any, *places: Any, what: float = np.nan) -> Any:
    array = np.array(array, dtype=float)
    for place in places:
        array[place] = what
    return array


FIT: list[tuple[str, Callable[[], Model], Any, Any, dict[str, Any], type, str]] = [
    # what is wrong, a model, X, y, further arguments, the error, words of its message
    ("X turned round", binary, X.T, Y, {}, ShapeError, r"X is \(2, 20\), y has 20 rows.*X\.T"),
    ("y too short", binary, X, Y[:19], {}, ShapeError, r"X is \(20, 2\), y has 19 rows"),
    ("y a row", binary, X, Y[None], {}, ShapeError, r"y has 1 rows.*y\.T"),
    ("y a number", binary, X, 1, {}, ShapeError, r"y is a single number"),
    ("y missing", binary, X, None, {}, DtypeError, r"y is None"),
    ("X a number", binary, 3.0, Y, {}, ShapeError, r"X is a single number.*\(n, features\)"),
    ("X one axis", binary, X[:, 0], Y, {}, ShapeError, r"X has one axis, \(20,\).*reshape"),
    ("X missing", binary, None, Y, {}, DtypeError, r"X holds Python objects.*NoneType"),
    ("no rows", binary, X[:0], Y[:0], {}, DataError, r"X is empty: \(0, 2\)"),
    ("no columns", binary, X[:, :0], Y, {}, DataError, r"X is empty: \(20, 0\)"),
    ("y too wide", binary, X, np.ones((20, 2)), {}, ShapeError, r"y is \(20, 2\).*\(n, 1\)"),
    ("y square", values, X, np.ones((20, 20)), {}, ShapeError, r"y is \(20, 20\).*\(n, 1\)"),
    ("y flat for two", lambda: values(2), X, Y, {}, ShapeError, r"y is \(20,\).*\(n, 2\)"),
    (
        "NaN in X",
        binary,
        with_nan(X, (3, 1), (7, 0)),
        Y,
        {},
        DataError,
        r"X holds NaN in 2 places: rows 3, 7, columns 0, 1",
    ),
    (
        "Inf in X",
        binary,
        with_nan(X, (4, 1), what=-np.inf),
        Y,
        {},
        DataError,
        r"X holds Inf.*rows 4",
    ),
    ("many NaN", binary, with_nan(X, slice(0, 12)), Y, {}, DataError, r"24 places.*\(12 in all\)"),
    ("NaN in y", binary, X, with_nan(Y, 5), {}, DataError, r"y holds NaN in 1 places: rows 5"),
    (
        "too large",
        binary,
        X * 1e39,
        Y,
        {},
        DataError,
        r"X holds .*e\+3\d, too large for float32.*float64",
    ),
    ("y too large", values, X, Y * 1e39, {}, DataError, r"y holds 1e\+39, too large for float32"),
    ("object array", binary, X.astype(object), Y, {}, DtypeError, r"X holds Python objects.*float"),
    ("strings", binary, X.astype(str), Y, {}, DtypeError, r"X holds strings"),
    (
        "string labels",
        binary,
        X,
        np.where(Y, "a", "b"),
        {},
        DtypeError,
        r"y holds strings.*np\.unique",
    ),
    ("bytes", binary, X, np.where(Y, b"a", b"b"), {}, DtypeError, r"y holds bytes"),
    ("complex", binary, X + 1j, Y, {}, DtypeError, r"X holds complex numbers"),
    ("dates", binary, X, np.zeros(20, "M8[s]"), {}, DtypeError, r"y holds dates"),
    ("ragged X", binary, [[1, 2], [3]], [0, 1], {}, DtypeError, r"X is not a regular array"),
    ("ragged y", binary, X[:2], [[0], [1, 2]], {}, DtypeError, r"y is not a regular array"),
    ("a node", binary, pc.value(X), Y, {}, DtypeError, r"X is a node.*X\.value"),
    ("labels -1 and 1", binary, X, 2 * Y - 1, {}, DataError, r"y runs from -1 to 1.*relabel"),
    ("labels 1 and 2", binary, X, Y + 1, {}, DataError, r"y runs from 1 to 2"),
    (
        "hinge 0 and 1",
        lambda: values(1, "hinge"),
        X,
        Y,
        {},
        DataError,
        r"hinge.*-1 and 1.*2 \* y - 1",
    ),
    (
        "negative counts",
        lambda: pc.Sequential([pc.Dense(1, "exp")], loss="poisson"),
        X,
        -1 - Y,
        {},
        DataError,
        r"counts",
    ),
    ("labels from 1", classes, CLASSES[0], CLASSES[1] + 1, {}, DataError, r"from 1 to 3.*y - 1"),
    (
        "label too high",
        classes,
        CLASSES[0],
        CLASSES[1] * 2,
        {},
        DataError,
        r"from 0 to 4.*3 classes",
    ),
    ("label below 0", classes, CLASSES[0], CLASSES[1] - 1, {}, DataError, r"from -1 to 1"),
    ("label 0.5", classes, CLASSES[0], CLASSES[1] / 2, {}, DataError, r"0\.5.*whole numbers"),
    (
        "rows not 1",
        classes,
        CLASSES[0],
        np.eye(3)[CLASSES[1]] * 2,
        {},
        DataError,
        r"row 0 of y sums to 2.*one-hot",
    ),
    (
        "rows not 1, scores",
        lambda: classes("cce_logits"),
        CLASSES[0],
        np.ones((20, 3)),
        {},
        DataError,
        r"row 0 of y sums to 3",
    ),
    (
        "negative shares",
        classes,
        CLASSES[0],
        np.tile([2.0, -1, 0], (20, 1)),
        {},
        DataError,
        r"row 0",
    ),
    (
        "one-hot too wide",
        classes,
        CLASSES[0],
        np.eye(4)[CLASSES[1]],
        {},
        ShapeError,
        r"y is \(20, 4\)",
    ),
    ("epochs -1", binary, X, Y, {"epochs": -1}, ArgumentError, r"epochs is -1.*whole number"),
    ("epochs 1.5", binary, X, Y, {"epochs": 1.5}, ArgumentError, r"epochs is 1\.5"),
    ("epochs True", binary, X, Y, {"epochs": True}, ArgumentError, r"epochs is True"),
    ("epochs text", binary, X, Y, {"epochs": "5"}, ArgumentError, r"epochs is '5'"),
    ("batch 0", binary, X, Y, {"batch_size": 0}, ArgumentError, r"batch_size is 0.*at least 1"),
    ("batch -5", binary, X, Y, {"batch_size": -5}, ArgumentError, r"batch_size is -5"),
    ("batch 2.0", binary, X, Y, {"batch_size": 2.0}, ArgumentError, r"batch_size is 2\.0"),
    ("print_every 0", binary, X, Y, {"print_every": 0}, ArgumentError, r"print_every is 0"),
    (
        "backend",
        binary,
        X,
        Y,
        {"backend": "numpyy"},
        ArgumentError,
        r"backend 'numpyy'.*did you mean \"numpy\"",
    ),
    (
        "split 1",
        binary,
        X,
        Y,
        {"validation_split": 1.0},
        ArgumentError,
        r"validation_split is 1\.0",
    ),
    (
        "split -.1",
        binary,
        X,
        Y,
        {"validation_split": -0.1},
        ArgumentError,
        r"validation_split is -0\.1",
    ),
    (
        "split text",
        binary,
        X,
        Y,
        {"validation_split": "0.2"},
        ArgumentError,
        r"validation_split is '0\.2'",
    ),
    (
        "split NaN",
        binary,
        X,
        Y,
        {"validation_split": np.nan},
        ArgumentError,
        r"validation_split is nan",
    ),
    ("split of nothing", binary, X, Y, {"validation_split": 0.01}, ArgumentError, r"0 of 20 rows"),
    (
        "both",
        binary,
        X,
        Y,
        {"validation_split": 0.2, "validation_data": (X, Y)},
        ArgumentError,
        r"both",
    ),
    (
        "no pair",
        binary,
        X,
        Y,
        {"validation_data": X},
        ArgumentError,
        r"validation_data is not a pair",
    ),
    ("validation turned", binary, X, Y, {"validation_data": (X.T, Y)}, ShapeError, r"validation X"),
    (
        "validation NaN",
        binary,
        X,
        Y,
        {"validation_data": (with_nan(X, (0, 0)), Y)},
        DataError,
        r"validation X holds NaN",
    ),
    ("validation labels", binary, X, Y, {"validation_data": (X, Y + 1)}, DataError, r"from 1 to 2"),
    (
        "weights short",
        binary,
        X,
        Y,
        {"sample_weight": [1]},
        ShapeError,
        r"sample_weight is \(1,\) for 20",
    ),
    ("weights long", binary, X, Y, {"sample_weight": np.ones(21)}, ShapeError, r"sample_weight"),
    ("weights square", binary, X, Y, {"sample_weight": np.ones((4, 5))}, ShapeError, r"\(4, 5\)"),
    (
        "weights short, split",
        binary,
        X,
        Y,
        {"sample_weight": [1], "validation_split": 0.2},
        ShapeError,
        r"sample_weight is \(1,\) for 20",
    ),
    (
        "weights long, split",
        binary,
        X,
        Y,
        {"sample_weight": np.ones(21), "validation_split": 0.2},
        ShapeError,
        r"sample_weight is \(21,\) for 20",
    ),
    (
        "weights negative",
        binary,
        X,
        Y,
        {"sample_weight": -np.ones(20)},
        DataError,
        r"from -1 to -1",
    ),
    ("weights all 0", binary, X, Y, {"sample_weight": np.zeros(20)}, DataError, r"not all 0"),
    (
        "weights NaN",
        binary,
        X,
        Y,
        {"sample_weight": with_nan(np.ones(20), 3)},
        DataError,
        r"sample_weight holds NaN",
    ),
    (
        "weights text",
        binary,
        X,
        Y,
        {"sample_weight": ["a"] * 20},
        DtypeError,
        r"sample_weight holds strings",
    ),
    (
        "class_weight name",
        binary,
        X,
        Y,
        {"class_weight": "balance"},
        ArgumentError,
        r"'balance'.*\"balanced\"",
    ),
    (
        "class_weight list",
        binary,
        X,
        Y,
        {"class_weight": [1, 2]},
        ArgumentError,
        r"class_weight is a list",
    ),
    (
        "class_weight class",
        binary,
        X,
        Y,
        {"class_weight": {2: 1}},
        ArgumentError,
        r"names the class 2",
    ),
    (
        "class_weight < 0",
        binary,
        X,
        Y,
        {"class_weight": {0: -1}},
        ArgumentError,
        r"class_weight\[0\] is -1",
    ),
    ("class_weight NaN", binary, X, Y, {"class_weight": {0: np.nan}}, ArgumentError, r"is nan"),
    ("class_weight Inf", binary, X, Y, {"class_weight": {1: np.inf}}, ArgumentError, r"is inf"),
    ("class_weight text", binary, X, Y, {"class_weight": {0: "a"}}, ArgumentError, r"is 'a'"),
    (
        "class_weight of values",
        values,
        X,
        Y,
        {"class_weight": "balanced"},
        ArgumentError,
        r"no meaning.*mse",
    ),
    (
        "class_weight of several",
        lambda: pc.Sequential([pc.Dense(2, "sigmoid")], loss="bce"),
        X,
        np.stack([Y, 1 - Y], 1),
        {"class_weight": "balanced"},
        ArgumentError,
        r"several labels",
    ),
    (
        "callback not in a list",
        binary,
        X,
        Y,
        {"callbacks": pc.Progress()},
        DtypeError,
        r"callbacks is",
    ),
    ("no callback", binary, X, Y, {"callbacks": [print]}, DtypeError, r"print.*LambdaCallback"),
    (
        "no loss",
        lambda: pc.Sequential([pc.Dense(1)]),
        X,
        Y,
        {},
        ArgumentError,
        r"no loss.*loss=\"mse\"",
    ),
    ("no layers", lambda: pc.Sequential([], loss="mse"), X, Y, {}, NotBuiltError, r"no layers"),
    (
        "no parameters",
        lambda: pc.Sequential([pc.Activation("relu")], loss="mse"),
        X,
        X,
        {},
        ArgumentError,
        r"no parameters",
    ),
    (
        "loss not single",
        lambda: pc.Sequential([pc.Dense(1)], loss=lambda p, y: (p - y) ** 2),
        X,
        Y,
        {},
        ArgumentError,
        r"single number.*\(n, 1\).*pc\.mean",
    ),
    (
        "loss no node",
        lambda: pc.Sequential([pc.Dense(1)], loss=lambda p, y: 1.0),
        X,
        Y,
        {},
        ArgumentError,
        r"single number.*float",
    ),
    (
        "weights, own loss",
        lambda: pc.Sequential([pc.Dense(1)], loss=lambda p, y: pc.mean((p - y) ** 2)),
        X,
        Y,
        {"sample_weight": np.ones(20)},
        ArgumentError,
        r"loss by name",
    ),
]


@pytest.mark.parametrize(
    ("wrong", "make", "x", "y", "more", "error", "words"), FIT, ids=[f[0] for f in FIT]
)
@pytest.mark.parametrize("state", ["fresh", "built", "trained"])
def test_fit_refuses(
    wrong: str, make: Any, x: Any, y: Any, more: Any, error: Any, words: str, state: str
) -> None:
    model, fresh = make(), make()
    if state != "fresh" and not _ready(model, trained=state == "trained"):
        pytest.skip("this model can never be built")
    if wrong == "no columns" and state != "fresh":
        error, words = DataError, "X is empty"
    before, kept = photo(model), [np.array(a) if isinstance(a, np.ndarray) else a for a in (x, y)]
    with pytest.raises(error, match=f"(?s){words}" if state == "fresh" else None) as caught:
        model.fit(x, y, verbose=0, **more)
    assert type(caught.value) is error
    assert photo(model) == before and repr(model) == repr(fresh)
    for old, new in zip(kept, (x, y), strict=True):
        if isinstance(old, np.ndarray):
            np.testing.assert_array_equal(old, new)
    if state == "fresh":
        with pytest.raises(NotBuiltError):
            _ = model.params


def _ready(model: Model, trained: bool) -> bool:
    """Build a model on good data, train it where that is wanted; False where it never can be."""
    try:
        model.predict(X)
    except PellucidError:
        return False
    if trained:
        good = {"cce": CLASSES, "cce_logits": CLASSES, "hinge": (X, 2 * Y - 1)}
        x, y = good.get(getattr(model.loss_function, "name", ""), (X, Y))
        if model.predict(X).shape[1] == 2:
            y = np.stack([y, 1 - y], 1)
        try:
            model.fit(x, y, epochs=2, verbose=0)
        except PellucidError:
            return False
    return True


@pytest.mark.parametrize("call", ["step", "loss", "gradients", "evaluate"])
@pytest.mark.parametrize(
    ("x", "y", "error"),
    [
        (X.T, Y, ShapeError),
        (X, Y[:3], ShapeError),
        (with_nan(X, (0, 0)), Y, DataError),
        (X, Y + 5, DataError),
        (X.astype(str), Y, DtypeError),
        (X, [[0], [1, 2]], DtypeError),
    ],
)
@pytest.mark.parametrize("built", [False, True])
def test_the_other_calls_refuse_as_well(call: str, x: Any, y: Any, error: Any, built: bool) -> None:
    model = binary(built=built)
    before = photo(model)
    with pytest.raises(error):
        getattr(model, call)(x, y)
    assert photo(model) == before


@pytest.mark.parametrize("call", ["predict", "predict_classes", "activations"])
@pytest.mark.parametrize(
    ("x", "error"),
    [
        (X[0], ShapeError),
        (X.T, ShapeError),
        (np.ones((3, 3)), ShapeError),
        (X[:0], DataError),
        (with_nan(X, (0, 0)), DataError),
        (X.astype(object), DtypeError),
        (1.0, ShapeError),
    ],
)
def test_predictions_refuse_as_well(call: str, x: Any, error: Any) -> None:
    model = binary(built=True)
    before = photo(model)
    with pytest.raises(error, match="X"):
        getattr(model, call)(x)
    assert photo(model) == before


def test_a_built_model_asks_whether_x_is_turned_round() -> None:
    with pytest.raises(ShapeError, match=r"(?s)X is \(2, 200\), the model takes \(n, 2\).*X\.T"):
        binary(built=True).fit(np.ones((2, 200)), np.ones(200), verbose=0)


def test_one_sample_without_its_axis() -> None:
    with pytest.raises(ShapeError, match=r"(?s)one sample: X\.reshape\(1, -1\)"):
        binary(built=True).predict(X[0])


def test_an_error_has_three_lines_and_points_at_the_caller() -> None:
    with pytest.raises(ShapeError) as caught:
        binary().fit(X.T, Y)
    what, where, hint = str(caught.value).split("\n")
    assert "X is (2, 20)" in what and __file__ in where and hint.startswith("  try: ")


# -- settings ----------------------------------------------------------------------------------

D = pc.Dense
SETTINGS: list[tuple[Callable[[], Any], type, str]] = [
    (lambda: pc.SGD(0), ArgumentError, r"learning_rate is 0\b.*positive"),
    (lambda: pc.SGD(-0.1), ArgumentError, r"learning_rate is -0\.1"),
    (lambda: pc.SGD(np.nan), ArgumentError, r"learning_rate is nan"),
    (lambda: pc.SGD(np.inf), ArgumentError, r"learning_rate is inf"),
    (lambda: pc.SGD("0.1"), ArgumentError, r"learning_rate is '0\.1'"),
    (lambda: pc.SGD(True), ArgumentError, r"learning_rate is True"),
    (lambda: pc.SGD(0.1, momentum=1.0), ArgumentError, r"momentum is 1\.0"),
    (lambda: pc.SGD(0.1, momentum=-0.5), ArgumentError, r"momentum is -0\.5"),
    (lambda: pc.SGD(0.1, 0.9, dampening=2), ArgumentError, r"dampening is 2\b"),
    (lambda: pc.SGD(0.1, 0.9, dampening="x"), ArgumentError, r"dampening is 'x'"),
    (lambda: pc.SGD(0.1, nesterov=True), ArgumentError, r"nesterov needs a momentum"),
    (lambda: pc.SGD(0.1, 0.9, 0.1, nesterov=True), ArgumentError, r"nesterov"),
    (lambda: pc.Adam(0.0), ArgumentError, r"learning_rate is 0\.0"),
    (lambda: pc.Adam(beta1=1), ArgumentError, r"beta1 is 1\b"),
    (lambda: pc.Adam(beta2=-1), ArgumentError, r"beta2 is -1"),
    (lambda: pc.Adam(eps=0), ArgumentError, r"eps is 0\b"),
    (lambda: D(0), ArgumentError, r"units is 0\b"),
    (lambda: D(-3), ArgumentError, r"units is -3"),
    (lambda: D(2.0), ArgumentError, r"units is 2\.0"),
    (lambda: D(True), ArgumentError, r"units is True"),
    (lambda: D("8"), ArgumentError, r"units is '8'"),
    (lambda: D(1, inputs=0), ArgumentError, r"inputs is 0\b"),
    (lambda: D(1, l2=-1), ArgumentError, r"l2 is -1"),
    (lambda: D(1, l1=np.inf), ArgumentError, r"l1 is inf"),
    (lambda: D(1, l1="x"), ArgumentError, r"l1 is 'x'"),
    (lambda: pc.Dropout(1.0), ArgumentError, r"rate is 1\.0"),
    (lambda: pc.Dropout(-0.1), ArgumentError, r"rate is -0\.1"),
    (lambda: pc.Dropout(np.nan), ArgumentError, r"rate is nan"),
    (lambda: pc.He("gauss"), ArgumentError, r"distribution 'gauss'"),
    (lambda: D(1, "relux"), ArgumentError, r"activation 'relux'.*did you mean \"relu\""),
    (lambda: pc.Activation("sigmoidd"), ArgumentError, r"did you mean \"sigmoid\""),
    (lambda: D(1, init="hee"), ArgumentError, r"initializer 'hee'.*did you mean \"he\""),
    (lambda: pc.Sequential(loss="msee"), ArgumentError, r"loss 'msee'.*did you mean \"mse\""),
    (lambda: pc.Sequential(loss="categorical_crosentropy"), ArgumentError, r"did you mean \"cat"),
    (
        lambda: pc.Sequential(optimizer="adm"),
        ArgumentError,
        r"optimizer 'adm'.*did you mean \"adam\"",
    ),
    (lambda: pc.Sequential(metrics=["acuracy"]), ArgumentError, r"did you mean \"accuracy\""),
    (lambda: pc.Sequential(metrics="accuracy"), DtypeError, r"metrics is 'accuracy', not a list"),
    (
        lambda: pc.Sequential(metrics=[lambda p, y: p.mean(), lambda p, y: p.max()]),
        ArgumentError,
        r"two metrics are called 'metric'",
    ),
    (
        lambda: pc.Sequential(loss="poisson", metrics=["accuracy"]),
        ArgumentError,
        r"accuracy has no meaning",
    ),
    (lambda: pc.Sequential(dtype="float16"), ArgumentError, r"dtype 'float16'"),
    (lambda: pc.Sequential(dtype="float33"), ArgumentError, r"did you mean \"float32\""),
    (lambda: pc.Sequential(dtype=int), ArgumentError, r"dtype 'int64'"),
    (lambda: pc.Sequential(seed=1.5), DtypeError, r"seed is 1\.5"),
    (lambda: pc.Sequential(seed="7"), DtypeError, r"seed is '7'"),
    (lambda: pc.Sequential(D(1)), DtypeError, r"layers is Dense\(units=1\), not a list"),
    (lambda: pc.Sequential([D]), DtypeError, r"pass an instance"),
    (lambda: pc.Sequential([8, 1]), DtypeError, r"a layer is expected, not 8"),
    (lambda: pc.Sequential([pc.relu]), DtypeError, r"a layer is expected"),
    (
        lambda: pc.LambdaCallback(on_epoch_finish=print),
        ArgumentError,
        r"hook 'on_epoch_finish'.*on_epoch_",
    ),
    (lambda: pc.Gate("sigmoit"), ArgumentError, r"gate 'sigmoit'.*did you mean \"sigmoid\""),
    (lambda: pc.Gate("add").forward(1.0), ArgumentError, r"add"),
    (lambda: pc.Gate("add").forward("a", "b"), DtypeError, r"input 1 holds strings"),
    (lambda: pc.Gate("add").backward(1.0), ArgumentError, r"backward before forward"),
    (lambda: pc.Gate("split").forward(np.ones(4), 2), ArgumentError, r"split"),
    (
        lambda: pc.load("/nowhere/m.safetensors"),
        ArgumentError,
        r"no file '/nowhere/m\.safetensors'",
    ),
    # outputs that their loss would misread
    (
        lambda: pc.Sequential([D(3, "softmax")], loss="cce_logits"),
        ArgumentError,
        r"takes scores.*loss=\"cce\"",
    ),
    (
        lambda: pc.Sequential([D(1, "sigmoid")], loss="bce_logits"),
        ArgumentError,
        r"takes scores.*loss=\"bce\"",
    ),
    (
        lambda: pc.Sequential([D(3), pc.Activation("softmax")], loss="cce_logits"),
        ArgumentError,
        r"takes scores",
    ),
    (lambda: pc.Sequential([D(3, pc.softmax)], loss="cce_logits"), ArgumentError, r"takes scores"),
    (
        lambda: pc.Sequential([pc.Shared(D(3, "softmax"), "s")], loss="cce_logits"),
        ArgumentError,
        r"scores",
    ),
    (
        lambda: pc.Sequential([D(1)], loss="bce"),
        ArgumentError,
        r"probabilities.*linear.*\"sigmoid\"",
    ),
    (
        lambda: pc.Sequential([D(3, "gelu")], loss="cce").fit(np.zeros((3, 2)), [0, 1, 2]),
        ArgumentError,
        r"probabilities.*gelu.*\"softmax\"",
    ),
    (lambda: pc.Sequential([D(1, "softmax")], loss="mse"), ArgumentError, r"one unit is always 1"),
    (lambda: pc.Sequential([D(1, "sigmoid")], loss="cce"), ArgumentError, r"one unit.*bce"),
    (
        lambda: pc.Sequential([D(3, "softmax"), pc.Activation("softmax")], loss="cce"),
        ArgumentError,
        r"softmax after softmax",
    ),
]


@pytest.mark.parametrize(("make", "error", "words"), SETTINGS, ids=[s[2] for s in SETTINGS])
def test_settings_are_refused_where_they_are_made(make: Any, error: type, words: str) -> None:
    with pytest.raises(error, match=f"(?s){words}") as caught:
        make()
    assert type(caught.value) is error
    assert f"  at {__file__}" in str(caught.value) or "at <string>" in str(caught.value)


def test_add_refuses_once_the_model_is_trained_and_what_is_no_layer() -> None:
    model = binary()
    model.fit(X, Y, verbose=0)
    before = photo(model)
    with pytest.raises(ArgumentError, match="has been trained"):
        model.add(D(1))
    with pytest.raises(DtypeError, match="a layer is expected"):
        model.add("relu")
    assert photo(model) == before


def test_add_leaves_the_stack_where_a_layer_does_not_fit() -> None:
    class Wrong(pc.Layer):
        def __call__(self, x: Any, p: Any) -> Any:
            return pc.sum(x)

    model = pc.Sequential([D(3, inputs=2)])
    with pytest.raises(ShapeError, match=r"(?s)layer 2, Wrong.*batch"):
        model.add(Wrong())
    assert len(model.layers) == 1 and list(model.params) == ["W1", "b1"]


def test_a_hidden_layer_is_not_taken_for_the_last_one() -> None:
    model = pc.Sequential(loss="bce")
    model.add(D(4, "relu", inputs=2)).add(D(1, "sigmoid"))
    assert model.fit(X, Y, verbose=0).epochs == 1
    incomplete = pc.Sequential(loss="bce").add(D(4, "relu"))
    with pytest.raises(ArgumentError, match="takes probabilities"):
        incomplete.fit(X, Y, verbose=0)


# -- before any shape is known -----------------------------------------------------------------


@pytest.mark.parametrize(
    "ask",
    [
        lambda m, p: m.params,
        lambda m, p: m.save(p / "m.safetensors"),
        lambda m, p: m.source(),
        lambda m, p: m.summary(),
        lambda m, p: setattr(m, "params", {}),
    ],
)
def test_what_needs_a_shape_says_so(ask: Any, tmp_path: Path) -> None:
    with pytest.raises(NotBuiltError, match=r"(?s)no parameters yet.*inputs=2"):
        ask(binary(), tmp_path)
    assert not list(tmp_path.iterdir())


PARAMS: list[tuple[Any, type, str]] = [
    ({"W1": np.ones((4, 2))}, ShapeError, r"W1 is \(2, 4\), the array given is \(4, 2\).*W1\.T"),
    ({"b1": np.ones(5)}, ShapeError, r"b1 is \(4,\)"),
    ({"b1": 0.5}, ShapeError, r"b1 is \(4,\).*\(\)"),
    ({"W9": np.ones(2)}, ArgumentError, r"unknown parameter 'W9'"),
    ({"W1": "abc"}, DtypeError, r"W1 holds strings"),
    ({"W1": np.full((2, 4), 1e39)}, DataError, r"W1 holds 1e\+39"),
    ([1, 2], DtypeError, r"params is \[1, 2\]"),
]


@pytest.mark.parametrize(("given", "error", "words"), PARAMS)
def test_weights_that_do_not_fit_change_nothing(given: Any, error: Any, words: str) -> None:
    model = binary(built=True)
    before = photo(model)
    if isinstance(given, dict):
        given = {"b2": [7.0], **given}  # a good one first: it must be taken back
    with pytest.raises(error, match=f"(?s){words}"):
        model.params = given
    assert photo(model) == before


def test_parameters_are_a_mapping_that_keeps_its_keys() -> None:
    params = binary(built=True).params
    assert params.get("W9") is None and "W9" not in params and len(params) == 4
    with pytest.raises(ArgumentError, match="cannot be taken out"):
        del params["W1"]
    with pytest.raises(ArgumentError, match=r'did you mean "W1"'):
        _ = params["W11"]


# -- layers that do not fit --------------------------------------------------------------------


def test_dense_wants_rows() -> None:
    model = pc.Sequential([D(1)], loss="mse")
    with pytest.raises(ShapeError, match=r"(?s)\(n, 2, 3\).*pc\.Flatten"):
        model.fit(np.ones((4, 2, 3)), np.ones(4), verbose=0)
    assert model._net is None


def test_an_unused_parameter_is_named() -> None:
    class Spare(pc.Layer):
        def parameters(self, shape: Any) -> Any:
            return {"U": pc.Parameter((2, 2)), "V": pc.Parameter((2,))}

        def __call__(self, x: Any, p: Any) -> Any:
            return x @ p["U"]

    model = pc.Sequential([Spare(), D(1)], loss="mse")
    with pytest.raises(ArgumentError, match="does not depend on V1, of layer 1, Spare"):
        model.fit(X, Y, verbose=0)
    assert model._net is None


class Named(pc.Layer):
    """A layer whose parameter has any name."""

    def __init__(self, key: str) -> None:
        self.key = key

    def parameters(self, shape: Any) -> Any:
        return {self.key: pc.Parameter((2,))}

    def __call__(self, x: Any, p: Any) -> Any:
        return x + p[self.key]


@pytest.mark.parametrize("key", ["mask", "d_W", "my weight", "", "a;import os#", "W 1"])
def test_a_parameter_needs_a_name_of_its_own(key: str) -> None:
    model = pc.Sequential([Named(key), pc.Dropout(0.5), D(1)], loss="mse")
    with pytest.raises(ArgumentError, match="Named calls a parameter"):
        model.fit(X, Y, verbose=0)


def test_names_of_values_give_way_to_those_of_parameters() -> None:
    """A layer that prints its output as b1 must not hide the parameter b1."""

    class Letter(Named):
        letter = "b"

    model = pc.Sequential([Letter("b"), D(1)], loss="mse", dtype="float64")
    X2 = np.array([[1.0, 2.0]])
    assert np.array_equal(model.activations(X2)["b1_2"], X2)
    model.params["b1"] = [10, 20]
    assert np.array_equal(model.activations(X2)["b1_2"], [[11, 22]])


def test_shared_layers_must_fit_each_other() -> None:
    layers = [pc.Shared(D(4), "s"), pc.Shared(D(3), "s"), D(1)]
    with pytest.raises(ShapeError, match="shared as 's'"):
        pc.Sequential(layers, loss="mse").fit(X, Y, verbose=0)


def test_python_cannot_decide_on_a_node_without_data() -> None:
    class Branch(pc.Layer):
        def __call__(self, x: Any, p: Any) -> Any:
            return x if pc.sum(x) > 0 else -x

    with pytest.raises(TraceError, match=r"(?s)no data yet.*pc\.where"):
        pc.Sequential([Branch(), D(1)], loss="mse").fit(X, Y, verbose=0)


@pytest.mark.parametrize(
    ("name", "kept"),
    [("loss", "loss_metric"), ("sum", "sum_metric"), ("params", "params_metric"), ("f1", "f1")],
)
def test_a_metric_cannot_take_the_place_of_something_else(name: str, kept: str) -> None:
    def measure(p: Any, y: Any) -> Any:
        return pc.mean(p) * 0 + 7

    measure.__name__ = name
    plain, model = values(), pc.Sequential([D(1)], loss="mse", metrics=[measure])
    history = model.fit(X, Y, verbose=0)
    assert history[kept] == [7]
    assert history["loss"] == plain.fit(X, Y, verbose=0)["loss"]


# -- what is accepted --------------------------------------------------------------------------


class Frame:
    """As pandas: no array, but it turns into one."""

    def __init__(self, array: Any) -> None:
        self.array = array

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        return np.array(self.array, dtype=dtype)

    def __len__(self) -> int:
        return len(self.array)


def read_only(a: Any) -> Any:
    a = a.copy()
    a.flags.writeable = False
    return a


KINDS: dict[str, Callable[[Any], Any]] = {
    "read-only": read_only,
    "Fortran": np.asfortranarray,
    "strided": lambda a: np.repeat(a, 2, axis=0)[::2],
    "reversed": lambda a: a[::-1].copy()[::-1],
    "other byte order": lambda a: a.astype(">f8"),
    "list": lambda a: a.tolist(),
    "tuple": lambda a: tuple(map(tuple, a.tolist())) if a.ndim > 1 else tuple(a.tolist()),
    "frame": Frame,
    "integer": lambda a: a.astype(np.int8),
    "unsigned": lambda a: a.astype(np.uint64),
    "bool": lambda a: a.astype(bool),
    "float16": lambda a: a.astype(np.float16),
    "longdouble": lambda a: a.astype(np.longdouble),
    "matrix-like column": lambda a: a.reshape(len(a), -1) if a.ndim == 1 else a,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("loss", ["bce", "cce", "mse"])
def test_every_kind_of_array_gives_the_same_model(kind: str, dtype: str, loss: str) -> None:
    table = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1], [1, 1]])
    labels = np.array([0.0, 1, 1, 0, 0])
    found = []
    for turn in (lambda a: a.copy(), KINDS[kind]):
        last = pc.Dense(2, "softmax") if loss == "cce" else pc.Dense(1, "sigmoid")
        model = pc.Sequential([pc.Dense(3, "tanh"), last], loss=loss, dtype=dtype)
        x, y = turn(table), turn(labels)
        before = [np.array(np.asarray(a)) for a in (x, y)]
        model.fit(x, y, epochs=3, batch_size=2, verbose=0, sample_weight=turn(np.ones(5)))
        found.append((model.predict(x).tobytes(), *(p.tobytes() for p in model.params.values())))
        for old, new in zip(before, (x, y), strict=True):
            np.testing.assert_array_equal(old, np.asarray(new))
    assert found[0] == found[1]


def test_memory_mapped_data(tmp_path: Path) -> None:
    x = np.memmap(tmp_path / "x", dtype="f4", mode="w+", shape=X.shape)
    x[:] = X
    x.flush()
    mapped = np.memmap(tmp_path / "x", dtype="f4", mode="r", shape=X.shape)
    one, other = binary(), binary()
    one.fit(mapped, Y, verbose=0)
    other.fit(X.astype("f4"), Y, verbose=0)
    assert one.params["W1"].tobytes() == other.params["W1"].tobytes()


def test_the_inputs_are_never_written_to_or_kept() -> None:
    x, y, w = X.astype("f4"), Y.astype("f4")[:, None].copy(), np.ones(20)
    kept = x.copy(), y.copy(), w.copy()
    model = binary()
    model.fit(x, y, epochs=3, sample_weight=w, verbose=0)
    out = model.predict(x)
    out[...] = 7
    assert not (model.predict(x) == 7).any()
    for a in model.activations(x).values():
        a[...] = 7
    for old, new in zip(kept, (x, y, w), strict=True):
        np.testing.assert_array_equal(old, new)


def test_flat_targets_never_broadcast() -> None:
    flat, column = binary(dtype="float64"), binary(dtype="float64")
    assert flat.loss(X, Y) == column.loss(X, Y[:, None])


@pytest.mark.parametrize(
    "number", [np.float32(0.1), np.float64(0.1), np.float16(0.1), 1, np.int64(1)]
)
def test_numpy_numbers_do_not_change_the_precision(number: Any) -> None:
    """`for rate in np.linspace(…)`: a NumPy number is strong and would make float64 of float32."""
    optimizers = [pc.SGD(number, momentum=0.5 * min(number, 1)), pc.Adam(number, beta1=number / 2)]
    for optimizer in optimizers:
        layers = [pc.Dense(np.int64(4), "tanh", l1=number, l2=number), pc.Dropout(number / 2), D(1)]
        model = pc.Sequential(layers, loss="mse", optimizer=optimizer)
        model.fit(X, Y, verbose=0)
        step = model._steps().program(False)[0]
        kinds = {n.dtype.name for n in pc.graph.order(step.program.outputs) if n.shape}
        assert "float64" not in kinds and model.predict(X).dtype == np.float32


def test_zero_epochs_and_batches_larger_than_the_data() -> None:
    model, one = binary(), binary()
    assert model.fit(X, Y, epochs=0, verbose=0).epochs == 0
    assert dict(model.fit(X, Y, batch_size=10**9, verbose=0)) == dict(
        one.fit(X, Y, batch_size=None, verbose=0)
    )


# -- training that goes wrong --------------------------------------------------------------------


@pytest.fixture
def diverging() -> Iterator[Any]:
    yield lambda **k: pc.Sequential([D(8, "relu"), D(1)], loss="mse", optimizer=pc.SGD(1e6), **k)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", [5, None])
def test_divergence_keeps_the_last_good_step(diverging: Any, dtype: str, size: int | None) -> None:
    model, twin = diverging(dtype=dtype), diverging(dtype=dtype)
    x = X.astype(dtype)
    with pytest.warns(pc.TrainingWarning, match=r"became (NaN|Inf) at step") as caught:
        history = model.fit(x, Y, epochs=500, batch_size=size, verbose=0, backend="numpy",
                            on_nonfinite="report")  # fmt: skip
    assert caught[0].filename == __file__
    assert "became" in history.stopped and history.epochs < 500
    assert all(np.isfinite(p).all() for p in model.params.values())
    assert np.isfinite(history.get("loss", [])).all()
    good = model._numbers.steps
    assert f"at step {good + 1}, in epoch {history.epochs + 1};" in str(caught[0].message)
    # the same steps by hand, from the same start: exactly the parameters that were kept
    _replay(twin, x, Y, good, size or len(x))
    assert all(np.array_equal(model.params[k], twin.params[k]) for k in twin.params)
    # and the next step is the one that went wrong
    before = twin._numbers.copy()
    with np.errstate(all="ignore"):
        _replay(twin, x, Y, 1, size or len(x), start=good)
    assert not twin._numbers.finite() or before.steps == good
    assert history.failure is not None and history.failure.cause == "growth over the last steps"


def _replay(model: Model, x: Any, y: Any, steps: int, size: int, start: int = 0) -> None:
    """Take the steps of `fit` with the model's own shuffles, through `step`."""
    from pellucid import rng

    per = -(-len(x) // size)
    for k in range(start, start + steps):
        order = (
            np.arange(len(x))
            if per == 1
            else rng.permutation(rng.key(model.seed, "shuffle", k // per), len(x))
        )
        rows = order[(k % per) * size : (k % per + 1) * size]
        model.step(x[rows], y[rows])


def test_overflow_of_the_optimizer_state_is_seen() -> None:
    """Adam's v overflows in float32 long before the weights do: they would stand still for ever."""
    model = pc.Sequential([D(1)], loss="mse", optimizer=pc.Adam(0.1))
    with pytest.raises(pc.NonFiniteError, match="optimizer state v became Inf"):
        model.fit(X.astype("f4") * 1e13, Y * 1e10, epochs=3, batch_size=5, verbose=0)
    assert model._numbers.finite()


def test_training_goes_on_after_a_divergence() -> None:
    model = pc.Sequential([D(8, "relu"), D(1)], loss="mse", optimizer=pc.SGD(1e6))
    with pytest.raises(pc.NonFiniteError):
        model.fit(X, Y, epochs=50, verbose=0)
    model.reset()
    model.optimizer = pc.SGD(0.05)
    history = model.fit(X, Y, epochs=50, verbose=0)
    assert history["loss"][-1] < history["loss"][0] and not history.stopped


# -- interrupts --------------------------------------------------------------------------------


@pytest.mark.parametrize("hook", ["on_batch_end", "on_epoch_end", "on_epoch_begin"])
@pytest.mark.parametrize("when", [0, 1, 7, 12])
def test_ctrl_c_keeps_the_last_whole_epoch(hook: str, when: int) -> None:
    calls = 0

    def interrupt(*_: Any) -> None:
        nonlocal calls
        calls += 1
        if calls > when:
            raise KeyboardInterrupt

    model, twin = binary(dtype="float64"), binary(dtype="float64")
    history = model.fit(
        X, Y, epochs=20, batch_size=7, verbose=0, callbacks=[pc.LambdaCallback(**{hook: interrupt})]
    )
    assert history.stopped.startswith("interrupted") and model.history is history
    assert model._numbers.epochs == history.epochs
    assert all(len(v) == history.epochs for v in history.values())
    other = twin.fit(X, Y, epochs=history.epochs, batch_size=7, verbose=0)
    assert dict(other) == dict(history)
    for name in twin.params:
        assert np.array_equal(model.params[name], twin.params[name])
    model.fit(X, Y, epochs=3, batch_size=7, verbose=0)
    twin.fit(X, Y, epochs=3, batch_size=7, verbose=0)
    assert np.array_equal(model.params["W1"], twin.params["W1"])


def test_ctrl_c_between_an_epochs_end_and_its_log(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one moment at which the history could hold an epoch that the parameters do not."""
    append = pc.History.append

    def interrupted(self: Any, logs: Any) -> None:
        append(self, logs)
        if self.epochs == 4:
            raise KeyboardInterrupt

    monkeypatch.setattr(pc.History, "append", interrupted)
    model = binary()
    history = model.fit(X, Y, epochs=9, verbose=0, backend="numpy")
    assert history.epochs == model._numbers.epochs == 3


SCRIPT = """
    import os, signal, sys, threading, time
    import numpy as np, pellucid as pc
    X, y = pc.data.moons(500)
    def make():
        return pc.Sequential([pc.Dense(16, "relu"), pc.Dense(1, "sigmoid")], loss="bce", seed=1)
    model = make()
    timer = threading.Timer(0.4, lambda: os.kill(os.getpid(), signal.SIGINT))
    begin = pc.LambdaCallback(on_train_begin=lambda logs: timer.start())
    settings = {"batch_size": 16, "verbose": 0, "backend": BACKEND}
    history = model.fit(X, y, epochs=10**7, callbacks=[begin], **settings)
    assert 0 < history.epochs < 10**7 and "interrupted" in history.stopped, history.stopped
    twin = make()
    again = twin.fit(X, y, epochs=history.epochs, **settings)
    assert dict(again) == dict(history)
    assert all(np.array_equal(model.params[k], twin.params[k]) for k in twin.params)
    print("kept", history.epochs)
"""


@pytest.mark.skipif(os.name != "posix", reason="signals are sent with kill")
@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_ctrl_c_by_signal(backend: str) -> None:
    if backend == "numba":
        pytest.importorskip("numba", reason="nothing is compiled without Numba")
    assert signal.SIGINT
    run = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT).replace("BACKEND", repr(backend))],
        capture_output=True,
        text=True,
        timeout=60,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert run.returncode == 0 and run.stdout.startswith("kept"), run.stderr


def test_no_numpy_warning_leaks_out_of_training() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = pc.Sequential([D(3, "softmax")], loss="cce")
        model.fit(CLASSES[0] * 1e4, CLASSES[1], epochs=5, verbose=0)
        model.predict(CLASSES[0] * 1e30)
        one = binary()
        one.fit(X * 1e20, Y, epochs=5, verbose=0)
