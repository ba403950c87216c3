"""Logs in files: a line an epoch, as comma-separated values or as JSON."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import warnings
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pellucid.callbacks.base import Callback, Logs
from pellucid.errors import ArgumentError, DataError, TrainingWarning


class CSVLog(Callback):
    """Write loss and metrics to a file of comma-separated values, a row an epoch.

        epoch,loss,accuracy,val_loss,val_accuracy

    Epochs are the model's, from 1: where a model is trained on, or an interrupted run is resumed,
    the file goes on after the epochs that the model has, and rows beyond them are replaced. A new
    model starts a new file; with `append`, rows are added to whatever stands there. Rows are
    written whole, as soon as their epoch is told, and numbers keep all of their digits.
    Raises: ArgumentError for a file that is no such log, or has other columns; it stays as it is.

        model.fit(X, y, epochs=50, callbacks=[pc.CSVLog("log.csv")])
    """

    watches = True

    def __init__(self, path: str | Path, *, append: bool = False) -> None:
        self.file = _File(Path(path), append, _Form(_csv_row, _csv_epoch, header=True))

    def ready(self, names: Sequence[str]) -> None:
        """Refuse a file that is something else."""
        self.file.check(names, self.model._numbers.epochs)

    def on_train_begin(self, logs: Logs) -> None:
        """Find the place in the file where this training goes on."""
        self.file.begin(self.model._numbers.epochs)

    def due(self, start: int, stop: int) -> Iterable[int]:
        """Return all of them, and wait for the last one with writing."""
        self.file.until = stop - 1
        return range(start, stop)

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Add a row."""
        self.file.add(epoch, logs)

    def on_train_end(self, logs: Logs) -> None:
        """Write what is left."""
        self.file.write()


class JSONLines(Callback):
    """Write loss and metrics to a file of JSON objects, a line an epoch.

        {"epoch": 1, "loss": 0.69, "val_loss": 0.7}

    NaN and infinity, which JSON does not have, are null. Otherwise as `CSVLog`.
    Raises: ArgumentError for a file that is no such log; it stays as it is.

        model.fit(X, y, epochs=50, callbacks=[pc.JSONLines("log.jsonl")])
    """

    watches = True

    def __init__(self, path: str | Path, *, append: bool = False) -> None:
        self.file = _File(Path(path), append, _Form(_json_row, _json_epoch, header=False))

    def ready(self, names: Sequence[str]) -> None:
        """Refuse a file that is something else."""
        self.file.check(names, self.model._numbers.epochs)

    def on_train_begin(self, logs: Logs) -> None:
        """Find the place in the file where this training goes on."""
        self.file.begin(self.model._numbers.epochs)

    def due(self, start: int, stop: int) -> Iterable[int]:
        """Return all of them, and wait for the last one with writing."""
        self.file.until = stop - 1
        return range(start, stop)

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Add a line."""
        self.file.add(epoch, logs)

    def on_train_end(self, logs: Logs) -> None:
        """Write what is left."""
        self.file.write()


# -- the file --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Form:
    """How an epoch becomes a line, and how a line tells its epoch."""

    row: Callable[[Sequence[Any]], str]  # of (name, value) pairs
    epoch: Callable[[str], int]  # raises ValueError for a line of something else
    header: bool


class _File:
    """A file of whole lines: a row an epoch, after a header where the form has one."""

    def __init__(self, path: Path, append: bool, form: _Form) -> None:
        self.path, self.append, self.form = path, append, form
        self.columns: list[str] = []
        self.rows: list[str] = []  # not yet written
        self.first = self.begun = 0  # the first epoch told of, and how many there were before it
        self.until = -1  # the epoch up to which rows are waited for

    def check(self, names: Sequence[str], epochs: int) -> None:
        """Refuse a file that is no log of ours, or has other columns where it is to go on."""
        self.columns = ["epoch", *names]
        lines = self._lines()
        for line in lines[self.form.header :]:
            self._epoch(line)
        if lines and self.form.header:
            self._check_header(lines[0], bool(self.append or epochs))

    def _check_header(self, line: str, goes_on: bool) -> None:
        there = _fields(line)
        if there[:1] != ["epoch"]:
            raise ArgumentError(f"{str(self.path)!r} is no log of training", "another file name")
        if goes_on and there != self.columns:
            raise ArgumentError(
                f"{str(self.path)!r} has the columns {', '.join(there)}; this training logs "
                f"{', '.join(self.columns)}",
                "another file name",
            )

    def begin(self, epochs: int) -> None:
        """Keep the rows of the epochs that the model has; all of them, where rows are added."""
        self.begun, self.first, self.until, self.rows = epochs, -1, -1, []
        head, lines = self.form.header, self._lines()
        body = [x for x in lines[head:] if self.append or self._epoch(x) <= epochs]
        kept = [*lines[:head], *body] if body else []
        if not kept and head:
            kept = [_csv_row([(name, name) for name in self.columns])]
        self.path.parent.mkdir(parents=True, exist_ok=True)
        _replace(self.path, "".join(f"{line}\n" for line in kept))

    def add(self, epoch: int, logs: Logs) -> None:
        """Add a row; write those that have come together."""
        if self.first < 0:
            self.first = epoch
        count = self.begun + epoch - self.first + 1
        self.rows.append(self.form.row([("epoch", count), *self._values(logs)]))
        if epoch >= self.until:
            self.write()

    def _values(self, logs: Logs) -> list[tuple[str, Any]]:
        return [(name, logs.get(name)) for name in self.columns[1:] or logs]

    def write(self) -> None:
        """Write what has come; where the disk is full, say so, and try again with the next row."""
        size = self.path.stat().st_size if self.path.exists() else 0
        try:
            with self.path.open("a", encoding="utf-8", newline="") as file:
                file.write("".join(f"{row}\n" for row in self.rows))
            self.rows.clear()
        except OSError as error:
            with suppress(OSError):
                os.truncate(self.path, size)
            text = f"{str(self.path)!r} was not written to, and training goes on: {error}"
            warnings.warn(TrainingWarning(text), stacklevel=2)

    def _lines(self) -> list[str]:
        """Return the whole lines of the file; one that was cut short while written is left out."""
        if not self.path.exists():
            return []
        try:
            text = self.path.read_bytes().decode()
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"{str(self.path)!r} cannot be read as a log: {error}") from None
        parts = text.replace("\r\n", "\n").split("\n")
        return parts[:-1] or [part for part in parts if part]

    def _epoch(self, line: str) -> int:
        try:
            return self.form.epoch(line)
        except (ValueError, LookupError, TypeError):
            raise ArgumentError(
                f"{str(self.path)!r} is no log of training: it has the line {line[:60]!r}",
                "another file name",
            ) from None


def _replace(path: Path, text: str) -> None:
    """Write a file whole, or leave the old one."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8", newline="")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _csv_row(pairs: Sequence[Any]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow([value for _, value in pairs])
    return out.getvalue()


def _fields(line: str) -> list[str]:
    return next(csv.reader([line]), [])


def _csv_epoch(line: str) -> int:
    return int(_fields(line)[0])


def _json_row(pairs: Sequence[Any]) -> str:
    finite = {k: v if v is not None and math.isfinite(v) else None for k, v in pairs}
    return json.dumps(finite, allow_nan=False)


def _json_epoch(line: str) -> int:
    return int(json.loads(line)["epoch"])
