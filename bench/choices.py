"""How the networks may be trained: every optimizer and schedule, ours and PyTorch's beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

STEPS = 4000  # that a schedule is made for: about as many as are timed


@dataclass(frozen=True)
class Choice:
    """An optimizer: what it is called, and what makes it, from either library.

    `ours` takes pellucid and a learning rate; `theirs` torch, parameters, the rate and flags;
    `scheduler` torch's module of schedules and the optimizer. None: PyTorch has no such thing.
    """

    title: str
    rate: float
    ours: Callable[[Any, float], Any]
    theirs: Callable[..., Any] | None
    scheduler: Callable[[Any, Any], Any] | None = None
    fused: bool = False  # whether PyTorch's can be one kernel
    whole: bool = False  # all rows are one batch, and a step looks at the loss several times


def _scheduled(title: str, ours: Callable[[Any], Any], scheduler: Any) -> Choice:
    """Return gradient descent with a schedule."""
    return Choice(
        title, 0.05, lambda pc, rate: pc.SGD(ours(pc)),
        lambda torch, p, rate, **flags: torch.optim.SGD(p, rate, **flags), scheduler, True,
    )  # fmt: skip


OPTIMIZERS = {
    "sgd": Choice("SGD", 0.05, lambda pc, rate: pc.SGD(rate),
                  lambda torch, p, rate, **f: torch.optim.SGD(p, rate, **f), fused=True),
    "momentum": Choice("SGD, momentum", 0.01, lambda pc, rate: pc.SGD(rate, 0.9),
                       lambda torch, p, rate, **f: torch.optim.SGD(p, rate, 0.9, **f), fused=True),
    "nesterov": Choice("SGD, Nesterov", 0.01, lambda pc, rate: pc.SGD(rate, 0.9, nesterov=True),
                       lambda torch, p, rate, **f: torch.optim.SGD(
                           p, rate, 0.9, nesterov=True, **f), fused=True),
    "adam": Choice("Adam", 1e-3, lambda pc, rate: pc.Adam(rate),
                   lambda torch, p, rate, **f: torch.optim.Adam(p, rate, **f), fused=True),
    "adamw": Choice("AdamW", 1e-3,
                    lambda pc, rate: pc.AdamW(rate, groups=[pc.Group("*", weight_decay=0.01)]),
                    lambda torch, p, rate, **f: torch.optim.AdamW(p, rate, **f), fused=True),
    "nadam": Choice("NAdam", 1e-3, lambda pc, rate: pc.NAdam(rate),
                    lambda torch, p, rate, **f: torch.optim.NAdam(p, rate, **f)),
    "amsgrad": Choice("AMSGrad", 1e-3, lambda pc, rate: pc.AMSGrad(rate),
                      lambda torch, p, rate, **f: torch.optim.Adam(p, rate, amsgrad=True, **f),
                      fused=True),
    "rmsprop": Choice("RMSprop", 1e-3, lambda pc, rate: pc.RMSprop(rate),
                      lambda torch, p, rate, **f: torch.optim.RMSprop(p, rate, **f)),
    "adagrad": Choice("Adagrad", 0.01, lambda pc, rate: pc.Adagrad(rate),
                      lambda torch, p, rate, **f: torch.optim.Adagrad(p, rate, **f), fused=True),
    "adadelta": Choice("Adadelta", 1.0, lambda pc, rate: pc.Adadelta(rate),
                       lambda torch, p, rate, **f: torch.optim.Adadelta(p, rate, **f)),
    "lion": Choice("Lion", 1e-4, lambda pc, rate: pc.Lion(rate), None),
    "lbfgs": Choice("LBFGS, all rows, up to 20 iterations", 1.0, lambda pc, rate: pc.LBFGS(rate),
                    lambda torch, p, rate: torch.optim.LBFGS(
                        p, rate, line_search_fn="strong_wolfe"), whole=True),
}  # fmt: skip
SCHEDULES = {
    "constant": _scheduled("ConstantRate", lambda pc: pc.ConstantRate(0.05, 0.5, 100),
                           lambda s, o: s.ConstantLR(o, 0.5, 100)),
    "steps": _scheduled("StepDecay", lambda pc: pc.StepDecay(0.05, 1000, 0.5),
                        lambda s, o: s.StepLR(o, 1000, 0.5)),
    "multistep": _scheduled("MultiStep", lambda pc: pc.MultiStep(0.05, [1000, 3000], 0.3),
                            lambda s, o: s.MultiStepLR(o, [1000, 3000], 0.3)),
    "exponential": _scheduled("Exponential", lambda pc: pc.Exponential(0.05, 0.9995),
                              lambda s, o: s.ExponentialLR(o, 0.9995)),
    "inverse": _scheduled("InverseTime", lambda pc: pc.InverseTime(0.05, 1e-3),
                          lambda s, o: s.LambdaLR(o, lambda t: 1 / (1 + 1e-3 * t))),
    "polynomial": _scheduled("Polynomial", lambda pc: pc.Polynomial(0.05, STEPS, 2.0),
                             lambda s, o: s.PolynomialLR(o, STEPS, 2.0)),
    "cosine": _scheduled("Cosine", lambda pc: pc.Cosine(0.05, STEPS),
                         lambda s, o: s.CosineAnnealingLR(o, STEPS)),
    "restarts": _scheduled("CosineRestarts", lambda pc: pc.CosineRestarts(0.05, 500, 2),
                           lambda s, o: s.CosineAnnealingWarmRestarts(o, 500, 2)),
    "one-cycle": _scheduled("OneCycle", lambda pc: pc.OneCycle(0.05, 1_000_000),
                            lambda s, o: s.OneCycleLR(o, 0.05, total_steps=1_000_000,
                                                      cycle_momentum=False)),
    "warm-up": _scheduled("WarmUp", lambda pc: pc.WarmUp(0.05, 200, 0.1),
                          lambda s, o: s.LinearLR(o, 0.1, 1.0, 200)),
    "joined": _scheduled("JoinedSchedule: WarmUp, then Cosine",
                         lambda pc: pc.JoinedSchedule(
                             [pc.WarmUp(0.05, 200, 0.1), pc.Cosine(0.05, STEPS)], [200]),
                         lambda s, o: s.SequentialLR(
                             o, [s.LinearLR(o, 0.1, 1.0, 200), s.CosineAnnealingLR(o, STEPS)],
                             [200])),
}  # fmt: skip
CHOICES = OPTIMIZERS | SCHEDULES
