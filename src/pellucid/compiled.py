"""Compiled training: a printed run with its arrays, taken some steps at a time.

Machine     the run of one model, compiled             Drive    one call of `fit` on it
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import CodeType
from typing import Any

import numpy as np

from pellucid import jit, rng
from pellucid.batches import Batch, Numbers
from pellucid.fit import RECORDED, Loop
from pellucid.graph import Array
from pellucid.history import History
from pellucid.metrics.measures import Measures
from pellucid.nn.network import Network, Slot
from pellucid.show.loops import Memory
from pellucid.show.naming import safe
from pellucid.show.training import COUNTS, INT, Run
from pellucid.train import Blueprint


@dataclass(frozen=True, eq=False)
class Machine:
    """A printed run and its machine code."""

    run: Run
    code: jit.Compiled


def unit(run: Run) -> jit.Unit:
    """Return a printed run as a program to compile."""
    arrays = [jit.Argument(m.name, m.dtype, tuple(m.shape)) for m in run.memory]  # type: ignore[arg-type]
    return jit.Unit(run.source, run.entry, (*arrays, *(jit.Argument(c, INT) for c in run.counts)))


class Drive:
    """One training run on a machine: its arrays, and where its clock stands."""

    def __init__(
        self,
        machine: Machine,
        plan: Blueprint,
        numbers: Numbers,
        seed: int,
        data: Batch,
        batch_size: int,
        held: Batch | None,
        shuffle: bool,
        logged: int,
        room: dict[str, Array],
    ) -> None:
        self.machine, self.numbers, self.logged = machine, numbers, logged
        self.optimizer = plan.optimizer
        self.first = numbers.epochs
        sizes = {
            "rows": len(data), "batch": batch_size, "held": len(held) if held else 0,
            "since": numbers.since, "shuffled": int(shuffle), "logged": logged,
        }  # fmt: skip
        given = _given(plan, numbers, data, batch_size, held, room)
        self.arrays = {m.name: _array(m, given, sizes, room) for m in machine.run.memory}
        masks = range(len(self.arrays["keys"]) - 1)
        keys = [rng.key(seed, "shuffle"), *(rng.key(seed, "dropout", k) for k in masks)]
        self.arrays["keys"][:] = np.array(keys, np.uint64)
        self.arrays["order"][:] = np.arange(len(data))
        self.clock = self.arrays["clock"]
        self.measured = Measured(plan.measures, machine.run, len(self.arrays["totals"]), data, held)
        self.call = machine.code.bind(*self.arrays.values(), *(sizes[c] for c in COUNTS))
        self.wind()

    def wind(self) -> None:
        """Set the clock to where the numbers stand, at the start of an epoch."""
        slot = (self.numbers.epochs - self.first) % self.logged
        self.clock[:] = (self.numbers.epochs, 0, self.numbers.steps, 0, 0, slot)
        self.arrays["totals"][:] = 0

    def take(self, most: int) -> bool:
        """Take so many steps; return whether all went well."""
        self.clock[4] = most
        self.arrays["rates"][0] = self.optimizer.given_rate(self.numbers.scale)
        failed = self.call()
        self.numbers.epochs, _, self.numbers.steps = self.clock[:3].tolist()
        return not failed

    def logs(self, start: int, stop: int) -> Array:
        """Return what was logged at the ends of some of the last epochs: (stop - start, names)."""
        logs: Array = self.arrays["logs"]
        return self.measured(logs[np.arange(start - self.first, stop - self.first) % self.logged])

    @property
    def names(self) -> tuple[str, ...]:
        """What each column of the logs is."""
        return self.measured.names

    def last(self) -> dict[str, float]:
        """Return loss and metrics of the last step."""
        return self.measured.batch(self.arrays["last"])


class Measured:
    """What the rows that a run logs come to: loss and metrics by name."""

    def __init__(
        self, measures: Measures, run: Run, cut: int, data: Batch, held: Batch | None
    ) -> None:
        self.measures = measures
        self.parts = [(run.logs[:cut], measures.facts(data.Y, data.weights), "")]
        if held is not None:
            names = tuple(name.removeprefix("val_") for name in run.logs[cut:])
            self.parts.append((names, measures.facts(held.Y, None), "val_"))
        self.names = tuple(self._told(np.zeros((1, len(run.logs)))))
        self.plain = measures.plain and self.names == run.logs

    def __call__(self, rows: Array) -> Array:
        """Return loss and metrics of some epochs, (epochs, names)."""
        return rows if self.plain else np.column_stack([*self._told(rows).values()])

    def batch(self, row: Array) -> dict[str, float]:
        """Return loss and metrics of a step."""
        names, facts, _ = self.parts[0]
        found = {name: value[0] for name, value in _columns(names, row[None]).items()}
        return self.measures.result(found, facts)

    def _told(self, rows: Array) -> dict[str, Array]:
        told, start = dict[str, Array](), 0
        for names, facts, before in self.parts:
            found = _columns(names, rows[:, start : start + len(names)])
            results = self.measures.results(found, facts)
            told |= {f"{before}{k}": v for k, v in results.items()}
            start += len(names)
        return told


def _columns(names: Sequence[str], rows: Array) -> dict[str, Array]:
    """Return each column by its name, (epochs,); those of one name together, (epochs, classes)."""
    places: dict[str, list[int]] = {}
    for k, name in enumerate(names):
        places.setdefault(name, []).append(k)
    return {k: rows[:, at] if len(at) > 1 else rows[:, at[0]] for k, at in places.items()}


CHUNK = 1024  # rows of a prediction that go through the network together
SMALL = 2**15  # numbers that are copied, rather than a call set out for where they stand


class Forward:
    """A compiled forward pass, and its memory for the few numbers of rows that it was asked for."""

    def __init__(self, machine: Machine, net: Network, numbers: Numbers) -> None:
        self.machine, self.net, self.numbers = machine, net, numbers
        self.small: dict[int, tuple[Array, Array, Any]] = {}  # by rows: X, prediction, the call
        self.lock = threading.Lock()

    def __call__(self, X: Array) -> Array:
        """Return the prediction for every row, as an array of the caller's own."""
        if X.size > SMALL:
            out, call = self._bound(np.ascontiguousarray(X))
            call()
            return out
        with self.lock:
            rows, out, call = self.small.get(len(X)) or self._set_out(X)
            rows[...] = X
            call()
            return out.copy()

    def _set_out(self, X: Array) -> tuple[Array, Array, Any]:
        """Set memory out for so many rows: setting out the call takes longer than a small one."""
        if len(self.small) > 7:
            self.small.clear()
        rows = np.empty_like(X, order="C")
        self.small[len(X)] = (rows, *self._bound(rows))
        return self.small[len(X)]

    def _bound(self, X: Array) -> tuple[Array, Any]:
        sizes = {"rows": len(X), "chunk": min(len(X), CHUNK)}
        given = {"X": X, **_slots(self.net.slots, self.numbers.params, "")}
        given |= _slots(self.net.fixed, self.numbers.fixed, "")
        arrays = {m.name: _array(m, given, sizes, {}) for m in self.machine.run.memory}
        return arrays["prediction"], self.machine.code.bind(*arrays.values(), *sizes.values())


def _slots(slots: Sequence[Slot], flat: Array, before: str) -> dict[str, Array]:
    """Return every array that lies in a flat one, by name; a number as an array of 1."""
    parts = ((safe(f"{before}{s.name}"), s) for s in slots)
    return {name: flat[s.start : s.stop].reshape(s.shape or (1,)) for name, s in parts}


def _given(
    plan: Blueprint,
    numbers: Numbers,
    data: Batch,
    batch_size: int,
    held: Batch | None,
    room: dict[str, Array],
) -> dict[str, Array]:
    """Return the arrays that a run shares with the model: data, parameters, gradients, state."""
    net = plan.net
    grads = _empty("grads", numbers.params.shape, numbers.params.dtype, room)
    state = {safe(name): array for name, array in {**numbers.state, **plan.given}.items()}
    given = {"params": numbers.params, "grads": grads, **state}
    given |= _slots(net.slots, numbers.params, "") | _slots(net.fixed, numbers.fixed, "")
    given |= _slots(net.slots, grads, "d_") | _feeds(data, "", "")
    if batch_size >= len(data):  # one batch of all: nothing is copied
        given |= _feeds(data, "", "_batch")
    return given | (_feeds(held, "held_", "") if held else {})


def _array(
    m: Memory, given: Mapping[str, Array], sizes: Mapping[str, int], room: dict[str, Array]
) -> Array:
    if m.name in given:
        return given[m.name]
    if m.data is not None:
        return np.ascontiguousarray(m.data)
    shape = tuple(eval(_size(str(s)), {}, dict(sizes)) for s in m.shape)
    return _empty(m.name, shape, m.dtype, room)


@cache
def _size(text: str) -> CodeType:
    """Return a size as it is printed, such as min(batch, 32), ready to be worked out."""
    return compile(text, "<size>", "eval")


def _empty(name: str, shape: tuple[int, ...], dtype: Any, room: dict[str, Array]) -> Array:
    """Return an array to work in: the one of the last run, if that fits, for new memory is slow."""
    old = room.get(name)
    if old is None or old.shape != shape or old.dtype != dtype:
        old = room[name] = np.zeros(shape, dtype)
    return old


def _feeds(batch: Batch, before: str, after: str) -> dict[str, Array]:
    found = {"X": batch.X, "Y": batch.Y, "sample_weight": batch.weights}
    return {f"{before}{k}{after}": np.ascontiguousarray(v) for k, v in found.items()
            if v is not None}  # fmt: skip


# -- the loop ------------------------------------------------------------------------------------

SLICE = 0.05  # seconds between two looks at the keyboard and the callbacks
SNAPSHOT = 0.5  # seconds between two copies of the numbers, at least,
COPIES = 50  # and so many times the seconds that a copy takes
LOGGED = 65_536  # epochs that a slice may have


@dataclass(eq=False)
class Whole(Loop):
    """The loop of the compiled backend: many steps a call, whole epochs where they are short.

    Between two calls Python looks at callbacks and Ctrl-C.  A callback that acts on every epoch
    or every step gets its turn after each; one that only watches is told of several at once.
    """

    machine: Machine | None = None

    def _train(self, history: History) -> None:
        self.drive = self._drive()
        self.steps, copied = 1, time.perf_counter()
        self.copying = 0.0  # seconds that a copy of the numbers takes
        while history.epochs < self.epochs and not history.stopped:
            clock = time.perf_counter()
            fine = self.drive.take(self._most(history))
            self._log(history, fine)
            if not fine:
                self._recover(self.stepper.numbers.steps - 1, history)
                return
            now = time.perf_counter()
            self._pace(now - clock)
            due = now - copied > max(SNAPSHOT, COPIES * self.copying)
            if not self.drive.clock[1] and (due or self._acts("on_epoch_end", "on_batch_end")):
                self._remember()
                copied = now

    def _remember(self) -> None:
        """Copy the numbers, to come back to."""
        start = time.perf_counter()
        self.trail.keep(self.stepper.numbers)
        self.copying = time.perf_counter() - start

    def _drive(self) -> Drive:
        assert self.machine is not None
        plan = self.stepper.plan
        return Drive(
            self.machine, plan, self.stepper.numbers, self.stepper.seed, self.data,
            self.batch_size, self.held, self.shuffle,
            max(1, min(self.epochs, LOGGED)), self.stepper.room,
        )  # fmt: skip

    @property
    def step(self) -> int:
        """How many steps of this epoch are done."""
        return -(-int(self.drive.clock[1]) // self.batch_size)

    def _most(self, history: History) -> int:
        """Return how many steps to take before the next look."""
        if not self.step:
            self._tell("on_epoch_begin", {}, history.epochs)
            if self._acts("on_epoch_begin"):  # it may have changed the model
                self._remember()
        if self._acts("on_batch_end"):
            return 1
        left = self.batches - self.step
        if self.step or self.steps < left:
            return min(self.steps, left)
        epochs = min(self.steps // self.batches, self.epochs - history.epochs, self.drive.logged)
        single = self.judge or self.record or self._acts("on_epoch_begin")
        return self.batches * (1 if single else self._until(history.epochs, epochs))

    def _until(self, done: int, most: int) -> int:
        """Return after how many epochs, at most so many, a callback that may act is to be told."""
        acting = [c for c in self.callbacks if not c.watches and c.has("on_epoch_end")]
        firsts = (next(iter(c.due(done, done + most)), done + most - 1) for c in acting)
        return min([most, *(epoch + 1 - done for epoch in firsts)])

    def _acts(self, *hooks: str) -> bool:
        """Say whether a callback that may act on the model has one of these hooks."""
        return any(not c.watches and c.has(hook) for c in self.callbacks for hook in hooks)

    def _pace(self, seconds: float) -> None:
        """Let the next call take about as long as it should."""
        taken = max(int(self.drive.clock[4]), 1)
        self.steps = max(1, int(taken * min(8.0, SLICE / max(seconds, 1e-6))))

    def _log(self, history: History, fine: bool) -> None:
        """Log the epochs that have ended, and tell the callbacks."""
        numbers, done = self.stepper.numbers, history.epochs
        changed = fine and (self.step or self._acts("on_batch_end")) and self._batch_ended()
        if (now := numbers.epochs - self.first) > done:
            rows = self._rows_logged(done, now, bool(changed))
            history.extend(self.names, rows)
            self._note(history)
            for callback in self.callbacks:
                for epoch in callback.due(done, now):
                    logs = dict(zip(self.names, rows[epoch - done].tolist(), strict=True))
                    callback.on_epoch_end(epoch, logs)
            history.stopped = next((c.stopped for c in self.callbacks if c.stopped), "")

    def _rows_logged(self, start: int, stop: int, changed: bool = False) -> Array:
        """Return the logs of some epochs, with what is evaluated at the end of the last one."""
        rows = self.drive.logs(self.first + start, self.first + stop)
        values = dict(self.judge()) if self.judge else {}
        if self.validate and (self.judge or changed):
            values |= self.validate()
        for name, value in values.items():
            rows[-1, self.drive.names.index(name)] = value
        return np.column_stack([rows, [[*self.record().values()]]]) if self.record else rows

    @property
    def names(self) -> tuple[str, ...]:
        """What each column of the logged rows is."""
        return (*self.drive.names, *(RECORDED if self.record else ()))

    def _batch_ended(self) -> bool:
        """Tell of a step; say whether that changes the model at an epoch's end."""
        numbers, last = self.stepper.numbers, not self.step and self.validate
        before = numbers.params.copy() if last else None
        self._tell("on_batch_end", self.drive.last(), (self.step or self.batches) - 1)
        return before is not None and not np.array_equal(before, numbers.params)

    def _return(self, history: History) -> None:
        """Go back to the last snapshot, and take the steps up to the last whole epoch again."""
        last = int(self.drive.clock[0])
        self._again(self.good, (last - self.good.epochs) * self.batches)
        history.cut(history.whole)
        if last - self.first > history.epochs:
            rows = self._rows_logged(history.epochs, last - self.first)
            history.extend(self.names, rows)
            self._note(history)

    def _again(self, start: Numbers, steps: int) -> Iterator[float]:
        self.stepper.numbers.restore(start)
        self.drive.wind()
        self.drive.take(steps)
        return self._steps()

    def _steps(self) -> Iterator[float]:
        """Take steps for ever, one at a time."""
        while True:
            self.drive.take(1)
            yield self.drive.last()["loss"]

    @property
    def _slopes(self) -> Array:
        return self.drive.arrays["grads"]

    def _last_good(self, most: int) -> int:
        return most  # the guard looks at every step
