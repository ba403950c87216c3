"""The public face: every name that `import pellucid` offers.

What reads a graph for people comes when it is first asked for: training never loads it.
"""

from typing import TYPE_CHECKING

from pellucid import data as data
from pellucid import metrics as metrics
from pellucid.callbacks import Callback as Callback
from pellucid.callbacks import LambdaCallback as LambdaCallback
from pellucid.callbacks import Progress as Progress
from pellucid.derivatives import custom_gradient as custom_gradient
from pellucid.derivatives import grad as grad
from pellucid.derivatives import hessian as hessian
from pellucid.derivatives import jacobian as jacobian
from pellucid.derivatives import jvp as jvp
from pellucid.derivatives import value_and_grad as value_and_grad
from pellucid.derivatives import vjp as vjp
from pellucid.errors import ArgumentError as ArgumentError
from pellucid.errors import DataError as DataError
from pellucid.errors import DtypeError as DtypeError
from pellucid.errors import NonFiniteError as NonFiniteError
from pellucid.errors import NotBuiltError as NotBuiltError
from pellucid.errors import PellucidError as PellucidError
from pellucid.errors import PellucidWarning as PellucidWarning
from pellucid.errors import ShapeError as ShapeError
from pellucid.errors import TraceError as TraceError
from pellucid.errors import TrainingWarning as TrainingWarning
from pellucid.gate import Gate as Gate
from pellucid.graph import Node as Node
from pellucid.graph import value as value
from pellucid.history import History as History
from pellucid.losses import LabelSmoothing as LabelSmoothing
from pellucid.metrics.classes import F1 as F1
from pellucid.metrics.classes import Accuracy as Accuracy
from pellucid.metrics.classes import Precision as Precision
from pellucid.metrics.classes import Recall as Recall
from pellucid.metrics.classes import TopK as TopK
from pellucid.metrics.metric import Metric as Metric
from pellucid.metrics.ranks import AUC as AUC
from pellucid.metrics.values import MAE as MAE
from pellucid.metrics.values import MSE as MSE
from pellucid.metrics.values import R2 as R2
from pellucid.metrics.values import RMSE as RMSE
from pellucid.model import Sequential as Sequential
from pellucid.model import load as load
from pellucid.nn.composite import Concatenate as Concatenate
from pellucid.nn.composite import Parallel as Parallel
from pellucid.nn.composite import Residual as Residual
from pellucid.nn.embedding import Embedding as Embedding
from pellucid.nn.formula import Formula as Formula
from pellucid.nn.init import Constant as Constant
from pellucid.nn.init import Glorot as Glorot
from pellucid.nn.init import He as He
from pellucid.nn.init import Initializer as Initializer
from pellucid.nn.init import LeCun as LeCun
from pellucid.nn.init import Normal as Normal
from pellucid.nn.init import Orthogonal as Orthogonal
from pellucid.nn.init import Xavier as Xavier
from pellucid.nn.layer import Activation as Activation
from pellucid.nn.layer import Composite as Composite
from pellucid.nn.layer import Dense as Dense
from pellucid.nn.layer import Dropout as Dropout
from pellucid.nn.layer import Flatten as Flatten
from pellucid.nn.layer import Layer as Layer
from pellucid.nn.layer import Parameter as Parameter
from pellucid.nn.layer import Shared as Shared
from pellucid.nn.noise import AlphaDropout as AlphaDropout
from pellucid.nn.noise import GaussianDropout as GaussianDropout
from pellucid.nn.noise import GaussianNoise as GaussianNoise
from pellucid.nn.noise import SpatialDropout as SpatialDropout
from pellucid.nn.normalization import BatchNorm as BatchNorm
from pellucid.nn.normalization import LayerNorm as LayerNorm
from pellucid.nn.preparing import Missing as Missing
from pellucid.nn.preparing import Normalize as Normalize
from pellucid.nn.preparing import OneHot as OneHot
from pellucid.nn.preparing import Rescale as Rescale
from pellucid.ops import *
from pellucid.optim import LBFGS as LBFGS
from pellucid.optim import SGD as SGD
from pellucid.optim import Adadelta as Adadelta
from pellucid.optim import Adagrad as Adagrad
from pellucid.optim import Adam as Adam
from pellucid.optim import AdamW as AdamW
from pellucid.optim import AMSGrad as AMSGrad
from pellucid.optim import ConstantRate as ConstantRate
from pellucid.optim import Cosine as Cosine
from pellucid.optim import CosineRestarts as CosineRestarts
from pellucid.optim import Exponential as Exponential
from pellucid.optim import Group as Group
from pellucid.optim import InverseTime as InverseTime
from pellucid.optim import JoinedSchedule as JoinedSchedule
from pellucid.optim import Lion as Lion
from pellucid.optim import MultiStep as MultiStep
from pellucid.optim import NAdam as NAdam
from pellucid.optim import OneCycle as OneCycle
from pellucid.optim import Optimizer as Optimizer
from pellucid.optim import Polynomial as Polynomial
from pellucid.optim import RMSprop as RMSprop
from pellucid.optim import Schedule as Schedule
from pellucid.optim import StepDecay as StepDecay
from pellucid.optim import WarmUp as WarmUp
from pellucid.several import Model as Model
from pellucid.sweeps import sweep as sweep

if TYPE_CHECKING:
    from pellucid import plot as plot
    from pellucid.callbacks import Checkpoint as Checkpoint
    from pellucid.callbacks import CSVLog as CSVLog
    from pellucid.callbacks import EarlyStopping as EarlyStopping
    from pellucid.callbacks import JSONLines as JSONLines
    from pellucid.callbacks import MLflow as MLflow
    from pellucid.callbacks import ReduceOnPlateau as ReduceOnPlateau
    from pellucid.callbacks import TensorBoard as TensorBoard
    from pellucid.callbacks import TimeLimit as TimeLimit
    from pellucid.check.backprop import check_backprop as check_backprop
    from pellucid.check.doctor import Doctor as Doctor
    from pellucid.check.doctor import diagnose as diagnose
    from pellucid.check.gates import check_gate as check_gate
    from pellucid.check.gradients import check_gradients as check_gradients
    from pellucid.check.planted import planted_bug as planted_bug
    from pellucid.estimators import PellucidClassifier as PellucidClassifier
    from pellucid.estimators import PellucidRegressor as PellucidRegressor
    from pellucid.exercises import worked as worked
    from pellucid.explaining.walkthrough import Walkthrough as Walkthrough
    from pellucid.keeping.run import Run as Run
    from pellucid.pages import report as report
    from pellucid.pictures import Picture as Picture
    from pellucid.pictures import draw as draw
    from pellucid.rate_finder import range_test as range_test
    from pellucid.readings import explain as explain
    from pellucid.readings import why as why

LATER = {
    "CSVLog": "callbacks",
    "Checkpoint": "callbacks",
    "Doctor": "check.doctor",
    "EarlyStopping": "callbacks",
    "JSONLines": "callbacks",
    "MLflow": "callbacks",
    "PellucidClassifier": "estimators",
    "PellucidRegressor": "estimators",
    "Picture": "pictures",
    "ReduceOnPlateau": "callbacks",
    "Run": "keeping.run",
    "TensorBoard": "callbacks",
    "TimeLimit": "callbacks",
    "Walkthrough": "explaining.walkthrough",
    "check_backprop": "check.backprop",
    "check_gate": "check.gates",
    "check_gradients": "check.gradients",
    "diagnose": "check.doctor",
    "draw": "pictures",
    "explain": "readings",
    "planted_bug": "check.planted",
    "plot": "plot",
    "range_test": "rate_finder",
    "report": "pages",
    "why": "readings",
    "worked": "exercises",
}
NAMES = sorted({*(n for n in globals() if n[0] != "_"), *LATER} - {"LATER", "TYPE_CHECKING"})
