"""Settings, checked where a value is made: an optimizer, a group, a schedule."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from numbers import Integral, Real
from typing import Any

from pellucid.errors import ArgumentError


def check_number(holder: Any, name: str, allowed: Callable[[float], bool], hint: str) -> None:
    """Check a setting, and keep it as a Python number: a NumPy one would impose its precision."""
    value = getattr(holder, name)
    if isinstance(value, bool) or not isinstance(value, Real) or not allowed(float(value)):
        raise ArgumentError(f"{name} is {value!r}", f"{name} is {hint}")
    object.__setattr__(holder, name, float(value))


def positive(holder: Any, name: str) -> None:
    """Check that a setting is above 0."""
    good = "a positive number, such as 0.1 or 0.001"
    check_number(holder, name, lambda x: 0 < x < float("inf"), good)


def not_negative(holder: Any, name: str) -> None:
    """Check that a setting is 0 or above."""
    check_number(holder, name, lambda x: 0 <= x < float("inf"), "a number of at least 0")


def share(holder: Any, name: str) -> None:
    """Check that a setting is from 0 up to, but not, 1."""
    check_number(holder, name, lambda x: 0 <= x < 1, "a number from 0 up to, but not, 1")


def whole(holder: Any, name: str, least: int) -> None:
    """Check that a setting is a whole number of at least so much."""
    value = getattr(holder, name)
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise ArgumentError(f"{name} is {value!r}", f"{name} is a whole number of at least {least}")
    object.__setattr__(holder, name, int(value))


def ascending(holder: Any, name: str) -> None:
    """Check that a setting lists updates, whole numbers above 0, one after the other."""
    value = getattr(holder, name)
    steps = tuple(value) if isinstance(value, (list, tuple)) else ()
    good = all(isinstance(x, Integral) and not isinstance(x, bool) and int(x) > 0 for x in steps)
    if not steps or not good or any(a >= b for a, b in pairwise(steps)):
        raise ArgumentError(f"{name} is {value!r}", f"updates in ascending order: {name}=[30, 80]")
    object.__setattr__(holder, name, tuple(map(int, steps)))
