"""Which backend a run takes, and what is said of it."""

import os
import subprocess
import sys

import numpy as np
import pytest

import pellucid as pc

SCRIPT = """
import pellucid as pc
from pellucid.backends import _mark
model = pc.Sequential(
    [pc.Dense(4, "tanh", inputs=2), pc.Dense(1, "sigmoid")], loss="bce", metrics=["accuracy"]
)
print(_mark(model._blueprint(), False, 0, 4))
"""


def test_a_program_is_known_again_in_another_process() -> None:
    """The mark of a model's program holds no address: the next process finds it on the disk."""
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    marks = {
        subprocess.run(
            [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, env=env
        ).stdout
        for _ in range(2)
    }
    assert len(marks) == 1 and len(marks.pop().strip()) == 32


def test_a_small_job_is_left_to_numpy_and_says_so() -> None:
    X, y = pc.data.xor()
    model = pc.Sequential([pc.Dense(4, "tanh"), pc.Dense(1, "sigmoid")], loss="bce")
    history = model.fit(X, y, epochs=2, verbose=0)
    assert history.backend == "numpy" and "small" in history.backend.why


def test_a_long_job_is_compiled(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("numba", reason="nothing is compiled without Numba")
    X, y = pc.data.xor()
    model = pc.Sequential([pc.Dense(4, "tanh"), pc.Dense(1, "sigmoid")], loss="bce")
    history = model.fit(X, y, epochs=300_000, batch_size=None, verbose=2, print_every=300_000)
    assert history.backend == "numba" and "300,000 steps" in history.backend.why
    assert capsys.readouterr().out.startswith("backend numba: 300,000 steps take about")
    assert np.isfinite(history["loss"]).all() and history.epochs == 300_000


def test_without_numba_numpy_runs_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    from pellucid import jit

    monkeypatch.setattr(jit, "available", lambda: "Numba is not installed: pip install numba")
    X, y = pc.data.moons(200)
    model = pc.Sequential([pc.Dense(16, "tanh"), pc.Dense(1, "sigmoid")], loss="bce")
    history = model.fit(X, y, epochs=60, batch_size=8, verbose=0)
    assert history.backend == "numpy" and "pip install numba" in history.backend.why
    with pytest.raises(pc.ArgumentError, match="pip install numba"):
        model.fit(X, y, epochs=1, verbose=0, backend="numba")


def test_a_text_that_does_not_compile_is_left_to_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("numba", reason="nothing is compiled without Numba")
    from pellucid import jit

    def refused(unit: object) -> None:
        raise jit.CompileError("this cannot be compiled")

    monkeypatch.setattr(jit, "compiled", refused)
    X, y = pc.data.xor()
    model = pc.Sequential([pc.Dense(5, "tanh"), pc.Dense(1, "sigmoid")], loss="bce")
    model.fit(X, y, epochs=1, verbose=0)
    from pellucid.backends import chosen
    from pellucid.batches import Batch

    data = Batch(np.asarray(X, "f4"), np.asarray(y, "f4").reshape(-1, 1))
    how, machine = chosen("auto", model._steps(), data, 4, 10**7, None)
    assert how == "numpy" and "cannot be compiled" in how.why and machine is None


def test_what_a_callback_wrote_is_not_lost_by_a_replay() -> None:
    pytest.importorskip("numba", reason="nothing is compiled without Numba")
    X, y = np.ones((4, 1)), np.ones((4, 1))
    told: list[int] = []

    class Rewrites(pc.Callback):
        def on_epoch_end(self, epoch: int, logs: object) -> None:
            self.model.params["b1"][:] = 7.0 if epoch < 5 else np.nan

        def on_batch_end(self, batch: int, logs: object) -> None:
            told.append(batch)

    model = pc.Sequential([pc.Dense(1)], loss="mse", optimizer=pc.SGD(0.01), dtype="float64")
    with pytest.raises(pc.NonFiniteError, match=r"b1\[0\] = nan, as it was before"):
        model.fit(X, y, epochs=9, batch_size=4, verbose=0, backend="numba", callbacks=[Rewrites()])
    assert len(told) == 6  # the seventh step failed


def test_names_of_the_float_mode_hide_nothing() -> None:
    pytest.importorskip("numba", reason="nothing is compiled without Numba")

    def mode(p: pc.Node, y: pc.Node) -> pc.Node:
        return pc.mean(p - y)

    X, y = pc.data.moons(40)
    model = pc.Sequential([pc.Dense(1, "sigmoid")], loss="bce", metrics=[mode])
    history = model.fit(X, y, epochs=2, verbose=0, backend="numba")
    assert len(history["mode"]) == 2


def test_an_unknown_backend_of_predict_is_named() -> None:
    model = pc.Sequential([pc.Dense(1, inputs=1)])
    with pytest.raises(pc.ArgumentError, match="numppy"):
        model.predict([[1.0]], backend="numppy")


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_an_infinite_gradient_is_seen_though_the_step_is_finite(backend: str) -> None:
    """The optimizer takes signs, so that only the gradient itself tells."""
    if backend == "numba":
        pytest.importorskip("numba", reason="nothing is compiled without Numba")

    class Signs(pc.Optimizer):
        learning_rate = 0.1

        def update(self, p, g, state, t, learning_rate):  # type: ignore[no-untyped-def]
            return p - learning_rate * pc.sign(g), {}

    model = pc.Sequential(
        [pc.Dense(1, bias=False, init="zeros")],
        loss=lambda p, y: pc.mean(pc.sqrt(p)) + 0 * pc.mean(y),
        optimizer=Signs(),
        dtype="float64",
    )
    with pytest.raises(pc.NonFiniteError, match="at step 1"):
        model.fit(np.ones((2, 1)), np.ones((2, 1)), epochs=2, verbose=0, backend=backend)
    assert model.params["W1"][0, 0] == 0
