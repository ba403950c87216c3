"""What flows through a model on some rows: units that are off or saturated, sizes of gradients.

Signals   what was measured, layer by layer     signals   measure it, on a copy
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from pellucid import rng
from pellucid.check.doctor.trials import Case
from pellucid.graph import Array
from pellucid.model import Sequential
from pellucid.nn.layer import Activation, Dense, Layer, Shared, matching_init, named_activation
from pellucid.nn.network import Network

ROWS = 256  # shares of units are known to a few percent, and the passes take a millisecond
RECTIFIERS = ("relu",)  # exactly 0, slope and all, for negative z
SIGMOIDS = {"sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0)}


@dataclass(frozen=True, eq=False)
class Signals:
    """What was measured on some rows; by layer, from the first to the last.

    `dead` and `saturated`, shares of hidden units, or of their values; `flat_output`, share of
    outputs at an end of their activation; `gains`, spread of weights over what initializers give
    for it; `gradients`, ‖∂L/∂W‖ / √size; `names` of the weights.
    """

    names: list[str]
    gains: list[float]
    gradients: list[float]
    dead: list[float]
    saturated: list[float]
    flat_output: float = 0.0

    @property
    def ratio(self) -> float:
        """The gradient of the first layer over that of the last; 1 for a single layer."""
        first, last = self.gradients[0], self.gradients[-1]
        return first / last if last > 0 else (math.inf if first > 0 else 1.0)

    @property
    def gain(self) -> float:
        """The gain of all layers together."""
        return float(np.prod(self.gains))


def signals(case: Case, model: Sequential) -> Signals:
    """Measure a model on rows of the case."""
    rows = rng.permutation(rng.key(0, "doctor rows"), len(case.X))[:ROWS]
    X, y = case.X[rows], case.y[rows]
    with np.errstate(all="ignore"):
        values, slopes = model.activations(X), model.gradients(X, y)
    matrices = [s for s in model._built.slots if len(s.shape) == 2]
    acts = activations_of(model._built)
    sizes = [float(np.sqrt(np.mean(np.square(slopes[s.name], dtype=float)))) for s in matrices]
    gains = [_gain(model, s.name, s.shape, acts.get(s.layer, "linear")) for s in matrices]
    hidden = _hidden(model._built, values)
    return Signals(
        [s.name for s in matrices],
        gains,
        sizes,
        [_dead(a) for act, a in hidden if act in RECTIFIERS],
        [_saturated(a, *SIGMOIDS[act]) for act, a in hidden if act in SIGMOIDS],
        _flat(model, list(acts.values())[-1:], list(values.values())[-1]),
    )


def plain(layer: Layer) -> Layer:
    """Return the layer inside a shared one."""
    return layer.layer if isinstance(layer, Shared) else layer


def activations_of(net: Network) -> dict[int, str]:
    """Return the name of the activation that each layer of weights ends in, by its place."""
    found: dict[int, str] = {}
    place = 0
    for k, layer in enumerate(map(plain, net.layers)):
        if net.owners[k]:
            place = k
            found[place] = named_activation(getattr(layer, "activation", None))
        elif isinstance(layer, Activation):
            found[place] = named_activation(layer.function)
    return found


def _gain(model: Sequential, name: str, shape: tuple[int, ...], act: str) -> float:
    """Return √(mean W²) over that of the initializer which suits the activation."""
    usual = matching_init(act).array(shape, rng.key(0, "doctor gain"))
    size = float(np.sqrt(np.mean(np.square(model.params[name], dtype=float))))
    return size / max(float(np.sqrt(np.mean(usual**2))), 1e-12)


def _hidden(net: Network, values: dict[str, Array]) -> list[tuple[str, Array]]:
    """Return activation and values of each hidden layer, the last layer left out."""
    acts = list(activations_of(net).values())
    found = [(acts[k], values.get(f"a{k + 1}")) for k in range(len(acts) - 1)]
    return [(act, a) for act, a in found if a is not None and a.ndim == 2]


def _dead(a: Array) -> float:
    """Return the share of units that are 0 for every row."""
    return float(np.mean((a == 0).all(axis=0)))


def _saturated(a: Array, low: float, high: float) -> float:
    """Return the share of values within 1% of an end: slopes are below 4% of the largest."""
    edge = 0.01 * (high - low)
    with np.errstate(all="ignore"):
        return float(np.mean((a < low + edge) | (a > high - edge)))


def _flat(model: Sequential, last: list[str], output: Array) -> float:
    """Return the share of outputs within 1% of an end of their activation; 0 where it has none."""
    return _saturated(output, *SIGMOIDS[last[0]]) if last and last[0] in SIGMOIDS else 0.0


def is_dense(layer: Layer) -> bool:
    """Say whether it is a layer of weighted sums."""
    return isinstance(plain(layer), Dense)
