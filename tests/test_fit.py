"""What training promises: rightly weighted, seeded, continued, repeated, told to callbacks."""

import copy
import threading
from typing import Any

import numpy as np
import pytest

import pellucid as pc
from pellucid import rng

X, Y = pc.data.moons(100, seed=1)
B, C = pc.data.blobs(90, seed=2)


def net(*more: Any, loss: str = "bce", **settings: Any) -> Any:
    layers = [pc.Dense(6, "tanh"), *more, pc.Dense(1, None if loss == "mse" else "sigmoid")]
    settings = {"dtype": "float64", "optimizer": pc.SGD(0.3, momentum=0.9)} | settings
    return pc.Sequential(layers, loss=loss, **settings)


def fit(model: Any, x: Any = X, y: Any = Y, **settings: Any) -> pc.History:
    history: pc.History = model.fit(x, y, verbose=0, **settings)
    return history


def same(one: Any, other: Any) -> bool:
    return all(np.array_equal(one.params[k], other.params[k]) for k in one.params)


# -- batches -----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [32, 1, 7, 99, 100, 101, None])
def test_the_loss_of_an_epoch_weights_every_sample_alike(size: int | None) -> None:
    """100 rows in batches of 32 are 32, 32, 32 and 4: the last one counts for 4%."""
    model, twin = net(metrics=["accuracy"]), net(metrics=["accuracy"])
    history = fit(model, batch_size=size, epochs=2)
    step = min(size or 100, 100)
    for epoch in range(2):
        order = rng.permutation(rng.key(0, "shuffle", epoch), 100) if step < 100 else np.arange(100)
        total = right = 0.0
        for start in range(0, 100, step):
            rows = order[start : start + step]
            right += twin.evaluate(X[rows], Y[rows])["accuracy"] * len(rows)
            total += twin.step(X[rows], Y[rows]) * len(rows)
        assert history["loss"][epoch] == pytest.approx(total / 100, rel=1e-13)
        assert history["accuracy"][epoch] == pytest.approx(right / 100, rel=1e-13)
    assert same(model, twin)


def test_every_epoch_sees_every_row_once_in_another_order() -> None:
    seen: list[Any] = []
    order = np.arange(20.0).reshape(-1, 1)
    model = pc.Sequential([pc.Dense(1)], loss="mse")
    fit(model, order[:1], order[:1])
    original = model._steps().take

    def watch(batch: Any) -> Any:
        seen.append(batch.X[:, 0].copy())
        return original(batch)

    model._steps().take = watch
    fit(model, order, order, epochs=3, batch_size=6)
    epochs = [np.concatenate(seen[k : k + 4]) for k in (0, 4, 8)]
    for e in epochs:
        assert sorted(e) == list(range(20))
    assert not np.array_equal(epochs[0], epochs[1]) and not np.array_equal(epochs[1], epochs[2])
    seen.clear()
    fit(model, order, order, batch_size=6, shuffle=False)
    assert np.array_equal(np.concatenate(seen), np.arange(20))


def test_the_seed_alone_decides() -> None:
    np.random.seed(0)
    before = np.random.get_state()[1].copy()  # type: ignore[index, union-attr]
    one, two, other = (net(pc.Dropout(0.3), seed=s) for s in (3, 3, 4))
    for model in (one, two, other):
        fit(model, epochs=3)
    assert same(one, two) and not same(one, other)
    assert np.array_equal(before, np.random.get_state()[1])  # type: ignore[index]


def test_weights_of_a_seed_are_the_same_in_both_precisions() -> None:
    single, double = net(dtype="float32"), net()
    single.predict(X)
    double.predict(X)
    for k in double.params:
        assert np.array_equal(single.params[k], double.params[k].astype("f4"))


# -- going on, starting again, copies ------------------------------------------------------------


@pytest.mark.parametrize("optimizer", [pc.SGD(0.1, 0.9), pc.Adam(0.02), pc.SGD(0.1, 0.9, 0.5)])
def test_fit_twice_is_one_longer_fit(optimizer: Any) -> None:
    model, twin = (net(pc.Dropout(0.2), optimizer=optimizer) for _ in range(2))
    settings: dict[str, Any] = {"batch_size": 16, "validation_split": 0.2}
    first, second = fit(model, epochs=3, **settings), fit(model, epochs=4, **settings)
    whole = fit(twin, epochs=7, **settings)
    assert same(model, twin)
    for name in whole:
        assert first[name] + second[name] == whole[name]


def test_reset_starts_again() -> None:
    model = net(pc.Dropout(0.2), optimizer="adam")
    first = dict(fit(model, epochs=3))
    view = model.params["W1"]
    model.reset()
    assert model.history is None and model.params["W1"].base is view.base
    assert dict(fit(model, epochs=3)) == first
    model.reset(seed=5)
    fresh = net(pc.Dropout(0.2), optimizer="adam", seed=5)
    assert dict(fit(model, epochs=3)) == dict(fit(fresh, epochs=3)) != first
    assert same(model, fresh)


def test_a_copy_goes_its_own_way() -> None:
    model = net(pc.Dropout(0.2), optimizer="adam", metrics=["accuracy"])
    fit(model, epochs=2)
    assert same(copy.deepcopy(model), model)
    twin, kept = model.copy(), {k: v.copy() for k, v in model.params.items()}
    assert same(model, twin)
    one = dict(fit(twin, epochs=3))
    assert all(np.array_equal(model.params[k], kept[k]) for k in kept)
    assert dict(fit(model, epochs=3)) == one and same(model, twin)
    assert net().copy()._net is None


def test_a_new_optimizer_is_really_used() -> None:
    model, twin = net(optimizer="adam"), net(optimizer="adam")
    fit(model)
    fit(twin)
    model.optimizer = pc.SGD(0.5)
    g, before = model.gradients(X, Y), {k: v.copy() for k, v in model.params.items()}
    model.step(X, Y)
    for k in g:
        np.testing.assert_allclose(model.params[k], before[k] - 0.5 * g[k], rtol=1e-13)
    assert "SGD" in model.source() and not model._numbers.state
    twin.optimizer = pc.Adam(0.5)  # the same kind: it goes on from its running means
    assert twin._numbers.state["m"].any()
    with pytest.raises(pc.ArgumentError, match="did you mean"):
        model.optimizer = "sdg"


def test_models_train_in_threads() -> None:
    alone = [net(pc.Dropout(0.2), seed=s) for s in range(4)]
    together = [net(pc.Dropout(0.2), seed=s) for s in range(4)]
    for model in alone:
        fit(model, epochs=5)
    threads = [threading.Thread(target=fit, args=(m,), kwargs={"epochs": 5}) for m in together]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert all(same(a, b) for a, b in zip(alone, together, strict=True))


def test_one_model_predicts_in_threads() -> None:
    """A runner's memory is the model's: two predictions at once must not share it."""
    model = pc.Sequential([pc.Dense(300, "tanh"), pc.Dense(300, "tanh"), pc.Dense(2)])
    batches = [np.random.default_rng(k).normal(size=(400, 50)) for k in range(8)]
    right = [model.predict(b) for b in batches]
    wrong: list[int] = []

    def ask(k: int) -> None:
        for _ in range(8):
            if not np.array_equal(model.predict(batches[k]), right[k]):
                wrong.append(k)  # noqa: PERF401

    threads = [threading.Thread(target=ask, args=(k,)) for k in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not wrong


# -- one step ----------------------------------------------------------------------------------


def test_a_step_is_a_fit_with_one_batch() -> None:
    model, twin = net(pc.Dropout(0.3)), net(pc.Dropout(0.3))
    losses = [model.step(X, Y) for _ in range(4)]
    assert fit(twin, epochs=4, batch_size=None)["loss"] == losses
    assert same(model, twin)


def test_a_step_is_its_gradient_times_the_rate() -> None:
    model = net(optimizer=pc.SGD(0.25))
    loss, g = model.loss(X, Y), model.gradients(X, Y)
    before = {k: v.copy() for k, v in model.params.items()}
    assert model.step(X, Y) == pytest.approx(loss, rel=1e-14)
    for k in g:
        np.testing.assert_allclose(model.params[k], before[k] - 0.25 * g[k], rtol=1e-13, atol=1e-16)


LOSSES = [
    "mse",
    "half_mse",
    "mae",
    "huber",
    "bce",
    "bce_logits",
    "cce",
    "cce_logits",
    "hinge",
    "poisson",
]


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("weighted", [False, True])
def test_gradients_equal_central_differences(loss: str, weighted: bool) -> None:
    units = 3 if loss.startswith("cce") else 1
    last = {"cce": "softmax", "bce": "sigmoid", "poisson": "softplus"}.get(loss)
    layers = [pc.Dense(4, "tanh", l2=0.1), pc.Dense(units, last, l1=0.05)]
    model = pc.Sequential(layers, loss=loss, dtype="float64", seed=2)
    x = B[:7]
    y = C[:7] if units == 3 else {"hinge": 2 * (C[:7] > 0) - 1}.get(loss, C[:7] > 0)
    weight = np.arange(1.0, 8) if weighted else None
    for name, g in model.gradients(x, y, weight).items():
        p, e = model.params[name], 1e-6
        for at in np.ndindex(p.shape):
            kept = p[at]
            p[at] = kept + e
            up = model.loss(x, y, weight)
            p[at] = kept - e
            slope = (up - model.loss(x, y, weight)) / (2 * e)
            p[at] = kept
            assert abs(g[at] - slope) < 2e-8 * max(1, abs(slope)), (name, at)


# -- penalties, weights --------------------------------------------------------------------------


def test_penalties_are_in_the_loss_and_not_in_data_loss() -> None:
    layers = [pc.Dense(5, "tanh", l2=0.1), pc.Dense(1, l1=0.3, l2=0.2)]
    model = pc.Sequential(layers, loss="mse", dtype="float64")
    twin = pc.Sequential([pc.Dense(5, "tanh"), pc.Dense(1)], loss="mse", dtype="float64")
    found = model.evaluate(X, Y)
    W1, W2 = model.params["W1"], model.params["W2"]
    extra = 0.1 / 2 * (W1**2).sum() + 0.3 * np.abs(W2).sum() + 0.2 / 2 * (W2**2).sum()
    assert found["data_loss"] == pytest.approx(twin.loss(X, Y), rel=1e-14)
    assert found["loss"] == pytest.approx(found["data_loss"] + extra, rel=1e-14)
    history = fit(model, epochs=2, batch_size=32, validation_split=0.2)
    assert list(history) == ["loss", "data_loss", "val_loss", "val_data_loss"]
    assert history["loss"][0] > history["data_loss"][0]
    assert "data_loss" not in fit(twin)


@pytest.mark.parametrize("loss", ["mse", "bce"])
def test_a_weight_of_two_is_a_row_twice(loss: str) -> None:
    weights = np.where(np.arange(100) % 3 == 0, 2.0, 1.0)
    twice = np.repeat(np.arange(100), weights.astype(int))
    weighted, longer = net(loss=loss), net(loss=loss)
    a = fit(weighted, epochs=5, batch_size=None, sample_weight=weights)
    b = fit(longer, X[twice], Y[twice], epochs=5, batch_size=None)
    np.testing.assert_allclose(a["loss"], b["loss"], rtol=1e-12)
    for k in weighted.params:
        np.testing.assert_allclose(weighted.params[k], longer.params[k], rtol=1e-9, atol=1e-12)


def test_a_weight_of_zero_is_a_row_left_out() -> None:
    weights = (np.arange(100) < 60).astype(float)
    one, other = net(), net()
    one.step(X, Y, weights)
    other.step(X[:60], Y[:60])
    for k in one.params:
        np.testing.assert_allclose(one.params[k], other.params[k], rtol=1e-12)


def test_only_the_ratio_of_weights_counts() -> None:
    one, other, plain = net(), net(), net()
    w = np.linspace(0.5, 2, 100)
    assert one.loss(X, Y, w) == pytest.approx(other.loss(X, Y, 1e200 * w), rel=1e-13)
    assert plain.loss(X, Y, np.full(100, 7.0)) == pytest.approx(plain.loss(X, Y), rel=1e-13)


def test_balanced_class_weights() -> None:
    rare = np.concatenate([np.flatnonzero(Y == 0), np.flatnonzero(Y == 1)[:10]])
    x, y = X[rare], Y[rare]
    each = len(y) / (2 * np.bincount(y))
    models = [net() for _ in range(3)]
    fit(models[0], x, y, class_weight="balanced")
    fit(models[1], x, y, class_weight={0: each[0], 1: each[1]})
    fit(models[2], x, y, sample_weight=each[y])
    assert same(models[0], models[1]) and same(models[0], models[2])


def test_class_weights_of_classes_and_of_signs() -> None:
    layers = [pc.Dense(3, "softmax")]
    one, other = (pc.Sequential(layers, loss="cce", dtype="float64") for _ in range(2))
    fit(one, B, C, class_weight={2: 3.0})
    fit(other, B, np.eye(3)[C], sample_weight=np.where(C == 2, 3.0, 1.0))
    assert same(one, other)
    signs = 2 * Y - 1
    a, b = (pc.Sequential([pc.Dense(1)], loss="hinge", dtype="float64") for _ in range(2))
    fit(a, X, signs, class_weight={-1: 3.0})
    fit(b, X, signs, sample_weight=np.where(signs < 0, 3.0, 1.0))
    assert same(a, b)


# -- validation --------------------------------------------------------------------------------


def test_the_split_is_shuffled_stratified_and_seeded() -> None:
    order = np.argsort(C, kind="stable")
    x, y = np.column_stack([B[order], np.arange(90)]), C[order]
    held: list[Any] = []
    for seed in (0, 0, 1):
        model = pc.Sequential([pc.Dense(3, "softmax")], loss="cce", seed=seed)
        train_x, train_y, _, (test_x, test_y), _ = model._held_out(x, y, None, None, 0.2)
        assert list(np.bincount(test_y)) == [6, 6, 6] and len(train_x) == 72
        rows = sorted([*train_x[:, 2], *test_x[:, 2]])
        assert rows == list(range(90)), "no row is lost or in both parts"
        assert np.array_equal(y[test_x[:, 2].astype(int)], test_y)
        assert np.array_equal(y[train_x[:, 2].astype(int)], train_y)
        held.append(test_x[:, 2])
    assert np.array_equal(held[0], held[1]) and not np.array_equal(held[0], held[2])


def test_validation_is_what_evaluate_says_and_never_trained_on() -> None:
    layers = [pc.Dropout(0.4)]
    model, twin = net(*layers, metrics=["accuracy"]), net(*layers, metrics=["accuracy"])
    history = fit(model, X[:80], Y[:80], epochs=3, validation_data=(X[80:], Y[80:]))
    fit(twin, X[:80], Y[:80], epochs=3)
    assert same(model, twin)
    found = model.evaluate(X[80:], Y[80:])
    assert found == {k.removeprefix("val_"): v[-1] for k, v in history.items() if k[:4] == "val_"}
    assert list(history) == ["loss", "accuracy", "val_loss", "val_accuracy"]


def test_sample_weights_follow_their_rows_through_the_split() -> None:
    weights = np.linspace(1, 5, 100)
    model, twin = net(), net()
    fit(model, sample_weight=weights, validation_split=0.3)
    x, y, w, held, _ = twin._held_out(X, Y, weights, None, 0.3)
    rows = [int(np.flatnonzero((row == X).all(axis=1))[0]) for row in x]
    assert np.array_equal(w, weights[rows]) and rows != sorted(rows)
    fit(twin, x, y, sample_weight=w, validation_data=held)
    assert same(model, twin)


# -- callbacks and lines -------------------------------------------------------------------------


class Recorder(pc.Callback):
    """Notes every hook in its order."""

    def __init__(self) -> None:
        self.seen: list[Any] = []

    def on_train_begin(self, logs: Any) -> None:
        self.seen.append(("begin", dict(logs)))

    def on_epoch_begin(self, epoch: int, logs: Any) -> None:
        self.seen.append(("epoch", epoch))

    def on_batch_end(self, batch: int, logs: Any) -> None:
        self.seen.append(("batch", batch, sorted(logs)))

    def on_epoch_end(self, epoch: int, logs: Any) -> None:
        self.seen.append(("end", epoch, list(logs)))

    def on_train_end(self, logs: Any) -> None:
        self.seen.append(("done",))


def test_hooks_in_their_order_with_their_logs() -> None:
    recorder, model = Recorder(), net(metrics=["accuracy"])
    fit(model, epochs=2, batch_size=60, validation_data=(X, Y), callbacks=[recorder])
    expected: list[Any] = [("begin", {"epochs": 2, "samples": 100, "batches": 2})]
    for epoch in range(2):
        expected += [("epoch", epoch), *(("batch", k, ["accuracy", "loss"]) for k in range(2))]
        expected += [("end", epoch, ["loss", "accuracy", "val_loss", "val_accuracy"])]
    assert recorder.seen == [*expected, ("done",)]
    assert recorder.model is model


def test_a_callback_stops_the_training_and_the_next_one_is_free() -> None:
    class Enough(pc.Callback):
        def on_epoch_end(self, epoch: int, logs: Any) -> None:
            if epoch == 2:
                self.stop("enough")

    hook, model = Enough(), net()
    history = fit(model, epochs=50, callbacks=[hook])
    assert (history.epochs, history.stopped) == (3, "enough")
    assert fit(model, epochs=2, callbacks=[hook]).epochs == 2


def test_an_error_in_a_callback_comes_out() -> None:
    def broken(epoch: int, logs: Any) -> None:
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        fit(net(), callbacks=[pc.LambdaCallback(on_epoch_end=broken)])


@pytest.mark.parametrize(
    ("epochs", "every", "lines"),
    [
        (10_000, None, 21),
        (1, None, 1),
        (5, None, 5),
        (20, None, 20),
        (39, None, 21),
        (100, 10, 11),
        (7, 3, 4),
    ],
)
def test_about_twenty_lines(epochs: int, every: int | None, lines: int, capsys: Any) -> None:
    model = pc.Sequential([pc.Dense(1)], loss="mse")
    model.fit([[1.0]], [1.0], epochs=epochs, print_every=every)
    out = capsys.readouterr().out.splitlines()
    assert len(out) == lines
    assert out[0].split()[1].startswith("1/") and out[-1].split()[1].startswith(f"{epochs}/")


def test_silence(capsys: Any) -> None:
    model = net()
    fit(model, epochs=3, validation_split=0.2)
    model.predict(X)
    model.evaluate(X, Y)
    model.step(X, Y)
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_the_history_is_a_mapping() -> None:
    history = fit(net(metrics=["accuracy"]), epochs=3)
    assert list(history) == ["loss", "accuracy"] and len(history["loss"]) == 3
    assert history.epochs == 3 and history.seconds > 0 and history.stopped == ""
    assert history.backend == "numpy" and "loss" in history and history.get("val_loss") is None
    assert all(type(v) is float for v in history["loss"]) and "3 epochs" in repr(history)


# -- dropout -----------------------------------------------------------------------------------


def test_dropout_keeps_the_expected_value_and_is_off_at_prediction() -> None:
    """The mean output over many masks is that without a mask."""
    model = pc.Sequential(
        [pc.Dropout(0.3), pc.Dense(1, bias=False)],
        loss=lambda p, y: pc.mean(p),
        dtype="float64",
        optimizer=pc.SGD(1e-300),
    )
    x = np.ones((400, 50))
    plain = model.predict(x).mean()
    trained = [model.step(x, np.zeros(400)) for _ in range(100)]
    deviation = np.sqrt(0.3 / 0.7 * (model.params["W1"] ** 2).sum() / 40_000)
    assert abs(np.mean(trained) - plain) < 4 * deviation
    assert np.std(trained) > 0 and np.array_equal(model.predict(x), model.predict(x))


def test_masks_drop_the_share_asked_for_and_differ_from_step_to_step() -> None:
    model = net(pc.Dropout(0.25))
    fit(model)
    stepper = model._steps()
    step = stepper.program(False)[0]
    masks = []
    for _ in range(2):
        stepper.numbers.steps += 1
        (mask,) = stepper._masks(step, 10_000).values()
        assert set(np.unique(mask)) == {0.0, 1.0} and abs((mask == 0).mean() - 0.25) < 0.02
        masks.append(mask)
    assert not np.array_equal(*masks)
    assert np.array_equal(masks[1], next(iter(stepper._masks(step, 10_000).values())))


def test_two_dropout_layers_have_masks_of_their_own() -> None:
    layers = [pc.Dropout(0.5), pc.Activation("relu"), pc.Dropout(0.5), pc.Dense(1)]
    model = pc.Sequential(layers, loss="mse")
    fit(model)
    one, two = model._steps()._masks(model._steps().program(False)[0], 100).values()
    assert not np.array_equal(one, two)


def test_dropout_of_nothing_is_no_dropout() -> None:
    one, other = net(pc.Dropout(0.0)), net()
    fit(one)
    fit(other)
    assert same(one, other)
