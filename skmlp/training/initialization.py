"""Initial weights: functions of fan-in, fan-out and a generator.

To add one: a function and a row in ``INITIALIZERS``.
"""

import numpy as np

from skmlp.core.layout import bias_views, start_scales, weight_views


def _uniform(variance):
    def draw(fan_in, fan_out, rng):
        bound = np.sqrt(3 * variance(fan_in, fan_out))
        return rng.uniform(-bound, bound, (fan_in, fan_out))

    return draw


def _normal(variance):
    def draw(fan_in, fan_out, rng):
        return rng.normal(0, np.sqrt(variance(fan_in, fan_out)), (fan_in, fan_out))

    return draw


def _glorot(fan_in, fan_out):
    """Glorot and Bengio (2010)."""
    return 2 / (fan_in + fan_out)


def _he(fan_in, fan_out):
    """He et al. (2015)."""
    return 2 / fan_in


def _lecun(fan_in, fan_out):
    """LeCun et al. (1998)."""
    return 1 / fan_in


def orthogonal(fan_in, fan_out, rng):
    """Saxe, McClelland and Ganguli (2014): rows or columns are orthonormal."""
    tall = rng.normal(size=(max(fan_in, fan_out), min(fan_in, fan_out)))
    Q, R = np.linalg.qr(tall)
    Q *= np.sign(np.diag(R))  # or the distribution would not be uniform
    return Q if fan_in >= fan_out else Q.T


def zeros(fan_in, fan_out, rng):
    """All units of a layer stay alike: to show why weights are drawn."""
    return np.zeros((fan_in, fan_out))


INITIALIZERS = {
    "glorot_uniform": _uniform(_glorot),
    "glorot_normal": _normal(_glorot),
    "he_uniform": _uniform(_he),
    "he_normal": _normal(_he),
    "lecun_uniform": _uniform(_lecun),
    "lecun_normal": _normal(_lecun),
    "orthogonal": orthogonal,
    "zeros": zeros,
}


def initialize(W, b, rng, *, weight_init, activation):
    """Draw weights and biases of one layer in place.

    Parameters
    ----------
    W : ndarray of shape (fan_in, fan_out)
    b : ndarray of shape (fan_out,)
    rng : RandomState
    weight_init : 'auto', a name in ``INITIALIZERS`` or a callable
        'auto' draws weights and biases as scikit-learn does, in its order: uniform,
        with the variance of Glorot and Bengio, a third of it for logistic units.
        With the others biases are zero.
    activation : str
        What follows the layer.

    Raises
    ------
    ValueError
        If a callable returns something else than finite numbers of the shape of W.
    """
    if weight_init == "auto":
        bound = np.sqrt((2 if activation == "logistic" else 6) / sum(W.shape))
        W[:] = rng.uniform(-bound, bound, W.shape)
        b[:] = rng.uniform(-bound, bound, b.shape)
        return
    draw = INITIALIZERS[weight_init] if isinstance(weight_init, str) else weight_init
    drawn = np.asarray(draw(*W.shape, rng))
    if drawn.shape != W.shape or not np.isfinite(drawn).all():
        raise ValueError(
            f"weight_init must return finite numbers of shape {W.shape}, got an array"
            f" of shape {drawn.shape}."
        )
    W[:] = drawn
    b[:] = 0


def initialize_network(
    architecture, dtype, rng, *, weight_init="auto", fallback="relu"
):
    """A new flat vector, drawn layer by layer in scikit-learn's order.

    Parameters
    ----------
    architecture : Architecture
    dtype : dtype
    rng : RandomState
    weight_init : str or callable, default="auto"
    fallback : str, default="relu"
        Activation for whose sake weights are drawn where there are no hidden layers.

    Returns
    -------
    ndarray of shape (n_total,)
    """
    layout = architecture.layout()
    params = np.empty(layout.n_total, dtype)
    views = weight_views(params, layout), bias_views(params, layout)
    names = architecture.activations
    names = (*names, names[-1]) if names else (fallback,)
    for W, b, name in zip(*views, names):
        initialize(W, b, rng, weight_init=weight_init, activation=name)
    start_scales(params, layout)
    return params
