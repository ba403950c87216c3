"""Write SVG: valid XML, texts escaped, light and dark, nothing fetched, names that never clash.

Ids and classes begin with a mark of the picture's own content, so that many can share one page.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import sha256
from xml.sax.saxutils import escape

from pellucid.pictures.layout import Point
from pellucid.pictures.measure import width

MARK = (
    "\ue000"  # stands for the picture's own prefix until its content is known; taken out of texts
)
NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\uf900-\ufffd\U00010000-\U0010ffff]")
MARGIN = 20.0
LEGEND = 12  # the size of its text
LEAST = 360.0  # a picture is at least this wide, so that its legend has room

# selector: (light, dark).  Blue and orange stay apart for every kind of color vision.
COLORS = {
    "paper": ("fill:#ffffff", "fill:#11151c"),
    "op": ("fill:#f4f6f9;stroke:#8a94a3", "fill:#1d2430;stroke:#7d899b"),
    "leaf": ("fill:#e9f2ec;stroke:#5d8a6e", "fill:#1a2b22;stroke:#6ea584"),
    "constant": ("fill:#ffffff;stroke:#b4bcc8", "fill:#11151c;stroke:#566173"),
    "ghost": ("fill:#ffffff;stroke:#8a94a3;stroke-dasharray:4 3",
              "fill:#11151c;stroke:#7d899b;stroke-dasharray:4 3"),
    "layer": ("fill:#eef1f8;stroke:#6b7ba6;stroke-width:1.5",
              "fill:#1b2233;stroke:#8496c8;stroke-width:1.5"),
    "frame": ("fill:#fafbfd;stroke:#6b7ba6;stroke-width:1.5",
              "fill:#161b26;stroke:#8496c8;stroke-width:1.5"),
    "gap": ("fill:#eef1f8;stroke:#6b7ba6;stroke-dasharray:2 3",
            "fill:#1b2233;stroke:#8496c8;stroke-dasharray:2 3"),
    "alarm": ("stroke:#b3261e;stroke-width:3", "stroke:#ff8a80;stroke-width:3"),
    "title": ("fill:#1b2330", "fill:#eef2f8"),
    "sub": ("fill:#5a6575", "fill:#a7b1c0"),
    "value": ("fill:#0b57a4", "fill:#7cb8f5"),
    "grad": ("fill:#a8430a", "fill:#f5a66b"),
    "bad": ("fill:#b3261e", "fill:#ff8a80"),
    "edge": ("stroke:#8a94a3", "stroke:#76839a"),
    "tip": ("fill:#69737f", "fill:#94a1b5"),
    "label": ("fill:#5a6575", "fill:#a7b1c0"),
    "more": ("stroke:#0b67b8", "stroke:#6db3f5"),
    "less": ("stroke:#c4590c;stroke-dasharray:6 4", "stroke:#f0994f;stroke-dasharray:6 4"),
    "up": ("fill:#0b67b8", "fill:#6db3f5"),
    "down": ("fill:#c4590c", "fill:#f0994f"),
    "minus": ("fill:#ffffff;stroke:#c4590c;stroke-width:1.5",
              "fill:#11151c;stroke:#f0994f;stroke-width:1.5"),
    "held": ("fill:#1b2330", "fill:#eef2f8"),
    "neuron": ("fill:#ffffff;stroke:#5a6575", "fill:#11151c;stroke:#a7b1c0"),
}  # fmt: skip
FONT = "system-ui,-apple-system,'Segoe UI',Roboto,Helvetica,Arial,sans-serif"
SHAPES = {
    "edge": "fill:none;stroke-width:1.4",
    "title": "font-size:15px;font-weight:600",
    "sub": "font-size:12px",
    "value": "font-size:13px",
    "grad": "font-size:13px",
    "bad": "font-size:13px;font-weight:700",
    "label": "font-size:12px",
    "held": "font-size:11px",
    "more": "fill:none",
    "less": "fill:none",
    "alarm": "fill:none",
    "neuron": "stroke-width:1.5",
}


def text_of(text: object) -> str:
    """Return a text as XML may hold it."""
    return escape(NOT_XML.sub("\ufffd", str(text)), {'"': "&quot;"})


def classed(*names: str) -> str:
    return 'class="' + " ".join(f"{MARK}-{name}" for name in names) + '"'


def num(value: float) -> str:
    """Return a coordinate with one decimal, which is finer than a screen."""
    return f"{value:.1f}".removesuffix(".0")


def words(text: str, x: float, y: float, role: str, anchor: str = "middle") -> str:
    place = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text x="{num(x)}" y="{num(y)}"{place} {classed(role)}>{text_of(text)}</text>'


def rectangle(corner: Point, size: Point, radius: float, *names: str) -> str:
    (x, y), (w, h) = corner, size
    box = f'x="{num(x)}" y="{num(y)}" width="{num(w)}" height="{num(h)}"'
    return f'<rect {box} rx="{num(radius)}" {classed(*names)}/>'


def group(parts: Sequence[str], name: str, tip: str = "") -> str:
    """Return elements as one, with what is shown when the pointer rests on it."""
    told = f"<title>{text_of(tip)}</title>" if tip else ""
    return f"<g {classed(name)}>{told}{''.join(parts)}</g>"


def moved(body: str, x: float, y: float) -> str:
    if x == y == 0:
        return body
    return f'<g transform="translate({num(x)} {num(y)})">{body}</g>'


def curve(points: Sequence[Point]) -> str:
    """Return a path that is level across columns and swings between them."""
    (x, y), steps = points[0], []
    for k, (u, v) in enumerate(points[1:]):
        if k % 2 == 0 or v == y:
            steps.append(f"L{num(u)} {num(v)}" if u != x or v != y else "")
        else:
            mid = num((x + u) / 2)
            steps.append(f"C{mid} {num(y)} {mid} {num(v)} {num(u)} {num(v)}")
        x, y = u, v
    return f"M{num(points[0][0])} {num(points[0][1])}{''.join(steps)}"


def arrow(tip: Point, right: bool) -> str:
    """Return an arrow's head; drawn, not referred to, so that it needs no id."""
    (x, y), back = tip, -8 if right else 8
    corners = f"{num(x)},{num(y)} {num(x + back)},{num(y - 4)} {num(x + back)},{num(y + 4)}"
    return f'<polygon points="{corners}" {classed("tip")}/>'


def legend(entries: Sequence[str], left: float, top: float, room: float) -> tuple[str, float]:
    """Return the entries in lines of at most this width, and their height."""
    lines: list[str] = []
    for entry in entries:
        joined = f"{lines[-1]}   ·   {entry}" if lines else entry
        if lines and width(joined, LEGEND) <= room:
            lines[-1] = joined
        else:
            lines += _broken(entry, room)
    body = [words(t, left, top + 14 + 17 * k, "sub", "start") for k, t in enumerate(lines)]
    return "".join(body), 17.0 * len(lines)


def _broken(entry: str, room: float) -> list[str]:
    """Return one entry in as many lines as it needs."""
    lines = [""]
    for word in entry.split(" "):
        longer = f"{lines[-1]} {word}".strip()
        if width(longer, LEGEND) <= room or not lines[-1]:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def page(body: str, size: Point, notes: Sequence[str], title: str, desc: str) -> str:
    """Return a whole picture: its paper, its style, its texts for those who cannot see it."""
    wide = max(size[0], LEAST)
    told, tall = legend(notes, MARGIN, MARGIN + size[1] + 14, wide)
    w, h = num(wide + 2 * MARGIN), num(size[1] + 2 * MARGIN + (tall + 14 if notes else 0))
    inside = (
        f'<title id="{MARK}-t">{text_of(title)}</title><desc id="{MARK}-d">{text_of(desc)}</desc>'
        f"<style>{style(body + told)}</style>"
        f'<rect width="{w}" height="{h}" rx="8" {classed("paper")}/>'
        f"{moved(body, MARGIN + (wide - size[0]) / 2, MARGIN)}{told}"
    )
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" id="{MARK}" width="{w}" height="{h}" '
        f'viewBox="0 0 {w} {h}" role="img" aria-labelledby="{MARK}-t {MARK}-d" '
        f'font-family="{FONT}">'
    )
    whole = f"{head}{inside}</svg>"
    return whole.replace(MARK, f"p{sha256(whole.encode()).hexdigest()[:10]}")


def style(body: str) -> str:
    """Return the rules of the classes that are used, for light and for dark."""
    used = {
        name: pair for name, pair in COLORS.items() if f"{MARK}-{name}" in body or name == "paper"
    }
    light = "".join(
        f".{MARK}-{name}{{{colors[0]};{SHAPES.get(name, '')}}}" for name, colors in used.items()
    )
    dark = "".join(f".{MARK}-{name}{{{colors[1]}}}" for name, colors in used.items())
    return f"{light}@media (prefers-color-scheme:dark){{{dark}}}"
