"""The data sets: what a seed promises, what the classes are, and what a split keeps."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pellucid import data
from pellucid.errors import ArgumentError

SEEDED = [data.circles, data.moons, data.spirals, data.blobs]
TABLES = [data.logic_and, data.logic_or, data.xor]
EVERY = [*SEEDED, *TABLES, data.digits]
Make = Callable[..., tuple[np.ndarray, np.ndarray]]


def test_all_lists_the_public_names() -> None:
    assert sorted(data.__all__) == sorted(f.__name__ for f in [*EVERY, data.split])


# What every data set promises


@pytest.mark.parametrize("make", EVERY)
def test_the_arrays_are_fresh(make: Make) -> None:
    X, y = make()
    kept = X.copy(), y.copy()
    X[...], y[...] = 9, 9
    for old, new in zip(kept, make(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("make", SEEDED)
def test_shapes_and_types(make: Make) -> None:
    X, y = make(n=50)
    assert (X.shape, X.dtype.name, y.shape, y.dtype.name) == ((50, 2), "float64", (50,), "int64")
    assert np.isfinite(X).all()


@pytest.mark.parametrize("make", SEEDED)
def test_a_seed_names_the_data(make: Make) -> None:
    (X, y), (X_again, y_again), (X_other, _) = make(seed=3), make(seed=3), make(seed=4)
    np.testing.assert_array_equal(X, X_again)
    np.testing.assert_array_equal(y, y_again)
    assert not np.isin(X[X != 0], X_other).any()  # a spiral's arms all start at the origin


FIRST_ROWS = [
    (data.circles, [0.701294, -1.433082, 0]),
    (data.moons, [1.834922, 0.052005, 1]),
    (data.spirals, [-0.784683, 0.37268, 2]),
    (data.blobs, [-4.912812, -2.438708, 1]),
]


@pytest.mark.parametrize(("make", "row"), FIRST_ROWS)
def test_the_data_of_a_seed_never_change(make: Make, row: list[float]) -> None:
    X, y = make()
    assert [*X[0], y[0]] == pytest.approx(row, abs=1e-6)


@pytest.mark.parametrize("make", [data.moons, data.spirals, data.blobs])
@pytest.mark.parametrize("n", [3, 4, 5, 100, 301])
def test_classes_are_balanced_and_shuffled(make: Make, n: int) -> None:
    _, y = make(n=n)
    sizes = np.bincount(y)
    assert sizes.sum() == n
    assert sizes.max() - sizes.min() <= 1
    if n >= 100:
        assert len(set(y[:20].tolist())) == len(sizes)
        assert (np.diff(y) != 0).mean() < 0.9  # neither sorted nor dealt in turn
        assert (np.diff(y) != 0).mean() > 0.3


# Truth tables


@pytest.mark.parametrize(
    ("make", "outputs"), [(data.logic_and, "0001"), (data.logic_or, "0111"), (data.xor, "0110")]
)
def test_truth_tables(make: Make, outputs: str) -> None:
    X, y = make()
    assert X.tolist() == [[0, 0], [0, 1], [1, 0], [1, 1]]
    assert y.tolist() == [[int(output)] for output in outputs]
    assert X.dtype == y.dtype == np.float64


# Points in classes


def disc(X: np.ndarray, threshold: float = 0.5) -> np.ndarray:
    inside: np.ndarray = np.sum(X**2, axis=1) < threshold
    return inside


def test_the_true_rule_of_the_circles_is_right_for_about_93_percent() -> None:
    X, y = data.circles(n=100_000)
    assert np.mean(disc(X) == y) == pytest.approx(0.931, abs=0.005)
    assert np.mean(y) == pytest.approx(1 - np.exp(-0.5 / (2 * 0.7**2)), abs=0.008)
    assert np.std(X) == pytest.approx(np.hypot(0.7, 0.1), abs=0.01)


def test_without_noise_the_rule_of_the_circles_is_always_right() -> None:
    X, y = data.circles(noise=0, spread=1, threshold=2)
    np.testing.assert_array_equal(disc(X, 2), y)


def test_noise_moves_the_points_of_the_circles_and_no_label() -> None:
    (X, y), (X_clean, y_clean) = data.circles(n=5000), data.circles(n=5000, noise=0)
    np.testing.assert_array_equal(y, y_clean)
    assert np.std(X - X_clean) == pytest.approx(0.1, abs=0.005)
    assert abs(np.corrcoef((X - X_clean).ravel(), X_clean.ravel())[0, 1]) < 0.05


def test_moons_lie_on_half_circles() -> None:
    X, y = data.moons(noise=0)
    upper, lower = X[y == 0], X[y == 1] - [1, 0.5]
    np.testing.assert_allclose(np.hypot(*upper.T), 1)
    np.testing.assert_allclose(np.hypot(*lower.T), 1)
    assert upper[:, 1].min() > -1e-12
    assert lower[:, 1].max() < 1e-12
    noisy, _ = data.moons(noise=0.3)
    assert np.std(noisy - X) == pytest.approx(0.3, abs=0.05)


def test_spirals_are_those_of_the_case_study() -> None:
    X, y = data.spirals(noise=0)
    for arm in range(3):
        radius, angle = np.linspace(0, 1, 100), np.linspace(4 * arm, 4 * (arm + 1), 100)
        expected = radius[:, None] * np.stack([np.sin(angle), np.cos(angle)], axis=1)
        drawn = X[y == arm]
        np.testing.assert_allclose(drawn[np.argsort(np.hypot(*drawn.T))], expected, atol=1e-12)


def test_noise_turns_the_points_of_the_spirals() -> None:
    (X, _), (X_clean, _) = data.spirals(n=6000), data.spirals(n=6000, noise=0)
    np.testing.assert_allclose(np.hypot(*X.T), np.hypot(*X_clean.T))
    turned = np.angle((X @ [1, 1j]) * (X_clean @ [1, -1j]))
    assert np.std(turned) == pytest.approx(0.2, abs=0.02)


@pytest.mark.parametrize("arms", [1, 2, 3, 4, 5, 11])
def test_any_number_of_arms_stays_apart(arms: int) -> None:
    X, y = data.spirals(n=40 * arms + 1, arms=arms, turns=1.5, noise=0)
    ends = np.stack([X[y == j][np.argmax(np.hypot(*X[y == j].T))] for j in range(arms)])
    gaps = np.hypot(*(ends[:, None] - ends).T) + 9 * np.eye(arms)
    assert gaps.min() > 3.5 / arms
    np.testing.assert_allclose(np.hypot(*ends.T), 1)


@given(st.integers(1, 9), st.integers(1, 5), st.integers())
def test_blobs_have_the_asked_for_shape(classes: int, features: int, seed: int) -> None:
    X, y = data.blobs(n=20, classes=classes, features=features, seed=seed)
    assert X.shape == (20, features)
    assert set(y.tolist()) == set(range(classes))


def test_blobs_are_round_clouds_apart_from_each_other() -> None:
    X, y = data.blobs(n=6000, classes=4, features=3, spread=0.3)
    centers = np.stack([X[y == c].mean(axis=0) for c in range(4)])
    for c in range(4):
        np.testing.assert_allclose(X[y == c].std(axis=0), 0.3, atol=0.03)
    assert np.abs(centers).max() < 4.1
    X, y = data.blobs(spread=0)
    assert len(np.unique(X, axis=0)) == 3


def test_default_blobs_seldom_overlap() -> None:
    def smallest_gap(seed: int) -> float:
        centers, _ = data.blobs(n=3, spread=0, seed=seed)
        return float(np.min(np.hypot(*(centers[:, None] - centers).T) + 99 * np.eye(3)))

    assert np.mean([smallest_gap(seed) > 4 * 0.6 for seed in range(100)]) > 0.95


# Digits


def test_digits_are_those_of_scikit_learn() -> None:
    datasets = pytest.importorskip(
        "sklearn.datasets", reason="scikit-learn is not installed: make conformance"
    )
    X, y = data.digits()
    expected_X, expected_y = datasets.load_digits(return_X_y=True)
    np.testing.assert_array_equal(X * 16, expected_X)
    np.testing.assert_array_equal(y, expected_y)


def test_digits_are_small_floats_and_labels() -> None:
    X, y = data.digits()
    assert (X.shape, X.dtype.name) == ((1797, 64), "float32")
    assert (y.shape, y.dtype.name) == ((1797,), "int64")
    assert (X.min(), X.max()) == (0, 1)
    assert np.bincount(y).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


# Splitting

LABELS = st.lists(st.integers(-2, 4), min_size=2, max_size=60).map(np.array)
SHARE = st.floats(0.01, 0.99)


def parts(y: np.ndarray, **options: Any) -> tuple[np.ndarray, np.ndarray]:
    """Split rows that hold their own number; return the numbers of both parts."""
    X = np.arange(len(y))[:, None]
    X_train, y_train, X_test, y_test = data.split(X, y, **options)
    np.testing.assert_array_equal(y[X_train[:, 0]], y_train)  # every row kept its label
    np.testing.assert_array_equal(y[X_test[:, 0]], y_test)
    return X_train[:, 0], X_test[:, 0]


@given(LABELS, SHARE, st.integers(), st.booleans())
def test_a_split_keeps_every_row_once(
    y: np.ndarray, test: float, seed: int, stratify: bool
) -> None:
    count = round(len(y) * test)
    if not 0 < count < len(y):
        with pytest.raises(ArgumentError, match="rows in both parts"):
            data.split(y, y, test=test)
        return
    train, tested = parts(y, test=test, seed=seed, stratify=stratify)
    assert len(tested) == count
    assert sorted([*train, *tested]) == list(range(len(y)))


@given(LABELS, SHARE, st.integers())
def test_each_class_gets_its_share_to_within_a_row(y: np.ndarray, test: float, seed: int) -> None:
    count = round(len(y) * test)
    if 0 < count < len(y):
        _, tested = parts(y, test=test, seed=seed)
        for label in np.unique(y):
            fair = np.sum(y == label) * count / len(y)
            assert abs(np.sum(y[tested] == label) - fair) < 1


def test_left_over_rows_go_to_the_largest_remainders() -> None:
    y = np.repeat([0, 1, 2], [9, 7, 4])  # a quarter is 2.25, 1.75, 1
    _, tested = parts(y, test=0.25)
    assert np.bincount(y[tested]).tolist() == [2, 2, 1]


@pytest.mark.parametrize(
    "form",
    [
        lambda labels: labels,
        lambda labels: labels.astype(np.uint8),
        lambda labels: labels[:, None],
        lambda labels: np.eye(3)[labels],
        lambda labels: np.array(["a", "b", "c"])[labels],
        lambda labels: labels.tolist(),
    ],
)
def test_labels_of_any_form_are_stratified_alike(form: Callable[[np.ndarray], Any]) -> None:
    labels = np.repeat([0, 1, 2], [50, 30, 20])
    rows = np.arange(100)
    for seed in range(5):
        tested = data.split(rows, form(labels), seed=seed)[2]
        assert np.bincount(labels[tested]).tolist() == [10, 6, 4]
        np.testing.assert_array_equal(tested, data.split(rows, labels, seed=seed)[2])


@pytest.mark.parametrize("dtype", [bool, np.int64, np.float32, np.float64])
@pytest.mark.parametrize("shape", [(-1,), (-1, 1)])
def test_two_classes_are_stratified(dtype: type, shape: tuple[int, ...]) -> None:
    y: np.ndarray = (np.arange(100) < 30).astype(dtype).reshape(shape)
    for seed in range(5):
        assert data.split(y, y, seed=seed)[3].sum() == 6


@pytest.mark.parametrize(
    "y",
    [
        np.linspace(0, 1, 100),
        np.stack([np.arange(100) % 2, np.ones(100)], axis=1),  # several labels may hold at once
        np.full((100, 2, 2), 0.5),
    ],
)
def test_targets_that_are_no_labels_are_only_shuffled(y: np.ndarray) -> None:
    rows = np.arange(100)
    np.testing.assert_array_equal(
        data.split(rows, y)[2], data.split(rows, np.zeros(100), stratify=False)[2]
    )


def test_classes_of_one_row_take_turns_by_chance() -> None:
    y = np.arange(40)
    tested = np.concatenate([data.split(y, y, seed=seed)[2] for seed in range(200)])
    assert np.mean(tested) == pytest.approx(19.5, abs=1.5)
    assert len(np.unique(tested)) == 40


def test_a_split_is_shuffled_and_seeded() -> None:
    y = np.repeat([0, 1], 50)
    first, again, other = (parts(y, seed=seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first[0], again[0])
    np.testing.assert_array_equal(first[1], again[1])
    assert first[1].tolist() != other[1].tolist()
    assert 20 < (np.diff(y[first[0]]) != 0).sum() < 60


def test_a_split_copies_and_keeps_types() -> None:
    X, y = data.digits()
    X_train, y_train, X_test, y_test = data.split(X, y)
    assert X_train.dtype == X_test.dtype == X.dtype
    assert y_train.dtype == y_test.dtype == y.dtype
    assert not any(np.shares_memory(part, X) for part in (X_train, X_test))
    assert not any(np.shares_memory(part, y) for part in (y_train, y_test))


# Refusals

REFUSED = [
    (lambda: data.circles(n=1), "n is 1, expected an integer of at least 2"),
    (lambda: data.circles(n=20.5), "n is 20.5"),  # type: ignore[arg-type]
    (lambda: data.spirals(arms=True), "arms is True"),
    (lambda: data.spirals(arms=np.bool_(True)), "arms is .*True"),  # type: ignore[arg-type]
    (lambda: data.circles(noise=True), "noise is True"),
    (lambda: data.circles(noise=-0.1), "noise is -0.1, expected a number of 0 or more"),
    (lambda: data.circles(noise=float("nan")), "noise is nan"),
    (lambda: data.circles(noise="much"), "noise is 'much'"),  # type: ignore[arg-type]
    (lambda: data.circles(spread=-1), "spread is -1"),
    (lambda: data.circles(threshold=0), "threshold is 0, expected a number above 0"),
    (lambda: data.moons(n=1), "n is 1"),
    (lambda: data.moons(noise=-1), "noise is -1"),
    (lambda: data.spirals(arms=0), "arms is 0, expected an integer of at least 1"),
    (lambda: data.spirals(n=4, arms=5), "n is 4, expected an integer of at least 5, a row for"),
    (lambda: data.spirals(turns=float("inf")), "turns is inf"),
    (lambda: data.spirals(noise=-1), "noise is -1"),
    (lambda: data.blobs(n=2), "n is 2"),
    (lambda: data.blobs(classes=0), "classes is 0"),
    (lambda: data.blobs(features=0), "features is 0"),
    (lambda: data.blobs(spread=-1), "spread is -1"),
    (lambda: data.split([1, 2], [1, 2], test=0), "test is 0, expected a share"),
    (lambda: data.split([1, 2], [1, 2], test=1.0), "test is 1.0, expected a share"),
    (lambda: data.split([1, 2], [1, 2], test=True), "test is True, expected a share"),
    (lambda: data.split([1, 2], [1, 2], test=0.1), "puts 0 of 2 rows in the test part"),
    (lambda: data.split([1, 2], [1, 2, 3]), r"X has shape \(2,\) and y has shape \(3,\)"),
    (lambda: data.split(1, 2), "expected as many rows in both"),
    (lambda: data.split([], []), "puts 0 of 0 rows"),
]


@pytest.mark.parametrize(("call", "text"), REFUSED)
def test_bad_arguments_are_refused(call: Callable[[], object], text: str) -> None:
    with pytest.raises(ArgumentError, match=text) as caught:
        call()
    assert isinstance(caught.value, ValueError)
    assert __file__ in str(caught.value)
    assert "\n  try: " in str(caught.value)


@pytest.mark.parametrize("make", [*SEEDED, lambda seed: data.split([1, 2], [1, 2], 0.5, seed)])
def test_a_seed_that_is_no_integer_is_refused(make: Make) -> None:
    with pytest.raises(TypeError, match=r"seed is 0\.5, expected an integer"):
        make(seed=0.5)
