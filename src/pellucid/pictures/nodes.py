"""The picture of one node: everything that it is computed from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pellucid.errors import DtypeError
from pellucid.graph import Node, order
from pellucid.passes import unlabeled
from pellucid.pictures import svg
from pellucid.pictures.drawing import drawn
from pellucid.pictures.graphs import Words, diagram, drawn_ops, folded, last_of
from pellucid.pictures.measure import brief
from pellucid.pictures.picture import Picture
from pellucid.pictures.reading import Data, Reading, read
from pellucid.pictures.scene import Diagram
from pellucid.pictures.symbols import symbol

TOLD = 12  # values that the description tells


def picture(target: Node, values: bool, gradients: bool, back: bool, open: Any) -> Picture:
    """Draw a node and all below it."""
    if open is not None and not isinstance(open, bool):
        raise DtypeError(f"open is {open!r}", "for a node: True, False or None")
    bare = unlabeled({"result": target})
    result, names = bare.outputs["result"], bare.names
    nodes = order([result])
    ops = [node for node in nodes if node.op is not None]
    parts = [] if open is True else folded(ops, opened=open is None)
    shown = drawn_ops(ops, parts)
    wanted = values or gradients
    reading = read(nodes, result, Data(), gradients, back, shown) if wanted else Reading()
    words = Words(names, reading, values, gradients, back, last_of(parts))
    scene = diagram(ops, parts, words) if ops else Diagram((words.box(result),), ())
    body = drawn(scene, back)
    title = f"computation graph: {_inputs(nodes)} → {_called(result, names)}"
    notes = [*legend(words), *reading.notes, *symbolic_note(result, words)]
    whole = svg.page(body.body, body.size, notes, title, _told(nodes, result, words))
    return Picture(whole, title)


def _called(node: Node, names: Mapping[Node, str]) -> str:
    return names.get(node) or node.name or (symbol(node.op) if node.op else "constant")


def _inputs(nodes: Sequence[Node]) -> str:
    given = [n.name for n in nodes if n.op is None and n.name]
    more = f" and {len(given) - 6} more" if len(given) > 6 else ""
    return (", ".join(given[:6]) or "constants") + more


def symbolic_note(result: Node, words: Words) -> list[str]:
    missing = words.values and result not in words.reading.values and not words.reading.notes
    return ["no numbers: some inputs carry no data"] if missing else []


def legend(words: Words) -> list[str]:
    """Return what the signs in the picture mean."""
    reading = words.reading
    told = []
    if words.values and reading.values:
        told.append("= value (of large arrays: mean and [min, max])")
    if words.gradients and reading.gradients:
        told.append("∂ gradient of the result")
    if reading.paths if words.back else reading.locals:
        local = "on edges: local gradient × upstream = what arrives"
        told.append(local if words.back else "on edges: × local gradient ∂out/∂in")
        told += ["|·| ≤ largest magnitude"] * _has_arrays(words)
    if words.last:
        told.append("in folded parts: first … last, arrays of the first")
    return told


def _has_arrays(words: Words) -> bool:
    shown = words.reading.paths if words.back else words.reading.locals
    return any(array.size > 1 for array in shown.values())


def _told(nodes: Sequence[Node], result: Node, words: Words) -> str:
    """Return the picture in words, for those who cannot see it."""
    named = [n for n in nodes if (words.name(n) or n is result) and n in words.reading.values]
    ops = sum(n.op is not None for n in nodes)
    said = [f"{ops} op{'s' * (ops != 1)} on {_inputs(nodes)}."]
    shown = list(dict.fromkeys([*named[:TOLD], *named[-1:]]))  # the result is the last
    if words.values:
        said += [f"{_called(n, words.names)} = {brief(words.reading.values[n])}." for n in shown]
    if words.gradients:
        said += [
            f"∂/∂{_called(n, words.names)} = {brief(words.reading.gradients[n])}."
            for n in shown
            if n in words.reading.gradients and n is not result
        ]
    return " ".join([*said, *(f"{note}." for note in words.reading.notes)])
