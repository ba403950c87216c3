"""Where it runs: the machine, versions, and variables that are the same for every contestant."""

from __future__ import annotations

import datetime
import importlib.metadata
import os
import platform
import shutil
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent

# They pin kernels, thread counts or compilers; whoever set one did not mean it for a comparison.
CLEARED = (
    "OPENBLAS_", "OMP_", "GOMP_", "KMP_", "MKL_", "BLIS_", "VECLIB_", "NUMBA_", "XLA_", "JAX_",
    "TORCH", "PYTORCH_", "PELLUCID_", "PYTHONDONTWRITEBYTECODE", "PYTHONOPTIMIZE",
)  # fmt: skip
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
PACKAGES = ("pellucid", "numpy", "scipy", "numba", "torch", "jax", "jaxlib", "scikit-learn")


def found() -> dict[str, str]:
    """Return the variables that were set and are cleared."""
    return {name: value for name, value in os.environ.items() if name.startswith(CLEARED)}


def variables(threads: int | None, **more: str) -> dict[str, str]:
    """Return the environment of a contestant; no thread count is set where `threads` is None."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(CLEARED)}
    counts = {} if threads is None else dict.fromkeys(THREADS, str(threads))
    quiet = {"JAX_PLATFORMS": "cpu", "PYTHONWARNINGS": "ignore", "PYTHONPATH": str(ROOT / "src")}
    return kept | counts | quiet | more


def cores() -> list[int]:
    """Return the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return sorted(os.sched_getaffinity(0))
    return list(range(os.cpu_count() or 1))


def stay_on(threads: int) -> None:
    """Keep this process on as many cores as it may have threads: the one setting XLA obeys."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores()[-threads:])


def processor() -> str:
    """Return the name of the CPU."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        fields = dict(
            (part.strip() for part in line.split(":", 1))
            for line in info.read_text().splitlines()
            if ":" in line
        )
        name = fields.get("model name", "unknown")
        wide = [flag for flag in ("avx2", "avx512f") if flag in fields.get("flags", "").split()]
        place = f"family {fields.get('cpu family', '?')}, model {fields.get('model', '?')}"
        return f"{name} ({', '.join([place, *wide])})"
    if platform.system() == "Darwin":
        asked = ["sysctl", "-n", "machdep.cpu.brand_string"]
        return subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
    return platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    """Return what is installed of the packages that matter."""
    installed = {}
    for name in PACKAGES:
        try:
            installed[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return installed


def compiler() -> str:
    """Return the path of a C++ compiler, or an empty text."""
    return next((path for name in ("g++", "clang++") if (path := shutil.which(name))), "")


def machine() -> dict[str, Any]:
    """Return what a reader must know about this run's machine."""
    return {
        "cpu": processor(),
        "cores": len(cores()),
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "python": platform.python_version(),
        "versions": versions(),
        "compiler": compiler(),
        "cleared": found(),
        "date": datetime.datetime.now().astimezone().isoformat(timespec="minutes"),
        "load": [round(x, 2) for x in os.getloadavg()] if hasattr(os, "getloadavg") else [],
    }
