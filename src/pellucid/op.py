"""An op: one known operation, written once, and its NumPy text as a function or in a formula.

Op                what it computes, how it looks, how it differentiates      OPS  all of them
expression(op, …) its text with operands in place        compiled(op, …)  its text as a function
HELPERS           functions that printed programs define for themselves
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from pellucid import text
from pellucid.dims import Shape

Attrs = tuple[tuple[str, Any], ...]
Kind = Literal["map", "reduce", "contract", "view", "gather", "scatter", "index", "dim", "opaque"]


@dataclass(frozen=True, eq=False)
class Op:
    """One operation, written once: what it computes, how it looks, how it differentiates."""

    name: str
    signature: str  # operands, then settings with their defaults: "x, axis=None, keepdims=False"
    numpy: str  # the forward in those names: an expression, or a whole `def` where one is needed
    formula: str  # LaTeX, operands as $x
    says: str
    kind: Kind
    shape: Callable[..., Shape]
    dtype: Callable[..., np.dtype[Any]]
    vjp: Any = None  # per operand (g, y, *args, **attrs) -> node | None; or one for all of them
    level: int = 9  # how tightly the formula binds: sum 1, product 2, power 3, closed 9
    same_as: Callable[..., Any] | None = None  # the same value spelled with smaller ops
    commutes: bool = False
    masks: bool = False  # chooses by its first operand, and hides what it does not choose
    hides: Any = None  # per operand: (*args) -> where its size does not matter, for max and kin
    picks: bool = False  # takes some elements of its first operand, and leaves the others
    moves: bool = False  # hands values on as they are, to other places
    steep: bool = False  # its slope can be infinite: it must not meet a slope that a choice made 0
    internal: bool = False  # made by other functions only, not offered by name
    domain: tuple[tuple[float, float], ...] = ((-2.0, 2.0),)  # per operand, where tests sample
    monoid: tuple[float, str] | None = None  # a reduction's identity and combining op
    index: Callable[..., tuple[str, ...]] | None = None  # of a view: (its index, x, y) -> that of x
    # of what is put together: (its index, its shape, *operands' shapes) -> where an element comes
    # from, as (condition, operand, index there); no operand is 0, the last has no condition
    pieces: Callable[..., list[tuple[str, int | None, tuple[str, ...]]]] | None = None
    torch: str = ""  # the same in PyTorch, for conformance and export
    onnx: str = ""
    note: str = ""  # a second sentence for the reference: why it is computed this way, sources
    examples: tuple[dict[str, Any], ...] = ({},)  # settings, and "shapes", that the tests try
    operands: tuple[str, ...] = field(init=False)
    settings: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        parts = [part.strip() for part in self.signature.split(",")]
        plain = tuple(p for p in parts if "=" not in p)
        pairs = (p.split("=") for p in parts if "=" in p)
        object.__setattr__(self, "operands", plain)
        object.__setattr__(self, "settings", {k: text.parsed(v) for k, v in pairs})

    @property
    def helper(self) -> str:
        """The function that printed programs define for it, where one line will not do."""
        return self.numpy[4 : self.numpy.index("(")] if self.numpy.startswith("def ") else ""

    def __repr__(self) -> str:
        return f"<op {self.name}({self.signature})>"

    def domain_of(self, k: int) -> tuple[float, float]:
        return self.domain[min(k, len(self.domain) - 1)]


OPS: dict[str, Op] = {}


def exact(value: Any) -> Any:
    """Return a key equal only for exactly equal settings: -0.0 is not 0.0, True is not 1."""
    if isinstance(value, (tuple, list)):
        return tuple(exact(v) for v in value)
    if isinstance(value, slice):
        return ("slice", exact((value.start, value.stop, value.step)))
    if isinstance(value, (bool, int, float, str, type(None))):
        return (type(value), repr(value))
    return value


_compiled: dict[Any, Callable[..., Any]] = {}


def compiled(op: Op, attrs: Attrs, count: int) -> Callable[..., Any]:
    """Return the op's NumPy text as a function of its operands."""
    if op.helper:
        return _with_settings(scope([op.helper])[op.helper], attrs)
    if not op.operands or not op.operands[-1].startswith("*"):
        found = _compiled.get(op)
        if found is None:
            tree, free = text.parsed(op.numpy), ", ".join((*op.operands, *op.settings))
            found = _compiled[op] = eval(f"lambda {free}: {op.numpy}", scope(text.names(tree)))
        return _with_settings(found, attrs)
    return _variadic(op, attrs, count)


def _with_settings(function: Callable[..., Any], attrs: Attrs) -> Callable[..., Any]:
    return (lambda *args: function(*args, **dict(attrs))) if attrs else function


def _variadic(op: Op, attrs: Attrs, count: int) -> Callable[..., Any]:
    key = (op, count, exact(tuple(v for _, v in attrs)))
    found = _compiled.get(key)
    if found is None:
        free = [f"x{k}" for k in range(count)]
        tree = expression(op, attrs, [text.name(x) for x in free])
        code = f"lambda {', '.join(free)}: {text.unparse(tree)}"
        found = eval(code, scope(text.names(tree)))
        if len(_compiled) < 10_000:
            _compiled[key] = found
    return found


def expression(op: Op, attrs: Attrs, args: Sequence[Any]) -> Any:
    """Return the op's NumPy text as a tree, its operands and settings in place."""
    settings = {key: text.literal(v) for key, v in attrs}
    fixed = len(op.operands) - any(o.startswith("*") for o in op.operands)
    parts: dict[str, Any] = dict(zip(op.operands[:fixed], args, strict=False))
    if fixed < len(op.operands):
        parts[op.operands[-1][1:]] = list(args[fixed:])
    source = op.numpy
    if op.helper:
        usual = text.defaults(op.numpy)
        told = {k: text.unparse(v) for k, v in settings.items()}
        keys = "".join(f", {k}={v}" for k, v in told.items() if usual.get(k) != v)
        source = f"{op.helper}({', '.join(op.operands)}{keys})"
    # settings first: an index setting speaks of its operands as `indices[0]`
    return text.fill(text.fill(text.parsed(source), settings), parts)


HELPERS: dict[str, str] = {}  # functions that printed programs define for themselves, by name
_scope: dict[str, Any] = {"np": np, "__name__": "pellucid.ops"}
_loaded: dict[str, str] = {}  # the text of each helper in that scope


def helpers_of(names: Iterable[str]) -> list[str]:
    """Return the helpers that these names need, in the order to define them."""
    found: dict[str, None] = {}
    for name in names:
        if name in HELPERS and name not in found:
            inner = [word for word in text.words(HELPERS[name]) if word != name]
            found |= dict.fromkeys([*helpers_of(inner), name])
    return list(found)


def scope(names: Iterable[str]) -> dict[str, Any]:
    """Return a namespace in which printed expressions with these names run."""
    for name in helpers_of(names):
        if _loaded.get(name) != HELPERS[name]:  # new, or entered again with another text
            exec(HELPERS[name], _scope)
            _loaded[name] = HELPERS[name]
    return _scope
