"""The safetensors format: arrays by name in one file, without code.

    8 bytes   length of the header, little endian
    header    JSON: {"__metadata__": {…}, "W1": {"dtype", "shape", "data_offsets"}, …}
    data      the arrays, one after another

A file is written under another name, flushed and renamed, so that an old one stays whole if that
fails. A small writer and reader of our own: the format is this short, and the official package
has no build for the browser.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pellucid.errors import ArgumentError, DataError
from pellucid.graph import Array

DTYPES: dict[str, np.dtype[Any]] = {"F64": np.dtype("<f8"), "F32": np.dtype("<f4")}
CODES = {v.name: k for k, v in DTYPES.items()}
LARGEST_HEADER = 16 * 1024 * 1024


def packed(tensors: Mapping[str, Array], metadata: Mapping[str, str]) -> bytes:
    """Return the bytes of a file with these arrays."""
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
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


def write(path: Path, content: bytes) -> None:
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


def read(path: Path) -> tuple[dict[str, Any], bytes]:
    """Return a file's header and its data; sizes are checked before anything is read."""
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


def fill(wanted: Mapping[str, Array], header: Mapping[str, Any], data: bytes) -> None:
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
