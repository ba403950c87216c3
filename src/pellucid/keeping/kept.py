"""What callbacks keep, with the model at every checkpoint: JSON, and arrays among its values.

A callback with a memory of its own says what it holds, `kept()`, and takes it over again,
`take_back(kept)`, in a run that goes on.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from pellucid import described
from pellucid.callbacks import Callback
from pellucid.checkpoint import KEPT
from pellucid.errors import ArgumentError, DataError
from pellucid.graph import Array
from pellucid.safetensors import Listing


def packed(callbacks: Sequence[Callback]) -> tuple[list[Any], dict[str, Array]]:
    """Return what callbacks keep, as JSON, and the arrays in it by their names in the file.

    Raises: ArgumentError for what a file cannot hold.
    """
    arrays: dict[str, Array] = {}
    kept = [(type(callback).__name__, callback.kept()) for callback in callbacks]
    return [[name, _told(value, arrays)] for name, value in kept if value], arrays


def _told(value: Any, arrays: dict[str, Array]) -> Any:
    if isinstance(value, np.ndarray):
        name = f"{KEPT}{len(arrays)}"
        arrays[name] = value.copy()
        return {"type": "array", "name": name}
    if isinstance(value, dict):
        pairs = [[described.told(k), _told(v, arrays)] for k, v in value.items()]
        return {"type": "dict", "items": pairs}
    if isinstance(value, list):
        return {"type": "list", "items": [_told(v, arrays) for v in value]}
    if isinstance(value, tuple):
        return [_told(v, arrays) for v in value]
    return described.told(value)


def matched(
    told: Sequence[Any], found: Listing, callbacks: Sequence[Callback]
) -> list[tuple[Callback, Any]]:
    """Return every callback that kept something, with that: in the order in which they were.

    Raises: ArgumentError where one is not there any more, for training would go another way;
    DataError for what cannot be read.
    """
    rest, pairs = list(callbacks), []
    for name, kept in told:
        while rest and type(rest[0]).__name__ != name:
            rest.pop(0)
        if not rest:
            raise ArgumentError(
                f"the run was trained with a callback {name}, which is not among those given",
                "give the same callbacks, in the same order",
            )
        pairs.append((rest.pop(0), _made(kept, found)))
    return pairs


def _made(value: Any, found: Listing) -> Any:
    if isinstance(value, list):
        return tuple(_made(v, found) for v in value)
    if not isinstance(value, dict):
        return value
    kind = value.get("type")
    if kind == "array" and value.get("name") in found.entries:
        return found.array(value["name"])
    if kind in ("list", "dict"):
        items = [_made(v, found) for v in value["items"]]
        return items if kind == "list" else dict(items)
    if kind == "number":
        return described.made(value, {})
    raise DataError(f"{found.path.name}: what a callback kept cannot be read: {kind!r}")
