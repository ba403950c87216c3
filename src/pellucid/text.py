"""Formulas as syntax trees: parse an op's NumPy text, put arguments in their places, print it.

Substitution in a syntax tree gets brackets right at any nesting, which string formatting does not.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import numpy as np

from pellucid.dims import Dim

Parts = Mapping[str, ast.expr | list[ast.expr]]


@cache
def parsed(text: str) -> ast.expr:
    """Return the tree of an expression; treat it as read-only."""
    return ast.parse(text, mode="eval").body


def name(text: str) -> ast.Name:
    return ast.Name(text, ast.Load())


def names(tree: ast.AST) -> Iterator[str]:
    """Yield every name read in a tree, as often as it is read."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.id


@cache
def words(source: str) -> tuple[str, ...]:
    """Return the names read in a whole function's text."""
    return tuple(names(ast.parse(source)))


@cache
def defaults(source: str) -> dict[str, str]:
    """Return the defaults of a whole function's arguments, as text."""
    args = ast.parse(source).body[0].args  # type: ignore[attr-defined]
    named = args.args[len(args.args) - len(args.defaults) :]
    return {a.arg: ast.unparse(d) for a, d in zip(named, args.defaults, strict=True)}


def literal(value: Any) -> ast.expr:
    """Return the expression that a person would write for this attribute value."""
    if isinstance(value, np.dtype):
        return parsed(f"np.{value.name}" if value.kind != "b" else "bool")
    if isinstance(value, tuple):
        return ast.Tuple([literal(v) for v in value], ast.Load())
    if isinstance(value, slice):
        parts = [literal(v) for v in (value.start, value.stop, value.step)]
        return ast.Call(name("slice"), parts, [])
    if isinstance(value, Dim):
        return parsed(repr(value))
    if isinstance(value, float) and not np.isfinite(value):
        return parsed({"nan": "np.nan", "inf": "np.inf", "-inf": "-np.inf"}[repr(value)])
    if isinstance(value, (int, float)) and not isinstance(value, bool) and str(value)[0] == "-":
        return ast.UnaryOp(ast.USub(), ast.Constant(-value))
    if hasattr(value, "text"):
        return parsed(value.text)
    return ast.Constant(value)


def fill(tree: ast.expr, parts: Parts) -> ast.expr:
    """Return the tree with names replaced; a list stands for a starred name, `*xs` or `xs[0]`.

    Keywords whose value is None or False are dropped: they are NumPy's defaults.
    """
    filled: ast.expr = _fill(tree, parts)
    return filled


def _fill(tree: Any, parts: Parts) -> Any:
    match tree:
        case ast.Name(id=key) if key in parts:
            return parts[key]
        case ast.Subscript(value=ast.Name(id=key), slice=ast.Constant(value=k)) if isinstance(
            chosen := parts.get(key), list
        ):
            return chosen[int(str(k))]
        case ast.Subscript():
            return ast.Subscript(
                _fill(tree.value, parts), _sliced(_fill(tree.slice, parts)), tree.ctx
            )
        case ast.AST():
            return type(tree)(**{field: _fill(v, parts) for field, v in ast.iter_fields(tree)})
        case list():
            return [item for child in tree for item in _items(child, parts)]
    return tree


def _sliced(index: Any) -> Any:
    """Inside brackets, slice(1, None, None) is written 1: ."""
    match index:
        case ast.Tuple(elts=[only]):
            return _sliced(only)
        case ast.Tuple():
            return ast.Tuple([_sliced(e) for e in index.elts], index.ctx)
        case ast.Call(func=ast.Name(id="slice")):
            return ast.Slice(*[None if _is_none(a) else a for a in index.args])
    return index


def _is_none(tree: ast.expr) -> bool:
    return isinstance(tree, ast.Constant) and tree.value is None


def _items(child: Any, parts: Parts) -> list[Any]:
    """Return what one element of a list becomes: nothing, one element, or a starred name's many."""
    if isinstance(child, ast.Starred) and isinstance(child.value, ast.Name):
        chosen = parts.get(child.value.id)
        if isinstance(chosen, list):
            return chosen
        if isinstance(chosen, ast.Tuple):
            return chosen.elts
    filled = _fill(child, parts)
    if isinstance(child, ast.keyword) and isinstance(child.value, ast.Name):
        value = getattr(filled.value, "value", filled)
        return [] if value is None or value is False else [filled]
    return [filled]


def unparse(tree: ast.AST) -> str:
    return ast.unparse(tree)
