"""The picture of neurons: a circle for each, and an edge for each weight, by sign and size.

A column is what one array holds of a sample: the inputs, then what every layer with weights
returns, its activation included.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from pellucid.errors import ArgumentError
from pellucid.graph import Array, Node, order
from pellucid.nn.layer import Composite
from pellucid.pictures import svg
from pellucid.pictures.measure import brief, finite, number, shortened
from pellucid.pictures.models import Trace, traced, written
from pellucid.pictures.picture import Picture
from pellucid.pictures.reading import read

MOST, FIRST, LAST = 16, 8, 7  # neurons that a column shows; of more: the first and last
DEEP, EARLY, LATE = 8, 4, 3  # the same for columns
RADIUS, STEP, ACROSS = 18.0, 46.0, 190.0
SIDE = 85.0  # the room that texts over the outer columns need beyond their middle
HEAD, LINES = 74.0, 3  # the height of what is written over a column, and its lines
THIN, THICK = 0.4, 5.0  # the width of edges, from weight 0 to the largest


@dataclass(frozen=True, eq=False)
class Column:
    """Neurons side by side: how many, what they are called, and how they are reached."""

    count: int
    title: str
    notes: tuple[str, ...] = ()
    weights: Array | None = None  # (before, count)
    bias: Array | None = None  # (count,)
    names: tuple[str, str] = ("", "")  # of weights and bias
    activations: Array | None = None  # (count,), of the sample

    @property
    def shown(self) -> list[int]:
        if self.count <= MOST:
            return list(range(self.count))
        return [*range(FIRST), *range(self.count - LAST, self.count)]

    @property
    def slots(self) -> int:
        """How many places it takes, that of the dots for what is left out included."""
        return len(self.shown) + (self.count > MOST)


def picture(model: Any, X: Any, sample: int, values: bool) -> Picture:
    """Draw a model's neurons, with what they hold of one sample where X is given."""
    trace = traced(model, X)
    columns = _columns(trace, _activations(trace, sample) if values else {})
    largest = max((_largest(c.weights) for c in columns), default=0.0) or 1.0
    tall = max(c.slots for c in columns) * STEP + HEAD
    cut = len(columns) - LATE if len(columns) > DEEP else 0  # the first column after those left out
    shown = [*columns[:EARLY], *columns[cut:]] if cut else columns
    parts = [_edges(shown, k, tall, largest) for k in range(1, len(shown)) if not cut or k != EARLY]
    parts += [_neurons(c, k, tall, largest) for k, c in enumerate(shown)]
    if cut:
        between = ACROSS * (EARLY - 0.5), HEAD + (tall - HEAD) / 2
        parts.append(svg.words(f"⋯ {cut - EARLY} layers ⋯", *between, "sub"))
    wide = ACROSS * (len(shown) - 1) + 2 * SIDE
    body = svg.moved("".join(parts), SIDE, 0)
    title = f"network: {' → '.join(str(c.count) for c in columns)} neurons"
    notes = _legend(columns, largest, sample)
    return Picture(svg.page(body, (wide, tall), notes, title, _told(columns, largest)), title)


# -- what is drawn -------------------------------------------------------------------------------


def _activations(trace: Trace, sample: int) -> dict[Node, Array]:
    """Return what the network holds of one sample, by node."""
    if not trace.data.sizes:
        return {}
    rows = trace.data.sizes["n"]
    if not isinstance(sample, int) or not -rows <= sample < rows:
        raise ArgumentError(f"sample is {sample!r}, but X has {rows} rows", "count from 0")
    nodes = order(trace.outputs)
    values = read(nodes, trace.outputs[-1], trace.data, slopes=False).values
    return {node: values[node][sample] for node in [trace.given["X"], *trace.outputs]}


def _columns(trace: Trace, held: dict[Node, Array]) -> list[Column]:
    """Return the inputs and every layer that has a matrix of weights, others noted at them."""
    net = trace.net
    found = [_input(trace, held)]
    for k, layer in enumerate(net.layers):
        if isinstance(layer, Composite):
            raise ArgumentError(
                f"layer {k + 1}, {type(layer).__name__}, holds other layers: it is not drawn as "
                "neurons",
                'style="graph" draws any model',
            )
        weights = _matrix(trace, k, found[-1].count)
        noted = shortened(written(layer), 22)
        flat = None if trace.outputs[k] not in held else held[trace.outputs[k]].reshape(-1)
        if weights is None:
            _check_width(trace, k, found[-1].count)
            last = found[-1]
            found[-1] = _with(last, (*last.notes, f"then {noted}"), flat)
        else:
            name, bias = weights
            W, b = _array(trace, name), _array(trace, bias)
            title = f"layer {k + 1}"
            found.append(Column(W.shape[1], title, (noted,), W, b, (name, bias or ""), flat))
    if len(found) == 1:
        raise ArgumentError(
            "the model has no layer with a matrix of weights", 'style="graph" draws any model'
        )
    return found


def _input(trace: Trace, held: dict[Node, Array]) -> Column:
    x = trace.given["X"]
    count = prod(trace.net.input_shape)
    flat = held[x].reshape(-1) if x in held else None
    return Column(count, "input", activations=flat)


def _count(trace: Trace, k: int) -> int:
    """Return how many values a layer returns for a sample."""
    return prod(map(int, trace.net.shapes[k]))  # type: ignore[arg-type]


def _with(column: Column, notes: tuple[str, ...], activations: Array | None) -> Column:
    return Column(
        column.count, column.title, notes, column.weights, column.bias, column.names, activations
    )


def _matrix(trace: Trace, k: int, before: int) -> tuple[str, str] | None:
    """Return the names of a layer's weights, of shape (before, after), and of its bias."""
    shapes = {s.name: s.shape for s in trace.net.arrays}
    own = [(name, shapes[name]) for _, name in trace.net.owners[k]]
    after = _count(trace, k)
    weights = [name for name, shape in own if shape == (before, after)]
    bias = [name for name, shape in own if shape == (after,)]
    return (weights[0], bias[0] if bias else "") if len(weights) == 1 else None


def _check_width(trace: Trace, k: int, before: int) -> None:
    """Refuse a layer without weights that changes how many neurons there are."""
    after = _count(trace, k)
    if after != before:
        raise ArgumentError(
            f"layer {k + 1}, {type(trace.net.layers[k]).__name__}, makes {after} of {before} values"
            " without a matrix of weights: it is not drawn as neurons",
            'style="graph" draws any model',
        )


def _array(trace: Trace, name: str) -> Any:
    return np.asarray(trace.data.feed[trace.given[name]]) if name else None


def _largest(weights: Array | None) -> float:
    if weights is None or not weights.size:
        return 0.0
    sizes = np.abs(weights[np.isfinite(weights)])
    return float(sizes.max()) if sizes.size else 0.0


# -- how it is drawn -----------------------------------------------------------------------------


def _places(column: Column, tall: float) -> dict[int, float]:
    """Return the height of every neuron that is shown, by its number."""
    top = HEAD + (tall - HEAD - column.slots * STEP) / 2 + STEP / 2
    gap = FIRST if column.count > MOST else column.count
    return {n: top + STEP * (i + (i >= gap)) for i, n in enumerate(column.shown)}


def _edges(columns: Sequence[Column], k: int, tall: float, largest: float) -> str:
    column = columns[k]
    assert column.weights is not None
    left, right = _places(columns[k - 1], tall), _places(column, tall)
    name = column.names[0]
    parts = []
    for j, y in right.items():
        for i, x in left.items():
            w = column.weights[i, j]
            ends = ((ACROSS * (k - 1) + RADIUS, x), (ACROSS * k - RADIUS, y))
            parts.append(_edge(ends, w, largest, f"{name}[{i}, {j}] = {number(w)}"))
    return "".join(parts)


def _edge(ends: Sequence[tuple[float, float]], w: Any, largest: float, tip: str) -> str:
    (a, b), (c, d) = ends
    place = f'x1="{svg.num(a)}" y1="{svg.num(b)}" x2="{svg.num(c)}" y2="{svg.num(d)}"'
    if not finite(w):
        kind, wide, seen = "alarm", 3.0, 1.0
    else:
        share = min(abs(float(w)) / largest, 1.0)
        kind, wide = "less" if w < 0 else "more", THIN + (THICK - THIN) * share
        seen = 0.35 + 0.6 * share
    look = f'stroke-width="{wide:.2f}" opacity="{seen:.2f}"'
    return f"<line {place} {look} {svg.classed(kind)}><title>{svg.text_of(tip)}</title></line>"


def _neurons(column: Column, k: int, tall: float, largest: float) -> str:
    x, places = ACROSS * k, _places(column, tall)
    parts = [svg.words(column.title, x, 14, "title")]
    label = f"{column.count} neuron{'s' * (column.count != 1)}"
    notes = [label, *column.notes]
    if len(notes) > LINES:
        notes = [*notes[: LINES - 1], f"and {len(notes) - LINES + 1} more layers"]
    parts += [svg.words(n, x, 31 + 15 * i, "sub") for i, n in enumerate(notes)]
    parts += [_neuron(column, n, (x, y), largest) for n, y in places.items()]
    if column.count > MOST:
        y = places[FIRST - 1] + STEP
        parts.append(svg.words(f"⋮ {column.count - FIRST - LAST} more", x, y + 4, "sub"))
    return "".join(parts)


def _neuron(column: Column, n: int, center: tuple[float, float], largest: float) -> str:
    (x, y), held = center, column.activations
    circle = f'<circle cx="{svg.num(x)}" cy="{svg.num(y)}" r="{RADIUS:g}"'
    parts = [f"{circle} {svg.classed('neuron')}/>"]
    tip = f"{column.title}, neuron {n}"
    if held is not None:
        parts += _filled(held, n, circle, center)
        tip += f": {number(held[n])}"
    if column.bias is not None and column.bias[n]:
        b = column.bias[n]
        tip += f", {column.names[1]}[{n}] = {number(b)}"
        parts.insert(0, _bias((x, y), b, largest))
    return svg.group(parts, "box", tip)


def _filled(held: Array, n: int, circle: str, center: tuple[float, float]) -> list[str]:
    """Return the neuron's filling, by sign and size of what it holds, and the number itself."""
    value, top = held[n], _largest(held) or 1.0
    sign = "down" if value < 0 else "up"
    share = min(abs(float(value)) / top, 1.0) if finite(value) else 0.0
    shade = f'{circle} opacity="{0.05 + 0.4 * share:.2f}" {svg.classed(sign)}/>'
    role = "held" if finite(value) else "bad"
    return [shade, svg.words(_tiny(value), center[0], center[1] + 4, role)]


def _tiny(value: Any) -> str:
    """Return a number that fits a circle: two decimals, or a power of ten."""
    if not finite(value) or value == 0:
        return number(value)
    size = abs(float(value))
    if 0.005 <= size < 999.5:
        return f"{float(value):.{2 if size < 9.995 else 0}f}"
    mantissa, _, exponent = f"{float(value):.0e}".partition("e")
    return f"{mantissa}e{int(exponent)}"


def _bias(center: tuple[float, float], b: Any, largest: float) -> str:
    """Return a small square at the neuron, the larger the bias: hollow where it is negative."""
    half = 2 + 3 * min(abs(float(b)) / largest, 1.0) if finite(b) else 5.0
    x, y = center[0] - RADIUS + 1, center[1] - RADIUS + 1
    kind = ("minus" if b < 0 else "up") if finite(b) else "alarm"
    return svg.rectangle((x - half, y - half), (2 * half, 2 * half), 1, kind)


def _legend(columns: Sequence[Column], largest: float, sample: int) -> list[str]:
    told = [
        "weights: blue, solid: positive; orange, dashed: negative",
        f"width: |weight|, largest {number(largest)}",
    ]
    if any(c.bias is not None for c in columns):
        told.append("squares: bias, hollow where negative")
    if any(c.activations is not None for c in columns):
        told.append(f"in circles: activation of sample {sample}; blue positive, orange negative")
    if any(c.count > MOST for c in columns):
        told.append(f"of more than {MOST} neurons, the first {FIRST} and last {LAST}")
    return told


def _told(columns: Sequence[Column], largest: float) -> str:
    said = [f"{len(columns)} columns of neurons."]
    for c in columns:
        said.append(f"{c.title}: {c.count} neurons{', ' + ', '.join(c.notes) if c.notes else ''}.")
        if c.activations is not None:
            said.append(f"Activations {brief(c.activations)}.")
    return " ".join([*said, f"The largest weight is {number(largest)} in size."])
