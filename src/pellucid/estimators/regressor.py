"""A network that predicts numbers, as scikit-learn's estimator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from pellucid.errors import ArgumentError, DataError
from pellucid.estimators import parts, scale
from pellucid.estimators.learner import PRECISIONS, Learner, Samples
from pellucid.graph import Array
from pellucid.losses import loss as loss_named


@dataclass(frozen=True)
class Columns:
    """How many numbers are predicted for a row; `flat`: one, and without an axis of its own."""

    count: int
    flat: bool


class PellucidRegressor(parts.RegressorMixin, Learner):  # type: ignore[misc]
    """A network that predicts numbers, for scikit-learn's pipelines, searches and scores.

        hidden layers → one number a target

    Args: as of `PellucidClassifier`, without `class_weight`; `loss`, the name of one of values:
    "mse", "half_mse", "mae", "huber". With `standardize`, targets too are brought to mean 0 and
    spread 1, and predictions back: the curves are losses of standardized targets.

    Attributes: `model_` (from standardized rows to standardized targets), `X_scale_`, `y_scale_`,
    `loss_curve_`, `validation_loss_curve_` (with early_stopping), `n_iter_`, `history_`,
    `n_features_in_`, `n_outputs_`. Raises: ArgumentError where scikit-learn is not installed.

    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True)
    >>> PellucidRegressor(random_state=0).fit(X[::2], y[::2]).score(X[1::2], y[1::2]) > 0.3
    True
    """

    def __init__(
        self,
        hidden: Any = (100,),
        *,
        layers: Any = None,
        activation: Any = "relu",
        loss: str = "mse",
        optimizer: Any = "adam",
        learning_rate: Any = "auto",
        l2: Any = "auto",
        batch_size: Any = "auto",
        max_iter: int = 60,
        tol: float | None = 1e-3,
        n_iter_no_change: int = 10,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        standardize: bool = True,
        shuffle: bool = True,
        warm_start: bool = False,
        random_state: Any = None,
        backend: str = "auto",
        verbose: Any = 0,
    ) -> None:
        self.hidden = hidden
        self.layers = layers
        self.activation = activation
        self.loss = loss
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.l2 = l2
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.standardize = standardize
        self.shuffle = shuffle
        self.warm_start = warm_start
        self.random_state = random_state
        self.backend = backend
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:
        """Say what data this can be given."""
        tags = parts.RegressorMixin.__sklearn_tags__(self)
        tags.target_tags.multi_output = True
        return tags

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Learn from further rows, once over all of them; return the estimator.

        The scale of features and targets is that of all rows seen so far. Raises: as `fit`.
        """
        return self._more(X, y, sample_weight, None)

    def predict(self, X: Any) -> Array:
        """Return the number, or the numbers, of each row:  (n, features) -> (n,), (n, targets)."""
        found = self.y_scale_.undo(self._read(X)) if self._fitted else self._read(X)
        return found[:, 0] if self._task.flat else found

    # -- what comes in ---------------------------------------------------------------------------

    def _valid(self, X: Any, y: Any, reset: bool) -> tuple[Array, Array]:
        kinds = {"multi_output": True, "y_numeric": True, "dtype": PRECISIONS}
        X, y = parts.validate_data(self, X, y, reset=reset, **kinds)
        return X, parts.column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y

    def _targets(self, y: Array, task: Columns | None) -> tuple[Array, Columns]:
        rows = scale.as_rows(y)
        known = task or Columns(rows.shape[1], y.ndim == 1)
        if rows.shape[1] != known.count:
            what = f"y has {rows.shape[1]} columns, but had {known.count} before"
            raise DataError(what, "as many targets for each row, or a new estimator")
        return rows.astype(float), known

    def _output(self, task: Columns) -> tuple[int, str]:
        chosen = loss_named(self.loss)
        if chosen.targets != "values" or chosen.name == "custom":
            raise ArgumentError(
                f"the loss {self.loss!r} is not one of values", '"mse", "mae" or "huber"'
            )
        return task.count, chosen.name

    def _learned(self, task: Columns) -> None:
        self.y_scale_ = scale.none(task.count)
        self.n_outputs_ = task.count

    def _see(self, samples: Samples) -> None:
        Learner._see(self, samples)
        if self.standardize:
            self.y_scale_ = self.y_scale_.seen(samples.y, samples.weights)

    def _scaled(self, samples: Samples) -> tuple[Array, Array]:
        return self.X_scale_.apply(samples.X), self.y_scale_.apply(samples.y)
