"""The printed training step: it runs anywhere, gives the same bits, and reads well.

PELLUCID_GOLDEN=write pytest tests/test_source.py   rewrites the golden files; read the difference.
"""

import ast
import builtins
import itertools
import keyword
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pellucid as pc
from pellucid.show.python import source

GOLDEN = Path(__file__).parent / "golden"
RNG = np.random.default_rng(0)
X = RNG.normal(size=(12, 3))
TARGETS: dict[str, Any] = {
    "classes": RNG.integers(0, 3, 12),
    "binary": RNG.integers(0, 2, (12, 3)),
    "counts": RNG.poisson(2, (12, 3)),
    "signs": 2 * RNG.integers(0, 2, (12, 3)) - 1,
    "values": RNG.normal(size=(12, 3)),
}
LAST = {"cce": "softmax", "bce": "sigmoid", "poisson": "softplus"}
LOSSES = [
    "mse",
    "half_mse",
    "mae",
    "huber",
    "hinge",
    "bce",
    "bce_logits",
    "cce",
    "cce_logits",
    "poisson",
]
ACTIVATIONS = [
    "relu",
    "tanh",
    "sigmoid",
    "softmax",
    "gelu",
    "swish",
    "elu",
    "selu",
    "leaky_relu",
    "softplus",
    "linear",
]
OPTIMIZERS = {
    "sgd": pc.SGD(0.1),
    "momentum": pc.SGD(0.1, 0.9),
    "dampened": pc.SGD(0.1, 0.9, 0.5),
    "nesterov": pc.SGD(0.1, 0.9, nesterov=True),
    "adam": pc.Adam(0.01),
}


def bent(p: Any, y: Any) -> Any:
    """A loss of one's own."""
    return pc.mean(pc.log(pc.cosh(p - y)))


def spread(p: Any, y: Any) -> Any:
    """A metric of one's own."""
    return pc.max(pc.absolute(p - y))


def model(act: str = "tanh", loss: Any = "mse", optimizer: str = "sgd", **more: Any) -> Any:
    extra = [pc.Dropout(0.3)] if more.get("dropout") else []
    penalty = {"l1": 0.01, "l2": 0.1} if more.get("penalty") else {}
    last = LAST.get(loss) if isinstance(loss, str) else None
    layers = [pc.Dense(4, act, **penalty), *extra, pc.Dense(3, last, **penalty)]
    return pc.Sequential(
        layers,
        loss=loss,
        optimizer=OPTIMIZERS[optimizer],
        seed=1,
        metrics=more.get("metrics", []),
        dtype=more.get("dtype", "float64"),
    )


def target(loss: Any) -> Any:
    return TARGETS[
        pc.Sequential(loss=loss).loss_function.targets if isinstance(loss, str) else "values"
    ]


CASES = {
    **{f"act-{a}": {"act": a} for a in ACTIVATIONS},
    **{f"loss-{x}": {"loss": x} for x in LOSSES},
    **{f"act-{a}-cce": {"act": a, "loss": "cce"} for a in ACTIVATIONS},
    **{f"opt-{o}": {"optimizer": o, "loss": "bce"} for o in OPTIMIZERS},
    **{f"dropout-{o}": {"optimizer": o, "dropout": True, "penalty": True} for o in OPTIMIZERS},
    "penalty": {"penalty": True, "loss": "cce"},
    "metrics": {"metrics": ["accuracy", "mse"], "loss": "cce"},
    "metrics-binary": {"metrics": ["accuracy", "mae", "bce"], "loss": "bce_logits"},
    "own-loss": {"loss": bent, "metrics": [spread]},
    "all": {
        "dropout": True,
        "penalty": True,
        "metrics": ["accuracy"],
        "loss": "cce",
        "optimizer": "adam",
    },
}
GRID = [
    *itertools.product(CASES, ["float64"], [False]),
    *itertools.product(CASES, ["float32"], [False]),
    *((c, "float64", True) for c in CASES if c != "own-loss"),
]


def load(text: str) -> Any:
    """Run a module's text where nothing but NumPy can be imported."""

    def only_numpy(name: str, *rest: Any) -> Any:
        assert name.partition(".")[0] == "numpy", f"the printed step imports {name}"
        return __import__(name, *rest)

    scope: dict[str, Any] = {
        "__builtins__": vars(builtins) | {"__import__": only_numpy},
        "__name__": "step",
    }
    exec(compile(text, "<step>", "exec"), scope)
    return scope["step"]


def text_of(m: Any, weighted: bool) -> str:
    return source(m._steps().program(weighted)[0].program)


@pytest.mark.parametrize(("case", "dtype", "weighted"), GRID)
def test_the_printed_step_gives_the_same_bits(case: str, dtype: str, weighted: bool) -> None:
    settings = CASES[case]
    m, y = model(**settings, dtype=dtype), target(settings.get("loss", "mse"))
    weights = np.linspace(1, 2, 12) if weighted else None
    batches = [
        m._batch(X[rows], y[rows], None if weights is None else weights[rows])
        for rows in (slice(0, 7), slice(7, 12), slice(0, 7), slice(3, 4))
    ]
    step = load(text_of(m, weighted))
    stepper, mine = m._steps(), m._numbers.copy()
    traced = stepper.program(weighted)[0]
    for batch in batches:
        found = stepper.take(batch)
        mine.steps += 1
        given = {
            "X": batch.X,
            "Y": batch.Y,
            "sample_weight": batch.weights,
            "params": mine.params,
            "t": mine.steps,
            "learning_rate": m.learning_rate,
        } | mine.state
        given |= stepper._masks(traced, len(batch))
        with np.errstate(all="ignore"):
            told = step(*(given[leaf.name] for leaf in traced.program.inputs))
        told = told if isinstance(told, tuple) else (told,)
        assert [np.float64(v) for v in found.values()] == [np.float64(v) for v in told]
        assert mine.params.tobytes() == m._numbers.params.tobytes()
        for name, array in mine.state.items():
            assert array.tobytes() == m._numbers.state[name].tobytes(), name


def names_bound(tree: ast.AST) -> set[str]:
    found = {
        n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
    }
    found |= {a.arg for n in ast.walk(tree) if isinstance(n, ast.FunctionDef) for a in n.args.args}
    return found | {n.name for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("weighted", [False, True])
def test_the_printed_step_reads_well(case: str, weighted: bool) -> None:
    if weighted and case == "own-loss":
        return
    m = model(**CASES[case])
    m.predict(X)
    text = text_of(m, weighted)
    assert max(map(len, text.splitlines())) <= 100
    tree = ast.parse(text)
    for name in names_bound(tree):
        assert not keyword.iskeyword(name) and not keyword.issoftkeyword(name), name
        assert not hasattr(builtins, name) and name not in ("np", "numpy"), name
    step = tree.body[-1]
    assert isinstance(step, ast.FunctionDef) and step.name == "step" and ast.get_docstring(step)
    starts = [n.lineno for n in ast.walk(tree) if isinstance(n, ast.stmt)]
    assert len(starts) == len(set(starts)), "no joined lines"
    stored = [
        t.id
        for n in ast.walk(step)
        if isinstance(n, ast.Assign)
        for t in n.targets
        if isinstance(t, ast.Name)
    ]
    assert len(stored) == len(set(stored)), "a name means one thing"
    read = {n.id for n in ast.walk(step) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)}
    assert set(stored) - read - {"data_loss"} == set(), "nothing is computed in vain"
    assert text.endswith("\n") and not any(line != line.rstrip() for line in text.splitlines())


@pytest.mark.parametrize("loss", ["mse", "bce", "cce"])
@pytest.mark.parametrize("act", ["relu", "tanh", "sigmoid"])
def test_a_step_of_two_layers_is_short(act: str, loss: str) -> None:
    m = model(act, loss)
    m.predict(X)
    step = ast.parse(m.source()).body[-1]
    assert isinstance(step, ast.FunctionDef)
    statements = [
        n for n in step.body if not (isinstance(n, ast.Expr) and isinstance(n.value, ast.Constant))
    ]
    assert len(statements) <= 25, len(statements)


GOLDENS: dict[str, Any] = {
    "xor_sigmoid_mse_sgd": (
        [pc.Dense(4, "sigmoid", inputs=2), pc.Dense(1, "sigmoid")],
        "mse",
        pc.SGD(2.0),
        [],
    ),
    "relu_sigmoid_bce_adam": (
        [pc.Dense(8, "relu", inputs=2), pc.Dense(1, "sigmoid")],
        "bce",
        pc.Adam(),
        ["accuracy"],
    ),
    "relu_softmax_cce_momentum": (
        [pc.Dense(100, "relu", inputs=2), pc.Dense(3, "softmax")],
        "cce",
        pc.SGD(0.1, 0.9),
        [],
    ),
    "tanh_linear_mse_nesterov_l2": (
        [pc.Dense(5, "tanh", inputs=3, l2=0.01), pc.Dense(2)],
        "mse",
        pc.SGD(0.1, 0.9, nesterov=True),
        ["mae"],
    ),
    "dropout_gelu_bce_logits": (
        [pc.Dense(8, "gelu", inputs=2), pc.Dropout(0.2), pc.Dense(1)],
        "bce_logits",
        pc.Adam(),
        [],
    ),
    "linear_half_mse": ([pc.Dense(1, inputs=1)], "half_mse", pc.SGD(), []),
}


@pytest.mark.parametrize("name", GOLDENS)
def test_golden(name: str) -> None:
    """What a person has read and found good; a change of it must be looked at."""
    layers, loss, optimizer, metrics = GOLDENS[name]
    text = pc.Sequential(layers, loss=loss, optimizer=optimizer, metrics=metrics).source()
    path = GOLDEN / f"{name}.py"
    if os.environ.get("PELLUCID_GOLDEN") == "write":
        path.write_text(text)
    assert text == path.read_text(), "PELLUCID_GOLDEN=write rewrites it; read the difference"


def test_the_golden_files_are_those_of_the_tests() -> None:
    assert {p.stem for p in GOLDEN.glob("*.py")} == set(GOLDENS)


def test_the_printed_step_trains_in_an_empty_python(tmp_path: Path) -> None:
    """Without this library on the path: NumPy, the text, and XOR is learned."""
    layers, loss, optimizer, metrics = GOLDENS["xor_sigmoid_mse_sgd"]
    m = pc.Sequential(layers, loss=loss, optimizer=optimizer, metrics=metrics, dtype="float64")
    np.save(tmp_path / "params.npy", m._numbers.params)
    (tmp_path / "program.py").write_text(m.source())
    run = (
        "import sys, numpy as np; from program import step\n"
        "X = np.array([[0., 0], [0, 1], [1, 0], [1, 1]]); Y = np.array([[0.], [1], [1], [0]])\n"
        "p = np.load('params.npy')\n"
        "for _ in range(4000): loss = step(X, Y, p, 2.0)\n"
        "assert 'pellucid' not in sys.modules\n"
        "print(repr(float(loss)))"
    )
    out = subprocess.run(
        [sys.executable, "-I", "-c", f"import sys; sys.path.insert(0, '.')\n{run}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert out.returncode == 0, out.stderr
    history = m.fit(*pc.data.xor(), epochs=4000, batch_size=None, verbose=0)
    assert float(out.stdout) == history["loss"][-1] < 2e-3


def test_names_survive_what_a_reader_calls_things() -> None:
    """Values named by a layer are printed by that name and the layer's number, and never clash."""

    class Gated(pc.Layer):
        letter = "out"

        def parameters(self, shape: Any) -> Any:
            return {
                "U": pc.Parameter((shape[0], 4), pc.He()),
                "V": pc.Parameter((shape[0], 4), pc.He()),
            }

        def __call__(self, x: Any, p: Any) -> Any:
            gate = pc.named(pc.sigmoid(x @ p["U"]), "gate")
            return gate * pc.named(pc.tanh(x @ p["V"]), "content")

    m = pc.Sequential([Gated(), Gated(), pc.Dense(3)], loss="mse", dtype="float64")
    m.predict(X)
    text = m.source()
    for words in (
        "gate1 = sigmoid(X @ U1)",
        "content2 = np.tanh(out1 @ V2)",
        "out1 = gate1 * content1",
    ):
        assert words in text, text
    assert list(m.activations(X)) == [
        "gate1",
        "content1",
        "out1",
        "gate2",
        "content2",
        "out2",
        "z3",
    ]


@pytest.mark.parametrize(
    "word", ["lambda", "np", "sum", "loss", "params", "d_W1", "n", "X", "grads", "W1"]
)
def test_a_value_of_any_name_does_no_harm(word: str) -> None:
    class Odd(pc.Layer):
        def __call__(self, x: Any, p: Any) -> Any:
            return pc.named(x * 2.0, word) + 1.0

    m = pc.Sequential([Odd(), pc.Dense(3)], loss="mse", dtype="float64")
    plain = pc.Sequential([pc.Dense(3)], loss="mse", dtype="float64")
    y = TARGETS["values"]
    try:
        found = m.step(X, y)
    except pc.PellucidError:
        return  # refused by name is fine, too
    assert found == pytest.approx(plain.step(2 * X + 1, y), rel=1e-13)
    load(m.source())


def test_the_source_of_a_batch_size_is_that_of_every_batch_size() -> None:
    m = model("relu", "cce")
    m.step(X[:2], TARGETS["classes"][:2])
    one = m.source()
    m.step(X, TARGETS["classes"])
    assert m.source() == one


def test_an_unknown_backend_is_named() -> None:
    m = model()
    m.predict(X)
    with pytest.raises(pc.ArgumentError, match='did you mean "numpy"'):
        m.source("nump")
    with pytest.raises(pc.ArgumentError, match="no loss"):
        pc.Sequential([pc.Dense(1, inputs=2)]).source()


def test_a_traceback_quotes_the_printed_line() -> None:
    import traceback

    m = model()
    m.predict(X)
    runner = m._steps().program(False)[1]
    try:
        runner("no array", None, m._numbers.params, 0.1, n=12)
    except Exception as error:
        assert "np.matmul(X" in "".join(traceback.format_exception(error))
    else:
        pytest.fail("a string was multiplied")


@pytest.mark.parametrize("kind", ["predict", "evaluate", "gradients", "activations"])
@pytest.mark.parametrize("act", ["relu", "sigmoid", "softmax", "gelu"])
def test_what_runs_on_buffers_equals_what_is_printed(kind: str, act: str) -> None:
    m = model(act, "cce", penalty=True, metrics=["accuracy"])
    batch = m._batch(X, TARGETS["classes"])
    found = m._run(kind, batch)
    program = m._runner(kind)[0]
    scope: dict[str, Any] = {}
    exec(source(program), scope)
    given = {"X": batch.X, "Y": batch.Y, "params": m._numbers.params}
    told = scope[kind](*(given[leaf.name] for leaf in program.inputs))
    told = told if isinstance(told, tuple) else (told,)
    for value, other in zip(found.values(), told, strict=True):
        assert np.array_equal(value, other)
