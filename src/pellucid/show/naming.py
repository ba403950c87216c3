"""What values are called in printed loops: names that people know, as far as they are free."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from pellucid.graph import Node
from pellucid.show import library
from pellucid.show.schedule import LETTERS

# what a printed run calls its own values
RUN = """
    train run gradients update evaluate predict epoch start step failed most slot row key order keys
    clock rates totals last logs rows batch held since shuffled logged chunk check work params grads
    gemm sgemm dgemm part address select carray kernel exact loops turn mode
    float_mode set_float_mode p q
""".split()  # noqa: SIM905
RESERVED = {"n", "np", "f32", "f64", "sum", "min", "max", "abs", "range", "bool", *LETTERS, *RUN}


def reserved(name: str) -> bool:
    """Say whether a name is that of something in a printed run: its own, or a function's."""
    known = library.functions()
    return name in RESERVED or any(k in known for k in (name, f"{name}32", f"{name}64"))


def safe(name: str) -> str:
    """Return what a name that somebody chose is called in a printed run, which has its own names.

    >>> safe("W1"), safe("epoch"), safe("epoch_")
    ('W1', 'epoch_', 'epoch__')
    """
    own = name.startswith(("held_", "val_", "update_")) or name.endswith(("_batch", "_sum", "_"))
    return f"{name}_" if own or (reserved(name) and name not in ("params", "grads")) else name


def free(stem: str, taken: set[str]) -> str:
    name, k = stem, 1
    while name in taken or reserved(name):
        k += 1
        name = f"{stem}_{k}"
    return name


def kernels() -> dict[str, str]:
    known = library.functions()
    return {**known, **{k[:-2]: v for k, v in known.items() if k[-2:] in ("32", "64")}}


def chosen_names(
    inputs: Sequence[Node],
    names: Mapping[Node, str],
    new: Mapping[Node, Node],
    results: Iterable[str],
    asked_for: Mapping[Node, str],
) -> dict[Node, str]:
    """Return the names that people know, on the nodes as they now are."""
    found: dict[Node, str] = {leaf: safe(leaf.name or names[leaf]) for leaf in inputs}
    used = {*found.values(), *map(safe, results), *asked_for.values()}
    for node, name in names.items():
        after = new.get(node)
        if after is not None and after.op is not None and after not in found and name not in used:
            found[after] = free(name, used)
            used.add(found[after])
    for node, name in asked_for.items():
        if node.op is not None and node.op.kind != "view":
            found.setdefault(node, name)
    return found
