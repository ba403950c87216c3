"""A file of separated values as text: names, columns, and the line on which each row begins."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pellucid.errors import ArgumentError, DataError, one_of
from pellucid.tables.numbers import decimal_of, plain

SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
SAMPLE = 50  # rows from which the separator is told
BOMS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
OTHERS = {
    b"PK": "a zip archive, as Excel's workbooks are: save the sheet as CSV",
    b"\x1f\x8b": "compressed with gzip: unpack it first",
    b"\x89HDF": "an HDF5 file: export it as CSV",
    b"PAR1": "a Parquet file: export it as CSV",
}


@dataclass(frozen=True, eq=False)
class Table:
    """Columns of text: `names`, `cells` by column, `lines` on which the rows begin.

    `separator` and `decimal` are what was found between values and in numbers; `notes`, what a
    reader of the file should know.
    """

    path: str
    names: list[str]
    cells: list[tuple[str, ...]]
    lines: list[int]
    separator: str = ","
    decimal: str = "."
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.lines)

    def column(self, name: str) -> tuple[str, ...]:
        """Return a column's cells. Raises: ArgumentError where there is none of that name."""
        if name not in self.names:
            raise one_of("column", name, self.names)
        return self.cells[self.names.index(name)]

    def rows(self, chosen: Sequence[int]) -> Table:
        """Return the table of these rows alone."""
        cells = [tuple(column[k] for k in chosen) for column in self.cells]
        lines = [self.lines[k] for k in chosen]
        return Table(self.path, self.names, cells, lines, self.separator, self.decimal, self.notes)


def read(path: str | Path, separator: str = "auto", decimal: str = "auto") -> Table:
    """Read a file whose first line names its columns.

    Commas, semicolons, tabs or bars stand between the values, and a point or a comma in numbers:
    both are found out where they are "auto". Text is UTF-8, with or without a mark; UTF-16 with
    one; else Windows-1252, which is then noted. Raises: DataError for an empty file, rows of odd
    length, names that are there twice, quotes that are not closed, with the line; ArgumentError
    for settings that cannot be meant; OSError where there is no such file.
    """
    name = Path(path).name
    text, notes = _decoded(Path(path).read_bytes(), name)
    between = _separator(text, separator)
    rows = list(_rows(text, between, name))
    if not rows:
        raise DataError(f"{name} is empty", "a line of names, then a line for each row")
    names = _names([" ".join(cell.split()) for cell in rows[0][1]], name, notes)
    _check_lengths(rows, names, name)
    if len(rows) == 1:
        raise DataError(f"{name} has names, but no rows", "a line of values for each row")
    cells = list(zip(*(row for _, row in rows[1:]), strict=True))
    if between != "," and separator == "auto":
        notes.append(f"{SEPARATORS[between]} stand between the values")
    point = decimal_of(cells, between, notes) if decimal == "auto" else _decimal(decimal)
    return Table(str(path), names, cells, [line for line, _ in rows[1:]], between, point, notes)


def counted(count: int, word: str) -> str:
    """Return a number of things: "1 row", "1,200 rows".

    >>> counted(1, "row"), counted(1200, "row")
    ('1 row', '1,200 rows')
    """
    return f"{count:,} {word}{'s' * (count != 1)}"


def listed(lines: Sequence[int], most: int = 4) -> str:
    """Return lines as one reads them: "line 3", "lines 3, 5 and 9", "lines 1, 2, 3, 4 and 8 more".

    >>> listed([3]), listed([3, 5, 9]), listed(range(1, 13))
    ('line 3', 'lines 3, 5 and 9', 'lines 1, 2, 3, 4 and 8 more')
    """
    shown = [str(line) for line in lines[:most]]
    rest = len(lines) - len(shown)
    if len(lines) == 1:
        return f"line {shown[0]}"
    if rest:
        return f"lines {', '.join(shown)} and {rest:,} more"
    return f"lines {', '.join(shown[:-1])} and {shown[-1]}"


# -- from bytes to rows ----------------------------------------------------------------------------


def _decoded(content: bytes, name: str) -> tuple[str, list[str]]:
    """Return the text, and what is to be said of its encoding."""
    for mark, what in OTHERS.items():
        if content.startswith(mark):
            raise DataError(f"{name} is no text, but {what}")
    encoding = BOMS.get(content[:2], "utf-8-sig")
    try:
        text, notes = content.decode(encoding), list[str]()
    except UnicodeDecodeError as error:
        text, line = content.decode("cp1252", "replace"), content.count(b"\n", 0, error.start) + 1
        notes = [f"line {line} is not UTF-8: the file is read as Windows-1252"]
    if "\0" in text:
        raise DataError(f"{name} is no text: it holds zero bytes", "a file of separated values")
    return text, notes


def _separator(text: str, asked: str) -> str:
    if asked != "auto":
        known = {"tab": "\t", "\\t": "\t", **{s: s for s in SEPARATORS}}
        if asked not in known:
            raise one_of("separator", asked, ["auto", "tab", ",", ";", "|"])
        return known[asked]
    return max(SEPARATORS, key=lambda s: _fits(text, s))


def _fits(text: str, separator: str) -> tuple[float, int]:
    """Return how well a separator cuts the first rows: how many are alike, into how many parts."""
    reader = csv.reader(io.StringIO(text), delimiter=separator)
    counts: list[int] = []
    try:
        for row in reader:
            counts += [len(row)] if row else []
            if len(counts) == SAMPLE:
                break
    except csv.Error:
        return 0.0, 0
    if not counts or counts[0] == 1:
        return 0.0, 0
    return counts.count(counts[0]) / len(counts), counts[0]


def _rows(text: str, separator: str, name: str) -> Iterator[tuple[int, list[str]]]:
    """Yield each row and the line on which it begins; lines that are empty are passed over."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    line = 1
    try:
        for row in reader:
            if row:
                yield line, row
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(
            f"the quotes of line {line} of {name} do not close as they should, or a value is huge: "
            f"{error}",
            'a value in quotes ends with them, and "" stands for one within',
        ) from None


def _names(names: list[str], file: str, notes: list[str]) -> list[str]:
    if all(plain(name) for name in names):
        raise DataError(
            f"line 1 of {file} holds numbers, where names of columns are expected",
            "put a line of names on top",
        )
    for k, name in enumerate(names):
        if not name:
            names[k] = f"column {k + 1}"
            notes.append(f"column {k + 1} has no name: it is called {names[k]!r}")
    for k, name in enumerate(names):
        if name in names[:k]:
            raise DataError(
                f"line 1 of {file} names two columns {name!r}: {names.index(name) + 1} and {k + 1}",
                "give each a name of its own",
            )
    return names


def _check_lengths(rows: list[tuple[int, list[str]]], names: list[str], file: str) -> None:
    odd = [(line, len(row)) for line, row in rows if len(row) != len(names)]
    if not odd:
        return
    line, count = odd[0]
    more = f", the first of {len(odd):,} such lines" if len(odd) > 1 else ""
    raise DataError(
        f"line {line} of {file} has {counted(count, 'value')} for "
        f"{counted(len(names), 'column')}{more}",
        "quote values that hold the separator; or say which it is, as with --separator ';'",
    )


def _decimal(asked: str) -> str:
    if asked not in (".", ","):
        raise ArgumentError(f"decimal is {asked!r}", 'auto, "." or ","')
    return asked
