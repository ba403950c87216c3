"""What `fit` asks of a run that is kept: which backend, where to go on, with what history."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pellucid import safetensors
from pellucid.callbacks import Callback
from pellucid.checkpoint import COUNTS, arrays
from pellucid.errors import ArgumentError, DataError, PellucidError, TrainingWarning
from pellucid.history import Backend, History
from pellucid.keeping.facts import Task, check_same
from pellucid.keeping.folder import Folder, checkpoint_in, digest
from pellucid.keeping.keeper import Ending, Keeper
from pellucid.keeping.kept import matched, packed
from pellucid.keeping.lock import Lock
from pellucid.keeping.log import history_of
from pellucid.safetensors import Listing


class Unkept:
    """One call of `fit` that leaves nothing behind."""

    done = False

    def backend(self, asked: str) -> str:
        """Return the backend that was asked for."""
        return asked

    def begin(self, how: Backend, task: Task, callbacks: Sequence[Callback]) -> History:
        """Return an empty history."""
        return History(how)

    def around(self, callbacks: Sequence[Callback]) -> list[Callback]:
        """Return the callbacks."""
        return list(callbacks)


class Recording:
    """One call of `fit` that is kept in a folder."""

    def __init__(self, folder: Folder, lock: Lock, resume: bool, every: int | None) -> None:
        self.folder, self.lock, self.every = folder, lock, every
        self.told = folder.read()
        self.state: dict[str, Any] = {}
        self.done = False  # whether the run has ended, with nothing left to do
        if self.told is not None and not resume:
            raise ArgumentError(
                f"there is a run in {folder.name!r} already",
                "resume=True goes on with it; another folder begins another run",
            )
        if self.told is None and folder.steps():
            raise ArgumentError(
                f"{folder.name!r} has checkpoints, but no run.json", "take another folder"
            )

    def backend(self, asked: str) -> str:
        """Return which backend to take: that of the run, where there is one."""
        theirs = str(self.told["backend"]) if self.told else asked
        if asked not in ("auto", "often", theirs):
            raise ArgumentError(
                f"the run in {self.folder.name!r} is computed by {theirs}, and others round "
                "otherwise",
                f'backend="{theirs}", or "auto"',
            )
        return theirs

    def begin(self, how: Backend, task: Task, callbacks: Sequence[Callback]) -> History:
        """Begin the run, or take the model to where it is; return the epochs so far.

        Raises: ArgumentError where the run was made otherwise, or cannot be kept; the model is then
        as it was.
        """
        history, kept = History(how), list[tuple[Callback, Any]]()
        if self.told is None:
            packed(callbacks)  # refuses what no file can hold, before there is a run
            names = [type(c).__name__ for c in callbacks]
            self.told = task.about(str(how), names)
            self.folder.write(self.told)
        else:
            check_same(self.told, task.facts(), self.folder.name)
            kept = self._go_on(task.model, callbacks, history)
        self.keeper = Keeper(
            self.folder, task, callbacks, history, self.every, bool(self.state), self._check_ours
        )
        self.keeper.prepare()
        self.done = self._has_ended(task, history)
        for callback, value in kept if not self.done else ():
            callback.take_back(value)
        return history

    def _check_ours(self) -> None:
        """Refuse to write into a folder that is another run's by now, or another process's."""
        if self.lock.holds():
            return
        self.lock.renew()
        try:
            same = self.folder.read() == self.told
        except DataError:
            same = False
        if not same:
            self.lock.release()
            raise ArgumentError("its run.json is not that of this run", "a folder for each run")

    def around(self, callbacks: Sequence[Callback]) -> list[Callback]:
        """Return the callbacks, with those before and after them that keep the run."""
        return [Ending(self.keeper), *callbacks, self.keeper]

    def _go_on(
        self, model: Any, callbacks: Sequence[Callback], history: History
    ) -> list[tuple[Callback, Any]]:
        """Take the model to the last whole checkpoint, where there is one.

        Returns: what the callbacks kept, for each that did.
        """
        rows = self.folder.log.read()
        for step in reversed(self.folder.steps()):
            try:
                kept = self._taken(model, step, len(rows), callbacks)
            except (DataError, OSError) as error:
                why = error.what if isinstance(error, PellucidError) else error
                told = f"a checkpoint is passed over, for the one before: {why}"
                warnings.warn(told, TrainingWarning, stacklevel=2)
                continue
            history_of(rows[: self.state["epochs"]], history)
            history.stopped = self.state["stopped"]
            return kept
        self._check_first(model, "it has no whole checkpoint, and the model is not as it was then")
        return []

    def _taken(
        self, model: Any, step: int, rows: int, callbacks: Sequence[Callback]
    ) -> list[tuple[Callback, Any]]:
        """Take the model to a checkpoint; return what the callbacks kept.

        Raises: DataError; the model is then as it was.
        """
        found, state = checkpoint_in(self.folder.checkpoint(step))
        if state["epochs"] > rows:
            raise DataError(f"{found.path.name} is of epoch {state['epochs']}, the log ends before")
        kept = matched(state["callbacks"], found, callbacks)
        self._check_rate(model, state["numbers"])
        if model._numbers.steps <= self._first["steps"]:
            self._check_first(model, "the model's weights are not those that it began with")
        take_over(model, found, state)
        self.state = state
        return kept

    @property
    def _first(self) -> dict[str, Any]:
        assert self.told is not None
        return self.told["first"]  # type: ignore[no-any-return]

    def _check_rate(self, model: Any, told: Mapping[str, Any]) -> None:
        """Refuse a model that was left where the checkpoint is, and given another rate since."""
        numbers = model._numbers
        if numbers.steps == told.get("steps") and numbers.scale != told.get("scale"):
            raise ArgumentError(
                f"the run in {self.folder.name!r} cannot go on: the model's learning rate was set "
                f"to {model.learning_rate:g} since",
                "a model as at the beginning; or pc.Run(…).branch(step, learning_rate=…)",
            )

    def _check_first(self, model: Any, what: str) -> None:
        if digest(model._numbers) != self._first["digest"]:
            raise ArgumentError(
                f"the run in {self.folder.name!r} cannot go on: {what}",
                "begin with the same model, or take another folder",
            )

    def _has_ended(self, task: Task, history: History) -> bool:
        """Take over the trained model of a run that has ended, and say whether it has."""
        over = history.epochs >= task.epochs or history.stopped
        if not over or not self.state or not self.folder.model.is_file():
            return False
        try:
            found, told = checkpoint_in(self.folder.model)
            if told["epochs"] != history.epochs:  # of an earlier end, before it went on
                return False
            take_over(task.model, found, told)
        except (DataError, OSError):  # it is written again
            return False
        return True


Kept = Recording | Unkept


def take_over(model: Any, found: Listing, state: Mapping[str, Any]) -> None:
    """Read a checkpoint's numbers into a model of the same arrays; `state` is what it says of them.

    Raises: DataError where they are others than those that were saved; the model is as it was.
    """
    before = model._numbers.copy()
    try:
        _read(model, found, state["numbers"])
        if digest(model._numbers) != state["digest"]:
            raise DataError(f"{found.path.name} is damaged: its numbers have changed")
    except (DataError, OSError):
        model._numbers.restore(before)
        raise


def _read(model: Any, found: Listing, told: Mapping[str, Any]) -> None:
    wanted, name = arrays(model), found.path.name
    for key, array in wanted.items():
        entry = found.entries.get(key)
        code = safetensors.CODES[array.dtype.name]
        if entry is None or (entry.shape, entry.code) != (array.shape, code):
            raise DataError(f"{name} has no {key!r} of shape {array.shape} and type {array.dtype}")
    scale = told.get("scale")
    if any(type(told.get(count)) is not int for count in COUNTS) or not isinstance(scale, float):
        raise DataError(f"{name} does not say how far it had come")
    found.fill(wanted)
    numbers = model._numbers
    numbers.steps, numbers.epochs, numbers.since = (told[count] for count in COUNTS)
    numbers.scale = scale


@contextmanager
def recording(checkpoint: str | Path | None, resume: bool, every: int | None) -> Iterator[Kept]:
    """Take the folder of a run for as long as it trains; without one, nothing is kept."""
    if checkpoint is None:
        yield Unkept()
        return
    folder = Folder(Path(checkpoint))
    folder.make()
    lock = Lock(folder.path, folder.name)
    try:
        yield Recording(folder, lock, resume, every)
    finally:
        lock.release()
