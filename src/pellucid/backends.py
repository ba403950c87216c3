"""Which backend a training run takes: NumPy at once, or compiled code where that pays."""

from __future__ import annotations

from pellucid import jit
from pellucid.batches import Batch
from pellucid.compiled import Machine, unit
from pellucid.errors import ArgumentError
from pellucid.fit import Stepper
from pellucid.history import NUMPY, Backend
from pellucid.show.lower import NotLoops


def chosen(
    backend: str, stepper: Stepper, data: Batch, size: int, epochs: int, held: Batch | None
) -> tuple[Backend, Machine | None]:
    """Return the backend with the reason, and the compiled run if it is that."""
    if backend == "numpy":
        return NUMPY, None
    if backend == "numba":
        return Backend("numba", "it was asked for"), machine(stepper, data, held)
    return Backend("numpy", "auto is not there yet"), None


def machine(stepper: Stepper, data: Batch, held: Batch | None) -> Machine:
    """Return the run compiled, once for a model."""
    kind = (data.weights is not None, held is not None)
    if kind not in stepper.machines:
        if reason := jit.available():
            raise ArgumentError(f'backend="numba" is not to be had here: {reason}')
        try:
            run = stepper.run(*kind)
        except NotLoops as error:
            raise ArgumentError(f'backend="numba": {error.what}', error.hint) from None
        stepper.machines[kind] = Machine(run, jit.compiled(unit(run)))
    return stepper.machines[kind]
