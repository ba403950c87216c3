"""The training loop: epochs of shuffled batches, with every step's loss checked.

An epoch starts from a snapshot.  If a step's loss or parameters are not finite, or training is
interrupted, the snapshot comes back; in the first case its good steps are then taken again, which
gives the same numbers, since shuffles and masks depend on seed and step alone.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pellucid import rng
from pellucid.batches import Batch, Numbers
from pellucid.callbacks import Callback
from pellucid.errors import TrainingWarning, outside
from pellucid.graph import Array
from pellucid.history import NUMPY, Backend, History
from pellucid.run import Runner
from pellucid.train import Blueprint, Step

# of a whole run: whether samples are weighted, and about how many are held out and in a batch
Kind = tuple[bool, int, int]


def kind_of(data: Batch, size: int, held: Batch | None) -> Kind:
    """Return what a run printed as loops depends on, sizes to the nearest power of 2."""
    powers = [2 ** (n - 1).bit_length() if n else 0 for n in (len(held) if held else 0, size)]
    return data.weights is not None, powers[0], powers[1]


class Stepper:
    """Take training steps on one model's numbers."""

    def __init__(self, plan: Blueprint, numbers: Numbers, seed: int) -> None:
        self.plan, self.numbers, self.seed = plan, numbers, seed
        self.programs: dict[bool, tuple[Step, Runner]] = {}
        self.runs: dict[Kind, Any] = {}  # printed as loops
        self.machines: dict[Kind, Any] = {}  # compiled runs
        self.room: dict[str, Array] = {}  # what compiled runs work in
        self.spare: Numbers | None = None  # memory for a snapshot

    def snapshot(self) -> Numbers:
        """Return a copy of the numbers, in memory that the next snapshot takes over."""
        if self.spare is None:
            self.spare = self.numbers.copy()
        self.spare.restore(self.numbers)
        return self.spare

    def program(self, weighted: bool) -> tuple[Step, Runner]:
        """Return the traced step and its loaded program."""
        found = self.programs.get(weighted)
        if found is None:
            step = self.plan.step(weighted)
            found = self.programs[weighted] = (step, Runner(step.program))
        return found

    def run(self, kind: Kind) -> Any:
        """Return the whole run printed as loops."""
        if kind not in self.runs:
            from pellucid.runs import training

            self.runs[kind] = training(self.plan, *kind)
        return self.runs[kind]

    def take(self, batch: Batch, learning_rate: float) -> dict[str, float]:
        """Take one step; return the loss and the metrics of the batch."""
        step, runner = self.program(batch.weights is not None)
        numbers = self.numbers
        numbers.steps += 1
        given: dict[str, Any] = {
            "X": batch.X, "Y": batch.Y, "sample_weight": batch.weights, "params": numbers.params,
            "t": numbers.steps - numbers.since, "learning_rate": learning_rate,
        } | numbers.state | self._masks(step, len(batch))  # fmt: skip
        found = runner(*(given[leaf.name] for leaf in step.program.inputs), n=len(batch))
        found = found if isinstance(found, tuple) else (found,)
        return dict(zip(step.program.returns, map(float, found), strict=True))

    def _masks(self, step: Step, n: int) -> dict[str, Array]:
        masks = {}
        for k, mask in enumerate(step.masks):
            key = rng.key(self.seed, "dropout", k, self.numbers.steps)
            shape = (n, *(int(s) for s in mask.leaf.shape[1:]))  # type: ignore[arg-type]
            masks[mask.leaf.name] = (rng.uniform(key, shape) < mask.keep).astype(mask.leaf.dtype)
        return masks


@dataclass(eq=False)
class Loop:
    """One call of `fit`: what it trains on, and how.  Each backend has its own way of going on."""

    stepper: Stepper
    data: Batch
    epochs: int
    batch_size: int
    shuffle: bool
    learning_rate: float
    callbacks: Sequence[Callback]
    held: Batch | None = None
    backend: Backend = NUMPY
    validate: Any = None  # () -> {"val_loss": …}, by NumPy

    def run(self) -> History:
        """Train, and return what happened."""
        history, start = History(self.backend), time.perf_counter()
        numbers = self.stepper.numbers
        self.good, self.first = self.stepper.snapshot(), numbers.epochs
        self._tell(
            "on_train_begin",
            {"epochs": self.epochs, "samples": len(self.data), "batches": self.batches},
        )
        self.good.restore(numbers)  # the callbacks may have changed the model
        try:
            self._train(history)
        except KeyboardInterrupt:
            self._return(history)
            history.stopped = f"interrupted after epoch {history.epochs}"
        history.seconds = time.perf_counter() - start
        self._tell("on_train_end", {})
        return history

    @property
    def batches(self) -> int:
        """How many steps an epoch has."""
        return -(-len(self.data) // self.batch_size)

    def _train(self, history: History) -> None:
        raise NotImplementedError

    def _return(self, history: History) -> None:
        """Go back to the end of the last whole epoch, wherever training was interrupted."""
        raise NotImplementedError

    def _tell(self, hook: str, logs: Mapping[str, float], *place: int) -> None:
        for callback in self.callbacks:
            getattr(callback, hook)(*place, logs)

    def _told(self, epoch: int, logs: dict[str, float], history: History) -> str:
        """Tell the callbacks of an epoch's end; return why one of them ends the training."""
        self._tell("on_epoch_end", logs, epoch)
        history.stopped = next((c.stopped for c in self.callbacks if c.stopped), "")
        return history.stopped

    def _warn(self, history: History) -> None:
        step = self.stepper.numbers.steps
        history.stopped = f"the loss or a parameter became NaN or Inf at step {step + 1}"
        warnings.warn(
            f"{history.stopped}; "
            f"the model keeps the parameters of step {step}, the last good one.\n"
            f"  try: a smaller learning rate (now {self.learning_rate:g}), or scaled inputs",
            TrainingWarning,
            stacklevel=_depth(),
        )


class Stepwise(Loop):
    """The loop of the NumPy backend: every step is a call of the printed program."""

    def _train(self, history: History) -> None:
        numbers = self.stepper.numbers
        for epoch in range(self.epochs):
            self.good.restore(numbers)  # a callback may have changed the model
            logs = self._epoch(epoch, history)
            if logs is None:
                return
            history.append(logs)
            self.good.restore(numbers)
            if self._told(epoch, logs, history):
                return

    def _return(self, history: History) -> None:
        self.stepper.numbers.restore(self.good)
        # the interrupt may have come between an epoch's end and its log
        history.cut(self.stepper.numbers.epochs - self.first)

    def _epoch(self, epoch: int, history: History) -> dict[str, float] | None:
        """Train one epoch; None where it ended in NaN or Inf."""
        self._tell("on_epoch_begin", {}, epoch)
        numbers, total = self.stepper.numbers, dict[str, float]()
        for k, index in enumerate(self._batches(numbers.epochs)):
            batch = self.data if index is None else self.data.rows(index)
            logs = self.stepper.take(batch, self.learning_rate)
            if not np.isfinite(logs["loss"]):
                self._recover(k, history)
                return None
            for name, value in logs.items():
                total[name] = total.get(name, 0.0) + value * (len(batch) / len(self.data))
            self._tell("on_batch_end", logs, k)
        if not numbers.finite():
            self._recover(k, history)
            return None
        numbers.epochs += 1
        return total | (self.validate() if self.validate else {})

    def _batches(self, epoch: int) -> Sequence[Array | None]:
        """Return the rows of every batch; None is all of them, in their order."""
        n, size = len(self.data), self.batch_size
        if size >= n:
            return [None]
        order = (
            rng.permutation(rng.key(self.stepper.seed, "shuffle", epoch), n)
            if self.shuffle
            else np.arange(n)
        )
        return [order[start : start + size] for start in range(0, n, size)]

    def _recover(self, failed: int, history: History) -> None:
        """Go back to the epoch's start and take its steps again, up to the last good one."""
        numbers = self.stepper.numbers
        numbers.restore(self.good)
        for index in self._batches(numbers.epochs)[: failed + 1]:
            before = numbers.copy()
            batch = self.data if index is None else self.data.rows(index)
            logs = self.stepper.take(batch, self.learning_rate)
            if not (np.isfinite(logs["loss"]) and numbers.finite()):
                numbers.restore(before)
                break
        self._warn(history)


def _depth() -> int:
    """Return how far up the caller's own code is, which a warning should point at."""
    frame, depth = sys._getframe(1), 1
    while frame is not outside(frame) and frame.f_back is not None:
        frame, depth = frame.f_back, depth + 1
    return depth
