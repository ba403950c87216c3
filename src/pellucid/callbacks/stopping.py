"""Callbacks that end the training: when it no longer improves, and when time is up."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pellucid.callbacks.base import Callback, Logs
from pellucid.callbacks.monitors import check_count, check_number, watched
from pellucid.graph import Array


class EarlyStopping(Callback):
    """Stop when a logged value no longer improves, and go back to the weights of its best epoch.

        better:  value < best - min_delta      (mode "max":  value > best + min_delta)

    Args: `monitor`, a name in the logs; `patience`, epochs in a row without a better value after
    which to stop; `mode`, "min", "max", or "auto", which tells losses from scores by their names;
    `restore_best_weights`, whether the model ends with the weights of the best epoch. It then does
    so however the training ends, but for NaN or Inf. Weights are parameters and running
    statistics; the optimizer's state and the count of epochs stay those of the last epoch.
    `best` and `best_epoch` say which it was; epochs count from 1, as they are printed.
    Raises: ArgumentError for a name that is not logged, before anything is trained.

    >>> from pellucid import Dense, Sequential, data
    >>> model, stopping = Sequential([Dense(8, "tanh"), Dense(1)], loss="mse"), EarlyStopping()
    >>> X, y = data.moons(60, noise=0.5)
    >>> history = model.fit(X, y, epochs=999, validation_split=0.5, verbose=0,
    ...                     callbacks=[stopping], backend="numpy")
    >>> history.epochs - stopping.best_epoch, history.best("val_loss").epoch == stopping.best_epoch
    (10, True)
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        *,
        patience: int = 10,
        min_delta: float = 0.0,
        mode: str = "auto",
        restore_best_weights: bool = True,
    ) -> None:
        check_count(patience, "patience", 1)
        check_number(min_delta, "min_delta", 0.0, "a number of at least 0")
        self.monitor = watched(monitor, mode)
        self.patience, self.min_delta = patience, float(min_delta)
        self.restore_best_weights = restore_best_weights
        self._resumed = False
        self._forget()

    def _forget(self) -> None:
        self.best, self.best_epoch, self.waited = self.monitor.start, 0, 0
        self.weights: dict[str, Array] = {}

    def ready(self, names: Sequence[str]) -> None:
        """Refuse a name that is not logged."""
        self.monitor.check(names)

    def on_train_begin(self, logs: Logs) -> None:
        """Start anew, but for a run that is resumed."""
        if not self._resumed:
            self._forget()
        self._resumed = False

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Keep the weights of a better epoch; stop after too many that are not."""
        value = self.monitor.value(logs)
        if self.monitor.better(value, self.best, self.min_delta):
            self.best, self.best_epoch, self.waited = value, epoch + 1, 0
            self._keep()
            return
        self.waited += 1
        if self.waited >= self.patience:
            self.stop(self._reason())

    def _keep(self) -> None:
        if self.restore_best_weights:
            for name, array in _weights(self.model).items():
                self.weights.setdefault(name, array.copy())[...] = array

    def _reason(self) -> str:
        epochs = f"{self.waited} epoch{'s' * (self.waited != 1)}"
        told = f"{self.monitor.name} has not improved for {epochs}"
        if not self.best_epoch:
            return f"{told}: it never was a number"
        back = ", whose weights are restored" if self.restore_best_weights else ""
        return f"{told}; the best was {self.best:.4g} in epoch {self.best_epoch}{back}"

    def on_train_end(self, logs: Logs) -> None:
        """Go back to the best weights, unless the training failed."""
        if logs.get("failure") is None:
            for name, array in _weights(self.model).items():
                array[...] = self.weights.get(name, array)

    def kept(self) -> dict[str, Any]:
        """Return the best value and its weights, and for how long there was none better."""
        best = self.best if self.best_epoch else None
        told = {"best": best, "best_epoch": self.best_epoch, "waited": self.waited}
        return told | {name: array.copy() for name, array in self.weights.items()}

    def take_back(self, kept: Mapping[str, Any]) -> None:
        """Go on waiting."""
        self._forget()
        self._resumed, self.best_epoch, self.waited = True, kept["best_epoch"], kept["waited"]
        self.best = self.monitor.start if kept["best"] is None else kept["best"]
        self.weights = {k: kept[k].copy() for k in ("params", "fixed") if k in kept}


def _weights(model: Any) -> dict[str, Array]:
    """Return what a prediction depends on, as flat arrays."""
    return {"params": model._numbers.params, "fixed": model._numbers.fixed}


class TimeLimit(Callback):
    """End the training after so many seconds, counted from the call of `fit`.

    Epochs are whole: one that would probably end too late, after those before, is not begun. The
    first one is always trained.

    >>> from pellucid import Dense, Sequential, data
    >>> model = Sequential([Dense(8, "tanh"), Dense(1)], loss="mse")
    >>> history = model.fit(*data.moons(), epochs=10**6, verbose=0, callbacks=[TimeLimit(0.2)])
    >>> history.stopped
    'the time limit of 0.2 s'
    """

    watches = True
    pauses = True

    def __init__(self, seconds: float) -> None:
        check_number(seconds, "seconds", 0.0, "a number of seconds, such as 60")
        self.seconds = float(seconds)
        self.began = self.looked = 0.0
        self.seen = -1  # the epoch at the last look

    def ready(self, names: Sequence[str]) -> None:
        """Start the clock."""
        self.began = time.perf_counter()

    def due(self, start: int, stop: int) -> Iterable[int]:
        """Return the last one: what was before it is past."""
        return (stop - 1,)

    def on_train_begin(self, logs: Logs) -> None:
        """Start the first epoch's clock."""
        self.looked, self.seen = time.perf_counter(), -1

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Stop, where one more epoch, as long as these, would end after the limit."""
        now = time.perf_counter()
        count = epoch - self.seen if self.seen >= 0 else 1
        each, self.looked, self.seen = (now - self.looked) / max(count, 1), now, epoch
        if now - self.began + each > self.seconds:
            self.stop(f"the time limit of {self.seconds:g} s")
