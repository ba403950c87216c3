"""Row A, forward: one neuron, activations, softmax, and networks from input to output."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from pellucid.derivatives import grad
from pellucid.exercises.build import Reader, draws, entry, leaves, network
from pellucid.exercises.exercise import DIGITS, Exercise, Given, Solution, exercise, part, solution
from pellucid.graph import Node
from pellucid.model import Sequential
from pellucid.nn import Dense
from pellucid.ops import leaky_relu, matmul, named, relu, sigmoid, softmax, tanh
from pellucid.readings import explain

NEURON = {"w": [0.5, -0.3, 0.2], "b": 0.1, "x": [1, 2, 3]}
THREE = {
    "W1": [[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]],
    "b1": [0.1, 0.2, 0.3],
    "W2": [[1], [2], [3]],
    "b2": 0.5,
}


def _score(given: Given, x: str = "x") -> Node:
    inputs, w, b = leaves(given, f"{x} w b")
    z: Node = named(w @ inputs + b, "z")
    return z


@exercise(
    "A/linear neuron",
    "one neuron without an activation",
    NEURON,
    "What does the neuron answer, and how many numbers can it learn?",
)
def linear_neuron(given: Given) -> Solution:
    read = Reader(explain(_score(given), digits=DIGITS))
    model = network({"W1": np.transpose([given["w"]]), "b1": given["b"]}, "linear")
    sizes = [p.size for p in model.params.values()]
    return solution(
        part(
            "The weighted sum",
            "Each input counts as much as its weight says, and the bias moves the whole.",
            read("-v1 z"),
        ),
        part(
            "What can be learned",
            "One weight for each input, and one bias.",
            entry("parameters", sum(sizes), "weights + biases", numbers=_sum(sizes)),
        ),
    )


def _sum(sizes: list[int]) -> str:
    return " + ".join(map(str, sizes))


@exercise(
    "A/sigmoid neuron",
    "a neuron that answers with a probability",
    NEURON,
    "What is a = σ(z), and how steep is σ there? Why is that slope cheap to have?",
)
def sigmoid_neuron(given: Given) -> Solution:
    walk = explain(named(sigmoid(_score(given)), "a"), digits=DIGITS)
    read = Reader(walk, "slope=d_z", of="a")
    return solution(
        part("Forward", "First the score z, then the sigmoid of it.", read("-v1 z a")),
        part(
            "The slope",
            "What arrives from above is 1, for nothing follows; times the local slope of σ.",
            read("-da slope"),
            so="It is cheap because a is known already: a (1 - a) takes one subtraction and one "
            "product, but no further exponential.",
        ),
        part(
            "Where a (1 - a) comes from",
            "Differentiated, σ has the slope σ(z) σ(-z); and σ(-z) is 1 - σ(z).",
            read.rule("slope of sigmoid from its value"),
        ),
        plots={"sigmoid": draws("activation", "sigmoid")},
    )


@exercise(
    "A/ReLU neuron",
    "a neuron that is on or off",
    {**NEURON, "x_neg": [-1, -2, -3]},
    "What does it answer to x and to x_neg, and how steep is it there? Where is it dead?",
)
def relu_neuron(given: Given) -> Solution:
    on, off = (explain(named(relu(_score(given, x)), "a"), digits=DIGITS) for x in ("x", "x_neg"))
    read, unread = Reader(on, "slope=d_z", "a"), Reader(off, "z_neg=z a_neg=a slope_neg=d_z", "a")
    return solution(
        part(
            "On",
            "A positive score passes as it is, and so does the gradient.",
            read("-v1 z a -da slope"),
        ),
        part(
            "Off",
            "A negative score is cut to 0, and the gradient with it.",
            unread("-v1 z_neg a_neg slope_neg"),
            entry("dead", unread["slope_neg"] == 0, "slope_neg is 0", name="dead for x_neg"),
            so="For this input the neuron learns nothing: whatever arrives is multiplied by 0. "
            "Dead for every sample of the data, it never comes back.",
        ),
        plots={"ReLU": draws("activation", "relu")},
    )


FOUR: dict[str, Callable[[Any], Any]] = {
    "sigmoid": sigmoid,
    "tanh": tanh,
    "relu": relu,
    "leaky_relu": lambda z: leaky_relu(z, 0.01),
}
FORMULAS = {
    "sigmoid": "1 / (1 + exp(-z))",
    "tanh": "(exp(z) - exp(-z)) / (exp(z) + exp(-z))",
    "relu": "max(0, z)",
    "leaky_relu": "max(0.01 z, z)",
}


@exercise(
    "A/four activations",
    "sigmoid, tanh, ReLU and leaky ReLU side by side",
    {"z": [-2, -1, 0, 1, 2]},
    "What do the four activations make of these scores, and between which values do they stay?",
)
def four_activations(given: Given) -> Solution:
    (z,) = leaves(given, "z")
    ends = np.array([-math.inf, math.inf])
    return solution(
        part(
            "Values",
            "Each activation works on every score for itself.",
            [entry(name, act(z), FORMULAS[name], digits=4) for name, act in FOUR.items()],
        ),
        part(
            "Ranges",
            "All four rise with z, so their values lie between what they tend to at -∞ and at ∞.",
            [entry(f"range_{n}", act(ends), f"{n} at -∞ and at ∞") for n, act in FOUR.items()],
            so="Sigmoid and tanh only approach their ends; ReLU sits on its lower one. Only tanh "
            "and leaky ReLU can answer with a negative number.",
        ),
        plots={"activations": draws("activation", list(FOUR))},
    )


@exercise(
    "A/derivatives",
    "how steep the activations are",
    {"z": 1},
    "What are the slopes of sigmoid, tanh and ReLU at z? And those of sigmoid at -5 and 5, of tanh "
    "at -3 and 3?",
)
def derivatives(given: Given) -> Solution:
    z = float(given["z"])
    known = {"sigmoid": "a (1 - a)", "tanh": "1 - a²", "relu": "1 where z > 0, else 0"}
    far = {"sigmoid": 5.0, "tanh": 3.0}
    return solution(
        part(
            "At z = 1",
            "With a for the activation's value, each slope has a short formula.",
            [entry(f"d{n}", grad(FOUR[n])(z), f, digits=4) for n, f in known.items()],
        ),
        part(
            "Far from 0",
            "The same formulas, where the curves are nearly flat.",
            [
                entry(f"d{n}_far", [grad(FOUR[n])(-x), grad(FOUR[n])(x)], f"{known[n]} at ∓{x:.0f}")
                for n, x in far.items()
            ],
            so="Less than a hundredth of the gradient passes there: the unit is saturated.",
        ),
        plots={"slopes": draws("activation", list(known), derivative=True)},
    )


@exercise(
    "A/softmax",
    "scores to shares that sum to 1",
    {"z": [2, 1, 0.1], "constant": 10000, "huge": [1e308, 1e308, -1e308]},
    "Which share does each class get, and which class is chosen? What if the constant is added to "
    "every score? What if scores are huge?",
)
def softmax_shares(given: Given) -> Solution:
    z, huge = leaves(given, "z huge")
    read = Reader(explain(named(softmax(z), "shares"), digits=DIGITS))
    shares, moved = softmax(z).value, softmax(z + given["constant"]).value
    return solution(
        part(
            "Shares",
            "Exponentials make every score positive; divided by their sum they are shares: "
            "softmax(z) = exp(z) / sum(exp(z)).",
            read("shares"),
            entry("sum", shares.sum(), "sum(shares)"),
            entry("class", int(shares.argmax()), "place of the largest share"),
        ),
        part(
            "A constant added",
            "A constant c multiplies every exponential by exp(c), above and below the line.",
            entry("shifted", moved, "softmax(z + constant)"),
            so="Nothing changes. That is why the largest score may be taken off first.",
        ),
        part(
            "Huge scores",
            "exp overflows above 709; with the largest score taken off, every exponent is ≤ 0.",
            entry("stable", softmax(huge), "softmax(huge)"),
        ),
    )


@exercise(
    "A/why non-linear",
    "two linear layers are one",
    {"W1": [[1, 2], [3, 4]], "W2": [1, 2], "x": [1, 1]},
    "W1 and W2 stand before a column x, and there is no activation. What comes out? Which single "
    "layer W gives the same?",
)
def why_non_linear(given: Given) -> Solution:
    model = network(given, "linear linear", columns=True)
    read = Reader(model.explain([given["x"]], [[0]], notation="columns"), "out=z2")
    W2, W1 = leaves(given, "W2 W1")
    W = matmul(W2, W1)
    one = network({"W1": W.value}, "linear", columns=True).predict([given["x"]])
    swapped = network({**given, "W1": W1.value.T}, "linear linear", columns=True)
    wrong = swapped.predict([given["x"]]).item()
    return solution(
        part("Two layers", "Without an activation a layer is its weighted sum.", read("z1 out")),
        part(
            "One layer",
            "W2 (W1 x) is (W2 W1) x: the product of the matrices can be taken first.",
            entry("W", W, "W2 @ W1"),
            entry("collapsed", one, "W @ x"),
            so="However many linear layers are stacked, they can draw only what one can: a line.",
        ),
        remarks=(
            f"Its code multiplies by the transpose of W1 and so gets {wrong:g}; the formulas "
            f"beside it, and the layer W, give {one.item():g}.",
        ),
    )


@exercise(
    "A/2-3-1 forward",
    "a small network from input to output",
    {**THREE, "x": [1, 2]},
    "Both layers have the sigmoid. Compute every value on the way to the output.",
)
def forward_2_3_1(given: Given) -> Solution:
    model = network(given, "sigmoid sigmoid")
    read = Reader(model.explain([given["x"]], [[0]], digits=DIGITS), "out=a2")
    return solution(
        part(
            "The hidden layer",
            "Each of the three units weights both inputs, a column of W1 each, and adds its bias.",
            read("z1 a1"),
        ),
        part("The output", "The same again, with what the hidden units say.", read("z2 out")),
    )


@exercise(
    "A/batch",
    "two samples at once",
    {**THREE, "X": [[1, 2], [0.5, 1.5]]},
    "The network is that of the forward pass before. What are the values and the shapes of all "
    "arrays? Does each sample get what it gets alone?",
)
def batch(given: Given) -> Solution:
    model = network(given, "sigmoid sigmoid")
    walk = model.explain(given["X"], [[0], [0]], digits=DIGITS)
    read = Reader(walk, "out=a2 X=X")
    read.symbols["X"] = "X"
    alone = [model.predict([row]).item() for row in given["X"]]
    shapes = {k: list(walk[k].shape) for k in ("z1", "a1", "z2", "a2")}
    return solution(
        part("Forward", "One row for each sample; a bias is added to every row.", read("z1 a1")),
        part("The output", "One number for each row.", read("-z2 out")),
        part(
            "Shapes",
            "The first number counts the samples, the second the units of the layer.",
            [entry(f"shape_{k}", s, f"samples × units of {k}") for k, s in shapes.items()],
        ),
        part(
            "One by one",
            "The rows never meet: each is multiplied by the weights on its own.",
            entry("one_by_one", alone, "the network on each row alone"),
            so="The same numbers: a batch saves time, and changes nothing.",
        ),
    )


@exercise(
    "A/2-4-3-1",
    "how large a network is",
    {"inputs": 2, "units": [4, 3, 1]},
    "Which matrices does it have, how many parameters, and what are its forward equations, with "
    "ReLU inside and the sigmoid at the end?",
)
def sizes_2_4_3_1(given: Given) -> Solution:
    units = given["units"]
    acts = ["relu"] * (len(units) - 1) + ["sigmoid"]
    first, *rest = zip(units, acts, strict=True)
    layers = [Dense(*first, inputs=given["inputs"]), *(Dense(*each) for each in rest)]
    model = Sequential(layers, loss="bce", dtype="float64")
    read = Reader(model.explain([[1.0] * given["inputs"]], [[0]]))
    steps = [read.step(f"{kind}{k + 1}") for k in range(len(units)) for kind in "za"]
    sizes = [p.size for p in model.params.values()]
    shapes = {k: list(p.shape) for k, p in model.params.items() if k[0] == "W"}
    return solution(
        part(
            "Matrices",
            "Between two layers stands one matrix: as many rows as the layer below has units, as "
            "many columns as the layer above.",
            [entry(f"shape_{k}", shape, "inputs × units") for k, shape in shapes.items()],
        ),
        part(
            "Parameters",
            "Every entry of a matrix, and a bias for each unit.",
            entry("parameters", sum(sizes), "W1, b1, W2, b2, W3, b3", numbers=_sum(sizes)),
        ),
        part(
            "Forward",
            "Weighted sum and activation take turns.",
            [entry(s.name, read.words(s.formula)) for s in steps],
        ),
    )


EXERCISES: tuple[Exercise, ...] = (
    linear_neuron,
    sigmoid_neuron,
    relu_neuron,
    four_activations,
    derivatives,
    softmax_shares,
    why_non_linear,
    forward_2_3_1,
    batch,
    sizes_2_4_3_1,
)
