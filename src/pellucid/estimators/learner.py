"""What the classifier and the regressor share: from settings to a model, and its training.

Samples   rows, targets as the network takes them, weights        Plateau   when to stop
Learner   the base of both estimators
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from numbers import Integral, Real
from typing import Any

import numpy as np

from pellucid import intake
from pellucid.callbacks import Callback, EarlyStopping, Logs
from pellucid.data import split
from pellucid.errors import ArgumentError
from pellucid.estimators import parts, scale
from pellucid.graph import Array
from pellucid.history import History
from pellucid.model import Sequential
from pellucid.nn.layer import Dense, Layer
from pellucid.optim import Adam, Optimizer
from pellucid.optim import optimizer as optimizer_named
from pellucid.settings import as_list, check_whole

LARGEST_BATCH = 200  # rows in a batch, where the estimator chooses
POWERS = 6, 20  # an "auto" penalty lies between these powers of 1/2
STREAM = 1000.0  # rows that are thought to come, where they come in parts
RATE = 0.01  # of Adam: on standardized rows ten times its usual one is safe
PRECISIONS = (np.float64, np.float32)  # a row of anything else becomes the first


@dataclass(frozen=True, eq=False)
class Samples:
    """Rows to learn from; those of weight 0 are left out before anything is learned of them."""

    X: Array
    y: Array
    count: float  # of all rows by their weights: one of weight 2 is two
    weights: Array | None = None  # None: all count alike

    def rows(self, index: Array) -> Samples:
        """Return some of the rows."""
        weights = None if self.weights is None else self.weights[index]
        return Samples(self.X[index], self.y[index], self.count, weights)

    def weighted(self, factors: Array) -> Samples:
        """Return the rows with their weights multiplied; equal weights are none."""
        weights = factors if self.weights is None else self.weights * factors
        kept = self if (weights > 0).all() else self.rows(weights > 0)
        weights = weights[weights > 0]
        return replace(kept, weights=None if np.ptp(weights) == 0 else weights)


class Plateau(Callback):
    """End the training once the loss hardly falls, looking at it every so many epochs.

    stop where   loss at the last look - loss < tol · every
    """

    def __init__(self, tol: float, every: int) -> None:
        self.tol, self.every, self.last = float(tol), every, np.inf

    def due(self, start: int, stop: int) -> Iterable[int]:
        """Return the epochs at whose end it looks."""
        return range(start + (-start - 1) % self.every, stop, self.every)

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Compare with the last look."""
        if not self.due(epoch, epoch + 1):
            return
        if self.last - logs["loss"] < self.tol * self.every:
            what = f"the loss fell by less than {self.tol:g} an epoch over {self.every} epochs"
            self.stop(what)
        self.last = logs["loss"]


class Learner(parts.BaseEstimator):  # type: ignore[misc]
    """The base of both estimators: fit, partial_fit, and the network's output."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Learn from rows X (n, features) and targets y; return the estimator.

        `sample_weight` (n,): a weight of 2 counts as the row given twice, one of 0 as left out; to
        rounding so where one batch holds all rows (shuffled batches draw other rows together).

        Raises: ValueError, TypeError for what cannot be learned from; NonFiniteError where training
        became NaN or Inf.
        """
        with self._unless_refused():
            again = bool(self.warm_start) and self._fitted
            X, y = self._valid(X, y, reset=not again)
            samples, task = self._samples(X, y, sample_weight, self._task if again else None)
            seed = self.model_.seed if again else self._drawn()
            train, held = self._held_out(samples, seed)
            if not again:
                self._begin(train, task, seed)
            self._train(train, held, self.max_iter)
        return self

    def _more(self, X: Any, y: Any, sample_weight: Any, task: Any) -> Any:
        """Learn from further rows, once over all of them."""
        with self._unless_refused():
            again = self._fitted
            X, y = self._valid(X, y, reset=not again)
            samples, task = self._samples(X, y, sample_weight, self._task if again else task)
            if not again:
                self._begin(replace(samples, count=STREAM), task, self._drawn())
            else:
                self._see(samples)
            self._train(samples, None, None)
        return self

    @contextmanager
    def _unless_refused(self) -> Iterator[None]:
        """Stay as it was before, where settings or data cannot be meant, or training failed."""
        before = dict(vars(self))
        try:
            self._check()
            yield
        except Exception:
            self.__dict__ = before
            raise

    @property
    def _fitted(self) -> bool:
        return "model_" in vars(self)

    # -- what each estimator has of its own ------------------------------------------------------

    def _valid(self, X: Any, y: Any, reset: bool) -> tuple[Array, Array]:
        """Return rows and targets, checked as scikit-learn does."""
        raise NotImplementedError

    def _targets(self, y: Array, task: Any) -> tuple[Array, Any]:
        """Return the targets as the network takes them, and what is known of them.

        `task`: what is known already, where this is not the first call.
        """
        raise NotImplementedError

    def _factors(self, samples: Samples, task: Any) -> Array | None:
        """Return what each row's weight is multiplied with."""
        return None

    def _output(self, task: Any) -> tuple[int, str]:
        """Return how many numbers the network gives, and its loss."""
        raise NotImplementedError

    def _learned(self, task: Any) -> None:
        """Keep what is known of the targets."""
        raise NotImplementedError

    # -- before training -------------------------------------------------------------------------

    def _check(self) -> None:
        """Refuse settings that cannot be meant and that nothing else looks at."""
        check_whole(self.max_iter, "max_iter", 1)
        check_whole(self.n_iter_no_change, "n_iter_no_change", 1)
        if self.batch_size != "auto":
            check_whole(self.batch_size, "batch_size", 1)
        if self.tol is not None and not (isinstance(self.tol, Real) and float(self.tol) >= 0):
            raise ArgumentError(
                f"tol is {self.tol!r}",
                "a number of at least 0, or None to train for max_iter epochs",
            )

    def _drawn(self) -> int:
        """Return the seed of a new network."""
        return int(parts.check_random_state(self.random_state).randint(2**31 - 1))

    def _samples(self, X: Array, y: Array, given: Any, task: Any) -> tuple[Samples, Any]:
        """Return the rows that count, and what is known of their targets."""
        total = np.ones(len(X)) if given is None else _weights(given, len(X))
        kept = total > 0
        targets, task = self._targets(y[kept], task)
        samples = Samples(X[kept], targets, total.sum()).weighted(total[kept])
        factors = self._factors(samples, task)
        return samples if factors is None else samples.weighted(factors), task

    def _held_out(self, samples: Samples, seed: int) -> tuple[Samples, Samples | None]:
        """Return the rows to learn from, and those that say when to stop."""
        if not self.early_stopping:
            return samples, None
        labels = (
            samples.y if samples.y.ndim == 1 else np.arange(len(samples.y)) / 2
        )  # only shuffled
        rows = np.arange(len(samples.X))
        train, _, held, _ = split(rows, labels, self.validation_fraction, seed)
        return samples.rows(train), samples.rows(held)

    def _begin(self, samples: Samples, task: Any, seed: int) -> None:
        """Make the network, and learn the scale of its input."""
        units, loss = self._output(task)
        l2 = auto_l2(samples.count) if self.l2 == "auto" else self.l2
        layers = [*self._hidden(l2), Dense(units, l2=l2)]
        self.model_ = Sequential(
            layers, loss=loss, optimizer=self._optimizer(), dtype=samples.X.dtype, seed=seed
        )
        self._task = task
        self._learned(task)
        self.X_scale_ = scale.none(samples.X.shape[1])
        self.loss_curve_: list[float] = []
        self.validation_loss_curve_: list[float] | None = [] if self.early_stopping else None
        self._see(samples)

    def _hidden(self, l2: float) -> Sequence[Layer]:
        if self.layers is not None:
            return as_list(self.layers, "layers", '[pc.Dense(64, "relu"), pc.Dropout(0.2)]')
        sizes = (self.hidden,) if isinstance(self.hidden, Integral) else self.hidden
        return [Dense(units, self.activation, l2=l2) for units in as_list(
            sizes, "hidden", "(100,)")]  # fmt: skip

    def _optimizer(self) -> Optimizer:
        if isinstance(self.optimizer, Optimizer):
            return self.optimizer
        named = optimizer_named(self.optimizer)
        if self.learning_rate == "auto":
            return replace(named, learning_rate=RATE) if type(named) is Adam else named
        return replace(named, learning_rate=self.learning_rate)

    def _see(self, samples: Samples) -> None:
        """Take further rows into the scale of the input."""
        if self.standardize:
            self.X_scale_ = self.X_scale_.seen(samples.X, samples.weights)

    # -- training and reading --------------------------------------------------------------------

    def _scaled(self, samples: Samples) -> tuple[Array, Array]:
        """Return rows and targets as the network takes them."""
        return self.X_scale_.apply(samples.X), samples.y

    def _train(self, train: Samples, held: Samples | None, epochs: int | None) -> None:
        """Train the network: for so many epochs at most, or once over all rows."""
        X, y = self._scaled(train)
        self.history_ = self.model_.fit(
            X, y, epochs=epochs or 1, sample_weight=train.weights, shuffle=self.shuffle,
            batch_size=min(LARGEST_BATCH, len(X)) if self.batch_size == "auto" else self.batch_size,
            validation_data=None if held is None else self._scaled(held),
            callbacks=[] if epochs is None else self._stopping(held is not None),
            verbose=int(self.verbose),
            backend="often" if self.backend == "auto" else self.backend,
        )  # fmt: skip
        self._told(self.history_)

    def _stopping(self, held: bool) -> list[Callback]:
        """Return what may end the training early."""
        every, tol = self.n_iter_no_change, self.tol
        if held:
            return [EarlyStopping("val_loss", patience=every, min_delta=tol or 0.0)]
        return [] if tol is None else [Plateau(tol, every)]

    def _told(self, history: History) -> None:
        """Add what happened to the curves."""
        self.loss_curve_ = [*self.loss_curve_, *history.get("loss", [])]
        if self.validation_loss_curve_ is not None:
            held = history.get("val_loss", [])
            self.validation_loss_curve_ = [*self.validation_loss_curve_, *held]
        self.n_iter_ = len(self.loss_curve_)

    def _read(self, X: Any, raw: bool = False) -> Array:
        """Return what the network gives for rows X."""
        parts.check_is_fitted(self)
        X = parts.validate_data(self, X, reset=False, dtype=PRECISIONS)
        rows = self.X_scale_.apply(X.astype(self.model_.dtype, copy=False))
        return self.model_.predict(rows, raw=raw)


def _weights(given: Any, n: int) -> Array:
    """Return one weight of at least 0 for each row, not all of them 0."""
    array = np.asarray(given, dtype=float)
    if array.shape == (n,) and not array.any():
        raise ArgumentError("every weight in sample_weight is zero", "leave one above 0")
    return intake.weights(array, n)


def auto_l2(rows: float) -> float:
    """Return the penalty for so many rows: 1/rows, as a power of 2.

    A prior that stays the same weighs less the more rows there are. A power of 2, so that about as
    many rows share one compiled program.

    >>> auto_l2(1000) == 2**-10, auto_l2(1400) == 2**-10
    (True, True)
    """
    strongest, weakest = POWERS
    return float(2.0 ** -min(max(round(math.log2(rows)), strongest), weakest))
