"""A sweep promises: the numbers of `fit`, whoever trains beside, and a table that adds up."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pellucid as pc
from pellucid import jit, swept, trainings
from pellucid.swept import Sweep, wilson

X, Y = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], float), np.array([0.0, 1.0, 1.0, 0.0])
COMPILED = pytest.mark.skipif(find_spec("numba") is None, reason="Numba is not installed")
BACKENDS = [pytest.param("numba", marks=COMPILED), "numpy"]


def make(hidden: int = 2, rate: float = 0.5, seed: int = 0) -> pc.Sequential:
    layers = [pc.Dense(hidden, "sigmoid"), pc.Dense(1, "sigmoid")]
    return pc.Sequential(layers, loss="mse", optimizer=pc.SGD(rate), seed=seed)


def dropping(seed: int, inputs: int | None = None) -> pc.Sequential:
    layers = [pc.Dense(5, "tanh", inputs=inputs, l2=0.01), pc.Dropout(0.3), pc.Dense(3, "softmax")]
    metrics = ["accuracy"]
    return pc.Sequential(layers, loss="cce", optimizer="adam", metrics=metrics, seed=seed)


def sweep(maker: Any = make, x: Any = X, y: Any = Y, **settings: Any) -> Sweep:
    settings = {"epochs": 20, "seeds": range(3), "verbose": 0, "backend": "numpy"} | settings
    found: Sweep = pc.sweep(maker, x, y, **settings)
    return found


def told(found: Sweep) -> list[dict[str, Any]]:
    """Return the rows without what differs from one time to the next."""
    return [{k: v for k, v in row.items() if k != "seconds"} for row in found.rows]


def same(one: Any, other: Any) -> bool:
    numbers = [(m._numbers.params, *m._numbers.state.values()) for m in (one, other)]
    counts = [(m._numbers.steps, m._numbers.epochs, m.seed) for m in (one, other)]
    equal = all(np.array_equal(a, b) for a, b in zip(*numbers, strict=True))
    return equal and counts[0] == counts[1]


def check_fit(found: Sweep, maker: Callable[..., Any], x: Any, y: Any, **settings: Any) -> None:
    """Compare every row with what `fit` gives for it."""
    for k, row in enumerate(found.rows):
        model = maker(seed=row["seed"], **row["point"])
        history = model.fit(x, y, backend=str(found.backend), verbose=0, **settings)
        assert np.array_equal(found.curves[k], np.array(history["loss"])[found.epochs])
        final = {name: values[-1] for name, values in history.items()}
        assert final == {"loss": row["loss"], **row["metrics"]}
        assert row["steps"] == model._numbers.steps and row["status"] == "trained"
        assert same(found.model(row), model) and same(found.model(k), model)


# -- the numbers of fit ------------------------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
def test_each_training_is_what_fit_makes_of_it(backend: str) -> None:
    grid = {"hidden": [1, 3], "rate": [0.5, 2.0]}
    found = sweep(grid=grid, batch_size=4, epochs=30, backend=backend)
    assert found.backend == backend and not found.stopped
    points = [{"hidden": h, "rate": r} for h in (1, 3) for r in (0.5, 2.0)]
    assert found.points == points
    expected = [(p, s) for p in points for s in range(3)]
    assert [(row["point"], row["seed"]) for row in found.rows] == expected
    check_fit(found, make, X, Y, epochs=30, batch_size=4)


@pytest.mark.parametrize("backend", BACKENDS)
def test_shuffles_masks_states_and_held_out_samples_are_those_of_fit(backend: str) -> None:
    x, y = pc.data.blobs(50, classes=3, seed=1)
    settings = {"epochs": 6, "batch_size": 16, "validation_data": (x[:9], y[:9])}
    found = sweep(dropping, x, y, backend=backend, **settings)
    assert {"accuracy", "val_loss", "val_accuracy"} <= set(found.rows[0]["metrics"])
    check_fit(found, dropping, x, y, **settings)
    assert found.best is min(found.rows, key=lambda row: row["metrics"]["val_loss"])
    model = found.model(found.best)
    assert set(model.predict_classes(x)) <= {0, 1, 2}


@pytest.mark.parametrize("backend", BACKENDS)
def test_models_that_are_built_or_trained_already_go_on_and_are_not_changed(backend: str) -> None:
    x, y = pc.data.blobs(20, classes=3, seed=1)
    built = {seed: dropping(seed, inputs=2) for seed in range(3)}
    built[1].fit(x, y, epochs=2, verbose=0, backend="numpy")
    built[2].params = {"W1": np.ones((2, 5))}
    before = {seed: model.copy() for seed, model in built.items()}
    found = sweep(lambda seed: built[seed], x, y, batch_size=8, backend=backend, epochs=3)
    assert all(same(built[seed], before[seed]) for seed in built)
    check_fit(found, lambda seed: before[seed].copy(), x, y, epochs=3, batch_size=8)


@pytest.mark.parametrize("backend", BACKENDS)
def test_one_model_that_is_reset_for_every_seed_will_do(backend: str) -> None:
    model = dropping(0, inputs=2)
    x, y = pc.data.blobs(20, classes=3, seed=1)
    one = sweep(lambda seed: model.reset(seed), x, y, backend=backend, workers=1)
    assert told(one) == told(sweep(dropping, x, y, backend=backend))
    assert not model._numbers.steps


@pytest.mark.parametrize("inputs", [None, 2])
def test_a_maker_that_takes_no_seed_has_its_model_reset(inputs: int | None) -> None:
    x, y = pc.data.blobs(20, classes=3, seed=1)
    found = sweep(lambda: dropping(77, inputs=inputs), x, y)
    assert told(found) == told(sweep(lambda seed: dropping(77, inputs=2).reset(seed), x, y))
    assert [found.model(k).seed for k in range(3)] == [0, 1, 2]


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_seed_of_the_model_counts_where_its_maker_gives_it_another(backend: str) -> None:
    x, y = pc.data.blobs(20, classes=3, seed=1)
    found = sweep(lambda seed: dropping(seed + 100), x, y, backend=backend, batch_size=8)
    settings = {"epochs": 20, "batch_size": 8}
    check_fit(found, lambda seed: dropping(seed + 100), x, y, **settings)


def test_an_architecture_that_depends_on_the_seed_is_made_for_each() -> None:
    found = sweep(lambda seed: make(1 + seed, rate=1 + seed, seed=seed), seeds=range(4))
    check_fit(found, lambda seed: make(1 + seed, rate=1 + seed, seed=seed), X, Y, epochs=20)
    found = sweep(lambda **given: make(**given), grid={"rate": [0.5]})  # takes a seed, too
    check_fit(found, make, X, Y, epochs=20)


def test_settings_that_are_equal_but_not_the_same_are_not_shared() -> None:
    zero = {0: 0.0, 1: -0.0}
    init = lambda k: pc.Dense(2, "sigmoid", init=pc.Constant(zero[k]))  # noqa: E731
    signs = [
        np.signbit(sweep(lambda k: pc.Sequential([init(k)], loss="mse", optimizer=pc.SGD(1e-30)),
                         X, np.full((4, 2), 0.5), seeds=[0], grid={"k": [0, 1]}, epochs=1)
                   .model(row).params["W1"]).all()
        for row in range(2)
    ]  # fmt: skip
    assert signs == [False, True]


@COMPILED
def test_functions_of_ones_own_are_traced_and_still_compiled_once() -> None:
    def maker(seed: int) -> pc.Sequential:
        layers = [pc.Dense(2, lambda z: pc.tanh(z) * 0.5), pc.Dense(1)]
        return pc.Sequential(layers, loss=lambda p, y: pc.mean((p - y) ** 4), seed=seed)

    before = len(jit._memory)
    found = sweep(maker, seeds=range(4), backend="numba")
    check_fit(found, maker, X, Y, epochs=20)
    assert len(jit._memory) == before + 1


# -- how it is computed ------------------------------------------------------------------------


@COMPILED
def test_the_number_of_threads_changes_nothing() -> None:
    one, two, many = (
        sweep(grid={"hidden": [1, 2]}, backend="numba", workers=w, epochs=300, seeds=range(15))
        for w in (1, 2, 5)
    )
    assert told(one) == told(two) == told(many) and one.workers == 1
    assert np.array_equal(one.curves, two.curves) and np.array_equal(one.curves, many.curves)


@COMPILED
def test_slices_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Looked at after every few steps, with little room for logs, it is the same training."""
    x, y = pc.data.moons(30, seed=1)
    settings = {"epochs": 1500, "batch_size": 8, "seeds": [0], "backend": "numba"}
    whole = sweep(make, x, y, **settings)
    monkeypatch.setattr(trainings, "SLICE", 2e-6)
    monkeypatch.setattr(trainings, "LOGGED", 7)
    parts = sweep(make, x, y, **settings)
    assert told(whole) == told(parts) and np.array_equal(whole.curves, parts.curves)
    assert len(whole.epochs) == 1000 and whole.epochs[[0, -1]].tolist() == [0, 1499]
    check_fit(whole, make, x, y, epochs=1500, batch_size=8)


@COMPILED
def test_blas_gets_its_threads_back(monkeypatch: pytest.MonkeyPatch) -> None:
    counts, set_threads = [2], jit.blas_threads

    def threads(n: int | None) -> int:
        counts.append(n or 0)
        return counts[-2]

    monkeypatch.setattr(jit, "blas_threads", threads)
    sweep()
    with pytest.raises(pc.ShapeError):
        sweep(x=np.ones((3, 2)))
    assert counts == [2, 1, 2, 1, 2]
    assert callable(set_threads)


def test_without_numba_the_trainings_come_one_after_another(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = sweep(epochs=300)
    monkeypatch.setattr(jit, "available", lambda: "Numba is not installed: pip install numba")
    monkeypatch.setattr("pellucid.backends._Work._guess", lambda self: 1.0)  # much work ahead
    found = sweep(backend="auto", verbose=1, epochs=300)
    out = capsys.readouterr().out
    assert "Numba is not installed" in out and "one training after another" in out
    assert found.backend == "numpy" and told(found) == told(expected)
    with pytest.raises(pc.ArgumentError, match="Numba is not installed"):
        sweep(backend="numba")


# -- the table ---------------------------------------------------------------------------------


def test_the_interval_of_a_share() -> None:
    """By hand for 8 of 10: (0.8 + 0.19207 ± 1.95996 √(0.016 + 0.0096036)) / 1.38415."""
    assert wilson(8, 10) == pytest.approx((0.490162, 0.943318), abs=1e-6)
    assert wilson(0, 10) == pytest.approx((0, 0.277533), abs=1e-6)
    assert wilson(10, 10) == pytest.approx((0.722467, 1), abs=1e-6)
    assert wilson(151, 200) == pytest.approx((0.690958, 0.809431), abs=1e-6)
    for count, runs in ((1, 7), (50, 100), (199, 200)):  # p ± z √(p(1 - p)/n) meets the share
        for end in wilson(count, runs):
            distance = abs(end - count / runs)
            assert distance == pytest.approx(swept.Z95 * (end * (1 - end) / runs) ** 0.5)


def hand_made() -> Sweep:
    points = [{"hidden": h, "act": a} for h in (1, 2) for a in ("tanh", np.tanh)]
    rows = [
        {"point": p, "seed": s, "loss": 0.1 * (s + 1) + k, "metrics": {}, "converged": s < k,
         "status": "trained", "failed_at": None, "steps": 9, "seconds": 0.1}
        for k, p in enumerate(points) for s in range(3)
    ]  # fmt: skip
    rows[0] |= {"status": "diverged", "loss": np.nan, "failed_at": 10}
    return Sweep(rows, points=points)


def test_the_table_has_a_line_for_each_point() -> None:
    assert repr(hand_made()).splitlines() == [
        "hidden   act  runs  converged     95% interval  diverged  median loss  min  max",
        "     1  tanh     3       0.0%    0.0% to 56.1%         1         0.25  0.2  0.3",
        "     1  tanh     3      33.3%    6.1% to 79.2%         0          1.2  1.1  1.3",
        "     2  tanh     3      66.7%   20.8% to 93.9%         0          2.2  2.1  2.3",
        "     2  tanh     3     100.0%  43.9% to 100.0%         0          3.2  3.1  3.3",
    ]


def test_rates_are_of_a_point_or_of_several() -> None:
    found = hand_made()
    assert found.rate(hidden=1, act="tanh") == 0 and found.rate(hidden=2) == pytest.approx(5 / 6)
    assert found.rate() == 0.5 and found.interval(hidden=2) == wilson(5, 6)
    with pytest.raises(pc.ArgumentError, match=r"unknown name of the grid 'hiden'.*\n.*\n.*hidden"):
        found.rate(hiden=1)
    with pytest.raises(pc.ArgumentError, match=r"no training has hidden=3.*\n.*\n.*1, 2"):
        found.rate(hidden=3)


def test_the_best_row_is_finite_and_has_the_lowest_loss() -> None:
    found = hand_made()
    assert found.best is found.rows[1]
    with pytest.raises(pc.ArgumentError, match="no row of this sweep"):
        found.model({"seed": 1})
    with pytest.raises(pc.ArgumentError, match="no training was finished"):
        _ = Sweep([], points=[{}]).best


def test_what_counts_as_converged() -> None:
    unknown = sweep()
    assert {row["converged"] for row in unknown.rows} == {None}
    assert "converged" not in unknown.table()
    with pytest.raises(pc.ArgumentError, match="nothing says when"):
        unknown.rate()
    losses = sorted(row["loss"] for row in unknown.rows)
    assert sweep(converged=losses[1]).rate() == pytest.approx(2 / 3)
    assert sweep(converged=lambda logs: logs["loss"] < losses[1]).rate() == pytest.approx(1 / 3)
    x, y = pc.data.blobs(30, classes=3, seed=2)
    found = sweep(dropping, x, y, epochs=40, batch_size=7, seeds=range(5))
    right = [row["metrics"]["accuracy"] > 0.999999 for row in found.rows]
    assert [row["converged"] for row in found.rows] == right


def test_it_is_written_for_other_programs(tmp_path: Path) -> None:
    found = hand_made()
    with found.to_csv(tmp_path / "rows.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12 and rows[3]["hidden"] == "1" and rows[3]["act"] == "tanh"
    assert float(rows[4]["loss"]) == found.rows[4]["loss"]
    data = json.loads(found.to_json())
    assert data[0]["loss"] is None and data[0]["failed_at"] == 10 and data[1]["seed"] == 1
    assert swept._flat({"point": {"loss": 1}, "seed": 0, "loss": 2, "metrics": {"seconds": 3},
                        "seconds": 4}) == {"point_loss": "1", "seed": 0, "loss": 2,
                                           "metric_seconds": 3, "seconds": 4}  # fmt: skip


# -- what goes wrong ---------------------------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_training_that_diverges_leaves_the_others_alone(backend: str) -> None:
    x, y = pc.data.moons(30, seed=1)

    def maker(rate: float, seed: int) -> pc.Sequential:
        layers = [pc.Dense(3), pc.Dense(1)]
        return pc.Sequential(layers, loss="mse", optimizer=pc.SGD(rate), seed=seed)

    settings = {"epochs": 30, "batch_size": 8}
    found = sweep(maker, x, y * 1e3, grid={"rate": [1e-9, 1e-2]}, backend=backend, converged=1e9,
                  **settings)  # fmt: skip
    assert [row["status"] for row in found.rows] == ["trained"] * 3 + ["diverged"] * 3
    assert [row["converged"] for row in found.rows] == [True] * 3 + [False] * 3
    for k in (3, 4, 5):
        row, model = found.rows[k], maker(0.01, k - 3)
        with pytest.warns(pc.TrainingWarning, match=f"at step {row['failed_at']},"):
            history = model.fit(x, y * 1e3, backend=backend, verbose=0,
                                on_nonfinite="report", **settings)  # fmt: skip
        assert row["steps"] == row["failed_at"] - 1 == model._numbers.steps
        assert found.curves[k, : history.epochs].tolist() == history.get("loss", [])
        assert np.isnan(found.curves[k, history.epochs :]).all()
        assert row["loss"] == history["loss"][-1] if history.epochs else np.isnan(row["loss"])
        assert same(found.model(k), model)
    assert found.rate(rate=1e-2) == 0 and "diverged" in found.table()


def test_models_too_large_to_be_kept_are_trained_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pellucid.sweeps.KEPT", 0)
    check_fit(sweep(), make, X, Y, epochs=20)
    seedless = sweep(lambda: make())
    check_fit(seedless, make, X, Y, epochs=20)


def broken(hidden: int, seed: int) -> Any:
    if hidden == 2 and seed == 1:
        raise ZeroDivisionError("no such net")
    return make(hidden, seed=seed)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"seeds": []}, "seeds is empty"),
        ({"seeds": 5}, "seeds is 5"),
        ({"seeds": [0, 1.5]}, "seed is 1.5"),
        ({"grid": {"hidden": 3}}, r"grid\['hidden'\] is 3, not a list"),
        ({"grid": {"hidden": "12"}}, r"grid\['hidden'\] is '12', not a list"),
        ({"grid": {"hidden": []}}, r"grid\['hidden'\] is empty"),
        ({"grid": [1, 2]}, "not a dict"),
        ({"grid": {"seed": [1]}}, "grid has a 'seed'"),
        ({"grid": {"hiden": [1]}}, r"make_model\(hiden=1, seed=0\): TypeError: .*hiden"),
        ({"grid": {"hidden": [1, 0]}}, r"make_model\(hidden=0, seed=0\): "),
        ({"maker": broken, "grid": {"hidden": [1, 2]}},
         r"make_model\(hidden=2, seed=1\): ZeroDivisionError: no such net"),
        ({"maker": lambda seed: 3}, r"make_model\(seed=0\): it returned 3"),
        ({"maker": 3}, "make_model is 3, not a function"),
        ({"maker": lambda: pc.Sequential([pc.Dense(1)])}, r"make_model\(seed=0\): .* no loss"),
        ({"x": np.ones((3, 2))}, r"make_model\(seed=0\): X is \(3, 2\), y has 4 rows"),
        ({"y": Y * np.nan}, r"make_model\(seed=0\): y holds NaN"),
        ({"validation_data": X}, r"make_model\(seed=0\): validation_data is not a pair"),
        ({"validation_data": (X[:, :1], Y)}, r"make_model\(seed=0\): validation X is \(4, 1\)"),
        ({"converged": True}, "converged is True"),
        ({"converged": lambda logs: logs["loss"]}, r"seed=\d\): converged returned 0.\d+, not"),
        ({"converged": lambda logs: logs["f1"]}, r"make_model\(seed=\d\): KeyError: 'f1'"),
        ({"epochs": 0}, "epochs is 0"),
        ({"workers": 0}, "workers is 0"),
        ({"batch_size": 0}, "batch_size is 0"),
        ({"backend": "torch"}, "unknown backend 'torch'"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("backend", BACKENDS)
def test_what_cannot_be_meant_is_an_error_that_says_where(
    settings: dict[str, Any], message: str, backend: str
) -> None:
    threads = threading.active_count()
    with pytest.raises(pc.PellucidError, match=message) as caught:
        sweep(**{"backend": backend} | settings)
    assert caught.value.hint and __file__ in caught.value.where
    assert threading.active_count() == threads


@COMPILED
@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX")
@pytest.mark.parametrize("backend", ["numba", "numpy"])
def test_ctrl_c_returns_what_is_finished(backend: str) -> None:
    code = f"""
import os, signal, threading, time
import numpy as np, pellucid as pc
def make(seed, hidden=2):
    if seed == 4:
        threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    return pc.Sequential([pc.Dense(hidden, "tanh"), pc.Dense(1)], loss="mse", seed=seed)
X, y = pc.data.moons(40, seed=0)
epochs = {{"numba": 20_000, "numpy": 50}}["{backend}"]
pc.sweep(make, X, y, epochs=1, seeds=[0], verbose=0, backend="{backend}")
start = time.perf_counter()
found = pc.sweep(make, X, y, epochs=epochs, seeds=range(100_000), backend="{backend}")
assert time.perf_counter() - start < 30
assert 0 < len(found.rows) < 100_000 and len(found.curves) == len(found.rows)
assert all(r["status"] == "trained" and r["steps"] == 2 * epochs for r in found.rows)
assert np.isfinite(found.curves).all()
assert found.stopped == f"interrupted after {{len(found.rows)}} of 100000 trainings"
assert "stopped: interrupted" in repr(found)
assert threading.active_count() == 1
print("fine")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "stopped: interrupted after" in done.stdout and done.stdout.endswith("fine\n")


@COMPILED
@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX")
def test_ctrl_c_does_not_wait_for_a_long_training() -> None:
    x, y = pc.data.moons(40, seed=0)
    sweep(make, x, y, epochs=1, seeds=[0], backend="numba")
    timer = threading.Timer(0.5, lambda: signal.raise_signal(signal.SIGINT))
    timer.start()
    found = sweep(make, x, y, epochs=10**9, backend="numba", workers=2)
    assert found.rows == [] and found.stopped == "interrupted after 0 of 3 trainings"
    assert found.table().splitlines()[1].split() == ["0", "-", "-", "-"]
    assert threading.active_count() <= 2  # the timer may be about to end


# -- on the screen -----------------------------------------------------------------------------


class Terminal(io.StringIO):
    encoding = "utf-8"  # type: ignore[assignment]

    def isatty(self) -> bool:
        return True


def test_a_line_where_it_is_piped_a_bar_on_a_terminal_and_nothing_where_none_is_wanted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sweep(verbose=0)
    assert capsys.readouterr().out == ""
    sweep(verbose=1, converged=9.0)
    out = capsys.readouterr().out
    assert out.startswith("3 trainings  best loss 0.") and "  converged 1.0000  " in out
    assert out.count("\n") == 1
    sweep(verbose=2)
    assert capsys.readouterr().out.startswith("backend numpy: it was asked for\n")
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    sweep(verbose=1, converged=9.0)
    last = screen.getvalue().split("\r")[-1]
    assert last.startswith("█" * 24 + "  3/3  best loss 0.") and last.rstrip().endswith(" s")


# -- the question it is for --------------------------------------------------------------------


@pytest.mark.slow
@COMPILED
def test_how_many_hidden_units_solve_xor_reliably() -> None:
    """One never does, two often, four nearly always: measured over 200 seeds each."""
    start = time.perf_counter()
    found = sweep(
        lambda hidden, seed: make(hidden, rate=2.0, seed=seed), seeds=range(200),
        grid={"hidden": [1, 2, 4, 8]}, epochs=10_000, batch_size=4, converged=0.02,
        backend="numba",
    )  # fmt: skip
    print(f"\n{found}\n{time.perf_counter() - start:.1f} s")
    assert found.rate(hidden=1) == 0
    assert 0.5 < found.rate(hidden=2) < 0.95
    assert found.rate(hidden=4) > 0.97 and found.rate(hidden=8) > 0.97
    low, high = found.interval(hidden=2)
    assert low < found.rate(hidden=2) < high < found.rate(hidden=4)
