"""Compiled training gives what NumPy gives: numbers, logs, callbacks, stops and warnings."""

from __future__ import annotations

import _thread
import io
import threading
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import pellucid as pc
from pellucid import jit, ops
from pellucid.callbacks import Callback, LambdaCallback, Lines
from pellucid.nn.init import Constant, Glorot
from pellucid.nn.layer import Layer, Parameter
from pellucid.optim import Optimizer

pytestmark = pytest.mark.skipif(bool(jit.available()), reason=jit.available() or "it can")

BACKENDS = ("numpy", "numba")
ROWS = 37

# -- what is trained -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Gain(Layer):
    """A parameter that is no matrix, and a mean over features."""

    def parameters(self, shape: Any) -> dict[str, Parameter]:
        return {"g": Parameter((int(shape[0]),), Constant(1.0))}

    def __call__(self, x: Any, p: Any) -> Any:
        return x * p["g"] + ops.mean(x, axis=-1, keepdims=True)


@dataclass(frozen=True)
class Residual(Layer):
    """Two products and the input again."""

    units: int

    def parameters(self, shape: Any) -> dict[str, Parameter]:
        d = int(shape[0])
        return {
            "U": Parameter((d, self.units), Glorot()),
            "V": Parameter((self.units, d), Glorot()),
        }

    def __call__(self, x: Any, p: Any) -> Any:
        return x + ops.tanh(x @ p["U"]) @ p["V"]


@dataclass(frozen=True)
class Attend(Layer):
    """Every row looks at every other: a product with its own transpose."""

    def __call__(self, x: Any, p: Any) -> Any:
        return ops.softmax(x @ x.T / 3, axis=-1) @ x


@dataclass(frozen=True)
class Standard(Layer):
    """Statistics over the batch, used by all of its rows."""

    def __call__(self, x: Any, p: Any) -> Any:
        return (x - ops.mean(x, 0)) / (ops.std(x, 0) + 0.1)


@dataclass(frozen=True)
class HeavyBall(Optimizer):
    """State that is the last parameters: each store reads what the other overwrites."""

    learning_rate: float = 0.01

    @property
    def state(self) -> tuple[str, ...]:
        return ("before", "started")

    def update(self, p: Any, g: Any, state: Any, t: Any, learning_rate: Any) -> Any:
        last = ops.where(state["started"] > 0, state["before"], p)
        new = p - learning_rate * g + 0.5 * (p - last)
        return new, {"before": p, "started": state["started"] + 1}


@dataclass(frozen=True)
class Turned(Optimizer):
    """State that moves: read backwards, swapped, and with a sum over all parameters."""

    learning_rate: float = 0.01

    @property
    def state(self) -> tuple[str, ...]:
        return ("a", "b")

    def update(self, p: Any, g: Any, state: Any, t: Any, learning_rate: Any) -> Any:
        size = ops.sqrt(ops.sum(g * g)) + 1
        return p - learning_rate * (g + 0.1 * state["a"]) / size, {
            "a": state["b"][::-1] + g,
            "b": 0.5 * state["a"],
        }


def cube(p: Any, y: Any) -> Any:
    return ops.mean(ops.absolute(p - y) ** 3) + 0.1 * ops.mean(p * p)


def worst(p: Any, y: Any) -> Any:
    return ops.max(ops.absolute(p - y))


def data(
    kind: str = "values", n: int = ROWS, shape: Any = (5,), out: int = 3, seed: int = 0
) -> Any:
    """Return samples, and targets of a kind."""
    rng = np.random.default_rng([seed, n])
    X = rng.normal(size=(n, *shape))
    made = {
        "values": lambda: rng.normal(size=(n, out)),
        "labels": lambda: np.r_[np.arange(out), rng.integers(0, out, n)][:n],
        "onehot": lambda: np.eye(out)[rng.integers(0, out, n)],
        "binary": lambda: rng.integers(0, 2, (n, out)).astype(float),
        "signs": lambda: 2.0 * rng.integers(0, 2, (n, out)) - 1,
        "counts": lambda: rng.integers(0, 5, (n, out)).astype(float),
    }
    return X, made[kind]()


D, SGD, Adam, Act, Drop = pc.Dense, pc.SGD, pc.Adam, pc.Activation, pc.Dropout
PLAIN = SGD(0.01)
DUO = pc.Shared(D(6, "tanh", l2=0.1), "both")


@dataclass(frozen=True, eq=False)
class Case:
    """One model with its data, and how it is fitted."""

    layers: tuple[Layer, ...]
    loss: Any = "mse"
    optimizer: Optimizer = PLAIN
    kind: str = "values"
    metrics: tuple[Any, ...] = ()
    shape: tuple[int, ...] = (5,)
    out: int = 3
    fit: Any = None
    dtype: str = "float64"
    n: int = ROWS

    def model(self, seed: int = 3) -> pc.Sequential:
        return pc.Sequential(
            self.layers,
            loss=self.loss,
            optimizer=self.optimizer,
            metrics=self.metrics,
            dtype=self.dtype,
            seed=seed,
        )

    @property
    def data(self) -> Any:
        return data(self.kind, self.n, self.shape, self.out)

    def fitted(self, backend: str, epochs: int, model: Any = None, **more: Any) -> pc.Sequential:
        model = model or self.model()
        settings = {"batch_size": 8, "verbose": 0, **(self.fit or {}), **more}
        model.fit(*self.data, epochs=epochs, backend=backend, **settings)
        return model


HELD = {"validation_data": data(n=11, seed=1)}
CASES = {
    "mse, all rows": Case((D(4, "tanh"), D(3)), optimizer=Adam(0.01), fit={"batch_size": None}),
    "half_mse, one row": Case(
        (D(4, "relu"), D(3)), "half_mse", SGD(0.01, momentum=0.9), fit={"batch_size": 1}
    ),
    "mae, dampened": Case(
        (D(4, "leaky_relu"), D(3)), "mae", SGD(0.01, momentum=0.9, dampening=0.3), fit=HELD
    ),
    "huber, nesterov": Case(
        (D(4, "gelu"), D(3)), "huber", SGD(0.01, momentum=0.9, nesterov=True), fit=HELD
    ),
    "hinge": Case((D(4, "elu"), D(3)), "hinge", Adam(0.01), "signs", ("accuracy",)),
    "bce": Case(
        (D(4, "selu"), D(3, "sigmoid")),
        "bce",
        Adam(0.01),
        "binary",
        ("accuracy", "mse"),
        fit={"validation_split": 0.3},
    ),
    "bce_logits": Case(
        (D(4, "swish"), D(1)),
        "bce_logits",
        Adam(0.01),
        "binary",
        ("accuracy", "bce", "mae"),
        out=1,
        fit={"class_weight": {0: 2.0, 1: 0.5}, "validation_split": 0.2},
    ),
    "cce, one-hot": Case(
        (D(4, "softplus"), D(3, "softmax")), "cce", Adam(0.01), "onehot", ("accuracy",)
    ),
    "cce, labels": Case(
        (D(4, "sigmoid"), D(3, "softmax")),
        "cce",
        Adam(0.01),
        "labels",
        ("accuracy",),
        fit={"class_weight": "balanced"},
    ),
    "cce_logits, weighted": Case(
        (D(9, "erf"), D(3)),
        "cce_logits",
        Adam(0.01),
        "labels",
        ("accuracy", "cce"),
        fit={"sample_weight": np.linspace(0, 2, ROWS), "batch_size": 5},
    ),
    "poisson": Case((D(4, "sin"), D(3, "softplus")), "poisson", Adam(0.01), "counts"),
    "dropout": Case(
        (D(16, "relu"), Drop(0.3), D(8, "tanh"), Drop(0.5), D(3)), metrics=("mae",), fit=HELD
    ),
    "dropout, all rows": Case(
        (Drop(0.2), D(16, "arctan"), Drop(0.3), D(3)), fit={"batch_size": None}
    ),
    "penalties": Case(
        (D(6, "relu", l1=0.01, l2=0.1), D(3, l2=0.01)), optimizer=Adam(0.01), fit=HELD
    ),
    "images": Case(
        (pc.Flatten(), D(6, "relu"), D(3)), "cce_logits", Adam(0.01), "labels", shape=(2, 3, 4)
    ),
    "own activations": Case(
        (D(6), Act(lambda x: ops.sin(x) * x), D(3, lambda x: x + ops.tanh(x) ** 2))
    ),
    "own layers": Case((D(6, "normal_cdf"), Gain(), Residual(4), D(3)), optimizer=Adam(0.01)),
    "wide layers": Case(
        (Residual(40), D(30, "log_sigmoid"), Residual(30), D(3)), "cce_logits", Adam(0.01), "labels"
    ),
    "shared layers": Case((D(6, "tanh"), DUO, DUO, D(3)), optimizer=Adam(0.01)),
    "rows that see each other": Case((D(6, "gaussian"), Attend(), D(40), Attend(), D(3))),
    "batch statistics": Case((D(6), Standard(), D(3))),
    "own loss and metric": Case((D(6, "tanh"), D(3)), cube, metrics=(worst, "mae"), fit=HELD),
    "softmax inside": Case(
        (D(6, "softmax"), D(5, "log_softmax"), D(3, lambda x: ops.softmax(x, 0)))
    ),
    "one matrix, in order": Case((D(1, "cosh", bias=False),), out=1, fit={"shuffle": False}),
    "heavy ball": Case((D(4, "tanh"), D(3)), optimizer=HeavyBall(0.01)),
    "turned state": Case((D(4, "tanh"), D(3)), optimizer=Turned(0.01)),
    "one sample": Case((D(4, "relu"), D(3)), n=1),
    "fewer than a batch": Case((D(4, "relu"), D(3)), n=6),
}
each = pytest.mark.parametrize("name", CASES)


def same(a: pc.Sequential, b: pc.Sequential, tol: float = 1e-12) -> None:
    """Equal numbers, counters and logs; `tol` 0: to the last bit."""
    one, two = a._numbers, b._numbers
    assert (one.steps, one.epochs, one.since) == (two.steps, two.epochs, two.since)
    assert one.state.keys() == two.state.keys()
    for x, y in [(one.params, two.params), *((one.state[k], two.state[k]) for k in one.state)]:
        size = max(np.abs(y).max(initial=0), 1e-300)
        assert np.linalg.norm((x - y) / size) <= tol * max(np.linalg.norm(y / size), 1)
    assert a.history is not None
    assert b.history is not None
    assert list(a.history) == list(b.history)
    assert a.history.stopped == b.history.stopped
    for key in a.history:
        np.testing.assert_allclose(a.history[key], b.history[key], tol, tol, err_msg=key)


# -- the same numbers ------------------------------------------------------------------------------


@each
def test_a_hundred_steps(name):
    """‖Δ‖/‖p‖ ≤ 1e-12 in float64, and every column of the history as close."""
    case = CASES[name]
    batch = (case.fit or {}).get("batch_size", 8) or case.n
    epochs = -(-100 // -(-case.n // batch))
    same(case.fitted("numba", epochs), case.fitted("numpy", epochs))


@each
def test_two_fits_are_one(name):
    """In two parts, on either backend, through a file or not: the same as at once, bit for bit."""
    case = CASES[name]
    if (case.fit or {}).get("validation_split"):
        pytest.skip("the share held out is the same, and its columns are those of the last fit")
    whole = case.fitted("numba", 5)
    parts = case.fitted("numba", 3, case.fitted("numba", 2))
    assert np.array_equal(whole._numbers.params, parts._numbers.params)
    assert (whole._numbers.steps, whole._numbers.epochs) == (parts._numbers.steps, 5)
    mixed = case.fitted("numpy", 3, case.fitted("numba", 2))
    turned = case.fitted("numba", 3, case.fitted("numpy", 2))
    same(mixed, parts)
    same(turned, parts)


@pytest.mark.parametrize("name", ["mse, all rows", "mae, dampened", "dropout", "penalties"])
def test_a_saved_model_goes_on(name, tmp_path):
    case = CASES[name]
    at_once = case.fitted("numba", 3, case.fitted("numba", 2))
    before = case.fitted("numba", 2)
    path = before.save(tmp_path / "model.safetensors")
    same(case.fitted("numba", 3, pc.load(path)), at_once, 0)
    same(case.fitted("numpy", 3, pc.load(path)), at_once)


@pytest.mark.parametrize("name", ["dropout", "cce, labels", "wide layers"])
def test_one_seed_is_one_result(name):
    case = CASES[name]
    same(case.fitted("numba", 7), case.fitted("numba", 7), 0)
    other = case.fitted("numba", 7, case.model(seed=4))
    assert not np.array_equal(other._numbers.params, case.fitted("numba", 7)._numbers.params)


@pytest.mark.parametrize(
    "name", ["mse, all rows", "dropout", "cce_logits, weighted", "wide layers"]
)
def test_one_step_in_float32(name):
    """From equal state, one step is within 1e-6 of the parameters' size."""
    case = CASES[name]
    small = Case(
        **{**vars(case), "dtype": "float32", "fit": {**(case.fit or {}), "batch_size": None}}
    )
    a, b = (small.fitted(backend, 1) for backend in BACKENDS)
    same(a, b, 1e-6)
    assert a._numbers.params.dtype == np.float32


def test_no_epochs_change_nothing():
    case = CASES["mse, all rows"]
    a, b = (case.fitted(backend, 0) for backend in BACKENDS)
    same(a, b, 0)
    assert a.history is not None
    assert a.history.epochs == 0


# -- callbacks -------------------------------------------------------------------------------------


def traced(backend: str, **hooks: Any) -> tuple[list[Any], pc.Sequential]:
    """Train with hooks that note where they are called, with which logs and parameters."""
    seen: list[Any] = []
    callback = LambdaCallback()

    def note(hook: str) -> Any:
        def called(*where: Any) -> None:
            *place, logs = where
            params = callback.model._numbers.params.copy()
            seen.append((hook, place, dict(logs), params))

        return called

    for hook in hooks:
        setattr(callback, hook, note(hook))
    model = CASES["dropout"].fitted(backend, 4, callbacks=[callback])
    return seen, model


@pytest.mark.parametrize(
    "hooks",
    [
        ("on_epoch_end",),
        ("on_epoch_begin",),
        ("on_batch_end",),
        ("on_train_begin", "on_train_end"),
        ("on_epoch_begin", "on_epoch_end", "on_batch_end", "on_train_begin", "on_train_end"),
    ],
    ids=" ".join,
)
def test_callbacks_see_the_same(hooks):
    """Each hook in its turn, with the parameters and logs of that moment."""
    (ours, a), (theirs, b) = (traced(backend, **dict.fromkeys(hooks)) for backend in BACKENDS)
    same(a, b)
    assert [(hook, place) for hook, place, *_ in ours] == [(h, p) for h, p, *_ in theirs]
    for (_, _, logs, params), (_, _, others, there) in zip(ours, theirs, strict=True):
        assert logs.keys() == others.keys()
        numbers = [k for k, v in logs.items() if isinstance(v, (int, float))]
        assert [logs[k] for k in logs if k not in numbers] == [
            others[k] for k in others if k not in numbers
        ]
        mine, yours = ([told[k] for k in numbers] for told in (logs, others))
        np.testing.assert_allclose(mine, yours, 1e-11)
        np.testing.assert_allclose(params, there, 1e-9, 1e-12)


@pytest.mark.parametrize("hook", ["on_epoch_begin", "on_batch_end", "on_epoch_end"])
def test_stop_ends_both_at_the_same_epoch(hook):
    """stop() in any hook ends the training after that epoch."""

    def stopping() -> Callback:
        count, callback = [0], LambdaCallback()

        def called(*_: Any) -> None:
            count[0] += 1
            if count[0] == 3:
                callback.stop("enough")

        setattr(callback, hook, called)
        return callback

    same(*(CASES["dropout"].fitted(b, 9, callbacks=[stopping()]) for b in BACKENDS))


@pytest.mark.parametrize(
    "hook", ["on_train_begin", "on_epoch_begin", "on_batch_end", "on_epoch_end"]
)
def test_a_callback_may_change_the_parameters(hook):
    """What it writes into the parameters is what goes on from there, validation included."""

    def halving() -> Callback:
        callback = LambdaCallback()

        def called(*_: Any) -> None:
            callback.model.params["W1"] = 0.5 * callback.model.params["W1"]

        setattr(callback, hook, called)
        return callback

    same(*(CASES["dropout"].fitted(b, 3, callbacks=[halving()]) for b in BACKENDS))


@pytest.mark.parametrize(("every", "epochs"), [(1, 5), (3, 10), (7, 100), (20, 7)])
def test_lines_are_the_same_text(every, epochs):
    out = {backend: io.StringIO() for backend in BACKENDS}
    for backend, stream in out.items():
        CASES["mae, dampened"].fitted(backend, epochs, callbacks=[Lines(every, epochs, stream)])
    assert out["numba"].getvalue() == out["numpy"].getvalue() != ""


# -- NaN and infinity ------------------------------------------------------------------------------


def failing(backend: str, case: Case, epochs: int, **more: Any) -> tuple[pc.Sequential, list[str]]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = case.fitted(backend, epochs, on_nonfinite="report", **more)
    return model, [str(w.message) for w in caught]


def check_failing(case: Case, epochs: int = 12, **more: Any) -> list[str]:
    (a, said), (b, told) = (failing(backend, case, epochs, **more) for backend in BACKENDS)
    assert said == told
    same(a, b, 1e-9)
    assert np.isfinite(b._numbers.params).all()
    return said


@pytest.mark.parametrize("name", ["half_mse, one row", "dropout", "dropout, all rows"])
@pytest.mark.parametrize("rate", [1e3, 1e10, 1e80, 1e160, 1e300])
def test_overflow_stops_at_the_same_step(name, rate):
    """The earlier, the larger the rate: the same warning, and the last good parameters."""
    case = Case(**{**vars(CASES[name]), "optimizer": SGD(rate)})
    assert check_failing(case) or rate < 1e80


@dataclass(frozen=True)
class Fuse(Optimizer):
    """Add NaN or Inf to one number at step 1 / learning_rate, which is given, not compiled in."""

    learning_rate: float
    into: float = float("nan")
    where: str = "params"

    @property
    def state(self) -> tuple[str, ...]:
        return ("kept",)

    def update(self, p: Any, g: Any, state: Any, t: Any, learning_rate: Any) -> Any:
        first = np.arange(int(p.shape[0])) == 0
        now = ops.absolute(t * learning_rate - 1) < 1e-3
        bad = ops.where(ops.logical_and(first, now), self.into, 0.0)
        new, kept = p - 0.01 * g, state["kept"] * 0.9 + g
        return (
            (new + bad, {"kept": kept}) if self.where == "params" else (new, {"kept": kept + bad})
        )


BAD = [("params", float("nan")), ("params", float("-inf")), ("state", float("inf"))]


@pytest.mark.parametrize(("where", "into"), BAD)
@pytest.mark.parametrize("step", [1, 2, 5, 6, 13, 15, 16, 60])
def test_one_bad_number_at_a_known_step(step, where, into):
    """First, middle and last step, of the first, a middle and the last of 12 epochs of 5 steps."""
    layers = (D(4, "tanh"), Drop(0.3), D(3))
    case = Case(layers, optimizer=Fuse(1 / step, into, where))
    said = check_failing(case)
    assert [f"at step {step}," in line for line in said] == [True]


def test_a_row_that_overflows():
    """One sample is fine for the data's precision and too large for the loss."""
    X, y = data()
    y[20] = 1e200
    case = Case((D(4, "tanh"), D(3)))
    models = []
    for backend in BACKENDS:
        model = case.model()
        with pytest.warns(pc.TrainingWarning) as caught:
            settings = {"batch_size": 8, "verbose": 0, "on_nonfinite": "report"}
            model.fit(X, y, epochs=5, backend=backend, **settings)
        models.append((model, [str(w.message) for w in caught]))
    assert models[0][1] == models[1][1]
    same(models[0][0], models[1][0])


# -- interrupts ------------------------------------------------------------------------------------


def check_whole(model: pc.Sequential, case: Case, epochs: int) -> None:
    """The model is, bit for bit, where a run of that many epochs ends."""
    assert model.history is not None
    assert model.history.epochs == epochs == model._numbers.epochs
    assert model.history.stopped == f"interrupted after epoch {epochs}"
    fresh = case.fitted("numba", epochs)
    assert np.array_equal(model._numbers.params, fresh._numbers.params)
    for key, array in model._numbers.state.items():
        assert np.array_equal(array, fresh._numbers.state[key])
    assert model._numbers.steps == fresh._numbers.steps
    assert {k: list(v) for k, v in model.history.items()} == {
        k: list(v) for k, v in (fresh.history or {}).items()
    }


@pytest.mark.parametrize("hook", ["on_epoch_begin", "on_batch_end", "on_epoch_end"])
@pytest.mark.parametrize("at", [1, 3, 4, 5, 7, 10])
def test_an_interrupt_in_a_hook(hook, at):
    """Whole epochs stay, and the history has a row for each."""
    case, count = CASES["dropout"], [0]

    def called(*_: Any) -> None:
        count[0] += 1
        if count[0] == at:
            raise KeyboardInterrupt

    model = case.fitted("numba", 12, callbacks=[LambdaCallback(**{hook: called})])
    done = {"on_epoch_begin": at - 1, "on_epoch_end": at}.get(hook)
    whole = model._numbers.epochs
    assert whole == done if done is not None else whole in (at // 5, (at - 1) // 5)
    check_whole(model, case, whole)


@pytest.mark.parametrize(
    ("name", "delay"), [("dropout", 0.15), ("dropout", 0.7), ("penalties", 0.2)]
)
def test_an_interrupt_from_outside(name, delay):
    """Ctrl-C while machine code runs: within a second, at the end of a whole epoch."""
    case = CASES[name]
    case.fitted("numba", 1)  # compiled now
    model, begun = case.model(), LambdaCallback()
    timer = threading.Timer(delay, _thread.interrupt_main)
    begun.on_train_begin = lambda logs: timer.start()  # type: ignore[method-assign]
    case.fitted("numba", 10**8, model, callbacks=[begun])
    timer.join()
    assert model.history is not None
    assert model.history.seconds < delay + 1
    check_whole(model, case, model._numbers.epochs)


# -- names -----------------------------------------------------------------------------------------

TAKEN = (
    "i",
    "order",
    "batch",
    "epoch",
    "row",
    "key",
    "keys",
    "clock",
    "slot",
    "failed",
    "last",
    "totals",
    "rates",
    "shuffle",
    "word",
    "finite",
    "gradients",
    "update",
    "f64",
    "start",
)


def _metric(name: str) -> Any:
    def metric(p: Any, y: Any) -> Any:
        return ops.mean(ops.absolute(p - y)) + len(name)

    metric.__name__ = name
    return metric


def test_metrics_may_have_any_name():
    """What a metric is called changes nothing: not the epochs, not the order of rows."""
    case = Case((D(4, "tanh"), D(3)), metrics=tuple(map(_metric, TAKEN)), fit=HELD)
    same(case.fitted("numba", 4), case.fitted("numpy", 4))


def test_states_may_have_any_name():
    @dataclass(frozen=True)
    class Many(Optimizer):
        learning_rate: float = 0.01

        @property
        def state(self) -> tuple[str, ...]:
            return TAKEN

        def update(self, p: Any, g: Any, state: Any, t: Any, learning_rate: Any) -> Any:
            new = {k: 0.5 * state[k] + g / (1 + j) for j, k in enumerate(TAKEN)}
            return p - learning_rate * sum(new.values()), new

    case = Case((D(4, "tanh"), D(3)), optimizer=Many())
    same(case.fitted("numba", 4), case.fitted("numpy", 4))
