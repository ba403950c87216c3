"""The doctor at a training under way: it sees the curves, and the data if it is given them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pellucid.callbacks import Callback, Logs
from pellucid.check.doctor import course
from pellucid.check.doctor.engine import Asked, examined
from pellucid.check.doctor.findings import Finding, Report, report


class Doctor(Callback):
    """Judge a run as it is trained, and leave a `report`.

    With the data it also makes what `diagnose` makes, from where the training began; without, it
    reads the curves alone, which can raise a suspicion but not confirm it.

    Args: `X`, `y`, `validation_data`, the data of the training; `budget_seconds`, for what is tried
    after the training. `report` is None until the training has ended.

    >>> from pellucid import Dense, Sequential, data
    >>> doctor = Doctor()
    >>> model = Sequential([Dense(4, "tanh"), Dense(1, "sigmoid")], loss="bce")
    >>> history = model.fit(*data.xor(), epochs=20, verbose=0, callbacks=[doctor])
    >>> doctor.report.healthy
    True
    """

    watches = True

    def __init__(
        self,
        X: Any = None,
        y: Any = None,
        *,
        validation_data: Any = None,
        budget_seconds: float = 10.0,
    ) -> None:
        self.X, self.y, self.validation_data = X, y, validation_data
        self.budget_seconds = budget_seconds
        self.report: Report | None = None
        self.began: Any = None
        self.logs: Logs = {}
        self.losses: list[float] = []
        self.held: list[float] = []

    def on_train_begin(self, logs: Logs) -> None:
        """Keep where the training begins."""
        self.logs, self.losses, self.held, self.report = logs, [], [], None
        self.began = self.model.copy()

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Keep the loss."""
        self.losses.append(logs["loss"])
        if "val_loss" in logs:
            self.held.append(logs["val_loss"])

    def on_train_end(self, logs: Logs) -> None:
        """Judge the run."""
        stopped = logs["stopped"] if logs.get("failure") is not None else ""
        seen = list(course.verdicts(self.losses, self.held, stopped))
        if self.X is None:
            self.report = report(map(_unconfirmed, seen), course.LOOKED_AT)
            return
        size = -(-int(self.logs["samples"]) // int(self.logs["batches"]))
        self.report = examined(
            Asked(
                self.began,
                self.X,
                self.y,
                self.validation_data,
                int(self.logs["epochs"]) or None,
                size,
                True,
                self.budget_seconds,
            )
        )


def _unconfirmed(finding: Finding) -> Finding:
    """Return a finding of the curve alone: what healthy runs show as well is no alarm."""
    if finding.code in ("plateau", "oscillating-loss"):
        return replace(finding, severity="info")
    return finding
