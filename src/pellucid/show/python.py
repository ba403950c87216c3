"""The graph as a NumPy function that a person could have written by hand.

A value gets a line of its own when it has a name, is read twice, or would make a line too long;
brackets come from the syntax tree.  The text imports NumPy alone and runs anywhere.
"""

from __future__ import annotations

import ast
import builtins
import keyword
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from pellucid import dims, text
from pellucid.graph import WEAK, Node, order
from pellucid.op import HELPERS, expression, helpers_of

WIDTH = 96
OPERATORS = ("+ ", "- ", "* ", "/ ", "@ ", "& ", "| ")
LONG = 58  # an expression longer than this is cut at its parts
PLAIN = {"b": "bool", "i": "int", "f": "float"}  # what makes a Python number, by kind
Write = Callable[[Node, Mapping[Node, Any], "set[Node]", "Program"], Any]
Fixed = Callable[[Node, "Program"], Any]


@dataclass(frozen=True, eq=False)
class Section:
    """A titled part of a program: values to compute under a name, in this order."""

    title: str
    values: Mapping[str, Node]
    stores: Mapping[str, Node] = field(default_factory=dict)  # array to overwrite -> its new value
    views: Mapping[str, Node] = field(default_factory=dict)  # names that now show what was stored


@dataclass(frozen=True, eq=False)
class Program:
    """What to compute from which inputs, with the names that the reader knows."""

    name: str
    inputs: Sequence[Node]
    sections: Sequence[Section]
    returns: Sequence[str]
    names: Mapping[Node, str] = field(default_factory=dict)
    doc: str = ""

    @property
    def outputs(self) -> list[Node]:
        return [n for s in self.sections for n in (*s.values.values(), *s.stores.values())]

    @property
    def dtype(self) -> np.dtype[Any]:
        """The precision it computes in: that of its first input."""
        return self.inputs[0].dtype if self.inputs else np.dtype(float)

    def named(self) -> dict[Node, str]:
        """Return the name of every named node; the sections' own names come first."""
        found: dict[Node, str] = {leaf: leaf.name for leaf in self.inputs}
        for section in self.sections:
            for name, node in section.values.items():
                found.setdefault(node, name)
        taken = set(found.values())
        alive = set(order(self.outputs))
        for node, name in self.names.items():
            if node in alive and node not in found and name not in taken:
                found[node] = name
                taken.add(name)
        return found


def source(program: Program) -> str:
    """Print the program as a module of NumPy functions.

    >>> import pellucid as pc
    >>> x = pc.graph.symbolic("x", (3,))
    >>> print(source(Program("f", [x], [Section("", {"y": x * 2 + 1})], ["y"])))
    import numpy as np
    <BLANKLINE>
    <BLANKLINE>
    def f(x):
        y = x * 2 + 1  # (3,)
        return y
    <BLANKLINE>
    """
    body = Body(program)
    lines = body.lines()
    helpers = [HELPERS[name].strip("\n") for name in helpers_of(body.words)]
    head = wrapped(f"def {program.name}({', '.join(n.name for n in program.inputs)}):", 4)
    doc = [f'    """{program.doc}"""'] if program.doc else []
    main = "\n".join([*head, *doc, *[f"    {line}" if line else "" for line in lines]])
    return "\n\n\n".join(["import numpy as np", *helpers, main]) + "\n"


class Body:
    """The lines of one function; `write` and `fixed` give the text of an op and of a constant."""

    def __init__(
        self, program: Program, write: Write | None = None, fixed: Fixed | None = None
    ) -> None:
        self.program = program
        self.write, self.fixed = write or written, fixed or constant_tree
        self.names = program.named()
        self.given = dict(self.names)  # names that a person chose, not ones made up here
        self.outputs = {n for s in program.sections for n in s.values.values()}
        self.taken = {*self.names.values(), *HELPERS, "np", "n"}
        self.reads = _reads(program)
        self.trees: dict[Node, Any] = {leaf: text.name(leaf.name) for leaf in program.inputs}
        self.words: dict[str, None] = {}  # every name that the lines read
        self.bare = bare_numbers(program)
        self.own: set[Node] = set()  # values that have a line of their own
        self.sized = False

    def lines(self) -> list[str]:
        out: list[str] = []
        for section in self.program.sections:
            written = list(self._section(section))
            if written and section.title:
                out.append(f"# {section.title}")
            out.extend(written)
        if self.sized:
            out.insert(0, f"n = len({_batch(self.program.inputs).name})")
        out.append(f"return {', '.join(self._returned(name) for name in self.program.returns)}")
        return out

    def _returned(self, name: str) -> str:
        """Return the name under which the value really stands: equal values are one."""
        for section in self.program.sections:
            if name in section.values:
                return text.unparse(self.trees[section.values[name]])
        return name

    def _section(self, section: Section) -> Iterable[str]:
        self.trees |= {node: text.name(name) for name, node in section.views.items()}
        yield from self._lines(section.values.values())
        waiting = dict(section.stores)
        while waiting:
            target = next((t for t in waiting if not self._clashes(t, waiting)), None)
            if target is None:  # each reads another's old value: compute all of them first
                yield from self._computed_first(waiting)
                target = next(t for t in waiting if not self._clashes(t, waiting))
            node = waiting.pop(target)
            yield from self._lines([node])
            self.own.add(node)
            yield _store(target, text.unparse(self.trees[node]))
            self.trees[node] = text.parsed(target)  # from here on the name stands for the new value

    def _lines(self, nodes: Iterable[Node]) -> Iterable[str]:
        for node in order(nodes, stop=self.trees):
            if node not in self.trees:
                yield from self._line(node)

    def _clashes(self, target: str, waiting: Mapping[str, Node]) -> bool:
        """Say whether an array's old value is read by what is still to be printed after it."""
        settled = [x for x in self.own if x.op is None or x.op.kind != "view"]
        others = [node for name, node in waiting.items() if name != target]
        after = order(others, stop=[*settled, waiting[target]])
        return any(x.op is None and x.name == target for x in after)

    def _computed_first(self, waiting: Mapping[str, Node]) -> Iterable[str]:
        """Give every value that is still to be stored a line of its own."""
        for target, node in waiting.items():
            self.names.setdefault(node, self._free(f"new_{target}"))
            yield from self._lines([node])
            self.own.add(node)

    def _line(self, node: Node) -> Iterable[str]:
        """Give the node its expression; yield a line if it needs one of its own."""
        if node.op is None and node not in self.names:
            self.trees[node] = self.fixed(node, self.program)
            return
        tree = self._expression(node)
        if isinstance(tree, ast.Name) and node not in self.outputs:
            self.trees[node] = tree  # the same value needs no second name
            return
        long = text.unparse(tree)
        own = node in self.names or (self.reads[node] > 1 and not _cheap(node))
        if not own and len(long) <= LONG:
            self.trees[node] = tree
            return
        name = self.names.get(node) or self._fresh(node)
        self.trees[node] = text.name(name)
        self.own.add(node)
        yield from _commented(f"{name} = {long}", node)

    def _expression(self, node: Node) -> Any:
        if node.op is None:
            return self.fixed(node, self.program)
        for _, setting in node.attrs:
            self.sized = self.sized or holds_dim(setting)
        tree = self.write(node, self.trees, self.bare, self.program)
        self.words |= dict.fromkeys(text.names(tree))
        return tree

    def _fresh(self, node: Node) -> str:
        """Return a name that says what the value is: the op, and the one named operand."""
        assert node.op is not None
        about = [self.given[a] for a in node.args if a in self.given]
        base = f"{node.op.name}_{about[0]}" if len(about) == 1 else node.op.name
        self.names[node] = self._free(base)
        return self.names[node]

    def _free(self, base: str) -> str:
        """Return this name, or the first of name_2, name_3, … that nothing else has."""
        name, k = base, 1
        while name in self.taken or keyword.iskeyword(name) or hasattr(builtins, name):
            k += 1
            name = f"{base}_{k}"
        self.taken.add(name)
        return name


def bare_numbers(program: Program) -> set[Node]:
    """Return the values that are Python numbers where they are printed, such as 1.0 / n."""
    bare: set[Node] = set()
    for node in order(program.outputs):
        if node.op is None:
            fixed = node.is_constant and not node.ndim and node.dtype == program.dtype
            found = node.weak or fixed
        else:
            found = node.op.kind in ("map", "dim") and bare.issuperset(node.args)
        if found:
            bare.add(node)
    return bare


def written(node: Node, trees: Mapping[Node, Any], bare: set[Node], program: Program) -> Any:
    """Return a node's text, its operands in place.

    A Python number yields to the dtype of arrays. Where there is none beside it (a choice between
    two numbers, a copy), it is given the dtype that it has in the graph.
    """
    assert node.op is not None
    parts = [trees[a] for a in node.args]
    loose = [k for k, a in enumerate(node.args) if a in bare and not a.weak]
    if loose and node not in bare:
        kinds = [WEAK[a.dtype.kind] if a in bare else a.dtype for a in node.args]
        if node.op.kind != "map" or node.op.dtype(*kinds, **node.settings) != node.dtype:
            for k in loose:
                kind = text.parsed(f"np.{node.args[k].dtype.name}")
                parts[k] = ast.Call(kind, [parts[k]], [])
    tree = expression(node.op, node.attrs, parts)
    if node.weak and ("np." in node.op.numpy or node.op.helper):  # NumPy's number has a dtype
        return ast.Call(text.parsed(PLAIN[node.dtype.kind]), [tree], [])
    return tree


def constant_tree(node: Node, program: Program) -> Any:
    """Write a fixed array out; a single number of the program's own precision stands bare."""
    kind = f"np.{node.dtype.name}"
    if node.ndim:
        values = np.array2string(
            node.data, separator=", ", threshold=node.data.size + 1, floatmode="unique"
        )
        return text.parsed(f"np.array({values}, {kind})")
    if node.weak:
        return text.literal(node.data)
    # the shortest number that this precision rounds to the same: 0.1, not 0.10000000149011612
    bare = text.literal(type(node.data.item())(str(node.data)))
    return bare if node.dtype == program.dtype else ast.Call(text.parsed(kind), [bare], [])


def _reads(program: Program) -> Counter[Node]:
    """Count how often each value's text would be repeated if it had no line of its own."""
    reads: Counter[Node] = Counter()
    shown = {node for s in program.sections for node in s.views.values()}  # read by their names
    for node in order(program.outputs, stop=shown):
        if node.op is not None and node not in shown:
            free = [text.name(f"x{k}") for k in range(len(node.args))]
            seen = Counter(text.names(expression(node.op, node.attrs, free)))
            for k, arg in enumerate(node.args):
                reads[arg] += seen[f"x{k}"]
    return reads


def _cheap(node: Node) -> bool:
    """Views and sizes cost nothing, so they are written where they are read."""
    return node.op is not None and (node.op.kind == "dim" or node.op.name == "transpose")


def holds_dim(setting: Any) -> bool:
    if isinstance(setting, slice):
        return any(map(holds_dim, (setting.start, setting.stop, setting.step)))
    return isinstance(setting, dims.Dim) or (
        isinstance(setting, tuple) and any(map(holds_dim, setting))
    )


def _batch(inputs: Iterable[Node]) -> Node:
    """Return the input whose length is the batch size."""
    return next(leaf for leaf in inputs if leaf.shape and leaf.shape[0] == dims.symbol("n"))


def _store(target: str, value: str) -> str:
    """Overwrite an array in place; `x[:] = x - y` is written `x -= y`."""
    start = f"{target} - "
    if value.startswith(start) and not _loose(value[len(start) :]):
        return f"{target} -= {value[len(start) :]}"
    return f"{target} = {value}" if target.endswith("]") else f"{target}[:] = {value}"


def _loose(rest: str) -> bool:
    """Say whether what follows a minus holds another + or - outside brackets."""
    depth = 0
    for a, b in zip(rest, rest[1:] + " ", strict=True):
        depth += (a in "([") - (a in ")]")
        if depth == 0 and a in "+-" and b == " ":
            return True
    return False


def _commented(line: str, node: Node) -> list[str]:
    """Return the line with its shape, broken inside brackets where it is too long."""
    shape = f"  # {dims.show(node.shape)}" if node.shape else ""
    if len(line) + len(shape) <= WIDTH - 4:
        return [line + shape]
    parts = wrapped(line, 4)
    if len(parts[0]) + len(shape) <= WIDTH:
        parts[0] += shape
    return parts


def wrapped(line: str, indent: int, room: int = WIDTH - 8) -> list[str]:
    """Break a long line inside its brackets: after a comma, or before an operator."""
    edges = [0, *_breaks(line), len(line)]
    if " = " in line and max(b - a for a, b in pairwise(edges)) > room:
        line = "{} = ({})".format(*line.split(" = ", 1))  # brackets, to break inside
        edges = [0, *_breaks(line), len(line)]
    out: list[str] = []
    start, pad = 0, ""
    for spot, after in pairwise(edges[1:]):
        if len(pad) + after - start > room:
            out.append((pad + line[start:spot]).rstrip())
            start, pad = spot, " " * indent
    return [*out, pad + line[start:]]


def _breaks(line: str) -> list[int]:
    """Return where a line may be broken: after commas and before operators, inside brackets.

    An index, as in x[i, j], stays whole.
    """
    inside, spots = [], []
    for k, c in enumerate(line):
        if c in "([{":
            index = c == "[" and k > 0 and (line[k - 1].isalnum() or line[k - 1] in "_])")
            inside.append(index)
        elif c in ")]}":
            inside.pop()
        elif c == " " and inside and not any(inside) and _between(line, k):
            spots.append(k + 1)
    return spots


def _between(line: str, k: int) -> bool:
    """Say whether a space comes after a comma or before an operator."""
    return line[k - 1] == "," or line[k + 1 : k + 3] in OPERATORS
