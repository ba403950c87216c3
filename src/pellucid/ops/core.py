"""How an op is written down: `op(...)` for an entry, `public` for a composite of entries."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import cache, partial, wraps
from itertools import chain, repeat
from typing import Any, overload

import numpy as np

from pellucid import dims
from pellucid.dims import Shape, Size
from pellucid.errors import ArgumentError, ShapeError
from pellucid.graph import FUNCTIONS, Node, build, lift, mismatch
from pellucid.op import HELPERS, OPS, Kind, Op

Function = Callable[..., Any]
Array = Any  # annotates an operand: callers give a node, an array or a number; inside it is a node
Dtype = np.dtype[Any]
Axis = int | Sequence[int] | None


# -- shape rules -------------------------------------------------------------------------------


def same(x: Shape, *_: Shape, **__: Any) -> Shape:
    """Elementwise in one operand."""
    return x


def broadcast(*shapes: Shape, **_: Any) -> Shape:
    """NumPy's broadcasting: align at the right, a 1 stretches."""
    rank = max(map(len, shapes))
    padded = [(1,) * (rank - len(s)) + s for s in shapes]
    return tuple(_stretched(sizes, shapes) for sizes in zip(*padded, strict=True))


def _stretched(sizes: tuple[Size, ...], shapes: Sequence[Shape]) -> Size:
    wide = [s for s in sizes if s != 1]
    if any(s != wide[0] for s in wide):
        raise mismatch(
            "these shapes do not broadcast", *shapes, hint="transpose or reshape one of them"
        )
    return wide[0] if wide else 1


def reduced(x: Shape, axis: Axis = None, keepdims: bool = False, **_: Any) -> Shape:
    """The axes that are reduced go, or stay as 1."""
    gone = axes_of(axis, len(x))
    if keepdims:
        return tuple(1 if k in gone else s for k, s in enumerate(x))
    return tuple(s for k, s in enumerate(x) if k not in gone)


def axes_of(axis: Axis, ndim: int) -> tuple[int, ...]:
    """Return the axes as sorted non-negative numbers; None is all of them."""
    if axis is None or (not ndim and isinstance(axis, int) and axis in (0, -1)):
        return tuple(range(ndim))
    wanted = (axis,) if isinstance(axis, (int, np.integer)) else tuple(axis)
    for a in wanted:
        if not -ndim <= a < ndim:
            raise ShapeError(f"axis {a} does not exist in an array of {ndim} axes")
    found = tuple(sorted(int(a) % ndim for a in wanted))
    if len(set(found)) < len(found):
        raise ShapeError(f"axis {axis} names the same axis twice")
    return found


def axis_of(axis: Any, ndim: int) -> int:
    """Return one axis as a non-negative number."""
    return axes_of(int(axis), ndim)[0]


def normal_axis(axis: Axis, ndim: int) -> Axis:
    """Return one spelling for every way to say the same axes: None, 1 or (0, 1)."""
    if axis is None:
        return None
    found = axes_of(axis, ndim)
    if not ndim:
        return None
    if isinstance(axis, (int, np.integer)) or len(found) == 1:
        return found[0]
    return None if len(found) == ndim and ndim > 1 else found


def count(x: Node, axis: Axis = None) -> Size:
    """Return how many elements one reduced element is made from."""
    return dims.product(tuple(x.shape[k] for k in axes_of(axis, x.ndim)))


# -- dtype rules: what NumPy 2 would give -------------------------------------------------------


def promote(*dtypes: Any, **_: Any) -> Dtype:
    """The common dtype; a Python number yields to an array's."""
    return np.result_type(*dtypes)


def inexact(*dtypes: Any, **_: Any) -> Dtype:
    """The common dtype, and a float where that is an integer (as `np.sqrt` has it)."""
    return _inexact(np.result_type(*dtypes))


@cache
def _inexact(dtype: Dtype) -> Dtype:
    return dtype if dtype.kind == "f" else np.sqrt.resolve_dtypes((dtype, None))[1]


def quotient(*dtypes: Any, **_: Any) -> Dtype:
    """Integers divide to float64."""
    common = np.result_type(*dtypes)
    return common if common.kind == "f" else np.dtype(np.float64)


def powered(*dtypes: Any, **_: Any) -> Dtype:
    """The common dtype; truths multiply as small integers."""
    common = np.result_type(*dtypes)
    return np.dtype(np.int8) if common.kind == "b" else common


def accumulated(x: Any, **_: Any) -> Dtype:
    """Sums of booleans and small integers are counted in the platform's integer."""
    x = np.result_type(x)
    if x.kind in "bi":
        return np.result_type(x, np.int_)
    return np.result_type(x, np.uint) if x.kind == "u" else x


def boolean(*_: Any, **__: Any) -> Dtype:
    return np.dtype(bool)


def integer(*_: Any, **__: Any) -> Dtype:
    return np.dtype(np.intp)


def first(x: Any, *_: Any, **__: Any) -> Dtype:
    return np.result_type(x)


def chosen(_: Any, *dtypes: Any, **__: Any) -> Dtype:
    """The first operand only chooses."""
    return np.result_type(*dtypes)


def sized(**_: Any) -> Dtype:
    return np.dtype(int)


def counted(**_: Any) -> Dtype:
    return np.dtype(np.intp)


def cast(*_: Any, dtype: Any) -> Dtype:
    kind: Dtype = np.dtype(dtype)
    return kind


DTYPES: dict[str, Function] = {
    f.__name__: f
    for f in (
        promote,
        inexact,
        quotient,
        powered,
        accumulated,
        boolean,
        integer,
        first,
        chosen,
        sized,
        counted,
        cast,
    )
}


# -- entries -----------------------------------------------------------------------------------


def op(
    name: str,
    signature: str,
    *,
    kind: Kind = "map",
    shape: Function = broadcast,
    dtype: str = "promote",
    also: str = "",
    **facts: Any,
) -> Function:
    """Enter an op; return the public function of nodes or arrays.  `also`: NumPy's other names."""
    entry = Op(name, signature, kind=kind, shape=shape, dtype=DTYPES[dtype], **facts)
    OPS[name] = entry
    if entry.helper:
        HELPERS[entry.helper] = entry.numpy
    call: Any = _caller(entry)
    call.__name__ = call.__qualname__ = name
    call.__doc__ = docstring(entry)
    call.op = entry
    return _known_as(call, name, also)


def helper(text: str) -> None:
    """Enter a function that the texts of ops use and that is no op itself."""
    HELPERS[text[4 : text.index("(")]] = text


def _caller(entry: Op) -> Function:
    """Return a function of nodes or arrays, with the entry's signature, that builds its node."""
    keys = list(entry.settings)
    heads = [o for o in entry.operands if o[0] != "*"]
    rest = [o for o in entry.operands if o[0] == "*"]
    defaults = [f"{k}=_settings[{k!r}]" for k in keys]
    inside = f"({', '.join(entry.operands)},), dict({', '.join(f'{k}={k}' for k in keys)})"
    inside = inside.replace("(,)", "()").replace("dict()", "{}")
    head = ", ".join([*heads, *rest, *defaults])
    scope = {"_make": _make, "_entry": entry, "_settings": _defaults(entry), "__name__": __name__}
    made: Function = eval(f"lambda {head}: _make(_entry, {inside})", scope)
    made.__annotations__ = {o.lstrip("*"): "Array" for o in entry.operands}
    return made


def _defaults(entry: Op) -> dict[str, Any]:
    import ast

    return {k: eval(ast.unparse(v), {"np": np}) for k, v in entry.settings.items()}


def _make(entry: Op, operands: tuple[Any, ...], settings: dict[str, Any]) -> Any:
    args = tuple([x if isinstance(x, Node) else _operand(x) for x in operands])
    if "axis" in settings and args[0].shape is not None:
        settings["axis"] = normal_axis(settings["axis"], args[0].ndim)
    if entry.kind not in ("map", "dim", "index"):
        args = tuple([_strong(x) if x.weak else x for x in args])
    node = build(entry, args, tuple(settings.items()))
    return node if any(map(_has_node, operands)) or not args else writable(node)


def _strong(x: Node) -> Node:
    """Return a Python number as an array, which is what all but arithmetic needs."""
    return lift(np.asarray(x.data, x.dtype)) if x.is_constant else x


def docstring(entry: Op) -> str:
    operands = ", ".join(entry.operands)
    lines = [
        f"{entry.says[0].upper()}{entry.says[1:]}.",
        "",
        f"    {entry.formula}".replace("$", ""),
    ]
    lines += [
        "",
        f"Args: `{operands}`, nodes or arrays. Returns: a node if one of them is, else an array.",
    ]
    return "\n".join([*lines, *(["", entry.note] if entry.note else [])])


# -- public functions --------------------------------------------------------------------------


@overload
def public(function: Function, *, numpy: str = "") -> Function: ...


@overload
def public(*, numpy: str) -> Callable[[Function], Function]: ...


def public(function: Function | None = None, *, numpy: str = "") -> Any:
    """Make a function of nodes a function of nodes or arrays, and known by its name.

    Parameters annotated `Array` (or `Arrays`, a sequence) are operands: numbers and arrays among
    them become constants, and where none is a node the result is computed at once.
    `numpy` gives further names under which NumPy knows the same function.
    """
    if function is None:
        return partial(public, numpy=numpy)
    parameters = inspect.signature(function).parameters.values()
    kinds = {p.name: str(p.annotation) for p in parameters if str(p.annotation).startswith("Array")}
    heads = [kinds.get(p.name, "") for p in parameters if p.kind is not p.KEYWORD_ONLY]
    star = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    rest = heads[-1] if star else ""

    @wraps(function)
    def call(*args: Any, **settings: Any) -> Any:
        placed = list(zip(args, chain(heads, repeat(rest)), strict=False))
        named = [(v, kinds.get(k, "")) for k, v in settings.items()]
        full = [_lifted(x, kind) if kind else x for x, kind in placed]
        for k in kinds.keys() & settings.keys():
            settings[k] = _lifted(settings[k], kinds[k])
        result = function(*full, **settings)
        graph = any(kind and _has_node(x) for x, kind in chain(placed, named))
        return result if graph else values(result)

    return _known_as(call, function.__name__, numpy)


def _known_as(call: Function, name: str, numpy: str) -> Function:
    """Enter a function under its name and NumPy's other names for it."""
    for known in (name, *numpy.split()):
        FUNCTIONS[known] = call
    return call


def _has_node(x: Any) -> bool:
    return isinstance(x, Node) or (isinstance(x, (list, tuple)) and any(map(_has_node, x)))


def _lifted(x: Any, kind: str) -> Any:
    """Return an operand as a node; `Arrays` are a sequence of operands, not one."""
    if kind == "Arrays" and isinstance(x, (list, tuple)):
        return [_operand(v) for v in x]
    return None if x is None else _operand(x)


def _operand(x: Any) -> Node:
    return FUNCTIONS["stack"](x) if _has_node(x) and not isinstance(x, Node) else lift(x)


def values(result: Any) -> Any:
    """Return the arrays of nodes, in the shape they came in; a single number as NumPy has it."""
    if isinstance(result, Node):
        return writable(result)
    if isinstance(result, (list, tuple)):
        return type(result)(values(v) for v in result)
    return result


def writable(node: Node) -> Any:
    """Return the node's array as the caller's own; a single number as a NumPy scalar."""
    array = node.value
    return array[()] if array.ndim == 0 else array.copy()


def require(condition: bool, what: str, hint: str = "") -> None:
    if not condition:
        raise ArgumentError(what, hint)


def normal_shape(shape: Any, total: Size | None = None) -> Shape:
    """Return a shape as a tuple, with its -1 worked out from the number of elements."""
    sizes = tuple(shape) if isinstance(shape, (tuple, list)) else (shape,)
    sizes = tuple(s if isinstance(s, dims.Dim) else int(s) for s in sizes)
    if -1 in sizes and total is not None:
        rest = dims.product(tuple(s for s in sizes if s != -1))
        sizes = tuple(_missing(total, rest, sizes) if s == -1 else s for s in sizes)
    return sizes


def _missing(total: Size, rest: Size, sizes: Shape) -> Size:
    if (
        sizes.count(-1) > 1
        or rest == 0
        or (isinstance(total, int) and isinstance(rest, int) and total % rest)
    ):
        raise ShapeError(f"{total} elements cannot take the shape {dims.show(sizes)}")
    return total // rest  # type: ignore[operator]
