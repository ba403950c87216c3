"""Suspicions of how steps are taken: batches, rates, units that stand still, the model's size."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from pellucid.check.doctor import remedies
from pellucid.check.doctor.rows import ORDERED, in_order
from pellucid.check.doctor.signals import plain
from pellucid.check.doctor.suspicion import Remedy, Scene, Suspicion
from pellucid.nn.layer import Dense
from pellucid.optim import Adam, AdamW, AMSGrad, Lion, NAdam, RMSprop

LEARNED = 0.9  # a score at which ups and downs are no fault

# -- batches ---------------------------------------------------------------------------------------


def order(scene: Scene) -> Iterator[Suspicion]:
    case = scene.case
    if not case.shuffle and case.batch_size < len(case.X):
        targets = case.model._batch(case.X, case.y).Y.reshape(len(case.X), -1)
        sure, changes = in_order(np.asarray(targets, float))
        yield Suspicion(
            "sorted-data",
            sure > ORDERED and changes < 0.5,
            "rows come in the order of their targets, and are not shuffled",
            {
                "shuffle": False,
                "changes, of those expected": changes,
                "threshold": 0.5,
                "threshold from": "a random order has 1",
            },
            {},
            [("shuffle=True", lambda c: replace(c, shuffle=True))],
        )


def batch(scene: Scene) -> Iterator[Suspicion]:
    size, n = scene.case.batch_size, len(scene.case.X)
    if size <= 4 and n >= 8 * size:
        larger = min(32, max(size, n // 4))
        yield Suspicion(
            "batch-too-small",
            size <= 2,
            f"a batch has {size} of {n} rows",
            {
                "batch size": size,
                "threshold": 4,
                "rows": n,
                **scene.course.measured,
                "threshold from": "the noise of a step falls with the root of its rows",
            },
            {},
            [(f"batch_size={larger}", lambda c: replace(c, batch_size=larger))],
        )


# -- units -----------------------------------------------------------------------------------------


def saturated(scene: Scene) -> Iterator[Suspicion]:
    share = max(scene.start.saturated, default=0.0)
    if share > 0.5:
        yield Suspicion(
            "saturated-units",
            share > 0.9,
            f"{share:.0%} of a hidden layer's values start flat",
            {
                "share of flat values": share,
                "threshold": 0.5,
                "threshold from": "half of the units can still learn for the others",
            },
            {"hidden layer": int(np.argmax(scene.start.saturated)) + 1},
            [
                ("usual initial weights and biases", remedies.fresh),
                ("ReLU and usual initial weights", remedies.rectified),
            ],
        )


def dead(scene: Scene) -> Iterator[Suspicion]:
    for when, seen in (("start", scene.start), ("end", scene.end)):
        share = max(seen.dead, default=0.0) if seen else 0.0
        if share > 0.5:
            yield Suspicion(
                "dead-units",
                when == "start" and share > 0.8,
                f"{share:.0%} of a hidden layer's units are 0 for every row at the {when}",
                {
                    "share of dead units": share,
                    "threshold": 0.5,
                    "when": when,
                    "threshold from": "half of the units can still learn for the others",
                },
                {"hidden layer": int(np.argmax(seen.dead)) + 1 if seen else 0},
                [("usual initial weights and biases", remedies.fresh)],
            )
            return


# -- steps -----------------------------------------------------------------------------------------


AS_LONG = (Adam, AdamW, AMSGrad, NAdam, RMSprop, Lion)  # whose steps are as long as the rate


def _rates(scene: Scene, factors: tuple[float, ...]) -> list[tuple[str, Remedy]]:
    rate = scene.case.model.optimizer.base_rate
    return [(f"learning_rate={rate * f:.3g}", _rated(rate * f)) for f in factors]


def _rated(rate: float) -> Remedy:
    return lambda case: case.rated(rate)


def oscillation(scene: Scene) -> Iterator[Suspicion]:
    poor = scene.base.score < LEARNED and not _enormous(scene)
    if scene.course.oscillates and scene.base.finite and poor:
        yield Suspicion(
            "oscillating-loss",
            scene.base.loss < scene.base.first,
            "the loss goes up about as often as down",
            {
                **scene.course.measured,
                "threshold": 0.1,
                "threshold from": "a falling loss rises in few epochs",
            },
            {},
            _rates(scene, (0.3, 0.1, 0.03)),
            by_loss=False,
            by_level=True,
        )


def _enormous(scene: Scene) -> bool:
    """Say whether a rate is beyond all that is usual, whatever came of it.

    Some optimizers' steps are about as long as their rate, and weights are about 0.1 to 1.
    """
    optimizer = scene.case.model.optimizer
    return optimizer.base_rate >= (0.5 if isinstance(optimizer, AS_LONG) else 10.0)


def rate_high(scene: Scene) -> Iterator[Suspicion]:
    base, rate = scene.base, scene.case.model.optimizer.base_rate
    worse = not base.finite or base.loss >= base.first or _enormous(scene)
    yield Suspicion(
        "learning-rate-too-high",
        worse,
        f"with a learning rate of {rate:.3g} the loss went from {base.first:.3g} to "
        + (f"{base.loss:.3g}" if base.finite else "NaN or Inf"),
        {
            "loss before": base.first,
            "loss after": base.loss,
            "threshold": base.first,
            "threshold from": "training has to lower the loss",
            **scene.course.measured,
        },
        {},
        _rates(scene, (0.1, 1e-2, 1e-3, 1e-4, 1e-5)),
    )


def rate_low(scene: Scene) -> Iterator[Suspicion]:
    base, rate = scene.base, scene.case.model.optimizer.base_rate
    if not base.finite or base.loss > 1.05 * base.first:
        return
    # weights that start too large hardly move by their own size, and yet may have learned
    moved = base.moved * max(1.0, *scene.start.gains)
    yield Suspicion(
        "learning-rate-too-low",
        moved < 0.02 or rate <= 1e-6,
        f"with a learning rate of {rate:.3g} the weights moved by {base.moved:.2%} in all",
        {
            "weights moved by": base.moved,
            "threshold": 0.02,
            "loss before": base.first,
            "loss after": base.loss,
            "threshold from": "what is learned shows in the weights",
        },
        {},
        _rates(scene, _longer(base.moved)),
    )


def _longer(moved: float) -> tuple[float, ...]:
    """Return factors of the rate to try: the one that moves weights by their own size, and around.

    A path is about as long as the rate is large; what is learned moves weights by 0.3 to 3.
    """
    decades = round(math.log10(0.5 / max(moved, 1e-9)))
    middle = 10.0 ** min(max(decades, 1), 8)
    return tuple(dict.fromkeys((middle, 10 * middle, max(middle / 10, 3.0), 100 * middle)))


# -- size ------------------------------------------------------------------------------------------


def size(scene: Scene) -> Iterator[Suspicion]:
    case = scene.case
    few = case.epochs * case.steps < 60
    ways: list[tuple[str, Remedy]] = [("more hidden units", remedies.wider)]
    if few:
        ways = [("20 times the epochs", lambda c: replace(c, epochs=20 * c.epochs)), *ways]
    units = [x.units for x in map(plain, case.model.layers) if isinstance(x, Dense)]
    tiny = min(units[:-1], default=0) <= 2
    yield Suspicion(
        "underfitting",
        few or tiny,
        f"the score on the training rows themselves is {scene.base.score:.3g}",
        {
            "score on training rows": scene.base.score,
            "epochs": case.epochs,
            "units": units,
            "threshold from": "what a larger model, or more epochs, reach",
        },
        {},
        ways,
        by_loss=False,
    )


def flat_output(scene: Scene) -> Iterator[Suspicion]:
    """Outputs that start at the flat end of a sigmoid, under a loss that cannot move them."""
    loss = scene.case.model.loss_function
    if loss is None or loss.wants or loss.link or scene.start.flat_output < 0.9:
        return
    yield Suspicion(
        "plateau",
        True,
        "outputs start at the flat end of their activation: nothing moves them",
        {
            "share of flat outputs": scene.start.flat_output,
            "threshold": 0.9,
            "gradient of the last layer": scene.start.gradients[-1],
            "threshold from": "within 1% of an end the slope is below 4% of its largest",
        },
        {"layer": "last"},
        [("usual initial weights and biases", remedies.fresh)],
    )


def still(scene: Scene) -> Iterator[Suspicion]:
    if scene.course.flat and scene.base.finite:
        seed = scene.case.model.seed
        yield Suspicion(
            "plateau",
            False,
            "the loss stands still far above what can be reached",
            {
                **scene.course.measured,
                "loss": scene.base.loss,
                "threshold from": "the last half changed the loss by less than 2%",
            },
            {},
            [
                ("Adam(0.01), another seed", lambda c: remedies.lively(c, seed + 1)),
                (
                    "usual weights, Adam(0.01), another seed",
                    lambda c: remedies.lively(remedies.fresh(c), seed + 1),
                ),
            ],
        )
