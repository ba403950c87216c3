"""Row E: backpropagation by hand that is verified, and what cross-entropy says."""

from __future__ import annotations

import numpy as np

from pellucid import rng
from pellucid.derivatives import grad
from pellucid.exercises.build import Reader, differences, draws, entry, leaves
from pellucid.exercises.exercise import DIGITS, Exercise, Given, Solution, exercise, part, solution
from pellucid.exercises.row_b import read
from pellucid.model import Sequential
from pellucid.nn import Dense
from pellucid.ops import bce, named, relu, sigmoid
from pellucid.readings import explain


@exercise(
    "E/ReLU neuron",
    "one neuron, forward and backward",
    {"x": 2, "y": 1, "w": 0.5, "b": 0.1},
    "z = w x + b, a = ReLU(z), L = (a - y)². Compute z, L, ∂L/∂w and ∂L/∂b.",
)
def relu_neuron(given: Given) -> Solution:
    x, y, w, b = leaves(given, "x y w b")
    a = named(relu(named(named(w * x, "p") + b, "z")), "a")
    walk = read(named(a - y, "error") ** 2, of="L")
    return solution(
        part("Forward", "The score is positive, so ReLU passes it.", walk("-p z a -error L")),
        part(
            "Backward",
            "2 (a - y), times 1 for a ReLU that is on, times what the weight and the bias see.",
            walk("-dL -derror -da dz -dp dw db"),
        ),
    )


@exercise(
    "E/2-4-3-2-1",
    "every gradient of a deeper network",
    {"sizes": "2-4-3-2-1", "samples": 7, "ε": 1e-5},
    "Three ReLU layers and a sigmoid, mean squared error, samples as rows. What are the backward "
    "equations, and is every gradient right?",
)
def deeper(given: Given) -> Solution:
    inputs, *units = map(int, given["sizes"].split("-"))
    acts = ["relu"] * (len(units) - 1) + ["sigmoid"]
    layers = [Dense(u, a) for u, a in zip(units, acts, strict=True)]
    model = Sequential(layers, loss="mse", dtype="float64", seed=3)
    X = rng.normal(rng.key(0, "worked deeper"), (given["samples"], inputs))
    y = rng.uniform(rng.key(1, "worked deeper"), (given["samples"], 1))
    model.predict(X)
    for k, name in enumerate(model.params):  # off the kinks, and no layer dead
        model.params[name] = 0.2 + rng.normal(
            rng.key(k, "worked weights"), model.params[name].shape
        )
    walk = Reader(model.explain(X, y), "y_hat=a4")
    slopes, numeric = model.gradients(X, y), differences(model, X, y, given["ε"])
    worst = {k: float(np.abs(slopes[k] - numeric[k]).max()) for k in slopes}
    kinds = [(kind, k - (kind == "d_a")) for k in range(len(units), 0, -1)
             for kind in ("d_z", "d_W", "d_b", "d_a")]  # fmt: skip
    steps = [walk.step(f"{kind}{k}") for kind, k in kinds if k]
    return solution(
        part(
            "Backward",
            "The same lines for every layer: δ, the gradients of weights and biases, and what goes "
            "down to the layer below.",
            [entry("", walk.words(s.formula), name=walk.word(s.name)) for s in steps],
        ),
        part(
            "Checked",
            "Against central differences of the loss, parameter by parameter.",
            [entry(f"shape_d{k}", list(g.shape), f"as {k}") for k, g in slopes.items()],
            entry("largest_error", max(worst.values()), "largest |analytic - numeric|", digits=2),
            entry("equal", max(worst.values()) < 1e-8, "all agree to 1e-8"),
            so="Differences cannot tell more than that. Beside PyTorch, in float64, the same "
            "gradients agree to 1e-12.",
        ),
    )


@exercise(
    "E/cross-entropy of Bernoulli",
    "where cross-entropy comes from, and its slope",
    {"z": [2, -1.5, 1, 0.5, -2], "y": [1, 0, 1, 1, 0]},
    "p = σ(z) is the probability that y is 1. What does each sample cost, what is the mean, and "
    "what is the slope of the sum in each z?",
)
def bernoulli(given: Given) -> Solution:
    z, y = leaves(given, "z y")
    p = named(sigmoid(z), "p")
    total = named(bce(p, y, reduction="sum"), "total")
    walk = Reader(explain(total, digits=DIGITS), of="total")
    return solution(
        part(
            "The reading",
            "A coin that shows 1 with probability p gives y with probability p^y (1 - p)^(1 - y). "
            "The cost is minus its logarithm: -(y log p + (1 - y) log(1 - p)).",
            walk("p"),
            entry("losses", bce(p, y, reduction="none"), "-(y log p + (1 - y) log(1 - p))"),
            entry("mean", bce(p, y), "mean(losses)"),
            so="A sure and right answer costs little; the last one, 0 with p = 0.12, as much as "
            "the first, 1 with p = 0.88.",
        ),
        part(
            "The slope",
            "The logarithm's slope and the sigmoid's cancel, and p - y is left.",
            entry("gradient", grad(total, z), "p - y, by the chain rule"),
            entry("difference", (p - y).value, "p - y, computed directly"),
            so="The same numbers: the gradient of σ and cross-entropy together is ŷ - y.",
        ),
        plots={"sigmoid": draws("activation", "sigmoid")},
    )


EXERCISES: tuple[Exercise, ...] = (relu_neuron, deeper, bernoulli)
