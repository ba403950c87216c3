"""How well scores put positive samples before negative ones."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from pellucid.graph import Array
from pellucid.metrics.classes import averaged_name, check_average
from pellucid.metrics.metric import Metric, Task


@dataclass(frozen=True)
class AUC(Metric):
    """Area under the ROC curve: how likely a positive sample scores higher than a negative one.

        P(s₊ > s₋) + P(s₊ = s₋) / 2,  exact, from the ranks of all scores (Hanley & McNeil 1982)

    Of several classes or labels, each is taken against the rest; `average` "macro" is the mean of
    these, "weighted" by how often each is true, "micro" takes all of them as one. A class without
    a positive or a negative sample is left out; where none is left, the value is NaN.
    It is no mean over batches: `fit` gives that of all training samples, with the parameters at the
    epoch's end.

    >>> AUC()([0.9, 0.4, 0.4, 0.1], [1, 1, 0, 0])
    0.875
    """

    average: Literal["macro", "micro", "weighted"] = "macro"

    whole: ClassVar[bool] = True
    classifies: ClassVar[bool] = True

    def check(self) -> None:
        """Check how classes are averaged."""
        check_average(self.average, ("macro", "micro", "weighted"))

    @property
    def usual(self) -> str:
        """auc, or auc_micro."""
        return averaged_name("auc", self.average, "macro")

    def of(self, prediction: Array, target: Array, weights: Array | None, task: Task) -> float:
        """Return the area for all of these samples."""
        scores, true, each = _columns(prediction, target, weights, task)
        if np.isnan(scores).any():
            return float("nan")
        if self.average == "micro":
            pairs = [(scores.ravel(), true.ravel(), np.repeat(each, scores.shape[1]))]
        else:
            pairs = [(s, t, each) for s, t in zip(scores.T, true.T, strict=True)]
        areas = np.array([area(*pair) for pair in pairs])
        size = np.array([float(w[t].sum()) for _, t, w in pairs])
        known = ~np.isnan(areas)
        if not known.any():
            return float("nan")
        shares = size[known] if self.average == "weighted" else np.ones(int(known.sum()))
        return float(np.average(areas[known], weights=shares))

    def doubt(self, target: Array, weights: Array | None, task: Task) -> str:
        """Say so where a class has no positive or no negative sample."""
        _, true, each = _columns(target, target, weights, task)
        seen = true[each > 0]
        seen = seen.reshape(-1, 1) if self.average == "micro" else seen
        alone = [k for k, t in enumerate(seen.T) if t.all() or not t.any()]
        if len(alone) == seen.shape[1]:
            return f"{self.label} is not defined where all targets are of one class: it is NaN"
        few = ", ".join(map(str, alone[:8])) + (", …" if len(alone) > 8 else "")
        return f"{self.label} leaves out classes that no sample, or every one, has: {few}" * bool(
            alone
        )


def _columns(
    prediction: Array, target: Array, weights: Array | None, task: Task
) -> tuple[Array, Array, Array]:
    """Return scores and truth as (samples, classes), and the weight of each sample."""
    true = np.asarray(task.true(target))
    last = true.shape[-1] if true.ndim > 1 else 1
    scores, true = np.asarray(prediction).reshape(-1, last), true.reshape(-1, last)
    each = np.ones(len(target)) if weights is None else np.asarray(weights, float)
    return scores, true, np.repeat(each, len(true) // len(target))


def area(scores: Array, true: Array, weights: Array) -> float:
    """Return the area under the ROC curve of one class; NaN where all samples are alike.

        Σ over groups of equal scores:  P (N before + N / 2),  over P in all times N in all

    P and N are the weights of positive and of negative samples.

    >>> area(np.array([0.1, 0.2, 0.2]), np.array([False, True, False]), np.ones(3))
    0.75
    """
    order = np.argsort(scores, kind="stable")
    ordered, true, weights = scores[order], true[order], weights[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    positive = np.add.reduceat(np.where(true, weights, 0.0), starts)
    negative = np.add.reduceat(np.where(true, 0.0, weights), starts)
    pairs = positive.sum() * negative.sum()
    before = np.cumsum(negative) - negative
    return float(positive @ (before + negative / 2) / pairs) if pairs else float("nan")
