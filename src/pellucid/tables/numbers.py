"""Cells as numbers: decimal points and commas, thousands, and what stands for a missing value."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence

import numpy as np

from pellucid.graph import Array

MISSING = frozenset({"", "na", "n/a", "#n/a", "nan", "null", "?"})
AMONG_NUMBERS = frozenset({"none", "-", "--", ".", "missing", "unknown"})  # where the rest are
COMMA = re.compile(r"[+-]?\d*,\d+([eE][+-]?\d+)?")
THOUSANDS = {
    ".": re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d*)?"),
    ",": re.compile(r"[+-]?[1-9]\d{0,2}(\.\d{3})+(,\d*)?"),
}
LOOKED_AT = 2000  # rows in which decimal commas are looked for
WHOLE = 2.0**53  # beyond, float64 leaves out whole numbers


def plain(cell: str) -> bool:
    """Say whether a cell is a number as Python writes it, and finite or not.

    >>> plain("1e3"), plain("1_000"), plain("1,5")
    (True, False, False)
    """
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell


def decimal_of(columns: Iterable[Sequence[str]], separator: str, notes: list[str]) -> str:
    """Return what stands before the decimals, "." or ",", and note it where it is a comma."""
    commas = [
        cell for column in columns for c in column[:LOOKED_AT] if COMMA.fullmatch(cell := c.strip())
    ]
    if not commas:
        return "."
    # 1,234 may be either: between semicolons it is a decimal, else a thousand
    sure = [cell for cell in commas if not THOUSANDS["."].fullmatch(cell)]
    if not sure and separator == ",":
        notes.append(f"commas mark thousands: {commas[0]} is {commas[0].replace(',', '')}")
        return "."
    shown = (sure or commas)[0]
    doubt = "" if sure else "; if commas mark thousands: --decimal ."
    notes.append(f"commas stand before decimals: {shown} is {shown.replace(',', '.')}{doubt}")
    return ","


def numbers(
    cells: Sequence[str], decimal: str = ".", also_missing: Collection[str] = ()
) -> tuple[Array, list[int]]:
    """Return cells as float64, NaN where one is missing, and which of them are no numbers.

    >>> values, odd = numbers(["1", "NA", "x", "1,234.5"])
    >>> values.tolist(), odd
    ([1.0, nan, nan, 1234.5], [2])
    """
    if decimal == "." and not also_missing and (plainly := _plainly(cells)) is not None:
        return plainly, []
    values, odd = np.full(len(cells), np.nan), []
    known: dict[str, float | None] = {}
    for k, cell in enumerate(cells):
        if cell not in known:
            known[cell] = _number(cell.strip(), decimal, also_missing)
        value = known[cell]
        if value is None:
            odd.append(k)
        else:
            values[k] = value
    return values, odd


def _plainly(cells: Sequence[str]) -> Array | None:
    """Return cells as numbers, all at once, where each is one as Python writes it."""
    try:
        values = np.array(list(map(float, cells)))
    except ValueError:
        return None
    return None if "_" in "".join(cells) else values


def _number(text: str, decimal: str, also_missing: Collection[str]) -> float | None:
    """Return the number, NaN for a missing one, None for text."""
    if missing(text, also_missing) or text.lower() in AMONG_NUMBERS:
        return float("nan")
    if THOUSANDS[decimal].fullmatch(text):
        text = text.replace("." if decimal == "," else ",", "")
    if decimal == ",":
        if "." in text:  # it marks thousands, and 0.5 is neither 5 nor one half for sure
            return None
        text = text.replace(",", ".") if COMMA.fullmatch(text) else text
    return float(text) if plain(text) else None


def missing(cell: str, also: Collection[str] = ()) -> bool:
    """Say whether a cell stands for no value: nothing, NA, NaN, null, ?, or another of the words.

    >>> missing(" NA "), missing("none"), missing("none", {"none"})
    (True, False, True)
    """
    text = cell.strip()
    return text.lower() in MISSING or text in also
