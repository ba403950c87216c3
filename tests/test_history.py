"""A history keeps what a run was, says what was best, and goes to JSON and to pandas and back."""

from __future__ import annotations

import json
import math
import pickle
import sys
from typing import Any

import numpy as np
import pytest

import pellucid as pc
from pellucid import optim
from pellucid.errors import ArgumentError, DataError, PellucidError
from pellucid.history import Backend, History
from pellucid.jit import available

BACKENDS = ["numpy", *(["numba"] if not available() else [])]
X, Y = pc.data.moons(70, noise=0.3, seed=1)


def trained(backend: str = "numpy", epochs: int = 6, **settings: Any) -> tuple[Any, History]:
    model = pc.Sequential(
        [pc.Dense(4, "tanh"), pc.Dense(1)], loss="mse", metrics=["mae"],
        optimizer=settings.pop("optimizer", pc.SGD(0.2)),
    )  # fmt: skip
    settings = {"validation_split": 0.3, "verbose": 0} | settings
    return model, model.fit(X, Y, epochs=epochs, backend=backend, **settings)


def made(*rows: dict[str, float]) -> History:
    history = History()
    for row in rows:
        history.append(row)
    return history


# -- the best ----------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_best_epoch_counts_from_one(backend: str) -> None:
    _, history = trained(backend, 30)
    for name in ("loss", "val_loss", "val_mae"):
        assert history.best(name) == (1 + int(np.argmin(history[name])), min(history[name]))
        assert history.best(name, "max") == (1 + int(np.argmax(history[name])), max(history[name]))
    assert history.best() == history.best("val_loss")


def test_of_equal_values_the_first_is_the_best_and_nan_is_none() -> None:
    history = made(*({"accuracy": v, "x": math.nan} for v in (math.nan, 0.5, 0.9, 0.9, 0.1)))
    assert history.best("accuracy") == (3, 0.9)
    assert history.best("accuracy", "min") == (5, 0.1)
    with pytest.raises(DataError, match="no value of 'x'"):
        history.best("x", "min")
    with pytest.raises(ArgumentError, match="small or large"):
        history.best("x")
    with pytest.raises(ArgumentError, match="known: accuracy, x"):
        history.best()
    with pytest.raises(ArgumentError):
        History().best("loss")


# -- rates and seconds -------------------------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("size", [None, 7])
def test_rates_are_those_of_each_epochs_last_step(backend: str, size: int | None) -> None:
    schedule = optim.Exponential(0.3, 0.99)
    model, history = trained(backend, 9, optimizer=pc.SGD(schedule), batch_size=size)
    steps = model._numbers.steps // 9
    expected = [schedule.at((k + 1) * steps - 1) for k in range(9)]
    np.testing.assert_allclose(history.rates, expected, 1e-14)
    again = model.fit(X, Y, epochs=2, batch_size=size, validation_split=0.3, verbose=0,
                      backend=backend)  # fmt: skip
    expected = [schedule.at((k + 10) * steps - 1) for k in range(2)]
    np.testing.assert_allclose(again.rates, expected, 1e-14)


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_rate_that_a_callback_sets_is_that_of_the_next_epoch(backend: str) -> None:
    callback = pc.LambdaCallback()

    def halve(epoch: int, logs: Any) -> None:
        callback.model.learning_rate /= 2

    callback.on_epoch_end = halve  # type: ignore[method-assign]
    _, history = trained(backend, 5, callbacks=[callback])
    assert history.rates == [0.2 * 0.5**k for k in range(5)]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("epochs", [0, 1, 500])
def test_every_epoch_has_its_seconds(backend: str, epochs: int) -> None:
    _, history = trained(backend, epochs, batch_size=None)
    assert len(history.seconds_by_epoch) == len(history.rates) == history.epochs == epochs
    assert all(seconds > 0 for seconds in history.seconds_by_epoch)
    assert sum(history.seconds_by_epoch) <= history.seconds


def test_epochs_that_come_together_share_their_time(monkeypatch: pytest.MonkeyPatch) -> None:
    import pellucid.history

    now = [0.0]
    monkeypatch.setattr(pellucid.history.time, "perf_counter", lambda: now[0])
    history = History()
    now[0] = 3.0
    history.append({"loss": 1.0})
    now[0] = 5.0
    history.extend(["loss"], np.ones((4, 1)))
    history.append({"loss": 2.0}, seconds=7.0)
    assert history.seconds_by_epoch == [3.0, 0.5, 0.5, 0.5, 0.5, 7.0]
    history.cut(2)
    assert history.seconds_by_epoch == [3.0, 0.5] and history.epochs == 2


# -- JSON --------------------------------------------------------------------------------------


def same(one: History, other: History) -> None:
    assert list(one) == list(other)
    for name in one:
        np.testing.assert_array_equal(one[name], other[name])
    for name in ("epochs", "stopped", "seconds", "seconds_by_epoch", "backend"):
        assert getattr(one, name) == getattr(other, name)
    assert one.rates == other.rates and one.backend.why == other.backend.why
    assert repr(one) == repr(other)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("record", [False, True])
def test_json_and_back(backend: str, record: bool) -> None:
    _, history = trained(backend, callbacks=[pc.EarlyStopping("mae", min_delta=9.0, patience=3)],
                         record=record)  # fmt: skip
    assert history.stopped
    back = History.from_json(history.to_json())
    same(history, back)
    back.append(dict.fromkeys(back, 1.0))
    assert back.epochs == history.epochs + 1


def test_json_of_odd_numbers_is_strict() -> None:
    history = made({"loss": math.nan}, {"loss": math.inf}, {"loss": -math.inf}, {"loss": 5e-324})

    def refuse(text: str) -> float:
        raise AssertionError(f"{text} is no JSON")

    json.loads(history.to_json(), parse_constant=refuse)
    same(history, History.from_json(history.to_json()))
    same(
        History(Backend("numba", "why")),
        History.from_json(History(Backend("numba", "why")).to_json()),
    )


def test_json_of_a_failure_keeps_its_words() -> None:
    with pytest.warns(pc.TrainingWarning):
        _, history = trained(epochs=300, optimizer=pc.SGD(1e6), on_nonfinite="report")
    back = History.from_json(history.to_json())
    one, other = history.failure, back.failure
    assert one is not None and other is not None and str(one) == str(other)
    for name in ("step", "epoch", "phase", "op", "layer", "name", "cause", "became", "reproduced"):
        assert getattr(one, name) == getattr(other, name)


GOOD = json.loads(made({"loss": 1.0}).to_json())


@pytest.mark.parametrize(
    "text",
    ["", "nonsense", "null", "[]", "{}", '{"format": 1}', "[" * 10**5,
     *(json.dumps(GOOD | wrong) for wrong in (
         {"format": 2}, {"values": [1]}, {"values": {"loss": ["x"]}}, {"values": {"loss": 3}},
         {"values": {"loss": [1, 2]}}, {"values": {"loss": [[1]]}}, {"seconds": "long"},
         {"backend": ["numpy", "why", "more"]}, {"rates": 1}, {"failure": 1},
         {"failure": {"nothing": 1}}, {"seconds_by_epoch": None}))],
)  # fmt: skip
def test_text_that_is_no_history(text: str) -> None:
    with pytest.raises(DataError):
        History.from_json(text)


def test_a_history_pickles_with_its_model() -> None:
    model, history = trained(epochs=3)
    same(history, pickle.loads(pickle.dumps(model)).history)


# -- pandas ------------------------------------------------------------------------------------


@pytest.mark.conformance
def test_a_data_frame_has_a_row_an_epoch() -> None:
    pandas = pytest.importorskip("pandas", reason="data frames are its own")
    _, history = trained(epochs=4)
    frame = history.to_pandas()
    assert isinstance(frame, pandas.DataFrame) and frame.index.name == "epoch"
    assert frame.index.tolist() == [1, 2, 3, 4]
    assert list(frame) == [*history, "learning_rate", "seconds"]
    for name in history:
        assert frame[name].tolist() == history[name]
    assert frame["learning_rate"].tolist() == history.rates
    assert frame["val_loss"].idxmin() == history.best().epoch
    _, recorded = trained(epochs=2, record=True)
    assert list(recorded.to_pandas()) == [*recorded, "seconds"]
    assert len(History().to_pandas()) == 0


def test_without_pandas_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(PellucidError, match=r'pip install "pellucid\[pandas\]"'):
        made({"loss": 1.0}).to_pandas()


# -- plots -------------------------------------------------------------------------------------


def test_a_recorded_history_is_drawn() -> None:
    pytest.importorskip("matplotlib", reason="what draws")
    _, history = trained(epochs=4, record=True)
    axes = pc.plot.history(history)
    titles = [ax.get_title() for ax in axes]
    assert titles == ["loss", "mae", "train loss", "gradient norm", "learning rate"]
    both = pc.plot.history({"one": history, "two": history}, "train_loss")
    np.testing.assert_array_equal(both.get_lines()[0].get_ydata(), history["train_loss"])
