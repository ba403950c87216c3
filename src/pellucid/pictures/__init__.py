"""The graph read as a picture: boxes and arrows, layers that open, neurons and their weights."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pellucid.errors import ArgumentError, DtypeError, one_of
from pellucid.graph import Node
from pellucid.pictures import models, network, nodes
from pellucid.pictures.picture import Picture as Picture

DIRECTIONS, STYLES = ("forward", "backward"), ("graph", "network")


def draw(
    target: Any,
    X: Any = None,
    y: Any = None,
    *,
    values: bool = True,
    gradients: bool = True,
    direction: str = "forward",
    style: str = "graph",
    open: bool | int | Iterable[int] | None = None,
    sample: int = 0,
) -> Picture:
    """Draw a computation graph, or a model, as SVG.

    Args: `target`, a node or a model; `X`, `y`, the samples whose numbers a model shows; `values`
    and `gradients`, whether boxes and edges tell them; `direction`, "backward" to follow the
    gradients from the loss, local times upstream on every edge; `style`, "network" for a model's
    neurons and weights; `open`, which layers show the ops within: True for all, their places
    counted from 0, or None to decide by size (a folded part of a graph is closed by False);
    `sample`, the row of X whose activations neurons show.
    Raises: DtypeError for what is neither node nor model; ArgumentError for an unknown direction
    or style; NotBuiltError for a model without parameters.

    A graph that is too wide goes on in rows; what it repeats is drawn once; of more than 100 ops
    the first and last are drawn, unless `open=True`.

    >>> from pellucid.graph import value
    >>> draw(value(2.0, "x") * value(3.0, "y"))
    <picture: computation graph: x, y → ×>
    """
    if direction not in DIRECTIONS:
        raise one_of("direction", direction, DIRECTIONS)
    if style not in STYLES:
        raise one_of("style", style, STYLES)
    back = direction == "backward"
    if isinstance(target, Node):
        _only_graph(X, y, style)
        return nodes.picture(target, values, gradients, back, open)
    if not callable(getattr(target, "_blueprint", None)):
        raise DtypeError(
            f"{type(target).__name__} cannot be drawn: a node or a model is expected",
            'build a node first: x = pc.value(2.0, "x"); pc.draw(x * x)',
        )
    made: Picture
    if style == "network":
        made = network.picture(target, X, sample, values)
    else:
        made = models.picture(target, X, y, values, gradients, back, open)
    return made


def _only_graph(X: Any, y: Any, style: str) -> None:
    if style == "network":
        raise ArgumentError(
            "a node has no neurons to draw", 'style="graph", or give a model of Dense layers'
        )
    if X is not None or y is not None:
        raise ArgumentError("X and y belong to a model", "the leaves of a node carry its data")
