"""skmlp beside scikit-learn's own MLP, in a Pipeline, in searches, in a regression."""

import time
import warnings
from functools import partial

from sklearn import neural_network
from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import (
    GridSearchCV,
    RandomizedSearchCV,
    train_test_split,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skmlp

COLUMNS = "{:<34} {:>8} {:>8} {:>9} {:>9} {:>6}"


def seconds(function):
    start = time.perf_counter()
    result = function()
    return time.perf_counter() - start, result


def classifier(module):
    return make_pipeline(
        StandardScaler(), module.MLPClassifier(max_iter=50, random_state=0)
    )


def grid_search(module):
    grid = {
        "mlpclassifier__hidden_layer_sizes": [(50,), (100, 50)],
        "mlpclassifier__alpha": [1e-4, 1e-1],
    }
    return GridSearchCV(classifier(module), grid, cv=3)


def randomized_search(module):
    distributions = {
        "mlpclassifier__learning_rate_init": [3e-4, 1e-3, 3e-3, 1e-2],
        "mlpclassifier__activation": ["relu", "tanh", "logistic"],
        "mlpclassifier__batch_size": [32, 64, 128],
    }
    return RandomizedSearchCV(
        classifier(module), distributions, n_iter=5, cv=3, random_state=0
    )


def regressor(module):
    model = module.MLPRegressor(
        hidden_layer_sizes=(100, 100),
        learning_rate_init=0.01,
        early_stopping=True,
        max_iter=500,
        random_state=0,
    )
    return make_pipeline(StandardScaler(), model)


def warm_up():
    """Small fits that compile, or load from the cache, what is timed below."""
    X, y = load_digits(return_X_y=True)
    for activation in ("relu", "tanh", "logistic"):
        skmlp.MLPClassifier(activation=activation, max_iter=1).fit(X[:100], y[:100])
    skmlp.MLPClassifier(max_iter=1).fit(X[:100], y[:100] > 4).predict(X[:10])
    skmlp.MLPRegressor(max_iter=1).fit(X[:100], y[:100]).predict(X[:10])


def compare(title, make, data):
    """Fit both, and print a row of scores on held-out rows, seconds and their ratio."""
    X, X_test, y, y_test = train_test_split(*data, random_state=0)
    scores, times = [], []
    for module in (skmlp, neural_network):
        model = make(module)
        elapsed, _ = seconds(partial(model.fit, X, y))
        times.append(elapsed)
        scores.append(model.score(X_test, y_test))
    cells = [f"{score:.4f}" for score in scores] + [f"{t:.3f} s" for t in times]
    print(COLUMNS.format(title, *cells, f"{times[1] / times[0]:.1f}x"), flush=True)


def main():
    warnings.simplefilter("ignore", ConvergenceWarning)
    elapsed, _ = seconds(warm_up)
    print(f"Compiling kernels, or loading them from the cache: {elapsed:.1f} s\n")
    header = ["score", "sklearn", "time", "sklearn", "ratio"]
    print(COLUMNS.format("", *header))
    digits = load_digits(return_X_y=True)
    cancer = load_breast_cancer(return_X_y=True)
    diabetes = load_diabetes(return_X_y=True)
    compare("digits, Pipeline", classifier, digits)
    compare("breast cancer, Pipeline", classifier, cancer)
    compare("breast cancer, GridSearchCV", grid_search, cancer)
    compare("digits, RandomizedSearchCV", randomized_search, digits)
    compare("diabetes, MLPRegressor", regressor, diabetes)


if __name__ == "__main__":
    main()
