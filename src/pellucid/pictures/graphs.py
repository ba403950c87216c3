"""From nodes to boxes: one for each op and leaf, one for each part that is folded or opened.

Words        what boxes and edges say: names, numbers, in which order
Part         ops that are drawn as one box, with what is shown inside where it is open
diagram(…)   the boxes and edges of some ops
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from pellucid.dims import show
from pellucid.graph import Array, Node
from pellucid.pictures.fold import Run, repeats
from pellucid.pictures.measure import brief, finite, lines, shortened
from pellucid.pictures.reading import Reading
from pellucid.pictures.scene import Box, Diagram, Edge, Kind, Line, Role
from pellucid.pictures.symbols import settings, symbol

MOST, HEAD, TAIL = 100, 60, 35  # boxes that are drawn; where there are more: the first and last
DOTS = "⋮"
INTO_GAP = 4  # edges that are drawn into what is left out


@dataclass(frozen=True, eq=False)
class Words:
    """What boxes and edges say; `last` is a folded op's counterpart in the last repeat."""

    names: Mapping[Node, str]
    reading: Reading
    values: bool = True
    gradients: bool = True
    back: bool = False
    last: Mapping[Node, Node] = field(default_factory=dict)
    outside: frozenset[Node] = frozenset()  # leaves that stand apart, whoever reads them
    after: Mapping[Node, Sequence[str]] = field(default_factory=dict)  # what more a box says

    def name(self, node: Node) -> str:
        return self.names.get(node) or node.name

    def box(self, node: Node) -> Box:
        """Return the box of an op or a leaf."""
        if node.is_constant:
            return _constant(node)
        sign = symbol(node.op) if node.op else ""
        name = self.name(node)
        shape = show(node.shape) if node.ndim else ""
        end = self.last.get(node, node)
        both = f"{name} … {end.name}" if end.op is None and end is not node else name
        numbered = sign and name.startswith(f"{sign} #")
        heads = [shortened(w) for w in (both, "" if numbered else sign) if w]
        sub = [*heads[1:], shortened(settings(node), 34), shape]
        subs = [*_joined(sub), *self.after.get(node, ())]
        told = [Line(heads[0], "title"), *map(Line, subs), *self.numbers(node)]
        says = node.op.says if node.op else "given"
        kind: Kind = "op" if node.op else "leaf"
        return Box(tuple(told), kind, f"{name or sign}: {says}", name=name)

    def numbers(self, node: Node) -> list[Line]:
        """Return value and gradient of a node, the one that leads in this direction first."""
        found = [
            self._number("=", "value", node, self.reading.values if self.values else {}),
            self._number("∂", "grad", node, self.reading.gradients if self.gradients else {}),
        ]
        return [line for part in (found[::-1] if self.back else found) for line in part]

    def _number(
        self, mark: str, role: Role, node: Node, arrays: Mapping[Node, Array]
    ) -> list[Line]:
        if node not in arrays:
            return []
        end = self.last.get(node, node)
        return told(mark, role, arrays[node], arrays.get(end, arrays[node]))

    def is_quiet(self, node: Node) -> bool:
        """Say whether no gradient flows back to a node, where that direction is shown."""
        return self.back and bool(self.reading.gradients) and node not in self.reading.gradients

    def edge(self, node: Node, k: int) -> str:
        """Return what stands on the edge to operand k of an op."""
        place, reading = (node, k), self.reading
        local, path = reading.locals.get(place), reading.paths.get(place)
        if not self.gradients or (path if self.back else local) is None:
            return ""
        if not self.back:
            return f"× {brief(local)}"
        upstream = reading.gradients[node]
        if local is None or upstream.size > 1 or local.size > 1:
            return f"∂ {brief(path)}"
        return f"{brief(local)} × {brief(upstream)} = {brief(path)}"


def told(mark: str, role: Role, first: Array, last: Array) -> list[Line]:
    """Return an array as lines; a folded single number as the first and last repeat's."""
    role = role if finite(first) and finite(last) else "bad"
    sign = f"{mark} ⚠" if role == "bad" else mark
    if first is not last and first.size == 1 == last.size:
        return [Line(f"{sign} {lines(first)[0]} … {lines(last)[0]}", role)]
    head, *more = lines(first)
    indent = "\u2007\u2002" * head.startswith("[")  # rows of a matrix stand under one another
    return [Line(f"{sign} {head}", role), *(Line(f"{indent}{row}", role) for row in more)]


def _joined(words: Iterable[str]) -> list[str]:
    """Return short words in one line, long ones in lines of their own."""
    found: list[str] = []
    for word in filter(None, words):
        if found and len(found[-1]) + len(word) < 22:
            found[-1] += f"  {word}"
        else:
            found.append(word)
    return [line.replace("  ", "\u2002") for line in found]


def _constant(node: Node) -> Box:
    array = np.asarray(node.data)
    if not array.ndim:
        return Box((Line(lines(array)[0], "title"),), "constant", "a constant")
    written = [Line(row, "sub" if finite(array) else "bad") for row in lines(array)]
    return Box((Line(f"constant {show(array.shape)}"), *written), "constant", "a constant array")


# -- parts ---------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Part:
    """Ops that are one box; `shown` are those that are drawn inside, none where it is closed."""

    nodes: tuple[Node, ...]
    lines: tuple[Line, ...]
    shown: tuple[Node, ...] = ()
    tip: str = ""
    name: str = ""
    owns: frozenset[Node] = frozenset()  # leaves that belong to it, whoever reads them
    repeats: bool = False  # what is shown is the first of equal blocks
    carried: frozenset[Node] = frozenset()  # what every repeat but the first has from the former


def folded(ops: Sequence[Node], opened: bool) -> list[Part]:
    """Return what repeats as parts; and the middle of a graph that is too long as one more."""
    runs = repeats(ops)
    parts = [_repeat(ops, run, opened) for run in runs]
    inside = {i: run for run in runs for i in range(run.start, run.stop)}
    units = [i for i in range(len(ops)) if i not in inside or i == inside[i].start]
    if len(units) <= MOST:
        return parts
    start, stop = units[HEAD], units[-TAIL]
    kept = [part for part, run in zip(parts, runs, strict=True) if not start <= run.start < stop]
    return [*kept, _left_out(ops[start:stop])]


def _repeat(ops: Sequence[Node], run: Run, opened: bool) -> Part:
    first = ops[run.start : run.start + run.period]
    second = ops[run.start + run.period : run.start + 2 * run.period]
    inner = set(first)
    carried = {
        a
        for node, twin in zip(first, second, strict=True)
        for a, b in zip(node.args, twin.args, strict=True)
        if b in inner
    }
    what = f"{run.period} op{'s' * (run.period > 1)}, repeated"
    title = (Line(f"× {run.times}", "title"), Line(what))
    shown = tuple(first) if opened else ()
    return Part(
        tuple(ops[run.start : run.stop]),
        title,
        shown,
        f"{run.times} equal blocks; drawn is the first, with the first and last numbers",
        f"repeated × {run.times}",
        repeats=True,
        carried=frozenset(carried),
    )


def _left_out(ops: Sequence[Node]) -> Part:
    lines = (Line(DOTS, "title"), Line(f"{len(ops)} more ops"), Line("pc.draw(…, open=True)"))
    return Part(tuple(ops), lines, (), "too many to draw: the first and last ops are shown")


def last_of(parts: Iterable[Part]) -> dict[Node, Node]:
    """Return, for every op and leaf that stands for its repeats, the one in the last of them."""
    found: dict[Node, Node] = {}
    for part in parts:
        first = part.shown if part.repeats else ()
        for node, twin in zip(first, part.nodes[len(part.nodes) - len(first) :], strict=True):
            found[node] = twin
            pairs = zip(node.args, twin.args, strict=True)
            for a, b in pairs:
                if a.op is b.op is None and a not in part.carried:
                    found.setdefault(a, b)
    return found


def drawn_ops(ops: Sequence[Node], parts: Sequence[Part]) -> list[Node]:
    """Return the ops that have a box of their own."""
    hidden = {node for part in parts for node in part.nodes} - {n for p in parts for n in p.shown}
    return [node for node in ops if node not in hidden]


# -- diagrams ------------------------------------------------------------------------------------


def diagram(ops: Sequence[Node], parts: Sequence[Part], words: Words) -> Diagram:
    """Return the boxes and edges of ops in their order; parts are boxes of their own."""
    return _Assembly(ops, parts, _cited(ops, parts, words)).whole()


def _cited(ops: Sequence[Node], parts: Sequence[Part], words: Words) -> Words:
    """Give a number to every op without a name that an open part refers to."""
    names = dict(words.names)
    for part in parts:
        inner = set(part.shown)
        for a in dict.fromkeys(a for node in part.shown for a in node.args):
            if a.op is not None and a not in inner and not words.name(a):
                names.setdefault(a, f"{symbol(a.op)} #{len(names) - len(words.names) + 1}")
    return replace(words, names=names)


class _Assembly:
    """A diagram in the making: its boxes so far, and where every node is to be found."""

    def __init__(self, ops: Sequence[Node], parts: Sequence[Part], words: Words) -> None:
        self.ops, self.words = ops, words
        self.part = {node: part for part in parts for node in part.nodes}
        homes = _homes(ops, parts, self.part)
        self.home = {a: part for a, part in homes.items() if a not in words.outside}
        self.boxes: list[Box] = []
        self.place: dict[Node | Part, int] = {}

    def whole(self) -> Diagram:
        """Return the diagram, boxes before edges, since parts may be read before they end."""
        edges: dict[tuple[int, int, int], Edge] = {}
        for node in self.ops:
            self._put(node)
        for node in self.ops:
            edges |= self._edges(node)
        return Diagram(tuple(self.boxes), tuple(_thinned(edges.values(), self.boxes)))

    def _put(self, node: Node) -> None:
        """Make the box of an op or its part, and those of the leaves it reads before it."""
        unit = self.part.get(node, node)
        if unit in self.place:
            return
        for leaf in self._leaves(unit):
            if leaf not in self.place:
                self._add(leaf, replace(self.words, last={}).box(leaf))
        box = self._part_box(unit) if isinstance(unit, Part) else self.words.box(unit)
        self._add(unit, box)

    def _add(self, unit: Node | Part, box: Box) -> None:
        self.place[unit] = len(self.boxes)
        self.boxes.append(box)

    def _leaves(self, unit: Node | Part) -> Iterator[Node]:
        for node in unit.nodes if isinstance(unit, Part) else (unit,):
            for a in node.args:
                if a.op is None and not a.is_constant and a not in self.home:
                    yield a

    def _part_box(self, part: Part) -> Box:
        inner = None
        if part.shown:
            inner = _Inside(
                part, self.words, {a for a, p in self.home.items() if p is part}
            ).whole()
        closed: Kind = "layer" if part.lines[0].text != DOTS else "gap"
        kind: Kind = closed if inner is None else "frame"
        return Box(part.lines, kind, part.tip, inner, part.name)

    def _edges(self, node: Node) -> dict[tuple[int, int, int], Edge]:
        """Return the edges into an op; of those into a part, one from each box."""
        found: dict[tuple[int, int, int], Edge] = {}
        part = self.part.get(node)
        end = self.place[part or node]
        for k, a in enumerate(node.args):
            start = self._source(a, part)
            if start is not None and start != end:
                text = "" if part else self.words.edge(node, k)
                key = (start, end, -1 if part else k)
                quiet = self.words.is_quiet(a)
                found[key] = Edge(start, end, text, self._tip(node, a, text), quiet)
        return found

    def _source(self, a: Node, part: Part | None) -> int | None:
        """Return the box that an operand comes from; a constant has one for each reader."""
        if a.is_constant:
            if part:
                return None
            self.boxes.append(self.words.box(a))
            return len(self.boxes) - 1
        home = self.home.get(a)
        return self.place.get(self.part.get(a) or home or a)

    def _tip(self, node: Node, a: Node, text: str) -> str:
        names = [self.words.name(x) or (symbol(x.op) if x.op else "") for x in (a, node)]
        return f"{names[0]} → {names[1]}{': ' + text if text else ''}"


def _thinned(edges: Iterable[Edge], boxes: Sequence[Box]) -> list[Edge]:
    """Leave out most edges into what is itself left out."""
    kept: list[Edge] = []
    count: dict[int, int] = {}
    for edge in edges:
        count[edge.target] = count.get(edge.target, 0) + 1
        if boxes[edge.target].kind != "gap" or count[edge.target] <= INTO_GAP:
            kept.append(edge)
    return kept


def _homes(
    ops: Sequence[Node], parts: Sequence[Part], part_of: Mapping[Node, Part]
) -> dict[Node, Part]:
    """Return the leaves that are drawn inside a part: only it reads them, or it owns them.

    One that is read by folded parts only is drawn in the first of them.
    """
    readers: dict[Node, dict[Part | None, None]] = {}
    for node in ops:
        for a in node.args:
            if a.op is None:
                readers.setdefault(a, {})[part_of.get(node)] = None
    homes: dict[Node, Part] = {}
    for a, who in readers.items():
        reading = [part for part in who if part is not None]
        if len(reading) == len(who) and (len(who) == 1 or all(p.repeats for p in reading)):
            homes[a] = reading[0]
    return homes | {a: part for part in parts for a in part.owns}


class _Inside:
    """The diagram inside an open part: what comes from elsewhere is drawn as a ghost."""

    def __init__(self, part: Part, words: Words, own: set[Node]) -> None:
        self.part, self.words, self.own = part, words, own
        self.boxes: list[Box] = []
        self.place: dict[Node, int] = {}

    def whole(self) -> Diagram:
        shown, edges = set(self.part.shown), []
        for node in self.part.shown:
            starts = []
            for a in node.args:
                if a not in self.place or a.is_constant:
                    self._add(
                        a, self.words.box(a) if a in shown or self._here(a) else self._ghost(a)
                    )
                starts.append(self.place[a])
            self._add(node, self.words.box(node))
            for k, start in enumerate(starts):
                quiet = self.words.is_quiet(node.args[k])
                edges.append(Edge(start, self.place[node], self.words.edge(node, k), quiet=quiet))
        return Diagram(tuple(self.boxes), tuple(edges))

    def _here(self, a: Node) -> bool:
        return a.is_constant or a in self.own

    def _add(self, node: Node, box: Box) -> None:
        if node not in self.place or node.is_constant:
            if node in self.part.carried:
                more = Line("then from the block before")
                box = replace(box, lines=(box.lines[0], more, *box.lines[1:]))
            self.place[node] = len(self.boxes)
            self.boxes.append(box)

    def _ghost(self, a: Node) -> Box:
        name = self.words.name(a) or (symbol(a.op) if a.op else "")
        return Box((Line(name, "title"),), "ghost", f"{name}, drawn outside", name=name)
