"""Which classes are taken for which: counts, labels, and the shares that they give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pellucid.errors import ArgumentError, DataError, DtypeError, ShapeError
from pellucid.graph import Array, regular
from pellucid.metrics.metric import ratio


@dataclass(frozen=True, eq=False, repr=False)
class Confusion:
    """How many samples of each class are taken for which; printed, a table.

        counts[i, j] = samples of class labels[i] that are predicted as labels[j]

    `counts` are whole numbers, or sums of weights. Two of them add up: those of batches to that of
    all samples.

    >>> found = confusion_matrix(prediction=["cat", "dog", "dog"], target=["cat", "cat", "dog"])
    >>> found
              predicted
    true      cat  dog
    cat         1    1
    dog         0    1
    >>> (found + found).counts.tolist()
    [[2, 2], [0, 2]]
    """

    counts: Array  # (C, C)
    labels: Array  # (C,)

    @property
    def accuracy(self) -> float:
        """Share of samples that are right; NaN where there are none."""
        total = self.counts.sum()
        return float(np.trace(self.counts) / total) if total else float("nan")

    @property
    def precision(self) -> Array:
        """Share of those predicted as a class that belong to it, (C,); 0 where none is."""
        return ratio(np.diag(self.counts), self.counts.sum(0))

    @property
    def recall(self) -> Array:
        """Share of each class that is predicted as such, (C,); 0 where it has no sample."""
        return ratio(np.diag(self.counts), self.counts.sum(1))

    @property
    def f1(self) -> Array:
        """Harmonic mean of precision and recall of each class, (C,); 0 where both are."""
        return ratio(2 * np.diag(self.counts), self.counts.sum(0) + self.counts.sum(1))

    def __add__(self, other: Confusion) -> Confusion:
        """Return the matrix of these samples and those; classes that one lacks have 0 there."""
        if not isinstance(other, Confusion):
            return NotImplemented
        labels = self.labels
        if not np.array_equal(labels, other.labels):
            labels = np.unique(_together(labels, other.labels))
        return Confusion(self._among(labels) + other._among(labels), labels)

    def _among(self, labels: Array) -> Array:
        if len(labels) == len(self.labels):
            return self.counts
        counts = np.zeros((len(labels), len(labels)), self.counts.dtype)
        places = np.searchsorted(labels, self.labels)
        counts[np.ix_(places, places)] = self.counts
        return counts

    def __array__(self, dtype: Any = None, copy: Any = None) -> Array:
        """Return the counts, for NumPy."""
        return np.array(self.counts, dtype)

    def __repr__(self) -> str:
        names = [str(label) for label in self.labels.tolist()]
        cells = [[_short(x) for x in row] for row in self.counts.tolist()]
        width = max(3, *(len(x) for x in (*names, *(c for row in cells for c in row))))
        first = max(8, *(len(name) for name in names))
        rows = [("true", names), *zip(names, cells, strict=True)]
        lines = ["  ".join([head.ljust(first), *(c.rjust(width) for c in row)])
                 for head, row in rows]  # fmt: skip
        return "\n".join([" " * first + "  predicted", *lines])


def _short(number: float) -> str:
    return f"{number:.4g}" if isinstance(number, float) else str(number)


def confusion_matrix(
    *, prediction: Any, target: Any, labels: Any = None, sample_weight: Any = None
) -> Confusion:
    """Return how many samples of each class are taken for which.

    Args, by name, for others take the first two the other way round: `prediction`, a label for
    each sample, (n,), or a row of scores, (n, classes), the largest of which counts; `target`, a
    label for each sample, from 0 on where there are scores; `labels`, all classes, where some may
    not occur; `sample_weight`, to be summed instead of samples.
    Raises: ShapeError, DtypeError, DataError for what cannot be meant.

    >>> confusion_matrix(prediction=[[0.2, 0.8], [0.7, 0.3]], target=[1, 1]).counts
    array([[0, 0],
           [1, 1]])
    """
    said, count = _labels_of(prediction, "prediction")
    true, _ = _labels_of(target, "target")
    if len(said) != len(true):
        raise ShapeError(
            f"prediction has {len(said)} rows, target {len(true)}", "one of each for each sample"
        )
    weights = _weights(sample_weight, len(true))
    known = np.arange(count) if labels is None and count else labels
    every = np.unique(_together(said, true)) if known is None else _known(known)
    i, j = (_places(x, every, name) for x, name in ((true, "target"), (said, "prediction")))
    size = len(every)
    counts = np.bincount(i * size + j, weights, size * size).reshape(size, size)
    return Confusion(counts if weights is not None else counts.astype(int), every)


def _labels_of(given: Any, name: str) -> tuple[Array, int]:
    """Return the label of each sample, and of how many classes, where it was a row of scores."""
    array = regular(given, name)
    if array.ndim == 2 and array.shape[1] > 1:
        if array.dtype.kind not in "biuf":
            raise DtypeError(f"{name} holds {array.dtype}, not scores", "one label for each sample")
        return array.argmax(axis=1), array.shape[1]
    if array.ndim == 2:
        array = array[:, 0]
    if array.ndim != 1:
        raise ShapeError(f"{name} is {array.shape}", "a label for each sample, (n,)")
    if array.dtype.kind == "f" and not (array == np.floor(array)).all():
        raise DataError(
            f"{name} holds {array[array != np.floor(array)][0]:g}, and labels are whole numbers",
            f"say from where on it is class 1: {name} > 0.5",
        )
    if array.dtype.kind in "bf":
        array = array.astype(int)
    return array, 0


def _weights(given: Any, n: int) -> Array | None:
    if given is None:
        return None
    array = regular(given, "sample_weight")
    if array.shape != (n,):
        raise ShapeError(f"sample_weight is {array.shape} for {n} samples", "one for each sample")
    if array.dtype.kind not in "biuf" or not (np.isfinite(array) & (array >= 0)).all():
        raise DataError("sample_weight holds what is no weight", "numbers of at least 0")
    return np.asarray(array, float)


def _known(labels: Sequence[Any] | Array) -> Array:
    array = regular(labels, "labels")
    if array.ndim != 1 or len(np.unique(array)) != len(array) or not len(array):
        raise ArgumentError(f"labels is {labels!r}", "all classes, each once: labels=[0, 1, 2]")
    return array


def _together(a: Array, b: Array) -> Array:
    if {a.dtype.kind in "US", b.dtype.kind in "US"} == {True, False}:
        raise DtypeError(
            f"labels are {a.dtype} here and {b.dtype} there", "texts or numbers, for both"
        )
    return np.concatenate([a, b])


def _places(found: Array, labels: Array, name: str) -> Array:
    """Return where each label stands among all."""
    order = np.argsort(labels, kind="stable")
    _together(found, labels)
    places = np.searchsorted(labels[order], found)
    at = order[np.minimum(places, len(labels) - 1)]
    if (labels[at] != found).any():
        odd = found[labels[at] != found][0]
        raise DataError(f"{name} holds {odd!r}, which is none of the labels", f"{labels!r}")
    return at
