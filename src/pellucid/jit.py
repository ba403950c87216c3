"""Compile a generated program once, keep its machine code on disk, and call it.

From disk it takes llvmlite alone, and some 20 ms; Numba is imported only to compile.
"""

from __future__ import annotations

import ctypes
import hashlib
import itertools
import linecache
import os
import struct
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from math import prod
from operator import index
from pathlib import Path
from typing import Any, Literal

import numpy as np

from pellucid import jit_cache
from pellucid.errors import ArgumentError, DtypeError, PellucidError, ShapeError
from pellucid.jit_blas import blas, blas_threads, folder, openblas
from pellucid.jit_cache import cache_folder, stored

__all__ = [
    "Argument",
    "CompileError",
    "Compiled",
    "Unit",
    "available",
    "blas_threads",
    "cache_folder",
    "cached",
    "clear",
    "compiled",
    "stored",
]

Origin = Literal["memory", "disk", "compiled"]

SYMBOL = "pellucid_entry"
FAILED = -(2**63)  # what the machine code returns when the program raised
OLDEST = (0, 61)  # the first Numba whose internals are those that jit_numba knows
KEPT = 256  # programs in memory
PLAIN = "a program computes on arrays that it is given: no allocation, no print, no Python objects"


class CompileError(PellucidError, RuntimeError):
    """A program cannot be compiled, or stopped with an error."""


@dataclass(frozen=True)
class Argument:
    """One argument of a program: a number (shape None), or a C-contiguous array.

    A length in the shape is an integer, or an expression in the program's integer arguments.
    """

    name: str
    dtype: np.dtype[Any]
    shape: tuple[int | str, ...] | None = None


@dataclass(frozen=True)
class Unit:
    """A program to compile: its text, the function to call, and that function's arguments."""

    source: str
    entry: str
    arguments: tuple[Argument, ...]


def available() -> str:
    """Return "" if programs can be compiled here, else the reason and what to do."""
    found = _version("numba")
    if not found:
        return "Numba is not installed: pip install numba"
    if tuple(int(part) for part in found.split(".")[:2]) < OLDEST:
        return f'Numba {found} is too old: pip install "numba>={".".join(map(str, OLDEST))}"'
    if jit_cache.disabled():
        return "Numba is switched off: unset NUMBA_DISABLE_JIT"
    if not openblas("numpy") and not folder("scipy"):
        return "SciPy is not installed, and this NumPy has no OpenBLAS: pip install scipy"
    return ""


_lock = threading.RLock()
_memory: OrderedDict[str, Any] = OrderedDict()  # linked machine code, the last used last


def compiled(unit: Unit) -> Compiled:
    """Return the program ready to be called: from memory, from disk, or compiled now."""
    start = time.perf_counter()
    if reason := available():
        raise CompileError("programs cannot be compiled here", reason)
    with _lock:
        key = _key(unit)
        origin, library = _obtain(unit, key)
        _memory[key] = library
        _memory.move_to_end(key)
        while len(_memory) > KEPT:
            _memory.popitem(last=False)
    return Compiled(unit, library, time.perf_counter() - start, origin)


def cached(unit: Unit) -> bool:
    """Tell whether the program would come from memory or from disk."""
    if available():
        return False
    key = _key(unit)
    return key in _memory or jit_cache.read(key) is not None


def clear() -> tuple[int, int]:
    """Remove the compiled programs from disk and memory; return how many files and bytes went."""
    with _lock:
        _memory.clear()
    return jit_cache.clear()


def _obtain(unit: Unit, key: str) -> tuple[Origin, Any]:
    if key in _memory:
        return "memory", _memory[key]
    code = jit_cache.read(key)
    if code is not None:
        with suppress(RuntimeError):  # a function it calls is not in this process: compile anew
            return "disk", _linked(unit, code)
    code = _object_code(unit)
    try:
        library = _linked(unit, code)
    except RuntimeError as error:
        raise CompileError(f"{unit.entry} cannot be linked: {error}", PLAIN) from error
    jit_cache.write(key, code)  # only what has been linked
    return "compiled", library


def _object_code(unit: Unit) -> bytes:
    """Compile the program; its text stays readable for the traceback of an error."""
    file = f"<pellucid {unit.entry} {hashlib.sha256(unit.source.encode()).hexdigest()[:12]}>"
    linecache.cache[file] = (len(unit.source), None, unit.source.splitlines(True), file)
    try:
        from pellucid import jit_numba

        code = jit_numba.object_code(unit, compile(unit.source, file, "exec"))
    except PellucidError:
        raise
    except Exception as error:  # Numba has many, and its internals may have changed
        raise CompileError(f"{unit.entry} cannot be compiled: {error}", PLAIN) from error
    linecache.cache.pop(file, None)
    return code


_count = itertools.count()


@cache
def _linker() -> Any:
    import llvmlite.binding as llvm

    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.create_lljit_compiler()


def _linked(unit: Unit, code: bytes) -> Any:
    """Link object code into this process; RuntimeError if a function it calls is not there."""
    import llvmlite.binding as llvm

    builder = llvm.JITLibraryBuilder().add_object_img(code).add_current_process()
    for name in ("sgemm", "dgemm"):
        if name in unit.source:
            builder.import_symbol(f"pellucid_{name}", blas(name))
    return builder.export_symbol(SYMBOL).link(_linker(), f"pellucid_{next(_count)}")


# -- calling -------------------------------------------------------------------------------------


class Compiled:
    """A program in machine code: calling it releases the GIL, from any number of threads."""

    def __init__(self, unit: Unit, library: Any, seconds: float, origin: Origin) -> None:
        self.unit, self.seconds, self.origin = unit, seconds, origin
        self._library = library  # unloaded when nobody holds it any more
        self._call = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_char_p)(library[SYMBOL])
        self._slots = struct.Struct("=" + "".join(map(_slots, unit.arguments)))
        shapes = [a.shape for a in unit.arguments if a.shape is not None]
        text = "".join("(" + "".join(f"({d}), " for d in shape) + "), " for shape in shapes)
        names = ", ".join(a.name for a in unit.arguments if a.shape is None)
        self._shapes = eval(f"lambda {names}: ({text})", {"__builtins__": {}})

    def __call__(self, *args: Any) -> int:
        """Run the program on arrays and numbers."""
        return self.bind(*args)()

    def bind(self, *args: Any) -> Callable[[], int]:
        """Return the call with these arguments, which it keeps alive."""
        call, slots, entry = self._call, self._converted(args), self.unit.entry

        def bound() -> int:
            result: int = call(slots)
            if result == FAILED:
                raise CompileError(f"{entry} stopped with an error", "the backend 'numpy' shows it")
            return result

        bound.__dict__["keeps"] = self, args
        return bound

    def _converted(self, args: tuple[Any, ...]) -> bytes:
        """Return the arguments as the eight-byte slots that the machine code reads."""
        arguments, entry = self.unit.arguments, self.unit.entry
        if len(args) != len(arguments):
            what = f"{entry} takes {len(arguments)} arguments, got {len(args)}"
            raise ArgumentError(what, ", ".join(a.name for a in arguments))
        pairs = [
            (argument, value if argument.shape is not None else _number(argument, value))
            for argument, value in zip(arguments, args, strict=True)
        ]
        shapes = iter(self._shapes(*(x for a, x in pairs if a.shape is None)))
        values: list[Any] = []
        for argument, value in pairs:
            if argument.shape is None:
                values.append(value)
            else:
                shape = next(shapes)
                values += [_pointer(argument, value, shape), *shape]
        try:
            return self._slots.pack(*values)
        except (struct.error, OverflowError) as error:
            raise DtypeError(f"a number is unfit for {entry}: {error}", "its dtype") from error


def _number(argument: Argument, value: Any) -> bool | int | float:
    """Return a number as Python's own of the argument's kind; nothing is rounded to an integer."""
    kind = argument.dtype.kind
    try:
        return bool(value) if kind == "b" else float(value) if kind == "f" else index(value)
    except (TypeError, ValueError) as error:
        what = f"{argument.name} is {argument.dtype}, got {value!r}"
        raise DtypeError(what, "a number of that kind") from error


_LETTERS = {"b1": "?", "i1": "b", "i2": "h", "i4": "i", "i8": "q"}
_LETTERS |= {f"u{code[1]}": letter.upper() for code, letter in _LETTERS.items() if code[0] == "i"}
_LETTERS |= {"f4": "f", "f8": "d"}


def _slots(argument: Argument) -> str:
    """Return the struct format of an argument's slots: a pointer and the lengths, or a number."""
    if argument.shape is not None:
        return "Q" + "q" * len(argument.shape)
    kind, size = argument.dtype.kind, argument.dtype.itemsize
    letter = _LETTERS.get(f"{kind}{size}")
    if letter is None:
        raise DtypeError(f"{argument.name} is {argument.dtype}", f"one of {', '.join(_LETTERS)}")
    return letter + (f"{8 - size}x" if size < 8 else "")


def _pointer(argument: Argument, value: Any, shape: tuple[int, ...]) -> int:
    """Return the address of an array, checked: machine code would not notice a wrong one."""
    name, dtype = argument.name, argument.dtype
    if not isinstance(value, np.ndarray) or value.dtype != dtype:
        kind = getattr(value, "dtype", type(value).__name__)
        raise DtypeError(f"{name} is an array of {dtype}, got {kind}", f"{name}.astype({dtype})")
    if not (value.flags.c_contiguous and value.flags.aligned):
        raise ArgumentError(f"{name} is not C-contiguous", f"np.ascontiguousarray({name})")
    if value.size < prod(shape) or min(shape, default=0) < 0:
        raise ShapeError(f"{name} is too small: {value.shape}, not {shape}", "the lengths given")
    return int(value.__array_interface__["data"][0])


# -- the key -------------------------------------------------------------------------------------


def _key(unit: Unit) -> str:
    """Return the program's name on this machine: a digest of all that its code depends on."""
    arguments = [(a.name, a.dtype.str, a.shape) for a in unit.arguments]
    known = _machine(), jit_cache.settings(), unit.source, unit.entry, arguments
    return hashlib.sha256(repr(known).encode()).hexdigest()


@cache
def _machine() -> tuple[object, ...]:
    """Return processor, versions, and our own text, for the compiler's flags stand in it."""
    import llvmlite
    import llvmlite.binding as llvm

    own = [Path(__file__).with_name(name).read_bytes() for name in ("jit.py", "jit_numba.py")]
    cpu = llvm.get_process_triple(), llvm.get_host_cpu_name(), llvm.get_host_cpu_features()
    versions = _version("numba"), llvmlite.__version__, np.__version__, sys.version_info[:2]
    return hashlib.sha256(b"".join(own)).hexdigest(), *map(str, cpu), versions


@cache
def _version(package: str) -> str:
    """Return a package's version, or "", without importing it; importlib.metadata takes 15 ms."""
    home = folder(package)
    if home is None:
        return ""
    for entry in os.listdir(home.parent):
        if entry.startswith(f"{package}-") and entry.endswith(".dist-info"):
            return entry.removeprefix(f"{package}-").removesuffix(".dist-info")
    from importlib.metadata import version

    return version(package)
