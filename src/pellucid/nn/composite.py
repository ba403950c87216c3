"""Layers made of layers: a branch around which the input goes, and branches side by side."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, ClassVar

from pellucid import ops
from pellucid.dims import show
from pellucid.errors import ArgumentError, DtypeError, ShapeError
from pellucid.graph import Node
from pellucid.nn.layer import Call, Composite, Dense, Layer

Branch = Layer | tuple[Layer, ...]


@dataclass(frozen=True)
class Residual(Composite):
    """Add to the input what a stack of layers makes of it.

        a = x + layers(x),   or  x P + layers(x)  where the shapes differ        (He et al. 2016)

    Shapes: (n, …) -> what the last of the layers gives. Args: `layers`, one or several;
    `projection`, a layer for the way around; None: nothing where the shapes agree, and
    Dense without bias, (d, units), where they do not. Raises: ShapeError where the shapes differ
    and the input is no row of features, or the projection gives another shape.

    >>> Residual([Dense(8, "relu"), Dense(2)])
    Residual([Dense(units=8, activation='relu'), Dense(units=2)])
    """

    layers: Branch
    projection: Layer | None = None
    letter: ClassVar[str] = "sum"

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", as_stack(self.layers, "Residual"))
        if not self.layers:
            raise ArgumentError("Residual has no layers", "pc.Residual([pc.Dense(8), …])")
        if self.projection is not None:
            check_layer(self.projection, "Residual")

    def compose(self, x: Node, call: Call) -> Node:
        """x + layers(x), or projection(x) + layers(x)."""
        branch = through(self.layers, x, call)
        around = self._around(x, branch, call)
        if around.shape != branch.shape:
            raise ShapeError(
                f"Residual adds {show(branch.shape)}, of its layers, to {show(around.shape)}",
                "give it layers that keep the shape, or another projection",
            )
        total: Node = around + branch
        return total

    def _around(self, x: Node, branch: Node, call: Call) -> Node:
        if self.projection is not None:
            return call(self.projection, x)
        if x.shape == branch.shape or x.ndim != 2 or branch.ndim != 2:
            return x
        return call(Dense(int(branch.shape[1]), bias=False), x)  # type: ignore[arg-type]

    def __repr__(self) -> str:
        """Show the layers, and the projection where there is one of one's own."""
        more = "" if self.projection is None else f", projection={self.projection!r}"
        return f"Residual({list(as_stack(self.layers, ''))!r}{more})"


MERGES = ("concatenate", "add", "multiply", "mean")


@dataclass(frozen=True)
class Parallel(Composite):
    """Send the input through several branches, and merge what they give.

        concatenate: a = [a₁, a₂, …]    add: a₁ + a₂ + …    multiply: a₁ a₂ …    mean: their sum / k

    Shapes: (n, …) -> those of the branches, joined along the last axis or of one shape. Args:
    `branches`, each a layer, or a list of them, one on top of the other; [] hands the input on;
    `merge`. Raises: ShapeError for branches whose shapes cannot be merged.

    >>> Parallel([Dense(4, "relu"), [Dense(8, "tanh"), Dense(4)]], merge="add")
    Parallel([Dense(units=4, activation='relu'), [Dense(units=8, activation='tanh'), \
Dense(units=4)]], merge='add')
    """

    branches: tuple[Branch, ...]
    merge: str = "concatenate"
    letter: ClassVar[str] = "merged"

    def __post_init__(self) -> None:
        object.__setattr__(self, "branches", as_branches(self.branches, "Parallel"))
        if not self.branches:
            raise ArgumentError("Parallel has no branches", "pc.Parallel([pc.Dense(4), …])")
        if self.merge not in MERGES:
            raise ArgumentError(f"merge is {self.merge!r}", f"choose one of {', '.join(MERGES)}")

    def compose(self, x: Node, call: Call) -> Node:
        """What the branches make of x, merged."""
        return merged([through(b, x, call) for b in self.branches], self.merge, "Parallel")

    def __repr__(self) -> str:
        """Show the branches, and how they are merged."""
        inside = ", ".join(repr(list(b) if isinstance(b, tuple) else b) for b in self.branches)
        return f"Parallel([{inside}], merge={self.merge!r})"


@dataclass(frozen=True)
class Concatenate(Composite):
    """Join several values in one row: those of branches, or those that it is called with.

        a = [a₁, a₂, …]          (n, …, d₁), (n, …, d₂), … -> (n, …, d₁ + d₂ + …)

    Args: `branches`, as of `Parallel`: the input goes through each. Without any, it joins the
    values that a function of layers calls it with: call(Concatenate(), (a, b)).
    Raises: ShapeError for values that differ in more than their last axis.

    >>> Concatenate([Dense(4), Dense(2)])
    Concatenate([Dense(units=4), Dense(units=2)])
    """

    branches: tuple[Branch, ...] = ()
    letter: ClassVar[str] = "joined"

    def __post_init__(self) -> None:
        object.__setattr__(self, "branches", as_branches(self.branches, "Concatenate"))

    def compose(self, x: Any, call: Call) -> Node:
        """What the branches make of x, or the values themselves, joined."""
        if not self.branches and isinstance(x, Node):
            raise ArgumentError(
                "Concatenate has no branches, and a single input",
                "pc.Concatenate([pc.Dense(4), …]); in a function, call(pc.Concatenate(), (a, b))",
            )
        parts = [through(b, x, call) for b in self.branches] or list(x)
        return merged(parts, "concatenate", "Concatenate")

    def __repr__(self) -> str:
        """Show the branches."""
        inside = ", ".join(repr(list(b) if isinstance(b, tuple) else b) for b in self.branches)
        return f"Concatenate([{inside}])" if inside else "Concatenate()"


# -- what they are made of -----------------------------------------------------------------------


def through(layers: Branch, x: Any, call: Call) -> Any:
    """Return what a layer, or one after the other, makes of x."""
    for layer in (layers,) if isinstance(layers, Layer) else layers:
        x = call(layer, x)
    return x


def merged(parts: list[Node], how: str, name: str) -> Node:
    """Return several values as one."""
    shapes = [part.shape for part in parts]
    if how == "concatenate":
        _check_alike([s[:-1] for s in shapes], shapes, name)
        joined: Node = parts[0] if len(parts) == 1 else ops.concatenate(parts, parts[0].ndim - 1)
        return joined
    _check_alike(shapes, shapes, name)
    total = parts[0]
    for part in parts[1:]:
        total = total * part if how == "multiply" else total + part
    return total / len(parts) if how == "mean" else total


def _check_alike(parts: list[Any], shapes: list[Any], name: str) -> None:
    if any(part != parts[0] for part in parts) or not all(len(s) > 1 for s in shapes):
        raise ShapeError(
            f"{name} cannot merge {', '.join(map(show, shapes))}",
            "give the branches outputs of one shape; to concatenate, the last axis may differ",
        )


def as_stack(layers: Any, name: str) -> tuple[Layer, ...]:
    """Return one layer or several as a tuple."""
    found = (layers,) if isinstance(layers, Layer) else layers
    if isinstance(found, (str, type)) or not isinstance(found, Iterable):
        raise DtypeError(f"{name} takes layers, not {layers!r}", "such as [pc.Dense(8), …]")
    found = tuple(found)
    for layer in found:
        check_layer(layer, name)
    return found


def as_branches(branches: Any, name: str) -> tuple[Branch, ...]:
    """Return branches, each a layer or a stack, as a tuple."""
    if isinstance(branches, (str, type, Layer)) or not isinstance(branches, Iterable):
        raise DtypeError(f"{name} takes a list of branches, not {branches!r}", "[layer, layer]")
    return tuple(b if isinstance(b, Layer) else as_stack(b, name) for b in branches)


def held(layer: Any) -> list[Layer]:
    """Return the layers that are settings of a layer, in their order.

    >>> held(Parallel([Dense(2), [Dense(3), Dense(4)]]))
    [Dense(units=2), Dense(units=3), Dense(units=4)]
    """
    values = [getattr(layer, f.name) for f in fields(layer)] if is_dataclass(layer) else []
    return [each for value in values for each in _layers_in(value)]


def _layers_in(value: Any) -> list[Layer]:
    if isinstance(value, Layer):
        return [value]
    return [x for v in value for x in _layers_in(v)] if isinstance(value, tuple) else []


def check_layer(layer: Any, name: str) -> None:
    """Refuse what is no layer."""
    if not isinstance(layer, Layer):
        hint = (
            "pass an instance, such as pc.Dense(8)" if isinstance(layer, type) else "see pc.Layer"
        )
        raise DtypeError(f"{name} holds {layer!r}, which is no layer", hint)
