"""Pictures of a model's layers: how gradients fare, how values are spread, how weights look."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from pellucid.errors import ArgumentError, ShapeError, one_of
from pellucid.graph import Array
from pellucid.model import Sequential
from pellucid.plot import canvas
from pellucid.plot.measure import (
    chosen_units,
    gradient_sizes,
    layer_outputs,
    model_of,
    named_models,
    verdict,
)


def gradient_flow(models: Any, X: Any, y: Any, *, of: str = "z", ax: Any = None) -> Any:
    """Draw the size of the gradient in each layer on a log axis, with a verdict on its way back.

        of "z":  √(mean over samples of ‖∂L/∂z‖²),  L the loss of one sample;   of "W":  ‖∂L/∂W‖

    The verdict compares ∂L/∂z of the first layer with the last one's: vanishing below 1/10,
    exploding above 10, healthy between. What is 0 or not finite has no point on a log axis.
    Args: `models`, one or several by name: {"sigmoid": model, …}; `X`, `y` as for `fit`; `of`, the
    scores "z" or the weights "W". Returns: the axes. Raises: as `model.gradients` does.

    >>> from pellucid import Dense, Sequential, data
    >>> X, y = data.xor()
    >>> model = Sequential([Dense(4, "relu"), Dense(1, "sigmoid")], loss="bce")
    >>> [line.get_label().split(":")[0] for line in gradient_flow(model, X, y).get_lines()]
    ['healthy']
    """
    chosen = named_models(models)
    ax = canvas.panel(ax, 6.8, 3.8)
    most = 1
    for k, (name, given) in enumerate(chosen.items()):
        model = model_of(given, X)
        batch = model._batch(X, y)
        sizes = gradient_sizes(model, batch, of)
        most = max(most, len(sizes))
        _flow(ax, k, name, sizes, verdict(gradient_sizes(model, batch, "z")))
    what = "‖∂L/∂z‖ of one sample (RMS)" if of == "z" else "‖∂L/∂W‖"
    canvas.dress(ax, "gradient flow", "layer (1 is next to the input)", what)
    _at_least_a_decade(ax)
    ax.set_xlim(0.5, most + 0.5)
    canvas.whole(ax.xaxis)
    canvas.ruled(ax)
    canvas.legend(ax)
    return ax


def _at_least_a_decade(ax: Any) -> None:
    """Give the y axis a log scale on which small differences look small."""
    values = np.concatenate([line.get_ydata() for line in ax.get_lines()])
    values = values[np.isfinite(values)]
    if not values.size:
        return
    low, high = float(values.min()), float(values.max())
    widen = max(1.3, float(np.sqrt(10 * low / high)))
    ax.set_ylim(low / widen, high * widen)
    canvas.log_axis(ax)


def _flow(ax: Any, k: int, name: str, sizes: Mapping[str, float], told: str) -> None:
    values = np.array(list(sizes.values()))
    values[~(np.isfinite(values) & (values > 0))] = np.nan
    label = f"{name}\n{told}" if name else told
    mark = canvas.MARKERS[k % 8]
    ax.plot(np.arange(1, len(values) + 1), values, label=label, marker=mark, **canvas.stroke(k))


def histograms(
    model: Any, X: Any = None, y: Any = None, *, of: str = "activations", bins: int = 40,
    ax: Any = None,
) -> Any:  # fmt: skip
    """Draw how values are spread in each layer: activations, gradients or weights.

    Args: `X` as for `fit` (weights need none), `y` for gradients; `of`, "activations", "gradients"
    (of the loss in the weights) or "weights"; `bins`, bars of each histogram.
    Returns: an array of axes, one for each layer, whose title gives mean and standard deviation.
    Raises: ArgumentError for an unknown `of`, or where X or y is missing. Values that are NaN or
    Inf are left out and counted in the title.

    >>> from pellucid import Dense, Sequential
    >>> model = Sequential([Dense(4, "relu", inputs=2), Dense(1, "sigmoid")], loss="bce")
    >>> [ax.get_title().split(":")[0] for ax in histograms(model, of="weights")]
    ['W1', 'W2']
    """
    model = model_of(model, X)
    found = _spread(model, X, y, of)
    axes = canvas.panels(ax, len(found), 3, (3.0, 2.5))
    for k, (panel, (name, values)) in enumerate(zip(axes, found.items(), strict=True)):
        flat = values[np.isfinite(values)].ravel()
        look = {"color": canvas.COLORS[0], "alpha": 0.75, "edgecolor": "white", "linewidth": 0.3}
        panel.hist(flat, bins=_edges(flat, bins), **look)
        panel.axvline(0, color=canvas.ink(), linewidth=0.8)
        panel.xaxis.set_major_locator(canvas.library().ticker.MaxNLocator(4))
        count = "count" if k % 3 == 0 else ""
        canvas.dress(panel, _told(name, values, flat), of.removesuffix("s"), count, small=True)
        canvas.ruled(panel)
    return axes


def _edges(flat: Array, bins: int) -> Any:
    """Return how to cut the bars; NumPy cannot cut a range that is too small for its numbers."""
    if not flat.size or np.ptp(flat) <= 1e-6 * np.abs(flat).max():
        middle = float(flat.mean()) if flat.size else 0.0
        reach = abs(middle) or 1.0
        return np.linspace(middle - reach, middle + reach, bins + 1)
    return bins


def _told(name: str, values: Array, flat: Array) -> str:
    lost, zero = values.size - flat.size, float((flat == 0).mean()) if flat.size else 0.0
    if not flat.size:
        return f"{name}: all NaN or Inf"
    told = (
        f"{name}: mean {canvas.number(float(flat.mean()))}, std {canvas.number(float(flat.std()))}"
    )
    parts = ([f"{zero:.0%} are 0"] if zero > 0.01 else []) + (
        [f"{lost} NaN or Inf"] if lost else []
    )
    return "\n".join([told, ", ".join(parts)]) if parts else told


def _spread(model: Sequential, X: Any, y: Any, of: str) -> dict[str, Array]:
    """Return what is to be counted, by name."""
    if of == "weights":
        return _matrices(model.params)
    if of not in ("activations", "gradients"):
        raise one_of("of", of, ["activations", "gradients", "weights"])
    if X is None or (of == "gradients" and y is None):
        needs = "X" if X is None else "y"
        raise ArgumentError(f"{of} need {needs}", f'pc.plot.histograms(model, X, y, of="{of}")')
    if of == "gradients":
        return _matrices(model.gradients(X, y))
    values = model.activations(X)
    return {name: values[name].astype(float) for name in layer_outputs(model, values)}


def _matrices(arrays: Mapping[str, Array]) -> dict[str, Array]:
    """Return the weights without the biases; all where there are only such."""
    wide = {name: a.astype(float) for name, a in arrays.items() if a.ndim > 1}
    return wide or {name: a.astype(float) for name, a in arrays.items()}


# -- weights ---------------------------------------------------------------------------------------


def weights(
    model: Any,
    name: str = "W1",
    *,
    shape: tuple[int, int] | None = None,
    units: Any = None,
    ax: Any = None,
) -> Any:
    """Draw a parameter as an image: white is 0, orange above, blue (darker) below.

    Args: `name` of the parameter; `shape` of the input image, for one picture of each unit's
    weights, such as (8, 8); `units`, which of them (None: the first 16). Returns: the axes; with
    `shape`, an array of them. Raises: ArgumentError for an unknown name or unit, ShapeError where
    the image does not have as many pixels as the layer has inputs. NaN is drawn gray.

    >>> from pellucid import Dense, Sequential
    >>> model = Sequential([Dense(4, "relu", inputs=64), Dense(1)], loss="mse")
    >>> len(weights(model, shape=(8, 8)))
    4
    """
    model = model_of(model)
    values = np.array(model.params[name], dtype=float)
    if shape is not None:
        return _images(values, name, shape, units, ax)
    ax = canvas.panel(ax, 5.6, 3.8)
    table = values.reshape(values.shape[0], -1) if values.ndim > 1 else values.reshape(1, -1)
    shown = ax.imshow(table, aspect="auto", interpolation="nearest", **_look(values))
    canvas.whole(ax.xaxis)
    canvas.whole(ax.yaxis)
    canvas.dress(ax, _title(name, values), "unit", "input" if values.ndim > 1 else "")
    if values.ndim == 1:
        ax.set_yticks([])
    canvas.colorbar(shown, ax, "weight" if values.ndim > 1 else "bias")
    return ax


def _look(values: Array) -> dict[str, Any]:
    look = canvas.centered(values)
    look["cmap"] = look["cmap"].with_extremes(bad="#888888")
    return look


def _title(name: str, values: Array) -> str:
    lost = int((~np.isfinite(values)).sum())
    size = " × ".join(map(str, values.shape))
    return f"{name}, {size}" + (f": {lost} NaN or Inf (gray)" if lost else "")


def _images(values: Array, name: str, shape: Any, units: Any, ax: Any) -> Any:
    """Draw each unit's incoming weights in the shape of the input image."""
    size = tuple(int(s) for s in shape)
    if values.ndim != 2 or len(size) != 2 or size[0] * size[1] != values.shape[0]:
        raise ShapeError(
            f"{name} is {values.shape}, its inputs are no image of {' × '.join(map(str, size))}",
            f"shape=(rows, columns) with rows · columns = {values.shape[0]}",
        )
    chosen = chosen_units(units, values.shape[1], name)
    axes = canvas.panels(ax, len(chosen), min(4, len(chosen)), (1.6, 1.7))
    look = _look(values[:, chosen])
    for panel, unit in zip(axes, chosen, strict=True):
        shown = panel.imshow(values[:, unit].reshape(size), **look)
        canvas.dress(panel, f"unit {unit}", small=True)
        canvas.bare(panel)
    canvas.colorbar(shown, list(axes), f"weight {name}")
    return axes
