"""Row C, networks: cross-entropy walked through, one neuron's limits, XOR, gradient flow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from pellucid import rng
from pellucid.data import logic_and, logic_or, xor
from pellucid.derivatives import grad
from pellucid.exercises.build import Reader, draws, entry, leaves, network
from pellucid.exercises.exercise import (
    DIGITS,
    Exercise,
    Given,
    Part,
    Solution,
    exercise,
    part,
    solution,
)
from pellucid.exercises.row_b_trained import correct, net
from pellucid.graph import Array, Node
from pellucid.model import Sequential
from pellucid.nn import Dense
from pellucid.ops import concatenate, log, minimum, norm, tanh
from pellucid.optim import SGD
from pellucid.sweeps import sweep

WALKED = {
    "W1": [[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]],
    "b1": [0.1, 0.1, 0.1],
    "W2": [0.7, 0.8, 0.9],
    "b2": 0.1,
    "x": [1, 2],
    "y": 1,
}
NAMES = "h=a1 y_hat=a2 dz2=d_z2 dh=d_a1 dz1=d_z1"


def _walks(given: Given, hidden: str) -> tuple[Reader, Reader]:
    """Return both passes: as the loss is written, and with its sigmoid merged into it."""
    model = network(given, f"{hidden} sigmoid", "bce", columns=True)
    X, y = [given["x"]], [[given["y"]]]
    walks = [model.explain(X, y, notation="columns", digits=DIGITS, fused=f) for f in (False, True)]
    return Reader(walks[0], NAMES), Reader(walks[1], NAMES)


def _cross_entropy(given: Given, hidden: str, mask: str) -> Solution:
    plain, merged = _walks(given, hidden)
    return solution(
        part("Forward", "Two weighted sums, two activations.", plain("z1 h z2 y_hat")),
        part(
            "The loss",
            "Cross-entropy; here y is 1, so only -log ŷ is left of it.",
            entry("L", plain["L"], "-(y log ŷ + (1 - y) log(1 - ŷ))"),
        ),
        part(
            "Back to the score, the long way",
            "Through the loss, then through the sigmoid.",
            entry("dy_hat", plain["dy_hat"], "(1 - y) / (1 - ŷ) - y / ŷ", name="dŷ"),
            plain("-dz2"),
        ),
        part(
            "Why that is ŷ - y",
            "The sigmoid's slope ŷ (1 - ŷ) cancels the denominators of the loss's slope.",
            merged.rule("chain rule"),
            merged("dz2"),
        ),
        part("Output layer", "The slope at the score, times what came in.", merged("dW2 db2")),
        part("Hidden layer", f"Back through W2; then {mask}.", merged("dh dz1 dW1 db1")),
    )  # fmt: skip


@exercise(
    "C/2-3-1 cross-entropy",
    "a network walked through with numbers",
    WALKED,
    "W1 and W2 stand before columns; ReLU, then the sigmoid; cross-entropy. Compute both passes, "
    "and show why ∂L/∂z2 is ŷ - y.",
)
def cross_entropy(given: Given) -> Solution:
    return _cross_entropy(given, "relu", "ReLU lets through what was positive, here all")


@exercise(
    "C/2-3-1 with tanh",
    "the same network with tanh inside",
    WALKED,
    "As in the walk with ReLU, but the hidden layer has tanh. What changes on the way back?",
)
def cross_entropy_tanh(given: Given) -> Solution:
    return _cross_entropy(given, "tanh", "tanh's slope 1 - h² shrinks what arrives")


@exercise(
    "C/one neuron: AND, OR, XOR",
    "what one line can divide",
    {"rate": 1.0, "epochs": 1000},
    "Train one sigmoid neuron without a hidden layer on each truth table. How many of the four "
    "rows does it get right?",
)
def one_neuron(given: Given) -> Solution:
    tables = {"and": logic_and(), "or": logic_or(), "xor": xor()}
    models, right = {}, {}
    for name, (X, y) in tables.items():
        model = Sequential([Dense(1, "sigmoid")], loss="bce", optimizer=SGD(given["rate"]),
                           dtype="float64")  # fmt: skip
        model.fit(X, y, epochs=given["epochs"], batch_size=None, verbose=0)
        models[name], right[name] = model, correct(model, X, y)
    weights = {n: np.append(m.params["W1"], m.params["b1"]).round(3) for n, m in models.items()}
    return solution(
        part(
            "Trained",
            "The neuron answers 1 on one side of the line w1 x1 + w2 x2 + b = 0.",
            [entry(f"right_{n}", r, "rows right, of 4") for n, r in right.items()],
        ),
        part(
            "The lines",
            "Weights and bias after training: w1, w2, b.",
            [entry("", w, f"w1, w2, b for {n.upper()}", digits=3, name=f"line of {n.upper()}")
             for n, w in weights.items()],
            so="For XOR they go to 0: no line has 01 and 10 on one side and 00 and 11 on the "
            "other, so three of four is the most that any line can do.",
        ),
        plots={n: draws("boundary", models[n], *tables[n]) for n in models},
    )  # fmt: skip


RECIPES = {
    "2-4-1, rate 1": (4, 1.0, 10000),
    "2-4-1, rate 0.5": (4, 0.5, 2000),
    "2-8-1, rate 0.5": (8, 0.5, 1000),
}


@exercise(
    "C/XOR 2-4-1",
    "XOR with ReLU and cross-entropy",
    {"recipes": "; ".join(f"{name}, {epochs} epochs" for name, (_, _, epochs) in RECIPES.items())},
    "ReLU in the hidden layer, sigmoid at the end, cross-entropy, all four samples in one batch. "
    "What share of random starts gets all four right with each recipe?",
)
def xor_relu(given: Given, starts: int = 25) -> Solution:
    X, y = xor()
    runs = {name: _recipe(*recipe, starts) for name, recipe in RECIPES.items()}
    first = runs["2-4-1, rate 1"]
    best = first.model(first.best)
    outputs = best.predict(X)
    hidden = best.activations(X)["a1"]
    return solution(
        part(
            f"{starts} starts of each recipe",
            "He's weights at random; a run counts where all four samples are right.",
            [entry(f"rate_{_size(n)}", run.rate(), f"share of starts, {n}", digits=3)
             for n, run in runs.items()],
            so="Neither always works: some of a few ReLU units are dead from the start, or die. "
            "A recipe is judged by its success rate, never by a lucky seed. More: starts=200.",
        ),
        part(
            "Inside the best one",
            "What the hidden units make of 00, 01, 10 and 11.",
            entry("loss", first.best["loss"], "after the last epoch"),
            entry("outputs", outputs, "ŷ for 00, 01, 10, 11", digits=4),
            entry("", hidden, "ReLU(x @ W1 + b1)", name="hidden", digits=2),
            so="In the space of the hidden units one plane divides the classes: that is what the "
            "hidden layer is for.",
        ),
        plots={
            "success": draws("success", first),
            "boundary": draws("boundary", best, X, y),
            "hidden representation": draws("representation", best, X, y),
        },
    )  # fmt: skip


def _size(recipe: str) -> str:
    return recipe.replace(", rate ", "_")


def _recipe(hidden: int, rate: float, epochs: int, starts: int) -> Any:
    return sweep(
        lambda seed: net(hidden, "relu", "bce", rate, seed), *xor(),
        epochs=epochs, seeds=range(starts), batch_size=None, verbose=0,
    )  # fmt: skip


@exercise(
    "C/squared error or cross-entropy",
    "what a confident mistake costs",
    {"y_hat": 0.99, "y": 0},
    "A sigmoid neuron is sure, and wrong. Compare loss and slope in z of squared error and of "
    "cross-entropy.",
)
def two_losses(given: Given) -> Solution:
    p = given["y_hat"]
    score = float(log(p / (1 - p)))
    found = {}
    for name in ("mse", "bce"):
        model = network({"W1": [[1.0]]}, "sigmoid", name)
        found[name] = Reader(model.explain([[score]], [[given["y"]]], digits=4), "y_hat=a1 dz=d_z1")
    return solution(
        part(
            "The same answer",
            "The score that gives ŷ is log(ŷ / (1 - ŷ)).",
            found["mse"]("z1 -y_hat"),
        ),
        part(
            "Losses",
            "(ŷ - y)², and -log(1 - ŷ) for y = 0.",
            entry("mse", found["mse"]["L"], "(ŷ - y)²", digits=4),
            entry("bce", found["bce"]["L"], "-log(1 - ŷ)", digits=3),
        ),
        part(
            "Slopes in z",
            "2 (ŷ - y) ŷ (1 - ŷ), and ŷ - y.",
            entry("slope_mse", found["mse"]["dz"], "2 (ŷ - y) ŷ (1 - ŷ)", digits=4),
            entry("slope_bce", found["bce"]["dz"], "ŷ - y", digits=4),
            so="The worse the mistake, the flatter the squared error is in z: ŷ (1 - ŷ) is almost "
            "0. Cross-entropy keeps its slope, and the neuron learns from its mistake.",
        ),
    )


@exercise(
    "C/gradient flow",
    "healthy, vanishing, exploding",
    {"depth": 10, "scales": [0.5, 1, 1.5, 2], "units": 100, "samples": 50},
    "What is left of a slope after ten factors of each scale? And of the gradient in networks "
    "whose weights are He's times that scale, with ReLU and with sigmoid, plain and residual?",
)
def gradient_flow(given: Given) -> Solution:
    depth, scales = given["depth"], given["scales"]
    nets = {scale: _scaled(given, "relu", scale) for scale in scales}
    X = rng.normal(rng.key(0, "worked flow"), (given["samples"], given["units"]))
    relu = [_left(model, X) for model in nets.values()]
    curved = [_left(_scaled(given, "sigmoid", scale), X) for scale in scales]
    return solution(
        part(
            "The scalar chain",
            "y = s·s·…·s·x: each factor multiplies the slope.",
            entry("chain", [_chain(scale, depth) for scale in scales], "s^10"),
        ),
        part(
            "Real networks, measured",
            "Ten layers of 100 units: ‖db1‖ / ‖db10‖ for each scale, where db is δ, summed over "
            "the samples.",
            entry("relu", relu, "with ReLU", digits=3),
            entry("sigmoid", curved, "with sigmoid", digits=7),
            so="At scale 1 ReLU keeps the gradient's size; below it vanishes, above it explodes. "
            "The sigmoid's slope of at most 1/4 makes it vanish nearly always.",
        ),
        _residual(given),
        plots={"gradient flow": draws("gradient_flow", {f"{s} He": m for s, m in nets.items()},
                                      X, X[:, :1])},
    )  # fmt: skip


def _chain(scale: float, depth: int) -> float:
    def product(x: Any) -> Any:
        for _ in range(depth):
            x = scale * x
        return x

    return float(grad(product)(1.0))


def _scaled(given: Given, activation: str, scale: float) -> Sequential:
    stack = [Dense(given["units"], activation, init="he") for _ in range(given["depth"])]
    model = Sequential([*stack, Dense(1)], loss="mse", dtype="float64")
    model.predict(np.zeros((1, given["units"])))
    for k in range(given["depth"]):
        model.params[f"W{k + 1}"] *= scale
    return model


def _left(model: Sequential, X: Array) -> float:
    g = model.gradients(X, X[:, :1])
    return float(np.linalg.norm(g["b1"]) / np.linalg.norm(g[f"b{len(model.layers) - 1}"]))


def _residual(given: Given) -> Part:
    """Compare tanh layers with and without a way around, by the gradient in the input."""
    depth, units = given["depth"], given["units"]
    W = 0.5 / np.sqrt(units) * rng.normal(rng.key(1, "worked flow"), (depth, units, units))
    x = rng.normal(rng.key(2, "worked flow"), (units,))

    def reach(around: bool) -> Callable[[Any], Any]:
        def output(h: Any) -> Any:
            for k in range(depth):
                h = h + tanh(h @ W[k]) if around else tanh(h @ W[k])
            return h.sum()

        return output

    lengths = [float(np.linalg.norm(grad(reach(around))(x))) for around in (False, True)]
    return part(
        "A way around, measured",
        "h + F(h) has the slope 1 + ∂F/∂h: even where F passes nothing, the 1 does.",
        entry("plain", lengths[0], "‖∂out/∂x‖ through ten layers h ← tanh(h W)", digits=4),
        entry("residual", lengths[1], "the same with h ← h + tanh(h W)", digits=4),
    )


@exercise(
    "C/clipping",
    "how to shorten a gradient and keep its direction",
    {"g1": [6, 8], "g2": [0, 5], "most": 5},
    "Two layers have these gradients. Clip them to a length of at most 5: both together, and each "
    "for itself. Which of the two keeps the direction?",
)
def clipping(given: Given) -> Solution:
    g1, g2 = leaves(given, "g1 g2")
    whole = concatenate([g1, g2])
    factor = minimum(1.0, given["most"] / norm(whole))
    together = factor * whole
    each = concatenate([minimum(1.0, given["most"] / norm(g)) * g for g in (g1, g2)])
    return solution(
        part(
            "By the global norm",
            "One length for all layers, one factor for all numbers.",
            entry("norm", norm(whole), "√(Σ g1² + Σ g2²)"),
            entry("factor", factor, "5 / norm, and 1 at most"),
            entry("together", together, "factor · (g1, g2)"),
        ),
        part(
            "Layer by layer",
            "Each layer is shortened to 5 by its own factor.",
            entry("each", each, "(g1 · 5/‖g1‖, g2 · 5/‖g2‖)"),
        ),
        part(
            "Directions",
            "The cosine of the angle to the gradient itself.",
            entry("cosine_together", _cosine(together, whole), "of clipping together"),
            entry("cosine_each", _cosine(each, whole), "of clipping each"),
            so="Together, the step is shorter, but goes the same way. Each for itself, it turns: "
            "it is no longer the way of steepest descent.",
        ),
    )


def _cosine(a: Node, b: Node) -> Any:
    return (a @ b) / (norm(a) * norm(b))


EXERCISES: tuple[Exercise, ...] = (
    cross_entropy,
    cross_entropy_tanh,
    one_neuron,
    xor_relu,
    two_losses,
    gradient_flow,
    clipping,
)
