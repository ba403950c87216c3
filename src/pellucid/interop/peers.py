"""PyTorch's losses and optimizers, by ours: the same formula under another name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from pellucid import optim, text
from pellucid.graph import Node, symbolic
from pellucid.interop.formulas import leaf
from pellucid.losses import LOSSES, Loss
from pellucid.nn.network import BATCH, Network, penalty
from pellucid.passes import unlabeled
from pellucid.run import load
from pellucid.several import Part, Together
from pellucid.show import torch as printer
from pellucid.show.python import Program, Section
from pellucid.train import Blueprint

Function = Callable[..., Any]

# -- losses --------------------------------------------------------------------------------------

F = "torch.nn.functional"
TEXTS = {
    "mse": f"{F}.mse_loss(p, y)",
    "half_mse": f"0.5 * {F}.mse_loss(p, y)",
    "mae": f"{F}.l1_loss(p, y)",
    "huber": f"{F}.huber_loss(p, y)",
    "hinge": "torch.clamp(1 - y * p, min=0).mean()",
    "bce": f"{F}.binary_cross_entropy(p, y)",
    "bce_logits": f"{F}.binary_cross_entropy_with_logits(p, y)",
    "cce": "-(y * torch.log(p)).sum(-1).mean()",
    "cce_logits": f"{F}.cross_entropy(p, y)",
    "poisson": f"{F}.poisson_nll_loss(p, y, log_input=False, eps=0.0)",
}
# the last activation and its loss in one, as either library would have it for accuracy
MERGED = {("bce", "nn.Sigmoid()"): "bce_logits", ("cce", "nn.Softmax(dim=-1)"): "cce_logits"}


@dataclass(frozen=True)
class LossPeer:
    """A loss of PyTorch's: its text, itself, and whether it takes what the last activation gets."""

    text: str
    function: Function
    before_last: bool = False


def loss_peer(loss: Loss, last: str, output: tuple[int, ...], dtype: np.dtype[Any]) -> LossPeer:
    """Return the loss that PyTorch has for this one; one of a function's is printed.

    `last` is the last module, `output` the shape of one prediction.
    """
    parts = loss.function.parts if isinstance(loss.function, Together) else ()
    if parts and all(_known(part.loss) for part in parts):
        found = " + ".join(_part(part) for part in parts)
        return LossPeer(found, _function(found))
    if not _known(loss):
        return LossPeer(f"printed from the function {loss.name!r}", _printed(loss, output, dtype))
    merged = MERGED.get((loss.name, last))
    found = _text(merged or loss.name, loss, output)
    return LossPeer(found, _function(found), merged is not None)


def _known(loss: Loss) -> bool:
    return any(replace(loss, smoothing=0.0) == x for x in LOSSES)


def _text(name: str, loss: Loss, output: tuple[int, ...]) -> str:
    """Return the text of a loss, with labels smoothed, and classes where PyTorch looks for them."""
    found = text.parsed(TEXTS[name])
    if loss.smoothing and name == "cce_logits":
        found = text.parsed(f"{F}.cross_entropy(p, y, label_smoothing={loss.smoothing!r})")
    elif loss.smoothing:
        classes = output[-1] if loss.targets == "classes" else 2
        mixed = f"{1 - loss.smoothing!r} * y + {loss.smoothing!r} / {classes}"
        found = text.fill(found, {"y": text.parsed(mixed)})
    if name == "cce_logits" and len(output) > 1:  # PyTorch has classes second
        found = text.fill(found, {k: text.parsed(f"{k}.movedim(-1, 1)") for k in "py"})
    return text.unparse(found)


def _part(part: Part) -> str:
    """Return the text of the loss of one output of several, weighted."""
    shape = f".reshape(-1, {str(part.shape).strip('(,)')})" if len(part.shape) > 1 else ""
    views = {k: text.parsed(f"{k}[:, {part.start}:{part.stop}]{shape}") for k in "py"}
    found = text.fill(text.parsed(_text(part.loss.name, part.loss, part.shape)), views)
    return text.unparse(found) if part.weight == 1 else f"{part.weight!r} * {text.unparse(found)}"


def _function(found: str) -> Function:
    return load(f"import torch\n\n\ndef loss(p, y):\n    return {found}\n", "loss")


def _printed(loss: Loss, output: tuple[int, ...], dtype: np.dtype[Any]) -> Function:
    p, y = (symbolic(name, (BATCH, *output), dtype) for name in "py")
    return _loaded("loss", [p, y], loss(p, y))


def _loaded(name: str, inputs: list[Node], out: Node) -> Function:
    graph = unlabeled({"total": out}, {}, inputs[0].dtype)
    program = Program(name, inputs, [Section("", graph.outputs)], ["total"], graph.names)
    return load(printer.source(program), name)


def penalty_peer(net: Network, dtype: np.dtype[Any]) -> Function | None:
    """Return what the layers add to the loss, as a function of all arrays by our names."""
    p = {s.name: leaf(s.name, s.shape, dtype) for s in net.arrays}
    total = penalty(net, p)
    if total is None:
        return None
    function = _loaded("penalty", list(p.values()), total)
    return lambda arrays: function(*(arrays[name] for name in p))


def bound_peers(plan: Blueprint) -> dict[str, Function]:
    """Return what brings parameters back after an update, by our names, in our layout."""
    found = {}
    for slot in plan.bounded:
        value = leaf("w", slot.shape, plan.dtype)
        found[slot.name] = _loaded("bound", [value], plan.bound(slot.name, value))
    return found


# -- optimizers ----------------------------------------------------------------------------------


def _betas(o: Any) -> dict[str, Any]:
    return {"betas": (o.beta1, o.beta2), "eps": o.eps}


PEERS: dict[type[optim.Optimizer], tuple[str, Callable[[Any], dict[str, Any]]]] = {
    optim.SGD: ("SGD", lambda o: {
        "momentum": o.momentum, "dampening": o.dampening, "nesterov": o.nesterov}),
    optim.Adam: ("Adam", _betas),
    optim.AdamW: ("AdamW", _betas),
    optim.AMSGrad: ("Adam", lambda o: {**_betas(o), "amsgrad": True}),
    optim.NAdam: ("NAdam", lambda o: {**_betas(o), "momentum_decay": o.momentum_decay}),
    optim.RMSprop: ("RMSprop", lambda o: {
        "alpha": o.alpha, "eps": o.eps, "centered": o.centered, "momentum": o.momentum}),
    optim.Adagrad: ("Adagrad", lambda o: {
        "lr_decay": o.rate_decay, "initial_accumulator_value": o.initial, "eps": o.eps}),
    optim.Adadelta: ("Adadelta", lambda o: {"rho": o.rho, "eps": o.eps}),
    optim.LBFGS: ("LBFGS", lambda o: {
        "max_iter": o.max_iter, "max_eval": o.max_eval, "tolerance_grad": o.tolerance_grad,
        "tolerance_change": o.tolerance_change, "history_size": o.history,
        "line_search_fn": "strong_wolfe" if o.line_search else None}),
}  # fmt: skip


class OptimizerPeer:
    """PyTorch's optimizer beside one of ours: a group for each parameter, and the same extras.

    Rates, schedules and decays are ours, given to PyTorch as numbers at every step; gradients are
    clipped by PyTorch's functions, and accumulated as its users do.
    """

    def __init__(self, torch: Any, ours: optim.Optimizer, tensors: Mapping[str, Any]) -> None:
        self.torch, self.ours, self.tensors = torch, ours, dict(tensors)
        name, settings = PEERS[type(ours)]
        groups = [
            {"params": [t], "weight_decay": ours.decay_of(k, t.ndim)}
            for k, t in self.tensors.items()
        ]
        given = list(self.tensors.values()) if ours.whole else groups
        self.theirs = getattr(torch.optim, name)(given, lr=ours.rate_at(1, 1.0), **settings(ours))
        self.step_count = 0

    def step(self, cost: Callable[[], Any], scale: float) -> Any:
        """Go one step down the gradient of this loss, and return it as it was before.

        `scale` is the model's, of all rates. What an optimizer counts, such as NAdam's product of
        momenta, PyTorch keeps in its default precision: for the time of the step, the loss's.
        """
        usual = self.torch.get_default_dtype()
        self.torch.set_default_dtype(next(iter(self.tensors.values())).dtype)
        self.step_count += 1
        try:
            return self._searched(cost) if self.ours.whole else self._stepped(cost, scale)
        finally:
            self.torch.set_default_dtype(usual)

    def _searched(self, cost: Callable[[], Any]) -> Any:
        def closure() -> Any:
            self.theirs.zero_grad()
            loss = cost()
            loss.backward()
            return loss

        return self.theirs.step(closure)

    def _stepped(self, cost: Callable[[], Any], scale: float) -> Any:
        loss = cost()
        (loss / self.ours.accumulate).backward()
        if self.step_count % self.ours.accumulate == 0:
            self._clip()
            rate = self.ours.rate_at(self.step_count, scale)
            for name, group in zip(self.tensors, self.theirs.param_groups, strict=True):
                group["lr"] = rate * self.ours.share_of(name)
            self.theirs.step()
            self.theirs.zero_grad()
        return loss

    def _clip(self) -> None:
        tools, all_of_them = self.torch.nn.utils, list(self.tensors.values())
        if self.ours.clip_value is not None:
            tools.clip_grad_value_(all_of_them, self.ours.clip_value)
        if self.ours.clip_norm is not None:
            for tensor in all_of_them:
                tools.clip_grad_norm_([tensor], self.ours.clip_norm)
        if self.ours.clip_global_norm is not None:
            tools.clip_grad_norm_(all_of_them, self.ours.clip_global_norm)


def optimizer_text(ours: optim.Optimizer, rate: float) -> str:
    """Return how PyTorch's is made, or that there is none."""
    if type(ours) not in PEERS:
        return "none"
    name, settings = PEERS[type(ours)]
    told = ", ".join(f"{k}={v!r}" for k, v in {"lr": rate, **settings(ours)}.items() if v)
    return f"torch.optim.{name}({told})"
