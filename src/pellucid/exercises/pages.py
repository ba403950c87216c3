"""A worked exercise as text, Markdown and HTML."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from pellucid.errors import ArgumentError
from pellucid.explaining.markdown import code, escaped, robust
from pellucid.explaining.style import STYLE
from pellucid.explaining.terminal import NARROWEST, columns, fold
from pellucid.show.mathml import mathml, safe

if TYPE_CHECKING:
    from pellucid.exercises.exercise import Entry, Part, Worked

INDENT = "   "


def text(worked: Worked, width: int = 80) -> str:
    """Return a solution as text of at most `width` columns."""
    if width < NARROWEST:
        raise ArgumentError(
            f"a width of {width} columns is too narrow for numbers", f"width={NARROWEST} or more"
        )
    lines = fold(f"{worked.name}: {worked.title}", width)
    lines += ["", *fold(worked.question, width)]
    for number, each in enumerate(worked.parts, start=1):
        lines += ["", *_part(number, each, width)]
    if worked.remarks:
        lines += ["", "Where the document is wrong"]
        for remark in worked.remarks:
            lines += fold(remark, width, "!  ", INDENT)
    if worked.plots:
        told = ", ".join(f'"{name}"' for name in worked.plots)
        lines += ["", *fold(f"Pictures: .plots[name]() draws {told}", width)]
    if worked.blanks:
        told = (
            f'Fill in, and check: worked("{worked.name}").check({{"{next(iter(worked.answers))}": …'
        )
        lines += ["", *fold(f"{told}, …}})", width)]
    return "\n".join(lines)


def _part(number: int, part: Part, width: int) -> Iterator[str]:
    yield from fold(part.heading, width, f"{number}. ", INDENT)
    yield from fold(part.says, width, INDENT) if part.says else []
    column = max((columns(e.symbol) for e in part.entries if columns(e.symbol) <= 12), default=0)
    for entry in part.entries:
        yield from _entry(entry, width, column)
    yield from fold(part.so, width, INDENT) if part.so else []


def _entry(entry: Entry, width: int, column: int) -> list[str]:
    start = f"{INDENT}  {entry.symbol}".ljust(
        column + 5 + len(entry.symbol) - columns(entry.symbol)
    )
    lines = fold(entry.says, width, f"{INDENT}  ") if entry.says else []
    line = f"{start} = {' = '.join(entry.sides)}"
    if columns(line) <= min(width, 64):
        return [*lines, line]
    if columns(start) > width // 2:  # an equation between formulas
        lines, start = [*lines, *fold(entry.symbol, width, f"{INDENT}  ", formula=True)], INDENT * 2
    for k, side in enumerate(entry.sides):
        sign = f"{start if k == 0 else ' ' * columns(start)} = "
        lines += fold(side, width, sign, " " * columns(sign), formula=True)
    return lines


# -- Markdown ------------------------------------------------------------------------------------


def markdown(worked: Worked) -> str:
    """Return a solution as Markdown with LaTeX formulas."""
    blocks = [f"# {escaped(f'{worked.name}: {worked.title}')}", escaped(worked.question)]
    for number, part in enumerate(worked.parts, start=1):
        blocks.append(f"## {number}. {escaped(part.heading)}")
        blocks += [escaped(part.says)] if part.says else []
        blocks += [block for entry in part.entries for block in _equation_md(entry)]
        blocks += [escaped(part.so)] if part.so else []
    if worked.remarks:
        blocks.append("## Where the document is wrong")
        blocks.append("\n".join(f"- {escaped(remark)}" for remark in worked.remarks))
    return "\n\n".join(blocks) + "\n"


def _equation_md(entry: Entry) -> list[str]:
    says = [escaped(entry.says)] if entry.says else []
    latex = equation(entry)
    if latex:
        gap = [code(f"{entry.symbol} = {entry.result}")] if "____" in entry.result else []
        return [*says, f"$$\n{robust(latex)}\n$$", *gap]
    return [*says, code(_line(entry))]


def _line(entry: Entry) -> str:
    return " = ".join([entry.symbol, *entry.sides])


def equation(entry: Entry) -> str:
    """Return an entry in LaTeX, its sides below each other; nothing where LaTeX is unknown."""
    if not entry.latex or not all(entry.latex[:2]):
        return ""
    name, *sides = dict.fromkeys(entry.latex)
    sides = [side for side in sides if side]
    if len(sides) < 2:
        return " = ".join([name, *sides])
    right = r" \\ &= ".join(sides)
    return rf"\begin{{aligned}} {name} &= {right} \end{{aligned}}"


# -- HTML ----------------------------------------------------------------------------------------


def html(worked: Worked) -> str:
    """Return a solution as a fragment of HTML with its style."""
    inner = [f'<h3 class="title">{safe(f"{worked.name}: {worked.title}")}</h3>']
    inner.append(f"<p>{safe(worked.question)}</p>")
    for number, part in enumerate(worked.parts, start=1):
        inner += _section(number, part)
    if worked.remarks:
        told = "".join(f"<li>{safe(remark)}</li>" for remark in worked.remarks)
        heading = '<h4 class="heading">Where the document is wrong</h4>'
        inner.append(f'<section class="phase loss">{heading}<ul>{told}</ul></section>')
    body = "\n".join(inner)
    return f'<div class="pellucid"><style>{STYLE}</style>\n{body}\n</div>'


def _section(number: int, part: Part) -> Iterator[str]:
    yield f'<section class="phase"><h4 class="heading">{number}. {safe(part.heading)}</h4>'
    yield f'<p class="says">{safe(part.says)}</p>' if part.says else ""
    for entry in part.entries:
        yield f'<p class="says">{safe(entry.says)}</p>' if entry.says else ""
        label = f'role="region" tabindex="0" aria-label="{safe(entry.symbol)}"'
        yield f'<div class="scroll" {label}>{_equation_html(entry)}</div>'
    yield f'<p class="says">{safe(part.so)}</p>' if part.so else ""
    yield "</section>"


def _equation_html(entry: Entry) -> str:
    latex = equation(entry)
    if not latex:
        return f"<code>{safe(_line(entry))}</code>"
    gap = f"<code> = {safe(entry.result)}</code>" if "____" in entry.result else ""
    return mathml(latex, display=not gap) + gap
