"""What a worked exercise is: a question, parts of entries that lead to values, remarks.

Exercise  a question and the function that solves it     Worked  the solution, or blanks to fill
Part      a heading, a sentence, entries, a conclusion   Entry   symbols, numbers and result of one

Nothing here computes: values come from steps of explanations, from models and from gates.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from pellucid.errors import one_of
from pellucid.explaining.numbers import shown

if TYPE_CHECKING:
    from pellucid.exercises.marking import Marked

FORMAT = "pellucid exercise"
VERSION = 1  # of the JSON: raised when a field changes its meaning
DIGITS = 6  # decimals, as the documents print them

Given = Mapping[str, Any]
Plots = Mapping[str, Callable[[], Any]]


def plain(value: Any) -> Any:
    """Return Python's own numbers, a row or a column as a flat list, one number as itself.

    >>> plain(np.array([[1.0], [2.0]])), plain(np.array([[3.0]]))
    ([1.0, 2.0], 3.0)
    """
    array = np.asarray(value)
    return value if isinstance(value, str) else np.squeeze(array).tolist()


def told(value: Any, digits: int = DIGITS) -> str:
    """Return a value as a reader sees it."""
    if isinstance(value, str):
        return value
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    return shown(np.asarray(value), digits).text


@dataclass(frozen=True, eq=False)
class Entry:
    """One result on the way: its formula in symbols, that with numbers in place, the result.

    `key` names it among the values; without one it is shown, but not asked for. `latex` has the
    name, the formula, the numbers and the result, where they are known as LaTeX.
    """

    key: str
    symbol: str
    formula: str = ""
    numbers: str = ""
    result: str = ""
    value: Any = None
    says: str = ""
    latex: tuple[str, ...] = ()

    @property
    def sides(self) -> list[str]:
        """What equals what, said once."""
        parts = dict.fromkeys((*self.formula.split(" = "), self.numbers, self.result))
        return [part for part in parts if part and part != self.symbol]

    def blank(self) -> Entry:
        """Return it with a gap in place of its result, and nothing that tells it."""
        gap = f"____ ({self.key})" if self.key else ""
        latex = self.latex[:2] if self.formula else ()
        return replace(self, numbers="", result=gap, value=None, latex=latex)

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON takes them."""
        names = ("key", "symbol", "says", "formula", "numbers", "result")
        fields = {name: getattr(self, name) for name in names}
        return {**fields, "latex": list(self.latex), "value": finite(self.value)}


def finite(value: Any) -> Any:
    """Return a value for JSON, which has no word for an infinite number."""
    if isinstance(value, list):
        return [finite(each) for each in value]
    return str(value) if isinstance(value, float) and not np.isfinite(value) else value


@dataclass(frozen=True, eq=False)
class Part:
    """One stage of a solution: a heading, what is done, the entries, and what follows from them."""

    heading: str
    says: str
    entries: tuple[Entry, ...] = ()
    so: str = ""

    def blank(self) -> Part:
        """Return it with gaps, and without its conclusion."""
        return replace(self, entries=tuple(e.blank() for e in self.entries), so="")

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON takes them."""
        entries = [entry.to_json() for entry in self.entries]
        return {"heading": self.heading, "says": self.says, "entries": entries, "so": self.so}


def part(heading: str, says: str, *entries: Entry | list[Entry], so: str = "") -> Part:
    """Return a part of these entries; a list of entries counts as its entries."""
    flat = [e for each in entries for e in (each if isinstance(each, list) else [each])]
    return Part(heading, says, tuple(flat), so)


@dataclass(frozen=True, eq=False)
class Solution:
    """What an exercise's function returns."""

    parts: tuple[Part, ...]
    remarks: tuple[str, ...] = ()
    plots: Plots = field(default_factory=dict)


def solution(*parts: Part, remarks: tuple[str, ...] = (), plots: Plots | None = None) -> Solution:
    """Return a solution of these parts; `remarks` say where the document is wrong, and why."""
    return Solution(parts, remarks, plots or {})


@dataclass(frozen=True, eq=False)
class Exercise:
    """A question of a document, and the function that solves it with the library."""

    name: str
    title: str
    given: Given
    asks: str
    solve: Callable[..., Solution]

    @property
    def question(self) -> str:
        """What is given, in numbers, and what is asked."""
        listed = ", ".join(f"{name} = {_given(value)}" for name, value in self.given.items())
        return f"Given {listed}. {self.asks}" if listed else self.asks

    @property
    def options(self) -> list[str]:
        """Names of what may be set: how many starts, say."""
        return list(inspect.signature(self.solve).parameters)[1:]

    def worked(self, blanks: bool, **options: Any) -> Worked:
        """Return it solved, or with blanks to fill."""
        for name in options:
            if name not in self.options:
                raise one_of(f"option of {self.name!r}", name, self.options)
        found = self.solve(self.given, **options)
        entries = [entry for each in found.parts for entry in each.entries]
        answers = {entry.key: entry.value for entry in entries if entry.key}
        parts = tuple(each.blank() for each in found.parts) if blanks else found.parts
        remarks = () if blanks else found.remarks
        return Worked(
            self.name, self.title, self.question, parts, remarks, found.plots, blanks, answers
        )


def _given(value: Any) -> str:
    return str(value.tolist() if isinstance(value, np.ndarray) else value)


def exercise(
    name: str, title: str, given: Given, asks: str
) -> Callable[[Callable[..., Solution]], Exercise]:
    """Make an exercise of a function that takes the given numbers and returns a solution."""

    def enter(solve: Callable[..., Solution]) -> Exercise:
        return Exercise(name, title, given, asks, solve)

    return enter


@dataclass(frozen=True, eq=False)
class Worked:
    """An exercise with its solution, or, with `blanks`, with gaps to be filled and checked.

    `question` says what is given and asked; `parts` lead to the `values`, unrounded, by the
    document's own names; `remarks` say where the document is wrong; `plots` are functions that
    draw. Printed, it is text of 80 columns; in a notebook it shows as a page.
    """

    name: str
    title: str
    question: str
    parts: tuple[Part, ...]
    remarks: tuple[str, ...]
    plots: Plots
    blanks: bool
    answers: dict[str, Any] = field(repr=False)

    @property
    def row(self) -> str:
        """The document: "A", "A2", "B", "C", "D" or "E"."""
        return self.name.partition("/")[0]

    @property
    def values(self) -> dict[str, Any]:
        """The results by name, as numbers or lists of them; with blanks, the names with None."""
        return dict.fromkeys(self.answers) if self.blanks else dict(self.answers)

    def check(self, answers: Mapping[str, Any], tolerance: float | None = None) -> Marked:
        """Mark answers by name: numbers, lists of them, or text such as "0.66" or "[1, 1.4]".

        A number is right within a relative error of `tolerance` (0.001 by default); a text within
        half a unit of the last digit written, unless a tolerance is given.
        Raises: ArgumentError for a name that is not asked for.
        """
        from pellucid.exercises.marking import marked

        return marked(self.answers, answers, tolerance)

    def to_text(self, width: int = 80) -> str:
        """Return plain text, no line longer than `width`."""
        from pellucid.exercises.pages import text

        return text(self, width)

    def to_markdown(self) -> str:
        """Return Markdown with LaTeX formulas."""
        from pellucid.exercises.pages import markdown

        return markdown(self)

    def to_html(self) -> str:
        """Return a fragment of HTML, which brings its style along."""
        from pellucid.exercises.pages import html

        return html(self)

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON takes it.

        {"format": "pellucid exercise", "version": 1, "name", "row", "title", "question",
        "blanks", "parts": […], "values": {name: value}, "remarks": […], "plots": [names]}
        """
        told = {"format": FORMAT, "version": VERSION, "name": self.name, "row": self.row}
        told |= {"title": self.title, "question": self.question}
        return {
            **told,
            "blanks": self.blanks,
            "parts": [each.to_json() for each in self.parts],
            "values": {name: finite(value) for name, value in self.values.items()},
            "remarks": list(self.remarks),
            "plots": list(self.plots),
        }

    def __str__(self) -> str:
        return self.to_text()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.to_html()
