"""The settings of a model and of a training run, checked before anything else happens."""

from __future__ import annotations

from collections.abc import Iterable
from numbers import Integral
from pathlib import Path
from types import NoneType
from typing import Any

import numpy as np

from pellucid.callbacks import Callback
from pellucid.errors import ArgumentError, DtypeError, one_of


def as_list(given: Any, name: str, example: str) -> list[Any]:
    """Return a list of what was given, if that is several things."""
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise DtypeError(f"{name} is {given!r}, not a list", f"{name}={example}")
    return list(given)


def as_precision(dtype: Any) -> np.dtype[Any]:
    """Return float32 or float64, however it was spelled."""
    try:
        found: np.dtype[Any] = np.dtype(dtype)
    except TypeError:
        raise one_of("dtype", dtype, ["float32", "float64"]) from None
    if found not in (np.dtype(np.float32), np.dtype(np.float64)):
        raise one_of("dtype", found.name, ["float32", "float64"])
    return found


def as_seed(seed: Any) -> int:
    """Return a whole number, of any size."""
    if isinstance(seed, bool) or not isinstance(seed, Integral):
        raise DtypeError(f"seed is {seed!r}", "a seed is a whole number")
    return int(seed)


def check_whole(value: Any, name: str, least: int) -> None:
    """Refuse what is no whole number, or too small a one."""
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not whole or value < least:
        raise ArgumentError(f"{name} is {value!r}", f"{name} is a whole number of at least {least}")


def check_settings(epochs: Any, batch_size: Any, print_every: Any, backend: Any) -> None:
    """Refuse settings of `fit` that cannot be meant."""
    check_whole(epochs, "epochs", 0)
    if batch_size is not None:
        check_whole(batch_size, "batch_size", 1)
    if print_every is not None:
        check_whole(print_every, "print_every", 1)
    check_choice(backend, "backend", ("auto", "numpy", "numba", "often"))


def check_kept(checkpoint: Any, resume: Any, every: Any) -> None:
    """Refuse settings of a run that is to be kept, where there is none, or that cannot be meant."""
    if checkpoint is None and (resume or every is not None):
        what = "resume" if resume else "checkpoint_every"
        raise ArgumentError(f"{what} needs the folder of a run", 'checkpoint="run/"')
    if not isinstance(checkpoint, (str, Path, NoneType)) or checkpoint == "":
        raise DtypeError(f"checkpoint is {checkpoint!r}", 'a folder: checkpoint="run/"')
    if every is not None:
        check_whole(every, "checkpoint_every", 1)


def check_choice(value: Any, name: str, options: tuple[str, ...]) -> None:
    """Refuse a word that is none of the options."""
    if value not in options:
        raise one_of(name, value, options)


def as_callbacks(given: Any) -> list[Callback]:
    """Return the callbacks, if that is what they are."""
    hooks: list[Callback] = as_list(given, "callbacks", "[pc.Progress()]")
    for callback in hooks:
        if not isinstance(callback, Callback):
            raise DtypeError(
                f"a callback is expected, not {callback!r}", "pc.LambdaCallback(on_epoch_end=…)"
            )
    return hooks
