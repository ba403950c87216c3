"""Many trainings at once: every seed at every point of a grid, in parallel threads.

sweep     make the models, train them, gather what came out     Sweep    the table, and the curves

A training is a call of machine code without the GIL, so threads are enough.  What the trainings of
one architecture share (arrays of data, the program) is made once; what is left to do in Python for
each is to make the model, to draw its weights and to set out its memory.
"""

from __future__ import annotations

import math
import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from itertools import product
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np

from pellucid.errors import ArgumentError, DtypeError
from pellucid.model import Sequential
from pellucid.settings import as_list, as_seed, check_settings, check_whole
from pellucid.swept import Point, Report, Row, Sweep
from pellucid.trainings import (
    Judge,
    Maker,
    Models,
    Outcome,
    Plan,
    Run,
    again,
    compiled,
    one_blas_thread,
    stepwise,
)

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor  # takes 10 ms, only a sweep needs it

CURVE = 1_000  # epochs that are kept of each curve, at most
VALUES = 4_000_000  # and of all curves together
KEPT = 2**26  # bytes that the final parameters of all models may take; above, they train again


def sweep(
    make_model: Callable[..., Sequential],
    X: Any,
    y: Any,
    *,
    epochs: int,
    seeds: Iterable[int] = range(100),
    grid: Mapping[str, Iterable[Any]] | None = None,
    batch_size: int | None = 32,
    validation_data: tuple[Any, Any] | None = None,
    converged: Judge | float | None = None,
    workers: int | None = None,
    verbose: int = 1,
    backend: str = "auto",
) -> Sweep:
    """Train a model for every seed at every point of a grid; return the table and the curves.

        runs  =  points of the grid × seeds

    Args: `make_model`, called by name with a point and, where it takes one, the seed (the model is
    reset to the seed where it does not); `grid`, a list of values for each name; `epochs`,
    `batch_size`, `validation_data`, as in `fit`; `converged`, the final loss that counts as
    success, or a function of the last epoch's logs (by default: accuracy 1, where that is a
    metric); `workers`, threads at a time, one for each processor by default; `verbose`, 0 for
    silence; `backend`, as in `fit` (with NumPy, one training after another).
    Each training gives bit for bit what `make_model(...).fit(...)` gives on the same backend with
    one BLAS thread. One that becomes NaN or Inf ends, and its row says so; the others go on. Ctrl-C
    ends the sweep: what is finished is returned. Returns: a `Sweep`.
    Raises: ArgumentError, DataError, ShapeError, DtypeError, naming the point and the seed.

    >>> def make(hidden, seed):
    ...     layers = [Dense(hidden, "tanh"), Dense(1, "sigmoid")]
    ...     return Sequential(layers, loss="bce", optimizer="sgd", seed=seed)
    >>> from pellucid import Dense, data
    >>> found = sweep(make, *data.xor(), epochs=5, seeds=[0, 1], grid={"hidden": [1, 2]}, verbose=0)
    >>> [(row["point"], row["seed"]) for row in found.rows]
    [({'hidden': 1}, 0), ({'hidden': 1}, 1), ({'hidden': 2}, 0), ({'hidden': 2}, 1)]
    """
    check_settings(epochs, batch_size, None, backend)
    check_whole(epochs, "epochs", 1)
    threads = _processors() if workers is None else workers
    check_whole(threads, "workers", 1)
    settings = {"epochs": epochs, "batch_size": batch_size, "validation_data": validation_data}
    plan = Plan(
        Maker(make_model), X, y, _points({} if grid is None else grid), _seeds(seeds),
        settings, backend, _judge(converged), threads,
    )  # fmt: skip
    return _Work(plan, Report(verbose)).run()


def _processors() -> int:
    """Return how many processors this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS and Windows do not say
        return os.cpu_count() or 1


def _seeds(given: Any) -> list[int]:
    seeds = [as_seed(seed) for seed in as_list(given, "seeds", "range(100)")]
    if not seeds:
        raise ArgumentError("seeds is empty", "seeds=range(100)")
    return seeds


def _points(grid: Any) -> list[Point]:
    """Return every combination of the grid's values; the last name changes fastest."""
    if not isinstance(grid, Mapping):
        raise DtypeError(f"grid is {grid!r}, not a dict", 'grid={"hidden": [1, 2, 4]}')
    lists = [_values(name, values) for name, values in grid.items()]
    return [dict(zip(grid, values, strict=True)) for values in product(*lists)]


def _values(name: Any, given: Any) -> list[Any]:
    if name == "seed":
        raise ArgumentError("grid has a 'seed'", "seeds=[0, 1, 2]")
    values = as_list(given, f"grid[{name!r}]", "[1, 2, 4]")
    if not values:
        raise ArgumentError(f"grid[{name!r}] is empty", f'grid={{"{name}": [1, 2, 4]}}')
    # NumPy's own numbers would impose their precision on the formulas that they get into
    return [v.item() if isinstance(v, np.generic) else v for v in values]


def _judge(converged: Any) -> Judge | None:
    """Return what says of the last epoch's logs whether a training has converged."""
    if converged is None or callable(converged):
        return converged  # type: ignore[no-any-return]
    if isinstance(converged, bool) or not isinstance(converged, Real):
        hint = 'converged=0.01, or converged=lambda logs: logs["accuracy"] == 1'
        raise DtypeError(f"converged is {converged!r}", hint)
    bound = float(converged)
    return lambda logs: logs["loss"] <= bound


# -- all of them -----------------------------------------------------------------------------------


Done = tuple[Run, Outcome, bool | None]


class _Work:
    """A sweep on its way, and what came out so far."""

    def __init__(self, plan: Plan, report: Report) -> None:
        self.plan, self.report, self.stop = plan, report, threading.Event()
        self.done: dict[int, Done] = {}
        self.waiting: dict[Future[Outcome | None], Run] = {}
        last = plan.settings["epochs"] - 1
        count = min(last + 1, CURVE, max(2, VALUES // plan.total))
        self.epochs = np.linspace(0, last, count).round().astype(int)
        self.curves = np.empty((plan.total, count))

    def run(self) -> Sweep:
        """Train all, and return the table; Ctrl-C ends it early."""
        clock, models, stopped = time.perf_counter(), Models(self.plan), ""
        self.report.begin(self.plan.total)
        try:
            with one_blas_thread():
                firsts = [models.first(k) for k in range(len(self.plan.points))]
                self.report.says([run.shared.backend for run in firsts], self.plan.backend)
                self._train(run for first in firsts for run in models.all(first))
        except KeyboardInterrupt:
            self._collect([future for future in self.waiting if future.done()])
            stopped = f"interrupted after {len(self.done)} of {self.plan.total} trainings"
        made = self._made(time.perf_counter() - clock, stopped)
        self.report.end(made)
        return made

    def _train(self, runs: Iterable[Run]) -> None:
        """Keep every thread busy, and no more models in memory than that takes."""
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(self.plan.workers, "sweep") as pool:
            try:
                for run in runs:
                    self._begin(run, pool)
                    while len(self.waiting) >= 8 * self.plan.workers:
                        self._wait()
                while self.waiting:
                    self._wait()
            except BaseException:
                self.stop.set()
                raise

    def _begin(self, run: Run, pool: ThreadPoolExecutor) -> None:
        curve = self.curves[run.index]
        if run.shared.machine is not None:
            future = pool.submit(compiled, run, self.epochs, curve, self.stop)
            self.waiting[future] = run
            return
        with self.plan.maker.named(run.point, run.seed):
            outcome = stepwise(run, self.plan, self.epochs, curve)
        self._enter(run, outcome)

    def _wait(self) -> None:
        """Wait for some to finish; the timeout is for Windows, where waiting is deaf to Ctrl-C."""
        from concurrent.futures import FIRST_COMPLETED, wait

        self._collect(wait(self.waiting, timeout=0.2, return_when=FIRST_COMPLETED).done)

    def _collect(self, futures: Iterable[Future[Outcome | None]]) -> None:
        for future in futures:
            run = self.waiting.pop(future)
            with self.plan.maker.named(run.point, run.seed, far=True):
                outcome = future.result()
            if outcome:
                self._enter(run, outcome)

    def _enter(self, run: Run, outcome: Outcome) -> None:
        """Take an outcome into the table; without its parameters, where they are too many."""
        with self.plan.maker.named(run.point, run.seed):
            verdict = self._verdict(run, outcome)
        numbers = outcome.numbers
        if numbers and (1 + len(numbers.state)) * numbers.params.nbytes * self.plan.total > KEPT:
            outcome.numbers = run.numbers = None
        self.done[run.index] = run, outcome, verdict
        self.report.step(outcome.logs.get("loss", math.nan), verdict)

    def _verdict(self, run: Run, outcome: Outcome) -> bool | None:
        """Say whether a training has converged; None where nothing says what that is."""
        measured = run.shared.model._measures.metrics
        judge = self.plan.judge or (_accurate if "accuracy" in measured else None)
        if judge is None or outcome.failed_at is not None:
            return None if judge is None else False
        verdict = judge(outcome.logs)
        if not isinstance(verdict, (bool, np.bool_)):
            hint = 'converged=lambda logs: logs["loss"] < 0.01'
            raise DtypeError(f"converged returned {verdict!r}, not True or False", hint)
        return bool(verdict)

    def _made(self, seconds: float, stopped: str) -> Sweep:
        places = sorted(self.done)
        done = [self.done[k] for k in places]
        curves = self.curves if len(done) == self.plan.total else self.curves[places]
        names = {str(run.shared.backend): run.shared.backend for run, _, _ in done}
        return Sweep(
            [_row(*each) for each in done], curves, self.epochs, points=self.plan.points,
            backend=next(iter(names.values()), self.plan.backend), workers=self.plan.workers,
            seconds=seconds, stopped=stopped,
            models=[partial(again, self.plan, run, out.numbers) for run, out, _ in done],
        )  # fmt: skip


def _accurate(logs: Mapping[str, float]) -> bool:
    return logs["accuracy"] > 1 - 1e-9  # the mean over batches is rounded


def _row(run: Run, outcome: Outcome, verdict: bool | None) -> Row:
    metrics = dict(outcome.logs)
    loss = metrics.pop("loss", math.nan)
    return {
        "point": run.point, "seed": run.seed, "loss": loss, "metrics": metrics,
        "converged": verdict, "status": "trained" if outcome.failed_at is None else "diverged",
        "failed_at": outcome.failed_at, "steps": outcome.steps, "seconds": outcome.seconds,
    }  # fmt: skip
