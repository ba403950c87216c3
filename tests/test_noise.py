"""Layers that disturb: what they do to mean and variance, and the same draws on every backend."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pellucid as pc
from pellucid import rng
from pellucid.jit import available
from pellucid.nn.network import still

compiles = pytest.mark.skipif(bool(available()), reason=available() or "compiled code is here")
LAYERS = [pc.Dropout(0.3), pc.GaussianNoise(0.5), pc.GaussianDropout(0.3), pc.AlphaDropout(0.2),
          pc.SpatialDropout(0.4)]  # fmt: skip
IDS = [type(x).__name__ for x in LAYERS]
X = np.random.default_rng(0).normal(size=(33, 3, 4))
Y = np.random.default_rng(1).normal(size=(33, 1))


def model_of(*layers: Any, dtype: str = "float64", seed: int = 0) -> Any:
    stack = [*layers, pc.Flatten(), pc.Dense(4, "tanh"), pc.Dense(1)]
    return pc.Sequential(stack, loss="mse", optimizer=pc.SGD(0.05), dtype=dtype, seed=seed)


def disturbed(layer: Any, x: Any, seed: int = 0) -> Any:
    """What the layer makes of an array while training, at the first step."""
    count = [0]

    def draw(shape: Any, keep: Any) -> Any:
        key = rng.key(seed, "dropout", count[0], 1)
        count[0] += 1
        sizes = tuple(map(int, shape))
        drawn = rng.noise(key, sizes) if keep == "normal" else rng.uniform(key, sizes) < keep
        return pc.value(drawn.astype(float))

    return layer.train(pc.value(x), {}, draw).value


# -- what each does --------------------------------------------------------------------------------


def test_noise_has_its_deviation_and_leaves_the_mean() -> None:
    x = np.full((400, 5, 50), 2.0)
    out = disturbed(pc.GaussianNoise(0.5), x)
    assert abs(out.mean() - 2) < 4 * 0.5 / math.sqrt(x.size)
    assert out.std() == pytest.approx(0.5, rel=0.01)


def test_gaussian_dropout_has_the_variance_of_dropout() -> None:
    x = np.full((400, 5, 50), 2.0)
    plain, normal = disturbed(pc.Dropout(0.3), x), disturbed(pc.GaussianDropout(0.3), x)
    want = 2**2 * 0.3 / 0.7
    for out in (plain, normal):
        assert out.mean() == pytest.approx(2, rel=0.01)
        assert out.var() == pytest.approx(want, rel=0.02)
    assert set(np.unique(plain.round(12))) == {0.0, round(2 / 0.7, 12)}


@pytest.mark.parametrize("rate", [0.05, 0.3, 0.7])
def test_alpha_dropout_keeps_mean_0_and_variance_1(rate: float) -> None:
    x = rng.normal(rng.key(1, "test"), (2000, 1, 100))
    out = disturbed(pc.AlphaDropout(rate), x)
    assert abs(out.mean()) < 4 / math.sqrt(x.size) + 4e-3
    assert out.var() == pytest.approx(1, rel=0.02)


def test_alpha_dropout_is_klambauers_formula() -> None:
    rate, low = 0.2, -1.7580993408473766
    out = disturbed(pc.AlphaDropout(rate), X)
    mask = rng.uniform(rng.key(0, "dropout", 0, 1), X.shape) < 1 - rate
    q = 1 - rate
    a = (q + low**2 * q * (1 - q)) ** -0.5
    b = -a * (1 - q) * low
    np.testing.assert_allclose(out, a * np.where(mask, X, low) + b, rtol=1e-12, atol=1e-14)


def test_spatial_dropout_drops_whole_channels() -> None:
    out = disturbed(pc.SpatialDropout(0.5), np.ones((200, 7, 3, 10)))
    flat = out.reshape(200, 21, 10)
    assert (flat == flat[:, :1]).all() and set(np.unique(out)) == {0.0, 2.0}
    share = (flat[:, 0] > 0).mean()
    assert abs(share - 0.5) < 4 * 0.5 / math.sqrt(2000)
    with pytest.raises(pc.ShapeError, match="no places"):
        pc.Sequential([pc.SpatialDropout(0.5)]).predict(np.ones((5, 3)))


# -- what they have in common ----------------------------------------------------------------------


@pytest.mark.parametrize("layer", LAYERS, ids=IDS)
def test_prediction_and_gradients_are_undisturbed(layer: Any) -> None:
    noisy, plain = model_of(layer), model_of()
    plain.predict(X)
    noisy.predict(X)
    np.testing.assert_array_equal(noisy.predict(X), plain.predict(X))
    assert noisy.evaluate(X, Y) == plain.evaluate(X, Y)
    for name, g in noisy.gradients(X, Y).items():
        np.testing.assert_array_equal(g, plain.gradients(X, Y)[name])
    assert f"{type(layer).__name__} is left out" in str(noisy.explain(X[:2], Y[:2]))


@pytest.mark.parametrize("layer", LAYERS, ids=IDS)
def test_a_step_is_that_of_the_disturbed_samples(layer: Any) -> None:
    noisy, plain = model_of(layer), model_of()
    noisy.predict(X)
    plain.predict(X)
    noisy.step(X, Y)
    plain.step(disturbed(layer, X), Y)
    for name in plain.params:
        np.testing.assert_allclose(noisy.params[name], plain.params[name], rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("layer", LAYERS, ids=IDS)
def test_draws_follow_from_seed_and_step_alone(layer: Any) -> None:
    models = [model_of(layer, seed=s) for s in (3, 3, 4)]
    for m in models:
        m.fit(X, Y, epochs=2, verbose=0, backend="numpy")
    a, b, c = (m._numbers.params for m in models)
    assert np.array_equal(a, b) and not np.array_equal(a, c)
    models[0].fit(X, Y, epochs=2, verbose=0, backend="numpy")
    other = model_of(layer, seed=3)
    other.fit(X, Y, epochs=4, verbose=0, backend="numpy")
    assert np.array_equal(models[0]._numbers.params, other._numbers.params)


@compiles
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_both_backends_draw_alike(dtype: str) -> None:
    """All of them in one model, which is compiled once."""
    models = [model_of(*LAYERS, dtype=dtype) for _ in range(2)]
    for m, backend in zip(models, ("numpy", "numba"), strict=True):
        m.fit(X, Y, epochs=5, batch_size=8, verbose=0, backend=backend)
    limit = 1e-13 if dtype == "float64" else 2e-6  # one other draw alone makes a difference of 1e-3
    np.testing.assert_allclose(models[0]._numbers.params, models[1]._numbers.params, atol=limit)


@compiles
def test_compiled_noise_is_that_of_rng_to_the_last_bit() -> None:
    from pellucid import jit
    from pellucid.show import library

    texts = "\n\n\n".join(library.functions()[n] for n in library.needed(["gauss"]))
    source = f"""import numpy as np\n\n\n{texts}


@exact
def fill(out, keys, n):
    for i in range(n):
        out[i] = gauss(keys[0], i)
"""
    real, words = np.dtype(float), np.dtype(np.uint64)
    args = (jit.Argument("out", real, ("n",)), jit.Argument("keys", words, (1,)),
            jit.Argument("n", np.dtype(np.int64)))  # fmt: skip
    code = jit.compiled(jit.Unit(source, "fill", args))
    for seed in range(5):
        key, out = rng.key(seed, "test"), np.empty(20_001)
        code.bind(out, np.array([key], np.uint64), len(out))()
        np.testing.assert_array_equal(out, rng.noise(key, len(out)))


def test_noise_is_the_normal_distribution_of_the_same_words() -> None:
    for shape in ((), (3,), (4, 5), (100_001,)):
        ours, exact = (f(rng.key(7, "test"), shape) for f in (rng.noise, rng.normal))
        assert ours.shape == shape
        np.testing.assert_allclose(ours, exact, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("layer", LAYERS, ids=IDS)
def test_they_are_saved_and_nothing_is_drawn_at_rate_0(layer: Any, tmp_path: Path) -> None:
    model = model_of(layer)
    model.fit(X, Y, epochs=1, verbose=0)
    again = pc.load(model.save(tmp_path / "m"))
    assert again.layers == model.layers
    off = type(layer)(0.0)
    plain, quiet = model_of(), model_of(off)
    for m in (plain, quiet):
        m.fit(X, Y, epochs=2, verbose=0, backend="numpy")
    np.testing.assert_array_equal(plain._numbers.params, quiet._numbers.params)
    walk = off.train(pc.value(X), {}, still)  # asks for nothing
    np.testing.assert_array_equal(walk.value, X)


@pytest.mark.parametrize("kind", [type(x) for x in LAYERS], ids=IDS)
@pytest.mark.parametrize("wrong", [-0.1, True, "a lot", None, math.inf])
def test_settings_that_cannot_be_meant(kind: Any, wrong: Any) -> None:
    with pytest.raises(pc.ArgumentError):
        kind(wrong)


@pytest.mark.parametrize("wrong", [1.5, 0, -1, "uniform", True])
def test_a_layer_that_draws_what_there_is_not(wrong: Any) -> None:
    class Odd(pc.Layer):
        def __call__(self, x: Any, p: Any) -> Any:
            return x

        def train(self, x: Any, p: Any, draw: Any) -> Any:
            return x * draw(x.shape, wrong)

    with pytest.raises(pc.ArgumentError, match="a layer draws"):
        model_of(Odd()).fit(X, Y, verbose=0)


# -- label smoothing -------------------------------------------------------------------------------


def smoothed(loss: str = "cce_logits", **more: Any) -> Any:
    last = {"cce_logits": (3, None), "cce": (3, "softmax"), "bce_logits": (1, None),
            "bce": (1, "sigmoid")}[loss]  # fmt: skip
    layers = [pc.Dense(5, "tanh", inputs=4), pc.Dense(*last)]
    return pc.Sequential(layers, loss=pc.LabelSmoothing(0.1, loss), dtype="float64", **more)


ROWS = np.random.default_rng(0).normal(size=(40, 4))
LABELS = {"cce": np.random.default_rng(1).integers(0, 3, 40),
          "bce": np.random.default_rng(1).integers(0, 2, 40)}  # fmt: skip


@pytest.mark.parametrize("loss", ["cce_logits", "cce", "bce_logits", "bce"])
def test_smoothed_labels_are_a_mixture(loss: str) -> None:
    model, y = smoothed(loss), LABELS[loss[:3]]
    p = model.predict(ROWS)
    if loss[:3] == "cce":
        mixed = 0.9 * np.eye(3)[y] + 0.1 / 3
        want = -(mixed * np.log(p)).sum(1).mean()
    else:
        mixed = 0.9 * y + 0.05
        want = -(mixed * np.log(p[:, 0]) + (1 - mixed) * np.log(1 - p[:, 0])).mean()
    assert model.loss(ROWS, y) == pytest.approx(want, rel=1e-12)
    assert pc.check_gradients(model, ROWS, y).ok
    assert "smoothed = 0.9 * Y + " in model.source()
    assert "LabelSmoothing(amount=0.1" in repr(model)


def test_metrics_see_the_labels_as_they_are_and_files_keep_the_smoothing(tmp_path: Path) -> None:
    model, y = smoothed(metrics=["accuracy"]), LABELS["cce"]
    model.fit(ROWS, y, epochs=2, verbose=0)
    assert model.evaluate(ROWS, y)["accuracy"] == (model.predict_classes(ROWS) == y).mean()
    again = pc.load(model.save(tmp_path / "m"))
    assert again.loss_function == model.loss_function
    assert again.evaluate(ROWS, y) == model.evaluate(ROWS, y)
    assert (
        pc.Sequential([pc.Dense(2)], loss=pc.LabelSmoothing(0.0)).loss_function.name == "cce_logits"
    )


@pytest.mark.parametrize(
    "wrong",
    [{"amount": 1.0}, {"amount": -0.1}, {"loss": "mse"}, {"loss": "hinge"}, {"loss": "no"}],
    ids=str,
)  # fmt: skip
def test_smoothing_that_cannot_be_meant(wrong: Any) -> None:
    with pytest.raises(pc.ArgumentError):
        pc.LabelSmoothing(**wrong)


@pytest.mark.conformance
@pytest.mark.parametrize("backend", ["numpy", pytest.param("numba", marks=compiles)])
def test_label_smoothing_is_pytorchs(backend: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is the reference here")
    model, y = smoothed(optimizer=pc.SGD(0.1)), LABELS["cce"]
    p = {k: torch.tensor(np.array(v), requires_grad=True) for k, v in model.params.items()}
    optimizer = torch.optim.SGD(p.values(), 0.1)
    for k in range(100):
        rows = slice(k % 5 * 8, (k % 5 + 1) * 8)
        z = torch.tanh(torch.tensor(ROWS[rows]) @ p["W1"] + p["b1"]) @ p["W2"] + p["b2"]
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(z, torch.tensor(y[rows]), label_smoothing=0.1).backward()
        optimizer.step()
    model.fit(ROWS, y, epochs=20, batch_size=8, shuffle=False, verbose=0, backend=backend)
    for name, theirs in p.items():
        np.testing.assert_allclose(model.params[name], theirs.detach().numpy(), rtol=1e-10)


# -- max-norm --------------------------------------------------------------------------------------


def bounded(**more: Any) -> Any:
    layers = [pc.Dense(5, "tanh", inputs=4, max_norm=0.7), pc.Dense(1, max_norm=0.3)]
    settings = {"optimizer": pc.Adam(0.1)} | more
    return pc.Sequential(layers, loss="mse", dtype="float64", **settings)


@pytest.mark.parametrize("backend", ["step", "numpy", pytest.param("numba", marks=compiles)])
def test_max_norm_is_the_formula_column_by_column(backend: str) -> None:
    """W ← W clip(‖w‖, 0, c) / ‖w‖ after every update, as Keras has it but for its 1e-7."""
    model, free = bounded(), pc.Sequential(
        [pc.Dense(5, "tanh", inputs=4), pc.Dense(1)], loss="mse", dtype="float64",
        optimizer=pc.Adam(0.1),
    )  # fmt: skip
    y, reached = ROWS[:, 0] * ROWS[:, 1], False
    for _ in range(12):
        free.step(ROWS, y)
        for name, most in (("W1", 0.7), ("W2", 0.3)):
            W = free.params[name]
            norms = np.sqrt((W**2).sum(0, keepdims=True))
            reached |= bool((norms > most).any())
            W *= np.clip(norms, 0, most) / norms
    if backend == "step":
        for _ in range(12):
            model.step(ROWS, y)
    else:
        model.fit(ROWS, y, epochs=12, batch_size=None, verbose=0, backend=backend)
    assert reached
    for name in free.params:
        np.testing.assert_allclose(model.params[name], free.params[name], rtol=1e-10, atol=1e-13)
    assert (np.linalg.norm(model.params["W1"], axis=0) <= 0.7 * (1 + 1e-12)).all()


def test_max_norm_is_printed_and_explained() -> None:
    model, y = bounded(optimizer="sgd"), ROWS[:, 0]
    text = model.source()
    assert "# back within their bounds" in text
    assert "W1 * (0.7 / np.maximum(np.sqrt(np.sum(W1 ** 2, axis=0)), 0.7))" in text
    assert text.count("params -= learning_rate * grads") == 1
    scope: dict[str, Any] = {}
    exec(text, scope)
    params = model._numbers.params.copy()
    scope["step"](ROWS, y[:, None], params, 0.01)
    walk = model.explain(ROWS, y)
    model.step(ROWS, y)
    np.testing.assert_allclose(params, model._numbers.params, rtol=1e-14)
    for name in model.params:
        np.testing.assert_allclose(walk[f"{name}_new"].array, model.params[name], rtol=1e-9)
    assert "updated_W1" in str(walk)


@pytest.mark.parametrize("wrong", [0, -1.0, math.inf, True, "3"])
def test_a_max_norm_that_cannot_be_meant(wrong: Any) -> None:
    with pytest.raises(pc.ArgumentError, match="max_norm"):
        pc.Dense(3, max_norm=wrong)


def test_an_optimizer_that_searches_takes_no_bounds() -> None:
    model = bounded(optimizer=pc.LBFGS())
    with pytest.raises(pc.ArgumentError, match="W1 is to be brought back"):
        model.fit(ROWS, ROWS[:, 0], batch_size=None, verbose=0)


def test_constraints_of_ones_own() -> None:
    class Positive(pc.Layer):
        def parameters(self, shape: Any) -> Any:
            return {"s": pc.Parameter(shape, pc.Constant(0.1)), "t": pc.Parameter(())}

        def __call__(self, x: Any, p: Any) -> Any:
            return x * p["s"] + p["t"]

        def constrain(self, key: str, value: Any) -> Any:
            return np.maximum(value, 0)

    model = pc.Sequential([Positive(), pc.Dense(1)], loss="mse", optimizer=pc.SGD(1.0))
    model.fit(ROWS, ROWS[:, 0], epochs=3, verbose=0, backend="numpy")
    assert (model.params["s1"] >= 0).all() and (model.params["t1"] >= 0).all()
    assert "params[4] = " in model.source()

    class Wrong(Positive):
        def constrain(self, key: str, value: Any) -> Any:
            return np.sum(value)

    with pytest.raises(pc.ShapeError, match="constrain makes"):
        pc.Sequential([Wrong(), pc.Dense(1)], loss="mse").fit(ROWS, ROWS[:, 0], verbose=0)
