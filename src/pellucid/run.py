"""Load printed source, so that tracebacks quote it; run a program on buffers."""

from __future__ import annotations

import itertools
import linecache
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from pellucid.show.buffers import Buffered, buffered, workspace
from pellucid.show.python import Program

_count = itertools.count()


def load(source: str, name: str) -> Callable[..., Any]:
    """Run a module's text and return the function of that name; tracebacks show its lines."""
    file = f"<pellucid {name} {next(_count)}>"
    linecache.cache[file] = (len(source), None, source.splitlines(True), file)
    scope: dict[str, Any] = {"__name__": "pellucid_program"}
    exec(compile(source, file, "exec"), scope)
    function: Callable[..., Any] = scope[name]
    weakref.finalize(function, linecache.cache.pop, file, None)
    return function


class Runner:
    """A program loaded on the NumPy backend, with the memory of the batch sizes it has seen.

    What it returns lies in that memory: read it before the next call.
    """

    def __init__(self, program: Program) -> None:
        self.plan: Buffered = buffered(program)
        self.function = load(self.plan.source, program.name)
        self.spaces: dict[int, tuple[Any, ...]] = {}

    def twin(self) -> Runner:
        """Return a runner of the same loaded program, with memory of its own."""
        made = object.__new__(Runner)
        made.plan, made.function, made.spaces = self.plan, self.function, {}
        return made

    def __call__(self, *args: Any, n: int) -> Any:
        """Run on a batch of n."""
        work = self.spaces.get(n)
        if work is None:
            if len(self.spaces) > 4:
                self.spaces.clear()
            work = self.spaces[n] = workspace(self.plan, n)
        with np.errstate(all="ignore"):
            return self.function(*args, work)
