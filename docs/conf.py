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
exclude_patterns = ["_build"]

autodoc_member_order = "bysource"
autodoc_typehints = "description"

html_theme = "furo"
html_title = f"pellucid {__version__}"

QUOTED_OR_MARK = re.compile(r"(?P<quoted>(?P<ticks>`+).*?(?P=ticks))|(?P<mark>[*|_\\])")


def keep_formulas(app: Any, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Let |x|, w*x and \\sigma stand in a docstring: only backticks and >>> are marks there."""
    example = False
    for i, line in enumerate(lines):
        example = bool(line.strip()) and (example or line.lstrip().startswith(">>>"))
        if not example:
            lines[i] = QUOTED_OR_MARK.sub(lambda m: m["quoted"] or "\\" + m["mark"], line)


def formula(translator: Any, node: Any) -> None:
    """Write a formula as MathML, with the converter that docutils brings along."""
    block = node.tagname == "math_block"
    tag = "div" if block else "span"
    translator.body.append(f'<{tag} class="math">{tex2mathml(node.astext().strip(), as_block=block)}</{tag}>')
    raise SkipNode


def setup(app: Any) -> None:
    app.add_html_math_renderer("mathml", (formula, None), (formula, None))
    app.connect("autodoc-process-docstring", keep_formulas)
