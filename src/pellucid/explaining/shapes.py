"""The shape of every array of a training step: parameters, values, gradients."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pellucid.dims import Shape, show
from pellucid.explaining.of_model import ModelScript


class Shapes(Mapping[str, tuple[Any, ...]]):
    """Shapes by name, as a table: W1, b1, z1, a1, …, and which gradient has the same shape.

    The batch size is "n".
    """

    def __init__(self, found: Mapping[str, Shape], gradients: set[str]) -> None:
        self._found, self._gradients = dict(found), gradients

    def __getitem__(self, name: str) -> tuple[Any, ...]:
        shape = self._found[name.removeprefix("d_") if name in self._gradients else name]
        return tuple(s if isinstance(s, int) else str(s) for s in shape)

    def __iter__(self) -> Iterator[str]:
        yield from self._found
        yield from (f"d_{name}" for name in self._found if f"d_{name}" in self._gradients)

    def __len__(self) -> int:
        return len(self._found) + len(self._gradients)

    def __str__(self) -> str:
        rows = [("array", "shape", "its gradient, of the same shape"), *self._rows()]
        widths = [max(len(row[k]) for row in rows) for k in range(3)]
        lines = ["  ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)) for r in rows]
        lines.insert(1, "─" * (sum(widths) + 4))
        return "\n".join(line.rstrip() for line in lines)

    __repr__ = __str__

    def _rows(self) -> Iterator[tuple[str, str, str]]:
        for name, shape in self._found.items():
            gradient = f"d_{name}" if f"d_{name}" in self._gradients else ""
            yield name, show(shape) if shape else "a number", gradient


def shapes(found: ModelScript) -> Shapes:
    """Return the table of a model: its inputs, then layer by layer, then the loss."""
    lines = found.script.lines
    gradients = {x.name for x in lines if x.phase == "backward"}
    parameters = {k: x.shape for k, x in found.leaves.items() if f"d_{k}" in gradients}
    values = {x.name: x.whole.shape for x in lines if x.phase in ("forward", "loss")}
    table = {"X": found.leaves["X"].shape, "Y": found.leaves["Y"].shape}
    table |= dict(sorted({**parameters, **values}.items(), key=lambda item: _layer(item[0])))
    return Shapes(table, gradients)


def _layer(name: str) -> float:
    """Return the number of the layer that a name belongs to; the loss and its parts come last."""
    digits = re.search(r"\d+", name)
    return int(digits[0]) if digits else float("inf")
