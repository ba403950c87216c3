"""Every loss with an output that suits it, and samples for both."""

from __future__ import annotations

from typing import Any

import numpy as np

LOSSES = {
    "mse": ("linear", 1), "half_mse": ("sigmoid", 2), "mae": ("linear", 2), "huber": ("linear", 1),
    "hinge": ("tanh", 1), "bce": ("sigmoid", 1), "bce_logits": ("linear", 2),
    "cce": ("softmax", 3), "cce_logits": ("linear", 4), "poisson": ("softplus", 1),
}  # fmt: skip


def samples(loss: str, n: int, inputs: int = 2, seed: int = 0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    X, units = rng.normal(size=(n, inputs)).round(2), LOSSES[loss][1]
    y: Any = rng.normal(size=(n, units)).round(2)
    if loss in ("bce", "bce_logits"):
        y = rng.integers(0, 2, (n, units))
    elif loss == "hinge":
        y = rng.choice([-1, 1], (n, units))
    elif loss in ("cce", "cce_logits"):
        y = rng.integers(0, units, n)
    elif loss == "poisson":
        y = rng.integers(0, 5, (n, units))
    return X, y
