"""A metric of samples that come batch by batch, exact for all of them together."""

from __future__ import annotations

import warnings
from typing import Any, get_args

import numpy as np

from pellucid.errors import (
    ArgumentError,
    DataError,
    DtypeError,
    PellucidWarning,
    ShapeError,
    one_of,
)
from pellucid.graph import Array, regular
from pellucid.losses import Targets
from pellucid.metrics.metric import Each, Metric, Task
from pellucid.metrics.spread import Spread

KINDS = get_args(Targets)


class Stream:
    """Takes predictions and targets batch by batch; `result` is the metric of all of them.

    It keeps sums, not samples, but for a metric that needs all scores at once, such as AUC. Made by
    `metric.stream()`.

    >>> from pellucid.metrics import AUC
    >>> first = AUC().stream().update([0.9, 0.3], [1, 1])
    >>> other = AUC().stream().update([0.5, 0.1], [0, 0])
    >>> first.merge(other).result()
    0.75
    """

    def __init__(self, metric: Metric, targets: Targets | None = None) -> None:
        if targets is not None and targets not in KINDS:
            raise one_of("kind of targets", targets, KINDS)
        self.metric, self.targets = metric, targets
        self.reset()

    def reset(self) -> Stream:
        """Forget all samples."""
        self.samples, self.weight = 0, 0.0
        self._sums: dict[str, tuple[Array, bool]] = {}  # by part; whether weights count
        self._kept: list[tuple[Array, Array, Array]] = []
        self._spread: Spread | None = None
        self._task: Task | None = None
        return self

    def update(self, prediction: Any, target: Any, sample_weight: Any = None) -> Stream:
        """Take some more samples: predictions and targets (n,) or (n, outputs), weights (n,).

        Probabilities, not scores, where the metric has a threshold; labels may be whole numbers.
        Raises: ShapeError, DtypeError, DataError for what does not fit; nothing is taken then.
        """
        task, p, y, w = read(prediction, target, sample_weight, self.metric, self.targets)
        if not len(y):
            return self
        if self.metric.whole:
            self._kept.append((p, y, w))
        else:
            self._add(self._summed(p, y, w, task))
        if self.metric.compares:
            spread = Spread.of(self.metric.compared(y), w)
            self._spread = self._spread.joined(spread) if self._spread else spread
        self.samples, self.weight = self.samples + len(y), self.weight + float(w.sum())
        self._task = task
        return self

    def _summed(self, p: Array, y: Array, w: Array, task: Task) -> dict[str, tuple[Array, bool]]:
        """Return the sum of each part over some samples."""
        found = {}
        for name, part in self.metric.parts(p, y, task).items():
            values = np.asarray(part.values if isinstance(part, Each) else part, np.float64)
            if values.ndim:
                rows = values.reshape(len(w), -1, values.shape[-1] if isinstance(part, Each) else 1)
                total = w @ rows.mean(1)
                found[name] = (total if isinstance(part, Each) else total[0], True)
            else:  # of the whole batch
                found[name] = (values * len(w), False)
        return found

    def _add(self, sums: dict[str, tuple[Array, bool]]) -> None:
        if self._sums and any(s.shape != self._sums[k][0].shape for k, (s, _) in sums.items()):
            raise ShapeError(
                "these predictions have other classes than those before", "a stream for each model"
            )
        for name, (total, weighed) in sums.items():
            self._sums[name] = (self._sums.get(name, (0.0, weighed))[0] + total, weighed)

    def merge(self, other: Stream) -> Stream:
        """Take all samples of another stream of the same metric."""
        if not isinstance(other, Stream) or other.metric != self.metric:
            raise ArgumentError(
                f"a stream of {self.metric!r} is expected, not {getattr(other, 'metric', other)!r}",
                "merge streams of one metric",
            )
        self._add(dict(other._sums))
        self._kept += other._kept
        if self._spread and other._spread:
            self._spread = self._spread.joined(other._spread)
        self._spread = self._spread or other._spread
        self.samples, self.weight = self.samples + other.samples, self.weight + other.weight
        self._task = self._task or other._task
        return self

    def result(self) -> float:
        """Return the metric of all samples taken so far; NaN where there are none.

        Warns: PellucidWarning where the targets leave it undefined.
        """
        if self._task is None or not self.weight:
            return float("nan")
        if self.metric.whole:
            p, y, w = (np.concatenate(parts) for parts in zip(*self._kept, strict=True))
            warn(self.metric.doubt(y, w, self._task))
            return float(self.metric.of(p, y, w, self._task))
        means = {
            name: np.asarray(total / (self.weight if weighed else self.samples))[None]
            for name, (total, weighed) in self._sums.items()
        }
        facts = self._spread.facts if self._spread else {}
        return float(np.asarray(self.metric.result(means | facts)).reshape(()))

    def __repr__(self) -> str:
        return f"<{self.metric!r} of {self.samples} samples>"


def warn(doubt: str) -> None:
    """Say that a metric is not defined, if it is not."""
    if doubt:
        warnings.warn(doubt, PellucidWarning, stacklevel=3)


# -- reading what comes in -------------------------------------------------------------------------


def read(
    prediction: Any, target: Any, weights: Any, metric: Metric, targets: Targets | None
) -> tuple[Task, Array, Array, Array]:
    """Return how to read the targets, and predictions, targets and weights as arrays, (n, …)."""
    p, y = _numbers(prediction, "prediction"), _numbers(target, "target")
    p = p[:, None] if p.ndim == 1 else p
    if len(p) != len(y):
        raise ShapeError(f"prediction is {p.shape}, target {y.shape}", "a row each for each sample")
    if np.isnan(y).any():
        raise DataError("target holds NaN", "leave those samples out")
    kind: Targets = targets or _kind(p, metric)
    y = _targets(p, y, kind, targets)
    return Task(kind), p, y, _weights(weights, len(p))


def _numbers(given: Any, name: str) -> Array:
    array = regular(given, name)
    if array.dtype.kind not in "biuf":
        raise DtypeError(f"{name} holds {array.dtype}, not numbers", "labels as whole numbers")
    if not array.ndim:
        raise ShapeError(f"{name} is a single number", "a batch of them: [0.5]")
    return np.asarray(array, np.float64)


def _kind(p: Array, metric: Metric) -> Targets:
    """Return how targets are read where nobody says it."""
    if not metric.classifies:
        return "values"
    return "classes" if p.shape[-1] > 1 else "binary"


def _targets(p: Array, y: Array, kind: Targets, said: Targets | None) -> Array:
    """Return targets in the shape of the predictions, checked for what they are."""
    if y.shape == p.shape[:-1] and p.shape[-1] == 1:
        y = y[..., None]
    elif kind == "classes" and p.ndim == 2 and y.shape in ((len(p),), (len(p), 1)):
        y = _one_hot(y.reshape(-1), p.shape[-1])
    if y.shape != p.shape:
        raise ShapeError(f"prediction is {p.shape}, target {y.shape}", "a target for each output")
    if kind == "classes" and p.shape[-1] > 1 and not np.allclose(y.sum(-1), 1, atol=1e-5):
        raise DataError(
            "rows of target do not sum to 1, so they do not name one class each",
            'metric.stream(targets="binary") for several labels at once',
        )
    low, high = {"binary": (0, 1), "signs": (-1, 1)}.get(kind, (-np.inf, np.inf))
    if y.size and (y.min() < low or y.max() > high):
        raise DataError(
            f"target runs from {y.min():g} to {y.max():g}, not from {low} to {high}",
            'metric.stream(targets="signs") for labels -1 and 1' if low == 0 else "2 * y - 1",
        )
    return y


def _one_hot(labels: Array, classes: int) -> Array:
    whole = (labels == np.floor(labels)) & (labels >= 0) & (labels < classes)
    if not whole.all():
        raise DataError(
            f"target holds {labels[~whole][0]:g}, no label of {classes} classes",
            f"labels count from 0 to {classes - 1}",
        )
    found: Array = (labels[:, None] == np.arange(classes)).astype(np.float64)
    return found


def _weights(given: Any, n: int) -> Array:
    if given is None:
        return np.ones(n)
    array = _numbers(given, "sample_weight")
    if array.shape not in ((n,), (n, 1)):
        raise ShapeError(f"sample_weight is {array.shape} for {n} samples", "one for each sample")
    if not (np.isfinite(array) & (array >= 0)).all():
        raise DataError("sample_weight holds what is no weight", "numbers of at least 0")
    return array.reshape(n)
