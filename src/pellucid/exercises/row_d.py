"""Row D: the modular library: losses, softmax with any loss, initial weights, batch sizes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from pellucid import rng
from pellucid.data import spirals
from pellucid.derivatives import grad, jacobian
from pellucid.exercises.build import draws, entry, leaves, slopes
from pellucid.exercises.exercise import Exercise, Given, Solution, exercise, part, solution
from pellucid.graph import Array, Node, value
from pellucid.model import Sequential
from pellucid.nn import Dense, Initializer
from pellucid.ops import bce, cce, mse, softmax
from pellucid.optim import SGD


@exercise(
    "D/losses",
    "softmax and the two cross-entropies",
    {
        "z": [1, 2, 3],
        "p": [0.7, 0.2, 0.9, 0.1],
        "y": [1, 0, 1, 0],
        "shares": [[0.7, 0.15, 0.15], [0.15, 0.7, 0.15], [0.15, 0.15, 0.7]],
        "classes": [0, 1, 2],
    },
    "What is softmax(z), the binary cross-entropy of p against y, and the categorical one of the "
    "shares against the classes?",
)
def losses(given: Given) -> Solution:
    z, p, y, shares = leaves(given, "z p y shares")
    return solution(
        part(
            "Softmax",
            "exp(z) / sum(exp(z)): positive, and 1 in all.",
            entry("softmax", softmax(z), "exp(z) / sum(exp(z))"),
        ),
        part(
            "Cross-entropies",
            "Minus the logarithm of the probability that the model gave to what is true, on the "
            "average over the samples.",
            entry("bce", bce(p, y), "mean(-(y log p + (1 - y) log(1 - p)))"),
            entry("cce", cce(shares, np.array(given["classes"])), "mean(-log(share of the class))"),
        ),
        remarks=(
            "Its softmax subtracts the largest score with Z -= max, which changes the caller's "
            "array. The scores must be left as they are.",
        ),
    )


@exercise(
    "D/softmax with any loss",
    "softmax has a Jacobian of its own",
    {"z": [0.3, -1.2, 0.7], "y": [0, 1, 0]},
    "Compute the slope in z of squared error and of cross-entropy, both after softmax. When is it "
    "right to pass the loss's gradient through softmax unchanged?",
)
def any_loss(given: Given) -> Solution:
    z, y = np.array(given["z"], float), np.array(given["y"], float)
    through = {"mse": mse, "cce": lambda a, t: cce(a.reshape(1, 3), t.reshape(1, 3))}
    right, numeric, unchanged = {}, {}, {}
    for name, loss in through.items():
        right[name] = grad(_after(loss, y))(z)
        numeric[name] = slopes(_after(loss, y), z, 1e-6)
        unchanged[name] = grad(_of(loss, y))(softmax(z))
    return solution(
        part(
            "The Jacobian",
            "∂a_i/∂z_j is a_i (1 - a_i) on the diagonal, -a_i a_j beside it: every score moves "
            "every share.",
            entry("a", softmax(z), "softmax(z)"),
            entry("jacobian", jacobian(softmax)(z), "-a_i a_j, and a_i (1 - a_i) where i is j"),
        ),
        part(
            "Slopes in z",
            "The loss's gradient times the Jacobian, and the central differences beside it.",
            entry("mse", right["mse"], "through the Jacobian, squared error"),
            entry("mse_numeric", numeric["mse"], "by differences"),
            entry("cce", right["cce"], "through the Jacobian, cross-entropy"),
            entry("cce_numeric", numeric["cce"], "by differences"),
            so="For cross-entropy the product is a - y, so short that the Jacobian is forgotten.",
        ),
        part(
            "Passed through unchanged",
            "The gradient in a, taken for the one in z.",
            entry("mse_unchanged", unchanged["mse"], "2 (a - y) / 3"),
            so="Wrong for squared error, in size and in direction.",
        ),
        remarks=(
            "Its softmax layer passes the gradient through unchanged. That is right only where the "
            "loss is cross-entropy and has already been merged with softmax, as a - y.",
        ),
    )


def _after(loss: Callable[..., Any], y: Array) -> Callable[[Any], Any]:
    return lambda z: loss(softmax(z), y)


def _of(loss: Callable[..., Any], y: Array) -> Callable[[Any], Any]:
    return lambda a: loss(a, y)


@dataclass(frozen=True)
class _Scaled(Initializer):
    """Normal weights of one deviation, whatever the size of the layer."""

    deviation: float = 1.0

    def array(self, shape: tuple[int, ...], key: int) -> Array:
        return self.deviation * rng.normal(key, shape)


SAID = {"small": "deviation 0.01", "large": "deviation 1", "rule": "He or Glorot"}


@exercise(
    "D/initialization",
    "what ten layers make of a signal",
    {"layers": 10, "units": 100, "samples": 1000, "deviations": "0.01, 1, and by rule"},
    "Send normal samples through ten layers of ReLU or tanh. How large is the variance in the end, "
    "for weights of deviation 0.01, 1, and by He's or Glorot's rule?",
)
def initialization(given: Given) -> Solution:
    X = rng.normal(rng.key(0, "worked variance"), (given["samples"], given["units"]))
    starts: dict[str, Any] = {"small": _Scaled(0.01), "large": _Scaled(1.0)}
    rules = {"relu": "he", "tanh": "xavier"}
    cases = [(act, key) for act in rules for key in (*starts, "rule")]
    nets = {(act, key): _stack(given, act, starts.get(key, rules[act])) for act, key in cases}
    ends = {k: net.predict(X) for k, net in nets.items()}
    healthy = ends["relu", "rule"]
    return solution(
        *[
            part(
                f"Ten layers of {'ReLU' if act == 'relu' else act}",
                "Too small, and the signal is gone; too large, and it explodes or saturates.",
                [
                    entry(f"{act}_{key}", ends[act, key].var(), f"variance, {SAID[key]}", digits=3)
                    for key in (*starts, "rule")
                ],
            )
            for act in rules
        ],
        part(
            "Is mean 0 and deviation 1 healthy?",
            "The activations of the ten ReLU layers with He's rule, which train well.",
            entry("mean", healthy.mean(), "mean of the last layer", digits=3),
            so="ReLU has no negative answers, so its mean is never near 0; nor is a sigmoid's.",
        ),
        remarks=(
            "It calls √(2/n) Xavier's rule, but that is He's; and 1/n_in is LeCun's. Glorot's "
            "(Xavier's) variance is 2 / (n_in + n_out).",
            "It calls activations healthy whose mean is near 0 and whose deviation is 1. For ReLU "
            "and sigmoid that is false: they are never centered.",
        ),
        plots={"initialization": draws("initialization")},
    )  # fmt: skip


def _stack(given: Given, activation: str, start: Any) -> Sequential:
    layers = [Dense(given["units"], activation, init=start) for _ in range(given["layers"])]
    return Sequential(layers, dtype="float64")


@exercise(
    "D/batch sizes",
    "the three-armed spiral, four ways",
    {"samples": 300, "batch sizes": [1, 10, 50, 300], "rate": 0.1, "epochs": 200},
    "Train 2-100-3, ReLU and softmax, with each batch size. How low is the loss, and how many "
    "samples are right?",
)
def batch_sizes(given: Given) -> Solution:
    X, y = spirals(given["samples"])
    runs = {size: _spiral(given).fit(X, y, epochs=given["epochs"], batch_size=size, verbose=0)
            for size in given["batch sizes"]}  # fmt: skip
    curves = {f"batches of {size}": run for size, run in runs.items()}
    return solution(
        part(
            "After 200 epochs",
            "The same start, data and rate; smaller batches make more steps.",
            [entry(f"loss_{s}", run["loss"][-1], f"loss with batches of {s}", digits=3)
             for s, run in runs.items()],
            [entry(f"accuracy_{s}", run["accuracy"][-1], f"share right with {s}", digits=3)
             for s, run in runs.items()],
            so="A step on everything is the most exact, but 200 of them are few; single samples "
            "make 60,000 noisy ones, and get further.",
        ),
        remarks=(
            "It divides the summed loss by floor(m / batch), which counts no partial batch: with "
            "300 samples and batches of 64 it is wrong. Weighted by size, the mean is that of all.",
        ),
        plots={"loss": draws("history", curves, "loss")},
    )  # fmt: skip


def _spiral(given: Given) -> Sequential:
    layers = [Dense(100, "relu"), Dense(3, "softmax")]
    return Sequential(layers, loss="cce", optimizer=SGD(given["rate"]), metrics=["accuracy"])


@exercise(
    "D/momentum",
    "two ways to write momentum",
    {"p": 1, "g": [1, 1, 1], "rate": 0.1, "β": 0.9},
    "The gradient is 1 three times. Where is p after each step of v = β v + g, and of "
    "v = β v + (1 - β) g, when v starts at 0?",
)
def momentum(given: Given) -> Solution:
    beta, rate = given["β"], given["rate"]
    ways = {"plain": SGD(rate, momentum=beta), "dampened": SGD(rate * (1 - beta), momentum=beta)}
    return solution(
        part(
            "Three steps",
            "The second is the first with a rate of (1 - β) η: v is smaller by that factor.",
            entry("plain", _moves(ways["plain"], given), "p - η v with v ← β v + g"),
            entry("dampened", _moves(ways["dampened"], given), "p - η v with v ← β v + (1 - β) g"),
            so="Neither is wrong. The second one averages gradients, and needs a rate ten times "
            "as large for the same steps.",
        ),
        remarks=(
            "Conventions of its own, to be recognized and not to be called slips: squared error as "
            "Σ / (2m) over m samples, L2 as λ / (2m) ΣW², momentum with (1 - β), which SGD calls "
            "dampening.",
        ),
    )


def _moves(optimizer: SGD, given: Given) -> list[float]:
    p: Node = value(float(given["p"]), "p")
    state: Any = {"velocity": value(0.0, "v")}
    places = []
    for t, g in enumerate(given["g"], start=1):
        step, rate = value(float(t), "t"), value(optimizer.learning_rate, "η")
        p, state = optimizer.update(p, value(float(g), "g"), state, step, rate)
        places.append(float(p.value))
    return places


EXERCISES: tuple[Exercise, ...] = (losses, any_loss, initialization, batch_sizes, momentum)
