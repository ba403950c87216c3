"""What pictures show, as arrays: everything here is computed by the library, nothing is drawn."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from pellucid import intake, ops
from pellucid.backward import backward
from pellucid.batches import Batch
from pellucid.errors import ArgumentError, DataError, DtypeError, ShapeError, one_of
from pellucid.graph import Array, evaluate
from pellucid.model import Sequential
from pellucid.nn.network import still


def model_of(model: Any, X: Any = None) -> Sequential:
    """Return the model, or a copy with parameters where it has none: the caller's stays as it is.

    Raises: DtypeError for what is no model, NotBuiltError where X is needed to make parameters.
    """
    if not isinstance(model, Sequential):
        raise DtypeError(
            f"a model is expected, not {model!r}", "pc.Sequential([pc.Dense(8), pc.Dense(1)])"
        )
    if model._net is not None or X is None:
        return model
    twin = model.copy()
    twin._features(X)
    return twin


def named_models(models: Any) -> dict[str, Any]:
    """Return models by name, of a dict or of a single one."""
    if not isinstance(models, Mapping):
        return {"": models}
    if not models:
        raise ArgumentError("no model is given", '{"sigmoid": model, "relu": other}')
    return {str(name): model for name, model in models.items()}


def sample(model: Sequential, X: Any) -> Array:
    """Return X checked and converted, without making parameters."""
    shape = model._net.input_shape if model._net else None
    return intake.features(X, model.dtype, shape, missing=model._missing)


def values_of(model: Sequential, X: Any) -> dict[str, Array]:
    """Return every z and a by name, computed by the model."""
    return model.activations(X)


def layer_name(values: Mapping[str, Any], layer: int | str, letter: str = "a") -> str:
    """Return the name of a layer's output, of its number (from 1) or its own name."""
    if isinstance(layer, str):
        wanted = [layer]
    elif isinstance(layer, int) and not isinstance(layer, bool):
        others = [name for name in values if _number(name) == layer]  # of layers with other letters
        wanted = [f"{letter}{layer}", f"z{layer}", f"a{layer}", *others[-1:]]
    else:
        raise DtypeError(f"layer is {layer!r}", 'a number from 1, or a name such as "a1"')
    for name in wanted:
        if name in values:
            return name
    raise one_of("layer", layer, values)


def layer_outputs(model: Sequential, values: Mapping[str, Array]) -> list[str]:
    """Return the name of each layer's last value, from the first layer to the last.

    With layers that have no parameters in between, such as dropout, a number names several values.
    """
    numbers = dict.fromkeys(model._built.numbers)
    last = {k: [name for name in values if _number(name) == k] for k in numbers}
    return [found[-1] for found in last.values() if found]


def _number(name: str) -> int:
    """Return the k of z_k, a_k or a_k_2."""
    found = re.fullmatch(r"\D*?(\d+)(?:_\d+)?", name)
    return int(found[1]) if found else 0


UNITS = 16  # panels of one picture, unless more are asked for


def chosen_units(chosen: Any, count: int, name: str) -> list[int]:
    """Return the units to draw, checked."""
    if chosen is None:
        return list(range(min(count, UNITS)))
    units = [chosen] if isinstance(chosen, (int, np.integer)) else list(chosen)
    for unit in units:
        whole = isinstance(unit, (int, np.integer)) and not isinstance(unit, bool)
        if not whole or not 0 <= unit < count:
            raise ArgumentError(f"unknown unit {unit!r} of {name}", f"units 0 to {count - 1}")
    if not units:
        raise ArgumentError("units is empty", f"units 0 to {count - 1}")
    return [int(unit) for unit in units]


# -- classes ---------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Classes:
    """What a classifier says of some samples, and what is true of them.

    `labels` (C,) as the caller writes them; `truth` and `predicted` (n,) count into them;
    `sure` (n,) is the output for the predicted class: with a loss of scores, its probability.
    """

    labels: Array
    truth: Array
    predicted: Array
    sure: Array

    @property
    def wrong(self) -> Array:
        """Where the prediction is not the truth, (n,)."""
        found: Array = self.truth != self.predicted
        return found


def classifies(model: Sequential, y: Any) -> bool:
    """Say whether a model's outputs are to be read as classes.

    Its loss says so, or it is a squared error against 0 and 1.
    """
    loss = model.loss_function
    if loss is None or loss.classifies:
        return loss is not None
    return loss.name in ("mse", "half_mse") and set(np.unique(y).tolist()) <= {0, 1}


def labels_of(model: Sequential) -> Array:
    """Return the label of each class, as the caller of `fit` wrote them."""
    loss, shape = model.loss_function, model._built.output_shape
    if model._labels is not None:
        return model._labels
    known = intake.label_values(0, loss, shape) if loss else None
    return np.arange(max(shape[-1], 2)) if known is None else known


def index_of(model: Sequential, output: Array) -> Array:
    """Return the class of each row of outputs or targets, (n, outputs) -> (n,)."""
    if output.shape[-1] > 1:
        return np.asarray(output.argmax(axis=-1))
    signs = model.loss_function is not None and model.loss_function.targets == "signs"
    return (output[:, 0] > (0.0 if signs else 0.5)).astype(int)


def classes(model: Sequential, X: Any, y: Any) -> Classes:
    """Return predicted and true classes of some samples.

    Raises: ArgumentError where the model predicts values, or several labels at once.
    """
    batch = model._batch(X, y)
    if not classifies(model, batch.Y):
        raise ArgumentError(
            "the model predicts values, not classes", 'train it with loss="bce" or loss="cce"'
        )
    one_class_each(model, batch.Y)
    output = checked(model.predict(batch.X))
    predicted = index_of(model, output)
    sure = _sure(model, output, predicted)
    return Classes(labels_of(model), index_of(model, batch.Y), predicted, sure)


def one_class_each(model: Sequential, target: Array) -> None:
    """Refuse several labels for one sample."""
    if not has_one_class(model, target):
        raise ArgumentError(
            f"the model gives each sample {target.shape[1:]} labels, not one class",
            'one class for each sample: loss="cce", or a single output and loss="bce"',
        )


def has_one_class(model: Sequential, target: Array) -> bool:
    """Say whether each sample has one class: a single output, or rows of shares."""
    loss = model.loss_function
    if target.ndim != 2 or loss is None:
        return False
    shares = loss.targets not in ("binary", "signs") and np.allclose(
        target.sum(axis=1), 1, atol=1e-5
    )
    return target.shape[1] == 1 or bool(shares)


def kinds_of(model: Sequential, X: Any, y: Any) -> Array:
    """Return the class of each sample; all are alike where y holds values, or several labels."""
    if model.loss_function is None:
        return np.unique(np.asarray(y), return_inverse=True)[1].ravel()
    target = model._batch(X, y).Y
    if classifies(model, target) and has_one_class(model, target):
        return index_of(model, target)
    return np.zeros(len(target), int)


def _sure(model: Sequential, output: Array, predicted: Array) -> Array:
    """Return the output for the predicted class, (n,); of signs, how far the score is from 0."""
    if output.shape[-1] > 1:
        return np.take_along_axis(output, predicted[:, None], axis=1)[:, 0]
    if model.loss_function is not None and model.loss_function.targets == "signs":
        return np.abs(output[:, 0])
    return np.where(predicted == 1, output[:, 0], 1 - output[:, 0])


def checked(output: Array) -> Array:
    """Refuse outputs that cannot be drawn."""
    bad = int((~np.isfinite(output)).sum())
    if bad:
        raise DataError(
            f"the model's output is NaN or Inf in {bad} of {output.size} places",
            "model.reset(), then a smaller learning rate",
        )
    return output


# -- the plane of two features ---------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Plane:
    """A grid over two features: `x` and `y` (r,) are its lines, `X` (r·r, features) its points."""

    x: Array
    y: Array
    X: Array

    def grid(self, values: Array) -> Array:
        """Return values of the points as rows and columns, (r·r, …) -> (r, r, …)."""
        return values.reshape(len(self.y), len(self.x), *values.shape[1:])


def plane(X: Array, features: Any, fixed: Any, resolution: int) -> Plane:
    """Return a grid that covers the samples, with a margin; other features are held as `fixed`.

    Raises: ShapeError where X has no rows of features, ArgumentError where a feature is left open.
    """
    if X.ndim != 2:
        raise ShapeError(f"X is {X.shape}, not rows of features", "see pc.plot.weights for images")
    first, second = _pair(features, X.shape[1])
    held = _held(fixed, {first, second}, X)
    x, y = (_span(X[:, f], resolution) for f in (first, second))
    points = np.empty((len(x) * len(y), X.shape[1]), X.dtype)
    for feature, value in held.items():
        points[:, feature] = value
    points[:, first], points[:, second] = (g.ravel() for g in np.meshgrid(x, y))
    return Plane(x, y, points)


def _pair(features: Any, count: int) -> tuple[int, int]:
    if count < 2:
        raise ShapeError("X has 1 feature, a plane needs 2", "plt.plot(X, model.predict(X))")
    try:
        first, second = (int(f) for f in features)
    except (TypeError, ValueError):
        raise DtypeError(f"features is {features!r}", "two numbers: features=(0, 1)") from None
    if first == second or not all(0 <= f < count for f in (first, second)):
        raise ArgumentError(
            f"features is {features!r}, but X has features 0 to {count - 1}", "two different ones"
        )
    return first, second


def _held(fixed: Any, drawn: set[int], X: Array) -> dict[int, float]:
    fixed = {} if fixed is None else fixed
    if not isinstance(fixed, Mapping):
        raise DtypeError(f"fixed is {fixed!r}, not a dict", "fixed={2: 0.0}")
    free = set(range(X.shape[1])) - drawn
    if set(fixed) - free:
        raise ArgumentError(
            f"fixed names {sorted(set(fixed) - free)}, of the features 0 to {X.shape[1] - 1} "
            f"with {sorted(drawn)} drawn",
            f"fix {sorted(free)}",
        )
    missing = sorted(free - set(fixed))
    if missing:
        means = ", ".join(f"{f}: {_mean(X[:, f]):.2g}" for f in sorted(free)[:6])
        more = ", …" if len(free) > 6 else ""
        raise ArgumentError(
            f"X has {X.shape[1]} features, a plane shows two: fix {_listed(missing)}",
            f"fixed={{{means}{more}}} holds them at their means",
        )
    return dict(fixed)


def _mean(values: Array) -> float:
    """Return the mean of what is not missing."""
    there = values[~np.isnan(values)]
    return float(there.mean()) if there.size else 0.0


def _listed(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers[:6])) + (f", … ({len(numbers)} in all)" * (len(numbers) > 6))


def _span(values: Array, resolution: int) -> Array:
    there = values[np.isfinite(values)]  # others are missing, and have no place in the plane
    low, high = float(there.min(initial=np.inf)), float(there.max(initial=-np.inf))
    low, high = (low, high) if low <= high else (0.0, 0.0)
    margin = 0.12 * (high - low) or 1.0
    return np.linspace(low - margin, high + margin, resolution)


# -- gradients -------------------------------------------------------------------------------------


def slopes(model: Sequential, batch: Batch) -> dict[str, Array]:
    """Return ∂L/∂z and ∂L/∂a of every layer by the value's name, {"z1": (n, units), …}.

    They are the values between, of the very graph whose gradients train the model.
    """
    plan = model._blueprint()
    graph = plan.with_gradients(plan.traced(still, False))
    loss, slots = graph.outputs["loss"], model._built.slots
    bar = backward({loss: ops.ones_like(loss)}, [graph.outputs[s.name] for s in slots])
    parameters = {s.name for s in slots}
    wanted = {n: bar[x] for x, n in graph.names.items() if x in bar and n not in parameters}
    wanted = {n: node for n, node in wanted.items() if not n.startswith("d_")}
    numbers = model._numbers
    feed = {plan.X: batch.X, plan.Y: batch.Y, plan.flat: numbers.params, plan.fixed: numbers.fixed}
    found = evaluate(list(wanted.values()), feed, {"n": len(batch)})
    return dict(zip(wanted, map(np.asarray, found), strict=True))


def gradient_sizes(model: Sequential, batch: Batch, of: str) -> dict[str, float]:
    """Return the size of the gradient in each layer, from the first to the last.

    of "z":  √(mean over samples of ‖∂L_i/∂z‖²), where L_i is the loss of one sample
    of "W":  ‖∂L/∂W‖
    """
    if of == "W":
        found = model.gradients(batch.X, batch.Y)
        return {n: float(np.linalg.norm(g)) for n, g in found.items() if g.ndim > 1}
    if of != "z":
        raise one_of("gradient", of, ["z", "W"])
    all_slopes = slopes(model, batch)
    numbers = dict.fromkeys(model._built.numbers)
    names = [n for k in numbers for n in (f"z{k}", f"a{k}") if n in all_slopes]
    kept = {_number(n): n for n in reversed(names)}
    scale = np.sqrt(len(batch))  # the mean loss makes each sample's slope 1/n of its own
    return {n: float(scale * np.linalg.norm(all_slopes[n])) for _, n in sorted(kept.items())}


def verdict(sizes: Mapping[str, float]) -> str:
    """Say how the gradient fares on its way to the first layer.

    vanishing: the first layer has less than a tenth of the last one's; exploding: more than ten
    times as much.

    >>> verdict({"z1": 1e-4, "z2": 1.0})
    'vanishing: first/last = 0.0001'
    """
    values = list(sizes.values())
    if not np.isfinite(values).all():
        return "not finite: NaN or Inf"
    if len(values) < 2:
        return "one layer: nothing to compare"
    if not values[-1]:
        return "no gradient: 0 in the last layer"
    ratio = values[0] / values[-1]
    word = "vanishing" if ratio < 0.1 else "exploding" if ratio > 10 else "healthy"
    return f"{word}: first/last = {ratio:.3g}"
