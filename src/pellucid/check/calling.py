"""Calling what a learner wrote with what it asks for: arguments are known by their names.

bound(function, given)   the arguments of a call, by what each parameter is called
Stop                     an exception of the student's code: its line, and what was at hand there
"""

from __future__ import annotations

import inspect
import linecache
import re
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any

import numpy as np

# What a parameter is for, by its name; the first that fits.
ROLES = {
    "X": r"x\d?|xs|inputs?|input_?data|data|a0|batch_?x|x_?(batch|train|data|in)|features|samples?",
    "y": r"y\d?|ys|t|ts|targets?|labels?|y_?(true|batch|train|data|real|actual)|"
    r"batch_?y|expected(_output)?|desired|truth|d_?true|actual|outputs_true",
    "out": r"outputs?|out|o|y_?hat|y_?pred(icted)?|preds?|predictions?|probs?|p|a[2-9]|al|"
    r"a_?out|y_?out|result|forward_output|activations?_out",
    "rate": r"lr|learning_?rate|alpha|eta|rate|step_?size|l_?rate",
    "upstream": r"grad(_?out(put)?)?|dout|d_?out(put)?|upstream|da|dl(oss)?|d_?loss|g|delta|"
    r"loss_?grad(ient)?|output_?grad(ient)?|dl_?da|d_?a|error|gradient",
    "cache": r"caches?|memory|intermediates?|forward_?cache|values|state",
    "n": r"m|n|batch_?size|n_?samples",
    "params": r"params?|parameters?|theta|weights|wb|net|network|p",
    "penalty": r"reg(ularization)?|lambda_?|lam|lambd|l2(_?reg|_?lambda)?|weight_?decay"
    r"|reg_?lambda|l2_?strength",
}


class Stop(Exception):
    """The student's code raised an exception, or did not give what was asked for."""

    def __init__(
        self, error: BaseException, line: str = "", where: str = "", local: Any = None
    ) -> None:
        self.error, self.line, self.where = error, line, where
        self.local: Mapping[str, Any] = local or {}

    @property
    def number(self) -> int:
        """The line's number: how far the code came."""
        return int(self.where.rpartition(":")[2] or 0)

    def __str__(self) -> str:
        said = f"{type(self.error).__name__}: {self.error}"
        return f"{said}\n  at {self.where}: {self.line}" if self.where else said


def attempt(function: Callable[..., Any], *args: Any, **settings: Any) -> Any:
    """Call the student's code; what it raises becomes a `Stop` that knows the line."""
    try:
        return function(*args, **settings)
    except Stop:
        raise
    except Exception as error:
        raise _stop(error, error.__traceback__) from None


def _stop(error: BaseException, trace: TracebackType | None) -> Stop:
    frames = []
    while trace is not None:
        frames.append(trace)
        trace = trace.tb_next
    own = [f for f in frames[1:] if not _library(f.tb_frame.f_code.co_filename)]
    if not own:
        return Stop(error)
    last = own[-1]
    file, number = last.tb_frame.f_code.co_filename, last.tb_lineno
    line = linecache.getline(file, number).strip()
    return Stop(error, line, f"{file}:{number}", dict(last.tb_frame.f_locals))


def _library(file: str) -> bool:
    return f"site-packages{'/'}numpy" in file.replace("\\", "/")


def role(name: str) -> str:
    """Return what a parameter of this name is for, or ""."""
    low = name.lower().strip("_")
    return next((r for r, names in ROLES.items() if re.fullmatch(names, low)), "")


def parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """Return what a call has to give or may give, without *args."""
    try:
        found = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return []
    return [p for p in found if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]


def bound(
    function: Callable[..., Any], given: Mapping[str, Any], order: Sequence[str]
) -> dict[str, Any] | None:
    """Return the arguments by name, or None where one is not known.

    `order` are the roles that unknown names take, one after the other.
    """
    result: dict[str, Any] = {}
    asked = parameters(function)
    left = [r for r in order if r not in {role(p.name) for p in asked}]
    for p in asked:
        needed = p.default is p.empty
        found = p.name if p.name in given else role(p.name)
        if found in given and (needed or found != "n"):
            result[p.name] = given[found]
        elif needed and left:
            result[p.name] = given[left.pop(0)]
        elif needed:
            return None
    return result


def call(
    function: Callable[..., Any], given: Mapping[str, Any], order: Sequence[str]
) -> tuple[Any, dict[str, Any]]:
    """Call with arguments by name; return the result and what was given."""
    arguments = bound(function, given, order)
    if arguments is None:
        asked = ", ".join(p.name for p in parameters(function))
        raise Stop(TypeError(f"{named(function)}({asked}): what are its arguments?"))
    positional = [p.name for p in parameters(function) if p.kind is p.POSITIONAL_ONLY]
    first = [arguments[k] for k in positional if k in arguments]
    rest = {k: v for k, v in arguments.items() if k not in positional}
    return attempt(function, *first, **rest), arguments


def named(function: Any) -> str:
    return str(getattr(function, "__qualname__", type(function).__name__))


def same(one: Any, two: Any) -> bool:
    """Say whether an array that was handed out is still what it was."""
    return bool(np.array_equal(np.asarray(one), np.asarray(two)))
