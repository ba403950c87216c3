"""A layer by a plain function of layers: whatever a stack cannot say."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from pellucid import ops
from pellucid.dims import Shape, product, show
from pellucid.errors import ArgumentError, DtypeError, ShapeError
from pellucid.graph import Node, lift
from pellucid.nn.layer import Call, Composite

Function = Callable[..., Any]
Shapes = tuple[tuple[str, tuple[int, ...]], ...]  # of one sample, by name


@dataclass(frozen=True)
class Formula(Composite):
    """A layer whose formula is a function of layers: function(call, x), where call(layer, x) is
    the output of a layer for the input x.

        pc.Formula(lambda call, x: x + call(pc.Dense(8, "tanh"), x))

    Every call is a layer of its own, with its own parameters, in the order of the calls;
    `pc.Shared` is for parameters that several calls have in common. Between the calls stands any
    formula in ops, `a * b` or `np.exp(a)`. Args: `function`; `inputs`, names and shapes of several
    inputs that come packed in one row, as `pc.Model` has them. Raises: ShapeError where the
    function returns something else than values for every sample.

    >>> from pellucid.nn.layer import Dense
    >>> def gated(call, x):
    ...     return call(Dense(4), x) * call(Dense(4, "sigmoid"), x)
    >>> Formula(gated)
    Formula(gated)
    """

    function: Function
    inputs: Shapes = ()
    letter: ClassVar[str] = "out"

    def __post_init__(self) -> None:
        if not callable(self.function) or isinstance(self.function, type):
            raise DtypeError(f"{self.function!r} is no function", "def net(call, x): …")

    def compose(self, x: Any, call: Call) -> Node:
        """What the function returns; several outputs, packed in one row for each sample."""
        found = self.outputs(x, call)
        return found if isinstance(found, Node) else packed(list(found.values()))

    def outputs(self, x: Any, call: Call) -> Node | dict[str, Node]:
        """Return what the function returns: one value, or several by name."""
        found = self.function(call, *self._unpacked(x))
        if isinstance(found, (tuple, list)):
            found = {f"output{k + 1}": node for k, node in enumerate(found)}
        if not isinstance(found, Mapping):
            return self._checked(found, "")
        if not found:
            raise ArgumentError(f"{self._name} returned no output", "return one value, or several")
        for name in found:
            if not isinstance(name, str) or not name.isidentifier():
                raise ArgumentError(f"an output is called {name!r}", "a word: {'price': …}")
        return {name: self._checked(node, f" for {name!r}") for name, node in found.items()}

    def _unpacked(self, x: Any) -> list[Any]:
        """Return the inputs as views of the row that they come in."""
        if not self.inputs:
            return list(x) if isinstance(x, (tuple, list)) else [x]
        found, start = [], 0
        for name, shape in self.inputs:
            stop = start + int(product(shape))  # type: ignore[arg-type]
            view = ops.reshape(x[:, start:stop], (x.shape[0], *shape))
            found.append(ops.named(view, name))
            start = stop
        return found

    def _checked(self, node: Any, which: str) -> Node:
        if not isinstance(node, Node):
            raise ShapeError(
                f"{self._name} returned {type(node).__name__}{which}, not values of layers",
                "return what call(layer, x) gives, or a formula of it",
            )
        if not node.shape or isinstance(node.shape[0], int):
            raise ShapeError(
                f"{self._name} returned {show(node.shape)}{which} for n samples",
                "its first axis must stay the batch",
            )
        return node

    @property
    def _name(self) -> str:
        return getattr(self.function, "__name__", type(self.function).__name__)

    def __repr__(self) -> str:
        """Show the function's name."""
        given = dict(self.inputs)
        return f"Formula({self._name}{f', {given}' if given else ''})"


def packed(nodes: list[Node]) -> Node:
    """Return several values as one row for each sample: (n, a, b), (n, c) -> (n, a·b + c)."""
    rows = [ops.reshape(lift(x), (x.shape[0], product(x.shape[1:]))) for x in nodes]
    return rows[0] if len(rows) == 1 else ops.concatenate(rows, 1)  # type: ignore[no-any-return]


def parameters_of(function: Function) -> list[str]:
    """Return the names of the inputs that a function takes after `call`.

    Raises: ArgumentError for a function that takes none, or any number.
    """
    try:
        known = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        known = []
    plain = [p for p in known if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    names = [p.name for p in plain if p.default is p.empty][1:]
    if not names or any(p.kind is p.VAR_POSITIONAL for p in known):
        name = getattr(function, "__name__", repr(function))
        raise ArgumentError(
            f"{name} takes no inputs by name", "def net(call, x): …, or def net(call, image, text)"
        )
    return names


def sizes(shape: Shape) -> int:
    """Return how many values one sample has."""
    return int(product(shape))  # type: ignore[arg-type]
