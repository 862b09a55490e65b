"""Targets of like size for a network, and back."""

from typing import NamedTuple

import numpy as np


class TargetScale(NamedTuple):
    """Center, spread and range of targets.

    Attributes
    ----------
    center, spread, low, high : ndarray of shape (n_targets,)
        Weighted mean and standard deviation (1 for constants); least and largest.
    """

    center: np.ndarray
    spread: np.ndarray
    low: np.ndarray
    high: np.ndarray

    def standardize(self, Y):
        """Targets with a mean of zero and a deviation of one, as float32."""
        return ((Y - self.center) / self.spread).astype(np.float32)

    def restore(self, predicted, link):
        """Predictions in the units of the targets, within their range.

        Returns
        -------
        means : ndarray of shape (n_rows, n_outputs)
            Or quantiles.
        deviations : ndarray of the same shape, or None
            If the link is "gaussian".
        """
        std = None
        if link == "gaussian":
            predicted, std = np.hsplit(predicted, 2)
            std = std.astype(np.float64) * self.spread
        restored = predicted.astype(np.float64) * self.spread + self.center
        return np.clip(restored, self.low, self.high), std


def fit_scale(Y, weight):
    """The scale of the rows of positive weight.

    Parameters
    ----------
    Y : ndarray of shape (n_rows, n_targets)
    weight : ndarray of shape (n_rows,) or None
    """
    if weight is not None:
        Y, weight = Y[weight > 0], weight[weight > 0]
    Y = Y.astype(np.float64)
    low, high = Y.min(axis=0), Y.max(axis=0)
    middle = low / 2 + high / 2
    half = high / 2 - low / 2
    unit = np.where(half > 0, half, 1)  # squares of large numbers overflow
    relative = (Y - middle) / unit
    mean = np.average(relative, axis=0, weights=weight)
    variance = np.average((relative - mean) ** 2, axis=0, weights=weight)
    spread = np.where(variance > 0, np.sqrt(variance) * unit, 1)
    return TargetScale(middle + mean * unit, spread, low, high)
