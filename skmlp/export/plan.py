"""A fitted estimator as plain arrays: what every export is made from.

Batch normalization and the trained scale of the input are folded into the affine parts,
in float64; dropout is gone.
"""

from typing import Any, NamedTuple

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skmlp.core.columns import AT, KIND, N_WAVES, NUMBER, ONE_HOT, OWN, SIZE, WIDTH
from skmlp.core.layout import (
    bias_views,
    embedding_view,
    front_scale_view,
    knots_view,
    mix_views,
    running_views,
    scale_views,
    weight_views,
)
from skmlp.preprocessing.scaling import FAR
from skmlp.tabular.base import BaseTabularMLP

# Activations of the second half of the units, which the first is multiplied by.
GATES = {"glu": "logistic", "geglu": "gelu", "swiglu": "silu", "reglu": "relu"}


class Norm(NamedTuple):
    """Layer normalization, between the product and the bias.

    Attributes
    ----------
    scale : ndarray of shape (width,)
    epsilon : float
    """

    scale: np.ndarray
    epsilon: float


class Layer(NamedTuple):
    """A = f(norm(A_below W) + b).

    Attributes
    ----------
    weights : ndarray of shape (fan_in, width), float64
    bias : ndarray of shape (width,), float64
    norm : Norm or None
    activation : str
    mix : ndarray of shape (units,) or None
        Share of the activation, the rest being the identity.
    """

    weights: np.ndarray
    bias: np.ndarray
    norm: Norm | None = None
    activation: str = "identity"
    mix: np.ndarray | None = None


class Embedding(NamedTuple):
    """What encoded columns become. The units are, in this order: all columns of
    numbers, pieces, vectors of categories, waves.

    Attributes
    ----------
    n_numbers : int
        The first columns, of numbers or indicators.
    piece_of : ndarray of shape (n_pieces,), int64
        The column of each piece.
    low, high : ndarray of shape (n_pieces,)
        Its ends.
    vectors : tuple of ndarray of shape (n_categories + 1, n_units)
        Of each category of each further column, and last of what is none.
    wave_of : ndarray of shape (n_waves,), int64
    frequencies, shifts : ndarray of shape (n_waves,)
        Of cos(2 pi (frequency x + shift)).
    """

    n_numbers: int
    piece_of: np.ndarray
    low: np.ndarray
    high: np.ndarray
    vectors: tuple
    wave_of: np.ndarray
    frequencies: np.ndarray
    shifts: np.ndarray


class Network(NamedTuple):
    """A network that predicts.

    Attributes
    ----------
    embedding : Embedding or None
    layers : tuple of Layer
    """

    embedding: Embedding | None
    layers: tuple


class Table(NamedTuple):
    """How columns of a raw table are encoded. The encoded columns are: scaled numbers,
    indicators of gaps, codes of categories.

    Attributes
    ----------
    numbers : ndarray of int64
        Places of the columns of numbers.
    scaled, indicated : ndarray of int64
        Which of these are scaled, and have an indicator.
    center, gain : ndarray of float64
        Of the scaled ones: t = gain (x - center), within -far and far.
    limit, far : float
        limit t / sqrt(1 + t^2) is what they become; 0 where they are missing.
    categorical : ndarray of int64
        Places of the columns of categories.
    categories : tuple of ndarray
        Theirs, in the order of the codes.
    """

    numbers: np.ndarray
    scaled: np.ndarray
    indicated: np.ndarray
    center: np.ndarray
    gain: np.ndarray
    limit: float
    far: float
    categorical: np.ndarray
    categories: tuple


class Plan(NamedTuple):
    """A fitted estimator.

    Attributes
    ----------
    owner : str
        Name of its class.
    n_features : int
    names : tuple of str
        Of the features.
    table : Table or None
        If the columns are encoded.
    networks : tuple of Network
    shares : ndarray of shape (n_networks,)
        Of each in the mean prediction, after the link.
    link : str
    least_variance : float
        What the link "gaussian" adds to variances.
    classes : ndarray or None
    y_type : str or None
        Of a classifier.
    calibration : Calibration or None
        Of probabilities.
    scale : TargetScale or None
        Of the targets.
    """

    owner: str
    n_features: int
    names: tuple
    table: Table | None
    networks: tuple
    shares: np.ndarray
    link: str
    least_variance: float
    classes: Any
    y_type: str | None
    calibration: Any = None
    scale: Any = None

    @property
    def is_classifier(self):
        return self.classes is not None

    @property
    def multilabel(self):
        return self.is_classifier and self.y_type.startswith("multilabel")

    @property
    def n_outputs(self):
        """Of the networks."""
        return self.networks[0].layers[-1].bias.size

    @property
    def n_values(self):
        """Predicted means or quantiles of a regressor."""
        return self.n_outputs // 2 if self.link == "gaussian" else self.n_outputs


def make_plan(estimator):
    """The plan of a fitted estimator.

    Raises
    ------
    NotFittedError
        If it is not fitted.
    TypeError
        If it is none of skmlp's.
    """
    if not hasattr(estimator, "_current_network") and not isinstance(
        estimator, BaseTabularMLP
    ):
        raise TypeError(
            f"{type(estimator).__name__} is no estimator of skmlp; of a Pipeline,"
            " export the last step, or the whole by skl2onnx."
        )
    check_is_fitted(estimator)
    if isinstance(estimator, BaseTabularMLP):
        return _plan_of_tables(estimator)
    return _plan_of_network(estimator)


def _names(estimator, n_features):
    names = getattr(estimator, "feature_names_in_", None)
    return tuple(f"x{j}" for j in range(n_features)) if names is None else tuple(names)


def _least_variance(dtype):
    return float(np.finfo(dtype).eps) ** 2


def _plan_of_network(estimator):
    fitted = estimator._current_network()
    architecture, n_features = fitted.architecture, fitted.n_features
    layers = layers_of(architecture, fitted.params)
    return Plan(
        type(estimator).__name__,
        n_features,
        _names(estimator, n_features),
        None,
        (Network(None, layers),),
        np.ones(1),
        fitted.link,
        _least_variance(fitted.params.dtype),
        fitted.classes,
        fitted.y_type,
    )


def _plan_of_tables(estimator):
    fitted, n_features = estimator._fitted, estimator.n_features_in_
    architecture, link, vectors, shares = fitted.ensemble
    targets, is_classifier = fitted.targets, hasattr(estimator, "classes_")
    table = None
    networks = tuple(_network_of(architecture, params) for params in vectors)
    if fitted.table.is_sparse:
        scale = fitted.table._scale[:, np.newaxis]
        networks = tuple(_with_scaled_input(own, scale) for own in networks)
    else:
        table = _table_of(fitted.table._encoder)
    return Plan(
        type(estimator).__name__,
        n_features,
        _names(estimator, n_features),
        table,
        networks,
        shares,
        link,
        _least_variance(vectors.dtype),
        targets.classes if is_classifier else None,
        targets.y_type if is_classifier else None,
        calibration=fitted.finish if is_classifier else None,
        scale=None if is_classifier else fitted.finish.scale,
    )


def _with_scaled_input(network, scale):
    first, *others = network.layers
    first = first._replace(weights=first.weights * scale)
    return network._replace(layers=(first, *others))


def layers_of(architecture, params):
    """All layers behind the input, hidden ones and the output."""
    layout = architecture.layout()
    weights = [view.astype(np.float64) for view in weight_views(params, layout)]
    if architecture.scaled_input:
        weights[0] *= front_scale_view(params, layout)[:, np.newaxis]
    biases = [view.astype(np.float64) for view in bias_views(params, layout)]
    scales, mixes = scale_views(params, layout), mix_views(params, layout)
    running = running_views(params, layout)
    layers = []
    for i, (name, kind) in enumerate(
        zip(architecture.activations, architecture.normalizations)
    ):
        norm = None
        if kind == "batch":
            mean, variance = running[i].astype(np.float64)
            factor = scales[i] / np.sqrt(variance + architecture.norm_epsilon)
            weights[i], biases[i] = weights[i] * factor, biases[i] - mean * factor
        elif kind == "layer":
            norm = Norm(scales[i].astype(np.float64), architecture.norm_epsilon)
        mix = mixes[i].astype(np.float64) if architecture.parametric else None
        layers.append(Layer(weights[i], biases[i], norm, name, mix))
    return (*layers, Layer(weights[-1], biases[-1]))


def _network_of(architecture, params):
    """A network behind encoded columns, with the units of the input in the order of
    `Embedding`."""
    layers = layers_of(architecture, params)
    if not architecture.columns:
        return Network(None, layers)
    embedding, order = _embedding_of(architecture, params)
    first, *others = layers
    return Network(embedding, (first._replace(weights=first.weights[order]), *others))


def _embedding_of(architecture, params):
    """(the embedding, for each of its units the one of the network)."""
    columns, layout = architecture.column_table, architecture.layout()
    trained, knots = embedding_view(params, layout), knots_view(params, layout)
    table, n_waves = columns.table, columns.n_waves
    numbers = table[table[:, KIND] == NUMBER]
    piece_of, ends, at_pieces = [], [], []
    for j, row in enumerate(numbers):
        size, own = row[SIZE], row[OWN]
        piece_of += [j] * size
        ends += [knots[own + t : own + t + 2] for t in range(size)]
        at_pieces += range(row[AT] + 1, row[AT] + 1 + size)
    others = table[len(numbers) :]
    vectors = tuple(_vectors_of(row, trained) for row in others)
    at_vectors = [
        at
        for row, own in zip(others, vectors)
        for at in range(row[AT], row[AT] + own.shape[1])
    ]
    n_units = columns.n_units
    order = [
        *numbers[:, AT],
        *at_pieces,
        *at_vectors,
        *range(n_units - n_waves, n_units),
    ]
    low, high = np.array(ends, np.float64).reshape(-1, 2).T
    embedding = Embedding(
        len(numbers),
        np.array(piece_of, np.int64),
        low,
        high,
        vectors,
        np.repeat(np.arange(len(numbers)), numbers[:, N_WAVES]),
        trained[:n_waves].astype(np.float64),
        trained[n_waves : 2 * n_waves].astype(np.float64),
    )
    return embedding, np.array(order)


def _vectors_of(row, trained):
    """A row of units for each category, and one of zeros."""
    size, width, own = row[SIZE], row[WIDTH], row[OWN]
    if row[KIND] != ONE_HOT:
        vectors = trained[own : own + size * width].reshape(size, width)
    elif size == 2:
        vectors = np.array([[-1.0], [1.0]])
    else:
        vectors = np.eye(size)
    return np.vstack([vectors, np.zeros((1, vectors.shape[1]))]).astype(np.float64)


def _table_of(encoder):
    is_categorical, clip = encoder.is_categorical_, encoder._smooth_clip
    scaled, center, gain = encoder._scaled, clip.center, clip.gain
    numbers = np.flatnonzero(~is_categorical)
    if not len(scaled) + len(encoder._indicated) + len(encoder.cardinalities_):
        # No column tells anything; the networks then have one of zeros.
        scaled, center, gain = np.zeros(1, np.int64), np.zeros(1), np.zeros(1)
    return Table(
        numbers,
        scaled,
        encoder._indicated,
        center,
        gain,
        clip.limit,
        FAR,
        np.flatnonzero(is_categorical),
        tuple(encoder.categories_),
    )
