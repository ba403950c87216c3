"""Optimizers: each is its update formula, traced into the training step like everything else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import ClassVar

from pellucid import ops
from pellucid.errors import ArgumentError, one_of
from pellucid.graph import Node

State = Mapping[str, Node]


class Optimizer:
    """The base of every optimizer: its update, as a formula.

        p, state ← update(p, g, state, t, learning_rate)

    `state` names the arrays it keeps, one value for each parameter, which start at 0; `update`
    gives the new parameters and the new state from the gradient `g`, at step `t` = 1, 2, ….
    All parameters come as one flat array.

    >>> from dataclasses import dataclass
    >>> @dataclass(frozen=True)
    ... class Sign(Optimizer):
    ...     learning_rate: float = 0.001
    ...     def update(self, p, g, state, t, learning_rate):
    ...         return p - learning_rate * ops.sign(g), {}
    """

    learning_rate: float

    @property
    def state(self) -> tuple[str, ...]:
        """The names of the arrays it keeps."""
        return ()

    def update(
        self, p: Node, g: Node, state: State, t: Node, learning_rate: Node
    ) -> tuple[Node, State]:
        """Return the new parameters and the new state."""
        raise NotImplementedError(f"{type(self).__name__} has no formula: define update(…)")


def _check(optimizer: Optimizer, name: str, allowed: Callable[[float], bool], hint: str) -> None:
    """Check a setting, and keep it as a Python number: a NumPy one would impose its precision."""
    value = getattr(optimizer, name)
    if isinstance(value, bool) or not isinstance(value, Real) or not allowed(float(value)):
        raise ArgumentError(f"{name} is {value!r}", f"{name} is {hint}")
    object.__setattr__(optimizer, name, float(value))


def _positive(optimizer: Optimizer, name: str) -> None:
    _check(
        optimizer, name, lambda x: 0 < x < float("inf"), "a positive number, such as 0.1 or 0.001"
    )


def _share(optimizer: Optimizer, name: str) -> None:
    _check(optimizer, name, lambda x: 0 <= x < 1, "a number from 0 up to, but not, 1")


def rest(share: float) -> float:
    """Return 1 - share as a person writes it: 0.1 for 0.9, not 0.09999999999999998."""
    return round(1 - share, 15)


@dataclass(frozen=True)
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

    learning_rate: float = 0.01
    momentum: float = 0.0
    dampening: float = 0.0
    nesterov: bool = False
    aliases: ClassVar[tuple[str, ...]] = ("sgd", "gradient_descent", "momentum")

    def __post_init__(self) -> None:
        _positive(self, "learning_rate")
        _share(self, "momentum")
        _check(self, "dampening", lambda x: 0 <= x <= 1, "a number from 0 to 1")
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


@dataclass(frozen=True)
class Adam(Optimizer):
    """Scale each step by running estimates of the gradient's mean and size.

        m ← β1 m + (1 - β1) g,     v ← β2 v + (1 - β2) g²
        p ← p - learning_rate · m/(1 - β1ᵗ) / (√(v/(1 - β2ᵗ)) + eps)

    Args: `learning_rate` and `eps`, above 0; `beta1` and `beta2`, from 0 up to, but not, 1.
    Raises: ArgumentError for anything else. Source: Kingma & Ba 2015, algorithm 1.

    >>> Adam(0.01)
    Adam(learning_rate=0.01, beta1=0.9, beta2=0.999, eps=1e-08)
    """

    learning_rate: float = 0.001
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    aliases: ClassVar[tuple[str, ...]] = ("adam",)

    def __post_init__(self) -> None:
        _positive(self, "learning_rate")
        _share(self, "beta1")
        _share(self, "beta2")
        _positive(self, "eps")

    @property
    def state(self) -> tuple[str, ...]:
        """The running mean of the gradient and of its square."""
        return ("m", "v")

    def update(
        self, p: Node, g: Node, state: State, t: Node, learning_rate: Node
    ) -> tuple[Node, State]:
        """p - learning_rate · m_hat / (√v_hat + eps)."""
        m = self.beta1 * state["m"] + rest(self.beta1) * g
        v = self.beta2 * state["v"] + rest(self.beta2) * ops.square(g)
        m_hat = ops.named(m / (1 - self.beta1**t), "m_hat")
        v_hat = ops.named(v / (1 - self.beta2**t), "v_hat")
        return p - learning_rate * m_hat / (ops.sqrt(v_hat) + self.eps), {"m": m, "v": v}


NAMES: dict[str, type[SGD] | type[Adam]] = {alias: c for c in (SGD, Adam) for alias in c.aliases}


def optimizer(chosen: str | Optimizer) -> Optimizer:
    """Return an optimizer by name, with its default settings, or as it is."""
    if isinstance(chosen, Optimizer):
        return chosen
    found = NAMES.get(str(chosen).lower())
    if found is None:
        raise one_of("optimizer", chosen, NAMES)
    return found()
