"""The graph as plain loops: what the compiled backend runs, and what `source("numba")` prints.

A value gets memory of its own only where it must: chains of elementwise ops are written out where
they are read, and all that happens to one row of the batch shares a loop.  Matrix products that
are not tiny are calls; everything else is a loop over memory, once.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pellucid import ops, text
from pellucid.dims import Shape, product
from pellucid.graph import Array, Node, order
from pellucid.op import OPS, expression
from pellucid.ops.core import axes_of
from pellucid.ops.places import aligned
from pellucid.products import best
from pellucid.show import library
from pellucid.show.lower import (
    NotLoops,
    base,
    is_call,
    is_lookup,
    is_row_sum,
    lowered,
    product_form,
    read_back,
    readers,
)
from pellucid.show.naming import chosen_names, free, kernels, safe
from pellucid.show.python import WIDTH, wrapped
from pellucid.show.scalars import Tree, common, converted, literal, scalar, typed
from pellucid.show.schedule import LETTERS, Block, Statement, scheduled


@dataclass(frozen=True, eq=False)
class Memory:
    """An array that a printed function is given: its name, its shape, and what it is for."""

    name: str
    shape: Shape
    dtype: np.dtype[Any]
    data: Array | None = None  # of a constant


@dataclass(frozen=True, eq=False)
class Looped:
    """A function printed as loops: its text, and what it must be given, in this order."""

    name: str
    lines: list[str]
    inputs: dict[str, Node]
    arrays: list[Memory]  # results first, then constants, then working memory
    returns: list[str]
    uses: list[str]  # functions of the library that it calls

    @property
    def parameters(self) -> list[str]:
        return [*self.inputs, *(a.name for a in self.arrays), "n"]


def looped(
    name: str,
    inputs: Sequence[Node],
    returns: Mapping[str, Node],
    results: Mapping[str, Node] | None = None,
    stores: Mapping[str, Node] | None = None,
    names: Mapping[Node, str] | None = None,
    doc: str = "",
    batch: int = 0,
) -> Looped:
    """Print a function: it returns numbers, fills arrays (`results`), and overwrites inputs.

    `batch` is the usual number of samples, for which the way of each product is chosen; where it
    is 0, the program itself chooses.
    """
    printer = _Printer(inputs, returns, results or {}, stores or {}, names or {})
    printer.batch = batch
    return printer.function(name, doc)


class _Printer:
    def __init__(
        self,
        inputs: Sequence[Node],
        returns: Mapping[str, Node],
        results: Mapping[str, Node],
        stores: Mapping[str, Node],
        names: Mapping[Node, str],
    ) -> None:
        self.inputs, self.given, self.library = list(inputs), set(inputs), kernels()
        asked = [*returns.values(), *results.values(), *stores.values(), *names]
        back = read_back(list(dict.fromkeys(asked)), inputs)
        low = lowered(back.values(), self.library, keep=inputs)
        new = {node: low[after] for node, after in back.items()}
        self.returns = {k: new[v] for k, v in returns.items()}
        self.results = {k: new[v] for k, v in results.items()}
        self.stores = {k: new[v] for k, v in stores.items()}
        asked_for = {v: f"new_{k}" for k, v in self.stores.items()}
        asked_for |= {v: safe(k) for k, v in self.returns.items()}
        self.names = chosen_names(inputs, names, new, results, asked_for)
        self.constants: dict[Node, Memory] = {}
        self.uses: dict[str, None] = {}
        self.work = 0  # elements that a product needs for a transposed copy
        self.batch = 0
        self.made: dict[Node, Statement] = {}  # the statement that computes a node
        self.statements = self._statements()
        self.blocks = scheduled(self.statements)
        self._in_place()

    # -- what is computed ------------------------------------------------------------------------

    def _statements(self) -> list[Statement]:
        asked = [*self.returns.values(), *self.results.values(), *self.stores.values()]
        nodes = order(asked, stop=self.inputs)
        stays = self._with_place(nodes)
        found: list[Statement] = []
        for node in nodes:
            if node in stays:
                s = self.made[node] = self._statement(node)
                found.append(s)
        for name, node in self.results.items():
            if (
                self.made.get(node) is None
                or not self.made[node].placed
                or (self.made[node].name != safe(name))
            ):
                found.append(Statement(safe(name), "store", node, node, placed=True))
        for s in found:
            s.reads = self._reads(s)
        return [*found, *self._stores()]

    def _stores(self) -> list[Statement]:
        """Return the stores in an order in which none reads what another has overwritten.

        Where there is none, as in a swap, or where a store reads its own array at another place,
        the new value is computed as a whole first.
        """
        waiting = [self._store(name, node) for name, node in self.stores.items()]
        early: list[Statement] = []
        ordered: list[Statement] = []
        while waiting:
            s = next((s for s in waiting if not _spoils(s, waiting)), None)
            if s is None:
                s = next(s for s in waiting if _disturbed(s, waiting))
                waiting[waiting.index(s)] = self._beforehand(s, early)
            else:
                waiting.remove(s)
                ordered.append(s)
        return [*early, *ordered]

    def _store(self, name: str, node: Node) -> Statement:
        leaf = next(x for x in self.inputs if self.names[x] == name or x.name == name)
        s = Statement(self.names[leaf], "store", node, node, placed=True, target=leaf)
        s.reads = self._reads(s)
        return s

    def _beforehand(self, s: Statement, early: list[Statement]) -> Statement:
        """Compute what is to be stored before anything is stored; return the store of that."""
        assert s.target is not None
        whole = ops.shape.identity(s.source, token=s.name)
        self.names[whole] = free(f"new_{s.name}", set(self.names.values()))
        kept = self.made[whole] = Statement(self.names[whole], "map", whole, whole)
        kept.reads = self._reads(kept)
        early.append(kept)
        return self._store(s.target.name, whole)

    def _statement(self, node: Node) -> Statement:
        placed = next((safe(k) for k, v in self.results.items() if v is node), "")
        name = placed or self._name(node)
        if is_call(node):
            return Statement(name, "call", node, node, placed=bool(placed))
        if node.op is not None and node.op.kind == "reduce":
            x = node.args[0]
            gone = frozenset(axes_of(node.settings["axis"], x.ndim))
            return Statement(name, "reduce", node, x, gone, placed=bool(placed))
        return Statement(name, "map", node, node, placed=bool(placed))

    def _with_place(self, nodes: Sequence[Node]) -> set[Node]:
        """Return the nodes whose value is kept: under a name, not written out where it is read."""
        read = self.read = dict(readers(nodes, self.given))
        for node in self.stores.values():
            read[node] = [*read.get(node, []), node]
        asked = [*self.returns.values(), *self.results.values()]
        stays = {n for n in asked if not n.ndim and n.op is not None}
        stays |= {n for n in asked if n.op is not None and n.op.kind != "view"} - self.given
        for node in nodes:
            if node.op is None or node in self.given or node.op.kind in ("view", "dim", "index"):
                continue
            by = read.get(node, [])
            if node.op.kind in ("reduce", "contract", "scatter") or self._worth_keeping(node, by):
                stays.add(node)
        return stays

    def _worth_keeping(self, node: Node, by: Sequence[Node]) -> bool:
        if any(is_call(r) for r in by):
            return True
        if node.op is None or not node.args:
            return False
        return len(by) > 1 or any(_wide(r) != _wide(node) for r in by)

    def _name(self, node: Node) -> str:
        """Return a name that says what a value is: what it is for, or what it is made of."""
        if node not in self.names:
            taken = {*self.names.values(), *map(safe, self.returns), *map(safe, self.results)}
            self.names[node] = free(self._stem(node), taken)
        return self.names[node]

    def _stem(self, node: Node) -> str:
        assert node.op is not None
        by = [self.names.get(r, "") for r in self.read.get(node, [])]
        if node.op.kind in ("reduce", "contract") and len(by) == 1 and by[0]:
            return f"{by[0]}_{'sum' if node.op.kind == 'reduce' else 'product'}"
        about = next((self.names[a] for a in self._below(node) if a in self.names), "")
        return f"{node.op.name}_{about}" if about else node.op.name

    def _below(self, node: Node) -> Iterable[Node]:
        """Yield what a value is made of, the nearest first."""
        row = list(node.args)
        while row:
            yield from row
            row = [a for x in row if x not in self.names for a in x.args]

    def _reads(self, s: Statement) -> list[tuple[Node, tuple[str, ...]]]:
        """Return which values a statement reads, and at which index."""
        seen: list[tuple[Node, tuple[str, ...]]] = []
        self.refer = self._noting(seen)
        if s.kind == "call":
            return [(base(a, self.given), ()) for a in s.node.args]
        self._computed(s)
        return seen

    def _in_place(self) -> None:
        """Let a value take over the memory of an operand that nothing else reads."""
        for s in self.statements:
            own = s.kind == "map" or (s.kind == "store" and s.target is None)
            taken = next(iter(self._spent(s)), None) if own and s.kept else None
            if taken is not None:
                taken.home = s

    def _spent(self, s: Statement) -> Iterable[Statement]:
        """Yield whose values are read at this place by this statement, and never again."""
        mine = (s.own_letters(), s.kept)
        for node, index in s.reads:
            p = self.made.get(node)
            if p is None or p.placed or (index, p.kept) != mine or p.node.dtype != s.node.dtype:
                continue
            if p.room != s.room:  # an axis of 1 has the same index as the first of many
                continue
            if [o for o in self.statements for n, _ in o.reads if n is node] == [s]:
                yield p

    def _noting(self, seen: list[tuple[Node, tuple[str, ...]]]) -> Any:
        def refer(node: Node, index: tuple[str, ...]) -> Tree:
            seen.append((node, index))
            return text.name("x")

        return refer

    # -- expressions -----------------------------------------------------------------------------

    def _computed(self, s: Statement) -> Tree:
        """Return the expression that the innermost loop of a statement computes."""
        index = s.letters()
        return self._inside(s.node, index) if s.kind == "map" else self._value(s.source, index)

    def _value(self, node: Node, index: tuple[str, ...]) -> Tree:
        """Return the expression of one element of a node."""
        if node in self.made or node in self.given or (node.op is None and not _number(node)):
            return self.refer(node, index)
        return self._inside(node, index)

    def _inside(self, node: Node, index: tuple[str, ...]) -> Tree:
        if node.op is None:
            return literal(node)
        if node.op.kind == "view":
            x = node.args[0]
            assert node.op.index is not None, node.op
            return self._value(x, node.op.index(index, x.shape, node.shape, **node.settings))
        if node.op.kind == "index":
            return text.parsed(index[0])
        if node.op.pieces:
            return self._pieces(node, index)
        if is_lookup(node):
            table, rows = node.args
            row = text.unparse(self._value(rows, index[: rows.ndim]))
            return self._value(table, (row, *index[rows.ndim :]))
        return self._map(node, index)

    def _pieces(self, node: Node, index: tuple[str, ...]) -> Tree:
        """Return the element of whichever operand stands at this place."""
        assert node.op is not None and node.op.pieces is not None
        shapes = [a.shape for a in node.args]
        parts = node.op.pieces(index, node.shape, *shapes, **node.settings)
        tree: Tree = None
        for condition, k, place in reversed(parts):
            own = typed(0.0, node.dtype) if k is None else self._value(node.args[k], place)
            tree = ast.IfExp(text.parsed(condition), own, tree) if condition else own
        return tree

    def _map(self, node: Node, index: tuple[str, ...]) -> Tree:
        assert node.op is not None
        want = common(node)
        parts = {
            f"_{k}": converted(want if not (node.op.masks and k == 0) else None, a,
                              self._value(a, aligned(index, a.shape)))
            for k, a in enumerate(node.args)
        }  # fmt: skip
        free = [text.name(name) for name in parts]
        kind = want or (np.dtype(float) if node.weak else node.dtype)
        return text.fill(scalar(expression(node.op, node.attrs, free), kind, self.uses), parts)

    # -- text ------------------------------------------------------------------------------------

    def function(self, name: str, doc: str) -> Looped:
        self.refer = self._reference
        body = [line for block in self.blocks for line in self._block(block)]
        returns = [text.unparse(self._value(n, ())) for n in self.returns.values()]
        results = [Memory(safe(k), v.shape, v.dtype) for k, v in self.results.items()]
        arrays = [*results, *self.constants.values(), *self._buffers()]
        if self.work:
            arrays.append(Memory("work", (self.work,), self.dtype))
        inputs = {self.names[leaf]: leaf for leaf in self.inputs}
        out = Looped(name, [], inputs, arrays, list(self.returns), list(self.uses))
        head = f"def {name}({', '.join(out.parameters)}):"
        tail = [f"return {', '.join(returns)}"] if returns else []
        lines = [*([f'"""{doc}"""'] if doc else []), *body, *tail]
        out.lines.extend(broken(line) for line in [head, *(f"    {line}" for line in lines)])
        return out

    def _buffers(self) -> Iterable[Memory]:
        for s in self.statements:
            if s.kind != "store" and not s.placed and s.kept and not s.home:
                yield Memory(s.name, s.room, s.node.dtype)

    def _reference(self, node: Node, index: tuple[str, ...]) -> Tree:
        s = self.made.get(node)
        if s is None:
            return _indexed(self._leaf(node), index)
        return _indexed(s.place, [index[k] for k in s.kept])

    def _leaf(self, node: Node) -> str:
        if node in self.names:
            return self.names[node]
        if not node.is_constant:
            raise NotLoops(f"{node!r} is no input of the program")
        name = self.names[node] = free("constant", set(self.names.values()))
        self.constants[node] = Memory(name, node.shape, node.dtype, node.data)
        return name

    def _block(self, block: Block) -> Iterable[str]:
        if block.size is None:
            for s in block.statements:
                yield self._line(s)
            return
        starting = [s for s in block.statements if s.first_reduced == block.depth]
        for s in starting:
            yield from self._start(s, block.depth)
        if block.depth == 0:
            yield f"# {', '.join(dict.fromkeys(s.name for s in block.statements))}"
        yield f"for {LETTERS[block.depth]} in range({block.size}):"
        for inner in block.inner:
            yield from (f"    {line}" for line in self._block(inner))
        for s in starting:
            if not s.in_memory and s.kept:
                yield f"{text.unparse(_indexed(s.place, self._own(s)))} = {self._sum(s)}"

    def _own(self, s: Statement) -> list[str]:
        index = s.own_letters()
        return [index[k] for k in s.kept]

    def _start(self, s: Statement, depth: int) -> Iterable[str]:
        """Set a sum to its identity, before the loop in which it grows."""
        assert s.node.op is not None and s.node.op.monoid is not None
        zero = text.unparse(typed(s.node.op.monoid[0], s.node.dtype))
        if not s.in_memory:
            yield f"{self._sum(s)} = {zero}"
            return
        pad = ""
        for d in range(depth, len(s.axes)):
            if s.axes[d] not in s.reduced:
                yield f"{pad}for {LETTERS[d]} in range({s.size(d)}):"
                pad += "    "
        yield f"{pad}{text.unparse(_indexed(s.place, self._own(s)))} = {zero}"

    def _sum(self, s: Statement) -> str:
        return f"{s.name}_sum" if s.kept else s.name

    def _line(self, s: Statement) -> str:
        if s.kind == "call":
            return self._call(s)
        value = self._computed(s)
        if s.kind != "reduce":
            return f"{text.unparse(_indexed(s.place, self._own(s)))} = {text.unparse(value)}"
        target = _indexed(s.place, self._own(s)) if s.in_memory else text.name(self._sum(s))
        assert s.node.op is not None and s.node.op.monoid is not None
        combine = OPS[s.node.op.monoid[1]]
        want = s.node.dtype if s.node.dtype.kind == "f" else None
        parts = {"x": target, "y": converted(want, s.source, value)}
        form = scalar(
            expression(combine, (), [text.name("x"), text.name("y")]), s.node.dtype, self.uses
        )
        whole = text.unparse(text.fill(form, parts))
        start = f"{text.unparse(target)} + "
        if whole.startswith(start):
            return f"{text.unparse(target)} += {whole[len(start) :]}"
        return f"{text.unparse(target)} = {whole}"

    def _call(self, s: Statement) -> str:
        if is_row_sum(s.node):
            return self._row_sum(s)
        found = product_form(s.node, self.given)
        assert found is not None, "lowering keeps only products that have a form"
        form, x, y = found
        k, n = y.shape if form == "product_bt" else (x.shape[1], y.shape[1])
        way = best(form, self.batch, int(k), int(n)) if self.batch else form  # type: ignore[arg-type]
        self.uses[way] = None
        args = [s.place, self._place(x), self._place(y), *map(str, (x.shape[0], k, n))]
        if "work" in library.parameters(way):
            self.work = max(self.work, int(k * n))  # type: ignore[arg-type]
            self.dtype = s.node.dtype
            args.append("work")
        return f"{way}({', '.join(args)})"

    def _row_sum(self, s: Statement) -> str:
        """Return the call that adds rows up where a lookup picked them."""
        self.uses["add_rows"] = None
        g, rows = s.node.args
        count, size = product(rows.shape), product(s.node.shape[1:])
        table = f"part({s.place}, 0, ({s.node.shape[0]}, {size}))"
        picked = f"part({self._place(rows)}, 0, ({count},))"
        added = f"part({self._place(g)}, 0, ({count}, {size}))"
        return f"add_rows({table}, {picked}, {added}, {s.node.shape[0]}, {count}, {size})"

    def _place(self, node: Node) -> str:
        return self.made[node].place if node in self.made else self._leaf(node)


# -- helpers -------------------------------------------------------------------------------------


def _number(node: Node) -> bool:
    return node.is_constant and not node.ndim


def _wide(node: Node) -> list[Any]:
    """Return the lengths of the loops that a node is computed in."""
    of = node.args[0] if node.op is not None and node.op.kind == "reduce" else node
    return [s for s in of.shape if s != 1]


def broken(line: str) -> str:
    """Break a line that is too long inside its brackets."""
    bare = line.lstrip()
    pad = " " * (len(line) - len(bare))
    room = WIDTH - len(pad)
    parts = [bare] if len(bare) <= room or bare[0] in '#"' else wrapped(bare, 4, room)
    return "\n".join(pad + part for part in parts)


def _indexed(name: str, index: Sequence[str]) -> Tree:
    if not index:
        return text.name(name)
    parts = [text.parsed(i) for i in index]
    whole = parts[0] if len(parts) == 1 else ast.Tuple(parts, ast.Load())
    return ast.Subscript(text.name(name), whole, ast.Load())


def _spoils(s: Statement, waiting: Sequence[Statement]) -> bool:
    """Say whether a store overwrites what is still to be read."""
    return any(_reads_old(other, s) for other in waiting)


def _disturbed(s: Statement, waiting: Sequence[Statement]) -> bool:
    """Say whether a store reads what another one, or itself at another place, overwrites."""
    return any(_reads_old(s, other) for other in waiting)


def _reads_old(s: Statement, other: Statement) -> bool:
    """Say whether `s` reads what `other` overwrites, but for the very element it overwrites."""
    places = [index for node, index in s.reads if node is other.target]
    return any(s is not other or index != s.own_letters() for index in places)
