"""What happens between epochs: hooks with the names people know, and progress on the screen."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from typing import IO, Any

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

    def stop(self, reason: str) -> None:
        """End the training after this epoch."""
        self.stopped = reason

    def has(self, hook: str) -> bool:
        """Say whether a hook does anything."""
        return hook in vars(self) or getattr(type(self), hook) is not getattr(Callback, hook)

    def due(self, start: int, stop: int) -> Iterable[int]:
        """Return the epochs, of those from `start` up to `stop`, whose end it is to be told of."""
        return range(start, stop)

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


def line(logs: Logs) -> str:
    """Return the logs as a person reads them: loss 0.1234  accuracy 0.950."""
    return "  ".join(f"{name} {value:.4f}" for name, value in logs.items())


class Lines(Callback):
    """Print a line for the first and the last epoch, and every so many between."""

    watches = True

    def __init__(self, every: int, epochs: int, out: IO[str] | None = None) -> None:
        self.every, self.epochs, self.out = every, epochs, out

    def due(self, start: int, stop: int) -> Iterable[int]:
        """Return the epochs to be printed."""
        regular = range(start + (-start - 1) % self.every, stop, self.every)
        ends = {e for e in (0, self.epochs - 1) if start <= e < stop}
        return sorted({*regular, *ends})

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Print, where the epoch is one to be printed."""
        if self.due(epoch, epoch + 1):
            count = f"{epoch + 1:{len(str(self.epochs))}d}/{self.epochs}"
            print(f"epoch {count}  {line(logs)}", file=self.out or sys.stdout)


class Progress(Callback):
    """A live bar with loss, metrics and remaining time; where it is piped, one line at the end.

    Redrawn in place, at most ten times a second, and never wider than the terminal.

    >>> bar = Progress(sys.stdout)
    >>> bar.on_train_begin({"epochs": 5, "batches": 1})
    >>> bar.on_epoch_end(4, {"loss": 0.25, "accuracy": 0.9, "val_loss": 0.5, "val_accuracy": 0.8})
    >>> bar.on_train_end({})
    epoch 5/5  loss 0.2500, val 0.5000  accuracy 0.9000, val 0.8000  0.0 s
    """

    watches = True

    def __init__(self, out: IO[str] | None = None, width: int = 24) -> None:
        self.out, self.width = out or sys.stdout, width
        self.live, self.marks = self.out.isatty(), _marks(self.out)
        self.epochs, self.batches, self.epoch, self.share = 1, 1, 0, 0.0
        self.started = self.drawn = 0.0
        self.logs: Logs = {}
        self.length = 0  # of what stands in the line

    def on_train_begin(self, logs: Logs) -> None:
        """Start the clock."""
        self.epochs, self.batches = int(logs["epochs"]), int(logs["batches"])
        self.epoch, self.share, self.length, self.logs = 0, 0.0, 0, {}
        self.started = time.perf_counter()
        self.drawn = self.started - 1

    def due(self, start: int, stop: int) -> Iterable[int]:
        """Return the last one: what was before it is past."""
        return (stop - 1,)

    def on_batch_end(self, batch: int, logs: Logs) -> None:
        """Move on within an epoch; the numbers are those of the last whole one."""
        if self.live and time.perf_counter() - self.drawn >= 0.1:
            done = (self.epoch + (batch + 1) / self.batches) / self.epochs
            self._draw(self.epoch + 1, done, self.logs or logs)

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Take over the numbers, and redraw the bar if it is time."""
        self.epoch, self.logs, self.share = epoch + 1, logs, (epoch + 1) / self.epochs
        if self.live and time.perf_counter() - self.drawn >= 0.1:
            self._draw(self.epoch, self.share, logs)

    def on_train_end(self, logs: Logs) -> None:
        """Leave the last state standing, and go to a new line."""
        if not self.logs:
            text = ""
        elif self.live:
            text = self._draw(self.epoch, self.share, self.logs, last=True)
        else:
            count = f"epoch {self.epoch}/{self.epochs}"
            text = "  ".join([count, *_values(self.logs), self._spent()])
            self.out.write(text)
        if text or self.length:
            print(file=self.out, flush=True)

    def _spent(self) -> str:
        return f"{time.perf_counter() - self.started:.1f} s"

    def _draw(self, epoch: int, done: float, logs: Logs, last: bool = False) -> str:
        self.drawn = time.perf_counter()
        spent = self.drawn - self.started
        clock = f"{spent:.1f} s" if last else f"{_clock(spent / done - spent)} left"
        text = self._fitted(f"{epoch:{len(str(self.epochs))}d}/{self.epochs}", done, logs, clock)
        print(f"\r{text.ljust(self.length)}", end="", file=self.out, flush=True)
        self.length = len(text)
        return text

    def _fitted(self, count: str, done: float, logs: Logs, clock: str) -> str:
        """Return the line: where it is too long the bar narrows, then clock and numbers go."""
        room, parts = _columns(self.out) - 1, [count, *_values(logs), clock]
        while len(parts) > 1 and len("  ".join(parts)) + 12 > room:
            parts.pop()
        rest = "  ".join(parts)
        width = max(4, min(self.width, room - len(rest) - 2))
        full = round(width * done)
        bar = self.marks[0] * full + self.marks[1] * (width - full)
        return f"{bar}  {rest}"[:room]


def _values(logs: Logs) -> list[str]:
    """Return loss and metrics, each with its value on held-out samples: loss 0.12, val 0.15."""
    held = {name: f", val {logs[f'val_{name}']:.4f}" for name in logs if f"val_{name}" in logs}
    paired = {f"val_{name}" for name in held}
    names = [name for name in logs if name not in paired]
    return [f"{name} {logs[name]:.4f}{held.get(name, '')}" for name in names]


def _clock(seconds: float) -> str:
    """Return a duration as one reads it: 12 s, 3:05, 1:02:03."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, s = divmod(whole, 60)
    return f"{minutes}:{s:02d}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02d}:{s:02d}"


def _columns(out: IO[str]) -> int:
    """Return the width of the terminal that `out` writes to; 80 where there is none."""
    try:
        return os.get_terminal_size(out.fileno()).columns or 80
    except (OSError, ValueError, AttributeError):
        return 80


def _marks(out: IO[str]) -> str:
    """Return what the bar is drawn with, as far as `out` can write it."""
    return "█░" if writes(out, "█░") else "#-"


def writes(out: IO[str], text: str) -> bool:
    """Say whether a stream's encoding has these characters."""
    try:
        text.encode(getattr(out, "encoding", None) or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
