"""Gradient checks: what is wrong is found by name and index, what is right is never accused."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import LOSSES, samples

import pellucid as pc
from pellucid.check.gradient_report import GradientReport
from pellucid.check.gradients import check_gradients
from pellucid.check.targets import of_model
from pellucid.nn.layer import activations


def network(loss: str, hidden: list[tuple[int, str]], **facts: Any) -> pc.Sequential:
    last, units = LOSSES[loss]
    layers = [pc.Dense(n, act, bias_init=0.1) for n, act in hidden]
    return pc.Sequential([*layers, pc.Dense(units, last)], loss=loss, **facts)


def passes(report: GradientReport) -> bool:
    """Whether it passes as the mission asks: both measures, every parameter."""
    small = report.max_relative_error < 1e-5 and report.norm_ratio < 1e-7
    return bool(report) and report.ok and small


# -- what is right -------------------------------------------------------------------------------


def test_one_neuron_gives_the_numbers_of_the_book() -> None:
    report = check_gradients(lambda w: 0.5 * (pc.sigmoid(w * 2.0) - 1.0) ** 2, 0.5)
    index, analytic, numeric = report.parameters["w"].worst
    assert index == ()
    assert analytic == pytest.approx(-0.105754, abs=5e-7)
    assert numeric == pytest.approx(analytic, rel=1e-9)
    assert report.max_relative_error < 1e-7


@pytest.mark.parametrize("sizes", [(2, 2, 1), (3, 4, 1), (2, 3, 2)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_networks_of_the_book_pass_in_both_measures(sizes: Any, dtype: str) -> None:
    inputs, units, outputs = sizes
    model = pc.Sequential(
        [pc.Dense(units, "sigmoid", inputs=inputs), pc.Dense(outputs, "sigmoid")],
        loss="mse", dtype=dtype,
    )  # fmt: skip
    rng = np.random.default_rng(0)
    report = check_gradients(model, rng.normal(size=(5, inputs)), rng.random((5, outputs)))
    assert passes(report)
    assert list(report.parameters) == ["W1", "b1", "W2", "b2"]
    assert report.form_error is not None and report.form_error < 1e-14


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("activation", [a for a in activations() if a != "none"])
def test_every_loss_with_every_activation(loss: str, activation: str) -> None:
    model = network(loss, [(3, activation)], seed=3)
    X, y = samples(loss, 4, 2, seed=5)
    if not np.isfinite(model.copy().loss(X, y)):
        return  # out of its domain
    report = check_gradients(model, X, y)
    assert report.ok, report
    assert report.max_relative_error < 1e-5


@settings(max_examples=150, deadline=None)
@given(
    loss=st.sampled_from(sorted(LOSSES)),
    hidden=st.lists(
        st.tuples(
            st.integers(1, 6),
            st.sampled_from(["relu", "sigmoid", "tanh", "leaky_relu", "elu", "swish", "gelu"]),
        ),
        max_size=3,
    ),
    n=st.sampled_from([1, 2, 7, 60]),
    inputs=st.integers(1, 5),
    power=st.floats(-2, 2),
    seed=st.integers(0, 10**6),
    singly=st.booleans(),
    l2=st.sampled_from([0.0, 0.01]),
)
def test_no_correct_network_is_accused(
    loss: str, hidden: Any, n: int, inputs: int, power: float, seed: int, singly: bool, l2: float
) -> None:
    last, units = LOSSES[loss]
    layers = [pc.Dense(k, act, l2=l2) for k, act in hidden]
    model = pc.Sequential([*layers, pc.Dense(units, last)], loss=loss, seed=seed)
    X, y = samples(loss, n, inputs, seed)
    model.predict(X)
    for name in model.params:
        model.params[name] = model.params[name] * 10 ** (power / 2)
    try:
        report = check_gradients(model, X * 10**power, y, elements=None if singly else 0)
    except pc.DataError:  # the loss overflows
        return
    assert report.ok, report
    assert report.max_relative_error <= 1e-5


@pytest.mark.parametrize(("size", "elements"), [(1, None), (40, None), (40, 0)])
def test_a_local_bump_is_not_judged_by_what_is_around_it(size: int, elements: Any) -> None:
    """At wide steps the function is straight to the last digit, with another slope than here."""
    report = check_gradients(
        lambda x: pc.sum(5 * x - 3 * x * np.exp(-((x / 1e-3) ** 2))),
        np.zeros(size), elements=elements,
    )  # fmt: skip
    assert report.ok, report
    assert report.parameters["x"].worst.numeric == pytest.approx(2, rel=1e-7)


def test_few_values_do_where_all_is_right() -> None:
    model = network("mse", [(10, "tanh"), (10, "sigmoid")])
    report = check_gradients(model, *samples("mse", 8, 4, 0))
    size = sum(math.prod(p.shape) for p in report.parameters.values())
    assert report.evaluations < 4.2 * size + 250


def test_penalties_are_in_and_dropout_is_off() -> None:
    model = pc.Sequential([pc.Dense(4, "tanh", l2=0.3), pc.Dropout(0.5), pc.Dense(1)], loss="mse")
    X, y = samples("mse", 6, 3, 0)
    before = model.copy()
    report = check_gradients(model, X, y)
    assert passes(report)
    assert before._net is None and model._net is None, "the model is not even built"
    model.fit(X, y, epochs=1, verbose=0)
    flat, steps = model._numbers.params.copy(), model._numbers.steps
    assert passes(check_gradients(model, X, y))
    np.testing.assert_array_equal(model._numbers.params, flat)
    assert model._numbers.steps == steps
    worst = check_gradients(model, X, y).parameters["W1"].worst
    own = model.gradients(X, y)["W1"][worst.index]
    assert worst.analytic == pytest.approx(own, rel=1e-4)


@pytest.mark.parametrize("order", [1, 2])
def test_stop_gradient_is_held_still(order: int) -> None:
    def f(x: Any) -> Any:
        return pc.sum(pc.stop_gradient(x) * x**2)

    report = check_gradients(f, np.array([1.0, 2.0]), order=order)
    assert passes(report)
    assert "stop_gradient" in str(report)


def test_a_function_that_decides_in_python_is_called_each_time() -> None:
    def f(x: Any) -> Any:
        return x * x if float(x.value) > 1 else 2 * x - 1 + (x - 1) ** 3

    assert passes(check_gradients(f, 1.0001))
    assert passes(check_gradients(f, 0.9999))


def test_a_node_is_checked_at_its_leaves() -> None:
    x, y = pc.value(2.0, "x"), pc.value(-3.0, "y")
    report = check_gradients(pc.sigmoid(x * y + 4.0))
    assert passes(report) and list(report.parameters) == ["x", "y"]
    assert list(check_gradients(x * y, wrt=y).parameters) == ["y"]


def test_arguments_in_containers_have_names() -> None:
    def f(params: Any, X: Any, labels: Any) -> Any:
        h = np.tanh(X @ params["W1"] + params["b1"])
        return pc.cce_logits(h @ params["W2"], labels)

    rng = np.random.default_rng(0)
    p = {"W1": rng.normal(size=(3, 4)), "b1": np.zeros(4), "W2": rng.normal(size=(4, 2))}
    args = (p, rng.normal(size=(5, 3)), np.array([0, 1, 1, 0, 1]))
    assert list(check_gradients(f, *args).parameters) == ["W1", "b1", "W2", "X"]
    assert list(check_gradients(f, *args, wrt="params").parameters) == ["W1", "b1", "W2"]
    assert list(check_gradients(f, *args, wrt=0).parameters) == ["W1", "b1", "W2"]
    assert list(check_gradients(f, *args, wrt=["b1", "X"]).parameters) == ["b1", "X"]
    nested = check_gradients(lambda ps: pc.sum(ps[0] * ps[1]["w"]), [np.ones(2), {"w": np.ones(2)}])
    assert list(nested.parameters) == ["ps[0]", "ps[1].w"]


# -- what is wrong -------------------------------------------------------------------------------


def planted(shape: tuple[int, ...], index: Any, factor: float) -> Any:
    """Return the identity, whose backward rule is wrong by a factor in some elements."""
    mask = np.ones(shape)
    mask[index] = factor
    return pc.custom_gradient(lambda g, y, x: g * mask)(lambda x: 1.0 * x)


@pytest.mark.parametrize("factor", [1.001, 0.5, 2.0, -1.0, 0.0, 1.0001])
@pytest.mark.parametrize("order", [1, 2])
def test_a_planted_error_is_found_by_name_and_index(factor: float, order: int) -> None:
    rng = np.random.default_rng(2)

    def f(params: Any) -> Any:
        h = np.tanh(planted((3, 4), (1, 2), factor)(params["W1"]) * 0.7)
        return pc.sum((h @ params["W2"]) ** 2)

    p = {"W1": rng.normal(size=(3, 4)), "W2": rng.normal(size=(4, 2))}
    report = check_gradients(f, p)
    assert not report and report.verdict == "wrong"
    assert report.parameters["W1"].verdict == "wrong" and report.parameters["W2"].ok
    assert [w.index for w in report.parameters["W1"].wrong] == [(1, 2)]
    worst = report.parameters["W1"].worst
    assert worst.index == (1, 2)
    assert worst.analytic == pytest.approx(factor * worst.numeric, rel=1e-7, abs=1e-9)
    assert "W1[1, 2] is wrong" in str(report)


def test_a_wrong_second_derivative_is_found() -> None:
    """The slope is right, and its own rule is not."""
    wrong = pc.custom_gradient(lambda g, y, x: g * 3.0 * x * x * 1.01)(lambda x: x**3)
    cube = pc.custom_gradient(lambda g, y, x: g * wrong(x) * 3.0 / x)(lambda x: x**3)
    x = np.array([0.5, -1.2])
    assert check_gradients(lambda x: pc.sum(cube(x)), x).ok
    report = check_gradients(lambda x: pc.sum(cube(x)), x, order=2)
    assert not report.ok and report.order == 2
    assert {w.index for w in report.parameters["x"].wrong} == {(0,), (1,)}


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("loss", ["mse", "bce", "cce", "huber"])
def test_second_derivatives_of_networks(loss: str, order: int) -> None:
    X, y = samples(loss, 5, 2, 0)
    small = check_gradients(network(loss, [(2, "tanh")]), X, y, order=order)
    large = check_gradients(network(loss, [(6, "gelu"), (5, "elu")]), X, y, order=order)
    for report in (small, large):
        assert report.ok, report
        assert report.max_relative_error < 1e-5
    assert small.order == order


def big(bad: Any) -> tuple[Any, dict[str, Any], Any, Any]:
    """Return 100,000 parameters: 784-128-10."""
    rng = np.random.default_rng(0)

    def f(p: Any, X: Any, y: Any) -> Any:
        h = pc.relu(X @ bad(p["W1"]) + p["b1"])
        return pc.cce_logits(h @ p["W2"] + p["b2"], y)

    p = {
        "W1": rng.normal(size=(784, 128)) * 0.05, "b1": np.zeros(128),
        "W2": rng.normal(size=(128, 10)) * 0.1, "b2": np.zeros(10),
    }  # fmt: skip
    return f, p, rng.random((32, 784)), rng.integers(0, 10, 32)


def test_100_000_parameters_take_few_evaluations() -> None:
    f, p, X, y = big(lambda w: w)
    report = check_gradients(f, p, X, y, wrt="p")
    assert passes(report)
    assert report.evaluations < 1500
    assert report.parameters["W1"].directions > 50


@pytest.mark.parametrize("index", [(17, 3), (700, 127), (783, 0)])
def test_one_element_of_100_000_is_found(index: Any) -> None:
    """By a thousandth, in one weight of 100,352: the direction disagrees, halving names it."""
    f, p, X, y = big(planted((784, 128), index, 1.001))
    report = check_gradients(f, p, X, y, wrt="p")
    slope = pc.grad(f)(p, X, y)["W1"][index]
    assert slope != 0
    assert [w.index for w in report.parameters["W1"].wrong] == [index]
    assert report.evaluations < 3000
    assert all(report.parameters[name].ok for name in ("b1", "W2", "b2"))


@pytest.mark.parametrize("factor", [2.0, -1.0, 1.001])
def test_a_whole_parameter_of_100_000_is_found(factor: float) -> None:
    f, p, X, y = big(pc.custom_gradient(lambda g, _, x: g * factor)(lambda x: 1.0 * x))
    report = check_gradients(f, p, X, y, wrt="p")
    found = report.parameters["W1"]
    assert found.verdict == "wrong" and found.wrong
    assert found.norm_ratio == pytest.approx(abs(factor - 1) / (abs(factor) + 1), rel=1e-3)
    assert report.evaluations < 3500


def test_what_every_element_passes_the_norm_may_not() -> None:
    slightly = pc.custom_gradient(lambda g, y, x: g * (1 + 4e-6))(lambda x: 1.0 * x)
    report = check_gradients(lambda x: pc.sum(np.sin(slightly(x))), np.linspace(0.1, 1, 9))
    assert report.max_relative_error < 1e-5
    assert report.parameters["x"].norm_ratio == pytest.approx(2e-6, rel=1e-3)
    assert not report.ok and "ratio of norms" in str(report)
    assert check_gradients(
        lambda x: pc.sum(np.sin(slightly(x))), np.linspace(0.1, 1, 9), tolerance=1e-3
    ).ok


def test_the_form_that_trains_is_checked_too(monkeypatch: Any) -> None:
    model = network("mse", [(3, "tanh")])
    X, y = samples("mse", 4, 2, 0)
    target = of_model(model, X, y, None)
    trained = target.problem.trained
    assert trained is not None
    target.problem.trained = lambda: 1.001 * trained()
    monkeypatch.setattr("pellucid.check.gradients.of_model", lambda *_: target)
    report = check_gradients(model, X, y)
    assert not report.ok and all(p.ok for p in report.parameters.values())
    assert report.form_error == pytest.approx(0.0005, rel=1e-2)


# -- gradients of one's own ----------------------------------------------------------------------


def test_given_gradients_are_checked_instead() -> None:
    def f(x: float) -> float:
        return math.exp(x) * x  # no graph can be made of it

    assert passes(check_gradients(f, 1.5, gradients=lambda x: math.exp(x) * (x + 1)))
    assert passes(check_gradients(f, 1.5, gradients=math.exp(1.5) * 2.5))
    report = check_gradients(f, 1.5, gradients={"x": 8.0})
    assert report.parameters["x"].worst.analytic == 8.0 and not report.ok


def test_given_gradients_of_a_model() -> None:
    model = network("mse", [(3, "tanh")], dtype="float64")
    X, y = samples("mse", 4, 2, 0)
    model.predict(X)
    right = model.gradients(X, y)
    assert passes(check_gradients(model, X, y, gradients=right))
    assert passes(check_gradients(model, X, y, gradients={f"d{k}": v for k, v in right.items()}))
    right["b1"] = right["b1"].copy()
    right["b1"][2] *= -1
    report = check_gradients(model, X, y, gradients=right)
    assert [w.index for w in report.parameters["b1"].wrong] == [(2,)]

    def found(params: Any, X: Any, y: Any) -> Any:
        twin = model.copy()
        twin.params = params
        return twin.gradients(X, y)

    assert passes(check_gradients(model, X, y, gradients=found))


def test_given_gradients_at_a_kink_must_be_slopes_of_it() -> None:
    def opaque(x: float) -> float:
        return math.fabs(x) / 2 + x / 2  # no graph can be made of it

    for slope, ok in [(0.0, True), (1.0, True), (0.3, True), (1.5, False), (-0.2, False)]:
        for f in (pc.relu, opaque):
            report = check_gradients(f, 0.0, gradients=slope)
            assert report.ok is ok, report


def test_the_slopes_of_a_kink_are_those_next_to_it() -> None:
    """There is another one a little further."""
    report = check_gradients(lambda x: np.abs(x) + 4 * np.abs(x - 1e-5), 0.0)
    (kink,) = report.kinks
    assert (kink.left, kink.right) == (pytest.approx(-5), pytest.approx(-3))


class Product:
    """A gate as learners write them."""

    def __init__(self, factor: float = 1.0) -> None:
        self.factor = factor

    def forward(self, x: Any, y: Any) -> Any:
        self.x, self.y = x, y
        return x * y

    def backward(self, g: Any) -> Any:
        return g * self.y, g * self.x * self.factor


class Rectifier:
    def __init__(self, wrong: Any = None) -> None:
        self.wrong = wrong

    def forward(self, x: Any) -> Any:
        self.x = x
        return np.maximum(x, 0)

    def backward(self, g: Any) -> Any:
        return g * (self.x > 0) if self.wrong is None else g * self.wrong


def test_gates() -> None:
    assert passes(check_gradients(Product(), 3.0, -4.0))
    assert passes(check_gradients(Product(), np.ones((2, 3)), np.arange(6.0).reshape(2, 3)))
    report = check_gradients(Product(-1.0), np.ones((2, 3)), np.arange(6.0).reshape(2, 3))
    assert report.parameters["x"].ok and report.parameters["y"].verdict == "wrong"
    assert passes(check_gradients(pc.Gate("power"), 2.0, 3.0))
    assert not check_gradients(Rectifier(wrong=1.0), np.array([1.0, -2.0])).ok
    gate = Product()
    gate.forward(1.0, 2.0)
    check_gradients(gate, 5.0, 6.0)
    assert (gate.x, gate.y) == (1.0, 2.0), "it was not touched"


def test_a_gate_that_forgets_what_comes_from_above_is_wrong() -> None:
    class Forgetful(Product):
        def backward(self, g: Any) -> Any:
            return self.y, self.x

    assert not check_gradients(Forgetful(), 3.0, -4.0).ok


# -- kinks and rounding --------------------------------------------------------------------------

CORNERS = {
    "relu": (pc.relu, [0.0, 1.0, -1.0], {0}),
    "abs": (np.abs, [0.0, 1.0, -1.0], {0}),
    "near": (np.abs, [1e-12, 1.0, -1.0], {0}),
    "leaky": (pc.leaky_relu, [0.0, 0.5], {0}),
    "max ties": (np.max, [1.0, 1.0, 0.5], {0, 1}),
    "min ties": (np.min, [1.0, 2.0, 1.0], {0, 2}),
    "maximum": (lambda x: np.maximum(x, 0.25), [0.25, 1.0], {0}),
    "where": (lambda x: pc.where(x > 0.5, 2 * x, x + 0.5), [0.5, 0.25], {0}),
    "clip": (lambda x: np.clip(x, -1, 1), [1.0, 0.0, -1.0], {0, 2}),
    "cancel": (lambda x: pc.relu(x) - pc.relu(-x), [0.0, 1.0], {0}),
}


@pytest.mark.parametrize("case", CORNERS)
@pytest.mark.parametrize("elements", [None, 0])
def test_kinks_are_said_and_not_failed(case: str, elements: int | None) -> None:
    f, x, where = CORNERS[case]
    report = check_gradients(lambda x: np.sum(f(x)) + np.sum(x), np.array(x), elements=elements)
    found = report.parameters["x"]
    assert report.ok and report.verdict == found.verdict == "kink"
    assert {k.index[0] for k in found.kinks} == where
    assert report.kinks == found.kinks
    if case not in ("cancel",):
        assert all(abs(k.left - k.right) > 0.1 for k in found.kinks)
    assert "lies on a kink" in str(report)


def test_a_corner_that_no_switch_tells_is_guessed() -> None:
    for x in (0.0, 1e-12):
        report = check_gradients(Rectifier(), np.array([x, 1.0, -1.0]))
        assert report.ok and [k.index for k in report.kinks] == [(0,)]
    assert not check_gradients(Rectifier(wrong=7.0), np.array([0.0])).ok


def test_pieces_that_join_smoothly_are_no_kink() -> None:
    report = check_gradients(lambda x: np.sum(pc.elu(x) ** 1), np.array([0.0, 1.0]))
    assert passes(report) and not report.kinks


def test_a_kink_hides_no_error() -> None:
    """What lies on a kink is checked beside it."""
    bad = pc.custom_gradient(lambda g, y, x: 1.5 * g * (x > 0))(lambda x: np.maximum(x, 0.0))
    report = check_gradients(lambda x: np.sum(bad(x)), np.zeros(6))
    assert not report.ok and report.parameters["x"].verdict == "wrong"


@pytest.mark.parametrize("index", [237, 101, 399])
def test_directions_across_kinks_are_taken_beside_them(index: int) -> None:
    bad = planted((400,), index, 1.5)
    report = check_gradients(lambda x: np.sum(np.abs(bad(x))), np.zeros(400), elements=0)
    assert [w.index for w in report.parameters["x"].wrong] == [(index,)]


@pytest.mark.parametrize("elements", [None, 0])
def test_a_network_of_zeros_lies_on_kinks_all_over(elements: int | None) -> None:
    layers = [pc.Dense(9, "relu", init="zeros", inputs=4), pc.Dense(1)]
    model = pc.Sequential(layers, loss="mse")
    X, y = samples("mse", 5, 4, 1)
    report = check_gradients(model, X, y, elements=elements)
    assert report.ok and report.kinks
    assert report.parameters["b2"].verdict == "ok"


def test_rounding_is_said_and_not_failed() -> None:
    def f(x: Any) -> Any:
        return np.sum(np.sin(x) * 1e-9) + 1e8  # the slopes vanish beside the sum

    report = check_gradients(f, np.array([0.3, 0.7]))
    found = report.parameters["x"]
    assert report.ok and found.verdict == "round-off" and found.rounded == 2
    assert "rounding hides" in str(report)


def test_rounding_inside_of_the_function_is_measured() -> None:
    """Single precision inside: its steps are 1e-7, of which eps · |f| knows nothing."""

    def f(x: Any) -> Any:
        return np.sum(pc.astype(pc.astype(np.sin(x), np.float32), np.float64) ** 2)

    assert check_gradients(f, np.linspace(0.1, 2, 7)).ok
    assert check_gradients(lambda x: np.sum((x + 1e9) - 1e9 + x**2), np.linspace(0.1, 2, 7)).ok


def test_the_edge_of_a_domain_is_a_kink() -> None:
    report = check_gradients(lambda x: np.sum(np.sqrt(x)), np.array([0.0, 1.0]))
    assert report.ok and [k.index for k in report.kinks] == [(0,)]


# -- the report ----------------------------------------------------------------------------------


def reports() -> list[GradientReport]:
    f, p, X, y = big(planted((784, 128), (17, 3), 2.0))
    long = {"a_parameter_with_a_very_long_name_indeed_" * 2: np.array([0.0, 1.0])}
    rng = np.random.default_rng(0)
    return [
        check_gradients(f, p, X, y, wrt="p"),
        check_gradients(lambda p: sum(np.sum(np.abs(v)) for v in p.values()), long),
        check_gradients(lambda x: np.sum(np.sqrt(x)), np.array([0.0, 1.0])),
        check_gradients(network("cce", [(3, "relu")]), *samples("cce", 4, 2, 0), order=2),
        check_gradients(
            planted_everywhere, rng.normal(size=(3, 3, 4)), gradients=rng.normal(size=(3, 3, 4))
        ),
    ]


def planted_everywhere(tensor: Any) -> Any:
    return np.sum(tensor**2)


def test_reports_are_tables_80_wide_and_json() -> None:
    for report in reports():
        lines = str(report).splitlines()
        assert all(len(line) <= 80 for line in lines), max(lines, key=len)
        back = json.loads(json.dumps(report.to_json(), allow_nan=False))
        assert report.parameters.keys() == back["parameters"].keys()
        assert back["ok"] is report.ok and back["verdict"] == report.verdict
        for name, found in report.parameters.items():
            assert back["parameters"][name]["verdict"] == found.verdict
            assert back["parameters"][name]["shape"] == list(found.shape)
            assert len(back["parameters"][name]["kinks"]) == len(found.kinks)
            if found.worst is not None:
                assert back["parameters"][name]["worst"]["index"] == list(found.worst.index)


def test_the_same_seed_gives_the_same_report() -> None:
    f, p, X, y = big(lambda w: w)
    one, other = (check_gradients(f, p, X, y, wrt="p", seed=4) for _ in range(2))
    assert one.to_json() == other.to_json()


# -- what cannot be meant ------------------------------------------------------------------------


def model_and_data() -> Any:
    return network("mse", [(3, "tanh")]), *samples("mse", 4, 2, 0)


REFUSED: dict[str, tuple[Any, type[Exception], str]] = {
    "no loss": (
        lambda: check_gradients(pc.Sequential([pc.Dense(1)]), np.ones((2, 2)), np.ones((2, 1))),
        pc.ArgumentError, "no loss",
    ),
    "no y": (
        lambda: check_gradients(model_and_data()[0], np.ones((2, 2))),
        pc.ArgumentError, "X and y",
    ),
    "vector": (
        lambda: check_gradients(lambda x: x * 2, np.ones(3)), pc.ShapeError, "single number",
    ),
    "integers": (
        lambda: check_gradients(lambda x: pc.sum(x), np.arange(3)), pc.DtypeError, "real numbers",
    ),
    "nan": (
        lambda: check_gradients(lambda x: pc.sum(x), np.array([1.0, np.nan])),
        pc.DataError, r"x\[1\] is nan",
    ),
    "nan loss": (lambda: check_gradients(pc.log, -1.0), pc.DataError, "is nan here"),
    "nan data": (
        lambda: check_gradients(model_and_data()[0], np.full((4, 2), np.nan), np.ones((4, 1))),
        pc.DataError, "NaN",
    ),
    "unknown": (lambda: check_gradients(*model_and_data(), wrt="W3"), pc.ArgumentError, "W3"),
    "unknown argument": (lambda: check_gradients(pc.exp, 1.0, wrt=3), pc.ArgumentError, "wrt is 3"),
    "nothing": (lambda: check_gradients(*model_and_data(), wrt=[]), pc.ArgumentError, "nothing"),
    "tolerance": (lambda: check_gradients(pc.exp, 1.0, tolerance=0), pc.ArgumentError, "tolerance"),
    "negative": (
        lambda: check_gradients(pc.exp, 1.0, tolerance=-1e-5), pc.ArgumentError, "tolerance",
    ),
    "text": (lambda: check_gradients(pc.exp, 1.0, tolerance="1"), pc.ArgumentError, "tolerance"),
    "order": (lambda: check_gradients(pc.exp, 1.0, order=3), pc.ArgumentError, "order"),
    "elements": (lambda: check_gradients(pc.exp, 1.0, elements=-1), pc.ArgumentError, "elements"),
    "no arguments": (lambda: check_gradients(pc.exp), pc.ArgumentError, "arguments"),
    "no inputs": (lambda: check_gradients(Product()), pc.ArgumentError, "inputs"),
    "no target": (lambda: check_gradients(3.0, 1.0), pc.DtypeError, "no gradient"),
    "strings": (lambda: check_gradients(pc.exp, "a"), pc.DtypeError, "real numbers"),
    "second, given": (
        lambda: check_gradients(pc.exp, 1.0, gradients=1.0, order=2), pc.ArgumentError, "given",
    ),
    "second, gate": (
        lambda: check_gradients(Product(), 1.0, 2.0, order=2), pc.ArgumentError, "graph",
    ),
    "shape": (
        lambda: check_gradients(lambda w: pc.sum(w), np.ones((2, 3)), gradients=np.ones((3, 2))),
        pc.ShapeError, "transpose",
    ),
    "missing": (
        lambda: check_gradients(*model_and_data(), gradients={"W1": np.ones((2, 3))}),
        pc.ArgumentError, "b1",
    ),
    "random": (
        lambda: check_gradients(lambda x: x * float(np.random.default_rng().random()), 1.0),
        pc.ArgumentError, "same arguments",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_meant_is_refused(case: str) -> None:
    call, error, words = REFUSED[case]
    with pytest.raises(error, match=words):
        call()
