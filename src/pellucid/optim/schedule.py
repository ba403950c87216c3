"""What every schedule has in common: a learning rate as a formula of the count of updates."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from pellucid.graph import Array, Node, evaluate, lift, value


class Schedule:
    """The base of every schedule: `schedule(t)` is the learning rate after t = 0, 1, 2, … updates.

    It is used wherever a learning rate is taken, `pc.Adam(schedule)`, and traced into the training
    step like everything else. One of one's own is a frozen dataclass with a formula; its
    `learning_rate` is what the rates of groups are compared with.

    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class SquareRoot(Schedule):
    ...     learning_rate: float
    ...     def __call__(self, t):
    ...         return self.learning_rate / (t + 1) ** 0.5
    >>> SquareRoot(0.1).at(3)
    0.05
    """

    learning_rate: Any

    def __call__(self, t: Node) -> Node:
        """Return the rate after t updates, as a formula of nodes."""
        raise NotImplementedError(f"{type(self).__name__} has no formula: define __call__(self, t)")

    def at(self, t: int) -> float:
        """Return the rate after t updates, as a number."""
        try:
            hash(self)
        except TypeError:  # one of one's own, with a list among its settings
            return float(self.over(np.array([t]))[0])
        leaf, rate = _traced(self)
        return float(evaluate([rate], {leaf: t})[0])

    def rates(self, steps: int) -> Array:
        """Return the rates of the first so many updates: (steps,)."""
        return self.over(np.arange(steps))

    def over(self, updates: Array) -> Array:
        """Return the rates after so many updates each: (k,) -> (k,)."""
        found = lift(self(value(np.asarray(updates, float)))).value
        return np.array(np.broadcast_to(found, updates.shape), float)

    @property
    def base(self) -> float:
        """The rate that those of groups are compared with: the one that the schedule is given."""
        return base_of(self.learning_rate)


@lru_cache(maxsize=64)
def _traced(schedule: Schedule) -> tuple[Node, Node]:
    """Return a leaf for t, and the formula of the rate, which takes longer to make than to use."""
    number = np.dtype(float)
    t = Node(None, (), (), shape=(), dtype=number, weak=True, symbolic=True, name="t")
    return t, lift(schedule(t))


def base_of(rate: Any) -> float:
    """Return a learning rate, or the one that a schedule is given."""
    return rate.base if isinstance(rate, Schedule) else float(rate)


def scheduled(rate: Any, t: Node) -> Any:
    """Return the rate after t updates, of a schedule or of a number."""
    return rate(t) if isinstance(rate, Schedule) else rate
