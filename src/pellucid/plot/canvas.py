"""Where pictures are drawn, and the look that they share: the one place that imports matplotlib.

Figures are made through pyplot, so that `plt.show()`, notebooks and `plt.savefig` find them; the
oldest of ours leaves pyplot's list before that list grows long enough for matplotlib to warn.
Nothing global is set: no rcParams, no style, no current axes beyond what a new figure brings.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from pellucid.errors import ArgumentError, DtypeError, PellucidError

Axes = Any  # matplotlib.axes.Axes; matplotlib may be missing, so types cannot name it

# Told apart by color-blind readers (Okabe and Ito 2008, "Color Universal Design"), and in gray by
# the stroke or the marker that each comes with.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F", "#000000")
STROKES = ("-", "--", "-.", ":", (0, (7, 2)), (0, (3, 1, 1, 1, 1, 1)), (0, (1, 3)), (0, (5, 4)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", "p", "h")  # eleven: no factor of eight
INK, FAINT = "#333333", "#AAAAAA"  # on fills, and on the page
SMALL = 9  # points: text within a picture, and titles of small multiples
FEW = 24  # samples: each is drawn larger, and where some coincide they are counted
MARK = "pellucid"  # on every figure made here


def library() -> Any:
    """Return matplotlib with the parts that pictures use, or say how to install it."""
    try:
        import matplotlib
        import matplotlib.axes
        import matplotlib.colors
        import matplotlib.pyplot
        import matplotlib.ticker
    except ImportError as error:
        raise PellucidError(
            f"pictures are drawn by matplotlib, which cannot be imported: {error}",
            'pip install "pellucid[plot]"',
        ) from None
    return matplotlib


# -- axes ------------------------------------------------------------------------------------------


def panel(ax: Axes | None, width: float = 5.6, height: float = 3.6) -> Axes:
    """Return the axes to draw on: those given, or those of a new figure, in inches."""
    if ax is None:
        return figure(width, height).subplots()
    return _checked(ax)


def panels(
    ax: Any, count: int, columns: int, size: tuple[float, float], share: bool = False
) -> Any:
    """Return `count` axes in an array (count,): those given, or a grid in a new figure.

    `size` is one panel's width and height, `share` whether all have the same limits.
    """
    if ax is not None:
        return _given(ax, count)
    columns = min(columns, count)
    rows = -(-count // columns)
    made = figure(columns * size[0], rows * size[1])
    grid = made.subplots(rows, columns, squeeze=False, sharex=share, sharey=share).ravel()
    for spare in grid[count:]:
        spare.remove()
    for each in grid[:count] if share else ():
        each.tick_params(labelbottom=True, labelleft=True)
    return grid[:count]


def figure(width: float, height: float) -> Any:
    """Return a new figure of pyplot's, in inches, which lays its parts out without overlaps."""
    plt = library().pyplot
    _make_room(plt)
    made = plt.figure(figsize=(width, height), layout="constrained")
    made.set_label(MARK)
    return made


def _make_room(plt: Any) -> None:
    """Take our oldest figures off pyplot's list; who holds one can still draw on it and save it."""
    most, numbers = plt.rcParams["figure.max_open_warning"], plt.get_fignums()
    if not most or len(numbers) < most * 3 // 4:  # the rest is for figures of the caller's
        return
    active = plt.gcf().number
    ours = [n for n in numbers if plt.figure(n).get_label() == MARK]
    plt.figure(active)
    for number in ours[: len(numbers) - most * 3 // 4 + 1]:
        plt.close(number)


def _checked(ax: Any) -> Axes:
    if not isinstance(ax, library().axes.Axes):
        raise DtypeError(f"ax is a {type(ax).__name__}, not axes", "fig, ax = plt.subplots()")
    return ax


def _given(ax: Any, count: int) -> Any:
    listed = ax.ravel().tolist() if isinstance(ax, np.ndarray) else ax
    found = [_checked(each) for each in (listed if isinstance(listed, (list, tuple)) else [ax])]
    if len(found) < count:
        raise ArgumentError(
            f"ax holds {len(found)} axes, but this picture has {count} panels",
            f"fig, ax = plt.subplots(1, {count}), or leave ax out",
        )
    return np.array(found[:count], object)


# -- the look --------------------------------------------------------------------------------------


def dress(ax: Axes, title: str = "", x: str = "", y: str = "", small: bool = False) -> None:
    """Give axes their title and labels, and take away what says nothing."""
    size = SMALL if small else None
    if title:
        ax.set_title(title, fontsize=size or 11)
    if x:
        ax.set_xlabel(x, fontsize=size)
    if y:
        ax.set_ylabel(y, fontsize=size)
    ax.spines[["top", "right"]].set_visible(False)
    if small:
        ax.tick_params(labelsize=8)


def ink() -> Any:
    """Return the color of text in the reader's style: for lines that cross the empty page."""
    return library().rcParams["text.color"]


def bare(ax: Axes) -> None:
    """Take frame and ticks away from an image."""
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)


def ruled(ax: Axes) -> None:
    """Draw a faint grid below the data, in the color of the reader's style."""
    ax.grid(True, alpha=0.35, linewidth=0.8)
    ax.set_axisbelow(True)


def whole(axis: Any, most: int = 8) -> None:
    """Put ticks at whole numbers only: epochs, layers, units."""
    axis.set_major_locator(library().ticker.MaxNLocator(most, integer=True, min_n_ticks=1))


def log_axis(ax: Axes) -> None:
    """Give the y axis a log scale, with plain numbers where it spans no more than a decade or so.

    Matplotlib's own ticks read 6 x 10^-1 there.
    """
    ax.set_yscale("log")
    low, high = ax.get_ylim()
    if high / low < 30:
        ticker = library().ticker
        ax.yaxis.set_major_locator(ticker.MaxNLocator(6, steps=[1, 2, 5, 10]))
        ax.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        ax.yaxis.set_minor_locator(ticker.NullLocator())


def stroke(k: int) -> dict[str, Any]:
    """Return the look of line k: no two of eight have the same color or the same dashes."""
    return {"color": COLORS[k % len(COLORS)], "linestyle": STROKES[k % len(STROKES)]}


def dots(k: int) -> dict[str, Any]:
    """Return the look of the points of class k: no two of eleven have the same shape."""
    return {"color": COLORS[k % len(COLORS)], "marker": MARKERS[k % len(MARKERS)]}


def dot_size(points: Any) -> int:
    """Return the area of each of some points, in square points."""
    return 55 if len(points) <= FEW else 28


def legend(ax: Axes) -> None:
    """Say what is what: beside a picture that makes room by itself, else where no data is."""
    if not ax.get_legend_handles_labels()[1] or _crowded(ax):
        return
    ax.legend(
        loc="upper left", bbox_to_anchor=(1.01, 1), frameon=False, borderaxespad=0, fontsize=SMALL
    )


def legend_below(ax: Axes, title: str | None = None, columns: int = 1) -> None:
    """Say what is what below the axes, where colors fill all of them or panels stand beside."""
    if not ax.get_legend_handles_labels()[1] or _crowded(ax, title):
        return
    inches = ax.get_window_extent().height / ax.figure.dpi
    below = -0.55 / max(inches, 1.0)  # under the tick labels and the label of the axis
    ax.legend(
        loc="upper center", bbox_to_anchor=(0.5, below), borderaxespad=0, ncols=columns,
        columnspacing=1.2, handletextpad=0.4, frameon=False, fontsize=8, title=title,
        title_fontsize=8,
    )  # fmt: skip


def _crowded(ax: Axes, title: str | None = None) -> bool:
    """Where a figure does not lay itself out, what is beside the axes may be taken: stay inside."""
    fixed = ax.figure.get_layout_engine() is None
    if fixed:
        ax.legend(loc="best", framealpha=0.85, fontsize=8, title=title, title_fontsize=8)
    return fixed


def shades(name: str) -> Any:
    """Return a color map by what it is for.

    "diverging" is darker below 0 than above, so that gray prints tell them; "rising" is white at
    its low end, for lines and points to be seen on it; "sequential" is even for all readers.
    """
    ends = {
        "diverging": ["#08457E", "#6FA8D6", "#F7F7F7", "#F6B26B", "#D9730D"],
        "rising": ["#FAFAFA", "#9CC3E6", "#3E7FBF", "#08457E"],
    }
    if name in ends:
        return library().colors.LinearSegmentedColormap.from_list(name, ends[name])
    return library().colormaps["cividis"]


def levels(low: float, high: float, most: int) -> Any:
    """Return round numbers that hold a range, for filled contours; a single value gets a range."""
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        low, high = low - 0.5, high + 0.5
    return library().ticker.MaxNLocator(most).tick_values(low, high)


def centered(values: Any) -> dict[str, Any]:
    """Return color map and limits for values of two signs: white is 0."""
    finite = np.abs(values[np.isfinite(values)])
    most = float(finite.max()) if finite.size and finite.max() > 0 else 1.0
    return {"cmap": shades("diverging"), "vmin": -most, "vmax": most}


def colorbar(shown: Any, ax: Any, label: str, **more: Any) -> Any:
    """Draw the scale of a picture's colors beside its axes."""
    first = np.ravel(ax)[0]
    bar = first.figure.colorbar(shown, ax=ax, **more)
    bar.set_label(label, fontsize=SMALL)
    bar.ax.tick_params(labelsize=8)
    bar.outline.set_visible(False)
    return bar


def number(value: float) -> str:
    """Return a number as a label shows it: three digits, no more, and a true minus.

    >>> number(0.000123456), number(-0.0), number(-57.665)
    ('0.000123', '0', '−57.7')
    """
    return f"{value + 0.0:.3g}".replace("-", "−")


def names(labels: Iterable[Any]) -> list[str]:
    """Return the labels of classes as text, 3.0 as 3.

    >>> names([0.0, 1.0]), names([True, False])
    (['0', '1'], ['True', 'False'])
    """
    plain = [v.item() if isinstance(v, np.generic) else v for v in labels]
    return [f"{v:g}" if isinstance(v, float) else str(v) for v in plain]
