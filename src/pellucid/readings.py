"""What there is to see of a node, a function or a model: the public entries to explanations."""

from __future__ import annotations

from typing import Any

from pellucid.errors import ArgumentError, DtypeError, one_of
from pellucid.explain.of_model import NOTATIONS
from pellucid.explain.of_node import explain_function, explain_node
from pellucid.explain.walkthrough import Walkthrough
from pellucid.graph import Node
from pellucid.model import Sequential


def explain(
    target: Any, *args: Any, notation: str = "rows", digits: int = 4, **settings: Any
) -> Walkthrough:
    """Explain a node, a function at given arguments, or a model on given samples, step by step.

    Every step has its formula in symbols, the formula with numbers in place and the result; on the
    way back, local gradient · upstream gradient for each path, and their sum.

    Args: `target`, a node on leaves with data; a function, and its arguments; or a model, with X
    and y, and the settings of `model.explain`. `notation`, "rows" (x W) or "columns" (W x);
    `digits`, how many decimals are shown. Returns: a `Walkthrough`.
    Raises: TraceError for a node without data, ArgumentError for settings that cannot be meant.

    >>> from pellucid import value
    >>> x, y, z = value(2.0, "x"), value(3.0, "y"), value(4.0, "z")
    >>> w = explain((x + y) * z)
    >>> w["d_x"].formula, w["d_x"].numbers, w["d_x"].value
    ('d_v1', '4', 4.0)
    """
    if isinstance(target, Sequential):
        return target.explain(*args, notation=notation, digits=digits, **settings)
    if settings:
        raise ArgumentError(f"{', '.join(settings)} is a setting of models only", "leave it out")
    if notation not in NOTATIONS:
        raise one_of("notation", notation, NOTATIONS)
    if isinstance(digits, bool) or not isinstance(digits, int) or not 1 <= digits <= 15:
        raise ArgumentError(f"digits is {digits!r}", "1 to 15 decimals, such as digits=6")
    if isinstance(target, Node):
        if args:
            raise ArgumentError("a node has its numbers already", "pc.explain(node)")
        return explain_node(target, digits, notation == "columns")
    if callable(target):
        return explain_function(target, args, digits, notation == "columns")
    raise DtypeError(
        f"{type(target).__name__} cannot be explained",
        "give a node, a function with its arguments, or a model with X and y",
    )
