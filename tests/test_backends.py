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
