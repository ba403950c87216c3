"""Planted faults are noticed: a sample here, all of them by `make faults`."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

import pellucid as pc

SCRIPT = Path(__file__).parent.parent / "scripts" / "plant_faults.py"


@pytest.fixture(scope="module")
def faults():
    spec = importlib.util.spec_from_file_location("plant_faults", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["plant_faults"] = module  # where its dataclasses look for their annotations
    spec.loader.exec_module(module)
    yield module
    del sys.modules["plant_faults"]


@pytest.mark.slow
@pytest.mark.parametrize("start", range(4))
def test_no_fault_survives(faults, start):
    found = [v for place in faults.PLACES[start::8] for v in faults.judged(place)]
    assert len(found) > 100
    assert faults.survivors(found) == []


@pytest.mark.slow
@pytest.mark.parametrize("number", [0, 3, 15, 16])
def test_no_fault_in_the_machinery_survives(faults, number):
    assert faults.source_verdict(number)[1] == "killed"


def test_a_planted_fault_is_there_and_goes_again(faults):
    x = pc.value([[1.0, 2.0], [3.0, 4.0]], "x")

    def state():
        fresh = pc.value(x.value, "fresh")
        return [
            pc.tanh(fresh).value,
            pc.sigmoid(fresh).value,
            pc.grad(pc.sum(pc.tanh(fresh)), fresh).value,
        ]

    sound = state()
    for name, place, what in (
        ("tanh", "numpy", 0),
        ("sigmoid", "numpy", 1),
        ("tanh", "slope 0", 2),
    ):
        with faults.planted(faults.Fault("op", name, place, "a factor")):
            assert np.array_equal(state()[what], 2 * sound[what])
        assert all(np.array_equal(a, b) for a, b in zip(state(), sound, strict=True))


def test_what_survives_is_told(faults, capsys):
    fault = faults.Fault("op", "add", "numpy", "a factor")
    assert faults.report([(fault, "survived"), (fault, "killed")], [], complete=False) == 1
    assert "op add, numpy: a factor: survived" in capsys.readouterr().out
    assert faults.report([(fault, "killed")], [("a line", "killed")], complete=False) == 0
