"""Trials: the data and weights on which a student is run, and the gradients that are right there.

Reference   a model's gradients in float64, its loss and its penalty
Trial       one set of weights and samples with the right gradients
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pellucid import intake
from pellucid.backward import backward
from pellucid.check.chain import Chain, Place, chain_of, penalty_slope, places, settled
from pellucid.check.reading import Task
from pellucid.errors import ArgumentError
from pellucid.graph import Array, value
from pellucid.losses import Loss
from pellucid.model import Sequential
from pellucid.nn.network import Network
from pellucid.ops import ones_like
from pellucid.parameters import views_of
from pellucid.run import Runner
from pellucid.train import Blueprint

DOUBLE = np.dtype(np.float64)


@dataclass(frozen=True, eq=False)
class Trial:
    """Weights and samples, what is right there, and what is known of the layers."""

    task: Task
    data: dict[str, Array]  # the gradient of the loss without its penalty
    extra: dict[str, Array]  # that of the penalty, where a parameter has one
    loss: float  # without the penalty
    penalty: float
    layers: tuple[Place, ...]  # () where the model is no chain of dense layers
    prediction: Array

    @property
    def n(self) -> int:
        """How many samples there are."""
        return len(self.task.X)

    def right(self, scale: float = 1.0, penalty: float = 1.0) -> dict[str, Array]:
        """Return the right gradients under a convention."""
        return {
            k: scale * d + (penalty * self.extra[k] if k in self.extra else 0.0)
            for k, d in self.data.items()
        }


class Reference:
    """What a model says is right."""

    def __init__(self, model: Sequential, X: Any, y: Any) -> None:
        if not isinstance(model, Sequential):
            raise ArgumentError(f"like={model!r} is no model", "like=pc.Sequential([…], loss=…)")
        if model.loss_function is None:
            raise ArgumentError("the model has no loss", 'pc.Sequential(…, loss="mse")')
        self.loss: Loss = model.loss_function
        shape = model._net.input_shape if model._net else None
        features = intake.features(X, DOUBLE, shape, missing=model._missing)
        self.net: Network = model._net or model._network(features.shape[1:])
        intake.same_length(features, y)
        self.X = features
        self.y = intake.targets(y, self.loss, self.net.output_shape, DOUBLE)
        self.given = np.asarray(y)
        self.chain: Chain | None = chain_of(model, self.net)
        self.params = _params(model, self.net)
        blueprint = Blueprint(self.net, self.loss, model.optimizer, (), DOUBLE)
        self._gradients, self._evaluate = blueprint.gradients(), blueprint.evaluate()
        self._predict = blueprint.predict(False)
        self._runners = {id(p): Runner(p) for p in (self._gradients, self._evaluate, self._predict)}

    @property
    def sizes(self) -> list[int]:
        """How many inputs, hidden units, outputs: for a class that is to be made."""
        wide = [s.shape[1] for s in self.net.slots if len(s.shape) == 2]
        return [int(np.prod(self.net.input_shape)), *wide]

    @property
    def activations(self) -> list[str]:
        return [b.activation for b in self.chain.blocks] if self.chain else ["relu"]

    def trial(self, params: Mapping[str, Array], X: Array, y: Array, given: Array) -> Trial:
        """Return a trial on these weights and samples."""
        flat = np.concatenate([np.ravel(params[s.name]) for s in self.net.slots])
        whole = self._run(self._gradients, flat, X, y)
        whole = {k.removeprefix("d_"): v for k, v in whole.items()}
        measured = self._run(self._evaluate, flat, X, y)
        loss = float(measured["loss"])
        data_loss = float(measured.get("data_loss", loss))
        layers: tuple[Place, ...] = ()
        extra: dict[str, Array] = {}
        if self.chain is not None:
            nodes = {k: value(v, k) for k, v in params.items()}
            layers = settled(places(self.chain, nodes, value(X, "X"), value(y, "y")))
            found = {p.block.W: penalty_slope(p) for p in layers}
            extra = {k: np.array(v.value) for k, v in found.items() if v is not None}
        data = {k: v - extra[k] if k in extra else v for k, v in whole.items()}
        predicted = self._run(self._predict, flat, X, y)["prediction"]
        up = _upstream(layers, predicted)
        task = Task(self.net.slots, dict(params), X, y, given, up, self._strength())
        return Trial(task, data, extra, data_loss, loss - data_loss, layers, predicted)

    def _strength(self) -> float:
        return max((float(getattr(layer, "l2", 0.0)) for layer in self.net.layers), default=0.0)

    def _run(self, program: Any, flat: Array, X: Array, y: Array) -> dict[str, Array]:
        given = {"X": X, "Y": y, "params": flat}
        runner = self._runners[id(program)]
        found = runner(*(given[leaf.name] for leaf in program.inputs), n=len(X))
        found = found if isinstance(found, tuple) else (found,)
        return dict(zip(program.returns, map(np.array, found), strict=True))

    # -- which weights and samples -----------------------------------------------------------------

    def own(self) -> Trial:
        """The caller's samples, and the model's weights."""
        return self.trial(self.params, self.X, self.y, self.given)

    def other(self, n: int, seed: int) -> Trial:
        """Samples and weights made up: no zeros, no two sizes alike if n is chosen so."""
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(n, *self.X.shape[1:]))
        y = self._made_targets(rng, n)
        return self.trial(self._jittered(rng), X, y, self._as_given(y))

    def _jittered(self, rng: np.random.Generator) -> dict[str, Array]:
        spread = {k: max(float(np.abs(v).mean()), 0.3) for k, v in self.params.items()}
        return {k: 0.5 * v + spread[k] * rng.normal(size=v.shape) for k, v in self.params.items()}

    def at_kink(self) -> Trial | None:
        """The caller's samples, with one unit of each ReLU at exactly 0; None without ReLU."""
        blocks = self.chain.blocks if self.chain else ()
        params = self._jittered(np.random.default_rng(5))
        hidden = [b for b in blocks if b.activation == "relu"]
        for block in hidden:
            params[block.W][:, 0] = 0.0
            if block.b:
                params[block.b][0] = 0.0
        return self.trial(params, self.X, self.y, self.given) if hidden else None

    def _made_targets(self, rng: np.random.Generator, n: int) -> Array:
        wide = self.y.shape[1:]
        flags = bool(np.isin(self.y, (0, 1)).all())
        shares = self.y.ndim == 2 and wide[0] > 1 and np.allclose(self.y.sum(axis=1), 1)
        if shares and flags:
            classes: Array = np.eye(wide[0])[rng.permutation(np.arange(n) % wide[0])]
            return classes
        if self.loss.targets in ("binary", "classes") or flags:
            made = rng.integers(0, 2, (n, *wide)).astype(float)
            made[0] = 1 - made[-1]
            return np.asarray(made / made.sum(axis=1, keepdims=True) if shares else made)
        if self.loss.targets == "signs":
            return np.asarray(rng.choice([-1.0, 1.0], (n, *wide)))
        free = rng.normal(size=(n, *wide))
        return np.asarray(np.abs(free) if self.loss.targets == "counts" else free)

    def _as_given(self, y: Array) -> Array:
        """Return targets in the form in which the caller gave them."""
        if self.given.ndim == self.y.ndim and self.given.shape[1:] == self.y.shape[1:]:
            return y
        if self.loss.targets == "classes":
            labels = np.asarray(y.argmax(axis=1).astype(self.given.dtype))
            return labels if self.given.ndim == 1 else labels[:, None]
        return y.reshape((len(y), *self.given.shape[1:]))


def _params(model: Sequential, net: Network) -> dict[str, Array]:
    if model._net is not None:
        return {k: np.array(v, DOUBLE) for k, v in model.params.items()}
    from pellucid.nn.network import initial

    flat = initial(net, model.seed)
    return {k: np.array(v) for k, v in views_of(net, flat).items()}


def _upstream(layers: tuple[Place, ...], predicted: Array) -> Array:
    """Return ∂L/∂ŷ, for a student whose backward pass starts from it."""
    if not layers:
        return np.zeros_like(predicted)
    p = layers[-1]
    with np.errstate(all="ignore"):
        return np.array(backward({p.loss(p.a, p.y): ones_like(p.a.sum())}, [p.a])[p.a].value)


def keeps_momentum(thing: Any) -> bool:
    """Say whether an object has state that makes its steps differ from its gradients."""
    names = " ".join(getattr(thing, "__dict__", None) or {}).lower()
    return bool(re.search(r"\b(v|m|s)_?(dw|w|b)|veloc|moment|\bbeta|adam|rmsprop", names))


def with_history(trial: Trial, before: Trial, grads: Mapping[str, Array]) -> tuple[Place, ...]:
    """Return the layers of a trial that also know what an earlier call saw and gave."""
    nodes = {k: value(v, f"before_{k}") for k, v in grads.items()}
    return tuple(
        replace(p, old=old, dW_before=nodes.get(p.block.W), db_before=nodes.get(p.block.b))
        for p, old in zip(trial.layers, before.layers, strict=True)
    )
