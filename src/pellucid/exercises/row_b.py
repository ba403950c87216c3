"""Row B by hand: the chain rule, one neuron as a graph, the 2-2-1 network, the gradient check."""

from __future__ import annotations

import numpy as np

from pellucid import rng
from pellucid.derivatives import grad
from pellucid.exercises.build import Reader, differences, draws, entry, leaves, network
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
from pellucid.graph import Node
from pellucid.model import Sequential
from pellucid.nn import Dense
from pellucid.ops import named, relu, sigmoid
from pellucid.readings import explain

TWO_TWO_ONE = {
    "W1": [[0.5, 0.3], [-0.2, 0.8]],
    "b1": [0.1, -0.1],
    "W2": [0.6, -0.4],
    "b2": 0.2,
    "x": [1, 0],
    "y": 1,
}


def read(f: Node, names: str = "", of: str = "f") -> Reader:
    """Return the explanation of a formula, its slopes named as of `of`."""
    return Reader(explain(named(f, of), digits=DIGITS), names, of)


@exercise(
    "B/chain rule, temperature",
    "degrees Fahrenheit for each kilometer",
    {"h": 1.5, "celsius": "15 - 6 h", "fahrenheit": "1.8 celsius + 32"},
    "Air cools by 6 °C for each kilometer of height. By how many °F?",
)
def temperature(given: Given) -> Solution:
    (h,) = leaves(given, "h")
    celsius = named(15 - 6 * h, "celsius")
    walk = read(1.8 * celsius + 32, of="fahrenheit")
    return solution(
        part("Forward", "First the height, then the scale.", walk("-v1 celsius -v2 fahrenheit")),
        part(
            "Backward",
            "1.8 °F for each °C, times -6 °C for each kilometer: slopes along a chain multiply.",
            walk("-dfahrenheit -dv2 dcelsius -dv1 dh"),
            so="The height itself does not matter: both steps are straight lines.",
        ),
    )


@exercise(
    "B/chain rule, square",
    "the slope of (3x + 1)²",
    {"x": [-1, 0, 0.5, 1]},
    "f(x) = (3x + 1)², with u = 3x + 1. What is df/dx, in symbols, and at these x?",
)
def square(given: Given) -> Solution:
    slope = grad(lambda x: (3 * x + 1) ** 2)
    at = [float(x) for x in given["x"]]
    x = leaves({"x": at[-1]}, "x")[0]
    walk = read(named(3 * x + 1, "u") ** 2)
    return solution(
        part("Forward, at the last x", "Inside first.", walk("-v1 -u -f")),
        part(
            "Backward",
            "The outer slope 2u, taken at the inner value, times the inner slope 3.",
            walk("-df -du -dv1 -dx"),
        ),
        part(
            "At every x",
            "2 (3x + 1) · 3 is 6 (3x + 1).",
            entry("df", [slope(x) for x in at], "6 (3x + 1)"),
        ),
        plots={"chain": draws("chain", np.square, lambda x: 3 * x + 1, at=at,
                              names=("u²", "3x + 1"))},
    )  # fmt: skip


@exercise(
    "B/chain rule, sigmoid",
    "the slope of σ(2x - 1)",
    {"x": 1},
    "f(x) = σ(2x - 1). What is df/dx?",
)
def sigmoid_inside(given: Given) -> Solution:
    (x,) = leaves(given, "x")
    walk = read(sigmoid(named(2 * x - 1, "u")))
    return solution(
        part("Forward", "Inside first.", walk("-v1 u f")),
        part("Backward", "σ's slope at u, times the inner slope 2.", walk("-df du -dv1 dx")),
    )


@exercise(
    "B/chain rule, three steps",
    "the slope of (5 - σ(x))²",
    {"x": 1},
    "f(x) = (5 - σ(x))². What is df/dx?",
)
def three_steps(given: Given) -> Solution:
    (x,) = leaves(given, "x")
    walk = read(named(5 - named(sigmoid(x), "s"), "u") ** 2)
    return solution(
        part("Forward", "The sigmoid, the difference, the square.", walk("s u f")),
        part(
            "Backward",
            "Three slopes multiply: 2u, then -1, then s (1 - s).",
            walk("-df du ds dx"),
        ),
    )


@exercise(
    "B/chain rule, several paths",
    "one x on two ways",
    {"x": 1},
    "f(x) = (3x + 1)² + σ(2x - 1). What does each path bring, and what is df/dx?",
)
def several_paths(given: Given) -> Solution:
    (x,) = leaves(given, "x")
    square = named(named(3 * x + 1, "u") ** 2, "p")
    walk = read(square + named(sigmoid(named(2 * x - 1, "r")), "q"))
    return solution(
        part("Forward", "Both ways start at x and end in f.", walk("u p r q f")),
        part(
            "Backward",
            "Each path is a chain of its own; where they meet, at x, they are added.",
            walk("-df dp du dq dr"),
            walk.paths("dx", "path_1 path_2"),
            walk("dx"),
        ),
    )


@exercise(
    "B/one sigmoid neuron",
    "a neuron as a graph, forward and backward",
    {"x": 2, "w": 0.5, "b": -0.5, "y": 1},
    "z = w x + b, ŷ = σ(z), L = (ŷ - y)². Fill both tables.",
)
def sigmoid_neuron(given: Given) -> Solution:
    x, w, b, y = leaves(given, "x w b y")
    y_hat = named(sigmoid(named(named(w * x, "p") + b, "z")), "y_hat")
    walk = read(named(y_hat - y, "error") ** 2, "y_hat=y_hat", "L")
    return solution(
        part("Forward", "Every node from those before it.", walk("p z y_hat error L")),
        part(
            "Backward",
            "Every node: what arrives from above, times the local slope.",
            walk("-dL derror dy_hat dz dp dw db"),
            so="∂L/∂w is twice ∂L/∂b, because the weight works on x = 2 and the bias on 1.",
        ),
    )


def _hand(given: Given) -> Reader:
    model = network(given, "sigmoid sigmoid", "mse", columns=True)
    walk = model.explain(
        [np.atleast_1d(given["x"])], [[given["y"]]], notation="columns", digits=DIGITS, fused=False
    )
    return Reader(walk, "y_hat=a2")


def _by_hand(walk: Reader, after: str) -> Solution:
    return solution(
        part("Forward", "Layer by layer.", walk("z1 a1 z2 y_hat")),
        part("The loss", "The squared error, without a factor ½.", walk("-error L")),
        part(
            "Output layer",
            "δ2 = 2 (ŷ - y) σ'(z2); the gradient of a weight is δ2 times what came in.",
            walk("-derror -dy_hat delta2 dW2 db2"),
        ),
        part(
            "Hidden layer",
            "δ2 goes back through W2, then through σ'(z1).",
            walk("-da1 delta1 dW1 db1"),
        ),
        part(
            "One step at rate 1",
            "Every number moves against its gradient.",
            walk("W2_new b2_new W1_new b1_new"),
            so=after,
        ),
    )


@exercise(
    "B/2-2-1",
    "both passes and a step, by hand",
    TWO_TWO_ONE,
    "W1 and W2 stand before columns; sigmoid in both layers; L = (ŷ - y)²; learning rate 1. "
    "Compute both passes and the new weights.",
)
def two_two_one(given: Given) -> Solution:
    return _by_hand(
        _hand(given),
        "The second column of W1 has not moved: its input is 0, and a weight whose input is 0 "
        "gets no gradient. It had no part in this answer.",
    )


@exercise(
    "B/1-1-1",
    "the smallest network with a hidden layer",
    {"W1": 0.5, "b1": 0, "W2": -1, "b2": 0.5, "x": 1, "y": 0},
    "Sigmoid twice; L = (ŷ - y)²; learning rate 1. Compute both passes and the new numbers.",
)
def one_one_one(given: Given) -> Solution:
    return _by_hand(
        _hand(given),
        "ŷ was too large: the output's weight and bias fall. W1 rises: more of a1 means less of ŷ, "
        "for W2 is negative.",
    )


@exercise(
    "B/gradient checking",
    "every gradient against differences of the loss",
    {"sizes": ["2-2-1", "3-4-1", "2-3-2"], "samples": 5, "ε": 1e-5, "pass below": 1e-5},
    "Sigmoid networks of random weights, squared error. How far is each gradient from the central "
    "difference (L(w + ε) - L(w - ε)) / 2ε?",
)
def gradient_checking(given: Given) -> Solution:
    parts = [_checked(sizes, given) for sizes in given["sizes"]]
    return solution(
        *parts,
        remarks=(
            "On 2-3-2 its own class fails its own check: its loss is the mean over all samples and "
            "both outputs, but its gradient divides by the number of samples only, and so is twice "
            "as large. This is the slip called missing-output-mean.",
        ),
    )


def _checked(sizes: str, given: Given) -> Part:
    inputs, hidden, outputs = map(int, sizes.split("-"))
    stack = [Dense(hidden, "sigmoid", inputs=inputs), Dense(outputs, "sigmoid")]
    model = Sequential(stack, loss="mse", dtype="float64", seed=1)
    X = rng.normal(rng.key(0, "worked check"), (given["samples"], inputs))
    y = (rng.uniform(rng.key(1, "worked check"), (given["samples"], outputs)) > 0.5).astype(float)
    slopes, numeric = model.gradients(X, y), differences(model, X, y, given["ε"])
    apart = {k: np.abs(slopes[k] - numeric[k]) for k in slopes}
    parts = {k: d / (np.abs(slopes[k]) + np.abs(numeric[k])) for k, d in apart.items()}
    worst = max(float(r.max()) for r in parts.values())
    count = sum(p.size for p in slopes.values())
    return part(
        f"The network {sizes}",
        f"{count} parameters, each moved by ε to either side: {2 * count} losses.",
        entry(f"parameters_{sizes}", count, "entries of W1, b1, W2, b2"),
        entry(f"abs_{sizes}", max(float(d.max()) for d in apart.values()),
              "largest |analytic - numeric|", digits=2),
        entry(f"rel_{sizes}", worst, "largest |difference| / (|analytic| + |numeric|)", digits=2),
        entry(f"pass_{sizes}", worst < given["pass below"], "the relative error is below 1e-5"),
    )  # fmt: skip


@exercise(
    "B/spot the bug",
    "σ' at z, or at a?",
    {"z": [0.6, -0.3]},
    "A backward pass multiplies by sigmoid_prime(a1), where sigmoid_prime(u) = σ(u) (1 - σ(u)). "
    "What should it multiply by, and what does it? And if the activation is ReLU?",
)
def spot_the_bug(given: Given) -> Solution:
    (z,) = leaves(given, "z")
    a = sigmoid(z)
    slope, mask = (grad(lambda u, f=f: f(u).sum()) for f in (sigmoid, relu))
    return solution(
        part(
            "Sigmoid",
            "σ'(z) applies σ once. sigmoid_prime(a) applies it to a value that is σ(z) already.",
            entry("right", slope(z.value), "σ'(z) = sigmoid_prime(z)"),
            entry("short", a * (1 - a), "a (1 - a): from a, and right"),
            entry("bug", slope(a.value), "sigmoid_prime(a)"),
            so="The buggy slope hardly depends on z: it always lies between 0.19 and 0.25.",
        ),
        part(
            "ReLU",
            "The mask asks only whether the number is positive, and a is positive where z is.",
            entry("mask_z", mask(z.value), "z > 0"),
            entry("mask_a", mask(relu(z).value), "a > 0"),
            so="The same. A mask, 1 - a² for tanh, or a (1 - a) for σ taken from a is correct.",
        ),
        remarks=(
            "It says that for the sigmoid both give the same result. They do so only if the "
            "function takes a and returns a (1 - a); one that applies σ itself must be given z.",
            "It calls ReLU' taken at a wrong. That mask is identical.",
        ),
    )


EXERCISES: tuple[Exercise, ...] = (
    temperature,
    square,
    sigmoid_inside,
    three_steps,
    several_paths,
    sigmoid_neuron,
    two_two_one,
    one_one_one,
    gradient_checking,
    spot_the_bug,
)
