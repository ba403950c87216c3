"""Gates as objects: one op with its forward pass, its backward pass and its local gradients."""

from __future__ import annotations

from typing import Any

from pellucid import ops
from pellucid.backward import backward
from pellucid.errors import ArgumentError, PellucidError, ShapeError, one_of
from pellucid.graph import FUNCTIONS, Node, lift, value
from pellucid.intake import numbers


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
        if name not in ops.__all__ or name not in FUNCTIONS:
            raise one_of("gate", name, FUNCTIONS.keys() & set(ops.__all__))
        self.name, self.function, self.settings = name, FUNCTIONS[name], settings
        self.inputs: list[Node] = []
        self.output: Node | None = None

    def forward(self, *inputs: Any) -> Any:
        """Return the gate's value, and remember its inputs for `backward`."""
        leaves = [
            value(numbers(x, f"input {k + 1}", float), f"x{k + 1}") for k, x in enumerate(inputs)
        ]
        try:
            output = self.function(*leaves, **self.settings)
            found = ops.core.writable(output) if isinstance(output, Node) else None
        except PellucidError:
            raise
        except Exception as error:
            raise ArgumentError(
                f"the gate {self.name!r} cannot take {_shapes(leaves)}: {error}"
            ) from None
        if not isinstance(output, Node):
            raise ArgumentError(
                f"the gate {self.name!r} has several outputs", f"call pc.{self.name} itself"
            )
        self.inputs, self.output = leaves, output
        return found

    def backward(self, g: Any = 1.0) -> tuple[Any, ...]:
        """Return upstream · local gradient for each input, summed where it was copied."""
        if self.output is None:
            raise ArgumentError("backward before forward", "call gate.forward(*inputs) first")
        seed = lift(numbers(g, "the gradient", float))
        if seed.shape not in ((), self.output.shape):
            raise ShapeError(
                f"the gradient is {seed.shape}, the gate's value {self.output.shape}",
                "one number for each entry of the value",
            )
        seed = ops.broadcast_to(seed, self.output.shape)
        bar = backward({self.output: seed}, self.inputs)
        found = [bar[x] if x in bar else ops.zeros_like(x) for x in self.inputs]
        return tuple(ops.core.writable(node) for node in found)

    @property
    def local(self) -> tuple[Any, ...]:
        """The local gradients at the last inputs: for each, how much the value (its sum) moves."""
        return self.backward(1.0)

    def __repr__(self) -> str:
        return f"Gate({self.name!r})"


def _shapes(inputs: list[Node]) -> str:
    return f"{len(inputs)} inputs of shape {', '.join(str(x.shape) for x in inputs)}"
