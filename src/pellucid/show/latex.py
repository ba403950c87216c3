"""A subset of LaTeX as a tree: what the formulas of ops and of explanations are written in.

parse(latex)   the tree, of Row Leaf Script Fraction Root Fence Accent Table
escaped(text)  any text as LaTeX, to stand within \\text{…}
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from pellucid.errors import ArgumentError
from pellucid.show.symbols import (
    ACCENTS,
    ALPHABETS,
    BIGS,
    CHARACTERS,
    IGNORED,
    SIGNS,
    SYMBOLS,
    TEXTS,
    UPRIGHTS,
    Leaf,
)


@dataclass(frozen=True)
class Row:
    """Things side by side."""

    items: tuple[Tree, ...] = ()


@dataclass(frozen=True)
class Script:
    """A base with what is set below and above it."""

    base: Tree
    sub: Tree | None = None
    sup: Tree | None = None


@dataclass(frozen=True)
class Fraction:
    """One over the other."""

    over: Tree
    under: Tree


@dataclass(frozen=True)
class Root:
    """A root; a square root has no degree."""

    body: Tree
    degree: Tree | None = None


@dataclass(frozen=True)
class Fence:
    """What stands between two delimiters, either of which may be empty."""

    open: str
    body: Row
    close: str


@dataclass(frozen=True)
class Accent:
    """A body with a mark above it, given as a combining character."""

    body: Tree
    mark: str


@dataclass(frozen=True)
class Table:
    """Rows of cells: a matrix, cases, or aligned equations. `kind` is the environment's name."""

    kind: str
    rows: tuple[tuple[Row, ...], ...]


Tree = Leaf | Row | Script | Fraction | Root | Fence | Accent | Table


# -- text ----------------------------------------------------------------------------------------

WORDS = {"\\": r"\textbackslash{}", "^": r"\textasciicircum{}", "~": r"\textasciitilde{}"}
MEANT = {value.removesuffix("{}"): key for key, value in WORDS.items()}
_MEANT = re.compile(r"(\\text(?:backslash|asciicircum|asciitilde))(?:\{\}| ?)|\\(.)", re.DOTALL)


def escaped(text: str) -> str:
    r"""Return any text as LaTeX, to stand within \text{…}.

    >>> escaped("d_W1")
    'd\\_W1'
    """
    return "".join(WORDS.get(c) or (f"\\{c}" if c in "{}_#$%&" else c) for c in text)


def _unescaped(latex: str) -> str:
    return _MEANT.sub(lambda found: MEANT.get(found[1] or "", found[2] or ""), latex)


# -- reading -------------------------------------------------------------------------------------

TOKEN = re.compile(
    r"\\\\(?:\[[\d.]+\s*(?:pt|em|ex|mu)\])?|\\[A-Za-z]+\*?|\\.|\s+"
    r"|(?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]\d\d+)?|.",
    re.DOTALL,
)
SCRIPTS = {"_": "sub", "^": "sup"}
PRIME = Leaf("mark", "′")


class _Reader:
    """Reads tokens from left to right; every method takes what it returns."""

    def __init__(self, latex: str) -> None:
        self.latex = latex
        self.tokens = TOKEN.findall(latex)
        self.at = 0

    def error(self, what: str) -> ArgumentError:
        return ArgumentError(f"{what} in the formula {self.latex!r}", "close every { with a }")

    def peek(self) -> str:
        """Return the next token without taking it; "" is the end."""
        return str(self.tokens[self.at]) if self.at < len(self.tokens) else ""

    def take(self) -> str:
        token = self.peek()
        self.at += 1
        return token

    def skip(self) -> str:
        """Take blanks, and return the token after them without taking it."""
        while self.peek().isspace():
            self.at += 1
        return self.peek()

    def row(self, *ends: str) -> Row:
        """Read up to one of `ends`, which is not taken."""
        items: list[Tree] = []
        while (token := self.skip()) not in ends:
            if token in ("", "}", r"\end"):
                raise self.error(f"{token or 'an end'} where {ends[0] or 'more'} was expected")
            if token in SCRIPTS or token == "'":
                items.append(self.script(items.pop() if items else Row()))
            else:
                items += self.atom()
        return Row(fenced(items))

    def script(self, base: Tree) -> Tree:
        token = self.take()
        side, body = SCRIPTS.get(token, "sup"), PRIME if token == "'" else self.argument()
        if isinstance(base, Row) and len(base.items) == 1:
            base = base.items[0]  # {z_1}^2 is set as z_1^2, one script above the other
        if not isinstance(base, Script):
            return Script(base, **{side: body})
        there = base.sub if side == "sub" else base.sup
        return replace(base, **{side: body if there is None else Row((there, body))})

    def argument(self) -> Tree:
        """Read a group in braces, or the one symbol that stands there without them."""
        token = self.skip()
        if token == "{":
            return self.group()
        if token[:1].isdigit() and len(token) > 1:  # \frac12 is a half, and x_12 is x_1 2
            self.tokens[self.at : self.at + 1] = [token[0], token[1:]]
        if token in ("", "}"):
            raise self.error("nothing where an argument was expected")
        return Row(tuple(self.atom()))

    def group(self) -> Row:
        self.take()
        row = self.row("}")
        self.take()
        return row

    def raw(self) -> str:
        """Read a group in braces as it is written."""
        if self.skip() != "{":
            return self.take()
        self.at, start, depth = self.at + 1, self.at + 1, 1
        while depth:
            token = self.take()
            if not token:
                raise self.error("an end where } was expected")
            depth += (token == "{") - (token == "}")
        return "".join(self.tokens[start : self.at - 1])

    def atom(self) -> Sequence[Tree]:
        """Read one thing that is not a script: a symbol, a group, or a command's whole."""
        token = self.peek()
        if token == "{":
            return [self.group()]
        self.take()
        if token in SYMBOLS:
            return [SYMBOLS[token]]
        if token[0] != "\\":
            return [_character(token)]
        if token in IGNORED:
            return []
        return self.command(token)

    def command(self, token: str) -> Sequence[Tree]:
        name = token.removesuffix("*")
        if name in COMMANDS:
            return [COMMANDS[name](self)]
        if name in TEXTS:
            return [Leaf("text", _unescaped(self.raw()))]
        if name in UPRIGHTS:
            return [Leaf(UPRIGHTS[name], _unescaped(self.raw()))]
        if name in ALPHABETS:
            return [Leaf("upright", _alphabet(ALPHABETS[name], self.raw()))]
        if name in ACCENTS:
            return [Accent(self.argument(), ACCENTS[name])]
        if found := BIGS.match(name):
            return [self.delimiter(found[1])]
        return [Leaf("text", token)]  # unknown: shown as it is written

    def delimiter(self, side: str) -> Leaf:
        self.skip()
        token = self.take()
        leaf = SYMBOLS.get(token) or Leaf(CHARACTERS.get(token, "mark"), token)
        kind = {"l": "open", "r": "close", "m": "infix"}.get(side, leaf.kind)
        return Leaf(kind, "" if token == "." else leaf.text)


def _character(token: str) -> Leaf:
    """Return what a token without a backslash stands for; a letter is a name."""
    if token[0].isdigit() or token[1:]:
        return Leaf("number", token.replace("-", "−"))
    kind = CHARACTERS.get(token)
    return Leaf(kind or ("name" if token.isalpha() else "mark"), SIGNS.get(token, token))


def _alphabet(style: str, letters: str) -> str:
    """Return letters in one of Unicode's mathematical alphabets, as far as it has them."""
    out = []
    for c in letters:
        case = "CAPITAL" if c.isupper() else "SMALL"
        names = (f"MATHEMATICAL {style} {case} {c}", f"{style} {case} {c}")
        found = [ch for name in names if c.isalpha() and (ch := _named(name))]
        out.append(found[0] if found else c)
    return "".join(out)


def _named(name: str) -> str:
    try:
        return unicodedata.lookup(name)
    except KeyError:
        return ""


def _root(reader: _Reader) -> Tree:
    degree = None
    if reader.skip() == "[":
        reader.take()
        degree = reader.row("]")
        reader.take()
    return Root(reader.argument(), degree)


def _table(reader: _Reader) -> Tree:
    kind = reader.raw().removesuffix("*")
    if kind == "array":
        reader.raw()  # its columns' alignment
    rows: list[list[Row]] = [[]]
    while True:
        rows[-1].append(reader.row("&", "\\\\", r"\cr", r"\end"))
        if (token := reader.take()) == r"\end":
            break
        if token != "&":
            rows.append([])
    if (ended := reader.raw().removesuffix("*")) != kind:
        raise reader.error(f"\\end{{{ended}}} after \\begin{{{kind}}}")
    return Table(kind, tuple(tuple(row) for row in rows if row != [Row()]))


COMMANDS: dict[str, Callable[[_Reader], Tree]] = {
    **dict.fromkeys(
        (r"\frac", r"\dfrac", r"\tfrac"), lambda r: Fraction(r.argument(), r.argument())
    ),
    r"\sqrt": _root,
    r"\begin": _table,
    r"\left": lambda r: r.delimiter("l"),
    r"\right": lambda r: r.delimiter("r"),
    r"\middle": lambda r: r.delimiter("m"),
}


def fenced(items: Sequence[Tree]) -> tuple[Tree, ...]:
    """Return the items with what stands between two delimiters as one item."""
    opened: list[Leaf] = []
    levels: list[list[Tree]] = [[]]
    for k, item in enumerate(items):
        leaf = item.base if isinstance(item, Script) else item
        side = _side(leaf, levels[-1], opened, items[k + 1 :])
        if side == "open" and isinstance(item, Leaf):
            opened.append(item)
            levels.append([])
        elif side == "close" and opened and isinstance(leaf, Leaf):
            fence = Fence(opened.pop().text, Row(tuple(levels.pop())), leaf.text)
            levels[-1].append(replace(item, base=fence) if isinstance(item, Script) else fence)
        else:
            levels[-1].append(item)
    while opened:  # never closed: an interval's ], say
        inner = levels.pop()
        levels[-1] += [opened.pop(), *inner]
    return tuple(levels[-1])


def _side(leaf: Tree, before: list[Tree], opened: list[Leaf], after: Sequence[Tree]) -> str:
    """Return whether a delimiter opens or closes; a bar closes the bar before it."""
    if not isinstance(leaf, Leaf) or leaf.kind != "bar":
        return leaf.kind if isinstance(leaf, Leaf) else ""
    if opened and opened[-1] == leaf and before:
        return "close"
    later = (item.base if isinstance(item, Script) else item for item in after)
    return "open" if leaf in later else ""


def parse(latex: str) -> Row:
    r"""Return the tree of a formula; what is not known in it becomes text.

    >>> parse(r"\frac{1}{n}").items
    (Fraction(over=Row(items=(Leaf(kind='number', text='1'),)), under=...),)
    """
    return _Reader(latex).row("")
