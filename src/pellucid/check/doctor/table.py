"""The data as the doctor reads them: samples in rows, targets as labels or as values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pellucid.graph import Array
from pellucid.losses import Loss

FEW = 20  # rows: below, shares and correlations say nothing (a truth table has 4 to 16)


@dataclass(frozen=True, eq=False)
class Table:
    """Samples in rows of float64, and targets as they were given."""

    X: Array  # (n, d)
    y: Array
    held_X: Array | None
    held_y: Array | None
    loss: Loss | None
    output: tuple[int, ...]  # of the model, for one sample
    batched: bool  # several batches in an epoch
    shuffle: bool
    seed: int = 0

    @property
    def labels(self) -> Array | None:
        """The class of each row, counted from 0 over those there are; None where y holds values."""
        return labels_of(self.y, self.loss)

    @property
    def targets(self) -> Array:
        """Targets as columns of numbers: one-hot rows of classes, or values."""
        labels = self.labels
        if labels is not None:
            return np.eye(int(labels.max()) + 1)[labels]
        return np.asarray(self.y, float).reshape(len(self.y), -1)


def labels_of(y: Array, loss: Loss | None) -> Array | None:
    """Return the class of each row, where targets are classes."""
    flat = np.asarray(y, float).reshape(len(y), -1)
    if flat.shape[1] > 1:
        shares = np.isin(flat, (0, 1)).all() and (flat.sum(axis=1) == 1).all()
        return np.asarray(flat.argmax(axis=1)) if shares else None
    few = np.unique(flat)
    whole = bool((few == np.floor(few)).all())
    classes = loss is not None and loss.classifies and whole
    if classes or (len(few) == 2 and set(few.tolist()) == {0.0, 1.0}):
        return np.asarray(np.searchsorted(few, flat[:, 0]))
    return None


def plural(count: int, noun: str) -> str:
    """Return "1 row", "2 rows"."""
    return f"{count} {noun}{'s' * (count != 1)}"
