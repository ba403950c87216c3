"""A picture promises: the library's own numbers, readable labels, and to leave all else alone."""

from __future__ import annotations

import itertools
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import pellucid as pc
from pellucid import plot

matplotlib = pytest.importorskip("matplotlib", reason="matplotlib is not installed")
matplotlib.use("Agg")

import matplotlib.pyplot as plt  # noqa: E402 - only where it is installed
from matplotlib.axes import Axes  # noqa: E402
from matplotlib.contour import ContourSet  # noqa: E402

from pellucid.plot import canvas, experiments, measure, mistakes, surface  # noqa: E402

XOR, CIRCLES, SPIRALS = pc.data.xor(), pc.data.circles(), pc.data.spirals(90)
DIGITS = tuple(part[:150] for part in pc.data.digits())
RNG = np.random.default_rng(0)
VALUES = RNG.uniform(-2, 2, (60, 2)), RNG.normal(size=60)


def model(
    *units: int, act: str = "tanh", out: str = "sigmoid", loss: str = "bce", **more: Any
) -> Any:
    layers = [*(pc.Dense(u, act) for u in units[:-1]), pc.Dense(units[-1], out)]
    settings: dict[str, Any] = {"optimizer": pc.Adam(0.02), "seed": 1} | more
    return pc.Sequential(layers, loss=loss, **settings)


def trained(data: Any, *units: int, epochs: int = 40, **more: Any) -> Any:
    made = model(*units, **more)
    made.fit(*data, epochs=epochs, verbose=0, backend="numpy")
    return made


def xor_maker(hidden: int) -> Any:
    return model(hidden, 1, loss="mse", optimizer=pc.SGD(2.0))


PATH = plot.Path(5)
BINARY = trained(CIRCLES, 8, 1, metrics=["accuracy"])
MANY = model(12, 6, 3, act="relu", out="softmax", loss="cce")
HISTORY = MANY.fit(
    *SPIRALS, epochs=40, verbose=0, validation_split=0.3, callbacks=[PATH], backend="numpy"
)
REGRESSION = trained(VALUES, 6, 1, out="linear", loss="mse")
READER = trained(DIGITS, 12, 10, act="relu", out="softmax", loss="cce", epochs=5)
SWEPT = pc.sweep(
    xor_maker, *XOR, epochs=30, seeds=range(4), grid={"hidden": [1, 2]}, converged=0.24,
    backend="numpy", verbose=0,
)  # fmt: skip
LABELS = model(4, 3)  # three labels at once
MIRROR = model(2, 1, act="relu")  # it sees the difference of the inputs, from both sides
MIRROR.predict(XOR[0])
MIRROR.params["W1"] = [[1, -1], [-1, 1]]
DEEP = model(*[8] * 6, 1, act="sigmoid")
RANGE = pc.range_test(model(8, 1), *CIRCLES, backend="numpy")

# every picture, as a function of ax
PICTURES: dict[str, Callable[..., Any]] = {
    "activation": lambda ax=None: plot.activation(ax=ax),
    "activation-several": lambda ax=None: plot.activation(["sigmoid", "relu", "gelu"], ax=ax),
    "chain": lambda ax=None: plot.chain(lambda u: u**2, lambda x: 3 * x + 1, ax=ax),
    "history": lambda ax=None: plot.history(HISTORY, ax=ax),
    "history-several": lambda ax=None: plot.history(
        {"many": HISTORY, "other": HISTORY}, ["loss"], ax=ax
    ),
    "success": lambda ax=None: plot.success(SWEPT, ax=ax),
    "boundary-binary": lambda ax=None: plot.boundary(BINARY, *CIRCLES, resolution=40, ax=ax),
    "boundary-many": lambda ax=None: plot.boundary(MANY, *SPIRALS, resolution=40, ax=ax),
    "boundary-values": lambda ax=None: plot.boundary(REGRESSION, *VALUES, resolution=40, ax=ax),
    "neurons": lambda ax=None: plot.neurons(BINARY, *CIRCLES, resolution=30, ax=ax),
    "neurons-relu": lambda ax=None: plot.neurons(MANY, *SPIRALS, layer=2, resolution=30, ax=ax),
    "representation": lambda ax=None: plot.representation(BINARY, *CIRCLES, ax=ax),
    "representation-values": lambda ax=None: plot.representation(REGRESSION, *VALUES, ax=ax),
    "gradient_flow": lambda ax=None: plot.gradient_flow(MANY, *SPIRALS, ax=ax),
    "gradient_flow-several": lambda ax=None: plot.gradient_flow(
        {"deep": DEEP, "flat": BINARY}, *CIRCLES, ax=ax
    ),
    "gradient_flow-W": lambda ax=None: plot.gradient_flow(DEEP, *CIRCLES, of="W", ax=ax),
    "histograms": lambda ax=None: plot.histograms(MANY, SPIRALS[0], ax=ax),
    "histograms-gradients": lambda ax=None: plot.histograms(MANY, *SPIRALS, of="gradients", ax=ax),
    "histograms-weights": lambda ax=None: plot.histograms(MANY, of="weights", ax=ax),
    "weights": lambda ax=None: plot.weights(MANY, "W2", ax=ax),
    "weights-images": lambda ax=None: plot.weights(READER, shape=(8, 8), ax=ax),
    "initialization": lambda ax=None: plot.initialization(units=20, samples=50, ax=ax),
    "batch_sizes": lambda ax=None: plot.batch_sizes(
        MANY, *SPIRALS, sizes=(10, 90), epochs=8, backend="numpy", ax=ax
    ),
    "learning_rates": lambda ax=None: plot.learning_rates(
        MANY, *SPIRALS, rates=(0.01, 1), epochs=8, backend="numpy", ax=ax
    ),
    "landscape": lambda ax=None: plot.landscape(MANY, *SPIRALS, resolution=9, ax=ax),
    "landscape-path": lambda ax=None: plot.landscape(
        MANY, *SPIRALS, resolution=9, path=PATH, ax=ax
    ),
    "landscape-line": lambda ax=None: plot.landscape(
        MANY, *SPIRALS, dimensions=1, resolution=9, path=PATH, ax=ax
    ),
    "confusion": lambda ax=None: plot.confusion(MANY, *SPIRALS, ax=ax),
    "confusion-ten": lambda ax=None: plot.confusion(READER, *DIGITS, ax=ax),
    "misclassified": lambda ax=None: plot.misclassified(
        READER, *DIGITS, shape=(8, 8), count=8, ax=ax
    ),
    "schedule": lambda ax=None: plot.schedule(pc.OneCycle(0.1, 50), 60, ax=ax),
    "schedule-several": lambda ax=None: plot.schedule(
        {"cosine": pc.Cosine(0.1, 50), "restarts": pc.CosineRestarts(0.1, 10)}, 60, ax=ax
    ),
    "range_test": lambda ax=None: plot.range_test(RANGE, ax=ax),
}
IMAGES = ("weights-images", "misclassified")  # whose panels have no axes to label


@pytest.fixture(autouse=True)
def closed() -> Iterator[None]:
    yield
    plt.close("all")


def all_axes(drawn: Any) -> list[Any]:
    return list(drawn) if isinstance(drawn, np.ndarray) else [drawn]


def labels(ax: Any) -> list[str]:
    return [line.get_label() for line in ax.get_lines() if line.get_label()[:1] != "_"]


# -- the contract of every picture -----------------------------------------------------------------


def test_every_public_picture_is_among_those_that_are_tested() -> None:
    assert {name.split("-")[0] for name in PICTURES} == set(plot.__all__) - {"Path"}
    for name in plot.__all__:
        assert getattr(plot, name).__doc__


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_has_labels_and_no_two_texts_overlap(name: str) -> None:
    axes = all_axes(PICTURES[name]())
    assert all(isinstance(ax, Axes) for ax in axes)
    if name not in IMAGES:
        assert all(ax.get_xlabel() and (ax.get_ylabel() or "hist" in name) for ax in axes)
    assert any(ax.get_title() for ax in axes) or "boundary" in name
    figure = axes[0].figure
    boxes = texts(figure)
    for (one, a), (other, b) in itertools.combinations(boxes, 2):
        assert not overlap(a, b), f"{one!r} overlaps {other!r}"
    for text, box in boxes:
        assert inside(box, figure.bbox), f"{text!r} leaves the figure"
    for ax, other in itertools.product(figure.axes, repeat=2):
        if ax.get_legend():  # beside the data
            assert not overlap(ax.get_legend().get_window_extent(), other.get_window_extent())


def texts(figure: Any) -> list[tuple[str, Any]]:
    """Every text that can be seen, with its place in pixels; a legend is one text."""
    figure.canvas.draw()
    found = []
    for ax in figure.axes:
        ticks = [*ax.get_xticklabels(), *ax.get_yticklabels()] if ax.axison else []
        seen = [t for t in ticks if in_view(ax, t)]
        parts = [ax.title, ax.xaxis.label, ax.yaxis.label, *seen, *ax.texts]
        found += [(t.get_text(), t.get_window_extent()) for t in parts if t.get_text()]
        if ax.get_legend():
            found.append(("the legend", ax.get_legend().get_window_extent()))
    return found


def in_view(ax: Any, tick: Any) -> bool:
    """Whether a tick's label is drawn: some lie beyond the limits, some are switched off."""
    box, frame = tick.get_window_extent(), ax.get_window_extent()
    beside = frame.x0 - 1 <= (box.x0 + box.x1) / 2 <= frame.x1 + 1
    level = frame.y0 - 1 <= (box.y0 + box.y1) / 2 <= frame.y1 + 1
    return bool(tick.get_visible() and tick.get_text() and (beside or level))


def overlap(a: Any, b: Any) -> bool:
    wide = min(a.x1, b.x1) - max(a.x0, b.x0)
    high = min(a.y1, b.y1) - max(a.y0, b.y0)
    return bool(wide > 1 and high > 1)


def inside(box: Any, page: Any) -> bool:
    return bool(
        box.x0 >= page.x0 - 1 and box.x1 <= page.x1 + 1
        and box.y0 >= page.y0 - 1 and box.y1 <= page.y1 + 1
    )  # fmt: skip


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_drawn_on_the_axes_that_are_given(name: str) -> None:
    count = len(all_axes(PICTURES[name]()))
    plt.close("all")
    figure, given = plt.subplots(1, max(count, 1), squeeze=False)
    ax = given[0, 0] if count == 1 else given
    drawn = all_axes(PICTURES[name](ax=ax))
    assert all(one is other for one, other in zip(drawn, given.ravel(), strict=True))
    assert plt.get_fignums() == [figure.number]
    figure.canvas.draw()


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_leaves_everything_else_as_it_was(name: str) -> None:
    before, settings = state(), dict(matplotlib.rcParams)
    random = np.random.get_state()[1].tolist()  # type: ignore[index]
    PICTURES[name]()
    assert state() == before
    assert dict(matplotlib.rcParams) == settings
    assert np.random.get_state()[1].tolist() == random  # type: ignore[index]


def state() -> list[Any]:
    """Everything that a picture could change, of every model and all data."""
    models = [BINARY, MANY, REGRESSION, READER, DEEP]
    data = [*XOR, *CIRCLES, *SPIRALS, *VALUES, *DIGITS]
    own = [(m.seed, m._net is None, id(m.history), repr(m.optimizer)) for m in models]
    numbers = [m._numbers for m in models if m._net is not None]
    arrays = [a.tobytes() for n in numbers for a in (n.params, *n.state.values())]
    return [*own, *arrays, *((n.steps, n.epochs) for n in numbers), *(a.tobytes() for a in data)]


def test_many_pictures_neither_warn_nor_stay_with_pyplot_nor_close_what_is_not_theirs() -> None:
    mine = plt.figure()
    drawn = [plot.activation() for _ in range(25)]
    assert len(plt.get_fignums()) <= plt.rcParams["figure.max_open_warning"]
    assert plt.fignum_exists(mine.number)
    drawn[0].figure.canvas.draw()  # what has left pyplot's list can still be used


def test_a_new_picture_is_the_current_figure_of_pyplot() -> None:
    assert plot.activation().figure is plt.gcf()


@pytest.mark.parametrize("ax", ["axes", 3, plt])
def test_what_are_no_axes_is_refused(ax: Any) -> None:
    for draw in (plot.activation, lambda ax: plot.neurons(BINARY, *CIRCLES, ax=ax)):
        with pytest.raises(pc.DtypeError, match=r"not axes[\s\S]*plt.subplots"):
            draw(ax=ax)


def test_too_few_axes_are_refused() -> None:
    _, ax = plt.subplots(1, 2)
    with pytest.raises(pc.ArgumentError, match="ax holds 2 axes, but this picture has 8 panels"):
        plot.neurons(BINARY, *CIRCLES, ax=ax)


# -- numbers: functions ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["sigmoid", "tanh", "relu", "leaky_relu", "gelu", "selu"])
def test_an_activation_is_the_librarys_own_with_its_own_slope(name: str) -> None:
    own = getattr(pc, name)
    curve, slope = (line for line in plot.activation(name).get_lines() if len(line.get_xdata()) > 2)
    z = curve.get_xdata()
    assert np.array_equal(curve.get_ydata(), own(z))
    assert np.array_equal(slope.get_ydata(), pc.grad(lambda x: np.sum(own(x)))(z))


@pytest.mark.parametrize(
    ("name", "told"),
    {
        "sigmoid": "(0, 1)", "tanh": "(−1, 1)", "relu": "[0, ∞)", "leaky_relu": "(−∞, ∞)",
        "gelu": "[−0.17, ∞)", "elu": "(−1, ∞)", "swish": "[−0.278, ∞)", "softplus": "(0, ∞)",
        "sin": "[−1, 1]", "linear": "(−∞, ∞)",
    }.items(),
)  # fmt: skip
def test_the_range_of_an_activation_is_measured(name: str, told: str) -> None:
    assert labels(plot.activation(name, derivative=False))[0].endswith(f"range {told}")


def test_several_activations_on_one_axes_and_functions_of_ones_own() -> None:
    _, ax = plt.subplots()
    assert plot.activation(["tanh", lambda z: z**2], ax=ax) is ax
    assert len(labels(ax)) == 4


def test_the_chain_rule_has_the_slopes_of_the_textbook() -> None:
    axes = plot.chain(lambda u: u**2, lambda x: 3 * x + 1)
    assert [text.split("= ")[-1] for text in axes[2].get_legend_handles_labels()[1]] == [
        "−12", "6", "15", "24",
    ]  # fmt: skip
    tangents = [line for line in axes[2].get_lines() if len(line.get_xdata()) == 2]
    slopes = [np.diff(t.get_ydata())[0] / np.diff(t.get_xdata())[0] for t in tangents]
    assert slopes == pytest.approx([-12, 6, 15, 24])


# -- numbers: training -----------------------------------------------------------------------------


def test_learning_curves_are_those_of_the_history() -> None:
    ax = plot.history(HISTORY)
    train, held = ax.get_lines()
    assert train.get_ydata().tolist() == HISTORY["loss"]
    assert held.get_ydata().tolist() == HISTORY["val_loss"]
    assert train.get_xdata()[[0, -1]].tolist() == [1, 40] and ax.get_yscale() == "log"
    assert plot.history(HISTORY, log=False).get_yscale() == "linear"


def test_a_loss_that_is_not_finite_is_said_to_be() -> None:
    ax = plot.history({"loss": [0.7, 0.5, np.nan, np.inf]})
    assert labels(ax) == ["train (not finite from epoch 3)"]
    plot.history({"loss": [np.nan, np.nan]}).figure.canvas.draw()
    assert plot.history({"loss": [0.0, 1.0]}).get_yscale() == "linear"  # 0 has no logarithm


@pytest.mark.parametrize("name", ["log", "sqrt"])
def test_a_slope_is_drawn_only_where_the_function_has_a_value(name: str) -> None:
    for line in plot.activation(name).get_lines():
        x, y = line.get_data()
        assert len(x) == 2 or np.isnan(np.asarray(y)[np.asarray(x) < 0]).all()


def test_success_shows_every_curve_and_the_share() -> None:
    axes = plot.success(SWEPT)
    for k, (ax, hidden) in enumerate(zip(axes, (1, 2), strict=True)):
        curves = np.array([line.get_ydata() for line in ax.get_lines() if len(line.get_ydata())])
        assert np.array_equal(curves, SWEPT.curves[4 * k : 4 * k + 4])  # type: ignore[index]
        assert f"{SWEPT.rate(hidden=hidden):.0%} (" in ax.get_title()


def test_copies_are_trained_as_the_model_would_be() -> None:
    fresh, alone = model(4, 3, out="softmax", loss="cce"), []
    ax = plot.batch_sizes(fresh, *SPIRALS, sizes=(90, 13), epochs=5, backend="numpy")
    for size in (90, 13):
        twin = fresh.copy()
        alone.append(
            twin.fit(*SPIRALS, epochs=5, batch_size=size, backend="numpy", verbose=0)["loss"]
        )
    assert [line.get_ydata().tolist() for line in ax.get_lines()] == alone
    assert "batch 13: 7 updates an epoch" in labels(ax)[1] and "numpy" in ax.get_title()
    assert all("ms an epoch, noise" in label for label in labels(ax))


def test_noise_is_the_deviation_of_the_last_changes() -> None:
    loss = np.array([9.0, 5.0, 1.0, 2.0, 1.0, 2.0])  # the last half changes by -1, then by 1
    course = experiments.Course(loss, 0.0, "", "numpy")
    assert course.noise == pytest.approx(np.std([1, -1, 1][1:]))
    assert experiments.Course(loss[:1], 0.0, "", "numpy").noise == 0


def test_a_learning_rate_takes_the_place_of_the_optimizers() -> None:
    fresh = model(3, 1, out="linear", loss="mse", optimizer=pc.SGD(0.1, 0.9))
    ax = plot.learning_rates(fresh, *VALUES, rates=(0.01, 1e6), epochs=30, backend="numpy")
    twin = model(3, 1, out="linear", loss="mse", optimizer=pc.SGD(0.01, 0.9))
    expected = twin.fit(*VALUES, epochs=30, backend="numpy", verbose=0)["loss"]
    assert ax.get_lines()[0].get_ydata().tolist() == expected
    assert "not finite" in labels(ax)[1]


def test_initial_weights_keep_or_lose_the_signal_as_in_the_textbook() -> None:
    axes = plot.initialization()
    variances = [[float(line.get_ydata()[-1]) ** 2 for line in ax.get_lines()] for ax in axes]
    expected = [[6e-24, 7e16, 0.56], [1e-20, 0.92, 0.051]]
    ratios = np.array(variances) / np.array(expected)
    assert ((ratios > 1 / 4) & (ratios < 4)).all(), ratios
    assert labels(axes[1])[2].startswith("Xavier: ")


# -- numbers: the plane ----------------------------------------------------------------------------


def test_a_boundary_is_what_the_model_predicts() -> None:
    ax = plot.boundary(BINARY, *CIRCLES, resolution=21)
    (x0, x1), (y0, y1) = ax.get_xlim(), ax.get_ylim()
    grid = np.stack(np.meshgrid(np.linspace(x0, x1, 21), np.linspace(y0, y1, 21)), axis=-1)
    shown = ax.get_images()[0].get_array()
    expected = BINARY.predict(grid.reshape(-1, 2)).reshape(21, 21)
    assert np.allclose(shown, expected, atol=1e-6)
    (line,) = (c for c in ax.collections if isinstance(c, ContourSet))
    assert list(line.levels) == [0.5]


def test_a_model_of_signs_changes_its_mind_at_a_score_of_zero() -> None:
    y = np.where(CIRCLES[0][:, 0] > 0, 1, -1)
    signs = trained((CIRCLES[0], y), 4, 1, out="linear", loss="hinge")
    ax = plot.boundary(signs, CIRCLES[0], y, resolution=21)
    (line,) = (c for c in ax.collections if isinstance(c, ContourSet))
    assert list(line.levels) == [0.0]
    found, score = measure.classes(signs, CIRCLES[0], y), signs.predict(CIRCLES[0])[:, 0]
    assert np.array_equal(found.sure, np.abs(score)) and found.labels.tolist() == [-1, 1]


@pytest.mark.parametrize(("who", "data"), [(BINARY, CIRCLES), (MANY, SPIRALS)])
def test_misclassified_samples_are_circled(who: Any, data: Any) -> None:
    ax = plot.boundary(who, *data, resolution=10)
    wrong = data[0][who.predict_classes(data[0]) != data[1]]
    assert len(wrong)
    circles = ax.collections[-1]
    assert np.allclose(circles.get_offsets(), wrong, atol=1e-6)
    assert circles.get_label() == f"misclassified: {len(wrong)}"


def test_other_features_are_held_where_one_says() -> None:
    X, y = pc.data.blobs(60, 2, 4)
    who = model(3, 2, out="softmax", loss="cce")
    ax = plot.boundary(who, X, y, features=(3, 1), fixed={0: 0.5, 2: -1}, resolution=5)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("feature 3", "feature 1")
    assert ax.get_title() == "at feature 0 = 0.5, feature 2 = −1"
    grid = measure.plane(X, (3, 1), {0: 0.5, 2: -1}, 5)
    assert (grid.X[:, 0] == 0.5).all() and (grid.X[:, 2] == -1).all()
    assert np.array_equal(grid.grid(grid.X)[0, :, 3], grid.x)


@pytest.mark.parametrize("loss", ["hinge", "mse", "bce", "half_mse", "bce_logits"])
def test_a_boundary_for_every_loss_that_has_two_classes(loss: str) -> None:
    X, y = CIRCLES
    signs = 2 * y - 1 if loss == "hinge" else y
    out = "sigmoid" if loss in ("mse", "bce", "half_mse") else "linear"
    who = trained((X, signs), 4, 1, out=out, loss=loss, epochs=2)
    ax = plot.boundary(who, X, signs, resolution=10)
    told = [c.get_label() for c in ax.collections if "class" in c.get_label()]
    wrong = int((who.predict_classes(X) != signs).sum())
    assert told[:2] == [f"class {k}" for k in np.unique(signs)]
    assert told[2:] == ([f"misclassified: {wrong}"] if wrong else [])


def test_a_single_sample_has_room_around_it() -> None:
    ax = plot.boundary(BINARY, CIRCLES[0][:1], CIRCLES[1][:1], resolution=5)
    assert np.ptp(ax.get_xlim()) == pytest.approx(2) and np.ptp(ax.get_ylim()) == pytest.approx(2)


def test_neurons_show_activations_and_where_scores_are_zero() -> None:
    axes = plot.neurons(BINARY, *CIRCLES, units=[2, 0], resolution=11)
    assert [ax.get_title() for ax in axes] == ["unit 2", "unit 0"]
    grid = measure.plane(CIRCLES[0].astype(np.float32), (0, 1), None, 11)
    values = BINARY.activations(grid.X)
    assert np.array_equal(axes[0].get_images()[0].get_array(), grid.grid(values["a1"])[..., 2])
    line = axes[0].collections[0].get_paths()[0].vertices
    W, b = BINARY.params["W1"][:, 2], BINARY.params["b1"][2]
    assert np.abs(line @ W + b).max() < 1e-3


def test_a_representation_is_what_the_layer_computes() -> None:
    who = model(2, 1)
    who.predict(XOR[0])
    who.params["b2"][:] = 0.1
    ax = plot.representation(who, *XOR)
    a1 = who.activations(XOR[0])["a1"]
    placed = np.vstack([c.get_offsets() for c in ax.collections])
    assert np.allclose(placed, np.vstack([a1[XOR[1].ravel() == k] for k in (0, 1)]))
    (cut,) = [line for line in ax.get_lines() if line.get_label() == "output's score is 0"]
    points = np.array([cut.get_xy1(), cut.get_xy2()])
    assert np.allclose(points @ who.params["W2"] + who.params["b2"], 0, atol=1e-6)


def test_samples_at_one_place_are_counted() -> None:
    assert [text.get_text() for text in plot.representation(MIRROR, *XOR).texts] == ["×2"]


def test_several_labels_of_a_sample_are_no_class() -> None:
    y = np.ones((200, 3))
    assert not measure.kinds_of(LABELS, CIRCLES[0], y).any()
    with pytest.raises(pc.ArgumentError, match="labels, not one class"):
        plot.representation(LABELS, CIRCLES[0], y)


def test_principal_components_have_the_variance_that_they_say() -> None:
    ax = plot.representation(MANY, *SPIRALS, layer=1)
    a1 = MANY.activations(SPIRALS[0])["a1"].astype(float)
    spread = np.linalg.eigvalsh(np.cov(a1.T, ddof=0))[::-1]
    placed = np.vstack([c.get_offsets() for c in ax.collections])
    assert np.allclose(placed.var(axis=0), spread[:2])
    assert np.allclose(placed.mean(axis=0), 0, atol=1e-6)
    assert f"({spread[0] / spread.sum():.0%} of variance)" in ax.get_xlabel()


# -- numbers: layers -------------------------------------------------------------------------------


def test_slopes_of_scores_are_those_that_train() -> None:
    batch = MANY._batch(*SPIRALS)
    slopes, gradients = measure.slopes(MANY, batch), MANY.gradients(*SPIRALS)
    for k in (1, 2, 3):
        assert np.allclose(slopes[f"z{k}"].sum(axis=0), gradients[f"b{k}"], atol=1e-7)
    assert np.allclose(slopes["z3"], (MANY.predict(batch.X) - batch.Y) / 90, atol=1e-7)


def test_gradient_flow_draws_norms_of_gradients() -> None:
    gradients = MANY.gradients(*SPIRALS)
    (line,) = plot.gradient_flow(MANY, *SPIRALS, of="W").get_lines()
    expected = [np.linalg.norm(gradients[f"W{k}"]) for k in (1, 2, 3)]
    assert line.get_ydata() == pytest.approx(expected)
    (line,) = plot.gradient_flow(MANY, *SPIRALS).get_lines()
    batch = MANY._batch(*SPIRALS)
    each = 90 * measure.slopes(MANY, batch)["z3"]  # of each sample's own loss
    assert line.get_ydata()[-1] == pytest.approx(np.sqrt((each**2).sum(axis=1).mean()), rel=1e-5)


@pytest.mark.parametrize(
    ("scale", "word"), [(0.5, "vanishing"), (1, "healthy"), (1.5, "exploding"), (2, "exploding")]
)
def test_ten_layers_by_the_scale_of_their_weights(scale: float, word: str) -> None:
    init = pc.Normal(scale * float(np.sqrt(2 / 50)))
    layers = [pc.Dense(50, "relu", init=init) for _ in range(10)]
    deep = pc.Sequential([*layers, pc.Dense(3, "softmax")], loss="cce", dtype="float64")
    X, y = pc.data.blobs(60, 3, 50)
    (label,) = labels(plot.gradient_flow(deep, X, y))
    assert label.startswith(f"{word}: first/last = ")


@pytest.mark.parametrize(
    ("first", "word"), [(0.09, "vanishing"), (0.11, "healthy"), (9.9, "healthy"), (10.1, "explod")]
)
def test_a_tenth_and_ten_times_are_where_the_verdict_turns(first: float, word: str) -> None:
    assert measure.verdict({"z1": first, "z2": 5.0, "z3": 1.0}).startswith(word)


def test_a_gradient_that_is_zero_or_not_finite_is_said() -> None:
    dead = model(3, 1, act="relu")
    _ = dead.predict(CIRCLES[0])
    dead.params["b1"] = -100 * np.ones(3)
    assert labels(plot.gradient_flow(dead, *CIRCLES)) == ["vanishing: first/last = 0"]
    dead.params["W2"] = np.full((3, 1), np.nan)
    ax = plot.gradient_flow(dead, *CIRCLES)
    assert labels(ax) == ["not finite: NaN or Inf"]
    ax.figure.canvas.draw()
    assert labels(plot.gradient_flow(model(1), *CIRCLES)) == ["one layer: nothing to compare"]


def test_histograms_count_every_value() -> None:
    for ax, name in zip(plot.histograms(MANY, SPIRALS[0]), ("a1", "a2", "a3"), strict=True):
        values = MANY.activations(SPIRALS[0])[name]
        assert sum(bar.get_height() for bar in ax.patches) == values.size
        assert ax.get_title().startswith(f"{name}: mean {canvas.number(float(values.mean()))}, std")


def test_histograms_of_constants_and_of_nan() -> None:
    zero = pc.Sequential([pc.Dense(2, inputs=2, init="zeros"), pc.Dense(1, init="ones")])
    assert "100% are 0" in plot.histograms(zero, of="weights")[0].get_title()
    zero.params["W1"] = [[np.nan, 1.0], [2.0, np.inf]]
    zero.params["W2"] = [[np.nan], [np.nan]]
    titles = [ax.get_title() for ax in plot.histograms(zero, of="weights")]
    assert "2 NaN or Inf" in titles[0] and titles[1] == "W2: all NaN or Inf"


def test_weights_are_the_parameters_and_white_is_zero() -> None:
    image = plot.weights(MANY, "W2").get_images()[0]
    assert np.array_equal(image.get_array(), MANY.params["W2"])
    assert image.norm.vmin == -image.norm.vmax
    assert image.cmap(0.5)[:3] == pytest.approx((0.97, 0.97, 0.97), abs=0.01)
    axes = plot.weights(READER, shape=(8, 8), units=[3])
    image = axes[0].get_images()[0].get_array()
    assert np.array_equal(image.ravel(), READER.params["W1"][:, 3])


def test_weights_that_are_nan_are_gray_and_counted() -> None:
    who = pc.Sequential([pc.Dense(2, inputs=2)])
    who.params["W1"] = [[np.nan, 1.0], [2.0, 3.0]]
    ax = plot.weights(who)
    assert ax.get_title() == "W1, 2 × 2: 1 NaN or Inf (gray)"
    ax.figure.canvas.draw()
    assert plot.weights(who, "b1").get_images()[0].get_array().shape == (1, 2)


# -- numbers: mistakes -----------------------------------------------------------------------------


def test_confusion_counts_true_against_predicted() -> None:
    ax = plot.confusion(MANY, *SPIRALS)
    predicted = MANY.predict_classes(SPIRALS[0])
    told = [int(text.get_text().split("\n")[0]) for text in ax.texts]
    assert told == [
        int(((SPIRALS[1] == i) & (predicted == j)).sum()) for i in range(3) for j in range(3)
    ]
    found = measure.classes(MANY, *SPIRALS)
    assert mistakes.confusion_counts(found).sum() == 90


@pytest.mark.parametrize("labels", [np.array([True, False]), np.array([0.0, 1.0])])
def test_classes_are_called_as_the_caller_writes_them(labels: Any) -> None:
    X, y = CIRCLES
    given = labels[y] if labels.dtype.kind == "f" else y.astype(bool)
    ax = plot.confusion(trained((X, given), 3, 1, epochs=1), X, given)
    names = [t.get_text() for t in ax.get_xticklabels()]
    assert names == (["0", "1"] if labels.dtype.kind == "f" else ["False", "True"])


def test_the_surest_mistakes_come_first() -> None:
    axes = plot.misclassified(READER, *DIGITS, shape=(8, 8), count=5)
    X, y = DIGITS
    p, predicted = READER.predict(X), READER.predict_classes(X)
    wrong = np.flatnonzero(predicted != y)
    first = wrong[p[wrong].max(axis=1).argmax()]
    assert np.array_equal(axes[0].get_images()[0].get_array(), X[first].reshape(8, 8))
    told = f"true {y[first]}, said {predicted[first]} ({p[first].max():.2f})"
    assert axes[0].get_title() == told
    images = X.reshape(-1, 8, 8)
    flat = pc.Sequential([pc.Flatten(), pc.Dense(10, "softmax")], loss="cce")
    assert len(plot.misclassified(flat, images, y, count=3)) == 3


def test_a_single_output_is_as_sure_of_class_0_as_it_is_far_from_1() -> None:
    found, p = measure.classes(BINARY, *CIRCLES), BINARY.predict(CIRCLES[0])[:, 0]
    assert np.allclose(found.sure, np.where(p > 0.5, p, 1 - p)) and (found.sure >= 0.5).all()


def test_a_model_without_mistakes_says_so() -> None:
    right = READER.predict_classes(DIGITS[0])
    axes = plot.misclassified(READER, DIGITS[0], right, shape=(8, 8))
    assert axes[0].texts[0].get_text() == "none of 150 samples\nis misclassified"


# -- numbers: the landscape ------------------------------------------------------------------------


def test_the_landscape_is_the_models_loss() -> None:
    batch, here = MANY._batch(*SPIRALS), MANY._numbers.params.astype(float)
    axes = np.array([surface.direction(MANY, here, 0, k) for k in (0, 1)])
    points = here + np.array([[0, 0], [0.3, -0.2]]) @ axes
    twin = MANY.copy()
    twin._numbers.params[...] = points[1]
    expected = [MANY.loss(*SPIRALS), twin.loss(*SPIRALS)]
    assert surface.losses_at(MANY, batch, points) == pytest.approx(expected)
    (line, _) = plot.landscape(MANY, *SPIRALS, dimensions=1, resolution=11).get_lines()
    assert line.get_ydata()[5] == pytest.approx(expected[0])


def test_directions_are_as_long_as_the_weights_into_each_unit() -> None:
    here = MANY._numbers.params.astype(float)
    d = surface.direction(MANY, here, 3, 0)
    for slot in MANY._net.slots:
        part = d[slot.start : slot.stop].reshape(slot.shape)
        own = here[slot.start : slot.stop].reshape(slot.shape)
        if part.ndim == 1:
            assert not part.any()  # biases stay
        else:
            assert np.linalg.norm(part, axis=0) == pytest.approx(np.linalg.norm(own, axis=0))


def test_a_path_ends_at_the_model_and_its_main_directions_hold_it() -> None:
    assert len(PATH.points) == 9  # before, and after every fifth of 40 epochs
    assert len(np.unique(PATH.points, axis=0)) == 9
    ax = plot.landscape(MANY, *SPIRALS, resolution=5, path=PATH)
    trail = ax.get_lines()[0].get_xydata()
    assert trail[-1] == pytest.approx([0, 0], abs=1e-6)
    assert np.linalg.norm(trail[0]) == pytest.approx(
        np.linalg.norm(PATH.points[0] - PATH.points[-1]), rel=0.1
    )
    names = ("W1", "b1", "W2", "b2", "W3", "b3")
    by_name = [{n: MANY.params[n] + s for n in names} for s in (0.1, 0.0)]
    assert len(plot.landscape(MANY, *SPIRALS, path=by_name, resolution=3).get_lines()) == 3


@pytest.mark.slow
def test_a_path_is_the_same_compiled_and_not() -> None:
    paths = []
    for backend in ("numpy", "numba"):
        paths.append(plot.Path(10))
        model(4, 1).fit(*CIRCLES, epochs=30, verbose=0, backend=backend, callbacks=[paths[-1]])
    assert np.allclose(paths[0].points, paths[1].points, atol=1e-4)


@pytest.mark.slow
def test_a_landscape_of_a_small_network_takes_seconds() -> None:
    import time

    start = time.perf_counter()
    plot.landscape(MANY, *pc.data.spirals(300))
    assert time.perf_counter() - start < 10


# -- what cannot be drawn --------------------------------------------------------------------------

BLOBS = pc.data.blobs(30, 2, 4)
FOUR = model(3, 2, out="softmax", loss="cce")
ONE = model(1)
NAN = np.array([[np.nan, 0.0], [1.0, 2.0]])
BROKEN = model(3, 1)
BROKEN.predict(CIRCLES[0])
BROKEN.params["W2"] = np.full((3, 1), np.nan)

REFUSED: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "an unknown activation": (
        lambda: plot.activation("sigmod"), pc.ArgumentError, 'did you mean "sigmoid"'),
    "a softmax": (lambda: plot.activation("softmax"), pc.ArgumentError, "whole rows"),
    "no activation": (lambda: plot.activation([]), pc.ArgumentError, "no activation is named"),
    "a span upside down": (lambda: plot.activation(span=(1, 0)), pc.ArgumentError, "lower end"),
    "a span of one": (lambda: plot.activation(span=3), pc.DtypeError, "two numbers"),  # type: ignore[arg-type]
    "no points": (lambda: plot.chain(np.sin, np.cos, at=[]), pc.DataError, "at least one"),
    "no history": (lambda: plot.history(None), pc.DtypeError, "a history is expected"),
    "an empty history": (lambda: plot.history(pc.History()), pc.DataError, "no epochs"),
    "an unknown metric": (
        lambda: plot.history(HISTORY, "lss"), pc.ArgumentError, 'did you mean "loss"'),
    "no sweep": (lambda: plot.success(HISTORY), pc.DtypeError, "a sweep is expected"),
    "no model": (lambda: plot.boundary(None, *XOR), pc.DtypeError, "a model is expected"),
    "four features": (
        lambda: plot.boundary(FOUR, *BLOBS), pc.ArgumentError, r"fix 2, 3[\s\S]*fixed=\{2: "),
    "one feature": (
        lambda: plot.boundary(model(2, 1), BLOBS[0][:, :1], BLOBS[1]), pc.ShapeError, "needs 2"),
    "a drawn one fixed": (
        lambda: plot.boundary(FOUR, *BLOBS, fixed={0: 1.0}), pc.ArgumentError, r"names \[0\]"),
    "fixed, not a dict": (
        lambda: plot.boundary(FOUR, *BLOBS, fixed=[1]), pc.DtypeError, "not a dict"),  # type: ignore[arg-type]
    "one feature twice": (
        lambda: plot.boundary(BINARY, *CIRCLES, features=(1, 1)), pc.ArgumentError, "different"),
    "features of one": (
        lambda: plot.boundary(BINARY, *CIRCLES, features=1), pc.DtypeError, "two numbers"),  # type: ignore[arg-type]
    "a rough grid": (
        lambda: plot.boundary(BINARY, *CIRCLES, resolution=1), pc.ArgumentError, "resolution"),
    "no data": (
        lambda: plot.boundary(BINARY, CIRCLES[0][:0], []), pc.DataError, "empty"),
    "NaN in X": (lambda: plot.boundary(BINARY, NAN, [0, 1]), pc.DataError, "X holds NaN"),
    "NaN in the model": (
        lambda: plot.boundary(BROKEN, *CIRCLES), pc.DataError, "output is NaN or Inf in"),
    "several labels": (
        lambda: plot.boundary(LABELS, CIRCLES[0], np.zeros((200, 3))), pc.ArgumentError, "labels"),
    "images": (
        lambda: plot.neurons(READER, *DIGITS), pc.ArgumentError, r"plot.weights\(model"),
    "an unknown layer": (
        lambda: plot.neurons(BINARY, *CIRCLES, layer="a7"), pc.ArgumentError, "unknown layer 'a7'"),
    "a layer too many": (
        lambda: plot.neurons(BINARY, *CIRCLES, layer=3), pc.ArgumentError, "known: a1, a2, z1, z2"),
    "half a layer": (
        lambda: plot.neurons(BINARY, *CIRCLES, layer=0.5), pc.DtypeError, "a number from 1"),  # type: ignore[arg-type]
    "an unknown unit": (
        lambda: plot.neurons(BINARY, *CIRCLES, units=[8]), pc.ArgumentError, "units 0 to 7"),
    "no units": (lambda: plot.neurons(BINARY, *CIRCLES, units=[]), pc.ArgumentError, "is empty"),
    "no hidden layer": (
        lambda: plot.representation(ONE, *CIRCLES), pc.ArgumentError, "no hidden layer"),
    "a single unit": (
        lambda: plot.representation(ONE, *CIRCLES, layer=1), pc.ArgumentError, "single unit"),
    "three units": (
        lambda: plot.representation(BINARY, *CIRCLES, units=(0, 1, 2)), pc.DtypeError, "pca"),
    "another projection": (
        lambda: plot.representation(BINARY, *CIRCLES, units="tsne"), pc.ArgumentError, "pca"),
    "no models": (lambda: plot.gradient_flow({}, *CIRCLES), pc.ArgumentError, "no model"),
    "an unknown gradient": (
        lambda: plot.gradient_flow(BINARY, *CIRCLES, of="a"), pc.ArgumentError, "known: W, z"),
    "an unknown spread": (
        lambda: plot.histograms(BINARY, of="wights"), pc.ArgumentError, 'did you mean "weights"'),
    "activations of nothing": (
        lambda: plot.histograms(BINARY), pc.ArgumentError, "activations need X"),
    "gradients without targets": (
        lambda: plot.histograms(BINARY, XOR[0], of="gradients"), pc.ArgumentError, "need y"),
    "an unknown parameter": (lambda: plot.weights(BINARY, "W9"), pc.ArgumentError, "'W9'"),
    "weights of no model yet": (
        lambda: plot.weights(model(2, 1)), pc.NotBuiltError, "no parameters yet"),
    "no image": (
        lambda: plot.weights(READER, shape=(7, 8)), pc.ShapeError, r"rows · columns = 64"),
    "no initializers": (lambda: plot.initialization(init={}), pc.DtypeError, "init="),
    "no layers": (lambda: plot.initialization(layers=0), pc.ArgumentError, "layers is 0"),
    "an unknown init": (
        lambda: plot.initialization(init={"x": "hee"}), pc.ArgumentError, "unknown initializer"),
    "no sizes": (
        lambda: plot.batch_sizes(BINARY, *CIRCLES, sizes=[]), pc.ArgumentError, "nothing to"),
    "a batch of half": (
        lambda: plot.batch_sizes(BINARY, *CIRCLES, sizes=[0.5]), pc.ArgumentError, "batch size"),  # type: ignore[list-item]
    "a rate in words": (
        lambda: plot.learning_rates(BINARY, *CIRCLES, rates=["fast"]), pc.DtypeError, "rate is"),  # type: ignore[list-item]
    "no epochs": (
        lambda: plot.learning_rates(BINARY, *CIRCLES, epochs=0), pc.ArgumentError, "epochs"),
    "three dimensions": (
        lambda: plot.landscape(BINARY, *CIRCLES, dimensions=3), pc.ArgumentError, "1 or 2"),
    "no span": (lambda: plot.landscape(BINARY, *CIRCLES, span=0), pc.ArgumentError, "span is 0"),
    "a path of nothing": (
        lambda: plot.landscape(BINARY, *CIRCLES, path=plot.Path()), pc.DataError, "0 points"),
    "no path": (lambda: plot.landscape(BINARY, *CIRCLES, path=3), pc.DtypeError, "path is a int"),
    "another model's path": (
        lambda: plot.landscape(BINARY, *CIRCLES, path=PATH), pc.ShapeError, "the model 33"),
    "a loss of NaN": (
        lambda: plot.landscape(BROKEN, *CIRCLES, resolution=3), pc.DataError, "nowhere finite"),
    "confusion of values": (
        lambda: plot.confusion(REGRESSION, *VALUES), pc.ArgumentError, "values, not classes"),
    "no images": (lambda: plot.misclassified(BINARY, *CIRCLES), pc.ShapeError, "not images"),
    "none of them": (
        lambda: plot.misclassified(READER, *DIGITS, count=0), pc.DtypeError, "count is 0"),
    "a path that records never": (lambda: plot.Path(0), pc.ArgumentError, "every is 0"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_drawn_is_refused_with_a_hint(what: str) -> None:
    draw, kind, match = REFUSED[what]
    with pytest.raises(pc.PellucidError, match=match) as found:
        draw()
    assert isinstance(found.value, kind) and __file__ in str(found.value)
    assert found.value.hint or "output" in match


def test_an_untrained_model_is_drawn_and_stays_without_parameters() -> None:
    fresh = model(4, 1)
    plot.boundary(fresh, *CIRCLES, resolution=5)
    plot.landscape(fresh, *CIRCLES, resolution=3)
    plot.gradient_flow(fresh, *CIRCLES)
    plot.batch_sizes(fresh, *CIRCLES, sizes=[200], epochs=1, backend="numpy")
    assert fresh._net is None and fresh._labels is None


# -- where matplotlib is missing -------------------------------------------------------------------


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    return done.stdout


def test_importing_it_does_not_import_matplotlib() -> None:
    code = "import sys, pellucid as pc; pc.Sequential; pc.plot.boundary\n"
    assert run(code + "print('matplotlib' in sys.modules)").strip() == "False"


def test_a_missing_matplotlib_is_answered_with_the_install_command() -> None:
    code = (
        "import sys\n"
        "class Missing:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] == 'matplotlib':\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}')\n"
        "sys.meta_path.insert(0, Missing())\n"
        "import pellucid as pc\n"
        "try:\n"
        "    pc.plot.activation()\n"
        "except pc.PellucidError as error:\n"
        "    print(error)\n"
    )
    assert 'try: pip install "pellucid[plot]"' in run(code)


def test_gray_prints_tell_signs_apart() -> None:
    """Seen in gray, the dark end below 0 differs from the end above it."""
    shades = canvas.shades("diverging")
    low, high = (np.dot(shades(v)[:3], [0.299, 0.587, 0.114]) for v in (0.0, 1.0))
    assert high - low > 0.2
    with warnings.catch_warnings():
        rising = np.array([canvas.shades("rising")(v)[:3] for v in np.linspace(0, 1, 50)])
    assert (np.diff(rising @ [0.299, 0.587, 0.114]) < 0).all()
