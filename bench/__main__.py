"""`python -m bench`: measure everything side by side and write bench/RESULTS.md and results.json.

A part of it (`--quick`, `--only`, `--threads`, `--sections`) goes to bench/partial/ instead.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

from bench import environment, sections
from bench.contestants import ENTRIES
from bench.jobs import JOBS
from bench.measure import Options, Run
from bench.optimizers import optimizers
from bench.pool import Pool
from bench.report import rendered

HERE = Path(__file__).parent
SECTIONS = {
    "networks": sections.networks,
    "compile": sections.compiling,
    "memory": sections.memory,
    "cold": sections.cold,
    "growth": sections.growth,
    "precision": sections.precision,
    "optimizers": optimizers,
}
QUICK = ["xor", "adam64", "adam784"]


def main(arguments: list[str]) -> int:
    """Run what is asked for; write what was found."""
    asked = parsed(arguments)
    if asked.render:
        return write(json.loads(Path(asked.render).read_text()), Path(asked.render).parent)
    options = options_of(asked)
    names, missing = participants()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        run = Run(options, Pool(Path(folder)), names)
        run.results |= {
            "machine": environment.machine(),
            "missing": missing,
            "options": vars(options),
            "figures": [],
        }
        try:
            for name in sections_of(asked):
                SECTIONS[name](run)
        finally:
            run.pool.close()
    run.results["minutes"] = (time.monotonic() - run.started) / 60
    return write(run.results, HERE / "partial" if options.partial else HERE)


def parsed(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench, ARGS=", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a rough picture in two minutes")
    parser.add_argument("--only", metavar="KEYS", help=f"networks, of: {', '.join(JOBS)}")
    parser.add_argument("--sections", metavar="NAMES", help=f"of: {', '.join(SECTIONS)}")
    parser.add_argument("--threads", metavar="COUNTS", help="thread counts, such as 1 or 1,2")
    parser.add_argument("--rounds", type=int, help="turns for everyone (7)")
    parser.add_argument("--render", metavar="JSON", help="write the page of an earlier run again")
    asked = parser.parse_args(arguments)
    for given, known in ((asked.only, JOBS), (asked.sections, SECTIONS)):
        for name in (given or "").split(",") if given else []:
            if name not in known:
                parser.error(f"unknown: {name}; known: {', '.join(known)}")
    return asked


def options_of(asked: argparse.Namespace) -> Options:
    keys = asked.only.split(",") if asked.only else QUICK if asked.quick else list(JOBS)
    counts = asked.threads or ("1" if asked.quick else "1,2")
    cores = len(environment.cores())
    threads = [n for n in map(int, counts.split(",")) if n <= cores]
    partial = bool(asked.quick or asked.only or asked.sections or asked.threads or asked.rounds)
    return Options(
        keys, threads, asked.rounds or (3 if asked.quick else 7), 0.1 if asked.quick else 0.3,
        asked.quick, partial,
    )  # fmt: skip


def sections_of(asked: argparse.Namespace) -> list[str]:
    if asked.sections:
        return asked.sections.split(",")
    if asked.only:
        return ["networks", "compile", "memory"]
    return ["networks", "compile", "memory", "cold"] if asked.quick else list(SECTIONS)


def participants() -> tuple[list[str], dict[str, str]]:
    """Return who can take part, and why others cannot."""
    missing = {name: f"{e.missing} is not installed" for name, e in ENTRIES.items() if e.missing}
    if "pytorch-compiled" not in missing and not environment.compiler():
        missing["pytorch-compiled"] = "no C++ compiler"
    return [name for name in ENTRIES if name not in missing], missing


def write(results: dict, folder: Path) -> int:
    folder.mkdir(exist_ok=True)
    (folder / "results.json").write_text(json.dumps(results, indent=1) + "\n")
    (folder / "RESULTS.md").write_text(rendered(results))
    print(f"written: {folder / 'RESULTS.md'}, {folder / 'results.json'}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
