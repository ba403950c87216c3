"""A model tried with other weights, in float64: what it could give, whatever it gives now.

Probe   a model, some rows, and weights of several sizes to run it with     probe   make one
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pellucid import rng
from pellucid.check.doctor.trials import Case, carry_over
from pellucid.graph import Array
from pellucid.model import Sequential

ROWS = 32  # enough to see ranges, and small enough to be nothing in time


@dataclass(frozen=True, eq=False)
class Probe:
    """A model in float64, some rows, and weights of several sizes to try it with."""

    model: Sequential
    X: Array
    y: Array

    def with_weights(self, scale: float, draw: int) -> Sequential:
        """Return the model with random weights, `scale` times what keeps signals their size.

        An odd draw is the one before it with the last layer's weights negated: no output that can
        have two signs is seen with one.
        """
        model, slots = self.model, self.model._built.slots
        for k, slot in enumerate(slots):
            inputs = slot.shape[0] if len(slot.shape) > 1 else 4
            sign = -1 if draw % 2 and slot.layer == slots[-1].layer else 1
            normal = rng.normal(rng.key(model.seed, "doctor probe", draw // 2, k), slot.shape)
            model.params[slot.name][...] = sign * scale * np.sqrt(2 / inputs) * normal
        return model

    def outputs(self, raw: bool = True) -> list[Array]:
        """Return outputs under weights of several sizes, (rows, outputs) each."""
        sizes = [(s, d) for s in (1.0, 30.0) for d in range(4)]
        with np.errstate(all="ignore"):
            return [
                np.asarray(self.with_weights(*size).predict(self.X, raw=raw, backend="numpy"))
                for size in sizes
            ]


def probe(case: Case) -> Probe:
    """Return a probe of a case: inputs brought to size 1, so that only the model is judged."""
    twin = Sequential(
        case.model.layers,
        loss=case.model.loss_function,
        optimizer=case.model.optimizer,
        dtype="float64",
        seed=case.model.seed,
    )
    twin._build(case.model._built.input_shape)
    carry_over(case.model, twin)
    rows = rng.permutation(rng.key(case.model.seed, "doctor rows"), len(case.X))[:ROWS]
    X = np.asarray(case.X, float)
    codes = bool(case.model._built.selective)  # which have no size
    size = 1.0 if codes else float(np.sqrt(np.mean(X**2))) or 1.0
    return Probe(twin, X[rows] / max(size, 1.0), case.y[rows])
