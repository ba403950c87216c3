"""What a picture is made of: boxes with lines of text, and edges between them.

Line      one line of text in a box, and what it tells
Box       an op, a leaf, a ghost of something drawn elsewhere, or a frame around an inner diagram
Edge      from one box to another, perhaps with a text
Diagram   boxes and edges, in the order of the calculation
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pellucid.pictures.measure import width

Role = Literal["title", "sub", "value", "grad", "bad"]
Kind = Literal["op", "leaf", "constant", "ghost", "layer", "frame", "gap"]
SIZES = {"title": 15, "sub": 12, "value": 13, "grad": 13, "bad": 13}  # of text, in pixels
HEIGHTS = {"title": 20, "sub": 16, "value": 18, "grad": 18, "bad": 18}
LABEL = 12  # the size of text on edges
PAD_X, PAD_Y = 14, 9


@dataclass(frozen=True)
class Line:
    """One line of text; its role decides its color, and a sign before it what color cannot."""

    text: str
    role: Role = "sub"

    @property
    def width(self) -> float:
        return width(self.text, SIZES[self.role], self.role in ("title", "bad"))


@dataclass(frozen=True)
class Box:
    """Something computed or given: its lines, and what is inside where it is open."""

    lines: tuple[Line, ...]
    kind: Kind = "op"
    tip: str = ""
    inner: Diagram | None = None
    name: str = ""  # what a ghost of it is called

    @property
    def text_width(self) -> float:
        return max((line.width for line in self.lines), default=0.0)

    @property
    def text_height(self) -> float:
        return sum(HEIGHTS[line.role] for line in self.lines)


@dataclass(frozen=True)
class Edge:
    """An arrow from the box `source` to the box `target`, by their places in the diagram."""

    source: int
    target: int
    text: str = ""
    tip: str = ""
    quiet: bool = False  # nothing flows along it in the direction that is shown


@dataclass(frozen=True)
class Diagram:
    """Boxes and the edges between them."""

    boxes: tuple[Box, ...]
    edges: tuple[Edge, ...]
