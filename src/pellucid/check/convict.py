"""From wrong gradients to the slip that made them: every piece is tried, from the output down.

A layer's gradients depend on what arrives there and on its own pieces only. So the search walks
from the last layer to the first and keeps what explains the gradients so far: combinations of
slips at different layers need not be tried blindly.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pellucid.check.chain import Place, fixed, penalty_slope, right
from pellucid.check.forms import Form
from pellucid.check.slips import SLIPS, Fault, Slip, forms, is_factor
from pellucid.errors import PellucidError
from pellucid.graph import Array, Node

RANK = {form: k for k, form in enumerate(form for slip in SLIPS for form in slip.forms)}
MOST = 32  # how many partial explanations are kept from one layer to the next


@dataclass(frozen=True, eq=False)
class Evidence:
    """The gradients of one run, the layers they belong to, and how closely they must be met."""

    layers: tuple[Place, ...]
    grads: Mapping[str, Array]
    tolerance: float
    scale: float = 1.0  # of the student's own loss against the model's
    penalties: tuple[float, ...] = (1.0,)  # of the penalty's slope, where that is no slip
    floor: float = 0.0  # what is smaller is round-off

    def meets(self, name: str, node: Any) -> bool:
        """Say whether this is what the student has; what it does not show, anything meets."""
        return name not in self.grads or near(
            self.grads[name], node.value, self.tolerance, self.floor
        )


@dataclass(frozen=True, eq=False)
class Trail:
    """What explains the gradients down to some layer, and that layer."""

    faults: tuple[Fault, ...] = ()
    place: Place | None = None
    penalty: float | None = None

    @property
    def codes(self) -> tuple[str, ...]:
        """The slips, each once."""
        return tuple(dict.fromkeys(f.slip.code for f in self.faults))

    @property
    def cost(self) -> tuple[int, int, int]:
        """Few slips, at few places, likely ones: in this order."""
        rank = sum(RANK[f.form] + len(RANK) * f.form.unlikely for f in self.faults)
        return len(self.codes), len(self.faults), rank

    def with_fault(self, fault: Fault) -> Trail:
        return replace(self, faults=(*self.faults, fault))


def near(one: Array, two: Array, tolerance: float, floor: float = 0.0) -> bool:
    """Say whether two arrays agree, as far as the largest entry can tell, or up to round-off."""
    if one.shape != two.shape:
        return False
    if not one.size:
        return True
    size = max(float(np.abs(one).max()), float(np.abs(two).max()), 1e-300)
    return bool(np.abs(one - two).max() <= max(tolerance * size, floor))


def explanations(evidence: Evidence, most: int = 2) -> list[Trail]:
    """Return what explains all gradients with as few slips as possible, likeliest first."""
    with np.errstate(all="ignore"):
        for budget in range(1, most + 1):
            found = sorted(_search(evidence, budget), key=lambda t: t.cost)
            if found:
                return _distinct([t for t in found if t.cost[:2] == found[0].cost[:2]])
    return []


def _distinct(trails: Iterable[Trail]) -> list[Trail]:
    """Return the best trail of each set of slips."""
    best: dict[frozenset[str], Trail] = {}
    for trail in trails:
        best.setdefault(frozenset(trail.codes), trail)
    return list(best.values())


def _search(evidence: Evidence, budget: int) -> list[Trail]:
    trails = [Trail()]
    for place in reversed(evidence.layers):
        found = [new for trail in trails for new in _layer(evidence, place, trail, budget)]
        trails = _cheapest(found)
    return trails


def _cheapest(trails: Iterable[Trail]) -> list[Trail]:
    """Return the best trails, of those that pass on the same with the same slips only one."""
    best: dict[Any, Trail] = {}
    for trail in sorted(trails, key=lambda t: t.cost):
        assert trail.place is not None
        passed = np.asarray(trail.place.delta.value)
        rounded = np.round(passed / (np.abs(passed).max() or 1.0), 9).tobytes()
        best.setdefault((frozenset(trail.codes), len(trail.faults), rounded), trail)
    return list(best.values())[:MOST]


def _layer(evidence: Evidence, place: Place, trail: Trail, budget: int) -> Iterator[Trail]:
    """Yield every trail that explains the gradients of one more layer."""
    above = trail.place
    arriving, piece = (place, "error") if above is None else (above, "pass")
    for g, came in _variants(arriving, piece, trail, budget):
        p = replace(place, above=above, g=fixed(g * evidence.scale if above is None else g))
        for delta, at in _variants(p, "slope", came, budget):
            q = replace(p, delta=fixed(delta))
            for weighed in _weights(evidence, q, at, budget):
                for done in _biases(evidence, q, weighed, budget):
                    yield replace(done, place=q)


def _weights(evidence: Evidence, p: Place, trail: Trail, budget: int) -> Iterator[Trail]:
    name = p.block.W
    extra = penalty_slope(p)
    for node, at in _variants(p, "weight", trail, budget):
        if extra is None:
            if evidence.meets(name, node):
                yield at
            continue
        for factor in evidence.penalties if at.penalty is None else (at.penalty,):
            for part, done in _variants(p, "penalty", at, budget, factor * extra):
                if _fits(node, part) and evidence.meets(name, node + part):
                    yield replace(done, penalty=factor)


def _fits(one: Node, two: Node) -> bool:
    return one.shape == two.shape


def _biases(evidence: Evidence, p: Place, trail: Trail, budget: int) -> Iterator[Trail]:
    if not p.block.b:
        yield trail
        return
    for node, at in _variants(p, "bias", trail, budget):
        if evidence.meets(p.block.b, node):
            yield at


# -- one piece -------------------------------------------------------------------------------------


def _variants(
    p: Place, piece: str, trail: Trail, budget: int, correct: Node | None = None
) -> Iterator[tuple[Node, Trail]]:
    """Yield a piece as it should be, then every slip of it that is still allowed."""
    node = _made(lambda: right(p, piece)) if correct is None else correct
    if node is None:
        return
    yield node, trail
    for slip, form in forms(piece):
        slipped = _slip(p, piece, slip, form, node, trail, budget)
        if slipped is None:
            continue
        new = trail.with_fault(Fault(slip, form, p.number, piece))
        yield slipped, new


def _slip(
    p: Place, piece: str, slip: Slip, form: Form, node: Node, trail: Trail, budget: int
) -> Node | None:
    """Return a piece with one more slip, where that is allowed and can be computed."""
    if (len(trail.codes) >= budget and slip.code not in trail.codes) or not form.when(p):
        return None
    if is_factor(form) and _said_elsewhere(p, piece, trail):
        return None
    return _made(lambda: form.becomes(p, node))


def _said_elsewhere(p: Place, piece: str, trail: Trail) -> bool:
    """Say whether a factor here is one at what arrives here: it is tried once."""
    return piece == "slope" and not (p.last and trail.faults)


def _made(make: Any) -> Node | None:
    """Return a node and its value, or None where shapes do not fit."""
    try:
        node = make()
        return None if node is None or node.value is None else node
    except (PellucidError, ValueError, IndexError):
        return None
