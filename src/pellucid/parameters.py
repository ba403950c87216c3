"""A model's parameters by name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, MutableMapping
from typing import Any

from pellucid import intake
from pellucid.errors import ArgumentError, ShapeError, one_of
from pellucid.graph import Array
from pellucid.nn.network import Network, Slot


class Parameters(MutableMapping[str, Array]):
    """The parameters by name, each a writable view of one flat array; assigning copies in."""

    def __init__(self, views: Mapping[str, Array]) -> None:
        self._views = dict(views)

    def __getitem__(self, name: str) -> Array:
        if name not in self._views:
            raise one_of("parameter", name, self._views)
        return self._views[name]

    def __setitem__(self, name: str, value: Any) -> None:
        view = self[name]
        array = intake.numbers(value, name, view.dtype)
        if array.shape != view.shape:
            hint = (
                f"did you mean {name}.T?"
                if array.shape == view.shape[::-1]
                else "the layers decide the shapes"
            )
            raise ShapeError(f"{name} is {view.shape}, the array given is {array.shape}", hint)
        view[...] = array

    def get(self, name: str, default: Any = None) -> Any:
        """Return the parameter of this name, or the default."""
        return self._views.get(name, default)

    def __delitem__(self, name: str) -> None:
        raise ArgumentError(f"{name} cannot be taken out of the model", "change the layers instead")

    def __contains__(self, name: object) -> bool:
        return name in self._views

    def __iter__(self) -> Iterator[str]:
        return iter(self._views)

    def __len__(self) -> int:
        return len(self._views)

    def __repr__(self) -> str:
        inside = ", ".join(f"{k}: {v.shape}" for k, v in self.items())
        return f"<Parameters {inside}>"


def views_of(net: Network, flat: Array) -> Parameters:
    """Return every learned parameter of a network as a view of its flat array."""
    return _views(net.slots, {"learned": flat})


def state_views(net: Network, flat: Array) -> Mapping[str, Array]:
    """Return an optimizer's state by parameter; a single number is that of every one of them."""
    if flat.size == net.size:
        return views_of(net, flat)
    return {s.name: flat for s in net.slots}


def all_parameters(net: Network, flat: Array, fixed: Array) -> Parameters:
    """Return every parameter, learned or frozen, as a view of its flat array."""
    return _views(net.parameters, {"learned": flat, "frozen": fixed})


def layer_state(net: Network, fixed: Array) -> Parameters:
    """Return what the layers keep without learning it, such as running means."""
    return _views([s for s in net.fixed if s.kind == "state"], {"state": fixed})


def _views(slots: Iterable[Slot], flats: Mapping[str, Array]) -> Parameters:
    parts = ((s, flats[s.kind]) for s in slots)
    return Parameters({s.name: flat[s.start : s.stop].reshape(s.shape) for s, flat in parts})
