"""Freezing: what is not learned stays to the last bit, and the others train as they did."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pellucid as pc
from pellucid.jit import available

compiles = pytest.mark.skipif(bool(available()), reason=available() or "compiled code is here")
BACKENDS = ["numpy", pytest.param("numba", marks=compiles)]
X = np.random.default_rng(0).normal(size=(40, 4))
Y = np.random.default_rng(1).normal(size=(40, 2))


def layers_of(*trainable: bool) -> list[Any]:
    one, two = trainable or (True, True)
    return [pc.Dense(5, "tanh", inputs=4, l2=0.1, trainable=one), pc.BatchNorm(trainable=two),
            pc.Dense(2, l1=0.01)]  # fmt: skip


def model_of(*trainable: bool, **more: Any) -> Any:
    settings = {"optimizer": pc.Adam(0.01), "dtype": "float64"} | more
    return pc.Sequential(layers_of(*trainable), loss="mse", **settings)


def kept(model: Any) -> dict[str, Any]:
    return {k: v.copy() for k, v in model.params.items()}


def states(model: Any) -> dict[str, dict[str, Any]]:
    """The optimizer's arrays by the parameter that they belong to."""
    slots = model._built.slots
    return {
        s.name: {k: flat[s.start : s.stop].copy() for k, flat in model._numbers.state.items()}
        for s in slots
    }


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("how", ["setting", "freeze"])
def test_frozen_parameters_stay_and_the_others_move(how: str, backend: str) -> None:
    model = model_of(False, True) if how == "setting" else model_of().freeze("W1", "b1")
    before = kept(model)
    model.fit(X, Y, epochs=3, verbose=0, backend=backend)
    for name, array in model.params.items():
        same = np.array_equal(array, before[name])
        assert same == (name in ("W1", "b1")), name
    assert model.buffers["running_var2"].std() > 0  # the statistics follow all the same


def test_the_others_train_as_beside_a_parameter_that_stands_still() -> None:
    """Against a whole model whose frozen parameters are put back after every step."""
    frozen, whole = model_of(False, False), model_of()
    still = {k: v for k, v in kept(whole).items() if k in ("W1", "b1", "gamma2", "beta2")}
    for _ in range(10):
        frozen.step(X, Y)
        whole.step(X, Y)
        whole.params = still
    for name in whole.params:
        np.testing.assert_array_equal(frozen.params[name], whole.params[name])
    assert list(frozen.gradients(X, Y)) == ["W3", "b3"]
    assert frozen.loss(X, Y) == whole.loss(X, Y)  # penalties of frozen weights count on


def test_first_values_do_not_depend_on_what_is_frozen() -> None:
    models = [model_of(), model_of(False, True), model_of(True, False), model_of(False, False)]
    for m in models[1:]:
        assert list(m.params) == list(models[0].params)
        for name, array in m.params.items():
            np.testing.assert_array_equal(array, models[0].params[name])


@pytest.mark.parametrize("backend", BACKENDS)
def test_freezing_in_the_middle_keeps_everything_else(backend: str) -> None:
    model = model_of()
    model.fit(X, Y, epochs=3, verbose=0, backend=backend)
    before, state, stats = kept(model), states(model), dict(model.buffers)
    stats = {k: v.copy() for k, v in stats.items()}
    steps, prediction = model._numbers.steps, model.predict(X, backend="numpy")
    model.freeze("W1", "b*")
    assert sorted(model.frozen) == ["W1", "b1", "b3", "beta2"]
    assert list(model.params) == list(before) and model._numbers.steps == steps
    for name, array in {**before, **stats}.items():
        np.testing.assert_array_equal({**model.params, **model.buffers}[name], array)
    after = states(model)
    assert list(after) == ["gamma2", "W3"]
    for name, arrays in after.items():
        for key, array in arrays.items():
            np.testing.assert_array_equal(array, state[name][key])
    np.testing.assert_array_equal(model.predict(X, backend="numpy"), prediction)
    model.fit(X, Y, epochs=1, verbose=0, backend=backend)
    assert np.array_equal(model.params["W1"], before["W1"])
    model.unfreeze("W1")
    assert not any(a.any() for a in states(model)["W1"].values())  # its state begins anew
    for key, array in states(model)["W3"].items():
        assert array.any(), key
    model.unfreeze()
    assert not model.frozen
    model.fit(X, Y, epochs=1, verbose=0, backend=backend)
    assert not np.array_equal(model.params["W1"], before["W1"])


def test_what_a_layer_says_stays_and_views_are_writable() -> None:
    model = model_of(False, True)
    model.unfreeze()
    before = kept(model)
    model.step(X, Y)
    assert np.array_equal(model.params["W1"], before["W1"])
    model.params["W1"] = before["W1"] + 1
    np.testing.assert_array_equal(model.params["W1"], before["W1"] + 1)
    model.params["W1"][0, 0] = 7.0
    assert model.activations(np.eye(4))["z1"][0, 0] == 7 + model.params["b1"][0]


def test_all_frozen_is_an_error_and_leaves_the_model() -> None:
    model = model_of().freeze()
    before = kept(model)
    for call in (lambda: model.fit(X, Y, verbose=0), lambda: model.step(X, Y)):
        with pytest.raises(pc.ArgumentError, match="every parameter is frozen"):
            call()
    for name, array in model.params.items():
        np.testing.assert_array_equal(array, before[name])
    assert model.predict(X).shape == (40, 2) and model.evaluate(X, Y)["loss"] > 0
    model.unfreeze().fit(X, Y, verbose=0)


def test_names_that_are_none() -> None:
    model = model_of()
    for call in (model.freeze, model.unfreeze):
        with pytest.raises(pc.ArgumentError, match="did you mean"):
            call("W11")
    assert not model.frozen
    with pytest.raises(pc.NotBuiltError):
        pc.Sequential([pc.Dense(3)]).freeze("W1")


def test_copies_and_files_keep_what_is_frozen(tmp_path: Path) -> None:
    model = model_of().freeze("W1")
    model.fit(X, Y, epochs=2, verbose=0, backend="numpy")
    twins = [model.copy(), copy.deepcopy(model), pickle.loads(pickle.dumps(model)),
             pc.load(model.save(tmp_path / "m"))]  # fmt: skip
    model.fit(X, Y, epochs=2, verbose=0, backend="numpy")
    for twin in twins:
        assert twin.frozen == model.frozen
        twin.fit(X, Y, epochs=2, verbose=0, backend="numpy")
        assert twin._numbers.equals(model._numbers)


def test_source_summary_and_explanation_tell_of_it() -> None:
    model = model_of(optimizer="sgd").freeze("W1")
    text = model.source()
    assert "W1 = fixed[" in text and "d_W1" not in text
    said = model.summary()
    assert "frozen: W1" in said and "20 of them frozen" in said
    walk = model.explain(X[:3], Y[:3])
    assert "d_W1" not in [step.name for step in walk] and "W1 picks" not in str(walk)
    g = model.gradients(X[:3], Y[:3])
    np.testing.assert_allclose(walk["d_b1"].array, g["b1"], rtol=1e-9, atol=1e-12)
    assert pc.check_gradients(model, X, Y).ok
    found = pc.diagnose(model, X, Y, budget_seconds=2, epochs=3)
    assert "wrong-gradient" not in {f.code for f in found.findings}


@pytest.mark.conformance
def test_frozen_layers_are_those_of_pytorch() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is the reference here")
    layers = [pc.Dense(5, "tanh", inputs=4, trainable=False), pc.Dense(2)]
    model = pc.Sequential(layers, loss="mse", dtype="float64", optimizer=pc.Adam(0.01))
    p = {k: torch.tensor(np.array(v), requires_grad=k[1] == "2") for k, v in model.params.items()}
    optimizer = torch.optim.Adam([t for t in p.values() if t.requires_grad], 0.01)
    for k in range(100):
        rows = slice(k % 5 * 8, (k % 5 + 1) * 8)
        z = torch.tanh(torch.tensor(X[rows]) @ p["W1"] + p["b1"]) @ p["W2"] + p["b2"]
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(z, torch.tensor(Y[rows])).backward()
        optimizer.step()
    model.fit(X, Y, epochs=20, batch_size=8, shuffle=False, verbose=0, backend="numpy")
    for name, theirs in p.items():
        np.testing.assert_allclose(
            model.params[name], theirs.detach().numpy(), rtol=1e-10, atol=1e-12
        )
