"""Contracts of every op: what its entry says is what NumPy gives, and its slopes are the slopes.

Each op is tried on each of its `examples`, on its own domain, in float64 and float32.
"""

from __future__ import annotations

import re

import numpy as np
import pytest

import pellucid as pc
import pellucid.rules
from pellucid import text
from pellucid.graph import FUNCTIONS, build, evaluate, lift
from pellucid.op import OPS, expression, scope

FLAT = {  # constant between their jumps, or about truths, positions and sizes
    "sign",
    "floor",
    "ceil",
    "rint",
    "trunc",
    "floor_divide",
    "greater",
    "greater_equal",
    "less",
    "less_equal",
    "equal",
    "not_equal",
    "logical_and",
    "logical_or",
    "logical_xor",
    "logical_not",
    "isnan",
    "isinf",
    "isfinite",
    "argmax",
    "argmin",
    "argsort",
    "all",
    "any",
    "stop_gradient",
    "wins",
}
TRUTHS = {
    "where": (0,),
    "logical_and": (0, 1),
    "logical_or": (0, 1),
    "logical_xor": (0, 1),
    "logical_not": (0,),
    "all": (0,),
    "any": (0,),
}
SPECIAL = {"dim", "custom", "gather", "scatter", "picked_along_axis", "add_along_axis"}
ELEMENTWISE = [name for name, op in OPS.items() if op.kind == "map"]
BROADCASTS = [
    [(2, 3), (2, 3)],
    [(2, 3), (3,)],
    [(2, 1), (1, 3)],
    [(), (2, 3)],
    [(3,), ()],
    [(), ()],
]


def _cases():
    for name, op in OPS.items():
        if name in SPECIAL:
            continue
        for example in op.examples:
            shapes = example.get("shapes") or [(2, 3)] * len(op.operands)
            if len(shapes) < len(op.operands):
                shapes = shapes * len(op.operands)
            yield name, tuple(shapes), {k: v for k, v in example.items() if k != "shapes"}
        if op.kind == "map" and len(op.operands) > 1 and "shapes" not in op.examples[0]:
            for left, right in BROADCASTS:
                shapes = (left, right, (2, 3))[: len(op.operands)]
                yield name, shapes, {}
        elif op.kind == "map" and "shapes" not in op.examples[0]:
            yield from (
                (name, (shape,), dict(op.examples[0])) for shape in [(), (0,), (1,), (2, 1, 2)]
            )


CASES = list(_cases())


def _id(case):
    name, shapes, settings = case
    words = [f"{k}={v}" for k, v in settings.items()]
    return f"{name}-{'-'.join(str(s).replace(' ', '') for s in shapes)}{'-'.join(['', *words])}"


every_case = pytest.mark.parametrize("case", CASES, ids=map(_id, CASES))


def _sample(name, shapes, dtype, seed=0):
    rng = np.random.default_rng([seed, *name.encode()])
    op, arrays = OPS[name], []
    for k, shape in enumerate(shapes):
        low, high = op.domain_of(k)
        array = np.asarray(rng.uniform(low, high, shape), dtype)
        arrays.append(array > (low + high) / 2 if k in TRUTHS.get(name, ()) else array)
    return arrays


def _attrs(op, settings):
    from pellucid.ops.core import _defaults

    full = _defaults(op) | settings
    if "axis" in full and op.kind != "opaque":
        full["axis"] = pc.ops.core.normal_axis(full["axis"], 2)
    return tuple(full.items())


def _node(case, dtype="float64", seed=0, arrays=None):
    name, shapes, settings = case
    arrays = _sample(name, shapes, dtype, seed) if arrays is None else arrays
    leaves = [pc.value(a, f"x{k}") for k, a in enumerate(arrays)]
    return build(OPS[name], tuple(leaves), _attrs(OPS[name], settings)), leaves, arrays


@every_case
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_shape_and_dtype_rules_are_numpys(case, dtype):
    node, leaves, arrays = _node(case, dtype)
    got = evaluate([node])[0]
    assert np.shape(got) == node.shape
    assert np.asarray(got).dtype == node.dtype
    assert all(np.array_equal(leaf.value, a) for leaf, a in zip(leaves, arrays, strict=True))


@every_case
def test_printed_expression_gives_the_same(case):
    node, _, arrays = _node(case)
    names = [f"x{k}" for k in range(len(arrays))]
    tree = expression(node.op, node.attrs, [text.name(n) for n in names])
    known = scope(text.names(tree)) | dict(zip(names, arrays, strict=True))
    with np.errstate(all="ignore"):
        got = eval(text.unparse(tree), known)
    np.testing.assert_array_equal(got, node.value)


def _moving(leaves):
    return [leaf for leaf in leaves if leaf.dtype.kind == "f"]


def _weighted(node):
    return pc.sum(node * np.cos(np.arange(node.size) + 0.5).reshape(node.shape))


def _slopes(case, arrays):
    node, leaves, _ = _node(case, arrays=arrays)
    return pc.grad(_weighted(node), _moving(leaves)), _moving(leaves)


def _differences(function, arrays, k, h=1e-6):
    """The slope of a function of arrays in every element of the k-th, by central differences."""
    slope = np.zeros_like(arrays[k])
    for spot in np.ndindex(arrays[k].shape):
        ends = []
        for step in (h, -h):
            moved = arrays[k].copy()
            moved[spot] += step
            ends.append(function([*arrays[:k], moved, *arrays[k + 1 :]]))
        slope[spot] = (ends[0] - ends[1]) / (2 * h)
    return slope


def _differentiable(case):
    name = case[0]
    node, leaves, _ = _node(case)
    return (
        name not in FLAT and name != "astype" and node.dtype.kind == "f" and bool(_moving(leaves))
    )


SMOOTH = [case for case in CASES if _differentiable(case)]
smooth = pytest.mark.parametrize("case", SMOOTH, ids=map(_id, SMOOTH))


@smooth
def test_every_slope_is_that_of_differences(case):
    arrays = _sample(*case[:2], "float64")
    slopes, moving = _slopes(case, arrays)
    places = [k for k, a in enumerate(arrays) if a.dtype.kind == "f"]
    for k, slope, leaf in zip(places, slopes, moving, strict=True):
        assert (slope.shape, slope.dtype) == (leaf.shape, leaf.dtype)

        def total(xs):
            return float(_weighted(_node(case, arrays=xs)[0]).value)

        np.testing.assert_allclose(
            slope.value, _differences(total, arrays, k), rtol=1e-6, atol=1e-7
        )


@smooth
def test_slope_along_a_direction(case):
    arrays = _sample(*case[:2], "float64", seed=1)
    slopes, _ = _slopes(case, arrays)
    rng = np.random.default_rng(2)
    along = [np.asarray(rng.normal(size=a.shape)) if a.dtype.kind == "f" else 0 for a in arrays]
    ends = []
    for h in (1e-6, -1e-6):
        moved = [
            a + h * d if a.dtype.kind == "f" else a for a, d in zip(arrays, along, strict=True)
        ]
        ends.append(float(_weighted(_node(case, arrays=moved)[0]).value))
    directions = [d for d, a in zip(along, arrays, strict=True) if a.dtype.kind == "f"]
    got = sum((s.value * d).sum() for s, d in zip(slopes, directions, strict=True))
    assert got == pytest.approx((ends[0] - ends[1]) / 2e-6, rel=1e-6, abs=1e-7)


@smooth
def test_slope_of_the_slope(case):
    arrays = _sample(*case[:2], "float64", seed=3)

    def first(xs):
        slopes, _ = _slopes(case, xs)
        return sum((_weighted(s * s) for s in slopes), start=pc.value(0.0, "zero"))

    node_slopes, moving = _slopes(case, arrays)
    total = sum((_weighted(s * s) for s in node_slopes), start=pc.value(0.0, "zero"))
    seconds = pc.grad(total, moving)
    places = [k for k, a in enumerate(arrays) if a.dtype.kind == "f"]
    for k, second in zip(places, seconds, strict=True):
        expected = _differences(lambda xs: float(first(xs).value), arrays, k)
        np.testing.assert_allclose(second.value, expected, rtol=2e-6, atol=2e-6)


@smooth
@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_gradient_has_the_dtype_of_its_leaf(case, dtype):
    node, leaves, _ = _node(case, dtype)
    for slope, leaf in zip(pc.grad(pc.sum(node), _moving(leaves)), _moving(leaves), strict=True):
        assert (slope.shape, slope.dtype) == (leaf.shape, leaf.dtype)
        assert (slope.value.shape, slope.value.dtype) == (leaf.shape, leaf.dtype)


@pytest.mark.parametrize("case", [c for c in SMOOTH if OPS[c[0]].same_as], ids=_id)
def test_same_as_is_the_same(case):
    node, leaves, _ = _node(case)
    spelled = lift(OPS[case[0]].same_as(*leaves, **node.settings))
    assert spelled.shape == node.shape
    np.testing.assert_allclose(spelled.value, node.value, rtol=1e-12, atol=1e-12)
    pairs = zip(*(pc.grad(_weighted(n), _moving(leaves)) for n in (node, spelled)), strict=True)
    for one, other in pairs:
        np.testing.assert_allclose(one.value, other.value, rtol=1e-11, atol=1e-12)


@every_case
def test_asked_twice_it_answers_the_same(case):
    node, leaves, _ = _node(case)
    assert build(node.op, tuple(leaves), node.attrs) is node
    if case in SMOOTH:
        total = _weighted(node)
        once, again = (pc.grad(total, _moving(leaves)) for _ in range(2))
        assert all(np.array_equal(a.value, b.value) for a, b in zip(once, again, strict=True))
        if case[0] != "einstein_sum":  # whose slope may hold an array of ones, which is not shared
            assert all(a is b for a, b in zip(once, again, strict=True))


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_a_row_alone_is_the_row_of_the_batch(name):
    if name == "astype":
        return
    case = (name, ((40, 3),) * len(OPS[name].operands), {})
    node, _, arrays = _node(case)
    for k in (0, 17, 39):
        alone, _, _ = _node(case, arrays=[a[k : k + 1] for a in arrays])
        np.testing.assert_allclose(alone.value[0], node.value[k], rtol=1e-12)


@pytest.mark.parametrize("name", [n for n, op in OPS.items() if op.commutes])
def test_what_commutes_commutes(name):
    _, _, (x, y) = _node((name, ((3, 4), (3, 4)), {}))
    function = FUNCTIONS[name]
    assert np.array_equal(function(x, y), function(y, x))


@pytest.mark.parametrize("name", [n for n, op in OPS.items() if op.monoid])
def test_a_reduction_folds_its_monoid(name):
    start, combine = OPS[name].monoid
    fold, both = FUNCTIONS[name], FUNCTIONS[combine]
    x = np.random.default_rng(0).uniform(0.5, 2, (5, 3))
    total = np.full(3, start)
    for row in x:
        total = both(total, row)
    np.testing.assert_allclose(fold(x, axis=0), total, rtol=1e-14)
    assert np.array_equal(both(start, x), x) or combine.startswith("logical")


@pytest.mark.parametrize("name", OPS)
def test_an_entry_is_complete(name):
    op = OPS[name]
    assert op.says
    assert op.says[0].islower() or not op.says[0].isalpha() or op.says[:2].isupper(), op.says
    assert not op.says.endswith(".")
    for operand in op.operands:
        if operand != "*indices" and op.kind != "scatter" and name != "custom":
            assert re.search(rf"\${operand.lstrip('*')}(?![A-Za-z])", op.formula), operand
    assert op.formula.count("{") == op.formula.count("}")
    slopes = op.vjp
    if isinstance(slopes, tuple):
        assert len(slopes) == len(op.operands)
    if name not in FLAT and op.kind not in ("dim", "index"):
        assert slopes is not None
        assert callable(slopes) or any(slopes), "flat ops are named in FLAT"
    else:
        assert slopes is None or not any(slopes)


def test_every_public_function_says_what_it_does():
    for name in pc.ops.__all__:
        function = getattr(pc, name)
        assert function.__name__ == name or FUNCTIONS[name] is function
        assert (function.__doc__ or "").strip(), name


@pytest.mark.parametrize(
    "name",
    [
        "add",
        "exp",
        "matmul",
        "sum",
        "where",
        "concatenate",
        "getitem",
        "prod",
        "cumsum",
        "sort",
        "softmax",
    ],
)
def test_inputs_are_not_written_to(name):
    x = np.random.default_rng(0).normal(size=(3, 3))
    x.flags.writeable = False
    function = FUNCTIONS[name]
    args = {
        "add": (x, x),
        "matmul": (x, x),
        "where": (x > 0, x, x),
        "concatenate": ([x, x],),
        "getitem": (x, 0),
    }.get(name, (x,))
    function(*args)


# -- ops whose operands are positions ------------------------------------------------------------


@pytest.mark.parametrize(
    "shape, k, axis", [((4, 3), [[0, 2, 2], [1, 1, 0]], 1), ((4,), [1, 1, 3], 0)]
)
def test_picking_along_an_axis_and_back(shape, k, axis):
    x = np.random.default_rng(0).normal(size=shape)
    k = np.array(k) if len(shape) == 1 else np.vstack([k, k])
    leaf = pc.value(x, "x")
    got = pc.take_along_axis(leaf, k, axis)
    weights = np.cos(np.arange(k.size)).reshape(k.shape)
    expected = np.zeros_like(x)
    for spot in np.ndindex(k.shape):
        place = list(spot)
        place[axis] = k[spot]
        expected[tuple(place)] += weights[spot]
    assert np.array_equal(got.value, np.take_along_axis(x, k, axis))
    np.testing.assert_allclose(pc.grad(pc.sum(got * weights), leaf).value, expected, rtol=1e-15)

    def slopes_squared(leaf):
        return pc.sum(pc.grad(pc.sum(pc.take_along_axis(leaf, k, axis) ** 3), leaf) ** 2)

    def total(arrays):
        return float(slopes_squared(pc.value(arrays[0], "x")).value)

    second = pc.grad(slopes_squared(leaf), leaf)
    np.testing.assert_allclose(second.value, _differences(total, [x], 0), rtol=1e-5, atol=1e-5)
