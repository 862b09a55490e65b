"""Multi-layer perceptrons for scikit-learn users, fast on a CPU."""

from skmlp.estimators.classifier import MLPClassifier
from skmlp.estimators.regressor import MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor", "__version__"]
__version__ = "0.1.0"
