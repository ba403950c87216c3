"""Pictures of what a classifier gets wrong: which classes it takes for which, and where."""

from __future__ import annotations

from typing import Any

import numpy as np

from pellucid.errors import DtypeError, ShapeError
from pellucid.graph import Array
from pellucid.plot import canvas
from pellucid.plot.measure import Classes, classes, model_of


def confusion(model: Any, X: Any, y: Any, *, ax: Any = None) -> Any:
    """Draw how many samples of each class are taken for which: counts, and shares of each row.

        cell (i, j) = samples of class i that are predicted as class j

    Args: `X`, `y` as for `fit`. Returns: the axes. Raises: ArgumentError where the model predicts
    values, not classes.

    >>> from pellucid import Dense, Sequential, data
    >>> X, y = data.blobs()
    >>> model = Sequential([Dense(3, "softmax")], loss="cce")
    >>> confusion(model, X, y).get_ylabel()
    'true class'
    """
    found = classes(model_of(model, X), X, y)
    counts = confusion_counts(found)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = 2.9 + 0.42 * len(counts)
    ax = canvas.panel(ax, size + 0.9, size)
    shown = ax.imshow(shares, cmap=canvas.shades("rising"), vmin=0, vmax=1)
    _cells(ax, counts, shares)
    names = canvas.names(found.labels)
    ax.set_xticks(range(len(names)), names)
    ax.set_yticks(range(len(names)), names)
    right = int(np.trace(counts))
    title = f"{right} of {counts.sum()} right ({right / counts.sum():.1%})"
    canvas.dress(ax, title, "predicted class", "true class")
    canvas.colorbar(shown, ax, "share of the true class")
    return ax


def confusion_counts(found: Classes) -> Array:
    """Return how many samples of class i are predicted as class j, (C, C)."""
    count = len(found.labels)
    flat = np.bincount(found.truth * count + found.predicted, minlength=count * count)
    return flat.reshape(count, count)


def _cells(ax: Any, counts: Array, shares: Array) -> None:
    """Write the counts; with the shares where they have room, and no zeros where they have none."""
    few = len(counts) <= 6
    size = 10 if few else 8 if len(counts) <= 12 else 6
    for (i, j), count in np.ndenumerate(counts):
        if not count and not few:
            continue
        text = f"{count}\n{shares[i, j]:.0%}" if few else f"{count}"
        color = "white" if shares[i, j] > 0.55 else canvas.INK
        ax.text(j, i, text, ha="center", va="center", color=color, fontsize=size)


def misclassified(
    model: Any,
    X: Any,
    y: Any,
    *,
    shape: tuple[int, int] | None = None,
    count: int = 16,
    ax: Any = None,
) -> Any:
    """Draw misclassified images, those first of which the model is surest.

    Each title gives the true class, the predicted one and its probability.
    Args: `X`, `y` as for `fit`; `shape` of the image in a row of X, such as (8, 8), where X is not
    (n, rows, columns) already; `count`, how many at most. Returns: an array of axes; a single
    one, which says so, where nothing is misclassified. Raises: ShapeError, ArgumentError.

    >>> from pellucid import Dense, Sequential, data
    >>> X, y = data.digits()
    >>> model = Sequential([Dense(10, "softmax")], loss="cce")
    >>> len(misclassified(model, X[:100], y[:100], shape=(8, 8), count=6))
    6
    """
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise DtypeError(f"count is {count!r}", "a whole number of at least 1")
    model = model_of(model, X)
    images = _images(np.asarray(X), shape)
    found = classes(model, X, y)
    rows = np.flatnonzero(found.wrong)
    rows = rows[np.argsort(-found.sure[rows], kind="stable")][:count]
    axes = canvas.panels(ax, max(len(rows), 1), 4, (1.6, 1.75))[: max(len(rows), 1)]
    if not len(rows):
        _nothing(axes[0], len(found.truth))
        return axes
    names = canvas.names(found.labels)
    for panel, row in zip(axes, rows.tolist(), strict=True):
        panel.imshow(images[row], cmap="gray_r", interpolation="nearest")
        told = f"{names[found.predicted[row]]} ({found.sure[row]:.2f})"
        canvas.dress(panel, f"true {names[found.truth[row]]}, said {told}", small=True)
        panel.title.set_fontsize(8)
        canvas.bare(panel)
    return axes


def _images(X: Array, shape: Any) -> Array:
    if shape is None and X.ndim == 3:
        return X
    size = tuple(int(s) for s in shape) if shape is not None else ()
    if len(size) != 2 or X.ndim < 2 or size[0] * size[1] != X[0].size:
        raise ShapeError(
            f"X is {X.shape}, and shape {shape}: not images", "shape=(8, 8) for rows of 64 pixels"
        )
    return X.reshape(len(X), *size)


def _nothing(ax: Any, count: int) -> None:
    ax.set_axis_off()
    ax.text(0.5, 0.5, f"none of {count} samples\nis misclassified", ha="center", va="center",
            fontsize=canvas.SMALL, transform=ax.transAxes)  # fmt: skip
