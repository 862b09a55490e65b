"""Real data sets: those of a folder, or those that scikit-learn brings along."""

import runpy
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn import datasets
from sklearn.compose import make_column_transformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

FOLDER = {  # name of the file -> what it is
    "adult": "classification imbalanced",
    "electricity": "classification",
    "higgs_small": "classification",
    "mammography": "classification imbalanced",
    "telco_churn": "classification imbalanced",
    "ag_news": "classification words",
    "covtype15k": "classification",
    "fars": "classification imbalanced",
    "letter": "classification",
    "mnist10k": "classification pixels",
    "california_housing": "regression",
    "concrete": "regression",
    "diamonds": "regression",
    "kin8nm": "regression",
}
BUNDLED = {
    "digits": "classification pixels",
    "breast_cancer": "classification imbalanced",
    "wine": "classification",
    "diabetes": "regression",
}
KINDS = {name: frozenset(kinds.split()) for name, kinds in (FOLDER | BUNDLED).items()}

N_WORDS = 500
LEAKS = ("date",)  # neighbours in time are in the training rows


class Split(NamedTuple):
    """Rows to train on and to judge by."""

    X: np.ndarray
    X_test: np.ndarray
    y: np.ndarray
    y_test: np.ndarray


def make_split(name, folder, seed, max_rows):
    """At most ``max_rows`` rows of a set for training, and twice as many to test."""
    X, categories, y = _read_bundled(name) if name in BUNDLED else _read(name, folder)
    if "pixels" in KINDS[name]:
        X = X / X.max()
    n_train = min(max_rows, len(y) * 3 // 4)
    table, table_test, y, y_test = train_test_split(
        np.hstack([X, categories]),
        y,
        train_size=n_train,
        test_size=min(2 * max_rows, len(y) - n_train),
        stratify=None if "regression" in KINDS[name] else y,
        random_state=seed,
    )
    scaler = _make_scaler(name, X.shape[1], table.shape[1])
    X, X_test = scaler.fit_transform(table), scaler.transform(table_test)
    return Split(X.astype(np.float32), X_test.astype(np.float32), y, y_test)


def _read(name, folder):
    """Numbers, codes of categories and targets; missing ones are NaN and -1."""
    load = runpy.run_path(str(Path(folder) / "load_data.py"))["load"]
    data = load(str(Path(folder) / f"{name}.npz"))
    X = data["X"]
    if "words" in KINDS[name]:
        commonest = np.argsort(-np.asarray(X.sum(axis=0)).ravel())[:N_WORDS]
        X = np.log1p(X[:, np.sort(commonest)].toarray())
    else:
        X = X[:, ~np.isin(data["feature_names"], LEAKS)]
    return X, data["X_cat"], data["y"]


def read_table(name, folder):
    """(data frame, targets, whether these are classes), as they come."""
    module = runpy.run_path(str(Path(folder) / "load_data.py"))
    data = module["load"](str(Path(folder) / f"{name}.npz"))
    return module["to_frame"](data), data["y"], "regression" not in KINDS[name]


def _read_bundled(name):
    X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    return X, np.empty((len(y), 0)), y


def _cut_off(X):
    """Without outliers, to which all would extrapolate at random."""
    return np.clip(X, -5, 5)


def _make_scaler(name, n_numbers, n_columns):
    """What becomes of the columns: ``n_numbers`` of numbers, then categories."""
    standardized = make_pipeline(
        SimpleImputer(strategy="median"),
        StandardScaler(),
        FunctionTransformer(_cut_off),
    )
    as_they_are = KINDS[name] & {"pixels", "words"}
    one_hot = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    return make_column_transformer(
        ("passthrough" if as_they_are else standardized, np.arange(n_numbers)),
        (one_hot, np.arange(n_numbers, n_columns)),
    )
