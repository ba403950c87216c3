"""What the figures say: which targets are met, and where others are faster."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from bench.contestants import KNOWN, OURS
from bench.stats import Spread, ratios, spread
from bench.text import TITLES, number, ratio, seconds, table

Results = dict[str, Any]
Figure = dict[str, Any]

# Least ratios theirs/ours of a training step: against PyTorch eager, and JAX with all in one scan.
TRAINING = {
    "xor": (700, 15),
    "spiral": (50, 4),
    "adam20": (35, 3.2),
    "adam64": (15, 1.9),
    "adam30": (9, 1.7),
    "adam784": (2.4, 1.05),
    "adam2048": (2.2, 1.0),
}
COMPILE = {"cold": {"xor": 1.5}, "warm": {}}  # seconds at most, by network
COMPILE_ANY = {"cold": 3.0, "warm": 0.15}
PREDICT_XOR = 15e-6  # seconds at most, one row


@dataclass(frozen=True)
class Verdict:
    """A target and what was measured; `met` is None where it could not be measured."""

    what: str
    target: str
    measured: str
    met: bool | None

    def row(self) -> list[str]:
        said = {True: "yes", False: "**no**", None: "not measured"}
        return [self.what, self.target, self.measured, said[self.met]]


def compared(figure: Figure, name: str) -> Spread | None:
    """Return theirs/ours by round; None where one of the two is missing."""
    values = figure["values"]
    if not values.get(name) or not values.get(OURS) or not all(v > 0 for v in values[OURS]):
        return None
    return ratios(values[name], values[OURS])


def targets(results: Results) -> list[Verdict]:
    """Judge every target."""
    return [
        *_training(results),
        *_against_torch(results),
        *_seconds_at_most(results),
        *_small_job(results),
    ]


def _of(results: Results, section: str) -> list[Figure]:
    return [figure for figure in results["figures"] if figure["section"] == section]


def _training(results: Results) -> Iterator[Verdict]:
    for figure in _of(results, "training"):
        for name, least in zip(
            ("pytorch", "jax-scan"), TRAINING.get(figure["key"], ()), strict=False
        ):
            found = compared(figure, name)
            threads = f"{figure['threads']} thread" + "s" * (figure["threads"] > 1)
            yield Verdict(
                f"step, {figure['title']}, {threads}, against {TITLES[name]}",
                f"≥ {least}×",
                ratio(found) if found else "",
                found.median >= least if found else None,
            )


def _against_torch(results: Results) -> Iterator[Verdict]:
    for section, what in (("prediction", "predict"), ("memory", "peak memory")):
        for figure in _of(results, section):
            found = compared(figure, "pytorch")
            if figure.get("what") == "peak" or not found:
                continue
            yield Verdict(
                f"{what}, {figure['title']}, against PyTorch",
                "≥ 1×",
                ratio(found),
                found.median >= 1,
            )


def _seconds_at_most(results: Results) -> Iterator[Verdict]:
    for figure in _of(results, "prediction"):
        if figure["key"] == "xor" and figure["rows"] == 1 and figure["values"].get(OURS):
            found = spread(figure["values"][OURS]).median
            yield Verdict("predict, XOR, one row, in time", f"≤ {seconds(PREDICT_XOR)}",
                          seconds(found), found <= PREDICT_XOR)  # fmt: skip
    for found in results.get("compile", []):
        for state in ("cold", "warm"):
            if not found[state]:
                continue
            most = COMPILE[state].get(found["key"], COMPILE_ANY[state])
            median = spread(found[state]).median
            met = None if results.get("fallback") else median <= most
            what = "compile" if state == "cold" else "compiled before, from the cache"
            yield Verdict(f"{what}, {found['title']}", f"≤ {seconds(most)}", seconds(median), met)


def _small_job(results: Results) -> Iterator[Verdict]:
    for figure in _of(results, "cold"):
        if "import-torch" in figure["values"]:
            found = compared(figure, "import-torch")
            yield Verdict(
                f"{figure['title']}, against `import torch` alone",
                "> 1×",
                ratio(found) if found else "",
                found.median > 1 if found else None,
            )


# -- where we lose ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Loss:
    """One figure in which somebody else is better."""

    section: str
    what: str
    who: str
    ratio: Spread  # theirs/ours: below 1, theirs is less

    def row(self) -> list[str]:
        behind = f"{number(1 / self.ratio.median)}×"
        return [self.section, self.what, TITLES[self.who], behind, ratio(self.ratio)]


def losses(results: Results, of: Callable[[str], bool]) -> list[Loss]:
    """Return every figure in which one of these has a median below ours, the worst first."""
    found = []
    for figure in results["figures"]:
        threads = figure.get("threads", 1)
        what = figure["title"] + (f", {threads} threads" if threads > 1 else "")
        section = figure["section"] + (f", {figure['what']}" if "what" in figure else "")
        for name in figure["values"]:
            against = compared(figure, name) if of(name) else None
            if against and against.median < 1:
                found.append(Loss(section, what, name, against))
    return sorted(found, key=lambda loss: loss.ratio.median)


def peer(name: str) -> bool:
    """Whether this is somebody else who does the same work: an import alone is not."""
    return name in KNOWN and not own(name)


def own(name: str) -> bool:
    return name in (OURS, "auto") or name.startswith("pellucid")


def where_we_lose(results: Results) -> list[str]:
    """Write the section, from the figures alone."""
    found, inside = losses(results, peer), losses(results, own)
    missed = [v for v in targets(results) if v.met is False]
    lines = ["## Where we lose", ""]
    if missed:
        lines += [f"{len(missed)} target{'s' * (len(missed) > 1)} missed:", ""]
        lines += [f"- {v.what}: {v.target}, measured {v.measured}" for v in missed] + [""]
    lines += _listed(found, "another's median is below ours")
    return lines + _listed(inside, "our NumPy backend, or an empty cache, does better than "
                           'backend="numba"')  # fmt: skip


def _listed(found: list[Loss], what: str) -> list[str]:
    if not found:
        return [f"There is no figure in this run in which {what}.", ""]
    says = (
        f"Every figure in which {what} ({len(found)}), the worst first. The last column is by "
        "round: where it reaches beyond 1, some rounds went the other way."
    )
    head = ["section", "what", "who is ahead", "by", "theirs / ours (min-max)"]
    return [says, "", *table(head, [loss.row() for loss in found], words=3)]
