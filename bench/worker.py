"""A contestant's process: it sleeps until a line of JSON asks for something, and answers.

python -m bench.worker CONTESTANT THREADS
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any

from bench import environment, jobs, memory
from bench.contestants import contestant

Answer = dict[str, Any]


class Bench:
    """What can be asked of one contestant."""

    def __init__(self, name: str, threads: int) -> None:
        self.name, self.threads = name, threads
        start = time.perf_counter()
        self.make = contestant(name)
        self.imports = time.perf_counter() - start

    def hello(self) -> Answer:
        return {"imports": self.imports}

    def load(self, job: dict[str, Any]) -> Answer:
        """Build the model of a job; what it takes in memory counts from here."""
        self.job = jobs.from_json(job)
        self.one: Any = None
        self.X, self.y = jobs.data(self.job)
        self.start_from = jobs.initial(self.job)
        self.memory = memory.Since()
        start = time.perf_counter()
        self.one = self.make(self.job, self.X, self.y, self.threads)
        self.one.start_over(self.start_from)
        return {"seconds": time.perf_counter() - start}

    def train(self, epochs: int) -> Answer:
        """Train from the initial weights; the clock runs while training does, compiling apart."""
        self.one.start_over(self.start_from)
        self.one.prepare(epochs)
        start = time.perf_counter()
        self.one.train(epochs)
        return {"seconds": time.perf_counter() - start}

    def first(self, epochs: int = 1) -> Answer:
        """Train as a first call does, compiling included."""
        start = time.perf_counter()
        self.one.prepare(epochs)
        self.one.train(epochs)
        return {"seconds": time.perf_counter() - start}

    def loss(self, initial: bool = False) -> Answer:
        """Return the loss on all rows, of the weights as they are or of those all start from."""
        weights = self.start_from if initial else self.one.weights()
        return {"loss": jobs.loss(self.job, weights, self.X, self.y)}

    def notes(self) -> Answer:
        return {"notes": self.one.notes}

    def give(self, rows: int) -> Answer:
        """Hand over rows to predict."""
        self.one.give(self.X[:rows].copy())
        self.one.predict()
        return {}

    def predict(self, calls: int) -> Answer:
        predict = self.one.predict
        start = time.perf_counter()
        for _ in range(calls):
            predict()
        return {"seconds": time.perf_counter() - start}

    def peak(self) -> Answer:
        return self.memory.peak()

    def pairs(self, products: list[list[int]], dtype: str) -> Answer:
        """Make factors for matrix products of these sizes, (n, k) @ (k, m)."""
        import numpy as np

        rng = np.random.default_rng(0)
        pairs = [
            (rng.standard_normal((n, k)).astype(dtype), rng.standard_normal((k, m)).astype(dtype))
            for n, k, m in products
        ]
        self.multiplier = self.make(pairs)
        self.multiplier.multiply(1)
        return {}

    def multiply(self, repeat: int) -> Answer:
        start = time.perf_counter()
        self.multiplier.multiply(repeat)
        return {"seconds": time.perf_counter() - start}

    def copy(self, size: int, repeat: int) -> Answer:
        """Copy `size` bytes, as often as asked, on as many threads as there are."""
        return {"seconds": self.make.copy(size, repeat, self.threads)}


def main() -> None:
    name, threads = sys.argv[1], int(sys.argv[2])
    environment.stay_on(threads)
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a library prints does not go into the answers
    made: list[Bench] = []
    for asked in requests():
        act: Callable[..., Answer] = (
            getattr(made[0], asked.pop("do")) if made else lambda **_: start(made, name, threads)
        )
        channel.write(json.dumps(answer(act, asked)) + "\n")
        channel.flush()


def start(made: list[Bench], name: str, threads: int) -> Answer:
    made.append(Bench(name, threads))
    return made[0].hello()


def requests() -> Iterator[dict[str, Any]]:
    for line in sys.stdin:
        yield json.loads(line)


def answer(act: Callable[..., Answer], asked: dict[str, Any]) -> Answer:
    """Do it; an error is an answer, too."""
    try:
        return act(**asked)
    except Exception as error:  # whatever it is, the others go on
        traceback.print_exc()
        return {"error": f"{type(error).__name__}: {error}".splitlines()[0][:200]}


if __name__ == "__main__":
    main()
