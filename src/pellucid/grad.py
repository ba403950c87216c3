"""Reverse mode: the gradient of a graph is a graph.

backward    the cotangent of every node between some leaves and some outputs
grad        of a node, or of a function; value_and_grad, vjp, jvp, jacobian, hessian, likewise
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from typing import Any, NamedTuple

import numpy as np

from pellucid import ops
from pellucid.dims import Dim, Shape, show
from pellucid.errors import ArgumentError, DtypeError, ShapeError
from pellucid.graph import OPS, Node, build, lift, numeric, order, value
from pellucid.trace import leaves, like, scalar

Function = Callable[..., Any]


def backward(outputs: Mapping[Node, Node], wrt: Iterable[Node]) -> dict[Node, Node]:
    """Return d(Σ output · seed)/d(node) for every node on the way from `wrt` to the outputs."""
    wrt = list(wrt)
    nodes = order(outputs, stop=wrt)
    moving = _moving(nodes, wrt)
    bar: dict[Node, Node] = {}
    for node, seed in outputs.items():
        bar[node] = fit(seed, node)
    hidden: dict[Node, Mask | None] = dict.fromkeys(bar)
    stops = set(wrt)
    for node in reversed(nodes):
        if node not in bar or node not in moving or node in stops:
            continue
        for arg, g, mask in _contributions(node, bar[node], hidden.get(node), moving):
            seen = arg in bar
            hidden[arg] = _either(hidden[arg], mask) if seen else mask
            bar[arg] = bar[arg] + g if seen else g
    return bar


def _moving(nodes: Sequence[Node], wrt: Sequence[Node]) -> set[Node]:
    """Return the nodes that depend on `wrt` and can pass a gradient on."""
    moving = set(wrt)
    for node in nodes:
        if node.dtype.kind == "f" and not moving.isdisjoint(node.args):
            moving.add(node)
    return moving


class Mask(NamedTuple):
    """Where a choice hides a value; `hard`, where a reader wrote that choice, with `where`."""

    at: Node
    hard: bool

    def touches(self, node: Node, moving: set[Node]) -> bool:
        """Whether the op must be kept from meeting what is hidden.

        Behind a reader's `where`, every op is; behind a ReLU or maximum only one whose slope can
        be infinite, so that programs are not burdened with choices that change nothing.
        """
        assert node.op is not None
        if node.op.kind != "map" or node.op.masks:
            return False
        return self.hard or (node.op.steep and sum(a in moving for a in node.args) == 1)


def _contributions(
    node: Node, g: Node, mask: Mask | None, moving: set[Node]
) -> Iterable[tuple[Node, Node, Mask | None]]:
    """Yield (operand, its share of the gradient, where that share is hidden) for one node."""
    args, y = node.args, node
    if mask is not None and mask.touches(node, moving):
        args, y = _unhidden(node, mask.at)
    slopes = node.op.vjp if node.op else None
    if slopes is None:
        raise DtypeError(f"no derivative is known for {node!r}", "", node.where)
    many = None if isinstance(slopes, tuple) else slopes(g, y, *args, **node.settings)
    for k, arg in enumerate(node.args):
        if arg not in moving:
            continue
        rule = slopes[min(k, len(slopes) - 1)] if many is None else None
        share = many[k] if many is not None else rule and rule(g, y, *args, **node.settings)
        if share is None:
            continue
        yield arg, fit(lift(share), arg), _mask_of(node, k, mask)


def _mask_of(node: Node, k: int, mask: Mask | None) -> Mask | None:
    """Return where operand k of the node does not matter, since a choice hides it.

    There its gradient is 0, and must stay 0 on the way down, even where a slope is infinite:
    log(x) behind where(x > 0, log(x), 0) has no slope at x = 0, rather than 0 · inf.
    """
    assert node.op is not None
    own = node.op.hides and node.op.hides[k]
    if own:
        at, hard = ops.broadcast_to(own(*node.args), node.shape), node.op.masks
        mask = Mask(at, hard) if mask is None else Mask(at | mask.at, hard or mask.hard)
    if mask is None or (node.op.kind == "map" and node.args[k].shape == node.shape):
        return mask
    return _mask_below(node, k, mask.at) if mask.hard else None


def _mask_below(node: Node, k: int, at: Node) -> Mask | None:
    """Return which elements of operand k, of another shape, reach only what is hidden."""
    op, arg = node.op, node.args[k]
    assert op is not None
    seen = ops.astype(ops.logical_not(at), arg.dtype)
    if op.kind == "reduce" and "keepdims" in node.settings:
        seen = ops.reduce.spread(seen, arg, **node.settings)
    elif op.kind == "view" and isinstance(op.vjp, tuple):  # a view hands on what arrives
        seen = op.vjp[k](seen, node, *node.args, **node.settings)
    elif op.kind != "map":
        return None
    return Mask(fit(seen, arg) == 0, True)


def _either(one: Mask | None, other: Mask | None) -> Mask | None:
    """A value read twice is hidden only where both readers hide it."""
    if one is None or other is None:
        return None
    return Mask(one.at & other.at, one.hard or other.hard)


def _unhidden(node: Node, mask: Node) -> tuple[tuple[Node, ...], Node]:
    """Return the op on operands that are harmless where its result is hidden."""
    op = node.op
    assert op is not None
    safe = [sum(op.domain_of(k)) / 2 for k in range(len(node.args))]
    args = tuple(
        ops.where(mask, s, a) if a.shape == node.shape and a.dtype.kind == "f" else a
        for a, s in zip(node.args, safe, strict=True)
    )
    return args, build(op, args, node.attrs)


def fit(g: Node, x: Node) -> Node:
    """Sum a gradient down to the shape of its operand (undoing a broadcast), in its dtype."""
    if g.shape != x.shape:
        g = _summed(ops.broadcast_to(g, ops.core.broadcast(g.shape, x.shape)), x.shape)
    return g if g.dtype == x.dtype and not g.weak else ops.astype(g, x.dtype)


def _summed(g: Node, shape: Shape) -> Node:
    extra = g.ndim - len(shape)
    if extra:
        g = ops.sum(g, tuple(range(extra)))
    stretched = tuple(k for k, s in enumerate(shape) if s == 1 and g.shape[k] != 1)
    return ops.sum(g, stretched, True) if stretched else g


def gradients(loss: Node, wrt: Sequence[Node]) -> list[Node]:
    """Return d(loss)/d(node) for each of `wrt`; zeros where the loss does not depend on it."""
    for node in wrt:
        _differentiable(node)
    loss = scalar(loss, "what is differentiated")
    bar = backward({loss: ops.ones_like(loss)}, wrt)
    return [bar[w] if w in bar else ops.zeros_like(w) for w in wrt]


def _differentiable(node: Any) -> None:
    if not isinstance(node, Node):
        raise DtypeError(
            f"a derivative is taken with respect to a node, not {type(node).__name__}",
            "make a leaf first: x = pc.value(2.0, 'x')",
        )
    if node.dtype.kind != "f":
        raise DtypeError(
            f"{node!r} holds {node.dtype}: a derivative needs real numbers that can move",
            "give it as floats, for example pc.value(2.0, 'x')",
            node.where,
        )


# -- of functions ------------------------------------------------------------------------------


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
    """Return f(args) and the function that pulls a gradient g of f back: g ↦ gᵀ ∂f/∂args.

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
    seeds = dict(zip(outputs, (lift(s) for s in leaves(g)), strict=True))
    for node, seed in seeds.items():
        if node.shape != seed.shape:
            raise ShapeError(
                f"the gradient {show(seed.shape)} must have the shape of the result, {show(node.shape)}"
            )
    bar = backward(seeds, frame.inputs)
    return [bar[w] if w in bar else ops.zeros_like(w) for w in frame.inputs]


def jvp(function: Function, args: Sequence[Any], directions: Sequence[Any]) -> tuple[Any, Any]:
    """Return f(args) and its slope along a direction: ∂f/∂args · direction.

    The pull-back is linear in its gradient u, so its own pull-back is the push-forward.

    >>> jvp(lambda x: x * x, [3.0], [1.0])
    (np.float64(9.0), np.float64(6.0))
    """
    frame = Frame(function, tuple(args), {}, range(len(args)))
    outputs = [lift(o) for o in leaves(frame.output)]
    probes = [value(np.zeros(o.shape, o.dtype), "u") for o in outputs]
    bar = backward(dict(zip(outputs, probes, strict=True)), frame.inputs)
    moves = dict(zip(frame.inputs, (lift(d) for d in leaves(list(directions))), strict=True))
    pairs = {bar[w]: move for w, move in moves.items() if w in bar}
    pushed = backward(pairs, probes) if pairs else {}
    slopes = [pushed[p] if p in pushed else ops.zeros_like(p) for p in probes]
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
        ops.reshape(ops.stack(c), (*shape, *w.shape)) if c else lift(np.zeros((*shape, *w.shape)))
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
        if any(not -len(args) <= k < len(args) for k in numbers):
            raise ArgumentError(f"argnums {argnums} for a call with {len(args)} arguments")
        self.args = [args[k] for k in numbers]
        self.nested = any(isinstance(leaf, Node) for leaf in leaves(list(args)))
        self.inputs = [_leaf(x) for x in leaves(self.args)]
        moving = like(self.args, self.inputs)
        full = list(args)
        for k, arg in zip(numbers, moving, strict=True):
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
        _differentiable(x)
        return build(OPS["identity"], (x,), (("token", object()),))
    array = numeric(x, "an argument")
    array = array.astype(float) if isinstance(x, int) and not isinstance(x, bool) else array
    leaf = value(array, "x")
    _differentiable(leaf)
    return leaf


# -- a reader's own rule -------------------------------------------------------------------------


def custom_gradient(rule: Function) -> Function:
    """Give a function of nodes its own backward rule: `rule(g, y, *args)` returns one gradient each.

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
    "custom", "y, *xs, rule=None", numpy="y", formula="$y", kind="view", dtype="first", internal=True,
    shape=lambda y, *_, rule: y, vjp=_ruled, says="a value with a backward rule of the reader's own",
)  # fmt: skip
