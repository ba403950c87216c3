"""An `nn.Sequential` as layers: each module that has a counterpart, and where its weights go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pellucid import nn, ops
from pellucid.errors import ArgumentError, DtypeError
from pellucid.interop.library import library
from pellucid.interop.parts import Link
from pellucid.settings import check_whole

Found = Sequence[tuple[str, Any]]  # modules with their places: ("3.0", Linear(…))
Make = Callable[[Any], Any]  # from a module to a layer, or to an activation


@dataclass(frozen=True)
class Read:
    """A module as layers: the shape of one sample, the precision, and what holds its tensors."""

    layers: list[nn.Layer]
    inputs: tuple[int, ...]
    dtype: str
    holders: list[Any] = field(repr=False)

    def renamed(self, links: Mapping[str, Link]) -> dict[str, Any]:
        """Return the tensors by the names that the model of these layers has for them."""
        places = dict.fromkeys(key.rpartition(".")[0] for key in links)
        pairs = zip(places, self.holders, strict=True)
        return {f"{k}.{name}": t for k, m in pairs for name, t in m.state_dict().items()}


def read(module: Any, inputs: Any) -> Read:
    """Return the layers of a module; `inputs` is the shape of one sample, where it is known."""
    torch = library()
    if not isinstance(module, torch.nn.Module):
        raise DtypeError(f"a module is expected, not a {type(module).__name__}", "nn.Sequential(…)")
    found = list(_flat(torch, module, ""))
    if not found:
        raise ArgumentError("the module holds nothing to compute", "nn.Sequential(nn.Linear(2, 1))")
    shape = _shape(torch, found, inputs)
    holders = [m for _, m in found if m.state_dict()]
    kinds = {t.dtype for m in holders for t in m.state_dict().values()}
    dtype = "float64" if torch.float64 in kinds else "float32"
    return Read(list(_layers(torch, found, shape)), shape, dtype, holders)


def _flat(torch: Any, module: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield the modules of a stack with their places in it, those of stacks within it too."""
    _check_plain(module, path)
    if type(module) is torch.nn.Sequential:
        for name, child in module._modules.items():  # named_children leaves out what comes twice
            yield from _flat(torch, child, f"{path}.{name}" if path else name)
    elif type(module) is not torch.nn.Identity:
        yield path, module


def _check_plain(module: Any, path: str) -> None:
    """Refuse a module whose hooks may change what it computes."""
    if module._forward_hooks or module._forward_pre_hooks:
        raise ArgumentError(f"{_spot(path, module)} has hooks, which are functions", "remove them")


def _spot(path: str, module: Any) -> str:
    """Say which module it is: module 2.0, a Softmax."""
    kind = type(module).__name__
    return f"module {path}, a {kind}," if path else f"a {kind}"


def _shape(torch: Any, found: Found, inputs: Any) -> tuple[int, ...]:
    """Return the shape of one sample: as it is given, or as the first module says."""
    first = found[0][1]
    if inputs is None:
        known = {torch.nn.Linear: "in_features", torch.nn.BatchNorm1d: "num_features"}
        if type(first) not in known:
            raise ArgumentError(
                f"a {type(first).__name__} does not say of what shape a sample is",
                "from_module(module, inputs=(28, 28))",
            )
        return (int(getattr(first, known[type(first)])),)
    sizes = inputs if isinstance(inputs, (tuple, list)) else [inputs]
    for size in sizes:
        check_whole(size, "inputs", 1)
    return tuple(int(s) for s in sizes)


def _layers(torch: Any, found: Found, shape: tuple[int, ...]) -> Iterator[nn.Layer]:
    """Yield layers; an activation goes into the Dense layer before it."""
    uses = Counter(id(m) for _, m in found)
    names: dict[int, str] = {}
    before: nn.Layer | None = None
    flat = len(shape) == 1
    for k, (path, module) in enumerate(found):
        layer = _layer(torch, path, module, flat)
        flat = _flat_after(layer, flat)
        if k == 0 and isinstance(layer, nn.Dense) and uses[id(module)] == 1:
            layer = replace(layer, inputs=shape[0])
        if isinstance(layer, nn.Activation) and _open(before):
            before = replace(before, activation=layer.function)  # type: ignore[type-var]
            continue
        if before is not None:
            yield before
        if uses[id(module)] > 1 and module.state_dict():
            layer = nn.Shared(layer, names.setdefault(id(module), f"shared{len(names) + 1}"))
        before = layer
    if before is not None:
        yield before


def _flat_after(layer: nn.Layer, before: bool) -> bool:
    """Say whether a layer's output has one axis beside the batch."""
    if isinstance(layer, nn.Embedding):
        return False
    return before or isinstance(layer, (nn.Dense, nn.Flatten))


def _open(layer: nn.Layer | None) -> bool:
    return isinstance(layer, nn.Dense) and layer.activation is None


def _layer(torch: Any, path: str, module: Any, flat: bool) -> nn.Layer:
    """Return the layer of a module; `flat` says that its input has one axis beside the batch."""
    name = type(module).__name__
    if type(module) is not getattr(torch.nn, name, None) or name not in MODULES:
        raise ArgumentError(
            f"{_spot(path, module)} has no counterpart here", f"known: {', '.join(MODULES)}"
        )
    _check(path, module, flat)
    made = MODULES[name](module)
    return made if isinstance(made, nn.Layer) else nn.Activation(made)


# -- modules that have a counterpart -------------------------------------------------------------


def _linear(m: Any) -> nn.Layer:
    return nn.Dense(m.out_features, bias=m.bias is not None)


def _leaky(m: Any) -> Any:
    slope = m.negative_slope
    return "leaky_relu" if slope == 0.01 else lambda x: ops.leaky_relu(x, alpha=slope)


def _elu(m: Any) -> Any:
    return "elu" if m.alpha == 1 else lambda x: ops.elu(x, alpha=m.alpha)


def _batch_norm(m: Any) -> nn.Layer:
    return nn.BatchNorm(m.momentum, m.eps, scale=m.affine, shift=m.affine)


def _layer_norm(m: Any) -> nn.Layer:
    return nn.LayerNorm(m.eps, scale=m.elementwise_affine, shift=m.bias is not None)


MODULES: dict[str, Make] = {
    "Linear": _linear,
    "ReLU": lambda m: "relu",
    "Sigmoid": lambda m: "sigmoid",
    "Tanh": lambda m: "tanh",
    "Softmax": lambda m: "softmax",
    "LogSoftmax": lambda m: "log_softmax",
    "LeakyReLU": _leaky,
    "ELU": _elu,
    "SELU": lambda m: "selu",
    "SiLU": lambda m: "silu",
    "GELU": lambda m: "gelu",
    "Softplus": lambda m: "softplus",
    "LogSigmoid": lambda m: "log_sigmoid",
    "BatchNorm1d": _batch_norm,
    "LayerNorm": _layer_norm,
    "Dropout": lambda m: nn.Dropout(m.p),
    "AlphaDropout": lambda m: nn.AlphaDropout(m.p),
    "Embedding": lambda m: nn.Embedding(m.num_embeddings, m.embedding_dim),
    "Flatten": lambda m: nn.Flatten(),
}

# settings that a counterpart does not have: what they must be
FIXED: dict[str, dict[str, tuple[Any, ...]]] = {
    "GELU": {"approximate": ("none",)},
    "Softplus": {"beta": (1, 1.0)},
    "BatchNorm1d": {"track_running_stats": (True,)},
    "Embedding": {"padding_idx": (None,), "max_norm": (None,), "scale_grad_by_freq": (False,)},
    "Flatten": {"start_dim": (1,), "end_dim": (-1,)},
}


def _check(path: str, module: Any, flat: bool) -> None:
    """Refuse a setting that the counterpart does not have."""
    name = type(module).__name__
    wanted = dict(FIXED.get(name, {}))
    if name in ("Softmax", "LogSoftmax"):
        wanted["dim"] = (-1, 1) if flat else (-1,)
    if name == "BatchNorm1d" and (not flat or module.momentum is None):
        what = "takes features first" if not flat else "has no momentum"
        raise ArgumentError(f"{_spot(path, module)} {what}: that has no counterpart here")
    if name == "LayerNorm" and len(module.normalized_shape) > 1:
        raise ArgumentError(f"{_spot(path, module)} is over several axes, ours over the last")
    for key, values in wanted.items():
        given = getattr(module, key)
        if given not in values:
            raise ArgumentError(
                f"{_spot(path, module)} with {key}={given!r} has no counterpart here",
                f"{key}={values[0]!r} has one",
            )
