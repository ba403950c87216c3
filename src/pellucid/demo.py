"""The demonstration: a network learns to read handwriting, and shows some of what it read."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import numpy as np

from pellucid import data
from pellucid.callbacks import Callback, Progress, writes
from pellucid.errors import ArgumentError
from pellucid.graph import Array
from pellucid.history import History
from pellucid.model import Sequential, load
from pellucid.nn import Dense, Dropout
from pellucid.optim import Adam
from pellucid.pages import report

SHADES = " ░▒▓█", " .+#@"  # from paper to ink; the second where an encoding has no blocks
EPOCHS = 60
TITLE = "A network that reads handwriting"
SHOWN = 4  # images side by side: 4 * 16 columns, and gaps


def reader(seed: int = 0) -> Sequential:
    """Return the network of the demonstration, untrained: 64 pixels to 10 digits."""
    layers = [Dense(256, "relu"), Dropout(0.5), Dense(10, "softmax")]
    return Sequential(layers, loss="cce", optimizer=Adam(0.003), metrics=["accuracy"], seed=seed)


def trained(
    model: Sequential, X: Array, y: Array, epochs: int, held: tuple[Array, Array], *bars: Callback
) -> History:
    """Train as the demonstration does."""
    return model.fit(
        X, y, epochs=epochs, batch_size=64, validation_data=held, callbacks=bars, verbose=0
    )


def run(seed: int, epochs: int, path: str, page: str, out: IO[str] | None = None) -> Sequential:
    """Train, show, save, report; return the model.

    Raises: ArgumentError where `path` or `page` cannot be written.
    """
    out = out or sys.stdout
    target, sheet = _writable(path), _writable(page, "--report")
    X, y, X_test, y_test = data.split(*data.digits(), test=0.2, seed=seed)
    model = reader(seed)
    print(f"Learning to read {len(X):,} handwritten digits, 8 by 8 pixels each;", file=out)
    print(f"{len(X_test)} others are held out, to see what it has understood.", file=out)
    print(file=out, flush=True)
    history = trained(model, X, y, epochs, (X_test, y_test), Progress(out, every=0))
    if history.stopped:
        print(history.stopped, file=out)
    shares = model.predict(X_test)
    for line in _report(shares, y_test, X_test, SHADES[not writes(out, SHADES[0])]):
        print(line, file=out)
    print(f"\nSaved as {_saved(model, target)}. To go on with it in Python:\n", file=out)
    print(f"    import pellucid as pc\n    model = pc.load({path!r})", file=out, flush=True)
    print("\nEverything there is to see of it, to be opened in a browser:\n", file=out)
    print(f"    {report(model, history, X_test, y_test, sheet, title=TITLE).resolve()}", file=out)
    return model


def _writable(path: str, option: str = "--save") -> Path:
    """Return the path, or refuse it before the training rather than after."""
    target = Path(path)
    if not target.parent.is_dir():
        folder = str(target.parent)
        raise ArgumentError(f"there is no folder {folder!r} to save in", "make it first")
    if target.is_dir() or not os.access(target.parent, os.W_OK):
        raise ArgumentError(f"{path!r} cannot be written", f"{option} with another path")
    return target


def _saved(model: Sequential, target: Path) -> Path:
    """Save the model, and read it back, so that what is promised below holds."""
    model.save(target)
    load(target)
    return target.resolve()


def _report(shares: Array, truth: Array, X: Array, shades: str) -> Iterator[str]:
    """Yield the share that is right, and some images with what was read and what they are."""
    read = shares.argmax(axis=1)
    wrong = np.flatnonzero(read != truth)
    yield f"\nOf the {len(truth)} held-out digits it reads {(read == truth).mean():.1%} correctly"
    rows = _chosen(shares, truth, wrong)
    if len(wrong):
        yield f"and {len(wrong)} wrongly; the last one here is of those.\n"
    else:
        yield "and none wrongly. Some of them:\n"
    said = [f"read {read[k]} (p={shares[k, read[k]]:.3f})" for k in rows]
    true = [f"is   {truth[k]}{', wrong' * (k in wrong)}" for k in rows]
    yield from pictures(X[rows].reshape(-1, 8, 8), [said, true], shades)


def _chosen(shares: Array, truth: Array, wrong: Array) -> list[int]:
    """Return rows to show: digits in the order they come, all different; then the worst mistake."""
    digits: dict[int, int] = {}
    for k in np.flatnonzero(shares.argmax(axis=1) == truth):
        digits.setdefault(int(truth[k]), int(k))
    rows = list(digits.values())[: SHOWN - bool(len(wrong))]
    surest = wrong[shares[wrong].max(axis=1).argmax()] if len(wrong) else None
    return rows if surest is None else [*rows, int(surest)]


def pictures(images: Array, captions: Sequence[Sequence[str]], shades: str) -> Iterator[str]:
    """Yield lines that show images (k, h, w) in [0, 1] side by side; a pixel is two characters."""
    levels = (images * (len(shades) - 1)).round().astype(int)
    gap = "   "
    for row in range(levels.shape[1]):
        parts = ["".join(shades[v] * 2 for v in image[row]) for image in levels]
        yield ("  " + gap.join(parts)).rstrip()
    width = 2 * levels.shape[2]
    for line in captions:
        yield ("  " + gap.join(text.ljust(width) for text in line)).rstrip()
