"""Every Python block of README.md and docs/*.md runs, and gives what it shows.

A file is one namespace, run from top to bottom in an empty folder:

- `expression  # -> shown` compares what is printed, or else the value's repr or str, with `shown`
  (which may stand on the next line);
- a block of `>>>` lines is a doctest; both ignore the amount of white space;
- a fence that says ```text shown (or ```python shown) holds what the block before it printed;
- in all of these `...` stands for anything;
- a block that cannot run says why in its fence: ```python no-run: needs a terminal
"""

import ast
import contextlib
import doctest
import io
import re
import textwrap
import tokenize
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pellucid
from pellucid.graph import FUNCTIONS
from pellucid.losses import LOSSES
from pellucid.op import HELPERS, OPS
from pellucid.ops.core import op, public
from pellucid.show.reference import ops_page

ROOT = Path(__file__).parent.parent
WRITTEN_FROM_THE_CODE = {"ops.md"}  # by docs/generate.py
DOCS = (page for page in (ROOT / "docs").glob("*.md") if page.name not in WRITTEN_FROM_THE_CODE)
PAGES = [ROOT / "README.md", *sorted(DOCS)]
NEEDS = {
    "pytorch.md": "torch",
    "sklearn.md": "sklearn",
}  # what may be missing: then the page is skipped, and this is said
FENCE = re.compile(r"\s*(?P<ticks>`{3,}|~{3,})(?P<info>[^`]*)")
PYTHON = re.compile(r"(\{code[\w-]*\}\s*)?(python3?|py|pycon)\b(?P<rest>.*)")
NO_RUN = re.compile(r"no-run:\s*\S.*")
SHOWN = re.compile(r"\w+ shown")
ARROW = "# ->"
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS

Names = dict[str, Any]


@dataclass(frozen=True)
class Block:
    """Code between two fences; `line` is where its first line stands in the page."""

    page: str
    line: int
    info: str
    code: str


def fenced(text: str, page: str) -> Iterator[Block]:
    """Every fenced block of the text, in whatever language."""
    opening: Block | None = None
    ticks, body = "", []
    for number, line in enumerate(text.splitlines(), 1):
        fence = FENCE.fullmatch(line)
        if opening is None:
            if fence:
                opening = Block(page, number + 1, fence["info"].strip(), "")
                ticks, body = fence["ticks"], []
        elif fence and fence["ticks"].startswith(ticks) and not fence["info"].strip():
            yield Block(page, opening.line, opening.info, textwrap.dedent("\n".join(body)))
            opening = None
        else:
            body.append(line)
    if opening:
        raise ValueError(f"{page}:{opening.line - 1}: this block is never closed")


def runnable(text: str, page: str) -> Iterator[Block]:
    """The Python blocks of the text that run, and the blocks that hold what they show."""
    for block in fenced(text, page):
        if SHOWN.fullmatch(block.info):
            yield block
            continue
        python = PYTHON.fullmatch(block.info)
        rest = python["rest"].strip() if python else "no-run: another language"
        if not rest:
            yield block
        elif not NO_RUN.fullmatch(rest):
            raise ValueError(
                f"{page}:{block.line - 1}: a block is left out only with a reason: "
                f"```python no-run: REASON; here stands {rest!r}"
            )


def run_page(text: str, page: str) -> None:
    """Run every block of a page in one namespace, and compare what is shown."""
    names: Names = {"__name__": "__main__"}
    printed = ""
    for block in runnable(text, page):
        if SHOWN.fullmatch(block.info):
            where = f"{page}:{block.line}"
            assert same_lines(block.code, printed), (
                f"{where}: shown differs from what is printed:\n{printed}"
            )
            continue
        with contextlib.redirect_stdout(io.StringIO()) as out:
            run(block, names)
        printed = out.getvalue()


def run(block: Block, names: Names) -> None:
    """Run a block and compare what it shows; what it defines stays in `names`."""
    if block.code.lstrip().startswith(">>>"):
        run_doctest(block, names)
    else:
        run_statements(block, names)


def run_doctest(block: Block, names: Names) -> None:
    parser, runner = doctest.DocTestParser(), doctest.DocTestRunner(optionflags=FLAGS)
    test = parser.get_doctest(block.code, names, block.page, block.page, block.line - 1)
    report: list[str] = []
    runner.run(test, out=report.append, clear_globs=False)
    names.update(test.globs)  # a DocTest works on a copy
    assert not report, "".join(report)


def run_statements(block: Block, names: Names) -> None:
    source = "\n" * (block.line - 1) + block.code  # so that tracebacks quote the page's own lines
    tree = ast.parse(source, block.page)
    shown = arrows(source)
    last_on_line = {statement.end_lineno: statement for statement in tree.body}
    for statement in tree.body:
        line = statement.end_lineno
        if line not in shown or last_on_line[line] is not statement:
            execute(statement, block.page, names)
            continue
        where = f"{block.page}:{line}"
        assert isinstance(statement, ast.Expr), f"{where}: only an expression has a value to show"
        wanted, got = shown.pop(line), evaluate(statement, block.page, names)
        gives = " or ".join(repr(each) for each in got)
        assert any(same(wanted, each) for each in got), f"{where}: shows {wanted!r}, gives {gives}"
    assert not shown, f"{block.page}: lines {sorted(shown)} show a value of no whole statement"


def arrows(source: str) -> dict[int, str]:
    """What the `# -> shown` comments show, by line; one on a line of its own, of the line above."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    found = [t for t in tokens if t.type == tokenize.COMMENT and t.string.startswith(ARROW)]
    alone = {t.start[0] for t in found if t.line.strip() == t.string}
    return {t.start[0] - (t.start[0] in alone): t.string.removeprefix(ARROW).strip() for t in found}


def execute(statement: ast.stmt, page: str, names: Names) -> None:
    exec(compile(ast.Module([statement], []), page, "exec", dont_inherit=True), names)


def evaluate(statement: ast.Expr, page: str, names: Names) -> list[str]:
    """What the expression prints, or else the two ways to write its value."""
    code = compile(ast.Expression(statement.value), page, "eval", dont_inherit=True)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        value = eval(code, names)
    return [printed.getvalue()] if printed.getvalue() else [repr(value), str(value)]


def same_lines(wanted: str, got: str) -> bool:
    """Compare line by line, less white space at their ends; `...` stands for anything."""
    one, other = (
        "\n".join(map(str.rstrip, textwrap.dedent(t).strip("\n").splitlines())) + "\n"
        for t in (wanted, got)
    )
    return doctest.OutputChecker().check_output(
        one, other, doctest.ELLIPSIS | doctest.DONT_ACCEPT_BLANKLINE
    )


def same(wanted: str, got: str) -> bool:
    return doctest.OutputChecker().check_output(wanted.strip() + "\n", got.strip() + "\n", FLAGS)


@pytest.fixture
def restored() -> Iterator[None]:
    """Take back what a page changes for the whole process: ops it enters, and how NumPy prints."""
    dir(pellucid)  # loads the library, which would else enter its own ops during the test
    tables: list[dict[str, Any]] = [OPS, FUNCTIONS, HELPERS]
    before = [dict(table) for table in tables]
    with np.printoptions():
        yield
    for table, old in zip(tables, before, strict=True):
        table.clear()
        table.update(old)


def named(page: Path) -> Any:
    """A page as a test; `make conformance` runs those that need PyTorch."""
    marks = [pytest.mark.conformance] if page.name in NEEDS else []
    return pytest.param(page, id=str(page.relative_to(ROOT)), marks=marks)


@pytest.mark.usefixtures("restored")
@pytest.mark.parametrize("page", [*map(named, PAGES)])
def test_every_example_gives_what_it_shows(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if page.name in NEEDS:
        pytest.importorskip(NEEDS[page.name], reason=f"docs/{page.name} is about it")
    monkeypatch.chdir(tmp_path)  # an example may save files
    run_page(page.read_text("utf-8"), str(page))


def run_text(text: str) -> None:
    run_page(text, "page.md")


@pytest.mark.parametrize(
    "text",
    [
        "```python\nx = 2\n```\nwords\n```python\nx + 1  # -> 3\n```",
        "```python\n[[1, 2],\n [3, 4]]  # -> [[1, 2], [3, ...]]\n```",
        "```python\nprint('seen')  # -> seen\n```",
        "```python\nx = 1; x  # -> 1\n```",
        "```python\n1 + 1\n# -> 2\n```",
        "```pycon\n>>> x = 2\n```\n```python\nx  # -> 2\n```",
        "- item\n\n  ```python\n  if True:\n      x = 1\n  ```",
        "````markdown\n```python\n1 / 0\n```\n````",
        "```python no-run: would never end\nwhile True: ...\n```",
        "```python\nprint('a\\n\\nb'); 1  # -> 1\n```\nwords\n```text shown\na\n\nb\n```",
        "```python\nprint('a\\nb\\nc')\n```\n```python shown\na\n...\nc\n```",
    ],
)
def test_a_true_example_passes(text: str) -> None:
    run_text(text)


@pytest.mark.parametrize(
    ("text", "error", "match"),
    [
        ("```python\n1 + 1  # -> 3\n```", AssertionError, r"page.md:2: shows '3', gives '2'"),
        ("~~~py\n1 + 1  # -> 3\n~~~", AssertionError, "shows '3'"),
        ("```python\n1 + 1\n# -> 3\n```", AssertionError, r"page.md:2: shows '3', gives '2'"),
        ("```python\n>>> 1 + 1\n3\n```", AssertionError, "Expected:"),
        ("```python\nx = 1  # -> 1\n```", AssertionError, "only an expression"),
        ("```python\nif True:\n    1  # -> 1\n    2\n```", AssertionError, r"lines \[3\]"),
        ("```{code-block} python\n1 / 0\n```", ZeroDivisionError, "division"),
        ("```python no-run:\n1\n```", ValueError, "only with a reason"),
        ("```python skip\n1\n```", ValueError, "only with a reason"),
        ("```python\n1\n", ValueError, "never closed"),
        ("```python\nprint(1)\n```\n```text shown\n2\n```", AssertionError, "page.md:5: shown"),
        ("```python\nprint('a  b')\n```\n```text shown\na b\n```", AssertionError, "shown differs"),
    ],
)
def test_a_false_example_fails(text: str, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        run_text(text)


def test_the_table_of_losses_has_every_loss_and_alias() -> None:
    rows = [x for x in (ROOT / "docs/api.md").read_text("utf-8").splitlines() if x[:3] == "| `"]
    told = {words[0]: {*words[1:]} for words in (re.findall(r"`(\w+)`", row) for row in rows)}
    assert told == {loss.name: {*loss.aliases} for loss in LOSSES}


# -- the op reference, which is written from the registry ----------------------------------------


def part(page: str, name: str) -> str:
    """What the page says about one op: from its label to the next."""
    return page.split(f"\n(op-{name})=\n")[1].split("\n(op-")[0]


def test_the_reference_has_every_op_and_public_function() -> None:
    page = ops_page()
    names = {*OPS, *(f.__name__ for n, f in FUNCTIONS.items() if not n.startswith("__"))}
    assert not {name for name in names if page.count(f"\n(op-{name})=\n") != 1}


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("exp", "y = np.exp(x)"),
        ("exp", "d_x = g * y"),
        ("multiply", "d_y = g * x"),
        ("sigmoid", "# y = 1 / (1 + np.exp(-x))  in smaller ops"),
        ("sigmoid", "Kind map; dtype inexact; PyTorch `torch.sigmoid(x)`; ONNX `Sigmoid`."),
        ("sigmoid", r"\sigma(x)"),
        ("matmul", "d_x = g @ y.T  # (2, 3)"),
        ("floor", "# flat or without a slope: no gradient flows back"),
        ("absolute", "NumPy also `abs`, `fabs`"),
        ("cce", "`cce(prediction, target, reduction='mean')`: Average the cross-entropy of shares"),
    ],
)
def test_the_reference_shows_what_an_entry_says(name: str, line: str) -> None:
    assert line in part(ops_page(), name)


@pytest.mark.usefixtures("restored")
def test_a_new_op_and_a_new_function_appear_in_the_reference_unasked() -> None:
    op(
        "cube",
        "x",
        numpy="x ** 3",
        formula="{$x}^3",
        vjp=(lambda g, y, x: 3 * g * x**2,),
        says="x, three times",
    )

    @public
    def sixth(x: "Array") -> Any:  # type: ignore[name-defined]  # noqa: F821
        """Return the sixth power: x^6."""

    page = ops_page()
    assert "d_x = 3 * g * x ** 2" in part(page, "cube")
    assert "`sixth(x)`: Return the sixth power: x^6." in part(page, "sixth")
    assert f"## Entered by {__name__}" in page


def test_a_derivative_that_the_reference_cannot_trace_is_one_of_these() -> None:
    page = ops_page()
    without = {name for name in OPS if "the derivative depends on the settings" in part(page, name)}
    assert without <= {"gather", "scatter", "picked_along_axis", "add_along_axis", "custom"}
