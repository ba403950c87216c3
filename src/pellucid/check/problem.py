"""What is checked: a number as a function of named parameters, and the gradient that is claimed.

Problem     parameters side by side in one float64 array, the loss at them, the claimed slopes
on_graph    a problem whose loss is a node      by_calls    one whose loss is found by calling
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pellucid import ops
from pellucid.backward import gradients
from pellucid.check.replay import Replay, switches
from pellucid.errors import ArgumentError, DataError, ShapeError, one_of
from pellucid.graph import Array, Node, lift

Slopes = Callable[[], Array]


@dataclass(frozen=True)
class Place:
    """Where a parameter lies among all numbers."""

    name: str
    start: int
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    @property
    def stop(self) -> int:
        return self.start + self.size

    def index(self, k: int) -> tuple[int, ...]:
        """Return the index in the parameter of the k-th of all numbers."""
        return tuple(int(i) for i in np.unravel_index(k - self.start, self.shape))


@dataclass(eq=False)
class Problem:
    """A number as a function of parameters, and what is claimed to be its gradient.

    `flat` is moved in place; `read` gives the loss there, and where the graph's switches stand.
    """

    flat: Array
    places: tuple[Place, ...]
    read: Callable[[], tuple[float, list[Array]]]
    slopes: Slopes  # the claimed gradient at `flat`, side by side
    anew: bool = True  # whether that can be asked for at other parameters
    own: Slopes | None = None  # what the graph itself would claim, where a caller claims something
    trained: Slopes | None = None  # the gradient as it is simplified for training
    blind: bool = False  # whether its switches are not known, so that corners must be guessed
    notes: list[str] = field(default_factory=list)
    evaluations: int = 0

    def at(self) -> tuple[float, list[Array]]:
        self.evaluations += 1
        return self.read()

    def named(self, wrt: Any) -> tuple[Place, ...]:
        """Return the parameters that are asked for."""
        if wrt is None:
            return self.places
        known = {p.name: p for p in self.places}
        asked = wrt if isinstance(wrt, (list, tuple)) else [wrt]
        names = [w.name if isinstance(w, Node) else w for w in asked]
        if not names:
            raise ArgumentError("wrt names nothing", f"choose from {', '.join(known)}")
        for name in names:
            if name not in known:
                raise one_of("parameter", name, known)
        return tuple(known[name] for name in names)


def placed(arrays: Mapping[str, Array]) -> tuple[Array, tuple[Place, ...], list[Array]]:
    """Lay arrays side by side; return that, their places, and views of it in their shapes."""
    places, start = [], 0
    for name, array in arrays.items():
        places.append(Place(name, start, array.shape))
        start += array.size
    flat = np.concatenate([np.ravel(a) for a in arrays.values()]).astype(np.float64)
    for p in places:
        _finite(flat[p.start : p.stop].reshape(p.shape), p.name)
    return flat, tuple(places), [flat[p.start : p.stop].reshape(p.shape) for p in places]


def _finite(array: Array, name: str) -> None:
    bad = np.argwhere(~np.isfinite(array))
    if len(bad):
        index = tuple(map(int, bad[0]))
        raise DataError(
            f"{name}{list(index) if index else ''} is {array[index]}",
            "a slope is checked where all parameters are finite",
        )


@dataclass(frozen=True, eq=False)
class Traced:
    """A loss on a graph: what moves, in which leaves it lies, and what else must be fed."""

    loss: Node
    wrt: Sequence[Node]  # one for each place
    leaves: Sequence[Node]  # that carry the moving numbers …
    views: Sequence[Array]  # … which lie here
    feed: Mapping[Node, Any] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)


def on_graph(flat: Array, places: tuple[Place, ...], traced: Traced) -> Problem:
    """Return the problem of a loss on a graph, whose claimed gradient is the plain one."""
    slopes = gradients(traced.loss, traced.wrt)
    jumps = switches([traced.loss, *slopes], traced.leaves)
    loss = _replay([traced.loss, *jumps], traced)
    claimed = _replay(slopes, traced)

    def read() -> tuple[float, list[Array]]:
        value, *found = loss(traced.views)
        return float(np.reshape(value, ())), found

    problem = Problem(flat, places, read, joined(claimed, traced))
    if loss.held:
        problem.notes.append("what stop_gradient fixes is held still, as the gradient has it")
    return problem


def _replay(outputs: Sequence[Node], traced: Traced) -> Replay:
    replay = Replay(outputs, traced.leaves, traced.feed, traced.sizes)
    replay.hold(traced.views)
    return replay


def joined(replay: Replay, traced: Traced) -> Slopes:
    """Return the gradient of every place, side by side."""
    return lambda: np.concatenate([np.ravel(g) for g in replay(traced.views)])


def simplified_slopes(outputs: Sequence[Node], traced: Traced) -> Slopes:
    """Return the gradient as another graph of the same leaves has it."""
    return joined(_replay(outputs, traced), traced)


def along(traced: Traced, direction: Array, places: Sequence[Place]) -> Traced:
    """Return the slope of a loss along a direction, whose own gradient is H · direction."""
    slopes = gradients(traced.loss, traced.wrt)
    parts = [
        ops.sum(g * lift(direction[p.start : p.stop].reshape(p.shape)))
        for g, p in zip(slopes, places, strict=True)
    ]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return Traced(total, traced.wrt, traced.leaves, traced.views, traced.feed, traced.sizes)


def by_calls(
    flat: Array, places: tuple[Place, ...], call: Callable[[], Any], slopes: Slopes
) -> Problem:
    """Return the problem of a function that no graph is known of."""

    def read() -> tuple[float, list[Array]]:
        try:
            with np.errstate(all="ignore"):
                return float(np.reshape(call(), ())), []
        except (ArithmeticError, ValueError):  # math.log(-1.0), where NumPy says nan
            return math.nan, []

    return Problem(flat, places, read, slopes, blind=True)


def claimed(given: Any, places: Sequence[Place]) -> Array:
    """Return gradients that were given by name, side by side; refuse other shapes."""
    parts = []
    for p in places:
        keys = [k for k in (p.name, f"d_{p.name}", f"d{p.name}") if k in given]
        if not keys:
            raise ArgumentError(
                f"no gradient is given for {p.name}", f"known: {', '.join(map(str, given))}"
            )
        array = np.asarray(given[keys[0]], np.float64)
        if array.shape != p.shape:
            turned = array.T.shape == p.shape and array.ndim > 1
            raise ShapeError(
                f"the gradient of {p.name} is {array.shape}, {p.name} itself {p.shape}",
                "transpose it" if turned else "a gradient has its parameter's shape",
            )
        parts.append(array.ravel())
    return np.concatenate(parts)
