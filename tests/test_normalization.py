"""BatchNorm and LayerNorm: formulas, statistics that follow training, and every reader of them."""

from __future__ import annotations

import copy
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pellucid as pc
from pellucid.explaining.numbers import evaluate
from pellucid.jit import available

compiles = pytest.mark.skipif(bool(available()), reason=available() or "compiled code is here")
BACKENDS = ["numpy", pytest.param("numba", marks=compiles)]
ROWS, BATCH, EPOCHS = 40, 8, 20  # 100 steps

SHAPES = {"rows": (5,), "sequence": (3, 5), "image": (2, 3, 5)}


def data(shape: tuple[int, ...], seed: int = 0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    return 3 * rng.normal(size=(ROWS, *shape)) + 1, rng.normal(size=(ROWS, 2))


def model_of(layer: Any, shape: tuple[int, ...], dtype: str = "float64", **more: Any) -> Any:
    """A network with the layer twice, between others, whose gamma and beta are not 1 and 0."""
    layers = [layer, pc.Activation("tanh"), layer, pc.Flatten(), pc.Dense(2)]
    settings = {"loss": "mse", "optimizer": pc.SGD(0.05, momentum=0.9)} | more
    model = pc.Sequential(layers, dtype=dtype, **settings)
    model.predict(np.zeros((1, *shape)))
    rng = np.random.default_rng(1)
    for name in model.params:
        if name[:4] in ("gamm", "beta"):
            model.params[name] += rng.normal(size=model.params[name].shape) / 4
    return model


def normed(x: Any, mean: Any, var: Any, p: Any, k: int, eps: float = 1e-5) -> Any:
    return p[f"gamma{k}"] * (x - mean) / np.sqrt(var + eps) + p[f"beta{k}"]


# -- the formulas ----------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_batch_norm_predicts_with_the_running_statistics(shape: Any) -> None:
    model = model_of(pc.BatchNorm(eps=1e-3), shape)
    X, _ = data(shape)
    for name, array in model.buffers.items():
        array[...] = np.random.default_rng(len(name)).uniform(0.5, 2, array.shape)
    b, p = model.buffers, model.params
    a = np.tanh(normed(X, b["running_mean1"], b["running_var1"], p, 1, 1e-3))
    a = normed(a, b["running_mean2"], b["running_var2"], p, 2, 1e-3)
    want = a.reshape(ROWS, -1) @ p["W3"] + p["b3"]
    np.testing.assert_allclose(model.predict(X), want, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_layer_norm_is_over_the_last_axis(shape: Any) -> None:
    model = pc.Sequential([pc.LayerNorm(eps=1e-2)], dtype="float64")
    X, _ = data(shape)
    model.predict(X)
    model.params["gamma1"] = np.arange(1.0, 6)
    model.params["beta1"] = np.arange(5.0)
    mean, var = X.mean(-1, keepdims=True), X.var(-1, keepdims=True)
    want = normed(X, mean, var, model.params, 1, 1e-2)
    np.testing.assert_allclose(model.predict(X), want, rtol=1e-12)


def test_a_step_moves_the_running_statistics_with_an_unbiased_variance() -> None:
    for shape in SHAPES.values():
        model = pc.Sequential([pc.BatchNorm(0.25), pc.Flatten(), pc.Dense(2)], loss="mse",
                              dtype="float64")  # fmt: skip
        X, y = data(shape)
        model.step(X, y)
        rows = X.reshape(-1, shape[-1])
        np.testing.assert_allclose(model.buffers["running_mean1"], 0.25 * rows.mean(0), rtol=1e-12)
        want = 0.75 + 0.25 * rows.var(0, ddof=1)
        np.testing.assert_allclose(model.buffers["running_var1"], want, rtol=1e-12)


@pytest.mark.parametrize("layer", [pc.BatchNorm(), pc.LayerNorm()], ids=["batch", "layer"])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_the_gradient_is_the_slope_of_the_loss_in_training(layer: Any, shape: Any) -> None:
    model = model_of(layer, shape)
    X, y = data(shape)
    assert pc.check_gradients(model, X, y).ok


def test_the_gradient_through_a_batch_is_the_textbooks() -> None:
    """(g - mean(g) - x̂ mean(g x̂)) / sqrt(var + eps), as it is printed and as it comes out."""
    model = pc.Sequential([pc.Dense(3, inputs=4), pc.BatchNorm(), pc.Dense(1)], loss="mse",
                          dtype="float64", optimizer="sgd")  # fmt: skip
    lines = " ".join(model.source().split())
    assert "mean2 = np.mean(z1, axis=0)" in lines
    assert "var2 = np.mean(centered2 ** 2, axis=0)" in lines
    assert "running_var2[:] = 0.9 * running_var2 + 0.1 * (var2 * n) / (n - 1)" in lines
    assert "d_normed2 - np.mean(d_normed2, axis=0) - normed2 * np.mean(d_normed2" in lines
    X, y = np.random.default_rng(0).normal(size=(9, 4)), np.arange(9.0)
    p, g = model.params, model.gradients(X, y)
    z = X @ p["W1"] + p["b1"]
    std = np.sqrt(z.var(0) + 1e-5)
    x_hat = (z - z.mean(0)) / std
    error = (p["gamma2"] * x_hat + p["beta2"]) @ p["W3"] + p["b3"] - y[:, None]
    d = 2 * error / 9 @ p["W3"].T * p["gamma2"]
    d_z = (d - d.mean(0) - x_hat * (d * x_hat).mean(0)) / std
    np.testing.assert_allclose(g["W1"], X.T @ d_z, rtol=1e-11, atol=1e-14)


# -- training, on both backends --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layer", "shape", "dtype"),
    [(pc.BatchNorm(), (3, 5), "float64"), (pc.LayerNorm(), (3, 5), "float64"),
     (pc.BatchNorm(), (5,), "float32"), (pc.LayerNorm(), (5,), "float32")],
    ids=["batch", "layer", "batch, float32", "layer, float32"],
)  # fmt: skip
@compiles
def test_both_backends_train_alike(layer: Any, shape: Any, dtype: str) -> None:
    X, y = data(shape)
    models = {}
    for backend in ("numpy", "numba"):
        models[backend] = model_of(layer, shape, dtype)
        models[backend].fit(X, y, epochs=4, batch_size=BATCH, verbose=0, backend=backend,
                            validation_split=0.2)  # fmt: skip
    a, b = models["numpy"], models["numba"]
    # float32: sums in another order, over 16 steps
    limit = {"rtol": 1e-10, "atol": 1e-12} if dtype == "float64" else {"rtol": 2e-4, "atol": 2e-5}
    for name in (*a.params, *a.buffers):
        ours, theirs = ({**m.params, **m.buffers}[name] for m in (a, b))
        assert ours.dtype == theirs.dtype == np.dtype(dtype)
        np.testing.assert_allclose(ours, theirs, **limit)
    np.testing.assert_allclose(a.predict(X, backend="numpy"), a.predict(X, backend="numba"),
                               rtol=1e-4 if dtype == "float32" else 1e-12, atol=1e-5)  # fmt: skip


@pytest.mark.parametrize("backend", BACKENDS)
def test_prediction_is_no_flag_to_remember(backend: str) -> None:
    """Evaluation between steps changes nothing, and single rows are predicted as in the whole."""
    X, y = data((5,))
    model = model_of(pc.BatchNorm(), (5,))
    model.fit(X, y, epochs=2, verbose=0, backend=backend)
    before = {k: v.copy() for k, v in model.buffers.items()}
    whole = model.predict(X)
    model.evaluate(X, y)
    model.gradients(X, y)
    model.explain(X[:3], y[:3])
    assert all(np.array_equal(v, model.buffers[k]) for k, v in before.items())
    for k in range(3):
        np.testing.assert_allclose(model.predict(X[k : k + 1])[0], whole[k], rtol=1e-12)


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_is_not_finite_never_reaches_the_statistics(backend: str) -> None:
    X, y = data((5,))
    model = model_of(pc.BatchNorm(), (5,), "float32")
    model.fit(X, y, epochs=2, verbose=0, backend=backend)
    before = model._numbers.copy()
    X = X.copy()
    X[17, 2] = 1e30  # its square is infinite in float32; the loss stays finite
    with pytest.raises(pc.NonFiniteError, match="running_var1, which the layers keep, became Inf"):
        model.fit(X, y, epochs=1, batch_size=ROWS, verbose=0, backend=backend)
    assert model._numbers.equals(before)


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_interrupt_goes_back_to_the_last_epoch_whole(backend: str) -> None:
    X, y = data((5,))

    class Stop(pc.Callback):
        def on_batch_end(self, batch: int, logs: Any) -> None:
            if self.model._numbers.epochs == 2 and batch == 1:
                raise KeyboardInterrupt

    stopped, whole = (model_of(pc.BatchNorm(), (5,)) for _ in range(2))
    stopped.fit(X, y, epochs=9, batch_size=BATCH, verbose=0, backend=backend, callbacks=[Stop()])
    whole.fit(X, y, epochs=2, batch_size=BATCH, verbose=0, backend=backend)
    assert stopped.history.stopped.startswith("interrupted")
    assert stopped._numbers.equals(whole._numbers)


# -- what it refuses -------------------------------------------------------------------------------


def test_a_batch_of_one_is_refused_before_training() -> None:
    X, y = data((5,))
    model = model_of(pc.BatchNorm(), (5,))
    before = model._numbers.copy()
    for call in (
        lambda: model.fit(X[:33], y[:33], verbose=0),  # 32 and 1
        lambda: model.fit(X, y, batch_size=1, verbose=0),
        lambda: model.step(X[:1], y[:1]),
        lambda: model.gradients(X[:1], y[:1]),
        lambda: model.explain(X[:1], y[:1]),
    ):
        with pytest.raises(pc.ArgumentError, match="1 sample, and BatchNorm needs 2 to train on"):
            call()
        assert model._numbers.equals(before)
    with pytest.raises(pc.ArgumentError, match="batch_size=31"):
        model.fit(X[:33], y[:33], verbose=0)
    model.fit(X[:33], y[:33], batch_size=31, epochs=1, verbose=0)
    fresh = pc.Sequential([pc.BatchNorm(), pc.Dense(2)], loss="mse")
    with pytest.raises(pc.ArgumentError):
        fresh.fit(X[:1], y[:1], verbose=0)
    with pytest.raises(pc.NotBuiltError):
        _ = fresh.params
    with pytest.raises(pc.ArgumentError, match="BatchNorm needs 2"):
        pc.sweep(lambda: fresh.copy(), X[:33], y[:33], epochs=1, seeds=[0], verbose=0)


def test_one_sample_with_several_places_is_a_batch() -> None:
    X, y = data((3, 5))
    model_of(pc.BatchNorm(), (3, 5)).step(X[:1], y[:1])


@pytest.mark.parametrize(
    "wrong",
    [{"momentum": -0.1}, {"momentum": 1.1}, {"momentum": True}, {"eps": 0}, {"eps": -1.0},
     {"eps": "small"}, {"momentum": None}],
    ids=str,
)  # fmt: skip
def test_settings_that_cannot_be_meant(wrong: Any) -> None:
    with pytest.raises(pc.ArgumentError):
        pc.BatchNorm(**wrong)


def test_scale_and_shift_can_be_left_out() -> None:
    X, _ = data((5,))
    for layer in (pc.BatchNorm, pc.LayerNorm):
        names = {}
        for scale, shift in ((True, True), (True, False), (False, True), (False, False)):
            model = pc.Sequential([layer(scale=scale, shift=shift)], dtype="float64")
            model.predict(X)
            names[scale, shift] = list(model.params)
        assert names == {(True, True): ["gamma1", "beta1"], (True, False): ["gamma1"],
                         (False, True): ["beta1"], (False, False): []}  # fmt: skip


def test_a_shared_one_keeps_one_pair_of_statistics_and_moves_it_at_every_place() -> None:
    shared = pc.Shared(pc.BatchNorm(), "norm")
    model = pc.Sequential([shared, pc.Activation("tanh"), shared, pc.Dense(2)], loss="mse",
                          dtype="float64")  # fmt: skip
    X, y = data((5,))
    model.step(X, y)
    assert list(model.buffers) == ["running_mean1", "running_var1"]
    a = np.tanh((X - X.mean(0)) / np.sqrt(X.var(0) + 1e-5))
    want = 0.9 * (0.1 * X.mean(0)) + 0.1 * a.mean(0)
    np.testing.assert_allclose(model.buffers["running_mean1"], want, rtol=1e-12)


# -- every reader of a model -----------------------------------------------------------------------


def trained(**more: Any) -> tuple[Any, Any, Any]:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(ROWS, 2))
    y = (X[:, 0] * X[:, 1] > 0).astype(float)
    layers = [pc.Dense(4, inputs=2), pc.BatchNorm(), pc.Activation("tanh"), pc.LayerNorm(),
              pc.Dense(1, "sigmoid")]  # fmt: skip
    model = pc.Sequential(layers, loss="bce", optimizer=pc.Adam(0.01), **more)
    model.fit(X, y, epochs=3, verbose=0, backend="numpy")
    return model, X, y


def test_it_is_saved_and_trains_on_as_if_never_stopped(tmp_path: Path) -> None:
    model, X, y = trained()
    again = pc.load(model.save(tmp_path / "m.safetensors"))
    for m in (model, again):
        m.fit(X, y, epochs=2, verbose=0, backend="numpy")
    assert again._numbers.equals(model._numbers)
    assert again.layers == model.layers


def test_copies_have_statistics_of_their_own() -> None:
    model, X, y = trained()
    twins = [model.copy(), copy.deepcopy(model), pickle.loads(pickle.dumps(model))]
    want = model.predict(X)
    model.fit(X, y, epochs=1, verbose=0)
    for twin in twins:
        np.testing.assert_array_equal(twin.predict(X), want)
    model.reset()
    assert not model.buffers["running_mean2"].any() and (model.buffers["running_var2"] == 1).all()


def test_the_walkthrough_reproduces_parameters_and_statistics() -> None:
    model, X, y = trained(dtype="float64")
    walk = model.explain(X[:4], y[:4], digits=12)
    model.step(X[:4], y[:4])
    for name, array in {**model.params, **model.buffers}.items():
        step = walk[f"{name}_new"]
        np.testing.assert_allclose(step.array, array, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(evaluate(step.numbers), array, rtol=1e-6, atol=1e-9)
    shown = str(walk)
    assert "/ sqrt(var2 + 1e-05)" in shown and "running_mean2 picks" not in shown


def test_summary_and_picture_tell_of_it() -> None:
    model, X, y = trained()
    text = model.summary()
    assert "4 + 4 = 8, keeps 8" in text and "and 8 numbers that layers keep" in text
    for picture in (model.draw(), model.draw(X[:4], y[:4], open=True), model.draw(style="network"),
                    model.draw(X[:4], y[:4], direction="backward")):  # fmt: skip
        assert "BatchNorm" in picture.svg


def test_the_report_and_the_doctor_take_it(tmp_path: Path) -> None:
    model, X, y = trained()
    page = pc.report(model, model.history, X, y, tmp_path / "page.html").read_text()
    assert "running_var2" in page
    found = pc.diagnose(model, X, y, budget_seconds=3)
    assert "wrong-gradient" not in [f.code for f in found.findings]


def test_a_sweep_gives_what_fit_gives() -> None:
    _, X, y = trained()

    def make(seed: int = 0) -> Any:
        layers = [pc.Dense(4), pc.BatchNorm(), pc.Activation("tanh"), pc.Dense(1, "sigmoid")]
        return pc.Sequential(layers, loss="bce", seed=seed)

    one = make(1)
    one.fit(X, y, epochs=3, verbose=0, backend="numpy")
    found = pc.sweep(make, X, y, epochs=3, seeds=[0, 1], verbose=0, backend="numpy")
    twin = found.model(1)
    np.testing.assert_array_equal(twin.predict(X), one.predict(X))


def test_replayed_steps_meet_the_same_statistics() -> None:
    """A black box goes back to a snapshot and takes the steps again: to the same numbers."""
    X, y = data((5,))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", pc.TrainingWarning)
        model = model_of(pc.BatchNorm(), (5,), "float32", optimizer=pc.SGD(1e12))
        history = model.fit(X, y, epochs=9, batch_size=BATCH, verbose=0, backend="numpy",
                            on_nonfinite="report", shuffle=False)  # fmt: skip
    twin = model_of(pc.BatchNorm(), (5,), "float32", optimizer=pc.SGD(1e12))
    assert history.failure.reproduced
    for k in range(history.failure.step - 1):
        rows = slice(k % 5 * BATCH, (k % 5 + 1) * BATCH)
        twin.step(X[rows], y[rows])
    assert model._numbers.steps == twin._numbers.steps > 0
    for name, array in twin.buffers.items():
        np.testing.assert_array_equal(model.buffers[name], array)


# -- PyTorch ---------------------------------------------------------------------------------------


def theirs(kind: str, shape: Any, arrays: Any) -> tuple[Any, list[Any], Any]:
    """The network in PyTorch: its parameters by our names, its norms, and its formula."""
    import torch

    p = {k: torch.tensor(np.array(v), requires_grad=True) for k, v in arrays.items()}
    norms = [getattr(torch.nn, kind)(shape[-1], dtype=torch.float64) for _ in range(2)]
    for k, norm in enumerate(norms, 1):
        norm.weight, norm.bias = (
            torch.nn.Parameter(p[f"{name}{k}"].detach().clone()) for name in ("gamma", "beta")
        )
        p[f"gamma{k}"], p[f"beta{k}"] = norm.weight, norm.bias

    def forward(x: Any) -> Any:
        for norm, act in zip(norms, (torch.tanh, lambda a: a), strict=True):
            x = act(norm(x.reshape(-1, shape[-1])).reshape(x.shape))
        return x.reshape(len(x), -1) @ p["W3"] + p["b3"]

    return p, norms, forward


@pytest.mark.conformance
@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", ["BatchNorm1d", "LayerNorm"])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_100_steps_are_those_of_pytorch(shape: Any, kind: str, backend: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is the reference here")
    X, y = data(shape)
    model = model_of(pc.BatchNorm() if kind == "BatchNorm1d" else pc.LayerNorm(), shape)
    p, norms, forward = theirs(kind, shape, model.params)
    optimizer = torch.optim.SGD(p.values(), 0.05, momentum=0.9)
    for k in range(EPOCHS * ROWS // BATCH):
        rows = slice(k * BATCH % ROWS, k * BATCH % ROWS + BATCH)
        optimizer.zero_grad()
        out = forward(torch.tensor(X[rows]))
        torch.nn.functional.mse_loss(out, torch.tensor(y[rows])).backward()
        optimizer.step()
    model.fit(X, y, epochs=EPOCHS, batch_size=BATCH, shuffle=False, verbose=0, backend=backend)
    found = {name: tensor.detach().numpy() for name, tensor in p.items()}
    for k, norm in enumerate(norms, 1):
        norm.eval()
        if kind == "BatchNorm1d":
            found[f"running_mean{k}"] = norm.running_mean.numpy()
            found[f"running_var{k}"] = norm.running_var.numpy()
    for name, array in {**model.params, **model.buffers}.items():
        np.testing.assert_allclose(array, found[name], rtol=1e-10, atol=1e-11)
    want = forward(torch.tensor(X)).detach().numpy()
    np.testing.assert_allclose(model.predict(X), want, rtol=1e-10, atol=1e-11)
