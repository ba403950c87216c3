"""Which slopes are checked: each one of a small problem, directions and culprits of a big one.

A direction through a block of numbers says with four values of the loss whether all of their
slopes are right; where it disagrees, the block is halved until the element is found.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

import numpy as np

from pellucid.check.differences import sizes_of
from pellucid.check.kinks import Finding, Judge
from pellucid.check.problem import Place, Problem
from pellucid.graph import Array

BLOCKS = 96  # directions for a whole big problem: at 784-128-10, one for each 1,000 weights
FEW = 24  # elements of a big parameter that are checked singly all the same
CULPRITS = 3  # elements of a parameter that are hunted down
ENOUGH = 8  # wrong ones, after which no more are looked for
TRIES = 3  # points beside a kink
BESIDE = 1e-3  # how far they are from it, for parameters of size 1


def examined(
    problem: Problem, places: Sequence[Place], tolerance: float, elements: int, seed: int
) -> dict[str, list[Finding]]:
    """Return what was found out about each parameter; `elements` is how many are checked singly."""
    judge = Judge(problem, tolerance, seed)
    whole = sum(p.size for p in places) <= elements
    found = {}
    for k, place in enumerate(places):
        judge.learn_step(place)
        if whole or place.size <= FEW:
            found[place.name] = [judge.element(place, i) for i in range(place.start, place.stop)]
        else:
            found[place.name] = list(_sampled(judge, place, places, seed + k))
    return _beside(judge, places, found)


def _sampled(judge: Judge, place: Place, places: Sequence[Place], seed: int) -> Iterator[Finding]:
    """Judge a big parameter: some of its elements, block by block, and who is at fault."""
    rng = np.random.default_rng(seed)
    singly = sorted(set(_chosen(judge.claimed, place, rng)))
    yield from _until_clear(judge.element(place, k) for k in singly)
    total = sum(p.size for p in places)
    count = min(place.size, max(4, round(BLOCKS * place.size / total)))
    blocks = _parts(slice(place.start, place.stop), count)
    moves = [_direction(rng, b.stop - b.start) for b in blocks]
    rows = (judge.direction(place, b, d) for b, d in zip(blocks, moves, strict=True))
    hunted = convicted = 0
    for block, d, found in zip(blocks, moves, _until_clear(rows), strict=False):
        if found.kind == "wrong" and hunted < CULPRITS:
            hunted += 1
            culprit = judge.element(place, _culprit(judge, place, block, rng))
            convicted += culprit.kind == "wrong"
            yield culprit
        doubtful = found.kind == "wrong" and not convicted
        yield judge.direction(place, block, d, sure=True) if doubtful else found


def _until_clear(rows: Iterable[Finding]) -> Iterator[Finding]:
    """Stop where enough is wrong: right slopes cost little, wrong ones are looked at closely."""
    wrong = 0
    for row in rows:
        yield row
        wrong += row.kind == "wrong"
        if wrong == ENOUGH:
            return


def _chosen(claimed: Array, place: Place, rng: np.random.Generator) -> Iterator[int]:
    """Yield elements that say most: the largest slopes, and some at random."""
    part = np.abs(claimed[place.start : place.stop])
    for k in [*np.argsort(-np.nan_to_num(part))[: FEW // 3], *rng.integers(part.size, size=FEW)]:
        yield place.start + int(k)


def _parts(where: slice, count: int) -> list[slice]:
    """Return a slice in parts as equal as can be."""
    edges = np.linspace(where.start, where.stop, count + 1).round().astype(int)
    return [slice(int(a), int(b)) for a, b in pairwise(edges)]


def _direction(rng: np.random.Generator, size: int) -> Array:
    """Return random signs and sizes of length 1: no two slopes that are wrong alike cancel."""
    d: Array = rng.uniform(0.5, 1.5, size) * rng.choice([-1.0, 1.0], size)
    d /= np.linalg.norm(d)
    return d


def _culprit(judge: Judge, place: Place, where: slice, rng: np.random.Generator) -> int:
    """Return the element that a wrong direction comes down to, halving it again and again."""
    while where.stop - where.start > 1:
        left, right = _parts(where, 2)
        rows = (judge.direction(place, half, _direction(rng, half.stop - half.start))
                for half in (left, right))  # fmt: skip
        one = next(rows)
        wrong = one.kind == "wrong" or one.absolute > next(rows).absolute
        where = left if wrong else right
    return int(where.start)


# -- beside kinks --------------------------------------------------------------------------------


def _beside(
    judge: Judge, places: Sequence[Place], found: dict[str, list[Finding]]
) -> dict[str, list[Finding]]:
    """Check what lies on a kink once more beside it, where there is a slope to be right about."""
    open_ = {name for name, rows in found.items() if any(r.kind == "kink" for r in rows)}
    problem = judge.problem
    if not open_ or not problem.anew:
        return found
    start, rng = problem.flat.copy(), np.random.default_rng(judge.seed + 1)
    for _ in range(TRIES):
        shift = rng.uniform(0.3, 1, start.size) * rng.choice([-1, 1], start.size)
        problem.flat[:] = start + BESIDE * shift * sizes_of(problem)
        other = Judge(problem, judge.tolerance, judge.seed)
        if np.isfinite(other.point.value) and np.isfinite(other.claimed).all():
            found = {p.name: _again(other, p, places, found[p.name]) for p in places}
            break
    problem.flat[:] = start
    return found


def _again(
    judge: Judge, place: Place, places: Sequence[Place], rows: list[Finding]
) -> list[Finding]:
    """Judge beside it what was found on a kink: wrong there is wrong, anything else stays one."""
    if not any(r.kind == "kink" for r in rows):
        return rows
    judge.learn_step(place)
    if any(r.kind == "kink" and r.index is None for r in rows):  # directions that crossed kinks
        single = [r for r in rows if r.index is not None]
        return [*single, *_sampled(judge, place, places, judge.seed)]
    return [_once_more(judge, place, r) if r.kind == "kink" else r for r in rows]


def _once_more(judge: Judge, place: Place, row: Finding) -> Finding:
    assert row.index is not None
    k = int(np.ravel_multi_index(row.index, place.shape)) if row.index else 0
    now = judge.element(place, place.start + k)
    return now if now.kind == "wrong" else row
