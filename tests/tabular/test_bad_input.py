"""Every wrong input has an error that names the remedy, and changes nothing."""

import datetime

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from tabular.problems import make_estimator, make_table

BAD_PARAMETERS = {
    "quality": ["slow", None, 1],
    "categorical_features": ["all", 3, ["nowhere"], [77], [True], [1.5]],
    "number_encoding": ["splines", None, 3],
    "hidden_layer_sizes": [0, (10, -1), "10", (2.5,), 10**30],
    "activation": ["sigmoid", 1],
    "learning_rate_init": [0, -1, "fast", np.nan],
    "n_steps": [0, 1.5, "many"],
    "batch_size": [0, 2.5, "auto"],
    "dropout": [-0.1, 1.0, "no"],
    "weight_decay": [-1, "no"],
    "n_members": [0, 1.5],
    "validation_fraction": [0, 0.6, 1, "some"],
    "refit": ["no", 2],
    "max_time": [0, -1, "long"],
    "n_jobs": [1.5, "all", 0],
    "verbose": ["yes"],
    "random_state": ["seed", -1],
}
OF_CLASSIFIER = {
    "calibrate": ["no"],
    "class_weight": ["even", {"yes": -1}, {"maybe": 1}],
}
OF_REGRESSOR = {
    "loss": ["hinge", None],
    "quantile": [0, 1, 1.5, [0.9, 0.1], [], ["a"]],
}


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_parameters(task):
    X, y = make_table(task)
    own = OF_CLASSIFIER if task == "binary" else OF_REGRESSOR
    model = make_estimator(task)
    assert set(BAD_PARAMETERS | own) == set(model.get_params())
    for name, values in (BAD_PARAMETERS | own).items():
        for value in values:
            others = {"loss": "quantile"} if name == "quantile" else {}
            bad = make_estimator(task, **others, **{name: value})
            with pytest.raises((ValueError, TypeError), match=name):
                bad.fit(X, y)
            assert not [key for key in vars(bad) if key.endswith("_")], name


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda X, y: (X, np.full(120, np.nan)), ValueError, "y contains NaN"),
        (lambda X, y: (X, [None] * 120), ValueError, "y"),
        (lambda X, y: (X, np.zeros(120)), ValueError, "one class"),
        (lambda X, y: (X, y[:7]), ValueError, "inconsistent"),
        (lambda X, y: (X, None), ValueError, "y to be passed"),
        (lambda X, y: (X, np.linspace(0, 1, 120)), ValueError, "continuous"),
        (lambda X, y: (X.head(1), y[:1]), ValueError, "n_samples = 1|one class"),
        (lambda X, y: (X.head(0), y[:0]), ValueError, "0 sample"),
        (lambda X, y: (X[[]], y), ValueError, "0 feature"),
        (lambda X, y: (X.assign(income=np.inf), y), ValueError, "infinity"),
        (lambda X, y: (X.assign(t=datetime.date.today()), y), TypeError, "dates"),
        (
            lambda X, y: (X.assign(t=pd.Timestamp("2020-01-01")), y),
            TypeError,
            "dates",
        ),
        (lambda X, y: (X.assign(c=[[1]] * 120), y), TypeError, "objects of type list"),
        (lambda X, y: (np.zeros(120), y), ValueError, "2D array"),
        (lambda X, y: (np.zeros((2, 120, 2)), y), ValueError, "2D|dimension|dim"),
        (lambda X, y: (X, y, [-1] * 120), ValueError, "Negative"),
        (lambda X, y: (X, y, [0] * 120), ValueError, "non-zero"),
        (lambda X, y: (X, y, [1] * 119 + [np.nan]), ValueError, "NaN"),
        (lambda X, y: (X, y, [1] * 7), ValueError, "sample_weight.shape"),
        (lambda X, y: (X, y, [1] + [0] * 119), ValueError, "n_samples = 1"),
        (
            lambda X, y: (sparse.csr_array(np.full((120, 2), np.inf)), y),
            ValueError,
            "infinity",
        ),
    ],
)
def test_data(make, error, message):
    X, y = make_table()
    model = make_estimator()
    with pytest.raises(error, match=message):
        model.fit(*make(X, y))
    assert not [key for key in vars(model) if key.endswith("_")]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (lambda X, y: {"X_val": X}, "y_val was not provided"),
        (lambda X, y: {"y_val": y}, "X_val was not provided"),
        (lambda X, y: {"sample_weight_val": y}, "X_val and y_val"),
        (lambda X, y: {"X_val": X[["age", "city"]], "y_val": y}, "In X_val and y_val"),
        (lambda X, y: {"X_val": X, "y_val": ["maybe"] * 120}, "classes not in"),
        (lambda X, y: {"X_val": X, "y_val": y[:3]}, "In X_val and y_val"),
        (
            lambda X, y: {"X_val": X, "y_val": y, "sample_weight_val": [0] * 120},
            "In X_val and y_val",
        ),
        (lambda X, y: {"X_val": X.assign(income=np.inf), "y_val": y}, "infinity"),
    ],
)
def test_validation_rows(given, message):
    X, y = make_table()
    model = make_estimator()
    with pytest.raises(ValueError, match=message):
        model.fit(X, y, **given(X, y))
    assert not [key for key in vars(model) if key.endswith("_")]


def test_validation_targets_of_another_number():
    X, y = make_table("multi-output")
    with pytest.raises(ValueError, match="y_val has 1 targets"):
        make_estimator("multi-output").fit(X, y, X_val=X, y_val=y[:, 0])


def test_regression_targets():
    X, y = make_table("regression")
    with pytest.raises(ValueError, match="infinity"):
        make_estimator("regression").fit(X, np.where(y > 100, np.inf, y))
    with pytest.raises(ValueError, match=r"could not convert|string"):
        make_estimator("regression").fit(X, ["a"] * 120)
    with pytest.raises(ValueError, match="one quantile"):
        make_estimator("regression", loss="quantile", quantile=[0.1, 0.9]).fit(
            X, np.column_stack([y, y])
        )


def test_predictions_that_are_not_fitted():
    X, y = make_table("regression")
    reg = make_estimator("regression").fit(X, y)
    with pytest.raises(ValueError, match="gaussian_nll"):
        reg.predict(X, return_std=True)
    for level in (0, 1, -0.5, 90):
        with pytest.raises(ValueError, match="interval"):
            reg.predict(X, interval=level)
