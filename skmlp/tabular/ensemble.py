"""The mean of some networks' predictions."""

from typing import NamedTuple

import numpy as np

from skmlp.core.architecture import Architecture
from skmlp.core.layout import without_front_scale
from skmlp.training.inference import predict_each


class Ensemble(NamedTuple):
    """Networks of one architecture, with the share of each.

    Attributes
    ----------
    architecture : Architecture
    link : str
        From the raw prediction to what is predicted.
    vectors : ndarray of shape (n_models, n_total)
        Their parameters.
    shares : ndarray of shape (n_models,)
        They sum to one.
    """

    architecture: Architecture
    link: str
    vectors: np.ndarray
    shares: np.ndarray

    def predict(self, data):
        """Mean prediction for rows, after the link."""
        parts = predict_each(self.architecture, self.vectors, data, link=self.link)
        return mean_prediction(parts, self.shares, self.link)


def make_ensemble(architecture, link, vectors, shares):
    """An ensemble that predicts what these networks do, in less time."""
    if architecture.scaled_input:
        layout = architecture.layout()
        vectors = [without_front_scale(params, layout) for params in vectors]
        architecture = architecture._replace(scaled_input=False)
    return Ensemble(architecture, link, np.array(vectors), np.array(shares))


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
