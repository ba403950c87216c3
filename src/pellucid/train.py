"""From a network, a loss and an optimizer to programs: one training step, and what else is asked.

Blueprint   what a model is made of, and the graphs that follow from it, each traced once
.step()     forward, loss, gradients, update     .predict()  .evaluate()  .gradients()  …
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from pellucid import ops
from pellucid.dims import Shape
from pellucid.errors import ArgumentError
from pellucid.graph import Node, order, symbolic
from pellucid.losses import Loss
from pellucid.metrics import metric
from pellucid.nn.layer import Draw
from pellucid.nn.network import BATCH, Network, forward, parameters, penalty
from pellucid.op import HELPERS
from pellucid.optim import Optimizer
from pellucid.passes import Graph, differentiated, fused, simplified, unlabeled
from pellucid.rules import shares
from pellucid.show.python import Program, Section

Function = Callable[..., Any]
# what every printed step calls its own values
STEP_NAMES = (
    *("X", "Y", "sample_weight", "params", "t", "learning_rate", "n", "np", "step"),
    *("loss", "data_loss", "scores", "prediction", "grads"),
)


@dataclass(frozen=True, eq=False)
class Mask:
    """A dropout mask that the step takes as input: 1 for the share that is kept."""

    leaf: Node
    keep: float


@dataclass(frozen=True, eq=False)
class Blueprint:
    """A network with its loss, optimizer, metrics and precision: everything but the numbers."""

    net: Network
    loss: Loss
    optimizer: Optimizer
    metrics: tuple[str | Function, ...]
    dtype: np.dtype[Any]

    @cached_property
    def X(self) -> Node:
        return symbolic("X", (BATCH, *self.net.input_shape), self.dtype)

    @cached_property
    def Y(self) -> Node:
        return symbolic("Y", (BATCH, *self.net.output_shape), self.dtype)

    @cached_property
    def weights(self) -> Node:
        return symbolic("sample_weight", (BATCH,), self.dtype)

    @cached_property
    def flat(self) -> Node:
        return symbolic("params", (self.net.size,), self.dtype)

    @cached_property
    def state(self) -> dict[str, Node]:
        taken = self._taken()
        for name in filter(taken, self.optimizer.state):
            raise ArgumentError(
                f"{type(self.optimizer).__name__} calls a state {name!r}, which means something "
                "else in the training step",
                "give it another name",
            )
        return {name: symbolic(name, (self.net.size,), self.dtype) for name in self.optimizer.state}

    def step(self, weighted: bool = False) -> Step:
        """Trace one training step."""
        masks: list[Mask] = []
        traced = self.traced(self.drawing(masks), weighted)
        graph = self.with_gradients(traced)
        grads = _joined([graph.outputs[f"d_{s.name}"] for s in self.net.slots])
        t, rate = number_leaf("t"), number_leaf("learning_rate")
        new, state = self.optimizer.update(self.flat, grads, self.state, t, rate)
        stores = {**state, "params": new}
        whole = unlabeled(
            {**graph.outputs, "grads": grads, **{f"new_{k}": v for k, v in stores.items()}}
        )
        named = Graph(whole.outputs, {**whole.names, **graph.names}, graph.steps)
        done = simplified(named)
        inputs = [self.X, self.Y, *([self.weights] if weighted else []), *(m.leaf for m in masks)]
        inputs += [self.flat, *self.state.values(), t, rate]
        used = {*order(done.outputs.values()), self.X, self.Y, self.flat, *self.state.values()}
        program = self._printed_step(done, [x for x in inputs if x in used], list(stores))
        return Step(program, masks, done)

    def drawing(self, masks: list[Mask]) -> Draw:
        """Return what makes dropout masks: each is an input, which is noted in `masks`."""

        def draw(shape: Shape, keep: float) -> Node:
            leaf = symbolic(f"mask{len(masks) + 1}", shape, self.dtype)
            masks.append(Mask(leaf, keep))
            return leaf

        return draw

    def _printed_step(self, graph: Graph, inputs: Sequence[Node], stores: Sequence[str]) -> Program:
        out = graph.outputs
        views = {s.name: out[s.name] for s in self.net.slots}
        slopes = {f"d_{s.name}": out[f"d_{s.name}"] for s in self.backwards()}
        returns = ["loss", *(k for k in ("data_loss",) if k in out), *self.measured(out)]
        told = [k for k in ("data_loss", "loss") if k in out] + self.measured(out)
        update = Section("update", {}, {name: out[f"new_{name}"] for name in stores})
        sections = [
            Section("the parameters are views of one flat array", views),
            Section("forward", {k: out[k] for k in told}),
            Section("backward", {**slopes, "grads": out["grads"]}),
            update,
        ]
        how = f"{type(self.optimizer).__name__} on {self.loss.name}"
        doc = f"Train on one batch: {how}. Return the loss."
        return Program("step", inputs, sections, returns, graph.names, doc)

    def backwards(self) -> list[Any]:
        """Return the slots from the last layer to the first, W before b."""
        return sorted(self.net.slots, key=lambda s: (-s.layer, s.start))

    def measured(self, outputs: dict[str, Node]) -> list[str]:
        return [name for name, _ in self._metrics if name in outputs]

    @cached_property
    def _metrics(self) -> list[tuple[str, Function]]:
        found = [metric(m, self.loss) for m in self.metrics]
        taken = self._taken(self.optimizer.state)
        return [(f"{name}_metric" if taken(name) else name, f) for name, f in found]

    def _taken(self, others: Sequence[str] = ()) -> Callable[[str], bool]:
        """Return whether a name already stands for something in the printed step."""
        names = {*STEP_NAMES, *HELPERS, *others, *(s.name for s in self.net.slots)}
        return lambda name: name in names or name.startswith(("d_", "new_", "mask", "_"))

    def traced(self, draw: Any, weighted: bool, fuse: bool = True) -> Graph:
        """Trace forward pass, loss and metrics; loss and last activation merged, if `fuse`."""
        p = parameters(self.net, self.flat)
        values = forward(self.net, self.X, p, draw)
        out = list(values.values())[-1] if values else self.X
        target = shares(self.Y) if self.loss.targets == "classes" else self.Y
        data_loss = self._loss(out, target, weighted)
        extra = penalty(self.net, p)
        outputs = {"loss": data_loss if extra is None else data_loss + extra}
        if extra is not None:
            outputs["data_loss"] = data_loss
        linked = self.loss.link(out) if self.loss.link else out
        outputs |= {name: _single(name, f(linked, self.Y)) for name, f in self._metrics}
        outputs |= p | {"scores": out, "prediction": linked}
        graph = unlabeled(outputs, {**p, **values}, self.dtype)
        return fused(graph) if fuse else graph

    def _loss(self, out: Node, target: Node, weighted: bool) -> Node:
        if not weighted:
            return _single(f"the loss {self.loss.name!r}", self.loss(out, target))
        if self.loss.name == "custom":
            raise ArgumentError("sample weights need a loss by name", 'for example loss="mse"')
        each = self.loss(out, target, reduction="none")
        each = ops.mean(each, tuple(range(1, each.ndim))) if each.ndim > 1 else each
        return ops.mean(self.weights * each)  # type: ignore[no-any-return]

    def with_gradients(self, graph: Graph) -> Graph:
        """Add d_W1, …; say so where a parameter does not reach the loss."""
        if not self.net.slots:
            hint = "add a layer that has some: pc.Dense(1)"
            raise ArgumentError("the model has no parameters to train", hint)
        wrt = [graph.outputs[s.name] for s in self.net.slots]
        slopes = differentiated(graph, "loss", wrt)
        for s in self.net.slots:
            if f"d_{s.name}" not in slopes.outputs:
                layer = type(self.net.layers[s.layer]).__name__
                raise ArgumentError(
                    f"the loss does not depend on {s.name}, of layer {s.layer + 1}, {layer}",
                    "use it in the layer's formula, or do not declare it",
                )
        return slopes

    # -- programs that do not train ------------------------------------------------------------

    def predict(self, raw: bool = False) -> Program:
        """The output for X: probabilities or values; the scores, if raw."""
        graph = simplified(self.traced(None, False))
        return self._plain(
            "predict",
            graph,
            {"prediction": graph.outputs["scores" if raw else "prediction"]},
            [self.X],
        )

    def evaluate(self, weighted: bool = False) -> Program:
        """Loss and metrics for X and Y, as they are for prediction: without dropout."""
        graph = simplified(self.traced(None, weighted))
        names = [
            "loss",
            *(k for k in ("data_loss",) if k in graph.outputs),
            *self.measured(graph.outputs),
        ]
        inputs = [self.X, self.Y, *([self.weights] if weighted else [])]
        return self._plain("evaluate", graph, {k: graph.outputs[k] for k in names}, inputs)

    def gradients(self, weighted: bool = False) -> Program:
        """The loss and the gradient of every parameter, without dropout."""
        graph = simplified(self.with_gradients(self.traced(None, weighted)))
        wanted = {f"d_{s.name}": graph.outputs[f"d_{s.name}"] for s in self.net.slots}
        inputs = [self.X, self.Y, *([self.weights] if weighted else [])]
        return self._plain("gradients", graph, wanted, inputs)

    def activations(self) -> Program:
        """Every z and a, and the output, by name."""
        p = parameters(self.net, self.flat)
        values = forward(self.net, self.X, p)
        graph = unlabeled({**p, **values}, {**p, **values}, self.dtype)
        return self._plain("activations", graph, {k: graph.outputs[k] for k in values}, [self.X])

    def _plain(
        self, name: str, graph: Graph, values: dict[str, Node], inputs: list[Node]
    ) -> Program:
        views = Section("", {s.name: graph.outputs[s.name] for s in self.net.slots})
        return Program(
            name, [*inputs, self.flat], [views, Section("", values)], list(values), graph.names
        )


@dataclass(frozen=True, eq=False)
class Step:
    """The program of one training step, the masks it takes, and its graph."""

    program: Program
    masks: list[Mask] = field(default_factory=list)
    graph: Graph | None = None


def _joined(parts: Sequence[Node]) -> Node:
    flat = [ops.ravel(g) for g in parts]
    return flat[0] if len(flat) == 1 else ops.concatenate(flat)  # type: ignore[no-any-return]


def number_leaf(name: str) -> Node:
    """Return a leaf for a Python number that is given at every step."""
    return Node(None, (), (), shape=(), dtype=np.dtype(float), weak=True, symbolic=True, name=name)


def _single(name: str, node: Any) -> Node:
    if not isinstance(node, Node) or node.shape != ():
        shape = node.shape if isinstance(node, Node) else type(node).__name__
        raise ArgumentError(
            f"{name} must be a single number for a batch, but is {shape}",
            "average over the samples: pc.mean(…)",
        )
    return node
