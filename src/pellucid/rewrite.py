"""Rewriting: equations applied from left to right until none fits, each recorded with its why.

Rule    left = right, written with ops on holes       rule.apply(node) -> node | None
Fold    the same for what no equation can say (constants, views), as a function of the node
rewrite(outputs, rules)  the outputs in normal form, where every node went, what fired
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pellucid.graph import Node, build, order
from pellucid.op import exact

Bound = dict[Any, Any]


@dataclass(frozen=True)
class Setting:
    """A hole for a setting, such as the axis, in a rule's left side."""

    name: str


def hole(name: str) -> Node:
    """Return a leaf of unknown shape, which stands for any node."""
    unknown: Any = None
    return Node(None, (), (), shape=unknown, dtype=unknown, name=name, symbolic=True)


@dataclass(frozen=True, eq=False)
class Rule:
    """An equation between two expressions in ops: where the left stands, the right may stand.

    `sides` takes the holes (and, keyword-only, the settings that both sides share) and returns
    (left, right).  `when` limits it; `error` states what the right loses in accuracy.
    """

    name: str
    sides: Callable[..., tuple[Any, Any]]
    why: str
    when: Callable[..., bool] | None = None
    error: str = ""
    domain: tuple[tuple[float, float], ...] = ((-2.0, 2.0),)  # per hole, where the tests sample
    shapes: tuple[Any, ...] = ()  # per hole, where (2, 3) will not do for the tests
    settings: Mapping[str, Any] = field(default_factory=dict)  # one example of each
    fuses: bool = False  # applied before differentiation
    holes: tuple[Node, ...] = field(init=False)
    left: Node = field(init=False)

    def __post_init__(self) -> None:
        parameters = inspect.signature(self.sides).parameters.values()
        keys = {p.name: Setting(p.name) for p in parameters if p.kind is p.KEYWORD_ONLY}
        holes = tuple(hole(p.name) for p in parameters if p.kind is not p.KEYWORD_ONLY)
        object.__setattr__(self, "holes", holes)
        object.__setattr__(self, "left", self.sides(*holes, **keys)[0])

    @property
    def root(self) -> str:
        """The name of the op at the top of the left side."""
        assert self.left.op is not None
        return self.left.op.name

    def apply(self, node: Node) -> Node | None:
        """Return the right side for a node of the left's form, else None."""
        for found in matches(self.left, node, {}):
            holes = [found[h] for h in self.holes]
            settings = {k.name: v for k, v in found.items() if isinstance(k, Setting)}
            if self.when is None or self.when(*holes, **settings):
                right: Node = self.sides(*holes, **settings)[1]
                return right
        return None


@dataclass(frozen=True, eq=False)
class Fold:
    """A rewrite that depends on shapes or values and so is a function, not an equation."""

    name: str
    apply: Callable[[Node], Node | None]
    why: str
    fuses: bool = False
    error: str = ""
    root: str = ""  # any op


def matches(pattern: Node, node: Node, found: Bound) -> Iterator[Bound]:
    """Yield every way in which the holes of the pattern can stand for parts of the node."""
    if pattern.op is None:
        bound = _leaf_match(pattern, node, found)
        if bound is not None:
            yield bound
        return
    if pattern.op is not node.op or len(pattern.args) != len(node.args):
        return
    settings = _settings_match(pattern, node, found)
    if settings is None:
        return
    for args in [node.args, node.args[::-1]] if pattern.op.commutes else [node.args]:
        yield from _matched(list(zip(pattern.args, args, strict=True)), settings)


def _matched(pairs: list[tuple[Node, Node]], found: Bound) -> Iterator[Bound]:
    """Yield every way to match all the pairs at once."""
    if not pairs:
        yield found
        return
    for bound in matches(*pairs[0], found):
        yield from _matched(pairs[1:], bound)


def _leaf_match(pattern: Node, node: Node, found: Bound) -> Bound | None:
    if pattern.is_constant:  # a number matches that number, in whatever precision it is kept
        same = (
            node.is_constant
            and not node.ndim
            and exact(float(node.data)) == exact(float(pattern.data))
        )
        return found if same else None
    if pattern in found:
        return found if found[pattern] is node else None
    return {**found, pattern: node}


def _settings_match(pattern: Node, node: Node, found: Bound) -> Bound | None:
    for (_, wanted), (_, given) in zip(pattern.attrs, node.attrs, strict=True):
        if isinstance(wanted, Setting):
            if exact(found.get(wanted, given)) != exact(given):
                return None
            found = {**found, wanted: given}
        elif exact(wanted) != exact(given):
            return None
    return found


@dataclass(frozen=True, eq=False)
class Step:
    """One rewrite that fired: the rule, and the nodes before and after."""

    rule: Rule | Fold
    before: Node
    after: Node


@dataclass(frozen=True, eq=False)
class Rewritten:
    """Outputs in normal form, the new node of every old one, and the steps that led there."""

    outputs: list[Node]
    new: dict[Node, Node]
    steps: list[Step]


def rewrite(
    outputs: Iterable[Node], rules: Sequence[Rule | Fold], keep: Iterable[Node] = ()
) -> Rewritten:
    """Apply the rules, arguments first, until none fits; nodes in `keep` are left as they are."""
    outputs = list(outputs)
    engine = _Engine(rules, keep)
    return Rewritten([engine.settled(o) for o in outputs], engine.new, engine.steps)


class _Engine:
    def __init__(self, rules: Sequence[Rule | Fold], keep: Iterable[Node]) -> None:
        self.by_root: dict[str, list[Rule | Fold]] = {}
        for rule in rules:
            self.by_root.setdefault(rule.root, []).append(rule)
        self.new: dict[Node, Node] = {k: k for k in keep}
        self.steps: list[Step] = []

    def settled(self, node: Node) -> Node:
        """Return the normal form of a node, its arguments' first."""
        for part in order([node], stop=self.new):
            if part in self.new:
                continue
            fresh = rebuilt(part, [self.new[a] for a in part.args])
            step = self._first(fresh)
            if step is None:
                self.new[fresh] = fresh
            else:
                self.steps.append(step)
                self.new[fresh] = self.settled(step.after)
            self.new[part] = self.new[fresh]
        return self.new[node]

    def _first(self, node: Node) -> Step | None:
        """Return the first rewrite that fits and keeps the node's shape and dtype."""
        if node.op is None:
            return None
        for rule in (*self.by_root.get(node.op.name, ()), *self.by_root.get("", ())):
            after = rule.apply(node)
            if after is not None and after is not node and _same_kind(after, node):
                return Step(rule, node, after)
        return None


def _same_kind(one: Node, other: Node) -> bool:
    return one.shape == other.shape and one.dtype == other.dtype and one.weak == other.weak


def rebuilt(node: Node, args: Sequence[Node]) -> Node:
    """Return the same op on other arguments."""
    if node.op is None or all(a is b for a, b in zip(node.args, args, strict=True)):
        return node
    return build(node.op, tuple(args), node.attrs)


def substitute(outputs: Iterable[Node], places: Mapping[Node, Node]) -> list[Node]:
    """Return the outputs with some nodes replaced by others."""
    outputs = list(outputs)
    new = dict(places)
    for node in order(outputs, stop=new):
        if node not in new:
            new[node] = rebuilt(node, [new[a] for a in node.args])
    return [new[o] for o in outputs]


def number(node: Node) -> bool:
    """Say whether the node is a fixed single number."""
    return node.is_constant and not node.ndim
