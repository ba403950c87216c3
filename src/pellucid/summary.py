"""A model as a table: its layers, their shapes, and how each parameter count comes about."""

from __future__ import annotations

from typing import Any

import numpy as np

from pellucid.dims import show
from pellucid.nn.network import BATCH, Network, Slot
from pellucid.optim import Optimizer


class Shown(str):
    """A text that has been printed already, so that a console does not show it again."""

    __slots__ = ()

    def __repr__(self) -> str:
        return ""


Rows = list[tuple[str, str, str]]


def summary(net: Network, dtype: np.dtype[Any], optimizer: Optimizer) -> str:
    """Return the table as text."""
    rows: Rows = [("layer", "output", "parameters"), ("input", show((BATCH, *net.input_shape)), "")]
    rows += _layers(net)
    widths = [max(len(row[k]) for row in rows) for k in range(3)]
    lines = [
        "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    lines.insert(1, "─" * (sum(widths) + 4))
    copies = 2 + len(optimizer.state)
    bytes_ = net.size * dtype.itemsize * copies
    lines += [lines[1], f"{net.size:,} parameters, {dtype.name}; with gradients and "
              f"{type(optimizer).__name__}'s state {_size(bytes_)}"]  # fmt: skip
    return "\n".join(lines)


def _layers(net: Network) -> Rows:
    rows: Rows = []
    for k, layer in enumerate(net.layers):
        own = [s for s in net.slots if s.layer == k]
        rows.append((repr(layer), show((BATCH, *net.shapes[k])), _count(own)))
    return rows


def _count(slots: list[Slot]) -> str:
    """Return how a layer's count comes about: 2·8 + 8 = 24."""
    if not slots:
        return "0"
    total = sum(s.stop - s.start for s in slots)
    return f"{' + '.join('·'.join(map(str, s.shape)) for s in slots)} = {total}"


def _size(count: float) -> str:
    for unit in ("bytes", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.3g} {unit}"
        count /= 1024
    return f"{count:.3g} GiB"
