"""`pellucid train`: from a table in a file to a run folder with a model, its report and its log."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from pellucid import jit
from pellucid.callbacks import Callback, EarlyStopping
from pellucid.commands.building import BALANCED, model_of
from pellucid.commands.folder import ACTS, FILES, FORMAT, Folder, fingerprint, now, versions
from pellucid.commands.judging import Verdict
from pellucid.commands.options import Settings, written
from pellucid.commands.rows import Rows, needed, rows_of
from pellucid.commands.scoring import frequencies, judged
from pellucid.errors import ArgumentError, NonFiniteError, PellucidError
from pellucid.graph import Array
from pellucid.history import History
from pellucid.keeping.lock import Lock
from pellucid.model import Sequential
from pellucid.nn import Dense
from pellucid.tables.numbers import numbers
from pellucid.tables.reading import counted

SHOWN = 500  # rows that the report is made of, at most
INTERRUPTED = 130
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")


@dataclass(eq=False)
class Teller:
    """What says things, and keeps what it said."""

    quiet: bool
    lines: list[str] = field(default_factory=list)

    def say(self, *lines: str, always: bool = False) -> None:
        """Print lines, and keep them; those of a quiet run only if `always`."""
        for line in lines:
            line = CONTROL.sub(" ", line)  # a name or a label may hold anything
            self.lines.append(line)
            if always or not self.quiet:
                print(_writable(line), flush=True)


def _writable(line: str) -> str:
    letters = sys.stdout.encoding or "utf-8"  # where it has no →, a question mark will do
    return line.encode(letters, "replace").decode(letters)


@dataclass(eq=False)
class Run:
    """One training: where it is written, with which options, on which rows, and how it goes."""

    folder: Folder
    given: Settings
    rows: Rows
    model: Sequential
    teller: Teller
    data: dict[str, Any]
    before: int = 0  # epochs of the run that is gone on with
    begun: str = field(default_factory=now)

    def note(self, status: str, **more: Any) -> None:
        """Write the log, as far as the run has come."""
        rows, plan = self.rows, self.rows.plan
        guess = (
            {"frequencies": frequencies(rows)}
            if plan.classes
            else {"mean": float(rows.y[rows.train].mean())}
        )
        counts = {"train": len(rows.train), "validation": len(rows.held), "test": len(rows.test)}
        self.folder.put_run(
            {
                "format": FORMAT,
                "status": status,
                "begun": self.begun,
                "noted": now(),
                "data": self.data,
                "task": plan.task,
                "seed": self.given.seed,
                "columns": rows.schema.to_json(),
                "notes": [*plan.notes, *rows.notes],
                "rows": counts,
                "guess": guess,
                "model": repr(self.model),
                "versions": versions(),
                **more,
            }
        )
        self.folder.put("log.txt", "\n".join(self.teller.lines) + "\n")


def run(given: Settings) -> int:
    """Train, judge, write; return the exit code."""
    folder, given, going = placed(given)
    needed(given, "file"), needed(given, "target")
    if given.backend == "numba" and (reason := jit.available()):
        raise ArgumentError(f"nothing can be compiled here: {reason}", "--backend numpy")
    data = fingerprint(given.file)
    if going:
        _check_same(folder, data)
    teller = Teller(given.quiet)
    rows = rows_of(given)
    teller.say(*introduced(rows, given))
    model = model_of(rows, given)
    # builds it, and refuses what cannot be trained before anything is written
    model._batch(*rows.pair(rows.train), None, _class_weight(given))
    how = "going on with the run in" if going else "writing to"
    teller.say(f"model: {described(model)}", f"{how} {folder.path}/", "")
    _begin(folder, given, going)
    before = folder.told().get("epochs", 0) if going and folder.run.is_file() else 0
    this = Run(folder, given, rows, model, teller, data, before)
    this.note("training")
    return _trained(this, going)


# -- where -----------------------------------------------------------------------------------------


def placed(given: Settings) -> tuple[Folder, Settings, bool]:
    """Return the run folder, the options, and whether a run is gone on with.

    Raises: ArgumentError where another run is there, and where options are not those of the run
    that is to be gone on with.
    """
    if given.out is None:
        given = given.with_(out=f"{Path(needed(given, 'file')).stem}-run")
    folder = Folder(Path(given.out))
    if folder.path.exists() and not folder.path.is_dir():
        raise ArgumentError(f"{given.out!r} is a file", "--out with the name of a folder")
    if not folder.path.parent.is_dir():
        raise ArgumentError(f"there is no folder {str(folder.path.parent)!r}", "make it first")
    if not folder.begun:
        _check_others(folder, given)
        return folder, given, False
    if given.resume:
        return folder, _same(folder, given), True
    if not given.overwrite:
        raise ArgumentError(
            f"a run is in {given.out!r}", "--resume to go on with it, --overwrite, or another --out"
        )
    return folder, given, False


def _check_others(folder: Folder, given: Settings) -> None:
    """Refuse a folder with files that the run would replace, and that are of no run."""
    there = [name for name in (*FILES, folder.checkpoint.name) if (folder.path / name).exists()]
    if there and not given.overwrite:
        raise ArgumentError(
            f"{given.out!r} holds {there[0]!r}, but no run: that would be replaced",
            "another --out, or --overwrite",
        )


def _same(folder: Folder, given: Settings) -> Settings:
    """Return the options of the run, and refuse others."""
    before = folder.settings()
    free = {*ACTS, "epochs", "file"}  # the table may have moved: its content is what counts
    for name in sorted(given.asked - free):
        auto = name == "backend" and given[name] == "auto"  # and the run has chosen
        if given[name] != before[name] and not auto:
            raise ArgumentError(
                f"--{name.replace('_', '-')} is {written(given[name])}, but the run was begun with "
                f"{written(before[name])}",
                "leave it out, or begin another run with --out",
            )
    asked = {name: given[name] for name in given.asked & free}
    if "file" not in given.asked and not Path(before.file).exists() and folder.run.is_file():
        asked["file"] = folder.told()["data"]["path"]  # called from another folder
    return before.with_(**asked | {"out": given.out})


def _check_same(folder: Folder, data: Mapping[str, Any]) -> None:
    before = folder.told().get("data") if folder.run.is_file() else data
    if not isinstance(before, dict) or before.get("sha256") != data["sha256"]:
        raise ArgumentError(
            f"{data['path']} is not the table that the run was begun with",
            "begin another run with --out",
        )


def _begin(folder: Folder, given: Settings, going: bool) -> None:
    """Make the folder, or empty it of the files of a run that is replaced."""
    folder.path.mkdir(exist_ok=True)
    if folder.checkpoint.is_dir():
        Lock(folder.checkpoint).release()  # refused, where another process is training
    if not going:
        folder.clear()
    folder.put_config(given)


# -- what is said before ---------------------------------------------------------------------------


def introduced(rows: Rows, given: Settings) -> list[str]:
    """Return what there is to say of the table before anything is learned."""
    plan, schema = rows.plan, rows.schema
    columns = counted(len(plan.table.names), "column")
    said = [
        f"{given.file}: {counted(len(plan.table), 'row')}, {columns}",
        f"  target {plan.target!r}: {_task(rows)}",
        f"  learned from: {_listed(schema.numbers, 'numbers')}"
        + (f"; {_categories(schema.categories)}" if schema.categories else ""),
    ]
    said += [f"  note: {note}" for note in (*plan.notes, *rows.notes)]
    if schema.gaps:
        how = "the median" if given.missing == "auto" else f"the {given.missing.replace('_', ' ')}"
        said.append(f"  missing numbers are filled with {how} of the training rows, and marked")
    parts = f"{counted(len(rows.train), 'row')} to learn from"
    parts += f", {len(rows.held):,} to stop by" if len(rows.held) else ""
    parts += f", {len(rows.test):,} to judge by" if len(rows.test) else ""
    return [*said, f"split: {parts} (seed {given.seed})"]


def _task(rows: Rows) -> str:
    plan = rows.plan
    if not plan.classes:
        low, high = float(plan.y.min()), float(plan.y.max())
        return f"regression, from {low:g} to {high:g} ({plan.why})"
    counts = np.bincount(plan.y.astype(int), minlength=len(plan.classes))
    shown = [f"{name} {count:,}" for name, count in zip(plan.classes, counts, strict=True)]
    more = ", …" if len(shown) > 8 else ""
    listed = f"{len(shown)} classes: {', '.join(shown[:8])}{more}"
    return f"classification, {listed} ({plan.why})"


def _listed(names: Iterable[str], what: str) -> str:
    found = list(names)
    more = f", … ({len(found)} in all)" if len(found) > 8 else ""
    return f"{what} {', '.join(found[:8])}{more}" if found else f"no {what}"


def _categories(categories: Mapping[str, tuple[str, ...]]) -> str:
    shown = [f"{name} ({len(texts)})" for name, texts in categories.items()]
    return _listed(shown, "categories")


def described(model: Sequential) -> str:
    """Return widths and what trains them, in a line."""
    net = model._built
    widths = [counted(int(net.input_shape[0]), "column")]
    for before, one in zip([net.input_shape, *net.shapes], net.placed, strict=False):
        if isinstance(one.layer, Dense) or one.shape != before:
            widths.append(str(one.shape[0]))
    optimizer = type(model.optimizer).__name__
    loss = model.loss_function.name if model.loss_function else ""
    return f"{' → '.join(widths)}, {net.size:,} parameters, {optimizer} on {loss}"


# -- training --------------------------------------------------------------------------------------


def _trained(this: Run, going: bool) -> int:
    """Train, and write what came of it."""
    try:
        history = _fitted(this, going)
    except NonFiniteError as error:
        this.teller.say(*f"stopped: {error.what}".splitlines())
        this.note("failed", failure=str(error))
        raise
    except PellucidError:  # refused before the first step: then nothing was begun
        if not going and not this.folder.checkpoint.exists():
            this.folder.clear()
            with suppress(OSError):  # where other files are in it
                this.folder.path.rmdir()
        raise
    interrupted = history.stopped.startswith("interrupted")
    this.folder.put_history(history)
    if history.epochs:  # what auto has chosen: to do it again is to choose the same
        this.folder.put_config(this.given.with_(backend=str(history.backend)))
    if interrupted and not history.epochs:
        this.note("interrupted", epochs=0)
        return INTERRUPTED
    this.model._labels = labels(this.rows.plan.classes)
    this.model.save(this.folder.model)
    if history.epochs == this.before:
        this.teller.say("the run had come to its end: nothing is learned anew")
    this.teller.say("", *_told_of(history, _monitor(this.given)))
    verdict = _judged(this)
    status = "interrupted" if interrupted else "done"
    this.note(
        status, epochs=history.epochs, stopped=history.stopped, seconds=round(history.seconds, 3),
        backend=str(history.backend), scores=verdict.to_json(), judged=this.rows.judged[0],
    )  # fmt: skip
    _written(this, history)
    if interrupted:
        this.teller.say(f"to go on: pellucid train --resume --out {this.folder.path}", always=True)
    return INTERRUPTED if interrupted else 0


def _fitted(this: Run, going: bool) -> History:
    rows, given = this.rows, this.given
    held = rows.pair(rows.held) if len(rows.held) else None
    stopping = EarlyStopping(_monitor(given), patience=given.patience)
    stops: list[Callback] = [stopping] if held else []
    return this.model.fit(
        *rows.pair(rows.train),
        epochs=given.epochs,
        batch_size=given.batch_size,
        validation_data=held,
        class_weight=_class_weight(given),
        callbacks=stops,
        verbose=0 if given.quiet else 1,
        backend=given.backend,
        checkpoint=this.folder.checkpoint,
        resume=going,
    )


def _monitor(given: Settings) -> str:
    """Return by what the training is stopped."""
    return "val_loss" if _class_weight(given) is None else f"val_{BALANCED}"


def labels(classes: Sequence[str]) -> Array | None:
    """Return what `predict_classes` is to give back: the table's texts, or its whole numbers."""
    if not classes:
        return None
    values, odd = numbers(classes)
    whole = not odd and bool((values == np.floor(values)).all())
    return values.astype(np.int64) if whole else np.array(classes)


def _class_weight(given: Settings) -> str | None:
    return None if given.class_weight == "none" else str(given.class_weight)


def _told_of(history: History, monitor: str) -> list[str]:
    why = f": {history.stopped}" if history.stopped else ""
    said = [
        f"{counted(history.epochs, 'epoch')} in {history.seconds:.1f} s with {history.backend}{why}"
    ]
    if np.isnan(history.get(monitor, np.nan)).all() or "restored" in history.stopped:
        return said
    best = history.best(monitor)
    if best.epoch < history.epochs:
        where = f"{best.value:.4g} in epoch {best.epoch:,}"
        said.append(f"the best {monitor} was {where}, whose weights are restored")
    if not history.stopped and 1 < best.epoch > history.epochs - 3:
        said.append(f"{monitor} was still getting better: more --epochs may do more")
    return said


def _judged(this: Run) -> Verdict:
    """Judge the model by rows that it has not seen, and say so."""
    name, part = this.rows.judged
    verdict = judged(this.model, this.rows, part)
    this.teller.say(f"on {counted(len(part), 'row')} {name}:", *verdict.lines(), always=True)
    this.teller.say(*verdict.confusion())
    return verdict


def _written(this: Run, history: History) -> None:
    """Write the report, and say what is where."""
    if this.given.report:
        from pellucid.pages import report

        name, part = this.rows.judged
        part = part[:SHOWN]
        title = f"{this.rows.plan.target}, from {Path(this.given.file).name}: rows {name}"
        X, y = this.rows.pair(part)
        report(this.model, history, X, y, this.folder.path / "report.html", title=title)
    names = sorted(p.name for p in this.folder.path.iterdir() if p.is_file())
    where = this.folder.path
    this.teller.say(f"written to {where}/: {', '.join(names)}")
    this.teller.say(f"next: pellucid predict {where} NEW.csv --out predicted.csv")
    this.folder.put("log.txt", "\n".join(this.teller.lines) + "\n")
