"""The equations: each is its own test (both sides are evaluated on its domain) and has its why.

Fusions are applied before differentiation, so that a loss is stable forwards, too; the algebra
after it turns accurate slopes into the textbook's, and says what that costs.
"""
# fmt: off

from __future__ import annotations

from typing import Any

from pellucid import dims, ops
from pellucid.graph import Node, constant, evaluate
from pellucid.ops.core import broadcast
from pellucid.ops.loss import bernoulli, bernoulli_logits, categorical, categorical_logits
from pellucid.ops.places import unmoved
from pellucid.ops.reduce import (
    log_softmax_slope,
    plain_logsumexp,
    plain_softmax,
    softmax_slope,
    standard_steps,
    standardize,
)
from pellucid.ops.shape import _transpose
from pellucid.rewrite import Fold, Rule, number, rebuilt

# -- fusions -----------------------------------------------------------------------------------


def _last(x: Node, *_: Node, axis: Any) -> bool:
    return bool(axis == x.ndim - 1)


FUSIONS = [
    Rule("sigmoid and cross-entropy merge",
         lambda z, y: (bernoulli(ops.sigmoid(z), y), bernoulli_logits(z, y)),
         why="ln σ(z) is -∞ once σ(z) rounds to 0; merged, the loss is finite for every score, "
             "and its slope is ŷ - y",
         domain=((-5, 5), (0, 1)), fuses=True),
    Rule("softmax and cross-entropy merge",
         lambda z, y, *, axis: (categorical(ops.softmax(z, axis), y), categorical_logits(z, y)),
         why="the logarithm undoes the exponential; merged, the loss is finite for every score, "
             "and its slope is ŷ - y",
         when=_last, settings={"axis": 1}, domain=((-5, 5), (0, 1)), fuses=True),
    Rule("log of softmax",
         lambda x, *, axis: (ops.log(ops.softmax(x, axis)), ops.log_softmax(x, axis)),
         why="a share may round to 0, its logarithm need not be -∞",
         settings={"axis": 1}, fuses=True),
    Rule("log of sigmoid",
         lambda x: (ops.log(ops.sigmoid(x)), ops.log_sigmoid(x)),
         why="σ(x) may round to 0, its logarithm need not be -∞", fuses=True),
    Rule("log of a sum of exponentials",
         lambda x, *, axis, keepdims: (ops.log(ops.sum(ops.exp(x), axis, keepdims)),
                                       ops.logsumexp(x, axis, keepdims)),
         why="exp overflows at 710; counted from the largest entry it never does",
         settings={"axis": 1, "keepdims": True}, fuses=True),
    Rule("log of 1 + exp",
         lambda x: (ops.log(1 + ops.exp(x)), ops.softplus(x)),
         why="exp overflows at 710; softplus is x there", fuses=True),
    Rule("log of exp",
         lambda x: (ops.log(ops.exp(x)), x),
         why="each undoes the other", fuses=True),
]


def _in_steps(x: Node, axis: Any, eps: float) -> Node:
    """Standardize step by step; a hole of a rule, of unknown shape, has no axes to look at."""
    return x if x.shape is None else standard_steps(x, axis, eps)


# -- slopes as the textbook has them -------------------------------------------------------------

SLOPES = [
    Rule("slope of sigmoid from its value",
         lambda x: (ops.sigmoid(x) * ops.sigmoid(-x), ops.sigmoid(x) * (1 - ops.sigmoid(x))),
         why="σ(-x) = 1 - σ(x): the slope a(1 - a) needs no second exponential",
         error="absolute error 1 ulp of 1, where σ is near 1"),
    Rule("slope of tanh from its value",
         lambda x: (ops.tanh_slope(x), 1 - ops.square(ops.tanh(x))),
         why="cosh² - sinh² = 1, so 1/cosh² = 1 - tanh²: 1 - a² needs no second exponential",
         error="absolute error 1 ulp of 1, where tanh is near 1"),
    Rule("slope of cross-entropy on scores",
         lambda z, y: ((1 - y) * ops.sigmoid(z) - y * ops.sigmoid(-z), ops.sigmoid(z) - y),
         why="σ(-z) = 1 - σ(z): (1 - y) ŷ - y (1 - ŷ) = ŷ - y",
         error="absolute error 1 ulp of 1, where ŷ is near y = 1", domain=((-5, 5), (0, 1))),
    Rule("slope of log-softmax",
         lambda g, x, *, axis: (log_softmax_slope(g, ops.softmax(x, axis), axis),
                                g - ops.softmax(x, axis) * ops.sum(g, axis, True)),
         why="the sum over all entries, instead of over all others where one is near 1",
         error="absolute error 1 ulp of the largest g", settings={"axis": 1}),
    Rule("slope of softmax",
         lambda g, x, *, axis: (softmax_slope(g, ops.softmax(x, axis), axis),
                                ops.softmax(x, axis)
                                * (g - ops.sum(g * ops.softmax(x, axis), axis, True))),
         why="the sum over all entries, instead of over all others where one is near 1",
         error="absolute error 1 ulp of the largest g", settings={"axis": 1}),
    Rule("a mask multiplies",
         lambda g, x: (ops.where(x <= 0, 0, g), g * (x > 0)),
         why="where ReLU is flat the gradient is 0, elsewhere it passes: a factor of 0 or 1",
         error="none for finite gradients", when=lambda g, x: g.shape == x.shape),
]

# -- values as the textbook has them -------------------------------------------------------------

VALUES = [
    Rule("cross-entropy of a score",
         lambda z, y: (bernoulli_logits(z, y), ops.softplus(z) - y * z),
         why="-y ln σ(z) - (1 - y) ln σ(-z), where ln σ(z) = z - softplus(z), "
             "ln σ(-z) = -softplus(z)",
         error="absolute error 1 ulp of z, where the loss is near 0", domain=((-5, 5), (0, 1))),
    Rule("cross-entropy of scores",
         lambda z, y: (categorical_logits(z, y),
                       ops.sum(y, -1) * plain_logsumexp(z, -1) - ops.sum(y * z, -1)),
         why="ln softmax(z) = z - logsumexp(z), summed with the weights y",
         error="absolute error 1 ulp of z, where the loss is near 0",
         domain=((-5, 5), (0, 1)), shapes=((4, 3), (4, 3))),
    Rule("standard scores, step by step",
         lambda x, *, axis, eps: (standardize(x, axis, eps), _in_steps(x, axis, eps)),
         why="a line each for mean and variance, which have other readers",
         error="none, for the steps are the same",
         settings={"axis": 1, "eps": 1e-5}),
    Rule("usual softmax",
         lambda x, *, axis: (ops.softmax(x, axis), plain_softmax(x, axis)),
         why="the largest entry counted with the others, and x - max(x) rounded once",
         error="relative error 1 ulp for every unit of max(x) - x", settings={"axis": 1}),
    Rule("usual log-softmax",
         lambda x, *, axis: (ops.log_softmax(x, axis), x - plain_logsumexp(x, axis, True)),
         why="the logarithm of a quotient is a difference of logarithms",
         error="absolute error 1 ulp of x", settings={"axis": 1}),
    Rule("usual logsumexp",
         lambda x, *, axis, keepdims: (ops.logsumexp(x, axis, keepdims),
                                       plain_logsumexp(x, axis, keepdims)),
         why="the largest entry counted with the others",
         error="absolute error 1 ulp of 1, where the result is near 0",
         settings={"axis": 1, "keepdims": True}),
]


# -- algebra -----------------------------------------------------------------------------------


def _fixed(*nodes: Node) -> bool:
    return all(number(n) for n in nodes)


def _tame(c: Node, d: Node) -> bool:
    """Whether a product neither overflows nor vanishes, in float32 either."""
    factors = float(c.data), float(d.data)
    return 0.0 in factors or 1e-30 < abs(factors[0] * factors[1]) < 1e30


def _scalars(*nodes: Node) -> bool:
    return not any(n.ndim for n in nodes)


ALGEBRA = [
    Rule("times one", lambda x: (1 * x, x), why="1 is the identity of multiplication"),
    Rule("over one", lambda x: (x / 1, x), why="dividing by 1 changes nothing"),
    Rule("plus zero", lambda x: (x + 0, x), why="0 is the identity of addition"),
    Rule("minus zero", lambda x: (x - 0, x), why="subtracting 0 changes nothing"),
    Rule("double negation", lambda x: (ops.negative(-x), x), why="the opposite of the opposite"),
    Rule("double transpose", lambda x: (_transpose(_transpose(x)), x),
         why="rows become columns and rows again"),
    Rule("plus a negative", lambda x, y: (x + -y, x - y), why="adding the opposite is subtracting"),
    Rule("minus a negative", lambda x, y: (x - (-y), x + y),
         why="subtracting the opposite is adding"),
    Rule("negative of a difference", lambda x, y: (-(x - y), y - x),
         why="the opposite of x - y is y - x"),
    Rule("negative of a quotient of a difference", lambda x, y, z: (-((x - y) / z), (y - x) / z),
         why="the sign turns the difference round", domain=((-2, 2), (-2, 2), (0.5, 2))),
    Rule("negative factor", lambda x, y: ((-x) * y, -(x * y)), why="a sign can be taken last"),
    Rule("negative times a difference", lambda x, y, z: (-(x * (y - z)), x * (z - y)),
         why="the sign turns the difference round"),
    Rule("constant times a negative", lambda c, x: (c * -x, -c * x), when=lambda c, x: number(c),
         why="the sign joins the constant"),
    Rule("negative over", lambda x, y: ((-x) / y, -(x / y)), why="a sign can be taken last"),
    Rule("negative of a constant multiple", lambda c, x: (-(c * x), -c * x),
         when=lambda c, x: number(c), why="the sign joins the constant"),
    Rule("constants meet", lambda c, d, x: (c * (d * x), (c * d) * x),
         when=lambda c, d, x: _fixed(c, d) and _tame(c, d), why="multiplication is associative"),
    Rule("constants come first", lambda c, x, y: (y * (c * x), c * (y * x)),
         when=lambda c, x, y: number(c) and not number(y), why="multiplication is commutative"),
    Rule("one division at the end", lambda a, b, x: ((a / b) * x, (a * x) / b),
         when=lambda a, b, x: _scalars(a, b),
         why="multiplying by a/b is multiplying by a, then dividing by b",
         error="1 ulp", domain=((-2, 2), (0.5, 2), (-2, 2)), shapes=((), (), (2, 3))),
    Rule("constant over", lambda c, x, b: (c * (x / b), (c * x) / b),
         when=lambda c, x, b: number(c) and _scalars(b),
         why="the constant may come before the division",
         error="1 ulp", domain=((-2, 2), (-2, 2), (0.5, 2)), shapes=((), (2, 3), ())),
]

# -- what depends on shapes and values -----------------------------------------------------------


def _fold_constants(node: Node) -> Node | None:
    assert node.op is not None
    fixed = node.args and all(a.is_constant for a in node.args)
    if not fixed or node.op.kind in ("view", "dim") or not dims.known(node.shape):
        return None
    small = dims.product(node.shape) <= 1000  # type: ignore[operator]
    return constant(evaluate([node])[0]) if small else None


def _implicit_broadcast(node: Node) -> Node | None:
    """Drop an explicit copy where arithmetic would stretch the operand by itself."""
    assert node.op is not None
    if node.op.kind != "map":
        return None
    for k, arg in enumerate(node.args):
        if _is(arg, "broadcast_to"):
            args = [*node.args[:k], arg.args[0], *node.args[k + 1 :]]
            if broadcast(*(a.shape for a in args)) == node.shape:
                return rebuilt(node, args)
    return None


def _map_of_copies(node: Node) -> Node | None:
    """Compute once what is computed alike for every copy of a number."""
    assert node.op is not None
    if node.op.kind != "map" or not node.ndim:
        return None
    args = [a.args[0] if _is(a, "broadcast_to") else a for a in node.args]
    if any(a.ndim for a in args) or not args:
        return None
    return ops.broadcast_to(rebuilt(node, args), node.shape)  # type: ignore[no-any-return]


def _view_of_a_copy(node: Node) -> Node | None:
    """Any view of one number copied is that number copied."""
    assert node.op is not None
    if node.op.kind != "view" or not node.args:
        return None
    arg = node.args[0]
    if not _is(arg, "broadcast_to") or arg.args[0].ndim:
        return None
    return ops.broadcast_to(arg.args[0], node.shape)  # type: ignore[no-any-return]


def _reads(node: Node, outer: str, inner: str) -> Node | None:
    """Return the operand if the node is the op `outer` of the op `inner`."""
    arg = node.args[0] if node.args else None
    fits = arg is not None and _is(node, outer) and _is(arg, inner)
    return arg if fits else None


def _is(node: Node, name: str) -> bool:
    return node.op is not None and node.op.name == name


def _reshape_twice(node: Node) -> Node | None:
    arg = _reads(node, "reshape", "reshape")
    return None if arg is None else ops.reshape(arg.args[0], node.shape)


def _sum_of_rows(node: Node) -> Node | None:
    """Rows known to be shares sum to 1."""
    rows = _reads(node, "sum", "shares")
    if rows is None or node.settings["axis"] != rows.ndim - 1:
        return None
    return ops.ones_like(node)  # type: ignore[no-any-return]


def _chosen_at_once(node: Node) -> Node | None:
    if not _is(node, "where") or not number(node.args[0]):
        return None
    picked = node.args[1] if node.args[0].data else node.args[2]
    return ops.broadcast_to(picked, node.shape)  # type: ignore[no-any-return]


def _without_place(node: Node) -> Node | None:
    assert node.op is not None
    return node.args[0] if node.op.name in ("identity", "label", "stop_gradient") else None


shares = ops.core.op("shares", "x", numpy="x", formula="$x", kind="view", shape=ops.core.same,
    index=unmoved,
    vjp=(lambda g, y, x: g,), internal=True,
    says="the same values, known to be shares: each row sums to 1")

FOLDS: list[Rule | Fold] = [
    Fold("constant folding", _fold_constants, "what does not depend on the data is computed once"),
    Fold("implicit broadcast", _implicit_broadcast, "arithmetic stretches an operand by itself"),
    Fold("one computation for all copies", _map_of_copies, "all copies are equal"),
    Fold("view of a copied number", _view_of_a_copy, "all copies are equal, in any arrangement"),
    Fold("reshape of a reshape", _reshape_twice, "only the last shape counts"),
    Fold("shares sum to 1", _sum_of_rows, "each row of one-hot targets has a single 1"),
    Fold("a choice already made", _chosen_at_once, "the condition is known"),
    Fold("places fall away", _without_place, "a name or a place of its own changes no value"),
]


def _one_piece(node: Node) -> Node | None:
    """Return the array that a slice takes whole out of those that were joined."""
    joined = _reads(node, "slice", "concatenate")
    if joined is None:
        return None
    axis, index = joined.settings["axis"] % joined.ndim, node.settings["index"]
    if not all(isinstance(p, slice) and p.step in (None, 1) for p in index) or len(index) <= axis:
        return None
    if any(p != slice(None) for k, p in enumerate(index) if k != axis):
        return None
    start: Any = 0
    for x in joined.args:
        stop = start + x.shape[axis]
        if (index[axis].start or 0, index[axis].stop) == (start, stop):
            return x
        start = stop
    return None


# Before differentiation, so that no gradient is taken apart and joined again.
PIECES = [
    Fold("a piece of what was joined", _one_piece, "it is the array that was put there",
         root="slice", fuses=True),
]

# For people: a guard says nothing where nothing is 0.
UNGUARDED = [
    Rule("nothing of anything is nothing", lambda a, b: (ops.where(a == 0, 0, a / b), a / b),
         why="0 over anything is 0", error="NaN where both are 0",
         domain=((0.5, 2), (0.5, 2))),
]

# -- why a merged slope is right -------------------------------------------------------------------

SIGNS = [
    Rule("minus one times", lambda x: (-1 * x, -x), why="-1 turns the sign round"),
]
CANCELS = [
    Rule("a factor cancels", lambda x, p, q: ((x / p) * (p * q), x * q),
         why="dividing and multiplying by the same number undo each other",
         domain=((-2, 2), (0.5, 2), (-2, 2)), error="1 ulp"),
    Rule("a divisor cancels", lambda x, p: ((x / p) * p, x),
         why="dividing and multiplying by the same number undo each other",
         domain=((-2, 2), (0.5, 2)), error="1 ulp"),
    Rule("two quotients are multiplied",
         lambda x, y, p, q, w: ((-(x / p) - y / q) * w, -((x / p) * w) - (y / q) * w),
         why="each term is multiplied", error="absolute error 1 ulp of the larger term",
         domain=((-2, 2), (-2, 2), (0.5, 2), (0.5, 2), (-2, 2))),
    Rule("a quotient is multiplied by its divisor", lambda x, y, p: ((x - y / p) * p, x * p - y),
         why="dividing and multiplying by the same number undo each other",
         domain=((-2, 2), (-2, 2), (0.5, 2)), error="absolute error 1 ulp of the larger term"),
    Rule("sum of negatives",
         lambda x, *, axis, keepdims: (ops.sum(-x, axis, keepdims), -ops.sum(x, axis, keepdims)),
         why="a sign can be taken last", settings={"axis": 1, "keepdims": True}),
    Rule("minus minus one", lambda x: (x - (-1), x + 1), why="subtracting the opposite is adding"),
    Rule("a negative first", lambda x, y: (-x + y, y - x),
         why="adding the opposite is subtracting"),
]
FALLS = [
    Rule("the product falls out", lambda y, p: (y * (p - 1) - (y - 1) * p, p - y),
         why="y ŷ stands in both terms and falls out", error="absolute error 1 ulp of 1",
         domain=((0, 1), (0, 1))),
]

# For loops, where what is read again must be kept: only where the right side is there anyhow.
READ_BACK = [
    Rule("a ReLU is positive where its operand is", lambda x: (x > 0, ops.relu(x) > 0),
         when=lambda x: not _is(x, "relu"),
         why="max(0, x) > 0 exactly where x > 0: so x itself need not be kept for the way back"),
]

SIMPLIFY: list[Rule | Fold] = [*FOLDS, *ALGEBRA]  # exact, or within an ulp
RULES = [*FUSIONS, *SLOPES, *VALUES, *ALGEBRA, *SIGNS, *CANCELS, *FALLS, *UNGUARDED, *READ_BACK]
