"""Training as an MLflow run: the one place that imports mlflow."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pellucid.callbacks.base import Callback, Logs
from pellucid.errors import PellucidError

LONGEST = 6000  # characters of a parameter that MLflow takes
MOST = 1000  # metrics that it takes at once


def library() -> Any:
    """Return mlflow, or say how to install it."""
    try:
        import mlflow
    except ImportError as error:
        raise PellucidError(
            f"the training was to be logged by mlflow, which cannot be imported: {error}",
            'pip install "pellucid[mlflow]"',
        ) from None
    return mlflow


class MLflow(Callback):
    """Log a training as an MLflow run: settings as parameters, loss and metrics by epoch.

    It logs to the run that is active, and leaves it open; where none is, it starts one and ends it,
    as FINISHED, FAILED (NaN or Inf) or KILLED (interrupted). Where runs are kept is MLflow's own
    affair: `mlflow.set_tracking_uri(…)`. Steps are the model's epochs, from 1.
    Args: `experiment`, its name, for a run of its own; `run_name`; `params`, further parameters to
    log; `save_model`, whether the trained model's file is logged as an artifact.
    Raises: PellucidError where mlflow is missing, before anything is trained.

        model.fit(X, y, epochs=50, callbacks=[pc.MLflow("digits", params={"rows": "scaled"})])
    """

    watches = True

    def __init__(
        self,
        experiment: str | None = None,
        *,
        run_name: str | None = None,
        params: Mapping[str, Any] | None = None,
        save_model: bool = False,
    ) -> None:
        self.experiment, self.run_name = experiment, run_name
        self.params, self.save_model = dict(params or {}), save_model
        self.run_id, self.owns = "", False
        self.waiting: list[Any] = []
        self.begun, self.first, self.until = 0, -1, -1
        self._resumed = ""

    def ready(self, names: Sequence[str]) -> None:
        """Refuse to go on without mlflow."""
        library()

    def on_train_begin(self, logs: Logs) -> None:
        """Find or start the run, and log the settings."""
        active = library().active_run()
        self.owns = active is None
        self.run_id = (active or self._started()).info.run_id
        self.begun, self.first, self.until = self.model._numbers.epochs, -1, -1
        self._resumed = ""
        client = library().MlflowClient()
        known = client.get_run(self.run_id).data.params
        for name, value in (_settings(self.model, logs) | self.params).items():
            if name not in known:  # what a run was told once stays
                client.log_param(self.run_id, name, str(value)[:LONGEST])

    def _started(self) -> Any:
        if self._resumed:
            return library().start_run(run_id=self._resumed)
        if self.experiment is not None:
            library().set_experiment(self.experiment)
        return library().start_run(run_name=self.run_name)

    def due(self, start: int, stop: int) -> Iterable[int]:
        """Return all of them, and wait for the last one with sending."""
        self.until = stop - 1
        return range(start, stop)

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Log the values."""
        self.first = epoch if self.first < 0 else self.first
        step, now = self.begun + epoch - self.first + 1, round(time.time() * 1000)
        metric = library().entities.Metric
        self.waiting += [metric(name, float(value), now, step) for name, value in logs.items()]
        if epoch >= self.until:
            self._send()

    def _send(self) -> None:
        client = library().MlflowClient()
        for start in range(0, len(self.waiting), MOST):
            client.log_batch(self.run_id, metrics=self.waiting[start : start + MOST])
        self.waiting = []

    def on_train_end(self, logs: Logs) -> None:
        """Log why training ended, and the model if wanted; end a run that was started here."""
        self._send()
        client, stopped = library().MlflowClient(), str(logs["stopped"])
        if stopped:
            client.set_tag(self.run_id, "stopped", stopped)
        if self.save_model:
            with tempfile.TemporaryDirectory() as folder:
                path = self.model.save(Path(folder) / "model.safetensors")
                client.log_artifact(self.run_id, str(path))
        if self.owns:
            failed = logs.get("failure") is not None
            killed = "KILLED" if stopped.startswith("interrupted") else "FINISHED"
            library().end_run("FAILED" if failed else killed)

    def kept(self) -> dict[str, Any]:
        """Return which run it is."""
        return {"run_id": self.run_id if self.owns else ""}

    def take_back(self, kept: Mapping[str, Any]) -> None:
        """Go on with that run."""
        self._resumed = kept["run_id"]


def _settings(model: Any, logs: Logs) -> dict[str, Any]:
    """Return what a training is made of, by name."""
    return {
        "layers": ", ".join(map(repr, model.layers)),
        "loss": model.loss_function.name,
        "optimizer": repr(model.optimizer),
        "dtype": model.dtype.name,
        "seed": model.seed,
        "epochs": logs["epochs"],
        "samples": logs["samples"],
        "batches": logs["batches"],
    }
