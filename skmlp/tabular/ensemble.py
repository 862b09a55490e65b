"""The mean of some networks' predictions."""

from typing import NamedTuple

import numpy as np

from skmlp.core.architecture import Architecture
from skmlp.training.inference import predict_each


class Ensemble(NamedTuple):
    """Networks of one architecture, with the share of each.

    Attributes
    ----------
    architecture : Architecture
    link : str
        From the raw prediction to what is predicted.
    params : tuple of ndarray of shape (n_total,)
    shares : ndarray of shape (n_models,)
        They sum to one.
    """

    architecture: Architecture
    link: str
    params: tuple
    shares: np.ndarray

    def predict(self, data):
        """Mean prediction for rows, after the link."""
        parts = predict_each(self.architecture, self.params, data, link=self.link)
        return mean_prediction(parts, self.shares, self.link)


def mean_prediction(predictions, shares, link):
    """Weighted mean; of normal distributions, mean and deviation of their mixture."""
    if link != "gaussian":
        return sum(share * part for share, part in zip(shares, predictions))
    mean = square = 0.0
    for share, part in zip(shares, predictions):
        own, std = np.hsplit(part, 2)
        mean = mean + share * own
        square = square + share * (own**2 + std**2)
    return np.hstack([mean, np.sqrt(np.maximum(square - mean**2, 0))])
