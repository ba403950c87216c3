"""Rewrites as steps: the algebra that fired, with its why, and the proof of what was merged.

told(rewrites, …)  what there is to say about them, without numbers
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pellucid import ops
from pellucid.backward import backward
from pellucid.graph import Node, order
from pellucid.passes import Graph, rewritten, simplified
from pellucid.rewrite import Rule, matches
from pellucid.rewrite import Step as Rewrite
from pellucid.rules import CANCELS, FALLS, FUSIONS, SIGNS, SIMPLIFY, SLOPES, VALUES
from pellucid.show.formula import Part, Symbols

READABLE = 120  # characters of a formula
SHOWN = {*FUSIONS, *SLOPES, *VALUES}  # the rest is bookkeeping: 1 x = x, constants that meet


@dataclass(frozen=True, eq=False)
class Told:
    """An equation between two formulas: what became what, and why."""

    rule: str
    says: str
    sides: tuple[Part, ...]  # all equal
    node: Node  # the last side
    names: Mapping[Node, str]  # of what it reads
    texts: dict[Any, str] = field(default_factory=dict)  # as those of a script


def told(
    rewrites: Sequence[Rewrite], names: Mapping[Node, str], columns: bool, of: str
) -> tuple[Told, ...]:
    """Return what each rule did, at the first place where it did; bookkeeping left out."""
    first = {r.rule: r for r in reversed(rewrites) if r.rule in SHOWN}
    found: list[Told] = []
    for rewrite in reversed(first.values()):
        found += _equation(rewrite, names, columns, of)
        if rewrite.rule in FUSIONS:
            found += _proof(rewrite, names, columns, of)
    return tuple(found)


def _equation(
    rewrite: Rewrite, known: Mapping[Node, str], columns: bool, of: str
) -> Iterator[Told]:
    rule = rewrite.rule
    assert isinstance(rule, Rule)
    bound = next(matches(rule.left, rewrite.before, {}))
    names = {x: known[x] for x in order([bound[h] for h in rule.holes]) if x in known}
    symbols = Symbols(names, columns, of)
    before, after = symbols.of(rewrite.before), symbols.of(rewrite.after)
    # not what computes the same formula another way, nor what nobody would read
    if before.latex != after.latex and len(before.python) <= READABLE:
        error = f"; the cost: {rule.error}" if rule.error else ""
        says = f"{rule.name}: {rule.why}{error}"
        yield Told(rule.name, says, (before, after), rewrite.after, names)


def _proof(rewrite: Rewrite, known: Mapping[Node, str], columns: bool, of: str) -> Iterator[Told]:
    """Show that the slope of what was merged is what the chain rule gives without merging.

    The slope of the loss in the activation, times the activation's own, cancels to one difference.
    """
    merged, p = rewrite.before, rewrite.before.args[0]
    if p.op is None or merged.op is None or merged.op.same_as is None:
        return
    z, y = p.args[0], merged.args[1]
    plain = merged.op.same_as(p, y)
    outer = backward({plain: ops.ones_like(plain)}, [p])[p]
    chain = backward({p: outer}, [z])[z]
    names = {x: known[x] for x in (p, z, y) if x in known}
    if p not in names:
        return
    start = simplified(rewritten(simplified(Graph({"chain": chain}, names)), SIGNS))
    middle = rewritten(start, [*CANCELS, *SIMPLIFY])
    end = rewritten(middle, [*FALLS, *SIMPLIFY])
    names |= end.names
    written = [Symbols(names, columns, of).of(g.outputs["chain"]) for g in (start, middle, end)]
    sides = list({side.python: side for side in written}.values())
    fired = dict.fromkeys(s.rule.why for s in end.steps if s.rule in {*CANCELS, *FALLS})
    says = f"the chain rule by way of {names[p]} gives the same slope: {'; '.join(fired)}"
    if len(sides) > 1:
        yield Told("chain rule", says, tuple(sides), end.outputs["chain"], names)
