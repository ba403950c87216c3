"""The safetensors format: arrays by name in one file, without code.

    8 bytes   length of the header, little endian
    header    JSON: {"__metadata__": {…}, "W1": {"dtype", "shape", "data_offsets"}, …}
    data      the arrays, one after another

A small writer and reader of our own: the format is this short, the official package has no build
for the browser, and its NumPy writer takes the bytes of a strided array as they lie. A file is
checked as a whole before an array of it is read: nothing that it says of itself is believed.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from pellucid import files
from pellucid.errors import ArgumentError, DataError
from pellucid.graph import Array

DTYPES: dict[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"), "F32": np.dtype("<f4"), "F16": np.dtype("<f2"),
    "I64": np.dtype("<i8"), "I32": np.dtype("<i4"), "I16": np.dtype("<i2"), "I8": np.dtype("i1"),
    "U64": np.dtype("<u8"), "U32": np.dtype("<u4"), "U16": np.dtype("<u2"), "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}  # fmt: skip
CODES = {v.name: k for k, v in DTYPES.items()}
BRAIN = "BF16"  # the upper half of a float32, which NumPy has no name for: it can be read
WIDTHS = {code: dtype.itemsize for code, dtype in DTYPES.items()} | {BRAIN: 2}
LARGEST_HEADER = 2**20  # bytes; read as JSON it takes some forty times as much memory
MOST_AXES = 32
CHUNK = 2**20  # bytes that are read at a time

# what a file of another kind begins with
OTHERS = {
    b"PK\x03\x04": "a zip archive, as NumPy and PyTorch write them",
    b"\x80": "a pickle, which could hold any code",
    b"\x89HDF": "an HDF5 file, as older versions of Keras write them",
    b"\x93NUMPY": "one array of NumPy",
    b"\x1f\x8b": "a gzip archive",
}


@dataclass(frozen=True)
class Entry:
    """One array of a file: its type, its shape, and where its bytes lie in the data."""

    code: str
    shape: tuple[int, ...]
    start: int
    stop: int


@dataclass(frozen=True)
class Listing:
    """What a file holds, all of it checked; `base` is where the data begins.

    `stamp` tells the file that was looked through from one that has its name since.
    """

    path: Path
    metadata: dict[str, str]
    entries: dict[str, Entry]
    base: int
    stamp: tuple[int, ...]

    def fill(self, wanted: Mapping[str, Array], names: Mapping[str, str] | None = None) -> None:
        """Read arrays into those given, of the same shapes; `names` are theirs in the file.

        Raises: DataError where it is another file by now; the arrays are then as they were.
        """
        names = names or {}
        with self.path.open("rb") as file:
            if _stamp(file) != self.stamp:
                raise DataError(f"{self.path.name} has changed meanwhile", "read it again")
            for name, array in wanted.items():
                self._read(file, names.get(name, name), array)

    def changed(self) -> bool:
        """Say whether another file has the name by now. Raises: OSError where none has."""
        with self.path.open("rb") as file:
            return _stamp(file) != self.stamp

    def array(self, name: str) -> Array:
        """Return one array, in memory of its own."""
        entry = self.entries[name]
        dtype = np.dtype(np.float32) if entry.code == BRAIN else DTYPES[entry.code]
        found = np.empty(entry.shape, dtype.newbyteorder("="))
        self.fill({name: found})
        return found

    def _read(self, file: IO[bytes], name: str, array: Array) -> None:
        """Copy one array in, some of it at a time, so that it takes no memory of its own."""
        entry = self.entries[name]
        target = array if array.flags.c_contiguous else np.empty(array.shape, array.dtype)
        flat, width = target.reshape(-1), WIDTHS[entry.code]
        file.seek(self.base + entry.start)
        for at in range(0, flat.size, CHUNK // width):
            part = flat[at : at + CHUNK // width]
            content = file.read(part.size * width)
            if len(content) != part.size * width:
                raise DataError(f"{self.path.name} ends within {name!r}: it has changed meanwhile")
            part[...] = _decoded(content, entry.code)
        if target is not array:
            array[...] = target


def _stamp(file: IO[bytes]) -> tuple[int, ...]:
    """Return what tells an open file from every other, and from itself once it is written to."""
    told = os.fstat(file.fileno())
    return told.st_dev, told.st_ino, told.st_size, told.st_mtime_ns


def _decoded(content: bytes, code: str) -> Array:
    if code == BRAIN:
        return (np.frombuffer(content, "<u2").astype(np.uint32) << 16).view(np.float32)
    found: Array = np.frombuffer(content, DTYPES[code])
    return found


# -- writing -------------------------------------------------------------------------------------


def write(path: Path, tensors: Mapping[str, Array], metadata: Mapping[str, str]) -> None:
    """Write arrays to a file, all or nothing.

    Raises: ArgumentError for a type that the format does not have, or a header too long to be read.
    """
    files.write(path, packed(tensors, metadata))


def packed(tensors: Mapping[str, Array], metadata: Mapping[str, str]) -> Iterator[files.Bytes]:
    """Return the bytes of a file with these arrays, part by part; of strided ones, in C order."""
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    start = 0
    for name, array in tensors.items():
        if array.dtype.name not in CODES:
            raise ArgumentError(f"{name!r} is of type {array.dtype}, which the file cannot hold")
        if not _proper(name) or name == "__metadata__":
            raise ArgumentError(f"{name!r} cannot be an array's name", 'such as "W1"')
        offsets = [start, start + array.nbytes]
        code, start = CODES[array.dtype.name], offsets[1]
        header[name] = {"dtype": code, "shape": list(array.shape), "data_offsets": offsets}
    text = json.dumps(header, separators=(",", ":"), allow_nan=False).encode()
    text += b" " * (-len(text) % 8)
    if len(text) > LARGEST_HEADER:
        raise ArgumentError(
            f"the model's description is {len(text):,} bytes long, and a file's header at most "
            f"{LARGEST_HEADER:,}",
            "fewer layers, or np.savez(path, **model.params)",
        )
    return _parts(text, tensors)


def _parts(text: bytes, tensors: Mapping[str, Array]) -> Iterator[files.Bytes]:
    yield len(text).to_bytes(8, "little")
    yield text
    for array in tensors.values():
        dense = np.ascontiguousarray(array, DTYPES[CODES[array.dtype.name]])
        if dense.size:
            yield dense.reshape(-1).view(np.uint8).data


# -- reading -------------------------------------------------------------------------------------


def listing(path: Path) -> Listing:
    """Return what a file holds; nothing but its header is read, and no more of it than there is.

    Raises: ArgumentError where there is no such file, DataError for one that is not whole.
    """
    if not path.is_file():
        raise ArgumentError(f"there is no file {str(path)!r}", "model.save(path) writes one")
    with path.open("rb") as file:
        stamp = _stamp(file)
        size = os.fstat(file.fileno()).st_size
        text = _header(file, path.name, size)
    try:
        header = strict(text.decode())
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path.name}: its header cannot be read as JSON: {error}") from None
    metadata = _metadata(header.pop("__metadata__", {}), path.name)
    base = 8 + len(text)
    try:
        entries = {name: _entry(name, told) for name, told in header.items()}
        _check_tiles(entries, size - base)
    except DataError as error:
        raise DataError(f"{path.name}: {error.what}") from None
    return Listing(path, metadata, entries, base, stamp)


def _header(file: IO[bytes], name: str, size: int) -> bytes:
    first = file.read(8)
    length = int.from_bytes(first, "little")
    if len(first) < 8 or not 0 < length <= min(size - 8, LARGEST_HEADER):
        kind = next((told for begin, told in OTHERS.items() if first.startswith(begin)), "")
        why = f"it is {kind}" if kind else f"a header of {length:,} bytes in a file of {size:,}"
        if LARGEST_HEADER < length <= size - 8:
            why += f", where {LARGEST_HEADER:,} are the most that is read"
        raise DataError(f"{name} is no whole safetensors file: {why}")
    text = file.read(length)
    if not text.startswith(b"{"):
        raise DataError(f"{name}: its header is no table of arrays")
    return text


def strict(text: str) -> Any:
    """Return what JSON says: no name twice, no NaN. Raises: ValueError, RecursionError."""
    return json.loads(text, object_pairs_hook=_unique, parse_constant=_refused)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise ValueError(f"{twice!r} stands there twice")
    return found


def _refused(word: str) -> float:
    raise ValueError(f"{word} is no number of JSON")


def _metadata(told: Any, name: str) -> dict[str, str]:
    if not isinstance(told, dict) or not all(isinstance(text, str) for text in told.values()):
        raise DataError(f"{name}: its metadata is no table of texts")
    return told


def _entry(name: str, told: Any) -> Entry:
    """Check what a header says of one array."""
    if not _proper(name):
        raise DataError(f"{name!r} cannot be an array's name")
    if not isinstance(told, dict) or set(told) != {"dtype", "shape", "data_offsets"}:
        raise DataError(f"{name!r} is not described by dtype, shape and data_offsets")
    code, shape, offsets = told["dtype"], told["shape"], told["data_offsets"]
    if not isinstance(code, str) or code not in WIDTHS:
        raise DataError(f"{name!r} is of type {code!r}, which is none of {', '.join(WIDTHS)}")
    if not _whole(shape) or len(shape) > MOST_AXES:
        raise DataError(f"{name!r} has the shape {short(shape)}")
    if not _whole(offsets) or len(offsets) != 2:
        raise DataError(f"{name!r} lies at {short(offsets)}, which is not from one byte to another")
    start, stop = offsets
    needed = math.prod(shape) * WIDTHS[code]
    if stop - start != needed:
        raise DataError(
            f"{name!r}, {code} of shape {short(shape)}, needs {short(needed)} bytes, but lies from "
            f"{short(start)} to {short(stop)}"
        )
    return Entry(code, tuple(shape), start, stop)


def _proper(name: str) -> bool:
    """Refuse what could be taken for a path, and what no terminal can show."""
    outside = name.startswith(("/", "\\")) or ".." in re.split(r"[/\\]", name)
    return bool(name) and not outside and name.isprintable()


def _whole(numbers: Any) -> bool:
    return isinstance(numbers, list) and all(type(k) is int and k >= 0 for k in numbers)


def short(value: Any) -> str:
    """Return a value of JSON as text of a line's length."""
    told = repr(value) if not isinstance(value, int) or value < 2**63 else "more than 2^63"
    return told if len(told) < 60 else f"{told[:56]} …"


def _check_tiles(entries: Mapping[str, Entry], size: int) -> None:
    """Refuse arrays that overlap, leave holes, go beyond the file, or do not fill it."""
    end, before = 0, ""
    for name, entry in sorted(entries.items(), key=lambda item: (item[1].start, item[1].stop)):
        if entry.start != end:
            what = "overlaps what is before it" if entry.start < end else "leaves a hole before it"
            told = f"{what}{', ' + repr(before) if before else ''}"
            raise DataError(f"{name!r} {told}: it begins at {short(entry.start)}, not at {end}")
        if entry.stop > size:
            raise DataError(
                f"{name!r} ends at byte {short(entry.stop)} of the data, of which there are {size}"
            )
        end, before = entry.stop, name
    if end != size:
        raise DataError(f"{size - end} bytes at its end belong to no array")
