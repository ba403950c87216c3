"""Passes over whole graphs: names into a table, fusions, slopes, algebra.

Graph   some outputs by name, and the names of the nodes below them, under one roof
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pellucid.backward import backward
from pellucid.graph import Node, constant, order
from pellucid.ops import ones_like
from pellucid.rewrite import Fold, Rule, Step, rewrite, substitute
from pellucid.rules import FUSIONS, PIECES, SIMPLIFY, SLOPES, VALUES


@dataclass(frozen=True, eq=False)
class Graph:
    """Named outputs, the names of nodes below them, and the rewrites that led here."""

    outputs: dict[str, Node]
    names: dict[Node, str]
    steps: list[Step] = field(default_factory=list)


def unlabeled(
    outputs: Mapping[str, Node],
    named: Mapping[str, Node] | None = None,
    dtype: np.dtype[Any] | None = None,
) -> Graph:
    """Take the labels out of a graph, and keep what they said in a table.

    `named` are further nodes to have a name; theirs come before a label's, and an earlier before
    a later one. `dtype` is the precision to bring real constants to.
    """
    named = named or {}
    places = _constants([*outputs.values(), *named.values()], dtype) if dtype else {}
    labels: list[tuple[Node, str]] = []
    for node in order([*outputs.values(), *named.values()]):
        if node.op is not None and node.op.name == "label":
            (bare,) = substitute(node.args, places)
            places[node] = bare
            labels.append((bare, node.settings["name"]))
    fresh = substitute([*outputs.values(), *named.values()], places)
    names: dict[Node, str] = {}
    for node, name in [*zip(fresh[len(outputs) :], named, strict=True), *labels]:
        names.setdefault(node, name)
    return Graph(dict(zip(outputs, fresh[: len(outputs)], strict=True)), names)


def _constants(outputs: Sequence[Node], dtype: np.dtype[Any]) -> dict[Node, Node]:
    """Return every real constant in another precision: np.log(2) must not slow a float32 net."""
    leaves = [x for x in order(outputs) if x.is_constant and not x.weak and x.dtype.kind == "f"]
    return {x: constant(x.data.astype(dtype)) for x in leaves if x.dtype != dtype}


def rewritten(graph: Graph, rules: Sequence[Rule | Fold]) -> Graph:
    """Apply rules to every output at once; names follow their nodes."""
    result = rewrite(graph.outputs.values(), rules)
    names: dict[Node, str] = {}
    for node, name in graph.names.items():
        names.setdefault(result.new.get(node, node), name)
    outputs = dict(zip(graph.outputs, result.outputs, strict=True))
    return Graph(outputs, names, graph.steps + result.steps)


def fused(graph: Graph) -> Graph:
    """Apply the fusions: before differentiation, so that the loss is stable forwards, too."""
    return rewritten(graph, [*FUSIONS, *PIECES])


def simplified(graph: Graph) -> Graph:
    """Bring slopes and values into the textbook's form, then simplify."""
    return rewritten(rewritten(rewritten(graph, SLOPES), VALUES), SIMPLIFY)


def differentiated(graph: Graph, loss: str, wrt: Sequence[Node]) -> Graph:
    """Add the gradient of one output; every named node x on the way gets its d_x a name."""
    target = graph.outputs[loss]
    bar = backward({target: ones_like(target)}, wrt)
    names = dict(graph.names)
    for node, name in graph.names.items():
        if node in bar and node is not target:
            names.setdefault(bar[node], f"d_{name}")
    outputs = dict(graph.outputs)
    outputs |= {f"d_{graph.names[w]}": bar[w] for w in wrt if w in bar}
    return Graph(outputs, names, graph.steps)
