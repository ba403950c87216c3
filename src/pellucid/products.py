"""Matrix products for compiled loops, which a generated program takes in as text.

    product     C = A B        product_at     C = Aᵀ B        product_bt     C = A Bᵀ
    add_rows    rows of G, added up in a table where their numbers say

Arrays are C-contiguous, of one dtype, and may have more rows than the m in use. Sizes may be 0,
NaN and infinity spread as in `matmul`, and what C held before is never read. Each product has
several ways, and a rule that chooses by sizes. The rules were measured for float32 and float64 with
OpenBLAS on one thread, which needs 15 to 60 ns for a product of next to nothing and where A Bᵀ of
small matrices runs at half the speed of A B. Loops gain from numbers: write k and n as literals.

The program says what `gemm` is, `sgemm` or `dgemm`; the compiler knows `part`
and `turn`.
"""

# mypy: allow-untyped-defs, allow-untyped-calls
# (a program takes no annotations in: they would have to mean something there)

from typing import Any

gemm: Any = None
part: Any = None
turn: Any = None


def loops(f: Any = None, **options: Any) -> Any:
    """Mark a function whose sums may be reordered: it is compiled so, with these options."""
    return f if f is not None else lambda g: g


def best(name: str, m: int, k: int, n: int) -> str:
    """Return the way that a product of these sizes goes, so that a program need not choose.

    >>> best("product", 10, 784, 512), best("product", 1, 100, 3)
    ('product_gemm', 'product_loops')
    """
    if name == "product_bt":
        ways = ("product_bt_loops", "product_bt_transposed", "product_bt_gemm")
        return ways[product_bt_way(m, k, n)]
    small = {"product": product_looped, "product_at": product_at_looped}[name](m, k, n)
    return name + ("_loops" if small else "_gemm")


# -- rows of a table -----------------------------------------------------------------------------


@loops(noalias=True)
def add_rows(T, rows, G, m, k, n):
    """Set T (m, n) to 0, and add row i of G (k, n) to row rows[i] of it, for every i."""
    for i in range(m):
        for j in range(n):
            T[i, j] = T.dtype.type(0)
    for i in range(k):
        row = rows[i]
        for j in range(n):
            T[row, j] += G[i, j]


# -- C = A B -------------------------------------------------------------------------------------


@loops(noalias=True, forceinline=True)
def product(C, A, B, m, k, n):
    """Set C[:m] (m, n) to A[:m] (m, k) times B (k, n)."""
    if product_looped(m, k, n):
        product_loops(C, A, B, m, k, n)
    else:
        product_gemm(C, A, B, m, k, n)


@loops(forceinline=True)
def product_looped(m, k, n):
    """Tell whether loops are faster: for every number of A they take a pass over a row of C.

    BLAS copies matrices of over a million products first, which one or two rows do not pay back.
    """
    return m * k <= 128 or (m <= 2 and m * k * n > 1_000_000) or n == 0  # BLAS refuses n = 0


@loops(noalias=True, forceinline=True)
def product_loops(C, A, B, m, k, n):
    """Set C[:m] (m, n) to A[:m] (m, k) times B (k, n), row by row."""
    for i in range(m):
        for j in range(n):
            C[i, j] = A[i, 0] * B[0, j] if k > 0 else C.dtype.type(0)
        for p in range(1, k):
            for j in range(n):
                C[i, j] += A[i, p] * B[p, j]


@loops(forceinline=True)
def product_gemm(C, A, B, m, k, n):
    """Set C[:m] (m, n) to A[:m] (m, k) times B (k, n), by BLAS."""
    gemm(0, 0, m, n, k, 1, A, k, B, n, 0, C, n)


# -- C = Aᵀ B ------------------------------------------------------------------------------------


@loops(noalias=True, forceinline=True)
def product_at(C, A, B, m, k, n):
    """Set C (k, n) to A[:m] (m, k) transposed times B[:m] (m, n)."""
    if product_at_looped(m, k, n):
        product_at_loops(C, A, B, m, k, n)
    else:
        product_at_gemm(C, A, B, m, k, n)


@loops(forceinline=True)
def product_at_looped(m, k, n):
    """Tell whether loops are faster: they go through all of C for each of the m rows."""
    small, large = m <= 4 and m * n <= 100, m <= 2 and m * k * n > 1_000_000
    return small or large or k == 0 or n == 0


@loops(noalias=True, forceinline=True)
def product_at_loops(C, A, B, m, k, n):
    """Set C (k, n) to A[:m] (m, k) transposed times B[:m] (m, n), as a sum of outer products."""
    for p in range(k):
        for j in range(n):
            C[p, j] = A[0, p] * B[0, j] if m > 0 else C.dtype.type(0)
    for i in range(1, m):
        for p in range(k):
            for j in range(n):
                C[p, j] += A[i, p] * B[i, j]


@loops(forceinline=True)
def product_at_gemm(C, A, B, m, k, n):
    """Set C (k, n) to A[:m] (m, k) transposed times B[:m] (m, n), by BLAS."""
    gemm(1, 0, k, n, m, 1, A, k, B, n, 0, C, n)


# -- C = A Bᵀ ------------------------------------------------------------------------------------


@loops(noalias=True, forceinline=True)
def product_bt(C, A, B, m, k, n, work):
    """Set C[:m] (m, k) to A[:m] (m, n) times B (k, n) transposed; `work` holds k n numbers."""
    way = product_bt_way(m, k, n)
    if way == 0:
        product_bt_loops(C, A, B, m, k, n, work)
    elif way == 1:
        product_bt_transposed(C, A, B, m, k, n, work)
    else:
        product_bt_gemm(C, A, B, m, k, n, work)


@loops(forceinline=True)
def product_bt_way(m, k, n):
    """Choose loops (0) for one or two rows, a transposed copy (1) if it pays, or BLAS alone (2)."""
    if (m <= 2 and (m * n <= 64 or m * k * n > 1_000_000)) or k == 0 or n == 0:
        return 0
    return 1 if n <= 16 or (m >= 12 and m * k * n < 1_000_000) else 2


@loops(noalias=True, forceinline=True)
def product_bt_loops(C, A, B, m, k, n, work):
    """Set C[:m] (m, k) to A[:m] (m, n) times B (k, n) transposed, by inner products."""
    for i in range(m):
        for p in range(k):
            total = A[i, 0] * B[p, 0] if n > 0 else C.dtype.type(0)
            for j in range(1, n):
                total += A[i, j] * B[p, j]
            C[i, p] = total


@loops(noalias=True, forceinline=True)
def product_bt_transposed(C, A, B, m, k, n, work):
    """Set C[:m] (m, k) to A[:m] (m, n) times the copy of B (k, n) transposed, by BLAS."""
    write_transposed(part(work, 0, (n, k)), B, k, n)
    gemm(0, 0, m, k, n, 1, A, n, work, k, 0, C, k)


@loops(forceinline=True)
def product_bt_gemm(C, A, B, m, k, n, work):
    """Set C[:m] (m, k) to A[:m] (m, n) times B (k, n) transposed, by BLAS alone."""
    gemm(0, 1, m, k, n, 1, A, n, B, n, 0, C, k)


@loops(noalias=True)
def write_transposed(C, B, k, n):
    """Set C (n, k) to B (k, n) transposed, in squares of 8 that are turned in registers."""
    for p in range(0, k - 7, 8):
        for j in range(0, n - 7, 8):
            turn(C, j * k + p, k, B, p * n + j, n)
    for p in range(k):
        for j in range(n - n % 8 if p < k - k % 8 else 0, n):
            C[j, p] = B[p, j]
