"""What training reads and what it changes: samples in batches, and a model's numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pellucid.graph import Array


@dataclass(eq=False)
class Batch:
    """Samples, targets and, where there are any, weights."""

    X: Array
    Y: Array
    weights: Array | None = None
    origin: Array | None = None  # which rows of the caller's data these are, where only some

    def __len__(self) -> int:
        return len(self.X)

    def rows(self, index: Array | slice) -> Batch:
        weights = None if self.weights is None else self.weights[index]
        return Batch(self.X[index], self.Y[index], weights)


@dataclass(eq=False)
class Numbers:
    """Everything that training changes: parameters, optimizer state, and how far it has come."""

    params: Array
    state: dict[str, Array]
    steps: int = 0
    epochs: int = 0
    since: int = 0  # the step at which this optimizer began

    def copy(self) -> Numbers:
        return Numbers(
            self.params.copy(),
            {k: v.copy() for k, v in self.state.items()},
            self.steps,
            self.epochs,
            self.since,
        )

    def restore(self, other: Numbers) -> None:
        """Take over another's values, in this one's memory, which views look at."""
        self.params[...] = other.params
        for name, array in self.state.items():
            array[...] = other.state[name]
        self.steps, self.epochs, self.since = other.steps, other.epochs, other.since

    def equals(self, other: Numbers) -> bool:
        """Whether every number is the same, to the last bit."""
        pairs = [(self.params, other.params), *((a, other.state[k]) for k, a in self.state.items())]
        return all(np.array_equal(a, b, equal_nan=True) for a, b in pairs)

    def finite(self) -> bool:
        return all(bool(np.isfinite(a).all()) for a in (self.params, *self.state.values()))
