"""Layers that PyTorch does not have, as classes of PyTorch: their formula, traced and printed.

elementwise   an activation       formula   a layer with arrays of its own, and with what it keeps
composite     a layer that holds others: it takes their modules, one for each branch
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from textwrap import indent
from typing import Any, Literal

import numpy as np

from pellucid.dims import Shape
from pellucid.graph import Node, build, lift, order
from pellucid.nn.layer import Composite, Layer, activation, named_activation
from pellucid.nn.network import BATCH, Placed
from pellucid.op import Op
from pellucid.passes import fused, unlabeled
from pellucid.rewrite import substitute
from pellucid.show import torch as printer
from pellucid.show.python import Program, Section

SHAPE = re.compile(r"  # \([^()]*\)$")  # what the printer says of a value


@dataclass(frozen=True)
class Written:
    """A class of PyTorch: its name as far as it is free, and its text below the first line."""

    name: str
    body: str
    base: str = "nn.Module"

    def text(self, name: str) -> str:
        """Return the whole class under some name."""
        return f"class {name}({self.base}):\n{indent(self.body, '    ')}"


@dataclass(frozen=True, eq=False)
class Branch:
    """Layers in a row inside a composite, and the shape of one sample that comes in."""

    placed: tuple[Placed, ...]
    shape: Shape


def leaf(name: str, shape: Shape, dtype: np.dtype[Any]) -> Node:
    """Return an input under any name, `self.W` too, for it is printed as it is."""
    return Node(None, (), (), name=name, shape=shape, dtype=dtype, symbolic=True)


def _input(shape: Shape, dtype: np.dtype[Any]) -> Node:
    return leaf("x", (BATCH, *shape), dtype)


def elementwise(chosen: Any, shape: Shape, dtype: np.dtype[Any]) -> Written:
    """Return an activation as a class."""
    x, function = _input(shape, dtype), activation(chosen)
    assert function is not None
    return Written(_title(named_activation(chosen)), _forward([x], {"y": lift(function(x))}))


def formula(placed: Placed, shape: Shape, dtype: np.dtype[Any]) -> Written:
    """Return a layer as a class, with its parameters, and its state as buffers."""
    layer, x = placed.layer, _input(shape, dtype)
    learned, kept = layer.parameters(shape), layer.state(shape)
    p = {key: leaf(f"self.{key}", v.shape, dtype) for key, v in (learned | kept).items()}
    makes = [f"self.{k} = nn.Parameter(torch.zeros({v.shape}))" for k, v in learned.items()]
    makes += [f'self.register_buffer("{k}", torch.zeros({v.shape}))' for k, v in kept.items()]
    body = [_init([], makes)] if makes else []
    training = _training(layer, x, p)
    body += [_forward([x, *p.values()], {"y": lift(layer(x, p))}, switch=bool(training))]
    return Written(_title(type(layer).__name__), "\n\n".join([*body, *training]))


def _training(layer: Layer, x: Node, p: Mapping[str, Node]) -> list[str]:
    """Return the method for training, where a layer has a formula of its own for that."""
    if type(layer).train is Layer.train:
        return []
    found = layer.train(x, p, _drawn)
    out, state = found if isinstance(found, tuple) else (found, {})
    values = {"y": lift(out), **{f"new_{k}": lift(v) for k, v in state.items()}}
    return [_method("learning", [x, *p.values()], values, keeps=list(state))]


def _drawn(shape: Shape, keep: float | Literal["normal"]) -> Node:
    """Return what PyTorch draws: a mask that is 1 for the share that is kept, or normal numbers."""
    how = "normal_()" if keep == "normal" else f"bernoulli_({keep!r})"
    at_random = f"torch.empty(shape, dtype=x.dtype, device=x.device).{how}"
    return build(_call(at_random, "shape=()", shape), (), (("shape", shape),))


def _call(text: str, signature: str, shape: Shape) -> Op:
    """Return an op that is a call of PyTorch's, for one place in one program."""
    return Op(
        name="h",
        signature=signature,
        numpy=text,
        torch=text,
        formula="",
        says="what PyTorch gives",
        kind="opaque",
        shape=lambda *_, **__: shape,
        dtype=lambda *kinds, **_: kinds[0] if kinds else np.dtype(float),
    )


# -- layers that hold layers ---------------------------------------------------------------------


def composite(placed: Placed, shape: Shape, dtype: np.dtype[Any]) -> tuple[Written, list[Branch]]:
    """Return a composite as a class, and the branches whose modules it takes, in order."""
    x = _input(shape, dtype)
    calls: dict[Node, Placed] = {}
    out = _composed(placed, x, calls)
    chains = _chains(out, calls)
    branches = [Branch(tuple(calls[c] for c in chain), chain[0].args[0].shape[1:])
                for chain in chains]  # fmt: skip
    names = [f"branch{k}" for k in range(1, len(branches) + 1)]
    init = [_init(names, [f"self.{name} = {name}" for name in names])] if names else []
    forward = _forward([x], {"y": _with_branches(out, chains, names)})
    return Written(_title(type(placed.layer).__name__), "\n\n".join([*init, forward])), branches


def _composed(placed: Placed, x: Any, calls: dict[Node, Placed]) -> Node:
    """Return a composite's output, with a call for each layer in it, which is noted in `calls`.

    One that takes several values is a formula of theirs, written where it is used.
    """
    inner = iter(placed.inner)

    def call(_: Layer, given: Any) -> Node:
        one = next(inner)
        if isinstance(given, (tuple, list)):
            return _composed(one, given, calls)
        out = build(_call("h(v)", "v", (BATCH, *one.shape)), (lift(given),))
        calls[out] = one
        return out

    assert isinstance(placed.layer, Composite)
    return lift(placed.layer.compose(x, call))


def _chains(out: Node, calls: Mapping[Node, Placed]) -> list[list[Node]]:
    """Put calls in a row where one's output goes to the next, and nowhere else."""
    nodes = order([out])
    readers = Counter([a for node in nodes for a in node.args] + [out])
    chains: dict[Node, list[Node]] = {}  # by the last call of each
    for node in nodes:
        if node in calls:
            before = node.args[0]
            alone = before in chains and readers[before] == 1
            chains[node] = [*chains.pop(before), node] if alone else [node]
    return list(chains.values())


def _with_branches(out: Node, chains: Sequence[Sequence[Node]], names: Iterable[str]) -> Node:
    """Write one call for each row of calls."""
    places: dict[Node, Node] = {}
    for chain, name in zip(chains, names, strict=True):
        (given,) = substitute([chain[0].args[0]], places)
        places[chain[-1]] = build(_call(f"self.{name}(v)", "v", chain[-1].shape), (given,))
    return substitute([out], places)[0]


# -- text ----------------------------------------------------------------------------------------


def _init(names: Sequence[str], lines: Iterable[str]) -> str:
    head = f"def __init__({', '.join(['self', *names])}):"
    return "\n".join([head, "    nn.Module.__init__(self)", *(f"    {line}" for line in lines)])


def _forward(inputs: Sequence[Node], values: Mapping[str, Node], switch: bool = False) -> str:
    first = ["if self.training:", "    return self.learning(x)"] if switch else []
    return _method("forward", inputs, values, first)


def _method(
    name: str,
    inputs: Sequence[Node],
    values: Mapping[str, Node],
    first: Sequence[str] = (),
    keeps: Sequence[str] = (),
) -> str:
    """Print a graph as a method of x that returns y; `keeps` are buffers that it overwrites."""
    graph = fused(unlabeled(values, {}, inputs[0].dtype))
    program = Program(name, inputs, [Section("", graph.outputs)], list(values), graph.names)
    *lines, last = printer.body(program)
    y, *news = last.removeprefix("return ").split(", ")
    stores = [f"self.{key} = {new}.detach()" for key, new in zip(keeps, news, strict=True)]
    whole = (*first, *lines, *stores, f"return {y}")
    plain = (SHAPE.sub("", line) for line in whole)  # one class may serve several shapes
    return "\n".join([f"def {name}(self, x):", *(f"    {line}" for line in plain)])


def _title(name: str) -> str:
    """Return a name for a class: LeakyRelu for leaky_relu."""
    words = "".join(c if c.isalnum() or c == "_" else "_" for c in name).split("_")
    joined = "".join(w[:1].upper() + w[1:] for w in words)
    return joined if joined.isidentifier() else "Formula"
