"""Lion: every element moves by the learning rate, and only the sign is left of its gradient."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pellucid import ops
from pellucid.graph import Node
from pellucid.optim.checks import share
from pellucid.optim.optimizer import Optimizer, State, running
from pellucid.optim.schedule import Schedule


@dataclass(frozen=True, repr=False)
class Lion(Optimizer):
    """Move every element by the learning rate, along the sign of a running mean of its gradient.

        p ← p - learning_rate · (sign(β1 m + (1 - β1) g) + weight_decay · p)
        m ← β2 m + (1 - β2) g

    Args: `learning_rate`, above 0, about a tenth of Adam's; `beta1` and `beta2`, from 0 up to, but
    not, 1. Weight decay acts on the weights directly, as in AdamW. Raises: ArgumentError for
    anything else. Source: Chen et al. 2023, algorithm 2.

    >>> Lion()
    Lion(learning_rate=0.0001, beta1=0.9, beta2=0.99)
    """

    learning_rate: float | Schedule = 0.0001
    beta1: float = 0.9
    beta2: float = 0.99
    decoupled: ClassVar[bool] = True
    aliases: ClassVar[tuple[str, ...]] = ("lion",)

    def check(self) -> None:
        """Check the decays."""
        share(self, "beta1")
        share(self, "beta2")

    @property
    def state(self) -> tuple[str, ...]:
        """The running mean of the gradient."""
        return ("m",)

    def update(
        self, p: Node, g: Node, state: State, t: Node, learning_rate: Node
    ) -> tuple[Node, State]:
        """p - learning_rate · sign(of a mean of m and g)."""
        step = ops.sign(running(self.beta1, state["m"], g))
        return p - learning_rate * step, {"m": running(self.beta2, state["m"], g)}
