"""Optimizers that divide each element's step by the size that its gradients have had."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from pellucid import ops
from pellucid.graph import Node
from pellucid.optim.checks import not_negative, positive, share
from pellucid.optim.optimizer import Optimizer, State, running
from pellucid.optim.schedule import Schedule


@dataclass(frozen=True, repr=False)
class RMSprop(Optimizer):
    """Divide the gradient by a running estimate of its size.

        v ← alpha v + (1 - alpha) g²
        step = g / (√v + eps)              centered: √max(v - mean², 0), with mean ← that of g
        p ← p - learning_rate · step       momentum: b ← momentum b + step, and b in its place

    Args: `learning_rate` and `eps`, above 0; `alpha` and `momentum`, from 0 up to, but not, 1;
    `centered`, to divide by the gradient's deviation. Raises: ArgumentError for anything else.
    Source: Hinton 2012, lecture 6e; centered: Graves 2013, equations 38 to 41.

    >>> RMSprop(0.01, momentum=0.9)
    RMSprop(learning_rate=0.01, alpha=0.99, eps=1e-08, centered=False, momentum=0.9)
    """

    learning_rate: float | Schedule = 0.01
    alpha: float = 0.99
    eps: float = 1e-8
    centered: bool = False
    momentum: float = 0.0
    aliases: ClassVar[tuple[str, ...]] = ("rmsprop",)

    def check(self) -> None:
        """Check the decays and eps."""
        share(self, "alpha")
        positive(self, "eps")
        share(self, "momentum")

    @property
    def state(self) -> tuple[str, ...]:
        """The running mean of the squared gradient, and what the settings add to it."""
        more = {"mean": self.centered, "velocity": self.momentum > 0}
        return ("v", *(name for name, kept in more.items() if kept))

    def update(
        self, p: Node, g: Node, state: State, t: Node, learning_rate: Node
    ) -> tuple[Node, State]:
        """p - learning_rate · g / (√v + eps)."""
        new = {"v": running(self.alpha, state["v"], ops.square(g))}
        spread = new["v"]
        if self.centered:
            new["mean"] = running(self.alpha, state["mean"], g)
            spread = ops.maximum(spread - ops.square(new["mean"]), 0.0)
        step = g / (ops.sqrt(spread) + self.eps)
        if self.momentum:
            step = new["velocity"] = self.momentum * state["velocity"] + step
        return p - learning_rate * step, new


@dataclass(frozen=True, repr=False)
class Adagrad(Optimizer):
    """Divide each step by the root of the sum of all squared gradients so far.

        rate = learning_rate / (1 + (t - 1) · rate_decay)
        total ← total + g²,     p ← p - rate · g / (√(initial + total) + eps)

    Args: `learning_rate` and `eps`, above 0; `rate_decay` (PyTorch's lr_decay) and `initial`
    sum (its initial_accumulator_value), at least 0. Raises: ArgumentError for anything else.
    Source: Duchi, Hazan & Singer 2011, figure 1.

    >>> Adagrad(0.1)
    Adagrad(learning_rate=0.1, rate_decay=0.0, initial=0.0, eps=1e-10)
    """

    learning_rate: float | Schedule = 0.01
    rate_decay: float = 0.0
    initial: float = 0.0
    eps: float = 1e-10
    aliases: ClassVar[tuple[str, ...]] = ("adagrad",)

    def check(self) -> None:
        """Check decay, initial sum and eps."""
        not_negative(self, "rate_decay")
        not_negative(self, "initial")
        positive(self, "eps")

    @property
    def state(self) -> tuple[str, ...]:
        """The sum of the squared gradients."""
        return ("total",)

    def update(
        self, p: Node, g: Node, state: State, t: Node, learning_rate: Node
    ) -> tuple[Node, State]:
        """p - learning_rate · g / (√total + eps)."""
        total = state["total"] + ops.square(g)
        rate = learning_rate / (1 + (t - 1) * self.rate_decay) if self.rate_decay else learning_rate
        size = self.initial + total if self.initial else total
        return p - rate * g / (ops.sqrt(size) + self.eps), {"total": total}


@dataclass(frozen=True, repr=False)
class Adadelta(Optimizer):
    """Give each step the size of the steps before it, in the direction of the scaled gradient.

        v ← rho v + (1 - rho) g²,     step = √(moved + eps) / √(v + eps) · g
        moved ← rho moved + (1 - rho) step²,     p ← p - learning_rate · step

    Args: `learning_rate` and `eps`, above 0; `rho`, from 0 up to, but not, 1.
    Raises: ArgumentError for anything else. Source: Zeiler 2012, algorithm 1.

    >>> Adadelta()
    Adadelta(learning_rate=1.0, rho=0.9, eps=1e-06)
    """

    learning_rate: float | Schedule = 1.0
    rho: float = 0.9
    eps: float = 1e-6
    aliases: ClassVar[tuple[str, ...]] = ("adadelta",)

    def check(self) -> None:
        """Check rho and eps."""
        share(self, "rho")
        positive(self, "eps")

    @property
    def state(self) -> tuple[str, ...]:
        """The running means of the squared gradient and of the squared step."""
        return ("v", "moved")

    def update(
        self, p: Node, g: Node, state: State, t: Node, learning_rate: Node
    ) -> tuple[Node, State]:
        """p - learning_rate · step."""
        v = running(self.rho, state["v"], ops.square(g))
        ratio = ops.sqrt(state["moved"] + self.eps) / ops.sqrt(v + self.eps)
        step = ops.named(ratio * g, "step_size")
        moved = running(self.rho, state["moved"], ops.square(step))
        return p - learning_rate * step, {"v": v, "moved": moved}
