"""The user's folder of compiled programs: one sealed file each, read when it is whole and ours."""

from __future__ import annotations

import hashlib
import os
import stat
import sys
import time
from contextlib import suppress
from pathlib import Path

MAGIC = b"pellucid object 1\n"
CAP = 200_000_000  # bytes; beyond them the programs go that were not used for longest
ABANDONED = 3600.0  # seconds after which a file that is not finished will never be


def cache_folder() -> Path:
    """Return the user's folder of compiled programs: $PELLUCID_CACHE, or the system's custom."""
    if own := os.environ.get("PELLUCID_CACHE"):
        return Path(own)
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return Path(local or Path.home() / "AppData" / "Local") / "pellucid" / "cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "pellucid"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pellucid"


def settings() -> tuple[tuple[str, str], ...]:
    """Return the user's settings of Numba, some of which change what it makes of a program."""
    return tuple(sorted(item for item in os.environ.items() if item[0].startswith("NUMBA_")))


def disabled() -> bool:
    """Say whether the user has switched Numba off."""
    return os.environ.get("NUMBA_DISABLE_JIT") == "1"


def read(key: str) -> bytes | None:
    """Return the object code kept under a key if it is whole and ours, else None."""
    try:
        folder = cache_folder()
        path = folder / f"{key}.object"
        data = _bytes(path) if _private(os.stat(folder)) else None
    except (OSError, RuntimeError):  # RuntimeError: a user without a home
        return None
    code = None if data is None else _unsealed(key, data)
    if code is not None:
        with suppress(OSError):
            os.utime(path)  # used now, so it goes last
    return code


def _bytes(path: Path) -> bytes | None:
    """Return what a regular file of this user's holds; a link, a pipe or another's is none."""
    handle = os.open(path, os.O_RDONLY | _FLAGS)
    try:
        status = os.fstat(handle)
        if not _private(status) or not stat.S_ISREG(status.st_mode) or status.st_size > CAP:
            return None
        with open(handle, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(handle)


_FLAGS = sum(getattr(os, name, 0) for name in ("O_BINARY", "O_NOFOLLOW", "O_NONBLOCK"))


def _private(status: os.stat_result) -> bool:
    """Tell whether only this user can have written it."""
    if sys.platform == "win32":
        return True
    return status.st_uid == os.geteuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _sealed(key: str, code: bytes) -> bytes:
    """Return the file's content: magic and key, the checksum over all the rest, the code."""
    head = MAGIC + bytes.fromhex(key)
    return head + hashlib.sha256(head + code).digest() + code


def _unsealed(key: str, data: bytes) -> bytes | None:
    code = data[len(MAGIC) + 64 :]
    return code if code and data == _sealed(key, code) else None


def write(key: str, code: bytes) -> None:
    """Keep object code under a key; a folder that cannot be written, a full disk: no error."""
    with suppress(OSError, RuntimeError):
        folder = cache_folder()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not _private(os.stat(folder)):
            return
        name = folder / f"{key}.{os.getpid()}.{time.time_ns()}.part"
        handle = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FLAGS, 0o600)
        try:
            with open(handle, "wb") as file:
                file.write(_sealed(key, code))
            os.replace(name, folder / f"{key}.object")
        except OSError:
            os.unlink(name)
            raise
        _evict()


def clear() -> tuple[int, int]:
    """Remove all compiled programs from disk; return how many files and bytes went."""
    gone = [(path, size) for path, size, _ in _entries(*SUFFIXES, ".seen") if _unlink(path)]
    removed = [size for path, size in gone if path.suffix != ".seen"]
    return len(removed), sum(removed)


def stored() -> tuple[int, int]:
    """Return how many compiled programs are on disk, and their bytes."""
    sizes = [size for _, size, _ in _entries(".object")]
    return len(sizes), sum(sizes)


def remember(name: str) -> None:
    """Leave a mark of this name beside the programs: an empty file, a hint and no more."""
    with suppress(OSError, RuntimeError):
        (cache_folder() / f"{name}.seen").touch(0o600)


def remembered(name: str) -> bool:
    """Tell whether there is a mark of this name."""
    with suppress(OSError, RuntimeError):
        return (cache_folder() / f"{name}.seen").exists()
    return False


SUFFIXES = (".object", ".part")


def _entries(*suffixes: str) -> list[tuple[Path, int, float]]:
    """Return the files of ours with size and time of last use, the longest unused first."""
    found = []
    with suppress(OSError, RuntimeError), os.scandir(cache_folder()) as entries:
        for entry in entries:
            with suppress(OSError):
                if entry.name.endswith(suffixes or SUFFIXES) and entry.is_file():
                    status = entry.stat(follow_symlinks=False)
                    found.append((Path(entry.path), status.st_size, status.st_mtime))
    return sorted(found, key=lambda item: item[2])


def _evict() -> None:
    """Remove what is over the cap, and what an interrupted process left half written."""
    entries, now = _entries(), time.time()
    total = sum(size for _, size, _ in entries)
    for path, size, used in entries:
        abandoned = path.suffix == ".part" and now - used > ABANDONED
        if (total > CAP or abandoned) and _unlink(path):
            total -= size


def _unlink(path: Path) -> bool:
    with suppress(OSError):
        path.unlink()
        return True
    return False
