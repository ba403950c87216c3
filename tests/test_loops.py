"""Printed loops compute what the graph says: every op, every view, any order of statements.

Most programs run as plain Python, which is quick and shows the text itself to be right; some are
compiled, many in one unit, which shows that the compiler takes them and gives the same.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import contracts
import numpy as np
import pytest
import test_ops

import pellucid as pc
from pellucid import dims, jit, ops
from pellucid.dims import Dim, symbol
from pellucid.errors import PellucidError
from pellucid.graph import Node, build, evaluate, lift, symbolic
from pellucid.op import OPS
from pellucid.show import library
from pellucid.show.loops import Looped, looped
from pellucid.show.lower import SMALL, NotLoops
from pellucid.show.naming import safe

N = symbol("n")
COMPILES = pytest.mark.skipif(bool(jit.available()), reason=jit.available() or "it can")

# -- running what is printed -----------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Job:
    """A printed function, and the nodes that it should give."""

    function: Looped
    leaves: Sequence[Node]
    wanted: Mapping[str, Node]


def job(leaves: Sequence[Node], name: str = "f", stores: Any = None, **wanted: Node) -> Job:
    """Print nodes by name: numbers are returned, arrays filled; `stores` overwrite inputs."""
    numbers = {k: v for k, v in wanted.items() if not v.ndim}
    arrays = {k: v for k, v in wanted.items() if v.ndim}
    function = looped(name, leaves, numbers, arrays, stores or {})
    return Job(function, leaves, {**wanted, **(stores or {})})


def text_of(functions: Sequence[Looped], main: str = "") -> str:
    used = [name for f in functions for name in f.uses]
    parts = [library.functions()[name] for name in library.needed(used)]
    parts += ["@loops(noalias=True)\n" + "\n".join(f.lines) for f in functions]
    head = "import numpy as np\nf32 = np.float32\nf64 = np.float64\n"
    return "\n\n\n".join([head, *parts, main])


def gemm(ta, tb, m, n, k, alpha, A, lda, B, ldb, beta, C, ldc):
    """What BLAS computes, on the flat memory that it is given."""
    a, b = (
        x.ravel()[: rows * width].reshape(rows, width)
        for x, rows, width in ((A, k if ta else m, lda), (B, n if tb else k, ldb))
    )
    a, b = (a.T if ta else a)[:m, :k], (b.T if tb else b)[:k, :n]
    assert beta == 0
    C.reshape(-1)[: m * ldc].reshape(m, ldc)[:, :n] = alpha * (a @ b)


def turn(c: Any, at: int, row: int, b: Any, start: int, line: int) -> None:
    """Write a square of 8 by 8 transposed."""
    for i in range(8):
        for j in range(8):
            c.reshape(-1)[at + j * row + i] = b.reshape(-1)[start + i * line + j]


def as_it_is(function: Any = None, **_: Any) -> Any:
    return function or (lambda given: given)


WORDS = {
    "kernel": as_it_is,
    "exact": as_it_is,
    "loops": as_it_is,
    "gemm": gemm,
    "turn": turn,
    "select": lambda condition, a, b: a if condition else b,
    "part": lambda x, offset, shape: x.reshape(-1)[offset:][: np.prod(shape)].reshape(shape),
    "address": lambda x, offset: x.reshape(-1)[offset:],
}


def memory_of(f: Looped, feed: Mapping[Node, Any], n: int) -> dict[str, Any]:
    """Return the arrays of a call, with rubbish where the function is to write."""
    found = {name: np.array(feed[leaf]) for name, leaf in f.inputs.items()}
    for m in f.arrays:
        rubbish = np.full(dims.at(m.shape, {"n": n}), 77, m.dtype)
        found[m.name] = rubbish if m.data is None else np.ascontiguousarray(m.data)
    return found


def as_python(j: Job, feed: Mapping[Node, Any], n: int = 1) -> dict[str, Any]:
    """Run the printed text as it stands."""
    f, scope = j.function, dict(WORDS)
    exec(text_of([f]), scope)
    arrays = memory_of(f, feed, n)
    given = {k: v if v.ndim else v[()] for k, v in arrays.items()}
    with np.errstate(all="ignore"):
        got = scope[f.name](*(given.get(p, n) for p in f.parameters))
    numbers = got if isinstance(got, tuple) else (got,)
    return _by_name(j, arrays) | dict(zip(f.returns, numbers, strict=False))


def _by_name(j: Job, arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Return arrays under the names that they were asked for by: printed, some have another."""
    return {name: arrays[safe(name)] for name in j.wanted if safe(name) in arrays}


class Unit:
    """Many printed functions, compiled together and run at once."""

    def __init__(self, jobs: Sequence[Job], dtype: str = "float64") -> None:
        self.jobs, self.arguments, lines = jobs, [], []
        for k, j in enumerate(jobs):
            self._add(k, j.function)
            called = ", ".join(f"a{k}_{p}" for p in j.function.parameters)
            out = "".join(f"out[{k}, {i}], " for i in range(len(j.function.returns)))
            lines.append(f"    {out.rstrip(' ,')}{' = ' if out else ''}unit_{k}({called})")
        self.arguments += [jit.Argument("out", np.dtype(float), (len(jobs), 9))]
        head = f"@exact\ndef main({', '.join(a.name for a in self.arguments)}):"
        blas = "gemm = sgemm\n" if dtype == "float32" else "gemm = dgemm\n"
        source = blas + text_of([j.function for j in jobs], "\n".join([head, *lines]))
        self.code = jit.compiled(jit.Unit(source, "main", tuple(self.arguments)))

    def _add(self, k: int, f: Looped) -> None:
        assert f.name == f"unit_{k}"
        for name, leaf in f.inputs.items():
            self._argument(f"a{k}_{name}", leaf.dtype, leaf.shape or None, k)
        for m in f.arrays:
            self._argument(f"a{k}_{m.name}", m.dtype, m.shape, k)
        self._argument(f"a{k}_n", np.dtype(np.int64), None, k)

    def _argument(self, name: str, dtype: Any, shape: Any, k: int) -> None:
        def size(s: Any) -> Any:
            if not isinstance(s, Dim):
                return s
            pairs = [(tuple(f"a{k}_{w}" for w in m), c) for m, c in s.terms.items()]
            return " + ".join(dims.term(m, c) for m, c in pairs)

        sizes = None if shape is None else tuple(map(size, shape))
        self.arguments.append(jit.Argument(name, dtype, sizes))

    def __call__(self, feeds: Sequence[Mapping[Node, Any]], n: int) -> list[dict[str, Any]]:
        """Run every function on its feed; return its arrays and numbers."""
        full: list[Any] = []
        made = []
        for j, feed in zip(self.jobs, feeds, strict=True):
            arrays = memory_of(j.function, feed, n)
            made.append(arrays)
            inputs = j.function.inputs
            full += [arrays[k] if leaf.ndim else arrays[k].item() for k, leaf in inputs.items()]
            full += [*(arrays[m.name] for m in j.function.arrays), n]
        out = np.full((len(self.jobs), 9), 77.0)
        self.code(*full, out)
        return [
            _by_name(j, a) | dict(zip(j.function.returns, row, strict=False))
            for a, j, row in zip(made, self.jobs, out, strict=True)
        ]


def expected(j: Job, feed: Mapping[Node, Any], n: int = 1) -> dict[str, Any]:
    with np.errstate(all="ignore"):
        return dict(zip(j.wanted, evaluate([*j.wanted.values()], feed, {"n": n}), strict=True))


def drawn(leaves: Sequence[Node], n: int = 5, seed: int = 0) -> dict[Node, Any]:
    rng = np.random.default_rng(seed)
    return {x: rng.normal(size=dims.at(x.shape, {"n": n})).astype(x.dtype) for x in leaves}


def check(got: Mapping[str, Any], want: Mapping[str, Any], ulp: int = 64) -> None:
    """Equal, where numbers are floats up to rounding, relative to an array's largest, or to 1."""
    for name, value in want.items():
        near = np.asarray(value)
        if near.dtype.kind != "f":
            np.testing.assert_array_equal(got[name], near, name)
            continue
        size = np.abs(near[np.isfinite(near)]).max(initial=0)
        step = ulp * np.finfo(near.dtype).eps
        np.testing.assert_allclose(got[name], near, step, step * max(size, 1), err_msg=name)


def check_python(j: Job, n: int = 5, seed: int = 0) -> None:
    """The text, run as Python, gives what the graph is worth."""
    feed = drawn(j.leaves, n, seed)
    check(as_python(j, feed, n), expected(j, feed, n))


# -- every op --------------------------------------------------------------------------------------

NOT_PRINTED = {  # why
    "running_sum": "each value needs the one before",
    "argsort": "sorts",
    "einstein_sum": "a contraction in words of its own; a matrix product is printed",
    "gather": "reads at positions that are data",
    "scatter": "writes at positions that are data",
    "picked_along_axis": "reads at positions that are data",
    "add_along_axis": "writes at positions that are data",
}
OTHERWISE = {  # what contracts.CASES leaves out, and where it is tried
    "dim": "test_sizes_are_numbers_of_the_batch",
    "custom": "test_a_gradient_of_ones_own_is_a_value_as_it_is",
}


def _job_of(case: contracts.Case, dtype: str, name: str = "f") -> tuple[Job, dict[Node, Any]]:
    node, leaves, arrays = test_ops._node(case, dtype)
    return job(leaves, name, result=node), dict(zip(leaves, arrays, strict=True))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", sorted({case[0] for case in contracts.CASES} - {*NOT_PRINTED}))
def test_every_op_is_printed_as_loops(name, dtype):
    for case in (case for case in contracts.CASES if case[0] == name):
        j, feed = _job_of(case, dtype)
        got, want = as_python(j, feed)["result"], expected(j, feed)["result"]
        check({"result": got}, {"result": want}, ulp=32)


def test_what_is_not_printed_is_known_and_says_so():
    tried = {case[0] for case in contracts.CASES}
    for case in contracts.CASES:
        if case[0] in NOT_PRINTED:
            with pytest.raises(NotLoops, match="not printed as loops"):
                _job_of(case, "float64")
    assert {*OPS} == tried | {*NOT_PRINTED} | {*OTHERWISE}


@pytest.mark.parametrize("pick", ["gather", "picked_along_axis"])
def test_positions_that_are_data_are_refused(pick):
    x = symbolic("x", (N, 4))
    places = np.array([2, 0, 2])
    chosen = x[:, places] if pick == "gather" else pc.take_along_axis(x, places[None, :], 1)
    for node in (chosen, pc.grad(pc.sum(chosen * chosen), x)):
        with pytest.raises(NotLoops):
            job([x], result=node)


def test_sizes_are_numbers_of_the_batch():
    x = symbolic("x", (N, 4))
    for n in (1, 7):
        check_python(job([x], a=x / lift(x.shape[0]), b=lift(2 * N * N + 1) * pc.sum(x)), n)


def test_a_gradient_of_ones_own_is_a_value_as_it_is():
    x = symbolic("x", (N, 4))
    check_python(job([x], result=2 * ops.stop_gradient(ops.named(x, "q")) + x))


@pytest.mark.parametrize("dtype", ["int64", "bool", "int32", "int8", "uint8", "float16"])
def test_other_dtypes_are_printed_or_refused(dtype):
    """A constant, an operand or a value of any dtype: the same numbers, or NotLoops."""
    x = symbolic("x", (N, 3))
    other = np.array([[0, 1, 1], [1, 0, 1]]).astype(dtype)
    for node in (
        x * lift(other[0]),
        x + ops.sum(lift(other), 0),
        x * (lift(other[0]) > 0),
        x / (1 + lift(other[0])),
        ops.astype(x, dtype) + 0.5 * x if dtype != "float16" else x,
        ops.square(x > 0) * x,
        x + ops.sum(x > 0, 0),
        x + (x > 0) + (x < 0),
        x * ops.maximum(lift(other[0]), 0),
        x ** lift(other[0]),
        ops.where(lift(other[0]), x, 2.0),
        x * (lift(other[0]) // 2),
        x + lift(other[0]) % 2,
        x - ops.mean(lift(other)),
        ops.max(lift(other), 0) * x,
        ops.argmax(x, 1, keepdims=True) * x,
    ):
        try:
            j = job([x], result=node)
        except NotLoops:
            continue
        feed = {x: np.array([[0.5, -1.5, 2.0], [3.0, 0.0, -0.5]])}
        check(as_python(j, feed, 2), expected(j, feed, 2))


# -- special numbers -------------------------------------------------------------------------------

LIMITS = {  # the widest that an operand may be before reordered arithmetic shows, with the reason
    "floor_divide": ("x1", "a quotient by a subnormal goes over its reciprocal, which overflows"),
    "swish": ("x0", "the digits of a subnormal result depend on the order of factors"),
    "bernoulli": ("x1", "labels far outside of [0, 1] cancel, and sums are reordered"),
}


def specials(dtype: str) -> Any:
    """NaN, infinities, both zeros, subnormals, the smallest, the largest, and some between."""
    i = np.finfo(dtype)
    ends = [i.smallest_subnormal * 5, i.tiny, 1e-9, 1e-3, 0.5, 1, 1.5, 2, 2.5, 3.25, 20, 60]
    ends += [88.5, 100, 700, 745.1, 1e6, 1e15, i.max, np.inf, 0.0, 0.9999]
    return np.array([np.nan, *ends, *(-np.array(ends))], dtype)


def _special_job(name: str, settings: dict[str, Any], dtype: str, k: int) -> Any:
    op, values = OPS[name], specials(dtype)
    truths, last = test_ops.TRUTHS.get(name, ()), len(op.operands) - 1
    axes = [
        np.array([True, False]) if p in truths else values[:: 1 if last < 2 else 2]
        for p in range(last + 1)
    ]
    grids = [g.ravel() for g in np.meshgrid(*axes, indexing="ij")]
    leaves = [symbolic(f"x{p}", (N,), g.dtype) for p, g in enumerate(grids)]
    node = build(op, tuple(leaves), test_ops._attrs(op, settings))
    feed = dict(zip(leaves, grids, strict=True))
    if name in LIMITS:
        keep = _ordinary(dict(zip([x.name for x in leaves], grids, strict=True))[LIMITS[name][0]])
        feed = {leaf: g[keep] for leaf, g in feed.items()}
    return job(leaves, f"unit_{k}", result=node), feed


def _ordinary(x: Any) -> Any:
    with np.errstate(all="ignore"):
        return ~np.isfinite(x) | (x == 0) | ((np.abs(x) > 1e-10) & (np.abs(x) < 85))


def _maps(dtype: str) -> list[Any]:
    pairs = [
        (name, {k: v for k, v in e.items() if k != "shapes"})
        for name, op in OPS.items()
        if op.kind == "map"
        for e in op.examples
    ]
    return [_special_job(name, e, dtype, k) for k, (name, e) in enumerate(pairs)]


def check_specials(j: Job, feed: Any, got: Any, allowed: int) -> None:
    n = len(next(iter(feed.values())))
    got, want = got["result"], expected(j, feed, n)["result"]
    if want.dtype.kind != "f":
        np.testing.assert_array_equal(got, want)
        return
    step = allowed * np.finfo(want.dtype).eps
    least = 4 * np.finfo(want.dtype).smallest_subnormal
    np.testing.assert_allclose(got, want, step, least, err_msg=j.function.lines[-1])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_special_numbers_pass_as_in_numpy(dtype):
    """NaN stays NaN, infinities stay: for every op and every combination of operands."""
    for j, feed in _maps(dtype):
        few = {leaf: x[:: max(1, len(x) // 97)] for leaf, x in feed.items()}
        n = len(next(iter(few.values())))
        check_specials(j, few, as_python(j, few, n), 64)


@COMPILES
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_special_numbers_pass_when_compiled(dtype):
    jobs = _maps(dtype)
    for half in (jobs[: len(jobs) // 2], jobs[len(jobs) // 2 :]):
        renamed = [Job(_called(j.function, k), j.leaves, j.wanted) for k, (j, _) in enumerate(half)]
        longest = max(len(x) for _, feed in half for x in feed.values())
        feeds = [{leaf: np.resize(x, longest) for leaf, x in feed.items()} for _, feed in half]
        found = Unit(renamed, dtype)(feeds, longest)
        for j, feed, got in zip(renamed, feeds, found, strict=True):
            check_specials(j, feed, got, 64)


def _called(f: Looped, k: int) -> Looped:
    """Return a printed function under another name."""
    first = f.lines[0].replace(f"def {f.name}(", f"def unit_{k}(")
    return Looped(f"unit_{k}", [first, *f.lines[1:]], f.inputs, f.arrays, f.returns, f.uses)


# -- views: where an element comes from ------------------------------------------------------------

X3 = symbolic("x", (3, 4, 2))
XN = symbolic("x", (N, 4, 3))
VIEWS: list[tuple[Node, Node]] = [
    (x, view)
    for x, made in [
        (
            X3,
            lambda x: [
                x.T,
                ops.transpose(x, (1, 2, 0)),
                ops.reshape(x, (24,)),
                ops.reshape(x, (2, 12)),
                ops.reshape(x, (6, 4)),
                ops.reshape(x, (1, 3, 1, 8)),
                ops.reshape(x, (2, 3, 2, 2)),
                x[1],
                x[:, 1:3],
                x[::-1],
                x[:, ::-2],
                x[-2:, -1],
                x[..., 0],
                x[:, 3:0:-2, None],
                x[2:0:-1, ::2, ::-1],
                x[:, 1:1],
                ops.reshape(x.T, (8, 3)),
                ops.named(x, "q"),
                ops.broadcast_to(x, (2, 3, 4, 2)),
                ops.broadcast_to(x[:1, :, :1], (3, 4, 2)),
                ops.reshape(x, (4, 6)).T[1::2],
                ops.reshape(ops.reshape(x, (6, 4)).T, (2, 12)),
                ops.expand_dims(x, (0, 2)),
                ops.squeeze(x[:, :1], 1),
                ops.moveaxis(x, 0, 2),
                ops.swapaxes(x, 0, 1),
                ops.reshape(x[1:], (16,)),
                ops.flip(x, (0, 2)),
            ],
        ),
        (
            XN,
            lambda x: [
                x.T,
                ops.reshape(x, (N, 12)),
                ops.reshape(x, (N * 4, 3)),
                ops.reshape(x, (N * 12,)),
                ops.reshape(x, (N, 2, 6)),
                ops.reshape(x, (N, 1, 12)),
                ops.reshape(x, (2 * N, 6)),
                ops.reshape(x, (N, 2, 2, 3)),
                x[:, 1],
                x[::-1],
                x[:, ::-1, ::2],
                x[..., None],
                ops.transpose(x, (2, 0, 1)),
                ops.reshape(ops.transpose(x, (0, 2, 1)), (N, 12)),
                ops.broadcast_to(x[:, :1], (N, 4, 3)),
                ops.reshape(ops.reshape(x, (N, 12)), (N, 3, 4)),
            ],
        ),
    ]
    for view in made(x)
]


@pytest.mark.parametrize("n", [1, 2, 5])
def test_a_view_reads_what_numpy_does(n):
    for x, view in VIEWS:
        for node in (view, ops.tanh(view), ops.sum(view)):
            check_python(job([x], result=node), n)


@pytest.mark.parametrize("seed", range(8))
def test_chains_of_views(seed):
    rng = np.random.default_rng([11, seed])
    x = symbolic("x", (4, 3, 2, 1))
    for _ in range(12):
        view, values = x, drawn([x])
        for _ in range(4):
            view = _some_view(rng, view)
        j = job([x], result=view * 2, total=ops.sum(ops.exp(view)))
        check(as_python(j, values), expected(j, values))


def _some_view(rng: Any, x: Node) -> Node:
    sizes = [int(s) for s in x.shape]  # type: ignore[arg-type]
    kind = rng.integers(4)
    if kind == 0:
        return ops.transpose(x, tuple(map(int, rng.permutation(x.ndim))))  # type: ignore[no-any-return]
    if kind == 1:
        return ops.reshape(x, _some_shape(rng, int(np.prod(sizes))))  # type: ignore[no-any-return]
    if kind == 2 and sizes:
        step = [int(rng.choice([1, -1, 2, -2])) for _ in sizes]
        return x[tuple(slice(None, None, s) for s in step)]
    wide = tuple(int(rng.integers(1, 3)) if s == 1 else s for s in sizes)
    return ops.broadcast_to(x, wide)  # type: ignore[no-any-return]


def _some_shape(rng: Any, count: int) -> tuple[int, ...]:
    shape = []
    while count > 1:
        size = int(rng.choice([d for d in range(2, count + 1) if count % d == 0]))
        shape.append(size)
        count //= size
    for _ in range(rng.integers(0, 2)):
        shape.insert(int(rng.integers(0, len(shape) + 1)), 1)
    return tuple(shape)


# -- random graphs ---------------------------------------------------------------------------------

UNARY: list[Callable[..., Any]] = [
    ops.tanh,
    ops.sin,
    ops.sigmoid,
    ops.absolute,
    lambda x: ops.exp(ops.sin(x)),
    ops.softplus,
    ops.gelu,
    ops.relu,
    lambda x: ops.log(1 + x * x),
    lambda x: ops.sqrt(ops.absolute(x) + 0.5),
    lambda x: x * 0.5,
    lambda x: -x,
    lambda x: ops.where(x > 0.1, x, 0.3 * x),
    ops.erf,
]
BINARY: list[Callable[..., Any]] = [
    ops.add,
    ops.subtract,
    ops.multiply,
    ops.maximum,
    ops.minimum,
    lambda x, y: x / (1 + y * y),
    ops.hypot,
    lambda x, y: ops.where(x > y, x, y * 0.5),
]
FOLDS: list[Callable[..., Any]] = [
    ops.sum,
    ops.mean,
    ops.max,
    ops.min,
    ops.logsumexp,
    lambda x, axis, keepdims: ops.var(x, axis),
]


def leaves_of(dtype: str) -> list[Node]:
    shapes = {
        "x": (N, 4),
        "y": (N, 4),
        "z": (N, 2, 3),
        "W": (4, 3),
        "U": (4, 20),
        "b": (4,),
        "c": (20, 4),
    }
    return [symbolic(k, shape, dtype) for k, shape in shapes.items()]


def grown(seed: int, dtype: str = "float64", count: int = 14, name: str = "f") -> Job:
    """Return a random graph: maps, reductions, broadcasts, products, views."""
    rng = np.random.default_rng([5, seed])
    pool = list(leaves := leaves_of(dtype))
    while len(pool) < len(leaves) + count:
        try:
            node = _grown(rng, pool)
        except (PellucidError, ValueError, IndexError):
            continue
        if not any(node is p for p in pool) and node.ndim <= 4 and len(_dims(node)) <= 2:
            pool.append(ops.tanh(node) if rng.random() < 0.3 else node)
    late = [
        pool[int(k)] for k in rng.choice(len(pool) - len(leaves), 5, replace=False) + len(leaves)
    ]
    try:
        return job(leaves, name, **{f"r{k}": v for k, v in enumerate([*late, pool[-1]])})
    except NotLoops:
        return grown(seed + 10_000, dtype, count, name)


def _dims(node: Node) -> list[Any]:
    return [s for s in node.shape if isinstance(s, Dim)]


def _grown(rng: Any, pool: Sequence[Node]) -> Node:
    x, y = (pool[int(k)] for k in rng.integers(len(pool) // 3, len(pool), 2))
    y = pool[int(rng.integers(len(pool)))] if rng.random() < 0.5 else y
    kind = rng.choice(
        ["unary", "binary", "fold", "product", "view", "softmax"],
        p=[0.2, 0.3, 0.2, 0.15, 0.1, 0.05],
    )
    if kind == "unary":
        return lift(UNARY[rng.integers(len(UNARY))](x))
    if kind == "binary":
        return lift(BINARY[rng.integers(len(BINARY))](x, y))
    if kind == "product":
        x, y = (ops.sin(v) if rng.random() < 0.3 else v for v in (x, y))
        turned = [v.T if v.ndim == 2 and rng.random() < 0.4 else v for v in (x, y)]
        return lift(ops.matmul(*turned) / 4)
    if kind == "view":
        views = [
            lambda v: v.T,
            lambda v: v[::-1],
            lambda v: v[..., ::2],
            lambda v: v[..., None],
            lambda v: ops.reshape(v, (*v.shape[:-2], v.shape[-2] * v.shape[-1])),
        ]
        return lift(views[rng.integers(len(views))](x))
    axes = list(range(x.ndim))
    if kind == "softmax":
        return lift([ops.softmax, ops.log_softmax][rng.integers(2)](x, int(rng.choice(axes))))
    chosen = tuple(int(a) for a in rng.choice(axes, rng.integers(1, len(axes) + 1), replace=False))
    keep = bool(rng.random() < 0.6)
    return lift(FOLDS[rng.integers(len(FOLDS))](x, axis=chosen, keepdims=keep))


@pytest.mark.parametrize("seed", range(40))
def test_random_graphs(seed):
    j = grown(seed)
    for n in (1, 2, 5):
        feed = drawn(j.leaves, n, seed)
        check(as_python(j, feed, n), expected(j, feed, n), ulp=4096)


@COMPILES
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_random_graphs_compiled(dtype):
    jobs = [grown(100 + k, dtype, 8, f"unit_{k}") for k in range(10)]
    unit = Unit(jobs, dtype)
    for n in (1, 2, 5, 33):
        feeds = [drawn(j.leaves, n, k) for k, j in enumerate(jobs)]
        for j, feed, got in zip(jobs, feeds, unit(feeds, n), strict=True):
            check(got, expected(j, feed, n), ulp=4096)


# -- matrix products -------------------------------------------------------------------------------

SIZES = [1, 2, 3, 8, 9, 17]


def _products(dtype: str) -> list[Job]:
    """Every form of a product, of sizes below and above SMALL, on leaves, values and views."""
    jobs: list[Job] = []
    for rows, inner, columns in itertools.product([N, 1, 5], SIZES[::2], SIZES[1::2]):
        A, B = symbolic("A", (rows, inner), dtype), symbolic("B", (inner, columns), dtype)
        AT, BT = symbolic("AT", (inner, rows), dtype), symbolic("BT", (columns, inner), dtype)
        made = {
            "a": A @ B,
            "b": AT.T @ B,
            "c": A @ BT.T,
            "d": AT.T @ BT.T,
            "e": ops.exp(A) @ B[:, ::-1],
            "f": ops.sin(AT).T @ ops.sin(AT) @ A,
            "g": ops.sum(A @ B, 0) + ops.mean(BT.T, 0),
            "h": (A @ B).T @ A,
        }
        jobs.append(job([A, B, AT, BT], f"unit_{len(jobs)}", **made))
    return jobs


def test_products_of_every_form():
    sizes = {"loops": 0, "calls": 0}
    for j in _products("float64"):
        sizes["calls"] += any("product" in u for u in j.function.uses)
        sizes["loops"] += not any("product" in u for u in j.function.uses)
        for n in (1, 5):
            check_python(j, n)
    assert min(sizes.values()) > 0, SMALL


@COMPILES
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_products_compiled(dtype):
    jobs = [
        Job(_called(j.function, k), j.leaves, j.wanted) for k, j in enumerate(_products(dtype)[::3])
    ]
    unit = Unit(jobs, dtype)
    for n in (1, 4, 5, 50):
        feeds = [drawn(j.leaves, n, k) for k, j in enumerate(jobs)]
        for j, feed, got in zip(jobs, feeds, unit(feeds, n), strict=True):
            check(got, expected(j, feed, n), ulp=512)


def test_vectors_and_stacks_of_matrices():
    v, x, z = symbolic("v", (4,)), symbolic("x", (N, 4)), symbolic("z", (N, 3, 4))
    W = symbolic("W", (2, 1, 4, 5))
    check_python(
        job([v, x, z], a=v @ v, b=x @ v, c=v @ x.T, d=z @ v, e=z @ ops.transpose(z, (0, 2, 1)))
    )
    check_python(job([z, W], a=z @ W))


# -- what shares a loop ----------------------------------------------------------------------------

S, V, Q = symbolic("s", (6, 6)), symbolic("v", (6,)), symbolic("q", (6,))
R, BIG, A0 = symbolic("r", (N, 4)), symbolic("u", (9, 9)), symbolic("a", ())
E = ops.exp(V)
TIED: dict[str, tuple[list[Node], dict[str, Node]]] = {
    "a mean taken off": ([R], {"x": R - ops.mean(R), "y": R - ops.mean(R, 0)}),
    "rows taken off": ([R], {"x": R - ops.mean(R, 1, keepdims=True), "t": ops.sum(R)}),
    "every pair of rows": ([R], {"x": ops.tanh(R) @ ops.tanh(R).T, "y": ops.tanh(R)}),
    "with its own transpose": ([S], {"x": ops.exp(S) + ops.exp(S).T, "y": ops.exp(S)}),
    "times its own transpose": ([BIG], {"x": ops.exp(BIG) @ ops.exp(BIG).T, "y": BIG.T @ BIG}),
    "softmax of columns": ([R], {"x": ops.softmax(R, 0), "y": ops.softmax(R, 1)}),
    "sums of rows, used by all": ([S], {"x": S + ops.sum(S, 0), "y": S + ops.sum(S, 1)}),
    "neighbors": ([V], {"x": E[1:] * E[:-1], "y": E, "z": E + E[::-1]}),
    "an output read by outputs": ([V], {"m": ops.sum(E), "x": E, "y": 2 * E, "z": E[::-1] * E}),
    "one value, two names": ([V], {"m": ops.sum(E), "o": ops.sum(E), "x": E, "y": E}),
    "an input": ([V, A0], {"x": V, "y": V + 1, "m": A0, "o": 2 * A0}),
    "views of an input": ([S], {"x": S.T, "y": ops.reshape(S, (36,)), "z": S[::-1, 0]}),
    "constants": (
        [V],
        {
            "x": lift(np.arange(3.0)),
            "m": lift(2.5),
            "y": ops.broadcast_to(lift(np.float64(2)), (4,)),
        },
    ),
    "elements": ([V], {"m": V[2], "o": E[3], "p": ops.reshape(ops.sum(V, keepdims=True), ())}),
    "sums of sums": ([S], {"x": ops.sum(S - ops.sum(S, 0), 1), "m": ops.max(ops.min(S, 1))}),
    "a running maximum of maxima": (
        [R],
        {"x": ops.max(R, 0) - R, "m": ops.max(ops.max(R, 1) - ops.min(R))},
    ),
    "products of products": (
        [BIG],
        {"x": BIG @ BIG @ BIG, "y": (BIG @ BIG).T + BIG, "m": ops.sum(BIG @ BIG)},
    ),
    "the first of many": ([R], {"x": ops.tanh(ops.sum(R, 0)[:1]), "y": ops.sin(R)[:1] * 2}),
    "the first of a chain": ([R], {"x": ops.tanh(ops.exp(ops.sum(R, 0))[:1])}),
    "the first row of a product": ([BIG], {"x": ops.tanh(BIG @ ops.exp(BIG))[:1]}),
    "no elements": ([V], {"x": V[2:2], "m": ops.sum(V[2:2]), "o": ops.prod(V[3:3])}),
}


@pytest.mark.parametrize("what", TIED)
def test_statements_wait_for_what_they_read(what):
    leaves, wanted = TIED[what]
    for n in (1, 2, 7):
        check_python(job(leaves, **wanted), n)


@COMPILES
def test_statements_wait_for_what_they_read_compiled():
    jobs = [job(leaves, f"unit_{k}", **wanted) for k, (leaves, wanted) in enumerate(TIED.values())]
    unit = Unit(jobs)
    for n in (1, 7, 33):
        feeds = [drawn(j.leaves, n, k) for k, j in enumerate(jobs)]
        for j, feed, got in zip(jobs, feeds, unit(feeds, n), strict=True):
            check(got, expected(j, feed, n))


def test_empty_batches_give_the_identities():
    """No rows: sums are 0, products 1, and nothing is read."""
    j = job([R], m=ops.sum(R), o=ops.prod(R), x=ops.sum(R, 0), y=ops.exp(R), z=R.T @ R)
    check_python(j, 0)


def test_many_axes():
    x = symbolic("x", (N, 2, 3, 2, 2))
    y = symbolic("y", (1, 2, 1, 2, 1, 2, 1, 2, 2, 2))
    check_python(
        job(
            [x],
            a=ops.mean(x),
            b=ops.sum(x, (1, 3)),
            c=ops.transpose(x, (4, 2, 0, 1, 3)),
            d=ops.sum(ops.exp(x), (0, 2, 4)),
            e=ops.softmax(x, 2),
        )
    )
    check_python(job([y], a=ops.sum(y), b=ops.exp(y)))


# -- what is overwritten ---------------------------------------------------------------------------

P, W6 = symbolic("p", (6,)), symbolic("w", (6,))
STORES: dict[str, tuple[dict[str, Node], dict[str, Node]]] = {  # stores, and what else is asked
    "itself": ({"v": V - 0.1 * W6}, {"m": ops.sum(V)}),
    "swapped": ({"v": W6, "w": V}, {}),
    "swapped and changed": ({"v": W6 + 1, "w": V * 2}, {}),
    "the last parameters": ({"w": P, "p": P - 0.1 * V + 0.9 * (P - W6)}, {}),
    "three in a ring": ({"v": W6, "w": P, "p": V}, {"m": ops.sum(V)}),
    "three in a ring, changed": ({"v": W6 * 2, "w": P + V, "p": V - W6}, {"x": V}),
    "one value twice": ({"v": V + W6, "w": V + W6}, {}),
    "one after the other": ({"v": V - W6, "w": W6 + (V - W6)}, {"m": ops.sum(V * W6)}),
    "backwards": ({"v": V[::-1]}, {}),
    "backwards into each other": ({"v": V[::-1] + W6, "w": V + W6[::-1]}, {}),
    "moved by one": ({"v": ops.where(np.arange(6) > 2, ops.broadcast_to(V[:1], (6,)), V)}, {}),
    "with its sum": ({"v": V + ops.sum(V), "w": W6 / ops.max(V)}, {"m": ops.mean(V)}),
    "transposed": ({"s": S.T}, {}),
    "transposed and added": ({"s": S.T + S}, {"x": ops.sum(S, 0)}),
    "the first row to all": ({"s": S + S[:1]}, {}),
    "rows and columns": ({"s": S + ops.reshape(S[0], (1, 6)) * S[:, :1]}, {}),
    "squared": ({"s": S @ S}, {}),
    "squared, by a call": ({"u": BIG @ BIG}, {"m": ops.sum(BIG)}),
    "with its transpose, by a call": ({"u": BIG.T @ BIG + BIG}, {"x": BIG.T}),
    "a constant": ({"v": ops.broadcast_to(lift(np.float64(0)), (6,)), "w": V}, {}),
    "the old one is asked for": (
        {"v": V + 1},
        {"x": V, "y": V[::-1], "m": V[2], "o": ops.exp(V[3])},
    ),
}


@pytest.mark.parametrize("what", STORES)
def test_overwriting_reads_the_old_values(what):
    """Every store is made of what was there before any of them."""
    stores, wanted = STORES[what]
    check_python(job([V, W6, P, S, BIG], stores=stores, **wanted))


@COMPILES
def test_overwriting_reads_the_old_values_compiled():
    jobs = [
        job([V, W6, P, S, BIG], f"unit_{k}", stores, **wanted)
        for k, (stores, wanted) in enumerate(STORES.values())
    ]
    feeds = [drawn(j.leaves, 1, k) for k, j in enumerate(jobs)]
    for j, feed, got in zip(jobs, feeds, Unit(jobs)(feeds, 1), strict=True):
        check(got, expected(j, feed))


# -- names -----------------------------------------------------------------------------------------

NAMES = [
    ("i", "j", "k"),
    ("exp", "maximum", "f32"),
    ("l", "p", "q"),
    ("f64", "product", "exp64"),
    ("sum_x", "x_sum", "exp_x"),
    ("work", "constant", "i_2"),
    ("sigmoid64", "select", "part"),
]


@pytest.mark.parametrize("names", NAMES, ids=" ".join)
def test_names_of_inputs_hide_nothing(names):
    x, y, z = (symbolic(name, (N, 4)) for name in names)
    made = (
        ops.softmax(x * y, 1)
        + ops.maximum(y, z)
        + ops.sigmoid(z) * ops.sum(ops.exp(x), 1, keepdims=True)
    )
    wide = [symbolic(name, (9, 9)) for name in names]
    check_python(job([x, y, z], result=made, mean=ops.mean(ops.exp(x))))
    check_python(job(wide, result=ops.exp(wide[0]) @ wide[1].T + wide[2]))


@pytest.mark.parametrize("names", NAMES, ids=" ".join)
def test_names_of_results_hide_nothing(names):
    x, y = symbolic("x", (N, 4)), symbolic("y", (N, 4))
    arrays = [ops.exp(x) * y, ops.sum(x, 0), ops.sum(ops.exp(x), 1)]
    numbers = [ops.sum(ops.exp(x) * y), ops.max(x), ops.mean(ops.sigmoid(x))]
    check_python(job([x, y], **dict(zip(names, arrays, strict=True))))
    check_python(job([x, y], **dict(zip(names, numbers, strict=True))))


def test_printing_needs_nothing_that_a_user_has_imported():
    """A graph of ops alone is printed: softmax is taken apart by its NumPy text."""
    code = (
        "from pellucid import ops\nfrom pellucid.dims import symbol\n"
        "from pellucid.graph import symbolic\nfrom pellucid.show.loops import looped\n"
        "x = symbolic('x', (symbol('n'), 4))\n"
        "print(len(looped('f', [x], {}, {'r': ops.softmax(x, 1)}).lines) > 3)"
    )
    import subprocess
    import sys

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "True", done.stderr[-300:]
