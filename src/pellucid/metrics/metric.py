"""What all metrics have in common: averages over samples, and a formula of these averages.

    parts(prediction, target)   numbers for each sample, traced like the loss
    result(means)               what their averages come to, however the samples come in batches

Task   how targets are to be read        Metric   the base        each   averaged for each class
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from pellucid import ops
from pellucid.errors import ArgumentError, DtypeError
from pellucid.graph import Array, Node
from pellucid.losses import Targets
from pellucid.ops.reduce import positions

if TYPE_CHECKING:
    from pellucid.metrics.stream import Stream

Values = Any  # nodes while a program is traced, arrays in a stream


@dataclass(frozen=True)
class Task:
    """How predictions and targets are to be read.

    `targets` "classes": each sample is of one class of several; "binary": each output is a
    yes-or-no of its own, 1 or 0; "signs": the same as 1 and -1; "values": numbers, which count as
    one class of several where there are several outputs, and as 1 or 0 where there is one.
    """

    targets: Targets = "values"

    @property
    def middle(self) -> float:
        """The number above which an output says yes."""
        return 0.0 if self.targets == "signs" else 0.5

    def one_of_many(self, x: Values) -> bool:
        """Say whether each row of outputs, or of targets, names one class of several."""
        several = x.ndim > 1 and x.shape[-1] != 1
        return self.targets == "classes" or (several and self.targets != "binary")

    def said(self, prediction: Values, threshold: float | None = None) -> Values:
        """Return which classes a prediction names, (n, classes) of True and False."""
        if not self.one_of_many(prediction):
            return prediction > (self.middle if threshold is None else threshold)
        if threshold is not None:
            raise ArgumentError(
                "a threshold has no meaning where the largest of several outputs is the prediction",
                'leave it out, or say that outputs are labels of their own: loss="bce"',
            )
        return ops.argmax(prediction, -1, keepdims=True) == places(prediction)

    def true(self, target: Values) -> Values:
        """Return which classes a target names, (n, classes) of True and False."""
        return self.said(target)


def places(x: Values) -> Values:
    """Return 0, 1, 2, … along the last axis."""
    return positions(x.shape[-1]) if isinstance(x, Node) else np.arange(x.shape[-1])


def known_as(x: Values, name: str) -> Values:
    """Give a value of a program a name to be printed under."""
    return ops.named(x, name) if isinstance(x, Node) else x


class Each:
    """Values that are averaged for each class, not over the classes: (n, classes) -> (classes,)."""

    __slots__ = ("values",)

    def __init__(self, values: Values) -> None:
        self.values = values


def each(values: Values) -> Each:
    """Say that values are to be averaged for each class: (n, classes) -> (classes,).

    >>> import numpy as np
    >>> each(np.eye(2)).values.shape
    (2, 2)
    """
    return Each(values)


@dataclass(frozen=True)
class Metric:
    """The base of every metric: averages over samples, and a formula of these averages.

        metric = result(mean over samples of each part)

    `parts(prediction, target, task)` names them, in ops, as numbers for each sample, (n, …);
    `result(means)` is a NumPy formula of the averages, which come as arrays (epochs,), those of
    `each` as (epochs, classes). With sample weights w an average is Σ w x / Σ w. So the value is
    that of all samples together, in whichever batches they come. `task` says how targets are read.
    A metric is also a function of predictions and targets; `stream` takes them batch by batch.

    Args of every metric: `name`, what logs and history call it.

    >>> @dataclass(frozen=True)
    ... class RelativeError(Metric):
    ...     def parts(self, prediction, target, task):
    ...         return {"error": ops.absolute(prediction - target), "size": ops.absolute(target)}
    ...     def result(self, means):
    ...         return means["error"] / means["size"]
    >>> RelativeError()([1.0, 2.0], [2.0, 2.0])
    0.25
    """

    name: str = field(default="", kw_only=True)

    whole: ClassVar[bool] = False  # it needs all predictions at once: `of` instead of parts
    compares: ClassVar[bool] = False  # it needs how far targets spread: target_variance, samples
    classifies: ClassVar[bool] = False  # it reads targets as classes

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise DtypeError(f"name is {self.name!r}", 'a text: name="top_error"')
        self.check()

    def check(self) -> None:
        """Check the metric's own settings."""

    @property
    def label(self) -> str:
        """What logs and history call it."""
        return self.name or self.usual

    @property
    def usual(self) -> str:
        """What it is called where it has no name of its own."""
        return type(self).__name__.lower()

    def parts(self, prediction: Values, target: Values, task: Task) -> Mapping[str, Values]:
        """Return what is averaged, by name: numbers for each sample, in ops."""
        raise NotImplementedError(f"{type(self).__name__} needs parts(prediction, target, task)")

    def result(self, means: Mapping[str, Array]) -> Array:
        """Return what the averages come to: the only one, unless it is overridden."""
        (mean,) = means.values()
        return mean

    def compared(self, target: Array) -> Array:
        """Return the targets whose spread the metric is told, where it `compares`."""
        return target

    def of(self, prediction: Array, target: Array, weights: Array | None, task: Task) -> float:
        """Return the value for all samples at once, where the metric is no formula of averages."""
        raise NotImplementedError(f"{type(self).__name__} is a formula of averages")

    def doubt(self, target: Array, weights: Array | None, task: Task) -> str:
        """Say why these targets leave the value undefined; "" where they do not."""
        return ""

    def stream(self, targets: Targets | None = None) -> Stream:
        """Return what takes predictions batch by batch, and gives the value for all of them.

        `targets` says how they are to be read, as a loss does: "classes", one of several;
        "binary", 0 or 1 for each output; "signs", -1 or 1; "values". Without it the shapes say.

        >>> from pellucid.metrics import Accuracy
        >>> Accuracy().stream().update([0.9, 0.2], [1, 1]).update([0.1], [0]).result()
        0.6666666666666666
        """
        from pellucid.metrics.stream import Stream

        return Stream(self, targets)

    def __call__(
        self,
        prediction: Any,
        target: Any,
        sample_weight: Any = None,
        *,
        targets: Targets | None = None,
    ) -> float:
        """Return the value for these predictions and targets; `targets` as for `stream`.

        >>> from pellucid.metrics import Precision
        >>> Precision()([0.9, 0.8, 0.1], [1, 0, 0])
        0.5
        """
        return self.stream(targets).update(prediction, target, sample_weight).result()


def ratio(a: Array, b: Array) -> Array:
    """Return a / b, and 0 where b is 0: the share of nothing.

    >>> import numpy as np
    >>> ratio(np.array([1.0, 0.0]), np.array([2.0, 0.0]))
    array([0.5, 0. ])
    """
    found: Array = np.divide(a, b, out=np.zeros(np.shape(a)), where=b != 0)
    return found
