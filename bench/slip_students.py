"""Backward passes as textbooks write them, each with the places where a slip can be made.

A place is marked in the text as «name: code»; a slip replaces the code of one place. Three
activations, four losses and two sizes of network are filled in for SQUASH, SLOPE and ERROR.
Every style is written by hand, in its own manner; `made` loads one, with a slip or without.
"""

from __future__ import annotations

import linecache
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np

PRELUDE = """
import numpy as np

def sigmoid(z):
    return 1 / (1 + np.exp(-z))

def relu(z):
    return np.maximum(0, z)

def linear(z):
    return z

def softmax(z):
    e = np.exp(z - z.max(axis=AXIS, keepdims=True))
    return e / e.sum(axis=AXIS, keepdims=True)

def softmax_backward(g, a):
    return a * (g - (g * a).sum(axis=AXIS, keepdims=True))

def sigmoid_prime(z):
    return sigmoid(z) * (1 - sigmoid(z))

def tanh_prime(z):
    return 1 - np.tanh(z) ** 2

def relu_prime(z):
    return (z > 0).astype(float)
"""

# -- by rows: X is (n, d), W is (inputs, units) --------------------------------------------------

FUNCTION_DICT = """
def backward(params, X, y):
    W1, b1, W2, b2 = params["W1"], params["b1"], params["W2"], params["b2"]
    n = X.shape[0]
    z1 = X @ W1 + b1
    a1 = HIDDEN(z1)
    z2 = a1 @ W2 + b2
    a2 = OUTPUT(z2)
    delta2 = «err: ERROR(a2, y, n)» «slope2: * SLOPE2(z2, a2)»
    dW2 = «W2: a1.T @ delta2» + PENALTY(W2)
    db2 = «b2: np.sum(delta2, axis=0)»
    delta1 = «pass: (delta2 @ W2.T)» * «slope1: SLOPE1(z1, a1)»
    dW1 = «W1: X.T @ delta1» + PENALTY(W1)
    db1 = «b1: np.sum(delta1, axis=0)»
    return {"W1": dW1, "b1": db1, "W2": dW2, "b2": db2}
"""

FUNCTION_TUPLE = """
def gradients(theta, inputs, targets):
    m = len(inputs)
    hidden_in = np.dot(inputs, theta["W1"]) + theta["b1"]
    hidden = HIDDEN(hidden_in)
    scores = np.dot(hidden, theta["W2"]) + theta["b2"]
    out = OUTPUT(scores)
    d_scores = «err: ERROR(out, targets, m)» «slope2: * SLOPE2(scores, out)»
    grad_W2 = «W2: np.dot(hidden.T, d_scores)» + PENALTY(theta["W2"])
    grad_b2 = «b2: d_scores.sum(axis=0, keepdims=True)»
    d_hidden = «pass: np.dot(d_scores, theta["W2"].T)»
    d_hidden_in = d_hidden * «slope1: SLOPE1(hidden_in, hidden)»
    grad_W1 = «W1: np.dot(inputs.T, d_hidden_in)» + PENALTY(theta["W1"])
    grad_b1 = «b1: d_hidden_in.sum(axis=0, keepdims=True)»
    return grad_W1, grad_b1, grad_W2, grad_b2
"""

CLASS_ATTRIBUTES = """
class NeuralNetwork:
    def __init__(self, input_size, hidden_size, output_size):
        self.W1 = 0.1 * np.random.randn(input_size, hidden_size)
        self.b1 = np.zeros((1, hidden_size))
        self.W2 = 0.1 * np.random.randn(hidden_size, output_size)
        self.b2 = np.zeros((1, output_size))

    def forward(self, X):
        self.X = X
        self.z1 = np.dot(X, self.W1) + self.b1
        self.a1 = HIDDEN(self.z1)
        self.z2 = np.dot(self.a1, self.W2) + self.b2
        self.a2 = OUTPUT(self.z2)
        return self.a2

    def backward(self, y):
        m = y.shape[0]
        dz2 = «err: ERROR(self.a2, y, m)» «slope2: * SLOPE2(self.z2, self.a2)»
        self.dW2 = «W2: np.dot(self.a1.T, dz2)» + PENALTY(self.W2)
        self.db2 = «b2: np.sum(dz2, axis=0, keepdims=True)»
        da1 = «pass: np.dot(dz2, self.W2.T)»
        dz1 = da1 * «slope1: SLOPE1(self.z1, self.a1)»
        self.dW1 = «W1: np.dot(self.X.T, dz1)» + PENALTY(self.W1)
        self.db1 = «b1: np.sum(dz1, axis=0, keepdims=True)»
"""

CLASS_UPDATES = '''
class MLP:
    """Trains itself: backward changes the weights."""

    def __init__(self, n_in, n_hidden, n_out, seed=1):
        rng = np.random.RandomState(seed)
        self.weights_input_hidden = rng.normal(size=(n_in, n_hidden))
        self.weights_hidden_output = rng.normal(size=(n_hidden, n_out))
        self.bias_hidden = np.zeros(n_hidden)
        self.bias_output = np.zeros(n_out)

    def forward(self, X):
        self.hidden_input = X @ self.weights_input_hidden + self.bias_hidden
        self.hidden_output = HIDDEN(self.hidden_input)
        self.scores = self.hidden_output @ self.weights_hidden_output + self.bias_output
        self.out = OUTPUT(self.scores)
        return self.out

    def backward(self, X, y, learning_rate):
        n = len(X)
        output_delta = «err: ERROR(self.out, y, n)» «slope2: * SLOPE2(self.scores, self.out)»
        grad_ho = «W2: self.hidden_output.T @ output_delta» + PENALTY(self.weights_hidden_output)
        EARLY
        hidden_error = «pass: output_delta @ self.weights_hidden_output.T»
        hidden_delta = hidden_error * «slope1: SLOPE1(self.hidden_input, self.hidden_output)»
        grad_ih = «W1: X.T @ hidden_delta» + PENALTY(self.weights_input_hidden)
        LATE
        self.bias_output -= learning_rate * «b2: output_delta.sum(axis=0)»
        self.weights_input_hidden -= learning_rate * grad_ih
        self.bias_hidden -= learning_rate * «b1: hidden_delta.sum(axis=0)»
'''

LAYERS = """
class Linear:
    def __init__(self, n_in, n_out):
        self.W = np.random.randn(n_in, n_out) * 0.1
        self.b = np.zeros(n_out)
        self.dW = np.zeros_like(self.W)
        self.db = np.zeros_like(self.b)

class Net:
    def __init__(self, sizes):
        self.layers = [Linear(i, o) for i, o in zip(sizes[:-1], sizes[1:])]

    def forward(self, X):
        first, last = self.layers
        self.x = X
        self.h = X @ first.W + first.b
        self.r = HIDDEN(self.h)
        self.s = self.r @ last.W + last.b
        self.p = OUTPUT(self.s)
        return self.p

    def loss(self, y):
        return LOSS(self.p, y)

    def backward(self, y):
        first, last = self.layers
        count = y.shape[0]
        ds = «err: ERROR(self.p, y, count)» «slope2: * SLOPE2(self.s, self.p)»
        last.dW PLUS= «W2: self.r.T @ ds» + PENALTY(last.W)
        last.db PLUS= «b2: ds.sum(axis=0)»
        dr = «pass: ds @ last.W.T»
        dh = dr * «slope1: SLOPE1(self.h, self.r)»
        first.dW PLUS= «W1: self.x.T @ dh» + PENALTY(first.W)
        first.db PLUS= «b1: dh.sum(axis=0)»
"""

PARAMS_GRADS = """
class TwoLayerNet:
    def __init__(self, input_dim, hidden_dim, output_dim):
        self.params = {
            "W1": np.random.randn(input_dim, hidden_dim), "b1": np.zeros(hidden_dim),
            "W2": np.random.randn(hidden_dim, output_dim), "b2": np.zeros(output_dim),
        }
        self.grads = {}
        self.cache = {}

    def forward(self, X):
        p = self.params
        h = X @ p["W1"] + p["b1"]
        a = HIDDEN(h)
        s = a @ p["W2"] + p["b2"]
        out = OUTPUT(s)
        KEEP = dict(X=X, h=h, a=a, s=s, out=out)
        return out

    def backward(self, X, y):
        c, p = self.cache, self.params
        N = X.shape[0]
        ds = «err: ERROR(c["out"], y, N)» «slope2: * SLOPE2(c["s"], c["out"])»
        self.grads["W2"] = «W2: c["a"].T.dot(ds)» + PENALTY(p["W2"])
        self.grads["b2"] = «b2: ds.sum(0)»
        dh = «pass: ds.dot(p["W2"].T)» * «slope1: SLOPE1(c["h"], c["a"])»
        self.grads["W1"] = «W1: c["X"].T.dot(dh)» + PENALTY(p["W1"])
        self.grads["b1"] = «b1: dh.sum(0)»
        return self.grads
"""

# -- by columns: X is (d, m), W is (units, inputs) -------------------------------------------------

COLUMNS_DICT = """
def back_propagation(parameters, X, Y):
    m = X.shape[1]
    W1, b1, W2, b2 = (parameters[k] for k in ("W1", "b1", "W2", "b2"))
    Z1 = np.dot(W1, X) + b1
    A1 = HIDDEN(Z1)
    Z2 = np.dot(W2, A1) + b2
    A2 = OUTPUT(Z2)
    dZ2 = «err: ERROR(A2, Y, m)» «slope2: * SLOPE2(Z2, A2)»
    dW2 = «W2: np.dot(dZ2, A1.T)» + PENALTY(W2)
    db2 = «b2: np.sum(dZ2, axis=1, keepdims=True)»
    dA1 = «pass: np.dot(W2.T, dZ2)»
    dZ1 = np.multiply(dA1, «slope1: SLOPE1(Z1, A1)»)
    dW1 = «W1: np.dot(dZ1, X.T)» + PENALTY(W1)
    db1 = «b1: np.sum(dZ1, axis=1, keepdims=True)»
    return {"dW1": dW1, "db1": db1, "dW2": dW2, "db2": db2}
"""

COLUMNS_LISTS = """
class Network(object):
    def __init__(self, sizes):
        self.num_layers = len(sizes)
        self.sizes = sizes
        self.biases = [np.random.randn(y, 1) for y in sizes[1:]]
        self.weights = [np.random.randn(y, x) for x, y in zip(sizes[:-1], sizes[1:])]

    def feedforward(self, a):
        for b, w, f in zip(self.biases, self.weights, (HIDDEN, OUTPUT)):
            a = f(np.dot(w, a) + b)
        return a

    def backprop(self, x, y):
        nabla_b = [np.zeros(b.shape) for b in self.biases]
        nabla_w = [np.zeros(w.shape) for w in self.weights]
        m = x.shape[1]
        z1 = np.dot(self.weights[0], x) + self.biases[0]
        h = HIDDEN(z1)
        z2 = np.dot(self.weights[1], h) + self.biases[1]
        out = OUTPUT(z2)
        delta = «err: ERROR(out, y, m)» «slope2: * SLOPE2(z2, out)»
        nabla_b[-1] = «b2: delta.sum(axis=1, keepdims=True)»
        nabla_w[-1] = «W2: np.dot(delta, h.T)» + PENALTY(self.weights[1])
        delta1 = «pass: np.dot(self.weights[1].T, delta)» * «slope1: SLOPE1(z1, h)»
        nabla_b[0] = «b1: delta1.sum(axis=1, keepdims=True)»
        nabla_w[0] = «W1: np.dot(delta1, x.T)» + PENALTY(self.weights[0])
        return (nabla_b, nabla_w)
"""

COLUMNS_UPDATES = """
class ShallowNet:
    def __init__(self, layer_sizes, lr=0.5):
        self.lr = lr
        self.W = [np.random.randn(o, i) * 0.3 for i, o in zip(layer_sizes, layer_sizes[1:])]
        self.b = [np.zeros((o, 1)) for o in layer_sizes[1:]]

    def forward(self, X):
        self.A0 = X
        self.Z1 = self.W[0] @ self.A0 + self.b[0]
        self.A1 = HIDDEN(self.Z1)
        self.Z2 = self.W[1] @ self.A1 + self.b[1]
        self.A2 = OUTPUT(self.Z2)
        return self.A2

    def compute_loss(self, Y):
        return LOSS(self.A2, Y)

    def backward(self, Y):
        m = Y.shape[1]
        d2 = «err: ERROR(self.A2, Y, m)» «slope2: * SLOPE2(self.Z2, self.A2)»
        g2 = «W2: d2 @ self.A1.T» + PENALTY(self.W[1])
        e2 = «b2: d2.sum(axis=1, keepdims=True)»
        EARLY
        d1 = «pass: self.W[1].T @ d2» * «slope1: SLOPE1(self.Z1, self.A1)»
        g1 = «W1: d1 @ self.A0.T» + PENALTY(self.W[0])
        e1 = «b1: d1.sum(axis=1, keepdims=True)»
        LATE
        self.W[0] = self.W[0] - self.lr * g1
        self.b[0] = self.b[0] - self.lr * e1
        self.b[1] = self.b[1] - self.lr * e2
"""

EARLY_UPDATES = {
    "CLASS_UPDATES": "self.weights_hidden_output -= learning_rate * grad_ho",
    "COLUMNS_UPDATES": "self.W[1] = self.W[1] - self.lr * g2",
}


@dataclass(frozen=True)
class Style:
    """A manner of writing: its text, whether samples are columns, and which half it is in."""

    name: str
    text: str
    entry: str
    columns: bool
    held_out: bool


STYLES = [
    Style("FUNCTION_DICT", FUNCTION_DICT, "backward", False, False),
    Style("COLUMNS_DICT", COLUMNS_DICT, "back_propagation", True, False),
    Style("CLASS_ATTRIBUTES", CLASS_ATTRIBUTES, "NeuralNetwork", False, False),
    Style("COLUMNS_UPDATES", COLUMNS_UPDATES, "ShallowNet", True, False),
    Style("FUNCTION_TUPLE", FUNCTION_TUPLE, "gradients", False, True),
    Style("CLASS_UPDATES", CLASS_UPDATES, "MLP", False, True),
    Style("LAYERS", LAYERS, "Net", False, True),
    Style("PARAMS_GRADS", PARAMS_GRADS, "TwoLayerNet", False, True),
    Style("COLUMNS_LISTS", COLUMNS_LISTS, "Network", True, True),
]


@dataclass(frozen=True)
class Setting:
    """A network and its loss."""

    sizes: tuple[int, int, int]
    hidden: str
    output: str
    loss: str
    l2: float = 0.0
    held_out: bool = False

    @property
    def name(self) -> str:
        sizes = "-".join(map(str, self.sizes))
        return f"{sizes} {self.hidden}/{self.output} {self.loss}{' l2' if self.l2 else ''}"


SETTINGS = [
    Setting((2, 3, 1), "sigmoid", "sigmoid", "mse"),
    Setting((3, 4, 3), "relu", "softmax", "cce"),
    Setting((2, 4, 1), "tanh", "sigmoid", "bce", l2=0.3),
    Setting((3, 3, 3), "sigmoid", "sigmoid", "half_mse"),
    Setting((3, 5, 1), "relu", "sigmoid", "bce", held_out=True),
    Setting((2, 3, 2), "tanh", "sigmoid", "mse", held_out=True),
    Setting((4, 4, 4), "tanh", "softmax", "cce", l2=0.1, held_out=True),
    Setting((3, 4, 1), "sigmoid", "linear", "half_mse", held_out=True),
    Setting((3, 4, 3), "sigmoid", "softmax", "mse", held_out=True),
]

SLOPES = {
    "sigmoid": lambda z, a: f"{a} * (1 - {a})", "tanh": lambda z, a: f"(1 - {a} ** 2)",
    "relu": lambda z, a: f"({z} > 0)",
}  # fmt: skip
PRIMES = {"sigmoid": "sigmoid_prime", "tanh": "tanh_prime", "relu": "relu_prime"}


def error_of(setting: Setting, a: str, y: str, n: str) -> str:
    """Return the text of the first δ: ŷ - y where the loss and the activation cancel."""
    k = setting.sizes[-1]
    if setting.output in ("softmax", "sigmoid") and setting.loss in ("cce", "bce"):
        return (
            f"({a} - {y}) / {n}" if k == 1 or setting.loss == "cce" else f"({a} - {y}) / {n} / {k}"
        )
    error = f"{'2 * ' if setting.loss == 'mse' else ''}({a} - {y}) / ({n} * {k})"
    return f"softmax_backward({error}, {a})" if setting.output == "softmax" else error


def loss_of(setting: Setting, a: str, y: str, columns: bool) -> str:
    n = f"{y}.shape[{int(columns)}]"
    if setting.loss == "cce":
        return f"-np.sum({y} * np.log({a})) / {n}"
    if setting.loss == "bce":
        return f"-np.mean({y} * np.log({a}) + (1 - {y}) * np.log(1 - {a}))"
    return f"{'0.5 * ' if setting.loss == 'half_mse' else ''}np.mean(({a} - {y}) ** 2)"


def merged(setting: Setting) -> bool:
    return setting.loss in ("cce", "bce") or setting.output == "linear"


_files = count()


def made(style: Style, setting: Setting, edits: dict[str, Callable[[str], str]] | None = None,
         swap: dict[str, str] | None = None) -> Any:  # fmt: skip
    """Return the student of a style for a setting: a function, or an object of its class."""
    text = filled(style, setting, edits or {}, swap or {})
    file = f"<student {next(_files)}>"
    linecache.cache[file] = (len(text), None, text.splitlines(True), file)
    scope: dict[str, Any] = {"__name__": "student"}
    exec(compile(text, file, "exec"), scope)
    return scope[style.entry]


def filled(
    style: Style, setting: Setting, edits: dict[str, Callable[[str], str]], swap: dict[str, str]
) -> str:
    text = PRELUDE + style.text
    for old, new in swap.items():
        assert old in text, (style.name, old)
        text = text.replace(old, new)
    early = EARLY_UPDATES.get(style.name, "pass")
    text = text.replace("EARLY", "pass").replace("LATE", early)
    text = text.replace("PLUS=", "=").replace("KEEP", "self.cache")
    hidden = "np.tanh" if setting.hidden == "tanh" else setting.hidden
    text = text.replace("HIDDEN", hidden).replace("OUTPUT", setting.output)
    text = text.replace("AXIS", "0" if style.columns else "1")
    text = re.sub(r"«(\w+): (.*?)»", lambda m: _place(m[1], m[2], setting, edits), text)
    text = re.sub(
        r"LOSS\((.*?), (\w+)\)", lambda m: loss_of(setting, m[1], m[2], style.columns), text
    )
    return re.sub(r"PENALTY\(", f"{setting.l2} * (", text)


def _place(name: str, code: str, setting: Setting, edits: dict[str, Callable[[str], str]]) -> str:
    arguments = re.match(r"(?:\* )?(ERROR|SLOPE1|SLOPE2)\((.*)\)$", code)
    if arguments:
        given = arguments[2].split(", ")
        if arguments[1] == "ERROR":
            code = error_of(setting, *given)
        elif arguments[1] == "SLOPE1":
            code = SLOPES[setting.hidden](*given)
        else:
            code = _output_slope(setting, *given)
    if name in edits:
        if name == "slope2":
            return f"* {edits[name](code[2:])}" if code else ""
        code = edits[name](code)
    return code if name == "slope2" else f"({code})"


def _output_slope(setting: Setting, z: str, a: str) -> str:
    if merged(setting):
        return ""
    if setting.output == "softmax":  # not elementwise: it is in the error already
        return ""
    return f"* {SLOPES[setting.output](z, a)}"


def samples(setting: Setting, n: int, seed: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, setting.sizes[0]))
    k = setting.sizes[-1]
    if setting.output == "softmax":
        return X, np.eye(k)[rng.permutation(np.arange(n) % k)]
    if setting.loss == "bce" or setting.output == "sigmoid":
        return X, rng.integers(0, 2, (n, k)).astype(float)
    return X, rng.normal(size=(n, k))


def styles(held_out: bool) -> Iterator[Style]:
    return (s for s in STYLES if s.held_out == held_out)
