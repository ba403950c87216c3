"""Reading what came of a call: gradients that were returned, left behind, or are seen in an update.

Task   what a student is given      Got   what came of a call      Run   what it means
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

import numpy as np

from pellucid.check.calling import Stop
from pellucid.check.layouts import Layout
from pellucid.check.naming import Found, named, positional, read, walk
from pellucid.graph import Array
from pellucid.nn.network import Slot

LOSS = [
    "loss",
    "compute_loss",
    "loss_fn",
    "loss_function",
    "calculate_loss",
    "calc_loss",
    "get_loss",
    "cost",
    "compute_cost",
    "cost_function",
    "calculate_cost",
    "objective",
    "criterion",
    "J",
    "mse",
    "compute_mse",
    "cross_entropy",
    "binary_cross_entropy",
    "cross_entropy_loss",
    "mse_loss",
    "bce",
    "bce_loss",
    "error",
    "compute_error",
]


@dataclass(frozen=True, eq=False)
class Task:
    """What a student is given: parameters and data by rows, in float64, and the caller's own y."""

    slots: Sequence[Slot]
    params: Mapping[str, Array]
    X: Array
    y: Array
    given_y: Array
    upstream: Array  # ∂L/∂ŷ, for students that ask for it
    penalty: float = 0.0


@dataclass(frozen=True, eq=False)
class Run:
    """What one call gave: gradients by name, as the model has them; and what else was seen."""

    grads: dict[str, Array]
    layout: Layout
    loss: float | None = None
    stated: bool = False  # the loss was stated: returned, or computed by a method for it
    output: Array | None = None
    rate: float | None = None
    moved: bool = False  # the gradients are read off the weights, which it only updates
    changed: tuple[str, ...] = ()  # inputs that it wrote to
    precision: float = 1e-15


@dataclass(frozen=True, eq=False)
class Got:
    """What came of a call, before it is read."""

    returned: Any
    objects: tuple[Found, ...] = ()
    differences: dict[str, Array] = field(default_factory=dict)
    losses: tuple[float, ...] = ()
    locals_: tuple[float, ...] = ()


# -- reading a result ------------------------------------------------------------------------------


def readings(
    got: Got, task: Task, layout: Layout, rate: float | None, changed: tuple[str, ...], output: Any
) -> Iterator[Run]:
    """Yield every way to read gradients out of a call: returned, left behind, or by the update."""
    ways = list(_ways(got, task.slots))
    if not ways and not got.differences:
        raise Stop(TypeError("no gradients were returned, none were left on it, no weight moved"))
    loss = next(iter((*got.losses, *got.locals_)), None)
    shared: dict[str, Any] = {
        "layout": layout, "loss": loss, "stated": bool(got.losses), "changed": changed,
        "output": _as_rows(output, layout),
    }  # fmt: skip
    for found in ways:
        grads = {k: _back(layout, k, f.array, task) for k, f in found.items()}
        own = rate if rate is not None else _measured_rate(got.differences, grads, task, layout)
        yield Run(grads, rate=own, precision=_precision(found), **shared)
    if not ways:
        moved = {k: _back(layout, k, d, task) / (rate or 1) for k, d in got.differences.items()}
        whole = {s.name: moved.get(s.name, np.zeros(s.shape)) for s in task.slots}
        yield Run(whole, rate=rate, moved=True, precision=1e-13 / (rate or 1), **shared)


def _back(layout: Layout, name: str, array: Array, task: Task) -> Array:
    return layout.take_back(name, array, task.params[name].shape)


def _as_rows(output: Any, layout: Layout) -> Array | None:
    if not isinstance(output, np.ndarray):
        return None
    return output.T if layout.columns else output


def _precision(found: Mapping[str, Found]) -> float:
    return max((float(np.finfo(f.array.dtype).eps) if f.array.dtype.kind == "f" else 1e-16
                for f in found.values()), default=1e-16)  # fmt: skip


def _measured_rate(
    moved: Mapping[str, Array], grads: Mapping[str, Array], task: Task, layout: Layout
) -> float | None:
    """Return the learning rate that weights were updated with, besides returning gradients."""
    for name, step in moved.items():
        g = grads.get(name)
        back = _back(layout, name, step, task)
        if g is not None and back.shape == g.shape and (g != 0).any():
            return float((back * g).sum() / (g * g).sum())
    return None


def _ways(got: Got, slots: Sequence[Slot]) -> Iterator[dict[str, Found]]:
    returned = list(walk(got.returned if _holds(got.returned) else (got.returned,)))
    whole = _scalars(slots) or len(returned) == len(slots)
    # a single number among them is the loss, unless its name or its place says otherwise
    arrays = [f for f in returned if f.array.ndim or whole or read(f.path) is not None]
    by_names = _named([_plain(f) for f in arrays], slots, False)
    if _weights(by_names, slots):
        yield by_names
        return
    ordered = list(positional(arrays, slots))
    if ordered:
        yield from ordered
        return
    left = _named(once(iter(got.objects)), slots, True)
    for group in groups(got.objects):
        left = max(left, _named(once(iter(group)), slots, True), key=len)
    if _weights(left, slots):
        yield left


def _named(found: Sequence[Found], slots: Sequence[Slot], gradient: bool) -> dict[str, Found]:
    """Return what names tell; where shapes are wrong, that is what is to be reported."""
    return named(found, slots, gradient, False) | named(found, slots, gradient, True)


def _plain(found: Found) -> Found:
    """What is returned as a gradient may be called dW or W: take the d away."""
    told = read(found.path)
    if told is None:
        return Found(("?",), found.holder, found.array)
    number = "" if told.number is None else told.number
    return Found((f"{told.kind}{number}",), found.holder, found.array)


def _holds(value: Any) -> bool:
    return isinstance(value, (dict, list, tuple)) or hasattr(value, "__dict__")


def _scalars(slots: Sequence[Slot]) -> bool:
    return any(np.prod(s.shape) == 1 for s in slots)


def _weights(found: Mapping[str, Found], slots: Sequence[Slot]) -> bool:
    return all(s.name in found for s in slots if s.name[0] == "W")


def numbers(value: Any) -> list[float]:
    """Return single numbers in a result: a loss, it may be."""
    if isinstance(value, Real) and not isinstance(value, bool):
        return [float(value)]
    if isinstance(value, np.ndarray) and value.size == 1 and value.ndim == 0:
        return [float(value)]
    if isinstance(value, (tuple, list)):
        return [n for v in value if not isinstance(v, (list, tuple, dict)) for n in numbers(v)]
    if isinstance(value, dict):
        return [n for k, v in value.items() if str(k).lower() in LOSS for n in numbers(v)]
    return []


def once(found: Iterator[Found]) -> list[Found]:
    """Leave out arrays that are met a second time under another name."""
    return list({id(f.array) if f.array.ndim else f.path: f for f in found}.values())


def groups(found: Sequence[Found]) -> list[list[Found]]:
    """Return the arrays by what holds them."""
    groups: dict[Any, list[Found]] = {}
    for f in found:
        groups.setdefault(f.path[:1] if len(f.path) > 1 else (), []).append(f)
    return list(groups.values())
