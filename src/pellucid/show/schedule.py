"""Which values are computed in the same loop, and what memory each then needs.

A statement computes one value, element by element, over its axes.  Two statements share a loop
when both run over an axis of the same length there, and one reads of the other only what the same
turn of the loop has made.  A value that is read in the same turns alone needs no memory for that
axis; where no axis is left, it is a local number.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Literal

from pellucid.dims import Dim, Size
from pellucid.graph import Node

LETTERS = ("i", "j", "k", "l", "i2", "j2", "k2", "l2", "i3", "j3")  # of loops, by depth
UNROLLED = 8  # a sum of at most so many terms is written inside the loop over what is kept

Kind = Literal["map", "reduce", "call", "store"]
Index = tuple[str, ...]


@dataclass(eq=False)
class Statement:
    """One value to compute: over which axes, in which order of loops, from what."""

    name: str
    kind: Kind
    node: Node  # the value
    source: Node  # what is computed at each place: the value itself, or what it sums
    reduced: frozenset[int] = frozenset()  # axes of the source that are summed away
    placed: bool = False  # it is written into an array of the caller's, of that name
    target: Node | None = None  # the input that a store overwrites
    reads: list[tuple[Node, Index]] = field(default_factory=list)
    needs: list[tuple[Statement, int, bool]] = field(default_factory=list)
    path: tuple[int, ...] = ()
    kept: tuple[int, ...] = ()  # axes of the value that its memory has
    home: Statement | None = None  # the later value whose memory it lives in

    def __post_init__(self) -> None:
        self.axes = loop_order(self)

    @property
    def place(self) -> str:
        """The name of its memory."""
        return self.home.place if self.home else self.name

    @property
    def room(self) -> tuple[Size, ...]:
        """The shape of its memory."""
        return tuple(self.node.shape[k] for k in self.kept)

    def size(self, depth: int) -> Size | None:
        """Return the length of its loop at this depth, if it has one."""
        return self.source.shape[self.axes[depth]] if depth < len(self.axes) else None

    @property
    def first_reduced(self) -> int:
        """The depth of the loop in which it is summed; beyond all where it is not."""
        places = [d for d, a in enumerate(self.axes) if a in self.reduced]
        return places[0] if places else len(self.axes)

    @property
    def in_memory(self) -> bool:
        """Whether several sums run side by side, so that they need memory while they grow."""
        return any(a not in self.reduced for a in self.axes[self.first_reduced :])

    def letters(self) -> Index:
        """Return the index of the source: a letter for each loop, 0 for an axis of 1."""
        at = {a: d for d, a in enumerate(self.axes)}
        return tuple(LETTERS[at[a]] if a in at else "0" for a in range(len(self.source.shape)))

    def own(self, axis: int) -> int:
        """Return which axis of the value an axis of the source is."""
        if self.kind != "reduce" or self.node.ndim == self.source.ndim:
            return axis
        return axis - sum(r < axis for r in self.reduced)

    def own_letters(self) -> Index:
        """Return the index of the value inside the loops."""
        letters, out = self.letters(), ["0"] * self.node.ndim
        for a in range(len(letters)):
            if a not in self.reduced:
                out[self.own(a)] = letters[a]
        return tuple(out)


def loop_order(s: Statement) -> list[int]:
    """Return the axes of the source from the outermost loop to the innermost.

    The batch comes first, kept or not: so all that happens to one row shares its loop.  A long sum
    runs outside of what is kept, so that the innermost loop goes along memory; a short one inside.
    """
    if s.kind == "call":
        return []
    shape = s.source.shape
    axes = [a for a in range(len(shape)) if shape[a] != 1]
    batch = [a for a in axes if isinstance(shape[a], Dim)]
    rest = [a for a in axes if a not in batch]
    kept = [a for a in rest if a not in s.reduced]
    summed = [a for a in rest if a in s.reduced]
    terms = 1
    for a in summed:
        terms *= int(shape[a])  # type: ignore[arg-type]
    inner = [*kept, *summed] if terms <= UNROLLED else [*summed, *kept]
    return [*batch, *inner]


@dataclass(eq=False)
class Block:
    """A loop and what runs in it; without a size, statements that have no loop left."""

    size: Size | None
    depth: int
    number: int
    statements: list[Statement] = field(default_factory=list)
    inner: list[Block] = field(default_factory=list)


def scheduled(statements: Sequence[Statement]) -> list[Block]:
    """Return the loops in which the statements are computed, and settle their memory."""
    for s in statements:
        s.needs = list(_needs(s, statements))
    blocks = _blocks(_numbers_first(statements), 0, [0])
    for s in statements:
        s.kept = _kept(s, statements)
    return blocks


def _numbers_first(statements: Sequence[Statement]) -> list[Statement]:
    """Move single numbers that need no loop to the front: what reads them may then share loops."""
    early: dict[Statement, None] = {}
    for s in statements:
        if s.kind == "map" and not s.axes and all(p in early for p, _, _ in s.needs):
            early[s] = None
    return [*early, *(s for s in statements if s not in early)]


def _needs(s: Statement, statements: Sequence[Statement]) -> Iterable[tuple[Statement, int, bool]]:
    """Yield whom a statement must follow, and at which depths it may share a loop with it."""
    for p in statements:
        if p is s:
            return
        places = [index for node, index in s.reads if node is p.node and p.kind != "store"]
        if places:
            yield p, _shared(p, s, places), False
        old = [index for node, index in p.reads if node is s.target]
        if old and s.target is not None:
            yield p, _shared(s, p, old), True


def _shared(p: Statement, s: Statement, places: Sequence[Index]) -> int:
    """Return how many loops, from the outermost, `s` may share with `p`, whose value it reads."""
    deep = 0
    for depth, axis in enumerate(p.axes):
        if axis in p.reduced or s.size(depth) != p.size(depth):
            break
        own = p.own(axis)
        if any(not index or index[own] != LETTERS[depth] for index in places):
            break
        deep = depth + 1
    return deep


def _blocks(items: list[Statement], depth: int, count: list[int]) -> list[Block]:
    """Put each statement into the first loop it may share, else into one of its own."""
    blocks: list[Block] = []
    place: dict[Statement, int] = {}
    for s in items:
        first = 0
        for p, deep, _ in s.needs:
            if p in place:
                first = max(first, place[p] + (depth >= deep))
        size = s.size(depth)
        spot = next((k for k in range(first, len(blocks)) if blocks[k].size == size), None)
        if spot is None:
            spot = len(blocks)
            count[0] += 1
            blocks.append(Block(size, depth, count[0]))
        blocks[spot].statements.append(s)
        place[s] = spot
        if size is not None:
            s.path = (*s.path, blocks[spot].number)
    for block in blocks:
        if block.size is not None:
            block.inner = _blocks(block.statements, depth + 1, count)
    return blocks


def _kept(s: Statement, statements: Sequence[Statement]) -> tuple[int, ...]:
    """Return the axes of the value that its memory needs."""
    shape = s.node.shape
    if s.placed or s.kind in ("call", "store"):
        return tuple(range(len(shape)))
    depths = [_common(s.path, other.path) for other in statements for p, _, old in other.needs
              if p is s and not old]  # fmt: skip
    free = min(depths, default=0)
    gone = {s.own(a) for a in s.axes[:free]}
    return tuple(k for k in range(len(shape)) if shape[k] != 1 and k not in gone)


def _common(a: Sequence[int], b: Sequence[int]) -> int:
    return len(list(takewhile(lambda pair: pair[0] == pair[1], zip(a, b, strict=False))))
