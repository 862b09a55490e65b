"""Fitted estimators of all kinds, small, for the tests of files and exports."""

import warnings
from functools import cache

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from tabular.problems import make_estimator, make_table

import skmlp
from skmlp import MLPClassifier, MLPRegressor
from skmlp.augmentation import Compose, GaussianNoise, Mixup
from skmlp.schedules import Cosine, Warmup

N_FEATURES = 5


def make_rows(n_rows=80, seed=0):
    """Rows of numbers, about standardized."""
    return np.random.default_rng(seed).normal(size=(n_rows, N_FEATURES))


def make_targets(X, kind):
    """Targets that depend on rows."""
    signal = np.column_stack([X[:, 0] + X[:, 1], X[:, 2] * X[:, 3], X[:, 4] - X[:, 0]])
    return {
        "binary": lambda: np.where(signal[:, 0] > 0, "yes", "no"),
        "multiclass": lambda: signal.argmax(axis=1) * 2 + 1,
        "multilabel": lambda: (signal > 0).astype(int),
        "regression": lambda: signal[:, 0],
        "multi-output": lambda: signal,
        "counts": lambda: np.floor(np.exp(signal[:, 0] / 2)),
    }[kind]()


# (class, kind of targets, parameters)
PLAIN = {
    "binary": (MLPClassifier, "binary", {}),
    "multiclass": (MLPClassifier, "multiclass", {"activation": "tanh"}),
    "multilabel": (MLPClassifier, "multilabel", {"activation": "logistic"}),
    "no hidden layer": (MLPClassifier, "multiclass", {"hidden_layer_sizes": ()}),
    "normalized": (
        MLPClassifier,
        "multiclass",
        {
            "hidden_layer_sizes": (9, 7),
            "normalization": ["batch", "layer"],
            "dropout": 0.1,
            "activation": ["mish", "selu"],
        },
    ),
    "gated": (
        MLPClassifier,
        "binary",
        {
            "hidden_layer_sizes": (9, 7),
            "activation": ["swiglu", "geglu"],
            "normalization": ["layer", "batch"],
        },
    ),
    "parametric": (
        MLPRegressor,
        "multi-output",
        {
            "hidden_layer_sizes": (9, 7),
            "activation": ["gelu", "silu"],
            "parametric_activation": True,
            "scale_input": True,
            "normalization": "batch",
        },
    ),
    "float32": (MLPRegressor, "regression", {"dtype": "float32"}),
    "lbfgs": (MLPRegressor, "regression", {"solver": "lbfgs"}),
    "early stopping": (
        MLPClassifier,
        "multiclass",
        {
            "early_stopping": True,
            "learning_rate": Warmup(Cosine(), 0.2),
            "augmentation": Compose(GaussianNoise(0.1), Mixup(0.2)),
            "ema_decay": 0.9,
        },
    ),
    "schedule free": (MLPRegressor, "regression", {"solver": "schedule_free"}),
    "nadam": (MLPRegressor, "multi-output", {"solver": "nadam", "shuffle": False}),
    "amsgrad": (
        MLPClassifier,
        "binary",
        {"solver": "amsgrad", "learning_rate": "plateau", "class_weight": {"no": 2}},
    ),
    "sgd": (MLPRegressor, "regression", {"solver": "sgd", "learning_rate": "adaptive"}),
    "poisson": (MLPRegressor, "counts", {"loss": "poisson"}),
    "quantiles": (
        MLPRegressor,
        "regression",
        {"loss": "quantile", "quantile": [0.1, 0.5, 0.9]},
    ),
    "gaussian": (MLPRegressor, "multi-output", {"loss": "gaussian_nll"}),
}
TABLES = {
    "table binary": ("binary", {}),
    "table multiclass": ("multiclass", {"number_encoding": "pieces"}),
    "table multilabel": ("multilabel", {"number_encoding": "waves"}),
    "table regression": ("regression", {"number_encoding": "pieces"}),
    "table multi-output": ("multi-output", {}),
    "table gaussian": ("regression", {"loss": "gaussian_nll"}),
    "table quantiles": ("regression", {"loss": "quantile", "quantile": [0.1, 0.9]}),
    "table gated": ("binary", {"activation": "swiglu"}),
    "table numbers": ("binary", {}),
}
NAMES = *PLAIN, *TABLES


def make(name, **others):
    """(a new estimator, X, y)."""
    if name in TABLES:
        task, params = TABLES[name]
        X, y = make_table(task)
        if name == "table numbers":
            X = X[["age", "income"]].fillna(1.0).to_numpy()
        return make_estimator(task, **(params | others)), X, y
    cls, kind, params = PLAIN[name]
    X = make_rows()
    usual = {"hidden_layer_sizes": (9,), "max_iter": 8, "random_state": 0}
    return cls(**(usual | params | others)), X, make_targets(X, kind)


def fit(model, X, y):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(X, y)


@cache
def fitted(name):
    """(fitted estimator, rows to predict); nobody may change them."""
    model, X, y = make(name)
    return fit(model, X, y), X


def outputs(model, X):
    """All that it predicts for rows, by name of the method."""
    out = {"predict": model.predict(X)}
    if hasattr(model, "predict_proba"):
        out["predict_proba"] = model.predict_proba(X)
    if getattr(model, "loss", None) == "gaussian_nll":
        out["std"] = model.predict(X, return_std=True)[1]
    if isinstance(model, skmlp.TabularMLPRegressor):
        out["interval"] = np.array(model.predict(X, interval=0.8)[1:])
    return out


def assert_same_outputs(one, other, X):
    """Bit for bit."""
    expected, got = outputs(one, X), outputs(other, X)
    assert expected.keys() == got.keys()
    for name, value in expected.items():
        assert value.dtype == got[name].dtype
        np.testing.assert_array_equal(got[name], value)
