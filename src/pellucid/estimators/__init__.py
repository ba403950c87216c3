"""Networks as scikit-learn's estimators: for its pipelines, searches and scores."""

from pellucid.estimators.classifier import PellucidClassifier as PellucidClassifier
from pellucid.estimators.regressor import PellucidRegressor as PellucidRegressor
