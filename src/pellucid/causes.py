"""Why a number is not finite: what an operation did to its operands, what led there, the remedy.

event_of  what happened at one element, from the operands' numbers: "exp overflow", "0/0"
lead      how loss and norms grew over the steps before       remedy  what to try
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from pellucid import ops
from pellucid.graph import Array, computed, lift, order, value
from pellucid.op import Op, compiled

GROWN = 1e3  # times as large within the steps that are told: more than any healthy start
RISING = 2.0  # times as large, where every single step went up


def _op(function: Any) -> Op:
    found: Op = function.op
    return found


# What is called by another word than its name when it overflows, and needs no look inside.
WORDS: dict[Op, str] = {
    _op(ops.add): "sum", _op(ops.subtract): "difference", _op(ops.sum): "sum",
    _op(ops.mean): "sum", _op(ops.multiply): "product", _op(ops.matmul): "product",
    _op(ops.prod): "product", _op(ops.divide): "quotient", _op(ops.square): "power",
}  # fmt: skip


@dataclass(frozen=True)
class Event:
    """What happened at one element; `kind` is what remedies go by."""

    kind: str  # overflow, zero, negative, quotient, constant, given, other
    text: str

    @property
    def overflows(self) -> bool:
        """Whether numbers became too large."""
        return self.kind == "overflow"

    @property
    def unary(self) -> bool:
        """Whether a number was outside of what a function takes."""
        return self.kind in ("zero", "negative", "quotient", "other")


def infinite(array: Any) -> Array:
    """Return where an array is NaN or Inf."""
    return np.asarray(~np.isfinite(array))


def event_of(
    op: Op, settings: dict[str, Any], parts: Sequence[Array], result: float, fixed: Sequence[bool]
) -> Event:
    """Say what an op did to finite operands, of which some are constants, to give NaN or Inf."""
    if any(c and infinite(p).any() for p, c in zip(parts, fixed, strict=True)):
        return _of_constant(parts, result)
    if op is _op(ops.divide) and not parts[1]:
        return Event("quotient", "x/0" if parts[0] else "0/0")
    if op in WORDS:
        return Event("overflow", "inf - inf" if np.isnan(result) else f"{WORDS[op]} overflow")
    inner = _inside(op, settings, parts)
    if inner is not None:
        return inner
    if len(parts) == 1 and not parts[0].ndim:
        return _of_one(op, settings, float(parts[0]), result)
    if op.name == "power":
        return _of_power(float(parts[0]), result)
    if np.isnan(result):
        return (
            Event("overflow", "inf - inf")
            if op.kind != "map"
            else Event("other", f"{op.name} undefined")
        )
    return Event("overflow", f"{op.name} overflow")


def _of_constant(parts: Sequence[Array], result: float) -> Event:
    """An infinity or NaN was written into the formula."""
    if any(np.isnan(p).any() for p in parts):
        return Event("constant", "NaN in a constant")
    if np.isnan(result):
        zero = any(not p.all() for p in parts)
        return Event("constant", "0 * inf" if zero else "inf - inf")
    return Event("constant", "inf in a constant")


def _of_one(op: Op, settings: dict[str, Any], x: float, result: float) -> Event:
    """A function of one number: beyond its domain, on the edge of it, or too large."""
    name = op.name
    if op is _op(ops.log1p):  # ln(1 + x)
        name, x = "log", 1 + x
    if np.isnan(result):
        return (
            Event("negative", f"{name} of a negative")
            if x < 0
            else Event("other", f"{name} of {x:g}")
        )
    if x == 0:
        return Event("zero", f"{name} of 0")
    if not _large_near(op, settings, x):
        return Event("other", f"{name} of {x:g}")
    return Event("overflow", f"{name} overflow")


def _large_near(op: Op, settings: dict[str, Any], x: float) -> bool:
    """Whether a function is huge beside x, too: it overflows there, rather than having a pole."""
    with np.errstate(all="ignore"):
        beside = compiled(op, tuple(settings.items()), 1)(np.float64(x * 0.999))
    return not abs(float(beside)) < 1e30


def _of_power(x: float, result: float) -> Event:
    if np.isnan(result):
        return Event("negative", "power of a negative")
    return Event("quotient", "x/0") if x == 0 else Event("overflow", "power overflow")


def _inside(op: Op, settings: dict[str, Any], parts: Sequence[Array]) -> Event | None:
    """Look into an op that is made of smaller ones: the first that is not finite says it."""
    if op.same_as is None or (op.kind != "map" and "axis" in settings):
        return None
    leaves = [value(p, f"x{k}") for k, p in enumerate(parts)]
    inner, values = lift(op.same_as(*leaves, **settings)), dict[Any, Any]()
    with np.errstate(all="ignore"):
        for node in order([inner]):
            values[node] = computed(node, values, {})
            if node.op is not None and infinite(values[node]).any():
                return _first_inside(node, values)
    return None


def _first_inside(node: Any, values: dict[Any, Any]) -> Event:
    spot = tuple(np.argwhere(infinite(values[node]))[0])
    arrays = [np.asarray(values[a]) for a in node.args]
    if node.op.kind == "map":
        arrays = [np.broadcast_to(a, np.shape(values[node]))[spot] for a in arrays]
    result = float(np.asarray(values[node])[spot])
    return event_of(node.op, node.settings, arrays, result, [a.is_constant for a in node.args])


def clash(op: Op) -> str:
    """Say how an op makes NaN of infinities."""
    word = WORDS.get(op, "")
    return {"product": "0 * inf", "quotient": "inf / inf", "": f"{op.name} of inf"}.get(
        word, "inf - inf"
    )


# -- what led there, and what to try ---------------------------------------------------------------


def lead(flights: Sequence[Any]) -> str:
    """Say what grew over these steps; "" where nothing did.

    >>> from collections import namedtuple
    >>> Norms = namedtuple("Norms", "parameters gradient loss")
    >>> lead([Norms(1, 10.0**k, 1) for k in range(5)])
    'the norm of the gradient grew 1e+04-fold over 5 steps'
    """
    what = {"parameters": "the norm of the parameters", "gradient": "the norm of the gradient"}
    for name, said in (*what.items(), ("loss", "the loss")):
        found = [x for f in flights if np.isfinite(x := getattr(f, name))]
        if len(found) < 2 or found[0] <= 0:
            continue
        ratio = found[-1] / found[0]
        rising = len(found) > 3 and all(b > a for a, b in pairwise(found))
        if ratio >= GROWN or (rising and ratio >= RISING):
            return f"{said} grew {ratio:.1g}-fold over {len(found)} steps"
    return ""


@dataclass(frozen=True)
class Cause:
    """What it comes down to: an odd entry of the data, growth, or what happened at the element."""

    event: Event
    phase: str
    rate: float
    growth: str
    culprit: str | None
    name: str
    largest: float  # entry of the inputs
    then: str = ""  # how an infinity became NaN

    @property
    def text(self) -> str:
        """The class of the cause."""
        if self.culprit:
            return self.culprit
        if self.growth:
            return "growth over the last steps"
        # an infinity that was written into the formula does no harm until it clashes
        return self.then if self.event.kind == "constant" and self.then else self.event.text


LARGE = 1e3  # entries of inputs beyond which they are worth scaling: units are of the size of 1


def remedy(cause: Cause) -> str:
    """Return what to try."""
    if cause.culprit:
        return "correct it, or drop its row: with its column's median all is finite"
    rate = f"a smaller learning rate (now {cause.rate:g})"
    if cause.growth:
        return rate
    if cause.event.kind == "given":
        return f"set {cause.name} anew, or model.reset(): it came into this step as it is"
    if cause.largest > LARGE and cause.event.overflows:
        return f"scale the inputs, which reach {cause.largest:.1e}: (X - X.mean(0)) / X.std(0)"
    if cause.event.overflows and cause.phase == "update":
        return rate
    return _formula(cause, rate)


def _formula(cause: Cause, rate: str) -> str:
    """Return a remedy that changes the formula."""
    event, text = cause.event, cause.event.text
    if text == "log of 0":
        return 'a loss on scores, "bce_logits", or "bce" after "sigmoid"; or log(p + 1e-7)'
    if text.startswith("exp "):
        return "softmax, softplus or logsumexp, which cannot overflow; or scaled inputs"
    if event.kind == "quotient" and cause.phase == "backward":
        return "the slope is infinite there: sqrt(x + 1e-12) for sqrt(x), say"
    if event.kind == "quotient":
        return "add a small number below the line, as in x / (y + 1e-7)"
    if event.kind == "negative":
        return f"keep the operand above 0: np.maximum(x, 0) for {text.split()[0]}"
    if event.kind == "constant":
        return "a large finite number in place of the one in the formula"
    return f"{rate}, or scaled inputs"
