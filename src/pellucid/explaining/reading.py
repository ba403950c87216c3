"""From a script and arrays to the steps of a walkthrough: every line with its numbers."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import numpy as np

from pellucid.explaining.rewrites import Told
from pellucid.explaining.script import Line, Path, Script
from pellucid.explaining.walkthrough import PHASES, Step, Term
from pellucid.explaining.windows import Filled, Numbers, Values, View, Window, filled
from pellucid.graph import Array, Node, evaluate
from pellucid.show.formula import latex_name

HIDDEN = "where a choice hides a value its slope is 0, whatever the formula gives there"
JACOBIAN = 4096  # entries of a matrix of slopes that is still written out


class Reader:
    """Puts the numbers of one call into a script."""

    def __init__(self, script: Script, values: Values, view: View) -> None:
        self.script, self.values, self.view = script, values, view
        for leaf, node in script.leaves.items():
            values.known[leaf] = values[node]
            if node in values.fed:
                values.fed.add(leaf)
        self.numbers = Numbers(script.names, values, view, script.of, script.texts)

    def steps(self) -> tuple[Step, ...]:
        """Return all steps: forward, loss, rewrites, backward, update."""
        found = [self.step(line) for line in self.script.lines]
        found += [self.equation(k + 1, told) for k, told in enumerate(self.script.rewrites)]
        return tuple(sorted(found, key=lambda step: PHASES.index(step.phase)))

    def step(self, line: Line) -> Step:
        """Return one line with its numbers."""
        spelled = (
            line.phase != "backward" and self.script.names.get(line.node, line.name) == line.name
        )
        done = filled(self.numbers, line.node, spelled, whole=line.whole)
        array = self._turned(line.whole)
        hidden = line.paths and self._hidden(line.node, line.whole).any()
        return Step(
            name=line.name, phase=line.phase, says=line.says,
            formula=line.formula.python, latex=line.formula.latex, numbers=done.numbers,
            result=done.result.text, array=array, shape=array.shape, op=line.op,
            inputs=line.formula.names, terms=tuple(self.term(p, line, done) for p in line.paths),
            shown=done.window, note=HIDDEN if hidden else done.note,
            latex_name=latex_name(line.name, self.script.of),
            latex_numbers=done.latex, latex_result=done.result.latex,
        )  # fmt: skip

    def equation(self, k: int, told: Told) -> Step:
        """Return a rewrite, with the numbers of its last side."""
        writer = Numbers(told.names, self.values, self.view, self.script.of, told.texts)
        done = filled(writer, told.node)
        array = self._turned(told.node)
        names = dict.fromkeys(name for side in told.sides for name in side.names)
        return Step(
            name=f"rewrite_{k}", phase="rewrite", says=told.says,
            formula=" = ".join(side.python for side in told.sides),
            latex=" = ".join(side.latex for side in told.sides), numbers=done.numbers,
            result=done.result.text, array=array, shape=array.shape, op=told.rule,
            inputs=tuple(names), shown=done.window, note=done.note,
            latex_name=rf"\text{{rewrite {k}}}", latex_numbers=done.latex,
            latex_result=done.result.latex,
        )  # fmt: skip

    def broken(self, given: Mapping[str, Array]) -> list[str]:
        """Say where the first NaN or infinity came from, if there is any."""
        arrays = ((line, self.values.array(line.whole)) for line in self.script.lines)
        lost = ((line, a) for line, a in arrays if a.dtype.kind == "f" and not np.isfinite(a).all())
        line, first = next(lost, (None, None))
        if line is None or first is None:  # what is missing in the data may have been filled
            return []
        for name, array in given.items():
            if not np.isfinite(array).all():
                return [f"{name} is given with {_what(array)}: what follows from it has that, too."]
        return [f"{line.name} is the first with {_what(first)}, from finite numbers: "
                f"{line.formula.python}."]  # fmt: skip

    def _turned(self, node: Node) -> Array:
        array = self.values.array(node)
        per_sample = node.ndim == 1 and self.view.is_batch(node.shape[0])
        return self.view.turned(array, per_sample)

    def one(self, line: Line, window: Window) -> tuple[str, str]:
        """Return a formula's numbers and its result for one part of an array, without brackets."""
        done = filled(self.numbers, line.node, window=window)
        numbers, result = (
            re.sub(r"\[+([^][,]+)\]+", r"\1", x) for x in (done.numbers, done.result.text)
        )
        return numbers, result

    def term(self, path: Path, line: Line, whole: Filled) -> Term:
        """Return one path with its numbers."""
        alone = path.product is line.node and path.product is line.whole
        done = whole if alone else filled(self.numbers, path.product, spelled_out=False)
        product = self._turned(path.product)
        hidden = self.view.turned(self._hidden(path.product, line.whole))
        if hidden.any():
            product = np.where(hidden, 0, product)
        upstream = np.ones(()) if path.upstream is None else self._turned(path.upstream)
        return Term(
            path=path.label, local=self._local(path), upstream=upstream,
            product=product, formula=path.formula.python,
            latex=path.formula.latex, numbers=done.numbers, result=done.result.text,
        )  # fmt: skip

    def _hidden(self, node: Node, whole: Node) -> Array:
        """Return where the formula alone is 0 · ∞, and a choice has made the slope 0."""
        return np.isnan(self.values.array(node)) & ~np.isnan(self.values.array(whole))

    def _local(self, path: Path) -> Array:
        if path.local is not None:
            return self._turned(path.local)
        size = math.prod(self.values.array(path.reader).shape)
        small = size * self.values.array(path.product).size <= JACOBIAN
        if not small:
            return np.empty(0)
        slopes = self._slopes(path)
        return slopes.transpose(1, 0, 3, 2) if self.view.columns and slopes.ndim == 4 else slopes

    def _slopes(self, path: Path) -> Array:
        """Return the slope of every entry of the reader in every entry of the value."""
        seed, shape = path.upstream, self.values.array(path.reader).shape
        assert seed is not None
        known = {x: v for x, v in self.values.known.items() if x.op is None}
        rows = []
        for spot in np.ndindex(*shape):
            basis = np.zeros(shape)
            basis[spot] = 1
            rows.append(evaluate([path.product], {**known, seed: basis}, self.values.sizes)[0])
        return np.reshape(rows, (*shape, *np.shape(rows[0])))


def _what(array: Array) -> str:
    return "NaN" if np.isnan(array).any() else "an infinity"
