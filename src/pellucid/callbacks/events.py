"""The files that TensorBoard reads: records of events, in protocol buffers, with checksums.

    record  =  length (8 bytes), its checksum (4), data, its checksum (4)
    checksum = crc32c of the bytes, rotated right by 15 bits, plus 0xA282EAD8, modulo 2^32
    data    =  an Event message: fields of (number, kind) and value

These are TFRecord files (tensorflow/core/lib/io/record_writer.cc) of Event messages (event.proto,
summary.proto, graph.proto, of TensorFlow). Of them only what is written here is known here.
"""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from pellucid.graph import Array

CASTAGNOLI = 0x82F63B78  # the polynomial of crc32c, its bits reversed
MASK = 0xA282EAD8


def _table() -> tuple[int, ...]:
    """Return the checksum of every byte."""
    found = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ CASTAGNOLI * (byte & 1)
        found.append(byte)
    return tuple(found)


BYTES = _table()


def crc32c(data: bytes) -> int:
    """Return the cyclic redundancy check of RFC 3720.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    crc = 0xFFFF_FFFF
    for byte in data:
        crc = BYTES[(crc ^ byte) & 0xFF] ^ crc >> 8
    return crc ^ 0xFFFF_FFFF


def record(data: bytes) -> bytes:
    """Return a message as it stands in a file."""
    length = struct.pack("<Q", len(data))
    return length + _masked(length) + data + _masked(data)


def _masked(data: bytes) -> bytes:
    crc = crc32c(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + MASK) & 0xFFFF_FFFF)


# -- protocol buffers ------------------------------------------------------------------------------


def varint(value: int) -> bytes:
    """Return a whole number, seven bits a byte, the least first; a negative one as of 64 bits."""
    value &= 0xFFFF_FFFF_FFFF_FFFF
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def whole(field: int, value: int) -> bytes:
    """Return a field that is a whole number."""
    return varint(field << 3) + varint(value)


def double(field: int, value: float) -> bytes:
    """Return a field that is a number of 64 bits."""
    return varint(field << 3 | 1) + struct.pack("<d", value)


def single(field: int, value: float) -> bytes:
    """Return a field that is a number of 32 bits; one too large for it is infinite."""
    with np.errstate(over="ignore"):
        return varint(field << 3 | 5) + np.array(value).astype("<f4").tobytes()


def block(field: int, value: bytes | str) -> bytes:
    """Return a field that is text, or a message."""
    data = value.encode() if isinstance(value, str) else value
    return varint(field << 3 | 2) + varint(len(data)) + data


def doubles(field: int, values: Iterable[float]) -> bytes:
    """Return a field of several numbers of 64 bits."""
    return block(field, np.asarray(list(values), "<f8").tobytes())


# -- what is told ----------------------------------------------------------------------------------


def event(content: bytes, step: int = 0) -> bytes:
    """Return an event that happens now."""
    return double(1, time.time()) + whole(2, step) + content


def version() -> bytes:
    """Return what the first event of a file holds."""
    return block(3, "brain.Event:2")


def restart() -> bytes:
    """Return the sign that steps from this one on are told again: older ones no longer count."""
    return block(7, whole(1, 1))


def scalars(values: Mapping[str, float]) -> bytes:
    """Return a summary of numbers by name."""
    told = (block(1, name) + single(2, value) for name, value in values.items())
    return block(5, b"".join(block(1, each) for each in told))


def histograms(arrays: Mapping[str, Array], bins: int = 30) -> bytes:
    """Return a summary of how often values occur, by name; what is not finite is left out."""
    told = (block(1, name) + block(5, _histogram(array, bins)) for name, array in arrays.items())
    return block(5, b"".join(block(1, each) for each in told))


def _histogram(array: Array, bins: int) -> bytes:
    values = np.asarray(array, np.float64).ravel()
    values = values[np.isfinite(values)]
    if not values.size:
        return doubles(6, [0.0]) + doubles(7, [0.0])
    counts, edges = np.histogram(values, bins)
    with np.errstate(over="ignore", invalid="ignore"):
        sums = [values.sum(), np.square(values).sum()]
    facts = [values.min(), values.max(), values.size, *sums]
    told = b"".join(double(k, float(fact)) for k, fact in enumerate(facts, 1))
    # a bucket has an upper limit only, so an empty one says where the first begins
    return told + doubles(6, edges) + doubles(7, [0.0, *counts])


def graph(nodes: Iterable[bytes]) -> bytes:
    """Return a graph of nodes."""
    return block(4, b"".join(block(1, node) for node in nodes) + block(4, whole(1, 22)))


def node(name: str, op: str, inputs: Sequence[str], shape: Sequence[int], dtype: str) -> bytes:
    """Return a node of a graph; -1 stands for a size that is not known."""
    sizes = b"".join(block(2, whole(1, size)) for size in shape)
    attrs = {"_output_shapes": block(1, block(7, sizes)), "dtype": whole(6, TYPES.get(dtype, 0))}
    told = (block(1, key) + block(2, value) for key, value in attrs.items())
    parts = [block(1, name), block(2, op), *(block(3, each) for each in inputs)]
    return b"".join([*parts, *(block(5, each) for each in told)])


TYPES = {"float32": 1, "float64": 2, "int32": 3, "int64": 9, "bool": 10}  # of types.proto


class Writer:
    """A file of events in a folder; whole records are written at once."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        now = time.time_ns()
        name = f"events.out.tfevents.{now // 10**9:010d}.{socket.gethostname()}.{os.getpid()}.{now}"
        self.path = folder / name
        self.write(event(version()))

    def write(self, *events: bytes) -> None:
        """Add events to the file."""
        with self.path.open("ab") as file:
            file.write(b"".join(map(record, events)))
