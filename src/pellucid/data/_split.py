"""Split data into a part to learn from and a part to test on."""

from typing import Any, SupportsFloat, SupportsIndex

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pellucid.data._checks import fraction
from pellucid.errors import ArgumentError, ShapeError
from pellucid.rng import key, permutation

Rows = NDArray[Any]
Integers = NDArray[np.int64]


def split(
    X: ArrayLike,
    y: ArrayLike,
    test: SupportsFloat = 0.2,
    seed: SupportsIndex = 0,
    stratify: bool = True,
) -> tuple[Rows, Rows, Rows, Rows]:
    """Return X_train, y_train, X_test, y_test, shuffled, with round(n * test) rows to test on.

    Where y holds class labels, each class gets its share of the test rows: the whole part of
    size * rows / n, and the rows left over go to the largest remainders (ties by chance).
    Labels are integers, strings or truth values of shape (n,) or (n, 1), numbers that are all
    0 or 1 of these shapes, or one-hot rows (n, classes); other y, or stratify=False, are only
    shuffled. Raises ArgumentError where test is not between 0 and 1 or leaves a part empty, and
    ShapeError where X and y differ in length.

    >>> X_train, y_train, X_test, y_test = split(np.eye(10), np.arange(10) % 2)
    >>> X_train.shape, y_test
    ((8, 10), array([1, 0]))
    """
    X, y = np.asarray(X), np.asarray(y)
    _same_length(X, y)
    count = _test_rows(len(X), fraction("test", test))
    order = permutation(key(seed, "split order"), len(X))
    classes = _classes(y) if stratify else None
    chosen = np.arange(len(X)) < count if classes is None else _fair(classes[order], count, seed)
    train, tested = order[~chosen], order[chosen]
    return X[train], y[train], X[tested], y[tested]


def _same_length(X: Rows, y: Rows) -> None:
    if X.ndim == 0 or y.ndim == 0 or len(X) != len(y):
        what = f"X has shape {X.shape} and y has shape {y.shape}, expected as many rows in both"
        raise ShapeError(what, "pairing each row of X with one of y, along the first axis")


def _test_rows(n: int, test: float) -> int:
    count = round(n * test)
    if not 0 < count < n:
        what = f"test is {test:g}, which puts {count} of {n} rows in the test part"
        raise ArgumentError(f"{what}, expected rows in both parts", "test=0.5, or more rows")
    return count


def _classes(y: Rows) -> Integers | None:
    """Return the class of each row, counted from 0, or None where y holds no class labels."""
    column = y[:, 0] if y.ndim == 2 and y.shape[1] == 1 else y
    binary = bool(np.isin(y, (0, 1)).all()) if y.dtype.kind in "biuf" else False
    if column.ndim == 1 and (binary or y.dtype.kind in "biuUS"):
        return np.unique(column, return_inverse=True)[1].astype(np.int64)
    if y.ndim == 2 and binary and bool((y.sum(axis=1) == 1).all()):
        return _classes(y.argmax(axis=1))
    return None


def _fair(classes: Integers, count: int, seed: SupportsIndex) -> NDArray[np.bool_]:
    """Mark the first rows of each class for the test part, as many as its share is:  (n,)."""
    sizes = np.bincount(classes)
    shares = _shares(sizes, count, seed)
    grouped = np.argsort(classes, kind="stable")
    rank = np.empty_like(classes)  # of each row within its class
    rank[grouped] = np.arange(len(classes)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    marked: NDArray[np.bool_] = rank < shares[classes]
    return marked


def _shares(sizes: Integers, count: int, seed: SupportsIndex) -> Integers:
    """Divide `count` rows among classes in proportion to their sizes, by largest remainder.

    In integers, so the sum is exact. Ties go by chance: in class order, the integer targets of a
    regression, each a class of its own, would send their smallest values to the test part.
    """
    shares, remainders = np.divmod(sizes * count, sizes.sum())
    chance = permutation(key(seed, "split ties"), len(sizes))
    largest = np.lexsort((chance, -remainders))
    shares[largest[: count - shares.sum()]] += 1
    return shares
