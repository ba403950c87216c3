"""The parent's side of the pipes: contestants that sleep, woken one at a time."""

from __future__ import annotations

import json
import select
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from bench import environment

PATIENCE = 300.0  # seconds for one answer; a first torch.compile may take a minute
QUIET, GLANCE, LONGEST = 0.0005, 0.004, 1.0  # seconds of work, between two looks, and in all


class WorkerError(Exception):
    """A contestant failed, died or did not answer."""


class Worker:
    """One contestant's process."""

    def __init__(self, name: str, threads: int, log: Path, **more: str) -> None:
        self.name, self.threads, self.restless = name, threads, False
        self.log = log.open("a")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "bench.worker", name, str(threads)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True,
            cwd=environment.ROOT, env=environment.variables(threads, **more),
        )  # fmt: skip
        try:
            self.imports = self.ask("hello")["imports"]
        except WorkerError:
            self.close()
            raise

    def ask(self, what: str, **settings: Any) -> dict[str, Any]:
        """Wake the contestant, wait for its answer, and until its threads sleep."""
        pipe = self.process
        try:
            print(json.dumps({"do": what} | settings), file=pipe.stdin, flush=True)
            ready, _, _ = select.select([pipe.stdout], [], [], PATIENCE)
            line = pipe.stdout.readline() if ready else ""
        except OSError:
            line = ""
        if not line:
            self.process.kill()
            raise WorkerError(f"{self.name}: no answer to {what}")
        found = json.loads(line)
        if "error" in found:
            raise WorkerError(f"{self.name}: {found['error']}")
        self.settle()
        return found

    def settle(self) -> None:
        """Wait while this process's threads still spin: they would slow the next contestant."""
        end, before = time.monotonic() + LONGEST, self._worked()
        while time.monotonic() < end:
            time.sleep(GLANCE)
            now = self._worked()
            if now - before < QUIET:
                return
            before = now
        self.restless = True

    def _worked(self) -> float:
        """Seconds that all threads have worked; 0 where the system does not say."""
        total = 0
        for thread in Path(f"/proc/{self.process.pid}/task").glob("*/schedstat"):
            try:
                total += int(thread.read_text().split()[0])
            except (OSError, IndexError):
                continue
        return total / 1e9

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout, self.log):
            pipe.close()


class Pool:
    """Workers by name, threads and dtype: started when first wanted, and kept."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.workers = folder, dict[tuple[str, int, str], Worker]()

    def get(self, name: str, threads: int, dtype: str = "float32") -> Worker:
        key = name, threads, dtype
        worker = self.workers.get(key)
        if worker is None or worker.process.poll() is not None:
            self.workers[key] = self.fresh(name, threads)
        return self.workers[key]

    def fresh(self, name: str, threads: int, **more: str) -> Worker:
        """Start a process that is not kept; pellucid's cache is this run's own unless given."""
        places = {
            "PELLUCID_CACHE": str(self.folder / "pellucid"),
            "TORCHINDUCTOR_CACHE_DIR": str(self.folder / "inductor"),
        }
        return Worker(name, threads, self.folder / f"{name}.log", **places | more)

    def close(self, but: Iterable[Worker] = ()) -> None:
        """End all processes."""
        for key, worker in list(self.workers.items()):
            if worker not in but:
                worker.close()
                del self.workers[key]
