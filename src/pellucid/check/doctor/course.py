"""What the curve of the loss says by itself: rules without a second run, and so only suspicions.

Course   what was read from a curve     read   read it     verdicts   findings from curves alone
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pellucid.check.doctor.findings import Finding, found
from pellucid.graph import Array

LOOKED_AT = ("course of the loss", "course on validation rows")
SHORT = 8  # epochs: below, ups and downs cannot be told from chance


@dataclass(frozen=True, eq=False)
class Course:
    """The shape of a loss curve.

    `rises`, share of epochs in the last half whose loss is above the one before; `swing`, typical
    change from epoch to epoch over the level; `fall`, how much of the loss the last half took away.
    """

    epochs: int
    rises: float
    swing: float
    fall: float

    @property
    def oscillates(self) -> bool:
        """Up about as often as down, by a tenth of its level and more, and getting nowhere."""
        return self.epochs >= SHORT and self.rises > 0.3 and self.swing > 0.1

    @property
    def noisy(self) -> bool:
        """As `oscillates`, by a third of its level."""
        return self.epochs >= SHORT and self.rises > 0.3 and self.swing > 0.3

    @property
    def flat(self) -> bool:
        """The last half took away less than 2%."""
        return self.epochs >= SHORT and abs(self.fall) < 0.02 and self.swing < 0.1

    @property
    def measured(self) -> dict[str, float]:
        """What was read, by name."""
        return {"epochs that rise": self.rises, "swing": self.swing, "fall of last half": self.fall}


def read(curve: Sequence[float] | Array) -> Course:
    """Read a curve of losses by epoch."""
    loss = np.asarray(curve, float)
    loss = loss[np.isfinite(loss)]
    if len(loss) < 4:
        return Course(len(loss), 0.0, 0.0, 1.0)
    late = loss[len(loss) // 2 :]
    level = float(np.mean(np.abs(late))) or 1.0
    steps = np.diff(late)
    quarter = max(1, len(late) // 4)
    fall = float(late[:quarter].mean() - late[-quarter:].mean()) / level
    return Course(
        len(loss), float(np.mean(steps > 0)), float(np.median(np.abs(steps))) / level, fall
    )


def verdicts(
    curve: Sequence[float], held: Sequence[float] = (), stopped: str = ""
) -> Iterator[Finding]:
    """Yield what the curves alone point to; a rule of thumb, without a run that confirms it."""
    loss, course = np.asarray(curve, float), read(curve)
    if _failed(stopped) or not np.isfinite(loss).all():
        yield found(
            "non-finite",
            "error",
            stopped or "the loss became NaN or Inf",
            {"epochs before": len(loss)},
        )
        return
    if len(loss) < SHORT:
        return
    start, end = float(loss[:2].mean()), float(loss[-2:].mean())
    if end > 1.1 * start:
        yield found(
            "learning-rate-too-high",
            "warning",
            f"the loss rose from {start:.3g} to {end:.3g}",
            {"loss before": start, "loss after": end, "threshold": 1.1 * start},
        )
    elif course.noisy:
        yield found(
            "oscillating-loss",
            "warning",
            "the loss goes up about as often as down",
            course.measured,
        )
    elif end > 0.99 * start:
        yield found("plateau", "warning", f"the loss stayed at {end:.3g}", course.measured)
    yield from _apart(loss, np.asarray(held, float))


def _failed(stopped: str) -> bool:
    """Whether training ended in NaN or Inf, by what it says of its end."""
    return "NaN" in stopped or "Inf" in stopped


def _apart(loss: Array, held: Array) -> Iterator[Finding]:
    """Yield a loss on validation rows that has turned and risen, while training went on falling."""
    if len(held) < SHORT or not np.isfinite(held).all():
        return
    low = float(held.min())
    if held[-1] > 1.5 * low and loss[-1] < 0.5 * held[-1] and int(held.argmin()) < 0.7 * len(held):
        yield found(
            "overfitting",
            "warning",
            f"the loss on validation rows rose from {low:.3g} to {held[-1]:.3g}",
            {
                "lowest": low,
                "at epoch": int(held.argmin()) + 1,
                "at the end": float(held[-1]),
                "threshold": 1.5 * low,
                "threshold from": "half as much again is more than noise",
            },
        )
