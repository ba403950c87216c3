"""Measuring side by side: contestants take turns, a round at a time, and each sleeps in between."""

from __future__ import annotations

import dataclasses
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.contestants import KNOWN, OURS
from bench.jobs import Job
from bench.pool import Pool, Worker, WorkerError
from bench.stats import calibrated, ratios, spread
from bench.text import number, seconds

Turn = Callable[[], float]
Figure = dict[str, Any]


@dataclass
class Options:
    """How much is measured."""

    keys: list[str]
    threads: list[int]
    rounds: int = 7
    seconds: float = 0.3  # of work in one turn
    quick: bool = False
    partial: bool = False


@dataclass
class Run:
    """What one run of the benchmarks carries along: its processes, and what it has found."""

    options: Options
    pool: Pool
    names: list[str]
    results: dict[str, Any] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)

    def figure(self, section: str, **figure: Any) -> Figure:
        """Keep one figure: what was measured, and everyone's seconds or bytes by round."""
        self.results.setdefault("figures", []).append({"section": section} | figure)
        return self.results["figures"][-1]

    def warn(self, text: str) -> None:
        if text not in (said := self.results.setdefault("warnings", [])):
            said.append(text)
            self.say(f"  ! {text}")

    def say(self, text: str) -> None:
        print(f"{time.monotonic() - self.started:6.0f} s  {text}", file=sys.stderr, flush=True)

    def folder(self) -> Path:
        return self.pool.folder


def rounds(run: Run, turns: dict[str, Turn], count: int) -> dict[str, list[float]]:
    """Let everyone have a turn, `count` times over; who fails drops out."""
    found: dict[str, list[float]] = {name: [] for name in turns}
    for _ in range(count):
        for name in list(found):
            try:
                found[name].append(turns[name]())
            except WorkerError as error:
                run.warn(str(error))
                del found[name]
    return found


# -- training ------------------------------------------------------------------------------------


@dataclass
class Trainee:
    """A contestant that has loaded a job and proved that it trains."""

    worker: Worker
    epochs: int
    steps: int  # in these epochs
    first: float  # seconds of the first call beyond those of the second
    loss: float  # after the epochs that all train alike

    def turn(self) -> float:
        return self.worker.ask("train", epochs=self.epochs)["seconds"]

    def step(self) -> float:
        return self.turn() / self.steps


def proof_epochs(job: Job) -> int:
    """Return the epochs that everyone trains before anything is timed, to be compared after."""
    if job.loss == "mse":
        return 2000
    steps = min(200.0, 1e11 / job.flops)
    return max(1, round(steps / job.batches))


def ready(run: Run, name: str, job: Job, threads: int, wanted: float) -> Trainee:
    """Load a job, train as all do, and find out how many epochs last long enough."""
    worker, proof = run.pool.get(name, threads, job.dtype), proof_epochs(job)
    worker.ask("load", job=dataclasses.asdict(job))
    first = worker.ask("first", epochs=proof)["seconds"]
    again = worker.ask("train", epochs=proof)["seconds"]
    loss = worker.ask("loss")["loss"]
    timed = {1: again}  # the unit of calibration is `proof` epochs, which everyone has compiled

    def seconds_of(count: int) -> float:
        if count not in timed:
            timed[count] = worker.ask("train", epochs=count * proof)["seconds"]
        return timed[count]

    if again > 2 * wanted:  # then fewer than `proof` will do
        epochs = max(1, round(proof * wanted / again))
    else:
        epochs = proof * calibrated(seconds_of, wanted)
    for note in worker.ask("notes")["notes"]:
        run.warn(f"{KNOWN[name].title}: {note}")
        run.results["fallback"] = run.results.get("fallback", False) or "refused" in note
    return Trainee(worker, epochs, epochs * job.batches, max(0.0, first - again), loss)


def trainees(
    run: Run, job: Job, threads: int, names: list[str], wanted: float
) -> dict[str, Trainee]:
    found = {}
    for name in names:
        try:
            found[name] = ready(run, name, job, threads, wanted)
        except WorkerError as error:
            run.warn(f"{job.title}: {error}")
    return found


def trained(
    run: Run, job: Job, threads: int, names: list[str], count: int, wanted: float
) -> tuple[dict[str, Trainee], dict[str, list[float]]]:
    """Return who took part, and everyone's seconds for a step, round by round."""
    ready_ones = trainees(run, job, threads, names, wanted)
    quickest = 3 * wanted

    slow = {
        name for name, one in ready_ones.items()
        if not KNOWN[name].main and one.epochs == 1 and one.turn() > quickest
    }  # fmt: skip
    turns: dict[str, Turn] = {name: one.step for name, one in ready_ones.items()}
    few = min(3, count)  # the long runs of those that no target is about
    values = rounds(run, turns, few)
    more = rounds(run, {n: t for n, t in turns.items() if n not in slow}, count - few)
    for name, one in ready_ones.items():
        if one.worker.restless:
            run.warn(f"{KNOWN[name].title}: its threads do not rest after a turn")
    return ready_ones, {name: values[name] + more.get(name, []) for name in values}


def told(values: dict[str, list[float]]) -> str:
    """Return one line about a figure, for who watches the run."""
    if not values.get(OURS):
        return "no figure of ours"
    ours = values[OURS]
    parts = [f"ours {seconds(spread(ours).median)}"]
    for name, theirs in values.items():
        if name != OURS and theirs:
            parts.append(f"{name} {number(ratios(theirs, ours).median)}×")
    return ", ".join(parts)
