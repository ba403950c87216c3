"""A network that classifies, as scikit-learn's estimator."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from pellucid.errors import ArgumentError, DataError
from pellucid.estimators import parts
from pellucid.estimators.learner import PRECISIONS, Learner, Samples
from pellucid.graph import Array

SEVERAL = "multilabel-indicator"  # what scikit-learn calls 0 and 1 for each of several labels


@dataclass(frozen=True, eq=False)
class Classes:
    """The labels there are, in order; `several`: a row may have any number of them."""

    labels: Array
    several: bool = False

    @staticmethod
    def of(y: Array) -> Classes:
        """Return the classes of these targets."""
        if y.ndim == 2:
            return Classes(np.arange(y.shape[1]), True)
        labels = np.unique(y)
        if len(labels) < 2:
            what = f"y holds one class only, {labels.tolist()}, in the rows that count"
            raise DataError(what, "give at least two classes, to tell one from another")
        return Classes(labels)

    def numbers(self, y: Array) -> Array:
        """Return the number of each row's class; of several labels at once, 0 and 1 for each."""
        if self.several != (y.ndim == 2):
            kinds = ("one label a row", "0 and 1 for each label")
            what = f"y is {kinds[y.ndim == 2]}, but was {kinds[self.several]} before"
            raise DataError(what, "a new estimator")
        return self._indicators(y) if self.several else self._places(y)

    def _places(self, y: Array) -> Array:
        strange = np.setdiff1d(y, self.labels)
        if len(strange):
            what = f"y holds the classes {strange.tolist()}; known are {self.labels.tolist()}"
            raise DataError(what, "a new estimator, or all classes in the first partial_fit")
        return np.searchsorted(self.labels, y)

    def _indicators(self, y: Array) -> Array:
        if parts.type_of_target(y) != SEVERAL or y.shape[1] != len(self.labels):
            what = f"y {y.shape} is not 0 and 1 for each of {len(self.labels)} labels"
            raise DataError(what, "one column for each label, or one column of classes")
        return y


class PellucidClassifier(parts.ClassifierMixin, Learner):  # type: ignore[misc]
    """A network that classifies, for scikit-learn's pipelines, searches and scores.

        hidden layers → one score a class (two classes: one in all) → softmax (sigmoid)

    Args: `hidden`, units of each hidden layer, or `layers`, any layers in their place (the output
    layer is added); `activation`; `optimizer`, a name or a value; `learning_rate`, of one by name,
    "auto" for 0.01 with Adam and else its own; `l2`, the penalty (l2/2) ΣW² of the layers made
    here, "auto" for 1/n, as a power of 2; `batch_size`, "auto" for at most 200 rows; `max_iter`
    epochs at most, fewer where the loss falls by less than `tol` an epoch over `n_iter_no_change`
    epochs (`tol=None`: never fewer); `early_stopping`, to watch the loss of `validation_fraction`
    of the rows instead, and end with the weights of the best epoch; `class_weight`,
    "balanced" or {label: weight}; `standardize`, to bring every feature to mean 0 and spread 1,
    learned from the rows trained on; `shuffle`; `warm_start`, to go on where the last `fit` ended;
    `random_state`, as everywhere in scikit-learn; `backend` and `verbose`, as in `Sequential.fit`.
    float32 rows are computed in float32, others in float64.

    Attributes: `classes_`, `model_` (of standardized rows), `X_scale_`, `loss_curve_`,
    `validation_loss_curve_` (with early_stopping), `n_iter_`, `history_`, `n_features_in_`.
    Raises: ArgumentError where scikit-learn is not installed.

    >>> from sklearn.datasets import load_wine
    >>> X, y = load_wine(return_X_y=True)
    >>> PellucidClassifier(random_state=0).fit(X[::2], y[::2]).score(X[1::2], y[1::2]) > 0.9
    True
    """

    def __init__(
        self,
        hidden: Any = (100,),
        *,
        layers: Any = None,
        activation: Any = "relu",
        optimizer: Any = "adam",
        learning_rate: Any = "auto",
        l2: Any = "auto",
        batch_size: Any = "auto",
        max_iter: int = 60,
        tol: float | None = 1e-3,
        n_iter_no_change: int = 10,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        class_weight: Any = None,
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
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.l2 = l2
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.class_weight = class_weight
        self.standardize = standardize
        self.shuffle = shuffle
        self.warm_start = warm_start
        self.random_state = random_state
        self.backend = backend
        self.verbose = verbose

    def __sklearn_tags__(self) -> Any:
        """Say what data this can be given."""
        tags = parts.ClassifierMixin.__sklearn_tags__(self)
        tags.classifier_tags.multi_label = True
        return tags

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> Any:
        """Learn from further rows, once over all of them; return the estimator.

        `classes`: every label that may come, in the first call (of several labels at once, their
        numbers). The scale of the features is that of all rows seen so far.

        Raises: as `fit`; ArgumentError for class_weight="balanced", and where `classes` is missing.
        """
        if isinstance(self.class_weight, str):
            what = f"class_weight={self.class_weight!r} needs all rows at once"
            raise ArgumentError(what, "give the weights: class_weight={label: weight}")
        return self._more(X, y, sample_weight, self._announced(y, classes))

    def _announced(self, y: Any, classes: Any) -> Classes | None:
        """Return the classes of the first call; see that those of later ones are the same."""
        if classes is None:
            if not self._fitted:
                what = "the first partial_fit does not say which classes there are"
                raise ArgumentError(what, "classes=np.unique(y)")
            return None
        labels = np.unique(classes)
        if self._fitted and not np.array_equal(labels, self.classes_):
            what = f"classes is {labels.tolist()}, but was {self.classes_.tolist()} before"
            raise ArgumentError(what, "leave it out after the first call")
        return Classes(labels, parts.type_of_target(y) == SEVERAL)

    def predict(self, X: Any) -> Array:
        """Return the most likely label of each row; of several at once, 0 or 1 for each.

        X (n, features) -> (n,), or (n, labels)
        """
        p, task = self._read(X), self._task
        if task.several:
            return (p > 0.5).astype(int)
        found = (p[:, 0] > 0.5).astype(int) if p.shape[1] == 1 else p.argmax(axis=1)
        labels: Array = self.classes_[found]
        return labels

    def predict_proba(self, X: Any) -> Array:
        """Return the probability of each class, in the order of `classes_`.

        X (n, features) -> (n, classes); of several labels at once, that of each label
        """
        p = self._read(X)
        return p if self._task.several or p.shape[1] > 1 else np.hstack([1 - p, p])

    def decision_function(self, X: Any) -> Array:
        """Return the score of each class, before softmax or sigmoid.

        X (n, features) -> (n, classes); two classes: (n,), above 0 for the second
        """
        scores = self._read(X, raw=True)
        one = scores.shape[1] == 1 and not self._task.several
        return scores[:, 0] if one else scores

    # -- what comes in ---------------------------------------------------------------------------

    def _valid(self, X: Any, y: Any, reset: bool) -> tuple[Array, Array]:
        X, y = parts.validate_data(self, X, y, reset=reset, multi_output=True, dtype=PRECISIONS)
        parts.check_classification_targets(y)
        return X, parts.column_or_1d(y, warn=True) if y.ndim == 2 and y.shape[1] == 1 else y

    def _targets(self, y: Array, task: Classes | None) -> tuple[Array, Classes]:
        known = task or Classes.of(y)
        return known.numbers(y), known

    def _output(self, task: Classes) -> tuple[int, str]:
        count = len(task.labels)
        if task.several:
            return count, "bce_logits"
        return (1, "bce_logits") if count == 2 else (count, "cce_logits")

    def _learned(self, task: Classes) -> None:
        self.classes_ = task.labels

    def _factors(self, samples: Samples, task: Classes) -> Array | None:
        """Return the weight of each row's class."""
        if self.class_weight is None:
            return None
        if task.several:
            what = "class_weight has no meaning for several labels at once"
            raise ArgumentError(what, "use sample_weight")
        return self._of_classes(samples, task)[samples.y]

    def _of_classes(self, samples: Samples, task: Classes) -> Array:
        """Return the weight of each class: from the dict, or all in all alike."""
        labels, given = task.labels, self.class_weight
        if isinstance(given, Mapping):
            _check_weights(given, labels.tolist())
            return np.array([float(given.get(label, 1.0)) for label in labels.tolist()])
        if given != "balanced":
            what = f"class_weight is {given!r}"
            raise ArgumentError(what, 'give "balanced" or a dict {label: weight}')
        sums = np.bincount(samples.y, samples.weights, len(labels))
        each: Array = np.divide(
            sums.sum(), sums * len(labels), out=np.ones(len(labels)), where=sums > 0
        )
        return each


def _check_weights(given: Mapping[Any, Any], labels: list[Any]) -> None:
    """Refuse weights of labels that are not there, and what is no weight."""
    for label, weight in given.items():
        if label not in labels:
            what = f"class_weight names the class {label!r}"
            raise ArgumentError(what, f"the classes are {', '.join(map(repr, labels))}")
        if not isinstance(weight, Real) or not 0 <= float(weight) < np.inf:
            what = f"class_weight[{label!r}] is {weight!r}"
            raise ArgumentError(what, "a weight is a number of at least 0")
