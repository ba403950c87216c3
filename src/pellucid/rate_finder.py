"""The learning-rate range test: which learning rate to begin with, and how sure that is."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from statistics import geometric_mean
from typing import Any

import numpy as np

from pellucid import rng
from pellucid.callbacks import LambdaCallback
from pellucid.errors import ArgumentError, DtypeError, TrainingWarning
from pellucid.graph import Array
from pellucid.model import Sequential
from pellucid.optim import Exponential, Optimizer
from pellucid.settings import check_settings, check_whole

KEEP = 0.9  # what the smoothed loss keeps of itself from update to update
BLOWN = 4.0  # a loss so many times its lowest has blown up
FLAT = 0.15  # the share of the updates, at the lowest rates, in which next to nothing changes
THIRD = 1 / 3  # of the rate of the lowest loss, where training is about as fast as it gets
SURE = 3.0  # a fall of less than so many standard deviations of the flat part may be chance


@dataclass(frozen=True, eq=False, repr=False)
class RangeTest:
    """What a range test found; printed, a few lines to read.

    `rates` (updates,) and `losses` (runs, updates), NaN where a run had ended; `smooth`, the losses
    as running means; `each`, the rate that every single run suggests, NaN for none; `suggested` and
    `interval`, None where there is nothing to suggest, and `reason`, why.
    """

    rates: Array
    losses: Array
    smooth: Array
    each: Array
    lowest: Array  # of every run, the rate at which its loss was lowest
    suggested: float | None
    interval: tuple[float, float] | None
    reason: str
    told: str

    def __repr__(self) -> str:
        return f"{self.told}\n{self.reason}"


def range_test(
    model: Sequential,
    X: Any,
    y: Any,
    *,
    low: float = 1e-6,
    high: float = 10.0,
    steps: int = 200,
    runs: int = 6,
    batch_size: int | None = 32,
    fresh: bool | None = None,
    backend: str = "auto",
) -> RangeTest:
    """Raise the learning rate from `low` to `high` while copies train; suggest one to begin with.

        rate of update k = low · (high / low)^(k / (steps - 1))

    Every run takes other batches in another order, and, where `fresh`, other initial weights (by
    default: where the model has not been trained yet). A run suggests a third of the rate at which
    its loss was lowest; `suggested` is their geometric mean, `interval` the least and the greatest.
    The median of ever more runs lies in it with probability 1 - 2^(1 - runs): 97% for 6.
    The model is not changed. Args: `X`, `y`, `batch_size` and `backend` as for `fit`.
    Returns: a `RangeTest`, for `pc.plot.range_test`; its `suggested` is None where the loss does
    not clearly fall. Raises: as `fit` does; ArgumentError for LBFGS, which finds its own steps.
    Source: Smith 2017, section 3.3.

    >>> from pellucid import Dense, data
    >>> model = Sequential([Dense(8, "tanh"), Dense(1, "sigmoid")], loss="bce")
    >>> range_test(model, *data.xor(), runs=2, backend="numpy").suggested is not None
    True
    """
    _check(model, low, high, runs, fresh)
    check_whole(steps, "steps", 20)
    check_settings(1, batch_size, None, backend)
    draw = model._net is None or not model._numbers.steps if fresh is None else fresh
    rates = low * (high / low) ** (np.arange(steps) / (steps - 1))
    losses = np.full((runs, steps), np.nan)
    for k in range(runs):
        _run(_copy(model, rates, k, draw), X, y, batch_size, backend, losses[k])
    size = min(batch_size or len(X), len(X))
    told = f"{runs} runs of {steps} updates on batches of {size}, at rates from {low:g} to {high:g}"
    return _judged(rates, losses, told)


def _check(model: Any, low: Any, high: Any, runs: Any, fresh: Any) -> None:
    if not isinstance(model, Sequential):
        raise DtypeError(f"a model is expected, not {model!r}", "pc.range_test(model, X, y)")
    if model.optimizer.whole:
        raise ArgumentError(
            f"{type(model.optimizer).__name__} finds how far to go itself",
            "a range test is for optimizers such as pc.SGD() and pc.Adam()",
        )
    numbers = all(isinstance(x, (int, float)) and not isinstance(x, bool) for x in (low, high))
    if not numbers or not 0 < low < high < float("inf"):
        raise ArgumentError(f"low is {low!r} and high is {high!r}", "0 < low < high")
    check_whole(runs, "runs", 1)
    if fresh not in (None, True, False):
        raise ArgumentError(f"fresh is {fresh!r}", "True, False or None")


def _copy(model: Sequential, rates: Array, run: int, fresh: bool) -> Sequential:
    """Return a copy of the model whose learning rate goes up, with another seed."""
    twin = model.copy()
    seed = rng.key(model.seed, "range test", run) % 2**32
    if fresh:
        twin.reset(int(seed))
    twin.optimizer = _rising(model.optimizer, rates)
    twin.seed, twin._stepper = int(seed), None
    return twin


def _rising(optimizer: Optimizer, rates: Array) -> Optimizer:
    """Return the optimizer with a learning rate that goes up; groups keep their share of it."""
    schedule = Exponential(float(rates[0]), float(rates[1] / rates[0]))
    scale = schedule.base / optimizer.base_rate
    groups = [
        g if g.learning_rate is None else replace(g, learning_rate=g.learning_rate * scale)
        for g in optimizer.groups
    ]
    return replace(optimizer, learning_rate=schedule, groups=groups)


def _run(twin: Sequential, X: Any, y: Any, batch: int | None, backend: str, out: Array) -> None:
    """Train a copy and write down the loss of every update, until it blows up."""
    k = twin.optimizer.accumulate
    wanted, size = len(out) * k, min(batch or len(X), len(X))
    if len(X) > wanted * size:  # more samples than there are places
        rows = rng.permutation(rng.key(twin.seed, "range test rows"), len(X))[: wanted * size]
        X, y = np.asarray(X)[rows], np.asarray(y)[rows]
    seen: list[float] = []
    note = LambdaCallback(on_batch_end=lambda batch, logs: seen.append(logs["loss"]))
    epochs = -(-wanted // -(-len(X) // size))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrainingWarning)
        twin.fit(X, y, epochs=epochs, batch_size=batch, backend=backend, verbose=0,
                 callbacks=[note], on_nonfinite="report")  # fmt: skip
    whole = np.array(seen[: len(seen) // k * k][:wanted]).reshape(-1, k).mean(axis=1)
    out[: len(whole)] = whole


# -- what the losses say ---------------------------------------------------------------------------


def _judged(rates: Array, losses: Array, told: str) -> RangeTest:
    smooth = np.array([_smoothed(run) for run in losses])
    each, lowest = np.array([_suggested(rates, run) for run in smooth]).T
    clear = int(np.isfinite(each).sum())
    if 2 * clear <= len(each):
        reason = _unclear(rates, smooth, clear)
        return RangeTest(rates, losses, smooth, each, lowest, None, None, reason, told)
    found = each[np.isfinite(each)]
    best = geometric_mean(found.tolist())
    interval = (float(found.min()), float(found.max()))
    reason = f"begin with {best:.2g}: the runs suggest from {interval[0]:.2g} to {interval[1]:.2g}"
    ends = lowest[np.isfinite(each)]
    reason += f"\nthe loss is lowest at {ends.min():.2g} to {ends.max():.2g}"
    if clear < len(each):
        reason += f"\nin {len(each) - clear} of the runs the loss does not clearly fall"
    if (ends >= rates[-3]).any():
        reason += "\nit still falls at the highest rate: try a higher `high`"
    return RangeTest(rates, losses, smooth, each, lowest, best, interval, reason, told)


def _smoothed(losses: Array) -> Array:
    """Return running means of the losses, up to where they have blown up: NaN from there on."""
    found = np.full(len(losses), np.nan)
    mean, low = 0.0, float("inf")
    for k, loss in enumerate(losses):
        mean = KEEP * mean + (1 - KEEP) * loss
        now = mean / (1 - KEEP ** (k + 1))
        if not np.isfinite(now) or now - low > (BLOWN - 1) * abs(low):
            break
        low = min(low, now)
        found[k] = now
    return found


def _suggested(rates: Array, smooth: Array) -> tuple[float, float]:
    """Return the rate to begin with, and the one of the lowest loss.

    The former is NaN where the loss falls by no more than it varies at the lowest rates.
    """
    if not np.isfinite(smooth[0]):
        return np.nan, np.nan
    low = int(np.nanargmin(smooth))
    flat = smooth[: max(3, int(FLAT * len(smooth)))]
    flat = flat[np.isfinite(flat)]
    start, noise = float(np.mean(flat)), float(np.std(flat))
    fall = start - smooth[low]
    if low < len(flat) or fall <= max(SURE * noise, 1e-3 * abs(start)):
        return np.nan, float(rates[low])
    return float(THIRD * rates[low]), float(rates[low])


def _unclear(rates: Array, smooth: Array, clear: int) -> str:
    """Say why there is nothing to suggest."""
    if not np.isfinite(smooth[:, max(3, len(rates) // 10)]).all():
        return f"nothing to suggest: the loss blows up at {rates[0]:g} already; try a lower `low`"
    return (
        f"nothing to suggest: in {len(smooth) - clear} of {len(smooth)} runs the loss falls by no "
        "more than it varies from batch to batch"
    )
