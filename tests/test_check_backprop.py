"""A learner's own backward pass: right ones are left in peace, slips are named with numbers."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

import pellucid as pc
from bench.slip_students import SETTINGS, STYLES, Setting, Style, made, merged, samples
from bench.slips import cases, model_of, run
from pellucid.check.backprop import check_backprop
from pellucid.check.chain import gradients
from pellucid.check.gates import check_gate
from pellucid.check.planted import planted_bug
from pellucid.check.slips import BY_CODE, SLIPS
from pellucid.check.trials import Reference

CODES = """
    factor-two missing-half missing-batch-mean double-batch-mean sign transpose
    derivative-at-activation missing-derivative wrong-mask bias-not-summed bias-averaged
    wrong-delta updated-too-early stale-cache wrong-activation wrong-loss
    missing-softmax-jacobian regularization-missing regularization-on-bias accumulated
    elementwise-product broadcast missing-output-mean
""".split()  # noqa: SIM905

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(5, 2)), RNG.integers(0, 2, (5, 1)).astype(float)


def sigmoid(z: Any) -> Any:
    return 1 / (1 + np.exp(-z))


def net(*sizes: int, loss: str = "mse", acts: Any = None, **settings: Any) -> Any:
    acts = acts or ["sigmoid"] * (len(sizes) - 1)
    layers = [pc.Dense(k, a, **settings) for k, a in zip(sizes[1:], acts, strict=True)]
    layers[0] = pc.Dense(sizes[1], acts[0], inputs=sizes[0], **settings)
    return pc.Sequential(layers, loss=loss, dtype="float64", seed=1)


MODEL = net(2, 3, 1)


def right(p: Any, x: Any, y: Any, scale: float = 2.0) -> tuple[Any, ...]:
    """Return (dW1, db1, dW2, db2) and the output of a sigmoid network, by rows."""
    a1 = sigmoid(x @ p["W1"] + p["b1"])
    a2 = sigmoid(a1 @ p["W2"] + p["b2"])
    d2 = scale * (a2 - y) / len(x) * a2 * (1 - a2)
    d1 = d2 @ p["W2"].T * a1 * (1 - a1)
    return x.T @ d1, d1.sum(0), a1.T @ d2, d2.sum(0), a2


def test_the_codes_are_the_documented_ones() -> None:
    assert sorted(BY_CODE) == sorted(CODES)
    for slip in SLIPS:
        assert slip.says and slip.fix and slip.forms


# -- right ones ------------------------------------------------------------------------------------


@pytest.mark.parametrize("style", STYLES, ids=lambda s: s.name)
@pytest.mark.parametrize("setting", SETTINGS[::2], ids=lambda s: s.name)
def test_a_correct_pass_is_never_accused(style: Style, setting: Setting) -> None:
    x, y = samples(setting, 5, 3)
    report = check_backprop(made(style, setting), like=model_of(setting), X=x, y=y)
    assert report.ok and bool(report) and not report.slips and not report.unexplained, report


NAMES = ["W1", "b1", "W2", "b2"]
WRITTEN = {
    "d": lambda p, X, y: {f"d{k}": g for k, g in zip(NAMES, right(p, X, y)[:4], strict=True)},
    "d_": lambda p, X, y: {f"d_{k}": g for k, g in zip(NAMES, right(p, X, y)[:4], strict=True)},
    "lower": lambda p, X, y: {k.lower(): g for k, g in zip(NAMES, right(p, X, y)[:4], strict=True)},
    "tuple": lambda p, X, y: right(p, X, y)[:4],
    "weights first": lambda p, X, y: [right(p, X, y)[k] for k in (0, 2, 1, 3)],
    "output first": lambda p, X, y: [right(p, X, y)[k] for k in (2, 3, 0, 1)],
    "other order": lambda X, y, params: right(params, X, y)[:4],
    "by name": lambda X, y, W1, b1, W2, b2: right({"W1": W1, "b1": b1, "W2": W2, "b2": b2}, X, y)[
        :4
    ],
    "with loss": lambda p, X, y: (np.mean((right(p, X, y)[4] - y) ** 2), right(p, X, y)[:4]),
}


@pytest.mark.parametrize("name", WRITTEN)
def test_gradients_are_found_however_they_are_returned(name: str) -> None:
    report = check_backprop(WRITTEN[name], like=MODEL, X=X, y=Y)
    assert report.ok, report
    assert list(report.parameters) == ["W2", "b2", "W1", "b1"]


def test_a_reduction_that_its_own_loss_has_is_a_convention_and_said() -> None:
    def half_of_the_sum(p: Any, X: Any, y: Any) -> Any:
        *grads, out = right(p, X, y, scale=len(X))
        return 0.5 * np.sum((out - y) ** 2), grads

    report = check_backprop(half_of_the_sum, like=MODEL, X=X, y=Y)
    assert report.ok and "convention" in " ".join(report.conventions)


def test_a_loss_that_is_only_a_name_in_the_code_is_measured_too() -> None:
    def quiet(p: Any, X: Any, y: Any) -> Any:
        *grads, out = right(p, X, y, scale=1.0)
        loss = np.mean((out - y) ** 2) / 2
        return grads if loss > -1 else None

    assert check_backprop(quiet, like=MODEL, X=X, y=Y).ok


def test_without_a_loss_of_its_own_a_factor_is_a_slip() -> None:
    report = check_backprop(lambda p, X, y: right(p, X, y, 1.0)[:4], like=MODEL, X=X, y=Y)
    assert (report.ok, report.where, report.slips) == (False, "W2", ("factor-two",))
    assert report.proof is not None
    assert report.proof.yours == pytest.approx(report.proof.right / 2)
    assert report.proof.slipped == pytest.approx(report.proof.yours, rel=1e-6)


def test_a_half_in_its_loss_and_a_two_in_its_gradient() -> None:
    def contradicts(p: Any, X: Any, y: Any) -> Any:
        *grads, out = right(p, X, y)
        return 0.5 * np.mean((out - y) ** 2), grads

    assert check_backprop(contradicts, like=MODEL, X=X, y=Y).slips[0] == "missing-half"


class Rashid:
    """Columns, a sign of its own, no biases, and it only updates its weights."""

    def __init__(self, inputnodes: int, hiddennodes: int, outputnodes: int, lr: float) -> None:
        self.wih = np.ones((hiddennodes, inputnodes))
        self.who = np.ones((outputnodes, hiddennodes))
        self.lr = lr

    def forward(self, inputs: Any) -> Any:
        self.i, self.h = inputs, sigmoid(self.wih @ inputs)
        self.o = sigmoid(self.who @ self.h)
        return self.o

    def loss(self, targets: Any) -> Any:
        return 0.5 * np.sum((targets - self.o) ** 2)

    def backward(self, targets: Any) -> None:
        e = (targets - self.o) * self.o * (1 - self.o)
        back = self.who.T @ e
        self.who += self.lr * e @ self.h.T
        self.wih += self.lr * (back * self.h * (1 - self.h)) @ self.i.T


def test_a_class_is_made_and_its_update_is_read() -> None:
    report = check_backprop(Rashid, like=net(2, 4, 1, bias=False), X=X, y=Y)
    assert report.ok, report
    assert report.layout == "columns"


def test_an_object_and_the_model_stay_as_they_were() -> None:
    student, model = Rashid(2, 4, 1, 0.5), net(2, 4, 1, bias=False)
    before, weights = student.wih.copy(), {k: v.copy() for k, v in model.params.items()}
    assert check_backprop(student, like=model, X=X, y=Y).ok
    assert (student.wih == before).all() and not hasattr(student, "h")
    assert all((model.params[k] == v).all() for k, v in weights.items())


def test_a_single_precision_student_is_judged_in_its_own_precision() -> None:
    def single(p: Any, X: Any, y: Any) -> Any:
        p = {k: p[k].astype("f") for k in NAMES}
        return right(p, X.astype("f"), y.astype("f"))[:4]

    assert check_backprop(single, like=MODEL, X=X, y=Y).ok


def test_labels_are_given_as_the_student_takes_them() -> None:
    def takes_labels(params: Any, X: Any, y: Any) -> Any:
        z = X @ params["W1"] + params["b1"]
        e = np.exp(z - z.max(axis=1, keepdims=True))
        delta = e / e.sum(axis=1, keepdims=True)
        delta[range(len(X)), y] -= 1
        delta /= len(X)
        return {"W1": X.T @ delta, "b1": delta.sum(axis=0)}

    model, labels = net(2, 3, loss="cce", acts=["softmax"]), np.array([0, 2, 1, 1, 0])
    for y in (labels, np.eye(3)[labels]):
        assert check_backprop(takes_labels, like=model, X=X, y=y).ok


def test_zero_gradients_are_round_off_and_no_slip() -> None:
    model = net(2, 1, loss="half_mse", acts=["linear"])
    y = X @ model.params["W1"] + model.params["b1"]

    def student(params: Any, X: Any, y: Any) -> Any:
        error = (X @ params["W1"] + (params["b1"] - y)) / len(X)
        return {"W1": X.T @ error, "b1": error.sum(axis=0)}

    assert check_backprop(student, like=model, X=X, y=y).ok


def test_a_sum_that_cancels_is_round_off_and_no_slip() -> None:
    """With softmax and cross-entropy the score gradients of a row sum to 0: so do these."""
    model = net(2, 3, 2, loss="cce", acts=["tanh", "softmax"])
    model.params["W2"] = np.repeat(model.params["W2"][:, :1], 2, axis=1)

    def student(params: Any, X: Any, y: Any) -> Any:
        a = np.tanh(X @ params["W1"] + params["b1"])
        e = np.exp(a @ params["W2"] + params["b2"])
        d2 = (e / e.sum(axis=1, keepdims=True) - y) / len(X)
        d1 = (d2[:, :1] * params["W2"][:, 0] + d2[:, 1:] * params["W2"][:, 1]) * (1 - a * a)
        return X.T @ d1, d1.sum(0), a.T @ d2, d2.sum(0)

    y = np.eye(2)[[0, 1, 1, 0, 1]]
    assert check_backprop(student, like=model, X=X, y=y).ok


def test_a_loss_that_is_only_a_name_accuses_nobody() -> None:
    def quiet(p: Any, X: Any, y: Any) -> Any:
        *grads, out = right(p, X, y)
        loss = np.mean((out - y) ** 2) / 2  # for display
        return grads if loss > -1 else None

    assert check_backprop(quiet, like=MODEL, X=X, y=Y).ok


def test_what_it_writes_to_is_said() -> None:
    def writes(p: Any, X: Any, y: Any) -> Any:
        grads = right(p, X, y)[:4]
        X *= 2
        return grads

    x = X.copy()
    report = check_backprop(writes, like=MODEL, X=x, y=Y)
    assert report.ok and "input X" in report.notes[0] and (x == X).all()


# -- slips -----------------------------------------------------------------------------------------

CHOSEN = {c.code: c for held in (False, True) for c in cases(held) if c.code}


@pytest.mark.parametrize("code", sorted(CHOSEN))
def test_a_slip_is_caught_and_named(code: str) -> None:
    result = run(CHOSEN[code], 3)
    assert result.caught and result.slips[:1] == (code,), result.slips


def test_the_mean_over_the_outputs_is_missing() -> None:
    """Row B: the document's class on 2-3-2 averages its loss over N·n_out, its gradient over N."""
    model, y = net(2, 3, 2), RNG.integers(0, 2, (5, 2)).astype(float)

    def document(p: Any, X: Any, y: Any) -> Any:
        *grads, out = right(p, X, y)
        return np.mean((out - y) ** 2), grads

    report = check_backprop(document, like=model, X=X, y=y)
    assert report.slips[0] == "missing-output-mean"


def test_a_sigma_prime_that_applies_sigma_itself() -> None:
    def prime(z: Any) -> Any:
        return sigmoid(z) * (1 - sigmoid(z))

    def student(p: Any, X: Any, y: Any) -> Any:
        a1 = sigmoid(X @ p["W1"] + p["b1"])
        a2 = sigmoid(a1 @ p["W2"] + p["b2"])
        d2 = 2 * (a2 - y) / len(X) * prime(a2)
        d1 = d2 @ p["W2"].T * prime(a1)
        return X.T @ d1, d1.sum(0), a1.T @ d2, d2.sum(0)

    report = check_backprop(student, like=MODEL, X=X, y=Y)
    assert report.slips == ("derivative-at-activation",)


def test_a_mask_is_right_from_a_and_wrong_with_at_least() -> None:
    model = net(2, 3, 1, loss="bce", acts=["relu", "sigmoid"])

    def student(mask: Any) -> Any:
        def backward(p: Any, X: Any, y: Any) -> Any:
            z = X @ p["W1"] + p["b1"]
            a = np.maximum(0, z)
            d2 = (sigmoid(a @ p["W2"] + p["b2"]) - y) / len(X)
            d1 = d2 @ p["W2"].T * mask(z, a)
            return X.T @ d1, d1.sum(0), a.T @ d2, d2.sum(0)

        return backward

    assert check_backprop(student(lambda z, a: a > 0), like=model, X=X, y=Y).ok
    report = check_backprop(student(lambda z, a: z >= 0), like=model, X=X, y=Y)
    assert report.slips == ("wrong-mask",) and "exactly 0" in report.notes[0]


def test_a_formula_in_a_that_is_given_z() -> None:
    def student(p: Any, X: Any, y: Any) -> Any:
        z = X @ p["W1"] + p["b1"]
        a = np.tanh(z)
        d2 = (a @ p["W2"] + p["b2"] - y) / len(X)
        d1 = d2 @ p["W2"].T * (1 - z * z)
        return X.T @ d1, d1.sum(0), a.T @ d2, d2.sum(0)

    model = net(2, 3, 1, loss="half_mse", acts=["tanh", "linear"])
    assert check_backprop(student, like=model, X=X, y=Y).slips == ("derivative-at-activation",)


def test_flat_targets_that_broadcast() -> None:
    report = check_backprop(lambda p, X, y: right(p, X, y)[:4], like=MODEL, X=X, y=Y.ravel())
    assert report.slips == ("broadcast",) and "it is right" in " ".join(report.notes)


def test_a_bias_gradient_of_another_shape() -> None:
    def student(p: Any, X: Any, y: Any) -> Any:
        g = dict(zip(NAMES, right(p, X, y)[:4], strict=True))
        a1 = sigmoid(X @ p["W1"] + p["b1"])
        a2 = sigmoid(a1 @ p["W2"] + p["b2"])
        return g | {"b2": 2 * (a2 - y) / len(X) * a2 * (1 - a2)}

    report = check_backprop(student, like=MODEL, X=X, y=Y)
    assert (report.where, report.slips) == ("b2", ("bias-not-summed",))


def test_two_slips_at_once() -> None:
    def student(p: Any, X: Any, y: Any) -> Any:
        dW1, db1, dW2, db2, _ = right(p, X, y, scale=2 * len(X))
        return -dW1, -db1, dW2, db2

    report = check_backprop(student, like=MODEL, X=X, y=Y)
    assert set(report.slips[:2]) == {"missing-batch-mean", "sign"}


def test_what_fits_nothing_is_said_to_fit_nothing() -> None:
    report = check_backprop(
        lambda params, X, y: {k: np.cos(v) for k, v in params.items()}, like=MODEL, X=X, y=Y
    )
    assert not report.ok and report.unexplained and not report.slips
    assert "none of the known slips" in str(report)


def test_several_explanations_are_candidates() -> None:
    model, y = net(2, 3, 2), RNG.integers(0, 2, (5, 2)).astype(float)
    report = check_backprop(lambda p, X, y: right(p, X, y)[:4], like=model, X=X, y=y)
    assert len(report.candidates) > 1
    assert any(c.tells_apart for c in report.candidates)


def test_an_exception_is_the_students() -> None:
    def stops(p: Any, X: Any, y: Any) -> Any:
        d2 = right(p, X, y)[4] - y
        return {"W1": d2 @ p["W2"]}

    report = check_backprop(stops, like=MODEL, X=X, y=Y)
    assert not report.ok and "ValueError" in report.error and 'd2 @ p["W2"]' in report.error
    assert report.slips == ("transpose",)


def test_the_layout_is_asked_for_where_both_fit() -> None:
    model = net(2, 2, 2, loss="half_mse", acts=["tanh", "linear"])
    y = RNG.normal(size=(5, 2))

    def columns(params: Any, X: Any, Y: Any) -> Any:
        a = np.tanh(params["W1"] @ X + params["b1"])
        d2 = (params["W2"] @ a + params["b2"] - Y) / Y.size
        d1 = params["W2"].T @ d2 * (1 - a * a)
        return d1 @ X.T, d1.sum(1, keepdims=True), d2 @ a.T, d2.sum(1, keepdims=True)

    assert check_backprop(columns, like=model, X=X, y=y).layout == "columns"
    assert check_backprop(columns, like=model, X=X, y=y, layout="columns").ok
    assert not check_backprop(columns, like=model, X=X, y=y, layout="rows").ok
    with pytest.raises(pc.ArgumentError, match="layout"):
        check_backprop(columns, like=model, X=X, y=y, layout="column")


def test_the_report_prints_at_80_columns_and_as_json() -> None:
    for case in (CHOSEN["transpose"], CHOSEN["missing-derivative"]):
        x, y = samples(case.setting, 5, 3)
        student = made(case.style, case.setting, case.edits, case.swap)
        report = check_backprop(student, like=model_of(case.setting), X=x, y=y)
        assert max(map(len, str(report).splitlines())) <= 80
        told = json.loads(json.dumps(report.to_json(), allow_nan=False))
        assert told["slips"][0] == case.code and told["where"] == report.where
        assert "fix:" in str(report) and "yours" in str(report)


def test_the_table_starts_from_the_gradient_that_trains() -> None:
    for setting in SETTINGS:
        x, y = samples(setting, 4, 1)
        trial = Reference(model_of(setting), x, y).own()
        model = model_of(setting)
        for name, node in gradients(trial.layers).items():
            np.testing.assert_allclose(node.value, model.gradients(x, y)[name], atol=1e-12)
        assert merged(setting) in (True, False)


def test_a_model_that_is_no_chain_of_dense_layers_is_checked_for_factors() -> None:
    class Square(pc.Layer):
        def __call__(self, x: Any, p: Any) -> Any:
            return x * x

    layers = [pc.Dense(4, "tanh", inputs=2), Square(), pc.Dense(1)]
    model = pc.Sequential(layers, loss="mse", dtype="float64")

    def student(scale: float) -> Any:
        def backward(params: Any, X: Any, y: Any) -> Any:
            a = np.tanh(X @ params["W1"] + params["b1"])
            d2 = scale * (a * a @ params["W2"] + params["b2"] - y) / len(X)
            d1 = d2 @ params["W2"].T * 2 * a * (1 - a * a)
            return X.T @ d1, d1.sum(0), (a * a).T @ d2, d2.sum(0)

        return backward

    assert check_backprop(student(2.0), like=model, X=X, y=Y).ok
    assert check_backprop(student(1.0), like=model, X=X, y=Y).slips == ("factor-two",)


# -- gates -----------------------------------------------------------------------------------------


class Gate:
    """A sigmoid gate with a choice of backward passes."""

    def __init__(self, how: str) -> None:
        self.how, self.sum = how, 0.0

    def forward(self, x: Any) -> Any:
        kept = getattr(self, "y", None)
        self.x, self.y = x, sigmoid(x)
        if self.how == "stale" and kept is not None:
            self.y = kept
        return sigmoid(x)

    def backward(self, g: Any) -> Any:
        y = self.y
        self.sum = self.sum + g * y * (1 - y)
        ways = {"at a": g * sigmoid(y) * (1 - sigmoid(y)), "none": g * np.ones_like(y)}
        ways |= {"sign": -g * y * (1 - y), "local": y * (1 - y), "sum": self.sum}
        ways |= {"tanh": g * (1 - y**2)}
        return ways.get(self.how, g * y * (1 - y))


@pytest.mark.parametrize(
    ("how", "slips"),
    [
        ("right", ()),
        ("at a", ("derivative-at-activation",)),
        ("sign", ("sign",)),
        ("local", ("wrong-delta",)),
        ("sum", ("accumulated",)),
        ("stale", ("stale-cache",)),
        ("tanh", ("wrong-activation",)),
        ("none", ("missing-derivative",)),
    ],
)
@pytest.mark.parametrize("x", [1.5, np.array([0.5, -1.0, 2.0])], ids=["number", "array"])
def test_a_gate_is_checked(how: str, slips: tuple[str, ...], x: Any) -> None:
    report = check_gate(Gate(how), x)
    assert report.ok is (not slips)
    assert report.slips[:1] == slips[:1], report


def test_a_gate_of_two_inputs() -> None:
    class Add:
        def forward(self, x: Any, b: Any) -> Any:
            return x + b

        def backward(self, g: Any) -> Any:
            return g, g

    assert check_gate(Add, 2.0, 3.0).ok
    report = check_gate(Add, np.ones((4, 3)), np.ones(3))
    assert (report.where, report.slips) == ("x2", ("broadcast",))


def test_a_relu_gate_at_its_kink() -> None:
    class ReLU:
        def forward(self, x: Any) -> Any:
            self.x = x
            return np.maximum(0, x)

        def backward(self, g: Any) -> Any:
            return g * (self.x >= 0)

    assert check_gate(ReLU(), np.array([-1.0, 0.0, 2.0])).slips == ("wrong-mask",)


def test_what_is_no_gate_is_refused() -> None:
    with pytest.raises(pc.ArgumentError, match="backward"):
        check_gate(object(), 1.0)


# -- exercises -------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_a_planted_bug_is_readable_and_answered_by_the_checker(seed: int) -> None:
    model = net(2, 3, 1, loss="bce", acts=["tanh", "sigmoid"])
    bug = planted_bug(model, seed)
    assert bug.code in CODES and bug.code not in repr(bug)
    assert "d_W1 = " in bug.source and "import numpy as np" in bug.source
    report = check_backprop(bug.function(), like=model, X=X, y=Y)
    assert not report.ok and bug.code in report.slips
    assert bug.check(bug.code) and planted_bug(model, seed).source == bug.source
    with pytest.raises(pc.ArgumentError, match="unknown slip"):
        bug.check("typo")


def test_a_planted_bug_of_a_kind_that_is_asked_for() -> None:
    model = net(3, 3, 3, 2, loss="cce", acts=["relu", "tanh", "softmax"])
    for code in ("transpose", "wrong-mask", "missing-derivative"):
        assert planted_bug(model, 2, code=code).code == code
    with pytest.raises(pc.ArgumentError, match="no place"):
        planted_bug(model, code="regularization-missing")


# -- forms that were once misread ------------------------------------------------------------------


@pytest.mark.parametrize("form", ["dict", "tuple", "loss first", "lists"])
@pytest.mark.parametrize("summed", [True, False])
def test_a_bias_gradient_that_is_one_number_is_seen(form: str, summed: bool) -> None:
    rng = np.random.default_rng(1)
    X, Y = rng.normal(size=(6, 3)), rng.random((6, 2))
    layers = [pc.Dense(4, "tanh", inputs=3), pc.Dense(2)]

    def student(params: Any, X: Any, y: Any) -> Any:
        a = np.tanh(X @ params["W1"] + params["b1"])
        error = a @ params["W2"] + params["b2"] - y
        d = error / y.size
        h = d @ params["W2"].T * (1 - a**2)
        b1 = np.sum(h) if summed else h.sum(0)
        found = {"dW1": X.T @ h, "db1": b1, "dW2": a.T @ d, "db2": d.sum(0)}
        if form == "lists":
            return {k: np.asarray(v).tolist() for k, v in found.items()}
        if form == "loss first":
            return 0.5 * np.mean(error**2), found
        return tuple(found.values()) if form == "tuple" else found

    report = pc.check_backprop(
        student, like=pc.Sequential(layers, loss="half_mse", seed=1), X=X, y=Y
    )
    assert report.ok is not summed
    assert summed is (report.where == "b1")


def test_a_loss_that_returns_the_gradients_and_takes_labels() -> None:
    class TwoLayers:
        def __init__(self) -> None:
            rng = np.random.default_rng(0)
            self.params = {"W1": rng.normal(size=(3, 5)), "b1": np.zeros(5),
                           "W2": rng.normal(size=(5, 3)), "b2": np.zeros(3)}  # fmt: skip

        def loss(self, X: Any, y: Any = None, reg: float = 0.1) -> Any:
            p, N = self.params, len(X)
            h = np.maximum(0, X @ p["W1"] + p["b1"])
            scores = h @ p["W2"] + p["b2"]
            if y is None:
                return scores
            e = np.exp(scores - scores.max(1, keepdims=True))
            d = e / e.sum(1, keepdims=True)
            weights = sum((p[k] ** 2).sum() for k in ("W1", "W2"))
            loss = -np.log(d[np.arange(N), y]).mean() + reg / 2 * weights
            d[np.arange(N), y] -= 1
            d /= N
            dh = d @ p["W2"].T
            dh[h <= 0] = 0
            return loss, {"W2": h.T @ d + reg * p["W2"], "b2": d.sum(0),
                          "W1": X.T @ dh + reg * p["W1"], "b1": dh.sum(0)}  # fmt: skip

    rng = np.random.default_rng(1)
    layers = [pc.Dense(5, "relu", inputs=3, l2=0.1), pc.Dense(3, "softmax", l2=0.1)]
    like = pc.Sequential(layers, loss="cce", seed=1)
    X, y = rng.normal(size=(6, 3)), rng.integers(0, 3, 6)
    assert pc.check_backprop(TwoLayers(), like=like, X=X, y=y).ok


def test_one_layer_may_call_its_parameters_w_and_b() -> None:
    def student(p: Any, X: Any, y: Any) -> Any:
        error = 1 / (1 + np.exp(-(X @ p["w"] + p["b"]))) - y
        return {"dw": X.T @ error / len(X), "db": np.mean(error)}

    rng = np.random.default_rng(1)
    X, y = rng.normal(size=(6, 3)), rng.integers(0, 2, (6, 1))
    like = pc.Sequential([pc.Dense(1, "sigmoid", inputs=3)], loss="bce")
    assert pc.check_backprop(student, like=like, X=X, y=y).ok
