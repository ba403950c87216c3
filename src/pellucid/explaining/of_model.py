"""Explanations of a model: both passes and the optimizer's step, for given samples."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pellucid.batches import Batch
from pellucid.errors import ArgumentError, one_of
from pellucid.explaining.names import Names, crowded
from pellucid.explaining.numbers import EXACT
from pellucid.explaining.reading import Reader
from pellucid.explaining.script import Plan, Script, script
from pellucid.explaining.updates import Update
from pellucid.explaining.walkthrough import Walkthrough
from pellucid.explaining.windows import WHOLE, Values, View
from pellucid.graph import Array, Node, order
from pellucid.nn.network import parameters, still, walked
from pellucid.passes import Graph
from pellucid.train import Blueprint

NOTATIONS = ("rows", "columns")
LARGE = 2000  # parameters, beyond which a line or two a step must do
FEW = 4  # samples that are all shown
FLOAT32 = 1e-7  # a decimal as near as float32 has it


@dataclass(frozen=True, eq=False)
class ModelScript:
    """The script of a model, and the leaves that its numbers are put into."""

    script: Script
    leaves: dict[str, Node]
    title: str
    notes: tuple[str, ...]
    states: dict[str, tuple[str, str]]  # a leaf's name: which state, of which parameter


def model_script(blueprint: Blueprint, fuse: bool, columns: bool) -> ModelScript:
    """Work out the steps of training on one batch, in float64."""
    exact = replace(blueprint, dtype=np.dtype(np.float64))
    graph = exact.traced(still, False, fuse)
    wanted = ("data_loss", "loss", "prediction")
    kept = {f"{k}_new": graph.outputs[f"new_{k}"] for k in exact.kept(graph.outputs)}
    shown: dict[str, Node] = kept | {k: graph.outputs[k] for k in wanted if k in graph.outputs}
    learned = {s.name: graph.outputs[s.name] for s in exact.net.slots}
    fixed = {s.name: graph.outputs[s.name] for s in exact.net.fixed}
    names = _names(graph, shown, {**learned, **fixed, **kept})
    update = Update(exact, learned, names.values())
    plan = Plan(
        Graph(shown, names, graph.steps), graph.outputs["loss"], list(learned.values()),
        update.gradients, update.made, update.names, update.owners, columns,
        tuple(fixed.values()), tuple(kept), reads=update.reads,
    )  # fmt: skip
    leaves = {"X": exact.X, "Y": exact.Y, **learned, **fixed, **update.leaves}
    title = f"{type(exact.optimizer).__name__} on {exact.loss.name}"
    return ModelScript(
        script(plan), leaves, title, (*update.notes, *_left_out(exact)), update.states
    )


def _names(
    graph: Graph, shown: Mapping[str, Node], parameters: Mapping[str, Node]
) -> dict[Node, str]:
    """Return a name for every value that is to be a step, and for the parameters."""
    found = {node: name for name, node in parameters.items()}
    labels = {x: label for x, label in graph.names.items() if x not in found}
    given = ("X", "Y", "n", "t", "learning_rate", *parameters)
    names = Names([*labels.values(), *shown], given)
    for key, node in shown.items():
        if (
            node.op is not None
            and node not in found
            and not (key == "prediction" and node in labels)
        ):
            found[node] = names.fresh(key)
    for node in order(shown.values()):
        if node in labels and node not in found:
            found[node] = names.fresh(labels[node])
    for k, node in enumerate(crowded(list(shown.values()), found)):
        found[node] = names.fresh(f"v{k + 1}")
    return found


def _left_out(blueprint: Blueprint) -> list[str]:
    """Say which layers do something else while training."""
    p = parameters(blueprint.net, blueprint.flat, blueprint.fixed)
    other = {type(x).__name__ for x in walked(blueprint.net, blueprint.X, p, still).left_out}
    return [
        f"{name} is left out: while training it differs at every step." for name in sorted(other)
    ]


@dataclass(frozen=True, eq=False)
class Asked:
    """What to explain of a model, and how to write it."""

    batch: Batch
    given: dict[str, Any]  # parameters, t and learning_rate by name
    state: Mapping[str, Mapping[str, Array]]  # the optimizer's, by its name and the parameter's
    sample: int = 0
    notation: str = "rows"
    digits: int = 4


def check_asked(sample: Any, count: int, notation: Any, digits: Any, fused: Any) -> None:
    """Refuse what cannot be meant, before anything is computed."""
    if notation not in NOTATIONS:
        raise one_of("notation", notation, NOTATIONS)
    if not isinstance(fused, bool):
        raise ArgumentError(f"fused is {fused!r}", "True or False")
    if isinstance(sample, bool) or not isinstance(sample, int) or not 0 <= sample < count:
        raise ArgumentError(
            f"sample is {sample!r}, of {count} samples", f"count from 0 to {count - 1}"
        )
    if isinstance(digits, bool) or not isinstance(digits, int) or not 1 <= digits <= 15:
        raise ArgumentError(f"digits is {digits!r}", "1 to 15 decimals, such as digits=6")


def reader_of(found: ModelScript, asked: Asked) -> Reader:
    """Put the numbers of these samples and parameters into a script."""
    given = _arrays(found, asked)
    feed = {leaf: given[name] for name, leaf in found.leaves.items()}
    for name in {"t", "learning_rate"} & found.leaves.keys():  # Python numbers, as in training
        feed[found.leaves[name]] = given[name].item()
    count = len(asked.batch)
    view = View(
        count, asked.sample, _whole(found, count), asked.digits, asked.notation == "columns",
        FLOAT32 if asked.batch.X.dtype == np.float32 else EXACT,
    )  # fmt: skip
    return Reader(found.script, Values(feed, {"n": count}), view)


def _arrays(found: ModelScript, asked: Asked) -> dict[str, Array]:
    state = {call: asked.state[key][name] for call, (key, name) in found.states.items()}
    state = {call: array.reshape(found.leaves[call].shape) for call, array in state.items()}
    given = {"X": asked.batch.X, "Y": asked.batch.Y, **asked.given, **state}
    if "learning_rate" not in found.leaves:
        del given["learning_rate"]  # a schedule says it, in a step of its own
    return {name: np.asarray(a, np.float64) for name, a in given.items()}


def explained(found: ModelScript, asked: Asked) -> Walkthrough:
    """Return the steps of training on these samples."""
    reader, given, count = reader_of(found, asked), _arrays(found, asked), len(asked.batch)
    broken = reader.broken(given)
    view = reader.view
    given["n"] = np.asarray(count)
    shown = {name: view.turned(array) for name, array in given.items()}
    brief = sum(a.size for a in given.values()) > LARGE
    title = f"{found.title}, {count} sample{'s' * (count > 1)}"
    return Walkthrough(title, reader.steps(), shown, (*_notes(view), *found.notes, *broken), brief)


def _whole(found: ModelScript, count: int) -> bool:
    """Whether all samples are shown: a few of them, of small networks."""
    widest = max(_width(line.whole) for line in found.script.lines if line.phase == "forward")
    return count == 1 or (count <= FEW and count * widest <= WHOLE)


def _width(node: Node) -> int:
    return int(np.prod([s for s in node.shape if isinstance(s, int)]))


def _notes(view: View) -> list[str]:
    found = [
        f"Numbers are rounded to {view.digits} decimals; each result is that of the exact ones."
    ]
    if not view.whole:
        found.append(
            f"Of {view.count} samples, number {view.sample} is shown; what a sum over all of them "
            "adds to it comes as one number."
        )
    if view.columns:
        found.append("Samples are columns here: every matrix is the transpose of the stored one.")
    return found
