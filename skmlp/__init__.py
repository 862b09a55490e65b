"""Multi-layer perceptrons for scikit-learn users, fast on a CPU."""

from skmlp.estimators.classifier import MLPClassifier
from skmlp.estimators.regressor import MLPRegressor
from skmlp.export.saving import load, save
from skmlp.export.trusted import SKOPS_TRUSTED_TYPES
from skmlp.machine.version import __version__
from skmlp.tabular.classifier import TabularMLPClassifier
from skmlp.tabular.regressor import TabularMLPRegressor

__all__ = [
    "SKOPS_TRUSTED_TYPES",
    "MLPClassifier",
    "MLPRegressor",
    "TabularMLPClassifier",
    "TabularMLPRegressor",
    "__version__",
    "load",
    "save",
]
