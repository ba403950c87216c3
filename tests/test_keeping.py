"""Runs that nothing can lose: killed, refused, damaged, out of disk; and time travel in them."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import kill_training
import numpy as np
import pytest

import pellucid as pc
from pellucid import files, jit
from pellucid.callbacks import EarlyStopping, ReduceOnPlateau, TimeLimit
from pellucid.errors import (
    ArgumentError,
    DataError,
    DtypeError,
    NonFiniteError,
    TrainingWarning,
)
from pellucid.keeping import facts, folder
from pellucid.keeping.folder import Folder
from pellucid.keeping.lock import Lock

X, Y = pc.data.moons(60, noise=0.2)
EPOCHS = 6
STEPS = 2  # of an epoch of 60 samples
COMPILED = pytest.param(
    "numba", marks=pytest.mark.skipif(bool(jit.available()), reason="Numba is not to be had")
)
BACKENDS = pytest.mark.parametrize("backend", ["numpy", COMPILED])
FORKS = pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are forked and killed")


def make(**changed: Any) -> Any:
    settings: dict[str, Any] = {
        "loss": "bce", "optimizer": pc.Adam(0.02), "metrics": ["accuracy"], "seed": 5,
    }  # fmt: skip
    units = changed.pop("units", 8)
    layers = changed.pop(
        "layers", [pc.Dense(units, "relu"), pc.Dropout(0.25), pc.Dense(1, "sigmoid")]
    )
    return pc.Sequential(layers, **{**settings, **changed})


def fit(model: Any, run: Path | None = None, **changed: Any) -> Any:
    settings: dict[str, Any] = {"epochs": EPOCHS, "verbose": 0, "backend": "numpy"}
    kept = {"checkpoint": run, "resume": True, "checkpoint_every": 1} if run else {}
    return model.fit(changed.pop("X", X), changed.pop("y", Y), **{**settings, **kept, **changed})


class Broken(Exception):
    """What ends a training in these tests."""


class Break(pc.Callback):
    """End the training at the end of an epoch, by an error."""

    def __init__(self, epoch: int, error: type[BaseException] = Broken) -> None:
        self.epoch, self.error = epoch, error

    def on_epoch_end(self, epoch: int, logs: Any) -> None:
        if epoch == self.epoch:
            raise self.error


class Spy(pc.Callback):
    """Keep the numbers of every step."""

    def __init__(self) -> None:
        self.seen: dict[int, Any] = {}
        self.epochs: list[int] = []

    def on_batch_end(self, batch: int, logs: Any) -> None:
        self.seen[self.model._numbers.steps] = self.model._numbers.copy()

    def on_epoch_end(self, epoch: int, logs: Any) -> None:
        self.epochs.append(epoch)
        self.seen[self.model._numbers.steps] = self.model._numbers.copy()


def same(a: Any, b: Any) -> bool:
    return a._numbers.equals(b._numbers) and a._numbers.steps == b._numbers.steps


def broken(run: Path, epoch: int = 2, model: Any = None, **changed: Any) -> Any:
    """Leave a run that was broken off at the end of an epoch, which is not kept."""
    callbacks = [*changed.pop("callbacks", []), Break(epoch)]
    model = model or make()
    with pytest.raises(Broken):
        fit(model, run, callbacks=callbacks, **changed)
    return model


# -- going on --------------------------------------------------------------------------------------

MODELS: dict[str, Callable[[], Any]] = {
    "Adam and dropout": make,
    "a schedule": lambda: make(optimizer=pc.SGD(pc.WarmUp(pc.Cosine(0.1, steps=12), 3), 0.9)),
    "running statistics": lambda: make(
        layers=[pc.Dense(6), pc.BatchNorm(), pc.Activation("tanh"), pc.Dense(1, "sigmoid")]
    ),
    "accumulation and an average": lambda: make(optimizer=pc.AdamW(0.01, accumulate=3, ema=0.9)),
    "double precision": lambda: make(dtype="float64"),
    "something frozen": lambda: make(layers=[pc.Dense(6, "relu", inputs=2), pc.Dense(3),
                                             pc.Dense(1, "sigmoid")]).freeze("W2"),
    "learned from rows": lambda: make(layers=[pc.Normalize(), pc.Dense(4, "relu"),
                                              pc.Dense(1, "sigmoid")]),
}  # fmt: skip


@BACKENDS
@pytest.mark.parametrize("name", MODELS)
def test_a_run_that_was_broken_off_goes_on_as_if_it_never_was(
    name: str, backend: str, tmp_path: Path
) -> None:
    whole, run = MODELS[name](), tmp_path / "run"
    history = fit(whole, backend=backend, validation_split=0.2)
    for epoch in (0, 2, 2, 4, 99):
        model = MODELS[name]()
        try:
            found = fit(
                model, run, backend="auto" if run.exists() else backend, validation_split=0.2,
                callbacks=[Break(epoch)],
            )  # fmt: skip
        except Broken:
            continue
    assert same(model, whole) and dict(found) == dict(history)
    assert found.backend == backend and found.epochs == EPOCHS and found.rates == history.rates
    assert len(found.seconds_by_epoch) == EPOCHS


@BACKENDS
def test_callbacks_go_on_from_what_they_had(backend: str, tmp_path: Path) -> None:
    """Early stopping with its best weights, and a learning rate that was lowered."""

    def callbacks() -> list[pc.Callback]:
        return [ReduceOnPlateau("loss", factor=0.5, patience=1, threshold=0.05),
                EarlyStopping("val_loss", patience=4)]  # fmt: skip

    settings: dict[str, Any] = {"epochs": 60, "validation_split": 0.3}
    whole, ours = make(optimizer=pc.Adam(0.1)), callbacks()
    history = fit(whole, callbacks=ours, backend=backend, **settings)
    assert 4 < history.epochs < 60 and whole.learning_rate < 0.1
    for epoch in (1, history.epochs - 3, history.epochs - 1, 99):
        model, theirs = make(optimizer=pc.Adam(0.1)), callbacks()
        try:
            found = fit(model, tmp_path / "run", callbacks=[*theirs, Break(epoch)],
                        backend="auto" if (tmp_path / "run").exists() else backend,
                        **settings)  # fmt: skip
        except Broken:
            continue
    assert same(model, whole) and dict(found) == dict(history) and found.stopped == history.stopped
    assert found.rates == history.rates and len(set(found.rates)) > 2
    assert theirs[1].best_epoch == ours[1].best_epoch  # type: ignore[attr-defined]


def test_epochs_count_on_where_they_were(tmp_path: Path, capsys: Any) -> None:
    broken(tmp_path)
    spy = Spy()
    fit(make(), tmp_path, callbacks=[spy], verbose=1, print_every=1)
    assert spy.epochs == [2, 3, 4, 5]
    printed = capsys.readouterr().out.splitlines()
    assert [line[:9] for line in printed] == [f"epoch {k}/6" for k in range(3, 7)]


def test_a_run_that_has_ended_is_not_trained_again(tmp_path: Path) -> None:
    spy = Spy()
    whole, stop = make(), EarlyStopping("loss", patience=10**6)
    history = fit(whole, tmp_path, callbacks=[stop])
    again = make()
    stop = EarlyStopping("loss", patience=10**6)
    found = fit(again, tmp_path, callbacks=[stop, spy])
    assert same(again, whole) and dict(found) == dict(history) and not spy.seen
    assert not stop._resumed  # and nothing of it is left for another run
    fewer = make()
    assert fit(fewer, tmp_path, epochs=2, callbacks=[EarlyStopping("loss", patience=10**6)]
               ).epochs == EPOCHS  # fmt: skip
    assert same(fewer, whole)


def test_more_epochs_are_as_many_from_the_beginning(tmp_path: Path) -> None:
    """Weights that early stopping put back at the first end are not what the rest begins with."""
    whole = make()
    history = fit(whole, epochs=14, callbacks=[EarlyStopping("accuracy", patience=10**6)])
    for epochs in (EPOCHS, 14):
        model = make()
        found = fit(
            model, tmp_path, epochs=epochs, callbacks=[EarlyStopping("accuracy", patience=10**6)]
        )
    assert same(model, whole) and dict(found) == dict(history)


def test_a_run_that_was_stopped_for_good_stays_stopped(tmp_path: Path) -> None:
    class Enough(pc.Callback):
        def on_epoch_end(self, epoch: int, logs: Any) -> None:
            if epoch == 2:
                self.stop("enough")

    first = make()
    assert fit(first, tmp_path, callbacks=[Enough()]).stopped == "enough"
    spy, again = Spy(), make()
    found = fit(again, tmp_path, epochs=20, callbacks=[Enough(), spy])
    assert found.stopped == "enough" and found.epochs == 3 and not spy.seen and same(again, first)


def test_a_time_limit_is_a_pause(tmp_path: Path) -> None:
    whole = make()
    history = fit(whole)
    limit = TimeLimit(1e-9)  # one epoch at a time
    for done in range(1, EPOCHS + 1):
        model = make()
        found = fit(model, tmp_path, callbacks=[limit])
        assert found.epochs == done
    assert same(model, whole) and dict(found) == dict(history)


@BACKENDS
def test_an_interrupted_run_goes_on(backend: str, tmp_path: Path) -> None:
    whole, model = make(), make()
    history = fit(whole, backend=backend)
    found = fit(model, tmp_path, backend=backend, callbacks=[Break(3, KeyboardInterrupt)])
    assert "interrupted" in found.stopped and found.epochs == 4
    found = fit(model, tmp_path, backend="auto")  # the same model, as in a notebook
    assert same(model, whole) and dict(found) == dict(history) and not found.stopped


@BACKENDS
def test_an_interrupt_without_other_callbacks_loses_nothing(backend: str, tmp_path: Path) -> None:
    class Ctrl(pc.Callback):
        watches = True

        def on_epoch_end(self, epoch: int, logs: Any) -> None:
            if epoch >= 3:
                raise KeyboardInterrupt

    model = make()
    found = fit(model, tmp_path, backend=backend, epochs=400, checkpoint_every=None,
                callbacks=[Ctrl()])  # fmt: skip
    run = pc.Run(tmp_path)
    assert run.history.epochs == found.epochs >= 3 and run.last in run.checkpoints
    assert same(run.at(run.last), model)


@BACKENDS
@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("after", [False, True])
def test_interrupts_while_the_run_is_kept(
    after: bool, times: int, backend: str, tmp_path: Path, monkeypatch: Any
) -> None:
    """Ctrl-C before or after any call of fsync or rename, once or twice: nothing is lost."""
    calls, plan, whole = [0], [0], make()
    history = fit(whole, backend=backend)

    def counted(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any) -> Any:
            calls[0] += 1
            struck = plan[0] <= calls[0] < plan[0] + times
            if struck and not after:
                raise KeyboardInterrupt
            found = real(*given)
            if struck:
                raise KeyboardInterrupt
            return found

        return call

    monkeypatch.setattr(os, "fsync", counted(os.fsync))
    monkeypatch.setattr(os, "replace", counted(os.replace))
    for plan[0] in range(1, 60, 3 if after else 2):
        calls[0], run, model = 0, tmp_path / f"{plan[0]}", make()
        with suppress(KeyboardInterrupt):
            fit(model, run, backend=backend)
        plan[0] = 10**6
        model = make()
        found = fit(model, run, backend=backend)
        assert same(model, whole) and dict(found) == dict(history)
        assert [row["epoch"] for row in Folder(run).log.read()] == [*range(1, EPOCHS + 1)]
        assert not list(run.rglob(f"*{files.LITTER}"))


def test_a_failure_comes_again(tmp_path: Path) -> None:
    def explode() -> Any:
        return make(optimizer=pc.SGD(1e30), layers=[pc.Dense(8), pc.Dense(1)], loss="mse")

    steps = set()
    for _ in range(3):
        model = explode()
        with pytest.raises(NonFiniteError) as caught:
            fit(model, tmp_path)
        steps.add((caught.value.step, caught.value.epoch, caught.value.op))
    assert len(steps) == 1


def test_a_model_that_was_trained_before(tmp_path: Path) -> None:
    """Steps and epochs count on; the run begins with the model as it came."""

    def before() -> Any:
        model = make()
        fit(model, epochs=2)
        return model

    whole = before()
    fit(whole)
    broken(tmp_path, model=before())
    model = before()
    assert fit(model, tmp_path).epochs == EPOCHS
    assert same(model, whole) and pc.Run(tmp_path).first == 2 * STEPS


# -- kill -9 ---------------------------------------------------------------------------------------


def kills(tmp_path: Path, backend: str, count: int, seed: int) -> dict[str, Any]:
    """Kill so many trainings in a process of its own; return what it reports."""
    told = subprocess.run(
        [sys.executable, kill_training.__file__, str(tmp_path), backend, str(count), str(seed)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert told.returncode == 0, told.stderr
    report: dict[str, Any] = json.loads(told.stdout.splitlines()[-1])
    print(f"\n{backend}: {report}")
    assert report["kills"] == count and report["wrong"] == [], report
    return report


@FORKS
@BACKENDS
def test_killed_trainings_end_as_if_they_never_were(backend: str, tmp_path: Path) -> None:
    """A dozen kills in all; what the last one left is ended by another process, here."""
    report = kills(tmp_path, backend, 8 if backend == "numpy" else 4, seed=0)
    whole, history = kill_training.train(backend)
    model, found = kill_training.train("auto", Path(report["last"]))
    assert kill_training.differs((whole, history), (model, found)) == []


@FORKS
@BACKENDS
@pytest.mark.slow
def test_two_hundred_kills(backend: str, tmp_path: Path) -> None:
    """At least 50 of them while the run was being kept: in write, fsync, rename and the like."""
    report = kills(tmp_path, backend, 200, seed=1)
    assert report["saving"] >= 50 and report["runs"] >= 1, report


# -- one process at a time -------------------------------------------------------------------------


def training(folder: Path) -> subprocess.Popen[str]:
    """Begin a training in another process, and wait until it is under way."""
    code = """
        import sys, time
        import pellucid as pc

        class Slow(pc.Callback):
            def on_epoch_end(self, epoch, logs):
                print("epoch", epoch, flush=True)
                time.sleep(60 if epoch else 0)

        sys.path.insert(0, sys.argv[2])
        import test_keeping
        test_keeping.fit(test_keeping.make(), sys.argv[1], callbacks=[Slow()])
    """
    started = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), str(folder), str(Path(__file__).parent)],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert started.stdout is not None
    assert started.stdout.readline() == "epoch 0\n" and started.stdout.readline() == "epoch 1\n"
    return started


def test_a_second_process_is_told_and_the_lock_dies_with_the_first(tmp_path: Path) -> None:
    other, model = training(tmp_path), make()
    try:
        with pytest.raises(ArgumentError, match=f"under way in .*process {other.pid}"):
            fit(model, tmp_path)
        assert model._net is None
        assert pc.Run(tmp_path).history.epochs == 1  # looking is allowed
    finally:
        other.kill()
        other.wait()
        assert other.stdout is not None
        other.stdout.close()
    whole = make()
    fit(whole)
    fit(model, tmp_path)
    assert same(model, whole)


@FORKS
def test_a_process_that_is_stopped_still_has_its_folder(tmp_path: Path) -> None:
    other = training(tmp_path)
    try:
        other.send_signal(signal.SIGSTOP)
        with pytest.raises(ArgumentError, match=f"under way in .*process {other.pid}"):
            fit(make(), tmp_path)
    finally:
        other.kill()
        other.wait()
        assert other.stdout is not None
        other.stdout.close()


@FORKS
def test_what_was_forked_has_no_part_in_the_folder(tmp_path: Path) -> None:
    """It does not keep the lock where its parent is killed, and writes nothing."""
    children = []

    class Fork(pc.Callback):
        def on_epoch_end(self, epoch: int, logs: Any) -> None:
            if epoch == 1:
                with warnings.catch_warnings():  # of threads, which do nothing here
                    warnings.simplefilter("ignore", DeprecationWarning)
                    children.append(os.fork())

    model, parent = make(), os.getpid()
    try:
        fit(model, tmp_path, callbacks=[Fork()])
        if os.getpid() == parent:
            Lock(tmp_path).release()  # free, while the child may well go on
            assert pc.Run(tmp_path).checkpoints == (0, 2, 4, 6, 8, 10, 12)
    finally:
        if os.getpid() != parent:
            os._exit(0)
    _, status = os.waitpid(children[0], 0)
    assert status == 0 and pc.Run(tmp_path).history.epochs == EPOCHS


@FORKS
def test_a_child_left_behind_does_not_keep_the_lock(tmp_path: Path) -> None:
    code = """
        import os, sys, time
        sys.path.insert(0, sys.argv[2])
        import test_keeping
        import pellucid as pc

        class Fork(pc.Callback):
            def on_epoch_end(self, epoch, logs):
                if not os.fork():
                    os.close(1)
                    time.sleep(20)
                    os._exit(0)
                os.kill(os.getpid(), 9)

        test_keeping.fit(test_keeping.make(), sys.argv[1], callbacks=[Fork()])
    """
    subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path), str(Path(__file__).parent)],
        stdout=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    whole, model = make(), make()
    fit(whole)
    fit(model, tmp_path)
    assert same(model, whole)


class Then(pc.Callback):
    """Do something at the end of an epoch."""

    def __init__(self, epoch: int, act: Callable[[], Any]) -> None:
        self.epoch, self.act = epoch, act

    def on_epoch_end(self, epoch: int, logs: Any) -> None:
        if epoch == self.epoch:
            self.act()


def test_a_folder_that_is_another_runs_by_now_is_left_alone(tmp_path: Path) -> None:
    """Renamed while a process trains in it; then a second run begins under its name."""
    run, moved = tmp_path / "run", tmp_path / "moved"
    whole, model, other = make(), make(), make(seed=6)
    fit(whole)

    def act() -> None:
        run.rename(moved)
        fit(other, run)
        act.photo = photo(run)  # type: ignore[attr-defined]

    with pytest.warns(TrainingWarning, match=r"cannot be kept in .*not that of this run"):
        fit(model, run, callbacks=[Then(2, act)])
    assert same(model, whole) and photo(run) == act.photo  # type: ignore[attr-defined]
    Lock(run).release()  # and free
    again = make()
    fit(again, moved)
    assert same(again, whole)


def test_a_folder_that_is_moved_and_back_is_kept_again(tmp_path: Path) -> None:
    run, moved = tmp_path / "run", tmp_path / "moved"
    there, back = Then(1, lambda: run.rename(moved)), Then(3, lambda: moved.rename(run))
    model = make()
    with pytest.warns(TrainingWarning, match="cannot be kept"):
        history = fit(model, run, callbacks=[there, back])
    found = pc.Run(run)
    assert found.checkpoints == (0, 2, 8, 10, 12) and dict(found.history) == dict(history)
    assert same(found.at(found.last), model)


def test_a_lock_that_is_removed_is_taken_again(tmp_path: Path) -> None:
    refused = []

    def second() -> None:
        try:
            fit(make(), tmp_path)
        except ArgumentError as error:
            refused.append(error.what)

    acts = [Then(1, (tmp_path / "lock").unlink), Then(3, second)]
    fit(make(), tmp_path, callbacks=acts)
    assert len(refused) == 1 and "this process" in refused[0]
    assert pc.Run(tmp_path).checkpoints == (0, 2, 4, 6, 8, 10, 12)


def test_the_process_may_change_its_own_folder(tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    fit(make(), Path("run"), callbacks=[Then(2, lambda: os.chdir(tmp_path / "there"))])
    assert not os.listdir() and "'../here/run'" in repr(pc.Run("../here/run"))
    os.chdir(tmp_path / "here")
    run = pc.Run("run")
    assert run.checkpoints == (0, 2, 4, 6, 8, 10, 12) and repr(run).startswith("<Run 'run'")
    os.chdir(tmp_path)
    assert run.at(5)._numbers.steps == 5


def test_a_log_that_was_cut_short_is_not_filled_up(tmp_path: Path) -> None:
    cut = Then(2, lambda: (tmp_path / "history.jsonl").write_text(""))
    whole, model = make(), make()
    fit(whole)
    with pytest.warns(TrainingWarning, match="shorter than it was"):
        broken(tmp_path, epoch=4, callbacks=[cut])
    assert (tmp_path / "history.jsonl").read_bytes() == b""
    with pytest.warns(TrainingWarning, match="passed over"):
        fit(model, tmp_path)
    assert same(model, whole)


def test_a_second_call_in_the_same_process_is_told(tmp_path: Path) -> None:
    inner: list[str] = []

    class Again(pc.Callback):
        def on_epoch_end(self, epoch: int, logs: Any) -> None:
            with pytest.raises(ArgumentError, match="this process"):
                fit(make(), tmp_path)
            inner.append("refused")

    fit(make(), tmp_path, epochs=2, callbacks=[Again()])
    assert inner == ["refused"] * 2
    Lock(tmp_path).release()  # free again


def test_threads_train_in_folders_of_their_own(tmp_path: Path) -> None:
    models = [make(seed=k) for k in range(3)]
    threads = [
        threading.Thread(target=fit, args=(m, tmp_path / str(k))) for k, m in enumerate(models)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for k, model in enumerate(models):
        alone = make(seed=k)
        fit(alone)
        assert same(model, alone)


# -- what is refused -------------------------------------------------------------------------------

CHANGED: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "batch size": ({}, {"batch_size": 16}, "batch_size was 32, and is 16"),
    "shuffle": ({}, {"shuffle": False}, "shuffle was True, and is False"),
    "seed": ({"seed": 6}, {}, "seed was 5, and is 6"),
    "units": ({"units": 9}, {}, r"layers\[0\].units was 8, and is 9"),
    "activation": (
        {"layers": [pc.Dense(8, "tanh"), pc.Dropout(0.25), pc.Dense(1, "sigmoid")]}, {},
        r"layers\[0\].activation was 'relu', and is 'tanh'"),
    "another layer": (
        {"layers": [pc.Dense(8, "relu"), pc.Flatten(), pc.Dense(1, "sigmoid")]}, {},
        r"layers\[1\].type was 'Dropout', and is 'Flatten'"),
    "a layer more": (
        {"layers": [pc.Dense(8, "relu"), pc.Dense(1, "sigmoid")]}, {},
        "layers was 3 of them: Dense, Dropout, Dense, and is 2 of them: Dense, Dense"),
    "rate": ({"optimizer": pc.Adam(0.03)}, {}, "learning_rate was 0.02, and is 0.03"),
    "optimizer": ({"optimizer": "sgd"}, {}, "optimizer.type was 'Adam', and is 'SGD'"),
    "loss": ({"loss": "mse"}, {}, "loss was 'bce', and is 'mse'"),
    "metrics": ({"metrics": []}, {}, "metrics was"),
    "precision": ({"dtype": "float64"}, {}, "dtype was 'float32', and is 'float64'"),
    "values of X": ({}, {"X": X + 1e-3}, "X has other values now"),
    "rows": ({}, {"X": X[:50], "y": Y[:50]}, r"the shape\[0\] of X was 60, and is 50"),
    "values of y": ({}, {"y": 1 - Y}, "y has other values now"),
    "weights": ({}, {"sample_weight": np.arange(60)}, "sample_weight was not given then"),
    "validation": ({}, {"validation_data": (X, Y)}, "validation X was not given then"),
    "a split": ({}, {"validation_split": 0.2}, "X was 60, and is 48"),
    "backend": ({}, {"backend": "numba"}, "computed by numpy"),
}  # fmt: skip


def photo(folder: Path) -> dict[str, Any]:
    """Return what a refusal must leave alone."""
    return {str(p): p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.name != "lock"}


@pytest.mark.parametrize("name", CHANGED)
def test_a_run_goes_on_only_with_the_same(name: str, tmp_path: Path) -> None:
    broken(tmp_path)
    before = photo(tmp_path)
    settings, changed, words = CHANGED[name]
    model = make(**settings)
    with pytest.raises(ArgumentError, match=words):
        fit(model, tmp_path, **changed)
    assert model._net is None and photo(tmp_path) == before
    fit(make(), tmp_path)  # and the run is as good as it was


@pytest.mark.parametrize("interrupted", [True, False])
def test_a_rate_that_was_set_since_is_another_run(interrupted: bool, tmp_path: Path) -> None:
    """It would be forgotten; in a notebook, the model is still there."""

    class Ctrl(Break):
        watches = True

    model = make()
    stop = [Ctrl(1, KeyboardInterrupt)] if interrupted else []
    assert fit(model, tmp_path, epochs=3, callbacks=stop).epochs == 3 - interrupted
    model.learning_rate = 0.5
    before = model._numbers.copy()
    with pytest.raises(ArgumentError, match=r"learning rate was set to 0\.5 since"):
        fit(model, tmp_path)
    assert model._numbers.equals(before)
    whole, again = make(), make()
    fit(whole)
    fit(again, tmp_path)
    assert same(again, whole)


def test_settings_may_be_numbers_of_numpy(tmp_path: Path) -> None:
    first: dict[str, Any] = {
        "batch_size": np.int32(16), "shuffle": np.True_, "record": np.True_,
        "validation_split": np.float32(0.25), "checkpoint_every": np.int64(2),
    }  # fmt: skip
    plain = {"batch_size": 16, "shuffle": True, "record": True, "validation_split": 0.25}
    broken(tmp_path, epochs=np.int64(EPOCHS), **first)
    whole, model = make(), make()
    fit(whole, **plain)
    fit(model, tmp_path, **plain)
    assert same(model, whole) and pc.Run(tmp_path).at(np.int64(5))._numbers.steps == 5


def test_a_backend_that_is_chosen_is_the_runs(tmp_path: Path) -> None:
    broken(tmp_path)
    assert fit(make(), tmp_path, backend="often").backend == "numpy"


def test_a_class_of_ones_own_that_computes_otherwise_is_another_run(tmp_path: Path) -> None:
    """Its settings are the same, and its code is not."""

    def scaled(power: float) -> Any:
        @dataclass(frozen=True)
        class Own(pc.Layer):
            size: int = 1

            def __call__(self, x: Any, p: Any) -> Any:
                return x * power

        return make(layers=[Own(), pc.Dense(4, "relu"), pc.Dense(1, "sigmoid")])

    broken(tmp_path, model=scaled(2.0))
    with pytest.raises(ArgumentError, match="its training step was another program"):
        fit(scaled(3.0), tmp_path)
    assert fit(scaled(2.0), tmp_path).epochs == EPOCHS


def test_other_first_weights_are_another_run(tmp_path: Path) -> None:
    broken(tmp_path)
    model = make(layers=[pc.Dense(8, "relu", inputs=2), pc.Dropout(0.25), pc.Dense(1, "sigmoid")])
    with pytest.raises(ArgumentError, match=r"inputs was None, and is 2"):
        fit(model, tmp_path)
    model = make()
    model.predict(X)
    model.params["W1"][...] = 0.5
    before = model._numbers.copy()
    with pytest.raises(ArgumentError, match="weights are not those that it began with"):
        fit(model, tmp_path)
    assert model._numbers.equals(before)


def test_callbacks_that_are_missing_are_named(tmp_path: Path) -> None:
    broken(tmp_path, callbacks=[EarlyStopping("loss", patience=9)])
    with pytest.raises(ArgumentError, match="a callback EarlyStopping, which is not among"):
        fit(make(), tmp_path)
    more = [Spy(), EarlyStopping("loss", patience=9), Spy()]
    assert fit(make(), tmp_path, callbacks=more).epochs == EPOCHS


def test_a_run_is_never_written_over(tmp_path: Path) -> None:
    fit(make(), tmp_path)
    before = photo(tmp_path)
    with pytest.raises(ArgumentError, match=r"(?s)there is a run in .*resume=True goes on"):
        fit(make(), tmp_path, resume=False)
    assert photo(tmp_path) == before
    (tmp_path / "run.json").unlink()
    with pytest.raises(ArgumentError, match="checkpoints, but no run"):
        fit(make(), tmp_path, resume=False)


REFUSED: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "resume alone": ({"resume": True}, ArgumentError, "resume needs the folder"),
    "every alone": ({"checkpoint_every": 2}, ArgumentError, "checkpoint_every needs the folder"),
    "a number": ({"checkpoint": 3}, DtypeError, "checkpoint is 3"),
    "no name": ({"checkpoint": ""}, DtypeError, "checkpoint is ''"),
    "every 0": ({"checkpoint": "x", "checkpoint_every": 0}, ArgumentError, "checkpoint_every is 0"),
    "every a text": ({"checkpoint": "x", "checkpoint_every": "1"}, ArgumentError, "is '1'"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_settings_that_cannot_be_meant(name: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    settings, kind, words = REFUSED[name]
    with pytest.raises(kind, match=words):
        fit(make(), **settings)
    assert not os.listdir(tmp_path)


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("mine")
    with pytest.raises(ArgumentError, match="is a file, not a folder"):
        fit(make(), tmp_path / "run")
    assert (tmp_path / "run").read_text() == "mine"


class Odd(pc.Callback):
    """A callback that keeps what no file can hold."""

    def kept(self) -> dict[str, Any]:
        return {"function": print}


def test_what_no_file_can_hold_is_refused_before_there_is_a_run(tmp_path: Path) -> None:
    model = make()
    with pytest.raises(ArgumentError, match="which a file cannot hold"):
        fit(model, tmp_path, callbacks=[Odd()])
    assert model._net is None and not (tmp_path / "run.json").exists()
    assert fit(model, tmp_path).epochs == EPOCHS  # the folder is free for another


# -- models of functions ---------------------------------------------------------------------------


def branches(call: Any, a: Any, b: Any) -> Any:
    both = pc.concatenate([call(pc.Dense(4, "tanh"), a), call(pc.Dense(3), b)], 1)
    return {"kind": call(pc.Dense(1), call(pc.Dropout(0.2), both)), "size": call(pc.Dense(1), both)}


def several(optimizer: Any = "adam") -> Any:
    return pc.Model(
        branches, inputs={"a": 1, "b": 1}, loss={"kind": "bce_logits", "size": "mse"}, seed=3,
        optimizer=optimizer,
    )  # fmt: skip


def doubled(x: Any) -> Any:
    return 2.0 * x


def of_functions() -> Any:
    layers = [pc.Dense(4, doubled, inputs=2), pc.Dropout(0.2), pc.Dense(1, "sigmoid")]
    return make(layers=layers, loss=lambda p, y: pc.mean((p - y) ** 2), metrics=[])


FUNCTIONS: dict[str, tuple[Callable[[], Any], dict[str, Any]]] = {
    "of several inputs": (
        several, {"X": {"a": X[:, :1], "b": X[:, 1:]}, "y": {"kind": Y, "size": X[:, :1]}}),
    "with its own functions": (of_functions, {}),
}  # fmt: skip


@BACKENDS
@pytest.mark.parametrize("name", FUNCTIONS)
def test_models_of_functions_are_kept_by_their_numbers(
    name: str, backend: str, tmp_path: Path
) -> None:
    """And are the same ones where they train by the same program."""
    build, data = FUNCTIONS[name]
    whole, spy = build(), Spy()
    history = fit(whole, backend=backend, callbacks=[spy], **data)
    broken(tmp_path, model=build(), backend=backend, callbacks=[Spy()], **data)
    model = build()
    found = fit(model, tmp_path, backend="auto", callbacks=[Spy()], **data)
    assert same(model, whole) and dict(found) == dict(history)
    with pytest.warns(TrainingWarning, match="no model"), pytest.raises(DataError, match="model="):
        pc.Run(tmp_path).at(5)
    run = pc.Run(tmp_path, model=build())
    for step in spy.seen:
        assert run.at(step)._numbers.equals(spy.seen[step])
    twin = build()
    assert set(twin.load_weights(tmp_path / "model.safetensors").loaded) == set(whole.params)
    assert all(np.array_equal(twin.params[k], whole.params[k]) for k in whole.params)


def test_a_model_that_has_seen_no_data_opens_a_run(tmp_path: Path) -> None:
    def build() -> Any:
        net = lambda call, x: call(pc.Dense(1), call(pc.Dense(4, "tanh"), x))  # noqa: E731
        return pc.Model(net, loss="mse", seed=3)

    model = build()
    fit(model, tmp_path, epochs=3)
    unbuilt = build()
    found = pc.Run(tmp_path, model=unbuilt).at(model._numbers.steps)
    assert found._numbers.equals(model._numbers) and unbuilt._net is None


def test_another_function_is_another_run(tmp_path: Path) -> None:
    build, data = FUNCTIONS["of several inputs"]
    broken(tmp_path, model=build(), **data)
    with pytest.raises(ArgumentError, match=r"optimizer was 'Adam\(.*, and is 'SGD\("):
        fit(several("sgd"), tmp_path, **data)
    other = pc.Model(
        lambda call, a, b: {"kind": call(pc.Dense(1), a), "size": call(pc.Dense(1), b)},
        inputs={"a": 1, "b": 1}, loss={"kind": "bce_logits", "size": "mse"}, seed=3,
    )  # fmt: skip
    for use in (lambda: fit(other, tmp_path, **data), lambda: pc.Run(tmp_path, model=other)):
        with pytest.raises(ArgumentError, match="its training step was another program"):
            use()


def noisy(X: Any, y: Any, rng: Any) -> Any:
    return X + rng.normal(0, 0.1, X.shape), y


def test_samples_that_a_function_makes(tmp_path: Path) -> None:
    whole, spy = make(), Spy()
    history = fit(whole, augment=noisy, callbacks=[spy])
    broken(tmp_path, augment=noisy, callbacks=[Spy()])
    model = make()
    found = fit(model, tmp_path, augment=noisy, callbacks=[Spy()])
    assert same(model, whole) and dict(found) == dict(history)
    with pytest.raises(ArgumentError, match="augment was True, and is False"):
        fit(make(), tmp_path)
    run = pc.Run(tmp_path)
    with pytest.raises(ArgumentError, match=r"(?s)made other samples.*augment=function"):
        run.at(1)
    assert run.at(1, augment=noisy)._numbers.equals(spy.seen[1])
    with pytest.raises(DataError, match="computed again, is not what it was"):
        run.at(1, augment=lambda X, y, rng: (X, y))


def test_bad_data_leave_no_folder(tmp_path: Path) -> None:
    with pytest.raises(DataError):
        fit(make(), tmp_path / "run", X=np.full_like(X, np.nan))
    assert not (tmp_path / "run").exists()


# -- damage, and a disk that is full ---------------------------------------------------------------


def damage(path: Path, at: int = -3) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(bytes(content))


def last(run: Path) -> Path:
    return Folder(run).checkpoint(Folder(run).steps()[-1])


DAMAGES: dict[str, Callable[[Path], Any]] = {
    "a bit": lambda run: damage(last(run)),
    "the header": lambda run: damage(last(run), 30),
    "cut off": lambda run: last(run).write_bytes(last(run).read_bytes()[:-1]),
    "empty": lambda run: last(run).write_bytes(b""),
    "another file": lambda run: last(run).write_bytes(make(
        layers=[pc.Dense(2, inputs=2)], loss="mse").save(run / "x").read_bytes()),
    "all of them": lambda run: [damage(p) for p in Folder(run).checkpoints.iterdir()],
    "the log cut off": lambda run: (run / "history.jsonl").write_bytes(
        (run / "history.jsonl").read_bytes()[:-9]),
    "no log": lambda run: (run / "history.jsonl").unlink(),
    "a log of something else": lambda run: (run / "history.jsonl").write_text("3\n[]\n{}\n"),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_checkpoint_is_passed_over(name: str, tmp_path: Path) -> None:
    """From the one before, or from the beginning, the same weights come out."""
    whole, run = make(), tmp_path / "run"
    history = fit(whole)
    broken(run, epoch=3)
    DAMAGES[name](run)
    model = make()
    with pytest.warns(TrainingWarning, match="a checkpoint is passed over"):
        found = fit(model, run)
    assert same(model, whole) and dict(found) == dict(history)
    assert [row["epoch"] for row in Folder(run).log.read()] == [*range(1, EPOCHS + 1)]


def test_where_nothing_is_whole_the_model_must_be_at_its_beginning(tmp_path: Path) -> None:
    model = broken(tmp_path)
    DAMAGES["all of them"](tmp_path)
    with (
        pytest.warns(TrainingWarning, match="passed over"),
        pytest.raises(ArgumentError, match="no whole checkpoint"),
    ):
        fit(model, tmp_path)


@pytest.mark.parametrize(
    ("text", "words"),
    [("{", "cannot be read"), ('{"format": 9}', r"(?s)format 9.*--upgrade"), ("[]", "is no run")],
)
def test_a_run_that_cannot_be_read(text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(text)
    for use in (lambda: pc.Run(tmp_path), lambda: fit(make(), tmp_path)):
        with pytest.raises(DataError, match=words):
            use()
    assert (tmp_path / "run.json").read_text() == text


class Full(pc.Callback):
    """A disk that is full for some epochs."""

    def __init__(self, monkeypatch: Any, epochs: range) -> None:
        self.patch, self.epochs, self.flush = monkeypatch, epochs, os.fsync

    def on_epoch_begin(self, epoch: int, logs: Any) -> None:
        def full(handle: int) -> None:
            raise OSError(28, "No space left on device")

        self.patch.setattr(os, "fsync", full if epoch in self.epochs else self.flush)


@BACKENDS
def test_training_goes_on_where_the_disk_is_full(
    backend: str, tmp_path: Path, monkeypatch: Any
) -> None:
    whole, model = make(), make()
    history = fit(whole, backend=backend)
    with pytest.warns(TrainingWarning, match="No space left on device") as caught:
        found = fit(model, tmp_path, backend=backend, callbacks=[Full(monkeypatch, range(2, 4))])
    assert len([w for w in caught if w.category is TrainingWarning]) == 1
    assert same(model, whole) and dict(found) == dict(history)
    assert [row["epoch"] for row in Folder(tmp_path).log.read()] == [*range(1, EPOCHS + 1)]
    assert not list(tmp_path.rglob(f"*{files.LITTER}"))
    assert pc.Run(tmp_path).checkpoints == (0, 2, 4, 10, 12)


def test_a_run_broken_off_while_the_disk_was_full_goes_on(tmp_path: Path, monkeypatch: Any) -> None:
    whole, model = make(), make()
    history = fit(whole)
    with pytest.warns(TrainingWarning, match="No space left"):
        broken(tmp_path, epoch=4, callbacks=[Full(monkeypatch, range(2, 9))])
    monkeypatch.undo()
    assert pc.Run(tmp_path).checkpoints == (0, 2, 4)  # the old ones are whole
    found = fit(model, tmp_path)
    assert same(model, whole) and dict(found) == dict(history)


@FORKS
def test_a_real_limit_of_the_system(tmp_path: Path) -> None:
    """Files may not be longer than so: a part of each is written, and the rest refused."""
    code = """
        import resource, sys, warnings
        sys.path.insert(0, sys.argv[2])
        import test_keeping as t
        import pellucid as pc

        class Limit(pc.Callback):
            def on_epoch_begin(self, epoch, logs):
                if epoch == 2:
                    resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500))

        warnings.simplefilter("always")
        with warnings.catch_warnings(record=True) as caught:
            model = t.make()
            t.fit(model, sys.argv[1], callbacks=[Limit()])
        whole = t.make()
        t.fit(whole)
        assert t.same(model, whole)
        print(len(caught), caught[0].message)
    """
    told = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path), str(Path(__file__).parent)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert told.returncode == 0, told.stderr
    assert "cannot be kept" in told.stdout and "File too large" in told.stdout
    assert not list(tmp_path.rglob(f"*{files.LITTER}"))
    whole, model = make(), make()
    fit(whole)
    fit(model, tmp_path)
    assert same(model, whole)


@FORKS
def test_a_run_goes_on_where_the_disk_is_full(tmp_path: Path) -> None:
    """Not a byte can be written, the lock's not either: it is trained to the end all the same."""
    code = """
        import resource, sys, warnings
        sys.path.insert(0, sys.argv[2])
        import test_keeping as t

        resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            model = t.make()
            t.fit(model, sys.argv[1])
        whole = t.make()
        t.fit(whole)
        assert t.same(model, whole)
        assert len(caught) == 1 and "cannot be kept" in str(caught[0].message)
    """
    broken(tmp_path)
    before = photo(tmp_path)
    told = subprocess.run(
        [sys.executable, "-B", "-c", textwrap.dedent(code), str(tmp_path),
         str(Path(__file__).parent)], stderr=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    assert told.returncode == 0, told.stderr
    assert photo(tmp_path) == before
    whole, model = make(), make()
    fit(whole)
    fit(model, tmp_path)
    assert same(model, whole)


def test_a_folder_that_goes_away_is_no_end(tmp_path: Path) -> None:
    class Gone(pc.Callback):
        def on_epoch_end(self, epoch: int, logs: Any) -> None:
            if epoch == 1:
                for path in sorted(tmp_path.rglob("*"), reverse=True):
                    path.rmdir() if path.is_dir() else path.unlink()

    whole, model = make(), make()
    fit(whole)
    with pytest.warns(TrainingWarning, match="cannot be kept"):
        fit(model, tmp_path, callbacks=[Gone()])
    assert same(model, whole)


def test_a_run_that_cannot_begin_to_be_kept_is_an_error(tmp_path: Path, monkeypatch: Any) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    model = make()
    with pytest.raises(OSError, match="No space left"):
        fit(model, tmp_path)
    assert model._net is None and not (tmp_path / "run.json").exists()
    monkeypatch.undo()
    assert fit(model, tmp_path).epochs == EPOCHS


@FORKS
@pytest.mark.parametrize("stage", range(1, 6))
def test_a_kill_while_the_folder_is_made(stage: int, tmp_path: Path) -> None:
    """At each of the first flushes and renames, before there is a checkpoint."""
    code = """
        import os, signal, sys
        sys.path.insert(0, sys.argv[2])
        import test_keeping as t
        left = [int(sys.argv[3])]

        def deadly(function):
            def called(*given):
                left[0] -= 1
                if not left[0]:
                    os.kill(os.getpid(), signal.SIGKILL)
                return function(*given)
            return called

        os.fsync, os.replace = deadly(os.fsync), deadly(os.replace)
        t.fit(t.make(), sys.argv[1])
    """
    arguments = [str(tmp_path), str(Path(__file__).parent), str(stage)]
    told = subprocess.run([sys.executable, "-c", textwrap.dedent(code), *arguments], check=False)
    assert told.returncode == -signal.SIGKILL
    whole, model = make(), make()
    history = fit(whole)
    found = fit(model, tmp_path)
    assert same(model, whole) and dict(found) == dict(history)
    assert not list(tmp_path.rglob(f"*{files.LITTER}"))
    assert same(pc.Run(tmp_path).at(EPOCHS * STEPS), whole)


# -- what stands in the folder ---------------------------------------------------------------------


def test_the_folder_can_be_read_without_this_library(tmp_path: Path) -> None:
    model = make()
    history = fit(model, tmp_path, validation_split=0.2, class_weight={0: 1.0, 1: 2.0})
    told = json.loads((tmp_path / "run.json").read_text())
    assert told["backend"] == "numpy" and told["settings"]["batch_size"] == 32
    assert told["model"]["layers"][0]["units"] == 8 and told["model"]["seed"] == 5
    assert told["preparing"] == {"validation_split": 0.2, "class_weight": [[0, 1.0], [1, 2.0]]}
    assert set(told["versions"]) == {"pellucid", "numpy", "python", "system"}
    assert told["data"]["X"]["shape"] == [48, 2] and len(told["data"]["X"]["sha256"]) == 64
    rows = [json.loads(line) for line in (tmp_path / "history.jsonl").read_text().splitlines()]
    assert [row["logs"]["val_loss"] for row in rows] == history["val_loss"]
    assert [row["step"] for row in rows] == [2, 4, 6, 8, 10, 12]
    kept = sorted(os.listdir(tmp_path))
    assert kept == ["checkpoints", "data.safetensors", "history.jsonl", "lock",
                    "model.safetensors", "run.json"]  # fmt: skip
    assert same(pc.load(tmp_path / "model.safetensors"), model)
    assert same(pc.load(last(tmp_path)), model)


def test_values_that_are_no_numbers_are_kept(tmp_path: Path) -> None:
    log = Folder(tmp_path).log
    logs = {"a": float("nan"), "b": float("inf"), "c": -float("inf"), "d": 0.1}
    columns: dict[str, list[float]] = {"step": [2], "seconds": [0.5]}
    log.append(0, columns, {1: {"digest": "abc"}}, {name: [x] for name, x in logs.items()})
    text = (tmp_path / "history.jsonl").read_text()
    json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    (row,) = Folder(tmp_path).log.read()
    assert row["digest"] == "abc" and (row["step"], row["seconds"]) == (2, 0.5)
    assert np.array_equal([*row["logs"].values()], [*logs.values()], equal_nan=True)


def test_checkpoints_are_few_and_lie_evenly(tmp_path: Path, monkeypatch: Any) -> None:
    fit(make(), tmp_path, epochs=100)
    steps = pc.Run(tmp_path).checkpoints
    assert len(steps) == folder.MOST and steps[0] == 0 and steps[-2:] == (198, 200)
    gaps = np.diff(steps)
    assert gaps.max() <= 3 * 200 / folder.MOST, gaps
    monkeypatch.setattr(folder, "ROOM", 1)  # of models that are large, few are kept
    fit(make(), tmp_path, epochs=101)
    assert len(pc.Run(tmp_path).checkpoints) == folder.FEWEST


def test_how_often_it_is_saved(tmp_path: Path, monkeypatch: Any) -> None:
    fit(make(), tmp_path / "a", epochs=9, checkpoint_every=4)
    assert pc.Run(tmp_path / "a").checkpoints == (0, 8, 16, 18)
    monkeypatch.setattr("pellucid.keeping.keeper.SPACING", 1e9)
    fit(make(), tmp_path / "b", epochs=9, checkpoint_every=None)
    assert pc.Run(tmp_path / "b").checkpoints == (0, 18)  # the beginning, and the end
    assert pc.Run(tmp_path / "b").history.epochs == 9


@pytest.mark.skipif(bool(jit.available()), reason="Numba is not to be had")
def test_compiled_epochs_still_run_together(tmp_path: Path) -> None:
    """A run that is kept every now and then looks on: it does not make each epoch a call."""
    calls = 0

    class Watch(pc.Callback):
        watches = True

        def due(self, start: int, stop: int) -> Any:
            nonlocal calls
            calls += 1
            return (stop - 1,)

        def on_epoch_end(self, epoch: int, logs: Any) -> None:
            pass

    fit(make(), tmp_path, epochs=3000, backend="numba", checkpoint_every=None, callbacks=[Watch()])
    assert calls < 1500 and pc.Run(tmp_path).history.epochs == 3000


# -- time travel -----------------------------------------------------------------------------------


@BACKENDS
@pytest.mark.parametrize("name", MODELS)
def test_the_model_of_every_step_is_exact(name: str, backend: str, tmp_path: Path) -> None:
    """Within epochs, too; with its optimizer's state. Most of them are computed again."""
    model, spy = MODELS[name](), Spy()
    fit(model, tmp_path, backend=backend, checkpoint_every=4, callbacks=[spy], batch_size=16,
        validation_split=0.2)  # fmt: skip
    run = pc.Run(tmp_path)
    assert (run.first, run.last) == (0, 18) and len(run.checkpoints) == 3
    for step, numbers in spy.seen.items():
        found = run.at(step)
        assert found._numbers.equals(numbers) and found._numbers.steps == step, step
        assert found._numbers.epochs == step // 3 and found.frozen == model.frozen
    assert run.at(0)._numbers.steps == 0 and same(run.at(run.last), model)


def test_a_model_of_the_past_goes_on_as_the_run_did(tmp_path: Path) -> None:
    model = make()
    history = fit(model, tmp_path, checkpoint_every=3)
    past = pc.Run(tmp_path).at(2 * STEPS)
    assert past.history is not None and past.history["loss"] == history["loss"][:2]
    fit(past, epochs=EPOCHS - 2)
    assert same(past, model)


class Lower(pc.Callback):
    """Lower the learning rate after an epoch."""

    def on_epoch_end(self, epoch: int, logs: Any) -> None:
        if epoch == 2:
            self.model.learning_rate = 0.001


class Meddle(pc.Callback):
    """Change the model by hand after an epoch."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def on_epoch_end(self, epoch: int, logs: Any) -> None:
        if epoch == self.epoch:
            self.model.params["W1"][...] += 0.25


@BACKENDS
def test_a_rate_that_a_callback_sets_is_set_again(backend: str, tmp_path: Path) -> None:
    spy = Spy()
    fit(make(), tmp_path, backend=backend, checkpoint_every=100, callbacks=[Lower(), spy])
    run = pc.Run(tmp_path)
    assert len(run.checkpoints) == 2
    for step, numbers in spy.seen.items():
        assert run.at(step)._numbers.equals(numbers), step


def test_what_a_callback_did_by_hand_is_noticed(tmp_path: Path) -> None:
    """What can be had exactly is had; the rest is refused, and never merely close."""
    spy = Spy()
    fit(make(), tmp_path / "a", checkpoint_every=100, callbacks=[Meddle(3), spy])
    run = pc.Run(tmp_path / "a")
    for step in range(3 * STEPS + 1):
        assert step == 0 or run.at(step)._numbers.equals(spy.seen[step])
    for step in range(3 * STEPS + 1, 6 * STEPS):
        with pytest.raises(DataError, match=r"(?s)epoch 4, computed again, is not what it was"):
            run.at(step)
    assert run.at(6 * STEPS)._numbers.equals(spy.seen[6 * STEPS])  # kept
    fit(make(), tmp_path / "b", checkpoint_every=1, callbacks=[Meddle(3), spy])
    for step in (*range(1, 3 * STEPS + 1), *range(4 * STEPS, 6 * STEPS + 1)):
        assert pc.Run(tmp_path / "b").at(step)._numbers.equals(spy.seen[step])


@BACKENDS
def test_a_branch_trains_on_in_another_way_and_knows_where_it_is_from(
    backend: str, tmp_path: Path
) -> None:
    fit(make(), tmp_path / "a", backend=backend)
    run = pc.Run(tmp_path / "a")
    branch = run.branch(4 * STEPS, learning_rate=0.3)
    assert branch.learning_rate == 0.3 and branch._numbers.state["m"].any()
    whole = run.branch(4 * STEPS, learning_rate=0.3)
    fit(whole, epochs=3, backend=backend)
    broken(tmp_path / "b", epoch=1, model=branch, epochs=3, backend=backend)
    again = run.branch(4 * STEPS, learning_rate=0.3)
    fit(again, tmp_path / "b", epochs=3, backend="auto")
    assert same(again, whole)
    found = pc.Run(tmp_path / "b")
    assert found.parent == {"run": str((tmp_path / "a").resolve()), "step": 4 * STEPS}
    assert (found.first, found.last) == (4 * STEPS, 7 * STEPS) and same(found.at(found.last), whole)
    line = found.lineage()
    assert line["loss"] == [*run.history["loss"][:4], *found.history["loss"]]
    assert run.parent is None and dict(run.lineage()) == dict(run.history)
    other = run.branch(4 * STEPS, optimizer="sgd", learning_rate=pc.Cosine(0.1, steps=5))
    assert other.optimizer == pc.SGD(pc.Cosine(0.1, steps=5))


def test_only_what_begins_at_the_branch_is_its_branch(tmp_path: Path) -> None:
    fit(make(), tmp_path / "a")
    branch = pc.Run(tmp_path / "a").branch(6, learning_rate=0.1)
    fit(branch, tmp_path / "b", epochs=2)
    fit(branch, tmp_path / "c", epochs=2)  # goes on from there
    assert pc.Run(tmp_path / "b").parent is not None
    found = pc.Run(tmp_path / "c")
    assert found.parent is None and found.first == 10 and found.lineage().epochs == 2
    twice = pc.Run(tmp_path / "b").branch(8, learning_rate=0.2)
    fit(twice, tmp_path / "d", epochs=3)
    line = pc.Run(tmp_path / "d").lineage()
    parts = [pc.Run(tmp_path / name).history["loss"] for name in "abd"]
    assert line["loss"] == [*parts[0][:3], *parts[1][:1], *parts[2]]


def test_histories_of_several_runs_lie_in_one_plot(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    fit(make(), tmp_path / "a")
    run = pc.Run(tmp_path / "a")
    fit(run.branch(6, learning_rate=0.1), tmp_path / "b", epochs=4)
    lines = {"first": run.history, "branch": pc.Run(tmp_path / "b").lineage()}
    axes = pc.plot.history(lines, "loss")
    assert [len(line.get_xdata()) for line in axes.get_lines()] == [6, 7]
    assert axes.get_legend_handles_labels()[1] == ["first, train", "branch, train"]
    pc.plot.canvas.library().pyplot.close("all")


PREPARED: dict[str, dict[str, Any]] = {
    "plain": {},
    "weights": {"sample_weight": np.linspace(0.5, 2, 60)},
    "classes": {"class_weight": {0: 1.0, 1: 3.0}},
    "a split": {"validation_split": 0.25},
    "validation": {"validation_data": (X[:10], Y[:10])},
    "turned": {"X": np.asfortranarray(X, np.float32), "batch_size": None},
}


@BACKENDS
@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("name", PREPARED)
def test_samples_are_kept_or_given(
    name: str, kept: bool, backend: str, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.setattr(facts, "LARGEST", 10**6 if kept else 100)
    settings, spy = PREPARED[name], Spy()
    fit(make(), tmp_path, checkpoint_every=100, callbacks=[spy], backend=backend, **settings)
    run, half = pc.Run(tmp_path), max(spy.seen) // 2
    assert (tmp_path / "data.safetensors").exists() is kept
    if not kept:
        with pytest.raises(ArgumentError, match=r"(?s)samples are not kept.*run.at\(step, X, y\)"):
            run.at(half)
        with pytest.raises(DataError, match="X has other values now"):
            run.at(half, X + 1, Y, **weights_of(settings))
    given = (settings.get("X", X), Y)
    assert run.at(half, *given, **weights_of(settings))._numbers.equals(spy.seen[half])
    if kept:
        assert run.at(half)._numbers.equals(spy.seen[half])


def weights_of(settings: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in settings.items() if k in ("sample_weight", "validation_data")}


def test_damage_is_noticed_on_the_way_back(tmp_path: Path) -> None:
    spy = Spy()
    fit(make(), tmp_path, callbacks=[spy])
    damage(last(tmp_path))
    with pytest.warns(TrainingWarning, match="passed over"):
        found = pc.Run(tmp_path).at(EPOCHS * STEPS)
    assert found._numbers.equals(spy.seen[EPOCHS * STEPS])
    damage(tmp_path / "data.safetensors")
    with pytest.raises(DataError, match="not the run's data"):
        pc.Run(tmp_path).at(3)
    DAMAGES["all of them"](tmp_path)
    damage(last(tmp_path))  # whole again
    damage(Folder(tmp_path).checkpoint(0))
    damage(Folder(tmp_path).checkpoint(0), -4)
    with (
        pytest.warns(TrainingWarning, match="passed over"),
        pytest.raises(DataError, match="no whole checkpoint up to step 1"),
    ):
        pc.Run(tmp_path).at(1)


@pytest.mark.parametrize(
    ("step", "words"), [(13, "one from 0 to 12"), (-1, "step is -1"), (1.5, "step is 1.5"),
                        (True, "step is True"), ("3", "step is '3'")]
)  # fmt: skip
def test_steps_that_are_not_there(step: Any, words: str, tmp_path: Path) -> None:
    fit(make(), tmp_path)
    with pytest.raises(ArgumentError, match=words):
        pc.Run(tmp_path).at(step)


def test_where_there_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"(?s)there is no run in .*keeps one"):
        pc.Run(tmp_path / "nowhere")
    fit(make(), tmp_path)
    assert repr(pc.Run(tmp_path)).startswith("<Run ")
    assert "6 epochs, steps 0 to 12, 7 checkpoints" in repr(pc.Run(tmp_path))


def test_layers_of_ones_own(tmp_path: Path) -> None:
    from test_checkpoint import Scale

    layers = [Scale(2.0), pc.Dense(4, "relu"), pc.Dense(1, "sigmoid")]
    model = make(layers=layers)
    fit(model, tmp_path)
    with warnings.catch_warnings(), pytest.raises(DataError, match="no whole checkpoint"):
        warnings.simplefilter("ignore", TrainingWarning)
        pc.Run(tmp_path).at(3)
    run = pc.Run(tmp_path, custom={"Scale": Scale})
    assert same(run.at(run.last), model)
