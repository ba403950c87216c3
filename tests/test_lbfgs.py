"""L-BFGS: its direction by the dense formula, its line search, PyTorch's numbers, training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pellucid as pc
from pellucid.optim.wolfe import ENOUGH, FLAT, Point, Search, cubic, strong_wolfe

RNG = np.random.default_rng(3)
X = RNG.normal(size=(40, 3))
Y = np.tanh(X @ RNG.normal(size=(3, 2)))
SETTINGS: dict[str, dict[str, Any]] = {
    "usual": {},
    "short history": {"history": 3},
    "few iterations": {"max_iter": 5, "max_eval": 7, "history": 4},
    "long first step": {"learning_rate": 3.0},
    "no line search": {"line_search": False, "learning_rate": 0.02},
}


def net(optimizer: Any = "lbfgs", dtype: str = "float64", **more: Any) -> Any:
    layers = [pc.Dense(4, "tanh", inputs=3), pc.Dense(2)]
    return pc.Sequential(layers, loss="mse", optimizer=optimizer, dtype=dtype, **more)


def minimized(optimizer: Any, function: Any, p: Any, steps: int) -> Any:
    """Minimize a function that gives value and gradient; return where that led, and the state."""
    p = p.copy()
    state = {k: np.zeros(optimizer.size_of(k, p.size)) for k in optimizer.states}
    for _ in range(steps):
        optimizer.minimize(function, p, state, optimizer.learning_rate)
    return p, state


def quadratic(n: int, seed: int) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(seed)
    A = rng.normal(size=(n, n))
    A, b = A @ A.T + 0.1 * np.eye(n), rng.normal(size=n)
    return A, b, lambda p: (float(p @ A @ p / 2 - b @ p), A @ p - b)


def rosenbrock(p: Any) -> tuple[float, Any]:
    a, b = p[:-1], p[1:]
    g = np.zeros_like(p)
    g[:-1] = -400 * a * (b - a**2) - 2 * (1 - a)
    g[1:] += 200 * (b - a**2)
    return float(np.sum(100 * (b - a**2) ** 2 + (1 - a) ** 2)), g


# -- alone -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_it_solves_a_quadratic(seed: int) -> None:
    A, b, function = quadratic(8, seed)
    p, _ = minimized(pc.LBFGS(tolerance_change=1e-12), function, np.zeros(8), 5)
    np.testing.assert_allclose(p, np.linalg.solve(A, b), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("n", [2, 6, 20])
def test_it_finds_the_end_of_rosenbrocks_valley(n: int) -> None:
    optimizer = pc.LBFGS(tolerance_change=0.0, max_iter=400)
    p, _ = minimized(optimizer, rosenbrock, RNG.normal(size=n) / 4, 3)
    np.testing.assert_allclose(p, 1, atol=1e-5)


@pytest.mark.parametrize("history", [1, 3, 5, 100])
def test_its_direction_is_that_of_the_dense_inverse(history: int) -> None:
    """H ← (I - ρ s yᵀ) H (I - ρ y sᵀ) + ρ s sᵀ, over the pairs that are remembered."""
    optimizer, function = pc.LBFGS(history=history, max_iter=1, max_eval=25), rosenbrock
    p, seen = RNG.normal(size=7), []
    state = {k: np.zeros(optimizer.size_of(k, 7)) for k in optimizer.states}
    for _ in range(8):
        before, g = p.copy(), function(p)[1]
        optimizer.minimize(function, p, state, 1.0)
        H, pairs = np.eye(7), [(s, y) for s, y in seen if s @ y > 1e-10][-history:]
        if pairs:
            s, y = pairs[-1]
            H *= (s @ y) / (y @ y)
        for s, y in pairs:
            V = np.eye(7) - np.outer(y, s) / (s @ y)
            H = V.T @ H @ V + np.outer(s, s) / (s @ y)
        d = (p - before) / state["marks"][0]
        np.testing.assert_allclose(d, -H @ g, rtol=1e-7, atol=1e-10)
        seen.append((p - before, function(p)[1] - g))


def line(function: Any, slope: Any) -> Any:
    def at(t: float) -> Point:
        with np.errstate(over="ignore"):
            return Point(t, function(t), np.zeros(1), slope(t))

    return at


LINES = {
    "parabola": (lambda t: (t - 3) ** 2, lambda t: 2 * (t - 3)),
    "near": (lambda t: (t - 0.01) ** 2, lambda t: 2 * (t - 0.01)),
    "quartic": (lambda t: (t - 2) ** 4 - t, lambda t: 4 * (t - 2) ** 3 - 1),
    "valleys": (lambda t: np.cos(3 * t) + 0.1 * (t - 5) ** 2 - t,
                lambda t: -3 * np.sin(3 * t) + 0.2 * (t - 5) - 1),
    "wall": (lambda t: -t + np.exp(8 * (t - 2)), lambda t: -1 + 8 * np.exp(8 * (t - 2))),
    "overflow": (lambda t: -t if t < 5 else np.inf, lambda t: -1.0 if t < 5 else np.nan),
    "hole": (lambda t: (t - 1) ** 2 if t < 4 else np.nan, lambda t: 2 * (t - 1)),
}  # fmt: skip


@pytest.mark.parametrize("first", [1e-3, 0.1, 1.0, 4.0, 100.0])
@pytest.mark.parametrize("name", [n for n in LINES if n != "overflow"])
def test_the_line_search_meets_both_conditions(name: str, first: float) -> None:
    at = line(*LINES[name])
    start = at(0.0)
    found = strong_wolfe(Search(at, start, 60, 1.0, 1e-12), first)
    assert found.loss <= start.loss + ENOUGH * found.t * start.slope
    assert abs(found.slope) <= -FLAT * start.slope


def test_the_line_search_does_not_end_where_the_loss_is_no_number() -> None:
    at = line(*LINES["overflow"])
    for first in (1.0, 10.0, 1e6):
        found = strong_wolfe(Search(at, at(0.0), 25, 1.0, 1e-9), first)
        assert np.isfinite(found.loss) and found.loss < 0


@pytest.mark.parametrize("most", [1, 2, 3, 10])
def test_the_line_search_looks_no_more_often_than_it_may(most: int) -> None:
    looked = []

    def at(t: float) -> Point:
        looked.append(t)
        return Point(t, -t, np.zeros(1), -1.0)  # downhill for ever

    strong_wolfe(Search(at, Point(0.0, 0.0, np.zeros(1), -1.0), most, 1.0, 1e-9), 1.0)
    assert len(looked) <= most + 1


def test_a_cubic_is_lowest_where_its_slope_is_zero() -> None:
    for a, b, c, d in RNG.normal(size=(50, 4)):
        value, slope = np.polynomial.Polynomial([a, b, c, d]), None
        slope = value.deriv()
        ends = [Point(t, value(t), np.zeros(1), slope(t)) for t in (-1.0, 2.0)]
        found = cubic(*ends, -1.0, 2.0)
        assert found == cubic(*ends[::-1], -1.0, 2.0) and -1.0 <= found <= 2.0
        inside = [t.real for t in slope.roots() if not t.imag and slope.deriv()(t.real) > 0]
        if inside and -1 < inside[0] < 2:
            assert found == pytest.approx(inside[0], abs=1e-9)
    flat = Point(0.0, 1.0, np.zeros(1), 0.0)
    assert cubic(flat, flat._replace(t=1.0), 0.0, 1.0) == 0.5


# -- beside PyTorch --------------------------------------------------------------------------------


def torch_run(start: dict[str, Any], settings: dict[str, Any], steps: int) -> Any:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: make conformance")
    o = pc.LBFGS(**settings)
    p = {k: torch.tensor(np.array(v), requires_grad=True) for k, v in start.items()}
    theirs = torch.optim.LBFGS(
        p.values(), lr=o.learning_rate, max_iter=o.max_iter, max_eval=o.max_eval,
        tolerance_grad=o.tolerance_grad, tolerance_change=o.tolerance_change,
        history_size=o.history, line_search_fn="strong_wolfe" if o.line_search else None,
    )  # fmt: skip
    inputs, target = torch.tensor(X), torch.tensor(Y)

    def closure() -> Any:
        theirs.zero_grad()
        z = torch.tanh(inputs @ p["W1"] + p["b1"]) @ p["W2"] + p["b2"]
        loss = torch.nn.functional.mse_loss(z, target)
        loss.backward()
        return loss

    losses = [theirs.step(closure).item() for _ in range(steps)]
    state = theirs.state[p["W1"]]
    return {k: t.detach().numpy().copy() for k, t in p.items()}, losses, state


def apart(one: Any, other: Any) -> float:
    a, b = (np.concatenate([np.ravel(v) for v in d.values()]) for d in (one, other))
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


@pytest.mark.conformance
@pytest.mark.parametrize("name", SETTINGS)
def test_the_first_iterations_are_pytorchs(name: str) -> None:
    """40 iterations and more, to 1e-10, with as many looks at the loss."""
    settings = SETTINGS[name]
    model = net(pc.LBFGS(**settings))
    steps = 40 // model.optimizer.max_iter
    theirs, losses, state = torch_run(model.params, settings, steps)
    for loss in losses:
        assert model.step(X, Y) == pytest.approx(loss, rel=1e-10)
    assert apart(model.params, theirs) <= 1e-10
    assert model._numbers.state["marks"][2] == state["n_iter"] >= 20


@pytest.mark.conformance
@pytest.mark.parametrize("name", SETTINGS)
def test_a_hundred_iterations_are_as_near_to_pytorchs_as_it_is_to_itself(name: str) -> None:
    """Differences grow: no faster than those between two starts of PyTorch, 1e-15 apart."""
    settings = SETTINGS[name]
    model = net(pc.LBFGS(**settings))
    steps = 100 // model.optimizer.max_iter
    start = {k: v.copy() for k, v in model.params.items()}
    theirs, losses, _ = torch_run(start, settings, steps)
    own = []
    for k in range(4):
        rng = np.random.default_rng(k)
        near = {n: v * (1 + 1e-15 * rng.choice([-1, 1], v.shape)) for n, v in start.items()}
        own.append(apart(torch_run(near, settings, steps)[0], theirs))
    for _ in range(steps):
        model.step(X, Y)
    assert apart(model.params, theirs) <= max(1e-10, 10 * max(own))
    assert model.loss(X, Y) <= 1.5 * losses[-1]


# -- in training -----------------------------------------------------------------------------------


def test_it_trains_further_than_adam_in_as_many_looks() -> None:
    model, other = net(), net(pc.Adam(0.01))
    history = model.fit(X, Y, epochs=10, batch_size=None, verbose=0)
    other.fit(X, Y, epochs=250, batch_size=None, verbose=0, backend="numpy")
    assert str(history.backend) == "numpy" and "looks" in history.backend.why
    assert model.loss(X, Y) < 0.5 * other.loss(X, Y)
    assert all(b <= a for a, b in zip(history["loss"], history["loss"][1:], strict=False))


def test_epochs_in_one_go_or_in_two_and_through_a_file(tmp_path: Any) -> None:
    whole, parts = net(), net()
    whole.fit(X, Y, epochs=6, batch_size=None, verbose=0)
    parts.fit(X, Y, epochs=2, batch_size=None, verbose=0)
    parts = pc.load(parts.save(tmp_path / "m.safetensors"))
    assert parts.optimizer == whole.optimizer
    parts.fit(X, Y, epochs=4, batch_size=None, verbose=0)
    assert whole._numbers.equals(parts._numbers) and whole._numbers.state["marks"][2] > 50
    twin = whole.copy()
    whole.step(X, Y)
    twin.step(X, Y)
    assert whole._numbers.equals(twin._numbers)


def test_float32() -> None:
    model = net(dtype="float32")
    model.fit(X, Y, epochs=5, batch_size=None, verbose=0)
    assert {a.dtype.name for a in model._numbers.arrays.values()} == {"float32"}
    assert model.loss(X, Y) < 0.1 * net(dtype="float32").loss(X, Y)


def test_dropout_keeps_its_mask_through_a_step() -> None:
    """Under a mask that changed from look to look, no line could be followed."""
    layers = [pc.Dense(6, "tanh", inputs=3), pc.Dropout(0.4), pc.Dense(2)]
    model = pc.Sequential(layers, loss="mse", optimizer=pc.LBFGS(max_iter=4), dtype="float64")
    steps = model._steps()
    for _ in range(3):
        batch = model._batch(X, Y)
        before = model._numbers.params.copy()
        loss = steps.take(batch)["loss"]
        step, runner = steps.program(False)
        given = steps.inputs(step, batch)
        at = [runner(*({**given, "params": p}[x.name] for x in step.program.inputs), n=len(X))[0]
              for p in (before, model._numbers.params)]  # fmt: skip
        assert float(at[0]) == loss and at[1] < at[0]


def test_it_takes_all_samples_at_once() -> None:
    model = net()
    before = model._numbers.copy()
    for size in (1, 32, 39):
        with pytest.raises(pc.ArgumentError, match="takes all samples at once"):
            model.fit(X, Y, batch_size=size, verbose=0)
    assert model._numbers.equals(before) and not model._numbers.steps
    model.fit(X, Y, batch_size=40, verbose=0)


def test_it_is_not_compiled() -> None:
    with pytest.raises(pc.ArgumentError, match="LBFGS"):
        net().fit(X, Y, batch_size=None, verbose=0, backend="numba")


def test_a_loss_that_is_no_number_is_told() -> None:
    model = pc.Sequential([pc.Dense(1, inputs=1)], loss=lambda p, y: pc.mean(pc.log(p - y)),
                          optimizer="lbfgs", dtype="float64")  # fmt: skip
    before = model._numbers.params.copy()
    with pytest.raises(pc.NonFiniteError):
        model.fit([[1.0], [2.0]], [[1e6], [1e6]], batch_size=None, verbose=0)
    assert np.array_equal(model._numbers.params, before)


def test_freezing_starts_it_anew() -> None:
    model = net()
    model.fit(X, Y, epochs=2, batch_size=None, verbose=0)
    kept = model.params["W1"].copy()
    model.freeze("W1")
    assert not any(a.any() for a in model._numbers.state.values())
    before = model.loss(X, Y)
    model.fit(X, Y, epochs=2, batch_size=None, verbose=0)
    assert np.array_equal(model.params["W1"], kept) and model.loss(X, Y) < before


def test_the_doctor_lets_it_have_all_samples() -> None:
    model = pc.Sequential([pc.Dense(8, "tanh"), pc.Dense(1, "sigmoid")], loss="bce",
                          optimizer=pc.LBFGS(max_iter=5))  # fmt: skip
    found = pc.diagnose(model, *pc.data.moons(120, noise=0.1), epochs=5)
    assert "takes all samples" not in str(found) and not found.findings


def test_the_learning_rate_is_the_length_that_is_tried_first() -> None:
    model, other = net(), net(pc.LBFGS(0.1, max_iter=1, line_search=False))
    model.optimizer = pc.LBFGS(max_iter=1, line_search=False)
    model.learning_rate = 0.1
    for _ in range(3):
        model.step(X, Y)
        other.step(X, Y)
    assert np.array_equal(model._numbers.params, other._numbers.params)


def test_what_is_printed_and_explained() -> None:
    model = net()
    scope: dict[str, Any] = {}
    text = model.source()
    exec(text, scope)
    loss, grads = scope["step"](X, Y, model._numbers.params)
    slopes = np.concatenate([g.ravel() for g in model.gradients(X, Y).values()])
    np.testing.assert_allclose(grads, slopes, rtol=1e-12)
    assert loss == pytest.approx(model.loss(X, Y)) and "LBFGS asks for them" in text
    w = model.explain(X, Y)
    assert any("looks at the loss at several points" in note for note in w.notes)
    assert not [s for s in w.steps if s.phase == "update"] and w["d_W1"].phase == "backward"
    assert "LBFGS's state" in str(model.summary())


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"learning_rate": 0}, "learning_rate is 0"),
        ({"learning_rate": pc.Cosine(1.0, 10)}, "no schedule"),
        ({"max_iter": 0}, "max_iter is 0"),
        ({"max_eval": 0}, "max_eval is 0"),
        ({"history": 1.5}, "history is 1.5"),
        ({"tolerance_grad": -1}, "tolerance_grad is -1"),
        ({"tolerance_change": float("nan")}, "tolerance_change is nan"),
        ({"weight_decay": 0.1}, "takes no weight_decay"),
        ({"clip_norm": 1.0}, "takes no clip_norm"),
        ({"clip_value": 1.0}, "takes no clip_value"),
        ({"clip_global_norm": 1.0}, "takes no clip_global_norm"),
        ({"accumulate": 2}, "takes no accumulate"),
        ({"ema": 0.9}, "takes no ema"),
        ({"groups": [pc.Group("b*", 0.1)]}, "takes no groups"),
    ],
)
def test_settings_that_cannot_be_meant(settings: Any, what: str) -> None:
    with pytest.raises(pc.ArgumentError, match=what):
        pc.LBFGS(**settings)
