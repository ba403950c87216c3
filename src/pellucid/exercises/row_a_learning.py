"""Row A, backward: gradients of small networks, the optimizer's steps, the gradient check."""

from __future__ import annotations

import numpy as np

from pellucid import rng
from pellucid.callbacks import LambdaCallback
from pellucid.data import moons
from pellucid.derivatives import grad
from pellucid.exercises.build import Reader, draws, entry, leaves, network, slopes
from pellucid.exercises.exercise import (
    DIGITS,
    Exercise,
    Given,
    Solution,
    exercise,
    part,
    solution,
    told,
)
from pellucid.graph import Array, Node, value
from pellucid.model import Sequential
from pellucid.nn import Dense
from pellucid.ops import half_mse, named, relu, sigmoid
from pellucid.optim import SGD
from pellucid.readings import explain

ONE_TWO_ONE = {
    "x": 1,
    "t": 1,
    "W1": [[0.5], [0.3]],
    "b1": [0.1, 0.2],
    "W2": [[0.4, 0.6]],
    "b2": 0.1,
}
SQUARED = "L = ½ (y - t)²"


def _squared(y: Node, t: Node) -> Reader:
    """Return the explanation of half a squared error, from the output y on."""
    error = named(named(y, "y") - t, "error")
    return Reader(explain(named(0.5 * error**2, "L"), digits=DIGITS), of="L")


@exercise(
    "A/one-neuron gradient",
    "which way to turn one weight and one bias",
    {"w": 0.5, "b": 0.1, "x": 2, "t": 1},
    f"y = σ(w x + b), {SQUARED}. What are ∂L/∂w and ∂L/∂b?",
)
def one_neuron_gradient(given: Given) -> Solution:
    x, t, w, b = leaves(given, "x t w b")
    read = _squared(sigmoid(named(w * x + b, "z")), t)
    return solution(
        part("Forward", "The score, its sigmoid, and how far that is from the target.", read(
            "-v1 z y -error -v2 L")),
        part(
            "Backward",
            "From the loss to the weights, one local slope at a time.",
            read("-dL -dv2 -derror -dy dz -dv1 dw db"),
            so="Both slopes are negative: a larger weight and a larger bias make the loss smaller.",
        ),
    )  # fmt: skip


def _backprop(given: Given, hidden: str) -> Reader:
    model = network(given, f"{hidden} sigmoid", columns=True)
    walk = model.explain(
        [[given["x"]]], [[given["t"]]], notation="columns", digits=DIGITS, fused=False
    )
    read = Reader(walk, "y=a2")
    read.symbols["Y"] = "t"
    return read


def _two_passes(read: Reader, *more: str, so: str) -> Solution:
    return solution(
        part("Forward", "Layer by layer, to the output y.", read("z1 a1 z2 y")),
        part("The loss", "Half the squared error.", read("-error L")),
        part(
            "Output layer",
            "δ2 is how the loss moves with z2. A weight's gradient is δ2 times what came in.",
            read("-derror -da2 delta2 dW2 db2"),
        ),
        part(
            "Hidden layer",
            "δ2 goes back through W2, and then through the activation.",
            read("da1 delta1 dW1 db1"),
            so=so,
        ),
    )


@exercise(
    "A/1-2-1 backprop",
    "backpropagation through two layers by hand",
    ONE_TWO_ONE,
    f"W1 and W2 stand before columns; both layers have the sigmoid; y is the output, {SQUARED}. "
    "Compute both passes: δ2, dW2, δ1, dW1.",
)
def backprop_1_2_1(given: Given) -> Solution:
    read = _backprop(given, "sigmoid")
    return _two_passes(
        read,
        so="The hidden δ are smaller: each passed a weight below 1 and a slope of at most 1/4.",
    )


@exercise(
    "A/1-2-1 backprop with ReLU",
    "the same network with ReLU inside",
    ONE_TWO_ONE,
    f"As before, but the hidden layer has ReLU; the output y keeps the sigmoid, {SQUARED}.",
)
def backprop_1_2_1_relu(given: Given) -> Solution:
    read = _backprop(given, "relu")
    return _two_passes(
        read,
        so="Where ReLU is on its slope is 1, so δ1 is just δ2 sent back through W2: several times "
        "as large as with the sigmoid.",
    )


@exercise(
    "A/vanishing gradient",
    "what ten layers leave of a gradient",
    {"layers": 10, "units": 20, "samples": 50},
    "How large is a product of ten slopes of σ at its steepest, and of ten slopes of ReLU? How "
    "much of the gradient is left in the first of ten layers of a real network?",
)
def vanishing_gradient(given: Given) -> Solution:
    depth = given["layers"]
    nets = {act: _deep(act, given) for act in ("sigmoid", "relu")}
    shares = {act: _share_left(*net) for act, net in nets.items()}
    best = grad(sigmoid)(0.0)
    return solution(
        part(
            "Slopes alone",
            "σ is steepest at 0; ReLU has slope 1 wherever it is on.",
            entry("steepest", best, "σ'(0)"),
            entry("sigmoid", best**depth, f"σ'(0)^{depth}"),
            entry("relu", grad(relu)(1.0) ** depth, f"1^{depth}"),
        ),
        part(
            "A real network, measured",
            "Ten layers of 20 units and one output, on 50 random samples: the length of the "
            "gradient of W1, divided by that of W10.",
            entry("left_sigmoid", shares["sigmoid"], "‖dW1‖ / ‖dW10‖ with sigmoid"),
            entry("left_relu", shares["relu"], "‖dW1‖ / ‖dW10‖ with ReLU"),
            so="With the sigmoid the first layers hardly learn; ReLU with He's weights keeps the "
            "gradient at about its size.",
        ),
        plots={"gradient flow": draws("gradient_flow", {k: n[0] for k, n in nets.items()},
                                      *nets["relu"][1:])},
    )  # fmt: skip


def _deep(activation: str, given: Given) -> tuple[Sequential, Array, Array]:
    stack = [Dense(given["units"], activation) for _ in range(given["layers"])]
    model = Sequential([*stack, Dense(1)], loss="mse", dtype="float64")
    X = rng.normal(rng.key(0, "worked deep"), (given["samples"], given["units"]))
    model.predict(X)
    return model, X, X[:, :1]


def _share_left(model: Sequential, X: Array, y: Array) -> float:
    g = model.gradients(X, y)
    first, last = (np.linalg.norm(g[name]) for name in ("W1", f"W{len(model.layers) - 1}"))
    return float(first / last)


def moved(w: float, g: float, rate: float) -> float:
    """Return where SGD moves a weight in one step."""
    p, slope = value(float(w), "w"), value(float(g), "g")
    new, _ = SGD(rate).update(p, slope, {}, value(1.0, "t"), value(float(rate), "η"))
    return float(new.value)


@exercise(
    "A/gradient descent",
    "five steps downhill",
    {"w": 0.5, "b": 0.1, "dw": 0.3, "db": 0.2, "η": 0.1, "steps": 5},
    "The slopes stay the same. Where are w and b after each step of rate η?",
)
def gradient_descent(given: Given) -> Solution:
    ways = {name: [given[name]] for name in ("w", "b")}
    for _ in range(given["steps"]):
        for name, way in ways.items():
            way.append(moved(way[-1], given[f"d{name}"], given["η"]))
    return solution(
        part(
            "The steps",
            "Each step takes off the rate times the slope; here that is the same every time.",
            [entry(n, way[1:], f"{n} - η d{n}, again and again") for n, way in ways.items()],
            so="Against the slope is downhill: both slopes are positive, so both numbers fall.",
        ),
    )


@exercise(
    "A/learning rates",
    "the same slope, three rates",
    {"w": 0.5, "g_down": 0.1, "g_up": -0.1, "rates": [0.01, 1, 10]},
    "Where does one step lead, for each slope g and each rate?",
)
def learning_rates(given: Given) -> Solution:
    ends = {
        name: [moved(given["w"], given[f"g_{name}"], rate) for rate in given["rates"]]
        for name in ("down", "up")
    }
    return solution(
        part(
            "One step",
            "w - η g, with each of the three rates.",
            [entry(name, end, f"w - η g_{name}") for name, end in ends.items()],
            so="A small rate hardly moves; a large one may jump over the valley, to a weight of "
            "the other sign. The slope says which way, not how far.",
        ),
    )


@exercise(
    "A/gradient check",
    "is the slope right?",
    {"w": 0.5, "x": 2, "t": 1, "ε": 1e-5},
    f"y = σ(w x), {SQUARED}. Compare the slope of the chain rule with the central difference.",
)
def gradient_check(given: Given) -> Solution:
    x, t, w = leaves(given, "x t w")
    read = _squared(sigmoid(named(w * x, "z")), t)
    e = given["ε"]

    def loss(at: Array) -> float:
        return float(half_mse(sigmoid(at * x.value), t.value))

    numeric = float(slopes(loss, w.value, e))
    sides = {"L_plus": loss(w.value + e), "L_minus": loss(w.value - e)}
    error = abs(numeric - read["dw"]) / abs(read["dw"])
    return solution(
        part("Forward", "Three small steps.", read("z y -error -v1 L")),
        part("Backward", "The chain rule, from right to left.", read("-dL -dv1 -derror -dy dz dw")),
        part(
            "By differences",
            "The loss a little to the right and a little to the left, and the line through both.",
            *[entry(k, v, f"L(w {s} ε)", digits=12)
              for (k, v), s in zip(sides.items(), "+-", strict=True)],
            entry("numeric", numeric, "(L_plus - L_minus) / 2ε"),
            entry("relative_error", error, "|numeric - dw| / |dw|"),
            so="Below 1e-7: the slope is right. The two losses differ from the sixth digit on, so "
            "all their digits are needed.",
        ),
        remarks=(
            "The losses that it prints at w + ε and w - ε do not give the slope that it prints: "
            f"L(w + ε) is {told(sides['L_plus'], 10)} and L(w - ε) is "
            f"{told(sides['L_minus'], 10)}.",
        ),
    )  # fmt: skip


@exercise(
    "A/mini-batches",
    "how many updates an epoch has",
    {"samples": 100, "batch sizes": [1, 10, 100]},
    "How many updates does one epoch make with each batch size? Which is noisier, which faster?",
)
def mini_batches(given: Given) -> Solution:
    X, y = moons(given["samples"])
    sizes = given["batch sizes"]
    found = {size: _measured(X, y, size) for size in sizes}
    times = ", ".join(f"{found[s][2]:.2g} ms with {s}" for s in sizes)
    return solution(
        part(
            "Updates",
            "Samples divided by the batch size, rounded up.",
            [entry(f"updates_{s}", found[s][0], f"samples / {s}") for s in sizes],
        ),
        part(
            "Noise, measured",
            "How far a batch's gradient lies from that of all samples, as a share of its length, "
            "on the average over the batches of an untrained neuron.",
            [entry(f"noise_{s}", found[s][1], "mean ‖g(batch) - g‖ / ‖g‖", digits=3,
                   name=f"batches of {s}") for s in sizes],
            so=f"Small batches are noisy and large ones exact. One epoch took {times} here: few "
            "large products of matrices are faster than many small ones.",
        ),
        plots={"batch sizes": draws("batch_sizes", _neuron(), X, y, sizes=sizes, epochs=50)},
    )  # fmt: skip


def _neuron() -> Sequential:
    return Sequential([Dense(1, "sigmoid", inputs=2)], loss="bce", optimizer=SGD(0.1),
                      dtype="float64")  # fmt: skip


def _measured(X: Array, y: Array, size: int) -> tuple[int, float, float]:
    """Return updates an epoch, the noise of a batch's gradient, and milliseconds an epoch."""
    model = _neuron()
    whole = _flat(model, X, y)
    rows = [slice(k, k + size) for k in range(0, len(X), size)]
    far = [np.linalg.norm(_flat(model, X[r], y[r]) - whole) for r in rows]
    updates: list[int] = []
    hook = LambdaCallback(on_batch_end=lambda k, logs: updates.append(k))
    model.fit(X, y, batch_size=size, callbacks=[hook], verbose=0)
    history = model.fit(X, y, epochs=5, batch_size=size, verbose=0, backend="numpy")
    noise = float(np.mean(far) / np.linalg.norm(whole))
    return len(updates), noise, history.seconds / 5 * 1e3


def _flat(model: Sequential, X: Array, y: Array) -> Array:
    return np.concatenate([g.ravel() for g in model.gradients(X, y).values()])


EXERCISES: tuple[Exercise, ...] = (
    one_neuron_gradient,
    backprop_1_2_1,
    backprop_1_2_1_relu,
    vanishing_gradient,
    gradient_descent,
    mini_batches,
    learning_rates,
    gradient_check,
)
