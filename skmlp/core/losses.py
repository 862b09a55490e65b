"""Losses on raw predictions, with the link merged in, and the links alone.

``<name>(Z, Y, losses, hyper)`` overwrites the raw predictions Z, of shape (rows,
outputs), with the derivatives

    d loss / d Z = link(Z) - Y,

which are that simple because each loss here comes with its canonical link, and fills
``losses``, of the same shape but float64, with each output's part of the loss. The
targets Y may serve as scratch; weights of rows are the business of `weigh`.
``hyper`` holds the parameters named in the table, in that order.  As in
scikit-learn, probabilities in a log-loss are not taken below the machine epsilon,
and the squared error, unlike its derivative, is averaged over outputs.

``<name>_link(Z)`` applies the link alone, for prediction.  To add a loss: the
function, its link where that is new, a row in ``LOSSES``.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from skmlp.core.intrinsics import addresses, flat, vector_view
from skmlp.core.jit import jit
from skmlp.core.math import exp, flush, log, log1p_unit, logistic


@jit
def weigh(Z, losses, weight):
    """Multiply the derivatives by their weights; returns the weighted loss."""
    z, loss, w = flat(Z), flat(losses), flat(weight)
    total = 0.0
    for i in range(z.size):
        total += w[i] * loss[i]
        z[i] = flush(w[i] * z[i])
    return total


@jit
def widen(losses, part):
    """losses <- part, in a loop of its own: float64 would slow down another one."""
    wide = flat(losses)
    for i in range(wide.size):
        wide[i] = part[i]


@jit(entry=True)
def identity_link(Z):
    return


@jit(entry=True)
def squared_error(Z, Y, losses, hyper):
    """(z - y)^2 / 2."""
    z, y, loss = flat(Z), flat(Y), flat(losses)
    half = 0.5 / Z.shape[1]
    for i in range(z.size):
        error = z[i] - y[i]
        wide = np.float64(error)  # its square may overflow float32
        loss[i] = half * wide * wide
        z[i] = error


@jit(entry=True)
def exp_link(Z):
    z = flat(Z)
    for i in range(z.size):
        z[i] = exp(z[i])


@jit(entry=True)
def poisson(Z, Y, losses, hyper):
    """y log(y / mu) - y + mu with mu = exp(z)."""
    z, y, loss = flat(Z), flat(Y), flat(losses)
    zero = Z.dtype.type(0)
    for i in range(z.size):
        mu = exp(z[i])
        log_ratio = log(y[i]) - z[i] if y[i] > zero else zero
        loss[i] = np.float64(y[i]) * log_ratio - y[i] + mu
        z[i] = mu - y[i]


@jit(entry=True)
def logistic_link(Z):
    z = flat(Z)
    for i in range(z.size):
        z[i] = logistic(z[i])


@jit(entry=True)
def binary_log_loss(Z, Y, losses, hyper):
    """-y log p - (1 - y) log(1 - p) with p = 1 / (1 + exp(-z))."""
    z, y = flat(Z), flat(Y)
    zero, one = Z.dtype.type(0), Z.dtype.type(1)
    cap = -np.log(np.finfo(Z.dtype).eps)
    for i in range(z.size):
        e = exp(-abs(z[i]))
        log_part = log1p_unit(e)
        minus_log_p = log_part + (zero if z[i] > zero else -z[i])
        minus_log_q = log_part + (z[i] if z[i] > zero else zero)
        minus_log_p = cap if minus_log_p > cap else minus_log_p
        minus_log_q = cap if minus_log_q > cap else minus_log_q
        p = (one if z[i] > zero else e) / (one + e)
        z[i] = p - y[i]
        y[i] = y[i] * minus_log_p + (one - y[i]) * minus_log_q
    widen(losses, y)


@jit
def subtract_top(z):
    """z <- z - max(z), so that exp cannot overflow."""
    top = z[0]
    for k in range(1, z.size):
        top = z[k] if z[k] > top else top
    for k in range(z.size):
        z[k] -= top


@jit
def normalise(p):
    """p <- p / sum(p)."""
    total = p.dtype.type(0)
    for k in range(p.size):
        total += p[k]
    factor = p.dtype.type(1) / total
    for k in range(p.size):
        p[k] *= factor


@jit(entry=True)
def softmax_link(Z):
    z, shape = flat(Z), (Z.shape[1],)
    for i in range(Z.shape[0]):
        subtract_top(vector_view(Z, i * Z.shape[1], shape))
    for i in range(z.size):  # one loop over all elements: rows are short
        z[i] = exp(z[i])
    for i in range(Z.shape[0]):
        normalise(vector_view(Z, i * Z.shape[1], shape))


@jit(entry=True)
def log_loss(Z, Y, losses, hyper):
    """-sum_k y_k log p_k with p = softmax(z)."""
    z, y, eps = flat(Z), flat(Y), np.finfo(Z.dtype).eps
    softmax_link(Z)
    for i in range(z.size):
        minus_log_p = -log(eps if z[i] < eps else z[i])
        z[i] -= y[i]
        y[i] *= minus_log_p
    widen(losses, y)


class Loss(NamedTuple):
    """A row of the table.

    Attributes
    ----------
    backward : callable
        The kernel.
    link : str
        The link that it contains.
    hyper : tuple of str
        Parameters of the estimator that it reads.
    """

    backward: Callable
    link: str
    hyper: tuple = ()


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
    kinds = "matrix", "matrix", "losses", "hyper"
    return addresses((LOSSES[name].backward,), dtype, kinds)[0]


def loss_hyper(name, values):
    """Parameters of a loss, out of a dict."""
    return np.array([values[key] for key in LOSSES[name].hyper], np.float64)


def link_address(name, dtype):
    """Address of a link."""
    return addresses((LINKS[name],), dtype, ("matrix",))[0]
