"""Raw tables for the tests, with gaps and categories, one per kind of target."""

import numpy as np
import pandas as pd

import skmlp

TASKS = "binary", "multiclass", "multilabel", "regression", "multi-output"


def make_table(task="binary", n_rows=120, seed=0):
    """A data frame, and y that depends on it."""
    rng = np.random.default_rng(seed)
    X = pd.DataFrame(
        {
            "age": rng.integers(18, 90, n_rows).astype(float),
            "income": np.exp(rng.normal(size=n_rows)),
            "color": rng.choice(["red", "green", "blue"], n_rows),
            "member": rng.random(n_rows) < 0.5,
            "city": pd.Categorical(rng.choice(list("abcdefghijkl"), n_rows)),
        }
    )
    signal = X["age"] / 40 + (X["color"] == "red") - X["income"] / 2
    Z = np.column_stack([signal - signal.mean(), X["member"] - 0.5])
    X = X.mask(rng.random(X.shape) < 0.05)
    y = {
        "binary": lambda: np.where(Z[:, 0] > 0, "yes", "no"),
        "multiclass": lambda: np.digitize(Z[:, 0], [-0.5, 0.5]) * 2 + 1,
        "multilabel": lambda: (Z > 0).astype(int),
        "regression": lambda: 100 + 10 * Z[:, 0] + rng.normal(size=n_rows),
        "multi-output": lambda: Z + 0.1 * rng.normal(size=Z.shape),
    }[task]()
    return X, y


def make_estimator(task="binary", **params):
    """The estimator for a task, small and quick."""
    small = {"hidden_layer_sizes": (16, 8), "n_steps": 60, "n_members": 2}
    params = {"random_state": 3, **small, **params}
    if task in ("binary", "multiclass", "multilabel"):
        return skmlp.TabularMLPClassifier(**params)
    return skmlp.TabularMLPRegressor(**params)


def predictions(model, X):
    """Probabilities, or predicted numbers."""
    return getattr(model, "predict_proba", model.predict)(X)
