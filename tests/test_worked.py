"""The worked exercises: every number of the documents, blanks, marks, readings, the command."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pellucid
from pellucid.cli import main
from pellucid.errors import ArgumentError
from pellucid.exercises import Worked, worked
from pellucid.exercises.shelf import exercises

NAMES = list(worked())
SOLVED: dict[str, Worked] = {}


def solved(name: str) -> Worked:
    """Solve an exercise once for all tests."""
    if name not in SOLVED:
        SOLVED[name] = worked(name)
    return SOLVED[name]


# What the documents show, in digits: each within half a unit of the last.
SHOWN: dict[str, dict[str, str]] = {
    "A/linear neuron": {"z": ".6", "parameters": "4"},
    "A/sigmoid neuron": {"a": ".645656", "slope": ".228784"},
    "A/ReLU neuron": {"a": ".6", "slope": "1", "z_neg": "-.4", "a_neg": "0", "slope_neg": "0"},
    "A/four activations": {
        "sigmoid": ".1192 .2689 .5 .7311 .8808",
        "tanh": "-.9640 -.7616 0 .7616 .9640",
        "relu": "0 0 0 1 2",
        "leaky_relu": "-.02 -.01 0 1 2",
        "range_sigmoid": "0 1",
        "range_tanh": "-1 1",
    },
    "A/derivatives": {
        "dsigmoid": ".1966",
        "dtanh": ".4200",
        "drelu": "1",
        "dsigmoid_far": ".00665 .00665",
        "dtanh_far": ".00987 .00987",
    },
    "A/softmax": {
        "shares": ".6590 .2424 .0986",
        "sum": "1",
        "class": "0",
        "shifted": ".6590 .2424 .0986",
        "stable": ".5 .5 0",
    },
    "A/why non-linear": {"z1": "3 7", "out": "17", "W": "7 10", "collapsed": "17"},
    "A/2-3-1 forward": {
        "z1": "1 1.4 1.8",
        "a1": ".731059 .802184 .858149",
        "z2": "5.409873",
        "out": ".995548",
    },
    "A/batch": {
        "z1": "1 1.4 1.8 .75 1.05 1.35",
        "out": ".995548 .993588",
        "one_by_one": ".995548 .993588",
        "shape_z1": "2 3",
        "shape_a1": "2 3",
        "shape_z2": "2 1",
        "shape_a2": "2 1",
    },
    "A/2-4-3-1": {"shape_W1": "2 4", "shape_W2": "4 3", "shape_W3": "3 1", "parameters": "31"},
    "A/one-neuron gradient": {"y": ".750260", "L": ".031185", "dw": "-.093587", "db": "-.046794"},
    "A/1-2-1 backprop": {
        "y": ".675187",
        "L": ".052752",
        "delta2": "-.071235",
        "dW2": "-.045993 -.044341",
        "delta1": "-.006519 -.010044",
    },
    "A/1-2-1 backprop with ReLU": {
        "a1": ".6 .5",
        "y": ".654753",
        "L": ".059598",
        "delta2": "-.078043",
        "dW2": "-.046826 -.039022",
        "delta1": "-.031217 -.046826",
    },
    "A/vanishing gradient": {"sigmoid": "9.54e-7", "relu": "1", "steepest": ".25"},
    "A/gradient descent": {"w": ".47 .44 .41 .38 .35", "b": ".08 .06 .04 .02 0"},
    "A/mini-batches": {"updates_10": "10", "updates_1": "100", "updates_100": "1"},
    "A/learning rates": {"down": ".499 .4 -.5", "up": ".501 .6 1.5"},
    "A/gradient check": {"dw": "-.105754", "numeric": "-.105754"},
    "B/chain rule, temperature": {"dh": "-10.8"},
    "B/chain rule, square": {"df": "-12 6 15 24"},
    "B/chain rule, sigmoid": {"dx": ".393224"},
    "B/chain rule, three steps": {"dx": "-1.678650"},
    "B/chain rule, several paths": {"path_1": "24", "path_2": ".393224", "dx": "24.393224"},
    "B/one sigmoid neuron": {
        "y_hat": ".622459",
        "L": ".142537",
        "dz": "-.177447",
        "dw": "-.354894",
        "db": "-.177447",
    },
    "B/2-2-1": {
        "z1": ".6 -.3",
        "a1": ".645656 .425557",
        "z2": ".417171",
        "y_hat": ".602806",
        "L": ".157763",
        "delta2": "-.190201",
        "dW2": "-.122804 -.080941",
        "delta1": "-.026109 .018598",
        "W2_new": ".722804 -.319059",
        "b2_new": ".390201",
        "W1_new": ".526109 .3 -.218598 .8",
        "b1_new": ".126109 -.118598",
    },
    "B/1-1-1": {
        "y_hat": ".469423",
        "L": ".220358",
        "delta2": ".233834",
        "dW2": ".145552",
        "delta1": "-.054952",
        "W2_new": "-1.145552",
        "b2_new": ".266166",
        "W1_new": ".554952",
        "b1_new": ".054952",
    },
    "C/gates": {"multiply": "-12", "dmultiply": "-4 3", "dadd": "1 1", "drelu": "0"},
    "C/(x + y) z": {"q": "5", "f": "20", "dx": "4", "dy": "4", "dz": "5"},
    "C/sigmoid of x y + z": {
        "f": ".006693",
        "dz": ".006648",
        "dx": "-.019944",
        "dy": ".013296",
        "numeric": "-.019944 .013296 .006648",
    },
    "C/(x + 1)(2x)": {"L": "24", "path_1": "6", "path_2": "8", "dx": "14"},
    "C/(a + b)(b + c)": {"da": "5", "db": "8", "dc": "3"},
    "C/currency chain": {"pound": ".748", "ddollar": ".748", "deuro": ".88"},
    "C/slopes of (3x + 1)²": {"df": "-12 6 15 24", "inner": "3 3 3 3"},
    "C/2-3-1 cross-entropy": {
        "z1": ".6 1.2 1.8",
        "z2": "3.1",
        "y_hat": ".956893",
        "L": ".044064",
        "dz2": "-.043107",
        "dW2": "-.025864 -.051729 -.077593",
        "dh": "-.030175 -.034486 -.038797",
        "dW1": "-.030175 -.060350 -.034486 -.068972 -.038797 -.077593",
    },
    "C/squared error or cross-entropy": {
        "mse": ".9801",
        "bce": "4.605",
        "slope_mse": ".0196",
        "slope_bce": ".99",
    },
    "C/gradient flow": {"chain": "9.77e-4 1 57.67 1024"},
    "C/cost of numerical gradients": {"weights_4": "17", "losses_4": "34", "losses_64": "514"},
    "C/one neuron: AND, OR, XOR": {"right_and": "4", "right_or": "4"},
    "C/clipping": {"cosine_together": "1.000000", "each": "3 4 0 5"},
    "D/losses": {"softmax": ".090031 .244728 .665241", "bce": ".197635", "cce": ".356675"},
    "D/momentum": {"plain": ".9 .71 .439", "dampened": ".99 .971 .9439"},
    "E/ReLU neuron": {"z": "1.1", "L": ".01", "dw": ".4", "db": ".2"},
    "E/cross-entropy of Bernoulli": {
        "losses": ".126928 .201413 .313262 .474077 .126928",
        "mean": ".248522",
        "gradient": "-.119203 .182426 -.268941 -.377541 .119203",
    },
}
TRAINED = [n for n in NAMES if n.startswith("A2/") or n in ("A/diagnosis",
    "B/XOR 2-4-1", "B/architecture experiment", "B/circle data", "C/XOR 2-4-1",
    "A/mini-batches", "D/batch sizes", "C/cost of numerical gradients")]  # fmt: skip


def assert_shows(found: Any, shown: str, what: str) -> None:
    numbers, words = np.asarray(found, float).ravel(), shown.split()
    assert len(numbers) == len(words), f"{what}: {numbers} is not {shown}"
    for number, word in zip(numbers, words, strict=True):
        mantissa, _, power = word.partition("e")
        unit = 10.0 ** (int(power or 0) - len(mantissa.partition(".")[2]))
        assert abs(number - float(word)) <= 0.5001 * unit, f"{what}: {number!r} is not {word}"


@pytest.mark.parametrize("name", SHOWN)
def test_every_number_of_the_documents(name: str) -> None:
    found, told = solved(name), json.loads(json.dumps(solved(name).to_json()))
    for key, shown in SHOWN[name].items():
        assert_shows(found.values[key], shown, key)
        assert_shows(told["values"][key], shown, f"{key} in JSON")


def test_the_numbers_themselves() -> None:
    assert solved("A/2-3-1 forward").values["z1"] == pytest.approx([1, 1.4, 1.8], rel=1e-15)
    assert solved("A/ReLU neuron").values["dead"] is True
    assert solved("A/four activations").values["range_relu"] == [0, np.inf]
    assert solved("A/four activations").to_json()["values"]["range_relu"] == [0, "inf"]
    check = solved("A/gradient check").values
    assert (check["L_plus"] - check["L_minus"]) / 2e-5 == pytest.approx(check["dw"], rel=1e-7)
    assert check["relative_error"] < 1e-7
    forward = solved("A/2-4-3-1").values
    assert [forward[k] for k in ("z1", "a1")] == ["x @ W1 + b1", "ReLU(z1)"]


def test_what_is_measured() -> None:
    left = solved("A/vanishing gradient").values
    assert left["left_sigmoid"] < 1e-3 < 1e-2 < left["left_relu"] < 1e2
    noise = solved("A/mini-batches").values
    assert noise["noise_1"] > noise["noise_10"] > noise["noise_100"] == 0
    flow = solved("C/gradient flow").values
    assert flow["relu"][0] < 0.02 < 0.1 < flow["relu"][1] < 10 < flow["relu"][2] < flow["relu"][3]
    assert max(flow["sigmoid"]) < 0.01
    assert flow["plain"] < 0.1 < flow["residual"]
    for size in ("2-2-1", "3-4-1", "2-3-2"):
        found = solved("B/gradient checking").values
        assert found[f"pass_{size}"] is True and found[f"rel_{size}"] < 1e-5
    assert solved("E/2-4-3-2-1").values["largest_error"] < 1e-8
    clip = solved("C/clipping").values
    assert clip["cosine_each"] < 0.99 and np.linalg.norm(clip["together"]) == pytest.approx(5)
    assert solved("C/one neuron: AND, OR, XOR").values["right_xor"] <= 3
    tanh = solved("C/2-3-1 with tanh").values
    assert np.allclose(tanh["dz1"], np.array(tanh["dh"]) * (1 - np.square(tanh["h"])), rtol=1e-12)


def test_what_row_d_measures() -> None:
    jacobian = solved("D/softmax with any loss").values
    for loss in ("mse", "cce"):
        np.testing.assert_allclose(jacobian[loss], jacobian[f"{loss}_numeric"], atol=1e-8)
    a, y = np.array(jacobian["a"]), np.array([0, 1, 0])
    np.testing.assert_allclose(jacobian["cce"], a - y, rtol=1e-12)
    np.testing.assert_allclose(jacobian["jacobian"], np.diag(a) - np.outer(a, a), rtol=1e-12)
    np.testing.assert_allclose(jacobian["mse_unchanged"], 2 * (a - y) / 3, rtol=1e-12)
    spread = solved("D/initialization").values
    wanted = {"relu_small": 6e-24, "relu_large": 7e16, "relu_rule": 0.56}
    wanted |= {"tanh_small": 1e-20, "tanh_large": 0.92, "tanh_rule": 0.051}
    for key, printed in wanted.items():
        assert abs(np.log10(spread[key] / printed)) < 0.7, key
    assert spread["mean"] > 0.2


def test_the_sanity_checks_hold() -> None:
    first = solved("A2/initial loss").values
    for count in (2, 3, 10):
        assert first[f"loss_{count}"] == pytest.approx(np.log(count), rel=1e-12)
        assert first[f"guess_{count}"] == pytest.approx(np.log(count), rel=1e-12)
    ten = solved("A2/overfit ten samples").values
    assert ten["loss_last"] < 0.01 * ten["loss_first"] and ten["accuracy"] == 1
    assert solved("A2/memorize twenty").values["accuracy"] > 0.99
    assert solved("A2/regularization").values["higher"] is True
    assert abs(solved("A2/random baseline").values["untrained"] - 1 / 3) < 0.05
    assert solved("A2/random baseline").values["always_0"] == pytest.approx(0.99)
    assert solved("A2/NaN loss").values["stopped"] is True
    assert solved("A2/NaN loss").values["loss_fixed"] < 0.1
    flat = solved("A2/flat loss").values
    assert flat["on"] == flat["gradient"] == 0 and flat["loss_fixed"] < 0.5 < flat["loss_flat"]
    over = solved("A2/overfitting").values
    assert over["train"] > 0.98 and over["validation"] < 0.7 < 0.85 < over["validation_fixed"]
    waves = solved("A2/oscillating loss").values
    assert waves["rises_high"] > 20 > waves["rises_low"] and waves["loss_low"] < waves["loss_high"]


def test_the_diagnosis_names_all_four() -> None:
    found = solved("A/diagnosis")
    assert len(found.parts) == 4 and found.values["nan_stopped"] is True
    assert found.values["gap_train"] > 0.98 and found.values["gap_validation"] < 0.7
    assert found.values["waves_rises_high"] > 20 > found.values["waves_rises_low"]
    assert found.values["flat_gradient"] == 0 and "A2/flat loss" in str(found)


def test_what_is_trained() -> None:
    xor = solved("B/XOR 2-4-1").values
    assert xor["right"] == 4 and xor["loss"] < 1e-3
    assert xor["shape_W1"] == [2, 4] and xor["shape_delta1"] == [4, 4]
    rates = worked("B/architecture experiment", starts=12).values
    assert rates["rate_1"] == 0 < rates["rate_2"] and rates["rate_4"] == rates["rate_8"] == 1
    found = worked("C/XOR 2-4-1", starts=12).values
    assert 0.3 < found["rate_2-4-1_1"] < 1 and 0.6 < found["rate_2-8-1_0.5"] <= 1
    spiral = solved("D/batch sizes").values
    assert spiral["loss_1"] < spiral["loss_50"] < spiral["loss_300"]
    assert spiral["accuracy_10"] > spiral["accuracy_300"]
    circle = solved("B/circle data").values
    assert circle["accuracy"] > 0.9 and 0.88 < circle["true_rule"] < 1


# -- where the documents are wrong -----------------------------------------------------------------

WRONG = {
    "A/why non-linear": "16",
    "A/gradient check": "0.0361",
    "B/gradient checking": "missing-output-mean",
    "B/spot the bug": "identical",
    "B/circle data": "0.707",
    "D/losses": "Z -= max",
    "D/softmax with any loss": "unchanged",
    "D/initialization": "LeCun",
    "D/batch sizes": "floor(m / batch)",
    "D/momentum": "dampening",
}


@pytest.mark.parametrize("name", WRONG)
def test_the_solution_says_where_the_document_is_wrong(name: str) -> None:
    assert any(WRONG[name] in remark for remark in solved(name).remarks)
    assert "Where the document is wrong" in str(solved(name))
    gaps = exercises()[name].worked(True)
    assert not gaps.remarks and "Where the document is wrong" not in str(gaps)


# -- every exercise --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_every_exercise_reads_well(name: str) -> None:
    found = solved(name)
    assert found.question.endswith((".", "?")) and len(found.question) > 30
    assert found.parts and found.values
    for each in found.parts:
        assert each.heading and each.says.endswith((".", ":", "!"))
        assert not each.so or each.so.endswith(".")
    assert found.row in ("A", "A2", "B", "C", "D", "E") and name.startswith(f"{found.row}/")
    for width in (80, 60, 40):
        assert max(map(len, found.to_text(width).splitlines())) <= width
    assert str(found) == found.to_text() == repr(found)
    for key in found.values:
        assert any(entry.key == key for part in found.parts for entry in part.entries)


class Balance(HTMLParser):
    """Counts what is open."""

    def __init__(self) -> None:
        HTMLParser.__init__(self)
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag not in ("mspace", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: Any) -> None:
        pass


@pytest.mark.parametrize("name", NAMES)
def test_every_reading(name: str) -> None:
    for found in (solved(name), blank(name)):
        page = Balance()
        page.feed(found.to_html())
        assert not page.open and "<script" not in found.to_html()
        assert found.to_markdown().startswith("# ")
        assert found.to_markdown().count("$$") % 2 == 0
        told = json.dumps(found.to_json(), allow_nan=False)
        assert json.loads(told)["name"] == name
        assert list(found.to_json()["values"]) == list(solved(name).values)


# -- blanks ----------------------------------------------------------------------------------------


def blank(name: str) -> Worked:
    """Return an exercise with gaps, without training it again."""
    found = solved(name)
    parts = tuple(part.blank() for part in found.parts)
    return Worked(name, found.title, found.question, parts, (), found.plots, True, found.answers)


@pytest.mark.parametrize("name", NAMES)
def test_blanks_do_not_tell(name: str) -> None:
    found, gaps = solved(name), blank(name)
    readings = (gaps.to_text(), gaps.to_markdown(), gaps.to_html(), json.dumps(gaps.to_json()))
    given = found.question
    for key, value in found.values.items():
        assert (
            f"____ ({key})" in gaps.to_text().replace("\n", " ").replace("  ", " ") or len(key) > 9
        )
        assert gaps.values[key] is None
        for number in np.ravel(value) if not isinstance(value, (str, bool)) else []:
            digits = f"{abs(number):.6f}".rstrip("0")
            if len(digits) > 5 and np.isfinite(number) and digits not in given:
                for reading in readings:
                    assert digits not in reading.split("</style>")[-1], f"{key}: {digits}"
    assert not gaps.remarks and not any(part.so for part in gaps.parts)


def test_blanks_through_the_public_entry() -> None:
    gaps = worked("A/2-3-1 forward", blanks=True)
    assert gaps.blanks and gaps.values == dict.fromkeys(("z1", "a1", "z2", "out"))
    assert "z1 = x @ W1 + b1 = ____ (z1)" in str(gaps) and "0.995548" not in str(gaps)
    assert gaps.check({"z1": [1, 1.4, 1.8], "a1": "[.7311 .8022 .8581]", "z2": 5.41}).score == 2
    assert not worked("A/2-3-1 forward").blanks


# -- marks -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_right_answers_are_right_and_wrong_ones_wrong(name: str) -> None:
    found = solved(name)
    assert found.check(found.values).ok
    marks = found.check({key: moved(value) for key, value in found.values.items()})
    for mark in marks.marks:
        assert not mark.right, f"{mark.name}: {mark.given} is taken for {mark.expected}"
    assert marks.score == 0 and marks.total == len(found.values)


def moved(value: Any) -> Any:
    """Return a wrong answer of the same shape."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return f"{value} + 1"
    array = np.array(value, float)
    array.ravel()[-1] = 0.25 + 1.01 * array.ravel()[-1] if np.isfinite(array.ravel()[-1]) else 3
    return array.tolist()


FORWARD = "A/2-3-1 forward"
ANSWERS = [  # name, key, answer, whether it is right, what is said
    (FORWARD, "z1", [1, 1.4, 1.8], True, "right"),
    (FORWARD, "z1", [[1, 1.4, 1.8]], True, "right"),
    (FORWARD, "z1", "[1, 1.4, 1.8]", True, "right"),
    (FORWARD, "z1", ["1.0", "1.4", "1.8"], True, "right"),
    (FORWARD, "z1", np.array([1, 1.4, 1.8]), True, "right"),
    (FORWARD, "z1", [1, 1.4], False, "its shape is 2, 3 is asked for"),
    (FORWARD, "z1", [[1, 2], [3, 4]], False, "its shape is 2×2, 3 is asked for"),
    (FORWARD, "z1", [1, 1.4, 1.9], False, "2 of 3 numbers are right, not at 2"),
    (FORWARD, "z1", [-1, -1.4, -1.8], False, "look at the sign"),
    (FORWARD, "z1", [2, 2.8, 3.6], False, "a factor 2 too much"),
    (FORWARD, "z1", [0.5, 0.7, 0.9], False, "a factor 2 is missing"),
    (FORWARD, "z1", "apple", False, "'apple' is not a number"),
    (FORWARD, "z1", [], False, "its shape"),
    (FORWARD, "z1", [[1], [1, 2]], False, "not a number, nor a list"),
    (FORWARD, "z1", "", False, "no answer yet"),
    (FORWARD, "a1", [1, 1.4, 1.8], False, "this is z1"),
    (FORWARD, "out", "0.996", True, "right"),
    (FORWARD, "out", "1.0", True, "right"),
    (FORWARD, "out", "0.99", False, "not this value"),
    (FORWARD, "out", ".995548", True, "right"),
    (FORWARD, "out", 0.9950, True, "right"),
    (FORWARD, "out", 0.9940, False, "not this value"),
    (FORWARD, "out", "9.96e-1", True, "right"),
    (FORWARD, "out", float("nan"), False, "not this value"),
    ("A/softmax", "shares", "[0.66, 0.24, 0.099]", True, "right"),
    ("A/softmax", "shares", "[0.66, 0.24, 0.08]", False, "2 of 3 numbers"),
    ("A/softmax", "shares", [0.0986, 0.2424, 0.6590], False, "in reverse order"),
    ("A/softmax", "class", "0", True, "right"),
    ("B/2-2-1", "dW1", [[-0.026109, 0], [0.018598, 0]], True, "right"),
    ("B/2-2-1", "dW1", [[-0.026109, 0.018598], [0, 0]], False, "this is the transpose"),
    ("B/2-2-1", "W1_new", "[[.526109, .3], [-.218598, .8]]", True, "right"),
    ("B/2-2-1", "delta1", "[-0.03, 0.02]", False, "write two digits at least"),
    ("B/2-2-1", "δ1", "[−0.0261, 0.0186]", True, "right"),
    ("B/one sigmoid neuron", "∂L/∂w", -0.354894, True, "right"),
    ("B/one sigmoid neuron", "dL/dw", -0.1774, False, "factor 2 is missing"),
    ("B/one sigmoid neuron", "ŷ", ".6225", True, "right"),
    ("B/1-1-1", "dw2", ".145552", True, "right"),
    ("A/ReLU neuron", "dead", "yes", True, "right"),
    ("A/ReLU neuron", "dead", False, False, "not this value"),
    ("A/ReLU neuron", "slope_neg", 0, True, "right"),
    ("A/ReLU neuron", "slope_neg", "0", True, "right"),
    ("A/2-4-3-1", "z1", "x@W1+b1", True, "right"),
    ("A/2-4-3-1", "a3", "sigmoid(z3)", True, "right"),
    ("A/2-4-3-1", "z1", "W1 x + b1", False, "not this value"),
    ("A/four activations", "range_relu", [0, float("inf")], True, "right"),
    ("A/four activations", "range_relu", [0, 2], False, "1 of 2"),
    ("A/four activations", "range_relu", [0, 1], False, "this is range_sigmoid"),
    ("A/four activations", "range_leaky_relu", [float("inf"), 1], False, "not this value"),
    ("A/gradient descent", "b", "[0.08, 0.06, 0.04, 0.02, 0]", True, "right"),
]


@pytest.mark.parametrize(("name", "key", "answer", "right", "says"), ANSWERS)
def test_marks(name: str, key: str, answer: Any, right: bool, says: str) -> None:
    marks = solved(name).check({key: answer})
    mark = next((m for m in marks.marks if m.given is not None), marks.marks[0])
    assert mark.right is right and says in mark.says, mark
    assert marks.score == int(right) and not marks.ok


def test_transposes_are_named() -> None:
    found = solved("C/2-3-1 cross-entropy")
    turned = found.check({"dW1": np.transpose(found.values["dW1"])})["dW1"].says
    assert turned == "wrong: its shape is 2×3, 3×2 is asked for: this is the transpose"
    other = found.check({"dW1": np.ones((2, 3))})["dW1"].says
    assert other == "wrong: its shape is 2×3, 3×2 is asked for"


def test_a_tolerance_of_ones_own() -> None:
    found = solved(FORWARD)
    assert not found.check({"out": 0.99})["out"].right
    assert found.check({"out": 0.99}, tolerance=0.01)["out"].right
    assert not found.check({"out": "0.996"}, tolerance=1e-6)["out"].right
    with pytest.raises(ArgumentError, match="tolerance is -1"):
        found.check({"out": 1.0}, tolerance=-1)


def test_marks_as_a_page() -> None:
    marks = solved(FORWARD).check({"z1": [1, 1.4, 1.8], "out": -1})
    assert str(marks).splitlines()[0] == "1 of 4 right"
    assert "no answer yet" in str(marks) and not marks
    assert max(map(len, str(marks).splitlines())) <= 80
    assert marks["z1"].right and marks["z1"].expected == pytest.approx([1, 1.4, 1.8])
    assert "0.995" not in str(marks)
    with pytest.raises(ArgumentError, match="unknown answer 'z9'"):
        marks["z9"]


@pytest.mark.parametrize("answers", [{"z9": 1}, [1, 2]])
def test_answers_to_what_is_not_asked(answers: Any) -> None:
    with pytest.raises(ArgumentError):
        solved(FORWARD).check(answers)


# -- finding one -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ("A/2-3-1 forward", "A/2-3-1 forward"),
        ("a/2-3-1 FORWARD", "A/2-3-1 forward"),
        ("2-3-1 forward", "A/2-3-1 forward"),
        ("2-2-1", "B/2-2-1"),
        ("1-2-1 backprop", "A/1-2-1 backprop"),
        ("  currency ", "C/currency chain"),
    ],
)
def test_names(asked: str, name: str) -> None:
    assert worked(asked).name == name


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ("A/2-3-1 forwards", 'did you mean "A/2-3-1 forward"'),
        ("ReLU neuron", "'A/ReLU neuron', 'E/ReLU neuron'"),
        ("2-3-1", "'C/2-3-1 with tanh'"),
        ("", "known:"),
    ],
)
def test_names_that_name_none_or_several(asked: str, says: str) -> None:
    with pytest.raises(ArgumentError) as raised:
        worked(asked)
    assert says in str(raised.value)


def test_options() -> None:
    with pytest.raises(ArgumentError, match="unknown option"):
        worked(FORWARD, starts=3)


def test_the_list() -> None:
    listing = worked()
    assert len(listing) == len(set(listing)) >= 50
    assert {name.partition("/")[0] for name in listing} == {"A", "A2", "B", "C", "D", "E"}
    assert max(map(len, str(listing).splitlines())) <= 100 and FORWARD in str(listing)
    assert str(listing) == repr(listing)


# -- pictures --------------------------------------------------------------------------------------


def test_pictures_are_drawn_only_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    from pellucid import plot

    drawn = []
    monkeypatch.setattr(plot, "activation", lambda *args, **kw: drawn.append(args))
    plots = worked("A/sigmoid neuron").plots
    assert not drawn
    plots["sigmoid"]()
    assert drawn == [("sigmoid",)]


def test_every_picture_can_be_drawn() -> None:
    pytest.importorskip("matplotlib")
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    for name in NAMES:
        for label, draw in solved(name).plots.items():
            assert draw() is not None, f"{name}: {label}"
            pyplot.close("all")


def test_solving_needs_no_matplotlib() -> None:
    code = (
        "import sys; from pellucid.exercises import worked; worked('A/sigmoid neuron').to_html(); "
        "print('matplotlib' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True,
                         env=_environment())  # fmt: skip
    assert out.stdout.strip() == "False"


# -- the command -----------------------------------------------------------------------------------


def _environment(**more: str) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(Path(pellucid.__file__).parent.parent), **more}


@pytest.mark.parametrize("arguments", [["worked"], ["worked", "--list"]])
def test_the_command_lists(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 0
    assert capsys.readouterr().out == f"{worked()}\n"


def test_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["worked", "2-3-1 forward"]) == 0
    assert "0.995548" in capsys.readouterr().out
    assert main(["worked", "2-3-1 forward", "--blanks"]) == 0
    out = capsys.readouterr().out
    assert "____ (out)" in out and "0.995548" not in out


def test_the_command_tells_of_an_unknown_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["worked", "2-3-1 backwards"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("pellucid: unknown exercise") and "Traceback" not in told


def test_the_command_where_there_are_no_greek_letters() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pellucid", "worked", "sigmoid neuron"], check=False,
        capture_output=True, env=_environment(PYTHONIOENCODING="ascii"),
    )  # fmt: skip
    assert done.returncode == 0 and done.stdout.isascii() and b"0.645656" in done.stdout
    assert b"Traceback" not in done.stderr


def test_no_number_of_a_solution_is_written_down() -> None:
    """Results come from the graph: no literal in the sources has the digits of one."""
    folder = Path(pellucid.__file__).parent / "exercises"
    literals = set(
        re.findall(r"\d*\.\d{4,}", "\n".join(p.read_text() for p in folder.glob("row*")))
    )
    assert not literals
