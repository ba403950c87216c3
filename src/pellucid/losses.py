"""What each loss expects: which function, which targets, how scores become probabilities."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from pellucid import ops
from pellucid.errors import ArgumentError, one_of
from pellucid.graph import Node
from pellucid.nn.layer import check_share
from pellucid.rules import shares

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
    smoothing: float = 0.0  # the share of every label that is given to all classes alike

    def __call__(self, prediction: Node, target: Node, reduction: str = "mean") -> Node:
        """Return the loss of a batch: a single number; each one's where `reduction` is "none"."""
        if reduction == "mean" and self.name == "custom":
            result: Node = self.function(prediction, target)
            return result
        if self.smoothing:
            target = self.smoothed(target)
        node: Node = self.function(prediction, target, reduction=reduction)
        return node

    def smoothed(self, target: Node) -> Node:
        """Return (1 - smoothing) y + smoothing / K, where K is the number of classes."""
        classes: Any = target.shape[-1] if self.targets == "classes" else 2
        mixed: Node = (1 - self.smoothing) * target + self.smoothing / classes
        mixed = ops.named(mixed, "smoothed")
        return shares(mixed) if self.targets == "classes" else mixed

    @property
    def setting(self) -> str | LabelSmoothing:
        """What gives this loss again: its name, or that with label smoothing."""
        return LabelSmoothing(self.smoothing, self.name) if self.smoothing else self.name

    @property
    def classifies(self) -> bool:
        return self.targets in ("binary", "classes", "signs")

    def __reduce__(self) -> tuple[Any, ...]:
        """Say how a copy or a pickle is made again: by name, where it is one of the table."""
        if self.name in NAMES and loss(self.setting) == self:
            return loss, (self.setting,)
        return Loss, tuple(getattr(self, f.name) for f in fields(self))


@dataclass(frozen=True)
class LabelSmoothing:
    """Train on labels that are not quite sure: each gives a share to all classes alike.

        y ← (1 - amount) y + amount / K          (Szegedy et al. 2016, section 7; K classes)

    Args: `amount`, 0 ≤ amount < 1; `loss`, by name, whose labels are smoothed: cce and cce_logits,
    where it is PyTorch's `label_smoothing`, or bce and bce_logits, with K = 2. Metrics see the
    labels as they are. Raises: ArgumentError for another amount, or a loss without labels.

    >>> loss(LabelSmoothing(0.1)).smoothing
    0.1
    """

    amount: float = 0.1
    loss: str = "cce_logits"

    def __post_init__(self) -> None:
        object.__setattr__(self, "amount", check_share(self.amount, "amount"))
        known = loss(self.loss)
        object.__setattr__(self, "loss", known.name)
        if known.targets not in ("classes", "binary"):
            raise ArgumentError(
                f"the loss {known.name!r} has no labels to smooth",
                'choose "cce_logits", "cce", "bce_logits" or "bce"',
            )


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


def loss(chosen: str | Function | Loss | LabelSmoothing) -> Loss:
    """Return a loss by name or alias; a function of (prediction, target) becomes one.

    >>> loss("binary_crossentropy").name
    'bce'
    """
    if isinstance(chosen, Loss):
        return chosen
    if isinstance(chosen, LabelSmoothing):
        return replace(NAMES[chosen.loss], smoothing=chosen.amount)
    if callable(chosen):
        known = next((x for x in LOSSES if x.function is chosen), None)
        return known or Loss("custom", chosen)
    found = NAMES.get(str(chosen).lower())
    if found is None:
        raise one_of("loss", chosen, NAMES)
    return found
