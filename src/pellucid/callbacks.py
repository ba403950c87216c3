"""What happens between epochs: hooks with the names that people know, and progress on the screen."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from typing import IO, Any

Logs = Mapping[str, float]


class Callback:
    """The base of every callback: override what is wanted; `stop(reason)` ends the training.

    `model` is the model that trains; `logs` hold loss and metrics by name.
    """

    model: Any = None
    stopped: str = ""

    def stop(self, reason: str) -> None:
        """End the training after this epoch."""
        self.stopped = reason

    def on_train_begin(self, logs: Logs) -> None:
        """Called once, before the first epoch; logs: epochs, samples, batches."""

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:
        """Called before each epoch, which counts from 0."""

    def on_batch_end(self, batch: int, logs: Logs) -> None:
        """Called after each step; logs: loss and metrics of the batch."""

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Called after each epoch; logs: loss, metrics, and val_… of them."""

    def on_train_end(self, logs: Logs) -> None:
        """Called once, after the last epoch."""


class LambdaCallback(Callback):
    """A callback from plain functions: LambdaCallback(on_epoch_end=lambda epoch, logs: …)."""

    def __init__(self, **hooks: Callable[..., Any]) -> None:
        from pellucid.errors import one_of

        known = [name for name in vars(Callback) if name.startswith("on_")]
        for name, hook in hooks.items():
            if name not in known:
                raise one_of("hook", name, known)
            setattr(self, name, hook)


def line(logs: Logs) -> str:
    """Return the logs as a person reads them: loss 0.1234  accuracy 0.950."""
    return "  ".join(f"{name} {value:.4f}" for name, value in logs.items())


class Lines(Callback):
    """Print a line for the first and the last epoch, and every so many between."""

    def __init__(self, every: int, epochs: int, out: IO[str] | None = None) -> None:
        self.every, self.epochs, self.out = every, epochs, out

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Print, where the epoch is one to be printed."""
        if epoch == 0 or (epoch + 1) % self.every == 0 or epoch + 1 == self.epochs:
            width = len(str(self.epochs))
            print(f"epoch {epoch + 1:{width}d}/{self.epochs}  {line(logs)}", file=self.out or sys.stdout)


class Progress(Callback):
    """A live bar with loss, metrics, rate and remaining time; one line at the end where it is piped."""

    def __init__(self, out: IO[str] | None = None, width: int = 24) -> None:
        self.out, self.width = out or sys.stdout, width
        self.epochs, self.started, self.drawn = 1, 0.0, 0.0

    def on_train_begin(self, logs: Logs) -> None:
        """Start the clock."""
        self.epochs, self.started = int(logs["epochs"]), time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Redraw the bar, at most ten times a second."""
        now, last = time.perf_counter(), epoch + 1 == self.epochs
        if not last and (not self.out.isatty() or now - self.drawn < 0.1):
            return
        self.drawn = now
        done = self.width * (epoch + 1) // self.epochs
        bar = "█" * done + "░" * (self.width - done)
        spent = now - self.started
        left = spent / (epoch + 1) * (self.epochs - epoch - 1)
        text = f"{bar} epoch {epoch + 1}/{self.epochs}  {line(logs)}  {spent:.1f} s, {left:.0f} s left"
        print(f"\r{text}\x1b[K" if self.out.isatty() else text, end="", file=self.out, flush=True)

    def on_train_end(self, logs: Logs) -> None:
        """End the line."""
        print(file=self.out, flush=True)
