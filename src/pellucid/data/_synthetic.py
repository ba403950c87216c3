"""Points in classes, made from a seed; every source of chance has a key of its own.

So a data set with more noise is the same data set, blurred: changing one argument leaves the
draws of the others as they are.
"""

from typing import SupportsFloat, SupportsIndex

import numpy as np
from numpy.typing import NDArray

from pellucid.data._checks import not_negative, positive, rows, whole
from pellucid.rng import key, normal, permutation, uniform

Points = NDArray[np.float64]
Labels = NDArray[np.int64]

CASE_STUDY_STEP = 4.0  # radians, from one arm to the next and along an arm
CASE_STUDY_TURNS = CASE_STUDY_STEP / (2 * np.pi)
BOX = 4.0  # the centers of blobs lie within -BOX to BOX in every feature
CANDIDATES = 16


def circles(
    n: SupportsIndex = 200,
    spread: SupportsFloat = 0.7,
    threshold: SupportsFloat = 0.5,
    noise: SupportsFloat = 0.1,
    seed: SupportsIndex = 0,
) -> tuple[Points, Labels]:
    """Return a disc of class 1 within a cloud of class 0:  X (n, 2), y (n,).

    x = spread * normal,  y = 1 where x1^2 + x2^2 < threshold,  X = x + noise * normal.
    The labels are made before the noise is added, so with the defaults even the true rule, asked
    about X, is right for about 93% of many rows (of 200, mostly 90% to 97%): whoever scores much
    more on rows kept aside was lucky. About 40% of the rows are of class 1, by chance.
    Raises ArgumentError where n is below 2, threshold is not above 0, or spread or noise is below
    0.

    >>> X, y = circles()
    >>> X.shape, np.bincount(y)
    ((200, 2), array([123,  77]))
    """
    n, threshold = rows(n, 2), positive("threshold", threshold)
    clean = _scatter("spread", spread, (n, 2), seed, "circles points")
    y = (np.sum(clean**2, axis=1) < threshold).astype(np.int64)
    return clean + _scatter("noise", noise, (n, 2), seed, "circles noise"), y


def moons(
    n: SupportsIndex = 200, noise: SupportsFloat = 0.1, seed: SupportsIndex = 0
) -> tuple[Points, Labels]:
    """Return two half circles that hold each other, in shuffled rows:  X (n, 2), y (n,).

    class 0:  (cos t, sin t),  class 1:  (1 - cos t, 1/2 - sin t),  with t from 0 to pi in even
    steps; then noise * normal is added. The classes differ by at most one row.
    Raises ArgumentError where n is below 2 or noise is below 0.

    >>> X, y = moons(100)
    >>> X.shape, np.bincount(y)
    ((100, 2), array([50, 50]))
    """
    y, along = _dealt(rows(n, 2), 2)
    t = np.pi * along
    upper = np.stack([np.cos(t), np.sin(t)], axis=1)
    lower = np.stack([1.0 - np.cos(t), 0.5 - np.sin(t)], axis=1)
    X = np.where(y[:, None] == 0, upper, lower)  # (n, 2)
    X += _scatter("noise", noise, X.shape, seed, "moons noise")
    return _shuffled(X, y, seed, "moons")


def spirals(
    n: SupportsIndex = 300,
    arms: SupportsIndex = 3,
    turns: SupportsFloat = CASE_STUDY_TURNS,
    noise: SupportsFloat = 0.2,
    seed: SupportsIndex = 0,
) -> tuple[Points, Labels]:
    """Return the arms of a spiral, one class each, in shuffled rows:  X (n, 2), y (n,).

    X = (r sin t, r cos t), with r from 0 to 1 in even steps along an arm, and t from the arm's
    first angle, over `turns` full turns, plus noise * normal. With the defaults t of arm j goes
    from 4 j to 4 (j + 1), as in the case study of Stanford's CS231n ("Putting it together: Minimal
    Neural Network Case Study"); any other number of arms starts evenly around the circle, for in
    steps of 4 some would lie on each other. The arms differ by at most one row.
    Raises ArgumentError where arms is below 1, n is below arms, or turns or noise is below 0.

    >>> X, y = spirals()
    >>> X.shape, np.bincount(y)
    ((300, 2), array([100, 100, 100]))
    """
    arms = whole("arms", arms, 1)
    y, radius = _dealt(rows(n, arms), arms)
    step = CASE_STUDY_STEP if arms == 3 else 2 * np.pi / arms
    sweep = 2 * np.pi * not_negative("turns", turns)
    angle = step * y + sweep * radius + _scatter("noise", noise, y.shape, seed, "spirals noise")
    X = radius[:, None] * np.stack([np.sin(angle), np.cos(angle)], axis=1)  # (n, 2)
    return _shuffled(X, y, seed, "spirals")


def blobs(
    n: SupportsIndex = 300,
    classes: SupportsIndex = 3,
    features: SupportsIndex = 2,
    spread: SupportsFloat = 0.6,
    seed: SupportsIndex = 0,
) -> tuple[Points, Labels]:
    """Return round clouds, one per class, in shuffled rows:  X (n, features), y (n,).

    X = center of the class + spread * normal. The centers lie in a box of -4 to 4, each the
    farthest from those before it of 16 drawn evenly, so few classes seldom overlap.
    The classes differ by at most one row.
    Raises ArgumentError where classes or features is below 1, n is below classes, or spread is
    below 0.

    >>> X, y = blobs(n=10, classes=4, features=3)
    >>> X.shape, np.bincount(y)
    ((10, 3), array([3, 3, 2, 2]))
    """
    classes, features = whole("classes", classes, 1), whole("features", features, 1)
    y, _ = _dealt(rows(n, classes), classes)
    centers = _centers(classes, features, seed)
    X = centers[y] + _scatter("spread", spread, (len(y), features), seed, "blobs noise")
    return _shuffled(X, y, seed, "blobs")


def _centers(classes: int, features: int, seed: SupportsIndex) -> Points:
    """Return points far from one another, (classes, features), by Mitchell's best candidate."""
    shape = (classes, CANDIDATES, features)
    drawn = BOX * (2 * uniform(key(seed, "blobs centers"), shape) - 1)
    centers = drawn[:, 0].copy()
    for c in range(1, classes):
        gaps = drawn[c, :, None] - centers[:c]  # (candidates, c, features)
        nearest = np.min(np.sum(gaps**2, axis=2), axis=1)
        centers[c] = drawn[c, np.argmax(nearest)]
    return centers


def _dealt(n: int, classes: int) -> tuple[Labels, Points]:
    """Deal n rows to the classes in turn: y (n,), and how far along its class each is, 0 to 1."""
    turn, y = np.divmod(np.arange(n, dtype=np.int64), classes)
    last = np.bincount(y)[y] - 1
    return y, turn / np.maximum(last, 1)


def _scatter(
    name: str, deviation: SupportsFloat, shape: tuple[int, ...], seed: SupportsIndex, purpose: str
) -> Points:
    """Return deviation * normal, or refuse the deviation that the argument `name` holds."""
    return not_negative(name, deviation) * normal(key(seed, purpose), shape)


def _shuffled(X: Points, y: Labels, seed: SupportsIndex, name: str) -> tuple[Points, Labels]:
    """Return the rows in random order: in class order, a split by slices would miss a class."""
    order = permutation(key(seed, f"{name} order"), len(y))
    return X[order], y[order]
