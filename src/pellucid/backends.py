"""Which backend a training run takes: NumPy at once, or compiled code where that pays.

    time with NumPy     steps · the time of a step, measured on a copy of the model
    time compiled       making the program + steps · (what a step costs there, from its arithmetic)

What is clear from the count of operations alone is not measured.
"""

from __future__ import annotations

import hashlib
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from pellucid import jit_cache
from pellucid.batches import Batch, Numbers
from pellucid.dims import Dim, Shape
from pellucid.errors import ArgumentError, PellucidError
from pellucid.fit import Kind, Loop, Stepper, Stepwise, kind_of
from pellucid.graph import Array, Node, order
from pellucid.history import Backend
from pellucid.run import Runner
from pellucid.sharing import programs
from pellucid.show.python import Program
from pellucid.train import Blueprint

# Rough figures of one core of a laptop; where they decide, both backends take about as long.
CALL = 1.2e-6  # seconds of a NumPy call on a small array
LOAD = 0.05  # to print a program and load its machine code from disk
IMPORT, BASE, LINE = (
    0.5,
    0.5,
    0.012,
)  # to import Numba; to compile a program, and each of its values
FLOPS = 4e10  # arithmetic of matrix products in a second
BYTES = 1e10  # memory that goes by in a second
LARGEST = 1500  # values that a program may compute: compiling more of them takes minutes


def chosen(
    backend: str,
    stepper: Stepper,
    data: Batch,
    size: int,
    epochs: int,
    held: Batch | None,
    augment: Any = None,
) -> tuple[Backend, Any]:
    """Return the backend with the reason, and the compiled run if it is that."""
    if backend == "numpy":
        return Backend("numpy", "it was asked for"), None
    if augment is not None:
        why = "augment is a Python function, which no compiled run can call"
        if backend == "numba":
            raise ArgumentError(why, 'backend="numpy", or "auto"')
        return Backend("numpy", why), None
    kind, often = kind_of(data, size, held), backend == "often"
    ready = often and ("machine", *kind) in stepper.shared and not _missing()
    if backend != "numba" and stepper.plan.optimizer.whole:
        name = type(stepper.plan.optimizer).__name__
        return Backend("numpy", f"{name} looks where to go before every step"), None
    if backend == "numba" or ready:
        why = "its program is there already" if ready else "it was asked for"
        return Backend("numba", why), machine(stepper, kind)
    work = _Work(stepper, data, size, epochs, held, stepper.shared.spent if often else 0.0)
    why = work.numpy_because()
    if why:
        stepper.shared.spent += work.numpy if often else 0.0
        return Backend("numpy", why), None
    try:
        return Backend("numba", work.compared()), machine(stepper, kind)
    except PellucidError as error:  # an op that is not printed, or a text that does not compile
        return Backend("numpy", error.what), None


def machine(stepper: Stepper, kind: Kind) -> Any:
    """Return the run compiled, once for a model."""
    if kind not in stepper.machines:
        _check_available()
        make = partial(_compiled, make=lambda _: stepper.run(kind), mark=kind)
        stepper.machines[kind] = stepper.shared.get(("machine", *kind), make)
    return stepper.machines[kind]


def _compiled(plan: Blueprint, make: Callable[[Blueprint], Any], mark: tuple[Any, ...]) -> Any:
    """Return a printed run with its machine code, and remember that the disk has it."""
    from pellucid import jit
    from pellucid.compiled import Machine, unit

    run = _printed(lambda: make(plan))
    made = Machine(run, jit.compiled(unit(run)))
    jit_cache.remember(_mark(plan, *mark))
    return made


def working(stepper: Stepper) -> list[tuple[Shape, Any]]:
    """Return shape and dtype of the arrays that a step works in: compiled, or else of NumPy's."""
    from pellucid.show.lower import NotLoops

    try:
        arrays = stepper.run((False, 0, 32)).working
        return [(m.shape, m.dtype) for m in arrays]
    except NotLoops:
        return stepper.program(False)[1].plan.buffers


def loop_on(machine: Any) -> Callable[..., Loop]:
    """Return what makes the training loop of a backend: compiled where there is a machine."""
    if machine is None:
        return Stepwise
    from pellucid.compiled import Whole

    return partial(Whole, machine=machine)


def _missing() -> str:
    """Return why nothing can be compiled here; "" where it can."""
    from pellucid import jit

    return jit.available()


def _check_available() -> None:
    if reason := _missing():
        raise ArgumentError(f"compiled code is not to be had here: {reason}", 'backend="numpy"')


def _printed(make: Callable[[], Any]) -> Any:
    """Return a program printed as loops, or say why there is none."""
    from pellucid.show.lower import NotLoops

    try:
        return make()
    except NotLoops as error:
        raise ArgumentError(error.what, error.hint) from None


class Reading:
    """Predictions of one model: always the same way, so that they are the same to the last bit.

    Compiled where training was so (`trained`), or where the disk has the program; else NumPy.
    """

    def __init__(self, plan: Blueprint, raw: bool) -> None:
        self.plan, self.raw = plan, raw
        self.shared = programs(plan)
        found = self.shared.get(("predict", raw), lambda plan: _reader(plan, raw))
        self.program, self.runner, self.lock = found[0], found[1].twin(), threading.Lock()
        self.compiled: Any = None
        self.auto = False  # whether "auto" is compiled

    def compile(self, numbers: Numbers) -> None:
        """Make the compiled forward pass. Raises: ArgumentError where that cannot be."""
        from pellucid.compiled import Forward

        if self.compiled is None:
            _check_available()
            make = partial(_compiled, make=self._forward, mark=("predict", self.raw))
            machine = self.shared.get(("forward", self.raw), make)
            self.compiled = Forward(machine, self.plan.net, numbers)

    def _forward(self, plan: Blueprint) -> Any:
        from pellucid.runs import predicting

        return predicting(plan, self.raw)

    def __call__(self, numbers: Numbers, X: Array, backend: str) -> Array:
        """Return the prediction for every row, as an array of the caller's own."""
        if backend == "numba":
            self.compile(numbers)
        if backend == "numba" or (backend == "auto" and self.auto):
            return self.compiled(X)  # type: ignore[no-any-return]
        with self.lock:
            given = {"X": X, **numbers.arrays}
            found = self.runner(*(given[x.name] for x in self.program.inputs), n=len(X))
            return found.copy()  # type: ignore[no-any-return]


def _reader(plan: Blueprint, raw: bool) -> tuple[Program, Runner]:
    program = plan.predict(raw)
    return program, Runner(program)


def reading(plan: Blueprint, raw: bool, numbers: Numbers, trained: bool) -> Reading:
    """Return what predicts: compiled at once where that was paid for already."""
    made = Reading(plan, raw)
    if trained or jit_cache.remembered(_mark(plan, "predict", raw)):
        with suppress(PellucidError):  # no compiled code for this model, or on this machine
            made.compile(numbers)
            made.auto = True
    return made


class _Work:
    """The work ahead of a training run, in seconds on either backend."""

    def __init__(
        self,
        stepper: Stepper,
        data: Batch,
        size: int,
        epochs: int,
        held: Batch | None,
        spent: float = 0.0,
    ) -> None:
        self.spent = spent  # seconds that equal trainings have taken with NumPy before
        self.stepper, self.data, self.size, self.held = stepper, data, size, held
        self.kind = kind_of(data, size, held)
        self.steps = epochs * -(-len(data) // size)
        self.share: float = len(held) / len(data) / 3 if held else 0.0  # what evaluating adds
        graph = stepper.program(self.kind[0])[0].graph
        self.nodes = order(graph.outputs.values()) if graph else []
        self.numpy = self.made = self.numba = self.each = 0.0

    def numpy_because(self) -> str:
        """Return why NumPy is the better choice; "" where compiled code is."""
        self.numpy = self.steps * self._guess()
        if self.numpy + self.spent < LOAD / 2:
            return f"the work ahead is small: about {_spoken(self.numpy)}"
        if len(self.nodes) > LARGEST:
            return f"the program is too long to compile: {len(self.nodes)} values"
        from pellucid import jit

        if reason := jit.available():
            return f"compiled code is not to be had here: {reason}"
        self.each = self._measured()
        self.numpy = self.steps * self.each * (1 + self.share)
        made = ("machine", *self.kind) in self.stepper.shared
        self.made = 0.0 if made else self._making()
        self.numba = self.steps * self._compiled() * (1 + self.share)
        return self.compared() if self.numpy + self.spent <= self.made + self.numba else ""

    def compared(self) -> str:
        """Say what each backend would take."""
        return (
            f"{self.steps:,} steps take about {_spoken(self.numpy)} with NumPy; compiled, about "
            f"{_spoken(self.numba)} and {_spoken(self.made)} to make the program"
        )

    def _guess(self) -> float:
        """Return roughly the seconds of a NumPy step, from the count of its operations."""
        return len(self.nodes) * CALL + self._flops() / FLOPS

    def _compiled(self) -> float:
        """Return roughly the seconds of a compiled step."""
        net, state = self.stepper.plan.net, self.stepper.numbers.state
        traffic = 1.0 * net.size * self.stepper.plan.dtype.itemsize * (3 + 2 * len(state))
        traffic += sum(self._elements(x) for x in self.nodes if x.ndim > 1) * 4
        return min(0.9 * self.each, self._flops() / FLOPS + traffic / BYTES + 1e-7)

    def _flops(self) -> float:
        products = (x for x in self.nodes if x.op is not None and x.op.kind == "contract")
        return sum(2.0 * self._elements(x) * self._count(x.args[0].shape[-1:]) for x in products)

    def _elements(self, node: Node) -> float:
        return self._count(node.shape)

    def _count(self, shape: Any) -> float:
        total = 1.0
        for s in shape:
            total *= s.at({"n": self.size}) if isinstance(s, Dim) else s
        return total

    def _measured(self) -> float:
        """Return the seconds of a NumPy step, taken on a copy of the numbers."""
        trial = Stepper(self.stepper.plan, self.stepper.numbers.copy(), self.stepper.seed)
        trial.programs = self.stepper.programs
        batch = self.data.rows(slice(0, self.size))
        best, spent = float("inf"), 0.0
        for _ in range(4):
            start = time.perf_counter()
            trial.take(batch)
            took = time.perf_counter() - start
            best, spent = min(best, took), spent + took
            if spent > 0.005:
                break
        return best

    def _making(self) -> float:
        """Return roughly the seconds until the compiled program is there."""
        if jit_cache.remembered(_mark(self.stepper.plan, *self.kind)):
            return LOAD
        return _making(len(self.nodes))


def _making(values: int) -> float:
    """Return roughly the seconds it takes to compile a program of so many values."""
    imported = 0.0 if "numba" in sys.modules else IMPORT
    return imported + BASE + LINE * values


def _spoken(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"


# -- which programs the disk has ------------------------------------------------------------------


def _mark(plan: Blueprint, *kind: Any) -> str:
    """Return a name for such a program: where it has been compiled before, making it is quick."""
    # a function's text holds its address, so one's own functions are not known again
    loss = plan.loss.function if plan.loss.name == "custom" else plan.loss.setting
    kinds = [(s.name, s.kind) for s in plan.net.fixed]
    about = (plan.net.layers, plan.net.input_shape, loss, plan.optimizer, plan.metrics, kinds)
    text = repr((about, plan.dtype, kind))
    return hashlib.sha256(text.encode()).hexdigest()[:32]
