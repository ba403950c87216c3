"""What a run is made of: its model, its data and its settings, as `run.json` has them.

A run goes on only with the same; where something differs, the first such thing is named.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from pellucid import _version, safetensors
from pellucid.batches import Batch
from pellucid.checkpoint import counted, settings
from pellucid.described import foreign
from pellucid.errors import ArgumentError, DataError
from pellucid.graph import Array
from pellucid.keeping.folder import FORMAT, digest

LARGEST = 64 * 2**20  # bytes of samples that are kept in the folder of a run
MISSING = "nothing"


@dataclass(frozen=True, eq=False)
class Task:
    """What one call of `fit` trains on, and how."""

    model: Any
    data: Batch
    held: Batch | None
    batch_size: int
    shuffle: bool
    epochs: int
    preparing: Mapping[str, Any]  # what `fit` made the data with: validation_split, class_weight
    record: bool = False
    augment: Any = None

    @property
    def batches(self) -> int:
        """How many steps an epoch has."""
        return -(-len(self.data) // self.batch_size)

    def arrays(self) -> dict[str, Array]:
        """Return the data by name."""
        found = {"X": self.data.X, "y": self.data.Y, "sample_weight": self.data.weights}
        if self.held is not None:
            found |= {"validation X": self.held.X, "validation y": self.held.Y}
        return {name: array for name, array in found.items() if array is not None}

    @property
    def small(self) -> bool:
        """Whether the data are few enough to be kept with the run."""
        return sum(array.nbytes for array in self.arrays().values()) <= LARGEST

    def facts(self) -> dict[str, Any]:
        """Return what must be the same for a run to go on."""
        told = {
            "model": made_of(self.model),
            "settings": {
                "batch_size": int(self.batch_size),
                "shuffle": bool(self.shuffle),
                "record": bool(self.record),
                "augment": self.augment is not None,
            },
            "data": {name: _fingerprint(array) for name, array in self.arrays().items()},
        }
        return json.loads(json.dumps(told, allow_nan=False))  # type: ignore[no-any-return]

    def about(self, backend: str, callbacks: list[str]) -> dict[str, Any]:
        """Return all that `run.json` says of a run that begins now."""
        numbers, parent = self.model._numbers, self.model._parent
        if parent is not None and parent["step"] != numbers.steps:  # the model has gone on since
            parent = None
        return {
            "format": FORMAT,
            "begun": datetime.now(UTC).isoformat(timespec="seconds"),
            "backend": backend,
            "callbacks": callbacks,
            "parent": parent,
            "first": {**counted(numbers), "digest": digest(numbers)},
            "preparing": prepared(self.preparing),
            "versions": versions(),
            **self.facts(),
        }


def made_of(model: Any) -> dict[str, Any]:
    """Return what a model is made of.

    Where that does not say all, as of functions and of classes of one's own, which may be other
    ones by now: by what program it trains.
    """
    try:
        told = settings(model)
    except ArgumentError:
        told = {
            "optimizer": repr(model.optimizer),
            "dtype": model.dtype.name,
            "seed": model.seed,
        }
        return told | {"program": _program(model)}
    return told | ({"program": _program(model)} if foreign(told) else {})


def _program(model: Any) -> str:
    return hashlib.sha256(model.source().encode()).hexdigest()


def prepared(preparing: Mapping[str, Any]) -> dict[str, Any]:
    """Return how data were prepared, as JSON: the keys of a table of class weights may be any."""
    weights = preparing.get("class_weight")
    pairs = [[_plain(k), float(v)] for k, v in weights.items()] if isinstance(weights, dict) else 0
    plain = {name: _plain(value) for name, value in preparing.items()}
    return {**plain, "class_weight": pairs or weights}


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def versions() -> dict[str, str]:
    """Return what computes here: other versions may round otherwise."""
    import platform  # which takes a while to import

    return {
        "pellucid": _version.__version__,
        "numpy": np.__version__,
        "python": sys.version.split()[0],
        "system": f"{platform.system()} {platform.machine()}",
    }


def _fingerprint(array: Array) -> dict[str, Any]:
    """Return an array's shape, type and SHA-256."""
    dense = np.ascontiguousarray(array)
    content = dense.reshape(-1).view(np.uint8).data if dense.size else b""
    return {
        "shape": list(array.shape),
        "dtype": array.dtype.name,
        "sha256": hashlib.sha256(content).hexdigest(),
    }


# -- the same or not -------------------------------------------------------------------------------


def check_same(told: Mapping[str, Any], facts: Mapping[str, Any], where: str) -> None:
    """Refuse to go on with a run that was made otherwise. Raises: ArgumentError."""
    for part in ("model", "settings", "data"):
        for name, theirs, ours in differences(told.get(part), facts[part], ""):
            raise ArgumentError(
                f"the run in {where!r} was made otherwise: {_said(part, name, theirs, ours)}",
                "another folder; or pc.Run(…).branch(step) to train on in another way",
            )


def differences(a: Any, b: Any, name: str) -> Iterator[tuple[str, Any, Any]]:
    """Yield what differs between two values of JSON: where, and both."""
    if isinstance(a, dict) and isinstance(b, dict):
        for key in [*a, *(k for k in b if k not in a)]:
            below = f"{name}.{key}" if name else key
            yield from differences(a.get(key, MISSING), b.get(key, MISSING), below)
    elif isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        for k, (x, y) in enumerate(zip(a, b, strict=True)):
            yield from differences(x, y, f"{name}[{k}]")
    elif a != b or type(a) is not type(b):
        yield name, a, b


def _said(part: str, name: str, theirs: Any, ours: Any) -> str:
    if part == "data":
        array, _, what = name.rpartition(".") if "." in name else (name, "", "")
        if what == "sha256":
            return f"{array} has other values now"
        if MISSING in (theirs, ours):
            return f"{array or name} was {'not ' if theirs == MISSING else ''}given then"
        return f"the {what} of {array} was {theirs}, and is {ours}"
    if name == "program":
        return "its training step was another program, see model.source()"
    return f"{name} was {_short(theirs)}, and is {_short(ours)}"


def _short(value: Any) -> str:
    """Return a setting as one reads it; of a layer, its class."""
    if isinstance(value, dict) and "type" in value:
        return str(value["type"])
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return f"{len(value)} of them: {', '.join(map(_short, value[:6]))}"
    return value if value == MISSING else repr(value)


# -- the data --------------------------------------------------------------------------------------


def store(task: Task, path: Path) -> None:
    """Keep the data with the run."""
    safetensors.write(path, {n.replace(" ", "_"): a for n, a in task.arrays().items()}, {})


def stored(path: Path, told: Mapping[str, Any]) -> tuple[Batch, Batch | None]:
    """Return training and held-out samples as they were kept, and check that they are those."""
    found = safetensors.listing(path)
    arrays = {}
    for name in told:
        key = name.replace(" ", "_")
        if key not in found.entries:
            raise DataError(f"{path.name} lacks {key!r}")
        arrays[name] = found.array(key)
    check_data(arrays, told, path.name)
    train = Batch(arrays["X"], arrays["y"], arrays.get("sample_weight"))
    held = arrays.get("validation X")
    return train, None if held is None else Batch(held, arrays["validation y"])


def check_data(arrays: Mapping[str, Array], told: Mapping[str, Any], where: str) -> None:
    """Refuse data that are not those of the run."""
    ours = {name: _fingerprint(array) for name, array in arrays.items()}
    for name, a, b in differences(dict(told), ours, ""):
        raise DataError(f"these are not the run's data: {_said('data', name, a, b)} ({where})")
