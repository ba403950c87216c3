"""Contracts of layers, initializers, activations by name, losses, and those of one's own."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import pellucid as pc
from pellucid.losses import LOSSES, NAMES
from pellucid.nn import init, layer

X = np.random.default_rng(0).normal(size=(9, 4))
VOLUME = np.random.default_rng(0).normal(size=(9, 2, 3))

LAYERS: list[tuple[Any, Any, tuple[int, ...]]] = [  # a layer, data, the shape of one output
    (pc.Dense(3), X, (3,)),
    (pc.Dense(3, "relu", bias=False), X, (3,)),
    (pc.Dense(3, "softmax", l1=0.1, l2=0.2), X, (3,)),
    (pc.Dense(3, pc.tanh, init="orthogonal", bias_init=0.5), X, (3,)),
    (pc.Activation("tanh"), X, (4,)),
    (pc.Activation("linear"), X, (4,)),
    (pc.Activation(lambda x: x * pc.sigmoid(x)), X, (4,)),
    (pc.Dropout(0.5), X, (4,)),
    (pc.Dropout(0.0), X, (4,)),
    (pc.Flatten(), VOLUME, (6,)),
    (pc.Flatten(), X, (4,)),
    (pc.Shared(pc.Dense(3, "tanh"), "s"), X, (3,)),
    (pc.Shared(pc.Dropout(0.5), "d"), X, (4,)),
]
IDS = [repr(x[0])[:40] for x in LAYERS]


@pytest.mark.parametrize(("one", "x", "shape"), LAYERS, ids=IDS)
class TestEveryLayer:
    def test_shape_and_rows(self, one: Any, x: Any, shape: tuple[int, ...]) -> None:
        model = pc.Sequential([one], dtype="float64")
        whole = model.predict(x)
        assert whole.shape == (9, *shape)
        for k in range(9):
            np.testing.assert_allclose(model.predict(x[k : k + 1])[0], whole[k], rtol=1e-12)

    def test_it_is_a_frozen_value(self, one: Any, x: Any, shape: Any) -> None:
        assert hash(one) == hash(one) and one == one
        with pytest.raises(AttributeError):
            one.units = 5

    def test_it_trains_below_a_dense_layer(self, one: Any, x: Any, shape: Any) -> None:
        model = pc.Sequential([one, pc.Flatten(), pc.Dense(1)], loss="mse", dtype="float64")
        y = x.reshape(9, -1)[:, 0]
        history = model.fit(x, y, epochs=30, batch_size=4, verbose=0)
        assert np.isfinite(history["loss"]).all()

    def test_the_summary_shows_it(self, one: Any, x: Any, shape: Any) -> None:
        model = pc.Sequential([one])
        model.predict(x)
        assert type(one).__name__ in model.summary()

    def test_parameters_start_alike_for_one_seed(self, one: Any, x: Any, shape: Any) -> None:
        models = [pc.Sequential([one], seed=s, dtype="float64") for s in (1, 1, 2)]
        for m in models:
            m.predict(x)
        for k, v in models[0].params.items():
            assert np.array_equal(v, models[1].params[k])
            assert k[0] == "b" or not np.array_equal(v, models[2].params[k])


def test_dense_is_x_w_plus_b() -> None:
    model = pc.Sequential([pc.Dense(3, "tanh")], dtype="float64")
    model.predict(X)
    W, b = np.arange(12.0).reshape(4, 3) / 10, np.array([1.0, 2, 3])
    model.params = {"W1": W, "b1": b}
    np.testing.assert_allclose(model.predict(X), np.tanh(X @ W + b), rtol=1e-13)
    unbiased = pc.Sequential([pc.Dense(3, bias=False)])
    unbiased.predict(X)
    assert list(unbiased.params) == ["W1"]


@pytest.mark.parametrize("name", layer.activations())
def test_every_activation_by_name(name: str) -> None:
    act = layer.activation(name)
    assert act is None or act is layer.activation(name.upper())
    inside = 0.5 * np.tanh(X)  # within every function's domain, logarithms of negatives aside
    x = np.abs(inside) + 0.1
    model = pc.Sequential([pc.Activation(name)], dtype="float64")
    want = x if act is None else act(x, axis=-1) if "softmax" in name else act(x)
    np.testing.assert_allclose(model.predict(x), want, rtol=1e-14, atol=1e-15)


def test_softmax_in_a_layer_is_along_the_last_axis() -> None:
    for stack in (
        [pc.Dense(3, "softmax")],
        [pc.Dense(3), pc.Activation("softmax")],
        [pc.Dense(3, pc.softmax)],
    ):
        np.testing.assert_allclose(
            pc.Sequential(stack, dtype="float64").predict(X).sum(axis=1), 1, rtol=1e-14
        )


# -- initializers ------------------------------------------------------------------------------

SHAPE = (400, 250)
VARIANCES = {"he": 2 / 400, "glorot": 2 / 650, "xavier": 2 / 650, "lecun": 1 / 400}


@pytest.mark.parametrize("name", VARIANCES)
@pytest.mark.parametrize("distribution", ["normal", "uniform"])
def test_variance_of_initializers(name: str, distribution: str) -> None:
    start = init.initializer(f"{name}_{distribution}")
    assert start is not None
    W = start.array(SHAPE, 12345)
    assert W.var() == pytest.approx(VARIANCES[name], rel=0.02)
    assert abs(W.mean()) < 4 * np.sqrt(VARIANCES[name] / W.size)
    bound = np.sqrt(3 * VARIANCES[name])
    if distribution == "uniform":
        assert 0.999 * bound < np.abs(W).max() <= bound
    else:
        assert np.abs(W).max() > 2 * bound, "a normal has tails"
    assert np.array_equal(W, start.array(SHAPE, 12345))
    assert not np.array_equal(W, start.array(SHAPE, 12346))


def test_names_of_initializers() -> None:
    assert pc.Xavier is pc.Glorot and init.initializer("xavier") == pc.Glorot()
    assert init.initializer("he") == pc.He() == init.initializer("HE_normal") != pc.He("uniform")
    assert init.initializer(0.5) == pc.Constant(0.5) == init.initializer(np.float32(0.5))


@pytest.mark.parametrize("shape", [(30, 30), (40, 20), (20, 40), (1, 5)])
def test_orthogonal(shape: tuple[int, int]) -> None:
    W = pc.Orthogonal(2.0).array(shape, 7)
    small = W.T @ W if shape[0] >= shape[1] else W @ W.T
    np.testing.assert_allclose(small, 4 * np.eye(min(shape)), atol=1e-12)


@pytest.mark.parametrize(
    ("act", "start"),
    [
        ("relu", pc.He()),
        ("gelu", pc.He()),
        ("leaky_relu", pc.He()),
        (pc.relu, pc.He()),
        ("tanh", pc.Glorot()),
        ("sigmoid", pc.Glorot()),
        (None, pc.Glorot()),
        ("selu", pc.LeCun()),
    ],
)
def test_the_start_matches_the_activation(act: Any, start: Any) -> None:
    assert pc.Dense(3, act).parameters((4,))["W"].init == start


def test_biases_start_at_zero_or_as_told() -> None:
    plain, told = (pc.Sequential([pc.Dense(3, **k, inputs=4)]) for k in ({}, {"bias_init": 0.1}))
    assert not plain.params["b1"].any() and (told.params["b1"] == np.float32(0.1)).all()


def test_fans_of_stacked_weights() -> None:
    assert init.fans((3, 3, 8, 16)) == (72, 16) and init.fans((5,)) == (5, 5)


def test_an_initializer_of_the_wrong_shape_is_named_and_the_model_stays() -> None:
    class Wrong(pc.Initializer):
        def array(self, shape: Any, key: int) -> Any:
            return np.zeros(3)

    model = pc.Sequential([pc.Dense(2, init=Wrong())])
    with pytest.raises(pc.ArgumentError, match=r"Wrong gave \(3,\) for W1, not \(4, 2\)"):
        model.predict(X)
    with pytest.raises(pc.NotBuiltError):
        _ = model.params


# -- losses ------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", LOSSES, ids=lambda x: x.name)
def test_every_loss_trains(loss: Any) -> None:
    y = {
        "classes": np.arange(9) % 3,
        "signs": np.where(X[:, :3] > 0, 1, -1),
        "binary": (X[:, :3] > 0),
        "counts": np.floor(np.abs(X[:, :3]) * 3),
    }.get(loss.targets, X[:, :3])
    last = {"cce": "softmax", "bce": "sigmoid", "poisson": "softplus"}.get(loss.name)
    model = pc.Sequential(
        [pc.Dense(16, "tanh"), pc.Dense(3, last)], loss=loss.name, optimizer=pc.Adam(0.02)
    )
    history = model.fit(X, y, epochs=80, verbose=0)
    assert history["loss"][-1] < history["loss"][0]
    for alias in (loss.name, *loss.aliases):
        assert NAMES[alias] is loss


def test_no_two_losses_have_one_name() -> None:
    names = [name for loss in LOSSES for name in (loss.name, *loss.aliases)]
    assert len(names) == len(set(names))


# -- of one's own, in five lines -----------------------------------------------------------------


@dataclass(frozen=True)
class Scale(pc.Layer):
    def parameters(self, shape: Any) -> Any:
        return {"s": pc.Parameter((shape[0],), pc.Constant(1.0))}

    def __call__(self, x: Any, p: Any) -> Any:
        return x * p["s"]


def test_a_layer_of_ones_own() -> None:
    model = pc.Sequential([Scale(), pc.Dense(1)], loss="mse", dtype="float64")
    model.fit(X, X[:, 0], verbose=0)
    assert list(model.params) == ["s1", "W2", "b2"] and "a1 = X * s1" in model.source()
    assert model.params["s1"].shape == (4,)


def test_an_activation_of_ones_own() -> None:
    def mish(x: Any) -> Any:
        return x * np.tanh(np.log(1 + np.exp(x)))

    model = pc.Sequential([pc.Dense(4, mish), pc.Dense(1)], loss="mse", dtype="float64")
    z = model.activations(X)["z1"]
    np.testing.assert_allclose(
        model.activations(X)["a1"], z * np.tanh(np.log1p(np.exp(z))), rtol=1e-12
    )
    assert model.step(X, X[:, 0]) > 0


def test_a_loss_of_ones_own() -> None:
    def cubic(p: Any, y: Any) -> Any:
        return np.mean(np.abs(p - y) ** 3)

    model = pc.Sequential([pc.Dense(1)], loss=cubic, dtype="float64", optimizer=pc.SGD(0.01))
    first = model.loss(X, X[:, 0])
    assert first == pytest.approx((np.abs(model.predict(X)[:, 0] - X[:, 0]) ** 3).mean())
    assert model.fit(X, X[:, 0], epochs=20, verbose=0)["loss"][-1] < first


def test_an_activation_with_its_own_backward() -> None:
    """A straight-through sign: forward the sign, backward as if it were the identity."""

    @pc.custom_gradient(lambda g, y, x: g)
    def through(x: Any) -> Any:
        return pc.sign(x)

    model = pc.Sequential([pc.Dense(4, through), pc.Dense(1)], loss="mse", dtype="float64")
    g = model.gradients(X, X[:, 0])
    assert np.abs(g["W1"]).max() > 0
    assert set(np.unique(model.activations(X)["a1"])) == {-1.0, 1.0}


def test_a_layer_with_two_outputs_deep_formulas_and_a_penalty() -> None:
    class Attention(pc.Layer):
        def parameters(self, shape: Any) -> Any:
            return {k: pc.Parameter((shape[-1], 3), pc.Glorot()) for k in "QKV"}

        def __call__(self, x: Any, p: Any) -> Any:
            q, k, v = (x @ p[name] for name in "QKV")
            return pc.softmax(q @ pc.swapaxes(k, -1, -2), axis=-1) @ v

        def penalty(self, p: Any) -> Any:
            return 0.1 * pc.sum(p["V"] ** 2)

    model = pc.Sequential([Attention(), pc.Flatten(), pc.Dense(1)], loss="mse", dtype="float64")
    y = VOLUME[:, 0, 0]
    g, p, at, e = model.gradients(VOLUME, y)["Q1"], model.params["Q1"], (1, 2), 1e-6
    p[at] += e
    up = model.loss(VOLUME, y)
    p[at] -= 2 * e
    assert g[at] == pytest.approx((up - model.loss(VOLUME, y)) / (2 * e), rel=1e-5)
    assert model.evaluate(VOLUME, y)["loss"] > model.evaluate(VOLUME, y)["data_loss"]


def test_a_penalty_must_be_one_number() -> None:
    class Bad(Scale):
        def penalty(self, p: Any) -> Any:
            return p["s"] ** 2

    with pytest.raises(pc.ShapeError, match=r"penalty of Bad is \(4,\)"):
        pc.Sequential([Bad(), pc.Dense(1)], loss="mse").fit(X, X[:, 0], verbose=0)


def test_a_layer_without_a_formula_says_so() -> None:
    with pytest.raises(NotImplementedError, match="define __call__"):
        pc.Sequential([pc.Layer()]).predict(X)
