"""Short runs on copies: what training comes to, as it was given and with one thing changed.

Case      a model, its data and how it is trained     Outcome   what a run of it came to
run       train a copy of a case                      score     how good predictions are, 0 to 1
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import numpy as np

from pellucid.batches import Batch
from pellucid.errors import PellucidError, TrainingWarning
from pellucid.freezing import relaid
from pellucid.graph import Array
from pellucid.model import Sequential
from pellucid.nn.layer import Composite, Layer, Shared

STEPS = 3_000  # where epochs are not given: enough for small tasks, and below half a second


@dataclass(frozen=True, eq=False)
class Case:
    """A model with parameters, its data, and how it is trained; never changed."""

    model: Sequential
    X: Array
    y: Array
    held: tuple[Array, Array] | None
    epochs: int
    batch_size: int
    shuffle: bool
    own: bool = True  # held rows were given; False: some of the rows were set aside
    judged: tuple[Array, Array] | None = None  # the rows to be judged by, where they are others
    backend: str = "numpy"
    cut: bool = False  # fewer epochs than asked for: the budget is too small
    guessed: bool = False  # nobody said how many epochs: too few are no fault

    @property
    def steps(self) -> int:
        """How many steps an epoch has."""
        return -(-len(self.X) // self.batch_size)

    def edited(self, change: Callable[[Layer], Layer | None], fresh: bool = False) -> Case:
        """Return it with every layer changed, or dropped where the change is None.

        Weights stay as they are where all still fit; `fresh`: they are drawn anew.
        """
        layers = [new for layer in self.model.layers if (new := _inside(layer, change)) is not None]
        return replace(self, model=rebuilt(self.model, layers, fresh))

    def rated(self, rate: float) -> Case:
        """Return it with another learning rate."""
        twin = self.model.copy()
        twin.optimizer = replace(twin.optimizer, learning_rate=rate)
        return replace(self, model=twin)

    def seeded(self, seed: int) -> Case:
        """Return it with weights, shuffles and masks of another seed."""
        return replace(self, model=self.model.copy().reset(seed))


Change = Callable[[Layer], Layer | None]


def _inside(layer: Layer, change: Change) -> Layer | None:
    if isinstance(layer, Composite):
        return _within(layer, change)
    if not isinstance(layer, Shared):
        return change(layer)
    inner = change(layer.layer)
    return inner and replace(layer, layer=inner)


def _within(layer: Composite, change: Change) -> Layer:
    """Return a layer with those that it holds changed; as it is where it cannot do without one."""
    if not is_dataclass(layer):
        return layer
    inner = {f.name: _held(getattr(layer, f.name), change) for f in fields(layer)}
    try:
        return replace(layer, **inner)
    except PellucidError:
        return layer


def _held(value: Any, change: Change) -> Any:
    """Return a setting with the layers in it changed, those that are dropped left out."""
    if isinstance(value, Layer):
        new = _inside(value, change)
        return () if new is None else new
    if isinstance(value, tuple):
        return tuple(x for v in value if (x := _held(v, change)) != () or v == ())
    return value


def rebuilt(
    model: Sequential, layers: list[Layer], fresh: bool = False, loss: str = ""
) -> Sequential:
    """Return a model of other layers, with the same weights where they fit and are wanted."""
    twin = Sequential(
        layers,
        loss=loss or model.loss_function,
        optimizer=model.optimizer,
        metrics=(),
        dtype=model.dtype,
        seed=model.seed,
    )
    twin._build(model._built.input_shape)
    carry_over(model, twin, fresh)
    return twin


def carry_over(model: Sequential, twin: Sequential, fresh: bool = False) -> None:
    """Freeze what is frozen, and take over the numbers where all still fit.

    With `fresh`, only those that are not learned: what layers know of the data stays true.
    """
    shapes = [{s.name: s.shape for s in m._built.arrays} for m in (model, twin)]
    if shapes[0] != shapes[1]:
        return
    relaid(twin, model.frozen)
    for name, array in model.buffers.items():
        twin.buffers[name] = array
    for slot in model._built.parameters:
        if not fresh or slot.kind == "frozen":
            twin.params[slot.name] = model.params[slot.name]


@dataclass(frozen=True, eq=False)
class Outcome:
    """What a run came to; losses are of prediction, without dropout and penalties.

    `curve`, losses by epoch as training saw them, and `held_curve`; `first` and `loss`, before and
    after; `score` and `held_score`, 0 for guessing, 1 for all right; `moved`, ‖Δp‖ / ‖p‖.
    """

    model: Sequential
    curve: Array
    held_curve: Array
    first: float
    loss: float
    score: float
    held_loss: float
    held_score: float
    moved: float
    stopped: str
    seconds: float

    @property
    def finite(self) -> bool:
        """Whether training came to its end, and the result is a number."""
        return not self.stopped and math.isfinite(self.loss)

    @property
    def level(self) -> float:
        """The mean of the last quarter of the curve: where the loss is, ups and downs apart."""
        late = self.curve[-max(1, len(self.curve) // 4) :]
        return float(late.mean()) if len(late) else math.inf

    @property
    def best(self) -> float:
        """The score on held-out rows, where there are any, else on the training rows."""
        return self.held_score if math.isfinite(self.held_score) else self.score


def run(case: Case) -> Outcome:
    """Train a copy of a case; a run that ends in NaN or Inf is an outcome, too."""
    twin, clock = case.model.copy(), time.perf_counter()
    seen = case.judged or (case.X, case.y)
    before, first = twin._numbers.params.copy(), loss_of(twin, *seen)
    logs, stopped = _fitted(twin, case)
    params = twin._numbers.params
    with np.errstate(all="ignore"):
        moved = float(np.linalg.norm(params - before) / max(float(np.linalg.norm(before)), 1e-12))
    held = case.held or (None, None)
    return Outcome(
        twin,
        np.array(logs.get("loss", [])),
        np.array(logs.get("val_loss", [])),
        first,
        loss_of(twin, *seen),
        score(twin, *seen),
        loss_of(twin, *held),
        score(twin, *held),
        moved,
        stopped,
        time.perf_counter() - clock,
    )


def _fitted(twin: Sequential, case: Case) -> tuple[dict[str, list[float]], str]:
    """Train; return the curves, and why it stopped."""
    begun, twin.history = twin._numbers.steps, None
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore", TrainingWarning)
            history = twin.fit(
                case.X,
                case.y,
                epochs=case.epochs,
                batch_size=_batch_size(twin, case),
                validation_data=case.held,
                shuffle=case.shuffle,
                verbose=0,
                backend=case.backend,
                on_nonfinite="report",
            )
        if history.stopped.startswith("interrupted"):
            raise KeyboardInterrupt
        return dict(history), history.stopped
    except PellucidError as error:
        if case.backend != "numpy" and twin._numbers.steps == begun:  # what cannot be compiled
            return _fitted(twin, replace(case, backend="numpy"))
        return dict(twin.history or {}), error.what


def _batch_size(twin: Sequential, case: Case) -> int | None:
    """Return the case's batch size, or the next below that leaves no batch too small to train on.

    Of fewer rows than were asked about, what is left for the last batch is something else.
    """
    if twin.optimizer.whole:
        return None
    count, least = len(case.X), twin._built.least
    sizes = range(min(case.batch_size, count), 0, -1)
    return next((k for k in sizes if (count % k or k) >= least), case.batch_size)


# -- how good it is --------------------------------------------------------------------------------


def loss_of(model: Sequential, X: Any, y: Any) -> float:
    """Return the loss of the data alone, without penalties; NaN where there are no rows."""
    if X is None:
        return math.nan
    with np.errstate(all="ignore"):
        found = model.evaluate(X, y)
    return found.get("data_loss", found["loss"])


def score(model: Sequential, X: Any, y: Any) -> float:
    """Return how good predictions are: 0 for the best constant, 1 for all right.

    classes  (mean over classes of the share that is right - 1/C) / (1 - 1/C)
    values   R² = 1 - Σ(p - y)² / Σ(y - mean)²
    """
    if X is None:
        return math.nan
    batch = model._batch(X, y)
    with np.errstate(all="ignore"):
        output = np.asarray(model.predict(batch.X, backend="numpy"), float)
    if not np.isfinite(output).all():
        return -1.0
    return _accuracy_score(model, output, batch) if classes_in(model, batch) else _r2(output, batch)


def classes_in(model: Sequential, batch: Batch) -> bool:
    """Say whether targets are classes: the loss says so, or they are all 0 and 1."""
    loss = model.loss_function
    if loss is not None and loss.classifies:
        return True
    return set(np.unique(batch.Y[:500]).tolist()) <= {0.0, 1.0}


def indexes(model: Sequential, output: Array) -> Array:
    """Return the class of each row of outputs or targets, (n, outputs) -> (n,)."""
    flat = output.reshape(len(output), -1)
    if flat.shape[1] > 1:
        return np.asarray(flat.argmax(axis=1))
    signs = model.loss_function is not None and model.loss_function.targets == "signs"
    return (flat[:, 0] > (0.0 if signs else 0.5)).astype(int)


def _accuracy_score(model: Sequential, output: Array, batch: Batch) -> float:
    truth = indexes(model, batch.Y)
    right = indexes(model, output) == truth
    classes = np.unique(truth)
    mean = float(np.mean([right[truth == c].mean() for c in classes]))
    base = 1 / len(classes)
    return (mean - base) / (1 - base) if base < 1 else float(mean == 1)


def _r2(output: Array, batch: Batch) -> float:
    y = np.asarray(batch.Y, float).reshape(len(batch), -1)
    spread = float(np.sum((y - y.mean(axis=0)) ** 2))
    with np.errstate(all="ignore"):
        error = float(np.sum((output.reshape(len(y), -1) - y) ** 2))
    found = 1 - error / spread if spread else float(error == 0)
    return max(found, -1.0) if math.isfinite(found) else -1.0
