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


def log_deviation_of_squares(error):
    return np.log(error) / 2


def log_deviation_of_likelihood(error):
    return error


SQUARED = squared, log_deviation_of_squares
PINBALL = pinball, np.log
GAUSSIAN = gaussian, log_deviation_of_likelihood

# Of rows; how the logarithm of typical deviations follows from the mean.
ERRORS = {
    "binary_log_loss": SQUARED,
    "log_loss": SQUARED,
    "squared_error": SQUARED,
    "quantile": PINBALL,
    "quantiles": PINBALL,
    "gaussian_nll": GAUSSIAN,
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
    of_rows, _ = ERRORS[objective.loss]
    errors = of_rows(Y, predicted, objective.hyper)
    return float(np.average(errors, weights=weight))


def log_deviation(objective, error):
    """Logarithm, up to a constant, of the deviations that belong to a mean error."""
    _, of_mean = ERRORS[objective.loss]
    with np.errstate(divide="ignore"):
        return of_mean(error)
