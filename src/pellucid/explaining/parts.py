"""What the readings of a walkthrough share: its phases in order, and what equals what in a step."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import groupby
from typing import TYPE_CHECKING

from pellucid.dims import show
from pellucid.show.latex import escaped

if TYPE_CHECKING:
    from pellucid.explaining.walkthrough import Step

# a sign as well as a title, for colors alone are not seen by everyone
SIGNS = {"forward": "→", "loss": "◎", "rewrite": "≡", "backward": "←", "update": "↻"}
TITLES = {
    "forward": "Forward pass",
    "loss": "Loss",
    "rewrite": "Simplified before differentiating",
    "backward": "Backward pass",
    "update": "Update",
}


def by_phase(steps: Iterable[Step]) -> list[tuple[str, tuple[Step, ...]]]:
    """Return the phases in the order in which they come, each with its steps."""
    return [(phase, tuple(some)) for phase, some in groupby(steps, lambda step: step.phase)]


def title(phase: str) -> str:
    return TITLES.get(phase, phase.capitalize())


def shaped(step: Step) -> str:
    """Return the shape, and which part of it is shown."""
    told = show(step.shape) if step.shape else "a number"
    return f"{told}, shown {step.shown}" if step.shown else told


def sentence(words: str) -> str:
    """Return a remark with a capital, unless it starts with a name such as z1.

    >>> sentence("each unit's sum"), sentence("z1 is positive")
    ("Each unit's sum", 'z1 is positive')
    """
    return words[:1].upper() + words[1:] if re.match(r"[a-z]{2,}\b(?!_)", words) else words


def symbol(step: Step) -> str:
    r"""Return a step's name as LaTeX."""
    kind = "mathrm" if re.fullmatch(r"\w+", step.name) else "text"
    return step.latex_name or rf"\{kind}{{{escaped(step.name)}}}"


def sides(step: Step) -> list[str]:
    """Return what equals what, as Python: the formula, that with numbers in place, the result."""
    return told_once(step.name, (step.formula, step.numbers, step.result))


def latex_sides(step: Step) -> tuple[list[str], list[str]]:
    """Return the sides in LaTeX, and as Python those from the first on that has no LaTeX."""
    pairs = (
        (step.latex, step.formula),
        (step.latex_numbers, step.numbers),
        (step.latex_result, step.result),
    )
    known = [pair for pair in pairs if any(pair)]
    count = next((k for k, (latex, _) in enumerate(known) if not latex), len(known))
    typeset = told_once(symbol(step), [latex for latex, _ in known[:count]])
    return typeset, told_once(step.name, [words for _, words in known[count:]])


def told_once(name: str, texts: Iterable[str]) -> list[str]:
    """Leave out what is empty, and what says again what stands before it."""
    return [text for text, _ in groupby(text for text in texts if text not in ("", name))]


def said_already(step: Step) -> bool:
    """Tell a gradient that has one path only, so that the step itself has shown it."""
    return [term.formula for term in step.terms] in ([""], [step.formula])


def equation(step: Step, latex: list[str]) -> str:
    """Return one equation of a step, its sides below each other."""
    head, rest = symbol(step), latex
    if step.phase == "rewrite":  # it is an equation already
        head, *rest = [*_halves(latex[0]), *latex[1:]]
    if len(rest) < 2:
        return " = ".join([head, *rest])
    right = r" \\ &= ".join(rest)
    return rf"\begin{{aligned}} {head} &= {right} \end{{aligned}}"


def _halves(latex: str) -> list[str]:
    """Return the two sides of an equation, unless its sign stands within braces."""
    halves = latex.split(" = ")
    return halves if all(half.count("{") == half.count("}") for half in halves) else [latex]
