"""The rows of a run: which are learned from, which it is stopped by, which it is judged by."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pellucid import tables
from pellucid.commands.options import Settings
from pellucid.data import split
from pellucid.errors import ArgumentError, DataError
from pellucid.graph import Array
from pellucid.tables import Plan, Schema
from pellucid.tables.columns import Wishes

EPS, TINY = float(np.finfo(np.float32).eps), float(np.finfo(np.float32).tiny)
COARSE = 0.01  # of a column's deviation: what rounding may cost


def needed(given: Settings, name: str) -> Any:
    """Return a setting that has no default. Raises: ArgumentError where it is not given."""
    if given[name] is None:
        dashed = name.upper() if name in ("file", "run") else f"--{name.replace('_', '-')}"
        raise ArgumentError(f"{dashed} is not given", f"on the line, or {name} = … in TOML")
    return given[name]


@dataclass(frozen=True, eq=False)
class Rows:
    """A table as arrays: `X` (n, columns) and `y` (n,) of all rows, and which rows are for what."""

    plan: Plan
    schema: Schema
    X: Array
    train: Array
    held: Array
    test: Array
    notes: list[str]

    @property
    def y(self) -> Array:
        return self.plan.y

    def pair(self, part: Array) -> tuple[Array, Array]:
        """Return samples and targets of some rows."""
        return self.X[part], self.y[part]

    @property
    def judged(self) -> tuple[str, Array]:
        """Which rows there are to judge by: those of the test, or else what comes nearest."""
        if len(self.test):
            return "held out", self.test
        if len(self.held):
            return "of the validation, by which the training was stopped", self.held
        return "that it learned from, which flatters", self.train


def rows_of(given: Settings) -> Rows:
    """Read the table of a run and divide its rows: the same settings give the same rows.

    Raises: as reading and planning do; DataError where there are too few rows to divide.
    """
    table = tables.read(needed(given, "file"), given.separator, given.decimal)
    wishes = Wishes(given.text, given.keep, given.na, given.categories)
    plan = tables.planned(table, needed(given, "target"), given.task, given.drop, wishes)
    train, held, test = parts(plan, given.validation, given.test, given.seed)
    gaps = _gaps(plan, given.missing)
    schema = plan.schema(train.tolist(), gaps)
    notes: list[str] = []
    X = schema.features(plan.table, notes)
    notes += _thin(plan, train)
    _check_sizes(plan, X, given.dtype)
    if given.dtype == "float32":
        notes += _coarse(schema, X[train])
    return Rows(plan, schema, X, train, held, test, notes)


def _gaps(plan: Plan, missing: str) -> bool:
    """Say whether the model is to take missing numbers."""
    there = plan.gaps()
    if there and missing == "refuse":
        raise DataError(f"column {there[0]!r} has missing values", "--missing median")
    return bool(there) if missing == "auto" else missing != "refuse"


def parts(plan: Plan, validation: float, test: float, seed: int) -> tuple[Array, Array, Array]:
    """Divide rows by shares of all of them; classes get their share in each part."""
    if validation + test >= 1:
        raise ArgumentError(
            f"--validation {validation:g} and --test {test:g} leave no row to learn from",
            "--validation 0.15 --test 0.2",
        )
    rows = np.arange(len(plan.y))
    rest, tested = _cut(plan, rows, test, "test", seed)
    train, held = _cut(plan, rest, validation / (1 - test), "validation", seed + 1)
    return train, held, tested


def _cut(plan: Plan, rows: Array, share: float, name: str, seed: int) -> tuple[Array, Array]:
    if not share:
        return rows, rows[:0]
    count = len(rows)
    if not 0 < round(count * share) < count:
        raise DataError(
            f"{len(plan.y)} rows are too few to put some aside for the {name}", f"--{name} 0"
        )
    labels = plan.y[rows].astype(int) if plan.classes else plan.y[rows]
    kept, _, away, _ = split(rows, labels, share, seed, stratify=bool(plan.classes))
    return np.sort(kept), np.sort(away)


def _thin(plan: Plan, train: Array) -> list[str]:
    """Return what to say of classes that have hardly a row, or of hardly a row at all."""
    said = []
    if plan.classes:
        counts = np.bincount(plan.y[train].astype(int), minlength=len(plan.classes))
        few = [f"{plan.classes[k]!r} {counts[k]}" for k in np.flatnonzero(counts < 3)]
        if few:
            said.append(f"few rows to learn a class from: {', '.join(few)}")
    if len(train) < 30:
        said.append(f"{len(train)} rows are few to learn from")
    return said


def _coarse(schema: Schema, X: Array) -> list[str]:
    """Return what to say of numbers that differ too little, for their size, in single precision."""
    said = []
    for name, column in zip(schema.numbers, X.T, strict=False):
        there = column[~np.isnan(column)]
        if not there.size:
            continue
        largest, spread = float(np.abs(there).max()), float(there.std())
        if EPS * largest > COARSE * spread > 0 or 0 < largest < TINY:
            said.append(
                f"column {name!r} goes up to {largest:g}, and varies by {spread:.3g}: single "
                "precision is too coarse for it; --dtype float64"
            )
    return said


def _check_sizes(plan: Plan, X: Array, dtype: str) -> None:
    """Refuse numbers that are too large to be computed with; a target's squares must be finite."""
    most = float(np.finfo(dtype).max)
    names = [one.name for one in plan.used if one.kind == "number"]
    sizes = {f"column {name!r}": column for name, column in zip(names, X.T, strict=False)}
    limits = dict.fromkeys(sizes, most) | {f"the target {plan.target!r}": math.sqrt(most) / 100}
    sizes[f"the target {plan.target!r}"] = plan.y
    for name, values in sizes.items():
        there = np.abs(values[~np.isnan(values)])
        if there.size and there.max() > limits[name]:
            raise DataError(
                f"{name} goes up to {there.max():.3g}, too large for {dtype}",
                "--dtype float64" if dtype == "float32" else "another unit, of smaller numbers",
            )


def lines_of(plan: Plan, rows: Sequence[int]) -> list[int]:
    """Return the lines of the file on which rows begin."""
    return [plan.table.lines[k] for k in rows]
