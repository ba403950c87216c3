"""What is trained: networks, their data, the weights all start from, and the loss of a result.

The loss is computed here, in float64, from the weights that a contestant hands back: so none can
win by not working.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from bench.choices import CHOICES

Array = Any  # NumPy is imported where arrays are made: the process that only waits needs none
Weights = list[tuple[Array, Array]]

DIGITS = Path(__file__).parent.parent / "src" / "pellucid" / "data" / "digits.npz"


@dataclass(frozen=True)
class Job:
    """A network, how it is trained, and on how many rows."""

    key: str
    sizes: tuple[int, ...]
    batch: int
    rows: int
    optimizer: str  # a key of CHOICES
    learning_rate: float
    hidden: str = "relu"
    loss: str = "cce"  # softmax and cross-entropy; "mse" is a sigmoid and the squared error
    dtype: str = "float32"
    shuffle: bool = True

    @property
    def batches(self) -> int:
        return -(-self.rows // self.batch)

    @property
    def parameters(self) -> int:
        pairs = zip(self.sizes, self.sizes[1:], strict=False)
        return sum((inputs + 1) * outputs for inputs, outputs in pairs)

    @property
    def title(self) -> str:
        shape = "-".join(map(str, self.sizes))
        if self.batch >= self.rows:
            amount = f"{self.rows} rows" + ("" if self.shuffle else ", nobody shuffles")
        else:
            amount = f"batch {self.batch}"
        return f"{shape}, {amount}, {CHOICES[self.optimizer].title}"

    @property
    def products(self) -> list[tuple[int, int, int]]:
        """The matrix products of a step, (n, k, m) for (n, k) @ (k, m): forward, dW, dX."""
        n, found = self.batch, []
        for layer, (k, m) in enumerate(zip(self.sizes, self.sizes[1:], strict=False)):
            found += [(n, k, m), (k, n, m)] + [(n, m, k)] * (layer > 0)
        return found

    @property
    def flops(self) -> int:
        return sum(2 * n * k * m for n, k, m in self.products)


XOR = Job("xor", (2, 4, 1), 4, 4, "sgd", 2.0, "sigmoid", "mse")
JOBS = {
    job.key: job
    for job in [
        XOR,
        replace(XOR, key="xor-full", shuffle=False),
        Job("spiral", (2, 100, 3), 10, 300, "sgd", 0.1),
        Job("adam20", (20, 40, 40, 4), 48, 1920, "adam", 1e-3),
        Job("adam64", (64, 128, 64, 10), 32, 2048, "adam", 1e-3),
        Job("adam30", (30, 64, 32, 2), 256, 4096, "adam", 1e-3),
        Job("adam784", (784, 512, 512, 10), 128, 2048, "adam", 1e-3),
        Job("adam2048", (784, 2048, 2048, 10), 1024, 4096, "adam", 1e-4),
    ]
}
NOTES = {
    "xor": "All four rows are one batch. The target has JAX shuffle and gather all the same, and "
    "so do the others here; `fit` leaves a full batch as it is. In `xor-full` nobody shuffles.",
    "xor-full": "The network `xor` without shuffling or gathering, for anyone.",
}
SMALL = Job("digits", (64, 64, 10), 32, 1797, "adam", 1e-3)  # the small job of the cold starts


def from_json(settings: dict[str, Any]) -> Job:
    return Job(**settings | {"sizes": tuple(settings["sizes"])})


# -- data ----------------------------------------------------------------------------------------


def data(job: Job) -> tuple[Array, Array]:
    """Return X (rows, features), and targets: values (rows, 1) or class numbers (rows,)."""
    import numpy as np

    if job.loss == "mse":
        X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], job.dtype)
        return X, np.array([[0], [1], [1], [0]], job.dtype)
    if job.key.startswith("digits"):
        with np.load(DIGITS) as found:
            return (found["X"] / 16).astype(job.dtype), found["y"].astype(np.int64)
    rng = np.random.default_rng(1)
    if job.key.startswith("spiral"):
        return _spiral(job, rng)
    X = rng.standard_normal((job.rows, job.sizes[0]), np.float32)
    teacher = rng.standard_normal((job.sizes[0], job.sizes[-1]), np.float32)
    y = (X @ teacher).argmax(axis=1)
    # A fifth is noise: the loss stays well above 0, and no gradient becomes a subnormal number.
    noise = rng.random(job.rows) < 0.2
    y[noise] = rng.integers(0, job.sizes[-1], noise.sum())
    return X.astype(job.dtype), y.astype(np.int64)


def _spiral(job: Job, rng: Any) -> tuple[Array, Array]:
    import numpy as np

    arms, each = job.sizes[-1], job.rows // job.sizes[-1]
    radius = np.tile(np.linspace(0.0, 1.0, each), arms)
    y = np.repeat(np.arange(arms), each)
    angle = 4 * radius + 2 * np.pi * y / arms + 0.2 * rng.standard_normal(arms * each)
    X = np.stack([radius * np.sin(angle), radius * np.cos(angle)], axis=1)
    return X.astype(job.dtype), y.astype(np.int64)


def initial(job: Job) -> Weights:
    """Return the weights W (inputs, outputs) and biases b (outputs,) that all start from."""
    import numpy as np

    rng = np.random.default_rng(3)
    found = []
    for inputs, outputs in zip(job.sizes, job.sizes[1:], strict=False):
        scale = (2.0 / inputs) ** 0.5 if job.hidden == "relu" else 1.0
        W = rng.standard_normal((inputs, outputs)) * scale
        found.append((W.astype(job.dtype), np.zeros(outputs, job.dtype)))
    return found


# -- what came of it -----------------------------------------------------------------------------


def loss(job: Job, weights: Weights, X: Array, y: Array) -> float:
    """Return the loss on all rows."""
    import numpy as np

    z = _scores(job, weights, X)
    if job.loss == "mse":
        return float(np.mean((1 / (1 + np.exp(-z)) - y) ** 2))
    if z.shape[1] == 1:  # two classes by one score, as scikit-learn has it
        return float(np.mean(np.logaddexp(0, z[:, 0]) - y * z[:, 0]))
    z -= z.max(axis=1, keepdims=True)
    return float(np.mean(np.log(np.exp(z).sum(axis=1)) - z[np.arange(len(y)), y]))


def _scores(job: Job, weights: Weights, X: Array) -> Array:
    import numpy as np

    a = np.asarray(X, np.float64)
    for W, b in weights[:-1]:
        z = a @ np.asarray(W, np.float64) + b
        a = np.maximum(z, 0) if job.hidden == "relu" else 1 / (1 + np.exp(-z))
    W, b = weights[-1]
    return a @ np.asarray(W, np.float64) + b
