"""NumPy's conveniences, one short formula each in terms of ops: join, split, pad, roll, sort."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from pellucid.errors import ArgumentError, ShapeError
from pellucid.graph import Node, lift, mismatch
from pellucid.ops.arithmetic import maximum, minimum, where
from pellucid.ops.core import Array, Axis, axes_of, axis_of, broadcast, count, public
from pellucid.ops.index import getitem, take, take_along_axis
from pellucid.ops.reduce import any, argsort, mean, sum
from pellucid.ops.shape import (
    astype,
    broadcast_to,
    concatenate,
    expand_dims,
    moveaxis,
    ravel,
    reshape,
    transpose,
)

Arrays = Sequence[Any]


# -- split and join ----------------------------------------------------------------------------


def _along(x: Node, axis: int, part: Any) -> Node:
    """Index one axis, all of the others."""
    return getitem(x, (*(slice(None),) * axis_of(axis, x.ndim), part))


@public
def array_split(x: Array, indices_or_sections: Any, axis: int = 0) -> Any:
    """Cut along an axis, at the given positions or into so many parts as equal as can be."""
    if np.ndim(indices_or_sections):
        edges = [0, *(int(k) for k in indices_or_sections), x.shape[axis]]
    else:
        size, rest = divmod(x.shape[axis], int(indices_or_sections))
        edges = [0]
        for k in range(int(indices_or_sections)):
            edges.append(edges[-1] + size + (k < rest))
    pairs = pairwise(edges)
    return [_along(x, axis, slice(start, stop)) for start, stop in pairs]


@public
def split(x: Array, indices_or_sections: Any, axis: int = 0) -> Any:
    """Cut along an axis, at the given positions or into so many equal parts."""
    if not np.ndim(indices_or_sections) and x.shape[axis] % indices_or_sections:
        raise ShapeError(
            f"split into {indices_or_sections} equal parts of an axis of {x.shape[axis]}",
            "array_split cuts into parts as equal as can be",
        )
    return array_split(x, indices_or_sections, axis)


@public
def hsplit(x: Array, indices_or_sections: Any) -> Any:
    """Cut along the second axis (the only one of a vector)."""
    return split(x, indices_or_sections, 0 if x.ndim == 1 else 1)


@public
def vsplit(x: Array, indices_or_sections: Any) -> Any:
    """Cut along the first axis."""
    return split(x, indices_or_sections, 0)


@public
def dsplit(x: Array, indices_or_sections: Any) -> Any:
    """Cut along the third axis."""
    return split(x, indices_or_sections, 2)


@public
def unstack(x: Array, axis: int = 0) -> Any:
    """Return the parts along an axis, that axis gone: undoes `stack`."""
    return tuple(_along(x, axis, k) for k in range(x.shape[axis]))


def _each(xs: Sequence[Node], shaped: Any) -> Any:
    """Return what becomes of one array, or the tuple of what becomes of many."""
    return shaped(xs[0]) if len(xs) == 1 else tuple(map(shaped, xs))


@public
def atleast_1d(*xs: Array) -> Any:
    """Return a number as an array of one."""
    return _each(xs, lambda x: x if x.ndim else reshape(x, (1,)))


@public
def atleast_2d(*xs: Array) -> Any:
    """Return a vector as a matrix of one row."""
    return _each(xs, lambda x: x if x.ndim > 1 else reshape(x, (1, x.size)))


@public
def atleast_3d(*xs: Array) -> Any:
    """Return a matrix as a stack of columns, (m, n, 1); a vector as (1, n, 1)."""
    return _each(xs, lambda x: expand_dims(atleast_2d(x), -1) if x.ndim < 3 else x)


@public
def broadcast_arrays(*xs: Array) -> Any:
    """Return every array copied to the one shape that all of them broadcast to."""
    return tuple(broadcast_to(x, broadcast(*[x.shape for x in xs])) for x in xs)


@public(numpy="row_stack")
def vstack(xs: Arrays) -> Any:
    """Join below one another; vectors are rows."""
    return concatenate([atleast_2d(x) for x in xs], 0)


@public
def hstack(xs: Arrays) -> Any:
    """Join side by side; vectors end to end."""
    xs = [atleast_1d(x) for x in xs]
    return concatenate(xs, 0 if xs[0].ndim == 1 else 1)


@public
def dstack(xs: Arrays) -> Any:
    """Join along the third axis."""
    return concatenate([atleast_3d(x) for x in xs], 2)


@public
def column_stack(xs: Arrays) -> Any:
    """Join side by side; vectors are columns."""
    return concatenate([x if x.ndim > 1 else reshape(x, (x.size, 1)) for x in xs], 1)


@public
def append(x: Array, more: Array, axis: int | None = None) -> Any:
    """Join two arrays along an axis; flat, where none is given."""
    return concatenate([x, more], axis)


# -- copy, move, pad ---------------------------------------------------------------------------


@public
def repeat(x: Array, repeats: Any, axis: int | None = None) -> Any:
    """Repeat every element, so many times or as often as is said for each."""
    if axis is None:
        x, axis = ravel(x), 0
    return take(x, np.repeat(np.arange(x.shape[axis]), repeats), axis)


@public
def tile(x: Array, reps: Any) -> Any:
    """Repeat the whole array, so many times along each axis."""
    times = tuple(np.atleast_1d(reps))
    rank = max(x.ndim, len(times))
    times = (1,) * (rank - len(times)) + tuple(int(t) for t in times)
    x = reshape(x, (*(1,) * (rank - x.ndim), *x.shape))
    parts = [size for t, s in zip(times, x.shape, strict=True) for size in (t, s)]
    wide = broadcast_to(expand_dims(x, range(0, 2 * rank, 2)), parts)
    return reshape(wide, tuple(t * s for t, s in zip(times, x.shape, strict=True)))


@public
def roll(x: Array, shift: Any, axis: Any = None) -> Any:
    """Move everything along by `shift`; what leaves at the end comes in at the start."""
    if axis is None:
        return reshape(roll(ravel(x), shift, 0), x.shape)
    for by, a in zip(*np.broadcast_arrays(np.atleast_1d(shift), np.atleast_1d(axis)), strict=True):
        size, a = x.shape[a], int(a)
        by = int(by) % size if size else 0
        if by:
            x = concatenate(
                [_along(x, a, slice(size - by, size)), _along(x, a, slice(size - by))], a
            )
    return x


@public
def flipud(x: Array) -> Any:
    """Reverse the rows."""
    return getitem(x, slice(None, None, -1))


@public
def fliplr(x: Array) -> Any:
    """Reverse the columns."""
    return getitem(x, (slice(None), slice(None, None, -1)))


@public
def rot90(x: Array, k: int = 1, axes: tuple[int, int] = (0, 1)) -> Any:
    """Turn by 90 degrees, k times, from the first axis towards the second."""
    first, second = axes
    for _ in range(k % 4):
        order = list(range(x.ndim))
        order[first], order[second] = order[second], order[first]
        x = _along(x.transpose(order), first, slice(None, None, -1))
    return x


@public
def pad(x: Array, pad_width: Any, mode: str = "constant", constant_values: Any = 0) -> Any:
    """Put a margin around: a constant, or values of x as `np.pad` picks them (edge, wrap, …)."""
    if isinstance(pad_width, dict):
        chosen = {axis_of(a, x.ndim): w for a, w in pad_width.items()}
        pad_width = [np.broadcast_to(chosen.get(k, 0), 2) for k in range(x.ndim)]
    widths = np.broadcast_to(np.asarray(pad_width, dtype=int), (x.ndim, 2))
    fills = np.broadcast_to(np.asarray(constant_values, dtype=x.dtype), (x.ndim, 2))
    for axis, (before, after) in enumerate(widths):
        size = x.shape[axis]
        if mode == "constant":
            left, right = fills[axis]
            margins = _margin(x, axis, before, left), _margin(x, axis, after, right)
            x = concatenate([*margins[0], x, *margins[1]], axis)
        elif mode in ("edge", "reflect", "symmetric", "wrap"):
            how: Any = mode  # NumPy's stubs want each mode as a literal
            x = take(x, np.pad(np.arange(size), (before, after), how), axis)
        else:
            raise ArgumentError(f"pad mode {mode!r}", "constant, edge, reflect, symmetric or wrap")
    return x


def _margin(x: Node, axis: int, width: int, value: float) -> list[Node]:
    shape = (*x.shape[:axis], int(width), *x.shape[axis + 1 :])
    return [broadcast_to(lift(np.asarray(value, x.dtype)), shape)] if width else []


# -- order and differences ---------------------------------------------------------------------


@public
def sort(x: Array, axis: int | None = -1) -> Any:
    """Put the values along an axis in rising order; the slope follows each value to its place."""
    if axis is None:
        x, axis = ravel(x), 0
    return take_along_axis(x, argsort(x, axis), axis)


@public
def median(x: Array, axis: Axis = None, keepdims: bool = False) -> Any:
    """Return the middle value, or the mean of the two in the middle."""
    gone = axes_of(axis, x.ndim)
    kept = [k for k in range(x.ndim) if k not in gone]
    rows = reshape(transpose(x, (*kept, *gone)), (*(x.shape[k] for k in kept), count(x, axis)))
    size = rows.shape[-1]
    middle = mean(sort(rows)[..., max(size - 1, 0) // 2 : size // 2 + 1], -1)
    middle = where(any(rows != rows, -1), np.nan, middle)
    return expand_dims(middle, gone) if keepdims else middle


@public
def diff(x: Array, n: int = 1, axis: int = -1, prepend: Array = None, append: Array = None) -> Any:
    """Subtract from each value the one before it; n times; `prepend` and `append` come first."""
    axis = axis_of(axis, x.ndim)
    edge = (*x.shape[:axis], 1, *x.shape[axis + 1 :])
    ends = [a if a is None or a.ndim else broadcast_to(a, edge) for a in (prepend, append)]
    if prepend is not None or append is not None:
        x = concatenate([a for a in (ends[0], x, ends[1]) if a is not None], axis)
    for _ in range(n):
        after, before = _along(x, axis, slice(1, None)), _along(x, axis, slice(None, -1))
        x = after != before if x.dtype == bool else after - before
    return x


@public
def count_nonzero(x: Array, axis: Axis = None, keepdims: bool = False) -> Any:
    """Count the values that are not 0."""
    return sum(x != 0, axis, keepdims)


# -- constants of a shape, and repairs ---------------------------------------------------------


@public
def full_like(x: Array, fill_value: Array, dtype: Any = None) -> Any:
    """Return one value in the shape and dtype of x."""
    return broadcast_to(astype(fill_value, np.dtype(dtype or x.dtype)), x.shape)


@public
def zeros_like(x: Array, dtype: Any = None) -> Any:
    """Return zeros in the shape and dtype of x."""
    return full_like(x, lift(0), dtype)


@public(numpy="empty_like")
def ones_like(x: Array, dtype: Any = None) -> Any:
    """Return ones in the shape and dtype of x."""
    return full_like(x, lift(1), dtype)


@public
def nan_to_num(
    x: Array,
    copy: bool = True,
    nan: float = 0.0,
    posinf: float | None = None,
    neginf: float | None = None,
) -> Any:
    """Replace NaN by 0 and infinities by the largest numbers; their slope is 0."""
    if x.dtype.kind != "f":
        return x
    top = np.finfo(x.dtype).max
    high, low = top if posinf is None else posinf, -top if neginf is None else neginf
    infinite = where(x > 0, np.asarray(high, x.dtype), np.asarray(low, x.dtype))
    return where(x != x, nan, where(np.abs(x) == np.inf, infinite, x))


@public
def isclose(x: Array, y: Array, rtol: float = 1e-5, atol: float = 1e-8) -> Any:
    """Say whether two values agree to a tolerance."""
    near = np.abs(x - y) <= atol + rtol * np.abs(y)
    return (near & np.isfinite(y)) | (x == y)


@public
def one_hot(labels: Array, classes: int, dtype: Any = np.float64) -> Any:
    """Write integer labels as rows of 0 with a 1 at the label: (n,) -> (n, classes)."""
    return astype(expand_dims(labels, -1) == np.arange(classes), np.dtype(dtype))


@public
def average(x: Array, axis: Axis = None, weights: Array = None, keepdims: bool = False) -> Any:
    """Return the mean, or the weighted mean Σ w x / Σ w."""
    if weights is None:
        return mean(x, axis, keepdims)
    if weights.ndim != x.ndim:
        along = axes_of(axis, x.ndim)
        if axis is None or weights.shape != tuple(x.shape[k] for k in along):
            raise mismatch(
                "average: the weights need the shape of x, or of its axis", x.shape, weights.shape
            )
        weights = reshape(weights, tuple(s if k in along else 1 for k, s in enumerate(x.shape)))
    weights = broadcast_to(weights, x.shape)
    return sum(weights * x, axis, keepdims) / sum(weights, axis, keepdims)


@public
def linspace(start: Array, stop: Array, num: int = 50, endpoint: bool = True, axis: int = 0) -> Any:
    """Return `num` evenly spaced values from start to stop, both included."""
    rank = max(start.ndim, stop.ndim)
    way = (stop - start) * 1.0
    share = (np.arange(num) / max(num - bool(endpoint), 1)).reshape((-1, *(1,) * rank))
    return moveaxis(start + way * share.astype(way.dtype), 0, axis)


@public
def nansum(x: Array, axis: Axis = None, keepdims: bool = False) -> Any:
    """Add up what is a number."""
    return sum(where(x != x, 0, x), axis, keepdims)


@public
def nanmean(x: Array, axis: Axis = None, keepdims: bool = False) -> Any:
    """Average what is a number."""
    known = sum(x == x, axis, keepdims)
    return nansum(x, axis, keepdims) / (astype(known, x.dtype) if x.dtype.kind == "f" else known)


@public
def trapezoid(y: Array, x: Array = None, dx: float = 1.0, axis: int = -1) -> Any:
    """Return the area under points joined by lines: Σ (x₊ - x)(y₊ + y) / 2."""
    steps = dx if x is None else diff(x, axis=axis if x.ndim > 1 else -1)
    if x is not None and x.ndim == 1:
        steps = moveaxis(reshape(steps, (-1, *(1,) * (y.ndim - 1))), 0, axis)
    left, right = _along(y, axis, slice(None, -1)), _along(y, axis, slice(1, None))
    return sum(steps * (right + left) / 2, axis)


@public
def fmax(x: Array, y: Array) -> Any:
    """Return the larger of two, the number where one is NaN."""
    return where(x != x, y, where(y != y, x, maximum(x, y)))


@public
def fmin(x: Array, y: Array) -> Any:
    """Return the smaller of two, the number where one is NaN."""
    return where(x != x, y, where(y != y, x, minimum(x, y)))
