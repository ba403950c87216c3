"""A saved model comes back whole, and a broken file breaks nothing."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pellucid as pc
from pellucid.errors import ArgumentError, DataError

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


@pytest.mark.parametrize("failing", ["fsync", "replace"])
def test_a_save_that_fails_leaves_the_old_file(
    failing: str, tmp_path: Path, monkeypatch: Any
) -> None:
    path = trained("plain").save(tmp_path / "m")
    before = path.read_bytes()

    def full(*_: Any) -> None:
        raise OSError("no space left on device")

    if failing == "fsync":
        monkeypatch.setattr(os, "fsync", full)
    else:
        monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="no space"):
        trained("adam").save(path)
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


CHANGES: dict[str, Any] = {
    "no metadata": lambda h, t: {k: v for k, v in h.items() if k[0] != "_"},
    "newer format": put("format", 2),
    "no layers": put("layers", None),
    "layers a number": put("layers", 5),
    "layers empty": put("layers", []),
    "layer a number": put("layers", [5]),
    "unknown class": put("layers", [{"type": "os.system", "command": "true"}]),
    "class a list": put("layers", [{"type": ["Dense"]}]),
    "unknown setting": put("layers", [{"type": "Dense", "units": 1, "evil": 1}]),
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
    "epochs": put("epochs", 1e300),
    "labels": put("labels", 5),
    "labels kind": put("labels", ["O", [1, 2]]),
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
    with pytest.raises(DataError) as caught:
        read(content, tmp_path / "m")
    assert str(caught.value)


def test_trailing_bytes_are_refused(whole: bytes, tmp_path: Path) -> None:
    with pytest.raises(DataError):
        read(whole + b"x", tmp_path / "m")


def test_a_name_that_stands_twice(whole: bytes, tmp_path: Path) -> None:
    length = int.from_bytes(whole[:8], "little")
    text = (
        whole[8 : 8 + length].rstrip()[:-1]
        + b',"W1":{"dtype":"F32","shape":[2,1],"data_offsets":[0,8]}}'
    )
    with pytest.raises(DataError, match="twice"):
        read(len(text).to_bytes(8, "little") + text + whole[8 + length :], tmp_path / "m")


@pytest.mark.parametrize("length", [0, 2**24 + 1, 2**40, 2**63, 2**64 - 1])
def test_a_huge_header_is_never_read(whole: bytes, length: int, tmp_path: Path) -> None:
    with pytest.raises(DataError):
        read(length.to_bytes(8, "little") + whole[8:], tmp_path / "m")


@pytest.mark.parametrize(
    "text", [b"[" * 100_000, b'{"a":' * 50_000, b"\xff\xfe", b"null", b'"x"', b"1" * 9000]
)
def test_headers_that_are_no_table(text: bytes, tmp_path: Path) -> None:
    with pytest.raises(DataError):
        read(len(text).to_bytes(8, "little") + text, tmp_path / "m")


def test_many_names_do_not_take_for_ever(tmp_path: Path) -> None:
    text = json.dumps({f"W{k}": 0 for k in range(200_000)}).encode()
    with pytest.raises(DataError):
        read(len(text).to_bytes(8, "little") + text, tmp_path / "m")
