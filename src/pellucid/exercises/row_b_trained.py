"""Row B, trained: XOR with 2-4-1, how many hidden units are enough, and data in a circle."""

from __future__ import annotations

import numpy as np

from pellucid.data import circles, xor
from pellucid.exercises.build import draws, entry
from pellucid.exercises.exercise import Exercise, Given, Solution, exercise, part, solution
from pellucid.graph import Array
from pellucid.model import Sequential
from pellucid.nn import Dense
from pellucid.optim import SGD
from pellucid.sweeps import sweep


def net(hidden: int, activation: str, loss: str, rate: float, seed: int = 0) -> Sequential:
    """Return a network of one hidden layer and one sigmoid output, for two inputs."""
    layers = [Dense(hidden, activation, inputs=2), Dense(1, "sigmoid")]
    return Sequential(
        layers, loss=loss, optimizer=SGD(rate), metrics=["accuracy"], dtype="float64", seed=seed
    )


def correct(model: Sequential, X: Array, y: Array) -> int:
    """Return how many samples a model gets right."""
    return int((model.predict_classes(X) == np.ravel(y)).sum())


@exercise(
    "B/XOR 2-4-1",
    "four samples that no line divides",
    {"sizes": "2-4-1", "rate": 2.0, "epochs": 10000},
    "Sigmoid in both layers, squared error, all four samples in one batch. Which shapes do all "
    "arrays have? Are all four right in the end, and how small is the loss?",
)
def xor_2_4_1(given: Given) -> Solution:
    X, y = xor()
    model = net(4, "sigmoid", "mse", given["rate"])
    walk = model.explain(X, y)
    names = {"W1": "W1", "b1": "b1", "z1": "z1", "a1": "a1", "W2": "W2", "b2": "b2", "z2": "z2"}
    names |= {"a2": "a2", "delta2": "d_z2", "dW2": "d_W2", "db2": "d_b2"}
    names |= {"delta1": "d_z1", "dW1": "d_W1", "db1": "d_b1"}
    shapes = {
        k: (walk.given[s] if s in walk.given else walk[s].array).shape for k, s in names.items()
    }
    history = model.fit(X, y, epochs=given["epochs"], batch_size=None, verbose=0)
    return solution(
        part(
            "Shapes",
            "Samples are rows: z, a and δ have a row for each sample; a gradient has the shape of "
            "its parameter.",
            [entry(f"shape_{k}", list(s), _meaning(k)) for k, s in shapes.items()],
        ),
        part(
            "Trained",
            "10,000 steps down the gradient, from random weights.",
            entry("right", correct(model, X, y), "samples right, of 4"),
            entry("loss", history["loss"][-1], "after the last epoch"),
            entry("outputs", model.predict(X), "ŷ for 00, 01, 10, 11", digits=3),
            so="Each hidden unit draws a line, and the output combines them.",
        ),
        plots={
            "loss": draws("history", history),
            "boundary": draws("boundary", model, X, y),
            "hidden units": draws("neurons", model, X, y),
        },
    )  # fmt: skip


def _meaning(key: str) -> str:
    if key[0] in "Wb":
        return "inputs × units" if key[0] == "W" else "units"
    if key[0] == "d" and key[1] in "Wb":
        return f"as {key[1:]}"
    return "samples × units"


@exercise(
    "B/architecture experiment",
    "how many hidden units does XOR need?",
    {"hidden": [1, 2, 4, 8], "rate": 2.0, "epochs": 10000},
    "Train 2-h-1 with sigmoids and squared error from many random starts. What share of them gets "
    "all four samples right?",
)
def architecture(given: Given, starts: int = 24) -> Solution:
    found = sweep(
        lambda hidden, seed: net(hidden, "sigmoid", "mse", given["rate"], seed), *xor(),
        epochs=given["epochs"], seeds=range(starts), grid={"hidden": given["hidden"]},
        batch_size=None, verbose=0,
    )  # fmt: skip
    rates = {h: found.rate(hidden=h) for h in given["hidden"]}
    ends = {h: found.interval(hidden=h) for h in given["hidden"]}
    enough = next((h for h, rate in rates.items() if rate == 1), None)
    return solution(
        part(
            f"{starts} starts of each size",
            "The recipe is the same; only the random weights differ.",
            [entry(f"rate_{h}", r, "share of starts that get all four right", digits=3,
                   name=f"{h} hidden", says="") for h, r in rates.items()],
            so=f"The smallest size that never failed here has {enough} hidden units. "
            + "95% intervals: "
            + ", ".join(f"{h}: {low:.0%} to {high:.0%}" for h, (low, high) in ends.items())
            + ". One unit cannot solve it; two can, but only from some starts. What is the minimum "
            "that works reliably is a measured probability, not a lucky seed. "
            "More starts: starts=200.",
        ),
        plots={"success": draws("success", found)},
    )  # fmt: skip


@exercise(
    "B/circle data",
    "a disc inside a cloud",
    {"samples": 200, "sizes": "2-10-1", "rate": 1.5, "epochs": 15000},
    "The points are 0.7 times normal, of class 1 where x² + y² < 0.5, then blurred by 0.1 times "
    "normal. How many does the network get right? How many does the true rule?",
)
def circle_data(given: Given) -> Solution:
    X, y = circles(given["samples"])
    model = net(10, "sigmoid", "mse", given["rate"])
    history = model.fit(X, y, epochs=given["epochs"], batch_size=None, verbose=0)
    rule = float((((X**2).sum(axis=1) < 0.5) == (y == 1)).mean())
    accuracy = history["accuracy"][-1]
    return solution(
        part(
            "The network",
            "15,000 steps on all 200 points at once.",
            entry("accuracy", accuracy, "share that is right"),
            entry("loss", history["loss"][-1], "after the last epoch", digits=4),
        ),
        part(
            "The true rule",
            "Asked about the blurred points, the rule that made the labels errs near the border.",
            entry("true_rule", rule, "share that x² + y² < 0.5 gets right"),
            so=f"The network is right {_gap(accuracy - rule)} than the truth itself: what lies "
            "above the rule's share is memorized noise, and of no use for new points.",
        ),
        remarks=(
            "Its text says that the circle has the radius 0.5; its code tests x² + y² < 0.5, which "
            "is a radius of 0.707.",
            "Its labels are made before the noise is added, so no honest model can get all of them "
            "right: the true rule scores about 92% in the long run, and "
            f"{rule:.0%} on these points.",
        ),
        plots={
            "boundary": draws("boundary", model, X, y),
            "loss": draws("history", history),
        },
    )


def _gap(gap: float) -> str:
    return f"{abs(gap):.1%} {'more' if gap >= 0 else 'less'} often"


EXERCISES: tuple[Exercise, ...] = (xor_2_4_1, architecture, circle_data)
