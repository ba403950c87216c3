"""L-BFGS: a quasi-Newton method, which looks along a line for the next parameters."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import ClassVar

import numpy as np

from pellucid.errors import ArgumentError
from pellucid.graph import Array
from pellucid.optim import checks
from pellucid.optim.optimizer import Arrays, Evaluate, Optimizer
from pellucid.optim.wolfe import Point, Search, strong_wolfe

CURVED = 1e-10  # a pair of changes whose product is less says nothing of the curvature
LENGTH, PAIRS, ITERATIONS, SCALE = range(4)  # what the numbers of the state `marks` are


@dataclass(frozen=True, repr=False)
class LBFGS(Optimizer):
    """Go along -H g, where H is the inverse curvature that the last changes of the gradient show.

        y = g - g_before,   s = p - p_before:      H y = s   for the last `history` pairs
        p ← p - t · H g,    with t by a line search (strong Wolfe conditions)

    All samples come at once, `fit(…, batch_size=None)`, and a step of training is up to `max_iter`
    iterations of this, each of which may look at the loss at several points; with dropout, all
    under the same mask. It runs with NumPy, not compiled.

    Args: `learning_rate`, the length t that is tried first, above 0; `max_iter` of one step, and
    `max_eval` of the loss, 5/4 as many unless said; `tolerance_grad`, at which the largest slope is
    0, and `tolerance_change`, at which nothing moves any more; `history`, how many pairs;
    `line_search`, False to always go that first length. Raises: ArgumentError for anything else,
    and for settings of other optimizers (decay, clipping, groups, accumulate, ema).
    Source: Liu & Nocedal 1989; Nocedal & Wright 2006, algorithm 7.4; as torch.optim.LBFGS with
    line_search_fn="strong_wolfe".

    >>> from pellucid import Dense, Sequential
    >>> model = Sequential([Dense(1, inputs=1)], loss="mse", optimizer=LBFGS(), dtype="float64")
    >>> model.fit([[1.0], [2.0], [3.0]], [[3.0], [5.0], [7.0]], batch_size=None, verbose=0)["loss"]
    [...]
    >>> float(model.predict([[4.0]]).round(6)[0, 0])
    9.0
    """

    learning_rate: float = 1.0
    max_iter: int = 20
    max_eval: int | None = None
    tolerance_grad: float = 1e-7
    tolerance_change: float = 1e-9
    history: int = 100
    line_search: bool = True
    whole: ClassVar[bool] = True
    aliases: ClassVar[tuple[str, ...]] = ("lbfgs", "l-bfgs")

    def check(self) -> None:
        """Check counts and tolerances, and that nothing is asked for that it cannot do."""
        checks.whole(self, "max_iter", 1)
        checks.whole(self, "history", 1)
        if self.max_eval is not None:
            checks.whole(self, "max_eval", 1)
        checks.not_negative(self, "tolerance_grad")
        checks.not_negative(self, "tolerance_change")
        for f in fields(Optimizer):
            if f.name != "learning_rate" and getattr(self, f.name) != f.default:
                raise ArgumentError(f"LBFGS takes no {f.name}", "leave it out, or use pc.Adam()")
        if self.schedule is not None:
            raise ArgumentError("LBFGS takes no schedule: it finds how far to go", "a number")

    @property
    def state(self) -> tuple[str, ...]:
        """Its last direction and gradient, the pairs of changes with 1 / (y · s), and counts."""
        return ("direction", "gradient", "changes", "moves", "curvatures", "marks")

    def size_of(self, state: str, parameters: int) -> int:
        """Return how many numbers a state has."""
        sizes = {"changes": self.history * parameters, "moves": self.history * parameters}
        return {**sizes, "curvatures": self.history, "marks": 4}.get(state, parameters)

    def minimize(self, evaluate: Evaluate, params: Array, state: Arrays, rate: float) -> Array:
        """Take one step of training, in place; return the gradient where it began."""
        loss, first = evaluate(params)
        here, looked = Point(0.0, loss, first, 0.0), 1
        for k in range(self.max_iter if _largest(first) > self.tolerance_grad else 0):
            d, t = self._direction(here.gradient, state), self._length(here.gradient, state, rate)
            state["marks"][LENGTH] = t
            slope = float(here.gradient @ d)
            if not slope <= -self.tolerance_change:
                break
            line = _Line(evaluate, params, d)
            start = Point(0.0, here.loss, here.gradient, slope)
            most = self._allowed - looked if self.line_search else int(k + 1 < self.max_iter)
            there = self._along(line, start, t, most)
            state["marks"][LENGTH] = there.t
            params += there.t * d
            looked += line.looked
            if looked >= self._allowed or self._arrived(here, there, d):
                break
            here = there
        return first

    @property
    def _allowed(self) -> int:
        return self.max_eval or self.max_iter * 5 // 4

    def _length(self, g: Array, state: Arrays, rate: float) -> float:
        """Return the length that is tried first: at the very start, no further than g is long."""
        if state["marks"][ITERATIONS] > 1:
            return rate
        return min(1.0, 1.0 / float(np.abs(g).sum())) * rate

    def _along(self, line: _Line, start: Point, first: float, most: int) -> Point:
        """Return where to go on a line, looking at no more than so many points of it."""
        if self.line_search:
            search = Search(line.at, start, most, _largest(line.d), self.tolerance_change)
            return strong_wolfe(search, first)
        return line.at(first) if most else Point(first, start.loss, start.gradient, start.slope)

    def _arrived(self, here: Point, there: Point, d: Array) -> bool:
        """Say whether the gradient is 0, or there is no progress any more."""
        return bool(
            _largest(there.gradient) <= self.tolerance_grad
            or _largest(d * there.t) <= self.tolerance_change
            or abs(there.loss - here.loss) < self.tolerance_change
        )

    def _direction(self, g: Array, state: Arrays) -> Array:
        """Return -H g, and keep it with g for the next iteration."""
        marks = state["marks"]
        if marks[ITERATIONS]:
            self._remember(g, state)
        marks[ITERATIONS] += 1
        state["direction"][...] = self._curved(g, state) if marks[ITERATIONS] > 1 else -g
        state["gradient"][...] = g
        return state["direction"].copy()

    def _remember(self, g: Array, state: Arrays) -> None:
        """Take in how the gradient changed by the last move, where that shows a curvature."""
        marks = state["marks"]
        y, s = g - state["gradient"], state["direction"] * marks[LENGTH]
        product = y @ s
        if product > CURVED:
            row = int(marks[PAIRS]) % self.history
            self._rows(state["changes"])[row], self._rows(state["moves"])[row] = y, s
            state["curvatures"][row] = 1.0 / product
            marks[PAIRS] += 1
            marks[SCALE] = product / (y @ y)

    def _rows(self, pairs: Array) -> Array:
        return pairs.reshape(self.history, -1)

    def _curved(self, g: Array, state: Arrays) -> Array:
        """Return -H g by the two loops over the pairs: from the last one back, and forth again."""
        changes, moves = self._rows(state["changes"]), self._rows(state["moves"])
        stored, q, shares = int(state["marks"][PAIRS]), -g, dict[int, float]()
        rows = [k % self.history for k in range(max(0, stored - self.history), stored)]
        for k in reversed(rows):
            shares[k] = (moves[k] @ q) * state["curvatures"][k]
            q -= shares[k] * changes[k]
        r = q * state["marks"][SCALE] if stored else q
        for k in rows:
            r += (shares[k] - (changes[k] @ r) * state["curvatures"][k]) * moves[k]
        return r


class _Line:
    """The loss along a direction, from where the parameters stand."""

    def __init__(self, evaluate: Evaluate, params: Array, d: Array) -> None:
        self.evaluate, self.params, self.d = evaluate, params, d
        self.looked = 0  # at so many points

    def at(self, t: float) -> Point:
        """Look at one point."""
        self.looked += 1
        loss, g = self.evaluate(self.params + t * self.d)
        return Point(t, loss, g, float(g @ self.d))


def _largest(x: Array) -> float:
    return float(np.abs(x).max(initial=0.0))
