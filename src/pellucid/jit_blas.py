"""The BLAS that compiled programs call: the one that NumPy brings, or else SciPy's."""

from __future__ import annotations

import ctypes
import os
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any


def folder(package: str) -> Path | None:
    """Return where a package is installed, without importing it."""
    spec = find_spec(package)
    return Path(spec.origin).parent if spec and spec.origin else None


@cache
def openblas(package: str) -> str:
    """Return the path of the OpenBLAS in the wheel of NumPy or SciPy, or ""."""
    home = folder(package)
    for place in (home.parent / f"{package}.libs", home / ".dylibs") if home else ():
        with suppress(OSError):
            for name in sorted(os.listdir(place)):
                if "scipy_openblas" in name:
                    return str(place / name)
    return ""


def _bundled(package: str, *names: str) -> Any:
    """Return the first of these functions that the wheel's OpenBLAS has, or None."""
    if path := openblas(package):
        with suppress(OSError):
            library = ctypes.CDLL(path)
            for name in names:
                if function := getattr(library, name, None):
                    return function
    return None


@cache
def blas(name: str) -> int:
    """Return the address of a BLAS function in Fortran's convention.

    NumPy's is in the process already; SciPy's takes 0.1 s to import. Integers of 32 and 64 bits
    need no distinction: a 64-bit one in memory starts, on all machines in use, with its low half.
    """
    function = _bundled("numpy", f"scipy_{name}_64_", f"scipy_{name}_")
    if function is not None:
        return ctypes.cast(function, ctypes.c_void_p).value or 0
    from scipy.linalg import cython_blas

    get, get_name = ctypes.pythonapi.PyCapsule_GetPointer, ctypes.pythonapi.PyCapsule_GetName
    get.restype, get.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    get_name.restype, get_name.argtypes = ctypes.c_char_p, [ctypes.py_object]
    capsule = cython_blas.__pyx_capi__[name]
    return int(get(capsule, get_name(capsule)))


def blas_threads(n: int | None) -> int:
    """Set the number of BLAS threads (None: leave it); return what it was, 0 if that is unknown.

    It is NumPy's own BLAS, as a rule, so NumPy's products get as many: put the number back.
    """
    package = "numpy" if openblas("numpy") else "scipy"
    get, put = (
        _bundled(package, *(f"scipy_openblas_{verb}_num_threads{end}" for end in ("64_", "")))
        for verb in ("get", "set")
    )
    if get is None or put is None:
        return 0
    before = int(get())
    if n is not None:
        put(int(n))
    return before
