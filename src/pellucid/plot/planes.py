"""Pictures of the plane of two features: decision boundaries, and what neurons respond to."""

from __future__ import annotations

from typing import Any

import numpy as np

from pellucid.errors import ArgumentError, ShapeError
from pellucid.graph import Array
from pellucid.model import Sequential
from pellucid.plot import canvas
from pellucid.plot.measure import (
    Classes,
    Plane,
    checked,
    chosen_units,
    classes,
    classifies,
    kinds_of,
    labels_of,
    layer_name,
    model_of,
    one_class_each,
    plane,
    sample,
)


def boundary(
    model: Any,
    X: Any,
    y: Any,
    *,
    features: tuple[int, int] = (0, 1),
    fixed: dict[int, float] | None = None,
    resolution: int = 200,
    ax: Any = None,
) -> Any:
    """Draw what a model predicts all over the plane of two features, with the data on it.

    Two classes: the probability of the second, and the line where it is ½. More: the color of the
    likeliest class, deeper where it is more likely. Values: filled contours, and the data in the
    same colors. Misclassified samples are circled.
    Args: `X` (n, features) and `y` as for `fit`; `features`, which two to draw; `fixed`, a value
    for every other one: {2: 0.0}; `resolution`, points in each direction. Returns: the axes.
    Raises: ArgumentError where a feature is left open, DataError, ShapeError.

    >>> from pellucid import Dense, Sequential, data
    >>> X, y = data.xor()
    >>> model = Sequential([Dense(4, "tanh"), Dense(1, "sigmoid")], loss="bce")
    >>> boundary(model, X, y).get_xlabel()
    'feature 0'
    """
    model = model_of(model, X)
    batch = model._batch(X, y)
    grid = plane(batch.X, features, fixed, _resolution(resolution))
    ax = canvas.panel(ax, 5.6, 4.2)
    if classifies(model, batch.Y):
        one_class_each(model, batch.Y)
        _regions(ax, model, grid)
        _samples(ax, batch.X[:, list(features)], classes(model, X, y))
    else:
        _contours(ax, model, grid, batch.X[:, list(features)], batch.Y)
    held = ", ".join(f"feature {f} = {canvas.number(v)}" for f, v in (fixed or {}).items())
    canvas.dress(
        ax, f"at {held}" if held else "", f"feature {features[0]}", f"feature {features[1]}"
    )
    ax.set(xlim=grid.x[[0, -1]], ylim=grid.y[[0, -1]])
    canvas.legend_below(ax, columns=4)
    return ax


def _resolution(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 2 <= value <= 2000:
        raise ArgumentError(f"resolution is {value!r}", "a whole number from 2 to 2000")
    return value


def _regions(ax: Any, model: Sequential, grid: Plane) -> None:
    """Fill the plane with the classes."""
    output = grid.grid(checked(model.predict(grid.X)))
    if output.shape[-1] > 1:
        _many(ax, grid, output)
        return
    signs = model.loss_function is not None and model.loss_function.targets == "signs"
    low, middle = (-1.0, 0.0) if signs else (0.0, 0.5)
    shade = np.clip(output[..., 0], low, 1)
    names = canvas.names(labels_of(model))
    filled = _filled(ax, grid, shade, cmap=canvas.shades("diverging"), vmin=low, vmax=1, alpha=0.6)
    if shade.min() < middle < shade.max():
        ax.contour(grid.x, grid.y, output[..., 0], [middle], colors=canvas.INK, linewidths=1.5)
    label = "score" if signs else f"probability of class {names[1]}"
    canvas.colorbar(filled, ax, label, ticks=np.linspace(low, 1, 5))


def _filled(ax: Any, grid: Plane, colors: Array, **look: Any) -> Any:
    """Fill the plane with a value's colors, or with colors as they are."""
    edges = (*grid.x[[0, -1]], *grid.y[[0, -1]])
    return ax.imshow(
        colors, extent=edges, origin="lower", aspect="auto", interpolation="bilinear", **look
    )


def _many(ax: Any, grid: Plane, output: Array) -> None:
    """Fill each class's region with its color: white where it is as likely as any other."""
    count = output.shape[-1]
    best, most = output.argmax(axis=-1), np.clip(output.max(axis=-1), 0, 1)
    hues = np.array([_rgb(k) for k in range(count)])  # (classes, 3)
    depth = 0.1 + 0.4 * np.clip((most - 1 / count) / (1 - 1 / count), 0, 1)[..., None]
    _filled(ax, grid, 1 - depth * (1 - hues[best]))
    for k in range(count):
        lead = output[..., k] - np.delete(output, k, axis=-1).max(axis=-1)
        if lead.min() < 0 < lead.max():
            ax.contour(grid.x, grid.y, lead, [0], colors=canvas.INK, linewidths=1)


def _rgb(k: int) -> Any:
    return canvas.library().colors.to_rgb(canvas.COLORS[k % len(canvas.COLORS)])


def _samples(ax: Any, points: Array, found: Classes) -> None:
    """Draw the samples by class, and a circle around each that is misclassified."""
    names, size = canvas.names(found.labels), canvas.dot_size(points)
    for k in np.unique(found.truth).tolist():
        at = points[found.truth == k]
        look = canvas.dots(k)
        ax.scatter(
            at[:, 0], at[:, 1], s=size, edgecolors="white", linewidths=0.6,
            label=f"class {names[k]}",
            color=_dark(k) if len(found.labels) == 2 else look["color"], marker=look["marker"],
        )  # fmt: skip
    missed = points[found.wrong]
    if len(missed):
        ax.scatter(
            missed[:, 0], missed[:, 1], s=3.2 * size, facecolors="none", edgecolors="black",
            linewidths=1.3, label=f"misclassified: {len(missed)}",
        )  # fmt: skip


def _dark(k: int) -> str:
    """Return the color of one of two classes, as the diverging map has it at its end."""
    return ("#08457E", "#D9730D")[k]


def _contours(ax: Any, model: Sequential, grid: Plane, points: Array, target: Array) -> None:
    """Fill contours of a value, and draw the data in the colors of their own values."""
    output = grid.grid(checked(model.predict(grid.X)))
    if output.shape[2:] not in ((), (1,)):
        raise ShapeError(
            f"the model predicts {output.shape[2:]} values for each sample, a plane shows one",
            "a model with a single output",
        )
    shown, true = output.reshape(output.shape[:2]), target.reshape(len(target))
    low, high = min(shown.min(), true.min()), max(shown.max(), true.max())
    limits = {"vmin": low, "vmax": high, "cmap": canvas.shades("sequential")}
    levels = canvas.levels(low, high, 14)
    filled = ax.contourf(grid.x, grid.y, shown, levels, **limits)
    filled.set_edgecolor("face")
    ax.scatter(
        points[:, 0], points[:, 1], c=true, s=28, edgecolors="white", linewidths=0.8, **limits
    )
    canvas.colorbar(filled, ax, "prediction, and value of the data (points)")


# -- what neurons respond to -----------------------------------------------------------------------


def neurons(
    model: Any,
    X: Any,
    y: Any = None,
    *,
    layer: int | str = 1,
    units: Any = None,
    resolution: int = 120,
    ax: Any = None,
) -> Any:
    """Draw what each neuron of a layer responds to: its activation all over the plane of inputs.

    The black line is where its score z is 0: there a ReLU switches on, a sigmoid is ½, tanh is 0.
    Args: `X` (n, 2); `y`, classes to be drawn by markers, if given; `layer`, its number from 1, or
    the name of a value, such as "a1"; `units`, which (None: the first 16); `resolution`, points in
    each direction. Returns: an array of axes, one for each unit.
    Raises: ArgumentError for an unknown layer or unit, or where X has not two features (of images,
    see `weights`).

    >>> from pellucid import Dense, Sequential, data
    >>> X, y = data.xor()
    >>> model = Sequential([Dense(3, "relu"), Dense(1, "sigmoid")], loss="bce")
    >>> [ax.get_title() for ax in neurons(model, X, y)]
    ['unit 0', 'unit 1', 'unit 2']
    """
    model = model_of(model, X)
    points = sample(model, X)
    grid = _two_features(points, _resolution(resolution))
    values = model.activations(grid.X)
    name = layer_name(values, layer)
    surface = grid.grid(_rows(checked(values[name]), name))
    score = values.get(f"z{name[1:]}") if name[:1] == "a" else None
    chosen = chosen_units(units, surface.shape[-1], name)
    axes = canvas.panels(ax, len(chosen), min(4, len(chosen)), (2.5, 2.3), share=True)
    scale = _scale(surface)
    for panel, unit in zip(axes, chosen, strict=True):
        shown = _filled(panel, grid, surface[..., unit], **scale)
        line = surface[..., unit] if score is None else grid.grid(score)[..., unit]
        if line.min() < 0 < line.max():
            panel.contour(grid.x, grid.y, line, [0], colors="black", linewidths=1.4)
        _faint_samples(panel, model, points, y)
        canvas.dress(panel, f"unit {unit}", "feature 0", "feature 1", small=True)
    canvas.colorbar(shown, list(axes), f"activation {name}")
    return axes


def _two_features(X: Array, resolution: int) -> Plane:
    if X.ndim != 2 or X.shape[1] != 2:
        raise ArgumentError(
            f"X is {X.shape}: what neurons respond to is drawn over two features",
            'pc.plot.weights(model, "W1", shape=(8, 8)) for images of 8 × 8 pixels',
        )
    return plane(X, (0, 1), None, resolution)


def _rows(values: Array, name: str) -> Array:
    if values.ndim != 2:
        raise ShapeError(f"{name} is {values.shape}, not rows of units", "name a dense layer")
    return values


def _scale(values: Array) -> dict[str, Any]:
    """Return one color scale for all panels: two colors around 0 where values have two signs."""
    if values.min() < 0 < values.max():
        return canvas.centered(values)
    low, high = float(values.min()), float(values.max())
    return {"cmap": canvas.shades("rising"), "vmin": low, "vmax": high if high > low else low + 1}


def _faint_samples(ax: Any, model: Sequential, X: Array, y: Any) -> None:
    """Draw samples small: in white and black by class where y says so."""
    kinds = np.zeros(len(X), int) if y is None else kinds_of(model, X, y)
    size = 22 if len(X) < 50 else 7
    for k in np.unique(kinds).tolist():
        at, face = X[kinds == k], ("white", "black", "#999999")[k % 3]
        ax.scatter(
            at[:, 0], at[:, 1], s=size, color=face, marker=canvas.MARKERS[k % 8],
            edgecolors="black" if k % 3 != 1 else "white", linewidths=0.5,
        )  # fmt: skip
