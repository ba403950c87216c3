"""What is to be explained, before any number: the steps of a graph and the paths of its gradients.

Script   the lines in order, the names they use, the rewrites that led here
Line     one value and the node whose formula it is     Path  one way for a gradient to arrive

The chain rule is applied from one named value to the next: what arrives at a is what arrived at
each reader u of a, times the slope of u in a. Both are made by the same derivative rules as the
gradients that train, and the values of all gradients come from that graph itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pellucid import ops
from pellucid.backward import backward
from pellucid.explaining import says
from pellucid.explaining.rewrites import Told, told
from pellucid.graph import Node, lift, order, symbolic
from pellucid.passes import Graph, rewritten, simplified
from pellucid.rewrite import substitute
from pellucid.rules import UNGUARDED
from pellucid.show.formula import Part, Symbols, check_turnable, is_product, latex_name


@dataclass(frozen=True, eq=False)
class Path:
    """One way for a gradient to arrive: product = local · upstream, from one reader."""

    label: str  # a1 → z2
    product: Node
    local: Node | None  # None: every entry of the one has a slope in every entry of the other
    upstream: Node | None  # None: 1, at the loss itself
    reader: Node
    formula: Part


@dataclass(frozen=True, eq=False)
class Line:
    """One value to be explained: its formula is that of `node`, its number that of `whole`."""

    name: str
    phase: str
    node: Node
    says: str
    op: str
    whole: Node
    formula: Part
    paths: tuple[Path, ...] = ()
    owner: str = ""  # of an update: the parameter
    spelled_out: bool = True  # the formula is what the name stands for, rather than a name


@dataclass(frozen=True, eq=False)
class Script:
    """Everything about an explanation but its numbers."""

    lines: tuple[Line, ...]
    names: dict[Node, str]
    leaves: dict[Node, Node]  # a leaf that formulas read: the node of the graph that trains
    target: str = ""  # what is differentiated
    of: str = "L"  # the same in LaTeX
    rewrites: tuple[Told, ...] = ()
    texts: dict[Any, str] = field(default_factory=dict)  # with places for numbers, as they are met


@dataclass(frozen=True, eq=False)
class Plan:
    """A graph to be explained: what is computed, what it is differentiated for, what follows.

    `updates` are values made from gradients; they read the leaf of `seeds` of a gradient's name.
    """

    graph: Graph
    target: Node | None
    wrt: Sequence[Node]
    seeds: dict[str, Node] = field(default_factory=dict)
    updates: Mapping[str, Node] = field(default_factory=dict)
    update_names: Mapping[Node, str] = field(default_factory=dict)
    owners: Mapping[str, str] = field(default_factory=dict)  # whose each update is
    columns: bool = False
    fixed: tuple[Node, ...] = ()  # given like `wrt`, but nothing is differentiated for them
    kept: tuple[str, ...] = ()  # outputs that are what layers keep, brought up to date
    reads: Mapping[Node, str] = field(default_factory=dict)  # leaves of an update's value
    as_built: bool = False  # a reader's own graph: no forward formula is rewritten, and the slope
    # of the target in itself is a step


def script(plan: Plan) -> Script:
    """Work out the steps of a graph."""
    return _Writer(plan).script()


class _Writer:
    def __init__(self, plan: Plan) -> None:
        self.plan, self.names, self.wrt = plan, dict(plan.graph.names), set(plan.wrt)
        self.given = {*plan.wrt, *plan.fixed}
        outputs = [*plan.graph.outputs.values()]
        self.forward = [x for x in order(outputs) if x in self.names]
        self.bar: dict[Node, Node] = {}
        if plan.target is not None and plan.wrt:
            self.bar = backward({plan.target: ops.ones_like(plan.target)}, plan.wrt)
        self.reads = {u: _inputs(u, self.names) for u in self.forward}
        self.leaves = {v: symbolic_like(self.names[v], v) for v in self.forward}
        self.cells: dict[Node, str] = {leaf: leaf.name for leaf in self.leaves.values()}
        self.cell_of = {u: self._cell(u) for u in self.forward if u.op is not None}
        self._name_aside()
        self.seeds: dict[Node, Node] = {}
        self.paths: dict[Node, list[tuple[Node, str]]] = {}
        self.made: dict[str, Node] = {}  # every node to be simplified, by a key

    def script(self) -> Script:
        self._plant_seeds()
        for u in reversed(self.forward):
            if u in self.bar and u.op is not None and u not in self.wrt:
                self._pull_back(u)
        self._keep()
        known = {**self.names, **self.cells, **self.plan.update_names}
        done = simplified(rewritten(Graph(self.made, known, []), UNGUARDED))
        if self.plan.as_built:
            done.outputs.update({f"value {self.names[u]}": u for u in self.forward})
        names = {**done.names, **self.names} if self.plan.as_built else done.names
        # what has become a plain number is written as one
        names = {x: name for x, name in names.items() if not x.is_constant}
        names |= {leaf: f"d_{self.names[u]}" for u, leaf in self.seeds.items()}
        target = self.plan.target
        target_name = "" if target is None else self.names[target]
        of = latex_name(target_name) if target_name else "L"
        self.symbols = Symbols(names, self.plan.columns, of)
        forward = _readable([*self._forward(done)])
        lines = [*forward, *self._backward(done), *self._updates(done)]
        leaves = {leaf: done.outputs[f"bar {self.names[u]}"] for u, leaf in self.seeds.items()}
        leaves |= {x: done.outputs[f"value {self.names[v]}"] for v, x in self.leaves.items()}
        leaves |= {x: done.outputs[f"update {name}"] for x, name in self.plan.reads.items()}
        before = {**self.names, **known, **names}
        rewrites = told([*self.plan.graph.steps, *done.steps], before, self.plan.columns, of)
        return Script(tuple(lines), names, leaves, target_name, of, rewrites)

    def _cell(self, u: Node) -> Node:
        """Return u on leaves for the named values that it reads.

        They are opaque to rules then, which look into nothing that has a step of its own.
        """
        (cell,) = substitute([u], {v: self.leaves[v] for v in self.reads[u]})
        self.cells.setdefault(cell, self.names[u])
        return cell

    def _name_aside(self) -> None:
        """Name what no gradient passes, such as a batch's mean, where a slope reads it too.

        A slope has it on the leaves of what it is made from, rather than on those beside it.
        """
        known = {*self.bar, *self.given}
        passed = {v: leaf for v, leaf in self.leaves.items() if v in known or v.op is None}
        aside = [u for u in self.forward if u not in passed]
        for u, deep in zip(aside, substitute(aside, passed), strict=True):
            self.cells.setdefault(deep, self.names[u])

    def _plant_seeds(self) -> None:
        """Give every gradient on the way a leaf, under whose name others read it."""
        for u in self.forward:
            if u in self.bar:
                name = f"d_{self.names[u]}"
                self.seeds[u] = self.plan.seeds.get(name, symbolic_like(name, u))

    def _pull_back(self, u: Node) -> None:
        """Take the gradient at u back to each named value that u reads."""
        wrt = [v for v in self.reads[u] if v in self.bar]
        is_target = u is self.plan.target and not self.plan.as_built
        cell = self.cell_of[u]
        seed = ops.ones_like(u) if is_target else self.seeds[u]
        leaves = [self.leaves[v] for v in wrt]
        products = backward({cell: seed}, leaves)
        slopes = backward({cell: ops.ones_like(u)}, leaves)
        for v, leaf in zip(wrt, leaves, strict=True):
            key = f"{self.names[v]} → {self.names[u]}"
            if leaf not in products:  # flat there: floor, sign and their kin
                continue
            self.made[f"product {key}"] = products[leaf]
            if is_target or u.ndim == 0 or _elementwise(products[leaf], seed, v):
                self.made[f"local {key}"] = slopes[leaf]
            self.paths.setdefault(v, []).append((u, key))

    def _keep(self) -> None:
        for u in self.forward:
            self.made[f"value {self.names[u]}"] = u
            if u in self.bar:
                self.made[f"bar {self.names[u]}"] = self.bar[u]
        self.made |= {f"update {name}": node for name, node in self.plan.updates.items()}

    # -- lines -----------------------------------------------------------------------------------

    def _forward(self, done: Graph) -> Iterable[Line]:
        for u in self.forward:
            if u.op is None or u in self.given or self.names[u] in self.plan.kept:
                continue
            name, node = self.names[u], done.outputs[f"value {self.names[u]}"]
            phase = "loss" if u is self.plan.target and not self.plan.as_built else "forward"
            yield self._line(name, phase, node, says.forward(name, u), _op(u))

    def _backward(self, done: Graph) -> Iterable[Line]:
        if self.plan.as_built and self.plan.target in self.bar:
            yield self._start(done)
        for v in self._order():
            name = self.names[v]
            paths = [self._path(key, u, done) for u, key in reversed(self.paths[v])]
            node = _sum([p.product for p in paths])
            through = ", ".join(dict.fromkeys(_op(u) for u, _ in reversed(self.paths[v])))
            about = says.backward(name, [self.names[u] for u, _ in self.paths[v]], self._target)
            whole = done.outputs[f"bar {name}"]
            yield self._line(f"d_{name}", "backward", node, about, through, whole, tuple(paths))

    @property
    def _target(self) -> str:
        """What moves: the loss, or a reader's own value."""
        assert self.plan.target is not None
        return self.names[self.plan.target] if self.plan.as_built else "the loss"

    def _start(self, done: Graph) -> Line:
        assert self.plan.target is not None
        name = self.names[self.plan.target]
        whole = done.outputs[f"bar {name}"]
        return self._line(f"d_{name}", "backward", whole, says.start(name), "")

    def _order(self) -> Iterable[Node]:
        """Yield values in the order in which their gradients are complete."""
        waiting = {v: len(paths) for v, paths in self.paths.items()}
        for u in reversed(self.forward):
            if u in self.paths and u not in self.wrt:
                yield u
            for v in self.reads[u]:
                if any(reader is u for reader, _ in self.paths.get(v, ())):
                    waiting[v] -= 1
                    if not waiting[v] and v in self.wrt:
                        yield v

    def _path(self, key: str, u: Node, done: Graph) -> Path:
        at_loss = u is self.plan.target and not self.plan.as_built
        upstream = None if at_loss else self.seeds[u]
        product = done.outputs[f"product {key}"]
        local = done.outputs.get(f"local {key}")
        if local is None and upstream is not None:
            local = _factor(product, upstream)
        return Path(key, product, local, upstream, u, self.symbols.of(product, spelled_out=False))

    def _updates(self, done: Graph) -> Iterable[Line]:
        for name in self.plan.updates:
            node = done.outputs[f"update {name}"]
            owner = self.plan.owners.get(name, "")
            yield self._line(name, "update", node, says.update(name, owner), _op(node), owner=owner)
        for name in self.plan.kept:
            node = done.outputs[f"value {name}"]
            yield self._line(name, "update", node, says.KEPT, _op(node))

    def _line(
        self, name: str, phase: str, node: Node, about: str, op: str, whole: Node | None = None,
        paths: tuple[Path, ...] = (), owner: str = "",
    ) -> Line:  # fmt: skip
        if self.plan.columns:
            check_turnable(name, node, self.symbols.names)
        own = phase != "backward" and self.symbols.names.get(node, name) == name
        whole = node if whole is None else whole
        formula = self.symbols.of(node, own)
        return Line(name, phase, node, about, op, whole, formula, paths, owner, own)


def _readable(lines: Sequence[Line]) -> Iterable[Line]:
    """Put every line after those that it reads: rewritten, a formula may read what came later."""
    known, done = {line.name: line for line in lines}, dict[str, Line]()
    stack = [*reversed(lines)]
    while stack:
        line = stack.pop()
        read = [known[name] for name in line.formula.names if name in known and name != line.name]
        missing = [other for other in read if other.name not in done]
        if missing:
            stack += [line, *reversed(missing)]
        else:
            done.setdefault(line.name, line)
    return done.values()


FLAT = 16  # terms that are added up from the left


def symbolic_like(name: str, node: Node) -> Node:
    return symbolic(name, node.shape, node.dtype)


def _inputs(u: Node, names: Mapping[Node, str]) -> list[Node]:
    """Return the named values that u is made from, directly."""
    found: dict[Node, None] = {}
    stack = list(reversed(u.args))
    seen: set[Node] = set()
    while stack:
        node = stack.pop()
        if node in names:
            found[node] = None
        elif node not in seen:
            seen.add(node)
            stack.extend(reversed(node.args))
    return list(found)


def _elementwise(product: Node, seed: Node, v: Node) -> bool:
    """Whether each entry of a gradient meets only the entry of its own place."""
    if seed.shape != v.shape:
        return False
    reached = {seed}
    for node in order([product], stop=[seed]):
        if not reached.isdisjoint(node.args):
            if node.op is None or node.op.kind != "map" or node.shape != seed.shape:
                return False
            reached.add(node)
    return True


def _factor(product: Node, seed: Node) -> Node | None:
    """Return what stands beside the gradient in a product; 1 where it is only summed."""
    if is_product(product) and any(x is seed for x in product.args):
        return next(x for x in product.args if x is not seed)
    summed = product.op is not None and product.op.monoid is not None and product.args[0] is seed
    return lift(1.0) if summed else None


def _op(node: Node) -> str:
    return node.op.name if node.op else ""


def _sum(nodes: Sequence[Node]) -> Node:
    """Add up from the left, as one reads; very many by halves, so that no formula is deep."""
    if len(nodes) > FLAT:
        half = len(nodes) // 2
        both: Node = _sum(nodes[:half]) + _sum(nodes[half:])
        return both
    total = nodes[0]
    for node in nodes[1:]:
        total = total + node
    return total
