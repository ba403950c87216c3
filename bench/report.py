"""The page of results, written from the run's figures and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from typing import Any

from bench.choices import OPTIMIZERS as OPTIMIZER_KEYS
from bench.choices import SCHEDULES as SCHEDULE_KEYS
from bench.contestants import ENTRIES, OURS
from bench.jobs import NOTES
from bench.stats import exponent, ratios, spread
from bench.text import TITLES, number, ratio, seconds, size, table
from bench.verdict import compared, targets, where_we_lose

Results = dict[str, Any]
Figure = dict[str, Any]
Lines = list[str]

HOW = """\
Every contestant is a process of its own. They take turns: one works, the others sleep, and the next
begins when its threads are quiet. A turn is at least {seconds} s of training (counts are
calibrated), compiling apart, and starts from the same weights; there are {rounds} turns for each (3
for slow ones that no target is about, and in the sections on growth and precision). **A ratio is
theirs / ours within one round: above 1, ours is faster.** What is shown is the median of the
rounds, the least and the greatest in brackets; in bold where the others are ahead. All use the same
dtype (float32 where nothing else is said), batches, optimizer, activations, shuffle every epoch and
gather their batches; softmax and cross-entropy are taken from scores. Ours is `model.fit(...,
verbose=0, backend="numba")`, with history and the guard. Thread counts are set by variables and by
the cores that a process may use; variables that pin kernels are cleared."""


OPTIMIZERS = """\
A step of 64-128-64-10 on batches of 32, float32, {threads} thread, with every optimizer, and with
every schedule on SGD: ours compiled, the others as theirs / ours within one round (above 1, ours is
faster). PyTorch steps its schedule after every update, as it is meant to; ours is a line of the
compiled step. LBFGS is not compiled: its row has our NumPy backend in the place of ours, and a step
of it is up to 20 iterations on all 2,048 rows. PyTorch has no Lion, and `fused=True` for some. The
losses are those on all rows after the same epochs from the same weights."""


def rendered(results: Results) -> str:
    """Return the page."""
    parts = [_head, _warnings, _targets, _training, _prediction, _cold, _compile, _memory,
             _growth, _precision, _optimizers, _proof, where_we_lose]  # fmt: skip
    lines = [line for part in parts for line in part(results)]
    return "\n".join(lines).rstrip() + "\n"


def _of(results: Results, section: str) -> list[Figure]:
    return [figure for figure in results["figures"] if figure["section"] == section]


def _median(figure: Figure, name: str, show: Callable[[float], str] = seconds) -> str:
    values = figure["values"].get(name)
    return show(spread(values).median) if values else "-"


def _ratio(figure: Figure, name: str) -> str:
    found = compared(figure, name)
    if name == OURS or not found:
        return "1" if name == OURS else "-"
    return ratio(found, bold=found.median < 1)


def _columns(figures: list[Figure]) -> list[str]:
    """Return the contestants of these figures, in the order in which they are entered."""
    there = {name for figure in figures for name in figure["values"]}
    return [name for name in TITLES if name in there]


# -- the head --------------------------------------------------------------------------------------


def _head(results: Results) -> Lines:
    machine, options = results["machine"], results["options"]
    part = " This is a part of the benchmarks only." if options["partial"] else ""
    facts = [
        ["CPU", machine["cpu"]],
        ["cores", str(machine["cores"])],
        ["system", machine["system"]],
        ["versions", ", ".join(f"{k} {v}" for k, v in _versions(machine).items())],
        ["C++ compiler", machine["compiler"] or "none"],
        ["variables found set, and cleared", _cleared(machine)],
        ["load when it began (1, 5, 15 minutes)", ", ".join(map(str, machine["load"])) or "?"],
        ["left out", _missing(results)],
    ]
    said = f"Written by `make bench` on {machine['date']}, in {results['minutes']:.0f} minutes."
    how = HOW.format(seconds=options["seconds"], rounds=options["rounds"])
    return ["# Benchmarks", "", f"{said}{part}", "", *table(["", ""], facts, 2), how, ""]


def _versions(machine: dict[str, Any]) -> dict[str, str]:
    return {"Python": machine["python"]} | machine["versions"]


def _cleared(machine: dict[str, Any]) -> str:
    return ", ".join(f"`{k}={v}`" for k, v in machine["cleared"].items()) or "none"


def _missing(results: Results) -> str:
    found = [f"{TITLES[name]}: {why}" for name, why in results["missing"].items()]
    return "; ".join(found) or "nobody"


def _warnings(results: Results) -> Lines:
    found = results.get("warnings", [])
    return ["**Mind:**", "", *(f"- {text}" for text in found), ""] if found else []


def _targets(results: Results) -> Lines:
    found = targets(results)
    if not found:
        return []
    met = sum(v.met is True for v in found)
    lines = ["## Targets", "", f"{met} of {len(found)} are met.", ""]
    head = ["target", "at least or at most", "measured", "met"]
    return lines + table(head, [v.row() for v in found], words=1)


# -- training --------------------------------------------------------------------------------------


def _training(results: Results) -> Lines:
    figures = _of(results, "training")
    lines = ["## Training", ""] if figures else []
    for figure in figures:
        threads = f"{figure['threads']} thread" + "s" * (figure["threads"] > 1)
        lines += [f"### {figure['title']}, {threads}", ""]
        lines += [NOTES[figure["key"]], ""] if figure["key"] in NOTES else []
        bound = _limit(results, figure)
        rows = [_training_row(results, figure, name, bound) for name in _columns([figure])]
        head = ["", "a step", "an epoch", "theirs / ours", "times the limit", "first call"]
        lines += table(head, rows) + _limit_lines(results, figure)
    if figures:
        lines += ["*First call*: what it takes beyond a second one, which is mostly compiling; a "
                  "dash is less than 1 ms. *Times the limit*: the limit is under each table, for "
                  "its network and thread count.", ""]  # fmt: skip
    return lines


def _training_row(results: Results, figure: Figure, name: str, bound: float) -> list[str]:
    values, wrong = figure["values"][name], _wrong(results, figure, name)
    step = spread(values).median if values else float("nan")
    return [
        TITLES[name] + (" ⚠ did not train as the others did" if wrong else ""),
        seconds(step),
        seconds(step * figure["batches"]),
        _ratio(figure, name),
        f"{number(step / bound)}×" if bound else "-",
        seconds(first) if (first := figure["first"].get(name, 0.0)) >= 1e-3 else "-",
    ]


def _wrong(results: Results, figure: Figure, name: str) -> bool:
    place = figure["key"], figure["threads"]
    proofs = [p for p in results.get("proof", []) if (p["key"], p["threads"]) == place]
    return any(name in proof["wrong"] for proof in proofs)


def _limit_of(results: Results, figure: Figure) -> dict[str, Any] | None:
    place = figure["key"], figure["threads"]
    found = [x for x in results.get("limits", []) if (x["key"], x["threads"]) == place]
    return found[0] if found and found[0]["products"] else None


def _limit(results: Results, figure: Figure) -> float:
    found = _limit_of(results, figure)
    return min(found["products"].values()) + found["moved"] / found["bandwidth"] if found else 0.0


def _limit_lines(results: Results, figure: Figure) -> Lines:
    found = _limit_of(results, figure)
    if not found:
        return []
    who, best = min(found["products"].items(), key=lambda pair: pair[1])
    traffic, rate = found["moved"] / found["bandwidth"], _best_rate(results, figure["threads"])
    others = ", ".join(
        f"{TITLES[n]} {seconds(s)}" for n, s in found["products"].items() if n != who
    )
    return [
        f"The limit is {seconds(best + traffic)}: {seconds(best)} for the products alone "
        f"({TITLES[who]}, {number(found['flops'] / best / 1e9)} GFLOP/s; {others}), and "
        f"{seconds(traffic)} for the {size(found['moved'])} that the optimizer moves, at "
        f"{number(found['bandwidth'] / 1e9)} GB/s as measured by copying as much. At the best rate "
        f"of any network in this run, {number(rate / 1e9)} GFLOP/s, the products would take "
        f"{seconds(found['flops'] / rate)}.",
        "",
    ]


def _best_rate(results: Results, threads: int) -> float:
    """Return the most operations in a second that any library reached at any network."""
    limits = [x for x in results["limits"] if x["threads"] == threads and x["products"]]
    return max(x["flops"] / min(x["products"].values()) for x in limits)


# -- the other sections ----------------------------------------------------------------------------


def _wide(figures: list[Figure], what: str, show: Callable[[float], str] = seconds) -> Lines:
    """Write a row for each figure: ours, and everyone's ratio to it."""
    others = [name for name in _columns(figures) if name != OURS]
    head = [what, "ours", *(TITLES[name] for name in others)]
    rows = []
    for figure in figures:
        threads = ", 2 threads" if figure.get("threads", 1) == 2 else ""
        shown = [_ratio(figure, name) for name in others]
        rows.append([figure["title"] + threads, _median(figure, OURS, show), *shown])
    return table(head, rows)


def _prediction(results: Results) -> Lines:
    figures = _of(results, "prediction")
    if not figures:
        return []
    says = "Calls of `predict` with an array, against the others' with rows in their own form."
    return ["## Prediction", "", says, "", *_wide(figures, "network, rows")]


def _cold(results: Results) -> Lines:
    figures = _of(results, "cold")
    lines = ["## Cold start", ""] if figures else []
    for figure in figures:
        rows = [[TITLES[n], _median(figure, n), _ratio(figure, n)] for n in _columns([figure])]
        lines += [f"### {figure['title']}", "", *table(["", "seconds", "theirs / ours"], rows)]
    if figures:
        lines += ["New processes from start to exit, imports and all; no thread count set; byte "
                  "code and compiled programs are on disk from an earlier one.", ""]  # fmt: skip
    return lines


def _compile(results: Results) -> Lines:
    found = results.get("compile", [])
    if not found:
        return []
    states = ("cold", "warm", "predict cold", "predict warm")
    rows = [
        [x["title"], *(seconds(spread(x[s]).median) if x[s] else "-" for s in states)]
        for x in found
    ]
    head = ["network", "fit, empty cache", "fit, from the cache", "predict, empty cache",
            "predict, from the cache"]  # fmt: skip
    says = "In new processes, beyond a second call; Numba and SciPy are imported before."
    return ["## Compile time", "", says, "", *table(head, rows)]


def _memory(results: Results) -> Lines:
    figures = _of(results, "memory")
    lines = ["## Peak memory", ""] if figures else []
    says = {
        "rise": "How far building the model and training it raised the peak above what the "
        "process held after its imports, with the data in memory (JAX compiles meanwhile; ours has "
        "its compiled programs in the cache, but for the column that says otherwise):",
        "peak": "The peak of the whole process:",
    }
    for what, sentence in says.items():
        chosen = [figure for figure in figures if figure["what"] == what]
        if chosen:
            lines += [sentence, "", *_wide(chosen, "network", size)]
    return lines


def _growth(results: Results) -> Lines:
    figures = _of(results, "growth")
    lines = ["## How cost grows", ""] if figures else []
    for axis, group in groupby(figures, key=lambda figure: figure["axis"]):
        chosen = list(group)
        names = _columns(chosen)
        what = "an epoch" if axis == "rows" else "a step"
        head = [axis, *(f"{TITLES[name]}: {what}" for name in names)]
        rows = [[f"{f['x']:,}", *(_median(f, name) for name in names)] for f in chosen]
        rows.append(["**exponent**", *(_exponents(chosen, name) for name in names)])
        lines += [f"### {axis.capitalize()}: {_shape(chosen)}", "", *table(head, rows)]
    if figures:
        lines += ["The exponent p of cost ~ size^p, fitted on a log-log scale: over all points, "
                  "and in brackets between the last two.", ""]  # fmt: skip
    return lines


def _shape(figures: list[Figure]) -> str:
    first, last = (f["title"].split(": ", 1)[1] for f in (figures[0], figures[-1]))
    return first if first == last else f"from {first} to {last}"


def _exponents(figures: list[Figure], name: str) -> str:
    points = [(f["x"], spread(f["values"][name]).median) for f in figures if f["values"].get(name)]
    if len(points) < 2:
        return "-"
    xs, ys = zip(*points, strict=True)
    return f"{exponent(xs, ys):.2f} ({exponent(xs[-2:], ys[-2:]):.2f})"


def _precision(results: Results) -> Lines:
    figures = _of(results, "precision")
    if not figures:
        return []
    by = {(f["key"], f["dtype"]): f for f in figures}
    names = _columns(figures)
    rows = []
    for key in dict.fromkeys(f["key"] for f in figures):
        pair = by.get((key, "float32")), by.get((key, "float64"))
        if all(pair):
            rows.append([pair[0]["title"].removesuffix(", float32"),
                         *(_twice(*pair, name) for name in names)])  # fmt: skip
    says = "A step in float32, in float64, and how many times as long that takes."
    lines = ["## float32 and float64", "", says, ""]
    lines += table(["network", *(TITLES[name] for name in names)], rows)
    wide = [figure for figure in figures if figure["dtype"] == "float64"]
    return [*lines, "In float64, theirs / ours:", "", *_wide(wide, "network")]


def _twice(single: Figure, double: Figure, name: str) -> str:
    pair = [figure["values"].get(name) for figure in (single, double)]
    if not all(pair):
        return "-"
    a, b = (spread(values).median for values in pair)
    return f"{seconds(a)}, {seconds(b)}, {number(b / a)}×"


def _optimizers(results: Results) -> Lines:
    figures = _of(results, "optimizers")
    if not figures:
        return []
    own = results.get("optimizers")
    lines = ["## Optimizers and schedules", "", OPTIMIZERS.format(threads=1), ""]
    if own:
        how = f"{own['rounds']} turns of {own['seconds']} s each; load when it began: {own['load']}"
        lines += [f"Written by `python -m bench.optimizers` on {own['date']}, {how}.", ""]
        lines += [*(f"- {text}" for text in own["warnings"]), ""] if own["warnings"] else []
    for what, keys in (("optimizer", OPTIMIZER_KEYS), ("schedule", SCHEDULE_KEYS)):
        chosen = [figure for figure in figures if figure["key"] in keys]
        others = [name for name in _columns(chosen) if name != OURS]
        head = [what, "ours", *(TITLES[name] for name in others), "loss: ours", "PyTorch's"]
        lines += table(head, [_optimizer_row(figure, others) for figure in chosen])
    return lines


def _optimizer_row(figure: Figure, others: list[str]) -> list[str]:
    """Write ours and the ratios to it; to the NumPy backend, where ours is not compiled."""
    base = OURS if figure["values"].get(OURS) else "pellucid-numpy"
    row = [figure["title"], _median(figure, base)]
    for name in others:
        found = figure["values"].get(name)
        against = ratios(found, figure["values"][base]) if found and name != base else None
        row.append(ratio(against, bold=against.median < 1) if against else "-")
    losses = figure["losses"]
    told = [losses.get(base), losses.get("pytorch")]
    return [*row, *("-" if x is None else f"{x:.4f}" for x in told)]


def _proof(results: Results) -> Lines:
    found = results.get("proof", [])
    if not found:
        return []
    names = [name for name in ENTRIES if any(name in p["alike"] for p in found)]
    head = ["network", "before", *(TITLES[name] for name in names)]
    rows = []
    for p in found:
        shown = [_losses(p, name) for name in names]
        rows.append([f"{p['title']}, {p['threads']}", f"{p['before']:.4f}", *shown])
    says = (
        "The loss on all rows, computed by the harness in float64 from the weights that a "
        "contestant hands back: after the same epochs from the same weights (orders of shuffling "
        "differ), and in brackets after its last timed turn. scikit-learn has one output where "
        "there are two classes. The number after the network is that of threads."
    )
    return ["## Did everyone train?", "", says, "", *table(head, rows)]


def _losses(proof: dict[str, Any], name: str) -> str:
    if name not in proof["alike"]:
        return "-"
    mark = " ⚠" if name in proof["wrong"] else ""
    timed = f"{proof['timed'][name]:.4f}" if name in proof["timed"] else "-"
    return f"{proof['alike'][name]:.4f} ({timed}){mark}"
