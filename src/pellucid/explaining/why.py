"""Why a number moved: every path from one entry of a parameter to the loss.

The slope of the loss in one weight is a sum over paths through single numbers; each path
contributes the product of the local gradients along it.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pellucid.backward import backward
from pellucid.errors import ArgumentError, one_of
from pellucid.explaining.numbers import shown
from pellucid.explaining.reading import Reader
from pellucid.explaining.script import Line, Path
from pellucid.graph import Array, Node, evaluate, symbolic

Spot = tuple[str, tuple[int, ...]]  # one number: (the value's name, its index)
LISTED = 12  # paths that are listed one by one
WIDEST = 4000  # numbers that are followed at each step of the way


@dataclass(frozen=True, eq=False)
class Route:
    """One path: the numbers on it, the local gradient of each step, and their product."""

    spots: tuple[Spot, ...]
    factors: tuple[float, ...]
    product: float

    def __getitem__(self, field: str) -> Any:
        return self.to_json()[field]

    @property
    def path(self) -> str:
        """The path in words: "W1[0, 1] → z1[0, 1] → … → loss"."""
        return " → ".join(map(written, self.spots))

    def to_json(self) -> dict[str, Any]:
        """Return the fields as JSON takes them."""
        return {"path": self.path, "factors": list(self.factors), "product": self.product}


@dataclass(frozen=True, eq=False)
class Why:
    """Why one number moved: its gradient as a sum over paths, and the update that follows.

    `paths` are the largest, `count` how many there are in all, `remainder` what the others add;
    the products of the listed paths and the remainder sum to `gradient`.
    """

    name: str
    before: float
    gradient: float
    paths: tuple[Route, ...]
    count: int
    remainder: float
    update: tuple[str, ...] = ()
    after: float | None = None

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON takes it."""
        told = {k: getattr(self, k) for k in ("name", "before", "gradient", "count", "remainder")}
        paths = [route.to_json() for route in self.paths]
        return {**told, "paths": paths, "update": list(self.update), "after": self.after}

    def to_text(self, width: int = 80) -> str:
        """Return plain text, no line longer than `width`."""
        lines = [line for block in self._blocks() for line in _fitted(block, width)]
        return "\n".join(lines)

    def _blocks(self) -> Iterator[str]:
        say = _short
        yield f"why {self.name} = {say(self.before)} moves"
        yield ""
        for route in self.paths:
            yield f"  {route.path}"
            yield f"      {' * '.join(_factor(f) for f in route.factors)} = {say(route.product)}"
        others = self.count - len(self.paths)
        if others:
            yield f"  {others:,} smaller paths together: {say(self.remainder)}"
        if not self.count:
            found = "a slope is 0" if self.gradient == 0 else "an infinite slope meets one of 0"
            yield f"  {found} on every path"
        parts = [say(r.product) for r in self.paths] + [say(self.remainder)] * bool(others)
        total = " + ".join(f"({p})" if p[0] == "-" and k else p for k, p in enumerate(parts))
        yield ""
        told = [say(self.gradient)]
        if len(parts) > 1:
            told.insert(0, total if len(parts) <= LISTED // 2 else "the sum")
        yield f"  gradient = {' = '.join(told)}"
        yield from (f"  {line}" for line in self.update)

    def __str__(self) -> str:
        return self.to_text()

    __repr__ = __str__


def _short(x: float) -> str:
    return shown(x).text


def _factor(x: float) -> str:
    word = _short(x)
    return f"({word})" if word[0] == "-" else word


def _fitted(line: str, width: int) -> list[str]:
    """Break a line before arrows and operators."""
    out, indent = [], len(line) - len(line.lstrip()) + 4
    while len(line) > width:
        cut = max(line.rfind(mark, indent, width) for mark in (" → ", " * ", " + ", " - ", " "))
        if cut <= indent:
            break
        out.append(line[:cut])
        line = " " * indent + line[cut + 1 :]
    return [*out, line]


def written(spot: Spot) -> str:
    """Return a number's name: W1[0, 1]; a single number has no index."""
    name, index = spot
    return f"{name}[{', '.join(map(str, index))}]" if index else name


def parsed(text: Any, shapes: Mapping[str, tuple[int, ...]]) -> Spot:
    """Read "W1[0,1]"; say which names there are, and how far each index goes."""
    whole = r"\s*-?\d+\s*"
    found = re.fullmatch(rf"\s*([^\W\d]\w*)\s*(?:\[({whole}(?:,{whole})*)\])?\s*", str(text))
    if not found:
        raise ArgumentError(f"{text!r} is not one number of a parameter", 'such as "W1[0, 1]"')
    name, inside = found[1], found[2]
    if name not in shapes:
        raise one_of("parameter", name, shapes)
    shape = shapes[name]
    index = tuple(int(k) for k in inside.split(",")) if inside else ()
    fits = len(index) == len(shape) and all(-s <= k < s for k, s in zip(index, shape, strict=False))
    if not fits:
        example = ", ".join(str(s - 1) for s in shape)
        raise ArgumentError(
            f"{text!r} does not exist: {name} is {shape}",
            f"counted from 0, the last is {name}[{example}]" if shape else f"say {name} alone",
        )
    return name, tuple(k % s for k, s in zip(index, shape, strict=True))


def why(reader: Reader, text: Any, shapes: Mapping[str, tuple[int, ...]], listed: int) -> Why:
    """Follow one number of a parameter to the loss."""
    spot = parsed(text, shapes)
    graph = Slopes(reader)
    routes, count = graph.routes(spot, listed)
    gradient = float(graph.gradient(spot))
    told = sum(r.product for r in routes)
    rest = gradient - told if count > len(routes) else 0.0
    before = float(graph.value(spot))
    lines, after = _update(reader, spot)
    return Why(written(spot), before, gradient, tuple(routes), count, rest, lines, after)


class Slopes:
    """The local gradients between single numbers, found as they are needed."""

    def __init__(self, reader: Reader) -> None:
        self.reader, self.values = reader, reader.values
        self.nodes: dict[str, Node] = {}
        self.gradients: dict[str, Array] = {}
        self.out: dict[str, list[Path]] = {}
        # arguments come before their readers
        self.forward = [x.name for x in reader.script.lines if x.phase in ("forward", "loss")]
        for line in reader.script.lines:
            self._enter(line)
        self.pushes: dict[str, tuple[Node, Node]] = {}

    def _enter(self, line: Line) -> None:
        if not line.paths:
            return
        name = line.name.removeprefix("d_")
        self.gradients[name] = self.values.array(line.whole)
        self.out[name] = list(line.paths)

    def gradient(self, spot: Spot) -> Any:
        """Return the slope of the loss in one number; at the loss itself 1."""
        name, index = spot
        return self.gradients[name][index] if name in self.gradients else 1.0

    def value(self, spot: Spot) -> Any:
        name, index = spot
        leaf = next(x for x, n in self.reader.script.names.items() if n == name)
        return self.values.array(leaf)[index]

    def routes(self, start: Spot, listed: int) -> tuple[list[Route], int]:
        """Return the largest paths from a number to the loss, and how many there are."""
        edges, order = self._reached(start)
        best: dict[Spot, list[tuple[float, tuple[Spot, ...], tuple[float, ...]]]] = {}
        counts: dict[Spot, int] = {}
        for spot in reversed(order):
            nexts = edges[spot]
            if spot[0] == self.reader.script.target:
                best[spot], counts[spot] = [(1.0, (spot,), ())], 1
                continue
            longer = (
                (f * p, (spot, *spots), (f, *factors))
                for after, f in nexts
                for p, spots, factors in best[after]
            )
            best[spot] = heapq.nlargest(listed, longer, key=lambda r: abs(r[0]))
            counts[spot] = sum(counts[after] for after, _ in nexts)
        found = [Route(spots, factors, p) for p, spots, factors in best[start] if factors]
        return found, counts[start]

    def _reached(self, start: Spot) -> tuple[dict[Spot, list[tuple[Spot, float]]], list[Spot]]:
        """Return every number on the way to the loss, before those that it reaches."""
        edges: dict[Spot, list[tuple[Spot, float]]] = {}
        waiting: dict[str, dict[Spot, None]] = {start[0]: {start: None}}
        for name in (start[0], *self.forward):
            for spot in self._largest(waiting.pop(name, {})):
                edges[spot] = list(self._nexts(spot))
                for after, _ in edges[spot]:
                    waiting.setdefault(after[0], {})[after] = None
        found = {s: [(a, f) for a, f in nexts if a in edges] for s, nexts in edges.items()}
        return found, list(edges)

    def _largest(self, spots: dict[Spot, None]) -> list[Spot]:
        if len(spots) <= WIDEST:
            return list(spots)
        return heapq.nlargest(WIDEST, spots, key=lambda s: abs(float(self.gradient(s))))

    def _reader(self, path: Path) -> str:
        return path.label.rsplit(" → ", 1)[1]

    def _nexts(self, spot: Spot) -> Iterator[tuple[Spot, float]]:
        """Yield each number that reads this one directly, and its slope in it."""
        name, index = spot
        for path in self.out.get(name, ()):
            slopes = self._slopes(path, index)
            reader = self._reader(path)
            for at in zip(*np.nonzero(slopes), strict=True) if slopes.ndim else [()] * bool(slopes):
                yield (reader, tuple(int(k) for k in at)), float(slopes[at])

    def _slopes(self, path: Path, index: tuple[int, ...]) -> Array:
        """Return the slopes of everything in the reader in one number of what it reads."""
        if path.upstream is None:  # the loss itself: a single number
            return np.asarray(self.values.array(path.product)[index])
        if path.label not in self.pushes:
            self.pushes[path.label] = _push(path)
        probe, pushed = self.pushes[path.label]
        basis = np.zeros(self.values.array(path.product).shape)
        basis[index] = 1
        # slopes do not depend on the gradient that comes from above: it is only multiplied
        known = {x: v for x, v in self.values.known.items() if x is not path.upstream}
        sizes = self.values.sizes
        return np.asarray(evaluate([pushed], {**known, probe: basis}, sizes)[0])


def _push(path: Path) -> tuple[Node, Node]:
    """Return a probe of the value, and how the reader moves with it.

    A pull-back is linear in the gradient that it pulls; its own pull-back is the push-forward.
    """
    assert path.upstream is not None
    probe = symbolic("probe", path.product.shape)
    return probe, backward({path.product: probe}, [path.upstream])[path.upstream]


def _update(reader: Reader, spot: Spot) -> tuple[tuple[str, ...], float | None]:
    """Return the lines of the optimizer's step for this number, and what it becomes."""
    name, index = spot
    window = tuple(slice(k, k + 1) for k in index)
    lines, after = [], None
    for line in reader.script.lines:
        if line.owner != name:
            continue
        numbers, result = reader.one(line, window)
        lines.append(f"{line.name} = {line.formula.python} = {numbers} = {result}")
        after = float(reader.values.array(line.whole)[index])
    return tuple(lines), after
