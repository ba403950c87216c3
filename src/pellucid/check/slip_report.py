"""What is said about a learner's backward pass: verdict, slip with its numbers, remedy."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

WIDTH = 80


@dataclass(frozen=True)
class Compared:
    """One parameter's gradient against the right one."""

    name: str
    shape: tuple[int, ...]
    max_absolute_error: float
    max_relative_error: float  # against the largest entry of the right gradient
    ok: bool


@dataclass(frozen=True)
class Proof:
    """One number in three versions: the student's, the right one, and what the slip makes of it."""

    parameter: str
    index: tuple[int, ...]
    yours: float
    right: float
    slipped: float | None = None

    @property
    def place(self) -> str:
        """Its name in code, such as d_W1[0, 1]."""
        return f"d_{self.parameter}[{', '.join(map(str, self.index))}]"

    def __str__(self) -> str:
        last = "" if self.slipped is None else f", with the slip {self.slipped:.6g}"
        return f"{self.place}: yours {self.yours:.6g}, right {self.right:.6g}{last}"


@dataclass(frozen=True)
class Candidate:
    """One explanation among several: its slips, where they are, and how to tell it from others."""

    slips: tuple[str, ...]
    where: tuple[str, ...]
    sentence: str
    tells_apart: str = ""


@dataclass(frozen=True)
class SlipReport:
    """What was found in a learner's backward pass; true where it is right.

    `ok`; `where`, the first parameter from the output backwards that is off; `slips`, codes,
    likeliest first; `candidates`, where several explain the same numbers; `unexplained`, whether
    nothing known does; `parameters`, each one's errors; `conventions`, what was recognized and is
    no slip; `notes`; `sentence` and `fix`, what went wrong and what to do; `proof`, the numbers.

    >>> SlipReport(ok=True, name="backward").slips
    ()
    """

    ok: bool
    name: str = ""
    where: str = ""
    slips: tuple[str, ...] = ()
    candidates: tuple[Candidate, ...] = ()
    unexplained: bool = False
    parameters: dict[str, Compared] = field(default_factory=dict)
    conventions: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    sentence: str = ""
    fix: str = ""
    proof: Proof | None = None
    layout: str = ""
    error: str = ""

    def __bool__(self) -> bool:
        return self.ok

    @property
    def max_relative_error(self) -> float:
        """The largest of all parameters."""
        return max((p.max_relative_error for p in self.parameters.values()), default=0.0)

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON takes it; what is not finite as text."""
        told: dict[str, Any] = _plain(self)
        return told

    def __str__(self) -> str:
        return "\n".join(_lines(self))

    def __repr__(self) -> str:
        return str(self)


BackpropReport = SlipReport


def _plain(thing: Any) -> Any:
    if isinstance(thing, (SlipReport, Compared, Proof, Candidate)):
        return {k: _plain(v) for k, v in vars(thing).items()}
    if isinstance(thing, dict):
        return {k: _plain(v) for k, v in thing.items()}
    if isinstance(thing, tuple):
        return [_plain(v) for v in thing]
    bad = isinstance(thing, float) and (thing != thing or abs(thing) == float("inf"))
    return str(thing) if bad else thing


def _lines(report: SlipReport) -> Iterable[str]:
    yield from _fold(f"{report.name or 'the backward pass'}: {_verdict(report)}", "")
    if report.error:
        for line in report.error.splitlines():
            yield from _fold(line, "  ")
    if report.sentence:
        yield from _fold(report.sentence, "  ")
    if report.proof:
        yield from _fold(str(report.proof), "  ")
    if report.fix:
        yield from _fold(f"fix: {report.fix}", "  ")
    yield from _candidates(report)
    yield from _table(report)
    for line in (*report.conventions, *report.notes):
        yield from _fold(f"note: {line}", "  ")


def _candidates(report: SlipReport) -> Iterable[str]:
    for candidate in report.candidates:
        yield from _fold(f"or: {candidate.sentence}", "  ")
        if candidate.tells_apart:
            yield from _fold(candidate.tells_apart, "      ")


def _verdict(report: SlipReport) -> str:
    if report.ok:
        return "right"
    if report.error:
        return "it stops before it has gradients"
    named = ", ".join(dict.fromkeys(report.slips)) or "no known slip explains it"
    return f"wrong from {report.where} on: {named}" if report.where else f"wrong: {named}"


def _table(report: SlipReport) -> Iterable[str]:
    if report.parameters:
        yield f"  {'gradient':<10} {'shape':<12} {'max abs error':>14} {'relative':>10}"
    for p in report.parameters.values():
        mark = "" if p.ok else "  off"
        shape = "(" + ", ".join(map(str, p.shape)) + ")"
        errors = f"{p.max_absolute_error:14.3g} {p.max_relative_error:10.2g}"
        yield f"  {'d_' + p.name:<10} {shape:<12} {errors}{mark}"


def _fold(text: str, indent: str) -> list[str]:
    return textwrap.wrap(
        text, WIDTH, initial_indent=indent, subsequent_indent=indent + "  ",
        break_long_words=True, break_on_hyphens=False,
    )  # fmt: skip
