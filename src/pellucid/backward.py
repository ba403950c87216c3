"""Reverse mode: the gradient of a graph is a graph.

backward    the cotangent of every node between some leaves and some outputs
gradients   of a single number, by leaf
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from pellucid import ops
from pellucid.dims import Shape
from pellucid.errors import DtypeError
from pellucid.graph import Node, build, lift, order
from pellucid.protocol import scalar

Function = Callable[..., Any]


def backward(outputs: Mapping[Node, Node], wrt: Iterable[Node]) -> dict[Node, Node]:
    """Return d(Σ output · seed)/d(node) for every node on the way from `wrt` to the outputs."""
    wrt = list(wrt)
    nodes = order(outputs, stop=wrt)
    moving = _moving(nodes, wrt)
    bar: dict[Node, Node] = {}
    for node, seed in outputs.items():
        bar[node] = fit(seed, node)
    hidden: dict[Node, Mask | None] = dict.fromkeys(bar)
    stops = set(wrt)
    for node in reversed(nodes):
        if node not in bar or node not in moving or node in stops:
            continue
        for arg, g, mask in _contributions(node, bar[node], hidden.get(node), moving):
            seen = arg in bar
            hidden[arg] = _either(hidden[arg], mask) if seen else mask
            bar[arg] = bar[arg] + g if seen else g
    return bar


def _moving(nodes: Sequence[Node], wrt: Sequence[Node]) -> set[Node]:
    """Return the nodes that depend on `wrt` and can pass a gradient on."""
    moving = set(wrt)
    for node in nodes:
        if node.dtype.kind == "f" and not moving.isdisjoint(node.args):
            moving.add(node)
    return moving


class Mask(NamedTuple):
    """Where a choice hides a value; `hard`, where a reader wrote that choice, with `where`."""

    at: Node
    hard: bool

    def touches(self, node: Node, moving: set[Node]) -> bool:
        """Whether the op must be kept from meeting what is hidden.

        Behind a reader's `where`, every op is; behind a ReLU or maximum only one whose slope can
        be infinite, so that programs are not burdened with choices that change nothing.
        """
        assert node.op is not None
        if node.op.kind != "map" or node.op.masks:
            return False
        return self.hard or (node.op.steep and sum(a in moving for a in node.args) == 1)


def _contributions(
    node: Node, g: Node, mask: Mask | None, moving: set[Node]
) -> Iterable[tuple[Node, Node, Mask | None]]:
    """Yield (operand, its share of the gradient, where that share is hidden) for one node."""
    args, y = node.args, node
    if mask is not None and mask.touches(node, moving):
        args, y = _unhidden(node, mask.at)
    elif mask is not None and mask.hard and node.op and node.op.kind == "contract":
        seen = ops.astype(ops.logical_not(mask.at), node.dtype)
        args = tuple(ops.where(_unreached(node, k, seen), 0, a) for k, a in enumerate(args))
    slopes = node.op.vjp if node.op else None
    if slopes is None:
        raise DtypeError(f"no derivative is known for {node!r}", "", node.where)
    many = None if isinstance(slopes, tuple) else slopes(g, y, *args, **node.settings)
    for k, arg in enumerate(node.args):
        if arg not in moving:
            continue
        rule = slopes[min(k, len(slopes) - 1)] if many is None else None
        share = many[k] if many is not None else rule and rule(g, y, *args, **node.settings)
        if share is None:
            continue
        yield arg, fit(lift(share), arg), _mask_of(node, k, mask)


def _mask_of(node: Node, k: int, mask: Mask | None) -> Mask | None:
    """Return where operand k of the node does not matter, since a choice hides it.

    There its gradient is 0, and must stay 0 on the way down, even where a slope is infinite:
    log(x) behind where(x > 0, log(x), 0) has no slope at x = 0, rather than 0 · inf.
    """
    assert node.op is not None
    if node.op.picks and k == 0 and mask is None:
        return Mask(_unreached(node, k, ops.ones_like(node)), False)
    own = node.op.hides and node.op.hides[k]
    if own:
        at, hard = ops.broadcast_to(own(*node.args), node.shape), node.op.masks
        mask = Mask(at, hard) if mask is None else Mask(at | mask.at, hard or mask.hard)
    if mask is None or (node.op.kind == "map" and node.args[k].shape == node.shape):
        return mask
    return _mask_below(node, k, mask)


def _mask_below(node: Node, k: int, mask: Mask) -> Mask | None:
    """Return which elements of operand k, of another shape, reach only what is hidden."""
    op, arg = node.op, node.args[k]
    assert op is not None
    seen = ops.astype(ops.logical_not(mask.at), arg.dtype)
    if op.kind == "view" or op.moves:
        return Mask(_unreached(node, k, seen), mask.hard)
    if not mask.hard:
        return None
    if op.kind == "reduce" and "keepdims" in node.settings:
        return Mask(ops.reduce.spread(seen, arg, **node.settings) == 0, True)
    if op.kind == "reduce" and "axis" in node.settings:  # a softmax: all of a row or none
        return Mask(ops.max(seen, node.settings["axis"], True) + 0 * seen == 0, True)
    if op.kind == "contract":
        return Mask(_unreached(node, k, seen), True)
    return Mask(fit(seen, arg) == 0, True) if op.kind == "map" else None


def _unreached(node: Node, k: int, seen: Node) -> Node:
    """Return where nothing of `seen` arrives in operand k: its slope at operands of 1 is 0."""
    op = node.op
    assert op is not None
    ones = [ops.ones_like(a) if a.dtype.kind == "f" else a for a in node.args]
    slopes = op.vjp if isinstance(op.vjp, tuple) else op.vjp(seen, node, *ones, **node.settings)
    part = slopes[min(k, len(slopes) - 1)]
    share = part(seen, node, *ones, **node.settings) if callable(part) else part
    nothing: Node = fit(share, node.args[k]) == 0
    return nothing


def _either(one: Mask | None, other: Mask | None) -> Mask | None:
    """A value read twice is hidden only where both readers hide it."""
    if one is None or other is None:
        return None
    return Mask(one.at & other.at, one.hard or other.hard)


def _unhidden(node: Node, mask: Node) -> tuple[tuple[Node, ...], Node]:
    """Return the op on operands that are harmless where its result is hidden."""
    op = node.op
    assert op is not None
    args = tuple(
        ops.where(_hidden_in(a, mask), sum(op.domain_of(k)) / 2, a) if a.dtype.kind == "f" else a
        for k, a in enumerate(node.args)
    )
    return args, build(op, args, node.attrs)


def _hidden_in(arg: Node, mask: Node) -> Node:
    """Return where all that an operand, perhaps stretched, takes part in is hidden."""
    if arg.shape == mask.shape:
        return mask
    none: Node = fit(ops.astype(ops.logical_not(mask), arg.dtype), arg) == 0
    return none


def fit(g: Node, x: Node) -> Node:
    """Sum a gradient down to the shape of its operand (undoing a broadcast), in its dtype."""
    if g.shape != x.shape:
        g = _summed(ops.broadcast_to(g, ops.core.broadcast(g.shape, x.shape)), x.shape)
    return g if g.dtype == x.dtype and not g.weak else ops.astype(g, x.dtype)


def _summed(g: Node, shape: Shape) -> Node:
    extra = g.ndim - len(shape)
    if extra:
        g = ops.sum(g, tuple(range(extra)))
    stretched = tuple(k for k, s in enumerate(shape) if s == 1 and g.shape[k] != 1)
    return ops.sum(g, stretched, True) if stretched else g


def gradients(loss: Node, wrt: Sequence[Node]) -> list[Node]:
    """Return d(loss)/d(node) for each of `wrt`; zeros where the loss does not depend on it."""
    for node in wrt:
        differentiable(node)
    loss = scalar(loss, "what is differentiated")
    bar = backward({loss: ops.ones_like(loss)}, wrt)
    return [bar[w] if w in bar else ops.zeros_like(w) for w in wrt]


def differentiable(node: Any) -> None:
    if not isinstance(node, Node):
        raise DtypeError(
            f"a derivative is taken with respect to a node, not {type(node).__name__}",
            "make a leaf first: x = pc.value(2.0, 'x')",
        )
    if node.dtype.kind != "f":
        raise DtypeError(
            f"{node!r} holds {node.dtype}: a derivative needs real numbers that can move",
            "give it as floats, for example pc.value(2.0, 'x')",
            node.where,
        )
