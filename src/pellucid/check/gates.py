"""Check one gate of a learner's own: an object with forward(*inputs) and backward(g).

What is right is measured: the forward pass is differentiated numerically, to ten digits.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pellucid.check.calling import Stop, attempt, parameters
from pellucid.check.convict import near
from pellucid.check.slip_report import Candidate, Compared, Proof, SlipReport
from pellucid.check.slips import BY_CODE
from pellucid.check.stopped import stopped
from pellucid.errors import ArgumentError, PellucidError
from pellucid.graph import FUNCTIONS, Array, value
from pellucid.ops import ones_like

Forward = Callable[..., Any]
STENCIL = ((1, 8 / 12), (-1, -8 / 12), (2, -1 / 12), (-2, 1 / 12))  # of fourth order
# fmt: on
RELATED = ("relu", "sigmoid", "tanh", "leaky_relu", "elu", "softplus", "swish", "gelu")


def check_gate(gate: Any, *inputs: Any, tolerance: float = 1e-6) -> SlipReport:
    """Check a gate of one's own: what its backward returns, against its forward's slopes.

        right = Σ g · ∂forward/∂input,   by central differences of fourth order

    Args: `gate`, an object with `forward(*inputs)` and `backward(g)`, or its class; `inputs`,
    numbers or arrays; `tolerance`, relative. Returns: a `SlipReport` whose parameters are the
    inputs, x1, x2, …. Raises: ArgumentError for something without the two methods.

    >>> class Multiply:
    ...     def forward(self, x, y):
    ...         self.x, self.y = x, y
    ...         return x * y
    ...     def backward(self, g):
    ...         return g * self.x, g * self.y
    >>> check_gate(Multiply(), 3.0, -4.0).slips
    ('transpose',)
    """
    for name in ("forward", "backward"):
        if not callable(getattr(gate, name, None)):
            raise ArgumentError(f"{gate!r} has no method {name}", "give it forward and backward")
    if not inputs:
        raise ArgumentError("the gate has no inputs", "pc.check_gate(gate, 2.0, 3.0)")
    arrays = [np.array(x, dtype=float) for x in inputs]
    name = getattr(gate, "__name__", type(gate).__name__)
    try:
        return _Bench(gate, name, tolerance).verdict(arrays)
    except Stop as stop:
        return stopped(name, [stop], 0)


@dataclass(frozen=True, eq=False)
class Heard:
    """One forward and backward pass: inputs, upstream gradient, what came back, what is right."""

    inputs: list[Array]
    output: Array
    g: Array
    yours: list[Array]
    right: list[Array]


class _Bench:
    """A gate under test."""

    def __init__(self, gate: Any, name: str, tolerance: float) -> None:
        self.gate, self.name, self.tolerance = gate, name, tolerance

    def verdict(self, inputs: list[Array]) -> SlipReport:
        """Return the report: on the caller's inputs, on others, and in a second call."""
        twin = self._new()
        own = self._hear(twin, inputs)
        again = self._hear_turned(twin, inputs)
        fresh = self._hear(self._new(), _other(inputs, 2))
        for heard, before in ((own, None), (fresh, None), (again, own)):
            if not self._fine(heard):
                also = [h for h in (own, fresh) if before is None and not self._fine(h)]
                return self._report(heard, before, also)
        return self._report(own, None, [])

    def _new(self) -> Any:
        return attempt(self.gate) if isinstance(self.gate, type) else copy.deepcopy(self.gate)

    def _hear(self, gate: Any, inputs: list[Array]) -> Heard:
        kept = [_handed(x) for x in inputs]
        output = np.asarray(attempt(gate.forward, *kept), dtype=float)
        g = np.random.default_rng(4).uniform(0.5, 1.5, output.shape)
        takes = len(parameters(gate.backward))
        result = attempt(gate.backward, _handed(g)) if takes else attempt(gate.backward)
        yours = [
            np.asarray(r, float)
            for r in (result if isinstance(result, (tuple, list)) else [result])
        ]
        if len(yours) != len(inputs):
            raise Stop(
                ValueError(f"backward returned {len(yours)} values for {len(inputs)} inputs")
            )
        forward = self._new().forward
        right = [_slope(forward, inputs, k, g if takes else np.ones_like(g))
                 for k in range(len(inputs))]  # fmt: skip
        known = _known(inputs, output)
        if known is not None:  # exact, also at a kink
            right = _library(known, inputs, g)
        return Heard(inputs, output, g, yours, right)

    def _hear_turned(self, gate: Any, inputs: list[Array]) -> Heard:
        """Hear it on inputs of the other sign, where it takes them: they switch a mask."""
        other = _other(inputs, 1)
        turned = [np.asarray(-x) for x in other]
        return self._hear(gate, turned if self._takes(turned) else other)

    def _takes(self, inputs: list[Array]) -> bool:
        try:
            with np.errstate(all="ignore"):
                found = attempt(self._new().forward, *map(_handed, inputs))
        except Stop:
            return False
        return bool(np.isfinite(np.asarray(found, dtype=float)).all())

    def _fine(self, heard: Heard) -> bool:
        return all(map(self._near, heard.yours, heard.right))

    def _near(self, one: Array, two: Array) -> bool:
        size = float(np.abs(two).max()) if two.size else 0.0
        return near(one, two, self.tolerance) or (
            one.shape == two.shape and bool(np.abs(one - two).max() <= 1e-9 * max(1.0, size))
        )

    def _report(self, heard: Heard, before: Heard | None, also: Sequence[Heard]) -> SlipReport:
        names = [f"x{k + 1}" for k in range(len(heard.inputs))]
        table = {
            n: self._compared(n, a, b)
            for n, a, b in zip(names, heard.yours, heard.right, strict=True)
        }
        off = [k for k, n in enumerate(names) if not table[n].ok]
        if not off:
            return SlipReport(True, self.name, parameters=table)
        codes = list(dict.fromkeys(self._explained(heard, before, also)))
        return SlipReport(
            False, self.name, names[off[0]], tuple(codes), _candidates(codes), not codes, table,
            notes=("in a second call, on other inputs, it is wrong",) if before else (),
            sentence=BY_CODE[codes[0]].says if codes else "no known slip gives these numbers",
            fix=BY_CODE[codes[0]].fix if codes else "", proof=_proof(names, heard, off[0]),
        )  # fmt: skip

    def _compared(self, name: str, yours: Array, right: Array) -> Compared:
        alike, ok = yours.shape == right.shape, self._near(yours, right)
        error = float(np.abs(yours - right).max()) if alike else float("inf")
        size = float(np.abs(right).max()) or 1.0
        return Compared(name, yours.shape, error, error / size, ok)

    def _explained(
        self, heard: Heard, before: Heard | None, also: Sequence[Heard]
    ) -> Iterator[str]:
        """Yield the slips that give these numbers, on all inputs on which the gate was wrong."""
        for code, make in _slips(before):
            try:
                if all(self._meets(make(h), h) for h in (heard, *also)):
                    yield code
            except (ValueError, PellucidError, IndexError):
                continue

    def _meets(self, made: Sequence[Array] | None, heard: Heard) -> bool:
        """Say whether each gradient is the slipped one, or right."""
        if made is None:
            return False
        pairs = list(zip(heard.yours, made, heard.right, strict=True))
        return all(self._near(y, m) or self._near(y, r) for y, m, r in pairs)


Made = Callable[[Heard], Any]


def _slips(before: Heard | None) -> Iterator[tuple[str, Made]]:
    """Yield every slip of a gate, likeliest first."""
    if before is not None:
        old = before
        yield "accumulated", lambda h: [r + o for r, o in zip(h.right, old.yours, strict=True)]
        yield "stale-cache", lambda h: _numeric_at(h, old)
    yield "sign", lambda h: [-r for r in h.right]
    yield "transpose", _swapped
    yield "missing-derivative", lambda h: [np.broadcast_to(h.g, r.shape) for r in h.right]
    yield "wrong-delta", lambda h: [_local(h, k) for k in range(len(h.inputs))]
    yield "factor-two", lambda h: [r / 2 for r in h.right]
    yield "factor-two", lambda h: [2 * r for r in h.right]
    yield "derivative-at-activation", _at_output
    yield "broadcast", lambda h: [_as_broadcast(h, k) for k in range(len(h.inputs))]
    yield "wrong-mask", _masked
    for name in RELATED:
        yield "wrong-activation", _by_activation(name)
    for form in (
        lambda g, y: g * (1 - y * y),
        lambda g, y: g * y * (1 - y),
        lambda g, y: g * (y > 0),
    ):
        yield "wrong-activation", _by_output(form)
    yield "transpose", lambda h: [y.T.reshape(r.shape) if y.shape == r.shape[::-1] else r
                                  for y, r in zip(_turned(h), h.right, strict=True)]  # fmt: skip
    yield "elementwise-product", _elementwise


def _swapped(h: Heard) -> list[Array] | None:
    alike = len(h.right) == 2 and h.right[0].shape == h.right[1].shape
    return h.right[::-1] if alike else None


def _turned(h: Heard) -> list[Array]:
    """Return matrix products in which the transposes are forgotten."""
    a, b = h.inputs
    return [h.g @ b if b.shape[0] == b.shape[1] else h.g @ b.T,
            a @ h.g if a.shape[0] == a.shape[1] else a.T @ h.g]  # fmt: skip


def _elementwise(h: Heard) -> list[Array] | None:
    return [h.g * x for x in h.inputs[::-1]] if len(h.inputs) == 2 else None


def _local(h: Heard, k: int) -> Array:
    """Return the local slope: the right gradient without what arrives."""
    return h.right[k] / h.g if h.right[k].shape == h.g.shape else h.right[k] / h.g.mean()


def _numeric_at(h: Heard, old: Heard) -> list[Array]:
    """Return the slopes at the inputs of before, with what arrives now."""
    return [r / old.g * h.g if r.shape == h.g.shape else r for r in old.right]


def _at_output(h: Heard) -> list[Array] | None:
    known = _known(h.inputs, h.output)
    if known is None or len(h.inputs) != 1:
        return None
    return _library(known, [h.output], h.g)


def _by_activation(name: str) -> Made:
    return lambda h: _library(name, h.inputs, h.g) if len(h.inputs) == 1 else None


def _masked(h: Heard) -> list[Array] | None:
    known = _known(h.inputs, h.output) == "relu"
    return [h.g * (h.inputs[0] >= 0)] if known else None


def _by_output(form: Callable[[Array, Array], Array]) -> Made:
    return lambda h: [form(h.g, h.output)] if len(h.inputs) == 1 else None


def _as_broadcast(h: Heard, k: int) -> Array:
    """Return a gradient that was not summed where its input was copied."""
    yours, right = h.yours[k], h.right[k]
    extra = tuple(range(yours.ndim - right.ndim))
    summed = yours.sum(axis=extra)
    axes = tuple(i for i, s in enumerate(right.shape) if s == 1 and summed.shape[i] != 1)
    same = np.allclose(summed.sum(axis=axes, keepdims=True), right, rtol=1e-6)
    return yours if same else right


# -- what is right -------------------------------------------------------------------------------


def _slope(forward: Forward, inputs: Sequence[Array], k: int, g: Array) -> Array:
    """Return d(Σ g · forward)/d(input k), numerically."""
    found = np.zeros(inputs[k].shape)
    for index in np.ndindex(found.shape):
        h = 1e-3 * max(1.0, abs(float(inputs[k][index])))
        for steps, weight in STENCIL:
            moved = [x.copy() for x in inputs]
            moved[k][index] += steps * h
            y = np.asarray(attempt(forward, *map(_handed, moved)), dtype=float)
            found[index] += weight * float((y * g).sum()) / h
    return found


def _handed(x: Array) -> Any:
    return x.copy() if x.ndim else float(x)


def _other(inputs: Sequence[Array], seed: int) -> list[Array]:
    """Return other inputs of the same shapes and signs: a logarithm stays possible."""
    rng = np.random.default_rng(seed)
    return [np.asarray(x * rng.uniform(0.6, 1.4, x.shape)) for x in inputs]


def _known(inputs: Sequence[Array], output: Array) -> str | None:
    """Return the library's op that gives the same value, if there is one with a kink."""
    if len(inputs) != 1:
        return None
    for name in RELATED:
        made = FUNCTIONS[name](value(inputs[0], "x")).value
        if made.shape == output.shape and np.allclose(made, output, rtol=1e-12, atol=0):
            return name
    return None


def _library(name: str, inputs: Sequence[Array], g: Array) -> list[Array]:
    from pellucid.backward import backward

    leaf = value(inputs[0], "x")
    node = FUNCTIONS[name](leaf)
    seed = ones_like(node) * value(np.broadcast_to(g, inputs[0].shape), "g")
    return [np.array(backward({node: seed}, [leaf])[leaf].value)]


def _proof(names: Sequence[str], heard: Heard, k: int) -> Proof | None:
    yours, right = heard.yours[k], heard.right[k]
    if yours.shape != right.shape:
        return None
    worst = tuple(int(i) for i in np.unravel_index(np.abs(yours - right).argmax(), right.shape))
    return Proof(names[k], worst, float(yours[worst]), float(right[worst]))


def _candidates(codes: Sequence[str]) -> tuple[Candidate, ...]:
    if len(codes) < 2:
        return ()
    return tuple(Candidate((c,), (), BY_CODE[c].says) for c in codes)
