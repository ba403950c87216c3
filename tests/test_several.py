"""Models by plain functions of layers: several inputs, several outputs, and layers in common."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pellucid as pc
from pellucid.jit import available

compiles = pytest.mark.skipif(bool(available()), reason=available() or "compiled code is here")
N = 40
RNG = np.random.default_rng(0)
X = {"image": RNG.normal(size=(N, 4, 3)), "text": RNG.integers(0, 6, (N, 2))}
Y = {"price": RNG.normal(size=N), "kind": RNG.choice(3, N), "map": RNG.normal(size=(N, 2, 2))}
LOSSES = {"price": "mse", "kind": "cce_logits", "map": "mae"}


def net(call: Any, image: Any, text: Any) -> Any:
    a = call(pc.Dense(5, "tanh"), call(pc.Flatten(), image))
    b = call(pc.Flatten(), call(pc.Embedding(6, 2), text))
    both = call(pc.Residual([pc.BatchNorm(), pc.Dense(9, "tanh")]), call(pc.Concatenate(), (a, b)))
    square = np.reshape(call(pc.Dense(4), both), (both.shape[0], 2, 2))
    return {"price": call(pc.Dense(1), both), "kind": call(pc.Dense(3), both), "map": square}


def model_of(**more: Any) -> Any:
    settings: dict[str, Any] = {
        "loss": LOSSES, "loss_weights": {"kind": 0.5}, "dtype": "float64",
        "metrics": {"kind": ["accuracy", pc.AUC()], "price": "mae"},
    }  # fmt: skip
    return pc.Model(net, **(settings | more))


def few(data: dict[str, Any], k: int = 4) -> dict[str, Any]:
    return {name: values[:k] for name, values in data.items()}


# -- one input, one output -------------------------------------------------------------------------


def test_a_plain_function_is_the_stack_that_it_says() -> None:
    one = pc.Model(
        lambda call, x: call(pc.Dense(1), call(pc.Dense(8, "tanh"), x)), loss="mse",
        dtype="float64", metrics=["mae"], inputs=3,
    )  # fmt: skip
    two = pc.Sequential([pc.Dense(8, "tanh", inputs=3), pc.Dense(1)], loss="mse", dtype="float64",
                        metrics=["mae"])  # fmt: skip
    x, y = X["image"][:, 0], Y["price"]
    assert list(one.params) == list(two.params)
    for m in (one, two):
        m.fit(x, y, epochs=3, verbose=0, backend="numpy", validation_split=0.2)
    assert dict(one.history) == dict(two.history)
    np.testing.assert_array_equal(one.predict(x), two.predict(x))
    assert one.source() == two.source()
    assert isinstance(one.copy(), pc.Model)
    np.testing.assert_array_equal(one.copy().predict({"x": x}), one.predict(x))


def test_formulas_stand_between_the_calls() -> None:
    def gated(call: Any, x: Any) -> Any:
        return x + call(pc.Dense(3), x) * np.exp(-(call(pc.Dense(3, "sigmoid"), x) ** 2))

    model = pc.Sequential([pc.Formula(gated), pc.Dense(1)], loss="mse", dtype="float64")
    x = X["image"][:, 0]
    model.predict(x)
    p = model.params
    s = 1 / (1 + np.exp(-(x @ p["W2"] + p["b2"])))
    a = x + (x @ p["W1"] + p["b1"]) * np.exp(-(s**2))
    np.testing.assert_allclose(model.predict(x), a @ p["W3"] + p["b3"], rtol=1e-12, atol=1e-13)
    assert pc.check_gradients(model, x, Y["price"]).ok


def test_a_named_layer_is_one_wherever_it_is_called() -> None:
    encode = pc.Shared(pc.Dense(4, "tanh"), "encode")

    def twins(call: Any, a: Any, b: Any) -> Any:
        return call(pc.Dense(1, "sigmoid"), np.abs(call(encode, a) - call(encode, b)))

    model = pc.Model(twins, loss="bce", inputs={"a": 3, "b": 3}, dtype="float64")
    assert list(model.params) == ["W1", "b1", "W3", "b3"]
    a, b = X["image"][:, 0], X["image"][:, 1]
    p = model.params
    apart = np.abs(np.tanh(a @ p["W1"] + p["b1"]) - np.tanh(b @ p["W1"] + p["b1"]))
    want = 1 / (1 + np.exp(-(apart @ p["W3"] + p["b3"])))
    np.testing.assert_allclose(model.predict((a, b)), want, rtol=1e-12)
    np.testing.assert_allclose(model.predict((b, a)), want, rtol=1e-12)
    rows = model.packed({"a": a, "b": b})
    assert pc.check_gradients(model, rows, Y["price"] > 0).ok
    model.fit((a, b), Y["price"] > 0, epochs=2, verbose=0)
    assert set(model.predict_classes((a, b))) <= {False, True}


# -- several ---------------------------------------------------------------------------------------


def naive(p: Any, buffers: Any, data: Any) -> dict[str, Any]:
    """The outputs in NumPy, as prediction has them."""
    a = np.tanh(data["image"].reshape(N, -1) @ p["W1"] + p["b1"])
    b = p["E2"][data["text"]].reshape(N, -1)
    x = np.concatenate([a, b], 1)
    h = (x - buffers["running_mean3"]) / np.sqrt(buffers["running_var3"] + 1e-5)
    both = x + np.tanh((p["gamma3"] * h + p["beta3"]) @ p["W4"] + p["b4"])
    scores = both @ p["W7"] + p["b7"]
    e = np.exp(scores - scores.max(1, keepdims=True))
    return {
        "price": both @ p["W6"] + p["b6"],
        "kind": e / e.sum(1, keepdims=True),
        "map": (both @ p["W5"] + p["b5"]).reshape(N, 2, 2),
    }


def test_outputs_losses_and_metrics_are_what_they_say() -> None:
    model = model_of()
    model.fit(X, Y, epochs=2, verbose=0, backend="numpy")
    found, want = model.predict(X), naive(model.params, model.buffers, X)
    assert list(found) == ["price", "kind", "map"]
    for name, array in want.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-10, atol=1e-12)
    logs = model.evaluate(X, Y)
    price = ((want["price"][:, 0] - Y["price"]) ** 2).mean()
    kind = -np.log(want["kind"][np.arange(N), Y["kind"]]).mean()
    spots = np.abs(want["map"] - Y["map"]).mean()
    assert logs == pytest.approx({
        "loss": price + 0.5 * kind + spots, "price_loss": price, "kind_loss": kind,
        "map_loss": spots, "kind_accuracy": (want["kind"].argmax(1) == Y["kind"]).mean(),
        "price_mae": np.abs(want["price"][:, 0] - Y["price"]).mean(),
        "kind_auc": pc.AUC()(want["kind"], Y["kind"], targets="classes"),
    }, rel=1e-10)  # fmt: skip
    assert {"loss", "price_loss", "kind_loss", "map_loss"} <= set(model.history)
    classes = model.predict_classes(X)
    assert list(classes) == ["kind"]
    np.testing.assert_array_equal(classes["kind"], want["kind"].argmax(1))
    raw = model.predict(X, raw=True)["kind"]
    np.testing.assert_allclose(np.exp(raw) / np.exp(raw).sum(1, keepdims=True), want["kind"])


def test_sample_weights_weigh_every_output() -> None:
    model = model_of(metrics=())
    model.predict(X)
    w = np.random.default_rng(3).uniform(0, 2, N)
    w[:5] = 0
    whole = model.evaluate(X, Y, sample_weight=w)["loss"]
    share = w / w.sum()
    rows = [
        model.evaluate({k: v[i : i + 1] for k, v in X.items()},
                       {k: v[i : i + 1] for k, v in Y.items()})["loss"]
        for i in range(N)
    ]  # fmt: skip
    assert whole == pytest.approx(float(np.sum(share * rows)), rel=1e-10)
    model.fit(X, Y, sample_weight=w, epochs=1, verbose=0, backend="numpy")


@compiles
def test_both_backends() -> None:
    models = [model_of() for _ in range(2)]
    for m, backend in zip(models, ("numpy", "numba"), strict=True):
        m.fit(X, Y, epochs=4, batch_size=8, verbose=0, backend=backend, validation_data=(X, Y))
    for key, array in models[0]._numbers.arrays.items():
        np.testing.assert_allclose(array, models[1]._numbers.arrays[key], rtol=1e-7, atol=1e-9)
    for name, curve in models[0].history.items():
        np.testing.assert_allclose(curve, models[1].history[name], rtol=1e-7)
    a, b = (models[1].predict(X, backend=backend) for backend in ("numpy", "numba"))
    for name in a:
        np.testing.assert_allclose(a[name], b[name], rtol=1e-10, atol=1e-12)


def test_samples_come_as_a_dict_a_tuple_or_packed() -> None:
    model = model_of(metrics=())
    want = model.evaluate(X, Y)
    assert model.evaluate(tuple(X.values()), tuple(Y.values())) == want
    rows = model.packed(X)
    assert rows.shape == (N, 14)
    assert model.evaluate(rows, Y) == want
    turned = dict(reversed(X.items()))
    assert model.evaluate(turned, dict(reversed(Y.items()))) == want
    split = model_of(metrics=())
    split.fit(X, Y, epochs=2, verbose=0, validation_split=0.25, backend="numpy")
    assert "val_kind_loss" in split.history


def test_a_tuple_of_outputs_is_numbered_and_losses_may_be_values_or_functions() -> None:
    def pair(call: Any, x: Any) -> Any:
        return call(pc.Dense(2), x), call(pc.Dense(1), x)

    def cubic(p: Any, y: Any) -> Any:
        return np.mean(np.abs(p - y) ** 3)

    x, y = X["image"][:, 0], (RNG.integers(0, 2, N), Y["price"])
    model = pc.Model(pair, inputs=3, loss={"output1": pc.LabelSmoothing(0.1), "output2": cubic})
    model.fit(x, y, epochs=2, verbose=0)
    logs = model.evaluate(x, y)
    assert list(logs) == ["loss", "output1_loss", "output2_loss"]
    assert logs["loss"] == pytest.approx(logs["output1_loss"] + logs["output2_loss"], rel=1e-5)
    with pytest.raises(pc.ArgumentError, match="sample weights need losses by name"):
        model.fit(x, y, sample_weight=np.ones(N), verbose=0)


# -- every reader ----------------------------------------------------------------------------------


def test_the_printed_step_reads_outputs_where_they_are() -> None:
    text = model_of(optimizer="sgd", inputs={"image": (4, 3), "text": 2}).source()
    assert "loss = price_loss + 0.5 * kind_loss + map_loss" in " ".join(text.split())
    assert "unslice" not in text.split("def step")[1], "a piece is taken from what was joined"


def test_explanations_pictures_and_checks(tmp_path: Path) -> None:
    model = model_of(optimizer="sgd")
    model.fit(X, Y, epochs=1, verbose=0, backend="numpy")
    walk = model.explain(few(X), few(Y))
    for name, g in model.gradients(few(X), few(Y)).items():
        np.testing.assert_allclose(walk[f"d_{name}"].array, g, rtol=1e-9, atol=1e-12)
    assert "Formula" in model.draw(few(X), few(Y), open=True).svg and model.draw().svg
    assert pc.check_gradients(model, X, Y).ok
    assert pc.report(model, model.history, X, Y, tmp_path / "page.html").exists()
    found = pc.diagnose(model, X, Y, budget_seconds=3, epochs=5)
    assert not {"wrong-gradient", "unused-parameter"} & {f.code for f in found.findings}
    assert "  Embedding(vocabulary=6, size=2)" in model.summary()
    assert "Model(Formula(net" in repr(model)


def test_copies_sweeps_and_freezing() -> None:
    model = model_of()
    model.fit(X, Y, epochs=1, verbose=0, backend="numpy")
    want = model.predict(X)
    for twin in (model.copy(), copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        found = twin.predict(X)
        assert all(np.array_equal(found[k], want[k]) for k in want)
        twin.fit(X, Y, epochs=1, verbose=0, backend="numpy")
    table = pc.sweep(lambda seed=0: model_of(seed=seed), X, Y, epochs=2, seeds=[0, 1], verbose=0)
    assert len(table.rows) == 2
    before = model.params["E2"].copy()
    model.freeze("E2").fit(X, Y, epochs=1, verbose=0, backend="numpy")
    np.testing.assert_array_equal(model.params["E2"], before)


def test_a_function_is_no_file_but_its_weights_are(tmp_path: Path) -> None:
    model = model_of()
    model.fit(X, Y, epochs=1, verbose=0, backend="numpy")
    with pytest.raises(pc.ArgumentError, match="net is code, which a file of a model cannot hold"):
        model.save(tmp_path / "m")
    path = model.save_weights(tmp_path / "w")
    other = model_of(seed=7, inputs={"image": (4, 3), "text": 2})
    loaded = other.load_weights(path)
    assert set(loaded.loaded) == {*model.params, *model.buffers} and not loaded.missing
    a, b = model.predict(X), other.predict(X)
    assert all(np.array_equal(a[k], b[k]) for k in a)


def test_a_run_that_is_kept_goes_on_to_the_same_numbers(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"verbose": 0, "backend": "numpy", "batch_size": 8}
    whole, first, second = (model_of() for _ in range(3))
    whole.fit(X, Y, epochs=4, **settings)
    first.fit(X, Y, epochs=2, checkpoint=tmp_path / "run", **settings)
    second.fit(X, Y, epochs=4, checkpoint=tmp_path / "run", resume=True, **settings)
    assert second._numbers.equals(whole._numbers)


# -- what it refuses -------------------------------------------------------------------------------


def one(call: Any, x: Any) -> Any:
    return call(pc.Dense(1), x)


def two(call: Any, x: Any) -> Any:
    return {"a": call(pc.Dense(1), x), "b": call(pc.Dense(2), x)}


BOTH = {"a": "mse", "b": "cce_logits"}


@pytest.mark.parametrize(
    ("make", "kind", "says"),
    [
        (lambda: pc.Model([pc.Dense(1)]), pc.DtypeError, "function of layers"),
        (lambda: pc.Model(lambda call: 1), pc.ArgumentError, "no inputs by name"),
        (lambda: pc.Model(lambda call, *x: 1), pc.ArgumentError, "no inputs by name"),
        (lambda: pc.Model(net, inputs={"image": (4, 3)}), pc.ArgumentError, "nothing of text"),
        (lambda: pc.Model(net, inputs={"image": 3, "txt": 2}), pc.ArgumentError, "'txt'"),
        (lambda: pc.Model(net, inputs=3), pc.DtypeError, "inputs is 3"),
        (lambda: pc.Model(one, inputs=0), pc.ArgumentError, "shape of 'x' is 0"),
        (lambda: pc.Model(one, inputs=(2, None)), pc.ArgumentError, "shape of 'x'"),
        (lambda: pc.Model(one, inputs=3, loss={"a": "mse"}), pc.ArgumentError, "one output"),
        (lambda: pc.Model(two, inputs=3, loss="mse"), pc.ArgumentError, "a loss for each"),
        (lambda: pc.Model(two, inputs=3, loss={"a": "mse"}), pc.ArgumentError, "nothing of b"),
        (lambda: pc.Model(two, inputs=3, loss=BOTH | {"c": "mse"}), pc.ArgumentError, "'c'"),
        (lambda: pc.Model(two, loss={"a": "mze"}), pc.ArgumentError, "mze"),
        (lambda: pc.Model(two, loss=BOTH, loss_weights={"a": -1}), pc.ArgumentError, "-1"),
        (lambda: pc.Model(two, loss=BOTH, loss_weights={"c": 1}), pc.ArgumentError, "'c'"),
        (lambda: pc.Model(two, loss=BOTH, metrics={"c": "mae"}), pc.ArgumentError, "'c'"),
        (lambda: pc.Model(two, inputs=3, loss=BOTH, metrics=["mae"]), pc.ArgumentError, "by name"),
        (lambda: pc.Model(two, inputs=3, loss=BOTH, metrics={"a": "r2"}), pc.ArgumentError, "r2"),
        (lambda: pc.Model(one, loss="mse", loss_weights={"a": 1}), pc.ArgumentError, "each output"),
        (lambda: pc.Formula(3), pc.DtypeError, "no function"),
        (lambda: pc.Model(lambda call, x: 3, inputs=3), pc.ShapeError, "returned int"),
        (lambda: pc.Model(lambda call, x: {}, inputs=3), pc.ArgumentError, "no output"),
        (lambda: pc.Model(lambda call, x: {"a b": x}, inputs=3), pc.ArgumentError, "a b"),
        (lambda: pc.Model(lambda call, x: np.sum(x, 0), inputs=3), pc.ShapeError, "n samples"),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_meant(make: Any, kind: Any, says: str) -> None:
    with pytest.raises(kind, match=says):
        make()


@pytest.mark.parametrize(
    ("x", "y", "kind", "says"),
    [
        ({"image": X["image"]}, Y, pc.DataError, "X lacks text"),
        (X | {"sound": X["text"]}, Y, pc.ArgumentError, "sound"),
        (X | {"text": X["text"][:3]}, Y, pc.ShapeError, "image has 40, text has 3"),
        (X | {"text": X["text"] * np.nan}, Y, pc.DataError, "X.'text'. holds NaN"),
        (X["image"], Y, pc.DtypeError, "takes image, text"),
        ((X["image"],), Y, pc.DtypeError, "not values by name"),
        (X, {"price": Y["price"]}, pc.DataError, "y lacks kind, map"),
        (X, Y | {"kind": Y["kind"] + 1}, pc.DataError, "labels from 1 to 3"),
        (X, Y | {"map": Y["price"]}, pc.ShapeError, "output"),
        (X, Y["price"], pc.DtypeError, "not values by name"),
        (X, Y | {"price": Y["price"][:3]}, pc.ShapeError, "3 rows"),
    ],
)  # fmt: skip
def test_data_that_do_not_fit_leave_the_model_as_it_was(
    x: Any, y: Any, kind: Any, says: str
) -> None:
    fresh = model_of()
    with pytest.raises(kind, match=says):
        fresh.fit(x, y, verbose=0)
    with pytest.raises(pc.NotBuiltError):
        _ = fresh.params
    fresh.fit(X, Y, epochs=1, verbose=0, backend="numpy")
    before = fresh._numbers.copy()
    if x is not X["image"]:  # which is no longer ambiguous
        with pytest.raises(kind, match=says):
            fresh.fit(x, y, verbose=0)
    assert fresh._numbers.equals(before)


def test_class_weights_have_no_meaning_for_several_outputs() -> None:
    with pytest.raises(pc.ArgumentError, match="class_weight has no meaning"):
        model_of().fit(X, Y, class_weight="balanced", verbose=0)


@pytest.mark.conformance
def test_100_steps_are_those_of_pytorch() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is the reference here")

    def small(call: Any, a: Any, b: Any) -> Any:
        both = np.concatenate([call(pc.Dense(3, "tanh"), a), call(pc.Dense(2, "tanh"), b)], 1)
        return {"price": call(pc.Dense(1), both), "kind": call(pc.Dense(3), both)}

    data = {"a": X["image"][:, 0], "b": X["image"][:, 1]}
    y = {"price": Y["price"], "kind": Y["kind"]}
    losses = {"price": "mse", "kind": "cce_logits"}
    model = pc.Model(small, inputs={"a": 3, "b": 3}, loss=losses,
                     loss_weights={"kind": 0.3}, dtype="float64",
                     optimizer=pc.SGD(0.05))  # fmt: skip
    p = {k: torch.tensor(np.array(v), requires_grad=True) for k, v in model.params.items()}
    optimizer = torch.optim.SGD(p.values(), 0.05)
    F = torch.nn.functional
    for k in range(100):
        rows = slice(k % 5 * 8, (k % 5 + 1) * 8)
        both = torch.cat([torch.tanh(torch.tensor(data[n][rows]) @ p[f"W{i}"] + p[f"b{i}"])
                          for i, n in enumerate("ab", 1)], 1)  # fmt: skip
        price, kind = both @ p["W3"] + p["b3"], both @ p["W4"] + p["b4"]
        loss = F.mse_loss(price[:, 0], torch.tensor(y["price"][rows]))
        loss = loss + 0.3 * F.cross_entropy(kind, torch.tensor(y["kind"][rows]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    model.fit(data, y, epochs=20, batch_size=8, shuffle=False, verbose=0, backend="numpy")
    for name, theirs in p.items():
        np.testing.assert_allclose(
            model.params[name], theirs.detach().numpy(), rtol=1e-10, atol=1e-12
        )
