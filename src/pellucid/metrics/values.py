"""How far predicted values are off: absolute and squared errors, and the share explained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pellucid import ops
from pellucid.graph import Array
from pellucid.metrics.metric import Metric, Task, Values, each


@dataclass(frozen=True)
class MAE(Metric):
    """Mean absolute error:  mean |prediction - target|, over samples and outputs.

    >>> MAE()([1.0, 2.0], [2.0, 4.0])
    1.5
    """

    def parts(self, prediction: Values, target: Values, task: Task) -> Mapping[str, Values]:
        """Return the absolute errors."""
        return {"mae": ops.mae(prediction, target, reduction="none")}


@dataclass(frozen=True)
class MSE(Metric):
    """Mean squared error:  mean (prediction - target)², over samples and outputs.

    >>> MSE()([1.0, 2.0], [2.0, 4.0])
    2.5
    """

    def parts(self, prediction: Values, target: Values, task: Task) -> Mapping[str, Values]:
        """Return the squared errors."""
        return {"mse": ops.mse(prediction, target, reduction="none")}


@dataclass(frozen=True)
class RMSE(Metric):
    """Root of the mean squared error:  √ mean (prediction - target)², over samples and outputs.

    Of several outputs it is the root of the mean over all, not the mean of each one's root.

    >>> RMSE()([1.0, 2.0], [4.0, 6.0])
    3.5355339059327378
    """

    def parts(self, prediction: Values, target: Values, task: Task) -> Mapping[str, Values]:
        """Return the squared errors."""
        return {"squared_error": ops.mse(prediction, target, reduction="none")}

    def result(self, means: Mapping[str, Array]) -> Array:
        """Return the root."""
        found: Array = np.sqrt(means["squared_error"])
        return found


@dataclass(frozen=True)
class R2(Metric):
    """Share of the targets' variance that is explained; of several outputs, the mean of each one's.

        1 - mean (prediction - target)² / variance of the targets

    Targets that are all alike give 1 where they are predicted exactly, else 0; a single sample
    gives NaN. The variance is that of all targets, computed from the targets alone, in float64: in
    the logs of a batch the value is its share of the epoch's.

    >>> R2()([1.0, 2.0, 3.0], [1.0, 2.0, 4.0])
    0.7857142857142857
    """

    compares: ClassVar[bool] = True

    def parts(self, prediction: Values, target: Values, task: Task) -> Mapping[str, Values]:
        """Return the squared errors of each output."""
        return {"squared_error": each(ops.mse(prediction, target, reduction="none"))}

    def result(self, means: Mapping[str, Array]) -> Array:
        """Return 1 - squared error / variance."""
        error, variance = np.broadcast_arrays(means["squared_error"], means["target_variance"])
        exact = np.where(error == 0, 1.0, np.where(np.isnan(error), error, 0.0))
        left = np.divide(error, variance, out=1 - exact, where=variance > 0)
        found: Array = np.where(means["samples"] < 2, np.nan, (1 - left).mean(-1))
        return found

    def doubt(self, target: Array, weights: Array | None, task: Task) -> str:
        """Say so where there is nothing to be explained."""
        if len(target) < 2:
            return f"{self.label} is not defined for a single sample: it is NaN"
        seen = target if weights is None else target[weights > 0]
        flat = seen.reshape(len(seen), -1)
        if (flat == flat[:1]).all(axis=0).any():
            return f"{self.label} is not defined where all targets are alike: it is 1 or 0"
        return ""
