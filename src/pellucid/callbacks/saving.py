"""Model files written while a model trains."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from string import Formatter
from typing import Any

from pellucid.callbacks.base import Callback, Logs
from pellucid.callbacks.monitors import check_count, watched
from pellucid.errors import ArgumentError, DtypeError, TrainingWarning, one_of


class Checkpoint(Callback):
    """Save the model after each epoch, or after each that is the best so far.

    A file is written whole or not at all, and replaces one of its name; `pellucid.load` reads it.
    Args: `path`, a file name, in which {epoch}, from 1, and logged values may stand, with formats:
    "runs/{epoch:03d}-{val_loss:.4f}.safetensors"; missing folders are made. `monitor` and `mode`,
    what is best, with `save_best_only`; `every`, epochs between two files. `saved` lists the files.
    Raises: ArgumentError for a name that is not logged, or a model that no file can hold, before
    anything is trained. A disk that is full is a TrainingWarning, and training goes on.

        model.fit(X, y, epochs=50, validation_split=0.2,
                  callbacks=[pc.Checkpoint("best.safetensors", save_best_only=True)])
    """

    def __init__(
        self,
        path: str | Path,
        *,
        monitor: str = "val_loss",
        save_best_only: bool = False,
        mode: str = "auto",
        every: int = 1,
    ) -> None:
        check_count(every, "every", 1)
        if not isinstance(path, (str, Path)) or not str(path):
            raise DtypeError(f"path is {path!r}", 'a file name, such as "best.safetensors"')
        self.path, self.every = str(path), every
        self.fields = _fields(self.path)
        self.monitor = watched(monitor, mode) if save_best_only else None
        self._resumed = False
        self._forget()

    def _forget(self) -> None:
        self.best = self.monitor.start if self.monitor else 0.0
        self.best_epoch = 0
        self.saved: list[Path] = []

    def ready(self, names: Sequence[str]) -> None:
        """Refuse names that are not logged, and a model that no file can hold."""
        if self.monitor:
            self.monitor.check(names)
        for field in self.fields:
            if field not in ("epoch", *names):
                raise one_of("name in a file name", field, ["epoch", *names])
        _formatted(self.path, {"epoch": 1} | dict.fromkeys(names, 0.5))
        _saveable(self.model)

    def on_train_begin(self, logs: Logs) -> None:
        """Start anew, but for a run that is resumed."""
        if not self._resumed:
            self._forget()
        self._resumed = False

    def due(self, start: int, stop: int) -> Iterable[int]:
        """Return the epochs after which there may be a file."""
        return range(start + (-start - 1) % self.every, stop, self.every)

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Save, where the epoch is one to be saved."""
        if (epoch + 1) % self.every == 0 and self._best(epoch, logs):
            self._save(_formatted(self.path, {**logs, "epoch": epoch + 1}))

    def _best(self, epoch: int, logs: Logs) -> bool:
        if self.monitor is None:
            return True
        value = self.monitor.value(logs)
        better = self.monitor.better(value, self.best)
        if better:
            self.best, self.best_epoch = value, epoch + 1
        return better

    def _save(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.model.save(path)
        except OSError as error:
            text = f"{str(path)!r} was not saved, and training goes on: {error}"
            warnings.warn(TrainingWarning(text), stacklevel=2)
            return
        if path in self.saved:
            self.saved.remove(path)
        self.saved.append(path)

    def kept(self) -> dict[str, Any]:
        """Return the best value, and the files."""
        best = self.best if self.best_epoch else None
        return {"best": best, "best_epoch": self.best_epoch, "saved": list(map(str, self.saved))}

    def take_back(self, kept: Mapping[str, Any]) -> None:
        """Go on looking for a better one."""
        self._forget()
        self._resumed, self.best_epoch = True, kept["best_epoch"]
        self.best = self.best if kept["best"] is None else kept["best"]
        self.saved = list(map(Path, kept["saved"]))


def _fields(path: str) -> list[str]:
    """Return the names in a pattern: plain ones, for a format can read attributes as well."""
    try:
        parts = [part for part in Formatter().parse(path) if part[1] is not None]
    except ValueError as error:
        raise ArgumentError(f"{path!r} is no file name with values: {error}", _HINT) from None
    for _, name, form, conversion in parts:
        if not (name or "").isidentifier() or conversion or "{" in (form or ""):
            raise ArgumentError(f"{{{name}}} in {path!r} is no name of a value", _HINT)
    return [name for _, name, _, _ in parts if name]


_HINT = 'for example "model-{epoch:03d}.safetensors"'


def _formatted(path: str, values: Mapping[str, Any]) -> Path:
    try:
        return Path(path.format_map(values))
    except ValueError as error:
        raise ArgumentError(f"{path!r} cannot be filled in: {error}", _HINT) from None


def _saveable(model: Any) -> None:
    """Refuse a model with something in it that a file cannot hold, a function for example."""
    with tempfile.TemporaryDirectory() as folder, suppress(OSError):
        model.save(Path(folder) / "tried.safetensors")
