"""The compiled matrix products: every way is right for all sizes, and writes nothing else."""

import ast
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pellucid import jit, products

pytestmark = pytest.mark.skipif(bool(jit.available()), reason=jit.available() or "compiles here")

SHAPES: dict[str, Callable[[int, int, int], tuple[tuple[int, int], ...]]] = {
    "product": lambda m, k, n: ((m, n), (m, k), (k, n)),  # of C, A and B
    "product_at": lambda m, k, n: ((k, n), (m, k), (m, n)),
    "product_bt": lambda m, k, n: ((m, k), (m, n), (k, n)),
}
WAYS = {
    "product": ["product", "product_loops", "product_gemm"],
    "product_at": ["product_at", "product_at_loops", "product_at_gemm"],
    "product_bt": [f"product_bt{way}" for way in ("", "_loops", "_transposed", "_gemm")],
}
EVERY = [(name, way) for name, ways in WAYS.items() for way in ways]
LITERAL = [(5, 3), (40, 8)]
TYPES = ["float32", "float64"]
SPARE, OUTSIDE = 3, 7.0  # rows that a batch leaves unused; what is there, and must stay


def exact(name: str, A: Any, B: Any) -> Any:
    """Return the product by NumPy."""
    return (A.T if name == "product_at" else A) @ (B.T if name == "product_bt" else B)


def call(name: str, way: str, k: object, n: object) -> str:
    """Return a call of one way, on matrices that lie in flat arrays with rows to spare."""
    parts = []
    for letter, (rows, columns) in zip("CAB", SHAPES[name](1, 2, 3), strict=True):
        shape = ", ".join({1: f"m + {SPARE}", 2: str(k), 3: str(n)}[d] for d in (rows, columns))
        parts.append(f"part({letter}, 0, ({shape}))")
    work = ", work" if name == "product_bt" else ""
    return f"{way}({', '.join(parts)}, m, {k}, {n}{work})"


@cache
def program(dtype: str) -> jit.Compiled:
    """Compile every way, with k and n known when it runs and, for some, when it is compiled."""
    text = Path(products.__file__).read_text()
    lines = text.splitlines()
    functions = [
        "\n".join(lines[f.decorator_list[0].lineno - 1 : f.end_lineno])
        for f in ast.parse(text).body
        if isinstance(f, ast.FunctionDef) and f.decorator_list
    ]
    calls = [call(name, way, "k", "n") for name, way in EVERY]
    calls += [call(name, name, k, n) for name in SHAPES for k, n in LITERAL]
    body = [f"    if way == {i}:\n        {c}" for i, c in enumerate(calls)]
    entry = ["@loops", "def run(way, m, k, n, size, C, A, B, work):", *body]
    gemm = "gemm = sgemm" if dtype == "float32" else "gemm = dgemm"
    numbers = [jit.Argument(x, np.dtype(np.int64)) for x in ("way", "m", "k", "n", "size")]
    arrays = [jit.Argument(x, np.dtype(dtype), ("size",)) for x in ("C", "A", "B", "work")]
    source = "\n\n".join([gemm, *functions, "\n".join(entry)]) + "\n"
    with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setenv("PELLUCID_CACHE", folder)
        return jit.compiled(jit.Unit(source, "run", (*numbers, *arrays)))


def multiply(ways: list[int], name: str, m: int, k: int, n: int, A: Any, B: Any) -> Any:
    """Return A B (or with one transposed) and check that nothing outside of it was touched."""
    size = max((m + SPARE) * k, (m + SPARE) * n, k * n) + 1
    shapes = SHAPES[name](m, k, n)
    C_flat, A_flat, B_flat, work = (np.full(size, OUTSIDE, A.dtype) for _ in range(4))
    for flat, value in zip((A_flat, B_flat), (A, B), strict=True):
        flat[:] = np.nan  # the spare rows must not be read
        flat[: value.size] = value.ravel()
    used = shapes[0][0] * shapes[0][1]
    C_flat[:used] = np.nan  # what was there must not be read
    work[: k * n] = np.nan
    given = A_flat.copy(), B_flat.copy()
    for way in ways:
        program(A.dtype.name)(way, m, k, n, size, C_flat, A_flat, B_flat, work)
    assert (C_flat[used:] == OUTSIDE).all()
    assert (work[k * n :] == OUTSIDE).all()
    np.testing.assert_array_equal((A_flat, B_flat), given)
    return C_flat[:used].reshape(shapes[0])


def close(name: str, got: Any, A: Any, B: Any) -> None:
    """Compare with NumPy in double precision: as far off as a sum of rounded products may be."""
    wide = A.astype(np.float64), B.astype(np.float64)
    terms = {"product": A.shape[1], "product_at": A.shape[0], "product_bt": A.shape[1]}[name]
    bound = (terms + 2) * np.finfo(A.dtype).eps * exact(name, *map(np.abs, wide))
    assert (np.abs(got - exact(name, *wide)) <= bound).all()


def drawn(rng: np.random.Generator, name: str, dtype: str, *sizes: int) -> tuple[Any, Any]:
    """Draw A and B."""
    _, a, b = SHAPES[name](*sizes)
    return rng.standard_normal(a).astype(dtype), rng.standard_normal(b).astype(dtype)


LENGTHS = st.one_of(st.integers(0, 20), st.sampled_from([31, 32, 33, 47, 48, 64, 101, 129]))
SEEDS = st.integers(0, 2**32 - 1)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(("name", "way"), EVERY)
@given(m=LENGTHS, k=LENGTHS, n=LENGTHS, seed=SEEDS)
@settings(max_examples=60, deadline=None)
def test_every_way_is_right_and_touches_nothing_else(
    name: str, way: str, dtype: str, m: int, k: int, n: int, seed: int
) -> None:
    if way != name and not way.endswith("_loops"):
        k, n = max(k, 1), max(n, 1)  # a rule sends matrices without columns to the loops
    A, B = drawn(np.random.default_rng(seed), name, dtype, m, k, n)
    close(name, multiply([EVERY.index((name, way))], name, m, k, n, A, B), A, B)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("m", [0, 1, 2, 4, 10, 50])
@pytest.mark.parametrize("case", range(len(SHAPES) * len(LITERAL)))
def test_sizes_known_when_it_is_compiled(case: int, m: int, dtype: str) -> None:
    name, (k, n) = list(SHAPES)[case // len(LITERAL)], LITERAL[case % len(LITERAL)]
    A, B = drawn(np.random.default_rng(case), name, dtype, m, k, n)
    close(name, multiply([len(EVERY) + case], name, m, k, n, A, B), A, B)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize(("name", "way"), EVERY)
@given(m=LENGTHS.filter(bool), k=LENGTHS.filter(bool), n=LENGTHS.filter(bool), seed=SEEDS)
@settings(max_examples=25, deadline=None)
def test_nan_and_infinity_spread_as_in_numpy(
    name: str, way: str, dtype: str, m: int, k: int, n: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    A, B = drawn(rng, name, dtype, m, k, n)
    for x in (A, B):
        x[rng.random(x.shape) < 0.2] = 0
        where = rng.integers(x.size, size=2)
        x.flat[where] = rng.choice([np.nan, np.inf, -np.inf], 2)
    got = multiply([EVERY.index((name, way))], name, m, k, n, A, B)
    with np.errstate(invalid="ignore"):
        expected = exact(name, A.astype(np.float64), B.astype(np.float64))
    np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", SHAPES)
@given(m=LENGTHS, k=LENGTHS, n=LENGTHS)
def test_the_best_way_is_one_that_there_is(name: str, m: int, k: int, n: int) -> None:
    assert products.best(name, m, k, n) in WAYS[name]


@pytest.mark.parametrize("name", SHAPES)
def test_little_work_goes_to_loops_and_much_to_blas(name: str) -> None:
    assert products.best(name, 1, 4, 4) == f"{name}_loops"
    assert products.best(name, 1024, 784, 2048) == f"{name}_gemm"
    assert products.best(name, 1, 2048, 2048) == f"{name}_loops"  # reads every weight just once


def test_small_matrices_are_transposed_before_blas() -> None:
    assert products.best("product_bt", 128, 512, 10) == "product_bt_transposed"
