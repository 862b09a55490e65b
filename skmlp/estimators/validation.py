"""Validation rows, the user's own or set aside, and what is found on them."""

from contextlib import contextmanager
from math import isfinite, isnan
from typing import Any, NamedTuple

import numpy as np
from sklearn.base import is_regressor
from sklearn.metrics import check_scoring
from sklearn.metrics._scorer import _BaseScorer

from skmlp.core.inputs import Data
from skmlp.estimators.gate import check_range, check_sample_weight
from skmlp.machine.warning import shown
from skmlp.training.inference import apply_link, mean_loss
from skmlp.training.rows import make_data


class Validation(NamedTuple):
    """Rows that only score.

    Attributes
    ----------
    X : ndarray or sparse matrix of shape (n_rows, n_features)
        What a scorer is given, and ``data`` hold.
    data : Data
        Targets included, not smoothed.
    sample_weight : ndarray of shape (n_rows,) or None
    targets : Targets
        What the targets are.
    """

    X: Any
    data: Data
    sample_weight: np.ndarray | None
    targets: Any


def make_validation(X, Y, sample_weight, dtype, targets):
    """Pack validated rows."""
    return Validation(X, make_data(X, dtype, Y), sample_weight, targets)


def encoded(targets, X, y, sample_weight):
    """(encoded targets, weights or None), checked, for validated rows."""
    weight = check_sample_weight(sample_weight, X)
    Y = targets.encode(y, X.dtype)
    check_range(Y, X.dtype)
    return Y, targets.weigh(Y, weight)


def check_given(X_val, y_val, sample_weight_val):
    """Whether users bring validation rows of their own.

    Raises
    ------
    ValueError
        If a part of them is missing.
    """
    given = {"X_val": X_val, "y_val": y_val}
    if all(part is None for part in given.values()) and sample_weight_val is not None:
        raise ValueError(
            "sample_weight_val is provided, but X_val and y_val were not provided."
        )
    for name, other in ("X_val", "y_val"), ("y_val", "X_val"):
        if given[name] is not None and given[other] is None:
            raise ValueError(f"{name} is provided, but {other} was not provided.")
    return X_val is not None


def own_validation(estimator, given, training, dtype):
    """Users' validation rows, checked like those for training."""
    with errors_that_name("X_val and y_val"):
        X_val, y_val, sample_weight_val = given
        X, y = estimator._validate_rows(X_val, y_val, resume=True)
        Y, weight = encoded(training.targets, X, y, sample_weight_val)
    check_same_targets(Y, training.Y)
    if X.shape[0] < 2 and is_regressor(estimator) and estimator.scoring is None:
        raise ValueError(
            "R2 is not defined for a single validation row: pass two rows or more,"
            " or choose scoring='loss'."
        )
    return make_validation(X, Y, weight, dtype, training.targets)


def check_same_targets(Y_val, Y):
    """Refuse encoded targets of another number than those of training."""
    if Y_val.shape[1] != Y.shape[1]:
        raise ValueError(
            f"y_val has {Y_val.shape[1]} targets, but y has {Y.shape[1]}: pass the same"
            " targets for the rows of X_val."
        )


class Judge:
    """Judges weights by rows that the network is not trained on.

    Parameters
    ----------
    estimator : estimator
        In training; user's scorers see it with the weights to judge.
    validation : Validation
    """

    def __init__(self, estimator, validation):
        self._estimator, self._validation = estimator, validation
        self._network, self._scoring = estimator._network, estimator.scoring

    def __call__(self, params):
        """(mean loss, score), NaN after divergence."""
        _, data, weight, targets = self._validation
        network = self._network._replace(params=params)
        y_pred = network.predict(data, "identity")
        loss, hyper = targets.objective
        loss = mean_loss(y_pred, data.Y, weight, loss=loss, hyper=hyper)
        apply_link(y_pred, network.link)
        if not np.isfinite(y_pred).all():
            return loss, float("nan")
        if self._scoring == "loss":
            return loss, -loss
        if self._scoring is None:
            return loss, float(targets.score(data.Y, y_pred, weight))
        return loss, self._score(params)

    def _score(self, params):
        """Score by the user's scorer of an estimator with these weights."""
        judged = self._estimator._twin()
        judged._set_parameters(params.astype(self._network.params.dtype))
        vars(judged).pop("feature_names_in_", None)  # validated rows have no names
        X, data, weight, targets = self._validation
        weight = {} if weight is None else {"sample_weight": weight}
        scorer = check_scoring(judged, self._scoring)
        score = scorer(judged, X, targets.decode(data.Y), **weight)
        try:
            number = float(score) if np.ndim(score) == 0 else None
        except (TypeError, ValueError, OverflowError):
            number = None
        if number is None:
            raise ValueError(
                f"scoring={shown(self._scoring)} must give a number that a float can"
                f" hold, got {shown(score)}."
            )
        if not isfinite(number):
            name = "NaN" if isnan(number) else "infinite"
            raise ValueError(
                f"scoring={shown(self._scoring)} is {name} on the validation rows,"
                " though the predictions are finite: choose another score, such as"
                " scoring='loss', or other rows."
            )
        return number

    def try_scorer(self):
        """Refuse one of scikit-learn's scorers before training, where it does not fit.

        Functions of users may count their calls: they are left in peace.
        """
        own = callable(self._scoring) and not isinstance(self._scoring, _BaseScorer)
        if own or self._scoring in (None, "loss"):
            return
        try:
            self._score(self._network.params)
        except (ValueError, TypeError, AttributeError) as error:
            raise ValueError(
                f"scoring={shown(self._scoring)} does not fit"
                f" {type(self._estimator).__name__} and these validation rows: {error}"
            ) from error


@contextmanager
def errors_that_name(what):
    """Let messages begin with what they are about."""
    try:
        yield
    except (ValueError, TypeError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"In {what}: {error}") from error
