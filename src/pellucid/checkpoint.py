"""A model in one safetensors file: weights, optimizer state, and the architecture as JSON.

Reading runs no code: classes are looked up in a fixed table, or in `custom`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pellucid import nn, optim
from pellucid.errors import ArgumentError, DataError
from pellucid.graph import Array
from pellucid.losses import NAMES as LOSSES
from pellucid.nn import init
from pellucid.nn.network import network
from pellucid.safetensors import CODES, fill, packed, read, write

FORMAT = 1
TYPES: dict[str, type] = {
    c.__name__: c
    for c in (nn.Dense, nn.Activation, nn.Dropout, nn.Flatten, nn.Shared, optim.SGD, optim.Adam,
              init.He, init.Glorot, init.LeCun, init.Orthogonal, init.Normal, init.Constant)
}  # fmt: skip


def save(model: Any, path: str | Path) -> Path:
    """Write a model to a file and return its path; `model.save` is this."""
    path = Path(path)
    numbers = model._numbers
    tensors = dict(model.params)
    tensors |= {f"optimizer.{name}": array for name, array in numbers.state.items()}
    told = json.dumps(_description(model), allow_nan=False)
    write(path, packed(tensors, {"pellucid": told}))
    return path


def _description(model: Any) -> dict[str, Any]:
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
        "since": model._numbers.since,
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


def restore(path: Path, custom: Mapping[str, type], make: Callable[..., Any]) -> Any:
    """Return the model of a file; `make` builds one from its layers and settings."""
    if not path.is_file():
        raise ArgumentError(f"there is no file {str(path)!r}", "model.save(path) writes one")
    header, data = read(path)
    told = _metadata(header)
    try:
        model = _model(told, TYPES | dict(custom), len(data), make)
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
    fill(wanted, header, data)
    return model


def _model(
    told: dict[str, Any], known: Mapping[str, type], size: int, make: Callable[..., Any]
) -> Any:
    """Build the model of a description; memory for it is taken only where the file has as much."""
    inputs, counts = told["inputs"], tuple(told[k] for k in ("steps", "epochs", "since"))
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
    model = make(
        layers,
        loss=told["loss"],
        optimizer=optimizer,
        metrics=told["metrics"],
        dtype=dtype,
        seed=told["seed"],
    )
    model._build(tuple(inputs))
    model._numbers.steps, model._numbers.epochs, model._numbers.since = counts
    model._labels = _labels(told["labels"])
    return model


def _labels(told: Any) -> Array | None:
    if told is None:
        return None
    kind = np.sctypeDict.get(told[0])
    if kind is None or np.dtype(kind).kind not in "biuf":
        raise DataError(f"the file's labels are {told[0]!r}, not numbers")
    return np.array(told[1], kind)


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
