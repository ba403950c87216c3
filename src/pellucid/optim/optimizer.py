"""What every optimizer has in common: its formula, and what may be done around it.

    clipped g  →  accumulated over steps  →  weight decay  →  update(…)  →  running average

Group       other settings for some of the parameters
Optimizer   the base: settings, checked, and one step as a formula
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from fnmatch import fnmatchcase
from typing import Any, ClassVar

import numpy as np

from pellucid import ops
from pellucid.errors import DtypeError
from pellucid.graph import Array, Node, lift
from pellucid.optim.checks import not_negative, positive, share, whole
from pellucid.optim.schedule import Schedule, base_of, scheduled

State = Mapping[str, Node]
Arrays = Mapping[str, Array]
Evaluate = Callable[[Array], tuple[float, Array]]  # loss and gradient, for flat parameters
Part = tuple[int, int]  # where a parameter begins and ends in the flat array


@dataclass(frozen=True)
class Group:
    """Other settings for the parameters whose names match a pattern: "W1", "b*", "*".

    Args: `pattern`, with * for any letters; `learning_rate` and `weight_decay`, None for the
    optimizer's own. Of several that match, the last one counts. A schedule scales all rates alike.
    Raises: ArgumentError for settings that cannot be meant.

    >>> Group("b*", weight_decay=0.0)
    Group(pattern='b*', learning_rate=None, weight_decay=0.0)
    """

    pattern: str
    learning_rate: float | None = None
    weight_decay: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.pattern, str) or not self.pattern:
            raise DtypeError(f"a group's pattern is {self.pattern!r}", 'Group("b*", …)')
        if self.learning_rate is not None:
            positive(self, "learning_rate")
        if self.weight_decay is not None:
            not_negative(self, "weight_decay")

    def matches(self, name: str) -> bool:
        """Say whether a parameter of this name belongs to the group."""
        return fnmatchcase(name, self.pattern)


@dataclass(frozen=True, repr=False)
class Optimizer:
    """The base of every optimizer: its update, as a formula.

        p, state ← update(p, g, state, t, learning_rate)

    `state` names the arrays it keeps, one value for each parameter, which start at 0; `update`
    gives the new parameters and the new state from the gradient `g`, at step `t` = 1, 2, ….
    All parameters come as one flat array.

    Args of every optimizer: `learning_rate`, a number or a schedule; `weight_decay`, for weights
    of two axes and more, so not for biases and norms, unless a group says so; `clip_value`, which
    no element of the gradient exceeds, `clip_norm`, which no parameter's gradient does, and
    `clip_global_norm`, for all of it; `accumulate`, steps whose mean gradient makes one update;
    `ema`, the decay of a running average of the parameters (see `model.averaged`); `groups`, other
    settings for some parameters.

    >>> @dataclass(frozen=True, repr=False)
    ... class Sign(Optimizer):
    ...     learning_rate: float = 0.001
    ...     def update(self, p, g, state, t, learning_rate):
    ...         return p - learning_rate * ops.sign(g), {}
    >>> Sign(0.1, clip_global_norm=5.0)
    Sign(learning_rate=0.1, clip_global_norm=5.0)
    """

    learning_rate: float | Schedule = field(default=0.001, kw_only=True)
    weight_decay: float = field(default=0.0, kw_only=True)
    clip_value: float | None = field(default=None, kw_only=True)
    clip_norm: float | None = field(default=None, kw_only=True)
    clip_global_norm: float | None = field(default=None, kw_only=True)
    accumulate: int = field(default=1, kw_only=True)
    ema: float | None = field(default=None, kw_only=True)
    groups: Sequence[Group] = field(default=(), kw_only=True)

    decoupled: ClassVar[bool] = False  # decay shrinks the weights, and not by way of the gradient
    whole: ClassVar[bool] = False  # it looks at the loss at several points, and is no formula
    aliases: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.learning_rate, Schedule):
            positive(self, "learning_rate")
        not_negative(self, "weight_decay")
        for name in ("clip_value", "clip_norm", "clip_global_norm"):
            if getattr(self, name) is not None:
                positive(self, name)
        if self.ema is not None:
            share(self, "ema")
        whole(self, "accumulate", 1)
        object.__setattr__(self, "groups", _as_groups(self.groups))
        self.check()

    def check(self) -> None:
        """Check the optimizer's own settings."""

    @property
    def state(self) -> tuple[str, ...]:
        """The names of the arrays that the formula keeps."""
        return ()

    @property
    def states(self) -> tuple[str, ...]:
        """The names of all arrays that a step keeps."""
        more = {"accumulated": self.accumulate > 1, "average": self.ema is not None}
        return (*self.state, *(name for name, kept in more.items() if kept))

    def size_of(self, state: str, parameters: int) -> int:
        """Return how many numbers a state has: one for each parameter, where nothing else is said.

        A single number is one for all of them.
        """
        return parameters

    def follows(self, before: Optimizer) -> bool:
        """Say whether steps may be counted on after another optimizer: a new schedule begins."""
        return self.schedule in (None, before.schedule) and self.accumulate == before.accumulate

    def zeros(self, flat: Array) -> dict[str, Array]:
        """Return the state before the first step, for parameters like these."""
        return {k: np.zeros(self.size_of(k, flat.size), flat.dtype) for k in self.states}

    def update(
        self, p: Node, g: Node, state: State, t: Node, learning_rate: Node
    ) -> tuple[Node, State]:
        """Return the new parameters and the new state."""
        raise NotImplementedError(f"{type(self).__name__} has no formula: define update(…)")

    def minimize(self, evaluate: Evaluate, params: Array, state: Arrays, rate: float) -> Array:
        """Take one step in place, where that is no formula; return the gradient where it began.

        `evaluate` gives loss and gradient for any flat parameters, and is first asked for these.
        """
        raise NotImplementedError(f"{type(self).__name__} takes its steps by its formula")

    # -- settings by parameter -------------------------------------------------------------------

    def decay_of(self, name: str, ndim: int) -> float:
        """Return the weight decay of a parameter."""
        found = [g.weight_decay for g in self.groups if g.matches(name)]
        own = self.weight_decay if ndim > 1 else 0.0
        return next((x for x in reversed(found) if x is not None), own)

    def share_of(self, name: str) -> float:
        """Return a parameter's learning rate, as a multiple of the optimizer's."""
        found = [g.learning_rate for g in self.groups if g.matches(name)]
        rate = next((x for x in reversed(found) if x is not None), None)
        return 1.0 if rate is None else rate / self.base_rate

    # -- one step --------------------------------------------------------------------------------

    @property
    def schedule(self) -> Schedule | None:
        """The schedule that the learning rate follows, where it is not one number."""
        return self.learning_rate if isinstance(self.learning_rate, Schedule) else None

    @property
    def base_rate(self) -> float:
        """The learning rate, or the one that its schedule is given: groups' are relative to it."""
        return base_of(self.learning_rate)

    def rate(self, t: Node) -> Node:
        """Return the learning rate of step t, by the schedule."""
        rate = lift(scheduled(self.learning_rate, ops.named(self._done(t), "done")))
        # a Python number that is fixed stays one, which yields to the precision of arrays
        return rate if rate.is_constant else ops.named(rate, "learning_rate")

    def _done(self, t: Node) -> Node:
        """Return how many updates came before step t."""
        if self.accumulate == 1:
            return t - 1  # type: ignore[no-any-return]
        # an update comes at multiples of `accumulate`, where this is far from the next whole number
        return ops.floor((t - 1) / self.accumulate)  # type: ignore[no-any-return]

    def given_rate(self, scale: float) -> float:
        """Return the learning rate that a step is given: NaN where its schedule is in the step."""
        return float("nan") if self.schedule else self.learning_rate * scale  # type: ignore[operator]

    def rate_at(self, step: int, scale: float) -> float:
        """Return the learning rate of step 1, 2, … as a number."""
        if isinstance(self.learning_rate, Schedule):
            return self.learning_rate.at((step - 1) // self.accumulate)
        return self.learning_rate * scale

    def rates_at(self, steps: Array, scales: Any) -> list[float]:
        """Return the learning rates of several steps, of one scale or of one each."""
        if isinstance(self.learning_rate, Schedule):
            return list(map(float, self.learning_rate.over((steps - 1) // self.accumulate)))
        return [self.learning_rate * float(x) for x in np.broadcast_to(scales, steps.shape)]

    def step(
        self, p: Node, g: Node, state: State, t: Node, rate: Node, decay: Any,
        parts: Sequence[Part], norm: Node | None = None,
    ) -> tuple[Node, dict[str, Node]]:  # fmt: skip
        """Return parameters and state after one step.

        `decay` is a number, or one for every element; `parts` are where parameters lie in `g`;
        `norm` is that of all gradients, where `g` is not all of them.
        """
        limited = self.limited(g, state, parts)
        if self.clip_global_norm is not None:
            limited = ops.named(_shortened(limited, self.clip_global_norm, norm), "shortened")
        if self.accumulate == 1:
            return self._averaged(p, limited, state, t, rate, decay)
        due = ops.named(t % self.accumulate == 0, "due")
        count = ops.named(self._done(t) + 1, "updates")
        new, kept = self._averaged(p, limited, state, count, rate, decay)
        kept = {name: ops.where(due, x, state[name]) for name, x in kept.items()}
        kept["accumulated"] = ops.where(due, 0.0, self._gathered(g, state))
        return ops.where(due, new, p), kept

    def limited(self, g: Node, state: State, parts: Sequence[Part]) -> Node:
        """Return the gradient, accumulated and clipped: all that needs no other parameter's."""
        g = self._gathered(g, state)
        if self.clip_value is None and self.clip_norm is None:
            return g
        if self.clip_value is not None:
            g = ops.clip(g, -self.clip_value, self.clip_value)
        if self.clip_norm is not None:
            each = [_shortened(g[a:b], self.clip_norm) for a, b in parts]
            each = each or [_shortened(g, self.clip_norm)]
            g = each[0] if len(each) == 1 else ops.concatenate(each)
        return ops.named(g, "clipped")  # type: ignore[no-any-return]

    def _gathered(self, g: Node, state: State) -> Node:
        """Return the sum of the gradients since the last update, each divided by their number."""
        if self.accumulate == 1:
            return g
        return ops.named(state["accumulated"] + g / self.accumulate, "mean_grads")  # type: ignore[no-any-return]

    def _averaged(
        self, p: Node, g: Node, state: State, t: Node, rate: Node, decay: Any
    ) -> tuple[Node, dict[str, Node]]:
        """Update, and let the running average of the parameters follow."""
        new, kept = self._decayed(p, g, state, t, rate, decay)
        if self.ema is None:
            return new, dict(kept)
        new = ops.named(new, "updated")
        mean = running(self.ema, state["average"], new)
        return new, {**kept, "average": ops.where(t == 1, new, mean)}

    def _decayed(
        self, p: Node, g: Node, state: State, t: Node, rate: Node, decay: Any
    ) -> tuple[Node, State]:
        """Update, with weight decay: through the gradient, or directly, where it is decoupled."""
        if isinstance(decay, float) and not decay:
            return self.update(p, g, state, t, rate)
        if self.decoupled:
            shrunk = ops.named(p * (1 - rate * decay), "shrunk")
            return self.update(shrunk, g, state, t, rate)
        return self.update(p, ops.named(g + decay * p, "decayed"), state, t, rate)

    def __repr__(self) -> str:
        """Show the formula's own settings, and of the others those that differ."""
        return f"{type(self).__name__}({', '.join(_settings(self))})"


def _settings(optimizer: Optimizer) -> Iterable[str]:
    usual = {f.name: f.default for f in fields(Optimizer)}
    for f in sorted(fields(optimizer), key=lambda f: bool(f.kw_only)):
        value = getattr(optimizer, f.name)
        if not f.kw_only or {value} != {f.default, usual.get(f.name, MISSING)}:
            yield f"{f.name}={value!r}"


def _shortened(g: Node, most: float, norm: Node | None = None) -> Node:
    """Return g · min(1, most / ‖g‖): the same direction, and at most so long.

    The 1e-6 beside the norm is PyTorch's, which keeps a gradient of 0 from a division by 0.
    """
    norm = ops.sqrt(ops.sum(ops.square(g))) if norm is None else norm
    return g * ops.minimum(most / (norm + 1e-6), 1.0)  # type: ignore[no-any-return]


def running(share: float, mean: Node, x: Node) -> Node:
    """Return a running mean that keeps so much of itself: share · mean + (1 - share) · x."""
    return share * mean + rest(share) * x  # type: ignore[no-any-return]


def rest(share: float) -> float:
    """Return 1 - share as a person writes it: 0.1 for 0.9, not 0.09999999999999998."""
    return round(1 - share, 15)


def _as_groups(given: Any) -> tuple[Group, ...]:
    groups = (given,) if isinstance(given, Group) else given
    if not isinstance(groups, (list, tuple)) or not all(isinstance(g, Group) for g in groups):
        raise DtypeError(f"groups is {given!r}", 'groups=[pc.Group("b*", weight_decay=0.0)]')
    return tuple(groups)
