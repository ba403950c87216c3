"""A model beside PyTorch: the same numbers put through both, from values to training steps."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from pellucid import _version, optim
from pellucid.batches import Batch
from pellucid.dims import Shape
from pellucid.graph import Array, Node, symbolic
from pellucid.interop import parts, weights
from pellucid.interop.certificate import Certificate, Row, row
from pellucid.interop.library import library
from pellucid.interop.peers import (
    PEERS,
    OptimizerPeer,
    bound_peers,
    loss_peer,
    optimizer_text,
    penalty_peer,
)
from pellucid.model import Sequential
from pellucid.nn.formula import Formula
from pellucid.nn.layer import Call, Composite, Layer, Parameter, Params, Shared
from pellucid.nn.network import BATCH, Network, parameters, still, walked
from pellucid.settings import as_precision, check_whole

TOLERANCES = {  # of values, of gradients, and after training steps
    "float64": (1e-12, 1e-12, 1e-10),
    "float32": (1e-5, 1e-5, 1e-3),  # an optimizer that divides by small gradients spreads rounding
}
NOISE = 1000  # units of rounding of the largest gradient: below that, a gradient is nothing else
FAINT = 1e-9  # a gradient whose largest element is below this says little


@dataclass(frozen=True)
class Quiet(Layer):
    """A layer that draws at random while training, taken as it is for prediction."""

    layer: Layer

    @property
    def trainable(self) -> bool:
        """The layer's own."""
        return self.layer.trainable

    def parameters(self, shape: Shape) -> dict[str, Parameter]:
        """The layer's own."""
        return self.layer.parameters(shape)

    def state(self, shape: Shape) -> dict[str, Parameter]:
        """The layer's own."""
        return self.layer.state(shape)

    def __call__(self, x: Node, p: Params) -> Node:
        """The layer's own."""
        return self.layer(x, p)

    def penalty(self, p: Params) -> Node | None:
        """The layer's own."""
        return self.layer.penalty(p)

    def constrain(self, key: str, value: Node) -> Node | None:
        """The layer's own."""
        return self.layer.constrain(key, value)


def compared(
    model: Sequential, X: Any, y: Any, steps: int, batch_size: int | None, dtype: Any
) -> Certificate:
    """Put the model and PyTorch's module through the same samples; say how far they differ."""
    check_whole(steps, "steps", 0)
    if batch_size is not None:
        check_whole(batch_size, "batch_size", 1)
    kind = as_precision(dtype)
    whole = model.copy()
    seen = whole._batch(X, y)  # refuses what cannot be read, and builds a model without parameters
    if not whole._numbers.steps:
        whole.adapt(seen.X)
    random = _random(whole._built)
    twin = _twin(whole, whole.layers, kind)
    layers = [_quiet(x, random) for x in whole.layers] if random else whole.layers
    pair = Pair(_twin(whole, layers, kind))
    batch, limits = Batch(seen.X.astype(kind), seen.Y.astype(kind)), TOLERANCES[kind.name]
    rows = [*_values(twin, batch, limits[0]), *pair.gradients(batch, limits[1])]
    taken = _taken(model.optimizer, steps)
    if taken:
        rows += pair.steps(batch, taken, min(batch_size or len(batch), len(batch)), limits[2])
    facts = _facts(twin, pair, batch, taken, batch_size)
    return Certificate(tuple(rows), facts, tuple(_notes(pair, rows, random, taken < steps)))


def _taken(optimizer: optim.Optimizer, steps: int) -> int:
    """Return how many steps are compared: one of those that are whole searches of their own."""
    if type(optimizer) not in PEERS:
        return 0
    return min(steps, 1) if optimizer.whole else steps


# -- ours ----------------------------------------------------------------------------------------


def _random(net: Network) -> list[Layer]:
    """Return the layers that draw at random while training."""
    flat, fixed = symbolic("params", (net.size,)), symbolic("fixed", (net.extra,))
    X = symbolic("X", (BATCH, *net.input_shape))
    return walked(net, X, parameters(net, flat, fixed), still).left_out


def _quiet(layer: Layer, random: Sequence[Layer]) -> Layer:
    """Return a layer that draws nothing, nor do those that it holds."""
    if isinstance(layer, Composite):
        return _quiet_stack(layer, random)
    if layer not in random:
        return layer
    if isinstance(layer, Shared):
        return Shared(Quiet(layer.layer), layer.name)
    return Quiet(layer)


def _quiet_stack(whole: Composite, random: Sequence[Layer]) -> Layer:
    def function(call: Call, *given: Any) -> Node:
        x = given[0] if len(given) == 1 else given
        return whole.compose(x, lambda layer, x: call(_quiet(layer, random), x))

    return Formula(function)


def _twin(model: Sequential, layers: Sequence[Layer], dtype: np.dtype[Any]) -> Sequential:
    """Return the model with other layers of the same arrays, in some precision, untrained."""
    twin = Sequential(
        layers, loss=model.loss_function, optimizer=model.optimizer, dtype=dtype, seed=model.seed
    )
    twin.frozen = model.frozen
    twin._build(model._built.input_shape)
    for name, array in _arrays(model).items():
        _arrays(twin)[name][...] = array
    twin._numbers.scale = model._numbers.scale
    twin._numbers.steps = twin._numbers.since = 1  # its layers have adapted, its optimizer begins
    return twin


def _arrays(model: Sequential) -> dict[str, Array]:
    return {**model.params, **model.buffers}


# -- theirs --------------------------------------------------------------------------------------


class Theirs:
    """A model as a module of PyTorch with its arrays, the loss that goes with it, and penalties."""

    def __init__(self, model: Sequential) -> None:
        self.torch = library()
        self.written = parts.module(model._built, model.dtype)
        self.module = weights.made(self.written, _arrays(model))
        last = self.written.texts[-1] if self.written.texts else ""
        assert model.loss_function is not None
        self.loss = loss_peer(model.loss_function, last, model._built.output_shape, model.dtype)
        self.penalty = penalty_peer(model._built, model.dtype)

    def take(self, arrays: Mapping[str, Array]) -> None:
        """Set all arrays."""
        self.module.load_state_dict(weights.tensors(self.written, arrays))

    def tensors(self) -> dict[str, Any]:
        """Return its tensors by our names: parameters and buffers themselves."""
        held = dict(self.module.named_parameters(remove_duplicate=False))
        held |= dict(self.module.named_buffers(remove_duplicate=False))
        links = self.written.links
        return {link.name: held[key] for key, link in reversed(list(links.items()))}

    def ours(self, tensors: Mapping[str, Any]) -> dict[str, Any]:
        """Return tensors, by our names, in our layout."""
        turned = {link.name for link in self.written.links.values() if link.turned}
        return {name: t.T if name in turned else t for name, t in tensors.items()}

    def arrays(self) -> dict[str, Array]:
        """Return copies of all arrays, by our names, in our layout."""
        found = self.ours(self.tensors())
        return {name: t.detach().numpy().copy() for name, t in found.items()}

    def cost(self, batch: Batch) -> Any:
        """Return the loss of a batch, penalties included, as a tensor."""
        module = self.module[:-1] if self.loss.before_last else self.module
        X, Y = (self.torch.from_numpy(np.array(a)) for a in (batch.X, batch.Y))
        total = self.loss.function(module(X), Y)
        return total + self.penalty(self.ours(self.tensors())) if self.penalty else total


# -- both ----------------------------------------------------------------------------------------


def _values(twin: Sequential, batch: Batch, limit: float) -> Iterator[Row]:
    """Compare what the model gives for prediction."""
    theirs = Theirs(twin)
    theirs.module.eval()
    with theirs.torch.no_grad():
        scores = theirs.module(theirs.torch.from_numpy(np.array(batch.X))).numpy()
        cost = theirs.cost(batch).numpy()
    yield row("values", "scores", twin.predict(batch.X, raw=True), scores, limit)
    yield row("values", "loss", np.array(twin.loss(batch.X, batch.Y)), cost, limit)


class Pair:
    """A model that draws nothing at random, and PyTorch's module of it, both in training mode."""

    def __init__(self, model: Sequential) -> None:
        self.ours, self.theirs = model, Theirs(model)
        self.start = {name: array.copy() for name, array in _arrays(model).items()}
        self.learned = [s.name for s in model._built.slots]
        self.moved = 0.0
        self.rounding: dict[str, float] = {}  # gradients that are nothing else: their size

    def gradients(self, batch: Batch, limit: float) -> list[Row]:
        """Compare the gradient of every parameter."""
        theirs, found = self.theirs, self.ours.gradients(batch.X, batch.Y)
        theirs.module.train()
        theirs.cost(batch).backward()
        slopes = theirs.ours({k: t.grad for k, t in self._leaves().items()})
        rows = [row("gradients", name, slope, slopes[name].numpy(), limit)
                for name, slope in found.items()]  # fmt: skip
        theirs.module.zero_grad()
        theirs.take(self.start)
        self._leave_out_rounding(rows)
        return rows

    def _leave_out_rounding(self, rows: Sequence[Row]) -> None:
        """Freeze what has no gradient but for rounding, which adaptive optimizers make steps of.

        A bias before a batch norm is such a parameter: the mean takes it out again.
        """
        ours = self.ours.optimizer
        least = NOISE * np.finfo(self.ours.dtype).eps * max((r.largest for r in rows), default=0.0)
        for r in rows:
            size = max(r.largest, r.absolute)
            decayed = ours.decay_of(r.name, len(r.shape)) and not ours.decoupled
            if 0 < size <= least and not decayed and not isinstance(ours, optim.SGD):
                self.rounding[r.name] = size
        self.learned = [name for name in self.learned if name not in self.rounding]
        if self.rounding:
            self.ours.freeze(*self.rounding)

    def _bring_back(self, bounds: Mapping[str, Any]) -> None:
        """Bring back the parameters that are not free, as is done here after every update."""
        leaves = self.theirs.ours({k: t.data for k, t in self._leaves().items()})
        for name, bound in bounds.items():
            leaves[name].copy_(bound(leaves[name]))

    def _leaves(self) -> dict[str, Any]:
        found = self.theirs.tensors()
        return {name: found[name] for name in self.learned}

    def steps(self, batch: Batch, steps: int, size: int, limit: float) -> Iterator[Row]:
        """Compare losses and arrays after so many steps, on batches in order."""
        optimizer = OptimizerPeer(self.theirs.torch, self.ours.optimizer, self._leaves())
        bounds = bound_peers(self.ours._blueprint())
        costs = []
        for k in range(steps):
            start = k * size % (len(batch) - len(batch) % size)
            some = batch.rows(slice(start, start + size))
            ours = self.ours.step(some.X, some.Y)
            cost = optimizer.step(partial(self.theirs.cost, some), self.ours._numbers.scale)
            self._bring_back(bounds)
            costs.append((ours, cost.item()))
        part = f"after {steps} step{'s' * (steps > 1)}"
        yield row(part, "losses", np.array(costs)[:, 0], np.array(costs)[:, 1], limit)
        found = self.theirs.arrays()
        for name, array in _arrays(self.ours).items():
            yield row(part, name, array, found[name], limit)
        moved = [np.abs(found[k] - self.start[k]).max(initial=0.0) for k in self.learned]
        self.moved = float(max(moved, default=0.0))


# -- what is told --------------------------------------------------------------------------------


def _facts(
    twin: Sequential, pair: Pair, batch: Batch, steps: int, size: int | None
) -> dict[str, Any]:
    net = twin._built
    assert twin.loss_function is not None
    return {
        "model": f"{len(net.arrays)} arrays, {net.size + net.extra:,} numbers, {twin.dtype}",
        "weights": {"sha256": _digest(_arrays(twin))},
        "samples": {"rows": len(batch), "sha256": _digest({"X": batch.X, "y": batch.Y})},
        "seed": twin.seed,
        "loss": {"ours": twin.loss_function.name, "PyTorch's": pair.theirs.loss.text},
        "optimizer": {
            "ours": repr(twin.optimizer),
            "PyTorch's": optimizer_text(twin.optimizer, twin.learning_rate),
        },
        "steps": f"{steps}, of {min(size or len(batch), len(batch))} samples each",
        "versions": {
            "pellucid": _version.__version__,
            "NumPy": np.__version__,
            "PyTorch": pair.theirs.torch.__version__,
            "Python": platform.python_version(),
        },
    }


def _digest(arrays: Mapping[str, Array]) -> str:
    """Return a hash of arrays: their names, shapes, precision and bytes, in order."""
    found = hashlib.sha256()
    for name, array in arrays.items():
        found.update(f"{name} {array.shape} {array.dtype.str}\n".encode())
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


def _notes(pair: Pair, rows: Sequence[Row], random: Sequence[Layer], alone: bool) -> Iterator[str]:
    largest = max((r.largest for r in rows if r.part == "gradients"), default=0.0)
    if pair.moved:
        yield f"the steps moved a parameter by up to {pair.moved:.1e}"
    for name, size in pair.rounding.items():
        yield f"{name} stays as it is in the steps: its gradient, {size:.0e}, is rounding alone"
    if largest < FAINT:
        yield f"no gradient is above {largest:.1e}: that they are equal says little"
    if random:
        names = ", ".join(sorted({type(x).__name__ for x in random}))
        yield f"{names}: off on both sides, in gradients and steps, for PyTorch draws other numbers"
    if pair.theirs.loss.before_last:
        yield "the loss and the last activation are one function in PyTorch, as they are here"
    name = type(pair.ours.optimizer).__name__
    if alone and pair.ours.optimizer.whole:
        yield f"one step of {name}, of many iterations: further ones magnify rounding without end"
    elif alone:
        yield f"steps are not compared: PyTorch has no counterpart of {name}"
