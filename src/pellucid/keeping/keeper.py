"""What keeps a run while it trains: the first and the last of its callbacks.

Ending      the first one, which saves before the others change the model at the end
Keeper      the last one, which saves what the others have left
"""

from __future__ import annotations

import json
import os
import time
import warnings
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from pellucid import safetensors
from pellucid.batches import Numbers
from pellucid.callbacks import Callback, Logs
from pellucid.checkpoint import arrays, counted, described_model
from pellucid.errors import ArgumentError, DataError, TrainingWarning
from pellucid.history import History
from pellucid.keeping.facts import Task, store
from pellucid.keeping.folder import Folder, digest
from pellucid.keeping.kept import packed
from pellucid.keeping.log import Columns, Row

SPACING = 1.0  # seconds between two checkpoints, at least, where nothing else is said,
SHARE = 50  # and so many times the seconds that one takes
ACTS = ("on_epoch_begin", "on_batch_end", "on_epoch_end")


class Ending(Callback):
    """The first callback: what it does happens before the others change the model."""

    watches = True

    def __init__(self, keeper: Keeper) -> None:
        self.keeper = keeper

    def due(self, start: int, stop: int) -> Iterable[int]:
        """Return the last one: those before it were like it."""
        return (stop - 1,)

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Note how the learning rate was scaled, before the others scale it otherwise."""
        self.keeper.note(epoch)

    def on_train_end(self, logs: Logs) -> None:
        """Save what has not been saved, before anything else is done to it."""
        self.keeper.finish(logs)


class Keeper(Callback):
    """The last callback: saves checkpoints as training goes on, and the model at the end.

    `every` is how many epochs lie between two checkpoints; None for as many as take a while.
    `resumed` says that the run goes on from a checkpoint; `check` refuses a folder that is not this
    run's any more. A process that was forked from this one writes nothing.
    """

    def __init__(
        self,
        folder: Folder,
        task: Task,
        others: Sequence[Callback],
        history: History,
        every: int | None = None,
        resumed: bool = False,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self.folder, self.task, self.others, self.every = folder, task, list(others), every
        self.history, self.log, self.resumed = history, folder.log, resumed
        self.check, self.process = check, os.getpid()
        self.watches = every is None or every > 1
        self.acting = any(not c.watches and any(map(c.has, ACTS)) for c in others)
        self.log.read(history.epochs)
        self.saved = self.told = history.epochs  # epochs: kept, heard of
        self.marks: dict[int, Row] = {}  # what is known of the ends of epochs
        self.scales: dict[int, float] = {}  # of the learning rate, in epochs
        self.ended = history.stopped  # why a callback has ended the run
        self.last, self.cost, self.failed = time.perf_counter(), 0.0, False

    @property
    def numbers(self) -> Numbers:
        """The model's numbers, which training changes."""
        return self.task.model._numbers  # type: ignore[no-any-return]

    def prepare(self) -> None:
        """Write what a run needs to be looked at later: its data, and the model that it begins as.

        Raises: OSError where that cannot be written, at the beginning.
        """
        self.folder.sweep()
        if not self.resumed:
            self._write_data()
            self._write()
        elif not self.folder.data.is_file():
            self._try(self._write_data)

    def note(self, epoch: int) -> None:
        """Note how the learning rate is scaled, up to this epoch."""
        self.scales[epoch] = self.numbers.scale

    @property
    def logged(self) -> int:
        """How many epochs are in the log."""
        return self.log.end[0]

    # -- hooks -----------------------------------------------------------------------------------

    def due(self, start: int, stop: int) -> Iterable[int]:
        """Return the last one: the history has those before."""
        return (stop - 1,)

    def on_train_begin(self, logs: Logs) -> None:
        """Start the clock."""
        self.last = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Note where training stands, and save it where it is time to."""
        self.told, now = epoch + 1, time.perf_counter()
        self.ended = next((c.stopped for c in self.others if c.stopped and not c.pauses), "")
        if self.acting:
            self.marks[self.told] = {"scale": self.numbers.scale, "digest": digest(self.numbers)}
        if self._over or any(c.stopped for c in self.others) or self._is_time(now):
            self._save()

    def finish(self, logs: Logs) -> None:
        """Save the last whole epoch, where it can be told from it alone how to go on."""
        alone = not self.acting and not packed(self.others)[0]
        known = alone or self.told == self.history.epochs
        if known and self.saved < self.history.epochs and not logs["failure"]:
            self._save()

    def on_train_end(self, logs: Logs) -> None:
        """Write the trained model, with what the other callbacks made of it at the end."""
        if self._over and self.saved == self.history.epochs and not logs["failure"]:
            self._try(self._write_model)

    # -- writing ---------------------------------------------------------------------------------

    @property
    def _over(self) -> bool:
        """Whether the run is at its end."""
        return bool(self.ended) or self.history.epochs >= self.task.epochs

    def _is_time(self, now: float) -> bool:
        if self.every is not None:
            return self.told - self.saved >= self.every
        return now - self.last >= max(SPACING, SHARE * self.cost)

    def _save(self) -> None:
        """Write log and checkpoint; where that fails, say so, and train on."""
        start = time.perf_counter()
        if self._try(self._write):
            self.saved = self.history.epochs
        self.last = time.perf_counter()
        self.cost = self.last - start

    def _try(self, write: Callable[[], None]) -> bool:
        if self.process != os.getpid():
            return False
        try:
            self.check()
            write()
        except (OSError, ArgumentError, DataError) as error:
            if not self.failed:
                why = error if isinstance(error, OSError) else error.what
                where = self.folder.name
                told = f"the run cannot be kept in {where!r} now: {why}; training goes on without"
                warnings.warn(told, TrainingWarning, stacklevel=2)
            self.failed = True
            return False
        self.failed = False
        return True

    def _write(self) -> None:
        mark = digest(self.numbers)
        self._write_log(mark)
        callbacks, kept = packed(self.others)
        path = self.folder.checkpoint(self.numbers.steps)
        self._write_numbers({**arrays(self.task.model), **kept}, mark, callbacks, path)
        self.folder.thin()

    def _write_data(self) -> None:
        if self.task.small:
            store(self.task, self.folder.data)

    def _write_model(self) -> None:
        mark = digest(self.numbers)
        self._write_numbers(arrays(self.task.model), mark, [], self.folder.model)

    def _write_numbers(self, tensors: Any, mark: str, callbacks: Any, path: Any) -> None:
        state = {
            "digest": mark, "numbers": counted(self.numbers), "epochs": self.history.epochs,
            "stopped": self.ended, "callbacks": callbacks,
        }  # fmt: skip
        about = {"checkpoint": json.dumps(state, allow_nan=False)}
        with suppress(ArgumentError):  # a model that no file can hold: then its numbers alone
            about["pellucid"] = described_model(self.task.model)
        safetensors.write(path, tensors, about)

    def _write_log(self, mark: str) -> None:
        """Add the epochs that the log does not have; the last of them has the mark."""
        done, first, history = self.history.epochs, self.logged, self.history
        marks = {**self.marks, done: {**self.marks.get(done, {}), "digest": mark}}
        steps, rates = self._rates()
        columns: Columns = {"step": steps, "seconds": history.seconds_by_epoch[first:],
                   "learning_rate": rates}  # fmt: skip
        logs = {name: values[first:] for name, values in history.items()}
        if done > first:
            self.log.append(first, columns, marks, logs)
        self.marks, self.scales = {}, {}

    def _rates(self) -> tuple[list[int], list[float]]:
        """Return the last step of every epoch that is not in the log, and their learning rates."""
        numbers, epochs = self.numbers, range(self.logged, self.history.epochs)
        steps = numbers.steps - self.task.batches * (
            self.history.epochs - 1 - np.array(epochs, int)
        )
        scales, scale = [], numbers.scale
        for k in reversed(epochs):  # what is not noted of one is that of a later one
            scale = self.scales.get(k, scale)
            scales.append(scale)
        rates = self.task.model.optimizer.rates_at(steps - numbers.since, np.array(scales[::-1]))
        return steps.tolist(), rates
