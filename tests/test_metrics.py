"""Metrics: exact over any batches, the same on every backend, and defined where they are not."""

from __future__ import annotations

import copy
import itertools
import json
import pickle
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pellucid as pc
from pellucid import jit
from pellucid.metrics import NAMES, Confusion, Metric, Stream, check_metrics, confusion_matrix, each
from pellucid.metrics.spread import Spread

BACKENDS = ["numpy", *(["numba"] if not jit.available() else [])]
RNG = np.random.default_rng(7)
N, CLASSES = 53, 3  # a prime number of samples: the last batch is smaller
X = RNG.normal(size=(N, 4))
LABELS = (X @ RNG.normal(size=(4, CLASSES)) + RNG.normal(size=(N, CLASSES))).argmax(1)
YES = (LABELS > 0).astype(int)
TAGS = np.stack([LABELS > 0, LABELS > 1, X[:, 0] > 0], 1).astype(float)
REAL = X @ RNG.normal(size=(4, 2)) + 20
WEIGHTS = RNG.random(N) * (RNG.random(N) > 0.2)

COUNTED = (pc.Precision, pc.Recall, pc.F1)
AVERAGES = ("macro", "micro", "weighted")
OF_CLASSES: list[Metric] = [
    pc.Accuracy(), *(kind() for kind in COUNTED),
    *(kind(average) for kind in COUNTED for average in AVERAGES),
    *(pc.AUC(average) for average in AVERAGES),
]  # fmt: skip
OF_ONE: list[Metric] = [
    *OF_CLASSES, pc.Accuracy(0.4, name="low"), *(kind("binary", 0.3, name=kind.__name__ + "_low")
                                                 for kind in COUNTED),
]  # fmt: skip
OF_VALUES: list[Metric] = [pc.MAE(), pc.MSE(), pc.RMSE(), pc.R2()]
TOP = [pc.TopK(1), pc.TopK(2), pc.TopK(3)]


def classes(n: int = CLASSES, act: str | None = "softmax") -> list[pc.Layer]:
    return [pc.Dense(6, "tanh"), pc.Dense(n, act)]


# name: layers, loss, targets, metrics, and how a stream is told to read the targets
TASKS: dict[str, tuple[Any, str, Any, list[Metric], Any]] = {
    "one": (classes(1, "sigmoid"), "bce", YES, [*OF_ONE, *OF_VALUES], None),
    "scores": (classes(1, None), "bce_logits", YES, [*OF_ONE, *OF_VALUES], None),
    "signs": (classes(1, None), "hinge", 2 * YES - 1, OF_CLASSES, "signs"),
    "classes": (classes(), "cce", LABELS, [*OF_CLASSES, *TOP, *OF_VALUES], "classes"),
    "many scores": (classes(act=None), "cce_logits", LABELS, [*OF_CLASSES, *TOP], None),
    "one-hot": (classes(act=None), "mse", np.eye(3)[LABELS], [*OF_CLASSES, *OF_VALUES], None),
    "labels": (classes(act="sigmoid"), "bce", TAGS, OF_CLASSES, "binary"),
    "values": (classes(2, None), "mse", REAL, OF_VALUES, None),
    "value": (classes(1, None), "mae", REAL[:, 0], OF_VALUES, None),
}


def model(task: str, metrics: Any = None, dtype: str = "float64", **more: Any) -> Any:
    layers, loss, _, known, _ = TASKS[task]
    settings = {"optimizer": pc.SGD(1e-30), "seed": 3} | more
    metrics = known if metrics is None else metrics
    return pc.Sequential(layers, loss=loss, metrics=metrics, dtype=dtype, **settings)


def fit(built: Any, task: str, **more: Any) -> Any:
    return built.fit(X, TASKS[task][2], verbose=0, **({"batch_size": 7} | more))


# -- in a model ------------------------------------------------------------------------------------


COMPILED = [("one", True), ("classes", True), ("labels", False), ("values", True)]
EPOCHS = [
    *itertools.product(TASKS, [False, True], ["numpy"]),
    *((*case, "numba") for case in COMPILED if "numba" in BACKENDS),
]


@pytest.mark.parametrize(("task", "weighted", "backend"), EPOCHS)
def test_an_epoch_of_batches_gives_what_all_samples_give(
    task: str, weighted: bool, backend: str
) -> None:
    """With a rate that moves nothing: history, `evaluate` and the metric as a function agree."""
    weights = WEIGHTS if weighted else None
    built, y = model(task), TASKS[task][2]
    more = {"validation_data": (X, y), "sample_weight": weights, "backend": backend}
    history = fit(built, task, epochs=2, **more)
    whole, held = built.evaluate(X, y, sample_weight=weights), built.evaluate(X, y)
    p = built.predict(X)
    for metric in TASKS[task][3]:
        alone = metric(p, y, weights, targets=TASKS[task][4])
        assert whole[metric.label] == pytest.approx(alone, rel=1e-12), metric
        assert history[metric.label] == pytest.approx([alone] * 2, rel=1e-12), metric
        assert history[f"val_{metric.label}"] == pytest.approx([held[metric.label]] * 2, rel=1e-12)
    labels = [metric.label for metric in TASKS[task][3]]
    assert list(history) == ["loss", *labels, "val_loss", *(f"val_{x}" for x in labels)]


@pytest.mark.parametrize("task", TASKS)
def test_float32_counts_exactly(task: str) -> None:
    built, y = model(task, dtype="float32"), TASKS[task][2]
    history = fit(built, task, backend="numpy")
    p = built.predict(X)
    for metric in TASKS[task][3]:
        alone = metric(p, y, targets=TASKS[task][4])
        close = 1e-6 if type(metric) in (pc.MAE, pc.MSE, pc.RMSE, pc.R2) else 1e-12
        assert history[metric.label] == pytest.approx([alone], rel=close, abs=close), metric


@pytest.mark.skipif("numba" not in BACKENDS, reason="Numba is not there")
@pytest.mark.parametrize("task", ["scores", "signs", "classes", "one-hot", "value"])
def test_compiled_training_logs_the_same(task: str) -> None:
    found = []
    for backend in BACKENDS:
        built = model(task, optimizer=pc.Adam(0.01))
        found.append(fit(built, task, epochs=5, backend=backend, validation_split=0.2))
    for name in found[0]:
        np.testing.assert_allclose(found[1][name], found[0][name], rtol=1e-9, err_msg=name)
    assert list(found[0]) == list(found[1])


@pytest.mark.parametrize("backend", BACKENDS)
def test_callbacks_see_results_and_no_parts(backend: str) -> None:
    names = ["loss", "precision", "r2"]
    batches: list[Any] = []
    epochs: list[Any] = []
    keep = pc.LambdaCallback(
        on_batch_end=lambda k, logs: batches.append(dict(logs)),
        on_epoch_end=lambda k, logs: epochs.append(dict(logs)),
    )
    metrics = ["precision", "auc", "r2"]
    fit(model("one", metrics), "one", callbacks=[keep], backend=backend, validation_data=(X, YES))
    assert [*epochs[0]] == ["loss", *metrics, "val_loss", *(f"val_{x}" for x in metrics)]
    assert all([*logs] == names for logs in batches), "the AUC of a batch is no part of the epoch's"
    sizes = np.array([7] * 7 + [4]) / N
    shares = [logs["r2"] for logs in batches]
    assert sizes @ shares == pytest.approx(epochs[0]["r2"], rel=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
def test_auc_is_that_of_the_epochs_end(backend: str) -> None:
    seen: list[float] = []
    built = model("classes", ["auc"], optimizer=pc.Adam(0.05))
    keep = pc.LambdaCallback(
        on_epoch_end=lambda k, logs: seen.append(pc.AUC()(built.predict(X), LABELS))
    )
    history = fit(built, "classes", epochs=4, callbacks=[keep], backend=backend)
    assert history["auc"] == pytest.approx(seen, rel=1e-12)
    assert len(set(seen)) == 4
    alone = fit(model("classes", ["auc"], optimizer=pc.Adam(0.05)), "classes", epochs=4,
                backend=backend)  # fmt: skip
    assert alone["auc"] == history["auc"], "also where nobody looks at every epoch"


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("metrics", [["recall", "rmse"], ["recall", "auc", "rmse"]])
def test_a_callback_that_changes_the_model_is_seen(metrics: list[str], backend: str) -> None:
    """Where it does so after the last step of an epoch, held-out samples are evaluated after it."""

    class Reset(pc.Callback):
        def on_batch_end(self, batch: int, logs: Any) -> None:
            if batch == 7:
                self.model.params["W2"][...] = 0

    built = model("one", metrics, optimizer=pc.SGD(0.1))
    history = fit(built, "one", callbacks=[Reset()], backend=backend, validation_data=(X, YES))
    for name in metrics:
        assert history[f"val_{name}"] == [pytest.approx(built.evaluate(X, YES)[name], rel=1e-12)]
    assert history.get("auc", [0.5]) == [0.5]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("hook", ["on_batch_end", "on_epoch_end", "on_epoch_begin"])
def test_an_interrupted_training_has_all_of_its_values(hook: str, backend: str) -> None:
    calls: list[int] = []

    def stop(*_: Any) -> None:
        calls.append(1)
        if len(calls) > (20 if hook == "on_batch_end" else 2):
            raise KeyboardInterrupt

    metrics = ["f1", "auc", "r2"]
    built = model("one", metrics, optimizer=pc.Adam(0.05))
    history = fit(built, "one", epochs=9, backend=backend, validation_data=(X, YES),
                  callbacks=[pc.LambdaCallback(**{hook: stop})])  # fmt: skip
    assert history.stopped.startswith("interrupted")
    whole = fit(model("one", metrics, optimizer=pc.Adam(0.05)), "one", epochs=9, backend=backend,
                validation_data=(X, YES))  # fmt: skip
    assert 2 <= history.epochs < 9
    for name, values in whole.items():
        np.testing.assert_allclose(history[name], values[: history.epochs], rtol=1e-12)


def test_lbfgs_takes_metrics_of_classes() -> None:
    built = model("classes", ["f1", "auc"], optimizer=pc.LBFGS())
    history = fit(built, "classes", epochs=2, batch_size=None)
    assert len(history["f1"]) == len(history["auc"]) == 2


def test_dropout_is_off_for_auc() -> None:
    layers = [pc.Dense(8, "tanh"), pc.Dropout(0.5), pc.Dense(1, "sigmoid")]
    built = pc.Sequential(layers, loss="bce", metrics=["auc"], seed=1)
    history = built.fit(X, YES, verbose=0)
    assert history["auc"] == [built.evaluate(X, YES)["auc"]]


def test_a_sweep_gives_the_same_with_and_without_compiling() -> None:
    def make(seed: int) -> Any:
        return pc.Sequential(classes(), loss="cce", metrics=["f1", "auc", "accuracy"], seed=seed)

    more = {"seeds": range(3), "epochs": 3, "validation_data": (X, LABELS), "verbose": 0}
    found = [pc.sweep(make, X, LABELS, backend=b, **more) for b in BACKENDS]
    for sweep in found:
        for row in sweep.rows:
            last = sweep.model(row).evaluate(X, LABELS)
            assert row["metrics"]["val_auc"] == pytest.approx(last["auc"], rel=1e-6)
            assert row["metrics"]["auc"] == row["metrics"]["val_auc"]
            assert row["metrics"]["val_f1"] == pytest.approx(last["f1"], rel=1e-6)
            assert row["converged"] is not None


def test_a_diverged_training_of_a_sweep_has_the_auc_of_its_last_whole_epoch() -> None:
    def make(seed: int) -> Any:
        return pc.Sequential(
            [pc.Dense(1)], loss="mse", metrics=["auc"], optimizer=pc.SGD(1.4), dtype="float64",
            seed=seed,
        )  # fmt: skip

    more = {"epochs": 300, "batch_size": 9, "verbose": 0}
    rows = [pc.sweep(make, X, YES, seeds=[1], backend=b, **more).rows[0] for b in BACKENDS]
    for row in rows:
        whole = (row["failed_at"] - 1) // 6  # epochs
        assert whole > 1
        assert (row["failed_at"] - 1) % 6, "it fails within an epoch"
        twin = make(1)
        twin.fit(X, YES, epochs=whole, batch_size=9, verbose=0, backend="numpy")
        assert row["metrics"]["auc"] == pytest.approx(twin.evaluate(X, YES)["auc"], rel=1e-12)


def test_the_loss_alone_says_nothing_of_metrics() -> None:
    built = model("one", ["auc"])
    fit(built, "one")
    assert built.loss(X[:1], YES[:1]) > 0  # evaluate would warn: one class


def test_the_printed_step_names_what_is_counted() -> None:
    built = model("classes", ["accuracy", "precision", "f1", "r2"])
    fit(built, "classes", epochs=0)
    text = built.source()
    for line in (
        "accuracy = np.mean(",
        "predicted = np.argmax(a2, axis=1, keepdims=True) == positions  # (n, 3)",
        "actual = np.argmax(Y, axis=1, keepdims=True) == positions  # (n, 3)",
        "hits = np.logical_and(predicted, actual)  # (n, 3)",
        "true_positives = np.mean(hits, axis=0)  # (3,)",
        "predicted_positives = np.mean(predicted, axis=0)  # (3,)",
        "actual_positives = np.mean(actual, axis=0)  # (3,)",
        "squared_error = np.mean(",
        "return loss, accuracy, true_positives, predicted_positives, actual_positives, "
        "squared_error",
    ):
        assert line in text
    assert text.count("true_positives =") == 1, "what two metrics count is counted once"
    single = model("one", ["recall"])
    fit(single, "one", epochs=0)
    lines = [line.strip().partition("  #")[0] for line in single.source().splitlines()]
    start = lines.index("predicted = a2 > 0.5")
    assert lines[start : start + 5] == [
        "predicted = a2 > 0.5",
        "actual = Y > 0.5",
        "hits = np.logical_and(predicted, actual)",
        "true_positives = np.mean(hits)",
        "actual_positives = np.mean(actual)",
    ]


# -- streams ---------------------------------------------------------------------------------------


def cut(count: int, edges: list[int]) -> list[slice]:
    places = [0, *sorted(e % (count + 1) for e in edges), count]
    return [slice(a, b) for a, b in itertools.pairwise(places)]


CASES = [(task, metric) for task, (_, _, _, metrics, _) in TASKS.items() for metric in metrics]


@pytest.mark.parametrize("task", TASKS)
@settings(max_examples=12, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    edges=st.lists(st.integers(0, 60), max_size=6),
    merged=st.booleans(),
    weighted=st.booleans(),
)
def test_any_partition_gives_the_same(
    task: str, seed: int, edges: list[int], merged: bool, weighted: bool
) -> None:
    """Batches of any size, the empty one and single samples included, and merged streams."""
    rng = np.random.default_rng(seed)
    p, w = some_predictions(task, rng), rng.random(N) if weighted else np.ones(N)
    for metric in TASKS[task][3]:
        y, targets = TASKS[task][2], TASKS[task][4]
        total, whole = metric.stream(targets), metric(p, y, w, targets=targets)
        for s in cut(N, edges):
            batch = p[s], y[s], w[s]
            if merged:
                total.merge(metric.stream(targets).update(*batch))
            else:
                total.update(*batch)
        assert total.result() == pytest.approx(whole, rel=1e-11, abs=1e-13), metric
        assert total.samples == N


def some_predictions(task: str, rng: np.random.Generator) -> Any:
    """Return numbers in the shape of a task's outputs, with many ties."""
    y = TASKS[task][2]
    return np.round(
        rng.random((N, np.shape(y)[1] if np.ndim(y) > 1 else 3 if y is LABELS else 1)), 1
    )


def test_a_weight_is_a_number_of_copies() -> None:
    counts = RNG.integers(0, 4, N)
    for task, metric in CASES:
        if isinstance(metric, pc.R2):
            continue  # below
        p, y, targets = some_predictions(task, RNG), TASKS[task][2], TASKS[task][4]
        copies = metric(np.repeat(p, counts, 0), np.repeat(y, counts, 0), targets=targets)
        assert metric(p, y, counts, targets=targets) == pytest.approx(copies, rel=1e-11), metric


def test_a_stream_forgets_pickles_and_tells_what_it_is() -> None:
    stream = pc.F1().stream().update([0.9, 0.1], [1, 1])
    again = pickle.loads(pickle.dumps(stream))
    assert again.update([0.8], [1]).result() == stream.update([0.8], [1]).result()
    assert repr(stream) == f"<{pc.F1()!r} of 3 samples>"
    assert np.isnan(stream.reset().result())
    assert stream.samples == 0


def test_a_refused_batch_leaves_a_stream_as_it_was() -> None:
    stream = pc.Accuracy().stream().update([[0.2, 0.8]], [1])
    one = [[0.2, 0.8]]
    wrong = [(one, [2]), (one, [1, 0]), ([["a", "b"]], [1]), (one, [np.nan]), (one, [[0.5, 0.9]])]
    for bad in (*wrong, ([[0.1, 0.2, 0.7]], [1])):
        with pytest.raises(pc.PellucidError):
            pc.Recall().stream().update([[0.2, 0.8]], [1]).update(*bad)
        before = stream.samples
        if bad[0] != [[0.1, 0.2, 0.7]]:  # an accuracy does not know the classes
            with pytest.raises(pc.PellucidError):
                stream.update(*bad)
        assert (stream.samples, stream.result()) == (before, 1.0)
    with pytest.raises(pc.ArgumentError, match="a stream of Accuracy"):
        stream.merge(pc.F1().stream())


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: pc.F1()([0.5, 0.5], [1]), pc.ShapeError, "a row each"),
        (lambda: pc.F1()(0.5, 1), pc.ShapeError, "single number"),
        (lambda: pc.F1()([0.5], [-1]), pc.DataError, 'targets="signs"'),
        (lambda: pc.F1()([0.5], [3]), pc.DataError, "from 3 to 3"),
        (lambda: pc.F1()([[0.5, 0.5]], [[1, 1]]), pc.DataError, 'targets="binary"'),
        (lambda: pc.F1()([[0.5, 0.5]], [0.5]), pc.DataError, "no label of 2 classes"),
        (lambda: pc.F1()([0.5], ["a"]), pc.DtypeError, "labels as whole numbers"),
        (lambda: pc.MAE()([[1.0, 2.0]], [1.0]), pc.ShapeError, "a target for each output"),
        (lambda: pc.MAE()([1.0], [1.0], [-1.0]), pc.DataError, "no weight"),
        (lambda: pc.MAE()([1.0], [1.0], [1.0, 1.0]), pc.ShapeError, "for 1 samples"),
        (lambda: pc.MAE().stream("sign"), pc.ArgumentError, 'did you mean "signs"'),
        (lambda: pc.F1("makro"), pc.ArgumentError, 'did you mean "macro"'),
        (lambda: pc.AUC("binary"), pc.ArgumentError, "unknown average"),
        (lambda: pc.F1(threshold=np.nan), pc.ArgumentError, "threshold is nan"),
        (lambda: pc.TopK(0), pc.ArgumentError, "at least 1"),
        (lambda: pc.TopK(True), pc.ArgumentError, "at least 1"),
        (lambda: pc.MAE(name=3), pc.DtypeError, "name is 3"),
        (lambda: pc.TopK(4)([[0.2, 0.3, 0.5]], [1]), pc.ArgumentError, "of 3 classes"),
        (lambda: pc.TopK(1)([0.5], [1]), pc.ArgumentError, "yes or no"),
        (lambda: pc.F1(threshold=0.3)([[0.5, 0.5]], [1]), pc.ArgumentError, "largest of several"),
        (lambda: pc.F1("binary")([[0.5, 0.5]], [1]), pc.ArgumentError, "single output"),
        (lambda: Metric()([1.0], [1.0]), NotImplementedError, "parts"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused(call: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        call()


# -- what each of them is --------------------------------------------------------------------------


def counted(p: list[float], y: list[int]) -> tuple[int, int, int]:
    """Return true, predicted and actual positives, counted one by one."""
    said = [x > 0.5 for x in p]
    return sum(a and b for a, b in zip(said, y, strict=True)), sum(said), sum(y)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.sampled_from([0.0, 0.4, 0.5, 0.6, 1.0]), st.integers(0, 1)),
                min_size=1, max_size=12))  # fmt: skip
def test_precision_recall_and_f1_by_their_definitions(pairs: list[tuple[float, int]]) -> None:
    p, y = [x for x, _ in pairs], [k for _, k in pairs]
    both, said, true = counted(p, y)
    found = pc.Precision()(p, y), pc.Recall()(p, y), pc.F1()(p, y)
    shares = [(both, said), (both, true), (2 * both, said + true)]
    assert found == pytest.approx([a / b if b else 0 for a, b in shares], rel=1e-14)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([-1.0, 0.0, 0.25, 0.3, 7.0]), st.booleans(), st.integers(0, 3)),
        min_size=2,
        max_size=12,
    )
)
def test_auc_is_the_share_of_pairs_in_order(rows: list[tuple[float, bool, int]]) -> None:
    pairs = [
        (wa * wb, 1.0 if a > b else 0.5 if a == b else 0.0)
        for a, ya, wa in rows if ya
        for b, yb, wb in rows if not yb
    ]  # fmt: skip
    total = sum(w for w, _ in pairs)
    p, y, w = zip(*rows, strict=True)
    stream = pc.AUC().stream().update(p, np.array(y, int), w)
    if not total:
        if any(w):
            with pytest.warns(pc.PellucidWarning, match="of one class"):
                assert np.isnan(stream.result())
        return
    assert stream.result() == pytest.approx(sum(w * s for w, s in pairs) / total, rel=1e-14)


def test_auc_sees_order_alone() -> None:
    p, y = RNG.normal(size=N), YES
    found = pc.AUC()(p, y)
    assert pc.AUC()(np.exp(3 * p), y) == found
    assert pc.AUC()(-p, y) == pytest.approx(1 - found, rel=1e-14)
    mixed = RNG.permutation(N)
    assert pc.AUC()(p[mixed], y[mixed]) == found
    assert np.isnan(pc.AUC()(np.where(np.arange(N) == 3, np.nan, p), y))
    assert pc.AUC()(np.where(y == 1, np.inf, -np.inf), y) == 1


def test_auc_leaves_out_a_class_that_does_not_occur() -> None:
    p = RNG.random((40, 3))
    y = RNG.integers(0, 2, 40)
    with pytest.warns(pc.PellucidWarning, match="leaves out classes .*: 2"):
        found = pc.AUC()(p, y)
    rest = [pc.AUC()(p[:, k], (y == k).astype(int)) for k in (0, 1)]
    assert found == pytest.approx(np.mean(rest), rel=1e-14)


def test_macro_leaves_out_classes_neither_predicted_nor_true() -> None:
    p = np.eye(4)[[0, 1, 1]]
    assert pc.F1()(p, [0, 1, 0]) == pytest.approx((2 / 3 + 2 / 3) / 2, rel=1e-15)
    assert pc.Recall()(p, [0, 3, 3]) == pytest.approx((1 + 0 + 0) / 3, rel=1e-15)


def test_top_1_is_the_accuracy_and_ties_count_as_they_do_there() -> None:
    p = RNG.integers(0, 3, (200, 5)) / 2
    y = RNG.integers(0, 5, 200)
    assert pc.TopK(1)(p, y) == pc.Accuracy()(p, y)
    order = np.argsort(-p, axis=1, kind="stable")
    for k in range(1, 6):
        assert pc.TopK(k)(p, y) == np.mean((order[:, :k] == y[:, None]).any(1))
    assert pc.TopK(2)(np.full((4, 5), np.nan), [0, 1, 2, 3]) == 0


@settings(max_examples=50, deadline=None)
@given(
    st.floats(-1e12, 1e12),
    st.lists(st.floats(-1, 1), min_size=3, max_size=9),
    st.lists(st.integers(0, 9), max_size=3),
)
def test_r2_does_not_cancel(middle: float, off: list[float], edges: list[int]) -> None:
    """Targets far from 0: exact fractions say what the share is."""
    y = np.array([middle + x for x in off])
    p = y + np.linspace(-0.5, 0.5, len(y))
    exact = [Fraction(float(x)) for x in y]
    mean = sum(exact) / len(exact)
    total = sum((x - mean) ** 2 for x in exact)
    if float(total) < 1e-3:
        return
    left = sum((x - Fraction(float(q))) ** 2 for x, q in zip(exact, p, strict=True))
    stream = pc.R2().stream()
    for rows in cut(len(y), edges):
        stream.update(p[rows], y[rows])
    share = float(left / total)
    assert 1 - stream.result() == pytest.approx(share, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("backend", BACKENDS)
def test_r2_of_a_float32_model_far_from_zero(backend: str) -> None:
    """E[y²] - E[y]² in float32 would be off by more than the variance itself."""
    y = (5000 + X[:, :1]).astype("float32")
    built = pc.Sequential([pc.Dense(1)], loss="mse", metrics=["r2"], optimizer=pc.SGD(1e-30))
    history = built.fit(X, y, batch_size=7, verbose=0, backend=backend, validation_data=(X, y))
    p = built.predict(X)
    expected = pc.R2()(p, y)
    naive = np.mean(y**2, dtype="float32") - np.mean(y, dtype="float32") ** 2
    assert abs(float(naive) - np.var(y.astype(float))) > 0.1 * np.var(y.astype(float))
    assert history["r2"] == pytest.approx([expected], rel=1e-5)
    assert history["val_r2"] == pytest.approx([expected], rel=1e-5)


def test_the_spread_of_parts_is_that_of_the_whole() -> None:
    y, w = RNG.normal(size=(30, 2)) + 1e8, RNG.random(30)
    whole = Spread.of(y, w)
    parts = (
        Spread.of(y[:7], w[:7]).joined(Spread.of(y[7:7], w[7:7])).joined(Spread.of(y[7:], w[7:]))
    )
    np.testing.assert_allclose(parts.squares, whole.squares, rtol=1e-9)
    np.testing.assert_allclose(whole.squares, 30 * np.cov(y.T, aweights=w, ddof=0).diagonal()
                               * w.sum() / 30, rtol=1e-9)  # fmt: skip
    assert Spread.of(np.full((9, 1), 0.1)).squares == 0


# -- where there is nothing to measure -------------------------------------------------------------

ONE_CLASS = np.ones(N, int)


@pytest.mark.parametrize(
    ("task", "metric", "y", "says", "value"),
    [
        ("one", "auc", ONE_CLASS, "one class: it is NaN", np.nan),
        ("classes", "auc", ONE_CLASS, "one class: it is NaN", np.nan),
        ("one", "recall", 0 * ONE_CLASS, "recall is 0 whatever is predicted", 0),
        ("one", "f1", 0 * ONE_CLASS, "f1 is 0 whatever is predicted", 0),
        ("value", "r2", 3 * ONE_CLASS, "all targets are alike", 0),
    ],
)
def test_an_undefined_metric_is_told_and_ends_no_training(
    task: str, metric: str, y: Any, says: str, value: float
) -> None:
    built, good = model(task, [metric], optimizer=pc.Adam(0.01)), TASKS[task][2]
    with pytest.warns(pc.PellucidWarning, match=f"of the validation samples, .*{says}"):
        history = built.fit(X, good, epochs=3, verbose=0, validation_data=(X, y))
    np.testing.assert_equal(history[f"val_{metric}"], [value] * 3)
    assert history.epochs == 3
    assert not history.stopped
    assert np.isfinite(history[metric]).all()
    with pytest.warns(pc.PellucidWarning, match=says):
        found = built.evaluate(X, y)
    np.testing.assert_equal(found[metric], value)


def test_a_single_sample_has_no_r2() -> None:
    built = model("value", ["r2"])
    fit(built, "value")
    with pytest.warns(pc.PellucidWarning, match="single sample"):
        assert np.isnan(built.evaluate(X[:1], REAL[:1, 0])["r2"])


def test_one_of_several_outputs_may_be_constant() -> None:
    y = np.stack([REAL[:, 0], np.full(N, 0.1)], 1)
    p = y + 0.5
    assert pc.R2()(y, y) == 1
    assert pc.R2()(p, y) == pytest.approx(pc.R2()(p[:, 0], y[:, 0]) / 2, rel=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
def test_nan_in_a_metric_is_no_failure_of_training(backend: str) -> None:
    def broken(p: Any, y: Any) -> Any:
        return pc.log(p * 0 - 1)

    alike = np.full(N, 0.5)
    built = model("one", [broken, "auc", "f1"])
    with pytest.warns(pc.PellucidWarning) as told:
        history = built.fit(X, alike, verbose=0, backend=backend, epochs=2)
    assert [str(w.message).split()[0] for w in told] == ["auc", "f1"]
    for name in ("broken", "auc"):
        np.testing.assert_equal(history[name], [np.nan] * 2)
    assert history["f1"] == [0, 0]
    assert not history.stopped


# -- names, and metrics of one's own ---------------------------------------------------------------


def test_names_stand_for_metrics() -> None:
    names = ["acc", "precision", "recall_macro", "f1", "f1_micro", "roc_auc", "top_2_accuracy"]
    made = [pc.Accuracy(), pc.Precision(), pc.Recall("macro"), pc.F1(), pc.F1("micro"), pc.AUC(),
            pc.TopK(2)]  # fmt: skip
    by_name, by_value = model("classes", names), model("classes", made)
    a, b = fit(by_name, "classes"), fit(by_value, "classes")
    assert dict(a) == dict(b)
    assert list(a)[1:] == ["accuracy", "precision", "recall_macro", "f1", "f1_micro", "auc",
                           "top_2_accuracy"]  # fmt: skip
    history = fit(model("value", ["RMSE", "r2_score", "mae", "mean_squared_error"]), "value")
    assert list(history)[1:] == ["rmse", "r2", "mae", "mean_squared_error"]
    assert history["rmse"][0] ** 2 == pytest.approx(history["mean_squared_error"][0], rel=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_every_name_can_be_watched(name: str) -> None:
    """Which way it gets better is known by its name."""
    from pellucid.callbacks.monitors import watched

    label = NAMES[name].label
    falls = label in ("mae", "mse", "rmse")
    assert watched(f"val_{label}", "auto").mode == ("min" if falls else "max")


@pytest.mark.parametrize(
    ("metrics", "loss", "says"),
    [
        (["precison"], "bce", 'did you mean "precision"'),
        ([pc.F1], "bce", r"F1 is a class.*\n.*\n?.*pc\.F1\(\)"),
        (["confusion"], "cce", r"model\.confusion"),
        (["f1", pc.F1(threshold=0.3)], "bce", "two metrics are called 'f1'"),
        (["auc"], "poisson", "auc has no meaning for the loss 'poisson'"),
        (["top_k_accuracy"], "cce", "top_5_accuracy"),
        (["top_0_accuracy"], "cce", "at least 1"),
    ],
)
def test_metrics_that_cannot_be_meant(metrics: Any, loss: str, says: str) -> None:
    with pytest.raises(pc.ArgumentError, match=says):
        pc.Sequential(loss=loss, metrics=metrics)
    with pytest.raises(pc.ArgumentError, match=says):
        check_metrics(metrics, pc.Sequential(loss=loss).loss_function)


@pytest.mark.parametrize("metric", [pc.TopK(4), pc.F1("binary"), pc.Accuracy(0.3)])
def test_what_does_not_fit_the_outputs_is_refused_before_training(metric: Metric) -> None:
    built = model("classes", [metric])
    with pytest.raises(pc.ArgumentError):
        fit(built, "classes")
    assert built._net is None, "a refused fit leaves the model without parameters, as it was"


@dataclass(frozen=True)
class Bias(Metric):
    """How far predictions are off in the mean, of their size; for each output, the largest."""

    scale: float = 1.0

    def parts(self, prediction: Any, target: Any, task: Any) -> Any:
        return {"off": each(prediction - target), "size": each(pc.absolute(target))}

    def result(self, means: Any) -> Any:
        return self.scale * (means["off"] / means["size"]).max(-1)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("task", ["value", "values"])
def test_a_metric_of_ones_own(task: str, backend: str) -> None:
    y = TASKS[task][2]
    built = model(task, [Bias(2.0), Bias(name="own")])
    history = fit(built, task, backend=backend, epochs=2, sample_weight=WEIGHTS)
    off = (built.predict(X) - y.reshape(N, -1)) * WEIGHTS[:, None]
    expected = (off.sum(0) / (np.abs(y.reshape(N, -1)) * WEIGHTS[:, None]).sum(0)).max()
    assert history["own"] == pytest.approx([expected] * 2, rel=1e-12)
    assert history["bias"] == pytest.approx([2 * expected] * 2, rel=1e-12)


@dataclass(frozen=True)
class Wrong(Metric):
    """A result for all epochs together."""

    def parts(self, prediction: Any, target: Any, task: Any) -> Any:
        return {"off": prediction - target}

    def result(self, means: Any) -> Any:
        return means["off"].mean()


def test_a_result_of_another_shape_is_refused_before_training() -> None:
    built = model("value", [Wrong()])
    with pytest.raises(pc.ArgumentError, match=r"wrong comes to \(\) for the averages of 2 epochs"):
        fit(built, "value")


@pytest.mark.parametrize("backend", BACKENDS)
def test_functions_may_give_a_number_for_each_sample(backend: str) -> None:
    def off(p: Any, y: Any) -> Any:
        return pc.absolute(p - y)

    def largest(p: Any, y: Any) -> Any:
        return pc.max(pc.absolute(p - y))

    built = model("value", [off, largest, "mae"])
    history = fit(built, "value", backend=backend, sample_weight=WEIGHTS)
    assert history["off"] == pytest.approx(history["mae"], rel=1e-12)
    errors = np.abs(built.predict(X)[:, 0] - REAL[:, 0])
    w = WEIGHTS
    assert history["off"] == pytest.approx([(w * errors).sum() / w.sum()], rel=1e-12)
    assert built.evaluate(X, REAL[:, 0])["largest"] == pytest.approx(errors.max(), rel=1e-12)


@dataclass(frozen=True)
class Largest(Metric):
    """A number for a batch."""

    def parts(self, prediction: Any, target: Any, task: Any) -> Any:
        return {"largest": pc.max(pc.absolute(prediction - target))}


def test_a_number_for_a_batch_is_averaged_by_the_batches_sizes() -> None:
    p, y = np.array([1.0, 5.0, 2.0, 3.0]), np.zeros(4)
    stream = Largest().stream().update(p[:3], y[:3], [1, 0, 0]).update(p[3:], y[3:], [7])
    assert stream.result() == (3 * 5 + 1 * 3) / 4
    built = model("value", [Largest()])
    history = fit(built, "value")
    errors = np.abs(built.predict(X)[:, 0] - REAL[:, 0])
    assert errors.max() >= history["largest"][0] > errors.mean()


@pytest.mark.parametrize("wrong", [lambda p, y: 1.0, lambda p, y: pc.sum(p, axis=0)])
def test_a_function_that_gives_something_else_is_refused(wrong: Any) -> None:
    built = model("values", [wrong])
    with pytest.raises(pc.ArgumentError, match=r"a number for each sample.*\n.*\n?.*pc\.mean"):
        fit(built, "values")


@pytest.mark.parametrize(
    "name", ["true_positives", "weight", "precision", "predicted", "positions"]
)
def test_ones_own_may_have_the_name_of_a_part(name: str) -> None:
    def function(p: Any, y: Any) -> Any:
        return pc.mean(p) * 0 + 7

    function.__name__ = name
    metrics = [function, "recall", pc.Precision(name="exact")]
    for backend in BACKENDS:
        built = model("classes", metrics)
        history = fit(built, "classes", backend=backend, sample_weight=WEIGHTS)
        found = built.evaluate(X, LABELS, sample_weight=WEIGHTS)
        assert history[name] == [7]
        for other in ("recall", "exact"):
            assert history[other] == pytest.approx([found[other]], rel=1e-12)


# -- kept ------------------------------------------------------------------------------------------


def test_metrics_are_saved_with_the_model(tmp_path: Path) -> None:
    metrics = ["accuracy", pc.F1("macro", name="f"), pc.TopK(2), pc.AUC("weighted"), pc.R2()]
    built = model("classes", metrics)
    fit(built, "classes")
    again = pc.load(built.save(tmp_path / "m.safetensors"))
    assert again.metrics == built.metrics
    assert again.evaluate(X, LABELS) == built.evaluate(X, LABELS)


def test_a_metric_of_ones_own_is_loaded_by_its_class(tmp_path: Path) -> None:
    built = model("value", [Bias(2.0)])
    fit(built, "value")
    path = built.save(tmp_path / "m.safetensors")
    with pytest.raises(pc.DataError, match="Bias"):
        pc.load(path)
    assert pc.load(path, custom={"Bias": Bias}).metrics == (Bias(2.0),)


@pytest.mark.parametrize(
    ("metrics", "says"),
    [
        ([{"type": "Dense", "units": 3}], "one of its metrics is Dense"),
        ([["accuracy"]], "one of its metrics is"),
        ([3], "one of its metrics is 3"),
        ([{"type": "Nope"}], "Nope"),
        ([{"type": "F1", "average": "makro"}], "unknown average"),
        ([{"type": "TopK", "k": 1e9}], "k is"),
        (["nope"], "unknown metric"),
    ],
)
def test_a_file_with_other_metrics_is_refused(metrics: Any, says: str, tmp_path: Path) -> None:
    built = model("classes", ["accuracy"])
    fit(built, "classes")
    content = built.save(tmp_path / "m.safetensors").read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    told = json.loads(header["__metadata__"]["pellucid"]) | {"metrics": metrics}
    header["__metadata__"]["pellucid"] = json.dumps(told)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path = tmp_path / "other.safetensors"
    path.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + size :])
    with pytest.raises(pc.DataError, match=says):
        pc.load(path)


def test_copies_have_the_metrics() -> None:
    built = model("classes", ["auc", pc.F1("micro")])
    fit(built, "classes")
    for twin in (copy.deepcopy(built), pickle.loads(pickle.dumps(built)), built.copy()):
        assert twin.evaluate(X, LABELS) == built.evaluate(X, LABELS)


# -- which classes are taken for which -------------------------------------------------------------


@pytest.mark.parametrize("task", ["one", "scores", "signs", "classes", "one-hot"])
def test_the_confusion_of_a_model(task: str) -> None:
    built, y = model(task), TASKS[task][2]
    fit(built, task)
    found = built.confusion(X, y)
    said = built.predict_classes(X)
    true = y.argmax(1) if np.ndim(y) > 1 else y
    labels = sorted(set(true.tolist()))
    for i, a in enumerate(labels):
        for j, b in enumerate(labels):
            assert found.counts[i, j] == sum((true == a) & (said == b))
    assert found.labels.tolist() == labels
    assert found.accuracy == pytest.approx(built.evaluate(X, y)["accuracy"], rel=1e-12)
    scores = {"precision": found.precision, "recall": found.recall, "f1": found.f1}
    for name, values in scores.items():
        assert built.evaluate(X, y)[f"{name}_macro"] == pytest.approx(values.mean(), rel=1e-12)
    weighted = built.confusion(X, y, sample_weight=WEIGHTS)
    assert weighted.counts.sum() == pytest.approx(WEIGHTS.sum(), rel=1e-12)


def test_confusions_of_batches_add_up() -> None:
    p, y = RNG.random((N, 3)), LABELS
    whole = confusion_matrix(prediction=p, target=y)
    parts = [confusion_matrix(prediction=p[s], target=y[s]) for s in cut(N, [4, 30, 30])]
    total = sum(parts[1:], parts[0])
    np.testing.assert_array_equal(total.counts, whole.counts)
    np.testing.assert_array_equal(np.asarray(total), whole.counts)
    one = confusion_matrix(prediction=["b", "c"], target=["b", "b"])
    other = confusion_matrix(prediction=["a"], target=["c"])
    both = one + other
    assert both.labels.tolist() == ["a", "b", "c"]
    assert both.counts.tolist() == [[0, 0, 0], [0, 1, 1], [1, 0, 0]]
    assert np.isnan(Confusion(np.zeros((2, 2), int), np.arange(2)).accuracy)


def test_labels_may_come_in_any_order() -> None:
    found = confusion_matrix(
        prediction=[2, 5], target=[5, 5], labels=[5, 2, 9], sample_weight=[2, 3]
    )
    assert found.labels.tolist() == [5, 2, 9]
    assert found.counts.tolist() == [[3, 2, 0], [0, 0, 0], [0, 0, 0]]
    assert repr(found).splitlines()[1].split() == ["true", "5", "2", "9"]


@pytest.mark.parametrize(
    ("given", "error", "says"),
    [
        ({"prediction": [1], "target": [1, 2]}, pc.ShapeError, "1 rows, target 2"),
        ({"prediction": [0.3], "target": [1]}, pc.DataError, "prediction > 0.5"),
        ({"prediction": [1], "target": [3], "labels": [0, 1]}, pc.DataError, "none of the labels"),
        ({"prediction": [1], "target": [1], "labels": [1, 1]}, pc.ArgumentError, "each once"),
        ({"prediction": ["a"], "target": [1]}, pc.DtypeError, "texts or numbers"),
        ({"prediction": [["a", "b"]], "target": [1]}, pc.DtypeError, "not scores"),
        ({"prediction": np.zeros((2, 2, 2)), "target": [1, 1]}, pc.ShapeError, "a label for each"),
        ({"prediction": [1], "target": [1], "sample_weight": [1, 2]}, pc.ShapeError, "1 samples"),
        ({"prediction": [1], "target": [1], "sample_weight": [-1]}, pc.DataError, "no weight"),
        ({"prediction": np.eye(2), "target": [0, 2]}, pc.DataError, "none of the labels"),
    ],
)
def test_confusion_refuses(given: Any, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        confusion_matrix(**given)


def test_values_and_several_labels_have_no_confusion() -> None:
    for task in ("value", "labels"):
        built = model(task)
        fit(built, task)
        with pytest.raises(pc.ArgumentError):
            built.confusion(X, TASKS[task][2])


def test_a_stream_is_made_by_its_metric() -> None:
    assert isinstance(pc.AUC().stream(), Stream)
