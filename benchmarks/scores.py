"""How a fitted model is judged on rows that it has not seen."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from sklearn import metrics


def accuracy(model, X, y):
    """In points."""
    return 100 * model.score(X, y)


def balanced_accuracy(model, X, y):
    """In points."""
    return 100 * metrics.balanced_accuracy_score(y, model.predict(X))


def average_precision(model, X, y):
    """In points, averaged over more than two classes."""
    shares = model.predict_proba(X)
    if len(model.classes_) == 2:
        shares = shares[:, 1]
    return 100 * metrics.average_precision_score(y, shares)


def log_loss(model, X, y):
    """In float32 for all, by whose precision scikit-learn bounds the loss of a row."""
    shares = model.predict_proba(X).astype(np.float32)
    return metrics.log_loss(y, shares, labels=model.classes_)


def root_mean_squared_error(model, X, y):
    return metrics.root_mean_squared_error(y, model.predict(X))


def mean_absolute_error(model, X, y):
    return metrics.mean_absolute_error(y, model.predict(X))


def likelihood(model, X, y):
    """Mean log of a normal density.

    A model without standard deviations has the constant that fits the test rows best:
    it gets with hindsight what the other one has to predict.
    """
    if model.loss == "gaussian_nll":
        mean, std = model.predict(X, return_std=True)
    else:
        mean = model.predict(X)
        std = metrics.root_mean_squared_error(y, mean)
    return -np.mean(0.5 * ((y - mean) / std) ** 2 + np.log(std * np.sqrt(2 * np.pi)))


def pinball(quantiles):
    """Mean loss of quantiles; a model of the mean has the best constants added."""

    def loss(model, X, y):
        predicted = model.predict(X).reshape(len(y), -1)
        if model.loss != "quantile":
            predicted = predicted + np.quantile(y - predicted[:, 0], quantiles)
        losses = [
            metrics.mean_pinball_loss(y, column, alpha=quantile)
            for column, quantile in zip(predicted.T, quantiles)
        ]
        return np.mean(losses)

    return loss


class Score(NamedTuple):
    """A function of model, rows and targets; the sign of what is better; decimals."""

    function: Callable
    sign: int
    digits: int


SCORES = {
    "accuracy": Score(accuracy, 1, 1),
    "log loss": Score(log_loss, -1, 3),
    "RMSE": Score(root_mean_squared_error, -1, 3),
    "MAE": Score(mean_absolute_error, -1, 3),
    "balanced accuracy": Score(balanced_accuracy, 1, 1),
    "average precision": Score(average_precision, 1, 1),
    "likelihood": Score(likelihood, 1, 3),
    "pinball 0.9": Score(pinball([0.9]), -1, 3),
    "pinball 0.1, 0.5, 0.9": Score(pinball([0.1, 0.5, 0.9]), -1, 3),
}
USUAL = {"classification": ("accuracy", "log loss"), "regression": ("RMSE", "MAE")}
