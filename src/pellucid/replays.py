"""One step of training, taken again with every value kept, and what those are called.

Replay    the values of a step in execution order, and the first that went wrong
Names     the name of every value, and the layer it belongs to
operands  what one element was computed from
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np

from pellucid.causes import clash, infinite
from pellucid.graph import Array, Node, computed, order
from pellucid.nn.network import Slot, forward, parameters
from pellucid.ops.core import axes_of
from pellucid.show.formula import Symbols, is_product
from pellucid.train import Blueprint, Step


class Replay:
    """One step with every value kept, in execution order."""

    def __init__(self, step: Step, given: dict[str, Any], n: int) -> None:
        assert step.graph is not None
        self.sizes, outputs = {"n": n}, step.graph.outputs
        ends = {k.removeprefix("new_"): v for k, v in outputs.items() if k.startswith("new_")}
        self.ends: dict[str, dict[str, Node]] = {
            "forward": {"loss": outputs["loss"]}, "backward": {"grads": outputs["grads"]},
            "update": ends,
        }  # fmt: skip
        self.order = order(step.program.outputs)
        self.values: dict[Node, Any] = {x: given[x.name] for x in step.program.inputs}
        with np.errstate(all="ignore"):
            for node in self.order:
                if node not in self.values:
                    self.values[node] = computed(node, self.values, self.sizes)

    @cached_property
    def lost(self) -> dict[str, Node]:
        """The ends of the first phase that has NaN or Inf: loss, gradient, or what is stored."""
        for ends in self.ends.values():
            if found := {k: v for k, v in ends.items() if self.bad(v).any()}:
                return found
        return {}

    def bad(self, node: Node) -> Array:
        """Return where a value is NaN or Inf."""
        array = np.asarray(self.values[node])
        return infinite(array) if array.dtype.kind == "f" else np.zeros(array.shape, bool)

    @cached_property
    def blamed(self) -> dict[Node, Array]:
        """Where values are NaN or Inf that the lost ends are made from, readers first."""
        blamed = {node: self.bad(node) for node in self.lost.values()}
        for node in reversed(self.order):
            if node in blamed:
                for a in self._below(node):
                    where = self._shown(node, a, blamed[node])
                    blamed[a] = blamed.get(a, np.zeros_like(where)) | where
        return blamed

    def origin(self) -> tuple[Node, tuple[int, ...]] | None:
        """Return the first value in execution order that is blamed, and its first such element.

        What made it was finite: otherwise that would be blamed, and come before it.
        """
        for node in self.order:
            if node in self.blamed and self.blamed[node].any():
                return node, tuple(map(int, np.argwhere(self.blamed[node])[0]))
        return None

    def clash(self) -> tuple[str, Node] | None:
        """Return how the first infinity became NaN, and where."""
        for node in self.order:
            where = self.blamed.get(node)
            if where is None or not np.isnan(np.asarray(self.values[node])[where]).any():
                continue
            if node.op and not any(np.isnan(np.asarray(self.values[a])).any() for a in node.args):
                return clash(node.op), node
        return None

    def _below(self, node: Node) -> list[Node]:
        """Return the operands that are NaN or Inf somewhere; what the formula has is as it is."""
        return [a for a in dict.fromkeys(node.args) if not a.is_constant and self.bad(a).any()]

    def _shown(self, node: Node, arg: Node, blamed: Array) -> Array:
        """Return which bad elements of an operand take part in what is blamed."""
        bad, op = self.bad(arg), node.op
        assert op is not None
        if op.kind != "map":  # all of them or none
            return bad & bool((self.spoiled(node, arg) & blamed).any())
        place = next(k for k, a in enumerate(node.args) if a is arg)
        hides = op.hides[place] if op.hides else None
        if hides:
            values = [np.asarray(self.values[a]) for a in node.args]
            blamed = blamed & ~np.asarray(hides(*values), bool)
        return bad & _summed(blamed, bad.shape)

    def spoiled(self, node: Node, arg: Node) -> Array:
        """Return where a value is spoiled by one operand.

        The op tells by itself: of numbers that are all harmless, but NaN where that one is bad.
        """
        assert node.op is not None
        probes = {a: self.values[a] for a in node.args}
        for k, a in enumerate(node.args):
            value = np.asarray(self.values[a])
            if value.dtype.kind == "f" and not a.is_constant:
                high = np.full(value.shape, node.op.domain_of(k)[1], value.dtype)
                probes[a] = np.where(infinite(value), np.nan, high) if a is arg else high
        with np.errstate(all="ignore"):
            spoiled: Array = np.isnan(computed(node, probes, self.sizes))
        return spoiled


def _summed(mask: Array, shape: tuple[int, ...]) -> Array:
    """Return which elements of an operand, perhaps stretched, a mask of the result reaches."""
    extra = mask.ndim - len(shape)
    thin = tuple(k for k, size in enumerate(shape) if size == 1)
    reached = np.asarray(mask.any(axis=tuple(range(extra))))
    return np.asarray(reached.any(axis=thin, keepdims=True)) if thin else reached


# -- the names of a step ---------------------------------------------------------------------------


class Names:
    """What every value of a step is called, and which layer it belongs to."""

    def __init__(self, plan: Blueprint, step: Step) -> None:
        assert step.graph is not None
        self.net, self.flat = plan.net, plan.net.size
        self.names = step.program.named()
        for key, node in step.graph.outputs.items():
            if key.startswith("new_"):
                self.names.setdefault(node, key)
        self.layers = _layers(plan)
        self.symbols = Symbols(self.names)

    def name(self, node: Node, nodes: Sequence[Node]) -> tuple[str, Node]:
        """Return a value's name; where it has none, that of the nearest that reads it."""
        reached = {node}
        for reader in nodes:  # in execution order, so that readers come later
            if reader in reached or not reached.isdisjoint(reader.args):
                if reader in self.names:
                    return self.names[reader], reader
                reached.add(reader)
        return self.formula(node), node

    def formula(self, node: Node) -> str:
        """Return a value's formula, in the names of others."""
        return self.symbols.of(node).python

    def operand(self, node: Node) -> str:
        """Return an operand's name, or its formula."""
        return self.symbols.write(node).python

    def layer(self, name: str) -> int | None:
        """Return the layer that a name belongs to, from 1; None for the loss."""
        found = self.layers.get(name.removeprefix("d_").removesuffix("_new"))
        return None if found is None else found + 1

    def slot(self, node: Node, index: tuple[int, ...]) -> tuple[Slot, tuple[int, ...]] | None:
        """Return the parameter that an element of a flat array belongs to, and its place there."""
        if node.shape != (self.flat,):
            return None
        slot = next(s for s in self.net.slots if s.start <= index[0] < s.stop)
        return slot, tuple(map(int, np.unravel_index(index[0] - slot.start, slot.shape)))


def _layers(plan: Blueprint) -> dict[str, int]:
    """Return the layer of every name, counted from 0: the first at which that name comes up."""
    net = plan.net
    found = {slot.name: slot.layer for slot in net.arrays}
    given = parameters(net, plan.flat, plan.fixed)
    for k in range(len(net.layers)):
        for name in forward(net.part(0, k + 1), plan.X, given, plan.drawing([])):
            found.setdefault(name, k)
    return found | {f"penalty{net.numbers[k]}": k for k in reversed(range(len(net.layers)))}


# -- what an element was computed from -----------------------------------------------------------


def operands(replay: Replay, node: Node, index: tuple[int, ...]) -> list[Array]:
    """Return of each operand what one element was computed from: a number, a row, or all of it."""
    arrays = [np.asarray(replay.values[a]) for a in node.args]
    op = node.op
    if op is None:
        return []
    if op.kind == "map":
        return [_stretched(a, index) for a in arrays]
    if is_product(node) and all(a.ndim == 2 for a in arrays):
        return [arrays[0][index[0]], arrays[1][:, index[1]]]
    if op.kind == "reduce" and all(a.shape == arrays[0].shape for a in arrays):
        return [_line(node, a, index) for a in arrays]
    return arrays


def _stretched(array: Array, index: tuple[int, ...]) -> Array:
    own = index[len(index) - array.ndim :]
    place = tuple(0 if s == 1 else i for s, i in zip(array.shape, own, strict=True))
    return np.asarray(array[place])


def _line(node: Node, array: Array, index: tuple[int, ...]) -> Array:
    """Return what a reduction folds into one element."""
    gone = axes_of(node.settings.get("axis", -1), array.ndim)
    kept = iter(index)
    place: list[Any] = []
    for k in range(array.ndim):
        stays = k not in gone
        spot = next(kept) if stays or node.ndim == array.ndim else 0
        place.append(spot if stays else slice(None))
    return np.asarray(array[tuple(place)])
