"""What a callback watches: one of the logged values, and which way it gets better."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

from pellucid.errors import ArgumentError, DtypeError, one_of

# By their names without val_; of any other, `mode` has to say it.
RISING = ("accuracy", "acc", "auc", "precision", "recall", "f1", "r2", "top_")
FALLING = (
    *("loss", "bce", "cce", "mse", "half_mse", "mae", "rmse", "huber", "hinge", "poisson"),
    *("gradient_norm", "error", "crossentropy", "cross_entropy"),
)


@dataclass(frozen=True)
class Monitor:
    """A logged value by name, and its mode: "min" where less is better, "max" where more is."""

    name: str
    mode: str

    @property
    def start(self) -> float:
        """Return what any value is better than."""
        return math.inf if self.mode == "min" else -math.inf

    def better(self, value: float, best: float, by: float = 0.0) -> bool:
        """Say whether a value beats the best one by more than so much; NaN never does."""
        return value < best - by if self.mode == "min" else value > best + by

    def check(self, names: Sequence[str]) -> None:
        """Refuse a name that the logs will not have."""
        if self.name in names:
            return
        if self.name.startswith("val_") and not any(n.startswith("val_") for n in names):
            raise ArgumentError(
                f"there is no {self.name!r} to be watched: no samples are held out",
                f'fit(…, validation_split=0.2), or monitor="{self.name.removeprefix("val_")}"',
            )
        raise one_of("monitor", self.name, names)

    def value(self, logs: Mapping[str, Any]) -> float:
        """Return the watched value."""
        self.check(list(logs))
        return float(logs[self.name])


def watched(name: Any, mode: Any) -> Monitor:
    """Return what is watched; `mode` "auto" tells losses and errors from scores by their names."""
    if not isinstance(name, str):
        raise DtypeError(f"monitor is {name!r}", 'the name of a logged value, such as "val_loss"')
    if mode not in ("auto", "min", "max"):
        raise one_of("mode", mode, ["auto", "min", "max"])
    return Monitor(name, _direction(name) if mode == "auto" else mode)


def _direction(name: str) -> str:
    word = name.removeprefix("val_").removeprefix("train_").removesuffix("_logits")
    if any(word == known or word.endswith(f"_{known}") for known in FALLING):
        return "min"
    if any(word.startswith(known) or word.endswith(f"_{known}") for known in RISING):
        return "max"
    raise ArgumentError(f"whether {name!r} is better small or large is not known", 'mode="min"')


def check_number(value: Any, name: str, least: float, hint: str, most: float = math.inf) -> None:
    """Refuse what is no finite number, or lies outside of the bounds."""
    number = isinstance(value, Real) and not isinstance(value, bool)
    if not number or not (math.isfinite(value) and least <= value <= most):
        raise ArgumentError(f"{name} is {value!r}", f"{name} is {hint}")


def check_count(value: Any, name: str, least: int) -> None:
    """Refuse what is no whole number, or too small a one."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ArgumentError(f"{name} is {value!r}", f"{name} is a whole number of at least {least}")
