"""What is measured, section by section; each writes its figures into the run's results."""

from __future__ import annotations

import dataclasses
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from bench import environment
from bench.contestants import ENTRIES, MULTIPLIERS, OURS
from bench.jobs import JOBS, SMALL, Job
from bench.measure import Run, Trainee, rounds, told, trained, trainees
from bench.pool import WorkerError
from bench.stats import calibrated, strays

MAIN = [name for name, entry in ENTRIES.items() if entry.main]
LARGE = ("adam784", "adam2048")  # measured on one thread and on two
COMPILED = ("xor", "adam64", "adam784")  # torch.compile takes up to half a minute for each
FIRST = "pellucid-first"  # ours, when nothing is in the cache
PREDICTING = [OURS, "pellucid-numpy", "pytorch", "jax-scan", "sklearn", "numpy"]


def chosen(run: Run, names: list[str]) -> list[str]:
    return [name for name in names if name in run.names]


# -- training, predicting, the limit ---------------------------------------------------------------


def networks(run: Run) -> None:
    """Train and predict, for every network and thread count."""
    for threads in run.options.threads:
        for key in run.options.keys:
            if threads == 1 or key in LARGE:
                network(run, JOBS[key], threads)
        run.pool.close()


def network(run: Run, job: Job, threads: int) -> None:
    quick = run.options.quick
    names = chosen(run, [*MAIN, "pellucid-numpy", "numpy"] if quick else list(ENTRIES))
    if job.key not in COMPILED:
        names = [name for name in names if name != "pytorch-compiled"]
    if job.key == "xor-full":
        names = [name for name in names if name not in ("sklearn", "pytorch-compiled")]
    who, values = trained(run, job, threads, names, run.options.rounds, run.options.seconds)
    run.say(f"{job.title}, {threads} thread{'s' * (threads > 1)}: {told(values)}")
    run.figure(
        "training", key=job.key, title=job.title, threads=threads, unit="s", values=values,
        batches=job.batches, first={name: one.first for name, one in who.items()},
    )  # fmt: skip
    proof(run, job, threads, who)
    limit(run, job, threads)
    if job.key != "xor-full":
        prediction(run, job, threads, who)


def proof(run: Run, job: Job, threads: int, who: dict[str, Trainee]) -> None:
    """Compare the losses after the same epochs, and see that the timed runs trained as well."""
    alike = {name: one.loss for name, one in who.items()}
    timed, before = {}, math.nan
    for name, one in who.items():
        try:
            before = one.worker.ask("loss", initial=True)["loss"]
            timed[name] = one.worker.ask("loss")["loss"]
        except WorkerError as error:
            run.warn(f"{job.title}: {error}")
    wrong = idle(alike, timed, before)
    run.results.setdefault("proof", []).append(
        {"key": job.key, "title": job.title, "threads": threads, "before": before,
         "alike": alike, "timed": timed, "wrong": wrong}
    )  # fmt: skip
    for name, why in wrong.items():
        run.warn(f"{job.title}, {threads} thread(s), {ENTRIES[name].title}: {why}")


def idle(alike: dict[str, float], timed: dict[str, float], before: float) -> dict[str, str]:
    """Return who did not train as the others did, and why."""
    # scikit-learn has another loss where there is one output, so it need only have learned
    apart = {name: loss for name, loss in alike.items() if name == "sklearn"}
    wrong = strays({n: x for n, x in alike.items() if n not in apart}, before, 0.15)
    wrong |= strays(apart, before, 1.0)
    for name, loss in timed.items():
        if not loss < before:
            wrong[name] = f"its loss after the timed run is {loss:.4f}, before it {before:.4f}"
    return wrong


def prediction(run: Run, job: Job, threads: int, who: dict[str, Trainee]) -> None:
    """Predict one row, and all rows."""
    for rows in (1, job.rows):
        turns = {}
        for name in (name for name in chosen(run, PREDICTING) if name in who):
            try:
                turns[name] = _predicting(run, who[name], rows)
            except WorkerError as error:
                run.warn(f"{job.title}, predicting: {error}")
        values = rounds(run, turns, run.options.rounds)
        title = f"{job.title.split(',')[0]}, {rows:,} row{'s' * (rows > 1)}"
        run.figure(
            "prediction", key=job.key, title=title, rows=rows, threads=threads, unit="s",
            values=values,
        )  # fmt: skip


def _predicting(run: Run, one: Trainee, rows: int):
    worker = one.worker
    worker.ask("give", rows=rows)

    def seconds_of(calls: int) -> float:
        return worker.ask("predict", calls=calls)["seconds"]

    calls = calibrated(seconds_of, run.options.seconds / 6)
    return lambda: seconds_of(calls) / calls


def limit(run: Run, job: Job, threads: int) -> None:
    """Time the matrix products of a step alone, in each library, and copies for the optimizer."""
    found = {}
    for name, entry in MULTIPLIERS.items():
        if entry.missing or (name == "mm-loops" and job.flops > 1e7):
            continue
        try:
            worker = run.pool.get(name, threads)
            worker.ask("pairs", products=job.products, dtype=job.dtype)
            found[name] = _least(run, lambda n, w=worker: w.ask("multiply", repeat=n)["seconds"])
        except WorkerError as error:
            run.warn(f"limit: {error}")
    # The optimizer reads p, g (m, v) and writes p (m, v): a copy of as much memory moves as much.
    moved = (28 if job.optimizer == "adam" else 12) * job.parameters
    # Less than 64 KiB would time the call, and not the copy.
    size = max(2**16, (16 if job.optimizer == "adam" else 8) * job.parameters // 2)
    worker = run.pool.get("mm-numpy", threads)
    seconds = _least(run, lambda n: worker.ask("copy", size=size, repeat=n)["seconds"])
    run.results.setdefault("limits", []).append(
        {"key": job.key, "threads": threads, "flops": job.flops, "products": found,
         "moved": moved, "bandwidth": 2 * size / seconds}
    )  # fmt: skip


def _least(run: Run, seconds_of) -> float:
    count = calibrated(seconds_of, run.options.seconds / 6)
    return min(seconds_of(count) for _ in range(3)) / count


# -- from nothing ----------------------------------------------------------------------------------


def cold(run: Run) -> None:
    """Time whole processes, thread counts unset, each in its turn."""
    python = [sys.executable, "-c"]
    commands = {
        "nothing": [*python, "pass"],
        "import-numba": [*python, "import numba, scipy.linalg.cython_blas"],
        "import-torch": [*python, "import torch"],
        "import-jax": [*python, "import jax.numpy"],
    }
    if "pytorch" not in run.names:
        del commands["import-torch"]
    if "jax-scan" not in run.names:
        del commands["import-jax"]
    names = ["auto", *chosen(run, PREDICTING)]
    count = 2 if run.options.quick else 5
    for epochs in (20,) if run.options.quick else (1, 20):
        jobs = {n: [sys.executable, "-m", "bench.cold", n, str(epochs)] for n in names}
        every = jobs | commands if epochs == 20 else jobs
        for command in every.values():
            _process(run, command)  # byte code and compiled programs are now on disk
        values = rounds(run, {n: lambda c=c: _process(run, c) for n, c in every.items()}, count)
        title = f"digits {'-'.join(map(str, SMALL.sizes))}, batch {SMALL.batch}"
        what = f"{title}, {epochs} epoch{'s' * (epochs > 1)}, whole process"
        run.figure("cold", title=what, epochs=epochs, unit="s", values=values)
        run.say(f"cold start, {what}: {told(values)}")


def _process(run: Run, command: list[str]) -> float:
    env = environment.variables(None, PELLUCID_CACHE=str(run.pool.folder / "cold"))
    start = time.perf_counter()
    done = subprocess.run(
        command, env=env, cwd=environment.ROOT, capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - start
    if done.returncode:
        raise WorkerError(f"{' '.join(command[1:])}: {done.stderr.strip().splitlines()[-1:]}")
    return seconds


def compiling(run: Run) -> None:
    """Time the first fit beyond the second: without a cache, then with it, in new processes."""
    times = 1 if run.options.quick else 2
    for key in run.options.keys:
        job, found = JOBS[key], {"cold": [], "warm": [], "predict cold": [], "predict warm": []}
        if key == "xor-full":
            continue
        for _ in range(times):
            with tempfile.TemporaryDirectory() as cache:
                for state in ("cold", "warm"):
                    try:
                        fit, predict = _first(run, job, cache)
                    except WorkerError as error:
                        run.warn(str(error))
                        continue
                    found[state].append(fit)
                    found[f"predict {state}"].append(predict)
        run.results.setdefault("compile", []).append({"key": key, "title": job.title} | found)
        if found["warm"]:
            run.say(f"compile {key}: {min(found['cold']):.2f} s, cached {min(found['warm']):.3f} s")


def _first(run: Run, job: Job, cache: str) -> tuple[float, float]:
    """Return the seconds that a first fit takes beyond a later one, and those of a first predict.

    On two batches: the program is that for any number of rows, and less time is there to vary.
    """
    worker = run.pool.fresh(OURS, len(environment.cores()), PELLUCID_CACHE=cache)
    try:
        worker.ask("load", job=dataclasses.asdict(replace(job, rows=min(job.rows, 2 * job.batch))))
        first, *later = (worker.ask("first")["seconds"] for _ in range(4))
        start = time.perf_counter()
        worker.ask("give", rows=1)
        return max(0.0, first - min(later)), time.perf_counter() - start
    finally:
        worker.close()


# -- memory ----------------------------------------------------------------------------------------


def memory(run: Run) -> None:
    """Ask new processes how far training raised their peak; it is no timing, so two run at once."""
    keys = [key for key in run.options.keys if key != "xor-full"]
    asked = [(key, name) for key in keys for name in _remembering(run, key)]
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(lambda pair: _peak(run, *pair), asked))
    for key in keys:
        peaks = {n: peak for (k, n), peak in zip(asked, found, strict=True) if k == key and peak}
        job = JOBS[key]
        title = job.title + (f", {job.rows:,} rows" if job.batches > 1 else "")
        for what in ("rise", "peak"):
            values = {name: [peak[what]] for name, peak in peaks.items()}
            run.figure("memory", key=key, title=title, what=what, unit="B", values=values)
        told_all = ", ".join(f"{n} {peak['rise'] >> 10:,} KiB" for n, peak in peaks.items())
        run.say(f"memory {key}: {told_all}")


def _remembering(run: Run, key: str) -> list[str]:
    """Return whose memory to measure: everyone's at some networks, the main ones' at all."""
    many = key in ("xor", "adam64", *LARGE) and not run.options.quick
    return chosen(run, PREDICTING if many else MAIN) + [FIRST] * (key in ("xor", "adam784"))


def _peak(run: Run, key: str, name: str) -> dict[str, int] | None:
    job = JOBS[key]
    with tempfile.TemporaryDirectory() as empty:
        more = {"PELLUCID_CACHE": empty} if name == FIRST else {}
        try:
            worker = run.pool.fresh(OURS if name == FIRST else name, 1, **more)
            try:
                worker.ask("load", job=dataclasses.asdict(job))
                worker.ask("first", epochs=2 if job.flops > 1e9 else 20)
                return worker.ask("peak")
            finally:
                worker.close()
        except WorkerError as error:
            run.warn(f"memory: {error}")
            return None


# -- growth and precision --------------------------------------------------------------------------

MIDDLE = replace(JOBS["adam64"], key="middle", rows=1024)


def points() -> Iterator[tuple[str, int, Job]]:
    """Yield (axis, x, job): what grows, to how much, and the job that has it so."""
    for batch in (1, 4, 16, 64, 256, 1024):
        yield "batch", batch, replace(MIDDLE, batch=batch, rows=max(1024, 8 * batch))
    for width in (16, 64, 256, 1024):
        yield "width", width, replace(MIDDLE, batch=64, sizes=(64, width, width, 10))
    for depth in (1, 2, 4, 8):
        yield "depth", depth, replace(MIDDLE, batch=64, sizes=(64, *[64] * depth, 10))
    for rows in (256, 1024, 4096, 16384):
        yield "rows", rows, replace(MIDDLE, rows=rows)


def growth(run: Run) -> None:
    """Time a step, or for rows an epoch, while one size grows."""
    for axis, x, job in points():
        _, values = trained(run, job, 1, chosen(run, MAIN), 3, run.options.seconds / 2)
        if axis == "rows":
            values = {n: [v * job.batches for v in each] for n, each in values.items()}
        run.figure(
            "growth", axis=axis, x=x, title=f"{axis} {x:,}: {job.title}", unit="s", threads=1,
            values=values,
        )  # fmt: skip
        run.say(f"{axis} {x}: {told(values)}")


def precision(run: Run) -> None:
    """Time float32 and float64, in the same rounds."""
    for key in ("spiral", "adam64", "adam784"):
        jobs = {dtype: replace(JOBS[key], dtype=dtype) for dtype in ("float32", "float64")}
        turns = {}
        for dtype, job in jobs.items():
            who = trainees(run, job, 1, chosen(run, MAIN), run.options.seconds / 2)
            turns |= {f"{name} {dtype}": one.step for name, one in who.items()}
        found = rounds(run, turns, 3)
        for dtype, job in jobs.items():
            mine = {n.split()[0]: each for n, each in found.items() if n.endswith(dtype)}
            run.figure(
                "precision", key=key, dtype=dtype, title=f"{job.title}, {dtype}", threads=1,
                unit="s", values=mine,
            )  # fmt: skip
            run.say(f"{key} {dtype}: {told(mine)}")
