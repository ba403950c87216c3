"""Models of equal settings share programs, and nothing else."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import pellucid as pc
from pellucid import backends, sharing
from pellucid.sharing import programs


def data(n: int = 40) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, 3)), rng.normal(size=n)


def model(seed: int = 0, units: int = 4, **settings: Any) -> pc.Sequential:
    layers = [pc.Dense(units, settings.pop("activation", "tanh"), inputs=3), pc.Dense(1)]
    return pc.Sequential(layers, **{"loss": "mse", "seed": seed, "dtype": "float64", **settings})


def held(one: pc.Sequential) -> sharing.Programs:
    return programs(one._blueprint())


def test_equal_settings_share_their_programs_whatever_the_seed() -> None:
    assert held(model(0)) is held(model(1))
    one, two = model(0), model(1)
    assert one._steps().program(False)[0] is two._steps().program(False)[0]
    assert one._network((3,)) is two._network((3,))


OTHERS: list[dict[str, Any]] = [
    {"units": 5}, {"activation": "relu"}, {"loss": "mae"}, {"dtype": "float32"},
    {"optimizer": "sgd"}, {"optimizer": pc.Adam(0.5)}, {"metrics": ["mae"]},
]  # fmt: skip


@pytest.mark.parametrize("other", OTHERS, ids=str)
def test_other_settings_have_others(other: dict[str, Any]) -> None:
    assert held(model(**other)) is not held(model())


def test_frozen_parameters_and_inputs_tell_models_apart() -> None:
    assert held(model().freeze("W1")) is not held(model())
    narrow = pc.Sequential([pc.Dense(4, "tanh", inputs=2), pc.Dense(1)], loss="mse")
    assert held(narrow) is not held(model(dtype="float32"))


def test_what_is_equal_but_not_the_same_is_told_apart() -> None:
    def settings(value: Any) -> Any:
        return sharing.shared(("test", value), lambda: [value])

    assert settings(1) is settings(1)
    assert settings(1) is not settings(True) and settings(1) is not settings(1.0)
    assert settings(0.0) is not settings(-0.0) and settings("1") is not settings(1)
    assert settings(("a", "b")) is not settings("a', 'b")


def test_functions_and_layers_of_ones_own_are_traced_anew() -> None:
    """They may mean something else the next time."""
    factor = [1.0]

    @dataclass(frozen=True)
    class Times(pc.Layer):
        def __call__(self, x: Any, p: Any) -> Any:
            return factor[0] * x

    X = np.ones((2, 1))
    found = []
    for factor[0] in (2.0, 3.0):
        by_function = pc.Sequential([pc.Dense(1, lambda z: factor[0] * z, init="ones", inputs=1)])
        by_layer = pc.Sequential([Times(), pc.Dense(1, init="ones", inputs=1)])
        found.append([by_function.predict(X)[0, 0], by_layer.predict(X)[0, 0]])
    assert found == [[2, 2], [3, 3]]


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_models_that_share_are_trained_as_if_they_did_not(backend: str) -> None:
    X, y = data()
    alone = []
    for seed in (0, 1):
        sharing._made.clear()
        one = model(seed)
        one.fit(X, y, epochs=3, batch_size=8, verbose=0, backend=backend)
        alone.append(one._numbers.params.copy())
    both = [model(0), model(1)]
    for _ in range(3):
        for one in both:
            one.fit(X, y, epochs=1, batch_size=8, verbose=0, backend=backend)
    for one, params in zip(both, alone, strict=True):
        assert np.array_equal(one._numbers.params, params)


def test_they_train_in_threads_at_once() -> None:
    X, y = data(200)
    sharing._made.clear()
    models = [model(seed) for seed in range(8)]

    def train(one: pc.Sequential) -> None:
        one.fit(X, y, epochs=5, batch_size=8, verbose=0, backend="numpy")
        one.predict(X)

    threads = [threading.Thread(target=train, args=(one,)) for one in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed, one in enumerate(models):
        again = model(seed)
        again.fit(X, y, epochs=5, batch_size=8, verbose=0, backend="numpy")
        assert np.array_equal(one._numbers.params, again._numbers.params)
        assert np.array_equal(one.predict(X, backend="numpy"), again.predict(X, backend="numpy"))


def test_no_more_are_kept_than_a_number() -> None:
    for k in range(sharing.KEPT + 9):
        sharing.shared(("many", k), lambda: object())
    assert len(sharing._made) <= sharing.KEPT


def test_often_compiles_once_numpy_has_taken_as_long(monkeypatch: pytest.MonkeyPatch) -> None:
    X, y = data()
    monkeypatch.setattr(backends._Work, "_guess", lambda self: 0.1)
    monkeypatch.setattr(backends._Work, "_measured", lambda self: 0.1)
    monkeypatch.setattr(backends._Work, "_compiled", lambda self: 0.0)
    monkeypatch.setattr(backends._Work, "_making", lambda self: 2.5)

    def chosen(backend: str) -> str:
        one = model(units=7)
        return one.fit(X, y, epochs=10, batch_size=None, verbose=0, backend=backend).backend

    sharing._made.clear()
    assert [chosen("often") for _ in range(4)] == ["numpy", "numpy", "numba", "numba"]
    sharing._made.clear()
    assert [chosen("auto") for _ in range(4)] == ["numpy"] * 4


def test_a_callback_that_is_due_now_and_then_hears_of_those_epochs_alone() -> None:
    class Every(pc.Callback):
        def __init__(self) -> None:
            self.heard: list[int] = []

        def due(self, start: int, stop: int) -> Any:
            return [e for e in range(start, stop) if e % 4 == 3]

        def on_epoch_end(self, epoch: int, logs: Any) -> None:
            assert self.model._numbers.epochs == epoch + 1  # it may act: nothing is ahead of it
            self.heard.append(epoch)
            if epoch == 11:
                self.stop("enough")

    X, y = data()
    every = Every()
    history = model().fit(X, y, epochs=50, verbose=0, backend="numba", callbacks=[every])
    assert every.heard == [3, 7, 11] and history.epochs == 12
