"""How Sphinx builds these pages: `make docs`."""

import re
import sys
from pathlib import Path
from typing import Any

from docutils.nodes import SkipNode
from docutils.utils.math.latex2mathml import tex2mathml

from pellucid import __version__

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from generate import generate  # noqa: E402 - it lies beside this file

generate(HERE)

project = "pellucid"
author = "the pellucid contributors"
project_copyright = "2026, the pellucid contributors"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc"]
html_math_renderer = "mathml"  # below: browsers draw it themselves, without a script or a network
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3  # so that a page can link to #a-heading
smartquotes = False  # in "W1" the quotes belong to the code
exclude_patterns = ["_build"]

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # what an argument may be, its docstring says
default_role = "code"  # `x` in a docstring

highlight_language = "text"  # of formulas in docstrings; fences say their own
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["wide.css"]
html_title = f"pellucid {__version__}"

QUOTED_OR_MARK = re.compile(r"(?P<quoted>(?P<ticks>`+).*?(?P=ticks))|(?P<mark>[*|_\\])")


def keep_formulas(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Let a docstring look as it was written: only backticks and >>> are marks there.

    |x|, w*x and \\sigma stand for themselves, and an indented formula keeps its lines.
    """
    kept: list[str] = []
    example = formula = False
    for line in lines:
        example = bool(line.strip()) and (example or line.lstrip().startswith(">>>"))
        indented = line.startswith("    ") and not example
        if indented and not formula:
            kept += ["::", ""]
        formula = indented or (formula and not line.strip())
        free = not (example or formula)
        kept.append(
            QUOTED_OR_MARK.sub(lambda m: m["quoted"] or "\\" + m["mark"], line) if free else line
        )
    lines[:] = kept


def formula(translator: Any, node: Any) -> None:
    """Write a formula as MathML, with the converter that docutils brings along."""
    block = node.tagname == "math_block"
    tag = "div" if block else "span"
    translator.body.append(
        f'<{tag} class="math">{tex2mathml(node.astext().strip(), as_block=block)}</{tag}>'
    )
    raise SkipNode


def setup(app: Any) -> None:
    app.add_html_math_renderer("mathml", (formula, None), (formula, None))
    app.connect("autodoc-process-docstring", keep_formulas)
