"""A learning rate that falls where training no longer improves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

from pellucid.callbacks.base import Callback, Logs
from pellucid.callbacks.monitors import check_count, check_number, watched
from pellucid.errors import ArgumentError, one_of


class ReduceOnPlateau(Callback):
    """Lower the learning rate where a logged value has not improved for a while.

        rate ← max(factor · rate, min_lr)     after more than `patience` epochs without a better one
        better:  value < best · (1 - threshold)     ("rel"; "max":  value > best · (1 + threshold))
                 value < best - threshold           ("abs"; "max":  value > best + threshold)

    Args: `monitor`, a name in the logs; `mode`, "min", "max", or "auto", by the name; `cooldown`,
    epochs after a reduction that do not count; `eps`, the least change of the rate that is made.
    It is PyTorch's ReduceLROnPlateau, with its defaults. `reduced` holds the new rates by epoch,
    from 1. With parameter groups, `min_lr` bounds the optimizer's own rate, and theirs follow it.
    Raises: ArgumentError for a name that is not logged, and where a schedule sets the rate.

    >>> plateau = ReduceOnPlateau(factor=0.5, patience=2)
    >>> plateau.factor, plateau.monitor
    (0.5, Monitor(name='val_loss', mode='min'))
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        *,
        mode: str = "auto",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: str = "rel",
        cooldown: int = 0,
        min_lr: float = 0.0,
        eps: float = 1e-8,
    ) -> None:
        check_number(factor, "factor", 2**-53, "a number between 0 and 1", 1 - 2**-53)
        check_count(patience, "patience", 0)
        check_count(cooldown, "cooldown", 0)
        for name, value in (("threshold", threshold), ("min_lr", min_lr), ("eps", eps)):
            check_number(value, name, 0.0, "a number of at least 0")
        if threshold_mode not in ("rel", "abs"):
            raise one_of("threshold_mode", threshold_mode, ["rel", "abs"])
        self.monitor = watched(monitor, mode)
        self.factor, self.patience, self.cooldown = float(factor), patience, cooldown
        self.threshold, self.threshold_mode = float(threshold), threshold_mode
        self.min_lr, self.eps = float(min_lr), float(eps)
        self._resumed = False
        self._forget()

    def _forget(self) -> None:
        self.best, self.waited, self.cooling = self.monitor.start, 0, 0
        self.reduced: dict[int, float] = {}

    def ready(self, names: Sequence[str]) -> None:
        """Refuse a name that is not logged, and a rate that a schedule sets."""
        self.monitor.check(names)
        if not isinstance(self.model.optimizer.learning_rate, Real):
            raise ArgumentError(
                "the learning rate follows a schedule, so ReduceOnPlateau cannot set it",
                "a number as learning_rate, or no ReduceOnPlateau",
            )

    def on_train_begin(self, logs: Logs) -> None:
        """Start anew, but for a run that is resumed; the learning rate stays what it is."""
        if not self._resumed:
            self._forget()
        self._resumed = False

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Count the epochs without a better value, and lower the rate after too many."""
        value = self.monitor.value(logs)
        if self._better(value):
            self.best, self.waited = value, 0
        else:
            self.waited += 1
        if self.cooling > 0:
            self.cooling, self.waited = self.cooling - 1, 0
        if self.waited > self.patience:
            self._reduce(epoch)
            self.cooling, self.waited = self.cooldown, 0

    def _better(self, value: float) -> bool:
        if self.threshold_mode == "abs":
            return self.monitor.better(value, self.best, self.threshold)
        share = -self.threshold if self.monitor.mode == "min" else self.threshold
        return self.monitor.better(value, self.best * (1 + share))

    def _reduce(self, epoch: int) -> None:
        rate = self.model.learning_rate
        lower = max(rate * self.factor, self.min_lr)
        if rate - lower > self.eps:
            self.model.learning_rate = self.reduced[epoch + 1] = lower

    def kept(self) -> dict[str, Any]:
        """Return the best value, and the counts; the rate itself is kept with the model."""
        best = None if self.best == self.monitor.start else self.best
        reduced = [[epoch, rate] for epoch, rate in self.reduced.items()]
        return {"best": best, "waited": self.waited, "cooling": self.cooling, "reduced": reduced}

    def take_back(self, kept: Mapping[str, Any]) -> None:
        """Go on counting."""
        self._resumed, self.waited, self.cooling = True, kept["waited"], kept["cooling"]
        self.best = self.monitor.start if kept["best"] is None else kept["best"]
        self.reduced = {int(epoch): float(rate) for epoch, rate in kept["reduced"]}
