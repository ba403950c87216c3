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


def update(name: str) -> str:
    """Say what a value of the optimizer's step is."""
    if name.endswith("_new") and re.match(r"(m|v|velocity)_", name):
        return "what the optimizer remembers, brought up to date"
    if "_hat_" in name:
        return "the same without its bias toward 0, where it started"
    return "moved against its gradient"
