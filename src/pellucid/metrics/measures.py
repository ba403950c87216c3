"""The metrics of a model: what its programs compute for them, and what that comes to.

    parts of all metrics → columns, each once → averaged over an epoch's batches → results

A column is the mean of one part over a batch; where samples have weights, that of weight times
part, and one more column is the mean weight, by which the others are divided in the end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from pellucid import ops
from pellucid.errors import ArgumentError
from pellucid.graph import Array, Node
from pellucid.losses import Loss
from pellucid.metrics.given import Chosen, metric
from pellucid.metrics.metric import Each, Metric, Task
from pellucid.metrics.spread import Spread

Facts = Mapping[str, Mapping[str, Array]]  # by metric: the variance of its targets


@dataclass(frozen=True)
class Column:
    """A number that a program computes for a batch, or one for each class (`size`).

    `weighed`: it is a mean over samples, to which their weights apply.
    """

    name: str
    size: int = 0
    weighed: bool = True
    apart: bool = False  # it stands for classes, even if there is only one


class Measures:
    """Metrics as columns of a program, and as results of these."""

    def __init__(
        self,
        metrics: Sequence[Chosen],
        loss: Loss,
        prediction: Node,
        target: Node,
        taken: Callable[[str], bool],
    ) -> None:
        found = [metric(m, loss) for m in metrics]
        self.task, self.taken = Task(loss.targets), taken
        self.metrics: dict[str, Metric] = {self._free(m.label): m for m in found}
        self.columns: dict[str, Column] = {}
        self.uses: dict[str, dict[str, Column]] = {}  # metric → part → its column
        known: dict[tuple[Node, bool], Column] = {}
        for label, each in self.metrics.items():
            self.uses[label] = {}
            for part, values in self._parts(each, prediction, target).items():
                own = _column(self._name(part), label, values)
                column = known.setdefault((_values(values), own.size > 0), own)
                self.columns.setdefault(column.name, column)
                self.uses[label][part] = replace(own, name=column.name)
            self._check(label, each)
        self.weight = self._name("weight")

    def _free(self, name: str) -> str:
        return f"{name}_metric" if self.taken(name) else name

    def _name(self, part: str) -> str:
        """Return what a column is called: as its part, if nothing else is."""
        stem = name = self._free(part if part.isidentifier() else "metric")
        k = 1
        while name in self.columns:
            k += 1
            name = f"{stem}_{k}"
        return name

    def _parts(self, each: Metric, prediction: Any, target: Any) -> Mapping[str, Any]:
        return {} if each.whole else each.parts(prediction, target, self.task)

    def _check(self, label: str, each: Metric) -> None:
        """Refuse a result that is not one number for each epoch, before anything is trained."""
        ones = {k: np.ones((2, c.size) if c.size else 2) for k, c in self.uses[label].items()}
        facts = Spread.of(np.arange(4.0)).facts if each.compares else {}
        if each.whole:
            return
        shape = np.shape(each.result({**self._apart(label, ones), **facts}))
        if shape != (2,):
            raise ArgumentError(
                f"{label} comes to {shape} for the averages of 2 epochs, not to (2,)",
                "a NumPy formula of arrays (epochs,) or, of each class, (epochs, classes)",
            )

    @property
    def whole(self) -> bool:
        """Whether a metric needs all predictions at once."""
        return any(m.whole for m in self.metrics.values())

    @property
    def names(self) -> list[str]:
        """Every column that a program may have."""
        return [self.weight, *self.columns]

    # -- in a program ----------------------------------------------------------------------------

    def traced(self, prediction: Node, target: Node, weights: Node | None) -> dict[str, Node]:
        """Return the columns for a batch, as nodes."""
        found: dict[str, Node] = {}
        for label, each in self.metrics.items():
            for part, values in self._parts(each, prediction, target).items():
                column = self.uses[label][part]
                found[column.name] = _mean(_values(values), column, weights)
        if weights is None or not any(c.weighed for c in self.columns.values()):
            return found
        return {self.weight: ops.mean(weights), **found}

    # -- after it --------------------------------------------------------------------------------

    def facts(self, target: Array, weights: Array | None) -> Facts:
        """Return what some metrics are to know of all targets, whatever is predicted."""
        comparing = {k: m for k, m in self.metrics.items() if m.compares}
        return {k: Spread.of(m.compared(target), weights).facts for k, m in comparing.items()}

    def results(self, found: Mapping[str, Array], facts: Facts) -> dict[str, Array]:
        """Return loss and metrics of some epochs, (epochs,), from the averages of their columns.

        A metric that needs all predictions is NaN; `of` gives it.
        """
        epochs = len(found["loss"])
        told = {k: found[k] for k in ("loss", "data_loss") if k in found}
        weight = found.get(self.weight, np.ones(epochs))
        for label, each in self.metrics.items():
            if each.whole:
                told[label] = np.full(epochs, np.nan)
                continue
            means = {k: _share(found[c.name], c, weight) for k, c in self.uses[label].items()}
            told[label] = np.asarray(
                each.result({**self._apart(label, means), **facts.get(label, {})})
            )
        return told

    def result(
        self,
        found: Mapping[str, Any],
        facts: Facts,
        whole: Mapping[str, float] | None = None,
    ) -> dict[str, float]:
        """Return loss and metrics of one batch or epoch.

        Of those that need all predictions, the ones in `whole`.
        """
        if self.plain and self.weight not in found:  # at every step, so without a detour
            return {k: float(found[name]) for k, name in self._only.items() if name in found}
        rows = {name: np.asarray(value)[None] for name, value in found.items()}
        told = {k: float(v[0]) for k, v in self.results(rows, facts).items()}
        missing = [k for k, m in self.metrics.items() if m.whole and k not in (whole or {})]
        told |= whole or {}
        return {k: v for k, v in told.items() if k not in missing}

    @cached_property
    def plain(self) -> bool:
        """Whether every metric is its only column."""
        kinds = [type(m) for m in self.metrics.values()]
        return not self.whole and all(kind.result is Metric.result for kind in kinds)

    @cached_property
    def _only(self) -> dict[str, str]:
        """The only column of loss and metrics, where they are plain."""
        own = {label: next(iter(parts.values())).name for label, parts in self.uses.items()}
        return {"loss": "loss", "data_loss": "data_loss", **own}

    def _apart(self, label: str, means: dict[str, Array]) -> dict[str, Array]:
        """Give the average of a single class its axis of classes."""
        uses = self.uses[label]
        return {k: v[:, None] if uses[k].apart and v.ndim < 2 else v for k, v in means.items()}

    def of(self, prediction: Array, target: Array, weights: Array | None) -> dict[str, float]:
        """Return the metrics that need all predictions."""
        return {
            label: float(each.of(prediction, target, weights, self.task))
            for label, each in self.metrics.items()
            if each.whole
        }

    def doubts(self, target: Array, weights: Array | None) -> list[str]:
        """Say which metrics these targets leave undefined."""
        found = [m.doubt(target, weights, self.task) for m in self.metrics.values()]
        return [text for text in found if text]


def _values(part: Any) -> Any:
    return part.values if isinstance(part, Each) else part


def _column(name: str, label: str, part: Any) -> Column:
    """Return the column of a part, which is a number for a batch, or numbers for each sample."""
    node, apart = _values(part), isinstance(part, Each)
    sample = isinstance(node, Node) and node.ndim > 0 and not isinstance(node.shape[0], int)
    if not sample and (not isinstance(node, Node) or node.shape != () or apart):
        shape = node.shape if isinstance(node, Node) else type(node).__name__
        raise ArgumentError(
            f"{label} must be a number for each sample, or a single number for a batch, but is "
            f"{shape}",
            "average over the samples: pc.mean(…)",
        )
    size = node.shape[-1] if apart and node.ndim > 1 else 1
    return Column(name, size if apart and size > 1 else 0, sample, apart)


def _mean(node: Node, column: Column, weights: Node | None) -> Node:
    """Return the mean over a batch; of weight times value, where there are weights."""
    if not column.weighed:
        return node
    first = 1 if weights is not None else 0
    axes = tuple(range(first, node.ndim - (column.size > 0)))
    if weights is None:
        return ops.mean(node, axes if column.size else None)  # type: ignore[no-any-return]
    rows = ops.mean(node, axes) if axes else node
    each = ops.expand_dims(weights, -1) if column.size else weights
    return ops.mean(each * rows, 0)  # type: ignore[no-any-return]


def _share(values: Array, column: Column, weight: Array) -> Array:
    """Return the mean of a part, from that of weight times part."""
    if not column.weighed:
        return values
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Array = values / (weight[:, None] if values.ndim > 1 else weight)
    return found
