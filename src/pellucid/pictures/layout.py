"""A layered layout: columns from left to right, few crossings, edges that pass no box.

Sugiyama's steps: a rank for every box, places in between for edges that pass, an order in every
column by barycenters, heights by least squares, routes.  Columns at odd ranks hold what is written
on edges, so that it has room of its own.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

GAP_X, GAP_Y = 22.0, 18.0  # between columns, and between boxes of one column
PASSING = 8.0  # the height of an edge that passes a column
TEXT = 19.0  # the height of a text on an edge
BELOW = 7.0  # how far below the middle of its text an edge runs
PORTS = TEXT + 6.0  # between edges that end at one box, so that texts on them fit
CORNER = 12.0  # of a box, kept free of ports
SWEEPS = 4

Link = tuple[int, int, float]  # from, to, the width of its text
Point = tuple[float, float]


@dataclass(frozen=True)
class Route:
    """The way of an edge: level across columns, curved between them; and where its text stands."""

    points: tuple[Point, ...]
    text: Point


@dataclass(frozen=True)
class Layout:
    """The upper left corner of every box, the way of every edge, and the size of it all."""

    corners: tuple[Point, ...]
    routes: tuple[Route, ...]
    width: float
    height: float
    ranks: tuple[int, ...]


@dataclass(frozen=True)
class Item:
    """What takes room in a column: a box, or an edge that passes, perhaps with its text."""

    width: float
    height: float
    rank: int
    box: bool


def ranks(count: int, links: Iterable[Link]) -> list[int]:
    """Return the column of every box: after what it reads, and what is given just before it."""
    below: list[list[int]] = [[] for _ in range(count)]
    above: list[list[int]] = [[] for _ in range(count)]
    for a, b, _ in links:
        below[b].append(a)
        above[a].append(b)
    rank, missing = [0] * count, [len(below[k]) for k in range(count)]
    ready = [k for k in range(count) if not missing[k]]
    for k in ready:  # grows as it is read
        for b in above[k]:
            rank[b] = max(rank[b], rank[k] + 1)
            missing[b] -= 1
            if not missing[b]:
                ready.append(b)
    for k in range(count):
        if not below[k] and above[k]:
            rank[k] = min(rank[b] for b in above[k]) - 1
    return rank


def layout(sizes: Sequence[Point], links: Sequence[Link]) -> Layout:
    """Place boxes of these sizes, so that every link runs from left to right."""
    rank = ranks(len(sizes), links)
    grid = _Grid(sizes, links, rank)
    grid.reduce_crossings()
    heights = grid.heights()
    lefts, rights, width = grid.columns()
    middle = [(lefts[i.rank] + rights[i.rank]) / 2 for i in grid.items]
    corners = tuple((middle[k] - w / 2, heights[k] - h / 2) for k, (w, h) in enumerate(sizes))
    routes = _Routes(grid, heights, lefts, rights, corners).all()
    tall = max((y + h for (_, y), (_, h) in zip(corners, sizes, strict=True)), default=0.0)
    tall = max([tall, *(p[1] + PASSING for r in routes for p in r.points)])
    return Layout(corners, tuple(routes), width, tall, tuple(rank))


class _Grid:
    """Every item with its neighbors to the left and right, and the order in every column."""

    def __init__(self, sizes: Sequence[Point], links: Sequence[Link], rank: Sequence[int]) -> None:
        self.items = [Item(w, h, 2 * r, True) for (w, h), r in zip(sizes, rank, strict=True)]
        self.chains: list[list[int]] = []  # per link: the items it passes, its ends included
        for a, b, text in links:
            self.chains.append(self._chain(a, b, text))
        count = len(self.items)
        self.left: list[list[int]] = [[] for _ in range(count)]
        self.right: list[list[int]] = [[] for _ in range(count)]
        for chain in self.chains:
            for i, j in pairwise(chain):
                self.right[i].append(j)
                self.left[j].append(i)
        last = max((i.rank for i in self.items), default=-1)
        self.order: list[list[int]] = [[] for _ in range(last + 1)]
        for k, item in enumerate(self.items):
            self.order[item.rank].append(k)

    def _chain(self, a: int, b: int, text: float) -> list[int]:
        first, last = self.items[a].rank + 1, self.items[b].rank - 1
        chain = [a]
        for r in range(first, last + 1):
            written = text > 0 and r == last
            chain.append(len(self.items))
            self.items.append(Item(text if written else 0, TEXT if written else PASSING, r, False))
        return [*chain, b]

    # -- the order in every column ---------------------------------------------------------------

    def reduce_crossings(self) -> None:
        """Sort columns by their neighbors' places, to and fro; keep the best order seen."""
        self._begin()
        best, fewest = [list(column) for column in self.order], self.crossings()
        for sweep in range(SWEEPS * 2):
            if not fewest:
                break
            forth = sweep % 2 == 0
            columns = self.order if forth else self.order[::-1]
            for column in columns[1:]:
                self._sort(column, self.left if forth else self.right)
            now = self.crossings()
            if now < fewest:
                best, fewest = [list(column) for column in self.order], now
        self.order = best

    def _begin(self) -> None:
        """Walk from the results down to what is given, so that operands stand as they are read."""
        at: dict[int, int] = {}
        ends = [k for k, right in enumerate(self.right) if not right]
        stack = ends[::-1]
        while stack:
            k = stack.pop()
            if k not in at:
                at[k] = len(at)
                stack.extend(reversed(self.left[k]))
        for column in self.order:
            column.sort(key=at.__getitem__)

    def _sort(self, column: list[int], near: list[list[int]]) -> None:
        place = self._places()
        means = {k: _mean([place[n] for n in near[k]], place[k]) for k in column}
        column.sort(key=means.__getitem__)

    def _places(self) -> list[float]:
        place = [0.0] * len(self.items)
        for column in self.order:
            for p, k in enumerate(column):
                place[k] = p
        return place

    def crossings(self) -> int:
        """Count the pairs of edges that cross."""
        place, total = self._places(), 0
        for column in self.order[:-1]:
            seen: list[float] = []
            for k in column:
                ends = sorted(place[n] for n in self.right[k])
                total += sum(len(seen) - bisect_right(seen, e) for e in ends)
                for e in ends:
                    insort(seen, e)
        return total

    # -- coordinates -----------------------------------------------------------------------------

    def heights(self) -> list[float]:
        """Return the middle of every item: near its neighbors', and clear of its column's."""
        y = self._stacked()
        for sweep in range(2 * SWEEPS):
            sides = [(self.left, self.order), (self.right, self.order[::-1])]
            near, columns = sides[sweep % 2]
            for column in columns:
                self._settle(column, [near], y)
        for column in self.order:
            self._settle(column, [self.left, self.right], y)
        self._straighten(y)
        top = min((y[k] - i.height / 2 for k, i in enumerate(self.items)), default=0.0)
        return [v - top for v in y]

    def _straighten(self, y: list[float]) -> None:
        """Bring what passes level with where its edge ends, from right to left."""
        ports = self.ports()
        ends = {chain[-2]: ports[e] for e, chain in enumerate(self.chains)}
        for column in reversed(self.order):
            loose = [self._is_loose(k) for k in column]
            if any(loose):
                wanted = [
                    self._level(k, y, ends) if free else y[k]
                    for k, free in zip(column, loose, strict=True)
                ]
                self._put(column, wanted, [1.0 if free else 1e6 for free in loose], y)

    def _is_loose(self, k: int) -> bool:
        """Edges that pass, and boxes that only one edge holds."""
        return not self.items[k].box or (not self.left[k] and len(self.right[k]) == 1)

    def _level(self, k: int, y: list[float], ends: dict[int, float]) -> float:
        """Return where an item's line would be level with the next one's."""
        after = self.right[k][0]
        return y[after] + ends.get(k, self._line(after)) - self._line(k)

    def ports(self) -> list[float]:
        """Return where every edge ends: how far from the middle of its box's side."""
        ending: dict[int, list[int]] = {}
        place = self._places()
        for e, chain in enumerate(self.chains):
            ending.setdefault(chain[-1], []).append(e)
        ports = [0.0] * len(self.chains)
        for box, edges in ending.items():
            edges.sort(key=lambda e: place[self.chains[e][-2]])
            room = max(self.items[box].height - 2 * CORNER, 0.0)
            step = min(PORTS, room / max(len(edges) - 1, 1))
            for k, e in enumerate(edges):
                ports[e] = (k - (len(edges) - 1) / 2) * step
        return ports

    def _stacked(self) -> list[float]:
        y = [0.0] * len(self.items)
        for column in self.order:
            total = 0.0
            for k in column:
                total += self.items[k].height / 2
                y[k] = total
                total += self.items[k].height / 2 + GAP_Y
        return y

    def _settle(self, column: list[int], sides: list[list[list[int]]], y: list[float]) -> None:
        wanted, weights = [], []
        for k in column:
            near = [(n, self._pull(k, n)) for side in sides for n in side[k]]
            weight = sum(w for _, w in near)
            line = sum(w * (y[n] + self._line(n)) for n, w in near) / weight if near else y[k]
            wanted.append(line - self._line(k) if near else y[k])
            weights.append(weight or 0.1)
        self._put(column, wanted, weights, y)

    def _put(
        self, column: list[int], wanted: list[float], weights: list[float], y: list[float]
    ) -> None:
        tall = [self.items[k].height for k in column]
        steps = [
            (tall[i] + tall[i + 1]) / 2 + self._gap(column[i], column[i + 1])
            for i in range(len(column) - 1)
        ]
        for k, v in zip(column, spread(wanted, weights, steps), strict=True):
            y[k] = v

    def _line(self, k: int) -> float:
        """Return how far below an item's middle its edge runs."""
        return BELOW if self.items[k].width and not self.items[k].box else 0.0

    def _pull(self, k: int, n: int) -> float:
        """Edges that pass are to be straight, before boxes are to stand in line."""
        return 1.0 + 2.0 * (not self.items[k].box) + 2.0 * (not self.items[n].box)

    def _gap(self, a: int, b: int) -> float:
        boxes = self.items[a].box + self.items[b].box
        return (4.0, 10.0, GAP_Y)[boxes]

    def columns(self) -> tuple[list[float], list[float], float]:
        """Return where every column begins and ends, and the width of all."""
        lefts, rights, x = [], [], 0.0
        for r, column in enumerate(self.order):
            wide = max((self.items[k].width for k in column), default=0.0)
            if r:
                x += GAP_X if wide or r % 2 == 0 else GAP_X / 2
            lefts.append(x)
            x += wide
            rights.append(x)
        return lefts, rights, x


def _mean(places: Sequence[float], otherwise: float) -> float:
    return sum(places) / len(places) if places else otherwise


def spread(
    wanted: Sequence[float], weights: Sequence[float], steps: Sequence[float]
) -> list[float]:
    """Return positions nearest to the wanted ones by least squares, at least `steps` apart.

    Isotonic regression: neighbors that would overlap are pooled, and move as one.
    """
    offsets = [0.0]
    for step in steps:
        offsets.append(offsets[-1] + step)
    pools: list[tuple[float, float, int]] = []  # mean, weight, count
    for want, weight, offset in zip(wanted, weights, offsets, strict=False):
        mean, count = want - offset, 1
        while pools and pools[-1][0] > mean:
            m, w, c = pools.pop()
            mean, weight, count = (m * w + mean * weight) / (w + weight), w + weight, count + c
        pools.append((mean, weight, count))
    found = [mean for mean, _, count in pools for _ in range(count)]
    return [z + offset for z, offset in zip(found, offsets, strict=False)]


class _Routes:
    """The ways of edges through the columns, once everything has its place."""

    def __init__(
        self,
        grid: _Grid,
        y: list[float],
        lefts: list[float],
        rights: list[float],
        corners: Sequence[Point],
    ) -> None:
        self.grid, self.y, self.lefts, self.rights = grid, y, lefts, rights
        self.corners = corners

    def all(self) -> list[Route]:
        ports = self.grid.ports()
        return [
            self._route(chain, self.y[chain[-1]] + ports[e])
            for e, chain in enumerate(self.grid.chains)
        ]

    def _y(self, k: int) -> float:
        return self.y[k] + self.grid._line(k)

    def _route(self, chain: list[int], port: float) -> Route:
        grid, (a, b) = self.grid, (chain[0], chain[-1])
        start = self.corners[a][0] + grid.items[a].width
        points = [(start, self.y[a]), (self.rights[grid.items[a].rank], self.y[a])]
        for k in chain[1:-1]:
            r = grid.items[k].rank
            points += [(self.lefts[r], self._y(k)), (self.rights[r], self._y(k))]
        points += [(self.lefts[grid.items[b].rank], port), (self.corners[b][0], port)]
        last = chain[-2]
        r = grid.items[last].rank
        return Route(tuple(points), ((self.lefts[r] + self.rights[r]) / 2, self.y[last] - 2))
