"""A whole training run as one function: epochs, shuffling, batches, steps, and the guard.

train     takes so many steps and returns; it goes on where it was, within an epoch as well
gradients forward and backward, as loops        update    the optimizer, as one loop
evaluate  loss and metrics of held-out samples, at every epoch's end
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pellucid import dims
from pellucid.dims import Dim, Shape, Size
from pellucid.graph import Node
from pellucid.ops.places import plus, scaled
from pellucid.show import library
from pellucid.show.loops import Looped, Memory, broken
from pellucid.show.naming import safe

CLOCK = ("epoch", "start", "step", "failed", "most", "slot")  # where training is, how far to go
INT = np.dtype(np.int64)
FLUSH = 0x8040  # of the processor's rounding mode: subnormal results and operands are 0
COUNTS = ("rows", "batch", "held", "since", "shuffled", "logged")


@dataclass(frozen=True, eq=False)
class Run:
    """A printed run: its text, and the arrays and numbers that it is called with, in order."""

    entry: str
    source: str
    memory: tuple[Memory, ...]
    logs: tuple[str, ...]  # what each column of `logs` is
    counts: tuple[str, ...]  # the numbers that come after the arrays
    working: tuple[Memory, ...] = ()  # of these arrays, those that a step works in


@dataclass(frozen=True, eq=False)
class Parts:
    """What a run is made of: its functions, the masks it draws, and where its arrays are."""

    gradients: Looped
    update: Looped
    evaluate: Looped | None
    masks: Sequence[tuple[str, Shape, float | None]]  # name, shape, share kept; None: normal
    dtype: np.dtype[Any]
    title: str
    bounds: Looped | None = None  # what updated parameters are brought back to
    classes: Mapping[str, int] = field(default_factory=dict)  # what metrics ask of each, by name

    @property
    def feeds(self) -> list[tuple[str, Node]]:
        """The inputs that come in batches: X, Y and, where there are any, weights."""
        masks = {name for name, _, _ in self.masks}
        pairs = self.gradients.inputs.items()
        return [(k, v) for k, v in pairs if v.op is None and k not in masks and k != "params"]


def run(parts: Parts) -> Run:
    """Print a whole run."""
    memory = tuple(_memory(parts))
    names = [*(m.name for m in memory), *COUNTS]
    main = [*_wrapped("def train(", names), *(broken(f"    {line}") for line in _train(parts))]
    functions = [f for f in (parts.gradients, parts.update, parts.bounds, parts.evaluate) if f]
    kinds = {keep is None for _, _, keep in parts.masks}
    used = ["finite", "shuffle", "absorb", *(["word", "unit"] if False in kinds else [])]
    used += ["gauss"] if True in kinds else []
    source = _module(parts.title, functions, main, used, parts.dtype)
    return Run("train", source, memory, tuple(_logged(parts)), COUNTS, _working(parts, memory))


def _working(parts: Parts, memory: Sequence[Memory]) -> tuple[Memory, ...]:
    """Return the arrays of a step beside parameters, gradients and the optimizer's state."""
    names = {f"{name}_batch" for name, _ in parts.feeds} | {name for name, _, _ in parts.masks}
    for function, _, prefix in _functions(parts)[:2]:
        names |= {f"{prefix}{m.name}" for m in function.arrays if m.data is None}
    results = {m.name for m in parts.gradients.arrays if m.name.startswith("d_")}
    views = {f"d_{name}" for name in parts.gradients.inputs}
    return tuple(m for m in memory if m.name in names and m.name not in results & views)


def _module(
    title: str, functions: Sequence[Looped], main: Sequence[str], used: list[str], dtype: Any
) -> str:
    """Return the whole text: the library's functions, then what was printed."""
    used = [name for f in functions for name in f.uses] + used
    helpers = [library.functions()[name] for name in library.needed(used)]
    own = ["@loops(noalias=True)\n" + "\n".join(f.lines) for f in functions]
    gemm = "sgemm" if dtype.itemsize == 4 else "dgemm"
    top = [f'"""{title}"""', "", "import numpy as np", "", "f32 = np.float32",
           "f64 = np.float64", *([f"gemm = {gemm}"] if _multiplies(used) else [])]  # fmt: skip
    parts = ["\n".join(top), *helpers, *own, "\n".join(["@exact", *main])]
    return "\n\n\n".join(parts) + "\n"


def prediction(forward: Looped, dtype: np.dtype[Any]) -> Run:
    """Print a forward pass over all rows, some at a time so that they stay in the cache."""
    memory = [Memory(k, _sized(v.shape, "rows"), v.dtype) for k, v in forward.inputs.items()]
    for m in forward.arrays:
        whole = "rows" if m.name == "prediction" else "chunk"
        memory.append(Memory(m.name, _sized(m.shape, whole), m.dtype, m.data))
    cut = {"X": forward.inputs["X"].shape, "prediction": forward.arrays[0].shape}
    own = {name: _part(name, shape) for name, shape in cut.items()}
    args = [own.get(p, p) for p in forward.parameters]
    counts = ("rows", "chunk")
    main = [
        *_wrapped("def run(", [*(m.name for m in memory), *counts]),
        "    for start in range(0, rows, chunk):",
        "        n = min(chunk, rows - start)",
        f"        predict({', '.join(args)})",
    ]
    source = _module("The forward pass, compiled.", [forward], main, [], dtype)
    return Run("run", source, tuple(memory), (), counts)


def _part(name: str, shape: Shape) -> str:
    """Return some rows of an array: n of them, from `start` on."""
    rest = shape[1:]
    sizes = ", ".join(map(str, ("n", *rest)))
    return f"part({name}, start * {dims.product(rest)}, ({sizes}{',' if not rest else ''}))"


def _multiplies(used: Sequence[str]) -> bool:
    return any(name.startswith("product") for name in used)


def _logged(parts: Parts) -> list[str]:
    by_class = [name for name, size in parts.classes.items() for _ in range(size)]
    held = [*parts.evaluate.returns, *by_class] if parts.evaluate else []
    return [*parts.gradients.returns, *by_class, *(f"val_{name}" for name in held)]


def _width(parts: Parts) -> int:
    """Return how many numbers of a batch are averaged."""
    return len(parts.gradients.returns) + sum(parts.classes.values())


def _memory(parts: Parts) -> Iterable[Memory]:
    """Yield every array of a run, in the order of its arguments."""
    yield from (Memory(k, _sized(x.shape, "rows"), x.dtype) for k, x in parts.feeds)
    if parts.evaluate:
        held = [(k, x) for k, x in parts.evaluate.inputs.items() if x.op is None]
        yield from (Memory(f"held_{k}", _sized(x.shape, "held"), x.dtype) for k, x in held)
    yield from (Memory(f"{k}_batch", _sized(x.shape, "batch"), x.dtype) for k, x in parts.feeds)
    feeds = dict(parts.feeds)
    for name, leaf in {**parts.gradients.inputs, **parts.update.inputs}.items():
        if leaf.shape and name not in feeds:
            yield Memory(name, _sized(leaf.shape, "batch"), leaf.dtype)
    for function, size, prefix in _functions(parts):
        for m in function.arrays:
            yield Memory(f"{prefix}{m.name}", _sized(m.shape, size), m.dtype, m.data)
    yield from _records(parts)


def _records(parts: Parts) -> Iterable[Memory]:
    """Yield what a run keeps about itself."""
    real, words = np.dtype(float), np.dtype(np.uint64)
    rows: Any = "rows"
    logged: Any = "logged"
    yield Memory("order", (rows,), INT)
    yield Memory("keys", (1 + len(parts.masks),), words)
    yield Memory("clock", (len(CLOCK),), INT)
    yield Memory("rates", (1,), real)
    yield Memory("totals", (_width(parts),), real)
    yield Memory("last", (_width(parts),), real)
    yield Memory("logs", (logged, len(_logged(parts))), real)


def _functions(parts: Parts) -> list[tuple[Looped, str, str]]:
    """Return each function with the size of its batch and the prefix of its arrays in `train`."""
    found = [(parts.gradients, "batch", ""), (parts.update, "batch", "update_")]
    found += [(parts.bounds, "batch", "back_")] if parts.bounds else []
    return [*found, *([(parts.evaluate, "held", "held_")] if parts.evaluate else [])]


def _sized(shape: Shape, batch: str) -> Any:
    """Return the shape in terms of the numbers that `train` is given."""
    return tuple(_renamed(size, batch) for size in shape)


def _renamed(size: Size, batch: str) -> Any:
    if not isinstance(size, Dim):
        return size
    terms = [
        dims.term(tuple(batch if s == "n" else s for s in m), c) for m, c in size.terms.items()
    ]
    return " + ".join(terms)


# -- the function that trains --------------------------------------------------------------------


def _train(parts: Parts) -> Iterable[str]:
    yield '"""Take steps from where the clock stands; stop at the first that is not finite."""'
    yield "epoch, start, step, failed, most = clock[0], clock[1], clock[2], 0, clock[4]"
    yield "slot = clock[5]"
    yield "learning_rate = rates[0]"
    # a number below 1e-38 takes a hundred times as long as others, and Adam's mean of a unit that
    # has died comes to rest there: it counts as 0
    yield "mode = float_mode(0)"
    yield f"set_float_mode(mode | {FLUSH:#x})  # what is too small for all its digits is 0"
    yield "for _ in range(most):"
    for line in _step(parts):
        yield f"    {line}" if line else ""
    yield "clock[0], clock[1], clock[2], clock[3], clock[5] = epoch, start, step, failed, slot"
    yield "set_float_mode(mode)"
    yield "return failed"


def _step(parts: Parts) -> Iterable[str]:
    g, u = parts.gradients, parts.update
    yield "if start == 0 and batch < rows and shuffled:"
    yield "    shuffle(order, absorb(keys[0], epoch))"
    yield "n = min(batch, rows - start)"
    yield "if batch < rows:"
    yield "    for i in range(n):"
    yield "        row = order[start + i]"
    for name, leaf in parts.feeds:
        yield from (f"        {line}" for line in _copied(name, leaf))
    yield "step += 1"
    for k, (name, shape, keep) in enumerate(parts.masks):
        yield from _drawn(k, name, shape, keep, parts.dtype)
    feeds = {name: f"{name}_batch" for name, _ in parts.feeds}
    yield _call(g, feeds, "")
    yield f"check = {_call(u, {'t': 'step - since'}, 'update_')}"
    if parts.bounds:
        yield f"check += {_call(parts.bounds, {}, 'back_')}"
    yield "if not finite(loss + check):"
    yield "    failed = 1"
    yield "    break"
    for k, name in enumerate(map(safe, g.returns)):
        yield f"last[{k}] = {name}"
        yield f"totals[{k}] += {name} * (n / rows)"
    for k, name, size in _places(parts, g):
        yield f"for j in range({size}):"
        yield f"    last[{k} + j] = {name}[j]"
        yield f"    totals[{k} + j] += {name}[j] * (n / rows)"
    yield "start += n"
    yield "if start == rows:"
    yield from (f"    {line}" for line in _epoch_end(parts))


def _epoch_end(parts: Parts) -> Iterable[str]:
    count = _width(parts)
    yield f"for k in range({count}):"
    yield "    logs[slot, k] = totals[k]"
    yield "    totals[k] = 0.0"
    if parts.evaluate:
        e = parts.evaluate
        feeds = {k: f"held_{k}" for k, leaf in e.inputs.items() if leaf.op is None}
        yield _call(e, {**feeds, "n": "held"}, "held_", "val_")
        for k, name in enumerate(map(safe, e.returns)):
            yield f"logs[slot, {count + k}] = val_{name}"
        for k, name, size in _places(parts, e):
            yield f"for j in range({size}):"
            yield f"    logs[slot, {count + k} + j] = held_{name}[j]"
    yield "epoch += 1"
    yield "start = 0"
    yield "slot = slot + 1 if slot + 1 < logged else 0"


def _places(parts: Parts, function: Looped) -> Iterable[tuple[int, str, int]]:
    """Yield where the numbers of each class begin in a row of logs, their array and its size."""
    place = len(function.returns)
    for name, size in parts.classes.items():
        yield place, safe(name), size
        place += size


def _copied(name: str, leaf: Node) -> Iterable[str]:
    """Copy one sample into the batch."""
    letters, pad = "jklpq"[: leaf.ndim - 1], ""
    for letter, size in zip(letters, leaf.shape[1:], strict=True):
        yield f"{pad}for {letter} in range({size}):"
        pad += "    "
    rest = "".join(f", {x}" for x in letters)
    yield f"{pad}{name}_batch[i{rest}] = {name}[row{rest}]"


def _drawn(k: int, name: str, shape: Shape, keep: float | None, dtype: Any) -> Iterable[str]:
    """Draw a mask or noise, bit for bit as `rng.uniform` and `rng.noise` do."""
    letters = "ijklpq"[: len(shape)]
    yield f"key = absorb(keys[{k + 1}], step)"
    pad, place = "", ""
    for letter, size in zip(letters, shape, strict=True):
        yield f"{pad}for {letter} in range({size}):"
        place = letter if not place else plus(scaled(place, size), letter)
        pad += "    "
    kind = "f32" if dtype.itemsize == 4 else "f64"
    drawn = f"gauss(key, {place})" if keep is None else f"unit(word(key, {place})) < {keep!r}"
    yield f"{pad}{name}[{', '.join(letters)}] = {kind}({drawn})"


def _call(function: Looped, given: dict[str, str], prefix: str, out: str = "") -> str:
    """Call a function with its arrays under the names that they have in `train`."""
    own = {m.name: f"{prefix}{m.name}" for m in function.arrays}
    args = [own.get(p, given.get(p, p)) for p in function.parameters]
    returned = ", ".join(f"{out}{safe(name)}" for name in function.returns)
    call = f"{function.name}({', '.join(args)})"
    return call if function.returns in ([], ["check"]) else f"{returned} = {call}"


def _wrapped(head: str, names: Sequence[str]) -> list[str]:
    """Break a long list of parameters into lines."""
    lines, line = [], head
    for k, name in enumerate(names):
        part = f"{name}, " if k + 1 < len(names) else f"{name}):"
        if len(line) + len(part) > 96:
            lines.append(line.rstrip())
            line = " " * 10
        line += part
    return [*lines, line]
