"""Training set-ups for the doctor's benchmark: tasks, healthy ones, and faults to put into them.

Setup    data, layers and settings, of which a program is made     healthy   one that should learn
FAULTS   for each code two ways of injecting it, one for each half of the benchmark
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

import pellucid as pc

Array = np.ndarray[Any, Any]


@dataclass
class Setup:
    """Everything of a training program; `touch` changes the weights of the made model."""

    task: str
    kind: str  # binary, classes, values
    X: Array
    y: Array
    held: tuple[Array, Array]
    hidden: list[pc.Layer]
    out: pc.Layer
    loss: Any
    optimizer: pc.Optimizer
    epochs: int
    batch_size: int | None
    seed: int
    shuffle: bool = True
    tells_held: bool = True  # whether the doctor is given the validation data
    touch: Callable[[pc.Sequential], None] | None = None
    notes: list[str] = field(default_factory=list)

    def model(self) -> pc.Sequential:
        made = pc.Sequential(
            [*self.hidden, self.out], loss=self.loss, optimizer=self.optimizer, seed=self.seed
        )
        if self.touch:
            made.predict(np.nan_to_num(self.X[:2], posinf=0, neginf=0))
            self.touch(made)
        return made

    @property
    def rate(self) -> float:
        return self.optimizer.learning_rate

    def rated(self, rate: float) -> Setup:
        return replace(self, optimizer=replace(self.optimizer, learning_rate=rate))

    def dense(self, change: Callable[[pc.Dense], pc.Dense], out: bool = True) -> Setup:
        """Change every layer of weights."""
        hidden = [change(x) if isinstance(x, pc.Dense) else x for x in self.hidden]
        return replace(self, hidden=hidden, out=change(self.out) if out else self.out)


# -- tasks -----------------------------------------------------------------------------------------


def _table(seed: int, n: int, d: int, classes: int) -> tuple[Array, Array]:
    """Correlated columns of mean 0 and deviation 1, and classes that follow from some of them."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) @ (np.eye(d) + 0.3 * rng.normal(size=(d, d)))
    X = (X - X.mean(0)) / X.std(0)
    scores = X[:, :6] @ rng.normal(size=(6, classes)) + 0.3 * rng.normal(size=(n, classes))
    if classes == 2:
        return X, (scores[:, 0] > np.quantile(scores[:, 0], 0.6)).astype(int)
    return X, scores.argmax(1)


def _curve(seed: int, n: int, f: Callable[[Array], Array], d: int = 1) -> tuple[Array, Array]:
    rng = np.random.default_rng(seed)
    X = rng.uniform(-1, 1, (n, d)) * 1.7
    return X, f(X) + 0.05 * rng.normal(size=(n, 1))


def _digits(seed: int) -> tuple[Array, Array]:
    X, y = pc.data.digits()
    rows = np.random.default_rng(seed).permutation(len(X))[:900]
    return X[rows], y[rows]


def _clouds(seed: int) -> tuple[Array, Array]:
    """XOR as four clouds."""
    rng = np.random.default_rng(seed)
    corner = rng.integers(0, 2, (240, 2))
    return 2 * corner - 1 + 0.3 * rng.normal(size=corner.shape), corner[:, 0] ^ corner[:, 1]


# name: (kind, classes, data of a seed); the halves have no task in common
TASKS: dict[str, dict[str, tuple[str, int, Callable[[int], tuple[Array, Array]]]]] = {
    "development": {
        "moons": ("binary", 2, lambda s: pc.data.moons(240, 0.15, seed=s)),
        "blobs": ("classes", 3, lambda s: pc.data.blobs(240, 3, 2, seed=s)),
        "spirals-2": ("binary", 2, lambda s: pc.data.spirals(300, 2, 0.6, 0.1, seed=s)),
        "table-2": ("binary", 2, lambda s: _table(s, 300, 15, 2)),
        "sine": ("values", 1, lambda s: _curve(s, 200, lambda X: np.sin(3 * X))),
        "line": ("values", 1, lambda s: _curve(s, 160, lambda X: X @ [[1.0], [-2], [0.5]], 3)),
    },
    "held-out": {
        "circles": ("binary", 2, lambda s: pc.data.circles(260, noise=0.05, seed=s)),
        "clouds": ("binary", 2, _clouds),
        "spirals-3": ("classes", 3, lambda s: pc.data.spirals(300, 3, noise=0.15, seed=s)),
        "digits": ("classes", 10, _digits),
        "blobs-5": ("classes", 5, lambda s: pc.data.blobs(300, 5, 8, spread=1.0, seed=s)),
        "table-3": ("classes", 3, lambda s: _table(s, 360, 10, 3)),
        "bump": ("values", 1, lambda s: _curve(s, 220, lambda X: np.exp(-4 * X**2))),
        "saddle": ("values", 1, lambda s: _curve(s, 260, lambda X: X[:, :1] * X[:, 1:], 2)),
    },
}
WIDTHS = {
    "development": [(16,), (32,), (16, 16), (24, 12)],
    "held-out": [(20,), (48,), (32, 16), (12, 12, 12)],
}
RATES = {  # sane rates by optimizer
    "development": [
        ("sgd", 0.1),
        ("sgd", 0.3),
        ("momentum", 0.03),
        ("adam", 0.01),
        ("adam", 0.003),
    ],
    "held-out": [("sgd", 0.2), ("sgd", 0.5), ("momentum", 0.05), ("adam", 0.02), ("adam", 0.005)],
}


def healthy(half: str, seed: int, task: str = "", widths: tuple[int, ...] = ()) -> Setup:
    """Return a set-up that should learn, drawn from its seed."""
    rng = np.random.default_rng([seed, half == "held-out"])
    tasks = TASKS[half]
    task = task or str(rng.choice(list(tasks)))
    kind, classes, make = tasks[task]
    Xt, yt, Xv, yv = pc.data.split(*make(seed), test=0.25, seed=seed)
    act = str(rng.choice(["relu", "tanh", "relu", "sigmoid" if half == "held-out" else "tanh"]))
    chosen = widths or WIDTHS[half][rng.integers(len(WIDTHS[half]))]
    hidden: list[pc.Layer] = [pc.Dense(w, act) for w in chosen]
    name, rate = RATES[half][rng.integers(len(RATES[half]))]
    rate = rate / 3 if kind == "values" and name != "adam" else rate
    optimizer: pc.Optimizer = {
        "sgd": pc.SGD(rate), "momentum": pc.SGD(rate, momentum=0.9), "adam": pc.Adam(rate)
    }[name]  # fmt: skip
    if rng.random() < 0.15:
        hidden = [pc.Dense(w, act, l2=1e-4) for w in chosen]
    if rng.random() < 0.1 and chosen[0] >= 24:
        hidden.insert(1, pc.Dropout(0.2))
    out, loss = _output(kind, classes, rng)
    size = int(rng.choice([4, 8, 16, 32, 64]))
    return Setup(
        task, kind, Xt, yt, (Xv, yv), hidden, out, loss, optimizer,
        int(rng.choice([100, 200, 300])), size, seed, tells_held=bool(rng.random() < 0.6),
    )  # fmt: skip


def _output(kind: str, classes: int, rng: np.random.Generator) -> tuple[pc.Layer, str]:
    if kind == "values":
        return pc.Dense(1), str(rng.choice(["mse", "mse", "huber"]))
    if kind == "binary":
        options: list[tuple[pc.Layer, str]] = [
            (pc.Dense(1, "sigmoid"), "bce"), (pc.Dense(1), "bce_logits"),
            (pc.Dense(1, "sigmoid"), "mse"),
        ]  # fmt: skip
    else:
        options = [(pc.Dense(classes, "softmax"), "cce"), (pc.Dense(classes), "cce_logits")]
    return options[rng.integers(len(options))]


# -- faults ----------------------------------------------------------------------------------------

Fault = Callable[[Setup, np.random.Generator], Setup | None]


def _cell(value: float, share: float = 0.0) -> Fault:
    def put(s: Setup, rng: np.random.Generator) -> Setup:
        X = s.X.copy()
        count = max(1, int(share * len(X)))
        X[rng.choice(len(X), count, replace=False), rng.integers(X.shape[1])] = value
        return replace(s, X=X)

    return put


def _columns(f: Callable[[Array, np.random.Generator], Array]) -> Fault:
    """Change X and the validation X in the same way."""

    def put(s: Setup, rng: np.random.Generator) -> Setup:
        both = f(np.concatenate([s.X, s.held[0]]), rng)
        return replace(s, X=both[: len(s.X)], held=(both[len(s.X) :], s.held[1]))

    return put


def _one_wide(X: Array, rng: np.random.Generator) -> Array:
    wide = X.copy()
    wide[:, rng.integers(X.shape[1])] *= 5000
    return wide


def _more_rows(s: Setup, rows: Array) -> Setup:
    return replace(s, X=np.concatenate([s.X, s.X[rows]]), y=np.concatenate([s.y, s.y[rows]]))


def _held_from_train(s: Setup, rng: np.random.Generator) -> Setup:
    rows = rng.choice(len(s.X), len(s.held[0]) // 2, replace=False)
    pair = (np.concatenate([s.held[0], s.X[rows]]), np.concatenate([s.held[1], s.y[rows]]))
    return replace(s, held=pair, tells_held=True)


def _train_from_held(s: Setup, rng: np.random.Generator) -> Setup:
    rows = rng.choice(len(s.held[0]), max(3, len(s.held[0]) // 4), replace=False)
    X, y = np.concatenate([s.X, s.held[0][rows]]), np.concatenate([s.y, s.held[1][rows]])
    return replace(s, X=X, y=y, tells_held=True)


def _stray_label(s: Setup, rng: np.random.Generator) -> Setup | None:
    if s.kind == "values" or s.loss == "mse":
        return None
    y = s.y.copy()
    y[rng.choice(len(y), 2, replace=False)] = y.max() + 1
    return replace(s, y=y)


def _from_one(s: Setup, rng: np.random.Generator) -> Setup | None:
    if s.kind == "values" or s.loss == "mse":
        return None
    shift = 1 if s.kind == "classes" else None
    y, held = (s.y + 1, s.held[1] + 1) if shift else (2 * s.y - 1, 2 * s.held[1] - 1)
    return replace(s, y=y, held=(s.held[0], held))


def _rare(share: float) -> Fault:
    def put(s: Setup, rng: np.random.Generator) -> Setup | None:
        if s.kind == "values":
            return None
        ones = np.flatnonzero(s.y == 1)
        others = len(s.y) - len(ones)
        keep = ones[: max(2, int(share * others))]
        rows = np.sort(np.concatenate([np.flatnonzero(s.y != 1), keep]))
        return replace(s, X=s.X[rows], y=s.y[rows])

    return put


def _in_order(s: Setup, order: Array) -> Setup | None:
    size = min(s.batch_size or 32, 16)
    return replace(s, X=s.X[order], y=s.y[order], shuffle=False, batch_size=size)


def _sorted(s: Setup, rng: np.random.Generator) -> Setup | None:
    return _in_order(s, np.argsort(s.y.ravel(), kind="stable"))


def _descending(s: Setup, rng: np.random.Generator) -> Setup | None:
    return _in_order(s, np.argsort(-s.y.ravel(), kind="stable"))


def _custom_loss(f: Callable[[Any, Any], Any]) -> Fault:
    def put(s: Setup, rng: np.random.Generator) -> Setup | None:
        return replace(s, loss=f) if s.kind == "values" else None

    return put


def _init(of: Callable[[pc.Dense], Any], bias: Any = None) -> Fault:
    def change(layer: pc.Dense) -> pc.Dense:
        new = replace(layer, init=of(layer))
        return new if bias is None else replace(new, bias_init=bias)

    return lambda s, rng: s.dense(change)


def _weights(f: Callable[[Array], Array], only: str = "W", last: bool = True) -> Fault:
    def touch(model: pc.Sequential) -> None:
        names = [n for n in model.params if n.startswith(only)]
        for name in names if last else names[:-1]:
            model.params[name][...] = f(model.params[name])

    return lambda s, rng: replace(s, touch=touch)


def _softmax(z: Any) -> Any:
    return pc.softmax(z)


def _twice(s: Setup, rng: np.random.Generator) -> Setup | None:
    if s.kind != "classes":
        return None
    return replace(s, out=replace(s.out, activation=_softmax), loss="cce_logits")


def _softened(z: Any) -> Any:
    return pc.softmax(pc.softmax(z))


def _twice_inside(s: Setup, rng: np.random.Generator) -> Setup | None:
    if s.kind != "classes":
        return None
    return replace(s, out=replace(s.out, activation=_softened), loss="cce")


def _out(options: dict[str, tuple[Any, str]]) -> Fault:
    def put(s: Setup, rng: np.random.Generator) -> Setup | None:
        if s.kind not in options:
            return None
        activation, loss = options[s.kind]
        return replace(s, out=replace(s.out, activation=activation), loss=loss)

    return put


def _rated(rate: Callable[[Setup], float]) -> Fault:
    return lambda s, rng: s.rated(rate(s))


def _deep(depth: int, width: int, act: str, init: Any, optimizer: Any) -> Fault:
    def put(s: Setup, rng: np.random.Generator) -> Setup:
        hidden = [pc.Dense(width, act, init=init) for _ in range(depth)]
        return replace(s, hidden=hidden, optimizer=optimizer)

    return put


def _hidden_bias(value: float, act: str) -> Fault:
    def put(s: Setup, rng: np.random.Generator) -> Setup:
        hidden = [replace(x, activation=act, bias_init=value) if isinstance(x, pc.Dense) else x
                  for x in s.hidden]  # fmt: skip
        return replace(s, hidden=hidden)

    return put


def _noisy_few(noise: float, rows: int, epochs: int, width: int) -> Fault:
    def put(s: Setup, rng: np.random.Generator) -> Setup | None:
        if s.kind == "values":
            return None
        keep = rng.permutation(len(s.y))[:rows]
        X, y = s.X[keep], s.y[keep].copy()
        flip = rng.random(len(y)) < noise
        y[flip] = rng.integers(0, int(s.y.max()) + 1, int(flip.sum()))
        hidden: list[pc.Layer] = [pc.Dense(width, "relu"), pc.Dense(width, "relu")]
        return replace(s, X=X, y=y, hidden=hidden, optimizer=pc.Adam(0.01), epochs=epochs,
                       tells_held=True)  # fmt: skip

    return put


def _small(units: int) -> Fault:
    def put(s: Setup, rng: np.random.Generator) -> Setup:
        return replace(s, hidden=[pc.Dense(units, "tanh")] if units else [])

    return put


def _stuck(bias: float) -> Fault:
    """Outputs that start at the flat end of a sigmoid under squared error."""

    def put(s: Setup, rng: np.random.Generator) -> Setup | None:
        if s.kind != "binary":
            return None
        return replace(s, out=pc.Dense(1, "sigmoid", bias_init=bias), loss="mse")

    return put


@dataclass(frozen=True)
class Erased(pc.Layer):
    """A layer that lets nothing through."""

    def __call__(self, x: Any, p: Any) -> Any:
        return x * 0 + 1


@dataclass(frozen=True)
class Idle(pc.Layer):
    """A layer with a parameter that its formula forgets."""

    name: str = "gain"

    def parameters(self, shape: Any) -> dict[str, pc.Parameter]:
        return {self.name: pc.Parameter(tuple(shape), pc.Constant(1.0))}

    def __call__(self, x: Any, p: Any) -> Any:
        return 1.0 * x


def _with_layer(layer: pc.Layer) -> Fault:
    return lambda s, rng: replace(s, hidden=[*s.hidden, layer])


def _all_equal(s: Setup, rng: np.random.Generator) -> Setup:
    X = np.repeat(s.X[:1], len(s.X), axis=0)
    return replace(s, X=X, held=(np.repeat(X[:1], len(s.held[0]), axis=0), s.held[1]))


def _shuffled_labels(s: Setup, rng: np.random.Generator) -> Setup:
    held = (s.held[0], rng.permutation(s.held[1]))
    return replace(s, y=rng.permutation(s.y), held=held)


def _shuffled_rows(s: Setup, rng: np.random.Generator) -> Setup:
    return replace(s, X=rng.permutation(s.X), held=(rng.permutation(s.held[0]), s.held[1]))


def _dropped(rate: float) -> Fault:
    def put(s: Setup, rng: np.random.Generator) -> Setup:
        hidden: list[pc.Layer] = []
        for x in s.hidden:
            hidden += [x, pc.Dropout(rate)] if isinstance(x, pc.Dense) else []
        return replace(s, hidden=hidden)

    return put


def _single_rows(size: int, factor: float) -> Fault:
    def put(s: Setup, rng: np.random.Generator) -> Setup:
        return replace(s.rated(s.rate * factor), batch_size=size)

    return put


@pc.custom_gradient(lambda g, a, z: -g * (1 - a * a))
def tanh_back(z: Any) -> Any:
    """Tanh whose slope has the wrong sign."""
    return np.tanh(z)


@pc.custom_gradient(lambda g, a, z: g * a * (1 - z))
def sigmoid_slip(z: Any) -> Any:
    """Sigmoid whose slope takes z for a."""
    return 1 / (1 + np.exp(-z))


def _activation(function: Any) -> Fault:
    def put(s: Setup, rng: np.random.Generator) -> Setup:
        hidden = [replace(x, activation=function) if isinstance(x, pc.Dense) else x
                  for x in s.hidden]  # fmt: skip
        return replace(s, hidden=hidden)

    return put


def log_of(z: Any) -> Any:
    """Logarithm, of numbers of both signs."""
    return np.log(z)


def root_of(z: Any) -> Any:
    """Square root, of numbers of both signs."""
    return np.sqrt(z)


def _he(layer: pc.Dense, factor: float) -> pc.Normal:
    return pc.Normal(factor * np.sqrt(2 / layer.units))


FAULTS: dict[str, dict[str, list[Fault]]] = {
    code: {"development": first, "held-out": second}
    for code, first, second in [
        ("nan-in-data", [_cell(np.nan)], [_cell(np.nan, 0.05)]),
        ("inf-in-data", [_cell(np.inf)], [_cell(-np.inf, 0.05)]),
        ("unscaled-features", [_columns(lambda X, r: 1000 * X)],
         [_columns(lambda X, r: X + 500), _columns(_one_wide), _columns(lambda X, r: 200 * X)]),
        ("constant-feature", [_columns(lambda X, r: np.c_[X, np.full(len(X), 3.7)])],
         [_columns(lambda X, r: np.c_[np.zeros(len(X)) - 1, X])]),
        ("duplicate-rows", [lambda s, r: _more_rows(s, np.arange(len(s.X) // 2))],
         [lambda s, r: _more_rows(s, r.integers(0, len(s.X), len(s.X) // 5))]),
        ("leaked-rows", [_held_from_train], [_train_from_held]),
        ("label-out-of-range", [_stray_label], [_from_one]),
        ("class-imbalance", [_rare(0.04)], [_rare(0.02)]),
        ("sorted-data", [_sorted], [_descending]),
        ("shape-broadcast", [_custom_loss(lambda p, y: ((p[:, 0] - y) ** 2).mean())],
         [_custom_loss(lambda p, y: abs(p - y[:, 0]).mean())]),
        ("zero-init", [_init(lambda x: "zeros")],
         [_weights(lambda W: 0 * W), _init(lambda x: 0.3)]),
        ("init-too-large", [_init(lambda x: pc.Normal(20.0))], [_weights(lambda W: 50 * W)]),
        ("init-too-small", [_init(lambda x: pc.Normal(1e-4))], [_weights(lambda W: 1e-3 * W)]),
        ("double-softmax", [_twice], [_twice_inside]),
        ("wrong-output-for-loss",
         [_out({"binary": ("relu", "bce"), "classes": ("sigmoid", "cce"),
                "values": ("relu", "mse")})],
         [_out({"binary": (lambda z: pc.tanh(z), "bce_logits"), "classes": ("relu", "cce"),
                "values": (lambda z: -pc.softplus(z), "mse")})]),
        ("learning-rate-too-high", [_rated(lambda s: 100.0)], [_rated(lambda s: 300 * s.rate)]),
        ("learning-rate-too-low", [_rated(lambda s: 1e-7)], [_rated(lambda s: s.rate / 3000)]),
        ("exploding-gradients",
         [_deep(10, 24, "relu", pc.Normal(2.5 * np.sqrt(2 / 24)), pc.SGD(0.01))],
         [_deep(12, 16, "relu", pc.Orthogonal(3.5), pc.Adam(0.003))]),
        ("vanishing-gradients", [_deep(10, 16, "sigmoid", None, pc.SGD(0.1))],
         [_deep(8, 24, "sigmoid", None, pc.Adam(0.002)),
          _deep(9, 20, "relu", pc.Normal(0.3 * np.sqrt(2 / 20)), pc.SGD(0.05))]),
        ("dead-units", [_hidden_bias(-15.0, "relu")],
         [lambda s, r: _weights(lambda b: b - 25, "b", last=False)(_activation("relu")(s, r), r)]),
        ("saturated-units", [_hidden_bias(12.0, "tanh")], [_hidden_bias(-20.0, "sigmoid")]),
        ("oscillating-loss",
         [lambda s, r: replace(s, optimizer=pc.SGD(10 * min(s.rate, 0.1), momentum=0.95))],
         [lambda s, r: replace(s, optimizer=pc.SGD(2.0 * min(s.rate, 0.3), momentum=0.97))]),
        ("overfitting", [_noisy_few(0.35, 40, 400, 64)], [_noisy_few(0.4, 50, 500, 80)]),
        ("underfitting", [_small(0), _small(1)], [_small(1), lambda s, r: replace(s, epochs=1)]),
        ("plateau", [_stuck(-9.0)], [_stuck(11.0)]),
        ("ignores-input", [_with_layer(Erased())], [_all_equal]),
        ("random-labels", [_shuffled_labels], [_shuffled_rows]),
        ("too-much-regularization", [lambda s, r: s.dense(lambda x: replace(x, l2=10.0))],
         [lambda s, r: s.dense(lambda x: replace(x, l1=1.0)),
          lambda s, r: s.dense(lambda x: replace(x, l2=3.0))]),
        ("too-much-dropout", [_dropped(0.9)], [_dropped(0.95)]),
        ("batch-too-small", [_single_rows(1, 3.0)], [_single_rows(2, 5.0), _single_rows(1, 3.0)]),
        ("unused-parameter", [_with_layer(Idle())],
         [lambda s, r: replace(s, hidden=[Idle("shift"), *s.hidden])]),
        ("wrong-gradient", [_activation(tanh_back)], [_activation(sigmoid_slip)]),
        ("non-finite", [_activation(log_of)], [_activation(root_of)]),
    ]
}  # fmt: skip
# These harm only where training comes to less; the others are wrong whatever comes of them.
HARMFUL = {
    "unscaled-features", "sorted-data", "init-too-large", "init-too-small",
    "learning-rate-too-high", "learning-rate-too-low", "exploding-gradients",
    "vanishing-gradients", "dead-units", "saturated-units", "oscillating-loss", "overfitting",
    "underfitting", "plateau", "too-much-regularization", "too-much-dropout", "batch-too-small",
}  # fmt: skip
