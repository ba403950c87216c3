"""From a blueprint to programs printed as loops: a whole training run, and a prediction."""

from __future__ import annotations

from pellucid import ops
from pellucid.graph import Node, lift, symbolic
from pellucid.passes import Graph, simplified, unlabeled
from pellucid.show.loops import Looped, looped
from pellucid.show.lower import NotLoops
from pellucid.show.training import Parts, Run, prediction, run
from pellucid.train import Blueprint, Mask


def training(plan: Blueprint, weighted: bool = False, held: int = 0, batch: int = 32) -> Run:
    """Print a whole training run, for batches of about `batch` samples.

    `held`: about so many held-out samples are evaluated at each epoch's end.
    """
    if plan.optimizer.whole:
        kind = type(plan.optimizer).__name__
        raise NotLoops(f"{kind} looks where to go before every step, which no loop says",
                       'backend="numpy"')  # fmt: skip
    masks: list[Mask] = []
    gradients = _gradients(plan, masks, weighted, batch)
    evaluate = _evaluate(plan, held) if held else None
    drawn = [(m.leaf.name, m.leaf.shape, m.keep) for m in masks]
    title = f"Train with {type(plan.optimizer).__name__} on {plan.loss.name}, compiled."
    parts = (gradients, _update(plan), evaluate, drawn, plan.dtype, title)
    sizes = {k: c.size for k, c in plan.measures.columns.items() if c.size}
    return run(Parts(*parts, _bounds(plan), sizes))


def predicting(plan: Blueprint, raw: bool = False) -> Run:
    """Print the forward pass."""
    graph = simplified(plan.traced(None, False))
    views = _views(plan, graph)
    results = {"prediction": graph.outputs["scores" if raw else "prediction"]}
    forward = looped("predict", [plan.X, *views], {}, results, names={**views, **graph.names},
                     doc="Write the prediction for every row.")  # fmt: skip
    return prediction(forward, plan.dtype)


def _gradients(plan: Blueprint, masks: list[Mask], weighted: bool, batch: int) -> Looped:
    """Forward and backward, with the gradients written where the optimizer reads them."""
    traced = plan.traced(plan.drawing(masks), weighted)
    graph = simplified(plan.with_gradients(traced))
    out, views = graph.outputs, _views(plan, graph)
    weights = [plan.weights] if weighted else []
    kept = {k: _as_array(out[f"new_{k}"]) for k in plan.kept(out)}
    inputs = [plan.X, plan.Y, *weights, *(m.leaf for m in masks), *views]
    results = {f"d_{s.name}": _as_array(out[f"d_{s.name}"]) for s in plan.backwards()}
    results |= _by_class(plan, graph)
    doc = "Return loss and metrics of a batch; write the gradient of every parameter."
    names = {**views, **graph.names}
    numbers = _numbers(plan, graph)
    return looped("gradients", inputs, numbers, results, kept, names, doc, batch)


def _update(plan: Blueprint) -> Looped:
    """The formula of the optimizer; `check` is 0, or NaN where anything is not finite.

    What the layers keep has been stored by then, and is looked at as well.
    """
    grads = symbolic("grads", (plan.net.size,), plan.dtype)
    stores = plan.updated(grads)
    kept = [symbolic(s.name, s.shape or (1,), plan.dtype) for s in plan.changing]
    check = ops.sum(sum((x * 0.0 for x in stores.values()), grads * 0.0))
    check = sum((ops.sum(x * 0.0) for x in kept), check)
    bare = unlabeled({"check": check, **{f"new_{k}": v for k, v in stores.items()}})
    graph = plan.scheduled(simplified(bare))
    inputs = [plan.flat, grads, *plan.state.values(), *plan.tables.values()]
    inputs += [*kept, plan.t, plan.learning_rate]
    changed = {k: graph.outputs[f"new_{k}"] for k in stores}
    doc = f"Take one step of {type(plan.optimizer).__name__}; return 0, or NaN after a failure."
    returns = {"check": graph.outputs["check"]}
    return looped("update", inputs, returns, stores=changed, names=graph.names, doc=doc)


def _bounds(plan: Blueprint) -> Looped | None:
    """Bring parameters back within their bounds; None where all are free.

    `check` is 0, or NaN where that gave what is not finite.
    """
    if not plan.bounded:
        return None
    leaves = {s.name: symbolic(s.name, s.shape or (1,), plan.dtype) for s in plan.bounded}
    shaped = {s.name: leaves[s.name] if s.shape else leaves[s.name][0] for s in plan.bounded}
    back = {name: _as_array(plan.bound(name, value)) for name, value in shaped.items()}
    check = sum((ops.sum(x * 0.0) for x in back.values()), lift(0.0))
    graph = simplified(unlabeled({**back, "check": check}))
    doc = "Bring parameters back within their bounds; return 0, or NaN after a failure."
    returns = {"check": graph.outputs["check"]}
    stores = {name: graph.outputs[name] for name in back}
    return looped("bring_back", [*leaves.values()], returns, stores=stores, names=graph.names,
                  doc=doc)  # fmt: skip


def _evaluate(plan: Blueprint, held: int) -> Looped:
    """Loss and metrics as they are for prediction."""
    graph = simplified(plan.traced(None, False))
    views = _views(plan, graph)
    names = {**views, **graph.names}
    inputs = [plan.X, plan.Y, *views]
    doc = "Return loss and metrics."
    numbers = _numbers(plan, graph)
    results = _by_class(plan, graph)
    return looped("evaluate", inputs, numbers, results, names=names, doc=doc, batch=held)


def _numbers(plan: Blueprint, graph: Graph) -> dict[str, Node]:
    """Return the loss and the metrics by name, as far as they are single numbers."""
    out = graph.outputs
    names = ["loss", *(k for k in ("data_loss",) if k in out), *plan.measured(out)]
    return {k: out[k] for k in names if not out[k].ndim}


def _by_class(plan: Blueprint, graph: Graph) -> dict[str, Node]:
    """Return what metrics ask for that is a number for each class, by name."""
    out = graph.outputs
    return {k: out[k] for k in plan.measured(out) if out[k].ndim}


def _views(plan: Blueprint, graph: Graph) -> dict[Node, str]:
    """Return the arrays that a function is given, with their names; of a number, an array of 1."""
    views = plan.views(graph.outputs).items()
    return {node if node.ndim else node.args[0]: name for name, node in views}


def _as_array(node: Node) -> Node:
    """Return a value as what is written into memory: a single number as an array of 1."""
    whole: Node = node if node.ndim else ops.reshape(node, (1,))
    return whole
