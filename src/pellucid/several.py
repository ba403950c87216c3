"""Models by plain functions of layers, of one input and output or of several of them.

Several inputs come packed in one row for each sample, and go out as views of it; several outputs
likewise. So whatever trains, prints and draws a stack of layers does the same here.

Model   a model by a function       Part   one output: where it stands in the row, and its loss
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any

import numpy as np

from pellucid import intake, ops
from pellucid.batches import Batch
from pellucid.errors import ArgumentError, DataError, DtypeError, ShapeError, one_of
from pellucid.graph import Array, Node
from pellucid.losses import NAMES as LOSS_NAMES
from pellucid.losses import Loss
from pellucid.losses import loss as loss_named
from pellucid.metrics import Metric, Task, check_metrics, metric
from pellucid.model import Sequential, most_likely
from pellucid.nn.formula import Formula, parameters_of, sizes
from pellucid.nn.network import Network, Walk, symbols
from pellucid.optim import Optimizer
from pellucid.rules import shares

Function = Callable[..., Any]
Shape = tuple[int, ...]


class Model(Sequential):
    """A model by a plain function of layers: function(call, x, …), with call(layer, x) for a layer.

    Everything a stack of layers does, it does: it trains compiled, prints, explains, draws.

        several inputs     def net(call, image, text): …      X = {"image": …, "text": …}
        several outputs    return {"price": a, "kind": b}     y = {"price": …, "kind": …}

    Args: `function`; `inputs`, the shape of one sample, or of each input by its name, where the
    model is to have parameters before it sees data; `loss`, or one for each output by name:
    {"price": "mse", "kind": "cce_logits"}; `loss_weights`, likewise (1 for those not named);
    `metrics`, a list, or one for each output; the others as for `Sequential`. The loss of several
    outputs is Σ weight · loss, and each is logged as price_loss, kind_loss. `predict` then returns
    a dict. Samples may be dicts, or tuples in the order of the names.
    Raises: ArgumentError for names that do not agree.

    >>> from pellucid import Dense
    >>> def net(call, size, place):
    ...     both = ops.concatenate([call(Dense(4, "tanh"), size), call(Dense(4, "tanh"), place)], 1)
    ...     return {"price": call(Dense(1), both), "kind": call(Dense(3), both)}
    >>> losses = {"price": "mse", "kind": "cce_logits"}
    >>> model = Model(net, inputs={"size": 2, "place": 3}, loss=losses)
    >>> found = model.predict({"size": np.zeros((5, 2)), "place": np.zeros((5, 3))})
    >>> found["price"].shape, found["kind"].shape
    ((5, 1), (5, 3))
    """

    def __init__(
        self,
        function: Function,
        *,
        inputs: Any = None,
        loss: Any = None,
        loss_weights: Mapping[str, float] | None = None,
        optimizer: str | Optimizer = "adam",
        metrics: Any = (),
        dtype: Any = "float32",
        seed: int = 0,
    ) -> None:
        self.function = function
        self._names = _names_of(function)
        self._shapes = _shapes_of(inputs, self._names)
        self._losses, self._weights, self._measured = loss, loss_weights, metrics
        self._parts: tuple[Part, ...] = ()  # of several outputs
        self._known: dict[str, Array | None] = {}  # the caller's labels of each output
        apart = isinstance(loss, Mapping)
        Sequential.__init__(
            self, [self._formula(self._shapes)], loss=None if apart else loss, optimizer=optimizer,
            metrics=() if isinstance(metrics, Mapping) or apart else metrics,
            dtype=dtype, seed=seed,
        )  # fmt: skip
        if apart:
            _check_losses(loss, loss_weights, metrics)
        elif loss_weights is not None or isinstance(metrics, Mapping):
            raise ArgumentError(
                "loss_weights and metrics by output need a loss for each output",
                'loss={"price": "mse", …}',
            )
        if len(self._shapes) == len(self._names):
            self._build(_row(self._shapes))

    def _formula(self, shapes: Mapping[str, Shape]) -> Formula:
        several = len(self._names) > 1 and len(shapes) == len(self._names)
        given = tuple((name, shapes[name]) for name in self._names) if several else ()
        return Formula(self.function, given)

    # -- building --------------------------------------------------------------------------------

    def _build(self, shape: Shape) -> None:
        Sequential._build(self, shape)
        self._settle(self._built)

    def _settle(self, net: Network) -> None:
        """Work out loss and metrics of several outputs, whose shapes are now known."""
        found = outputs_of(net)
        if not isinstance(found, Mapping):
            if isinstance(self._losses, Mapping):
                raise ArgumentError(
                    "the model has one output, and a loss for each of several", 'loss="mse"'
                )
            return
        if self._losses is None:
            self._parts = _placed(found, {}, {})
            return
        if not isinstance(self._losses, Mapping):
            names = ", ".join(f'"{name}": …' for name in found)
            raise ArgumentError(
                f"the model gives {', '.join(found)}: it needs a loss for each", f"loss={{{names}}}"
            )
        _check_names("loss", self._losses, found)
        self._parts = _placed(found, self._losses, self._weights or {})
        self.loss_function = together(self._parts)
        self.metrics = tuple(_metrics(self._parts, self._measured))
        check_metrics(self.metrics, self.loss_function)

    def _twin(self) -> Model:
        twin = Model(
            self.function, loss=self._losses, loss_weights=self._weights, optimizer=self.optimizer,
            metrics=self._measured, dtype=self.dtype, seed=self.seed,
        )  # fmt: skip
        twin.layers, twin._known = self.layers, dict(self._known)
        return twin

    def _rows(self) -> Sequential:
        """Return a copy that is a stack of one layer: it takes rows, and gives rows."""
        twin = Sequential(
            self.layers, loss=self.loss_function, optimizer=self.optimizer,
            metrics=self.metrics, dtype=self.dtype, seed=self.seed,
        )  # fmt: skip
        twin.frozen = self.frozen
        twin._build(self._built.input_shape)
        twin._numbers.restore(self._numbers)
        twin._labels = self._labels
        return twin

    # -- data in ---------------------------------------------------------------------------------

    def _packed(self, X: Any, of: str = "") -> Any:
        """Return several inputs as one row for each sample; what is packed already stays."""
        if len(self._names) == 1:
            return X[self._names[0]] if isinstance(X, Mapping) else X
        if isinstance(X, np.ndarray) and X.dtype != object:
            if not self._layout:
                raise DtypeError(
                    f"{of}X is one array, but the model takes {', '.join(self._names)}",
                    f"{of}X={{{', '.join(f'{name!r}: …' for name in self._names)}}}",
                )
            return X
        given = _by_name(X, self._names, f"{of}X")
        known = self._layout if self._net is not None else self._shapes
        arrays = {
            name: intake.features(given[name], self.dtype, known.get(name), f"{of}X[{name!r}]")
            for name in self._names
        }
        _check_counts(arrays, of)
        if self._net is None:
            self.layers = (self._formula({name: a.shape[1:] for name, a in arrays.items()}),)
        return np.concatenate([a.reshape(len(a), -1) for a in arrays.values()], axis=1)

    @property
    def _layout(self) -> dict[str, Shape]:
        """The shapes of several inputs in the order in which they are packed, once they are known.

        While the model has no parameters, those of the samples that it was given last.
        """
        (whole,) = self.layers
        assert isinstance(whole, Formula)
        return dict(whole.inputs)

    def _packed_targets(self, X: Array, y: Any, of: str = "") -> Any:
        """Return targets of several outputs as one row for each sample."""
        if not self._parts:
            return y
        width = self._parts[-1].stop
        if isinstance(y, np.ndarray) and y.dtype != object and y.shape == (len(X), width):
            return y
        given = _by_name(y, [part.name for part in self._parts], f"{of}y")
        rows = []
        for part in self._parts:
            name = f"{of}y[{part.name!r}]"
            intake.same_length(X, given[part.name], of)
            found = intake.targets(given[part.name], part.loss, part.shape, self.dtype, name)
            labels = intake.label_values(given[part.name], part.loss, part.shape)
            self._known.setdefault(part.name, labels)
            rows.append(found.reshape(len(found), -1))
        return np.concatenate(rows, axis=1)

    def packed(self, X: Any) -> Array:
        """Return several inputs as the one array that they travel in, (n, values of a sample).

        Whatever takes a model and samples takes it as X: plots, the doctor, a sweep.
        """
        with self._unless_refused():
            return self._features(X)

    def _features(self, X: Any) -> Array:
        return Sequential._features(self, self._packed(X))

    def _batch(
        self, X: Any, y: Any, weight: Any = None, classes: Any = None, of: str = ""
    ) -> Batch:
        X, y = self._both(X, y, of)
        return Sequential._batch(self, X, y, weight, classes, of)

    def _both(self, X: Any, y: Any, of: str = "") -> tuple[Any, Any]:
        X = self._packed(X, of)
        if self._net is None and isinstance(self._losses, Mapping):
            self._settle(self._network(np.shape(X)[1:]))
        return X, self._packed_targets(X, y, of) if self._parts else y

    def _held_out(
        self, X: Any, y: Any, weights: Any, data: Any, share: float
    ) -> tuple[Any, Any, Any, Any, Any]:
        if share:
            X, y = self._both(X, y)
        return Sequential._held_out(self, X, y, weights, data, share)

    # -- reading ---------------------------------------------------------------------------------

    def predict(self, X: Any, *, raw: bool = False, backend: str = "auto") -> Any:
        """Return the output for each sample; of several outputs, each by its name.

        Args and Raises: as for `Sequential.predict`.
        """
        found = Sequential.predict(self, X, raw=raw, backend=backend)
        return {part.name: part.of(found) for part in self._parts} if self._parts else found

    def predict_classes(self, X: Any) -> Any:
        """Return the most likely label for each sample, as the caller wrote labels in `fit`.

        Of several outputs, by name, for those that have a loss of classes.
        """
        if not self._parts:
            return Sequential.predict_classes(self, X)
        found = self.predict(X)
        return {
            part.name: most_likely(
                found[part.name], part.loss, self._known.get(part.name), part.shape
            )
            for part in self._parts
            if part.loss.classifies
        }

    def _check_savable(self) -> None:
        raise ArgumentError(
            f"{getattr(self.function, '__name__', 'the function')} is code, which a file of a "
            "model cannot hold",
            "model.save_weights(path), and load_weights into a model of the same function",
        )

    def __repr__(self) -> str:
        given = f", loss={self._losses!r}" if self._losses is not None else ""
        return f"Model({self.layers[0]!r}{given}, optimizer={self.optimizer!r})"


# -- outputs -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Part:
    """One output of several: its name, its shape, where it stands in the row, and its loss."""

    name: str
    shape: Shape
    start: int
    stop: int
    loss: Loss
    weight: float = 1.0

    def of(self, rows: Any) -> Any:
        """Return this output of rows that hold them all: (n, …) -> (n, *shape)."""
        view = rows[:, self.start : self.stop]
        shape = (rows.shape[0], *self.shape)
        return ops.reshape(view, shape) if isinstance(rows, Node) else view.reshape(shape)

    def losses(self, rows: Node, targets: Node, reduction: str) -> Node:
        """Return the loss of this output: of a batch, or without reduction, (n, …)."""
        target = self.of(targets)
        target = shares(target) if self.loss.targets == "classes" else target
        return self.loss(self.of(rows), target, reduction)


@dataclass(frozen=True)
class Together:
    """The loss of several outputs: Σ weight · loss."""

    parts: tuple[Part, ...]

    def __call__(self, rows: Node, targets: Node, reduction: str = "mean") -> Node:
        """Return the loss of a batch, or of each sample."""
        total: Node | None = None
        for part in self.parts:
            if reduction == "none" and part.loss.name == "custom":
                raise ArgumentError("sample weights need losses by name", 'for example "mse"')
            each = part.losses(rows, targets, reduction)
            each = ops.mean(each, tuple(range(1, each.ndim))) if each.ndim > 1 else each
            each = each if part.weight == 1 else part.weight * each
            total = each if total is None else total + each
        assert total is not None
        return total


@dataclass(frozen=True)
class Links:
    """From scores to what `predict` returns, output by output."""

    parts: tuple[Part, ...]

    def __call__(self, rows: Node) -> Node:
        """Return the row with each output linked."""
        found = []
        for part in self.parts:
            x = part.of(rows)
            linked = part.loss.link(x) if part.loss.link else x
            found.append(ops.reshape(linked, (rows.shape[0], sizes(part.shape))))
        return ops.concatenate(found, 1)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class OfOutput(Metric):
    """A metric of one output of several."""

    part: Part
    inner: Metric

    @property
    def whole(self) -> bool:  # type: ignore[override]
        """As the metric itself."""
        return self.inner.whole

    @property
    def usual(self) -> str:
        """The output's name and the metric's."""
        return f"{self.part.name}_{self.inner.label}"

    @property
    def _task(self) -> Task:
        return Task(self.part.loss.targets)

    def parts(self, prediction: Any, target: Any, task: Task) -> Mapping[str, Any]:
        """Return the metric's own parts, of this output."""
        own = self.inner.parts(self.part.of(prediction), self.part.of(target), self._task)
        return {f"{self.part.name}_{name}": values for name, values in own.items()}

    def result(self, means: Mapping[str, Array]) -> Array:
        """Return what the averages come to."""
        before = len(self.part.name) + 1
        return self.inner.result({name[before:]: values for name, values in means.items()})

    def of(self, prediction: Array, target: Array, weights: Array | None, task: Task) -> float:
        """Return the value for all samples at once."""
        pair = self.part.of(prediction), self.part.of(target)
        return self.inner.of(*pair, weights, self._task)

    def doubt(self, target: Array, weights: Array | None, task: Task) -> str:
        """Say why the targets leave the value undefined."""
        return self.inner.doubt(self.part.of(target), weights, self._task)


@dataclass(frozen=True)
class LossOfOutput(Metric):
    """The loss of one output, as a metric: of probabilities, which is what metrics see."""

    part: Part

    @property
    def usual(self) -> str:
        """price_loss."""
        return f"{self.part.name}_loss"

    def parts(self, prediction: Any, target: Any, task: Task) -> Mapping[str, Any]:
        """Return the loss of each sample; of a batch, where the loss is somebody's function."""
        loss = self.part.loss
        if loss.name == "custom":
            return {self.usual: self.part.losses(prediction, target, "mean")}
        if loss.link is not None:
            plain = LOSS_NAMES[loss.name.removesuffix("_logits")]
            loss = replace(plain, smoothing=loss.smoothing)
        return {self.usual: replace(self.part, loss=loss).losses(prediction, target, "none")}


def together(parts: tuple[Part, ...]) -> Loss:
    """Return the loss of several outputs, as one loss of a row."""
    told = [f"{p.name}: {'' if p.weight == 1 else f'{p.weight:g} '}{p.loss.name}" for p in parts]
    return Loss(", ".join(told), Together(parts), link=Links(parts))


def outputs_of(net: Network) -> Node | dict[str, Node]:
    """Return what the function of a network returns, on symbolic samples."""
    (placed,), (X, p) = net.placed, symbols(net)
    assert isinstance(placed.layer, Formula)
    walk, inner = Walk(p), iter(placed.inner)
    return placed.layer.outputs(X, lambda layer, x: walk.layer(next(inner), x))


def _placed(
    found: Mapping[str, Node], losses: Mapping[str, Any], weights: Mapping[str, float]
) -> tuple[Part, ...]:
    parts, start = [], 0
    for name, node in found.items():
        shape = _numbers(name, node)
        stop = start + sizes(shape)
        loss = loss_named(losses[name]) if name in losses else Loss("none", len)
        parts.append(Part(name, shape, start, stop, loss, float(weights.get(name, 1.0))))
        start = stop
    return tuple(parts)


def _numbers(name: str, node: Node) -> Shape:
    if not all(isinstance(s, int) for s in node.shape[1:]):
        raise ShapeError(f"the output {name!r} depends on the batch size")
    return tuple(int(s) for s in node.shape[1:])  # type: ignore[arg-type]


def _metrics(parts: tuple[Part, ...], chosen: Any) -> list[Metric]:
    """Return the metrics of every output: its loss, and what was asked for."""
    if chosen and not isinstance(chosen, Mapping):
        names = ", ".join(p.name for p in parts)
        raise ArgumentError(
            f"metrics of several outputs are by name, and there are {names}",
            f'metrics={{"{parts[0].name}": ["mae"]}}',
        )
    _check_names("metrics", chosen or {}, [p.name for p in parts], all_of_them=False)
    found: list[Metric] = [LossOfOutput(part) for part in parts]
    for part in parts:
        given = (chosen or {}).get(part.name, ())
        for each in [given] if isinstance(given, str) or callable(given) else given:
            inner = metric(each, part.loss)
            if inner.compares:
                raise ArgumentError(
                    f"{inner.label} compares targets with each other, which is not to be had for "
                    "one output of several",
                    'metrics={"price": ["mae"]}; or pc.R2() of predictions and targets',
                )
            found.append(OfOutput(part, inner))
    return found


# -- what callers give -----------------------------------------------------------------------------


def _names_of(function: Any) -> list[str]:
    if not callable(function) or isinstance(function, type):
        hint = "def net(call, x): …; a list of layers is for pc.Sequential"
        raise DtypeError(f"a model is made by a function of layers, not {function!r}", hint)
    return parameters_of(function)


def _shapes_of(inputs: Any, names: Sequence[str]) -> dict[str, Shape]:
    """Return the shapes of one sample that are known beforehand, by name."""
    if inputs is None:
        return {}
    if len(names) == 1 and not isinstance(inputs, Mapping):
        inputs = {names[0]: inputs}
    if not isinstance(inputs, Mapping):
        raise DtypeError(f"inputs is {inputs!r}", f"inputs={{{names[0]!r}: (3,), …}}")
    _check_names("inputs", inputs, names)
    return {name: _shape_of(name, inputs[name]) for name in names}


def _shape_of(name: str, shape: Any) -> Shape:
    given = (shape,) if isinstance(shape, int) else shape
    whole = isinstance(given, (tuple, list)) and given
    if not whole or not all(type(s) is int and s > 0 for s in given):
        raise ArgumentError(f"the shape of {name!r} is {shape!r}", "such as (8, 8), or 3")
    return tuple(given)


def _row(shapes: Mapping[str, Shape]) -> Shape:
    """Return the shape of one sample, as it travels."""
    first = next(iter(shapes.values()))
    return first if len(shapes) == 1 else (sum(map(sizes, shapes.values())),)


def _check_names(what: str, given: Any, names: Any, all_of_them: bool = True) -> None:
    for name in given:
        if name not in names:
            raise one_of(f"name in {what}", name, list(names))
    missing = [name for name in names if name not in given]
    if missing and all_of_them:
        raise ArgumentError(f"{what} says nothing of {', '.join(missing)}", f"{what}={{name: …}}")


def _check_losses(losses: Mapping[str, Any], weights: Any, metrics: Any) -> None:
    """Refuse losses and weights that cannot be meant, as far as the names alone tell."""
    for name in losses:
        loss_named(losses[name])
    _check_names("loss_weights", weights or {}, losses, all_of_them=False)
    for name, weight in (weights or {}).items():
        plain = isinstance(weight, Real) and not isinstance(weight, bool)
        if not plain or not 0 <= float(weight) < float("inf"):
            raise ArgumentError(
                f"loss_weights[{name!r}] is {weight!r}", "a weight is a number of at least 0"
            )
    if isinstance(metrics, Mapping):
        _check_names("metrics", metrics, losses, all_of_them=False)


def _by_name(given: Any, names: Sequence[str], what: str) -> Mapping[str, Any]:
    """Return values by name: of a dict, or of a tuple in the order of the names."""
    hint = f"{{{', '.join(f'{name!r}: …' for name in names)}}}"
    if isinstance(given, (tuple, list)) and len(given) == len(names):
        return dict(zip(names, given, strict=True))
    if not isinstance(given, Mapping):
        raise DtypeError(f"{what} is a {type(given).__name__}, not values by name", hint)
    missing = [name for name in names if name not in given]
    if missing:
        raise DataError(f"{what} lacks {', '.join(missing)}", hint)
    for name in given:
        if name not in names:
            raise one_of(f"name in {what}", name, list(names))
    return given


def _check_counts(arrays: Mapping[str, Array], of: str) -> None:
    counts = {name: len(a) for name, a in arrays.items()}
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{name} has {n}" for name, n in counts.items())
        raise ShapeError(f"{of}X holds differently many samples: {told}", "one row for each sample")
