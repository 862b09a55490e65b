"""Targets: from users' y to what a network is trained on, and back.

`ClassTargets` and `RealTargets` answer the same questions: which loss they have, how
they are encoded, weighed, smoothed, decoded and scored, and how rows are set aside.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.metrics import d2_pinball_score
from sklearn.preprocessing import LabelBinarizer
from sklearn.utils import check_array, check_consistent_length
from sklearn.utils.multiclass import type_of_target, unique_labels

from skmlp.core.inputs import read_only
from skmlp.core.losses import LOSSES
from skmlp.estimators.class_weight import weigh_classes, weigh_labels
from skmlp.estimators.gate import as_numbers, check_size_of_weights, native
from skmlp.machine.warning import shown
from skmlp.training.settings import Objective

_NEAR_POLE = 1e-8
_NOT_NEGATIVE = "poisson", "tweedie"


class Targets:
    """What both kinds of targets share."""

    n_classes = 0  # mutually exclusive ones
    multilabel = False

    @property
    def objective(self):
        """The loss to minimize, with its parameters."""
        name = self.core_loss
        return Objective(name, {h: getattr(self, h) for h in LOSSES[name].hyper})

    @property
    def link(self):
        """Name of the function from the raw prediction to what is predicted."""
        return LOSSES[self.core_loss].link

    def n_outputs(self, Y):
        """How many outputs a network has for encoded targets."""
        return Y.shape[1] * LOSSES[self.core_loss].per_target

    def weigh(self, Y, weight):
        """Weights of rows, with those of their classes."""
        return weight

    def for_training(self, training):
        """Training rows, whose targets are as the network is to learn them."""
        return training

    def strata(self, Y):
        """Labels of which equal shares are set aside, or None."""
        return None


@dataclass(frozen=True)
class ClassTargets(Targets):
    """Labels of classes, or indicators of several labels.

    Parameters
    ----------
    binarizer : LabelBinarizer
        Fitted.
    loss, focal_gamma, label_smoothing, class_weight
        The classifier's parameters.
    """

    binarizer: LabelBinarizer
    loss: str
    focal_gamma: float
    label_smoothing: float
    class_weight: Any

    @property
    def classes(self):
        return self.binarizer.classes_

    @property
    def y_type(self):
        return self.binarizer.y_type_

    @property
    def multilabel(self):
        return self.y_type.startswith("multilabel")

    @property
    def n_classes(self):
        return 0 if self.multilabel else len(self.classes)

    @property
    def core_loss(self):
        """Row of the core's table."""
        return self.loss if self.y_type == "multiclass" else f"binary_{self.loss}"

    def encode(self, y, dtype):
        """The label binarizer's encoding, in the working dtype if possible.

        Raises
        ------
        ValueError
            If labels are of another kind, or of no known class.
        """
        y = native(y)
        if y.ndim != 1 or self.multilabel:
            self._check_kind(y)
            self._check_classes(unique_labels(y))
            return self.binarizer.transform(y)
        try:
            codes = np.searchsorted(self.classes, y)
        except TypeError as error:
            raise ValueError(
                f"`y` has labels that cannot be compared with `self.classes_`,"
                f" {self.classes}: {error}."
            ) from error
        codes[codes == len(self.classes)] = 0
        if not np.array_equal(self.classes[codes], y):
            self._check_classes(np.unique(y))
        if len(self.classes) <= 2:
            return (codes == 1).astype(dtype).reshape(-1, 1)
        Y = np.zeros((len(y), len(self.classes)), dtype)
        Y[np.arange(len(y)), codes] = 1
        return Y

    def _check_kind(self, y):
        kind = type_of_target(y)
        if kind.startswith("multilabel") != self.multilabel:
            raise ValueError(
                f"`y` is of the kind {kind!r}, but the classifier is trained on"
                f" {self.y_type!r}: pass targets of the same kind."
            )

    def _check_classes(self, labels):
        if len(np.setdiff1d(labels, self.classes, assume_unique=True)):
            raise ValueError(
                f"`y` has classes not in `self.classes_`. `self.classes_` has"
                f" {self.classes}. 'y' has {labels}."
            )

    def decode(self, Y):
        """Users' targets."""
        return Y.astype(int) if self.multilabel else self.classes[codes_of(Y)]

    def weigh(self, Y, weight):
        if self.class_weight is None:
            return weight
        if self.multilabel:
            weight = weigh_labels(self.class_weight, Y, weight)
        else:
            codes = codes_of(Y)
            weight = weigh_classes(self.class_weight, self.classes, codes, weight)
        if not weight.any():
            raise ValueError("class_weight gives all rows the weight zero.")
        check_size_of_weights(weight, "class_weight")
        return weight

    def for_training(self, training):
        if not self.label_smoothing:
            return training
        Y, share = training.data.Y, self.label_smoothing / max(2, len(self.classes))
        smooth = read_only(Y * (1 - self.label_smoothing) + share)
        return training._replace(data=training.data._replace(Y=smooth))

    def strata(self, Y):
        return Y.astype(bool) if Y.shape[1] == 1 else None

    def score(self, Y, y_pred, sample_weight):
        """Accuracy of predictions after the link."""
        if self.multilabel:
            hits = ((y_pred > 0.5) == (Y > 0.5)).all(axis=1)
        else:
            hits = codes_of(y_pred) == codes_of(Y)
        return np.average(hits, weights=sample_weight)


def fitted_binarizer(y):
    """``LabelBinarizer().fit(y)``, for most integers and strings much faster.

    Where most of them differ, some versions of scikit-learn have a warning.
    """
    binarizer = LabelBinarizer()
    if y.ndim != 1 or y.dtype.kind not in "biuUS":
        return binarizer.fit(y)
    classes = _distinct(y)
    if 2 * len(classes) > len(y):
        return binarizer.fit(y)
    binarizer.classes_, binarizer.sparse_input_ = classes, False
    binarizer.y_type_ = "binary" if len(classes) <= 2 else "multiclass"
    return binarizer


def _distinct(y):
    """Distinct labels in rising order.

    Not by ``np.unique``, which since NumPy 2.3 aborts the process if a daemon thread is
    in it when the interpreter ends.
    """
    y = np.sort(y)
    is_new = np.ones(len(y), bool)
    np.not_equal(y[1:], y[:-1], out=is_new[1:])
    return y[is_new]


def binarizer_of(classes, link):
    """A binarizer made from classes; with independent outputs they are labels."""
    binarizer = LabelBinarizer().fit(classes)
    if link == "logistic" and len(classes) > 2:
        binarizer.y_type_ = "multilabel-indicator"
    return binarizer


def codes_of(y_prob):
    """Index of the most probable class of each row."""
    if y_prob.shape[1] == 1:
        return (y_prob[:, 0] > 0.5).astype(np.intp)
    return y_prob.argmax(axis=1)


@dataclass(frozen=True)
class RealTargets(Targets):
    """Real numbers, one or several for each row.

    Parameters
    ----------
    loss, huber_delta, quantile, tweedie_power, nll_beta
        The regressor's parameters.
    """

    loss: str
    huber_delta: float
    quantile: Any
    tweedie_power: float
    nll_beta: float

    @property
    def core_loss(self):
        """Row of the core's table."""
        if self.loss == "quantile" and np.size(self.quantile) > 1:
            return "quantiles"
        if self.loss == "tweedie":  # its formula has poles at both ends
            for power, loss in (1, "poisson"), (2, "gamma"):
                if abs(self.tweedie_power - power) < _NEAR_POLE:
                    return loss
        return self.loss

    @property
    def quantiles(self):
        """One quantile or several, as an array of float64.

        Raises
        ------
        ValueError
            If they are no numbers.
        """
        try:
            return np.asarray(self.quantile, np.float64)
        except (ValueError, TypeError, OverflowError) as error:
            raise ValueError(
                f"quantile must be a number in (0, 1), or a sequence of one or more in"
                f" rising order, got {shown(self.quantile)}: {error}."
            ) from error

    def check_quantiles(self):
        """Refuse what is no quantile, or not in rising order."""
        if self.loss != "quantile":
            return
        quantiles = self.quantiles
        inside = (quantiles > 0) & (quantiles < 1)
        rising = quantiles.ndim == 0 or (np.diff(quantiles) > 0).all()
        if quantiles.ndim > 1 or not (quantiles.size and inside.all() and rising):
            raise ValueError(
                "quantile must be a number in (0, 1), or a sequence of one or more in"
                f" rising order, got {self.quantile}."
            )

    @property
    def positive_only(self):
        """Whether negative targets are refused."""
        return self.loss in {*_NOT_NEGATIVE, "gamma"}

    def encode(self, y, dtype):
        """A matrix of targets, with a column for each output per target.

        Raises
        ------
        TypeError
            If targets are sparse.
        ValueError
            If they are not finite, or have a sign that the loss does not allow.
        """
        if not isinstance(y, np.ndarray):
            raise TypeError("Sparse targets are not supported: pass y.toarray().")
        y = as_numbers(y)
        self._check_sign(y, dtype)
        Y = y.reshape(len(y), -1)
        if self.core_loss != "quantiles":
            return Y
        if Y.shape[1] > 1:
            raise ValueError(
                f"Several quantiles have an output each, and so would each of the"
                f" {Y.shape[1]} targets: fit a regressor for each target, or ask for"
                " one quantile."
            )
        return np.repeat(Y, np.size(self.quantile), axis=1)

    def _check_sign(self, y, dtype):
        loss = self.core_loss
        if loss in _NOT_NEGATIVE and np.any(y < 0):
            raise ValueError(
                f"loss='{self.loss}' needs targets y >= 0, got negative ones."
            )
        if loss == "gamma" and np.any(y.astype(dtype, copy=False) <= 0):
            raise ValueError(
                f"loss='{self.loss}' needs targets y > 0 here, got others:"
                " loss='tweedie' with tweedie_power < 2 allows zeros."
            )

    def decode(self, Y):
        """Users' targets."""
        return without_single_column(Y[:, :1] if self.core_loss == "quantiles" else Y)

    def score_users(self, y, y_pred, sample_weight):
        """The score of users' targets, which each quantile is compared with."""
        y = check_array(y, ensure_2d=False, dtype="numeric", input_name="y")
        check_consistent_length(y_pred, y, sample_weight)
        Y = np.broadcast_to(y.reshape(len(y), -1), y_pred.shape)
        return self.score(Y, y_pred, sample_weight)

    def score(self, Y, y_pred, sample_weight):
        """R2 of predictions after the link, or D2 of quantiles."""
        if self.loss != "quantile":
            return _r2(Y, y_pred[:, : Y.shape[1]], sample_weight)
        quantiles = np.broadcast_to(self.quantiles, Y.shape[1])
        scores = [
            d2_pinball_score(y, predicted, alpha=alpha, sample_weight=sample_weight)
            for y, predicted, alpha in zip(Y.T, y_pred.T, quantiles)
        ]
        return np.mean(scores)


def _r2(Y, y_pred, weight):
    """``r2_score`` without its checks, which take longer than an epoch."""
    dtype = np.result_type(Y, *(() if weight is None else (weight,)))
    Y, y_pred = Y.astype(dtype, copy=False), y_pred.astype(dtype, copy=False)
    factor = 1.0 if weight is None else weight[:, np.newaxis]
    mean = np.average(Y, axis=0, weights=weight)
    residual = np.sum(factor * (Y - y_pred) ** 2, axis=0)
    spread = np.sum(factor * (Y - mean) ** 2, axis=0)
    scores = (residual == 0).astype(dtype)
    usual = (residual != 0) & (spread != 0)
    scores[usual] = 1 - residual[usual] / spread[usual]
    return scores.mean()


def without_single_column(y_pred):
    """A vector in the place of a matrix of one column."""
    return y_pred.ravel() if y_pred.shape[1] == 1 else y_pred
