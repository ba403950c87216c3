"""Pages written from the code, so that they cannot disagree with it."""

from pathlib import Path

from pellucid.show.reference import ops_page


def generate(folder: Path) -> None:
    """Write `ops.md`, the page of every op in the registry, into the folder."""
    page, text = folder / "ops.md", ops_page()
    if not page.exists() or page.read_text("utf-8") != text:  # an unchanged page is not built again
        page.write_text(text, "utf-8")
