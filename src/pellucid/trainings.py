"""The trainings of a sweep: models made one at a time, what they share, and one run of each.

Plan      what a sweep is asked for         Models    from the plan to runs, one by one
Shared    what runs have in common          compiled  stepwise   one run, with machine code or NumPy
"""

from __future__ import annotations

import inspect
import threading
import time
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from pellucid.adapting import adapt
from pellucid.backends import chosen
from pellucid.batches import Batch, Numbers
from pellucid.errors import ArgumentError, DtypeError, PellucidError, TrainingWarning
from pellucid.graph import Array
from pellucid.history import Backend
from pellucid.model import Sequential
from pellucid.nn.network import check_enough
from pellucid.swept import Point, short

Judge = Callable[[Mapping[str, float]], bool]

SLICE = 0.1  # seconds between two looks at whether to stop
LOGGED = 16_384  # epochs that a slice may have
SHARED = 16  # architectures that are looked through for one that a new model has, too


class Maker:
    """`make_model`, called by name; its errors say for which point and seed."""

    def __init__(self, function: Any) -> None:
        if not callable(function):
            hint = "make_model=lambda hidden=4, seed=0: pc.Sequential(…, seed=seed)"
            raise DtypeError(f"make_model is {function!r}, not a function", hint)
        self.function, self.seeded = function, _takes_seed(function)

    def __call__(self, point: Point, seed: int) -> Sequential:
        given = {**point, "seed": seed} if self.seeded else point
        model = self.function(**given)
        if not isinstance(model, Sequential):
            raise DtypeError(f"it returned {model!r}", "return a model: pc.Sequential(…)")
        return model

    def named(self, point: Point, seed: int, far: bool = False) -> _Named:
        """Say of errors in this context which model they are about; `far`: of another thread."""
        return _Named({**point, "seed": seed}, far)


@dataclass(frozen=True)
class _Named:
    """A context whose errors begin with the call that made the model."""

    given: dict[str, Any]
    far: bool

    def __enter__(self) -> None:
        """Nothing to prepare."""

    def __exit__(self, _: object, error: BaseException | None, *rest: object) -> None:
        """Raise the error again, with the point and the seed."""
        if not isinstance(error, Exception):
            return
        given = ", ".join(f"{name}={short(value)}" for name, value in self.given.items())
        if isinstance(error, PellucidError):
            where = None if self.far else error.where
            raise type(error)(f"make_model({given}): {error.what}", error.hint, where) from error
        what = f"make_model({given}): {type(error).__name__}: {error}"
        raise ArgumentError(what, "the error above this one says where") from error


def _takes_seed(function: Any) -> bool:
    try:
        known = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # of some built-in functions nothing is known
        return True
    return any(p.name == "seed" or p.kind is p.VAR_KEYWORD for p in known)


@dataclass(frozen=True, eq=False)
class Plan:
    """What a sweep is asked for, checked."""

    maker: Maker
    X: Any
    y: Any
    points: list[Point]
    seeds: list[int]
    settings: dict[str, Any]  # of `fit`
    backend: str
    judge: Judge | None
    workers: int

    @property
    def total(self) -> int:
        return len(self.points) * len(self.seeds)


@dataclass(eq=False)
class Shared:
    """What the trainings of one architecture share: a model of our own, data, the program."""

    model: Sequential
    told: str  # the model's settings
    data: Batch
    held: Batch | None
    size: int  # of a batch
    backend: Backend
    machine: Any  # None: with NumPy
    pace: int = 1  # steps that take about a slice

    def paced(self, steps: int, seconds: float) -> None:
        """Learn from a slice how many steps the next may have."""
        if steps == self.pace or seconds > SLICE:  # of a shorter one the last steps were left
            self.pace = max(1, int(steps * min(8.0, SLICE / max(seconds, 1e-6))))

    def fits(self, model: Sequential, told: str) -> bool:
        """Say whether a model is the same but for its seed and its numbers."""
        own = self.model
        try:  # equal is not enough: 0.0 == -0.0, and True == 1
            return bool(
                told == self.told
                and model.layers == own.layers
                and model.loss_function == own.loss_function
                and model.optimizer == own.optimizer
                and model.metrics == own.metrics
                and (model._net is None or model._net.input_shape == own._built.input_shape)
            )
        except Exception:  # arrays among the settings: equal or not is no single answer
            return False


def _told(model: Sequential) -> str:
    return repr((model.layers, model.optimizer, model.metrics, model.dtype))


@dataclass(eq=False)
class Run:
    """One training: where it stands in the table, and where it begins."""

    index: int
    point: Point
    seed: int
    shared: Shared
    begin: int  # the model's own seed
    numbers: Numbers | None  # None: as they are drawn from the seed

    def start(self) -> Numbers:
        """Return the first numbers, to be changed."""
        if self.numbers is not None:
            return self.numbers.copy()
        model = self.shared.model
        numbers = model._fresh_numbers(model._built, self.begin)
        adapt(model._blueprint(), numbers, self.shared.data.X)
        return numbers


@dataclass(eq=False)
class Outcome:
    """What one training came to."""

    numbers: Numbers | None  # None: they were too many to be kept
    steps: int
    logs: dict[str, float]  # of the last whole epoch; none where there was none
    failed_at: int | None  # the step that was not finite
    seconds: float


class Models:
    """The models of a sweep, made one at a time, as they are needed."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.known: deque[Shared] = deque(maxlen=SHARED)
        self.batches: list[Batch] = []

    def first(self, place: int) -> Run:
        """Return the first training of a point, and so find what does not fit before any starts."""
        plan, point, seed = self.plan, self.plan.points[place], self.plan.seeds[0]
        with plan.maker.named(point, seed):
            return self._run(place * len(plan.seeds), plan.maker(point, seed), seed, [])

    def all(self, first: Run) -> Iterator[Run]:
        """Yield every training of a point."""
        yield first
        maker, model = self.plan.maker, first.shared.model
        for k, seed in enumerate(self.plan.seeds[1:], 1):
            with maker.named(first.point, seed):
                model = maker(first.point, seed) if maker.seeded else model
                run = self._run(first.index + k, model, seed, [first.shared])
            yield run

    def _run(self, index: int, model: Sequential, seed: int, near: list[Shared]) -> Run:
        point, shared = self.plan.points[index // len(self.plan.seeds)], self._shared(model, near)
        if not self.plan.maker.seeded:
            return Run(index, point, seed, shared, seed, None)
        # the next model may be the same object, which its maker has reset
        numbers = None if model._net is None else model._numbers.copy()
        return Run(index, point, seed, shared, model.seed, numbers)

    def _shared(self, model: Sequential, near: list[Shared]) -> Shared:
        plan, told = self.plan, _told(model)
        for shared in (*near, *self.known):
            if shared.model is model or shared.fits(model, told):
                return shared
        own = model.copy()
        data, held = self._data(own)
        size = min(plan.settings["batch_size"] or len(data), len(data))
        check_enough(own._built, len(data), size)
        epochs = plan.settings["epochs"] * len(plan.seeds)
        backend, machine = chosen(plan.backend, own._steps(), data, size, epochs, held)
        self.known.appendleft(Shared(own, told, data, held, size, backend, machine))
        return self.known[0]

    def _data(self, model: Sequential) -> tuple[Batch, Batch | None]:
        """Return the data as a model takes them, in arrays that all models share."""
        plan = self.plan
        given = plan.settings["validation_data"]
        X, y, _, pair, _ = model._held_out(plan.X, plan.y, None, given, 0.0)
        data = self._interned(model._batch(X, y))
        if pair is None:
            return data, None
        return data, self._interned(model._batch(pair[0], pair[1], of="validation "))

    def _interned(self, batch: Batch) -> Batch:
        for known in self.batches:
            pairs = ((known.X, batch.X), (known.Y, batch.Y))
            if all(a.dtype == b.dtype and np.array_equal(a, b) for a, b in pairs):
                return known
        self.batches.append(batch)
        return batch


# -- one training ----------------------------------------------------------------------------------


class _Stopped(Exception):
    """The sweep was stopped while a training was on its way."""


class _Course:
    """One training on a machine, a slice of steps at a time; `curve` takes its losses."""

    def __init__(self, run: Run, epochs: Array, curve: Array, stop: threading.Event) -> None:
        from pellucid.compiled import Drive

        self.shared, self.stop, self.epochs, self.curve = run.shared, stop, epochs, curve
        shared, self.numbers = run.shared, run.start()
        self.first, self.logged = self.numbers.epochs, min(int(epochs[-1]) + 1, LOGGED)
        self.batches = -(-len(shared.data) // shared.size)
        self.drive = Drive(
            shared.machine, shared.model._blueprint(), self.numbers, run.begin, shared.data,
            shared.size, shared.held, True, self.logged, {},
        )  # fmt: skip
        self.logs: Array = self.drive.arrays["logs"]
        self.done = 0  # epochs whose logs have been read
        self.curve[:] = np.nan

    def advance(self, steps: int) -> bool:
        """Take so many steps; return whether all were finite."""
        while steps:
            if self.stop.is_set():
                raise _Stopped
            most = min(steps, self.shared.pace, self.logged * self.batches)
            clock = time.perf_counter()
            fine = self.drive.take(most)
            self.shared.paced(most, time.perf_counter() - clock)
            self._read()
            if not fine:
                return False
            steps -= most
        return True

    def _read(self) -> None:
        """Take over the losses of the epochs that have ended."""
        now = self.numbers.epochs - self.first
        low, high = np.searchsorted(self.epochs, (self.done, now)).tolist()
        self.curve[low:high] = self.logs[self.epochs[low:high] % self.logged, 0]
        self.done = now

    def last(self) -> dict[str, float]:
        """Return the logs of the last whole epoch; nothing where there was none."""
        if not self.done:
            return {}
        last = self.first + self.done
        return dict(zip(self.drive.names, self.drive.logs(last - 1, last)[0].tolist(), strict=True))

    def judged(self) -> dict[str, float]:
        """Return the metrics that need all predictions, as they are now."""
        shared, model = self.shared, self.shared.model.copy()
        model._numbers.restore(self.numbers)
        found = model._judged(shared.data)
        if shared.held is not None:
            found |= {f"val_{k}": v for k, v in model._judged(shared.held).items()}
        return found


def compiled(run: Run, epochs: Array, curve: Array, stop: threading.Event) -> Outcome | None:
    """Train in machine code; None where the sweep was stopped."""
    clock, failed = time.perf_counter(), None
    try:
        course = _Course(run, epochs, curve, stop)
        begin = course.numbers.steps
        if not course.advance((int(epochs[-1]) + 1) * course.batches):
            failed = course.numbers.steps
            course = _Course(run, epochs, curve, stop)  # again, up to the last good step
            course.advance(failed - 1 - begin)
        logs = course.last()
        if logs and course.drive.measured.measures.whole:
            logs |= _at_epochs_end(course, run, epochs, stop).judged()
    except _Stopped:
        return None
    seconds = time.perf_counter() - clock
    return Outcome(course.numbers, course.numbers.steps, logs, failed, seconds)


def _at_epochs_end(course: _Course, run: Run, epochs: Array, stop: threading.Event) -> _Course:
    """Return a training at the end of its last whole epoch."""
    steps, done = course.done * course.batches, course.numbers.steps
    again = _Course(run, epochs, np.empty(len(epochs)), stop)
    if again.numbers.steps + steps == done:
        return course
    again.advance(steps)
    return again


def stepwise(run: Run, plan: Plan, epochs: Array, curve: Array) -> Outcome:
    """Train with NumPy."""
    clock, model = time.perf_counter(), run.shared.model
    model._numbers.restore(run.start())
    model.seed = model._steps().seed = run.begin
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrainingWarning)
        history = model.fit(plan.X, plan.y, **plan.settings, backend="numpy", verbose=0,
                            on_nonfinite="report")  # fmt: skip
    if history.stopped.startswith("interrupted"):
        raise KeyboardInterrupt
    count = int(np.searchsorted(epochs, history.epochs))
    curve[:] = np.nan
    if count:
        curve[:count] = np.array(history["loss"])[epochs[:count]]
    numbers, logs = model._numbers.copy(), {name: values[-1] for name, values in history.items()}
    failed = numbers.steps + 1 if history.stopped else None
    return Outcome(numbers, numbers.steps, logs, failed, time.perf_counter() - clock)


# -- the model of a row ----------------------------------------------------------------------------


def again(plan: Plan, run: Run, numbers: Numbers | None) -> Sequential:
    """Return the model of a run, with the numbers that it ended with."""
    if numbers is None:
        return _retrained(plan, run)
    model = run.shared.model.copy()
    model.seed = run.begin
    model._numbers.restore(numbers)
    model._prepare(run.shared.data, plan.y)  # it knows the caller's labels
    return model


def _retrained(plan: Plan, run: Run) -> Sequential:
    model = plan.maker(run.point, run.seed).copy()
    model = model if plan.maker.seeded else model.reset(run.seed)
    with one_blas_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore", TrainingWarning)
        name = str(run.shared.backend)
        model.fit(plan.X, plan.y, **plan.settings, backend=name, verbose=0, on_nonfinite="report")
    return model


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Let a matrix product take one thread: the trainings share the processors already."""
    from pellucid import jit

    before = jit.blas_threads(1)
    try:
        yield
    finally:
        if before:
            jit.blas_threads(before)
