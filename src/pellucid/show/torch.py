"""The graph as a function of PyTorch: an op's PyTorch text where the NumPy printer has its NumPy.

source(program)   a module with that function        body(program)   the lines inside it
Nothing here needs PyTorch; what is printed does.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

import numpy as np

from pellucid import text
from pellucid.errors import ArgumentError
from pellucid.graph import Node, order
from pellucid.op import Op
from pellucid.show.python import Body, Program, constant_tree, wrapped

OPERATORS = (ast.BinOp, ast.UnaryOp, ast.Compare)  # what takes a Python number as it is
RESERVED = ("torch", "nn", "self", "n", "np")


def source(program: Program) -> str:
    """Print the program as a module of PyTorch. Raises: ArgumentError for what PyTorch lacks.

    >>> import pellucid as pc
    >>> from pellucid.show.python import Section
    >>> x = pc.graph.symbolic("x", (3,))
    >>> print(source(Program("f", [x], [Section("", {"y": pc.exp(x) + 1})], ["y"])))
    import torch
    <BLANKLINE>
    <BLANKLINE>
    def f(x):
        y = torch.exp(x) + 1  # (3,)
        return y
    <BLANKLINE>
    """
    head = wrapped(f"def {program.name}({', '.join(n.name for n in program.inputs)}):", 4)
    lines = [f"    {line}" if line else "" for line in body(program)]
    return "\n\n\n".join(["import torch", "\n".join([*head, *lines])]) + "\n"


def body(program: Program) -> list[str]:
    """Return the lines of the function, its return included."""
    names = {node: name for node, name in program.names.items() if name not in RESERVED}
    fresh = Program(program.name, program.inputs, program.sections, program.returns, names)
    for node in order(fresh.outputs):
        if node.op is not None:
            _check(node.op, node)
    return Body(fresh, _written, _fixed).lines()


def _text(op: Op) -> str:
    """Return the op's text in PyTorch; what only renames or counts is the same in both."""
    plain = op.kind in ("view", "dim", "index") and not op.helper
    return op.torch or (op.numpy if plain else "")


def _check(op: Op, node: Node) -> None:
    """Refuse an op, or a setting of it, that the text has no place for."""
    hint = "write the layer in other functions, or in PyTorch"
    if not _text(op):
        raise ArgumentError(f"{op.name!r} has no counterpart in PyTorch", hint)
    known = {*text.names(text.parsed(_text(op)))}
    for key, value in node.attrs:
        if key not in known and key != "name" and not _usual(op, key, value):
            raise ArgumentError(
                f"{op.name!r} with {key}={value!r} is not written for PyTorch", hint
            )
        if any(isinstance(part, slice) and (part.step or 1) < 0 for part in _parts(value)):
            raise ArgumentError("PyTorch takes no slice with a negative step", "use pc.flip")


def _usual(op: Op, key: str, value: Any) -> bool:
    """Say whether a setting is the one that an op has where nothing is said."""
    return text.unparse(text.literal(value)) == text.unparse(op.settings[key])


def _parts(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def _written(node: Node, trees: Mapping[Node, Any], bare: set[Node], program: Program) -> Any:
    """Return a node's text; where a function of PyTorch's wants arrays, numbers become some."""
    assert node.op is not None
    op, tree = node.op, text.parsed(_text(node.op))
    parts = [trees[a] for a in node.args]
    if not isinstance(tree, OPERATORS):
        pairs = zip(parts, node.args, strict=True)
        parts = [_tensor(part, _kind(node), program) if a in bare else part for part, a in pairs]
    fixed = len(op.operands) - any(o.startswith("*") for o in op.operands)
    named: dict[str, Any] = dict(zip(op.operands[:fixed], parts, strict=False))
    if fixed < len(op.operands):
        named[op.operands[-1][1:]] = parts[fixed:]
    settings = {key: _setting(key, value, node) for key, value in node.attrs}
    return _translated(text.fill(text.fill(_chosen(tree, node), settings), named))


def _chosen(tree: Any, node: Node) -> Any:
    """Decide what the text decides by a setting: `a if axes is None else b`."""
    if not isinstance(tree, ast.IfExp):
        return tree
    asked = next(text.names(tree.test))
    return tree.body if node.settings.get(asked) is None else tree.orelse


def _setting(key: str, value: Any, node: Node) -> Any:
    """Write a setting; all axes are written out, for some of PyTorch's reductions take no None."""
    assert node.op is not None
    if key == "axis" and value is None and node.op.kind == "reduce":
        value = tuple(range(node.args[0].ndim))
    if isinstance(value, np.dtype):
        return text.parsed(f"torch.{value.name}")
    return text.literal(value)


def _kind(node: Node) -> np.dtype[Any]:
    """Return the precision of the numbers among an op's operands."""
    if node.dtype.kind == "f":
        return node.dtype
    return next((a.dtype for a in node.args if not a.weak), node.args[0].dtype)


def _tensor(tree: Any, kind: np.dtype[Any], program: Program) -> Any:
    """Make an array of numbers: on the device of the first input, and in its precision, mostly."""
    first = program.inputs[0].name
    dtype = ast.keyword("dtype", text.parsed(f"torch.{kind.name}"))
    more = [] if kind == program.dtype else [dtype]
    return ast.Call(text.parsed(f"{first}.new_tensor"), [tree], more)


def _fixed(node: Node, program: Program) -> Any:
    """Write a fixed array out."""
    if node.ndim:
        return _tensor(text.parsed(repr(node.data.tolist())), node.dtype, program)
    if node.weak or node.dtype == program.dtype:
        return constant_tree(node, program)
    return _tensor(text.literal(node.data.item()), node.dtype, program)


def _translated(tree: Any) -> Any:
    """Call PyTorch where the text calls NumPy: np.inf, np.arange."""
    match tree:
        case ast.Name(id="np"):
            return text.name("torch")
        case ast.AST():
            return type(tree)(**{k: _translated(v) for k, v in ast.iter_fields(tree)})
        case list():
            return [_translated(child) for child in tree]
    return tree
