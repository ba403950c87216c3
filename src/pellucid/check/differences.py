"""Slopes by differences: central ones, extrapolated to a step of 0, each with its own error.

    D(h) = (f(x + h) - f(x - h)) / 2h = f'(x) + c₂ h² + c₄ h⁴ + …

Two steps remove the h² term (Richardson 1911), a table of them one term after another; the entry
whose neighbors agree best, rounding included, is taken (Ridders 1982).  How much rounding there
is in f is measured, by its high differences at tiny steps (Hamming 1962; Moré & Wild 2011).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from pellucid.check.problem import Place, Problem
from pellucid.check.replay import same
from pellucid.graph import Array

SHRINK = 1.7  # no power of 2: all steps of a table could be periods of a function at once
ORDERS = 5  # terms removed at most: beyond that, rounding is what is extrapolated
WIDE, TINY = 0.3, 1e-9  # the steps tried, for parameters of size 1
SURE = 10.0  # two slopes differ where they do by as many times what they may be off
FURTHER = 100.0  # a contradiction is followed to where rounding is as large a part of it
NEARER = 1000.0  # how much nearer a corner is looked at
EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True)
class Estimate:
    """A slope, how far it may be off, and the step that was best for a quick one."""

    slope: float
    error: float
    step: float


@dataclass(frozen=True, eq=False)
class Point:
    """Where slopes are checked: the loss there, where its switches stand, how it is rounded."""

    problem: Problem
    value: float
    base: list[Array]
    noise: float  # of one value of the loss


class Line:
    """A problem seen along one direction: t ↦ f(x + t d), and whether a switch flips on the way."""

    def __init__(self, point: Point, where: slice, direction: Array) -> None:
        self.problem, self.where, self.direction = point.problem, where, direction
        self.start = self.problem.flat[where].copy()
        self.value, self.base, self.noise = point.value, point.base, point.noise

    def __call__(self, t: float) -> tuple[float, list[Array]]:
        flat = self.problem.flat
        flat[self.where] = self.start + t * self.direction
        found = self.problem.at()
        flat[self.where] = self.start
        return found

    def flips(self, t: float) -> bool:
        """Whether a switch stands otherwise at t or -t than at 0."""
        return not (same(self(t)[1], self.base) and same(self(-t)[1], self.base))

    def central(self, h: float) -> tuple[float, float, bool]:
        """Return D(h), how f bends over h, and whether no switch flipped."""
        (up, ups), (down, downs) = self(h), self(-h)
        bend = ((up - self.value) + (down - self.value)) / h
        return (up - down) / (2 * h), bend, same(ups, self.base) and same(downs, self.base)


def element(point: Point, k: int) -> Line:
    """Return the line along one number."""
    return Line(point, slice(k, k + 1), np.ones(1))


def quick(line: Line, h: float) -> tuple[float, bool]:
    """Return the slope from two steps, without the h² term, and whether f is smooth there."""
    (wide, bend, clean), (near, bent, _) = line.central(h), line.central(h / 2)
    if line.problem.blind:
        clean = not (_corner(bend, bent, line.noise / h) and corner(line, h))
    return near + (near - wide) / 3, clean


def corner(line: Line, h: float) -> bool:
    """Whether the point itself is a corner of f, as far as differences can tell.

    (f(h) - 2 f(0) + f(-h)) / h is then the same for all steps; it is as h where f is smooth.
    """
    (_, bend, _), (_, bent, _) = line.central(h), line.central(h / NEARER)
    return _corner(bend, bent, line.noise * NEARER / h)


def _corner(bend: float, bent: float, rounding: float) -> bool:
    return abs(bent) > max(0.7 * abs(bend), 100 * rounding)


def deep(line: Line, wide: float, tiny: float, claimed: float | None) -> Estimate | None:
    """Return the best slope that any step gives, of those at which no switch flips.

    Far from 0 a table can settle on another slope, that of a straight tail: so what is claimed is
    contradicted only where all smaller steps do, down to where rounding hides the difference.

    Args: `wide` and `tiny`, the steps to try between; `claimed`, None to do without that.
    """
    best: Estimate | None = None
    row: Row = []
    pairs: list[tuple[float, float]] = []  # what a quick slope gives at each step
    for h, slope in _steps(line, wide, tiny):
        row = [] if slope is None else _extrapolated(row, slope)
        if len(row) > 1:
            best = _better(best, _best(row, h, line.noise))
            pairs.append((h * SHRINK, row[1][0]))
        if best and line.noise / h > max(best.error, _gap(best, claimed) / FURTHER):
            break
    if best is None:
        return None
    slope, noise = best.slope, line.noise
    _, step = min((abs(n - slope) + noise / h, h) for h, n in pairs)
    return Estimate(slope, best.error, step)


def _gap(best: Estimate, claimed: float | None) -> float:
    return 0.0 if claimed is None or not np.isfinite(claimed) else abs(best.slope - claimed)


def _better(before: Estimate | None, now: Estimate) -> Estimate:
    """Return the surer of two slopes; where they exclude each other, that of the smaller step."""
    if before is None or now.error < before.error:
        return now
    apart = abs(now.slope - before.slope) > SURE * (now.error + before.error)
    return now if apart else before


def _steps(line: Line, wide: float, tiny: float) -> Iterator[tuple[float, float | None]]:
    """Yield steps, and D there: None where a switch flips, or it is no number."""
    h = wide
    while h > tiny:
        slope, _, clean = line.central(h)
        yield h, slope if clean and np.isfinite(slope) else None
        h /= SHRINK


Row = list[tuple[float, float]]  # an extrapolated slope, and how far it is from its neighbors


def _extrapolated(before: Row, slope: float, power: int = 2) -> Row:
    """Return the next row of Neville's table."""
    row: Row = [(slope, np.inf)]
    for k, (above, _) in enumerate(before[:ORDERS], 1):
        left = row[-1][0]
        new = left + (left - above) / (SHRINK ** (power * k) - 1)
        row.append((new, max(abs(new - left), abs(new - above))))
    return row


def _best(row: Row, h: float, noise: float) -> Estimate:
    slope, error = min(row[1:], key=lambda entry: entry[1])
    return Estimate(slope, error + 2 * noise / h, h)


def side(line: Line, step: float, tiny: float) -> float:
    """Return the slope on one side, that of the sign of `step`.

    At a kink the switches stand otherwise than at the point itself, but alike on all of a side.
    """
    there = line(tiny)[1]
    for h in (step, step / 30, step / 1000, step / 30000):
        if same(line(h)[1], there) or abs(h) < abs(tiny) * 10:
            break
    row: Row = []
    for k in range(3):
        t = h / SHRINK**k
        row = _extrapolated(row, (line(t)[0] - line.value) / t, power=1)
    return row[-1][0]


# -- rounding ------------------------------------------------------------------------------------

POINTS, ORDER = 9, 5
VARIANCE = 14400 / 3628800  # of one value, from that of the fifth differences: (5!)² / 10!


def rounding(problem: Problem, sizes: Array, seed: int) -> float:
    """Return how far values of the loss scatter about a smooth curve: the error of one value.

    Along a ray of tiny steps a smooth function has no fifth difference to speak of.  Rays start
    at the point, so that a kink there is not met; of three, the middle one counts.
    """
    rng, flat, found = np.random.default_rng(seed), problem.flat, []
    start = flat.copy()
    value = problem.at()[0]
    for _ in range(3):
        ray = rng.standard_normal(flat.size)
        ray *= 1e-6 * sizes / np.linalg.norm(ray)
        values = []
        for k in range(POINTS):
            flat[:] = start + k * ray
            values.append(problem.at()[0])
        found.append(_scatter(np.array(values)))
    flat[:] = start
    spread = float(np.median(found))
    return max(2 * spread if np.isfinite(spread) else 0.0, EPS * abs(value), 1e-300)


def _scatter(values: Any) -> float:
    fifth = np.diff(values, ORDER)
    return float(np.sqrt(VARIANCE * np.mean(fifth**2)))


def sizes_of(problem: Problem) -> Array:
    """Return, for each number, the size on which its steps are measured: at least 1."""
    found = np.ones(problem.flat.size)
    for p in problem.places:
        found[p.start : p.stop] = size_of(problem, p)
    return found


def size_of(problem: Problem, place: Place) -> float:
    """Return the largest number of a parameter; 1 where that is smaller."""
    return float(max(1.0, np.max(np.abs(problem.flat[place.start : place.stop]), initial=0.0)))
