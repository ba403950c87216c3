"""Before loops: every op in terms of a few kinds that loops know, as a graph like any other.

What is left: maps of one element's text, reductions with an identity and a combining op, matrix
products of arrays, views with an index map, sizes, pieces joined, and rows of a table, picked or
added up.  An op that is a whole function in NumPy (softmax) is taken apart by running its own text
on nodes.
"""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Mapping

from pellucid import ops, protocol, text
from pellucid.dims import Dim, Size
from pellucid.errors import ArgumentError, PellucidError
from pellucid.graph import Node, lift, order
from pellucid.op import HELPERS, Op, compiled
from pellucid.ops.index import Slot
from pellucid.rewrite import rebuilt, substitute
from pellucid.rules import READ_BACK

assert protocol  # imported so that helpers, which are NumPy's text, run on nodes
SMALL = 64  # a product with a matrix of fewer weights is written out as loops


class NotLoops(ArgumentError):
    """A graph holds an op that is not yet printed as loops."""


def lowered(
    nodes: Iterable[Node], kernels: Container[str], keep: Iterable[Node]
) -> dict[Node, Node]:
    """Return what becomes of every node; those in `keep` stay as they are."""
    given = frozenset(keep)
    new: dict[Node, Node] = {node: node for node in given}
    for node in order(nodes, stop=new):
        if node not in new:
            fresh = rebuilt(node, [new[a] for a in node.args])
            new[node] = _settled(fresh, kernels, given)
    return new


def read_back(nodes: Iterable[Node], keep: Iterable[Node]) -> dict[Node, Node]:
    """Return what becomes of every node where a value that is kept anyhow says the same."""
    known = set(order(nodes, stop=set(keep)))
    places: dict[Node, Node] = {node: node for node in keep}
    for rule in READ_BACK:
        for node in known:
            after = rule.apply(node) if node.op is not None else None
            if after is not None and all(a in known or not a.args for a in after.args):
                places[node] = after
    return dict(zip(nodes, substitute(nodes, places), strict=True))


def _settled(node: Node, kernels: Container[str], given: Container[Node]) -> Node:
    """Take a node apart until only known kinds are left."""
    if node.op is not None and node.op.kind == "contract":
        whole = _contracted(node, given)
    else:
        whole = _expanded(node, kernels)
    # what a node was made of is in its last form already
    return node if whole is node else _lowered_inside(whole, node, kernels, given)


def _lowered_inside(
    whole: Node, node: Node, kernels: Container[str], given: Container[Node]
) -> Node:
    new: dict[Node, Node] = {a: a for a in node.args}
    for part in order([whole], stop=new):
        if part not in new:
            fresh = rebuilt(part, [new[a] for a in part.args])
            new[part] = _settled(fresh, kernels, given)
    return new[whole]


def _expanded(node: Node, kernels: Container[str]) -> Node:
    op = node.op
    if op is None or (op.kind == "map" and not _calls_helpers(op, kernels)):
        return node
    if op.kind in ("view", "dim", "index") or op.pieces:
        return node
    if op.kind == "reduce" and op.monoid and not op.helper:
        return _reduced(node)
    if op.kind == "map" or op.helper:
        return _traced(node)
    if op.same_as:
        return lift(op.same_as(*node.args, **node.settings))
    if is_lookup(node):
        return node
    if is_row_sum(node):
        return rebuilt(node, [_in_memory(a) for a in node.args])
    raise NotLoops(f"the op {op.name!r} is not printed as loops yet", 'backend="numpy"')


def is_lookup(node: Node) -> bool:
    """Say whether a node is rows of a table, picked by their numbers."""
    return node.op is not None and node.op.kind == "gather" and _by_rows(node)


def is_row_sum(node: Node) -> bool:
    """Say whether a node adds rows up where a lookup picked them: a call, like a product."""
    return node.op is not None and node.op.kind == "scatter" and _by_rows(node)


def is_call(node: Node) -> bool:
    """Say whether a compiled function computes the node as a whole."""
    return is_product(node) or is_row_sum(node)


def _by_rows(node: Node) -> bool:
    return node.settings.get("index") == (Slot(0),) and len(node.args) == 2


def _in_memory(node: Node) -> Node:
    """Return a value whose elements lie in their order: a view may have them otherwise."""
    whole: Node = node * 1 if node.op is not None and node.op.kind == "view" else node
    return whole


def _calls_helpers(op: Op, kernels: Container[str]) -> bool:
    """Say whether the op's text calls functions that loops have no kernel for."""
    called = [op.helper] if op.helper else text.names(text.parsed(op.numpy))
    return any(name in HELPERS and name not in kernels for name in called)


def _traced(node: Node) -> Node:
    """Run the op's own NumPy text on nodes: what it does becomes a graph of smaller ops."""
    assert node.op is not None
    function = compiled(node.op, node.attrs, len(node.args))
    try:
        return _precisely(lift(function(*node.args)), node)
    except (TypeError, PellucidError) as error:
        hint = 'backend="numpy"'
        raise NotLoops(f"the op {node.op.name!r} is not printed as loops yet", hint) from error


def _precisely(whole: Node, node: Node) -> Node:
    same: Node = whole if whole.dtype == node.dtype else ops.astype(whole, node.dtype)
    return same


def _reduced(node: Node) -> Node:
    """A reduction over axes of one element each is only another shape."""
    x = node.args[0]
    gone = ops.core.axes_of(node.settings["axis"], x.ndim)
    if node.op is not None and all(x.shape[k] == 1 for k in gone):
        return _precisely(ops.reshape(x, node.shape), node)
    return node


# -- matrix products -----------------------------------------------------------------------------


def is_product(node: Node) -> bool:
    """Say whether a node is a matrix product that a compiled function computes as a whole."""
    return node.op is not None and node.op.kind == "contract"


def product_form(node: Node, given: Container[Node]) -> tuple[str, Node, Node] | None:
    """Return the function for a product and the two arrays it reads; None where there is none."""
    x, y = node.args
    below, turned = _array(x, given), _array(y, given)
    if below is None or turned is None or (below is not x and turned is not y):
        return None
    form = "product_at" if below is not x else "product_bt" if turned is not y else "product"
    # only the number of samples may be open: the rows of A
    sizes = (*below.shape[1:], *(turned.shape if form != "product_at" else turned.shape[1:]))
    return None if any(isinstance(s, Dim) for s in sizes) else (form, below, turned)


def _array(node: Node, given: Container[Node]) -> Node | None:
    """Return the array that is the operand, or of which it is the transpose."""
    if base(node, given) is node:
        return node
    x = node.args[0]
    assert node.op is not None and node.op.index is not None
    turned = node.ndim == x.ndim == 2 and base(x, given) is x
    place = node.op.index(("i", "j"), x.shape, node.shape, **node.settings) if turned else ()
    return x if place == ("j", "i") else None


def _contracted(node: Node, given: Container[Node]) -> Node:
    if node.op is None or len(node.op.operands) != 2:
        raise NotLoops("einsum is not printed as loops yet", 'backend="numpy"')
    x, y = node.args
    plain = x.ndim == y.ndim == 2 and x.dtype == y.dtype and x.dtype.kind == "f"
    if plain and _large(x, y) and product_form(node, given):
        return node
    return _as_sum(x, y, node)


def _large(x: Node, y: Node) -> bool:
    """Compare the matrix of weights, which is the product's work for each row, with SMALL."""
    sizes: list[Size] = [x.shape[0], x.shape[1], y.shape[1]]
    known = [s for s in sizes if not isinstance(s, Dim)]
    return 1 not in sizes and math.prod(known) >= SMALL


def _as_sum(x: Node, y: Node, node: Node) -> Node:
    """Every row times every column, and then the sum: as loops compute it."""
    if x.ndim == 1 and y.ndim == 1:
        return _sum(x * y, 0)
    if y.ndim == 1:
        return _sum(x * y, -1)
    rows = ops.reshape(x, (*x.shape, 1))
    columns = y if x.ndim == 1 else ops.reshape(y, (*y.shape[:-2], 1, *y.shape[-2:]))
    return _sum(rows * columns, -2)


def _sum(terms: Node, axis: int) -> Node:
    return _reduced(ops.sum(terms, axis))


def readers(nodes: Iterable[Node], given: Container[Node]) -> Mapping[Node, list[Node]]:
    """Return who reads each node, views looked through."""
    found: dict[Node, list[Node]] = {}
    for node in nodes:
        if node.op is not None and node.op.kind != "view" and node not in given:
            for a in node.args:
                found.setdefault(base(a, given), []).append(node)
    return found


def base(node: Node, given: Container[Node] = ()) -> Node:
    """Return what a view shows; what is given is an array of its own."""
    while node.op is not None and node.op.kind == "view" and node not in given:
        node = node.args[0]
    return node
