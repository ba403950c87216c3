"""PyTorch: a model's weights to it and back, the model as a module, and both compared in one call.

to_state_dict(model)     from_state_dict(model, state_dict)      weights, by PyTorch's names
to_module(model)         from_module(module)                     whole networks
to_source(model)         the network as PyTorch code             needs no PyTorch
compare(model, X, y)     values, gradients and training steps, with a certificate
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pellucid.errors import DtypeError
from pellucid.graph import Array
from pellucid.interop import parts, reading, weights
from pellucid.model import Sequential

if TYPE_CHECKING:
    from pellucid.interop.certificate import Certificate


def to_state_dict(model: Sequential) -> dict[str, Any]:
    """Return copies of the model's arrays as tensors, by the names that `to_module(model)` has.

        "0.weight": Wᵀ (units, inputs),   "0.bias": b (units,),   …

    A Dense layer is `nn.Linear`, followed by its activation as a module of its own, so the numbers
    are those of an `nn.Sequential` written by hand. Raises: NotBuiltError before the model has
    parameters; ArgumentError for a layer that has no counterpart.

    >>> import pellucid as pc
    >>> model = pc.Sequential([pc.Dense(3, "relu", inputs=2), pc.Dense(1)])
    >>> {name: tuple(tensor.shape) for name, tensor in to_state_dict(model).items()}
    {'0.weight': (3, 2), '0.bias': (3,), '2.weight': (1, 3), '2.bias': (1,)}
    """
    return weights.tensors(_module(model), _arrays(model), model._numbers.steps)


def from_state_dict(model: Sequential, state_dict: Mapping[str, Any]) -> Sequential:
    """Take the arrays of a state_dict into the model, all of them or none; return the model.

    Tensors or arrays, of any precision, by the names of `to_state_dict(model)`; the optimizer's
    state and the counts stay. Raises: ArgumentError for names that differ, ShapeError for shapes
    that do, NotBuiltError before the model has parameters; the model is then as it was.

    >>> import pellucid as pc
    >>> one, other = (pc.Sequential([pc.Dense(3, inputs=2)], seed=s) for s in (0, 1))
    >>> from_state_dict(other, to_state_dict(one)).predict([[1, 2]]) == one.predict([[1, 2]])
    array([[ True,  True,  True]])
    """
    own = _arrays(model)
    for name, array in weights.arrays(_module(model).links, state_dict, own).items():
        own[name][...] = array
    return model


def to_source(model: Sequential) -> str:
    """Return the network as PyTorch code: a module with a function `network()` that makes it.

    Layers that PyTorch has become its own, any other a class with its formula. The text needs
    PyTorch alone; the weights come with `load_state_dict(to_state_dict(model))`.
    Raises: NotBuiltError, ArgumentError as `to_state_dict` does.

    >>> import pellucid as pc
    >>> print(to_source(pc.Sequential([pc.Dense(1, "tanh", inputs=2)])))
    \"\"\"A network written by pellucid for PyTorch: from rows of X to scores.
    ...
    def network():
        return nn.Sequential(
            nn.Linear(2, 1),
            nn.Tanh(),
        )
    <BLANKLINE>
    """
    return _module(model).source


def to_module(model: Sequential) -> Any:
    """Return the model as an `nn.Sequential` that computes the same: `model.predict(X, raw=True)`.

    It has copies of the weights, in the model's precision, and is set to evaluation: call
    `.train()` before training it. Where the loss takes scores, such as "cce_logits", it gives
    scores, as PyTorch's losses of that kind want them. Raises: as `to_state_dict` does.

    >>> import pellucid as pc
    >>> to_module(pc.Sequential([pc.Dense(1, "tanh", inputs=2)]))
    Sequential(
      (0): Linear(in_features=2, out_features=1, bias=True)
      (1): Tanh()
    )
    """
    return weights.made(_module(model), _arrays(model), model._numbers.steps).eval()


def from_module(
    module: Any,
    *,
    inputs: int | Sequence[int] | None = None,
    loss: Any = None,
    optimizer: Any = "adam",
    metrics: Sequence[Any] = (),
    seed: int = 0,
) -> Sequential:
    """Return an `nn.Sequential` as a model that computes the same, with copies of its weights.

    Args: `inputs`, the shape of one sample, where the first module does not say it; the others as
    for `pc.Sequential`. The precision is that of the module's parameters. Modules in modules are
    read as well; a module that is used twice becomes `pc.Shared`.
    Raises: ArgumentError for a module, or a setting of one, that has no counterpart here.

    >>> from torch import nn
    >>> from_module(nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1))).layers
    (Dense(units=3, activation='relu', inputs=2), Dense(units=1))
    """
    found = reading.read(module, inputs)
    model = Sequential(
        found.layers, loss=loss, optimizer=optimizer, metrics=metrics, dtype=found.dtype, seed=seed
    )
    if model._net is None:
        model._build(found.inputs)
    return from_state_dict(model, found.renamed(_module(model).links))


def compare(
    model: Sequential,
    X: Any,
    y: Any,
    *,
    steps: int = 10,
    batch_size: int | None = None,
    dtype: Any = "float64",
) -> Certificate:
    """Compare the model with PyTorch on these samples: values, loss, gradients, training steps.

    PyTorch computes with the module of `to_module`, its own loss, its own derivatives and its own
    optimizer; the model is not changed. Args: `steps`, how many training steps both take, from
    fresh optimizer state; `batch_size`, rows of a step, taken in order (None: all); `dtype`, the
    precision to compare in, whatever the model's: in "float32" rounding alone makes differences.
    Dropout is off on both sides, for PyTorch would draw other masks.
    Returns: a certificate, to be printed, with `.ok` and `.to_json()`.
    Raises: as `fit` does for samples; ArgumentError for what has no counterpart in PyTorch.

    >>> import pellucid as pc
    >>> X, y = pc.data.spirals(60)
    >>> model = pc.Sequential([pc.Dense(8, "tanh"), pc.Dense(3)], loss="cce_logits")
    >>> compare(model, X, y).ok
    True
    """
    from pellucid.interop.comparing import compared

    return compared(_checked(model), X, y, steps, batch_size, dtype)


def _checked(model: Any) -> Sequential:
    if not isinstance(model, Sequential):
        raise DtypeError(f"a model is expected, not a {type(model).__name__}", "pc.Sequential(…)")
    return model


def _module(model: Sequential) -> parts.Module:
    return parts.module(_checked(model)._built, model.dtype)


def _arrays(model: Sequential) -> dict[str, Array]:
    return {**_checked(model).params, **model.buffers}
