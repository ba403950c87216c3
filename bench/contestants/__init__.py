"""Who takes part: a name, what it is called in the tables, and what it needs to be installed."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from typing import Any, Protocol

from bench.jobs import Array, Job, Weights

OURS = "pellucid"


@dataclass(frozen=True)
class Entry:
    """One contestant, before anything of it is imported."""

    name: str
    title: str
    module: str  # in this folder
    maker: str  # the class in it
    needs: tuple[str, ...]
    install: str = ""  # what to name to pip
    main: bool = False  # in every section, not in the training table alone

    @property
    def missing(self) -> str:
        """What is not installed, or an empty text."""
        return next((need for need in self.needs if not importlib.util.find_spec(need)), "")


ENTRIES = {
    entry.name: entry
    for entry in [
        Entry(OURS, "pellucid", "ours", "Compiled", ("numpy",), main=True),
        Entry("pellucid-numpy", "pellucid, NumPy backend", "ours", "Printed", ("numpy",)),
        Entry("pytorch", "PyTorch, eager", "pytorch", "Eager", ("torch",), "torch", main=True),
        Entry("pytorch-fused", "PyTorch, eager, fused=True", "pytorch", "Fused", ("torch",)),
        Entry("pytorch-compiled", "torch.compile, fused=True", "pytorch", "Compiled", ("torch",)),
        Entry("jax-scan", "JAX, all epochs in a scan", "xla", "Scan", ("jax",), "jax", main=True),
        Entry("jax-step", "JAX, a jitted step", "xla", "Stepwise", ("jax",)),
        Entry("sklearn", "scikit-learn", "scikit", "Perceptron", ("sklearn",), "scikit-learn"),
        Entry("numpy", "NumPy by hand", "plain", "ByHand", ("numpy",)),
    ]
}


SWEEPERS = {  # in the section on optimizers only
    entry.name: entry
    for entry in [
        Entry("pytorch-foreach", "PyTorch, eager, foreach=True", "pytorch", "ForEach", ("torch",)),
    ]
}


KNOWN = ENTRIES | SWEEPERS


MULTIPLIERS = {
    entry.name: entry
    for entry in [
        Entry("mm-numpy", "NumPy's BLAS", "limits", "NumPy", ("numpy",)),
        Entry("mm-scipy", "SciPy's BLAS", "limits", "SciPy", ("scipy",)),
        Entry("mm-torch", "PyTorch", "limits", "Torch", ("torch",)),
        Entry("mm-jax", "JAX", "limits", "Jax", ("jax",)),
        Entry("mm-loops", "plain loops, Numba", "limits", "Loops", ("numba",)),
    ]
}


class Contestant(Protocol):
    """What a worker asks of a contestant; making one builds the model and hands it the data."""

    notes: list[str]

    def __init__(self, job: Job, X: Array, y: Array, threads: int) -> None: ...

    def prepare(self, epochs: int) -> None:
        """Compile for this many epochs, where that has to be done."""

    def start_over(self, weights: Weights) -> None:
        """Take these weights; the optimizer's state goes on."""

    def train(self, epochs: int) -> None:
        """Train, and return when it is done."""

    def weights(self) -> Weights: ...

    def give(self, X: Array) -> None:
        """Take rows to predict, in the form that the library likes best."""

    def predict(self) -> None:
        """Predict the rows given, and return when it is done."""


def contestant(name: str) -> Any:
    """Import a contestant's library; return its class."""
    entry = (KNOWN | MULTIPLIERS)[name]
    return getattr(importlib.import_module(f"bench.contestants.{entry.module}"), entry.maker)
