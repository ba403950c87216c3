"""Layers of layers: formulas, names, and every reader of a model that holds them."""

from __future__ import annotations

import copy
import itertools
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pellucid as pc
from pellucid.jit import available

compiles = pytest.mark.skipif(bool(available()), reason=available() or "compiled code is here")
X = np.random.default_rng(0).normal(size=(40, 4))
Y = np.random.default_rng(1).normal(size=(40, 2))
CUBE = np.random.default_rng(0).normal(size=(40, 3, 4))


def made(*layers: Any, x: Any = X, **more: Any) -> Any:
    model = pc.Sequential(layers, loss="mse", dtype="float64", **more)
    model.predict(x)
    rng = np.random.default_rng(2)
    for name in model.params:  # biases that are not 0
        model.params[name] += rng.normal(size=model.params[name].shape) / 4
    return model


# -- Residual --------------------------------------------------------------------------------------


def test_a_residual_adds_its_input() -> None:
    m = made(pc.Residual([pc.Dense(6, "tanh"), pc.Dense(4)]))
    p = m.params
    assert list(p) == ["W1", "b1", "W2", "b2"]
    want = X + np.tanh(X @ p["W1"] + p["b1"]) @ p["W2"] + p["b2"]
    np.testing.assert_allclose(m.predict(X), want, rtol=1e-12, atol=1e-13)
    one = made(pc.Residual(pc.Dense(4)))
    want = X + X @ one.params["W1"] + one.params["b1"]
    np.testing.assert_allclose(one.predict(X), want, rtol=1e-12, atol=1e-13)


def test_a_projection_comes_by_itself_where_shapes_differ() -> None:
    m = made(pc.Residual([pc.Dense(6, "tanh"), pc.Dense(3)]))
    p = m.params
    assert {k: v.shape for k, v in p.items()} == {
        "W1": (4, 6), "b1": (6,), "W2": (6, 3), "b2": (3,), "W3": (4, 3)
    }  # fmt: skip
    want = X @ p["W3"] + np.tanh(X @ p["W1"] + p["b1"]) @ p["W2"] + p["b2"]
    np.testing.assert_allclose(m.predict(X), want, rtol=1e-12, atol=1e-13)
    own = made(pc.Residual(pc.Dense(3), projection=pc.Dense(3, "tanh")))
    p = own.params
    want = np.tanh(X @ p["W2"] + p["b2"]) + X @ p["W1"] + p["b1"]
    np.testing.assert_allclose(own.predict(X), want, rtol=1e-12, atol=1e-13)


def test_residuals_go_over_any_axes_and_into_each_other() -> None:
    m = made(pc.Residual([pc.LayerNorm(), pc.Residual(pc.Activation("tanh"))]), x=CUBE)
    mean, var = CUBE.mean(-1, keepdims=True), CUBE.var(-1, keepdims=True)
    a = m.params["gamma1"] * (CUBE - mean) / np.sqrt(var + 1e-5) + m.params["beta1"]
    np.testing.assert_allclose(m.predict(CUBE), CUBE + a + np.tanh(a), rtol=1e-12, atol=1e-13)


# -- Parallel, Concatenate -------------------------------------------------------------------------

MERGES = {
    "concatenate": lambda a, b, c: np.concatenate([a, b, c], -1),
    "add": lambda a, b, c: a + b + c,
    "multiply": lambda a, b, c: a * b * c,
    "mean": lambda a, b, c: (a + b + c) / 3,
}


@pytest.mark.parametrize("how", MERGES)
def test_branches_are_merged(how: str) -> None:
    m = made(pc.Parallel([pc.Dense(4, "relu"), [pc.Dense(3, "tanh"), pc.Dense(4)], []], merge=how))
    p = m.params
    assert list(p) == ["W1", "b1", "W2", "b2", "W3", "b3"]
    branches = (
        np.maximum(X @ p["W1"] + p["b1"], 0),
        np.tanh(X @ p["W2"] + p["b2"]) @ p["W3"] + p["b3"],
        X,
    )
    np.testing.assert_allclose(m.predict(X), MERGES[how](*branches), rtol=1e-12, atol=1e-13)


def test_concatenate_joins_along_the_last_axis() -> None:
    m = made(pc.Concatenate([pc.Activation("tanh"), []]), x=CUBE)
    np.testing.assert_allclose(m.predict(CUBE), np.concatenate([np.tanh(CUBE), CUBE], -1))
    plain = made(pc.Concatenate([pc.Dense(2), pc.Dense(3)]))
    twin = made(pc.Parallel([pc.Dense(2), pc.Dense(3)]))
    np.testing.assert_array_equal(plain.predict(X), twin.predict(X))


# -- what they refuse ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "kind", "says"),
    [
        (lambda: pc.Residual([]), pc.ArgumentError, "no layers"),
        (lambda: pc.Residual("relu"), pc.DtypeError, "takes layers"),
        (lambda: pc.Residual(pc.Dense), pc.DtypeError, "takes layers"),
        (lambda: pc.Residual([pc.Dense]), pc.DtypeError, "is no layer"),
        (lambda: pc.Residual(pc.Dense(3), projection="linear"), pc.DtypeError, "is no layer"),
        (lambda: pc.Parallel([]), pc.ArgumentError, "no branches"),
        (lambda: pc.Parallel(pc.Dense(3)), pc.DtypeError, "list of branches"),
        (lambda: pc.Parallel([pc.Dense(3)], merge="max"), pc.ArgumentError, "merge"),
        (lambda: pc.Parallel([pc.Dense(3), 4]), pc.DtypeError, "takes layers"),
        (lambda: pc.Shared(pc.Residual(pc.Dense(3)), "r"), pc.ArgumentError, "share each"),
    ],
)
def test_settings_that_cannot_be_meant(make: Any, kind: Any, says: str) -> None:
    with pytest.raises(kind, match=says):
        make()


@pytest.mark.parametrize(
    ("layer", "x", "says"),
    [
        (pc.Parallel([pc.Dense(2), pc.Dense(3)], merge="add"), X, "cannot merge"),
        (pc.Concatenate([pc.Flatten(), []]), CUBE, "cannot merge"),
        (pc.Residual(pc.Flatten()), CUBE, "adds"),
        (pc.Residual(pc.Dense(3), projection=pc.Dense(2)), X, "adds"),
    ],
)
def test_shapes_that_do_not_fit(layer: Any, x: Any, says: str) -> None:
    with pytest.raises(pc.ShapeError, match=says):
        pc.Sequential([layer]).predict(x)


def test_concatenate_without_branches_needs_several_inputs() -> None:
    with pytest.raises(pc.ArgumentError, match="a single input"):
        pc.Sequential([pc.Concatenate()]).predict(X)


# -- composites of one's own -----------------------------------------------------------------------


@dataclass(frozen=True)
class Twice(pc.Composite):
    layer: pc.Layer

    def compose(self, x: Any, call: Any) -> Any:
        return call(self.layer, call(self.layer, x))


def test_every_call_is_a_layer_of_its_own(tmp_path: Path) -> None:
    m = made(Twice(pc.Dense(4, "tanh")), pc.Dense(2))
    assert list(m.params) == ["W1", "b1", "W2", "b2", "W3", "b3"]
    assert not np.array_equal(m.params["W1"], m.params["W2"])
    shared = made(Twice(pc.Shared(pc.Dense(4, "tanh"), "s")), pc.Dense(2))
    assert list(shared.params) == ["W1", "b1", "W3", "b3"]  # the place counts, not the arrays
    m.fit(X, Y, epochs=1, verbose=0)
    again = pc.load(m.save(tmp_path / "m"), custom={"Twice": Twice})
    np.testing.assert_array_equal(again.predict(X), m.predict(X))
    with pytest.raises(pc.DataError, match="Twice"):
        pc.load(tmp_path / "m")


def test_an_output_may_be_a_value_from_the_middle() -> None:
    class Early(pc.Composite):
        def compose(self, x: Any, call: Any) -> Any:
            early = call(pc.Dense(2, "tanh"), x)
            call(pc.Activation("relu"), early)  # computed later, and not used
            return early

    m = made(Early())
    np.testing.assert_allclose(m.predict(X), np.tanh(X @ m.params["W1"] + m.params["b1"]))
    m.fit(X, Y, epochs=1, verbose=0, backend="numpy")
    with pytest.raises(NotImplementedError, match="define compose"):
        pc.Sequential([pc.Composite()]).predict(X)


# -- every reader ----------------------------------------------------------------------------------

NETS: dict[str, Any] = {
    "residual": lambda: [
        pc.Dense(4, "tanh"),
        pc.Residual([pc.BatchNorm(), pc.Dense(5, "relu", l2=0.01), pc.Dropout(0.2), pc.Dense(3)]),
        pc.Dense(2),
    ],
    "parallel": lambda: [
        pc.Parallel([pc.Dense(2, "relu"), [pc.Dense(3), pc.Residual(pc.Dense(3, "tanh"))], []]),
        pc.Concatenate([pc.Dense(3, "tanh"), pc.LayerNorm()]),
        pc.Dense(2),
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", NETS)
class TestEveryReader:
    def model(self, name: str) -> Any:
        return made(*NETS[name](), optimizer=pc.Adam(0.01))

    def test_gradients(self, name: str) -> None:
        assert pc.check_gradients(self.model(name), X, Y).ok

    @compiles
    def test_both_backends(self, name: str) -> None:
        models = [self.model(name) for _ in range(2)]
        for m, backend in zip(models, ("numpy", "numba"), strict=True):
            m.fit(X, Y, epochs=5, batch_size=8, verbose=0, backend=backend)
        for key, array in models[0]._numbers.arrays.items():
            theirs = models[1]._numbers.arrays[key]
            np.testing.assert_allclose(array, theirs, rtol=1e-7, atol=1e-9)
        p = [models[1].predict(X, backend=b) for b in ("numpy", "numba")]
        np.testing.assert_allclose(*p, rtol=1e-10, atol=1e-12)

    def test_source_runs_alone(self, name: str) -> None:
        m = self.model(name)
        scope: dict[str, Any] = {}
        exec(m.source(), scope)
        step = m._steps().program(False)[0]
        batch = m._batch(X[:8], Y[:8])
        m._numbers.steps += 1
        given = {k: np.array(v) for k, v in m._steps().inputs(step, batch).items() if v is not None}
        m._numbers.steps -= 1
        given["t"] = 1
        loss = scope["step"](*(given[leaf.name] for leaf in step.program.inputs))
        own = m.step(X[:8], Y[:8])
        assert float(np.ravel(loss)[0] if np.ndim(loss) else loss) == pytest.approx(own, rel=1e-12)
        np.testing.assert_allclose(given["params"], m._numbers.params, rtol=1e-12)
        if m._numbers.fixed.size:
            np.testing.assert_allclose(given["fixed"], m._numbers.fixed, rtol=1e-12)

    def test_summary_shows_what_is_inside(self, name: str) -> None:
        m = self.model(name)
        lines = m.summary().splitlines()
        assert any(line.startswith("  Dense(") for line in lines)
        counts = [int(line.split(" = ")[1].split(",")[0]) for line in lines if " = " in line]
        assert sum(counts) == m._built.size == sum(v.size for v in m.params.values())

    def test_explanations(self, name: str) -> None:
        m = made(*NETS[name](), optimizer="sgd")
        walk = m.explain(X[:3], Y[:3])
        g = m.gradients(X[:3], Y[:3])
        for key, array in g.items():
            np.testing.assert_allclose(walk[f"d_{key}"].array, array, rtol=1e-9, atol=1e-12)
        assert str(walk) and walk._repr_html_() and str(m.shapes())

    def test_pictures(self, name: str) -> None:
        m = self.model(name)
        kind = name.capitalize()
        for picture in (m.draw(), m.draw(X[:3], Y[:3], open=True),
                        m.draw(X[:3], Y[:3], direction="backward")):  # fmt: skip
            assert f"{kind}: " in picture.svg  # a box, which says what is in it
        with pytest.raises(pc.ArgumentError, match=f"{kind}, holds other layers"):
            m.draw(style="network")

    def test_copies_and_files(self, name: str, tmp_path: Path) -> None:
        m = self.model(name)
        m.fit(X, Y, epochs=2, verbose=0, backend="numpy")
        again = pc.load(m.save(tmp_path / "m"))
        assert again.layers == m.layers and repr(again) == repr(m)
        for twin in (m.copy(), copy.deepcopy(m), pickle.loads(pickle.dumps(m)), again):
            twin.fit(X, Y, epochs=1, verbose=0, backend="numpy")
        want = m.copy()
        want.fit(X, Y, epochs=1, verbose=0, backend="numpy")
        assert again._numbers.equals(want._numbers) and twin._numbers.equals(want._numbers)

    def test_report_and_doctor(self, name: str, tmp_path: Path) -> None:
        m = self.model(name)
        history = m.fit(X, Y, epochs=2, verbose=0, backend="numpy")
        assert pc.report(m, history, X, Y, tmp_path / "page.html").stat().st_size > 10_000
        found = pc.diagnose(m, X, Y, budget_seconds=2, epochs=3)
        assert not {"wrong-gradient", "unused-parameter"} & {f.code for f in found.findings}

    def test_a_failure_is_placed(self, name: str) -> None:
        m = made(*NETS[name](), optimizer=pc.SGD(1e200))
        with pytest.raises(pc.NonFiniteError) as caught:
            m.fit(X, Y, epochs=9, verbose=0, backend="numpy")
        assert caught.value.reproduced and caught.value.layer in (1, 2, 3, None)


def test_the_doctor_looks_into_composites() -> None:
    """Dropout that is too strong is found, and taken out, where it stands inside a branch."""
    model = pc.Sequential(
        [pc.Residual([pc.Dense(16, "relu"), pc.Dropout(0.9), pc.Dense(4)]), pc.Dropout(0.9),
         pc.Dense(1)],
        loss="mse", optimizer=pc.Adam(0.01),
    )  # fmt: skip
    from pellucid.check.doctor.remedies import undropped
    from pellucid.check.doctor.trials import Case

    model.predict(X)
    case = Case(model, X, Y[:, :1], None, 1, 8, True)
    text = repr(undropped(case).model.layers)
    assert "Dropout" not in text and "Residual([Dense(units=16" in text


# -- random nets against a naive forward pass ------------------------------------------------------


def naive(layer: Any, x: Any, p: Any, number: Any) -> Any:
    """The output in NumPy, parameters taken in the order of the calls."""
    if isinstance(layer, pc.Dense):
        k = next(number)
        z = x @ p[f"W{k}"] + (p[f"b{k}"] if layer.bias else 0)
        return np.tanh(z) if layer.activation == "tanh" else z
    if isinstance(layer, pc.Residual):
        out = naive(layer.layers, x, p, number)
        if out.shape == x.shape:
            return x + out
        return naive(pc.Dense(out.shape[1], bias=False), x, p, number) + out
    if isinstance(layer, pc.Parallel):
        parts = [naive(b, x, p, number) for b in layer.branches]
        if layer.merge == "concatenate":
            return np.concatenate(parts, -1)
        total = parts[0]
        for part in parts[1:]:
            total = total * part if layer.merge == "multiply" else total + part
        return total / len(parts) if layer.merge == "mean" else total
    for each in layer:
        x = naive(each, x, p, number)
    return x


DENSE = st.builds(pc.Dense, st.integers(1, 4), st.sampled_from([None, "tanh"]))


def nets(inner: Any) -> Any:
    stack = st.lists(inner, min_size=1, max_size=2).map(tuple)
    several = st.lists(stack, min_size=1, max_size=3)
    return st.one_of(
        st.builds(pc.Residual, stack),
        st.builds(pc.Parallel, several),
        st.builds(
            lambda bs, how: pc.Parallel([(*b, pc.Dense(2)) for b in bs], merge=how),
            several, st.sampled_from(["add", "multiply", "mean"]),
        ),
    )  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(st.lists(st.recursive(DENSE, nets, max_leaves=6), min_size=1, max_size=3))
def test_random_nets_are_what_they_say(layers: Any) -> None:
    model = made(*layers)
    p = {k: v.copy() for k, v in model.params.items()}
    want = naive(tuple(layers), X[:5], p, itertools.count(1))
    np.testing.assert_allclose(model.predict(X[:5]), want, rtol=1e-9, atol=1e-11)
    assert model._built.output_shape == want.shape[1:]


@pytest.mark.conformance
def test_100_steps_of_a_residual_net_are_those_of_pytorch() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is the reference here")
    m = made(pc.Residual([pc.Dense(5, "tanh"), pc.Dense(3)]),
             pc.Parallel([pc.Dense(2), pc.Dense(4, "tanh")]), pc.Dense(2),
             optimizer=pc.SGD(0.05, momentum=0.9))  # fmt: skip
    p = {k: torch.tensor(np.array(v), requires_grad=True) for k, v in m.params.items()}

    def forward(x: Any) -> Any:
        x = x @ p["W3"] + torch.tanh(x @ p["W1"] + p["b1"]) @ p["W2"] + p["b2"]
        x = torch.cat([x @ p["W4"] + p["b4"], torch.tanh(x @ p["W5"] + p["b5"])], 1)
        return x @ p["W6"] + p["b6"]

    optimizer = torch.optim.SGD(p.values(), 0.05, momentum=0.9)
    for k in range(100):
        rows = slice(k % 5 * 8, (k % 5 + 1) * 8)
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(
            forward(torch.tensor(X[rows])), torch.tensor(Y[rows])
        ).backward()
        optimizer.step()
    m.fit(X, Y, epochs=20, batch_size=8, shuffle=False, verbose=0, backend="numpy")
    for name, theirs in p.items():
        np.testing.assert_allclose(m.params[name], theirs.detach().numpy(), rtol=1e-10, atol=1e-11)
