"""Do targets depend on inputs at all?  A test that needs no training.

    S = Σ_ij A_ij (t_i · t_j),   p = share of shuffled targets whose S is at least as large

t are centered targets (one-hot rows, or values); A says which rows are alike: nearest neighbors, or
the hat matrix of ridge regression without its diagonal.
"""

from __future__ import annotations

import numpy as np

from pellucid import rng
from pellucid.graph import Array

ROWS = 500  # of which it looks at: rows · rows numbers, and twice the rows would hardly say more
SHUFFLES = 400
NEIGHBORS = (1, 5, 15)


def chance(X: Array, targets: Array, seed: int) -> float:
    """Return how likely targets are as related to X as these by chance, over all ways to look.

    X (n, d), targets (n, k) -> the smallest p, times the number of looks (Bonferroni); at most 1.
    """
    rows = rng.permutation(rng.key(seed, "doctor rows"), len(X))[:ROWS]
    scaled, t = standardized(X[rows]), targets[rows] - targets[rows].mean(axis=0)
    orders = [rng.permutation(rng.key(seed, "doctor shuffle", k), len(t)) for k in range(SHUFFLES)]
    shuffled = np.stack([t[order] for order in orders], axis=1)  # (n, shuffles, k)
    looks = [*_near(scaled), _hat(scaled)]
    return min(1.0, len(looks) * min(_p(A, t, shuffled) for A in looks))


def standardized(X: Array) -> Array:
    """Return columns of mean 0 and deviation 1; constant ones become 0."""
    spread = X.std(axis=0)
    with np.errstate(all="ignore"):
        return np.where(spread > 0, (X - X.mean(axis=0)) / np.where(spread > 0, spread, 1), 0.0)


def _near(X: Array) -> list[Array]:
    """Return, for some k, who is among whose k nearest: (n, n) of 0 and 1."""
    square = np.sum(X**2, axis=1)
    distance = square[:, None] + square - 2 * X @ X.T
    np.fill_diagonal(distance, np.inf)
    order = np.argsort(distance, axis=1, kind="stable")
    return [_marked(order[:, :k]) for k in NEIGHBORS if k < len(X) / 3]


def _marked(columns: Array) -> Array:
    marked = np.zeros((len(columns), len(columns)))
    np.put_along_axis(marked, columns, 1.0, axis=1)
    return marked


def _hat(X: Array) -> Array:
    """Return what ridge regression makes of the targets, without each row's own."""
    d = X.shape[1]
    strength = 1e-3 * len(X) + 0.1 * d
    hat = X @ np.linalg.solve(X.T @ X + strength * np.eye(d), X.T)
    np.fill_diagonal(hat, 0.0)
    return hat


def _p(A: Array, t: Array, shuffled: Array) -> float:
    found = float(np.sum(t * (A @ t)))
    n, count, k = shuffled.shape
    likened = (A @ shuffled.reshape(n, count * k)).reshape(n, count, k)
    usual = np.einsum("nsk,nsk->s", shuffled, likened)
    as_large = int(np.sum(usual >= found))
    return (1 + as_large) / (int(count) + 1)
