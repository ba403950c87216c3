"""The doctor: what is wrong with a model, its data or its training, with proof and remedy.

findings    codes, findings, the report       data, dependence   checks of data
start       checks of a model                 signals, course    what a run shows
causes      suspicions and their remedies     trials             runs on copies
engine      all of it, within a budget        callback           `Doctor`, for a run of one's own
"""

from __future__ import annotations

from typing import Any

from pellucid.check.doctor.callback import Doctor
from pellucid.check.doctor.engine import Asked, examined
from pellucid.check.doctor.findings import CODES, Finding, Report

__all__ = ["CODES", "Doctor", "Finding", "Report", "diagnose"]


def diagnose(
    model: Any,
    X: Any,
    y: Any,
    *,
    validation_data: tuple[Any, Any] | None = None,
    epochs: int | None = None,
    batch_size: int | None = 32,
    shuffle: bool = True,
    budget_seconds: float = 10.0,
) -> Report:
    """Say what is wrong with a model, its data or how it is trained: each cause with its proof.

    Data and model are looked at, then a copy is trained as `fit` would; where that comes to little,
    remedies are tried on copies, and a cause is named only where its remedy helps.

    Args: `model`, which is left as it is; `X`, `y`, `validation_data`, `epochs` (None: about 3,000
    steps), `batch_size`, `shuffle` as for `fit`; `budget_seconds`, how long it may take, about.
    Large data are judged by 2,000 of their rows. Returns: a `Report`; the same for the same model
    and data, where the budget is enough. Raises: as `fit` does, but for what is a finding: NaN and
    Inf, labels and outputs that do not fit the loss.

    >>> from pellucid import Dense, Sequential, data
    >>> layers = [Dense(8, "relu", init="zeros"), Dense(1, "sigmoid")]
    >>> model = Sequential(layers, loss="bce", optimizer="adam")
    >>> diagnose(model, *data.moons(100), epochs=20).findings[0].code
    'zero-init'
    """
    return examined(
        Asked(model, X, y, validation_data, epochs, batch_size, shuffle, budget_seconds)
    )
