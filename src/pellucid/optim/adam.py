"""Adam and its kin: steps scaled by running estimates of the gradient's mean and size."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from pellucid import ops
from pellucid.graph import Node
from pellucid.optim.checks import not_negative, positive, share
from pellucid.optim.optimizer import Optimizer, State, running
from pellucid.optim.schedule import Schedule


@dataclass(frozen=True, repr=False)
class Adam(Optimizer):
    """Scale each step by running estimates of the gradient's mean and size.

        m ← β1 m + (1 - β1) g,     v ← β2 v + (1 - β2) g²
        p ← p - learning_rate · m/(1 - β1ᵗ) / (√(v/(1 - β2ᵗ)) + eps)

    Args: `learning_rate` and `eps`, above 0; `beta1` and `beta2`, from 0 up to, but not, 1.
    A `weight_decay` is added to the gradient; for the other kind see AdamW.
    Raises: ArgumentError for anything else. Source: Kingma & Ba 2015, algorithm 1.

    >>> Adam(0.01)
    Adam(learning_rate=0.01, beta1=0.9, beta2=0.999, eps=1e-08)
    """

    learning_rate: float | Schedule = 0.001
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    aliases: ClassVar[tuple[str, ...]] = ("adam",)

    def check(self) -> None:
        """Check the decays and eps."""
        _check(self)

    @property
    def state(self) -> tuple[str, ...]:
        """The running mean of the gradient and of its square."""
        return ("m", "v")

    def update(
        self, p: Node, g: Node, state: State, t: Node, learning_rate: Node
    ) -> tuple[Node, State]:
        """p - learning_rate · m_hat / (√v_hat + eps)."""
        return _stepped(self, p, g, state, t, learning_rate)


@dataclass(frozen=True, repr=False)
class AdamW(Optimizer):
    """Adam whose weight decay shrinks the weights directly, untouched by the scaling of the step.

        m ← β1 m + (1 - β1) g,     v ← β2 v + (1 - β2) g²
        p ← (1 - learning_rate · weight_decay) p
            - learning_rate · m/(1 - β1ᵗ) / (√(v/(1 - β2ᵗ)) + eps)

    Args: as for Adam, and `weight_decay`, 0.01. As with every optimizer here it is for weights of
    two axes and more; PyTorch's acts on biases and norms as well, as `groups=[Group("*",
    weight_decay=0.01)]` does. Source: Loshchilov & Hutter 2019, algorithm 2.

    >>> AdamW(0.01)
    AdamW(learning_rate=0.01, beta1=0.9, beta2=0.999, eps=1e-08, weight_decay=0.01)
    """

    learning_rate: float | Schedule = 0.001
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = field(default=0.01, kw_only=True)
    decoupled: ClassVar[bool] = True
    aliases: ClassVar[tuple[str, ...]] = ("adamw",)

    def check(self) -> None:
        """Check the decays and eps."""
        _check(self)

    @property
    def state(self) -> tuple[str, ...]:
        """The running mean of the gradient and of its square."""
        return ("m", "v")

    def update(
        self, p: Node, g: Node, state: State, t: Node, learning_rate: Node
    ) -> tuple[Node, State]:
        """p - learning_rate · m_hat / (√v_hat + eps)."""
        return _stepped(self, p, g, state, t, learning_rate)


@dataclass(frozen=True, repr=False)
class AMSGrad(Optimizer):
    """Adam whose estimate of the gradient's size never shrinks, so that steps never grow back.

        m ← β1 m + (1 - β1) g,     v ← β2 v + (1 - β2) g²,     v_max ← max(v_max, v)
        p ← p - learning_rate · m/(1 - β1ᵗ) / (√(v_max/(1 - β2ᵗ)) + eps)

    Args: as for Adam. It is PyTorch's `Adam(amsgrad=True)`; the paper leaves out the divisions by
    1 - βᵗ. Source: Reddi, Kale & Kumar 2018, algorithm 2.

    >>> AMSGrad()
    AMSGrad(learning_rate=0.001, beta1=0.9, beta2=0.999, eps=1e-08)
    """

    learning_rate: float | Schedule = 0.001
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    aliases: ClassVar[tuple[str, ...]] = ("amsgrad",)

    def check(self) -> None:
        """Check the decays and eps."""
        _check(self)

    @property
    def state(self) -> tuple[str, ...]:
        """The running mean of the gradient and of its square, and the largest of the latter."""
        return ("m", "v", "v_max")

    def update(
        self, p: Node, g: Node, state: State, t: Node, learning_rate: Node
    ) -> tuple[Node, State]:
        """p - learning_rate · m_hat / (√v_hat + eps), with v_hat from the largest v."""
        m, v = _moments(self, g, state)
        largest = ops.maximum(state["v_max"], v)
        m_hat = ops.named(m / (1 - self.beta1**t), "m_hat")
        v_hat = ops.named(largest / (1 - self.beta2**t), "v_hat")
        new = p - learning_rate * m_hat / (ops.sqrt(v_hat) + self.eps)
        return new, {"m": m, "v": v, "v_max": largest}


@dataclass(frozen=True, repr=False)
class NAdam(Optimizer):
    """Adam that looks one step ahead with its momentum, as Nesterov's does.

        μₜ = β1 (1 - 0.96^(t · momentum_decay) / 2),     bias ← 1 - μₜ (1 - bias)
        m ← β1 m + (1 - β1) g,     v ← β2 v + (1 - β2) g²
        step = (1 - μₜ)/bias · g + μₜ₊₁/(1 - μₜ₊₁ (1 - bias)) · m
        p ← p - learning_rate · step / (√(v/(1 - β2ᵗ)) + eps)

    Args: as for Adam, and `momentum_decay`, at least 0: how fast μ grows to β1. Its state `bias`,
    which is 1 - μ₁μ₂⋯μₜ, is one number. Source: Dozat 2016, algorithm 2.

    >>> NAdam()
    NAdam(learning_rate=0.002, beta1=0.9, beta2=0.999, eps=1e-08, momentum_decay=0.004)
    """

    learning_rate: float | Schedule = 0.002
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    momentum_decay: float = 0.004
    aliases: ClassVar[tuple[str, ...]] = ("nadam",)

    def check(self) -> None:
        """Check the decays and eps."""
        _check(self)
        not_negative(self, "momentum_decay")

    @property
    def state(self) -> tuple[str, ...]:
        """The running mean of the gradient and of its square, and 1 minus all μ multiplied."""
        return ("m", "v", "bias")

    def size_of(self, state: str, parameters: int) -> int:
        """Return how many numbers a state has: of the bias, one."""
        return 1 if state == "bias" else parameters

    def update(
        self, p: Node, g: Node, state: State, t: Node, learning_rate: Node
    ) -> tuple[Node, State]:
        """p - learning_rate · (what g and m add up to) / (√v_hat + eps)."""
        m, v = _moments(self, g, state)
        mu = ops.named(self._momentum(t), "mu")
        ahead = ops.named(self._momentum(t + 1), "mu_ahead")
        bias = ops.named(1 - mu * (1 - state["bias"]), "new_bias")
        step = (1 - mu) / bias * g + ahead / (1 - ahead * (1 - bias)) * m
        v_hat = ops.named(v / (1 - self.beta2**t), "v_hat")
        step = ops.named(step, "look_ahead")
        new = p - learning_rate * step / (ops.sqrt(v_hat) + self.eps)
        return new, {"m": m, "v": v, "bias": bias}

    def _momentum(self, t: Node) -> Any:
        return self.beta1 - 0.5 * self.beta1 * 0.96 ** (t * self.momentum_decay)


def _moments(optimizer: Any, g: Node, state: State) -> tuple[Node, Node]:
    """Return the running mean of the gradient, and of its square."""
    m = running(optimizer.beta1, state["m"], g)
    return m, running(optimizer.beta2, state["v"], ops.square(g))


def _stepped(
    optimizer: Any, p: Node, g: Node, state: State, t: Node, learning_rate: Node
) -> tuple[Node, State]:
    """Return Adam's step: what decays, and how, is said around it."""
    m, v = _moments(optimizer, g, state)
    m_hat = ops.named(m / (1 - optimizer.beta1**t), "m_hat")
    v_hat = ops.named(v / (1 - optimizer.beta2**t), "v_hat")
    return p - learning_rate * m_hat / (ops.sqrt(v_hat) + optimizer.eps), {"m": m, "v": v}


def _check(optimizer: Optimizer) -> None:
    share(optimizer, "beta1")
    share(optimizer, "beta2")
    positive(optimizer, "eps")
