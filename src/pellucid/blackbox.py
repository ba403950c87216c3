"""The black box: a step that was not finite, replayed with every value kept, and what it shows.

failure(scene)      the first operation in execution order that gave NaN or Inf, as an error
hides_slopes(plan)  whether an optimizer can take such a gradient and leave no trace of it
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from pellucid.batches import Batch, Numbers
from pellucid.causes import GROWN, Cause, Event, event_of, infinite, lead, remedy
from pellucid.culprits import culprit
from pellucid.dims import known
from pellucid.errors import NonFiniteError, TrainingWarning, outside
from pellucid.graph import Array, Node, computed, order, symbolic
from pellucid.history import History
from pellucid.replays import Names, Replay, operands
from pellucid.train import Blueprint, Step


class Flight(NamedTuple):
    """A step before the failure: its loss, and the norms that it started from."""

    step: int
    loss: float
    parameters: float
    gradient: float


@dataclass(frozen=True, eq=False)
class Scene:
    """Where the failing step starts: the model's numbers are those of the last good step."""

    stepper: Any  # its plan, its numbers, and what a step is given
    data: Batch
    led: Sequence[tuple[Array, Batch]]  # rows and samples of the steps before, and of this one
    entry: Numbers  # before the first of those
    flights: Sequence[Flight]
    epoch: int  # of this fit, from 1

    @property
    def step(self) -> int:
        """The number of the failing step."""
        return int(self.stepper.numbers.steps) + 1

    @property
    def rate(self) -> float:
        """The learning rate of the failing step."""
        numbers = self.stepper.numbers
        rate = self.stepper.plan.optimizer.rate_at(self.step - numbers.since, numbers.scale)
        return float(rate)

    @property
    def rows(self) -> Array:
        """Which rows of the caller's data the failing step takes."""
        return self.led[-1][0]

    @cached_property
    def traced(self) -> Step:
        """The program of the step, and its graph."""
        found: Step = self.stepper.program(self.data.weights is not None)[0]
        return found

    def replayed(self) -> Replay:
        """Take the failing step with every value kept."""
        batch = self.led[-1][1]
        given = self.stepper.inputs(self.traced, batch, ahead=1)
        return Replay(self.traced, given, len(batch))

    def fine_on(self, batches: Iterable[Batch]) -> bool:
        """Try whether the steps up to this one stay finite, and of their size, on other samples."""
        numbers, first = self.stepper.numbers, norm(self.entry.params)
        here = numbers.copy()
        numbers.restore(self.entry)
        losses = [self.stepper.take(batch)["loss"] for batch in batches]
        fine = np.isfinite(losses).all() and numbers.finite()
        grown = norm(numbers.params) > GROWN * max(first, 1.0)
        numbers.restore(here)
        return bool(fine and not grown)


# -- the report ------------------------------------------------------------------------------------


def failure(scene: Scene) -> NonFiniteError:
    """Replay the failing step, and say what went wrong first."""
    replay = scene.replayed()
    norms = tuple(scene.flights)
    facts: dict[str, Any] = {"step": scene.step, "epoch": scene.epoch, "norms": norms}
    origin = replay.origin()
    if origin is None:
        became = "the loss or a parameter became NaN or Inf"
        hint = f"a smaller learning rate (now {scene.rate:g}), or scaled inputs"
        lines = [_head(became, scene), _unknown(scene), *_table(scene.flights)]
        return NonFiniteError("\n".join(lines), hint, cause="not seen again", became=became,
                              reproduced=False, **facts)  # fmt: skip
    found = _Found(scene, replay, *origin)
    told = [_head(found.became, scene), *found.lines(), *_table([*scene.flights, found.flight])]
    return NonFiniteError("\n".join(told), remedy(found.cause), **found.facts(), **facts)


def _head(became: str, scene: Scene) -> str:
    kept = f"the parameters of step {scene.step - 1}, the last good one"
    if not scene.step - 1:
        kept = "the parameters that it had before"
    return f"{became} at step {scene.step}, in epoch {scene.epoch};\n  the model keeps {kept}"


def _unknown(scene: Scene) -> str:
    return (
        "  it did not come again when that step was replayed, with NumPy: its sums\n"
        "  were taken in another order, or a callback changed the model within the epoch"
    )


class _Found:
    """The first value that was not finite, with all that is known about it."""

    def __init__(self, scene: Scene, replay: Replay, node: Node, index: tuple[int, ...]) -> None:
        self.scene, self.replay, self.node, self.spot = scene, replay, node, index
        self.names = Names(scene.stepper.plan, scene.traced)
        self.value = float(np.asarray(replay.values[node])[index])
        self.parts = operands(replay, node, index)
        self.event = self._event()
        self.then = None if np.isnan(self.value) else replay.clash()
        self.cause = self._cause()

    def _event(self) -> Event:
        """Return what happened there."""
        if self.node.op is None:
            return Event("given", f"{'NaN' if np.isnan(self.value) else 'Inf'} was given")
        constants = [a.is_constant for a in self.node.args]
        return event_of(self.node.op, self.node.settings, self.parts, self.value, constants)

    def _cause(self) -> Cause:
        scene = self.scene
        odd = culprit(scene) if self.event.overflows or self.event.unary else None
        overflow = self.event.overflows and not odd
        growth = lead([*scene.flights, self.flight]) if overflow else ""
        largest = float(np.abs(scene.data.X).max(initial=0.0))
        then = self.then[0] if self.then else ""
        return Cause(self.event, self.phase, scene.rate, growth, odd, self.place[0], largest,
                     then)  # fmt: skip

    @property
    def flight(self) -> Flight:
        """The failing step itself."""
        scene, values = self.scene, self.replay.values
        ends = self.replay.ends
        loss = float(values[ends["forward"]["loss"]])
        norms = (norm(scene.stepper.numbers.params), norm(values[ends["backward"]["grads"]]))
        return Flight(scene.step, loss, *norms)

    @cached_property
    def phase(self) -> str:
        """In which of the phases it was computed."""
        for phase, ends in self.replay.ends.items():
            if self.node in set(order(ends.values())):
                return phase
        return "forward"

    @cached_property
    def named(self) -> tuple[str, Node]:
        """The name of the value, or of the nearest that is made from it."""
        return self.names.name(self.node, self.replay.order)

    @cached_property
    def place(self) -> tuple[str, tuple[int, ...], int | None]:
        """Return name, index and layer; an element of a flat array belongs to a parameter."""
        name, reader = self.named
        slot = self.names.slot(self.node, self.spot)
        name = name.removeprefix("new_")
        if slot is None:
            return name, self.spot, self.names.layer(name)
        where, index = slot
        if name == "params":
            name = where.name if reader.op is None else f"{where.name}_new"
        elif name == "grads":
            name = f"d_{where.name}"
        return name, index, where.layer + 1

    @property
    def row(self) -> int | None:
        """The row of the data that the element belongs to."""
        per_row = self.node.shape[:1] and not known(self.node.shape[:1])
        return int(self.scene.rows[self.spot[0]]) if per_row else None

    @property
    def became(self) -> str:
        """Return what stopped the training."""
        key, node = next(iter(self.replay.lost.items()))
        array = np.asarray(self.replay.values[node])
        kind = "NaN" if np.isnan(array).any() else "Inf"
        said = {"loss": "the loss", "grads": "the gradient", "params": "a parameter"}
        if key == "grads":
            spot = int(np.argwhere(infinite(array))[0][0])
            slot = self.names.slot(node, (spot,))
            said["grads"] = f"the gradient d_{slot[0].name}" if slot else "the gradient"
        kept = {s.name for s in self.scene.stepper.plan.net.fixed}
        other = f"{key}, which the layers keep," if key in kept else f"the optimizer state {key}"
        return f"{said.get(key, other)} became {kind}"

    def facts(self) -> dict[str, Any]:
        """Return what the error holds."""
        name, index, layer = self.place
        names = [self._operand(a) for a in self.node.args]
        operands = {k: _copied(v) for k, v in zip(names, self.parts, strict=True)}
        if self.node.op is None:
            operands = {name: self.value}
        return {
            "phase": self.phase, "op": self.node.op.name if self.node.op else "given",
            "event": self.event.text, "layer": layer, "name": name, "index": index,
            "row": self.row, "value": self.value, "operands": operands, "cause": self.cause.text,
            "became": self.became,
        }  # fmt: skip

    def _operand(self, node: Node) -> str:
        """Return an operand's name; an element of all gradients is of one parameter's."""
        name, slot = self.names.operand(node), self.names.slot(node, self.spot)
        if slot is None or name not in ("grads", "params"):
            return name
        return f"d_{slot[0].name}" if name == "grads" else slot[0].name

    def lines(self) -> list[str]:
        """Say it, in lines."""
        name, index, layer = self.place
        told = [f"  first: {self._first(name, index)}", f"  in the {self._where(layer)}"]
        facts = self.facts()
        fixed = {self._operand(a) for a in self.node.args if a.is_constant}
        told += [f"  from: {k} = {_shown(v)}" for k, v in facts["operands"].items()
                 if self.node.op is not None and k not in fixed]  # fmt: skip
        if self.then:
            told.append(f"  then: {self.then[0]} in {self._called(self.then[1])} made NaN of it")
        more = "" if self.cause.text == self.event.text else f" ({self.event.text})"
        told += [f"  cause: {self.cause.text}{more}"]
        return [_cut(line) for line in [*told, *([f"  {self.cause.growth}"] * self.grew)]]

    @property
    def grew(self) -> bool:
        """Whether numbers grew over the steps before."""
        return bool(self.cause.growth)

    def _called(self, node: Node) -> str:
        return self.names.name(node, self.replay.order)[0].removeprefix("new_")

    def _first(self, name: str, index: tuple[int, ...]) -> str:
        at = f"[{', '.join(map(str, index))}]" if index else ""
        if self.node.op is None:
            return f"{name}{at} = {self.value:g}, as it was before this step"
        inside = self.named[1] is not self.node
        formula = self.names.formula(self.node)
        if inside:
            return f"{formula} = {self.value:g}, at {at or 'the only element'}, inside {name}"
        return f"{name}{at} = {formula} = {self.value:g}"

    def _where(self, layer: int | None) -> str:
        passes = {"forward": "forward pass", "backward": "backward pass", "update": "update"}
        kind = "" if layer is None else type(self.names.net.layers[layer - 1]).__name__
        of = "" if layer is None else f", layer {layer}, {kind}"
        row = "" if self.row is None else f", row {self.row} of the data"
        return f"{passes[self.phase]}{of}{row}"


def norm(array: Any) -> float:
    """Return the length of a vector, without an overflow where that can be."""
    sizes = np.abs(np.asarray(array, np.float64).ravel())
    top = float(sizes.max(initial=0.0))
    if not 0 < top < np.inf:
        return top
    return float(top * np.linalg.norm(sizes / top))


def _copied(value: Array) -> Any:
    """Return a number, or a copy of an array that later steps may overwrite."""
    return value.item() if not value.ndim else np.array(value)


def _shown(value: Any) -> str:
    if not isinstance(value, np.ndarray):
        return f"{value:.6g}"
    flat = [f"{x:.4g}" for x in value.ravel()[:6]]
    more = f", … {value.size} in all" if value.size > 6 else ""
    return f"[{', '.join(flat)}{more}]"


def _cut(line: str, width: int = 80) -> str:
    return line if len(line) <= width else f"{line[: width - 2]} …"


def _table(flights: Sequence[Flight]) -> list[str]:
    """Return the norms of the steps before, as lines."""
    if not flights:
        return []
    head = f"  {'step':>8}{'loss':>12}{'‖params‖':>12}{'‖gradient‖':>12}"
    return [head, *(f"  {f.step:>8}{f.loss:>12.3g}{f.parameters:>12.3g}{f.gradient:>12.3g}"
                    for f in flights)]  # fmt: skip


# -- what the loop asks ----------------------------------------------------------------------------


def hides_slopes(plan: Blueprint) -> bool:
    """Try whether the optimizer takes NaN or Inf for a gradient, and stores nothing but numbers."""
    if plan.optimizer.whole:
        return True
    zero = np.zeros(plan.net.size, plan.dtype)
    g = symbolic("grads", zero.shape, plan.dtype)
    stores = list(plan.updated(g).values())
    given = {plan.t: plan.optimizer.accumulate, plan.learning_rate: 0.1, plan.flat: zero}
    given |= dict.fromkeys(plan.state.values(), zero)
    given |= {plan.tables[name]: array for name, array in plan.given.items()}
    return not all(_trace(stores, {**given, g: np.full_like(zero, x)}) for x in (np.nan, np.inf))


def _trace(stores: Iterable[Node], values: dict[Node, Any]) -> bool:
    """Say whether every element shows up in something that is stored."""
    stores = list(stores)
    with np.errstate(all="ignore"):
        for node in order(stores, stop=values):
            if node not in values:
                values[node] = computed(node, values, {"n": 1})
    return bool(np.any([infinite(values[x]) for x in stores], axis=0).all())


def settle(history: History, how: str) -> History:
    """Raise the failure of a run, or warn of it and return the history."""
    if history.failure is not None:
        if how == "raise":
            raise history.failure
        said = str(history.failure).replace(f"\n  at {history.failure.where}", "")
        warnings.warn(said, TrainingWarning, stacklevel=_depth())
    return history


def _depth() -> int:
    """Return how far up the caller's own code is, which a warning should point at."""
    frame, depth = sys._getframe(1), 1
    while frame is not outside(frame) and frame.f_back is not None:
        frame, depth = frame.f_back, depth + 1
    return depth
