"""Layers: frozen values that hold settings, name their parameters and state their formula.

A layer is a few small methods, of which most need only two:
    parameters(shape)   what arrays it learns for inputs of this shape: {"W": Parameter(…)}
    state(shape)        what arrays it keeps besides, such as running means
    __call__(x, p)      its formula, in nodes; p holds parameters and state by name
    train(x, p, draw)   the same while training, where that differs; `draw` makes masks
A layer that holds other layers is a `Composite`: a formula of layers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import Any, ClassVar, Literal

from pellucid import ops
from pellucid.dims import Shape, known, product, show
from pellucid.errors import ArgumentError, ShapeError, one_of
from pellucid.graph import FUNCTIONS, Array, Node
from pellucid.nn.init import Constant, Glorot, He, Initializer, LeCun, initializer
from pellucid.op import OPS

Params = Mapping[str, Node]
# (shape, share kept) -> a mask of 0 and 1; (shape, "normal") -> numbers of mean 0 and deviation 1
Draw = Callable[[Shape, float | Literal["normal"]], Node]
Function = Callable[..., Any]
Call = Callable[["Layer", Any], Node]  # (layer, input) -> its output


@dataclass(frozen=True)
class Parameter:
    """One array that a layer learns: its `shape`, and `init`, how it starts (zeros by default).

    >>> Parameter((2, 8), He()).shape
    (2, 8)
    """

    shape: tuple[int, ...]
    init: Initializer = field(default_factory=Constant)


class Layer:
    """The base of every layer; a layer without parameters needs only `__call__`.

    A layer is a frozen value: it holds settings, and the model holds its arrays.

    >>> from dataclasses import dataclass, field
    >>> @dataclass(frozen=True)
    ... class Doubled(Layer):
    ...     def __call__(self, x, p):
    ...         return 2 * x
    """

    letter: ClassVar[str] = "a"  # its output is printed as a1, a2, …
    takes_missing: ClassVar[bool] = False  # as the first layer: whether samples may hold NaN

    @property
    def trainable(self) -> bool:
        """Whether its parameters are learned; a field of this name may say otherwise."""
        return True

    def parameters(self, shape: Shape) -> dict[str, Parameter]:
        """Return the parameters by name for inputs of this shape, which has no batch axis."""
        return {}

    def state(self, shape: Shape) -> dict[str, Parameter]:
        """Return the arrays it keeps without learning them, by name: running means, say."""
        return {}

    def adapt(self, X: Array) -> dict[str, Array]:
        """Return first values of the state, from the training samples, as they reach the layer."""
        return {}

    def least(self, shape: Shape) -> int:
        """Return how many samples of this shape a batch must have, for the layer to train on it."""
        return 1

    def __call__(self, x: Node, p: Params) -> Node:
        """Return the output for a batch x, (n, …); `p` holds the parameters by name, as nodes."""
        raise NotImplementedError(
            f"{type(self).__name__} has no formula: define __call__(self, x, p)"
        )

    def train(self, x: Node, p: Params, draw: Draw) -> Node | tuple[Node, Params]:
        """Return the output while training, or that and the new state by name.

        `draw(shape, keep)` is a mask that is 1 for that share, else 0; `draw(shape, "normal")` are
        normal numbers of mean 0 and deviation 1: at every step others, which follow from the seed.
        """
        return self(x, p)

    def penalty(self, p: Params) -> Node | None:
        """Return what its weights add to the loss, if anything."""
        return None

    def constrain(self, key: str, value: Node) -> Node | None:
        """Return what an updated parameter is brought back to; None where it is free."""
        return None

    def admit(self, x: Array, rows: str) -> None:
        """Refuse samples, as they reach the layer, that it cannot read; `rows` is their name.

        Asked before anything is computed. What reaches a layer with this method must be made of
        the data alone. Raises: DataError.
        """


class Composite(Layer):
    """The base of layers that hold other layers: their formula, on an input and a way to call.

    `compose(x, call)` returns the output; `call(layer, x)` is the output of one of the layers.
    Each call is a layer of its own, with its own parameters, numbered in the order of the calls.

    >>> @dataclass(frozen=True)
    ... class Twice(Composite):
    ...     layer: Layer
    ...     def compose(self, x, call):
    ...         return call(self.layer, call(self.layer, x))
    """

    def compose(self, x: Any, call: Call) -> Node:
        """Return the output for a batch x, as a formula of layers."""
        name = type(self).__name__
        raise NotImplementedError(f"{name} has no formula: define compose(self, x, call)")


# -- activations by name -----------------------------------------------------------------------

LINEAR = ("linear", "identity", "none")
RELU_FAMILY = ("relu", "leaky_relu", "elu", "swish", "silu", "gelu", "softplus")


def activations() -> list[str]:
    """Return the names that `activation=` takes: every elementwise function of one array."""
    single = (o for o in OPS.values() if len(o.operands) == 1 and o.kind == "map")
    sloped = {o.name for o in single if o.vjp != (None,) and not o.internal}
    return sorted({*sloped, "selu", "silu", "softmax", "log_softmax", *LINEAR} - {"astype"})


def activation(chosen: str | Function | None) -> Function | None:
    """Return the function of an activation's name; None where it is linear."""
    if chosen is None or callable(chosen):
        return chosen
    name = str(chosen).lower()
    if name in LINEAR:
        return None
    if name not in activations():
        raise one_of("activation", chosen, activations())
    return FUNCTIONS[name]


def by_name(chosen: str | Function | None) -> str | Function | None:
    """Check an activation; a function of this library becomes its name, which can be saved."""
    activation(chosen)
    name = getattr(chosen, "__name__", "")
    return name if callable(chosen) and FUNCTIONS.get(name) is chosen else chosen


def named_activation(chosen: str | Function | None) -> str:
    """Return the activation's name, as far as it has one."""
    if chosen is None:
        return "linear"
    return str(chosen).lower() if isinstance(chosen, str) else getattr(chosen, "__name__", "custom")


def matching_init(chosen: str | Function | None) -> Initializer:
    """Return the initializer that keeps the size of signals for this activation."""
    name = named_activation(chosen)
    if name == "selu":
        return LeCun()
    return He() if name in RELU_FAMILY else Glorot()


# -- layers ------------------------------------------------------------------------------------


def check_share(value: Any, name: str) -> float:
    """Return a share as a Python number: a NumPy one would impose its precision on the model."""
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= float(value) < 1:
        raise ArgumentError(f"{name} is {value!r}", f"{name} is a share from 0 up to, but not, 1")
    return float(value)


def check_size(value: Any, name: str) -> int:
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if not whole or int(value) < 1:
        raise ArgumentError(f"{name} is {value!r}", f"{name} is a whole number of at least 1")
    return int(value)


def check_penalty(value: Any, name: str) -> float:
    if (
        isinstance(value, bool)
        or not isinstance(value, Real)
        or not 0 <= float(value) < float("inf")
    ):
        raise ArgumentError(f"{name} is {value!r}", f"{name} is a number of at least 0")
    return float(value)


def check_norm(value: Any, name: str) -> float:
    plain = isinstance(value, Real) and not isinstance(value, bool)
    if not plain or not 0 < float(value) < float("inf"):
        raise ArgumentError(f"{name} is {value!r}", f"{name} is a number above 0, such as 3.0")
    return float(value)


@dataclass(frozen=True)
class Dense(Layer):
    """Every output is a weighted sum of every input, then an activation.

        z = x W + b,   a = act(z)          (n, d) -> (n, units)

    Args: `units`, how many outputs; `activation`, a name or a function of nodes; `bias`, whether
    b is added; `init` for W (None: He for the ReLU family, LeCun for SELU, Glorot otherwise);
    `l1`, `l2`: add l1 Σ|W| + (l2/2) ΣW² to the loss; `max_norm`: after every update, shorten what
    arrives at a unit, a column of W, to this length where it is longer (Srebro et al. 2005);
    `inputs`, the features, where the model is
    to have its parameters before it sees data; `trainable`, False to leave W and b as they are.

    >>> Dense(8, "relu")
    Dense(units=8, activation='relu')
    """

    units: int
    activation: str | Function | None = None
    bias: bool = True
    init: Initializer | str | None = None
    bias_init: Initializer | str | float = 0.0
    l1: float = 0.0
    l2: float = 0.0
    max_norm: float | None = None
    inputs: int | None = None
    trainable: bool = True

    def __post_init__(self) -> None:
        put = object.__setattr__
        put(self, "units", check_size(self.units, "units"))
        if self.inputs is not None:
            put(self, "inputs", check_size(self.inputs, "inputs"))
        put(self, "activation", by_name(self.activation))
        initializer(self.init)
        initializer(self.bias_init)
        put(self, "l1", check_penalty(self.l1, "l1"))
        put(self, "l2", check_penalty(self.l2, "l2"))
        if self.max_norm is not None:
            put(self, "max_norm", check_norm(self.max_norm, "max_norm"))

    def parameters(self, shape: Shape) -> dict[str, Parameter]:
        """W (d, units) and b (units,)."""
        if len(shape) != 1 or not known(shape):
            raise ShapeError(
                f"Dense takes rows of features, but its input is {show(('n', *shape))}",  # type: ignore[arg-type]
                "put pc.Flatten() before it",
            )
        init = initializer(self.init) or matching_init(self.activation)
        weights = {"W": Parameter((int(shape[0]), self.units), init)}  # type: ignore[arg-type]
        bias = Parameter((self.units,), initializer(self.bias_init) or Constant(0.0))
        return weights | {"b": bias} if self.bias else weights

    def __call__(self, x: Node, p: Params) -> Node:
        """a = act(x W + b)."""
        z = x @ p["W"]
        z = ops.named(z + p["b"] if self.bias else z, "z")
        act = activation(self.activation)
        a: Node = act(z) if act else z
        return a

    def penalty(self, p: Params) -> Node | None:
        """l1 Σ|W| + (l2/2) ΣW²; biases are free."""
        W, total = p["W"], None
        if self.l1:
            total = self.l1 * ops.sum(ops.absolute(W))
        if self.l2:
            square = self.l2 / 2 * ops.sum(ops.square(W))
            total = square if total is None else total + square
        return total

    def constrain(self, key: str, value: Node) -> Node | None:
        """W c / max(‖w‖, c) for the columns w of W: those within c stay as they are."""
        if self.max_norm is None or key != "W":
            return None
        norms = ops.sqrt(ops.sum(ops.square(value), 0))
        return value * (self.max_norm / ops.maximum(norms, self.max_norm))  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        """Show the settings that differ from their defaults."""
        from dataclasses import fields

        shown = [f"units={self.units}"]
        shown += [
            f"{f.name}={v!r}" for f in fields(self)[1:] if (v := getattr(self, f.name)) != f.default
        ]
        return f"Dense({', '.join(shown)})"


@dataclass(frozen=True)
class Activation(Layer):
    """Apply an activation by name, or any function of nodes, as a layer of its own.

        a = act(x)          (n, …) -> (n, …)

    Args: `function`, a name such as "relu", or a function of one node. Raises: ArgumentError for
    an unknown name.

    >>> Activation("tanh")
    Activation(function='tanh')
    """

    function: str | Function

    def __post_init__(self) -> None:
        object.__setattr__(self, "function", by_name(self.function))

    def __call__(self, x: Node, p: Params) -> Node:
        """a = act(x)."""
        act = activation(self.function)
        return act(x) if act else x


@dataclass(frozen=True)
class Dropout(Layer):
    """While training, set a random share of the values to 0 and scale up the others.

        train: a = x · mask / (1 - rate),   predict: a = x        (Srivastava et al. 2014)

    Args: `rate`, the share that is dropped, 0 ≤ rate < 1; the masks follow from the model's seed
    and the step. Shapes: (n, …) -> (n, …). Raises: ArgumentError for any other rate.

    >>> Dropout(0.2)
    Dropout(rate=0.2)
    """

    rate: float = 0.5
    letter: ClassVar[str] = "dropped"

    def __post_init__(self) -> None:
        object.__setattr__(self, "rate", check_share(self.rate, "rate"))

    def __call__(self, x: Node, p: Params) -> Node:
        """a = x."""
        return x

    def train(self, x: Node, p: Params, draw: Draw) -> Node:
        """a = x · mask / (1 - rate)."""
        return x * draw(x.shape, 1 - self.rate) / (1 - self.rate) if self.rate else x


@dataclass(frozen=True)
class Flatten(Layer):
    """Put all values of a sample in one row.

        (n, a, b, …) -> (n, a·b·…)

    >>> Flatten()
    Flatten()
    """

    letter: ClassVar[str] = "flat"

    def __call__(self, x: Node, p: Params) -> Node:
        """a = x, in one row."""
        return ops.reshape(x, (x.shape[0], product(x.shape[1:])))  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Shared(Layer):
    """Use one layer's parameters in several places: every `Shared` of one name has the same ones.

    Args: `layer`; `name`, which says what is shared. Their gradients add up.

    >>> twice = Shared(Dense(4, "tanh"), "block")
    >>> layers = [Dense(4, "tanh"), twice, twice, Dense(1)]  # W1, b1, W2, b2, W4, b4
    """

    layer: Layer
    name: str

    def __post_init__(self) -> None:
        if isinstance(self.layer, Composite):
            kind = type(self.layer).__name__
            raise ArgumentError(
                f"{kind} holds other layers, which cannot be shared as a whole",
                "share each of them",
            )

    @property
    def trainable(self) -> bool:
        """The layer's own."""
        return self.layer.trainable

    def parameters(self, shape: Shape) -> dict[str, Parameter]:
        """The layer's own."""
        return self.layer.parameters(shape)

    def state(self, shape: Shape) -> dict[str, Parameter]:
        """The layer's own."""
        return self.layer.state(shape)

    def adapt(self, X: Array) -> dict[str, Array]:
        """The layer's own."""
        return self.layer.adapt(X)

    def least(self, shape: Shape) -> int:
        """The layer's own."""
        return self.layer.least(shape)

    def __call__(self, x: Node, p: Params) -> Node:
        """The layer's own."""
        return self.layer(x, p)

    def train(self, x: Node, p: Params, draw: Draw) -> Node | tuple[Node, Params]:
        """The layer's own."""
        return self.layer.train(x, p, draw)

    def penalty(self, p: Params) -> Node | None:
        """The layer's own."""
        return self.layer.penalty(p)

    def constrain(self, key: str, value: Node) -> Node | None:
        """The layer's own."""
        return self.layer.constrain(key, value)

    def admit(self, x: Array, rows: str) -> None:
        """The layer's own."""
        self.layer.admit(x, rows)
