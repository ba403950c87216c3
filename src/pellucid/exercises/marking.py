"""Marking a learner's answers: what is right, what is wrong, and what a wrong one looks like.

marked(values, answers, tolerance)  a `Marked`, with a `Mark` for each value asked for
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pellucid.errors import ArgumentError, one_of
from pellucid.graph import Array

RELATIVE = 1e-3
NOTHING = 1e-9  # what is less is meant as 0
COARSE = 0.1  # relative: a rounding that moves a number further says too little about it
NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
WORDS = {"yes": True, "true": True, "no": False, "false": False}
SPELLINGS = (("∂L/∂", "d"), ("δ", "delta"), ("ŷ", "y_hat"), ("σ'", "slope"), ("−", "-"))


@dataclass(frozen=True, eq=False)
class Mark:
    """One answer: whether it is right, and if not, what it looks like."""

    name: str
    right: bool
    says: str
    given: Any = None
    expected: Any = None


@dataclass(frozen=True, eq=False)
class Marked:
    """All answers marked: `ok` where every one is right, `score` of `total`, `marks` by value.

    >>> from pellucid.exercises.marking import marked
    >>> print(marked({"z": 0.6, "a": 0.645656}, {"z": 0.6, "a": "0.46"}))
    1 of 2 right
      z  right
      a  wrong: not this value
    """

    marks: tuple[Mark, ...]

    @property
    def score(self) -> int:
        """How many answers are right."""
        return sum(mark.right for mark in self.marks)

    @property
    def total(self) -> int:
        """How many values are asked for."""
        return len(self.marks)

    @property
    def ok(self) -> bool:
        """Whether all are there, and right."""
        return self.score == self.total

    def __getitem__(self, name: str) -> Mark:
        for mark in self.marks:
            if mark.name == name:
                return mark
        raise one_of("answer", name, [mark.name for mark in self.marks])

    def __bool__(self) -> bool:
        return self.ok

    def __str__(self) -> str:
        from pellucid.explaining.terminal import fold

        wide = max((len(mark.name) for mark in self.marks), default=0)
        lines = [f"{self.score} of {self.total} right"]
        for mark in self.marks:
            start = f"  {mark.name.ljust(wide)}  "
            lines += fold(mark.says, 80, start, " " * len(start))
        return "\n".join(lines)

    __repr__ = __str__


def marked(
    values: Mapping[str, Any], answers: Mapping[str, Any], tolerance: float | None = None
) -> Marked:
    """Mark answers against values; `tolerance` is relative."""
    if not isinstance(answers, Mapping):
        raise ArgumentError(f"answers are {answers!r}", 'give them by name: {"z1": [1, 1.4]}')
    if tolerance is not None and not 0 <= tolerance < 1:
        raise ArgumentError(f"tolerance is {tolerance!r}", "a relative error, such as 0.001")
    given = {_key(name, values): answer for name, answer in answers.items()}
    return Marked(tuple(_mark(name, values, given, tolerance) for name in values))


def _key(name: str, values: Mapping[str, Any]) -> str:
    """Return the name of the value that is meant: δ1 is delta1, ∂L/∂w and dL/dw are dw."""
    plain = str(name)
    for spelling, word in SPELLINGS:
        plain = plain.replace(spelling, word)
    plain = re.sub(r"^d\w+/d(?=\w)", "d", plain)
    folded = {known.lower(): known for known in values}
    for known in (str(name), plain, folded.get(plain.lower())):
        if known in values:
            return str(known)
    raise one_of("value", name, values)


def _mark(
    name: str, values: Mapping[str, Any], given: Mapping[str, Any], tolerance: float | None
) -> Mark:
    wanted = values[name]
    if name not in given or given[name] is None or str(given[name]).strip() == "":
        return Mark(name, False, "no answer yet", None, wanted)
    says = _fault(wanted, given[name], tolerance)
    if says.startswith(DIFFERENT):
        says = _resembles(name, given[name], values, tolerance) or says
    told = f"wrong: {says}" if says else "right"
    return Mark(name, not says, told, given[name], wanted)


DIFFERENT = "not this value"  # how all faults begin that a slip may be the reason of


def _fault(wanted: Any, given: Any, tolerance: float | None) -> str:
    """Return what is wrong with an answer, or nothing."""
    if isinstance(wanted, bool):
        return "" if _truth(given) is wanted else DIFFERENT
    if isinstance(wanted, str):
        return "" if _bare(given) == _bare(wanted) else DIFFERENT
    try:
        answer, units = _numbers(given)
    except ValueError:
        return f"{given!r} is not a number, nor a list of them"
    target = np.asarray(wanted, float)
    answer, units = _laid(answer, target), _laid(units, target)
    if answer.shape != target.shape:
        turned = (
            not _fault(wanted, answer.T, tolerance) if answer.T.shape == target.shape else False
        )
        hint = ": this is the transpose" if turned else ""
        return f"its shape is {_shape(answer)}, {_shape(target)} is asked for{hint}"
    return _off(answer, units, target, tolerance)


def _off(answer: Array, units: Array, target: Array, tolerance: float | None) -> str:
    """Return in what way numbers of the right shape are off."""
    room = NOTHING + (RELATIVE if tolerance is None else tolerance) * np.abs(_finite(target))
    written = (units > 0) & (tolerance is None)
    room = np.where(written, 0.5001 * units, room)
    apart = np.abs(_finite(answer) - _finite(target))
    near = (answer == target) | ((apart <= room) & (np.isfinite(answer) == np.isfinite(target)))
    coarse = near & written & (apart > COARSE * np.abs(_finite(target)) + NOTHING)
    if near.all():
        return "rounded too far: write two digits at least" if coarse.any() else ""
    if target.size > 1 and near.any():
        places = [list(map(int, spot)) for spot in np.argwhere(~near)]
        where = ", ".join(str(spot[0] if len(spot) == 1 else spot) for spot in places[:4])
        return f"{DIFFERENT}: {int(near.sum())} of {target.size} numbers are right, not at {where}"
    return DIFFERENT


def _finite(array: Array) -> Array:
    return np.where(np.isfinite(array), array, 0.0)


LOOKS: tuple[tuple[str, Callable[[Array], Array]], ...] = (
    ("this is the negative: look at the sign", lambda t: -t),
    ("this is twice the value: a factor 2 too much", lambda t: 2 * t),
    ("this is half the value: a factor 2 is missing", lambda t: t / 2),
    ("this is the transpose", lambda t: t.T),
    ("the right numbers in reverse order", lambda t: t[::-1]),
    ("this is the inverse", lambda t: 1 / t),
)


def _resembles(name: str, given: Any, values: Mapping[str, Any], tolerance: float | None) -> str:
    """Return what a wrong answer looks like: a slip, or another value of the exercise."""
    if isinstance(values[name], (str, bool)):
        return ""
    target = np.asarray(values[name], float)
    others = {k: v for k, v in values.items() if k != name and not isinstance(v, (str, bool))}
    with np.errstate(all="ignore"):
        looks = [(says, look(target)) for says, look in LOOKS if target.ndim or "order" not in says]
        looks += [(f"this is {k}", np.asarray(v, float)) for k, v in others.items()]
        for says, other in looks:
            if _apart(other, target) and not _fault(other.tolist(), given, tolerance):
                return says
    return ""


def _apart(other: Array, target: Array) -> bool:
    """Tell whether what an answer may be taken for is not 0, nor about the right answer."""
    same = other.shape == target.shape and np.allclose(other, target, rtol=0.05, atol=0)
    return bool(np.any(other)) and not same


def _laid(array: Array, target: Array) -> Array:
    """Return a row or a column as a flat list, where a flat list is asked for."""
    return np.squeeze(array) if target.ndim < 2 and array.size == target.size else array


def _shape(array: Array) -> str:
    return "×".join(map(str, array.shape)) or "a single number"


def _truth(given: Any) -> bool | None:
    if isinstance(given, (bool, np.bool_)):
        return bool(given)
    return WORDS.get(str(given).strip().lower())


def _bare(words: Any) -> str:
    return re.sub(r"[\s·*@]", "", str(words)).replace("σ", "sigmoid").lower()


def _numbers(given: Any) -> tuple[Array, Array]:
    """Return an answer's numbers, and for those written as text the unit of their last digit."""
    if isinstance(given, str):
        return _read(given)
    if isinstance(given, (list, tuple)) and given:
        parts = [_numbers(each) for each in given]
        if len({each.shape for each, _ in parts}) > 1:
            raise ValueError("rows of different lengths")
        return np.stack([p[0] for p in parts]), np.stack([p[1] for p in parts])
    array = np.asarray(given, float)
    return array, np.zeros(array.shape)


def _read(words: str) -> tuple[Array, Array]:
    """Read numbers from text, in brackets or without: "[0.66, 0.43]"."""
    clean = words.replace("−", "-").strip()
    units = NUMBER.sub(lambda found: repr(_unit(found[0])), clean)
    try:
        pair = [np.asarray(ast.literal_eval(text), float) for text in (_bare_zeros(clean), units)]
    except (SyntaxError, TypeError):
        raise ValueError(words) from None
    return pair[0], pair[1]


def _bare_zeros(words: str) -> str:
    """Return numbers as Python reads them, which refuses 007."""
    return NUMBER.sub(lambda found: repr(float(found[0])), words)


def _unit(number: str) -> float:
    """Return the unit of the last digit: 0.01 for "0.66"."""
    mantissa, _, power = number.lower().partition("e")
    unit: float = 10.0 ** (int(power or 0) - len(mantissa.partition(".")[2]))
    return unit
