"""A model in one safetensors file: its arrays by name, and everything else as JSON.

    W1, b1, …, mean2      parameters and layers' state          optimizer.m     its state, flat
    "pellucid"            layers, loss, optimizer, …            callback.…      what callbacks keep

Reading runs no code, and takes memory only for what has been checked to be there.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pellucid import _version, described
from pellucid.batches import Numbers
from pellucid.errors import ArgumentError, DataError, PellucidError
from pellucid.graph import Array
from pellucid.losses import NAMES as LOSSES
from pellucid.losses import LabelSmoothing, Loss
from pellucid.losses import loss as loss_named
from pellucid.metrics.metric import Metric
from pellucid.nn.layer import Layer
from pellucid.nn.network import Network, network
from pellucid.optim.optimizer import Optimizer
from pellucid.outputs import check_outputs
from pellucid.safetensors import CODES, MOST_AXES, Listing, listing, short, strict, write

FORMAT = 2  # 1: no frozen parameters, no layers' state, no scale of the learning rate, no texts
STATE, KEPT = "optimizer.", "callback."  # what arrays that are no parameters are called
LOSS_TYPES = {"LabelSmoothing": LabelSmoothing}
COUNTS = ("steps", "epochs", "since")
MOST_METRICS = 100
MOST_LETTERS = 2**23  # of all labels, each as long as the longest, as NumPy has them
FARTHEST = 2**53  # steps
TRIES = 9  # times that a file is read which changes meanwhile
WIDE = 2**20  # values of one sample that a layer may give, whatever the file holds
Make = Callable[..., Any]


# -- saving ----------------------------------------------------------------------------------------


def save(model: Any, path: str | Path) -> Path:
    """Write a model to a file and return its path; `model.save` is this."""
    path = Path(path)
    write(path, arrays(model), {"pellucid": described_model(model)})
    return path


def arrays(model: Any) -> dict[str, Array]:
    """Return the arrays of a model as a file has them."""
    state = {f"{STATE}{name}": array for name, array in model._numbers.state.items()}
    return {**model.params, **model.buffers, **state}


def described_model(model: Any) -> str:
    """Return everything of a model but its arrays, as JSON.

    Raises: ArgumentError for what a file cannot hold, such as a function.
    """
    told = {"format": FORMAT, **settings(model), **counted(model._numbers)}
    told["labels"] = _labels_told(model._labels)
    return json.dumps(told, allow_nan=False)


def settings(model: Any) -> dict[str, Any]:
    """Return what a model is made of: everything but its numbers."""
    model._check_savable()
    loss, net = model.loss_function, model._built
    if loss is not None and (loss.name not in LOSSES or loss_named(loss.setting) != loss):
        raise ArgumentError("a loss that is a function cannot be saved", "give the loss by name")
    if not all(isinstance(m, (str, Metric)) for m in model.metrics):
        raise ArgumentError("a metric that is a function cannot be saved", "give metrics by name")
    found = {
        "layers": [described.told(layer) for layer in model.layers],
        "inputs": list(net.input_shape),
        "frozen": sorted(s.name for s in net.fixed if s.kind == "frozen"),
        "loss": described.told(loss.setting) if loss else None,
        "optimizer": described.told(model.optimizer),
        "metrics": [m if isinstance(m, str) else described.told(m) for m in model.metrics],
        "dtype": model.dtype.name,
        "seed": model.seed,
    }
    described.check_size(found)
    return found


def counted(numbers: Numbers) -> dict[str, Any]:
    """Return how far training has come."""
    return {name: getattr(numbers, name) for name in COUNTS} | {"scale": numbers.scale}


def _labels_told(labels: Array | None) -> Any:
    if labels is None:
        return None
    text, found = labels.dtype.kind in "UO", labels.tolist()
    if text and not _fits(found):
        raise ArgumentError(
            f"the longest of the {len(found):,} labels is too long for so many", "shorter labels"
        )
    return ["text" if text else labels.dtype.name, found]


def _fits(labels: list[str]) -> bool:
    """Whether texts are few and short enough: each takes as much memory as the longest."""
    return len(labels) * max((len(str(x)) for x in labels), default=0) <= MOST_LETTERS


# -- reading ---------------------------------------------------------------------------------------


def restore(path: Path, custom: Mapping[str, type], make: Make) -> Any:
    """Return the model of a file; `make` builds one from its settings.

    Of a file that is being replaced, as by a training that saves its best model, the new one.
    """
    for _ in range(TRIES):
        found = listing(path)
        try:
            return restored(found, custom, make)
        except DataError as error:
            wrong = error
            if not found.changed():
                break
    raise wrong


def restored(found: Listing, custom: Mapping[str, type], make: Make) -> Any:
    """Return the model of a file that has been looked through.

    Raises: DataError, which names the file and says what is wrong with it.
    """
    name = found.path.name
    try:
        model = _model(described_in(found), found, described.TYPES | dict(custom), make)
        found.fill(arrays(model))
    except PellucidError as error:
        raise DataError(f"{name}: {error.what}", error.hint) from None
    except Exception as error:  # of what its classes make of settings that they never wrote
        what = f"{type(error).__name__}: {error}"
        raise DataError(f"{name}: its description of the model cannot be read: {what}") from error
    return model


def described_in(found: Listing) -> dict[str, Any]:
    """Return the description of the model in a file."""
    text = found.metadata.get("pellucid")
    if text is None:
        raise DataError("the file holds arrays, but no model", "model.load_weights(path)")
    try:
        told = strict(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"its description of the model is no JSON: {error}") from None
    number = told.get("format") if isinstance(told, dict) else None
    if type(number) is not int or number < 1:
        raise DataError("its description of the model has no format number")
    if number > FORMAT:
        raise DataError(
            f"the file has format {number}, and pellucid {_version.__version__} reads formats up "
            f"to {FORMAT}",
            "pip install --upgrade pellucid",
        )
    return {"frozen": [], "scale": 1.0, **told}


def _model(told: dict[str, Any], found: Listing, known: Mapping[str, type], make: Make) -> Any:
    """Build the model of a description; memory for it is taken only where the file has as much."""
    # no layer is wider than this, but for one that has no weights, as few have
    widest = WIDE + sum(math.prod(entry.shape) for entry in found.entries.values())
    _check_counts(told, widest)
    layers, optimizer, dtype = _parts(told, known, widest)
    net = network(layers, tuple(told["inputs"]), frozenset(told["frozen"]), widest)
    if strange := sorted(set(told["frozen"]) - {s.name for s in net.parameters}):
        raise DataError(f"it says that {strange[0]!r} is frozen, which is no parameter of its")
    _check_arrays(found, _wanted(net, optimizer), dtype)
    model = make(
        loss=described.made(told["loss"], LOSS_TYPES), optimizer=optimizer,
        metrics=_metrics(told["metrics"], known), dtype=dtype, seed=told["seed"],
    )  # fmt: skip
    check_outputs(layers, model.loss_function)
    params = np.zeros(net.size, dtype)
    state = optimizer.zeros(params)
    model.layers, model.frozen, model._net = layers, frozenset(told["frozen"]), net
    counts = {name: told[name] for name in COUNTS} | {"scale": float(told["scale"])}
    model._numbers = Numbers(params, state, np.zeros(net.extra, dtype), **counts)
    model._look()
    model._labels = _labels(told["labels"])
    _check_labels(model._labels, model.loss_function, net.output_shape)
    return model


def _check_counts(told: dict[str, Any], widest: int) -> None:
    inputs, counts, scale = told["inputs"], [told[k] for k in COUNTS], told["scale"]
    whole = all(type(k) is int and k >= (j < len(inputs)) for j, k in enumerate([*inputs, *counts]))
    whole = whole and max(counts) <= FARTHEST and told["since"] <= told["steps"]
    if not whole or len(inputs) > MOST_AXES or math.prod(inputs) > widest:
        sizes = f"inputs {short(inputs)}, steps and epochs {short(counts)}"
        raise DataError(f"its sizes cannot be meant: {sizes}")
    if not isinstance(scale, float) or not 0 < scale < float("inf"):
        raise DataError(f"the scale of its learning rate is {short(scale)}")
    if told["dtype"] not in ("float32", "float64"):
        raise DataError(f"its dtype is {told['dtype']!r}, not float32 or float64")
    if not all(isinstance(name, str) for name in told["frozen"]):
        raise DataError(f"what is frozen in it are no names: {told['frozen']}")
    if not isinstance(told["metrics"], list) or len(told["metrics"]) > MOST_METRICS:
        raise DataError("its metrics are no list of names")


def _parts(
    told: dict[str, Any], known: Mapping[str, type], widest: int
) -> tuple[tuple[Layer, ...], Optimizer, np.dtype[Any]]:
    layers = described.made(told["layers"], known, widest)
    optimizer = described.made(told["optimizer"], known)
    if not isinstance(layers, tuple) or not all(isinstance(x, Layer) for x in layers):
        raise DataError("its layers are no list of layers")
    if not layers:
        raise DataError("it has no layers")
    if not isinstance(optimizer, Optimizer):
        raise DataError(f"its optimizer is {optimizer!r}")
    return layers, optimizer, np.dtype(told["dtype"])


def _metrics(told: list[Any], known: Mapping[str, type]) -> list[Any]:
    found = [m if isinstance(m, str) else described.made(m, known) for m in told]
    for each in found:
        if not isinstance(each, (str, Metric)):
            raise DataError(f"one of its metrics is {each!r}")
    return found


def _wanted(net: Network, optimizer: Optimizer) -> dict[str, tuple[int, ...]]:
    """Return the arrays that a model has, by the names of a file, with their shapes."""
    state = {f"{STATE}{k}": (optimizer.size_of(k, net.size),) for k in optimizer.states}
    return {s.name: tuple(s.shape) for s in net.arrays} | state


def _check_arrays(
    found: Listing, wanted: Mapping[str, tuple[int, ...]], dtype: np.dtype[Any]
) -> None:
    """Refuse a file whose arrays are not those of its model."""
    have = {name for name in found.entries if not name.startswith(KEPT)}
    if have != set(wanted):
        missing, more = sorted(set(wanted) - have), sorted(have - set(wanted))
        told = [f"{what} {', '.join(names[:5])}" for what, names in
                (("it lacks", missing), ("it has", more)) if names]  # fmt: skip
        raise DataError(f"its arrays are not those of its model: {'; '.join(told)}")
    for name, shape in wanted.items():
        entry = found.entries[name]
        if entry.code != CODES[dtype.name] or entry.shape != shape:
            raise DataError(
                f"{name!r} is {entry.code} {entry.shape}, the model's is {dtype} {shape}"
            )


def _check_labels(labels: Array | None, loss: Loss | None, outputs: tuple[Any, ...]) -> None:
    """Refuse labels that are fewer than the classes."""
    if labels is None or loss is None:
        return
    one = outputs[-1:] == (1,) or loss.targets in ("binary", "signs")
    if len(labels) < (2 if one and loss.targets != "classes" else outputs[-1]):
        raise DataError(f"it has {len(labels)} labels, which are fewer than its classes")


def _labels(told: Any) -> Array | None:
    if told is None:
        return None
    kind, values = told
    if kind == "text":
        if not isinstance(values, list) or not all(isinstance(text, str) for text in values):
            raise DataError("its labels are said to be texts, and are not")
        if not _fits(values):
            raise DataError(f"its {len(values):,} labels would take too much memory")
        return np.array(values, str)
    known = np.sctypeDict.get(kind)
    if known is None or np.dtype(known).kind not in "biuf":
        raise DataError(f"its labels are {kind!r}, neither numbers nor texts")
    if not isinstance(values, list) or not all(isinstance(v, (int, float)) for v in values):
        raise DataError(f"its labels are said to be {kind}, and are no such numbers")
    return np.array(values, known)
