"""The five teaching documents, row by row: every number they print, through the public API.

Each exercise is a function of a precision that returns what it computes by name. In float64 every
number must agree with the digits shown, to half a unit of the last; in float32 with float64, to
2e-6. Matrices that a document has for W @ x are given transposed, as the library stores them.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

import pellucid as pc

Found = dict[str, Any]
EXERCISES: list[tuple[str, Callable[[Any], Found], dict[str, str]]] = []


def exercise(**shown: str) -> Callable[[Callable[[Any], Found]], Callable[[Any], Found]]:
    """Enter an exercise with the digits that it must show, by name."""

    def enter(function: Callable[[Any], Found]) -> Callable[[Any], Found]:
        EXERCISES.append((function.__name__, function, shown))
        return function

    return enter


def assert_shows(found: Any, shown: str, what: str) -> None:
    """Compare numbers with printed digits: half a unit of the last one, and a hair for rounding."""
    words = shown.split()
    numbers = np.asarray(found, dtype=float).ravel()
    assert len(numbers) == len(words), f"{what}: {numbers} is not {shown}"
    for number, word in zip(numbers, words, strict=True):
        mantissa, _, power = word.partition("e")
        digits = len(mantissa.partition(".")[2])
        unit = 10.0 ** (int(power or 0) - digits)
        assert abs(number - float(word)) <= 0.5001 * unit, f"{what}: {number!r} is not {word}"


def leaf(x: Any, dtype: Any, name: str = "x") -> pc.Node:
    return pc.value(np.asarray(x, dtype), name)


def values(dtype: Any, *arrays: Any) -> list[pc.Node]:
    return [leaf(a, dtype, f"x{k}") for k, a in enumerate(arrays)]


def stack(dtype: Any, acts: list[str], weights: Mapping[str, Any], loss: str = "half_mse") -> Any:
    """Return a stack of dense layers with given weights, ready for one step at rate 1."""
    shapes = [np.shape(weights[f"W{k + 1}"]) for k in range(len(acts))]
    layers = [pc.Dense(s[1], a, inputs=s[0]) for s, a in zip(shapes, acts, strict=True)]
    model = pc.Sequential(layers, loss=loss, optimizer=pc.SGD(1.0), dtype=dtype)
    model.params = weights
    return model


# -- row A -------------------------------------------------------------------------------------


@exercise(z=".6", a=".645656", slope=".228784", relu=".6", on="1", dead_z="-.4", dead="0", off="0")
def neuron(dtype: Any) -> Found:
    x, w, b = values(dtype, [1, 2, 3], [0.5, -0.3, 0.2], 0.1)
    z = w @ x + b
    other = w @ leaf([-1, -2, -3], dtype) + b
    a, r, dead = pc.sigmoid(z), pc.relu(z), pc.relu(other)
    return {
        "z": z,
        "a": a,
        "slope": pc.grad(a, z),
        "relu": r,
        "on": pc.grad(r, z),
        "dead_z": other,
        "dead": dead,
        "off": pc.grad(dead, other),
    }


@exercise(
    sigmoid=".1192 .2689 .5000 .7311 .8808",
    tanh="-.9640 -.7616 0 .7616 .9640",
    relu="0 0 0 1 2",
    leaky="-.02 -.01 0 1 2",
)
def four_activations(dtype: Any) -> Found:
    z = leaf([-2, -1, 0, 1, 2], dtype)
    return {
        "sigmoid": pc.sigmoid(z),
        "tanh": pc.tanh(z),
        "relu": pc.relu(z),
        "leaky": pc.leaky_relu(z, 0.01),
    }


@exercise(at_1=".1966 .4200 1", sigmoid_5=".00665 .00665", tanh_3=".00987 .00987")
def derivatives(dtype: Any) -> Found:
    def slope(f: Any, x: float) -> Any:
        return pc.grad(f)(np.asarray(x, dtype))

    return {
        "at_1": [slope(f, 1.0) for f in (pc.sigmoid, pc.tanh, pc.relu)],
        "sigmoid_5": [slope(pc.sigmoid, 5.0), slope(pc.sigmoid, -5.0)],
        "tanh_3": [slope(pc.tanh, 3.0), slope(pc.tanh, -3.0)],
    }


@exercise(shares=".6590 .2424 .0986", total="1", one_two_three=".090031 .244728 .665241")
def softmax(dtype: Any) -> Found:
    s = pc.softmax(leaf([2, 1, 0.1], dtype))
    return {"shares": s, "total": pc.sum(s), "one_two_three": pc.softmax(leaf([1, 2, 3], dtype))}


@pytest.mark.parametrize("shift", [1.0, -7.5, 1e4])
def test_softmax_does_not_see_a_constant(shift: float) -> None:
    z = np.array([2, 1, 0.25])  # binary fractions, so that the shift itself is exact
    np.testing.assert_allclose(pc.softmax(z + shift), pc.softmax(z), rtol=1e-15)


def test_softmax_at_the_edge_of_the_numbers() -> None:
    np.testing.assert_array_equal(pc.softmax(np.array([1e308, 1e308, -1e308])), [0.5, 0.5, 0])
    np.testing.assert_array_equal(pc.softmax(np.array([1e308, 1.0])), [1, 0])


@exercise(z1="3 7", out="17", collapsed="17", W="7 10")
def why_non_linear(dtype: Any) -> Found:
    W1, W2 = np.array([[1.0, 2], [3, 4]]), np.array([[1.0, 2]])
    weights = {"W1": W1.T, "b1": [0, 0], "W2": W2.T, "b2": [0]}
    model = stack(dtype, ["linear", "linear"], weights)
    x = [[1, 1]]
    one = stack(dtype, ["linear"], {"W1": (W2 @ W1).T, "b1": [0]})
    return {
        "z1": model.activations(x)["z1"],
        "out": model.predict(x),
        "collapsed": one.predict(x),
        "W": W2 @ W1,
    }


THREE = {
    "W1": [[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]],
    "b1": [0.1, 0.2, 0.3],
    "W2": [[1], [2], [3]],
    "b2": [0.5],
}


@exercise(z1="1 1.4 1.8", a1=".731059 .802184 .858149", z2="5.409873", a2=".995548")
def forward_2_3_1(dtype: Any) -> Found:
    return dict(stack(dtype, ["sigmoid", "sigmoid"], THREE).activations([[1, 2]]))


@exercise(z1=".75 1.05 1.35", out=".993588", shapes="2 3 2 3 2 1 2 1")
def batch_2_3_1(dtype: Any) -> Found:
    model = stack(dtype, ["sigmoid", "sigmoid"], THREE)
    a = model.activations([[1, 2], [0.5, 1.5]])
    return {
        "z1": a["z1"][1],
        "out": a["a2"][1],
        "shapes": [n for k in ("z1", "a1", "z2", "a2") for n in a[k].shape],
    }


def test_a_batch_is_its_rows_one_by_one() -> None:
    model = stack("float64", ["sigmoid", "sigmoid"], THREE)
    X = np.array([[1, 2], [0.5, 1.5]])
    rows = np.concatenate([model.predict(X[k : k + 1]) for k in range(2)])
    np.testing.assert_allclose(model.predict(X), rows, rtol=1e-12)


def test_2_4_3_1_has_three_matrices_and_31_parameters(capsys: pytest.CaptureFixture[str]) -> None:
    layers = [pc.Dense(4, "relu", inputs=2), pc.Dense(3, "relu"), pc.Dense(1, "sigmoid")]
    model = pc.Sequential(layers, loss="bce")
    shapes = {k: v.shape for k, v in model.params.items() if k[0] == "W"}
    assert shapes == {"W1": (2, 4), "W2": (4, 3), "W3": (3, 1)}
    assert sum(v.size for v in model.params.values()) == 31
    for line in ("z1 = X @ W1 + b1", "z2 = a1 @ W2 + b2", "z3 = a2 @ W3 + b3"):
        assert line in model.source()
    text = model.summary()
    assert "31 parameters" in text and "2·4 + 4 = 12" in text and text in capsys.readouterr().out


@exercise(y=".750260", L=".031185", w="-.093587", b="-.046794")
def one_neuron_gradient(dtype: Any) -> Found:
    w, b, x = values(dtype, 0.5, 0.1, 2)
    y = pc.sigmoid(w * x + b)
    L = pc.half_mse(y, leaf(1, dtype))
    return {"y": y, "L": L, "w": pc.grad(L, w), "b": pc.grad(L, b)}


ONE_TWO_ONE = {"W1": [[0.5, 0.3]], "b1": [0.1, 0.2], "W2": [[0.4], [0.6]], "b2": [0.1]}


def _backprop(dtype: Any, hidden: str) -> Found:
    model = stack(dtype, [hidden, "sigmoid"], ONE_TWO_ONE)
    g = model.gradients([[1]], [[1]])
    return {
        "a1": model.activations([[1]])["a1"],
        "y": model.predict([[1]]),
        "L": model.loss([[1]], [[1]]),
        "d2": g["b2"],
        "W2": g["W2"],
        "d1": g["b1"],
        "W1": g["W1"],
    }


@exercise(
    y=".675187",
    L=".052752",
    d2="-.071235",
    W2="-.045993 -.044341",
    d1="-.006519 -.010044",
    W1="-.006519 -.010044",
)
def backprop_1_2_1(dtype: Any) -> Found:
    return _backprop(dtype, "sigmoid")


@exercise(
    a1=".6 .5",
    y=".654753",
    L=".059598",
    d2="-.078043",
    W2="-.046826 -.039022",
    d1="-.031217 -.046826",
)
def backprop_1_2_1_relu(dtype: Any) -> Found:
    return _backprop(dtype, "relu")


@exercise(sigmoid="9.54e-7", relu="1")
def ten_slopes(dtype: Any) -> Found:
    def chain(f: Any, x: pc.Node) -> Any:
        slope = leaf(1, dtype)
        for _ in range(10):
            slope = slope * pc.grad(f(x), x)
        return slope

    return {"sigmoid": chain(pc.sigmoid, leaf(0, dtype)), "relu": chain(pc.relu, leaf(1, dtype))}


@pytest.mark.parametrize(("act", "least", "most"), [("sigmoid", 0, 1e-3), ("relu", 1e-2, 1e2)])
def test_the_gradient_vanishes_in_a_deep_sigmoid_net(act: str, least: float, most: float) -> None:
    layers = [pc.Dense(20, act) for _ in range(10)]
    model = pc.Sequential([*layers, pc.Dense(1)], loss="mse", dtype="float64")
    X = np.random.default_rng(0).normal(size=(50, 20))
    g = model.gradients(X, X[:, :1])
    ratio = np.linalg.norm(g["W1"]) / np.linalg.norm(g["W10"])
    assert least < ratio < most


@exercise(w=".47 .44 .41 .38 .35", b=".08 .06 .04 .02 0")
def descent(dtype: Any) -> Found:
    """Five steps down fixed slopes, by SGD's own formula."""
    optimizer = pc.SGD(0.1)
    p, g = leaf([0.5, 0.1], dtype), leaf([0.3, 0.2], dtype)
    steps = []
    for t in range(1, 6):
        p, _ = optimizer.update(p, g, {}, t, optimizer.learning_rate)
        steps.append(p.value)
    return {"w": [s[0] for s in steps], "b": [s[1] for s in steps]}


@exercise(down=".499 .4 -.5", up=".501 .6 1.5")
def rates(dtype: Any) -> Found:
    def moved(g: float) -> list[Any]:
        p, slope = values(dtype, 0.5, g)
        return [pc.SGD(r).update(p, slope, {}, 1, r)[0].value for r in (0.01, 1.0, 10.0)]

    return {"down": moved(0.1), "up": moved(-0.1)}


@pytest.mark.parametrize(("size", "updates"), [(10, 10), (1, 100), (100, 1), (32, 4)])
def test_updates_an_epoch(size: int, updates: int) -> None:
    seen: list[int] = []
    X, y = pc.data.moons(100)
    model = pc.Sequential([pc.Dense(1, "sigmoid")], loss="bce", optimizer="sgd")
    hook = pc.LambdaCallback(on_batch_end=lambda k, logs: seen.append(k))
    model.fit(X, y, batch_size=size, callbacks=[hook], verbose=0)
    assert seen == list(range(updates))


@exercise(slope="-.105754")
def gradient_check(dtype: Any) -> Found:
    w, x, t = values(dtype, 0.5, 2, 1)
    return {"slope": pc.grad(pc.half_mse(pc.sigmoid(w * x), t), w)}


def test_the_gradient_check_of_the_document() -> None:
    def L(w: Any) -> Any:
        return pc.half_mse(pc.sigmoid(w * 2.0), np.array(1.0))

    e, slope = 1e-5, float(pc.grad(L)(np.array(0.5)))
    numeric = (float(L(np.array(0.5 + e))) - float(L(np.array(0.5 - e)))) / (2 * e)
    assert abs(numeric - slope) / abs(slope) < 1e-7


@pytest.mark.parametrize("classes", [2, 3, 10])
def test_the_first_loss_is_that_of_a_guess(classes: int) -> None:
    X, y = pc.data.blobs(300, classes)
    model = pc.Sequential([pc.Dense(classes, "softmax", init=0.0)], loss="cce", dtype="float64")
    assert model.loss(X, y) == pytest.approx(-np.log(1 / classes), rel=1e-12)


def test_twenty_samples_can_be_memorized() -> None:
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(20, 2)), rng.integers(0, 3, 20)
    model = pc.Sequential(
        [pc.Dense(64, "relu"), pc.Dense(3, "softmax")],
        loss="cce",
        optimizer=pc.Adam(0.02),
        metrics=["accuracy"],
    )
    assert model.fit(X, y, epochs=400, batch_size=None, verbose=0)["accuracy"][-1] == 1


# -- row B -------------------------------------------------------------------------------------


@exercise(per_km="-10.8", square="-12 6 15 24", sigmoid=".393224", path="-1.678650")
def chain_rules(dtype: Any) -> Found:
    h = leaf(1.5, dtype, "km")
    fahrenheit = 1.8 * (15 - 6 * h) + 32
    x = leaf([-1, 0, 0.5, 1], dtype)
    u = leaf(1, dtype)
    return {
        "per_km": pc.grad(fahrenheit, h),
        "square": pc.grad(pc.sum((3 * x + 1) ** 2), x),  # 6 (3x + 1)
        "sigmoid": pc.grad(pc.sigmoid(2 * u - 1), u),  # 2 σ(1) (1 - σ(1))
        "path": pc.grad((5 - pc.sigmoid(u)) ** 2, u),  # -2 (5 - σ(1)) σ'(1)
    }


def test_the_chain_rule_path_in_symbols() -> None:
    s = 1 / (1 + np.exp(-1.0))
    x = pc.value(1.0, "x")
    assert pc.grad((5 - pc.sigmoid(x)) ** 2, x).value == pytest.approx(-2 * (5 - s) * s * (1 - s))


@exercise(y=".622459", L=".142537", z="-.177447", w="-.354894", b="-.177447")
def sigmoid_neuron_graph(dtype: Any) -> Found:
    x, w, b, t = values(dtype, 2, 0.5, -0.5, 1)
    z = w * x + b
    y = pc.sigmoid(z)
    L = (y - t) ** 2
    return {"y": y, "L": L, "z": pc.grad(L, z), "w": pc.grad(L, w), "b": pc.grad(L, b)}


@exercise(
    z1=".6 -.3",
    a1=".645656 .425557",
    z2=".417171",
    y=".602806",
    L=".157763",
    d2="-.190201",
    dW2="-.122804 -.080941",
    d1="-.026109 .018598",
    W2=".722804 -.319059",
    b2=".390201",
    W1=".526109 -.218598 .3 .8",
    b1=".126109 -.118598",
    idle="0 0",
)
def two_two_one(dtype: Any) -> Found:
    weights = {
        "W1": np.transpose([[0.5, 0.3], [-0.2, 0.8]]),
        "b1": [0.1, -0.1],
        "W2": [[0.6], [-0.4]],
        "b2": [0.2],
    }
    model = stack(dtype, ["sigmoid", "sigmoid"], weights, "mse")
    X, y = [[1, 0]], [[1]]
    found = dict(model.activations(X)) | {"y": model.predict(X), "L": model.loss(X, y)}
    g = model.gradients(X, y)
    found |= {"d2": g["b2"], "dW2": g["W2"], "d1": g["b1"], "idle": g["W1"][1]}
    found["step"] = model.step(X, y) - found["L"]
    return found | {k: np.array(v) for k, v in model.params.items()}


@exercise(
    y=".469423",
    L=".220358",
    d2=".233834",
    dW2=".145552",
    d1="-.054952",
    W2="-1.145552",
    b2=".266166",
    W1=".554952",
    b1=".054952",
)
def one_one_one(dtype: Any) -> Found:
    model = stack(
        dtype, ["sigmoid", "sigmoid"], {"W1": [[0.5]], "b1": [0], "W2": [[-1]], "b2": [0.5]}, "mse"
    )
    X, y = [[1]], [[0]]
    g = model.gradients(X, y)
    found = {"y": model.predict(X), "L": model.loss(X, y)}
    found |= {"d2": g["b2"], "dW2": g["W2"], "d1": g["b1"]}
    model.step(X, y)
    return found | {k: np.array(v) for k, v in model.params.items()}


# What a recipe is worth is its share of successes over many starts, never a lucky seed.

XOR_RECIPES = [  # hidden units, activation, loss, rate, epochs, starts, share that must succeed
    (1, "sigmoid", "mse", 2.0, 3000, 8, 0.0, 0.0),
    (4, "sigmoid", "mse", 2.0, 10000, 6, 1.0, 1.0),
    (8, "sigmoid", "mse", 2.0, 10000, 6, 1.0, 1.0),
    (4, "relu", "bce", 1.0, 2000, 20, 0.4, 0.9),
    (8, "relu", "bce", 0.5, 1000, 20, 0.8, 1.0),
]


@pytest.mark.slow
@pytest.mark.parametrize("recipe", XOR_RECIPES)
def test_xor_is_learned_as_often_as_measured(recipe: tuple[Any, ...]) -> None:
    units, act, loss, rate, epochs, starts, least, most = recipe
    assert least <= _solved(units, act, loss, rate, epochs, range(starts)) <= most


def _solved(units: int, act: str, loss: str, rate: float, epochs: int, seeds: Any) -> float:
    X, y = pc.data.xor()
    right = 0
    for seed in seeds:
        layers = [pc.Dense(units, act), pc.Dense(1, "sigmoid")]
        model = pc.Sequential(layers, loss=loss, optimizer=pc.SGD(rate), seed=seed, dtype="float64")
        model.fit(X, y, epochs=epochs, batch_size=None, verbose=0)
        right += bool((model.predict_classes(X) == y[:, 0]).all())
    return right / len(seeds)


def test_xor_with_2_4_1() -> None:
    X, y = pc.data.xor()
    model = pc.Sequential(
        [pc.Dense(4, "sigmoid"), pc.Dense(1, "sigmoid")],
        loss="mse",
        optimizer=pc.SGD(2.0),
        metrics=["accuracy"],
        seed=0,
    )
    history = model.fit(X, y, epochs=4000, batch_size=None, verbose=0)
    assert history["loss"][-1] < 1e-3 and history["accuracy"][-1] == 1


def test_one_hidden_unit_never_learns_xor_and_eight_do() -> None:
    assert _solved(1, "sigmoid", "mse", 2.0, 500, range(4)) == 0
    assert _solved(8, "relu", "bce", 0.5, 500, range(6)) >= 0.5


@pytest.mark.parametrize(("table", "right"), [("logic_and", 4), ("logic_or", 4), ("xor", 3)])
def test_what_one_neuron_can_tell(table: str, right: int) -> None:
    X, y = getattr(pc.data, table)()
    model = pc.Sequential([pc.Dense(1, "sigmoid")], loss="bce", optimizer=pc.SGD(1.0))
    model.fit(X, y, epochs=1000, batch_size=None, verbose=0)
    found = int((model.predict_classes(X) == y[:, 0]).sum())
    assert found == right if right == 4 else found <= right


@pytest.mark.parametrize("sizes", [(2, 2, 1), (3, 4, 1), (2, 3, 2)])
@pytest.mark.parametrize("loss", ["mse", "bce"])
def test_gradients_of_small_nets_by_differences(sizes: tuple[int, ...], loss: str) -> None:
    rng = np.random.default_rng(1)
    layers = [pc.Dense(sizes[1], "sigmoid"), pc.Dense(sizes[2], "sigmoid")]
    model = pc.Sequential(layers, loss=loss, dtype="float64")
    X, y = rng.normal(size=(5, sizes[0])), rng.integers(0, 2, (5, sizes[2]))
    for name, g in model.gradients(X, y).items():
        p, numeric, e = model.params[name], np.empty(g.shape), 1e-5
        for at in np.ndindex(g.shape):
            kept = p[at]
            p[at] = kept + e
            up = model.loss(X, y)
            p[at] = kept - e
            numeric[at] = (up - model.loss(X, y)) / (2 * e)
            p[at] = kept
        assert np.abs(g - numeric).max() < 1e-9, name


@pytest.mark.slow
def test_circles_with_2_10_1() -> None:
    X, y = pc.data.circles()
    model = pc.Sequential(
        [pc.Dense(10, "sigmoid"), pc.Dense(1, "sigmoid")],
        loss="mse",
        optimizer=pc.SGD(1.5),
        metrics=["accuracy"],
    )
    history = model.fit(X, y, epochs=15000, batch_size=None, verbose=0)
    assert history["accuracy"][-1] > 0.9


# -- row C -------------------------------------------------------------------------------------


GATES = [
    ("add", (3.0, -4.0), -1.0, (1, 1)),
    ("multiply", (3.0, -4.0), -12.0, (-4, 3)),
    ("power", (3.0, 2.0), 9.0, (6, 9 * np.log(3))),
    ("exp", (2.0,), np.exp(2), (np.exp(2),)),
    ("sigmoid", (1.0,), 0.7310585786300049, (0.19661193324148185,)),
    ("relu", (2.0,), 2.0, (1,)),
    ("relu", (-2.0,), 0.0, (0,)),
    ("relu", (0.0,), 0.0, (0,)),
]


@pytest.mark.parametrize(("name", "inputs", "out", "local"), GATES)
def test_gates(name: str, inputs: Any, out: float, local: Any) -> None:
    gate = pc.Gate(name)
    assert gate.forward(*inputs) == pytest.approx(out, rel=1e-15)
    assert gate.local == pytest.approx(local, rel=1e-15)
    assert gate.backward(-2.0) == pytest.approx([-2 * g for g in local], rel=1e-15)


def test_gates_compose() -> None:
    """f = (x + y) z at 2, 3, 4, forwards and backwards by hand."""
    add, multiply = pc.Gate("add"), pc.Gate("multiply")
    q = add.forward(2.0, 3.0)
    assert (q, multiply.forward(q, 4.0)) == (5, 20)
    dq, dz = multiply.backward(1.0)
    assert (*add.backward(dq), dz) == (4, 4, 5)


def test_a_gate_sums_over_what_it_copied() -> None:
    gate = pc.Gate("add")
    gate.forward(np.ones((3, 2)), np.ones(2))
    gx, gb = gate.backward(np.ones((3, 2)))
    np.testing.assert_array_equal(gb, [3, 3])
    np.testing.assert_array_equal(gx, np.ones((3, 2)))


@exercise(q="5", f="20", g="4 4 5")
def product_of_a_sum(dtype: Any) -> Found:
    x, y, z = values(dtype, 2, 3, 4)
    q = x + y
    f = q * z
    return {"q": q, "f": f, "g": [s.value for s in pc.grad(f, [x, y, z])]}


@exercise(f=".006693", g="-.019944 .013296 .006648", numeric="-.019944 .013296 .006648")
def sigmoid_of_a_product(dtype: Any) -> Found:
    def f(v: Any) -> Any:
        return pc.sigmoid(v[0] * v[1] + v[2])

    at, e = np.array([2.0, -3, 1]), 1e-6
    numeric = [(f(at + e * d) - f(at - e * d)) / (2 * e) for d in np.eye(3)]
    x = leaf([2, -3, 1], dtype)
    return {"f": f(x), "g": pc.grad(f(x), x), "numeric": numeric}


@exercise(L="24", paths="6 8", slope="14", abc="5 8 3")
def two_paths(dtype: Any) -> Found:
    x, left, right = values(dtype, 3, 3, 3)
    L = (x + 1) * (2 * x)
    apart = (left + 1) * (2 * right)
    a, b, c = values(dtype, 1, 2, 3)
    f = (a + b) * (b + c)
    return {
        "L": L,
        "paths": [s.value for s in pc.grad(apart, [left, right])],
        "slope": pc.grad(L, x),
        "abc": [s.value for s in pc.grad(f, [a, b, c])],
    }


@exercise(
    z1=".6 1.2 1.8",
    z2="3.1",
    y=".956893",
    L=".044064",
    dz2="-.043107",
    dW2="-.025864 -.051729 -.077593",
    dh="-.030175 -.034486 -.038797",
    dW1="-.030175 -.060350 -.034486 -.068972 -.038797 -.077593",
)
def two_three_one_walked(dtype: Any) -> Found:
    weights = {
        "W1": np.transpose([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]]),
        "b1": [0.1] * 3,
        "W2": [[0.7], [0.8], [0.9]],
        "b2": [0.1],
    }
    model = stack(dtype, ["relu", "sigmoid"], weights, "bce")
    X, y = [[1, 2]], [[1]]
    g = model.gradients(X, y)
    return dict(model.activations(X)) | {
        "y": model.predict(X),
        "L": model.loss(X, y),
        "dz2": g["b2"],
        "dW2": g["W2"],
        "dh": g["b1"],
        "dW1": g["W1"].T,
    }


@exercise(mse=".9801", bce="4.605", slope_mse=".0196", slope_bce=".99")
def squared_error_or_cross_entropy(dtype: Any) -> Found:
    found = {}
    for loss in ("mse", "bce"):
        model = stack(dtype, ["sigmoid"], {"W1": [[np.log(99)]], "b1": [0]}, loss)
        found[loss] = model.loss([[1]], [[0]])
        found[f"slope_{loss}"] = model.gradients([[1]], [[0]])["b1"]
    return found


@exercise(rate=".748", euro=".88", pound=".85")
def currency_chain(dtype: Any) -> Found:
    dollar = leaf(1, dtype, "dollar")
    euro = 0.85 * dollar
    pound = 0.88 * euro
    return {
        "rate": pc.grad(pound, dollar),
        "euro": pc.grad(pound, euro),
        "pound": pc.grad(euro, dollar),
    }


def test_scalar_chains_of_ten() -> None:
    found = [float(np.prod([scale] * 10)) for scale in (0.5, 1, 1.5, 2)]
    assert found == pytest.approx([9.77e-4, 1, 57.67, 1024], rel=1e-3)


@pytest.mark.parametrize(("scale", "least", "most"), [(0.5, 0, 0.02), (1, 0.05, 20), (2, 50, 1e5)])
def test_signals_shrink_live_or_grow_with_the_weights(
    scale: float, least: float, most: float
) -> None:
    X = np.random.default_rng(3).normal(size=(200, 100))
    model = pc.Sequential([pc.Dense(100, "relu") for _ in range(10)], dtype="float64")
    model.predict(X[:1])
    for name in model.params:
        model.params[name] *= scale
    assert least < model.predict(X).std() / X.std() < most


# -- row D -------------------------------------------------------------------------------------


SPREADS = [
    ("relu", 0.01, 6e-24),
    ("relu", 1.0, 7e16),
    ("relu", "he", 0.56),
    ("tanh", 0.01, 1e-20),
    ("tanh", 1.0, 0.92),
    ("tanh", "xavier", 0.051),
]


@pytest.mark.parametrize(("act", "init", "variance"), SPREADS)
def test_variance_through_ten_layers(act: str, init: Any, variance: float) -> None:
    class Scaled(pc.Initializer):
        def array(self, shape: tuple[int, ...], key: int) -> Any:
            return init * np.random.default_rng(key).normal(size=shape)

    start = init if isinstance(init, str) else Scaled()
    X = np.random.default_rng(0).normal(size=(1000, 100))
    model = pc.Sequential([pc.Dense(100, act, init=start) for _ in range(10)], dtype="float64")
    found = model.predict(X).var()
    assert abs(np.log10(found / variance)) < 0.7


@exercise(bce=".197635", cce=".356675", cce_labels=".356675")
def losses_of_row_d(dtype: Any) -> Found:
    p, y = values(dtype, [0.7, 0.2, 0.9, 0.1], [1, 0, 1, 0])
    shares = leaf(np.full((3, 3), 0.15) + np.eye(3) * 0.55, dtype)
    return {
        "bce": pc.bce(p, y),
        "cce": pc.cce(shares, leaf(np.eye(3), dtype)),
        "cce_labels": pc.cce(shares, np.arange(3)),
    }


def test_conventions_of_losses() -> None:
    """mse averages over all elements, half_mse halves it, cce sums a row and averages rows."""
    rng = np.random.default_rng(0)
    p, y = rng.normal(size=(4, 3)), rng.normal(size=(4, 3))
    assert pc.mse(p, y) == pytest.approx(((p - y) ** 2).mean(), rel=1e-15)
    assert pc.half_mse(p, y) == pytest.approx(((p - y) ** 2).mean() / 2, rel=1e-15)
    shares, t = pc.softmax(p, axis=1), np.eye(3)[[0, 2, 1, 1]]
    assert pc.cce(shares, t) == pytest.approx(-(t * np.log(shares)).sum(1).mean(), rel=1e-14)


@pytest.mark.parametrize("loss", ["mse", "mae", "cce", "huber"])
def test_the_slope_of_softmax_is_right_with_any_loss(loss: str) -> None:
    z, y = np.array([[0.3, -1.2, 0.7], [2.0, 0.1, -0.4]]), np.eye(3)[[1, 0]]

    def L(scores: Any) -> Any:
        return getattr(pc, loss)(pc.softmax(scores, axis=1), y)

    e, numeric = 1e-6, np.empty_like(z)
    for at in np.ndindex(z.shape):
        d = np.zeros_like(z)
        d[at] = e
        numeric[at] = (L(z + d) - L(z - d)) / (2 * e)
    np.testing.assert_allclose(pc.grad(L)(z), numeric, atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("size", [10, 50, 300])
def test_the_spiral_of_row_d(size: int) -> None:
    X, y = pc.data.spirals()
    model = pc.Sequential(
        [pc.Dense(100, "relu"), pc.Dense(3, "softmax")],
        loss="cce",
        optimizer=pc.SGD(0.1),
        metrics=["accuracy"],
    )
    history = model.fit(X, y, epochs=200, batch_size=size, verbose=0)
    assert history["loss"][-1] < history["loss"][0] and history["accuracy"][-1] > 0.5


# -- row E -------------------------------------------------------------------------------------


@exercise(z="1.1", L=".01", w=".4", b=".2")
def relu_neuron(dtype: Any) -> Found:
    x, w, b, y = values(dtype, 2, 0.5, 0.1, 1)
    z = w * x + b
    L = (pc.relu(z) - y) ** 2
    return {"z": z, "L": L, "w": pc.grad(L, w), "b": pc.grad(L, b)}


@exercise(
    losses=".126928 .201413 .313262 .474077 .126928",
    mean=".248522",
    gradient="-.119203 .182426 -.268941 -.377541 .119203",
)
def bernoulli(dtype: Any) -> Found:
    z, y = leaf([2, -1.5, 1, 0.5, -2], dtype, "z"), leaf([1, 0, 1, 1, 0], dtype, "y")
    p = pc.sigmoid(z)
    total = pc.bce(p, y, reduction="sum")
    return {
        "losses": pc.bce(p, y, reduction="none"),
        "mean": pc.bce(p, y),
        "gradient": pc.grad(total, z),
    }


@pytest.mark.conformance
def test_every_gradient_of_2_4_3_2_1_is_pytorchs() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: make conformance")
    acts = ["relu", "relu", "relu", "sigmoid"]
    layers = [pc.Dense(u, a) for u, a in zip((4, 3, 2, 1), acts, strict=True)]
    model = pc.Sequential(layers, loss="mse", dtype="float64", seed=3)
    rng = np.random.default_rng(5)
    X, y = rng.normal(size=(7, 2)), rng.random((7, 1))
    model.predict(X)
    for name in model.params:  # away from the kinks, and no dead layer
        model.params[name] = rng.normal(size=model.params[name].shape) + 0.2
    leaves = {k: torch.tensor(np.array(v), requires_grad=True) for k, v in model.params.items()}
    a = torch.tensor(X)
    for k, act in enumerate(acts, start=1):
        a = getattr(torch, act)(a @ leaves[f"W{k}"] + leaves[f"b{k}"])
    loss = torch.nn.functional.mse_loss(a, torch.tensor(y))
    loss.backward()
    assert model.loss(X, y) == pytest.approx(loss.item(), rel=1e-14)
    for name, g in model.gradients(X, y).items():
        np.testing.assert_allclose(g, leaves[name].grad.numpy(), rtol=1e-12, atol=1e-17)


# -- every exercise, in both precisions ----------------------------------------------------------


def array(x: Any) -> Any:
    return np.asarray(x.value if isinstance(x, pc.Node) else x)


@pytest.mark.parametrize(("name", "run", "shown"), EXERCISES, ids=[e[0] for e in EXERCISES])
def test_exercise_in_float64(name: str, run: Callable[[Any], Found], shown: dict[str, str]) -> None:
    found = run("float64")
    for key, digits in shown.items():
        assert_shows(array(found[key]), digits, f"{name}: {key}")


@pytest.mark.parametrize(("name", "run", "shown"), EXERCISES, ids=[e[0] for e in EXERCISES])
def test_exercise_in_float32(name: str, run: Callable[[Any], Found], shown: dict[str, str]) -> None:
    found, exact = run("float32"), run("float64")
    for key in shown:
        if isinstance(found[key], (pc.Node, np.ndarray)) and array(found[key]).dtype.kind == "f":
            assert array(found[key]).dtype in (np.float32, array(exact[key]).dtype), key
        np.testing.assert_allclose(
            array(found[key]), array(exact[key]), rtol=2e-6, atol=1e-7, err_msg=f"{name}: {key}"
        )
