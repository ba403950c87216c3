"""Making an object of a learner's class, whose __init__ may ask for the sizes of layers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from inspect import Parameter
from itertools import count
from typing import Any

from pellucid.check.calling import Stop, attempt, parameters, role

LISTS = (
    r"(layer_?)?(sizes|dims|dimensions|shapes?|units|nodes|neurons|architecture|topology|structure"
    r"|layers)|layer_(sizes|dims|list)|layers_?(sizes|dims)"
)
HIDDEN_LIST = r"hidden_?(sizes|layers|dims|units)"
INPUTS = (
    r"(n|num|dim)?_?(in|inputs?|features|x)(_?(size|dim|nodes|units|features|neurons|layer))?"
    r"|d|d_?in|i"
)
HIDDEN = (
    r"(n|num|dim)?_?(h|hid|hidden)_?\d*(_?(size|dim|nodes|units|neurons|layer))?_?\d*"
    r"|d_?h(idden)?\d*|h\d"
)
OUTPUTS = (
    r"(n|num|dim)?_?(o|out|outputs?|classes|y)(_?(size|dim|nodes|units|neurons|layer|classes))?"
    r"|d_?out|k|c"
)


def made(
    kind: type, sizes: Sequence[int], activations: Sequence[str], data: Mapping[str, Any]
) -> Any:
    """Return an object of the class; raise Stop where its __init__ asks for what is not known."""
    failed: Stop | None = None
    for args, settings in _ways(kind, list(sizes), activations, data):
        try:
            return attempt(kind, *args, **settings)
        except Stop as stop:
            failed = failed or stop
    assert failed is not None
    raise failed


def _ways(
    kind: type, sizes: list[int], activations: Sequence[str], data: Mapping[str, Any]
) -> Iterator[tuple[list[Any], dict[str, Any]]]:
    asked = parameters(kind)
    by_name = _by_name(asked, sizes, activations, data)
    if by_name is not None:
        yield [], by_name
    needed = [p for p in asked if p.default is p.empty]
    yield [], {}
    yield [sizes], {}
    yield list(sizes), {}
    if len(needed) == 2:
        yield [sizes, 0.1], {}
    yield [*sizes, 0.1], {}


def _by_name(
    asked: Sequence[Parameter],
    sizes: list[int],
    activations: Sequence[str],
    data: Mapping[str, Any],
) -> dict[str, Any] | None:
    result: dict[str, Any] = {}
    hidden = count(1)
    for p in asked:
        value = _value(p.name.lower(), sizes, activations, hidden)
        if value is None and role(p.name) in ("X", "y"):
            value = data.get(role(p.name))
        if value is not None:
            result[p.name] = value
        elif p.default is p.empty:
            return None
    return result


def _value(name: str, sizes: list[int], activations: Sequence[str], hidden: Iterator[int]) -> Any:
    if re.fullmatch(HIDDEN_LIST, name):
        return sizes[1:-1]
    if re.fullmatch(LISTS, name):
        return sizes
    if re.fullmatch(INPUTS, name) and name not in ("x", "inputs", "input"):
        return sizes[0]
    if re.fullmatch(HIDDEN, name):
        k = next(hidden)
        return sizes[k] if k < len(sizes) - 1 else None
    if re.fullmatch(OUTPUTS, name) and name != "y":
        return sizes[-1]
    return _setting(name, activations)


def _setting(name: str, activations: Sequence[str]) -> Any:
    if re.fullmatch(r"(hidden_)?activation(_name)?|act", name):
        return activations[0]
    if re.fullmatch(r"activations", name):
        return list(activations)
    if re.fullmatch(r"seed|random_(state|seed)", name):
        return 0
    return None
