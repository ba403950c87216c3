"""What a gradient check found: by parameter, as a table, as JSON."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pellucid.check.differences import SURE
from pellucid.check.kinks import FLOOR, Finding
from pellucid.check.problem import Place

SHOWN = 5  # culprits and kinks of a parameter that the text lists


@dataclass(frozen=True)
class Worst:
    """An element, and its slope as it is claimed and as differences give it; unpacks as those."""

    index: tuple[int, ...]
    analytic: float
    numeric: float

    def __iter__(self) -> Iterator[Any]:
        return iter((self.index, self.analytic, self.numeric))


@dataclass(frozen=True)
class Kink:
    """An element at which the function has a corner: a slope on the left, one on the right."""

    index: tuple[int, ...]
    analytic: float
    left: float
    right: float


@dataclass(frozen=True)
class ParameterCheck:
    """What was found about the gradient of one parameter."""

    name: str
    shape: tuple[int, ...]
    checked: int  # elements that were checked one by one
    directions: int  # random directions that were checked besides
    max_relative_error: float  # elementwise: |a - n| / max(|a| + |n|, 1e-8)
    max_absolute_error: float
    norm_ratio: float  # ‖a - n‖ / max(‖a‖ + ‖n‖, 1e-8)
    worst: Worst | None
    wrong: tuple[Worst, ...]
    kinks: tuple[Kink, ...]
    rounded: int  # elements whose differences are lost in rounding
    verdict: str  # "ok", "wrong", "kink" or "round-off"
    along: str = ""  # of second derivatives: along what the gradient was differentiated

    @property
    def ok(self) -> bool:
        return self.verdict != "wrong"


@dataclass(frozen=True, eq=False)
class GradientReport:
    """What a gradient check found; true where no slope is wrong.

    `parameters[name]` has the errors, the worst element and the kinks of each parameter; `forms`
    says which graph the claimed gradient is from; `form_error` is the ratio of norms by which the
    gradient that trains, simplified, differs from it.
    """

    parameters: Mapping[str, ParameterCheck]
    order: int
    tolerance: float
    forms: tuple[str, ...]
    form_error: float | None
    form_ok: bool
    evaluations: int
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether no slope is wrong."""
        return self.form_ok and all(p.ok for p in self.parameters.values())

    def __bool__(self) -> bool:
        return self.ok

    @property
    def max_relative_error(self) -> float:
        """The largest elementwise relative error of all parameters."""
        return max((p.max_relative_error for p in self.parameters.values()), default=0.0)

    @property
    def max_absolute_error(self) -> float:
        """The largest absolute error of all parameters."""
        return max((p.max_absolute_error for p in self.parameters.values()), default=0.0)

    @property
    def norm_ratio(self) -> float:
        """The largest ratio of norms of all parameters."""
        return max((p.norm_ratio for p in self.parameters.values()), default=0.0)

    @property
    def kinks(self) -> tuple[Kink, ...]:
        """All kinks that were met."""
        return tuple(k for p in self.parameters.values() for k in p.kinks)

    @property
    def verdict(self) -> str:
        """What holds of all: "wrong" or "kink" if anything is, else "ok" or "round-off"."""
        found = {p.verdict for p in self.parameters.values()}
        if not self.ok:
            return "wrong"
        return "kink" if "kink" in found else "round-off" if found == {"round-off"} else "ok"

    def to_json(self) -> dict[str, Any]:
        """Return everything as JSON takes it; what is not finite as text."""
        names = ("ok", "verdict", "order", "tolerance", "max_relative_error", "max_absolute_error",
                 "norm_ratio", "forms", "form_error", "evaluations", "notes")  # fmt: skip
        facts = {name: _plain(getattr(self, name)) for name in names}
        return facts | {"parameters": {k: _of(p) for k, p in self.parameters.items()}}

    def __str__(self) -> str:
        return "\n".join([*_head(self), *_table(self), *_said(self)])

    __repr__ = __str__


def _of(p: ParameterCheck) -> dict[str, Any]:
    facts = {k: _plain(v) for k, v in vars(p).items() if k not in ("worst", "wrong", "kinks")}
    worst = None if p.worst is None else _plain(vars(p.worst))
    rows = {k: [_plain(vars(row)) for row in getattr(p, k)] for k in ("wrong", "kinks")}
    return facts | {"ok": p.ok, "worst": worst} | rows


def _plain(value: Any) -> Any:
    """Return what JSON can hold."""
    if isinstance(value, Mapping):
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, (tuple, list)):
        return [_plain(v) for v in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


# -- from findings -------------------------------------------------------------------------------


def checked(place: Place, rows: Sequence[Finding], tolerance: float) -> ParameterCheck:
    """Sum up what was found about one parameter."""
    single = _once(rows)
    trusted = [r for r in single if r.kind in ("ok", "wrong")]
    wrong = sorted((r for r in single if r.kind == "wrong"), key=_severity, reverse=True)
    worst = max(trusted, key=_severity, default=None)
    ratio, off = _norms(rows)
    off = off and ratio >= 1e-2 * tolerance  # 1e-7 where the tolerance is 1e-5
    kinks = tuple(Kink(r.index or (), r.analytic, r.left, r.right)
                  for r in single if r.kind == "kink")  # fmt: skip
    rounded = sum(r.kind == "round-off" for r in single)
    usual = "ok" if trusted or not single else "kink" if kinks else "round-off"
    return ParameterCheck(
        place.name, place.shape, len(single), sum(r.index is None for r in rows),
        max((_number(r.relative) for r in trusted), default=0.0),
        max((_number(r.absolute) for r in trusted), default=0.0), ratio,
        None if worst is None else _worst(worst), tuple(map(_worst, wrong)), kinks, rounded,
        "wrong" if wrong or off else "kink" if kinks else usual,
        "" if worst is None else worst.along,
    )  # fmt: skip


def _once(rows: Iterable[Finding]) -> list[Finding]:
    """Return one finding an element, for some were met twice: what is wrong, or a kink, stays."""
    weight = {"ok": 0, "round-off": 1, "kink": 2, "wrong": 3}
    found: dict[Any, Finding] = {}
    for r in rows:
        key = (r.index, r.along)
        if r.index is not None and (key not in found or weight[r.kind] > weight[found[key].kind]):
            found[key] = r
    return list(found.values())


def _worst(r: Finding) -> Worst:
    return Worst(r.index or (), r.analytic, r.numeric)


def _number(x: float) -> float:
    return math.inf if math.isnan(x) else x


def _severity(r: Finding) -> tuple[float, float]:
    return _number(r.relative), _number(r.absolute)


def _norms(rows: Iterable[Finding]) -> tuple[float, bool]:
    """Return the ratio of norms, and whether it is more than what differences may be off.

    Of directions where there are any: a slope along a random one is as large as the norm, on
    average.  Else of all elements.
    """
    usable = [r for r in rows if r.kind in ("ok", "wrong")]
    usable = [r for r in usable if r.index is None] or usable
    table = np.array([[r.analytic, r.numeric, r.error] for r in usable]).reshape(-1, 3)
    a, n, error = np.linalg.norm(table, axis=0)
    gap = float(np.linalg.norm(table[:, 0] - table[:, 1]))
    ratio = gap / max(a + n, FLOOR)
    return _number(float(ratio)), not gap <= SURE * error


# -- as text -------------------------------------------------------------------------------------


def _head(report: GradientReport) -> list[str]:
    what = "second derivatives" if report.order == 2 else "gradient"
    word = {
        "ok": "right",
        "kink": "right beside kinks",
        "round-off": "not to be told, for rounding",
    }
    verdict = word.get(report.verdict, report.verdict)
    return [
        f"{what}: {verdict}",
        f"central differences in float64, {report.evaluations:,} values of the loss",
        *(f"checked: {form}" for form in report.forms),
        f"relative: |a - n| / max(|a| + |n|, 1e-8), below {report.tolerance:g} by element",
        f"norms:    ‖a - n‖ / max(‖a‖ + ‖n‖, 1e-8), below {report.tolerance / 100:g}",
        "",
    ]


def _table(report: GradientReport) -> list[str]:
    rows: list[tuple[str, ...]] = [
        ("parameter", "relative", "absolute", "norms", "worst", "analytic", "numeric", "")
    ]
    rows += [_row(p) for p in report.parameters.values()]
    widths = [max(len(row[k]) for row in rows) for k in range(8)]
    over = sum(widths) + 14 - 80
    widths[0] -= max(0, over)  # a long name is cut, so that the table stays 80 wide
    lines = ["  ".join(_cut(c, w).ljust(w) for c, w in zip(r, widths, strict=True)) for r in rows]
    lines.insert(1, "─" * min(80, sum(widths) + 14))
    return [line.rstrip() for line in lines]


def _cut(cell: str, width: int) -> str:
    return cell if len(cell) <= width else cell[: max(0, width - 1)] + "…"


def _row(p: ParameterCheck) -> tuple[str, ...]:
    errors = [f"{x:.1e}" for x in (p.max_relative_error, p.max_absolute_error, p.norm_ratio)]
    if p.worst is None:
        return (p.name, "-", "-", "-", "-", "-", "-", p.verdict)
    index = ",".join(map(str, p.worst.index))
    return (p.name, *errors, index, f"{p.worst.analytic:.4g}", f"{p.worst.numeric:.4g}", p.verdict)


def _said(report: GradientReport) -> list[str]:
    lines = [line for p in report.parameters.values() for line in _about(p)]
    if report.form_error is not None:
        lines.append(f"the form that trains differs from the plain one by {report.form_error:.1e}")
    lines += report.notes
    folded = [textwrap.fill(line, 80, subsequent_indent="  ") for line in lines]
    return ["", *folded] if folded else []


def _about(p: ParameterCheck) -> list[str]:
    lines = [f"{_spot(p, w.index)} is wrong: analytic {w.analytic:.12g}, numeric {w.numeric:.12g}"
             for w in p.wrong[:SHOWN]]  # fmt: skip
    lines += [f"… and {len(p.wrong) - SHOWN} more of {p.name}"] * (len(p.wrong) > SHOWN)
    if p.verdict == "wrong" and not p.wrong:
        lines.append(f"{p.name}: every element passes, the whole does not: see its ratio of norms")
    lines += [_corner(p, k) for k in p.kinks[:SHOWN]]
    lines += [f"… and {len(p.kinks) - SHOWN} more kinks"] * (len(p.kinks) > SHOWN)
    if p.rounded:
        lines.append(f"{p.name}: rounding hides the slope of {p.rounded} of {p.checked} elements")
    if p.directions:
        size = math.prod(p.shape)
        lines.append(f"{p.name}: {p.checked} of {size:,} elements, {p.directions} directions")
    return lines


def _corner(p: ParameterCheck, k: Kink) -> str:
    sides = f"slopes {k.left:.6g} and {k.right:.6g}, claimed {k.analytic:.6g}"
    return f"{_spot(p, k.index)} lies on a kink: {sides}"


def _spot(p: ParameterCheck, index: Sequence[int]) -> str:
    return f"{_cut(p.name, 40)}[{', '.join(map(str, index))}]" if index else _cut(p.name, 40)
