"""Compiled programs: right results, machine code that comes from disk, and never a wrong one."""

from __future__ import annotations

import gc
import os
import stat
import subprocess
import sys
import textwrap
import threading
import time
import weakref
from pathlib import Path

import numpy as np
import pytest

from pellucid import jit, jit_blas, jit_cache
from pellucid.errors import ArgumentError, DtypeError, ShapeError
from pellucid.jit import Argument, Compiled, CompileError, Unit, cached, compiled

numba = pytest.importorskip("numba", reason="Numba is not installed")

F4, F8, I8, U8, B1 = (np.dtype(name) for name in ("f4", "f8", "i8", "u8", "?"))
POSIX = pytest.mark.skipif(os.name != "posix", reason="permissions are POSIX")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give each test a cache of its own, on disk and in memory."""
    monkeypatch.setenv("PELLUCID_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(jit, "_memory", type(jit._memory)())
    return tmp_path / "cache"


def scale(factor: float = 2.0) -> Unit:
    """Return a small program, another one for each factor."""
    source = f"@loops\ndef scale(x, n):\n    for i in range(n):\n        x[i] *= {factor}\n"
    return Unit(source, "scale", (Argument("x", F8, ("n",)), Argument("n", I8)))


def check_scale(program: Compiled, factor: float = 2.0) -> None:
    x = np.arange(5.0)
    assert program(x, 5) == 0
    assert x.tolist() == [factor * i for i in range(5)]


def run(code: str, **environment: str) -> str:
    """Run Python code in a process of its own; return what it prints."""
    here = {"PYTHONPATH": os.pathsep.join([str(Path(jit.__file__).parents[1])])}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(code)],
        capture_output=True,
        text=True,
        env=os.environ | here | environment,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return done.stdout.strip()


CHILD = f"""
import sys
import numpy as np
from pellucid.jit import Argument, Unit, compiled
unit = Unit({scale().source!r}, "scale",
            (Argument("x", np.dtype("f8"), ("n",)), Argument("n", np.dtype("i8"))))
program = compiled(unit)
x = np.arange(5.0)
program(x, 5)
print(program.origin, "numba" in sys.modules, "scipy" in sys.modules, x.sum())
"""


# -- what a program computes ---------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["f4", "f8", "i1", "u1", "i2", "u2", "i4", "u4", "i8", "u8"])
def test_numbers_and_arrays_of_every_dtype(dtype: str) -> None:
    source = (
        "@exact\ndef main(x, a, n):\n    for i in range(n):\n        x[i] = x[i] + a\n    return n"
    )
    kind = np.dtype(dtype)
    unit = Unit(
        source, "main", (Argument("x", kind, ("n",)), Argument("a", kind), Argument("n", I8))
    )
    x = np.arange(7).astype(kind)
    assert compiled(unit)(x, kind.type(3), 7) == 7
    assert x.tolist() == list(range(3, 10))


@pytest.mark.parametrize("flag", [False, True])
def test_booleans(flag: bool) -> None:
    source = "@exact\ndef main(x, flag):\n    x[1] = flag\n    return 5 if flag else 6"
    x = np.array([True, not flag])
    assert compiled(Unit(source, "main", (Argument("x", B1, (2,)), Argument("flag", B1))))(
        x, flag
    ) == (5 if flag else 6)
    assert x.tolist() == [True, flag]


def test_shapes_are_named_by_arguments_or_written_in_them() -> None:
    source = """
    @loops
    def main(a, b, c, rows, cols):
        for i in range(rows):
            for j in range(cols):
                c[i, j] = a[i, j] + b[i * cols + j]
        return a.shape[0] * 100 + a.shape[1] * 10 + b.shape[0]
    """
    unit = Unit(
        textwrap.dedent(source),
        "main",
        (
            Argument("a", F4, ("rows", "cols")),
            Argument("b", F4, ("rows * cols",)),
            Argument("c", F4, ("rows", "cols")),
            Argument("rows", I8),
            Argument("cols", I8),
        ),
    )
    a, b, c = np.ones((2, 3), F4), np.arange(6, dtype=F4), np.zeros((2, 3), F4)
    assert compiled(unit)(a, b, c, 2, 3) == 236
    assert c.tolist() == [[1, 2, 3], [4, 5, 6]]


def test_three_axes_and_none() -> None:
    source = "@exact\ndef main(x, y):\n    y[()] = x[1, 2, 3]"
    unit = Unit(source, "main", (Argument("x", F8, (2, 3, 4)), Argument("y", F8, ())))
    y = np.array(0.0)
    compiled(unit)(np.arange(24.0).reshape(2, 3, 4), y)
    assert y == 23


def test_a_kernel_of_its_own_and_constants() -> None:
    source = """
    HALF = np.float32(0.5)
    @kernel
    def half(x):
        return HALF * x
    @kernel(forceinline=True)
    def third(x):
        return x / np.float32(3)
    @loops
    def main(x, n):
        for i in range(n):
            x[i] = half(x[i]) + third(x[i])
    """
    x = np.full(9, 6, F4)
    arguments = Argument("x", F4, ("n",)), Argument("n", I8)
    compiled(Unit(textwrap.dedent(source), "main", arguments))(x, 9)
    assert x.tolist() == [5] * 9


def test_nan_is_seen_without_fast_flags_and_by_a_guard() -> None:
    source = """
    @exact
    def finite(x):
        return x - x == x - x
    @loops(noalias=True)
    def total(x, n):
        s = 0.0
        for i in range(n):
            s += x[i]
        return s
    @exact
    def main(x, n):
        return finite(total(x, n))
    """
    program = compiled(
        Unit(textwrap.dedent(source), "main", (Argument("x", F8, ("n",)), Argument("n", I8)))
    )
    assert program(np.ones(40), 40) == 1
    for bad in (np.nan, np.inf, -np.inf):
        assert program(np.r_[np.ones(39), bad], 40) == 0


@pytest.mark.parametrize("decorator", ["kernel", "exact", "loops"])
def test_no_decorator_takes_nan_and_infinity_away(decorator: str) -> None:
    source = f"""
    @{decorator}
    def main(x):
        if x != x:
            return 1
        return 2 if x - x != 0 else 3
    """
    program = compiled(Unit(textwrap.dedent(source), "main", (Argument("x", F8),)))
    assert [program(x) for x in (np.nan, np.inf, -np.inf, 1.0)] == [1, 2, 2, 3]


def test_dividing_by_zero_gives_infinity() -> None:
    source = "@exact\ndef main(x):\n    x[0] = 1.0 / x[0]"
    x = np.zeros(1)
    compiled(Unit(source, "main", (Argument("x", F8, (1,)),)))(x)
    assert x[0] == np.inf


NOALIAS = "def main(x, y, n):\n    for i in range(n):\n        y[i] = 2 * x[i]\n"


def test_noalias_leaves_the_check_for_overlap_out() -> None:
    arguments = Argument("x", F4, ("n",)), Argument("y", F4, ("n",)), Argument("n", I8)
    plain, promised = (
        Unit(f"{decorator}\n{NOALIAS}", "main", arguments)
        for decorator in ("@loops", "@loops(noalias=True)")
    )
    assert len(jit._object_code(promised)) < len(jit._object_code(plain))
    x, y = np.arange(100, dtype=F4), np.zeros(100, F4)
    compiled(promised)(x, y, 100)
    assert (y == 2 * x).all()


def test_a_part_of_an_array_is_seen_in_any_shape() -> None:
    source = """
    @loops
    def main(x, y, m, n):
        a = part(x, 1, (m, n))
        b = carray(address(x, 2), (m, n))
        c = part(x, 3, m)
        for i in range(m):
            for j in range(n):
                y[i, j] = a[i, j] + 10 * b[i, j] + 100 * c[i]
    """
    unit = Unit(
        textwrap.dedent(source),
        "main",
        (
            Argument("x", F8, (20,)),
            Argument("y", F8, ("m", "n")),
            Argument("m", I8),
            Argument("n", I8),
        ),
    )
    x, y = np.arange(20.0), np.zeros((2, 3))
    compiled(unit)(x, y, 2, 3)
    a, b, c = x[1:7].reshape(2, 3), x[2:8].reshape(2, 3), x[3:5, None]
    assert (y == a + 10 * b + 100 * c).all()


def test_select_chooses_without_a_branch() -> None:
    loop = "for i in range(n):\n        x[i] = select(x[i] < 0, 0.5, x[i])"
    source = f"@exact\ndef main(x, n):\n    {loop}\n"
    x = np.array([-1, 1, np.nan])
    compiled(Unit(source, "main", (Argument("x", F8, ("n",)), Argument("n", I8))))(x, 3)
    np.testing.assert_array_equal(x, [0.5, 1, np.nan])


# -- products ------------------------------------------------------------------------------------

GEMM = """
@exact
def main(ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc):
    {}(ta, tb, m, n, k, alpha, a, lda, address(b, 0), ldb, beta, part(c, 0, (m, ldc)), ldc)
"""


def gemm(dtype: np.dtype) -> Unit:
    numbers = {"alpha": dtype, "beta": dtype} | dict.fromkeys(
        ["m", "n", "k", "lda", "ldb", "ldc"], I8
    )
    names = ["ta", "tb", "m", "n", "k", "alpha", "a", "lda", "b", "ldb", "beta", "c", "ldc"]
    shapes = {"a": (1,), "b": (1,), "c": ("m * ldc",)}
    kinds = dict.fromkeys("abc", dtype) | {"ta": I8, "tb": B1} | numbers
    arguments = tuple(Argument(name, kinds[name], shapes.get(name)) for name in names)
    return Unit(GEMM.format("sgemm" if dtype == F4 else "dgemm"), "main", arguments)


@pytest.mark.parametrize("dtype", [F4, F8], ids=str)
def test_products_of_all_transposes(dtype: np.dtype) -> None:
    program, rng = compiled(gemm(dtype)), np.random.default_rng(0)
    m, n, k, wide = 5, 7, 11, 20
    for ta in (0, 1):
        for tb in (0, 1):
            a = rng.normal(size=(k, wide) if ta else (m, wide)).astype(dtype)
            b = rng.normal(size=(n, wide) if tb else (k, wide)).astype(dtype)
            c = rng.normal(size=(m, wide)).astype(dtype)
            left = a[:, :m].T if ta else a[:, :k]
            right = b[:, :k].T if tb else b[:, :n]
            expected = c.copy()
            expected[:, :n] = 2 * (left @ right) - c[:, :n]
            program(ta, tb, m, n, k, 2.0, a, wide, b, wide, -1.0, c, wide)
            np.testing.assert_allclose(c, expected, rtol=1e-5 if dtype == F4 else 1e-12, atol=1e-5)


def test_products_come_from_disk_without_numba_and_scipy() -> None:
    """SciPy's BLAS is for a NumPy without an OpenBLAS in its wheel."""
    unit = gemm(F8)
    compiled(unit)
    code = f"""
    import sys
    import numpy as np
    from numpy import dtype
    from pellucid.jit import Argument, Unit, compiled
    program = compiled({unit!r})
    a, b, c = np.arange(6.0), np.arange(6.0), np.zeros(4)
    program(0, 0, 2, 2, 3, 1.0, a, 3, b, 2, 0.0, c, 2)
    print(program.origin, "numba" in sys.modules, c.tolist())
    """
    assert run(code) == "disk False [10.0, 13.0, 28.0, 40.0]"


def test_scipys_products_serve_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("scipy", reason="SciPy is not installed")
    monkeypatch.setattr(jit_blas, "openblas", lambda package: "")
    jit_blas.blas.cache_clear()
    try:
        test_products_of_all_transposes(F4)
        assert jit_blas.blas_threads(None) == 0  # not ours to say
    finally:
        jit_blas.blas.cache_clear()


def test_blas_threads_are_set_and_put_back() -> None:
    before = jit.blas_threads(None)
    if before == 0:
        pytest.skip("NumPy's BLAS does not tell its threads")
    assert jit.blas_threads(1) == before
    assert jit.blas_threads(before) == 1
    assert jit.blas_threads(None) == before


# -- calling -------------------------------------------------------------------------------------


def test_a_bound_call_keeps_its_arrays_and_its_code() -> None:
    program, x = compiled(scale()), np.ones(3)
    call, gone = program.bind(x, 3), weakref.ref(x)
    del x, program
    jit.clear()
    gc.collect()
    assert gone() is not None
    assert call() == 0
    assert call() == 0
    assert gone().tolist() == [4, 4, 4]
    del call
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize(
    ("args", "error", "says"),
    [
        ((np.zeros(3), 4), ShapeError, "x is too small"),
        ((np.zeros(3), -1), ShapeError, "x is too small"),
        ((np.zeros(3, F4), 3), DtypeError, "x is an array of float64, got float32"),
        (([1.0, 2.0], 2), DtypeError, "got list"),
        ((np.zeros(6)[::2], 3), ArgumentError, "not C-contiguous"),
        ((np.zeros(3),), ArgumentError, "takes 2 arguments, got 1"),
        ((np.zeros(3), 2**70), ShapeError, "x is too small"),
        ((np.zeros(3), "three"), DtypeError, "n is int64, got 'three'"),
        ((np.zeros(3), 1.5), DtypeError, "n is int64, got 1.5"),
    ],
)
def test_unfit_arguments_are_refused(args: tuple, error: type, says: str) -> None:
    with pytest.raises(error, match=says):
        compiled(scale())(*args)


def test_an_unfit_number_is_refused() -> None:
    program = compiled(Unit("@exact\ndef main(a):\n    return 1", "main", (Argument("a", F4),)))
    with pytest.raises(DtypeError, match="unfit"):
        program(1e300)
    with pytest.raises(DtypeError, match="a is float32"):
        program("a")


def test_an_unknown_dtype_is_refused() -> None:
    with pytest.raises(CompileError):
        compiled(
            Unit("@exact\ndef main(a):\n    return 1", "main", (Argument("a", np.dtype("O")),))
        )


def test_the_gil_is_released() -> None:
    source = """
    @exact
    def main(flags, mine, theirs):
        flags[mine] = 1
        for i in range(2_000_000_000):
            if flags[theirs] != 0:
                return 1
            flags[2 + mine] = i
        return 0
    """
    ints = tuple(Argument(name, I8) for name in ("mine", "theirs"))
    program = compiled(Unit(textwrap.dedent(source), "main", (Argument("flags", I8, (4,)), *ints)))
    flags, met = np.zeros(4, I8), []
    threads = [
        threading.Thread(target=lambda a, b: met.append(program(flags, a, b)), args=pair)
        for pair in ((0, 1), (1, 0))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert met == [1, 1]


def test_one_program_in_many_threads() -> None:
    program, arrays = compiled(scale()), [np.full(1000, i, F8) for i in range(8)]
    threads = [
        threading.Thread(target=lambda x: [program(x, 1000) for _ in range(20)], args=(x,))
        for x in arrays
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i, x in enumerate(arrays):
        assert (x == i * 2.0**20).all()


def test_many_threads_compile_one_program_once() -> None:
    origins: list[str] = []
    threads = [
        threading.Thread(target=lambda: origins.append(compiled(scale()).origin)) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(origins) == ["compiled", "memory", "memory", "memory"]


# -- programs that cannot be ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        "y = np.empty(n)\n    x[0] = y[0]",
        "print(n)",
        "x[0] = undefined",
        "x[0] = x.T.copy()[0]",
        "return 'text'",
        "return 1.5j",
        "syntax error",
    ],
)
def test_what_needs_python_is_refused(body: str, folder: Path) -> None:
    unit = Unit(f"@exact\ndef scale(x, n):\n    {body}\n", "scale", scale().arguments)
    with pytest.raises(CompileError, match="scale"):
        compiled(unit)
    assert not cached(unit)
    assert not list(folder.glob("*"))


@pytest.mark.parametrize(
    ("body", "needs"),
    [("print(n)", "numba_gil_ensure"), ("x[0] = x.reshape(1, n)[0, 0]", "numba_attempt_nocopy")],
)
def test_what_needs_numbas_runtime_is_refused_before_it_is_linked(
    body: str, needs: str, capfd: pytest.CaptureFixture[str]
) -> None:
    unit = Unit(f"@exact\ndef scale(x, n):\n    {body}\n", "scale", scale().arguments)
    with pytest.raises(CompileError, match=f"scale needs .*{needs}"):
        compiled(unit)
    assert capfd.readouterr() == ("", "")


def test_a_program_that_raises_says_so() -> None:
    body = "if n > 3:\n        raise ValueError('too many')\n    return n"
    source = f"@exact\ndef scale(x, n):\n    {body}\n"
    program = compiled(Unit(source, "scale", scale().arguments))
    assert program(np.zeros(3), 3) == 3
    with pytest.raises(CompileError, match="stopped with an error"):
        program(np.zeros(4), 4)


def test_an_error_quotes_the_line() -> None:
    unit = Unit("@exact\ndef scale(x, n):\n    return n.nonsense\n", "scale", scale().arguments)
    with pytest.raises(CompileError, match=r"return n\.nonsense"):
        compiled(unit)


def test_numba_is_left_as_it_was() -> None:
    compiled(scale())

    @numba.njit
    def double(x):
        return [2 * i for i in x]  # needs Numba's runtime

    assert double(np.arange(3)) == [0, 2, 4]
    compiled(scale(3))
    assert gc.isenabled()


# -- the cache -----------------------------------------------------------------------------------


def test_from_memory_from_disk_and_compiled(folder: Path) -> None:
    unit = scale()
    assert not cached(unit)
    program = compiled(unit)
    assert program.origin == "compiled"
    assert program.seconds > 0
    assert cached(unit)
    assert compiled(unit).origin == "memory"
    jit._memory.clear()
    assert cached(unit)
    again = compiled(unit)
    assert again.origin == "disk"
    check_scale(again)
    assert [path.suffix for path in folder.iterdir()] == [".object"]


def test_another_process_needs_no_numba() -> None:
    assert run(CHILD).startswith("compiled True")
    assert run(CHILD) == "disk False False 20.0"


def test_importing_asking_and_clearing_import_no_numba() -> None:
    code = """
    import sys
    from pellucid import jit
    print("llvmlite" in sys.modules, jit.available())
    unit = jit.Unit("", "main", ())
    print(jit.cached(unit), jit.clear())
    print("numba" in sys.modules, "scipy" in sys.modules)
    """
    assert run(code).split("\n") == ["False ", "False (0, 0)", "False False"]


def test_two_processes_at_once() -> None:
    children = [
        subprocess.Popen(
            [sys.executable, "-c", CHILD],
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(Path(jit.__file__).parents[1])},
        )
        for _ in range(2)
    ]
    for child in children:
        out, _ = child.communicate()
        assert child.returncode == 0
        assert out.strip().endswith("20.0")
    assert compiled(scale()).origin == "disk"


def only(folder: Path) -> Path:
    (path,) = folder.glob("*.object")
    return path


def test_every_flipped_byte_is_noticed(folder: Path) -> None:
    compiled(scale())
    path = only(folder)
    key, data = path.stem, path.read_bytes()
    assert jit_cache.read(key)
    for i in range(len(data)):
        broken = bytearray(data)
        broken[i] ^= 1 << i % 8
        assert jit_cache._unsealed(key, bytes(broken)) is None, i
    path.write_bytes(broken)
    jit._memory.clear()
    program = compiled(scale())
    assert program.origin == "compiled"
    check_scale(program)
    assert path.read_bytes()[:50] == data[:50]  # written anew
    assert jit_cache.read(key)


@pytest.mark.parametrize("length", [0, 1, 17, 18, 50, 81, 82, 83, 400, -1])
def test_a_truncated_file_is_noticed(folder: Path, length: int) -> None:
    compiled(scale())
    path = only(folder)
    path.write_bytes(path.read_bytes()[:length])
    jit._memory.clear()
    assert not cached(scale())
    assert compiled(scale()).origin == "compiled"
    jit._memory.clear()
    assert compiled(scale()).origin == "disk"


def test_more_than_was_written_is_noticed(folder: Path) -> None:
    compiled(scale())
    path = only(folder)
    path.write_bytes(path.read_bytes() + b"\0")
    assert jit_cache.read(path.stem) is None


def test_another_programs_code_is_noticed(folder: Path) -> None:
    compiled(scale())
    path = only(folder)
    compiled(scale(3))
    (other,) = set(folder.iterdir()) - {path}
    path.write_bytes(other.read_bytes())
    jit._memory.clear()
    program = compiled(scale())
    assert program.origin == "compiled"
    check_scale(program)


@pytest.mark.parametrize("kind", ["directory", "link", "pipe"])
@POSIX
def test_something_else_in_its_place(folder: Path, kind: str) -> None:
    compiled(scale())
    path = only(folder)
    data = path.read_bytes()
    path.unlink()
    if kind == "directory":
        path.mkdir()
    elif kind == "pipe":
        os.mkfifo(path)
    else:
        (folder / "elsewhere").write_bytes(data)
        path.symlink_to(folder / "elsewhere")
    jit._memory.clear()
    assert not cached(scale())
    program = compiled(scale())
    assert program.origin == "compiled"
    check_scale(program)
    assert not list(folder.glob("*.part"))


@POSIX
@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777])
def test_a_folder_that_others_can_write_is_not_used(folder: Path, mode: int) -> None:
    compiled(scale())
    folder.chmod(mode)
    jit._memory.clear()
    assert not cached(scale())
    assert compiled(scale()).origin == "compiled"
    compiled(scale(3))
    assert len(list(folder.iterdir())) == 1


@POSIX
@pytest.mark.parametrize("mode", [0o620, 0o602])
def test_a_file_that_others_can_write_is_not_used(folder: Path, mode: int) -> None:
    compiled(scale())
    only(folder).chmod(mode)
    jit._memory.clear()
    assert compiled(scale()).origin == "compiled"
    assert stat.S_IMODE(only(folder).stat().st_mode) == 0o600


@POSIX
def test_a_file_of_somebody_else_is_not_used(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiled(scale())
    monkeypatch.setattr(os, "geteuid", lambda: 12345)
    jit._memory.clear()
    assert compiled(scale()).origin == "compiled"


@POSIX
def test_the_folder_is_private(folder: Path) -> None:
    compiled(scale())
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(only(folder).stat().st_mode) == 0o600


@POSIX
def test_a_folder_that_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file" / "cache", tmp_path / "file", Path("/proc/cache")):
        monkeypatch.setenv("PELLUCID_CACHE", str(place))
        jit._memory.clear()
        assert not cached(scale())
        program = compiled(scale())
        assert program.origin == "compiled"
        check_scale(program)
        assert jit.clear() == (0, 0)


@POSIX
@pytest.mark.skipif(os.name == "posix" and os.geteuid() == 0, reason="root writes everywhere")
def test_a_read_only_folder(folder: Path) -> None:
    folder.mkdir(mode=0o500)
    assert compiled(scale()).origin == "compiled"
    assert not list(folder.iterdir())


@pytest.mark.parametrize("name", ["replace", "open", "mkdir", "write"])
def test_a_full_or_read_only_disk(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise OSError(28, "No space left on device")

    folder.mkdir(mode=0o700)
    with monkeypatch.context() as patch:
        if name == "mkdir":
            patch.setattr(Path, "mkdir", fail)
        elif name == "write":
            patch.setattr(jit_cache, "open", fail, raising=False)
        else:
            patch.setattr(jit_cache.os, name, fail)
        jit_cache.write("00" * 32, b"code")
    assert not list(folder.glob("*.object"))
    assert not list(folder.glob("*.part"))


def test_clear_removes_files_and_memory(folder: Path) -> None:
    compiled(scale())
    compiled(scale(3))
    (folder / "note.txt").write_text("not ours")
    size = sum(path.stat().st_size for path in folder.glob("*.object"))
    assert jit.clear() == (2, size)
    assert [path.name for path in folder.iterdir()] == ["note.txt"]
    assert not cached(scale())
    assert jit.clear() == (0, 0)


def test_the_longest_unused_go_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [f"{i:064x}" for i in range(4)]
    for i, key in enumerate(keys[:3]):
        jit_cache.write(key, b"x" * 1000)
        os.utime(folder / f"{key}.object", (1000 + i, 1000 + i))
    assert jit_cache.read(keys[0])  # used now
    monkeypatch.setattr(jit_cache, "CAP", 3500)
    jit_cache.write(keys[3], b"x" * 1000)
    kept = {path.stem for path in folder.iterdir()}
    assert kept == {keys[0], keys[2], keys[3]}


def test_what_a_stopped_process_left_is_removed(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    for name, age in (("old.part", 7200), ("new.part", 10)):
        (folder / name).write_text("half")
        os.utime(folder / name, (time.time() - age,) * 2)
    jit_cache.write("00" * 32, b"code")
    assert {path.name for path in folder.iterdir()} == {"new.part", f"{'00' * 32}.object"}


def test_the_folder_is_where_the_system_has_such(monkeypatch: pytest.MonkeyPatch) -> None:
    assert str(jit.cache_folder()) == os.environ["PELLUCID_CACHE"]
    monkeypatch.delenv("PELLUCID_CACHE")
    monkeypatch.setattr(Path, "home", lambda: Path("/home/me"))
    monkeypatch.setenv("LOCALAPPDATA", "/local")
    monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
    places = {"linux": "/xdg/pellucid", "win32": "/local/pellucid/cache"}
    places["darwin"] = "/home/me/Library/Caches/pellucid"
    for platform, place in places.items():
        monkeypatch.setattr(sys, "platform", platform)
        assert jit.cache_folder() == Path(place)
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert jit.cache_folder() == Path("/home/me/.cache/pellucid")


def test_no_home_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    for name in ("PELLUCID_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", homeless)
    jit_cache.write("00" * 32, b"code")
    assert jit_cache.read("00" * 32) is None
    assert jit.clear() == (0, 0)


def test_all_that_matters_is_in_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    unit = scale()
    x, n = unit.arguments
    others = [
        Unit(unit.source + " ", unit.entry, unit.arguments),
        Unit(unit.source, "other", unit.arguments),
        Unit(unit.source, unit.entry, (Argument("x", F4, ("n",)), n)),
        Unit(unit.source, unit.entry, (Argument("x", F8, (3,)), n)),
        Unit(unit.source, unit.entry, (x, Argument("m", I8))),
    ]
    keys = {jit._key(u) for u in (unit, *others)}
    monkeypatch.setenv("NUMBA_BOUNDSCHECK", "1")
    keys.add(jit._key(unit))
    monkeypatch.delenv("NUMBA_BOUNDSCHECK")
    for i in range(len(jit._machine())):
        changed = list(jit._machine())
        changed[i] = "other"
        monkeypatch.setattr(jit, "_machine", lambda: tuple(changed))  # noqa: B023
        keys.add(jit._key(unit))
        monkeypatch.undo()
    assert len(keys) == 1 + len(others) + 1 + len(jit._machine())


def test_versions_are_read_without_importing() -> None:
    assert jit._version("numba") == numba.__version__
    assert jit._version("no_such_package") == ""


def test_available_says_why_not(monkeypatch: pytest.MonkeyPatch) -> None:
    assert jit.available() == ""
    with monkeypatch.context() as patch:
        patch.setattr(jit, "_version", lambda package: "")
        assert "pip install numba" in jit.available()
        assert not cached(scale())
        with pytest.raises(CompileError, match="pip install numba"):
            compiled(scale())
        patch.setattr(jit, "_version", lambda package: "0.50.1")
        assert "too old" in jit.available()
    with monkeypatch.context() as patch:
        patch.setenv("NUMBA_DISABLE_JIT", "1")
        assert "unset NUMBA_DISABLE_JIT" in jit.available()
    monkeypatch.setattr(jit, "openblas", lambda package: "")
    monkeypatch.setattr(jit, "folder", lambda package: None if package == "scipy" else Path())
    assert "pip install scipy" in jit.available()


def test_code_that_cannot_be_linked_is_compiled_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled(scale())
    jit._memory.clear()
    linked, calls = jit._linked, []

    def once(unit: Unit, code: bytes) -> object:
        calls.append(code)
        if len(calls) == 1:
            raise RuntimeError("Symbols not found: [ expf ]")
        return linked(unit, code)

    monkeypatch.setattr(jit, "_linked", once)
    program = compiled(scale())
    assert program.origin == "compiled"
    check_scale(program)


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jit, "KEPT", 2)
    first = compiled(scale(1))
    compiled(scale(2))
    compiled(scale(3))
    assert len(jit._memory) == 2
    check_scale(first, 1)
    assert compiled(scale(1)).origin == "disk"  # and 2 goes
    assert compiled(scale(3)).origin == "memory"
    assert compiled(scale(2)).origin == "disk"  # and 1 goes, for 3 was used since
    assert compiled(scale(3)).origin == "memory"
