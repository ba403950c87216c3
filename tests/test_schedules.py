"""Schedules: their formulas by hand, PyTorch's rates at every step, and the range test."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import pellucid as pc
from pellucid import optim

RNG = np.random.default_rng(7)
X, Y = RNG.normal(size=(24, 3)), RNG.normal(size=(24, 2))
STEPS = 90


# -- the formulas, written out ---------------------------------------------------------------------


def half_cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2 * (1 + math.cos(math.pi * share))


def restarts(rate: float, steps: int, growth: int, end: float, t: int) -> float:
    length = steps
    while t >= length:
        t, length = t - length, length * growth
    return half_cosine(rate, end, t / length)


def one_cycle(s: Any, t: int) -> float:
    way = half_cosine if s.shape == "cosine" else lambda a, b, share: a + (b - a) * share
    first, last, top = s.learning_rate / s.start, s.learning_rate / s.start / s.end, s.learning_rate
    turns = [(0, first), (s.share * s.steps - 1, top)]
    turns += [(2 * s.share * s.steps - 2, first)] if s.three_phases else []
    turns += [(s.steps - 1, last)]
    for (begin, a), (stop, b) in pairwise(turns):
        if t <= stop:
            return way(a, b, (t - begin) / (stop - begin))
    return last


# ours, by hand, and what PyTorch calls it, from its optimizer
CASES: dict[str, tuple[pc.Schedule, Callable[[int], float], Any]] = {
    "constant": (pc.ConstantRate(0.3), lambda t: 0.3,
                 lambda o, s: s.ConstantLR(o, 1.0, 0)),
    "constant, small at first": (pc.ConstantRate(0.3, 0.2, 7), lambda t: 0.3 * (0.2, 1.0)[t >= 7],
                                 lambda o, s: s.ConstantLR(o, 0.2, 7)),
    "steps": (pc.StepDecay(0.3, 9, 0.7), lambda t: 0.3 * 0.7 ** (t // 9),
              lambda o, s: s.StepLR(o, 9, 0.7)),
    "steps of 49": (pc.StepDecay(0.3, 49, 0.5), lambda t: 0.3 * 0.5 ** (t // 49),
                    lambda o, s: s.StepLR(o, 49, 0.5)),
    "multi-step": (pc.MultiStep(0.3, [5, 6, 40], 0.2),
                   lambda t: 0.3 * 0.2 ** sum(t >= m for m in (5, 6, 40)),
                   lambda o, s: s.MultiStepLR(o, [5, 6, 40], 0.2)),
    "exponential": (pc.Exponential(0.3, 0.9), lambda t: 0.3 * 0.9**t,
                    lambda o, s: s.ExponentialLR(o, 0.9)),
    "exponential, upward": (pc.Exponential(0.3, 1.05), lambda t: 0.3 * 1.05**t,
                            lambda o, s: s.ExponentialLR(o, 1.05)),
    "inverse time": (pc.InverseTime(0.3, 0.2), lambda t: 0.3 / (1 + 0.2 * t),
                     lambda o, s: s.LambdaLR(o, lambda t: 1 / (1 + 0.2 * t))),
    "line": (pc.Polynomial(0.3, 40), lambda t: 0.3 * (1 - min(t, 40) / 40),
             lambda o, s: s.PolynomialLR(o, 40, 1.0)),
    "polynomial": (pc.Polynomial(0.3, 40, 2.5), lambda t: 0.3 * (1 - min(t, 40) / 40) ** 2.5,
                   lambda o, s: s.PolynomialLR(o, 40, 2.5)),
    "polynomial to an end": (pc.Polynomial(0.3, 40, 2, 0.1),
                             lambda t: 0.1 + 0.2 * (1 - min(t, 40) / 40) ** 2, None),
    "cosine": (pc.Cosine(0.3, STEPS), lambda t: half_cosine(0.3, 0, t / STEPS),
               lambda o, s: s.CosineAnnealingLR(o, STEPS)),
    "cosine to an end": (pc.Cosine(0.3, STEPS, 0.05), lambda t: half_cosine(0.3, 0.05, t / STEPS),
                         lambda o, s: s.CosineAnnealingLR(o, STEPS, 0.05)),
    "cosine, and after it": (pc.Cosine(0.3, 20), lambda t: half_cosine(0.3, 0, min(t, 20) / 20),
                             None),
    "restarts": (pc.CosineRestarts(0.3, 11), lambda t: restarts(0.3, 11, 1, 0.0, t),
                 lambda o, s: s.CosineAnnealingWarmRestarts(o, 11)),
    "restarts after 49": (pc.CosineRestarts(0.3, 49), lambda t: restarts(0.3, 49, 1, 0.0, t),
                          lambda o, s: s.CosineAnnealingWarmRestarts(o, 49)),
    "restarts, longer": (pc.CosineRestarts(0.3, 4, 2, 0.01),
                         lambda t: restarts(0.3, 4, 2, 0.01, t),
                         lambda o, s: s.CosineAnnealingWarmRestarts(o, 4, 2, 0.01)),
    "restarts, five times": (pc.CosineRestarts(0.3, 1, 5), lambda t: restarts(0.3, 1, 5, 0.0, t),
                             lambda o, s: s.CosineAnnealingWarmRestarts(o, 1, 5)),
    "restarts, ten times": (pc.CosineRestarts(0.3, 1, 10),
                            lambda t: restarts(0.3, 1, 10, 0.0, t),
                            lambda o, s: s.CosineAnnealingWarmRestarts(o, 1, 10)),
    "one cycle": (pc.OneCycle(0.3, STEPS), lambda t: one_cycle(pc.OneCycle(0.3, STEPS), t),
                  lambda o, s: s.OneCycleLR(o, 0.3, total_steps=STEPS, cycle_momentum=False)),
    "one cycle, straight": (
        pc.OneCycle(0.3, STEPS, 0.41, 10, 100, "linear"),
        lambda t: one_cycle(pc.OneCycle(0.3, STEPS, 0.41, 10, 100, "linear"), t),
        lambda o, s: s.OneCycleLR(o, 0.3, total_steps=STEPS, pct_start=0.41, div_factor=10,
                                  final_div_factor=100, anneal_strategy="linear",
                                  cycle_momentum=False)),
    "one cycle, three phases": (
        pc.OneCycle(0.3, STEPS, three_phases=True),
        lambda t: one_cycle(pc.OneCycle(0.3, STEPS, three_phases=True), t),
        lambda o, s: s.OneCycleLR(o, 0.3, total_steps=STEPS, three_phase=True,
                                  cycle_momentum=False)),
    "warm-up": (pc.WarmUp(0.3, 12, 0.25), lambda t: 0.3 * (0.25 + 0.75 * min(t, 12) / 12),
                lambda o, s: s.LinearLR(o, 0.25, 1.0, 12)),
    "warm-up from 0": (pc.WarmUp(0.3, 12), lambda t: 0.3 * min(t, 12) / 12,
                       lambda o, s: s.LambdaLR(o, lambda t: min(t, 12) / 12)),
    "warm-up, then cosine": (
        pc.WarmUp(pc.Cosine(0.3, 70), 20, 0.1),
        lambda t: 0.3 * (0.1 + 0.9 * t / 20) if t < 20 else half_cosine(0.3, 0, (t - 20) / 70),
        lambda o, s: s.SequentialLR(o, [s.LinearLR(o, 0.1, 1.0, 20),
                                        s.CosineAnnealingLR(o, 70)], [20])),
    "joined": (
        pc.JoinedSchedule([pc.ConstantRate(0.3, 0.5, 99), pc.Exponential(0.3, 0.9),
                           pc.StepDecay(0.3, 10)], [10, 30]),
        lambda t: 0.15 if t < 10 else 0.3 * 0.9 ** (t - 10) if t < 30
        else 0.3 * 0.1 ** ((t - 30) // 10),
        lambda o, s: s.SequentialLR(o, [s.ConstantLR(o, 0.5, 99), s.ExponentialLR(o, 0.9),
                                        s.StepLR(o, 10)], [10, 30])),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_every_rate_is_the_formulas(name: str) -> None:
    schedule, by_hand, _ = CASES[name]
    found = [schedule.at(t) for t in range(STEPS)]
    np.testing.assert_allclose(found, [by_hand(t) for t in range(STEPS)], rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(schedule.rates(STEPS), found, rtol=1e-12, atol=1e-15)


@pytest.mark.conformance
@pytest.mark.filterwarnings("ignore:The epoch parameter:UserWarning")
@pytest.mark.parametrize("name", [n for n, case in CASES.items() if case[2]])
def test_every_rate_is_pytorchs(name: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: make conformance")
    schedule, _, make = CASES[name]
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.3)
    scheduler = make(optimizer, torch.optim.lr_scheduler)
    for t in range(STEPS):
        theirs = optimizer.param_groups[0]["lr"]
        assert schedule.at(t) == pytest.approx(theirs, rel=1e-12, abs=1e-12), t
        optimizer.step()
        if t + 1 < STEPS:
            scheduler.step()


def test_there_is_a_case_for_every_schedule() -> None:
    assert {type(case[0]) for case in CASES.values()} == set(optim.SCHEDULES)
    assert all(kind.__name__ in pc.__all__ for kind in optim.SCHEDULES)


def test_restarts_begin_on_the_update_also_after_millions() -> None:
    """A logarithm just below a whole number must not put off the jump."""
    for growth in range(2, 12):
        schedule, start = pc.CosineRestarts(1.0, 3, growth), 0
        for k in range(12):
            if start > 10**8:
                break
            assert schedule.at(start) == 1.0, (growth, k)
            if start:
                assert schedule.at(start - 1) < 0.9
            start += 3 * growth**k


def test_what_comes_later_is_not_asked_for_before_its_time() -> None:
    """A power far before the start, or after the end, would be beyond the largest number."""
    later = pc.WarmUp(pc.StepDecay(0.1, 1, 0.1), 500)
    assert [later.at(t) for t in (0, 250, 500)] == [0.0, 0.05, 0.1]
    joined = pc.JoinedSchedule([pc.Exponential(0.1, 1.5), pc.StepDecay(0.1, 1, 0.1)], [900])
    assert joined.at(0) == 0.1 and joined.at(5000) == 0.0 and joined.at(900) == 0.1
    model = net(pc.SGD(joined))
    exec(compile(model.source(), "step", "exec"), scope := {})  # with Python's numbers, too
    numbers = model._numbers.params.copy()
    assert np.isfinite(scope["step"](X, Y, numbers, 1)) and np.isfinite(numbers).all()
    assert np.isfinite(scope["step"](X, Y, numbers, 9000)) and np.isfinite(numbers).all()


# -- in training -----------------------------------------------------------------------------------


def net(optimizer: Any, dtype: str = "float64") -> Any:
    layers = [pc.Dense(4, "tanh", inputs=3), pc.Dense(2)]
    return pc.Sequential(layers, loss="mse", optimizer=optimizer, dtype=dtype)


@pytest.mark.parametrize("name", CASES)
def test_a_step_takes_the_rate_of_the_schedule(name: str) -> None:
    """Training by a schedule is training with that number at every step."""
    schedule = CASES[name][0]
    model, plain = net(pc.Adam(schedule)), net(pc.Adam(1.0))
    plain._numbers.params[...] = model._numbers.params
    for t in range(30):
        assert model.learning_rate == schedule.at(t)
        model.step(X, Y)
        if schedule.at(t):
            plain.learning_rate = schedule.at(t)
            plain.step(X, Y)
        else:  # a rate of 0 cannot be set: nothing moves
            before = plain._numbers.params.copy()
            plain.step(X, Y)
            plain._numbers.params[...] = before
    np.testing.assert_allclose(model._numbers.params, plain._numbers.params, rtol=1e-9)


@pytest.mark.parametrize("name", CASES)
def test_a_schedule_does_not_change_the_precision(name: str) -> None:
    """NumPy's cosine of a Python number has a dtype, which would outweigh float32."""
    model = net(pc.SGD(CASES[name][0], 0.9), "float32")
    graph = model._steps().program(False)[0].graph
    assert all(graph.outputs[k].dtype == np.float32 for k in ("new_params", "new_velocity"))
    scope: dict[str, Any] = {"seen": []}
    text = model.source()
    text = text.replace("params -= ", "seen.append(learning_rate * velocity)\n    params -= ")
    exec(text.replace("learning_rate *", f"{model.learning_rate!r} *")
         if "learning_rate =" not in text else text, scope)  # fmt: skip
    params = model._numbers.params.copy()
    given = {"X": X.astype("f4"), "Y": Y.astype("f4"), "params": params, "t": 3,
             "velocity": np.zeros_like(params), "learning_rate": 0.3}  # fmt: skip
    inputs = model._steps().program(False)[0].program.inputs
    scope["step"](*(given[leaf.name] for leaf in inputs))
    assert [array.dtype for array in scope["seen"]] == [np.float32]


# 49 · (1/49) is less than 1, and compiled loops divide that way
COMPILED = ["steps of 49", "multi-step", "polynomial", "restarts after 49", "restarts, longer",
            "one cycle, three phases", "warm-up, then cosine", "joined"]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "dtype"), [*((n, "float64") for n in COMPILED), ("cosine", "float32")]
)
def test_both_backends_take_the_same_rates(name: str, dtype: str) -> None:
    found = []
    for backend in ("numpy", "numba"):
        model = net(pc.SGD(CASES[name][0], accumulate=2), dtype)
        model.fit(X, Y, epochs=30, batch_size=4, verbose=0, backend=backend)
        assert model._numbers.params.dtype == dtype
        found.append(model._numbers.params.copy())
    limit = 1e-12 if dtype == "float64" else 2e-6
    assert np.linalg.norm(found[0] - found[1]) <= limit * np.linalg.norm(found[0])


def test_a_schedule_counts_updates_and_not_steps() -> None:
    model = net(pc.SGD(pc.Exponential(0.1, 0.5), accumulate=3))
    rates = []
    for _ in range(7):
        rates.append(model.learning_rate)
        model.step(X, Y)
    assert rates == [0.1, 0.1, 0.1, 0.05, 0.05, 0.05, 0.025]


def test_a_new_schedule_begins_at_its_start() -> None:
    model = net(pc.Adam(pc.Exponential(0.1, 0.5)))
    for _ in range(3):
        model.step(X, Y)
    model.optimizer = pc.Adam(pc.Exponential(0.1, 0.5), clip_norm=1.0)  # the same: it goes on
    assert model.learning_rate == 0.0125 and model._numbers.since == 0
    model.optimizer = pc.Adam(pc.Exponential(0.2, 0.5))
    assert model.learning_rate == 0.2 and model._numbers.since == 3
    assert not model._numbers.state["m"].any()
    model.step(X, Y)
    assert model.learning_rate == 0.1


def test_groups_follow_the_schedule_at_their_own_height() -> None:
    optimizer = pc.SGD(pc.WarmUp(pc.Cosine(0.1, 10), 5), groups=[pc.Group("b*", 0.02)])
    assert optimizer.share_of("b1") == pytest.approx(0.2) and optimizer.share_of("W1") == 1.0
    joined = pc.JoinedSchedule([pc.WarmUp(0.4, 3), pc.Cosine(0.1, 9)], [3])
    assert pc.SGD(joined, groups=[pc.Group("b*", 0.2)]).share_of("b1") == 0.5
    model = net(optimizer)
    before, slopes = model.params["b1"].copy(), None
    for t in range(8):
        slopes = model.gradients(X, Y)["b1"]
        model.step(X, Y)
        before = before - 0.2 * optimizer.learning_rate.at(t) * slopes
        np.testing.assert_allclose(model.params["b1"], before, rtol=1e-12)


def test_a_schedule_is_printed_and_explained() -> None:
    model = net(pc.SGD(pc.Cosine(0.1, 10)))
    text = model.source()
    assert (
        "learning_rate = 0.1 * (1 + cos) / 2" in text and "params -= learning_rate * grads" in text
    )
    assert "def step(X, Y, params, t):" in text
    line = model.explain(X, Y)["learning_rate"]
    assert line.phase == "update" and line.array == 0.1 and "schedule" in line.says
    assert "learning_rate" in model.source("numba")


def test_a_model_with_a_schedule_is_saved(tmp_path: Any) -> None:
    for name, (schedule, _, _) in CASES.items():
        model = net(pc.AdamW(schedule, groups=[pc.Group("b*", 0.01)]))
        model.step(X, Y)
        again = pc.load(model.save(tmp_path / "m.safetensors"))
        assert again.optimizer == model.optimizer, name
        model.step(X, Y)
        again.step(X, Y)
        assert np.array_equal(again._numbers.params, model._numbers.params), name


def test_a_schedule_of_ones_own() -> None:
    @dataclass(frozen=True)
    class Noam(pc.Schedule):
        """Vaswani et al. 2017, equation 3."""

        learning_rate: float
        warm_up: int

        def __call__(self, t: Any) -> Any:
            return self.learning_rate * pc.minimum((t + 1) ** -0.5, (t + 1) * self.warm_up**-1.5)

    schedule = Noam(0.5, 4)
    assert schedule.at(0) == pytest.approx(0.5 / 8) and schedule.at(15) == pytest.approx(0.5 / 4)
    model = net(pc.SGD(schedule), "float32")
    model.fit(X, Y, epochs=3, verbose=0, backend="numpy")
    assert model._numbers.params.dtype == np.float32
    with pytest.raises(NotImplementedError, match="define __call__"):
        pc.Schedule().at(0)

    @dataclass(frozen=True)
    class Listed(pc.Schedule):
        learning_rate: list[float]

        def __call__(self, t: Any) -> Any:
            return pc.where(t < 2, self.learning_rate[0], self.learning_rate[1])

    assert [Listed([0.1, 0.2]).at(t) for t in range(3)] == [0.1, 0.1, 0.2]


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_schedules_are_frozen_values(case: Any) -> None:
    again = eval(repr(case[0]), vars(pc))
    assert again == case[0] and hash(again) == hash(case[0])
    with pytest.raises(AttributeError):
        again.learning_rate = 1.0


@pytest.mark.parametrize(
    ("make", "what"),
    [
        (lambda: pc.ConstantRate(0), "learning_rate is 0"),
        (lambda: pc.ConstantRate(0.1, 0.5, 1.5), "steps is 1.5"),
        (lambda: pc.StepDecay(0.1, 0), "every is 0"),
        (lambda: pc.StepDecay(0.1, 3, -0.5), "factor is -0.5"),
        (lambda: pc.MultiStep(0.1, []), "milestones is"),
        (lambda: pc.MultiStep(0.1, [3, 3]), "milestones is"),
        (lambda: pc.MultiStep(0.1, [0, 3]), "milestones is"),
        (lambda: pc.MultiStep(0.1, 3), "milestones is 3"),
        (lambda: pc.Exponential(0.1, 0), "factor is 0"),
        (lambda: pc.InverseTime(0.1, -1), "decay is -1"),
        (lambda: pc.Polynomial(0.1, 10, 0), "power is 0"),
        (lambda: pc.Polynomial(0.1, 10, 1, -0.1), "end is -0.1"),
        (lambda: pc.Cosine(0.1, 2.5), "steps is 2.5"),
        (lambda: pc.Cosine("0.1", 10), "learning_rate is '0.1'"),
        (lambda: pc.CosineRestarts(0.1, 10, 1.5), "growth is 1.5"),
        (lambda: pc.OneCycle(0.1, 100, 1.0), "share is 1.0"),
        (lambda: pc.OneCycle(0.1, 3, 0.3), "3 steps leave no room"),
        (lambda: pc.OneCycle(0.1, 100, 0.6, three_phases=True), "in three phases"),
        (lambda: pc.OneCycle(0.1, 100, start=0.5), "start is 0.5"),
        (lambda: pc.OneCycle(0.1, 100, shape="cos"), 'did you mean "cosine"'),
        (lambda: pc.WarmUp(-0.1, 10), "learning_rate is -0.1"),
        (lambda: pc.WarmUp(0.1, 0), "steps is 0"),
        (lambda: pc.WarmUp(0.1, 5, 2), "start is 2"),
        (lambda: pc.JoinedSchedule([pc.ConstantRate(0.1)] * 3, [5]), "3 schedules with 1"),
        (lambda: pc.JoinedSchedule([pc.ConstantRate(0.1)] * 3, [5, 5]), "milestones is"),
        (lambda: pc.JoinedSchedule([0.1, 0.2], [5]), "schedules is"),
    ],
)
def test_settings_that_cannot_be_meant(make: Any, what: str) -> None:
    with pytest.raises((pc.ArgumentError, pc.DtypeError), match=what):
        make()


# -- drawn -----------------------------------------------------------------------------------------


def test_a_schedule_is_drawn() -> None:
    pytest.importorskip("matplotlib")
    cosine = pc.Cosine(0.3, 40)
    ax = pc.plot.schedule(cosine, 50)
    np.testing.assert_array_equal(ax.get_lines()[0].get_ydata(), cosine.rates(50))
    model = net(pc.Adam(cosine))
    ax = pc.plot.schedule([model, pc.SGD(0.1), cosine], 50)
    assert [line.get_label() for line in ax.get_lines()] == ["Cosine 1", "float", "Cosine 2"]
    for wrong in (0.1, "cosine", [None]):
        with pytest.raises(pc.DtypeError, match="no schedule"):
            pc.plot.schedule(wrong, 10)
    with pytest.raises(pc.ArgumentError, match="steps is 0"):
        pc.plot.schedule(cosine, 0)


# -- the range test --------------------------------------------------------------------------------

WIDE = RNG.normal(size=(500, 6))
TARGET = np.sin(WIDE[:, :1]) + 0.1 * RNG.normal(size=(500, 1))


def wide(optimizer: Any) -> Any:
    return pc.Sequential([pc.Dense(16, "tanh"), pc.Dense(1)], loss="mse", optimizer=optimizer)


@pytest.mark.filterwarnings("ignore::pellucid.TrainingWarning")
@pytest.mark.parametrize("optimizer", [pc.SGD(), pc.SGD(momentum=0.9), pc.Adam(), pc.RMSprop()])
def test_the_suggested_rate_trains(optimizer: Any) -> None:
    """It does better than a hundredth of it, and than thirty times it."""
    found = pc.range_test(wide(optimizer), WIDE, TARGET, backend="numpy")
    assert found.suggested is not None and found.interval is not None
    low, high = found.interval
    assert low <= found.suggested <= high and np.isfinite(found.each).all()
    losses = []
    for factor in (0.01, 1.0, 30.0):
        model = wide(replace(optimizer, learning_rate=factor * found.suggested))
        history = model.fit(WIDE, TARGET, epochs=5, verbose=0, backend="numpy",
                            on_nonfinite="report")  # fmt: skip
        losses.append(history["loss"][-1] if history.epochs == 5 else np.inf)
    assert losses[1] < losses[0] and losses[1] < losses[2]


@pytest.mark.filterwarnings("ignore::pellucid.TrainingWarning")
def test_a_range_test_leaves_the_model_alone_and_can_be_repeated() -> None:
    model = wide(pc.Adam(0.01, accumulate=2, groups=[pc.Group("b*", 0.001)]))
    model.fit(WIDE, TARGET, verbose=0, backend="numpy")
    before, optimizer, seed = model._numbers.copy(), model.optimizer, model.seed
    history = model.history
    one = pc.range_test(model, WIDE, TARGET, runs=2, steps=60, backend="numpy")
    two = pc.range_test(model, WIDE, TARGET, runs=2, steps=60, backend="numpy")
    assert model._numbers.equals(before) and model._numbers.steps == before.steps
    assert (model.optimizer, model.seed, model.history) == (optimizer, seed, history)
    np.testing.assert_array_equal(one.losses, two.losses)
    assert one.losses.shape == (2, 60) and not np.array_equal(one.losses[0], one.losses[1])
    np.testing.assert_allclose(one.rates[[0, -1]], [1e-6, 10])


def test_a_range_test_runs_compiled() -> None:
    one = pc.range_test(wide(pc.SGD()), WIDE, TARGET, runs=2, backend="numpy")
    two = pc.range_test(wide(pc.SGD()), WIDE, TARGET, runs=2, backend="numba")
    early = one.rates < 1e-3
    np.testing.assert_allclose(one.losses[:, early], two.losses[:, early], rtol=1e-4)
    assert two.suggested == pytest.approx(one.suggested, rel=0.5)


def test_fresh_weights_or_those_of_the_model() -> None:
    model = wide(pc.SGD())
    model.fit(WIDE, TARGET, epochs=30, verbose=0, backend="numpy")
    trained = model.loss(WIDE, TARGET)
    kept = pc.range_test(model, WIDE, TARGET, runs=2, backend="numpy")
    fresh = pc.range_test(model, WIDE, TARGET, runs=2, fresh=True, backend="numpy")
    assert kept.losses[:, :20].mean() == pytest.approx(trained, rel=0.2)
    assert fresh.losses[:, :20].mean() > 2 * trained


def test_it_says_when_there_is_nothing_to_suggest() -> None:
    noise = RNG.normal(size=(5000, 1))
    flat = pc.Sequential([pc.Dense(1, init="zeros")], loss="mse", optimizer="sgd")
    found = pc.range_test(flat, RNG.normal(size=(5000, 3)), noise, backend="numpy")
    assert found.suggested is None and found.interval is None
    assert "nothing to suggest" in repr(found) and "no more than it varies" in found.reason
    steep = pc.range_test(wide(pc.SGD()), WIDE, 100 * TARGET, low=1.0, high=100.0, runs=2,
                          backend="numpy")  # fmt: skip
    assert steep.suggested is None and "lower `low`" in steep.reason
    gentle = pc.range_test(wide(pc.SGD()), WIDE, TARGET, high=0.02, runs=2, backend="numpy")
    assert "higher `high`" in gentle.reason


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"low": 0}, "0 < low < high"),
        ({"low": 1.0, "high": 0.1}, "0 < low < high"),
        ({"steps": 5}, "steps is 5"),
        ({"runs": 0}, "runs is 0"),
        ({"fresh": 1.5}, "fresh is 1.5"),
        ({"backend": "gpu"}, "backend"),
        ({"batch_size": 0}, "batch_size is 0"),
    ],
)
def test_a_range_that_cannot_be_meant(settings: Any, what: str) -> None:
    with pytest.raises(pc.ArgumentError) as error:
        pc.range_test(wide("sgd"), WIDE, TARGET, **settings)
    assert what in str(error.value)


def test_a_range_test_is_of_a_model_that_steps_by_its_rate() -> None:
    with pytest.raises(pc.DtypeError, match="a model is expected"):
        pc.range_test("model", WIDE, TARGET)
    with pytest.raises(pc.ArgumentError, match="finds how far to go itself"):
        pc.range_test(wide("lbfgs"), WIDE, TARGET)


def test_a_range_test_is_drawn() -> None:
    pytest.importorskip("matplotlib")
    found = pc.range_test(wide(pc.SGD()), WIDE, TARGET, runs=2, backend="numpy")
    ax = pc.plot.range_test(found)
    assert "begin with" in ax.get_title() and ax.get_xscale() == "log"
    assert [t.get_text() for t in ax.get_legend().get_texts()] == ["run 1", "run 2"]
    with pytest.raises(pc.DtypeError, match="no range test"):
        pc.plot.range_test(0.1)
