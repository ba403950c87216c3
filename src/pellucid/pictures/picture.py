"""A picture: SVG as text, which notebooks show, and which can be saved."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4
from xml.sax.saxutils import escape

from pellucid.errors import ArgumentError

PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="color-scheme" content="light dark">
<meta name="viewport" content="width=device-width"><title>{title}</title></head>
<body>
{svg}
</body>
</html>
"""


@dataclass(frozen=True)
class Picture:
    """A drawing, as SVG text; a notebook shows it, and `save` writes it to a file.

    >>> Picture("<svg/>", "nothing")
    <picture: nothing>
    """

    svg: str = field(repr=False)
    title: str = ""

    def __str__(self) -> str:
        return self.svg

    def __repr__(self) -> str:
        return f"<picture: {self.title}>"

    def _repr_svg_(self) -> str:
        return self.svg

    def _repr_html_(self) -> str:
        return f'<div style="overflow-x:auto">{self.svg}</div>'  # scrolled, not shrunk

    def save(self, path: str | Path) -> Path:
        """Write the picture to a file, all or nothing, and return its path.

        Args: `path`, which ends in .svg, or in .html for a page of its own.
        Raises: ArgumentError for any other ending.

            pc.draw(f).save("graph.svg")
        """
        path = Path(path)
        texts = {".svg": self.svg, ".html": PAGE.format(title=escape(self.title), svg=self.svg)}
        if path.suffix.lower() not in texts:
            raise ArgumentError(
                f"a picture is written as .svg or .html, not {path.suffix or path.name!r}",
                f'save("{path.stem}.svg"); a browser prints it as PDF or PNG',
            )
        draft = path.with_name(f".{path.name}.{uuid4().hex[:8]}")
        try:
            draft.write_text(texts[path.suffix.lower()], encoding="utf-8")
            os.replace(draft, path)
        finally:
            draft.unlink(missing_ok=True)
        return path
