"""Layers that prepare a table's columns: what they need to know they learn from training rows.

They have no gradients: `adapt` looks at the rows of the first `fit` once, before its first step,
and what it finds is kept with the model, so that new rows are prepared as those were.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np

from pellucid import ops
from pellucid.dims import Shape, known, show
from pellucid.errors import ArgumentError, DataError, ShapeError, one_of
from pellucid.graph import Array, Node
from pellucid.nn.init import Constant
from pellucid.nn.layer import Layer, Parameter, Params, check_size

MOST_COLUMNS = 1000  # that OneHot takes
FILLS = ("mean", "median", "most_frequent")


@dataclass(frozen=True)
class Normalize(Layer):
    """Shift and scale every feature to mean 0 and deviation 1, as the training rows have them.

        a = (x - mean) / std          (n, …) -> (n, …)

    `mean` and `std` are of the rows of the first `fit`, feature by feature, with std 1 for a
    feature that never changes. Args: `columns`, the numbers of the features to be normalized, where
    not all of them are; the others stay as they are. Raises: ArgumentError for columns that cannot
    be meant; DataError where a feature has no finite mean.

    >>> Normalize(columns=(0, 1))
    Normalize(columns=(0, 1))
    """

    columns: tuple[int, ...] | None = None
    letter: ClassVar[str] = "scaled"

    def __post_init__(self) -> None:
        if self.columns is not None:
            object.__setattr__(self, "columns", _columns(self.columns, "columns"))

    def state(self, shape: Shape) -> dict[str, Parameter]:
        """Mean and std, one of each for every feature."""
        sizes = _sizes(self, shape)
        if self.columns is not None:
            _within(self.columns, _width(self, shape), "columns")
        return {"mean": Parameter(sizes), "std": Parameter(sizes, Constant(1.0))}

    def adapt(self, X: Array) -> dict[str, Array]:
        """Return mean and std of the rows, in float64."""
        rows = np.asarray(X, np.float64)
        with np.errstate(all="ignore"):
            mean, std = rows.mean(axis=0), rows.std(axis=0)
        if not (np.isfinite(mean) & np.isfinite(std)).all():
            raise DataError(
                "a feature has no finite mean and deviation to normalize by",
                "pc.Missing() before it, where values are missing; smaller numbers, where huge",
            )
        # what is left by rounding is no spread, and would be blown up to 1
        std = np.where(std <= 1e-12 * np.abs(mean), 1.0, std)
        if self.columns is not None:
            others = ~np.isin(np.arange(len(mean)), self.columns)
            mean, std = np.where(others, 0.0, mean), np.where(others, 1.0, std)
        return {"mean": mean, "std": std}

    def __call__(self, x: Node, p: Params) -> Node:
        """a = (x - mean) / std."""
        return (x - p["mean"]) / p["std"]  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Missing(Layer):
    """Fill what is missing (NaN), and say in further features where something was.

        filled = fill where x is NaN, x elsewhere;   a = [filled, 1 where x is NaN, 0 elsewhere]

    Args: `fill`, "median", "mean" or "most_frequent" of each feature in the rows of the first
    `fit`, or a number; `indicator`, True for a further feature of 0 and 1 for every one, False for
    none, or the numbers of those that get one. Shapes: (n, d) -> (n, d + indicators). As the first
    layer it lets NaN into the model. Raises: ArgumentError for settings that cannot be meant.

    >>> Missing("mean", indicator=(0, 2))
    Missing(fill='mean', indicator=(0, 2))
    """

    fill: str | float = "median"
    indicator: bool | tuple[int, ...] = True
    letter: ClassVar[str] = "filled"
    takes_missing: ClassVar[bool] = True

    def __post_init__(self) -> None:
        object.__setattr__(self, "fill", _fill(self.fill))
        if not isinstance(self.indicator, bool):
            object.__setattr__(self, "indicator", _columns(self.indicator, "indicator"))

    def state(self, shape: Shape) -> dict[str, Parameter]:
        """What each feature is filled with."""
        return {"fill": Parameter((_width(self, shape),))}

    def adapt(self, X: Array) -> dict[str, Array]:
        """Return the fill of every feature; 0 for one that is never there."""
        return {"fill": np.array([self._of(column) for column in np.asarray(X, np.float64).T])}

    def _of(self, column: Array) -> float:
        there = column[~np.isnan(column)]
        if not isinstance(self.fill, str):
            return float(self.fill)
        if not there.size:
            return 0.0
        if self.fill == "most_frequent":  # the smallest of several
            values, counts = np.unique(there, return_counts=True)
            return float(values[counts.argmax()])
        return float(np.median(there) if self.fill == "median" else np.mean(there))

    def __call__(self, x: Node, p: Params) -> Node:
        """a = [fill where x is NaN, where it was]."""
        there = x == x  # NaN alone is not equal to itself
        filled = ops.where(there, x, p["fill"])
        marked = self._marked(x)
        if not marked:
            return filled  # type: ignore[no-any-return]
        marks = [ops.astype(part != part, x.dtype) for part in marked]
        return ops.concatenate([filled, *marks], axis=1)  # type: ignore[no-any-return]

    def _marked(self, x: Node) -> list[Node]:
        if isinstance(self.indicator, bool):
            return [x] if self.indicator else []
        width = int(x.shape[1])  # type: ignore[arg-type]
        return [x[:, a:b] for a, b in _runs(_within(self.indicator, width, "indicator"))]


@dataclass(frozen=True)
class OneHot(Layer):
    """Turn the number of a category into as many features, of which one is 1.

        a_k = 1 where x = k, 0 elsewhere,   for k = 0 … size - 1

    A number that is none of them, such as -1 for a category that is not known, gives zeros.

    Args: `sizes`, how many categories there are, one number for all columns or one for each;
    `columns`, which features are such numbers (None: all). The others come first, in their order.
    Shapes: (n, d) -> (n, others + Σ sizes). Raises: ArgumentError for settings that cannot be
    meant; DataError for training rows with categories that are not counted.

    >>> OneHot((3, 2), columns=(1, 4))
    OneHot(sizes=(3, 2), columns=(1, 4))
    """

    sizes: int | tuple[int, ...]
    columns: tuple[int, ...] | None = None
    letter: ClassVar[str] = "coded"

    def __post_init__(self) -> None:
        put = object.__setattr__
        if self.columns is not None:
            put(self, "columns", _columns(self.columns, "columns"))
        if isinstance(self.sizes, Iterable) and not isinstance(self.sizes, str):
            put(self, "sizes", tuple(check_size(size, "sizes") for size in self.sizes))
        else:
            put(self, "sizes", check_size(self.sizes, "sizes"))
        if isinstance(self.sizes, tuple) and self.columns is not None:
            self._each(self.columns)

    def _each(self, columns: tuple[int, ...]) -> tuple[int, ...]:
        """Return the size of each of these columns."""
        if not isinstance(self.sizes, tuple):
            return (self.sizes,) * len(columns)
        if len(self.sizes) != len(columns):
            raise ArgumentError(
                f"OneHot has {len(self.sizes)} sizes for {len(columns)} columns",
                "one size for each, or one number for all",
            )
        return self.sizes

    def _where(self, width: int) -> tuple[int, ...]:
        found = range(width) if self.columns is None else _within(self.columns, width, "columns")
        if len(found) > MOST_COLUMNS:
            raise ArgumentError(
                f"OneHot takes {len(found):,} columns, and {MOST_COLUMNS:,} are the most, for each "
                "is a step of the program",
                "name those that are categories: columns=(0, 2)",
            )
        return tuple(found)

    def adapt(self, X: Array) -> dict[str, Array]:
        """Check the categories of the rows; there is nothing to learn."""
        columns = self._where(X.shape[1])
        for k, size in zip(columns, self._each(columns), strict=True):
            column = X[:, k]
            odd = column[~np.isin(column, np.arange(-1, size)) & ~np.isnan(column)]
            if odd.size:
                raise DataError(
                    f"column {k} holds {odd[0]:g}, but OneHot counts {size} categories in it",
                    f"numbers from 0 to {size - 1}, and -1 for what is not known",
                )
        return {}

    def __call__(self, x: Node, p: Params) -> Node:
        """a = [the other features, 1 where x = k]."""
        width = _width(self, x.shape[1:])
        columns = self._where(width)
        parts = [x[:, a:b] for a, b in _gaps(columns, width)]
        for k, size in zip(columns, self._each(columns), strict=True):
            codes = np.arange(size, dtype=x.dtype)
            parts.append(ops.named(ops.astype(x[:, k : k + 1] == codes, x.dtype), "hot"))
        whole: Node = parts[0] if len(parts) == 1 else ops.concatenate(parts, axis=1)
        return whole


@dataclass(frozen=True)
class Rescale(Layer):
    """Scale and shift by fixed numbers: on top of a model, its outputs get the targets' size.

        a = scale · x + offset          (n, …) -> (n, …)

    A network whose outputs start near 0 then need not first grow to values of thousands.

    >>> Rescale(1200.0, offset=5400.0)
    Rescale(scale=1200.0, offset=5400.0)
    """

    scale: float
    offset: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "scale", _number(self.scale, "scale"))
        object.__setattr__(self, "offset", _number(self.offset, "offset"))
        if self.scale == 0:
            raise ArgumentError("scale is 0", "every output would be the offset")

    def __call__(self, x: Node, p: Params) -> Node:
        """a = scale · x + offset."""
        return self.scale * x + self.offset  # type: ignore[no-any-return]


# -- settings and shapes ---------------------------------------------------------------------------


def _number(value: Any, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, Real) or not math.isfinite(value):
        raise ArgumentError(f"{name} is {value!r}", f"{name} is a finite number")
    return float(value)


def _fill(value: Any) -> str | float:
    if isinstance(value, str):
        if value not in FILLS:
            raise one_of("fill", value, FILLS)
        return value
    return _number(value, "fill")


def _columns(given: Any, name: str) -> tuple[int, ...]:
    """Return the numbers of features as a tuple, each once and none below 0."""
    listed = list(given) if isinstance(given, Iterable) and not isinstance(given, str) else None
    good = listed is not None and all(
        isinstance(k, Integral) and not isinstance(k, bool) and int(k) >= 0 for k in listed
    )
    if listed is None or not good or len(set(listed)) < len(listed):
        raise ArgumentError(
            f"{name} is {given!r}", f"the numbers of features, from 0: {name}=(0, 2)"
        )
    return tuple(int(k) for k in listed)


def _within(columns: tuple[int, ...], width: int, name: str) -> tuple[int, ...]:
    if columns and max(columns) >= width:
        raise ShapeError(
            f"{name} names feature {max(columns)}, but the input has {width}",
            f"features count from 0 to {width - 1}",
        )
    return columns


def _sizes(layer: Layer, shape: Shape) -> tuple[int, ...]:
    if not known(shape):
        raise ShapeError(f"{type(layer).__name__} needs features whose number is known")
    return tuple(int(s) for s in shape)  # type: ignore[arg-type]


def _width(layer: Layer, shape: Shape) -> int:
    if len(shape) != 1 or not known(shape):
        raise ShapeError(
            f"{type(layer).__name__} takes rows of features, but its input is "
            f"{show(('n', *shape))}",  # type: ignore[arg-type]
            "put pc.Flatten() before it",
        )
    return int(shape[0])  # type: ignore[arg-type]


def _gaps(columns: Iterable[int], width: int) -> list[tuple[int, int]]:
    """Return what columns leave of a width, as runs: [1, 4] of 6 as (0, 1), (2, 4) and (5, 6)."""
    ends = [-1, *sorted(columns), width]
    return [(a + 1, b) for a, b in pairwise(ends) if a + 1 < b]


def _runs(columns: Iterable[int]) -> list[tuple[int, int]]:
    """Return numbers as runs (first, last + 1): [0, 1, 2, 5] as (0, 3) and (5, 6)."""
    found: list[tuple[int, int]] = []
    for k in columns:
        if found and found[-1][1] == k:
            found[-1] = (found[-1][0], k + 1)
        else:
            found.append((k, k + 1))
    return found
