"""The graph: immutable nodes, equal ones shared.  It knows nothing about any particular op.

Node  an op applied to nodes, or a leaf: constant | value | input
build(op, args, attrs)  the node, made once       order(outputs)  nodes below, arguments first
evaluate(outputs)       their arrays              FUNCTIONS  what nodes answer to, by name
"""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from pellucid import dims
from pellucid.dims import Dim, Shape
from pellucid.errors import ArgumentError, DtypeError, ShapeError, TraceError, outside
from pellucid.op import OPS, Attrs, Op, compiled, exact

Array = np.ndarray[Any, np.dtype[Any]]


FUNCTIONS: dict[str, Callable[..., Any]] = {}  # public functions by name, NumPy's aliases included


def _binary(name: str) -> Callable[[Any, Any], Any]:
    return lambda self, other: FUNCTIONS[name](self, other)


def _reflected(name: str) -> Callable[[Any, Any], Any]:
    return lambda self, other: FUNCTIONS[name](other, self)


def _method(name: str) -> Callable[..., Any]:
    return lambda self, *args, **settings: FUNCTIONS[name](self, *args, **settings)


def _as_function(name: str) -> Callable[..., Any]:
    """A method that is NumPy's function of that name, with its order of arguments."""

    def call(self: Node, *args: Any, **settings: Any) -> Any:
        return FUNCTIONS["__function__"](getattr(np, name), (self, *args), settings)

    return call


class Node:
    """An op applied to nodes, or a leaf.  Immutable; equal op nodes are one node."""

    __slots__ = (
        "__weakref__", "_value", "args", "attrs", "data", "dtype", "line", "name", "op", "shape",
        "symbolic", "traced", "weak",
    )  # fmt: skip
    op: Op | None
    args: tuple[Node, ...]
    attrs: Attrs
    shape: Shape
    dtype: np.dtype[Any]
    weak: bool  # a Python number, whose dtype yields to that of arrays
    symbolic: bool  # no data below it: a value needs a feed
    traced: bool  # moves with an argument that a derivative is being taken for
    name: str
    data: Any
    line: tuple[str, int] | None
    _value: Any

    def __init__(
        self,
        op: Op | None,
        args: tuple[Node, ...],
        attrs: Attrs,
        *,
        shape: Shape,
        dtype: np.dtype[Any],
        symbolic: bool,
        traced: bool = False,
        weak: bool = False,
        name: str = "",
        data: Any = None,
    ) -> None:
        put = object.__setattr__
        put(self, "op", op)
        put(self, "args", args)
        put(self, "attrs", attrs)
        put(self, "shape", shape)
        put(self, "dtype", dtype)
        put(self, "weak", weak)
        put(self, "symbolic", symbolic)
        put(self, "traced", traced)
        put(self, "name", name)
        put(self, "data", data)
        put(self, "line", _user_line())
        put(self, "_value", None)

    def __setattr__(self, key: str, value: Any) -> None:
        raise AttributeError("a node never changes; build a new one from it")

    def __setitem__(self, index: Any, value: Any) -> None:
        raise TraceError(
            f"x[…] = … would change {self!r}, and nodes never change",
            "choose with pc.where(condition, new, x), or join pieces with pc.concatenate",
        )

    def __copy__(self) -> Node:
        return self

    def __deepcopy__(self, memo: Any) -> Node:
        return self

    @property
    def value(self) -> Array:
        """The node's array, computed when first asked for and read-only."""
        if self._value is None:
            array = np.asarray(evaluate([self])[0])
            if array.flags.writeable:
                array = array.view()
                array.flags.writeable = False
            object.__setattr__(self, "_value", array)
        kept: Array = self._value
        return kept

    @property
    def ndim(self) -> int:
        """How many axes it has."""
        return len(self.shape)

    @property
    def size(self) -> dims.Size:
        """How many elements it has."""
        return dims.product(self.shape)

    @property
    def settings(self) -> dict[str, Any]:
        """The op's settings at this node, such as {"axis": 1}."""
        return dict(self.attrs)

    @property
    def where(self) -> str:
        """The line of the reader's code that built this node."""
        return f"{self.line[0]}:{self.line[1]}" if self.line else ""

    @property
    def is_constant(self) -> bool:
        return self.op is None and not self.name and not self.symbolic

    def __repr__(self) -> str:
        kind = self.op.name if self.op else ("constant" if self.is_constant else "leaf")
        label = f" {self.name}" if self.name else ""
        short = self.data if self.is_constant and self.ndim == 0 else ""
        return f"<{kind}{label} {short}{dims.show(self.shape)} {self.dtype}>"

    def _decided(self, asked: str) -> Array:
        if self.symbolic:
            raise TraceError(
                f"Python asked for {asked} of {self!r}, which has no data yet",
                "choose between arrays with pc.where(condition, a, b), or trace with data: "
                "pc.grad(function)(array)",
            )
        if self.size != 1:
            raise TraceError(
                f"Python asked for {asked} of {self!r}, which has {self.size} elements",
                "reduce it first (pc.sum, pc.max, np.all), or read node.value",
            )
        return self.value

    def _taken_out(self, asked: str) -> Any:
        """Return the single number, unless a slope would silently be lost with it."""
        if self.traced and self.dtype.kind == "f":
            raise TraceError(
                f"Python asked for {asked} of {self!r} while a derivative is being taken",
                "use NumPy's functions (np.exp, not math.exp), which nodes follow; "
                "for a number on purpose, node.value",
            )
        return self._decided(asked).item()

    def __bool__(self) -> bool:
        return bool(self._decided("the truth"))

    def __float__(self) -> float:
        return float(self._taken_out("the number"))

    def __int__(self) -> int:
        return int(self._taken_out("the integer"))

    def __index__(self) -> int:
        return self._taken_out("the index").__index__()  # type: ignore[no-any-return]

    def __format__(self, spec: str) -> str:
        return format(self._decided("the number").item(), spec) if spec else repr(self)

    def __len__(self) -> int:
        if not self.shape:
            raise TraceError(f"{self!r} has no length: it is a single number")
        if isinstance(self.shape[0], Dim):
            raise TraceError(f"len of {self!r}: the batch size is not known", "use node.shape[0]")
        return self.shape[0]

    def __iter__(self) -> Iterator[Node]:
        return (self[k] for k in range(len(self)))

    def __array__(self, *_: Any, **__: Any) -> Array:
        raise TraceError(
            f"np.asarray of {self!r} would cut it out of the graph",
            "read node.value for its array; join nodes with pc.stack or pc.concatenate",
        )

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **settings: Any) -> Any:
        return FUNCTIONS["__ufunc__"](ufunc, method, *inputs, **settings)

    def __array_function__(self, function: Any, types: Any, args: Any, settings: Any) -> Any:
        return FUNCTIONS["__function__"](function, args, settings)

    __hash__ = object.__hash__
    __add__, __radd__ = _binary("add"), _reflected("add")
    __sub__, __rsub__ = _binary("subtract"), _reflected("subtract")
    __mul__, __rmul__ = _binary("multiply"), _reflected("multiply")
    __truediv__, __rtruediv__ = _binary("divide"), _reflected("divide")
    __floordiv__, __rfloordiv__ = _binary("floor_divide"), _reflected("floor_divide")
    __mod__, __rmod__ = _binary("mod"), _reflected("mod")
    __pow__, __rpow__ = _binary("power"), _reflected("power")
    __matmul__, __rmatmul__ = _binary("matmul"), _reflected("matmul")
    __lt__, __le__ = _binary("less"), _binary("less_equal")
    __gt__, __ge__ = _binary("greater"), _binary("greater_equal")
    __eq__, __ne__ = _binary("equal"), _binary("not_equal")
    __and__, __rand__ = _binary("bitwise_and"), _reflected("bitwise_and")
    __or__, __ror__ = _binary("bitwise_or"), _reflected("bitwise_or")
    __xor__, __rxor__ = _binary("bitwise_xor"), _reflected("bitwise_xor")
    __neg__, __pos__, __abs__ = _method("negative"), _method("positive"), _method("absolute")
    __invert__, __getitem__ = _method("invert"), _binary("getitem")
    copy, conj, astype = (_method(n) for n in ("positive", "positive", "astype"))
    sum, mean, max, min = (_as_function(n) for n in ("sum", "mean", "max", "min"))
    prod, var, std, ptp = (_as_function(n) for n in ("prod", "var", "std", "ptp"))
    cumsum, cumprod, dot, clip = (_as_function(n) for n in ("cumsum", "cumprod", "dot", "clip"))
    argmax, argmin, argsort = (_as_function(n) for n in ("argmax", "argmin", "argsort"))
    all, any, round, trace = (_as_function(n) for n in ("all", "any", "round", "trace"))
    repeat, take, diagonal = (_as_function(n) for n in ("repeat", "take", "diagonal"))
    ravel, flatten, squeeze = (_as_function(n) for n in ("ravel", "ravel", "squeeze"))
    swapaxes = _as_function("swapaxes")

    @property
    def T(self) -> Node:
        """The transpose: every axis in reverse order."""
        node: Node = FUNCTIONS["transpose"](self)
        return node

    @property
    def mT(self) -> Node:
        """The transpose of every matrix in a stack: the last two axes exchanged."""
        node: Node = FUNCTIONS["matrix_transpose"](self)
        return node

    def item(self) -> Any:
        """Return a single number as Python's own."""
        return self._taken_out("the number")

    def reshape(self, *shape: Any, order: str = "C") -> Node:
        """Return the same values in another shape; one size may be -1."""
        node: Node = FUNCTIONS["reshape"](self, _one_tuple(shape), order)
        return node

    def transpose(self, *axes: Any) -> Node:
        """Return the array with its axes in another order; reversed, where none is given."""
        node: Node = FUNCTIONS["transpose"](self, _one_tuple(axes) or None)
        return node


def _one_tuple(parts: tuple[Any, ...]) -> Any:
    """NumPy's methods take x.reshape(2, 3) and x.reshape((2, 3)) alike."""
    return parts[0] if len(parts) == 1 and not isinstance(parts[0], int) else parts


_table: WeakValueDictionary[Any, Node] = WeakValueDictionary()
_lock = threading.Lock()


def _user_line() -> tuple[str, int] | None:
    frame = outside(sys._getframe(2))
    return (frame.f_code.co_filename, frame.f_lineno) if frame else None


def _shared(key: Any, new: Node) -> Node:
    """Return the node of this key: `new`, unless another thread was faster."""
    with _lock:
        return _table.setdefault(key, new)


def constant(value: Any) -> Node:
    """Return the leaf of a fixed number or array; equal scalars are one node."""
    if isinstance(value, (bool, int, float)) and not isinstance(value, np.generic):
        key = ("number", type(value), repr(value))
        node = _table.get(key)
        return _shared(key, _number(value)) if node is None else node
    array = numeric(value, "this constant")
    node = Node(None, (), (), shape=array.shape, dtype=array.dtype, data=array, symbolic=False)
    return node if array.ndim else _shared(("scalar", array.dtype.str, array.tobytes()), node)


def _number(value: Any) -> Node:
    dtype = np.dtype(type(value))
    return Node(None, (), (), shape=(), dtype=dtype, data=value, symbolic=False, weak=True)


def value(array: Any, name: str = "value") -> Node:
    """Make a leaf that carries data: the graph built on it can be read at once.

    Args: `array`, a number or anything NumPy makes a real array of (copied); `name`, for printing.
    Raises: DtypeError for strings, objects and complex numbers.

    >>> x = value(2.0, "x")
    >>> (x * x).value
    array(4.)
    """
    data = numeric(array, name)
    check_name(name)
    facts = {"shape": data.shape, "dtype": data.dtype, "data": data}
    return Node(None, (), (), name=name, symbolic=False, **facts)


def symbolic(name: str, shape: Shape, dtype: Any = np.float64) -> Node:
    """Make a leaf without data, whose shape may hold the symbolic batch size."""
    check_name(name)
    return Node(None, (), (), name=name, shape=shape, dtype=np.dtype(dtype), symbolic=True)


def numeric(value: Any, name: str) -> Array:
    """Return a read-only copy of a real array, or say why it cannot be used."""
    if isinstance(value, Node):
        raise DtypeError(f"{name} is already a node", "use it as it is, or its .value")
    array = regular(value, name).copy()
    if array.dtype.kind not in "biuf":
        raise DtypeError(
            f"{name} holds {array.dtype}, which is not a real number",
            "convert it to numbers first, for example with array.astype(float)",
        )
    array.flags.writeable = False
    return array


def regular(value: Any, name: str) -> Array:
    """Return what NumPy makes of nested lists and the like; refuse rows of different lengths."""
    try:
        return np.asarray(value)
    except ValueError as error:
        raise DtypeError(
            f"{name} is not a regular array: {error}", "make all rows equally long"
        ) from None


def check_name(name: str) -> None:
    """Refuse a name that could not stand in printed Python."""
    import builtins
    import keyword

    taken = keyword.iskeyword(name) or hasattr(builtins, name) or name in ("np", "n")
    if not isinstance(name, str) or not name.isidentifier() or taken:
        raise ArgumentError(
            f"{name!r} cannot be a name in printed code", 'use a plain word such as "x" or "W1"'
        )


def moving(node: Node) -> Node:
    """Mark a fresh node as an argument that a derivative is being taken for."""
    object.__setattr__(node, "traced", True)
    return node


def lift(x: Any) -> Node:
    """Return `x` as a node: a number or array becomes a constant, a dimension an op on sizes."""
    if isinstance(x, Node):
        return x
    if isinstance(x, Dim):
        return build(OPS["dim"], (), (("size", x),))
    return constant(x)


def build(op: Op, args: tuple[Node, ...], attrs: Attrs = ()) -> Node:
    """Return the node of this op on these arguments; equal calls give the same node."""
    key = (op, tuple(map(id, args)), exact([v for _, v in attrs]) if attrs else ())
    node = _table.get(key)
    if node is not None:
        return node
    new = _made(op, args, attrs)
    # a folded constant does not keep its arguments alive, whose ids would then mean others
    return _shared(key, new) if new.op is op else new


def _made(op: Op, args: tuple[Node, ...], attrs: Attrs) -> Node:
    shapes = tuple([a.shape for a in args])
    kinds = tuple([a.dtype.kind if a.weak else a.dtype for a in args])
    shape, dtype, weak = (_facts if attrs else _remembered)(op, shapes, kinds, attrs)
    if weak and args and all(a.is_constant for a in args):
        return constant(_folded(op, attrs, [a.data for a in args]))
    # a size is known only when data come, even where nothing else is symbolic
    counts = op.kind == "index" and not dims.known(shape)
    open_ended = op.kind == "dim" or counts or any(a.symbolic for a in args)
    traced = op.vjp != (None,) and any(a.traced for a in args)
    return Node(
        op, args, attrs, shape=shape, dtype=dtype, weak=weak, symbolic=open_ended, traced=traced
    )


WEAK = {"b": False, "i": 0, "f": 0.0}  # what stands for a Python number in NumPy's promotion


def _facts(op: Op, shapes: tuple[Shape, ...], kinds: tuple[Any, ...], attrs: Attrs) -> Any:
    """Return what the op makes of these: its shape, its dtype, and whether that is weak."""
    weak = op.kind in ("map", "dim") and "dtype" not in op.settings
    weak = weak and all(isinstance(k, str) for k in kinds)
    if None in shapes:  # inside a rule's pattern nothing has a shape
        return None, None, weak
    settings = dict(attrs)
    dtypes = [WEAK[k] if isinstance(k, str) else k for k in kinds]
    return op.shape(*shapes, **settings), op.dtype(*dtypes, **settings), weak


_remembered = lru_cache(maxsize=10_000)(_facts)


def _folded(op: Op, attrs: Attrs, data: Sequence[Any]) -> Any:
    with np.errstate(all="ignore"):
        return _as_python(compiled(op, attrs, len(data))(*map(_as_numpy, data)))


def _as_numpy(number: Any) -> Any:
    """NumPy's floats overflow to inf and divide by 0, where Python's raise."""
    return np.float64(number) if isinstance(number, float) else number


def _as_python(result: Any) -> Any:
    return result.item() if isinstance(result, (np.generic, np.ndarray)) else result


def order(outputs: Iterable[Node], stop: Iterable[Node] = ()) -> list[Node]:
    """Return every node that the outputs are made from, arguments before their readers."""
    done: dict[Node, None] = {}
    closed = stop if isinstance(stop, (dict, set)) else set(stop)
    stack = [(node, False) for node in reversed(list(outputs))]
    while stack:
        node, ready = stack.pop()
        if node in done:
            continue
        if ready or node in closed or not node.args:
            done[node] = None
        else:
            stack.append((node, True))
            stack.extend((a, False) for a in reversed(node.args))
    return list(done)


def evaluate(
    outputs: Sequence[Node],
    feed: Mapping[Node, Any] | None = None,
    sizes: Mapping[str, int] | None = None,
) -> list[Any]:
    """Return the arrays of `outputs`; `feed` gives those of symbolic leaves, `sizes` the batch."""
    values: dict[Node, Any] = dict(feed or {})
    nodes = [node for node in order(outputs, stop=values) if node not in values]
    readers = Counter(a for node in nodes for a in node.args)
    readers.update(outputs)
    with np.errstate(all="ignore"):
        for node in nodes:
            # what was read before: unless leaves are replaced, or it is a Python number, which an
            # array in its place would outweigh
            kept = None if feed or node.weak else node._value
            values[node] = computed(node, values, sizes or {}) if kept is None else kept
            for a in node.args:
                readers[a] -= 1
                if not readers[a]:
                    del values[a]
    return [values[node] for node in outputs]


def computed(node: Node, values: Mapping[Node, Any], sizes: Mapping[str, int]) -> Any:
    """Return a node's array from those of its arguments."""
    if node.op is None:
        if node.symbolic:
            raise TraceError(f"{node!r} has no data", "feed it an array, or make it pc.value(…)")
        return node.data
    attrs = node.attrs
    if sizes:
        attrs = tuple((key, _sized(v, sizes)) for key, v in attrs)
    elif node.op.kind == "dim":
        raise TraceError(f"the size {attrs[0][1]} is not known yet", "evaluate with data")
    function, args = compiled(node.op, attrs, len(node.args)), [values[a] for a in node.args]
    return _as_python(function(*map(_as_numpy, args))) if node.weak else _as_numpy(function(*args))


def _sized(value: Any, sizes: Mapping[str, int]) -> Any:
    if isinstance(value, Dim):
        return value.at(sizes)
    return tuple(_sized(v, sizes) for v in value) if isinstance(value, tuple) else value


def mismatch(what: str, *shapes: Shape, hint: str = "") -> ShapeError:
    """Return the error for shapes that do not fit together."""
    return ShapeError(f"{what}: {' and '.join(map(dims.show, shapes))}", hint)
