"""A folder that one process at a time may train in."""

from __future__ import annotations

import os
import sys
import warnings
from pathlib import Path
from typing import IO

from pellucid.errors import ArgumentError, TrainingWarning

NAME = "lock"
FAR = 2**30  # the byte that is locked on Windows, where nobody can read what is locked


class Lock:
    """A folder, taken until it is let go of, or the process ends in whatever way.

    The system keeps the lock, so that none is left behind by a process that was killed.
    Raises: ArgumentError where another process has it.
    """

    def __init__(self, folder: Path) -> None:
        self.file = (folder / NAME).open("a+b")
        try:
            _take(self.file)
        except (BlockingIOError, PermissionError):
            owner = _owner(self.file)
            self.file.close()
            raise ArgumentError(
                f"another training is under way in {str(folder)!r}: {owner}",
                "wait for its end, or take another folder",
            ) from None
        except OSError as error:
            told = f"{str(folder)!r} cannot be locked ({error.strerror}): do not train in it twice"
            warnings.warn(told, TrainingWarning, stacklevel=2)
        self.file.truncate(0)
        self.file.write(str(os.getpid()).encode())
        self.file.flush()

    def release(self) -> None:
        """Let others have it; the file stays, for another process may be opening it."""
        self.file.close()


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
