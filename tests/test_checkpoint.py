"""A saved model comes back whole, and a broken file breaks nothing."""

import copy
import json
import multiprocessing
import os
import pickle
import threading
import tracemalloc
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pellucid as pc
from pellucid import described
from pellucid.errors import ArgumentError, DataError, DtypeError, ShapeError
from pellucid.safetensors import listing, write

X, Y = pc.data.moons(40)
B, C = pc.data.blobs(30)

MODELS: dict[str, Any] = {
    "plain": lambda: pc.Sequential(
        [pc.Dense(3, "tanh"), pc.Dense(1, "sigmoid")], loss="bce", optimizer="sgd"
    ),
    "adam": lambda: pc.Sequential(
        [pc.Dense(3, "relu", l2=0.1), pc.Dropout(0.2), pc.Dense(1)],
        loss="mse",
        metrics=["mae"],
        seed=9,
    ),
    "double": lambda: pc.Sequential(
        [pc.Dense(3, "gelu", bias=False), pc.Dense(1)],
        loss="bce_logits",
        dtype="float64",
        optimizer=pc.SGD(0.1, 0.9, nesterov=True),
    ),
    "settings": lambda: pc.Sequential(
        [
            pc.Dense(4, init=pc.He("uniform"), bias_init=0.1),
            pc.Activation(pc.tanh),
            pc.Dense(4, pc.relu, init="orthogonal"),
            pc.Dense(1, init=pc.Orthogonal(0.5)),
        ],
        loss="huber",
    ),
    "schedule": lambda: pc.Sequential(
        [pc.Dense(4, "relu"), pc.Dense(1)],
        loss="mse",
        optimizer=pc.AdamW(
            pc.WarmUp(pc.Cosine(0.01, steps=40), steps=5),
            weight_decay=0.1,
            clip_global_norm=1.0,
            ema=0.9,
            groups=[pc.Group("b*", learning_rate=0.02)],
        ),
    ),
    "held": lambda: pc.Sequential(
        [
            pc.Dense(4),
            pc.BatchNorm(),
            pc.Residual([pc.Dense(4, "relu"), pc.LayerNorm()]),
            pc.Parallel([pc.Dense(2), pc.Dense(3, trainable=False)]),
            pc.Dense(1),
        ],
        loss="mse",
    ),
    "shared": lambda: pc.Sequential(
        [pc.Dense(3), *[pc.Shared(pc.Dense(3, "tanh"), "s")] * 2, pc.Flatten(), pc.Dense(1)],
        loss="mse",
        seed=2**70,
    ),
}


def trained(name: str) -> Any:
    model = MODELS[name]()
    model.fit(X, Y, epochs=2, verbose=0)
    return model


@pytest.mark.parametrize("name", MODELS)
def test_a_model_comes_back_and_trains_on(name: str, tmp_path: Path) -> None:
    model = trained(name)
    path = model.save(tmp_path / "m.safetensors")
    twin = pc.load(path)
    assert list(twin.params) == list(model.params) and twin.dtype == model.dtype
    for key in model.params:
        assert np.array_equal(twin.params[key], model.params[key])
    assert np.array_equal(twin.predict(X), model.predict(X))
    if name in ("plain", "double"):
        assert np.array_equal(twin.predict_classes(X), model.predict_classes(X))
        assert twin.predict_classes(X).dtype == model.predict_classes(X).dtype
    assert twin.source() == model.source() and twin.summary() == model.summary()
    assert dict(twin.fit(X, Y, epochs=2, verbose=0)) == dict(model.fit(X, Y, epochs=2, verbose=0))
    assert np.array_equal(twin.predict(X), model.predict(X))


def test_labels_come_back(tmp_path: Path) -> None:
    for y in (C, C.astype(np.uint8)):
        model = pc.Sequential([pc.Dense(3, "softmax")], loss="cce")
        model.fit(B, y, verbose=0)
        found = pc.load(model.save(tmp_path / "m")).predict_classes(B)
        assert found.dtype == y.dtype and np.array_equal(found, model.predict_classes(B))


def test_a_file_is_the_same_for_the_same_model(tmp_path: Path) -> None:
    a = trained("adam").save(tmp_path / "a").read_bytes()
    assert a == trained("adam").save(str(tmp_path / "b")).read_bytes()
    assert pc.load(tmp_path / "a").save(tmp_path / "c").read_bytes() == a


def test_the_official_library_reads_the_file(tmp_path: Path) -> None:
    safetensors = pytest.importorskip("safetensors.numpy")
    model = trained("adam")
    found = safetensors.load_file(model.save(tmp_path / "m.safetensors"))
    assert set(found) == {*model.params, "optimizer.m", "optimizer.v"}
    for key, array in model.params.items():
        assert np.array_equal(found[key], array) and found[key].dtype == array.dtype


@dataclass(frozen=True)
class Scale(pc.Layer):
    start: float = 1.0

    def parameters(self, shape: Any) -> Any:
        return {"s": pc.Parameter((shape[0],), pc.Constant(self.start))}

    def __call__(self, x: Any, p: Any) -> Any:
        return x * p["s"]


def test_layers_of_ones_own(tmp_path: Path) -> None:
    model = pc.Sequential([Scale(3.0), pc.Dense(1)], loss="mse")
    model.fit(X, Y, verbose=0)
    path = model.save(tmp_path / "m")
    with pytest.raises(DataError, match=r"(?s)'Scale', which is not known.*custom="):
        pc.load(path)
    twin = pc.load(path, custom={"Scale": Scale})
    assert twin.layers[0] == Scale(3.0) and np.array_equal(twin.predict(X), model.predict(X))


# -- what cannot be saved ------------------------------------------------------------------------


class Plain(Scale):
    def __init__(self) -> None:
        pass


def _dense() -> Any:
    @dataclass(frozen=True)
    class Dense(Scale):
        pass

    return Dense()


UNSAVED: list[tuple[Any, str]] = [
    (lambda: pc.Sequential([pc.Dense(1, lambda x: x * 2.0)], loss="mse"), "function"),
    (lambda: pc.Sequential([pc.Dense(1)], loss=lambda p, y: pc.mean(p)), "loss that is a function"),
    (
        lambda: pc.Sequential([pc.Dense(1)], loss="mse", metrics=[lambda p, y: pc.mean(p)]),
        "metric that is",
    ),
    (lambda: pc.Sequential([_dense(), pc.Dense(1)], loss="mse"), "the name of ours, Dense"),
]


@pytest.mark.parametrize(("make", "words"), UNSAVED)
def test_functions_are_refused_and_an_old_file_stays(make: Any, words: str, tmp_path: Path) -> None:
    path = trained("plain").save(tmp_path / "m")
    before = path.read_bytes()
    model = make()
    model.predict(X)
    with pytest.raises(ArgumentError, match=words):
        model.save(path)
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["m"]


def test_where_nothing_can_be_saved(tmp_path: Path) -> None:
    model = trained("plain")
    with pytest.raises(ArgumentError, match="there is no folder"):
        model.save(tmp_path / "nowhere" / "m")
    with pytest.raises(ArgumentError, match="is a folder"):
        model.save(tmp_path)
    with pytest.raises(ArgumentError, match="there is no file"):
        pc.load(tmp_path)


# -- broken files ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(tmp_path_factory: Any) -> bytes:
    model = pc.Sequential(
        [pc.Dense(1, "tanh"), pc.Dense(1, "sigmoid")], loss="bce", optimizer="sgd"
    )
    model.fit(X, Y, verbose=0)
    path = model.save(tmp_path_factory.mktemp("whole") / "m")
    content: bytes = path.read_bytes()
    return content


def read(content: bytes, path: Path) -> Any:
    path.write_bytes(content)
    return pc.load(path)


def test_truncation_at_every_byte(whole: bytes, tmp_path: Path) -> None:
    for length in range(len(whole)):
        with pytest.raises(DataError):
            read(whole[:length], tmp_path / "m")


@pytest.mark.parametrize("seed", range(3))
def test_flipped_bytes_never_crash(whole: bytes, tmp_path: Path, seed: int) -> None:
    """Every byte of the header in turn; a model that still loads is a whole one."""
    rng, header = np.random.default_rng(seed), 8 + int.from_bytes(whole[:8], "little")
    for at in range(header):
        broken = bytearray(whole)
        broken[at] ^= int(rng.integers(1, 256)) if seed else 1
        try:
            model = read(bytes(broken), tmp_path / "m")
        except ArgumentError:  # a DataError is one
            continue
        assert np.isfinite(model.predict(X)).all()


@pytest.mark.slow
def test_every_value_of_every_byte(whole: bytes, tmp_path: Path) -> None:
    for at in range(8 + int.from_bytes(whole[:8], "little")):
        for value in (
            0,
            9,
            32,
            34,
            39,
            44,
            45,
            46,
            48,
            57,
            58,
            91,
            92,
            93,
            101,
            110,
            123,
            125,
            127,
            255,
        ):
            broken = bytearray(whole)
            broken[at] = value
            try:
                read(bytes(broken), tmp_path / "m")
            except ArgumentError:
                continue


def repacked(whole: bytes, change: Any, more: bytes = b"") -> bytes:
    """Return the file with its header changed as a table, and the description in it likewise."""
    length = int.from_bytes(whole[:8], "little")
    header = json.loads(whole[8 : 8 + length])
    told = json.loads(header["__metadata__"]["pellucid"])
    header = change(header, told) or header
    if "__metadata__" in header:
        header["__metadata__"]["pellucid"] = json.dumps(told)
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + whole[8 + length :] + more


def put(name: str, value: Any) -> Any:
    return lambda header, told: told.__setitem__(name, value)


def tensor(name: str, value: Any) -> Any:
    return lambda header, told: header["W1"].__setitem__(name, value)


def nested(depth: int) -> Any:
    layer: Any = {"type": "Flatten"}
    for _ in range(depth):
        layer = {"type": "Shared", "layer": layer, "name": "s"}
    return layer


def categories(inputs: int = 1, **asked: Any) -> Any:
    """Return a change: categories as features, which take memory by themselves."""

    def change(header: Any, told: Any) -> None:
        told["inputs"], told["layers"] = [inputs], [{"type": "OneHot", **asked}, *told["layers"]]

    return change


def widening(times: int) -> Any:
    both = {"type": "Concatenate", "branches": [{"type": "Flatten"}, {"type": "Flatten"}]}
    return put("layers", [*[both] * times, {"type": "OneHot", "sizes": 1, "columns": [0]}])


CHANGES: dict[str, Any] = {
    "no metadata": lambda h, t: {k: v for k, v in h.items() if k[0] != "_"},
    "newer format": put("format", 3),
    "no format": put("format", None),
    "format a text": put("format", "2"),
    "format 0": put("format", 0),
    "a layer a text": put("layers", ["Dense"]),
    "a base as layer": put("layers", [{"type": "Layer"}]),
    "layers very deep": put("layers", [nested(300)]),
    "many layers": put("layers", [{"type": "Flatten"}] * 3000),
    "many axes": put("inputs", [1] * 40),
    "many metrics": put("metrics", ["accuracy"] * 20_000),
    "scale": put("scale", "1"),
    "scale negative": put("scale", -1.0),
    "scale infinite": put("scale", float("inf")),
    "frozen": put("frozen", 3),
    "frozen a number": put("frozen", [3]),
    "frozen a list": put("frozen", [["W1"]]),
    "labels texts": put("labels", ["text", [1, 2]]),
    "labels of no kind": put("labels", [3, 4, 5]),
    "steps a truth": put("steps", True),
    "no counts": lambda h, t: t.pop("steps") and None,
    "no layers": put("layers", None),
    "layers a number": put("layers", 5),
    "layers empty": put("layers", []),
    "layer a number": put("layers", [5]),
    "unknown class": put("layers", [{"type": "os.system", "command": "true"}]),
    "class a list": put("layers", [{"type": ["Dense"]}]),
    "unknown setting": put("layers", [{"type": "Dense", "units": 1, "evil": 1}]),
    "many categories": categories(sizes=10**9),
    "many columns": categories(inputs=10**6, sizes=1),
    "many features": categories(inputs=10**9, sizes=2, columns=[0]),
    "wider and wider": widening(40),
    "a deep history": put("optimizer", {"type": "LBFGS", "history": 10**9}),
    "no unit": put("layers", [{"type": "Dense", "units": 0}]),
    "too many units": put("layers", [{"type": "Dense", "units": 10**12}]),
    "far too many units": put(
        "layers", [{"type": "Dense", "units": 10**40}, {"type": "Dense", "units": 1}]
    ),
    "an optimizer as layer": put("layers", [{"type": "Adam"}]),
    "activation a number": put("layers", [{"type": "Dense", "units": 1, "activation": 3}]),
    "a layer as optimizer": put("optimizer", {"type": "Dense", "units": 1}),
    "optimizer None": put("optimizer", None),
    "rate infinite": put("optimizer", {"type": "SGD", "learning_rate": float("inf")}),
    "rate NaN": put("optimizer", {"type": "SGD", "learning_rate": float("nan")}),
    "unknown loss": put("loss", "evil"),
    "loss a table": put("loss", {"type": "Dense", "units": 1}),
    "metrics a text": put("metrics", "accuracy"),
    "metrics a number": put("metrics", 3),
    "dtype": put("dtype", "float16"),
    "dtype odd": put("dtype", "f4,,"),
    "dtype table": put("dtype", {"a": 1}),
    "dtype object": put("dtype", "O"),
    "seed": put("seed", 1.5),
    "inputs text": put("inputs", ["a"]),
    "inputs negative": put("inputs", [-2]),
    "inputs number": put("inputs", 2),
    "inputs None": put("inputs", None),
    "inputs wrong": put("inputs", [3]),
    "inputs true": put("inputs", [True]),
    "steps": put("steps", "many"),
    "steps negative": put("steps", -1),
    "steps beyond counting": put("steps", 2**53 + 1),
    "steps of many digits": put("steps", 10**4000),
    "since when": put("since", 10**6),
    "frozen unknown": put("frozen", ["Q"]),
    "epochs": put("epochs", 1e300),
    "labels": put("labels", 5),
    "labels kind": put("labels", ["O", [1, 2]]),
    "labels fewer than classes": put("labels", ["int64", [0]]),
    "labels of texts as numbers": put("labels", ["int64", ["0", "1"]]),
    "labels one text": put("labels", ["text", "ab"]),
    "labels that fill the memory": put("labels", ["text", ["a" * 200_000] + ["b"] * 20_000]),
    "labels ragged": put("labels", ["int64", [[1], [1, 2]]]),
    "labels empty": put("labels", []),
    "tensor dtype": tensor("dtype", "F64"),
    "tensor dtype a list": tensor("dtype", ["F32"]),
    "tensor dtype unknown": tensor("dtype", "F8"),
    "tensor shape": tensor("shape", [1, 2]),
    "tensor shape negative": tensor("shape", [-2, -1]),
    "tensor shape text": tensor("shape", "2"),
    "offsets": tensor("data_offsets", [0, 10**9]),
    "offsets negative": tensor("data_offsets", [-8, 0]),
    "offsets one": tensor("data_offsets", [0]),
    "offsets text": tensor("data_offsets", ["0", "8"]),
    "offsets float": tensor("data_offsets", [0.0, 8.0]),
    "offsets true": tensor("data_offsets", [False, True]),
    "overlap": lambda h, t: h["b1"].__setitem__("data_offsets", h["W1"]["data_offsets"]),
    "one more": lambda h, t: h.__setitem__("W9", dict(h["W1"])),
    "one less": lambda h, t: h.pop("b1") and None,
    "tensor a number": lambda h, t: h.__setitem__("W1", 5),
    "a list": lambda h, t: [1, 2],
    "metadata a list": lambda h, t: h | {"__metadata__": {"pellucid": [1]}},
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_lies_is_refused(whole: bytes, change: str, tmp_path: Path) -> None:
    keep = change in ("no metadata", "a list")
    function = CHANGES[change]
    if change == "metadata a list":
        length = int.from_bytes(whole[:8], "little")
        header = json.loads(whole[8 : 8 + length]) | {"__metadata__": {"pellucid": [1]}}
        text = json.dumps(header).encode()
        content = len(text).to_bytes(8, "little") + text + whole[8 + length :]
    else:
        content = repacked(whole, function)
    assert keep or content != whole
    tracemalloc.start()
    try:
        with pytest.raises(DataError) as caught:
            read(content, tmp_path / "m")
        assert tracemalloc.get_traced_memory()[1] < len(content) + 64 * 2**20
    finally:
        tracemalloc.stop()
    assert caught.value.what.startswith("m: ") and len(caught.value.what) > 10


def test_a_description_that_says_something_twice_is_refused(whole: bytes, tmp_path: Path) -> None:
    length = int.from_bytes(whole[:8], "little")
    header = json.loads(whole[8 : 8 + length])
    told = header["__metadata__"]["pellucid"]
    for more, words in (('"seed": 1', "'seed' stands there twice"), ('"x": NaN', "NaN is no")):
        header["__metadata__"]["pellucid"] = f"{told[:-1]}, {more}}}"
        text = json.dumps(header).encode()
        with pytest.raises(DataError, match=words):
            read(len(text).to_bytes(8, "little") + text + whole[8 + length :], tmp_path / "m")


def test_labels_too_long_for_a_file_are_not_written(tmp_path: Path) -> None:
    model = trained("plain")
    model._labels = np.array(["a" * 9000, *map(str, range(1000))])
    with pytest.raises(ArgumentError, match="longest of the 1,001 labels"):
        model.save(tmp_path / "m")
    assert not os.listdir(tmp_path)


def test_a_file_that_is_saved_meanwhile_is_read_whole(tmp_path: Path) -> None:
    """The old one, or the new one: the description of one, and no numbers of the other."""
    models = [trained("plain"), trained("plain")]
    models[1]._numbers.steps = models[1]._numbers.epochs = 10**12  # a longer description
    models[1].params = {name: array + 1 for name, array in models[0].params.items()}
    models[0].save(tmp_path / "m")
    stop, wrong = threading.Event(), list[int]()

    def save() -> None:
        while not stop.is_set():
            for model in models:
                model.save(tmp_path / "m")

    thread = threading.Thread(target=save)
    thread.start()
    for _ in range(150):
        found = pc.load(tmp_path / "m")
        which = found._numbers.steps == 10**12
        wrong += [] if found._numbers.equals(models[which]._numbers) else [found._numbers.steps]
    stop.set()
    thread.join()
    assert not wrong


def test_a_newer_file_is_refused_with_a_sentence(whole: bytes, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"(?s)has format 9, and pellucid .* reads.*--upgrade"):
        read(repacked(whole, put("format", 9)), tmp_path / "m")


def test_weights_alone_are_no_model(tmp_path: Path) -> None:
    write(tmp_path / "m", {"W1": np.zeros((2, 3), np.float32)}, {})
    with pytest.raises(DataError, match=r"(?s)arrays, but no model.*load_weights"):
        pc.load(tmp_path / "m")


def test_many_names_are_told_in_few_words(tmp_path: Path) -> None:
    model = trained("plain")
    arrays = {f"x{k}": np.zeros(1, np.float32) for k in range(5000)}
    write(
        tmp_path / "m",
        arrays,
        {"pellucid": listing(model.save(tmp_path / "n")).metadata["pellucid"]},
    )
    with pytest.raises(DataError) as caught:
        pc.load(tmp_path / "m")
    assert "it lacks W1" in str(caught.value) and len(str(caught.value)) < 500


@pytest.mark.parametrize("units", [10**5, 10**9])
def test_a_model_that_is_not_there_takes_no_memory(
    units: int, whole: bytes, tmp_path: Path
) -> None:
    """Neither for its weights, nor to draw first ones: an orthogonal matrix would take minutes."""
    layers = [{"type": "Dense", "units": units, "init": {"type": "Orthogonal"}, "inputs": 2},
              {"type": "Dense", "units": units, "init": "orthogonal"}]  # fmt: skip
    tracemalloc.start()
    try:
        with pytest.raises(DataError, match=r"'W1' is F32|has the setting 1,000,000,000"):
            read(repacked(whole, put("layers", layers)), tmp_path / "m")
        assert tracemalloc.get_traced_memory()[1] < 64 * 2**20
    finally:
        tracemalloc.stop()


def test_loading_takes_the_memory_of_the_file(tmp_path: Path) -> None:
    model = pc.Sequential([pc.Dense(2000, init="orthogonal", inputs=1000)], loss="mse")
    path = model.save(tmp_path / "m")  # 24 MB: weights, and two states of Adam
    del model
    tracemalloc.start()
    try:
        assert pc.load(path).params["W1"].any()
        assert tracemalloc.get_traced_memory()[1] < path.stat().st_size + 16 * 2**20
    finally:
        tracemalloc.stop()


def test_more_layers_than_are_read_are_not_written(tmp_path: Path) -> None:
    model = pc.Sequential([pc.Dense(1, inputs=1), *[pc.Flatten()] * described.MOST])
    with pytest.raises(ArgumentError, match="layers and other values"):
        model.save(tmp_path / "m")
    assert not os.listdir(tmp_path)


# -- older files -----------------------------------------------------------------------------------

GOLDEN = Path(__file__).parent / "golden"


def test_files_of_format_1_are_read(tmp_path: Path) -> None:
    """As the first version wrote them; they predict and train on."""
    model = pc.load(GOLDEN / "format1_adam.safetensors")
    assert model.seed == 2**70 and model._numbers.steps == 6 and model._numbers.scale == 1.0
    assert [type(x).__name__ for x in model.layers] == [
        "Dense", "Dropout", "Shared", "Shared", "Dense"]  # fmt: skip
    assert model.layers[0].init == pc.He("uniform") and model.optimizer == pc.Adam()
    assert set(model.predict_classes(X)) <= {0, 1} and model.predict_classes(X).dtype == np.int64
    before = model.evaluate(X, Y)["loss"]
    model.fit(X, Y, epochs=3, verbose=0)
    assert model.evaluate(X, Y)["loss"] < before
    twin = pc.load(model.save(tmp_path / "m"))
    assert np.array_equal(twin.predict(X), model.predict(X))
    other = pc.load(GOLDEN / "format1_sgd.safetensors")
    assert other.optimizer == pc.SGD(0.1, 0.9, nesterov=True) and other.dtype == np.float64
    assert other._numbers.state["velocity"].any() and other.predict_classes(B).dtype == np.uint8


# -- settings of every kind ------------------------------------------------------------------------


@dataclass(frozen=True)
class Holder(pc.Layer):
    """A layer with every kind of setting."""

    parts: Any = ()
    table: Any = None
    lowest: float = -float("inf")
    name: str = "é"
    counted: int = field(default=0, init=False)

    def __call__(self, x: Any, p: Any) -> Any:
        return x


def test_settings_of_every_kind_come_back(tmp_path: Path) -> None:
    inner = (pc.Dense(3, "relu"), (1, 2.5, None, True, "x"), [pc.Dropout(0.1)], ())
    layer = Holder(inner, {"a": pc.He(), 1: (float("inf"), [float("-inf")])})
    model = pc.Sequential([layer, pc.Dense(1)], loss="mse")
    model.fit(X, Y, verbose=0)
    twin = pc.load(model.save(tmp_path / "m"), custom={"Holder": Holder})
    assert twin.layers[0] == layer


def test_every_frozen_class_of_the_library_can_be_saved() -> None:
    """They are gathered, and not listed: a new one is there by being offered."""
    for name in ("Dense", "BatchNorm", "Residual", "Adam", "Cosine", "Group", "He", "Constant"):
        assert described.TYPES[name] is getattr(pc, name)
    bases = {"Layer", "Composite", "Optimizer", "Schedule", "Initializer"}
    assert not bases & set(described.TYPES)


def test_frozen_parameters_and_a_rate_that_was_set_come_back(tmp_path: Path) -> None:
    model = trained("adam").freeze("W1", "b*")
    model.learning_rate = 0.02
    model.fit(X, Y, verbose=0)
    twin = pc.load(model.save(tmp_path / "m"))
    assert twin.frozen == model.frozen and twin.learning_rate == model.learning_rate
    for m in (model, twin):
        m.fit(X, Y, epochs=2, verbose=0)
    assert twin._numbers.equals(model._numbers) and twin._numbers.params.any()


# -- loading part of a model -----------------------------------------------------------------------


def foreign(path: Path, **arrays: Any) -> Path:
    write(path, {k.replace("__", "."): np.asarray(a) for k, a in arrays.items()}, {})
    return path


def blank() -> Any:
    return pc.Sequential([pc.Dense(3, inputs=2), pc.BatchNorm(), pc.Dense(1)], loss="mse")


def test_weights_of_another_model_are_read(tmp_path: Path) -> None:
    model, other = blank(), pc.Sequential(blank().layers, loss="mae", optimizer="sgd", seed=5)
    other.fit(X, Y, epochs=2, verbose=0)
    told = model.load_weights(other.save(tmp_path / "m"))
    assert np.array_equal(model.predict(X), other.predict(X)) and not told.missing
    assert set(told.loaded) == {*model.params, *model.buffers} and not told.unused
    assert not model._numbers.state["m"].any() and model._numbers.steps == 0
    for name, array in other.buffers.items():
        assert array.any() and np.array_equal(model.buffers[name], array)


def test_some_weights_are_read(tmp_path: Path) -> None:
    path = foreign(tmp_path / "m", W1=np.ones((2, 3)), b1=np.ones(3), more=np.ones(2))
    model = blank()
    before = model.params["W3"].copy()
    told = model.load_weights(path, only=["W1", "b1"])
    assert told.loaded == ("W1", "b1") and told.unused == ("more",)
    assert (model.params["W1"] == 1).all() and np.array_equal(model.params["W3"], before)
    told = blank().load_weights(path, strict=False)
    assert told.loaded == ("W1", "b1") and "W3" in told.missing and told.unused == ("more",)
    assert "loaded W1, b1" in repr(told) and "not used: more" in repr(told)
    assert blank().load_weights(path, only="*1").loaded == ("W1", "b1")


def test_names_of_the_file_are_given(tmp_path: Path) -> None:
    path = foreign(tmp_path / "m", encoder__weight=np.full((2, 3), 2, np.float16), b=np.ones(3))
    model = blank()
    told = model.load_weights(path, only=["W1", "b1"], names={"W1": "encoder.weight", "b1": "b"})
    assert told.loaded == ("W1", "b1") and (model.params["W1"] == 2).all()


UNFIT: dict[str, tuple[dict[str, Any], dict[str, Any], type, str]] = {
    "missing": ({"W1": np.ones((2, 3))}, {}, DataError, "lacks b1"),
    "more": ({"Z": np.ones(1)}, {"names": {}}, DataError, "lacks W1"),
    "turned": ({"W1": np.ones((3, 2))}, {"only": "W1"}, ShapeError, r"(?s)W1 is \(2, 3\).*turned"),
    "another shape": ({"W1": np.ones(5)}, {"only": "W1"}, ShapeError, r"in m \(5,\)"),
    "nothing": ({"Z": np.ones(1)}, {"only": "W1", "strict": True}, DataError, "lacks W1"),
    "unknown": ({"Z": np.ones(1)}, {"only": "W8"}, ArgumentError, "unknown parameter 'W8'"),
    "no name": ({"Z": np.ones(1)}, {"only": [3]}, DtypeError, "a name is expected"),
    "unknown here": ({"Z": np.ones(1)}, {"names": {"W8": "Z"}}, ArgumentError, "'W8'"),
    "unknown there": ({"Z": np.ones(1)}, {"names": {"W1": "Y"}}, ArgumentError, "'Y'"),
}


@pytest.mark.parametrize("case", UNFIT)
def test_weights_that_do_not_fit_change_nothing(case: str, tmp_path: Path) -> None:
    arrays, asked, kind, words = UNFIT[case]
    model = blank()
    before = model._numbers.copy()
    with pytest.raises(kind, match=words):
        model.load_weights(foreign(tmp_path / "m", **arrays), **asked)
    assert model._numbers.equals(before)


def test_a_file_that_ends_early_changes_nothing(tmp_path: Path, monkeypatch: Any) -> None:
    model, path = blank(), foreign(tmp_path / "m", W1=np.ones((2, 3)), b1=np.ones(3))
    before, found = model._numbers.copy(), listing(path)
    path.write_bytes(path.read_bytes()[:-4])
    monkeypatch.setattr("pellucid.weights.listing", lambda _: found)
    with pytest.raises(DataError, match="has changed meanwhile"):
        model.load_weights(path, strict=False)
    assert model._numbers.equals(before)
    monkeypatch.setattr("pellucid.safetensors._stamp", lambda _: found.stamp)
    with pytest.raises(DataError, match="ends within"):
        model.load_weights(path, strict=False)
    assert model._numbers.equals(before)


# -- in memory -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_copy_in_memory_is_whole_and_its_own(name: str, how: Any) -> None:
    model = trained(name)
    twin = how(model)
    assert twin._numbers.equals(model._numbers) and twin.layers == model.layers
    assert np.array_equal(twin.predict(X), model.predict(X)) and twin.frozen == model.frozen
    before = model._numbers.copy()
    twin.fit(X, Y, epochs=2, verbose=0)
    assert model._numbers.equals(before)
    model.fit(X, Y, epochs=2, verbose=0)
    assert model._numbers.equals(twin._numbers)


@pytest.mark.parametrize("backend", ["numpy", "auto"])
def test_predictions_from_several_threads(backend: str) -> None:
    model = trained("held")
    rows = [np.random.default_rng(k).normal(size=(7 * k + 1, 2)) for k in range(8)]
    wanted = [model.predict(x, backend=backend) for x in rows]
    wrong: list[int] = []

    def ask(k: int) -> None:
        wrong.extend(
            k for _ in range(40)
            if not np.array_equal(model.predict(rows[k], backend=backend), wanted[k])
        )  # fmt: skip

    threads = [threading.Thread(target=ask, args=(k,)) for k in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_several_threads_bring_the_first_samples() -> None:
    wanted = pc.Sequential([pc.Dense(4, "tanh"), pc.Dense(1)]).predict(X)
    for _ in range(20):
        model = pc.Sequential([pc.Dense(4, "tanh"), pc.Dense(1)])
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda _: model.predict(X), range(8)))  # noqa: B023
        assert all(np.array_equal(each, wanted) for each in found)


def test_a_model_is_trained_in_other_processes() -> None:
    model = trained("adam")
    with ProcessPoolExecutor(2, multiprocessing.get_context("spawn")) as pool:
        twins = list(pool.map(_trained_on, [model] * 2))
    before = model._numbers.copy()
    _trained_on(model)
    assert all(twin._numbers.equals(model._numbers) for twin in twins)
    assert not model._numbers.equals(before)


def _trained_on(model: Any) -> Any:
    model.fit(X, Y, epochs=2, verbose=0, backend="numpy")
    return model
