"""A table in a file, as samples and targets: for the command `pellucid doctor`.

read   columns of numbers, and the target     usual   a model that suits the target
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pellucid.errors import ArgumentError, DataError, one_of
from pellucid.graph import Array
from pellucid.model import Sequential
from pellucid.nn.layer import Dense, Layer
from pellucid.optim import Adam

MISSING = {"", "na", "nan", "null", "none", "?"}
CLASSES = 20  # whole numbers of at most so many values are labels


@dataclass(frozen=True, eq=False)
class Frame:
    """A table: `X` (n, d), the names of its columns, `y` (n,), and its classes, none for values."""

    X: Array
    columns: list[str]
    y: Array
    classes: list[str]


def read(path: str, target: str) -> Frame:
    """Read a file of comma-separated values, whose first line names the columns.

    Missing values are NaN. Raises: DataError for text among the features, or rows of odd length;
    ArgumentError for a target that is no column; OSError where there is no such file.
    """
    with Path(path).open(newline="", encoding="utf-8-sig") as file:
        rows = [row for row in csv.reader(file) if row]
    if len(rows) < 2:
        raise DataError(
            f"{path} has {len(rows)} lines", "a line of names, then a line for each row"
        )
    names = [name.strip() for name in rows[0]]
    if target not in names:
        raise one_of("column", target, names)
    for k, row in enumerate(rows):
        if len(row) != len(names):
            raise DataError(
                f"line {k + 1} of {path} has {len(row)} values for {len(names)} columns",
                "quote values that hold a comma",
            )
    cells = dict(zip(names, zip(*rows[1:], strict=True), strict=True))
    features = [name for name in names if name != target]
    X = np.stack([_numbers(cells[name], name) for name in features], axis=1)
    return Frame(X, features, *_target(cells[target]))


def _number(cell: str) -> float:
    text = cell.strip()
    return float("nan") if text.lower() in MISSING else float(text)


def _numbers(cells: tuple[str, ...], name: str) -> Array:
    try:
        return np.array([_number(cell) for cell in cells])
    except ValueError as error:
        raise DataError(
            f"column {name!r} holds text: {error}",
            "turn its categories into columns of 0 and 1, or leave it out",
        ) from None


def _target(cells: tuple[str, ...]) -> tuple[Array, list[str]]:
    """Return targets, and the names of classes where they are text or few whole numbers."""
    try:
        values = np.array([_number(cell) for cell in cells])
    except ValueError:
        names, index = np.unique([cell.strip() for cell in cells], return_inverse=True)
        return index.astype(float), [str(name) for name in names]
    known = np.unique(values[np.isfinite(values)])
    if len(known) > CLASSES or (known != np.floor(known)).any():
        return values, []
    places = np.searchsorted(known, values).astype(float)
    return np.where(np.isfinite(values), places, values), [f"{v:g}" for v in known]


def usual(frame: Frame, hidden: list[int], activation: str, rate: float, seed: int) -> Sequential:
    """Return a model of hidden layers, with an output and a loss that suit the target."""
    if any(units < 1 for units in hidden):
        raise ArgumentError(f"hidden is {hidden}", "--hidden 16 16")
    layers: list[Layer] = [Dense(units, activation) for units in hidden]
    outputs = {
        0: (Dense(1), "mse"),
        1: (Dense(1, "sigmoid"), "bce"),
        2: (Dense(1, "sigmoid"), "bce"),
    }
    several = (Dense(max(len(frame.classes), 2), "softmax"), "cce")
    last, loss = outputs.get(len(frame.classes), several)
    return Sequential([*layers, last], loss=loss, optimizer=Adam(rate), seed=seed)
