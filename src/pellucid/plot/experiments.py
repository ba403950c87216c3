"""Experiments whose outcome is a picture: initial weights, batch sizes, learning rates."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from numbers import Real
from typing import Any

import numpy as np

from pellucid import rng
from pellucid.errors import ArgumentError, DtypeError, TrainingWarning
from pellucid.graph import Array
from pellucid.model import Sequential
from pellucid.nn.init import Normal, initializer
from pellucid.nn.layer import Dense, matching_init, named_activation
from pellucid.plot import canvas
from pellucid.plot.measure import model_of
from pellucid.settings import as_list, check_settings, check_whole

# -- initial weights -------------------------------------------------------------------------------


def initialization(
    activations: str | Sequence[str] = ("relu", "tanh"),
    *,
    init: Mapping[str, Any] | None = None,
    layers: int = 10,
    units: int = 100,
    samples: int = 1000,
    seed: int = 0,
    ax: Any = None,
) -> Any:
    """Draw the deviation of activations through a deep network, for several initial weights.

        a_0 ~ N(0, 1), (samples, units);   a_k = act(a_{k-1} W_k)

    Args: `activations`, one panel each; `init`, initializers by what they are called (None: normal
    values of deviation 0.01 and of 1, and what suits the activation: He for ReLU, Xavier for tanh);
    `layers` of so many `units` each; `samples`; `seed` of weights and samples.
    Returns: an array of axes; the legend gives the deviation in the last layer.

    >>> axes = initialization("tanh", layers=3, units=20, samples=50)
    >>> [label.split(":")[0] for label in axes[0].get_legend_handles_labels()[1]]
    ['N(0, 0.01²)', 'N(0, 1²)', 'Xavier']
    """
    names = [activations] if isinstance(activations, str) else as_list(
        activations, "activations", '["relu", "tanh"]')  # fmt: skip
    for name, value in (("layers", layers), ("units", units), ("samples", samples)):
        check_whole(value, name, 1)
    axes = canvas.panels(ax, len(names), 2, (4.3, 3.9))
    for panel, name in zip(axes, names, strict=True):
        for k, (label, chosen) in enumerate(_inits(name, init).items()):
            _spread(panel, k, label, deviations(name, chosen, layers, units, samples, seed))
        canvas.dress(panel, named_activation(name), "layer", "std of the activations")
        canvas.log_axis(panel)
        canvas.whole(panel.xaxis)
        canvas.ruled(panel)
        canvas.legend_below(panel, f"std in layer {layers}")
    return axes


def _inits(name: str, chosen: Any) -> Mapping[str, Any]:
    if chosen is not None:
        if not isinstance(chosen, Mapping) or not chosen:
            raise DtypeError(
                f"init is {chosen!r}", 'init={"He": pc.He(), "small": pc.Normal(0.01)}'
            )
        return chosen
    best = matching_init(name)
    called = "Xavier" if type(best).__name__ == "Glorot" else type(best).__name__
    return {"N(0, 0.01²)": Normal(0.01), "N(0, 1²)": Normal(1.0), called: best}


def deviations(
    activation: str, init: Any, layers: int, units: int, samples: int, seed: int
) -> Array:
    """Return the standard deviation of each layer's activations, (layers,), in float64."""
    stack = [Dense(units, activation, bias=False, init=initializer(init)) for _ in range(layers)]
    X = rng.normal(rng.key(seed, "plot initialization"), (samples, units))
    values = Sequential(stack, dtype="float64", seed=seed).activations(X)
    with np.errstate(all="ignore"):  # too large to be squared: Inf, which has no point
        found = [values.get(f"a{k + 1}", values[f"z{k + 1}"]).std() for k in range(layers)]
    return np.array(found)


def _spread(ax: Any, k: int, label: str, values: Array) -> None:
    shown = np.where(np.isfinite(values) & (values > 0), values, np.nan)
    last = float(values[-1])
    told = f"{label}: {canvas.number(last) if np.isfinite(last) else 'NaN or Inf'}"
    mark = {"marker": canvas.MARKERS[k % 8], "markersize": 5}
    ax.plot(np.arange(1, len(values) + 1), shown, label=told, **mark, **canvas.stroke(k))


# -- training copies -------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Course:
    """How the training of one copy went: its losses, and what is to be said of it."""

    loss: Array  # (epochs,)
    seconds: float  # for one epoch
    stopped: str
    backend: str

    @property
    def noise(self) -> float:
        """The standard deviation of the loss's change from epoch to epoch, in the last half."""
        steps = np.diff(self.loss[len(self.loss) // 2 :])
        return float(steps.std()) if steps.size else 0.0


def batch_sizes(
    model: Any,
    X: Any,
    y: Any,
    *,
    sizes: Iterable[int] = (1, 10, 50, 300),
    epochs: int = 200,
    backend: str = "auto",
    ax: Any = None,
) -> Any:
    """Draw the loss by epoch for several batch sizes, each measured on a copy of the model.

        updates in an epoch = ⌈samples / batch size⌉
        noise = standard deviation of the loss's change from epoch to epoch, in the last half

    Args: `X`, `y` as for `fit`; `sizes`, whose copies all start from the model's parameters;
    `epochs`; `backend`, as in `fit`: "auto" is what it takes for the smallest size, for all of
    them, so that times can be compared. Returns: the axes; the legend gives updates, time of an
    epoch and noise. Training that becomes NaN or Inf ends, and is said to. Raises: as `fit` does.

    >>> from pellucid import Dense, Sequential, data
    >>> model = Sequential([Dense(4, "tanh"), Dense(1, "sigmoid")], loss="bce")
    >>> ax = batch_sizes(model, *data.xor(), sizes=[1, 4], epochs=3, backend="numpy")
    >>> [line.get_label().split("\\n")[0] for line in ax.get_lines()]
    ['batch 1: 4 updates an epoch', 'batch 4: 1 update an epoch']
    """
    chosen = as_list(sizes, "sizes", "[1, 10, 50]")
    for size in chosen:
        check_whole(size, "a batch size", 1)
    model, found = model_of(model), {}
    for size in sorted(set(chosen)):
        found[size] = course(model, X, y, epochs, size, backend)
        backend = found[size].backend
    courses = {_updates(size, len(np.asarray(X))): found[size] for size in chosen}
    return _compared(courses, f"batch sizes ({backend})", True, ax)


def _updates(size: int, samples: int) -> str:
    updates = -(-samples // size)
    return f"batch {size}: {updates} update{'s' * (updates > 1)} an epoch"


def learning_rates(
    model: Any,
    X: Any,
    y: Any,
    *,
    rates: Iterable[float] = (0.01, 0.1, 1.0, 10.0),
    epochs: int = 200,
    batch_size: int | None = 32,
    backend: str = "auto",
    ax: Any = None,
) -> Any:
    """Draw the loss by epoch for several learning rates, each measured on a copy of the model.

    Args: `X`, `y`, `epochs`, `batch_size` and `backend` as for `fit`; `rates`, which take the place
    of the optimizer's own. Returns: the axes. Training that becomes NaN or Inf ends, and the legend
    says so. Raises: as `fit` does, ArgumentError for an optimizer without a learning rate.

    >>> from pellucid import Dense, Sequential, data
    >>> model = Sequential([Dense(4, "tanh"), Dense(1, "sigmoid")], loss="bce", optimizer="sgd")
    >>> ax = learning_rates(model, *data.xor(), rates=[0.1, 1], epochs=3, backend="numpy")
    >>> [line.get_label().split("\\n")[0] for line in ax.get_lines()]
    ['rate 0.1', 'rate 1']
    """
    model, courses = model_of(model), {}
    if "learning_rate" not in {f.name for f in fields(model.optimizer)}:
        raise ArgumentError("the optimizer has no learning_rate", "optimizer=pc.SGD(0.1)")
    for rate in as_list(rates, "rates", "[0.01, 0.1, 1.0]"):
        if isinstance(rate, bool) or not isinstance(rate, Real):
            raise DtypeError(f"a learning rate is {rate!r}", "rates=[0.01, 0.1, 1.0]")
        twin = model.copy()
        twin.optimizer = replace(model.optimizer, learning_rate=float(rate))
        label = f"rate {canvas.number(float(rate))}"
        courses[label] = course(twin, X, y, epochs, batch_size, backend)
    return _compared(courses, "learning rates", False, ax)


def course(
    model: Sequential, X: Any, y: Any, epochs: int, size: int | None, backend: str
) -> Course:
    """Train a copy; the model itself stays as it is."""
    check_settings(epochs, size, None, backend)
    check_whole(epochs, "epochs", 1)
    twin = model.copy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrainingWarning)
        history = twin.fit(X, y, epochs=epochs, batch_size=size, backend=backend, verbose=0,
                           on_nonfinite="report")  # fmt: skip
    loss = np.array(history.get("loss", []), dtype=float)
    each = history.seconds / max(len(loss), 1)
    return Course(loss, each, history.stopped, str(history.backend))


def _compared(courses: Mapping[str, Course], title: str, timed: bool, ax: Any) -> Any:
    """Draw the curves of several courses, the noisy ones first and so behind the others."""
    if not courses:
        raise ArgumentError("there is nothing to compare", "give at least one")
    ax = canvas.panel(ax, 7.2, 3.9)
    for k, (label, found) in enumerate(courses.items()):
        told = [label, _timing(found)] if timed else [label]
        if found.stopped:
            told.append(f"stopped after {len(found.loss)} epochs: not finite")
        dots = {"marker": canvas.MARKERS[k % 8], "markevery": 0.17, "markersize": 4.5}
        epochs, look = np.arange(1, len(found.loss) + 1), canvas.stroke(k)
        ax.plot(epochs, found.loss, label="\n".join(told), linewidth=1.3, **dots, **look)
    canvas.dress(ax, title, "epoch", "loss")
    if all((found.loss > 0).all() for found in courses.values()) and ax.get_lines():
        canvas.log_axis(ax)
    canvas.ruled(ax)
    canvas.legend(ax)
    return ax


def _timing(found: Course) -> str:
    return f"{1e3 * found.seconds:.2g} ms an epoch, noise {canvas.number(found.noise)}"
