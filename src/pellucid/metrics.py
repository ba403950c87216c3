"""How good a prediction is, as formulas on nodes: traced into the same program as the loss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pellucid import ops
from pellucid.errors import ArgumentError, one_of
from pellucid.graph import Node
from pellucid.losses import NAMES as LOSS_NAMES
from pellucid.losses import Loss

Function = Callable[..., Any]


def accuracy(prediction: Node, target: Node, loss: Loss) -> Node:
    """Share of samples whose most likely class is the right one."""
    if loss.targets == "classes" or prediction.shape[-1] != 1:
        right = ops.argmax(prediction, axis=-1) == ops.argmax(target, axis=-1)
    else:
        middle = 0.0 if loss.targets == "signs" else 0.5
        right = (prediction > middle) == (target > middle)
    return ops.mean(right)  # type: ignore[no-any-return]


def metric(chosen: str | Function, loss: Loss) -> tuple[str, Function]:
    """Return a metric's name and its function of (prediction, target)."""
    if callable(chosen):
        return getattr(chosen, "__name__", "metric").replace("<lambda>", "metric"), chosen
    name = str(chosen).lower()
    if name in ("accuracy", "acc"):
        if not loss.classifies and loss.name != "custom" and loss.name not in ("mse", "half_mse"):
            raise ArgumentError(
                f"accuracy has no meaning for the loss {loss.name!r}", 'choose "mae" or "mse"'
            )
        return "accuracy", lambda p, y: accuracy(p, y, loss)
    if name not in LOSS_NAMES:
        raise one_of("metric", chosen, ["accuracy", *LOSS_NAMES])
    return name, LOSS_NAMES[name].function
