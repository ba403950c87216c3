"""Formulas with numbers in place: whole arrays where they are small, a part and the rest else.

Values   the array of every node, computed when first asked for
Numbers  formulas with the numbers of one part of an array in place; what they say is true: what
         is not shown of a sum comes as one number, the rest
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pellucid import dims, text
from pellucid.explaining.numbers import DIGITS, EXACT, Shown, shown
from pellucid.graph import Array, Node, computed, order, symbolic
from pellucid.nn.network import BATCH
from pellucid.op import Attrs, Op, compiled
from pellucid.ops.core import axes_of
from pellucid.show.formula import (
    CLOSED,
    Part,
    Symbols,
    axisless,
    copied,
    fixed,
    is_product,
    spelled,
)

Window = tuple[slice, ...]
WHOLE = 24  # entries of an array that is shown whole
ROWS, COLUMNS, INNER = 2, 3, 6  # of a larger one; terms of a sum that are all shown
BETWEEN = 12  # entries of a row that is shown whole
SUM = symbolic("a", ()) + symbolic("b", ())


class Values:
    """The array of every node, from those of the leaves."""

    def __init__(self, feed: Mapping[Node, Any], sizes: Mapping[str, int]) -> None:
        self.known, self.sizes, self.fed = dict(feed), sizes, set(feed)

    def __getitem__(self, node: Node) -> Any:
        if node not in self.known:
            with np.errstate(all="ignore"):
                for below in order([node], stop=self.known):
                    if below not in self.known:
                        self.known[below] = computed(below, self.known, self.sizes)
        return self.known[node]

    def array(self, node: Node) -> Array:
        return np.asarray(self[node])


@dataclass(frozen=True)
class View:
    """What to show: how much of a batch, how many digits, turned which way."""

    count: int = 1  # samples
    sample: int = 0
    whole: bool = True  # whether all samples are shown
    digits: int = DIGITS
    columns: bool = False
    exact: float = EXACT  # how near a decimal must be to what is given to be taken for it

    def window(self, shape: dims.Shape, actual: tuple[int, ...]) -> Window:
        """Return the part of an array that is shown."""
        batch = [self.is_batch(s) for s in shape]
        if all(not is_batch or self.whole for is_batch in batch) and np.prod(actual) <= WHOLE:
            return everything(actual)
        last = len(actual) - 1
        return tuple(
            self.samples(size) if of_batch else _first(size, k == last)
            for k, (of_batch, size) in enumerate(zip(batch, actual, strict=True))
        )

    def is_batch(self, size: dims.Size) -> bool:
        return isinstance(size, dims.Dim) and size == BATCH

    def samples(self, size: int) -> slice:
        return slice(0, size) if self.whole else slice(self.sample, self.sample + 1)

    def turned_window(
        self, window: Window, actual: tuple[int, ...], per_sample: bool
    ) -> tuple[Window, tuple[int, ...]]:
        """Return a window, and the shape that it is of, as the notation has them."""
        if not self.columns or len(actual) not in (1, 2):
            return window, actual
        one = slice(0, 1)
        if len(actual) == 1:
            return ((one, *window), (1, *actual)) if per_sample else ((*window, one), (*actual, 1))
        return window[::-1], actual[::-1]

    def turned(self, array: Array, per_sample: bool = False) -> Array:
        """Return an array as the notation has it: in columns, a vector is one, too."""
        if not self.columns or array.ndim not in (1, 2):
            return array
        return array[None, :] if array.ndim == 1 and per_sample else np.atleast_2d(array).T


def everything(actual: Sequence[int]) -> Window:
    return tuple(slice(0, size) for size in actual)


def _first(size: int, last: bool) -> slice:
    return slice(0, size if last and size <= BETWEEN else min(size, COLUMNS if last else ROWS))


def told(window: Window, actual: Sequence[int]) -> str:
    """Return a window as an index, "" where it is everything.

    >>> told((slice(0, 2), slice(0, 3)), (2, 5))
    '[0:2, 0:3]'
    """
    if window == everything(actual):
        return ""
    return f"[{', '.join(f'{w.start}:{w.stop}' for w in window)}]"


class Numbers(Symbols):
    """Formulas with numbers in place, for the part of an array that is shown."""

    def __init__(
        self,
        names: Mapping[Node, str],
        values: Values,
        view: View,
        of: str = "L",
        lines: dict[Any, str] | None = None,
    ) -> None:
        self.names, self.columns, self.target = names, view.columns, of
        self.values, self.view, self.digits = values, view, view.digits
        self.root: Node | None = None
        self.literals: dict[str, str] = {}
        self.read: dict[Any, Shown] = {}  # what was rounded before
        # texts with places for the numbers: they depend on shapes only, so calls share them
        self.lines = {} if lines is None else lines
        self.line: str | None = None

    def at(self, root: Node, window: Window, digits: int, spelled_out: bool) -> Part:
        """Return the formula of a node, its operands rounded to so many digits."""
        if copied(root) and root not in self.names:
            root, window = root.args[0], ()
        self.root = root if spelled_out else None
        self.digits, self.literals = digits, {}
        bounds = tuple((w.start, w.stop) for w in window)
        key = (root, spelled_out, bounds, self.view.whole, self.view.sample, self.view.count)
        self.line = self.lines.get(key)
        part = self.part(root, window)
        if self.line is None:
            self.line = self.lines[key] = part.python
        return part

    def spelled(self) -> str:
        """Return the text of the last formula."""
        assert self.line is not None
        return spelled(self.line, self.literals)

    def tree(self, op: Op, attrs: Attrs, operands: Sequence[Any]) -> Any:
        """Return the formula as a tree, unless its text is known."""
        return None if self.line is not None else Symbols.tree(self, op, attrs, operands)

    def part(self, node: Node, window: Window) -> Part:
        if node in self.names and (node is not self.root or node.op is None):
            return self.literal(node, window)
        if node.op is None:
            constant = node.is_constant and not node.ndim
            return fixed(node) if constant else self.literal(node, window)
        if self.columns and (spelled := axisless(node)) is not None:
            return self.part(spelled, window)
        found = KINDS.get(node.op.kind, Numbers.literal)(self, node, window)
        return found or self.literal(node, window)

    def literal(self, node: Node, window: Window) -> Part:
        """Return the node's own numbers."""
        key = (node, self.digits, *((w.start, w.stop) for w in window))
        if key not in self.read:
            array = self.values.array(node)[window]
            per_sample = node.ndim == 1 and self.view.is_batch(node.shape[0])
            exact = self.view.exact if node in self.values.fed else EXACT
            self.read[key] = shown(self.view.turned(array, per_sample), self.digits, exact)
        return self.placed(self.read[key])

    def rounded(self, array: Array) -> Shown:
        return shown(array, self.digits)

    def placed(self, said: Shown) -> Part:
        """Put rounded numbers into the formula, by a name that stands for them."""
        key = f"_{len(self.literals)}_"
        self.literals[key] = said.text
        sign = said.latex[0] == "-"
        return Part(text.name(key), said.latex, 1 if sign else CLOSED, said.array)

    def combined(self, node: Node, parts: Sequence[Part]) -> Part:
        """Return the op on parts, and what the numbers shown make of it."""
        part = self.joined(node, parts)
        return Part(part.tree, part.latex, part.level, self._value(node, parts))

    def _value(self, node: Node, parts: Sequence[Part]) -> Any:
        assert node.op is not None
        attrs, parts = self.arranged(node, parts)
        with np.errstate(all="ignore"):
            return compiled(node.op, attrs, len(parts))(*[np.asarray(p.value) for p in parts])

    # -- one method for each kind of op ----------------------------------------------------------

    def map(self, node: Node, window: Window) -> Part:
        args = [self.plain(node, x) for x in node.args]
        return self.combined(node, [self.part(x, self._stretched(x, window)) for x in args])

    def _stretched(self, arg: Node, window: Window) -> Window:
        """Return what an elementwise op reads of an operand that may be stretched."""
        actual = self.values.array(arg).shape
        own = window[len(window) - len(actual) :]
        return tuple(slice(0, 1) if s == 1 else w for s, w in zip(actual, own, strict=True))

    def size(self, node: Node, window: Window) -> Part:
        size = int(self.values[node])
        return Part(text.literal(size), str(size), value=size)

    def product(self, node: Node, window: Window) -> Part | None:
        """A product of matrices: all terms of its sums, or some and the rest of them."""
        if not is_product(node) or any(x.ndim != 2 for x in node.args):
            return None
        x, y = node.args
        count = self.values.array(x).shape[1]
        inner = slice(0, count if count <= INNER else COLUMNS)
        if self.view.is_batch(x.shape[1]):
            inner = self.view.samples(count)
        at = (window[0], inner), (inner, window[1])
        part = self.combined(node, [self.part(x, at[0]), self.part(y, at[1])])
        if inner == slice(0, count):
            return part
        said = self.values.array(x)[at[0]] @ self.values.array(y)[at[1]]
        return self.plus_rest(part, self.values.array(node)[window] - said)

    def plus_rest(self, part: Part, rest: Array) -> Part:
        """Add what is not shown of a sum."""
        return self.combined(
            SUM, [part, self.placed(self.rounded(self.view.turned(np.asarray(rest))))]
        )

    def reduced(self, node: Node, window: Window) -> Part | None:
        arg = node.args[0]
        full = self._over(node, arg, window)
        if full is None:
            return None
        if self._size(arg, full) <= WHOLE and self._all_samples(arg, node):
            return self.combined(node, [self.part(x, full) for x in node.args])
        assert node.op is not None
        if node.op.monoid and node.op.monoid[0] == 0.0 and len(node.args) == 1:
            return self._partly(node, window, full)
        if node.op.same_as and node.op.shape(*(x.shape for x in node.args), **node.settings) == ():
            smaller = node.op.same_as(*node.args, **node.settings)
            return self.part(smaller, window)
        return None

    def _size(self, arg: Node, window: Window) -> int:
        return self.values.array(arg)[window].size

    def _all_samples(self, arg: Node, node: Node) -> bool:
        """Whether a sum over samples may show them all."""
        gone = any(self.view.is_batch(s) for s in arg.shape) and not any(
            self.view.is_batch(s) for s in node.shape
        )
        return self.view.whole or not gone

    def _over(self, node: Node, arg: Node, window: Window) -> Window | None:
        """Return what of its operand a reduction reads for a part of its result."""
        actual = self.values.array(arg).shape
        settings = node.settings
        axis = settings.get("axis", -1)
        gone = axes_of(axis, len(actual))
        if node.ndim == len(actual):  # kept as 1, or not reduced at all, as in a softmax
            return (
                tuple(
                    slice(0, s) if k in gone else w
                    for k, (s, w) in enumerate(zip(actual, window, strict=True))
                )
                if self._covers(node, gone, window)
                else None
            )
        kept = iter(window)
        return tuple(slice(0, s) if k in gone else next(kept) for k, s in enumerate(actual))

    def _covers(self, node: Node, gone: Sequence[int], window: Window) -> bool:
        """Whether a window has all along these axes."""
        actual = self.values.array(node).shape
        return all(window[k] == slice(0, actual[k]) for k in gone)

    def _partly(self, node: Node, window: Window, full: Window) -> Part:
        """Write a sum as a few of its terms and the rest."""
        arg = node.args[0]
        gone = axes_of(node.settings["axis"], arg.ndim)
        some = tuple(
            (
                self.view.samples(w.stop)
                if self.view.is_batch(arg.shape[k])
                else _first(w.stop, True)
            )
            if k in gone
            else w
            for k, w in enumerate(full)
        )
        part = self.combined(node, [self.part(arg, some)])
        said = np.sum(
            self.values.array(arg)[some],
            axis=node.settings["axis"],
            keepdims=bool(node.settings["keepdims"]),
        )
        rest = self.values.array(node)[window] - said
        return part if some == full else self.plus_rest(part, rest)


Maker = Callable[[Numbers, Node, Window], "Part | None"]
KINDS: dict[str, Maker] = {
    "map": Numbers.map,
    "dim": Numbers.size,
    "contract": Numbers.product,
    "reduce": Numbers.reduced,
}


@dataclass(frozen=True, eq=False)
class Filled:
    """One formula with its numbers, the result, and a note where they differ."""

    numbers: str
    latex: str
    result: Shown
    window: str
    note: str


def filled(
    writer: Numbers,
    node: Node,
    spelled_out: bool = True,
    window: Window | None = None,
    whole: Node | None = None,
) -> Filled:
    """Put numbers in place, with as many digits as it takes for them to give the result.

    The result is that of `whole`, where the node is only its formula.
    """
    whole, view = node if whole is None else whole, writer.view
    array = writer.values.array(whole)
    window = view.window(node.shape, array.shape) if window is None else window
    per_sample = node.ndim == 1 and view.is_batch(node.shape[0])
    result = shown(view.turned(array[window], per_sample), view.digits)
    for more in (0, 2, 4, 8, 12):
        part = writer.at(node, window, view.digits + more, spelled_out)
        agrees = _agrees(part.value, result)
        if agrees:
            break
    place = told(*view.turned_window(window, array.shape, per_sample))
    note = _note(part.value, result, agrees)
    return Filled(writer.spelled(), part.latex, result, place, note)


def _agrees(value: Any, result: Shown) -> bool:
    if result.array.dtype.kind != "f":
        return bool(np.array_equal(np.broadcast_to(value, result.array.shape), result.array))
    with np.errstate(all="ignore"):
        off = np.abs(np.asarray(value, float) - result.array)
    return not bool(np.any(off > 1.001 * max(result.unit, 1e-9 * _top(result.array))))


def _top(array: Array) -> float:
    sizes = np.abs(array[np.isfinite(array)])
    return float(sizes.max()) if sizes.size else 0.0


def _note(value: Any, result: Shown, agrees: bool) -> str:
    """Say what the numbers shown give, where that has another last digit than the true result."""
    said = result.restated(np.broadcast_to(np.asarray(value), result.array.shape))
    why = "" if agrees else "so few digits do not give it, for rounding is magnified here; "
    return "" if said == result.text else f"{why}from the rounded numbers shown: {said}"
