"""JAX: all epochs as one compiled scan, shuffle and gather inside; or a jitted step."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from bench.jobs import Array, Job, Weights

Tree = Any


def scores(params: Tree, X: jax.Array, hidden: str) -> jax.Array:
    act = jax.nn.relu if hidden == "relu" else jax.nn.sigmoid
    for W, b in params[:-1]:
        X = act(X @ W + b)
    W, b = params[-1]
    return X @ W + b


def outputs(params: Tree, X: jax.Array, job: Job) -> jax.Array:
    link = jax.nn.sigmoid if job.loss == "mse" else jax.nn.softmax
    return link(scores(params, X, job.hidden))


def loss(params: Tree, X: jax.Array, Y: jax.Array, job: Job) -> jax.Array:
    """The targets are one-hot rows: a gather's gradient is a slow scatter on the CPU."""
    z = scores(params, X, job.hidden)
    if job.loss == "mse":
        return jnp.mean((jax.nn.sigmoid(z) - Y) ** 2)
    return -jnp.mean(jnp.sum(Y * jax.nn.log_softmax(z), axis=1))


def adam(p: jax.Array, g: jax.Array, m: jax.Array, v: jax.Array, t: jax.Array, rate: float):
    m = 0.9 * m + 0.1 * g
    v = 0.999 * v + 0.001 * g**2
    m_hat, v_hat = m / (1 - 0.9**t), v / (1 - 0.999**t)
    return p - rate * m_hat / (jnp.sqrt(v_hat) + 1e-8), m, v


def step(state: Tree, X: jax.Array, Y: jax.Array, job: Job) -> tuple[Tree, jax.Array]:
    params, m, v, t = state
    value, grads = jax.value_and_grad(loss)(params, X, Y, job)
    if job.optimizer == "sgd":
        params = jax.tree.map(lambda p, g: p - job.learning_rate * g, params, grads)
        return (params, m, v, t), value
    t = t + 1
    found = jax.tree.map(lambda *a: adam(*a, t, job.learning_rate), params, grads, m, v)
    outer = jax.tree.structure(params)
    params, m, v = jax.tree.transpose(outer, jax.tree.structure((0, 0, 0)), found)
    return (params, m, v, t), value


def gathered(array: jax.Array, index: jax.Array) -> jax.Array:
    """Return these rows without the check for rows that do not exist: there are none."""
    return array.at[index].get(mode="promise_in_bounds")


def epoch(carry: Tree, _: None, X: jax.Array, Y: jax.Array, job: Job) -> tuple[Tree, jax.Array]:
    state, key = carry
    if not job.shuffle:
        state, value = step(state, X, Y, job)
        return (state, key), value
    key, draw = jax.random.split(key)
    order = jax.random.permutation(draw, job.rows).reshape(job.batches, job.batch)

    def one(state: Tree, index: jax.Array) -> tuple[Tree, jax.Array]:
        return step(state, gathered(X, index), gathered(Y, index), job)

    state, values = jax.lax.scan(one, state, order)
    return (state, key), values.mean()


def run(state: Tree, key: jax.Array, X: jax.Array, Y: jax.Array, job: Job, epochs: int):
    body = partial(epoch, X=X, Y=Y, job=job)
    return jax.lax.scan(body, (state, key), None, length=epochs)


class Scan:
    """One compiled function trains all epochs."""

    def __init__(self, job: Job, X: Array, y: Array, threads: int) -> None:
        if job.dtype == "float64":
            jax.config.update("jax_enable_x64", True)
        self.job, self.notes = self._whole(job), list[str]()
        Y = y if job.loss == "mse" else np.eye(job.sizes[-1], dtype=job.dtype)[y]
        self.X, self.Y = jnp.asarray(X[: self.job.rows]), jnp.asarray(Y[: self.job.rows])
        self.key, self.state, self.compiled = jax.random.key(0), None, {}
        self.outputs = jax.jit(partial(outputs, job=job))

    def _whole(self, job: Job) -> Job:
        """A scan has batches of one size; rows that fill no batch are left out."""
        if job.rows % job.batch == 0:
            return job
        rows = job.rows // job.batch * job.batch
        return Job(**vars(job) | {"rows": rows})

    def start_over(self, weights: Weights) -> None:
        params = [(jnp.array(W), jnp.array(b)) for W, b in weights]  # copies: they are given away
        zeros = partial(jax.tree.map, jnp.zeros_like)
        m, v, t = (
            self.state[1:] if self.state else (zeros(params), zeros(params), jnp.zeros((), "int32"))
        )
        self.state = (params, m, v, t)

    def prepare(self, epochs: int) -> None:
        if epochs not in self.compiled:
            chosen = partial(run, job=self.job, epochs=epochs)
            made = jax.jit(chosen, donate_argnums=0)
            lowered = made.lower(self.state, self.key, self.X, self.Y)
            self.compiled = {epochs: lowered.compile()}

    def train(self, epochs: int) -> None:
        self.prepare(epochs)
        made = self.compiled[epochs]
        (self.state, self.key), losses = made(self.state, self.key, self.X, self.Y)
        np.asarray(losses)
        jax.block_until_ready(self.state)

    def weights(self) -> Weights:
        return [(np.asarray(W), np.asarray(b)) for W, b in self.state[0]]

    def give(self, X: Array) -> None:
        self.rows = jnp.asarray(X)

    def predict(self) -> None:
        self.outputs(self.state[0], self.rows).block_until_ready()


class Stepwise(Scan):
    """A jitted step, called from Python; the batch is gathered inside it."""

    def __init__(self, job: Job, X: Array, y: Array, threads: int) -> None:
        super().__init__(job, X, y, threads)
        rows, size = self.job.rows, self.job.batch
        self.order = jax.jit(lambda key: jax.random.permutation(key, rows))
        self.split = jax.jit(lambda key: tuple(jax.random.split(key)))

        def batch(state: Tree, X: jax.Array, Y: jax.Array, order: jax.Array, k: int):
            index = jax.lax.dynamic_slice(order, (k * size,), (size,))
            return step(state, gathered(X, index), gathered(Y, index), self.job)

        self.batch = jax.jit(batch, donate_argnums=0)
        self.whole = jax.jit(partial(step, job=self.job), donate_argnums=0)

    def prepare(self, epochs: int) -> None:
        """Nothing depends on the number of epochs."""

    def train(self, epochs: int) -> None:
        for _ in range(epochs):
            if self.job.shuffle:
                self.key, draw = self.split(self.key)
                order = self.order(draw)
                for k in range(self.job.batches):
                    self.state, value = self.batch(self.state, self.X, self.Y, order, k)
            else:
                self.state, value = self.whole(self.state, self.X, self.Y)
            float(value)
        jax.block_until_ready(self.state)
