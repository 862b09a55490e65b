"""Weights of classes, as factors of the weights of rows."""

import numpy as np
from sklearn.utils.class_weight import compute_class_weight

from skmlp.machine.warning import shown


def weigh_classes(class_weight, classes, codes, sample_weight):
    """Weights of rows, times those of their classes.

    Parameters
    ----------
    class_weight : dict or "balanced"
    classes : ndarray of shape (n_classes,)
    codes : ndarray of shape (n_rows,), intp
        Each row's index into ``classes``.
    sample_weight : ndarray of shape (n_rows,) or None

    Raises
    ------
    ValueError
        If a weight is negative or not finite, or if the dict names other classes.
    """
    if isinstance(class_weight, list):
        raise ValueError(
            "A list of class_weight is for multilabel targets, a dict for each label:"
            " pass one dict, or 'balanced'."
        )
    if class_weight == "balanced":
        weights = _balanced(np.bincount(codes, sample_weight, len(classes)))
    else:
        weights = _given(class_weight, classes)
    if not (np.isfinite(weights).all() and (weights >= 0).all()):
        raise ValueError(
            f"class_weight must be finite and not negative, got {shown(class_weight)}."
        )
    return _product(weights[codes], sample_weight)


def weigh_labels(class_weight, Y, sample_weight):
    """Weights of rows, times those of each label of an indicator matrix."""
    if isinstance(class_weight, dict):
        raise ValueError(
            "For multilabel targets, class_weight must be 'balanced' or a list with a"
            " dict {0: weight, 1: weight} for each label."
        )
    n_labels = Y.shape[1]
    if class_weight == "balanced":
        class_weight = [class_weight] * n_labels
    if len(class_weight) != n_labels:
        raise ValueError(
            f"class_weight must have a dict for each of the {n_labels} labels, got"
            f" {len(class_weight)} items."
        )
    weight = np.ones(len(Y))
    for item, labels in zip(class_weight, Y.T):
        codes = (labels > 0).astype(np.intp)
        weight = _product(weight, weigh_classes(item, np.arange(2), codes, None))
    return _product(weight, sample_weight)


def _given(class_weight, classes):
    try:
        with np.errstate(over="ignore"):
            return compute_class_weight(class_weight, classes=classes, y=classes)
    except (OverflowError, TypeError, ValueError) as error:
        raise ValueError(
            "class_weight must hold a number for each class, got"
            f" {shown(class_weight)}: {error}."
        ) from error


def _product(weight, factor):
    """Product of two vectors, which may overflow; the caller checks it."""
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        return weight if factor is None else weight * factor


def _balanced(counts):
    """Inversely proportional to the classes' weight, as far as they occur."""
    weights, present = np.ones(len(counts)), counts > 0
    weights[present] = counts.sum() / (present.sum() * counts[present])
    return weights
