"""A walkthrough: the ordered steps of a calculation, each with its symbols, numbers and result.

Step         one value: what it is, its formula, that formula with numbers in place, the result
Term         one path by which a gradient arrives: local gradient times upstream gradient
Walkthrough  all of them, to be read as text, Markdown, HTML or JSON
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pellucid.errors import DataError, one_of
from pellucid.graph import Array

FORMAT = "pellucid walkthrough"
VERSION = 1  # of the JSON: raised when a field changes its meaning
STEP = (
    *("name", "phase", "says", "formula", "latex", "numbers", "result", "value", "shape", "op"),
    *("inputs", "terms", "shown", "note", "latex_name", "latex_numbers", "latex_result"),
)
TERM = ("path", "local", "upstream", "product", "formula", "latex", "numbers", "result")
PHASES = ("forward", "loss", "rewrite", "backward", "update")


def nested(array: Any) -> Any:
    """Return an array as Python's own numbers in lists, unrounded."""
    found = np.asarray(array)
    wide = found.dtype.kind == "f" and found.dtype.itemsize > 8  # beyond Python's floats
    return found.astype(float).tolist() if wide else found.tolist()


def _field(record: Any, field: str, fields: tuple[str, ...]) -> Any:
    """Return one field as JSON takes it: arrays as lists, unrounded."""
    if field not in fields:
        raise one_of("field", field, fields)
    found = getattr(record, field)
    if isinstance(found, tuple):
        return [part.to_json() if isinstance(part, Term) else part for part in found]
    return nested(found) if isinstance(found, np.ndarray) else found


@dataclass(frozen=True, eq=False)
class Term:
    """One path by which a gradient arrives: product = local gradient · upstream gradient.

    `path` reads "a1 → z2"; `formula` and `numbers` are the product in symbols and in numbers.
    A field is read as an attribute (an array) or as an item (lists of numbers).
    """

    path: str
    local: Array
    upstream: Array
    product: Array
    formula: str = ""
    latex: str = ""
    numbers: str = ""
    result: str = ""

    def __getitem__(self, field: str) -> Any:
        return _field(self, field, TERM)

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON takes them."""
        return {field: self[field] for field in TERM}


@dataclass(frozen=True, eq=False)
class Step:
    """One value of a calculation, with all that is to be said about it.

    `formula` is Python in the names of `inputs`; `numbers` is the same with rounded numbers in
    place; `result` is the rounded value. Where an array is large, numbers and result show the
    part `shown`, such as "[0:2, 0:3]". `note` says where shown numbers give another last digit.
    """

    name: str
    phase: str
    says: str
    formula: str
    latex: str
    numbers: str
    result: str
    array: Array
    shape: tuple[int, ...]
    op: str
    inputs: tuple[str, ...] = ()
    terms: tuple[Term, ...] = ()
    shown: str = ""
    note: str = ""
    latex_name: str = ""
    latex_numbers: str = ""
    latex_result: str = ""

    @property
    def value(self) -> Any:
        """The result, unrounded, as a number or as lists of numbers."""
        return nested(self.array)

    def __getitem__(self, field: str) -> Any:
        return _field(self, field, STEP)

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON takes them."""
        return {field: self[field] for field in STEP}


@dataclass(frozen=True, eq=False)
class Walkthrough:
    """The steps of a calculation in order, to be read as text, Markdown, HTML or JSON.

    `steps` holds them; `walkthrough["d_W1"]` finds one by name; `given` holds what it starts from
    by name; `notes` say what holds for all steps. Printed, it is text of 80 columns; in a notebook
    it shows as a page. Raises: ArgumentError for a name that is no step.

    >>> from pellucid import explain
    >>> w = explain(lambda x: (3 * x + 1) ** 2, 1.0)
    >>> [step.name for step in w.steps], w["d_x"].value
    (['v1', 'v2', 'f', 'd_f', 'd_v2', 'd_v1', 'd_x'], 24.0)
    """

    title: str
    steps: tuple[Step, ...]
    given: dict[str, Array]
    notes: tuple[str, ...] = ()
    brief: bool = False  # whether the arrays are so large that a line or two a step must do

    def __getitem__(self, name: str) -> Step:
        for step in self.steps:
            if step.name == name:
                return step
        raise one_of("step", name, [step.name for step in self.steps])

    def __contains__(self, name: object) -> bool:
        return any(step.name == name for step in self.steps)

    def __iter__(self) -> Iterator[Step]:
        return iter(self.steps)

    def __len__(self) -> int:
        return len(self.steps)

    def to_text(self, width: int = 80, brief: bool | None = None) -> str:
        """Return plain text, no line longer than `width`; `brief`: a line or two a step."""
        from pellucid.explaining.terminal import text

        return text(self, width, brief=self.brief if brief is None else brief)

    def to_markdown(self) -> str:
        """Return Markdown with LaTeX formulas."""
        from pellucid.explaining.markdown import markdown

        return markdown(self)

    def to_html(self) -> str:
        """Return a whole HTML page, which needs no network."""
        from pellucid.explaining.html import page

        return page(self, self.title)

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON takes it; `from_json` reads it back.

        {"format": "pellucid walkthrough", "version": 1, "title": …, "given": {name: value},
        "notes": […], "steps": [{"name", "phase", "says", "formula", "latex", "numbers", …}]}
        """
        return {
            "format": FORMAT,
            "version": VERSION,
            "title": self.title,
            "given": {name: nested(array) for name, array in self.given.items()},
            "notes": list(self.notes),
            "brief": self.brief,
            "steps": [step.to_json() for step in self.steps],
        }

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Walkthrough:
        """Return the walkthrough that `to_json` wrote.

        Raises: DataError for something else, or a later version.
        """
        if not isinstance(data, Mapping) or data.get("format") != FORMAT:
            raise DataError("this is not the JSON of a walkthrough", "write one with to_json()")
        if data.get("version") != VERSION:
            raise DataError(
                f"the walkthrough is of version {data.get('version')}, this reads {VERSION}",
                "update pellucid",
            )
        try:
            return _walkthrough(data)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DataError(f"the JSON of the walkthrough is damaged: {error!r}") from None

    def __str__(self) -> str:
        return self.to_text()

    __repr__ = __str__

    def _repr_html_(self) -> str:
        from pellucid.explaining.html import fragment

        return fragment(self)

    def _repr_markdown_(self) -> str:
        return self.to_markdown()


def _walkthrough(data: Mapping[str, Any]) -> Walkthrough:
    given = {str(name): np.array(value, float) for name, value in data["given"].items()}
    steps = tuple(_step(step) for step in _listed(data["steps"]))
    notes = tuple(_word(note) for note in _listed(data["notes"]))
    return Walkthrough(_word(data["title"]), steps, given, notes, bool(data["brief"]))


def _listed(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r} is no list")
    return value


def _word(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _step(data: Mapping[str, Any]) -> Step:
    fields = dict(data)
    for key in set(STEP) - {"value", "shape", "inputs", "terms"}:
        _word(fields[key])
    array = np.asarray(fields.pop("value"))
    terms = tuple(_term(term) for term in fields.pop("terms"))
    lists: dict[str, Any] = {key: tuple(fields.pop(key)) for key in ("shape", "inputs")}
    return Step(**fields, **lists, array=array, terms=terms)


def _term(data: Mapping[str, Any]) -> Term:
    arrays = {key: np.asarray(data[key]) for key in ("local", "upstream", "product")}
    return Term(**{**data, **arrays})
