"""A walkthrough as plain text, never wider than the terminal.

text(walkthrough, width)  every step with its numbers; `brief` takes a screen
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pellucid.errors import ArgumentError
from pellucid.explaining.parts import by_phase, said_already, shaped, sides, told_once

if TYPE_CHECKING:
    from pellucid.explaining.walkthrough import Step, Term, Walkthrough

TIGHT = "*/@·"  # operators that bind tightly
NARROWEST = 40  # columns
NAMES = 12  # columns for names; a longer one has a line of its own
LEAST = 5  # lines of a phase that is shortened
SCREEN = 45  # lines of a brief text
BREAKS = re.compile(r"(?<=,) | (?=[-+*/@·=<>] )")  # the blank is left out


def text(walkthrough: Walkthrough, width: int = 80, brief: bool = False) -> str:
    """Return a walkthrough as text of at most `width` columns; brief: of 45 lines at most."""
    if isinstance(width, bool) or not isinstance(width, int):
        raise ArgumentError(f"width is {width!r}", "a whole number of columns, such as 80")
    if width < NARROWEST:
        raise ArgumentError(
            f"a width of {width} columns is too narrow for numbers",
            f"width={NARROWEST} or more",
        )
    if brief:
        return "\n".join(_brief(walkthrough, width))
    lines = fold(walkthrough.title, width)
    for note in walkthrough.notes:
        lines += fold(note, width, "  ")
    for phase, steps in by_phase(walkthrough.steps):
        lines += ["", *fold(phase, width)]
        column = _column(steps)
        for step in steps:
            lines += _told(step, width, column)
    return "\n".join(lines).strip("\n")


def _column(steps: Sequence[Step]) -> int:
    """Return where what is said about the steps starts."""
    fitting = [w for step in steps if (w := columns(clean(step.name))) <= NAMES]
    return 4 + max(fitting, default=2)


def _told(step: Step, width: int, column: int) -> list[str]:
    indent = " " * column
    lines = _heading(step, width, column)
    for k, side in enumerate(sides(step)):
        sign = "" if step.phase == "rewrite" and k == 0 else "= "
        lines += fold(side, width, indent + sign, indent + " " * len(sign), formula=True)
    lines += _paths(step, width, indent)
    return lines + (fold(f"note: {step.note}", width, indent) if step.note else [])


def _heading(step: Step, width: int, column: int) -> list[str]:
    """Return the name, what it is, and at the right end its shape."""
    name, indent = clean(step.name), " " * column
    shape = clean(shaped(step)) if step.phase != "rewrite" else ""
    start = f"  {name}".ljust(column + len(name) - columns(name))
    lines = fold(name, width, "  ") if columns(start) > column else []
    beside = columns(shape) <= (width - column) // 2
    says = fold(
        step.says, width - (columns(shape) + 2) * beside, indent if lines else start, indent
    )
    if beside:
        gap = width - columns(says[0]) - columns(shape)
        return [*lines, f"{says[0]}{' ' * gap}{shape}".rstrip(), *says[1:]]
    return [*lines, *says, *fold(f"shape: {shape}", width, indent)]


def _paths(step: Step, width: int, indent: str) -> list[str]:
    """Return the paths by which a gradient arrives; the only one may have been told already."""
    if said_already(step):
        last = step.terms[0].path.split("→")[-1].strip()
        known = last in re.findall(r"\w+", step.says)
        return [] if known else fold(f"by {step.terms[0].path}", width, indent)
    wide = max((columns(clean(term.path)) for term in step.terms), default=0)
    lines: list[str] = []
    for term in step.terms:
        lines += _path(term, width, indent, min(wide, 24))
    total = fold(step.result, width, f"{indent}sum  = ", f"{indent}       ", formula=True)
    return lines + (total if len(step.terms) > 1 else [])


def _path(term: Term, width: int, indent: str, wide: int) -> list[str]:
    path = clean(term.path)
    parts = [clean(part) for part in told_once("", (term.formula, term.numbers, term.result))]
    line = f"{indent}{path}{' ' * (wide - columns(path))}  {' = '.join(parts)}"
    if columns(line) <= width:
        return [line.rstrip()]
    lines = fold(path, width, indent)
    for k, part in enumerate(parts):
        lines += fold(part, width, f"{indent}  {'= ' * (k > 0)}", f"{indent}    ", formula=True)
    return lines


# -- brief ---------------------------------------------------------------------------------------


def _brief(walkthrough: Walkthrough, width: int) -> list[str]:
    phases = by_phase(walkthrough.steps)
    lines = [cut(clean(walkthrough.title), width)] if walkthrough.title else []
    room = SCREEN - len(lines) - 2 * len(phases)
    count = sum(len(steps) for _, steps in phases)
    most = 2 if sum(len(_all(steps, width, 2)) for _, steps in phases) <= room else 1
    shares = _shares({phase: len(steps) for phase, steps in phases}, count - room)
    for phase, steps in phases:
        share = shares[phase]
        lines += ["", cut(clean(phase), width)]
        lines += _all(steps, width, most) if len(steps) <= share else _some(steps, width, share)
    return lines[lines[:1] == [""] :][:SCREEN]


def _shares(sizes: dict[str, int], excess: int) -> dict[str, int]:
    """Return how many lines each phase may have: what repeats itself is shortened first."""
    shares = dict(sizes)
    order = [x for x in ("update", "rewrite", "backward", "forward") if x in sizes]
    for least in (LEAST, 1):
        for phase in [*order, *(x for x in sizes if x not in order)]:
            fewer = min(max(excess, 0), max(shares[phase] - least, 0))
            shares[phase] -= fewer
            excess -= fewer
    return shares


def _all(steps: Sequence[Step], width: int, most: int) -> list[str]:
    column = _column(steps)
    return [line for step in steps for line in _short(step, width, most, column)]


def _some(steps: Sequence[Step], width: int, room: int) -> list[str]:
    """Return a line a step, the middle ones left out."""
    last = (room - 1) // 2
    first = room - 1 - last
    shown = [*steps[:first], *steps[len(steps) - last :]]
    lines = _all(shown, width, 1)
    return [*lines[:first], f"  … {len(steps) - len(shown)} more steps", *lines[first:]]


def _short(step: Step, width: int, most: int, column: int) -> list[str]:
    """Return name, formula, result and shape in one line, or in two where they do not fit."""
    name, shape = clean(step.name), clean(shaped(step)) if step.phase != "rewrite" else ""
    start = f"  {name}{' ' * (column - columns(name) - 2)}"
    start = start if columns(start) == column else f"  {name}  "
    formula, *result = _told_sides(step)
    whole = f"{start}{' = '.join([formula, *result])}"
    if most == 1 or columns(whole) + 2 + columns(shape) <= width:
        return [_ended(whole, shape, width)]
    return [
        cut(f"{start}{formula}", width),
        _ended(f"{' ' * column}= {' '.join(result)}", shape, width),
    ]


def _ended(line: str, shape: str, width: int) -> str:
    """Return a line with the shape at its right end."""
    room = width - columns(shape) - 2
    if room < width // 2:
        return cut(line, width)
    line = cut(line, room)
    return f"{line}{' ' * (width - columns(line) - columns(shape))}{shape}".rstrip()


def _told_sides(step: Step) -> list[str]:
    parts = dict.fromkeys((step.formula, step.result))
    return [clean(part) for part in parts if part and part != step.name] or [""]


# -- columns -------------------------------------------------------------------------------------


def clean(words: str) -> str:
    """Return text on one line, without characters that a terminal would obey."""
    line = re.sub(r"\s+", " ", words).strip()
    return "".join("�" if unicodedata.category(c) in ("Cc", "Cf", "Cs") else c for c in line)


def columns(words: str) -> int:
    """Return how many columns a terminal takes to show this."""
    return sum(_wide(c) for c in words)


def _wide(character: str) -> int:
    if unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def cut(words: str, width: int) -> str:
    """Return one line, ended by … where it is too long."""
    return words if columns(words) <= width else f"{words[: _fitting(words, width - 1)]}…"


def _fitting(words: str, width: int) -> int:
    """Return how many characters fit into so many columns."""
    used = 0
    for k, c in enumerate(words):
        used += _wide(c)
        if used > width:
            return k
    return len(words)


def fold(
    words: str, width: int, first: str = "", later: str | None = None, formula: bool = False
) -> list[str]:
    """Return text in lines of at most `width` columns, which start with `first` and `later`."""
    later = first if later is None else later
    rest, depth = clean(words), 0
    lines: list[str] = []
    while rest or not lines:
        start = f"{later}{' ' * min(depth, 4)}" if lines else first
        room = width - columns(start)
        if columns(rest) <= room:
            end, skip = len(rest), 0
        else:
            end, skip = _break(rest, room, formula)
        lines.append(f"{start}{rest[:end]}".rstrip())
        depth += _depth(rest[:end]) * formula  # what stands in brackets is indented by them
        rest = rest[end + skip :]
    return lines


def _break(words: str, room: int, formula: bool) -> tuple[int, int]:
    """Return where a line ends best, and how many blanks are left out there.

    A formula: outside of brackets rather than inside, at a sum rather than at a product.
    """
    most = max(_fitting(words, room), 1)
    marks = [m.start() for m in BREAKS.finditer(words[: most + 4]) if most // 3 < m.start() <= most]
    if formula and marks:
        return -min((_depth(words[:k]), words[k + 1] in TIGHT, -k) for k in marks)[-1], 1
    blank = words.rfind(" ", 1, most + 1)
    return (blank, 1) if blank > 0 else (most, 0)


def _depth(words: str) -> int:
    """Return how many brackets are open at the end."""
    return sum(words.count(c) for c in "([{") - sum(words.count(c) for c in ")]}")
