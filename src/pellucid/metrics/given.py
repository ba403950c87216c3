"""Metrics by name, and made of functions: what `metrics=[…]` takes."""

from __future__ import annotations

import builtins
import keyword
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pellucid.errors import ArgumentError, one_of
from pellucid.losses import NAMES as LOSS_NAMES
from pellucid.losses import Loss
from pellucid.metrics.classes import F1, Accuracy, Precision, Recall, TopK
from pellucid.metrics.metric import Metric, Task, Values
from pellucid.metrics.ranks import AUC
from pellucid.metrics.values import MAE, MSE, R2, RMSE

Function = Callable[..., Any]
Chosen = str | Function | Metric

NAMES: dict[str, Metric] = {
    "accuracy": Accuracy(), "acc": Accuracy(),
    "mae": MAE(), "mse": MSE(),
    "rmse": RMSE(), "root_mean_squared_error": RMSE(),
    "r2": R2(), "r2_score": R2(), "r_squared": R2(),
    "auc": AUC(), "roc_auc": AUC(),
    "precision": Precision(), "recall": Recall(), "f1": F1(), "f1_score": F1(),
    **{f"{kind.__name__.lower()}_{average}": kind(average)
       for kind in (Precision, Recall, F1) for average in ("macro", "micro", "weighted")},
}  # fmt: skip
TOP = re.compile(r"top_?(\d+)(_accuracy)?")


@dataclass(frozen=True)
class OfFunction(Metric):
    """A metric that somebody wrote: a function of (prediction, target).

    A number for each sample is averaged; a single number for a batch is averaged over batches, by
    their sizes.
    """

    function: Function

    def parts(self, prediction: Values, target: Values, task: Task) -> Mapping[str, Values]:
        """Return what the function gives."""
        return {self.usual: self.function(prediction, target)}

    @property
    def usual(self) -> str:
        """The function's own name."""
        return _printable(getattr(self.function, "__name__", "metric"))


@dataclass(frozen=True)
class OfLoss(Metric):
    """A loss as a metric, without penalties."""

    loss: Loss

    def parts(self, prediction: Values, target: Values, task: Task) -> Mapping[str, Values]:
        """Return the loss of each sample."""
        return {self.name: self.loss.function(prediction, target, reduction="none")}


def metric(chosen: Chosen, loss: Loss) -> Metric:
    """Return the metric that is meant, for a model with this loss.

    Raises: ArgumentError for an unknown name, and for a metric that has no meaning for the loss.
    """
    found = chosen if isinstance(chosen, Metric) else _made(chosen, loss)
    free = loss.classifies or loss.name in ("custom", "none", "mse", "half_mse")
    if found.classifies and not free:
        raise ArgumentError(
            f"{found.label} has no meaning for the loss {loss.name!r}", 'choose "mae" or "mse"'
        )
    return found


def _made(chosen: Any, loss: Loss) -> Metric:
    if isinstance(chosen, type) and issubclass(chosen, Metric):
        raise ArgumentError(f"{chosen.__name__} is a class", f"pc.{chosen.__name__}()")
    if callable(chosen):
        return OfFunction(chosen)
    name = str(chosen).lower()
    if name in ("confusion", "confusion_matrix"):
        raise ArgumentError("a confusion matrix is no number to be logged", "model.confusion(X, y)")
    if name in NAMES:
        return NAMES[name]
    if top := TOP.fullmatch(name):
        return TopK(int(top[1]))
    if name not in LOSS_NAMES:
        raise one_of("metric", chosen, {*NAMES, "top_5_accuracy", *LOSS_NAMES})
    wanted = LOSS_NAMES[name]
    if wanted.link and loss.link:  # metrics see what predict returns: probabilities, not scores
        wanted = LOSS_NAMES[wanted.name.removesuffix("_logits")]
    return OfLoss(loss=wanted, name=name)


def _printable(name: str) -> str:
    """Return a function's name as printed code can use it: no keyword, no builtin."""
    if not name.isidentifier():
        return "metric"
    clashes = keyword.iskeyword(name) or hasattr(builtins, name)
    return f"{name}_metric" if clashes else name


def check_metrics(metrics: Sequence[Chosen], loss: Loss) -> None:
    """Refuse unknown metrics, and two of one name."""
    names = [metric(m, loss).label for m in metrics]
    for name in names:
        if names.count(name) > 1:
            raise ArgumentError(
                f"two metrics are called {name!r}",
                'give each a name: pc.F1(threshold=0.3, name="f1_at_0.3"), def top_error(p, y): …',
            )
