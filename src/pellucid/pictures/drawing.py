"""From boxes and edges to SVG: sizes, rows that fit a page, and what is inside open boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, count

from pellucid.pictures import svg
from pellucid.pictures.layout import GAP_X, Layout, Link, Point, layout, ranks
from pellucid.pictures.measure import width
from pellucid.pictures.scene import HEIGHTS, LABEL, PAD_X, PAD_Y, Box, Diagram, Edge, Line

ROW, STRETCH = 1100.0, 1.3  # a picture that would be wider than their product goes on below
BETWEEN = 30.0  # rows
LEAST = 46.0  # the width of the smallest box
RADIUS = {"op": 7.0, "layer": 10.0, "frame": 10.0}  # of corners; others are round


@dataclass(frozen=True)
class Drawn:
    """SVG elements, and the room they take."""

    body: str
    size: Point


def drawn(diagram: Diagram, back: bool, room: float = ROW) -> Drawn:
    """Return a diagram as SVG, in as many rows as fit the room; `back` turns the arrows."""
    inside = [None if b.inner is None else drawn(b.inner, back, room - 80) for b in diagram.boxes]
    sizes = [_size(box, inner) for box, inner in zip(diagram.boxes, inside, strict=True)]
    rows = [
        [_row(*piece, back) for piece in _pieces(part, inner)]
        for part, inner in _rows(diagram, inside, sizes, room)
    ]
    return _stacked([line for row in rows for line in _lines(row, room)])


def _lines(pieces: Sequence[Drawn], room: float) -> list[Drawn]:
    """Put pieces that no edge joins side by side, as many as fit the room."""
    lines: list[list[Drawn]] = []
    wide = 0.0
    for piece in pieces:
        if not lines or wide + piece.size[0] > room:
            lines.append([])
            wide = 0.0
        lines[-1].append(piece)
        wide += piece.size[0] + BETWEEN
    return [_beside(line) for line in lines]


def _beside(pieces: Sequence[Drawn]) -> Drawn:
    left, body, tall = 0.0, [], max(piece.size[1] for piece in pieces)
    for piece in pieces:
        body.append(svg.moved(piece.body, left, 0.0))
        left += piece.size[0] + BETWEEN
    return Drawn("".join(body), (left - BETWEEN, tall))


def _stacked(rows: Sequence[Drawn]) -> Drawn:
    top, body, wide = 0.0, [], max(row.size[0] for row in rows)
    for row in rows:
        body.append(svg.moved(row.body, 0.0, top))
        top += row.size[1] + BETWEEN
    return Drawn("".join(body), (wide, top - BETWEEN))


def _size(box: Box, inner: Drawn | None) -> Point:
    w, h = box.text_width, box.text_height
    if inner is not None:
        w, h = max(w, inner.size[0]), h + inner.size[1] + PAD_Y
    return max(w + 2 * PAD_X, LEAST), h + 2 * PAD_Y


def _link(edge: Edge) -> Link:
    return edge.source, edge.target, width(edge.text, LABEL) + 6 if edge.text else 0.0


# -- rows ----------------------------------------------------------------------------------------


def _rows(
    diagram: Diagram, inside: Sequence[Drawn | None], sizes: Sequence[Point], room: float
) -> list[tuple[Diagram, list[Drawn | None]]]:
    """Cut a diagram that is too wide; what a row needs from before is drawn there as a ghost."""
    links = [_link(edge) for edge in diagram.edges]
    rank = ranks(len(sizes), links)
    cuts = _cuts(rank, links, sizes, room, _given(diagram))
    if not cuts:
        return [(diagram, list(inside))]
    row = [sum(r >= cut for cut in cuts) for r in rank]
    given, first = _given(diagram), dict[int, int]()
    for a, b, _ in links:
        if a in given:
            first[a] = min(first.get(a, row[b]), row[b])
    row = [first.get(k, r) for k, r in enumerate(row)]
    boxes = _tagged(diagram, row)
    return _split(replace(diagram, boxes=boxes), inside, row)


def _given(diagram: Diagram) -> set[int]:
    """Return the leaves, which stand in the row that reads them first."""
    return {k for k, box in enumerate(diagram.boxes) if box.kind in ("leaf", "constant", "ghost")}


def _tagged(diagram: Diagram, row: Sequence[int]) -> tuple[Box, ...]:
    """Give a number to every box without a name that another row refers to."""
    cited = {e.source for e in diagram.edges if row[e.source] != row[e.target]}
    boxes, numbers = list(diagram.boxes), count(1)
    taken = {box.name for box in boxes}
    for k in sorted(k for k in cited if not boxes[k].name):
        first, *rest = boxes[k].lines or (Line("", "title"),)
        tags = (f"{first.text} #{number}".strip() for number in numbers)
        named = replace(first, text=next(tag for tag in tags if tag not in taken))
        boxes[k] = replace(boxes[k], lines=(named, *rest), name=named.text)
    return tuple(boxes)


def _cuts(
    rank: Sequence[int], links: Sequence[Link], sizes: Sequence[Point], room: float, given: set[int]
) -> list[int]:
    """Return the ranks at which new rows begin: where few values are handed on."""
    wide = _columns(rank, links, sizes)
    if sum(wide) <= room * STRETCH:
        return []
    ghosts = 120.0
    crossing = _crossing(rank, links, given)
    room = min(room, sum(wide) / -(-sum(wide) // (room - ghosts)) + max(wide))  # rows alike
    cuts: list[int] = []
    begin, total = 0, 0.0
    for r in range(len(wide)):
        total += wide[r]
        if total > (room if not cuts else room - ghosts) and r > begin:
            fair = range(begin + 1 + 2 * (r - begin) // 3, r + 1)
            begin = min(fair, key=lambda c: (crossing[c], -c))
            cuts.append(begin)
            total = sum(wide[begin : r + 1])
    return cuts


def _crossing(rank: Sequence[int], links: Sequence[Link], given: set[int]) -> list[int]:
    """Return, per rank, how many boxes before it are read at it or later."""
    reach: dict[int, int] = {}
    for a, b, _ in links:
        if a not in given:
            reach[a] = max(reach.get(a, 0), rank[b])
    change = [0] * (max(rank, default=0) + 2)
    for a, last in reach.items():
        change[rank[a] + 1] += 1
        change[last + 1] -= 1
    return list(accumulate(change))


def _columns(rank: Sequence[int], links: Sequence[Link], sizes: Sequence[Point]) -> list[float]:
    """Return the width of every rank, the texts before it included."""
    boxes, texts = [0.0] * (max(rank, default=0) + 1), [0.0] * (max(rank, default=0) + 1)
    for r, (w, _) in zip(rank, sizes, strict=True):
        boxes[r] = max(boxes[r], w)
    for _, b, text in links:
        texts[rank[b]] = max(texts[rank[b]], text)
    return [b + t + 2 * GAP_X for b, t in zip(boxes, texts, strict=True)]


def _split(
    diagram: Diagram, inside: Sequence[Drawn | None], part: Sequence[int]
) -> list[tuple[Diagram, list[Drawn | None]]]:
    """Return the diagrams of the boxes of each part; what another part has is a ghost there."""
    own: dict[int, list[int]] = {k: [] for k in sorted(set(part))}
    edges: dict[int, list[Edge]] = {k: [] for k in own}
    for i, k in enumerate(part):
        own[k].append(i)
    for edge in diagram.edges:
        edges[part[edge.target]].append(edge)
    return [_part(diagram, inside, own[k], edges[k]) for k in own]


def _part(
    diagram: Diagram, inside: Sequence[Drawn | None], own: Sequence[int], edges: Sequence[Edge]
) -> tuple[Diagram, list[Drawn | None]]:
    near = set(own)
    far = list(dict.fromkeys(e.source for e in edges if e.source not in near))
    place = {i: n for n, i in enumerate([*far, *own])}
    boxes = (*(_ghost(diagram.boxes[i]) for i in far), *(diagram.boxes[i] for i in own))
    moved = (replace(e, source=place[e.source], target=place[e.target]) for e in edges)
    return Diagram(boxes, tuple(moved)), [*([None] * len(far)), *(inside[i] for i in own)]


def _ghost(box: Box) -> Box:
    return Box((Line(box.name, "title"),), "ghost", f"{box.name}, drawn above", name=box.name)


def _pieces(
    diagram: Diagram, inside: Sequence[Drawn | None]
) -> list[tuple[Diagram, list[Drawn | None]]]:
    """Return the parts of a row that no edge joins."""
    piece = list(range(len(diagram.boxes)))
    members = {k: [k] for k in piece}
    for edge in diagram.edges:
        a, b = sorted((piece[edge.source], piece[edge.target]))
        if a != b:
            members[a] += members.pop(b)
            for k in members[a]:
                piece[k] = a
    return _split(diagram, inside, piece)


# -- one row -------------------------------------------------------------------------------------


def _row(diagram: Diagram, inside: Sequence[Drawn | None], back: bool) -> Drawn:
    sizes = [_size(box, inner) for box, inner in zip(diagram.boxes, inside, strict=True)]
    plan = layout(sizes, [_link(edge) for edge in diagram.edges])
    body = _edges(diagram, plan, back)
    for box, corner, size, inner in zip(diagram.boxes, plan.corners, sizes, inside, strict=True):
        body.append(_box(box, corner, size, inner))
    return Drawn("".join(body), (plan.width, plan.height))


def _edges(diagram: Diagram, plan: Layout, back: bool) -> list[str]:
    found = []
    for edge, route in zip(diagram.edges, plan.routes, strict=True):
        parts = [f'<path d="{svg.curve(route.points)}" {svg.classed("edge")}/>']
        if not edge.quiet:
            parts.append(svg.arrow(route.points[0] if back else route.points[-1], not back))
        if edge.text:
            parts.append(svg.words(edge.text, route.text[0], route.text[1] + 3, "label"))
        found.append(svg.group(parts, "link", edge.tip))
    return found


def _box(box: Box, corner: Point, size: Point, inner: Drawn | None) -> str:
    (x, y), (w, h) = corner, size
    radius = RADIUS.get(box.kind, min(h / 2, 16.0))
    parts = [svg.rectangle(corner, size, radius, box.kind)]
    if any(line.role == "bad" for line in box.lines):
        parts.append(svg.rectangle(corner, size, radius, "alarm"))
    top = y + PAD_Y if inner is not None else y + (h - box.text_height) / 2
    for line in box.lines:
        top += HEIGHTS[line.role]
        parts.append(svg.words(line.text, x + w / 2, top - 5, line.role))
    if inner is not None:
        parts.append(svg.moved(inner.body, x + (w - inner.size[0]) / 2, top + PAD_Y))
    return svg.group(parts, "box", box.tip)
