"""The same program in memory set aside once: what the NumPy backend runs.

Each line of the graph becomes the ufunc that the operator stands for, with `out=` a buffer:
`z1 = X @ W1 + b1` is `np.matmul(X, W1, out=_b0)`, `np.add(_b0, b1, out=_b0)`.  The arithmetic
is the same, so the numbers are, to the last bit.  A buffer is used again once its value has been
read.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pellucid import dims, text
from pellucid.dims import Shape
from pellucid.graph import Node, order
from pellucid.op import HELPERS, helpers_of
from pellucid.show.python import Program, bare_numbers, constant_tree, holds_dim, written

OPERATORS = {
    ast.Add: "add",
    ast.Sub: "subtract",
    ast.Mult: "multiply",
    ast.Div: "divide",
    ast.MatMult: "matmul",
    ast.USub: "negative",
    ast.Gt: "greater",
    ast.GtE: "greater_equal",
    ast.Lt: "less",
    ast.LtE: "less_equal",
    ast.Eq: "equal",
    ast.NotEq: "not_equal",
}
# np.sum is np.add.reduce behind a few Python calls, which a small network would feel
CALLS = {
    "sum": "add.reduce",
    "max": "maximum.reduce",
    "min": "minimum.reduce",
    "prod": "multiply.reduce",
    "mean": "mean",
    "concatenate": "concatenate",
}


@dataclass(frozen=True, eq=False)
class Buffered:
    """The text of a program on buffers, and the buffers it needs: (shape, dtype) of each."""

    source: str
    buffers: list[tuple[Shape, np.dtype[Any]]]


@dataclass(eq=False)
class _Plan:
    """Which buffer holds which value, and which are free again."""

    last: dict[Node, int]
    base: dict[Node, Node] = field(default_factory=dict)  # a view -> the value whose memory it is
    held: dict[Node, int] = field(default_factory=dict)
    free: dict[Any, list[int]] = field(default_factory=dict)
    buffers: list[tuple[Shape, np.dtype[Any]]] = field(default_factory=list)

    def take(self, node: Node) -> int:
        key = (node.shape, node.dtype)
        spare = self.free.get(key)
        if spare:
            self.held[node] = spare.pop()
        else:
            self.held[node] = len(self.buffers)
            self.buffers.append(key)
        return self.held[node]

    def release(self, node: Node, now: int) -> None:
        """Give back the buffers that are read here for the last time."""
        for a in {self.base.get(a, a) for a in node.args}:
            if a in self.held and self.last[a] == now:
                self.free.setdefault((a.shape, a.dtype), []).append(self.held.pop(a))


def buffered(program: Program) -> Buffered:
    """Print the program on buffers."""
    nodes = order(program.outputs)
    stores = [store for s in program.sections for store in s.stores.items()]
    plan = _Plan(_last_reads(nodes, program))
    trees: dict[Node, Any] = {leaf: text.name(leaf.name) for leaf in program.inputs}
    lines: list[str] = []
    bare = bare_numbers(program)
    for now, node in enumerate(nodes):
        if node in trees:
            continue
        if node.op is None:
            trees[node] = constant_tree(node, program)
            continue
        tree = written(node, trees, bare, program)
        plan.base[node] = _base(node, plan.base)
        if node.op.kind in ("view", "dim") or not node.shape:
            name = f"_v{now}"
            lines.append(f"{name} = {text.unparse(tree)}")
            trees[node] = text.name(name)
            continue
        trees[node] = _computed(node, tree, plan, lines, now)
        plan.release(node, now)
    for k, (_, node) in enumerate(stores):
        if plan.base.get(node, node).op is None:  # another array's old value, soon overwritten
            lines.append(f"_old{k} = {text.unparse(trees[node])}.copy()")
            trees[node] = text.name(f"_old{k}")
    views = {name: node for s in program.sections for name, node in s.values.items()}
    for target, node in stores:
        place = text.unparse(trees[views[target]]) if target in views else target
        spot = place if place.endswith("]") else f"{place}[...]"  # one number of a flat array
        lines.append(f"{spot} = {text.unparse(trees[node])}")
    return Buffered(_module(program, nodes, trees, lines, len(plan.buffers)), plan.buffers)


def _computed(node: Node, tree: Any, plan: _Plan, lines: list[str], now: int) -> Any:
    """Write a value into a buffer where its op can, else leave the memory to NumPy."""
    if _into(tree, "out") is None:
        lines.append(f"_v{now} = {text.unparse(tree)}")
        return text.name(f"_v{now}")
    if node.op is not None and node.op.kind == "map":
        plan.release(node, now)  # elementwise: the result may overwrite an operand
    name = f"_b{plan.take(node)}"
    lines.append(_into(tree, name) or "")
    return text.name(name)


def _base(node: Node, base: dict[Node, Node]) -> Node:
    if node.op is not None and node.op.kind == "view" and node.args:
        return base.get(node.args[0], node.args[0])
    return node


def _last_reads(nodes: list[Node], program: Program) -> dict[Node, int]:
    """Return when each value's memory is read for the last time, views of it included."""
    last: dict[Node, int] = {}
    base: dict[Node, Node] = {}
    for now, node in enumerate(nodes):
        base[node] = _base(node, base)
        for a in node.args:
            last[base.get(a, a)] = now
    for node in program.outputs:
        last[base.get(node, node)] = len(nodes)
    return last


def _into(tree: Any, out: str) -> str | None:
    """Return the statement that writes an expression's value into `out`, if one call can."""
    match tree:
        case ast.BinOp(left=left, op=ast.Pow(), right=ast.Constant(value=2)):
            return _call("square", [left], out)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in OPERATORS:
            return _call(OPERATORS[type(op)], [left, right], out)
        case ast.UnaryOp(op=ast.USub(), operand=x) if not isinstance(x, ast.Call):
            return _call("negative", [x], out)
        case ast.Compare(left=left, ops=[op], comparators=[right]) if type(op) in OPERATORS:
            return _call(OPERATORS[type(op)], [left, right], out)
        case ast.Call(func=ast.Attribute(value=ast.Name(id="np"), attr=name)):
            if name in CALLS:
                return _call(CALLS[name], tree.args, out, _with_axis(CALLS[name], tree.keywords))
            if not tree.keywords and isinstance(getattr(np, name, None), np.ufunc):
                return _call(name, tree.args, out)
    return None


def _with_axis(name: str, keywords: list[Any]) -> list[Any]:
    """np.sum(x) is over all axes, np.add.reduce(x) over the first: so say axis=None."""
    if not name.endswith(".reduce") or any(k.arg == "axis" for k in keywords):
        return keywords
    return [ast.keyword("axis", ast.Constant(None)), *keywords]


def _call(name: str, args: list[Any], out: str, keywords: list[Any] | None = None) -> str:
    parts = [text.unparse(a) for a in args]
    parts += [f"{k.arg}={text.unparse(k.value)}" for k in keywords or []]
    return f"np.{name}({', '.join(parts)}, out={out})"


def _module(program: Program, nodes: list[Node], trees: Any, lines: list[str], count: int) -> str:
    helpers = helpers_of(w for node in nodes if node.op for w in _called(node))
    by_name = {name: node for s in program.sections for name, node in s.values.items()}
    returns = [text.unparse(trees[by_name[name]]) for name in program.returns]
    inputs = [leaf.name for leaf in program.inputs]
    head = []
    if any(holds_dim(v) for node in nodes for _, v in node.attrs):
        batch = next(x for x in program.inputs if x.shape and x.shape[0] == dims.symbol("n"))
        head.append(f"n = len({batch.name})")
    if count:
        head.append(f"{', '.join(f'_b{k}' for k in range(count))}, = _work")
    body = [*head, *lines, f"return {', '.join(returns)}" if returns else "return None"]
    main = f"def {program.name}({', '.join([*inputs, '_work'])}):\n    " + "\n    ".join(body)
    return (
        "\n\n\n".join(["import numpy as np", *(HELPERS[h].strip("\n") for h in helpers), main])
        + "\n"
    )


def _called(node: Node) -> list[str]:
    assert node.op is not None
    return [node.op.helper] if node.op.helper else list(text.names(text.parsed(node.op.numpy)))


def workspace(plan: Buffered, n: int) -> tuple[Any, ...]:
    """Set the memory aside for a batch of n."""
    return tuple(np.empty(dims.at(shape, {"n": n}), dtype) for shape, dtype in plan.buffers)
