"""The demonstration, worked exercises, the cache of compiled programs, the version."""

from __future__ import annotations

import sys

from pellucid._version import __version__
from pellucid.commands.options import Settings


def demo(given: Settings) -> None:
    """Learn to read handwriting."""
    from pellucid.demo import run

    run(given.seed, given.epochs, given.save, given.report)


def worked(given: Settings) -> None:
    """Print an exercise, or which there are."""
    from pellucid.exercises import worked as solved

    found = solved() if given.list or not given.name else solved(given.name, blanks=given.blanks)
    letters = sys.stdout.encoding or "utf-8"  # where it has no σ, a question mark will do
    print(str(found).encode(letters, "replace").decode(letters))


def cache(given: Settings) -> None:
    """Say where compiled programs are, or remove them."""
    from pellucid import jit

    files, size = jit.clear() if given.clear else jit.stored()
    verb = "removed" if given.clear else "kept"
    print(f"{jit.cache_folder()}: {files} compiled programs {verb}, {size / 1e6:.1f} MB")


def version(_: Settings) -> None:
    """Print the version."""
    print(f"pellucid {__version__}")
