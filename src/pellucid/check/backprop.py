"""Check a learner's own backward pass, and name the slip where it is wrong.

The student runs on the caller's samples first, then on other weights and samples of our own, twice
in a row, and with units exactly at a kink: a slip that one batch hides, another one shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from pellucid.check.calling import Stop
from pellucid.check.convict import Evidence, Trail, explanations, near
from pellucid.check.layouts import Layout, guesses
from pellucid.check.reading import Run
from pellucid.check.slip_report import SlipReport
from pellucid.check.stopped import stopped
from pellucid.check.students import FunctionStudent, ObjectStudent, is_function
from pellucid.check.trials import Reference, Trial, keeps_momentum, with_history
from pellucid.check.verdicts import (
    Measured,
    convicted,
    excused,
    floor_of,
    leeway,
    off,
    passed,
    slipped,
)
from pellucid.errors import one_of
from pellucid.graph import Array, value
from pellucid.model import Sequential

Student = FunctionStudent | ObjectStudent
TRIED = 3  # how many readings of a wrong pass are searched for slips


def check_backprop(
    student: Any,
    *,
    like: Sequential,
    X: Any,
    y: Any,
    layout: str | None = None,
    tolerance: float = 1e-6,
) -> SlipReport:
    """Check a learner's own backward pass against a model, and name the slip where it is wrong.

        max |yours - right| ≤ tolerance · max |right|,   for each parameter

    Args: `student`, a function `f(params, X, y)` that returns gradients, or an object or class with
    `forward(X)` and `backward(y)` that returns them, leaves them on itself or only updates its
    weights; `like`, the model with the same layers, whose parameters it is given; `X`, `y`, samples
    by rows; `layout`, "rows" or "columns", where both would fit; `tolerance`, relative.
    Returns: a `SlipReport`: `.ok`, `.where`, `.slips`, `.candidates`, `.unexplained`, …
    Raises: ArgumentError for a model without a loss or a layout that is none. What the student's
    code raises is reported, not raised. The model and the student stay as they were.

    >>> from pellucid.model import Sequential
    >>> from pellucid.nn.layer import Dense
    >>> model = Sequential([Dense(1, inputs=2)], loss="half_mse", dtype="float64")
    >>> def backward(params, X, y):
    ...     delta = X @ params["W1"] + params["b1"] - y  # not divided by the samples
    ...     return {"W1": X.T @ delta, "b1": delta.sum(axis=0)}
    >>> report = check_backprop(backward, like=model, X=[[1.0, 2.0], [3.0, 5.0]], y=[[1.0], [0.0]])
    >>> report.ok, report.where, report.slips
    (False, 'W1', ('missing-batch-mean',))
    """
    if layout not in (None, "rows", "columns"):
        raise one_of("layout", layout, ["rows", "columns"])
    reference = Reference(like, X, y)
    return _Court(reference, _student(student, reference), layout, tolerance).verdict()


def _student(student: Any, reference: Reference) -> Student:
    if is_function(student):
        return FunctionStudent(student)
    return ObjectStudent(student, reference.sizes, reference.activations)


@dataclass(frozen=True, eq=False)
class Heard:
    """A run on a trial, and which of the readings of its result it is."""

    run: Run
    trial: Trial
    reading: int


class _Court:
    """One check: the student is heard on several trials, then judged."""

    def __init__(
        self, reference: Reference, student: Student, layout: str | None, tolerance: float
    ) -> None:
        self.reference, self.student = reference, student
        self.layout, self.tolerance = layout, tolerance
        self.order = [s.name for s in _backwards(reference)]

    def verdict(self) -> SlipReport:
        """Return the report."""
        own = self.reference.own()
        heard, stops = self._hear_all(own)
        right = next((h for h in heard if self._fine(h, Measured())), None)
        if not heard:
            return stopped(self.student.name, stops, own.n)
        if right is None:
            return self._best(heard)
        report = self._broadcast(right, heard, stops)
        return self._cross_examined(right) if report is None else report

    # -- hearing -----------------------------------------------------------------------------------

    def _hear_all(self, trial: Trial) -> tuple[list[Heard], list[Stop]]:
        """Run the student in every layout that may be its own, until one is right."""
        turned, bias = self.student.shapes(trial.task.slots)
        labels = self.reference.loss.targets == "classes"
        heard: list[Heard] = []
        stops: list[Stop] = []
        for layout in guesses(self.layout, turned, bias, trial.n, labels):
            if _pointless(layout, trial):
                continue
            try:
                found = [
                    Heard(r, trial, k) for k, r in enumerate(self.student.run(trial.task, layout))
                ]
            except Stop as stop:
                if layout.target in ("given", "rows"):  # else it is our guess that is wrong
                    stops.append(stop)
                continue
            heard += found
            if any(self._fine(h, Measured()) for h in found):
                break
        return heard, stops

    def _hear(self, trial: Trial, like: Heard, fresh: bool = True) -> Heard | None:
        """Run the student once more, as it was heard before; None if it stops."""
        try:
            runs = list(self.student.run(trial.task, like.run.layout, fresh))
        except Stop:
            return None
        return Heard(runs[like.reading], trial, like.reading) if like.reading < len(runs) else None

    def _broadcast(
        self, right: Heard, heard: Sequence[Heard], stops: Sequence[Stop]
    ) -> SlipReport | None:
        """Return the report where y as it was given made (n, n) of ŷ - y, and (n, 1) is right."""
        if right.run.layout.target == "given" or self.reference.given.ndim != 1:
            return None
        report = stopped(self.student.name, stops, right.trial.n)
        if heard[0] is not right:
            report = self._judged(heard[0])
        told = "with y of shape (n, 1) it is right"
        return replace(report, notes=(*report.notes, told)) if "broadcast" in report.slips else None

    # -- judging -----------------------------------------------------------------------------------

    def _fine(self, heard: Heard, measured: Measured) -> bool:
        return passed(heard.run, heard.trial, measured, self.tolerance)

    def _cross_examined(self, right: Heard) -> SlipReport:
        """Return the verdict on a student that was right on the caller's samples."""
        others = [self._hear(self.reference.other(right.trial.n, k), right) for k in (1, 2, 3)]
        found = [right, *(h for h in others if h is not None)]
        measured = Measured.by([(h.run, h.trial) for h in found])
        wrong = next((h for h in found if not self._fine(h, measured)), None)
        if wrong is not None:
            return self._convict(wrong, measured, [right])
        return self._pressed(right, measured)

    def _best(self, heard: Sequence[Heard]) -> SlipReport:
        """Return the verdict on a student that was wrong: by the reading easiest to explain."""
        proper = [h for h in heard if _proper(h)] or list(heard)
        ranked = sorted(proper, key=lambda h: self._distance(h))[:TRIED]
        reports = [self._judged(h) for h in ranked]
        best = min(reports, key=lambda r: (not r.ok, r.unexplained, len(r.slips)))
        return best if best.ok else _with_other_layout(best, reports)

    def _distance(self, heard: Heard) -> tuple[int, int]:
        right = heard.trial.right()
        missed = off(heard.run.grads, right, self.order, self.tolerance)
        return (heard.run.layout.target != "given", len(missed))

    def _judged(self, heard: Heard) -> SlipReport:
        others = [self._hear(self.reference.other(heard.trial.n, k), heard) for k in (1, 2, 3)]
        found = [heard, *(h for h in others if h is not None)]
        measured = Measured.by([(h.run, h.trial) for h in found])
        if all(self._fine(h, measured) for h in found):
            return self._pressed(heard, measured)
        return self._convict(heard, measured, [])

    def _pressed(self, heard: Heard, measured: Measured) -> SlipReport:
        """Return the verdict on a student that was right so far; a wrong report is false."""
        for look in (self._by_history, self._at_kink):
            report = look(heard, measured)
            if report is not None:
                return report
        return excused(
            self.student.name, heard.run, heard.trial, measured, self.order, self.tolerance
        )

    def _by_history(self, first: Heard, measured: Measured) -> SlipReport | None:
        """Call twice in a row: what is left from one call must not show in the next."""
        if first.run.moved and keeps_momentum(getattr(self.student, "twin", None)):
            return None
        other = self.reference.other(first.trial.n, 4)
        one = self._hear(first.trial, first)
        two = self._hear(other, first, fresh=False) if one else None
        if one is None or two is None or self._fine(two, measured):
            return None
        layers = with_history(other, first.trial, one.run.grads) if other.layers else ()
        past = replace(two, trial=replace(other, layers=layers))
        report = self._convict(past, measured, [], spare=False)
        told = ("in a second call, on other samples, it is wrong", *report.notes)
        return replace(report, notes=told) if not report.unexplained else None

    def _at_kink(self, heard: Heard, measured: Measured) -> SlipReport | None:
        """Put units exactly at 0, where > and ≥ differ."""
        trial = self.reference.at_kink()
        found = self._hear(trial, heard) if trial else None
        if found is None or self._fine(found, measured):
            return None
        report = self._convict(found, measured, [], spare=False)
        told = ("it is right, but where z is exactly 0", *report.notes)
        return replace(report, notes=told) if report.slips[:1] == ("wrong-mask",) else None

    def _convict(
        self, wrong: Heard, measured: Measured, also: Sequence[Heard], spare: bool = True
    ) -> SlipReport:
        """Name the slip; on samples made for it, where no two sizes are alike, if that helps."""
        apart = self._hear(self.reference.other(7, 6), wrong) if spare else None
        trails: list[Trail] = []
        trial = self._known(wrong, measured)
        if apart is not None and not self._fine(apart, measured):
            found = self._explained(apart, measured)
            trails = [t for t in found if self._holds(t, wrong, trial, measured)]
        trails = trails or self._explained(wrong, measured)
        return convicted(
            self.student.name, wrong.run, trial, measured, trails, self.order, self.tolerance,
            apart.trial if apart else None,
        )  # fmt: skip

    def _holds(self, trail: Trail, heard: Heard, trial: Trial, measured: Measured) -> bool:
        """Say whether an explanation found on other samples gives the numbers here, too."""
        scale, penalties = measured.conventions(heard.run, trial)
        step = measured.step(heard.run, trial)
        own = [replace(trail, penalty=p) for p in penalties] if trial.extra else [trail]
        made = [slipped(t, trial, s) for s in dict.fromkeys((scale, 1.0)) for t in own]
        least, floor = leeway(heard.run, self.tolerance), floor_of(heard.run, trial)
        return any(
            m and all(near(g / step, m[k], least, floor) for k, g in heard.run.grads.items())
            for m in made
        )

    def _known(self, heard: Heard, measured: Measured) -> Trial:
        """Return the trial with what is known of the student in its layers."""
        run, trial = heard.run, heard.trial
        step, rate = measured.step(run, trial), measured.rate(run, trial)
        half = measured.half(run, trial)
        layers = tuple(
            replace(p, rate=rate, half=half, dW=_node(run.grads.get(p.block.W), step))
            for p in trial.layers
        )
        return replace(trial, layers=layers)

    def _explained(self, heard: Heard, measured: Measured) -> list[Trail]:
        run, trial = heard.run, self._known(heard, measured)
        if not trial.layers:
            return []  # no chain of dense layers: only factors are looked for, by `convicted`
        scale, penalties = measured.conventions(run, trial)
        grads = {k: g / measured.step(run, trial) for k, g in run.grads.items()}
        for factor in dict.fromkeys((scale, 1.0)):
            least = leeway(run, self.tolerance)
            found = explanations(
                Evidence(trial.layers, grads, least, factor, penalties, floor_of(run, trial))
            )
            if found:
                return found
        return []


def _node(array: Array | None, step: float) -> Any:
    return None if array is None else value(array / step, "dW")


def _with_other_layout(best: SlipReport, reports: Sequence[SlipReport]) -> SlipReport:
    """Ask for the layout, where the verdict depends on it: square matrices fit both."""
    others = [r for r in reports if r.slips and (r.layout, r.slips) != (best.layout, best.slips)]
    for other in others:
        if other.layout != best.layout and other.slips[:1] != best.slips[:1]:
            told = f'read by {other.layout} it would be {other.slips[0]}: say layout="…"'
            return replace(best, notes=(*best.notes, told))
    return best


def _proper(heard: Heard) -> bool:
    shapes = {k: v.shape for k, v in heard.trial.task.params.items()}
    return all(heard.run.grads[k].shape == shapes[k] for k in heard.run.grads)


def _pointless(layout: Layout, trial: Trial) -> bool:
    """Say whether this form of y is one that was tried already."""
    return layout.target == "rows" and bool(trial.task.given_y.shape == trial.task.y.shape)


def _backwards(reference: Reference) -> Any:
    return sorted(reference.net.slots, key=lambda s: (-s.layer, s.start))
