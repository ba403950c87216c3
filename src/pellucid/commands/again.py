"""The rows of a trained run again: of its own table, or of another with the same columns."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import numpy as np

from pellucid import tables
from pellucid.commands.folder import Trained, fingerprint
from pellucid.commands.options import Settings
from pellucid.commands.rows import lines_of, rows_of
from pellucid.errors import DataError
from pellucid.graph import Array
from pellucid.tables.reading import counted


@dataclass(frozen=True, eq=False)
class Samples:
    """Samples with known targets: `X`, `y`, the `lines` of the file they begin on, and which."""

    X: Array
    y: Array
    lines: list[int]
    name: str
    notes: list[str]

    def tell(self) -> None:
        """Say what is to be known of them, beside what is printed."""
        for note in self.notes:
            print(f"note: {note}", file=sys.stderr)

    def some(self, count: int) -> tuple[Array, Array]:
        """Return the first samples."""
        return self.X[:count], self.y[:count]


def samples(trained: Trained, given: Settings, whole: bool = False) -> Samples:
    """Return the rows of a file, or those that were held out; all of its own table, if `whole`.

    Raises: DataError where the run's own table has changed, or no row has a target.
    """
    if given.file is not None:
        return _others(trained, given)
    path = trained.told["data"]["path"]
    if fingerprint(path)["sha256"] != trained.told["data"]["sha256"]:
        raise DataError(f"{path} has changed since the run", "name a table after the run")
    rows = rows_of(trained.given.with_(file=path))
    name, part = rows.judged
    if whole:
        name, part = "of the run's table", np.arange(len(rows.y))
    X, y = rows.pair(part)
    return Samples(X, y, lines_of(rows.plan, part.tolist()), name, [])


def _others(trained: Trained, given: Settings) -> Samples:
    table = tables.read(given.file, given.separator, given.decimal)
    notes, schema = list(table.notes), trained.schema
    if schema.target not in table.names:
        raise DataError(
            f"{given.file} has no column {schema.target!r}, which the model predicts",
            "pellucid predict, which does without",
        )
    y, gaps = schema.targets(table)
    keep = sorted({*range(len(table))} - {*gaps})
    if not keep:
        raise DataError(f"the target {schema.target!r} has no value in any row of {given.file}")
    if gaps:
        notes.append(f"{counted(len(gaps), 'row')} without a target left out")
    if fingerprint(given.file)["sha256"] == trained.told["data"]["sha256"]:
        notes.append("the model was trained on this table: leave it out, to see held-out rows only")
    table = table.rows(keep)
    X = schema.features(table, notes)
    return Samples(X, y[keep], table.lines, f"of {given.file}", notes)
