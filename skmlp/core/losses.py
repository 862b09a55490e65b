"""Losses on raw predictions, with the link merged in, and the links alone.

``<name>(Z, Y, rows, weight)`` returns sum_i weight[i] * loss(Z[i], Y[rows[i]])
and overwrites the raw predictions Z, of shape (rows, outputs), with the gradient

    delta[i] = weight[i] * (link(Z[i]) - Y[rows[i]]),

which is that simple because each loss here comes with its canonical link.  As in
scikit-learn, probabilities in a log-loss are not taken below the machine epsilon,
and the squared error, unlike its gradient, is averaged over outputs.

``<name>_link(Z)`` applies the link alone, for prediction.  To add a loss: the
function, its link where that is new, a row in ``LOSSES``.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from skmlp.core.intrinsics import addresses
from skmlp.core.jit import jit
from skmlp.core.math import exp, log1p_unit, logistic


@jit(entry=True)
def identity_link(Z):
    return


@jit(entry=True)
def squared_error(Z, Y, rows, weight):
    """(z - y)^2 / 2."""
    total = 0.0
    for i in range(Z.shape[0]):
        for k in range(Z.shape[1]):
            error = Z[i, k] - Y[rows[i], k]
            wide = np.float64(error)  # its square may overflow float32
            total += weight[i] * wide * wide
            Z[i, k] = weight[i] * error
    return 0.5 * total / Z.shape[1]


@jit(entry=True)
def exp_link(Z):
    for i in range(Z.shape[0]):
        for k in range(Z.shape[1]):
            Z[i, k] = exp(Z[i, k])


@jit(entry=True)
def poisson(Z, Y, rows, weight):
    """y log(y / mu) - y + mu with mu = exp(z)."""
    zero = Z.dtype.type(0)
    total = 0.0
    for i in range(Z.shape[0]):
        for k in range(Z.shape[1]):
            y, mu = Y[rows[i], k], exp(Z[i, k])
            log_ratio = np.float64(np.log(y) - Z[i, k] if y > zero else zero)
            total += np.float64(weight[i]) * (y * log_ratio - y + mu)
            Z[i, k] = weight[i] * (mu - y)
    return total


@jit(entry=True)
def logistic_link(Z):
    for i in range(Z.shape[0]):
        for k in range(Z.shape[1]):
            Z[i, k] = logistic(Z[i, k])


@jit(entry=True)
def binary_log_loss(Z, Y, rows, weight):
    """-y log p - (1 - y) log(1 - p) with p = 1 / (1 + exp(-z))."""
    zero, one = Z.dtype.type(0), Z.dtype.type(1)
    cap = -np.log(np.finfo(Z.dtype).eps)
    total = 0.0
    for i in range(Z.shape[0]):
        for k in range(Z.shape[1]):
            y, z = Y[rows[i], k], Z[i, k]
            e = exp(-abs(z))
            log_part = log1p_unit(e)
            minus_log_p = log_part + (zero if z > zero else -z)
            minus_log_q = log_part + (z if z > zero else zero)
            minus_log_p = cap if minus_log_p > cap else minus_log_p
            minus_log_q = cap if minus_log_q > cap else minus_log_q
            total += np.float64(weight[i] * (y * minus_log_p + (one - y) * minus_log_q))
            p = (one if z > zero else e) / (one + e)
            Z[i, k] = weight[i] * (p - y)
    return total


@jit(entry=True)
def softmax_link(Z):
    for i in range(Z.shape[0]):
        z = Z[i]
        top = z[0]
        for k in range(1, z.size):
            top = z[k] if z[k] > top else top
        total = z.dtype.type(0)
        for k in range(z.size):
            z[k] = exp(z[k] - top)
            total += z[k]
        for k in range(z.size):
            z[k] /= total


@jit(entry=True)
def log_loss(Z, Y, rows, weight):
    """-sum_k y_k log p_k with p = softmax(z)."""
    zero, eps = Z.dtype.type(0), np.finfo(Z.dtype).eps
    softmax_link(Z)
    total = 0.0
    for i in range(Z.shape[0]):
        for k in range(Z.shape[1]):
            y, p = Y[rows[i], k], Z[i, k]
            if y != zero:
                total -= np.float64(weight[i] * y * np.log(eps if p < eps else p))
            Z[i, k] = weight[i] * (p - y)
    return total


class Loss(NamedTuple):
    """A row of the table: the loss, and the link that it contains."""

    backward: Callable
    link: str


LINKS = {
    "identity": identity_link,
    "exp": exp_link,
    "logistic": logistic_link,
    "softmax": softmax_link,
}
LOSSES = {
    "squared_error": Loss(squared_error, "identity"),
    "poisson": Loss(poisson, "exp"),
    "binary_log_loss": Loss(binary_log_loss, "logistic"),
    "log_loss": Loss(log_loss, "softmax"),
}


def loss_address(name, dtype):
    """Address of a loss."""
    kinds = "matrix", "targets", "rows", "vector"
    return addresses((LOSSES[name].backward,), dtype, kinds)[0]


def link_address(name, dtype):
    """Address of a link."""
    return addresses((LINKS[name],), dtype, ("matrix",))[0]
