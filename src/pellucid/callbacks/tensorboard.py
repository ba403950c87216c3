"""Training as TensorBoard shows it: curves, histograms of the parameters, and the graph."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pellucid.callbacks import events
from pellucid.callbacks.base import Callback, Logs
from pellucid.callbacks.monitors import check_count
from pellucid.errors import DtypeError
from pellucid.graph import Node, order


class TensorBoard(Callback):
    """Write loss and metrics, histograms of parameters, and the graph, for TensorBoard to show.

    Values are in two runs, `train` and `validation`, under one name each, so that their curves lie
    in one chart; the x axis is the model's epoch, from 1. Where a model is trained on, or a run is
    resumed, it goes on from there, and epochs that come again replace the older ones; a new model
    replaces all of them.
    Args: `log_dir`, a folder, made if missing; `histograms`, epochs between two histograms of every
    parameter, 0 for none; `graph`, whether to write the graph of the forward pass and the loss.
    The files are written without TensorBoard; it is what shows them:

        model.fit(X, y, epochs=50, callbacks=[pc.TensorBoard("logs", histograms=5)])

        pip install "pellucid[tensorboard]"
        tensorboard --logdir logs
    """

    def __init__(
        self, log_dir: str | Path = "logs", *, histograms: int = 0, graph: bool = True
    ) -> None:
        if not isinstance(log_dir, (str, Path)):
            raise DtypeError(f"log_dir is {log_dir!r}", 'a folder, such as "logs"')
        check_count(histograms, "histograms", 0)
        self.log_dir, self.histograms, self.graph = Path(log_dir), histograms, graph
        self.watches = not histograms  # else it reads the parameters of its epochs
        self.writers: dict[str, events.Writer] = {}
        self.waiting: dict[str, list[bytes]] = {}
        self.begun, self.first, self.until = 0, -1, -1

    def on_train_begin(self, logs: Logs) -> None:
        """Open new files, and write the graph."""
        self.writers, self.waiting = {}, {}
        self.begun, self.first, self.until = self.model._numbers.epochs, -1, -1
        if self.graph:
            self._tell("train", events.event(graph_of(self.model)))
            self._write()

    def due(self, start: int, stop: int) -> Iterable[int]:
        """Return all of them, and wait for the last one with writing."""
        self.until = stop - 1
        return range(start, stop)

    def on_epoch_end(self, epoch: int, logs: Logs) -> None:
        """Write the values, and the histograms where they are due."""
        self.first = epoch if self.first < 0 else self.first
        step = self.begun + epoch - self.first + 1
        for run, values in _by_run(logs).items():
            self._tell(run, events.event(events.scalars(values), step))
        if self.histograms and step % self.histograms == 0:
            arrays = {f"parameters/{name}": array for name, array in self.model.params.items()}
            self._tell("train", events.event(events.histograms(arrays), step))
        if epoch >= self.until:
            self._write()

    def on_train_end(self, logs: Logs) -> None:
        """Write what is left."""
        self._write()

    def _tell(self, run: str, event: bytes) -> None:
        first = [] if run in self.writers else [events.event(events.restart(), self.begun + 1)]
        self.waiting.setdefault(run, first).append(event)

    def _write(self) -> None:
        for run, waiting in self.waiting.items():
            if run not in self.writers:
                self.writers[run] = events.Writer(self.log_dir / run)
            self.writers[run].write(*waiting)
        self.waiting.clear()


def _by_run(logs: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """Return the values of training and of validation, each under the same names."""
    found: dict[str, dict[str, float]] = {}
    for name, value in logs.items():
        run = "validation" if name.startswith("val_") else "train"
        found.setdefault(run, {})[name.removeprefix("val_")] = float(value)
    return found


# -- the graph -------------------------------------------------------------------------------------


def graph_of(model: Any) -> bytes:
    """Return the forward pass and the loss as a graph, a scope for each layer."""
    traced = model._blueprint().traced(None, False)
    names = {node: name for name, node in traced.outputs.items()} | traced.names
    wanted = [traced.outputs["loss"], traced.outputs["prediction"]]
    kept = {slot.name for slot in (*model._built.slots, *model._built.fixed)}
    params = {node for node, name in names.items() if name in kept}
    nodes = order(wanted, stop=params)
    called = _called(nodes, names)
    return events.graph(_told(node, called, node in params) for node in nodes)


def _called(nodes: Sequence[Node], names: Mapping[Node, str]) -> dict[Node, str]:
    """Return a path for every node: its layer, and its name or its op; each only once."""
    scopes = _scopes(nodes, names)
    called: dict[Node, str] = {}
    taken: set[str] = set()
    for node in nodes:
        word = names.get(node) or node.name or (node.op.name if node.op else "constant")
        path = base = re.sub(r"[^A-Za-z0-9_.\-/]", "_", f"{scopes[node]}{word}")
        count = 1
        while path in taken:
            count += 1
            path = f"{base}_{count}"
        taken.add(path)
        called[node] = path
    return called


def _scopes(nodes: Sequence[Node], names: Mapping[Node, str]) -> dict[Node, str]:
    """Return the layer of every node, from the number in its name, or in that of its reader."""
    scopes: dict[Node, str] = {}
    for node in reversed(nodes):
        number = re.search(r"(\d+)(_\d+)?$", names.get(node, ""))
        if number:
            scopes[node] = f"layer{number[1]}/"
        own = scopes.setdefault(node, "loss/")
        for arg in node.args:
            scopes[arg] = scopes.get(arg, own)
    return {
        n: "" if n.op is None and n.symbolic and n not in names else s for n, s in scopes.items()
    }


def _told(node: Node, called: Mapping[Node, str], parameter: bool) -> bytes:
    leaf = parameter or node.op is None
    kind = "Variable" if parameter else "Const" if node.is_constant else "Placeholder"
    op = kind if leaf or node.op is None else node.op.name
    inputs = [] if leaf else [called[arg] for arg in node.args]
    shape = [size if isinstance(size, int) else -1 for size in node.shape]
    return events.node(called[node], op, inputs, shape, node.dtype.name)
