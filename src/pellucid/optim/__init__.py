"""Optimizers: each is its update formula, traced into the training step like everything else."""

from pellucid.errors import one_of
from pellucid.optim.adam import Adam, AdamW, AMSGrad, NAdam
from pellucid.optim.adaptive import Adadelta, Adagrad, RMSprop
from pellucid.optim.lbfgs import LBFGS
from pellucid.optim.lion import Lion
from pellucid.optim.optimizer import Group, Optimizer, State, rest
from pellucid.optim.schedule import Schedule
from pellucid.optim.schedules import (
    ConstantRate,
    Cosine,
    CosineRestarts,
    Exponential,
    InverseTime,
    JoinedSchedule,
    MultiStep,
    OneCycle,
    Polynomial,
    StepDecay,
    WarmUp,
)
from pellucid.optim.sgd import SGD

__all__ = [
    "LBFGS",
    "SGD",
    "AMSGrad",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "ConstantRate",
    "Cosine",
    "CosineRestarts",
    "Exponential",
    "Group",
    "InverseTime",
    "JoinedSchedule",
    "Lion",
    "MultiStep",
    "NAdam",
    "OneCycle",
    "Optimizer",
    "Polynomial",
    "RMSprop",
    "Schedule",
    "State",
    "StepDecay",
    "WarmUp",
    "optimizer",
    "rest",
]

OPTIMIZERS: tuple[type[Optimizer], ...] = (
    *(SGD, Adam, AdamW, NAdam, AMSGrad, RMSprop, Adagrad, Adadelta, Lion, LBFGS),
)
SCHEDULES: tuple[type[Schedule], ...] = (
    *(ConstantRate, StepDecay, MultiStep, Exponential, InverseTime, Polynomial),
    *(Cosine, CosineRestarts, OneCycle, WarmUp, JoinedSchedule),
)
NAMES = {alias: c for c in OPTIMIZERS for alias in c.aliases}


def optimizer(chosen: str | Optimizer) -> Optimizer:
    """Return an optimizer by name, with its default settings, or as it is."""
    if isinstance(chosen, Optimizer):
        return chosen
    found = NAMES.get(str(chosen).lower())
    if found is None:
        raise one_of("optimizer", chosen, NAMES)
    return found()
