"""Models to PyTorch and back: the same numbers, the same names, and a certificate that can fail."""

from __future__ import annotations

import doctest
import json
from dataclasses import dataclass, replace
from typing import Any

import contracts
import numpy as np
import pytest
import test_ops

import pellucid as pc
from pellucid import optim
from pellucid.errors import ArgumentError, DtypeError, NotBuiltError, ShapeError
from pellucid.interop import comparing, peers
from pellucid.losses import LOSSES
from pellucid.nn.layer import Composite, Layer, Parameter, activations
from pellucid.run import load
from pellucid.show.python import Program, Section
from pellucid.show.torch import source

torch = pytest.importorskip(
    "torch", reason="PyTorch is what is compared with: pip install -e '.[conformance]'"
)
pytestmark = pytest.mark.conformance
nn = torch.nn
interop = pc.interop.torch
RNG = np.random.default_rng(7)
X = RNG.normal(size=(24, 4))
LABELS = RNG.integers(0, 3, 24)


# -- layers of one's own ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Gain(Layer):
    """Learns a gain, and keeps a running mean, which it takes off."""

    def parameters(self, shape):
        return {"g": Parameter(shape, pc.Constant(0.5))}

    def state(self, shape):
        return {"mean": Parameter(shape)}

    def __call__(self, x, p):
        return (x - p["mean"]) * p["g"]

    def train(self, x, p, draw):
        mean = pc.mean(x, axis=0)
        return (x - mean) * p["g"], {"mean": p["mean"] * 0.8 + mean * 0.2}


@dataclass(frozen=True)
class Noise(Layer):
    """Doubles some values, at random, while training."""

    def __call__(self, x, p):
        return x

    def train(self, x, p, draw):
        return x * (1 + draw(x.shape, 0.5))


@dataclass(frozen=True)
class Ladder(Composite):
    """Uses what a layer gives twice, and joins several values."""

    def compose(self, x, call):
        a = call(pc.Dense(3, "tanh"), x)
        b = call(pc.Dense(2), a) * 2
        return call(pc.Concatenate(), (a, b, x))


@dataclass(frozen=True)
class Looked(Layer):
    """Looks a number up for every code."""

    def parameters(self, shape):
        return {"table": Parameter((9,), pc.Normal(1.0))}

    def __call__(self, x, p):
        return p["table"][pc.astype(x, np.int64)]


TWICE = pc.Shared(pc.Dense(4, "tanh"), "block")
STACKS: dict[str, list[Layer]] = {
    "dense": [pc.Dense(5, "relu"), pc.Dense(3)],
    "without bias": [pc.Dense(5, "sigmoid", bias=False), pc.Dense(3, bias=False)],
    "activation as a layer": [pc.Dense(5), pc.Activation("gelu"), pc.Dense(3)],
    "linear": [pc.Dense(5, "linear"), pc.Activation("identity"), pc.Dense(3)],
    "penalties": [pc.Dense(5, "selu", l1=0.01, l2=0.1), pc.Dense(3, l2=0.3)],
    "dropout": [pc.Dense(5), pc.Dropout(0.4), pc.Dense(3)],
    "shared": [pc.Dense(4), TWICE, TWICE, pc.Dense(3)],
    "batch norm": [pc.Dense(5), pc.BatchNorm(0.3, 1e-3), pc.Activation("relu"), pc.Dense(3)],
    "batch norm, no scale": [pc.Dense(5), pc.BatchNorm(scale=False), pc.Dense(3)],
    "batch norm, bare": [pc.Dense(5), pc.BatchNorm(scale=False, shift=False), pc.Dense(3)],
    "layer norm": [pc.Dense(5), pc.LayerNorm(1e-4), pc.Dense(3)],
    "layer norm, no shift": [pc.Dense(5), pc.LayerNorm(shift=False), pc.Dense(3)],
    "layer norm, no scale": [pc.Dense(5), pc.LayerNorm(scale=False), pc.Dense(3)],
    "residual": [pc.Residual([pc.Dense(8, "relu"), pc.Dense(4)]), pc.Dense(3)],
    "projection": [pc.Residual([pc.Dense(8, "tanh"), pc.Dense(5)]), pc.Dense(3)],
    "residual in residual": [
        pc.Residual([pc.Residual(pc.Dense(4)), pc.BatchNorm(), pc.Dropout(0.1)]),
        pc.Dense(3),
    ],
    "parallel": [
        pc.Parallel([pc.Dense(4, "relu"), [pc.Dense(2), pc.LayerNorm()], []]),
        pc.Dense(3),
    ],
    "parallel, multiplied": [
        pc.Parallel([pc.Dense(4), pc.Dense(4, "sigmoid")], merge="multiply"),
        pc.Dense(3),
    ],
    "several values": [Ladder(), pc.Dense(3)],
    "shared within": [TWICE, pc.Residual(TWICE), pc.Dense(3)],
    "prepared": [pc.Normalize(), pc.Dense(5), pc.Rescale(2.0, 0.5), pc.Dense(3)],
    "of one's own": [pc.Dense(4), Gain(), Noise(), pc.Dense(3)],
    "noise": [pc.Dense(5, "selu"), pc.AlphaDropout(0.1), pc.GaussianNoise(0.3), pc.Dense(3)],
    "a function": [pc.Dense(5, lambda z: z * pc.tanh(pc.softplus(z))), pc.Dense(3)],
    "max norm": [pc.Dense(5, "tanh", max_norm=0.8), pc.Dense(3, max_norm=1.1)],
    "frozen": [pc.Dense(5, "tanh", trainable=False), pc.Dense(3)],
}


def model_of(name: str, **settings: Any) -> Any:
    settings = {"loss": "cce_logits", "dtype": "float64", "seed": 2, **settings}
    model = pc.Sequential([*STACKS[name]], **settings)
    model.adapt(X)
    for key, array in model.params.items():  # biases are not 0, and scales not 1
        array += RNG.normal(size=array.shape) / 7
        assert key in model.params
    return model


def computed(module, rows=X):
    kind = next((p.dtype for p in module.parameters()), torch.float64)
    with torch.no_grad():
        return module(torch.tensor(rows, dtype=kind)).numpy()


# -- the printer -----------------------------------------------------------------------------------

LACKING = {"unslice", "prod", "all", "any", "astype"}  # or a setting of theirs
EQUAL_SHAPES = {"bernoulli", "bernoulli_logits"}  # which PyTorch asks for, and says so
CASES = [c for c in contracts.CASES if c[0] not in EQUAL_SHAPES or len({*c[1]}) == 1]


@pytest.mark.parametrize("case", CASES, ids=map(test_ops._id, CASES))
def test_every_op_prints_for_pytorch_and_gives_its_numbers(case):
    node, leaves, arrays = test_ops._node(case)
    program = Program("printed", leaves, [Section("", {"result": node})], ["result"])
    try:
        text = source(program)
    except ArgumentError as error:
        assert case[0] in LACKING, error
        return
    got = np.asarray(load(text, "printed")(*map(torch.tensor, arrays)))
    assert (got.shape, got.dtype) == (node.value.shape, node.dtype)
    close = 1e-12 if node.dtype == np.float64 else 1e-5
    np.testing.assert_allclose(got, node.value, rtol=close, atol=close)
    assert all(len(line) <= 100 for line in text.splitlines())


@pytest.mark.parametrize("name", ["relu", "softplus", "sigmoid", "swish", "log_sigmoid", "gelu"])
def test_large_numbers_stay_finite(name):
    big = np.array([[-800.0, -40.5, -39.5, 0.5, 39.5, 40.5, 800.0]])
    model = pc.Sequential([pc.Activation(name)], dtype="float64")
    np.testing.assert_allclose(
        interop.to_module(_built(model, big))(torch.tensor(big)).numpy(),
        model.predict(big),
        rtol=1e-13,
        atol=1e-300,
    )


def _built(model, rows):
    model.predict(rows)
    return model


# -- modules ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", STACKS)
def test_a_module_computes_what_the_model_does(name):
    model = model_of(name)
    module = interop.to_module(model)
    assert not module.training
    np.testing.assert_allclose(computed(module), model.predict(X, raw=True), rtol=0, atol=1e-13)


@pytest.mark.parametrize("name", STACKS)
def test_the_source_stands_alone_and_takes_the_weights(name):
    model = model_of(name)
    text = interop.to_source(model)
    assert "pellucid" not in text.split('"""')[2]
    module = load(text, "network")()
    module.load_state_dict(interop.to_state_dict(model), strict=True)
    expected = computed(interop.to_module(model))
    assert np.array_equal(computed(module.eval()), expected)


@pytest.mark.parametrize("name", STACKS)
def test_weights_come_back_bit_for_bit(name):
    model = model_of(name)
    other = model_of(name, seed=9)
    assert not np.array_equal(other.predict(X), model.predict(X))
    assert interop.from_state_dict(other, interop.to_state_dict(model)) is other
    assert np.array_equal(other.predict(X), model.predict(X))
    ours, theirs = comparing._arrays(other), comparing._arrays(model)
    assert all(np.array_equal(ours[k], theirs[k]) for k in theirs)


def test_names_are_those_of_a_stack_written_by_hand():
    model = pc.Sequential([pc.Dense(8, "relu", inputs=4), pc.Dropout(), pc.Dense(3, "softmax")])
    by_hand = nn.Sequential(
        nn.Linear(4, 8), nn.ReLU(), nn.Dropout(), nn.Linear(8, 3), nn.Softmax(dim=-1)
    )
    by_hand.load_state_dict(interop.to_state_dict(model), strict=True)
    np.testing.assert_allclose(computed(by_hand.eval()), model.predict(X), atol=1e-6)


def test_batch_norm_counts_its_batches():
    model = pc.Sequential([pc.Dense(3), pc.BatchNorm(), pc.Dense(3)], loss="cce_logits")
    model.fit(X, LABELS, batch_size=8, epochs=2, verbose=0)
    assert interop.to_state_dict(model)["1.num_batches_tracked"].item() == 6


def test_tensors_are_copies():
    model = model_of("dense")
    before = model.predict(X)
    for tensor in interop.to_state_dict(model).values():
        tensor.zero_()
    for parameter in interop.to_module(model).parameters():
        parameter.data.zero_()
    assert np.array_equal(model.predict(X), before)
    given = interop.to_state_dict(model)
    interop.from_state_dict(model, given)
    given["0.weight"].zero_()
    assert np.array_equal(model.predict(X), before)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_precision_is_the_models(dtype):
    module = interop.to_module(model_of("dense", dtype=dtype))
    assert {str(p.dtype) for p in module.parameters()} == {f"torch.{dtype}"}


@pytest.mark.parametrize("cast", ["half", "bfloat16", "float", "double"])
def test_weights_of_any_precision_come_back(cast):
    model = model_of("dense", dtype="float32")
    given = {k: getattr(t, cast)() for k, t in interop.to_state_dict(model).items()}
    interop.from_state_dict(model, given)
    assert np.array_equal(model.params["W1"], given["0.weight"].double().numpy().T.astype("f4"))


def test_arrays_and_parameters_of_a_module_are_taken_too():
    model = model_of("dense")
    expected = model.predict(X)
    given = {k: t.numpy() for k, t in interop.to_state_dict(model).items()}
    model.reset()
    interop.from_state_dict(model, given)
    assert np.array_equal(model.predict(X), expected)
    module = interop.to_module(model)
    interop.from_state_dict(model.reset(), dict(module.named_parameters()))
    assert np.array_equal(model.predict(X), expected)


def test_what_is_frozen_is_frozen_there():
    module = interop.to_module(model_of("frozen"))
    assert [p.requires_grad for p in module.parameters()] == [False, False, True, True]


@pytest.mark.parametrize("name", sorted(activations()))
def test_every_activation_has_its_value_and_slope(name):
    domain = {"log": 1.0, "log2": 1.0, "log10": 1.0, "sqrt": 1.0, "arccosh": 1.5}
    size = 0.4 if name.startswith("arc") else 1.0
    rows = (X * size if name not in domain else np.abs(X) * 0.5 + domain[name]).clip(-0.95, None)
    rows = rows.clip(None, 0.95) if name in ("arcsin", "arccos", "arctanh") else rows
    model = _built(pc.Sequential([pc.Activation(name)], dtype="float64"), rows)
    module, x = interop.to_module(model), torch.tensor(rows, requires_grad=True)
    out = module(x)
    weights = np.cos(np.arange(out.numel())).reshape(out.shape)
    np.testing.assert_allclose(out.detach().numpy(), model.predict(rows), rtol=1e-12, atol=1e-13)
    leaf = pc.value(rows, "x")
    slope = pc.grad(pc.sum(_activated(name, leaf) * weights), leaf).value
    (out * torch.tensor(weights)).sum().backward()
    np.testing.assert_allclose(slope, x.grad.numpy(), rtol=1e-11, atol=1e-13)


def _activated(name, x):
    act = pc.nn.layer.activation(name)
    return act(x) if act else x


def test_layers_of_ones_own_train_there_as_here():
    model = pc.Sequential([pc.Dense(4), Gain(), pc.Dense(3)], loss="cce_logits", dtype="float64")
    _built(model, X)
    module = interop.to_module(model).train()
    module(torch.tensor(X))
    model.step(X, LABELS)
    np.testing.assert_allclose(module[1].mean.numpy(), model.buffers["mean2"], atol=1e-14)


def test_what_is_drawn_at_random_is_drawn_there_too():
    model = pc.Sequential([Noise()], dtype="float64")
    module = interop.to_module(_built(model, X)).train()
    torch.manual_seed(0)
    ratio = module(torch.tensor(X)).numpy() / X
    assert {*np.unique(ratio.round(9))} == {1.0, 2.0}


CODES = RNG.integers(0, 9, (24, 4))


@pytest.mark.parametrize(
    "first", [[pc.Embedding(9, 2), pc.SpatialDropout(0.2), pc.Flatten()], [Looked()]]
)
def test_codes_are_looked_up_there_as_here(first):
    model = pc.Sequential([*first, pc.Dense(3)], loss="cce_logits", optimizer="adam", seed=1)
    certificate = interop.compare(model, CODES, LABELS, batch_size=8)
    assert certificate.ok, certificate
    assert [r.name for r in certificate.rows][2] in ("E1", "table1")


def test_an_embedding_has_pytorchs_names_and_comes_back():
    by_hand = nn.Sequential(nn.Embedding(9, 2), nn.Flatten(), nn.Linear(8, 3))
    model = interop.from_module(by_hand, inputs=4)
    assert list(interop.to_state_dict(model)) == list(by_hand.state_dict())
    with torch.no_grad():
        expected = by_hand(torch.tensor(CODES)).numpy()
        assert np.array_equal(interop.to_module(model)(torch.tensor(CODES)).numpy(), expected)
    np.testing.assert_allclose(model.predict(CODES), expected, atol=1e-6)


# -- what is refused -------------------------------------------------------------------------------


def _without(key):
    return lambda d: {k: v for k, v in d.items() if k != key}


BAD: dict[str, tuple[Any, type[Exception], str]] = {
    "nothing": (lambda d: {}, ArgumentError, "lacks 0.weight, 0.bias"),
    "one less": (_without("2.bias"), ArgumentError, "lacks 2.bias"),
    "one more": (lambda d: d | {"4.bias": d["0.bias"]}, ArgumentError, "has 4.bias"),
    "other names": (
        lambda d: {f"net.{k}": v for k, v in d.items()},
        ArgumentError,
        "in the same order",
    ),
    "turned": (lambda d: d | {"0.weight": d["0.weight"].T}, ShapeError, r"0.weight is \(4, 5\)"),
    "too large": (
        lambda d: d | {"2.bias": torch.zeros(4)},
        ShapeError,
        r"2.bias is \(4,\), the model's b2 takes \(3,\)",
    ),
    "complex": (lambda d: d | {"2.bias": torch.zeros(3) * 1j}, DtypeError, "complex"),
    "text": (lambda d: d | {"2.bias": "weights"}, DtypeError, "strings"),
    "a module": (lambda d: nn.Linear(2, 2), DtypeError, "state_dict"),
    "a list": (lambda d: list(d.values()), DtypeError, "list"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_does_not_fit_is_refused_whole(name):
    spoil, kind, match = BAD[name]
    model = model_of("dense")
    before = {k: v.copy() for k, v in model.params.items()}
    given = {k: t + 1 for k, t in interop.to_state_dict(model).items()}
    with pytest.raises(kind, match=match):
        interop.from_state_dict(model, spoil(given))
    assert all(np.array_equal(model.params[k], v) for k, v in before.items())


def test_a_shared_array_has_one_value():
    model = model_of("shared")
    given = interop.to_state_dict(model)
    given["3.weight"] = given["3.weight"] + 1
    with pytest.raises(ArgumentError, match="same array here, W2"):
        interop.from_state_dict(model, given)


def test_what_has_no_parameters_yet_or_is_no_model_is_refused():
    for function in (interop.to_state_dict, interop.to_module, interop.to_source):
        with pytest.raises(NotBuiltError):
            function(pc.Sequential([pc.Dense(2)]))
        with pytest.raises(DtypeError, match="a model is expected"):
            function(nn.Linear(2, 2))


def test_what_pytorch_cannot_write_is_named():
    model = pc.Sequential([pc.Activation(lambda x: pc.prod(x, axis=-1, keepdims=True) * x)])
    with pytest.raises(ArgumentError, match="'prod' with axis=1"):
        interop.to_source(_built(model, X))


# -- from modules ----------------------------------------------------------------------------------

LINEAR = nn.Linear(4, 4)
MODULES: dict[str, Any] = {
    "stack": lambda: nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Dropout(0.3), nn.Linear(8, 3)),
    "one": lambda: nn.Linear(4, 2, bias=False),
    "nested": lambda: nn.Sequential(
        nn.Sequential(nn.Linear(4, 3), nn.Sequential(nn.Tanh())), nn.Identity(), nn.Linear(3, 2)
    ),
    "activations": lambda: nn.Sequential(
        *(nn.Linear(4, 4), nn.LeakyReLU(), nn.LeakyReLU(0.2), nn.ELU(), nn.ELU(0.7), nn.SELU()),
        *(nn.SiLU(), nn.GELU(), nn.LogSigmoid(), nn.Softmax(dim=1), nn.LogSoftmax(dim=-1)),
    ),
    "norms": lambda: nn.Sequential(
        nn.BatchNorm1d(4, affine=False),
        nn.Linear(4, 5),
        nn.BatchNorm1d(5, eps=1e-3, momentum=0.3),
        nn.Sigmoid(),
        nn.LayerNorm(5),
        nn.LayerNorm(5, bias=False),
        nn.LayerNorm(5, elementwise_affine=False),
    ),
    "tied": lambda: nn.Sequential(LINEAR, nn.ReLU(), LINEAR, nn.ReLU(), nn.Linear(4, 2)),
}


@pytest.mark.parametrize("double", [True, False])
@pytest.mark.parametrize("name", MODULES)
def test_a_module_becomes_a_model_that_computes_the_same(name, double):
    torch.manual_seed(3)
    module = MODULES[name]()
    module = module.double() if double else module.float()
    for tensor in module.buffers():
        if tensor.is_floating_point():
            tensor.uniform_(0.5, 2)
    model = interop.from_module(module, loss="mse", seed=4)
    limit = 1e-13 if double else 1e-5
    assert model.dtype == ("float64" if double and list(module.state_dict()) else model.dtype)
    np.testing.assert_allclose(model.predict(X), computed(module.eval()), rtol=0, atol=limit)
    np.testing.assert_allclose(
        computed(interop.to_module(model)), computed(module), rtol=0, atol=limit
    )


def test_activations_go_into_the_layer_before():
    model = interop.from_module(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3)))
    assert model.layers == (pc.Dense(8, "relu", inputs=4), pc.Dense(3))
    assert isinstance(interop.from_module(MODULES["tied"]()).layers[0], pc.Shared)


def test_a_flattened_picture_needs_its_shape_said():
    module = nn.Sequential(nn.Flatten(), nn.Linear(6, 2)).double()
    rows = RNG.normal(size=(5, 2, 3))
    model = interop.from_module(module, inputs=(2, 3))
    np.testing.assert_allclose(model.predict(rows), computed(module, rows), atol=1e-14)
    with pytest.raises(ArgumentError, match="of what shape a sample is"):
        interop.from_module(module)


def _hooked():
    module = nn.Sequential(nn.Linear(2, 2))
    module[0].register_forward_hook(lambda *a: None)
    return module


class _Doubled(nn.Linear):
    def forward(self, x):
        return 2 * nn.Linear.forward(self, x)


REFUSED: dict[str, tuple[Any, str]] = {
    "unknown": (lambda: nn.Sequential(nn.Linear(2, 2), nn.Hardshrink()), "module 1, a Hardshrink"),
    "nested": (
        lambda: nn.Sequential(nn.Sequential(nn.Linear(2, 2), nn.RNN(2, 2))),
        "module 0.1, a RNN",
    ),
    "of one's own": (lambda: nn.Sequential(_Doubled(2, 2)), "module 0, a _Doubled"),
    "named as ours": (
        lambda: nn.Sequential(nn.Linear(2, 2), type("ReLU", (nn.Tanh,), {})()),
        "module 1, a ReLU",
    ),
    "normed weights": (
        lambda: nn.Sequential(nn.utils.parametrizations.weight_norm(nn.Linear(2, 2))),
        "ParametrizedLinear",
    ),
    "hooks": (_hooked, "has hooks"),
    "tanh-gelu": (lambda: nn.Sequential(nn.Linear(2, 2), nn.GELU("tanh")), "approximate='tanh'"),
    "softplus": (lambda: nn.Sequential(nn.Linear(2, 2), nn.Softplus(2)), "beta=2"),
    "softmax": (lambda: nn.Sequential(nn.Linear(2, 2), nn.Softmax(dim=0)), "dim=0"),
    "padding": (
        lambda: nn.Sequential(nn.Embedding(5, 2, padding_idx=0), nn.Flatten(), nn.Linear(4, 2)),
        "padding_idx=0",
    ),
    "flatten": (lambda: nn.Sequential(nn.Flatten(0), nn.Linear(2, 2)), "start_dim=0"),
    "dropout": (lambda: nn.Sequential(nn.Linear(2, 2), nn.Dropout(1.0)), "rate is 1.0"),
    "no statistics": (
        lambda: nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2, track_running_stats=False)),
        "track_running_stats=False",
    ),
    "no momentum": (
        lambda: nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2, momentum=None)),
        "no momentum",
    ),
    "empty": (lambda: nn.Sequential(), "nothing to compute"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_module_without_a_counterpart_is_named(name):
    make, match = REFUSED[name]
    with pytest.raises(ArgumentError, match=match):
        interop.from_module(make(), inputs=2)


def test_what_is_no_module_is_refused():
    with pytest.raises(DtypeError, match="a module is expected"):
        interop.from_module({"0.weight": torch.zeros(2, 2)})


# -- the certificate -------------------------------------------------------------------------------

OPTIMIZERS = {
    "sgd": optim.SGD(0.1),
    "momentum": optim.SGD(0.1, 0.9),
    "nesterov": optim.SGD(0.1, 0.9, nesterov=True),
    "dampening": optim.SGD(0.1, 0.9, 0.4),
    "adam": optim.Adam(0.01),
    "adam with all extras": optim.Adam(
        0.01, 0.8, 0.95, 1e-6, weight_decay=0.1, clip_global_norm=0.2, accumulate=2,
        groups=[optim.Group("b*", learning_rate=0.02, weight_decay=0.05)],
    ),
    "adamw": optim.AdamW(0.01, clip_value=0.05),
    "nadam": optim.NAdam(0.01, clip_norm=0.05),
    "amsgrad": optim.AMSGrad(0.01),
    "rmsprop": optim.RMSprop(0.01),
    "rmsprop, centered": optim.RMSprop(0.01, centered=True, momentum=0.5),
    "adagrad": optim.Adagrad(0.05, rate_decay=0.1, initial=0.1),
    "adadelta": optim.Adadelta(1.0),
    "a schedule": optim.Adam(pc.WarmUp(pc.Cosine(0.05, 8), 3), accumulate=2),
}  # fmt: skip


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_ten_steps_of_every_optimizer_are_pytorchs(name):
    model = model_of("penalties", optimizer=OPTIMIZERS[name])
    certificate = interop.compare(model, X, LABELS, batch_size=8)
    assert certificate.ok, certificate
    assert len([r for r in certificate.rows if r.part == "after 10 steps"]) == 5


@pytest.mark.parametrize("name", STACKS)
def test_every_stack_is_certified(name):
    certificate = interop.compare(model_of(name), X, LABELS, batch_size=12)
    assert certificate.ok, certificate
    assert max(r.absolute for r in certificate.rows if r.part == "gradients") <= 1e-12


TARGETS = {"values": X[:, :2], "binary": (X[:, :2] > 0) * 1.0, "classes": LABELS % 2,
           "signs": np.sign(X[:, :2]), "counts": np.round(np.abs(X[:, :2]))}  # fmt: skip
LAST = {"bce": "sigmoid", "cce": "softmax", "poisson": "softplus"}


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: loss.name)
def test_every_loss_is_pytorchs(loss):
    layers = [pc.Dense(5, "tanh"), pc.Dense(2, LAST.get(loss.name))]
    model = pc.Sequential(layers, loss=loss.name, optimizer="sgd", seed=1)
    certificate = interop.compare(model, X, TARGETS[loss.targets])
    assert certificate.ok, certificate


@pytest.mark.parametrize("name", ["cce_logits", "cce", "bce_logits", "bce"])
def test_smoothed_labels_are_pytorchs(name):
    layers = [pc.Dense(5, "tanh"), pc.Dense(2, LAST.get(name))]
    model = pc.Sequential(layers, loss=pc.LabelSmoothing(0.2, name), optimizer="sgd", seed=1)
    certificate = interop.compare(model, X, TARGETS["classes" if "cce" in name else "binary"])
    assert certificate.ok, certificate
    assert ("label_smoothing=0.2" in str(certificate.facts["loss"])) == ("cce" in name)


def _two_ways(call, size, place):
    place = call(pc.Flatten(), call(pc.Embedding(9, 2), place))
    both = pc.concatenate([call(pc.Dense(4, "tanh"), size), call(pc.Dropout(0.5), place)], 1)
    return {"price": call(pc.Dense(1), both), "kind": call(pc.Dense(3), both)}


def _cubed(p, y):
    return pc.mean(pc.absolute(p - y) ** 3)


@pytest.mark.parametrize("price", ["mse", "huber", _cubed], ids=["mse", "huber", "own"])
def test_a_model_of_several_inputs_and_outputs_is_certified(price):
    losses = {"price": price, "kind": "cce_logits"}
    model = pc.Model(_two_ways, loss=losses, loss_weights={"kind": 0.5}, seed=2)
    given = {"size": X, "place": CODES}
    certificate = interop.compare(model, given, {"price": X[:, 0], "kind": LABELS}, batch_size=8)
    assert certificate.ok, certificate
    assert any("Dropout: off" in note for note in certificate.notes)
    found = model.predict(given, raw=True)
    scores = computed(interop.to_module(model), model.packed(given))
    expected = np.concatenate([found["price"], found["kind"]], axis=1)
    np.testing.assert_allclose(scores, expected, atol=1e-5)


def test_a_loss_of_probabilities_after_another_activation():
    layers = [
        pc.Dense(4, "tanh"),
        pc.Dense(2),
        pc.Activation(lambda z: pc.clip(pc.sigmoid(z), 0.01, 0.99)),
    ]
    assert interop.compare(pc.Sequential(layers, loss="bce"), X, TARGETS["binary"]).ok


def test_a_loss_of_ones_own_is_printed():
    def steep(p, y):
        return pc.mean(pc.absolute(p - y) ** 3) + 0.1 * pc.mean(p**2)

    model = pc.Sequential([pc.Dense(4, "tanh"), pc.Dense(2)], loss=steep)
    certificate = interop.compare(model, X, TARGETS["values"])
    assert certificate.ok, certificate
    assert "printed" in str(certificate)


def test_row_e_the_deeper_network():
    """2-4-3-2-1 with ReLU and sigmoid, mean squared error: every gradient within 1e-12."""
    layers = [pc.Dense(4, "relu"), pc.Dense(3, "relu"), pc.Dense(2, "relu"), pc.Dense(1, "sigmoid")]
    rows, y = RNG.normal(size=(7, 2)), RNG.uniform(size=(7, 1))
    for optimizer in (pc.SGD(0.5), pc.Adam(0.01)):
        model = pc.Sequential(layers, loss="mse", optimizer=optimizer, seed=3, dtype="float64")
        _built(model, rows)
        for array in model.params.values():
            array += 0.2
        certificate = interop.compare(model, rows, y)
        slopes = [r for r in certificate.rows if r.part == "gradients"]
        assert certificate.ok
        assert len(slopes) == 8
        assert all(r.largest > 0 and r.absolute < 1e-12 for r in slopes)


def test_float32_has_its_own_limits():
    certificate = interop.compare(model_of("batch norm"), X, LABELS, dtype="float32")
    assert certificate.ok
    assert {r.tolerance for r in certificate.rows} == {1e-5, 1e-3}
    assert max(r.absolute for r in certificate.rows) > 1e-9


def test_the_model_stays_as_it_was():
    model = model_of("batch norm")
    model.fit(X, LABELS, epochs=2, verbose=0)
    before = model._numbers.copy()
    torch.manual_seed(1)
    drawn = torch.rand(1)
    torch.manual_seed(1)
    interop.compare(model, X, LABELS)
    assert model._numbers.equals(before)
    assert model._numbers.steps == before.steps
    assert torch.get_default_dtype() == torch.float32
    assert torch.equal(drawn, torch.rand(1))


def test_a_model_that_has_seen_no_data_stays_without_parameters():
    model = pc.Sequential([pc.Dense(3)], loss="cce_logits")
    assert interop.compare(model, X, LABELS).ok
    assert model._net is None


def test_the_same_question_has_the_same_answer():
    one, other = (interop.compare(model_of("frozen"), X, LABELS).facts for _ in range(2))
    assert one["samples"] == other["samples"]
    model = model_of("dense")
    assert str(interop.compare(model, X, LABELS)) == str(interop.compare(model, X, LABELS))


def test_the_certificate_says_what_it_is_about():
    model = model_of("dropout", optimizer=pc.SGD(0.25, 0.5))
    certificate = interop.compare(model, X, LABELS, steps=3, batch_size=10)
    text = str(certificate)
    assert max(map(len, text.splitlines())) <= 80
    for part in (
        *("equal", "after 3 steps", "torch.optim.SGD(lr=0.25, momentum=0.5)", "3, of 10 samples"),
        *("cross_entropy", "seed       2", f"PyTorch {torch.__version__}", "Dropout: off"),
    ):
        assert part in text.replace("\n           ", " "), part
    told = json.loads(json.dumps(certificate.to_json(), allow_nan=False))
    assert told["ok"] is True
    assert len(told["weights"]["sha256"]) == 64
    assert [r["name"] for r in told["rows"] if r["part"] == "gradients"] == ["W1", "b1", "W2", "b2"]


def test_the_weights_have_a_hash_that_tells_them_apart():
    model = model_of("dense")
    one = interop.compare(model, X, LABELS, steps=0)
    model.params["b2"][0] = np.nextafter(model.params["b2"][0], 9)
    other = interop.compare(model, X, LABELS, steps=0)
    assert one.facts["weights"] != other.facts["weights"]
    assert one.facts["samples"] == other.facts["samples"]


def test_a_bias_before_batch_norm_is_left_out_of_the_steps():
    model = model_of("batch norm", optimizer=pc.Adam(0.05))
    certificate = interop.compare(model, X, LABELS)
    assert certificate.ok, certificate
    assert any(note.startswith("b1 stays as it is") for note in certificate.notes)
    assert not any(
        "stays as it is" in n for n in interop.compare(model_of("dense"), X, LABELS).notes
    )


def test_an_optimizer_without_a_counterpart_is_said():
    certificate = interop.compare(model_of("dense", optimizer=optim.Lion()), X, LABELS)
    assert certificate.ok
    assert not [r for r in certificate.rows if r.part.startswith("after")]
    assert any("steps are not compared" in note for note in certificate.notes)


def test_a_search_is_compared_once():
    certificate = interop.compare(model_of("penalties", optimizer=pc.LBFGS()), X, LABELS)
    assert certificate.ok, certificate
    assert {r.part for r in certificate.rows} == {"values", "gradients", "after 1 step"}
    assert any("one step of LBFGS" in note for note in certificate.notes)


def test_gradients_that_vanish_are_said_to_say_little():
    model = pc.Sequential([pc.Dense(2, init="ones", inputs=4)], loss="mse", dtype="float64")
    certificate = interop.compare(model, X, model.predict(X))
    assert any("says little" in note for note in certificate.notes)


@pytest.mark.parametrize(
    "wrong", [{"steps": -1}, {"steps": 1.5}, {"batch_size": 0}, {"dtype": "float16"}]
)
def test_settings_that_cannot_be_meant_are_refused(wrong):
    with pytest.raises(ArgumentError):
        interop.compare(model_of("dense"), X, LABELS, **wrong)


def test_samples_that_do_not_fit_are_refused():
    with pytest.raises(ArgumentError, match="BatchNorm needs 2"):
        interop.compare(model_of("batch norm"), X[:1], LABELS[:1])
    with pytest.raises(ShapeError):
        interop.compare(model_of("dense"), X[:, :3], LABELS)
    with pytest.raises(ArgumentError, match="no loss"):
        interop.compare(model_of("dense", loss=None), X, LABELS)


# -- planted faults: each must show ----------------------------------------------------------------


def _differing(certificate):
    assert not certificate.ok
    assert not certificate
    assert "DIFFERS" in str(certificate)
    return {r.part for r in certificate.rows if not r.ok}


@pytest.mark.parametrize("name", ["beta1", "beta2", "eps", "learning_rate", "weight_decay"])
def test_another_setting_of_the_optimizer_shows_in_the_steps(name, monkeypatch):
    model = model_of("dense", optimizer=pc.Adam(0.01, weight_decay=0.1))
    other = replace(model.optimizer, **{name: getattr(model.optimizer, name) * 0.99})
    made = peers.OptimizerPeer.__init__
    monkeypatch.setattr(
        comparing.OptimizerPeer, "__init__", lambda self, t, ours, p: made(self, t, other, p)
    )
    parts = _differing(interop.compare(model, X, LABELS))
    assert parts == {"after 10 steps"}


@pytest.mark.parametrize("factor", [1 + 1e-9, 2.0])
def test_another_loss_shows_everywhere_but_in_the_scores(factor, monkeypatch):
    text = peers.TEXTS["cce_logits"]
    monkeypatch.setitem(peers.TEXTS, "cce_logits", f"{factor!r} * {text}")
    certificate = interop.compare(model_of("dense", optimizer=pc.SGD(0.5)), X, LABELS)
    assert {"values", "gradients"} <= _differing(certificate)
    assert certificate.rows[0].ok


def test_another_activation_shows(monkeypatch):
    from pellucid.interop import parts

    monkeypatch.setitem(parts.ACTIVATIONS, "selu", "nn.ELU(1.67)")
    certificate = interop.compare(model_of("penalties"), X, LABELS)
    assert _differing(certificate) == {"values", "gradients", "after 10 steps"}


def test_a_weight_that_is_not_taken_over_shows(monkeypatch):
    tensors = comparing.weights.tensors

    def one_off(*given):
        found = tensors(*given)
        found["0.weight"][0, 0] += 1e-9
        return found

    monkeypatch.setattr(comparing.weights, "tensors", one_off)
    assert _differing(interop.compare(model_of("dense"), X, LABELS))


def test_a_norm_that_is_not_kept_within_bounds_shows(monkeypatch):
    monkeypatch.setattr(comparing.Pair, "_bring_back", lambda self, bounds: None)
    certificate = interop.compare(model_of("max norm"), X, LABELS)
    assert _differing(certificate) == {"after 10 steps"}


def test_nan_is_no_agreement():
    row = comparing.row("values", "scores", np.array([np.nan]), np.array([np.nan]), 1e-12)
    assert not row.ok
    assert row.absolute == np.inf
    json.dumps(pc.interop.certificate.Certificate((row,), {}).to_json(), allow_nan=False)


# -- examples --------------------------------------------------------------------------------------


def test_the_examples_of_the_docstrings_run():
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    found = doctest.testmod(interop, optionflags=flags)
    assert found.attempted > 10
    assert found.failed == 0
