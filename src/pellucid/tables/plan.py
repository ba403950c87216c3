"""From a table to what is learned of what: the target, its task, the columns that are used."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pellucid.errors import ArgumentError, DataError, one_of
from pellucid.graph import Array
from pellucid.tables.columns import Column, Wishes, column
from pellucid.tables.numbers import missing, numbers
from pellucid.tables.reading import Table, counted, listed
from pellucid.tables.schema import NOTHING, Schema

TASKS = ("auto", "classification", "regression")
CLASSES = 20  # whole numbers of at most so many values may be labels
ROWS = 5  # for each of them, on average
MOST = 200  # labels, beyond which text is no class


@dataclass(frozen=True, eq=False)
class Plan:
    """What is learned: `y` (n,), the number of a class or a value, from the columns `used`.

    `table` has the rows whose target is known; `why` says how the task was decided, `notes` what
    was found and done; `classes` are the labels by number, none for a regression.
    """

    table: Table
    target: str
    y: Array
    classes: tuple[str, ...]
    why: str
    used: list[Column]
    notes: list[str]
    na: tuple[str, ...] = ()

    @property
    def task(self) -> str:
        """What is to be done: "classification" or "regression"."""
        return "classification" if self.classes else "regression"

    def gaps(self) -> list[str]:
        """Return the numeric columns in which values are missing."""
        return [c.name for c in self.used if c.kind == "number" and c.gaps]

    def schema(self, rows: Sequence[int], gaps: bool) -> Schema:
        """Return how rows are read, with the categories of these rows, those to learn from."""
        categories = {}
        for found in self.used:
            if found.kind == "category":
                cells = self.table.column(found.name)
                texts = (cells[k].strip() for k in rows)
                there = {NOTHING if missing(text, self.na) else text for text in texts}
                categories[found.name] = tuple(sorted(there))
        numeric = tuple(c.name for c in self.used if c.kind == "number")
        return Schema(self.target, numeric, categories, self.classes, self.na, gaps)


def planned(
    table: Table,
    target: str,
    task: str = "auto",
    drop: Collection[str] = (),
    wishes: Wishes | None = None,
) -> Plan:
    """Look at every column, and decide what is learned of what.

    Raises: ArgumentError for a name that no column has; DataError where nothing can be learned: a
    target that never changes, no column that can be used, text among numbers.
    """
    wishes = wishes or Wishes()
    _check_names(table, target, task, drop, wishes)
    notes = list(table.notes)
    table = _known(table, target, wishes.na, notes)
    y, classes, why = _target(table, target, task, wishes)
    used = []
    for name in table.names:
        if name == target or name in drop:
            continue
        found = column(name, table.column(name), table.lines, table.decimal, wishes)
        if not found.left_out:
            used.append(found)
        notes += _said(found, table)
    if not used:
        raise DataError(f"no column is left to learn {target!r} from", "; ".join(notes[-3:]))
    notes += _rows(table, target, used)
    return Plan(table, target, y, classes, why, used, notes, tuple(wishes.na))


def _check_names(
    table: Table, target: str, task: str, drop: Collection[str], wishes: Wishes
) -> None:
    if task not in TASKS:
        raise one_of("task", task, TASKS)
    for name in (target, *drop, *wishes.text, *wishes.keep):
        table.column(name)
    if target in drop:
        raise ArgumentError(f"the target {target!r} is to be dropped", "leave it out of --drop")


def _known(table: Table, target: str, na: Collection[str], notes: list[str]) -> Table:
    """Return the rows whose target is known, and note the others."""
    cells = table.column(target)
    away = [k for k, cell in enumerate(cells) if missing(cell, na)]
    if not away:
        return table
    if len(away) == len(cells):
        raise DataError(f"the target {target!r} has no value in any row")
    lines = listed([table.lines[k] for k in away])
    notes.append(f"target {target!r} has no value on {lines}: left out")
    gone = set(away)
    return table.rows([k for k in range(len(cells)) if k not in gone])


def _said(found: Column, table: Table) -> list[str]:
    """Return what there is to say of a column."""
    about = f"column {found.name!r}"
    said = [f"{about}: {note}" for note in found.notes]
    if found.left_out:
        keep = "" if found.values is None and found.kind == "number" else f"; --keep {found.name!r}"
        return [f"{about} is left out: {found.left_out}{keep}"]
    if found.gaps:
        lines = listed([table.lines[k] for k in found.gaps])
        said.append(f"{about} has {counted(len(found.gaps), 'missing value')} ({lines})")
    return said


def _rows(table: Table, target: str, used: Sequence[Column]) -> list[str]:
    """Return what to say of whole rows and of columns that give the target away."""
    truth = [cell.strip() for cell in table.column(target)]
    said = [
        f"column {c.name!r} equals the target in every row: --drop {c.name!r}, unless it is known "
        "before the target is"
        for c in used
        if [cell.strip() for cell in table.column(c.name)] == truth
    ]
    first: dict[Any, int] = {}
    again = [
        k for k, row in enumerate(zip(*table.cells, strict=True)) if first.setdefault(row, k) != k
    ]
    if again:
        lines, be = listed([table.lines[k] for k in again]), "is" if len(again) == 1 else "are"
        said.append(
            f"{counted(len(again), 'row')} {be} there before ({lines}): where one is learned from "
            "and its copy is judged by, the result flatters"
        )
    return said


# -- the target ------------------------------------------------------------------------------------


def _target(
    table: Table, target: str, task: str, wishes: Wishes
) -> tuple[Array, tuple[str, ...], str]:
    """Return y, the labels of its classes, and how that was decided."""
    cells = [cell.strip() for cell in table.column(target)]
    if len(set(cells)) == 1:
        raise DataError(
            f"the target {target!r} is {cells[0]!r} in every row: there is nothing to learn"
        )
    values, odd = numbers(cells, table.decimal, wishes.na)
    odd = odd + np.flatnonzero(~np.isfinite(values)).tolist()
    if target in wishes.text or len(odd) > len(cells) / 5:
        return _texts(cells, target, task)
    if odd:
        raise DataError(
            f"the target {target!r} holds numbers, but {cells[odd[0]]!r} on line "
            f"{table.lines[odd[0]]}",
            f"--na {cells[odd[0]]!r}, if that means missing; --text {target!r}, if it is a class",
        )
    return _numbers(values, target, task)


def _texts(cells: Sequence[str], target: str, task: str) -> tuple[Array, tuple[str, ...], str]:
    if task == "regression":
        raise DataError(
            f"the target {target!r} holds text, such as {cells[0]!r}",
            "--task classification, or a target of numbers",
        )
    names = sorted(set(cells))
    if len(names) > MOST or 2 * len(names) > max(len(cells), 8):
        raise DataError(
            f"the target {target!r} has {len(names):,} different texts ({cells[0]!r}) in "
            f"{len(cells):,} rows",
            "a class has several rows; numbers, if it is a value",
        )
    places = {name: float(k) for k, name in enumerate(names)}
    return np.array([places[cell] for cell in cells]), tuple(names), "it holds text"


def _numbers(values: Array, target: str, task: str) -> tuple[Array, tuple[str, ...], str]:
    known = np.unique(values)
    if len(known) == 1:
        raise DataError(
            f"the target {target!r} is {known[0]:g} in every row: there is nothing to learn"
        )
    whole = bool((known == np.floor(known)).all())
    few = len(known) == 2 or len(known) <= min(CLASSES, len(values) / ROWS)
    if task == "regression" or (task == "auto" and not (whole and few)):
        why = "you said so" if task != "auto" else f"it has {len(known):,} different numbers"
        return values, (), why
    if len(known) > MOST:
        raise DataError(
            f"the target {target!r} has {len(known):,} different numbers", "--task regression"
        )
    why = f"it has {len(known)} whole numbers; --task regression, if they are amounts"
    labels = tuple(f"{v:.17g}" for v in known)
    return (
        np.searchsorted(known, values).astype(float),
        labels,
        why if task == "auto" else "you said so",
    )
