"""Weights alone, read from a file into a model that is there: all of them, or some."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from pellucid.checkpoint import KEPT, STATE
from pellucid.errors import ArgumentError, DataError, DtypeError, ShapeError, one_of
from pellucid.graph import Array
from pellucid.safetensors import Listing, listing, write


@dataclass(frozen=True)
class Loaded:
    """What became of the arrays of a file: which were loaded, and which were not, and why.

    `loaded` and `missing` are names of the model's arrays, `unused` of the file's; `misfits` are
    pairs of shapes, the model's and the file's, by the model's name.
    """

    loaded: tuple[str, ...]
    missing: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    misfits: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)

    def __repr__(self) -> str:
        """Say it in a line or a few."""
        lines = [f"loaded {_listed(self.loaded)}"]
        lines += [f"not in the file: {_listed(self.missing)}"] if self.missing else []
        lines += [f"not used: {_listed(self.unused)}"] if self.unused else []
        lines += [f"{name} is {own}, the file's {its}" for name, (own, its) in self.misfits.items()]
        return "\n".join(lines)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:20]) or "nothing"
    return f"{shown} and {len(names) - 20} more" if len(names) > 20 else shown


def save_weights(model: Any, path: str | Path) -> Path:
    """Write the arrays of a model but those of its optimizer; `model.save_weights` is this."""
    path = Path(path)
    write(path, {**model.params, **model.buffers}, {})
    return path


def load_weights(
    model: Any,
    path: str | Path,
    only: str | Iterable[str] | None = None,
    strict: bool = True,
    names: Mapping[str, str] | None = None,
) -> Loaded:
    """Read arrays of a file into a model, by name; `model.load_weights` is this."""
    found, own = listing(Path(path)), {**model.params, **model.buffers}
    wanted, theirs = _chosen(own, only), _renamed(names, own, found)
    told = _compared(found, wanted, theirs)
    if strict:
        _check(found, told, partial=only is not None)
    before = model._numbers.copy()
    try:
        found.fill({name: own[name] for name in told.loaded}, theirs)
    except (OSError, DataError):
        model._numbers.restore(before)
        raise
    return told


def _chosen(own: Mapping[str, Array], only: Any) -> dict[str, Array]:
    """Return the arrays that are asked for, by patterns such as W1 and b*."""
    if only is None:
        return dict(own)
    patterns = [only] if isinstance(only, str) else list(only)
    for pattern in patterns:
        if not isinstance(pattern, str):
            raise DtypeError(f"a name is expected, not {pattern!r}", 'only=["W1", "b*"]')
        if not any(fnmatchcase(name, pattern) for name in own):
            raise one_of("parameter", pattern, own)
    return {k: v for k, v in own.items() if any(fnmatchcase(k, p) for p in patterns)}


def _renamed(names: Any, own: Mapping[str, Array], found: Listing) -> dict[str, str]:
    """Return what the file calls the model's arrays."""
    for ours, theirs in (names or {}).items():
        if ours not in own:
            raise one_of("parameter", ours, own)
        if theirs not in found.entries:
            raise one_of("array of the file", theirs, found.entries)
    return {name: (names or {}).get(name, name) for name in own}


def _compared(found: Listing, wanted: Mapping[str, Array], theirs: Mapping[str, str]) -> Loaded:
    have = found.entries
    there = {name: have[theirs[name]].shape for name in wanted if theirs[name] in have}
    fits = [name for name, shape in there.items() if shape == wanted[name].shape]
    misfits = {n: (wanted[n].shape, shape) for n, shape in there.items() if n not in fits}
    read = {theirs[name] for name in there}
    unused = [n for n in have if n not in read and not n.startswith((STATE, KEPT))]
    missing = [name for name in wanted if name not in there]
    return Loaded(tuple(fits), tuple(missing), tuple(unused), misfits)


def _check(found: Listing, told: Loaded, partial: bool) -> None:
    """Refuse a file that is not the model's, where only such a one will do."""
    name, hint = found.path.name, "strict=False loads what fits, and says what does not"
    for own, (shape, its) in told.misfits.items():
        turned = f"{own} turned around: did the file's library keep it (outputs, inputs)?"
        raise ShapeError(
            f"{own} is {shape}, and in {name} {its}", turned if its == shape[::-1] else hint
        )
    if told.missing:
        raise DataError(f"{name} lacks {_listed(told.missing)}", hint)
    if told.unused and not partial:
        raise DataError(f"{name} has {_listed(told.unused)}, which the model has not", hint)
    if not told.loaded:
        raise ArgumentError(f"nothing is loaded from {name}", hint)
