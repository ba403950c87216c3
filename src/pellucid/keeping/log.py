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
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pellucid.history import History

Row = dict[str, Any]


class Log:
    """The log's file; what is written after the last row that counts is written over."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.end = 0  # of the rows that count, in bytes

    def read(self, most: int | None = None) -> list[Row]:
        """Return the rows, up to the first that is not whole; later ones no longer count."""
        rows: list[Row] = []
        self.end = 0
        content = self.path.read_bytes() if self.path.is_file() else b""
        for line in content.splitlines(keepends=True):
            row = _row(line, len(rows) + 1)
            if row is None or len(rows) == most:
                break
            rows.append(row)
            self.end += len(line)
        return rows

    def append(self, rows: Iterable[Row]) -> None:
        """Add rows, so that they are on the disk."""
        text = "".join(json.dumps(_strict(row), allow_nan=False) + "\n" for row in rows).encode()
        with self.path.open("r+b" if self.path.exists() else "x+b") as file:
            file.seek(self.end)
            file.truncate()
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        self.end += len(text)


def _row(line: bytes, epoch: int) -> Row | None:
    """Return the row of a line; None where it is not the one of that epoch, or cut off."""
    try:
        row: Row = json.loads(line) if line.endswith(b"\n") else {}
        logs = {str(k): float(v) for k, v in row["logs"].items()}
        found = {**row, "logs": logs, "seconds": float(row["seconds"]), "step": int(row["step"])}
    except (AttributeError, LookupError, RecursionError, TypeError, ValueError):
        return None
    return found if row["epoch"] == epoch else None


def _strict(row: Row) -> Row:
    """Return a row in strict JSON, which has no NaN: as text."""
    logs = {k: v if math.isfinite(v) else str(v) for k, v in row["logs"].items()}
    return {**row, "logs": logs}


def history_of(rows: Iterable[Row], history: History) -> History:
    """Add logged epochs to a history, and return it."""
    for row in rows:
        history.append(row["logs"], row["seconds"])
        if "learning_rate" in row:
            history.rates.append(float(row["learning_rate"]))
    history.seconds = sum(history.seconds_by_epoch)
    return history
