"""Other libraries at the same task, where they are installed: for `pellucid bench`."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

from pellucid.errors import PellucidError
from pellucid.graph import Array
from pellucid.interop.library import library
from pellucid.model import Sequential
from pellucid.nn import Dense, Dropout
from pellucid.optim import SGD, Adam

Train = Callable[[int], object]  # trains for so many epochs


def peers(
    model: Sequential, X: Array, y: Array, size: int
) -> Iterator[tuple[str, Train | None, str]]:
    """Yield name, training and remark of each; None for one that is left out, and why.

    They get the rows as the layers that prepare columns leave them, `X`, in the model's precision.
    """
    if type(model.optimizer) not in (Adam, SGD):
        yield "others", None, f"they are set up for Adam and SGD, not {model.optimizer!r}"
        return
    for name, make in (
        ("PyTorch", _torch),
        ("PyTorch, 1 thread", _alone),
        ("scikit-learn", _sklearn),
    ):
        try:
            yield name, *make(model, X, y, size)
        except (ImportError, PellucidError):
            yield name, None, "not installed"


def _hidden(model: Sequential) -> list[Dense]:
    return [layer for layer in model.layers if isinstance(layer, Dense)][:-1]


def _rate(model: Sequential) -> float:
    rate = model.optimizer.learning_rate
    return rate if isinstance(rate, float) else 0.001


def _alone(model: Sequential, X: Array, y: Array, size: int) -> tuple[Train | None, str]:
    return _torch(model, X, y, size, threads=1)


def _torch(
    model: Sequential, X: Array, y: Array, size: int, threads: int = 0
) -> tuple[Train | None, str]:
    torch = library()
    threads = threads or torch.get_num_threads()
    net = torch.nn.Sequential(*_modules(torch, model, X.shape[1]))
    classes = model._built.output_shape[0]
    rows = torch.from_numpy(X)
    truth = torch.from_numpy(y.astype(int) if classes > 1 else y.astype(X.dtype).reshape(-1, 1))
    loss = torch.nn.CrossEntropyLoss() if classes > 1 else torch.nn.BCEWithLogitsLoss()
    if model.loss_function is not None and not model.loss_function.classifies:
        loss = torch.nn.MSELoss()
    kind = torch.optim.Adam if isinstance(model.optimizer, Adam) else torch.optim.SGD
    optimizer = kind(net.parameters(), lr=_rate(model))

    def train(epochs: int) -> None:
        torch.set_num_threads(threads)
        for _ in range(epochs):
            for index in torch.randperm(len(rows)).split(size):
                optimizer.zero_grad(set_to_none=True)
                value = loss(net(rows[index]), truth[index])
                value.backward()
                optimizer.step()
            value.item()

    return train, f"torch {torch.__version__}, eager, threads: {threads}"


def _modules(torch: Any, model: Sequential, inputs: int) -> Iterator[Any]:
    """Yield the layers from the first `Dense` on, with scores at the end."""
    kind = {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh, "sigmoid": torch.nn.Sigmoid}
    dtype = getattr(torch, model.dtype.name)
    for layer in model.layers:
        if isinstance(layer, Dense):
            yield torch.nn.Linear(inputs, layer.units, dtype=dtype)
            inputs = layer.units
            if layer in _hidden(model):
                yield kind.get(str(layer.activation), torch.nn.ReLU)()
        elif isinstance(layer, Dropout):
            yield torch.nn.Dropout(layer.rate)


def _sklearn(model: Sequential, X: Array, y: Array, size: int) -> tuple[Train | None, str]:
    import sklearn
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    if any(isinstance(layer, Dropout) for layer in model.layers):
        return None, "it has no dropout"
    classifies = model.loss_function is not None and model.loss_function.classifies
    names = {"relu": "relu", "tanh": "tanh", "sigmoid": "logistic"}
    first = next((layer.activation for layer in _hidden(model)), "relu")
    settings = {
        "hidden_layer_sizes": tuple(layer.units for layer in _hidden(model)),
        "activation": names.get(str(first), "relu"),
        "solver": "adam" if isinstance(model.optimizer, Adam) else "sgd",
        "batch_size": size, "learning_rate_init": _rate(model), "tol": 0.0,
        "n_iter_no_change": 10**9, "alpha": 0.0, "random_state": 0,
    }  # fmt: skip

    def train(epochs: int) -> None:
        peer = (MLPClassifier if classifies else MLPRegressor)(max_iter=epochs, **settings)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            peer.fit(X, y)

    return train, f"scikit-learn {sklearn.__version__}"
