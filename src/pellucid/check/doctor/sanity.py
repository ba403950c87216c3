"""What any set-up must be able to do, measured on a few rows: fit a batch, remember samples.

These are measurements, not findings: how far a healthy model comes in so few steps depends on its
rate, so a threshold here would cry wolf. What is wrong, the trials find.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from pellucid import rng
from pellucid.check.doctor.trials import Case, Outcome, run

Measures = Mapping[str, Mapping[str, float]]
FEW, SOME = 10, 20  # rows to be fitted, and to be remembered
STEPS = 400


def measures(case: Case, base: Outcome, left: Callable[[], float]) -> Measures:
    """Return what was measured, as far as there is time."""
    found: dict[str, Mapping[str, float]] = {}
    for name, measure in MEASURES.items():
        if left() > 2 * base.seconds:
            found[name] = measure(case, base)
    return {name: told for name, told in found.items() if told}


def _rows(case: Case, count: int) -> Case:
    """Return the case with a few of its rows, all in one batch."""
    chosen = np.sort(
        rng.permutation(rng.key(case.model.seed, "sanity", count), len(case.X))[:count]
    )
    X, y = case.X[chosen], case.y[chosen]
    return replace(case, X=X, y=y, held=None, judged=None, epochs=STEPS, batch_size=len(X),
                   backend="numpy")  # fmt: skip


def _fitted(case: Case, _: Outcome) -> Mapping[str, float]:
    few = run(_rows(case, FEW))
    return {"loss before": few.first, "loss after": few.loss, "score after": few.score}


def _remembered(case: Case, _: Outcome) -> Mapping[str, float]:
    some = run(_rows(case, SOME))
    return {"loss before": some.first, "loss after": some.loss, "score after": some.score}


def _shuffled(case: Case, base: Outcome) -> Mapping[str, float]:
    order = rng.permutation(rng.key(case.model.seed, "sanity", 0), len(case.y))
    random = run(replace(case, y=case.y[order], held=None, judged=None))
    return {"loss on true labels": base.loss, "loss on shuffled labels": random.loss}


def _penalized(case: Case, _: Outcome) -> Mapping[str, float]:
    found = case.model.evaluate(case.X, case.y)
    if "data_loss" not in found:
        return {}
    return {"loss with penalties": found["loss"], "loss without": found["data_loss"]}


MEASURES: dict[str, Callable[[Case, Outcome], Mapping[str, float]]] = {
    "a batch of 10": _fitted,
    "20 samples": _remembered,
    "random labels": _shuffled,
    "penalties": _penalized,
}
