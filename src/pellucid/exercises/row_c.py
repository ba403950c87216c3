"""Row C, graphs: gates, small formulas with their slopes, and what numerical gradients cost."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from pellucid import rng
from pellucid.derivatives import grad
from pellucid.exercises.build import differences, draws, entry, leaves, slopes
from pellucid.exercises.exercise import Entry, Exercise, Given, Solution, exercise, part, solution
from pellucid.exercises.row_b import read
from pellucid.gate import Gate
from pellucid.graph import Node
from pellucid.model import Sequential
from pellucid.nn import Dense
from pellucid.ops import add, exp, multiply, named, power, relu, sigmoid

GATES = {
    gate.__name__: inputs
    for gate, inputs in (
        (add, [3, -4]),
        (multiply, [3, -4]),
        (power, [3, 2]),
        (exp, [2]),
        (sigmoid, [1]),
        (relu, [-2]),
    )
}
LOCAL = (
    "1 for each",
    "the other input",
    "k x^(k-1), and x^k log x",
    "its own value",
    "a (1 - a)",
    "1 where x > 0, else 0",
)


@exercise(
    "C/gates",
    "what each gate does forward and backward",
    GATES,
    "These are the inputs of each gate. What is its value, and what are its local gradients?",
)
def gates(given: Given) -> Solution:
    made = {name: Gate(name) for name in given}
    values = {name: gate.forward(*map(float, given[name])) for name, gate in made.items()}
    return solution(
        part(
            "Forward",
            "Each gate computes one thing.",
            [entry(n, v, f"{n}({', '.join(map(str, given[n]))})") for n, v in values.items()],
        ),
        part(
            "Local gradients",
            "How the value moves with each input, all others held still.",
            [
                entry(f"d{name}", list(gate.local), formula)
                for (name, gate), formula in zip(made.items(), LOCAL, strict=True)
            ],
            so="Backward, a gate multiplies what arrives by these. Add hands it on unchanged, "
            "multiply exchanges its inputs, ReLU is a switch.",
        ),
    )


def _small(f: Node, forward: str, backward: str, says: str, so: str = "") -> Solution:
    walk = read(f)
    return solution(
        part("Forward", "From the inputs to f.", walk(forward)),
        part("Backward", says, walk(backward), so=so),
    )


@exercise(
    "C/(x + y) z",
    "a sum and a product",
    {"x": 2, "y": 3, "z": 4},
    "f = (x + y) z, with q = x + y. Compute q and f, and the three slopes.",
)
def sum_and_product(given: Given) -> Solution:
    x, y, z = leaves(given, "x y z")
    return _small(
        named(x + y, "q") * z,
        "q f",
        "-df dq dx dy dz",
        "Multiply exchanges its inputs, add hands on.",
        so="z is worth more than x and y here, because q is larger than z.",
    )


@exercise(
    "C/sigmoid of x y + z",
    "three gates in a row, checked numerically",
    {"x": 2, "y": -3, "z": 1, "ε": 1e-6},
    "f = σ(x y + z). Compute f and its slopes, and check each numerically.",
)
def sigmoid_of_product(given: Given) -> Solution:
    x, y, z = leaves(given, "x y z")
    walk = read(sigmoid(named(named(x * y, "p") + z, "s")))
    at = np.array([given[name] for name in "xyz"], float)
    numeric = slopes(lambda v: float(sigmoid(v[0] * v[1] + v[2])), at, given["ε"])
    return solution(
        part("Forward", "Product, sum, sigmoid.", walk("p s f")),
        part("Backward", "σ's slope first; add hands it on; multiply exchanges.",
             walk("-df ds dz dp dx dy")),
        part(
            "Numerically",
            "Move one input by ε to either side.",
            entry("numeric", numeric, "(f(… + ε) - f(… - ε)) / 2ε for x, y, z"),
            so="The same numbers.",
        ),
    )  # fmt: skip


@exercise(
    "C/(x + 1)(2x)",
    "one input on two paths",
    {"x": 3},
    "L = (x + 1)(2x). What does each path bring to dL/dx, and what is their sum?",
)
def two_paths(given: Given) -> Solution:
    (x,) = leaves(given, "x")
    walk = read(named(x + 1, "a") * named(2 * x, "b"), of="L")
    return solution(
        part("Forward", "x is used twice.", walk("a b L")),
        part(
            "Backward",
            "Each path multiplies its slopes; at x the paths add up.",
            walk("-dL da db"),
            walk.paths("dx", "path_1 path_2"),
            walk("dx"),
        ),
    )


@exercise(
    "C/(a + b)(b + c)",
    "b counts twice",
    {"a": 1, "b": 2, "c": 3},
    "f = (a + b)(b + c). Compute the slopes in a, b and c.",
)
def shared_input(given: Given) -> Solution:
    a, b, c = leaves(given, "a b c")
    return _small(
        named(a + b, "p") * named(b + c, "q"),
        "p q f",
        "-df dp dq da db dc",
        "b belongs to both factors, so two paths lead to it.",
        so="The slope in b is that in a plus that in c.",
    )


@exercise(
    "C/currency chain",
    "slopes along a chain multiply",
    {"dollar": 1, "euro for a dollar": 0.85, "pound for a euro": 0.88},
    "How many pounds is a dollar? Write the exchange as a graph, and read off the slope.",
)
def currency(given: Given) -> Solution:
    (dollar,) = leaves(given, "dollar")
    euro = named(given["euro for a dollar"] * dollar, "euro")
    walk = read(given["pound for a euro"] * euro, of="pound")
    return solution(
        part("Forward", "One exchange after the other.", walk("euro pound")),
        part("Backward", "The rates multiply.", walk("-dpound deuro ddollar")),
    )


@exercise(
    "C/slopes of (3x + 1)²",
    "the chain rule in three panels",
    {"x": [-1, 0, 0.5, 1]},
    "f = u², u = 3x + 1. What are u, the outer slope, the inner slope and df/dx at each x?",
)
def panels(given: Given) -> Solution:
    at = [float(x) for x in given["x"]]
    u = [float(_inner(x)) for x in at]
    return solution(
        part(
            "Two steps",
            "Inside, a straight line; outside, a parabola whose slope depends on u.",
            entry("u", [float(v) for v in u], "3x + 1"),
            entry("inner", _slopes(_inner, at), "du/dx = 3"),
            entry("outer", _slopes(_outer, u), "df/du = 2u"),
        ),
        part(
            "Together",
            "The chain rule, point by point.",
            entry("df", _slopes(lambda x: _outer(_inner(x)), at), "df/dx = df/du · du/dx"),
        ),
        plots={"chain": draws("chain", _outer, _inner, at=at, names=("u²", "3x + 1"))},
    )


def _inner(x: Any) -> Any:
    return 3 * x + 1


def _outer(u: Any) -> Any:
    return u**2


def _slopes(function: Callable[[Any], Any], at: list[float]) -> list[float]:
    return [float(grad(function)(x)) for x in at]


@exercise(
    "C/cost of numerical gradients",
    "two losses for every weight, or two passes in all",
    {"hidden": [4, 16, 64], "samples": 50},
    "For 2-h-1, how many losses do central differences take, and how long do they take beside "
    "backpropagation?",
)
def cost(given: Given) -> Solution:
    found = {h: _cost(h, given["samples"]) for h in given["hidden"]}
    times = ", ".join(f"{c['numeric'] / c['backprop']:.0f} with {h}" for h, c in found.items())
    passes = ", ".join(f"{c['backprop'] / c['forward']:.1f} with {h}" for h, c in found.items())
    return solution(
        part(
            "Losses",
            "One to the right and one to the left for every single weight.",
            [e for h, c in found.items() for e in _counted(h, c)],
        ),
        part(
            "Backpropagation",
            "One pass forward and one pass back give all gradients at once, however many weights "
            "there are.",
            so=f"In backpropagations, the differences took here: {times} hidden units. In forward "
            f"passes, one backpropagation took: {passes}.",
        ),
    )


def _counted(hidden: int, found: dict[str, float]) -> list[Entry]:
    weights, losses = int(found["weights"]), int(found["losses"])
    return [
        entry(f"weights_{hidden}", weights, f"parameters of 2-{hidden}-1"),
        entry(f"losses_{hidden}", losses, "2 · parameters"),
    ]


def _cost(hidden: int, samples: int) -> dict[str, float]:
    """Count losses and measure seconds, for differences, backpropagation and a forward pass."""
    model = Sequential([Dense(hidden, "sigmoid"), Dense(1, "sigmoid")], loss="mse", dtype="float64")
    X = rng.normal(rng.key(0, "worked cost"), (samples, 2))
    y = (X[:, :1] > 0).astype(float)
    model.loss(X, y), model.gradients(X, y)  # traced once, before the clock
    weights = sum(p.size for p in model.params.values())
    counted: list[int] = []
    numeric = _seconds(lambda: differences(model, X, y, counted=counted))
    return {
        "weights": weights,
        "losses": len(counted),
        "numeric": numeric,
        "backprop": min(_seconds(lambda: model.gradients(X, y)) for _ in range(9)),
        "forward": min(_seconds(lambda: model.loss(X, y)) for _ in range(9)),
    }


def _seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


EXERCISES: tuple[Exercise, ...] = (
    gates,
    sum_and_product,
    sigmoid_of_product,
    two_paths,
    shared_input,
    cost,
    currency,
    panels,
)
