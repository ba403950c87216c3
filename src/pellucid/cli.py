"""The command `pellucid`: what is typed, exit codes, and errors in one line."""

from __future__ import annotations

import argparse
import os
import sys
import textwrap
import traceback
import warnings
from collections.abc import Sequence
from importlib import import_module
from typing import Any, NoReturn

from pellucid._version import __version__
from pellucid.commands.catalog import CODES, COMMANDS
from pellucid.commands.options import Command, Option, settled
from pellucid.errors import ArgumentError, NonFiniteError, PellucidError, one_of

DONE, FAILED, BAD, STOPPED, BROKEN, INTERRUPTED, UNREAD = 0, 1, 2, 3, 4, 130, 141
WIDTH = 80


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return the exit code: 0, or what the help of `pellucid` says."""
    typed = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in typed
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _warned
            code = _run([word for word in typed if word != "--debug"])
        sys.stdout.flush()
        return code
    except BrokenPipeError:  # the reader went away, as `head` does: nothing is left to say
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return UNREAD
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        return _told(error, debug)


def _run(typed: Sequence[str]) -> int:
    name = next((word for word in typed if not word.startswith("-")), "")
    if name and name not in COMMANDS:
        raise one_of("command", name, COMMANDS)
    parser = _parser()
    given, unknown = parser.parse_known_args(typed)
    command = COMMANDS.get(getattr(given, "command", ""))
    if unknown:
        raise _unknown(unknown[0], command)
    if command is None:
        parser.print_help()
        return DONE
    words = vars(given)
    settings = settled(command, words, words.get("config"))
    module, _, function = command.module.partition(":")
    done = getattr(import_module(module), function or "run")(settings)
    return int(done or DONE)


def _told(error: Exception, debug: bool) -> int:
    """Say an error in one line, after all that led to it where that is asked for."""
    if debug:
        traceback.print_exception(error)
    print("pellucid:", " ".join(_line(error).split()), file=sys.stderr)
    if isinstance(error, NonFiniteError):
        return STOPPED
    return BAD if isinstance(error, (PellucidError, OSError, MemoryError)) else BROKEN


def _line(error: Exception) -> str:
    if isinstance(error, PellucidError):
        what = error.what
        if isinstance(error, NonFiniteError):  # what led to it fills a page: `train` has said that
            what = what.partition("\n")[0].rstrip(";")
        return f"{what}; try: {error.hint}" if error.hint else what
    if isinstance(error, OSError):
        about = f": {error.filename!r}" if error.filename else ""
        return f"{error.strerror}{about}" if error.strerror else str(error)
    if isinstance(error, MemoryError):
        return f"there is not enough memory: {error}; try: fewer rows, or smaller layers"
    return f"an error of this program, {type(error).__name__}: {error}; --debug shows where"


def _warned(message: Warning | str, *_: Any, **__: Any) -> None:
    """Say a warning in one line."""
    what = str(message)
    print("pellucid: warning:", " ".join(what.split()), file=sys.stderr)


def _unknown(word: str, command: Command | None) -> ArgumentError:
    if command is None or not word.startswith("-"):
        after = f"after {command.name}" if command else "before the command"
        return ArgumentError(f"{word!r} is not expected {after}", "pellucid --help")
    names = [name for option in command.options for name in option.names]
    return one_of(f"option of {command.name}", word.partition("=")[0], [*names, "--config"])


# -- the parser ------------------------------------------------------------------------------------


class Parser(argparse.ArgumentParser):
    """A parser whose errors are ours, so that they come in one line."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of leaving."""
        raise ArgumentError(message, f"{self.prog} --help")


def _parser() -> Parser:
    parser = Parser(
        "pellucid",
        description="Neural networks one can see through.",
        epilog=f"pellucid COMMAND --help shows options and examples\n\n{CODES}",
        formatter_class=_Plain,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"pellucid {__version__}")
    parser.add_argument("--debug", action="store_true", help="show where an error comes from")
    commands = parser.add_subparsers(title="commands", metavar="", dest="command")
    for command in COMMANDS.values():
        one = commands.add_parser(
            command.name, help=command.says, description=_described(command), allow_abbrev=False,
            formatter_class=_Plain, epilog=_examples(command), argument_default=argparse.SUPPRESS,
        )  # fmt: skip
        for option in command.takes:
            one.add_argument(option.name, nargs="?", metavar=option.metavar, help=_help(option))
        for option in command.options:
            _add(one, option)
        if command.listed:
            one.add_argument("--config", metavar="TOML", help="options in a file")
        one.add_argument("--debug", action="store_true", help="show where an error comes from")
    return parser


class _Once(argparse.Action):
    """An option that is given once: of two values neither is taken in silence."""

    def __call__(self, parser: Any, namespace: Any, values: Any, option: Any = None) -> None:
        if self.dest in vars(namespace):
            parser.error(f"{option} is given twice")
        setattr(namespace, self.dest, values)


class _Plain(argparse.RawDescriptionHelpFormatter):
    """Help in 80 columns, whatever the terminal, with lines as they are written."""

    def __init__(self, prog: str, **settings: Any) -> None:
        argparse.RawDescriptionHelpFormatter.__init__(self, prog, max_help_position=26, width=WIDTH)


def _add(parser: argparse.ArgumentParser, option: Option) -> None:
    if option.flag:
        action = argparse.BooleanOptionalAction if option.default else "store_true"
        parser.add_argument(*option.names, action=action, dest=option.name, help=_help(option))
        return
    parser.add_argument(
        *option.names, action=_Once, dest=option.name, metavar=option.metavar, help=_help(option),
        nargs="*" if option.many else None,
    )  # fmt: skip


def _help(option: Option) -> str:
    default = option.default
    if option.flag or default is None or default == ():
        return option.says.replace("%", "%%")
    shown = ",".join(map(str, default)) if isinstance(default, tuple) else default
    return f"{option.says} (default {shown})".replace("%", "%%")


def _described(command: Command) -> str:
    said = f"{command.says[0].upper()}{command.says[1:]}."
    return f"{said}\n\n{textwrap.fill(command.about, WIDTH)}" if command.about else said


def _examples(command: Command) -> str:
    if not command.examples:
        return ""
    lines = [f"  {typed}\n      {does}" for typed, does in command.examples]
    return "\n".join(["examples", *lines, "", textwrap.dedent(CODES)])
