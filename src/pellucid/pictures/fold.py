"""Find what a graph repeats: a hundred equal blocks are drawn once, with × 100.

Every op is described by what it is and how far back its operands lie.  Where that description
repeats with some period, so does the graph, however many values are handed from block to block.
A second pass sees the first one's blocks as one, which folds the backward pass of a folded chain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pellucid.graph import Node
from pellucid.op import exact

WINDOW = 48  # the longest block that is found
TIMES, NODES = 3, 8  # what is repeated less often, or is shorter in all, is drawn as it is
BUSY = 4  # who is read this often from far away is not a neighbor's value


@dataclass(frozen=True)
class Run:
    """A stretch of ops, in their order, that repeats: `times` blocks of `period` ops."""

    start: int
    period: int
    times: int

    @property
    def stop(self) -> int:
        return self.start + self.period * self.times


def repeats(ops: Sequence[Node]) -> list[Run]:
    """Return the repeated stretches of ops in their order of calculation."""
    found: list[Run] = []
    facts = _Facts(ops)
    for _ in range(2):
        free = {r.start for r in found}
        fresh = _runs(facts.strict(found), facts.loose, found)
        found = sorted([*found, *fresh], key=lambda r: r.start)
        if {r.start for r in found} == free:
            break
    return found


class _Facts:
    """What of every op has to agree for two blocks to be equal."""

    def __init__(self, ops: Sequence[Node]) -> None:
        self.ops = ops
        self.index = {node: i for i, node in enumerate(ops)}
        self.readers: dict[Node, list[int]] = {}
        for i, node in enumerate(ops):
            for a in node.args:
                self.readers.setdefault(a, []).append(i)
        self.loose = [
            (n.op, exact([v for _, v in n.attrs]), str(n.shape), *map(_number, n.args)) for n in ops
        ]

    def strict(self, runs: Sequence[Run]) -> list[Any]:
        place = {i: (r, (i - r.start) % r.period) for r in runs for i in range(r.start, r.stop)}
        last: dict[Node, int] = {}
        found = []
        for i, node in enumerate(self.ops):
            operands = (self._operand(a, i, place, last) for a in node.args)
            found.append((*self.loose[i], *operands))
            last |= dict.fromkeys(node.args, i)
        return found

    def _operand(self, a: Node, i: int, place: Mapping[int, Any], last: Mapping[Node, int]) -> Any:
        """Return what has to agree about operand a of op i."""
        j, read = self.index.get(a), self.readers[a]
        if j is None and a.is_constant and not a.ndim:
            return ("number", _number(a))
        home = read[0] if j is None else j
        if home in place and i not in place:
            return ("folded", j is None, *place[home])
        if sum(r - home > WINDOW for r in read) >= BUSY:
            return ("this", id(a))
        if j is None:
            return self._leaf(a, i, last)
        return ("back", i - j) if i - j <= WINDOW else ("this", id(a))

    def _leaf(self, a: Node, i: int, last: Mapping[Node, int]) -> Any:
        if a not in last:
            return ("new", str(a.shape), a.dtype)
        return ("again", i - last[a]) if i - last[a] <= WINDOW else ("this", id(a))


def _number(a: Node) -> Any:
    """Return a fixed number, which has to agree wherever else an operand comes from."""
    if not a.is_constant or a.ndim:
        return None
    return exact(a.data.item() if isinstance(a.data, np.ndarray) else a.data)


def _runs(strict: Sequence[Any], loose: Sequence[Any], taken: Sequence[Run]) -> list[Run]:
    """Return the best stretches from left to right, clear of those that are taken."""
    codes: dict[Any, int] = {}
    numbers = np.array([codes.setdefault(s, len(codes)) for s in strict], dtype=int)
    closed = np.zeros(len(numbers), dtype=bool)
    for run in taken:
        closed[run.start : run.stop] = True
    numbers[closed] = -1 - np.arange(int(closed.sum()))  # equal to nothing
    same = _agreements(numbers)
    found: list[Run] = []
    i = 0
    while i < len(numbers):
        best = _best(same, i, loose, closed, found[-1].stop if found else 0)
        found += [best] if best else []
        i = best.stop if best else i + 1
    return found


def _agreements(numbers: Any) -> Any:
    """Return, per period and place, for how long the description agrees with a period later."""
    most = min(WINDOW, len(numbers) // TIMES)
    table = np.zeros((most + 1, len(numbers)), dtype=int)
    for p in range(1, most + 1):
        differs = np.flatnonzero(numbers[:-p] != numbers[p:])
        ends = np.append(differs, len(numbers) - p)
        at = np.arange(len(numbers) - p)
        table[p, : len(at)] = ends[np.searchsorted(ends, at)] - at
    return table


def _best(same: Any, i: int, loose: Sequence[Any], closed: Any, floor: int) -> Run | None:
    """Return the stretch beginning near i that leaves least to draw, if any is worth it."""
    lengths = same[:, i]
    periods = np.arange(len(same))
    saved = np.where(
        (lengths + periods >= TIMES * periods) & (lengths + periods >= NODES), lengths, 0
    )
    if not saved.any():
        return None
    p = int(np.argmax(saved))
    runs = [_aligned(i + t, i + int(lengths[p]) + p, p, loose, closed, floor) for t in range(p)]
    return max(runs, key=lambda r: (r.times, -r.start))


def _aligned(start: int, stop: int, p: int, loose: Sequence[Any], closed: Any, floor: int) -> Run:
    """Take in the block before, where it differs only in where its operands come from."""
    times, before = (stop - start) // p, start - p
    if (
        before >= floor
        and loose[before:start] == loose[start : start + p]
        and not closed[before:start].any()
    ):
        return Run(before, p, times + 1)
    return Run(start, p, times)
