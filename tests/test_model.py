"""What a model answers: predictions, labels, loss, metrics, activations, parameters, summary."""

import warnings
from typing import Any

import numpy as np
import pytest

import pellucid as pc

X, Y = pc.data.moons(60, seed=1)
B, C = pc.data.blobs(60, seed=2)


def trained(units: int, act: str | None, loss: str, y: Any, x: Any = X, **settings: Any) -> Any:
    model = pc.Sequential(
        [pc.Dense(8, "tanh"), pc.Dense(units, act)],
        loss=loss,
        optimizer=pc.Adam(0.05),
        dtype="float64",
        **settings,
    )
    model.fit(x, y, epochs=60, verbose=0)
    return model


# -- predictions -------------------------------------------------------------------------------


def test_predict_gives_probabilities_where_the_loss_takes_scores() -> None:
    for act, loss, units, y, x in [("sigmoid", "bce", 1, Y, X), ("softmax", "cce", 3, C, B)]:
        scores = trained(units, None, f"{loss}_logits", y, x)
        shares = trained(units, act, loss, y, x)
        raw = scores.predict(x, raw=True)
        link = getattr(pc, act)(raw, axis=-1) if act == "softmax" else pc.sigmoid(raw)
        np.testing.assert_allclose(scores.predict(x), link, rtol=1e-14)
        np.testing.assert_allclose(scores.predict(x), shares.predict(x), rtol=1e-9)
        assert np.array_equal(shares.predict(x, raw=True), shares.predict(x))


def test_the_fused_loss_trains_as_the_scores_do() -> None:
    """sigmoid with bce and scores with bce_logits are one and the same training."""
    one, other = trained(1, "sigmoid", "bce", Y), trained(1, None, "bce_logits", Y)
    for k in one.params:
        np.testing.assert_allclose(one.params[k], other.params[k], rtol=1e-9)


@pytest.mark.parametrize(
    ("labels", "kind"),
    [
        (Y, "i"),
        (Y.astype(bool), "b"),
        (Y.astype(float), "f"),
        (Y.astype(np.uint8), "u"),
        (Y[:, None], "i"),
    ],
)
def test_classes_are_the_callers_labels(labels: Any, kind: str) -> None:
    model = trained(1, "sigmoid", "bce", labels)
    found = model.predict_classes(X)
    assert found.shape == (60,) and found.dtype.kind == kind
    assert (found == labels.ravel()).mean() > 0.8
    assert np.array_equal(found, model.predict(X)[:, 0] > 0.5)


def test_classes_of_every_kind_of_loss() -> None:
    for loss, act in (("cce", "softmax"), ("cce_logits", None)):
        for y in (C, C[:, None], np.eye(3)[C], C.astype(float)):
            found = trained(3, act, loss, y, B).predict_classes(B)
            assert found.shape == (60,) and found.dtype.kind == "i" and (found == C).mean() > 0.9
    signs = trained(1, None, "hinge", 2 * Y - 1).predict_classes(X)
    assert set(signs) == {-1, 1} and ((signs > 0) == Y).mean() > 0.8
    assert set(trained(1, "sigmoid", "mse", Y).predict_classes(X)) == {0, 1}
    several = trained(2, "sigmoid", "bce", np.stack([Y, 1 - Y], 1)).predict_classes(X)
    assert several.shape == (60, 2) and (several.sum(axis=1) == 1).mean() > 0.9
    one_against_rest = trained(3, None, "hinge", 2 * np.eye(3)[C] - 1, B).predict_classes(B)
    assert (one_against_rest == C).mean() > 0.9
    with pytest.raises(pc.ArgumentError, match="values, not classes"):
        trained(1, None, "mae", Y).predict_classes(X)


def test_accuracy_of_signs_and_labels_after_a_reset() -> None:
    model = trained(1, None, "hinge", 2 * Y - 1, metrics=["accuracy"])
    found = model.evaluate(X, 2 * Y - 1)["accuracy"]
    assert found == ((model.predict(X)[:, 0] > 0) == Y).mean() > 0.8
    scores = np.linspace(-1, 1, 60)[:, None]  # half of them between 0 and 0.5: right, if only just
    one = pc.Sequential([pc.Activation("linear")], loss="hinge", metrics=["accuracy"])
    assert one.evaluate(scores, np.sign(scores))["accuracy"] == 1
    binary = trained(1, "sigmoid", "bce", Y.astype(bool))
    binary.reset().fit(X, Y, verbose=0)
    assert binary.predict_classes(X).dtype.kind == "i"


def test_classes_without_a_fit() -> None:
    model = pc.Sequential([pc.Dense(1)], loss="hinge")
    assert set(model.predict_classes(X)) <= {-1, 1}
    model.step(X, 2 * Y - 1)
    assert set(model.predict_classes(X)) <= {-1, 1}


def test_row_k_of_a_batch_is_the_row_alone() -> None:
    model = trained(3, "softmax", "cce", C, B)
    whole = model.predict(B)
    for k in range(60):
        np.testing.assert_allclose(model.predict(B[k : k + 1])[0], whole[k], rtol=1e-12)


def test_a_model_without_a_loss_predicts() -> None:
    model = pc.Sequential([pc.Dense(3, "relu"), pc.Dense(2)])
    assert model.predict(X).shape == (60, 2) and list(model.activations(X)) == ["z1", "a1", "z2"]


# -- evaluate ----------------------------------------------------------------------------------


def test_evaluate_is_a_dict_of_floats() -> None:
    model = trained(1, "sigmoid", "bce", Y, metrics=["accuracy", "mse"])
    found, p = model.evaluate(X, Y), model.predict(X)[:, 0]
    assert list(found) == ["loss", "accuracy", "mse"]
    assert all(type(v) is float for v in found.values())
    assert found["loss"] == model.loss(X, Y)
    assert found["accuracy"] == ((p > 0.5) == Y).mean()
    assert found["mse"] == pytest.approx(((p - Y) ** 2).mean(), rel=1e-14)


def test_accuracy_of_several_labels_counts_every_label() -> None:
    y = np.stack([Y, 1 - Y, Y], 1)
    model = trained(3, "sigmoid", "bce", y, metrics=["accuracy"])
    assert model.evaluate(X, y)["accuracy"] == pytest.approx((model.predict_classes(X) == y).mean())


@pytest.mark.parametrize("loss", ["cce", "cce_logits", "mse"])
def test_accuracy_of_classes(loss: str) -> None:
    y = np.eye(3)[C]
    model = trained(3, "softmax" if loss == "cce" else None, loss, y, B, metrics=["acc"])
    assert model.evaluate(B, y)["accuracy"] == (model.predict(B).argmax(1) == C).mean()


def test_metrics_see_probabilities_where_the_loss_takes_scores() -> None:
    model = trained(1, None, "bce_logits", Y, metrics=["mse", "bce", "bce_logits"])
    found, p = model.evaluate(X, Y), model.predict(X)[:, 0]
    assert found["mse"] == pytest.approx(((p - Y) ** 2).mean(), rel=1e-12)
    assert found["bce"] == pytest.approx(found["loss"], rel=1e-9)
    assert found["bce_logits"] == found["bce"], "the sigmoid is not applied twice"


def test_a_metric_of_ones_own() -> None:
    def bias(p: Any, y: Any) -> Any:
        return pc.mean(p - y)

    model = trained(1, None, "mse", Y, metrics=[bias])
    p = model.predict(X)[:, 0]
    assert model.evaluate(X, Y)["bias"] == pytest.approx((p - Y).mean(), rel=1e-12)


@pytest.mark.parametrize(
    ("name", "alias"),
    [
        ("bce", "binary_crossentropy"),
        ("cce", "categorical_crossentropy"),
        ("mse", "mean_squared_error"),
        ("mse", "MSE"),
        ("mae", "mean_absolute_error"),
        ("cce", "sparse_categorical_crossentropy"),
    ],
)
def test_losses_by_their_long_names(name: str, alias: str) -> None:
    assert pc.Sequential(loss=alias).loss_function is pc.Sequential(loss=name).loss_function
    assert (
        pc.Sequential(loss=getattr(pc, name)).loss_function
        is pc.Sequential(loss=name).loss_function
    )


# -- parameters --------------------------------------------------------------------------------


def test_parameters_are_views_of_one_buffer() -> None:
    model = pc.Sequential([pc.Dense(3, "relu", inputs=2), pc.Dense(1)])
    assert {k: v.shape for k, v in model.params.items()} == {
        "W1": (2, 3),
        "b1": (3,),
        "W2": (3, 1),
        "b2": (1,),
    }
    flat = model._numbers.params
    assert all(np.shares_memory(flat, v) for v in model.params.values())
    assert flat.size == sum(v.size for v in model.params.values()) and flat.flags.c_contiguous
    model.params["W2"][...] = 0
    model.params["b2"] = [7]
    assert np.array_equal(model.predict(X), np.full((60, 1), 7))
    model.params["b2"] += 1
    assert model.predict(X)[0, 0] == 8 and model.params["b2"].dtype == np.float32
    model.params = {"b2": [1], "W2": np.ones((3, 1), int)}
    assert model.params["W2"].sum() == 3


def test_parameters_stay_views_through_training_and_reset() -> None:
    model = pc.Sequential([pc.Dense(1, inputs=2)], loss="mse")
    W = model.params["W1"]
    model.fit(X, Y, verbose=0)
    model.reset(seed=3)
    assert W is model.params["W1"] or np.shares_memory(W, model.params["W1"])
    assert np.array_equal(W, model.params["W1"])


@pytest.mark.parametrize(
    "see", ["fit", "predict", "evaluate", "step", "loss", "gradients", "activations"]
)
def test_parameters_are_made_when_data_is_first_seen(see: str) -> None:
    model = pc.Sequential([pc.Dense(2), pc.Dense(1)], loss="mse")
    with pytest.raises(pc.NotBuiltError):
        _ = model.params
    arguments = (X,) if see in ("predict", "activations") else (X, Y)
    getattr(model, see)(*arguments, **({"verbose": 0} if see == "fit" else {}))
    assert list(model.params) == ["W1", "b1", "W2", "b2"]


def test_three_times_a_layer_is_three_layers() -> None:
    model = pc.Sequential([pc.Dense(8, inputs=8)] * 3)
    assert list(model.params) == ["W1", "b1", "W2", "b2", "W3", "b3"]
    assert not np.array_equal(model.params["W1"], model.params["W2"])


def test_shared_layers_are_one() -> None:
    shared = pc.Shared(pc.Dense(4, "tanh", l2=0.5), "twin")
    model = pc.Sequential([pc.Dense(4), shared, shared, pc.Dense(1)], loss="mse", dtype="float64")
    model.predict(X)
    assert list(model.params) == ["W1", "b1", "W2", "b2", "W4", "b4"]
    W, b, a = model.params["W2"], model.params["b2"], X @ model.params["W1"] + model.params["b1"]
    for _ in range(2):
        a = np.tanh(a @ W + b)
    np.testing.assert_allclose(
        model.predict(X), a @ model.params["W4"] + model.params["b4"], rtol=1e-12
    )
    found = model.evaluate(X, Y)
    assert found["loss"] - found["data_loss"] == pytest.approx(0.25 * (W**2).sum(), rel=1e-12)
    g, at, e = model.gradients(X, Y)["W2"], (1, 2), 1e-6
    W[at] += e
    up = model.loss(X, Y)
    W[at] -= 2 * e
    assert g[at] == pytest.approx((up - model.loss(X, Y)) / (2 * e), rel=1e-6)


def test_a_model_of_a_thousand_layers() -> None:
    model = pc.Sequential([pc.Dense(2, "tanh") for _ in range(1000)], loss="mse")
    y = np.zeros((60, 2))
    before = model.params["W1"].copy() if model._net else None
    assert before is None
    model.step(X, y)
    assert np.isfinite(model.params["W1000"]).all() and len(model.params) == 2000


# -- what is printed ---------------------------------------------------------------------------


def test_activations_have_the_textbooks_names() -> None:
    layers = [
        pc.Dense(4, "relu"),
        pc.Dropout(0.5),
        pc.Dense(3),
        pc.Activation("tanh"),
        pc.Dense(1, "sigmoid"),
    ]
    found = pc.Sequential(layers, loss="bce").activations(X)
    assert list(found) == ["z1", "a1", "z2", "a2", "z3", "a3"]
    assert {k: v.shape for k, v in found.items()}["z2"] == (60, 3)
    np.testing.assert_allclose(found["a2"], np.tanh(found["z2"]), rtol=1e-6)
    flat = pc.Sequential([pc.Flatten(), pc.Dense(1)]).activations(np.ones((2, 3, 4)))
    assert list(flat) == ["flat1", "z1"] and flat["flat1"].shape == (2, 12)


def test_the_summary_says_how_each_count_comes_about(capsys: Any) -> None:
    model = pc.Sequential(
        [pc.Dense(8, "relu", inputs=2), pc.Dropout(0.5), pc.Dense(1, "sigmoid")], loss="bce"
    )
    text = model.summary()
    assert capsys.readouterr().out == text + "\n"
    for words in ("2·8 + 8 = 24", "8·1 + 1 = 9", "33 parameters", "(n, 8)", "float32", "Dropout"):
        assert words in text
    unbiased = pc.Sequential([pc.Dense(1_000, bias=False, inputs=2_000)]).summary()
    assert "2000·1000 = 2000000" in unbiased and "2,000,000 parameters" in unbiased


def test_the_repr_can_be_read_back() -> None:
    model = pc.Sequential(
        [pc.Dense(8, "relu", l2=0.1), pc.Dropout(0.5)], loss="mse", optimizer=pc.SGD(0.1)
    )
    names = {k: getattr(pc, k) for k in ("Sequential", "Dense", "Dropout", "SGD")}
    assert repr(eval(repr(model), names)) == repr(model)


@pytest.mark.parametrize("dtype", ["float32", "float64", np.float32, float])
def test_precision(dtype: Any) -> None:
    model = pc.Sequential([pc.Dense(3, "gelu"), pc.Dense(1)], loss="mse", dtype=dtype)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.fit(X, Y, epochs=2, verbose=0)
    kinds = {
        a.dtype
        for a in (
            *model.params.values(),
            *model.gradients(X, Y).values(),
            model.predict(X),
            *model.activations(X).values(),
        )
    }
    assert kinds == {np.dtype(dtype)}


def test_single_precision_is_near_double() -> None:
    one, other = (
        pc.Sequential([pc.Dense(5, "tanh"), pc.Dense(1, "sigmoid")], loss="bce", dtype=d)
        for d in ("float32", "float64")
    )
    a, b = one.gradients(X, Y), other.gradients(X, Y)
    for k in a:
        np.testing.assert_allclose(a[k], b[k], rtol=2e-5, atol=1e-7)


def test_layers_can_be_added_one_by_one() -> None:
    model = pc.Sequential(loss="bce", metrics=["accuracy"])
    assert model.add(pc.Dense(8, "relu")).add(pc.Dense(1, "sigmoid")) is model
    whole = pc.Sequential(
        [pc.Dense(8, "relu"), pc.Dense(1, "sigmoid")], loss="bce", metrics=["accuracy"]
    )
    assert dict(model.fit(X, Y, verbose=0)) == dict(whole.fit(X, Y, verbose=0))
    known = pc.Sequential().add(pc.Dense(3, inputs=2)).add(pc.Dense(1))
    assert list(known.params) == ["W1", "b1", "W2", "b2"]


def test_a_model_can_be_pickled_and_goes_on_the_same() -> None:
    import pickle

    X, y = pc.data.xor()
    model = pc.Sequential([pc.Dense(4, "tanh"), pc.Dense(1, "sigmoid")], loss="bce", seed=1)
    model.fit(X, y, epochs=3, verbose=0)
    twin = pickle.loads(pickle.dumps(model))
    model.fit(X, y, epochs=3, verbose=0)
    twin.fit(X, y, epochs=3, verbose=0)
    assert np.array_equal(twin.predict(X), model.predict(X))
    twin.params["W1"][...] = 0
    assert not np.array_equal(twin.predict(X), model.predict(X))


def test_a_console_shows_the_summary_once(capsys: pytest.CaptureFixture[str]) -> None:
    model = pc.Sequential([pc.Dense(8, "relu", inputs=2)], loss="mse")
    text = model.summary()
    assert "2·8 + 8 = 24" in text
    assert capsys.readouterr().out.count("= 24") == 1
    assert repr(text) == ""


def test_a_new_optimizer_counts_its_steps_from_the_first() -> None:
    X, y = pc.data.xor()
    model = pc.Sequential([pc.Dense(1, inputs=2)], loss="mse", optimizer=pc.SGD(1e-6))
    model.fit(X, y, epochs=100, verbose=0)
    before = model.params["W1"].copy()
    model.optimizer = pc.Adam(0.01)
    model.step(X, y)  # the first step of Adam moves every weight by its rate
    np.testing.assert_allclose(np.abs(model.params["W1"] - before), 0.01, rtol=1e-4)


def test_names_of_metrics_and_states_cannot_hide_the_steps_own() -> None:
    from dataclasses import dataclass

    X, y = pc.data.xor()

    def W1(p: pc.Node, t: pc.Node) -> pc.Node:
        return pc.mean(p * t)  # type: ignore[no-any-return]

    @dataclass(frozen=True)
    class Odd(pc.Optimizer):
        learning_rate: float = 0.1

        @property
        def state(self) -> tuple[str, ...]:
            return ("X",)

    layers = [pc.Dense(1, "sigmoid")]
    model = pc.Sequential(layers, loss="bce", optimizer=pc.SGD(0.1), metrics=[W1])
    assert "W1_metric" in model.fit(X, y, verbose=0)
    with pytest.raises(pc.ArgumentError, match="calls a state 'X'"):
        pc.Sequential(layers, loss="bce", optimizer=Odd()).fit(X, y, verbose=0)


def test_a_stack_may_be_finished_by_add() -> None:
    X, y = pc.data.xor()
    model = pc.Sequential([pc.Dense(8, "relu")], loss="bce")  # a hidden layer, if more comes
    with pytest.raises(pc.ArgumentError, match="takes probabilities"):
        model.fit(X, y, verbose=0)
    model.add(pc.Dense(1, "sigmoid"))
    assert model.fit(X, y, verbose=0).epochs == 1
