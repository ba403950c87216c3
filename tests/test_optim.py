"""Optimizers: their formulas by hand, PyTorch's numbers, and one of one's own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch_peer
from test_explain import unit

import pellucid as pc
from pellucid import optim
from pellucid.explaining.numbers import evaluate
from pellucid.jit import available

RNG = np.random.default_rng(4)
X, Y = RNG.normal(size=(16, 3)), RNG.normal(size=(16, 2))

# ours, and what PyTorch calls it: its name and settings
CASES: dict[str, tuple[Any, str, dict[str, Any]]] = {
    "sgd": (pc.SGD(0.05), "SGD", {}),
    "momentum": (pc.SGD(0.05, 0.9), "SGD", {"momentum": 0.9}),
    "dampening": (pc.SGD(0.05, 0.9, 0.3), "SGD", {"momentum": 0.9, "dampening": 0.3}),
    "dampening 1": (pc.SGD(0.05, 0.9, 0.9), "SGD", {"momentum": 0.9, "dampening": 0.9}),
    "nesterov": (pc.SGD(0.05, 0.9, nesterov=True), "SGD", {"momentum": 0.9, "nesterov": True}),
    "adam": (pc.Adam(0.01), "Adam", {}),
    "adam, other betas": (
        pc.Adam(0.02, 0.8, 0.95, 1e-6), "Adam", {"betas": (0.8, 0.95), "eps": 1e-6},
    ),
    "adam, large eps": (pc.Adam(0.1, eps=0.1), "Adam", {"eps": 0.1}),
    "adamw": (pc.AdamW(0.01, weight_decay=0.0), "AdamW", {"weight_decay": 0.0}),
    "nadam": (pc.NAdam(0.01), "NAdam", {}),
    "nadam, other settings": (
        pc.NAdam(0.01, 0.8, 0.95, 1e-6, 0.1), "NAdam",
        {"betas": (0.8, 0.95), "eps": 1e-6, "momentum_decay": 0.1},
    ),
    "amsgrad": (pc.AMSGrad(0.01), "Adam", {"amsgrad": True}),
    "amsgrad, short memory": (
        pc.AMSGrad(0.01, beta2=0.5), "Adam", {"amsgrad": True, "betas": (0.9, 0.5)},
    ),
    "rmsprop": (pc.RMSprop(0.005), "RMSprop", {}),
    "rmsprop, centered": (pc.RMSprop(0.005, 0.9, centered=True), "RMSprop",
                          {"alpha": 0.9, "centered": True}),
    "rmsprop, momentum": (pc.RMSprop(0.002, momentum=0.5, eps=1e-6), "RMSprop",
                          {"momentum": 0.5, "eps": 1e-6}),
    "rmsprop, both": (pc.RMSprop(0.002, centered=True, momentum=0.5), "RMSprop",
                      {"centered": True, "momentum": 0.5}),
    "adagrad": (pc.Adagrad(0.05), "Adagrad", {}),
    "adagrad, other settings": (pc.Adagrad(0.05, 0.1, 0.2, 1e-6), "Adagrad",
                                {"lr_decay": 0.1, "initial_accumulator_value": 0.2, "eps": 1e-6}),
    "adadelta": (pc.Adadelta(1.0), "Adadelta", {}),
    "adadelta, other settings": (pc.Adadelta(0.5, 0.8, 1e-4), "Adadelta",
                                 {"rho": 0.8, "eps": 1e-4}),
}  # fmt: skip
MORE = {  # PyTorch has none of these
    "lion": pc.Lion(0.003),
    "lion, other betas": pc.Lion(0.003, 0.5, 0.8),
}
OURS = {name: case[0] for name, case in CASES.items()} | MORE
ONE_EACH = ["momentum", "adam", "adamw", "nadam", "amsgrad", "rmsprop, both",
            "adagrad, other settings", "adadelta"]  # fmt: skip


def net(optimizer: Any, loss: str = "mse", dtype: str = "float64", **settings: Any) -> Any:
    layers = [pc.Dense(5, "tanh"), pc.Dense(2)]
    return pc.Sequential(layers, loss=loss, optimizer=optimizer, dtype=dtype, **settings)


# -- the formulas, written out ---------------------------------------------------------------------


def sgd(o: Any, p: Any, slopes: list[Any]) -> Any:
    b = np.zeros_like(p)
    for t, g in enumerate(slopes, start=1):
        b = o.momentum * b + (1 if t == 1 else 1 - o.dampening) * g
        p = p - o.learning_rate * (g + o.momentum * b if o.nesterov else b)
    return p


def adam(o: Any, p: Any, slopes: list[Any]) -> Any:
    m, v, most = np.zeros_like(p), np.zeros_like(p), np.zeros_like(p)
    for t, g in enumerate(slopes, start=1):
        m = o.beta1 * m + (1 - o.beta1) * g
        v = o.beta2 * v + (1 - o.beta2) * g**2
        most = np.maximum(most, v)
        size = most if isinstance(o, pc.AMSGrad) else v
        corrected = (m / (1 - o.beta1**t)) / (np.sqrt(size / (1 - o.beta2**t)) + o.eps)
        p = p - o.learning_rate * corrected
    return p


def nadam(o: Any, p: Any, slopes: list[Any]) -> Any:
    m, v, product = np.zeros_like(p), np.zeros_like(p), 1.0
    for t, g in enumerate(slopes, start=1):
        mu = o.beta1 * (1 - 0.5 * 0.96 ** (t * o.momentum_decay))
        after = o.beta1 * (1 - 0.5 * 0.96 ** ((t + 1) * o.momentum_decay))
        product *= mu
        m = o.beta1 * m + (1 - o.beta1) * g
        v = o.beta2 * v + (1 - o.beta2) * g**2
        m_hat = after * m / (1 - product * after) + (1 - mu) * g / (1 - product)
        p = p - o.learning_rate * m_hat / (np.sqrt(v / (1 - o.beta2**t)) + o.eps)
    return p


def rmsprop(o: Any, p: Any, slopes: list[Any]) -> Any:
    v, mean, b = np.zeros_like(p), np.zeros_like(p), np.zeros_like(p)
    for g in slopes:
        v = o.alpha * v + (1 - o.alpha) * g**2
        mean = o.alpha * mean + (1 - o.alpha) * g
        step = g / (np.sqrt(v - mean**2 if o.centered else v) + o.eps)
        b = o.momentum * b + step
        p = p - o.learning_rate * b
    return p


def adagrad(o: Any, p: Any, slopes: list[Any]) -> Any:
    total = np.full_like(p, o.initial)
    for t, g in enumerate(slopes):
        total = total + g**2
        p = p - o.learning_rate / (1 + t * o.rate_decay) * g / (np.sqrt(total) + o.eps)
    return p


def adadelta(o: Any, p: Any, slopes: list[Any]) -> Any:
    v, moved = np.zeros_like(p), np.zeros_like(p)
    for g in slopes:
        v = o.rho * v + (1 - o.rho) * g**2
        step = np.sqrt(moved + o.eps) / np.sqrt(v + o.eps) * g
        moved = o.rho * moved + (1 - o.rho) * step**2
        p = p - o.learning_rate * step
    return p


def lion(o: Any, p: Any, slopes: list[Any]) -> Any:
    m = np.zeros_like(p)
    for g in slopes:
        p = p - o.learning_rate * np.sign(o.beta1 * m + (1 - o.beta1) * g)
        m = o.beta2 * m + (1 - o.beta2) * g
    return p


PAPERS: dict[type, Callable[..., Any]] = {
    pc.SGD: sgd, pc.Adam: adam, pc.AdamW: adam, pc.AMSGrad: adam, pc.NAdam: nadam,
    pc.RMSprop: rmsprop, pc.Adagrad: adagrad, pc.Adadelta: adadelta, pc.Lion: lion,
}  # fmt: skip


def flat(arrays: Any) -> Any:
    return np.concatenate([g.ravel() for g in arrays.values()])


@pytest.mark.parametrize("name", OURS)
def test_every_step_is_the_papers(name: str) -> None:
    optimizer = OURS[name]
    model = net(optimizer)
    model.predict(X)
    start, slopes = model._numbers.params.copy(), []
    for _ in range(20):
        slopes.append(flat(model.gradients(X, Y)))
        model.step(X, Y)
    found = PAPERS[type(optimizer)](optimizer, start, slopes)
    np.testing.assert_allclose(model._numbers.params, found, rtol=1e-11)


def test_there_is_a_formula_for_every_optimizer() -> None:
    assert {*PAPERS, pc.LBFGS} == set(optim.OPTIMIZERS)


# -- what is done around the formula ---------------------------------------------------------------

GROUPS = [pc.Group("b*", learning_rate=0.02, weight_decay=0.0), pc.Group("W2", weight_decay=0.3)]


def shortened(g: Any, most: float) -> Any:
    return g * min(1.0, most / (np.linalg.norm(g) + 1e-6))


def clipped(o: Any, g: dict[str, Any]) -> dict[str, Any]:
    if o.clip_value:
        g = {k: np.clip(x, -o.clip_value, o.clip_value) for k, x in g.items()}
    if o.clip_norm:
        g = {k: shortened(x, o.clip_norm) for k, x in g.items()}
    if o.clip_global_norm:
        whole = np.sqrt(sum(np.sum(x**2) for x in g.values()))
        g = {k: x * min(1.0, o.clip_global_norm / (whole + 1e-6)) for k, x in g.items()}
    return g


def grouped(o: Any, name: str, ndim: int) -> tuple[float, float]:
    """Return the share of the rate, and the decay."""
    base, rate = o.learning_rate, None
    base = base.learning_rate if isinstance(base, pc.Schedule) else base
    decay = o.weight_decay if ndim > 1 else 0.0
    for group in o.groups:
        if group.matches(name):
            rate = group.learning_rate or rate
            decay = decay if group.weight_decay is None else group.weight_decay
    return (rate or base) / base, decay


def by_hand(o: Any, p: dict[str, Any], slopes: list[dict[str, Any]], rates: Any) -> Any:
    """Gradient descent on parameters by name, with everything that may be around it."""
    p, average = dict(p), {}
    for done in range(len(slopes) // o.accumulate):
        waiting = slopes[done * o.accumulate : (done + 1) * o.accumulate]
        g = clipped(o, {k: np.mean([w[k] for w in waiting], axis=0) for k in p})
        for k, x in p.items():
            share, decay = grouped(o, k, x.ndim)
            p[k] = x - share * rates(done) * (g[k] + decay * x)
        if o.ema:
            average = {k: o.ema * average.get(k, x) + (1 - o.ema) * x for k, x in p.items()}
    return p, average


AROUND: dict[str, Any] = {
    "nothing": pc.SGD(0.1),
    "decay": pc.SGD(0.1, weight_decay=0.2),
    "groups": pc.SGD(0.1, weight_decay=0.2, groups=GROUPS),
    "value": pc.SGD(0.1, clip_value=0.05),
    "norm": pc.SGD(0.1, clip_norm=0.1),
    "global norm": pc.SGD(0.1, clip_global_norm=0.1),
    "accumulate": pc.SGD(0.1, accumulate=3),
    "ema": pc.SGD(0.1, ema=0.9),
    "schedule": pc.SGD(pc.Exponential(0.1, 0.8)),
    "all": pc.SGD(pc.Exponential(0.1, 0.9), weight_decay=0.2, groups=GROUPS, clip_value=0.2,
                  clip_norm=0.2, clip_global_norm=0.3, accumulate=2, ema=0.8),
}  # fmt: skip


@pytest.mark.parametrize("name", AROUND)
def test_what_is_around_a_step_by_hand(name: str) -> None:
    optimizer = AROUND[name]
    model = net(optimizer)
    model.predict(X)
    p, slopes = {k: v.copy() for k, v in model.params.items()}, []
    for k in range(12):
        rows = slice(0, 16) if k % 2 else slice(0, 9)
        slopes.append({k: v.copy() for k, v in model.gradients(X[rows], Y[rows]).items()})
        model.step(X[rows], Y[rows])
    rate = optimizer.learning_rate
    rates = rate.at if isinstance(rate, pc.Schedule) else lambda t: rate
    found, average = by_hand(optimizer, p, slopes, rates)
    for key, array in model.params.items():
        np.testing.assert_allclose(array, found[key], rtol=1e-11)
    if optimizer.ema:
        for key, array in model.averaged().params.items():
            np.testing.assert_allclose(array, average[key], rtol=1e-11)
    if name != "nothing":  # and it makes a difference
        plain, _ = by_hand(pc.SGD(0.1), p, slopes, lambda t: 0.1)
        assert optimizer.ema or any(not np.allclose(plain[k], found[k], rtol=1e-4) for k in p)


def test_weight_decay_is_for_weights_unless_a_group_says_so() -> None:
    decayed = pc.SGD(0.1, weight_decay=0.5)
    assert [decayed.decay_of("W1", 2), decayed.decay_of("b1", 1)] == [0.5, 0.0]
    every = replace(decayed, groups=[pc.Group("*", weight_decay=0.1)])
    assert [every.decay_of("W1", 2), every.decay_of("b1", 1)] == [0.1, 0.1]
    last = replace(decayed, groups=[pc.Group("*", weight_decay=0.1), pc.Group("W1", 1.0, 0.7)])
    assert [last.decay_of("W1", 2), last.share_of("W1"), last.share_of("b1")] == [0.7, 10.0, 1.0]
    assert pc.AdamW().decay_of("W1", 2) == 0.01 and pc.AdamW().decay_of("b1", 1) == 0.0


def test_decoupled_decay_shrinks_the_weights_whatever_the_gradient() -> None:
    """Of AdamW and Lion: next to nothing but the decay moves where all gradients are 0."""
    for optimizer in (pc.AdamW(0.1, weight_decay=0.5), pc.Lion(0.1, weight_decay=0.5)):
        model = net(optimizer)
        model.predict(X)
        before = {k: v.copy() for k, v in model.params.items()}
        model.step(X, model.predict(X))
        for key, array in model.params.items():
            np.testing.assert_allclose(array, before[key] * (0.95 if key[0] == "W" else 1.0))


# -- beside PyTorch --------------------------------------------------------------------------------


def torch_is_there() -> Any:
    return pytest.importorskip("torch", reason="PyTorch is not installed: make conformance")


VARIATIONS = ["decay", "groups", "value", "norm", "global norm", "accumulate", "schedule"]


@dataclass
class Pair:
    """Our optimizer, and what PyTorch's run needs to be the same."""

    ours: Any
    rate: float
    settings: dict[str, dict[str, Any]]  # of PyTorch's groups, by parameter
    clips: list[Callable[[list[Any]], Any]]
    extra: dict[str, Any]

    def decay(self) -> None:
        self._groups(pc.Group("*", weight_decay=0.03))
        for given in self.settings.values():
            given["weight_decay"] = 0.03

    def groups(self) -> None:
        self._groups(pc.Group("b*", 0.3 * self.rate, 0.0), pc.Group("W2", 2 * self.rate, 0.1))
        for name in ("b1", "b2"):
            self.settings[name] |= {"lr": 0.3 * self.rate, "weight_decay": 0.0}
        self.settings["W2"] |= {"lr": 2 * self.rate, "weight_decay": 0.1}

    def _groups(self, *groups: pc.Group) -> None:
        self.ours = replace(self.ours, groups=[*self.ours.groups, *groups])

    def value(self) -> None:
        self.ours = replace(self.ours, clip_value=0.05)
        self.clips.append(lambda ps: tools().clip_grad_value_(ps, 0.05))

    def norm(self) -> None:
        self.ours = replace(self.ours, clip_norm=0.1)
        self.clips.append(lambda ps: [tools().clip_grad_norm_(p, 0.1) for p in ps])

    def global_norm(self) -> None:
        self.ours = replace(self.ours, clip_global_norm=0.15)
        self.clips.append(lambda ps: tools().clip_grad_norm_(ps, 0.15))

    def accumulate(self) -> None:
        self.ours, self.extra["accumulate"] = replace(self.ours, accumulate=4), 4

    def schedule(self) -> None:
        self.ours = replace(self.ours, learning_rate=pc.Cosine(self.rate, 100))
        kind = torch_is_there().optim.lr_scheduler.CosineAnnealingLR
        self.extra["scheduler"] = lambda optimizer: kind(optimizer, 100)


def tools() -> Any:
    return torch_is_there().nn.utils


def pair(name: str, *variations: str) -> tuple[Any, Any, dict[str, Any]]:
    """Return our optimizer, what makes PyTorch's, and what its run needs beside that."""
    ours, kind, settings = CASES[name]
    made = Pair(ours, ours.learning_rate, {k: {} for k in ("W1", "b1", "W2", "b2")}, [], {})
    for variation in variations:
        getattr(made, variation.replace(" ", "_"))()

    def make(p: dict[str, Any]) -> Any:
        groups = [{"params": [t], **made.settings[k]} for k, t in p.items()]
        return getattr(torch_is_there().optim, kind)(groups, lr=made.rate, **settings)

    if made.clips:
        made.extra["clip"] = lambda ps: [clip(ps) for clip in made.clips]
    return made.ours, make, made.extra


@cache
def plain_run(name: str) -> Any:
    _, make, _ = pair(name)
    return torch_peer.their_run(torch_peer.our_model("sgd").params, make, "mse")


@pytest.mark.conformance
@pytest.mark.parametrize("name", CASES)
def test_a_hundred_steps_are_pytorchs(name: str) -> None:
    model = torch_peer.our_model(CASES[name][0])
    torch_peer.our_run(model, "mse", "numpy", torch_peer.STEPS)
    assert torch_peer.gap(model.params, plain_run(name)) <= torch_peer.LIMIT


@pytest.mark.conformance
@pytest.mark.parametrize("variation", VARIATIONS)
@pytest.mark.parametrize("name", CASES)
def test_what_is_around_a_step_is_pytorchs(name: str, variation: str) -> None:
    ours, make, extra = pair(name, variation)
    start = torch_peer.our_model("sgd").params
    theirs = torch_peer.their_run(start, make, "mse", **extra)
    model = torch_peer.our_model(ours)
    torch_peer.our_run(model, "mse", "numpy", torch_peer.STEPS)
    assert torch_peer.gap(model.params, theirs) <= torch_peer.LIMIT
    apart = {k: v.detach().numpy() for k, v in plain_run(name).items()}
    assert torch_peer.gap(apart, theirs) > 1e-6  # it makes a difference


@pytest.mark.conformance
@pytest.mark.parametrize(
    "variations", [("decay", "groups", "schedule"), ("value", "norm", "global norm", "accumulate")]
)
@pytest.mark.parametrize("name", ONE_EACH)
def test_a_hundred_compiled_steps_are_pytorchs(name: str, variations: tuple[str, ...]) -> None:
    ours, make, extra = pair(name, *variations)
    found = torch_peer.worst_gap(ours, make, backend="numba", **extra)
    assert found <= torch_peer.LIMIT


@pytest.mark.conformance
@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_the_running_average_is_pytorchs(backend: str) -> None:
    torch = torch_is_there()
    tools = torch.optim.swa_utils
    held: dict[str, Any] = {}

    def after(p: dict[str, Any], k: int) -> None:
        if not held:
            held["all"] = torch.nn.ParameterDict({n: torch.nn.Parameter(t) for n, t in p.items()})
            rule = tools.get_ema_multi_avg_fn(0.9)
            held["average"] = tools.AveragedModel(held["all"], multi_avg_fn=rule)
        with torch.no_grad():
            for name, t in p.items():
                held["all"][name].copy_(t)
        held["average"].update_parameters(held["all"])

    model = torch_peer.our_model(pc.Adam(0.01, ema=0.9))
    start = {k: v.copy() for k, v in model.params.items()}
    p = torch_peer.their_run(start, lambda p: torch.optim.Adam(p.values(), 0.01), "mse",
                             after=after)  # fmt: skip
    torch_peer.our_run(model, "mse", backend, torch_peer.STEPS)
    theirs = dict(held["average"].module.items())
    assert torch_peer.gap(model.averaged().params, theirs) <= torch_peer.LIMIT
    assert torch_peer.gap(model.params, theirs) > 1e-4 and torch_peer.gap(model.params, p) <= 1e-10


@pytest.mark.conformance
@pytest.mark.parametrize("loss", ["mse", "cce_logits"])
def test_single_steps_are_pytorchs(loss: str) -> None:
    ours, make, _ = pair("nadam")
    assert torch_peer.worst_gap(ours, make, loss=loss, backend="step") <= torch_peer.LIMIT


@pytest.mark.conformance
def test_another_rate_is_seen() -> None:
    torch = torch_is_there()
    found = torch_peer.worst_gap(pc.Adam(0.01), lambda p: torch.optim.Adam(p.values(), 0.0101))
    assert found > 1e4 * torch_peer.LIMIT


# -- both backends ---------------------------------------------------------------------------------

compiles = pytest.mark.skipif(bool(available()), reason=available() or "compiled code is here")
FULL = {"weight_decay": 0.1, "groups": GROUPS, "clip_value": 0.3, "clip_norm": 0.4,
        "clip_global_norm": 0.5, "accumulate": 2, "ema": 0.9}  # fmt: skip


@compiles
@pytest.mark.parametrize("name", [*ONE_EACH, "lion"])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_both_backends_go_the_same_way(name: str, dtype: str) -> None:
    """In float64 with nothing around a step, in float32 with everything."""
    optimizer, limit = OURS[name], 1e-12
    if dtype == "float32":
        schedule = pc.WarmUp(pc.Cosine(optimizer.learning_rate, 60), 10)
        optimizer, limit = replace(optimizer, **FULL, learning_rate=schedule), 1e-5
    numbers = []
    for backend in ("numpy", "numba"):
        model = net(optimizer, dtype=dtype)
        model.fit(X, Y, epochs=25, batch_size=4, verbose=0, backend=backend)
        numbers.append(model._numbers.copy())
    one, other = (n.arrays for n in numbers)
    assert one.keys() == other.keys()
    assert {a.dtype.name for a in [*one.values(), *other.values()]} == {dtype}
    apart = np.linalg.norm(one["params"] - other["params"])
    if name != "lion":  # the sign of what is nearly 0 is chance
        assert apart <= limit * np.linalg.norm(one["params"])


@compiles
def test_updates_are_counted_alike_where_a_division_is_inexact() -> None:
    """49 · (1/49) is less than 1, and compiled loops divide that way."""
    optimizer = pc.SGD(pc.Exponential(0.1, 0.5), 0.9, 0.5, accumulate=49, ema=0.9)
    numbers = []
    for backend in ("numpy", "numba"):
        model = net(optimizer)
        model.fit(X, Y, epochs=40, batch_size=4, verbose=0, backend=backend)
        numbers.append(model._numbers.arrays)
    for key in ("params", "average", "velocity"):
        np.testing.assert_allclose(numbers[0][key], numbers[1][key], rtol=1e-11)


@pytest.mark.parametrize("name", OURS)
def test_state_has_the_models_precision_and_starts_at_zero(name: str) -> None:
    for dtype in ("float32", "float64"):
        model = pc.Sequential(
            [pc.Dense(2, inputs=3)], loss="mse", optimizer=OURS[name], dtype=dtype
        )
        state, size = model._numbers.state, model._numbers.params.size
        assert tuple(state) == model.optimizer.states
        for key, array in state.items():
            assert array.dtype == dtype and not array.any()
            assert array.shape == (model.optimizer.size_of(key, size),)
        model.step(X, Y)
        assert all(a.any() for a in state.values()) and model._numbers.params.dtype == dtype


def test_the_first_step_of_adam_has_the_size_of_the_rate() -> None:
    model = net(pc.Adam(0.01, eps=1e-300))
    model.predict(X)
    before, g = model._numbers.params.copy(), model.gradients(X, Y)
    model.step(X, Y)
    np.testing.assert_allclose(model._numbers.params - before, -0.01 * np.sign(flat(g)), rtol=1e-9)


def test_a_centered_rmsprop_stays_finite_where_the_gradient_does_not_change() -> None:
    """Rounding may bring the mean square below the square of the mean."""
    model = pc.Sequential([pc.Dense(1, bias=False, inputs=1)], loss=lambda p, y: (p - y).mean(),
                          optimizer=pc.RMSprop(1e-9, centered=True))  # fmt: skip
    for _ in range(400):
        assert np.isfinite(model.step([[0.1]], [[0.0]]))
    assert np.isfinite(model._numbers.params).all()


# -- as values -------------------------------------------------------------------------------------


def test_names() -> None:
    for kind in optim.OPTIMIZERS:
        assert kind.__name__.lower() in kind.aliases and kind.__name__ in pc.__all__
    for name, kind in optim.NAMES.items():
        assert type(pc.Sequential(optimizer=name.upper()).optimizer) is kind
    assert len(optim.NAMES) == sum(len(kind.aliases) for kind in optim.OPTIMIZERS)
    assert pc.Sequential().optimizer == pc.Adam()
    with pytest.raises(pc.ArgumentError, match="adagrad"):
        pc.Sequential(optimizer="adagard")


@pytest.mark.parametrize("optimizer", [*OURS.values(), *AROUND.values(), pc.LBFGS(), pc.AdamW()])
def test_optimizers_are_frozen_values(optimizer: Any) -> None:
    with pytest.raises(AttributeError):
        optimizer.learning_rate = 1.0
    again = eval(repr(optimizer), vars(pc))
    assert again == optimizer and hash(again) == hash(optimizer)
    given = {f.name: getattr(optimizer, f.name) for f in fields(optimizer)}
    assert type(optimizer)(**given) == optimizer


def test_what_is_printed_of_an_optimizer() -> None:
    assert repr(pc.AdamW()).endswith("eps=1e-08, weight_decay=0.01)")
    assert repr(pc.AdamW(weight_decay=0.0)).endswith("weight_decay=0.0)")
    assert repr(pc.SGD(0.1, clip_norm=1, groups=pc.Group("b*", 0.5))) == (
        "SGD(learning_rate=0.1, momentum=0.0, dampening=0.0, nesterov=False, clip_norm=1.0, "
        "groups=(Group(pattern='b*', learning_rate=0.5, weight_decay=None),))"
    )


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: pc.SGD(0.0), "learning_rate is 0.0"),
        (lambda: pc.SGD("fast"), "learning_rate is 'fast'"),
        (lambda: pc.SGD(True), "learning_rate is True"),
        (lambda: pc.SGD(float("nan")), "learning_rate is nan"),
        (lambda: pc.SGD(0.1, nesterov=True), "nesterov"),
        (lambda: pc.Adam(beta2=1.0), "beta2 is 1.0"),
        (lambda: pc.AdamW(weight_decay=-0.1), "weight_decay is -0.1"),
        (lambda: pc.NAdam(momentum_decay=-1), "momentum_decay is -1"),
        (lambda: pc.AMSGrad(eps=0), "eps is 0"),
        (lambda: pc.RMSprop(alpha=1.5), "alpha is 1.5"),
        (lambda: pc.Adagrad(initial=-1.0), "initial is -1.0"),
        (lambda: pc.Adadelta(rho=-0.1), "rho is -0.1"),
        (lambda: pc.Lion(beta1=2), "beta1 is 2"),
        (lambda: pc.Adam(clip_value=0), "clip_value is 0"),
        (lambda: pc.Adam(clip_norm=-1), "clip_norm is -1"),
        (lambda: pc.Adam(clip_global_norm="1"), "clip_global_norm is '1'"),
        (lambda: pc.Adam(accumulate=0), "accumulate is 0"),
        (lambda: pc.Adam(accumulate=1.5), "accumulate is 1.5"),
        (lambda: pc.Adam(ema=1.0), "ema is 1.0"),
        (lambda: pc.Group("b*", learning_rate=0), "learning_rate is 0"),
        (lambda: pc.Group("b*", weight_decay=-1), "weight_decay is -1"),
    ],
)
def test_settings_that_cannot_be_meant(make: Any, what: str) -> None:
    with pytest.raises(pc.ArgumentError, match=what):
        make()


def test_groups_are_groups() -> None:
    for wrong in ({"b*": 0.1}, ["b*"], "b*", [pc.Group]):
        with pytest.raises(pc.DtypeError, match="groups is"):
            pc.SGD(groups=wrong)
    with pytest.raises(pc.DtypeError, match="pattern"):
        pc.Group(3)


# -- changed while training ------------------------------------------------------------------------


def test_an_optimizer_goes_on_with_a_state_only_where_it_has_all_of_it() -> None:
    model = net(pc.Adam(0.01))
    for _ in range(3):
        model.step(X, Y)
    kept = model._numbers.state["v"].copy()
    model.optimizer = pc.AdamW(0.02)
    assert np.array_equal(model._numbers.state["v"], kept) and model._numbers.since == 0
    model.optimizer = pc.AMSGrad(0.01)  # it has one more: m and v would count as of step 1
    assert not any(a.any() for a in model._numbers.state.values()) and model._numbers.since == 3
    model.step(X, Y)
    model.optimizer = pc.NAdam()
    assert set(model._numbers.state) == {"m", "v", "bias"} and model._numbers.since == 4
    fresh = net(pc.NAdam())
    fresh.predict(X)
    fresh._numbers.params[...] = model._numbers.params
    model.step(X, Y)
    fresh.step(X, Y)
    assert np.array_equal(model._numbers.params, fresh._numbers.params)


def test_freezing_keeps_a_state_that_is_one_number() -> None:
    model = net(pc.NAdam(0.01))
    for _ in range(3):
        model.step(X, Y)
    before = model._numbers.state["bias"].copy()
    model.freeze("W1")
    assert np.array_equal(model._numbers.state["bias"], before)
    model.step(X, Y)
    assert model._numbers.state["bias"] > before


# -- explained -------------------------------------------------------------------------------------

EXPLAINED = {**OURS, **{f"sgd, {k}": v for k, v in AROUND.items()}} | {
    "adam, all": replace(AROUND["all"], learning_rate=0.1),
    "nadam, full": replace(pc.NAdam(pc.OneCycle(0.01, 30)), **FULL),
    "lion, full": replace(pc.Lion(pc.CosineRestarts(0.01, 3)), **FULL),
}


@pytest.mark.parametrize("name", EXPLAINED)
def test_the_walkthrough_gives_the_next_parameters(name: str) -> None:
    model = net(EXPLAINED[name])
    for _ in range(5):
        w = model.explain(X, Y)
        lines = {s.name: s for s in w.steps if s.phase == "update"}
        model.step(X, Y)
        for key, array in model.params.items():
            np.testing.assert_allclose(lines[f"{key}_new"].array, array, rtol=1e-11, atol=1e-14)
        for line in lines.values():  # what is written is what is said
            said, shown = evaluate(line.numbers), evaluate(line.result)
            assert np.allclose(said, shown, rtol=1e-9, atol=1.01 * unit(line.result)), line
    if model.optimizer.schedule is not None:
        assert lines["learning_rate"].array == model.optimizer.rate_at(5, 1.0)
        assert "learning_rate" not in w.given


def test_the_global_norm_is_a_line_of_its_own() -> None:
    model = net(pc.SGD(0.1, clip_global_norm=0.01))
    w = model.explain(X, Y)
    found = np.linalg.norm(flat(model.gradients(X, Y)))
    assert w["gradient_norm"].array == pytest.approx(found)
    assert "sum(d_W1 ** 2)" in w["gradient_norm"].formula
    assert w["shortened_W1"].formula == "d_W1 * minimum(0.01 / (gradient_norm + 1e-06), 1)"


# -- an optimizer of one's own ---------------------------------------------------------------------


@dataclass(frozen=True)
class Signs(pc.Optimizer):
    """A running mean's sign."""

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


@dataclass(frozen=True)
class Joint(pc.Optimizer):
    """It reads all parameters at once: so it cannot be told one by one."""

    learning_rate: float = 0.1

    def update(self, p: Any, g: Any, state: Any, t: Any, learning_rate: Any) -> Any:
        return p - learning_rate * g / (1 + pc.sum(g**2)), {}


def test_an_optimizer_of_ones_own() -> None:
    model = net(Signs(0.005))
    history = model.fit(X, Y, epochs=100, verbose=0)
    assert history["loss"][-1] < 0.7 * history["loss"][0]
    text = model.source()
    assert "np.sign(0.9 * m + 0.1 * grads)" in text and "m[:] = 0.99 * m + 0.01 * grads" in text


def test_an_optimizer_that_reads_all_at_once_is_not_told_one_by_one() -> None:
    w = net(Joint()).explain(X, Y)
    assert not [s for s in w.steps if s.phase == "update"]
    assert any("all parameters at once" in note for note in w.notes)


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
        slopes.append(flat(model.gradients(X, Y)))
        model.step(X, Y)
        p = p - 0.1 * (slopes[k - 2] if k >= 2 else 0)
        np.testing.assert_allclose(model._numbers.params, p, rtol=1e-13)


@pytest.mark.parametrize("optimizer", [Signs(0.01), Crossed(), Same(), Joint(), *OURS.values(),
                                       *AROUND.values(), EXPLAINED["nadam, full"]])  # fmt: skip
def test_the_printed_update_is_the_one_that_runs(optimizer: Any) -> None:
    model = net(optimizer)
    model.predict(X)
    numbers = model._numbers.copy()
    scope: dict[str, Any] = {}
    exec(model.source(), scope)
    step, runner = model._steps().program(False)[0].program, model._steps()
    batch = model._batch(X, Y)
    for t in range(1, 6):
        runner.take(batch)
        rate = optimizer.rate_at(t, 1.0)
        given = {"X": batch.X, "Y": batch.Y, "t": t, "learning_rate": rate, **runner.plan.given}
        scope["step"](*((given | numbers.arrays)[leaf.name] for leaf in step.inputs))
        for name, array in numbers.arrays.items():
            assert np.array_equal(array, model._numbers.arrays[name]), name


def test_two_arrays_of_one_value_are_both_kept() -> None:
    model = net(Same())
    model.step(X, Y)
    state = model._numbers.state
    assert state["a"].any() and np.array_equal(state["a"], state["b"])
