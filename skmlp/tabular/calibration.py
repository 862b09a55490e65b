"""What validation rows say of probabilities and of intervals."""

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_softmax, logit, softmax

_SHARPEST = np.log(20)  # bounds of the logarithm of the inverse temperature


def fit_temperature(Y, y_prob, weight, *, exclusive):
    """The inverse temperature with the least log-loss (Guo et al., 2017).

    Parameters
    ----------
    Y : ndarray of shape (n_rows, n_outputs)
        Classes one-hot; one column for two of them; or several independent labels.
    y_prob : ndarray of shape (n_rows, n_outputs)
        Probabilities of these.
    weight : ndarray of shape (n_rows,) or None
    exclusive : bool
        Whether the columns are classes, of which each row has one.

    Returns
    -------
    float
    """
    z = logits(y_prob, exclusive)

    def loss(log_factor):
        scaled = np.exp(log_factor) * z
        if exclusive:
            losses = -(Y * log_softmax(scaled, axis=1)).sum(axis=1)
        else:
            losses = np.logaddexp(0, np.where(Y > 0.5, -scaled, scaled)).sum(axis=1)
        return np.average(losses, weights=weight)

    bounds = -_SHARPEST, _SHARPEST
    return float(np.exp(minimize_scalar(loss, bounds=bounds, method="bounded").x))


def logits(y_prob, exclusive):
    """Numbers of which probabilities are the softmax or the logistic function."""
    smallest = np.finfo(y_prob.dtype).eps
    p = np.clip(y_prob, smallest, 1 - smallest).astype(np.float64)
    return np.log(p) if exclusive else logit(p)


def sharpen(y_prob, factor, n_rows, *, exclusive):
    """Probabilities at an inverse temperature, mixed with equal ones.

    Equal ones get the share 1 / (n_rows + 1): so many validation rows cannot tell that
    a class is impossible (Berta et al., 2025).
    """
    scaled = factor * logits(y_prob, exclusive)
    p, n_classes = (
        (softmax(scaled, axis=1), scaled.shape[1]) if exclusive else (expit(scaled), 2)
    )
    share = 1 / (n_rows + 1)
    return (1 - share) * p + share / n_classes


def conformal_radius(scores, weight, level):
    """The smallest radius that covers a share of ``level`` of new rows.

    The quantile ``level`` of the validation rows' scores and of one more that is
    infinite (split conformal prediction: Lei, G'Sell, Rinaldo, Tibshirani and
    Wasserman, 2018).

    Parameters
    ----------
    scores : ndarray of shape (n_rows,)
    weight : ndarray of shape (n_rows,) or None
    level : float

    Returns
    -------
    float
        Infinite if there are too few rows.
    """
    order = np.argsort(scores)
    weight = np.ones(len(scores)) if weight is None else weight
    shares = np.cumsum(weight[order]) / (weight.sum() + weight.mean())
    at = np.searchsorted(shares, level - 1e-12)
    return float(scores[order[at]]) if at < len(scores) else np.inf
