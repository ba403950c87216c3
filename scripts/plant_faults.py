"""Plant faults, one at a time: each must make some check fail.  `make faults` lists survivors.

Every op entry and every rule gets each class of fault that can be planted in it: a factor, a sign,
a transpose, a sum over the batch added or dropped, an un-broadcast dropped, swapped operands; in
the slope of each operand, in the NumPy text, in the right-hand side.  The machinery around them
(undoing a broadcast, matching, rewriting) gets the same as changes of its source text.

A fault that survives is equivalent if it gives the very same graph, which is found out by itself,
or for a reason that is written down below; anything else is a missing test.

    python scripts/plant_faults.py [--only NAME ...] [--workers N]
"""

from __future__ import annotations

import argparse
import ast
import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

import contracts  # noqa: E402

from pellucid import op as registry  # noqa: E402
from pellucid import ops  # noqa: E402
from pellucid.graph import Node, build, lift, order  # noqa: E402
from pellucid.rewrite import Fold, Rule, substitute  # noqa: E402
from pellucid.rules import FOLDS, RULES  # noqa: E402

OPS = registry.OPS
Change = Callable[..., Any]


# -- what a fault does to a node -------------------------------------------------------------------


def doubled(node: Node, *_: Node) -> Node:
    return 2 * node


def negated(node: Node, *_: Node) -> Node:
    return -node


def transposed(node: Node, *_: Node) -> Node:
    """The last two axes exchanged, where there are two."""
    return node.mT if node.ndim > 1 else node


def summed(node: Node, *_: Node) -> Node:
    """Every row is the sum of all rows."""
    if not node.ndim:
        return node
    return ops.broadcast_to(ops.sum(node, 0, True), node.shape)


def unsummed(node: Node, *below: Node) -> Node:
    """The sums on the way to `below` gone: instead of it the first of what was summed."""
    inner = [n for n in order([node], stop=below) if n not in below and _is(n, "sum")]
    return substitute([node], {n: _first(n) for n in inner})[0] if inner else node


def _is(node: Node, name: str) -> bool:
    return node.op is not None and node.op.name == name


def _first(total: Node) -> Node:
    x, axis = total.args[0], total.settings["axis"]
    axes = range(x.ndim) if axis is None else [axis] if isinstance(axis, int) else axis
    keep = total.settings["keepdims"]
    gone = [slice(0, 1) if keep else 0 if k in axes else slice(None) for k in range(x.ndim)]
    gone = [g if k in axes else slice(None) for k, g in enumerate(gone)]
    return x[tuple(gone)]


def unspread(node: Node, x: Node) -> Node:
    """The un-broadcast gone: where the operand was stretched, its first copy instead of the sum."""
    extra = node.ndim - x.ndim
    if extra > 0:
        node = node[(0,) * extra]
    if node.ndim != x.ndim:
        return node
    short = [s == 1 and n != 1 for s, n in zip(x.shape, node.shape, strict=True)]
    return node[tuple(slice(0, 1) if s else slice(None) for s in short)] if any(short) else node


def swapped_at(spot: int) -> Change:
    """The operands of one op inside exchanged: the `spot`-th of those that do not commute."""

    def change(node: Node, *below: Node) -> Node:
        found = [n for n in order([node], stop=below) if n not in below and _swappable(n)]
        if spot >= len(found):
            return node
        old = found[spot]
        args = _exchanged(old.args)
        return substitute([node], {old: build(old.op, args, old.attrs)})[0]

    return change


def _swappable(node: Node) -> bool:
    return node.op is not None and len(node.args) > 1 and not node.op.commutes


def _exchanged(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The last two exchanged: of `where`, what it chooses from."""
    return (*args[:-2], args[-1], args[-2])


CHANGES: dict[str, Change] = {
    "a factor": doubled, "a sign": negated, "a transpose": transposed,
    "a sum over the batch added": summed, "a sum dropped": unsummed,
} | {f"swapped operands inside, {k + 1}": swapped_at(k) for k in range(6)}  # fmt: skip


# -- planting --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Fault:
    """A change planted in one place."""

    kind: str  # op, rule or fold
    name: str
    place: str
    change: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}, {self.place}: {self.change}"


@contextmanager
def put(target: Any, field: str, value: Any) -> Iterator[None]:
    """Give a frozen entry another value, for a while."""
    before = getattr(target, field)
    object.__setattr__(target, field, value)
    try:
        yield
    finally:
        object.__setattr__(target, field, before)


CHANGED: list[Fault] = []  # planted faults that have altered some graph


def slope_with(fault: Fault) -> Any:
    """Return an entry's slopes with a fault in one, or in all that come together."""
    slopes = OPS[fault.name].vjp
    if not isinstance(slopes, tuple):
        return lambda g, y, *xs, **settings: _all_with(fault, slopes, g, y, xs, settings)
    k = int(fault.place.split()[-1])

    def one(g: Node, y: Node, *xs: Node, **settings: Any) -> Node:
        plain = lift(slopes[k](g, y, *xs, **settings))
        if fault.change == "swapped operands":
            new = lift(slopes[k](g, y, *_exchanged(xs), **settings))
        elif fault.change == "operand and result swapped":
            new = lift(slopes[k](g, xs[0], y, *xs[1:], **settings))
        else:
            new = _changed(fault, plain, xs[min(k, len(xs) - 1)], (g, y, *xs))
        return noted(fault, plain, new)

    return (*slopes[:k], one, *slopes[k + 1 :])


def _all_with(fault: Fault, slopes: Any, g: Node, y: Node, xs: Any, settings: Any) -> list[Any]:
    plain = slopes(g, y, *xs, **settings)
    if fault.change == "swapped operands":
        return [noted(fault, a, b) for a, b in zip(plain, plain[::-1], strict=True)]
    pairs = zip(plain, xs, strict=True)
    new = [p if p is None else _changed(fault, lift(p), x, (g, y, *xs)) for p, x in pairs]
    return [noted(fault, a, b) for a, b in zip(plain, new, strict=True)]


def _changed(fault: Fault, part: Node, x: Node, below: tuple[Node, ...]) -> Node:
    if fault.change == "an un-broadcast dropped":
        return unspread(part, x)
    new: Node = CHANGES[fault.change](part, *below)
    return new


def noted(fault: Fault, plain: Any, new: Any) -> Any:
    """Return the new node, and remember that it is another one: equal nodes are one node."""
    if new is not plain:
        CHANGED.append(fault)
    return new


TEXTS = {
    "a factor": "2 * ({})",
    "a sign": "-({})",
    "a transpose": "np.swapaxes({0}, -1, -2) if np.ndim({0}) > 1 else {0}",
    "a sum over the batch added": "{0} * 0 + np.sum({0}, 0)[None] if np.ndim({0}) else {0}",
    "a constant added": "({}) + 1e-9",
    "not": "np.logical_not({})",
}


class _Returns(ast.NodeTransformer):
    """Change what a function returns."""

    def __init__(self, form: str) -> None:
        self.form = form

    def visit_Return(self, node: ast.Return) -> ast.Return:
        assert node.value is not None
        return ast.Return(ast.parse(self.form.format(ast.unparse(node.value)), mode="eval").body)


class _Names(ast.NodeTransformer):
    """Exchange names in a text."""

    def __init__(self, places: dict[str, str]) -> None:
        self.places = places

    def visit_Name(self, node: ast.Name) -> ast.Name:
        return ast.Name(self.places.get(node.id, node.id), node.ctx)


def text_with(entry: Any, change: str) -> str:
    """Return the NumPy text of an entry with a fault in it."""
    source = entry.numpy
    if change == "swapped operands":
        *_, a, b = (o.lstrip("*") for o in entry.operands)
        tree = ast.parse(source)
        if entry.helper:
            body = tree.body[0]
            body.body = [_Names({a: b, b: a}).visit(part) for part in body.body]  # type: ignore[attr-defined]
        else:
            tree = _Names({a: b, b: a}).visit(tree)
        return ast.unparse(tree)
    if change == "operands reversed":
        return source.replace("*xs", "*xs[::-1]")
    if change == "a sum dropped":
        return ast.unparse(_Names({"x": "x[:1]"}).visit(ast.parse(source)))
    if entry.helper:
        return ast.unparse(
            ast.fix_missing_locations(_Returns(TEXTS[change]).visit(ast.parse(source)))
        )
    return TEXTS[change].format(source)


@contextmanager
def text_put(entry: Any, source: str) -> Iterator[None]:
    """Give an entry another NumPy text, for a while."""
    name, before = entry.helper, entry.numpy
    with put(entry, "numpy", source):
        _say(name, source)
        registry._compiled.clear()
        try:
            yield
        finally:
            _say(name, before)
            registry._compiled.clear()


def _say(helper: str, source: str) -> None:
    if helper:
        registry.HELPERS[helper] = source
        registry.scope([helper])
        exec(source, registry._scope)


def right_with(rule: Rule, fault: Fault) -> Any:
    """Return a rule's sides with a fault in the right one."""
    sides = rule.sides

    def faulty(*holes: Node, **settings: Any) -> tuple[Any, Any]:
        left, right = sides(*holes, **settings)
        if fault.change == "swapped holes":
            new = lift(sides(*_exchanged(holes), **settings)[1])
        else:
            new = CHANGES[fault.change](lift(right), *holes)
        return left, noted(fault, lift(right), new)

    return faulty


def spelling_with(fault: Fault) -> Any:
    """Return an entry's spelling in smaller ops with a fault in it."""
    spelled = OPS[fault.name].same_as
    assert spelled is not None

    def faulty(*xs: Node, **settings: Any) -> Node:
        plain = lift(spelled(*xs, **settings))
        if fault.change == "swapped operands":
            return noted(fault, plain, lift(spelled(*_exchanged(xs), **settings)))
        return noted(fault, plain, CHANGES[fault.change](plain, *xs))

    return faulty


def fold_with(fold: Fold, fault: Fault) -> Any:
    """Return a fold's function with a fault in what it gives."""
    apply = fold.apply

    def faulty(node: Node) -> Node | None:
        plain = apply(node)
        return None if plain is None else noted(fault, plain, CHANGES[fault.change](plain))

    return faulty


@contextmanager
def planted(fault: Fault) -> Iterator[None]:
    """Plant one fault, for a while."""
    if fault.kind == "rule":
        rule = next(r for r in RULES if r.name == fault.name)
        with put(rule, "sides", right_with(rule, fault)):
            yield
    elif fault.kind == "fold":
        fold = next(f for f in FOLDS if f.name == fault.name)
        with put(fold, "apply", fold_with(fold, fault)):
            yield
    elif fault.place == "same as":
        with put(OPS[fault.name], "same_as", spelling_with(fault)):
            yield
    elif fault.place == "numpy":
        with text_put(OPS[fault.name], text_with(OPS[fault.name], fault.change)):
            yield
    else:
        with put(OPS[fault.name], "vjp", slope_with(fault)):
            yield


# -- which faults there are ------------------------------------------------------------------------


def faults_of(kind: str, name: str) -> Iterator[Fault]:
    """Yield every fault that can be planted in an op, a rule or a fold."""
    changes = {"op": _op_changes, "rule": _rule_changes, "fold": _fold_changes}[kind](name)
    yield from (Fault(kind, name, place, change) for place, change in changes)


def _rule_changes(name: str) -> Iterator[tuple[str, str]]:
    holes = next(r for r in RULES if r.name == name).holes
    for change in [*CHANGES, *["swapped holes"] * (len(holes) > 1)]:
        yield "right side", change


def _fold_changes(name: str) -> Iterator[tuple[str, str]]:
    yield from (("result", change) for change in list(CHANGES)[:4])


def _op_changes(name: str) -> Iterator[tuple[str, str]]:
    entry = OPS[name]
    yield from (("numpy", change) for change in _text_changes(entry))
    if entry.same_as:
        swaps = ["swapped operands"] * (len(entry.operands) > 1)
        yield from (("same as", change) for change in [*CHANGES, *swaps])
    for place in _slopes_of(entry):
        yield from ((place, change) for change in _slope_changes(entry))


def _slopes_of(entry: Any) -> list[str]:
    if isinstance(entry.vjp, tuple):
        return [f"slope {k}" for k, rule in enumerate(entry.vjp) if rule]
    return ["slopes"] if entry.vjp else []


def _text_changes(entry: Any) -> Iterator[str]:
    yield from ("a factor", "a sign", "a transpose", "a sum over the batch added")
    yield "not" if entry.dtype.__name__ == "boolean" else "a constant added"
    if len(entry.operands) > 1 and entry.name != "custom":
        yield "swapped operands"
    if "*xs" in entry.numpy:
        yield "operands reversed"
    if entry.kind in ("reduce", "contract") and "x" in entry.operands:
        yield "a sum dropped"


def _slope_changes(entry: Any) -> Iterator[str]:
    yield from CHANGES
    yield "an un-broadcast dropped"
    if len(entry.operands) > 1 or entry.operands[0].startswith("*"):
        yield "swapped operands"
    if isinstance(entry.vjp, tuple):
        yield "operand and result swapped"


# -- judging ---------------------------------------------------------------------------------------

# by op or rule, place and change: why the fault changes no value
SYMMETRIC = "it does not depend on the order of its operands"
EQUIVALENT: dict[tuple[str, str, str], str] = {
    **{(name, "numpy", "swapped operands"): SYMMETRIC for name in
       ("equal", "not_equal", "logical_and", "logical_or", "logical_xor")},
    ("relu", "slope 0", "operand and result swapped"): "relu(x) <= 0 exactly where x <= 0",
    ("log_softmax", "slope 0", "operand and result swapped"):
        "the softmax of a log-softmax is the softmax: both differ by a constant along the axis",
    ("dim", "numpy", "a transpose"): "a size is a single number",
    ("dim", "numpy", "a sum over the batch added"): "a size is a single number",
    ("flat", "numpy", "a transpose"): "one row has no second axis",
    **{(name, "right side", "swapped holes"): "the right side is symmetric in both" for name in
       ("minus a negative", "negative factor", "constant times a negative",
        "negative of a constant multiple", "constants come first")},
}  # fmt: skip


def verdict(fault: Fault) -> str:
    """Return what became of a fault: killed, nothing changed, equivalent, or survived."""
    CHANGED.clear()
    with planted(fault):
        alive = passes(fault)
    if not alive:
        return "killed"
    if fault.place != "numpy" and not CHANGED:
        return "nothing changed"
    if fault.change == "swapped operands" and fault.place == "numpy" and OPS[fault.name].commutes:
        return "equivalent: it commutes, which has a test of its own"
    reason = EQUIVALENT.get((fault.name, fault.place, fault.change))
    return f"equivalent: {reason}" if reason else "survived"


def passes(fault: Fault) -> bool:
    """Say whether every check of the op or rule passes, with whatever is planted."""
    checks = getattr(contracts, f"{fault.kind}_checks")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for check in checks(fault.name):
            try:
                check()
            except Exception:  # whatever is raised, the fault was seen
                return False
    return True


def judged(place: tuple[str, str]) -> list[tuple[Fault, str]]:
    """Return the verdict on every fault of one op or rule."""
    kind, name = place
    if not passes(Fault(kind, name, "", "")):
        return [(Fault(kind, name, "", "no fault"), "fails its checks as it is")]
    return [(fault, verdict(fault)) for fault in faults_of(kind, name)]


# -- faults in the machinery -----------------------------------------------------------------------

# where a text of src stands, what comes in its place, and the tests that must notice
GRAD, RULE, VALUE = "tests/test_grad.py", "tests/test_rules.py", "tests/test_contracts.py"
SOURCES: list[tuple[str, str, str]] = [
    ("g = ops.sum(g, tuple(range(extra)))", "g = g[(0,) * extra]", VALUE),
    ("return ops.sum(g, stretched, True) if stretched else g", "return g", VALUE),
    ("return ops.sum(g, stretched, True) if stretched else g",
     "return ops.mean(g, stretched, True) if stretched else g", VALUE),
    ("bar[arg] = bar[arg] + g if seen else g", "bar[arg] = g", GRAD),
    ("bar[arg] = bar[arg] + g if seen else g", "bar[arg] = bar[arg] - g if seen else g", GRAD),
    ("return g if g.dtype == x.dtype and not g.weak else ops.astype(g, x.dtype)", "return g",
     VALUE),
    ("rule = slopes[min(k, len(slopes) - 1)]", "rule = slopes[0]", VALUE),
    ("mask = Mask(at, hard) if mask is None else Mask(at | mask.at,",
     "mask = Mask(at, hard) if mask is None else Mask(at & mask.at,", GRAD),
    ("seen = ops.astype(ops.logical_not(mask.at), arg.dtype)",
     "seen = ops.astype(mask.at, arg.dtype)", GRAD),
    ("return Mask(one.at & other.at,", "return Mask(one.at | other.at,", VALUE),
    ("if node not in bar or node not in moving or node in stops:",
     "if node not in bar or node not in moving:", GRAD),
    ("if own:", "if False:", GRAD),
    ("bar[node] = fit(seed, node)", "bar[node] = fit(2 * seed, node)", GRAD),
    ("seed[spot] = 1", "seed[spot] = 2", GRAD),
    ("return [None, *shares]", "return [None, *shares[::-1]]", VALUE),
    ("return matmul(g, matrix_transpose(y))", "return matmul(g, y)", VALUE),
    ("return matmul(matrix_transpose(x), g)", "return matmul(x, g)", VALUE),
    ("for args in [node.args, node.args[::-1]] if pattern.op.commutes else [node.args]:",
     "for args in [node.args, node.args[::-1]]:", RULE),
    ("for args in [node.args, node.args[::-1]] if pattern.op.commutes else [node.args]:",
     "for args in [node.args]:", RULE),
    ("return found if found[pattern] is node else None", "return found", RULE),
    ("if exact(found.get(wanted, given)) != exact(given):", "if False:", RULE),
    ("elif exact(wanted) != exact(given):", "elif False:", RULE),
    ("return found if same else None", "return found", RULE),
    ("self.steps.append(step)", "pass", RULE),
    ("return one.shape == other.shape and one.dtype == other.dtype and one.weak == other.weak",
     "return True", RULE),
    ("self.new: dict[Node, Node] = {k: k for k in keep}", "self.new: dict[Node, Node] = {}", RULE),
    ("self.new[fresh] = self.settled(step.after)", "self.new[fresh] = step.after", RULE),
    ("return build(node.op, tuple(args), node.attrs)",
     "return build(node.op, tuple(args[::-1]), node.attrs)", RULE),
]  # fmt: skip


def source_verdict(number: int) -> tuple[str, str]:
    """Change a line in a copy of the sources, and run on it the tests that should notice."""
    old, new, tests = SOURCES[number]
    label = f"source {old!r} -> {new!r}"
    with tempfile.TemporaryDirectory() as folder:
        src = Path(folder) / "src"
        shutil.copytree(
            ROOT / "src", src, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
        )
        places = [f for f in src.rglob("*.py") if old in f.read_text("utf-8")]
        if len(places) != 1:
            return label, f"stands in {len(places)} files now: bring this list up to date"
        places[0].write_text(places[0].read_text("utf-8").replace(old, new), "utf-8")
        paths = [str(src), str(ROOT / "tests")]
        options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-m", "not slow"]
        done = subprocess.run(
            [sys.executable, "-m", "pytest", *options, tests],
            cwd=ROOT, env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    if done.returncode == 1:
        return label, "killed"
    return (
        label,
        "survived" if done.returncode == 0 else f"the tests did not run: {done.stdout[-300:]}",
    )


# -- the whole -------------------------------------------------------------------------------------

PLACES = [
    *(("op", name) for name in OPS),
    *(("rule", rule.name) for rule in RULES),
    *(("fold", fold.name) for fold in FOLDS),
]


def survivors(found: Iterable[tuple[Any, str]]) -> list[str]:
    """Return what is not killed, and neither equivalent nor without effect."""
    fine = ("killed", "nothing changed", "equivalent")
    return [f"{fault}: {what}" for fault, what in found if what.split(":")[0] not in fine]


def stale(found: Iterable[tuple[Any, str]]) -> list[str]:
    """Return the arguments for equivalence that no fault needed."""
    used = {(f.name, f.place, f.change) for f, what in found if what.startswith("equivalent")}
    return [f"{', '.join(key)}: no longer equivalent" for key in EQUIVALENT if key not in used]


def main(given: Sequence[str] | None = None) -> int:
    """Plant, count, and list what survived; 1 if anything did."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--only", nargs="+", default=[], help="ops, rules or folds, by name")
    parser.add_argument("--workers", type=int, default=min(os.cpu_count() or 1, 4))
    chosen = parser.parse_args(given)
    places = [p for p in PLACES if not chosen.only or p[1] in chosen.only]
    numbers = [] if chosen.only else range(len(SOURCES))
    with ProcessPoolExecutor(chosen.workers) as pool:
        sources = pool.map(source_verdict, numbers)
        found = [v for part in pool.map(judged, places, chunksize=4) for v in part]
        machinery = list(sources)
    return report(found, machinery, complete=not chosen.only)


def report(found: list[tuple[Fault, str]], machinery: list[tuple[str, str]], complete: bool) -> int:
    """Print the counts, the equivalent faults with their reasons, and the survivors."""
    counts = Counter(what.split(":")[0] for _, what in [*found, *machinery])
    total = sum(counts.values())
    print(f"{total} faults: " + ", ".join(f"{n} {what}" for what, n in counts.most_common()))
    for fault, what in found:
        if what.startswith("equivalent"):
            print(f"  {fault}: {what}")
    left = [*survivors(found), *survivors(machinery), *(stale(found) if complete else [])]
    print(f"{len(left)} survivors" if left else "no survivors")
    print(*(f"  {line}" for line in left), sep="\n", end="\n" if left else "")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
