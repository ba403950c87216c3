"""Pictures of a hidden layer's space: the samples as a layer has them, in a plane of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from pellucid.errors import ArgumentError, DtypeError
from pellucid.graph import Array
from pellucid.model import Sequential
from pellucid.nn.layer import Dense
from pellucid.plot import canvas
from pellucid.plot.measure import (
    checked,
    chosen_units,
    classifies,
    index_of,
    labels_of,
    layer_name,
    layer_outputs,
    model_of,
    one_class_each,
)


def representation(
    model: Any, X: Any, y: Any, *, layer: int | str | None = None, units: Any = None, ax: Any = None
) -> Any:
    """Draw the samples as a layer sees them: two of its units, or their two principal components.

    Where the layer feeds a classifier's single output unit, a line shows where that one's score is
    0 (of more than two units where this plane cuts that, and only if it has 95% of the variance).
    Args: `layer`, its number from 1 or the name of a value (None: the last hidden layer); `units`,
    two of them, or "pca" (None: the two where there are two, else "pca"). Returns: the axes.
    Raises: ArgumentError for an unknown layer or unit, or a layer of a single unit.

    >>> from pellucid import Dense, Sequential, data
    >>> X, y = data.xor()
    >>> model = Sequential([Dense(2, "tanh"), Dense(1, "sigmoid")], loss="bce")
    >>> representation(model, X, y).get_xlabel()
    'a1, unit 0'
    """
    model = model_of(model, X)
    batch = model._batch(X, y)
    values = model.activations(batch.X)
    name = layer_name(values, _last_hidden(model, values) if layer is None else layer)
    hidden = checked(values[name]).reshape(len(batch), -1).astype(float)
    ax = canvas.panel(ax, 5.4, 4.0)
    ax.margins(0.15)
    view = _view(hidden, units, name)
    _by_class(ax, view.place(hidden), model, batch.Y)
    if classifies(model, batch.Y) and view.share > 0.95:
        _cut(ax, model, values, name, view)
    canvas.dress(ax, f"the samples as {name} has them", view.labels[0], view.labels[1])
    canvas.ruled(ax)
    canvas.legend(ax)
    return ax


def _last_hidden(model: Sequential, values: Any) -> str:
    """Return the name of what the last layer takes."""
    outputs = layer_outputs(model, values)
    if len(outputs) < 2:
        raise ArgumentError("the model has no hidden layer", "its input is its representation")
    return outputs[-2]


@dataclass(frozen=True, eq=False)
class _View:
    """A plane in the space of a layer's units: `origin` (u,), two `axes` (2, u), and the `share`
    of the samples' variance that lies in it.
    """

    origin: Array
    axes: Array
    labels: tuple[str, ...]
    share: float

    def place(self, values: Array) -> Array:
        """Return where samples lie in the plane, (n, u) -> (n, 2)."""
        placed: Array = (values - self.origin) @ self.axes.T
        return placed


def _view(hidden: Array, units: Any, name: str) -> _View:
    count = hidden.shape[1]
    if count < 2:
        raise ArgumentError(
            f"{name} has a single unit, a plane needs two", "pc.plot.neurons, or .histograms"
        )
    if units is None:
        units = (0, 1) if count == 2 else "pca"
    if isinstance(units, str):
        if units != "pca":
            raise ArgumentError(f"units is {units!r}", 'two numbers, or "pca"')
        return _principal(hidden, name)
    chosen = chosen_units(units, count, name)
    if len(chosen) != 2 or chosen[0] == chosen[1]:
        raise DtypeError(f"units is {units!r}", 'two different numbers, or "pca"')
    labels = (f"{name}, unit {chosen[0]}", f"{name}, unit {chosen[1]}")
    return _View(np.zeros(count), np.eye(count)[chosen], labels, float(count == 2))


def _principal(hidden: Array, name: str) -> _View:
    """Return the plane of most variance (Pearson 1901), by NumPy's SVD."""
    mean = hidden.mean(axis=0)
    _, spread, axes = np.linalg.svd(hidden - mean, full_matrices=False)
    axes = np.vstack([axes, np.zeros((max(0, 2 - len(axes)), hidden.shape[1]))])
    total = float((spread**2).sum()) or 1.0
    shares = [float(s**2) / total for s in (*spread[:2], 0.0)][:2]
    labels = [f"{name}, component {k + 1} ({s:.0%} of variance)" for k, s in enumerate(shares)]
    return _View(mean, axes[:2], tuple(labels), sum(shares))


def _by_class(ax: Any, at: Array, model: Sequential, target: Array) -> None:
    """Draw the samples, by class or in the color of their value."""
    if not classifies(model, target):
        values = target.reshape(len(target), -1)[:, 0]
        shown = ax.scatter(at[:, 0], at[:, 1], c=values, cmap=canvas.shades("sequential"))
        canvas.colorbar(shown, ax, "value of the data")
        return
    one_class_each(model, target)
    names, kinds = canvas.names(labels_of(model)), index_of(model, target)
    size = canvas.dot_size(at)
    for k in np.unique(kinds).tolist():
        x, y = at[kinds == k].T
        edge = {"edgecolors": "white", "linewidths": 0.6, "alpha": 0.85}
        ax.scatter(x, y, s=size, label=f"class {names[k]}", **edge, **canvas.dots(k))
    if len(at) <= canvas.FEW:
        _counted(ax, at)


def _counted(ax: Any, points: Array) -> None:
    """Write how many samples lie at one place, as two of XOR may: ×2."""
    places = np.round(points / (np.ptp(points) or 1.0), 2)
    _, first, counts = np.unique(places, axis=0, return_index=True, return_counts=True)
    for k, count in zip(first.tolist(), counts.tolist(), strict=True):
        if count > 1:
            ax.annotate(f"×{count}", points[k], (6, 5), textcoords="offset points", fontsize=9)


def _cut(ax: Any, model: Sequential, values: dict[str, Array], name: str, view: _View) -> None:
    """Draw where the output's only unit has the score 0, in the plane that is shown."""
    last, before = model.layers[-1], layer_outputs(model, values)[-2:-1]
    fed = bool(before) and np.array_equal(values[name], values[before[0]])
    if not fed or not isinstance(last, Dense) or last.units != 1:
        return
    number = model._built.numbers[-1]
    W = model.params[f"W{number}"][:, 0].astype(float)
    b = float(model.params.get(f"b{number}", np.zeros(1))[0])
    slope, offset = view.axes @ W, float(view.origin @ W) + b
    if not np.linalg.norm(slope):
        return
    foot, along = -offset * slope / (slope @ slope), np.array([-slope[1], slope[0]])
    limits = ax.get_xlim(), ax.get_ylim()
    ax.axline(foot, foot + along, color=canvas.ink(), linewidth=1.5, label="output's score is 0")
    ax.set(xlim=limits[0], ylim=limits[1])
