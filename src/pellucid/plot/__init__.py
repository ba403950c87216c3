"""Pictures of functions, models and training runs: `pc.plot`, drawn by matplotlib."""

from pellucid.plot.experiments import batch_sizes, initialization, learning_rates
from pellucid.plot.layers import gradient_flow, histograms, weights
from pellucid.plot.lines import activation, chain, history, success
from pellucid.plot.mistakes import confusion, misclassified
from pellucid.plot.planes import boundary, neurons
from pellucid.plot.schedules import range_test, schedule
from pellucid.plot.spaces import representation
from pellucid.plot.surface import Path, landscape

__all__ = [
    "Path",
    "activation",
    "batch_sizes",
    "boundary",
    "chain",
    "confusion",
    "gradient_flow",
    "histograms",
    "history",
    "initialization",
    "landscape",
    "learning_rates",
    "misclassified",
    "neurons",
    "range_test",
    "representation",
    "schedule",
    "success",
    "weights",
]
