"""Optimizers: their formulas by hand, PyTorch's numbers, and one of one's own."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import pellucid as pc

RNG = np.random.default_rng(4)
X, Y = RNG.normal(size=(16, 3)), RNG.normal(size=(16, 2))
SETTINGS: dict[str, tuple[Any, Callable[..., Any], dict[str, Any]]] = {
    name: (ours, theirs, settings)
    for name, ours, theirs, settings in [
        ("sgd", pc.SGD(0.05), "SGD", {"lr": 0.05}),
        ("momentum", pc.SGD(0.05, 0.9), "SGD", {"lr": 0.05, "momentum": 0.9}),
        (
            "dampening",
            pc.SGD(0.05, 0.9, 0.3),
            "SGD",
            {"lr": 0.05, "momentum": 0.9, "dampening": 0.3},
        ),
        (
            "dampening 1",
            pc.SGD(0.05, 0.9, 0.9),
            "SGD",
            {"lr": 0.05, "momentum": 0.9, "dampening": 0.9},
        ),
        (
            "nesterov",
            pc.SGD(0.05, 0.9, nesterov=True),
            "SGD",
            {"lr": 0.05, "momentum": 0.9, "nesterov": True},
        ),
        ("adam", pc.Adam(0.01), "Adam", {"lr": 0.01}),
        (
            "adam, other betas",
            pc.Adam(0.02, 0.8, 0.95, 1e-6),
            "Adam",
            {"lr": 0.02, "betas": (0.8, 0.95), "eps": 1e-6},
        ),
        ("adam, large eps", pc.Adam(0.1, eps=0.1), "Adam", {"lr": 0.1, "eps": 0.1}),
    ]
}


def net(optimizer: Any, loss: str = "mse", **settings: Any) -> Any:
    layers = [pc.Dense(5, "tanh"), pc.Dense(2)]
    return pc.Sequential(layers, loss=loss, optimizer=optimizer, dtype="float64", **settings)


@pytest.mark.conformance
@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("loss", ["mse", "bce_logits", "cce_logits"])
def test_a_hundred_steps_are_pytorchs(name: str, loss: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: make conformance")
    ours, theirs, settings = SETTINGS[name]
    model = net(ours, loss)
    model.predict(X)
    leaves = {k: torch.tensor(np.array(v), requires_grad=True) for k, v in model.params.items()}
    optimizer = getattr(torch.optim, theirs)(leaves.values(), **settings)
    y = {
        "mse": Y,
        "bce_logits": (Y > 0).astype(float),
        "cce_logits": np.eye(2)[(Y[:, 0] > 0).astype(int)],
    }[loss]
    functional = torch.nn.functional
    loss_of = {
        "mse": functional.mse_loss,
        "bce_logits": functional.binary_cross_entropy_with_logits,
        "cce_logits": functional.cross_entropy,
    }[loss]
    for k in range(100):
        rows = slice(0, 16) if k % 2 else slice(0, 9)
        a = (
            torch.tanh(torch.tensor(X[rows]) @ leaves["W1"] + leaves["b1"]) @ leaves["W2"]
            + leaves["b2"]
        )
        optimizer.zero_grad()
        found = loss_of(a, torch.tensor(y[rows]))
        found.backward()
        optimizer.step()
        assert model.step(X[rows], y[rows]) == pytest.approx(found.item(), rel=1e-11)
    for key, leaf in leaves.items():
        other = leaf.detach().numpy()
        assert np.linalg.norm(model.params[key] - other) <= 1e-12 * np.linalg.norm(other), key


def by_hand(optimizer: Any, p: Any, slopes: list[Any]) -> Any:
    """The formulas of the papers, on plain arrays."""
    m, v = np.zeros_like(p), np.zeros_like(p)
    for t, g in enumerate(slopes, start=1):
        if isinstance(optimizer, pc.Adam):
            m = optimizer.beta1 * m + (1 - optimizer.beta1) * g
            v = optimizer.beta2 * v + (1 - optimizer.beta2) * g**2
            ratio = (m / (1 - optimizer.beta1**t)) / (
                np.sqrt(v / (1 - optimizer.beta2**t)) + optimizer.eps
            )
            p = p - optimizer.learning_rate * ratio
        else:
            kept = 1 if t == 1 else 1 - optimizer.dampening
            m = optimizer.momentum * m + kept * g
            p = p - optimizer.learning_rate * (
                g + optimizer.momentum * m if optimizer.nesterov else m
            )
    return p


@pytest.mark.parametrize("name", SETTINGS)
def test_every_step_is_the_papers(name: str) -> None:
    optimizer = SETTINGS[name][0]
    model = net(optimizer)
    model.predict(X)
    start, slopes = model._numbers.params.copy(), []
    for _ in range(20):
        slopes.append(np.concatenate([g.ravel() for g in model.gradients(X, Y).values()]))
        model.step(X, Y)
    np.testing.assert_allclose(model._numbers.params, by_hand(optimizer, start, slopes), rtol=1e-11)


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_state_has_the_models_precision_and_starts_at_zero(name: str, dtype: str) -> None:
    model = pc.Sequential(
        [pc.Dense(2, inputs=3)], loss="mse", optimizer=SETTINGS[name][0], dtype=dtype
    )
    state = model._numbers.state
    assert set(state) == set(model.optimizer.state)
    for array in state.values():
        assert (
            array.dtype == dtype and array.shape == model._numbers.params.shape and not array.any()
        )
    model.step(X, Y)
    assert all(a.any() for a in state.values())


def test_the_first_step_of_adam_has_the_size_of_the_rate() -> None:
    model = net(pc.Adam(0.01, eps=1e-300))
    model.predict(X)
    before, g = model._numbers.params.copy(), model.gradients(X, Y)
    model.step(X, Y)
    flat = np.concatenate([v.ravel() for v in g.values()])
    np.testing.assert_allclose(model._numbers.params - before, -0.01 * np.sign(flat), rtol=1e-9)


def test_names() -> None:
    for name, kind in (
        ("sgd", pc.SGD),
        ("adam", pc.Adam),
        ("ADAM", pc.Adam),
        ("gradient_descent", pc.SGD),
    ):
        assert type(pc.Sequential(optimizer=name).optimizer) is kind
    assert pc.Sequential().optimizer == pc.Adam()


@pytest.mark.parametrize("name", SETTINGS)
def test_optimizers_are_frozen_values(name: str) -> None:
    optimizer = SETTINGS[name][0]
    with pytest.raises(AttributeError):
        optimizer.learning_rate = 1.0
    assert eval(repr(optimizer), {"SGD": pc.SGD, "Adam": pc.Adam}) == optimizer and hash(optimizer)


@dataclass(frozen=True)
class Lion(pc.Optimizer):
    """Chen et al. 2023, algorithm 2, without weight decay."""

    learning_rate: float = 0.01
    state = ("m",)

    def update(self, p: Any, g: Any, state: Any, t: Any, learning_rate: Any) -> Any:
        step = pc.sign(0.9 * state["m"] + 0.1 * g)
        return p - learning_rate * step, {"m": 0.99 * state["m"] + 0.01 * g}


@dataclass(frozen=True)
class Crossed(pc.Optimizer):
    """Each array's new value reads another's old one: there is no order to overwrite them in."""

    learning_rate: float = 0.1
    state = ("a", "b")

    def update(self, p: Any, g: Any, state: Any, t: Any, learning_rate: Any) -> Any:
        new = {"a": 0.5 * state["b"] + g, "b": 0.5 * state["a"] - g}
        return p - learning_rate * (new["a"] - state["b"]), new


@dataclass(frozen=True)
class Same(pc.Optimizer):
    """Two arrays of one new value."""

    learning_rate: float = 0.1
    state = ("a", "b")

    def update(self, p: Any, g: Any, state: Any, t: Any, learning_rate: Any) -> Any:
        return p - learning_rate * (g + state["a"] + state["b"]), {"a": g, "b": g}


def test_an_optimizer_of_ones_own() -> None:
    model = net(Lion(0.005))
    history = model.fit(X, Y, epochs=100, verbose=0)
    assert history["loss"][-1] < 0.7 * history["loss"][0]
    text = model.source()
    assert "np.sign(0.9 * m + 0.1 * grads)" in text and "m[:] = 0.99 * m + 0.01 * grads" in text


def test_an_optimizer_without_a_formula_says_so() -> None:
    @dataclass(frozen=True)
    class Empty(pc.Optimizer):
        learning_rate: float = 0.1

    model = net(Empty())
    with pytest.raises(NotImplementedError, match="define update"):
        model.step(X, Y)
    with pytest.raises(pc.NotBuiltError):
        _ = model.params


def test_the_new_state_is_written_after_the_old_was_read() -> None:
    """A step that uses the old velocity after the new one is known must not read its own store."""

    @dataclass(frozen=True)
    class Lagged(pc.Optimizer):
        learning_rate: float = 0.1
        state = ("old", "older")

        def update(self, p: Any, g: Any, state: Any, t: Any, learning_rate: Any) -> Any:
            return p - learning_rate * state["older"], {"old": g, "older": state["old"]}

    model, slopes = net(Lagged()), []
    model.predict(X)
    p = model._numbers.params.copy()
    for k in range(5):
        slopes.append(np.concatenate([g.ravel() for g in model.gradients(X, Y).values()]))
        model.step(X, Y)
        p = p - 0.1 * (slopes[k - 2] if k >= 2 else 0)
        np.testing.assert_allclose(model._numbers.params, p, rtol=1e-13)


@pytest.mark.parametrize(
    "optimizer", [Lion(0.01), Crossed(), Same(), *(s[0] for s in SETTINGS.values())]
)
def test_the_printed_update_is_the_one_that_runs(optimizer: Any) -> None:
    model = net(optimizer)
    model.predict(X)
    numbers = model._numbers.copy()
    scope: dict[str, Any] = {}
    exec(model.source(), scope)
    step, runner = model._steps().program(False)[0].program, model._steps()
    for t in range(1, 5):
        batch = model._batch(X, Y)
        rate = model.learning_rate
        runner.take(batch)
        given = {"X": batch.X, "Y": batch.Y, "params": numbers.params, "t": t, "learning_rate": rate}
        scope["step"](*((given | numbers.state)[leaf.name] for leaf in step.inputs))
        assert np.array_equal(numbers.params, model._numbers.params)
        for name, array in numbers.state.items():
            assert np.array_equal(array, model._numbers.state[name]), name


def test_two_arrays_of_one_value_are_both_kept() -> None:
    model = net(Same())
    model.step(X, Y)
    state = model._numbers.state
    assert state["a"].any() and np.array_equal(state["a"], state["b"])
