"""Every error and warning, in three lines: what differs, where it was built, what to try."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from types import FrameType
from typing import Any


class PellucidError(Exception):
    """The base of every error raised on purpose: `what` differs, `hint` says what to try."""

    def __init__(self, what: str, hint: str = "", where: str | None = None) -> None:
        self.what, self.hint = what, hint
        self.where = user_line() if where is None else where
        lines = [what, f"  at {self.where}" if self.where else "", f"  try: {hint}" if hint else ""]
        super().__init__("\n".join(line for line in lines if line))

    def __reduce__(self) -> tuple[Any, ...]:
        """Say how a copy or a pickle is made again: from the lines' parts, not from the text."""
        return type(self), (self.what, self.hint, self.where), vars(self)


class ArgumentError(PellucidError, ValueError):
    """An argument has a value that cannot be meant."""


class ShapeError(ArgumentError):
    """Two shapes do not fit together."""


class DataError(ArgumentError):
    """The data cannot be learned from as they are."""


class DtypeError(PellucidError, TypeError):
    """An argument has a type that cannot be used here."""


class TraceError(PellucidError, TypeError):
    """Python asked a symbolic node for a number that it does not have."""


class NotBuiltError(PellucidError, RuntimeError):
    """The model has no parameters yet, for it has not seen the shape of its data."""


class NonFiniteError(PellucidError, ArithmeticError):
    """Training met NaN or Inf, and stopped at that step; the last good parameters were kept.

    `step` and `epoch` say where in the training, both from 1; `phase` is "forward", "backward" or
    "update". `op` is the first operation, in execution order, whose result was not finite, and
    `event` what happened there: "exp overflow", "0/0". `layer` (from 1; None for the loss) and
    `name` are of the value it gave, or of the one that this is part of; `index` is its place, `row`
    that of the data, where it belongs to one; `value` the number, `operands` what it was computed
    from, by name. `cause` is what it comes down to: "log of 0", "growth over the last steps", "bad
    input row 17 column 3"; `became` what stopped the training; `norms` are loss, parameter norm and
    gradient norm of the steps before. `reproduced` is False where the step, replayed, was finite.
    """

    step: int = 0
    epoch: int = 0
    phase: str = ""
    op: str = ""
    event: str = ""
    layer: int | None = None
    name: str = ""
    index: tuple[int, ...] = ()
    row: int | None = None
    value: float = float("nan")
    operands: dict[str, Any]
    cause: str = ""
    became: str = ""
    norms: tuple[Any, ...] = ()
    reproduced: bool = True

    def __init__(self, what: str, hint: str = "", where: str | None = None, **facts: Any) -> None:
        PellucidError.__init__(self, what, hint, where)
        self.operands = {}
        vars(self).update(facts)


class PellucidWarning(UserWarning):
    """The category of every warning of this package."""


class TrainingWarning(PellucidWarning):
    """Training stopped early, or could not be kept in its folder; the model itself is good."""


def user_line(frame: FrameType | None = None) -> str:
    """Return "file:line" of the innermost caller outside this package, or ""."""
    frame = outside(frame or sys._getframe(1))
    return f"{frame.f_code.co_filename}:{frame.f_lineno}" if frame else ""


OURS = ("pellucid.", "functools", "dataclasses", "contextlib")


def outside(frame: FrameType | None) -> FrameType | None:
    """Return the innermost frame that is not this package's (code it generated is its own).

    Nor Python's own between two of ours, of a cached property or of `replace`.
    """
    while frame is not None and frame.f_globals.get("__name__", "").startswith(OURS):
        frame = frame.f_back
    return frame


def one_of(kind: str, name: object, options: Iterable[str]) -> ArgumentError:
    """Return the error for an unknown name, with the nearest known one as the hint."""
    from difflib import get_close_matches

    known = sorted(options)
    folded = {option.lower(): option for option in known}
    near = [folded[f] for f in get_close_matches(str(name).lower(), folded, n=1, cutoff=0.5)]
    guess = f'did you mean "{near[0]}"? ' if near else ""
    return ArgumentError(f"unknown {kind} {name!r}", f"{guess}known: {', '.join(known)}")
