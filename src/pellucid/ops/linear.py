"""Ops of linear algebra: the matrix product, and Einstein's sum, which says all the others."""
# fmt: off

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pellucid.dims import Shape, Size
from pellucid.errors import ArgumentError, ShapeError
from pellucid.graph import FUNCTIONS, Node, mismatch
from pellucid.ops.arithmetic import absolute, multiply, sqrt, square, where
from pellucid.ops.core import Array, Axis, axes_of, broadcast, op, public
from pellucid.ops.index import getitem
from pellucid.ops.reduce import sum
from pellucid.ops.shape import (
    expand_dims,
    matrix_transpose,
    moveaxis,
    reshape,
)

Arrays = Sequence[Any]


def _product_shape(x: Shape, y: Shape) -> Shape:
    if not x or not y or x[-1] != y[-2 if len(y) > 1 else 0]:
        raise mismatch("the inner sizes of a matrix product differ", x, y,
                       hint="transpose one of them, or check which axis holds the features")
    if len(x) == 1 or len(y) == 1:
        return (*x[:-1], *(y[:-2] + y[-1:] if len(y) > 1 else ()))
    return (*broadcast(x[:-2], y[:-2]), x[-2], y[-1])


def _left(g: Node, z: Node, x: Node, y: Node) -> Node:
    """d(xy)/dx: g yᵀ, with a vector standing for a row."""
    if y.ndim == 1:
        return (expand_dims(g, -1) if x.ndim > 1 else g) * y
    return matmul(g, matrix_transpose(y)) if x.ndim > 1 else sum(expand_dims(g, -2) * y, -1)


def _right(g: Node, z: Node, x: Node, y: Node) -> Node:
    """d(xy)/dy: xᵀ g, with a vector standing for a column."""
    if x.ndim == 1:
        return (expand_dims(x, -1) * expand_dims(g, -2)) if y.ndim > 1 else g * x
    return matmul(matrix_transpose(x), g) if y.ndim > 1 else sum(x * expand_dims(g, -1),
    tuple(range(x.ndim - 1)))


matmul = op("matmul", "x, y", numpy="x @ y", formula=r"$x \, $y", level=2, kind="contract",
    shape=_product_shape,
    vjp=(_left, _right),
    says="every row of the first times every column of the second", torch="x @ y", onnx="MatMul",
    examples=tuple({"shapes": s} for s in (
        [(2, 3), (3, 4)], [(3,), (3,)], [(2, 3), (3,)], [(3,), (3, 2)],
        [(5, 2, 3), (3, 4)], [(5, 2, 3), (5, 3, 4)], [(2, 3), (5, 3, 4)], [(1, 2, 3), (5, 3, 4)],
        [(5, 2, 3), (3,)], [(3,), (5, 3, 2)])))

# -- Einstein's sum ----------------------------------------------------------------------------

LETTERS = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def _spelled(subscripts: str, ndims: Sequence[int]) -> tuple[list[str], str]:
    """Return the letters of every operand and of the result, ellipsis and arrow spelled out."""
    text = subscripts.replace(" ", "")
    left, arrow, right = text.partition("->")
    inputs = left.split(",")
    if len(inputs) != len(ndims):
        raise ArgumentError(
            f"einsum {subscripts!r} speaks of {len(inputs)} operands, {len(ndims)} came")
    widest = max((n - len(s.replace("...", "")) for s,
        n in zip(inputs, ndims, strict=True) if "..." in s), default=0)
    free = [c for c in LETTERS if c not in text][:widest]
    spelled = [_without_dots(s, n, free, subscripts) for s, n in zip(inputs, ndims, strict=True)]
    if not arrow:
        once = sorted(c for c in set(left) - set(".,") if left.count(c) == 1)
        right = "..." * ("..." in left) + "".join(once)
    return spelled, right.replace("...", "".join(free))


def _without_dots(letters: str, ndim: int, free: list[str], subscripts: str) -> str:
    count = ndim - len(letters.replace("...", ""))
    if count < 0 or (count and "..." not in letters):
        raise ShapeError(f"einsum {subscripts!r}: {letters!r} does not fit an array of {ndim} axes")
    return letters.replace("...", "".join(free[len(free) - count :]))


def _letter_sizes(inputs: Sequence[str], shapes: Sequence[Shape]) -> dict[str, Size]:
    sizes: dict[str, Size] = {}
    for letters, shape in zip(inputs, shapes, strict=True):
        for letter, size in zip(letters, shape, strict=True):
            known = sizes.get(letter, 1)
            if known != 1 and size not in (1, known):
                raise ShapeError(f"einsum: the axis {letter!r} is {known} and {size} long")
            sizes[letter] = size if known == 1 else known
    return sizes


def _einsum_shape(*shapes: Shape, subscripts: str) -> Shape:
    inputs, result = subscripts.split("->")
    sizes = _letter_sizes(inputs.split(","), shapes)
    missing = [c for c in result if c not in sizes]
    if missing or len(set(result)) < len(result):
        raise ArgumentError(
            f"einsum {subscripts!r}: the result's axes must be different ones of the operands")
    return tuple(sizes[c] for c in result)


def _einsum_slopes(g: Node, y: Node, *xs: Node, subscripts: str) -> list[Node]:
    left, result = subscripts.split("->")
    inputs = left.split(",")
    sizes = _letter_sizes(inputs, [x.shape for x in xs])
    return [_einsum_slope(g, result, k, inputs, xs, sizes) for k in range(len(xs))]


def _einsum_slope(g: Node, result: str, k: int, inputs: list[str], xs: Sequence[Node],
sizes: dict[str, Size]) -> Node:
    """Return the sum over all that operand `k` does not have; what only it has is copied."""
    wanted = "".join(dict.fromkeys(inputs[k]))  # a repeated letter is a diagonal: once, then below
    others = [(s, x) for j, (s, x) in enumerate(zip(inputs, xs, strict=True)) if j != k]
    have = set(result).union(*(s for s, _ in others))
    present = "".join(c for c in wanted if c in have)
    text = ",".join([result, *(s for s, _ in others)]) + "->" + present
    part = _einsum(g, *(x for _, x in others), subscripts=text)
    spots = [wanted.index(c) for c in wanted if c not in have]
    part = expand_dims(part, spots) if spots else part
    part = part * np.ones(tuple(_number(sizes[c]) for c in wanted), part.dtype) if spots else part
    part = _on_diagonal(part, wanted, inputs[k], sizes)
    stretched = tuple(j for j, s in enumerate(xs[k].shape) if s == 1 and part.shape[j] != 1)
    return sum(part, stretched, True) if stretched else part


def _number(size: Size) -> int:
    if not isinstance(size, int):
        raise ShapeError(f"einsum's slope needs to know the axis length, which is {size}")
    return size


def _on_diagonal(part: Node, wanted: str, letters: str, sizes: dict[str, Size]) -> Node:
    """Put `part` on the diagonal of the axes whose letter repeats, with zeros around."""
    names, factors = list(wanted), []
    target = ""
    for c in letters:
        if c in target:
            taken = {*target, *letters, *names}
            fresh = next(x for x in LETTERS if x not in taken)
            factors.append((c + fresh, np.eye(_number(sizes[c]), dtype=part.dtype)))
            names.append(fresh)
            c = fresh
        target += c
    if not factors:
        return part
    text = ",".join([wanted, *(s for s, _ in factors)]) + "->" + target
    return _einsum(part, *(eye for _, eye in factors), subscripts=text)


_einsum = op("einstein_sum", "*xs, subscripts=''", numpy="np.einsum(subscripts, *xs)",
    formula=r"\operatorname{einsum}($xs)",
    kind="contract", shape=_einsum_shape, vjp=_einsum_slopes, internal=True,
    says="multiplies along equal letters and sums over letters that the result leaves out",
    torch="torch.einsum(subscripts, *xs)", onnx="Einsum",
    examples=tuple({"subscripts": s, "shapes": n} for s, n in {
        "ij,jk->ik": [(2, 3), (3, 4)], "ii->i": [(3, 3)], "ii->": [(3, 3)], "ij->j": [(2, 3)],
        "i,j->ij": [(2,), (3,)],
        "bij,bjk->bik": [(2, 2, 3), (2, 3, 2)], "i,i,i->": [(3,), (3,), (3,)],
        "iij->j": [(2, 2, 3)]}.items()))


@public
def einsum(subscripts: str, *xs: Array) -> Any:
    """Multiply along axes of the same letter, and sum over letters that the result leaves out."""
    inputs, result = _spelled(subscripts, [x.ndim for x in xs])
    return _einsum(*xs, subscripts=",".join(inputs) + "->" + result)


# -- what einsum and matmul say ----------------------------------------------------------------


@public
def dot(x: Array, y: Array) -> Any:
    """Multiply as `np.dot` does: numbers scale, else x's last axis meets y's last but one."""
    if not x.ndim or not y.ndim:
        return multiply(x, y)
    if x.ndim <= 2 and y.ndim <= 2:
        return matmul(x, y)
    return tensordot(x, y, ([-1], [-2 if y.ndim > 1 else 0]))


@public
def vdot(x: Array, y: Array) -> Any:
    """Multiply two arrays element by element and sum everything."""
    return sum(reshape(x, -1) * reshape(y, -1))


@public
def inner(x: Array, y: Array) -> Any:
    """Sum products over the last axis of both."""
    return tensordot(x, y, ([-1], [-1])) if x.ndim and y.ndim else multiply(x, y)


@public
def outer(x: Array, y: Array) -> Any:
    """Multiply every element of one with every element of the other."""
    return reshape(x, (x.size, 1)) * reshape(y, (1, y.size))


@public
def tensordot(x: Array, y: Array, axes: Any = 2) -> Any:
    """Sum products over pairs of axes: a number of them, or a list for each operand."""
    if isinstance(axes, int):
        left, right = list(range(x.ndim - axes, x.ndim)), list(range(axes))
    else:
        left, right = ([int(k) for k in np.atleast_1d(a)] for a in axes)
    names = list(LETTERS[: x.ndim]), list(LETTERS[x.ndim : x.ndim + y.ndim])
    for i, j in zip(left, right, strict=True):
        names[1][j] = names[0][i]
    shared = {names[0][i] for i in left}
    rest = "".join(c for c in names[0] + names[1] if c not in shared)
    return einsum(f"{''.join(names[0])},{''.join(names[1])}->{rest}", x, y)


@public
def kron(x: Array, y: Array) -> Any:
    """Replace every element of x by that element times the whole of y."""
    rank = max(x.ndim, y.ndim)
    x, y = (reshape(a, (*(1,) * (rank - a.ndim), *a.shape)) for a in (x, y))
    parts = expand_dims(x, range(1, 2 * rank, 2)) * expand_dims(y, range(0, 2 * rank, 2))
    return reshape(parts, tuple(a * b for a, b in zip(x.shape, y.shape, strict=True)))


@public
def diagonal(x: Array, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """Return the entries whose two indices differ by `offset`, along a new last axis."""
    x = moveaxis(x, (axis1, axis2), (-2, -1))
    rows = np.arange(max(0, -offset),
        max(0, -offset, min(_number(x.shape[-2]), _number(x.shape[-1]) - offset)))
    return getitem(x, (..., rows, rows + offset))


@public
def trace(x: Array, offset: int = 0, axis1: int = 0, axis2: int = 1) -> Any:
    """Sum the diagonal."""
    return sum(diagonal(x, offset, axis1, axis2), -1)


@public
def diag(x: Array, k: int = 0) -> Any:
    """Return the diagonal of a matrix, or a matrix with a vector on its diagonal."""
    if x.ndim > 1:
        return diagonal(x, k)
    size = _number(x.shape[0]) + abs(k)
    column = np.arange(size)[None, :] - max(k, 0)  # column j of row i holds x[i - max(-k, 0)]
    row = np.arange(size)[:, None] - max(-k, 0)
    return where(column == row,
        getitem(x, np.clip(row, 0, max(size - abs(k) - 1, 0)).repeat(size, 1)), _zero(x))


@public
def tril(x: Array, k: int = 0) -> Any:
    """Keep the lower triangle, zeros above diagonal `k`."""
    return where(_triangle(x, k), x, _zero(x))


@public
def triu(x: Array, k: int = 0) -> Any:
    """Keep the upper triangle, zeros below diagonal `k`."""
    return where(_triangle(x, k - 1), _zero(x), x)


def _zero(x: Node) -> int:
    return False if x.dtype == np.bool_ else 0  # a number would turn truths into numbers


def _triangle(x: Node, k: int) -> Any:
    """Return where the lower triangle is; a vector stands for as many equal rows."""
    return np.tri(*map(_number, x.shape[-2:]), k=k, dtype=bool)  # type: ignore[call-overload]


@public
def diagflat(x: Array, k: int = 0) -> Any:
    """Return a matrix with all values of x on its diagonal."""
    return diag(reshape(x, -1), k)


@public
def vecdot(x: Array, y: Array, axis: int = -1) -> Any:
    """Multiply and sum along one axis: the inner products of two stacks of vectors."""
    return sum(x * y, axis)


@public
def norm(x: Array, ord: Any = None, axis: Axis = None, keepdims: bool = False) -> Any:
    """Return the length of vectors: √Σx², or (Σ|x|^ord)^(1/ord), at inf the largest |x|."""
    if ord not in (None, 2, "fro") and (ord == "nuc" or len(axes_of(axis, x.ndim)) > 1):
        raise ArgumentError(f"norm: ord={ord!r} of a matrix is not known",
        "give the axis of the vectors")
    if ord in (None, 2, "fro"):
        if ord == 2 and len(axes_of(axis, x.ndim)) > 1:
            raise ArgumentError("norm: the spectral norm of a matrix is not known", 'ord="fro"')
        total = sum(square(x), axis, keepdims)
        return where(total == 0, 0, sqrt(total))
    if np.isinf(ord):
        return FUNCTIONS["max" if ord > 0 else "min"](absolute(x), axis, keepdims)
    return sum(absolute(x) ** ord, axis, keepdims) ** (1 / ord)
