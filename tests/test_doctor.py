"""The doctor promises: faults are named with proof, healthy training is left in peace."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

import pellucid as pc
from pellucid.check.doctor import CODES, Doctor, Report, diagnose
from pellucid.check.doctor.course import read, verdicts
from pellucid.check.doctor.dependence import chance
from pellucid.check.doctor.findings import found, report
from pellucid.cli import main

MOONS, BLOBS = pc.data.moons(200, 0.15), pc.data.blobs(210)
RNG = np.random.default_rng(0)
LINE = (RNG.normal(size=(120, 3)), None)
LINE = (LINE[0], LINE[0] @ [[1.0], [-2.0], [0.5]] + 0.05 * RNG.normal(size=(120, 1)))
ISSUE = """
    nan-in-data inf-in-data unscaled-features constant-feature duplicate-rows leaked-rows
    label-out-of-range class-imbalance sorted-data shape-broadcast zero-init init-too-large
    init-too-small double-softmax wrong-output-for-loss learning-rate-too-high
    learning-rate-too-low exploding-gradients vanishing-gradients dead-units saturated-units
    oscillating-loss overfitting underfitting plateau ignores-input random-labels
    too-much-regularization too-much-dropout batch-too-small unused-parameter wrong-gradient
    non-finite
""".split()  # noqa: SIM905


def binary(*hidden: Any, act: Any = "relu", loss: Any = "bce", out: Any = "sigmoid", **more: Any):
    layers = [x if isinstance(x, pc.Layer) else pc.Dense(x, act) for x in hidden or (16,)]
    settings: dict[str, Any] = {"optimizer": pc.Adam(0.01)} | more
    return pc.Sequential([*layers, pc.Dense(1, out)], loss=loss, **settings)


def classes(out: Any = "softmax", loss: Any = "cce", rate: float = 0.01, **more: Any):
    layers = [pc.Dense(16, "relu"), pc.Dense(3, out, **more)]
    return pc.Sequential(layers, loss=loss, optimizer=pc.Adam(rate))


def values(loss: Any = "mse", out: Any = None, optimizer: Any = None):
    optimizer = optimizer or pc.Adam(0.01)
    return pc.Sequential([pc.Dense(16, "relu"), pc.Dense(1, out)], loss=loss, optimizer=optimizer)


def first(found: Report) -> str:
    return next((f.code for f in found.findings if f.severity != "info"), "")


def changed(data: Any, place: Any, value: float) -> Any:
    X, y = data[0].copy(), data[1]
    X[place] = value
    return X, y


@dataclass(frozen=True)
class Erased(pc.Layer):
    def __call__(self, x: Any, p: Any) -> Any:
        return 0 * x + 1


@dataclass(frozen=True)
class Idle(pc.Layer):
    def parameters(self, shape: Any) -> Any:
        return {"gain": pc.Parameter(tuple(shape))}

    def __call__(self, x: Any, p: Any) -> Any:
        return 1.0 * x


@pc.custom_gradient(lambda g, a, z: g * (1 - z * z))
def slipped(z: Any) -> Any:
    return np.tanh(z)


@pc.custom_gradient(lambda g, a, z: g)
def straight(z: Any) -> Any:
    return np.sign(z)


def weak(share: float) -> Any:
    ones = np.flatnonzero(MOONS[1] == 1)
    rows = np.sort(np.r_[np.flatnonzero(MOONS[1] == 0), ones[: int(share * 100)]])
    return MOONS[0][rows], MOONS[1][rows]


def wide(seed: int) -> Any:
    """Rows of 15 columns, of which one tells the class, and not always."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(60, 15))
    return X, (X[:, 0] + 0.8 * rng.normal(size=60) > 0).astype(int)


ORDER = np.argsort(MOONS[1], kind="stable")
SINE = RNG.uniform(-1.7, 1.7, (150, 1)), None
SINE = SINE[0], np.sin(3 * SINE[0]) + 0.05 * RNG.normal(size=(150, 1))
EDGE = (MOONS[0], RNG.permutation(MOONS[1]))
TWICE = np.r_[np.arange(200), np.arange(100)]
FAULTS: dict[str, tuple[Callable[[], Any], Any, dict[str, Any]]] = {
    "nan-in-data": (binary, changed(MOONS, (3, 1), np.nan), {}),
    "inf-in-data": (binary, changed(MOONS, (3, 1), np.inf), {}),
    "unscaled-features": (lambda: binary(optimizer=pc.SGD(0.1)), (1000 * MOONS[0], MOONS[1]), {}),
    "constant-feature": (binary, (np.c_[MOONS[0], np.full(200, 2.5)], MOONS[1]), {}),
    "duplicate-rows": (binary, (MOONS[0][TWICE], MOONS[1][TWICE]), {}),
    "leaked-rows": (binary, MOONS, {"validation_data": (MOONS[0][:60], MOONS[1][:60])}),
    "label-out-of-range": (classes, (BLOBS[0], BLOBS[1] + 1), {}),
    "class-imbalance": (binary, weak(0.05), {}),
    "sorted-data": (binary, (MOONS[0][ORDER], MOONS[1][ORDER]), {"shuffle": False}),
    "shape-broadcast": (lambda: values(lambda p, y: ((p[:, 0] - y) ** 2).mean()), LINE, {}),
    "zero-init": (lambda: binary(pc.Dense(16, "relu", init="zeros")), MOONS, {}),
    "init-too-large": (lambda: binary(*[pc.Dense(16, "tanh", init=pc.Normal(30.0))] * 2,
                                      optimizer=pc.SGD(0.1)), MOONS, {}),
    "init-too-small": (lambda: binary(*[pc.Dense(16, "tanh", init=pc.Normal(1e-4))] * 2,
                                      optimizer=pc.SGD(0.1)), MOONS, {}),
    "double-softmax": (lambda: classes(lambda z: pc.softmax(z), "cce_logits"), BLOBS, {}),
    "wrong-output-for-loss": (lambda: binary(out="relu"), MOONS, {}),
    "learning-rate-too-high": (lambda: binary(optimizer=pc.SGD(100.0)), MOONS, {}),
    "learning-rate-too-low": (lambda: binary(optimizer=pc.SGD(1e-7)), MOONS, {}),
    "exploding-gradients": (lambda: binary(*[pc.Dense(24, "relu", init=pc.Normal(0.7))] * 10,
                                           optimizer=pc.SGD(0.01)), MOONS, {}),
    "vanishing-gradients": (lambda: binary(*[pc.Dense(16, "sigmoid")] * 10,
                                           optimizer=pc.SGD(0.1)), MOONS, {}),
    "dead-units": (lambda: binary(pc.Dense(16, "relu", bias_init=-20.0)), MOONS, {}),
    "saturated-units": (lambda: binary(pc.Dense(16, "tanh", bias_init=15.0),
                                       optimizer=pc.SGD(0.1)), MOONS, {}),
    "overfitting": (lambda: binary(64, 64), wide(0), {"validation_data": wide(1)}),
    "underfitting": (lambda: pc.Sequential([pc.Dense(1, "sigmoid")], loss="bce",
                                           optimizer=pc.Adam(0.05)), pc.data.circles(), {}),
    "plateau": (lambda: pc.Sequential(
        [pc.Dense(16, "relu"), pc.Dense(1, "sigmoid", bias_init=-9.0)], loss="mse",
        optimizer=pc.SGD(0.1)), MOONS, {}),
    "ignores-input": (lambda: binary(16, Erased()), MOONS, {}),
    "random-labels": (binary, EDGE, {}),
    "too-much-regularization": (lambda: binary(pc.Dense(16, "relu", l2=10.0)), MOONS, {}),
    "too-much-dropout": (lambda: binary(16, pc.Dropout(0.95), 16, pc.Dropout(0.95)), MOONS, {}),
    "batch-too-small": (lambda: values(optimizer=pc.SGD(0.2)), LINE, {"batch_size": 1}),
    "unused-parameter": (lambda: binary(16, Idle()), MOONS, {}),
    "wrong-gradient": (lambda: binary(act=slipped), MOONS, {}),
    "non-finite": (lambda: binary(act=lambda z: np.log(z)), MOONS, {}),
    "oscillating-loss": (lambda: pc.Sequential(
        [pc.Dense(32, "tanh"), pc.Dense(1)], loss="huber", optimizer=pc.SGD(0.2, momentum=0.9)),
        SINE, {"batch_size": 8}),
}  # fmt: skip
HEALTHY: dict[str, tuple[Callable[[], Any], Any]] = {
    "moons": (binary, MOONS),
    "moons, sgd": (lambda: binary(16, 16, act="tanh", optimizer=pc.SGD(0.3)), MOONS),
    "moons, logits": (lambda: binary(out=None, loss="bce_logits"), MOONS),
    "moons, squared error": (lambda: binary(loss="mse"), MOONS),
    "blobs": (classes, BLOBS),
    "blobs, scores": (lambda: classes(None, "cce_logits"), BLOBS),
    "line": (values, LINE),
    "xor": (lambda: pc.Sequential([pc.Dense(8, "tanh"), pc.Dense(1, "sigmoid")], loss="bce",
                                  optimizer=pc.Adam(0.05)), pc.data.xor()),
    "and": (lambda: pc.Sequential([pc.Dense(1, "sigmoid")], loss="bce", optimizer=pc.SGD(1.0)),
            pc.data.logic_and()),
    "zeros in a linear model": (
        lambda: pc.Sequential([pc.Dense(3, "softmax", init="zeros")], loss="cce",
                              optimizer=pc.SGD(0.5)), BLOBS),
    "dropout": (lambda: binary(32, pc.Dropout(0.2), optimizer=pc.Adam(0.02)), MOONS),
    "digits": (lambda: pc.Sequential([pc.Dense(32, "relu"), pc.Dense(10, "softmax")], loss="cce",
                                     optimizer=pc.Adam(0.005)),
               tuple(part[:500] for part in pc.data.digits())),
}  # fmt: skip


def test_the_codes_are_those_that_were_promised() -> None:
    assert set(ISSUE) <= set(CODES)
    assert set(FAULTS) == set(ISSUE)
    for code in CODES.values():
        assert code.cause
        assert code.remedy
        assert set(code.explains) <= set(CODES)


@pytest.mark.parametrize("code", FAULTS)
def test_a_fault_is_named_with_proof(code: str) -> None:
    make, (X, y), settings = FAULTS[code]
    told = diagnose(make(), X, y, **{"epochs": 100, "budget_seconds": 30.0} | settings)
    assert first(told) == code, str(told)
    assert not told.healthy
    finding = told.findings[0]
    assert finding.sentence
    assert finding.evidence
    tried = finding.counterfactual
    if tried and np.isfinite(tried["loss before"]):
        assert tried["loss after"] < tried["loss before"]


@pytest.mark.parametrize("name", HEALTHY)
def test_healthy_training_is_left_in_peace(name: str) -> None:
    make, (X, y) = HEALTHY[name]
    told = diagnose(make(), X, y, epochs=300 if len(X) < 300 else 40, budget_seconds=30.0)
    assert told.healthy, str(told)
    assert len(told.checked) > 20


# -- how it behaves --------------------------------------------------------------------------------


def test_the_model_is_left_as_it_was() -> None:
    model = binary(act="tanh", optimizer=pc.Adam(1e-7))
    model.fit(*MOONS, epochs=3, verbose=0, backend="numpy")
    params, history = model._numbers.copy(), model.history
    X, y = MOONS[0].copy(), MOONS[1].copy()
    diagnose(model, X, y, epochs=20)
    assert np.array_equal(params.params, model._numbers.params)
    assert all(np.array_equal(a, model._numbers.state[k]) for k, a in params.state.items())
    assert (params.steps, params.epochs) == (model._numbers.steps, model._numbers.epochs)
    assert model.history is history
    assert np.array_equal(X, MOONS[0])
    assert np.array_equal(y, MOONS[1])


def test_a_model_without_parameters_stays_without() -> None:
    model = binary()
    diagnose(model, *MOONS, epochs=5)
    with pytest.raises(pc.NotBuiltError):
        _ = model.params


def test_the_same_model_gets_the_same_report() -> None:
    reports = [diagnose(binary(optimizer=pc.SGD(1e-7)), *MOONS, epochs=30, budget_seconds=60.0)
               for _ in range(2)]  # fmt: skip
    assert reports[0].to_json() == reports[1].to_json()


def test_a_report_prints_in_80_columns_and_is_json() -> None:
    told = diagnose(binary(optimizer=pc.SGD(1e-7)), *MOONS, epochs=30)
    text = str(told)
    assert max(map(len, text.splitlines())) <= 80
    for word in ("learning-rate-too-low", "measured:", "cause:", "remedy:", "tried:", "checked:"):
        assert word in text
    assert repr(told) == text
    parsed = json.loads(json.dumps(told.to_json(), allow_nan=False))
    assert parsed["healthy"] is False
    assert parsed["findings"][0]["code"] == "learning-rate-too-low"
    assert parsed["findings"][0]["evidence"]["threshold"] == 0.02


def test_a_healthy_report_says_what_was_checked() -> None:
    told = diagnose(binary(), *MOONS, epochs=100)
    assert str(told).startswith("nothing found\nchecked: NaN and Inf")
    assert told.healthy


def test_the_budget_is_kept() -> None:
    X, y = pc.data.blobs(20_000, 3, 10)
    model = pc.Sequential([pc.Dense(64, "relu"), pc.Dense(3, "softmax")], loss="cce",
                          optimizer=pc.SGD(1e-7))  # fmt: skip
    told = diagnose(model, X, y, epochs=10_000, budget_seconds=2.0)
    assert told.seconds < 8
    assert first(told) == "learning-rate-too-low"


# -- ranks -----------------------------------------------------------------------------------------


def test_one_cause_is_said_once() -> None:
    told = report(
        [found("dead-units", "warning", ""), found("unscaled-features", "warning", ""),
         found("duplicate-rows", "info", "")], [],
    )  # fmt: skip
    assert [f.code for f in told.findings] == ["unscaled-features", "duplicate-rows"]
    assert told.findings[0].evidence["explains"] == ["dead-units"]


def test_errors_come_before_warnings_and_curiosities_explain_nothing() -> None:
    told = report(
        [found("unscaled-features", "info", ""), found("plateau", "warning", ""),
         found("wrong-gradient", "error", "")], [],
    )  # fmt: skip
    assert [f.code for f in told.findings] == ["wrong-gradient", "unscaled-features"]
    told = report([found("unscaled-features", "info", ""), found("plateau", "warning", "")], [])
    assert [f.code for f in told.findings] == ["plateau", "unscaled-features"]


# -- data ------------------------------------------------------------------------------------------


def test_rows_and_columns_are_named() -> None:
    told = diagnose(binary(), *changed(MOONS, (17, 1), np.nan), epochs=20).findings[0]
    assert told.where == {"array": "X", "rows": [17], "columns": [1]}
    assert told.counterfactual is not None
    assert told.counterfactual["score after"] > 0.5


def test_repeated_rows_of_a_truth_table_are_no_fault() -> None:
    X, y = (np.tile(part, (20, 1)) for part in pc.data.xor())
    model = pc.Sequential([pc.Dense(8, "tanh"), pc.Dense(1, "sigmoid")], loss="bce",
                          optimizer=pc.Adam(0.05))  # fmt: skip
    assert diagnose(model, X, y, validation_data=(X[:8], y[:8]), epochs=200).healthy


def test_three_classes_and_one_sigmoid_is_a_wrong_output() -> None:
    told = diagnose(binary(), *BLOBS, epochs=20).findings[0]
    assert told.code == "wrong-output-for-loss"
    assert "Dense(3" in told.remedy


@pytest.mark.parametrize(
    ("make", "y"),
    [
        (lambda: classes("sigmoid"), BLOBS[1]),
        (lambda: classes("relu"), BLOBS[1]),
        (lambda: values(out="sigmoid"), None),
        (lambda: binary(out="relu", loss="bce_logits"), MOONS[1]),
        (lambda: values("hinge", "relu"), 2.0 * MOONS[1] - 1),
    ],
)
def test_outputs_are_judged_by_what_they_can_be(make: Callable[[], Any], y: Any) -> None:
    X = {210: BLOBS[0], 200: MOONS[0]}.get(0 if y is None else len(y), LINE[0])
    told = diagnose(make(), X, LINE[1] if y is None else y, epochs=20)
    assert first(told) == "wrong-output-for-loss"


def test_a_softmax_inside_a_custom_loss_is_seen() -> None:
    model = classes("softmax", lambda p, y: pc.cce_logits(p, y))
    assert first(diagnose(model, BLOBS[0], np.eye(3)[BLOBS[1]], epochs=20)) == "double-softmax"
    model = classes("softmax", lambda p, y: pc.cce(p, y))
    assert diagnose(model, BLOBS[0], np.eye(3)[BLOBS[1]], epochs=100).healthy


def test_a_gradient_that_is_meant_is_no_error() -> None:
    told = diagnose(binary(16, act=straight), *MOONS, epochs=20)
    assert "wrong-gradient" not in [f.code for f in told.findings if f.severity == "error"]


def test_dependence_needs_no_training() -> None:
    X, y = MOONS
    assert chance(X, np.eye(2)[y], 0) < 0.02
    assert chance(X, np.eye(2)[np.random.default_rng(3).permutation(y)], 0) > 0.01


@pytest.mark.parametrize("bad", [{"epochs": -1}, {"batch_size": 0}, {"validation_data": 3}])
def test_settings_are_checked(bad: dict[str, Any]) -> None:
    with pytest.raises(pc.PellucidError):
        diagnose(binary(), *MOONS, **bad)


def test_what_is_no_finding_is_refused() -> None:
    with pytest.raises(pc.DtypeError):
        diagnose("model", *MOONS)
    with pytest.raises(pc.ArgumentError):
        diagnose(pc.Sequential([pc.Dense(1)]), *MOONS)
    with pytest.raises(pc.ShapeError):
        diagnose(binary(), MOONS[0], MOONS[1][:5])


# -- during training -------------------------------------------------------------------------------


def test_curves_alone_raise_suspicions() -> None:
    falling = list(np.geomspace(1, 0.01, 40))
    assert not list(verdicts(falling))
    swinging = [1.0 if k % 2 else 0.3 for k in range(40)]
    assert [f.code for f in verdicts(swinging)] == ["oscillating-loss"]
    assert [f.code for f in verdicts(list(np.linspace(1, 3, 40)))] == ["learning-rate-too-high"]
    assert [f.code for f in verdicts([0.69] * 40)] == ["plateau"]
    apart = list(np.linspace(0.5, 0.3, 20)) + list(np.linspace(0.3, 1.2, 40))
    assert [f.code for f in verdicts(list(np.geomspace(1, 0.01, 60)), apart)] == ["overfitting"]
    assert [f.code for f in verdicts([1.0, np.nan])] == ["non-finite"]
    assert read([0.69] * 40).flat


def test_the_callback_leaves_a_report() -> None:
    doctor = Doctor()
    binary().fit(*MOONS, epochs=30, verbose=0, callbacks=[doctor])
    assert doctor.report is not None
    assert doctor.report.healthy


def test_the_callback_with_data_tries_remedies() -> None:
    doctor = Doctor(*MOONS)
    model = binary(optimizer=pc.SGD(1e-7))
    model.fit(*MOONS, epochs=60, verbose=0, callbacks=[doctor])
    assert doctor.report is not None
    assert first(doctor.report) == "learning-rate-too-low"


def test_the_callback_sees_a_run_that_blows_up() -> None:
    doctor = Doctor()
    with contextlib.suppress(pc.PellucidError, pc.PellucidWarning):
        values(optimizer=pc.SGD(50.0)).fit(*LINE, epochs=30, verbose=0, callbacks=[doctor])
    assert doctor.report is not None
    assert first(doctor.report) == "non-finite"


def test_a_run_that_someone_ended_is_no_fault() -> None:
    doctor = Doctor()
    stop = pc.LambdaCallback(on_epoch_end=lambda epoch, logs: epoch == 9 and stop.stop("enough"))
    binary().fit(*MOONS, epochs=30, verbose=0, callbacks=[doctor, stop])
    assert doctor.report is not None
    assert doctor.report.healthy


# -- the command -----------------------------------------------------------------------------------


def test_the_command(tmp_path: Any, capsys: Any) -> None:
    path = tmp_path / "table.csv"
    lines = ["a,b,kind", *(f"{a:.4f},{b:.4f},{'up' if k else 'down'}" for (a, b), k in
                           zip(*MOONS, strict=True))]  # fmt: skip
    path.write_text("\n".join(lines))
    assert main(["doctor", str(path), "--target", "kind", "--epochs", "80"]) == 0
    assert "nothing found" in capsys.readouterr().out
    path.write_text("\n".join([*lines, "NA,1.0,up"]))
    assert main(["doctor", str(path), "--target", "kind", "--json"]) == 0
    told = capsys.readouterr()
    assert json.loads(told.out)["healthy"] is True  # filled, as `train` does
    assert "column 'a' has 1 missing value (line" in told.err
    assert main(["doctor", str(path), "--target", "sort"]) == 2
    path.write_text("a,b,kind\nred,1,2\nblue,2,2")
    assert main(["doctor", str(path), "--target", "kind"]) == 2
    assert "nothing to learn" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_healthy_over_seeds(seed: int) -> None:
    for make, data in HEALTHY.values():
        model = replace_seed(make(), seed)
        if len(data[0]) > 20:
            assert "error" not in [f.severity for f in diagnose(model, *data, epochs=100).findings]


def replace_seed(model: Any, seed: int) -> Any:
    return model.reset(seed)


def test_sanity_is_measured_but_not_judged() -> None:
    X, y = pc.data.moons(120)
    layers = [pc.Dense(16, "relu", l2=1e-4), pc.Dense(1, "sigmoid")]
    model = pc.Sequential(layers, loss="bce", optimizer=pc.Adam(0.01), seed=0)
    told = pc.diagnose(model, X, y, epochs=60)
    few, some = told.sanity["a batch of 10"], told.sanity["20 samples"]
    assert few["loss after"] < 0.1 * few["loss before"] and few["score after"] == 1
    assert some["score after"] > 0.9
    labels = told.sanity["random labels"]
    assert labels["loss on shuffled labels"] > labels["loss on true labels"]
    penalty = told.sanity["penalties"]
    assert penalty["loss with penalties"] > penalty["loss without"]
    assert told.healthy and "measured on a batch of 10: loss before" in str(told)
    assert max(map(len, str(told).split("\n"))) <= 80
    assert (
        json.loads(json.dumps(told.to_json(), allow_nan=False))["sanity"]["20 samples"][
            "score after"
        ]
        > 0.9
    )


def test_the_callback_is_told_of_a_failure() -> None:
    X, y = pc.data.moons(80)
    model = pc.Sequential([pc.Dense(8, "relu"), pc.Dense(1)], loss="mse", optimizer=pc.SGD(1e6))
    doctor = pc.Doctor()
    with pytest.raises(pc.NonFiniteError):
        model.fit(X, y, epochs=30, verbose=0, callbacks=[doctor])
    assert doctor.report is not None
    assert [f.code for f in doctor.report.findings] == ["non-finite"]


# -- tables whose rows coincide by themselves, and other innocents ---------------------------------


def one_hot(rng: Any, n: int = 200, levels: int = 5) -> Any:
    a, b, c = rng.integers(0, levels, (3, n))
    eye = np.eye(levels)
    return np.hstack([eye[a], eye[b], eye[c]]), (a + b >= levels - 1).astype(int)


def rounded(rng: Any) -> Any:
    y = rng.integers(0, 2, 150)
    return np.round(rng.normal(size=(150, 2)) * 0.4 + np.c_[2 * y, y], 1), y


@pytest.mark.parametrize("table", [one_hot, rounded])
def test_rows_that_coincide_by_chance_are_no_alarm(table: Any) -> None:
    train, held = table(np.random.default_rng(0)), table(np.random.default_rng(1))
    layers = [pc.Dense(16, "relu"), pc.Dense(1, "sigmoid")]
    model = pc.Sequential(layers, loss="bce", optimizer=pc.Adam(0.01), seed=0)
    assert pc.diagnose(model, *train, epochs=80, validation_data=held).healthy


def test_what_once_raised_something_else() -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 2))
    y = (X[:, 0] > 0).astype(int)
    layers = [pc.Dense(8, "relu"), pc.Dense(1, "sigmoid")]
    model = pc.Sequential(layers, loss="bce", optimizer=pc.Adam(0.01), seed=0)
    empty = pc.diagnose(model, np.c_[X, np.full(60, np.nan)], y)
    assert empty.findings[0].code == "nan-in-data"
    with pytest.raises(pc.ShapeError):
        pc.diagnose(model, X, y, validation_data=(X[:, :1], y))
    zero = pc.Sequential([pc.Dense(1)], loss="hinge", optimizer=pc.SGD(0.5))
    assert pc.diagnose(zero, 3 * np.sign(X), np.sign(X[:, :1]), epochs=200).healthy
    flat = [pc.Dense(1), pc.Activation(lambda x: x[:, 0])]
    own = pc.Sequential(flat, loss=lambda p, t: pc.mean((p - t) ** 2), optimizer=pc.Adam(0.05))
    assert pc.diagnose(own, X, X[:, 0], epochs=60).healthy
