"""A line search: how far to go in a direction, by the loss and its slope at a few points.

Point         a place on the line: how far, the loss there, its gradient, its slope along the line
strong_wolfe  the place to go to       cubic   where a cubic through two points is lowest

    enough less    loss(t) ≤ loss(0) + 1e-4 t · slope(0)
    flat enough    |slope(t)| ≤ 0.9 |slope(0)|
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from pellucid.graph import Array

ENOUGH, FLAT = 1e-4, 0.9  # the constants c1 and c2 of the two conditions


class Point(NamedTuple):
    """A place on the line."""

    t: float
    loss: float
    gradient: Array
    slope: float


At = Callable[[float], Point]


@dataclass(frozen=True)
class Search:
    """What a line search goes by: where it starts, how often it may look, when it is too fine."""

    at: At
    start: Point
    most: int  # points beside the first one
    size: float  # of the direction's largest element
    tolerance: float

    def too_high(self, p: Point) -> bool:
        """Say whether the loss has not fallen enough; one that is no number has not."""
        limit = self.start.loss + ENOUGH * p.t * self.start.slope
        return not np.isfinite(p.loss) or p.loss > limit

    def flat(self, p: Point) -> bool:
        """Say whether there is little left to gain along the line."""
        return bool(abs(p.slope) <= -FLAT * self.start.slope)


def strong_wolfe(search: Search, first: float) -> Point:
    """Return a point that meets both conditions, or the best of those that could be looked at.

    It goes on by cubic interpolation until two points lie on either side of a minimum, and then
    closes in on it. Source: Nocedal & Wright 2006, algorithms 3.5 and 3.6, in the form of PyTorch's
    LBFGS, which has it from minFunc.
    """
    ends, looked = _bracket(search, first)
    return ends[0] if len(ends) == 1 else _zoom(search, ends, looked)


def _bracket(search: Search, first: float) -> tuple[list[Point], int]:
    """Return a point that will do, or two with a minimum between them; and how often it looked."""
    before, here = search.start, search.at(first)
    for k in range(search.most):
        if search.too_high(here) or (k > 1 and here.loss >= before.loss):
            return [before, here], k
        if search.flat(here):
            return [here], k
        if here.slope >= 0:
            return [before, here], k
        least, most = here.t + 0.01 * (here.t - before.t), 10 * here.t
        before, here = here, search.at(cubic(before, here, least, most))
    return [search.start, here], search.most


def _zoom(search: Search, ends: list[Point], looked: int) -> Point:
    """Close in on the minimum between two points."""
    low = _lower(ends)
    stuck = False
    for _ in range(looked, search.most):
        if abs(ends[1].t - ends[0].t) * search.size < search.tolerance:
            break
        t, stuck = _inside(ends, stuck)
        here = search.at(t)
        if search.too_high(here) or here.loss >= ends[low].loss:
            ends[1 - low] = here
            low = _lower(ends)
            continue
        if search.flat(here):
            return here
        if here.slope * (ends[1 - low].t - ends[low].t) >= 0:
            ends[1 - low] = ends[low]
        ends[low] = here
    return ends[low]


def _lower(ends: list[Point]) -> int:
    """Return which end has the lower loss."""
    return int(not (ends[0].loss <= ends[1].loss or np.isnan(ends[1].loss)))


def _inside(ends: list[Point], stuck: bool) -> tuple[float, bool]:
    """Return where to look next: not at an end twice, for then the other end would never come."""
    least, most = sorted(p.t for p in ends)
    t, margin = cubic(ends[0], ends[1], least, most), 0.1 * (most - least)
    if min(most - t, t - least) >= margin:
        return t, False
    if not (stuck or t >= most or t <= least):
        return t, True
    return (most - margin if abs(t - most) < abs(t - least) else least + margin), False


def cubic(a: Point, b: Point, least: float, most: float) -> float:
    """Return where the cubic with these values and slopes is lowest, between two limits.

    Where it has no minimum, or there are no numbers to go by: in the middle.
    """
    a, b = (a, b) if a.t <= b.t else (b, a)
    with np.errstate(all="ignore"):
        d1 = a.slope + b.slope - 3 * (a.loss - b.loss) / np.float64(a.t - b.t)
        d2 = np.sqrt(d1**2 - a.slope * b.slope)
        lowest = b.t - (b.t - a.t) * ((b.slope + d2 - d1) / (b.slope - a.slope + 2 * d2))
    return float(min(max(lowest, least), most)) if np.isfinite(lowest) else (least + most) / 2
