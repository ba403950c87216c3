"""What can be done about it: each remedy returns a case with one thing changed.

evened  without_constants  scaled     the data          unpunished  undropped     brakes taken off
fresh  rectified  lively              the weights       wider                     a larger model
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from pellucid.check.doctor.signals import is_dense, plain
from pellucid.check.doctor.table import labels_of
from pellucid.check.doctor.trials import Case, rebuilt
from pellucid.graph import Array
from pellucid.nn.layer import Activation, Dense, Dropout, Layer, named_activation
from pellucid.optim import Adam


def evened(case: Case) -> Case:
    """Return it with rows of rare classes repeated until all are about as many."""
    labels = labels_of(case.y, case.model.loss_function)
    if labels is None:
        return case
    counts = np.bincount(labels)
    times = np.maximum(1, counts.max() // np.maximum(counts, 1))[labels]
    rows = np.repeat(np.arange(len(labels)), times)
    epochs = max(1, round(case.epochs * len(case.X) / len(rows)))
    return replace(case, X=case.X[rows], y=case.y[rows], epochs=epochs, judged=(case.X, case.y))


def flat_columns(case: Case) -> Array:
    """Return which columns have one value in all rows, (d,)."""
    found: Array = np.ptp(case.X.reshape(len(case.X), -1), axis=0) == 0
    return found


def without_constants(case: Case) -> Case:
    """Return it with zeros in constant columns: as if they were not there."""
    flat = flat_columns(case)

    def apply(X: Array) -> Array:
        kept: Array = np.where(flat, 0.0, X)
        return kept

    return replace(case, X=apply(case.X), held=case.held and (apply(case.held[0]), case.held[1]))


def scaled(case: Case) -> Case:
    """Return it with columns of mean 0 and deviation 1, by the training rows; codes stay codes."""
    if case.model._built.selective:
        return case
    flat = case.X.reshape(len(case.X), -1).astype(float)
    mean, spread = flat.mean(axis=0), flat.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)

    def apply(X: Array) -> Array:
        rows = np.asarray(X, float).reshape(len(X), -1)
        scaled: Array = ((rows - mean) / spread).reshape(X.shape).astype(case.model.dtype)
        return scaled

    held = None if case.held is None else (apply(case.held[0]), case.held[1])
    return replace(case, X=apply(case.X), held=held)


def fresh(case: Case) -> Case:
    """Return it with the initial weights and biases that suit its activations."""
    return case.edited(_usual, fresh=True)


def _usual(layer: Layer) -> Layer:
    return replace(layer, init=None, bias_init=0.0) if isinstance(layer, Dense) else layer


def rectified(case: Case) -> Case:
    """Return it with ReLU in all hidden layers, and usual weights."""
    last = max((k for k, layer in enumerate(case.model.layers) if is_dense(layer)), default=0)
    layers = [
        _relu(layer) if k < last else _usual(plain(layer)) if is_dense(layer) else layer
        for k, layer in enumerate(case.model.layers)
    ]
    return replace(case, model=rebuilt(case.model, layers, fresh=True))


def _relu(layer: Layer) -> Layer:
    if isinstance(layer, Activation):
        return Activation("relu")
    if not isinstance(layer, Dense) or named_activation(layer.activation) == "linear":
        return layer
    return replace(layer, activation="relu", init=None, bias_init=0.0)


def unpunished(case: Case) -> Case:
    """Return it without l1 and l2."""
    return case.edited(lambda x: replace(x, l1=0.0, l2=0.0) if isinstance(x, Dense) else x)


def undropped(case: Case) -> Case:
    """Return it without dropout."""
    return case.edited(lambda x: None if isinstance(x, Dropout) else x)


def wider(case: Case) -> Case:
    """Return it with hidden layers of 32 units and more, two where it has none."""
    layers = list(case.model.layers)
    dense = [k for k, layer in enumerate(layers) if is_dense(layer)]
    for k in dense[:-1]:
        layer = plain(layers[k])
        if isinstance(layer, Dense):
            act = layer.activation if named_activation(layer.activation) != "linear" else "relu"
            layers[k] = replace(layer, units=max(32, 4 * layer.units), activation=act)
    if len(dense) == 1:
        layers[dense[0] : dense[0]] = [Dense(32, "relu"), Dense(32, "relu")]
        last = plain(layers[dense[0] + 2])
        layers[dense[0] + 2] = replace(last, inputs=None) if isinstance(last, Dense) else last
    return replace(case, model=rebuilt(case.model, layers, fresh=True))


def lively(case: Case, seed: int) -> Case:
    """Return it from another seed, with Adam."""
    twin = case.seeded(seed)
    twin.model.optimizer = Adam(0.01)
    return twin
