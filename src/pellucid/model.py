"""A model owns arrays: the parameters of a stack of layers, trained, saved and read back."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pellucid import intake
from pellucid.adapting import adapt
from pellucid.backends import Reading, reading, working
from pellucid.batches import Batch, Numbers
from pellucid.blackbox import settle
from pellucid.callbacks import Callback
from pellucid.checkpoint import restore, save
from pellucid.data import split
from pellucid.errors import (
    ArgumentError,
    DtypeError,
    NotBuiltError,
    PellucidError,
    PellucidWarning,
    one_of,
)
from pellucid.fit import Augment, Stepper
from pellucid.freezing import matching, relaid
from pellucid.graph import Array
from pellucid.history import History
from pellucid.keeping.facts import Task
from pellucid.keeping.recording import recording
from pellucid.losses import Loss
from pellucid.losses import loss as loss_named
from pellucid.metrics import Confusion, Measures, check_metrics, confusion_matrix
from pellucid.metrics.given import Chosen
from pellucid.nn.layer import Dense, Layer, check_share
from pellucid.nn.network import Network, admit, check_enough, initial, initial_fixed, network
from pellucid.optim import Optimizer, Schedule
from pellucid.optim import optimizer as optimizer_named
from pellucid.outputs import check_outputs
from pellucid.parameters import Parameters, all_parameters, layer_state, state_views
from pellucid.run import Runner
from pellucid.session import loop_of, progress, ready
from pellucid.settings import (
    as_callbacks,
    as_list,
    as_precision,
    as_seed,
    check_choice,
    check_kept,
    check_settings,
)
from pellucid.sharing import programs, shared
from pellucid.show.python import Program, source
from pellucid.summary import Shown, summary
from pellucid.train import Blueprint
from pellucid.weights import Loaded, load_weights, save_weights

if TYPE_CHECKING:
    from pellucid.explaining.shapes import Shapes
    from pellucid.explaining.walkthrough import Walkthrough
    from pellucid.pictures import Picture

Function = Callable[..., Any]


class Sequential:
    """A stack of layers, each fed by the one before.

    Args: `layers`; `loss`, by name or as a function of (prediction, target); `optimizer`, by name
    or as a value; `metrics`, likewise; `dtype` "float32" or "float64"; `seed`, from which weights,
    shuffles and dropout masks follow. Parameters are made when data is first seen, or at once
    where the first layer says `inputs=`.

    >>> model = Sequential([Dense(2, "tanh", inputs=2), Dense(1)], loss="mse")
    >>> model.params
    <Parameters W1: (2, 2), b1: (2,), W2: (2, 1), b2: (1,)>
    """

    def __init__(
        self,
        layers: Sequence[Layer] = (),
        *,
        loss: str | Function | Loss | None = None,
        optimizer: str | Optimizer = "adam",
        metrics: Sequence[Chosen] = (),
        dtype: Any = "float32",
        seed: int = 0,
    ) -> None:
        self.loss_function = None if loss is None else loss_named(loss)
        self.metrics = tuple(as_list(metrics, "metrics", '["accuracy"]'))
        check_metrics(self.metrics, self.loss_function or Loss("custom", len))
        self._optimizer = optimizer_named(optimizer)
        self.dtype = as_precision(dtype)
        self.seed = as_seed(seed)
        self.layers: tuple[Layer, ...] = ()
        self.history: History | None = None
        self.frozen: frozenset[str] = frozenset()  # parameters that are not learned, by name
        self._parent: dict[str, Any] | None = None  # the run that it was branched from
        self._net: Network | None = None
        self._labels: Array | None = None
        self._adapted = False  # whether its layers have learned what they learn from samples
        self._runners: dict[Any, tuple[Program, Runner]] = {}
        self._readings: dict[bool, Reading] = {}
        self._scripts: dict[Any, Any] = {}
        self._reading = threading.Lock()  # results lie in a runner's memory until they are copied
        self._building = threading.RLock()  # several threads may come with the first samples
        for layer in as_list(layers, "layers", "[pc.Dense(8), pc.Dense(1)]"):
            self._append(layer)
        check_outputs(self.layers, self.loss_function, whole=False)
        self._build_if_known()

    # -- building --------------------------------------------------------------------------------

    def add(self, layer: Layer) -> Sequential:
        """Put one more layer on top, before the model has been trained; return the model.

        Weights that the model has are drawn anew. Raises: ArgumentError after training.
        """
        before = self.layers, self._net
        self._append(layer)
        try:
            self._net = None
            self._build_if_known()
        except PellucidError:
            self.layers, self._net = before
            raise
        return self

    def _append(self, layer: Layer) -> None:
        if not isinstance(layer, Layer):
            hint = (
                "pass an instance, such as pc.Dense(8)"
                if isinstance(layer, type)
                else "see pc.Layer"
            )
            raise DtypeError(f"a layer is expected, not {layer!r}", hint)
        if (
            self._net is not None
            and getattr(self, "_numbers", None) is not None
            and self._numbers.steps
        ):
            raise ArgumentError(
                "the model has been trained, so its layers are fixed", "make a new one"
            )
        self.layers = (*self.layers, layer)

    def _build_if_known(self) -> None:
        first = self.layers[0] if self.layers else None
        if isinstance(first, Dense) and first.inputs is not None:
            self._build((first.inputs,))

    def _network(self, shape: tuple[int, ...]) -> Network:
        if not self.layers:
            raise NotBuiltError("the model has no layers", "model.add(pc.Dense(1))")
        settings = ("network", self.layers, shape, sorted(self.frozen))
        return shared(settings, lambda: network(self.layers, shape, self.frozen))

    def _build_once(self, shape: tuple[int, ...]) -> None:
        with self._building:
            if self._net is None:
                self._build(shape)

    def _build(self, shape: tuple[int, ...]) -> None:
        net = self._network(shape)
        self._net = net
        self._numbers, self._adapted = self._fresh_numbers(net, self.seed), False
        self._look()

    def _fresh_numbers(self, net: Network, seed: int) -> Numbers:
        """Return the numbers that training starts from."""
        flat = initial(net, seed).astype(self.dtype)
        state = self.optimizer.zeros(flat)
        return Numbers(flat, state, initial_fixed(net, seed).astype(self.dtype))

    def _look(self) -> None:
        """Look at the numbers anew, through views; forget the programs of others."""
        numbers = self._numbers
        self._views = all_parameters(self._built, numbers.params, numbers.fixed)
        self._runners, self._readings, self._scripts = {}, {}, {}
        self._stepper: Stepper | None = None

    @property
    def _built(self) -> Network:
        if self._net is None:
            raise NotBuiltError(
                "the model has no parameters yet: it has not seen the shape of its data",
                "fit or predict first, or say it: pc.Dense(8, inputs=2) as the first layer",
            )
        return self._net

    @property
    def optimizer(self) -> Optimizer:
        """How parameters are updated; a new one goes on with the state, where it needs no other."""
        return self._optimizer

    @optimizer.setter
    def optimizer(self, chosen: str | Optimizer) -> None:
        before, self._optimizer = self._optimizer, optimizer_named(chosen)
        if self._net is not None:
            kept, fresh = self._numbers.state, self._optimizer.zeros(self._numbers.params)
            goes_on = self._optimizer.follows(before) and all(
                n in kept and kept[n].shape == a.shape for n, a in fresh.items()
            )
            if not goes_on:  # a new state counts from step 1
                self._numbers.since = self._numbers.steps
            self._numbers.state = {n: kept[n] for n in fresh} if goes_on else fresh
            self._numbers.scale = 1.0
            self._stepper, self._runners, self._readings, self._scripts = None, {}, {}, {}

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next step; set anew, training goes on with that one.

        Raises: ArgumentError where it is set and a schedule decides.

        >>> model = Sequential([Dense(1, inputs=1)], optimizer="sgd")
        >>> model.learning_rate = 0.5
        >>> model.learning_rate, model.optimizer.learning_rate
        (0.5, 0.01)
        """
        if self._net is None:
            return self.optimizer.rate_at(1, 1.0)
        return float(self._given()["learning_rate"])

    @learning_rate.setter
    def learning_rate(self, rate: float) -> None:
        base = self.optimizer.learning_rate
        if isinstance(base, Schedule):
            raise ArgumentError(
                "a schedule decides the learning rate", "model.optimizer = pc.Adam(0.001)"
            )
        replace(self.optimizer, learning_rate=rate)  # refuses what is no rate
        _ = self._built
        self._numbers.scale = float(rate) / base

    @contextmanager
    def _unless_refused(self, before: Any = None) -> Iterator[None]:
        """Leave a model without parameters as it was where what it is given is refused."""
        before = before or (self._net, self._labels, self._adapted)
        try:
            yield
        except Exception:
            self._net, self._labels, self._adapted = before
            raise

    def _blueprint(self) -> Blueprint:
        loss = self.loss_function or Loss("none", lambda p, y, reduction="mean": (p * 0).mean())
        return Blueprint(self._built, loss, self.optimizer, self.metrics, self.dtype)

    # -- parameters ------------------------------------------------------------------------------

    @property
    def params(self) -> Parameters:
        """The parameters by name: W1, b1, …, as writable views, whether learned or frozen."""
        _ = self._built
        return self._views

    @params.setter
    def params(self, values: Mapping[str, Any]) -> None:
        _ = self._built
        if not isinstance(values, Mapping):
            raise DtypeError(f"params is {values!r}", 'give arrays by name: {"W1": …, "b1": …}')
        before = self._numbers.copy()
        try:
            for name, value in values.items():
                self._views[name] = value
        except (ArgumentError, DtypeError):
            self._numbers.restore(before)
            raise

    @property
    def buffers(self) -> Parameters:
        """What the layers keep without learning it, by name: running means, as writable views."""
        return layer_state(self._built, self._numbers.fixed)

    def freeze(self, *names: str) -> Sequential:
        """Keep parameters as they are from now on: freeze("W1", "b*"); all, without names.

        A name may have * for any letters. Their optimizer state is forgotten. Returns the model.
        Raises: ArgumentError where no parameter has such a name.

        >>> model = Sequential([Dense(2, inputs=2), Dense(1)]).freeze("W1", "b1")
        >>> sorted(model.frozen)
        ['W1', 'b1']
        """
        relaid(self, self.frozen | matching(self._built, names))
        return self

    def unfreeze(self, *names: str) -> Sequential:
        """Let frozen parameters be learned again; all, without names. Returns the model.

        What a layer itself says, `Dense(8, trainable=False)`, stays.
        """
        relaid(self, self.frozen - matching(self._built, names))
        return self

    def averaged(self) -> Sequential:
        """Return a copy whose parameters are the running average of training: `Adam(ema=0.999)`.

        Raises: ArgumentError where the optimizer keeps none.
        """
        twin = self.copy()
        if "average" not in twin._numbers.state:
            raise ArgumentError("the optimizer keeps no average", "optimizer=pc.Adam(ema=0.999)")
        if twin._numbers.steps >= twin._numbers.since + self.optimizer.accumulate:
            twin._numbers.params[...] = twin._numbers.state["average"]
        return twin

    def reset(self, seed: int | None = None) -> Sequential:
        """Start again: fresh weights and optimizer state, from another seed if one is given.

        >>> Sequential([Dense(1, inputs=2)]).reset(seed=1).seed
        1
        """
        self.seed = self.seed if seed is None else as_seed(seed)
        self.history, self._labels = None, None
        if self._net is not None:
            self._numbers.restore(self._fresh_numbers(self._net, self.seed))
            self._stepper, self._adapted = None, False
        return self

    def _twin(self) -> Sequential:
        """Return a model of the same layers and settings, without numbers."""
        return Sequential(
            self.layers, loss=self.loss_function, optimizer=self.optimizer,
            metrics=self.metrics, dtype=self.dtype, seed=self.seed,
        )  # fmt: skip

    def copy(self) -> Sequential:
        """Return an independent copy: layers and settings, parameters and optimizer state."""
        twin = self._twin()
        twin.frozen = self.frozen
        if self._net is not None:
            twin._build(self._net.input_shape)
            twin._numbers.restore(self._numbers)
            twin._labels, twin._adapted = self._labels, self._adapted
        return twin

    def __getstate__(self) -> dict[str, Any]:
        """Return what a pickle holds: not the loaded programs, which are traced again."""
        made = ("_reading", "_building", "_views", "_stepper")
        kept = {k: v for k, v in vars(self).items() if k not in made}
        return kept | {"_runners": {}, "_readings": {}, "_scripts": {}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        locks = {"_reading": threading.Lock(), "_building": threading.RLock()}
        vars(self).update(state, **locks, _stepper=None)
        if self._net is not None:
            self._look()

    def __copy__(self) -> Sequential:
        return self.copy()

    def __deepcopy__(self, memo: Any) -> Sequential:
        return self.copy()

    def _check_savable(self) -> None:
        """Refuse what no file can hold."""

    def _rows(self) -> Sequential:
        """Return the model as one that takes and gives one array each."""
        return self

    def _both(self, X: Any, y: Any, of: str = "") -> tuple[Any, Any]:
        """Return samples and targets as one array each, where the model takes several."""
        return X, y

    # -- data in ---------------------------------------------------------------------------------

    @property
    def _missing(self) -> bool:
        """Whether samples may hold NaN: the first layer says so."""
        return bool(self.layers) and self.layers[0].takes_missing

    def _features(self, X: Any) -> Array:
        array = intake.features(
            X, self.dtype, self._net.input_shape if self._net else None, missing=self._missing
        )
        self._build_once(array.shape[1:])
        admit(self._built, array)
        return array

    def _batch(
        self, X: Any, y: Any, weight: Any = None, classes: Any = None, of: str = ""
    ) -> Batch:
        """Check and convert samples and targets; the model stays as it was if they are refused."""
        loss, known = self.loss_function, self._net
        if loss is None:
            raise ArgumentError(
                "the model has no loss to be trained with", 'pc.Sequential(…, loss="mse")'
            )
        check_outputs(self.layers, loss)
        shape = known.input_shape if known else None
        array = intake.features(X, self.dtype, shape, f"{of}X", self._missing)
        intake.same_length(array, y, of)
        net = known or self._network(array.shape[1:])
        admit(net, array, f"{of}X")
        target = intake.targets(y, loss, net.output_shape, self.dtype, f"{of}y")
        weights = intake.sample_weights(weight, classes, target, loss, self.dtype)
        self._build_once(array.shape[1:])
        return Batch(array, target, weights)

    # -- training --------------------------------------------------------------------------------

    def fit(
        self,
        X: Any,
        y: Any,
        *,
        epochs: int = 1,
        batch_size: int | None = 32,
        validation_data: tuple[Any, Any] | None = None,
        validation_split: float = 0.0,
        sample_weight: Any = None,
        class_weight: Any = None,
        shuffle: bool = True,
        callbacks: Sequence[Callback] = (),
        record: bool = False,
        augment: Augment | None = None,
        verbose: int = 1,
        print_every: int | None = None,
        backend: str = "auto",
        on_nonfinite: str = "raise",
        checkpoint: str | Path | None = None,
        resume: bool = False,
        checkpoint_every: int | None = None,
    ) -> History:
        """Train on samples X (n, …) and targets y; a second call goes on where the first stopped.

        Args: `batch_size`, None for all samples at once; `validation_split`, the share held out
        (shuffled, stratified, seeded); `sample_weight` (n,), scaled to mean 1; `class_weight`, a
        dict or "balanced"; `record`, whether the history also has, at each epoch's end, the loss
        of all training samples, the length of its gradient, and the learning rate; `augment`,
        f(X, y, rng) -> (X, y), which makes other samples of a batch, with a random generator that
        follows from seed and step; `verbose`, 0 for silence, 2 to be told how it is computed;
        `print_every`, epochs between lines (about 20 lines in all by default); `backend`, "numpy",
        "numba" (compiled), "auto": compiled where that takes less time in all, or "often", the same
        for settings that are trained again and again: compiled once they have taken as long;
        `on_nonfinite`, what a step that gives NaN or Inf leads to: "raise", or "report", a warning
        and the history;
        `checkpoint`, a folder that keeps the run, so that `resume=True` goes on after whatever
        ended it, up to `epochs` in all, as if nothing had; `checkpoint_every`, epochs between two
        checkpoints (None: as many as take a second). `pc.Run` reads the folder.
        Returns: the `History` of loss and metrics by epoch.
        Raises: ArgumentError, DataError, ShapeError, DtypeError; the model is then as it was.
        NonFiniteError, which says where NaN or Inf came up first and why; the model then keeps the
        parameters of the last good step, and `model.history` the epochs before.
        """
        check_settings(epochs, batch_size, print_every, backend)
        check_choice(on_nonfinite, "on_nonfinite", ("raise", "report"))
        check_kept(checkpoint, resume, checkpoint_every)
        hooks = [*as_callbacks(callbacks), *progress(verbose, print_every, epochs)]
        before = self._net, self._labels, self._adapted
        with self._unless_refused():
            X, y, sample_weight, held, rows = self._held_out(
                X, y, sample_weight, validation_data, validation_split
            )
            train = self._batch(X, y, sample_weight, class_weight)
            train.origin = rows
            checked = None if held is None else self._batch(held[0], held[1], of="validation ")
            size = min(batch_size or len(train), len(train))
            check_enough(self._built, len(train), size)
            if self.optimizer.whole and size < len(train):
                raise ArgumentError(
                    f"{type(self.optimizer).__name__} takes all samples at once, not {size} of "
                    f"{len(train)}", "fit(…, batch_size=None)",
                )  # fmt: skip
            self._prepare(train, y)
            self._doubt(train)
            if checked is not None:
                self._doubt(checked, "of the validation samples, ")
            prepared = {"validation_split": validation_split, "class_weight": class_weight}
            task = Task(self, train, checked, size, shuffle, epochs, prepared, record, augment)
            ready(task, hooks)
        with ExitStack() as stack:
            with self._unless_refused(before):
                kept = stack.enter_context(recording(checkpoint, resume, checkpoint_every))
                loop, begun = loop_of(task, hooks, kept, backend, verbose)
            self.history = loop.run(begun) if loop else begun
        return settle(self.history, on_nonfinite)

    def adapt(self, X: Any) -> Sequential:
        """Let layers such as Normalize learn from samples X: as `fit` does once, before it trains.

        Returns the model. Raises: as `predict` does for samples.
        """
        with self._unless_refused():
            array = self._features(X)
            adapt(self._blueprint(), self._numbers, array)
            self._adapted = True
        return self

    def _prepare(self, train: Batch, y: Any) -> None:
        """Trace the step, and remember how the caller writes labels."""
        self._steps().program(train.weights is not None)
        if not self._numbers.steps and not self._adapted:
            adapt(self._blueprint(), self._numbers, train.X)
            self._adapted = True
        if self._labels is None and self.loss_function is not None:
            self._labels = intake.label_values(y, self.loss_function, self._built.output_shape)

    def _held_out(
        self, X: Any, y: Any, weights: Any, data: Any, share: float
    ) -> tuple[Any, Any, Any, Any, Any]:
        """Return training samples, targets and weights, the validation pair, and which rows."""
        check_share(share, "validation_split")
        if data is not None and share:
            raise ArgumentError("validation_data and validation_split are both given", "choose one")
        if data is not None and (not isinstance(data, (tuple, list)) or len(data) != 2):
            raise ArgumentError("validation_data is not a pair", "validation_data=(X_val, y_val)")
        if not share:
            return X, y, weights, data, None
        X = intake.features(
            X, self.dtype, self._net.input_shape if self._net else None, missing=self._missing
        )
        intake.same_length(X, y)
        y, rows = np.asarray(y), np.arange(len(X))
        train, _, test, _ = split(rows, y, test=share, seed=self.seed)
        weights = None if weights is None else intake.weights(weights, len(X))[train]
        return X[train], y[train], weights, (X[test], y[test]), train

    def _steps(self) -> Stepper:
        if self._stepper is None:
            self._stepper = Stepper(self._blueprint(), self._numbers, self.seed)
        return self._stepper

    def step(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Take one training step on this batch; return its loss, as it was before the step.

        Raises as `fit` does; the model is then as it was.
        """
        with self._unless_refused():
            batch = self._batch(X, y, sample_weight)
            check_enough(self._built, len(batch))
            self._prepare(batch, y)
        return float(self._steps().take(batch)["loss"])

    # -- reading ---------------------------------------------------------------------------------

    def _runner(self, kind: str, *options: Any) -> tuple[Program, Runner]:
        key = (kind, *options)
        if key not in self._runners:
            program, runner = programs(self._blueprint()).get(key, lambda plan: _read(plan, *key))
            self._runners[key] = (program, runner.twin())
        return self._runners[key]

    def _run(self, kind: str, batch: Batch, *options: Any) -> dict[str, Array]:
        program, runner = self._runner(kind, *options)
        given = {
            "X": batch.X,
            "Y": batch.Y,
            "sample_weight": batch.weights,
            **self._numbers.arrays,
        }
        with self._reading:
            found = runner(*(given[leaf.name] for leaf in program.inputs), n=len(batch))
            found = found if isinstance(found, tuple) else (found,)
            return dict(zip(program.returns, map(np.array, found), strict=True))

    def predict(self, X: Any, *, raw: bool = False, backend: str = "auto") -> Array:
        """Return the output for each row: values, or probabilities; the scores, if `raw`.

            X (n, features) -> (n, outputs)

        `backend` "auto" is compiled where training was, or where the program is on the disk.

        Raises: ShapeError, DataError, DtypeError for data that cannot be read.

        >>> model = Sequential([Dense(1, init="ones", inputs=2)])
        >>> model.predict([[1.0, 2.0]])
        array([[3.]], dtype=float32)
        """
        if backend not in ("auto", "numpy", "numba"):
            raise one_of("backend", backend, ["auto", "numpy", "numba"])
        with self._unless_refused():
            array = self._features(X)
            found = self._readings.get(raw)
            if found is None:
                trained = self._stepper is not None and bool(self._stepper.machines)
                found = reading(self._blueprint(), raw, self._numbers, trained)
                self._readings[raw] = found
            return found(self._numbers, array, backend)

    def predict_classes(self, X: Any) -> Array:
        """Return the most likely label for each row, (n,), as the caller wrote labels in `fit`."""
        p = self.predict(X)
        return most_likely(p, self.loss_function, self._labels, self._built.output_shape)

    def evaluate(self, X: Any, y: Any, *, sample_weight: Any = None) -> dict[str, float]:
        """Return loss and metrics as a dict, as they are for prediction: without dropout."""
        with self._unless_refused():
            batch = self._batch(X, y, sample_weight)
            found = self._evaluated(batch)
        self._doubt(batch)
        return found

    def _evaluated(self, batch: Batch) -> dict[str, float]:
        found = self._run("evaluate", batch, batch.weights is not None)
        whole = {}
        if "prediction" in found:
            whole = self._measures.of(found.pop("prediction"), batch.Y, batch.weights)
        facts = self._measures.facts(batch.Y, batch.weights)
        return self._measures.result(found, facts, whole)

    def _judged(self, batch: Batch) -> dict[str, float]:
        """Return the metrics that need all predictions."""
        prediction = self._run("predict", batch)["prediction"]
        return self._measures.of(prediction, batch.Y, batch.weights)

    @property
    def _measures(self) -> Measures:
        return self._steps().plan.measures

    def _doubt(self, batch: Batch, where: str = "") -> None:
        """Say which metrics the targets leave undefined."""
        for doubt in self._measures.doubts(batch.Y, batch.weights):
            warnings.warn(f"{where}{doubt}", PellucidWarning, stacklevel=3)

    def confusion(self, X: Any, y: Any, *, sample_weight: Any = None) -> Confusion:
        """Return how many samples of each class are taken for which; printed, a table.

            counts[i, j] = samples of class labels[i] that are predicted as labels[j]

        With `sample_weight`, sums of weights. See `pc.plot.confusion` for a picture of it.
        Raises: ArgumentError where the model predicts values, or several labels at once.

        >>> X, y = np.array([[-1.0], [1.0], [2.0]]), [0, 0, 1]
        >>> model = Sequential([Dense(1, "sigmoid", init="ones", inputs=1)], loss="bce")
        >>> model.confusion(X, y)
                  predicted
        true      0    1
        0         1    1
        1         0    1
        """
        from pellucid.plot.measure import classes

        found = classes(self, X, y)
        if sample_weight is not None:
            sample_weight = intake.weights(sample_weight, len(found.truth))
        counted = confusion_matrix(
            prediction=found.predicted, target=found.truth, labels=range(len(found.labels)),
            sample_weight=sample_weight,
        )  # fmt: skip
        return Confusion(counted.counts, found.labels)

    def loss(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """Return the loss of these samples, penalties included, without dropout."""
        with self._unless_refused():
            return self._evaluated(self._batch(X, y, sample_weight))["loss"]

    def gradients(self, X: Any, y: Any, sample_weight: Any = None) -> dict[str, Array]:
        """Return the gradient of the loss by parameter, without dropout.

            {"W1": ∂loss/∂W1, "b1": ∂loss/∂b1, …},  each of its parameter's shape

        >>> model = Sequential([Dense(1, init="ones", inputs=1)], loss="half_mse")
        >>> model.gradients([[2.0]], [[1.0]])["W1"]
        array([[2.]], dtype=float32)
        """
        with self._unless_refused():
            batch = self._batch(X, y, sample_weight)
            check_enough(self._built, len(batch))
            found = self._run("gradients", batch, batch.weights is not None)
        return {name.removeprefix("d_"): value for name, value in found.items()}

    def activations(self, X: Any) -> dict[str, Array]:
        """Return what every layer computes for these samples: {"z1": (n, units), "a1": …}.

        >>> model = Sequential([Dense(1, "relu", init="ones", inputs=1)])
        >>> model.activations([[-2.0]])
        {'z1': array([[-2.]], dtype=float32), 'a1': array([[0.]], dtype=float32)}
        """
        with self._unless_refused():
            array = self._features(X)
            return self._run("activations", Batch(array, array))

    def explain(
        self,
        X: Any,
        y: Any,
        *,
        notation: str = "rows",
        sample: int = 0,
        digits: int = 4,
        fused: bool = True,
    ) -> Walkthrough:
        """Return every step of training on these samples: both passes, the loss and the update.

        Symbols, numbers and results are those of the graph that trains, in float64 and without
        dropout; the model is not changed. Args: `notation`, "rows" (x W) or "columns" (W x);
        `sample`, which one is shown where there are many; `digits`, decimals shown; `fused`,
        False to go back through the last activation, rather than merge it with its loss.
        Raises: as `fit` does for samples; ArgumentError for settings that cannot be meant.

        >>> model = Sequential([Dense(1, init="ones", inputs=1)], loss="half_mse", optimizer="sgd")
        >>> model.explain([[2.0]], [[1.0]])["d_W1"].numbers
        '[[2]] @ [[1]]'
        """
        from pellucid.explaining.of_model import explained

        return explained(*self._asked(X, y, sample, notation, digits, fused))

    def draw(self, X: Any = None, y: Any = None, **settings: Any) -> Picture:
        """Draw the model as SVG; `X` and `y` are samples whose numbers it shows: see `pc.draw`.

        >>> Sequential([Dense(3, "relu", inputs=2), Dense(1)], loss="mse").draw()
        <picture: ...>
        """
        from pellucid.pictures import draw

        return draw(self, X, y, **settings)

    def shapes(self) -> Shapes:
        """Return the shape of every array of a training step, by name; printed, a table.

        >>> Sequential([Dense(3, "relu", inputs=2), Dense(1)], loss="mse").shapes()["d_W1"]
        (2, 3)
        """
        from pellucid.explaining.shapes import shapes

        return shapes(self._traced_script(True, False))

    def _traced_script(self, fused: bool, columns: bool) -> Any:
        """Return the steps of an explanation, traced once."""
        from pellucid.explaining.of_model import model_script

        if self.loss_function is None:
            raise ArgumentError("the model has no loss", 'pc.Sequential(…, loss="mse")')
        key = (fused, columns)
        if key not in self._scripts:
            self._scripts[key] = model_script(self._blueprint(), *key)
        return self._scripts[key]

    def _asked(
        self, X: Any, y: Any, sample: int, notation: str, digits: int, fused: bool
    ) -> tuple[Any, Any]:
        """Return the steps of an explanation, and the numbers to put into them."""
        from pellucid.explaining.of_model import Asked, check_asked

        with self._unless_refused():
            batch = self._batch(X, y)
            check_asked(sample, len(batch), notation, digits, fused)
            check_enough(self._built, len(batch))
            script = self._traced_script(fused, notation == "columns")
        state = {k: state_views(self._built, flat) for k, flat in self._numbers.state.items()}
        return script, Asked(batch, self._given(), state, sample, notation, digits)

    def _given(self) -> dict[str, Any]:
        """Return the numbers that the next step starts from: parameters, state, t and rate."""
        numbers = self._numbers
        step = numbers.steps - numbers.since + 1
        rate = self.optimizer.rate_at(step, numbers.scale)
        return {**self.params, **self.buffers, "t": step, "learning_rate": rate}

    def source(self, backend: str = "numpy") -> str:
        """Return the training step as NumPy code that one could have written by hand.

        With `backend="numba"`: the whole training run as loops, as it is compiled.
        """
        if backend not in ("numpy", "numba"):
            raise one_of("backend", backend, ["numpy", "numba"])
        _ = self._built
        if self.loss_function is None:
            raise ArgumentError(
                "the model has no loss to be trained with", 'pc.Sequential(…, loss="mse")'
            )
        if backend == "numba":
            printed: str = self._steps().run((False, 0, 32)).source
            return printed
        return source(self._steps().program(False)[0].program)

    def summary(self) -> str:
        """Print the layers, how each parameter count comes about, and the memory of training."""
        able = self.loss_function is not None and bool(self._built.slots)
        arrays = working(self._steps()) if able else None
        text = Shown(summary(self._built, self.dtype, self.optimizer, arrays))
        print(text)
        return text

    def save(self, path: str | Path) -> Path:
        """Write weights, optimizer state and architecture to one safetensors file; return its path.

        All or nothing: an old file of that name stays whole if writing fails. `pellucid.load` reads
        it back. Raises: ArgumentError for what a file cannot hold, such as a function in a layer.
        """
        _ = self._built
        return save(self, path)

    def save_weights(self, path: str | Path) -> Path:
        """Write parameters, and what layers keep, to a safetensors file; return its path.

        Without layers, optimizer and counts: for `load_weights`, of this library or another.
        All or nothing, as `save`.
        """
        return save_weights(self, path)

    def load_weights(
        self,
        path: str | Path,
        *,
        only: str | Sequence[str] | None = None,
        strict: bool = True,
        names: Mapping[str, str] | None = None,
    ) -> Loaded:
        """Read parameters, and what layers keep, from any safetensors file; say what was loaded.

        Optimizer state and counts stay as they are. Args: `only`, names such as "W1" or "b*";
        `strict`, False to load what has the same name and shape, and leave out the rest; `names`,
        what the file calls them, where that differs: {"W1": "encoder.weight"}.
        Raises: DataError, ShapeError for a file that does not fit; the model is then as it was.

            model.load_weights("pretrained.safetensors", only=["W1", "b1"])
        """
        _ = self._built
        return load_weights(self, path, only, strict, names)

    def __repr__(self) -> str:
        inside = ", ".join(map(repr, self.layers))
        loss = f", loss={self.loss_function.setting!r}" if self.loss_function else ""
        return f"Sequential([{inside}]{loss}, optimizer={self.optimizer!r})"


def most_likely(p: Array, loss: Loss | None, labels: Array | None, shape: tuple[int, ...]) -> Array:
    """Return the label of each row of predictions; `labels` as the caller wrote them, if known."""
    if loss is None or not (loss.classifies or p.shape[-1] > 1 or loss.name in ("mse", "half_mse")):
        raise ArgumentError("the model predicts values, not classes", "use predict")
    if loss.targets == "classes" or (p.shape[-1] > 1 and loss.targets != "binary"):
        index = p.argmax(axis=-1)
    else:
        index = (p > (0.0 if loss.targets == "signs" else 0.5)).astype(int)
        index = index[:, 0] if p.shape[1:] == (1,) else index
    if labels is None:
        labels = intake.label_values(0, loss, shape)
    found: Array = index if labels is None else labels[index]
    return found


def _read(plan: Blueprint, kind: str, *options: Any) -> tuple[Program, Runner]:
    """Return a program that does not train, loaded."""
    program = getattr(plan, kind)(*options)
    return program, Runner(program)


def load(path: str | Path, custom: Mapping[str, type] | None = None) -> Sequential:
    """Read a model back: it predicts the same numbers, and trains on where it was.

    Args: `path`, a file of `model.save`; `custom`, {"Name": class} for layers of one's own.
    Raises: DataError, which says what is wrong with the file. Nothing in it is ever run.

        pc.load("digits.safetensors").predict(X)
    """
    model: Sequential = restore(Path(path), custom or {}, Sequential)
    return model
