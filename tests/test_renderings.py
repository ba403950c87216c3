"""Walkthroughs as text, Markdown and HTML: nothing lost, nothing too wide, nothing that runs."""

import re
import unicodedata
from html.parser import HTMLParser
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pellucid as pc
from pellucid.errors import ArgumentError
from pellucid.explaining import markdown as md
from pellucid.explaining.html import anchors, fragment, page
from pellucid.explaining.markdown import markdown
from pellucid.explaining.parts import SIGNS, TITLES, by_phase, equation, latex_sides, sides
from pellucid.explaining.style import STYLE
from pellucid.explaining.terminal import SCREEN, columns, fold, text
from pellucid.explaining.walkthrough import PHASES, Step, Term, Walkthrough
from pellucid.readings import explain
from pellucid.show.mathml import NAMESPACE, plain

HOSTILE = ['<script>alert("1")</script>', "a & b", "`d_W1`", "x|y", "$z$", "名前", "--", ""]


def step(name: str, phase: str, *sides: str, says: str = "", **more: object) -> Step:
    """Return a step; `sides` are its formula, numbers and result."""
    formula, numbers, result = (*sides, "", "", "")[:3]
    fields = {"latex": "", "array": np.zeros(()), "shape": (1, 2), "op": "", **more}
    return Step(name, phase, says, formula=formula, numbers=numbers, result=result, **fields)  # type: ignore[arg-type]


def walk(*steps: Step, title: str = "One step", notes: tuple[str, ...] = ()) -> Walkthrough:
    return Walkthrough(title, steps, {}, notes)


def term(path: str, *sides: str, latex: str = "") -> Term:
    formula, numbers, result = sides
    none = np.zeros(())
    return Term(path, none, none, none, formula, latex, numbers, result)


Z1 = step(
    *("z1", "forward", "X @ W1 + b1", "[[1, 0]] @ [[0.5, -0.2], [0.3, 0.8]] + [0.1, -0.1]"),
    "[[0.6, -0.3]]",
    says="each unit's weighted sum of its inputs, plus its bias",
    inputs=("X", "W1", "b1"),
    latex=r"X \, W_1 + b_1",
    latex_name="z_1",
    latex_numbers=r"\begin{bmatrix} 1 & 0 \end{bmatrix} \, W_1 + b_1",
    latex_result=r"\begin{bmatrix} 0.6 & -0.3 \end{bmatrix}",
)
A1 = step("a1", "forward", "sigmoid(z1)", "", "[[0.645656, 0.425557]]", inputs=("z1",))
LOSS = step("loss", "loss", "mean((a2 - y) ** 2)", "", "0.157763", shape=())
RULE = step(
    *("rewrite_1", "rewrite", "s(z) * s(-z) = a * (1 - a)"),
    latex=r"\sigma(z) \, \sigma(-z) = a \, (1 - a)",
    says="a is at hand",
)
DZ1 = step(
    *("d_z1", "backward", "d_z2 @ W2.T * a1 * (1 - a1)", "", "[[-0.026109, 0.018598]]"),
    says="how the loss moves with z1",
    latex_name=r"\frac{\partial L}{\partial z_1}",
    inputs=("a1",),
    note="from the rounded numbers shown: -0.0260",
    terms=(
        term("z1 → a1", "slope * d_a1", "[[0.22]] · [[-0.11]]", "[[-0.02]]", latex="s \\, d"),
        term("z1 → penalty", "1 * 0", "1 · 0", "0"),
    ),
)
DW2 = step(
    *("d_W2", "backward", "a1.T @ d_z2", "", "[[-0.122804], [-0.080941]]"),
    terms=(term("W2 → z2", "a1.T @ d_z2", "", ""),),
)
NEW = step("W1_new", "update", "W1 - 1 * d_W1", "", "[[0.526109, -0.218598], [0.3, 0.8]]")
ONE = walk(Z1, A1, LOSS, RULE, DW2, DZ1, NEW, notes=("Numbers are rounded to 6 decimals.",))


# -- what they share -----------------------------------------------------------------------------


def test_every_phase_has_a_title_and_a_sign_of_its_own() -> None:
    assert set(TITLES) == set(SIGNS) == set(PHASES)
    assert len(set(SIGNS.values())) == len(PHASES)


def test_sides_say_nothing_twice() -> None:
    assert sides(step("x", "forward", "x", "3", "3")) == ["3"]
    assert sides(step("x", "forward", "y", "", "3")) == ["y", "3"]


def test_latex_as_far_as_there_is_any_and_code_from_there() -> None:
    half = step("z", "forward", "x + 1", "2 + 1", "3", latex="x + 1", latex_result="3")
    assert latex_sides(half) == (["x + 1"], ["2 + 1", "3"])
    assert latex_sides(Z1)[1] == []


def test_an_equation_starts_with_the_name_and_a_rewrite_with_its_first_side() -> None:
    assert plain(equation(A1, [r"\sigma(z_1)"])) == "a1 = σ(z₁)"
    assert plain(equation(RULE, latex_sides(RULE)[0])) == "σ(z) σ(−z) = a (1 − a)"
    both = equation(step("r", "rewrite", latex="a = b"), ["a = b", "3"])
    assert both == r"\begin{aligned} a &= b \\ &= 3 \end{aligned}"


@pytest.mark.parametrize("render", [text, markdown, page, fragment], ids=lambda f: f.__name__)
def test_every_step_is_there_in_its_order(render) -> None:  # type: ignore[no-untyped-def]
    told = render(ONE).replace("\\_", "_")
    places = [told.rindex(name) for name in ("Simplified", "Update") if name in told]
    names = [
        re.search(rf"(?m)(^  |^### `|<article[^>]*id=\"[^\"]*step-){s.name}\b", told) for s in ONE
    ]
    assert all(names), [s.name for s, found in zip(ONE, names, strict=True) if not found]
    starts = [found.start() for found in names if found]
    assert starts == sorted(starts) and places == sorted(places)
    for note in (*ONE.notes, "from the rounded numbers shown", "z1 → penalty"):
        assert note.rstrip(".").lower() in told.lower()


@pytest.mark.parametrize("render", [text, markdown, page, fragment], ids=lambda f: f.__name__)
def test_no_steps_are_no_error(render) -> None:  # type: ignore[no-untyped-def]
    assert "One step" in render(walk())


# -- text ----------------------------------------------------------------------------------------


def test_text_reads_like_this() -> None:
    assert (
        text(walk(Z1, A1, DW2, DZ1, notes=("A note.",)))
        == """\
One step
  A note.

forward
  z1  each unit's weighted sum of its inputs, plus its bias               (1, 2)
      = X @ W1 + b1
      = [[1, 0]] @ [[0.5, -0.2], [0.3, 0.8]] + [0.1, -0.1]
      = [[0.6, -0.3]]
  a1                                                                      (1, 2)
      = sigmoid(z1)
      = [[0.645656, 0.425557]]

backward
  d_W2                                                                    (1, 2)
        = a1.T @ d_z2
        = [[-0.122804], [-0.080941]]
        by W2 → z2
  d_z1  how the loss moves with z1                                        (1, 2)
        = d_z2 @ W2.T * a1 * (1 - a1)
        = [[-0.026109, 0.018598]]
        z1 → a1       slope * d_a1 = [[0.22]] · [[-0.11]] = [[-0.02]]
        z1 → penalty  1 * 0 = 1 · 0 = 0
        sum  = [[-0.026109, 0.018598]]
        note: from the rounded numbers shown: -0.0260"""
    )


def test_long_numbers_break_outside_of_brackets_and_hang_below_them() -> None:
    assert fold("[[1, 2, 3], [4, 5, 6]] + [[7, 8, 9]] * 2", 34, "= ", "  ", formula=True) == [
        "= [[1, 2, 3], [4, 5, 6]]",
        "  + [[7, 8, 9]] * 2",
    ]
    assert fold("0.9 * [[1, 2]] + 0.1 * [[3, 4]]", 28, formula=True)[0] == "0.9 * [[1, 2]]"
    assert fold("[[100, 200, 300], [400, 500, 600]]", 24, "= ", "  ", formula=True) == [
        "= [[100, 200, 300],",
        "   [400, 500, 600]]",
    ]


WORDS = st.text(st.characters(codec="utf-8"), max_size=60) | st.sampled_from(HOSTILE)
NUMBERS = st.lists(st.lists(st.floats(), max_size=9), max_size=9).map(str)
STEPS = st.builds(
    step, WORDS, st.sampled_from(PHASES), WORDS, NUMBERS, NUMBERS, says=WORDS, note=WORDS,
    shape=st.lists(st.integers(0, 9999), max_size=6).map(tuple),
    shown=st.sampled_from(["", "[0:2, 0:3]"]),
    terms=st.lists(st.builds(term, WORDS, WORDS, NUMBERS, WORDS), max_size=3).map(tuple),
)  # fmt: skip
WALKS = st.builds(
    lambda title, steps: walk(*steps, title=title, notes=(title,)),
    WORDS,
    st.lists(STEPS, max_size=4),
)


def width_of(line: str) -> int:
    """Count columns in another way than the code: by what Unicode says of every character."""
    wide = sum(unicodedata.east_asian_width(c) in ("W", "F") for c in line)
    marks = sum(unicodedata.category(c) in ("Mn", "Me") for c in line)
    both = sum(
        unicodedata.east_asian_width(c) in ("W", "F") and unicodedata.category(c) in ("Mn", "Me")
        for c in line
    )
    return len(line) + wide - marks - both


@given(WALKS, st.integers(40, 120), st.booleans())
def test_no_line_is_wider_than_asked(walkthrough: Walkthrough, width: int, brief: bool) -> None:
    lines = text(walkthrough, width, brief).split("\n")
    assert max(map(width_of, lines)) <= width
    assert not any(unicodedata.category(c) in ("Cc", "Cf") for line in lines for c in line)


@given(st.text(max_size=200), st.integers(8, 60), st.booleans())
def test_folding_loses_nothing_but_blanks(words: str, width: int, formula: bool) -> None:
    told = "".join(fold(words, width, "> ", "  ", formula=formula))
    kept = re.sub(r"\s", "", "".join("�" if _controls(c) else c for c in re.sub(r"\s", "", words)))
    assert re.sub(r"\s", "", told).removeprefix(">") == kept


def _controls(character: str) -> bool:
    return unicodedata.category(character) in ("Cc", "Cf", "Cs")


def test_too_narrow_is_an_error() -> None:
    with pytest.raises(ArgumentError, match="39 columns"):
        text(ONE, 39)


@pytest.mark.parametrize(("layers", "width"), [*product([1, 5, 12, 80], [40, 80])])
def test_a_brief_text_takes_a_screen(layers: int, width: int) -> None:
    steps = [
        step(f"{kind}{k}", phase, f"f({kind}{k - 1})", "", str([0.123456] * 20))
        for phase, kinds in (("forward", "za"), ("loss", "l"), ("backward", "de"), ("update", "W"))
        for k in range(layers)
        for kind in kinds
    ]
    lines = text(walk(*steps), width, brief=True).split("\n")
    assert len(lines) <= SCREEN
    assert {"forward", "loss", "backward", "update"} <= set(lines)
    hidden = sum(int(n) for n in re.findall(r"… (\d+) more steps", "\n".join(lines)))
    shown = sum(any(line.startswith(f"  {s.name} ") for line in lines) for s in steps)
    assert shown + hidden == len(steps)


def test_a_brief_step_is_one_line() -> None:
    assert text(walk(Z1, LOSS), 60, brief=True).split("\n")[3:] == [
        "  z1  X @ W1 + b1 = [[0.6, -0.3]]                     (1, 2)",
        "",
        "loss",
        "  loss  mean((a2 - y) ** 2) = 0.157763              a number",
    ]


def test_wide_characters_take_two_columns_and_accents_none() -> None:
    assert columns("名前") == 4 and columns("y\u0302") == 1 and columns("ŷ → z₁") == 6


# -- Markdown ------------------------------------------------------------------------------------


def test_markdown_reads_like_this() -> None:
    told = markdown(walk(Z1, DZ1))
    assert told.startswith("# One step\n\n## Forward pass\n\n### `z1` — (1, 2)\n\nEach unit's")
    assert "\n\n$$\n\\begin{aligned} z_1 &= X \\thinspace W_1 + b_1 \\cr &= " in told
    assert "\n| z1 → a1 | $s \\thinspace d$ | `[[0.22]] · [[-0.11]]` | `[[-0.02]]` |\n" in told
    assert "\n| their sum | | | `[[-0.026109, 0.018598]]` |\n" in told
    assert told.count("$$") % 2 == 0


def test_markdown_formulas_have_no_backslash_that_github_would_take() -> None:
    for latex in (r"\begin{cases} x & |x| < 1 \\ \{y\} \, z & \| z \| \end{cases}", r"\hat{y}_1"):
        told = md.robust(latex)
        assert not re.search(r"\\[^A-Za-z]|[|<>*]|}_", told)
    assert plain(md.robust(r"|x| \, \{y\} < \|z\|")) == "|x| {y} < ‖z‖"


@given(st.text(st.characters(codec="utf-8")))
def test_markdown_escapes_come_back(words: str) -> None:
    line = " ".join(words.split())
    assert re.sub(r"\\([^A-Za-z0-9\s])", r"\1", md.escaped(words)) == line
    marks = re.match("`+", md.code(words))
    assert marks and md.code(words).removeprefix(marks[0]).removesuffix(marks[0]).strip() == line
    assert marks[0] not in re.findall("`+", line)


def test_a_cell_holds_its_bar() -> None:
    row = markdown(walk(step("d", "backward", terms=(term("a|b", "x | y", "1|2", "3"),) * 2)))
    cells = [line for line in row.split("\n") if line.startswith("| a")]
    assert all(len(re.findall(r"(?<!\\)\|", cell)) == 5 for cell in cells)


# -- HTML ----------------------------------------------------------------------------------------


class Reader(HTMLParser):
    """Checks that tags are closed in order, and keeps what a browser would act on."""

    VOID = ("meta", "mspace")

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {k: v or "" for k, v in attrs}))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {k: v or "" for k, v in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-1:]}"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def values(self, key: str) -> list[str]:
        return [attrs[key] for _, attrs in self.tags if key in attrs]


BOTH = pytest.mark.parametrize("render", [page, fragment], ids=lambda f: f.__name__)


@BOTH
@given(walkthrough=WALKS)
def test_html_is_balanced_and_runs_and_fetches_nothing(render, walkthrough) -> None:  # type: ignore[no-untyped-def]
    html = render(walkthrough)
    found = Reader(html)
    assert not {"script", "img", "link", "iframe", "object"} & {tag for tag, _ in found.tags}
    assert not re.search("https?://|url\\(|@import", html.replace(NAMESPACE, ""))
    assert not [key for _, attrs in found.tags for key in attrs if key.startswith("on")]
    idents = found.values("id")
    assert len(idents) == len(set(idents))
    assert {link.removeprefix("#") for link in found.values("href")} <= set(idents)


@BOTH
@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_is_text_everywhere(render, name: str) -> None:  # type: ignore[no-untyped-def]
    told = walk(
        step(name, name, name, name, name, says=name, note=name, shown=name, inputs=(name,),
             latex_name=name if "$" not in name and "&" not in name else "",
             terms=(term(name, name, name, name),) * 2),
        title=name, notes=(name,),
    )  # fmt: skip
    found = Reader(render(told))
    assert "script" not in {tag for tag, _ in found.tags}
    assert name in " ".join(found.words)


def test_the_page_is_a_document_and_can_be_reached_by_keys() -> None:
    html = page(ONE, title="My net")
    found = Reader(html)
    assert html.startswith("<!doctype html>") and "<title>My net</title>" in html
    assert ("html", {"lang": "en"}) in found.tags
    assert ("nav", {"class": "contents", "aria-label": "Contents"}) in found.tags
    levels = [int(tag[1]) for tag, _ in found.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and all(b <= a + 1 for a, b in pairwise(levels))
    regions = [attrs for _, attrs in found.tags if "scroll" in attrs.get("class", "")]
    assert regions
    for attrs in regions:
        assert attrs["tabindex"] == "0" and attrs["role"] == "region" and attrs["aria-label"]
    assert all(attrs.get("scope") for tag, attrs in found.tags if tag == "th")
    tags = [tag for tag, _ in found.tags]
    assert tags.count("table") == tags.count("caption") == 1


def test_steps_can_be_linked_to_and_link_to_their_inputs() -> None:
    html = page(ONE)
    assert 'id="step-d_W2"' in html
    assert 'from <a href="#step-z1"><code>z1</code></a>' in html
    assert "from <code>X</code>, <code>W1</code>" in html
    assert anchors(["a b", "a-b", "a b"]) == ["step-a-b", "step-a-b-2", "step-a-b-3"]


def test_two_fragments_on_one_page_keep_their_links() -> None:
    one, other = (set(Reader(fragment(w)).values("id")) for w in (ONE, walk(Z1)))
    assert not one & other


def test_long_parts_are_folded_away() -> None:
    long = " + ".join(["1"] * 400)
    html = page(walk(step("s", "forward", "x", long, "400")))
    assert "<details><summary>the numbers</summary>" in html
    typeset = step("s", "forward", "x", long, "4", latex="x", latex_numbers=long, latex_result="4")
    html = page(walk(typeset))
    assert "<details><summary>with the numbers in place</summary>" in html
    assert html.index('alttext="s = x; = 4"') < html.index("<details>")
    assert "<details>" not in page(ONE)


def test_the_style_keeps_to_itself() -> None:
    """Every rule starts at the class, so that a notebook keeps its own looks."""
    inner = re.sub(r"@media[^{]*\{", "", re.sub(r"\{[^{}]*\}", "{}", STYLE))
    for selector in re.findall(r"([^{}]+)\{\}", inner):
        for part in re.sub(r"\([^)]*\)", "", selector).split(","):
            assert part.strip().startswith(".pellucid"), part
    assert "prefers-color-scheme: dark" in STYLE and "@media print" in STYLE


def test_colors_can_be_read_in_light_and_in_dark() -> None:
    """Every color of text has a contrast of 4.5 or more (WCAG 2.2, 1.4.3)."""
    for block in re.findall(r"--paper[^}]*", STYLE):
        colors = dict(re.findall(r"--([a-z]+): (#[0-9a-f]+);", block))
        for name in {"ink", "soft", "link", *PHASES} & set(colors):
            for under in ("paper", "wash"):
                assert contrast(colors[name], colors[under]) >= 4.5, (name, under)


def contrast(one: str, other: str) -> float:
    def light(color: str) -> float:
        full = color[1:] if len(color) == 7 else "".join(c * 2 for c in color[1:])
        parts = [int(full[k : k + 2], 16) / 255 for k in (0, 2, 4)]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((light(one), light(other)))
    return (high + 0.05) / (low + 0.05)


def test_phases_come_as_the_steps_do() -> None:
    assert [phase for phase, _ in by_phase(ONE.steps)] == list(PHASES)
    html = page(ONE)
    places = [html.index(f'class="phase {phase}"') for phase in PHASES]
    assert places == sorted(places)


# -- what is really explained --------------------------------------------------------------------


def net(columns: bool) -> Walkthrough:
    layers = [pc.Dense(2, "sigmoid"), pc.Dense(3, "softmax")]
    model = pc.Sequential(layers, loss="cce", optimizer=pc.Adam(0.1), seed=0)
    x = np.array([[1.0, 0.0], [0.5, -0.25]])
    return model.explain(x, np.array([0, 2]), notation="columns" if columns else "rows")


def formula() -> Walkthrough:
    return explain(lambda x, y: np.sum(np.where(x > y, x * y, np.exp(x))), np.ones(2), 1.5)


REAL = pytest.mark.parametrize(
    "made", [lambda: net(False), lambda: net(True), formula], ids=["rows", "columns", "formula"]
)


@REAL
def test_every_formula_that_is_made_is_known(made) -> None:  # type: ignore[no-untyped-def]
    for one in made():
        told = [one.latex_name, one.latex, one.latex_numbers, one.latex_result]
        for latex in (*told, *[t.latex for t in one.terms]):
            assert "\\" not in plain(latex), latex


@REAL
def test_every_reading_of_it_holds_up(made) -> None:  # type: ignore[no-untyped-def]
    walkthrough = made()
    for html in (page(walkthrough), fragment(walkthrough)):
        found = Reader(html)
        assert len(found.values("id")) == len(set(found.values("id")))
        assert all(one.name in found.words for one in walkthrough)
    lines = text(walkthrough, 60).split("\n")
    assert max(map(width_of, lines)) <= 60
    assert all(any(line.split()[:1] == [one.name] for line in lines) for one in walkthrough)
    assert all(f"### `{one.name}`" in markdown(walkthrough) for one in walkthrough)
