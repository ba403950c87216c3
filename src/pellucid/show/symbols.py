"""What LaTeX's commands stand for: one character each, and how it behaves toward its neighbors."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Leaf:
    """One symbol. Kinds: name upright number text space infix mark comma function limit big, and
    the delimiters open close bar (a bar opens or closes by where it stands).
    """

    kind: str
    text: str


def _pairs(kind: str, listed: str) -> dict[str, Leaf]:
    words = listed.split()
    return {f"\\{k}": Leaf(kind, v) for k, v in zip(words[::2], words[1::2], strict=True)}


def _words(kind: str, listed: str) -> dict[str, Leaf]:
    return {f"\\{k}": Leaf(kind, k) for k in listed.split()}


# characters that look like others are entered by their names in Unicode
SYMBOLS: dict[str, Leaf] = {
    **_pairs(
        "name",
        """alpha α beta β gamma γ delta δ epsilon ϵ varepsilon ε zeta ζ eta η theta θ vartheta ϑ
        iota ι kappa κ lambda λ mu μ nu ν xi ξ pi π rho ρ sigma σ tau τ upsilon υ phi ϕ varphi φ
        chi χ psi ψ omega ω ell ℓ""",
    ),
    **_pairs(
        "upright",
        """Gamma Γ Delta Δ Theta Θ Lambda Λ Xi Ξ Pi Π Sigma Σ Phi Φ Psi Ψ Omega Ω
        infty ∞ partial ∂ nabla ∇ top ⊤ bot ⊥ ldots … cdots ⋯ vdots ⋮ ddots ⋱ dots … emptyset ∅
        star ⋆ dagger † forall ∀ exists ∃ prime ′""",
    ),
    **_pairs(
        "infix",
        """cdot · times × odot ⊙ otimes ⊗ oplus ⊕ div ÷ pm ± mp ∓ ast ∗ circ ∘ le ≤ leq ≤ ge ≥
        geq ≥ ne ≠ neq ≠ lt < gt > approx ≈ equiv ≡ propto ∝ ll ≪ gg ≫ land ∧ wedge ∧ lnot ¬ neg ¬
        to → rightarrow → leftarrow ← gets ← mapsto ↦ Rightarrow ⇒ Leftarrow ⇐ iff ⇔
        Leftrightarrow ⇔ in ∈ notin ∉ subset ⊂ mid ∣ bmod mod""",
    ),
    **dict.fromkeys((r"\lor", r"\vee"), Leaf("infix", "\N{LOGICAL OR}")),
    r"\sim": Leaf("infix", "\N{TILDE OPERATOR}"),
    **_pairs(
        "open",
        "lfloor ⌊ lceil ⌈ lvert | lVert ‖ langle ⟨ lbrace { { { lbrack [ lparen ( ",
    ),
    **_pairs("close", "rfloor ⌋ rceil ⌉ rvert | rVert ‖ rangle ⟩ rbrace } } } rbrack ] rparen )"),
    **_pairs("bar", "vert | Vert ‖ | ‖"),
    **_pairs("big", "sum ∑ prod ∏ int ∫"),
    **_pairs("mark", "_ _ % % # # & & $ $ colon : backslash \\"),
    **_words("function", "ln log exp sin cos tan arcsin arccos arctan sinh cosh tanh cot det dim"),
    **_words("limit", "max min sup inf lim argmax argmin"),
    **{
        f"\\{k}": Leaf("space", width)
        for k, width in (
            *((",", "0.167em"), ("thinspace", "0.167em"), (":", "0.222em"), (">", "0.222em")),
            *(("medspace", "0.222em"), (";", "0.278em"), ("thickspace", "0.278em")),
            *((" ", "0.25em"), ("space", "0.25em"), ("quad", "1em"), ("qquad", "2em")),
            *(("!", ""), ("negthinspace", "")),
        )
    },
}
CHARACTERS = {
    **dict.fromkeys("([", "open"),
    **dict.fromkeys(")]", "close"),
    **dict.fromkeys("+-=<>*/", "infix"),
    **dict.fromkeys(",;", "comma"),
    "|": "bar",
}
SIGNS = {"-": "−", "*": "∗"}
ACCENTS = {
    **dict.fromkeys((r"\hat", r"\widehat"), "\u0302"),
    **dict.fromkeys((r"\bar", r"\overline"), "\u0305"),
    **dict.fromkeys((r"\tilde", r"\widetilde"), "\u0303"),
    r"\vec": "\u20d7",
    r"\dot": "\u0307",
    r"\ddot": "\u0308",
}
ALPHABETS = {r"\mathbf": "BOLD", r"\boldsymbol": "BOLD", r"\mathcal": "SCRIPT"}
ALPHABETS |= {r"\mathbb": "DOUBLE-STRUCK"}
TEXTS = (r"\text", r"\texttt", r"\textit", r"\textbf", r"\mathtt", r"\textrm", r"\mbox")
UPRIGHTS = {r"\mathrm": "upright", r"\operatorname": "function", r"\mathit": "upright"}
BIGS = re.compile(r"\\[bB]igg?([lrm]?)$")
IGNORED = (r"\limits", r"\nolimits", r"\displaystyle", r"\textstyle", r"\cr", "\\\\")
