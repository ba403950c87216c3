"""What can be said of the data before anything is trained: values, labels and columns.

checks   every check of data that are finite, those of `rows` included
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from pellucid.check.doctor import rows
from pellucid.check.doctor.findings import Finding, found
from pellucid.check.doctor.table import FEW, Table, plural
from pellucid.graph import Array
from pellucid.losses import Loss

LOOKED_AT = (
    "NaN and Inf",
    "range of labels",
    "constant columns",
    "equal columns",
    "leakage of the target",
    "duplicate rows",
    "rows in training and validation",
    "balance of classes",
    "order of rows",
    "labels against inputs",
)


def checks(table: Table) -> Iterator[Finding]:
    """Yield what is to be said of finite data."""
    yield from constants(table)
    yield from equal_columns(table)
    yield from leaked_target(table)
    yield from rows.duplicates(table)
    yield from rows.leaked(table)
    yield from rows.imbalance(table)
    yield from rows.ordered(table)
    yield from rows.unrelated(table)


# -- values ----------------------------------------------------------------------------------------


def not_finite(arrays: dict[str, Array]) -> Iterator[Finding]:
    """Yield NaN and Inf, of X and y and of what is held out."""
    for code, test, word in (("nan-in-data", np.isnan, "NaN"), ("inf-in-data", np.isinf, "Inf")):
        places = {name: np.argwhere(test(a)) for name, a in arrays.items() if test(a).any()}
        for name, spots in list(places.items())[:1]:
            rows = np.unique(spots[:, 0])
            where = {"array": name, "rows": rows[:20].tolist()}
            if spots.shape[1] > 1:
                where["columns"] = np.unique(spots[:, 1])[:20].tolist()
            count = sum(map(len, places.values()))
            yield found(
                code,
                "error",
                f"{name} holds {word} in {plural(len(spots), 'place')}, {plural(len(rows), 'row')}",
                {"places": count, "threshold": 0, "threshold from": "any one spoils every sum"},
                where,
            )


def out_of_range(y: Array, loss: Loss | None, output: tuple[int, ...]) -> Iterator[Finding]:
    """Yield labels that the loss or the output has no place for."""
    allowed = _allowed(np.asarray(y, float), loss, output)
    if allowed is None:
        return
    low, high, wanted = allowed
    flat = np.asarray(y, float).reshape(len(y), -1)
    whole = wanted == "whole numbers" or wanted == "-1 and 1"
    bad = (flat < low) | (flat > high) | (whole & (flat != np.floor(flat)))
    if wanted == "-1 and 1":
        bad |= np.abs(flat) != 1
    if not bad.any():
        return
    rows = np.flatnonzero(bad.any(axis=1))
    span = f"{flat.min():g} to {flat.max():g}"
    names = loss.name if loss else ""
    evidence = {
        "smallest": float(flat.min()),
        "largest": float(flat.max()),
        "allowed from": low,
        "allowed to": high,
        "rows": len(rows),
        "threshold from": f"the loss {names} and {output} outputs",
    }
    yield _extra_class(flat, bad, evidence, loss) or found(
        "label-out-of-range",
        "error",
        f"y runs from {span}, but {names} with this output takes {wanted} from {low:g} to {high:g}",
        evidence,
        {"rows": rows[:20].tolist()},
    )


def _allowed(
    y: Array, loss: Loss | None, output: tuple[int, ...]
) -> tuple[float, float, str] | None:
    if loss is None or not output:
        return None
    if loss.targets == "classes":
        return (0, output[-1] - 1, "whole numbers") if y.reshape(len(y), -1).shape[1] == 1 else None
    by_kind = {
        "binary": (0.0, 1.0, "numbers"),
        "signs": (-1.0, 1.0, "-1 and 1"),
        "counts": (0.0, math.inf, "numbers"),
    }
    return by_kind.get(loss.targets)


def _extra_class(
    flat: Array, bad: Array, evidence: dict[str, Any], loss: Loss | None
) -> Finding | None:
    """Return the finding where targets are three classes or more, and the output is for two.

    Stray labels are few; a class of its own has a share like the others' (a fifth of an equal one).
    """
    values, counts = np.unique(flat, return_counts=True)
    binary = loss is not None and loss.targets in ("binary", "signs") and flat.shape[1] == 1
    from_zero = values[0] == 0 and np.array_equal(values, np.arange(len(values)))
    if not (binary and from_zero and 2 < len(values) <= 100):
        return None
    if counts.min() < 0.2 * len(flat) / len(values):
        return None
    return found(
        "wrong-output-for-loss",
        "error",
        f"y holds {len(values)} classes, but one output can only tell 2 apart",
        {**evidence, "classes": len(values), "smallest class": int(counts.min())},
        {"layer": "last"},
        remedy=f'pc.Dense({len(values)}, "softmax") as the last layer, and loss="cce"',
    )


# -- columns ---------------------------------------------------------------------------------------


def constants(table: Table) -> Iterator[Finding]:
    """Yield constant columns: a curiosity in sparse data, such as the rim of an image."""
    X = table.X
    if len(X) < 3:
        return
    flat = np.ptp(X, axis=0) <= 1e-12 * np.maximum(np.abs(X).max(axis=0), 1e-300)
    columns = np.flatnonzero(flat)
    if not len(columns):
        return
    others = X[:, ~flat]
    ground = X.min()  # what is empty: 0, or what 0 was moved to
    sparse = float((others == ground).mean()) if others.size else 0.0
    empty = bool((X[:, flat] == ground).all())
    # half-empty columns are typical of images and of counts: there, some are empty by chance
    severity = "info" if empty and sparse >= 0.25 else "warning"
    code = "constant-feature" if others.size else "ignores-input"
    yield found(
        code,
        severity if others.size else "error",
        f"{len(columns)} of {plural(X.shape[1], 'column')} with one value in all {len(X)} rows",
        {
            "constant columns": len(columns),
            "threshold": 0,
            "share of the smallest value elsewhere": sparse,
            "threshold from": "a column without spread has no information",
        },
        {"columns": columns[:20].tolist(), "value": float(X[0, columns[0]])},
    )


def equal_columns(table: Table) -> Iterator[Finding]:
    """Yield columns that are equal to an earlier one."""
    X = table.X[: min(len(table.X), 2000)]
    if len(X) < FEW:
        return
    seen: dict[bytes, int] = {}
    pairs = []
    for k in np.flatnonzero(np.ptp(X, axis=0) > 0).tolist():
        first = seen.setdefault(np.ascontiguousarray(X[:, k]).tobytes(), k)
        pairs += [(first, k)] if first != k else []
    if pairs:
        yield found(
            "duplicate-columns",
            "info",
            f"column {pairs[0][1]} equals column {pairs[0][0]}",
            {"pairs": len(pairs)},
            {"columns": [list(p) for p in pairs[:10]]},
        )


def leaked_target(table: Table) -> Iterator[Finding]:
    """Yield a column that is the class itself, among columns that are not of its kind."""
    labels, X = table.labels, table.X
    if labels is None or len(X) < FEW or X.shape[1] < 2 or len(np.unique(labels)) != 2:
        return
    counts = np.array([len(np.unique(X[:, k])) for k in range(min(X.shape[1], 200))])
    if np.median(counts) <= 10:
        return
    for k in np.flatnonzero(counts == 2).tolist():
        high = X[:, k] == X[:, k].max()
        if np.array_equal(high, labels == 1) or np.array_equal(~high, labels == 1):
            yield found(
                "leaked-target",
                "warning",
                f"column {k} is the target in other numbers",
                {"rows in which it agrees": len(X), "rows": len(X)},
                {"columns": [k]},
            )
