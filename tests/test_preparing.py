"""Layers that prepare columns: what they learn, what they compute, and that training is right."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import pellucid as pc
from pellucid.errors import ArgumentError, DataError, ShapeError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(120, 4)) * [1, 50, 3, 1] + [0, 1e3, -5, 0]
X[:, 3] = RNG.integers(0, 3, 120)
Y = X[:, 0] + (X[:, 3] == 1) + 0.01 * X[:, 1]
HOLES = X.copy()
HOLES[:, :3][RNG.random((120, 3)) < 0.15] = np.nan


def out(layer: pc.Layer, samples: Any, fit: Any = None) -> Any:
    """What a layer makes of samples, having seen these or others first."""
    model = pc.Sequential([layer], dtype="float64")
    model.adapt(samples if fit is None else fit)
    return model.predict(samples)


def stack(dtype: str = "float64", **settings: Any) -> pc.Sequential:
    layers = [
        pc.Missing(indicator=(0, 1)),
        pc.Normalize(columns=(0, 1, 2)),
        pc.OneHot(3, columns=(3,)),
        pc.Dense(6, "tanh"),
        pc.Dense(1),
        pc.Rescale(4.0, offset=10.0),
    ]
    return pc.Sequential(layers, loss="mse", dtype=dtype, seed=0, **settings)


# -- normalize -------------------------------------------------------------------------------------


def test_normalize_has_mean_0_and_deviation_1() -> None:
    found = out(pc.Normalize(), X)
    np.testing.assert_allclose(found, (X - X.mean(0)) / X.std(0), rtol=1e-12)
    np.testing.assert_allclose(found.mean(0), 0, atol=1e-12)
    np.testing.assert_allclose(found.std(0), 1, rtol=1e-12)


def test_normalize_some_columns_only() -> None:
    found = out(pc.Normalize(columns=(1,)), X)
    np.testing.assert_allclose(found[:, 1].std(), 1)
    np.testing.assert_array_equal(found[:, [0, 2, 3]], X[:, [0, 2, 3]])


def test_normalize_images() -> None:
    images = RNG.normal(size=(20, 3, 2)) * 7 + 1
    found = out(pc.Normalize(), images)
    np.testing.assert_allclose(found, (images - images.mean(0)) / images.std(0), rtol=1e-12)


@pytest.mark.parametrize("value", [0.0, 3.0, 0.1, 1e9 + 0.1])
def test_a_feature_that_never_changes_becomes_0(value: float) -> None:
    found = out(pc.Normalize(), np.full((70, 1), value))
    np.testing.assert_allclose(found, 0, atol=abs(value) * 1e-12)


def test_new_rows_are_normalized_as_the_training_rows_were() -> None:
    found = out(pc.Normalize(), X[:10], fit=X)
    np.testing.assert_allclose(found, (X[:10] - X.mean(0)) / X.std(0), rtol=1e-12)


@pytest.mark.filterwarnings("ignore:overflow")
def test_normalize_refuses_what_has_no_mean() -> None:
    model = pc.Sequential([pc.Normalize(), pc.Dense(1)], loss="mse", dtype="float64")
    with pytest.raises(DataError, match="no finite mean"):
        model.fit(np.full((4, 1), 1e308) * [[1], [-1], [1], [1]], np.ones(4), verbose=0)


# -- missing ---------------------------------------------------------------------------------------

GAPS = np.array([[1.0, np.nan], [np.nan, 2.0], [3.0, 2.0], [8.0, 7.0]])


@pytest.mark.parametrize(("fill", "values"), [
    ("median", (3.0, 2.0)), ("mean", (4.0, 11 / 3)), ("most_frequent", (1.0, 2.0)), (-1.0, (-1, -1))
])  # fmt: skip
def test_missing_values_are_filled(fill: Any, values: Any) -> None:
    found = out(pc.Missing(fill, indicator=False), GAPS)
    expected = GAPS.copy()
    expected[1, 0], expected[0, 1] = values
    np.testing.assert_allclose(found, expected, rtol=1e-15)


def test_missing_values_are_marked() -> None:
    found = out(pc.Missing(), GAPS)
    assert found.shape == (4, 4)
    np.testing.assert_array_equal(found[:, 2:], np.isnan(GAPS))
    found = out(pc.Missing(indicator=(1,)), GAPS)
    np.testing.assert_array_equal(found[:, 2], [1, 0, 0, 0])


def test_a_column_without_any_value_is_filled_with_0() -> None:
    assert out(pc.Missing(indicator=False), np.full((3, 1), np.nan)).tolist() == [[0], [0], [0]]


def test_the_fill_is_of_the_training_rows() -> None:
    found = out(pc.Missing(indicator=False), [[np.nan, np.nan]], fit=GAPS)
    assert found.tolist() == [[3.0, 2.0]]


def test_nan_is_taken_only_where_the_first_layer_says_so() -> None:
    model = pc.Sequential([pc.Normalize(), pc.Dense(1)], loss="mse")
    with pytest.raises(DataError, match="holds NaN"):
        model.fit(HOLES, Y, verbose=0)
    with pytest.raises(DataError, match="holds NaN"):
        model.predict(HOLES)
    model = pc.Sequential([pc.Dense(2), pc.Missing(), pc.Dense(1)], loss="mse")
    with pytest.raises(DataError, match="holds NaN"):
        model.predict(HOLES)
    filled = stack()
    holes = HOLES.copy()
    holes[3, 1] = np.inf
    with pytest.raises(DataError, match=r"holds Inf in 1 places: rows 3, columns 1"):
        filled.fit(holes, Y, verbose=0)
    assert filled._net is None


def test_a_masked_array_is_still_refused() -> None:
    with pytest.raises(DataError, match="masked"):
        stack().fit(np.ma.masked_invalid(HOLES), Y, verbose=0)


# -- one-hot ---------------------------------------------------------------------------------------


def test_one_hot_of_all_columns() -> None:
    found = out(pc.OneHot((2, 3)), [[0.0, 2.0], [1.0, 0.0]])
    assert found.tolist() == [[1, 0, 0, 0, 1], [0, 1, 1, 0, 0]]
    found = out(pc.OneHot(2), [[0.0, 1.0], [1.0, 0.0]])
    assert found.tolist() == [[1, 0, 0, 1], [0, 1, 1, 0]]


def test_one_hot_puts_other_columns_first() -> None:
    found = out(pc.OneHot((2, 3), columns=(3, 1)), [[7.0, 2.0, 8.0, 1.0, 9.0]])
    assert found.tolist() == [[7, 8, 9, 0, 1, 0, 0, 1]]


@pytest.mark.parametrize("code", [-1.0, 3.0, 0.5, np.nan])
def test_a_category_that_is_not_known_gives_zeros(code: float) -> None:
    layer = pc.OneHot(3, columns=(1,))
    model = pc.Sequential([pc.Missing(-9.0, indicator=False), layer], dtype="float64")
    model.adapt([[1.0, 0.0], [2.0, 2.0], [2.0, -1.0]] if code == -1 else [[1.0, 0.0]])
    assert model.predict([[5.0, code]]).tolist() == [[5, 0, 0, 0]]


@pytest.mark.parametrize("code", [3.0, 0.5, -2.0])
def test_training_rows_with_odd_categories_are_refused(code: float) -> None:
    model = pc.Sequential([pc.OneHot(3, columns=(1,)), pc.Dense(1)], loss="mse")
    with pytest.raises(DataError, match="OneHot counts 3 categories"):
        model.fit([[1.0, 0.0], [2.0, code]], [0.0, 1.0], verbose=0)


# -- settings --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("make", "words"), [
    (lambda: pc.Missing("typical"), "unknown fill"),
    (lambda: pc.Missing(np.nan), "fill is nan"),
    (lambda: pc.Missing(True), "fill is True"),
    (lambda: pc.Missing(indicator=(0, 0)), "indicator is"),
    (lambda: pc.Missing(indicator=3), "indicator is 3"),
    (lambda: pc.Missing(indicator=(-1,)), "indicator is"),
    (lambda: pc.Normalize(columns="ab"), "columns is 'ab'"),
    (lambda: pc.Normalize(columns=(0.5,)), "columns is"),
    (lambda: pc.OneHot(0), "sizes is 0"),
    (lambda: pc.OneHot((2, 0)), "sizes is 0"),
    (lambda: pc.OneHot("ab"), "sizes is 'ab'"),
    (lambda: pc.OneHot((2, 3), columns=(1,)), "2 sizes for 1 columns"),
    (lambda: pc.Rescale(0.0), "scale is 0"),
    (lambda: pc.Rescale(np.inf), "scale is inf"),
    (lambda: pc.Rescale(1.0, "x"), "offset is 'x'"),
])  # fmt: skip
def test_settings_that_cannot_be_meant(make: Any, words: str) -> None:
    with pytest.raises(ArgumentError) as told:
        make()
    assert words in told.value.what


@pytest.mark.parametrize("layer", [
    pc.Missing(indicator=(4,)), pc.Normalize(columns=(4,)), pc.OneHot(3, columns=(4,)),
])  # fmt: skip
def test_columns_that_are_not_there(layer: pc.Layer) -> None:
    with pytest.raises(ShapeError, match="feature 4, but the input has 4"):
        pc.Sequential([layer, pc.Dense(1)], loss="mse").fit(X, Y, verbose=0)


@pytest.mark.parametrize("layer", [pc.Missing(), pc.OneHot(2), pc.Normalize(columns=(0,))])
def test_rows_of_features_are_expected(layer: pc.Layer) -> None:
    with pytest.raises(ShapeError, match="takes rows of features"):
        pc.Sequential([layer]).adapt(np.zeros((5, 2, 2)))


# -- in a model ------------------------------------------------------------------------------------


def test_only_training_rows_are_learned_from() -> None:
    """Held-out rows change nothing: not the fills, the means, nor the weights."""
    found = []
    for shift in (0.0, 1e3):
        held = HOLES[100:] + shift
        held[:, 3] = HOLES[100:, 3]
        model = stack()
        model.fit(HOLES[:100], Y[:100], validation_data=(held, Y[100:]), epochs=3, verbose=0)
        found.append(model)
    first, second = found
    np.testing.assert_array_equal(first.buffers["mean2"], second.buffers["mean2"])
    np.testing.assert_array_equal(first.params["W3"], second.params["W3"])
    fill = first.buffers["fill1"]
    np.testing.assert_allclose(fill[:3], np.nanmedian(HOLES[:100, :3], axis=0), rtol=1e-12)
    filled = np.where(np.isnan(HOLES[:100]), fill, HOLES[:100])
    np.testing.assert_allclose(first.buffers["mean2"][:3], filled[:, :3].mean(0), rtol=1e-12)


def test_a_validation_split_is_held_out_as_well() -> None:
    model = stack()
    model.fit(HOLES, Y, validation_split=0.25, epochs=1, verbose=0)
    train, *_ = pc.data.split(np.arange(120), Y, test=0.25, seed=0)
    np.testing.assert_allclose(
        model.buffers["fill1"][:3], np.nanmedian(HOLES[train, :3], axis=0), rtol=1e-12
    )


def test_a_second_fit_does_not_learn_them_again() -> None:
    model = stack()
    model.fit(HOLES, Y, epochs=1, verbose=0)
    before = {k: v.copy() for k, v in model.buffers.items()}
    model.fit(HOLES + np.array([1, 1, 1, 0]), Y, epochs=1, verbose=0)
    for name, array in model.buffers.items():
        np.testing.assert_array_equal(array, before[name])


def test_data_that_are_refused_change_nothing() -> None:
    model = stack()
    model.fit(HOLES, Y, epochs=1, verbose=0)
    before = {**{k: v.copy() for k, v in model.params.items()},
              **{k: v.copy() for k, v in model.buffers.items()}}  # fmt: skip
    holes = HOLES.copy()
    holes[0, 0] = np.inf
    with pytest.raises(DataError):
        model.fit(holes, Y, verbose=0)
    with pytest.raises(DataError):
        model.adapt(holes)
    for name, array in {**model.params, **model.buffers}.items():
        np.testing.assert_array_equal(array, before[name])


def test_gradients_behind_them_are_right() -> None:
    model = stack()
    model.fit(HOLES, Y, epochs=2, verbose=0)
    assert pc.check_gradients(model, HOLES[:20], Y[:20]).ok


def test_the_loss_is_that_of_prepared_rows() -> None:
    """The whole model equals a plain one on rows that NumPy prepared."""
    model = stack()
    model.fit(HOLES, Y, epochs=5, verbose=0, backend="numpy", shuffle=False)
    filled = np.where(np.isnan(HOLES), np.nanmedian(HOLES, axis=0), HOLES)
    scaled = (filled[:, :3] - filled[:, :3].mean(0)) / filled[:, :3].std(0)
    by_hand = np.hstack([scaled, np.isnan(HOLES[:, :2]), np.eye(3)[HOLES[:, 3].astype(int)]])
    plain = pc.Sequential(
        [pc.Dense(6, "tanh"), pc.Dense(1), pc.Rescale(4.0, 10.0)],
        loss="mse", dtype="float64", seed=0,
    )  # fmt: skip
    plain._build((8,))
    fresh = stack()
    fresh._build((4,))
    plain.params = {"W1": fresh.params["W3"], "b1": fresh.params["b3"],
                    "W2": fresh.params["W4"], "b2": fresh.params["b4"]}  # fmt: skip
    plain.fit(by_hand, Y, epochs=5, verbose=0, backend="numpy", shuffle=False)
    np.testing.assert_allclose(model.params["W3"], plain.params["W1"], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(model.predict(HOLES), plain.predict(by_hand), rtol=1e-9)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_compiled_training_is_the_same(dtype: str) -> None:
    pytest.importorskip("numba")
    first, second = stack(dtype), stack(dtype)
    first.fit(HOLES, Y, epochs=4, verbose=0, backend="numpy")
    second.fit(HOLES, Y, epochs=4, verbose=0, backend="numba")
    tolerance = 1e-12 if dtype == "float64" else 2e-5
    a, b = first._numbers, second._numbers
    assert np.linalg.norm(a.params - b.params) <= tolerance * np.linalg.norm(a.params)
    np.testing.assert_array_equal(a.fixed, b.fixed)
    p = second.predict(HOLES, backend="numba")
    np.testing.assert_allclose(p, second.predict(HOLES, backend="numpy"), rtol=tolerance * 10)


def test_single_precision_stays_single() -> None:
    text = stack("float32")
    text.fit(HOLES, Y, epochs=1, verbose=0)
    assert "float64" not in text.source()


def test_they_are_saved_loaded_copied_and_pickled(tmp_path: Any) -> None:
    model = stack()
    model.fit(HOLES, Y, epochs=2, verbose=0)
    expected = model.predict(HOLES)
    model.save(tmp_path / "m.safetensors")
    twins = [pc.load(tmp_path / "m.safetensors"), model.copy(), copy.deepcopy(model),
             pickle.loads(pickle.dumps(model))]  # fmt: skip
    for twin in twins:
        assert twin.layers == model.layers
        np.testing.assert_array_equal(twin.predict(HOLES), expected)


def test_they_are_printed_with_the_model() -> None:
    model = stack()
    model.fit(HOLES, Y, epochs=1, verbose=0)
    text = model.source()
    assert "np.where(X == X, X, fill1)" in text
    assert "(filled1 - mean2) / std2" in text
    names = model.activations(HOLES[:2])
    assert {"filled1", "scaled2", "coded2"} <= set(names)
    assert "Missing" in model.summary()


def test_every_reading_takes_rows_with_holes(tmp_path: Any) -> None:
    model = stack()
    history = model.fit(HOLES, Y, epochs=2, verbose=0)
    assert np.isfinite(model.evaluate(HOLES, Y)["loss"])
    assert all(np.isfinite(g).all() for g in model.gradients(HOLES, Y).values())
    assert np.isfinite(model.step(HOLES, Y))
    row = int(np.flatnonzero(np.isnan(HOLES[:, 0]))[0])
    walk = model.explain(HOLES[row : row + 1], Y[row : row + 1])
    assert np.isfinite(walk["loss"].value)
    assert "svg" in model.draw(HOLES[:1], Y[:1]).svg
    assert pc.why(model, HOLES[:3], Y[:3], "W3[0, 1]").gradient is not None
    pytest.importorskip("matplotlib")
    page = pc.report(model, history, HOLES[:30], Y[:30], tmp_path / "r.html")
    assert "Missing" in page.read_text()


def test_a_report_of_points_in_a_plane(tmp_path: Any) -> None:
    pytest.importorskip("matplotlib")
    points, y = pc.data.moons(60)
    layers = [pc.Normalize(), pc.Dense(4, "tanh"), pc.Dense(1, "sigmoid")]
    model = pc.Sequential(layers, loss="bce", seed=0)
    history = model.fit(points, y, epochs=2, verbose=0)
    page = pc.report(model, history, points, y, tmp_path / "r.html")
    assert "What each hidden neuron responds to" in page.read_text()


def test_rescale_scales_and_shifts() -> None:
    assert out(pc.Rescale(2.0, offset=-1.0), [[3.0]]).tolist() == [[5.0]]
    assert pc.Rescale(np.float32(2)).scale == 2.0


# -- and the doctor --------------------------------------------------------------------------------


def test_the_doctor_knows_what_they_are_for() -> None:
    """Features of any scale, and gaps, are no fault where a layer takes care of them."""
    points, y = pc.data.moons(200)
    points = points * [1000, 1] + [5e4, 0]
    top = [pc.Dense(16, "tanh"), pc.Dense(1, "sigmoid")]
    settings: Any = {"loss": "bce", "optimizer": pc.Adam(0.01), "seed": 0}
    model = pc.Sequential([pc.Normalize(), *top], **settings)
    assert pc.diagnose(model, points, y, epochs=80).healthy
    plain = pc.Sequential(top, **settings)
    assert not pc.diagnose(plain, points, y, epochs=80).healthy
    points[RNG.random(points.shape) < 0.1] = np.nan
    model = pc.Sequential([pc.Missing(), pc.Normalize(), *top], **settings)
    assert pc.diagnose(model, points, y, epochs=80).healthy
    model = pc.Sequential([pc.Normalize(), *top], **settings)
    assert pc.diagnose(model, points, y, epochs=80).findings[0].code == "nan-in-data"
