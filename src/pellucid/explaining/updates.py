"""The optimizer's step for each parameter, under that parameter's names, and what all share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from pellucid import ops
from pellucid.explaining.names import Names
from pellucid.explaining.script import symbolic_like
from pellucid.graph import Node, lift, order, symbolic
from pellucid.passes import unlabeled
from pellucid.train import Blueprint


class Update:
    """The lines of the optimizer's step, and the leaves that they read.

    made   every line's node, in order         names   a node's name      owners  whose a line is
    leaves what is given: t, the learning rate, states                    states  of which parameter
    reads  leaves whose number is that of a line: a scheduled learning rate, the norm
    """

    def __init__(
        self, blueprint: Blueprint, parameters: Mapping[str, Node], taken: Iterable[str]
    ) -> None:
        self.blueprint, self.optimizer = blueprint, blueprint.optimizer
        self.fresh = Names((), [*taken, "X", "Y", "n", "t", "learning_rate"])
        self.parameters = parameters
        self.t, self.rate = blueprint.t, blueprint.learning_rate
        self.leaves: dict[str, Node] = {"t": self.t}
        self.states: dict[str, tuple[str, str]] = {}
        self.state: dict[str, dict[str, Node]] = {name: {} for name in parameters}
        self.gradients = {f"d_{k}": symbolic_like(f"d_{k}", p) for k, p in parameters.items()}
        self.made: dict[str, Node] = {}
        self.names: dict[Node, str] = {}
        self.owners: dict[str, str] = {}
        self.reads: dict[Node, str] = {}
        if not self.optimizer.whole:
            self._state()
            if self._apart():
                self._lines()

    @property
    def notes(self) -> tuple[str, ...]:
        """What has to be said where there are no lines."""
        kind = type(self.optimizer).__name__
        if self.optimizer.whole:
            return (
                f"{kind} looks at the loss at several points before it knows how far to go, so its "
                "step is not one formula; model.source() shows what it asks for.",
            )
        if self.made or not self.parameters:
            return ()
        return (f"{kind} reads all parameters at once; model.source() shows its step",)

    def _state(self) -> None:
        """Make a leaf of every state: of each parameter, or one for all."""
        for key in self.optimizer.states:
            alone = self.optimizer.size_of(key, 2) == 1
            if alone:
                one = symbolic(self.fresh.fresh(key), (), self.blueprint.dtype)
            for name, p in self.parameters.items():
                leaf = one if alone else symbolic_like(self.fresh.fresh(f"{key}_{name}"), p)
                self.state[name][key] = self.leaves[leaf.name] = leaf
                self.states.setdefault(leaf.name, (key, name))

    def _apart(self) -> bool:
        """Say whether the formula does to one parameter alone what it does to all in one array."""
        for name, p in self.parameters.items():
            g = self.gradients[f"d_{name}"]
            new, kept = self.optimizer.update(p, g, self.state[name], self.t, self.rate)
            bare = unlabeled({"": new, **kept}).outputs.values()
            between = order(bare, stop=[p])
            if not all(x is p or x.op is None or x.op.kind in _ALONE for x in between):
                return False
        return True

    def _lines(self) -> None:
        if self.optimizer.schedule is None:
            self.leaves["learning_rate"] = self.rate
        else:
            self._add("", {"learning_rate": self.optimizer.rate(self.t)})
            self.reads[self.rate] = "learning_rate"
        norm = self._norm() if self.optimizer.clip_global_norm is not None else None
        for name, p in self.parameters.items():
            self._of(name, p, norm)

    def _norm(self) -> Node:
        """Add the length of the gradient of all parameters; return the leaf that stands for it."""
        gradients = [
            self.optimizer.limited(self.gradients[f"d_{name}"], self.state[name], ())
            for name in self.parameters
        ]
        for name, g in zip(self.parameters, gradients, strict=True):
            self._add(name, {}, g)
        total = sum((ops.sum(ops.square(g)) for g in gradients[1:]), ops.sum(gradients[0] ** 2))
        label = self.fresh.fresh("gradient_norm")
        self._add("", {label: ops.sqrt(total)})
        leaf = symbolic(label, (), self.blueprint.dtype)
        self.reads[leaf] = label
        return leaf

    def _of(self, name: str, p: Node, norm: Node | None) -> None:
        """Add the lines of one parameter."""
        share = self.optimizer.share_of(name)
        rate = self.rate if share == 1 else self.rate * share
        decay = self.optimizer.decay_of(name, p.ndim)
        state, g = self.state[name], self.gradients[f"d_{name}"]
        new, kept = self.optimizer.step(p, g, state, self.t, rate, decay, (), norm)
        bound = self.blueprint.bound(name, ops.named(new, "updated"))
        new = new if name not in {s.name for s in self.blueprint.bounded} else bound
        self._add(name, {f"{state[k].name}_new": v for k, v in kept.items()})
        self._add(name, {f"{name}_new": new})

    def _add(self, owner: str, outputs: Mapping[str, Node], *others: Node) -> None:
        """Add outputs as lines, and before each what is named below it."""
        hidden = {f"_{k}": x for k, x in enumerate(others)}
        bare = unlabeled({**{k: lift(v) for k, v in outputs.items()}, **hidden})
        ends = {k: x for k, x in bare.outputs.items() if k in outputs}
        labels = {x: k for x, k in bare.names.items() if x not in set(ends.values())}
        for node in order(bare.outputs.values()):
            if node in labels and node not in self.names:
                own = owner if node.ndim or owner == "" else ""
                self._line(self.fresh.fresh(f"{labels[node]}_{own}".rstrip("_")), node, own)
            for key in (k for k, x in ends.items() if x is node and k not in self.made):
                single = not node.ndim and not self._scalar(owner)
                self._line(key, node, "" if single else owner)

    def _scalar(self, owner: str) -> bool:
        return owner != "" and self.parameters[owner].ndim == 0

    def _line(self, name: str, node: Node, owner: str) -> None:
        self.made[name] = node
        self.owners[name] = owner
        if node not in set(self.parameters.values()):  # where nothing changes, the old name stands
            self.names.setdefault(node, name)


_ALONE = ("map", "dim")  # kinds of op that do the same to every element
