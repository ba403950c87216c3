"""From a model and its data to a report: what is looked at, in which order, in the time there is.

Round     one visit: data, then the model, then one run of it     Panel   remedies, where it is poor
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pellucid import intake, jit, rng
from pellucid.check.doctor import course, data, output, remedies, start
from pellucid.check.doctor.findings import Finding, Report, found, report
from pellucid.check.doctor.panel import Panel, compared
from pellucid.check.doctor.sanity import Measures, measures
from pellucid.check.doctor.signals import signals
from pellucid.check.doctor.suspicion import Scene
from pellucid.check.doctor.table import Table
from pellucid.check.doctor.trials import STEPS, Case, Outcome, run
from pellucid.data import split
from pellucid.errors import ArgumentError, DtypeError, ShapeError
from pellucid.graph import Array
from pellucid.model import Sequential
from pellucid.nn.network import check_enough
from pellucid.settings import check_settings

ROWS = 2_000  # of which trials are made: scores are then known to 1 or 2 in 100
LONG = 15_000  # steps from which even a single run is faster compiled, compiling included
PART = 0.2  # of the budget that one run may take: the others are about as long, and some ten


@dataclass(frozen=True, eq=False)
class Asked:
    """What `diagnose` was asked, as it was given."""

    model: Sequential
    X: Any
    y: Any
    held: tuple[Any, Any] | None
    epochs: int | None
    batch_size: int | None
    shuffle: bool
    budget: float


def examined(asked: Asked) -> Report:
    """Look at a model and its data; return the report."""
    return Round(asked).report()


class Round:
    """One visit of the doctor: what was found so far, and how much time is left."""

    def __init__(self, asked: Asked) -> None:
        self.asked, self.clock = asked, time.perf_counter()
        self.findings: list[Finding] = []
        self.checked: list[str] = []
        self.sanity: Measures = {}

    @property
    def left(self) -> float:
        """Seconds of the budget that are left."""
        return self.asked.budget - (time.perf_counter() - self.clock)

    def report(self) -> Report:
        """Make the visit."""
        self._visit()
        made = report(self.findings, self.checked, time.perf_counter() - self.clock)
        return replace(made, sanity=self.sanity)

    def note(self, findings: Iterator[Finding], looked_at: tuple[str, ...]) -> None:
        """Take findings in, and what was looked at."""
        self.findings += list(findings)
        self.checked += looked_at

    @property
    def broken(self) -> bool:
        """Whether something was found that a run could only confirm."""
        return any(f.severity == "error" for f in self.findings)

    def _visit(self) -> None:
        X, y, held = _arrays(self.asked)
        given = {"X": X, "y": y}
        given |= {} if held is None else {"validation X": held[0], "validation y": held[1]}
        with np.errstate(over="ignore"):  # what the model's precision cannot hold is infinite to it
            given = {name: a.astype(self.asked.model.dtype) for name, a in given.items()}
        self.note(data.not_finite(given), data.LOOKED_AT[:1])
        twin = _twin(self.asked.model, X)
        if not twin.optimizer.whole:
            check_enough(twin._built, len(X), min(self.asked.batch_size or len(X), len(X)))
        if self.broken:
            self._tried_without(np.where(np.isfinite(given["X"]), X, np.nan), y, twin)
            return
        self._of_targets(twin, X, y, held)
        if not self.broken:
            self._of_model(self._case(twin, X, y, held))

    # -- before ------------------------------------------------------------------------------------

    def _tried_without(self, X: Array, y: Array, twin: Sequential) -> None:
        """Train without the rows that are not finite, to show that they are all that is wrong."""
        keep = np.isfinite(X).reshape(len(X), -1).all(axis=1)
        keep &= np.isfinite(y).reshape(len(y), -1).all(axis=1)
        if keep.sum() < 2:
            return
        bad = list(data.out_of_range(y[keep], twin.loss_function, twin._built.output_shape))
        if bad or list(start.refused(twin, y[keep])):
            return
        outcome = run(self._case(twin, X[keep], y[keep], None))
        self._tell(
            0,
            {
                "tried": f"without these rows, {keep.sum()} left",
                "loss before": math.nan,
                "loss after": outcome.loss,
                "score after": outcome.score,
            },
        )

    def _tell(self, place: int, counterfactual: dict[str, Any] | None) -> None:
        self.findings[place] = replace(self.findings[place], counterfactual=counterfactual)

    def _of_targets(self, twin: Sequential, X: Array, y: Array, held: Any) -> None:
        loss, output = twin.loss_function, twin._built.output_shape
        flat = X.reshape(len(X), -1)
        held_X, held_y = (None, None) if held is None else held
        held_X = None if held_X is None else held_X.reshape(len(held_X), -1)
        batched = (self.asked.batch_size or len(X)) < len(X)
        table = Table(flat, y, held_X, held_y, loss, output, batched, self.asked.shuffle)
        self.note(data.out_of_range(y, loss, output), data.LOOKED_AT[1:2])
        if not self.broken:
            self.note(start.refused(twin, y), start.LOOKED_AT[:1])
        if not self.broken:
            self.note(data.checks(table), data.LOOKED_AT[2:])
            return
        self._tried_repaired(twin, X, y)

    def _tried_repaired(self, twin: Sequential, X: Array, y: Array) -> None:
        """Train with an output that suits the loss, where that is what training would refuse."""
        code = self.findings[-1].code
        if code in ("wrong-output-for-loss", "double-softmax"):
            mended = output.mended(self._case(twin, X, y, None))
            if mended is not None:
                outcome = run(mended)
                self._tell(
                    -1,
                    {
                        "tried": mended.model.layers[-1].__repr__(),
                        "loss before": math.nan,
                        "loss after": outcome.loss,
                        "score after": outcome.score,
                    },
                )

    def _case(self, twin: Sequential, X: Array, y: Array, held: Any) -> Case:
        """Return what trials are made of: some rows of large data, and epochs within the budget."""
        asked, n = self.asked, len(X)
        rows = _some(n, twin.seed)
        size = min(asked.batch_size or n, n)
        size = size if asked.batch_size else len(rows)
        steps, all_steps = -(-len(rows) // min(size, len(rows))), -(-n // size)
        epochs = asked.epochs or max(1, STEPS // steps)
        epochs = epochs if len(rows) == n else max(1, min(epochs * all_steps, STEPS) // steps)
        if held is not None:
            kept = _some(len(held[0]), twin.seed)
            held = held[0][kept], held[1][kept]
        case = Case(twin, X[rows], y[rows], held, epochs, min(size, len(rows)), asked.shuffle)
        return replace(case, guessed=asked.epochs is None)

    # -- the model ---------------------------------------------------------------------------------

    def _of_model(self, case: Case) -> None:
        self.note(start.checks(case), start.LOOKED_AT[1:])
        if self.broken:
            self._tried_structure(case)
            return
        case = self._fitting(case)
        self._of_run(case)

    def _tried_structure(self, case: Case) -> None:
        """Train as it is and mended, for the first error found in the model."""
        places = [k for k, f in enumerate(self.findings) if f.severity == "error"]
        ranked = report([self.findings[k] for k in places], []).findings
        first = next(k for k in places if self.findings[k].code == ranked[0].code)
        remedy = MENDED.get(self.findings[first].code)
        mended = remedy(case) if remedy else None
        if mended is not None:
            case = self._fitting(case)
            before, after = run(case), run(replace(mended, epochs=case.epochs))
            self._tell(first, compared("mended", before, after))

    def _fitting(self, case: Case) -> Case:
        """Return the case with no more epochs than fit into a part of the budget."""
        few = max(1, 100 // case.steps)
        if case.epochs <= 10 * few:
            return case
        if case.epochs * case.steps > LONG and not jit.available():
            case = replace(case, backend="numba")
            run(replace(case, epochs=1))  # compiles it
        short, long = (run(replace(case, epochs=k * few)).seconds for k in (1, 3))
        each = max(long - short, 1e-6) / (2 * few)  # what all runs cost cancels
        most = max(3, int(PART * self.asked.budget / each))
        return replace(case, epochs=min(case.epochs, most), cut=most < case.epochs)

    # -- the run -----------------------------------------------------------------------------------

    def _of_run(self, case: Case) -> None:
        base = run(case)
        scene = Scene(
            case, base, signals(case, case.model), _end(case, base), course.read(base.curve)
        )
        self.checked += [*course.LOOKED_AT, *PANEL]
        if self._unrelated(case, base):
            return
        panel = Panel(scene, lambda: self.left)
        self.findings += list(panel.findings())
        self.findings += list(self._overfitting(case, base))
        self.sanity = measures(case, base, lambda: self.left)

    def _unrelated(self, case: Case, base: Outcome) -> bool:
        """Say whether a run bears out that targets do not follow from inputs; else forget it."""
        place = [k for k, f in enumerate(self.findings) if f.code == "random-labels"]
        if not place:
            return False
        outcome = base if case.held is not None else run(apart(case))
        # 2.5 deviations of a score by guessing: of two classes 1/√n, of more it is less
        if outcome.held_score > max(0.15, 2.5 / math.sqrt(len(outcome_rows(case)))):
            del self.findings[place[0]]
            return False
        known = self.findings[place[0]]
        self.findings[place[0]] = replace(
            known,
            evidence={
                **known.evidence,
                "score on training rows": outcome.score,
                "score on rows set aside": outcome.held_score,
            },
        )
        return True

    def _overfitting(self, case: Case, base: Outcome) -> Iterator[Finding]:
        """Yield a model that knows its training rows, and grows worse on others."""
        if any(f.severity != "info" for f in self.findings) or not base.finite:
            return
        if case.held is None:
            if len(case.X) < 60 or self.left < 2 * base.seconds:
                return
            case = apart(case)
            base = run(case)
        gap, curve = base.score - base.held_score, base.held_curve
        low, at = (float(np.min(curve)), int(np.argmin(curve)) + 1) if len(curve) else (0.0, 0)
        wanted = OVERFIT_GAP if case.own else OVERFIT_GAP_APART
        if base.score < 0.6 or gap < wanted or base.held_loss < OVERFIT_RISE * low:
            return
        after = run(replace(case, epochs=at))
        yield found(
            "overfitting",
            "warning",
            f"the score is {base.score:.2f} on training rows and {base.held_score:.2f} on others",
            {
                "gap of scores": gap,
                "threshold": wanted,
                "lowest loss on other rows": low,
                "at epoch": at,
                "loss on other rows at the end": base.held_loss,
                "threshold from": "healthy runs of the development half",
            },
            {"rows": "validation" if case.own else "set aside"},
            {
                "tried": f"stop after epoch {at}",
                "loss before": base.held_loss,
                "loss after": after.held_loss,
                "score before": base.held_score,
                "score after": after.held_score,
                "measured on": "other rows",
            },
        )


OVERFIT_GAP = 0.25
OVERFIT_GAP_APART = 0.4  # with a quarter of the rows set aside there are fewer to learn from
OVERFIT_RISE = 1.5
PANEL = (
    "scale of the features",
    "initial weights",
    "gradients by depth",
    "penalties",
    "dropout",
    "batch size",
    "dead and saturated units",
    "learning rate",
    "size of the model",
    "plateaus",
    "score on other rows",
)
MENDED: dict[str, Callable[[Case], Case | None]] = {
    "zero-init": remedies.fresh,
    "shape-broadcast": start.matched,
    "double-softmax": lambda case: output.mended(case),
    "wrong-output-for-loss": lambda case: output.mended(case),
}


def outcome_rows(case: Case) -> Array:
    """Return the rows that a held-out score is taken from."""
    return case.held[0] if case.held is not None else case.X[: max(1, len(case.X) // 4)]


def apart(case: Case) -> Case:
    """Return the case with a quarter of its rows held out, and as many steps."""
    X, y, held_X, held_y = split(case.X, case.y, test=0.25, seed=case.model.seed)
    return replace(
        case, X=X, y=y, held=(held_X, held_y), own=False, batch_size=min(case.batch_size, len(X))
    )


# -- what comes in ---------------------------------------------------------------------------------


def _arrays(asked: Asked) -> tuple[Array, Array, tuple[Array, Array] | None]:
    """Return samples and targets as numbers, checked in all but their values."""
    check_settings(asked.epochs or 1, asked.batch_size, None, "auto")
    if not isinstance(asked.model, Sequential):
        raise DtypeError(f"a model is expected, not {asked.model!r}", "pc.diagnose(model, X, y)")
    given = asked.model._both(asked.X, asked.y)
    if asked.model.loss_function is None:
        raise ArgumentError(
            "the model has no loss to be trained with", 'pc.Sequential(…, loss="mse")'
        )
    X, y = _pair(*given, "")
    gaps = bool(asked.model.layers) and asked.model.layers[0].takes_missing
    fill = _fill(X) if gaps else None
    X = _filled(X, fill)
    if asked.held is None:
        return X, y, None
    if not isinstance(asked.held, (tuple, list)) or len(asked.held) != 2:
        raise ArgumentError("validation_data is not a pair", "validation_data=(X_val, y_val)")
    held = _pair(*asked.model._both(*asked.held, "validation "), "validation ")
    if held[0].shape[1:] != X.shape[1:]:
        raise ShapeError(
            f"validation X has rows of shape {held[0].shape[1:]}, X of {X.shape[1:]}",
            "the same columns in both",
        )
    return X, y, (_filled(held[0], fill), held[1])


def _fill(X: Array) -> Array:
    """Return what stands for missing values, for a model that takes them: medians of the others."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of a column without any
        fill: Array = np.nan_to_num(np.nanmedian(X, axis=0))
        return fill


def _filled(X: Array, fill: Array | None) -> Array:
    return X if fill is None else np.where(np.isnan(X), fill, X)


def _pair(X: Any, y: Any, of: str) -> tuple[Array, Array]:
    features = intake.numbers(X, f"{of}X", np.float64)
    if features.ndim < 2 or not features.size:
        intake.features(features, np.float64, name=f"{of}X")  # says what is wrong with it
    intake.same_length(features, y, of)
    return features, intake.numbers(y, f"{of}y", np.float64)


def _twin(model: Sequential, X: Array) -> Sequential:
    """Return a copy with parameters, without metrics: what they are called does not matter.

    Layers that learn from the samples themselves have seen them, as at the first step.
    """
    twin, known = model.copy(), np.where(np.abs(X) < 1e30, X, 0.0)
    twin._features(known[:2])  # only its shape matters
    twin = twin._rows()
    twin.metrics = ()
    return twin if twin._numbers.steps else twin.adapt(known)


def _some(n: int, seed: int) -> Array:
    """Return the rows that trials are made of, in their order."""
    if n <= ROWS:
        return np.arange(n)
    return np.sort(rng.permutation(rng.key(seed, "doctor rows"), n)[:ROWS])


def _end(case: Case, base: Outcome) -> Any:
    return signals(case, base.model) if base.finite else None
