"""The op reference as a page: what stands in the registry, and nothing written twice.

A new op or function appears on the page by being entered: its formula, text and meaning are read
from its entry, and its derivative is traced on leaves named as its operands, then printed.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any, get_args

import numpy as np

from pellucid import derivatives, ops, rules
from pellucid.errors import ArgumentError
from pellucid.graph import FUNCTIONS, Node, lift, symbolic
from pellucid.op import HELPERS, OPS, Kind, Op
from pellucid.show.python import Program, Section, source

Function = Callable[..., Any]

PLACES = (ops, derivatives, rules)  # importing them is what enters their ops
TITLES = {
    "arithmetic": "Arithmetic, comparison, choice",
    "elementwise": "Functions of one number",
    "reduce": "Sums, extremes, softmax",
    "linear": "Matrices",
    "shape": "Shapes and joining",
    "index": "Indexing",
    "arrays": "Arrays",
    "loss": "Losses",
    "derivatives": "Derivatives",
    "rules": "Rules",
}
KINDS = {
    "map": "element by element, after broadcasting",
    "reduce": "folds axes",
    "contract": "multiplies and sums, as a matrix product does",
    "view": "shows the same values in another arrangement",
    "gather": "picks values by arrays of positions",
    "scatter": "puts values where they were picked from",
    "index": "counts along an axis",
    "dim": "a size that is known when data come",
    "opaque": "a call whose inside is not looked into",
}
HEAD = """# Ops

Written from the registry when these pages are built, so that it cannot disagree with the code.
Every function here takes nodes or arrays: `pc.exp(node)` is a node, `pc.exp(array)` an array, and
NumPy's own `np.exp(node)` is the same node. {count} ops are entered; {composites} more functions
are made of them.

In a derivative, `g` is the gradient that arrives from above and `d_x` what is passed on to the
operand `x`, printed as NumPy text from the graph that the entry's own rule builds. The op's value
goes by the name that its rule gives it, mostly `y` or `z`. Where an operand was stretched by
broadcasting, its gradient is afterwards summed to the operand's shape. Shapes, where they stand,
are those of an example.
"""


def ops_page() -> str:
    """Return the reference of every op and public function, as MyST Markdown.

    >>> page = ops_page()
    >>> "d_x = g * y" in page
    True
    """
    groups = _groups()
    known = {f for functions in groups.values() for f in functions[1]}
    parts = [HEAD.format(count=len(OPS), composites=len(known)), _contents(groups)]
    for place, (entries, functions) in groups.items():
        parts.append(f"## {_title(place)}\n\nEntered in `{_file(place)}`.\n")
        parts += [_entry(e) for e in entries if not e.internal]
        parts.append(_composites(functions))
        hidden = [_entry(e) for e in entries if e.internal]
        if hidden:
            parts.append(_hidden(place, hidden))
    parts += [_kinds(), _dtypes(), _helpers()]
    return "\n".join(part for part in parts if part).rstrip() + "\n"


# -- what there is, and where it was entered -----------------------------------------------------


def _groups() -> dict[str, tuple[list[Op], list[Function]]]:
    """Return entries and composite functions by the module that enters them."""
    groups: dict[str, tuple[list[Op], list[Function]]] = {}
    place = ""
    for entry in OPS.values():
        place = _place(entry) or place  # a file's entries stand together
        groups.setdefault(place, ([], []))[0].append(entry)
    for function in dict.fromkeys(FUNCTIONS.values()):
        if _is_composite(function):
            groups.setdefault(function.__module__, ([], []))[1].append(function)
    order = [f"{place.__name__}.{name}" for place in PLACES for name in TITLES]
    return dict(
        sorted(groups.items(), key=lambda kv: order.index(kv[0]) if kv[0] in order else len(order))
    )


def _place(entry: Op) -> str:
    """Return the module whose text the entry's functions come from; "" if all are borrowed."""
    vjp = entry.vjp if isinstance(entry.vjp, tuple) else (entry.vjp,)
    for part in (*vjp, entry.same_as, entry.shape):
        if part is not None and part.__module__ != ops.core.__name__:
            return str(part.__module__)
    return ""


def _is_composite(function: Function) -> bool:
    """Whether it is a public function without an entry of its own name."""
    name = getattr(function, "__name__", "")
    wrapped = hasattr(function, "__wrapped__") and not hasattr(function, "op")
    return wrapped and FUNCTIONS.get(name) is function and name not in OPS


def _title(place: str) -> str:
    return TITLES.get(place.rpartition(".")[2], f"Entered by {place}")


def _file(place: str) -> str:
    return place.replace(".", "/") + ".py"


# -- parts of the page ---------------------------------------------------------------------------


def _contents(groups: dict[str, tuple[list[Op], list[Function]]]) -> str:
    lines = []
    for place, (entries, functions) in groups.items():
        links = [f"[{e.name}](#op-{e.name})" for e in entries if not e.internal]
        links += [f"[{f.__name__}](#op-{f.__name__})" for f in functions]
        lines += [f"- **{_title(place)}**: {', '.join(links)}"] if links else []
    return "\n".join([*lines, ""])


def _kinds() -> str:
    rows = [f"| {kind} | {KINDS.get(kind, '')} |" for kind in get_args(Kind)]
    words = "How an op touches its operands. Printers know these, not the ops."
    return "\n".join(["## Kinds", "", words, "", "| kind | what it does |", "|---|---|", *rows, ""])


def _dtypes() -> str:
    rules = {entry.dtype.__name__: entry.dtype for entry in OPS.values()}
    rows = [
        f"| {name} | {_first_line(rule)} |" for name, rule in sorted(rules.items()) if rule.__doc__
    ]
    words = "What the dtype of a result follows from: what NumPy 2 would give."
    return "\n".join(
        ["## Dtype rules", "", words, "", "| rule | what it gives |", "|---|---|", *rows, ""]
    )


def _helpers() -> str:
    """Return the functions that the texts of ops call and that are no ops themselves."""
    texts = [text.strip("\n") for name, text in HELPERS.items() if name not in OPS]
    words = (
        "Functions that the texts above call. A printed program brings along those that it needs."
    )
    return (
        "\n".join(["## Helpers", "", words, "", "```python", "\n\n\n".join(texts), "```"])
        if texts
        else ""
    )


def _entry(entry: Op) -> str:
    """Return one op's part: sentence, formula, NumPy text, derivative, facts."""
    parts = [
        f"(op-{entry.name})=",
        f"### {entry.name}",
        "",
        f"`{entry.name}({entry.signature})`: {_says(entry)}",
    ]
    parts += ["", "$$", _latex(entry), "$$", ""]
    parts += ["```python", *_value(entry), *_smaller(entry), *_slopes(entry), "```", ""]
    facts = [f"Kind {entry.kind}", f"dtype {entry.dtype.__name__}"]
    facts += (
        [f"NumPy also {', '.join(f'`{a}`' for a in _aliases(entry))}"] if _aliases(entry) else []
    )
    facts += [f"PyTorch `{entry.torch}`"] if entry.torch else []
    facts += [f"ONNX `{entry.onnx}`"] if entry.onnx else []
    parts += ["; ".join(facts) + ".", ""]
    return "\n".join([*parts, *([_plain(entry.note), ""] if entry.note else [])])


def _says(entry: Op) -> str:
    """Return the sentence; that of the public function, where it does more than the op."""
    function = FUNCTIONS.get(entry.name)
    own = _plain(entry.says) + "."
    if function is None or entry.internal or getattr(function, "op", None) is entry:
        return own
    return f"{own} As a function: `{entry.name}{_signature(function)}`. {_first_line(function)}"


def _latex(entry: Op) -> str:
    """Return the formula with the operands' own names in place of its holes."""
    operands = [o.lstrip("*") for o in entry.operands]
    words = {
        name: name if len(name) == 1 else rf"\mathit{{{name}}}"
        for name in (*operands, *entry.settings)
    }
    formula = entry.formula
    for name in sorted(words, key=len, reverse=True):
        formula = formula.replace(f"${name}", words[name])
    return formula


def _value(entry: Op) -> list[str]:
    if entry.helper:
        return [*entry.numpy.strip("\n").split("\n"), ""]
    return [f"{_result(entry)} = {entry.numpy}"]


def _smaller(entry: Op) -> list[str]:
    """Return the same value spelled with smaller ops, where that is one line."""
    if entry.same_as is None:
        return []
    leaves, settings = _example(entry)
    lines = _printed(_result(entry), lift(entry.same_as(*leaves, **settings)), leaves)
    return [f"# {lines[0].split('  # ')[0]}  in smaller ops"] if len(lines) == 1 else []


def _result(entry: Op) -> str:
    """Return the name that the entry's own derivative gives to its value."""
    rules = entry.vjp if isinstance(entry.vjp, tuple) else (entry.vjp,)
    rule = next((r for r in rules if r is not None), None)
    names = list(inspect.signature(rule).parameters) if rule else []
    free = "z" if "y" in entry.operands else "y"
    named = len(names) > 1 and names[1] not in {o.lstrip("*") for o in entry.operands}
    return names[1] if named else free


def _aliases(entry: Op) -> list[str]:
    own = FUNCTIONS.get(entry.name)
    return [n for n, f in FUNCTIONS.items() if f is own and n != entry.name] if own else []


def _composites(functions: Iterable[Function]) -> str:
    parts = []
    for f in functions:
        also = [n for n, g in FUNCTIONS.items() if g is f and n != f.__name__]
        names = f" NumPy also: {', '.join(f'`{n}`' for n in also)}." if also else ""
        parts += [
            f"(op-{f.__name__})=",
            f"`{f.__name__}{_signature(f)}`: {_first_line(f)}{names}",
            "",
        ]
    return "\n".join(["**Made of ops:**", "", *parts]) if parts else ""


def _hidden(place: str, parts: list[str]) -> str:
    summary = f"{len(parts)} more, made by other functions only"
    body = "\n".join(parts).replace("### ", "#### ")
    return "\n".join([f"### {summary} ({_file(place)})", "", body])


def _signature(function: Function) -> str:
    """Return the parameters and their defaults, without types."""
    found = inspect.signature(function)
    bare = [p.replace(annotation=p.empty) for p in found.parameters.values()]
    return str(found.replace(parameters=bare, return_annotation=found.empty))


def _first_line(function: Function) -> str:
    return _plain((function.__doc__ or "").strip().split("\n")[0])


def _plain(words: str) -> str:
    """Keep Markdown from reading stars, bars, underscores and backslashes as marks."""
    parts = words.split("`")  # what stands between backticks is code already
    for k in range(0, len(parts), 2):
        for mark in "\\*_|<$[":
            parts[k] = parts[k].replace(mark, "\\" + mark)
    return "`".join(parts)


# -- derivatives ---------------------------------------------------------------------------------


def _slopes(entry: Op) -> list[str]:
    """Return the derivative as NumPy text, one line or more for each operand that has one."""
    if entry.vjp is None or (isinstance(entry.vjp, tuple) and not any(entry.vjp)):
        return ["# flat or without a slope: no gradient flows back"] if not entry.helper else []
    try:
        return _traced(entry)
    except (ArgumentError, IndexError, TypeError):  # its settings have no usable default
        return ["# the derivative depends on the settings"]


def _traced(entry: Op) -> list[str]:
    leaves, settings = _example(entry)
    shape = entry.shape(*(leaf.shape for leaf in leaves), **settings)
    g = symbolic("g" if "g" not in entry.operands else "upstream", shape)
    y, lines = symbolic(_result(entry), shape), list[str]()
    for leaf, share in zip(leaves, _shares(entry, g, y, leaves, settings), strict=True):
        lines += _printed(f"d_{leaf.name}", share, [g, y, *leaves]) if share is not None else []
    return lines


def _example(entry: Op) -> tuple[list[Node], dict[str, Any]]:
    """Return leaves named as the operands, and settings, for the entry's first example."""
    given = dict(entry.examples[0])
    shapes = list(given.pop("shapes", []))
    names = [o.lstrip("*") for o in entry.operands]
    if entry.operands and entry.operands[-1].startswith("*"):
        count = max(len(shapes), 2) - len(names) + 1
        names = [*names[:-1], *(f"{names[-1].rstrip('s')}{k + 1}" for k in range(count))]
    usual = () if entry.kind == "map" else (2, 3)
    shapes += [usual] * (len(names) - len(shapes))
    defaults = {
        k: eval(compile(_tree(v), "", "eval"), {"np": np}) for k, v in entry.settings.items()
    }
    return [symbolic(n, s) for n, s in zip(names, shapes, strict=True)], {**defaults, **given}


def _tree(setting: Any) -> Any:
    import ast

    return ast.fix_missing_locations(ast.Expression(setting))


def _shares(
    entry: Op, g: Node, y: Node, leaves: list[Node], settings: dict[str, Any]
) -> list[Node | None]:
    if not isinstance(entry.vjp, tuple):
        found = entry.vjp(g, y, *leaves, **settings)
        return [None if share is None else lift(share) for share in found]
    rules = [entry.vjp[min(k, len(entry.vjp) - 1)] for k in range(len(leaves))]
    return [lift(rule(g, y, *leaves, **settings)) if rule else None for rule in rules]


def _printed(name: str, node: Node, leaves: list[Node]) -> list[str]:
    """Return the lines that compute one node, as printed programs have them."""
    text = source(Program("f", leaves, [Section("", {name: node})], [name]))
    body = text.split("\ndef f(")[-1].split("\n")
    lines = [line[4:] for line in body[1:] if line.strip()]
    answer = lines.pop().removeprefix("return ")
    return lines if answer == name else [*lines, f"{name} = {answer}"]
