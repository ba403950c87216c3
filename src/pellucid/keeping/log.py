"""The log of a run: one line of JSON an epoch, appended as training goes on.

    {"epoch": 3, "step": 96, "seconds": 0.81, "learning_rate": 0.001, "logs": {"loss": 0.31}}

`step` is the count at the epoch's end, `seconds` how long the epoch took. A row may also have
`scale`, that of the learning rate from there on, and `digest`, by which the numbers at the epoch's
end can be told from others.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pellucid.history import History

Row = dict[str, Any]
Columns = Mapping[str, Sequence[float]]


class Log:
    """The log's file; what is written after the last row that counts is written over."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.end = (0, 0)  # of the rows that count: how many they are, and how many bytes

    def read(self, most: int | None = None) -> list[Row]:
        """Return the rows, up to the first that is not whole; later ones no longer count."""
        rows: list[Row] = []
        end = 0
        content = self.path.read_bytes() if self.path.is_file() else b""
        for line in content.splitlines(keepends=True):
            row = _row(line, len(rows) + 1)
            if row is None or len(rows) == most:
                break
            rows.append(row)
            end += len(line)
        self.end = len(rows), end
        return rows

    def append(self, first: int, columns: Columns, marks: Mapping[int, Row], logs: Columns) -> None:
        """Add rows after the `first`, so that they are on the disk.

        `columns` and `logs` have a value for each row, `marks` more for some epochs.
        """
        text = "".join(_lines(first, columns, marks, logs)).encode()
        end = self.end[1]
        with self.path.open("r+b" if self.path.exists() else "x+b") as file:
            if file.seek(0, os.SEEK_END) < end:
                raise OSError(f"{self.path.name} is shorter than it was")
            file.seek(end)
            file.truncate()
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        self.end = first + len(columns["step"]), end + len(text)


def _lines(first: int, columns: Columns, marks: Mapping[int, Row], logs: Columns) -> Iterator[str]:
    """Yield rows as JSON, by a form that is filled in: there may be a hundred thousand of them."""
    form = f'{{"epoch": %d, {_form(columns)}%s, "logs": {{{_form(logs)}}}}}\n'
    outer, inner = (list(map(_written, group.values())) for group in (columns, logs))
    more = {k: "".join(f", {json.dumps(n)}: {json.dumps(v)}" for n, v in mark.items())
            for k, mark in marks.items()}  # fmt: skip
    epochs = range(first + 1, first + 1 + len(outer[0]))
    for row in zip(epochs, *outer, [more.get(k, "") for k in epochs], *inner, strict=True):
        yield form % row


def _form(columns: Columns) -> str:
    return ", ".join(f"{json.dumps(name).replace('%', '%%')}: %s" for name in columns)


def _written(values: Sequence[float]) -> list[Any]:
    """Return numbers as strict JSON has them: no NaN, which is a text."""
    return [x if math.isfinite(x) else f'"{x}"' for x in values]


def _row(line: bytes, epoch: int) -> Row | None:
    """Return the row of a line; None where it is not the one of that epoch, or cut off."""
    try:
        row: Row = json.loads(line) if line.endswith(b"\n") else {}
        logs = {str(k): float(v) for k, v in row["logs"].items()}
        found = {**row, "logs": logs, "seconds": float(row["seconds"]), "step": int(row["step"])}
    except (AttributeError, LookupError, RecursionError, TypeError, ValueError):
        return None
    return found if row["epoch"] == epoch else None


def history_of(rows: Iterable[Row], history: History) -> History:
    """Add logged epochs to a history, and return it."""
    for row in rows:
        history.append(row["logs"], row["seconds"])
        if "learning_rate" in row:
            history.rates.append(float(row["learning_rate"]))
    history.seconds = sum(history.seconds_by_epoch)
    return history
