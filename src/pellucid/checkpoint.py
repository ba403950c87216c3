"""A model in one safetensors file: weights, optimizer state, and the architecture as JSON.

    8 bytes   length of the header, little endian
    header    JSON: {"__metadata__": {"pellucid": …}, "W1": {"dtype", "shape", "data_offsets"}, …}
    data      the arrays, one after another

Written under another name, flushed and renamed, so that an old file stays whole if it fails.
Reading runs no code: classes are looked up in a fixed table, or in `custom`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pellucid import nn, optim
from pellucid.errors import ArgumentError, DataError
from pellucid.graph import Array
from pellucid.losses import NAMES as LOSSES
from pellucid.model import Sequential
from pellucid.nn import init
from pellucid.nn.network import network

FORMAT = 1
DTYPES: dict[str, np.dtype[Any]] = {"F64": np.dtype("<f8"), "F32": np.dtype("<f4")}
CODES = {v.name: k for k, v in DTYPES.items()}
LARGEST_HEADER = 16 * 1024 * 1024
TYPES: dict[str, type] = {
    c.__name__: c
    for c in (nn.Dense, nn.Activation, nn.Dropout, nn.Flatten, nn.Shared, optim.SGD, optim.Adam,
              init.He, init.Glorot, init.LeCun, init.Orthogonal, init.Normal, init.Constant)
}  # fmt: skip


def save(model: Sequential, path: str | Path) -> Path:
    """Write a model to a file and return its path; `model.save` is this."""
    path = Path(path)
    numbers = model._numbers
    tensors = dict(model.params)
    tensors |= {f"optimizer.{name}": array for name, array in numbers.state.items()}
    told = json.dumps(_description(model), allow_nan=False)
    _write(path, _packed(tensors, told))
    return path


def _description(model: Sequential) -> dict[str, Any]:
    loss = model.loss_function
    if loss is not None and LOSSES.get(loss.name) is not loss:
        raise ArgumentError("a loss that is a function cannot be saved", "give the loss by name")
    if not all(isinstance(m, str) for m in model.metrics):
        raise ArgumentError("a metric that is a function cannot be saved", "give metrics by name")
    return {
        "format": FORMAT,
        "layers": [_told(layer) for layer in model.layers],
        "inputs": list(model._built.input_shape),
        "loss": loss.name if loss else None,
        "optimizer": _told(model.optimizer),
        "metrics": list(model.metrics),
        "dtype": model.dtype.name,
        "seed": model.seed,
        "steps": model._numbers.steps,
        "epochs": model._numbers.epochs,
        "labels": None
        if model._labels is None
        else [model._labels.dtype.name, model._labels.tolist()],
    }


def _told(value: Any) -> Any:
    """Return a setting as JSON: {"type": "Dense", "units": 8} for a frozen value."""
    if is_dataclass(value) and not isinstance(value, type):
        if TYPES.get(type(value).__name__, type(value)) is not type(value):
            raise ArgumentError(
                f"a class of your own has the name of ours, {type(value).__name__}", "rename it"
            )
        return {"type": type(value).__name__} | {
            f.name: _told(getattr(value, f.name)) for f in fields(value)
        }
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, np.generic):
        return value.item()
    what = "is a function" if callable(value) else f"is a {type(value).__name__}"
    raise ArgumentError(
        f"{getattr(value, '__name__', value)!r} {what}, which a file cannot hold",
        "activations by name, layers as frozen dataclasses; or np.savez(path, **model.params)",
    )


def _packed(tensors: Mapping[str, Array], told: str) -> bytes:
    header: dict[str, Any] = {"__metadata__": {"pellucid": told}}
    parts, start = [], 0
    for name, array in tensors.items():
        data = np.ascontiguousarray(array, DTYPES[CODES[array.dtype.name]]).tobytes()
        header[name] = {
            "dtype": CODES[array.dtype.name],
            "shape": list(array.shape),
            "data_offsets": [start, start + len(data)],
        }
        parts.append(data)
        start += len(data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + b"".join(parts)


def _write(path: Path, content: bytes) -> None:
    """Write all or nothing: another name first, then a rename."""
    if not path.parent.is_dir():
        raise ArgumentError(f"there is no folder {str(path.parent)!r} to save in", "make it first")
    if path.is_dir():
        raise ArgumentError(
            f"{str(path)!r} is a folder", "give a file name, such as model.safetensors"
        )
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def load(path: str | Path, custom: Mapping[str, type] | None = None) -> Sequential:
    """Read a model back: it predicts the same numbers, and trains on where it was.

    Args: `path`, a file of `model.save`; `custom`, {"Name": class} for layers of one's own.
    Raises: DataError, which says what is wrong with the file. Nothing in it is ever run.
    """
    path = Path(path)
    if not path.is_file():
        raise ArgumentError(f"there is no file {str(path)!r}", "model.save(path) writes one")
    header, data = _header(path)
    told = _metadata(header)
    try:
        model = _model(told, TYPES | dict(custom or {}), len(data))
    except DataError:
        raise
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        RecursionError,
        TypeError,
        ValueError,
    ) as error:
        raise DataError(f"the file's description of the model cannot be read: {error}") from None
    wanted = dict(model.params) | {f"optimizer.{k}": v for k, v in model._numbers.state.items()}
    _fill(wanted, header, data)
    return model


def _model(told: dict[str, Any], known: Mapping[str, type], size: int) -> Sequential:
    """Build the model of a description; memory for it is taken only where the file has as much."""
    inputs, counts = told["inputs"], (told["steps"], told["epochs"])
    if not all(type(k) is int and k >= (j < len(inputs)) for j, k in enumerate((*inputs, *counts))):
        raise DataError(
            f"the file's sizes are no whole numbers: inputs {inputs}, steps and epochs {counts}"
        )
    layers = [_made(d, known) for d in told["layers"]]
    if told["dtype"] not in CODES:
        raise DataError(f"the file's dtype is {told['dtype']!r}, not one of {', '.join(CODES)}")
    optimizer, dtype = _made(told["optimizer"], known), np.dtype(told["dtype"])
    needed = network(layers, tuple(inputs)).size * dtype.itemsize * (1 + len(optimizer.state))
    if needed != size:
        raise DataError(f"the file describes a model of {needed} bytes, but holds {size}")
    model = Sequential(
        layers,
        loss=told["loss"],
        optimizer=optimizer,
        metrics=told["metrics"],
        dtype=dtype,
        seed=told["seed"],
    )
    model._build(tuple(inputs))
    model._numbers.steps, model._numbers.epochs = counts
    model._labels = _labels(told["labels"])
    return model


def _labels(told: Any) -> Array | None:
    if told is None:
        return None
    kind = np.sctypeDict.get(told[0])
    if kind is None or np.dtype(kind).kind not in "biuf":
        raise DataError(f"the file's labels are {told[0]!r}, not numbers")
    return np.array(told[1], kind)


def _header(path: Path) -> tuple[dict[str, Any], bytes]:
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(size - 8, LARGEST_HEADER):
            raise DataError(
                f"{path.name} is no whole safetensors file: a header of {length} bytes in {size}"
            )
        text, data = file.read(length), file.read()
    try:
        header = json.loads(text.decode(), object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path.name}: its header is not JSON: {error}") from None
    if not isinstance(header, dict):
        raise DataError(f"{path.name}: its header is not a table of arrays")
    return header, data


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise ValueError(f"{name!r} stands there twice")
        found[name] = value
    return found


def _metadata(header: dict[str, Any]) -> dict[str, Any]:
    meta = header.pop("__metadata__", None)
    text = meta.get("pellucid") if isinstance(meta, dict) else None
    try:
        told = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict) or told.get("format") != FORMAT:
        raise DataError(
            "the file holds arrays, but no model of this library, or one of a newer version"
        )
    return told


def _made(told: Any, known: Mapping[str, type]) -> Any:
    """Build a frozen value from its description; only classes of the table are ever called."""
    if not isinstance(told, dict):
        return told
    name = told.get("type")
    if not isinstance(name, str) or name not in known:
        raise DataError(
            f"the file names the class {name!r}, which is not known",
            "load(path, custom={name: class})",
        )
    return known[name](**{k: _made(v, known) for k, v in told.items() if k != "type"})


def _fill(wanted: Mapping[str, Array], header: Mapping[str, Any], data: bytes) -> None:
    """Copy every array in, after all of them have been checked."""
    if set(wanted) != set(header):
        odd = sorted(set(wanted) ^ set(header))
        raise DataError(f"the file's arrays are not the model's: {', '.join(odd[:5])}")
    found, end = {}, 0
    for name, entry in sorted(header.items(), key=lambda item: _start(item[1])):
        array, end = _tensor(name, entry, data, end, wanted[name])
        found[name] = array
    if end != len(data):
        raise DataError(f"the file has {len(data) - end} bytes that belong to no array")
    for name, array in found.items():
        wanted[name][...] = array


def _start(entry: Any) -> int:
    offsets = entry.get("data_offsets") if isinstance(entry, dict) else None
    good = isinstance(offsets, list) and len(offsets) == 2 and all(type(k) is int for k in offsets)
    return offsets[0] if good else -1  # type: ignore[index]


def _tensor(name: str, entry: Any, data: bytes, end: int, like: Array) -> tuple[Array, int]:
    start = _start(entry)
    if start != end:
        raise DataError(f"{name!r}: its bytes start at {start}, but the arrays before end at {end}")
    stop, code, shape = entry["data_offsets"][1], entry.get("dtype"), entry.get("shape")
    if code != CODES[like.dtype.name] or shape != list(like.shape):
        raise DataError(
            f"{name!r} is {code} {shape}, the model's is {like.dtype} {list(like.shape)}"
        )
    if stop - start != like.nbytes or stop > len(data):
        raise DataError(
            f"{name!r} needs {like.nbytes} bytes, but lies from {start} to {stop} of {len(data)}"
        )
    return np.frombuffer(data[start:stop], DTYPES[code]).reshape(like.shape), stop
