"""What can be checked, as problems: a model, a node, a function, an object that is a gate."""

from __future__ import annotations

import copy
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pellucid.backward import gradients as gradients_of
from pellucid.check.problem import (
    Place,
    Problem,
    Slopes,
    Traced,
    by_calls,
    claimed,
    on_graph,
    placed,
    simplified_slopes,
)
from pellucid.errors import ArgumentError, DtypeError
from pellucid.graph import Array, Node, moving, order, value
from pellucid.model import Sequential
from pellucid.nn.network import still
from pellucid.parameters import views_of
from pellucid.passes import simplified
from pellucid.protocol import leaves, like, scalar


@dataclass(frozen=True, eq=False)
class Target:
    """A problem, the graph behind it where there is one, and which gradient is checked."""

    problem: Problem
    form: str
    traced: Traced | None = None
    arguments: Mapping[str, Sequence[str]] | None = None  # the parameters in each argument

    def wrt(self, asked: Any) -> Any:
        """Return names of parameters for what was asked: names, or arguments by name or number."""
        if asked is None or self.arguments is None:
            return asked
        several, keys = isinstance(asked, (list, tuple)), list(self.arguments)
        found: list[Any] = []
        for one in asked if several else [asked]:
            number = isinstance(one, int) and not isinstance(one, bool)
            if number and not -len(keys) <= one < len(keys):
                raise ArgumentError(f"wrt is {one}, for {len(keys)} arguments", "count from 0")
            key = keys[one] if number else one
            found += self.arguments.get(key, [key])
        return found


# -- models --------------------------------------------------------------------------------------


def of_model(model: Sequential, X: Any, y: Any, given: Any) -> Target:
    """Return the loss of a model, in float64, with penalties and without dropout."""
    twin = model.copy()  # data are read in its precision, and build it where it has not seen any
    twin.dtype = np.dtype(np.float64)
    batch = twin._batch(X, y)
    blueprint = twin._blueprint()
    plain = blueprint.with_gradients(blueprint.traced(still, False))
    learned = views_of(twin._built, twin._numbers.params)
    flat, places, views = placed({name: np.asarray(p) for name, p in learned.items()})
    wrt = [plain.outputs[p.name] for p in places]
    feed = {blueprint.X: batch.X, blueprint.Y: batch.Y, blueprint.fixed: twin._numbers.fixed}
    traced = Traced(
        plain.outputs["loss"], wrt, [blueprint.flat], [flat], feed, {"n": len(batch)}
    )  # fmt: skip
    problem = on_graph(flat, places, traced)
    trained = simplified(plain)
    problem.trained = simplified_slopes([trained.outputs[f"d_{p.name}"] for p in places], traced)
    form = "the gradient of the loss, penalties included, without dropout"
    if given is None:
        return Target(problem, form, traced)
    named = dict(zip([p.name for p in places], views, strict=True))
    call = (lambda: given(_copied(named), batch.X, batch.Y)) if callable(given) else None
    problem.trained = None
    return Target(_claiming(problem, call, given, places), GIVEN, traced)


GIVEN = "the gradient that was given"


def _copied(arrays: Mapping[str, Array]) -> dict[str, Array]:
    return {name: array.copy() for name, array in arrays.items()}


def _claiming(
    problem: Problem, call: Callable[[], Any] | None, given: Any, places: Sequence[Place]
) -> Problem:
    """Return the problem with a gradient of the caller's: values, or a function that finds them."""
    if call is None:
        fixed = _by_place(given, places)
        slopes: Slopes = lambda: fixed  # noqa: E731
    else:
        found = call
        slopes = lambda: _by_place(found(), places)  # noqa: E731
    return replace(problem, slopes=slopes, anew=call is not None, own=problem.slopes)


def _by_place(given: Any, places: Sequence[Place]) -> Array:
    """Return gradients by name, or in the order of the parameters, side by side."""
    if not isinstance(given, Mapping) or not any(p.name in str(k) for k in given for p in places):
        parts = leaves(list(given) if isinstance(given, tuple) else given)
        if len(parts) != len(places):
            raise ArgumentError(
                f"{len(parts)} gradients are given for {len(places)} parameters",
                f"one for each of {', '.join(p.name for p in places)}",
            )
        given = {p.name: part for p, part in zip(places, parts, strict=True)}
    return claimed(given, places)


# -- nodes and functions -------------------------------------------------------------------------


def of_node(node: Node) -> Target:
    """Return a node as a function of its leaves."""
    found = [x for x in order([node]) if x.op is None and x.name and x.dtype.kind == "f"]
    if any(x.symbolic for x in found):
        raise ArgumentError(f"{node!r} has leaves without data", "make them with pc.value(…)")
    if not found:
        raise DtypeError(f"{node!r} has no leaf that can move", "pc.value(2.0, 'x')")
    names = _distinct([x.name for x in found])
    flat, places, views = placed({n: x.value for n, x in zip(names, found, strict=True)})
    traced = Traced(scalar(node, "what is differentiated"), found, found, views)
    return Target(on_graph(flat, places, traced), "pc.grad of the node", traced)


def of_function(function: Callable[..., Any], args: Sequence[Any], given: Any) -> Target:
    """Return a function of its arguments: all real numbers in them move."""
    call = _Call(function, args)
    traced = call.traced() if given is None else call.traced_if_it_can_be()
    if traced is None:
        problem = by_calls(call.flat, call.places, call.on_arrays, lambda: np.zeros(0))
    else:
        problem = on_graph(call.flat, call.places, traced)
        _check_repeatable(call)
        if not _follows(problem, call):
            problem = by_calls(call.flat, call.places, call.on_nodes, call.slopes)
    if given is None:
        return Target(problem, "pc.grad of the function", traced, call.arguments)
    found = (lambda: given(*call.arrays())) if callable(given) else None
    problem = _claiming(problem, found, given, call.places)
    return Target(problem, GIVEN, traced, call.arguments)


class _Call:
    """One call of a function, to be repeated with its real numbers moved."""

    def __init__(self, function: Callable[..., Any], args: Sequence[Any]) -> None:
        self.function, self.args = function, [_without_nodes(a) for a in args]
        heads = _argument_names(function, len(args))
        rows = [(head, path, leaf) for head, arg in zip(heads, self.args, strict=True)
                for path, leaf in _paths(arg)]  # fmt: skip
        real = [_is_real(leaf) for _, _, leaf in rows]
        if not any(real):  # as pc.grad has it: a whole number is as good as a real one
            real = [isinstance(x, int) and not isinstance(x, bool) for _, _, x in rows]
        if not any(real):
            raise DtypeError(
                f"no argument of {_called(function)} holds real numbers, which can move",
                "give floats: np.array([1.0, 2.0]), or array.astype(float)",
            )
        self.real = real
        chosen = [row for row, moves in zip(rows, real, strict=True) if moves]
        names = _names([(head, path) for head, path, _ in chosen])
        arrays = {n: np.asarray(x, float) for n, (_, _, x) in zip(names, chosen, strict=True)}
        self.flat, self.places, self.views = placed(arrays)
        self.arguments: dict[str, list[str]] = {head: [] for head in heads}
        for name, (head, _, _) in zip(names, chosen, strict=True):
            self.arguments[head].append(name)

    def _with(self, moved: Sequence[Any]) -> list[Any]:
        """Return the arguments with other things in place of the numbers that move."""
        fresh = iter(moved)
        flat = [next(fresh) if moves else leaf
                for leaf, moves in zip(leaves(self.args), self.real, strict=True)]  # fmt: skip
        return like(self.args, flat)  # type: ignore[no-any-return]

    def arrays(self) -> list[Any]:
        """Return the arguments as they are now, as the caller's own arrays."""
        return self._with([v.copy() if v.ndim else float(v) for v in self.views])

    def on_arrays(self) -> Any:
        return self.function(*self.arrays())

    def _nodes(self) -> tuple[list[Node], Node]:
        inputs = [moving(value(v, "x")) for v in self.views]
        return inputs, scalar(self.function(*self._with(inputs)), "the function's result")

    def on_nodes(self) -> Array:
        return self._nodes()[1].value

    def slopes(self) -> Array:
        inputs, loss = self._nodes()
        return np.concatenate([np.ravel(g.value) for g in gradients_of(loss, inputs)])

    def traced(self) -> Traced:
        inputs, loss = self._nodes()
        return Traced(loss, inputs, inputs, self.views)

    def traced_if_it_can_be(self) -> Traced | None:
        """Return the graph, or None for a function that takes arrays only."""
        try:
            return self.traced()
        except Exception:  # whatever a caller's own code says to a node
            return None


def _without_nodes(arg: Any) -> Any:
    return like(arg, [x.value if isinstance(x, Node) else x for x in leaves(arg)])


def _is_real(leaf: Any) -> bool:
    return isinstance(leaf, (float, np.ndarray, np.generic)) and np.asarray(leaf).dtype.kind == "f"


def _called(function: Any) -> str:
    return str(getattr(function, "__name__", None) or type(function).__name__)


def _argument_names(function: Callable[..., Any], count: int) -> list[str]:
    """Return a name for each argument: the function's own, where it says."""
    try:
        known = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        known = []
    plain = [p.name for p in known if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return [plain[k] if k < len(plain) else f"x{k + 1}" for k in range(count)]


def _paths(tree: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Yield (path, leaf) for everything in nested containers, in the order of `leaves`."""
    parts: Any = None
    if isinstance(tree, Mapping):
        parts = tree.items()
    elif isinstance(tree, (tuple, list)):
        parts = enumerate(tree)
    if parts is None:
        yield path, tree
    else:
        for key, part in parts:
            yield from _paths(part, (*path, key))


def _names(rows: Sequence[tuple[str, tuple[Any, ...]]]) -> list[str]:
    """Return a name for each place: a key of a dict of parameters is one, if it is the only one."""
    keys = [path[0] for _, path in rows if len(path) == 1 and isinstance(path[0], str)]
    heads = {head for head, _ in rows}
    found = []
    for head, path in rows:
        alone = len(path) == 1 and keys.count(path[0]) == 1 and path[0] not in heads
        found.append(path[0] if alone else head + "".join(map(_step, path)))
    return _distinct(found)


def _step(key: Any) -> str:
    return f".{key}" if isinstance(key, str) else f"[{key}]"


def _distinct(names: Sequence[str]) -> list[str]:
    found: list[str] = []
    for name in names:
        count = sum(name == other.partition("#")[0] for other in found)
        found.append(f"{name}#{count + 1}" if count else name)
    return found


def _check_repeatable(call: _Call) -> None:
    one, other = call.on_nodes(), call.on_nodes()
    if not np.array_equal(one, other, equal_nan=True):
        raise ArgumentError(
            f"{_called(call.function)} gives {float(one):.9g} and then {float(other):.9g} for the "
            "same arguments",
            "fix its random numbers: draw them outside of it",
        )


def _follows(problem: Problem, call: _Call) -> bool:
    """Whether the graph gives what the function does elsewhere, too.

    It does not where Python decided which way to go: then the function is called each time.
    """
    if problem.notes:
        return True
    start, rng = call.flat.copy(), np.random.default_rng(0)
    alike = True
    for size in (1e-3, 0.1, 0.1):
        call.flat[:] = start + size * rng.standard_normal(start.size)
        with np.errstate(all="ignore"):
            alike = alike and bool(np.allclose(
                problem.read()[0], call.on_nodes(), rtol=1e-9, atol=1e-300, equal_nan=True
            ))  # fmt: skip
    call.flat[:] = start
    return alike


# -- gates ---------------------------------------------------------------------------------------


def is_gate(target: Any) -> bool:
    """Whether an object has a forward and a backward pass of its own."""
    return all(callable(getattr(target, name, None)) for name in ("forward", "backward"))


def of_gate(gate: Any, inputs: Sequence[Any], seed: int) -> Target:
    """Return the number Σ c · forward(inputs), c random, whose gradient is backward(c)."""
    own = _twin(gate)
    names = _argument_names(own.forward, len(inputs))
    flat, places, views = placed(dict(zip(names, map(_number, inputs), strict=True)))

    def arrays() -> list[Any]:
        return [v.copy() if v.ndim else float(v) for v in views]

    shape = np.shape(own.forward(*arrays()))
    c = np.random.default_rng(seed).uniform(0.5, 1.5, shape)
    upstream: Any = c if shape else float(c)

    def call() -> Any:
        return np.sum(c * np.asarray(own.forward(*arrays()), float))

    def slopes() -> Array:
        own.forward(*arrays())
        found = own.backward(upstream)
        return _by_place(found if isinstance(found, (tuple, Mapping)) else [found], places)

    return Target(
        by_calls(flat, places, call, slopes),
        f"{type(gate).__name__}.backward(g), each g between 0.5 and 1.5",
    )


def _twin(gate: Any) -> Any:
    """Return a copy that may be run; the object itself where it cannot be copied."""
    try:
        return copy.deepcopy(gate)
    except Exception:  # whatever a caller's own class says to being copied
        return gate


def _number(x: Any) -> Array:
    array = np.asarray(x.value if isinstance(x, Node) else x)
    if array.dtype.kind not in "biuf":
        raise DtypeError(f"an input of the gate holds {array.dtype}", "give real numbers")
    return array.astype(float)
