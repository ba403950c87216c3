"""Progress on the screen: a live bar on a terminal, lines where it is piped."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable
from typing import IO

from pellucid.callbacks.base import Callback, Logs

NARROW = 4  # columns that a bar has at least


def line(logs: Logs) -> str:
    """Return the logs as a person reads them: loss 0.1234  accuracy 0.950."""
    return "  ".join(f"{name} {brief(value)}" for name, value in logs.items())


def brief(value: float) -> str:
    """Return a number as short as it may be: 0.1234, 12.3456, 1.2346e+10."""
    return f"{value:.4f}" if abs(value) < 1e5 else f"{value:.5g}"


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
            count = f"epoch {epoch + 1:{len(str(self.epochs))}d}/{self.epochs}"
            print(f"{count}  {line(logs)}", file=self.out or sys.stdout)


class Progress(Callback):
    """A live bar with loss, metrics, remaining time and speed; where it is piped, lines.

    On a terminal it is redrawn in place, at most ten times a second, and never wider than that.
    Piped, it is a line for every `every` epochs and the last one; `every=0`: for the last one only.

    >>> bar = Progress(sys.stdout, every=0)
    >>> bar.on_train_begin({"epochs": 5, "batches": 1})
    >>> bar.on_epoch_end(4, {"loss": 0.25, "accuracy": 0.9, "val_loss": 0.5, "val_accuracy": 0.8})
    >>> bar.on_train_end({})
    epoch 5/5  loss 0.2500, val 0.5000  accuracy 0.9000, val 0.8000  0.0 s
    """

    watches = True

    def __init__(self, out: IO[str] | None = None, width: int = 24, every: int = 1) -> None:
        self.out, self.width, self.every = out or sys.stdout, width, every
        self.live, self.marks = self.out.isatty(), _marks(self.out)
        self.epochs, self.batches, self.samples = 1, 1, 0
        self.epoch, self.share, self.told = 0, 0.0, 0
        self.started = self.drawn = self.before = 0.0
        self.logs: Logs = {}
        self.length = 0  # of what stands in the line

    def on_train_begin(self, logs: Logs) -> None:
        """Start the clock."""
        self.epochs, self.batches = int(logs["epochs"]), int(logs["batches"])
        self.samples = int(logs.get("samples", 0))
        self.epoch, self.share, self.length, self.logs, self.told = 0, 0.0, 0, {}, 0
        self.before = -1.0  # the share that was done when this began, once that is known
        self.started = time.perf_counter()
        self.drawn = self.started - 1

    def due(self, start: int, stop: int) -> Iterable[int]:
        """Return those to have a line; on a terminal the last one: what was before it is past."""
        if self.live or not self.every:
            return (stop - 1,)
        regular = range(start + (-start - 1) % self.every, stop, self.every)
        return sorted({*regular, stop - 1})

    def on_epoch_begin(self, epoch: int, logs: Logs) -> None:
        """Note where the training begins: not at 0, where a run is resumed."""
        if self.before < 0:
            self.before = epoch / self.epochs

    def on_batch_end(self, batch: int, logs: Logs) -> None:
        """Move on within an epoch; the numbers are those of the last whole one."""
        if self.live and time.perf_counter() - self.drawn >= 0.1:
            done = (self.epoch + (batch + 1) / self.batches) / self.epochs
            self._draw(self.epoch + 1, done, self.logs or logs)

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Take over the numbers; redraw the bar if it is time, or print a line."""
        self.epoch, self.logs, self.share = epoch + 1, logs, (epoch + 1) / self.epochs
        if not self.live and self.every and self.epoch % self.every == 0:
            self._line()
        if self.live and time.perf_counter() - self.drawn >= 0.1:
            self._draw(self.epoch, self.share, logs)

    def on_train_end(self, logs: Logs) -> None:
        """Leave the last state standing, and go to a new line."""
        if self.live:
            if self.logs:
                self._draw(self.epoch, self.share, self.logs, last=True)
            if self.length:
                print(file=self.out, flush=True)
        elif self.told != self.epoch:
            self._line()

    def _line(self) -> None:
        self.told = self.epoch
        count = f"epoch {self.epoch:{len(str(self.epochs))}d}/{self.epochs}"
        spent = f"{time.perf_counter() - self.started:.1f} s"
        print("  ".join([count, *_values(self.logs), spent]), file=self.out, flush=True)

    def _draw(self, epoch: int, done: float, logs: Logs, last: bool = False) -> None:
        self.drawn = time.perf_counter()
        spent, own = self.drawn - self.started, done - max(self.before, 0.0)
        each = spent / own if own > 0 else 0.0  # seconds for all epochs
        ends = f"{spent:.1f} s" if last else f"{clock(each * (1 - done))} left"
        count = f"{epoch:{len(str(self.epochs))}d}/{self.epochs}"
        known = self.samples and each
        speed = [f"{_rate(self.samples * self.epochs / each)} samples/s"] if known else []
        text = self._fitted(count, _values(logs), [ends, *speed], done)
        print(f"\r{text.ljust(self.length)}", end="", file=self.out, flush=True)
        self.length = len(text)

    def _fitted(self, count: str, values: list[str], clocks: list[str], done: float) -> str:
        """Return the line: too long, the bar narrows, then speed, numbers and clock go."""
        room, every = _columns(self.out) - 1, len(values)
        tries = [(every, 2), *((k, 1) for k in range(every, 0, -1)), (1, 0), (0, 0)]
        lines = ("  ".join([count, *values[:k], *clocks[:c]]) for k, c in tries)
        rest = next((text for text in lines if len(text) + NARROW + 2 <= room), count)
        width = max(NARROW, min(self.width, room - len(rest) - 2))
        full = round(width * done)
        bar = self.marks[0] * full + self.marks[1] * (width - full)
        return f"{bar}  {rest}"[:room]


def _values(logs: Logs) -> list[str]:
    """Return loss and metrics, each with its value on held-out samples: loss 0.12, val 0.15."""
    held = {name: f", val {brief(logs[f'val_{name}'])}" for name in logs if f"val_{name}" in logs}
    paired = {f"val_{name}" for name in held}
    names = [name for name in logs if name not in paired]
    return [f"{name} {brief(logs[name])}{held.get(name, '')}" for name in names]


def _rate(value: float) -> str:
    """Return a speed in three digits: 950, 12.3k, 4.56M.

    >>> [_rate(x) for x in (0.5, 950.4, 12_345.0, 999_999.0, 4_560_000.0)]
    ['0.5', '950', '12.3k', '1M', '4.56M']
    """
    shown = float(f"{value:.3g}")
    power = next((p for p in (9, 6, 3) if shown >= 10**p), 0)
    return f"{shown / 10**power:.3g}{' kMG'[power // 3].strip()}"


def clock(seconds: float) -> str:
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
