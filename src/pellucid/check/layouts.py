"""Rows or columns: how a learner's arrays lie, there and back.

Layout    where samples, weights, biases and targets stand; `.hand_out` and `.take_back`
guesses   the layouts to try, likeliest first
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pellucid.graph import Array


@dataclass(frozen=True)
class Layout:
    """How arrays are to be turned for a student.

    `columns`: samples are columns of X; `turned`: W is (units, inputs); `bias` and `target` say
    which shape these have; `single`: one sample, without an axis for it.
    """

    columns: bool = False
    turned: bool = False
    bias: str = "flat"  # flat (k,) | row (1, k) | column (k, 1)
    target: str = "given"  # given | rows (n, k) | flat (n,) | labels
    single: bool = False

    def __str__(self) -> str:
        return "columns" if self.columns else "rows"

    def samples(self, X: Array) -> Array:
        """Return samples as the student takes them: a copy."""
        if self.single:
            return np.array(X[0])
        return np.array(X.T if self.columns else X, order="C")

    def targets(self, y: Array, given: Array) -> Array:
        """Return targets, from rows (n, k) and from what the caller gave."""
        if self.target == "labels":
            return np.array(y.argmax(axis=1))
        if self.single:
            return np.array(y[0])
        if self.target == "flat":
            return np.array(y.ravel())
        if self.target == "given" and (not self.columns or given.ndim != y.ndim):
            return np.array(given[None] if self.columns and given.ndim == 1 else given)
        return np.array(y.T if self.columns else y, order="C")

    def weight(self, W: Array) -> Array:
        return np.array(W.T if self.turned else W, order="C")

    def bias_of(self, b: Array) -> Array:
        shape = {"flat": (-1,), "row": (1, -1), "column": (-1, 1)}[self.bias]
        return np.array(b.reshape(shape))

    def hand_out(self, params: Mapping[str, Array]) -> dict[str, Array]:
        """Return the parameters as the student has them: copies."""
        return {k: self.weight(v) if k[0] == "W" else self.bias_of(v) for k, v in params.items()}

    def take_back(self, name: str, array: Any, shape: tuple[int, ...]) -> Array:
        """Return a gradient as the model has it; of another shape, where it is wrong."""
        found = np.array(array, dtype=float)  # a student may go on adding to its own
        if name[0] == "W":
            return _turned_back(found, shape, self.turned)
        if found.size == int(np.prod(shape)) and max(found.shape, default=1) == found.size:
            return found.reshape(shape)
        return found.T if self.columns else found


def _turned_back(found: Array, shape: tuple[int, ...], turned: bool) -> Array:
    if found.size == 1 or (found.ndim < 2 and found.size == int(np.prod(shape))):
        return found.reshape(shape) if found.size == int(np.prod(shape)) else found
    return found.T if turned else found


TARGETS = ("given", "rows", "flat", "labels")


def guesses(
    layout: str | None, turned: bool | None, bias: str | None, n: int, labels: bool
) -> Iterator[Layout]:
    """Yield layouts, likeliest first; what is known of the student's own arrays is kept."""
    pairs = [(False, False), (True, True), (False, True), (True, False)]
    singles = [(s, t) for s in ((False, True) if n == 1 else (False,)) for t in (False, True)]
    wanted = None if layout is None else layout == "columns"
    for target in TARGETS if labels else TARGETS[:3]:
        for columns, turn in pairs:
            if wanted in (None, columns) and turned in (None, turn):
                for shape in _biases(columns, bias):
                    yield Layout(columns, turn, shape, target)
    for single, turn in singles:
        if single and turned in (None, turn):
            yield Layout(turn, turn, bias or "flat", "given", True)


def _biases(columns: bool, known: str | None) -> tuple[str, ...]:
    return (known,) if known else ("column", "flat") if columns else ("flat", "row")
