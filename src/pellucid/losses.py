"""What each loss expects: which function, which targets, how scores become probabilities."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from pellucid import ops
from pellucid.errors import one_of
from pellucid.graph import Node

Function = Callable[..., Any]
Targets = Literal["values", "binary", "classes", "signs", "counts"]


@dataclass(frozen=True)
class Loss:
    """A loss by name: its formula, its targets, the link from scores to what `predict` returns.

    `targets` are values, binary (0 and 1), classes (labels or one-hot rows), signs (-1 and 1) or
    counts; `link` is applied by `predict` where the loss takes scores.
    """

    name: str
    function: Function
    targets: Targets = "values"
    link: Function | None = None  # applied by predict where the loss takes scores
    wants: str = ""  # the last activation it needs, where it takes probabilities
    aliases: tuple[str, ...] = field(default=())

    def __call__(self, prediction: Node, target: Node, reduction: str = "mean") -> Node:
        """Return the loss of a batch: a single number; each one's where `reduction` is "none"."""
        if reduction == "mean" and self.name == "custom":
            result: Node = self.function(prediction, target)
            return result
        node: Node = self.function(prediction, target, reduction=reduction)
        return node

    @property
    def classifies(self) -> bool:
        return self.targets in ("binary", "classes", "signs")

    def __reduce__(self) -> tuple[Any, ...]:
        """Say how a copy or a pickle is made again: by name, where it is one of the table."""
        if NAMES.get(self.name) is self:
            return loss, (self.name,)
        return Loss, tuple(getattr(self, f.name) for f in fields(self))


LOSSES = [
    Loss("mse", ops.mse, aliases=("mean_squared_error", "squared_error", "l2")),
    Loss("half_mse", ops.half_mse, aliases=("half_squared_error",)),
    Loss("mae", ops.mae, aliases=("mean_absolute_error", "absolute_error", "l1")),
    Loss("huber", ops.huber),
    Loss("hinge", ops.hinge, "signs"),
    Loss("bce", ops.bce, "binary", wants="sigmoid",
         aliases=("binary_crossentropy", "binary_cross_entropy", "log_loss")),
    Loss("bce_logits", ops.bce_logits, "binary", ops.sigmoid,
         aliases=("binary_crossentropy_from_logits", "binary_cross_entropy_with_logits")),
    Loss("cce", ops.cce, "classes", wants="softmax",
         aliases=("categorical_crossentropy", "categorical_cross_entropy",
                  "sparse_categorical_crossentropy")),
    Loss("cce_logits", ops.cce_logits, "classes", ops.softmax,
         aliases=("categorical_crossentropy_from_logits",)),
    Loss("poisson", ops.poisson, "counts"),
]  # fmt: skip
NAMES = {name: loss for loss in LOSSES for name in (loss.name, *loss.aliases)}


def loss(chosen: str | Function | Loss) -> Loss:
    """Return a loss by name or alias; a function of (prediction, target) becomes one.

    >>> loss("binary_crossentropy").name
    'bce'
    """
    if isinstance(chosen, Loss):
        return chosen
    if callable(chosen):
        known = next((x for x in LOSSES if x.function is chosen), None)
        return known or Loss("custom", chosen)
    found = NAMES.get(str(chosen).lower())
    if found is None:
        raise one_of("loss", chosen, NAMES)
    return found
