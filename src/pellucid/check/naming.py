"""Arrays found in what a learner wrote, and which parameter each of them is.

Found     an array, where it lies and how it is called
walk(x)   every array in an object, a dict, a list or a tuple, however deep
matched   which of them are W1, b1, …; several readings, where names do not decide
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from pellucid.graph import Array
from pellucid.nn.network import Slot

DEEPEST = 6


@dataclass(frozen=True, eq=False)
class Found:
    """An array, the container it lies in, its key there, and the keys that lead to it."""

    path: tuple[Any, ...]
    holder: Any
    array: Array

    @property
    def words(self) -> str:
        """Its name, and before it the name of the list or dict that it lies in."""
        return ".".join(str(k) for k in self.path)

    def put(self, value: Any) -> None:
        """Put another array in its place, of the kind that was there."""
        put(self.holder, self.path[-1], value)


def put(holder: Any, key: Any, value: Any) -> None:
    """Store under a key of a dict or list, or as an attribute."""
    if isinstance(holder, (dict, list)):
        holder[key] = value
    else:
        setattr(holder, key, value)


def get(holder: Any, key: Any) -> Any:
    return holder[key] if isinstance(holder, (dict, list, tuple)) else getattr(holder, key, None)


def walk(thing: Any, path: tuple[Any, ...] = (), seen: set[int] | None = None) -> Iterator[Found]:
    """Yield every array below, in the order in which they were made."""
    seen = set() if seen is None else seen
    if len(path) > DEEPEST or id(thing) in seen:
        return
    seen.add(id(thing))
    for key, value in _items(thing):
        if isinstance(value, (Real, np.ndarray)) or _listed(value):
            array = np.asarray(value)
            if array.dtype.kind in "fiu":
                yield Found((*path, key), thing, array)
        else:
            yield from walk(value, (*path, key), seen)


def _listed(value: Any) -> bool:
    """Whether a list is an array: of numbers, or of rows of them."""
    if not isinstance(value, list) or not value:
        return False
    if all(isinstance(x, Real) for x in value):
        return True
    sizes = {len(x) if isinstance(x, list) else -1 for x in value}
    return len(sizes) == 1 and all(_listed(x) for x in value)


def _items(thing: Any) -> Iterable[tuple[Any, Any]]:
    if isinstance(thing, dict):
        return list(thing.items())
    if isinstance(thing, (list, tuple)):
        return list(enumerate(thing))
    if isinstance(thing, np.ndarray) and thing.dtype == object:
        return list(enumerate(thing))
    plain = type(thing).__module__ not in ("builtins", "numpy", "types")
    fields = getattr(thing, "__dict__", None)
    slots = getattr(type(thing), "__slots__", ())
    if not plain or isinstance(thing, type) or callable(getattr(thing, "__wrapped__", None)):
        return []
    names = [slots] if isinstance(slots, str) else slots
    held = {k: getattr(thing, k) for k in names if getattr(thing, k, None) is not None}
    return [*held.items(), *(fields or {}).items()]


# -- names -----------------------------------------------------------------------------------------

GRAD = (
    r"(?:∂l?/?∂?|grads?|gradients?|gradient_?of|dl_?d|dj_?d|dc_?d|de_?d|dloss_?d?|dcost_?d?"
    r"|nabla|partial|delta|d|g)"
)
WEIGHT, BIAS = (
    r"(?:weights?|kernels?|thetas?|ws?|wts?|mat|matrix)",
    r"(?:bias(?:es)?|intercepts?|bs?)",
)
SUFFIX = r"(?:grads?|gradients?|deriv(?:ative)?s?|d|delta|updates?)"
WORDS = (
    r"(?:\d+|in|input|hidden\d*|hid|h|output|out|o|y|x|i|ih|ho|xh|hh|hy|input_?hidden|hidden_?output|"
    r"input_?to_?hidden|hidden_?to_?output|first|second|third|layer\d*|l\d+|fc\d*|dense\d*|[a-z]\d)"
)
NAMED = re.compile(
    rf"_*(?P<grad>{GRAD})?_?(?P<lead>{WORDS})?_?(?P<kind>{WEIGHT}|{BIAS})"
    rf"_?(?P<late>{SUFFIX}(?=_|$|\d))?_?(?P<place>{WORDS})?_?(?P<late2>{SUFFIX})?_*"
)


@dataclass(frozen=True)
class Reading:
    """What a name says: "W" or "b", a gradient or not, and the number in it, if any."""

    kind: str
    gradient: bool
    number: int | None


def read(path: Sequence[Any]) -> Reading | None:
    """Read a name such as ("layers", 0, "dW") or ("W1",); None if it names no parameter."""
    told = [str(k) for k in path if isinstance(k, str)]
    if not told:
        return None
    found = NAMED.fullmatch(told[-1].lower())
    above = " ".join(told[:-1]).lower()
    if found is None:
        return _read_container(path, told)
    kind = "b" if re.fullmatch(BIAS, found["kind"]) else "W"
    gradient = bool(found["grad"] or found["late"] or found["late2"] or re.search(r"grad", above))
    digits = re.search(r"\d+", told[-1]) or (re.search(r"\d+$", told[-2]) if told[1:] else None)
    number = int(digits[0]) if digits else _index(path)
    return Reading(kind, gradient, number)


def _read_container(path: Sequence[Any], told: list[str]) -> Reading | None:
    """Read {"W": {"hidden": …}} and the like, where the kind stands one word further out."""
    return read([k for k in path if k != told[-1]]) if len(told) > 1 else None


def _index(path: Sequence[Any]) -> int | None:
    """Return the place in a list that a name goes with."""
    numbers = [k for k in path if isinstance(k, int)]
    return numbers[0] if len(numbers) == 1 else None


# -- which is which --------------------------------------------------------------------------------


def fits(array: Array, shape: tuple[int, ...]) -> bool:
    """Say whether an array has a parameter's shape, turned perhaps, or with axes of length 1."""
    wanted = [s for s in shape if s != 1]
    have = [s for s in array.shape if s != 1]
    return have in (wanted, wanted[::-1])


def named(
    found: Iterable[Found], slots: Sequence[Slot], gradient: bool, strict: bool = True
) -> dict[str, Found]:
    """Return the arrays that names tell to be parameters (or gradients), by the slot's name.

    `strict` asks for shapes that fit, too.
    """
    result: dict[str, Found] = {}
    told = [(read(f.path), f) for f in found]
    for kind in "Wb":
        own = [(r, f) for r, f in told if r and r.kind == kind and r.gradient == gradient]
        wanted = [s for s in slots if s.name.startswith(kind)]
        result |= _in_order(own, wanted, strict)
    return result


def _in_order(
    own: list[tuple[Reading, Found]], wanted: Sequence[Slot], strict: bool
) -> dict[str, Found]:
    """Pair by number where all have different ones, by order of appearance otherwise."""
    numbers = [r.number for r, _ in own]
    if own and None not in numbers and len(set(numbers)) == len(numbers):
        own = sorted(own, key=lambda pair: pair[0].number or 0)
    arrays = [f for _, f in own]
    if len(arrays) > len(wanted):
        arrays = [f for f in arrays if any(fits(f.array, s.shape) for s in wanted)]
    for order in (arrays, arrays[::-1]):
        if len(order) == len(wanted) and all(
            fits(f.array, s.shape) for f, s in zip(order, wanted, strict=True)
        ):
            return {s.name: f for f, s in zip(order, wanted, strict=True)}
    if strict or len(arrays) != len(wanted):
        return {}
    return {s.name: f for f, s in zip(arrays, wanted, strict=True)}


def by_shape(found: Iterable[Found], slots: Sequence[Slot]) -> dict[str, Found]:
    """Return arrays that have the parameters' shapes, in order, whatever they are called."""
    left = [f for f in found if not _surely_not(f)]
    result: dict[str, Found] = {}
    for slot in slots:
        hit = next((f for f in left if fits(f.array, slot.shape) and f.array.ndim), None)
        if hit is None:
            return {}
        left.remove(hit)
        result[slot.name] = hit
    return result


def _surely_not(found: Found) -> bool:
    name = str(found.path[-1]).lower()
    return bool(re.match(r"(d|grad|g_|v_|m_|vel|mom|cache|x$|y$|z\d*|a\d*$|h$|out)", name))


def positional(arrays: Sequence[Found], slots: Sequence[Slot]) -> Iterator[dict[str, Found]]:
    """Yield every usual order in which a tuple of gradients can be meant."""
    weights = [s for s in slots if s.name.startswith("W")]
    biases = [s for s in slots if not s.name.startswith("W")]
    layerwise = list(slots)
    swapped = sorted(slots, key=lambda s: (s.layer, s.name.startswith("W")))
    upward = sorted(slots, key=lambda s: (-s.layer, not s.name.startswith("W")))
    whole = [
        layerwise,
        [*weights, *biases],
        upward,
        [*weights[::-1], *biases[::-1]],
        swapped,
        swapped[::-1],
        [*biases, *weights],
    ]
    found = list(_ordered(arrays, whole)) or list(_ordered(arrays, [weights, weights[::-1]]))
    yield from found
    if not found and len(arrays) == len(slots):  # shapes that fit none: the first order is meant
        yield {s.name: f for f, s in zip(arrays, layerwise, strict=True)}


def _ordered(
    arrays: Sequence[Found], orders: Iterable[Sequence[Slot]]
) -> Iterator[dict[str, Found]]:
    """Yield the arrays by the slots' names, for every order in which all shapes fit."""
    for order in orders:
        for some in _windows(arrays, len(order)):
            if all(fits(f.array, s.shape) for f, s in zip(some, order, strict=True)):
                yield {s.name: f for f, s in zip(some, order, strict=True)}
                break


def _windows(arrays: Sequence[Found], size: int) -> Iterator[Sequence[Found]]:
    """Yield what is left when a loss or a ∂L/∂X stands before or behind."""
    if len(arrays) >= size:
        yield arrays[:size]
        if len(arrays) > size:
            yield arrays[len(arrays) - size :]
