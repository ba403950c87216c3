"""The folder of a run, and what stands where in it.

    run.json                    what is trained, on what and how; where the run began
    history.jsonl               one line an epoch
    data.safetensors            the samples, where they are not too many
    checkpoints/step-….safetensors     models that training can go on from
    model.safetensors           the trained model, once training has ended
    lock                        which process trains here

`run.json` comes first, and what was not written after it is made up for later; every other file is
written as a whole, so that there is no moment at which the folder cannot be read.
"""

from __future__ import annotations

import json
import os
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pellucid import files
from pellucid.batches import Numbers
from pellucid.checkpoint import counted
from pellucid.errors import ArgumentError, DataError
from pellucid.keeping.log import Log
from pellucid.safetensors import Listing, listing

FORMAT = 1
MOST, FEWEST = 16, 3  # checkpoints that are kept
ROOM = 2**30  # bytes that they may take together, beyond the fewest


@dataclass(frozen=True)
class Folder:
    """The files of a run; they stay where they are when the process changes its own folder."""

    path: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", self.path.absolute())

    @property
    def name(self) -> str:
        """What to call it: its path from here, where it lies below."""
        here = Path.cwd()
        return str(self.path.relative_to(here) if here in self.path.parents else self.path)

    @property
    def about(self) -> Path:
        return self.path / "run.json"

    @property
    def data(self) -> Path:
        return self.path / "data.safetensors"

    @property
    def model(self) -> Path:
        return self.path / "model.safetensors"

    @property
    def log(self) -> Log:
        return Log(self.path / "history.jsonl")

    @property
    def checkpoints(self) -> Path:
        return self.path / "checkpoints"

    def checkpoint(self, step: int) -> Path:
        """Return where the checkpoint of a step is, or would be."""
        return self.checkpoints / f"step-{step:012d}.safetensors"

    def steps(self) -> list[int]:
        """Return the steps that there are checkpoints of, in order."""
        if not self.checkpoints.is_dir():
            return []
        names = [n for n in os.listdir(self.checkpoints) if n.endswith(".safetensors")]
        numbers = [n.removeprefix("step-").removesuffix(".safetensors") for n in names]
        return sorted(int(n) for n in numbers if n.isdecimal())

    def make(self) -> None:
        """Make the folder, unless there is one."""
        for path in (self.path, self.checkpoints):
            if path.exists() and not path.is_dir():
                raise ArgumentError(f"{str(path)!r} is a file, not a folder", 'checkpoint="run/"')
            path.mkdir(parents=True, exist_ok=True)

    def read(self) -> dict[str, Any] | None:
        """Return what `run.json` says; None where there is no run."""
        if not self.about.is_file():
            return None
        try:
            told = json.loads(self.about.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise DataError(f"{self.name}/run.json cannot be read: {error}") from None
        number = told.get("format") if isinstance(told, dict) else None
        if number != FORMAT:
            newer = isinstance(number, int) and number > FORMAT
            what = f"has format {number}" if newer else "is no run of this library"
            raise DataError(
                f"{self.name}/run.json {what}", "pip install --upgrade pellucid" if newer else ""
            )
        return told  # type: ignore[no-any-return]

    def write(self, told: dict[str, Any]) -> None:
        """Write `run.json`."""
        text = json.dumps(told, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
        files.write(self.about, [text.encode()])

    def sweep(self) -> None:
        """Remove what a process that was killed has left half-written; the folder is locked."""
        for folder in (self.path, self.checkpoints):
            for part in folder.glob(f".*{files.LITTER}"):
                with suppress(OSError):
                    part.unlink()

    def thin(self) -> None:
        """Let go of checkpoints where there are too many, so that those left lie evenly."""
        steps = self.steps()
        size = self.checkpoint(steps[-1]).stat().st_size if steps else 0
        most = max(FEWEST, min(MOST, ROOM // max(size, 1)))
        while len(steps) > most:
            inner = range(1, len(steps) - 2)  # the first stays, and the last two
            gone = min(inner, key=lambda k: steps[k + 1] - steps[k - 1]) if inner else 0
            with suppress(OSError):
                self.checkpoint(steps.pop(gone)).unlink()


def checkpoint_in(path: Path) -> tuple[Listing, dict[str, Any]]:
    """Return a checkpoint's contents, and what it says of the run. Raises: DataError."""
    found = listing(path)
    try:
        told = json.loads(found.metadata["checkpoint"])
        known = {"digest": str, "epochs": int, "callbacks": list, "stopped": str, "numbers": dict}
        if all(isinstance(told[name], kind) for name, kind in known.items()):
            return found, told
    except (LookupError, TypeError, ValueError, RecursionError):
        pass
    raise DataError(f"{path.name} is no checkpoint of a run")


def digest(numbers: Numbers) -> str:
    """Return a few letters by which numbers can be told from others, to the last bit."""
    total = zlib.crc32(json.dumps(counted(numbers)).encode())
    for array in numbers.arrays.values():
        if array.size:
            total = zlib.crc32(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data, total)
    return f"{total:08x}"
