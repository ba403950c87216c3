"""NumPy's own functions on nodes: `np.exp(node)` and `np.sum(node)` become the ops of that name.

A function is known when a public function of this package has its name; NumPy's other spellings
(`np.absolute`, `np.amax`) are entered beside the op itself.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from pellucid.dims import show
from pellucid.errors import DtypeError, ShapeError
from pellucid.graph import FUNCTIONS, OPS, Node, lift

# NumPy asks for these of anything array-like; they compute nothing
PLAIN: dict[str, Callable[..., Any]] = {
    "shape": lambda x: x.shape,
    "ndim": lambda x: x.ndim,
    "size": lambda x: x.size,
    "copy": lambda x, **_: x,
    "iscomplexobj": lambda x: False,
    "isrealobj": lambda x: True,
    "real": lambda x: x,
    "result_type": lambda *xs: np.result_type(*(x.dtype if isinstance(x, Node) else x for x in xs)),
    "allclose": lambda a, b, **k: np.allclose(_array(a), _array(b), **k),
    "array_equal": lambda a, b, **k: np.array_equal(_array(a), _array(b), **k),
}


def _array(x: Any) -> Any:
    return x.value if isinstance(x, Node) else x


def _known(name: str) -> Callable[..., Any]:
    function = FUNCTIONS.get(name) or PLAIN.get(name)
    if function is None or name.startswith("__"):
        raise DtypeError(
            f"np.{name} is not known to the graph",
            "write it with the functions in the op reference, or give it node.value",
        )
    return function


def _clean(settings: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Drop the settings that NumPy passes along unset; refuse those that nodes cannot follow."""
    kept = {k: v for k, v in settings.items() if v is not None and v is not np._NoValue}
    if "out" in kept:
        raise DtypeError(
            f"np.{name}(…, out=…) would overwrite an array, and nodes never change",
            "use the result instead",
        )
    return kept


def ufunc(function: Any, method: str, *inputs: Any, **settings: Any) -> Any:
    """Answer a NumPy ufunc or one of its methods (reduce, accumulate, outer)."""
    name = function.__name__
    settings = _clean(settings, name)
    if method == "__call__":
        return _known(name)(*inputs, **settings)
    if method == "reduce":
        return _reduce(name)(*inputs, **({"axis": 0} | settings))
    if method == "accumulate" and name in ("add", "multiply"):
        return FUNCTIONS["cumsum" if name == "add" else "cumprod"](*inputs, **({"axis": 0} | settings))
    if method == "outer":
        x, y = map(lift, inputs)
        return _known(name)(x.reshape((*x.shape, *(1,) * y.ndim)), y)
    raise DtypeError(f"np.{name}.{method} is not known to the graph")


def _reduce(name: str) -> Callable[..., Any]:
    """Return the reduction that combines by this op, as its entry says."""
    for op in OPS.values():
        if op.monoid and op.monoid[1] == name:
            return FUNCTIONS[op.name]
    raise DtypeError(f"np.{name}.reduce is not known to the graph")


def function(called: Any, args: Any, settings: Mapping[str, Any]) -> Any:
    """Answer any other NumPy function."""
    name = called.__name__
    target, settings = _known(name), _clean(settings, name)
    try:
        inspect.signature(target).bind(*args, **settings)
    except TypeError as error:
        raise DtypeError(f"np.{name} on a node: {error}", f"see help(pellucid.{name})") from None
    return target(*args, **settings)


FUNCTIONS["__ufunc__"], FUNCTIONS["__function__"] = ufunc, function


# -- arguments in containers: arrays, tuples, lists, dicts ---------------------------------------


def leaves(tree: Any) -> list[Any]:
    """Return what stands in nested tuples, lists and dicts, in order."""
    if isinstance(tree, Mapping):
        return [leaf for key in tree for leaf in leaves(tree[key])]
    if isinstance(tree, (tuple, list)):
        return [leaf for part in tree for leaf in leaves(part)]
    return [tree]


def like(tree: Any, flat: Any) -> Any:
    """Return the same containers with other leaves."""
    return _like(tree, iter(flat))


def _like(tree: Any, flat: Any) -> Any:
    if isinstance(tree, Mapping):
        return {key: _like(tree[key], flat) for key in tree}
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*(_like(part, flat) for part in tree))
    if isinstance(tree, (tuple, list)):
        return type(tree)(_like(part, flat) for part in tree)
    return next(flat)


def scalar(node: Any, what: str) -> Node:
    """Return the node if it is a single number, for only that has a gradient."""
    node = lift(node)
    if node.shape not in ((), (1,), (1, 1)):
        raise ShapeError(
            f"{what} must be a single number, but is {show(node.shape)}",
            "average or sum it first: pc.mean(…), pc.sum(…); for all slopes use pc.jacobian",
        )
    return node
