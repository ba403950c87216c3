"""How often a classifier is right: of all samples, of those it says yes to, of those it should."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any, ClassVar, Literal

import numpy as np

from pellucid import ops
from pellucid.errors import ArgumentError, one_of
from pellucid.graph import Array
from pellucid.metrics.metric import (
    Each,
    Metric,
    Task,
    Values,
    each,
    known_as,
    places,
    ratio,
)

Average = Literal["auto", "binary", "macro", "micro", "weighted"]
AVERAGES = ("auto", "binary", "macro", "micro", "weighted")


@dataclass(frozen=True)
class Accuracy(Metric):
    """Share of samples whose most likely class is right; of labels, where there are several.

        (n, classes), (n, classes) -> ()

    With one output, class 1 is above `threshold`, by default 0.5 (0 for signs).
    Raises: ArgumentError where the loss is of values, or a threshold has no meaning.

    >>> Accuracy()([[0.1, 0.9], [0.8, 0.2]], [1, 1])
    0.5
    """

    threshold: float | None = None

    classifies: ClassVar[bool] = True

    def check(self) -> None:
        """Check the threshold."""
        check_threshold(self.threshold)

    def parts(self, prediction: Values, target: Values, task: Task) -> Mapping[str, Values]:
        """Return whether each sample is right."""
        if self.threshold is None and task.one_of_many(prediction):
            return {"accuracy": ops.argmax(prediction, axis=-1) == ops.argmax(target, axis=-1)}
        return {"accuracy": task.said(prediction, self.threshold) == task.true(target)}


@dataclass(frozen=True)
class TopK(Metric):
    """Share of samples whose class is among the `k` most likely; of equal ones the first counts.

        (n, classes), (n, classes) -> ()

    `TopK(1)` is the accuracy. By name: "top_5_accuracy". Raises: ArgumentError for a `k` that is no
    whole number above 0, or of more classes than there are.

    >>> TopK(2)([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2]], [1, 2])
    0.5
    """

    k: int = 5

    classifies: ClassVar[bool] = True

    def check(self) -> None:
        """Check k."""
        if not isinstance(self.k, Integral) or isinstance(self.k, bool) or self.k < 1:
            raise ArgumentError(f"k is {self.k!r}", "k is a whole number of at least 1: TopK(5)")

    @property
    def usual(self) -> str:
        """top_5_accuracy."""
        return f"top_{self.k}_accuracy"

    def parts(self, prediction: Values, target: Values, task: Task) -> Mapping[str, Values]:
        """Return whether enough classes come behind: less likely, or as likely and later."""
        if not task.one_of_many(prediction):
            raise ArgumentError(
                f"{self.usual} has no meaning where each output is a yes or no", 'use "accuracy"'
            )
        classes = prediction.shape[-1]
        if self.k > classes:
            raise ArgumentError(f"there is no {self.usual} of {classes} classes", "a smaller k")
        own = ops.sum(
            ops.where(known_as(task.true(target), "actual"), prediction, 0), -1, keepdims=True
        )
        own = known_as(own, "true_score")  # (n, 1)
        later = places(prediction) > ops.argmax(target, -1, keepdims=True)
        behind = known_as((prediction < own) | ((prediction == own) & later), "behind")
        return {self.usual: ops.sum(behind, -1) >= classes - int(self.k)}


# -- precision and recall --------------------------------------------------------------------------


@dataclass(frozen=True)
class Precision(Metric):
    """Share of what is predicted positive that is positive.

        true positives / predicted positives,  0 where nothing is predicted positive

    `average`: "binary" is of class 1 alone; "macro" is the mean over classes, those left out that
    are neither predicted nor true; "weighted" the same, by how often each class is true; "micro"
    counts all classes together; "auto" is "binary" for a single output, else "macro". `threshold`,
    above which a single output is positive, by default 0.5 (0 for signs).
    Raises: ArgumentError for settings that have no meaning.

    >>> Precision()([0.9, 0.8, 0.7, 0.1], [1, 1, 0, 1])
    0.6666666666666666
    """

    average: Average = "auto"
    threshold: float | None = None

    classifies: ClassVar[bool] = True

    def check(self) -> None:
        """Check the settings."""
        check_average(self.average, AVERAGES)
        check_threshold(self.threshold)

    @property
    def usual(self) -> str:
        """precision, or precision_macro."""
        return averaged_name("precision", self.average)

    def parts(self, prediction: Values, target: Values, task: Task) -> Mapping[str, Values]:
        """Return true, predicted and, where classes are told apart, actual positives."""
        found = positives(prediction, target, task, self.average, self.threshold)
        return without(found, "actual_positives")

    def result(self, means: Mapping[str, Array]) -> Array:
        """Return true positives / predicted positives."""
        own = ratio(means["true_positives"], means["predicted_positives"])
        return over_classes(own, means, self.average)


@dataclass(frozen=True)
class Recall(Metric):
    """Share of what is positive that is predicted positive.

        true positives / actual positives,  0 where nothing is positive

    Args and errors are those of `Precision`.

    >>> Recall()([0.9, 0.8, 0.7, 0.1], [1, 1, 0, 1])
    0.6666666666666666
    """

    average: Average = "auto"
    threshold: float | None = None

    classifies: ClassVar[bool] = True

    def check(self) -> None:
        """Check the settings."""
        check_average(self.average, AVERAGES)
        check_threshold(self.threshold)

    @property
    def usual(self) -> str:
        """recall, or recall_macro."""
        return averaged_name("recall", self.average)

    def parts(self, prediction: Values, target: Values, task: Task) -> Mapping[str, Values]:
        """Return true, actual and, where classes are told apart, predicted positives."""
        found = positives(prediction, target, task, self.average, self.threshold)
        return without(found, "predicted_positives")

    def result(self, means: Mapping[str, Array]) -> Array:
        """Return true positives / actual positives."""
        own = ratio(means["true_positives"], means["actual_positives"])
        return over_classes(own, means, self.average)

    def doubt(self, target: Array, weights: Array | None, task: Task) -> str:
        """Say so where nothing is positive."""
        return nothing_positive(self.label, self.average, target, weights, task)


@dataclass(frozen=True)
class F1(Metric):
    """The harmonic mean of precision and recall (van Rijsbergen 1979).

        2 true positives / (predicted positives + actual positives),  0 where both are 0

    Args and errors are those of `Precision`.

    >>> F1()([0.9, 0.8, 0.7, 0.1], [1, 1, 0, 1])
    0.6666666666666666
    """

    average: Average = "auto"
    threshold: float | None = None

    classifies: ClassVar[bool] = True

    def check(self) -> None:
        """Check the settings."""
        check_average(self.average, AVERAGES)
        check_threshold(self.threshold)

    @property
    def usual(self) -> str:
        """f1, or f1_macro."""
        return averaged_name("f1", self.average)

    def parts(self, prediction: Values, target: Values, task: Task) -> Mapping[str, Values]:
        """Return true, predicted and actual positives."""
        return positives(prediction, target, task, self.average, self.threshold)

    def result(self, means: Mapping[str, Array]) -> Array:
        """Return 2 true positives / (predicted positives + actual positives)."""
        both = means["predicted_positives"] + means["actual_positives"]
        return over_classes(ratio(2 * means["true_positives"], both), means, self.average)

    def doubt(self, target: Array, weights: Array | None, task: Task) -> str:
        """Say so where nothing is positive."""
        return nothing_positive(self.label, self.average, target, weights, task)


def positives(
    prediction: Values, target: Values, task: Task, average: Average, threshold: float | None
) -> dict[str, Values]:
    """Return what is predicted positive, what is, and what is both; for each class, or in all."""
    said, true = task.said(prediction, threshold), task.true(target)
    said, true = known_as(said, "predicted"), known_as(true, "actual")
    single = said.ndim < 2 or said.shape[-1] == 1
    if average == "binary" and not single:
        raise ArgumentError(
            f'average="binary" is of a single output, and there are {said.shape[-1]}',
            'average="macro", "micro" or "weighted"',
        )
    if average not in ("auto", "binary") and single:
        said, true = _two(said), _two(true)
    values = {
        "true_positives": known_as(said & true, "hits"),
        "predicted_positives": said,
        "actual_positives": true,
    }
    if average in ("macro", "weighted") or (average == "auto" and not single):
        return {name: each(value) for name, value in values.items()}
    return values


def without(found: dict[str, Values], name: str) -> dict[str, Values]:
    """Leave out what is not needed, where classes are not told apart."""
    return {k: v for k, v in found.items() if k != name or isinstance(v, Each)}


def _two(yes: Values) -> Values:
    """Return a yes-or-no as two classes, no and yes: (n, 1) -> (n, 2)."""
    yes = ops.expand_dims(yes, -1) if yes.ndim < 2 else yes
    return ops.concatenate([ops.logical_not(yes), yes], -1)


def over_classes(own: Array, means: Mapping[str, Array], average: Average) -> Array:
    """Return the mean over classes, where there is a value for each: (epochs, classes)."""
    if own.ndim < 2:
        return own
    true = means["actual_positives"]
    if average == "weighted":
        return ratio((own * true).sum(-1), true.sum(-1))
    seen = (true + means["predicted_positives"]) > 0
    return ratio((own * seen).sum(-1), seen.sum(-1))


def nothing_positive(
    label: str, average: Average, target: Array, weights: Array | None, task: Task
) -> str:
    """Say so where a metric of positives is asked for, and there is none."""
    true = np.asarray(task.true(target)).reshape(len(target), -1)
    if average not in ("auto", "binary") or true.shape[1] != 1:
        return ""
    seen = true[:, 0] if weights is None else true[:, 0] & (weights > 0)
    return "" if seen.any() else f"{label} is 0 whatever is predicted: no target is positive"


def averaged_name(name: str, average: str, usual: str = "auto") -> str:
    """Return what a metric is called that is averaged in this way."""
    return name if average == usual else f"{name}_{average}"


def check_average(average: Any, known: tuple[str, ...]) -> None:
    """Refuse an unknown way to average over classes."""
    if average not in known:
        raise one_of("average", average, known)


def check_threshold(threshold: Any) -> None:
    """Refuse a threshold that is no number."""
    real = isinstance(threshold, Real) and not isinstance(threshold, bool)
    if threshold is not None and not (real and np.isfinite(float(threshold))):
        raise ArgumentError(f"threshold is {threshold!r}", "a number such as 0.5")
