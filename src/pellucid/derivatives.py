"""Derivatives of functions and nodes: grad, value_and_grad, vjp, jvp, jacobian, hessian.

A function of arrays is traced on leaves that carry them, so Python's own control flow works; its
arguments may be arrays, tuples, lists and dicts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from typing import Any

import numpy as np

from pellucid import ops
from pellucid.backward import backward, differentiable, gradients
from pellucid.dims import Dim, show
from pellucid.errors import ArgumentError, ShapeError
from pellucid.graph import Node, build, lift, moving, numeric, order, value
from pellucid.op import OPS
from pellucid.protocol import leaves, like, scalar

Function = Callable[..., Any]


def grad(target: Any, wrt: Any = None, *, argnums: int | Sequence[int] = 0) -> Any:
    """Differentiate a node with respect to leaves, or a function with respect to its arguments.

        grad(f, x) = ∂f/∂x,  of the shape and dtype of x;  f must be a single number

    Args: `target`, a node, with `wrt` a node or a list of them; or a function of numbers, arrays,
    tuples, lists and dicts, with `argnums` the arguments that move. Returns: a node, a list, or
    a function. Raises: ShapeError if f is not a single number, DtypeError for integer leaves.

    >>> x, y = value(2.0, "x"), value(3.0, "y")
    >>> grad(x * x * y, x).value
    array(12.)
    >>> grad(lambda w: np.sum(np.tanh(w) ** 2))(np.zeros(3))
    array([0., 0., 0.])
    """
    if isinstance(target, Node):
        return _grad_of_node(target, wrt)
    both = value_and_grad(target, argnums=argnums if wrt is None else wrt)
    return wraps(target)(lambda *args, **settings: both(*args, **settings)[1])


def _grad_of_node(target: Node, wrt: Any) -> Any:
    if wrt is None:
        raise ArgumentError("grad of a node needs to know with respect to what", "pc.grad(f, x)")
    if isinstance(wrt, (list, tuple)):
        return gradients(target, wrt)
    return gradients(target, [wrt])[0]


def value_and_grad(function: Function, *, argnums: int | Sequence[int] = 0) -> Function:
    """Return a function that gives f and its gradient at once.

    >>> value_and_grad(lambda x: x * x)(3.0)
    (np.float64(9.0), np.float64(6.0))
    """

    def both(*args: Any, **settings: Any) -> Any:
        frame = Frame(function, args, settings, argnums)
        loss = scalar(frame.output, "the function's result")
        return frame.out((loss, frame.shaped(gradients(loss, frame.inputs))))

    return both


def vjp(function: Function, *args: Any) -> tuple[Any, Function]:
    """Return f(args) and the function that pulls a gradient g of f back.

        pull(g) = gᵀ ∂f/∂args,  each of its argument's shape; g has the shape of f

    Raises: ShapeError where g has another shape.

    >>> y, pull = vjp(lambda x: 2 * x, np.ones(2))
    >>> pull(np.array([1.0, 3.0]))
    array([2., 6.])
    """
    frame = Frame(function, args, {}, range(len(args)))

    def pull(g: Any) -> Any:
        found = frame.out(frame.shaped(pulled(frame, g)))
        return found[0] if len(args) == 1 else found

    return frame.out(frame.output), pull


def pulled(frame: Frame, g: Any) -> list[Node]:
    outputs = [lift(o) for o in leaves(frame.output)]
    seeds = _beside(frame.output, g, "the gradient")
    bar = backward(_summed(outputs, seeds), frame.inputs)
    return [bar[w] if w in bar else ops.zeros_like(w) for w in frame.inputs]


def _beside(tree: Any, given: Any, what: str) -> list[Node]:
    """Return what was given for each leaf of a tree, in the tree's order; refuse other shapes."""
    if isinstance(tree, Mapping):
        if not isinstance(given, Mapping) or set(given) != set(tree):
            raise ArgumentError(f"{what} has other keys than {', '.join(map(str, tree))}")
        return [node for key in tree for node in _beside(tree[key], given[key], what)]
    if isinstance(tree, (tuple, list)):
        if not isinstance(given, (tuple, list)) or len(given) != len(tree):
            raise ArgumentError(f"{what} needs {len(tree)} parts, as what it belongs to")
        return [
            n for one, other in zip(tree, given, strict=True) for n in _beside(one, other, what)
        ]
    node, beside = (
        lift(tree),
        lift(np.asarray(given) if isinstance(given, (list, tuple)) else given),
    )
    if node.shape != beside.shape:
        raise ShapeError(
            f"{what} is {show(beside.shape)}, what it belongs to {show(node.shape)}",
            "give it the same shape",
        )
    return [beside]


def _summed(nodes: Sequence[Node], seeds: Sequence[Node]) -> dict[Node, Node]:
    """Add up the seeds of equal nodes, which are one node."""
    found: dict[Node, Node] = {}
    for node, seed in zip(nodes, seeds, strict=True):
        found[node] = found[node] + seed if node in found else seed
    return found


def jvp(function: Function, args: Sequence[Any], directions: Sequence[Any]) -> tuple[Any, Any]:
    """Return f(args) and its slope along a direction.

        slope = ∂f/∂args · direction,  of the shape of f; a direction for each argument

    The pull-back is linear in its gradient u, so its own pull-back is the push-forward.

    >>> jvp(lambda x: x * x, [3.0], [1.0])
    (np.float64(9.0), np.float64(6.0))
    """
    frame = Frame(function, tuple(args), {}, range(len(args)))
    outputs = [lift(o) for o in leaves(frame.output)]
    probes = {o: value(np.zeros(o.shape, o.dtype), "u") for o in outputs}
    bar = backward(probes, frame.inputs)
    moves = zip(frame.inputs, _beside(list(args), list(directions), "the direction"), strict=True)
    pairs = [(bar[w], move) for w, move in moves if w in bar]
    pushed = backward(_summed(*zip(*pairs, strict=True)), probes.values()) if pairs else {}
    slopes = [pushed[p] if (p := probes[o]) in pushed else ops.zeros_like(o) for o in outputs]
    return frame.out(frame.output), frame.out(like(frame.output, slopes))


def jacobian(function: Function, argnums: int | Sequence[int] = 0) -> Function:
    """Return the function of all slopes: shape of the result, then shape of the argument.

        jacobian(f)(x)[i, j] = ∂f_i/∂x_j

    >>> jacobian(lambda x: x * x)(np.array([1.0, 2.0]))
    array([[2., 0.],
           [0., 4.]])
    """

    def rows(*args: Any, **settings: Any) -> Any:
        frame = Frame(function, args, settings, argnums)
        return frame.out(like(frame.output, [_rows(frame, lift(o)) for o in leaves(frame.output)]))

    return rows


def _rows(frame: Frame, output: Node) -> Any:
    shape = tuple(_known(s) for s in output.shape)
    parts: list[list[Node]] = []
    for spot in np.ndindex(*shape):
        seed = np.zeros(shape, output.dtype)
        seed[spot] = 1
        bar = backward({output: lift(seed)}, frame.inputs)
        parts.append([bar[w] if w in bar else ops.zeros_like(w) for w in frame.inputs])
    columns = zip(*parts, strict=True) if parts else ([] for _ in frame.inputs)
    stacked = [
        ops.reshape(ops.stack(c), (*shape, *w.shape))
        if c
        else lift(np.zeros((*shape, *w.shape), w.dtype))
        for c, w in zip(columns, frame.inputs, strict=True)
    ]
    return frame.shaped(stacked)


def _known(size: Any) -> int:
    if isinstance(size, Dim):
        raise ShapeError(f"a jacobian needs to know every size, but one is {size}")
    return int(size)


def hessian(function: Function, argnums: int | Sequence[int] = 0) -> Function:
    """Return the function of all second derivatives: the Jacobian of the gradient.

    >>> hessian(lambda x: np.sum(x**3))(np.array([1.0, 2.0]))
    array([[ 6.,  0.],
           [ 0., 12.]])
    """
    return jacobian(grad(function, argnums=argnums), argnums)


class Frame:
    """One call of a function, traced: what moves, what came out, and in which containers."""

    def __init__(self, function: Function, args: Any, settings: Any, argnums: int | Sequence[int]):
        self.single = isinstance(argnums, int)
        numbers = [argnums] if isinstance(argnums, int) else list(argnums)
        if len({k % len(args) for k in numbers if args}) < len(numbers):
            raise ArgumentError(f"argnums {argnums} names an argument twice", "name each once")
        if any(not -len(args) <= k < len(args) for k in numbers):
            raise ArgumentError(f"argnums {argnums} for a call with {len(args)} arguments")
        self.args = [args[k] for k in numbers]
        self.nested = any(isinstance(leaf, Node) for leaf in leaves(list(args)))
        self.inputs = [_leaf(x) for x in leaves(self.args)]
        places = like(self.args, self.inputs)
        full = list(args)
        for k, arg in zip(numbers, places, strict=True):
            full[k] = arg
        self.output = function(*full, **settings)

    def shaped(self, flat: Sequence[Any]) -> Any:
        """Return one entry per moving leaf in the containers of the arguments."""
        found = like(self.args, flat)
        return found[0] if self.single else tuple(found)

    def out(self, result: Any) -> Any:
        """Return nodes to a caller who gave nodes, and arrays to one who gave arrays.

        A function that closes over a node has been given one, too: so derivatives nest.
        """
        nodes = [r for r in leaves(result) if isinstance(r, Node)]
        below = order(nodes, stop=self.inputs)
        given = set(self.inputs)
        outside = any(not n.op and not n.is_constant and n not in given for n in below)
        if self.nested or outside:
            return result
        return like(result, [_value(r) for r in leaves(result)])


def _value(x: Any) -> Any:
    return ops.core.writable(x) if isinstance(x, Node) else x


def _leaf(x: Any) -> Node:
    """Return a fresh place for an argument: what is asked about here is only this one."""
    if isinstance(x, Node):
        differentiable(x)
        return moving(build(OPS["identity"], (x,), (("token", object()),)))
    array = numeric(x, "an argument")
    array = array.astype(float) if isinstance(x, int) and not isinstance(x, bool) else array
    leaf = value(array, "x")
    differentiable(leaf)
    return moving(leaf)


# -- a reader's own rule -------------------------------------------------------------------------


def custom_gradient(rule: Function) -> Function:
    """Give a function its own backward rule: `rule(g, y, *args)` returns one gradient each.

    >>> @custom_gradient(lambda g, y, x: g * (x > -1) * (x < 1))   # a straight-through sign
    ... def hard(x):
    ...     return np.sign(x)
    >>> grad(hard)(0.3)
    np.float64(1.0)
    """

    def decorate(function: Function) -> Function:
        @wraps(function)
        def call(*args: Any) -> Any:
            nodes = tuple(map(lift, args))
            result = build(OPS["custom"], (lift(function(*nodes)), *nodes), (("rule", rule),))
            plain = not any(isinstance(a, Node) for a in args)
            return ops.core.writable(result) if plain else result

        return call

    return decorate


def _ruled(g: Node, z: Node, y: Node, *xs: Node, rule: Function) -> list[Node | None]:
    shares = rule(g, y, *xs)
    shares = shares if isinstance(shares, (tuple, list)) else (shares,)
    if len(shares) != len(xs):
        raise ArgumentError(f"the rule returned {len(shares)} gradients for {len(xs)} arguments")
    for x, share in zip(xs, shares, strict=True):
        if share is not None and lift(share).shape != x.shape:
            raise ShapeError(
                f"the rule's gradient is {show(lift(share).shape)}, its argument {show(x.shape)}"
            )
    return [None, *shares]


ops.core.op(
    "custom", "y, *xs, rule=None", numpy="y", formula="$y", kind="view", dtype="first",
    shape=lambda y, *_, rule: y, vjp=_ruled, internal=True,
    says="a value with a backward rule of the reader's own",
)  # fmt: skip
