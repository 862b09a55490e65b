"""What a prediction is judged by on validation rows, for each link of a network."""

import numpy as np


def squared(Y, predicted, hyper):
    """For probabilities, the Brier score."""
    return ((predicted - Y) ** 2).sum(axis=1)


def pinball(Y, predicted, hyper):
    """Koenker and Bassett (1978)."""
    quantiles, difference = np.asarray(hyper["quantile"]), Y - predicted
    return np.maximum(quantiles * difference, (quantiles - 1) * difference).sum(axis=1)


def gaussian(Y, predicted, hyper):
    """Negative logarithm of the normal density."""
    mean, std = np.hsplit(predicted, 2)
    return (np.log(std) + ((Y - mean) / std) ** 2 / 2).sum(axis=1)


ERRORS = {
    "binary_log_loss": squared,
    "log_loss": squared,
    "squared_error": squared,
    "quantile": pinball,
    "quantiles": pinball,
    "gaussian_nll": gaussian,
}


def mean_error(objective, Y, predicted, weight):
    """Weighted mean over the rows of the error that belongs to a loss.

    Parameters
    ----------
    objective : Objective
    Y : ndarray of shape (n_rows, n_targets)
    predicted : ndarray of shape (n_rows, n_outputs)
        After the link.
    weight : ndarray of shape (n_rows,) or None
    """
    errors = ERRORS[objective.loss](Y, predicted, objective.hyper)
    return float(np.average(errors, weights=weight))
