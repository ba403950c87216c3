"""A model as a table: its layers, their shapes, and how each parameter count comes about."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from pellucid.dims import Shape, show
from pellucid.nn.network import BATCH, Network, Slot
from pellucid.optim import Optimizer


class Shown(str):
    """A text that has been printed already, so that a console does not show it again."""

    __slots__ = ()

    def __repr__(self) -> str:
        return ""


Rows = list[tuple[str, str, str]]


Buffers = Sequence[tuple[Shape, np.dtype[Any]]]
BATCH_OF = 32  # samples for which the memory of activations is stated


def summary(
    net: Network, dtype: np.dtype[Any], optimizer: Optimizer, buffers: Buffers | None = None
) -> str:
    """Return the table as text; `buffers` are the arrays of a training step."""
    rows: Rows = [("layer", "output", "parameters"), ("input", show((BATCH, *net.input_shape)), "")]
    rows += _layers(net)
    widths = [max(len(row[k]) for row in rows) for k in range(3)]
    lines = [
        "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    lines.insert(1, "─" * (sum(widths) + 4))
    lines += [lines[1], f"{net.size:,} parameters, {dtype.name}"]
    return "\n".join([*lines, *_memory(net.size * dtype.itemsize, optimizer, buffers)])


def _memory(each: int, optimizer: Optimizer, buffers: Buffers | None) -> list[str]:
    """Return what training keeps in memory at once: the peak, and what it is made of."""
    parts = {"parameters": each, "gradients": each}
    if optimizer.state:
        parts[f"{type(optimizer).__name__}'s state"] = each * len(optimizer.state)
    batch = ""
    if buffers is not None:
        parts["activations"] = sum(_count_of(s) * kind.itemsize for s, kind in buffers)
        batch = f" on batches of {BATCH_OF}"
    listed = ", ".join(f"{name} {_size(count)}" for name, count in parts.items())
    return [f"memory to train{batch}: {_size(sum(parts.values()))}", f"  {listed}"]


def _count_of(shape: Any) -> int:
    """Return the elements of an array of a step, whose batch size has one name or another."""
    sizes = {"n": BATCH_OF, "batch": BATCH_OF}
    return math.prod(int(eval(str(size), {}, sizes)) for size in shape)


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
