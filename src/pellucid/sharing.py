"""Models of equal settings have equal programs: what was traced for one serves the next.

A search fits one network hundreds of times, and to trace and print it takes longer than a small
training. Kept are graphs, texts and machine code, never a model's numbers.

shared     what was made for the same settings before       Programs   those of one blueprint
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

import numpy as np

from pellucid.losses import NAMES, Loss
from pellucid.train import Blueprint

T = TypeVar("T")
KEPT = 64  # settings whose programs are remembered, the last used ones
PLAIN = (type(None), bool, int, float, str)

_lock = threading.RLock()
_made: OrderedDict[str, Any] = OrderedDict()


def shared(settings: Any, make: Callable[[], T]) -> T:
    """Return what `make` gave for the same settings before, or gives now.

    Settings are the same where they are of the same classes of this library, down to plain values.
    A function or a class of one's own may mean something else the next time: it is made anew.
    """
    try:
        text = _text(settings)
    except TypeError:
        return make()
    with _lock:
        if text not in _made:
            _made[text] = make()
        _made.move_to_end(text)
        while len(_made) > KEPT:
            _made.popitem(last=False)
        found: T = _made[text]
        return found


def _text(value: Any) -> str:
    """Return settings as text, of which equal ones have the same. Raises: TypeError for others."""
    kind = type(value)
    if kind in PLAIN:
        return f"{kind.__name__} {value!r}"
    if kind in (tuple, list):
        return f"({', '.join(map(_text, value))})"
    if isinstance(value, np.dtype):
        return value.name
    if isinstance(value, Loss) and NAMES.get(value.name) is value:
        return value.name
    if is_dataclass(value) and kind.__module__.startswith(("pellucid.nn.", "pellucid.optim.")):
        return f"{kind.__name__}({', '.join(_text(getattr(value, f.name)) for f in fields(value))})"
    raise TypeError(f"{kind.__name__} may be equal and mean something else")


class Programs:
    """The programs of one blueprint, each made once, whichever model asks for it first.

    One thread makes them at a time, on a blueprint of their own: its leaves are told apart by
    identity, so no two may come of one race.
    """

    def __init__(self, plan: Blueprint) -> None:
        self.plan, self.lock = replace(plan), threading.RLock()
        self.made: dict[Hashable, Any] = {}
        self.spent = 0.0  # seconds of training with NumPy, where more of the same is to come

    def __contains__(self, key: Hashable) -> bool:
        return key in self.made

    def get(self, key: Hashable, make: Callable[[Blueprint], T]) -> T:
        """Return what was made under this key, or make it."""
        with self.lock:
            if key not in self.made:
                self.made[key] = make(self.plan)
            found: T = self.made[key]
            return found


def programs(plan: Blueprint) -> Programs:
    """Return the programs of this blueprint, or of an equal one."""
    net = plan.net
    layers = tuple(p.layer for p in net.placed)
    kinds = tuple((s.name, s.kind) for s in net.fixed)
    settings = (layers, net.input_shape, kinds, plan.loss, plan.optimizer, plan.metrics)
    return shared(("programs", *settings, plan.dtype), lambda: Programs(plan))
