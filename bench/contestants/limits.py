"""Matrix products alone, and copies: what no training step can do without."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from bench.jobs import Array

Pairs = list[tuple[Array, Array]]


class NumPy:
    """np.matmul into memory set aside."""

    def __init__(self, pairs: Pairs) -> None:
        self.triples = [(a, b, a @ b) for a, b in pairs]

    def multiply(self, repeat: int) -> None:
        for _ in range(repeat):
            for a, b, out in self.triples:
                np.matmul(a, b, out=out)

    @staticmethod
    def copy(size: int, repeat: int, threads: int) -> float:
        """Return the seconds that copies of `size` bytes take, the array divided among threads."""
        source = np.ones(size // 8)
        target = np.ones_like(source)
        parts = list(zip(np.array_split(target, threads), np.array_split(source, threads)))  # noqa: B905

        def work(part: tuple[Array, Array]) -> None:
            for _ in range(repeat):
                np.copyto(*part)

        with ThreadPoolExecutor(threads) as pool:
            start = time.perf_counter()
            list(pool.map(work, parts))
            return time.perf_counter() - start


class SciPy:
    """BLAS itself, its arrays in Fortran's order: (b.T @ a.T).T."""

    def __init__(self, pairs: Pairs) -> None:
        from scipy.linalg import blas

        self.gemm = blas.sgemm if pairs[0][0].dtype == np.float32 else blas.dgemm
        self.triples = [(b.T, a.T, np.empty_like(a @ b).T) for a, b in pairs]

    def multiply(self, repeat: int) -> None:
        gemm = self.gemm
        for _ in range(repeat):
            for b, a, out in self.triples:
                gemm(1.0, b, a, c=out, overwrite_c=1)


class Torch:
    """torch.mm into memory set aside."""

    def __init__(self, pairs: Pairs) -> None:
        import torch

        self.torch = torch
        factors = [(torch.from_numpy(a), torch.from_numpy(b)) for a, b in pairs]
        self.triples = [(a, b, a @ b) for a, b in factors]

    def multiply(self, repeat: int) -> None:
        mm = self.torch.mm
        with self.torch.inference_mode():
            for _ in range(repeat):
                for a, b, out in self.triples:
                    mm(a, b, out=out)


class Jax:
    """All products of a step in one jitted function."""

    def __init__(self, pairs: Pairs) -> None:
        import jax

        self.pairs = [(jax.numpy.array(a), jax.numpy.array(b)) for a, b in pairs]
        self.product = jax.jit(lambda pairs: [a @ b for a, b in pairs])
        self.ready = jax.block_until_ready

    def multiply(self, repeat: int) -> None:
        for _ in range(repeat):
            found = self.product(self.pairs)
        self.ready(found)


class Loops:
    """Three loops, compiled and repeated inside: for products smaller than a library's call.

    All factors lie in one array, for to pick arrays from a tuple would take longer than they do.
    """

    def __init__(self, pairs: Pairs) -> None:
        table, parts, start = [], [], 0
        for a, b in pairs:
            (n, k), m = a.shape, b.shape[1]
            table.append((n, k, m, start, start + a.size, start + a.size + b.size))
            parts += [a.ravel(), b.ravel(), np.zeros(n * m, a.dtype)]
            start += a.size + b.size + n * m
        # unsigned, so that no index is tested for being negative, and loops become vector code
        self.table = np.array(table, np.uint64)
        self.memory, self.repeated = np.concatenate(parts), loops()

    def multiply(self, repeat: int) -> None:
        self.repeated(self.memory, self.table, repeat)


def product(memory, n, k, m, left, right, into):
    """Multiply (n, k) by (k, m), which start at these places."""
    for i in range(n):
        for j in range(m):
            memory[into + i * m + j] = 0
        for p in range(k):
            x = memory[left + i * k + p]
            for j in range(m):
                memory[into + i * m + j] += x * memory[right + p * m + j]


def loops():
    """Return a compiled function of (memory, table of sizes and starts, times)."""
    import numba

    compiled = numba.njit(fastmath=True, error_model="numpy")(product)

    @numba.njit
    def repeated(memory, table, repeat):
        for _ in range(repeat):
            for t in range(len(table)):
                row = table[t]
                compiled(memory, row[0], row[1], row[2], row[3], row[4], row[5])

    return repeated
