"""Ops that fold an axis: sums, means, extremes, products, and the softmax family."""
# fmt: off

from __future__ import annotations

from typing import Any

import numpy as np

from pellucid import dims
from pellucid.dims import Dim
from pellucid.errors import ShapeError
from pellucid.graph import FUNCTIONS, Node
from pellucid.op import OPS
from pellucid.ops.arithmetic import multiply, sqrt, square, where
from pellucid.ops.core import (
    Array,
    Axis,
    axes_of,
    count,
    helper,
    op,
    public,
    reduced,
    same,
)
from pellucid.ops.elementwise import exp, log
from pellucid.ops.index import flip
from pellucid.ops.shape import (
    astype,
    broadcast_to,
    concatenate,
    expand_dims,
    moveaxis,
    reshape,
)

AXES: tuple[dict[str, Any], ...] = ({}, {"axis": 0}, {"axis": 1, "keepdims": True},
{"axis": (0, 1)})


def opened(g: Node, x: Node, axis: Axis, keepdims: bool) -> Node:
    """Return a reduced `g` with the axes it lost put back as 1, where they are not leading."""
    gone = axes_of(axis, x.ndim)
    if keepdims or gone == tuple(range(len(gone))):  # leading axes are stretched unasked
        return g
    return expand_dims(g, gone)


def spread(g: Node, x: Node, axis: Axis, keepdims: bool) -> Node:
    """Return a reduced `g` copied to every element that it was reduced from."""
    return broadcast_to(opened(g, x, axis, keepdims), x.shape)


sum = op("sum", "x, axis=None, keepdims=False", numpy="np.sum(x, axis=axis, keepdims=keepdims)",
    formula=r"\sum $x", level=1, kind="reduce", shape=reduced, dtype="accumulated",
    monoid=(0.0, "add"),
    vjp=(lambda g, y, x, axis, keepdims: spread(g, x, axis, keepdims),),
    says="adds up, over the given axes", torch="torch.sum(x, axis, keepdim=keepdims)",
    onnx="ReduceSum", examples=AXES)

mean = op("mean", "x, axis=None, keepdims=False", numpy="np.mean(x, axis=axis, keepdims=keepdims)",
    formula=r"\operatorname{mean}($x)", kind="reduce", shape=reduced, dtype="quotient",
    vjp=(lambda g, y, x, axis, keepdims: spread(g / count(x, axis), x, axis, keepdims),),
    same_as=lambda x, axis, keepdims: sum(x, axis, keepdims) / count(x, axis),
    says="the average, over the given axes", torch="torch.mean(x, axis, keepdim=keepdims)",
    onnx="ReduceMean", examples=AXES, also="average")


def _share_of_ties(g: Node, y: Node, x: Node, axis: Axis, keepdims: bool) -> Node:
    tied = x == opened(y, x, axis, keepdims)
    share = opened(g, x, axis, keepdims) / sum(astype(tied, x.dtype), axis, True)
    return where(tied, share, 0)


max = op("max", "x, axis=None, keepdims=False", numpy="np.max(x, axis=axis, keepdims=keepdims)",
    formula=r"\max $x", level=2, kind="reduce", shape=reduced, monoid=(float("-inf"), "maximum"),
    vjp=(_share_of_ties,),
    says="the largest value; where several tie, they share the slope",
    torch="torch.amax(x, axis, keepdim=keepdims)", onnx="ReduceMax", examples=AXES, also="amax")

min = op("min", "x, axis=None, keepdims=False", numpy="np.min(x, axis=axis, keepdims=keepdims)",
    formula=r"\min $x", level=2, kind="reduce", shape=reduced, monoid=(float("inf"), "minimum"),
    vjp=(_share_of_ties,),
    says="the smallest value; where several tie, they share the slope",
    torch="torch.amin(x, axis, keepdim=keepdims)", onnx="ReduceMin", examples=AXES, also="amin")


def others(x: Node) -> Node:
    """Return, for each element of the last axis, the product of all the others.

    By pairs, so that no element is divided out and a zero among them is no exception:
    the others of a left one are its right partner times the others of their pair.
    """
    size = x.shape[-1]
    if isinstance(size, Dim):
        raise ShapeError(f"the slope of prod needs to know the axis length, which is {size}")
    if size <= 1:
        return 0 * x + 1.0
    half = (size + 1) // 2
    left, right = x[..., :half], x[..., half:]
    if size % 2:
        right = concatenate([right, 0 * left[..., :1] + 1.0], -1)
    rest = others(left * right)
    return concatenate([right * rest, (left * rest)[..., : size - half]], -1)


def _prod_slope(g: Node, y: Node, x: Node, axis: Axis, keepdims: bool) -> Node:
    gone = axes_of(axis, x.ndim)
    kept = tuple(k for k in range(x.ndim) if k not in gone)
    rows = moveaxis(x, (*kept, *gone), tuple(range(x.ndim)))
    flat = reshape(rows,
        (*(x.shape[k] for k in kept), dims.product(tuple(x.shape[k] for k in gone))))
    back = moveaxis(reshape(others(flat), rows.shape), tuple(range(x.ndim)), (*kept, *gone))
    return opened(g, x, axis, keepdims) * back


prod = op("prod", "x, axis=None, keepdims=False", numpy="np.prod(x, axis=axis, keepdims=keepdims)",
    formula=r"\prod $x", level=2, kind="reduce", shape=reduced, dtype="accumulated",
    monoid=(1.0, "multiply"),
    vjp=(_prod_slope,),
    says="multiplies up, over the given axes; the slope is right where a factor is 0, too",
    torch="torch.prod(x)", examples=AXES)


@public
def var(x: Array, axis: Axis = None, ddof: int = 0, keepdims: bool = False) -> Any:
    """Average the squared distance from the mean: mean((x - mean(x))²); ddof=1 divides by n - 1."""
    apart = square(x - mean(x, axis, True))
    if not ddof:
        return mean(apart, axis, keepdims)
    return sum(apart, axis, keepdims) / (count(x, axis) - ddof)


@public
def std(x: Array, axis: Axis = None, ddof: int = 0, keepdims: bool = False) -> Any:
    """Take the root of the variance: the typical distance from the mean.

    Where all values are equal the slope is 0: the root alone would have an infinite one there.
    """
    spread_out = var(x, axis, ddof, keepdims)
    return where(spread_out == 0, 0, sqrt(spread_out))


@public
def ptp(x: Array, axis: Axis = None, keepdims: bool = False) -> Any:
    """Return the range: the largest value minus the smallest."""
    return max(x, axis, keepdims) - min(x, axis, keepdims)


# -- standard scores ---------------------------------------------------------------------------


def deviation(x: Node, axis: Axis, eps: float) -> Node:
    """Return sqrt(var(x) + eps) along the axes, which are put back where they are not leading."""
    return sqrt(_average(square(x - _average(x, axis)), axis) + eps)


def _average(x: Node, axis: Axis) -> Node:
    gone = axes_of(axis, x.ndim)
    return mean(x, axis, gone != tuple(range(len(gone))))  # leading axes are stretched unasked


def standard_steps(x: Node, axis: Axis, eps: float) -> Node:
    """Return (x - mean(x)) / sqrt(var(x) + eps), step by step."""
    return (x - _average(x, axis)) / deviation(x, axis, eps)


def _standard_slope(g: Node, y: Node, x: Node, axis: Axis, eps: float) -> Node:
    """Return (g - mean(g) - y mean(g y)) / sqrt(var(x) + eps): mean and variance move with x."""
    return (g - _average(g, axis) - y * _average(g * y, axis)) / deviation(x, axis, eps)


standardize = op("standardize", "x, axis=-1, eps=1e-05",
    formula=r"\frac{$x - \operatorname{mean}($x)}"
            r"{\sqrt{\operatorname{var}($x) + \varepsilon}}",
    numpy='''def standardize(x, axis=None, eps=None):
    """(x - mean(x)) / sqrt(var(x) + eps), along the axes."""
    apart = x - np.mean(x, axis=axis, keepdims=True)
    return apart / np.sqrt(np.mean(apart ** 2, axis=axis, keepdims=True) + eps)
''',
    kind="reduce", shape=same, dtype="inexact", internal=True,
    vjp=(_standard_slope,), same_as=standard_steps,
    says="shifts and scales to mean 0 and variance 1 along the axes",
    torch="(x - x.mean(axis, True)) / torch.sqrt(x.var(axis, correction=0, keepdim=True) + eps)",
    examples=({}, {"axis": 0}, {"axis": (0, 1)}))


# -- the softmax family ------------------------------------------------------------------------

helper('''def exp_difference(x, y):
    """exp(x - y), with what the rounding of x - y has lost put back (Knuth's two-sum)."""
    d = x - y
    back = d - x
    lost = (x - (d - back)) - (y + back)
    e = np.exp(d)
    return np.where(np.isfinite(lost), e + e * lost, e)
''')

helper('''def shifted(x, axis):
    """The maximum; x minus it; exp of that; and the sum of this over all entries but one maximum.

    That one is exp(0) = 1: so the whole sum is 1 + rest, and log1p keeps a small rest's digits.
    """
    top = np.max(x, axis=axis, keepdims=True, initial=-np.inf)
    d = np.where(x == top, 0, x - top)
    e = np.where(x == top, 1, exp_difference(x, top))
    rest = np.sum(np.where(x == top, 0, e), axis=axis, keepdims=True)
    return top, d, e, rest + (np.sum(x == top, axis=axis, keepdims=True, dtype=rest.dtype) - 1)
''')

logsumexp = op("logsumexp", "x, axis=None, keepdims=False", formula=r"\ln \sum e^{$x}", level=2,
    numpy='''def accurate_logsumexp(x, axis=None, keepdims=False):
    """log(sum(exp(x))), computed from the largest entry, so that exp never overflows."""
    top, _, _, rest = shifted(x, axis)
    value = top + np.log1p(rest)
    return value if keepdims else np.squeeze(value, axis=axis)
''',
    kind="reduce", shape=reduced, dtype="inexact", monoid=(float("-inf"), "logaddexp"),
    vjp=(lambda g, y, x, axis, keepdims: opened(g, x, axis, keepdims) * softmax(x, axis),),
    same_as=lambda x, axis, keepdims: log(sum(exp(x), axis, keepdims)),
    says="a smooth maximum: the logarithm of the sum of exponentials",
    torch="torch.logsumexp(x, axis, keepdim=keepdims)", onnx="ReduceLogSumExp", examples=AXES)


def _without_top(v: Node, s: Node, axis: Axis) -> Node:
    """Sum `v` over the entries whose share `s` is not above a half (at most one is)."""
    return sum(where(s > 0.5, 0, v), axis, True)


def softmax_slope(g: Node, s: Node, axis: Axis) -> Node:
    """Return s·(g - Σ g s).  At an entry near 1 that cancels, so there it is Σ over the others."""
    plain = s * (g - sum(g * s, axis, True))
    near_one = s * (g * _without_top(s, s, axis) - _without_top(g * s, s, axis))
    return where(s > 0.5, near_one, plain)


def log_softmax_slope(g: Node, s: Node, axis: Axis) -> Node:
    """Return g - s·Σ g, and the same from the other entries where s is near 1 and that cancels."""
    total = sum(g, axis, True)
    near_one = total * _without_top(s, s, axis) - _without_top(g, s, axis)
    return where(s > 0.5, near_one, g - s * total)


softmax = op("softmax", "x, axis=-1", formula=r"\operatorname{softmax}($x)",
    numpy='''def accurate_softmax(x, axis=None):
    """exp(x) / sum(exp(x)), computed from the largest entry, so that exp never overflows."""
    _, _, e, rest = shifted(x, axis)
    return e / (1 + rest)
''',
    kind="reduce", shape=same, dtype="inexact",
    vjp=(lambda g, y, x, axis: softmax_slope(g, y, axis),),
    same_as=lambda x, axis: exp(x) / sum(exp(x), axis, True),
    says="turns scores into shares that are positive and sum to 1 along the axis",
    torch="torch.softmax(x, axis)", onnx="Softmax", examples=({}, {"axis": 0}))

log_softmax = op("log_softmax", "x, axis=-1", formula=r"\ln \operatorname{softmax}($x)",
    numpy='''def log_softmax(x, axis=None):
    """log(softmax(x)): neither term is positive, so nothing cancels."""
    _, d, _, rest = shifted(x, axis)
    return d - np.log1p(rest)
''',
    kind="reduce", shape=same, dtype="inexact",
    vjp=(lambda g, y, x, axis: log_softmax_slope(g, softmax(x, axis), axis),),
    same_as=lambda x, axis: x - logsumexp(x, axis, True),
    says="the logarithm of the softmax, finite where a share is too small to be written",
    torch="torch.log_softmax(x, axis)", onnx="LogSoftmax", examples=({}, {"axis": 0}))

# What a training step is rewritten to: the usual forms, a line or two each.

plain_softmax = op("plain_softmax", "x, axis=-1", formula=r"\operatorname{softmax}($x)",
    numpy='''def softmax(x, axis=None):
    """exp(x) / sum(exp(x)), the largest x taken off first, so that exp never overflows."""
    e = np.exp(x - np.max(x, axis=axis, keepdims=True))
    return e / np.sum(e, axis=axis, keepdims=True)
''',
    kind="reduce", shape=same, dtype="inexact", internal=True,
    vjp=(lambda g, y, x, axis: y * (g - sum(g * y, axis, True)),),
    same_as=lambda x, axis: softmax(x, axis),
    says="the softmax in its usual form", torch="torch.softmax(x, axis)", onnx="Softmax",
    examples=({}, {"axis": 0}))

plain_logsumexp = op("plain_logsumexp", "x, axis=None, keepdims=False",
    formula=r"\ln \sum e^{$x}", level=2,
    numpy='''def logsumexp(x, axis=None, keepdims=False):
    """log(sum(exp(x))), the largest x taken off first, so that exp never overflows."""
    top = np.max(x, axis=axis, keepdims=True)
    total = top + np.log(np.sum(np.exp(x - top), axis=axis, keepdims=True))
    return total if keepdims else np.squeeze(total, axis=axis)
''',
    kind="reduce", shape=reduced, dtype="inexact", internal=True,
    vjp=(lambda g, y, x, axis, keepdims: opened(g, x, axis, keepdims) * plain_softmax(x, axis),),
    same_as=lambda x, axis, keepdims: logsumexp(x, axis, keepdims),
    says="the logarithm of the sum of exponentials in its usual form",
    torch="torch.logsumexp(x, axis, keepdim=keepdims)", onnx="ReduceLogSumExp", examples=AXES)

# -- running and ordering ----------------------------------------------------------------------


_cumsum = op("running_sum", "x, axis=-1", numpy="np.cumsum(x, axis=axis)",
    formula=r"\operatorname{cumsum}($x)",
    kind="opaque", shape=same, dtype="accumulated", internal=True,
    vjp=(lambda g, y, x, axis: flip(_cumsum(flip(g, axis), axis), axis),),
    says="adds up all values so far, along the axis", torch="torch.cumsum(x, axis)", onnx="CumSum")


@public
def cumsum(x: Array, axis: int | None = None) -> Any:
    """Add up all values so far, along the axis (of the flat array, where none is given)."""
    return _cumsum(reshape(x, -1), 0) if axis is None else _cumsum(x, axis)


def accumulate(combine: Any, x: Node, axis: int = 0) -> Node:
    """Combine all values so far, along the axis, by doubling strides."""
    rows, stride = moveaxis(x, axis, 0), 1
    while stride < rows.shape[0]:
        rows = concatenate([rows[:stride], combine(rows[stride:], rows[:-stride])], 0)
        stride *= 2
    return moveaxis(rows, 0, axis)


FUNCTIONS["__accumulate__"] = accumulate


@public
def cumprod(x: Array, axis: int | None = None) -> Any:
    """Multiply up all values so far; the slope holds at zeros, too."""
    x = astype(x, OPS["prod"].dtype(x.dtype))
    return accumulate(multiply, reshape(x, -1) if axis is None or not x.ndim else x, axis or 0)


def _cumulative(running: Any, x: Node, axis: int | None, start: float | None) -> Any:
    """Run along the axis, which only a vector need not name; `start` comes first, where wanted."""
    if axis is None and x.ndim != 1:
        raise ShapeError(f"which of the {x.ndim} axes is to be run along?", "axis=0")
    axis = axes_of(axis or 0, x.ndim)[0]
    sums = running(x, axis)
    if start is None:
        return sums
    edge: Any = tuple(1 if k == axis else s for k, s in enumerate(x.shape))
    first = np.full(edge, start, sums.dtype)
    return concatenate([first, sums], axis)


@public
def cumulative_sum(x: Array, axis: int | None = None, include_initial: bool = False) -> Any:
    """Add up all values so far; `include_initial` puts the empty sum, 0, before them."""
    return _cumulative(cumsum, x, axis, 0 if include_initial else None)


@public
def cumulative_prod(x: Array, axis: int | None = None, include_initial: bool = False) -> Any:
    """Multiply up all values so far; `include_initial` puts the empty product, 1, before them."""
    return _cumulative(cumprod, x, axis, 1 if include_initial else None)


positions = op("positions", "size=1", numpy="np.arange(size)", formula=r"(0, 1, 2, \ldots)",
    kind="index", shape=lambda size: (size,), dtype="counted", internal=True,
    says="the position of every element along an axis")


def _first_place(extreme: Any) -> Any:
    """Return the formula of argmax or argmin: the first place of the extreme value, or of a NaN."""

    def place(x: Node, axis: Axis, keepdims: bool) -> Node:
        if axis is None and x.ndim != 1:
            at = place(reshape(x, (x.size,)), 0, keepdims)
            return reshape(at, (1,) * x.ndim) if keepdims else at
        k = axes_of(axis, x.ndim)[0]
        size = x.shape[k]
        places = reshape(positions(size), tuple(size if j == k else 1 for j in range(x.ndim)))
        found = (x == extreme(x, k, True)) | (x != x)
        return min(where(found, places, size), k, keepdims)

    return place


def _position(name: str, says: str, text: str, extreme: Any) -> Any:
    return op(name, "x, axis=None, keepdims=False", numpy=text, same_as=_first_place(extreme),
        formula=rf"\operatorname{{{name}}}($x)", kind="opaque",
        shape=reduced, dtype="integer", vjp=(None,), says=says,
        torch=f"torch.{name}(x, axis, keepdim=keepdims)",
        examples=({"axis": 0}, {"axis": 1}))


argmax = _position("argmax", "where the largest value stands",
    "np.argmax(x, axis=axis, keepdims=keepdims)", max)
argmin = _position("argmin", "where the smallest value stands",
    "np.argmin(x, axis=axis, keepdims=keepdims)", min)

_argsort = op("argsort", "x, axis=-1", numpy="np.argsort(x, axis=axis, kind='stable')",
    kind="opaque",
    formula=r"\operatorname{argsort}($x)", shape=same, dtype="integer", vjp=(None,),
    says="the positions that put the values in rising order",
    torch="torch.argsort(x, dim=axis, stable=True)",
    examples=({}, {"axis": 0}))


@public
def argsort(x: Array, axis: int | None = -1) -> Any:
    """Return the positions that put the values in rising order; of the flat array at axis None."""
    return _argsort(reshape(x, -1), 0) if axis is None else _argsort(x, axis)


def _every(name: str, latex: str, says: str, monoid: tuple[float, str]) -> Any:
    return op(name, "x, axis=None, keepdims=False",
        numpy=f"np.{name}(x, axis=axis, keepdims=keepdims)",
        formula=f"{latex} $x", level=0, kind="reduce", shape=reduced, dtype="boolean", vjp=(None,),
        monoid=monoid,
        says=says, torch=f"torch.{name}(x)", examples=AXES)


all = _every("all", r"\forall", "whether every value holds", (1.0, "logical_and"))
any = _every("any", r"\exists", "whether at least one value holds", (0.0, "logical_or"))
