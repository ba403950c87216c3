"""Initial weights: random numbers whose spread keeps signals the same size from layer to layer."""

from __future__ import annotations

import math
from dataclasses import dataclass
from numbers import Real

import numpy as np

from pellucid import rng
from pellucid.errors import ArgumentError
from pellucid.graph import Array


@dataclass(frozen=True)
class Initializer:
    """How a parameter starts: `array(shape, key)` gives its first values, the same for one key."""

    def array(self, shape: tuple[int, ...], key: int) -> Array:
        """Return float64 values of this shape: the same ones for the same key."""
        raise NotImplementedError


@dataclass(frozen=True)
class _Scaled(Initializer):
    """Random values of a variance that depends on the fans."""

    distribution: str = "normal"

    def __post_init__(self) -> None:
        if self.distribution not in ("normal", "uniform"):
            raise ArgumentError(
                f"distribution {self.distribution!r}", 'choose "normal" or "uniform"'
            )

    def variance(self, fan_in: int, fan_out: int) -> float:
        """Return the variance of one weight."""
        raise NotImplementedError

    def array(self, shape: tuple[int, ...], key: int) -> Array:
        """Return values of the wanted variance: normal, or uniform on ±√(3 · variance)."""
        deviation = math.sqrt(self.variance(*fans(shape)))
        if self.distribution == "normal":
            return deviation * rng.normal(key, shape)
        return math.sqrt(3) * deviation * (2 * rng.uniform(key, shape) - 1)


def fans(shape: tuple[int, ...]) -> tuple[int, int]:
    """Return how many inputs and outputs a weight array (in, out) joins."""
    inputs = math.prod(shape[:-1]) if len(shape) > 1 else shape[0] if shape else 1
    return max(inputs, 1), max(shape[-1] if shape else 1, 1)


class He(_Scaled):
    """Variance 2 / n_in, for the ReLU family, which halves it again (He et al. 2015, eq. 10).

    Args: `distribution`, "normal" or "uniform" (on ±√(6 / n_in)).

    >>> float(He().array((400, 100), key=0).std().round(2))  # √(2 / 400) = 0.07
    0.07
    """

    def variance(self, fan_in: int, fan_out: int) -> float:
        return 2 / fan_in


class Glorot(_Scaled):
    """Variance 2 / (n_in + n_out), for tanh and sigmoid (Glorot & Bengio 2010, eq. 12).

    Args: `distribution`, "normal" or "uniform" (on ±√(6 / (n_in + n_out))). Also called Xavier.

    >>> float(Glorot("uniform").array((300, 300), key=0).max().round(2))  # √(6 / 600) = 0.1
    0.1
    """

    def variance(self, fan_in: int, fan_out: int) -> float:
        return 2 / (fan_in + fan_out)


Xavier = Glorot


class LeCun(_Scaled):
    """Variance 1 / n_in, for SELU and linear units (LeCun et al. 1998, eq. 16).

    Args: `distribution`, "normal" or "uniform" (on ±√(3 / n_in)).

    >>> float(LeCun().array((100, 400), key=0).std().round(1))  # √(1 / 100) = 0.1
    0.1
    """

    def variance(self, fan_in: int, fan_out: int) -> float:
        return 1 / fan_in


@dataclass(frozen=True)
class Orthogonal(Initializer):
    """Columns (or rows, whichever are fewer) at right angles, of length `gain` (Saxe et al. 2014).

    >>> W = Orthogonal().array((5, 3), key=0)
    >>> np.allclose(W.T @ W, np.eye(3))
    True
    """

    gain: float = 1.0

    def array(self, shape: tuple[int, ...], key: int) -> Array:
        """Return the orthogonal factor of a random normal matrix, its signs made unique."""
        rows, columns = math.prod(shape[:-1]), shape[-1]
        tall = rng.normal(key, (max(rows, columns), min(rows, columns)))
        q, r = np.linalg.qr(tall)
        q = q * np.where(np.diagonal(r) < 0, -1.0, 1.0)
        return (self.gain * (q if rows >= columns else q.T)).reshape(shape)


@dataclass(frozen=True)
class Normal(Initializer):
    """Normal values of a fixed standard deviation."""

    deviation: float = 0.01

    def array(self, shape: tuple[int, ...], key: int) -> Array:
        """Return normal values."""
        return self.deviation * rng.normal(key, shape)


@dataclass(frozen=True)
class Constant(Initializer):
    """Every value the same: right for biases, and for weights a way to see symmetry at work.

    >>> Constant(0.5).array((2,), key=0)
    array([0.5, 0.5])
    """

    value: float = 0.0

    def array(self, shape: tuple[int, ...], key: int) -> Array:
        """Return the constant, in every place."""
        return np.full(shape, float(self.value))


NAMES: dict[str, Initializer] = {
    "he": He(),
    "he_normal": He(),
    "he_uniform": He("uniform"),
    "glorot": Glorot(),
    "glorot_normal": Glorot(),
    "glorot_uniform": Glorot("uniform"),
    "xavier": Glorot(),
    "xavier_normal": Glorot(),
    "xavier_uniform": Glorot("uniform"),
    "lecun": LeCun(),
    "lecun_normal": LeCun(),
    "lecun_uniform": LeCun("uniform"),
    "orthogonal": Orthogonal(),
    "zeros": Constant(0.0),
    "ones": Constant(1.0),
}


def initializer(chosen: object) -> Initializer | None:
    """Return an initializer by name, or as it is."""
    from pellucid.errors import one_of

    if chosen is None or isinstance(chosen, Initializer):
        return chosen
    if isinstance(chosen, Real):
        return Constant(float(chosen))
    found = NAMES.get(str(chosen).lower())
    if found is None:
        raise one_of("initializer", chosen, NAMES)
    return found
