"""The arithmetic of measuring: how long to repeat, ratios by round, exponents of growth."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass


def calibrated(seconds_of: Callable[[int], float], wanted: float, most: int = 50_000_000) -> int:
    """Return a count that keeps `seconds_of` busy for about `wanted` seconds, or longer for one.

    A small count says little about a large one, since a call costs something too: so counts grow
    until one really takes so long (nine tenths of it will do), each at most a thousandfold.
    """
    count = 1
    while (took := seconds_of(count)) < 0.9 * wanted and count < most:
        growth = 1.1 * wanted / max(took, 1e-9)
        count = min(most, math.ceil(count * min(max(growth, 1.25), 1000.0)))
    return count


@dataclass(frozen=True)
class Spread:
    """The least, the middle and the greatest of some figures."""

    min: float
    median: float
    max: float


def spread(figures: Sequence[float]) -> Spread:
    return Spread(min(figures), statistics.median(figures), max(figures))


def ratios(theirs: Sequence[float], ours: Sequence[float]) -> Spread:
    """Return theirs/ours round by round: what both suffered in one round cancels.

    >>> ratios([2.0, 6.0, 30.0], [1.0, 2.0, 10.0])
    Spread(min=2.0, median=3.0, max=3.0)
    """
    return spread([a / b for a, b in zip(theirs, ours, strict=False)])


def exponent(xs: Sequence[float], ys: Sequence[float]) -> float:
    """Return the slope of the line through (log x, log y): y grows as x to this power.

    >>> round(exponent([1, 2, 4], [3, 12, 48]), 6)
    2.0
    """
    u, v = [math.log(x) for x in xs], [math.log(y) for y in ys]
    mean_u, mean_v = statistics.fmean(u), statistics.fmean(v)
    over = sum((a - mean_u) * (b - mean_v) for a, b in zip(u, v, strict=True))
    return over / sum((a - mean_u) ** 2 for a in u)


def strays(losses: dict[str, float], before: float, tolerance: float) -> dict[str, str]:
    """Return who did not train as the others did, and why.

    A loss is compared with the (lower) median of all, in units of how far that median fell.
    """
    found = {}
    middle = statistics.median_low([x for x in losses.values() if math.isfinite(x)] or [before])
    for name, value in losses.items():
        if not math.isfinite(value):
            found[name] = f"its loss is {value}"
        elif value >= before:
            found[name] = f"its loss did not fall: {before:.4f} before, {value:.4f} after"
        elif abs(value - middle) > tolerance * (before - middle):
            found[name] = f"its loss is {value:.4f} where the median is {middle:.4f}"
    return found
