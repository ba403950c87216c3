"""Code for PyTorch, written without it; and what is said where PyTorch is missing.

PELLUCID_GOLDEN=write pytest tests/test_torch_source.py   rewrites the golden file; read what
differs.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pellucid as pc
from pellucid.errors import ArgumentError, PellucidError
from pellucid.nn.layer import Composite, Layer, Parameter
from pellucid.show.python import Program, Section
from pellucid.show.torch import source

GOLDEN = Path(__file__).parent / "golden" / "network_torch.txt"
interop = pc.interop.torch


@dataclass(frozen=True)
class Centered(Layer):
    """Takes off a running mean, learns a shift, and adds noise while training."""

    def parameters(self, shape: Any) -> dict[str, Parameter]:
        return {"shift": Parameter(shape)}

    def state(self, shape: Any) -> dict[str, Parameter]:
        return {"mean": Parameter(shape)}

    def __call__(self, x: Any, p: Any) -> Any:
        return x - p["mean"] + p["shift"]

    def train(self, x: Any, p: Any, draw: Any) -> Any:
        mean = pc.mean(x, axis=0)
        noise = draw(x.shape, "normal") * draw(x.shape, 0.5)
        return x - mean + p["shift"] + 0.1 * noise, {"mean": 0.9 * p["mean"] + 0.1 * mean}


@dataclass(frozen=True)
class Gated(Composite):
    """Multiplies what one layer gives by what another makes of it."""

    def compose(self, x: Any, call: Any) -> Any:
        a = call(pc.Dense(4, "tanh"), x)
        return call(pc.Concatenate(), (a, a * call(pc.Dense(4, "sigmoid"), a)))


def network() -> pc.Sequential:
    shared = pc.Shared(pc.Dense(4, "swish"), "block")
    layers = [
        *(pc.Flatten(), pc.Normalize(), pc.Dense(4, "relu", trainable=False), pc.BatchNorm()),
        *(shared, shared, pc.Residual([pc.Dense(8, "gelu"), pc.Dropout(0.2), pc.Dense(4)])),
        *(
            Gated(),
            Centered(),
            pc.Parallel([pc.Dense(2, "sin"), [pc.LayerNorm(), pc.Dense(3)], []]),
        ),
        pc.Dense(3, lambda z: z * pc.minimum(z, 1.0), bias=False),
    ]
    model = pc.Sequential(layers, loss="cce_logits", dtype="float64")
    model.predict(np.zeros((2, 3, 2)))
    return model


def test_the_source_is_as_it_was() -> None:
    text = interop.to_source(network())
    if os.environ.get("PELLUCID_GOLDEN") == "write":
        GOLDEN.write_text(text, "utf-8")
    assert text == GOLDEN.read_text("utf-8")
    assert max(map(len, text.splitlines())) <= 100
    ast.parse(text)


def test_one_class_is_written_once() -> None:
    layers = [pc.Dense(4), pc.Residual(pc.Dense(4)), pc.Residual(pc.Dense(4)), pc.Dense(2)]
    model = pc.Sequential(layers)
    model.predict(np.zeros((1, 3)))
    assert interop.to_source(model).count("class ") == 1


def test_names_that_mean_something_else_are_not_used() -> None:
    x = pc.graph.symbolic("x", (3,))
    named = pc.named(pc.exp(x), "torch")
    text = source(Program("f", [x], [Section("", {"y": named * named})], ["y"], {named: "self"}))
    assert "self" not in text
    assert text.count("torch = ") == 0


@pytest.mark.parametrize(
    ("formula", "match"),
    [
        (lambda x: pc.prod(x, axis=0), "'prod' with axis=0"),
        (lambda x: x[::-1], "negative step"),
        (lambda x: pc.grad(pc.sum(x[1:] ** 2), x), "'unslice' has no counterpart"),
    ],
)
def test_what_pytorch_cannot_do_is_named(formula: Any, match: str) -> None:
    x = pc.graph.symbolic("x", (3,))
    with pytest.raises(ArgumentError, match=match):
        source(Program("f", [x], [Section("", {"y": formula(x)})], ["y"]))


def test_the_source_needs_no_pytorch_and_everything_else_says_how_to_get_it() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "import pellucid as pc\n"
        "model = pc.Sequential([pc.Dense(2, inputs=3)], loss='mse')\n"
        "assert 'nn.Linear(3, 2)' in pc.interop.torch.to_source(model)\n"
        "for call in (\n"
        "    lambda t: t.to_state_dict(model), lambda t: t.to_module(model),\n"
        "    lambda t: t.from_module(model), lambda t: t.from_state_dict(model, {}),\n"
        "    lambda t: t.compare(model, [[1, 2, 3]], [[1, 2]]),\n"
        "):\n"
        "    try:\n"
        "        call(pc.interop.torch)\n"
        "    except pc.PellucidError as error:\n"
        "        print(error.hint)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    told = done.stdout.splitlines()
    assert told[:3] == ['pip install "pellucid[torch]"'] * 3
    assert told[4] == 'pip install "pellucid[torch]"'


def test_asking_for_the_package_imports_no_pytorch() -> None:
    code = "import sys, pellucid as pc; pc.interop.torch; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_error_of_a_missing_pytorch_is_one_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(PellucidError, match="needs PyTorch"):
        interop.to_state_dict(network())
