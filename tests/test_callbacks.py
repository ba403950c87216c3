"""Callbacks do what their names promise: stop, save, lower the rate, log, and go on."""

from __future__ import annotations

import csv
import io
import itertools
import json
import math
import struct
import sys
import types
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pellucid as pc
from pellucid.batches import Numbers
from pellucid.callbacks import events, stopping
from pellucid.callbacks.monitors import watched
from pellucid.errors import ArgumentError, DataError, DtypeError, TrainingWarning
from pellucid.jit import available

BACKENDS = ["numpy", *(["numba"] if not available() else [])]
X, Y = pc.data.moons(90, noise=0.4, seed=3)
NAN = math.nan


def net(*more: Any, **settings: Any) -> Any:
    settings = {"dtype": "float64", "optimizer": pc.SGD(0.3), "loss": "mse"} | settings
    return pc.Sequential([pc.Dense(6, "tanh"), *more, pc.Dense(1)], **settings)


def fit(model: Any, *callbacks: Any, backend: str = "numpy", **settings: Any) -> pc.History:
    settings = {"epochs": 5, "validation_split": 0.3, "verbose": 0} | settings
    history: pc.History = model.fit(X, Y, callbacks=callbacks, backend=backend, **settings)
    return history


def same(one: Any, other: Any) -> bool:
    return all(np.array_equal(a, other._numbers.arrays[k]) for k, a in one._numbers.arrays.items())


class Bench:
    """A model as far as a callback sees one, told of epochs by hand."""

    def __init__(self, callback: Any, rate: float = 1.0) -> None:
        self.callback, self.learning_rate = callback, rate
        self.optimizer = types.SimpleNamespace(learning_rate=rate)
        self._numbers = Numbers(np.zeros(2), {}, np.zeros(1))
        callback.model = self

    def told(self, values: Iterable[float], start: int = 0, end: bool = True) -> int:
        """Tell of these values, and change the weights; return how many epochs there were."""
        callback = self.callback
        callback.on_train_begin({"epochs": 99, "samples": 1, "batches": 1})
        epoch = start - 1
        for epoch, value in enumerate(values, start):
            self._numbers.params[:], self._numbers.fixed[:] = epoch + 1, -epoch - 1
            callback.on_epoch_end(epoch, {"loss": value})
            if callback.stopped:
                break
        if end:
            callback.on_train_end({"stopped": callback.stopped, "failure": None})
        return epoch + 1


# -- what is watched ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "mode"),
    [("loss", "min"), ("val_loss", "min"), ("val_mae", "min"), ("train_loss", "min"),
     ("gradient_norm", "min"), ("top_error", "min"), ("val_accuracy", "max"), ("auc", "max"),
     ("top_3_accuracy", "max"), ("val_r2", "max"), ("macro_f1", "max"), ("rmse", "min")],
)  # fmt: skip
def test_what_is_better_is_known_by_the_name(name: str, mode: str) -> None:
    assert watched(name, "auto").mode == mode
    assert watched(name, "max").mode == "max"


def test_of_every_metric_it_is_known_what_is_better() -> None:
    from pellucid.losses import LOSSES
    from pellucid.metrics import NAMES

    falling = {"mae", "mse", "rmse"}
    for metric in NAMES.values():
        assert watched(f"val_{metric.label}", "auto").mode == (
            "min" if metric.label in falling else "max"
        )
    for loss in LOSSES:
        assert watched(f"val_{loss.name}", "auto").mode == "min"


def test_a_name_that_tells_no_direction_has_to_say_it() -> None:
    with pytest.raises(ArgumentError, match=r'(?s)"wins".*not known|\'wins\'.*mode="min"'):
        pc.EarlyStopping("wins")
    assert pc.EarlyStopping("wins", mode="max").monitor.mode == "max"


MONITORS = [
    lambda name: pc.EarlyStopping(name),
    lambda name: pc.ReduceOnPlateau(name),
    lambda name: pc.Checkpoint("m.safetensors", monitor=name, save_best_only=True),
]


@pytest.mark.parametrize("make", MONITORS)
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_name_that_is_not_logged_is_refused_before_training(make: Any, backend: str) -> None:
    model = net()
    with pytest.raises(ArgumentError, match=r'(?s)val_lss.*did you mean "val_loss"'):
        fit(model, make("val_lss_loss"), backend=backend)
    with pytest.raises(ArgumentError, match=r"(?s)no samples are held out.*validation_split"):
        fit(model, make("val_loss"), backend=backend, validation_split=0.0)
    assert model._net is None and model.history is None


@pytest.mark.parametrize(
    "make",
    [
        lambda: pc.EarlyStopping(patience=0),
        lambda: pc.EarlyStopping(patience=2.5),  # type: ignore[arg-type]
        lambda: pc.EarlyStopping(min_delta=-1.0),
        lambda: pc.EarlyStopping(min_delta=NAN),
        lambda: pc.EarlyStopping(mode="least"),
        lambda: pc.ReduceOnPlateau(factor=1.0),
        lambda: pc.ReduceOnPlateau(factor=0.0),
        lambda: pc.ReduceOnPlateau(patience=-1),
        lambda: pc.ReduceOnPlateau(cooldown=-1),
        lambda: pc.ReduceOnPlateau(threshold=-1e-3),
        lambda: pc.ReduceOnPlateau(threshold_mode="relative"),
        lambda: pc.ReduceOnPlateau(min_lr=-0.1),
        lambda: pc.TimeLimit(math.inf),
        lambda: pc.TimeLimit("60"),  # type: ignore[arg-type]
        lambda: pc.Checkpoint("m.safetensors", every=0),
        lambda: pc.Checkpoint("{epoch"),
        lambda: pc.Checkpoint("{epoch.real}"),
        lambda: pc.Checkpoint("{epoch[0]}"),
        lambda: pc.Checkpoint("{epoch!r}"),
        lambda: pc.Checkpoint("{}"),
        lambda: pc.Checkpoint("{0}"),
        lambda: pc.Checkpoint("{epoch:{epoch}}"),
        lambda: pc.TensorBoard(histograms=-1),
    ],
)
def test_settings_that_cannot_be_meant(make: Any) -> None:
    with pytest.raises(ArgumentError):
        make()


@pytest.mark.parametrize(
    "make", [lambda: pc.EarlyStopping(3), lambda: pc.Checkpoint(""), lambda: pc.TensorBoard(1)]
)
def test_settings_of_another_type(make: Any) -> None:
    with pytest.raises(DtypeError):
        make()


# -- early stopping ----------------------------------------------------------------------------


def stops(values: list[float], patience: int, delta: float, mode: str) -> tuple[int, int]:
    """Return epochs trained and the best one, by looking at the whole list each time."""
    sign, best, at = (1 if mode == "min" else -1), math.inf, 0
    for k, value in enumerate(values, 1):
        if sign * value < best - delta:
            best, at = sign * value, k
        elif k - at >= patience:
            return k, at
    return len(values), at


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize(("patience", "delta"), [(1, 0.0), (3, 0.0), (3, 0.5), (50, 0.0)])
@pytest.mark.parametrize("seed", range(5))
def test_it_stops_when_nothing_is_better_for_a_while(
    seed: int, patience: int, delta: float, mode: str
) -> None:
    values = np.random.default_rng(seed).normal(size=30).tolist()
    values[seed * 3 + 1] = NAN
    callback = pc.EarlyStopping("loss", patience=patience, min_delta=delta, mode=mode)
    bench = Bench(callback)
    epochs, best = stops(values, patience, delta, mode)
    assert bench.told(values) == epochs
    assert callback.best_epoch == best and callback.best == values[best - 1]
    assert bench._numbers.params.tolist() == [best] * 2 and bench._numbers.fixed[0] == -best


def test_of_equal_values_the_first_is_the_best() -> None:
    callback = pc.EarlyStopping("loss", patience=3)
    assert Bench(callback).told([1.0] * 9) == 4 and callback.best_epoch == 1


def test_the_reason_says_which_epoch_was_best() -> None:
    callback = pc.EarlyStopping("loss", patience=2)
    Bench(callback).told([3.0, 1.0, 2.0, 2.0, 0.0])
    assert callback.stopped == (
        "loss has not improved for 2 epochs; the best was 1 in epoch 2, whose weights are restored"
    )


def test_without_restoring_the_last_weights_stay() -> None:
    callback = pc.EarlyStopping("loss", patience=2, restore_best_weights=False)
    bench = Bench(callback)
    bench.told([3.0, 1.0, 2.0, 2.0])
    assert bench._numbers.params[0] == 4.0 and callback.best_epoch == 2
    assert "restored" not in callback.stopped


def test_a_value_that_never_is_a_number_stops_and_changes_nothing() -> None:
    callback = pc.EarlyStopping("loss", patience=2)
    bench = Bench(callback)
    assert bench.told([NAN] * 9) == 2
    assert "never was a number" in callback.stopped and bench._numbers.params[0] == 2.0


def test_after_a_failure_the_last_good_parameters_stay() -> None:
    callback = pc.EarlyStopping("loss")
    bench = Bench(callback)
    bench.told([1.0, 2.0, 3.0], end=False)
    callback.on_train_end({"stopped": "NaN", "failure": pc.NonFiniteError("NaN")})
    assert bench._numbers.params[0] == 3.0


def test_it_starts_anew_in_each_training() -> None:
    callback = pc.EarlyStopping("loss", patience=2)
    bench = Bench(callback)
    bench.told([1.0, 2.0, 2.0])
    callback.stopped = ""
    assert bench.told([9.0, 8.0, 7.0]) == 3 and callback.best == 7.0


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("extra", [(), (pc.Dropout(0.3),), (pc.nn.BatchNorm(),)])
def test_the_weights_are_those_that_training_up_to_the_best_epoch_gives(
    extra: Any, backend: str
) -> None:
    model, callback = net(*extra), pc.EarlyStopping(patience=4)
    history = fit(model, callback, backend=backend, epochs=200)
    assert 4 < history.epochs < 200 and callback.best_epoch == history.epochs - 4
    assert history.best("val_loss") == (callback.best_epoch, callback.best)
    twin = net(*extra)
    fit(twin, pc.EarlyStopping(patience=200), backend=backend, epochs=callback.best_epoch)
    assert np.array_equal(model._numbers.params, twin._numbers.params)
    assert np.array_equal(model._numbers.fixed, twin._numbers.fixed)
    assert model._numbers.epochs == history.epochs


# -- the learning rate -------------------------------------------------------------------------

PLATEAUS = [
    {},
    {"patience": 0},
    {"patience": 2, "factor": 0.5},
    {"patience": 1, "cooldown": 3},
    {"patience": 1, "threshold": 0.3},
    {"patience": 1, "threshold": 0.3, "threshold_mode": "abs"},
    {"patience": 1, "min_lr": 0.05},
    {"patience": 0, "eps": 0.01},
]


def values_for(seed: int) -> list[float]:
    drawn = np.random.default_rng(seed).normal(size=40)
    values = (np.linspace(1, 0, 40) ** 2 + 0.1 * drawn).tolist()
    values[7] = NAN
    return values


def rates(settings: dict[str, Any], mode: str, values: list[float]) -> list[float]:
    bench = Bench(pc.ReduceOnPlateau("loss", mode=mode, **settings), 0.8)
    bench.callback.on_train_begin({})
    found = []
    for epoch, value in enumerate(values):
        bench.callback.on_epoch_end(epoch, {"loss": value})
        found.append(bench.learning_rate)
    return found


def lowered(
    values: list[float], mode: str, *, factor: float = 0.1, patience: int = 10,
    threshold: float = 1e-4, threshold_mode: str = "rel", cooldown: int = 0, min_lr: float = 0.0,
    eps: float = 1e-8,
) -> list[float]:  # fmt: skip
    """The rule in one loop, without names for anything: an oracle."""
    rate, best, bad, pause, out = 0.8, math.inf if mode == "min" else -math.inf, 0, 0, []
    for v in values:
        gain = best - v if mode == "min" else v - best
        need = threshold * (best if threshold_mode == "rel" else 1.0)
        better = gain > need if math.isfinite(best) else not math.isnan(v)
        best, bad = (v, 0) if better else (best, bad + 1)
        if pause:
            pause, bad = pause - 1, 0
        if bad > patience:
            pause, bad = cooldown, 0
            new = max(rate * factor, min_lr)
            rate = new if rate - new > eps else rate
        out.append(rate)
    return out


@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("settings", PLATEAUS, ids=str)
@pytest.mark.parametrize("seed", range(4))
def test_rates_fall_as_the_rule_says(seed: int, settings: dict[str, Any], mode: str) -> None:
    values = values_for(seed)
    assert rates(settings, mode, values) == lowered(values, mode, **settings)


@pytest.mark.conformance
@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("settings", PLATEAUS, ids=str)
@pytest.mark.parametrize("seed", range(4))
def test_rates_fall_as_in_pytorch(seed: int, settings: dict[str, Any], mode: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is the reference here")
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.8)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, mode, **settings)
    theirs = []
    for value in values_for(seed):
        plateau.step(value)
        theirs.append(optimizer.param_groups[0]["lr"])
    assert rates(settings, mode, values_for(seed)) == theirs


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_next_epoch_is_trained_with_the_lower_rate(backend: str) -> None:
    callback = pc.ReduceOnPlateau("loss", patience=0, threshold=0.5, factor=0.5)
    model, twin = net(), net()
    history = fit(model, callback, backend=backend, epochs=8)
    assert callback.reduced and history.rates[-1] < 0.3
    for epoch, rate in enumerate(history.rates):
        fit(twin, backend=backend, epochs=1) if epoch == 0 else None
        if epoch:
            twin.learning_rate = rate
            fit(twin, backend=backend, epochs=1)
    np.testing.assert_allclose(model._numbers.params, twin._numbers.params, 1e-12)
    assert model.learning_rate == pytest.approx(min(callback.reduced.values()), rel=1e-15)
    for epoch, rate in callback.reduced.items():
        if epoch < 8:
            assert (
                history.rates[epoch] == pytest.approx(rate, rel=1e-15) != history.rates[epoch - 1]
            )


def test_a_schedule_and_a_plateau_do_not_go_together() -> None:
    from pellucid import optim

    model = net(optimizer=pc.SGD(optim.Exponential(0.1, 0.9)))
    with pytest.raises(ArgumentError, match="schedule"):
        fit(model, pc.ReduceOnPlateau())
    assert model._net is None


# -- going on where a run was broken off -------------------------------------------------------

KEEPING = [
    lambda: pc.EarlyStopping("loss", patience=6),
    lambda: pc.ReduceOnPlateau("loss", patience=1, cooldown=2),
]


@pytest.mark.parametrize("make", KEEPING)
@pytest.mark.parametrize("broken", [0, 1, 4, 9, 15])
def test_what_is_kept_makes_a_resumed_run_the_same(make: Any, broken: int) -> None:
    values = values_for(2)
    whole = Bench(make())
    epochs = whole.told(values)
    first = Bench(make())
    assert first.told(values[:broken], end=False) == min(broken, epochs)
    kept = first.callback.kept()
    told = {k: v for k, v in kept.items() if not isinstance(v, np.ndarray)}
    kept |= json.loads(json.dumps(told, allow_nan=False))
    second = Bench(make(), first.learning_rate)
    second.callback.take_back(kept)
    assert second.told(values[broken:], start=broken) == epochs
    assert second.learning_rate == whole.learning_rate
    assert second._numbers.params.tolist() == whole._numbers.params.tolist()
    assert second.callback.stopped == whole.callback.stopped
    state = [k for k in vars(whole.callback) if k not in ("model", "weights", "monitor")]
    assert [vars(second.callback)[k] for k in state] == [vars(whole.callback)[k] for k in state]


@pytest.mark.parametrize("make", KEEPING)
def test_what_is_kept_does_not_move_on_with_the_training(make: Any) -> None:
    bench = Bench(make())
    bench.told([3.0, 2.0], end=False)
    kept = bench.callback.kept()
    text = repr(kept)
    bench._numbers.params[:] = 0
    for epoch, value in enumerate([1.0, 0.5], 2):
        bench.callback.on_epoch_end(epoch, {"loss": value})
    assert repr(kept) == text


def test_a_plain_callback_keeps_nothing() -> None:
    assert pc.Callback().kept() == {} and pc.Callback().take_back({}) is None  # type: ignore[func-returns-value]


def watching(folder: Path) -> list[pc.Callback]:
    return [
        pc.EarlyStopping(patience=60), pc.ReduceOnPlateau("loss", patience=1, threshold=0.2),
        pc.CSVLog(folder / "log.csv"), pc.JSONLines(folder / "log.jsonl"),
        pc.Checkpoint(folder / "best.safetensors", save_best_only=True),
    ]  # fmt: skip


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("more", [{}, {"record": True}, {"augment": True}], ids=str)
def test_a_run_that_is_resumed_is_as_if_it_never_stopped(
    tmp_path: Path, backend: str, more: dict[str, Any]
) -> None:
    if more.get("augment"):
        more, backend = {"augment": noisy}, "numpy"
    settings: Any = {"backend": backend, "batch_size": 16, **more}
    (tmp_path / "whole").mkdir()
    (tmp_path / "broken").mkdir()
    whole, hooks = net(pc.Dropout(0.2)), watching(tmp_path / "whole")
    history = fit(whole, *hooks, epochs=12, **settings)
    settings |= {"checkpoint": tmp_path / "run", "checkpoint_every": 1}
    fit(net(pc.Dropout(0.2)), *watching(tmp_path / "broken"), epochs=7, **settings)
    model, again = net(pc.Dropout(0.2)), watching(tmp_path / "broken")
    resumed = fit(model, *again, epochs=12, resume=True, **settings)
    assert same(model, whole) and dict(resumed) == dict(history)
    np.testing.assert_allclose(resumed.rates, history.rates, 1e-14)
    assert len(resumed.seconds_by_epoch) == 12
    for one, other in zip(again, hooks, strict=True):
        a, b = one.kept(), other.kept()
        names = [k for k, v in a.items() if not isinstance(v, (np.ndarray, list))]
        assert a.keys() == b.keys() and [a[k] for k in names] == [b[k] for k in names]
    for name in ("log.csv", "log.jsonl"):
        assert (tmp_path / "broken" / name).read_text() == (tmp_path / "whole" / name).read_text()
    best = [pc.load(tmp_path / kind / "best.safetensors") for kind in ("whole", "broken")]
    assert same(*best)


@pytest.mark.parametrize(
    "changed", [{"record": True}, {"augment": lambda x, y, rng: (x, y)}], ids=list
)
def test_a_run_is_resumed_with_what_it_was_begun_with(tmp_path: Path, changed: Any) -> None:
    fit(net(), epochs=2, checkpoint=tmp_path)
    with pytest.raises(ArgumentError, match=next(iter(changed))):
        fit(net(), epochs=4, checkpoint=tmp_path, resume=True, **changed)


# -- a limit of time ---------------------------------------------------------------------------


class Clock:
    """A clock that tests move."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(stopping.time, "perf_counter", lambda: self.now)


@pytest.mark.parametrize(
    ("seconds", "epochs"), [(0.0, 1), (5.0, 1), (19.0, 1), (20.0, 2), (59.9, 5), (60.0, 6)]
)
def test_no_epoch_is_begun_that_would_end_too_late(
    seconds: float, epochs: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Epochs of 10 s: the last one ends at the limit or before, but for the first."""
    clock, limit = Clock(monkeypatch), pc.TimeLimit(seconds)

    def wait(epoch: int, logs: Any) -> None:
        clock.now += 10.0

    slow = pc.LambdaCallback(on_epoch_begin=wait)
    history = fit(net(), slow, limit, epochs=9)
    assert history.epochs == epochs and history.stopped == f"the time limit of {seconds:g} s"
    assert limit.stopped


def test_epochs_that_are_told_together_share_their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, limit = Clock(monkeypatch), pc.TimeLimit(31.0)
    limit.ready(["loss"])
    limit.on_train_begin({})
    assert list(limit.due(0, 1)) == [0] and list(limit.due(1, 11)) == [10]
    clock.now += 10.0
    limit.on_epoch_end(0, {})
    clock.now += 20.0
    limit.on_epoch_end(10, {})  # 2 s each, so one more ends at 32 s
    assert limit.stopped
    limit.seconds, limit.stopped = 53.0, ""
    clock.now += 20.0
    limit.on_epoch_end(20, {})  # at 50 s
    assert not limit.stopped


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_limit_ends_a_run_that_would_take_for_ever(backend: str) -> None:
    history = fit(net(), pc.TimeLimit(0.3), backend=backend, epochs=10**9)
    assert 0 < history.epochs < 10**9 and history.stopped == "the time limit of 0.3 s"


# -- files of models ---------------------------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_file_for_every_epoch(tmp_path: Path, backend: str) -> None:
    pattern = tmp_path / "deep" / "er" / "{epoch:03d}-{val_loss:.3f}.safetensors"
    model, callback = net(), pc.Checkpoint(pattern)
    history = fit(model, callback, backend=backend, epochs=3)
    names = [f"{k:03d}-{v:.3f}.safetensors" for k, v in enumerate(history["val_loss"], 1)]
    assert [p.name for p in callback.saved] == names
    assert sorted(p.name for p in callback.saved[0].parent.iterdir()) == names
    twin = net()
    for path in callback.saved:
        fit(twin, pc.LambdaCallback(on_epoch_end=lambda *_: None), backend=backend, epochs=1)
        assert same(pc.load(path), twin)


def test_only_the_best_is_saved(tmp_path: Path) -> None:
    path, model = tmp_path / "best.safetensors", net()
    callback = pc.Checkpoint(path, save_best_only=True)
    history = fit(model, callback, pc.EarlyStopping(), epochs=200)
    assert callback.best_epoch == history.best().epoch < history.epochs
    assert callback.saved == [path]
    best = pc.load(path)
    assert np.array_equal(best._numbers.params, model._numbers.params)
    assert best._numbers.epochs == callback.best_epoch


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_file_every_so_many_epochs(tmp_path: Path, backend: str) -> None:
    callback = pc.Checkpoint(tmp_path / "{epoch}.safetensors", every=3)
    fit(net(), callback, backend=backend, epochs=8)
    assert [p.stem for p in callback.saved] == ["3", "6"]


def test_a_name_in_the_path_that_is_not_logged(tmp_path: Path) -> None:
    model = net()
    with pytest.raises(ArgumentError, match=r"(?s)val_mae.*known: epoch, loss, val_loss"):
        fit(model, pc.Checkpoint(tmp_path / "{val_mae}.safetensors"))
    with pytest.raises(ArgumentError, match="cannot be filled in"):
        fit(model, pc.Checkpoint(tmp_path / "{val_loss:d}.safetensors"))
    assert model._net is None and not list(tmp_path.iterdir())


def test_a_model_that_no_file_can_hold_is_refused_before_training(tmp_path: Path) -> None:
    model = net(pc.Activation(lambda x: x * x))
    with pytest.raises(ArgumentError, match="cannot hold"):
        fit(model, pc.Checkpoint(tmp_path / "m.safetensors"))
    assert model._net is None and not list(tmp_path.iterdir())


def test_a_full_disk_does_not_end_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, full = net(), itertools.count()
    save = type(model).save

    def failing(self: Any, path: Any) -> Any:
        if next(full) == 2:  # the first is the trial
            raise OSError(28, "No space left on device")
        return save(self, path)

    monkeypatch.setattr(type(model), "save", failing)
    callback = pc.Checkpoint(tmp_path / "{epoch}.safetensors")
    with pytest.warns(TrainingWarning, match=r"2\.safetensors.*No space left"):
        history = fit(model, callback, epochs=3)
    assert history.epochs == 3 and [p.stem for p in callback.saved] == ["1", "3"]


def test_a_resumed_checkpoint_knows_its_best(tmp_path: Path) -> None:
    make = lambda: pc.Checkpoint(  # noqa: E731
        tmp_path / "m.safetensors", monitor="loss", save_best_only=True
    )
    first = Bench(make())
    first.save = lambda path: None  # type: ignore[attr-defined]
    first.told([3.0, 1.0])
    second = Bench(make())
    second.save = lambda path: None  # type: ignore[attr-defined]
    second.callback.take_back(json.loads(json.dumps(first.callback.kept())))
    second.told([2.0, 0.5], start=2)
    assert second.callback.best == 0.5 and second.callback.best_epoch == 4
    assert first.callback.best_epoch == 2
    assert second.callback.saved == [tmp_path / "m.safetensors"]


# -- logs in files -----------------------------------------------------------------------------


def csv_rows(path: Path) -> dict[str, list[float]]:
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {name: [float(row[name]) for row in rows] for name in rows[0]}


def json_rows(path: Path) -> dict[str, list[float]]:
    rows = [json.loads(text) for text in path.read_text().splitlines()]
    return {name: [row[name] for row in rows] for name in rows[0]}


LOGS: Any = [(pc.CSVLog, csv_rows), (pc.JSONLines, json_rows)]
each_log = pytest.mark.parametrize(("log", "rows"), LOGS, ids=["csv", "json"])


@each_log
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("epochs", [1, 7, 3000])
def test_a_row_an_epoch_with_every_digit(
    log: Any, rows: Any, backend: str, epochs: int, tmp_path: Path
) -> None:
    path = tmp_path / "new" / "log"
    settings: dict[str, Any] = {"batch_size": None} if epochs > 100 else {}
    history = fit(net(metrics=["mae"]), log(path), backend=backend, epochs=epochs, **settings)
    assert rows(path) == {"epoch": list(range(1, epochs + 1)), **history}


@each_log
def test_a_row_is_there_as_soon_as_its_epoch_is_over(log: Any, rows: Any, tmp_path: Path) -> None:
    path, seen = tmp_path / "log", []

    def look(epoch: int, logs: Any) -> None:
        seen.append(rows(path)["epoch"][-1])

    fit(net(), log(path), pc.LambdaCallback(on_epoch_end=look), epochs=4)
    assert seen == [1, 2, 3, 4]


@each_log
def test_a_second_training_goes_on_in_the_file_and_a_new_model_starts_anew(
    log: Any, rows: Any, tmp_path: Path
) -> None:
    path, model = tmp_path / "log", net()
    first = fit(model, log(path), epochs=3)
    second = fit(model, log(path), epochs=2)
    assert rows(path)["epoch"] == [1, 2, 3, 4, 5]
    assert rows(path)["loss"] == [*first["loss"], *second["loss"]]
    fit(net(), log(path), epochs=2)
    assert rows(path)["epoch"] == [1, 2]
    fit(net(), log(path, append=True), epochs=2)
    assert rows(path)["epoch"] == [1, 2, 1, 2]


@each_log
def test_a_resumed_run_leaves_the_rows_of_an_unbroken_one(
    log: Any, rows: Any, tmp_path: Path
) -> None:
    """Killed in epoch 6, while the row was written; resumed from the checkpoint of epoch 3."""
    whole, path, checkpoint = (tmp_path / name for name in ("whole", "log", "m.safetensors"))
    fit(net(), log(whole), epochs=8)
    model = net()
    fit(model, log(path), epochs=3)
    model.save(checkpoint)
    fit(model, log(path), epochs=3)
    text = path.read_text()
    path.write_text(text[:-5])
    fit(pc.load(checkpoint), log(path), epochs=5)
    assert path.read_text() == whole.read_text()


@each_log
@pytest.mark.parametrize(
    "text", ["my notes\nof long ago\n", "my notes", "a,b\n1,2\n", '{"a": 1}\n', "[1]\n", "\0\xff\n"]
)
def test_a_file_of_something_else_is_left_alone(
    log: Any, rows: Any, text: str, tmp_path: Path
) -> None:
    path, model = tmp_path / "log", net()
    content = text.encode("latin-1")
    path.write_bytes(content)
    for append in (False, True):
        with pytest.raises(ArgumentError, match="log"):
            fit(model, log(path, append=append))
    assert path.read_bytes() == content and model._net is None
    with pytest.raises(DataError):
        fit(model, log(tmp_path))


def test_a_log_of_other_columns_is_left_alone(tmp_path: Path) -> None:
    path, model = tmp_path / "log.csv", net()
    fit(model, pc.CSVLog(path), epochs=2)
    before = path.read_bytes()
    with pytest.raises(ArgumentError, match=r"(?s)epoch, loss, val_loss; this.*epoch, loss"):
        fit(model, pc.CSVLog(path), validation_split=0.0)
    assert path.read_bytes() == before
    fit(net(), pc.CSVLog(path), validation_split=0.0)  # a new model starts a new file
    assert path.read_text().startswith("epoch,loss\n1,")


@each_log
def test_what_is_no_number(log: Any, rows: Any, tmp_path: Path) -> None:
    path, callback = tmp_path / "log", log(tmp_path / "log")
    callback.model = types.SimpleNamespace(_numbers=types.SimpleNamespace(epochs=0))
    callback.ready(["loss", "val_loss"])
    callback.on_train_begin({})
    for epoch, value in enumerate([NAN, math.inf, 1e-300]):
        callback.on_epoch_end(epoch, {"loss": value, "val_loss": -value})
    loss = rows(path)["loss"]
    if log is pc.CSVLog:
        assert math.isnan(loss[0]) and loss[1:] == [math.inf, 1e-300]
    else:
        assert loss == [None, None, 1e-300]


@each_log
def test_a_full_disk_costs_no_row_and_no_training(
    log: Any, rows: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The third write gives half a row and fails; the next one writes both."""
    path, count, real = tmp_path / "log", itertools.count(), Path.open

    def opened(self: Path, *args: Any, **settings: Any) -> Any:
        file = real(self, *args, **settings)
        if self == path and "a" in args and next(count) == 2:
            file.write('{"ep')
            file.close()
            raise OSError(28, "No space left on device")
        return file

    monkeypatch.setattr(Path, "open", opened)
    with pytest.warns(TrainingWarning, match="No space left"):
        history = fit(net(), log(path), epochs=5)
    assert rows(path) == {"epoch": [1, 2, 3, 4, 5], **history}


# -- TensorBoard -------------------------------------------------------------------------------


def castagnoli(data: bytes) -> int:
    """The checksum bit by bit, as a division of polynomials."""
    crc = 0xFFFFFFFF
    for byte in data:
        for k in range(8):
            carry = (crc ^ byte >> k) & 1
            crc = crc >> 1 ^ 0x82F63B78 * carry
    return crc ^ 0xFFFFFFFF


@pytest.mark.parametrize(
    ("data", "crc"),
    [
        (b"", 0),
        (b"\0" * 32, 0x8A9136AA),
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
    ],
)
def test_the_checksum_is_that_of_rfc_3720(data: bytes, crc: int) -> None:
    assert events.crc32c(data) == crc == castagnoli(data)


def records(path: Path) -> list[bytes]:
    """Return the records of a file, after a look at every checksum."""
    content, found, at = path.read_bytes(), [], 0

    def checked(start: int, stop: int) -> bytes:
        (masked,) = struct.unpack("<I", content[stop : stop + 4])
        crc = castagnoli(content[start:stop])
        assert masked == ((crc >> 15 | crc << 17 & 0xFFFFFFFF) + 0xA282EAD8) % 2**32
        return content[start:stop]

    while at < len(content):
        (length,) = struct.unpack("<Q", checked(at, at + 8))
        found.append(checked(at + 12, at + 12 + length))
        at += length + 16
    return found


def number_at(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value, shift, at = value | (byte & 0x7F) << shift, shift + 7, at + 1
        if byte < 0x80:
            return value, at


def fields(data: bytes) -> dict[int, list[Any]]:
    """Return the fields of a message: what a protocol buffer holds without its description."""
    found: dict[int, list[Any]] = {}
    at = 0
    while at < len(data):
        key, at = number_at(data, at)
        if key & 7 == 0:
            value, at = number_at(data, at)
        else:
            size, at = number_at(data, at) if key & 7 == 2 else ({1: 8, 5: 4}[key & 7], at)
            value, at = data[at : at + size], at + size
            if key & 7 in (1, 5):
                (value,) = struct.unpack("<d" if size == 8 else "<f", value)
        found.setdefault(key >> 3, []).append(value)
    return found


def told(folder: Path) -> list[dict[int, list[Any]]]:
    return [fields(data) for path in sorted(folder.iterdir()) for data in records(path)]


def scalars(folder: Path) -> list[tuple[int, str, float]]:
    found = []
    for event in told(folder):
        for value in fields(event[5][0]).get(1, []) if 5 in event else []:
            each = fields(value)
            if 2 in each:
                found.append((event[2][0], each[1][0].decode(), each[2][0]))
    return found


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("histograms", [0, 2])
def test_what_tensorboard_is_told(tmp_path: Path, backend: str, histograms: int) -> None:
    model, callback = net(metrics=["mae"]), pc.TensorBoard(tmp_path, histograms=histograms)
    history = fit(model, callback, backend=backend, epochs=5, record=True)
    by_run = {run.name: scalars(run) for run in tmp_path.iterdir()}
    assert sorted(by_run) == ["train", "validation"]
    for run, before in (("train", ""), ("validation", "val_")):
        names = [n for n in history if n.startswith("val_") == bool(before)]
        expected = [(k + 1, n.removeprefix("val_"), float(np.float32(history[n][k])))
                    for k in range(5) for n in names]  # fmt: skip
        assert by_run[run] == expected
    first = told(tmp_path / "train")[0]
    assert first[3] == [b"brain.Event:2"] and first[1][0] > 1e9
    assert histogram_steps(tmp_path) == ([2, 4] if histograms else [])


def histogram_steps(folder: Path) -> list[int]:
    seen = []
    for event in told(folder / "train"):
        values = [fields(v) for v in fields(event[5][0])[1]] if 5 in event else []
        if any(5 in v for v in values):
            assert [v[1][0].decode() for v in values] == [
                f"parameters/{p}" for p in ("W1", "b1", "W2", "b2")
            ]
            seen.append(event[2][0])
    return seen


@pytest.mark.parametrize("backend", BACKENDS)
def test_histograms_are_of_the_parameters_of_their_epoch(tmp_path: Path, backend: str) -> None:
    twin, seen = net(), []
    hook = pc.LambdaCallback(on_epoch_end=lambda *_: seen.append(twin.params["W1"].sum()))
    fit(twin, hook, backend=backend, epochs=60, batch_size=None)
    fit(net(), pc.TensorBoard(tmp_path, histograms=1), backend=backend, epochs=60, batch_size=None)
    values = [fields(fields(e[5][0])[1][0]) for e in told(tmp_path / "train") if 5 in e]
    sums = [fields(v[5][0])[4][0] for v in values if v[1] == [b"parameters/W1"]]
    np.testing.assert_allclose(sums, seen, 1e-12)


def test_a_histogram_has_every_finite_value_once() -> None:
    values = np.array([[1.0, 2.0, NAN], [2.5, math.inf, -4.0]])
    told_of = fields(fields(fields(events.histograms({"w": values}))[5][0])[1][0])
    facts = fields(told_of[5][0])
    assert [facts[k][0] for k in range(1, 6)] == [-4.0, 2.5, 4.0, 1.5, 27.25]
    limits, counts = (np.frombuffer(facts[k][0], "<f8") for k in (6, 7))
    assert len(limits) == len(counts) == 31 and limits[0] == -4.0 and limits[-1] == 2.5
    assert counts.sum() == 4 and counts[0] == 0 and counts[1] == 1
    assert (np.diff(limits) > 0).all()


@pytest.mark.parametrize("values", [[], [NAN], [math.inf, -math.inf], [2.0, 2.0], [1e300, -1e300]])
def test_histograms_of_odd_values(values: list[float]) -> None:
    content = fields(fields(fields(events.histograms({"w": np.array(values)}))[5][0])[1][0])
    finite = sum(math.isfinite(v) for v in values)
    assert np.frombuffer(fields(content[5][0])[7][0], "<f8").sum() == finite


def test_the_graph_is_the_forward_pass_by_layers(tmp_path: Path) -> None:
    fit(net(), pc.TensorBoard(tmp_path), epochs=1)
    (event,) = [e for e in told(tmp_path / "train") if 4 in e]
    nodes = [fields(node) for node in fields(event[4][0])[1]]
    by_name = {n[1][0].decode(): n for n in nodes}
    assert len(by_name) == len(nodes)
    assert {"X", "Y", "layer1/W1", "layer1/a1", "layer2/z2", "loss/loss"} <= set(by_name)
    for name, node in by_name.items():
        for source in node.get(3, []):
            assert source.decode() in by_name, f"{name} reads what is not there"
    assert by_name["layer1/a1"][2] == [b"tanh"] and by_name["layer1/W1"][2] == [b"Variable"]
    (shape,) = [fields(a)[2][0] for a in by_name["layer1/a1"][5] if b"_output_shapes" in a]
    sizes = fields(fields(fields(shape)[1][0])[7][0])[2]
    assert [fields(s)[1][0] for s in sizes] == [2**64 - 1, 6]  # -1, for any number of samples


def test_a_model_that_is_trained_on_replaces_the_steps_that_come_again(tmp_path: Path) -> None:
    model = net()
    fit(model, pc.TensorBoard(tmp_path), epochs=2)
    fit(model, pc.TensorBoard(tmp_path), epochs=2)
    for run in ("train", "validation"):
        assert [step for step, name, _ in scalars(tmp_path / run) if name == "loss"] == [1, 2, 3, 4]
        restarts = [(e[2][0], e[7][0]) for e in told(tmp_path / run) if 7 in e]
        assert restarts == [(1, b"\x08\x01"), (3, b"\x08\x01")]


def test_a_number_too_large_for_32_bits() -> None:
    assert fields(events.single(2, 1e300))[2] == [math.inf]
    assert fields(events.whole(2, 300))[2] == [300]


@pytest.mark.conformance
@pytest.mark.filterwarnings("ignore")  # of TensorBoard's own
def test_tensorboard_reads_it_back(tmp_path: Path) -> None:
    reader = pytest.importorskip(
        "tensorboard.backend.event_processing.event_accumulator",
        reason="TensorBoard is what reads here: pip install -e '.[tensorboard]'",
    )
    model = net(pc.Dropout(0.2), metrics=["mae"])
    history = fit(model, pc.TensorBoard(tmp_path, histograms=1), epochs=6)
    saved = model.copy()
    fit(model, pc.TensorBoard(tmp_path), epochs=3)  # three epochs that are trained again
    again = fit(saved, pc.TensorBoard(tmp_path, graph=False), epochs=3)
    for run, before in (("train", ""), ("validation", "val_")):
        found = reader.EventAccumulator(str(tmp_path / run), {"scalars": 0, "histograms": 0})
        found.Reload()
        for name in ("loss", "mae"):
            events = found.Scalars(name)
            assert [e.step for e in events] == list(range(1, 10))
            key = f"{before}{name}"
            np.testing.assert_allclose(
                [e.value for e in events], [*history[key], *again[key]], 1e-6
            )
    train = reader.EventAccumulator(str(tmp_path / "train"), {"histograms": 0})
    train.Reload()
    told_of = train.Histograms("parameters/W1")
    assert [e.step for e in told_of] == list(range(1, 7))
    assert all(sum(e.histogram_value.bucket) == 12 for e in told_of)
    nodes = {n.name: n for n in train.Graph().node}
    assert list(nodes["layer1/matmul"].input) == ["X", "layer1/W1"]
    assert [d.size for d in nodes["layer1/a1"].attr["_output_shapes"].list.shape[0].dim] == [-1, 6]
    assert nodes["layer1/a1"].attr["dtype"].type == 2


# -- MLflow ------------------------------------------------------------------------------------


class FakeMLflow(types.ModuleType):
    """As much of MLflow as is called, with what it was told."""

    def __init__(self) -> None:
        super().__init__("mlflow")
        self.runs: dict[str, Any] = {}
        self.active: Any = None
        self.experiment = ""
        self.entities = types.SimpleNamespace(Metric=lambda *parts: parts)

    def MlflowClient(self) -> Any:
        return self

    def active_run(self) -> Any:
        return self.active

    def set_experiment(self, name: str) -> None:
        self.experiment = name

    def start_run(self, run_id: str | None = None, run_name: str | None = None) -> Any:
        run_id = run_id or f"run{len(self.runs)}"
        self.active = self.runs.setdefault(run_id, types.SimpleNamespace(
            info=types.SimpleNamespace(run_id=run_id), data=types.SimpleNamespace(params={}),
            name=run_name, metrics=[], tags={}, artifacts=[], status="RUNNING"))  # fmt: skip
        return self.active

    def end_run(self, status: str) -> None:
        self.active.status, self.active = status, None

    def get_run(self, run_id: str) -> Any:
        return self.runs[run_id]

    def log_param(self, run_id: str, name: str, value: str) -> None:
        assert name not in self.runs[run_id].data.params  # MLflow refuses to change one
        self.runs[run_id].data.params[name] = value

    def log_batch(self, run_id: str, metrics: Any) -> None:
        assert 0 < len(metrics) <= 1000
        self.runs[run_id].metrics += metrics

    def set_tag(self, run_id: str, name: str, value: str) -> None:
        self.runs[run_id].tags[name] = value

    def log_artifact(self, run_id: str, path: str) -> None:
        assert pc.load(path)
        self.runs[run_id].artifacts.append(Path(path).name)


@pytest.fixture
def mlflow(monkeypatch: pytest.MonkeyPatch) -> FakeMLflow:
    fake = FakeMLflow()
    monkeypatch.setitem(sys.modules, "mlflow", fake)
    return fake


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_run_of_its_own(mlflow: FakeMLflow, backend: str) -> None:
    model = net(seed=5)
    callback = pc.MLflow("moons", run_name="first", params={"rows": "raw"}, save_model=True)
    history = fit(model, callback, backend=backend, epochs=700, batch_size=None)
    (run,) = mlflow.runs.values()
    assert (mlflow.experiment, run.name, run.status) == ("moons", "first", "FINISHED")
    params = run.data.params
    assert params["rows"] == "raw" and params["seed"] == "5" and params["epochs"] == "700"
    assert params["optimizer"] == repr(model.optimizer) and "Dense" in params["layers"]
    for name in history:
        logged = [(value, step) for key, value, _, step in run.metrics if key == name]
        assert logged == [(v, k) for k, v in enumerate(history[name], 1)]
    assert run.artifacts == ["model.safetensors"] and mlflow.active is None


def test_an_active_run_is_used_and_left_open(mlflow: FakeMLflow) -> None:
    run, model = mlflow.start_run(run_name="mine"), net()
    for _ in range(2):  # the second has other epochs, and a parameter is written once
        fit(model, pc.MLflow(), epochs=3)
    assert list(mlflow.runs.values()) == [run] and mlflow.active is run
    assert sorted({step for *_, step in run.metrics}) == [1, 2, 3, 4, 5, 6]


def test_how_it_ended(mlflow: FakeMLflow) -> None:
    def interrupt(epoch: int, logs: Any) -> None:
        raise KeyboardInterrupt

    fit(net(), pc.MLflow(), pc.LambdaCallback(on_epoch_begin=interrupt))
    fit(net(), pc.MLflow(), pc.EarlyStopping("loss", min_delta=9.0, patience=1))
    with pytest.warns(TrainingWarning):
        fit(net(optimizer=pc.SGD(1e6)), pc.MLflow(), epochs=99, on_nonfinite="report")
    assert [run.status for run in mlflow.runs.values()] == ["KILLED", "FINISHED", "FAILED"]
    told_of = [run.tags["stopped"] for run in mlflow.runs.values()]
    assert "interrupted" in told_of[0] and "improved" in told_of[1] and "at step" in told_of[2]


def test_a_resumed_run_is_the_same_run(mlflow: FakeMLflow) -> None:
    model, first, second = net(), pc.MLflow(), pc.MLflow()
    fit(model, first, epochs=2)
    second.take_back(json.loads(json.dumps(first.kept())))
    fit(model, second, epochs=2)
    (run,) = mlflow.runs.values()
    assert sorted({step for *_, step in run.metrics}) == [1, 2, 3, 4]


def test_without_mlflow_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    model = net()
    with pytest.raises(pc.PellucidError, match=r'pip install "pellucid\[mlflow\]"'):
        fit(model, pc.MLflow())
    assert model._net is None


@pytest.mark.conformance
@pytest.mark.filterwarnings("ignore")  # of MLflow's own
def test_mlflow_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = pytest.importorskip("mlflow", reason="MLflow is what reads here")
    pytest.importorskip("sqlalchemy", reason="MLflow keeps its runs with it")
    monkeypatch.chdir(tmp_path)
    real.set_tracking_uri(f"sqlite:///{tmp_path / 'mlflow.db'}")
    model = net()
    history = fit(model, pc.MLflow("moons", save_model=True), epochs=4)
    client = real.MlflowClient()
    (run,) = client.search_runs([client.get_experiment_by_name("moons").experiment_id])
    logged = client.get_metric_history(run.info.run_id, "val_loss")
    assert [(m.step, m.value) for m in logged] == list(enumerate(history["val_loss"], 1))
    assert run.info.status == "FINISHED" and run.data.params["loss"] == "mse"
    assert [a.path for a in client.list_artifacts(run.info.run_id)] == ["model.safetensors"]


# -- progress ----------------------------------------------------------------------------------


class Screen(io.StringIO):
    """A terminal of 80 columns, as far as a bar can tell."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def test_on_a_terminal_fit_shows_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen()
    monkeypatch.setattr(sys, "stdout", screen)
    fit(net(), epochs=4, verbose=1)
    last = screen.getvalue().split("\r")[-1]
    assert last.endswith("\n") and "4/4  loss" in last and "░" not in last
    assert "samples/s" in last


@pytest.mark.parametrize("stream", [Screen, io.StringIO])
def test_silence(stream: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    out = stream()
    monkeypatch.setattr(sys, "stdout", out)
    fit(net(), epochs=4, verbose=0)
    assert out.getvalue() == ""


@pytest.mark.parametrize(("stream", "every"), [(io.StringIO, None), (Screen, 2)])
def test_piped_or_asked_for_there_are_lines(
    stream: Any, every: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = stream()
    monkeypatch.setattr(sys, "stdout", out)
    history = fit(net(), epochs=4, verbose=1, print_every=every)
    lines = out.getvalue().splitlines()
    assert len(lines) == (4 if every is None else 3)
    assert (
        lines[0]
        == f"epoch 1/4  loss {history['loss'][0]:.4f}  val_loss {history['val_loss'][0]:.4f}"
    )
    assert "\r" not in out.getvalue()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("every", "epochs"), [(1, [1, 2, 3, 4, 5, 6, 7]), (3, [3, 6, 7]), (0, [7])]
)
def test_a_piped_bar_is_a_line_an_epoch(backend: str, every: int, epochs: list[int]) -> None:
    out = io.StringIO()
    history = fit(net(), pc.Progress(out, every=every), backend=backend, epochs=7)
    lines = out.getvalue().splitlines()
    assert [int(line.split()[1].split("/")[0]) for line in lines] == epochs
    assert f"loss {history['loss'][-1]:.4f}, val {history['val_loss'][-1]:.4f}" in lines[-1]


def test_speed_and_time_left_are_those_of_what_was_trained_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Resumed at epoch 60 of 100: 10 epochs of 50 samples in 20 s, so 60 s are left."""
    from pellucid.callbacks import progress

    now = [0.0]
    monkeypatch.setattr(progress.time, "perf_counter", lambda: now[0])
    out = Screen()
    bar = pc.Progress(out, width=8)
    bar.on_train_begin({"epochs": 100, "batches": 1, "samples": 50})
    for epoch in range(60, 70):
        bar.on_epoch_begin(epoch, {})
        now[0] += 2.0
        bar.on_epoch_end(epoch, {"loss": 0.5})
    assert (
        out.getvalue().split("\r")[-1] == "██████░░   70/100  loss 0.5000  1:00 left  25 samples/s"
    )


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (1, "████████░░░   70/100  v0 0.5000  9 s left  75.1 samples/s"),
        (2, "██████░░   70/100  v0 0.5000  v1 0.5000  9 s left"),
        (9, "████░   70/100  v0 0.5000  v1 0.5000  v2 0.5000  9 s left"),
    ],
)
def test_where_room_is_short_the_time_left_stays(
    names: int, shown: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """First the bar narrows, then the speed goes, then values from the last one on."""
    from pellucid.callbacks import progress

    now = [0.0]
    monkeypatch.setattr(progress.time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(progress, "_columns", lambda out: {1: 58, 2: 50, 9: 58}[names])
    out = Screen()
    bar = pc.Progress(out)
    bar.on_train_begin({"epochs": 100, "batches": 1, "samples": 22})
    now[0] = 20.5
    bar.on_epoch_end(69, {f"v{k}": 0.5 for k in range(names)})
    assert out.getvalue().split("\r")[-1] == shown


# -- what is recorded at each epoch's end ------------------------------------------------------

RECORDED = ["train_loss", "gradient_norm", "learning_rate"]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("weighted", [False, True])
def test_what_is_recorded_is_of_all_training_samples(backend: str, weighted: bool) -> None:
    weights = np.linspace(0.1, 2.0, len(X)) if weighted else None
    twin, found = net(pc.Dropout(0.2)), []

    def look(epoch: int, logs: Any) -> None:
        norm = math.sqrt(sum((g**2).sum() for g in twin.gradients(X, Y, weights).values()))
        found.append([twin.loss(X, Y, weights), norm, twin.learning_rate])

    settings = {"backend": backend, "sample_weight": weights, "validation_data": (X[:9], Y[:9]),
                "validation_split": 0.0}  # fmt: skip
    fit(twin, pc.LambdaCallback(on_epoch_end=look), **settings)
    model = net(pc.Dropout(0.2))
    history = fit(model, **settings, record=True)
    assert list(history) == ["loss", "val_loss", *RECORDED]
    np.testing.assert_allclose([history[name] for name in RECORDED], np.transpose(found), 1e-12)
    assert same(model, twin) and history.rates == history["learning_rate"]


@pytest.mark.parametrize("backend", BACKENDS)
def test_other_callbacks_see_what_is_recorded(backend: str, tmp_path: Path) -> None:
    path, seen = tmp_path / "log.csv", []
    callbacks = [
        pc.CSVLog(path), pc.EarlyStopping("gradient_norm", min_delta=99.0, patience=3),
        pc.LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(dict(logs))),
    ]  # fmt: skip
    history = fit(net(), *callbacks, backend=backend, epochs=50, record=True)
    assert history.epochs == 4 and csv_rows(path) == {"epoch": [1, 2, 3, 4], **history}
    assert seen == [{name: history[name][k] for name in history} for k in range(4)]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("hook", ["on_batch_end", "on_epoch_end", "on_epoch_begin"])
def test_an_interrupt_leaves_whole_rows(backend: str, hook: str) -> None:
    count = itertools.count()

    def interrupt(*_: Any) -> None:
        if next(count) == 7:
            raise KeyboardInterrupt

    model = net()
    hooks = pc.LambdaCallback(**{hook: interrupt})
    history = fit(model, hooks, backend=backend, epochs=20, record=True, batch_size=20)
    assert history.epochs == model._numbers.epochs > 0
    assert {len(values) for values in history.values()} == {history.epochs}
    assert len(history.rates) == len(history.seconds_by_epoch) == history.epochs


# -- other samples in each step ----------------------------------------------------------------


def noisy(x: Any, y: Any, rng: Any) -> Any:
    return x + rng.normal(0.0, 0.1, x.shape), y


def test_augmented_training_repeats_and_goes_on() -> None:
    one, other, broken = net(), net(), net()
    fit(one, augment=noisy, epochs=6)
    fit(other, augment=noisy, epochs=6)
    assert same(one, other)
    fit(broken, augment=noisy, epochs=2)
    fit(broken.copy(), augment=noisy, epochs=1)  # which disturbs nothing
    fit(broken, augment=noisy, epochs=4)
    assert same(one, broken)
    plain = net()
    fit(plain, epochs=6)
    assert not same(one, plain)


@pytest.mark.parametrize("size", [None, 16])
def test_what_augment_is_given_and_what_the_step_takes(size: int | None) -> None:
    """Every step is the step on what augment returned; the data itself is never handed out."""
    steps: list[Any] = []
    before = X.copy()

    def twisted(x: Any, y: Any, rng: Any) -> Any:
        x *= -1  # in place, which must not reach the data
        x += rng.integers(0, 3)
        steps.append((x.copy(), y.copy()))
        return x, 1 - y

    model, twin = net(), net()
    fit(model, augment=twisted, validation_split=0.0, batch_size=size, epochs=2)
    assert len(steps) == 2 * (1 if size is None else 6)
    for x, y in steps:
        twin.step(x, 1 - y)
    assert np.array_equal(model._numbers.params, twin._numbers.params)
    assert np.array_equal(X, before)


def test_validation_is_not_augmented() -> None:
    model = net()
    history = fit(model, augment=noisy, validation_split=0.0, validation_data=(X, Y), epochs=1)
    assert history["val_loss"][-1] == model.loss(X, Y)


def test_a_failure_is_replayed_with_the_same_samples() -> None:
    """Infinity that augment draws is found by the replay, which has to draw it again."""
    drawn: list[tuple[int, ...]] = []

    def spoiled(x: Any, y: Any, rng: Any) -> Any:
        if rng.random() < 0.05:
            drawn.append((int(rng.integers(0, len(x))), int(rng.integers(0, 2))))
            x[drawn[-1]] = math.inf
        return x, y

    with pytest.raises(pc.NonFiniteError) as caught:
        fit(net(), augment=spoiled, epochs=50, batch_size=16)
    assert caught.value.reproduced and len(drawn) > 1 and len(set(drawn)) == 1
    assert caught.value.step > 1 and caught.value.name == "X" and caught.value.index == drawn[0]


@pytest.mark.parametrize(
    ("wrong", "error", "says"),
    [
        (lambda x, y, rng: x, DtypeError, r"not \(X, y\)"),
        (lambda x, y, rng: (x[:1], y[:1]), pc.ShapeError, r"augment made X \(1, 2\)"),
        (lambda x, y, rng: (x, y[:, 0]), pc.ShapeError, "augment made y"),
        (lambda x, y, rng: (x.astype(str), y), pc.ShapeError, "augment made X"),
        (lambda x, y, rng: None, DtypeError, "NoneType"),
    ],
)
def test_what_augment_must_return(wrong: Any, error: Any, says: str) -> None:
    model = net()
    fit(model)
    before = model._numbers.copy()
    with pytest.raises(error, match=says):
        fit(model, augment=wrong)
    assert model._numbers.equals(before) and model._numbers.steps == before.steps


@pytest.mark.skipif(len(BACKENDS) < 2, reason="nothing is compiled here")
def test_augmented_training_is_not_compiled() -> None:
    with pytest.raises(ArgumentError, match="augment"):
        fit(net(), augment=noisy, backend="numba")
    history = fit(net(), augment=noisy, backend="auto", epochs=1)
    assert history.backend == "numpy" and "augment" in history.backend.why


def test_large_numbers_are_told_briefly() -> None:
    from pellucid.callbacks.progress import line

    assert line({"loss": 12395619120.5744, "mae": 88265.7121}) == "loss 1.2396e+10  mae 88265.7121"
    assert line({"loss": float("nan"), "auc": -0.25}) == "loss nan  auc -0.2500"
