"""Options of a command: from the command line and from TOML, read alike.

What is given on the line counts more than what a file says, and that more than a default.
"""

from __future__ import annotations

import csv
import json
import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pellucid.errors import ArgumentError, DataError, one_of

Read = Callable[[Any], Any]


@dataclass(frozen=True)
class Option:
    """One option: `--name` on the line, `name` in TOML.

    `read` makes its value of a text or of what TOML has, and raises ValueError, with what is
    expected, where it cannot. `flag`: it is given without a value. `many`: several words follow.
    """

    name: str
    says: str
    read: Read
    default: Any = None
    metavar: str = ""
    flag: bool = False
    many: bool = False
    also: tuple[str, ...] = ()  # other names on the line

    @property
    def dashed(self) -> str:
        return f"--{self.name.replace('_', '-')}"

    @property
    def names(self) -> list[str]:
        """How it is written on the line."""
        return [self.dashed, *self.also]


@dataclass(frozen=True)
class Command:
    """One command: what it does, what it takes, and the module whose `run` does it."""

    name: str
    says: str
    module: str
    takes: tuple[Option, ...] = ()  # in their places, without a name
    options: tuple[Option, ...] = ()
    about: str = ""
    examples: tuple[tuple[str, str], ...] = ()  # what is typed, and what that does
    listed: bool = True  # whether options can come from a file

    @property
    def all(self) -> tuple[Option, ...]:
        return (*self.takes, *self.options)

    @property
    def keys(self) -> dict[str, Option]:
        """Options by their name in TOML."""
        return {option.name: option for option in self.all}


class Settings:
    """The settings of a command: settings["seed"], settings.seed.

    `asked` are the names of those that were typed or told, and are not there by default.
    """

    def __init__(self, values: Mapping[str, Any], asked: Iterable[str] = ()) -> None:
        self._values, self.asked = dict(values), frozenset(asked)

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in self._values:
            raise AttributeError(name)
        return self._values[name]

    @property
    def names(self) -> frozenset[str]:
        """Which settings there are."""
        return frozenset(self._values)

    def with_(self, **values: Any) -> Settings:
        """Return the settings with some of them changed."""
        return Settings(self._values | values, self.asked)


def settled(command: Command, typed: Mapping[str, Any], config: str | None) -> Settings:
    """Return the settings of a command, of what was typed and of what a file says.

    Raises: ArgumentError for a value that cannot be meant; DataError for a file that is no TOML;
    OSError where there is no such file.
    """
    told = from_toml(command, Path(config)) if config else {}
    values = {option.name: option.default for option in command.all} | told
    for option in command.all:
        if option.name in typed:
            values[option.name] = read(option, typed[option.name])
    return Settings(values, {*told, *typed} & {*values})


def read(option: Option, raw: Any, place: str = "") -> Any:
    """Return an option's value. Raises: ArgumentError with what was given, and what is expected."""
    given = ",".join(raw) if option.many and isinstance(raw, list) and not place else raw
    try:
        return option.read(given)
    except ValueError as error:
        name = f"{option.name} of {place}" if place else option.dashed
        raise ArgumentError(f"{name} is {given!r}", str(error)) from None


def from_toml(command: Command, path: Path) -> dict[str, Any]:
    """Return the values that a file gives for a command: at its top, and in the command's table.

    Raises: ArgumentError for a key that is no option, and for a value that cannot be meant;
    DataError for what is no TOML.
    """
    from pellucid.commands.catalog import COMMANDS

    try:
        told = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{path} is not TOML: {error}", "such as layers = [64, 64]") from None
    tables = {key: value for key, value in told.items() if isinstance(value, dict)}
    for key in tables:
        if key not in COMMANDS:
            raise one_of(f"table of {path}", key, COMMANDS)
    values = {key: value for key, value in told.items() if key not in tables}
    return _known(command, values | tables.get(command.name, {}), str(path))


def _known(command: Command, values: Mapping[str, Any], place: str) -> dict[str, Any]:
    found = {}
    for key, raw in values.items():
        name = key.replace("-", "_")
        if name not in command.keys:
            raise one_of(f"key of {place}", key, command.keys)
        found[name] = read(command.keys[name], raw, place)
    return found


# -- what values are made of -----------------------------------------------------------------------


def whole(least: int = 0) -> Read:
    """Return what reads a whole number."""
    expected = f"a whole number of at least {least}"

    def read(raw: Any) -> int:
        number = _number(raw, int, expected)
        if number < least:
            raise ValueError(expected)
        return int(number)

    return read


def real(least: float, most: float = float("inf"), above: bool = False) -> Read:
    """Return what reads a number from `least` (or above it) up to, but not, `most`."""
    start = f"above {least:g}" if above else f"of at least {least:g}"
    expected = f"a number {start}" + (f" and below {most:g}" if most < float("inf") else "")

    def read(raw: Any) -> float:
        number = float(_number(raw, float, expected))
        if not least <= number < most or (above and number == least):
            raise ValueError(expected)
        return number

    return read


def _number(raw: Any, kind: type, expected: str) -> Any:
    fits = isinstance(raw, (str, int, kind)) and not isinstance(raw, bool)
    try:
        if fits and not (isinstance(raw, str) and "_" in raw):
            return kind(raw)
    except ValueError:
        pass
    raise ValueError(expected)


def choice(*names: str) -> Read:
    """Return what reads one of these words."""

    def read(raw: Any) -> str:
        if raw not in names:
            hint = one_of("word", raw, names).hint if isinstance(raw, str) else ", ".join(names)
            raise ValueError(hint)
        return str(raw)

    return read


def text(raw: Any) -> str:
    """Read a text that is not empty."""
    if not isinstance(raw, str) or not raw:
        raise ValueError("a text")
    return raw


def flag(raw: Any) -> bool:
    """Read true or false."""
    if not isinstance(raw, bool):
        raise ValueError("true or false")
    return raw


def words(raw: Any) -> tuple[str, ...]:
    """Read a list of words: a,b on the line, ["a", "b"] in TOML; quotes keep a comma in a word.

    >>> words("a, b"), words('"a,b",c'), words([])
    (('a', 'b'), ('a,b', 'c'), ())
    """
    parts = (
        next(csv.reader([raw], skipinitialspace=True), []) if isinstance(raw, str) else _parts(raw)
    )
    if not all(isinstance(part, str) and part for part in parts):
        raise ValueError('words with commas between; in TOML ["a", "b"]')
    return tuple(parts)


def sizes(raw: Any) -> tuple[int, ...]:
    """Read sizes: 64,32 on the line, [64, 32] in TOML; none for no hidden layer.

    >>> sizes("64,32"), sizes("none")
    ((64, 32), ())
    """
    expected = "units of each hidden layer, such as 64,64; none for no hidden layer"
    parts = [] if raw == "none" else [raw] if isinstance(raw, int) else _parts(raw)
    try:
        return tuple(whole(1)(part) for part in parts)
    except ValueError:
        raise ValueError(expected) from None


def _parts(raw: Any) -> list[Any]:
    if isinstance(raw, str):
        return [part.strip() for part in raw.split(",")] if raw.strip() else []
    return list(raw) if isinstance(raw, Iterable) else [None]


# -- written as TOML -------------------------------------------------------------------------------


def to_toml(command: Command, values: Settings, leave: Sequence[str] = ()) -> str:
    """Return settings as TOML that gives the same ones again."""
    lines = []
    for option in command.all:
        value = values[option.name]
        if option.name in leave:
            continue
        if value is None:
            lines.append(f"# {option.name} is not set")
        else:
            lines.append(f"{option.name} = {written(value)}")
    return "\n".join(lines) + "\n"


def written(value: Any) -> str:
    """Return a value as TOML has it.

    >>> written(("a", 1, 0.5, True))
    '["a", 1, 0.5, true]'
    """
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(written, value))}]"
    if isinstance(value, str):  # JSON's escapes are TOML's, but for these
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return json.dumps(value)
