"""How long a text will be, and numbers as short texts.

Browsers differ in their fonts, so a text is given the room that it needs in the widest usual one.
"""

from __future__ import annotations

import unicodedata
from functools import cache
from typing import Any

import numpy as np

from pellucid.dims import show

# advance widths in em, rounded up over the sans-serif fonts that browsers fall back on
WIDTHS = {
    0.30: "ijl'I",
    0.36: " .,:;/\\|·",
    0.43: "()[]frt!-",
    0.60: 'J"_*?cszky`',
    0.65: "\u2007\u20020123456789abdeghnopquvxL{}$∂Σ",
    0.69: "FTEPSYσ",
    0.80: "ABCDHKNRUVXZ&Πφ",
    0.86: "GOQ#+<=>^~×−÷≤≥≠¬∞√wΦ",
}
SPACE, DIGIT = "\u2002", "\u2007"  # half an em; as wide as a digit, so that columns line up
EM = {char: width for width, chars in WIDTHS.items() for char in chars}
DECIMALS = 4  # significant ones
# matrices up to this size, and vectors this long, are written out, where their rows are this short
ROWS, COLUMNS, LONG, WIDEST = 3, 3, 4, 26


def width(text: str, size: float, bold: bool = False) -> float:
    """Return the most room that a line of text takes, in pixels."""
    ems = sum(map(_em, text))
    return size * (1.08 * ems + 0.06 * len(text) if bold else ems)


@cache
def _em(char: str) -> float:
    wide = unicodedata.east_asian_width(char) in "WF"
    return EM.get(char, 1.1 if wide else 1.02)


def shortened(text: str, most: int = 30) -> str:
    """Return the text, its middle left out where it is long."""
    if len(text) <= most:
        return text
    head = (most - 1) * 2 // 3
    return f"{text[:head]}…{text[head + 1 - most :]}"


def number(value: Any) -> str:
    """Return a number with four significant decimals.

    >>> number(0.95257), number(20.0), number(1234567.0), number(float("nan"))
    ('0.9526', '20', '1.235e6', 'NaN')
    """
    if isinstance(value, (bool, np.bool_)):
        return str(bool(value))
    if not np.isfinite(value):
        return "NaN" if np.isnan(value) else "Inf" if value > 0 else "-Inf"
    if abs(value) < 1e6 and float(value) == int(value):
        return str(int(value))
    text = f"{float(value):.{DECIMALS}g}"
    mantissa, e, exponent = text.partition("e")
    return f"{mantissa}e{int(exponent)}" if e else text


def finite(array: Any) -> bool:
    """Say whether every element is a number that can be computed with."""
    return bool(np.isfinite(array).all())


def lines(array: Any) -> list[str]:
    """Return an array in a few short lines: itself where it is small, else mean and [min, max]."""
    array = np.asarray(array)
    if array.ndim == 0 or array.size == 1:
        return [number(array.reshape(-1)[0].item())]
    if not array.size:
        return [f"empty {show(array.shape)}"]
    written = _rows(array.reshape(-1, array.shape[-1])) if _small(array) else []
    if written and max(map(len, written)) <= WIDEST:
        return written
    return [_lost(array)] if not finite(array) else _range(array)


def _small(array: Any) -> bool:
    if array.ndim == 1:
        return len(array) <= LONG
    return bool(array.ndim == 2 and array.shape[0] <= ROWS and array.shape[1] <= COLUMNS)


def _rows(array: Any) -> list[str]:
    words = [[number(v.item()) for v in row] for row in array]
    longest = max(len(word) for row in words for word in row) if len(words) > 1 else 0
    return [f"[{SPACE.join(_padded(word, longest) for word in row)}]" for row in words]


def _padded(word: str, count: int) -> str:
    return DIGIT * (count - len(word)) + word


def _lost(array: Any) -> str:
    """Return what of an array is no number."""
    nan, inf = int(np.isnan(array).sum()), int(np.isinf(array).sum())
    parts = [f"{nan} NaN"] * bool(nan) + [f"{inf} Inf"] * bool(inf)
    return f"{', '.join(parts)} of {array.size}"


def _range(array: Any) -> list[str]:
    low, high = array.min().item(), array.max().item()
    if low == high:
        return [f"all {number(low)}"]
    # halves first: the sum of large float32 must not overflow
    mean = number(float(np.mean(array, dtype=np.float64)))
    return [mean, f"[{number(low)}, {number(high)}]"]


def brief(array: Any) -> str:
    """Return an array as a word or two, for an edge: where it is large, the largest magnitude."""
    array = np.asarray(array)
    if not finite(array) and array.size > 1:
        return _lost(array)
    flat = array.reshape(-1)
    if array.size and bool((flat == flat[0]).all()):
        return number(flat[0].item())
    written = lines(array) if array.ndim == 1 and array.size <= 3 else []
    if len(written) == 1:
        return written[0]
    return f"|·| ≤ {number(np.abs(flat).max().item())}" if array.size else "empty"
