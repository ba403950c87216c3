"""Neural networks one can see through: what trains is what is printed, explained and checked."""

from pellucid import data as data
from pellucid._version import __version__ as __version__
from pellucid.callbacks import Callback, LambdaCallback, Progress
from pellucid.checkpoint import load
from pellucid.errors import (
    ArgumentError,
    DataError,
    DtypeError,
    NotBuiltError,
    PellucidError,
    PellucidWarning,
    ShapeError,
    TraceError,
    TrainingWarning,
)
from pellucid.gate import Gate
from pellucid.grad import custom_gradient, grad, hessian, jacobian, jvp, value_and_grad, vjp
from pellucid.graph import Node, value
from pellucid.history import History
from pellucid.model import Sequential
from pellucid.nn import *
from pellucid.nn import __all__ as _layers
from pellucid.ops import *
from pellucid.ops import __all__ as _functions
from pellucid.optim import SGD, Adam, Optimizer

__all__ = [  # noqa: PLE0604
    "SGD",
    "Adam",
    "ArgumentError",
    "Callback",
    "DataError",
    "DtypeError",
    "Gate",
    "History",
    "LambdaCallback",
    "Node",
    "NotBuiltError",
    "Optimizer",
    "PellucidError",
    "PellucidWarning",
    "Progress",
    "Sequential",
    "ShapeError",
    "TraceError",
    "TrainingWarning",
    "custom_gradient",
    "data",
    "grad",
    "hessian",
    "jacobian",
    "jvp",
    "load",
    "value",
    "value_and_grad",
    "vjp",
    *_layers,
    *_functions,
]
