"""`python -m bench.optimizers`: every optimizer and schedule at one size, PyTorch's beside it.

It measures that section alone, and writes it into bench/results.json and RESULTS.md, where the
figures of the other sections stay as they were.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from bench import environment
from bench.choices import CHOICES, Choice
from bench.contestants import KNOWN, OURS, SWEEPERS
from bench.jobs import JOBS, Job
from bench.measure import Options, Run, told, trained
from bench.pool import Pool
from bench.stats import strays

HERE = Path(__file__).parent
SIZE = "adam64"  # the network of these figures
NAMES = [OURS, "pellucid-numpy", "pytorch", *SWEEPERS, "pytorch-fused"]


def job_of(key: str) -> Job:
    """Return the network, trained with this optimizer or schedule."""
    choice, job = CHOICES[key], JOBS[SIZE]
    whole = {"batch": job.rows, "shuffle": False} if choice.whole else {}
    return replace(job, key=f"optimizer {key}", optimizer=key, learning_rate=choice.rate, **whole)


def taking_part(choice: Choice, names: list[str]) -> list[str]:
    """Return who of these has this optimizer."""
    out = {name for name in names if name.startswith("pytorch") and choice.theirs is None}
    if not choice.fused:
        out.add("pytorch-fused")
    if choice.whole:
        out |= {OURS, *SWEEPERS}  # ours runs with NumPy only; PyTorch's has one form
    return [name for name in names if name not in out]


def optimizers(run: Run) -> None:
    """Train one network with every optimizer, then with every schedule."""
    known = [name for name in NAMES if name in run.names or name in SWEEPERS]
    if "pytorch" not in run.names:
        known = [name for name in known if not name.startswith("pytorch")]
    for key, choice in CHOICES.items():
        job, names = job_of(key), taking_part(choice, known)
        who, values = trained(run, job, 1, names, run.options.rounds, run.options.seconds)
        losses = {name: one.loss for name, one in who.items()}
        before = next(iter(who.values())).worker.ask("loss", initial=True)["loss"] if who else 0.0
        wrong = strays(losses, before, 0.15)
        for name, why in wrong.items():
            run.warn(f"{choice.title}, {KNOWN[name].title}: {why}")
        run.say(f"{choice.title}: {told(values)}")
        run.figure(
            "optimizers", key=key, title=choice.title, threads=1, unit="s", values=values,
            losses=losses, before=before, wrong=wrong,
        )  # fmt: skip


def main(arguments: list[str]) -> int:
    """Measure, and put the section where the page has it."""
    from bench.__main__ import participants, write

    parser = argparse.ArgumentParser(prog="python -m bench.optimizers", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="turns for everyone (5)")
    parser.add_argument("--seconds", type=float, default=0.1, help="of work in one turn (0.1)")
    asked = parser.parse_args(arguments)
    found: dict[str, Any] = json.loads((HERE / "results.json").read_text())
    names, _ = participants()
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        options = Options([SIZE], [1], asked.rounds, asked.seconds)
        run = Run(options, Pool(Path(folder)), names)
        try:
            optimizers(run)
        finally:
            run.pool.close()
    machine = environment.machine()
    others = [figure for figure in found["figures"] if figure["section"] != "optimizers"]
    found["figures"] = [*others, *run.results.get("figures", [])]
    found["optimizers"] = {
        "date": machine["date"], "versions": machine["versions"], "load": round(load, 2),
        "rounds": asked.rounds, "seconds": asked.seconds,
        "warnings": run.results.get("warnings", []),
    }  # fmt: skip
    return write(found, HERE)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
