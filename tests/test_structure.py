"""How the house is built: imports point down, nothing but NumPy, few and short functions."""

import ast
import importlib
import re
import subprocess
import sys
from pathlib import Path
from statistics import median

import pytest

import pellucid as pc

SRC = Path(pc.__file__).parent
FILES = sorted(SRC.rglob("*.py"))
TREES = {path: ast.parse(path.read_text()) for path in FILES}

# From the ground up: a file may import from its own floor and from those below it.
FLOORS = [
    "_version errors",
    "dims text kernels rng",
    "op graph",
    "backward protocol ops ops.*",
    "derivatives rewrite",
    "rules passes",
    "jit_cache jit_blas products selects",
    "show show.* run jit jit_numba",
    "nn nn.* losses optim optim.* metrics metrics.* data data.* tables tables.*",
    "outputs intake history callbacks callbacks.* batches train sharing fit blackbox replays "
    "causes culprits gate summary settings files safetensors adapting",
    "runs compiled",
    "backends",
    "explaining explaining.*",
    "pictures pictures.*",
    "described checkpoint weights parameters keeping keeping.lock keeping.log keeping.folder "
    "keeping.facts keeping.kept keeping.keeper keeping.recording",
    "session freezing",
    "model",
    "keeping.run several swept trainings sweeps rate_finder readings exercises exercises.* "
    "estimators estimators.*",
    "check check.*",
    "plot plot.*",
    "pages interop interop.*",
    "face",
    "",  # the package itself: the list of public names
    "demo",
    "commands commands.*",
    "cli",
    "__main__",
]


def module(path: Path) -> str:
    parts = path.relative_to(SRC).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def floor(name: str) -> int:
    for height, names in enumerate(FLOORS):
        for pattern in names.split() or [""]:
            if name == pattern or (pattern.endswith(".*") and name.startswith(pattern[:-1])):
                return height
    raise AssertionError(f"{name or 'pellucid'} has no floor in FLOORS: give it one")


def imports(path: Path, deferred: bool) -> set[str]:
    """Return the modules of ours that a file imports; `deferred`: inside functions as well."""
    found: set[str] = set()
    known = {module(p) for p in FILES}
    tree = TREES[path]
    nodes = ast.walk(tree) if deferred else iter(_at_import(tree))
    for node in nodes:
        if isinstance(node, ast.Import):
            found |= {a.name for a in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            below = {f"{node.module}.{a.name}" for a in node.names}
            inner = {b for b in below if b.removeprefix("pellucid.") in known}
            found |= inner or {node.module}
    return {f.removeprefix("pellucid").lstrip(".") for f in found if f.split(".")[0] == "pellucid"}


def _at_import(tree: ast.AST) -> list[ast.AST]:
    out: list[ast.AST] = []
    for child in ast.iter_child_nodes(tree):
        typing = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test)
        if not typing and not isinstance(
            child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
        ):
            out += [child, *_at_import(child)]
    return out


@pytest.mark.parametrize("path", FILES, ids=module)
def test_imports_point_down(path: Path) -> None:
    here = floor(module(path))
    for other in imports(path, deferred=False):
        assert floor(other) <= here, f"{module(path)} imports {other}, which is above it"


def test_there_are_no_cycles() -> None:
    edges = {module(p): imports(p, deferred=False) - {""} for p in FILES}
    state: dict[str, int] = {}

    def visit(name: str, trail: list[str]) -> None:
        assert state.get(name) != 1, f"imported in a circle: {' → '.join([*trail, name])}"
        if name not in state:
            state[name] = 1
            for other in edges.get(name, ()):
                if other != name:
                    visit(other, [*trail, name])
            state[name] = 2

    for name in edges:
        visit(name, [])


@pytest.mark.parametrize(
    ("who", "never"), [("graph", "ops"), ("nn", "show"), ("nn", "run"), ("ops", "nn")]
)
def test_who_never_imports_whom(who: str, never: str) -> None:
    for path in FILES:
        if module(path).split(".")[0] == who:
            assert never not in {i.split(".")[0] for i in imports(path, deferred=True)}, path


def test_importing_it_imports_nothing_but_numpy() -> None:
    code = (
        "import sys, numpy; before = set(sys.modules)\n"
        "import pellucid as pc; pc.Sequential; pc.exp; pc.load\n"
        "new = {m.split('.')[0] for m in set(sys.modules) - before}\n"
        "print(sorted(new - set(sys.stdlib_module_names) - {'numpy'}))"
    )
    out = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(SRC.parent), "PATH": ""},
    )
    assert out.stdout.strip() == "['pellucid']"


# What may be missing is imported in one place each.
OPTIONAL = {
    "jit_numba": {"numba", "llvmlite"},
    "jit": {"llvmlite"},
    "jit_blas": {"scipy"},
    "plot.canvas": {"matplotlib"},
    "estimators.parts": {"sklearn"},
    "interop.library": {"torch"},
    "commands.peers": {"sklearn"},  # its perceptron, as a contestant
    "callbacks.mlflow": {"mlflow"},
    "history": {"pandas"},
}


def test_files_import_nothing_but_numpy_and_the_standard_library() -> None:
    usual = {*sys.stdlib_module_names, "numpy", "pellucid", "__future__"}
    for path, tree in TREES.items():
        allowed = usual | OPTIONAL.get(module(path), set())
        for node in ast.walk(tree):
            names = (
                [a.name for a in node.names]
                if isinstance(node, ast.Import)
                else ([node.module or ""] if isinstance(node, ast.ImportFrom) else [])
            )
            for name in names:
                assert name.split(".")[0] in allowed, f"{path.name} imports {name}"


# -- the public face -----------------------------------------------------------------------------

MODELS = """
    AMSGrad AUC Accuracy Activation Adadelta Adagrad Adam AdamW AlphaDropout ArgumentError
    BatchNorm CSVLog Callback Checkpoint Composite Concatenate Constant ConstantRate Cosine
    CosineRestarts DataError Dense Doctor Dropout DtypeError EarlyStopping Embedding Exponential
    F1 Flatten Formula Gate GaussianDropout GaussianNoise Glorot Group He History Initializer
    InverseTime JSONLines JoinedSchedule LBFGS LabelSmoothing LambdaCallback Layer LayerNorm
    LeCun Lion MAE MLflow MSE Metric Missing Model MultiStep NAdam Node NonFiniteError Normalize
    NotBuiltError OneCycle OneHot Optimizer Orthogonal Parallel Parameter PellucidClassifier
    PellucidError PellucidRegressor PellucidWarning Picture Polynomial Precision Progress R2
    RMSE RMSprop Recall ReduceOnPlateau Rescale Residual Run SGD Schedule Sequential ShapeError
    Shared SpatialDropout StepDecay TensorBoard TimeLimit TopK TraceError TrainingWarning
    Walkthrough WarmUp Xavier check_backprop check_gate check_gradients custom_gradient data
    diagnose draw explain grad hessian jacobian jvp load metrics planted_bug plot range_test
    report sweep value value_and_grad vjp why worked
""".split()  # noqa: SIM905
FUNCTIONS = Path(__file__).parent / "golden" / "functions.txt"


def test_the_public_names_are_frozen() -> None:
    """A new name is a promise: enter it here, or among the functions, on purpose."""
    functions = FUNCTIONS.read_text().split()
    assert sorted(pc.__all__) == sorted([*MODELS, *functions])


def test_every_public_name_is_there_once_and_documented() -> None:
    assert len(pc.__all__) == len(set(pc.__all__))
    for name in pc.__all__:
        thing = getattr(pc, name)
        assert (thing.__doc__ or "").strip(), f"{name} has no sentence"
    assert set(pc.__all__) <= set(dir(pc))
    with pytest.raises(AttributeError):
        _ = pc.relux


def test_star_import_gives_the_public_names() -> None:
    scope: dict[str, object] = {}
    exec("from pellucid import *", scope)
    assert set(scope) - {"__builtins__"} == set(pc.__all__)


def test_it_is_typed_and_has_a_version() -> None:
    assert (SRC / "py.typed").exists()
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", pc.__version__)


def test_every_module_has_a_sentence() -> None:
    for path in FILES:
        assert ast.get_docstring(TREES[path]), path
        assert (
            importlib.import_module(f"pellucid.{module(path)}".rstrip("."))
            if path.stem not in ("__main__", "jit_numba")
            else 1
        )


# -- how it is cut -------------------------------------------------------------------------------


def test_one_file_knows_the_op_exp() -> None:
    """Its entry says what exp is; others may use the function, but none knows how it works.

    Knowing an op is naming it as text ("exp"), or calling NumPy's.
    """
    knowing = set()
    for path, tree in TREES.items():
        if module(path) == "rng":  # draws its own numbers, of no op
            continue
        for node in ast.walk(tree):
            named = isinstance(node, ast.Constant) and node.value in ("exp", "np.exp(x)")
            called = isinstance(node, ast.Call) and ast.unparse(node.func) == "np.exp"
            if named or called:
                knowing.add(module(path))
    assert knowing == {"ops.elementwise"}


def functions() -> list[tuple[str, ast.FunctionDef]]:
    return [
        (module(p), n)
        for p, t in TREES.items()
        for n in ast.walk(t)
        if isinstance(n, ast.FunctionDef)
    ]


def length(function: ast.FunctionDef) -> int:
    """Return the lines of a function's body, its docstring left out."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 1


def test_functions_are_short() -> None:
    lengths = sorted(length(f) for _, f in functions())
    assert median(lengths) < 10
    assert lengths[int(len(lengths) * 0.9)] <= 26
    longest = [(m, f.name, length(f)) for m, f in functions() if length(f) > 45]
    assert not longest


def complexity(function: ast.FunctionDef) -> int:
    branches = (
        ast.If,
        ast.For,
        ast.While,
        ast.ExceptHandler,
        ast.With,
        ast.IfExp,
        ast.comprehension,
        ast.match_case,
    )
    inner = [n for n in ast.walk(function) if n is not function]
    return (
        1
        + sum(isinstance(n, branches) for n in inner)
        + sum(len(n.values) - 1 for n in inner if isinstance(n, ast.BoolOp))
    )


def test_functions_are_simple() -> None:
    found = [complexity(f) for _, f in functions()]
    assert sum(found) / len(found) < 4


def test_nothing_is_decided_by_the_environment_or_by_hasattr_chains() -> None:
    for path, tree in TREES.items():
        text = ast.unparse(tree)
        for word in ("os.environ", "os.getenv", "__metaclass__", "metaclass=", "super()"):
            assert word not in text or module(path) in (
                "cli",
                "demo",
                "errors",
                "jit",
                "jit_cache",
            ), f"{module(path)}: {word}"


def test_inheritance_is_one_level_deep() -> None:
    """A base, its kinds, and no kinds of kinds; but errors, initializers, layers of layers."""
    bases = {
        n.name: [b.id for b in n.bases if isinstance(b, ast.Name)]
        for t in TREES.values()
        for n in ast.walk(t)
        if isinstance(n, ast.ClassDef)
    }
    deep = [
        name
        for name, parents in bases.items()
        for p in parents
        for q in bases.get(p, [])
        if q in bases and p not in ("Composite", "ArgumentError", "DataError")
    ]
    allowed = {"ShapeError", "DataError", "He", "Glorot", "LeCun", "DtypeError", "TrainingWarning"}
    assert set(deep) <= allowed
