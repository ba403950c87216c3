"""LaTeX as MathML and as plain text: everything that formulas use, and nothing that breaks XML."""

import re
from itertools import pairwise
from string import Template
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pellucid.ops  # noqa: F401  (enters the ops)
from pellucid.errors import ArgumentError
from pellucid.op import OPS, Op
from pellucid.show.latex import Fence, Fraction, Leaf, Row, Script, escaped, parse
from pellucid.show.mathml import NAMESPACE, mathml, plain
from pellucid.show.symbols import SYMBOLS


def elements(latex: str) -> ElementTree.Element:
    return ElementTree.fromstring(mathml(latex).replace(f' xmlns="{NAMESPACE}"', ""))


def inner(latex: str) -> str:
    return re.sub(r"^<math[^>]*>|</math>$", "", mathml(latex))


def formula(op: Op) -> str:
    """Return an op's formula with its operands and settings by name."""
    known = {n: n for n in "xyzwgp"}
    words = re.findall(r"\$(\w+?)(?=_\{|\b)", op.formula)
    names = {w: known.get(w, rf"\text{{{escaped(w)}}}") for w in words}
    return Template(re.sub(r"\$(\w+?)(?=_\{|\b)", r"${\1}", op.formula)).substitute(names)


@pytest.mark.parametrize("op", OPS.values(), ids=lambda op: op.name)
def test_every_formula_of_an_op_is_known(op: Op) -> None:
    latex = formula(op)
    tree = elements(latex)
    shown = "".join(tree.itertext())
    assert "\\" not in shown and "$" not in shown, f"{latex} has a command that is not known"
    assert "\\" not in plain(latex)
    for operand in set(op.operands) & set("xyz"):
        assert operand in shown or operand not in re.findall(r"\w+", op.formula)


@pytest.mark.parametrize(
    ("latex", "text"),
    [
        (r"\sigma(z_1)", "σ(z₁)"),
        (r"\frac{1}{1 + e^{-x}}", "1/(1 + e⁻ˣ)"),
        (r"\frac{\partial L}{\partial W_{12}}", "∂L/∂W₁₂"),
        (r"\hat{y} - y", "ŷ − y"),
        (r"-y \ln p - (1 - y) \ln(1 - p)", "−y ln p − (1 − y) ln(1 − p)"),
        (r"{x}^\top \, W_1", "xᵀ W₁"),
        (r"\begin{bmatrix} 1 & -2 \\ 3 & 4 \end{bmatrix}", "[[1, −2], [3, 4]]"),
        (r"\begin{cases} x & x > 0 \\ 0 & \text{else} \end{cases}", "{x, x > 0; 0, else}"),
        (r"\begin{aligned} a &= b \cr &= 3 \end{aligned}", "a = b; = 3"),
        (r"\left\lfloor \frac{x}{y} \right\rfloor", "⌊x/y⌋"),
        (r"\lVert x \rVert_2 \le \bigl|y\bigr|", "‖x‖₂ ≤ |y|"),
        (r"\sqrt{x} \cdot \sqrt[3]{x + 1}", "√x · ³√(x + 1)"),
        (r"\sum_{i=1}^n x_i^2 \odot \delta", "∑ᵢ₌₁ⁿ xᵢ² ⊙ δ"),
        (r"\max_{i} \operatorname{softmax}(x) \bmod 2", "maxᵢ softmax(x) mod 2"),
        (r"\mathrm{d}x \land \lnot y \to \infty", "dx ∧ ¬y → ∞"),
        (r"\log_{10} x, \ldots, \pi", "log₁₀ x, …, π"),
        (r"1.25 \cdot 10^{-5} + 1e-05", "1.25 · 10⁻⁵ + 1e−05"),
        (r"x_12 = \frac12", "x₁2 = 1/2"),
        (r"e^{-x^2}", "e^(−x²)"),
        (r"f'(x)", "f′(x)"),
        (r"\mathbf{W} \in \mathbb{R}", "\N{MATHEMATICAL BOLD CAPITAL W} ∈ ℝ"),
        (r"a \quad b", "a b"),
        ("", ""),
    ],
)
def test_plain_text(latex: str, text: str) -> None:
    assert plain(latex) == text
    assert elements(latex).get("alttext") == text


@pytest.mark.parametrize(
    ("latex", "markup"),
    [
        ("x_1^2", "<msubsup><mi>x</mi><mn>1</mn><mn>2</mn></msubsup>"),
        ("{x_1}^2", "<msubsup><mi>x</mi><mn>1</mn><mn>2</mn></msubsup>"),
        (r"\frac{a}{b}", "<mfrac><mi>a</mi><mi>b</mi></mfrac>"),
        (
            "-x - -y",
            '<mo form="prefix">−</mo><mi>x</mi><mo>−</mo><mo form="prefix">−</mo><mi>y</mi>',
        ),
        (r"\ln x", '<mi>ln</mi><mspace width="0.167em"/><mi>x</mi>'),
        (r"\text{a < b}", "<mtext>a &lt; b</mtext>"),
        (r"\operatorname{erf}", "<mi>erf</mi>"),
        (r"\mathrm{d}", '<mi mathvariant="normal">d</mi>'),
        (r"\hat{y}", '<mover accent="true"><mi>y</mi><mo>^</mo></mover>'),
        (
            r"a < b \& c",
            '<mi>a</mi><mo>&lt;</mo><mi>b</mi><mo lspace="0" rspace="0">&amp;</mo><mi>c</mi>',
        ),
    ],
)
def test_markup(latex: str, markup: str) -> None:
    assert inner(latex) == markup


def test_brackets_grow_with_what_they_hold() -> None:
    assert 'stretchy="true"' in mathml(r"\sigma(\frac{x}{y})")
    assert 'stretchy="true"' not in mathml(r"\sigma(x_1)")


def test_delimiters_pair_and_what_never_closes_stays() -> None:
    assert parse("||x| + 1|^2").items == (
        Script(
            Fence("|", Row((Fence("|", Row((Leaf("name", "x"),)), "|"), *parse("+ 1").items)), "|"),
            sup=Row((Leaf("number", "2"),)),
        ),
    )
    assert plain("P(a|b)") == "P(a|b)"
    assert plain("]0, 1[") == "]0, 1["
    assert plain(r"\left. x \right|_0") == "x|₀"


def test_display_is_a_block() -> None:
    assert 'display="block"' in mathml("x", display=True)
    assert 'display="block"' not in mathml("x")


def test_an_unknown_command_is_shown_as_it_is_written() -> None:
    assert plain(r"\mystery{x}") == r"\mysteryx"
    assert "".join(elements(r"\mystery{x}").itertext()) == r"\mysteryx"


@pytest.mark.parametrize(
    "latex",
    ["{x", "x}", r"\text{a", r"\frac{1}", "x^", r"\sqrt[3", r"\begin{cases} x", r"\end{cases}",
     r"\begin{cases} x \end{bmatrix}", r"\frac{1}}{2}", r"\hat"],
)  # fmt: skip
def test_what_is_not_balanced_is_an_error_that_shows_it(latex: str) -> None:
    with pytest.raises(ArgumentError) as error:
        mathml(latex)
    assert repr(latex) in str(error.value)


def test_every_symbol_is_one_symbol() -> None:
    for command, leaf in SYMBOLS.items():
        assert parse(f"{command} ").items in ((leaf,), ()), command
        assert "\\" not in plain(f"a {command} b") or command == r"\backslash"


@given(st.text())
def test_escaped_text_comes_back(text: str) -> None:
    latex = rf"\text{{{escaped(text)}}}"
    assert parse(latex).items == (Leaf("text", text),)


@given(st.text(st.sampled_from("ab12 +-=,()[]|<>&'\"_^{}\\\n\x00\ud800éσ.")))
def test_anything_is_well_formed_or_a_clear_error(latex: str) -> None:
    try:
        made = mathml(latex)
    except ArgumentError:
        return
    ElementTree.fromstring(made)
    assert plain(latex) == plain(latex).strip()


TREES = st.recursive(
    st.sampled_from(["x", "W_1", "12", r"\sigma", "-y", r"\text{a}", r"\ln x", r"\infty"]),
    lambda inner: st.one_of(
        st.builds(r"\frac{{{}}}{{{}}}".format, inner, inner),
        st.builds(r"\left({}\right)".format, inner),
        st.builds("{{{}}}^{{{}}}".format, inner, inner),
        st.builds("{} + {}".format, inner, inner),
        st.builds(r"\begin{{bmatrix}} {} & {} \\ {} & {} \end{{bmatrix}}".format, *[inner] * 4),
    ),
    max_leaves=12,
)


@given(TREES)
def test_formulas_of_formulas_are_well_formed(latex: str) -> None:
    tree = elements(latex)
    for name, count in (("mfrac", 2), ("msup", 2), ("msub", 2), ("msubsup", 3)):
        assert all(len(found) == count for found in tree.iter(name))
    assert "\\" not in plain(latex)


def test_fractions_nest_within_reason() -> None:
    latex = "x"
    for _ in range(40):
        latex = rf"\frac{{1}}{{1 + {latex}}}"
    assert isinstance(parse(latex).items[0], Fraction)
    assert len(list(elements(latex).iter("mfrac"))) == 40


def test_columns_of_numbers_stand_at_the_right() -> None:
    cells = list(elements(r"\begin{bmatrix} 1 & x \\ -20 & y \end{bmatrix}").iter("mtd"))
    sides = ["right" in (cell.get("style") or "") for cell in cells]
    assert sides == [True, False, True, False]
    assert all(len(list(a)) >= 1 for a, _ in pairwise(cells))
