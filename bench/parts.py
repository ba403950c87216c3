"""Parts timed alone: `make bench-parts`, or `python -m bench.parts [digits] [import] …`.

Needs NumPy only. What is compared runs alternately, and medians are shown: a machine that does
other things at the same time slows both sides alike.
"""

from __future__ import annotations

import itertools
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

# One BLAS thread, no kernel chosen by hand, and byte code on disk, as where a package is installed.
FIXED = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
UNSET = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "PYTHONDONTWRITEBYTECODE")
ENVIRONMENT = {k: v for k, v in os.environ.items() if k not in UNSET} | FIXED

Row = tuple[str, str]
Step = Callable[[], Any]


def main(chosen: list[str]) -> int:
    """Run the chosen benchmarks, all where none is chosen."""
    if dict(os.environ) != ENVIRONMENT:  # BLAS reads them when NumPy is imported: start again
        again = [sys.executable, "-m", "bench.parts", *chosen]
        return subprocess.run(again, env=ENVIRONMENT, check=False).returncode
    unknown = set(chosen) - set(BENCHMARKS)
    if unknown:
        print(f"unknown: {', '.join(sorted(unknown))}; known: {', '.join(BENCHMARKS)}")
        return 2
    for name in chosen or BENCHMARKS:
        for what, figure in BENCHMARKS[name]():
            print(f"{what:<58}{figure:>22}", flush=True)
    return 0


# -- digits --------------------------------------------------------------------------------------


def digits(splits: int = 20) -> Iterator[Row]:
    """Train the network of the demonstration on many splits."""
    from pellucid import data
    from pellucid.demo import EPOCHS, reader, trained

    shares, seconds = [], []
    for seed in range(splits):
        X, y, X_test, y_test = data.split(*data.digits(), test=0.2, seed=seed)
        model = reader(seed)
        start = time.perf_counter()
        trained(model, X, y, EPOCHS, (X_test, y_test))
        seconds.append(time.perf_counter() - start)
        shares.append(model.evaluate(X_test, y_test)["accuracy"])
    yield f"digits, {splits} splits: accuracy on the held-out fifth, median", percent(shares)
    yield "  worst", f"{min(shares):.2%}"
    yield f"  seconds to train {EPOCHS} epochs, median", f"{statistics.median(seconds):.2f} s"


def percent(shares: list[float]) -> str:
    return f"{statistics.median(shares):.2%}"


# -- import --------------------------------------------------------------------------------------

TIMED = "import time; t = time.perf_counter(); {}; print(time.perf_counter() - t)"


def imports(rounds: int = 15) -> Iterator[Row]:
    """Time imports in fresh processes; the first of each is thrown away."""
    whats = "import numpy", "import pellucid", "import pellucid; pellucid.Sequential"
    found: dict[str, list[float]] = {what: [] for what in whats}
    for _ in range(rounds + 1):
        for what, seconds in found.items():
            seconds.append(_seconds(what))
    medians = {what: statistics.median(seconds[1:]) for what, seconds in found.items()}
    for what, seconds in medians.items():
        yield what, f"{seconds * 1e3:.0f} ms"
        if what != whats[0]:
            yield "  times that of NumPy (at most 1.5)", f"{seconds / medians[whats[0]]:.2f}"


def _seconds(statement: str) -> float:
    import pellucid

    path = {"PYTHONPATH": str(Path(pellucid.__file__).parent.parent)}
    command = [sys.executable, "-c", TIMED.format(statement)]
    done = subprocess.run(
        command, env=ENVIRONMENT | path, capture_output=True, text=True, check=True
    )
    return float(done.stdout)


# -- steps ---------------------------------------------------------------------------------------


def steps() -> Iterator[Row]:
    """Time a training step against the one that a person writes by hand."""
    for name, ours, theirs in (_xor(), _digits()):
        mine, hand = alternately(ours, theirs)
        yield f"a step of {name}", f"{mine * 1e6:.1f} µs"
        yield "  by hand in NumPy", f"{hand * 1e6:.1f} µs"
        yield "  ratio", f"{mine / hand:.2f}"


def alternately(one: Step, other: Step, rounds: int = 41) -> tuple[float, float]:
    """Return the median seconds of a call of each, measured in turns of about 10 ms."""
    count, took = 1, 0.0
    while took < 0.01:
        count *= 2
        took = timed(one, count)
    turns = [(timed(one, count), timed(other, count)) for _ in range(rounds)]
    first, second = (statistics.median(seconds) / count for seconds in zip(*turns, strict=True))
    return first, second


def timed(step: Step, count: int) -> float:
    start = time.perf_counter()
    for _ in range(count):
        step()
    return time.perf_counter() - start


def _xor() -> tuple[str, Step, Step]:
    import numpy as np

    import pellucid as pc
    from pellucid.fit import Batch

    X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], "float32")
    y = np.array([[0], [1], [1], [0]], "float32")
    layers = [pc.Dense(4, "tanh"), pc.Dense(1, "sigmoid")]
    model = pc.Sequential(layers, loss="bce", optimizer=pc.SGD(0.5))
    model.step(X, y)
    steps, batch = model._steps(), Batch(X, y)
    W1, b1, W2, b2 = (model.params[name].copy() for name in ("W1", "b1", "W2", "b2"))

    def by_hand() -> float:
        nonlocal W1, b1, W2, b2
        a1 = np.tanh(X @ W1 + b1)
        a2 = 1 / (1 + np.exp(-(a1 @ W2 + b2)))
        loss = -np.mean(y * np.log(a2) + (1 - y) * np.log(1 - a2))
        d_z2 = (a2 - y) / len(X)
        d_z1 = d_z2 @ W2.T * (1 - a1**2)
        W2 = W2 - 0.5 * (a1.T @ d_z2)
        b2 = b2 - 0.5 * d_z2.sum(axis=0)
        W1 = W1 - 0.5 * (X.T @ d_z1)
        b1 = b1 - 0.5 * d_z1.sum(axis=0)
        return float(loss)

    return "XOR 2-4-1, 4 rows, SGD", lambda: steps.take(batch), by_hand


def _digits() -> tuple[str, Step, Step]:
    import numpy as np

    import pellucid as pc
    from pellucid.fit import Batch

    X, labels = pc.data.digits()
    X, y = X[:64], np.eye(10, dtype="float32")[labels[:64]]
    layers = [pc.Dense(256, "relu"), pc.Dense(10, "softmax")]
    model = pc.Sequential(layers, loss="cce", optimizer=pc.Adam(0.003))
    model.step(X, y)
    steps, batch = model._steps(), Batch(X, y)
    p = {name: model.params[name].copy() for name in ("W1", "b1", "W2", "b2")}
    m, v = ({name: np.zeros_like(a) for name, a in p.items()} for _ in range(2))
    t = 0

    def by_hand() -> float:
        nonlocal t
        a1 = np.maximum(X @ p["W1"] + p["b1"], 0)
        z2 = a1 @ p["W2"] + p["b2"]
        e = np.exp(z2 - z2.max(axis=1, keepdims=True))
        a2 = e / e.sum(axis=1, keepdims=True)
        loss = -np.sum(y * np.log(a2 + 1e-12)) / len(X)
        d_z2 = (a2 - y) / len(X)
        d_z1 = d_z2 @ p["W2"].T * (a1 > 0)
        g = {"W1": X.T @ d_z1, "b1": d_z1.sum(axis=0), "W2": a1.T @ d_z2, "b2": d_z2.sum(axis=0)}
        t += 1
        for name in p:
            m[name] = 0.9 * m[name] + 0.1 * g[name]
            v[name] = 0.999 * v[name] + 0.001 * g[name] ** 2
            m_hat, v_hat = m[name] / (1 - 0.9**t), v[name] / (1 - 0.999**t)
            p[name] = p[name] - 0.003 * m_hat / (np.sqrt(v_hat) + 1e-8)
        return float(loss)

    return "digits 64-256-10, 64 rows, Adam", lambda: steps.take(batch), by_hand


# -- graphs --------------------------------------------------------------------------------------


def graph(count: int = 20_000) -> Iterator[Row]:
    """Time the nodes of a chain: building, finding again, evaluating, differentiating."""
    import pellucid as pc
    from pellucid.graph import Node

    def chain(x: Node) -> Node:
        for _ in range(count // 2):
            x = x * 1.0001 + x
        return x

    takes: list[list[float]] = []
    for _ in range(5):
        x, clock = pc.value(1.0, "x"), [time.perf_counter()]
        made = chain(x)
        clock.append(time.perf_counter())
        chain(x)
        clock.append(time.perf_counter())
        _ = made.value
        clock.append(time.perf_counter())
        pc.grad(made, x)
        clock.append(time.perf_counter())
        takes.append([b - a for a, b in itertools.pairwise(clock)])
    names = "built", "found again, since equal nodes are one", "evaluated", "differentiated"
    for name, seconds in zip(names, zip(*takes, strict=True), strict=True):
        yield f"a node of a chain, {name}", f"{statistics.median(seconds) / count * 1e6:.2f} µs"


BENCHMARKS = {"digits": digits, "import": imports, "steps": steps, "graph": graph}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
