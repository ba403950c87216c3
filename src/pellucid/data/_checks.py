"""The checks that the data functions share; each names the argument, its value and a way out."""

from math import isfinite, nan
from numbers import Real
from operator import index
from typing import SupportsFloat, SupportsIndex

import numpy as np

from pellucid.errors import ArgumentError


def whole(name: str, value: SupportsIndex, least: int, why: str = "") -> int:
    """Return the value as an int, or refuse one that is no integer or is below the least."""
    expected = f"{name} is {value!r}, expected an integer of at least {least}{why}"
    try:
        number = least - 1 if isinstance(value, (bool, np.bool_)) else index(value)
    except TypeError:
        number = least - 1  # 2.0 and "2" are refused as what is too small is
    if number < least:
        raise ArgumentError(expected, f"{name}={least}")
    return number


def rows(n: SupportsIndex, classes: int) -> int:
    """Return n as an int, or refuse one that leaves a class without a row."""
    return whole("n", n, classes, why=", a row for each class")


def not_negative(name: str, value: SupportsFloat) -> float:
    """Return the value as a float, or refuse one that is not finite or is below 0."""
    number = real(value)
    if not number >= 0:
        raise ArgumentError(f"{name} is {value!r}, expected a number of 0 or more", f"{name}=0.1")
    return number


def positive(name: str, value: SupportsFloat) -> float:
    """Return the value as a float, or refuse one that is not finite or is not above 0."""
    number = real(value)
    if not number > 0:
        raise ArgumentError(f"{name} is {value!r}, expected a number above 0", f"{name}=0.5")
    return number


def fraction(name: str, value: SupportsFloat) -> float:
    """Return the value as a float, or refuse one that is not strictly between 0 and 1."""
    number = real(value)
    if not 0 < number < 1:
        what = f"{name} is {value!r}, expected a share of the rows between 0 and 1, both excluded"
        raise ArgumentError(what, f"{name}=0.2, which is one row in five")
    return number


def real(value: SupportsFloat) -> float:
    """Return the value as a float, or NaN, which no range holds, where it is no finite number."""
    if isinstance(value, Real) and not isinstance(value, bool) and isfinite(value):
        return float(value)
    return nan
