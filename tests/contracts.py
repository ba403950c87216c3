"""What every op and every rule promises, as functions: tests call them, and so does fault planting.

The values of ops are compared with a second opinion, which shares no text with the registry:
Python's own `math` for single numbers, loops over index tuples for the rest.
"""

from __future__ import annotations

import itertools
import math
import operator
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest

import pellucid as pc
from pellucid.derivatives import vjp
from pellucid.dims import symbol
from pellucid.graph import Node, build, constant, evaluate, lift
from pellucid.op import OPS
from pellucid.rewrite import Fold, Rule, rewrite
from pellucid.rules import FOLDS, RULES

import test_ops  # isort: skip  # it lists the ops that the imports above have entered

Check = Callable[[], Any]
Case = tuple[str, tuple[tuple[int, ...], ...], dict[str, Any]]

# -- a second opinion on values ------------------------------------------------------------------


def _phi(x: float) -> float:
    return math.erfc(-x / math.sqrt(2)) / 2


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def _sinc(x: float) -> float:
    return math.sin(math.pi * x) / (math.pi * x) if x else 1.0


def _sinc_slope(x: float) -> float:
    return (math.cos(math.pi * x) - _sinc(x)) / x


def _bernoulli(p: float, y: float) -> float:
    return -y * math.log(p) - (1 - y) * math.log(1 - p)


def _bernoulli_logits(z: float, y: float) -> float:
    return y * math.log1p(math.exp(-z)) + (1 - y) * math.log1p(math.exp(z))


def _sign(x: float) -> float:
    return math.copysign(1.0, x) if x else 0.0


def _constant(answer: Any) -> Callable[..., Any]:
    return lambda *_: answer


ONE_NUMBER: dict[str, Callable[..., Any]] = {
    "add": operator.add, "subtract": operator.sub, "multiply": operator.mul,
    "divide": operator.truediv, "negative": operator.neg, "square": lambda x: x * x,
    "sqrt": math.sqrt, "power": math.pow, "absolute": abs, "sign": _sign, "maximum": max,
    "minimum": min, "where": lambda c, x, y: x if c else y,
    "clip": lambda x, low, high: min(max(x, low), high), "floor": math.floor, "ceil": math.ceil,
    "rint": round, "trunc": math.trunc, "floor_divide": operator.floordiv, "mod": operator.mod,
    "greater": operator.gt, "greater_equal": operator.ge, "less": operator.lt,
    "less_equal": operator.le, "equal": operator.eq, "not_equal": operator.ne,
    "logical_and": lambda x, y: x and y, "logical_or": lambda x, y: x or y,
    "logical_xor": lambda x, y: x != y, "logical_not": operator.not_, "isnan": math.isnan,
    "isinf": math.isinf, "isfinite": math.isfinite, "exp": math.exp, "expm1": math.expm1,
    "exp2": lambda x: 2.0**x, "log": math.log, "log1p": math.log1p, "log2": math.log2,
    "log10": math.log10, "sin": math.sin, "cos": math.cos, "tan": math.tan, "arcsin": math.asin,
    "arccos": math.acos, "arctan": math.atan, "sinh": math.sinh, "cosh": math.cosh,
    "tanh": math.tanh, "tanh_slope": lambda x: 1 / math.cosh(x) ** 2, "arcsinh": math.asinh,
    "arccosh": math.acosh, "arctanh": math.atanh, "hypot": math.hypot, "arctan2": math.atan2,
    "logaddexp": lambda x, y: math.log(math.exp(x) + math.exp(y)),
    "normal_pdf": lambda x: math.exp(-x * x / 2) / math.sqrt(2 * math.pi),
    "gaussian": lambda x: math.exp(-x * x), "erf": math.erf, "erfc": math.erfc,
    "normal_cdf": _phi, "sigmoid": _sigmoid, "softplus": lambda x: math.log(1 + math.exp(x)),
    "log_sigmoid": lambda x: math.log(_sigmoid(x)), "relu": lambda x: max(x, 0.0),
    "leaky_relu": lambda x, alpha: x if x > 0 else alpha * x,
    "elu": lambda x, alpha: x if x > 0 else alpha * math.expm1(x),
    "swish": lambda x: x * _sigmoid(x), "gelu": lambda x: x * _phi(x), "sinc": _sinc,
    "sinc_slope": _sinc_slope, "astype": lambda x, dtype: float(np.float32(x)),
    "bernoulli": _bernoulli, "bernoulli_logits": _bernoulli_logits,
    "poisson_rate": lambda p, y: p - y * math.log(p),
}  # fmt: skip


def _row_softmax(row: list[float]) -> list[float]:
    total = math.fsum(math.exp(v) for v in row)
    return [math.exp(v) / total for v in row]


def _row_logs(row: list[float]) -> list[float]:
    return [math.log(p) for p in _row_softmax(row)]


def _running(row: list[float]) -> list[float]:
    return [math.fsum(row[: k + 1]) for k in range(len(row))]


def _sorted(row: list[float]) -> list[int]:
    return sorted(range(len(row)), key=row.__getitem__)


def _logsum(row: list[float]) -> float:
    return math.log(math.fsum(map(math.exp, row)))


TO_ONE: dict[str, Callable[[list[Any]], Any]] = {  # many numbers to one
    "sum": math.fsum, "mean": lambda row: math.fsum(row) / len(row), "max": max, "min": min,
    "prod": math.prod, "logsumexp": _logsum, "plain_logsumexp": _logsum, "all": all, "any": any,
    "argmax": lambda row: row.index(max(row)), "argmin": lambda row: row.index(min(row)),
}  # fmt: skip
TO_MANY: dict[str, Callable[[list[Any]], list[Any]]] = {  # many numbers to as many
    "softmax": _row_softmax, "plain_softmax": _row_softmax, "log_softmax": _row_logs,
    "running_sum": _running, "argsort": _sorted,
}  # fmt: skip


def _folded(name: str, x: Any, axis: Any, keepdims: bool = False) -> Any:
    axes = range(x.ndim) if axis is None else [axis] if isinstance(axis, int) else axis
    gone = [a % x.ndim for a in axes]
    kept = [k for k in range(x.ndim) if k not in gone]
    rows = x.transpose(*kept, *gone).reshape(*(x.shape[k] for k in kept), -1)
    out = np.array([TO_ONE[name](r.tolist()) for r in rows.reshape(-1, rows.shape[-1])])
    out = out.reshape([x.shape[k] for k in kept])
    return np.expand_dims(out, gone) if keepdims else out


def _by_rows(name: str, x: Any, axis: int) -> Any:
    rows = np.moveaxis(x, axis, -1)
    out = np.array([TO_MANY[name](r.tolist()) for r in rows.reshape(-1, rows.shape[-1])])
    return np.moveaxis(out.reshape(rows.shape), -1, axis)


def _reshaped(x: Any, shape: tuple[int, ...]) -> Any:
    out = np.empty(shape)
    for to, value in zip(np.ndindex(*shape), (x[k] for k in np.ndindex(*x.shape)), strict=True):
        out[to] = value
    return out


def _permuted(x: Any, axes: Any = None) -> Any:
    axes = tuple(range(x.ndim))[::-1] if axes is None else axes
    out = np.empty([x.shape[a] for a in axes])
    for spot in np.ndindex(*out.shape):
        place = [0] * x.ndim
        for k, a in zip(spot, axes, strict=True):
            place[a] = k
        out[spot] = x[tuple(place)]
    return out


def _copied(x: Any, shape: tuple[int, ...]) -> Any:
    out = np.empty(shape)
    for spot in np.ndindex(*shape):
        tail = spot[len(shape) - x.ndim :]
        out[spot] = x[tuple(0 if s == 1 else k for k, s in zip(tail, x.shape, strict=True))]
    return out


def _joined(*xs: Any, axis: int) -> Any:
    parts = [row for x in xs for row in np.moveaxis(x, axis, 0)]
    return np.moveaxis(np.array(parts), 0, axis)


def _unslice(g: Any, shape: tuple[int, ...], index: Any) -> Any:
    places = np.arange(math.prod(shape)).reshape(shape)[index]
    out = np.zeros(math.prod(shape))
    for place, value in zip(places.ravel(), g.ravel(), strict=True):
        out[place] = value
    return out.reshape(shape)


def _sliced(x: Any, index: Any) -> Any:
    places = np.arange(x.size).reshape(x.shape)[index]
    return np.array([x.ravel()[k] for k in places.ravel()]).reshape(places.shape)


def _einsum(*xs: Any, subscripts: str) -> Any:
    left, _, right = subscripts.partition("->")
    inputs = left.split(",")
    pairs = list(zip(inputs, xs, strict=True))
    sizes: dict[str, int] = {}
    for letters, x in pairs:
        for c, size in zip(letters, x.shape, strict=True):
            sizes[c] = max(sizes.get(c, 1), size)
    out = np.zeros([sizes[c] for c in right])
    for spot in itertools.product(*(range(s) for s in sizes.values())):
        at = dict(zip(sizes, spot, strict=True))
        term = [x[tuple(at[c] % n for c, n in zip(s, x.shape, strict=True))] for s, x in pairs]
        out[tuple(at[c] for c in right)] += math.prod(term)
    return out


def _product(x: Any, y: Any) -> Any:
    left, right = (x[None, :] if x.ndim == 1 else x), (y[:, None] if y.ndim == 1 else y)
    heads = np.broadcast_shapes(left.shape[:-2], right.shape[:-2])
    left = np.broadcast_to(left, (*heads, *left.shape[-2:]))
    right = np.broadcast_to(right, (*heads, *right.shape[-2:]))
    out = np.empty((*heads, left.shape[-2], right.shape[-1]))
    for *head, i, j in np.ndindex(*out.shape):
        row, column = left[(*head, i)], right[(*head, slice(None), j)]
        out[(*head, i, j)] = math.fsum(a * b for a, b in zip(row, column, strict=True))
    out = out[..., 0, :] if x.ndim == 1 else out
    return out[..., 0] if y.ndim == 1 else out


def _surprise(shares: Any, y: Any) -> Any:
    out = np.zeros(shares.shape[:-1])
    for spot in np.ndindex(*shares.shape):
        out[spot[:-1]] -= y[spot] * math.log(shares[spot])
    return out


def _standardized(x: Any, axis: Any, eps: float) -> Any:
    axes = range(x.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    gone = {k % x.ndim for k in axes}
    groups: dict[Any, list[float]] = {}
    for spot in np.ndindex(*x.shape):
        groups.setdefault(tuple(k for a, k in enumerate(spot) if a not in gone), []).append(x[spot])
    out = np.empty(x.shape)
    for spot in np.ndindex(*x.shape):
        group = groups[tuple(k for a, k in enumerate(spot) if a not in gone)]
        mean = math.fsum(group) / len(group)
        var = math.fsum((v - mean) ** 2 for v in group) / len(group)
        out[spot] = (x[spot] - mean) / math.sqrt(var + eps)
    return out


SAME = dict.fromkeys(["identity", "label", "stop_gradient", "shares"], lambda x, **_: x)
ARRAYS: dict[str, Callable[..., Any]] = SAME | {
    "reshape": _reshaped, "flat": lambda x: _reshaped(x, (x.size,)), "transpose": _permuted,
    "permute": _permuted, "broadcast_to": _copied, "concatenate": _joined, "slice": _sliced,
    "unslice": _unslice, "matmul": _product, "einstein_sum": _einsum, "categorical": _surprise,
    "categorical_logits": lambda z, y: _surprise(_by_rows("softmax", z, -1), y),
    "standardize": _standardized,
    "positions": lambda size: np.array(list(range(size))),
}  # fmt: skip


def second_opinion(name: str, /, *arrays: Any, **settings: Any) -> Any:
    """Return what an op should give, computed one number at a time."""
    known = name in ONE_NUMBER or name in TO_ONE or name in TO_MANY or name in ARRAYS
    if not known:
        pytest.skip(f"no second opinion on {name} is written down in tests/contracts.py")
    if name in ONE_NUMBER:
        each = np.broadcast_arrays(*arrays)
        rows = zip(*(a.ravel().tolist() for a in each), strict=True)
        return np.array([ONE_NUMBER[name](*r, **settings) for r in rows]).reshape(each[0].shape)
    if name in TO_ONE:
        return _folded(name, *arrays, **settings)
    if name in TO_MANY:
        return _by_rows(name, *arrays, **settings)
    return ARRAYS[name](*arrays, **settings)


# what the examples of the entries leave out: axes in the middle, every operand stretched
MORE: list[Case] = [
    *((name, ((2, 3),), {"axis": 1}) for name, op in OPS.items() if "keepdims" in op.settings),
    *((name, ((2, 4, 3),), {"axis": 1}) for name in ("argmax", "argmin")),
    *((name, ((2, 4, 3), (2, 4, 3)), {}) for name in ("categorical", "categorical_logits")),
    *((name, ((2, 3), (3,), (3,)), {}) for name in ("where", "clip")),
    *((name, ((), (2, 1), (1, 3)), {}) for name in ("where", "clip")),
    ("einstein_sum", ((2, 1), (3, 4)), {"subscripts": "ij,jk->ik"}),
    ("einstein_sum", ((1, 3), (1, 4)), {"subscripts": "ij,ik->ijk"}),
    ("einstein_sum", ((3,), (1, 2, 3)), {"subscripts": "k,ijk->ij"}),
]
CASES: list[Case] = [*test_ops.CASES, *(case for case in MORE if case not in test_ops.CASES)]


def check_value(case: Case) -> None:
    """The op's NumPy text gives what its name says."""
    node, _, arrays = test_ops._node(case)
    expected = second_opinion(case[0], *arrays, **node.settings)
    np.testing.assert_allclose(node.value, expected, rtol=2e-13, atol=2e-13)


def check_pullback(case: Case, seed: int) -> None:
    """A gradient pulled back through this op alone is that of differences.

    Summing the result first, as other tests do, would use the slope of `sum` twice.
    """
    node, _, arrays = test_ops._node(case, seed=seed)
    places = [k for k, a in enumerate(arrays) if a.dtype.kind == "f"]

    def function(*moving: Any) -> Node:
        full: list[Any] = list(map(lift, arrays))
        for k, x in zip(places, moving, strict=True):
            full[k] = lift(x)
        return build(node.op, tuple(full), node.attrs)  # type: ignore[arg-type]

    y, pull = vjp(function, *(arrays[k] for k in places))
    w = _spread(np.shape(y))
    slopes = pull(w)
    slopes = slopes if len(places) > 1 else [slopes]
    moving = [arrays[k] for k in places]
    for k, slope in enumerate(slopes):
        expected = test_ops._differences(lambda xs: (function(*xs).value * w).sum(), moving, k)
        np.testing.assert_allclose(slope, expected, rtol=1e-6, atol=1e-7)


# -- ops whose operands cannot be sampled ----------------------------------------------------------


def _spread(shape: tuple[int, ...]) -> Any:
    return np.cos(np.arange(math.prod(shape)) + 0.5).reshape(shape)


ROWS = np.array([[0, 2, 2], [1, 1, 0]])


def check_gather() -> None:
    """Picking by positions and adding up are each other's slopes; a position may occur twice."""
    x, k = np.arange(12.0).reshape(4, 3) ** 1.5, np.array([3, 0, 3, 1])
    leaf = pc.value(x, "x")
    got = leaf[k]
    np.testing.assert_array_equal(got.value, np.array([x[j] for j in k]))
    w = _spread((4, 3))
    expected = np.zeros_like(x)
    for row, j in enumerate(k):
        expected[j] += w[row]
    slope = pc.grad(pc.sum(got * w), leaf)
    np.testing.assert_allclose(slope.value, expected, rtol=1e-14)
    _check_slope_of_slope(lambda v: v[k], x)


def check_along() -> None:
    """The same for positions of each row."""
    x = np.arange(1.0, 9.0).reshape(2, 4) ** 1.5
    leaf, w = pc.value(x, "x"), _spread((2, 3))
    got = pc.take_along_axis(leaf, ROWS, 1)
    np.testing.assert_array_equal(got.value, [[x[i, j] for j in r] for i, r in enumerate(ROWS)])
    expected = np.zeros_like(x)
    for i, j in np.ndindex(2, 3):
        expected[i, ROWS[i, j]] += w[i, j]
    np.testing.assert_allclose(pc.grad(pc.sum(got * w), leaf).value, expected, rtol=1e-14)
    _check_slope_of_slope(lambda v: pc.take_along_axis(v, ROWS, 1), x)


def _check_slope_of_slope(pick: Any, x: Any) -> None:
    """f = Σ w pick(x)³ has the slope S, and Σ v S² the slope 2 v S ∂S: by the elements picked."""
    leaf = pc.value(x, "x")
    w, v = _spread(np.shape(pick(x))), _spread(x.shape)
    weights = pc.grad(pc.sum(pick(leaf) * w), leaf).value  # checked before this one
    slope = pc.grad(pc.sum(w * pick(leaf) ** 3), leaf)
    np.testing.assert_allclose(slope.value, 3 * weights * x**2, rtol=1e-12)
    second = pc.grad(pc.sum(v * slope**2), leaf)
    np.testing.assert_allclose(second.value, 36 * v * weights**2 * x**3, rtol=1e-12)


def check_dim() -> None:
    """A size in a formula is the size of the data."""
    assert evaluate([lift(symbol("n") + 2)], sizes={"n": 5}) == [7]


def check_custom() -> None:
    """A reader's rule is taken as it is, though it be wrong."""
    f = pc.custom_gradient(lambda g, y, a, b: (3 * g * b, 5 * g * y))(lambda a, b: a * b + a)
    a, b = pc.value(_spread((2, 2)), "a"), pc.value(2 + _spread((2, 2)), "b")
    y, w = f(a, b), np.arange(4.0).reshape(2, 2)
    np.testing.assert_allclose(y.value, a.value * b.value + a.value, rtol=1e-13)
    got = pc.grad(pc.sum(y * w), [a, b])
    np.testing.assert_allclose(got[0].value, 3 * w * b.value)
    np.testing.assert_allclose(got[1].value, 5 * w * y.value)


def check_cast() -> None:
    """A gradient goes through a change of precision unchanged, in its leaf's dtype."""
    x, w = pc.value(_spread((2, 3)), "x"), np.arange(6.0, dtype="float32").reshape(2, 3)
    slope = pc.grad(pc.sum(x.astype("float32") * w), x)
    assert slope.dtype == np.float64
    np.testing.assert_array_equal(slope.value, w)


def check_shares() -> None:
    """Shares pass every gradient on."""
    x, w = pc.value(_spread((2, 3)), "x"), np.arange(6.0).reshape(2, 3)
    slope = pc.grad(pc.sum(build(OPS["shares"], (x,)) * w), x)
    np.testing.assert_array_equal(slope.value, w)


def check_clip() -> None:
    """On its bounds clip is x, so x has the slope; a bound has it beyond only."""
    x = pc.value([-1.0, 0.0, 1.0, 2.0], "x")
    low, high = pc.value(np.full(4, -1.0), "low"), pc.value(np.full(4, 1.0), "high")
    got = pc.grad(pc.sum(pc.clip(x, low, high)), [x, low, high])
    np.testing.assert_array_equal([s.value for s in got], [[1, 1, 1, 0], [0] * 4, [0, 0, 0, 1]])


def check_far_out() -> None:
    """A bell is flat where x is infinite, not 0 times infinity."""
    for bell in ("normal_pdf", "gaussian"):
        x = pc.value([math.inf, -math.inf], "x")
        assert np.array_equal(pc.grad(pc.sum(build(OPS[bell], (x,))), x).value, [0, 0])


def check_ties() -> None:
    """Comparisons of numbers that are equal here and there."""
    x, y = np.array([[1.0, 2.0], [3.0, 5.0]]), np.array([[1.0, 3.0], [2.0, 5.0]])
    for name in ("equal", "not_equal", "less", "less_equal", "greater", "greater_equal"):
        got = build(OPS[name], (lift(x), lift(y))).value
        np.testing.assert_array_equal(got, second_opinion(name, x, y))


def check_negative_leak() -> None:
    """A leak may be negative."""
    got = pc.grad(lambda x: pc.sum(pc.leaky_relu(x, -0.5)))(np.array([-2.0, 3.0]))
    np.testing.assert_array_equal(got, [-0.5, 1])


ALONE: dict[str, list[Check]] = {
    "gather": [check_gather], "scatter": [check_gather], "picked_along_axis": [check_along],
    "add_along_axis": [check_along], "dim": [check_dim], "custom": [check_custom],
    "astype": [check_cast], "shares": [check_shares],
    "clip": [check_clip], "normal_pdf": [check_far_out], "gaussian": [check_far_out],
    "leaky_relu": [check_negative_leak], "equal": [check_ties], "not_equal": [check_ties],
}  # fmt: skip


def op_checks(name: str) -> Iterator[Check]:
    """Yield every check of one op, the quick ones first."""
    yield from ALONE.get(name, [])
    cases = [case for case in CASES if case[0] == name]
    bent = [case for case in cases if test_ops._differentiable(case)]
    yield from (partial(check_value, case) for case in cases)
    for seed in (4, 5):
        yield from (partial(check_pullback, case, seed) for case in bent)
    yield from (partial(test_ops.test_slope_of_the_slope, case) for case in bent)
    if OPS[name].same_as:
        yield from (partial(test_ops.test_same_as_is_the_same, case) for case in bent)
    numpys = test_ops.test_shape_and_dtype_rules_are_numpys
    yield from (partial(numpys, case, "float64") for case in cases)


# -- rules -----------------------------------------------------------------------------------------


def holes_of(rule: Rule, dtype: str = "float64") -> list[Node]:
    """Return sampled leaves for a rule's holes, or constants, as its condition wants them."""
    rng = np.random.default_rng([7, *rule.name.encode()])
    shapes = rule.shapes or [(2, 3)] * len(rule.holes)
    arrays = []
    for k, shape in enumerate(shapes):
        low, high = rule.domain[min(k, len(rule.domain) - 1)]
        arrays.append(np.asarray(rng.uniform(low, high, shape), dtype))
    leaves = [pc.value(a, h.name) for a, h in zip(arrays, rule.holes, strict=True)]
    if rule.when is None:
        return leaves
    fixed = [constant(a.dtype.type(a.flat[0])) for a in arrays]
    for choice in itertools.product(*zip(leaves, fixed, strict=True)):
        if rule.when(*choice, **rule.settings):
            return list(choice)
    raise AssertionError(f"nothing satisfies the condition of {rule.name!r}")


def check_sides(rule: Rule) -> None:
    """Both sides are equal, in value and in slope, to 1e-12."""
    holes = holes_of(rule)
    left, right = map(lift, rule.sides(*holes, **rule.settings))
    assert (left.shape, left.dtype) == (right.shape, right.dtype)
    np.testing.assert_allclose(right.value, left.value, rtol=1e-12, atol=1e-13)
    moving = [h for h in holes if not h.is_constant]
    weights = _spread(left.shape)
    ours, theirs = (pc.grad(pc.sum(side * weights), moving) for side in (right, left))
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one.value, other.value, rtol=1e-12, atol=1e-13)


def check_fires(rule: Rule) -> None:
    """The left side is recognized, and becomes the right side."""
    holes = holes_of(rule)
    left, right = map(lift, rule.sides(*holes, **rule.settings))
    got = rule.apply(left)
    assert got is not None
    np.testing.assert_array_equal(got.value, right.value)
    done = rewrite([left], [rule])
    assert done.steps
    assert done.steps[0].rule is rule
    np.testing.assert_allclose(done.outputs[0].value, left.value, rtol=1e-12, atol=1e-13)


def rule_checks(name: str) -> Iterator[Check]:
    """Yield every check of one rule."""
    rule = next(r for r in RULES if r.name == name)
    yield partial(check_sides, rule)
    yield partial(check_fires, rule)


# -- folds -----------------------------------------------------------------------------------------

X = pc.value(_spread((2, 3)), "x")
C = pc.value(1.5, "c")
WIDE = pc.broadcast_to(C, (2, 3))
FOLDED: dict[str, tuple[Node, Node]] = {  # by fold: a node that it changes, and what becomes of it
    "constant folding": (lift(np.float64(2)) * np.float64(3), lift(np.float64(6))),
    "implicit broadcast": (X + pc.broadcast_to(C, (2, 3)), X + C),
    "one computation for all copies": (pc.exp(WIDE), pc.broadcast_to(pc.exp(C), (2, 3))),
    "view of a copied number": (WIDE.T, pc.broadcast_to(C, (3, 2))),
    "reshape of a reshape": (X.reshape(1, 6).reshape(3, 2), X.reshape(3, 2)),
    "shares sum to 1": (
        pc.sum(build(OPS["shares"], (X,)), 1), lift(np.ones(2))
    ),
    "a choice already made": (pc.where(lift(np.bool_(False)), X, WIDE), WIDE),
    "places fall away": (pc.named(X, "q"), X),
}  # fmt: skip


def check_fold(fold: Fold) -> None:
    """The fold changes its example, and the value is what it should be."""
    before, after = FOLDED[fold.name]
    got = fold.apply(before)
    assert got is not None
    assert (got.shape, got.dtype) == (before.shape, before.dtype)
    np.testing.assert_array_equal(got.value, after.value)
    assert fold.apply(build(OPS["matmul"], (X, X.T))) is None


def fold_checks(name: str) -> Iterator[Check]:
    """Yield every check of one fold."""
    yield partial(check_fold, next(f for f in FOLDS if f.name == name))
