"""Losses: how wrong a prediction is, by element or row, and then averaged.

Elementwise ops come first; the public functions add `reduction="mean" | "sum" | "none"`.
"""
# fmt: off

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from pellucid.dims import show
from pellucid.errors import ArgumentError, ShapeError
from pellucid.graph import Node
from pellucid.ops.arithmetic import absolute, maximum, minimum, square, where
from pellucid.ops.arrays import one_hot
from pellucid.ops.core import Array, helper, op, public, reduced
from pellucid.ops.elementwise import log, log1p, sigmoid, softplus
from pellucid.ops.reduce import log_softmax, log_softmax_slope, mean, opened, softmax, sum
from pellucid.ops.shape import named


def _over(a: Node, b: Node) -> Node:
    """Return a / b, and 0 where a is 0: a label of 0 asks nothing of its term."""
    return where(a == 0, 0, a / b)


helper('''def times_log(a, b):
    """a log(b), with 0 log(0) = 0: the limit."""
    return np.where((a == 0) & (b == b), 0, a * np.log(b))
''')

bernoulli = op("bernoulli", "p, y", formula=r"-$y \ln $p - (1 - $y) \ln(1 - $p)", level=1,
    dtype="inexact",
    numpy='''def bernoulli(p, y):
    """-y log(p) - (1 - y) log(1 - p), with 0 log(0) = 0."""
    return -times_log(y, p) - np.where((y == 1) & (p == p), 0, (1 - y) * np.log1p(-p))
''',
    vjp=(lambda g, out, p, y: g * (_over(1 - y, 1 - p) - _over(y, p)),
         lambda g, out, p, y: g * (log1p(-p) - log(p))),
    same_as=lambda p, y: -(y * log(p) + (1 - y) * log1p(-p)), domain=((0.05, 0.95), (0, 1)),
    says="how surprised a predicted probability p is by the label y", internal=True,
    torch="torch.nn.functional.binary_cross_entropy(p, y, reduction='none')")

bernoulli_logits = op("bernoulli_logits", "z, y", formula=r"\ln(1 + e^{$z}) - $y \cdot $z", level=1,
    dtype="inexact",
    numpy='''def bernoulli_logits(z, y):
    """log(1 + exp(z)) - y z = w |z| + log(1 + exp(-|z|)), w the label's weight on the wrong side.

    Neither term is negative, so nothing cancels.
    """
    w = np.where(z > 0, 1 - y, y)
    return np.where(w == 0, 0, w * np.abs(z)) + np.logaddexp(0, -np.abs(z))
''',
    vjp=(lambda g, out, z, y: g * ((1 - y) * sigmoid(z) - y * sigmoid(-z)),
    # = sigmoid(z) - y, exact at y = 1
         lambda g, out, z, y: -(g * z)),
    same_as=lambda z, y: softplus(z) - y * z, domain=((-30, 30), (0, 1)),
    says="how surprised the score z is by the label y, finite for every size of z", internal=True,
    torch="torch.nn.functional.binary_cross_entropy_with_logits(z, y, reduction='none')")

categorical = op("categorical", "p, y", formula=r"-\sum $y \ln $p", level=1, kind="reduce",
    dtype="inexact",
    shape=lambda p, y: reduced(p, -1),
    numpy='''def categorical(p, y):
    """-sum(y log(p)) over the classes, with 0 log(0) = 0."""
    return -np.sum(times_log(y, p), axis=-1)
''',
    vjp=(lambda g, out, p, y: -(opened(g, p, -1, False) * _over(y, p)),
         lambda g, out, p, y: -(opened(g, p, -1, False) * log(p))),
    same_as=lambda p, y: -sum(y * log(p), -1), domain=((0.05, 0.95), (0, 1)),
    says="how surprised the predicted shares p are by the class y", internal=True,
    torch="-(y * torch.log(p)).sum(-1)", examples=({"shapes": [(4, 3), (4, 3)]},))

categorical_logits = op("categorical_logits", "z, y",
    formula=r"-\sum $y \ln \operatorname{softmax}($z)", level=1,
    kind="reduce", dtype="inexact", shape=lambda z, y: reduced(z, -1),
    numpy='''def categorical_logits(z, y):
    """-sum(y log(softmax(z))) over the classes, with 0 log(0) = 0."""
    _, d, _, rest = shifted(z, -1)
    return -np.sum(np.where(y == 0, 0, y * (d - np.log1p(rest))), axis=-1)
''',
    vjp=(lambda g, out, z, y: -opened(g, z, -1, False) * log_softmax_slope(y, softmax(z), -1),
         lambda g, out, z, y: -opened(g, z, -1, False) * log_softmax(z)),
    same_as=lambda z, y: -sum(y * log_softmax(z), -1), domain=((-5, 5), (0, 1)),
    says="how surprised the scores z are by the class y, finite for every size of z", internal=True,
    torch="-(y * torch.log_softmax(z, -1)).sum(-1)",
    examples=({"shapes": [(4, 3), (4, 3)]},))

poisson_rate = op("poisson_rate", "p, y", formula=r"$p - $y \ln $p", level=1, dtype="inexact",
    numpy='''def poisson(p, y):
    """p - y log(p), with 0 log(0) = 0; an infinite rate costs inf, not inf - inf."""
    return np.where(np.isinf(p), p, p - times_log(y, p))
''',
    vjp=(lambda g, out, p, y: g * where((y == 0) | (p == math.inf), 1, (p - y) / p),
         lambda g, out, p, y: -(g * log(p))),
    same_as=lambda p, y: p - y * log(p), domain=((0.2, 3), (0, 4)),
    says="how surprised a predicted rate p is by the count y", internal=True,
    torch="torch.nn.functional.poisson_nll_loss("
          "p, y, log_input=False, full=False, eps=0.0, reduction='none')")


# -- public functions --------------------------------------------------------------------------


def _reduced(losses: Node, reduction: str) -> Node:
    if reduction not in ("mean", "sum", "none"):
        raise ArgumentError(f"reduction {reduction!r}", 'choose "mean", "sum" or "none"')
    return mean(losses) if reduction == "mean" else sum(losses) if reduction == "sum" else losses


def _loss(elementwise: Callable[..., Node]) -> Any:
    """Make the public loss of an elementwise formula: check the shapes, then average."""
    def loss(prediction: Array, target: Array, reduction: str = "mean", **settings: Any) -> Any:
        if prediction.shape != target.shape:
            raise ShapeError(
                f"{elementwise.__name__}: the prediction is {show(prediction.shape)}, "
                f"the target {show(target.shape)}",
                "reshape the target to the prediction's shape, for example y.reshape(-1, 1)")
        return _reduced(elementwise(prediction, target, **settings), reduction)

    loss.__name__ = loss.__qualname__ = elementwise.__name__
    loss.__doc__ = (f"{elementwise.__doc__}\n\n"
                    "    Args: prediction and target of one shape; reduction mean, sum or none.")
    loss.__annotations__ = {"prediction": "Array", "target": "Array"}
    return public(loss)


@_loss
def mse(p: Node, y: Node) -> Node:
    """Average the squared error: mean((p - y)²), over all elements."""
    return square(named(p - y, "error"))


@_loss
def half_mse(p: Node, y: Node) -> Node:
    """Average half of the squared error: mean((p - y)²) / 2, whose slope is p - y."""
    return 0.5 * square(named(p - y, "error"))


@_loss
def mae(p: Node, y: Node) -> Node:
    """Average the absolute error: mean(|p - y|)."""
    return absolute(named(p - y, "error"))


@_loss
def huber(p: Node, y: Node, delta: float = 1.0) -> Node:
    """Average the error, squared up to `delta`, straight beyond, against outliers (Huber 1964)."""
    inside = minimum(absolute(p - y), delta)
    return inside * (absolute(p - y) - 0.5 * inside)


@_loss
def hinge(p: Node, y: Node) -> Node:
    """Average what a score p lacks to the margin of its label y = ±1: mean(max(0, 1 - y p))."""
    return maximum(0, 1 - y * p)


@_loss
def bce(p: Node, y: Node) -> Node:
    """Average the cross-entropy of probabilities: mean(-y ln p - (1 - y) ln(1 - p))."""
    return bernoulli(p, y)


@_loss
def bce_logits(z: Node, y: Node) -> Node:
    """Average the cross-entropy of scores: bce(sigmoid(z), y), finite for every z."""
    return bernoulli_logits(z, y)


@_loss
def poisson(p: Node, y: Node) -> Node:
    """Average the Poisson loss of a predicted rate: mean(p - y ln p)."""
    return poisson_rate(p, y)


def _classes(prediction: Node, target: Node) -> Node:
    """Return targets as one row of shares for each prediction: integer labels become one-hot."""
    if target.dtype.kind in "iu" and target.shape == prediction.shape[:-1]:
        _check_labels(target, prediction.shape[-1])
        return one_hot(target, prediction.shape[-1], prediction.dtype)
    if target.shape != prediction.shape:
        raise ShapeError(
            f"the prediction is {show(prediction.shape)}, the target {show(target.shape)}",
            "give integer labels of shape (n,), or one-hot rows of the prediction's shape")
    return target


def _check_labels(target: Node, classes: Any) -> None:
    if target.symbolic or not isinstance(classes, int) or not target.size:
        return
    low, high = target.value.min(), target.value.max()
    if low < 0 or high >= classes:
        raise ArgumentError(f"labels run from {low} to {high}, but there are {classes} classes",
                            f"labels count from 0 to {classes - 1}")


@public
def cce(prediction: Array, target: Array, reduction: str = "mean") -> Any:
    """Average the cross-entropy of shares over rows: mean of -Σ y ln p; y one-hot or labels."""
    return _reduced(categorical(prediction, _classes(prediction, target)), reduction)


@public
def cce_logits(prediction: Array, target: Array, reduction: str = "mean") -> Any:
    """Average the cross-entropy of scores over rows: cce(softmax(z), y), finite for every z."""
    return _reduced(categorical_logits(prediction, _classes(prediction, target)), reduction)
