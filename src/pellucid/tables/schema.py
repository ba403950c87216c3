"""How the rows of a table become arrays: kept with a model, so that new rows are read alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pellucid.errors import DataError, one_of
from pellucid.graph import Array
from pellucid.tables.numbers import missing, numbers
from pellucid.tables.reading import Table, listed

NOTHING = "(missing)"  # the category of a cell that is empty, where training rows have such
UNKNOWN = -1.0


@dataclass(frozen=True)
class Schema:
    """The columns that a model reads, and its target.

    `numbers` are the names of numeric columns, `categories` the texts of each other one; X has the
    numbers first, then the number of each category, -1 for one that is not known. `classes` are
    the labels of the target by their number, none where it is a value; `na`, further words that
    stand for a missing value; `gaps`, whether numbers may be missing.
    """

    target: str
    numbers: tuple[str, ...]
    categories: Mapping[str, tuple[str, ...]]
    classes: tuple[str, ...] = ()
    na: tuple[str, ...] = ()
    gaps: bool = False

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of the columns, in the order of X."""
        return (*self.numbers, *self.categories)

    def features(self, table: Table, notes: list[str]) -> Array:
        """Return X, (n, columns), and note what is not known.

        Raises: DataError for a column that is not there, for text where numbers are expected, and
        for a missing number where the model was trained without.
        """
        for name in self.columns:
            if name not in table.names:
                raise DataError(f"{table.path} has no column {name!r}", _nearest(name, table.names))
        columns = [self._numbers(table, name) for name in self.numbers]
        columns += [self._codes(table, name, notes) for name in self.categories]
        return np.stack(columns, axis=1)

    def _numbers(self, table: Table, name: str) -> Array:
        cells = table.column(name)
        values, odd = numbers(cells, table.decimal, self.na)
        odd = odd or np.flatnonzero(np.isinf(values)).tolist()
        if odd:
            raise DataError(
                f"column {name!r} holds numbers, but {cells[odd[0]]!r} on {_lines(table, odd)}",
                "a number, or nothing",
            )
        gaps = np.flatnonzero(np.isnan(values)).tolist()
        if gaps and not self.gaps:
            raise DataError(
                f"column {name!r} has no value on {_lines(table, gaps)}, but the model was trained "
                "on rows without such gaps",
                "fill them, or leave those rows out; or train with --missing median",
            )
        return values

    def _codes(self, table: Table, name: str, notes: list[str]) -> Array:
        known = {text: float(k) for k, text in enumerate(self.categories[name])}
        texts = [NOTHING if missing(c, self.na) else c.strip() for c in table.column(name)]
        codes = np.array([known.get(text, UNKNOWN) for text in texts])
        new = np.flatnonzero(codes == UNKNOWN).tolist()
        if new:
            which = sorted({texts[k] for k in new})
            shown = ", ".join(map(repr, which[:3])) + (", …" if len(which) > 3 else "")
            notes.append(
                f"column {name!r}: the model does not know {shown} ({_lines(table, new)}); "
                "such a category counts as none"
            )
        return codes

    def targets(self, table: Table) -> tuple[Array, list[int]]:
        """Return y, (n,), as numbers of classes or as values, and the rows that have none.

        Raises: DataError for a class that is not known, or text where values are expected.
        """
        cells = table.column(self.target)
        gaps = [k for k, cell in enumerate(cells) if missing(cell, self.na)]
        if not self.classes:
            values, odd = numbers(cells, table.decimal, self.na)
            odd = odd or np.flatnonzero(np.isinf(values)).tolist()
            self._check(table, odd, "a finite number")
            return values, np.flatnonzero(np.isnan(values)).tolist()
        known = {label: float(k) for k, label in enumerate(self.classes)}
        texts = [label(cell, table.decimal, known) for cell in cells]
        away = set(gaps)
        self._check(
            table,
            [k for k, text in enumerate(texts) if text not in known and k not in away],
            f"one of {', '.join(self.classes[:8])}{', …' if len(self.classes) > 8 else ''}",
        )
        return np.array([known.get(text, np.nan) for text in texts]), gaps

    def _check(self, table: Table, odd: Sequence[int], expected: str) -> None:
        if odd:
            cell = table.column(self.target)[odd[0]]
            raise DataError(
                f"the target {self.target!r} is {cell!r} on {_lines(table, odd)}, "
                f"expected {expected}"
            )

    # -- kept --------------------------------------------------------------------------------------

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON holds it."""
        return {
            "target": self.target,
            "numbers": list(self.numbers),
            "categories": {name: list(texts) for name, texts in self.categories.items()},
            "classes": list(self.classes),
            "na": list(self.na),
            "gaps": self.gaps,
        }

    @staticmethod
    def from_json(told: Any) -> Schema:
        """Return it from JSON. Raises: DataError where that says something else."""
        kinds = {"target": str, "numbers": list, "categories": dict, "classes": list, "na": list,
                 "gaps": bool}  # fmt: skip
        if not isinstance(told, dict) or told.keys() != kinds.keys():
            raise DataError("the columns of the run are not described as they should be")
        texts = [*told["categories"].values()] if isinstance(told["categories"], dict) else [0]
        lists = [told[k] for k in ("numbers", "classes", "na")] + texts
        fits = all(isinstance(told[k], kind) for k, kind in kinds.items())
        if not fits or not all(isinstance(x, list) and _strings(x) for x in lists):
            raise DataError("the columns of the run are not described as they should be")
        return Schema(
            told["target"],
            tuple(told["numbers"]),
            {name: tuple(known) for name, known in told["categories"].items()},
            tuple(told["classes"]),
            tuple(told["na"]),
            told["gaps"],
        )


def _strings(values: list[Any]) -> bool:
    return all(isinstance(value, str) for value in values)


def label(cell: str, decimal: str, known: Mapping[str, Any]) -> str:
    """Return a cell as the label of a class: 2.0 and 2 are one, where classes are numbers."""
    text = cell.strip()
    if text in known:
        return text
    values, odd = numbers([text], decimal)
    return text if odd else f"{values[0]:.17g}"


def _lines(table: Table, rows: Sequence[int]) -> str:
    return listed([table.lines[k] for k in rows])


def _nearest(name: str, names: Sequence[str]) -> str:
    return one_of("column", name, names).hint
