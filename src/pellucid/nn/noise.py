"""Layers that disturb their input while training, so that the network cannot rely on details."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from pellucid.errors import ShapeError
from pellucid.graph import Node
from pellucid.nn.layer import Draw, Layer, Params, check_penalty, check_share


@dataclass(frozen=True)
class GaussianNoise(Layer):
    """While training, add normal noise of mean 0.

        train: a = x + deviation · noise,   predict: a = x

    Args: `deviation`, the standard deviation of what is added; the noise follows from the model's
    seed and the step, the same on every backend. Shapes: (n, …) -> (n, …). Raises: ArgumentError
    for a negative deviation.

    >>> GaussianNoise(0.1)
    GaussianNoise(deviation=0.1)
    """

    deviation: float = 0.1
    letter: ClassVar[str] = "noisy"

    def __post_init__(self) -> None:
        object.__setattr__(self, "deviation", check_penalty(self.deviation, "deviation"))

    def __call__(self, x: Node, p: Params) -> Node:
        """a = x."""
        return x

    def train(self, x: Node, p: Params, draw: Draw) -> Node:
        """a = x + deviation · noise."""
        return x + self.deviation * draw(x.shape, "normal") if self.deviation else x


@dataclass(frozen=True)
class GaussianDropout(Layer):
    """While training, multiply every value by a normal number of mean 1.

        train: a = x (1 + noise · sqrt(rate / (1 - rate))),   predict: a = x

    Its variance is that of `Dropout` of this rate, so that nothing has to be scaled (Srivastava et
    al. 2014, section 10). Args: `rate`, 0 ≤ rate < 1. Shapes: (n, …) -> (n, …). Raises:
    ArgumentError for any other rate.

    >>> GaussianDropout(0.2)
    GaussianDropout(rate=0.2)
    """

    rate: float = 0.5
    letter: ClassVar[str] = "noisy"

    def __post_init__(self) -> None:
        object.__setattr__(self, "rate", check_share(self.rate, "rate"))

    def __call__(self, x: Node, p: Params) -> Node:
        """a = x."""
        return x

    def train(self, x: Node, p: Params, draw: Draw) -> Node:
        """a = x (1 + noise · sqrt(rate / (1 - rate)))."""
        spread = math.sqrt(self.rate / (1 - self.rate))
        return x * (1 + spread * draw(x.shape, "normal")) if self.rate else x


# SELU comes to minus this for large negative numbers: scale · alpha (Klambauer et al. 2017, eq. 2)
SELU_LOWEST = 1.0507009873554804934193349852946 * 1.6732632423543772848170429916717


@dataclass(frozen=True)
class AlphaDropout(Layer):
    """While training, set a random share to SELU's lowest value, and keep mean and variance.

        train: a = s (x · mask - low (1 - mask)) + s · rate · low,   predict: a = x
        low = 1.7581,  s = 1 / sqrt((1 - rate) (1 + rate · low²))

    For networks of SELU units, whose values it leaves at mean 0 and variance 1 (Klambauer et al.
    2017, section 3). Args: `rate`, 0 ≤ rate < 1. Shapes: (n, …) -> (n, …). Raises: ArgumentError
    for any other rate.

    >>> AlphaDropout(0.05)
    AlphaDropout(rate=0.05)
    """

    rate: float = 0.05
    letter: ClassVar[str] = "dropped"

    def __post_init__(self) -> None:
        object.__setattr__(self, "rate", check_share(self.rate, "rate"))

    def __call__(self, x: Node, p: Params) -> Node:
        """a = x."""
        return x

    def train(self, x: Node, p: Params, draw: Draw) -> Node:
        """a = s (x · mask - low (1 - mask)) + s · rate · low."""
        if not self.rate:
            return x
        keep, low = 1 - self.rate, SELU_LOWEST
        s = 1 / math.sqrt(keep * (1 + self.rate * low**2))
        mask = draw(x.shape, keep)
        out: Node = s * (x * mask - low * (1 - mask)) + s * self.rate * low
        return out


@dataclass(frozen=True)
class SpatialDropout(Layer):
    """While training, drop whole channels: features, in all places of a sample at once.

        train: a = x · mask / (1 - rate),   predict: a = x          mask (n, 1, …, 1, channels)

    Places side by side are alike, so that one of them alone tells what was dropped (Tompson et al.
    2015, section 3.3). Shapes: (n, …, channels) -> the same, with one axis of places or more.
    Args: `rate`, 0 ≤ rate < 1. Raises: ArgumentError for any other rate; ShapeError for rows of
    features, which have no places.

    >>> SpatialDropout(0.2)
    SpatialDropout(rate=0.2)
    """

    rate: float = 0.5
    letter: ClassVar[str] = "dropped"

    def __post_init__(self) -> None:
        object.__setattr__(self, "rate", check_share(self.rate, "rate"))

    def __call__(self, x: Node, p: Params) -> Node:
        """a = x."""
        if x.ndim < 3:
            raise ShapeError(
                "SpatialDropout drops channels in all places, but its input has no places: it is "
                "(n, features)",
                "pc.Dropout",
            )
        return x

    def train(self, x: Node, p: Params, draw: Draw) -> Node:
        """a = x · mask / (1 - rate)."""
        x = self(x, p)
        whole = (x.shape[0], *(1 for _ in x.shape[1:-1]), x.shape[-1])
        return x * draw(whole, 1 - self.rate) / (1 - self.rate) if self.rate else x
