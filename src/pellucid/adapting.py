"""Layers that learn from the training samples before the first step, such as `Normalize`."""

from __future__ import annotations

import numpy as np

from pellucid.batches import Numbers
from pellucid.errors import ShapeError
from pellucid.graph import Array, evaluate
from pellucid.nn.layer import Layer, Shared
from pellucid.nn.network import Placed, Slot, parameters, walked
from pellucid.train import Blueprint


def adapt(plan: Blueprint, numbers: Numbers, X: Array) -> None:
    """Let every layer that adapts see the samples as they reach it, the first layers first."""
    if not any(adapts(leaf.layer) for leaf in plan.net.leaves):
        return
    p = parameters(plan.net, plan.flat, plan.fixed)
    state = {s.name: s for s in plan.net.fixed}
    for placed, x in walked(plan.net, plan.X, p).entered:
        if adapts(placed.layer):
            feed = {plan.X: X, plan.flat: numbers.params, plan.fixed: numbers.fixed}
            (reached,) = evaluate([x], feed, {"n": len(X)})
            _take_over(placed, state, numbers.fixed, np.asarray(reached))


def adapts(layer: Layer) -> bool:
    """Say whether a layer learns from the samples themselves."""
    own = layer.layer if isinstance(layer, Shared) else layer
    return type(own).adapt is not Layer.adapt


def _take_over(placed: Placed, state: dict[str, Slot], fixed: Array, X: Array) -> None:
    names = dict(placed.owner)
    for key, array in placed.layer.adapt(X).items():
        slot = state.get(names.get(key, ""))
        if slot is None or np.shape(array) != slot.shape:
            raise ShapeError(
                f"{type(placed.layer).__name__}.adapt gives {np.shape(array)} for {key!r}, which "
                f"is {'no state of the layer' if slot is None else slot.shape}",
                "adapt returns {name: array} for names of state(shape)",
            )
        fixed[slot.start : slot.stop] = np.ravel(array)
