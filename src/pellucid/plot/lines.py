"""Pictures of functions and of training: activations, the chain rule, learning curves, success."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from pellucid import ops
from pellucid.derivatives import grad
from pellucid.errors import ArgumentError, DataError, DtypeError, one_of
from pellucid.graph import Array
from pellucid.nn.layer import activation as activation_named
from pellucid.nn.layer import activations, named_activation
from pellucid.plot import canvas
from pellucid.swept import Sweep, short

Function = Callable[..., Any]

# a bound that is met up to NEAR is attained, and what is within LARGE up to FAR has a bound
NEAR, FAR, LARGE = 10.0, 1e300, 50.0


# -- functions -------------------------------------------------------------------------------------


def activation(
    names: str | Function | Sequence[str | Function] = "sigmoid",
    *,
    derivative: bool = True,
    span: tuple[float, float] = (-5.0, 5.0),
    ax: Any = None,
) -> Any:
    """Draw activation functions, with their derivatives and their ranges.

        a = act(z), and da/dz as `pc.grad` derives it

    Args: `names`, one or several, by name or as functions of arrays; `derivative`, whether to draw
    that as well, dashed; `span`, the scores z from and to; `ax`, axes for all of them together, or
    one for each. Returns: the axes; an array, one for each, where there are several and `ax` does
    not say otherwise. Dotted lines mark bounds; a range has [ where its bound is attained.
    Raises: ArgumentError for an unknown name, or a function that does not work element by element.

    >>> ax = activation("tanh")
    >>> ax.get_legend_handles_labels()[1]
    ['tanh, range (−1, 1)', 'its derivative']
    """
    chosen = [names] if isinstance(names, str) or callable(names) else list(names)
    functions = {named_activation(f): _elementwise(f) for f in chosen}
    if not functions:
        raise ArgumentError("no activation is named", f"one of {', '.join(activations())}")
    z, together = np.linspace(*_interval(span), 401), len(functions) == 1 or _single(ax)
    axes = [canvas.panel(ax, 6.2, 3.6)] * len(functions) if together else canvas.panels(
        ax, len(functions), 2, (3.7, 2.9))  # fmt: skip
    for k, (name, function) in enumerate(functions.items()):
        _draw_activation(axes[k], k, name, function, z, derivative, together)
    for panel in axes[:1] if together else axes:
        title = next(iter(functions)) if len(functions) == 1 else ""
        canvas.dress(panel, title, "score z", "a (solid), da/dz (dashed)" if derivative else "a")
        canvas.ruled(panel)
    if together:
        canvas.legend(axes[0])
    return axes[0] if together else axes


def _single(ax: Any) -> bool:
    return ax is not None and not isinstance(ax, (list, tuple, np.ndarray))


def _draw_activation(
    ax: Any, k: int, name: str, function: Function, z: Array, derivative: bool, together: bool
) -> None:
    """Draw a function, its derivative and its bounds: marked, where there are others with it."""
    color = canvas.COLORS[k % 8 if together else 0]
    many = together and k > 0
    mark = {"marker": canvas.MARKERS[k % 8], "markevery": (17 * k, 80)} if many else {}
    low, high, told = bounds(function)
    for bound in (low, high):
        if np.isfinite(bound):
            ax.axhline(bound, color=color, linestyle=":", linewidth=1.2, alpha=0.8)
    with np.errstate(all="ignore"):
        a = np.asarray(function(z))
    ax.plot(z, a, label=f"{name}, range {told}", linewidth=2, color=color, **mark)
    if derivative:
        slope = np.where(np.isnan(a), np.nan, grad(lambda x: np.sum(function(x)))(z))
        hue = color if together else canvas.COLORS[1]
        label = f"{name}′" if many else "its derivative"
        ax.plot(z, slope, label=label, linewidth=1.4, linestyle="--", color=hue, **mark)
    if not together:
        canvas.dress(ax, f"{name}, range {told}")


def _elementwise(chosen: Any) -> Function:
    """Return an activation as a function of arrays."""
    function = activation_named(chosen) or ops.positive
    z = np.array([-1.0, 0.5, 2.0])
    with np.errstate(all="ignore"):
        whole, single = np.asarray(function(z)), [float(np.asarray(function(z[1:2]))[0])]
    if whole.shape != z.shape or not np.isclose(whole[1], single[0], equal_nan=True):
        options = ", ".join(n for n in activations() if n in ("relu", "sigmoid", "tanh", "gelu"))
        raise ArgumentError(
            f"{named_activation(chosen)} works on whole rows, not on one score", f"try {options}"
        )
    return lambda x: function(x)


def _interval(span: Any) -> tuple[float, float]:
    try:
        low, high = (float(s) for s in span)
    except (TypeError, ValueError):
        raise DtypeError(f"span is {span!r}", "two numbers: span=(-5, 5)") from None
    if not low < high:
        raise ArgumentError(f"span is {span!r}", "the lower end comes first: span=(-5, 5)")
    return low, high


def bounds(function: Function) -> tuple[float, float, str]:
    """Return the bounds of a function as measured up to ±1e300, and its range as text.

    >>> bounds(np.tanh)
    (-1.0, 1.0, '(−1, 1)')
    """
    near = np.linspace(-NEAR, NEAR, 20_001)
    tail = np.geomspace(NEAR, FAR, 200)
    with np.errstate(all="ignore"):
        inner = np.asarray(function(near))
        whole = np.concatenate([inner, np.asarray(function(np.concatenate([-tail, tail])))])
    inner, whole = inner[~np.isnan(inner)], whole[~np.isnan(whole)]
    low, high = float(whole.min()), float(whole.max())
    left = "(−∞" if low < -LARGE else f"{'[' if low == inner.min() else '('}{canvas.number(low)}"
    right = "∞)" if high > LARGE else f"{canvas.number(high)}{']' if high == inner.max() else ')'}"
    bound = (low if low >= -LARGE else -np.inf, high if high <= LARGE else np.inf)
    return *bound, f"{left}, {right}"


def chain(
    outer: Function,
    inner: Function,
    *,
    at: Sequence[float] = (-1.0, 0.0, 0.5, 1.0),
    names: tuple[str, str] = ("outer", "inner"),
    ax: Any = None,
) -> Any:
    """Draw the chain rule in three panels: u = inner(x), y = outer(u), and y as a function of x.

        dy/dx = dy/du · du/dx,  each slope a tangent at its points

    Args: `outer` and `inner`, functions of an array; `at`, the points x; `names`, what the two are
    called. Returns: an array of three axes. The slopes, as `pc.grad` derives them, stand in the
    legend.

    >>> axes = chain(lambda u: u**2, lambda x: 3 * x + 1, at=[0.5], names=("u²", "3x + 1"))
    >>> axes[2].get_legend_handles_labels()[1]
    ['x = 0.5: 5 · 3 = 15']
    """
    x = np.asarray(at, dtype=float).ravel()
    if not x.size or not np.isfinite(x).all():
        raise DataError(f"at is {at!r}", "at least one finite number: at=[0.0, 1.0]")
    axes = canvas.panels(ax, 3, 3, (3.4, 3.3))
    u = np.asarray(inner(x), dtype=float)
    du, dy = _slope(inner, x), _slope(outer, u)
    _tangents(axes[0], inner, x, du, [f"{canvas.number(s)}" for s in du])
    _tangents(axes[1], outer, u, dy, [f"{canvas.number(s)}" for s in dy])
    told = [
        f"x = {canvas.number(p)}: {canvas.number(s)} · {canvas.number(t)} = {canvas.number(s * t)}"
        for p, s, t in zip(x, dy, du, strict=True)
    ]
    _tangents(axes[2], lambda v: outer(inner(v)), x, dy * du, told)
    canvas.dress(axes[0], f"u = {names[1]}", "x", "u", small=True)
    canvas.dress(axes[1], f"y = {names[0]}", "u", "y", small=True)
    canvas.dress(axes[2], "y as a function of x", "x", "y", small=True)
    for panel, title in zip(axes, ("slope du/dx", "slope dy/du", "dy/du · du/dx"), strict=True):
        canvas.legend_below(panel, title)
    return axes


def _slope(function: Function, x: Array) -> Array:
    found: Array = grad(lambda v: np.sum(function(v)))(x)
    return found


def _tangents(ax: Any, function: Function, x: Array, slopes: Array, told: list[str]) -> None:
    """Draw a function, and its tangent at every point."""
    low, high = float(x.min()), float(x.max())
    room = 0.35 * (high - low) or 1.0
    grid = np.linspace(low - room, high + room, 201)
    ax.plot(grid, np.asarray(function(grid)), color=canvas.FAINT, linewidth=2.5)
    reach, y = 0.13 * (grid[-1] - grid[0]), np.asarray(function(x))
    for k, (p, q, s) in enumerate(zip(x, y, slopes, strict=True)):
        dx = np.array([-reach, reach])
        ax.plot(p + dx, q + s * dx, color=canvas.COLORS[k % 8], linewidth=1.5)
        ax.plot(p, q, label=told[k], markersize=6, linestyle="none", **canvas.dots(k))
    canvas.ruled(ax)


# -- training --------------------------------------------------------------------------------------


def history(
    history: Any, metrics: str | Sequence[str] | None = None, *, log: bool = True, ax: Any = None
) -> Any:
    """Draw learning curves: loss and metrics by epoch, while training and on held-out samples.

    Args: `history`, of `fit`, or several by name: {"small": history, …}; `metrics`, which to draw
    (None: all); `log`, whether the loss has a log axis.
    Returns: the axes; an array of them where there are several metrics.
    Raises: DtypeError, ArgumentError for an unknown metric, DataError for an empty history. Epochs
    whose value is NaN or Inf are named in the legend.

    >>> ax = history({"loss": [0.7, 0.3, 0.1], "val_loss": [0.7, 0.4, 0.2]})
    >>> [line.get_label() for line in ax.get_lines()]
    ['train', 'validation']
    """
    runs = _runs(history)
    known = list(dict.fromkeys(n.removeprefix("val_") for run in runs.values() for n in run))
    wanted = [metrics] if isinstance(metrics, str) else metrics
    shown = list(wanted) if wanted else known
    for name in shown:
        if name not in known:
            raise one_of("metric", name, known)
    if len(shown) == 1 and not isinstance(ax, (list, tuple, np.ndarray)):
        axes = np.array([canvas.panel(ax, 6.2, 3.6)], object)
    else:
        axes = canvas.panels(ax, len(shown), 2, (4.6, 3.4))
    for panel, name in zip(axes, shown, strict=True):
        _curves(panel, runs, name, log and "loss" in name)
    canvas.legend(axes[-1])
    return axes[0] if len(axes) == 1 else axes


def _runs(given: Any) -> dict[str, Mapping[str, Any]]:
    """Return histories by name; a single one has the name ""."""
    if not isinstance(given, Mapping):
        raise DtypeError(
            f"a history is expected, not a {type(given).__name__}", "history = model.fit(X, y, …)"
        )
    several = bool(given) and all(isinstance(run, Mapping) for run in given.values())
    runs = {str(name): run for name, run in given.items()} if several else {"": given}
    for name, run in runs.items():
        if not run or not all(len(values) for values in run.values()):
            raise DataError(f"the history {name!r} has no epochs".replace(" ''", ""), "fit first")
    return runs


def _curves(ax: Any, runs: Mapping[str, Mapping[str, Any]], name: str, log: bool) -> None:
    """Draw one metric of all runs: solid while training, dashed on held-out samples."""
    for k, (run, series) in enumerate(runs.items()):
        pairs = [(name, "train", "-"), (f"val_{name}", "validation", "--")]
        for key, kind, dash in pairs:
            if key in series:
                _curve(ax, series[key], k, run, kind, dash, len(runs) > 1)
    canvas.dress(ax, name.replace("_", " "), "epoch", name.replace("_", " "))
    values = np.concatenate([line.get_ydata() for line in ax.get_lines()])
    if log and (values > 0).any() and not (values <= 0).any():
        canvas.log_axis(ax)
    canvas.ruled(ax)
    canvas.whole(ax.xaxis, 6)


def _curve(ax: Any, values: Any, k: int, run: str, kind: str, dash: str, several: bool) -> None:
    y = np.array(values, dtype=float)
    lost = np.flatnonzero(~np.isfinite(y))
    label = f"{run}, {kind}" if run else kind
    if lost.size:
        label += f" (not finite from epoch {lost[0] + 1})"
        y[lost] = np.nan
    hue = k if several else (0 if kind == "train" else 1)
    mark = {"marker": canvas.MARKERS[k % 8], "markevery": 0.2, "markersize": 4} if several else {}
    if len(y) == 1:
        mark = {"marker": canvas.MARKERS[k % 8], "markersize": 6}
    epochs = np.arange(1, len(y) + 1)
    color = canvas.COLORS[hue % 8]
    ax.plot(epochs, y, label=label, color=color, linestyle=dash, linewidth=1.6, **mark)


def success(sweep: Any, *, log: bool = True, ax: Any = None) -> Any:
    """Draw the loss curve of every training of a sweep, and the share that converged.

    One panel for each point of the grid: curves that converged are solid and blue, others dashed
    and orange; the title gives the share, with its 95% interval (Wilson 1927).
    Args: `sweep`, of `pc.sweep`; `log`, whether the loss has a log axis.
    Returns: an array of axes. Raises: DtypeError for what is no sweep, DataError for an empty one.

    >>> from pellucid import Dense, Sequential, data, sweep
    >>> def make(hidden):
    ...     return Sequential([Dense(hidden, "tanh"), Dense(1, "sigmoid")], loss="bce")
    >>> found = sweep(make, *data.xor(), epochs=5, seeds=range(2), grid={"hidden": [1, 2]},
    ...               converged=0.1, verbose=0)
    >>> success(found)[1].get_title()
    'hidden 2: 0 of 2 converged\\n0% (0% to 66%)'
    """
    if not isinstance(sweep, Sweep):
        raise DtypeError(f"a sweep is expected, not {type(sweep).__name__}", "pc.sweep(…)")
    if not sweep.rows or sweep.curves is None or sweep.epochs is None:
        raise DataError("the sweep has no trainings", "give it more time")
    columns = 2 if len(sweep.points) < 5 else 3
    axes = canvas.panels(ax, len(sweep.points), columns, (3.7, 3.0), share=True)
    for panel, point in zip(axes, sweep.points, strict=True):
        rows = [k for k, row in enumerate(sweep.rows) if row["point"] is point]
        _all_curves(panel, sweep, rows)
        canvas.dress(panel, _share(sweep, point, rows), "epoch", "loss", small=True)
        canvas.ruled(panel)
        canvas.whole(panel.xaxis, 5)
        if log and np.nanmin(sweep.curves, initial=np.inf) > 0:
            canvas.log_axis(panel)
    _legend_of_kinds(axes[min(columns, len(axes)) - 1], {row["converged"] for row in sweep.rows})
    return axes


def _legend_of_kinds(ax: Any, kinds: set[bool | None]) -> None:
    """Say what solid and dashed curves are."""
    for kind, label in ((True, "converged"), (False, "did not")):
        if kind in kinds:
            ax.plot([], [], label=label, **_look(kind))
    canvas.legend(ax)


def _look(converged: bool | None) -> dict[str, Any]:
    if converged is None:
        return {"color": canvas.COLORS[6], "linestyle": "-"}
    return canvas.stroke(0 if converged else 1)


def _all_curves(ax: Any, sweep: Sweep, rows: list[int]) -> None:
    assert sweep.curves is not None and sweep.epochs is not None
    faint = max(0.12, min(0.8, 12 / max(len(rows), 1)))
    for k in rows:
        look = _look(sweep.rows[k]["converged"])
        mark = "o" if len(sweep.epochs) == 1 else None
        ax.plot(sweep.epochs + 1, sweep.curves[k], linewidth=1, alpha=faint, marker=mark, **look)


def _value(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else short(value)


def _share(sweep: Sweep, point: Mapping[str, Any], rows: list[int]) -> str:
    at = ", ".join(f"{name} {_value(value)}" for name, value in point.items())
    verdicts = [sweep.rows[k]["converged"] for k in rows]
    if None in verdicts or not verdicts:
        return f"{at}: {len(rows)} trainings" if at else f"{len(rows)} trainings"
    low, high = sweep.interval(**point)
    told = f"{sum(verdicts)} of {len(verdicts)} converged"
    share = f"{sum(verdicts) / len(verdicts):.0%} ({low:.0%} to {high:.0%})"
    lost = sum(sweep.rows[k]["status"] == "diverged" for k in rows)
    share += f", {lost} diverged" if lost else ""
    return f"{at}: {told}\n{share}" if at else f"{told}\n{share}"
