"""Files that are there whole or not at all: written under another name, flushed and renamed.

A process that is killed in the middle leaves the old file, and a part of the new one under a name
that ends in .part; the next to write a file of that name takes such litter away.
"""

from __future__ import annotations

import errno
import os
import stat
import time
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path

from pellucid.errors import ArgumentError

Bytes = bytes | bytearray | memoryview
LITTER = ".part"
LONG = 200  # bytes of a file's name, of 255 that it may have: the rest is for what a part adds
OLD = 86_400.0  # seconds after which a part belongs to nobody, whichever machine it was made on


def write(path: Path, parts: Iterable[Bytes]) -> None:
    """Write all or nothing: another name first, then a rename; both are on the disk afterwards."""
    check_target(path)
    target = Path(os.path.realpath(path))
    mode = _mode(target)
    sweep(target)
    part = target.with_name(f"{_stem(target)}{_here()}-{os.urandom(4).hex()}{LITTER}")
    try:
        with part.open("xb") as file:
            if mode is not None:  # what others may not read, they may not read now
                part.chmod(mode)
            for piece in parts:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, target)
    finally:
        part.unlink(missing_ok=True)
    flush_folder(target.parent)


def check_target(path: Path) -> None:
    """Refuse a name that no file can have."""
    if "\0" in str(path):
        raise ArgumentError(f"{str(path)!r} is no file name", "such as model.safetensors")
    if not path.parent.is_dir():
        raise ArgumentError(f"there is no folder {str(path.parent)!r} to save in", "make it first")
    if path.is_dir():
        raise ArgumentError(
            f"{str(path)!r} is a folder", "give a file name, such as model.safetensors"
        )


def _mode(target: Path) -> int | None:
    """Return the permissions of the file that is replaced; None where there is none.

    Raises: ArgumentError for what is no file, for a rename would put one in the place of a pipe, or
    of a device; PermissionError for a file that may not be written.
    """
    try:
        found = target.stat().st_mode
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(found):
        raise ArgumentError(f"{str(target)!r} is no file that can be replaced", "another name")
    if not found & 0o222:
        raise PermissionError(errno.EACCES, "it is read-only", str(target))
    return stat.S_IMODE(found)


def _stem(target: Path) -> str:
    """Return what the names of a file's parts begin with; of a long name, a checksum."""
    name = target.name
    if len(os.fsencode(name)) > LONG:
        name = f"{zlib.crc32(os.fsencode(name)):08x}"
    return f".{name}."


def flush_folder(folder: Path) -> None:
    """Let a rename reach the disk, on systems that can be asked for it."""
    if os.name == "nt":
        return
    with suppress(OSError):  # some file systems cannot; the files are whole either way
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def sweep(target: Path) -> None:
    """Remove what processes that were killed have left of a file."""
    for part in _parts(target):
        if _abandoned(part, part.name[len(_stem(target)) : -len(LITTER)]):
            with suppress(OSError):  # in use, after all; or another process was faster
                part.unlink()


def _parts(target: Path) -> Iterator[Path]:
    with os.scandir(target.parent) as entries:
        for entry in entries:
            if entry.name.startswith(_stem(target)) and entry.name.endswith(LITTER):
                yield target.with_name(entry.name)


def _here() -> str:
    """Return a name for this machine and process."""
    import platform  # which takes a while to import

    return f"{zlib.crc32(platform.node().encode()):08x}-{os.getpid()}"


def _abandoned(part: Path, owner: str) -> bool:
    """Say whether the process that was writing a part has ended."""
    machine, _, rest = owner.partition("-")
    number = rest.partition("-")[0]
    if machine == _here().partition("-")[0] and number.isdecimal():
        return not _alive(int(number))
    with suppress(OSError):
        return time.time() - part.stat().st_mtime > OLD
    return False


def _alive(process: int) -> bool:
    if os.name == "nt":  # where a file that is open cannot be removed, so that trying says it
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # it is another user's
        return True
    return True
