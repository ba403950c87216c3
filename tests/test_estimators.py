"""Networks as scikit-learn's estimators: its own checks, and what they promise beyond those."""

from __future__ import annotations

import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pellucid as pc
from pellucid.estimators.learner import Plateau, auto_l2
from pellucid.estimators.scale import Scale, none
from pellucid.losses import LOSSES
from pellucid.losses import loss as loss_named

pytest.importorskip("sklearn", reason="scikit-learn is what these estimators are for")

from sklearn.base import clone
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine
from sklearn.exceptions import DataConversionWarning, NotFittedError
from sklearn.model_selection import GridSearchCV, KFold, cross_val_score, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator

Classifier, Regressor = pc.PellucidClassifier, pc.PellucidRegressor
BOTH = [Classifier, Regressor]


def wine() -> tuple[Any, Any]:
    return load_wine(return_X_y=True)


def data(kind: type) -> tuple[Any, Any]:
    X, y = wine()
    return (X, y) if kind is Classifier else (X[:, 1:], X[:, 0])


# -- scikit-learn's own checks -------------------------------------------------------------------


CHECKED = [
    *(Classifier(), Regressor()),
    *(Classifier((), learning_rate=0.1), Regressor((20, 20), activation="tanh")),
]
CHECKS = [pair for one in CHECKED for pair in estimator_checks_generator(one)]


@pytest.mark.parametrize(
    ("estimator", "check"), CHECKS, ids=[f"{one}-{check.func.__name__}" for one, check in CHECKS]
)
def test_it_passes_every_check_of_scikit_learn(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.mark.parametrize("kind", BOTH)
def test_it_works_in_a_pipeline_a_search_and_a_cross_validation(kind: type) -> None:
    X, y = data(kind)
    whole = make_pipeline(StandardScaler(), kind(random_state=0, max_iter=30))
    folds = KFold(3, shuffle=True, random_state=0)
    assert cross_val_score(whole, X, y, cv=folds).mean() > 0.2
    search = GridSearchCV(kind(random_state=0), {"hidden": [(8,), (16, 8)], "l2": [0.001]}, cv=3)
    found = search.fit(X, y).best_estimator_
    assert found.hidden in [(8,), (16, 8)] and found.score(X, y) > 0.7


@pytest.mark.parametrize("kind", BOTH)
def test_a_clone_is_unfitted_and_fits_to_the_same(kind: type) -> None:
    X, y = data(kind)
    first = kind((6,), layers=None, random_state=3, max_iter=5, backend="numpy").fit(X, y)
    second = clone(first)
    with pytest.raises(NotFittedError):
        second.predict(X)
    assert np.array_equal(second.fit(X, y).predict(X), first.predict(X))


@pytest.mark.parametrize("kind", BOTH)
def test_a_fitted_one_pickles_and_goes_on_as_if_it_had_not(kind: type) -> None:
    X, y = data(kind)
    stayed = kind((6,), random_state=3, max_iter=4, warm_start=True, backend="numpy").fit(X, y)
    came = pickle.loads(pickle.dumps(stayed))
    assert np.array_equal(came.predict(X), stayed.predict(X))
    assert np.array_equal(came.fit(X, y).predict(X), stayed.fit(X, y).predict(X))


# -- targets -------------------------------------------------------------------------------------


def test_labels_come_back_as_they_were_written() -> None:
    X, y = wine()
    names = np.array(["white", "red", "rosé"])[y]
    model = Classifier(random_state=0).fit(X, names)
    assert model.classes_.tolist() == ["red", "rosé", "white"]
    assert (model.predict(X) == names).mean() > 0.97
    assert np.allclose(model.predict_proba(X).sum(axis=1), 1)
    assert model.decision_function(X).shape == (len(X), 3)


def test_two_classes_have_one_score_and_two_probabilities() -> None:
    X, y = load_breast_cancer(return_X_y=True)
    model = Classifier(random_state=0).fit(X, y == 1)
    scores, p = model.decision_function(X), model.predict_proba(X)
    assert scores.shape == (len(X),) and p.shape == (len(X), 2)
    assert np.allclose(p[:, 1], 1 / (1 + np.exp(-scores)))
    assert model.predict(X).dtype == bool
    assert np.array_equal(model.predict(X), scores > 0)


def test_several_labels_at_once() -> None:
    X, y = wine()
    several = np.stack([y == 0, X[:, 0] > 13], axis=1).astype(int)
    model = Classifier(random_state=0).fit(X, several)
    assert model.predict(X).shape == (len(X), 2)
    assert (model.predict(X) == several).mean() > 0.95
    assert np.array_equal(model.predict(X), (model.decision_function(X) > 0).astype(int))
    with pytest.raises(ValueError, match="one label a row"):
        model.set_params(warm_start=True).fit(X, y)


def test_several_targets_of_a_regression() -> None:
    X, _ = wine()
    model = Regressor(random_state=0).fit(X[:, 2:], X[:, :2])
    assert model.predict(X[:, 2:]).shape == (len(X), 2) and model.n_outputs_ == 2
    assert model.score(X[:, 2:], X[:, :2]) > 0.5
    with pytest.warns(DataConversionWarning):
        column = Regressor(random_state=0, max_iter=2).fit(X[:, 1:], X[:, :1])
    assert column.predict(X[:, 1:]).shape == (len(X),)


@pytest.mark.parametrize("shift", [0.0, 1e4])
def test_the_units_of_a_regression_do_not_matter(shift: float) -> None:
    """Scaled and shifted by powers of 2, nothing but rounding changes."""
    X, y = data(Regressor)
    plain = Regressor((5,), random_state=0, max_iter=10, backend="numpy").fit(X, y)
    other = Regressor((5,), random_state=0, max_iter=10, backend="numpy")
    other.fit(X * 1024 - shift, y * 64 + shift)
    assert np.allclose(other.predict(X * 1024 - shift), plain.predict(X) * 64 + shift, rtol=1e-6)


def test_a_loss_of_values_is_taken_and_no_other() -> None:
    X, y = data(Regressor)
    assert Regressor(loss="mae", random_state=0).fit(X, y).score(X, y) > 0.5
    with pytest.raises(ValueError, match="not one of values"):
        Regressor(loss="poisson").fit(X, y)


# -- weights -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", BOTH)
def test_a_weight_is_a_repetition(kind: type) -> None:
    X, y = (a[::4] for a in data(kind))
    counts = np.arange(len(X)) % 3
    model = kind(random_state=0, max_iter=40)
    weighted = clone(model).fit(X, y, sample_weight=counts)
    repeated = clone(model).fit(X.repeat(counts, axis=0), y.repeat(counts))
    read = "predict_proba" if kind is Classifier else "predict"
    assert np.allclose(getattr(weighted, read)(X), getattr(repeated, read)(X), rtol=1e-7, atol=1e-9)


def test_balanced_weights_count_classes_by_their_weights() -> None:
    X, y = (a[::3] for a in wine())
    counts = 1 + np.arange(len(X)) % 2
    model = Classifier(random_state=0, max_iter=20, class_weight="balanced")
    weighted = clone(model).fit(X, y, sample_weight=counts)
    repeated = clone(model).fit(X.repeat(counts, axis=0), y.repeat(counts))
    assert np.allclose(weighted.predict_proba(X), repeated.predict_proba(X), rtol=1e-7)
    total = len(X) / (3 * np.bincount(y))
    given = {label: total[label] for label in range(3)}
    same = clone(model).set_params(class_weight=given).fit(X, y)
    assert np.allclose(same.predict_proba(X), clone(model).fit(X, y).predict_proba(X), rtol=1e-7)


def test_a_class_weight_goes_by_the_label() -> None:
    X, y = wine()
    names = np.array(["a", "b", "c"])[y]
    few = Classifier((4,), random_state=0, max_iter=5)
    heavy = clone(few).set_params(class_weight={"b": 100.0}).fit(X, names)
    assert (heavy.predict(X) == "b").sum() > (few.fit(X, names).predict(X) == "b").sum()
    with pytest.raises(ValueError, match="names the class 'd'"):
        few.set_params(class_weight={"d": 2.0}).fit(X, names)
    with pytest.raises(ValueError, match="class_weight"):
        few.set_params(class_weight="even").fit(X, names)
    with pytest.raises(ValueError, match="several labels"):
        few.set_params(class_weight="balanced").fit(X, np.stack([y == 0, y == 1], 1).astype(int))


# -- stopping, and going on ----------------------------------------------------------------------


@pytest.mark.parametrize("kind", BOTH)
def test_early_stopping_ends_with_the_best_epoch(kind: type) -> None:
    X, y = data(kind)
    model = kind(random_state=0, early_stopping=True, max_iter=400, n_iter_no_change=5, tol=0.0)
    model.fit(X, y)
    held = model.validation_loss_curve_
    assert len(held) == len(model.loss_curve_) == model.n_iter_ < 400
    assert np.argmin(held) == model.n_iter_ - 6
    assert model.validation_loss_curve_ == model.history_["val_loss"]


def test_the_scale_is_learned_from_the_rows_trained_on() -> None:
    X, y = wine()
    model = Classifier(random_state=0, early_stopping=True, max_iter=2).fit(X, y)
    seed = np.random.RandomState(0).randint(2**31 - 1)
    train, *_ = pc.data.split(np.arange(len(X)), y, 0.1, seed)
    assert np.allclose(model.X_scale_.mean, X[train].mean(axis=0))
    assert np.allclose(model.X_scale_.scale, X[train].std(axis=0))
    plain = Classifier(random_state=0, standardize=False, max_iter=2).fit(X, y)
    assert np.array_equal(plain.X_scale_.apply(X), X)


def test_it_stops_where_the_loss_hardly_falls() -> None:
    rule = Plateau(0.01, 5)
    assert [*rule.due(0, 12)] == [4, 9] and [*rule.due(5, 9)] == []
    for epoch, loss in enumerate([9, 8, 7, 6, 2.0, 9, 9, 9, 9, 1.96]):
        assert not rule.stopped
        rule.on_epoch_end(epoch, {"loss": loss})
    assert "fell by less than 0.01 an epoch" in rule.stopped  # 0.04 in five epochs

    X, y = wine()
    early = Classifier(random_state=0, tol=0.05, max_iter=200).fit(X, y)
    never = Classifier(random_state=0, tol=None, max_iter=50).fit(X, y)
    assert early.n_iter_ < 200 and early.n_iter_ % 10 == 0 and never.n_iter_ == 50
    curve = early.loss_curve_
    assert curve[-11] - curve[-1] < 0.5


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("kind", BOTH)
def test_a_warm_start_goes_on(kind: type, backend: str) -> None:
    X, y = data(kind)
    settings = {"random_state": 0, "tol": None, "backend": backend, "batch_size": 32}
    whole = kind((5,), max_iter=6, **settings).fit(X, y)
    parts = kind((5,), max_iter=3, warm_start=True, **settings).fit(X, y).fit(X, y)
    assert np.allclose(parts.loss_curve_, whole.loss_curve_, rtol=1e-12)
    assert parts.n_iter_ == 6
    assert np.allclose(parts.predict(X), whole.predict(X))


def test_a_warm_start_refuses_other_classes() -> None:
    X, y = wine()
    model = Classifier((5,), random_state=0, warm_start=True, max_iter=2).fit(X, y)
    before = model.predict(X)
    with pytest.raises(ValueError, match=r"classes \[3\]"):
        model.fit(X, np.where(y == 0, 3, y))
    assert np.array_equal(model.predict(X), before)


def test_it_learns_from_parts() -> None:
    X, y = wine()
    order = np.random.default_rng(0).permutation(len(X))
    model = Classifier(random_state=0)
    with pytest.raises(ValueError, match="classes"):
        model.partial_fit(X, y)
    for epoch in range(20):
        for rows in np.array_split(order, 6):
            model.partial_fit(X[rows], y[rows], classes=[0, 1, 2] if epoch == 0 else None)
    assert model.score(X, y) > 0.95 and model.n_iter_ == 120
    assert np.allclose(model.X_scale_.mean, X.mean(axis=0))
    with pytest.raises(ValueError, match=r"classes \[7\]"):
        model.partial_fit(X, np.full(len(X), 7))
    with pytest.raises(ValueError, match="before"):
        model.partial_fit(X, y, classes=[0, 1])
    with pytest.raises(ValueError, match="all rows at once"):
        Classifier(class_weight="balanced").partial_fit(X, y, classes=[0, 1, 2])

    X, y = data(Regressor)
    number = Regressor(random_state=0)
    for _ in range(40):
        for rows in np.array_split(order, 6):
            number.partial_fit(X[rows], y[rows])
    assert number.score(X, y) > 0.5
    with pytest.raises(ValueError, match="2 columns"):
        number.partial_fit(X, np.stack([y, y], 1))


# -- settings ------------------------------------------------------------------------------------


def test_any_layers_can_be_given() -> None:
    X, y = wine()
    layers = [pc.Dense(32, "tanh"), pc.Dropout(0.2), pc.Dense(8, "gelu")]
    model = Classifier(layers=layers, random_state=0).fit(X, y)
    assert model.score(X, y) > 0.95
    assert model.model_.layers[:3] == tuple(layers) and model.model_.layers[3].units == 3
    assert [a.units for a in Classifier(7, max_iter=1).fit(X, y).model_.layers] == [7, 3]
    assert [a.units for a in Classifier((), max_iter=1).fit(X, y).model_.layers] == [3]


def test_what_an_optimizer_brings_is_kept() -> None:
    X, y = wine()

    def made(**settings: Any) -> Any:
        return Classifier((4,), max_iter=1, **settings).fit(X, y).model_.optimizer

    assert made().learning_rate == 0.01 and made(learning_rate=0.2).learning_rate == 0.2
    assert made(optimizer="sgd") == pc.SGD()
    assert made(optimizer=pc.Adam(0.5)) == pc.Adam(0.5)


def test_the_precision_is_that_of_the_rows() -> None:
    X, y = wine()
    single = Classifier((4,), max_iter=2, random_state=0).fit(X.astype(np.float32), y)
    double = Classifier((4,), max_iter=2, random_state=0).fit(X, y)
    assert single.model_.dtype == np.float32 == single.predict_proba(X.astype(np.float32)).dtype
    assert double.model_.dtype == np.float64 == double.predict_proba(X).dtype


def test_a_penalty_fades_with_the_rows() -> None:
    assert [auto_l2(n) for n in (1, 64, 133, 1024, 1e9)] == [2**-6, 2**-6, 2**-7, 2**-10, 2**-20]
    X, y = wine()
    made = Classifier(max_iter=1).fit(X, y, sample_weight=np.full(len(X), 8.0))
    assert made.model_.layers[0].l2 == auto_l2(8 * len(X))


@pytest.mark.parametrize(
    "wrong",
    [
        {"max_iter": 0}, {"max_iter": 2.5}, {"tol": -1}, {"n_iter_no_change": 0}, {"batch_size": 0},
        {"hidden": (0,)}, {"hidden": "many"}, {"activation": "reluu"}, {"optimizer": "adamm"},
        {"l2": -1}, {"backend": "gpu"}, {"layers": [3]}, {"learning_rate": -1},
        {"validation_fraction": 0, "early_stopping": True},
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("kind", BOTH)
def test_what_cannot_be_meant_is_refused_and_changes_nothing(kind: type, wrong: Any) -> None:
    X, y = data(kind)
    model = kind((4,), random_state=0, max_iter=2).fit(X, y)
    before = model.predict(X)
    with pytest.raises((ValueError, TypeError)):
        model.set_params(**wrong).fit(X, y)
    assert np.array_equal(model.predict(X), before)


def test_the_same_seed_gives_the_same_and_none_another() -> None:
    X, y = wine()

    def fitted(seed: Any) -> Any:
        model = Classifier((4,), random_state=seed, max_iter=3, backend="numpy")
        return model.fit(X, y).predict_proba(X)

    assert np.array_equal(fitted(1), fitted(1)) and not np.array_equal(fitted(1), fitted(2))
    assert np.array_equal(fitted(np.random.RandomState(1)), fitted(1))
    assert not np.array_equal(fitted(None), fitted(None))


@pytest.mark.parametrize("kind", BOTH)
def test_backends_agree(kind: type) -> None:
    X, y = data(kind)
    one, two = (kind(random_state=0, backend=b).fit(X, y) for b in ("numpy", "numba"))
    assert one.n_iter_ == two.n_iter_
    assert np.allclose(one.loss_curve_, two.loss_curve_, rtol=1e-9)


def test_raw_units_are_no_obstacle() -> None:
    """Wine's columns differ a thousandfold in size, and are learned as they come."""
    X, y = wine()
    scores = []
    for seed in range(3):
        parts = train_test_split(X, y, random_state=seed, stratify=y)
        scores.append(
            Classifier(random_state=seed).fit(parts[0], parts[2]).score(parts[1], parts[3])
        )
    assert np.mean(scores) > 0.95
    X, y = load_diabetes(return_X_y=True)
    assert cross_val_score(Regressor(random_state=0), X, y, cv=3).mean() > 0.3


# -- the scale -----------------------------------------------------------------------------------


def test_parts_give_the_scale_of_the_whole() -> None:
    rng = np.random.default_rng(0)
    rows, weights = rng.normal(1e3, [1, 1e-3, 1e3], (60, 3)), rng.integers(1, 4, 60)
    parts = none(3)
    for k in (0, 1, 20):
        stop = {0: 1, 1: 20, 20: 60}[k]
        parts = parts.seen(rows[k:stop], weights[k:stop])
    whole = none(3).seen(rows.repeat(weights, axis=0), None)
    assert np.allclose(parts.mean, whole.mean, rtol=1e-12)
    assert np.allclose(parts.scale, whole.scale, rtol=1e-9)
    assert np.allclose(whole.undo(whole.apply(rows)), rows)


def test_a_constant_column_is_left_at_zero() -> None:
    rows = np.full((9, 2), [0.1, 1e8])
    scale = none(2).seen(rows, None)
    assert scale.scale.tolist() == [1, 1]
    assert np.abs(scale.apply(rows)).max() < 1e-6
    assert np.allclose(Scale(np.zeros(1), np.array([4.0]), 1.0).apply(np.array([[2.0]])), 1.0)


@pytest.mark.parametrize(
    "loss", [*LOSSES, loss_named(pc.LabelSmoothing(0.1))], ids=lambda x: f"{x.name} {x.smoothing}"
)
def test_a_loss_pickles_by_its_name(loss: Any) -> None:
    came = pickle.loads(pickle.dumps(loss))
    assert came == loss and (loss.smoothing or came is loss)


# -- without scikit-learn ------------------------------------------------------------------------


def test_without_scikit_learn_it_says_how_to_get_it() -> None:
    code = (
        "import sys; sys.modules['sklearn'] = None\n"
        "from pellucid import *\n"
        "import pellucid as pc\n"
        "for kind in (pc.PellucidClassifier, pc.PellucidRegressor):\n"
        "    try: kind(3)\n"
        "    except pc.ArgumentError as error: print(error.hint)\n"
    )
    source = str(Path(pc.__file__).parent.parent)
    run = [sys.executable, "-c", code]
    out = subprocess.run(
        run, capture_output=True, text=True, env={"PYTHONPATH": source, "PATH": ""}
    )
    assert out.stdout.splitlines() == ['pip install "pellucid[sklearn]"'] * 2, out.stderr
