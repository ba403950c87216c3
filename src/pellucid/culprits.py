"""Bad input, found by trying: an odd entry of the data without which training goes well.

An entry is odd where it is far from all others of its column.  That alone is no verdict: the steps
that led to a failure are taken again with the column's median in its place.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from pellucid.batches import Batch
from pellucid.graph import Array

OUTLIER = 100  # times what nine in ten of a column stay below: healthy heavy tails reach some tens
LOOKED_AT = 4096  # rows, for what is usual in a column


def culprit(scene: Any) -> str | None:
    """Return the odd entry of the data without which the steps are fine, if there is one."""
    for kind, name in (("input", "X"), ("target", "Y")):
        whole = getattr(scene.data, name)
        usual = _flat(whole[:: max(1, len(whole) // LOOKED_AT)])
        limit = OUTLIER * np.maximum(_high(usual), 1.0)
        odd = [np.abs(_flat(getattr(batch, name))) > limit for _, batch in scene.led]
        if any(o.any() for o in odd) and scene.fine_on(_mended(scene, name, odd, usual)):
            return f"bad {kind} {_largest(scene, name, odd)}"
    return None


def _mended(scene: Any, name: str, odd: Sequence[Array], usual: Array) -> Iterable[Batch]:
    """Yield the samples with the median of its column in place of every odd entry."""
    middle = np.median(usual, axis=0)
    for (_, batch), where in zip(scene.led, odd, strict=True):
        part = getattr(batch, name)
        flat = np.where(where, middle, _flat(part)).astype(part.dtype)
        yield replace(batch, **{name: flat.reshape(part.shape)})


def _largest(scene: Any, name: str, odd: Sequence[Array]) -> str:
    """Return where the largest of the odd entries is."""
    found: list[tuple[float, str]] = []
    for (rows, batch), where in zip(scene.led, odd, strict=True):
        part = getattr(batch, name)
        for row, column in np.argwhere(where).tolist():
            size = abs(float(_flat(part)[row, column]))
            found.append((size, f"row {rows[row]}{_column(part.shape[1:], column)}"))
    return max(found)[1]


def _flat(array: Array) -> Array:
    return array.reshape(len(array), -1)


def _high(usual: Array) -> Array:
    """Return what nine in ten entries of each column stay below."""
    high: Array = np.quantile(np.abs(usual), 0.9, axis=0, method="lower")
    return high


def _column(shape: tuple[int, ...], column: int) -> str:
    if len(shape) == 1:
        return f" column {column}"
    return f" at {list(map(int, np.unravel_index(column, shape)))}"
