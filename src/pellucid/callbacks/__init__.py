"""What happens between epochs: hooks with the names people know, progress, stopping and logs."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from pellucid.callbacks.base import Callback as Callback
from pellucid.callbacks.base import LambdaCallback as LambdaCallback
from pellucid.callbacks.base import Logs as Logs
from pellucid.callbacks.progress import Lines as Lines
from pellucid.callbacks.progress import Progress as Progress
from pellucid.callbacks.progress import clock as clock
from pellucid.callbacks.progress import line as line
from pellucid.callbacks.progress import writes as writes

if TYPE_CHECKING:
    from pellucid.callbacks.logs import CSVLog as CSVLog
    from pellucid.callbacks.logs import JSONLines as JSONLines
    from pellucid.callbacks.mlflow import MLflow as MLflow
    from pellucid.callbacks.plateau import ReduceOnPlateau as ReduceOnPlateau
    from pellucid.callbacks.saving import Checkpoint as Checkpoint
    from pellucid.callbacks.stopping import EarlyStopping as EarlyStopping
    from pellucid.callbacks.stopping import TimeLimit as TimeLimit
    from pellucid.callbacks.tensorboard import TensorBoard as TensorBoard

LATER = {
    "CSVLog": "logs",
    "Checkpoint": "saving",
    "EarlyStopping": "stopping",
    "JSONLines": "logs",
    "MLflow": "mlflow",
    "ReduceOnPlateau": "plateau",
    "TensorBoard": "tensorboard",
    "TimeLimit": "stopping",
}


def __getattr__(name: str) -> Any:
    """Load what training alone does not need when it is first asked for."""
    if name not in LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{LATER[name]}"), name)
