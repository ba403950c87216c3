"""A walkthrough as HTML: formulas typeset by the browser, nothing fetched, no scripts.

fragment(walkthrough)     to stand in a notebook
page(walkthrough, title)  a file of its own
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pellucid.explaining.parts import (
    SIGNS,
    by_phase,
    equation,
    latex_sides,
    said_already,
    sentence,
    shaped,
    title,
)
from pellucid.explaining.style import PAGE, STYLE
from pellucid.show.mathml import mathml, safe

if TYPE_CHECKING:
    from pellucid.explaining.walkthrough import Step, Term, Walkthrough

LONG = 900  # characters of LaTeX or Python that are folded away at first
LISTED = 16  # steps of a phase that the contents name
MANY = 8  # paths of a gradient that are folded away at first


def fragment(walkthrough: Walkthrough) -> str:
    """Return HTML that brings its style along and leaves the page around it alone."""
    digest = zlib.crc32(" ".join([walkthrough.title, *_names(walkthrough)]).encode())
    inner = _Body(walkthrough, prefix=f"p{digest:x}-", top=3).whole()
    return f'<div class="pellucid"><style>{STYLE}</style>\n{inner}\n</div>'


def page(walkthrough: Walkthrough, title: str | None = None) -> str:
    """Return a whole page, to be saved as a file."""
    body = _Body(walkthrough, heading=title or walkthrough.title or "A walkthrough")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{safe(body.heading)}</title>
<style>{STYLE}{PAGE}</style>
</head>
<body>
<main class="pellucid">
{body.whole()}
</main>
</body>
</html>
"""


def _names(walkthrough: Walkthrough) -> list[str]:
    return [step.name for step in walkthrough.steps]


def anchors(names: Iterable[str]) -> list[str]:
    """Return an id for each name, no two alike.

    >>> anchors(["d_W1", "<b>", "d_W1"])
    ['step-d_W1', 'step--b-', 'step-d_W1-2']
    """
    found: dict[str, None] = {}
    for name in names:
        stem = ident = "step-" + re.sub(r"[^\w.]", "-", name)
        count = 1
        while ident in found:
            count += 1
            ident = f"{stem}-{count}"
        found[ident] = None
    return list(found)


def _tag(name: str, inner: str, **attributes: str) -> str:
    told = "".join(
        f' {k.rstrip("_").replace("_", "-")}="{safe(v)}"' for k, v in attributes.items() if v
    )
    return f"<{name}{told}>{inner}</{name}>"


def _code(words: str) -> str:
    return f"<code>{safe(words)}</code>"


def _scroll(inner: str, label: str, kind: str = "") -> str:
    """Return what may be wider than a phone in a region that keys can reach and scroll."""
    told = f'class="{f"scroll {kind}".strip()}" role="region" tabindex="0"'
    return f'<div {told} aria-label="{safe(label)}">{inner}</div>'


def _details(summary: str, inner: str) -> str:
    return f"<details><summary>{safe(summary)}</summary>{inner}</details>"


@dataclass(frozen=True)
class _Body:
    """The content of a page or of a fragment; `prefix` keeps the ids of two fragments apart."""

    walkthrough: Walkthrough
    heading: str = ""
    prefix: str = ""
    top: int = 1  # the level of its first heading

    def whole(self) -> str:
        phases = by_phase(self.walkthrough.steps)
        steps = [step for _, some in phases for step in some]
        idents = [self.prefix + ident for ident in anchors(step.name for step in steps)]
        places = {step.name: ident for step, ident in reversed([*zip(steps, idents, strict=True)])}
        given = iter(idents)
        sections = []
        for k, (phase, some) in enumerate(phases):
            blocks = [self.step(step, next(given), places) for step in some]
            sections.append(self.section(phase, f"{self.prefix}phase-{k + 1}", blocks))
        return "\n".join([self.head(), self.contents(phases, places), *sections])

    def title(self, words: str, level: int, **attributes: str) -> str:
        return _tag(f"h{self.top + level}", words, **attributes)

    def head(self) -> str:
        words = self.heading or self.walkthrough.title
        told = self.title(safe(words), 0, class_="title") if words else ""
        remarks = "".join(_tag("li", safe(note)) for note in self.walkthrough.notes)
        return _tag("header", told + (_tag("ul", remarks, class_="remarks") if remarks else ""))

    def contents(self, phases: list[tuple[str, tuple[Step, ...]]], places: dict[str, str]) -> str:
        rows = []
        for k, (phase, steps) in enumerate(phases):
            link = _tag("a", safe(title(phase)), href=f"#{self.prefix}phase-{k + 1}")
            names = [_tag("a", _code(s.name), href=f"#{places[s.name]}") for s in steps]
            told = " ".join(names) if len(names) <= LISTED else f" {len(names)} steps"
            rows.append(_tag("li", f"{_sign(phase)}{link} {told}", class_=_kind(phase)))
        return _tag("nav", _tag("ol", "".join(rows)), class_="contents", aria_label="Contents")

    def section(self, phase: str, ident: str, blocks: list[str]) -> str:
        heading = self.title(f"{_sign(phase)}{safe(title(phase))}", 1, class_="heading")
        inner = "\n".join([heading, *blocks])
        return _tag("section", f"\n{inner}\n", class_=f"phase {_kind(phase)}", id=ident)

    def step(self, step: Step, ident: str, places: dict[str, str]) -> str:
        name = _tag("a", _code(step.name), href=f"#{ident}")
        shape = "" if step.phase == "rewrite" else _tag("p", safe(_shape(step)), class_="shape")
        parts = [
            _tag("div", self.title(name, 2, class_="name") + shape, class_="head"),
            _tag("p", safe(sentence(step.says)), class_="says") if step.says else "",
            *_equations(step),
            _paths(step),
            _tag("p", safe(sentence(step.note)), class_="note") if step.note else "",
            _inputs(step, places),
        ]
        inner = "\n".join(part for part in parts if part)
        return _tag("article", f"\n{inner}\n", class_="step", id=ident)


def _shape(step: Step) -> str:
    return f"shape {shaped(step)}" if step.shape else shaped(step)


def _kind(phase: str) -> str:
    """Return a phase as a class; phases of other names have no color."""
    return phase if phase in SIGNS else "other"


def _sign(phase: str) -> str:
    return f'<span class="sign" aria-hidden="true">{SIGNS.get(phase, "")}</span>'


def _equations(step: Step) -> list[str]:
    """Return the formula, that with numbers in place, and the result; long ones folded away."""
    typeset, words = latex_sides(step)
    parts = []
    if typeset and max(map(len, typeset)) > LONG:
        short = [side for side in typeset if len(side) <= LONG]
        whole = _math(step, typeset)
        parts = [_math(step, short)] if short else []
        parts.append(_details("with the numbers in place", whole))
    elif typeset:
        parts = [_math(step, typeset)]
    lines = "".join(_code(f"= {side}") for side in words)
    if not lines:
        return parts
    code = _scroll(lines, f"{step.name} in numbers", "code")
    return [*parts, code if len(lines) <= LONG else _details("the numbers", code)]


def _math(step: Step, typeset: list[str]) -> str:
    return _scroll(mathml(equation(step, typeset), display=True), f"{step.name}, typeset", "math")


def _paths(step: Step) -> str:
    """Return the table of paths by which a gradient arrives, and their sum."""
    if not step.terms or said_already(step):
        return ""
    count = len(step.terms)
    heads = ("path", "local gradient × upstream gradient", "in numbers", "product")
    cells = "".join(_tag("th", head, scope="col") for head in heads)
    arrive = (
        "The path by which it arrives" if count == 1 else f"The {count} paths by which it arrives"
    )
    table = f"<caption>{arrive}</caption><thead><tr>{cells}</tr></thead>"
    table += _tag("tbody", "".join(map(_path, step.terms)))
    if count > 1:
        total = _tag("th", "their sum", scope="row", colspan="3") + _tag("td", _code(step.result))
        table += f"<tfoot><tr>{total}</tr></tfoot>"
    shown = _scroll(_tag("table", table), f"paths to {step.name}")
    return shown if count <= MANY else _details(arrive, shown)


def _path(term: Term) -> str:
    told = mathml(term.latex) if term.latex else _code(term.formula)
    cells = [told, _code(term.numbers) if term.numbers != term.result else "", _code(term.result)]
    row = _tag("th", safe(term.path), scope="row") + "".join(_tag("td", cell) for cell in cells)
    return f"<tr>{row}</tr>"


def _inputs(step: Step, places: dict[str, str]) -> str:
    if not step.inputs:
        return ""
    path = f"; path {safe(step.terms[0].path)}" if said_already(step) else ""
    links = [
        _tag("a", _code(name), href=f"#{places[name]}") if name in places else _code(name)
        for name in step.inputs
    ]
    return _tag("p", f"from {', '.join(links)}{path}", class_="from")
