"""Pages written from the code, and pictures drawn by it, so that they cannot disagree with it."""

import re
from pathlib import Path
from typing import Any

from pellucid.show.reference import ops_page

# a block of Python, and perhaps the picture below it, of what the block calls `ax`
DRAWN = re.compile(
    r"^```python\n(?P<code>.*?)^```\n(?:\s*^!\[[^]]*\]\((?P<file>\S+)\)$)?",
    re.DOTALL | re.MULTILINE,
)


def generate(folder: Path) -> None:
    """Write `ops.md`, the page of every op in the registry, and the pictures of `plots.md`."""
    page, text = folder / "ops.md", ops_page()
    if not page.exists() or page.read_text("utf-8") != text:  # an unchanged page is not built again
        page.write_text(text, "utf-8")
    draw(folder / "plots.md")


def draw(page: Path) -> None:
    """Run the blocks of a page, and save each picture where the page shows it."""
    import matplotlib
    import matplotlib.pyplot as plt

    matplotlib.use("Agg")
    names: dict[str, Any] = {"__name__": "__main__"}
    text = page.read_text("utf-8")
    for block in DRAWN.finditer(text):
        above = text.count("\n", 0, block.start("code"))  # so that tracebacks quote the page
        exec(compile("\n" * above + block["code"], str(page), "exec"), names)
        if block["file"]:
            file = page.parent / block["file"]
            file.parent.mkdir(parents=True, exist_ok=True)
            first = names["ax"].flat[0] if hasattr(names["ax"], "flat") else names["ax"]
            first.figure.savefig(file, dpi=110)
            plt.close(first.figure)
