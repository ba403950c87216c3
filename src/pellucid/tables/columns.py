"""What a column holds: numbers, categories, or what cannot be learned from as it is."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from pellucid.errors import DataError
from pellucid.graph import Array
from pellucid.tables.numbers import WHOLE, missing, numbers, plain
from pellucid.tables.reading import listed

MOSTLY = 0.8  # share of numbers from which on a text among them is a slip
FEW = 10  # rows: in fewer, that all values differ says nothing
KEY = re.compile(r"(.*[_\- .])?(id|key|index|uuid|guid|nr|no|row|unnamed.*)", re.IGNORECASE)
UNIT = re.compile(
    r"[+-]?[$€£¥] ?[+-]?\d[\d.,' ]*"
    r"|[+-]?\d[\d.,' ]*?\s?(%|[$€£¥]|EUR|USD|CHF|kg|g|cm|mm|m|km|m²|°C)"
)
CODE = re.compile(r"\s*0\d+\s*")
DATE = re.compile(
    r"\d{4}-\d{1,2}-\d{1,2}([T ]\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?"
    r"|\d{1,2}[./]\d{1,2}[./](\d{2}|\d{4})( \d{1,2}:\d{2}(:\d{2})?)?"
    r"|\d{4}/\d{1,2}/\d{1,2}( \d{1,2}:\d{2}(:\d{2})?)?"
)


@dataclass(frozen=True, eq=False)
class Column:
    """What a column holds.

    `kind` is "number" or "category"; `values` are its numbers, NaN where missing (of a category
    None), `gaps` the rows where it has no value. `left_out` says why it cannot be used, and is ""
    where it can; `notes` are what else there is to say.
    """

    name: str
    kind: str
    values: Array | None
    gaps: list[int]
    left_out: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Wishes:
    """What the caller says of columns: which hold `text`, which to `keep`, which words are `na`."""

    text: Collection[str] = ()
    keep: Collection[str] = ()
    na: Collection[str] = ()
    categories: int = 50  # different texts, beyond which a column is left out


def column(
    name: str, cells: Sequence[str], lines: Sequence[int], decimal: str, wishes: Wishes
) -> Column:
    """Return what a column holds.

    Raises: DataError for a text among numbers, and for infinite ones, with the line.
    """
    values, odd = numbers(cells, decimal, wishes.na)
    some = not np.isnan(values).all()
    if some and not odd and name not in wishes.text:
        return _numeric(name, values, cells, lines, wishes)
    gaps = [k for k, cell in enumerate(cells) if missing(cell, wishes.na)]
    there = len(cells) - len(gaps)
    if not there:
        return Column(name, "number", None, gaps, "it is empty")
    text = name in wishes.text or not some or len(odd) > (1 - MOSTLY) * there
    if text or _dates(cells, odd):
        return _text(name, cells, gaps, wishes)
    raise DataError(
        f"column {name!r} holds numbers, but {cells[odd[0]]!r} on {listed(_at(lines, odd))}",
        f"--na {cells[odd[0]].strip()!r}, if that means missing; --text {name!r}, if it holds "
        "categories",
    )


def _at(lines: Sequence[int], rows: Sequence[int]) -> list[int]:
    return [lines[k] for k in rows]


def _dates(cells: Sequence[str], odd: Sequence[int]) -> bool:
    return bool(odd) and all(DATE.fullmatch(cells[k].strip()) for k in odd)


# -- categories ------------------------------------------------------------------------------------


def _text(name: str, cells: Sequence[str], gaps: list[int], wishes: Wishes) -> Column:
    away = set(gaps)
    there = [cell.strip() for k, cell in enumerate(cells) if k not in away]
    why = "" if name in wishes.keep else _unusable(there, len(gaps), wishes)
    return Column(name, "category", None, gaps, why, () if name in wishes.text else _mixed(there))


def _mixed(there: Sequence[str]) -> tuple[str, ...]:
    """Return what to say of texts among which are numbers."""
    number = next((text for text in there if plain(text)), "")
    text = next((text for text in there if not plain(text)), "")
    if not number or not text:
        return ()
    return (f"it holds numbers ({number}) and texts ({text!r}): all are read as categories",)


def _unusable(there: Sequence[str], gaps: int, wishes: Wishes) -> str:
    """Return why texts are no categories to learn from; "" where they are."""
    different = set(there)
    if all(DATE.fullmatch(text) for text in different):
        return f"it holds dates ({there[0]}): make numbers of them, such as days, or the month"
    if len(different) == 1 and not gaps:
        return f"it is {there[0]!r} in every row"
    few = len(different) < max(FEW, len(there)) and len(different) <= wishes.categories
    if not few and all(UNIT.fullmatch(text) for text in different):
        return f"it holds numbers with a unit ({there[0]!r}): take that away"
    if len(different) == len(there) >= FEW:
        return f"it has another text in every row ({there[0]!r})"
    if len(different) > wishes.categories:
        return f"it has {len(different):,} different texts ({there[0]!r}), too many for categories"
    return ""


# -- numbers ---------------------------------------------------------------------------------------


def _numeric(
    name: str, values: Array, cells: Sequence[str], lines: Sequence[int], wishes: Wishes
) -> Column:
    infinite = np.flatnonzero(np.isinf(values)).tolist()
    if infinite:
        where = listed(_at(lines, infinite))
        raise DataError(
            f"column {name!r} holds {cells[infinite[0]].strip()!r} on {where}",
            "a finite number, or nothing",
        )
    gaps = np.flatnonzero(np.isnan(values)).tolist()
    there = values[np.isfinite(values)]
    why = "" if name in wishes.keep else _useless(name, there, len(gaps))
    notes = tuple(_oddities(name, values, cells, lines))
    return Column(name, "number", values, gaps, why, notes)


def _useless(name: str, there: Array, gaps: int) -> str:
    """Return why numbers are none to learn from; "" where they are."""
    if (there == there[0]).all() and not gaps:
        return f"it is {there[0]:g} in every row"
    if len(there) < FEW or gaps or (there != np.floor(there)).any():
        return ""
    if len(np.unique(there)) < len(there):
        return ""
    if KEY.fullmatch(name.strip()):
        return "it looks like an identifier: a different whole number in every row"
    if (np.diff(there) == 1).all():
        return "it counts the rows"
    if np.abs(there).max() >= WHOLE:
        return "it looks like an identifier: huge whole numbers, different in every row"
    return ""


def _oddities(name: str, values: Array, cells: Sequence[str], lines: Sequence[int]) -> list[str]:
    """Return what to say of numbers that are not all that they seem."""
    found = []
    huge = np.flatnonzero(np.abs(values) >= WHOLE).tolist()
    whole = [k for k in huge if cells[k].strip().lstrip("+-").isdigit()]
    if whole:
        found.append(
            f"{cells[whole[0]].strip()} ({listed(_at(lines, whole))}) has more digits than a "
            f"number keeps; if it is a name, --text {name!r}"
        )
    zeros = [k for k, cell in enumerate(cells) if CODE.fullmatch(cell)]
    if zeros:
        found.append(
            f"{cells[zeros[0]].strip()} ({listed(_at(lines, zeros))}) is read as a number; if it "
            f"is a code, --text {name!r}"
        )
    return found
