"""NumPy by hand: straightforward, with what costs little trouble and saves time."""

from __future__ import annotations

import numpy as np

from bench.jobs import Array, Job, Weights


class ByHand:
    """Backpropagation as a person writes it, the optimizer in place."""

    def __init__(self, job: Job, X: Array, y: Array, threads: int) -> None:
        self.job, self.X, self.notes = job, X, list[str]()
        self.Y = y if job.loss == "mse" else np.eye(job.sizes[-1], dtype=job.dtype)[y]
        self.rng, self.t = np.random.default_rng(0), 0
        self.params: list[Array] = []

    def prepare(self, epochs: int) -> None:
        """Nothing depends on the number of epochs."""

    def start_over(self, weights: Weights) -> None:
        fresh = not self.params
        self.params = [array.copy() for pair in weights for array in pair]
        if fresh:
            self.m = [np.zeros_like(p) for p in self.params]
            self.v = [np.zeros_like(p) for p in self.params]

    def train(self, epochs: int) -> None:
        size = self.job.batch
        for _ in range(epochs):
            if not self.job.shuffle:
                self._step(self.X, self.Y)
                continue
            order = self.rng.permutation(len(self.X))
            for start in range(0, len(order), size):
                index = order[start : start + size]
                self._step(self.X[index], self.Y[index])

    def _step(self, X: Array, Y: Array) -> float:
        activations = self._forward(X)
        a = activations[-1]
        if self.job.loss == "mse":
            loss = np.mean((a - Y) ** 2)
            d = (2 / Y.size) * (a - Y) * a * (1 - a)
        else:
            loss = -np.mean(np.log((a * Y).sum(axis=1) + 1e-12))
            d = (a - Y) / len(X)
        self._update(self._backward(activations, d))
        return float(loss)

    def _forward(self, X: Array) -> list[Array]:
        found = [X]
        last = len(self.params) - 2
        for k in range(0, len(self.params), 2):
            z = found[-1] @ self.params[k]
            z += self.params[k + 1]
            found.append(self._output(z) if k == last else self._hidden(z))
        return found

    def _hidden(self, z: Array) -> Array:
        return np.maximum(z, 0, out=z) if self.job.hidden == "relu" else 1 / (1 + np.exp(-z))

    def _output(self, z: Array) -> Array:
        if self.job.loss == "mse":
            return 1 / (1 + np.exp(-z))
        z -= z.max(axis=1, keepdims=True)
        np.exp(z, out=z)
        z /= z.sum(axis=1, keepdims=True)
        return z

    def _backward(self, activations: list[Array], d: Array) -> list[Array]:
        grads: list[Array] = []
        for k in range(len(self.params) - 2, -1, -2):
            a = activations[k // 2]
            grads[:0] = [a.T @ d, d.sum(axis=0)]
            if k:
                d = d @ self.params[k].T
                d *= a > 0 if self.job.hidden == "relu" else a * (1 - a)
        return grads

    def _update(self, grads: list[Array]) -> None:
        rate = self.job.learning_rate
        if self.job.optimizer == "sgd":
            for p, g in zip(self.params, grads, strict=True):
                p -= rate * g
            return
        self.t += 1
        c1, c2 = 1 - 0.9**self.t, 1 - 0.999**self.t
        for p, g, m, v in zip(self.params, grads, self.m, self.v, strict=True):
            m *= 0.9
            m += 0.1 * g
            v *= 0.999
            v += 0.001 * (g * g)
            p -= rate / c1 * m / (np.sqrt(v / c2) + 1e-8)

    def weights(self) -> Weights:
        return list(zip(self.params[::2], self.params[1::2], strict=True))

    def give(self, X: Array) -> None:
        self.rows = X

    def predict(self) -> None:
        self._forward(self.rows)[-1]
