"""One call of `fit`: what its callbacks are told before it begins, and the loop that it runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from pellucid.backends import chosen, loop_on
from pellucid.batches import Batch
from pellucid.callbacks import Callback, Lines, Progress
from pellucid.fit import RECORDED, Loop
from pellucid.history import History
from pellucid.keeping.facts import Task
from pellucid.keeping.recording import Kept


def progress(verbose: int, every: int | None, epochs: int) -> list[Callback]:
    """Return what tells of progress: a bar on a terminal, lines elsewhere, about 20 in all."""
    if verbose and every is None and sys.stdout.isatty():
        return [Progress()]
    return [Lines(every or max(1, -(-epochs // 20)), epochs)] if verbose else []


def ready(task: Task, hooks: Sequence[Callback]) -> None:
    """Tell callbacks what will be logged; they refuse what cannot be meant."""
    model, weighted = task.model, task.data.weights is not None
    returns = model._steps().program(weighted)[0].program.returns
    names = [k for k in ("loss", "data_loss") if k in returns] + [*model._measures.metrics]
    names += [f"val_{name}" for name in names if task.held] + [*RECORDED] * bool(task.record)
    for callback in hooks:
        callback.model, callback.stopped = model, ""
        callback.ready(names)


def loop_of(
    task: Task, hooks: list[Callback], kept: Kept, backend: str, verbose: int
) -> tuple[Loop | None, History]:
    """Return the loop that is to run, and the epochs before it; None where there is none."""
    model, held = task.model, task.held
    given = (model._steps(), task.data, task.batch_size, task.epochs, held, task.augment)
    try:
        how, machine = chosen(kept.backend(backend), *given)
    except KeyboardInterrupt:
        history = History()
        history.stopped = "interrupted after epoch 0: its program was being made"
        return None, history
    if verbose > 1:
        print(f"backend {how}: {how.why}")
    begun = kept.begin(how, task, hooks)
    if kept.done:
        return None, begun
    validate = partial(_validated, model, held) if held else None
    judge = partial(model._judged, task.data) if model._measures.whole else None
    record = partial(_recorded, model, task.data) if task.record else None
    settings = (task.data, task.epochs, task.batch_size, task.shuffle, kept.around(hooks), held)
    more = (how, validate, judge, record, task.augment)
    return loop_on(machine)(model._steps(), *settings, *more), begun


def _recorded(model: Any, train: Batch) -> dict[str, float]:
    """Return loss and gradient of all training samples, and the rate of the last step."""
    slopes = model._run("gradients", train, train.weights is not None)
    norm = float(np.sqrt(sum(np.square(g, dtype=float).sum() for g in slopes.values())))
    told = (model._evaluated(train)["loss"], norm, model._steps().rate)
    return dict(zip(RECORDED, told, strict=True))


def _validated(model: Any, held: Batch) -> dict[str, float]:
    return {f"val_{k}": v for k, v in model._evaluated(held).items()}
