"""A stack of layers as graphs: which arrays it needs, and its formula on them.

Slot      the place of an array in a flat buffer        Placed   a layer in its place
Network   a whole stack, for inputs of one shape        Walk     its formula, layer by layer
"""

from __future__ import annotations

import math
import re
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np

from pellucid import dims, ops, rng
from pellucid.dims import Shape, symbol
from pellucid.errors import ArgumentError, ShapeError, one_of
from pellucid.graph import Array, Node, evaluate, lift, order, symbolic
from pellucid.nn.init import Initializer
from pellucid.nn.layer import Composite, Draw, Layer, Parameter, Shared

BATCH = symbol("n")
Owner = tuple[tuple[str, str], ...]  # a layer's parameters: (its key, the slot's name)
Kind = Literal["learned", "frozen", "state"]


@dataclass(frozen=True, eq=False)
class Slot:
    """The place of one array in a flat buffer: of what is learned, or of everything else."""

    name: str  # W1
    layer: int
    shape: tuple[int, ...]
    start: int
    init: Initializer
    kind: Kind = "learned"
    number: int = 0  # counts the parameters, so that the first values do not depend on the kind

    @property
    def stop(self) -> int:
        return self.start + math.prod(self.shape)

    def view(self, flat: Node) -> Node:
        """Return the array as a view of the flat buffer's node."""
        return ops.reshape(flat[self.start : self.stop], self.shape)  # type: ignore[no-any-return]


@dataclass(frozen=True, eq=False)
class Placed:
    """A layer in its place: its arrays, its number (the k of W_k, z_k, a_k), its output's shape."""

    layer: Layer
    owner: Owner
    number: int
    shape: Shape  # of one sample's output
    inner: tuple[Placed, ...] = ()  # the layers that it holds, in the order in which they are used
    least: int = 1  # samples that a batch must have

    def leaves(self) -> Iterator[Placed]:
        """Yield the layers with a formula of their own: itself, or those that it holds."""
        if isinstance(self.layer, Composite):
            for placed in self.inner:
                yield from placed.leaves()
        else:
            yield self


@dataclass(frozen=True, eq=False)
class Network:
    """What a stack of layers is for inputs of one shape: its arrays and where outputs go."""

    placed: tuple[Placed, ...]
    input_shape: tuple[int, ...]  # of one sample
    output_shape: tuple[int, ...]
    slots: tuple[Slot, ...]  # what is learned
    fixed: tuple[Slot, ...] = ()  # what is not: frozen parameters, and the state of layers

    @property
    def layers(self) -> tuple[Layer, ...]:
        return tuple(p.layer for p in self.placed)

    @property
    def numbers(self) -> tuple[int, ...]:
        return tuple(p.number for p in self.placed)

    @property
    def shapes(self) -> tuple[Shape, ...]:
        return tuple(p.shape for p in self.placed)

    @property
    def owners(self) -> tuple[Owner, ...]:
        """The arrays of every layer, those of the layers that it holds included."""
        return tuple(tuple(x for leaf in p.leaves() for x in leaf.owner) for p in self.placed)

    @property
    def leaves(self) -> tuple[Placed, ...]:
        """The layers with a formula of their own, wherever they are."""
        return tuple(leaf for p in self.placed for leaf in p.leaves())

    @property
    def selective(self) -> bool:
        """Whether some layer looks at the data before anything is computed."""
        return any(_admits(leaf.layer) for leaf in self.leaves)

    @cached_property
    def entries(self) -> tuple[Node, tuple[tuple[Layer, Node], ...]]:
        """A symbolic batch, and what of it reaches the layers that look at the data."""
        return _entries(self)

    def __getstate__(self) -> dict[str, Any]:
        """Return what a pickle holds: no graphs, which are traced again."""
        return {k: v for k, v in vars(self).items() if k != "entries"}

    @property
    def least(self) -> int:
        """How many samples a batch must have, for every layer to train on it."""
        return max((leaf.least for leaf in self.leaves), default=1)

    @property
    def arrays(self) -> tuple[Slot, ...]:
        """Every array, learned or not."""
        return (*self.slots, *self.fixed)

    @property
    def parameters(self) -> tuple[Slot, ...]:
        """Every parameter, learned or frozen, in the order of the layers."""
        found = [s for s in self.arrays if s.kind != "state"]
        return tuple(sorted(found, key=lambda s: s.number))

    @property
    def size(self) -> int:
        """How many numbers are learned."""
        return self.slots[-1].stop if self.slots else 0

    @property
    def extra(self) -> int:
        """How many numbers are kept, but not learned."""
        return self.fixed[-1].stop if self.fixed else 0

    def part(self, start: int, stop: int) -> Network:
        """Return some of the layers, under the names that they have in the whole."""
        return replace(self, placed=self.placed[start:stop])


def network(
    layers: Sequence[Layer],
    input_shape: tuple[int, ...],
    frozen: Container[str] = (),
    widest: int | None = None,
) -> Network:
    """Work out every array, by tracing the layers on a symbolic batch of this shape.

    `frozen` are names of parameters that are not to be learned; `widest`, how many values of one
    sample a layer may give, where the layers come from somebody else.
    """
    builder, x = _Builder(frozen, widest), symbolic("X", (BATCH, *input_shape))
    placed = []
    for k, layer in enumerate(layers):
        builder.index = k
        one, x = builder.place(layer, x)
        _check_batch(layer, k, x)
        placed.append(one)
    slots = builder.slots.values()
    return Network(
        tuple(placed),
        input_shape,
        _numbers(x.shape[1:]),
        tuple(s for s in slots if s.kind == "learned"),
        tuple(s for s in slots if s.kind != "learned"),
    )


def symbols(net: Network) -> tuple[Node, dict[str, Node]]:
    """Return a symbolic batch, and every array as a leaf of its own."""
    X = symbolic("X", (BATCH, *net.input_shape))
    return X, {s.name: symbolic(s.name, s.shape) for s in net.arrays}


def _entries(net: Network) -> tuple[Node, tuple[tuple[Layer, Node], ...]]:
    """Return a batch, and what reaches the layers that look at data, in training as well."""
    X, p = symbols(net)
    walks = walked(net, X, p), walked(net, X, p, still)
    entered = [(placed.layer, x) for walk in walks for placed, x in walk.entered]
    return X, tuple(dict.fromkeys((layer, x) for layer, x in entered if _admits(layer)))


def _admits(layer: Layer) -> bool:
    own = layer.layer if isinstance(layer, Shared) else layer
    return type(own).admit is not Layer.admit


def admit(net: Network, X: Array, rows: str = "X") -> None:
    """Refuse samples that some layer cannot read, by their name.

    Raises: DataError, as the layer says it.
    """
    if not net.selective:
        return
    batch, entries = net.entries
    for layer, x in entries:
        reached = X if x is batch else evaluate([x], {batch: X}, {"n": len(X)})[0]
        layer.admit(np.asarray(reached), rows)


def _check_given(layer: Layer, x: Node) -> None:
    """Refuse what is not made of the data alone, where the layer must see it beforehand."""
    others = (leaf for leaf in order([x]) if leaf.op is None and not leaf.is_constant)
    for leaf in others:
        if leaf.name != "X":
            kind = type(layer).__name__
            raise ArgumentError(
                f"{kind} reads the data as they are, and its input depends on {leaf.name}",
                "put it first, or give it columns of the data",
            )


def check_enough(net: Network, count: int, size: int | None = None) -> None:
    """Refuse samples, in batches of `size`, of which some batch is too small to train on.

    Raises: ArgumentError, which names the layer.
    """
    most = size or count
    rest = count % most or most
    for leaf in net.leaves:
        if rest < leaf.least:
            kind, last = (
                type(leaf.layer).__name__,
                "the last batch" if most < count else "the batch",
            )
            fits = (k for k in range(min(most, count), 0, -1) if (count % k or k) >= leaf.least)
            other = next(fits, None)
            hint = f"give at least {leaf.least}" if other is None else f"batch_size={other}, say"
            raise ArgumentError(
                f"{last} has {rest} sample{'s' * (rest > 1)}, and {kind} needs {leaf.least} to "
                "train on",
                hint,
            )


class _Builder:
    """A network in the making: the layers so far, and what they need."""

    def __init__(self, frozen: Container[str], widest: int | None = None) -> None:
        self.frozen, self.widest = frozen, widest
        self.slots: dict[str, Slot] = {}
        self.shared: dict[str, Owner] = {}
        self.leaves: dict[str, Node] = {}
        self.index = 0  # of the layer in the stack
        self.number = 0
        self.counts: dict[str, int] = {"learned": 0, "fixed": 0}

    def place(self, layer: Layer, x: Any) -> tuple[Placed, Node]:
        """Put one more layer on top of the output x; return it in its place, and its own output."""
        if isinstance(layer, Composite):
            return self._compose(layer, x)
        wanted, kept = _declared(layer, x.shape[1:])
        self.number += bool(wanted or kept)
        owner = self._owner(layer, wanted, kept)
        walk = Walk({name: self.leaves[name] for _, name in owner})
        out, least = walk.leaf(Placed(layer, owner, 1, ()), x), layer.least(x.shape[1:])
        if self.widest is not None:
            _check_width(layer, out, self.widest)
        return Placed(layer, owner, max(self.number, 1), out.shape[1:], (), least), out

    def _compose(self, layer: Composite, x: Any) -> tuple[Placed, Node]:
        inner: list[Placed] = []

        def call(layer: Layer, x: Any) -> Node:
            placed, out = self.place(layer, x)
            inner.append(placed)
            return out

        out = lift(layer.compose(x, call))
        return Placed(layer, (), max(self.number, 1), out.shape[1:], tuple(inner)), out

    def _owner(
        self, layer: Layer, wanted: dict[str, Parameter], kept: dict[str, Parameter]
    ) -> Owner:
        """Return the slots of a layer: new ones, or those that a `Shared` one already has."""
        known = self.shared.get(layer.name) if isinstance(layer, Shared) else None
        if known is not None and isinstance(layer, Shared):
            _check_shared(layer, wanted | kept, self.slots, known)
            return known
        owner = tuple((k, self._slot(layer, k, p, k in kept)) for k, p in (wanted | kept).items())
        if isinstance(layer, Shared):
            self.shared[layer.name] = owner
        return owner

    def _slot(self, layer: Layer, key: str, p: Parameter, state: bool) -> str:
        """Make room for one array; return its name."""
        name = f"{key}{self.number}"
        _check_slot(layer, key, name, self.slots)
        held = not layer.trainable or name in self.frozen
        kind: Kind = "state" if state else "frozen" if held else "learned"
        where = "learned" if kind == "learned" else "fixed"
        slot = Slot(name, self.index, p.shape, self.counts[where], p.init, kind, len(self.slots))
        self.slots[name], self.counts[where] = slot, slot.stop
        self.leaves[name] = symbolic(name, p.shape)
        return name


def _declared(layer: Layer, shape: Shape) -> tuple[dict[str, Parameter], dict[str, Parameter]]:
    """Return what a layer learns and keeps; refuse what are no parameters by name."""
    found = layer.parameters(shape), layer.state(shape)
    for method, arrays in zip(("parameters", "state"), found, strict=True):
        plain = isinstance(arrays, Mapping) and all(isinstance(k, str) for k in arrays)
        if not plain or not all(isinstance(p, Parameter) for p in arrays.values()):
            raise ArgumentError(
                f"{type(layer).__name__}.{method} gives {arrays!r}",
                'return arrays by name: {"W": pc.Parameter((3, 8), pc.He())}',
            )
    for key in found[0].keys() & found[1].keys():
        raise ArgumentError(
            f"{type(layer).__name__} both learns {key!r} and keeps it as state",
            "give one of them another name",
        )
    return found


def _check_slot(layer: Layer, key: str, name: str, taken: Container[str]) -> None:
    """Refuse a parameter that the printed step could not tell from something else."""
    if name in taken or re.fullmatch(r"(mask|noise)\d+|d_.*", name) or not name.isidentifier():
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


def _check_width(layer: Layer, x: Node, widest: int) -> None:
    if dims.known(x.shape[1:]) and math.prod(map(int, x.shape[1:])) > widest:  # type: ignore[arg-type]
        raise ShapeError(f"{type(layer).__name__} gives {dims.show(x.shape)}, more than {widest:,}")


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


def parameters(net: Network, flat: Node, fixed: Node | None = None) -> dict[str, Node]:
    """Return every array as a named view of its flat buffer's node."""
    found = {slot.name: ops.named(slot.view(flat), slot.name) for slot in net.slots}
    if fixed is not None:
        found |= {slot.name: ops.named(slot.view(fixed), slot.name) for slot in net.fixed}
    return found


def forward(net: Network, x: Node, p: dict[str, Node], draw: Draw | None = None) -> dict[str, Node]:
    """Return what every layer computes, by its printed name (z1, a1, …)."""
    return walked(net, x, p, draw).values


def walked(net: Network, x: Node, p: dict[str, Node], draw: Draw | None = None) -> Walk:
    """Return what every layer computes, and what becomes of the layers' state."""
    walk = Walk(p, draw)
    for placed in net.placed:
        x = walk.layer(placed, x)
    walk.out = x
    return walk


class NothingDrawn(Exception):
    """A layer wants random numbers where there are to be none."""


def still(shape: Shape, keep: Any) -> Node:
    """Draw nothing: a layer that asks is taken as it is for prediction."""
    raise NothingDrawn


class Walk:
    """A way through a network: the values that come up, by name, and the layers' new state.

    `draw` makes masks while training; None is for prediction.
    """

    def __init__(self, p: Mapping[str, Node], draw: Draw | None = None) -> None:
        self.p, self.draw = p, draw
        self.out: Node | None = None  # of the whole network
        self.values: dict[str, Node] = {}
        self.state: dict[str, Node] = {}  # by the slot's name
        self.left_out: list[Layer] = []  # those that wanted to draw, and could not
        self.entered: list[tuple[Placed, Node]] = []  # each layer with what it was given

    def layer(self, placed: Placed, x: Any) -> Node:
        """Return a layer's output; note what it computes."""
        inner = self._composed(placed, x) if isinstance(placed.layer, Composite) else None
        out = self.leaf(placed, x) if inner is None else inner
        if not any(node is out for node in self.values.values()) and out is not x:
            self._note(f"{placed.layer.letter}{placed.number}", out)
        return out

    def _composed(self, placed: Placed, x: Any) -> Node:
        inner = iter(placed.inner)
        assert isinstance(placed.layer, Composite)
        return lift(placed.layer.compose(x, lambda layer, x: self.layer(next(inner), x)))

    def leaf(self, placed: Placed, x: Node) -> Node:
        """Return the output of a layer that has a formula of its own."""
        self.entered.append((placed, x))
        if _admits(placed.layer):
            _check_given(placed.layer, x)
        # a layer that is shared goes on from the state that its first place has left
        own = _Own(
            placed.layer, {k: self.state.get(name, self.p[name]) for k, name in placed.owner}
        )
        out, state = self._output(placed.layer, x, own)
        names = dict(placed.owner)
        news = {k: _new_state(placed.layer, k, lift(new), own) for k, new in state.items()}
        self.state |= {names[key]: new for key, new in news.items()}
        for label, node in _labels([out, *news.values()], [x, *own.values()]).items():
            self._note(f"{label}{placed.number}", node)
        return out

    def _output(self, layer: Layer, x: Node, own: Mapping[str, Node]) -> tuple[Node, Any]:
        try:
            found = layer.train(x, own, self.draw) if self.draw else layer(x, own)
        except NothingDrawn:
            self.left_out.append(layer)
            found = layer(x, own)
        out, state = found if isinstance(found, tuple) and len(found) == 2 else (found, {})
        if isinstance(out, tuple) or not isinstance(state, Mapping):
            raise ArgumentError(
                f"{type(layer).__name__}.train returned {found!r}",
                "return the output, or (output, {name: new value}) for names of state(shape)",
            )
        return lift(out), state

    def _note(self, name: str, node: Node) -> None:
        if not any(known is node for known in self.values.values()):
            self.values[_fresh(name, {**self.p, **self.values})] = node


class _Own(dict[str, Node]):
    """A layer's arrays by the names that it gave them; another name is an error that says so."""

    def __init__(self, layer: Layer, arrays: Mapping[str, Node]) -> None:
        self.update(arrays)
        self.layer = layer

    def __missing__(self, key: str) -> Node:
        raise one_of(f"array of {type(self.layer).__name__}", key, self)


def _new_state(layer: Layer, key: str, new: Node, own: Mapping[str, Node]) -> Node:
    """Refuse a new state that is not like the old one."""
    if key not in own or own[key].shape != new.shape:
        known = dims.show(own[key].shape) if key in own else "no state of the layer"
        raise ShapeError(
            f"{type(layer).__name__} gives {dims.show(new.shape)} for {key!r}, which is {known}",
            "train returns (output, {name: new value}) for names of state(shape)",
        )
    return new


def _labels(outs: list[Node], given: list[Node]) -> dict[str, Node]:
    """Return the nodes that a layer named itself, by the name it gave."""
    found, known = {}, set(given)
    for node in order(outs, stop=given):
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
    for leaf in net.leaves:
        own = {key: p[name] for key, name in leaf.owner}
        part = leaf.layer.penalty(own) if leaf.owner not in done else None
        done.add(leaf.owner)
        if part is not None:
            part = ops.named(_single(leaf.layer, lift(part)), f"penalty{leaf.number}")
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
    """Return the first values of what is learned: the same for one seed, whatever the precision."""
    return _drawn(net.slots, net.size, seed)


def initial_fixed(net: Network, seed: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    """Return the first values of everything else: frozen parameters, and the layers' state."""
    return _drawn(net.fixed, net.extra, seed)


def _drawn(slots: Sequence[Slot], size: int, seed: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    flat = np.empty(size)
    for slot in slots:
        key = rng.key(seed, "weights", slot.number)
        array = np.asarray(slot.init.array(slot.shape, key), dtype=float)
        if array.shape != slot.shape:
            raise ArgumentError(
                f"{type(slot.init).__name__} gave {array.shape} for {slot.name}, not {slot.shape}"
            )
        flat[slot.start : slot.stop] = array.ravel()
    return flat
