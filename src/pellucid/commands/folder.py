"""The run folder: what stands in it, how it is written, and how a run is opened again.

config.toml         every option, so that `pellucid train --config` does it again
run.json            data, columns, seed, versions, parts, scores: the log for programs
log.txt             what was said              history.csv         loss and metrics by epoch
model.safetensors   the trained model          report.html         all there is to see of it
checkpoint/         what a run that was stopped goes on from
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import platform
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from pellucid._version import __version__
from pellucid.commands.catalog import TRAIN
from pellucid.commands.options import Settings, from_toml, to_toml
from pellucid.errors import ArgumentError, DataError
from pellucid.files import write
from pellucid.model import Sequential, load
from pellucid.tables import Schema

FORMAT = 1
FILES = ("run.json", "log.txt", "history.csv", "model.safetensors", "report.html", "config.toml")
ACTS = ("out", "overwrite", "resume", "quiet", "report")  # options that change no number


@dataclass(frozen=True)
class Folder:
    """A run folder, by its path."""

    path: Path

    @property
    def model(self) -> Path:
        return self.path / "model.safetensors"

    @property
    def config(self) -> Path:
        return self.path / "config.toml"

    @property
    def run(self) -> Path:
        return self.path / "run.json"

    @property
    def checkpoint(self) -> Path:
        return self.path / "checkpoint"

    @property
    def begun(self) -> bool:
        """Whether a run has been begun here."""
        return self.config.is_file()

    def clear(self) -> None:
        """Remove the files of a run."""
        shutil.rmtree(self.checkpoint, ignore_errors=not self.checkpoint.is_dir())
        for name in FILES:
            (self.path / name).unlink(missing_ok=True)

    def put(self, name: str, text: str) -> Path:
        """Write a file, all or nothing."""
        write(self.path / name, [text.encode()])
        return self.path / name

    def put_config(self, given: Settings) -> None:
        """Write the options."""
        head = f"# pellucid {__version__}; again: pellucid train --config {self.config}\n"
        self.put("config.toml", head + to_toml(TRAIN, given, leave=("overwrite", "resume")))

    def put_run(self, told: Mapping[str, Any]) -> None:
        """Write the log for programs."""
        text = json.dumps(_plain(told), indent=1, ensure_ascii=False, allow_nan=False)
        self.put("run.json", text + "\n")

    def put_history(self, history: Mapping[str, list[float]]) -> None:
        """Write loss and metrics by epoch."""
        out = io.StringIO()
        rows = csv.writer(out, lineterminator="\n")
        rows.writerow(["epoch", *history])
        for k, values in enumerate(zip(*history.values(), strict=True)):
            rows.writerow([k + 1, *values])
        self.put("history.csv", out.getvalue())

    def settings(self) -> Settings:
        """Return the options of the run. Raises: DataError for what is no config of ours."""
        return Settings(
            {option.name: option.default for option in TRAIN.all} | from_toml(TRAIN, self.config)
        )

    def told(self) -> dict[str, Any]:
        """Return the log for programs. Raises: DataError where it cannot be read."""
        try:
            told = json.loads(self.run.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise DataError(f"{self.run} is not JSON: {error}", "train again") from None
        if not isinstance(told, dict) or told.get("format") != FORMAT:
            raise DataError(f"{self.run} is not of this version of pellucid", "train again")
        return told


def _plain(value: Any) -> Any:
    """Return a value as JSON takes it: what is not finite becomes null."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(v) for v in value]
    if isinstance(value, (float, np.floating)):
        return float(value) if np.isfinite(value) else None
    return value


@dataclass(frozen=True, eq=False)
class Trained:
    """A run that has been trained: its model, its columns, its options and its log."""

    folder: Folder
    model: Sequential
    schema: Schema
    given: Settings
    told: dict[str, Any]

    @property
    def frequencies(self) -> list[float]:
        """The shares of the classes in the training rows."""
        return [float(share) for share in self.told["guess"]["frequencies"]]

    @property
    def mean(self) -> float:
        """The mean target of the training rows."""
        return float(self.told["guess"]["mean"])


def opened(path: str) -> Trained:
    """Open a run folder. Raises: ArgumentError where there is none, or no model in it yet;
    DataError for files that cannot be read.
    """
    folder = Folder(Path(path))
    if not folder.begun:
        raise ArgumentError(f"there is no run in {path!r}", "pellucid train writes one")
    if folder.run.is_file() and folder.told().get("status") == "failed":
        raise ArgumentError(
            f"the run in {path!r} met NaN or Inf, and has left no model",
            f"pellucid train --config {folder.config} --overwrite --rate 1e-4",
        )
    if not folder.model.is_file() or not folder.run.is_file():
        raise ArgumentError(
            f"the run in {path!r} has not come to its end",
            f"pellucid train --resume --out {path}",
        )
    told, given = folder.told(), folder.settings()
    schema = Schema.from_json(told.get("columns"))
    model = load(folder.model)
    _check_guess(told, schema)
    if model._built.input_shape != (len(schema.columns),):
        raise DataError(f"the model in {path!r} does not take the columns of its run.json")
    return Trained(folder, model, schema, given, told)


def _check_guess(told: Mapping[str, Any], schema: Schema) -> None:
    guess = told.get("guess")
    values = guess.get("frequencies", [guess.get("mean")]) if isinstance(guess, dict) else [None]
    fits = isinstance(values, list) and len(values) == max(1, len(schema.classes))
    if not fits or not all(isinstance(v, (int, float)) for v in values):
        raise DataError("run.json does not say what its training rows were like", "train again")


# -- what is noted of a run ------------------------------------------------------------------------


def fingerprint(path: str | Path) -> dict[str, Any]:
    """Return which file this is: where, how large, and the hash of its content."""
    content = Path(path).read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    return {"path": str(Path(path).resolve()), "bytes": len(content), "sha256": digest}


def versions() -> dict[str, str]:
    """Return the versions of what computes."""
    found = {"pellucid": __version__, "python": sys.version.split()[0], "numpy": np.__version__}
    for name in ("numba", "scipy"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found | {"system": f"{platform.system()} {platform.machine()}"}


def now() -> str:
    """Return the time, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
