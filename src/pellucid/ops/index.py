"""Ops that pick: slices, index arrays, masks, and the scatters that are their slopes."""
# fmt: off

from __future__ import annotations

from typing import Any

import numpy as np

from pellucid import dims
from pellucid.dims import Dim, Shape, Size
from pellucid.errors import DtypeError, ShapeError, TraceError
from pellucid.graph import FUNCTIONS, Node, lift, mismatch
from pellucid.ops.core import Array, axes_of, axis_of, broadcast, helper, op, public
from pellucid.ops.places import Index, plus, scaled, within
from pellucid.ops.shape import expand_dims, moveaxis, ravel


class Slot:
    """The place of an index array in an index: it prints as `indices[k]`, the k-th operand."""

    def __init__(self, k: int) -> None:
        self.k, self.text = k, f"indices[{k}]"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Slot) and other.k == self.k

    def __hash__(self) -> int:
        return hash(("slot", self.k))


def _sliced_size(size: Size, part: slice) -> Size:
    if isinstance(size, int) and not isinstance(part.stop, Dim) and not isinstance(part.start, Dim):
        return len(range(*part.indices(size)))
    if part == slice(None):
        return size
    if part.step in (None, 1):  # a piece whose ends are taken to lie inside
        start, stop = part.start or 0, size if part.stop is None else part.stop
        ends = [k + size if isinstance(k, int) and k < 0 else k for k in (start, stop)]
        return dims.collapse(dims.terms_of(ends[1] - ends[0]))
    if part.step == -1 and part.start is None and part.stop is None:
        return size
    raise ShapeError(
        f"slicing {part.start}:{part.stop}:{part.step} of an axis of unknown size {size}")


def _sliced(x: Shape, index: Any) -> Shape:
    shape: list[Size] = []
    sizes = iter(x)
    for part in index:
        if part is None:
            shape.append(1)
        elif isinstance(part, slice):
            shape.append(_sliced_size(next(sizes), part))
        else:
            _inside(part, next(sizes))
    return (*shape, *sizes)


def _inside(k: int, size: Size) -> None:
    if isinstance(size, int) and not -size <= k < size:
        raise ShapeError(f"index {k} is outside an axis of {size}")


def _index_of_slice(places: Index, x: Shape, y: Shape, index: Any) -> Index:
    """Return where in x an element of the slice stands."""
    found: list[str] = []
    mine, sizes = iter(places), iter(x)
    for part in index:
        if part is None:
            next(mine)
        elif isinstance(part, slice):
            found.append(_stepped(next(mine), part, next(sizes)))
        else:
            size = next(sizes)
            found.append(str(part) if part >= 0 else str(size + part))
    return (*found, *mine)


def _stepped(place: str, part: slice, size: Size) -> str:
    step = 1 if part.step is None else part.step
    start = part.start if part.start is not None else 0 if step > 0 else size - 1
    start = size + start if isinstance(start, int) and start < 0 else start
    if isinstance(size, int) and isinstance(start, int):
        start = min(start, size)
    run = place if step == 1 else scaled(place, step)
    return run if start == 0 else plus(run, start)


_slice = op("slice", "x, index=()", numpy="x[index]", formula="$x_{$index}", kind="view",
    picks=True,
    shape=_sliced, internal=True, index=_index_of_slice,
    vjp=(lambda g, y, x, index: _unslice(g, x.shape, index),),
    says="picks single values, or runs with a stride", torch="x[index]", onnx="Slice",
    examples=({"index": (1,)}, {"index": (slice(None), slice(0, 2))},
    {"index": (None, 0, slice(None, None, 2))}))

_unslice = op("unslice", "g, shape=(), index=()", formula=r"\operatorname{unslice}($g)",
    kind="scatter", pieces=lambda places, y, x, shape, index: within(places, y, x, index),
    numpy='''def unslice(g, shape=None, index=None):
    """An array of zeros with g at the index."""
    out = np.zeros(shape, g.dtype)
    out[index] = g
    return out
''', shape=lambda g, shape, index: shape, internal=True,
    vjp=(lambda g, y, x, shape, index: _slice(g, index),),
    says="puts values where a slice took them from, with zeros around",
    examples=({"shapes": [(2, 2)], "shape": (2, 3), "index": (slice(None), slice(0, 2))},))


def _gathered(x: Shape, *indices: Shape, index: Any) -> Shape:
    """NumPy's rule: index arrays broadcast; their axes stay in place, or go first if apart."""
    places = [k for k, part in enumerate(index) if isinstance(part, Slot)]
    together = places[-1] - places[0] + 1 == len(places)
    rest = [x[k] for k in range(len(x)) if k not in places]
    at = places[0] if together else 0
    return (*rest[:at], *broadcast(*indices), *rest[at:])


_gather = op("gather", "x, *indices, index=()", numpy="x[index]", formula="$x_{$indices}",
    picks=True, moves=True,
    kind="gather",
    shape=_gathered, dtype="first", internal=True,
    vjp=lambda g, y, x, *indices,
    index: [_scatter(g, *indices, shape=x.shape, index=index), *[None] * len(indices)],
    says="picks by arrays of positions", torch="x[index]", onnx="GatherND")

helper('''def add_at(g, shape, index):
    """Zeros, to which g is added at the index, as often as a position occurs there."""
    out = np.zeros(shape, g.dtype)
    np.add.at(out, index, g)
    return out
''')

_scatter = op("scatter", "g, *indices, shape=(), index=()", kind="scatter",
    formula=r"\operatorname{scatter}($g)",
    numpy="add_at(g, shape, index)", shape=lambda g, *_, shape, index: shape, dtype="first",
    internal=True,
    vjp=lambda g, y, x, *indices, shape,
    index: [_gather(g, *indices, index=index), *[None] * len(indices)],
    says="adds values up where they were picked from")


def _template(index: Any, ndim: int) -> list[Any]:
    """Return the index as one entry an axis (and None for new ones), the ellipsis filled in."""
    parts = list(index) if isinstance(index, tuple) else [index]
    parts = [p if _plain(p) else _index_array(p) for p in parts]
    used = sum(map(_axes_used, parts))
    if used > ndim:
        raise ShapeError(f"{used} indices for an array of {ndim} axes")
    dots = [k for k, p in enumerate(parts) if p is Ellipsis]
    if len(dots) > 1:
        raise ShapeError("an index can have only one ellipsis (...)")
    at = dots[0] if dots else len(parts)
    parts[at : at + len(dots)] = [slice(None)] * (ndim - used)
    return parts


def _index_array(p: Any) -> Node:
    node = lift(np.asarray(p, int) if isinstance(p, (list, tuple)) and not p else p)
    if node.dtype.kind not in "biu":
        raise DtypeError(f"an index is made of integers or truths, not of {node.dtype}",
                         "convert it, for example with .astype(int)")
    return node


def _plain(p: Any) -> bool:
    return p is None or p is Ellipsis or isinstance(p, slice) or (
        isinstance(p, (int, np.integer)) and not isinstance(p, (bool, np.bool_)))


def _axes_used(p: Any) -> int:
    if p is None or p is Ellipsis:
        return 0
    return p.ndim if isinstance(p, Node) and p.dtype == bool else 1


def _positions(p: Node) -> list[Node]:
    """Return a boolean mask as the positions it picks: their number depends on its data."""
    if p.dtype != bool:
        return [p]
    if p.symbolic:
        raise TraceError(f"getitem with the mask {p!r} has a shape that depends on data",
                         "use pc.where(mask, x, 0), or trace with data")
    return [lift(k) for k in np.nonzero(p.value)]


@public
def getitem(x: Array, index: Any) -> Any:
    """Index as NumPy does: integers, slices, None, `...`, integer and boolean arrays."""
    parts: list[Any] = []
    template = _template(index, x.ndim)
    for k, p in enumerate(template):
        if isinstance(p, Node) and not p.ndim and p.dtype == bool:  # one truth: an axis of 1 or 0
            x = expand_dims(x, sum(map(_axes_used, template[:k])))
            p = template[k] = lift(np.arange(int(p)))
        parts += _positions(p) if isinstance(p,
            Node) and (p.ndim or p.dtype == bool) else [_scalar(p)]
    if any(isinstance(p, Node) for p in parts):
        parts = [lift(np.asarray(p)) if isinstance(p, int) else p for p in parts]
        return _parted(_picked(x, parts), parts, index, template)
    while parts and isinstance(parts[-1], slice) and parts[-1] == slice(None):
        parts.pop()
    return _slice(x, tuple(parts)) if parts else x


def _parted(y: Node, parts: list[Any], index: Any, template: list[Any]) -> Node:
    """Move the picked axes first where an ellipsis, though empty, stands among index arrays."""
    spots = [k for k, p in enumerate(index if isinstance(index, tuple) else ()) if p is Ellipsis]
    picks = [k for k, p in enumerate(template) if isinstance(p, (int, np.integer, Node))]
    places = [k for k, p in enumerate(parts) if isinstance(p, Node)]
    gone = spots and len(template) < len(index)
    if not gone or not picks[0] < spots[0] <= picks[-1] or places[-1] - places[0] >= len(places):
        return y
    rank = len(broadcast(*[p.shape for p in parts if isinstance(p, Node)]))
    return moveaxis(y, range(places[0], places[0] + rank), range(rank))


def _picked(x: Node, parts: list[Any]) -> Node:
    """Slice first, then pick by arrays; an integer beside arrays counts as one, as in NumPy."""
    basic = tuple(slice(None) if isinstance(p, Node) else p for p in parts)
    if any(p != slice(None) for p in basic if not isinstance(p, Node)):
        x = _slice(x, basic)
    arrays = [p for p in parts if isinstance(p, Node)]
    slots = iter(range(len(arrays)))
    template = [Slot(next(slots)) if isinstance(p, Node) else slice(None) for p in parts]
    while not isinstance(template[-1], Slot):
        template.pop()
    return _gather(x, *arrays, index=tuple(template))


def _scalar(p: Any) -> Any:
    if isinstance(p, slice):
        return slice(*(v if v is None or isinstance(v, Dim) else v.__index__() for v in (p.start,
        p.stop, p.step)))
    if isinstance(p, Node):
        return int(p)
    return int(p) if isinstance(p, np.integer) else p


@public
def take(x: Array, indices: Array, axis: int | None = None, mode: str = "raise") -> Any:
    """Pick positions along an axis (of the flat array, where none is given).

    Positions outside are an error, or by `mode` the border's ("clip") or counted on ("wrap").
    """
    if axis is None:
        x, axis = ravel(x), 0
    if mode != "raise":
        size = x.shape[axis]
        indices = indices % size if mode == "wrap" else FUNCTIONS["clip"](indices, 0, size - 1)
    return getitem(x, (*(slice(None),) * axis_of(axis, x.ndim), indices))


def _picked_along(x: Shape, indices: Shape, axis: int) -> Shape:
    if len(x) != len(indices):
        raise mismatch("take_along_axis needs as many axes in the indices as in x", x, indices)
    rest = broadcast((*x[:axis], 1, *x[axis + 1 :]), (*indices[:axis], 1, *indices[axis + 1 :]))
    return (*rest[:axis], indices[axis], *rest[axis + 1 :])


_along = op("picked_along_axis", "x, indices, axis=-1", picks=True, moves=True,
    numpy="np.take_along_axis(x, indices, axis=axis)", kind="gather",
    formula="$x_{$indices}", shape=_picked_along, dtype="first", internal=True,
    vjp=(lambda g, y, x, indices, axis: _add_along(g, indices, axis, x.shape[axis]), None),
    says="picks, in every row, the positions given for that row",
    torch="torch.take_along_dim(x, indices, axis)",
    examples=())

_add_along = op("add_along_axis", "g, indices, axis=-1, size=1", kind="scatter",
    formula=r"\operatorname{scatter}($g)",
    numpy='''def add_along_axis(g, indices, axis=None, size=None):
    """Zeros, to which g is added at the given position of every row."""
    out = np.zeros((*g.shape[:axis], size, *g.shape[axis + 1 :]), g.dtype)
    place = list(np.indices(g.shape, sparse=True))
    place[axis] = indices
    np.add.at(out, tuple(place), g)
    return out
''', shape=lambda g, indices, axis, size: (*g[:axis], size, *g[axis + 1 :]), dtype="first",
    internal=True,
    vjp=(lambda g, y, x, indices, axis, size: _along(g, indices, axis), None),
    says="adds values up where take_along_axis picked them")


@public
def take_along_axis(x: Array, indices: Array, axis: int | None = -1) -> Any:
    """Pick, in every row along the axis, the positions given for that row."""
    return _along(ravel(x), indices, 0) if axis is None else _along(x, indices, axis)


@public
def flip(x: Array, axis: Any = None) -> Any:
    """Return the values in reverse order along the axes (all of them, where none is given)."""
    gone = axes_of(axis, x.ndim)
    return getitem(x,
    tuple(slice(None, None, -1) if k in gone else slice(None) for k in range(x.ndim)))
