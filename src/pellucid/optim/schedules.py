"""Schedules: how a learning rate may change from update to update, each a line of formula."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from pellucid import ops
from pellucid.errors import ArgumentError, DtypeError, one_of
from pellucid.graph import Node
from pellucid.optim.checks import ascending, check_number, not_negative, positive, whole
from pellucid.optim.schedule import Schedule, base_of, scheduled

# What a formula computes of t where it is not in use must be a number too: so t is kept within it.
# Compiled loops may multiply by 1/k where a formula divides by k. A whole number may then come out
# a little below itself, so what is floored lies half way between two of them.


@dataclass(frozen=True)
class ConstantRate(Schedule):
    """The same learning rate throughout; times `factor`, for the first `steps` updates.

        rate = learning_rate · factor   for t < steps,     learning_rate   from then on

    Args: `learning_rate` and `factor`, above 0; `steps`, at least 0. It is PyTorch's ConstantLR.

    >>> ConstantRate(0.1, factor=0.5, steps=2).rates(4)
    array([0.05, 0.05, 0.1 , 0.1 ])
    """

    learning_rate: float
    factor: float = 1.0
    steps: int = 0

    def __post_init__(self) -> None:
        positive(self, "learning_rate")
        positive(self, "factor")
        whole(self, "steps", 0)

    def __call__(self, t: Node) -> Any:
        """Return the rate after t updates."""
        if not self.steps:
            return self.learning_rate
        return ops.where(t < self.steps, self.learning_rate * self.factor, self.learning_rate)


@dataclass(frozen=True)
class StepDecay(Schedule):
    """Multiply the learning rate by `factor` every so many updates.

        rate = learning_rate · factor^⌊t / every⌋

    Args: `learning_rate` and `factor`, above 0; `every`, at least 1. It is PyTorch's StepLR.

    >>> StepDecay(1.0, every=2, factor=0.5).rates(5)
    array([1.  , 1.  , 0.5 , 0.5 , 0.25])
    """

    learning_rate: float
    every: int
    factor: float = 0.1

    def __post_init__(self) -> None:
        positive(self, "learning_rate")
        whole(self, "every", 1)
        positive(self, "factor")

    def __call__(self, t: Node) -> Any:
        """Return the rate after t updates."""
        return self.learning_rate * self.factor ** ops.floor((t + 0.5) / self.every)


@dataclass(frozen=True)
class MultiStep(Schedule):
    """Multiply the learning rate by `factor` at each of these updates.

        rate = learning_rate · factor^(how many milestones are ≤ t)

    Args: `learning_rate` and `factor`, above 0; `milestones`, whole numbers in ascending order.
    It is PyTorch's MultiStepLR.

    >>> MultiStep(1.0, milestones=[2, 3], factor=0.5).rates(5)
    array([1.  , 1.  , 0.5 , 0.25, 0.25])
    """

    learning_rate: float
    milestones: Sequence[int]
    factor: float = 0.1

    def __post_init__(self) -> None:
        positive(self, "learning_rate")
        ascending(self, "milestones")
        positive(self, "factor")

    def __call__(self, t: Node) -> Any:
        """Return the rate after t updates."""
        passed: Any = 0
        for step in self.milestones:
            passed = passed + ops.where(t < step, 0, 1)
        return self.learning_rate * self.factor**passed


@dataclass(frozen=True)
class Exponential(Schedule):
    """Multiply the learning rate by `factor` at every update.

        rate = learning_rate · factor^t

    Args: `learning_rate` and `factor`, above 0. It is PyTorch's ExponentialLR.

    >>> Exponential(1.0, factor=0.5).rates(4)
    array([1.   , 0.5  , 0.25 , 0.125])
    """

    learning_rate: float
    factor: float

    def __post_init__(self) -> None:
        positive(self, "learning_rate")
        positive(self, "factor")

    def __call__(self, t: Node) -> Any:
        """Return the rate after t updates."""
        return self.learning_rate * self.factor**t


@dataclass(frozen=True)
class InverseTime(Schedule):
    """Divide the learning rate by a number that grows by `decay` at every update.

        rate = learning_rate / (1 + decay · t)

    Args: `learning_rate`, above 0; `decay`, at least 0. Its rates add up to infinity while their
    squares do not, as gradient descent on samples needs to arrive. Source: Robbins & Monro 1951.

    >>> InverseTime(1.0, decay=1.0).rates(4).round(3)
    array([1.   , 0.5  , 0.333, 0.25 ])
    """

    learning_rate: float
    decay: float

    def __post_init__(self) -> None:
        positive(self, "learning_rate")
        not_negative(self, "decay")

    def __call__(self, t: Node) -> Any:
        """Return the rate after t updates."""
        return self.learning_rate / (1 + self.decay * t)


@dataclass(frozen=True)
class Polynomial(Schedule):
    """Go down to `end` along a power: a straight line for 1.

        rate = end + (learning_rate - end) · (1 - t / steps)^power,     end   from t = steps on

    Args: `learning_rate` and `power`, above 0; `steps`, at least 1; `end`, at least 0. With end 0
    it is PyTorch's PolynomialLR.

    >>> Polynomial(1.0, steps=4).rates(6)
    array([1.  , 0.75, 0.5 , 0.25, 0.  , 0.  ])
    """

    learning_rate: float
    steps: int
    power: float = 1.0
    end: float = 0.0

    def __post_init__(self) -> None:
        positive(self, "learning_rate")
        whole(self, "steps", 1)
        positive(self, "power")
        not_negative(self, "end")

    def __call__(self, t: Node) -> Any:
        """Return the rate after t updates."""
        left = (self.steps - ops.minimum(t, self.steps)) / self.steps
        if not self.power.is_integer():  # a little below 0, it would have no such power
            left = ops.maximum(left, 0.0)
        left = left if self.power == 1 else left**self.power
        return self.end + (self.learning_rate - self.end) * left


@dataclass(frozen=True)
class Cosine(Schedule):
    """Go down to `end` along half a cosine: slowly at first and at last.

        rate = end + (learning_rate - end) · (1 + cos(π t / steps)) / 2,     end   from t = steps on

    Args: `learning_rate`, above 0; `steps`, at least 1; `end`, at least 0. It is PyTorch's
    CosineAnnealingLR, which after `steps` goes up again. Source: Loshchilov & Hutter 2017.

    >>> Cosine(1.0, steps=4).rates(6).round(3)
    array([1.   , 0.854, 0.5  , 0.146, 0.   , 0.   ])
    """

    learning_rate: float
    steps: int
    end: float = 0.0

    def __post_init__(self) -> None:
        positive(self, "learning_rate")
        whole(self, "steps", 1)
        not_negative(self, "end")

    def __call__(self, t: Node) -> Any:
        """Return the rate after t updates."""
        return _bent(self.learning_rate, self.end, ops.minimum(t, self.steps) / self.steps)


@dataclass(frozen=True)
class CosineRestarts(Schedule):
    """Go down along half a cosine, jump up and go down again, each time `growth` times as long.

        rate = end + (learning_rate - end) · (1 + cos(π s / length)) / 2
        in cycle k = 0, 1, …:  length = steps · growthᵏ,   s updates after its start

    Args: `learning_rate`, above 0; `steps` of the first cycle and `growth`, whole numbers from 1;
    `end`, at least 0. It is PyTorch's CosineAnnealingWarmRestarts. Source: Loshchilov & Hutter
    2017, equation 5.

    >>> CosineRestarts(1.0, steps=2, growth=2).rates(7).round(3)
    array([1.   , 0.5  , 1.   , 0.854, 0.5  , 0.146, 1.   ])
    """

    learning_rate: float
    steps: int
    growth: int = 1
    end: float = 0.0

    def __post_init__(self) -> None:
        positive(self, "learning_rate")
        whole(self, "steps", 1)
        whole(self, "growth", 1)
        not_negative(self, "end")

    def __call__(self, t: Node) -> Any:
        """Return the rate after t updates."""
        if self.growth == 1:
            within = t - self.steps * ops.floor((t + 0.5) / self.steps)
            return _bent(self.learning_rate, self.end, within / self.steps)
        length = self.growth ** self._cycle(t)  # in units of the first
        start = (length - 1) / (self.growth - 1)
        return _bent(self.learning_rate, self.end, (t / self.steps - start) / length)

    def _cycle(self, t: Node) -> Any:
        """Return how many cycles have ended: the start of cycle k is a geometric sum."""
        ended = ops.log(1 + t / self.steps * (self.growth - 1)) / math.log(self.growth)
        return ops.floor(ended + 1e-9)  # a logarithm may come out a little below a whole number


@dataclass(frozen=True)
class OneCycle(Schedule):
    """Go up to a high learning rate and down to a tiny one, once.

        from learning_rate / start   up to learning_rate          in `share` of the steps
        down to learning_rate / start / end                       in the others

    Args: `learning_rate`, the highest one; `steps`, of the whole training, which are as many
    updates; `share`, above 0 and below 1; `start` and `end`, what the highest rate, and the first
    one, are divided by; `shape`, "cosine" or "linear"; `three_phases`, to come down as fast as it
    went up, and then further. After `steps` the rate stays. It is PyTorch's OneCycleLR, with its
    names max_lr, total_steps, pct_start, div_factor and final_div_factor; momentum stays as it is
    (cycle_momentum=False). Source: Smith & Topin 2018.

    >>> OneCycle(1.0, steps=6, share=0.5, start=10, end=10, shape="linear").rates(6)
    array([0.1 , 0.55, 1.  , 0.67, 0.34, 0.01])
    """

    learning_rate: float
    steps: int
    share: float = 0.3
    start: float = 25.0
    end: float = 10000.0
    shape: str = "cosine"
    three_phases: bool = False

    def __post_init__(self) -> None:
        positive(self, "learning_rate")
        whole(self, "steps", 1)
        check_number(self, "share", lambda x: 0 < x < 1, "a number between 0 and 1")
        check_number(self, "start", lambda x: x >= 1, "a number of at least 1")
        check_number(self, "end", lambda x: x >= 1, "a number of at least 1")
        if self.shape not in ("cosine", "linear"):
            raise one_of("shape", self.shape, ("cosine", "linear"))
        turns = [k for k, _ in self.turns]
        if any(b <= a for a, b in pairwise(turns)):
            raise ArgumentError(
                f"{self.steps} steps leave no room to go up in {self.share:g} of them and down "
                f"again{', in three phases' if self.three_phases else ''}",
                "more steps, or another share",
            )

    @property
    def turns(self) -> list[tuple[float, float]]:
        """The updates at which the rate turns, with the rates there."""
        first, last = self.learning_rate / self.start, self.learning_rate / self.start / self.end
        top = self.share * self.steps - 1
        found = [(0.0, first), (top, self.learning_rate)]
        found += [(2 * top, first)] if self.three_phases else []
        return [*found, (self.steps - 1.0, last)]

    def __call__(self, t: Node) -> Any:
        """Return the rate after t updates."""
        way = _bent if self.shape == "cosine" else _straight
        legs = []
        for k, ((begin, here), (stop, there)) in enumerate(pairwise(self.turns), start=1):
            done = (ops.minimum(t, stop) - begin) / (stop - begin)
            legs.append((stop, _part(way(here, there, done), f"leg_{k}")))
        *others, last = legs
        rate: Any = last[1]
        for stop, leg in reversed(others):
            rate = ops.where(t <= stop, leg, rate)
        return rate


@dataclass(frozen=True)
class WarmUp(Schedule):
    """Begin with a small learning rate, and go up to where another schedule then begins.

        t < steps:   rate = first · (start + (1 - start) · t / steps)
        then:        rate = schedule(t - steps)

    Args: `learning_rate`, a number or the schedule that follows, whose `first` rate is gone up to;
    `steps`, at least 1; `start`, the share to begin with, from 0 to 1. It is PyTorch's LinearLR,
    followed by the other in a SequentialLR. Source: Goyal et al. 2017, section 2.2.

    >>> WarmUp(0.4, steps=4, start=0.0).rates(6)
    array([0. , 0.1, 0.2, 0.3, 0.4, 0.4])
    >>> WarmUp(Cosine(0.1, steps=900), steps=100)
    WarmUp(learning_rate=Cosine(learning_rate=0.1, steps=900, end=0.0), steps=100, start=0.0)
    """

    learning_rate: float | Schedule
    steps: int
    start: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.learning_rate, Schedule):
            positive(self, "learning_rate")
        whole(self, "steps", 1)
        check_number(self, "start", lambda x: 0 <= x <= 1, "a number from 0 to 1")

    def __call__(self, t: Node) -> Any:
        """Return the rate after t updates."""
        then = self.learning_rate
        first = then.at(0) if isinstance(then, Schedule) else then
        up = _straight(first * self.start, first, t / self.steps)
        after = ops.named(ops.maximum(t - self.steps, 0), "after_warm_up")
        return ops.where(t < self.steps, up, _part(scheduled(then, after), "rate_later"))


@dataclass(frozen=True)
class JoinedSchedule(Schedule):
    """Follow one schedule after the other: each begins anew at its milestone.

        rate = schedules[k](t - milestones[k - 1])   for milestones[k - 1] ≤ t < milestones[k]

    Args: `schedules`, two and more; `milestones`, the updates at which the next one begins, one
    fewer, in ascending order. The rates of groups are compared with the first one's. It is
    PyTorch's SequentialLR.

    >>> JoinedSchedule([ConstantRate(1.0), Exponential(0.8, 0.5)], milestones=[2]).rates(5)
    array([1. , 1. , 0.8, 0.4, 0.2])
    """

    schedules: Sequence[Schedule]
    milestones: Sequence[int]

    def __post_init__(self) -> None:
        given = tuple(self.schedules) if isinstance(self.schedules, (list, tuple)) else ()
        if not given or not all(isinstance(s, Schedule) for s in given):
            hint = "JoinedSchedule([pc.WarmUp(0.1, steps=10), pc.Cosine(0.1, 90)], [10])"
            raise DtypeError(f"schedules is {self.schedules!r}", hint)
        object.__setattr__(self, "schedules", given)
        ascending(self, "milestones")
        if len(self.milestones) != len(given) - 1:
            raise ArgumentError(
                f"{len(given)} schedules with {len(self.milestones)} milestones between them",
                "one milestone fewer than schedules",
            )

    def __call__(self, t: Node) -> Any:
        """Return the rate after t updates."""
        begins, ends = (0, *self.milestones), (*self.milestones, None)
        rate: Any = None
        for k, (begin, end) in enumerate(zip(begins, ends, strict=True)):
            within = t if begin == 0 else ops.maximum(t - begin, 0)
            within = within if end is None else ops.minimum(within, end - begin)
            own = self.schedules[k](within if within is t else ops.named(within, "within"))
            own = _part(own, f"rate_{k + 1}")
            rate = own if rate is None else ops.where(t < begin, rate, own)
        return rate

    @property
    def base(self) -> float:
        """The rate that those of groups are compared with."""
        return base_of(self.schedules[0])


def _bent(start: float, end: float, done: Any) -> Any:
    """Return what lies between two rates, along half a cosine."""
    return end + (start - end) * (1 + ops.cos(math.pi * done)) / 2


def _part(rate: Any, name: str) -> Any:
    """Return a part of a formula under a name; a fixed number as it is."""
    return ops.named(rate, name) if isinstance(rate, Node) and not rate.is_constant else rate


def _straight(start: float, end: float, done: Any) -> Any:
    """Return what lies between two rates, along a line."""
    return start + (end - start) * done
