"""Learning rates by update: schedules, and what a range test found."""

from __future__ import annotations

from typing import Any

import numpy as np

from pellucid.errors import DtypeError
from pellucid.optim import Optimizer, Schedule
from pellucid.plot import canvas
from pellucid.rate_finder import RangeTest
from pellucid.settings import as_list, check_whole


def schedule(schedules: Any, steps: int, *, ax: Any = None) -> Any:
    """Draw the learning rate of the first `steps` updates.

    Args: `schedules`, a schedule, an optimizer or a model that has one, or a list or dict of
    several, whose keys are what the legend calls them; `steps`, updates. Returns: the axes.
    Raises: DtypeError for anything else.

    >>> from pellucid import Cosine, WarmUp
    >>> ax = schedule({"cosine": Cosine(0.1, 100), "with warm-up": WarmUp(0.1, 20)}, 100)
    >>> [line.get_label() for line in ax.get_lines()]
    ['cosine', 'with warm-up']
    """
    check_whole(steps, "steps", 1)
    given = schedules if isinstance(schedules, dict) else dict(_labeled(schedules))
    curves = {label: _rates(chosen, steps) for label, chosen in given.items()}
    ax = canvas.panel(ax, 6.4, 3.6)
    for k, (label, rates) in enumerate(curves.items()):
        ax.plot(np.arange(steps), rates, label=label, **canvas.stroke(k))
    canvas.dress(ax, "schedule" if len(curves) == 1 else "schedules", "update", "learning rate")
    ax.set_ylim(bottom=0)
    canvas.whole(ax.xaxis)
    canvas.ruled(ax)
    canvas.legend(ax)
    return ax


def _labeled(chosen: Any) -> list[tuple[str, Any]]:
    many = isinstance(chosen, (list, tuple))
    several = as_list(chosen, "schedules", "[pc.Cosine(0.1, 100)]") if many else [chosen]
    names = [type(_schedule(s)).__name__ for s in several]
    return [
        (n if names.count(n) == 1 else f"{n} {names[: k + 1].count(n)}", s)
        for k, (n, s) in enumerate(zip(names, several, strict=True))
    ]


def _schedule(chosen: Any) -> Schedule | float:
    """Return the schedule, or the number, that an optimizer or a model goes by."""
    optimizer = chosen if isinstance(chosen, Optimizer) else getattr(chosen, "optimizer", None)
    found = optimizer.learning_rate if isinstance(optimizer, Optimizer) else chosen
    if isinstance(found, Schedule) or (isinstance(found, float) and found is not chosen):
        return found
    raise DtypeError(f"{chosen!r} has no schedule", "pc.plot.schedule(pc.Cosine(0.1, 100), 100)")


def _rates(chosen: Any, steps: int) -> Any:
    found = _schedule(chosen)
    return found.rates(steps) if isinstance(found, Schedule) else np.full(steps, found)


def range_test(found: RangeTest, *, ax: Any = None) -> Any:
    """Draw what a range test found: the loss of every run by learning rate, and the suggestion.

    Args: `found`, what `pc.range_test` returned. Returns: the axes; thin lines are the losses of
    batches, thick ones their running means, the band is the interval of the suggestion.

    >>> from pellucid import Dense, Sequential, data
    >>> from pellucid import range_test as test
    >>> model = Sequential([Dense(8, "tanh"), Dense(1, "sigmoid")], loss="bce")
    >>> ax = range_test(test(model, *data.xor(), runs=2, backend="numpy"))
    >>> ax.get_xlabel()
    'learning rate'
    """
    if not isinstance(found, RangeTest):
        raise DtypeError(f"{found!r} is no range test", "pc.plot.range_test(pc.range_test(…))")
    ax = canvas.panel(ax, 6.4, 3.8)
    for k, (losses, smooth) in enumerate(zip(found.losses, found.smooth, strict=True)):
        look = canvas.stroke(k)
        shown = np.where(np.isfinite(smooth), losses, np.nan)
        ax.plot(found.rates, shown, **{**look, "linewidth": 0.5, "alpha": 0.35})
        ax.plot(found.rates, smooth, label=f"run {k + 1}", **look)
    ax.set_xscale("log")
    if found.suggested is not None and found.interval is not None:
        ax.axvspan(*found.interval, color="0.5", alpha=0.2, linewidth=0)
        ax.axvline(found.suggested, color="0.3", linestyle="--", linewidth=1)
    title = "nothing to suggest" if found.suggested is None else f"begin with {found.suggested:.2g}"
    canvas.dress(ax, title, "learning rate", "loss of a batch")
    canvas.ruled(ax)
    canvas.legend(ax)
    return ax
