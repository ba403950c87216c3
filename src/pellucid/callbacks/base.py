"""What a callback is: hooks with the names people know, and what it tells a run that is resumed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

Logs = Mapping[str, Any]


class Callback:
    """The base of every callback: override what is wanted; `stop(reason)` ends the training.

    `model` is the model that trains; `logs` hold loss and metrics by name.

    >>> class StopAt(Callback):
    ...     def on_epoch_end(self, epoch, logs):
    ...         if logs["loss"] < 0.1:
    ...             self.stop("the loss is below 0.1")
    """

    model: Any = None
    stopped: str = ""
    watches: bool = False  # only looks at the logs: may be told of several epochs at once
    pauses: bool = False  # what it ends is no end: a run that is resumed goes on from there

    def stop(self, reason: str) -> None:
        """End the training after this epoch."""
        self.stopped = reason

    def has(self, hook: str) -> bool:
        """Say whether a hook does anything."""
        return hook in vars(self) or getattr(type(self), hook) is not getattr(Callback, hook)

    def due(self, start: int, stop: int) -> Iterable[int]:
        """Return the epochs, of those from `start` up to `stop`, whose end it is to be told of."""
        return range(start, stop)

    def ready(self, names: Sequence[str]) -> None:
        """Called before anything is trained, with the names that the logs will have.

        What cannot be meant is refused here, with an ArgumentError: the model is then as it was.
        """

    def kept(self) -> dict[str, Any]:
        """Return what a run needs, to go on with this callback later: JSON, and NumPy arrays."""
        return {}

    def take_back(self, kept: Mapping[str, Any]) -> None:
        """Go on from what `kept` returned, in the training that is to come."""

    def on_train_begin(self, logs: Logs) -> None:
        """Called once, before the first epoch; logs: epochs, samples, batches."""

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:
        """Called before each epoch, which counts from 0."""

    def on_batch_end(self, batch: int, logs: Logs) -> None:
        """Called after each step; logs: loss and metrics of the batch."""

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Called after each epoch; logs: loss, metrics, and val_… of them."""

    def on_train_end(self, logs: Logs) -> None:
        """Called once, after the last epoch; logs: stopped and failure, as in the history."""


class LambdaCallback(Callback):
    """A callback from plain functions, by the names of the hooks.

    Raises: ArgumentError for a name that no hook has.

    >>> losses = []
    >>> keep = LambdaCallback(on_epoch_end=lambda epoch, logs: losses.append(logs["loss"]))
    """

    def __init__(self, **hooks: Callable[..., Any]) -> None:
        from pellucid.errors import one_of

        known = [name for name in vars(Callback) if name.startswith("on_")]
        for name, hook in hooks.items():
            if name not in known:
                raise one_of("hook", name, known)
            setattr(self, name, hook)
