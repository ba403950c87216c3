"""Forms of slips: what stands where something else should, when that can be, and parts of it.

Form   what stands in the place of which piece: becomes(place, right) -> node
"""
# fmt: off

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pellucid import ops
from pellucid.backward import backward
from pellucid.check.chain import Place
from pellucid.graph import Node

Becomes = Callable[[Place, Any], Any]
When = Callable[[Place], bool]


@dataclass(frozen=True, eq=False)
class Form:
    """One way to make a slip: at which pieces, and what stands there; None: it does not apply."""

    pieces: tuple[str, ...]
    becomes: Becomes
    written: str  # how it looks in symbols
    when: When = lambda p: True
    printed: bool = False  # fit for an exercise: seen in the code, and never right by accident
    unlikely: bool = False  # named after all others that explain as much


def at(pieces: str, becomes: Becomes, written: str, when: When = lambda p: True,
       printed: bool = False) -> Form:
    return Form(tuple(pieces.split()), becomes, written, when, printed)


# -- conditions and parts ----------------------------------------------------------------------


def batch(p: Place) -> bool:
    """More than one sample: else dividing by n changes nothing."""
    return not isinstance(p.n, int) or p.n > 1


def wide(p: Place) -> bool:
    return bool(p.outputs > 1)


def halved(p: Place) -> bool:
    return p.loss.name == "half_mse" if p.half is None else p.half


def curved(p: Place) -> bool:
    """Its activation has a slope of its own."""
    return p.block.act is not None and p.block.activation != "softmax"


def softmax(p: Place) -> bool:
    return p.block.activation == "softmax"


def masked(p: Place) -> bool:
    return p.block.activation == "relu"


def matrix(p: Place) -> bool:
    """Its weights are more than one row or column."""
    return p.W.shape[0] != 1 and p.W.shape[1] != 1


def square(p: Place) -> bool:
    return p.W.shape[0] == p.W.shape[1]


def is_stale(p: Place) -> bool:
    return p.old is not None


def turned(x: Node) -> Node:
    """The right shape, and the wrong numbers: a reshape where a transpose was meant."""
    return ops.reshape(x, x.shape[::-1])  # type: ignore[no-any-return]


def other(k: int, part: str, shaped: str) -> Becomes:
    """Return a form that takes `part` of the layer k further up, where its shape fits."""
    def becomes(p: Place, right: Any) -> Any:
        index = p.number - 1 + k
        if not 0 <= index < len(p.all_layers):
            return None
        found = getattr(p.all_layers[index], part)
        return found if found.shape == getattr(p, shaped).shape else None
    return becomes


def mask_of(k: int, part: str) -> Becomes:
    take = other(k, part, "z")

    def becomes(p: Place, right: Any) -> Any:
        found = take(p, right)
        return None if found is None else p.g * (found > 0)
    return becomes


def slope_by(name: str) -> Form:
    """The derivative of another activation, at z."""
    return at("slope", lambda p, right: p.g * p.slope_of(name, p.z), f"the slope of {name}",
              lambda p: curved(p) and p.block.activation != name, name in ("tanh", "sigmoid"))


SQUARES = ("mse", "half_mse")  # alike but for a factor, which has a slip of its own


def loss_by(name: str, factor: Callable[[Place], Any], written: str) -> Form:
    """The gradient of another loss; multiplied by something, if `factor` is not 1."""
    return Form(("error",), lambda p, right: factor(p) * p.loss_slope(name), written,
                lambda p: p.loss.name != name and not {p.loss.name, name} <= set(SQUARES),
                unlikely=factor is not plain)


def plain(p: Place) -> float:
    return 1.0


def outputs(p: Place) -> Any:
    return p.outputs


def bias_penalty(p: Place, right: Any) -> Any:
    extra = None if p.b is None else p.block.penalty({"W": p.b})
    if extra is None or p.b is None:
        return None
    return right + backward({extra: ops.ones_like(extra)}, [p.b])[p.b]


def spread(p: Place) -> Any:
    """ŷ - y of (n, 1) against (n,): every prediction against every target."""
    return p.a - ops.ravel(p.y)


def one_output(p: Place) -> bool:
    return bool(p.outputs == 1) and batch(p) and p.loss.name in ("mse", "half_mse")


USUAL_RATES = (0.1, 0.01, 1.0, 0.5, 0.05, 0.001, 0.2, 0.3, 0.02, 2.0)  # where it is not said


def two(p: Place) -> float:
    return 1.0 if p.loss.name == "half_mse" else 2.0


def fitted(one: Any, two: Any, shape: Any) -> Any:
    """Return a product where it has this shape, else None."""
    product = one * two
    return product if product.shape == shape else None


def old_error(p: Place, prediction: bool, target: bool) -> Node | None:
    """Return ∂L/∂ŷ at the prediction or the target of an earlier forward pass."""
    if p.old is None:
        return None
    a, y = (p.old.a if prediction else p.a), (p.old.y if target else p.y)
    leaf = ops.positive(a)
    return backward({p.loss(leaf, y): ops.ones_like(leaf.sum())}, [leaf])[leaf]



def early(rate: float) -> Form:
    """The weights after an update with this learning rate, where it is not known."""
    return at("pass", lambda p, right: p.delta @ (p.W - rate * p.dW).T, f"δ (W - {rate}·dW)ᵀ",
              lambda p: p.rate is None and p.dW is not None)


def slope_of_other(k: int) -> Form:
    """The slope of the layer k further up."""
    take = other(k, "z", "z")

    def becomes(p: Place, right: Any) -> Any:
        z = take(p, right)
        return None if z is None else p.slope(p.block.act, z, p.g)
    return at("slope", becomes, "the slope of another layer", lambda p: curved(p) and not masked(p))


def mask_of_other(k: int, part: str, way: str) -> Form:
    return at("slope", mask_of(k, part), f"the mask of {part}, {way}", masked)


def weights_of_other(k: int) -> Form:
    take = other(k, "W", "W")

    def becomes(p: Place, right: Any) -> Any:
        W = take(p, right)
        return None if W is None else p.delta @ W.T
    return at("pass", becomes, "the weights of another layer")


def input_of_other(k: int) -> Form:
    take = other(k, "x", "x")

    def becomes(p: Place, right: Any) -> Any:
        x = take(p, right)
        return None if x is None else x.T @ p.delta
    return at("weight", becomes, "the input of another layer")


def times_weights(part: Callable[[Place], Any], written: str = "δ * W, not δ @ Wᵀ") -> Form:
    return at("pass", lambda p, right: fitted(part(p), 1.0, p.x.shape), written)


def times_input(part: Callable[[Place], Any]) -> Form:
    return at("weight", lambda p, right: fitted(part(p), 1.0, p.W.shape), "x * δ, not xᵀ @ δ")


def column(x: Any) -> Any:
    return ops.reshape(x, (-1, 1))


def spread_over(piece: str, axis: int, mean: bool) -> Form:
    """ŷ - y of (n, n), brought back to one column by a sum or a mean."""
    def becomes(p: Place, right: Any) -> Any:
        wide = spread(p)
        narrow = wide.mean(axis=axis) if mean else wide.sum(axis=axis)
        return factor_of(p, piece) * column(narrow) / p.n
    return at(piece, becomes, "ŷ - y is (n, n)", one_output if piece == "error" else one_score)


def factor_of(p: Place, piece: str) -> float:
    return two(p) if piece == "error" else 1.0


def one_score(p: Place) -> bool:
    return p.last and bool(p.outputs == 1) and batch(p) and p.loss.name == "bce"
