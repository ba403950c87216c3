"""Which parameters are learned: the arrays of a model, laid out anew with others of them frozen."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

from pellucid.batches import Numbers
from pellucid.errors import one_of
from pellucid.nn.network import Network, network
from pellucid.parameters import layer_state, state_views


def matching(net: Network, patterns: Sequence[str]) -> frozenset[str]:
    """Return the parameters that a pattern matches; all of them, where none is given.

    Raises: ArgumentError for a pattern that matches none.
    """
    names = [s.name for s in net.parameters]
    found = {p: [n for n in names if fnmatchcase(n, str(p))] for p in patterns or ("*",)}
    for pattern, matches in found.items():
        if not matches:
            raise one_of("parameter", pattern, names)
    return frozenset(n for matches in found.values() for n in matches)


def relaid(model: Any, frozen: frozenset[str]) -> None:
    """Lay a model's arrays out anew, with these parameters frozen; the values stay."""
    net, parameters, numbers = model._built, dict(model.params), model._numbers
    state = dict(layer_state(net, numbers.fixed))
    model.frozen = frozen
    model._net = network(model.layers, net.input_shape, frozen)
    fresh = model._fresh_numbers(model._net, model.seed)
    fresh.steps, fresh.epochs = numbers.steps, numbers.epochs
    fresh.since, fresh.scale = numbers.since, numbers.scale
    model._numbers = fresh
    model._look()
    model.params = parameters
    for name, array in state.items():
        model.buffers[name] = array
    if model.optimizer.whole:  # its state is of all parameters at once: it starts anew
        fresh.since = fresh.steps
    else:
        _keep_state(net, numbers, model._net, fresh)


def _keep_state(net: Network, old: Numbers, changed: Network, new: Numbers) -> None:
    """Take over the optimizer's state of every parameter that is learned before and after."""
    for key, flat in new.state.items():
        before, views = state_views(net, old.state[key]), state_views(changed, flat)
        for name in views.keys() & before.keys():
            views[name][...] = before[name]
