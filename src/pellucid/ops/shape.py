"""Ops that move values without computing: reshape, transpose, broadcast, join."""
# fmt: off

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pellucid import dims
from pellucid.dims import Shape, Size
from pellucid.errors import ShapeError
from pellucid.graph import Node, check_name, lift, mismatch
from pellucid.ops.core import Array, axes_of, axis_of, broadcast, normal_shape, op, public
from pellucid.ops.places import Index, aligned, joined, regrouped, unmoved

Arrays = Sequence[Any]

_dim = op("dim", "size=1", numpy="size", formula="$size", kind="dim", shape=lambda size: (),
    internal=True,
    dtype="sized", says="a number of rows or columns that is known when data come")

_cast = op("astype", "x, dtype=np.dtype(float)", numpy="x.astype(dtype)", formula="$x", kind="map",
    dtype="cast",
    vjp=(lambda g, y, x, dtype: g,),  # `grad` gives every gradient the dtype of its operand
    says="the same numbers in another precision", torch="x.to(dtype)", onnx="Cast",
    examples=({"dtype": np.dtype(np.float32)},))


@public
def astype(x: Array, dtype: Any) -> Any:
    """Return the same numbers in another precision."""
    dtype = np.dtype(dtype)
    if x.is_constant and not x.ndim:
        return lift(np.asarray(x.data, dtype))
    if x.weak:  # a size, which is a Python number
        return x * np.ones((), dtype)
    return x if x.dtype == dtype else _cast(x, dtype)


identity = op("identity", "x, token=None", numpy="x", formula="$x", kind="view", internal=True,
    index=unmoved,
    vjp=(lambda g, y, x, token: g,),
    says="the same value, as a place of its own: what is asked about here is not asked about there")

_label = op("label", "x, name=''", numpy="x", formula="$x", kind="view", internal=True,
    index=unmoved,
    vjp=(lambda g, y, x, name: g,), says="the same value under a name")


@public
def named(x: Array, name: str) -> Any:
    """Return the same value under a name, which printed programs and pictures then use."""
    check_name(name)
    return _label(x, name)


stop_gradient = op("stop_gradient", "x", numpy="x", formula="$x", kind="view", vjp=(None,),
    index=unmoved,
    says="the same value, taken as fixed: no gradient flows back through it", torch="x.detach()")


def _reshaped(x: Shape, shape: Shape) -> Shape:
    if dims.product(x) != dims.product(shape):
        raise mismatch("reshape keeps the number of elements", x, shape)
    return shape


_reshape = op("reshape", "x, shape=()", numpy="x.reshape(*shape)", formula="$x", kind="view",
    shape=_reshaped, index=regrouped,
    vjp=(lambda g, y, x, shape: reshape(g, x.shape),),
    says="the same values in rows of another length", torch="x.reshape(shape)", onnx="Reshape",
    examples=({"shape": (6,)}, {"shape": (1, 3, 2)}))


_ravel = op("flat", "x", numpy="x.ravel()", formula="$x", kind="view",
    shape=lambda x: (dims.product(x),), index=regrouped,
    vjp=(lambda g, y, x: reshape(g, x.shape),), internal=True,
    says="all values in one row", torch="x.reshape(-1)", onnx="Flatten")


@public
def reshape(x: Array, shape: Any, order: str = "C") -> Any:
    """Return the same values in another shape; one size may be -1, to be worked out.

    They are read and written with the last index changing fastest; with order="F", the first.
    """
    shape = normal_shape(shape, x.size)
    if order == "F":
        return transpose(reshape(transpose(x), shape[::-1]))
    if shape == x.shape:
        return x
    if shape == () and x.size == 1:
        return x[(0,) * x.ndim]
    return _ravel(x) if len(shape) == 1 and x.size == shape[0] else _reshape(x, shape)


def _transposed(x: Shape, axes: Any) -> Shape:
    return x[::-1] if axes is None else tuple(x[k] for k in axes)


def _turned(index: Index, x: Shape, y: Shape, axes: Any) -> Index:
    return index[::-1] if axes is None else tuple(index[k] for k in _inverse(axes))


def _inverse(axes: Any) -> Any:
    return None if axes is None else tuple(int(k) for k in np.argsort(axes))


_transpose = op("transpose", "x, axes=None", numpy="x.T", formula=r"{$x}^\top", level=3,
    kind="view", shape=_transposed, index=_turned,
    vjp=(lambda g, y, x, axes: _transpose(g, _inverse(axes)),),
    says="rows become columns",
    torch="x.permute(*reversed(range(x.ndim))) if axes is None else x.permute(axes)",
    onnx="Transpose", examples=({},))

_permute = op("permute", "x, axes=()", numpy="np.transpose(x, axes)", formula=r"{$x}^\top", level=3,
    kind="view", index=_turned,
    shape=_transposed, vjp=(lambda g, y, x, axes: _permute(g, _inverse(axes)),), internal=True,
    says="the axes in another order", torch="x.permute(axes)", onnx="Transpose",
    examples=({"axes": (1, 0)},))


@public(numpy="permute_dims")
def transpose(x: Array, axes: Any = None) -> Any:
    """Return the array with its axes in another order; reversed, where none is given."""
    order = tuple(range(x.ndim))
    axes = order[::-1] if axes is None else tuple(axis_of(a, x.ndim) for a in np.atleast_1d(axes))
    if tuple(sorted(axes)) != order:
        raise ShapeError(
            f"axes {axes} are not an order of the {x.ndim} axes of {dims.show(x.shape)}")
    if axes == order:
        return x
    return _transpose(x) if axes == order[::-1] else _permute(x, axes)


@public
def swapaxes(x: Array, axis1: int, axis2: int) -> Any:
    """Return the array with two axes exchanged."""
    order = list(range(x.ndim))
    axis1, axis2 = axis_of(axis1, x.ndim), axis_of(axis2, x.ndim)
    order[axis1], order[axis2] = order[axis2], order[axis1]
    return transpose(x, order)


@public
def matrix_transpose(x: Array) -> Any:
    """Exchange the last two axes: the transpose of every matrix in a stack."""
    return swapaxes(x, -1, -2)


@public
def moveaxis(x: Array, source: Any, destination: Any) -> Any:
    """Return the array with some axes moved to new places, the others in their old order."""
    start, goal = ([axis_of(a, x.ndim) for a in np.atleast_1d(p)] for p in (source, destination))
    order = [k for k in range(x.ndim) if k not in start]
    for place, axis in sorted(zip(goal, start, strict=True)):
        order.insert(place, axis)
    return transpose(x, order)


def _stretched_to(x: Shape, shape: Shape) -> Shape:
    if broadcast(x, shape) != shape:
        raise mismatch("broadcast_to cannot stretch", x, shape)
    return shape


_broadcast = op("broadcast_to", "x, shape=()", numpy="np.broadcast_to(x, shape)", formula="$x",
    kind="view", index=lambda index, x, y, shape: aligned(index, x),
    shape=_stretched_to, vjp=(lambda g, y, x, shape: g,),  # `grad` sums it down to the operand
    says="copies along new or stretched axes, without memory", torch="torch.broadcast_to(x, shape)",
    onnx="Expand",
    examples=({"shape": (4, 2, 3)}, {"shapes": [(2, 1)], "shape": (2, 3)}))


@public
def broadcast_to(x: Array, shape: Any) -> Any:
    """Copy a small array along new or stretched axes, as arithmetic does unasked."""
    shape = normal_shape(shape)
    return x if x.shape == shape else _broadcast(x, shape)


def _expanded(x: Shape, axis: Any) -> Shape:
    gone = axes_of(axis, len(x) + (1 if isinstance(axis, (int, np.integer)) else len(axis)))
    sizes = iter(x)
    return tuple(1 if k in gone else next(sizes) for k in range(len(x) + len(gone)))


@public
def expand_dims(x: Array, axis: Any) -> Any:
    """Return the array with new axes of length 1 at the given places."""
    axis = axis if isinstance(axis, (int, np.integer)) else tuple(axis)
    return reshape(x, _expanded(x.shape, axis))


@public
def squeeze(x: Array, axis: Any = None) -> Any:
    """Return the array without axes of length 1 (all of them, or the given ones)."""
    gone = [k for k, s in enumerate(x.shape) if s == 1] if axis is None else axes_of(axis, x.ndim)
    if any(x.shape[k] != 1 for k in gone):
        raise ShapeError(f"axis {axis} of {dims.show(x.shape)} is not of length 1")
    return reshape(x, tuple(s for k, s in enumerate(x.shape) if k not in gone))


@public
def ravel(x: Array, order: str = "C") -> Any:
    """Return all values in one row."""
    return reshape(x, (x.size,), order)


# -- joining -----------------------------------------------------------------------------------


def _joined(*shapes: Shape, axis: int) -> Shape:
    head = shapes[0]
    for s in shapes[1:]:
        if len(s) != len(head) or any(a != b for k,
            (a, b) in enumerate(zip(s, head, strict=True)) if k != axis):
            raise mismatch(f"concatenate along axis {axis} needs equal other axes", *shapes)
    total: Size = 0
    for s in shapes:
        total = total + s[axis]
    return (*head[:axis], total, *head[axis + 1 :])


def _pieces(g: Node, y: Node, *xs: Node, axis: int) -> list[Node]:
    parts: list[Node] = []
    start: Size = 0
    for x in xs:
        parts.append(g[(*(slice(None),) * axis, slice(start, start + x.shape[axis]))])
        start = start + x.shape[axis]
    return parts


_concatenate = op("concatenate", "*xs, axis=0", numpy="np.concatenate([*xs], axis=axis)",
    moves=True,
    formula=r"[$xs]", kind="opaque", pieces=joined,
    shape=_joined, vjp=_pieces, says="joins arrays along an axis", torch="torch.cat([*xs], axis)",
    onnx="Concat",
    examples=({"shapes": [(2, 3), (4, 3)]}, {"shapes": [(2, 3), (2, 1)], "axis": 1}))


@public(numpy="concat")
def concatenate(xs: Arrays, axis: int | None = 0) -> Any:
    """Join arrays along an axis they may differ in; flat, where the axis is None."""
    xs = list(xs)
    if axis is None:
        xs, axis = [ravel(x) for x in xs], 0
    if not xs or any(not x.ndim for x in xs):
        raise ShapeError("concatenate joins arrays of at least one axis",
        "use pc.stack for numbers")
    return _concatenate(*xs, axis=axis)


@public
def stack(xs: Arrays, axis: int = 0) -> Any:
    """Join arrays of one shape along a new axis."""
    xs = list(xs)
    if any(x.shape != xs[0].shape for x in xs):
        raise mismatch("stack needs equal shapes", *[x.shape for x in xs])
    return concatenate([expand_dims(x, axis) for x in xs], axis)
