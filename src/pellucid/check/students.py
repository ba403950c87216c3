"""Students: a learner's function or class, run on parameters and data of ours.

FunctionStudent   f(params, X, y) -> gradients        ObjectStudent   forward, then backward
Run               what one call gave: gradients, loss, output, and what it did besides
Everything handed to a student is a copy, and an object is run as a copy of itself.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from numbers import Real
from types import FrameType
from typing import Any

import numpy as np

from pellucid.check import making
from pellucid.check.calling import Stop, attempt, call, named, parameters, role, same
from pellucid.check.layouts import Layout
from pellucid.check.naming import Found, by_shape, get, read, walk
from pellucid.check.naming import named as by_name
from pellucid.check.reading import LOSS, Got, Run, Task, groups, numbers, once, readings
from pellucid.graph import Array
from pellucid.nn.network import Slot

RATE = 0.1  # given to a student that asks for a learning rate
FORWARD = [
    "forward",
    "feedforward",
    "feed_forward",
    "forward_pass",
    "forward_propagation",
    "forward_prop",
    "forwardpropagation",
    "fprop",
    "propagate",
    "__call__",
    "predict",
]
BACKWARD = [
    "backward",
    "backprop",
    "back_prop",
    "backpropagation",
    "backpropagate",
    "back_propagate",
    "backward_pass",
    "backward_propagation",
    "backward_prop",
    "back_propagation",
    "bprop",
    "compute_gradients",
    "get_gradients",
    "gradients",
    "gradient",
    "grads",
    "grad",
    "calculate_gradients",
    "update",
    "train_step",
    "step",
    "train_on_batch",
    "train",
]
CLEAR = (
    "zero_grad",
    "zero_grads",
    "zero_gradients",
    "reset_gradients",
    "clear_grads",
    "reset_grads",
)


# -- functions -------------------------------------------------------------------------------------


class Names(dict[str, Any]):
    """Parameters under every usual spelling of their names."""

    def __missing__(self, key: str) -> Any:
        told = read((key,))
        for name, value in self.items():
            own = read((name,))
            if told and own and (told.kind, told.number) == (own.kind, own.number):
                return value
        alike = [v for name, v in self.items() if told and _kind(name) == told.kind]
        if told and told.number is None and len(alike) == 1:  # w and b, where there is one layer
            return alike[0]
        raise KeyError(key)


def _kind(name: str) -> str:
    own = read((name,))
    return own.kind if own else ""


CONTAINERS: tuple[Callable[[dict[str, Array]], Any], ...] = (
    Names,
    lambda p: list(p.values()),
    lambda p: [p[k] for k in p if k[0] == "W"] + [p[k] for k in p if k[0] != "W"],
    lambda p: [(p[k], p.get(f"b{k[1:]}")) for k in p if k[0] == "W"],
    lambda p: [{"W": p[k], "b": p.get(f"b{k[1:]}")} for k in p if k[0] == "W"],
)


class FunctionStudent:
    """A function of parameters and data that returns gradients."""

    remembers = False

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function, self.container = function, 0

    @property
    def name(self) -> str:
        return named(self.function)

    def shapes(self, slots: Sequence[Slot]) -> tuple[bool | None, str | None]:
        """Say whether W is turned, and the shape of biases: it shows in neither."""
        return None, None

    def run(self, task: Task, layout: Layout, fresh: bool = True) -> Iterator[Run]:
        """Yield every reading of what a call returned."""
        first: Stop | None = None
        for k in range(self.container, len(CONTAINERS)):
            try:
                yield from self._run(task, layout, CONTAINERS[k])
                self.container = k
                return
            except Stop as stop:
                first = first or stop
                if self.container or not _about_container(stop):
                    break
        assert first is not None
        raise first

    def _run(self, task: Task, layout: Layout, container: Any) -> Iterator[Run]:
        params = layout.hand_out(task.params)
        own = {k: v.copy() for k, v in params.items()}
        given = _given(task, layout, params) | {"params": container(params)}
        kept = {k: np.array(given[k]) for k in ("X", "y")}
        with noticed() as seen:
            result, told = call(self.function, given, ("params", "X", "y", "rate"))
        moved = {k: own[k] - params[k] for k in own if not same(own[k], params[k])}
        rate = next((v for k, v in told.items() if role(k) == "rate"), None)
        got = Got(result, (), moved, tuple(numbers(result)), tuple(seen))
        changed = tuple(k for k in kept if not same(kept[k], given[k]))
        yield from readings(got, task, layout, rate, changed, None)


def _about_container(stop: Stop) -> bool:
    """Say whether parameters in another container could help."""
    return isinstance(stop.error, (KeyError, TypeError, ValueError, AttributeError, IndexError))


def _given(task: Task, layout: Layout, params: Mapping[str, Array]) -> dict[str, Any]:
    up = layout.samples(task.upstream)
    given: dict[str, Any] = {
        "X": layout.samples(task.X), "y": layout.targets(task.y, task.given_y), "rate": RATE,
        "n": len(task.X), "upstream": up, "penalty": task.penalty,
    }  # fmt: skip
    for name, value in params.items():
        for spelled in (name, name.lower(), f"{name[0]}_{name[1:]}", f"w_{name[1:]}"):
            if spelled[0].lower() == name[0].lower():
                given[spelled] = value
    return given


# -- objects ---------------------------------------------------------------------------------------


class ObjectStudent:
    """An object, or a class to make one of, with a forward and a backward pass."""

    remembers = True

    def __init__(self, thing: Any, sizes: Sequence[int], activations: Sequence[str]) -> None:
        self.thing, self.sizes, self.activations = thing, sizes, activations
        self.twin: Any = None

    @property
    def name(self) -> str:
        return str(getattr(self.thing, "__name__", type(self.thing).__name__))

    def _new(self, task: Task | None, layout: Layout) -> Any:
        if not isinstance(self.thing, type):
            return _twin(self.thing)
        data = {} if task is None else _given(task, layout, {})
        return making.made(self.thing, self.sizes, self.activations, data)

    def shapes(self, slots: Sequence[Slot]) -> tuple[bool | None, str | None]:
        """Say whether its W is turned, None where both would do; biases keep their shape."""
        try:
            own = parameters_of(self._new(None, Layout()), slots)
        except Stop:
            return None, "flat"
        turns = {
            own[s.name].array.shape == s.shape[::-1]
            for s in slots
            if len(s.shape) == 2 and s.name in own and s.shape[0] != s.shape[1]
        }
        return (turns.pop() if len(turns) == 1 else None), "flat"

    def run(self, task: Task, layout: Layout, fresh: bool = True) -> Iterator[Run]:
        """Yield every reading of what a forward and a backward pass gave."""
        if fresh or self.twin is None:
            self.twin = self._new(task, layout)
        net = self.twin
        own = parameters_of(net, task.slots)
        for name, found in own.items():
            _set(found, layout.weight(task.params[name]) if name[0] == "W" else task.params[name])
        own = parameters_of(net, task.slots)
        before = {name: found.array.copy() for name, found in own.items()}
        given = _given(task, layout, {})
        kept = {k: np.array(given[k]) for k in ("X", "y")}
        with noticed() as seen:
            output, result, told, losses = _both_passes(net, given)
        after = parameters_of(net, task.slots)
        moved = {
            k: before[k] - after[k].array
            for k in before
            if k in after and not same(before[k], after[k].array)
        }
        rate = next((v for k, v in told.items() if role(k) == "rate"), _rate_of(net))
        stated = (*numbers(result), *losses)
        got = Got(result, tuple(walk(net)), moved, stated, (*seen, *_loss_kept(net)))
        changed = tuple(k for k in kept if not same(kept[k], given[k]))
        yield from readings(got, task, layout, rate, changed, output)


def _twin(thing: Any) -> Any:
    try:
        return copy.deepcopy(thing)
    except Exception as error:
        raise Stop(TypeError(f"a copy of it cannot be made: {error}")) from None


def _both_passes(net: Any, given: dict[str, Any]) -> tuple[Any, Any, dict[str, Any], list[float]]:
    for name in CLEAR:
        if callable(getattr(net, name, None)):
            attempt(getattr(net, name))
    # some know only a loss, which returns the gradients beside it
    forward, backward = _method(net, FORWARD), _method(net, BACKWARD) or _method(net, ("loss",))
    if backward is None:
        raise Stop(TypeError(f"{type(net).__name__} has no method backward, backprop or the like"))
    output = None
    if forward is not None:
        output, _ = call(forward, given, ("X", "y"))
        given |= _outputs(output, np.shape(given["y"]))
    losses = _stated(net, given)
    order = {1: ("y",), 2: ("X", "y")}.get(_asked(backward), ("X", "y", "rate"))
    result, told = call(backward, given, order)
    return given.get("out"), result, told, losses


def _asked(function: Callable[..., Any]) -> int:
    return sum(p.default is p.empty for p in parameters(function))


def _outputs(output: Any, wanted: tuple[int, ...]) -> dict[str, Any]:
    """Return ŷ, and what else a forward pass returned, which backward may ask for."""
    if isinstance(output, tuple) and output:
        rest = output[1] if len(output) == 2 else output[1:]
        if all(isinstance(x, np.ndarray) for x in output) and output[0].shape != wanted:
            alike = [x for x in output if x.shape == wanted]
            return {"out": (alike or output)[-1], "cache": rest}
        return {"out": output[0], "cache": rest}
    return {"out": output, "cache": output}


def _method(net: Any, names: Sequence[str]) -> Callable[..., Any] | None:
    found = (getattr(net, name, None) for name in names)
    return next((f for f in found if callable(f)), None)


def _stated(net: Any, given: dict[str, Any]) -> list[float]:
    """Return the loss by the student's own method for it, if it has one."""
    for name in LOSS:
        method = getattr(net, name, None)
        if not callable(method):
            continue
        try:
            value, _ = call(method, {k: _copied(v) for k, v in given.items()}, ("y", "out"))
        except Stop:
            continue
        found = numbers(value)
        if found:
            return found[:1]
    return []


def _copied(value: Any) -> Any:
    return value.copy() if isinstance(value, np.ndarray) else value


def _loss_kept(net: Any) -> list[float]:
    """Return losses that it left on itself."""
    found = (get(net, name) for name in LOSS)
    return [float(v) for v in found if isinstance(v, Real) and not isinstance(v, bool)]


def _rate_of(net: Any) -> float | None:
    for name, value in (getattr(net, "__dict__", None) or {}).items():
        if role(name) == "rate" and isinstance(value, Real):
            return float(value)
    return None


def parameters_of(net: Any, slots: Sequence[Slot]) -> dict[str, Found]:
    """Return where an object keeps the parameters; raise Stop where it cannot be seen."""
    found = once(walk(net))
    own = by_name(found, slots, gradient=False)
    if len(own) < len(slots):
        for group in groups(found):
            own = max(own, by_name(group, slots, gradient=False), key=len)
    if len(own) < len(slots):
        shaped = by_shape([f for f in found if not _is_gradient(f)], slots)
        own = shaped or own
    missing = [s.name for s in slots if s.name[0] == "W" and s.name not in own]
    if missing:
        shapes = ", ".join(f"{f.words} {f.array.shape}" for f in found) or "no arrays"
        raise Stop(TypeError(f"it has nothing that could be {', '.join(missing)}; it has {shapes}"))
    return own


def _is_gradient(found: Found) -> bool:
    told = read(found.path)
    return told is not None and told.gradient


def _set(found: Found, value: Array) -> None:
    """Put a parameter in its place, in its own shape; in its own array, which others may share."""
    old = get(found.holder, found.path[-1])
    array = value.reshape(found.array.shape) if value.size == found.array.size else value
    if isinstance(old, np.ndarray) and old.dtype.kind == "f" and old.shape == array.shape:
        old[...] = array
    else:
        found.put(array if array.ndim else float(array))


@contextmanager
def noticed() -> Iterator[list[float]]:
    """Note what the student's code calls its loss, in functions that keep it to themselves."""
    found: list[float] = []
    before = sys.getprofile()

    def watch(frame: FrameType, event: str, arg: Any) -> None:
        if event != "return" or frame.f_globals.get("__name__", "").startswith("pellucid."):
            return
        for name in LOSS:
            value = frame.f_locals.get(name)
            if isinstance(value, Real) and not isinstance(value, bool):
                found.append(float(value))

    if before is not None:  # a profiler is at work: it is left alone
        yield found
        return
    sys.setprofile(watch)
    try:
        yield found
    finally:
        sys.setprofile(None)


def is_function(student: Any) -> bool:
    """Say whether it is a function to be called, rather than an object with methods."""
    has = any(callable(getattr(student, name, None)) for name in BACKWARD)
    return callable(student) and not isinstance(student, type) and not has
