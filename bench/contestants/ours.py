"""pellucid through its public face: `fit` with shuffling, history, default callbacks, the guard."""

from __future__ import annotations

import contextlib

import pellucid as pc
from bench.choices import CHOICES
from bench.jobs import Array, Job, Weights

with contextlib.suppress(ImportError):  # part of what a first compiled run imports
    import numba  # noqa: F401
    import scipy.linalg.cython_blas  # noqa: F401


class Printed:
    """The NumPy backend."""

    backend = "numpy"

    def __init__(self, job: Job, X: Array, y: Array, threads: int) -> None:
        self.job, self.X, self.y, self.notes = job, X, y, list[str]()
        *hidden, outputs = job.sizes[1:]
        last, loss = ("sigmoid", "mse") if job.loss == "mse" else ("softmax", "cce")
        first = pc.Dense(hidden[0], job.hidden, inputs=job.sizes[0])
        layers = [first, *(pc.Dense(u, job.hidden) for u in hidden[1:]), pc.Dense(outputs, last)]
        optimizer = CHOICES[job.optimizer].ours(pc, job.learning_rate)
        self.model = pc.Sequential(layers, loss=loss, optimizer=optimizer, dtype=job.dtype, seed=0)

    def prepare(self, epochs: int) -> None:
        """Nothing depends on the number of epochs."""

    def start_over(self, weights: Weights) -> None:
        for layer, (W, b) in enumerate(weights, 1):
            self.model.params = {f"W{layer}": W, f"b{layer}": b}

    def train(self, epochs: int) -> None:
        try:
            self._fit(epochs)
        except pc.errors.PellucidError as refused:
            if self.backend == "numpy":
                raise
            first_line = str(refused).splitlines()[0]
            self.notes.append(
                f'backend="{self.backend}" refused, "numpy" used instead: {first_line}'
            )
            self.backend = "numpy"
            self._fit(epochs)

    def _fit(self, epochs: int) -> None:
        history = self.model.fit(
            self.X, self.y, epochs=epochs, batch_size=self.job.batch, shuffle=self.job.shuffle,
            verbose=0, backend=self.backend,
        )  # fmt: skip
        if history.backend != self.backend:
            note = f'backend="{self.backend}" asked for, history says "{history.backend}"'
            self.notes.append(note)
            self.backend = history.backend

    def weights(self) -> Weights:
        p = self.model.params
        return [(p[f"W{k}"], p[f"b{k}"]) for k in range(1, len(self.job.sizes))]

    def give(self, X: Array) -> None:
        self.rows = X

    def predict(self) -> None:
        self.model.predict(self.rows)


class Compiled(Printed):
    """The compiled backend, or NumPy's where there is none (a note says so)."""

    backend = "numba"


class Unasked(Printed):
    """What a person gets who says nothing."""

    backend = "auto"

    def _fit(self, epochs: int) -> None:
        self.model.fit(self.X, self.y, epochs=epochs, batch_size=self.job.batch, verbose=0)
