"""Trainings that are killed and go on, until there have been enough kills: for test_keeping.py.

    python tests/kill_training.py FOLDER BACKEND KILLS SEED

A process that has imported everything forks one after another; each trains in a run's folder, from
where the one before was killed, and is killed in its turn, at an instant drawn evenly from the time
that a whole run takes. It marks in memory that both share what it is doing, so that it is known
where it died. A run that reaches its end is compared with one that was never broken, bit by bit,
and the next one begins. Printed, as JSON: how many kills there were, in which phase; runs that
ended; and what differed.
"""

from __future__ import annotations

import json
import mmap
import os
import random
import signal
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import pellucid as pc
from pellucid import files
from pellucid.callbacks import EarlyStopping
from pellucid.keeping.folder import Folder
from pellucid.keeping.log import Log

EPOCHS = 50
PHASES = ("training", "log", "write", "fsync", "rename", "thinning")
SAVING = PHASES[1:]  # all that belongs to keeping a run


def model() -> Any:
    """Return a model with chance in it, a schedule, running statistics and a state for Adam."""
    layers = [pc.Dense(24, "relu"), pc.BatchNorm(), pc.Dropout(0.3), pc.Dense(1, "sigmoid")]
    rates = pc.Adam(pc.Cosine(0.02, steps=250), ema=0.9)
    return pc.Sequential(layers, loss="bce", optimizer=rates, metrics=["accuracy"], seed=11)


def train(backend: str, folder: Path | None = None) -> tuple[Any, Any]:
    """Train to the end, from wherever the folder is; return the model and its history."""
    warnings.simplefilter("error")  # a kill leaves no damage that would be passed over
    made, X_y = model(), pc.data.moons(100, noise=0.3)
    more: dict[str, Any] = {"checkpoint": folder, "resume": True, "checkpoint_every": 1}
    history = made.fit(
        *X_y, epochs=EPOCHS, batch_size=16, validation_split=0.2, verbose=0, backend=backend,
        callbacks=[EarlyStopping(patience=10**6)], **(more if folder else {}),
    )  # fmt: skip
    return made, history


def mark(shared: mmap.mmap) -> None:
    """Let this process say what it is doing: the number of a phase, in shared memory."""

    def during(phase: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def marked(*given: Any) -> Any:
            before, shared[0] = shared[0], PHASES.index(phase)
            try:
                return function(*given)
            finally:
                shared[0] = before

        return marked

    files.write = during("write", files.write)
    os.fsync = during("fsync", os.fsync)
    os.replace = during("rename", os.replace)
    Log.append = during("log", Log.append)  # type: ignore[method-assign]
    Folder.thin = during("thinning", Folder.thin)  # type: ignore[method-assign]


def killed(folder: Path, backend: str, seconds: float, shared: mmap.mmap) -> str:
    """Train in a process of its own, and kill it; return in which phase, or "" where it ended."""
    shared[0] = 0
    child = os.fork()
    if not child:
        code = 1
        try:
            mark(shared)
            train(backend, folder)
            code = 0
        finally:
            os._exit(code)
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            if status:
                raise SystemExit(f"a training failed in {folder}")
            return ""
        time.sleep(min(0.001, max(end - time.perf_counter(), 0)))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return PHASES[shared[0]]


def differs(ours: tuple[Any, Any], theirs: tuple[Any, Any]) -> list[str]:
    """Return what is not the same, to the last bit."""
    (a, history), (b, other) = ours, theirs
    found = [k for k, x in a._numbers.arrays.items() if not np.array_equal(x, b._numbers.arrays[k])]
    counts = [k for k in ("steps", "epochs", "since", "scale")
              if getattr(a._numbers, k) != getattr(b._numbers, k)]  # fmt: skip
    return [*found, *counts, *([] if dict(history) == dict(other) else ["history"])]


def main(root: Path, backend: str, kills: int, seed: int) -> None:
    """Kill so many trainings, and print what came of it."""
    draw, shared = random.Random(seed), mmap.mmap(-1, 8)
    whole, phases, wrong, runs = train(backend), Counter[str](), list[str](), 0
    start = time.perf_counter()
    train(backend, root / "unbroken")
    most = time.perf_counter() - start
    while phases.total() < kills:
        folder = root / f"run{runs}"
        while phases.total() < kills:
            phase = killed(folder, backend, draw.uniform(0, most), shared)
            if not phase:
                break
            phases[phase] += 1
        else:  # the last one is left as it was killed
            break
        wrong += differs(whole, train(backend, folder))
        wrong += [path.name for path in folder.rglob(f"*{files.LITTER}")]
        runs += 1
    saving = sum(phases[phase] for phase in SAVING)
    told = {"kills": phases.total(), "saving": saving, "phases": phases, "runs": runs}
    print(json.dumps({**told, "wrong": wrong, "last": str(root / f"run{runs}")}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
