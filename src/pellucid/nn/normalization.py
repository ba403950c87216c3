"""Layers that keep signals of one size: over the batch, or within each sample."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Real
from typing import Any

from pellucid import ops
from pellucid.dims import Shape, product, show
from pellucid.errors import ArgumentError, ShapeError
from pellucid.graph import Node
from pellucid.nn.init import Constant
from pellucid.nn.layer import Draw, Layer, Parameter, Params
from pellucid.ops.reduce import standardize


@dataclass(frozen=True)
class BatchNorm(Layer):
    """Shift and scale every feature to mean 0 and variance 1 over the batch, then as learned.

        train:    a = gamma (x - mean) / sqrt(var + eps) + beta,  mean and var those of the batch
        predict:  the same with running_mean and running_var         (Ioffe & Szegedy 2015, alg. 1)

    Shapes: (n, …, d) -> (n, …, d), over all axes but the last. Every step moves the running
    statistics, which are not learned but kept with the model:
    running ← (1 - momentum) running + momentum · batch, the variance with n - 1. Args: `momentum`,
    the share of the newest batch (PyTorch's meaning; Keras counts the other share); `eps`;
    `scale`, `shift`: False to leave out gamma, beta; `trainable`, False to leave both as they are.
    Sample weights weigh the loss, and not the statistics. Raises: ShapeError, before training, for
    a batch of a single value per feature, which has no variance.

    >>> BatchNorm()
    BatchNorm()
    """

    momentum: float = 0.1
    eps: float = 1e-5
    scale: bool = True
    shift: bool = True
    trainable: bool = True

    def __post_init__(self) -> None:
        momentum = _number(self.momentum, "momentum", 0, 1, "from 0 to 1")
        object.__setattr__(self, "momentum", momentum)
        object.__setattr__(self, "eps", _eps(self.eps))

    def parameters(self, shape: Shape) -> dict[str, Parameter]:
        """gamma (d,), which starts at 1, and beta (d,)."""
        return _scale_and_shift(self, _features(self, shape))

    def state(self, shape: Shape) -> dict[str, Parameter]:
        """running_mean (d,), which starts at 0, and running_var (d,), at 1."""
        size = (_features(self, shape),)
        return {"running_mean": Parameter(size), "running_var": Parameter(size, Constant(1.0))}

    def least(self, shape: Shape) -> int:
        """Two samples, unless one has several values of each feature."""
        return 2 if product(shape[:-1]) == 1 else 1

    def __call__(self, x: Node, p: Params) -> Node:
        """gamma (x - running_mean) / sqrt(running_var + eps) + beta."""
        spread = ops.sqrt(p["running_var"] + self.eps)
        return _learned(ops.named((x - p["running_mean"]) / spread, "normed"), p)

    def train(self, x: Node, p: Params, draw: Draw) -> tuple[Node, dict[str, Node]]:
        """The same with the batch's own mean and variance; and what these make of the running."""
        axes = tuple(range(x.ndim - 1))
        mean, m = ops.named(ops.mean(x, axes), "mean"), ops.core.count(x, axes)
        var = ops.named(ops.mean(ops.square(ops.named(x - mean, "centered")), axes), "var")
        normed = ops.named(standardize(x, axes, self.eps), "normed")
        batch = {"running_mean": mean, "running_var": var * m / (m - 1)}
        old, new = 1 - self.momentum, self.momentum
        return _learned(normed, p), {k: old * p[k] + new * v for k, v in batch.items()}

    def __repr__(self) -> str:
        """Show the settings that differ from their defaults."""
        return _shown(self)


@dataclass(frozen=True)
class LayerNorm(Layer):
    """Shift and scale every sample to mean 0 and variance 1 over its features, then as learned.

        a = gamma (x - mean) / sqrt(var + eps) + beta          (Ba, Kiros & Hinton 2016, eq. 4)

    Shapes: (n, …, d) -> (n, …, d), over the last axis; the same while training and predicting.
    Args: `eps`; `scale`, `shift`: False to leave out gamma, beta; `trainable`, False to leave
    both as they are.

    >>> LayerNorm(shift=False)
    LayerNorm(shift=False)
    """

    eps: float = 1e-5
    scale: bool = True
    shift: bool = True
    trainable: bool = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "eps", _eps(self.eps))

    def parameters(self, shape: Shape) -> dict[str, Parameter]:
        """gamma (d,), which starts at 1, and beta (d,)."""
        return _scale_and_shift(self, _features(self, shape))

    def __call__(self, x: Node, p: Params) -> Node:
        """gamma (x - mean) / sqrt(var + eps) + beta."""
        return _learned(ops.named(standardize(x, x.ndim - 1, self.eps), "normed"), p)

    def __repr__(self) -> str:
        """Show the settings that differ from their defaults."""
        return _shown(self)


def _scale_and_shift(layer: Any, d: int) -> dict[str, Parameter]:
    gamma = {"gamma": Parameter((d,), Constant(1.0))} if layer.scale else {}
    return gamma | ({"beta": Parameter((d,))} if layer.shift else {})


def _learned(normed: Node, p: Params) -> Node:
    """Return gamma · normed + beta, as far as there are such parameters."""
    scaled = p["gamma"] * normed if "gamma" in p else normed
    return scaled + p["beta"] if "beta" in p else scaled


def _features(layer: Layer, shape: Shape) -> int:
    if not shape or not isinstance(shape[-1], int):
        raise ShapeError(
            f"{type(layer).__name__} takes rows of features, but its input is "
            f"{show(('n', *shape))}",  # type: ignore[arg-type]
            "its last axis must be known: (n, …, d)",
        )
    return shape[-1]


def _number(value: Any, name: str, low: float, high: float, what: str) -> float:
    plain = isinstance(value, Real) and not isinstance(value, bool)
    if not plain or not low <= float(value) <= high:
        raise ArgumentError(f"{name} is {value!r}", f"{name} is a number {what}")
    return float(value)


def _eps(value: Any) -> float:
    return _number(value, "eps", 1e-30, 1.0, "above 0, such as 1e-5")


def _shown(layer: Any) -> str:
    from dataclasses import fields

    pairs = ((f, getattr(layer, f.name)) for f in fields(layer))
    shown = ", ".join(f"{f.name}={v!r}" for f, v in pairs if v != f.default)
    return f"{type(layer).__name__}({shown})"
