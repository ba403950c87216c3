"""Data come in: every array is checked and converted here, before anything else happens.

What cannot be meant is refused with what came, what was expected and what to try; what can be read
(integers, booleans, float16, Fortran order, strides, memory maps) is converted, never touched.
"""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np

from pellucid.errors import ArgumentError, DataError, DtypeError, ShapeError
from pellucid.graph import Array, Node, regular
from pellucid.losses import Loss

Shape = tuple[int, ...]


def features(
    X: Any, dtype: Any, expected: Shape | None = None, name: str = "X", missing: bool = False
) -> Array:
    """Return X as an array of samples in rows, (n, …); `expected` is one sample's shape.

    NaN is refused but where values may be `missing`; Inf always is.
    """
    array = numbers(X, name, dtype)
    if array.ndim == 0:
        raise ShapeError(
            f"{name} is a single number", "rows are samples: give an array of shape (n, features)"
        )
    if array.ndim == 1:
        _one_dimensional(array, expected, name)
    if not array.size:
        raise DataError(
            f"{name} is empty: {array.shape}", "give at least one sample of at least one feature"
        )
    if expected is not None and array.shape[1:] != expected:
        _wrong_features(array, expected, name)
    if missing:
        _finite(np.where(np.isnan(array), 0, array), name)
        return array
    return _finite(array, name)


def _one_dimensional(array: Array, expected: Shape | None, name: str) -> None:
    hint = "X.reshape(-1, 1) for one feature, X.reshape(1, -1) for one sample"
    if expected == array.shape:
        hint = "that is one sample: X.reshape(1, -1), or X[None, :]"
    raise ShapeError(
        f"{name} has one axis, {array.shape}, but rows are samples: (n, features)", hint
    )


def _wrong_features(array: Array, expected: Shape, name: str) -> None:
    turned = array.ndim == 2 and (array.shape[0],) == expected
    hint = "did you mean X.T?" if turned else "give the features that the model was built for"
    wanted = ("n", *expected)
    raise ShapeError(
        f"{name} is {array.shape}, the model takes ({', '.join(map(str, wanted))})", hint
    )


def numbers(x: Any, name: str, dtype: Any) -> Array:
    """Return an array of the wanted precision; refuse what is not made of real numbers."""
    if isinstance(x, Node):
        raise DtypeError(f"{name} is a node of a graph", f"give its array: {name}.value")
    if isinstance(x, np.ma.MaskedArray) and np.ma.is_masked(x):
        raise DataError(
            f"{name} is a masked array with {np.ma.getmaskarray(x).sum()} values hidden",
            f"fill them ({name}.filled(0)) or drop their rows: np.ma.compress_rows({name})",
        )
    array = regular(x, name)
    if array.dtype.kind not in "biuf":
        raise DtypeError(
            f"{name} holds {_kind(array)}, not numbers",
            "turn categories into numbers (np.unique(…, return_inverse=True)), or .astype(float)",
        )
    with np.errstate(over="ignore"):
        converted = np.ascontiguousarray(array, dtype) if array.ndim else np.asarray(array, dtype)
    if array.dtype.kind == "f" and array.size:
        _overflow(array, converted, name)
    return converted


def _kind(array: Array) -> str:
    if array.dtype.kind == "O":
        first = array.ravel()[0] if array.size else None
        return f"Python objects (the first is {type(first).__name__})"
    return {"U": "strings", "S": "bytes", "c": "complex numbers", "M": "dates"}.get(
        array.dtype.kind, str(array.dtype)
    )


def _overflow(array: Array, converted: Array, name: str) -> None:
    lost = np.isinf(converted) & np.isfinite(array)
    if lost.any():
        raise DataError(
            f"{name} holds {array[lost].flat[0]:g}, too large for {converted.dtype}",
            'scale the data, or use dtype="float64"',
        )


def _finite(array: Array, name: str) -> Array:
    """Return the array if it has no NaN or Inf, else say where they are."""
    bad = ~np.isfinite(array)
    if not bad.any():
        return array
    where, short = np.argwhere(bad), name.split()[-1]
    kinds = " and ".join(
        k for k, found in (("NaN", np.isnan(array)), ("Inf", np.isinf(array))) if found.any()
    )
    rows = _few(np.unique(where[:, 0])) if array.ndim else "0"
    columns = f", columns {_few(np.unique(where[:, 1]))}" if array.ndim > 1 else ""
    raise DataError(
        f"{name} holds {kinds} in {len(where)} places: rows {rows}{columns}",
        f"drop those rows: keep = np.isfinite({short}).reshape(len({short}), -1).all(axis=1)",
    )


def _few(numbers: Any) -> str:
    shown = ", ".join(map(str, numbers[:8]))
    return shown + (f", … ({len(numbers)} in all)" if len(numbers) > 8 else "")


# -- targets -----------------------------------------------------------------------------------


def same_length(X: Array, y: Any, of: str = "") -> None:
    """Say so where samples and targets are not equally many, and guess why."""
    shape = _shape(y, f"{of}y")
    if not shape:
        raise ShapeError(
            f"{of}y is a single number, {of}X is {X.shape}", "give one target for each row of X"
        )
    if X.shape[0] != shape[0]:
        turned = X.ndim == 2 and X.shape[1] == shape[0]
        flipped = len(shape) == 2 and shape[1] == X.shape[0]
        hint = (
            "did you mean X.T?"
            if turned
            else "did you mean y.T?"
            if flipped
            else "give one target for each row of X"
        )
        raise ShapeError(f"{of}X is {X.shape}, {of}y has {shape[0]} rows", hint)


def _shape(y: Any, name: str) -> Shape:
    if y is None:
        raise DtypeError(f"{name} is None", "give one target for each row of X")
    shape: tuple[int, ...] = regular(y, name).shape
    return shape


def targets(y: Any, loss: Loss, output: Shape, dtype: Any, name: str = "y") -> Array:
    """Return y in the shape of the model's output, (n, …): labels of classes as one-hot rows."""
    array = _finite(numbers(y, name, np.float64), name)
    if not array.size:
        raise DataError(f"{name} is empty: {array.shape}", "give at least one target")
    if loss.targets == "classes":
        array = _one_hot(array, loss, output)
    array = _shaped(array, output)
    _in_range(array, loss)
    return numbers(array, name, dtype)


def _shaped(array: Array, output: Shape) -> Array:
    if array.shape[1:] == output:
        return array
    if (
        output == (1,) and array.ndim == 1
    ):  # (n,) becomes (n, 1): it cannot broadcast into (n, n) later
        return array.reshape(-1, 1)
    if output == () and array.shape[1:] == (1,):
        return array.reshape(-1)
    wanted, columns = ", ".join(map(str, ("n", *output))), array.shape[-1] if array.ndim > 1 else 1
    hint = f"give the last layer {columns} units, or give y the shape ({wanted})"
    if array.ndim == 2 and array.shape[:1] == output:
        hint = "did you mean y.T?"
    raise ShapeError(f"y is {array.shape}, the model's output is ({wanted})", hint)


def _one_hot(array: Array, loss: Loss, output: Shape) -> Array:
    classes = output[-1] if output else 1
    if array.shape[1:] == output and not (classes == 1 and array.ndim == 2):
        return _rows_of_shares(array, loss)
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim != 1 or len(output) != 1:
        return array
    if (array != np.floor(array)).any():
        odd = array[array != np.floor(array)][0]
        raise DataError(
            f"y holds {odd:g}, but labels are whole numbers",
            f"labels count the classes from 0 to {classes - 1}",
        )
    low, high = int(array.min()), int(array.max())
    if low < 0 or high >= classes:
        hint = f"labels count from 0 to {classes - 1}; or give the last layer {high + 1} units"
        if low > 0 and high - low < classes:
            hint = f"subtract {low}: y - {low}"
        raise DataError(
            f"y holds labels from {low} to {high}, but the model has {classes} classes", hint
        )
    rows: Array = (array[:, None] == np.arange(classes)).astype(float)
    return rows


def _rows_of_shares(array: Array, loss: Loss) -> Array:
    sums = array.sum(axis=-1)
    wrong = np.argwhere(~np.isclose(sums, 1, atol=1e-6))
    if len(wrong) or (array < 0).any():
        row = int(wrong[0, 0]) if len(wrong) else int(np.argwhere(array < 0)[0, 0])
        raise DataError(
            f"row {row} of y sums to {sums[row].flat[0]:g}, but {loss.name} takes shares of 1",
            'one-hot rows, or integer labels of shape (n,); for several labels at once loss="bce"',
        )
    return array


def _in_range(array: Array, loss: Loss) -> None:
    low, high = array.min(), array.max()
    if loss.targets == "binary" and (low < 0 or high > 1):
        hint = (
            "relabel: (y > 0).astype(float)"
            if low == -1
            else "labels are 0 and 1, or probabilities between"
        )
        raise DataError(
            f"y runs from {low:g} to {high:g}, but {loss.name} takes labels from 0 to 1", hint
        )
    if loss.targets == "signs" and set(np.unique(array)) - {-1.0, 1.0}:
        raise DataError(
            f"y holds {_few(np.unique(array))}, but hinge takes labels -1 and 1",
            "relabel: 2 * y - 1",
        )
    if loss.targets == "counts" and low < 0:
        raise DataError(f"y holds {low:g}, but counts are at least 0")


def label_values(y: Any, loss: Loss, output: Shape) -> Array | None:
    """Return the caller's label of each class, for `predict_classes` to give back."""
    if not loss.classifies:
        return None
    array = np.asarray(y)
    if loss.targets == "signs" and output[-1:] != (1,):
        return None
    kind = array.dtype if array.dtype.kind in "biuf" else np.dtype(int)
    if loss.targets == "signs":
        return np.array([-1, 1], kind)
    if loss.targets == "binary":
        return np.array([0, 1], kind)
    return np.arange(output[-1], dtype=kind if kind.kind in "iu" and array.ndim == 1 else int)


def weights(given: Any, n: int) -> Array:
    """Return one weight for each of n samples, as float64."""
    array = _finite(numbers(given, "sample_weight", np.float64), "sample_weight")
    if array.shape not in ((n,), (n, 1)):
        raise ShapeError(
            f"sample_weight is {array.shape} for {n} samples", "give one weight for each row"
        )
    if (array < 0).any() or not array.any():
        raise DataError(
            f"sample_weight runs from {array.min():g} to {array.max():g}",
            "weights are at least 0, and not all 0",
        )
    return array.reshape(n)


def sample_weights(given: Any, class_weight: Any, y: Array, loss: Loss, dtype: Any) -> Array | None:
    """Return one weight for each sample, scaled to mean 1, or None where all are alike."""
    if given is None and class_weight is None:
        return None
    n = len(y)
    total = np.ones(n) if given is None else weights(given, n)
    if class_weight is not None:
        total = total * _of_classes(class_weight, y, loss)
    if not total.any():
        raise DataError(
            "sample_weight and class_weight leave every sample a weight of 0", "keep one above 0"
        )
    total = total / total.max()  # the sum of huge weights would overflow
    scaled: Array = (total * (n / total.sum())).astype(dtype)
    return scaled


def _of_classes(class_weight: Any, y: Array, loss: Loss) -> Array:
    if not loss.classifies:
        raise ArgumentError(
            f"class_weight has no meaning for the loss {loss.name!r}", "use sample_weight"
        )
    if loss.targets != "classes" and y.shape[1:] != (1,):
        raise ArgumentError(
            f"class_weight has no meaning for several labels at once, {y.shape}",
            "use sample_weight",
        )
    labels = (
        y.argmax(axis=-1)
        if loss.targets == "classes"
        else (y.reshape(len(y), -1)[:, 0] > 0.5).astype(int)
    )
    count = y.shape[-1] if loss.targets == "classes" else 2
    if isinstance(class_weight, str):
        if class_weight != "balanced":
            raise ArgumentError(
                f"class_weight is {class_weight!r}", 'give "balanced" or a dict {label: weight}'
            )
        sizes = np.bincount(labels, minlength=count)
        each: Array = len(y) / (np.count_nonzero(sizes) * np.maximum(sizes, 1))
    else:
        each = _given_weights(class_weight, loss, count)
    found: Array = each[labels]
    return found


def _given_weights(class_weight: Any, loss: Loss, count: int) -> Array:
    """Return the weight of each class from a dict; a class that it does not name has 1."""
    if not isinstance(class_weight, Mapping):
        raise ArgumentError(
            f"class_weight is a {type(class_weight).__name__}",
            'give "balanced" or a dict {label: weight}',
        )
    labels = [-1, 1] if loss.targets == "signs" else list(range(count))
    for label, weight in class_weight.items():
        if label not in labels:
            raise ArgumentError(
                f"class_weight names the class {label!r}",
                f"the classes are {labels[0]} to {labels[-1]}",
            )
        if (
            isinstance(weight, bool)
            or not isinstance(weight, Real)
            or not 0 <= float(weight) < np.inf
        ):
            raise ArgumentError(
                f"class_weight[{label!r}] is {weight!r}", "a weight is a number of at least 0"
            )
    return np.array([float(class_weight.get(k, 1.0)) for k in labels])
