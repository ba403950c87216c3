"""What a step is, in a sentence."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pellucid.graph import Node, order


def forward(name: str, node: Node) -> str:
    """Say what a value of the forward pass is."""
    assert node.op is not None
    weighted = any(
        x.op is not None and x.op.kind == "contract" for x in order([node], stop=node.args)
    )
    if re.fullmatch(r"z\d+(_\d+)?", name) and (weighted or node.op.kind == "map"):
        bias = ", plus its bias" if node.op.kind == "map" else ""
        return f"each unit's weighted sum of its inputs{bias}"
    if name == "error":
        return "how far the prediction is off"
    if name == "loss":
        return "how wrong the prediction is, as one number to be made small"
    return node.op.says


KEPT = "what the layer keeps, moved toward this batch's"


def start(name: str) -> str:
    return f"the slope of {name} in itself is 1: where the backward pass starts"


def backward(name: str, readers: Sequence[str], target: str) -> str:
    """Say how a gradient arrives at a value."""
    through = " and ".join(dict.fromkeys(reversed(readers)))
    joined = "; the paths add up" if len(readers) > 1 else ""
    if readers == ["loss"]:
        return f"how the loss moves with {name}"
    return f"how {target} moves with {name}, by way of {through}{joined}"


UPDATES = {
    "learning_rate": "the learning rate of this step, by its schedule",
    "gradient_norm": "how long the gradient of all parameters is, taken as one",
    "mean_grads": "the mean gradient of the steps since the last update, as far as they have come",
    "clipped": "the gradient, no larger than is allowed",
    "shortened": "the gradient, no longer than is allowed for all parameters together",
    "decayed": "the gradient, and the pull of weight decay toward 0",
    "shrunk": "the weight, made smaller by weight decay",
    "done": "how many updates came before",
    "after_warm_up": "how many updates came after the warm-up",
    "within": "how many updates a schedule has had",
    "due": "whether this step ends in an update",
    "updates": "which update this is",
    "updated": "moved against its gradient",
    "average": "the running average of the parameter",
    "accumulated": "the gradients that wait for the next update",
    "mu": "how much momentum counts at this step",
    "mu_ahead": "how much momentum will count at the next step",
    "look_ahead": "the direction, with the momentum of the next step",
    "step_size": "the step, as large as those before it",
}
STATE = "what the optimizer remembers, brought up to date"


def update(name: str, owner: str) -> str:
    """Say what a value of the optimizer's step is."""
    stem = name.removesuffix("_new")
    stem = stem.removesuffix(f"_{owner}") if owner else stem
    if stem in UPDATES and stem != owner:
        return UPDATES[stem]
    if stem.endswith("_hat"):
        return "the same without its bias toward 0, where it started"
    if name.endswith("_new") and stem != owner:
        return STATE
    return "moved against its gradient" if owner else "a part of the learning rate's formula"
