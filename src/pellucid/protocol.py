"""NumPy's own functions on nodes: `np.exp(node)` and `np.sum(node)` become the ops of that name.

A function is known when a public function of this package has its name; NumPy's other spellings
(`np.absolute`, `np.amax`) are entered beside the op itself.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np

from pellucid.dims import show
from pellucid.errors import DtypeError, ShapeError
from pellucid.graph import FUNCTIONS, Node, lift
from pellucid.op import OPS

# NumPy asks for these of anything array-like; they compute nothing
PLAIN: dict[str, Callable[..., Any]] = {
    "shape": lambda x: x.shape,
    "ndim": lambda x: x.ndim,
    "size": lambda x, axis=None: x.size if axis is None else x.shape[axis],
    "copy": lambda x, **_: x,
    "iscomplexobj": lambda x: False,
    "isrealobj": lambda x: True,
    "real": lambda x: x,
    "result_type": lambda *xs: np.result_type(*(x.dtype if isinstance(x, Node) else x for x in xs)),
    "allclose": lambda a, b, **k: np.allclose(_array(a), _array(b), **k),
    "array_equal": lambda a, b, **k: np.array_equal(_array(a), _array(b), **k),
}
# settings of memory and speed, which change no value
UNSEEN = {"order", "kind", "stable", "casting", "copy", "subok", "optimize", "overwrite_input"}
RENAMED = {"a_min": "min", "a_max": "max", "correction": "ddof"}


def _array(x: Any) -> Any:
    return x.value if isinstance(x, Node) else x


# of NumPy's submodules only these mean the same as ours: np.linalg.trace takes other axes
SUBMODULES = {
    f"linalg.{name}"
    for name in ("norm", "matmul", "matrix_transpose", "tensordot", "outer", "vecdot")
}


def _place(called: Any) -> str:
    """Return the submodule of a NumPy function, with a dot, or ""."""
    inside = getattr(called, "__module__", "").removeprefix("numpy").lstrip(".")
    return f"{inside}." if inside and not inside.startswith("_") else ""


def _known(name: str, place: str = "") -> Callable[..., Any]:
    function = FUNCTIONS.get(name) or PLAIN.get(name)
    strange = place and place + name not in SUBMODULES
    if function is None or strange or name.startswith("__"):
        raise DtypeError(
            f"np.{place}{name} is not known to the graph",
            "write it with the functions in the op reference, or give it node.value",
        )
    return function


@cache
def _parameters(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    try:
        return dict(inspect.signature(function).parameters)
    except ValueError:  # a function in C, and a NumPy before it said their arguments
        return {}


def ufunc(called: Any, method: str, *inputs: Any, **settings: Any) -> Any:
    """Answer a NumPy ufunc or one of its methods (reduce, accumulate, outer)."""
    name = called.__name__
    unset = {"dtype": None, "where": True, "keepdims": False, "initial": np._NoValue, "out": None}
    extra = {k: v for k, v in settings.items() if k not in unset or v is not unset[k]}
    if method == "__call__":
        target = _known(name)
        return _called(name, target, dict(zip(_parameters(target), inputs, strict=False)) | extra)
    if method == "reduce":
        names = ("x", "axis", "dtype", "out", "keepdims", "initial", "where")
        given = {"axis": 0} | dict(zip(names, inputs, strict=False)) | extra
        return _called(f"{name}.reduce", _reduction(name), given)
    if method == "accumulate":
        _reduction(name)  # only what may be combined in any order can run in strides
        return FUNCTIONS["__accumulate__"](_known(name), *inputs, **extra)
    if method == "outer":
        x, y = map(lift, inputs)
        return _known(name)(FUNCTIONS["reshape"](x, (*x.shape, *(1,) * y.ndim)), y)
    raise DtypeError(f"np.{name}.{method} is not known to the graph")


def _reduction(name: str) -> Callable[..., Any]:
    """Return the reduction that combines by this op, as its entry says."""
    for op in OPS.values():
        if op.monoid and op.monoid[1] == name:
            return FUNCTIONS[op.name]
    raise DtypeError(f"np.{name}.reduce is not known to the graph")


def function(called: Any, args: Any, settings: Mapping[str, Any]) -> Any:
    """Answer any other NumPy function: its arguments, by their names, become ours."""
    name = called.__name__
    target, theirs = _known(name, _place(called)), _parameters(called)
    if (
        not theirs
        or name in PLAIN
        or next(iter(theirs.values())).kind is inspect.Parameter.VAR_POSITIONAL
    ):
        return target(*args, **{k: v for k, v in settings.items() if k not in UNSEEN})
    ours, given = list(_parameters(target)), {}
    for key, value in (dict(zip(theirs, args, strict=False)) | dict(settings)).items():
        if key in theirs and value is theirs[key].default:
            continue
        own = RENAMED.get(key, key)  # NumPy's a, arr, v or m is our x
        spot = list(theirs).index(key) if key in theirs else len(ours)
        if own not in ours and spot < len(ours) and ours[spot] not in theirs:
            own = ours[spot]
        given[own] = value
    return _called(name, target, given)


def _called(name: str, target: Callable[..., Any], given: dict[str, Any]) -> Any:
    """Call our function; what NumPy's takes and ours does not is worked around it, or refused."""
    ours = _parameters(target)
    extra = {k: given.pop(k) for k in list(given) if k not in ours and k not in UNSEEN}
    given = {k: v for k, v in given.items() if k in ours}
    if "dtype" in extra:
        kind = extra.pop("dtype")
        given |= {
            k: FUNCTIONS["astype"](v, kind)
            for k, v in given.items()
            if ours[k].annotation == "Array"
        }
    op = getattr(target, "op", None)
    if op and op.monoid and extra and extra.keys() <= {"initial", "where"}:
        return _part(target, given, **extra)
    if extra:
        raise _refused(name, next(iter(extra)))
    return target(**given)


def _part(target: Any, given: dict[str, Any], initial: Any = None, where: Any = None) -> Any:
    """Reduce from an initial value on, or only where a condition holds."""
    start, combine = target.op.monoid
    if where is not None:
        x = lift(given["x"])
        given["x"] = FUNCTIONS["where"](where, x, np.asarray(start, x.dtype))
    result = target(**given)
    return result if initial is None else FUNCTIONS[combine](result, initial)


def _refused(name: str, setting: str) -> DtypeError:
    if setting == "out":
        return DtypeError(
            f"np.{name}(…, out=…) would overwrite an array, and nodes never change",
            "use the result instead",
        )
    hint = "leave it out, or give it node.value"
    return DtypeError(f"np.{name}(…, {setting}=…) is not known to the graph", hint)


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


def scalar(number: Any, what: str) -> Node:
    """Return the node if it is a single number, for only that has a gradient."""
    node = lift(number)
    if node.shape not in ((), (1,), (1, 1)):
        raise ShapeError(
            f"{what} must be a single number, but is {show(node.shape)}",
            "average or sum it first: pc.mean(…), pc.sum(…); for all slopes use pc.jacobian",
        )
    return node
