"""Embedding: vectors by their codes, gradients by row, and codes that are looked at beforehand."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pellucid as pc
from pellucid.jit import available

compiles = pytest.mark.skipif(bool(available()), reason=available() or "compiled code is here")
BACKENDS = ["numpy", pytest.param("numba", marks=compiles)]
V, SIZE, ROWS = 7, 4, 40
CODES = np.random.default_rng(0).integers(0, V, (ROWS, 3))
Y = np.random.default_rng(1).normal(size=(ROWS, 2))


def model_of(**more: Any) -> Any:
    layers = [pc.Embedding(V, SIZE), pc.Flatten(), pc.Dense(5, "tanh"), pc.Dense(2)]
    settings = {"optimizer": pc.SGD(0.05, momentum=0.9), "dtype": "float64"} | more
    return pc.Sequential(layers, loss="mse", **settings)


@pytest.mark.parametrize("codes", [CODES, CODES[:, :1], CODES.reshape(20, 2, 3)], ids=str)
def test_every_code_has_its_row(codes: Any) -> None:
    model = pc.Sequential([pc.Embedding(V, SIZE)], dtype="float64")
    found = model.predict(codes)
    assert found.shape == (*codes.shape, SIZE) and list(model.params) == ["E1"]
    np.testing.assert_array_equal(found, model.params["E1"][codes])
    for kind in (np.int8, np.uint16, np.float32, np.float64):
        np.testing.assert_array_equal(model.predict(codes.astype(kind)), found)


def test_the_table_starts_normal_or_as_told() -> None:
    tables = []
    for init in (None, "zeros", pc.Normal(0.1)):
        model = pc.Sequential([pc.Embedding(500, 40, init)], dtype="float64")
        model.predict([[0]])
        tables.append(model.params["E1"])
    assert tables[0].std() == pytest.approx(1, rel=0.03) and not tables[1].any()
    assert tables[2].std() == pytest.approx(0.1, rel=0.03)


def test_the_gradient_adds_up_by_row_and_is_0_elsewhere() -> None:
    model = model_of()
    codes = np.array([[0, 0, 3], [3, 0, 5]])
    g = model.gradients(codes, Y[:2])
    p = model.params
    flat = p["E1"][codes].reshape(2, -1)
    a = np.tanh(flat @ p["W2"] + p["b2"])
    d = 2 * (a @ p["W3"] + p["b3"] - Y[:2]) / 4
    d = (d @ p["W3"].T * (1 - a**2) @ p["W2"].T).reshape(2, 3, SIZE)
    want = np.zeros((V, SIZE))
    for row, each in zip(codes.ravel(), d.reshape(-1, SIZE), strict=True):
        want[row] += each
    np.testing.assert_allclose(g["E1"], want, rtol=1e-12, atol=1e-15)
    assert not g["E1"][[1, 2, 4, 6]].any()
    assert pc.check_gradients(model, CODES, Y).ok


@pytest.mark.parametrize("backend", BACKENDS)
def test_rows_that_do_not_come_up_stay_as_they_are(backend: str) -> None:
    model = model_of(optimizer="sgd")
    model.predict(CODES)
    before = model.params["E1"].copy()
    codes = np.where(CODES > 4, 0, CODES)
    model.fit(codes, Y, epochs=3, verbose=0, backend=backend)
    changed = (model.params["E1"] != before).any(axis=1)
    assert changed.tolist() == [True] * 5 + [False] * 2


@compiles
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_both_backends(dtype: str) -> None:
    """Views of several columns, one table in two places, and rows in an order of their own."""

    def net(call: Any, x: Any) -> Any:
        words = pc.Shared(pc.Embedding(V, SIZE), "words")
        left, right = call(words, x[:, :2]), call(words, x[:, 2:])
        both = np.sum(left, axis=1) * call(pc.Flatten(), right)
        return call(pc.Dense(2), call(pc.Dense(5, "tanh"), both))

    models = [pc.Model(net, loss="mse", dtype=dtype) for _ in range(2)]
    for m, backend in zip(models, ("numpy", "numba"), strict=True):
        m.fit(CODES, Y, epochs=5, batch_size=8, verbose=0, backend=backend, validation_split=0.2)
    limit = 1e-12 if dtype == "float64" else 2e-5
    np.testing.assert_allclose(models[0]._numbers.params, models[1]._numbers.params, atol=limit)
    found = [models[0].predict(CODES, backend=b) for b in ("numpy", "numba")]
    np.testing.assert_allclose(*found, atol=limit)


# -- codes -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [7, -1, 1.5, 1e9])
def test_a_code_that_is_none_is_named_before_anything_happens(value: float) -> None:
    bad = CODES.astype(float)
    bad[5, 1] = value
    model = model_of()
    says = re.escape(f"row 5 of X, column 1 holds {value:g}, and Embedding takes whole")
    with pytest.raises(pc.DataError, match=says):
        model.fit(bad, Y, verbose=0)
    with pytest.raises(pc.NotBuiltError):
        _ = model.params
    model.fit(CODES, Y, verbose=0)
    before = model._numbers.copy()
    for call in (
        lambda: model.fit(bad, Y, verbose=0), lambda: model.step(bad, Y),
        lambda: model.predict(bad), lambda: model.evaluate(bad, Y), lambda: model.explain(bad, Y),
        lambda: model.gradients(bad, Y), lambda: model.activations(bad), lambda: model.draw(bad),
    ):  # fmt: skip
        with pytest.raises(pc.DataError, match="row 5 of X"):
            call()
    with pytest.raises(pc.DataError, match="row 5 of validation X"):
        model.fit(CODES, Y, validation_data=(bad, Y), verbose=0)
    assert model._numbers.equals(before)
    with pytest.raises(pc.DataError, match="row 5 of X"):
        pc.sweep(model_of, bad, Y, epochs=1, seeds=[0], verbose=0)


def test_codes_that_are_made_while_training_are_looked_at_as_well() -> None:
    with pytest.raises(pc.DataError, match="row 0 of augmented X"):
        model_of().fit(CODES, Y, verbose=0, augment=lambda X, y, rng: (X + V, y))


def test_codes_in_some_columns_of_many() -> None:
    def net(call: Any, x: Any) -> Any:
        vectors = call(pc.Flatten(), call(pc.Embedding(V, 2), x[:, 3:]))
        return call(pc.Dense(2), pc.concatenate([x[:, :3], vectors], 1))

    model = pc.Model(net, loss="mse")
    rows = np.column_stack([np.random.default_rng(2).normal(size=(ROWS, 3)), CODES])
    model.fit(rows, Y, verbose=0)
    rows[9, 4] = 7
    with pytest.raises(pc.DataError, match="row 9 of X, column 1 holds 7"):
        model.predict(rows)


@pytest.mark.parametrize(
    ("first", "needs"), [(pc.Dense(3), "W1"), (pc.Dropout(0.5), "mask1"), (pc.BatchNorm(), "gamma")]
)
def test_its_input_is_made_of_the_data_alone(first: Any, needs: str) -> None:
    model = pc.Sequential([first, pc.Embedding(V, 2), pc.Flatten(), pc.Dense(2)], loss="mse")
    with pytest.raises(pc.ArgumentError, match=f"its input depends on .*{needs}"):
        model.fit(CODES, Y, verbose=0)


@pytest.mark.parametrize("wrong", [(0, 3), (3, 0), (2.5, 3), (True, 3), (2**25, 1), ("a", 2)])
def test_settings_that_cannot_be_meant(wrong: Any) -> None:
    with pytest.raises(pc.ArgumentError):
        pc.Embedding(*wrong)


# -- readers ---------------------------------------------------------------------------------------


def test_it_is_read_like_any_layer(tmp_path: Path) -> None:
    model = model_of()
    model.fit(CODES, Y, epochs=2, verbose=0, backend="numpy")
    assert "a1 = E1[" in model.source() and "7·4 = 28" in model.summary()
    walk = model.explain(CODES[:3], Y[:3])
    g = model.gradients(CODES[:3], Y[:3])["E1"]
    np.testing.assert_allclose(walk["d_E1"].array, g, rtol=1e-9, atol=1e-12)
    assert str(walk) and "Embedding" in model.draw(CODES[:2], Y[:2], open=True).svg
    again = pc.load(model.save(tmp_path / "m"))
    np.testing.assert_array_equal(again.predict(CODES), model.predict(CODES))
    assert pc.report(model, model.history, CODES, Y, tmp_path / "page.html").exists()
    frozen = pc.Sequential([pc.Embedding(V, 2, trainable=False), pc.Flatten(), pc.Dense(2)],
                           loss="mse")  # fmt: skip
    frozen.predict(CODES)
    before = frozen.params["E1"].copy()
    frozen.fit(CODES, Y, epochs=2, verbose=0)
    np.testing.assert_array_equal(frozen.params["E1"], before)


def test_the_doctor_does_not_scale_codes() -> None:
    model = model_of()
    found = pc.diagnose(model, 6 * (CODES > 3), Y, budget_seconds=3, epochs=20)
    codes = {f.code for f in found.findings}
    assert not codes & {"unscaled-features", "wrong-gradient"}


@pytest.mark.conformance
@pytest.mark.parametrize("backend", BACKENDS)
def test_100_steps_are_those_of_pytorch(backend: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is the reference here")
    model = model_of()
    model.predict(CODES)
    p = {k: torch.tensor(np.array(v), requires_grad=True) for k, v in model.params.items()}
    table = torch.nn.Embedding(V, SIZE, dtype=torch.float64)
    table.weight = torch.nn.Parameter(p["E1"].detach().clone())
    p["E1"] = table.weight
    optimizer = torch.optim.SGD(p.values(), 0.05, momentum=0.9)
    for k in range(100):
        rows = slice(k % 5 * 8, (k % 5 + 1) * 8)
        a = table(torch.tensor(CODES[rows])).reshape(8, -1)
        z = torch.tanh(a @ p["W2"] + p["b2"]) @ p["W3"] + p["b3"]
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(z, torch.tensor(Y[rows])).backward()
        optimizer.step()
    model.fit(CODES, Y, epochs=20, batch_size=8, shuffle=False, verbose=0, backend=backend)
    for name, theirs in p.items():
        np.testing.assert_allclose(
            model.params[name], theirs.detach().numpy(), rtol=1e-10, atol=1e-11
        )
