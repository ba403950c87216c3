"""Walkthroughs: what they say is what was computed, in symbols, in numbers and in text."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import LOSSES, samples

import pellucid as pc
from pellucid import text
from pellucid.explaining.numbers import evaluate, shown
from pellucid.explaining.walkthrough import PHASES

OPTIMIZERS = {
    "sgd": pc.SGD(0.1),
    "momentum": pc.SGD(0.1, momentum=0.9),
    "dampened": pc.SGD(0.1, momentum=0.9, dampening=0.3),
    "nesterov": pc.SGD(0.1, momentum=0.9, nesterov=True),
    "adam": pc.Adam(0.01),
}


def network(
    loss: str,
    hidden: list[tuple[int, str]],
    inputs: int = 2,
    dtype: str = "float64",
    **settings: Any,
) -> pc.Sequential:
    last, units = LOSSES[loss]
    layers = [pc.Dense(n, act, bias_init=0.1) for n, act in hidden]
    layers[:1] = [pc.Dense(hidden[0][0], hidden[0][1], inputs=inputs)] if hidden else []
    final = pc.Dense(units, last) if hidden else pc.Dense(units, last, inputs=inputs)
    return pc.Sequential([*layers, final], loss=loss, dtype=dtype, **settings)


def value_of(formula: str, names: dict[str, Any]) -> Any:
    """Return what a formula in symbols gives for these arrays."""
    literals = {
        k: ast.parse(repr(np.asarray(v).tolist()), mode="eval").body for k, v in names.items()
    }
    return evaluate(ast.unparse(text.fill(ast.parse(formula, mode="eval").body, literals)))


def environment(w: pc.Walkthrough) -> dict[str, Any]:
    return {**w.given, **{step.name: step.array for step in w.steps}}


def unit(result: str) -> float:
    """Return the unit of the last digit that a result shows."""
    units = []
    for word in re.findall(r"-?\d+\.?\d*(?:e-?\d+)?", result):
        mantissa, _, power = word.partition("e")
        units.append(10.0 ** (int(power or 0) - len(mantissa.partition(".")[2])))
    return max(units, default=0.0)


def rounds_to(seen: Any, result: str) -> bool:
    """Say whether every number, rounded as the result shows it, is what the result shows."""
    words = re.findall(r"-?\d+\.?\d*(?:e-?\d+)?", result)
    pairs = zip(words, np.ravel(seen), strict=False)
    return len(words) == np.size(seen) and all(
        abs(float(word) - x) <= 0.5 * unit(word) * (1 + 1e-6) for word, x in pairs
    )


def check_true(w: pc.Walkthrough) -> None:
    """Every formula gives its result: in numbers as they are shown, and in symbols exactly."""
    names = environment(w)
    for step in w.steps:
        said, seen = evaluate(step.result), evaluate(step.numbers)
        close = np.allclose(seen, said, rtol=1e-9, atol=1.01 * unit(step.result), equal_nan=True)
        told = "hides" in step.note or "magnified" in step.note
        assert close or told, (step.name, step.numbers, step.result)
        if not step.note:
            seen = np.broadcast_to(seen, np.shape(said))
            again = shown(seen, 4, 1e-7).text
            close = np.allclose(evaluate(again), said, rtol=1e-8, atol=1e-12, equal_nan=True)
            close = close or rounds_to(seen, step.result)  # 0.009995, shown as 0.0100
            assert close or "hides" in step.note, (step.name, step.numbers, step.result, again)
        if step.phase != "rewrite":
            check_formula(step, step.formula, {k: names[k] for k in step.inputs}, step.array)
        for term in step.terms:
            check_formula(step, term.formula, names, term.product)
        if step.terms:
            total = sum(term.product for term in step.terms)
            np.testing.assert_allclose(total, step.array, rtol=1e-12, atol=1e-15)


def check_formula(step: Any, formula: str, names: dict[str, Any], whole: Any) -> None:
    exact = value_of(formula, names)
    if "hides" in step.note:
        exact = np.where(np.isnan(exact), 0, exact)
    exact = np.broadcast_to(exact, np.shape(whole))
    np.testing.assert_allclose(exact, whole, rtol=1e-9, atol=1e-12, err_msg=step.name + formula)


def check_contract(w: pc.Walkthrough) -> None:
    """Every step has what it must have, in an order in which nothing is read before it is there."""
    known = set(w.given)
    data = w.to_json()
    assert [s["name"] for s in data["steps"]] == [s.name for s in w.steps]
    for step, written in zip(w.steps, data["steps"], strict=True):
        for field in ("name", "phase", "says", "formula", "latex", "numbers", "value", "op"):
            assert written[field] == step[field] == getattr(step, field)
        assert step.phase in PHASES and step.says and step.formula and step.latex and step.numbers
        assert list(np.shape(step.value)) == written["shape"]
        assert set(step.inputs) <= known | {s.name for s in w.steps}
        if step.phase != "rewrite":
            assert set(step.inputs) <= known, step.name
        known.add(step.name)
        for term in written["terms"]:
            assert {"path", "local", "upstream", "product"} <= set(term)
    phases = [PHASES.index(s.phase) for s in w.steps]
    assert phases == sorted(phases)
    assert len({s.name for s in w.steps}) == len(w.steps)


def check_text(w: pc.Walkthrough) -> None:
    for brief in (False, True):
        lines = w.to_text(brief=brief).split("\n")
        assert max(map(len, lines)) <= 80
        assert not any(line != line.rstrip() for line in lines)
    again = pc.Walkthrough.from_json(json.loads(json.dumps(w.to_json())))
    assert again.to_json() == w.to_json() and str(again) == str(w)


@pytest.mark.parametrize("notation", ["rows", "columns"])
@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("loss", LOSSES)
def test_what_a_walkthrough_says_is_true(loss: str, fused: bool, notation: str) -> None:
    model = network(loss, [(3, "tanh")], optimizer="adam")
    for n in (1, 3, 40):
        X, y = samples(loss, n)
        w = model.explain(X, y, notation=notation, fused=fused, sample=n - 1)
        check_contract(w)
        check_true(w)
        check_text(w)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(sorted(LOSSES)),
    st.lists(
        st.tuples(st.integers(1, 6), st.sampled_from(
            ["relu", "sigmoid", "tanh", "leaky_relu", "elu", "selu", "swish", "gelu", "softplus"])),
        min_size=0, max_size=3,
    ),
    st.sampled_from(sorted(OPTIMIZERS)), st.integers(1, 12), st.integers(1, 5),
    st.sampled_from(["float32", "float64"]), st.integers(0, 10_000), st.booleans(),
)  # fmt: skip
def test_random_networks(
    loss: str, hidden: Any, optimizer: str, n: int, inputs: int, dtype: str, seed: int, fused: bool
) -> None:
    model = network(loss, hidden, inputs, dtype, optimizer=OPTIMIZERS[optimizer], seed=seed)
    X, y = samples(loss, n, inputs, seed)
    if seed % 2:
        model.fit(X, y, epochs=3, verbose=0, backend="numpy")
    w = model.explain(X, y, fused=fused, sample=seed % n)
    check_contract(w)
    check_true(w)
    check_text(w)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("loss", ["mse", "bce", "cce"])
def test_the_numbers_are_those_of_training(loss: str, optimizer: str) -> None:
    model = network(loss, [(4, "relu"), (3, "sigmoid")], optimizer=OPTIMIZERS[optimizer])
    X, y = samples(loss, 7)
    model.fit(X, y, epochs=2, verbose=0, backend="numpy")
    before = {k: v.copy() for k, v in model.params.items()}
    w = model.explain(X, y)
    for name, array in model.params.items():
        np.testing.assert_array_equal(array, before[name])
    for name, array in model.gradients(X, y).items():
        np.testing.assert_allclose(w[f"d_{name}"].array, array, rtol=1e-12, atol=1e-15)
    for name, array in model.activations(X).items():
        np.testing.assert_allclose(w[name].array, array, rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(w["loss"].array, model.loss(X, y), rtol=1e-13)
    model.step(X, y)
    for name, array in model.params.items():
        np.testing.assert_allclose(w[f"{name}_new"].array, array, rtol=1e-12, atol=1e-14)


def test_penalties_shared_and_other_layers() -> None:
    rng = np.random.default_rng(0)
    shared = pc.Shared(pc.Dense(3, "tanh", l2=0.1), "s")
    layers = [pc.Flatten(), pc.Dense(3, "relu", l1=0.01), pc.Dropout(0.5), shared, shared,
              pc.Activation("tanh"), pc.Dense(1)]  # fmt: skip
    model = pc.Sequential(layers, loss="mse", dtype="float64")
    X, y = rng.normal(size=(3, 2, 2)), rng.normal(size=(3, 1))
    w = model.explain(X, y)
    check_contract(w)
    check_true(w)
    found = model.gradients(X, y)
    for name, array in found.items():
        np.testing.assert_allclose(w[f"d_{name}"].array, array, rtol=1e-12)
    assert len(w["d_W2"].terms) == 3  # two places, and the penalty


# -- nodes and functions -------------------------------------------------------------------------

FUNCTIONS = {
    "gates": (lambda x, y, z: (x + y) * z, (2.0, 3.0, 4.0)),
    "sigmoid": (lambda x, y, z: pc.sigmoid(x * y + z), (2.0, -3.0, 1.0)),
    "paths": (lambda x: (x + 1) * (2 * x), (3.0,)),
    "shared": (lambda a, b, c: (a + b) * (b + c), (1.0, 2.0, 3.0)),
    "arrays": (lambda w: np.sum(np.tanh(w) ** 2), (np.array([0.5, -1.0, 2.0]),)),
    "products": (
        lambda X, W: np.mean((X @ W) ** 2), (np.ones((2, 3)), np.arange(12.0).reshape(3, 4)),
    ),
    "softmax": (
        lambda x: np.sum(pc.softmax(x) * np.array([1.0, 2.0, 3.0])), (np.array([2.0, 1.0, 0.1]),),
    ),
    "views": (lambda x: np.sum(x.T[1:] * 2) + x.max(), (np.arange(6.0).reshape(2, 3),)),
    "large": (lambda x: np.mean(np.exp(-np.square(x))), (np.linspace(-2, 2, 500),)),
    "choice": (lambda x: np.sum(np.where(x > 0, np.log(x), 0)), (np.array([1.0, 0.0, 2.0]),)),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions(name: str) -> None:
    function, args = FUNCTIONS[name]
    w = pc.explain(function, *args)
    check_contract(w)
    check_true(w)
    check_text(w)
    slopes = pc.grad(function, argnums=range(len(args)))(*args)
    for leaf, slope in zip(w.given, slopes, strict=True):
        np.testing.assert_allclose(w[f"d_{leaf}"].array, slope, rtol=1e-12)


def test_gates_step_by_step() -> None:
    x, y, z = pc.value(2.0, "x"), pc.value(3.0, "y"), pc.value(4.0, "z")
    q = pc.named(x + y, "q")
    w = pc.explain(q * z)
    assert [s.name for s in w.steps] == ["q", "f", "d_f", "d_z", "d_q", "d_x", "d_y"]
    assert [w[k].value for k in ("q", "f", "d_q", "d_z", "d_x", "d_y")] == [5, 20, 4, 5, 4, 4]
    assert w["d_q"].formula == "d_f * z" and w["f"].numbers == "5 * 4"


def test_paths_add_up() -> None:
    w = pc.explain(lambda x: (x + 1) * (2 * x), 3.0)
    assert w["f"].value == 24 and w["d_x"].value == 14
    assert [t["product"] for t in w["d_x"].terms] == [6, 8]
    assert [(t["local"], t["upstream"]) for t in w["d_x"].terms] == [(1, 6), (2, 4)]


def test_a_node_of_several_numbers_is_explained_forwards() -> None:
    w = pc.explain(lambda x: x * 2, np.ones(3))
    assert [s.phase for s in w.steps] == ["forward"] and "no way back" in " ".join(w.notes)


# -- numbers for reading -------------------------------------------------------------------------


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.floats(allow_nan=True, allow_infinity=True), min_size=1, max_size=5),
    st.integers(1, 8),
)
def test_rounded_numbers_are_the_rounding_of_the_true_ones(
    numbers: list[float], digits: int
) -> None:
    found = shown(numbers, digits)
    said = evaluate(found.text)
    np.testing.assert_array_equal(said, found.array)
    finite = np.isfinite(numbers)
    np.testing.assert_array_equal(np.asarray(numbers)[~finite], said[~finite])
    off = np.abs(np.asarray(numbers)[finite] - said[finite])
    top = np.abs(np.asarray(numbers)[finite]).max(initial=0)
    assert (off <= 0.501 * found.unit + 1e-14 * top).all()


def test_exact_numbers_are_short_and_rounded_ones_look_it() -> None:
    assert shown(0.1 + 0.2).text == "0.3"
    assert shown([2 / 3, 0.5, 0.0]).text == "[0.6667, 0.5000, 0]"
    assert shown(-1e-9).text == "-1.000e-09" and shown([1.0, -1e-9]).text == "[1.0000, 0.0000]"
    assert shown([float("nan"), float("inf")]).text == "[nan, inf]"
    assert shown(1e300).text == "1.000e+300" and shown(123456.0).text == "123456"


# -- bad input -----------------------------------------------------------------------------------


def test_bad_input_is_answered() -> None:
    model = network("mse", [(2, "tanh")])
    X, y = samples("mse", 3)
    for bad, word in (
        ({"notation": "cols"}, "columns"), ({"sample": 3}, "0 to 2"), ({"sample": -1}, "0 to 2"),
        ({"digits": 0}, "decimals"), ({"sample": True}, "0 to 2"),
    ):  # fmt: skip
        with pytest.raises(pc.ArgumentError, match=word):
            model.explain(X, y, **bad)
    with pytest.raises(pc.ArgumentError, match="did you mean"):
        model.explain(X, y)["dW1"]
    with pytest.raises(pc.TraceError, match="no data"):
        pc.explain(model._blueprint().X)
    with pytest.raises(pc.DtypeError):
        pc.explain(3.0)
    with pytest.raises(pc.DataError):
        pc.Walkthrough.from_json({"steps": []})


def test_nan_is_shown() -> None:
    w = pc.explain(lambda x: np.log(x) * 0, -1.0)
    assert w["v1"].result == "nan" and np.isnan(w["f"].value)


def test_explaining_leaves_an_unbuilt_model_alone_where_it_is_refused() -> None:
    model = pc.Sequential([pc.Dense(1)], loss="mse")
    with pytest.raises(pc.ArgumentError):
        model.explain([[1.0]], [[1.0]], notation="x")
    assert model._net is None


# -- why a number moved --------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_paths_sum_to_the_gradient_on_random_graphs(seed: int) -> None:
    """Shared values, several readers, sums and products: the paths add up to the slope."""
    rng = np.random.default_rng(seed)

    def function(x: Any, w: Any) -> Any:
        pool = [x, w, pc.tanh(x @ w), pc.sigmoid(x) * 2]
        for _ in range(rng.integers(1, 6)):
            a, b = (pool[k] for k in rng.integers(0, len(pool), 2))
            pick = rng.integers(0, 4)
            pool.append([a * b, a @ b, pc.tanh(a - b), pc.relu(a) + b.T][pick])
        return np.sum(pool[-1] * pool[-2])

    state = rng.bit_generator.state
    args = rng.normal(size=(2, 2)), rng.normal(size=(2, 2))
    rng.bit_generator.state = state
    slopes = pc.grad(lambda x, w: (setattr(rng.bit_generator, "state", state), function(x, w))[1],
                     argnums=(0, 1))(*args)  # fmt: skip
    rng.bit_generator.state = state
    node = function(x := pc.value(args[0], "x"), w := pc.value(args[1], "w"))
    assert x is not w
    for name, slope in zip("xw", slopes, strict=True):
        for spot in np.ndindex(2, 2):
            try:
                found = pc.why(node, f"{name}[{spot[0]},{spot[1]}]", paths=100_000)
            except pc.ArgumentError:  # it is not part of this graph
                assert not slope.any()
                continue
            total = sum(route.product for route in found.paths)
            np.testing.assert_allclose(total, slope[spot], rtol=1e-12, atol=1e-13)
            assert found.remainder == 0 and found.count == len(found.paths)
            few = pc.why(node, f"{name}[{spot[0]},{spot[1]}]", paths=2)
            assert few.count == found.count
            rest = sum(route.product for route in few.paths) + few.remainder
            np.testing.assert_allclose(rest, slope[spot], rtol=1e-12, atol=1e-13)
            sizes = sorted((abs(r.product) for r in found.paths), reverse=True)
            np.testing.assert_allclose([abs(r.product) for r in few.paths], sizes[:2], rtol=1e-12)


def test_why_a_weight_moved() -> None:
    model = network("bce", [(4, "relu")], optimizer="adam")
    X, y = samples("bce", 5)
    slopes = model.gradients(X, y)
    for name in model.params:
        for spot in np.ndindex(model.params[name].shape):
            told = f"{name}[{', '.join(map(str, spot))}]"
            found = pc.why(model, X, y, told)
            assert found.name == told
            np.testing.assert_allclose(found.gradient, slopes[name][spot], rtol=1e-12, atol=1e-15)
            total = sum(r.product for r in found.paths) + found.remainder
            np.testing.assert_allclose(total, slopes[name][spot], rtol=1e-12, atol=1e-15)
            for route in found.paths:
                np.testing.assert_allclose(np.prod(route.factors), route.product, rtol=1e-12)
            assert max(map(len, str(found).split("\n"))) <= 80
    found = pc.why(model, X, y, "W1[-1,-1]")
    assert found.name == "W1[1, 3]" and json.dumps(found.to_json())
    model.step(X, y)
    assert found.after == pytest.approx(model.params["W1"][1, 3], rel=1e-12)


@pytest.mark.parametrize("spot", ["W1", "W1[0]", "W1[0,9]", "W9[0]", "W1[x]", "", 3, "X[0,0]"])
def test_why_asks_for_a_number_that_exists(spot: Any) -> None:
    model = network("bce", [(4, "relu")])
    with pytest.raises(pc.ArgumentError):
        pc.why(model, *samples("bce", 5), spot)


# -- what once went wrong ------------------------------------------------------------------------


@dataclass(frozen=True)
class Formula(pc.Layer):
    """A layer of one formula with one matrix, or with several parameters by name."""

    formula: Any
    keys: tuple[str, ...] = ("W",)

    def parameters(self, shape: Any) -> Any:
        return {key: pc.Parameter((shape[0], shape[0]), pc.Normal(0.5)) for key in self.keys}

    def __call__(self, x: Any, p: Any) -> Any:
        return self.formula(x, p)


LAYERS = {
    "two ops": lambda x, p: np.tanh(x @ p["W"]),
    "batch statistics": lambda x, p: (x - np.mean(x, axis=0)) @ p["W"],
    "normalized": lambda x, p: (x - np.mean(x, axis=1, keepdims=True)) / (1 + np.std(x @ p["W"])),
    "residual": lambda x, p: x + np.tanh(x @ p["W"]),
    "label loss": lambda x, p: pc.named(x @ p["W"], "loss"),
    "label error": lambda x, p: pc.named(x @ p["W"], "error") * 2,
    "label X": lambda x, p: pc.named(x @ p["W"], "X"),
    "label t": lambda x, p: pc.named(x @ p["W"], "t"),
    "label d_z": lambda x, p: pc.named(pc.named(x @ p["W"], "z"), "d_z") * 2,
    "label n": lambda x, p: pc.named(x @ p["W"], "learning_rate"),
    "flat": lambda x, p: np.sign(x @ p["W"]) * (x @ p["W"]),
    "choice": lambda x, p: np.where(x @ p["W"] > 0, x, 2 * (x @ p["W"])),
    "attention": lambda x, p: pc.softmax(x @ p["W"] @ x.T, axis=1) @ x,
    "slices": lambda x, p: (x @ p["W"])[:, :1] * x,
    "einsum": lambda x, p: np.einsum("ni,ij->nj", x, p["W"]),
}  # fmt: skip


@pytest.mark.parametrize("name", LAYERS)
def test_layers_of_ones_own(name: str) -> None:
    layer = Formula(LAYERS[name])
    model = pc.Sequential([layer, pc.Dense(1)], loss="mse", dtype="float64", seed=1)
    for n in (1, 3, 9):
        X, y = samples("mse", n, 3)
        w = model.explain(X, y, sample=n - 1)
        check_contract(w)
        check_true(w)
        for key, array in model.gradients(X, y).items():
            np.testing.assert_allclose(w[f"d_{key}"].array, array, rtol=1e-11, atol=1e-14)
            found = pc.why(model, X, y, f"{key}[{', '.join('0' * array.ndim)}]", paths=10_000)
            total = sum(r.product for r in found.paths) + found.remainder
            np.testing.assert_allclose(total, array.flat[0], rtol=1e-10, atol=1e-13)
        try:
            turned = model.explain(X, y, notation="columns", sample=n - 1)
        except pc.ArgumentError as error:
            assert "columns" in str(error)
        else:
            check_true(turned)


def test_names_of_parameters_and_states_do_not_meet() -> None:
    layer = Formula(lambda x, p: np.tanh(x @ p["W"]) @ p["m_W"] + x @ p["a_W"], ("W", "m_W", "a_W"))
    model = pc.Sequential([layer, pc.Dense(1)], loss="mse", dtype="float64")
    X, y = samples("mse", 2, 3)
    w = model.explain(X, y)
    check_contract(w)
    check_true(w)
    found = pc.why(model, X, y, "W1[0,0]")
    model.step(X, y)
    assert found.after == pytest.approx(model.params["W1"][0, 0], rel=1e-12)


def test_an_optimizer_that_changes_nothing() -> None:
    @dataclass(frozen=True)
    class Still(pc.Optimizer):
        learning_rate: float = 0.1

        def update(self, p: Any, g: Any, state: Any, t: Any, learning_rate: Any) -> Any:
            return p, {}

    model = pc.Sequential([pc.Dense(1, inputs=1)], loss="mse", optimizer=Still(), dtype="float64")
    w = model.explain([[1.0]], [[2.0]])
    check_contract(w)
    check_true(w)
    assert w["z1"].formula == "X @ W1 + b1" and w["W1_new"].formula == "W1"


@pytest.mark.parametrize(
    ("function", "args"),
    [
        (lambda x: np.floor(x) * x, (1.5,)),
        (lambda x: np.sum(np.sign(x) * x), (np.array([1.0, 2.0]),)),
        (lambda x: np.einsum("ii->", x), (np.eye(2),)),
        (lambda x: pc.named(x * 2, "d_x") * x, (1.5,)),
        (lambda d_x, x: d_x * x, (3.0, 2.0)),
        (lambda exp, where: np.exp(exp) * where, (0.5, 2.0)),
        (lambda n, sum: n * sum, (3.0, 2.0)),
        (lambda x: pc.sigmoid(pc.named(2 * x - 1, "v")), (1.0,)),
        (pc.grad(pc.grad(lambda x: np.sin(x) * x)), (2.0,)),
        (lambda x: np.std(x), (np.ones(3),)),
        (lambda x: 1 / x, (0.0,)),
        (lambda x: np.sum(np.sort(x, axis=0)[:1]), (np.array([[3.0], [1.0]]),)),
        (lambda a, b: a - b, (0.91768, -755045.55057)),
        (lambda a, b: np.where(a > b, a, b * 2), (1 / 3, 1 / 3 - 1e-9)),
        (lambda x: sum(x[i] * float(i) for i in range(len(x))), (np.ones(80),)),
    ],
)
def test_functions_that_were_explained_wrongly(function: Any, args: Any) -> None:
    w = pc.explain(function, *args)
    check_contract(w)
    check_true(w)
    check_text(w)


def test_a_long_activation_is_cut_into_steps() -> None:
    def act(x: Any) -> Any:
        for _ in range(14):
            x = x * x * 0.5 + x
        return x

    model = pc.Sequential([pc.Dense(2, act, inputs=2), pc.Dense(1)], loss="mse", dtype="float64")
    w = model.explain([[0.1, 0.2]], [[1.0]])
    check_contract(w)
    check_true(w)
    assert max(len(step.formula) for step in w.steps) < 400

    def sines(x: Any) -> Any:
        for _ in range(300):
            x = np.sin(x)
        return x

    model = pc.Sequential([pc.Dense(1, sines, inputs=1)], loss="mse", dtype="float64")
    check_true(model.explain([[0.1]], [[1.0]]))


def test_columns_say_which_part_is_shown_as_they_are_turned() -> None:
    model = network("mse", [(3, "tanh")])
    X, y = samples("mse", 40)
    assert model.explain(X, y, sample=39, notation="columns")["z1"].shown == "[0:3, 39:40]"


@pytest.mark.parametrize("spot", ["W1[--1,0]", "W1[+,0]", "W1[0 1,0]", "W1[1-1,0]", "W1[,0,1]"])
def test_malformed_places(spot: str) -> None:
    with pytest.raises(pc.ArgumentError):
        pc.why(network("bce", [(4, "relu")]), *samples("bce", 5), spot)


def test_a_refused_why_builds_nothing() -> None:
    model = pc.Sequential([pc.Dense(1)], loss="mse")
    with pytest.raises(pc.ArgumentError):
        pc.why(model, [[1.0, 2.0]], [[1.0]], "W9[0,0]")
    assert model._net is None


def test_damaged_json_is_refused() -> None:
    whole = pc.explain(lambda x: x * x, 2.0).to_json()
    for key in whole:
        for other in (None, 3, [1], "a"):
            if key != "brief" and (key, other) != ("title", "a"):
                with pytest.raises(pc.DataError):
                    pc.Walkthrough.from_json({**whole, key: other})
        with pytest.raises(pc.DataError):
            pc.Walkthrough.from_json({k: v for k, v in whole.items() if k != key})
    for key in whole["steps"][0]:
        with pytest.raises(pc.DataError):
            broken = {k: v for k, v in whole["steps"][0].items() if k != key}
            pc.Walkthrough.from_json({**whole, "steps": [broken]})


@pytest.mark.parametrize(
    "call",
    [
        lambda m, X, y: pc.explain(m), lambda m, X, y: pc.explain(m, X),
        lambda m, X, y: pc.explain(m, X, y, y), lambda m, X, y: pc.explain(m, X, y, foo=1),
        lambda m, X, y: m.explain(X, y, fused=[]), lambda m, X, y: m.explain(X, y, fused="no"),
        lambda m, X, y: pc.explain(lambda a: a, 1.0, 2.0),
        lambda m, X, y: pc.explain(lambda s: np.sum(s), [[1, 2], [3]]),
        lambda m, X, y: m.explain(X, y).to_text(width="80"),
        lambda m, X, y: m.explain(X, y).to_text(width=80.5),
        lambda m, X, y: m.explain(X, y).steps[0]["foo"],
        lambda m, X, y: pc.explain(np.sum, X, foo=1),
    ],
)  # fmt: skip
def test_calls_that_cannot_be_meant(call: Any) -> None:
    with pytest.raises(pc.PellucidError):
        call(network("mse", [(2, "tanh")]), *samples("mse", 3))


def test_dropout_is_said_to_be_left_out() -> None:
    model = pc.Sequential([pc.Dense(2, inputs=1), pc.Dropout(0.5), pc.Dense(1)], loss="mse")
    assert "Dropout is left out" in str(model.explain([[1.0]], [[1.0]]))


@pytest.mark.parametrize("name", ["explain", "draw", "worked", "plot", "report", "why"])
def test_a_fresh_process_finds_the_function_first(name: str) -> None:
    code = f"import pellucid as pc; print(callable(pc.{name}) or pc.plot is pc.{name})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"
