r"""LaTeX as MathML, which browsers typeset by themselves, and as one line of plain text.

mathml(latex)  <math>…</math>        plain(latex)  \sigma(z_1) as σ(z₁)
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from html import escape

from pellucid.show.latex import (
    Accent,
    Fence,
    Fraction,
    Root,
    Row,
    Script,
    Table,
    Tree,
    parse,
)
from pellucid.show.symbols import Leaf

NAMESPACE = "http://www.w3.org/1998/Math/MathML"
FENCES = {
    "cases": ("{", ""),
    "bmatrix": ("[", "]"),
    "pmatrix": ("(", ")"),
    "vmatrix": ("|", "|"),
    "Vmatrix": ("‖", "‖"),
    "Bmatrix": ("{", "}"),
}
ALIGNED = ("aligned", "align", "split", "alignedat")
THIN = '<mspace width="0.167em"/>'
FUNCTIONS = ("function", "limit")
BEFORE_A_SIGN = (None, "infix", "open", "comma", "function", "limit", "big")
# XML has no place for control characters, nor for halves of a surrogate pair
_FORBIDDEN = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def mathml(latex: str, display: bool = False) -> str:
    r"""Return a formula as MathML; `display` sets it on a line of its own.

    >>> mathml("x")
    '<math xmlns="http://www.w3.org/1998/Math/MathML" alttext="x"><mi>x</mi></math>'
    """
    tree = parse(latex)
    block = ' display="block"' if display else ""
    told = safe(_text(tree).strip())
    return f'<math xmlns="{NAMESPACE}"{block} alttext="{told}">{_inner(tree)}</math>'


def plain(latex: str) -> str:
    r"""Return a formula as one line of text.

    >>> plain(r"\frac{\sigma(z_1)}{\sqrt{n + 1}}")
    'σ(z₁)/√(n + 1)'
    """
    return _text(parse(latex)).strip()


def safe(text: str) -> str:
    """Return text as XML and HTML take it, within tags and within quoted attributes."""
    return escape(_FORBIDDEN.sub("\ufffd", text))


def _role(tree: Tree | None) -> str | None:
    """Return how a thing behaves toward its neighbors: as its base does."""
    while isinstance(tree, Script):
        tree = tree.base
    if isinstance(tree, Leaf):
        return tree.kind
    return type(tree).__name__ if tree is not None else None


def _neighbors(row: Row) -> Iterator[tuple[str | None, Tree, str | None]]:
    """Yield each item with the roles of what stands before and after it."""
    roles = [None, *map(_role, row.items), None]
    yield from zip(roles, row.items, roles[2:], strict=False)


def _is_sign(before: str | None, item: Tree) -> bool:
    """Tell the minus of -x from that of y - x."""
    signed = isinstance(item, Leaf) and item.kind == "infix" and item.text in "−+±∓¬"
    return signed and before in BEFORE_A_SIGN


def _parts(before: str | None, item: Tree, after: str | None) -> tuple[bool, bool]:
    """Return whether a function or a matrix stands off from what is before and after it."""
    if _role(item) == before == "Table":
        return True, False
    if _role(item) not in FUNCTIONS:
        return False, False
    left = before not in (*BEFORE_A_SIGN, "space", "text")
    return left, after not in (None, "Fence", "infix", "comma", "close", "space", "open", "Script")


# -- MathML --------------------------------------------------------------------------------------


def _inner(row: Row) -> str:
    out = []
    for before, item, after in _neighbors(row):
        left, right = _parts(before, item, after)
        if _is_sign(before, item) and isinstance(item, Leaf):
            out.append(f'<mo form="prefix">{safe(item.text)}</mo>')
        else:
            out += [THIN * left, _element(item), THIN * right]
    return "".join(out)


def _element(tree: Tree) -> str:
    match tree:
        case Leaf(kind="space" | "open" | "close" | "bar", text=""):
            return ""
        case Leaf():
            upright = ' mathvariant="normal"' if len(tree.text) == 1 else ""
            return LEAVES[tree.kind].format(safe(tree.text), upright)
        case Row(items=(only,)):
            return _element(only)
        case Row():
            return f"<mrow>{_inner(tree)}</mrow>"
        case Table():
            return _table(tree)
    return _built(tree)


def _built(tree: Script | Fraction | Root | Fence | Accent) -> str:
    match tree:
        case Script():
            return _script(tree)
        case Fraction(over=over, under=under):
            return f"<mfrac>{_element(over)}{_element(under)}</mfrac>"
        case Root(body=body, degree=degree):
            inner = f"{_element(body)}{_element(degree or Row())}"
            return f"<mroot>{inner}</mroot>" if degree else f"<msqrt>{_element(body)}</msqrt>"
        case Accent(body=body, mark=mark):
            return f'<mover accent="true">{_element(body)}<mo>{MARKS[mark]}</mo></mover>'
    return _between(tree.open, _element(tree.body), tree.close, _tall(tree.body))


LEAVES = {
    "name": "<mi>{0}</mi>",
    "upright": "<mi{1}>{0}</mi>",  # several letters are upright by themselves
    "function": "<mi{1}>{0}</mi>",
    "number": "<mn>{0}</mn>",
    "text": "<mtext>{0}</mtext>",
    "space": '<mspace width="{0}"/>',
    "mark": '<mo lspace="0" rspace="0">{0}</mo>',
    "limit": '<mo movablelimits="true" lspace="0" rspace="0">{0}</mo>',
    **dict.fromkeys(("infix", "comma", "big"), "<mo>{0}</mo>"),
    **dict.fromkeys(("open", "close", "bar"), '<mo stretchy="false">{0}</mo>'),
}
# a combining mark as the character that stands alone, which stretches over wide bodies
MARKS = {"\u0302": "^", "\u0305": "‾", "\u0303": "~", "\u20d7": "→", "\u0307": "˙", "\u0308": "¨"}


def _script(tree: Script) -> str:
    below, above = _role(tree) in ("limit", "big"), tree.sub is not None
    name = {True: "munder", False: "msub"}[below] if above else ("mover" if below else "msup")
    if tree.sub is not None and tree.sup is not None:
        name = "munderover" if below else "msubsup"
    inner = "".join(_element(t) for t in (tree.base, tree.sub, tree.sup) if t is not None)
    return f"<{name}>{inner}</{name}>"


def _tall(tree: Tree) -> bool:
    """Tell what is taller than a line, so that brackets around it have to grow."""
    match tree:
        case Fraction() | Table() | Root():
            return True
        case Row(items=items):
            return any(map(_tall, items))
        case Fence(body=body) | Accent(body=body):
            return _tall(body)
        case Script(base=base):
            return _tall(base) or _role(tree) in ("big", "limit")
    return False


def _between(opened: str, inner: str, closed: str, tall: bool) -> str:
    grow = ' stretchy="true"' if tall else ' stretchy="false"'
    left = f'<mo form="prefix"{grow}>{safe(opened)}</mo>' if opened else ""
    right = f'<mo form="postfix"{grow}>{safe(closed)}</mo>' if closed else ""
    return f"<mrow>{left}{inner}{right}</mrow>"


def _table(table: Table) -> str:
    rows = "".join(
        f"<mtr>{''.join(_cell(table, k, cell) for k, cell in enumerate(row))}</mtr>"
        for row in table.rows
    )
    opened, closed = FENCES.get(table.kind, ("", ""))
    style = ' displaystyle="true"' if table.kind in ALIGNED else ""
    return _between(opened, f"<mtable{style}>{rows}</mtable>", closed, tall=True)


def _cell(table: Table, column: int, cell: Row) -> str:
    """Return one cell; a style, for the attributes of old are not read by every browser."""
    style = _to("left") if table.kind == "cases" else ""
    if table.kind in ALIGNED:
        # the sign that rows are aligned at has its usual room to the left of it
        style = f"padding:.4em 0;{_to('left' if column % 2 else 'right')}"
        cell = Row((Row(), *cell.items)) if column % 2 else cell
    elif table.kind in FENCES and table.kind != "cases" and _numeric(table, column):
        style = _to("right")
    return f'<mtd style="{style}">{_inner(cell)}</mtd>' if style else f"<mtd>{_inner(cell)}</mtd>"


def _to(side: str) -> str:
    """Chromium aligns a cell's inner box by its own value only, which others do not know."""
    return f"text-align:{side};text-align:-webkit-{side}"


def _numeric(table: Table, column: int) -> bool:
    cells = [row[column] for row in table.rows if column < len(row)]
    return all(cell.items and _role(cell.items[-1]) == "number" for cell in cells)


# -- plain text ----------------------------------------------------------------------------------

_LETTERS = "aeijkoruvxhlmnpst"
SUBSCRIPTS = dict(
    zip("0123456789+−=()" + _LETTERS, "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎ₐₑᵢⱼₖₒᵣᵤᵥₓₕₗₘₙₚₛₜ", strict=True)
)
SUPERSCRIPTS = dict(
    zip(
        "0123456789+−=()⊤abcdefghijklmnoprstuvwxyz′",
        "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ᵀᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻ′",
        strict=True,
    )
)


def _text(row: Row) -> str:
    out = ""
    for before, item, after in _neighbors(row):
        left, right = _parts(before, item, after)
        role = _role(item)
        if role == "infix" and isinstance(item, Leaf) and not _is_sign(before, item):
            left, right = item.text != "/", item.text != "/"
        right = right or role == "comma" or (role == "big" and after is not None)
        told = _told(item)
        out += f"{' ' * (left and not out.endswith((' ', '(')))}{told}{' ' * right}"
        if role == "space":
            out = out.rstrip() + " " * bool(told)
    return out


def _told(tree: Tree) -> str:
    match tree:
        case Leaf(kind="space", text=text):
            return " " if text else ""
        case Leaf(text=text):
            return text
        case Row():
            return _text(tree).strip()
        case Table():
            return _listed(tree)
    return _joined(tree)


def _joined(tree: Script | Fraction | Root | Fence | Accent) -> str:
    match tree:
        case Script():
            return _lifted(tree)
        case Fraction(over=over, under=under):
            return f"{_closed(over)}/{_closed(under)}"
        case Root(body=body, degree=degree):
            return f"{_raised(degree or Row(), SUPERSCRIPTS, '')}√{_closed(body)}"
        case Accent(body=body, mark=mark):
            return unicodedata.normalize("NFC", f"{_told(body)}{mark}")
    return f"{tree.open}{_told(tree.body)}{tree.close}"


def _lifted(tree: Script) -> str:
    sub = _raised(tree.sub, SUBSCRIPTS, "_") if tree.sub is not None else ""
    sup = _raised(tree.sup, SUPERSCRIPTS, "^") if tree.sup is not None else ""
    return f"{_closed(tree.base)}{sub}{sup}"


def _raised(tree: Tree, small: dict[str, str], sign: str) -> str:
    """Return a script in Unicode's small characters where they exist, else as _x or ^(x + 1)."""
    told = _told(tree)
    squeezed = told.replace(" ", "")
    if all(c in small for c in squeezed):
        return "".join(small[c] for c in squeezed)
    return f"{sign}{_closed(tree)}"


def _closed(tree: Tree) -> str:
    """Return text in brackets, unless it holds together without them."""
    while isinstance(tree, Row) and len(tree.items) == 1:
        tree = tree.items[0]
    apart = isinstance(tree, (Row, Fraction)) and not _is_call(tree)
    return f"({_told(tree)})" if apart else _told(tree)


def _is_call(tree: Tree) -> bool:
    """Tell what holds together: σ(z), a name and its brackets, and ∂L, a differential."""
    if not isinstance(tree, Row) or len(tree.items) != 2:
        return isinstance(tree, Row) and not tree.items
    if tree.items[0] == Leaf("upright", "∂"):
        return True
    return _role(tree.items[1]) == "Fence" and _role(tree.items[0]) not in ("infix", "number")


def _listed(table: Table) -> str:
    rows = [[_told(cell) for cell in row] for row in table.rows]
    if table.kind in ALIGNED:
        return "; ".join(re.sub(r" +", " ", " ".join(row)).strip() for row in rows)
    if table.kind == "cases":
        return "{" + "; ".join(", ".join(row) for row in rows) + "}"
    return "[" + ", ".join(f"[{', '.join(row)}]" for row in rows) + "]"
