"""Exercises: readable backward code with exactly one slip, printed from the table of slips."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from pellucid.backward import backward
from pellucid.check.backprop import check_backprop
from pellucid.check.chain import Chain, Place, chain_of, places, walk
from pellucid.check.slips import BY_CODE, SLIPS, Fault
from pellucid.errors import ArgumentError, PellucidError, one_of
from pellucid.graph import Array, symbolic
from pellucid.model import Sequential
from pellucid.nn.network import BATCH, Network
from pellucid.ops import ones_like
from pellucid.passes import Graph, fused, simplified, unlabeled
from pellucid.rules import shares
from pellucid.run import load
from pellucid.show.python import Program, Section, source

Function = Callable[..., Any]


@dataclass(frozen=True, eq=False)
class Planted:
    """Backward code with one slip in it: read `source`, and say which with `check`.

    `code` is the answer, and `says` explains it; neither is shown by printing.
    """

    source: str
    code: str
    says: str
    like: Sequential = field(repr=False)
    parameters: tuple[str, ...] = field(repr=False)

    def __repr__(self) -> str:
        return self.source

    def function(self) -> Function:
        """Return the code as a student: f(params, X, y) -> {"W1": gradient, …}."""
        loaded, names = load(self.source, "backward"), self.parameters

        def backward(params: Mapping[str, Array], X: Array, y: Array) -> dict[str, Array]:
            found = loaded(X, y, *(params[k] for k in names))
            return dict(zip(names, found, strict=True))

        return backward

    def check(self, answer: str) -> bool:
        """Say whether the answer is the slip, or one that gives the same numbers.

        Raises: ArgumentError for an answer that is no code of a slip.
        """
        if answer not in BY_CODE:
            raise one_of("slip", answer, BY_CODE)
        if answer == self.code:
            return True
        X, y = _samples(self.like)
        report = check_backprop(self.function(), like=self.like, X=X, y=y)
        return self.code in report.slips and answer in report.slips


def planted_bug(model: Sequential, seed: int = 0, code: str | None = None) -> Planted:
    """Print readable backward code for a model, with exactly one slip: spot the bug.

    Args: `model`, of dense layers, with a loss; `seed`, which slip and where; `code`, which slip.
    Returns: a `Planted`: `.source`, `.check(answer)`, `.function()`, and `.code`, the answer.
    Raises: ArgumentError for another kind of model, or a slip that has no place in it.

    >>> from pellucid.model import Sequential
    >>> from pellucid.nn.layer import Dense
    >>> model = Sequential([Dense(2, "tanh", inputs=2), Dense(1)], loss="mse")
    >>> bug = planted_bug(model, seed=1, code="bias-averaged")
    >>> bug.check("sign"), bug.check("bias-averaged")
    (False, True)
    """
    if code is not None and code not in BY_CODE:
        raise one_of("slip", code, BY_CODE)
    net = model._built
    chain = chain_of(model, net)
    if chain is None:
        raise ArgumentError(
            "the model is no chain of dense layers with a loss",
            'pc.Sequential([pc.Dense(3, "tanh", inputs=2), pc.Dense(1)], loss="mse")',
        )
    written = _Writer(chain, net)
    right = written.program(())
    for fault in _shuffled(written.layers, seed, code):
        bug = _planted(model, written, fault)
        if bug is not None and bug.source != source(right) and _shows(bug, model):
            return bug
    raise ArgumentError(f"the slip {code!r} has no place in this model", "choose another one")


def _shuffled(layers: tuple[Place, ...], seed: int, code: str | None) -> Iterator[Fault]:
    """Yield every slip that can be printed, in an order that the seed decides."""
    rng = np.random.default_rng(seed)
    for k in rng.permutation(len(SLIPS)):
        slip = SLIPS[k]
        if code not in (None, slip.code):
            continue
        some = [f for f in slip.forms if f.printed or code is not None]
        found = [Fault(slip, f, p.number, x) for f in some for x in f.pieces for p in layers
                 if (x != "error" or p.last) and (x != "pass" or p.number > 1)]  # fmt: skip
        yield from (found[i] for i in rng.permutation(len(found)))


def _planted(model: Sequential, written: _Writer, fault: Fault) -> Planted | None:
    place = written.layers[fault.layer - 1]
    try:
        if not fault.form.when(place):
            return None
        text = source(written.program((fault,)))
    except (PellucidError, ValueError, TypeError, AttributeError, IndexError):
        return None  # this form has no place here
    says = f"{fault.slip.says}: {fault.form.written}; {fault.slip.fix}"
    return Planted(text, fault.slip.code, says, model, tuple(written.params))


class _Writer:
    """The backward pass of a chain on symbols."""

    def __init__(self, chain: Chain, net: Network) -> None:
        kind = np.dtype(float)
        self.params = {s.name: symbolic(s.name, s.shape, kind) for s in net.slots}
        self.X = symbolic("X", (BATCH, *net.input_shape), kind)
        self.Y = symbolic("Y", (BATCH, *net.output_shape), kind)
        target = shares(self.Y) if chain.loss.targets == "classes" else self.Y
        self.loss = chain.loss
        self.layers = _merged(places(chain, self.params, self.X, target))

    def program(self, faults: tuple[Fault, ...]) -> Program:
        """Return the code: the forward pass, then the gradients, with these slips."""
        forward = {f"{k}{p.number}": n for p in self.layers for k, n in (("z", p.z), ("a", p.a))}
        back = {k if k.startswith("d_") else f"d_{k}": n for k, n in walk(self.layers, faults)}
        if any(n is self.layers[-1].merged for n in back.values()):
            del back[f"d_a{len(self.layers)}"]
        loss = self.loss(self.layers[-1].a, self.layers[-1].y)
        graph = unlabeled({**forward, "loss": loss, **back}, {**forward, **back})
        done = simplified(Graph(graph.outputs, graph.names))
        out = done.outputs
        sections = [
            Section("forward", {k: out[k] for k in (*forward, "loss")}),
            Section("backward", {k: out[k] for k in back if k[2:] in self.params or k in out}),
        ]
        returns = [f"d_{k}" for k in self.params]
        inputs = [self.X, self.Y, *self.params.values()]
        doc = f"Return the gradient of {self.loss.name} for each parameter."
        return Program("backward", inputs, sections, returns, done.names, doc)


def _merged(layers: tuple[Place, ...]) -> tuple[Place, ...]:
    """Return the layers with ŷ - y for the last δ, where loss and activation cancel to it."""
    last = layers[-1]
    whole = Graph({"loss": last.loss(last.a, last.y), "z": last.z}, {})
    merged = fused(whole)
    if merged.outputs["loss"] is whole.outputs["loss"]:
        return layers
    loss, z = merged.outputs["loss"], merged.outputs["z"]
    delta = backward({loss: ones_like(loss)}, [z])[z]
    return (*layers[:-1], replace(last, merged=delta))


def _samples(model: Sequential) -> tuple[Array, Array]:
    """Return samples for a model, with targets that its loss takes."""
    rng = np.random.default_rng(3)
    net, loss = model._built, model.loss_function
    X = rng.normal(size=(6, *net.input_shape))
    wide = net.output_shape
    if loss is not None and loss.targets == "classes":
        return X, np.eye(wide[0])[rng.permutation(np.arange(6) % wide[0])]
    if loss is not None and loss.targets in ("binary", "signs"):
        flags = np.arange(6 * int(np.prod(wide))).reshape(6, *wide) % 2
        return X, flags * 1.0 if loss.targets == "binary" else flags * 2.0 - 1
    return X, np.abs(rng.normal(size=(6, *wide)))


def _shows(bug: Planted, model: Sequential) -> bool:
    """Say whether the slip changes any gradient, and is found to be what it is."""
    X, y = _samples(model)
    return bug.code in check_backprop(bug.function(), like=model, X=X, y=y).slips
