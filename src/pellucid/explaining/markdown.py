r"""A walkthrough as Markdown with formulas in LaTeX, as GitHub and Jupyter show it.

markdown(walkthrough)  headings, equations, tables of paths

GitHub takes the backslash from \\, \, and \{ before it typesets a formula, Jupyter does not.
Written in letters, as \cr, \thinspace and \lbrace, they mean the same to both.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pellucid.explaining.parts import (
    by_phase,
    equation,
    latex_sides,
    said_already,
    sentence,
    shaped,
    title,
)

if TYPE_CHECKING:
    from pellucid.explaining.walkthrough import Step, Term, Walkthrough

LETTERS = {
    "\\\\": r"\cr ",
    r"\,": r"\thinspace ",
    r"\:": r"\medspace ",
    r"\;": r"\thickspace ",
    r"\!": r"\negthinspace ",
    r"\ ": r"\space ",
    r"\{": r"\lbrace ",
    r"\}": r"\rbrace ",
    r"\|": r"\Vert ",
    "|": r"\vert ",  # a bar would end the cell of a table
    "<": r"\lt ",
    ">": r"\gt ",
    "*": r"\ast ",
}
_LETTERS = re.compile(r"\\[A-Za-z]+|\\.|[|<>*]|[)\]}']_|\s+", re.DOTALL)
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|$~&!])")


def markdown(walkthrough: Walkthrough) -> str:
    """Return a walkthrough as Markdown."""
    blocks = [f"# {escaped(walkthrough.title)}"] if walkthrough.title else []
    blocks += [escaped(note) for note in walkthrough.notes]
    for phase, steps in by_phase(walkthrough.steps):
        blocks.append(f"## {escaped(title(phase))}")
        for step in steps:
            blocks += _step(step)
    return "\n\n".join(blocks) + "\n"


def _step(step: Step) -> list[str]:
    typeset, words = latex_sides(step)
    shape = "" if step.phase == "rewrite" else f" — {escaped(shaped(step))}"
    return [
        f"### {code(step.name)}{shape}",
        *([escaped(sentence(step.says))] if step.says else []),
        *([f"$$\n{robust(equation(step, typeset))}\n$$"] if typeset else []),
        *([fenced("\n".join(f"= {side}" for side in words))] if words else []),
        *([_paths(step)] if step.terms and not said_already(step) else []),
        *([f"*{escaped(sentence(step.note))}*"] if step.note else []),
    ]


def _paths(step: Step) -> str:
    rows = ["| path | local gradient × upstream gradient | in numbers | product |"]
    rows += ["|---|---|---|---|", *map(_path, step.terms)]
    if len(step.terms) > 1:
        rows.append(f"| their sum | | | {cell(step.result)} |")
    return "\n".join(rows)


def _path(term: Term) -> str:
    told = f"${robust(term.latex)}$" if term.latex else cell(term.formula)
    return f"| {escaped(term.path)} | {told} | {cell(term.numbers)} | {cell(term.result)} |"


def robust(latex: str) -> str:
    r"""Return LaTeX that means the same after Markdown has read it.

    >>> print(robust(r"|x| \, \{y\}"))
    \vert x\vert \thinspace \lbrace y\rbrace
    """
    told = _LETTERS.sub(lambda found: _letters(found[0]), latex)
    return re.sub(" +", " ", told).strip()


def _letters(token: str) -> str:
    if token[1:] == "_" and token[0] != "\\":  # one after a letter is left alone anyway
        return rf"{token[0]}\sb "
    return " " if token.isspace() else LETTERS.get(token, token)


def escaped(text: str) -> str:
    r"""Return text on one line that Markdown shows as it is.

    >>> print(escaped("d_W1 < *b*"))
    d\_W1 \< \*b\*
    """
    return _SPECIAL.sub(r"\\\1", " ".join(text.split()))


def code(text: str) -> str:
    """Return text as inline code; it may hold backticks."""
    line = " ".join(text.split())
    marks = "`" * (1 + max(map(len, re.findall("`+", line)), default=0))
    gap = " " if line.startswith("`") or line.endswith("`") or not line else ""
    return f"{marks}{gap}{line}{gap}{marks}"


def cell(text: str) -> str:
    """Return text as code in the cell of a table, where a bar has to be escaped even so."""
    return code(text).replace("|", r"\|") if text else ""


def fenced(text: str) -> str:
    marks = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return f"{marks}text\n{text}\n{marks}"
