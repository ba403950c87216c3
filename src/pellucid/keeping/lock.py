"""A folder that one process at a time may train in."""

from __future__ import annotations

import os
import sys
import warnings
from contextlib import suppress
from pathlib import Path
from typing import IO
from weakref import WeakSet

from pellucid.errors import ArgumentError, TrainingWarning

NAME = "lock"
FAR = 2**30  # the byte that is locked on Windows, where nobody can read what is locked


class Lock:
    """A folder, taken until it is let go of, or the process ends in whatever way.

    The system keeps the lock, so that none is left behind by a process that was killed; what was
    forked from that one has no part in it. `name` is what the folder is called to people.
    Raises: ArgumentError where another process has it.
    """

    def __init__(self, folder: Path, name: str = "") -> None:
        self.path, self.name = folder / NAME, name or str(folder)
        self.file = _taken(self.path, self.name)
        LOCKS.add(self)

    def holds(self) -> bool:
        """Whether it is still the folder of that name that is taken."""
        try:
            mine, there = os.fstat(self.file.fileno()), self.path.stat()
        except (FileNotFoundError, NotADirectoryError, ValueError):  # gone, or let go of
            return False
        return os.path.samestat(mine, there)

    def renew(self) -> None:
        """Take the folder that has the name now. Raises: ArgumentError, OSError."""
        file = _taken(self.path, self.name)
        self.file.close()
        self.file = file

    def release(self) -> None:
        """Let others have it; the file stays, for another process may be opening it."""
        self.file.close()


LOCKS: WeakSet[Lock] = WeakSet()


def _forget() -> None:
    """Close, in a process that was forked, what its parent has locked: that stays locked."""
    for lock in LOCKS:
        lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)


def _taken(path: Path, name: str) -> IO[bytes]:
    """Return the file of a lock that is taken, with the number of this process in it."""
    file = path.open("a+b", buffering=0)
    try:
        _take(file)
    except (BlockingIOError, PermissionError):
        owner = _owner(file)
        file.close()
        raise ArgumentError(
            f"another training is under way in {name!r}: {owner}",
            "wait for its end, or take another folder",
        ) from None
    except OSError as error:
        told = f"{name!r} cannot be locked ({error.strerror}): do not train in it twice"
        warnings.warn(told, TrainingWarning, stacklevel=3)
    with suppress(OSError):  # a disk that is full: then it is not known whose it is
        file.truncate(0)
        file.write(str(os.getpid()).encode())
    return file


def _owner(file: IO[bytes]) -> str:
    file.seek(0)
    text = file.read(20).decode(errors="replace")
    if text == str(os.getpid()):
        return "this process, in another call of fit"
    return f"process {text}" if text.isdecimal() else "a process that has just begun"


if sys.platform == "win32":
    import msvcrt

    def _take(file: IO[bytes]) -> None:
        file.seek(FAR)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        file.seek(0)

elif sys.platform == "emscripten":  # a browser: there is but one process

    def _take(file: IO[bytes]) -> None:
        return None

else:
    import fcntl

    def _take(file: IO[bytes]) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
