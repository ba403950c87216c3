"""A graph run again and again: the loss at moved parameters, and which of its switches flip.

Replay      some outputs as a function of some leaves; what does not move is computed once
switches    the nodes of a graph that jump: comparisons, signs, roundings, positions
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from pellucid.dims import Dim
from pellucid.graph import Array, Node, evaluate, order
from pellucid.op import compiled


class Replay:
    """Some outputs of a graph as a function of the arrays of its moving leaves.

    Where the graph stops a gradient it is held still, as the gradient has it: `hold` says where.
    """

    def __init__(
        self,
        outputs: Sequence[Node],
        leaves: Sequence[Node],
        feed: Mapping[Node, Any],
        sizes: Mapping[str, int],
    ) -> None:
        self.outputs, self.leaves = list(outputs), list(leaves)
        nodes = order(outputs, stop=leaves)
        moving = moved(nodes, leaves)
        self.held = [x for x in nodes if x in moving and stops(x)]
        steps = [x for x in nodes if x in moving and x.op is not None]
        read = dict.fromkeys([*(a for x in steps for a in x.args), *outputs])
        still = [x for x in read if x not in moving]
        arrays = evaluate(still, feed, sizes)
        self.values: dict[Node, Any] = dict(zip(still, arrays, strict=True))
        self.steps = [(x, _function(x, sizes), x.args) for x in steps]
        self.free = [step for step in self.steps if step[0] not in set(self.held)]

    def hold(self, arrays: Sequence[Any]) -> None:
        """Take what stops a gradient as it is for these arrays, from now on."""
        if self.held:
            self._run(self.steps, arrays)
            # a copy: what is held may be a view of what moves
            self.values.update({x: np.array(self.values[x]) for x in self.held})

    def __call__(self, arrays: Sequence[Any]) -> list[Any]:
        return self._run(self.free, arrays)

    def _run(self, steps: Iterable[Any], arrays: Sequence[Any]) -> list[Any]:
        values = self.values
        values.update(zip(self.leaves, arrays, strict=True))
        with np.errstate(all="ignore"):
            for node, function, args in steps:
                values[node] = function(*[values[a] for a in args])
        return [values[x] for x in self.outputs]


def _function(node: Node, sizes: Mapping[str, int]) -> Callable[..., Any]:
    assert node.op is not None
    attrs = tuple((key, _sized(value, sizes)) for key, value in node.attrs)
    return compiled(node.op, attrs, len(node.args))


def _sized(value: Any, sizes: Mapping[str, int]) -> Any:
    if isinstance(value, Dim):
        return value.at(sizes)
    return tuple(_sized(v, sizes) for v in value) if isinstance(value, tuple) else value


def moved(nodes: Iterable[Node], leaves: Iterable[Node]) -> set[Node]:
    """Return the nodes, arguments before their readers, whose values depend on the leaves."""
    found = set(leaves)
    for node in nodes:
        if not found.isdisjoint(node.args):
            found.add(node)
    return found


def flat_op(node: Node) -> bool:
    """Whether an op has no slope in any operand."""
    return node.op is not None and isinstance(node.op.vjp, tuple) and not any(node.op.vjp)


def stops(node: Node) -> bool:
    """Whether the node hands its value on, and no gradient back."""
    return flat_op(node) and node.op is not None and node.op.kind == "view"


def switches(outputs: Sequence[Node], leaves: Sequence[Node]) -> list[Node]:
    """Return the nodes that jump where a leaf moves, and are flat between their jumps.

    A gradient's graph holds them all: the mask of a ReLU, the sign of |x|, the ties of a maximum.
    Between two jumps a function made of these ops is smooth.
    """
    nodes = order(outputs, stop=leaves)
    moving = moved(nodes, leaves)
    found = [x for x in nodes if x in moving and (x.dtype.kind != "f" or flat_op(x))]
    return [x for x in found if x.op is not None and not stops(x)]


def same(one: Sequence[Array], other: Sequence[Array]) -> bool:
    """Whether all switches stand alike."""
    return all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
