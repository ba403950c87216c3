"""The numbers of a graph: values, gradients of its result, local gradients, paths.

Local gradients are asked of one op at a time, on operands of its own, so that in x * x the two
paths stay two.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pellucid.backward import backward
from pellucid.errors import PellucidError
from pellucid.graph import Array, Node, evaluate, order, symbolic
from pellucid.ops import ones_like

Place = tuple[Node, int]  # an op, and which of its operands


@dataclass(frozen=True, eq=False)
class Reading:
    """What is known of a graph in numbers; `notes` say what is not, and why."""

    values: Mapping[Node, Array] = field(default_factory=dict)
    gradients: Mapping[Node, Array] = field(default_factory=dict)
    locals: Mapping[Place, Array] = field(default_factory=dict)
    paths: Mapping[Place, Array] = field(default_factory=dict)  # local × upstream
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Data:
    """Arrays for the leaves that carry none, and the batch size."""

    feed: Mapping[Node, Array] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)

    def arrays(self, wanted: Iterable[Node], known: Mapping[Node, Any]) -> dict[Node, Array]:
        """Return the arrays of those that can be computed, beyond what is known already."""
        wanted = list(wanted)
        can = self._computable(wanted, known)
        asked = [node for node in wanted if node in can]
        found = evaluate(asked, {**self.feed, **known}, self.sizes)
        return {node: np.asarray(v) for node, v in zip(asked, found, strict=True)}

    def _computable(self, wanted: list[Node], known: Mapping[Node, Any]) -> set[Node]:
        can = {*self.feed, *known}
        for node in order(wanted, stop=can):
            given = not node.symbolic if node.op is None else all(a in can for a in node.args)
            if given and (self.sizes or node.op is None or node.op.kind != "dim"):
                can.add(node)
        return can


def read(
    nodes: Sequence[Node],
    target: Node,
    data: Data,
    slopes: bool = True,
    back: bool = False,
    shown: Sequence[Node] | None = None,
) -> Reading:
    """Return the numbers of these nodes: values, and where `slopes` all gradients of the target.

    `shown` are the ops whose edges are drawn; `back` asks for what arrives by every path as well,
    local gradient times upstream.
    """
    try:
        values = data.arrays(nodes, {})
    except PellucidError as error:
        return Reading(notes=(f"no values: {error.what}",))
    if not slopes or not values:
        return Reading(values)
    if target.dtype.kind != "f":
        return Reading(values, notes=(f"no gradients: the result holds {target.dtype}",))
    try:
        gradients = _gradients(nodes, target, data, values)
    except PellucidError as error:
        return Reading(values, notes=(f"no gradients: {error.what}",))
    notes = () if values.get(target, np.zeros(())).size == 1 else (
        "gradients are of the sum of the result's elements",)  # fmt: skip
    shown = [n for n in (nodes if shown is None else shown) if n in gradients]
    local = _locals(shown, data, values)
    paths = _paths(shown, data, values, gradients) if back else {}
    return Reading(values, gradients, local, paths, notes)


def _gradients(
    nodes: Sequence[Node], target: Node, data: Data, values: Mapping[Node, Array]
) -> dict[Node, Array]:
    given = [n for n in nodes if n.op is None and n.dtype.kind == "f" and not n.is_constant]
    bars = backward({target: ones_like(target)}, given)
    bars = {node: bar for node, bar in bars.items() if node in values}
    found = data.arrays(bars.values(), values)
    return {node: found[bar] for node, bar in bars.items() if bar in found}


def _moves(node: Node) -> bool:
    return node.dtype.kind == "f" and not node.is_constant


def _locals(nodes: Sequence[Node], data: Data, values: Mapping[Node, Array]) -> dict[Place, Array]:
    """Return ∂out/∂in where it has one number for each element: for maps, and single results."""
    asked: dict[Place, Node] = {}
    known: dict[Node, Array] = dict(values)
    for node in nodes:
        if node.op is None or any(a not in values for a in node.args):
            continue
        y = values[node]
        maps = node.op.kind == "map"
        if maps or y.size == 1:
            args = [np.broadcast_to(values[a], y.shape) if maps else values[a] for a in node.args]
            asked |= _shares(node, args, np.ones_like(y), y, known)
    found = data.arrays(asked.values(), known)
    return {place: found[share] for place, share in asked.items() if share in found}


def _paths(
    nodes: Sequence[Node],
    data: Data,
    values: Mapping[Node, Array],
    gradients: Mapping[Node, Array],
) -> dict[Place, Array]:
    """Return what arrives at every operand through every op: their sums are the gradients."""
    asked: dict[Place, Node] = {}
    known: dict[Node, Array] = dict(values)
    for node in nodes:
        if node.op is None or any(a not in values for a in node.args):
            continue
        args = [values[a] for a in node.args]
        asked |= _shares(node, args, gradients[node], values[node], known)
    found = data.arrays(asked.values(), known)
    return {place: found[share] for place, share in asked.items() if share in found}


def _shares(
    node: Node, args: Sequence[Array], seed: Array, y: Array, known: dict[Node, Array]
) -> dict[Place, Node]:
    """Return, per operand, the graph of the op's derivative on leaves of its own."""
    leaves = [
        symbolic("x", v.shape, a.dtype) if _moves(a) or a.symbolic else a
        for a, v in zip(node.args, args, strict=True)
    ]
    moving = [
        (k, leaf) for k, leaf in enumerate(leaves) if leaf is not node.args[k] and _moves(leaf)
    ]
    try:
        twin = _twin(node, leaves)
        upstream = symbolic("g", twin.shape, twin.dtype)
        bars = backward({twin: upstream}, [leaf for _, leaf in moving])
    except PellucidError:
        return {}
    known |= dict(zip(leaves, args, strict=True)) | {twin: y, upstream: seed}
    return {(node, k): bars[leaf] for k, leaf in moving if leaf in bars}


def _twin(node: Node, leaves: Sequence[Node]) -> Node:
    from pellucid.graph import build

    assert node.op is not None
    return build(node.op, tuple(leaves), node.attrs)
