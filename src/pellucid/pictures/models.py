"""The picture of a model: a box for each layer, which opens to show the ops within, and the loss.

The graph is the one that trains: the same layers, loss and fusions, without dropout.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, count
from typing import Any

import numpy as np

from pellucid.dims import show
from pellucid.errors import ArgumentError
from pellucid.graph import Node, order, symbolic
from pellucid.nn.composite import held
from pellucid.nn.layer import Composite, Draw
from pellucid.nn.network import BATCH, Network, penalty, still, walked
from pellucid.passes import Graph, fused, unlabeled
from pellucid.pictures import svg
from pellucid.pictures.drawing import drawn
from pellucid.pictures.graphs import Part, Words, diagram, drawn_ops, told
from pellucid.pictures.measure import SPACE, brief, finite, shortened
from pellucid.pictures.nodes import TOLD, legend
from pellucid.pictures.picture import Picture
from pellucid.pictures.reading import Data, Reading, read
from pellucid.pictures.scene import Line
from pellucid.rules import shares

OPEN = 14  # ops that a model may have for all its layers to be open of themselves
MANY = 6  # equal layers in a row are one box


@dataclass(frozen=True, eq=False)
class Trace:
    """A model's graph with a leaf for each parameter, and what every layer returns."""

    net: Network
    graph: Graph  # outputs: out0, out1, … and prediction; loss, where there is one
    given: Mapping[str, Node]  # X, Y and the parameters
    data: Data = field(default_factory=Data)

    @property
    def outputs(self) -> list[Node]:
        return [self.graph.outputs[f"out{k}"] for k in range(len(self.net.layers))]

    @property
    def result(self) -> Node:
        return self.graph.outputs.get("loss", self.outputs[-1])


def traced(model: Any, X: Any = None, y: Any = None) -> Trace:
    """Trace a model, and feed it samples where there are any."""
    if X is None and y is not None:
        raise ArgumentError("y is given without X", "draw(model, X, y)")
    batch = model._batch(X, y) if y is not None else None
    rows = batch.X if batch is not None else None if X is None else model._features(X)
    plan = model._blueprint()
    graph, given = _graph(plan, model.loss_function is not None, None if y is None else still)
    arrays = {**model.params, **model.buffers}
    feed = {given[name]: np.asarray(array) for name, array in arrays.items()}
    if rows is not None:
        feed[given["X"]] = rows
    if batch is not None:
        feed[given["Y"]] = batch.Y
    return Trace(plan.net, graph, given, Data(feed, {} if rows is None else {"n": len(rows)}))


def _graph(plan: Any, lossy: bool, draw: Draw | None) -> tuple[Graph, dict[str, Node]]:
    net, x = plan.net, plan.X
    p = {slot.name: symbolic(slot.name, slot.shape, plan.dtype) for slot in net.arrays}
    names, outputs = dict[str, Node](), dict[str, Node]()
    for k in range(len(net.layers)):
        walk = walked(net.part(k, k + 1), x, p, draw)
        x = outputs[f"out{k}"] = x if walk.out is None else walk.out
        names |= {_fresh(name, names): node for name, node in walk.values.items()}
    if lossy:
        target = shares(plan.Y) if plan.loss.targets == "classes" else plan.Y
        loss, extra = plan.loss(x, target), penalty(net, p)
        outputs["loss"] = loss if extra is None else loss + extra
        names["loss"] = outputs["loss"]
    return fused(unlabeled(outputs, names, plan.dtype)), {**p, "X": plan.X, "Y": plan.Y}


def _fresh(name: str, taken: Mapping[str, Node]) -> str:
    return next(t for t in chain([name], (f"{name}_{k}" for k in count(2))) if t not in taken)


# -- layers as boxes -----------------------------------------------------------------------------


def picture(
    model: Any, X: Any, y: Any, values: bool, gradients: bool, back: bool, open: Any
) -> Picture:
    """Draw a model: its layers, and its loss where it has one."""
    trace = traced(model, X, y)
    nodes = order([trace.result, *trace.outputs])
    ops = [node for node in nodes if node.op is not None]
    owner = _owners(trace, ops)
    chosen = _opened(open, len(trace.net.layers), len(ops))
    outside = frozenset((trace.given["X"], trace.given["Y"]))
    idle = {trace.given["X"]: [f"then {shortened(written(x))}" for x in _idle_after(trace, -1)]}
    plain = Words(trace.graph.names, Reading(), values, gradients, back, {}, outside, idle)
    shown = drawn_ops(ops, _parts(trace, ops, owner, chosen, plain))
    slopes = gradients and trace.given["Y"] in trace.data.feed
    reading = (
        read(nodes, trace.result, trace.data, slopes, back, shown)
        if values or slopes
        else Reading()
    )
    words = replace(plain, reading=reading)
    scene = diagram(ops, _parts(trace, ops, owner, chosen, words), words)
    body = drawn(scene, back)
    title = f"model: {_chain(trace)}"
    notes = [*legend(words), *reading.notes, *_advice(trace, words)]
    return Picture(svg.page(body.body, body.size, notes, title, _told(trace, words)), title)


def _opened(open: Any, layers: int, ops: int) -> set[int]:
    """Return the places of the layers to open; the loss comes after the last."""
    everything = set(range(layers + 1))
    if open is None or isinstance(open, bool):
        return everything if open or (open is None and ops <= OPEN) else set()
    chosen = [open] if isinstance(open, int) else list(open)
    for k in chosen:
        if not isinstance(k, int) or not -layers <= k < layers:
            raise ArgumentError(
                f"open names layer {k!r}, but there are {layers}", "count from 0, as model.layers"
            )
    return {k % layers for k in chosen}


def _owners(trace: Trace, ops: Sequence[Node]) -> dict[Node, int]:
    """Return the layer of every op: the first whose output needs it; the rest is the loss."""
    owner: dict[Node, int] = {}
    for k, out in enumerate(trace.outputs):
        for node in order([out], stop=owner):
            owner.setdefault(node, k)
    return {node: owner.get(node, len(trace.outputs)) for node in ops}


def _parts(
    trace: Trace, ops: Sequence[Node], owner: Mapping[Node, int], opened: set[int], words: Words
) -> list[Part]:
    """Return a part for each layer, one for equal layers in a row, and one for the loss."""
    found = []
    for places in [*_alike(trace.net, opened), range(len(trace.outputs), len(trace.outputs) + 1)]:
        own = tuple(node for node in ops if owner[node] in places)
        if own:
            layer = places[0] < len(trace.outputs)
            lines = _layer_lines(trace, places, words) if layer else _loss_lines(trace, words)
            slots = frozenset(trace.given[s.name] for s in trace.net.slots if s.layer in places)
            shown = own if places[0] in opened else ()
            name = f"layer {places[0] + 1}" if layer else "loss"
            found.append(Part(own, lines, shown, _tip(trace, places[0]), name, slots))
    return found


def _alike(net: Network, opened: set[int]) -> list[range]:
    """Return the places of the layers, those of many equal layers in a row as one."""
    found: list[range] = []
    shapes = [net.input_shape, *net.shapes]
    facts = [(repr(x), shapes[k], shapes[k + 1]) for k, x in enumerate(net.layers)]
    start = 0
    for k in range(1, len(facts) + 1):
        if k == len(facts) or facts[k] != facts[start]:
            whole = k - start >= MANY and opened.isdisjoint(range(start, k))
            found += [range(start, k)] if whole else [range(j, j + 1) for j in range(start, k)]
            start = k
    return found


def _tip(trace: Trace, k: int) -> str:
    return repr(trace.net.layers[k]) if k < len(trace.net.layers) else "the loss"


def _layer_lines(trace: Trace, places: range, words: Words) -> tuple[Line, ...]:
    net, k = trace.net, places[0]
    before = (BATCH, *(net.shapes[k - 1] if k else net.input_shape))
    slots = [s for s in net.slots if s.layer in places]
    size = sum(s.stop - s.start for s in slots)
    head = [
        Line(f"{_counted(places)}{SPACE}{shortened(written(net.layers[k]))}", "title"),
        Line(f"{show(before)} → {show((BATCH, *net.shapes[k]))}"),
    ]
    if slots:
        inside = ", ".join(f"{s.name} {show(s.shape)}" for s in slots if s.layer == k)
        head += [Line(shortened(inside, 40)), Line(f"{size:,} parameters")]
    head += [Line(f"then {shortened(written(layer))}") for layer in _idle_after(trace, places[-1])]
    told = [_numbers(trace, j, words, len(places) == 1) for j in dict.fromkeys((k, places[-1]))]
    return (*head, *(line for lines in told for line in lines))


def _counted(places: range) -> str:
    """Return which layers these are: 2; or 2 to 49, and how many."""
    last = f" to {places[-1] + 1}{SPACE}{len(places)} ×" if len(places) > 1 else ""
    return f"{places[0] + 1}{last}"


def written(layer: Any) -> str:
    """Return a layer as it is written, the names of its settings left out.

    Of one that holds others, what kinds these are: the picture shows the rest.
    """
    if isinstance(layer, Composite) and (inner := held(layer)):
        return f"{type(layer).__name__}: {', '.join(type(x).__name__ for x in inner)}"
    return re.sub(r"(?<=\()\w+=|\b\w+=(?=')", "", repr(layer)).replace("'", "")


def _idle_after(trace: Trace, k: int) -> list[Any]:
    """Return the layers behind one that hand on what they get, as dropout does in prediction."""
    found = []
    out = trace.outputs[k] if k >= 0 else trace.given["X"]
    for j in range(k + 1, len(trace.outputs)):
        if trace.outputs[j] is not out:
            break
        found.append(trace.net.layers[j])
    return found


def _numbers(trace: Trace, k: int, words: Words, slots: bool) -> list[Line]:
    """Return what a layer returns and the gradients that arrive at it and its parameters."""
    out, reading = trace.outputs[k], words.reading
    lines: list[Line] = []
    if words.values and out in reading.values:
        lines += told(f"{words.name(out)} =", "value", reading.values[out], reading.values[out])
    if words.gradients and reading.gradients:
        own = [trace.given[s.name] for s in trace.net.slots if s.layer == k and slots]
        for node in [_reached(trace, k, words), *own]:
            if node is not None and node in reading.gradients:
                text = f"∂{words.name(node)} {brief(reading.gradients[node])}"
                lines.append(Line(text, "grad" if finite(reading.gradients[node]) else "bad"))
    return lines


def _reached(trace: Trace, k: int, words: Words) -> Node | None:
    """Return the layer's last named value that a gradient arrives at: z where the loss merged a."""
    named = [n for n in order([trace.outputs[k]]) if words.name(n) and n.op is not None]
    own = order([trace.outputs[k - 1]]) if k else []
    before = set(own)
    return next(
        (n for n in reversed(named) if n in words.reading.gradients and n not in before), None
    )


def _loss_lines(trace: Trace, words: Words) -> tuple[Line, ...]:
    loss = trace.result
    lines = [Line("loss", "title"), *(Line(step.rule.name) for step in trace.graph.steps)]
    return (*lines, *words.numbers(loss))


def _chain(trace: Trace) -> str:
    names = [type(layer).__name__ for layer in trace.net.layers]
    more = f" and {len(names) - 8} more layers" if len(names) > 8 else ""
    return f"X → {' → '.join(names[:8])}{more}"


def _advice(trace: Trace, words: Words) -> list[str]:
    found = []
    if not trace.data.sizes:
        found.append(
            "no samples given: shapes hold the batch size n; draw(model, X, y) shows numbers"
        )
    elif words.gradients and not words.reading.gradients and not words.reading.notes:
        found.append("no gradients without targets: draw(model, X, y)")
    return found


def _told(trace: Trace, words: Words) -> str:
    net = trace.net
    said = [f"Input {show((BATCH, *net.input_shape))}."]
    for k, layer in enumerate(net.layers[:TOLD]):
        said.append(
            f"Layer {k + 1}, {shortened(repr(layer), 60)}, gives {show((BATCH, *net.shapes[k]))}."
        )
    if len(net.layers) > TOLD:
        said.append(f"{len(net.layers) - TOLD} more layers follow.")
    said.append(f"{net.size:,} parameters.")
    if trace.result in words.reading.values and words.values:
        said.append(f"The result is {brief(words.reading.values[trace.result])}.")
    return " ".join([*said, *(f"{note}." for note in words.reading.notes)])
