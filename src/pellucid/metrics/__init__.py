"""How good predictions are: metrics for `metrics=[…]`, as functions, and as streams of batches."""

from pellucid.metrics.classes import F1, Accuracy, Precision, Recall, TopK
from pellucid.metrics.confusion import Confusion, confusion_matrix
from pellucid.metrics.given import NAMES, check_metrics, metric
from pellucid.metrics.measures import Measures
from pellucid.metrics.metric import Metric, Task, each
from pellucid.metrics.ranks import AUC
from pellucid.metrics.stream import Stream
from pellucid.metrics.values import MAE, MSE, R2, RMSE

__all__ = [
    "AUC",
    "F1",
    "MAE",
    "MSE",
    "NAMES",
    "R2",
    "RMSE",
    "Accuracy",
    "Confusion",
    "Measures",
    "Metric",
    "Precision",
    "Recall",
    "Stream",
    "Task",
    "TopK",
    "check_metrics",
    "confusion_matrix",
    "each",
    "metric",
]
