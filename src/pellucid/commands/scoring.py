"""A model's predictions put beside the truth: for `train` and `evaluate`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pellucid.commands.judging import Verdict, judged_classes, judged_values
from pellucid.commands.rows import Rows
from pellucid.graph import Array
from pellucid.model import Sequential


def frequencies(rows: Rows) -> list[float]:
    """Return the shares of the classes in the training rows."""
    labels = rows.y[rows.train].astype(int)
    counts = np.bincount(labels, minlength=len(rows.plan.classes))
    return [float(count) for count in counts / len(labels)]


def judged(model: Sequential, rows: Rows, part: Array) -> Verdict:
    """Judge a model by some of the rows of its run."""
    X, y = rows.pair(part)
    if rows.plan.classes:
        return verdict(model, X, y, rows.plan.classes, frequencies(rows))
    return verdict(model, X, y, (), [float(rows.y[rows.train].mean())])


def verdict(
    model: Sequential, X: Array, y: Array, classes: Sequence[str], known: Sequence[float]
) -> Verdict:
    """Judge a model by rows; `known` are the shares of the classes, or the mean, of training."""
    if classes:
        return judged_classes(probabilities(model, X), y, known, classes)
    return judged_values(model.predict(X)[:, 0].astype(float), y, known[0])


def probabilities(model: Sequential, X: Array) -> Array:
    """Return the probability of each class, (n, classes), in float64."""
    p = model.predict(X).astype(float)
    return np.hstack([1 - p, p]) if p.shape[1] == 1 else p
