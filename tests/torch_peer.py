"""Training beside PyTorch: one network, the same batches, our optimizer and PyTorch's.

    gap = worst_gap(pc.Adam(0.01), lambda p: torch.optim.Adam(p.values(), 0.01))

The network is written out here in PyTorch's functions, layer by layer, and takes nothing from the
library but the numbers it starts with; so what differs is the optimizer, or the gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pytest

import pellucid as pc

try:
    import torch
except ImportError:  # the tests that need it skip; this file can be imported all the same
    torch = None  # type: ignore[assignment]

Tensors = dict[str, Any]  # W1, b1, … as PyTorch's tensors, in the library's own layout
ROWS, BATCH, INPUTS, HIDDEN, OUTPUTS = 60, 12, 4, 6, 3
STEPS = 100  # 20 epochs of 5 batches
LIMIT = 1e-10  # of ‖ours - theirs‖ / ‖theirs‖, over all parameters, in float64


def data(loss: str, seed: int = 0) -> tuple[Any, Any]:
    """Samples, and targets that the loss takes: values, or labels of three classes."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(ROWS, INPUTS))
    y = rng.normal(size=(ROWS, OUTPUTS)) if loss == "mse" else rng.integers(0, OUTPUTS, ROWS)
    return X, y


def our_model(optimizer: Any, loss: str = "mse", seed: int = 0, **dense: Any) -> pc.Sequential:
    """A 4-6-3 network with tanh, in float64, whose biases are not 0; `dense` goes to its layers."""
    layers = [pc.Dense(HIDDEN, "tanh", inputs=INPUTS, **dense), pc.Dense(OUTPUTS, **dense)]
    model = pc.Sequential(layers, loss=loss, optimizer=optimizer, dtype="float64", seed=seed)
    rng = np.random.default_rng(seed + 1)
    for name in ("b1", "b2"):
        model.params[name] = rng.normal(size=model.params[name].shape) / 4
    return model


def tensors(params: Mapping[str, Any]) -> Tensors:
    """The parameters as leaves that PyTorch can differentiate."""
    return {k: torch.tensor(np.array(v), requires_grad=True) for k, v in params.items()}


def their_loss(p: Tensors, X: Any, y: Any, loss: str) -> Any:
    """The same network and loss, in PyTorch's functions."""
    z = torch.tanh(X @ p["W1"] + p["b1"]) @ p["W2"] + p["b2"]
    named = {"mse": torch.nn.functional.mse_loss, "cce_logits": torch.nn.functional.cross_entropy}
    return named[loss](z, y)


def batches(X: Any, y: Any, steps: int) -> Iterator[tuple[Any, Any]]:
    """The batches of `fit(…, batch_size=12, shuffle=False)`, for so many steps."""
    for k in range(steps):
        rows = slice(k % (ROWS // BATCH) * BATCH, (k % (ROWS // BATCH) + 1) * BATCH)
        yield torch.tensor(X[rows]), torch.tensor(y[rows])


def their_run(
    start: Mapping[str, Any],
    make: Callable[[Tensors], Any],
    loss: str,
    *,
    steps: int = STEPS,
    seed: int = 0,
    scheduler: Callable[[Any], Any] | None = None,
    clip: Callable[[list[Any]], Any] | None = None,
    accumulate: int = 1,
    after: Callable[[Tensors, int], Any] | None = None,
) -> Tensors:
    """Train in PyTorch from `start`; return its parameters by name.

    `make` builds the optimizer from the parameters by name (so that it can put them in groups);
    `scheduler` a schedule from the optimizer, advanced after every update; `clip` is called with
    the parameters' list before an update, and `after(parameters, k)` once update k = 1, 2, … is
    done. With `accumulate` the mean gradient of so many batches makes one update. What an optimizer
    counts PyTorch keeps in its default precision, which is float64 here. Without PyTorch the test
    is skipped.
    """
    pytest.importorskip("torch", reason="PyTorch is not installed: make conformance")
    usual = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        return _their_run(
            tensors(start), make, loss, steps, seed, scheduler, clip, accumulate, after
        )
    finally:
        torch.set_default_dtype(usual)


def _their_run(
    p: Tensors, make: Any, loss: str, steps: int, seed: int, scheduler: Any, clip: Any,
    accumulate: int, after: Any,
) -> Tensors:  # fmt: skip
    optimizer = make(p)
    schedule = scheduler(optimizer) if scheduler else None
    optimizer.zero_grad()
    for k, (X, y) in enumerate(batches(*data(loss, seed), steps), 1):
        (their_loss(p, X, y, loss) / accumulate).backward()
        if k % accumulate:
            continue
        if clip:
            clip([t for t in p.values() if t.requires_grad])
        optimizer.step()
        optimizer.zero_grad()
        if schedule:
            schedule.step()
        if after:
            after(p, k // accumulate)
    return p


def our_run(model: pc.Sequential, loss: str, backend: str, steps: int, seed: int = 0) -> None:
    """Train the model on the same batches: by `fit` on a backend, or by single steps ("step")."""
    X, y = data(loss, seed)
    if backend == "step":
        for Xb, yb in batches(X, y, steps):
            model.step(Xb.numpy(), yb.numpy())
        return
    epochs = steps * BATCH // ROWS
    model.fit(X, y, epochs=epochs, batch_size=BATCH, shuffle=False, verbose=0, backend=backend)


def gap(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> float:
    """Return ‖ours - theirs‖ / ‖theirs‖ over all parameters."""
    one = np.concatenate([np.ravel(ours[k]) for k in theirs])
    other = np.concatenate([t.detach().numpy().ravel() for t in theirs.values()])
    return float(np.linalg.norm(one - other) / np.linalg.norm(other))


def worst_gap(
    optimizer: Any,
    make: Callable[[Tensors], Any],
    *,
    loss: str = "mse",
    backend: str = "numpy",
    steps: int = STEPS,
    seed: int = 0,
    dense: Mapping[str, Any] | None = None,
    **theirs: Any,
) -> float:
    """Train both from the same numbers; return how far apart they end, to compare with `LIMIT`.

    `backend` is "numpy", "numba" or "step"; `dense` are settings of our layers; the others are
    those of `their_run`. Raises: AssertionError where a run moved nothing, or lost its numbers.
    """
    model = our_model(optimizer, loss, seed, **(dense or {}))
    start = {k: v.copy() for k, v in model.params.items()}
    p = their_run(start, make, loss, steps=steps, seed=seed, **theirs)
    our_run(model, loss, backend, steps, seed)
    assert gap(start, p) > 1e-4, "the run in PyTorch has hardly moved: nothing is compared"
    assert all(np.isfinite(v).all() for v in model.params.values())
    return gap(model.params, p)
