"""The sign of an op, as a picture shows it: from its entry, so that no op is known by name."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import numpy as np

from pellucid.graph import Node
from pellucid.op import Op, expression
from pellucid.text import literal, name, unparse

# how Python writes an operator, and how a picture does
SIGNS = {"*": "×", "/": "÷", "-": "−", "**": "^", "==": "=", "!=": "≠", "<=": "≤", ">=": "≥"}
LETTERS = {
    "sigma": "σ", "Phi": "Φ", "varphi": "φ", "sum": "Σ", "prod": "Π",
    "forall": "∀", "exists": "∃", "neg": "¬",
}  # fmt: skip
HEAD = re.compile(
    r"\\(?:operatorname\{([\w']+)\}|([A-Za-z]+))(_\w|_\{\w+\})?(?: |\()?\$\w+(?:,|\)|$)"
)


@cache
def symbol(op: Op) -> str:
    """Return the op's sign: +, ×, Σ, σ, ln; else its name in words."""
    operator = re.fullmatch(r"(\w+) (\S+) (\w+)", op.numpy)
    if operator and operator.groups()[::2] == op.operands:
        return SIGNS.get(operator[2], operator[2])
    sign = re.fullmatch(r"([-~])(\w+)", op.numpy)
    if sign:
        return SIGNS.get(sign[1], sign[1])
    head = HEAD.match(op.formula)
    if head and head[1]:
        return head[1]
    if head and head[2] not in ("sqrt", "frac", "lfloor"):
        return LETTERS.get(head[2], head[2]) + re.sub(r"[_{}]", "", head[3] or "")
    return op.name.replace("_", " ")


def settings(node: Node) -> str:
    """Return how the op is set where that differs from its defaults: "np.sum(x, axis=0)"."""
    op = node.op
    if op is None or not any(_told(node, k, v) for k, v in node.attrs):
        return ""
    if op.helper:
        return ", ".join(f"{k}={_text(v)}" for k, v in node.attrs if _told(node, k, v))
    names = [o for o in op.operands if o[0] != "*"]
    names += [f"x{k}" for k in range(len(names), len(node.args))]
    return unparse(expression(op, node.attrs, [name(n) for n in names]))


def _told(node: Node, key: str, value: Any) -> bool:
    """Say whether a setting tells more than the shape does, and can be written."""
    assert node.op is not None
    if callable(value) or isinstance(value, (str, np.dtype)) or value == node.shape:
        return False
    return _text(value) != unparse(node.op.settings[key])


def _text(value: Any) -> str:
    return unparse(literal(value))
