"""Layers of one's own: state that follows training, single numbers, and slips that are named."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pellucid as pc
from pellucid.jit import available

compiles = pytest.mark.skipif(bool(available()), reason=available() or "compiled code is here")
BACKENDS = ["numpy", pytest.param("numba", marks=compiles)]
X = np.random.default_rng(0).normal(size=(40, 3))
Y = np.random.default_rng(1).normal(size=40)


@dataclass(frozen=True)
class Peak(pc.Layer):
    """Divide by 1 + the largest size seen so far: state of one axis, alone in its flat array."""

    def state(self, shape: Any) -> Any:
        return {"peak": pc.Parameter((shape[-1],))}

    def __call__(self, x: Any, p: Any) -> Any:
        return x / (1 + p["peak"])

    def train(self, x: Any, p: Any, draw: Any) -> Any:
        return self(x, p), {"peak": np.maximum(p["peak"], np.max(np.abs(x), axis=0))}


@dataclass(frozen=True)
class Count(pc.Layer):
    """Count samples, and learn one number: arrays without an axis."""

    def parameters(self, shape: Any) -> Any:
        return {"s": pc.Parameter((), pc.Constant(1.0))}

    def state(self, shape: Any) -> Any:
        return {"seen": pc.Parameter(())}

    def __call__(self, x: Any, p: Any) -> Any:
        return x * p["s"]

    def train(self, x: Any, p: Any, draw: Any) -> Any:
        return self(x, p), {"seen": p["seen"] + x.shape[0]}


def model_of(*layers: Any, **more: Any) -> Any:
    stack = [*layers, pc.Dense(4, "tanh"), pc.Dense(1)]
    settings = {"loss": "mse", "dtype": "float64", "optimizer": "sgd"} | more
    return pc.Sequential(stack, **settings)


@pytest.mark.parametrize("backend", BACKENDS)
def test_state_follows_training(backend: str) -> None:
    model = model_of(Count(), Peak())
    model.fit(X, Y, epochs=3, batch_size=7, verbose=0, backend=backend)
    assert model.buffers["seen1"] == 120 and model.buffers["seen1"].shape == ()
    a = X * 1.0  # s moves a little: the peaks are those of x s, as it was
    assert np.allclose(model.buffers["peak2"], np.abs(a).max(0), rtol=0.05)
    before = model._numbers.copy()
    model.predict(X)
    model.evaluate(X, Y)
    assert model._numbers.equals(before)


@compiles
def test_both_backends_agree() -> None:
    models = [model_of(Count(), Peak(), Count()) for _ in range(2)]
    for m, backend in zip(models, ("numpy", "numba"), strict=True):
        m.fit(X, Y, epochs=3, batch_size=7, verbose=0, backend=backend, validation_split=0.2)
    for key, array in models[0]._numbers.arrays.items():
        np.testing.assert_allclose(array, models[1]._numbers.arrays[key], rtol=1e-11, atol=1e-13)
    found = [models[0].predict(X, backend=b) for b in ("numpy", "numba")]
    np.testing.assert_allclose(*found, rtol=1e-12, atol=1e-13)


def test_the_printed_step_stores_it(tmp_path: Path) -> None:
    model = model_of(Count(), Peak())
    model.predict(X)
    text = model.source()
    assert "fixed[0] = seen1 + n" in text and "peak2[:] = np.maximum(peak2, " in text
    scope: dict[str, Any] = {}
    exec(text, scope)
    params, fixed = model._numbers.params.copy(), model._numbers.fixed.copy()
    scope["step"](X, Y[:, None], params, fixed, 0.01)
    model.step(X, Y)
    np.testing.assert_allclose(params, model._numbers.params, rtol=1e-13)
    np.testing.assert_allclose(fixed, model._numbers.fixed, rtol=1e-13)
    known = {"Count": Count, "Peak": Peak}
    again = pc.load(model.save(tmp_path / "m"), custom=known)
    assert again._numbers.equals(model._numbers)


def test_it_is_explained() -> None:
    model = model_of(Count(), Peak())
    walk = model.explain(X[:4], Y[:4])
    model.step(X[:4], Y[:4])
    for name in ("seen1", "peak2", "s1", "W3"):
        array = {**model.params, **model.buffers}[name]
        np.testing.assert_allclose(walk[f"{name}_new"].array, array, rtol=1e-10)


class Unlike(Peak):
    def train(self, x: Any, p: Any, draw: Any) -> Any:
        return x, {"peak": np.max(x)}


class Unknown(Peak):
    def train(self, x: Any, p: Any, draw: Any) -> Any:
        return x, {"top": np.max(x, axis=0)}


class NoParameter(Peak):
    def state(self, shape: Any) -> Any:
        return {"peak": 3}


class NoTable(Peak):
    def state(self, shape: Any) -> Any:
        return [("peak", 3)]


class NoState(Peak):
    def train(self, x: Any, p: Any, draw: Any) -> Any:
        return x, np.max(x, axis=0)


class TooMuch(Peak):
    def train(self, x: Any, p: Any, draw: Any) -> Any:
        return x, {"peak": p["peak"]}, 3


class Both(Peak):
    def parameters(self, shape: Any) -> Any:
        return {"peak": pc.Parameter((3,))}


class Misspelled(Peak):
    def __call__(self, x: Any, p: Any) -> Any:
        return x * p["peek"]


class Taken(Peak):
    def state(self, shape: Any) -> Any:
        return {"mask": pc.Parameter((3,)), "peak": pc.Parameter((3,))}


class Idle(pc.Composite):
    def compose(self, x: Any, call: Any) -> Any:
        call(pc.Dense(3), x)
        return call(pc.Activation("tanh"), x)


SLIPS = [
    (Unlike, r"Unlike gives \(\) for 'peak', which is \(3,\)"),
    (Unknown, "'top', which is no state of the layer"),
    (NoParameter, "NoParameter.state gives"),
    (NoTable, "NoTable.state gives"),
    (NoState, "NoState.train returned"),
    (TooMuch, "TooMuch.train returned"),
    (Both, "learns 'peak' and keeps it as state"),
    (Misspelled, "unknown array of Misspelled 'peek'"),
    (Taken, "'mask1' is taken"),
    (Idle, "does not depend on W1, of layer 1, Dense in Idle"),
]


@pytest.mark.parametrize(("kind", "says"), SLIPS, ids=[k.__name__ for k, _ in SLIPS])
def test_slips_are_named_and_nothing_is_trained(kind: Any, says: str) -> None:
    model = model_of(kind())
    with pytest.raises(pc.PellucidError, match=says):
        model.fit(X, Y, verbose=0)
    with pytest.raises(pc.NotBuiltError):
        _ = model.params
