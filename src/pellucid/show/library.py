"""The functions that compiled programs define for themselves, as text, by name."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from functools import cache
from importlib.resources import files

PLACES = ("selects.py", "kernels.py", "products.py")


@cache
def functions() -> dict[str, str]:
    """Return the text of every function that a compiled program may use, by name."""
    found: dict[str, str] = {}
    for place in PLACES:
        source = files("pellucid").joinpath(place).read_text(encoding="utf-8")
        lines = source.splitlines()
        for item in ast.parse(source).body:
            if isinstance(item, ast.FunctionDef) and item.decorator_list:
                first = item.decorator_list[0].lineno - 1
                found[item.name] = "\n".join(lines[first : item.end_lineno])
    return found


def needed(names: Iterable[str]) -> list[str]:
    """Return the functions that these names need, in the order to define them."""
    known, found = functions(), dict[str, None]()
    for name in names:
        if name in known and name not in found:
            found |= dict.fromkeys([*needed(_called(known[name])), name])
    return list(found)


def _called(source: str) -> list[str]:
    """Return the functions that a text calls; a local value may have a function's name."""
    calls = (node.func for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))
    return [f.id for f in calls if isinstance(f, ast.Name)]


def parameters(name: str) -> list[str]:
    """Return the parameters of a function of the library."""
    function = ast.parse(functions()[name]).body[0]
    assert isinstance(function, ast.FunctionDef)
    return [a.arg for a in function.args.args]
