"""What can be said of rows and of targets: doubles, leaks, balance, order, and relation at all."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from pellucid.check.doctor.dependence import chance
from pellucid.check.doctor.findings import Finding, found
from pellucid.check.doctor.table import FEW, Table
from pellucid.graph import Array

ORDERED = 6.0  # standard deviations, which never come by chance
RELATED = 0.01  # how likely shuffled targets may be as related: a smaller chance is a relation
NARROW = 20  # columns: fewer, of a few values each, and rows may well coincide
TESTED = 40  # rows that a test of dependence needs: with fewer, even real labels may stay below

# -- rows ------------------------------------------------------------------------------------------


def _keys(X: Array) -> Array:
    """Return a key for each row: equal for equal rows, in float32, as models see them."""
    rows = np.ascontiguousarray(X.astype(np.float32) + 0.0)
    return rows.view(np.dtype((np.void, rows.dtype.itemsize * rows.shape[1]))).ravel()


def _natural(X: Array) -> float:
    """Return the share of rows that may have a double by chance.

    None, where a column is continuous: no two of its values are equal by chance. Where all hold a
    few values each, in a table of a few columns, all of them may. In a wide one the columns count
    as independent: with m combinations of values, n rows leave n/m on average for each.
    """
    if _continuous(X):
        return 0.0
    counts = [len(np.unique(X[:, k])) for k in range(X.shape[1])]
    if len(counts) <= NARROW or max(counts) <= 2:  # flags are often parts of one category
        return 1.0
    return min(1.0, len(X) / math.exp(min(sum(map(math.log, counts)), 700.0)))


def _continuous(X: Array) -> bool:
    """Whether a column tells nearly all rows apart, copies of whole rows left out."""
    if X.shape[1] == 1:
        return len(np.unique(X)) >= len(X) / 2
    rows = np.delete(X, _doubles(X), axis=0)
    return any(len(np.unique(rows[:, k])) >= 0.9 * len(rows) for k in range(rows.shape[1]))


def _doubles(X: Array) -> Array:
    """Return the rows that equal an earlier one."""
    _, first = np.unique(_keys(X), return_index=True)
    return np.setdiff1d(np.arange(len(X)), first)


def duplicates(table: Table) -> Iterator[Finding]:
    """Yield rows that are there twice, where their columns could have told them apart."""
    X = table.X
    again = _doubles(X)
    if len(X) < FEW or not len(again):
        return
    share, chance = len(again) / len(X), _natural(X)
    # 5% is what starts to bias a validation split; below, it is said and no more
    severity = "warning" if share >= 0.05 and share > 3 * chance else "info"
    yield found(
        "duplicate-rows",
        severity,
        f"{len(again)} of {len(X)} rows equal an earlier row",
        {
            "share of duplicates": share,
            "threshold": 0.05,
            "share expected by chance": chance,
            "threshold from": "a share that biases a split by as much",
        },
        {"rows": again[:20].tolist()},
    )


def leaked(table: Table) -> Iterator[Finding]:
    """Yield validation rows that are training rows, too."""
    if table.held_X is None or len(table.X) < FEW:
        return
    inside = np.isin(_keys(table.held_X), _keys(table.X))
    share, within = float(inside.mean()), len(_doubles(table.X)) / len(table.X)
    # where rows coincide by chance, they do so within the training rows as well
    natural = within if _natural(table.X) == 1.0 else _natural(table.X)
    if share <= 3 * natural or not inside.any():
        return
    # more than 1 row in 20 moves a score by as much as people report; one or two rows do not
    severity = "error" if share >= 0.2 else "warning" if share >= 0.03 else "info"
    severity = severity if inside.sum() > 3 else "info"
    yield found(
        "leaked-rows",
        severity,
        f"{inside.sum()} of {len(inside)} validation rows are training rows, too",
        {
            "share": share,
            "threshold": 0.03,
            "share expected by chance": natural,
            "threshold from": "what a score is moved by",
        },
        {"rows of validation": np.flatnonzero(inside)[:20].tolist()},
    )


# -- targets ---------------------------------------------------------------------------------------


def imbalance(table: Table) -> Iterator[Finding]:
    """Yield classes of which one has 9 rows and more for each of another's."""
    labels = table.labels
    if labels is None or len(labels) < FEW:
        return
    counts = np.bincount(labels)
    counts = counts[counts > 0]
    if len(counts) < 2:
        yield found(
            "class-imbalance",
            "error",
            "all rows are of one class",
            {"classes": 1, "threshold": 2, "threshold from": "nothing to tell apart"},
        )
        return
    ratio = counts.max() / counts.min()
    if ratio < 4:
        return
    # 9 to 1: naming the larger class alone is right in 90%, which reads like success
    yield found(
        "class-imbalance",
        "warning" if ratio >= 9 else "info",
        f"the largest class has {ratio:.3g} times the rows of the smallest",
        {
            "ratio": float(ratio),
            "threshold": 9.0,
            "share of the largest": float(counts.max() / len(labels)),
            "threshold from": "the largest class alone scores 90%",
        },
        {"rows by class": counts[:20].tolist()},
    )


def ordered(table: Table) -> Iterator[Finding]:
    """Yield rows that come by target, where batches take them as they come."""
    if len(table.X) < FEW:
        return
    sureness, share = in_order(table.targets)
    missing = _missing(table)
    if missing:
        yield found(
            "sorted-data",
            "warning",
            f"class {missing[0]} is in validation but not in training",
            {
                "classes missing": len(missing),
                "threshold": 0,
                "threshold from": "a class that was never seen cannot be learned",
            },
            {"classes": missing},
        )
    elif sureness > ORDERED and share < 0.5:  # and half of the changes of a random order
        active = table.batched and not table.shuffle
        yield found(
            "sorted-data",
            "warning" if active else "info",
            "rows come in the order of their targets" + (", unshuffled" if active else ""),
            {
                "changes, of those expected": share,
                "threshold": 0.5,
                "deviations": sureness,
                "threshold from": "a random order: 6 deviations never come by chance",
            },
            {"shuffle": table.shuffle},
        )


def in_order(t: Array) -> tuple[float, float]:
    """Return how sure it is that neighbors are alike, and how much changes from row to row.

    classes: changes / those expected of a random order, n (1 - Σ share²)
    values:  Σ(y_i - y_i+1)² / 2Σ(y - mean)², which is 1 in a random order (von Neumann 1941)
    """
    spread = float(np.sum((t - t.mean(axis=0)) ** 2))
    if not spread:
        return 0.0, 1.0
    change = float(np.sum(np.diff(t, axis=0) ** 2)) / (2 * spread)
    return (1 - change) * math.sqrt(len(t)), change


def _missing(table: Table) -> list[int]:
    if table.held_y is None or table.labels is None:
        return []
    train, held = (np.asarray(a, float).reshape(len(a), -1) for a in (table.y, table.held_y))
    if train.shape[1] > 1:
        train, held = train.argmax(axis=1), held.argmax(axis=1)
    gone = set(held.ravel().tolist()) - set(train.ravel().tolist())
    return sorted(int(g) for g in gone)


def unrelated(table: Table) -> Iterator[Finding]:
    """Yield targets that no look at the inputs tells anything of; a suspicion until a run fails."""
    X, t = table.X, table.targets
    labels = table.labels
    # of a class with a handful of rows nothing can be said: the second largest decides
    second = len(X) if labels is None else int(np.sort(np.bincount(labels, minlength=2))[-2])
    if len(X) < TESTED or second < TESTED / 4 or not t.std() or not X.std():
        return
    likely = chance(X, t, table.seed)
    if likely > RELATED:
        yield found(
            "random-labels",
            "warning",
            "targets have no relation to the inputs that can be seen",
            {
                "chance that shuffled targets look as related": likely,
                "threshold": RELATED,
                "threshold from": "1 in 100 shuffled targets is below",
            },
        )
