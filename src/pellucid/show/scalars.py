"""From an array expression to one of single numbers, as the innermost loop computes it.

NumPy's functions become kernels of the same name and precision; every number is written in the
precision that it meets, since a bare 0.5 would promote float32 to float64.
"""

from __future__ import annotations

import ast
from typing import Any

import numpy as np

from pellucid import text
from pellucid.graph import Node
from pellucid.show import library
from pellucid.show.lower import NotLoops

Tree = Any
SHORT = {"float32": "f32", "float64": "f64", "bool": "bool"}  # others are np.int64, …


def converted(want: np.dtype[Any] | None, node: Node, tree: Tree) -> Tree:
    """Bring an operand to the precision it is computed in."""
    if want is None or (node.dtype == want and not (node.weak and want.itemsize < 8)):
        return tree
    if isinstance(tree, ast.Constant) and want.kind == "f":
        return typed(float(tree.value), want)  # type: ignore[arg-type]
    return ast.Call(cast(want), [tree], [])


def scalar(tree: Tree, kind: np.dtype[Any], uses: dict[str, None]) -> Tree:
    """Return an op's text as one of single numbers: kernels for NumPy's functions."""
    match tree:
        case ast.Call(func=ast.Attribute(attr="where"), args=[c, a, b]):
            return ast.IfExp(*(scalar(x, kind, uses) for x in (c, a, b)))
        case ast.Call(func=ast.Attribute(value=x, attr="astype"), args=[to]):
            wanted = np.dtype(ast.unparse(to).removeprefix("np."))
            return ast.Call(cast(wanted), [scalar(x, kind, uses)], [])
        case (
            ast.Call(func=ast.Attribute(value=ast.Name(id="np"), attr=known))
            | ast.Call(func=ast.Name(id=known))
        ):
            return _called(tree, known, kind, uses)
        case ast.BinOp(left=x, op=ast.Pow(), right=ast.Constant(value=int())):
            return ast.BinOp(scalar(x, kind, uses), tree.op, tree.right)
        case ast.Constant(value=int() | float()) if kind.kind == "f":
            return typed(float(tree.value), kind)  # type: ignore[arg-type]
        case ast.AST():
            parts = {k: scalar(v, kind, uses) for k, v in ast.iter_fields(tree)}
            return type(tree)(**parts)
        case list():
            return [scalar(x, kind, uses) for x in tree]
    return tree


def _called(tree: Any, known: str, kind: np.dtype[Any], uses: dict[str, None]) -> Tree:
    args = [scalar(a, kind, uses) for a in tree.args]
    for name in (f"{known}{kind.itemsize * 8}", known):
        if name in library.functions():
            uses[name] = None
            return ast.Call(text.name(name), args, [])
    return ast.Call(tree.func, args, [])


def common(node: Node) -> np.dtype[Any] | None:
    """Return the precision in which a map computes; None where its operands are no floats."""
    assert node.op is not None
    if node.weak or node.op.name == "astype":
        return None
    if node.dtype.kind == "f":
        return node.dtype
    kinds = [a.dtype for a in node.args if a.dtype.kind == "f" and not a.weak]
    return np.result_type(*kinds) if kinds else None


def literal(node: Node) -> Tree:
    """Write a fixed number: the shortest that its precision rounds to the same."""
    if node.weak or node.dtype.kind != "f":
        return text.literal(node.data if node.weak else node.data.item())
    return typed(float(str(node.data)), node.dtype)


def cast(dtype: np.dtype[Any]) -> Tree:
    """Return what turns a number into one of this dtype."""
    if dtype.kind == "f" and dtype.itemsize not in (4, 8):
        raise NotLoops(f"{dtype} is not compiled", "use float32 or float64")
    return text.parsed(SHORT.get(dtype.name, f"np.{dtype.name}"))


def typed(value: float, dtype: np.dtype[Any]) -> Tree:
    """Write a number in a precision: f32(0.5), since a bare 0.5 would promote to float64."""
    if dtype.kind == "b":
        return text.literal(bool(value))
    if dtype.kind != "f":
        info = np.iinfo(dtype)  # an extreme of no elements, where there is no infinity
        return text.literal(int(min(max(value, info.min), info.max)))
    plain = text.literal(float(value))
    return plain if dtype.itemsize == 8 else ast.Call(cast(dtype), [plain], [])
