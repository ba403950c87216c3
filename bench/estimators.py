"""The estimators beside scikit-learn's own networks, with default settings: scores and times.

    python -m bench.estimators [--splits 20] [--out bench/SKLEARN.md]

Both learn the same splits, one after the other and in turns first; each score and each time has its
pair. A process of its own measures the first fit where nothing is compiled, and where all is.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

from bench.environment import ROOT, machine, variables
from bench.text import seconds

DATA = ("digits", "breast_cancer", "wine", "diabetes")
UNITS = ("scaled", "raw")
FASTER = 3.0  # what the medians are to be, theirs over ours
NOISE = 2.0  # standard errors that a mean difference may be below zero


def main() -> int:
    """Measure, and write the page; return how many comparisons were lost."""
    asked = argparse.ArgumentParser(prog="python -m bench.estimators")
    asked.add_argument("--splits", type=int, default=20)
    asked.add_argument("--out", type=Path, default=ROOT / "bench" / "SKLEARN.md")
    asked.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    given = asked.parse_args()
    if given.child:
        print(json.dumps(CHILDREN[given.child[0]](*given.child[1:], given.splits)))
        return 0
    with tempfile.TemporaryDirectory() as cache:
        cold = {name: _child(cache, "first", name) for name in DATA}
        compiling = {name: _child(cache, "compile", name) for name in DATA}
        warm = {name: _child(cache, "first", name) for name in DATA}
        rows = []
        for name in DATA:
            for units in UNITS:
                pairs = _child(cache, "pairs", name, units, splits=given.splits)
                rows.append(_row(name, units, pairs))
                print(rows[-1]["text"], flush=True)
    given.out.write_text(_page(rows, cold, compiling, warm, given.splits))
    return sum(not row["kept"] for row in rows)


def _child(cache: str, *asked: str, splits: int = 20) -> Any:
    """Return what a process of its own measured, with one thread and this cache of programs."""
    command = [sys.executable, "-m", "bench.estimators", "--splits", str(splits), "--child", *asked]
    env = variables(1, PELLUCID_CACHE=cache)
    done = subprocess.run(command, cwd=ROOT, env=env, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


# -- what a process measures -----------------------------------------------------------------------


def _split(name: str, units: str, seed: int) -> Any:
    """Return X and y to learn from, X and y to be judged on."""
    from sklearn import datasets
    from sklearn.model_selection import train_test_split
    from sklearn.preprocessing import StandardScaler

    X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    classes = None if name == "diabetes" else y
    X, X_test, y, y_test = train_test_split(X, y, random_state=seed, stratify=classes)
    if units == "scaled":
        scaler = StandardScaler().fit(X)
        X, X_test = scaler.transform(X), scaler.transform(X_test)
    return X, y, X_test, y_test


def _kinds(name: str) -> tuple[Any, Any]:
    """Return our estimator and theirs."""
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    import pellucid as pc

    if name == "diabetes":
        return pc.PellucidRegressor, MLPRegressor
    return pc.PellucidClassifier, MLPClassifier


def _timed(estimator: Any, X: Any, y: Any) -> float:
    start = time.perf_counter()
    estimator.fit(X, y)
    return time.perf_counter() - start


def first(name: str, splits: int) -> list[float]:
    """Return the seconds of the first fits of this process, with default settings."""
    ours, _ = _kinds(name)
    return [_timed(ours(random_state=k), *_split(name, "scaled", k)[:2]) for k in range(3)]


def compiled(name: str, splits: int) -> float:
    """Return the seconds of a first fit that compiles; what it makes stays on the disk."""
    ours, _ = _kinds(name)
    return _timed(ours(random_state=0, backend="numba"), *_split(name, "scaled", 0)[:2])


def pairs(name: str, units: str, splits: int) -> list[list[float]]:
    """Return our score, their score, our seconds and their seconds of every split."""
    warnings.simplefilter("ignore")  # theirs warns where it has not converged
    found = []
    for seed in range(splits):
        X, y, X_test, y_test = _split(name, units, seed)
        both = [kind(random_state=seed) for kind in _kinds(name)]
        took = [0.0, 0.0]
        for k in (0, 1) if seed % 2 else (1, 0):
            took[k] = _timed(both[k], X, y)
        found.append([*(one.score(X_test, y_test) for one in both), *took])
    return found


CHILDREN = {"first": first, "compile": compiled, "pairs": pairs}


# -- what is made of it ----------------------------------------------------------------------------


def _row(name: str, units: str, found: list[list[float]]) -> dict[str, Any]:
    """Return one line of the table."""
    ours, theirs, our_time, their_time = map(list, zip(*found, strict=True))
    gains = [a - b for a, b in zip(ours, theirs, strict=True)]
    gain, error = statistics.fmean(gains), statistics.stdev(gains) / len(gains) ** 0.5
    times = statistics.median(our_time), statistics.median(their_time)
    good, fast = gain > -NOISE * error, times[1] / times[0] >= FASTER
    cells = [
        name.replace("_", " "), units, f"{statistics.fmean(ours):.4f}",
        f"{statistics.fmean(theirs):.4f}", f"{gain:+.4f} ± {error:.4f}", *map(seconds, times),
        f"{times[1] / times[0]:.1f}×", "yes" if good and fast else "**no**",
    ]  # fmt: skip
    return {"text": f"| {' | '.join(cells)} |", "kept": good and fast}


def _page(rows: Any, cold: Any, compiling: Any, warm: Any, splits: int) -> str:
    here = machine()
    versions = ", ".join(
        f"{k} {v}" for k, v in here["versions"].items() if k in ("numpy", "numba", "scikit-learn")
    )
    lines = [
        "# The estimators beside scikit-learn's networks, measured",
        "",
        f"Written by `make sklearn-bench`. {here['cpu']}, {here['cores']} cores, one thread for",
        f"each side; load {here['load']} at the end; Python {here['python']}, {versions}.",
        "",
        "`PellucidClassifier` and `PellucidRegressor` beside `MLPClassifier` and `MLPRegressor`,",
        f"all with default settings, on the same {splits} splits (a quarter of the rows to be",
        "judged on; classes in equal shares). Scores are accuracy, and R² for diabetes. The",
        "difference is the mean over the splits of ours less theirs, with its standard error.",
        "Times are medians of the wall time of `fit`, taken in turns in one process, with programs",
        f"on the disk (below). *Kept*: the difference is not below zero by more than {NOISE:g}",
        f"standard errors, and the median is at least {FASTER:g} times smaller. Scaled: by",
        "`StandardScaler`, as learned from the training rows; raw: as the data come. Ours",
        "standardizes by itself, so both are alike to it.",
        "",
        "| data | units | score | scikit-learn | difference | fit | scikit-learn | faster | kept |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        *(row["text"] for row in rows),
        "",
        "## The first fits of a process",
        "",
        "Tracing and printing a network takes longer than a small training, so a process does it",
        'once for equal settings. By default (`backend="auto"`) NumPy trains until, for settings',
        "that come again and again, compiling would have paid. Medians above are thus of compiled",
        "programs that were on the disk; a machine that has never compiled them trains with NumPy",
        "at first.",
        "",
        "| data | first, second, third fit, nothing on the disk | with programs on the disk "
        '| a first fit that compiles (`backend="numba"`) |',
        "| --- | --- | --- | --- |",
    ]
    for name in DATA:
        before, after = (", ".join(map(seconds, x[name])) for x in (cold, warm))
        lines.append(
            f"| {name.replace('_', ' ')} | {before} | {after} | {seconds(compiling[name])} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main())
