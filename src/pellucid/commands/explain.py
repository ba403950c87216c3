"""`pellucid explain`: every number of a prediction, its loss and the step that follows."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from pellucid.commands.again import Samples, samples
from pellucid.commands.folder import Trained, opened
from pellucid.commands.options import Settings
from pellucid.commands.rows import needed
from pellucid.errors import ArgumentError
from pellucid.explaining.walkthrough import Walkthrough
from pellucid.files import check_target, write
from pellucid.tables.reading import listed


def run(given: Settings) -> None:
    """Explain one row."""
    trained = opened(needed(given, "run"))
    if given.out:
        check_target(Path(given.out))
    found = samples(trained, given, whole=given.line is not None)
    found.tell()
    k = _place(found, given.line)
    walk = trained.model.explain(found.X[k : k + 1], found.y[k : k + 1])
    text = _told(walk, given)
    if given.format == "text":
        text = f"{_row(trained, found, k)}\n\n{text}"
    if given.out:
        write(Path(given.out), [text.encode()])
        print(f"line {found.lines[k]} explained: {given.out}")
        return
    letters = sys.stdout.encoding or "utf-8"
    print(text.encode(letters, "replace").decode(letters))


def _place(found: Samples, line: int | None) -> int:
    if line is None:
        return 0
    if line not in found.lines:
        near = sorted(found.lines, key=lambda begun: abs(begun - line))[:3]
        raise ArgumentError(
            f"no row with a target begins on line {line}", f"such as {listed(sorted(near))}"
        )
    return found.lines.index(line)


def _told(walk: Walkthrough, given: Settings) -> str:
    if given.format == "text":
        return walk.to_text(brief=False if given.full else None)
    if given.format == "json":
        return json.dumps(walk.to_json(), ensure_ascii=False)
    return walk.to_markdown() if given.format == "markdown" else walk.to_html()


def _row(trained: Trained, found: Samples, k: int) -> str:
    """Return the row by its columns, its target, and what the model makes of it."""
    schema, model = trained.schema, trained.model
    X = found.X[k : k + 1]
    texts = [_cell(value) for value in X[0, : len(schema.numbers)]]
    for value, known in zip(X[0, len(schema.numbers) :], schema.categories.values(), strict=True):
        texts.append(known[int(value)] if value >= 0 else "(not known)")
    wide = max(map(len, (*schema.columns, schema.target)))
    lines = [f"line {found.lines[k]}, a row {found.name}"]
    lines += [f"  {n:{wide}}  {t}" for n, t in zip(schema.columns, texts, strict=True)]
    truth, guess = float(found.y[k]), model.predict(X)[0]
    if schema.classes:
        label = int(np.argmax(guess)) if len(guess) > 1 else int(guess[0] > 0.5)
        told = f"{schema.classes[int(truth)]}, predicted {schema.classes[label]}"
    else:
        told = f"{truth:g}, predicted {float(guess[0]):.6g}"
    return "\n".join([*lines, f"  {schema.target:{wide}}  {told}"])


def _cell(value: float) -> str:
    return "(missing)" if np.isnan(value) else f"{value:g}"
