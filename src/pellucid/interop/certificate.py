"""What a comparison with PyTorch found: row by row, as a table, as JSON."""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pellucid.graph import Array

WIDTH = 80


@dataclass(frozen=True)
class Row:
    """One array on both sides: the largest difference, as it is and relative to the largest value.

    `ok` where |ours - theirs| ≤ tolerance · max(1, largest |theirs|).
    """

    part: str  # "values", "gradients", "after 10 steps"
    name: str
    shape: tuple[int, ...]
    largest: float  # of |theirs|
    absolute: float
    relative: float
    tolerance: float
    ok: bool


def row(part: str, name: str, ours: Array, theirs: Array, tolerance: float) -> Row:
    """Compare an array with PyTorch's. What is not finite on one side is a difference of inf."""
    ours, theirs = np.asarray(ours, np.float64), np.asarray(theirs, np.float64)
    finite = ours.shape == theirs.shape and bool(
        np.isfinite(ours).all() & np.isfinite(theirs).all()
    )
    absolute = float(np.abs(ours - theirs).max(initial=0.0)) if finite else math.inf
    largest = float(np.abs(theirs).max(initial=0.0)) if finite else math.inf
    relative = absolute / largest if finite and largest else 0.0 if finite else math.inf
    ok = finite and absolute <= tolerance * max(1.0, largest)
    return Row(part, name, tuple(theirs.shape), largest, absolute, relative, tolerance, ok)


@dataclass(frozen=True, eq=False)
class Certificate:
    """A comparison with PyTorch, as a table; true where every row of it is within its tolerance.

    `rows` hold the differences, `facts` what was compared: samples, precision, seed, the hash of
    the weights, loss, optimizer, versions; `notes` what was not, and why.
    """

    rows: tuple[Row, ...]
    facts: Mapping[str, Any]
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether every row is within its tolerance."""
        return all(r.ok for r in self.rows)

    def __bool__(self) -> bool:
        return self.ok

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON takes it; what is not finite as text."""
        rows = [{k: _plain(v) for k, v in vars(r).items()} for r in self.rows]
        return {"ok": self.ok, **self.facts, "rows": rows, "notes": list(self.notes)}

    def __str__(self) -> str:
        return "\n".join([*self._head(), "", *self._table(), *self._said()])

    __repr__ = __str__

    def _head(self) -> Iterator[str]:
        wrong = sum(not r.ok for r in self.rows)
        told = "equal" if self.ok else f"different in {wrong} of {len(self.rows)} rows"
        yield f"pellucid and PyTorch: {told}"
        width = max(map(len, self.facts))
        for name, fact in self.facts.items():
            text = f"{name.ljust(width)}  {_text(fact)}"
            yield textwrap.fill(text, WIDTH, subsequent_indent=" " * (width + 2))
        yield "equal: |ours - PyTorch's| ≤ tolerance · max(1, largest |PyTorch's|)"

    def _table(self) -> Iterator[str]:
        head = ("", "shape", "largest", "absolute", "relative", "tolerance", "")
        cells = [head, *(_cells(r) for r in self.rows)]
        widths = [max(len(c[k]) for c in cells) for k in range(len(head))]
        lines = ["  ".join(c.ljust(w) for c, w in zip(r, widths, strict=True)).rstrip()
                 for r in cells]  # fmt: skip
        yield lines[0]
        part = ""
        for line, r in zip(lines[1:], self.rows, strict=True):
            if r.part != part:
                yield f"{r.part} ".ljust(min(WIDTH, sum(widths) + 2 * len(widths) - 2), "─")
            part = r.part
            yield line

    def _said(self) -> list[str]:
        notes = [textwrap.fill(note, WIDTH, subsequent_indent="  ") for note in self.notes]
        return ["", *notes] if notes else []


def _cells(r: Row) -> tuple[str, ...]:
    numbers = [f"{x:.1e}" for x in (r.largest, r.absolute, r.relative)]
    return (r.name, _shape(r.shape), *numbers, f"{r.tolerance:.0e}", "ok" if r.ok else "DIFFERS")


def _shape(shape: Sequence[int]) -> str:
    return f"({', '.join(map(str, shape))})" if shape else ""


def _text(fact: Any) -> str:
    """Write a fact; of a hash its beginning, for `to_json` has it whole."""
    if isinstance(fact, Mapping):
        return ", ".join(f"{k} {_text(v)}" for k, v in fact.items())
    text = str(fact)
    return f"{text[:16]}…" if re.fullmatch("[0-9a-f]{64}", text) else text


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
