"""Verdicts on single slopes: right, wrong, at a kink, or lost in rounding.

Finding     what is claimed, what differences give, and what follows
Judge       finds it out: at little cost where the two agree, at any where they do not
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from pellucid.check.differences import (
    NEARER,
    SURE,
    TINY,
    WIDE,
    Estimate,
    Line,
    Point,
    corner,
    deep,
    element,
    quick,
    rounding,
    side,
    size_of,
    sizes_of,
)
from pellucid.check.problem import Place, Problem
from pellucid.graph import Array

FLOOR = 1e-8  # below it, a relative error is an absolute one (as in Stanford's cs231n)
QUICK = 1e-3  # the step where none is known to be better
FAINT = 1e-9  # of a direction's slope: less than an element that is wrong by a thousandth adds
Kind = Literal["ok", "wrong", "kink", "round-off"]


@dataclass(frozen=True)
class Finding:
    """One slope: of an element, or of a direction where `index` is None."""

    kind: Kind
    analytic: float
    numeric: float
    error: float = 0.0  # how far `numeric` may be off
    index: tuple[int, ...] | None = None
    left: float = np.nan
    right: float = np.nan
    along: str = ""  # of second derivatives: whose slope this is

    @property
    def absolute(self) -> float:
        return abs(self.analytic - self.numeric)

    @property
    def relative(self) -> float:
        """Return |a - n| / (|a| + |n|), with the floor."""
        return relative(self.analytic, self.numeric)


def relative(a: float, n: float) -> float:
    return abs(a - n) / max(abs(a) + abs(n), FLOOR)


def inside(kink: Finding) -> bool:
    """Whether the claimed slope is between those of the two sides."""
    low, high = sorted((kink.left, kink.right))
    slack = 1e-3 * (high - low)
    return bool(low - slack <= kink.analytic <= high + slack)


class Judge:
    """Compares slopes that are claimed with differences, at one point."""

    def __init__(self, problem: Problem, tolerance: float, seed: int) -> None:
        self.problem, self.tolerance, self.seed = problem, tolerance, seed
        value, base = problem.at()
        self.noise = rounding(problem, sizes_of(problem), seed)
        self.point = Point(problem, value, base, self.noise)
        self.claimed = problem.slopes()
        self.steps: dict[str, float] = {}  # quick ones, by parameter: for an element …
        self.strides: dict[str, float] = {}  # … and for a direction

    def learn_step(self, place: Place) -> None:
        """Find out which quick step suits a parameter, at the element with the largest slope."""
        part = np.abs(self.claimed[place.start : place.stop])
        if not part.size:
            return
        k = place.start + int(np.argmax(np.nan_to_num(part)))
        best = self._deep(element(self.point, k), float(self.claimed[k]), place)
        self.steps[place.name] = best.step if best else QUICK * size_of(self.problem, place)

    def _deep(
        self, line: Line, a: float | None, place: Place, wide: float | None = None
    ) -> Estimate | None:
        size = size_of(self.problem, place)
        return deep(line, WIDE * size if wide is None else wide, TINY * size, a)

    def element(self, place: Place, k: int) -> Finding:
        """Judge the slope of the k-th of all numbers."""
        return replace(self._judged(element(self.point, k), k, place), index=place.index(k))

    def _judged(self, line: Line, k: int, place: Place) -> Finding:
        a = float(self.claimed[k])
        h, size = self.steps[place.name], size_of(self.problem, place)
        smooth = True
        for step in (h, h / 50):
            n, clean = quick(line, step)
            error = self.noise / step
            if clean and self._agree(a, n, error):
                return Finding("ok", a, n, error)
            smooth = smooth and clean
        if not smooth and line.flips(TINY * size):
            return self._at_switch(self._kink(line, a, h, size), k)
        return self._disputed(line, a, place, self._deep(line, a, place))

    def _agree(self, a: float, n: float, error: float) -> bool:
        """Whether two slopes agree so well that it is no chance."""
        lost = abs(a - n) <= min(error, 1e-3 * FLOOR)
        return relative(a, n) <= self.tolerance * (1.0 if lost else 1e-3)

    def _disputed(self, line: Line, a: float, place: Place, best: Estimate | None) -> Finding:
        """Judge where a quick slope did not agree, by the best one."""
        size = size_of(self.problem, place)
        if best is None:
            return self._kink(line, a, QUICK * size, size)
        step = self.steps[place.name]
        if self.problem.blind and any(corner(line, h) for h in (step, best.step)):
            return self._guessed(self._kink(line, a, step / NEARER, size))
        found = Finding("ok", a, best.slope, best.error)
        if found.relative <= self.tolerance:
            return found
        lost = found.absolute <= SURE * best.error
        return replace(found, kind="round-off" if lost else "wrong")

    # -- corners ---------------------------------------------------------------------------------

    def _kink(self, line: Line, a: float, step: float, size: float) -> Finding:
        """Return the slopes on both sides."""
        left = side(line, -step, -TINY * size)
        right = side(line, step, TINY * size)
        return Finding("kink", a, (left + right) / 2, np.inf, left=left, right=right)

    def _at_switch(self, kink: Finding, k: int) -> Finding:
        """A switch may also join two pieces without a corner, as ELU's does.

        Slopes that cannot be asked for beside a corner must be of it, or what the graph has there.
        """
        a, sides = kink.analytic, (kink.left, kink.right)
        if max(relative(a, side) for side in sides) <= self.tolerance:
            return replace(kink, kind="ok", error=kink.absolute)
        own = self.problem.own
        if self.problem.anew or own is None or inside(kink):
            return kink
        usual = relative(a, float(own()[k])) <= self.tolerance
        return kink if usual else replace(kink, kind="wrong")

    def _guessed(self, kink: Finding) -> Finding:
        """Where no switch says that this is a corner, a slope outside of it is wrong."""
        return kink if inside(kink) else replace(kink, kind="wrong")

    # -- directions ------------------------------------------------------------------------------

    def direction(self, place: Place, where: slice, d: Array, sure: bool = False) -> Finding:
        """Judge the slope along a direction, more strictly: a single element may be what is wrong.

        What agrees with differences to within their own error is right; what does not is to be
        looked at more closely: with `sure`, or element by element.
        """
        line, a = Line(self.point, where, d), float(self.claimed[where] @ d)
        slack = FAINT * float(np.linalg.norm(self.claimed[where] * d))
        h = self.strides.get(place.name)
        for step in (h, h / 20) if h else ():
            n, clean = quick(line, step)
            if clean and abs(a - n) <= max(SURE * self.noise / step, slack):
                return Finding("ok", a, n, self.noise / step)
        wide = None if h is None else 10 * h
        best = self._deep(line, a if sure else None, place, wide)
        if best is None:
            return Finding("kink", a, np.nan, np.inf)
        if h is None or sure:
            self.strides[place.name] = best.step  # one direction teaches the others
        gap = abs(a - best.slope)
        wrong = gap > max(SURE * best.error, slack)
        return Finding("wrong" if wrong else "ok", a, best.slope, best.error)
