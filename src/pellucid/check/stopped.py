"""A backward pass that stops with an exception: its line, and the slip that shapes tell of."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from pellucid.check.calling import Stop
from pellucid.check.slip_report import SlipReport
from pellucid.check.slips import BY_CODE

MATRIX = r"matmul|shapes .* not aligned|dot"


def stopped(name: str, stops: Sequence[Stop], samples: int) -> SlipReport:
    """Return the report of a student that never gave gradients."""
    through = next((s for s in stops if not s.where), None)  # its code ran, but gave nothing
    furthest = max(stops, key=lambda s: s.number, default=Stop(TypeError("it was not called")))
    stop = through or furthest
    code = slip_of(stop, samples)
    slips = (code,) if code else ()
    says = f"most likely, {BY_CODE[code].says}" if code else ""
    fix = BY_CODE[code].fix if code else ""
    return SlipReport(
        False, name, slips=slips, unexplained=not slips, error=str(stop), sentence=says, fix=fix
    )


def slip_of(stop: Stop, samples: int) -> str:
    """Return the slip that an exception about shapes speaks of, or ""."""
    said = str(stop.error)
    if not isinstance(stop.error, ValueError):
        return ""
    if samples > 1 and any(_is_square(v, samples) for v in stop.local.values()):
        return "broadcast"
    if re.search(MATRIX, said):
        return "transpose"
    if "broadcast" not in said:
        return ""
    return _of_product(stop.line)


def _is_square(value: Any, n: int) -> bool:
    return isinstance(value, np.ndarray) and value.shape == (n, n)


def _of_product(line: str) -> str:
    """Return the slip behind shapes that do not broadcast, by what stands in the line."""
    try:
        tree = ast.parse(line.strip())
    except SyntaxError:
        return ""
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
            words = ast.unparse(node).lower()
            weights = re.search(r"\b(self\.)?w\w*\b|weight", words)
            return "elementwise-product" if weights else "wrong-mask"
    return "bias-not-summed" if re.search(r"\bd?b\w*\b|bias", line) else ""
