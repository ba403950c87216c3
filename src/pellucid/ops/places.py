"""Where an element of a view stands in what it shows: index texts in, index texts out.

An index is one text for each axis, such as ("i", "j"); for loops, which are printed from them.
"""

from __future__ import annotations

from typing import Any

from pellucid import dims
from pellucid.dims import Shape, Size

Index = tuple[str, ...]


def unmoved(index: Index, x: Shape, y: Shape, **_: Any) -> Index:
    """Every element stands where it stood."""
    return index


def aligned(index: Index, x: Shape) -> Index:
    """NumPy's broadcasting: align at the right; along an axis of 1 there is one place."""
    own = index[len(index) - len(x) :] if x else ()
    return tuple("0" if size == 1 else place for place, size in zip(own, x, strict=True))


def regrouped(index: Index, x: Shape, y: Shape, **_: Any) -> Index:
    """The same order of elements, in rows of another length: by runs of axes of equal product."""
    found = ["0"] * len(x)
    for mine, theirs in _runs(x, y):
        flat = _flat([index[k] for k in theirs], [y[k] for k in theirs])
        for k, place in zip(mine, _apart(flat, [x[k] for k in mine]), strict=True):
            found[k] = place
    return tuple(found)


def _runs(x: Shape, y: Shape) -> list[tuple[list[int], list[int]]]:
    """Cut both shapes into the shortest runs of axes with the same number of elements."""
    left, right = ([k for k, size in enumerate(s) if size != 1] for s in (x, y))
    runs: list[tuple[list[int], list[int]]] = []
    while left and right:
        mine, theirs = [left.pop(0)], [right.pop(0)]
        while (have := _count(x, mine)) != (want := _count(y, theirs)):
            shorter = right and (not left or _less(want, have))
            (theirs if shorter else mine).append((right if shorter else left).pop(0))
        runs.append((mine, theirs))
    return runs


def _count(shape: Shape, axes: list[int]) -> Size:
    return dims.product(tuple(shape[k] for k in axes))


def _less(a: Size, b: Size) -> bool:
    """Say which product is to grow; a number before one that holds the batch size."""
    if isinstance(a, int) and isinstance(b, int):
        return a < b
    return isinstance(a, int)


def _flat(places: list[str], sizes: list[Size]) -> str:
    flat = places[0]
    for place, size in zip(places[1:], sizes[1:], strict=True):
        flat = plus(scaled(flat, size), place)
    return flat


def _apart(flat: str, sizes: list[Size]) -> list[str]:
    """Return the index along each axis of the flat position: flat // stride % size."""
    places: list[str] = []
    for k, size in enumerate(sizes):
        stride = dims.product(tuple(sizes[k + 1 :]))
        place = flat if stride == 1 else f"{_closed(flat)} // {_closed(stride)}"
        places.append(place if k == 0 else f"({place}) % {_closed(size)}")
    return places


def scaled(place: str, factor: Size) -> str:
    """Return the text of a product."""
    return "0" if place == "0" else f"{_closed(place)} * {_closed(factor)}"


def plus(place: str, shift: str | Size) -> str:
    """Return the text of a sum."""
    if place == "0":
        return str(shift)
    return place if shift in ("0", 0) else f"{place} + {shift}"


Piece = tuple[str, int | None, Index]  # condition, operand, index in it


def joined(index: Index, y: Shape, *xs: Shape, axis: int) -> list[Piece]:
    """Along the axis come the elements of the first operand, then those of the next."""
    pieces: list[Piece] = []
    start: Size = 0
    for k, x in enumerate(xs):
        stop = start + x[axis]
        place = index[axis] if start == 0 else f"{index[axis]} - {_closed(start)}"
        condition = f"{index[axis]} < {_closed(stop)}" if k + 1 < len(xs) else ""
        pieces.append((condition, k, (*index[:axis], place, *index[axis + 1 :])))
        start = stop
    return pieces


def within(index: Index, y: Shape, x: Shape, cut: Any) -> list[Piece]:
    """At the places that a slice takes stand the operand's elements, elsewhere zeros."""
    tests, places = [], list[str]()
    mine, sizes = iter(index), iter(y)
    for part in cut:
        if part is None:
            places.append("0")
            continue
        place, size = next(mine), next(sizes)
        start, stop, step = _bounds(part, size)
        off = f"({plus(place, _negative(start))})" if start != 0 else place
        if isinstance(part, slice):
            places.append(off if step == 1 else f"({off}) // {_closed(step)}")
            tests += [f"({off}) * {step} >= 0"] if start != 0 or step < 0 else []
            tests += [f"{place} < {_closed(stop)}"] if step > 0 and stop != size else []
            tests += [f"{place} > {_closed(stop)}"] if step < 0 and stop != -1 else []
            tests += [f"({off}) % {_closed(step)} == 0"] if abs(step) != 1 else []
        else:
            tests.append(f"{place} == {_closed(start)}")
    pieces: list[Piece] = [(" and ".join(tests), 0, (*places, *mine))]
    return [*pieces, ("", None, ())] if tests else pieces


def _bounds(part: Any, size: Size) -> tuple[Size, Size, int]:
    """Return start, stop and step of a slice, of a single place just where it is."""
    if not isinstance(part, slice):
        return (part if part >= 0 else size + part), 0, 1
    ends = (part.start, part.stop)
    if isinstance(size, int) and all(v is None or isinstance(v, int) for v in ends):
        low, high, stride = part.indices(size)
        return low, high, stride
    start, stop = ends
    step = 1 if part.step is None else part.step
    start = (0 if step > 0 else size - 1) if start is None else start
    stop = (size if step > 0 else -1) if stop is None else stop
    from_end = [size + k if isinstance(k, int) and k < 0 < step else k for k in (start, stop)]
    return from_end[0], from_end[1], step


def _negative(size: Size) -> str:
    return f"-{_closed(size)}"


def _closed(part: str | Size) -> str:
    text = str(part)
    return text if text.isidentifier() or text.isdigit() else f"({text})"
