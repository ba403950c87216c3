"""The graph as formulas: Python text and LaTeX, in symbols or with numbers in place.

Symbols(names).write(node)  the formula of a node in the names of others below it
latex_name(name)            W1 → W_1,  d_z1 → ∂L/∂z_1
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from typing import Any

from pellucid import text
from pellucid.errors import ArgumentError
from pellucid.graph import Node, order
from pellucid.op import HELPERS, Attrs, Op, expression

CLOSED = 9  # what needs no brackets anywhere


@dataclass(frozen=True, eq=False)
class Part:
    """A piece of a formula: its Python, its LaTeX and how tightly that binds, and its value."""

    tree: Any
    latex: str
    level: int = CLOSED
    value: Any = None

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names that it reads, as they come; functions left out."""
        called = {id(x.func) for x in ast.walk(self.tree) if isinstance(x, ast.Call)}
        read = {
            x.id for x in ast.walk(self.tree) if isinstance(x, ast.Name) and id(x) not in called
        }
        return tuple(w for w in dict.fromkeys(re.findall(r"[^\W\d]\w*", self.python)) if w in read)

    @cached_property
    def python(self) -> str:
        """The Python text, with NumPy's functions by their bare names."""
        return re.sub(r"\bnp\.(?=\w)", "", text.unparse(self.tree))


class Symbols:
    """Formulas in symbols: named nodes stand for themselves, what is between them is written.

    With `columns`, samples are columns: every matrix is transposed, so x W is written W x.
    """

    def __init__(self, names: Mapping[Node, str], columns: bool = False, of: str = "L") -> None:
        self.names, self.columns, self.target = names, columns, of
        self.root: Node | None = None

    def of(self, root: Node, spelled_out: bool = True) -> Part:
        """Return the formula of one node; where it has a name, what that stands for."""
        root = root.args[0] if copied(root) and root not in self.names else root
        self.root = root if spelled_out else None
        return self.write(root)

    def write(self, node: Node) -> Part:
        """Return a node's name, or its formula where it has none."""
        if node in self.names and (node is not self.root or node.op is None):
            return self.named(self.names[node])
        if node.op is None:
            return self.named(node.name) if node.name else fixed(node)
        if self.columns and (spelled := axisless(node)) is not None:
            return self.write(spelled)
        return self.joined(node, [self.write(self.plain(node, arg)) for arg in node.args])

    def plain(self, node: Node, arg: Node) -> Node:
        """Return an operand without the copies that arithmetic makes by itself."""
        loose = node.op is not None and node.op.kind == "map" and arg not in self.names
        return arg.args[0] if loose and copied(arg) else arg

    def named(self, name: str) -> Part:
        return Part(text.name(name), latex_name(name, self.target))

    def joined(self, node: Node, parts: Sequence[Part]) -> Part:
        """Return the formula of an op on its operands' formulas."""
        assert node.op is not None
        attrs, parts = self.arranged(node, parts)
        tree = self.tree(node.op, attrs, [p.tree for p in parts])
        return Part(tree, _latex(node.op, attrs, parts), node.op.level)

    def tree(self, op: Op, attrs: Attrs, operands: Sequence[Any]) -> Any:
        """Return an op on its operands; a function of several forms by its common name."""
        tree = expression(op, attrs, operands)
        known = op.helper and op.name in HELPERS and isinstance(tree, ast.Call)
        return ast.Call(text.name(op.name), tree.args, tree.keywords) if known else tree

    def arranged(self, node: Node, parts: Sequence[Part]) -> tuple[Attrs, Sequence[Part]]:
        """Return an op's settings and operands as the notation has them."""
        if not self.columns:
            return node.attrs, parts
        return _turned(node), parts[::-1] if is_product(node) else parts


def copied(node: Node) -> bool:
    """Whether a node is a single number copied, which formulas write as that number."""
    return node.op is not None and node.op.kind == "view" and node.args[0].ndim == 0


def axisless(node: Node) -> Node | None:
    """Return what reduces along the last axis without saying so, in ops that say it."""
    op = node.op
    if op is None or op.kind != "reduce" or "axis" in op.settings or op.same_as is None:
        return None
    spelled: Node = op.same_as(*node.args, **node.settings)
    return spelled


def is_product(node: Node) -> bool:
    """Whether a node is a product of two matrices, whose order turns round in columns."""
    op = node.op
    return op is not None and op.kind == "contract" and not op.settings and len(op.operands) == 2


def check_turnable(name: str, root: Node, names: Mapping[Node, str]) -> None:
    """Refuse a formula that says something else when every matrix in it is transposed."""
    for node in order([root], stop=[x for x in names if x is not root]):
        if node in names and node is not root:
            continue
        if node.op is not None and not _turnable(node):
            raise ArgumentError(
                f"{name} cannot be written in columns: it reads {node.op.name} ({node.op.says})",
                'notation="rows"',
                node.where,
            )
        if node.op is None and node.is_constant and node.ndim:
            raise ArgumentError(f"{name} reads a fixed array: it is one of rows", 'notation="rows"')


def _turnable(node: Node) -> bool:
    op = node.op
    assert op is not None
    if any(x.ndim > 2 for x in (node, *node.args)):
        return False
    if op.kind in ("map", "dim") or copied(node) or op.numpy in ("x", "x.T"):
        return True
    if op.kind != "reduce":
        return is_product(node) and all(x.ndim == 2 for x in node.args)
    axis = node.settings.get("axis", -1)
    if node.args[0].ndim == 2:
        says = "axis" in op.settings or axisless(node) is not None
        return axis is None or (isinstance(axis, int) and says)
    return axis is None or node.ndim == 0


def _turned(node: Node) -> Attrs:
    """Return the settings of an op on transposed matrices, whose axes change places."""
    settings = node.settings
    arg = node.args[0] if node.args else None
    if arg is None or not arg.ndim or not isinstance(settings.get("axis"), int):
        return node.attrs
    if arg.ndim == 1:  # a column now, of which all is taken
        return tuple((settings | {"axis": None}).items())
    settings["axis"] = 1 - settings["axis"] % 2
    if "keepdims" in settings:
        settings["keepdims"] = True  # a sum over samples is a column, too
    return tuple(settings.items())


def fixed(node: Node) -> Part:
    """Write a constant out."""
    if node.ndim:
        return Part(text.parsed(str(node.data.tolist())), r"\text{const}", value=node.data)
    number = node.data if node.weak else node.data.item()
    if isinstance(number, float) and number.is_integer() and abs(number) < 1e6:
        number = int(number)
    tree, word = text.literal(number), str(number)
    mantissa, _, power = word.partition("e")
    latex = rf"{mantissa} \cdot 10^{{{int(power)}}}" if power else word
    latex = latex.removeprefix(r"1 \cdot ") if power else latex
    return Part(tree, latex, CLOSED if number >= 0 and not power else 2, node.data)


def _latex(op: Op, attrs: Attrs, parts: Sequence[Part]) -> str:
    """Put operands and settings into an op's own formula, in brackets where they bind less."""
    given: dict[str, Any] = {}
    count = len(op.operands) - any(o.startswith("*") for o in op.operands)
    given |= dict(zip(op.operands[:count], parts, strict=False))
    if count < len(op.operands):
        given[op.operands[-1][1:]] = list(parts[count:])
    settings = dict(attrs)

    def put(found: re.Match[str]) -> str:
        key = found[1]
        if key in settings:
            return str(settings[key])
        if isinstance(given[key], list):
            return ", ".join(p.latex for p in given[key])
        return _bracketed(given[key], op, found)

    return _holes(op)(put, op.formula)


@cache
def _holes(op: Op) -> Callable[..., str]:
    words = sorted((*(o.lstrip("*") for o in op.operands), *op.settings), key=len, reverse=True)
    return re.compile(rf"\$({'|'.join(words) or '$^'})").sub


def _bracketed(part: Part, op: Op, found: re.Match[str]) -> str:
    before, after = found.string[: found.start()].rstrip(), found.string[found.end() :].lstrip()
    if before[-1:] == "{" and after[:2] in ("}^", "}_"):
        needs = part.level < CLOSED  # the base of a power
    elif before[-1:] in tuple("{(,|&") and after[:1] in tuple("}),|&"):
        needs = False  # in brackets of the op's own
    else:
        second = bool(before) and not op.commutes
        needs = part.level <= op.level if second and part.level < CLOSED else part.level < op.level
        needs = needs or (bool(before) and part.latex.startswith("-"))
    return rf"\left({part.latex}\right)" if needs else part.latex


GREEK = frozenset(
    "alpha beta gamma delta epsilon eta theta kappa lambda mu nu rho sigma tau phi chi psi omega".split()  # noqa: E501, SIM905
)
WORDS = {"loss": "L", "learning_rate": r"\eta"}


@cache
def latex_name(name: str, of: str = "L") -> str:
    """Return a name as a formula has it; d_x is the slope of `of` in x.

    >>> latex_name("W1"), latex_name("d_z2"), latex_name("m_hat_W1")
    ('W_{1}', '\\\\frac{\\\\partial L}{\\\\partial z_{2}}', '\\\\hat{m}_{W_{1}}')
    """
    if name in WORDS:
        return WORDS[name]
    if name.startswith("d_"):
        return rf"\frac{{\partial {of}}}{{\partial {latex_name(name[2:])}}}"
    if name.endswith("_new"):
        return rf"{latex_name(name[:-4])}^{{\text{{new}}}}"
    hat = re.fullmatch(r"(\w)_hat(?:_(\w+))?", name)
    if hat:
        return rf"\hat{{{hat[1]}}}" + (f"_{{{latex_name(hat[2])}}}" if hat[2] else "")
    plain = re.fullmatch(r"([^\W\d_]+?)_?(\d*)", name)
    if plain:
        return _word(plain[1]) + (f"_{{{plain[2]}}}" if plain[2] else "")
    head, _, rest = name.partition("_")
    if head and rest:
        return rf"{_word(head)}_{{{latex_name(rest)}}}"
    return rf"\text{{{name.replace('_', ' ')}}}"


def _word(word: str) -> str:
    if word in GREEK:
        return rf"\{word}"
    return word if len(word) == 1 else rf"\text{{{word}}}"


def spelled(line: str, literals: Mapping[str, str]) -> str:
    """Return a formula's Python with literals in place of names, negative ones in brackets."""

    def put(found: re.Match[str]) -> str:
        literal = literals[found[0]]
        alone = line[: found.start()].rstrip()[-1:] in ("", "(", ",", "[")
        power = line[found.end() :].lstrip().startswith("**")
        return f"({literal})" if literal[0] == "-" and (power or not alone) else literal

    return re.sub(r"\b_\d+_\b", put, line)
