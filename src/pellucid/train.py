"""From a network, a loss and an optimizer to programs: one training step, and what else is asked.

Blueprint   what a model is made of, and the graphs that follow from it, each traced once
.step()     forward, loss, gradients, update     .predict()  .evaluate()  .gradients()  …
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from numbers import Real
from typing import Any, Literal

import numpy as np

from pellucid import ops
from pellucid.dims import Shape, show
from pellucid.errors import ArgumentError, ShapeError
from pellucid.graph import Array, Node, lift, order, symbolic
from pellucid.losses import Loss
from pellucid.metrics.given import Chosen
from pellucid.metrics.measures import Measures
from pellucid.nn.layer import Draw, Layer
from pellucid.nn.network import BATCH, Network, Slot, parameters, penalty, still, walked
from pellucid.op import HELPERS
from pellucid.optim import Optimizer
from pellucid.passes import Graph, differentiated, fused, simplified, unlabeled
from pellucid.rewrite import substitute
from pellucid.rules import shares
from pellucid.show.python import Program, Section

Function = Callable[..., Any]
# what every printed step calls its own values
STEP_NAMES = (
    *("X", "Y", "sample_weight", "params", "fixed", "t", "learning_rate", "n", "np", "step"),
    *("loss", "data_loss", "scores", "prediction", "grads", "clipped", "shares", "decay"),
)


@dataclass(frozen=True, eq=False)
class Mask:
    """Random numbers that the step takes as input: a mask, which is 1 for the share that is kept.

    Where no share is kept, they are normal numbers.
    """

    leaf: Node
    keep: float | None


@dataclass(frozen=True, eq=False)
class Blueprint:
    """A network with its loss, optimizer, metrics and precision: everything but the numbers."""

    net: Network
    loss: Loss
    optimizer: Optimizer
    metrics: tuple[Chosen, ...]
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
    def fixed(self) -> Node:
        """Frozen parameters and the layers' state, as one flat array."""
        return symbolic("fixed", (self.net.extra,), self.dtype)

    @cached_property
    def t(self) -> Node:
        return number_leaf("t")

    @cached_property
    def learning_rate(self) -> Node:
        return number_leaf("learning_rate")

    @cached_property
    def state(self) -> dict[str, Node]:
        """The arrays that the optimizer's formula keeps, as leaves."""
        if self.optimizer.whole:
            return {}
        taken = self._taken()
        for name in filter(taken, self.optimizer.states):
            raise ArgumentError(
                f"{type(self.optimizer).__name__} calls a state {name!r}, which means something "
                "else in the training step",
                "give it another name",
            )
        return {
            name: symbolic(name, (self.optimizer.size_of(name, self.net.size),), self.dtype)
            for name in self.optimizer.states
        }

    @cached_property
    def given(self) -> dict[str, Array]:
        """What differs from parameter to parameter, one value for each element, by its leaf's name.

        shares   the learning rate, as a multiple of the optimizer's
        decay    the weight decay
        """
        shares = [self.optimizer.share_of(s.name) for s in self.net.slots]
        decays = [self.optimizer.decay_of(s.name, len(s.shape)) for s in self.net.slots]
        sizes = [s.stop - s.start for s in self.net.slots]
        both = {"shares": shares, "decay": decays}
        return {k: np.repeat(v, sizes).astype(self.dtype) for k, v in both.items() if varies(v)}

    @cached_property
    def tables(self) -> dict[str, Node]:
        """The leaves of `given`."""
        return {name: symbolic(name, (self.net.size,), self.dtype) for name in self.given}

    def updated(self, grads: Node) -> dict[str, Node]:
        """Return what one step of the optimizer makes of its state and of the parameters."""
        if self.optimizer.whole:  # it asks for the gradient, and then decides
            return {}
        slots, optimizer = self.net.slots, self.optimizer
        rate = self.learning_rate
        share = self.tables.get("shares", optimizer.share_of(slots[0].name))
        decay = self.tables.get("decay", optimizer.decay_of(slots[0].name, len(slots[0].shape)))
        if not isinstance(share, float) or share != 1:
            rate = ops.named(rate * share, "rates")
        parts = [(s.start, s.stop) for s in slots]
        new, state = optimizer.step(self.flat, grads, self.state, self.t, rate, decay, parts)
        return {**state, "params": new}

    def step(self, weighted: bool = False) -> Step:
        """Trace one training step."""
        masks: list[Mask] = []
        graph = self.with_gradients(self.traced(self.drawing(masks), weighted))
        grads = _joined([graph.outputs[f"d_{s.name}"] for s in self.net.slots])
        stores = self.updated(grads)
        moved = {s.name: s.view(stores["params"]) for s in self.bounded}
        stores |= {k: self.bound(k, v) for k, v in moved.items()}
        stores |= {k: graph.outputs[f"new_{k}"] for k in self.kept(graph.outputs)}
        ends = {f"new_{k}": v for k, v in stores.items()}
        ends |= {f"moved_{k}": v for k, v in moved.items()}
        whole = unlabeled({**graph.outputs, "grads": grads, **ends})
        named = Graph(whole.outputs, {**whole.names, **graph.names}, graph.steps)
        done = self.scheduled(simplified(named))
        inputs = [self.X, self.Y, *([self.weights] if weighted else []), *(m.leaf for m in masks)]
        inputs += [self.flat, self.fixed, *self.state.values(), *self.tables.values()]
        inputs += [self.t, self.learning_rate]
        used = {*order(done.outputs.values()), self.X, self.Y, self.flat, *self.state.values()}
        program = self._printed_step(done, [x for x in inputs if x in used], list(stores))
        return Step(program, masks, done)

    def scheduled(self, graph: Graph) -> Graph:
        """Put the formula of a schedule where the learning rate is read.

        It comes last, so that no rule takes it apart and multiplies arrays by its pieces.
        """
        if self.optimizer.schedule is None:
            return graph
        rate = simplified(unlabeled({"rate": self.optimizer.rate(self.t)}))
        place = {self.learning_rate: rate.outputs["rate"]}
        outputs = substitute(graph.outputs.values(), place)
        named = zip(substitute(graph.names, place), graph.names.values(), strict=True)
        outputs_by_name = dict(zip(graph.outputs, outputs, strict=True))
        return Graph(outputs_by_name, {**dict(named), **rate.names}, graph.steps)

    def kept(self, outputs: Mapping[str, Any]) -> list[str]:
        """Return the names of the layers' state that a step changes."""
        return [s.name for s in self.net.fixed if f"new_{s.name}" in outputs]

    @cached_property
    def changing(self) -> list[Slot]:
        """The layers' state that a step changes."""
        p = parameters(self.net, self.flat, self.fixed)
        state = walked(self.net, self.X, p, still).state
        return [s for s in self.net.fixed if s.name in state]

    @cached_property
    def owners(self) -> dict[str, tuple[Layer, str]]:
        """The layer that a learned array belongs to, and what it is called there, by its name."""
        learned = {s.name for s in self.net.slots}
        leaves = reversed(self.net.leaves)  # of a shared layer, the first place counts
        found = {name: (x.layer, key) for x in leaves for key, name in x.owner}
        return {name: found[name] for name in found if name in learned}

    @cached_property
    def bounded(self) -> list[Slot]:
        """The parameters that are brought back after every update.

        Raises: ArgumentError where the optimizer decides by itself how far to go.
        """
        free = {s.name: s.view(self.flat) for s in self.net.slots}
        found = [s for s in self.net.slots if self.bound(s.name, free[s.name]) is not free[s.name]]
        if found and self.optimizer.whole:
            kind = type(self.optimizer).__name__
            raise ArgumentError(
                f"{kind} searches for the best step, and {found[0].name} is to be brought back "
                "after it",
                "another optimizer, or no max_norm",
            )
        return found

    def bound(self, name: str, value: Node) -> Node:
        """Return what an updated parameter is brought back to; itself where it is free."""
        layer, key = self.owners[name]
        found = layer.constrain(key, value)
        if found is not None and lift(found).shape != value.shape:
            raise ShapeError(
                f"{type(layer).__name__}.constrain makes {show(lift(found).shape)} of {key!r}, "
                f"which is {show(value.shape)}",
                "return an array of the parameter's shape, or None",
            )
        return value if found is None else lift(found)

    def drawing(self, masks: list[Mask]) -> Draw:
        """Return what draws masks and noise: each is an input, which is noted in `masks`."""

        def draw(shape: Shape, keep: float | Literal["normal"]) -> Node:
            normal = keep == "normal"
            name = f"{'noise' if normal else 'mask'}{len(masks) + 1}"
            masks.append(Mask(symbolic(name, shape, self.dtype), _share_or_none(keep)))
            return masks[-1].leaf

        return draw

    def _printed_step(self, graph: Graph, inputs: Sequence[Node], stores: Sequence[str]) -> Program:
        out = graph.outputs
        slopes = {f"d_{s.name}": out[f"d_{s.name}"] for s in self.backwards()}
        returns = ["loss", *(k for k in ("data_loss",) if k in out), *self.measured(out)]
        told = [k for k in ("data_loss", "loss") if k in out] + self.measured(out)
        kept = self.kept(out)
        bounded = [s.name for s in self.bounded]
        moved = {name: out[f"new_{name}"] for name in stores if name not in (*kept, *bounded)}
        back, followed = ({n: out[f"new_{n}"] for n in names} for names in (bounded, kept))
        shown = {name: out[f"moved_{name}"] for name in bounded}
        sections = [
            Section("the parameters are views of one flat array", self._learned(out)),
            Section("what is not learned is in another", self._unlearned(out)),
            Section("forward", {k: out[k] for k in told}),
            Section("backward", {**slopes, "grads": out["grads"]}),
            Section("update", {}, moved),
            Section("back within their bounds", {}, self._places(back), shown),
            Section("what the layers keep", {}, self._places(followed)),
        ]
        kind = type(self.optimizer).__name__
        doc = f"Train on one batch: {kind} on {self.loss.name}. Return the loss."
        if self.optimizer.whole:
            returns.append("grads")
            doc = f"Return the loss, and its gradient: {kind} asks for them where it looks."
        return Program("step", inputs, sections, returns, graph.names, doc)

    def _places(self, values: Mapping[str, Node]) -> dict[str, Node]:
        """Return values by what they are stored in: an array's name, or a place in its flat one."""
        slots = {s.name: s for s in self.net.arrays}
        return {_place(slots[name]): node for name, node in values.items()}

    def views(self, outputs: Mapping[str, Node]) -> dict[str, Node]:
        """Return every array by name, as a view of its flat array."""
        return {s.name: outputs[s.name] for s in self.net.arrays}

    def _learned(self, outputs: Mapping[str, Node]) -> dict[str, Node]:
        return {s.name: outputs[s.name] for s in self.net.slots}

    def _unlearned(self, outputs: Mapping[str, Node]) -> dict[str, Node]:
        """Return the other arrays, as far as something reads them."""
        names, kept = {s.name for s in self.net.fixed}, self.kept(outputs)
        read = set(order([v for k, v in outputs.items() if k not in names]))
        views = {k: v for k, v in self.views(outputs).items() if k in names}
        return {k: v for k, v in views.items() if v in read or k in kept}

    def backwards(self) -> list[Any]:
        """Return the slots from the last layer to the first, within others too, W before b."""
        leaves = reversed(list(enumerate(self.net.leaves)))  # of a shared one, the first place
        place = {name: k for k, leaf in leaves for _, name in leaf.owner}
        return sorted(self.net.slots, key=lambda s: (-place[s.name], s.start))

    def measured(self, outputs: Mapping[str, Any]) -> list[str]:
        """Return the columns of the metrics."""
        return [name for name in self.measures.names if name in outputs]

    @cached_property
    def measures(self) -> Measures:
        """The metrics: what a step computes for them, and what that comes to."""
        prediction = symbolic("prediction", (BATCH, *self.net.output_shape), self.dtype)
        taken = self._taken(self.optimizer.states)
        return Measures(self.metrics, self.loss, prediction, self.Y, taken)

    def _taken(self, others: Sequence[str] = ()) -> Callable[[str], bool]:
        """Return whether a name already stands for something in the printed step."""
        names = {*STEP_NAMES, *HELPERS, *others, *(s.name for s in self.net.arrays)}
        return lambda name: name in names or name.startswith(("d_", "new_", "mask", "noise", "_"))

    def traced(self, draw: Any, weighted: bool, fuse: bool = True) -> Graph:
        """Trace forward pass, loss and metrics; loss and last activation merged, if `fuse`.

        `draw` makes masks; with `still` it is as in training, but nothing is drawn: no dropout, and
        a batch's own statistics; with None as for prediction.
        """
        p = parameters(self.net, self.flat, self.fixed)
        walk = walked(self.net, self.X, p, draw)
        values = walk.values
        out = self.X if walk.out is None else walk.out
        target = shares(self.Y) if self.loss.targets == "classes" else self.Y
        data_loss = self._loss(out, target, weighted)
        extra = penalty(self.net, p)
        outputs = {"loss": data_loss if extra is None else data_loss + extra}
        if extra is not None:
            outputs["data_loss"] = data_loss
        linked = self.loss.link(out) if self.loss.link else out
        weights = self.weights if weighted else None
        outputs |= self.measures.traced(linked, self.Y, weights)
        outputs |= p | {"scores": out, "prediction": linked}
        outputs |= {f"new_{name}": new for name, new in walk.state.items()}
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
            raise _nothing_to_train(self.net)
        wrt = [graph.outputs[s.name] for s in self.net.slots]
        slopes = differentiated(graph, "loss", wrt)
        for s in self.net.slots:
            if f"d_{s.name}" not in slopes.outputs:
                both = self.net.layers[s.layer], self._inner(s)
                layer, inner = (type(x).__name__ for x in both)
                layer = layer if layer in (inner, "Shared") else f"{inner} in {layer}"
                raise ArgumentError(
                    f"the loss does not depend on {s.name}, of layer {s.layer + 1}, {layer}",
                    "use it in the layer's formula, or do not declare it",
                )
        return slopes

    def _inner(self, slot: Slot) -> Layer:
        """Return the layer that a learned array belongs to, within those that hold it."""
        return self.owners[slot.name][0]

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
        """Loss and metrics for X and Y, as they are for prediction: without dropout.

        And the prediction, where a metric needs all of it at once.
        """
        graph = simplified(self.traced(None, weighted))
        names = [
            "loss",
            *(k for k in ("data_loss",) if k in graph.outputs),
            *self.measured(graph.outputs),
            *(["prediction"] if self.measures.whole else []),
        ]
        inputs = [self.X, self.Y, *([self.weights] if weighted else [])]
        return self._plain("evaluate", graph, {k: graph.outputs[k] for k in names}, inputs)

    def gradients(self, weighted: bool = False) -> Program:
        """The loss and the gradient of every parameter, as in training, but without dropout."""
        graph = simplified(self.with_gradients(self.traced(still, weighted)))
        wanted = {f"d_{s.name}": graph.outputs[f"d_{s.name}"] for s in self.net.slots}
        inputs = [self.X, self.Y, *([self.weights] if weighted else [])]
        return self._plain("gradients", graph, wanted, inputs)

    def trained(self, weighted: bool = False) -> Program:
        """The loss as in training, of which those are the slopes: without dropout."""
        graph = simplified(self.traced(still, weighted))
        inputs = [self.X, self.Y, *([self.weights] if weighted else [])]
        return self._plain("trained", graph, {"loss": graph.outputs["loss"]}, inputs)

    def activations(self) -> Program:
        """Every z and a, and the output, by name."""
        p = parameters(self.net, self.flat, self.fixed)
        values = walked(self.net, self.X, p).values
        graph = unlabeled({**p, **values}, {**p, **values}, self.dtype)
        return self._plain("activations", graph, {k: graph.outputs[k] for k in values}, [self.X])

    def _plain(
        self, name: str, graph: Graph, values: dict[str, Node], inputs: list[Node]
    ) -> Program:
        read = set(order(values.values()))
        views = {k: v for k, v in self.views(graph.outputs).items() if v in read}
        views |= self._learned(graph.outputs)
        flats = [self.flat, *([self.fixed] if self.fixed in read else [])]
        sections = [Section("", views), Section("", values)]
        return Program(name, [*inputs, *flats], sections, list(values), graph.names)


@dataclass(frozen=True, eq=False)
class Step:
    """The program of one training step, the masks it takes, and its graph."""

    program: Program
    masks: list[Mask] = field(default_factory=list)
    graph: Graph | None = None


def _share_or_none(keep: Any) -> float | None:
    """Return the share that a mask keeps; None for normal numbers."""
    share = 0.0 if isinstance(keep, (str, bool)) or not isinstance(keep, Real) else float(keep)
    if keep != "normal" and not 0 < share <= 1:
        raise ArgumentError(
            f"a layer draws {keep!r}", 'a share above 0, for a mask that keeps it, or "normal"'
        )
    return None if keep == "normal" else share


def _nothing_to_train(net: Network) -> ArgumentError:
    if net.parameters:
        return ArgumentError(
            "every parameter is frozen, so there is nothing to train",
            "model.unfreeze(), or layers without trainable=False",
        )
    return ArgumentError(
        "the model has no parameters to train", "add a layer that has some: pc.Dense(1)"
    )


def _place(slot: Slot) -> str:
    """Return what a new value is stored in: a single number cannot be changed through its name."""
    flat = "params" if slot.kind == "learned" else "fixed"
    return slot.name if slot.shape else f"{flat}[{slot.start}]"


def _joined(parts: Sequence[Node]) -> Node:
    flat = [ops.ravel(g) for g in parts]
    return flat[0] if len(flat) == 1 else ops.concatenate(flat)  # type: ignore[no-any-return]


def varies(values: Sequence[float]) -> bool:
    """Say whether there are several values among these."""
    return len(set(values)) > 1


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
