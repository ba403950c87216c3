"""How good a prediction is, as formulas on nodes: traced into the same program as the loss."""

from __future__ import annotations

import builtins
import keyword
from collections.abc import Callable, Sequence
from typing import Any

from pellucid import ops
from pellucid.errors import ArgumentError, one_of
from pellucid.graph import Node
from pellucid.losses import NAMES as LOSS_NAMES
from pellucid.losses import Loss

Function = Callable[..., Any]


def accuracy(prediction: Node, target: Node, loss: Loss) -> Node:
    """Share of samples whose most likely class is right; of labels, where there are several.

    (n, classes), (n, classes) -> (); with one output, class 1 is above 0.5 (above 0 for signs).
    """
    if loss.targets == "classes" or (prediction.shape[-1] != 1 and loss.targets != "binary"):
        right = ops.argmax(prediction, axis=-1) == ops.argmax(target, axis=-1)
    else:
        middle = 0.0 if loss.targets == "signs" else 0.5
        right = (prediction > middle) == (target > middle)
    return ops.mean(right)  # type: ignore[no-any-return]


def metric(chosen: str | Function, loss: Loss) -> tuple[str, Function]:
    """Return a metric's name and its function of (prediction, target)."""
    if callable(chosen):
        return _printable(getattr(chosen, "__name__", "metric")), chosen
    name = str(chosen).lower()
    if name in ("accuracy", "acc"):
        if not loss.classifies and loss.name != "custom" and loss.name not in ("mse", "half_mse"):
            raise ArgumentError(
                f"accuracy has no meaning for the loss {loss.name!r}", 'choose "mae" or "mse"'
            )
        return "accuracy", lambda p, y: accuracy(p, y, loss)
    if name not in LOSS_NAMES:
        raise one_of("metric", chosen, ["accuracy", *LOSS_NAMES])
    wanted = LOSS_NAMES[name]
    if wanted.link and loss.link:  # metrics see what predict returns: probabilities, not scores
        wanted = LOSS_NAMES[wanted.name.removesuffix("_logits")]
    return name, wanted.function


def _printable(name: str) -> str:
    """Return a function's name as printed code can use it: no keyword, no builtin."""
    if not name.isidentifier():
        return "metric"
    clashes = keyword.iskeyword(name) or hasattr(builtins, name)
    return f"{name}_metric" if clashes else name


def check_metrics(metrics: Sequence[str | Function], loss: Loss) -> None:
    """Refuse unknown metrics, and two of one name."""
    names = [metric(m, loss)[0] for m in metrics]
    for name in names:
        if names.count(name) > 1:
            raise ArgumentError(
                f"two metrics are called {name!r}", "give each a name: def top_error(p, y): …"
            )
