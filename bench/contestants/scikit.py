"""scikit-learn's multi-layer perceptron."""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from bench.jobs import Array, Job, Weights

warnings.simplefilter("ignore", ConvergenceWarning)


class Perceptron:
    """`MLPClassifier` without early stopping or penalty; two classes have one output there."""

    def __init__(self, job: Job, X: Array, y: Array, threads: int) -> None:
        self.X, self.y = X, y.astype(np.int64).ravel()
        self.notes = []
        if job.sizes[-1] <= 2:
            self.notes.append("two classes: one output with logistic loss, the only one it has")
        self.model = MLPClassifier(
            job.sizes[1:-1], activation="relu" if job.hidden == "relu" else "logistic",
            solver=job.optimizer, learning_rate_init=job.learning_rate, batch_size=job.batch,
            momentum=0.0, nesterovs_momentum=False, alpha=0.0, tol=0.0, n_iter_no_change=10**9,
            max_iter=1, warm_start=True, shuffle=job.shuffle, random_state=0,
        )  # fmt: skip
        self.model.fit(X, self.y)

    def prepare(self, epochs: int) -> None:
        """Nothing depends on the number of epochs."""

    def start_over(self, weights: Weights) -> None:
        outputs = self.model.coefs_[-1].shape[1]
        self.model.coefs_ = [W[:, :].copy() for W, _ in weights]
        self.model.intercepts_ = [b.copy() for _, b in weights]
        if outputs == 1 and weights[-1][0].shape[1] == 2:
            W, b = weights[-1]
            self.model.coefs_[-1] = np.ascontiguousarray(W[:, 1:] - W[:, :1])
            self.model.intercepts_[-1] = b[1:] - b[:1]

    def train(self, epochs: int) -> None:
        self.model.max_iter = epochs
        self.model.fit(self.X, self.y)

    def weights(self) -> Weights:
        return list(zip(self.model.coefs_, self.model.intercepts_, strict=True))

    def give(self, X: Array) -> None:
        self.rows = X

    def predict(self) -> None:
        self.model.predict_proba(self.rows)
