"""What is scikit-learn's: the one place that imports it, or says how to install it."""

from __future__ import annotations

from typing import Any

from pellucid.errors import ArgumentError

try:
    from sklearn.base import BaseEstimator as BaseEstimator
    from sklearn.base import ClassifierMixin as ClassifierMixin
    from sklearn.base import RegressorMixin as RegressorMixin
    from sklearn.utils import check_random_state as check_random_state
    from sklearn.utils import column_or_1d as column_or_1d
    from sklearn.utils.multiclass import (
        check_classification_targets as check_classification_targets,
    )
    from sklearn.utils.multiclass import type_of_target as type_of_target
    from sklearn.utils.validation import check_is_fitted as check_is_fitted
    from sklearn.utils.validation import validate_data as validate_data
except ImportError as error:  # there is none, or one older than 1.6
    reason = str(error)

    def _refused(cls: type, *args: Any, **settings: Any) -> Any:
        what = f"{cls.__name__} needs scikit-learn 1.6 or newer, which cannot be imported: {reason}"
        raise ArgumentError(what, 'pip install "pellucid[sklearn]"')

    BaseEstimator = type("BaseEstimator", (), {"__new__": _refused})
    ClassifierMixin = RegressorMixin = type("Mixin", (), {})
