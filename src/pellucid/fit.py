"""The training loop: epochs of shuffled batches, with every step's loss checked.

An epoch starts from a snapshot.  If a step's loss or parameters are not finite, or training is
interrupted, the snapshot comes back; in the first case its good steps are then taken again, which
gives the same numbers, since shuffles and masks depend on seed and step alone.  The step that went
wrong is then looked into, by `blackbox`: all of that happens after the failure, and costs nothing
before it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from pellucid import rng
from pellucid.batches import Batch, Numbers
from pellucid.blackbox import Flight, Scene, failure, hides_slopes, norm
from pellucid.callbacks import Callback
from pellucid.errors import DtypeError, ShapeError
from pellucid.graph import Array
from pellucid.history import NUMPY, Backend, History
from pellucid.metrics.measures import Facts
from pellucid.nn.network import admit
from pellucid.run import Runner
from pellucid.sharing import Programs, programs
from pellucid.train import Blueprint, Step

# of a whole run: whether samples are weighted, and about how many are held out and in a batch
Kind = tuple[bool, int, int]
BEFORE = 8  # steps before a failure whose norms are told
FEW = 2**16  # parameters, up to which older snapshots are kept as well, so that there are so many


def kind_of(data: Batch, size: int, held: Batch | None) -> Kind:
    """Return what a run printed as loops depends on, sizes to the nearest power of 2."""
    powers = [2 ** (n - 1).bit_length() if n else 0 for n in (len(held) if held else 0, size)]
    return data.weights is not None, powers[0], powers[1]


# f(X, y, rng) -> (X, y): of a batch's samples, in the form in which the step takes them; rng is a
# numpy.random.Generator, which is not named here, for its import takes a while
Augment = Callable[[Array, Array, Any], tuple[Any, Any]]
RECORDED = ("train_loss", "gradient_norm", "learning_rate")  # what `fit(record=True)` adds


class Stepper:
    """Take training steps on one model's numbers."""

    def __init__(self, plan: Blueprint, numbers: Numbers, seed: int) -> None:
        self.plan, self.numbers, self.seed = plan, numbers, seed
        self.programs: dict[bool, tuple[Step, Runner]] = {}
        self.runs: dict[Kind, Any] = {}  # printed as loops
        self.machines: dict[Kind, Any] = {}  # compiled runs
        self.room: dict[str, Array] = {}  # what compiled runs work in
        self.spare: Numbers | None = None  # memory for a snapshot
        self.grads: Array = numbers.params  # of the last step, once there is one

    @property
    def rate(self) -> float:
        """The learning rate of the last step."""
        numbers = self.numbers
        return self.plan.optimizer.rate_at(numbers.steps - numbers.since, numbers.scale)

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
            step, runner = self.shared.get(("step", weighted), lambda plan: _loaded(plan, weighted))
            found = self.programs[weighted] = (step, runner.twin())
        return found

    @cached_property
    def shared(self) -> Programs:
        """The programs of all models of these settings."""
        return programs(self.plan)

    @cached_property
    def hides(self) -> bool:
        """Whether the optimizer can take a gradient that is not finite, and leave no trace."""
        return hides_slopes(self.plan)

    def run(self, kind: Kind) -> Any:
        """Return the whole run printed as loops."""
        if kind not in self.runs:
            from pellucid.runs import training

            self.runs[kind] = self.shared.get(("run", *kind), lambda plan: training(plan, *kind))
        return self.runs[kind]

    def take(self, batch: Batch) -> dict[str, Any]:
        """Take one step; return the loss of the batch, and what its metrics are made of."""
        step, runner = self.program(batch.weights is not None)
        self.numbers.steps += 1
        given = self.inputs(step, batch)
        if self.plan.optimizer.whole:
            return self._searched(given, batch)
        *found, self.grads = runner(*(given[x.name] for x in step.program.inputs), n=len(batch))
        return dict(zip(step.program.returns, map(_kept, found), strict=True))

    def _searched(self, given: dict[str, Any], batch: Batch) -> dict[str, Any]:
        """Let the optimizer look at the loss where it wants to; return it where the step began."""
        step, runner = self.program(batch.weights is not None)
        names = [x.name for x in step.program.inputs]
        seen: list[dict[str, Any]] = []

        def evaluate(params: Array) -> tuple[float, Array]:
            *found, grads = runner(*({**given, "params": params}[k] for k in names), n=len(batch))
            seen.append(dict(zip(step.program.returns, map(_kept, found), strict=False)))
            return seen[-1]["loss"], grads.copy()

        numbers = self.numbers
        rate = given["learning_rate"]
        self.grads = self.plan.optimizer.minimize(evaluate, numbers.params, numbers.state, rate)
        return seen[0]

    def inputs(self, step: Step, batch: Batch, ahead: int = 0) -> dict[str, Any]:
        """Return what the step that is counted last is given, by name, or one `ahead` of it."""
        numbers = self.numbers
        t = numbers.steps + ahead - numbers.since
        return {
            "X": batch.X, "Y": batch.Y, "sample_weight": batch.weights, "t": t,
            "learning_rate": self.plan.optimizer.given_rate(numbers.scale),
        } | numbers.arrays | self.plan.given | self._masks(step, len(batch), ahead)  # fmt: skip

    def _masks(self, step: Step, n: int, ahead: int = 0) -> dict[str, Array]:
        masks = {}
        for k, mask in enumerate(step.masks):
            key = rng.key(self.seed, "dropout", k, self.numbers.steps + ahead)
            shape = (n, *(int(s) for s in mask.leaf.shape[1:]))  # type: ignore[arg-type]
            keep = mask.keep
            drawn: Array = rng.noise(key, shape) if keep is None else rng.uniform(key, shape) < keep
            masks[mask.leaf.name] = drawn.astype(mask.leaf.dtype)
        return masks


def _as_given(found: Any, batch: Batch) -> tuple[Array, Array]:
    """Return what `augment` made, if it has the shapes of what it was given."""
    if not isinstance(found, (tuple, list)) or len(found) != 2:
        raise DtypeError(f"augment returned a {type(found).__name__}, not (X, y)", "return X, y")
    made = []
    for name, new, old in zip("Xy", found, (batch.X, batch.Y), strict=True):
        array = np.asarray(new)
        if array.shape != old.shape or array.dtype.kind not in "biuf":
            raise ShapeError(
                f"augment made {name} {array.shape} {array.dtype} of {old.shape} {old.dtype}",
                "give as many samples of the same shape back",
            )
        made.append(np.ascontiguousarray(array, old.dtype))
    return made[0], made[1]


def _kept(value: Any) -> Any:
    """Return a number, or the numbers of each class, out of a program's memory."""
    return float(value) if np.ndim(value) == 0 else np.array(value, float)


def _loaded(plan: Blueprint, weighted: bool) -> tuple[Step, Runner]:
    """Return the step, and its program, which tells the gradient as well."""
    step = plan.step(weighted)
    returns = dict.fromkeys([*step.program.returns, "grads"])
    return step, Runner(replace(step.program, returns=list(returns)))


class Trail:
    """Snapshots to come back to: of the last whole epoch, and of some steps before that."""

    def __init__(self, last: Numbers, numbers: Numbers) -> None:
        self.last = last
        few = numbers.params.size <= FEW
        self.older = [numbers.copy() for _ in range(2)] if few else []

    def keep(self, numbers: Numbers) -> None:
        """Take a snapshot; of the older ones, the first is `BEFORE` steps old, or of the start."""
        self.last.restore(numbers)
        if self.older and numbers.steps - self.older[1].steps >= BEFORE:
            self.older.reverse()
            self.older[1].restore(numbers)

    def before(self, step: int) -> Numbers:
        """Return the latest snapshot from which `BEFORE` steps lead to that one, or the oldest."""
        found = [x for x in (self.last, *self.older[::-1]) if x.steps <= step - BEFORE]
        return found[0] if found else self.older[0] if self.older else self.last


@dataclass(eq=False)
class Loop:
    """One call of `fit`: what it trains on, and how.  Each backend has its own way of going on."""

    stepper: Stepper
    data: Batch
    epochs: int
    batch_size: int
    shuffle: bool
    callbacks: Sequence[Callback]
    held: Batch | None = None
    backend: Backend = NUMPY
    validate: Any = None  # () -> {"val_loss": …}, by NumPy
    judge: Any = None  # () -> training metrics that need all predictions at once, such as AUC
    record: Any = None  # () -> {"train_loss": …}, at each epoch's end
    augment: Augment | None = None

    def run(self, begun: History | None = None) -> History:
        """Train, and return what happened; `begun` has the epochs before, of a run that goes on."""
        history = History(self.backend) if begun is None else begun
        start = time.perf_counter()
        history.start()
        numbers = self.stepper.numbers
        self.good, self.first = self.stepper.snapshot(), numbers.epochs - history.epochs
        self._tell(
            "on_train_begin",
            {"epochs": self.epochs, "samples": len(self.data), "batches": self.batches},
        )
        self.good.restore(numbers)  # the callbacks may have changed the model
        self.trail = Trail(self.good, numbers)
        try:
            self._train(history)
        except KeyboardInterrupt:
            self._return(history)
            history.stopped = f"interrupted after epoch {history.epochs}"
        history.seconds += time.perf_counter() - start
        ended: dict[str, Any] = {"stopped": history.stopped, "failure": history.failure}
        self._tell("on_train_end", ended)
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

    def _note(self, history: History) -> None:
        """Add the learning rate of the last step of each epoch that has just been added."""
        numbers, added = self.stepper.numbers, history.epochs - len(history.rates)
        last, optimizer = numbers.steps - numbers.since, self.stepper.plan.optimizer
        if added == 1 or not optimizer.schedule:
            history.rates += [optimizer.rate_at(last, numbers.scale)] * added
        else:
            ends = last - self.batches * np.arange(added)[::-1]
            history.rates += optimizer.rates_at(ends, numbers.scale)

    def _told(self, epoch: int, logs: dict[str, float], history: History) -> str:
        """Tell the callbacks of an epoch's end; return why one of them ends the training."""
        self._tell("on_epoch_end", logs, epoch)
        history.stopped = next((c.stopped for c in self.callbacks if c.stopped), "")
        return history.stopped

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

    def _rows(self, index: Array | None, step: int) -> Batch:
        """Return the samples of a step, 1, 2, …: those rows, or what is made of them."""
        batch = self.data if index is None else self.data.rows(index)
        return batch if self.augment is None else self._augmented(self.augment, batch, step)

    def _augmented(self, augment: Augment, batch: Batch, step: int) -> Batch:
        """Make other samples of a batch; what is random in that follows from seed and step."""
        key = rng.key(self.stepper.seed, "augment", step)
        found = augment(batch.X.copy(), batch.Y.copy(), np.random.Generator(np.random.Philox(key)))
        X, Y = _as_given(found, batch)
        admit(self.stepper.plan.net, X, "augmented X")
        return Batch(X, Y, batch.weights)

    # -- after a failure -------------------------------------------------------------------------

    def _again(self, start: Numbers, steps: int) -> Iterator[float]:
        """Go back to an epoch's start and take so many steps; return further ones, by the loss."""
        raise NotImplementedError

    @property
    def _slopes(self) -> Array:
        """The gradient of the last step."""
        raise NotImplementedError

    def _last_good(self, most: int) -> int:
        """Return the number of the last step, up to `most`, whose numbers are all finite."""
        raise NotImplementedError

    def _recover(self, most: int, history: History) -> None:
        """Take the steps up to the last good one again, and find out what went wrong in the next.

        `most`: no later step can be good.
        """
        last = self._last_good(most)
        flights = self._led_up(self.trail.before(last), last)
        first = last - len(flights)
        led = [self._batch_of(step) for step in range(first, last + 1)]
        epoch = self.stepper.numbers.epochs - self.first + 1
        rest = (flights, epoch)
        history.failure = failure(Scene(self.stepper, self.data, led, self.entry, *rest))
        history.stopped = f"{history.failure.became} at step {history.failure.step}"

    def _batch_of(self, done: int) -> tuple[Array, Batch]:
        """Return rows and samples of the step that comes after so many."""
        epochs, k = divmod(done - self.good.steps, self.batches)
        index = self._batches(self.good.epochs + epochs)[k]
        rows = np.arange(len(self.data)) if index is None else index
        whole = self.data.origin
        return rows if whole is None else whole[rows], self._rows(index, done + 1)

    def _led_up(self, start: Numbers, last: int) -> list[Flight]:
        """Go from a snapshot to the last good step; return the norms on the way there."""
        numbers, flights = self.stepper.numbers, list[Flight]()
        steps = self._again(start, max(0, last - BEFORE - start.steps))
        self.entry, same = numbers.copy(), start is self.good
        while True:
            same = same or (numbers.steps == self.good.steps and numbers.equals(self.good))
            if numbers.steps == last:
                break
            size, loss = norm(numbers.params), next(steps)
            flights.append(Flight(numbers.steps, loss, size, norm(self._slopes)))
        # a callback may have changed the model between the snapshots
        return flights if same else self._led_up(self.good, last)


class Stepwise(Loop):
    """The loop of the NumPy backend: every step is a call of the printed program."""

    def _train(self, history: History) -> None:
        numbers = self.stepper.numbers
        for epoch in range(history.epochs, 0 if history.stopped else self.epochs):
            self.good.restore(numbers)  # a callback may have changed the model
            logs = self._epoch(epoch, history)
            if logs is None:
                return
            history.append(logs)
            self._note(history)
            self.trail.keep(numbers)
            if self._told(epoch, logs, history):
                return

    def _return(self, history: History) -> None:
        self.stepper.numbers.restore(self.good)
        # the interrupt may have come between an epoch's end and its log
        history.cut(self.stepper.numbers.epochs - self.first)

    def _epoch(self, epoch: int, history: History) -> dict[str, float] | None:
        """Train one epoch; None where it ended in NaN or Inf."""
        self._tell("on_epoch_begin", {}, epoch)
        numbers, total = self.stepper.numbers, dict[str, Any]()
        watched = any(c.has("on_batch_end") for c in self.callbacks)
        for k, index in enumerate(self._batches(numbers.epochs)):
            batch = self._rows(index, numbers.steps + 1)
            logs = self.stepper.take(batch)
            if not np.isfinite(logs["loss"]) or (self.stepper.hides and not self._seen()):
                self._recover(numbers.steps - 1, history)
                return None
            for name, value in logs.items():
                total[name] = total.get(name, 0.0) + value * (len(batch) / len(self.data))
            if watched:
                self._tell("on_batch_end", self._measured(logs), k)
        if not numbers.finite():
            self._recover(numbers.steps - 1, history)
            return None
        numbers.epochs += 1
        logs = self._measured(total, self.judge() if self.judge else {})
        logs |= self.validate() if self.validate else {}
        return logs | (self.record() if self.record else {})

    def _measured(self, found: dict[str, Any], whole: Any = None) -> dict[str, float]:
        """Return loss and metrics from what steps return, and those that need all predictions."""
        return self.stepper.plan.measures.result(found, self._facts, whole or {})

    @cached_property
    def _facts(self) -> Facts:
        return self.stepper.plan.measures.facts(self.data.Y, self.data.weights)

    def _seen(self) -> bool:
        """Look at the gradient, where the optimizer would hide what is wrong with it."""
        return bool(np.isfinite(self._slopes).all())

    @property
    def _slopes(self) -> Array:
        return self.stepper.grads

    def _last_good(self, most: int) -> int:
        losses = self._again(self.good, 0)
        for step in range(self.good.steps, most):
            if not (np.isfinite(next(losses)) and self.stepper.numbers.finite()):
                return step
        return most

    def _again(self, start: Numbers, steps: int) -> Iterator[float]:
        self.stepper.numbers.restore(start)
        losses = self._steps()
        for _ in range(steps):
            next(losses)
        return losses

    def _steps(self) -> Iterator[float]:
        """Take steps for ever, from an epoch's start on."""
        numbers = self.stepper.numbers
        while True:
            batches = self._batches(numbers.epochs)
            for k, index in enumerate(batches):
                loss = self.stepper.take(self._rows(index, numbers.steps + 1))["loss"]
                numbers.epochs += k + 1 == len(batches)
                yield loss
