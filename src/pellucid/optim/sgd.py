"""Gradient descent, with momentum or without."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pellucid import ops
from pellucid.errors import ArgumentError
from pellucid.graph import Node
from pellucid.optim.checks import check_number, share
from pellucid.optim.optimizer import Optimizer, State, rest
from pellucid.optim.schedule import Schedule


@dataclass(frozen=True, repr=False)
class SGD(Optimizer):
    """Step down the gradient, with momentum if wanted.

        v ← momentum · v + (1 - dampening) · g,     p ← p - learning_rate · v
        nesterov:                                   p ← p - learning_rate · (g + momentum · v)

    Args: `learning_rate`, above 0; `momentum`, 0 ≤ momentum < 1; `dampening`, 0 to 1; `nesterov`,
    which needs momentum and no dampening. The first step has v = g, undampened, as in PyTorch.
    Raises: ArgumentError for anything else. Source: Sutskever et al. 2013.

    >>> SGD(0.1, momentum=0.9)
    SGD(learning_rate=0.1, momentum=0.9, dampening=0.0, nesterov=False)
    """

    learning_rate: float | Schedule = 0.01
    momentum: float = 0.0
    dampening: float = 0.0
    nesterov: bool = False
    aliases: ClassVar[tuple[str, ...]] = ("sgd", "gradient_descent", "momentum")

    def check(self) -> None:
        """Check momentum and dampening, and what Nesterov's needs."""
        share(self, "momentum")
        check_number(self, "dampening", lambda x: 0 <= x <= 1, "a number from 0 to 1")
        if self.nesterov and (not self.momentum or self.dampening):
            raise ArgumentError(
                "nesterov needs a momentum and no dampening",
                "SGD(0.01, momentum=0.9, nesterov=True)",
            )

    @property
    def state(self) -> tuple[str, ...]:
        """The velocity, where there is momentum."""
        return ("velocity",) if self.momentum else ()

    def update(
        self, p: Node, g: Node, state: State, t: Node, learning_rate: Node
    ) -> tuple[Node, State]:
        """p - learning_rate · v."""
        if not self.momentum:
            return p - learning_rate * g, {}
        v = self.momentum * state["velocity"] + rest(self.dampening) * g
        v = ops.where(t == 1, g, v) if self.dampening else v
        direction = g + self.momentum * v if self.nesterov else v
        return p - learning_rate * direction, {"velocity": v}
