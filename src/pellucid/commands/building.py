"""The model of a run: layers that prepare the columns, hidden ones, and an output that suits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from pellucid.commands.options import Settings
from pellucid.commands.rows import Rows
from pellucid.errors import ArgumentError, DataError
from pellucid.model import Sequential
from pellucid.nn import Dense, Dropout, Layer, Missing, Normalize, OneHot, Rescale
from pellucid.nn.preparing import MOST_COLUMNS
from pellucid.optim import Optimizer, optimizer

BALANCED = "recall_macro"  # what a balanced training is stopped by: its loss weighs rows otherwise


def model_of(rows: Rows, given: Settings) -> Sequential:
    """Return the model, untrained. Raises: ArgumentError for settings that cannot be meant."""
    hidden: list[Layer] = []
    for units in given.layers:
        hidden.append(Dense(units, given.activation, l2=given.l2))
        hidden += [Dropout(given.dropout)] if given.dropout else []
    last, loss, metric = _output(rows, given.l2)
    return Sequential(
        [*preparing(rows, given.missing), *hidden, *last],
        loss=loss,
        optimizer=_optimizer(given, len(rows.train)),
        metrics=[metric, BALANCED] if given.class_weight == "balanced" else [metric],
        dtype=given.dtype,
        seed=given.seed,
    )


def preparing(rows: Rows, missing: str) -> Iterator[Layer]:
    """Yield the layers that prepare the columns, numbers first and then categories."""
    schema, numeric = rows.schema, len(rows.schema.numbers)
    sizes = tuple(len(texts) for texts in schema.categories.values())
    if len(sizes) > MOST_COLUMNS:
        raise DataError(
            f"{len(sizes):,} columns hold categories, and {MOST_COLUMNS:,} are the most",
            "--drop some of them; numbers, where they are amounts",
        )
    if schema.gaps:
        gaps = np.isnan(rows.X[rows.train]).any(axis=0)
        marked = tuple(np.flatnonzero(gaps).tolist())
        yield Missing("median" if missing == "auto" else missing, indicator=marked or False)
    if numeric:
        yield Normalize(columns=tuple(range(numeric)))
    if sizes:
        yield OneHot(sizes, columns=tuple(range(numeric, numeric + len(sizes))))


def _output(rows: Rows, l2: float) -> tuple[list[Layer], str, str]:
    """Return the last layers, and the loss and the metric that go with them."""
    classes = len(rows.plan.classes)
    if classes == 2:
        return [Dense(1, "sigmoid", l2=l2)], "bce", "accuracy"
    if classes:
        return [Dense(classes, "softmax", l2=l2)], "cce", "accuracy"
    y = rows.y[rows.train]
    spread = float(y.std()) or 1.0  # of the rows to learn from, as is their mean
    return [Dense(1, l2=l2), Rescale(spread, offset=float(y.mean()))], "mse", "mae"


def _optimizer(given: Settings, count: int) -> Optimizer:
    chosen = optimizer(given.optimizer)
    if chosen.whole and given.batch_size < count:
        raise ArgumentError(
            f"{type(chosen).__name__} takes all {count:,} rows at once, and not {given.batch_size}",
            f"--batch {count}",
        )
    if given.learning_rate is None:
        return chosen
    changed: Any = {"learning_rate": given.learning_rate}
    return replace(chosen, **changed)
