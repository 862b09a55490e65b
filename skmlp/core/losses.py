"""Losses on raw predictions, with the link merged in, and the links alone.

``<name>(Z, Y, losses, hyper)`` overwrites the raw predictions Z, of shape (rows,
outputs), with the derivatives

    d loss / d Z,   which is link(Z) - Y where the link is the canonical one,

and fills ``losses``, of the same shape but float64, with each output's part of the
loss. The targets Y may serve as scratch; weights of rows are the business of `weigh`.
``hyper`` holds the parameters named in the table, in that order.  As in
scikit-learn, probabilities in a log-loss are not taken below the machine epsilon,
and the squared error, unlike its derivative, is averaged over outputs; all other
losses are sums.  Deviances keep their constant terms: a perfect prediction costs
nothing.

``<name>_link(Z)`` applies the link alone, for prediction.  To add a loss: the
function, its link where that is new, a row in ``LOSSES``.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from skmlp.machine.forms import Form
from skmlp.machine.intrinsics import address, flat, vector_view
from skmlp.machine.jit import jit
from skmlp.machine.math import exp, flush, log, log1p_unit, logistic, tanh

LOSS = Form("matrix", "matrix", "losses", "hyper")
LINK = Form("matrix")


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


@jit
def epsilon_of(Z):
    """The distance from 1 to the next number; `finfo` takes long to compile."""
    return Z.dtype.type(2.0**-23 if Z.itemsize == 4 else 2.0**-52)


@jit(form=LINK)
def identity_link(Z):
    return


@jit(form=LOSS)
def squared_error(Z, Y, losses, hyper):
    """(z - y)^2 / 2."""
    z, y, loss = flat(Z), flat(Y), flat(losses)
    half = 0.5 / Z.shape[1]
    for i in range(z.size):
        error = z[i] - y[i]
        wide = np.float64(error)  # its square may overflow float32
        loss[i] = half * wide * wide
        z[i] = error


@jit(form=LOSS)
def absolute_error(Z, Y, losses, hyper):
    """|z - y|."""
    z, y, loss = flat(Z), flat(Y), flat(losses)
    zero, one = Z.dtype.type(0), Z.dtype.type(1)
    for i in range(z.size):
        error = z[i] - y[i]
        sign = one if error > zero else (-one if error < zero else error)
        loss[i] = sign * error
        z[i] = sign


@jit(form=LOSS)
def huber(Z, Y, losses, hyper):
    """e^2 / 2 up to |e| = delta, then delta (|e| - delta / 2), with e = z - y.

    Huber (1964).
    """
    z, y, loss, delta = flat(Z), flat(Y), flat(losses), hyper[0]
    for i in range(z.size):
        error = z[i] - y[i]
        wide = np.float64(error)
        clipped = delta if wide > delta else (-delta if wide < -delta else wide)
        loss[i] = clipped * (wide - 0.5 * clipped)
        z[i] = clipped


@jit(form=LOSS)
def log_cosh(Z, Y, losses, hyper):
    """log cosh e = -log(1 - t^2) / 2 = |e| - log 2 + log(1 + exp(-2 |e|)).

    With e = z - y and t = tanh e, which is the derivative; the first form is exact
    near zero, and exp(-2 |e|) = (1 - |t|) / (1 + |t|).
    """
    z, y = flat(Z), flat(Y)
    half, one = Z.dtype.type(0.5), Z.dtype.type(1)
    log_2 = Z.dtype.type(np.log(2.0))
    for i in range(z.size):
        error = z[i] - y[i]
        t = tanh(error)
        near, size = t * t < half, abs(t)
        part = log1p_unit(-t * t if near else (one - size) / (one + size))
        y[i] = -half * part if near else abs(error) - log_2 + part
        z[i] = t
    widen(losses, y)


@jit(form=LOSS)
def quantile(Z, Y, losses, hyper):
    """tau (y - z) below the target, (1 - tau) (z - y) above: the pinball loss.

    Outputs take their tau from ``hyper`` in turn; Koenker and Bassett (1978).
    """
    z, y, loss, zero = flat(Z), flat(Y), flat(losses), Z.dtype.type(0)
    for k in range(hyper.size):
        up, down = Z.dtype.type(1 - hyper[k]), Z.dtype.type(-hyper[k])
        for i in range(k, z.size, hyper.size):
            error = z[i] - y[i]
            slope = up if error > zero else (down if error < zero else error)
            loss[i] = slope * error
            z[i] = slope


@jit(form=LINK)
def sorted_link(Z):
    """Ascending rows: quantiles that crossed change places.

    Chernozhukov, Fernandez-Val and Galichon (2010). By insertion: rows are short.
    """
    for i in range(Z.shape[0]):
        for k in range(1, Z.shape[1]):
            value, at = Z[i, k], k
            while at > 0 and Z[i, at - 1] > value:
                Z[i, at] = Z[i, at - 1]
                at -= 1
            Z[i, at] = value


@jit(form=LINK)
def gaussian_link(Z):
    """The second half of the outputs becomes standard deviations, sqrt(v) of below."""
    least = epsilon_of(Z) * epsilon_of(Z)
    for i in range(Z.shape[0]):
        for k in range(Z.shape[1] // 2, Z.shape[1]):
            Z[i, k] = np.sqrt(exp(Z[i, k]) + least)


@jit(form=LOSS)
def gaussian_nll(Z, Y, losses, hyper):
    """(log v + (z - y)^2 / v) / 2 with v = exp(s) + eps^2, for means z and raw s.

    Of 2k outputs the first k are z and the others s. The exponential makes a change
    of the targets' unit a mere shift of s; eps^2 keeps v from zero. The constant
    log(2 pi) / 2 is left out. Derivatives, not the losses, are multiplied by
    v^beta: that is beta-NLL of Seitzer et al. (2022), whose weight is held fixed
    in derivation.
    """
    z, y, loss = flat(Z), flat(Y), flat(losses)
    half, one, beta = Z.dtype.type(0.5), Z.dtype.type(1), Z.dtype.type(hyper[0])
    least = epsilon_of(Z) * epsilon_of(Z)
    n_rows, k = Y.shape
    for j in range(k):
        for i in range(n_rows):
            at = 2 * k * i + j
            error, v = z[at] - y[k * i + j], exp(z[at + k]) + least
            log_v, ratio = log(v), error * error / v
            factor = exp(beta * log_v)
            loss[at], loss[at + k] = half * (log_v + ratio), 0.0
            z[at] = factor * error / v
            z[at + k] = factor * half * (one - least / v) * (one - ratio)


@jit(form=LINK)
def exp_link(Z):
    z = flat(Z)
    for i in range(z.size):
        z[i] = exp(z[i])


@jit(form=LOSS)
def poisson(Z, Y, losses, hyper):
    """y log(y / mu) - y + mu with mu = exp(z)."""
    z, y, loss = flat(Z), flat(Y), flat(losses)
    zero = Z.dtype.type(0)
    for i in range(z.size):
        mu = exp(z[i])
        log_ratio = log(y[i]) - z[i] if y[i] > zero else zero
        loss[i] = np.float64(y[i]) * log_ratio - y[i] + mu
        z[i] = mu - y[i]


@jit(form=LOSS)
def gamma(Z, Y, losses, hyper):
    """r - log r - 1 with r = y / mu and mu = exp(z): half the gamma deviance."""
    z, y, one = flat(Z), flat(Y), Z.dtype.type(1)
    for i in range(z.size):
        log_ratio = log(y[i]) - z[i]
        ratio = exp(log_ratio)
        y[i] = ratio - log_ratio - one
        z[i] = one - ratio
    widen(losses, y)


@jit(form=LOSS)
def tweedie(Z, Y, losses, hyper):
    """mu^a / a + y mu^-b / b - y^a / (a b) with mu = exp(z), a = 2 - p, b = p - 1.

    Half the deviance of power p, 1 < p < 2; Jorgensen (1987).
    """
    z, y, power = flat(Z), flat(Y), hyper[0]
    zero, a, b = Z.dtype.type(0), Z.dtype.type(2 - power), Z.dtype.type(power - 1)
    per_a, per_b = Z.dtype.type(1 / (2 - power)), Z.dtype.type(1 / (power - 1))
    per_ab = Z.dtype.type(1 / ((2 - power) * (power - 1)))
    for i in range(z.size):
        mu_a, y_a = exp(a * z[i]), exp(a * log(y[i]))
        y_mu_b = y[i] * exp(-b * z[i]) if y[i] > zero else zero
        y[i] = per_a * mu_a + per_b * y_mu_b - per_ab * y_a
        z[i] = mu_a - y_mu_b
    widen(losses, y)


@jit(form=LINK)
def logistic_link(Z):
    z = flat(Z)
    for i in range(z.size):
        z[i] = logistic(z[i])


@jit
def minus_logs(z, e, zero, cap):
    """-log p and -log(1 - p), at most ``cap``, with p = 1 / (1 + exp(-z))."""
    log_part = log1p_unit(e)  # e = exp(-|z|)
    minus_log_p = log_part + (zero if z > zero else -z)
    minus_log_q = log_part + (z if z > zero else zero)
    minus_log_p = cap if minus_log_p > cap else minus_log_p
    minus_log_q = cap if minus_log_q > cap else minus_log_q
    return minus_log_p, minus_log_q


@jit(form=LOSS)
def binary_log_loss(Z, Y, losses, hyper):
    """-y log p - (1 - y) log(1 - p) with p = 1 / (1 + exp(-z))."""
    z, y = flat(Z), flat(Y)
    zero, one = Z.dtype.type(0), Z.dtype.type(1)
    cap = -np.log(epsilon_of(Z))
    for i in range(z.size):
        e = exp(-abs(z[i]))
        minus_log_p, minus_log_q = minus_logs(z[i], e, zero, cap)
        p = (one if z[i] > zero else e) / (one + e)
        z[i] = p - y[i]
        y[i] = y[i] * minus_log_p + (one - y[i]) * minus_log_q
    widen(losses, y)


@jit(form=LOSS)
def binary_focal(Z, Y, losses, hyper):
    """-y q^gamma log p - (1 - y) p^gamma log q with q = 1 - p; Lin et al. (2017)."""
    z, y = flat(Z), flat(Y)
    zero, one, gamma = Z.dtype.type(0), Z.dtype.type(1), Z.dtype.type(hyper[0])
    cap = -np.log(epsilon_of(Z))
    for i in range(z.size):
        e = exp(-abs(z[i]))
        minus_log_p, minus_log_q = minus_logs(z[i], e, zero, cap)
        p = (one if z[i] > zero else e) / (one + e)
        q = (e if z[i] > zero else one) / (one + e)
        positive = y[i] * exp(-gamma * minus_log_q)
        negative = (one - y[i]) * exp(-gamma * minus_log_p)
        y[i] = positive * minus_log_p + negative * minus_log_q
        rise = negative * (p + gamma * q * minus_log_q)
        z[i] = rise - positive * (q + gamma * p * minus_log_p)
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
def normalize(p):
    """p <- p / sum(p)."""
    total = p.dtype.type(0)
    for k in range(p.size):
        total += p[k]
    factor = p.dtype.type(1) / total
    for k in range(p.size):
        p[k] *= factor


@jit(form=LINK)
def softmax_link(Z):
    z, shape = flat(Z), (Z.shape[1],)
    for i in range(Z.shape[0]):
        subtract_top(vector_view(Z, i * Z.shape[1], shape))
    for i in range(z.size):  # one loop over all elements: rows are short
        z[i] = exp(z[i])
    for i in range(Z.shape[0]):
        normalize(vector_view(Z, i * Z.shape[1], shape))


@jit(form=LOSS)
def log_loss(Z, Y, losses, hyper):
    """-sum_k y_k log p_k with p = softmax(z)."""
    z, y, eps = flat(Z), flat(Y), epsilon_of(Z)
    softmax_link(Z)
    for i in range(z.size):
        minus_log_p = -log(eps if z[i] < eps else z[i])
        z[i] -= y[i]
        y[i] *= minus_log_p
    widen(losses, y)


@jit
def softmax_back(p, dp):
    """p <- d loss / d z, with ``dp`` = p times d loss / d p."""
    total = p.dtype.type(0)
    for k in range(p.size):
        total += dp[k]
    for k in range(p.size):
        p[k] = dp[k] - p[k] * total


@jit(form=LOSS)
def focal(Z, Y, losses, hyper):
    """-sum_k y_k (1 - p_k)^gamma log p_k with p = softmax(z); Lin et al. (2017)."""
    z, y, loss, eps = flat(Z), flat(Y), flat(losses), epsilon_of(Z)
    one, gamma = Z.dtype.type(1), Z.dtype.type(hyper[0])
    softmax_link(Z)
    for i in range(z.size):
        minus_log_p = -log(eps if z[i] < eps else z[i])
        q = one - z[i]
        q = eps if q < eps else q
        part = y[i] * exp(gamma * log(q))
        loss[i] = part * minus_log_p
        y[i] = -part * (one + gamma * z[i] * minus_log_p / q)
    for i in range(Z.shape[0]):
        start, shape = i * Z.shape[1], (Z.shape[1],)
        softmax_back(vector_view(Z, start, shape), vector_view(Y, start, shape))


class Loss(NamedTuple):
    """A row of the table.

    Attributes
    ----------
    kernel : callable
        The kernel.
    link : str
        The link that it contains.
    hyper : tuple of str
        Parameters of the estimator that it reads.
    per_target : int
        Raw predictions for each column of targets.
    """

    kernel: Callable
    link: str
    hyper: tuple = ()
    per_target: int = 1


LINKS = {
    "identity": identity_link,
    "sorted": sorted_link,
    "gaussian": gaussian_link,
    "exp": exp_link,
    "logistic": logistic_link,
    "softmax": softmax_link,
}
LOSSES = {
    "squared_error": Loss(squared_error, "identity"),
    "absolute_error": Loss(absolute_error, "identity"),
    "huber": Loss(huber, "identity", ("huber_delta",)),
    "log_cosh": Loss(log_cosh, "identity"),
    "quantile": Loss(quantile, "identity", ("quantile",)),
    "quantiles": Loss(quantile, "sorted", ("quantile",)),  # several of one target
    "gaussian_nll": Loss(gaussian_nll, "gaussian", ("nll_beta",), per_target=2),
    "poisson": Loss(poisson, "exp"),
    "gamma": Loss(gamma, "exp"),
    "tweedie": Loss(tweedie, "exp", ("tweedie_power",)),
    "binary_log_loss": Loss(binary_log_loss, "logistic"),
    "log_loss": Loss(log_loss, "softmax"),
    "binary_focal": Loss(binary_focal, "logistic", ("focal_gamma",)),
    "focal": Loss(focal, "softmax", ("focal_gamma",)),
}


def loss_address(name, dtype):
    """Address of a loss."""
    return address(LOSSES[name].kernel, dtype)


def loss_hyper(name, values):
    """Parameters of a loss, out of a dict of numbers and sequences of them."""
    parts = [np.ravel(values[key]) for key in LOSSES[name].hyper]
    return np.concatenate([np.empty(0), *parts])


def link_address(name, dtype):
    """Address of a link."""
    return address(LINKS[name], dtype)
