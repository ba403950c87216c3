"""The loss as a landscape over directions in the space of parameters, and the path through it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pellucid import rng
from pellucid.batches import Batch
from pellucid.callbacks import Callback, Logs
from pellucid.errors import ArgumentError, DataError, DtypeError, ShapeError
from pellucid.graph import Array
from pellucid.model import Sequential
from pellucid.plot import canvas
from pellucid.plot.measure import model_of
from pellucid.settings import check_whole


class Path(Callback):
    """Record where training goes: the parameters before it, and after every so many epochs.

    Args: `every`, epochs between two records. `points` are the records, flat arrays.

    >>> from pellucid import Dense, Sequential, data
    >>> model, path = Sequential([Dense(1, "sigmoid")], loss="bce"), Path()
    >>> history = model.fit(*data.xor(), epochs=3, callbacks=[path], verbose=0, backend="numpy")
    >>> len(path.points)
    4
    """

    def __init__(self, every: int = 1) -> None:
        check_whole(every, "every", 1)
        self.every = every
        self.points: list[Array] = []

    def due(self, start: int, stop: int) -> range:
        """Return the epochs whose end is recorded."""
        return range(start + (-start - 1) % self.every, stop, self.every)

    def on_train_begin(self, logs: Logs) -> None:
        """Record where training starts, or goes on."""
        self.points.append(self.model._numbers.params.copy())

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Record where an epoch has led."""
        if (epoch + 1) % self.every == 0:
            self.points.append(self.model._numbers.params.copy())


def landscape(
    model: Any,
    X: Any,
    y: Any,
    *,
    dimensions: int = 2,
    span: float = 1.0,
    resolution: int = 41,
    path: Any = None,
    seed: int = 0,
    ax: Any = None,
) -> Any:
    """Draw the loss around a model's parameters: along a line, or over a plane of two directions.

        L(θ + α d₁ + β d₂),  with d random and ‖d_i‖ = ‖θ_i‖ for the weights i into each unit

    That is filter normalization (Li et al. 2018, "Visualizing the Loss Landscape of Neural Nets",
    section 4); biases stay. With a `path`, d₁ and d₂ are of length 1, and the two directions in
    which its points differ most from where the model is (section 7).
    Args: `X`, `y` as for `fit`; `dimensions`, 1 or 2; `span`, how far to go; `resolution`, points
    in each direction; `path`, a `Path` that was a callback of `fit`, or parameters as flat arrays
    or dicts; `seed` of the directions. Returns: the axes. The model is not changed.
    Raises: ArgumentError, DataError for a loss that is nowhere finite.

    >>> from pellucid import Dense, Sequential, data
    >>> model = Sequential([Dense(2, "tanh"), Dense(1, "sigmoid")], loss="bce")
    >>> landscape(model, *data.xor(), dimensions=1, resolution=5).get_xlabel()
    'α, steps along a random direction'
    """
    _check(dimensions, span, resolution)
    model = model_of(model, X)
    batch, here = model._batch(X, y), model._numbers.params.astype(float)
    view = _view(model, here, path, dimensions, seed)
    grid = _grid(view, dimensions, float(span), resolution)
    losses = losses_at(model, batch, view.origin + grid.steps @ view.axes)
    if not np.isfinite(losses).any():
        raise DataError("the loss is nowhere finite", "model.reset(), or a smaller span")
    ax = canvas.panel(ax, 6.0, 4.2)
    if dimensions == 1:
        _line(ax, grid, losses)
    else:
        _surface(ax, grid, losses.reshape(len(grid.y), len(grid.x)))
    _trail(ax, view, dimensions, batch, model)
    second = "loss" if dimensions == 1 else view.labels[1]
    canvas.dress(ax, "loss landscape", view.labels[0], second)
    if dimensions == 1:
        canvas.ruled(ax)
    canvas.legend_below(ax, columns=3)
    return ax


def _check(dimensions: Any, span: Any, resolution: Any) -> None:
    if dimensions not in (1, 2):
        raise ArgumentError(f"dimensions is {dimensions!r}", "1 or 2")
    if isinstance(span, bool) or not isinstance(span, (int, float)) or not 0 < span < np.inf:
        raise ArgumentError(f"span is {span!r}", "a number above 0: span=1.0")
    check_whole(resolution, "resolution", 2)


@dataclass(frozen=True, eq=False)
class View:
    """A line or plane in the space of parameters: θ = origin + steps · axes.

    `axes` (dimensions, parameters); `trail` (points, dimensions) is where a path lies in it.
    """

    origin: Array
    axes: Array
    labels: tuple[str, ...]
    trail: Array | None = None


@dataclass(frozen=True, eq=False)
class Grid:
    """Steps along the axes of a view: the lines `x` and `y`, and every point (points, axes)."""

    x: Array
    y: Array
    steps: Array


def losses_at(model: Sequential, batch: Batch, points: Array) -> Array:
    """Return the loss at each point of the space of parameters, (points, parameters) -> (points,).

    One copy of the model is moved from point to point; its program is traced once.
    """
    twin = model.copy()
    found = np.empty(len(points))
    for k, point in enumerate(points):
        twin._numbers.params[...] = point
        found[k] = float(twin._run("evaluate", batch, False)["loss"])
    return found


# -- directions ------------------------------------------------------------------------------------


def _view(model: Sequential, here: Array, path: Any, dimensions: int, seed: int) -> View:
    if path is not None:
        return _along(here, points_of(model, path), dimensions)
    axes = np.array([direction(model, here, seed, k) for k in range(dimensions)])
    letters = ("α, steps along a random direction", "β, steps along another")
    return View(here, axes, letters)


def direction(model: Sequential, here: Array, seed: int, k: int) -> Array:
    """Return a random direction, as long as the model's weights are in every unit."""
    found = np.zeros_like(here)
    drawn = rng.normal(rng.key(seed, "plot landscape", k), here.shape)
    for slot in model._built.slots:
        place = slice(slot.start, slot.stop)
        if len(slot.shape) > 1:
            units = (-1, slot.shape[-1])  # a column for each unit
            d, w = drawn[place].reshape(units), here[place].reshape(units)
            lengths = np.linalg.norm(w, axis=0) / np.linalg.norm(d, axis=0)
            found[place] = (d * lengths).ravel()
    return found


def points_of(model: Sequential, path: Any) -> Array:
    """Return the points of a path as flat arrays, (points, parameters).

    Raises: DataError where there are too few, ShapeError where they are another model's.
    """
    given = path.points if isinstance(path, Path) else path
    if not isinstance(given, (Sequence, np.ndarray)) or isinstance(given, str):
        raise DtypeError(
            f"path is a {type(path).__name__}", "path = pc.plot.Path(), fit(…, callbacks=[path])"
        )
    points = [_flat(model, each) for each in given]
    if len(points) < 2:
        raise DataError(f"the path has {len(points)} points", "fit(…, callbacks=[path]) first")
    array = np.array(points, dtype=float)
    if not np.isfinite(array).all():
        raise DataError("the path leads to NaN or Inf", "leave out what came after")
    return array


def _flat(model: Sequential, point: Any) -> Array:
    """Return parameters, by name or flat, as a flat array."""
    if isinstance(point, Mapping):
        names = [s.name for s in model._built.slots]
        point = np.concatenate([np.ravel(point[n]) for n in names if n in point] or [np.empty(0)])
    flat = np.ravel(np.asarray(point, dtype=float))
    if flat.size != model._built.size:
        raise ShapeError(
            f"a point of the path has {flat.size} numbers, the model {model._built.size}",
            "record it with this model",
        )
    return flat


def _along(here: Array, points: Array, dimensions: int) -> View:
    """Return the directions in which a path goes farthest from where the model is."""
    offsets = points - here
    _, sizes, axes = np.linalg.svd(offsets, full_matrices=False)
    missing = max(0, dimensions - len(axes))
    axes = np.vstack([axes, np.zeros((missing, len(here)))])[:dimensions]
    total = float((sizes**2).sum()) or 1.0
    shares = [*(float(s) ** 2 / total for s in sizes), 0.0, 0.0]
    labels = [f"along component {k + 1} of the path ({shares[k]:.0%})" for k in range(dimensions)]
    return View(here, axes, tuple(labels), offsets @ axes.T)


def _grid(view: View, dimensions: int, span: float, resolution: int) -> Grid:
    """Return where to compute the loss: ±span, or what holds the path and a margin."""
    lines = []
    for k in range(dimensions):
        low, high = -span, span
        if view.trail is not None:
            low, high = min(0.0, view.trail[:, k].min()), max(0.0, view.trail[:, k].max())
            margin = 0.25 * (high - low) or span
            low, high = low - margin, high + margin
        lines.append(np.linspace(low, high, resolution))
    if dimensions == 1:
        return Grid(lines[0], np.zeros(1), lines[0][:, None])
    steps = np.stack([g.ravel() for g in np.meshgrid(*lines)], axis=1)
    return Grid(lines[0], lines[1], steps)


# -- drawing ---------------------------------------------------------------------------------------


def _line(ax: Any, grid: Grid, losses: Array) -> None:
    shown = np.where(np.isfinite(losses), losses, np.nan)
    ax.plot(grid.x, shown, color=canvas.COLORS[0], linewidth=2)


def _surface(ax: Any, grid: Grid, losses: Array) -> None:
    """Fill contours, in even steps of the loss, or of its logarithm where it spans much."""
    lost = int((~np.isfinite(losses)).sum())
    shown = np.ma.masked_invalid(losses)
    low, high = float(shown.min()), float(shown.max())
    if low > 0 and high > 20 * low:
        levels = np.geomspace(low, high, 21)
        norm = canvas.library().colors.LogNorm(low, high)
    else:
        levels, norm = canvas.levels(low, high, 18), None
    filled = ax.contourf(grid.x, grid.y, shown, levels, norm=norm, cmap=canvas.shades("sequential"))
    ax.contour(grid.x, grid.y, shown, levels, colors="white", linewidths=0.3, alpha=0.6)
    bar = canvas.colorbar(filled, ax, f"loss ({lost} points not finite)" if lost else "loss")
    if norm is not None:
        bar.set_ticks(levels[::4], labels=[canvas.number(v) for v in levels[::4]])
        bar.minorticks_off()


def _trail(ax: Any, view: View, dimensions: int, batch: Batch, model: Sequential) -> None:
    """Mark where the model is, and draw the path to it."""
    place = np.zeros((1, dimensions))
    trail = place if view.trail is None else view.trail
    at = [trail, place]
    if dimensions == 1:
        at = [np.c_[t[:, 0], losses_at(model, batch, view.origin + t @ view.axes)] for t in at]
    if view.trail is not None:
        edge = {"color": "white" if dimensions == 2 else canvas.COLORS[1]}
        ax.plot(at[0][:, 0], at[0][:, 1], linewidth=1.4, marker="o", markersize=2.5, **edge)
        ax.plot(*at[0][0], label="start", marker="s", markersize=7, linestyle="none",
                color=canvas.COLORS[5], markeredgecolor="black")  # fmt: skip
    ax.plot(*at[1][0], label="the model", marker="*", markersize=13, linestyle="none",
            color=canvas.COLORS[1], markeredgecolor="white")  # fmt: skip
