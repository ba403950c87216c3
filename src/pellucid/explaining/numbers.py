"""Numbers for reading: rounded so that an exact one is short, and a rounded one looks it.

shown(array, digits)  its text, as Python and as LaTeX, and the numbers that the text says
evaluate(text)        the value of a formula in numbers, from that text alone
"""

from __future__ import annotations

import ast
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from pellucid import text
from pellucid.graph import Array
from pellucid.op import HELPERS, scope

DIGITS = 4
EXACT = 1e-14  # relative: a sum of a few decimals may miss its decimal by some units in the last


@dataclass(frozen=True, eq=False)
class Shown:
    """An array as a reader sees it."""

    text: str
    latex: str
    array: Array  # what the text says
    unit: float  # of the last digit shown
    style: str = ""  # how each entry is written

    def restated(self, array: Array) -> str:
        """Return the text of other numbers, written like these."""
        if not self.style:
            return str(array.tolist())
        words = [_word(float(x), self.style) for x in array.ravel().tolist()]
        return _nested(np.array(words, dtype=object).reshape(array.shape).tolist())


def shown(value: Any, digits: int = DIGITS, exact: float = EXACT) -> Shown:
    """Round an array for reading: `digits` decimals, fewer where those are exact.

    >>> shown(0.1 + 0.2).text, shown([2 / 3, 0.5]).text, shown(0.25**10).text
    ('0.3', '[0.6667, 0.5000]', '9.537e-07')
    """
    array = np.asarray(value)
    if array.dtype.kind != "f":
        return Shown(str(array.tolist()), _latex(array.astype(str)), array, 0.0)
    flat: list[float] = array.ravel().tolist()
    style, unit = _style(flat, digits, exact)
    words = [_word(x, style) for x in flat]
    said = np.array([float(word) for word in words]).reshape(array.shape)
    strings = np.array(words, dtype=object).reshape(array.shape)
    return Shown(_nested(strings.tolist()), _latex(strings), said, unit, style)


def _style(numbers: list[float], digits: int, exact: float) -> tuple[str, float]:
    """Return how to write each entry, and the unit of the last digit."""
    sizes = [abs(x) for x in numbers if x - x == 0]
    top = max(sizes, default=0.0)
    if top == 0:
        return ".0f", 0.0
    power = math.floor(math.log10(top))
    for k in range(digits + 1):
        if top < 1e6 and all(abs(round(x, k) - x) <= exact * x for x in sizes):
            return f".{k}f", 10.0**-k * 1e-9
    if power >= 6 or power < -5:
        return f".{digits - 1}e", 10.0 ** (power - digits + 1)
    places = max(digits, digits - 2 - power)
    return f".{places}f", 10.0**-places


def _word(x: float, style: str) -> str:
    if x == 0:
        return "0"  # exactly; what is only rounded to it looks so: 0.0000
    word = format(x, style)
    if math.isinf(float(word)) and not math.isinf(x):
        return repr(x)  # rounded up, it would be beyond the largest number
    return word[1:] if word[0] == "-" and float(word) == 0 else word


def _nested(strings: Any) -> str:
    if isinstance(strings, list):
        return f"[{', '.join(map(_nested, strings))}]"
    return str(strings)


def _latex(strings: Array) -> str:
    """Return a matrix; a single number as such, a stack of matrices in brackets."""
    if strings.size == 1:
        return _latex_number(str(strings.item()))
    if strings.ndim > 2:
        return rf"\left[{', '.join(_latex(part) for part in strings)}\right]"
    rows = [" & ".join(_latex_number(str(x)) for x in row) for row in np.atleast_2d(strings)]
    return r"\begin{bmatrix} " + r" \\ ".join(rows) + r" \end{bmatrix}"


def _latex_number(word: str) -> str:
    if word in ("inf", "-inf"):
        return word.replace("inf", r"\infty")
    if word in ("nan", "True", "False"):
        return rf"\text{{{word}}}"
    mantissa, _, power = word.partition("e")
    return rf"{mantissa} \cdot 10^{{{int(power)}}}" if power else word


def evaluate(formula: str) -> Any:
    """Return the value of a formula in numbers, as a step's `numbers` has it.

    Lists are arrays; functions are NumPy's, or those that printed programs define.

    >>> evaluate("[[1, 2]] @ [[0.5], [0.25]] + [0.1]")
    array([[1.1]])
    """
    tree = ast.parse(formula, mode="eval")
    names = {"np": np, **scope(set(text.names(tree)) & HELPERS.keys())}
    for word in set(text.names(tree)) - names.keys():
        names[word] = slice if word == "slice" else getattr(np, word)
    fixed = ast.fix_missing_locations(_Arrays().visit(tree))
    with np.errstate(all="ignore"):
        return eval(compile(fixed, "<numbers>", "eval"), names)


class _Arrays(ast.NodeTransformer):
    """Make arrays of lists; a list of several arrays, which `concatenate` takes, stays one."""

    def visit_List(self, node: ast.List) -> ast.expr:
        if _extent(node) is None:
            return ast.List([self.visit(x) for x in node.elts], ast.Load())
        return ast.Call(text.parsed("np.array"), [node], [])

    def visit_Call(self, node: ast.Call) -> ast.Call:
        """Give functions of ours NumPy's numbers, which have a dtype."""
        args = [self.visit(x) for x in node.args]
        if isinstance(node.func, ast.Name) and node.func.id in HELPERS:
            args = [_as_numpy(x) for x in args]
        return ast.Call(self.visit(node.func), args, [self.visit(k) for k in node.keywords])

    def visit_BinOp(self, node: ast.BinOp) -> ast.BinOp:
        """Compute as NumPy does, where Python would raise: 1 / 0."""
        left, right = (self.visit(x) for x in (node.left, node.right))
        return ast.BinOp(_as_numpy(left), node.op, _as_numpy(right))


def _extent(tree: ast.expr) -> tuple[int, ...] | None:
    """Return the shape of an array that is written out; None for what is not one array."""
    if not isinstance(tree, ast.List):
        return () if isinstance(tree, (ast.Constant, ast.UnaryOp, ast.Name)) else None
    parts = {_extent(x) for x in tree.elts}
    first = next(iter(parts), ())
    return None if len(parts) > 1 or first is None else (len(tree.elts), *first)


def _as_numpy(tree: Any) -> Any:
    if isinstance(tree, ast.Constant) and isinstance(tree.value, (int, float)):
        return ast.Call(text.parsed("np.float64"), [tree], [])
    return tree
