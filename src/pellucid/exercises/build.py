"""What exercises are built with: leaves, networks, and entries read off an explanation."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from pellucid.exercises.exercise import DIGITS, Entry, Given, plain, told
from pellucid.explaining.walkthrough import Step, Walkthrough
from pellucid.graph import Array, Node, value
from pellucid.model import Sequential
from pellucid.nn import Dense
from pellucid.optim import SGD

SYMBOLS = {
    "loss": "L",
    "X": "x",
    "Y": "y",
    "learning_rate": "η",
    "sigmoid": "σ",
    "accurate_softmax": "softmax",
}
GREEK = {"delta": "δ", "y_hat": "ŷ", "sigma": "σ"}


def leaves(given: Given, names: str) -> list[Node]:
    """Return a leaf for each of these names, with the given numbers in float64."""
    return [value(np.asarray(given[name], float), name) for name in names.split()]


def network(
    given: Given,
    activations: str,
    loss: str = "half_mse",
    *,
    columns: bool = False,
    rate: float = 1,
) -> Sequential:
    """Return a stack of dense layers with the given W1, b1, …; with `columns`, W is for W x."""
    acts = activations.split()
    arrays = {k: np.asarray(v, float) for k, v in given.items() if re.fullmatch(r"[Wb]\d", k)}
    weights = {k: np.atleast_2d(a) if k[0] == "W" else np.atleast_1d(a) for k, a in arrays.items()}
    weights = {k: a.T if columns and k[0] == "W" else a for k, a in weights.items()}
    sizes = [weights[f"W{k + 1}"].shape for k in range(len(acts))]
    stack = [Dense(n, a, inputs=m) for (m, n), a in zip(sizes, acts, strict=True)]
    model = Sequential(stack, loss=loss, optimizer=SGD(rate), dtype="float64")
    zero = {f"b{k + 1}": np.zeros(n) for k, (_, n) in enumerate(sizes)}
    model.params = zero | weights
    return model


def symbol(key: str) -> str:
    """Return a value's name as a document writes it: delta1 as δ1, y_hat as ŷ."""
    for word, letter in GREEK.items():
        key = re.sub(rf"^{word}(?=\d*$)", letter, key)
    return key


def entry(
    key: str, found: Any, formula: str = "", *, numbers: str = "", says: str = "",
    digits: int = DIGITS, name: str = "",
) -> Entry:  # fmt: skip
    """Return an entry for a value that a model, a gate or a node gave."""
    number = plain(found.value if isinstance(found, Node) else found)
    return Entry(key, name or symbol(key), formula, numbers, told(number, digits), number, says)


class Reader:
    """Reads entries off an explanation, under a document's names.

    `names` says which step is which value: {"out": "a2"}; what it leaves out is called as the step
    is, and δ1, dW1 and L stand for d_z1, d_W1 and loss. `of` names what is differentiated, for the
    slopes of a single formula: with of="f" the step d_x is called df/dx, and its key is dx.
    """

    def __init__(self, walk: Walkthrough, names: str = "", of: str = "") -> None:
        self.walk, self.of = walk, of
        self.alone = walk.given.get("n") == 1  # one sample: a sum over samples is that one
        pairs = [word.partition("=") for word in names.split()]
        self.steps = {key: step for key, _, step in pairs}
        self.symbols = SYMBOLS | {step: symbol(key) for key, step in self.steps.items()}

    def __call__(self, keys: str) -> list[Entry]:
        """Return entries by their keys; one after a minus sign is shown, but not asked for."""
        return [self._entry(key.lstrip("-"), key[0] != "-") for key in keys.split()]

    def __getitem__(self, key: str) -> Any:
        return plain(self.step(key).array)

    def step(self, key: str) -> Step:
        """Return the step that a key stands for."""
        name = self.steps.get(key, key)
        return self.walk[name if name in self.walk else self._called(name)]

    def _called(self, key: str) -> str:
        """Return what a step is called whose value a document calls by this key."""
        layer, moved = re.fullmatch(r"delta(\d*)", key), re.fullmatch(r"d([A-Za-z]\w*)", key)
        if layer:
            return f"d_z{layer[1]}"
        if moved:
            return f"d_{self.steps.get(moved[1], moved[1])}"
        return "loss" if key == "L" else key

    def _entry(self, key: str, asked: bool) -> Entry:
        step = self.step(key)
        sides = tuple(map(self.typeset, (
            self._latex_name(key, step), step.latex, step.latex_numbers, step.latex_result
        )))  # fmt: skip
        return Entry(
            key if asked else "", self.word(step.name), self.words(step.formula),
            self.words(step.numbers), step.result, plain(step.array), "", sides,
        )  # fmt: skip

    def paths(self, key: str, names: str) -> list[Entry]:
        """Return the paths by which a gradient arrives, under these names."""
        pairs = zip(names.split(), self.step(key).terms, strict=True)
        return [
            Entry(
                name, self.words(t.path.replace(" ", "")).replace("→", " → "),
                self.words(t.formula), self.words(t.numbers), t.result, plain(t.product),
            )
            for name, t in pairs
        ]  # fmt: skip

    def rule(self, rule: str) -> list[Entry]:
        """Return the algebra of one rewrite, as an entry that is not asked for."""
        steps = [s for s in self.walk if s.phase == "rewrite" and s.op == rule]
        return [self._algebra(step) for step in steps]

    def _algebra(self, step: Step) -> Entry:
        left, *sides = self.words(step.formula).split(" = ")
        latex = self.typeset(step.latex).split(" = ")
        return Entry(
            "", left, " = ".join(sides), self.words(step.numbers), step.result,
            plain(step.array), "", (latex[0], " = ".join(latex[1:])),
        )  # fmt: skip

    def _latex_name(self, key: str, step: Step) -> str:
        layer = re.fullmatch(r"delta(\d+)", key)
        return rf"\delta_{{{layer[1]}}} = {step.latex_name}" if layer else step.latex_name

    def typeset(self, latex: str) -> str:
        """Return LaTeX in the document's names, as far as they are other ones."""
        renamed = {k: v for k, v in self.symbols.items() if re.fullmatch(r"[XY]|a\d", k)}
        for step, name in renamed.items():
            letter = r"\hat{y}" if name == "ŷ" else rf"\text{{{name}}}" if name[1:] else name
            there = re.escape(re.sub(r"(\d)", r"_{\1}", step))
            safe = letter.replace("\\", r"\\")
            latex = re.sub(rf"(?<![A-Za-z\\]){there}(?![A-Za-z])", safe, latex)
        return latex

    def words(self, formula: str) -> str:
        """Return a formula in the document's names."""
        named = re.sub(r"[A-Za-z_]\w*", lambda found: self.word(found[0]), formula)
        if self.alone:
            named = re.sub(r"sum\((.+), axis=(?:0|1, keepdims=True)\)", r"\1", named)
        return re.sub(r"maximum\(([^()]*), 0\)", r"ReLU(\1)", named)

    def word(self, name: str) -> str:
        if name in self.symbols:
            return self.symbols[name]
        if not name.startswith("d_"):
            return name
        if self.of:
            return f"d{self.of}/d{self.word(name[2:])}"
        layer = re.fullmatch(r"d_z(\d*)", name)
        return f"δ{layer[1]}" if layer else f"d{self.word(name[2:])}"


def draws(name: str, *args: Any, **settings: Any) -> Callable[[], Any]:
    """Return what draws a picture when it is called: matplotlib is asked for only then."""
    return partial(_draw, name, args, settings)


def _draw(name: str, args: Sequence[Any], settings: Mapping[str, Any]) -> Any:
    from pellucid import plot

    return getattr(plot, name)(*args, **settings)


def slopes(loss: Callable[[Array], float], at: Array, e: float = 1e-5) -> Array:
    """Return central differences of a function that the library computes, entry by entry."""
    found = np.empty(at.shape)
    for spot in np.ndindex(at.shape):
        step = np.zeros(at.shape)
        step[spot] = e
        found[spot] = (loss(at + step) - loss(at - step)) / (2 * e)
    return found


def differences(
    model: Sequential, X: Any, y: Any, e: float = 1e-5, counted: list[int] | None = None
) -> dict[str, Array]:
    """Return a model's slopes by parameter, from two losses for every single weight.

    `counted`, a list that gets an entry for every loss.
    """
    twin = model.copy()
    found = {}
    for name, start in model.params.items():
        kept = np.array(start)

        def loss(at: Array, name: str = name) -> float:
            twin.params[name] = at
            if counted is not None:
                counted.append(1)
            return twin.loss(X, y)

        found[name] = slopes(loss, kept, e)
        twin.params[name] = kept
    return found
