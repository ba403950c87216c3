"""A model as a table: its layers, their shapes, and how each parameter count comes about."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from pellucid.dims import Shape, show
from pellucid.nn.layer import Composite
from pellucid.nn.network import BATCH, Network, Placed, Slot
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
    lines += [lines[1], _total(net, dtype)]
    return "\n".join([*lines, *_memory(net.size, dtype.itemsize, optimizer, buffers)])


def _memory(count: int, each: int, optimizer: Optimizer, buffers: Buffers | None) -> list[str]:
    """Return what training keeps in memory at once: the peak, and what it is made of."""
    parts = {"parameters": count * each, "gradients": count * each}
    if optimizer.states:
        kept = sum(optimizer.size_of(name, count) for name in optimizer.states)
        parts[f"{type(optimizer).__name__}'s state"] = kept * each
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


def _total(net: Network, dtype: np.dtype[Any]) -> str:
    """Return how many parameters there are, and what is not learned."""
    frozen = sum(_numbers(s) for s in net.fixed if s.kind == "frozen")
    kept = sum(_numbers(s) for s in net.fixed if s.kind == "state")
    more = f", {frozen:,} of them frozen" if frozen else ""
    more += f", and {kept:,} numbers that layers keep" if kept else ""
    return f"{net.size + frozen:,} parameters{more}, {dtype.name}"


def _numbers(slot: Slot) -> int:
    return slot.stop - slot.start


def _layers(net: Network) -> Rows:
    slots = {s.name: s for s in net.arrays}
    return [row for placed in net.placed for row in _rows(placed, slots, "")]


def _rows(placed: Placed, slots: dict[str, Slot], pad: str) -> Rows:
    """Return the row of a layer, and below it those of the layers that it holds.

    A shared layer's arrays are counted where they come first: `slots` are those not yet counted.
    """
    inner = isinstance(placed.layer, Composite)
    rows: Rows = []
    if inner:
        for each in placed.inner:
            rows += _rows(each, slots, f"{pad}  ")
    own = [slots.pop(name) for _, name in placed.owner if name in slots]
    what = type(placed.layer).__name__ if inner else repr(placed.layer)
    head = (pad + what, show((BATCH, *placed.shape)), "" if inner else _count(own))
    return [head, *rows]


def _count(slots: list[Slot]) -> str:
    """Return how a layer's count comes about: 2·8 + 8 = 24; and what it keeps besides."""
    parts = [s for s in slots if s.kind != "state"]
    sizes = ["·".join(map(str, s.shape)) for s in parts]
    total = f"{' + '.join(sizes)} = {sum(map(_numbers, parts))}" if parts else "0"
    frozen = [s.name for s in parts if s.kind == "frozen"]
    total += f", frozen: {', '.join(frozen)}" if frozen else ""
    kept = sum(_numbers(s) for s in slots if s.kind == "state")
    return f"{total}, keeps {kept}" if kept else total


def _size(count: float) -> str:
    for unit in ("bytes", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.3g} {unit}"
        count /= 1024
    return f"{count:.3g} GiB"
