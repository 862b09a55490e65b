"""Small data sets for the tests, one per kind of target."""

import numpy as np
from scipy import sparse
from sklearn.base import clone
from sklearn.datasets import make_classification

import skmlp

TASKS = "binary", "multiclass", "multilabel", "regression", "multi-output", "poisson"


def make_problem(task, n_rows=60, n_features=5, dtype=np.float64, csr=False, seed=0):
    """X with one third zeros, dense or CSR, and y that depends on X."""
    rng = np.random.RandomState(seed)
    X = rng.normal(size=(n_rows, n_features)) * (rng.uniform(size=n_features) + 0.5)
    X[rng.uniform(size=X.shape) < 0.33] = 0
    Z = np.tanh(X @ rng.normal(size=(n_features, 3)))
    y = {
        "binary": lambda: np.where(Z[:, 0] > 0, "yes", "no"),
        "multiclass": lambda: Z.argmax(axis=1) * 2 + 1,
        "multilabel": lambda: (Z > 0).astype(int),
        "regression": lambda: Z[:, 0] + 0.1 * rng.normal(size=n_rows),
        "multi-output": lambda: Z[:, :2] + 0.1 * rng.normal(size=(n_rows, 2)),
        "poisson": lambda: rng.poisson(np.exp(Z[:, 0])).astype(float),
    }[task]()
    X = X.astype(dtype)
    return sparse.csr_matrix(X) if csr else X, y


def is_classification(task):
    return task in ("binary", "multiclass", "multilabel")


def make_estimator(task, module=skmlp, **params):
    """The estimator of ``module`` for a task, small and quick."""
    params = {"hidden_layer_sizes": (7,), "max_iter": 5, "random_state": 3, **params}
    if is_classification(task):
        return module.MLPClassifier(**params)
    if task == "poisson":
        params["loss"] = "poisson"
    return module.MLPRegressor(**params)


def classes(n_rows=90):
    """X and y of three classes."""
    return make_classification(n_rows, 6, n_informative=4, n_classes=3, random_state=0)


def classifier(**options):
    """A classifier of two hidden layers, small and quick."""
    settings = {"hidden_layer_sizes": (12, 8), "max_iter": 5, "random_state": 0}
    return skmlp.MLPClassifier(**settings | options)


def fitted_in_parts(options, X, y, n_parts=3):
    """(fit for some epochs, as many calls of partial_fit), of the same settings."""
    whole = classifier(max_iter=n_parts, batch_size=20, **options).fit(X, y)
    parts = clone(whole)
    for _ in range(n_parts):
        parts.partial_fit(X, y, classes=[0, 1, 2])
    return whole, parts
