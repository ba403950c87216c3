"""Settings as JSON, and back: layers, optimizers and schedules are frozen values with fields.

    Dense(8)  →  {"type": "Dense", "units": 8, …}

Reading runs no code: a class is looked up by its name among those of this library, which is every
frozen dataclass that `nn`, `optim` and `metrics` offer, or among those that the caller names.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from itertools import islice
from types import ModuleType
from typing import Any

import numpy as np

from pellucid import metrics, nn, optim
from pellucid.errors import ArgumentError, DataError

MOST = 1500  # frozen values in a description: to trace as many layers takes a fraction of a second
DEEPEST = 64  # values within values
VALUES = 20_000  # of any kind: numbers, names, and what holds them
PLAIN = ("list", "dict", "number")  # names that stand for what JSON has no word for


def gathered(*packages: ModuleType) -> dict[str, type]:
    """Return the frozen dataclasses that packages offer, by name; bases of others are none."""
    offered = [getattr(p, name) for p in packages for name in p.__all__]
    found = [c for c in offered if isinstance(c, type) and _is_frozen(c)]
    return {c.__name__: c for c in found if not any(c in k.__bases__ for k in found)}


def _is_frozen(kind: type) -> bool:
    return is_dataclass(kind) and kind.__dataclass_params__.frozen  # type: ignore[attr-defined]


TYPES: dict[str, type] = gathered(nn, optim, metrics)


def told(value: Any) -> Any:
    """Return a setting as JSON. Raises: ArgumentError for what a file cannot hold."""
    if is_dataclass(type(value)):
        return _fields(value)
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return {"type": "number", "value": str(value)}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, tuple):
        return [told(v) for v in value]
    if isinstance(value, list):
        return {"type": "list", "items": [told(v) for v in value]}
    if isinstance(value, dict):
        return {"type": "dict", "items": [[told(k), told(v)] for k, v in value.items()]}
    what = "is a function" if callable(value) else f"is a {type(value).__name__}"
    raise ArgumentError(
        f"{getattr(value, '__name__', value)!r} {what}, which a file cannot hold",
        "activations by name, layers as frozen dataclasses; or np.savez(path, **model.params)",
    )


def _fields(value: Any) -> dict[str, Any]:
    kind: type = type(value)
    name = kind.__name__
    if TYPES.get(name, kind) is not kind or name in PLAIN:
        raise ArgumentError(f"a class of your own has the name of ours, {name}", "rename it")
    given = (f.name for f in fields(kind) if f.init)
    return {"type": name} | {key: told(getattr(value, key)) for key in given}


def check_size(description: Any) -> None:
    """Refuse a description of more than is read again. Raises: ArgumentError."""
    if told := _too_much(description):
        raise ArgumentError(
            f"the model has {told} to describe", "fewer layers, or np.savez(path, **model.params)"
        )


def foreign(description: Any) -> bool:
    """Say whether a description names classes that are not this library's."""
    known = {*TYPES, *PLAIN, "LabelSmoothing"}
    return any(v.get("type", "list") not in known for v in _values(description, 0)
               if isinstance(v, dict))  # fmt: skip


def made(description: Any, known: Mapping[str, type], largest: int | None = None) -> Any:
    """Build the value of a description; only classes of the table are ever called.

    `largest` is how large a whole number may be, where they are sizes. Raises: DataError for an
    unknown class, and for more, deeper or larger values than are ever written.
    """
    if told := _too_much(description):
        raise DataError(f"the file has {told} to describe")
    if largest is not None:
        _check_sizes(description, largest)
    return _made(description, known)


def _check_sizes(description: Any, largest: int) -> None:
    for value in _values(description, 0):
        if isinstance(value, int) and abs(value) > largest:
            raise DataError(f"a layer of the file has the setting {_digits(value)}")


def _digits(value: int) -> str:
    return f"{value:,}" if abs(value) < 10**20 else "of more than 20 digits"


def _too_much(description: Any) -> str:
    """Say how much there is, where it is more than is read."""
    values = list(islice(_values(description, 0), VALUES + 1))
    layers = sum(isinstance(v, dict) for v in values)
    if len(values) > VALUES:
        return f"more than {VALUES:,} settings"
    return f"{layers:,} layers and other values, where {MOST:,} are the most," * (layers > MOST)


def _values(value: Any, depth: int) -> Iterator[Any]:
    """Yield a value of JSON and all that is in it."""
    if depth > 4 * DEEPEST:  # a tuple or a table within a value is a level of its own
        raise DataError(f"values lie more than {DEEPEST} deep in each other")
    yield value
    inside = value.values() if isinstance(value, dict) else value
    if isinstance(value, (dict, list)):
        for each in inside:
            yield from _values(each, depth + 1)


def _made(value: Any, known: Mapping[str, type]) -> Any:
    if isinstance(value, list):
        return tuple(_made(v, known) for v in value)
    if not isinstance(value, dict):
        return value
    name = value.get("type")
    if name in PLAIN:
        return _plain(name, value, known)
    if not isinstance(name, str) or name not in known:
        raise DataError(
            f"the file names the class {name!r}, which is not known",
            "load(path, custom={name: class})",
        )
    return known[name](**{k: _made(v, known) for k, v in value.items() if k != "type"})


def _plain(name: str, value: dict[str, Any], known: Mapping[str, type]) -> Any:
    if name == "number":
        return {"inf": math.inf, "-inf": -math.inf, "nan": math.nan}[value["value"]]
    items = [_made(v, known) for v in value["items"]]
    return items if name == "list" else dict(items)
