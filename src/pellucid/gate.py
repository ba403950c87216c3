"""Gates as objects: one op with its forward pass, its backward pass and its local gradients."""

from __future__ import annotations

from typing import Any

import numpy as np

from pellucid import ops
from pellucid.errors import ArgumentError, ShapeError, one_of
from pellucid.grad import backward
from pellucid.graph import FUNCTIONS, Node, lift, value


class Gate:
    """One operation of a computational graph, run by hand.

        forward(*inputs) = f(inputs),   backward(g) = g · ∂f/∂input, one for each input

    Args: `name`, of any function of this library: "add", "multiply", "power", "exp", "sigmoid",
    "relu", …; `settings` of it. `local` holds the local gradients of the last forward pass.

    >>> gate = Gate("multiply")
    >>> gate.forward(3.0, -4.0)
    np.float64(-12.0)
    >>> gate.backward(2.0)
    (np.float64(-8.0), np.float64(6.0))
    >>> gate.local
    (np.float64(-4.0), np.float64(3.0))
    """

    def __init__(self, name: str, **settings: Any) -> None:
        function = FUNCTIONS.get(name)
        if function is None or name.startswith("__"):
            raise one_of("gate", name, [n for n in FUNCTIONS if not n.startswith("__")])
        self.name, self.function, self.settings = name, function, settings
        self.inputs: list[Node] = []
        self.output: Node | None = None

    def forward(self, *inputs: Any) -> Any:
        """Return the gate's value, and remember its inputs for `backward`."""
        leaves = [value(np.asarray(x, dtype=float), f"x{k + 1}") for k, x in enumerate(inputs)]
        try:
            output = self.function(*leaves, **self.settings)
        except TypeError as error:
            raise ArgumentError(f"the gate {self.name!r} got {len(inputs)} inputs: {error}") from None
        self.inputs, self.output = leaves, output
        return ops.core.writable(output)

    def backward(self, g: Any = 1.0) -> tuple[Any, ...]:
        """Return the upstream gradient times each local gradient, summed where an input was copied."""
        if self.output is None:
            raise ArgumentError("backward before forward", "call gate.forward(*inputs) first")
        seed = lift(np.asarray(g, dtype=float))
        if seed.shape not in ((), self.output.shape):
            raise ShapeError(f"the gradient is {seed.shape}, the gate's value {self.output.shape}")
        seed = ops.broadcast_to(seed, self.output.shape)
        bar = backward({self.output: seed}, self.inputs)
        found = [bar[x] if x in bar else ops.zeros_like(x) for x in self.inputs]
        return tuple(ops.core.writable(node) for node in found)

    @property
    def local(self) -> tuple[Any, ...]:
        """The local gradients at the last inputs: how much the value moves for each of them."""
        return self.backward(1.0)

    def __repr__(self) -> str:
        return f"Gate({self.name!r})"

