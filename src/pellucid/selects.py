"""Choices between two numbers for compiled loops, of either precision: NaN passes through them."""

from typing import Any


def kernel(f: Any) -> Any:
    """Mark a function that is compiled as mathematics."""
    return f


@kernel
def maximum(x, y):
    """The larger of two; NaN where one is."""
    return x if (x > y) | (x != x) else y


@kernel
def minimum(x, y):
    """The smaller of two; NaN where one is."""
    return x if (x < y) | (x != x) else y


@kernel
def clip(x, low, high):
    """x, limited to [low, high]; NaN stays NaN."""
    return minimum(maximum(x, low), high)
