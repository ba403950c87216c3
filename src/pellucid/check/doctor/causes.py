"""Suspicions of what a run begins with: data, initial weights, depth, penalties and dropout.

suspicions   all of a run, those of `steps` included, causes before their effects
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pellucid.check.doctor import remedies, steps
from pellucid.check.doctor.signals import RECTIFIERS, activations_of, plain
from pellucid.check.doctor.suspicion import Remedy, Scene, Suspicion
from pellucid.check.doctor.table import FEW, labels_of
from pellucid.check.doctor.trials import Case
from pellucid.nn.layer import Dropout


def suspicions(scene: Scene) -> Iterator[Suspicion]:
    """Yield what is worth a try, causes before their effects."""
    for ask in (
        _rare,
        _scale,
        _constant,
        _start,
        steps.saturated,
        _depth,
        _penalty,
        _dropout,
        steps.order,
        steps.batch,
        steps.dead,
        steps.flat_output,
        steps.oscillation,
        steps.rate_high,
        steps.rate_low,
        steps.size,
        steps.still,
    ):
        yield from ask(scene)


# -- rows and columns ------------------------------------------------------------------------------


def _rare(scene: Scene) -> Iterator[Suspicion]:
    """One class with 9 rows for each of another's: see `imbalance` of the data."""
    labels = labels_of(scene.case.y, scene.case.model.loss_function)
    counts = np.bincount(labels) if labels is not None else np.ones(1)
    counts = counts[counts > 0]
    ratio = float(counts.max() / counts.min())
    if ratio >= 9 and len(scene.case.X) >= FEW:
        yield Suspicion(
            "class-imbalance",
            True,
            f"the largest class has {ratio:.3g} times the rows of the smallest",
            {
                "ratio": ratio,
                "threshold": 9.0,
                "score, classes counted alike": scene.base.score,
                "threshold from": "the largest class alone scores 90%",
            },
            {"rows by class": counts[:20].tolist()},
            [("rare classes repeated", remedies.evened)],
        )


def _constant(scene: Scene) -> Iterator[Suspicion]:
    flat = remedies.flat_columns(scene.case)
    if flat.any() and not flat.all() and scene.case.X.ndim == 2:
        if not scene.case.X[0, flat].any():
            return  # zeros cannot do harm
        columns = np.flatnonzero(flat)[:20].tolist()
        yield Suspicion(
            "constant-feature",
            True,
            f"{int(flat.sum())} columns have one value in all rows",
            {
                "constant columns": int(flat.sum()),
                "threshold": 0,
                "threshold from": "a column without spread has no information",
            },
            {"columns": columns},
            [("zeros in their place", remedies.without_constants)],
        )


# -- inputs ----------------------------------------------------------------------------------------


def _scale(scene: Scene) -> Iterator[Suspicion]:
    X = scene.case.X.reshape(len(scene.case.X), -1).astype(float)
    X = X[:, ~remedies.flat_columns(scene.case)]
    if not X.size or scene.case.model._built.selective:  # codes have no size
        return
    spread = X.std(axis=0)
    size = float(np.sqrt(np.mean(X**2)))
    largest = float(np.sqrt(np.mean(X**2, axis=0)).max())
    moving = spread[spread > 0]
    ratio = float(moving.max() / moving.min()) if len(moving) else 1.0
    # Initializers take inputs of size 1.  A sigmoid's slope is down to 2% at z = 4, so at 5 times
    # the size most units are flat; 30 times is beyond any doubt.  Smaller ones only slow it down.
    strong = largest > 30 or size < 0.01
    if strong or largest > 5 or size < 0.1 or ratio > 100:
        yield Suspicion(
            "unscaled-features",
            strong,
            f"features have a size of {largest:.3g} and spreads that differ {ratio:.3g} times",
            {
                "largest size of a column": largest,
                "threshold": 5.0,
                "size of all": size,
                "threshold from": "initial weights suit inputs of size 1",
            },
            {"columns": np.argsort(-np.abs(X).mean(axis=0))[:5].tolist()},
            [("standardized features", remedies.scaled)],
            by_first=True,
        )


# -- weights ---------------------------------------------------------------------------------------


def _start(scene: Scene) -> Iterator[Suspicion]:
    """Weights far from usual, in few layers; where many layers add up, depth is to blame."""
    gains, names = scene.start.gains, scene.start.names
    if not gains or not np.isfinite(gains).all():
        return
    high, low = int(np.argmax(gains)), int(np.argmin(gains))
    # two usual initializers differ by up to 2; 3 is outside of all, 10 by an order of magnitude
    for code, place, value, far, off in (
        ("init-too-large", high, gains[high], gains[high] >= 10, gains[high] >= 3),
        ("init-too-small", low, gains[low], gains[low] <= 0.05, gains[low] <= 1 / 3),
    ):
        if off:
            yield Suspicion(
                code,
                far,
                f"{names[place]} starts {value:.3g} times as large as usual",
                {
                    "size of weights over usual": value,
                    "threshold": 3.0 if value > 1 else 1 / 3,
                    "all layers together": scene.start.gain,
                    "threshold from": "usual initializers differ by up to 2 from one another",
                },
                {"parameter": names[place]},
                [("usual initial weights", remedies.fresh)],
                by_first=True,
            )


def _depth(scene: Scene) -> Iterator[Suspicion]:
    """Gradients or signals that change by orders of magnitude from layer to layer."""
    if len(scene.start.names) >= 4:
        yield from _vanishing(scene)
        yield from _exploding(scene)


def _vanishing(scene: Scene) -> Iterator[Suspicion]:
    start, depth = scene.start, len(scene.start.names)
    acts = set(list(activations_of(scene.case.model._built).values())[:-1])
    # with usual weights and ReLU the ratio stays within 10 or so at 10 layers; where ReLU layers
    # shrink signals, gradients of all layers are small alike, and the gain tells
    faded = start.gain < 0.01 and acts <= set(RECTIFIERS)
    if start.ratio < 1e-2 or faded:
        remedy = remedies.fresh if acts <= set(RECTIFIERS) else remedies.rectified
        yield Suspicion(
            "vanishing-gradients",
            start.ratio < 1e-3 or faded,
            f"from {depth} layers to 1 the gradient changes {start.ratio:.2g} times, and weights "
            f"shrink signals to {start.gain:.2g}",
            {
                "gradient of first over last layer": start.ratio,
                "threshold": 1e-3,
                "gain of all layers": start.gain,
                "gradients": start.gradients,
                "threshold from": "usual: 0.1 to 10 at any depth",
            },
            {"layers": depth},
            _and_slower("ReLU and usual initial weights", remedy),
            by_loss=False,
        )


def _exploding(scene: Scene) -> Iterator[Suspicion]:
    start, depth = scene.start, len(scene.start.names)
    if start.gain > 10 and max(start.gains) > 1.3:
        yield Suspicion(
            "exploding-gradients",
            start.gain > 100,
            f"weights of {depth} layers enlarge signals {start.gain:.2g} times together",
            {
                "gain of all layers": start.gain,
                "threshold": 10.0,
                "largest gradient": max(start.gradients),
                "threshold from": "usual weights: 1 at any depth",
            },
            {"layers": depth},
            _and_slower("usual initial weights", remedies.fresh),
            by_loss=False,
        )


def _and_slower(label: str, remedy: Remedy) -> list[tuple[str, Remedy]]:
    """Return a remedy by itself, and with the smaller steps that a net of many layers may need."""

    def slower(case: Case) -> Case:
        cured = remedy(case)
        return cured.rated(0.1 * cured.model.optimizer.base_rate)

    return [(label, remedy), (f"{label}, a tenth of the learning rate", slower)]


# -- brakes ----------------------------------------------------------------------------------------


def _penalty(scene: Scene) -> Iterator[Suspicion]:
    sizes = [
        max(getattr(plain(x), "l1", 0.0), getattr(plain(x), "l2", 0.0))
        for x in scene.case.model.layers
    ]
    largest = max(sizes, default=0.0)
    if largest > 0:
        yield Suspicion(
            # usual values are 1e-5 to 1e-2
            "too-much-regularization",
            largest >= 0.1,
            f"the penalty on the weights has the factor {largest:.3g}",
            {
                "largest l1 or l2": largest,
                "threshold": 0.1,
                "threshold from": "usual values are 1e-5 to 1e-2",
            },
            {"layer": int(np.argmax(sizes)) + 1},
            [("no penalty", remedies.unpunished)],
            held=True,
        )


def _dropout(scene: Scene) -> Iterator[Suspicion]:
    rates = [x.rate if isinstance(x, Dropout) else 0.0 for x in map(plain, scene.case.model.layers)]
    if max(rates, default=0.0) > 0:
        yield Suspicion(
            # 0.5 is the largest that Srivastava et al. 2014 use for hidden units
            "too-much-dropout",
            max(rates) >= 0.7,
            f"{max(rates):.0%} of the units are dropped at each step",
            {
                "largest rate": max(rates),
                "threshold": 0.7,
                "threshold from": "0.5 is the usual largest (Srivastava et al. 2014)",
            },
            {"layer": int(np.argmax(rates)) + 1},
            [("no dropout", remedies.undropped)],
            held=True,
        )
