"""A model's arrays as a state_dict of PyTorch's, and back: all of them, or none."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from pellucid import intake
from pellucid.errors import ArgumentError, DtypeError, ShapeError
from pellucid.graph import Array
from pellucid.interop.library import library
from pellucid.interop.parts import COUNTS, Link, Module
from pellucid.run import load

SHOWN = 5  # names that an error lists


def tensors(module: Module, arrays: Mapping[str, Array], steps: int = 0) -> dict[str, Any]:
    """Return copies of the arrays as tensors, by PyTorch's names; `steps` were taken so far."""
    torch, links = library(), module.links
    found = {key: torch.from_numpy(_turned(link, arrays[link.name])) for key, link in links.items()}
    return found | {key: torch.tensor(steps) for key in module.counts}


def made(module: Module, arrays: Mapping[str, Array], steps: int = 0) -> Any:
    """Run the source of a module and set its arrays; PyTorch's random numbers stay untouched."""
    torch = library()
    with torch.random.fork_rng(devices=[]):  # a module of PyTorch's draws first weights
        found = load(module.source, "network")()
    found.load_state_dict(tensors(module, arrays, steps))
    return found


def _turned(link: Link, array: Array) -> Array:
    return np.array(array.T if link.turned else array, order="C")


def arrays(links: Mapping[str, Link], given: Any, wanted: Mapping[str, Array]) -> dict[str, Array]:
    """Return the arrays of a state_dict by the model's names, checked against those wanted.

    Raises: DtypeError for what is no state_dict; ArgumentError for names that differ, or one array
    of the model's with two values; ShapeError for shapes that differ, all of them told.
    """
    if not isinstance(given, Mapping):
        raise DtypeError(f"state_dict is a {type(given).__name__}", "give module.state_dict()")
    _check_names(links, [key for key in given if str(key).split(".")[-1] != COUNTS])
    found = {key: _array(key, given[key], wanted[link.name]) for key, link in links.items()}
    _check_shapes(links, found, wanted)
    out: dict[str, Array] = {}
    for key, link in links.items():
        array = _turned(link, found[key])
        if link.name in out and not np.array_equal(out[link.name], array, equal_nan=True):
            raise ArgumentError(
                f"{key} differs from another tensor that is the same array here, {link.name}",
                "shared layers have one set of weights",
            )
        out[link.name] = array
    return out


def _array(key: str, tensor: Any, wanted: Array) -> Array:
    """Return a tensor, or an array, in the model's precision."""
    torch = library()
    if isinstance(tensor, torch.Tensor):
        tensor = tensor.detach().cpu()
        # NumPy has no bfloat16
        tensor = (tensor.double() if tensor.is_floating_point() else tensor).numpy()
    return intake.numbers(tensor, key, wanted.dtype)


def _check_names(links: Mapping[str, Link], given: list[Any]) -> None:
    missing = [key for key in links if key not in given]
    extra = [str(key) for key in given if key not in links]
    if missing or extra:
        told = [f"lacks {_few(missing)}"] * bool(missing) + [f"has {_few(extra)}"] * bool(extra)
        hint = f"the model has {_few(list(links)) or 'no arrays'}"
        if len(given) == len(links):
            hint += "; in the same order: dict(zip(to_state_dict(model), state_dict.values()))"
        raise ArgumentError(f"the state_dict {' and '.join(told)}", hint)


def _few(names: list[str]) -> str:
    more = f", … ({len(names)} in all)" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _check_shapes(
    links: Mapping[str, Link], found: Mapping[str, Array], wanted: Mapping[str, Array]
) -> None:
    told = list(_differences(links, found, wanted))
    if told:
        more = [f"… and {len(told) - SHOWN} more"] if len(told) > SHOWN else []
        hint = "the layers decide the shapes; PyTorch's weights are (units, inputs)"
        raise ShapeError("; ".join([*told[:SHOWN], *more]), hint)


def _differences(
    links: Mapping[str, Link], found: Mapping[str, Array], wanted: Mapping[str, Array]
) -> Iterator[str]:
    for key, link in links.items():
        own = wanted[link.name].shape
        shape = own[::-1] if link.turned else own
        if found[key].shape != shape:
            yield f"{key} is {found[key].shape}, the model's {link.name} takes {shape}"
