"""What may be wrong with how a model is trained, and all that it is drawn from.

Suspicion   a code, what points to it, and remedies to try     Scene   a case, its run, its signals
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pellucid.check.doctor.course import Course
from pellucid.check.doctor.signals import Signals
from pellucid.check.doctor.trials import Case, Outcome

Remedy = Callable[[Case], Case]


@dataclass(frozen=True, eq=False)
class Suspicion:
    """What may be the cause.  `strong`: the setting alone is far from usual, so less proof will do.

    `remedies`, tried in turn, the best counts; `held`: judged by held-out rows, if there are any.
    """

    code: str
    strong: bool
    sentence: str
    evidence: dict[str, Any]
    where: dict[str, Any]
    remedies: list[tuple[str, Remedy]]
    held: bool = False
    by_loss: bool = True  # a smaller loss at an equal score is proof enough, if it is `strong`
    by_first: bool = False  # and so is a loss that starts 4 times smaller
    by_level: bool = False  # judged by where the curve goes, for its last point is chance


@dataclass(frozen=True, eq=False)
class Scene:
    """All that suspicions are drawn from: the case, its run, and what flows before and after."""

    case: Case
    base: Outcome
    start: Signals
    end: Signals | None
    course: Course
