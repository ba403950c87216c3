"""A table in a file, as samples and targets: for the command `pellucid doctor`.

read   columns of numbers, and the target     usual   a model that suits the target
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pellucid import tables
from pellucid.errors import ArgumentError, DataError
from pellucid.graph import Array
from pellucid.model import Sequential
from pellucid.nn.layer import Dense, Layer
from pellucid.optim import Adam
from pellucid.tables.numbers import numbers

CLASSES = 20  # whole numbers of at most so many values are labels


@dataclass(frozen=True, eq=False)
class Frame:
    """A table: `X` (n, d), the names of its columns, `y` (n,), and its classes, none for values."""

    X: Array
    columns: list[str]
    y: Array
    classes: list[str]


def read(path: str, target: str) -> Frame:
    """Read a file of separated values, whose first line names the columns: all of them are used.

    Missing values are NaN. Raises: DataError for text among the features, or rows of odd length;
    ArgumentError for a target that is no column; OSError where there is no such file.
    """
    table = tables.read(path)
    truth = table.column(target)
    features = [name for name in table.names if name != target]
    if not features:
        raise DataError(f"{path} has no column but {target!r}", "a column to learn it from")
    X = np.stack([_numbers(table.column(name), name, table.decimal) for name in features], axis=1)
    return Frame(X, features, *_target(truth, table.decimal))


def _numbers(cells: Sequence[str], name: str, decimal: str) -> Array:
    values, odd = numbers(cells, decimal)
    if odd:
        raise DataError(
            f"column {name!r} holds text: {cells[odd[0]]!r}",
            "turn its categories into columns of 0 and 1, or leave it out",
        )
    return values


def _target(cells: Sequence[str], decimal: str) -> tuple[Array, list[str]]:
    """Return targets, and the names of classes where they are text or few whole numbers."""
    values, odd = numbers(cells, decimal)
    if odd:
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
