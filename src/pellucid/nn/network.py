"""A stack of layers as graphs: which parameters it needs, and its formula on them."""

from __future__ import annotations

import math
import re
from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pellucid import dims, ops
from pellucid.dims import Shape, symbol
from pellucid.errors import ArgumentError, ShapeError
from pellucid.graph import Node, lift, order, symbolic
from pellucid.nn.init import Initializer
from pellucid.nn.layer import Draw, Layer, Parameter, Shared

BATCH = symbol("n")
Owner = tuple[tuple[str, str], ...]  # a layer's parameters: (its key, the slot's name)


@dataclass(frozen=True, eq=False)
class Slot:
    """The place of one parameter in the flat buffer."""

    name: str  # W1
    layer: int
    shape: tuple[int, ...]
    start: int
    init: Initializer

    @property
    def stop(self) -> int:
        return self.start + math.prod(self.shape)

    def view(self, flat: Node) -> Node:
        """Return the parameter as a view of the flat buffer's node."""
        return ops.reshape(flat[self.start : self.stop], self.shape)  # type: ignore[no-any-return]


@dataclass(frozen=True, eq=False)
class Network:
    """What a stack of layers is for inputs of one shape: its parameters and where outputs go."""

    layers: tuple[Layer, ...]
    input_shape: tuple[int, ...]  # of one sample
    output_shape: tuple[int, ...]
    slots: tuple[Slot, ...]
    owners: tuple[Owner, ...]  # per layer: (its key, the slot's name)
    numbers: tuple[int, ...]  # per layer: the k of W_k, z_k, a_k
    shapes: tuple[Shape, ...]  # per layer: of one sample's output

    @property
    def size(self) -> int:
        return self.slots[-1].stop if self.slots else 0


def network(layers: Sequence[Layer], input_shape: tuple[int, ...]) -> Network:
    """Work out every parameter, by tracing the layers on a symbolic batch of this shape."""
    builder, x = _Builder(), symbolic("X", (BATCH, *input_shape))
    for k, layer in enumerate(layers):
        x = builder.place(layer, k, x)
    return Network(
        tuple(layers),
        input_shape,
        _numbers(x.shape[1:]),
        tuple(builder.slots.values()),
        tuple(builder.owners),
        tuple(builder.numbers),
        tuple(builder.shapes),
    )


class _Builder:
    """A network in the making: the layers so far, and what they need."""

    def __init__(self) -> None:
        self.slots: dict[str, Slot] = {}
        self.owners: list[Owner] = []
        self.numbers: list[int] = []
        self.shapes: list[Shape] = []
        self.shared: dict[str, Owner] = {}
        self.leaves: dict[str, Node] = {}
        self.number = self.count = 0

    def place(self, layer: Layer, k: int, x: Node) -> Node:
        """Put one more layer on top of the output x; return its own."""
        wanted = layer.parameters(x.shape[1:])
        self.number += bool(wanted)
        self.numbers.append(max(self.number, 1))
        self.owners.append(self._owner(layer, k, wanted))
        x = _output(layer, x, {key: self.leaves[name] for key, name in self.owners[-1]}, None)
        _check_batch(layer, k, x)
        self.shapes.append(x.shape[1:])
        return x

    def _owner(self, layer: Layer, k: int, wanted: dict[str, Parameter]) -> Owner:
        """Return the slots of a layer: new ones, or those that a `Shared` one already has."""
        known = self.shared.get(layer.name) if isinstance(layer, Shared) else None
        if known is not None and isinstance(layer, Shared):
            _check_shared(layer, wanted, self.slots, known)
            return known
        owner = tuple((key, self._slot(layer, k, key, p)) for key, p in wanted.items())
        if isinstance(layer, Shared):
            self.shared[layer.name] = owner
        return owner

    def _slot(self, layer: Layer, k: int, key: str, p: Parameter) -> str:
        """Make room for one parameter; return its name."""
        name = f"{key}{self.number}"
        _check_slot(layer, key, name, self.slots)
        self.slots[name] = Slot(name, k, p.shape, self.count, p.init)
        self.leaves[name] = symbolic(name, p.shape)
        self.count = self.slots[name].stop
        return name


def _check_slot(layer: Layer, key: str, name: str, taken: Container[str]) -> None:
    """Refuse a parameter that the printed step could not tell from something else."""
    if name in taken or re.fullmatch(r"mask\d+|d_.*", name) or not name.isidentifier():
        raise ArgumentError(
            f"{type(layer).__name__} calls a parameter {key!r}: {name!r} is taken, or no name",
            "choose another word, of letters",
        )


def _check_shared(layer: Shared, wanted: Any, slots: dict[str, Slot], owner: Any) -> None:
    """Refuse layers under one name whose parameters are not of the same shapes."""
    have = {key: slots[name].shape for key, name in owner}
    need = {key: p.shape for key, p in wanted.items()}
    if have != need:
        raise ShapeError(
            f"the layers shared as {layer.name!r} have parameters {have}, and here {need}",
            "give them another name, or as many inputs and units",
        )


def _output(layer: Layer, x: Node, p: dict[str, Node], draw: Draw | None) -> Node:
    return lift(layer.train(x, p, draw) if draw else layer(x, p))


def _check_batch(layer: Layer, k: int, x: Node) -> None:
    if not x.shape or x.shape[0] != BATCH:
        raise ShapeError(
            f"layer {k + 1}, {type(layer).__name__}, returned {dims.show(x.shape)} for n samples",
            "its first axis must stay the batch",
        )


def _numbers(shape: Shape) -> tuple[int, ...]:
    if not dims.known(shape):
        raise ShapeError(f"the output {dims.show(shape)} depends on the batch size")
    return tuple(int(s) for s in shape)  # type: ignore[arg-type]


def parameters(net: Network, flat: Node) -> dict[str, Node]:
    """Return every parameter as a named view of the flat buffer's node."""
    return {slot.name: ops.named(slot.view(flat), slot.name) for slot in net.slots}


def forward(net: Network, x: Node, p: dict[str, Node], draw: Draw | None = None) -> dict[str, Node]:
    """Return what every layer computes, by its printed name (z1, a1, …); the last is the output."""
    values: dict[str, Node] = {}
    for layer, owner, number in zip(net.layers, net.owners, net.numbers, strict=True):
        own = {key: p[name] for key, name in owner}
        out = _output(layer, x, own, draw)
        inner = _labels(out, [x, *own.values()])
        values |= {
            _fresh(f"{label}{number}", {**p, **values}): node for label, node in inner.items()
        }
        if not any(node is out for node in values.values()) and out is not x:
            values[_fresh(f"{layer.letter}{number}", {**p, **values})] = out
        x = out
    return values


def _labels(out: Node, given: list[Node]) -> dict[str, Node]:
    """Return the nodes that a layer named itself, by the name it gave."""
    found, known = {}, set(given)
    for node in order([out], stop=given):
        if node not in known and node.op is not None and node.op.name == "label":
            found[node.settings["name"]] = node
    return found


def _fresh(name: str, taken: dict[str, Any]) -> str:
    k, base = 1, name
    while name in taken:
        k += 1
        name = f"{base}_{k}"
    return name


def penalty(net: Network, p: dict[str, Node]) -> Node | None:
    """Return what all layers add to the loss, a shared one once."""
    total: Node | None = None
    done: set[tuple[tuple[str, str], ...]] = set()
    for layer, owner, number in zip(net.layers, net.owners, net.numbers, strict=True):
        part = layer.penalty({key: p[name] for key, name in owner}) if owner not in done else None
        done.add(owner)
        if part is not None:
            part = ops.named(_single(layer, lift(part)), f"penalty{number}")
            total = part if total is None else total + part
    return total


def _single(layer: Layer, part: Node) -> Node:
    if part.shape:
        raise ShapeError(
            f"the penalty of {type(layer).__name__} is {dims.show(part.shape)}, not one number",
            "sum it: pc.sum(…)",
        )
    return part


def initial(net: Network, seed: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the first values of all parameters: the same for one seed, whatever the precision."""
    from pellucid import rng

    flat = np.empty(net.size)
    for k, slot in enumerate(net.slots):
        array = np.asarray(slot.init.array(slot.shape, rng.key(seed, "weights", k)), dtype=float)
        if array.shape != slot.shape:
            raise ArgumentError(
                f"{type(slot.init).__name__} gave {array.shape} for {slot.name}, not {slot.shape}"
            )
        flat[slot.start : slot.stop] = array.ravel()
    return flat
