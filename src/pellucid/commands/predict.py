"""`pellucid predict`: the rows of a table, and what a trained model makes of them."""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Iterator
from pathlib import Path

from pellucid import tables
from pellucid.commands.folder import Trained, opened
from pellucid.commands.options import Settings
from pellucid.commands.rows import needed
from pellucid.commands.scoring import probabilities
from pellucid.files import check_target, write
from pellucid.graph import Array
from pellucid.tables import Table
from pellucid.tables.reading import counted


def run(given: Settings) -> None:
    """Predict every row, and write a table of it."""
    trained = opened(needed(given, "run"))
    if given.out:
        check_target(Path(given.out))  # before the work, rather than after
    table = tables.read(needed(given, "file"), given.separator, given.decimal)
    notes = list(table.notes)
    X = trained.schema.features(table, notes)
    for note in notes:
        print(f"note: {note}", file=sys.stderr)
    content = _csv([*_rows(trained, table, X, given.inputs)])
    if not given.out:
        sys.stdout.write(content)
        return
    write(Path(given.out), [content.encode()])
    print(f"{counted(len(table), 'row')} predicted: {given.out}")


def _rows(trained: Trained, table: Table, X: Array, inputs: bool) -> Iterator[list[str]]:
    """Yield a line of names, and one for each row."""
    schema = trained.schema
    own = table.names if inputs else []
    name = f"predicted {schema.target}" if schema.target in own else schema.target
    yield [*own, name, *(f"p({label})" for label in schema.classes)]
    for k, found in enumerate(_predicted(trained, X)):
        yield [*(column[k] for column in table.cells if inputs), *found]


def _predicted(trained: Trained, X: Array) -> Iterator[list[str]]:
    classes = trained.schema.classes
    if not classes:
        yield from ([f"{value:.9g}"] for value in trained.model.predict(X)[:, 0])
        return
    for shares in probabilities(trained.model, X):
        yield [classes[int(shares.argmax())], *(f"{share:.6g}" for share in shares)]


def _csv(rows: list[list[str]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()
