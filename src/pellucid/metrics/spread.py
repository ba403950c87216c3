"""How many targets there are, and how far they spread: found in parts, and put together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pellucid.graph import Array


@dataclass(frozen=True, eq=False)
class Spread:
    """Number, weight, mean and squared deviations of targets, for each output, in float64.

    Two of them become one without loss (Chan, Golub & LeVeque 1983): nothing is squared before its
    mean is taken off.
    """

    samples: int
    weight: float
    first: Array  # a target, from which the mean is counted, (outputs,)
    mean: Array  # less that, (outputs,)
    squares: Array  # Σ w (y - mean)², (outputs,)

    @classmethod
    def of(cls, target: Array, weights: Array | None = None) -> Spread:
        """Return the spread of targets, (n, …, outputs)."""
        y = np.asarray(target, np.float64)
        y = y.reshape(-1, y.shape[-1] if y.ndim > 1 else 1)
        each = np.ones(len(target)) if weights is None else np.asarray(weights, np.float64)
        w = np.repeat(each, len(y) // max(len(target), 1))[:, None]
        total, first = float(w.sum()), y[:1].sum(0)
        off = y - first  # so that equal targets have no deviation, however large they are
        mean = (w * off).sum(0) / (total or 1.0)
        return cls(len(target), total, first, mean, (w * (off - mean) ** 2).sum(0))

    def joined(self, other: Spread) -> Spread:
        """Return the spread of these targets and those."""
        total = self.weight + other.weight
        share = other.weight / total if total else 0.0
        apart = (other.first - self.first) + (other.mean - self.mean)
        between = apart**2 * self.weight * share
        return Spread(
            self.samples + other.samples,
            total,
            self.first,
            self.mean + apart * share,
            self.squares + other.squares + between,
        )

    @property
    def facts(self) -> dict[str, Array]:
        """What a metric is told of it: the variance of each output, and the number of samples."""
        variance = self.squares / self.weight if self.weight else np.full_like(self.mean, np.nan)
        return {"target_variance": variance[None], "samples": np.array([self.samples])}
