"""Small data sets for the tests, one per kind of target."""

import numpy as np
from scipy import sparse

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
