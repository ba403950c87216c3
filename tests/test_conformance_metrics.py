"""Metrics, in streams and with weights, against scikit-learn: relative error at most 1e-12."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import pellucid as pc
from pellucid.metrics import Metric, confusion_matrix

reference = pytest.importorskip(
    "sklearn.metrics", reason="scikit-learn is the reference here: pip install -e '.[conformance]'"
)
pytestmark = pytest.mark.conformance
N, CLASSES = 200, 4
AVERAGES = ("macro", "micro", "weighted")


def scores(rng: np.random.Generator, kind: str) -> tuple[Any, Any]:
    """Return predictions, with many ties, and targets that they have to do with."""
    if kind == "binary":
        y = rng.integers(0, 2, N)
        return np.round(np.clip(0.3 * y + rng.random(N) * 0.7, 0, 1), 1), y
    if kind == "classes":
        y = rng.integers(0, CLASSES, N)
        raw = np.exp(np.eye(CLASSES)[y] + rng.normal(size=(N, CLASSES)))
        return raw / raw.sum(1, keepdims=True), y
    if kind == "labels":
        y = rng.integers(0, 2, (N, 3))
        return np.round(np.clip(0.3 * y + rng.random((N, 3)) * 0.7, 0, 1), 1), y
    y = rng.normal(size=(N, 2) if kind == "outputs" else N) * 3 + 100
    return y + rng.normal(size=y.shape), y


def said(kind: str, p: Any) -> Any:
    return p.argmax(1) if kind == "classes" else (p > 0.5).astype(int)


def by_class(name: str, average: str) -> Callable[..., float]:
    function = getattr(reference, name)
    return lambda kind, p, y, w: function(y, said(kind, p), average=average, sample_weight=w)


def area(average: str) -> Callable[..., float]:
    def found(kind: str, p: Any, y: Any, w: Any) -> float:
        many = {"multi_class": "ovr"} if kind == "classes" else {}
        return float(reference.roc_auc_score(y, p, average=average, sample_weight=w, **many))

    return found


def plain(name: str, **settings: Any) -> Callable[..., float]:
    function = getattr(reference, name)
    return lambda kind, p, y, w: float(function(y, p, sample_weight=w, **settings))


COUNTED = {"precision_score": pc.Precision, "recall_score": pc.Recall, "f1_score": pc.F1}
ALL = ("binary", "classes", "labels")
CASES: dict[str, tuple[Metric, Callable[..., float], tuple[str, ...]]] = {
    **{
        f"{name} {average}": (kind(average), by_class(name, average), ALL)
        for name, kind in COUNTED.items()
        for average in AVERAGES
    },
    **{name: (kind(), by_class(name, "binary"), ("binary",)) for name, kind in COUNTED.items()},
    **{
        f"{name} auto": (kind(), by_class(name, "macro"), ("classes", "labels"))
        for name, kind in COUNTED.items()
    },
    **{f"auc {a}": (pc.AUC(a), area(a), ALL) for a in AVERAGES},
    "accuracy": (
        pc.Accuracy(),
        lambda kind, p, y, w: reference.accuracy_score(y, said(kind, p), sample_weight=w),
        ("binary", "classes"),
    ),
    **{
        f"top {k}": (pc.TopK(k), plain("top_k_accuracy_score", k=k), ("classes",))
        for k in (1, 2, 3)
    },
    "mae": (pc.MAE(), plain("mean_absolute_error"), ("values", "outputs")),
    "mse": (pc.MSE(), plain("mean_squared_error"), ("values", "outputs")),
    "rmse": (pc.RMSE(), plain("root_mean_squared_error"), ("values",)),
    "r2": (pc.R2(), plain("r2_score"), ("values", "outputs")),
}
GRID = [(name, kind) for name, (_, _, kinds) in CASES.items() for kind in kinds]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("name", "kind"), GRID)
def test_a_stream_gives_what_scikit_learn_gives(name: str, kind: str, weighted: bool) -> None:
    metric, theirs, _ = CASES[name]
    for seed in range(5):
        rng = np.random.default_rng(seed)
        p, y = scores(rng, kind)
        w = rng.random(N) * (rng.random(N) > 0.2) if weighted else None
        targets = "binary" if kind == "labels" else None
        stream = metric.stream(targets)
        for rows in np.split(np.arange(N), np.sort(rng.integers(0, N, 4))):
            stream.update(p[rows], y[rows], None if w is None else w[rows])
        assert stream.result() == pytest.approx(theirs(kind, p, y, w), rel=1e-12, abs=1e-14)


@pytest.mark.parametrize("weighted", [False, True])
def test_confusion(weighted: bool) -> None:
    rng = np.random.default_rng(0)
    p, y = scores(rng, "classes")
    w = rng.random(N) if weighted else None
    ours = confusion_matrix(prediction=p, target=y, sample_weight=w)
    theirs = reference.confusion_matrix(y, p.argmax(1), sample_weight=w)
    np.testing.assert_allclose(ours.counts, theirs, rtol=1e-12)


def quiet(function: Callable[[], float]) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(function())


ZEROS, ONES = np.zeros(4), np.ones(4)
SURE, UNSURE = np.array([0.9, 0.8, 0.7, 0.6]), np.array([0.1, 0.2, 0.3, 0.4])
ODD: dict[str, tuple[Metric, Callable[[], float], Any, Any]] = {
    "precision, nothing predicted": (
        pc.Precision(), lambda: reference.precision_score(ONES, ZEROS), UNSURE, ONES),
    "recall, nothing positive": (
        pc.Recall(), lambda: reference.recall_score(ZEROS, ONES), SURE, ZEROS),
    "f1, nothing positive": (pc.F1(), lambda: reference.f1_score(ZEROS, ONES), SURE, ZEROS),
    "f1, nothing at all": (pc.F1(), lambda: reference.f1_score(ZEROS, ZEROS), UNSURE, ZEROS),
    "macro, one class": (
        pc.F1("macro"), lambda: reference.f1_score(ZEROS, ZEROS, average="macro"), UNSURE, ZEROS),
    "macro, both classes": (
        pc.Recall("macro"), lambda: reference.recall_score(ZEROS, [0, 0, 1, 1], average="macro"),
        np.array([0, 0, 1, 1]), ZEROS),
    "weighted, one class": (
        pc.Precision("weighted"),
        lambda: reference.precision_score(ONES, ZEROS, average="weighted"), UNSURE, ONES),
    "auc, one class": (pc.AUC(), lambda: reference.roc_auc_score(ONES, SURE), SURE, ONES),
    "r2, all alike": (pc.R2(), lambda: reference.r2_score(ONES, SURE), SURE, ONES),
    "r2, all alike, exact": (pc.R2(), lambda: reference.r2_score(ONES, ONES), ONES, ONES),
    "r2, one sample": (pc.R2(), lambda: reference.r2_score([1.0], [2.0]), [2.0], [1.0]),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD)
def test_what_is_not_defined_is_what_scikit_learn_makes_of_it(name: str) -> None:
    metric, theirs, p, y = ODD[name]
    np.testing.assert_equal(quiet(lambda: metric(p, y)), quiet(theirs))
