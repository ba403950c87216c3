"""Pictures: every number where it belongs, nothing on top of anything else, valid and safe SVG."""

import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pellucid as pc
from pellucid.graph import Node, order, symbolic
from pellucid.op import OPS
from pellucid.pictures import Picture, draw
from pellucid.pictures.fold import repeats
from pellucid.pictures.layout import layout, ranks, spread
from pellucid.pictures.measure import brief, lines, number, shortened, width
from pellucid.pictures.symbols import settings as settings_of
from pellucid.pictures.symbols import symbol

import test_ops  # isort: skip  # its cases: every op on operands that it takes

SVG = "{http://www.w3.org/2000/svg}"
SIZE = {"title": 15, "sub": 12, "value": 13, "grad": 13, "bad": 13, "label": 12, "held": 11}


# -- reading a picture back ------------------------------------------------------------------------


@dataclass
class Rect:
    x: float
    y: float
    w: float
    h: float

    def overlaps(self, other: "Rect", slack: float = 0.1) -> bool:
        return (
            self.x + slack < other.x + other.w
            and other.x + slack < self.x + self.w
            and self.y + slack < other.y + other.h
            and other.y + slack < self.y + self.h
        )

    def holds(self, other: "Rect", slack: float = 0.2) -> bool:
        return (
            self.x - slack <= other.x
            and self.y - slack <= other.y
            and other.x + other.w <= self.x + self.w + slack
            and other.y + other.h <= self.y + self.h + slack
        )


@dataclass
class Drawn:
    """What was read back: boxes with their texts, texts on edges, paths; in the page's units."""

    boxes: list[tuple[Rect, list[str], tuple[int, ...]]] = field(default_factory=list)
    texts: list[tuple[Rect, str, tuple[int, ...]]] = field(default_factory=list)
    labels: list[tuple[Rect, str]] = field(default_factory=list)
    paths: list[tuple[list[tuple[float, float]], tuple[int, ...]]] = field(default_factory=list)


def name_of(element: ET.Element) -> str:
    return element.get("class", "").split("-", 1)[-1]


def read_back(picture: Picture) -> Drawn:
    """Parse the SVG and take every shift into account."""
    found = Drawn()
    walk(ET.fromstring(picture.svg), (0.0, 0.0), (), found)
    return found


def walk(
    element: ET.Element, at: tuple[float, float], inside: tuple[int, ...], found: Drawn
) -> None:
    shift = re.match(r"translate\(([-\d.]+) ([-\d.]+)\)", element.get("transform", ""))
    x, y = (at[0] + float(shift[1]), at[1] + float(shift[2])) if shift else at
    rect = element.find(f"{SVG}rect")
    if element.tag == f"{SVG}g" and name_of(element) == "box" and rect is not None:
        own = Rect(*(float(rect.get(k, 0)) for k in ("x", "y", "width", "height")))
        words = [t.text or "" for t in element.findall(f"{SVG}text")]
        found.boxes.append((Rect(own.x + x, own.y + y, own.w, own.h), words, inside))
        inside = (*inside, len(found.boxes) - 1)
    if element.tag == f"{SVG}text" and name_of(element) == "label":
        found.labels.append((text_rect(element, x, y), element.text or ""))
    elif element.tag == f"{SVG}text":
        found.texts.append((text_rect(element, x, y), element.text or "", inside))
    elif element.tag == f"{SVG}path":
        found.paths.append((points(element.get("d", ""), x, y), inside))
    for child in element:
        walk(child, (x, y), inside, found)


def text_rect(element: ET.Element, x: float, y: float) -> Rect:
    role = name_of(element)
    size = SIZE[role]
    wide = width(element.text or "", size, role in ("title", "bad"))
    left = float(element.get("x", 0)) + x
    if element.get("text-anchor") == "middle":
        left -= wide / 2
    return Rect(left, float(element.get("y", 0)) + y - 0.78 * size, wide, size)


def points(d: str, x: float, y: float) -> list[tuple[float, float]]:
    """Return points along a path of lines and curves."""
    found: list[tuple[float, float]] = []
    for letter, rest in re.findall(r"([MLC])([^MLC]*)", d):
        values = [float(v) for v in rest.split()]
        ends = list(zip(values[::2], values[1::2], strict=True))
        if letter == "C":
            p = [found[-1], *((a + x, b + y) for a, b in ends)]
            for t in np.linspace(0.1, 1, 10):
                w = [(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3]
                found.append(
                    tuple(sum(a * q[k] for a, q in zip(w, p, strict=True)) for k in (0, 1))
                )
        elif found and letter == "L":
            (a, b), (c, e) = found[-1], (ends[0][0] + x, ends[0][1] + y)
            found += [(a + (c - a) * t, b + (e - b) * t) for t in np.linspace(0.1, 1, 10)]
        else:
            found.append((ends[0][0] + x, ends[0][1] + y))
    return found


def check_geometry(picture: Picture) -> Drawn:
    """Nothing lies on anything else, and everything is on the paper."""
    found = read_back(picture)
    root = ET.fromstring(picture.svg)
    paper = Rect(0, 0, float(root.get("width", 0)), float(root.get("height", 0)))
    for (a, wa, ia), (b, wb, ib) in combinations(found.boxes, 2):
        nested = a.holds(b) and len(ia) < len(ib)
        assert nested or not a.overlaps(b), (wa, wb)
    for rect, text, inside in found.texts:
        home = found.boxes[inside[-1]][0] if inside else paper
        assert home.holds(rect), text
    for (a, s, _), (b, t, _) in combinations(found.texts, 2):
        assert not a.overlaps(b), (s, t)
    for rect, text in found.labels:
        assert paper.holds(rect)
        for other, words, inner in found.boxes:
            assert not rect.overlaps(other) or other.holds(rect), (text, words, inner)
    for (a, s), (b, t) in combinations(found.labels, 2):
        assert not a.overlaps(b), (s, t)
    for path, inside in found.paths:
        check_path(path, inside, found)
    return found


def check_path(path: list[tuple[float, float]], inside: tuple[int, ...], found: Drawn) -> None:
    """An edge begins at a box's right side, ends at a box's left side, and passes through none."""
    level = [r for r, _, i in found.boxes if i == inside]
    (x0, y0), (x1, y1) = path[0], path[-1]
    assert any(abs(r.x + r.w - x0) < 0.2 and r.y <= y0 <= r.y + r.h for r in level)
    assert any(abs(r.x - x1) < 0.2 and r.y <= y1 <= r.y + r.h for r in level)
    assert x0 < x1
    for x, y in path:
        assert not any(
            r.x + 0.5 < x < r.x + r.w - 0.5 and r.y + 0.5 < y < r.y + r.h - 0.5 for r in level
        )


def box_of(found: Drawn, name: str) -> list[str]:
    (words,) = [words for _, words, _ in found.boxes if words[0] == name]
    return words


def labels(picture: Picture) -> list[str]:
    return sorted(text for _, text in read_back(picture).labels)


# -- the layout ------------------------------------------------------------------------------------


@st.composite
def sized_graphs(drawing: Any) -> tuple[list[tuple[float, float]], list[tuple[int, int, float]]]:
    count = drawing(st.integers(1, 14))
    side = st.floats(20, 150)
    sizes = [(drawing(side), drawing(side)) for _ in range(count)]
    links = [
        (a, b, drawing(st.sampled_from([0.0, 0.0, 35.0, 80.0])))
        for b in range(1, count)
        for a in drawing(st.lists(st.integers(0, b - 1), max_size=3))
    ]
    return sizes, links


@settings(max_examples=150, deadline=None)
@given(sized_graphs())
def test_layouts_have_no_overlaps_and_run_from_left_to_right(graph: Any) -> None:
    sizes, links = graph
    plan = layout(sizes, links)
    boxes = [Rect(*c, *s) for c, s in zip(plan.corners, sizes, strict=True)]
    for a, b in combinations(boxes, 2):
        assert not a.overlaps(b)
    for (a, b, _), route in zip(links, plan.routes, strict=True):
        assert plan.ranks[a] < plan.ranks[b]
        (x0, y0), (x1, y1) = route.points[0], route.points[-1]
        assert x0 == pytest.approx(boxes[a].x + boxes[a].w)
        assert x1 == pytest.approx(boxes[b].x)
        assert boxes[a].y <= y0 <= boxes[a].y + boxes[a].h
        assert boxes[b].y <= y1 <= boxes[b].y + boxes[b].h
        xs = [x for x, _ in route.points]
        assert all(a <= b + 1e-6 for a, b in pairwise(xs))
        for x, y in route.points[1:-1]:
            assert not any(r.overlaps(Rect(x, y, 0, 0), 1e-6) for r in boxes)
    texts = [
        Rect(r.text[0] - w / 2, r.text[1] - 7, w, 12)
        for (_, _, w), r in zip(links, plan.routes, strict=True)
        if w
    ]
    for a, b in combinations(texts, 2):
        assert not a.overlaps(b)
    assert not any(t.overlaps(r) for t in texts for r in boxes)
    paper = Rect(0, 0, plan.width, plan.height)
    assert all(paper.holds(r) for r in boxes + texts)


def test_what_is_given_stands_right_before_who_reads_it() -> None:
    assert ranks(5, [(0, 1, 0), (1, 2, 0), (2, 4, 0), (3, 4, 0)]) == [0, 1, 2, 2, 3]


def test_crossings_are_taken_out() -> None:
    """Two pairs that would cross in the order in which they are given."""
    plan = layout([(40, 30)] * 6, [(0, 3, 0), (1, 2, 0), (2, 4, 0), (3, 5, 0)])
    y = [y for _, y in plan.corners]
    assert (y[0] < y[1]) == (y[3] < y[2]) == (y[5] < y[4])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.floats(-50, 50), st.floats(0.1, 5), st.floats(0, 20)), min_size=1))
def test_positions_are_the_nearest_that_keep_their_distance(rows: Any) -> None:
    wanted, weights, gaps = (list(column) for column in zip(*rows, strict=True))
    steps = gaps[1:]
    found = spread(wanted, weights, steps)
    for a, b, step in zip(found, found[1:], steps, strict=False):
        assert b - a >= step - 1e-9
    cost = sum(w * (f - x) ** 2 for w, f, x in zip(weights, found, wanted, strict=True))
    moved = [f + d for f, d in zip(found, np.linspace(-1, 1, len(found)), strict=True)]  # allowed
    other = sum(w * (f - x) ** 2 for w, f, x in zip(weights, moved, wanted, strict=True))
    assert cost <= other + 1e-6


# -- random graphs ---------------------------------------------------------------------------------

CHOICES = [
    lambda a, b: a + b,
    lambda a, b: a * b,
    lambda a, b: a - 2 * b,
    lambda a, b: np.tanh(a),
    lambda a, b: pc.sigmoid(b) * a,
    lambda a, b: pc.maximum(a, b),
]


@st.composite
def nodes(drawing: Any, most: int = 25) -> Node:
    shape = drawing(st.sampled_from([(), (), (2,), (2, 2), (5, 7)]))
    pool = [
        pc.value(np.full(shape, drawing(st.floats(-2, 2))), f"x{k}")
        for k in range(drawing(st.integers(1, 5)))
    ]
    for _ in range(drawing(st.integers(1, most))):
        pick = st.integers(max(0, len(pool) - 6), len(pool) - 1)
        made = drawing(st.sampled_from(CHOICES))(pool[drawing(pick)], pool[drawing(pick)])
        pool.append(pc.named(made, f"q{len(pool)}") if drawing(st.booleans()) else made)
    return pool[-1]


@settings(max_examples=60, deadline=None)
@given(nodes(), st.sampled_from(["forward", "backward"]), st.booleans())
def test_pictures_of_random_graphs_are_clear(node: Node, direction: str, opened: bool) -> None:
    picture = draw(node, direction=direction, open=opened or None)
    check_geometry(picture)
    assert draw(node, direction=direction, open=opened or None).svg == picture.svg


@settings(max_examples=30, deadline=None)
@given(nodes())
def test_paths_into_a_leaf_sum_to_its_gradient(node: Node) -> None:
    from pellucid.passes import unlabeled
    from pellucid.pictures.reading import Data, read

    result = unlabeled({"r": node}).outputs["r"]
    below = order([result])
    reading = read(below, result, Data(), back=True)
    for x in (n for n in below if n.op is None and n in reading.gradients):
        arriving = [g for (reader, k), g in reading.paths.items() if reader.args[k] is x]
        assert np.allclose(sum(arriving), reading.gradients[x])


# -- the textbook's examples -----------------------------------------------------------------------


def leaves(**values: float) -> list[Node]:
    return [pc.value(float(v), name) for name, v in values.items()]


def test_x_plus_y_times_z() -> None:
    x, y, z = leaves(x=2, y=3, z=4)
    f = pc.named(pc.named(x + y, "q") * z, "f")
    picture = draw(f)
    found = check_geometry(picture)
    assert box_of(found, "x") == ["x", "= 2", "∂ 4"]
    assert box_of(found, "y") == ["y", "= 3", "∂ 4"]
    assert box_of(found, "z") == ["z", "= 4", "∂ 5"]
    assert box_of(found, "q") == ["q", "+", "= 5", "∂ 4"]
    assert box_of(found, "f") == ["f", "×", "= 20", "∂ 1"]
    assert labels(picture) == ["× 1", "× 1", "× 4", "× 5"]
    assert len(found.boxes) == 5
    assert repr(picture) == "<picture: computation graph: x, y, z → f>"


def test_sigmoid_of_xy_plus_z() -> None:
    x, y, z = leaves(x=-1, y=2, z=0.5)
    found = check_geometry(draw(pc.sigmoid(x * y + z)))
    s = 1 / (1 + np.exp(1.5))
    assert box_of(found, "σ") == ["σ", f"= {s:.4g}", "∂ 1"]
    assert box_of(found, "x")[2] == f"∂ {2 * s * (1 - s):.4g}"


def test_two_paths_that_meet_are_told_apart_and_sum() -> None:
    (x,) = leaves(x=3)
    picture = draw(pc.named((x + 1) * (2 * x), "L"), direction="backward")
    found = check_geometry(picture)
    assert box_of(found, "x") == ["x", "∂ 14", "= 3"]  # the gradient leads
    assert labels(picture) == ["1 × 6 = 6", "2 × 4 = 8", "4 × 1 = 4", "6 × 1 = 6"]


def test_a_square_by_product_has_two_paths() -> None:
    (x,) = leaves(x=3)
    assert labels(draw(x * x)) == ["× 3", "× 3"]
    assert box_of(read_back(draw(x * x)), "x")[2] == "∂ 6"


def test_arrows_turn_with_the_direction() -> None:
    (x,) = leaves(x=3)
    y = 2 * np.tanh(x)

    def heads(direction: str) -> list[list[float]]:
        root = ET.fromstring(draw(y, direction=direction).svg)
        found = [p.get("points", "").split() for p in root.iter(f"{SVG}polygon")]
        return [[float(c.split(",")[0]) for c in corners] for corners in found]

    assert all(tip > back for tip, back, _ in heads("forward"))
    assert all(tip < back for tip, back, _ in heads("backward"))
    # nothing flows back to the constant
    assert len(heads("forward")) == 3
    assert len(heads("backward")) == 2


def test_numbers_can_be_left_out() -> None:
    x, y = leaves(x=2, y=3)
    bare = draw(x * y, values=False, gradients=False)
    assert box_of(read_back(bare), "x") == ["x"]
    assert labels(bare) == []
    assert box_of(read_back(draw(x * y, gradients=False)), "x") == ["x", "= 2"]
    assert box_of(read_back(draw(x * y, values=False)), "x") == ["x", "∂ 3"]


def test_symbolic_nodes_have_no_numbers() -> None:
    found = check_geometry(draw(np.tanh(symbolic("x", (3,))) + 1))
    assert box_of(found, "x") == ["x", "(3,)"]
    assert "no numbers: some inputs carry no data" in draw(symbolic("x", ()) * 2).svg


def test_a_single_leaf_is_a_picture() -> None:
    (x,) = leaves(x=2)
    assert box_of(check_geometry(draw(x)), "x") == ["x", "= 2", "∂ 1"]


def test_what_has_no_gradient_is_said() -> None:
    m = pc.value(3, "m")
    assert "no gradients: the result holds int64" in draw(m + 1).svg
    assert "∂" not in "".join(box_of(read_back(draw(pc.value(2.0, "x") * m)), "m"))
    rows = pc.value([[1.0, 2.0]], "rows")
    assert "gradients are of the sum of the result's elements" in draw(rows * 2).svg


def test_nan_and_infinity_stand_out() -> None:
    a = pc.value(np.array([1.0, np.nan, np.inf, 2, 3]), "a")
    picture = draw(a * 2)
    assert "= ⚠ 1 NaN, 1 Inf of 5" in box_of(check_geometry(picture), "a")
    assert "-alarm" in picture.svg
    assert "-alarm" not in draw(pc.value(1.0, "a") * 2).svg


# -- numbers and texts -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.95257, "0.9526"), (20.0, "20"), (-2.5, "-2.5"), (1.23456e-7, "1.235e-7"),
        (123456.7, "1.235e5"), (123456.0, "123456"), (True, "True"), (7, "7"),
        (float("nan"), "NaN"), (float("-inf"), "-Inf"), (1e300, "1e300"),
    ],
)  # fmt: skip
def test_numbers_have_four_significant_decimals(value: Any, text: str) -> None:
    assert number(value) == text


def test_small_arrays_are_written_out_and_large_ones_are_told_of() -> None:
    assert lines(np.array([1.0, 2.0])) == ["[1\u20022]"]
    assert lines(np.array([[1.0, 20.0], [3.0, 4.0]])) == [
        "[\u20071\u200220]",
        "[\u20073\u2002\u20074]",
    ]
    assert lines(np.arange(100.0)) == ["49.5", "[0, 99]"]
    assert lines(np.full((9, 9), 2.0)) == ["all 2"]
    assert lines(np.zeros((0, 3))) == ["empty (0, 3)"]
    big = np.full(1000, 3e38, np.float32)
    big[0] = 0
    assert "Inf" not in "".join(lines(big))
    assert brief(np.array([1.0, -5.0, 2.0, 0.0])) == "|·| ≤ 5"
    assert brief(np.array([-0.02572, -0.06376, 0.02596])) == "|·| ≤ 0.06376"
    assert brief(np.array([1.0, 2.0])) == "[1\u20022]"


# em in DejaVu Sans, the widest font that browsers usually fall back on: regular, bold
MEASURED = {
    "= 0.9526": (4.655, 5.045),
    "∂ -0.001454": (5.967, 6.557),
    "[-0.6678, 1.002]": (8.139, 9.079),
    "Dense(8, relu, l2=0.01)": (11.738, 13.129),
    "bernoulli logits": (7.39, 8.536),
    "× |·| ≤ 0.03906": (7.756, 8.385),
    "softmax and cross-entropy merge": (16.928, 19.106),
}


def test_texts_get_the_room_that_they_were_measured_to_need() -> None:
    for text, ems in MEASURED.items():
        for bold, em in enumerate(ems):
            assert em <= width(text, 1, bool(bold)) <= 1.2 * em, text
    assert width("中文", 10) >= 20  # East Asian letters are square


def test_long_names_are_shortened() -> None:
    assert shortened("a" * 100) == "a" * 19 + "…" + "a" * 10
    assert len(shortened("b" * 31)) == 30
    x = pc.value(1.0, "x" * 200)
    check_geometry(draw(x * 2))


def test_every_op_has_a_short_sign() -> None:
    signs = {name: symbol(op) for name, op in OPS.items()}
    assert (signs["add"], signs["multiply"], signs["matmul"]) == ("+", "×", "@")
    assert (signs["sigmoid"], signs["log"], signs["sum"]) == ("σ", "ln", "Σ")
    assert (signs["exp"], signs["relu"], signs["negative"]) == ("exp", "relu", "−")
    assert all(
        0 < len(sign) <= 20 and "$" not in sign and "\\" not in sign for sign in signs.values()
    )


@pytest.mark.parametrize("name", sorted({case[0] for case in test_ops.CASES}))
def test_every_op_can_be_drawn(name: str) -> None:
    for case in [case for case in test_ops.CASES if case[0] == name][:3]:
        node = test_ops._node(case)[0]
        for direction in ("forward", "backward"):
            picture = draw(node, direction=direction)
            check_geometry(picture)
            assert "no values" not in picture.svg
        if test_ops._differentiable(case):
            assert "∂" in picture.svg


def test_settings_are_told_where_they_matter() -> None:
    x = pc.value(np.ones((2, 3)), "x")
    assert settings_of(pc.sum(x)) == ""
    assert settings_of(pc.sum(x, axis=0)) == "np.sum(x, axis=0)"
    assert settings_of(x[0]) == "x[0]"


def test_names_are_escaped_and_cannot_be_markup() -> None:
    facts: Any = {"shape": (), "dtype": np.dtype(float), "symbolic": False, "data": np.array(2.0)}
    evil = Node(None, (), (), name='<script>alert("x")</script>&\x00\ue000]]>', **facts)
    picture = draw(evil * 3)
    root = ET.fromstring(picture.svg)
    assert not list(root.iter(f"{SVG}script"))
    assert "<script" not in picture.svg
    assert any((t.text or "").startswith("<script>") for t in root.iter(f"{SVG}text"))
    check_geometry(picture)


# -- the page --------------------------------------------------------------------------------------


def test_a_picture_is_a_well_behaved_svg() -> None:
    x, y = leaves(x=2, y=3)
    picture = draw(pc.named(x * y, "f"))
    root = ET.fromstring(picture.svg)
    assert root.tag == f"{SVG}svg"
    assert root.get("role") == "img"
    told = {e.get("id"): e.text for e in root if e.get("id")}
    title, desc = (told[key] for key in (root.get("aria-labelledby") or "").split())
    assert title == "computation graph: x, y → f"
    assert "f = 6." in (desc or "")
    assert "∂/∂x = 3." in (desc or "")
    style = root.find(f"{SVG}style")
    assert style is not None
    light, dark = (style.text or "").split("@media (prefers-color-scheme:dark)")
    named = set(re.findall(r"\.(p\w+-\w+)", light))
    assert named == set(re.findall(r"\.(p\w+-\w+)", dark))
    links = [v for e in root.iter() for k, v in e.attrib.items() if "href" in k or "url(" in v]
    assert not links
    assert "http" not in picture.svg.replace("http://www.w3.org/2000/svg", "")


def test_pictures_in_one_page_do_not_share_names() -> None:
    x, y = leaves(x=2, y=3)
    names = [set(re.findall(r"\bp[0-9a-f]{10}\b", draw(f).svg)) for f in (x + y, x * y)]
    assert all(len(n) == 1 for n in names)
    assert names[0] != names[1]
    ids = re.findall(r' id="([^"]+)"', draw(x + y).svg)
    assert len(ids) == len(set(ids))


def test_text_is_never_small() -> None:
    x, y = leaves(x=2, y=3)
    sizes = [float(s) for s in re.findall(r"font-size:([\d.]+)px", draw(x * y).svg)]
    assert min(sizes) >= 11


def luminance(color: str) -> float:
    parts = [int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_texts_have_contrast_on_light_and_dark_paper() -> None:
    from pellucid.pictures.svg import COLORS

    fills = {k: [c.split("fill:")[1][:7] for c in v] for k, v in COLORS.items() if "fill:" in v[0]}
    for role in ("title", "sub", "value", "grad", "bad", "label"):
        for paper in ("paper", "op", "leaf", "constant", "ghost", "layer", "frame", "gap"):
            for mode in (0, 1):
                a, b = luminance(fills[role][mode]), luminance(fills[paper][mode])
                assert (max(a, b) + 0.05) / (min(a, b) + 0.05) >= 4.5, (role, paper, mode)


def test_saving_is_all_or_nothing(tmp_path: Path) -> None:
    (x,) = leaves(x=2)
    picture = draw(x * x)
    assert picture.save(tmp_path / "a.svg").read_text(encoding="utf-8") == str(picture)
    page = picture.save(str(tmp_path / "b.html")).read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert picture.svg in page
    assert picture._repr_svg_() in picture._repr_html_()
    with pytest.raises(pc.ArgumentError, match=r"\.svg or \.html.*\n.*\n.*browser"):
        picture.save(tmp_path / "c.png")
    with pytest.raises(OSError):
        picture.save(tmp_path / "missing" / "d.svg")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.svg", "b.html"]


# -- large graphs ----------------------------------------------------------------------------------


def ops_of(node: Node) -> list[Node]:
    return [n for n in order([node]) if n.op is not None]


def chain(count: int) -> Node:
    h = pc.value(0.5, "x")
    for k in range(count):
        h = np.tanh(pc.value(1.1, f"w{k + 1}") * h + pc.value(0.1, f"b{k + 1}"))
    return h


def test_a_chain_of_equal_blocks_is_drawn_once() -> None:
    h = chain(100)
    (run,) = repeats(ops_of(h))
    assert (run.start, run.period, run.times) == (0, 3, 100)
    found = check_geometry(draw(h))
    assert len(found.boxes) < 10
    assert box_of(found, "× 100")[1] == "3 ops, repeated"
    assert box_of(found, "w1 … w100")[1] == "= 1.1 … 1.1"
    words = box_of(found, "tanh")
    assert words[1].split(" … ")[1] == number(h.value.item())
    assert len(check_geometry(draw(h, open=False)).boxes) == 1
    assert len(check_geometry(draw(h, open=True)).boxes) > 500


def test_folding_tells_apart_what_differs() -> None:
    h = pc.value(0.5, "x")
    for k in range(30):
        h = np.tanh(h) * (2.0 if k == 15 else 3.0)
    times = [run.times for run in repeats(ops_of(h))]
    assert sum(times) < 30
    assert all(t < 16 for t in times)


def test_a_shared_weight_and_two_carried_values_fold() -> None:
    h, c, w = leaves(h=0.1, c=0.2, w=0.5)
    for _ in range(40):
        c = pc.sigmoid(h * w) * c + np.tanh(h)
        h = np.tanh(c) * w
    runs = repeats(ops_of(h))
    assert sum(run.period for run in runs) <= 14
    assert max(run.times for run in runs) >= 39
    check_geometry(draw(h))


def test_the_backward_pass_of_a_chain_folds_too() -> None:
    x = h = pc.value(0.3, "x")
    for k in range(40):
        h = np.tanh(pc.value(1.1, f"w{k}") * h)
    picture = draw(pc.grad(h, x))
    assert len(check_geometry(picture).boxes) < 30


def test_few_repeats_are_not_folded() -> None:
    assert repeats(ops_of(chain(2))) == []


def test_what_is_too_much_is_left_out_and_said() -> None:
    h, rng = pc.value(0.3, "x"), np.random.default_rng(0)
    functions = [np.tanh, np.sin, np.cos, pc.sigmoid, np.negative, np.square]
    for k in rng.integers(0, len(functions), 1000):
        h = functions[k](h)
    picture = draw(h)
    assert re.search(r"9\d\d more ops", picture.svg)
    assert len(read_back(picture).boxes) < 150
    root = ET.fromstring(picture.svg)
    assert float(root.get("width", 0)) < 1600


def test_wide_graphs_go_on_in_rows_with_ghosts() -> None:
    x = h = pc.value(0.3, "x")
    for f in (np.tanh, np.sin, np.cos, np.tanh, np.sin, pc.sigmoid, np.cos, np.tanh, np.arctan):
        h = f(h)
    found = check_geometry(draw(h * x))
    tops = {round(r.y) for r, _, _ in found.boxes}
    assert len(tops) > 1
    cited = [words[0] for _, words, _ in found.boxes if "#" in words[0]]
    assert cited
    assert all(cited.count(name) == 2 for name in cited)


# -- models ----------------------------------------------------------------------------------------

X, Y = pc.data.moons(60, noise=0.1, seed=0)


def model(**settings: Any) -> Any:
    layers = [pc.Dense(8, "relu", l2=0.01), pc.Dropout(0.2), pc.Dense(1, "sigmoid")]
    return pc.Sequential(layers, loss="bce", **settings)


def test_a_model_is_a_box_for_each_layer() -> None:
    net = model()
    picture = draw(net, X, Y, open=False)
    found = check_geometry(picture)
    heads = [words[0] for _, words, _ in found.boxes]
    assert heads == ["X", "1\u2002Dense(8, relu, l2=0.01)", "3\u2002Dense(1, sigmoid)", "Y", "loss"]
    first = box_of(found, "1\u2002Dense(8, relu, l2=0.01)")
    assert "(n, 2) → (n, 8)" in first
    assert "24 parameters" in first
    assert "then Dropout(0.2)" in first
    slope = np.abs(net.gradients(X, Y)["W1"]).max()
    assert f"∂W1 |·| ≤ {number(slope.item())}" in first
    assert f"= {number(net.loss(X, Y))}" in box_of(found, "loss")
    assert "sigmoid and cross-entropy merge" in box_of(found, "loss")


def test_layers_open() -> None:
    net = model()
    whole = check_geometry(draw(net, X, Y, open=True))
    assert {"z1", "a1", "z2", "a2", "W1", "b2"} <= {words[0] for _, words, _ in whole.boxes}
    one = check_geometry(draw(net, X, Y, open=0, direction="backward"))
    assert "W1" in {words[0] for _, words, _ in one.boxes}
    assert "W2" not in {words[0] for _, words, _ in one.boxes}
    assert draw(net, X, Y, open=[-1]).svg == draw(net, X, Y, open=[2]).svg
    with pytest.raises(pc.ArgumentError, match="layer 3, but there are 3"):
        draw(net, X, Y, open=[3])


def test_models_without_samples_or_targets() -> None:
    net = model()
    with pytest.raises(pc.NotBuiltError):
        draw(net)
    draw(net, X)
    assert "no gradients without targets" in draw(net, X).svg
    picture = draw(net)
    check_geometry(picture)
    assert "no samples given" in picture.svg
    with pytest.raises(pc.ArgumentError, match="y is given without X"):
        draw(net, None, Y)


def test_models_without_a_loss_draw_their_prediction() -> None:
    net = pc.Sequential([pc.Dense(3, "tanh", inputs=2), pc.Dense(2, "softmax")])
    found = check_geometry(draw(net, X[:5]))
    assert "loss" not in [words[0] for _, words, _ in found.boxes]


def test_equal_layers_in_a_row_are_one_box() -> None:
    layers = [pc.Dense(4, "tanh") for _ in range(50)]
    net = pc.Sequential([*layers, pc.Dense(1)], loss="mse")
    found = check_geometry(draw(net, X, Y))
    heads = [words[0] for _, words, _ in found.boxes]
    assert "2 to 50\u200249 ×\u2002Dense(4, tanh)" in heads
    assert len(heads) < 10


def test_own_layers_with_any_name_are_drawn() -> None:
    def __call__(self: Any, x: Node, p: Any) -> Node:
        return x * np.array([1.0, 2.0]) + p["shift"]

    body = {"__call__": __call__, "parameters": lambda self, shape: {"shift": pc.Parameter(shape)}}
    odd = type("A<b>&", (pc.Layer,), body)
    net = pc.Sequential(
        [odd(), pc.Flatten(), pc.Activation(lambda z: z * 2), pc.Dense(1)], loss="mse"
    )
    net.step(X, Y)
    check_geometry(draw(net, X, Y))
    check_geometry(draw(net, X, Y, open=True))


# -- neurons ---------------------------------------------------------------------------------------


def circles(picture: Picture) -> list[ET.Element]:
    root = ET.fromstring(picture.svg)
    return [c for c in root.iter(f"{SVG}circle") if name_of(c) == "neuron"]


def edges_of(picture: Picture) -> list[tuple[str, float, str]]:
    root = ET.fromstring(picture.svg)
    return [
        (name_of(e), float(e.get("stroke-width", 0)), e[0].text or "")
        for e in root.iter(f"{SVG}line")
    ]


def test_neurons_and_weights() -> None:
    net = model()
    net.step(X, Y)
    picture = draw(net, X, style="network", sample=3)
    assert len(circles(picture)) == 2 + 8 + 1
    edges = edges_of(picture)
    assert len(edges) == 2 * 8 + 8 * 1
    W = net.params["W1"]
    for kind, _, told in edges:
        name, i, j, value = re.match(r"(\w+)\[(\d+), (\d+)\] = (.+)", told).groups()  # type: ignore[union-attr]
        w = net.params[name][int(i), int(j)]
        assert value == number(w)
        assert kind == ("less" if w < 0 else "more")
    by_size = sorted((abs(W[int(t[3]), int(t[6])]), wide) for _, wide, t in edges if t[:2] == "W1")
    assert [w for _, w in by_size] == sorted(w for _, w in by_size)
    a1 = net.activations(X)["a1"][3]
    assert f"layer 1, neuron 0: {number(a1[0])}, b1[0]" in picture.svg
    assert "stroke-dasharray" in picture.svg.split("-less{")[1].split("}")[0]


def test_many_neurons_are_left_out_in_the_middle() -> None:
    net = pc.Sequential([pc.Dense(64, "relu", inputs=17), pc.Dense(3)], loss="mse")
    picture = draw(net, style="network")
    assert len(circles(picture)) == 15 + 15 + 3
    assert "⋮ 49 more" in picture.svg
    assert "⋮ 2 more" in picture.svg
    boxes = [text_rect(t, 0, 0) for t in ET.fromstring(picture.svg).iter(f"{SVG}text")]
    for a, b in combinations(boxes, 2):
        assert not a.overlaps(b)


def test_deep_networks_show_the_first_and_last_layers() -> None:
    net = pc.Sequential([pc.Dense(3, "tanh") for _ in range(20)], loss="mse")
    picture = draw(net, X, style="network")
    assert len(circles(picture)) == 2 + 3 * 3 + 3 * 3
    assert "14 layers" in picture.svg
    assert len(edges_of(picture)) == 2 * 3 + 4 * 9


def test_neurons_of_weights_that_are_lost() -> None:
    net = model()
    net.step(X, Y)
    net.params["W1"][0, 0] = np.nan
    assert "alarm" in {kind for kind, _, _ in edges_of(draw(net, X, style="network"))}


def test_what_cannot_be_drawn_as_neurons() -> None:
    (x,) = leaves(x=2)
    with pytest.raises(pc.ArgumentError, match="no neurons"):
        draw(x * 2, style="network")
    net = pc.Sequential([pc.Activation("tanh")], loss="mse")
    net.predict(X)
    with pytest.raises(pc.ArgumentError, match="no layer with a matrix"):
        draw(net, style="network")
    with pytest.raises(pc.ArgumentError, match="sample is 60, but X has 60 rows"):
        draw(model(), X, style="network", sample=60)


# -- errors ----------------------------------------------------------------------------------------


def test_misspelled_and_misplaced_arguments() -> None:
    (x,) = leaves(x=2)
    with pytest.raises(pc.ArgumentError, match='did you mean "backward"'):
        draw(x, direction="backwards")
    with pytest.raises(pc.ArgumentError, match='did you mean "network"'):
        draw(x, style="networks")
    with pytest.raises(pc.DtypeError, match=r"ndarray cannot be drawn(.|\n)*pc\.value"):
        draw(np.ones(3))
    with pytest.raises(pc.ArgumentError, match="belong to a model"):
        draw(x, X)
    with pytest.raises(pc.DtypeError, match="open is"):
        draw(x * 2, open=[1])
