"""Remedies on trial: which change makes a poor run good, and so what the cause was.

Panel   every suspicion's remedies in turn; the first cause that explains wins
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from pellucid import jit
from pellucid.check.doctor import causes
from pellucid.check.doctor.findings import Finding, found
from pellucid.check.doctor.suspicion import Remedy, Scene, Suspicion
from pellucid.check.doctor.trials import Case, Outcome, run
from pellucid.nn.network import initial

# A remedy is believed where it makes a run clearly better; the development half of bench/doctor.py
# says how much is clear.  With a setting far outside the usual, less is enough.
GAIN = 0.25  # of the score, for a setting that is usual by itself
STRONG_GAIN = 0.1
STRONG_LOSS = 0.7  # or the loss comes down to this share
NEAR = 0.1  # below the best remedy's score: another remedy as good explains as much
EVEN = -0.02  # a score that is about as good
FIRST = 0.25  # initial losses of usual settings differ by less: log C, or the spread of y
LEVEL = 0.1  # of the initial loss: below, ups and downs are those of a loss that has been learned
SOLVED = 0.8  # a score after which no other cause is looked for
LARGE = 5_000  # steps of a run from which it is compiled: some ten runs pay for 2 s of compiling
POOR = 0.2  # a score hardly better than guessing
SLOW = ("learning-rate-too-low", "underfitting", "plateau")  # what too few epochs look like


def compared(tried: str, before: Outcome, after: Outcome, held: bool = False) -> dict[str, Any]:
    """Return a counterfactual: what was tried, and what it made of loss and score."""
    losses = (before.held_loss, after.held_loss) if held else (before.loss, after.loss)
    scores = (before.held_score, after.held_score) if held else (before.score, after.score)
    return {
        "tried": tried,
        "loss before": losses[0] if before.finite else math.nan,
        "loss after": losses[1],
        "score before": scores[0],
        "score after": scores[1],
        "measured on": "validation rows" if held else "training rows",
    }


@dataclass(eq=False)
class Tried:
    """A suspicion, and the best that its remedies came to."""

    suspicion: Suspicion
    label: str
    outcome: Outcome
    remedy: Remedy


@dataclass(eq=False)
class Panel:
    """Remedies in turn, each run as long as the case itself; the first cause that explains wins."""

    scene: Scene
    left: Callable[[], float]
    runs: dict[str, Outcome] = field(default_factory=dict)

    def findings(self) -> Iterator[Finding]:
        """Yield the cause that the remedies point to."""
        base = self.scene.base
        tried = list(self._tried())
        clear = [t for t in tried if self._clear(t.suspicion, t.outcome)]
        best = max((t.outcome.best for t in clear), default=0.0)
        enough = [t for t in clear if t.outcome.best >= self._needed(t, best)]
        for chosen in sorted(enough, key=lambda t: not t.suspicion.strong):
            if self._holds(chosen):
                yield self._finding(chosen)
                return
        if not base.finite:
            yield found(
                "non-finite",
                "error",
                f"training stopped: {base.stopped}",
                {
                    "loss before": base.first,
                    "remedies tried": len(self.runs),
                    "threshold from": "no smaller step, scale or weights cured it",
                },
            )

    def _tried(self) -> Iterator[Tried]:
        """Try what is far outside the usual first: where that is all it takes, nothing else."""
        asked = [s for s in causes.suspicions(self.scene) if self._worth(s)]
        solved = False
        for suspicion in sorted(asked, key=lambda s: not s.strong):
            if solved and not suspicion.strong:
                return
            best = self._try(suspicion)
            if best is not None:
                solved |= self._clear(suspicion, best.outcome) and best.outcome.best > SOLVED
                yield best

    def _holds(self, tried: Tried) -> bool:
        """Say whether weights of another seed bear it out, where the setting is a usual one.

        Without time for that, or with weights that were set by hand, it is taken for granted.
        """
        case, base = self.scene.case, self.scene.base
        drawn = initial(case.model._built, case.model.seed).astype(case.model.dtype)
        own = not np.array_equal(drawn, case.model._numbers.params)
        seeded = tried.suspicion.code == "plateau"  # another seed is the remedy itself
        if tried.suspicion.strong or own or seeded or self.left() < 4 * base.seconds:
            return True
        other = case.seeded(case.model.seed + 1)
        before, after = run(other), run(tried.remedy(other))
        return after.finite and (not before.finite or after.score - before.score > GAIN / 2)

    def _needed(self, tried: Tried, best: float) -> float:
        """Return the score that a remedy must reach: less, where it is the obvious thing to do."""
        return 0.6 * best if tried.suspicion.strong else best - NEAR

    def _worth(self, suspicion: Suspicion) -> bool:
        base = self.scene.base
        if suspicion.code in self._unfair() and not suspicion.strong:
            return False
        room = base.best if suspicion.held else base.score
        return suspicion.strong or not base.finite or room < 1 - GAIN

    def _unfair(self) -> tuple[str, ...]:
        """Return the codes that a run of too few epochs would look like, if they are too few."""
        case = self.scene.case
        return SLOW if case.cut else SLOW[:2] if case.guessed else ()

    def _try(self, suspicion: Suspicion) -> Tried | None:
        """Return the best of its remedies; a scan ends where it gets worse after it got better."""
        best: Tried | None = None
        for label, remedy in suspicion.remedies:
            outcome = self._run(label, remedy)
            if outcome is None:
                break
            if best is None or _better(outcome, best.outcome):
                best = Tried(suspicion, label, outcome, remedy)
            elif self._clear(suspicion, best.outcome):
                break
            if outcome.finite and outcome.score > 0.97:
                break
        return best

    def _run(self, label: str, remedy: Remedy) -> Outcome | None:
        if label not in self.runs:
            if self.left() < 1.5 * self.scene.base.seconds:
                return None
            self.runs[label] = run(self._compiled(remedy(self.scene.case)))
        return self.runs[label]

    def _compiled(self, case: Case) -> Case:
        """Return the case as it is computed: compiled where many long runs share one program."""
        own = self.scene.case
        large = own.epochs * own.steps > LARGE and not jit.available()
        same = case.model.layers == own.model.layers and case.model.optimizer.state == (
            own.model.optimizer.state
        )
        return replace(case, backend="numba" if large and same else "numpy")

    def _clear(self, suspicion: Suspicion, after: Outcome) -> bool:
        """Say whether a remedy made the run clearly better."""
        base = self.scene.base
        if not after.finite:
            return False
        held = suspicion.held and math.isfinite(base.held_score)
        gain = after.held_score - base.held_score if held else after.score - base.score
        if not base.finite:
            return after.score > POOR or gain > STRONG_GAIN
        if suspicion.strong and gain > EVEN and self._eased(suspicion, after, held):
            return True
        return gain > (STRONG_GAIN if suspicion.strong else GAIN)

    def _eased(self, suspicion: Suspicion, after: Outcome, held: bool) -> bool:
        """Say whether the loss tells of a gain that the score does not show."""
        base = self.scene.base
        now, was = (after.held_loss, base.held_loss) if held else (after.loss, base.loss)
        loss = now / was if was else math.inf  # nothing is below a loss of 0
        if suspicion.by_level:
            return base.level > LEVEL * base.first and after.level < 0.5 * base.level
        if suspicion.by_first and after.first < FIRST * base.first:
            return True
        return suspicion.by_loss and loss < STRONG_LOSS

    def _finding(self, chosen: Tried) -> Finding:
        base, suspicion = self.scene.base, chosen.suspicion
        held = suspicion.held and math.isfinite(base.held_score)
        hopeless = not base.finite or min(base.score, base.best) < POOR
        return found(
            suspicion.code,
            "error" if hopeless else "warning",
            suspicion.sentence,
            suspicion.evidence,
            suspicion.where,
            compared(chosen.label, base, chosen.outcome, held),
            remedy=self._remedy(chosen),
        )

    def _remedy(self, chosen: Tried) -> str:
        rate = chosen.label.startswith("learning_rate")
        return f"{chosen.label}, which was tried" if rate else ""


def _better(one: Outcome, other: Outcome) -> bool:
    """Compare by score, and where that is even by loss."""
    if one.finite != other.finite:
        return one.finite
    if abs(one.score - other.score) > 0.02:
        return one.score > other.score
    return one.loss < other.loss
