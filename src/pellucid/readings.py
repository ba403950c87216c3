"""What there is to see of a node, a function or a model: the public entries to explanations."""

from __future__ import annotations

from typing import Any

import numpy as np

from pellucid.errors import ArgumentError, DtypeError, one_of
from pellucid.explaining.of_model import NOTATIONS, reader_of
from pellucid.explaining.of_node import explain_function, explain_node, node_script, traced
from pellucid.explaining.reading import Reader
from pellucid.explaining.walkthrough import Walkthrough
from pellucid.explaining.why import Why
from pellucid.explaining.why import why as followed
from pellucid.explaining.windows import Values, View
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
        _check_model(args, settings)
        return target.explain(args[0], args[1], notation=notation, digits=digits, **settings)
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


def _check_model(args: tuple[Any, ...], settings: dict[str, Any]) -> None:
    unknown = sorted(settings.keys() - {"sample", "fused"})
    if len(args) != 2 or unknown:
        told = f"has no setting {unknown[0]!r}" if unknown else "is explained on samples"
        raise ArgumentError(f"a model {told}", "pc.explain(model, X, y, sample=0, fused=True)")


def why(target: Any, *args: Any, paths: int = 12) -> Why:
    """Say why a number moved: every path from it to the loss, and the update that follows.

        ∂L/∂w = Σ over paths of the product of the local gradients along each

    Args: `target`, a model, then X, y and one number of a parameter, such as "W1[0, 1]"; or a node,
    or a function and its arguments, then one number of a leaf, such as "x" or "x[2]"; `paths`, how
    many are listed: the largest, and what the others add. Where more than 4,000 numbers of one
    layer are on the way, those with the smallest gradients count among the others.
    Raises: ArgumentError for a name or an index that does not exist.

    >>> found = why(lambda x: (x + 1) * (2 * x), 3.0, "x")
    >>> [route.product for route in found.paths], found.gradient
    ([8.0, 6.0], 14.0)
    """
    if isinstance(paths, bool) or not isinstance(paths, int) or paths < 1:
        raise ArgumentError(f"paths is {paths!r}", "how many to list, such as paths=12")
    if not args:
        raise ArgumentError("why says nothing without a number", 'such as "W1[0, 1]"')
    *given, spot = args
    if isinstance(target, Sequential):
        if len(given) != 2:
            raise ArgumentError("a model moves for samples", 'pc.why(model, X, y, "W1[0, 1]")')
        with target._unless_refused():
            reader = reader_of(*target._asked(given[0], given[1], 0, "rows", 4, True))
            return followed(reader, spot, _moving(target, spot), paths)
    if not isinstance(target, Node) and not callable(target):
        raise DtypeError(f"{type(target).__name__} has no paths", "give a model, node or function")
    node = target if isinstance(target, Node) else traced(target, given)
    script, leaves, _ = node_script(node, columns=False)
    moving = {line.name.removeprefix("d_") for line in script.lines if line.paths}
    shapes = {name: np.shape(leaf) for name, leaf in leaves.items() if name in moving}
    return followed(Reader(script, Values({}, {}), View()), spot, shapes, paths)


def _moving(model: Sequential, spot: Any) -> dict[str, tuple[int, ...]]:
    """Return the shapes of the parameters that are learned; refuse one that is frozen."""
    name = str(spot).partition("[")[0].strip()
    kinds = {s.name: s.kind for s in model._built.parameters}
    if kinds.get(name) == "frozen":
        raise ArgumentError(f"{name} is frozen, so nothing moves it", f'model.unfreeze("{name}")')
    return {s.name: s.shape for s in model._built.slots}
