"""Rows to train on, and the part set aside for early stopping."""

from math import ceil
from typing import Any, NamedTuple

import numpy as np
from sklearn.model_selection import train_test_split

from skmlp.estimators.targets import Targets
from skmlp.estimators.validation import make_validation
from skmlp.training.rows import TrainingRows, make_data, relative_weights


def counting_rows(n_rows, weight):
    """Rows whose weight is not zero. The others stay where they are, unused: to leave
    them out of the arrays would copy these."""
    return np.arange(n_rows) if weight is None else np.flatnonzero(weight)


class Rows(NamedTuple):
    """Rows that have passed the gate.

    Attributes
    ----------
    X : ndarray or sparse matrix of shape (n_rows, n_features)
    Y : ndarray of shape (n_rows, n_columns)
        The targets, encoded.
    weight : ndarray of shape (n_rows,) or None
    targets : Targets
        What they are.
    """

    X: Any
    Y: np.ndarray
    weight: np.ndarray | None
    targets: Targets


def whole_set(given, dtype):
    """Train on all rows that count."""
    X, Y, weight, _ = given
    rows = counting_rows(X.shape[0], weight)
    weight, mean_weight = weights_relative_to(weight, rows)
    return TrainingRows(make_data(X, dtype, Y, weight), rows, mean_weight)


def split_set(given, dtype, fraction, random_state):
    """Set a fraction of the rows aside, as `train_test_split` draws them."""
    X, Y, weight, targets = given
    counting, stratify = counting_rows(X.shape[0], weight), targets.strata(Y)
    size = validation_size(counting.size, fraction, targets.n_classes)
    rows, held_out = train_test_split(
        counting,
        test_size=size,
        random_state=random_state,
        stratify=None if stratify is None else stratify[counting],
    )
    weight_out = None if weight is None else weight[held_out]
    validation = make_validation(X[held_out], Y[held_out], weight_out, dtype, targets)
    weight, mean_weight = weights_relative_to(weight, rows)
    rows = TrainingRows(make_data(X, dtype, Y, weight), rows, mean_weight)
    return rows, validation


def weights_relative_to(weight, rows):
    """(weights in units of their mean over the rows, zero elsewhere; that mean)."""
    if weight is None or rows.size == weight.size:
        return relative_weights(weight)
    own, mean_weight = relative_weights(weight[rows])
    weight = np.zeros_like(weight)
    weight[rows] = own
    return weight, mean_weight


def validation_size(n_rows, fraction, n_classes):
    """Rows to set aside: the fraction, but two at least and one per class.

    Raises
    ------
    ValueError
        If that would leave nothing to train on.
    """
    if fraction == 0:
        raise ValueError(
            "early_stopping=True needs a validation set: set validation_fraction > 0."
        )
    size = max(ceil(fraction * n_rows), 2)
    if size >= n_rows:
        raise ValueError(
            "The validation set is too small. Increase 'validation_fraction' or the"
            f" size of your dataset: n_samples = {n_rows}."
        )
    return max(size, n_classes) if n_rows >= 2 * n_classes else size
