"""Does the last layer give what the loss takes: scores, probabilities, shares of 1?"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from pellucid.errors import ArgumentError
from pellucid.losses import Loss
from pellucid.nn.layer import Activation, Dense, Layer, Shared, activations, named_activation

PROBABILITIES = ("sigmoid", "softmax")


def check_outputs(layers: Sequence[Layer], loss: Loss | None, whole: bool = True) -> None:
    """Refuse a stack whose output its loss would misread.

    Where it is not yet `whole`, a ReLU on top may still become a hidden layer, by `model.add`.

    Raises: ArgumentError for a softmax of a softmax, probabilities where the loss takes scores,
    scores where it takes probabilities, and classes of a single unit.
    """
    plain = [layer.layer if isinstance(layer, Shared) else layer for layer in layers]
    for before, after in pairwise(plain):
        if isinstance(after, Activation) and _last(before) == _last(after) == "softmax":
            raise ArgumentError(
                "softmax after softmax flattens the shares", "keep only the last one"
            )
    if not plain or _last(plain[-1]) is None:
        return
    if loss is not None and (whole or _last(plain[-1]) in ("linear", *PROBABILITIES)):
        _check_loss(loss, _last(plain[-1]) or "")
    if isinstance(plain[-1], Dense) and plain[-1].units == 1:
        _check_single(plain[-1], loss)


def _last(layer: Layer) -> str | None:
    """Return the name of the activation that a layer ends with; None where it cannot be known."""
    if isinstance(layer, Dense):
        return named_activation(layer.activation)
    return named_activation(layer.function) if isinstance(layer, Activation) else None


def _check_loss(loss: Loss, last: str) -> None:
    if loss.link is not None and last in PROBABILITIES:
        raise ArgumentError(
            f"the loss {loss.name!r} takes scores, but the last layer is a {last}",
            f'loss="{loss.name.removesuffix("_logits")}", or no activation in the last layer',
        )
    if loss.wants and last in activations() and last not in PROBABILITIES:
        raise ArgumentError(
            f"the loss {loss.name!r} takes probabilities, but the last layer is {last}",
            f'activation="{loss.wants}", or none of it and loss="{loss.name}_logits"',
        )


def _check_single(layer: Dense, loss: Loss | None) -> None:
    binary = 'for two classes Dense(1, "sigmoid") and loss="bce"'
    if _last(layer) == "softmax":
        raise ArgumentError("a softmax of one unit is always 1", f"2 units, or {binary}")
    if loss is not None and loss.targets == "classes":
        raise ArgumentError(
            f"the loss {loss.name!r} takes classes, but the last layer has one unit", binary
        )
