"""Every reader of a model, on models that combine what layers, losses and optimizers can do."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_explain import check_contract, check_true

import pellucid as pc
from pellucid.explaining.numbers import evaluate
from pellucid.text import parsed

ROWS = 13  # in batches of 5, the last of which has 3


@dataclass(frozen=True)
class Gain(pc.Layer):
    """A layer of one's own: a number that it learns, and two that it keeps."""

    def parameters(self, shape: Any) -> dict[str, pc.Parameter]:
        return {"g": pc.Parameter((), pc.Constant(1.5))}

    def state(self, shape: Any) -> dict[str, pc.Parameter]:
        return {"peak": pc.Parameter(()), "seen": pc.Parameter(())}

    def __call__(self, x: Any, p: Any) -> Any:
        return p["g"] * x / (1 + p["peak"])

    def train(self, x: Any, p: Any, draw: Any) -> Any:
        peak = 0.9 * p["peak"] + 0.1 * pc.max(pc.absolute(x))
        return self(x, p), {"peak": peak, "seen": p["seen"] + 1}


def two(call: Any, a: Any, b: Any) -> Any:
    both = call(pc.Concatenate(), (call(pc.Dense(3, "tanh"), a), call(pc.Dense(2, "relu"), b)))
    return {"price": call(pc.Dense(1), both), "kind": call(pc.Dense(3), call(pc.LayerNorm(), both))}


# name: layers, loss, optimizer, which samples, which targets
STACKS: dict[str, tuple[list[pc.Layer], Any, Any, str, str]] = {
    "batch-norm": (
        [pc.Dense(4, bias=False), pc.BatchNorm(), pc.Activation("relu"), pc.Dense(1)],
        "mse", pc.SGD(0.05, momentum=0.9), "numbers", "values",
    ),
    "batch-norm-residual": (
        [pc.Dense(4, "tanh"), pc.Residual([pc.BatchNorm(shift=False), pc.Dense(4)]), pc.Dense(3)],
        pc.LabelSmoothing(0.1), pc.AdamW(pc.Cosine(0.05, 99), clip_global_norm=0.5),
        "numbers", "classes",
    ),
    "branches": (
        [pc.Parallel([pc.Dense(2, "relu"), [pc.Dense(3, "tanh"), pc.LayerNorm()], []]),
         pc.Concatenate([pc.Dense(2), pc.Residual(pc.Dense(3))]), pc.Dense(1, "sigmoid")],
        "bce", pc.NAdam(0.02, clip_norm=0.3), "numbers", "binary",
    ),
    "missing": (
        [pc.Missing(indicator=(1,)), pc.Normalize(), pc.Dense(3, "gelu", l2=0.1), pc.Dense(1)],
        "huber", pc.Adam(0.02, ema=0.9, accumulate=2), "missing", "values",
    ),
    "one-hot": (
        [pc.Normalize(columns=(0, 1)), pc.OneHot(3, columns=(2,)),
         pc.Parallel([pc.Dense(3, "sigmoid"), pc.Dense(3, "tanh")], merge="multiply"),
         pc.Dense(3, "softmax")],
        "cce", pc.RMSprop(0.02, weight_decay=0.1), "codes", "classes",
    ),
    "embedding": (
        [pc.Embedding(3, 2), pc.LayerNorm(scale=False), pc.Flatten(), pc.Dense(1)],
        "mae", pc.AMSGrad(0.02, groups=[pc.Group("E*", learning_rate=0.2)]), "whole", "values",
    ),
    "bounded": (
        [pc.Dense(4, "relu", max_norm=0.8), pc.Shared(pc.Dense(4, "tanh", max_norm=0.5), "s"),
         pc.Shared(pc.Dense(4, "tanh", max_norm=0.5), "s"), pc.Dense(1, trainable=False)],
        "mse", pc.SGD(pc.StepDecay(0.3, 2), nesterov=True, momentum=0.5), "numbers", "values",
    ),
    "noise": (
        [pc.GaussianNoise(0.1), pc.Dense(4, "selu"), pc.AlphaDropout(0.1), pc.Dense(4),
         pc.BatchNorm(trainable=False), pc.GaussianDropout(0.2), pc.Dropout(0.3), pc.Dense(2)],
        "half_mse", pc.Adagrad(0.1), "numbers", "pairs",
    ),
    "shared-norm": (
        [pc.Dense(3, bias=False), pc.Shared(pc.BatchNorm(), "s"), pc.Dense(3, bias=False),
         pc.Shared(pc.BatchNorm(), "s"), pc.Dense(1)],
        "mse", pc.Lion(0.01), "numbers", "values",
    ),
    "own": (
        [pc.Dense(3, "tanh"), pc.Residual([Gain(), pc.Dense(3)]), pc.Dense(1)],
        "mse", pc.Adadelta(1.0), "numbers", "values",
    ),
    "whole": (
        [pc.Normalize(), pc.Dense(3, "tanh"), pc.Dropout(0.2), pc.LayerNorm(), pc.Dense(1)],
        "mse", pc.LBFGS(max_iter=3), "numbers", "values",
    ),
    "function": ([], {"price": "mse", "kind": "cce_logits"}, pc.Adam(0.02), "parts", "both"),
}  # fmt: skip
DRAWS = ("noise", "whole")  # what is random while training, no walkthrough shows


def model_of(name: str, dtype: str = "float64") -> pc.Sequential:
    layers, loss, optimizer, _, _ = STACKS[name]
    settings: Any = {"loss": loss, "optimizer": optimizer, "dtype": dtype, "seed": 3}
    return pc.Sequential(layers, **settings) if layers else pc.Model(two, **settings)


def data(name: str, n: int = ROWS, seed: int = 0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    numbers = rng.normal(size=(n, 3)).round(2)
    codes, whole = numbers.copy(), rng.integers(0, 3, (n, 3)).astype(float)
    codes[:, 2] = whole[:, 2]
    classes = np.arange(n) % 3
    X = {
        "numbers": numbers, "codes": codes, "whole": whole,
        "missing": np.where(rng.random((n, 3)) < 0.2, np.nan, numbers),
        "parts": {"a": numbers[:, :1], "b": numbers[:, 1:]},
    }  # fmt: skip
    values = rng.normal(size=(n, 1)).round(2)
    y = {
        "values": values, "pairs": rng.normal(size=(n, 2)).round(2), "binary": classes % 2,
        "classes": classes, "both": {"price": values, "kind": classes},
    }  # fmt: skip
    return X[STACKS[name][3]], y[STACKS[name][4]]


def first(X: Any, n: int) -> Any:
    return {k: v[:n] for k, v in X.items()} if isinstance(X, dict) else X[:n]


def train(model: pc.Sequential, name: str, epochs: int = 2, **settings: Any) -> pc.Sequential:
    size = None if model.optimizer.whole else 5
    given = {"epochs": epochs, "batch_size": size, "verbose": 0, "backend": "numpy"}
    model.fit(*data(name), **(given | settings))
    return model


def numbers(model: pc.Sequential) -> dict[str, Any]:
    return {k: v.copy() for k, v in model._numbers.arrays.items()}


def check_same(found: Any, expected: Any) -> None:
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


def check_close(found: Any, expected: Any, rtol: float) -> None:
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        off = np.linalg.norm(np.asarray(found[name], float) - array)
        assert off <= rtol * (1e-3 + np.linalg.norm(array)), name


every = pytest.mark.parametrize("name", STACKS)


@every
def test_gradients_are_the_slopes_of_the_training_loss(name: str) -> None:
    model, (X, y) = train(model_of(name), name), data(name)
    batch, params = model._batch(X, y), model._numbers.params

    def loss() -> float:
        return float(model._run("trained", batch, False)["loss"])

    assert pc.check_gradients(model, X, y)
    for slot in model._built.slots:
        slopes, step = model.gradients(X, y)[slot.name].ravel(), 1e-6
        for k in range(0, len(slopes), max(1, len(slopes) // 3)):
            at = params[slot.start + k]
            params[slot.start + k] = at + step
            high = loss()
            params[slot.start + k] = at - step
            low = loss()
            params[slot.start + k] = at
            assert (high - low) / (2 * step) == pytest.approx(slopes[k], rel=1e-5, abs=1e-7)


@every
def test_the_printed_source_is_the_step(name: str) -> None:
    model = train(model_of(name), name)
    twin, space = model.copy(), dict[str, Any]()
    exec(compile(model.source(), "<source>", "exec"), space)
    steps = twin._steps()
    steps.numbers.steps += 1
    given = steps.inputs(steps.program(False)[0], twin._batch(*data(name)))
    leaves = steps.program(False)[0].program.inputs
    space["step"](*(given[leaf.name] for leaf in leaves))
    if not model.optimizer.whole:  # its source only says what it asks for
        model.step(*data(name))
        check_close(numbers(twin), numbers(model), 1e-12)
        assert "def train(" in model.source("numba")


@every
def test_a_walkthrough_is_true_and_gives_the_step(name: str) -> None:
    model, (X, y) = train(model_of(name), name), data(name, 3)
    w = model.explain(X, y, fused=name != "branches")
    check_contract(w)
    steps = (replace(s, note=f"{s.note} hides") if "magnified" in s.note else s for s in w.steps)
    check_true(replace(w, steps=tuple(steps)))
    check_close({k: w[f"d_{k}"].array for k in model.gradients(X, y)}, model.gradients(X, y), 1e-9)
    assert not any("given with NaN" in note for note in w.notes)
    if name not in DRAWS:
        model.step(X, y)
        told = {s.name.removesuffix("_new"): s.array for s in w.steps if s.phase == "update"}
        moved = {s.name: model.params[s.name] for s in model._built.slots}
        check_close({k: told[k] for k in moved}, moved, 1e-9)
        check_close({k: told.get(k, v) for k, v in model.buffers.items()}, model.buffers, 1e-9)


@every
def test_readers(name: str) -> None:
    model, (X, y) = model_of(name, "float32"), data(name)
    model.fit(X, y, epochs=2, batch_size=None, verbose=0, record=True, backend="numpy",
              validation_data=data(name, 4, 1))  # fmt: skip
    before, slot = numbers(model), model._built.slots[0]
    spot = f"{slot.name}[{', '.join('0' for _ in slot.shape)}]"
    slope = model.gradients(X, y)[slot.name].ravel()[0]
    assert pc.why(model, X, y, spot).gradient == pytest.approx(slope, rel=1e-3, abs=1e-6)
    assert model.shapes()[slot.name] == slot.shape
    assert f"{sum(a.size for a in model.params.values())} parameters" in model.summary()
    assert model.draw(X, y).svg.startswith("<svg")
    check_same(numbers(model), before)


@pytest.mark.parametrize("name", ["batch-norm-residual", "missing", "function"])
def test_reports_and_the_doctor(name: str, tmp_path: Path) -> None:
    model, (X, y) = train(model_of(name, "float32"), name), data(name)
    before = numbers(model)
    page = pc.report(model, None, X, y, tmp_path / "m.html").read_text("utf-8")
    assert "the training step" in page
    found = pc.diagnose(model, X, y, epochs=3, budget_seconds=1)
    assert not any(f.code == "non-finite" for f in found.findings)
    check_same(numbers(model), before)


@every
def test_copies_go_on_alike(name: str, tmp_path: Path) -> None:
    ways: dict[str, Callable[[pc.Sequential], pc.Sequential]] = {
        "copy": lambda m: m.copy(), "deepcopy": copy.deepcopy,
        "pickle": lambda m: pickle.loads(pickle.dumps(m)),
        "file": lambda m: pc.load(m.save(tmp_path / "m.safetensors"), custom={"Gain": Gain}),
    }  # fmt: skip
    if name == "function":
        del ways["file"]
    models = {way: make(train(model_of(name), name)) for way, make in ways.items()}
    expected = numbers(train(model_of(name), name, epochs=4))
    for model in models.values():
        if name != "whole":  # 2 + 2 epochs are 4 epochs, step by step
            check_same(numbers(train(model, name)), expected)
    twin = model_of(name).reset()
    train(twin, name).reset()
    check_same(numbers(train(twin, name, epochs=4)), expected)


@every
def test_changes_between_two_fits(name: str) -> None:
    model = train(model_of(name), name)
    frozen, last = model._built.slots[0].name, model._built.slots[-1].name
    kept, state = dict(model.params), {k: v.copy() for k, v in model.buffers.items()}
    kept = {k: v.copy() for k, v in kept.items()}
    model.freeze(frozen)
    check_same(dict(model.params), kept)
    check_same(dict(model.buffers), state)
    train(model, name, epochs=1)
    np.testing.assert_array_equal(model.params[frozen], kept[frozen])
    assert last == frozen or not np.array_equal(model.params[last], kept[last])
    with pytest.raises(pc.ArgumentError, match="frozen"):
        pc.why(model, *data(name), f"{frozen}[0, 0]")
    train(model.unfreeze(), name, epochs=1)
    assert not np.array_equal(model.params[frozen], kept[frozen])
    model.optimizer = pc.Adam(0.003)
    model.learning_rate = 0.02
    assert model.learning_rate == 0.02
    w = model.explain(*data(name))
    assert w.given["learning_rate"] == 0.02
    train(model, name, epochs=1)


@every
def test_a_failure_is_named_and_leaves_the_model_as_it_was(name: str) -> None:
    model = train(model_of(name, "float32"), name)
    slot = model._built.slots[-1]
    model._numbers.params[slot.start] = np.nan
    before = numbers(model)
    with pytest.raises(pc.NonFiniteError, match=slot.name):
        train(model, name)
    check_same(numbers(model), before)


@every
def test_an_interrupted_fit_keeps_whole_epochs(name: str) -> None:
    class Stop(pc.Callback):
        def on_batch_end(self, batch: int, logs: Any) -> None:
            if self.model._numbers.epochs == 2:
                raise KeyboardInterrupt

    model = train(model_of(name), name, epochs=5, callbacks=[Stop()])
    check_same(numbers(model), numbers(train(model_of(name), name, epochs=2)))


# -- compiled --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["batch-norm-residual", "bounded"])
def test_compiled_runs_give_the_same(name: str) -> None:
    models, told = {}, {}
    for backend in ("numpy", "numba"):
        models[backend] = model_of(name)
        history = models[backend].fit(
            *data(name), epochs=3, batch_size=5, verbose=0, backend=backend,
            validation_data=data(name, 4, 1), sample_weight=np.linspace(0.5, 2, ROWS),
        )  # fmt: skip
        told[backend] = {k: np.array(v) for k, v in history.items()}
    check_close(numbers(models["numba"]), numbers(models["numpy"]), 1e-10)
    check_close(told["numba"], told["numpy"], 1e-10)


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_a_bound_that_cannot_be_kept_ends_the_training(backend: str) -> None:
    model = pc.Sequential([pc.Dense(4, "relu", max_norm=0.7), pc.BatchNorm(), pc.Dense(1)],
                          loss="mse", optimizer=pc.Adam(0.01), seed=3)  # fmt: skip
    X, y = data("bounded")
    model.fit(X, y, epochs=2, batch_size=5, verbose=0, backend="numpy")
    model.learning_rate = 1e30  # the length of a column is infinite then, in float32
    with pytest.raises(pc.NonFiniteError):
        model.fit(X, y, epochs=30, batch_size=5, verbose=0, backend=backend)
    assert all(np.isfinite(a).all() for a in numbers(model).values())


# -- what went wrong before ------------------------------------------------------------------------


def test_a_line_comes_after_those_that_it_reads() -> None:
    model = model_of("shared-norm")
    w = model.explain(*data("shared-norm", 3))
    names = [s.name for s in w.steps]
    assert names.index("centered2") < names.index("normed2")


def test_terms_that_cancel_are_said_to() -> None:
    layers = [pc.Dense(4, inputs=3), pc.BatchNorm(), pc.Dense(1)]
    w = pc.Sequential(layers, loss="mse", dtype="float64").explain(*data("batch-norm", 5))
    assert np.abs(w["d_b1"].array).max() < 1e-12
    assert "magnified" in w["d_b1"].note and not any("magnified" in s.note for s in w.steps[:5])


def test_arrays_in_a_list_are_joined() -> None:
    formula = "concatenate([[[1.0, 2.0]], maximum([[3.0]], 0)], axis=1)"
    assert parsed(formula) and evaluate(formula).tolist() == [[1.0, 2.0, 3.0]]


def test_all_frozen() -> None:
    model = pc.Sequential([pc.Dense(2, inputs=3), pc.Dense(1)], loss="mse").freeze()
    X, y = data("batch-norm")
    for refused in (model.fit, model.gradients, model.step, pc.check_gradients):
        given = (model, X, y) if refused is pc.check_gradients else (X, y)
        with pytest.raises(pc.ArgumentError, match="every parameter is frozen"):
            refused(*given)  # type: ignore[operator]
    w = model.explain(X, y)
    assert {s.phase for s in w.steps} == {"forward", "loss"}
    assert not any("reads all parameters at once" in note for note in w.notes)


def test_an_average_before_the_first_update() -> None:
    model = pc.Sequential(
        [pc.Dense(1, inputs=3)], loss="mse", optimizer=pc.Adam(ema=0.9, accumulate=4)
    )
    model.step(*data("batch-norm"))
    check_same(dict(model.averaged().params), dict(model.params))


def test_the_doctor_takes_batches_that_a_layer_can_train_on() -> None:
    X, y = data("batch-norm", 11)
    model = pc.Sequential([pc.Dense(3, "relu"), pc.BatchNorm(), pc.Dense(1)], loss="mse")
    with pytest.raises(pc.ArgumentError, match="the last batch has 1 sample"):
        pc.diagnose(model, X, y, batch_size=5)
    found = pc.diagnose(model, X, y, batch_size=6, epochs=3)  # of some rows, the last has 1
    assert not any(f.code == "non-finite" for f in found.findings)


def test_plots_of_what_is_missing(tmp_path: Path) -> None:
    plt = pytest.importorskip("matplotlib.pyplot")
    X, y = data("missing", 20)
    X, y = X[:, :2], np.arange(20) % 2
    layers = [pc.Missing(), pc.Dense(3, "tanh"), pc.Dense(1, "sigmoid")]
    model = pc.Sequential(layers, loss="bce").adapt(X)
    low, high = pc.plot.boundary(model, X, y, resolution=5).get_xlim()
    assert low < np.nanmin(X[:, 0]) and high > np.nanmax(X[:, 0])
    assert pc.plot.neurons(model, X, y, resolution=5) is not None  # of layer 1, which fills
    with pytest.raises(pc.ArgumentError, match=r"fixed=\{2: "):
        pc.plot.boundary(model_of("missing").adapt(data("missing")[0]), *data("missing"))
    plt.close("all")


@pytest.mark.parametrize("loss, outputs", [("mse", 2), ("bce_logits", 3), ("hinge", 2)])
def test_reports_of_several_outputs_in_a_plane(loss: str, outputs: int, tmp_path: Path) -> None:
    X, rng = data("batch-norm", 20)[0][:, :2], np.random.default_rng(0)
    y = rng.choice({"mse": [0.5, 2], "bce_logits": [0, 1], "hinge": [-1, 1]}[loss], (20, outputs))
    last = "tanh" if loss == "hinge" else None
    model = pc.Sequential([pc.Dense(3, "tanh"), pc.Dense(outputs, last)], loss=loss)
    assert pc.report(model, None, X, y, tmp_path / "m.html").is_file()


def test_a_report_of_codes_in_a_plane(tmp_path: Path) -> None:
    X = data("embedding", 20)[0][:, :2]
    model = pc.Sequential([pc.Embedding(3, 2), pc.Flatten(), pc.Dense(3, "tanh"), pc.Dense(1)],
                          loss="mse")  # fmt: skip
    assert pc.report(model, None, X, X[:, :1], tmp_path / "m.html").is_file()


def test_an_error_is_where_the_caller_is() -> None:
    model = pc.Sequential([pc.Dense(2, max_norm=1.0), pc.Dense(1)], loss="mse", optimizer="lbfgs")
    with pytest.raises(pc.ArgumentError, match="another optimizer, or no max_norm") as caught:
        model.fit(*data("batch-norm"), batch_size=None, verbose=0)
    assert "test_combinations.py" in caught.value.where


def test_what_has_no_loops_is_an_argument_error() -> None:
    with pytest.raises(pc.ArgumentError, match="looks where to go"):
        train(model_of("whole"), "whole").source("numba")
