"""Where numbers lie and how far they spread, column by column: so that a network sees unit ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pellucid.graph import Array

FLAT = 10 * np.finfo(np.float64).eps  # a spread, as a share of the size, that is rounding alone


@dataclass(frozen=True, eq=False)
class Scale:
    """Mean and spread of every column of the rows seen so far, by their weights.

        x → (x - mean) / scale,   scale = √(Σ w (x - mean)² / Σ w), or 1 where a column is constant

    `total` is the weight of all rows. Statistics of further rows are merged as in Chan, Golub and
    LeVeque 1983, so that parts give what the whole would.
    """

    mean: Array
    variance: Array
    total: float = 0.0

    @property
    def scale(self) -> Array:
        """What numbers are divided by."""
        spread = np.sqrt(self.variance)
        flat = spread <= FLAT * np.abs(self.mean)
        return np.where(flat, 1.0, spread)

    def seen(self, rows: Array, weights: Array | None) -> Scale:
        """Return the statistics of what was seen before and of these rows.

        (n, columns), (n,) -> (columns,)
        """
        w = np.ones(len(rows)) if weights is None else weights.astype(float)
        largest, part = w.max(), w / w.max()  # the sum of huge weights would overflow
        share = (part / part.sum())[:, None]
        mean = np.sum(share * rows, axis=0, dtype=float)
        variance = np.sum(share * np.square(rows - mean), axis=0, dtype=float)
        if not self.total:
            return Scale(mean, variance, float(largest * part.sum()))
        total = self.total + float(largest * part.sum())
        new, apart = 1 - self.total / total, mean - self.mean
        both = (1 - new) * self.variance + new * variance + new * (1 - new) * np.square(apart)
        return Scale(self.mean + new * apart, both, total)

    def apply(self, rows: Array) -> Array:
        """Return rows in units of the scale, in their own precision."""
        return ((rows - self.mean) / self.scale).astype(rows.dtype, copy=False)

    def undo(self, rows: Array) -> Array:
        """Return rows in the units they had."""
        return (rows * self.scale + self.mean).astype(rows.dtype, copy=False)


def none(columns: int) -> Scale:
    """Return the scale that leaves everything as it is: of no rows.

    >>> none(2).apply(np.array([[3.0, 4.0]]))
    array([[3., 4.]])
    """
    return Scale(np.zeros(columns), np.ones(columns))


def as_rows(y: Any) -> Array:
    """Return targets as rows:  (n,) -> (n, 1)."""
    array: Array = np.asarray(y)
    return array.reshape(len(array), -1)
