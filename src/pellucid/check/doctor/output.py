"""Does the output suit the loss?  Judged by the values that it can take, not by names.

blind   the same for every input     undefined   NaN or Inf     misread   out of the loss's range
repaired  mended   the same model with an output that suits
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from pellucid import rng
from pellucid.check.doctor.findings import Finding, found
from pellucid.check.doctor.probe import Probe
from pellucid.check.doctor.trials import Case, rebuilt
from pellucid.graph import Array, lift
from pellucid.losses import Loss
from pellucid.model import Sequential
from pellucid.nn.layer import Activation, Dense

Judge = Callable[[Case, Loss, Array], Finding | None]


def undefined(looked: Probe, outputs: list[Array]) -> Iterator[Finding]:
    """Yield a model that gives NaN or Inf for usual inputs and weights."""
    bad = [not np.isfinite(out).all() for out in outputs[:4]]
    if sum(bad) < 3:
        return
    with np.errstate(all="ignore"):
        values = looked.with_weights(1.0, bad.index(True)).activations(looked.X)
    name = next((n for n, a in values.items() if not np.isfinite(a).all()), "the output")
    yield found(
        "non-finite",
        "error",
        f"{name} is NaN or Inf for inputs and weights of usual size",
        {
            "weights tried": len(bad),
            "of them not finite": sum(bad),
            "threshold": 3,
            "threshold from": "a formula must hold for inputs and weights of size 1",
        },
        {"value": name},
    )


def blind(looked: Probe, outputs: list[Array]) -> Iterator[Finding]:
    """Yield a model whose output is the same for every row, under any weights."""
    seen = [out for out in outputs if np.isfinite(out).all()]
    if len(np.unique(looked.X, axis=0)) < 2 or not seen:
        return
    if all(np.ptp(out, axis=0).max() == 0 for out in seen):
        yield found(
            "ignores-input",
            "error",
            "the output is the same for every input, under any weights",
            {
                "spread of the output": 0.0,
                "weights tried": 8,
                "threshold": 0.0,
                "threshold from": "some weights must let inputs through",
            },
        )


def misread(case: Case, outputs: list[Array]) -> Iterator[Finding]:
    """Yield an output that its loss takes for something else; by its values, not by its name."""
    loss = case.model.loss_function
    if loss is None or not all(np.isfinite(out).all() for out in outputs[:4]):
        return
    seen = np.concatenate([out.reshape(len(out), -1) for out in outputs if np.isfinite(out).all()])
    made = _judge(case.model, loss)(case, loss, seen)
    if made:
        yield made


def _judge(model: Sequential, loss: Loss) -> Judge:
    if loss.targets == "classes" or (loss.name == "custom" and model._built.output_shape != (1,)):
        return _of_classes
    return {"binary": _of_two, "signs": _of_signs}.get(loss.targets, _of_values)


def _simplex(seen: Array) -> bool:
    """Whether rows are shares of 1, as a softmax makes them."""
    return seen.shape[1] > 1 and bool((seen >= 0).all() and np.allclose(seen.sum(axis=1), 1))


def _of_classes(case: Case, loss: Loss, seen: Array) -> Finding | None:
    scores = loss.link is not None or (loss.name == "custom" and _shifts(case.model))
    if scores and _simplex(seen):
        return _twice(seen, "the last layer gives shares of 1, but the loss takes scores")
    # a softmax of shares cannot exceed e / (e + classes - 1), whatever the weights
    bound = np.e / (np.e + seen.shape[1] - 1)
    if not scores and _simplex(seen) and seen.max() <= bound + 1e-9:
        return _twice(seen, "the output is a softmax of shares: none can come near 1")
    if loss.name == "custom":
        return None
    if not scores and not _simplex(seen):
        return _output(
            seen,
            f"{loss.name} takes shares of 1, but rows sum to "
            f"{seen.sum(axis=1).min():.3g} to {seen.sum(axis=1).max():.3g}",
            "softmax",
        )
    return _bounded(loss, seen) if scores else None


def _outside(code: str, seen: Array, sentence: str, source: str, remedy: str = "") -> Finding:
    """Return a finding about outputs as they are under weights of several sizes."""
    measured = {
        "smallest output": float(seen.min()),
        "largest output": float(seen.max()),
        "weights tried": 8,
        "threshold from": source,
    }
    return found(code, "error", sentence, measured, {"layer": "last"}, remedy=remedy)


def _twice(seen: Array, sentence: str) -> Finding:
    return _outside("double-softmax", seen, sentence, "what a softmax can give")


def _shifts(model: Sequential) -> bool:
    """Whether a custom loss does not mind a number added to all outputs: it is a softmax's."""
    loss, shape = model.loss_function, model._built.output_shape
    if not shape:  # one number for a row
        return False
    y = np.eye(shape[-1])
    p = 0.1 + 0.8 * rng.uniform(rng.key(0, "doctor scores"), y.shape)
    try:
        values = [
            float(np.asarray(loss(lift(p + c), lift(y)).value))  # type: ignore[misc]
            for c in (0.0, 0.7)
        ]
        other = float(np.asarray(loss(lift(p * 2), lift(y)).value))  # type: ignore[misc]
    except Exception:  # a caller's own function may want what only training gives it
        return False
    return bool(
        np.isclose(values[0], values[1], rtol=1e-9) and not np.isclose(values[0], other, rtol=1e-9)
    )


def _output(seen: Array, sentence: str, activation: str) -> Finding:
    wanted = f'activation="{activation}"' if activation else "no activation"
    source, remedy = "what the loss is defined on", f"{wanted} in the last layer"
    return _outside("wrong-output-for-loss", seen, sentence, source, remedy)


def _of_two(case: Case, loss: Loss, seen: Array) -> Finding | None:
    if loss.link is not None:
        return _bounded(loss, seen)
    if seen.min() < 0 or seen.max() > 1:
        return _output(
            seen,
            f"{loss.name} takes probabilities, but outputs run from "
            f"{seen.min():.3g} to {seen.max():.3g}",
            "sigmoid",
        )
    return None


def _bounded(loss: Loss, seen: Array) -> Finding | None:
    """Return the finding where scores cannot be negative, or not large: a class is out of reach."""
    if seen.min() >= 0 or seen.max() <= 0 or np.abs(seen).max() <= 1:
        return _output(
            seen,
            f"{loss.name} takes scores of any size and sign, but outputs run "
            f"from {seen.min():.3g} to {seen.max():.3g}",
            "",
        )
    return None


def _of_signs(case: Case, loss: Loss, seen: Array) -> Finding | None:
    if seen.min() >= 0 or seen.max() <= 0:
        return _output(seen, "hinge takes scores of both signs, but outputs have one", "")
    return None


def _of_values(case: Case, loss: Loss, seen: Array) -> Finding | None:
    """Return the finding where targets lie where no weights can bring the output."""
    y = np.asarray(case.y, float).reshape(len(case.y), -1)
    low, high = float(seen.min()), float(seen.max())
    spread = float(y.std()) or 1.0
    # a closed end is reached by extreme weights: targets may stand on it, a quarter of their spread
    # beyond it is out of reach
    out = (y < low - 0.25 * spread) | (y > high + 0.25 * spread)
    closed = _closed(seen, low), _closed(seen, high)
    beyond = float(
        np.mean((y < low - 0.25 * spread) & closed[0] | (y > high + 0.25 * spread) & closed[1])
    )
    if not out.any() or beyond < 0.01:
        return None
    return found(
        "wrong-output-for-loss",
        "error",
        f"outputs run from {low:.3g} to {high:.3g} whatever the weights, targets from "
        f"{y.min():.3g} to {y.max():.3g}",
        {
            "share of targets out of reach": beyond,
            "threshold": 0.01,
            "threshold from": "1 in 100 may be an outlier",
        },
        {"layer": "last"},
        remedy="no activation in the last layer",
    )


def _closed(seen: Array, end: float) -> bool:
    """Whether outputs pile up at an end: a tenth of them within 1e-6 of it."""
    return bool(np.mean(np.abs(seen - end) <= 1e-6 * max(1.0, abs(end))) >= 0.1)


# -- mended ----------------------------------------------------------------------------------------


def repaired(case: Case, activation: str | None, units: int = 0, loss: str = "") -> Case:
    """Return a case whose last layer ends in another activation, and in no layer above it.

    `units` and `loss`, where they are to change as well.
    """
    layers = list(case.model.layers)
    while layers and isinstance(layers[-1], Activation):
        layers.pop()
    if layers and isinstance(layers[-1], Dense):
        last = layers[-1]
        layers[-1] = replace(last, activation=activation, units=units or last.units)
    return replace(case, model=rebuilt(case.model, layers, loss=loss))


def mended(case: Case) -> Case | None:
    """Return a case whose output suits its loss: scores, shares, probabilities or values."""
    loss = case.model.loss_function
    if loss is None:
        return None
    y = case.y.reshape(len(case.y), -1)
    classes = int(y.max()) + 1
    if loss.targets == "binary" and y.shape[1] == 1 and classes > 2:
        return repaired(case, "softmax", classes, "cce")
    return repaired(case, loss.wants or None)
