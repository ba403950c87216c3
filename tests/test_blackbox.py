"""The black box: whatever makes NaN or Inf is found, and training stays at the last good step."""

from __future__ import annotations

import copy
import pickle
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import pellucid as pc
from pellucid import rng
from pellucid.batches import Numbers
from pellucid.blackbox import hides_slopes, norm
from pellucid.causes import event_of, lead
from pellucid.fit import Trail
from pellucid.graph import computed
from pellucid.op import OPS
from pellucid.replays import Replay

from contracts import CASES  # isort: skip  # beside this file
import test_ops  # isort: skip

X, Y = pc.data.moons(40, seed=1)
DRAW = np.random.default_rng(0)
WIDE = DRAW.normal(size=(60, 5))
LABEL = (WIDE[:, :1] > 0) * 1.0


@pytest.fixture(params=["numpy", "numba"])
def backend(request: pytest.FixtureRequest) -> str:
    if request.param == "numba":
        pytest.importorskip("numba", reason="nothing is compiled without Numba")
    return str(request.param)


@dataclass(frozen=True)
class Do(pc.Layer):
    """A layer of one's own: any function of nodes."""

    function: Callable[[Any], Any]

    def __call__(self, x: Any, p: Any) -> Any:
        """The function's value."""
        return self.function(x)


def net(*middle: pc.Layer, **settings: Any) -> pc.Sequential:
    settings = {"loss": "mse", "optimizer": pc.SGD(0.1), "dtype": "float64"} | settings
    return pc.Sequential([pc.Dense(3, "tanh"), *middle, pc.Dense(1)], **settings)


def failed(model: pc.Sequential, backend: str, x: Any = X, y: Any = Y, **settings: Any) -> Any:
    settings = {"epochs": 60, "batch_size": 16, "verbose": 0} | settings
    with pytest.raises(pc.NonFiniteError) as caught:
        model.fit(x, y, backend=backend, **settings)
    assert model.history is not None and model.history.failure is caught.value
    return caught.value


def by_hand(model: pc.Sequential, x: Any, y: Any, size: int, weight: Any = None) -> Any:
    """Step until loss, gradient or numbers are not finite; return the good numbers, the epoch."""
    count = -(-len(x) // size)
    while True:
        epoch, k = divmod(model._numbers.steps, count)
        shuffled = rng.permutation(rng.key(model.seed, "shuffle", epoch), len(x))
        rows = (shuffled if count > 1 else np.arange(len(x)))[k * size : (k + 1) * size]
        before = model._numbers.copy()
        own = None if weight is None else weight[rows]
        with np.errstate(all="ignore"):
            loss = model.step(x[rows], y[rows], own)
        if not (np.isfinite(loss) and model._numbers.finite()):
            return before, epoch + 1


# -- every cause, forwards, backwards and in the update --------------------------------------------


def log_of_share(p: Any, y: Any) -> Any:
    return -pc.mean(y * pc.log(pc.relu(p)) + (1 - y) * pc.log(1 + pc.relu(p)))


def clashing(x: Any) -> Any:
    return (x + 2) * np.inf - (x + 2) * np.inf


def large(x: Any) -> Any:
    return (x + 2) * 1e300 * (x + 9) ** 9


def total(x: Any) -> Any:
    return np.sum(x, 1, keepdims=True)


FORWARD = {
    "exp": (net(Do(lambda x: np.exp(x * 1000))), "exp", "exp overflow", 2, "a1_2"),
    "log": (net(loss=log_of_share), "log", "log of 0", None, "loss"),
    "log of a negative": (net(Do(np.log)), "log", "log of a negative", 2, "a1_2"),
    "sqrt": (net(Do(np.sqrt)), "sqrt", "sqrt of a negative", 2, "a1_2"),
    "power": (net(Do(lambda x: x**0.3)), "power", "power of a negative", 2, "a1_2"),
    "0/0": (net(Do(lambda x: (x - x) / (2 * x - x - x))), "divide", "0/0", 2, "a1_2"),
    "x/0": (net(Do(lambda x: 1 / np.maximum(x - 2, 0))), "divide", "x/0", 2, "a1_2"),
    "x^-1": (net(Do(lambda x: np.maximum(x - 2, 0) ** -1.5)), "power", "x/0", 2, "a1_2"),
    "inf - inf": (net(Do(clashing)), "multiply", "inf - inf", 2, "a1_2"),
    "0 * inf": (net(Do(lambda x: np.maximum(x - 2, 0) * np.inf)), "multiply", "0 * inf", 2, "a1_2"),
    "product": (net(Do(large)), "multiply", "product overflow", 2, "a1_2"),
    "sum": (net(Do(lambda x: total(0 * x + 1e308))), "sum", "sum overflow", 2, "a1_2"),
    "square": (net(Do(lambda x: (x * 1e200) ** 2)), "square", "power overflow", 2, "a1_2"),
    "arcsin": (net(Do(lambda x: np.arcsin(x + 2))), "arcsin", "arcsin of ", 2, "a1_2"),
}  # fmt: skip


@pytest.mark.parametrize("case", FORWARD)
def test_a_cause_in_the_forward_pass(case: str, backend: str) -> None:
    made, op, cause, layer, name = FORWARD[case]
    model = made.copy()
    error = failed(model, backend)
    assert (error.phase, error.op, error.layer, error.name) == ("forward", op, layer, name)
    assert error.cause.startswith(cause) and error.reproduced
    check_operands(model, error)
    assert f"cause: {error.cause}" in str(error) and f"at step {error.step}, in" in str(error)
    lines = str(error).replace(error.where, "").splitlines()
    assert max(map(len, lines)) <= 82 and lines[-1] == f"  try: {error.hint}"
    assert error.where.startswith(__file__)


def check_operands(model: pc.Sequential, error: Any) -> None:
    """The op, by NumPy, makes of the operands what the error says."""
    if error.op in ("matmul", "sum") or len(error.operands) > 2:
        return
    function = {"multiply": np.multiply, "divide": np.divide, "power": np.power}.get(error.op)
    function = function or getattr(np, error.op)
    parts = [*error.operands.values()]
    if function.nin == 2 and len(parts) == 1:
        parts *= 2
    with np.errstate(all="ignore"):
        assert np.array_equal(function(*parts), error.value, equal_nan=True)
    assert all(np.isfinite(p) for k, p in error.operands.items() if "inf" not in k)


def test_log_of_zero_inside_a_loss_by_name(backend: str) -> None:
    """The loss of shares is one op; what is wrong inside of it is told all the same."""
    model = pc.Sequential([pc.Dense(1, init="zeros"), Do(lambda x: pc.clip(x, 0, 1))], loss="bce",
                          optimizer="sgd", dtype="float64")  # fmt: skip
    error = failed(model, backend)
    assert error.cause == "log of 0" and error.op == "bernoulli" and error.name == "loss"
    assert error.step == 1 and "bce" in error.hint


def test_the_slope_of_sqrt_at_zero(backend: str) -> None:
    model = pc.Sequential([pc.Dense(1, init="zeros"), Do(np.sqrt)], loss="mse", dtype="float64")
    error = failed(model, backend)
    assert (error.phase, error.cause, error.op) == ("backward", "x/0", "divide")
    assert (error.layer, error.name) == (1, "d_z1")
    assert error.operands == {"0.5": 0.5, "a1": 0.0} and error.became.startswith("the grad")
    assert "1e-12" in error.hint


def test_an_infinity_that_did_no_harm_until_the_backward_pass(backend: str) -> None:
    """1 / (1 + exp(-x)) is 0 where exp overflows; its slope there is 0 times infinity."""
    error = failed(net(Do(lambda x: 1 / (1 + np.exp(-x * 2000)))), backend)
    assert error.became.startswith("the gradient") and error.became.endswith("NaN")
    assert (error.phase, error.cause) == ("forward", "exp overflow")
    assert "then: 0 * inf in d_" in str(error)


def test_overflow_in_the_backward_pass(backend: str) -> None:
    """Every value is finite, and the product of the slopes is not."""
    layers = [pc.Dense(3, "tanh"), pc.Dense(3, "sin", init=pc.Constant(1e200)),
              pc.Dense(1, init=pc.Constant(1e150))]  # fmt: skip
    model = pc.Sequential(layers, loss=lambda p, y: pc.mean(p * y), dtype="float64")
    error = failed(model, backend)
    assert (error.phase, error.event, error.op) == ("backward", "product overflow", "matmul")
    assert (error.name, error.layer, error.step) == ("d_a1", 1, 1)
    assert error.operands.keys() == {"d_z2", "W2.T"}
    with np.errstate(over="ignore"):
        assert np.isinf(np.sum(error.operands["d_z2"] * error.operands["W2.T"]))


@dataclass(frozen=True)
class Bad(pc.Optimizer):
    """Plain descent, by a formula that is wrong at one step."""

    learning_rate: float = 0.01
    at: int = 3
    how: str = "divide"

    @property
    def state(self) -> tuple[str, ...]:
        """One array."""
        return ("kept",)

    def update(self, p: Any, g: Any, state: Any, t: Any, learning_rate: Any) -> Any:
        """p - learning_rate · g, and something else."""
        gone = t - self.at  # 0 at that step
        hidden = 0.0 * p + 1.0
        if self.how == "divide":
            return p - learning_rate * g / (hidden * gone), {"kept": g}
        if self.how == "log":
            return p - learning_rate * g, {"kept": np.log(hidden * gone * gone)}
        return p - learning_rate * g, {"kept": np.exp(hidden * (1000 - 900 * abs(gone)))}


UPDATES = [("divide", "/0", "W1_new"), ("log", "log of 0", "kept"), ("exp", "exp overflow", "kept")]


@pytest.mark.parametrize(("how", "cause", "name"), UPDATES)
def test_a_cause_in_the_update(how: str, cause: str, name: str, backend: str) -> None:
    model = net(optimizer=Bad(how=how))
    error = failed(model, backend)
    assert (error.phase, error.step, error.name, error.layer) == ("update", 3, name, 1)
    assert error.cause.endswith(cause) and error.index == (0, 0) and error.row is None
    assert model._numbers.steps == 2 and model._numbers.finite()


def test_adam_state_overflows_in_float32(backend: str) -> None:
    """Its mean of squares does so long before the weights: they would stand still for ever."""
    model = pc.Sequential([pc.Dense(1)], loss="mse", optimizer="adam")
    error = failed(model, backend, X * 1e13, Y * 1e10)
    assert (error.phase, error.name, error.op) == ("update", "v", "square")
    assert error.cause == "power overflow" and error.operands.keys() == {"d_W1"}
    assert abs(error.operands["d_W1"]) > 1e19 and "scale the inputs" in error.hint


def test_nan_that_was_there_before(backend: str) -> None:
    model = net()
    model.predict(X[:1])
    model.params["W2"][1] = np.nan
    error = failed(model, backend)
    assert (error.op, error.name, error.index, error.layer) == ("given", "W2", (1, 0), 2)
    assert error.cause == "NaN was given" and error.step == 1 and np.isnan(error.operands["W2"])
    assert np.isnan(model.params["W2"]).tolist() == [[False], [True], [False]]


def test_infinity_in_the_optimizer_state(backend: str) -> None:
    model = net(optimizer=pc.SGD(0.01, momentum=0.5))
    model.predict(X[:1])
    model._numbers.state["velocity"][-1] = np.inf
    error = failed(model, backend)
    assert (error.phase, error.name, error.index, error.cause) == (
        "update",
        "velocity",
        (0,),
        "Inf was given",
    )
    assert error.layer == 2


# -- growth, and bad input -------------------------------------------------------------------------


@pytest.mark.parametrize("size", [None, 16])
@pytest.mark.parametrize("rate", [30.0, 1e3, 1e200])
def test_too_high_a_rate(rate: float, size: int | None, backend: str) -> None:
    model = net(optimizer=pc.SGD(rate))
    error = failed(model, backend, batch_size=size, epochs=2000)
    assert error.cause == "growth over the last steps" and f"now {rate:g}" in error.hint
    assert "overflow" in error.event
    sizes = [f.parameters for f in error.norms]
    assert len(sizes) == min(8, error.step - 1)
    assert [f.step for f in error.norms] == [*range(error.step - len(sizes), error.step)]
    assert sizes == sorted(sizes) and all(np.isfinite(f).all() for f in error.norms)


def test_growth_that_is_slow(backend: str) -> None:
    """Each step is a little larger than the last: thousands of steps until it overflows."""
    model = pc.Sequential([pc.Dense(1, bias=False, init="ones")], loss="mse", dtype="float64",
                          optimizer=pc.SGD(2.2))  # fmt: skip
    error = failed(model, backend, np.ones((4, 1)), np.zeros(4), epochs=10_000, batch_size=None)
    assert error.step > 200 and error.cause == "growth over the last steps"
    assert len(error.norms) == 8


def test_norms_are_those_of_stepping_by_hand(backend: str) -> None:
    model, twin = net(optimizer=pc.SGD(1e3)), net(optimizer=pc.SGD(1e3))
    twin.predict(X[:1])
    error = failed(model, backend, batch_size=None)
    for k in range(1, error.step):
        size = norm(twin._numbers.params)
        slopes = twin.gradients(X, Y)
        loss = twin.step(X, Y)
        if k >= error.step - 8:
            flight = error.norms[k - error.step]
            length = norm(np.concatenate([s.ravel() for s in slopes.values()]))
            assert flight.step == k
            assert flight[1:] == pytest.approx((loss, size, length), rel=1e-6)


@pytest.mark.parametrize("big", [1e6, 1e30, 1e200, -1e200])
@pytest.mark.parametrize("row", [3, 45])
def test_a_bad_entry_is_named(row: int, big: float, backend: str) -> None:
    x = WIDE.copy()
    x[row, 3] = big
    model = pc.Sequential([pc.Dense(8, "leaky_relu"), pc.Dense(1)], loss="mse", dtype="float64",
                          optimizer=pc.SGD(0.1))  # fmt: skip
    twin = model.copy()
    error = failed(model, backend, x, LABEL)
    assert error.cause == f"bad input row {row} column 3" and "median" in error.hint
    twin.predict(x[:1])
    good, _ = by_hand(twin, x, LABEL, 16)
    assert good.steps == model._numbers.steps == error.step - 1
    assert np.allclose(good.params, model._numbers.params, rtol=1e-9, atol=0)


def test_a_bad_target_is_named(backend: str) -> None:
    y = Y.astype(float)
    y[20] = 1e200
    error = failed(net(), backend, y=y)
    assert error.cause == "bad target row 20 column 0" and error.row == 20


def test_a_bad_entry_is_named_by_the_row_of_the_caller(backend: str) -> None:
    """Rows that are held out are none of those that train."""
    x = WIDE.copy()
    model = pc.Sequential([pc.Dense(1)], loss="mse", dtype="float64", optimizer="sgd")
    rows = model._held_out(x, LABEL, None, None, 0.25)[-1]
    x[rows[10], 2] = 1e200
    error = failed(model, backend, x, LABEL, validation_split=0.25, batch_size=8)
    assert error.cause == f"bad input row {rows[10]} column 2" and error.row == rows[10]


def test_a_picture_with_a_bad_pixel(backend: str) -> None:
    x = DRAW.normal(size=(20, 4, 3))
    x[7, 2, 1] = 1e200
    model = pc.Sequential([pc.Flatten(), pc.Dense(1)], loss="mse", dtype="float64", optimizer="sgd")
    assert failed(model, backend, x, x[:, 0, 0]).cause == "bad input row 7 at [2, 1]"


def test_heavy_tails_and_large_rates_accuse_no_row(backend: str) -> None:
    x = np.exp(2 * WIDE)
    model = pc.Sequential([pc.Dense(1)], loss="mse", dtype="float64", optimizer=pc.SGD(10.0))
    error = failed(model, backend, x, LABEL, epochs=500)
    assert error.cause == "growth over the last steps"


@pytest.mark.parametrize(("entry", "rate"), [(400.0, 1e3), (40.0, 0.1)])
def test_an_entry_that_is_not_to_blame(entry: float, rate: float, backend: str) -> None:
    """Training diverges without it as well, or it is large as data may be."""
    x = WIDE.copy()
    x[3, 1] = entry
    model = pc.Sequential([pc.Dense(1)], loss="mse", dtype="float64", optimizer=pc.SGD(rate))
    error = failed(model, backend, x, LABEL, epochs=5000, batch_size=None)
    assert error.cause == "growth over the last steps"


def test_rare_features_are_not_odd(backend: str) -> None:
    x = np.zeros((60, 3))
    x[5, 1] = 1.0
    model = pc.Sequential([pc.Dense(1, bias=False)], loss="mse", optimizer=pc.SGD(1e3))
    error = failed(model, backend, x, LABEL, epochs=500, batch_size=None)
    assert error.cause == "growth over the last steps"


# -- the same place as by hand, and the last good numbers ------------------------------------------

RUNS = {
    "plain": ((), {}, {}),
    "one row": ((), {}, {"batch_size": 1}),
    "all rows": ((), {}, {"batch_size": 40}),
    "dropout": ((pc.Dropout(0.4),), {}, {}),
    "momentum": ((), {"optimizer": pc.SGD(40.0, momentum=0.9)}, {}),
    "nesterov": ((pc.Dropout(0.2),), {"optimizer": pc.SGD(40.0, momentum=0.9, nesterov=True)}, {}),
    "weights": ((), {}, {"sample_weight": np.linspace(0.1, 2, 40)}),
    "held out": ((), {"metrics": ["mae"]}, {"validation_data": (X[:9], Y[:9])}),
    "float32": ((), {"dtype": "float32"}, {}),
    "l2": ((pc.Dense(4, l2=0.1),), {}, {}),
    "adam": ((Do(lambda x: np.exp(715 * x) / 1e200),), {"optimizer": pc.Adam(5.0)}, {}),
}


@pytest.mark.parametrize("run", RUNS)
def test_it_is_where_stepping_by_hand_gets_stuck(run: str, backend: str) -> None:
    middle, settings, more = RUNS[run]
    settings = {"optimizer": pc.SGD(300.0)} | settings
    more = {"batch_size": 16, "epochs": 400} | more
    model, twin = net(*middle, **settings), net(*middle, **settings)
    error = failed(model, backend, **more)
    twin.predict(X[:1])
    weight = more.get("sample_weight")
    good, epoch = by_hand_weighted(twin, more["batch_size"], weight)
    assert (error.step, error.epoch) == (good.steps + 1, epoch)
    assert model._numbers.steps == good.steps and model._numbers.epochs == epoch - 1
    if backend == "numpy":
        assert model._numbers.equals(good)
    history = model.history
    assert history is not None and history.epochs == epoch - 1 and model._numbers.finite()
    assert all(len(values) == epoch - 1 for values in history.values())
    assert history.stopped == f"{error.became} at step {error.step}"


def by_hand_weighted(twin: pc.Sequential, size: int, weight: Any) -> Any:
    """Step by hand; `fit` scales the weights of all samples, `step` those of a batch."""
    if weight is None:
        return by_hand(twin, X, Y, size)
    data = twin._batch(X, Y, weight)
    stepper, count = twin._steps(), -(-len(X) // size)
    while True:
        epoch, k = divmod(twin._numbers.steps, count)
        shuffled = rng.permutation(rng.key(twin.seed, "shuffle", epoch), len(X))
        before = twin._numbers.copy()
        loss = stepper.take(data.rows(shuffled[k * size : (k + 1) * size]))["loss"]
        if not (np.isfinite(loss) and twin._numbers.finite()):
            return before, epoch + 1


def test_training_goes_on_from_the_last_good_step(backend: str) -> None:
    """A second fit starts where the first was left, and the step counts go on."""
    model = net(optimizer=pc.SGD(300.0))
    first = failed(model, backend)
    model.optimizer = pc.SGD(1e-9)
    model.params["W1"][:] = 0.1
    model.params["W2"][:] = 0.1
    model.params["b1"][:] = model.params["b2"][:] = 0
    history = model.fit(X, Y, epochs=3, batch_size=16, verbose=0, backend=backend)
    assert not history.stopped and history.failure is None
    assert model._numbers.steps == first.step - 1 + 9


def test_a_failure_after_whole_epochs_of_an_earlier_fit(backend: str) -> None:
    model = net(pc.Dropout(0.2), optimizer=pc.SGD(0.01))
    model.fit(X, Y, epochs=4, batch_size=16, verbose=0, backend=backend)
    model.optimizer = pc.SGD(1e4)
    error = failed(model, backend)
    assert error.step > 12 and error.epoch == (error.step - 1 - 12) // 3 + 1


# -- what fit does about it ------------------------------------------------------------------------


def test_report_warns_and_returns_the_history(backend: str) -> None:
    model = net(optimizer=pc.SGD(1e3))
    with pytest.warns(pc.TrainingWarning) as caught:
        history = model.fit(X, Y, epochs=99, verbose=0, backend=backend, on_nonfinite="report")
    assert isinstance(history.failure, pc.NonFiniteError) and history is model.history
    said = str(caught[0].message)
    assert caught[0].filename == __file__ and history.failure.what in said
    assert f"try: {history.failure.hint}" in said and history.failure.where not in said
    assert history.stopped == f"{history.failure.became} at step {history.failure.step}"


@pytest.mark.parametrize("value", ["warn", None, True, "Raise", ["raise"]])
def test_other_ways_are_refused(value: Any) -> None:
    with pytest.raises(pc.ArgumentError, match="on_nonfinite"):
        net().fit(X, Y, on_nonfinite=value)


def test_the_error_is_arithmetic_and_keeps_what_it_knows() -> None:
    error = failed(net(Do(lambda x: np.exp(x * 1000))), "numpy")
    assert isinstance(error, ArithmeticError) and isinstance(error, pc.PellucidError)
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert vars(twin) == vars(error) and str(twin) == str(error)
    plain = pc.NonFiniteError("NaN")
    assert plain.operands == {} and plain.norms == () and plain.layer is None


def test_a_model_that_failed_can_be_pickled_and_copied() -> None:
    model = net(optimizer=pc.SGD(1e3))
    failed(model, "numpy")
    again = pickle.loads(pickle.dumps(model))
    assert again.history.failure.cause == "growth over the last steps"
    assert np.array_equal(again.params["W1"], model.params["W1"])


def test_callbacks_are_told_the_end(backend: str) -> None:
    told: list[str] = []
    hooks = {k: lambda *_, k=k: told.append(k) for k in ("on_train_begin", "on_train_end")}
    failed(net(optimizer=pc.SGD(1e3)), backend, callbacks=[pc.LambdaCallback(**hooks)])
    assert told == ["on_train_begin", "on_train_end"]


@pytest.mark.parametrize("hook", ["on_epoch_begin", "on_epoch_end", "on_batch_end"])
def test_what_callbacks_do_to_the_model_is_respected(hook: str, backend: str) -> None:
    """Older snapshots do not lead to where a callback has put the model: they are left out."""
    sizes, callback = dict[int, float](), pc.LambdaCallback()

    def nudge(*_: Any) -> None:
        callback.model.params["W2"][:] *= 0.5
        sizes[callback.model._numbers.steps] = norm(callback.model._numbers.params)

    setattr(callback, hook, nudge)
    model = net(optimizer=pc.SGD(300.0))
    error = failed(model, backend, batch_size=None, callbacks=[callback], epochs=500)
    assert error.step == model._numbers.steps + 1 > 8 and model._numbers.finite()
    assert [f.step for f in error.norms] == [*range(error.step - len(error.norms), error.step)]
    told = [f.parameters for f in error.norms]
    assert told == pytest.approx([sizes[f.step - 1] for f in error.norms], rel=1e-12)


def test_eight_steps_are_told_where_each_is_an_epoch_that_callbacks_see(backend: str) -> None:
    callback = pc.LambdaCallback(on_epoch_end=lambda epoch, logs: None)
    error = failed(net(optimizer=pc.SGD(300.0)), backend, batch_size=None, callbacks=[callback])
    assert len(error.norms) == 8


def test_snapshots_are_old_enough_and_not_much_older() -> None:
    numbers = Numbers(np.zeros(2), {}, np.zeros(0))
    trail = Trail(numbers.copy(), numbers)
    for step in range(1, 200):
        numbers.steps += 1
        trail.keep(numbers)
        for last in (step, step + 1, step + 20):
            start = trail.before(last).steps
            assert start <= max(0, last - 8) and (start >= step - 24)
    assert trail.last.steps == 199


def test_a_failure_that_does_not_come_again_is_said_to_be_such() -> None:
    """A callback writes NaN within an epoch, which no replay of that epoch can know."""

    class Writes(pc.Callback):
        def on_batch_end(self, batch: int, logs: Any) -> None:
            if batch == 1:
                self.model.params["b1"][:] = np.nan

    model = net()
    error = failed(model, "numpy", callbacks=[Writes()], batch_size=10)
    assert not error.reproduced and error.cause == "not seen again" and error.op == ""
    assert error.step == 3 and "did not come again" in str(error) and model._numbers.finite()


def test_ctrl_c_while_it_looks_goes_back_to_the_last_epoch(
    backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(scene: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr("pellucid.fit.failure", interrupted)
    model = net(optimizer=pc.SGD(300.0))
    history = model.fit(X, Y, epochs=99, batch_size=16, verbose=0, backend=backend)
    assert history.stopped == f"interrupted after epoch {history.epochs}"
    assert model._numbers.steps == 3 * history.epochs and history.failure is None


def test_step_by_step_training_is_left_to_its_caller() -> None:
    """A guard would need a copy of all numbers at every step."""
    model = net(Do(lambda x: np.exp(x * 1000)))
    assert not np.isfinite(model.step(X, Y))


# -- optimizers that leave no trace ----------------------------------------------------------------


class Clipped(pc.Optimizer):
    """Steps of at most one: an infinite gradient moves the parameters like a large one."""

    learning_rate = 0.1

    def update(self, p: Any, g: Any, state: Any, t: Any, learning_rate: Any) -> Any:
        """p - learning_rate · g, g within [-1, 1]."""
        return p - learning_rate * pc.clip(g, -1, 1), {}


def test_which_optimizers_hide_a_gradient() -> None:
    for optimizer in (
        pc.SGD(0.1),
        pc.SGD(0.1, 0.9),
        pc.SGD(0.1, 0.9, nesterov=True),
        pc.Adam(),
        Bad(),
    ):
        model = net(optimizer=optimizer)
        model.predict(X[:1])
        assert not hides_slopes(model._blueprint())
    model = net(optimizer=Clipped())
    model.predict(X[:1])
    assert hides_slopes(model._blueprint())


def test_an_infinite_gradient_stops_an_optimizer_that_would_hide_it(backend: str) -> None:
    layers, settings = [pc.Dense(1, init="zeros"), Do(np.sqrt)], {"dtype": "float64"}
    model = pc.Sequential(layers, loss=lambda p, y: pc.mean(0 * y - p), optimizer=Clipped(),
                          **settings)  # fmt: skip
    error = failed(model, backend, np.abs(X) + 1)
    assert error.step == 1 and error.became == "the gradient d_W1 became Inf"
    assert not model.params["W1"].any()


# -- its parts -------------------------------------------------------------------------------------


def replay_of(values: dict[Any, Any]) -> Replay:
    made = Replay.__new__(Replay)
    made.values, made.sizes = values, {"n": 4}
    return made


@pytest.mark.parametrize("case", CASES, ids=test_ops._id)
def test_every_op_tells_whether_its_operand_spoils_it(case: Any) -> None:
    """Of numbers alone nothing is spoiled; where NaN in an operand makes NaN, that is."""
    node, _, arrays = test_ops._node(case)
    for leaf in node.args:
        values = {x: np.array(a) for x, a in zip(node.args, arrays, strict=True)}
        if leaf.dtype.kind == "f" and leaf.size and node.dtype.kind == "f":
            assert not replay_of(values).spoiled(node, leaf).any()
            values[leaf].ravel()[0] = np.nan
            with np.errstate(all="ignore"):
                bad = np.isnan(computed(node, values, {"n": 4}))
            spoiled = replay_of(values).spoiled(node, leaf)
            assert np.shape(spoiled) == np.shape(bad) and (spoiled | ~bad).all()


def test_what_is_left_out_is_not_accused() -> None:
    """A column that no one reads holds log of 0, first of all."""

    def second(x: Any) -> Any:
        logs = np.log(np.array([0.0, 1.0, 1.0]) * (x + 2))
        return logs[:, 1:] + np.sqrt(x[:, 1:] - 2)

    def averaged(x: Any) -> Any:
        logs = np.mean(np.log(np.array([0.0, 1.0, 1.0]) * (x + 2)), 0)
        return np.where(np.array([True, False, False]), 0, logs + np.exp(1000 + 0 * x))

    assert failed(net(Do(second)), "numpy").cause == "sqrt of a negative"
    assert failed(net(Do(averaged)), "numpy").cause == "exp overflow"


def test_each_side_of_a_choice_is_told_where_it_is_chosen() -> None:
    first = np.array([False, True, True])

    def either(x: Any) -> Any:
        return np.where(first, np.exp(1000 + 0 * x), np.log(0 * x))

    error = failed(net(Do(either)), "numpy", batch_size=None)
    assert (error.op, error.index) == ("exp", (0, 1))


def test_a_product_is_told_by_its_row_and_its_column(backend: str) -> None:
    model = pc.Sequential([pc.Dense(3), pc.Dense(1)], loss="mse", dtype="float64")
    model.predict(X[:1])
    model.params["W1"][:, 2] = 1e308
    error = failed(model, backend, X + 3, batch_size=None)
    assert error.name == "z1" and error.index == (0, 2) and error.row == 0
    assert error.operands["W1"].tolist() == [1e308, 1e308]
    assert error.operands["X"].tolist() == (X[0] + 3).tolist()


def test_masks_are_drawn_as_they_were(backend: str) -> None:
    """A row all of whose units are dropped is divided by 0: which, the seed has decided."""
    model = net(pc.Dropout(0.6), Do(lambda x: x / total(np.abs(x))), optimizer=pc.SGD(1e-3))
    error = failed(model, backend, batch_size=None)
    masks = rng.uniform(rng.key(0, "dropout", 0, error.step), (40, 3)) < 0.4
    gone = np.flatnonzero(~masks.any(axis=1))
    assert error.reproduced and error.cause == "0/0" and error.row == gone[0]


def test_a_hidden_infinity_is_not_accused() -> None:
    """log(0) where a choice hides it comes first, but is not what went wrong."""

    def careful(x: Any) -> Any:
        safe = np.where(x > 0, np.log(np.maximum(x, 0)), 0)
        return safe + np.exp(1000 * (x + 1))

    error = failed(net(Do(careful)), "numpy")
    assert error.op == "exp" and error.cause == "exp overflow"


def test_the_element_that_matters_is_the_one_told() -> None:
    """Both columns hold log of 0 or less; one is hidden where it is first."""
    where = np.array([True, False, False])

    def some(x: Any) -> Any:
        return np.where(where, 0, np.log(0 * x))

    error = failed(net(Do(some)), "numpy", batch_size=None)
    assert error.index == (0, 1) and error.row == 0 and error.cause == "log of 0"


def test_shared_and_many_layers_are_counted() -> None:
    layers = [pc.Dense(3, "tanh"), pc.Shared(pc.Dense(3, "tanh"), "s"), pc.Dropout(0.1),
              pc.Shared(pc.Dense(3, "tanh"), "s"), Do(np.sqrt), pc.Dense(1)]  # fmt: skip
    model = pc.Sequential(layers, loss="mse", dtype="float64")
    error = failed(model, "numpy")
    assert error.layer == 5 and error.cause == "sqrt of a negative"


@pytest.mark.parametrize(
    ("op", "operand", "text"),
    [
        ("log", 0.0, "log of 0"), ("log", -1.0, "log of a negative"), ("log1p", -1.0, "log of 0"),
        ("log1p", -3.0, "log of a negative"), ("exp", 1e3, "exp overflow"),
        ("exp", 709.8, "exp overflow"), ("cosh", 1e3, "cosh overflow"),
        ("arctanh", 1.0, "arctanh of 1"), ("arcsin", 2.0, "arcsin of 2"),
        ("sqrt", -1.0, "sqrt of a negative"), ("square", 1e200, "power overflow"),
        ("log2", 0.0, "log2 of 0"),
    ],
)  # fmt: skip
def test_what_functions_of_one_number_do(op: str, operand: float, text: str) -> None:
    with np.errstate(all="ignore"):
        result = float(getattr(np, op)(operand))
    assert event_of(OPS[op], {}, [np.asarray(operand)], result, [False]).text == text


def test_sums_that_overflow_both_ways_and_what_has_no_word() -> None:
    row = np.array([1e308, 1e308, -1e308])
    assert event_of(OPS["sum"], {}, [row], np.nan, [False]).text == "inf - inf"
    assert event_of(OPS["matmul"], {}, [row, row], np.nan, [False] * 2).text == "inf - inf"
    assert event_of(OPS["sum"], {}, [row], np.inf, [False]).text == "sum overflow"
    assert event_of(OPS["mod"], {}, [np.array(1.0), np.array(0.0)], np.nan, [False] * 2).text == (
        "mod undefined"
    )


def test_growth_is_not_seen_in_healthy_norms() -> None:
    @dataclass
    class Norms:
        parameters: float
        gradient: float
        loss: float

    steady = [Norms(1.0, 2.0, 3.0)] * 5
    noisy = [Norms(1.0, x, 1.0) for x in (1, 3, 2, 5, 4, 9)]
    rising = [Norms(1.0, 1.0, 1.2**k) for k in range(8)]
    assert not lead(steady) and not lead(noisy) and not lead([]) and not lead(steady[:1])
    assert lead(rising).startswith("the loss grew") and not lead(rising[:4])
    assert lead([Norms(0.0, 1.0, 1.0), Norms(1.0, 2e3, np.inf)]).startswith(
        "the norm of the gradient"
    )


def test_norms_of_numbers_whose_squares_overflow() -> None:
    assert norm(np.array([3e200, 4e200])) == pytest.approx(5e200)
    assert norm(np.array([3e-200, 4e-200])) == pytest.approx(5e-200)
    assert norm(np.zeros(3)) == 0 and norm(np.array([])) == 0
    assert norm(np.array([np.inf, 1.0])) == np.inf and np.isnan(norm(np.array([np.nan, 1.0])))


def test_a_large_model_is_looked_into_without_older_snapshots(backend: str) -> None:
    model = pc.Sequential([pc.Dense(300, "relu"), pc.Dense(300, "relu"), pc.Dense(1)], loss="mse",
                          optimizer=pc.SGD(1e4))  # fmt: skip
    error = failed(model, backend, batch_size=8)
    assert error.cause == "growth over the last steps" and error.step == model._numbers.steps + 1


def test_nothing_else_is_warned_of(backend: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        failed(net(optimizer=pc.SGD(1e250)), backend)
