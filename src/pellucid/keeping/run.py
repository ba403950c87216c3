"""A run that was kept, looked at again: its history, and its model at any step."""

from __future__ import annotations

import json
import warnings
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from pellucid.backends import chosen
from pellucid.batches import Batch
from pellucid.checkpoint import restored
from pellucid.compiled import Drive
from pellucid.errors import ArgumentError, DataError, PellucidError, TrainingWarning
from pellucid.fit import Stepwise
from pellucid.history import Backend, History
from pellucid.keeping.facts import check_data, check_same, made_of, stored
from pellucid.keeping.folder import Folder, checkpoint_in, digest
from pellucid.keeping.log import Row, history_of
from pellucid.keeping.recording import take_over
from pellucid.model import Sequential
from pellucid.settings import check_whole

Taker = Callable[[int], Any]  # takes so many steps


class Run:
    """A run kept by `fit(checkpoint="run/")`: its `history`, and its model at any step.

    A step that has no checkpoint is computed again, from the one before it, with the run's backend;
    the numbers are compared with those that the run had, to the last bit. Args: `folder`; `custom`,
    {"Name": class} for layers of one's own; `model`, one like that of the run, where that is made
    of functions, which no file can hold. `about` is what `run.json` says, `checkpoints` the steps
    that can be had without computing, `first` and `last` the range of steps, and `parent` the run
    and step that it was branched from.
    Raises: ArgumentError where there is no run, or another model; DataError for a run that cannot
    be read.

    >>> import tempfile
    >>> from pellucid import Dense, data
    >>> folder = tempfile.mkdtemp()
    >>> model = Sequential([Dense(4, "tanh"), Dense(1)], loss="mse")
    >>> history = model.fit(*data.moons(60), epochs=3, verbose=0, checkpoint=folder)
    >>> run = Run(folder)
    >>> run.last, run.at(5)
    (6, Sequential([Dense(units=4, activation='tanh'), Dense(units=1)], loss='mse', ...))
    """

    def __init__(
        self,
        folder: str | Path,
        custom: Mapping[str, type] | None = None,
        *,
        model: Sequential | None = None,
    ) -> None:
        self.folder, self.custom = Folder(Path(folder)), custom or {}
        told = self.folder.read()
        if told is None:
            raise ArgumentError(
                f"there is no run in {self.folder.name!r}",
                'model.fit(…, checkpoint="run/") keeps one',
            )
        self.about: dict[str, Any] = told
        self.model = None if model is None else _built(model, told)
        if self.model is not None:
            check_same({**told, "settings": {}, "data": {}}, _facts(self.model), self.folder.name)

    def __repr__(self) -> str:
        """Say how far it has come."""
        epochs = f"{self.history.epochs} epochs, steps {self.first} to {self.last}"
        return f"<Run {self.folder.name!r}: {epochs}, {len(self.checkpoints)} checkpoints>"

    @property
    def history(self) -> History:
        """The history of its epochs so far; a branch's begins with its own."""
        return history_of(self._rows(), History(Backend(self.about["backend"])))

    def lineage(self) -> History:
        """Return the history from the very beginning: of the runs that it was branched from, too.

        Raises: ArgumentError where one of them is not there any more.
        """
        return history_of(self._line(), History(Backend(self.about["backend"])))

    def _line(self) -> list[Row]:
        rows = self._rows()
        if self.parent is None:
            return rows
        before = Run(self.parent["run"])._line()
        return [row for row in before if row["step"] <= self.first] + rows

    def _rows(self) -> list[Row]:
        return self.folder.log.read()

    @property
    def parent(self) -> dict[str, Any] | None:
        """The run and the step that it was branched from."""
        return self.about["parent"]  # type: ignore[no-any-return]

    @property
    def checkpoints(self) -> tuple[int, ...]:
        """The steps whose models are kept."""
        return tuple(self.folder.steps())

    @property
    def first(self) -> int:
        """The step that it begins with: 0, but for a branch, or a model trained before."""
        return int(self.about["first"]["steps"])

    @property
    def last(self) -> int:
        """The last step of its last whole epoch."""
        rows = self._rows()
        return rows[-1]["step"] if rows else self.first

    # -- time travel -----------------------------------------------------------------------------

    def at(
        self,
        step: int,
        X: Any = None,
        y: Any = None,
        *,
        sample_weight: Any = None,
        validation_data: Any = None,
        augment: Any = None,
    ) -> Sequential:
        """Return the model as it was after so many steps, with its optimizer's state.

        The samples of the run are read from its folder; where they are too many to be kept there,
        64 MiB, they are given, as they were to `fit`, and so is the function `augment`, where there
        was one. Raises: ArgumentError for a step that the run has not taken; DataError for other
        samples, and where what is computed again is not what was: after a callback that changed the
        model, or on a machine that rounds otherwise.

            run.at(1200).predict(X)
        """
        check_whole(step, "step", 0)
        if not self.first <= step <= self.last:
            raise ArgumentError(
                f"the run has no step {step}", f"one from {self.first} to {self.last}"
            )
        model = self._before(step)
        rows = self._rows()
        if model._numbers.steps < step:
            given = (X, y, sample_weight, validation_data)
            data, held = self._data(model, given)
            _replay(model, self._taker(model, data, held, augment), rows, step)
        done = [row for row in rows if row["step"] <= step]
        model.history = history_of(done, History(Backend(self.about["backend"])))
        return model

    def branch(
        self, step: int, *, learning_rate: Any = None, optimizer: Any = None, **given: Any
    ) -> Sequential:
        """Return the model of a step, to be trained on in another way.

        Args: `learning_rate`, a number or a schedule, for the optimizer that it has, whose state
        stays; `optimizer`, another one; samples as in `at`. Trained with a `checkpoint` folder of
        its own, that run remembers the one it is from. Where the step lies within an epoch, that
        epoch begins anew. Raises: as `at` does.

            run.branch(1200, learning_rate=1e-4).fit(X, y, epochs=20, checkpoint="branch/")
        """
        model = self.at(step, **given)
        if optimizer is not None:
            model.optimizer = optimizer
        if learning_rate is not None:
            model.optimizer = replace(model.optimizer, learning_rate=learning_rate)
        model._parent = {"run": str(self.folder.path.resolve()), "step": step}
        return model

    def _before(self, step: int) -> Sequential:
        """Return the model of the last whole checkpoint up to a step."""
        for found in reversed([s for s in self.folder.steps() if s <= step]):
            try:
                return self._kept(found)
            except (ArgumentError, OSError) as error:
                why = error.what if isinstance(error, PellucidError) else error
                told = f"a checkpoint is passed over, for the one before: {why}"
                warnings.warn(told, TrainingWarning, stacklevel=3)
        functions = self.model is None and "layers" not in self.about["model"]
        hint = (
            "a model made of functions is given: pc.Run(folder, model=model)" if functions else ""
        )
        raise DataError(f"{self.folder.name!r} has no whole checkpoint up to step {step}", hint)

    def _kept(self, step: int) -> Sequential:
        found, state = checkpoint_in(self.folder.checkpoint(step))
        if self.model is None:
            model: Sequential = restored(found, self.custom, Sequential)
        else:
            model = self.model.copy()
        take_over(model, found, state)
        return model

    def _data(self, model: Sequential, given: tuple[Any, ...]) -> tuple[Batch, Batch | None]:
        """Return the run's training and held-out samples: those given, or those kept."""
        X, y, weights, validation = given
        told, file = self.about["data"], self.folder.data
        if X is None:
            if not file.is_file():
                raise ArgumentError(
                    "the run's samples are not kept in its folder", "run.at(step, X, y)"
                )
            return stored(file, told)
        how = self.about["preparing"]
        classes = how["class_weight"]
        classes = dict(classes) if isinstance(classes, list) else classes
        X, y, weights, held, _ = model._held_out(X, y, weights, validation, how["validation_split"])
        train = model._batch(X, y, weights, classes)
        tried = None if held is None else model._batch(held[0], held[1], of="validation ")
        arrays = {"X": train.X, "y": train.Y, "sample_weight": train.weights}
        arrays |= {"validation X": tried.X, "validation y": tried.Y} if tried else {}
        there = {k: v for k, v in arrays.items() if v is not None}
        check_data(there, {k: v for k, v in told.items() if k in there or tried}, "as given")
        return train, tried

    def _taker(self, model: Sequential, data: Batch, held: Batch | None, augment: Any) -> Taker:
        """Return what takes steps on a model, as the run took them."""
        how = self.about["settings"]
        size, shuffle, stepper = how["batch_size"], how["shuffle"], model._steps()
        if how["augment"] and augment is None:
            raise ArgumentError(
                "a function made other samples in this run", "run.at(step, augment=function)"
            )
        _, machine = chosen(self.about["backend"], stepper, data, size, 1, held, augment)
        if machine is None:
            losses = Stepwise(stepper, data, 0, size, shuffle, [], augment=augment)._steps()
            return lambda steps: deque(islice(losses, steps), maxlen=0)
        return Drive(
            machine, stepper.plan, stepper.numbers, stepper.seed, data, size, held, shuffle, 1,
            stepper.room,
        ).take  # fmt: skip


def _built(model: Sequential, told: Mapping[str, Any]) -> Sequential:
    """Return a model with parameters for the samples of a run."""
    if model._net is not None:
        return model
    twin = model.copy()
    twin._build(tuple(told["data"]["X"]["shape"][1:]))
    return twin


def _facts(model: Sequential) -> dict[str, Any]:
    told = json.loads(json.dumps(made_of(model), allow_nan=False))
    return {"model": told, "settings": {}, "data": {}}


def _replay(model: Sequential, take: Taker, rows: list[Row], step: int) -> None:
    """Take a model to a step, and on to the next one that is known; compare with all that are.

    Raises: DataError where one comes out otherwise.
    """
    numbers = model._numbers
    wanted = None
    for row in (r for r in rows if r["step"] > numbers.steps and "digest" in r):
        if step < row["step"]:
            take(step - numbers.steps)
            wanted = numbers.copy()
        take(row["step"] - numbers.steps)
        numbers.scale = row.get("scale", numbers.scale)
        if digest(numbers) != row["digest"]:
            raise DataError(
                f"epoch {row['epoch']}, computed again, is not what it was: a callback changed the "
                "model, or this machine rounds otherwise",
                "run.checkpoints are the steps that are kept",
            )
        if step <= row["step"]:
            break
    else:
        take(step - numbers.steps)
    if wanted is not None:
        numbers.restore(wanted)
