"""The command `pellucid`: demo, worked, doctor, cache, version; each imports what it needs."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from typing import Any

from pellucid._version import __version__
from pellucid.errors import PellucidError

DEMO: list[tuple[str, type, int | str, str, str]] = [
    ("--seed", int, 0, "N", "fixes the split, the weights and the shuffles"),
    ("--epochs", int, 60, "N", "how often to go through the training images"),
    ("--save", str, "digits.safetensors", "PATH", "where to write the model"),
    ("--report", str, "digits.html", "PATH", "where to write the page that shows all of it"),
]

DOCTOR: list[tuple[str, type, Any, str, str]] = [
    ("--target", str, None, "NAME", "the column to be predicted"),
    ("--hidden", int, [16], "N", "units of each hidden layer"),
    ("--activation", str, "relu", "NAME", "of the hidden layers"),
    ("--rate", float, 0.01, "X", "learning rate of Adam"),
    ("--epochs", int, None, "N", "how often to go through the rows"),
    ("--batch", int, 32, "N", "rows in a batch"),
    ("--seed", int, 0, "N", "fixes the split, the weights and the shuffles"),
    ("--seconds", float, 10.0, "X", "how long it may take, about"),
]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return the exit code: 0, or 2 with the error's text instead of a traceback."""
    parser = _parser()
    given = parser.parse_args(arguments)
    try:
        given.run(given)
        sys.stdout.flush()
        return 0
    except BrokenPipeError:  # the reader went away, as `head` does: nothing is left to say
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130
    except PellucidError as error:
        lines = [error.what, f"  try: {error.hint}" if error.hint else ""]
        print("pellucid:", "\n".join(filter(None, lines)), file=sys.stderr)
    except OSError as error:
        print("pellucid:", error, file=sys.stderr)
    return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("pellucid", description="Neural networks one can see through.")
    parser.set_defaults(run=lambda _: parser.print_help())
    parser.add_argument("--version", action="version", version=f"pellucid {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="")

    demo = commands.add_parser("demo", help="learn to read handwritten digits, in seconds")
    for name, kind, default, metavar, says in DEMO:
        says = f"{says} (default {default})"
        demo.add_argument(name, type=kind, default=default, metavar=metavar, help=says)
    demo.set_defaults(run=_demo)

    worked = commands.add_parser("worked", help="exercises of the teaching documents, solved")
    worked.add_argument("name", nargs="?", metavar="NAME", help='such as "2-3-1 forward"')
    worked.add_argument("--blanks", action="store_true", help="leave the results to be filled in")
    worked.add_argument("--list", action="store_true", help="say which there are")
    worked.set_defaults(run=_worked)

    doctor = commands.add_parser("doctor", help="say what is wrong with a table, or its training")
    doctor.add_argument("file", metavar="FILE", help="comma-separated values, names in line 1")
    for name, kind, default, metavar, says in DOCTOR:
        says = says if default is None else f"{says} (default {default})"
        more = {"nargs": "*"} if isinstance(default, list) else {"required": name == "--target"}
        doctor.add_argument(name, type=kind, default=default, metavar=metavar, help=says, **more)
    doctor.add_argument("--json", action="store_true", help="print the report as JSON")
    doctor.set_defaults(run=_doctor)

    cache = commands.add_parser("cache", help="where compiled programs are kept, and how large")
    cache.add_argument("--clear", action="store_true", help="remove them all")
    cache.set_defaults(run=_cache)

    version = commands.add_parser("version", help="print the version")
    version.set_defaults(run=_version)
    return parser


def _demo(given: argparse.Namespace) -> None:
    from pellucid.demo import run

    run(given.seed, given.epochs, given.save, given.report)


def _worked(given: argparse.Namespace) -> None:
    from pellucid.exercises import worked

    found = worked() if given.list or not given.name else worked(given.name, blanks=given.blanks)
    letters = sys.stdout.encoding or "utf-8"  # where it has no σ, a question mark will do
    print(str(found).encode(letters, "replace").decode(letters))


def _doctor(given: argparse.Namespace) -> None:
    from pellucid.check.doctor import diagnose
    from pellucid.check.doctor.frame import read, usual

    frame = read(given.file, given.target)
    model = usual(frame, given.hidden, given.activation, given.rate, given.seed)
    found = diagnose(
        model, frame.X, frame.y, epochs=given.epochs, batch_size=given.batch,
        budget_seconds=given.seconds,
    )  # fmt: skip
    print(json.dumps(found.to_json(), ensure_ascii=False) if given.json else found)


def _cache(given: argparse.Namespace) -> None:
    from pellucid import jit

    files, size = jit.clear() if given.clear else jit.stored()
    verb = "removed" if given.clear else "kept"
    print(f"{jit.cache_folder()}: {files} compiled programs {verb}, {size / 1e6:.1f} MB")


def _version(_: argparse.Namespace) -> None:
    print(f"pellucid {__version__}")
