"""`pellucid bench`: how fast this model trains here, by NumPy, compiled, and by other libraries."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from pellucid.commands.again import samples
from pellucid.commands.folder import Trained, opened, versions
from pellucid.commands.options import Settings
from pellucid.commands.peers import Train, peers
from pellucid.commands.rows import needed
from pellucid.errors import PellucidError
from pellucid.graph import Array
from pellucid.model import Sequential
from pellucid.nn import Dense

AIM = 0.3  # seconds that a timing takes, about


@dataclass(eq=False)
class Contestant:
    """What trains: its name, how, a remark, the seconds of its first epoch.

    `seconds` are of so many `epochs`, timed several times.
    """

    name: str
    train: Train
    remark: str
    first: float
    epochs: int = 1
    seconds: list[float] = field(default_factory=list)

    def warm(self, epochs: int | None) -> None:
        """Choose how many epochs are timed at once: more, until that takes long enough."""
        self.epochs = epochs or 1
        while epochs is None and _timed(self.train, self.epochs) < AIM / 2:
            self.epochs *= 2


def run(given: Settings) -> None:
    """Time all that there are, in turns, and print a table."""
    trained = opened(needed(given, "run"))
    found = samples(trained, given, whole=True)
    found.tell()
    size = min(int(trained.given.batch_size), len(found.X))
    there: list[Contestant] = []
    absent: dict[str, str] = {}
    for name, train, remark in everyone(trained, found.X, found.y, size):
        try:
            first = _timed(train, 1) if train else 0.0
        except PellucidError as error:  # an op that is not compiled, or no compiler
            absent[name] = error.what
            continue
        if train is None:
            absent[name] = remark
        else:
            there.append(Contestant(name, train, remark, first))
    for one in there:
        one.warm(given.epochs)
    for _ in range(given.repeats):
        for one in there:
            one.seconds.append(_timed(one.train, one.epochs))
    told = _told(there, absent, len(found.X), size)
    print(json.dumps(told, ensure_ascii=False) if given.json else "\n".join(_lines(told)))


def everyone(
    trained: Trained, X: Array, y: Array, size: int
) -> Iterator[tuple[str, Train | None, str]]:
    """Yield name, training and remark of each contestant; None for one that cannot be."""
    for name, backend in (("NumPy", "numpy"), ("compiled", "numba")):
        yield name, _ours(trained.model, X, y, size, backend), f"this model, backend={backend!r}"
    yield from peers(trained.model, prepared(trained.model, X), y, size)


def _ours(model: Sequential, X: Array, y: Array, size: int, backend: str) -> Train:
    twin = model.copy()
    return lambda epochs: twin.fit(X, y, epochs=epochs, batch_size=size, verbose=0, backend=backend)


def prepared(model: Sequential, X: Array) -> Array:
    """Return the rows as they reach the first `Dense` layer."""
    first = next(k for k, layer in enumerate(model.layers) if isinstance(layer, Dense))
    if not first:
        return X.astype(model.dtype)
    layers = model.layers[:first]
    front = Sequential(layers, dtype=model.dtype)
    front._build(model._built.input_shape)
    for name, array in front.buffers.items():
        array[...] = model.buffers[name]
    return front.predict(X, backend="numpy")


def _timed(train: Callable[[int], Any], epochs: int) -> float:
    start = time.perf_counter()
    train(epochs)
    return time.perf_counter() - start


def _told(there: list[Contestant], absent: dict[str, str], rows: int, size: int) -> dict[str, Any]:
    return {
        "rows": rows,
        "batch_size": size,
        "machine": {"cores": os.cpu_count(), **versions()},
        "timed": [
            {
                "name": one.name,
                "remark": one.remark,
                "epochs": one.epochs,
                "seconds": one.seconds,
                "first_epoch": one.first,
                "rows_per_second": rows * one.epochs / median(one.seconds),
            }
            for one in there
        ],
        "left_out": absent,
    }


def _lines(told: dict[str, Any]) -> Iterator[str]:
    """Yield the table."""
    count = len(told["timed"][0]["seconds"])
    yield f"{told['rows']:,} rows in batches of {told['batch_size']}, {count} times in turns:"
    head = f"{'epochs':>6} {'ms an epoch':>12} {'least':>9} {'most':>9} {'rows/s':>11}  first"
    yield f"  {'':18} {head}"
    for one in told["timed"]:
        middle, least, most = (1000 * f(one["seconds"]) / one["epochs"] for f in (median, min, max))
        yield (
            f"  {one['name']:18} {one['epochs']:6,} {middle:12.3f} {least:9.3f} {most:9.3f} "
            f"{one['rows_per_second']:11,.0f}  {one['first_epoch']:.2f} s"
        )
    for one in told["timed"]:
        yield f"  {one['name']}: {one['remark']}"
    for name, why in told["left_out"].items():
        yield f"  {name} is left out: {why}"
    if len(told["timed"]) > 2:
        yield "  the others get rows that are prepared already; ours prepare them in every step"
    machine = told["machine"]
    yield f"  {machine['cores']} cores, {machine['system']}, Python {machine['python']}"
