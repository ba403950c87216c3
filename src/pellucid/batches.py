"""What training reads and what it changes: samples in batches, and a model's numbers."""

from __future__ import annotations

from dataclasses import dataclass, replace

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
    """Everything that training changes: parameters, states, and how far it has come.

    `fixed` are the arrays that no gradient changes: frozen parameters, and what layers keep.
    """

    params: Array
    state: dict[str, Array]  # of the optimizer
    fixed: Array
    steps: int = 0
    epochs: int = 0
    since: int = 0  # the step at which this optimizer began
    scale: float = 1.0  # of the optimizer's learning rate

    @property
    def arrays(self) -> dict[str, Array]:
        """Every array that holds something, by what it is."""
        fixed = {"fixed": self.fixed} if self.fixed.size else {}
        return {"params": self.params, **fixed, **self.state}

    def copy(self) -> Numbers:
        state = {k: v.copy() for k, v in self.state.items()}
        return replace(self, params=self.params.copy(), state=state, fixed=self.fixed.copy())

    def restore(self, other: Numbers) -> None:
        """Take over another's values, in this one's memory, which views look at."""
        theirs = other.arrays
        for name, array in self.arrays.items():
            array[...] = theirs[name]
        self.steps, self.epochs, self.since = other.steps, other.epochs, other.since
        self.scale = other.scale

    def equals(self, other: Numbers) -> bool:
        """Whether every number is the same, to the last bit."""
        theirs = other.arrays
        same = (np.array_equal(a, theirs[k], equal_nan=True) for k, a in self.arrays.items())
        return self.scale == other.scale and all(same)

    def finite(self) -> bool:
        return all(bool(np.isfinite(a).all()) for a in self.arrays.values())
