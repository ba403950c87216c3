"""Explanations of a node or a function: every op a step, then the way back."""

from __future__ import annotations

import inspect
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from typing import Any

import numpy as np

from pellucid.errors import ArgumentError, DtypeError, TraceError
from pellucid.explaining.names import Names
from pellucid.explaining.reading import Reader
from pellucid.explaining.script import Plan, Script, script
from pellucid.explaining.walkthrough import Walkthrough
from pellucid.explaining.windows import Values, View
from pellucid.graph import Node, check_name, lift, numeric, order, regular, value
from pellucid.passes import Graph, unlabeled
from pellucid.protocol import leaves, like

ROUND = "Numbers are rounded to {} decimals; each result is that of the exact ones."
LONG = 40  # steps, beyond which a line or two each must do


def explain_node(node: Node, digits: int, columns: bool, title: str = "") -> Walkthrough:
    """Explain a node whose leaves carry data."""
    found, given, notes = node_script(node, columns)
    view = View(digits=digits, columns=columns)
    return _walk(found, given, view, title, [ROUND.format(digits), *notes])


def node_script(node: Node, columns: bool) -> tuple[Script, dict[str, Any], list[str]]:
    """Return the steps of a node, the values of its leaves by name, and what is to be noted."""
    graph = _named(node)
    target = graph.outputs["f"]
    name = graph.names[target]
    moving = [x for x in order([target]) if x.op is None and x in graph.names]
    moving = [x for x in moving if x.dtype.kind == "f"]
    scalar = target.shape == () and target.dtype.kind == "f" and target.op is not None
    plan = Plan(graph, target if scalar else None, moving if scalar else [], columns=columns,
                as_built=True)  # fmt: skip
    notes = []
    if not scalar:
        notes.append(f"{name} is not a single number that moves, so there is no way back from it.")
    found = script(plan)
    given = {graph.names[x]: x.value for x in order([target]) if x.op is None and x in graph.names}
    return found, given, notes


def _walk(
    found: Script, given: Mapping[str, Any], view: View, title: str, notes: Sequence[str]
) -> Walkthrough:
    reader = Reader(found, Values({}, {}), view)
    steps = reader.steps()
    arrays = {name: view.turned(np.asarray(a)) for name, a in given.items()}
    notes = (*notes, *reader.broken({name: np.asarray(a) for name, a in given.items()}))
    return Walkthrough(title or found.target or "f", steps, arrays, notes, len(steps) > LONG)


def _named(node: Node) -> Graph:
    """Give every value of a graph a name: its own, or v1, v2, …; the last is f."""
    for leaf in order([node]):
        if leaf.op is None and leaf.symbolic:
            raise TraceError(
                f"{leaf!r} has no data, so there are no numbers to explain",
                "make it with pc.value(array, name)",
            )
    bare = unlabeled({"f": node})
    target = bare.outputs["f"]
    below = order([target])
    labels = {x: bare.names.get(x, x.name if x.op is None else "") for x in below}
    wanted = {x: label for x, label in labels.items() if label}
    last = wanted.get(target, "f")
    names = Names([*wanted.values(), last])
    found = {x: names.fresh(label) for x, label in wanted.items() if x is not target}
    found[target] = names.fresh(last)
    plain = map("v{}".format, count(1))
    for x in below:
        if x.op is not None and x not in found and x.op.kind != "dim":
            found[x] = next(name for name in plain if names.free(name))
    return Graph({"f": target}, found)


def explain_function(
    function: Callable[..., Any], args: Sequence[Any], digits: int, columns: bool
) -> Walkthrough:
    """Explain a function at given arguments, under the names of its parameters."""
    if not args:
        raise ArgumentError(
            "a function is explained at arguments", "pc.explain(function, 2.0, 3.0)"
        )
    label = getattr(function, "__name__", "f")
    title = "f" if label == "<lambda>" else label
    return explain_node(traced(function, args), digits, columns, title)


def traced(function: Callable[..., Any], args: Sequence[Any]) -> Node:
    """Return what a function makes of leaves that are named as its parameters."""
    words = _words(function, args)
    result = function(*(_leaves(name, arg) for name, arg in zip(words, args, strict=True)))
    if isinstance(result, (tuple, list, Mapping)):
        raise DtypeError("the function returns several results", "return the one to be explained")
    return lift(result)


def _words(function: Callable[..., Any], args: Sequence[Any]) -> list[str]:
    """Return a name for each argument."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # a function in C does not say
        return [f"x{k + 1}" for k in range(len(args))]
    try:
        signature.bind(*args)
    except TypeError as error:
        raise ArgumentError(f"the function cannot be called like that: {error}") from None
    kinds = signature.parameters.values()
    words = [p.name for p in kinds if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return [words[k] if k < len(words) else f"x{k + 1}" for k in range(len(args))]


def _leaves(name: str, arg: Any) -> Any:
    """Return an argument with a leaf in place of every array, named after where it stands."""
    if isinstance(arg, Node):
        return arg
    if isinstance(arg, list) and all(isinstance(x, (int, float)) for x in leaves(arg)):
        return value(regular(arg, name).astype(float), _speakable(name))  # numbers: an array
    paths = list(_paths(name, arg))
    pairs = zip(paths, leaves(arg), strict=True)
    return like(arg, [value(_real(x), _speakable(path)) for path, x in pairs])


def _speakable(name: str) -> str:
    """Return a name that can stand in printed Python: n_ for n, which is the batch size there."""
    plain = unicodedata.normalize("NFKC", name)
    plain = plain if plain.isidentifier() else "x"
    try:
        check_name(plain)
    except ArgumentError:
        return f"{plain}_"
    return plain


def _real(x: Any) -> Any:
    array = numeric(x, "an argument")
    return array.astype(float) if isinstance(x, int) and not isinstance(x, bool) else array


def _paths(name: str, tree: Any) -> Iterator[str]:
    if isinstance(tree, Mapping):
        for key in tree:
            yield from _paths(str(key), tree[key])
    elif isinstance(tree, (tuple, list)):
        for k, part in enumerate(tree):
            yield from _paths(f"{name}{k + 1}", part)
    else:
        yield name
