"""Derivatives: of functions and nodes, nested, through choices, and against a naive oracle."""

from __future__ import annotations

import gc
import threading
import weakref

import numpy as np
import oracle
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pellucid as pc
from pellucid import graph
from pellucid.errors import ArgumentError, DtypeError, ShapeError

RNG = np.random.default_rng(0)


# -- functions in, functions out -----------------------------------------------------------------


def test_grad_of_arrays_tuples_lists_and_dicts():
    W, b = RNG.normal(size=(3, 2)), RNG.normal(size=2)
    x = RNG.normal(size=(5, 3))
    loss = lambda W, b: np.sum(np.tanh(x @ W + b))  # noqa: E731
    dW, db = pc.grad(loss, argnums=(0, 1))(W, b)
    assert (type(dW), dW.shape, db.shape) == (np.ndarray, (3, 2), (2,))
    slope = 1 / np.cosh(x @ W + b) ** 2
    np.testing.assert_allclose(dW, x.T @ slope, rtol=1e-13)
    np.testing.assert_allclose(db, slope.sum(0), rtol=1e-13)
    as_dict = pc.grad(lambda p: loss(p["W"], p["b"]))({"W": W, "b": b})
    assert list(as_dict) == ["W", "b"]
    as_list = pc.grad(lambda p: loss(*p))([W, b])
    nested = pc.grad(lambda p: loss(p[0], p[1]["b"]))((W, {"b": b}))
    for got in (as_dict["W"], as_list[0], nested[0], pc.grad(loss)(W, b)):
        assert np.array_equal(got, dW)
    for got in (as_dict["b"], as_list[1], nested[1]["b"], pc.grad(loss, argnums=1)(W, b)):
        assert np.array_equal(got, db)
    assert isinstance(as_list, list)
    assert isinstance(nested, tuple)
    assert np.array_equal(pc.grad(loss, argnums=-1)(W, b), db)
    assert np.array_equal(pc.grad(loss)(W, b=b), dW)


def test_value_and_grad_vjp_jvp_jacobian_hessian():
    x = RNG.normal(size=4)
    M = RNG.normal(size=(3, 4))
    f = lambda x: M @ np.sin(x)  # noqa: E731
    J = M * np.cos(x)
    value, slope = pc.value_and_grad(lambda x: np.sum(f(x)))(x)
    assert value == np.sum(f(x))
    np.testing.assert_allclose(slope, J.sum(0), rtol=1e-14)
    np.testing.assert_allclose(pc.jacobian(f)(x), J, rtol=1e-14)
    u, v = RNG.normal(size=3), RNG.normal(size=4)
    out, pushed = pc.jvp(f, [x], [v])
    np.testing.assert_allclose(out, f(x))
    np.testing.assert_allclose(pushed, J @ v, rtol=1e-13)
    out, pull = pc.vjp(f, x)
    np.testing.assert_allclose(out, f(x))
    pulled = pull(u)
    np.testing.assert_allclose(np.ravel(pulled), u @ J, rtol=1e-13)
    np.testing.assert_allclose(
        pc.hessian(lambda x: np.sum(np.sin(x)) ** 2)(x),
        2 * np.outer(np.cos(x), np.cos(x)) - 2 * np.sum(np.sin(x)) * np.diag(np.sin(x)),
        rtol=1e-12,
    )


def test_jacobian_of_a_matrix_by_a_matrix():
    X = RNG.normal(size=(2, 3))
    J = pc.jacobian(lambda X: X.T)(X)
    assert J.shape == (3, 2, 2, 3)
    for i, j in np.ndindex(3, 2):
        expected = np.zeros((2, 3))
        expected[j, i] = 1
        assert np.array_equal(J[i, j], expected)
    assert pc.jacobian(np.sum)(X).shape == (2, 3)
    assert pc.jacobian(lambda x: x[:0])(np.ones(3)).shape == (0, 3)


def test_hessian_of_two_arguments():
    x, y = RNG.normal(size=2), RNG.normal(size=2)
    (xx, xy), (yx, yy) = pc.hessian(lambda x, y: np.sum(x**2 * y), argnums=(0, 1))(x, y)
    np.testing.assert_allclose(xx, np.diag(2 * y))
    np.testing.assert_allclose(xy, np.diag(2 * x))
    np.testing.assert_allclose(yx, np.diag(2 * x))
    np.testing.assert_allclose(yy, np.zeros((2, 2)))


def test_nested_grads_do_not_confuse_their_variables():
    inner = lambda x: pc.grad(lambda y: x * y)(1.0)  # noqa: E731
    assert pc.grad(lambda x: x * inner(x))(3.0) == 6.0
    assert pc.grad(lambda x: pc.grad(lambda y: x)(1.0) + x)(2.0) == 1.0
    assert pc.grad(lambda x: x * pc.grad(lambda x: x * x)(x))(3.0) == 12.0
    assert pc.grad(lambda x: pc.grad(lambda y: y * y * x)(x))(3.0) == 12.0  # d/dx 2x·x
    third = pc.grad(pc.grad(pc.grad(lambda x: x**4)))
    assert third(2.0) == 48.0


def test_a_function_of_a_node_gives_a_node():
    x = pc.value(2.0, "x")
    slope = pc.grad(lambda y: y**3)(x)
    assert isinstance(slope, graph.Node)
    assert slope.value == 12
    assert pc.grad(slope, x).value == 12


def test_grad_with_respect_to_what_is_inside():
    x = pc.value([1.0, 2.0], "x")
    inside = x * 3
    f = pc.sum(inside**2)
    assert np.array_equal(pc.grad(f, inside).value, [6, 12])
    assert np.array_equal(pc.grad(f, [x, inside])[1].value, [6, 12])
    assert pc.grad(f, f).value == 1


def test_diamonds_and_shared_parts():
    x = pc.value(1.5, "x")
    a = x * x
    f = a * a + a / a + (a - a)
    assert f.value == pytest.approx(1.5**4 + 1)
    assert pc.grad(f, x).value == pytest.approx(4 * 1.5**3)
    for _ in range(60):  # 2**60 paths
        a = a + a
    assert pc.grad(a, x).value == 2.0**60 * 3


def test_a_leaf_that_is_not_used_has_slope_zero():
    x, y = pc.value(np.ones((2, 3), np.float32), "x"), pc.value(2.0, "y")
    slope = pc.grad(y * y, x)
    assert (slope.shape, slope.dtype) == ((2, 3), np.float32)
    assert not slope.value.any()
    assert pc.grad(lambda x, y: y * 1.0, argnums=(0, 1))(np.ones(2), 3.0)[0].tolist() == [0, 0]
    assert pc.grad(lambda x: 3.0)(2.0) == 0


def test_what_cannot_be_differentiated_is_said():
    with pytest.raises(DtypeError, match="int64"):
        pc.grad(lambda x: np.sum(x))(np.array([1, 2]))
    with pytest.raises(DtypeError, match="bool"):
        pc.grad(pc.value(1.0, "x") * 2, pc.value(True, "b"))
    with pytest.raises(ShapeError, match=r"\(3,\)"):
        pc.grad(lambda x: x * 2)(np.ones(3))
    with pytest.raises(ArgumentError, match="with respect to what"):
        pc.grad(pc.value(1.0, "x"))
    with pytest.raises(ArgumentError, match="argnums"):
        pc.grad(np.sum, argnums=1)(np.ones(3))
    with pytest.raises(DtypeError, match="not float"):
        pc.grad(pc.value(1.0, "x") * 1, 1.0)
    assert pc.grad(lambda x: x * x)(3) == 6.0  # a plain Python integer is meant as a number


def test_integer_parts_stop_the_gradient():
    x = pc.value([1.2, 2.7], "x")
    k = x.astype(int)
    assert np.array_equal(pc.grad(pc.sum(x * k), x).value, [1, 2])
    assert np.array_equal(pc.grad(pc.sum(x * pc.stop_gradient(x)), x).value, [1.2, 2.7])
    assert not pc.grad(pc.sum(np.floor(x) + np.sign(x) + (x > 1) * 1.0), x).value.any()


def test_custom_gradient():
    @pc.custom_gradient(lambda g, y, a, b: (g * 10, None))
    def product(a, b):
        return a * b

    a, b = pc.value([1.0, 2.0], "a"), pc.value([3.0, 4.0], "b")
    assert np.array_equal(product(a, b).value, [3, 8])
    da, db = pc.grad(pc.sum(product(a, b)), [a, b])
    assert (da.value.tolist(), db.value.tolist()) == ([10, 10], [0, 0])
    assert product(2.0, 3.0) == 6.0
    assert pc.grad(pc.custom_gradient(lambda g, y, x: g * x)(lambda x: x**2))(3.0) == 3.0
    with pytest.raises(ArgumentError, match="2 gradients for 1"):
        pc.grad(pc.custom_gradient(lambda g, y, x: (g, g))(np.sin))(1.0)
    with pytest.raises(ShapeError, match="rule's gradient"):
        pc.grad(lambda x: np.sum(pc.custom_gradient(lambda g, y, x: np.sum(g))(np.sin)(x)))(
            np.ones(2)
        )


def test_the_gradient_is_asked_for_twice_and_is_the_same():
    x = pc.value(RNG.normal(size=(3, 3)), "x")
    f = np.sum(np.exp(x @ x) * np.tanh(x))
    assert pc.grad(f, x) is pc.grad(f, x)
    g = pc.grad(lambda x: np.sum(np.sin(x) ** 2))
    start = RNG.normal(size=4)
    assert np.array_equal(g(start), g(start))


# -- choices hide what they do not choose --------------------------------------------------------

HIDDEN = {
    "log": (lambda x: np.where(x > 0, np.log(x), 0.0), [0.0, -1.0, 2.0], [0, 0, 0.5]),
    "sqrt": (lambda x: np.where(x > 0, np.sqrt(x), 0.0), [0.0, -1.0, 4.0], [0, 0, 0.25]),
    "divide": (lambda x: np.where(x != 0, 1 / x, 0.0), [0.0, 2.0], [0, -0.25]),
    "power": (lambda x: np.where(x > 0, x**0.5, 0.0), [0.0, -2.0, 4.0], [0, 0, 0.25]),
    "power of itself": (lambda x: np.where(x > 0, x**x, 0.0), [0.0, -2.0, 1.0], [0, 0, 1]),
    "exp": (lambda x: np.where(x < 100, np.exp(x), 0.0), [1e4, 0.0], [0, 1]),
    "chain": (lambda x: np.where(x > 0, np.log(np.sqrt(x)) ** 2, 0.0), [0.0, -1.0, 1.0], [0, 0, 0]),
    "long chain": (
        lambda x: np.where(x > 0, np.exp(-1 / np.sqrt(np.abs(x) * 1.0)), 0.0),
        [0.0, 1.0],
        [0, 0.5 * np.exp(-1)],
    ),
    "nested": (
        lambda x: np.where(x > 0, np.where(x > 1, np.log(x - 1), x), np.sqrt(-x)),
        [0.5, 1.0, 3.0, -4.0],
        [1, 1, 0.5, -0.25],
    ),
    "other branch": (lambda x: np.where(x <= 0, 0.0, np.log(x)), [0.0, 4.0], [0, 0.25]),
    "a factor": (lambda x: np.where(x > 0, 3 * np.log(x) * x, 0.0), [0.0, 1.0], [0, 3]),
    "read twice": (
        lambda x: (lambda y: np.where(x > 0, y, 0.0) + np.where(x > 0, y * y, 0.0))(np.log(x)),
        [0.0, 1.0],
        [0, 1],
    ),
    "mask": (lambda x: np.log(x[x > 0]), [0.0, -1.0, 2.0], [0, 0, 0.5]),
    "arctan2": (lambda x: np.where(x != 0, np.arctan2(x, x - x), 0.0), [0.0], [0]),
    "hypot": (lambda x: np.where(x != 0, np.hypot(x, 0.0), 0.0), [0.0, 3.0], [0, 1]),
    "summed": (lambda x: np.where(np.sum(x) > 0, np.log(np.sum(x)), 0.0), [0.0, 0.0], [0, 0]),
    "stretched": (lambda x: np.where(np.zeros((3, 2), bool), np.log(x), 0.0), [0.0, 1.0], [0, 0]),
    "stretched scalar": (
        lambda x: np.where(np.zeros(3, bool), np.sqrt(np.sum(x)), 0.0),
        [0.0, 0.0],
        [0, 0],
    ),
    "before a sum": (lambda x: np.where(x[0] > 0, np.sum(np.log(x)), 0.0), [0.0, 2.0], [0, 0]),
    "through T": (lambda x: np.where(x[None] > 0, np.log(x[:, None]).T, 0.0), [0.0, 2.0], [0, 0.5]),
    "through an index": (lambda x: np.where(x[:1] > 0, np.log(x)[:1], 0.0), [0.0, 2.0], [0, 0]),
    "through reshape": (
        lambda x: np.where(x.reshape(1, 2) > 0, np.log(x).reshape(1, 2), 0.0),
        [0.0, 1.0],
        [0, 1],
    ),
}


@pytest.mark.parametrize("name", HIDDEN)
def test_what_is_hidden_leaks_no_nan(name):
    function, at, expected = HIDDEN[name]
    got = pc.grad(lambda x: np.sum(function(x)))(np.array(at))
    np.testing.assert_allclose(got, expected, rtol=1e-14)


@pytest.mark.parametrize("name", [n for n in HIDDEN if n not in ("chain", "long chain")])
def test_nor_does_the_second_derivative(name):
    function, at, _ = HIDDEN[name]
    total = lambda x: np.sum(function(x))  # noqa: E731
    got = pc.grad(lambda x: np.sum(pc.grad(total)(x)))(np.array(at))
    assert np.isfinite(got).all()


# -- size ----------------------------------------------------------------------------------------


def test_a_chain_of_100_000_nodes():
    x = pc.value(1.0, "x")
    y = x
    for _ in range(100_000):
        y = y * 1.00001
    slope = pc.grad(y, x)
    assert slope.value == pytest.approx(1.00001**100_000)
    assert y.value == pytest.approx(float(slope.value))
    before = len(graph._table)
    del y, slope
    gc.collect()
    assert len(graph._table) < before - 190_000


def test_a_net_of_1000_layers():
    W = pc.value(np.eye(3) * 0.9999, "W")
    a = pc.value(np.ones((2, 3)), "X")
    for _ in range(1000):
        a = np.tanh(a @ W)
    slope = pc.grad(np.sum(a), W)
    assert np.isfinite(slope.value).all()


# -- the table of nodes --------------------------------------------------------------------------


def test_equal_calls_give_one_node():
    x, y = pc.value(1.0, "x"), pc.value(1.0, "y")
    assert x * 2 is x * 2
    assert pc.sum(x * y, axis=None) is pc.sum(x * y)
    assert x is not y
    assert x * y is not y * x
    assert x * 2 is not x * 2.0
    assert x * 1 is not x * True
    assert x * 0.0 is not x * -0.0
    assert x * np.float32(2) is not x * np.float64(2)
    assert x * 1 is not x * 1.0
    m = pc.value(np.ones((2, 2)), "m")
    assert pc.sum(m, axis=-1) is pc.sum(m, axis=1)
    assert np.array_equal((m[True]).value, np.ones((1, 2, 2)))
    assert m[1].shape == (2,)
    assert np.signbit((pc.value(0.0, "z") * -0.0).value)
    assert pc.leaky_relu(m, alpha=0.0) is not pc.leaky_relu(m, alpha=-0.0)


def test_nodes_that_nobody_holds_go():
    x = pc.value(np.ones(3), "x")
    node = np.exp(x) + 1
    ref = weakref.ref(node)
    before = len(graph._table)
    for k in range(200):
        pc.grad(np.sum(np.sin(x * (k + 0.5))), x)
    gc.collect()
    assert len(graph._table) <= before + 2
    del node
    gc.collect()
    assert ref() is None


def test_threads_agree_on_one_node():
    x = pc.value(1.0, "x")
    found: list[list[int]] = []
    start = threading.Barrier(8)
    keep = []

    def work():
        start.wait()
        y, mine = x, []
        for k in range(300):
            y = np.sin(y) * (k + 0.25)
            mine.append(id(y))
            keep.append(y)
        found.append(mine)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(mine == found[0] for mine in found)


def test_leaf_arrays_are_copied_and_read_only():
    data = np.ones(3)
    x = pc.value(data, "x")
    data[0] = 7
    assert x.value[0] == 1
    with pytest.raises(ValueError, match="read-only"):
        x.value[0] = 2
    y = x * 1.5
    assert y.value is y.value
    constant = np.arange(3.0)
    z = x + constant
    constant[:] = 9
    assert z.value.tolist() == [1, 2, 3]


@pytest.mark.parametrize("name", ["for", "1x", "np", "print", "", "a b", "x;y", "n"])
def test_a_name_that_cannot_be_printed_is_refused(name):
    with pytest.raises(ArgumentError):
        pc.value(1.0, name)


@pytest.mark.parametrize(
    "data", ["a", [1, "a"], [[1], [1, 2]], 1j, object(), None, np.array("2020", "M8")]
)
def test_data_that_is_no_number_is_refused(data):
    with pytest.raises(DtypeError):
        pc.value(data, "x")
    with pytest.raises(DtypeError):
        pc.exp(data)


# -- random graphs against the oracle ------------------------------------------------------------

UNARY = ["tanh", "sin", "square", "negative", "sigmoid", "softplus", "relu", "absolute"]
BINARY = ["add", "subtract", "multiply", "maximum", "minimum"]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                *UNARY,
                *BINARY,
                "matmul",
                "sum_rows",
                "prod_columns",
                "softmax",
                "safe_divide",
                "safe_log",
                "safe_sqrt",
                "exp_tanh",
            ]
        ),
        st.integers(0, 99),
        st.integers(0, 99),
    ),
    min_size=1,
    max_size=12,
)
OURS = {
    "matmul": lambda a, b: pc.tanh(a) @ pc.tanh(b).T,
    "sum_rows": lambda a: np.sum(a, axis=0, keepdims=True),
    "prod_columns": lambda a: np.prod(a, axis=1, keepdims=True),
    "softmax": lambda a: pc.softmax(pc.tanh(a)),
    "safe_divide": lambda a, b: a / (b * b + 1),
    "safe_log": lambda a: np.log(a * a + 1),
    "safe_sqrt": lambda a: np.sqrt(a * a + 1),
    "exp_tanh": lambda a: np.exp(np.tanh(a)),
}
ONE = oracle.Dual(1.0)


def _plus_one(a):
    return oracle.each(lambda x: oracle.add(oracle.square(x), ONE), a)


THEIRS = {
    "matmul": lambda a, b: oracle.matmul(
        oracle.each(oracle.tanh, a), oracle.transpose(oracle.each(oracle.tanh, b))
    ),
    "sum_rows": oracle.sum_rows,
    "prod_columns": oracle.prod_columns,
    "softmax": lambda a: oracle.softmax(oracle.each(oracle.tanh, a)),
    "safe_divide": lambda a, b: oracle.each(oracle.divide, a, _plus_one(b)),
    "safe_log": lambda a: oracle.each(oracle.log, _plus_one(a)),
    "safe_sqrt": lambda a: oracle.each(oracle.sqrt, _plus_one(a)),
    "exp_tanh": lambda a: oracle.each(lambda x: oracle.exp(oracle.tanh(x)), a),
}


def _grown(leaves, steps, ours):
    """Grow a graph, each step reading what is there; the same for nodes and for the oracle."""
    pool = list(leaves)
    for name, i, j in steps:
        a, b = pool[i % len(pool)], pool[j % len(pool)]
        table = OURS if ours else THEIRS
        two = name in BINARY or name in ("matmul", "safe_divide")
        wide = a.shape[1] == b.shape[1] if ours else len(a[0]) == len(b[0])
        if name == "matmul" and not wide:
            continue
        if name in table:
            made = table[name](a, b) if two else table[name](a)
        elif ours:
            made = getattr(pc, name)(*(a, b) if two else (a,))
        else:
            made = oracle.each(getattr(oracle, name), *(a, b) if two else (a,))
        pool.append(np.sin(made) if ours else oracle.each(oracle.sin, made))  # keeps numbers small
    return pool


@settings(max_examples=150, deadline=None)
@given(STEPS, st.integers(0, 2**31))
def test_random_graphs_agree_with_the_oracle(steps, seed):
    rng = np.random.default_rng(seed)
    arrays = [rng.uniform(-2, 2, s) for s in [(3, 3), (1, 3), (3, 1), (1, 1)]]
    along = [rng.uniform(-1, 1, a.shape) for a in arrays]
    leaves = [pc.value(a, f"x{k}") for k, a in enumerate(arrays)]
    total = sum((pc.sum(p) for p in _grown(leaves, steps, ours=True)[4:]), start=pc.sum(leaves[0]))
    slopes = pc.grad(total, leaves)
    got = sum(float((s.value * d).sum()) for s, d in zip(slopes, along, strict=True))

    duals = [
        [
            [oracle.Dual(v, d) for v, d in zip(*rows, strict=True)]
            for rows in zip(a.tolist(), d.tolist(), strict=True)
        ]
        for a, d in zip(arrays, along, strict=True)
    ]
    sums = [oracle.sum_all(p)[0][0] for p in _grown(duals, steps, ours=False)[4:]]
    expected = oracle.fold(oracle.add, [oracle.sum_all(duals[0])[0][0], *sums])
    assert float(total.value) == pytest.approx(expected.v, rel=1e-10, abs=1e-10)
    assert got == pytest.approx(expected.d, rel=1e-9, abs=1e-9)


def test_a_result_that_stands_twice_counts_twice():
    _, pull = pc.vjp(lambda x: (x * x, x * x), 3.0)
    assert pull((1.0, 10.0)) == 66.0
    assert pc.jvp(lambda x: (x * x, x * x), [3.0], [1.0])[1] == (6.0, 6.0)
    assert pc.jvp(lambda a, b: a + b, [1.0, 2.0], [1.0, 1.0])[1] == 2.0


def test_seeds_and_directions_go_by_key_and_shape():
    both = lambda d: d["a"] * 100 + d["b"]  # noqa: E731
    assert pc.jvp(both, [{"a": 1.0, "b": 2.0}], [{"b": 1.0, "a": 0.0}])[1] == 1.0
    _, pull = pc.vjp(lambda x: {"b": x, "a": 2 * x}, 1.0)
    assert pull({"a": 1.0, "b": 0.0}) == 2.0
    with pytest.raises(pc.ArgumentError, match="other keys"):
        pull({"q": 1.0, "z": 0.0})
    with pytest.raises(pc.ShapeError, match="the direction is"):
        pc.jvp(lambda x: x * 2.0, [np.ones(3)], [np.ones((3, 1))])
    with pytest.raises(pc.ArgumentError, match="needs 1 parts"):
        pc.jvp(lambda x: x * x, [np.ones(3)], [np.ones(3)] * 2)


STRUCTURED = {
    "dot": lambda x: pc.where(False, pc.dot(pc.log(x), pc.log(x)), pc.sum(x)),
    "cumprod": lambda x: pc.where(False, pc.sum(pc.cumprod(1 / x)), pc.sum(x)),
    "concatenate": lambda x: pc.where(False, pc.sum(pc.concatenate([1 / x, x])), pc.sum(x)),
    "log_softmax": lambda x: pc.where(False, pc.sum(pc.log_softmax(1 / x)), pc.sum(x)),
    "outer": lambda x: pc.where(False, pc.sum(pc.outer(1 / x, 1 / x) @ (1 / x)), pc.sum(x)),
    "stack": lambda x: pc.sum(pc.where(x > 0, pc.stack([pc.log(x)])[0], 0)) + x[0],
    "einsum": lambda x: pc.sum(pc.where(x > 0, pc.einsum("i->i", pc.log(x)), 0)) + x[0],
    "mask": lambda x: pc.sum(pc.log(x)[np.array([False, True])]) + x[0],
    "slice": lambda x: pc.sum(pc.log(x)[1:]) + x[0],
    "index": lambda x: pc.log(x)[1] + x[0],
    "take": lambda x: pc.sum(pc.take(pc.log(x), [1])) + x[0],
    "split": lambda x: pc.sum(pc.split(pc.log(x), 2)[1]) + x[0],
    "sort": lambda x: pc.sum(pc.sort(pc.log(x))[1:]) + x[0],
}


@pytest.mark.parametrize("name", STRUCTURED)
def test_what_is_not_chosen_leaks_no_nan_through_any_kind_of_op(name):
    np.testing.assert_array_equal(pc.grad(STRUCTURED[name])(np.array([0.0, 1.0])), [1.0, 1.0])


def test_a_node_is_its_own_copy_and_refuses_to_be_written_to():
    import copy

    x = pc.value([1.0, 2.0], "x")
    assert copy.copy(x) is x
    assert copy.deepcopy((x, x * x))[1] is x * x
    with pytest.raises(pc.TraceError, match="nodes never change"):
        x[0] = 5.0
