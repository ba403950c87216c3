"""A network as a chain of layers, and its backward pass in five pieces, each of which can slip.

    error   ∂L/∂ŷ                    at the output
    slope   δ = ∂L/∂a · act'(z)      at every layer, from the last to the first
    weight  ∂L/∂W = xᵀ δ             and what the penalty adds
    bias    ∂L/∂b = Σ δ              over the samples
    pass    ∂L/∂x = δ Wᵀ             to the layer below

All of it is written in nodes: on values it is a gradient, on symbols it can be printed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pellucid import ops
from pellucid.backward import backward
from pellucid.graph import Node, value
from pellucid.losses import Loss
from pellucid.losses import loss as loss_named
from pellucid.model import Sequential
from pellucid.nn.layer import Activation, Dense, Dropout, Flatten, activation, named_activation
from pellucid.nn.network import Network

if TYPE_CHECKING:
    from pellucid.check.slips import Fault

Function = Callable[..., Any]
PIECES = ("error", "slope", "weight", "bias", "pass")


@dataclass(frozen=True, eq=False)
class Block:
    """One layer of weights with the activation behind it."""

    W: str
    b: str  # "" where it has none
    act: Function | None
    activation: str
    penalty: Callable[[dict[str, Node]], Node | None]


@dataclass(frozen=True, eq=False)
class Chain:
    """What a model is for a backward pass: its blocks from input to output, and its loss."""

    blocks: tuple[Block, ...]
    loss: Loss


@dataclass(frozen=True, eq=False)
class Place:
    """One layer in a backward pass: its values, what arrives from above, and what a slip may read.

    `all_layers` are the places of the whole chain, `above` the next one, as the pass left it;
    `old` is this layer in an earlier forward pass; `rate` the learning rate, where weights are
    updated; `dW` and `db` what the student computed
    here, `dW_before` and `db_before` what it had computed in the call before.
    """

    number: int
    block: Block
    loss: Loss
    x: Node
    W: Node
    b: Any  # None where it has none
    z: Node
    a: Node
    y: Node
    last: bool
    all_layers: tuple[Place, ...] = ()
    above: Any = None
    old: Any = None
    rate: Any = None
    half: bool | None = None  # whether the student's own squared error has a ½, where it is known
    dW: Any = None
    dW_before: Any = None
    db_before: Any = None
    merged: Node | None = None  # δ at the output, where loss and activation cancel
    g: Any = None  # ∂L/∂a, as far as the pass has come
    delta: Any = None  # ∂L/∂z

    @property
    def n(self) -> Any:
        """How many samples there are."""
        return self.x.shape[0]

    @property
    def outputs(self) -> Any:
        """How many outputs a sample has."""
        return self.y.shape[-1]

    def slope(self, function: Function | None, at: Node, g: Node) -> Node:
        """Return g · function'(at)."""
        if function is None:
            return g
        leaf = at if at.op is None else ops.positive(at)
        return backward({function(leaf): g}, [leaf])[leaf]

    def slope_of(self, name: str, at: Node) -> Node:
        """Return the slope of an activation by name, elementwise."""
        return self.slope(activation(name), at, ops.ones_like(at))

    def loss_slope(self, name: str) -> Node:
        """Return ∂L/∂ŷ of a loss by name, as the library averages it."""
        return backward({loss_named(name)(self.a, self.y): ops.ones_like(self.a.sum())}, [self.a])[
            self.a
        ]


# -- from a model ----------------------------------------------------------------------------------


def chain_of(model: Sequential, net: Network) -> Chain | None:
    """Return the model as a chain, or None where it has layers of another kind."""
    blocks: list[Block] = []
    for layer, owner in zip(net.layers, net.owners, strict=True):
        names = dict(owner)
        if isinstance(layer, Dense) and len(net.input_shape) == 1:
            act, called = activation(layer.activation), named_activation(layer.activation)
            blocks.append(Block(names["W"], names.get("b", ""), act, called, layer.penalty))
        elif isinstance(layer, Activation) and blocks and blocks[-1].act is None:
            act, called = activation(layer.function), named_activation(layer.function)
            blocks[-1] = replace(blocks[-1], act=act, activation=called)
        elif not isinstance(layer, (Dropout, Flatten)):
            return None
    return _linked(blocks, model.loss_function) if blocks else None


# a loss of scores is the loss of probabilities behind one more activation
LINKED = {"bce_logits": ("sigmoid", "bce"), "cce_logits": ("softmax", "cce")}


def _linked(blocks: list[Block], loss: Loss | None) -> Chain | None:
    if loss is None:
        return None
    if loss.name in LINKED and blocks[-1].act is None:
        name, of = LINKED[loss.name]
        blocks[-1] = replace(blocks[-1], act=activation(name), activation=name)
        loss = loss_named(of)
    return Chain(tuple(blocks), loss)


# -- the pass --------------------------------------------------------------------------------------


def places(chain: Chain, params: Mapping[str, Node], X: Node, y: Node) -> tuple[Place, ...]:
    """Run the forward pass; return every layer with its values."""
    found: list[Place] = []
    x = X
    for k, block in enumerate(chain.blocks):
        b = params[block.b] if block.b else None
        z = x @ params[block.W] if b is None else x @ params[block.W] + b
        a = block.act(z) if block.act else z
        last = k == len(chain.blocks) - 1
        found.append(Place(k + 1, block, chain.loss, x, params[block.W], b, z, a, y, last))
        x = a
    known = tuple(found)
    return tuple(replace(p, all_layers=known) for p in known)


def fixed(node: Node) -> Node:
    """Return a node's value as a leaf: what reads it need not compute it again."""
    return value(node.value)


def settled(layers: Sequence[Place]) -> tuple[Place, ...]:
    """Return the layers with all their values as leaves."""
    known = tuple(
        replace(p, x=fixed(p.x), z=fixed(p.z), a=fixed(p.a), all_layers=()) for p in layers
    )
    return tuple(replace(p, all_layers=known) for p in known)


def right(p: Place, piece: str) -> Any:
    """Return a piece of the backward pass as it should be."""
    if piece == "error":
        return backward({p.loss(p.a, p.y): ops.ones_like(p.a.sum())}, [p.a])[p.a]
    if piece == "slope":
        return _through(p)
    if piece == "weight":
        return p.x.T @ p.delta
    return p.delta.sum(axis=0) if piece == "bias" else p.delta @ p.W.T


def _through(p: Place) -> Node:
    """Return the gradient behind the activation; of another shape, where it was broadcast."""
    if p.g.shape == p.z.shape:
        return p.slope(p.block.act, p.z, p.g)
    return p.g * p.slope(p.block.act, p.z, ops.ones_like(p.z))  # type: ignore[no-any-return]


def penalty_slope(p: Place) -> Node | None:
    """Return what the penalty adds to the gradient of W, if anything."""
    extra = p.block.penalty({"W": p.W})
    return None if extra is None else backward({extra: ops.ones_like(extra)}, [p.W])[p.W]


def gradients(
    layers: Sequence[Place], faults: Iterable[Fault] = (), scale: float = 1.0, penalty: float = 1.0
) -> dict[str, Node]:
    """Return the gradient of every parameter, with some pieces replaced by their slips.

    `scale` and `penalty` are conventions: factors of the loss and of its penalty.
    """
    wanted = _parameters(layers)
    return {k: node for k, node in walk(layers, faults, scale, penalty) if k in wanted}


def _parameters(layers: Sequence[Place]) -> set[str]:
    return {name for p in layers for name in (p.block.W, p.block.b) if name}


def walk(
    layers: Sequence[Place], faults: Iterable[Fault] = (), scale: float = 1.0, penalty: float = 1.0
) -> Iterator[tuple[str, Any]]:
    """Yield (name, node) of everything the backward pass computes, in order.

    The names are d_a2 and d_z2 for what arrives at a layer, and W2, b2 for its gradients.
    """
    faults = list(faults)
    merge = not any(f.layer == len(layers) and f.piece in ("error", "slope") for f in faults)

    def piece(p: Place, name: str) -> Any:
        return _slipped(p, right(p, name), [f for f in faults if f.at(p.number, name)])

    g: Any = None
    above: Place | None = None
    for p in reversed(layers):
        p = replace(p, above=above)
        p = replace(p, g=_times(scale, piece(p, "error")) if p.last else g)
        yield f"d_a{p.number}", p.g
        p = replace(p, delta=p.merged if merge and p.merged is not None else piece(p, "slope"))
        yield f"d_z{p.number}", p.delta
        own = [f for f in faults if f.at(p.number, "penalty")]
        yield p.block.W, _with_penalty(p, piece(p, "weight"), own, penalty)
        if p.block.b:
            yield p.block.b, piece(p, "bias")
        g, above = piece(p, "pass") if p.number > 1 else None, p


def _slipped(p: Place, node: Any, faults: Sequence[Fault]) -> Any:
    for fault in faults:
        node = fault.form.becomes(p, node)
    return node


def _times(factor: float, node: Any) -> Any:
    return node if factor == 1 else factor * node


def _with_penalty(p: Place, node: Any, faults: Sequence[Fault], factor: float) -> Any:
    extra = penalty_slope(p)
    return node if extra is None else node + _slipped(p, _times(factor, extra), faults)
