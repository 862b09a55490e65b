"""Optimizers: one loop each over flat vectors.

``<name>_step(params, gradient, moments, start, l2, rate, hyper)`` moves one stretch of
the parameters, which begins at ``start`` in the rows of ``moments``, along its gradient
plus that of the penalty l2 / 2 * sum(params ** 2).  It returns the sum of squares that
it met on the way.  ``rate`` is the learning rate times the row's correction.  ``hyper``
holds the parameters named in the table, in that order, and behind them the numbers that
the optimizer carries from step to step; an empty stretch, which precedes the others of
a step, tells it to change them.

To add one: the function and a row in ``OPTIMIZERS``.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from skmlp.core.layout import DECAYS, GROUP, LENGTH, START
from skmlp.machine.forms import Form
from skmlp.machine.intrinsics import address, call, vector_view
from skmlp.machine.jit import jit
from skmlp.machine.math import flush, flush_square
from skmlp.machine.team import share

STEP = Form(
    *("vector", "vector", "matrix", "index", "scalar", "scalar", "hyper"),
    returns="scalar",
)


@jit(view=True)
def moment(moments, k, start, length):
    """Stretch of the k-th moment."""
    return vector_view(moments[k], start, (length,))


@jit
def penalised(params, gradient, i, l2):
    """Parameter i, and its gradient with the penalty's.

    Weights of units that are never active shrink with each step. Numbers whose square
    is denormal count as zero, or such units would slow down every later step.
    """
    w = flush_square(params[i])
    return w, flush_square(gradient[i] + l2 * w)


@jit(form=STEP)
def no_step(params, gradient, moments, start, l2, rate, hyper):
    """Leave the penalised gradient as the result."""
    l2, squares = params.dtype.type(l2), params.dtype.type(0)
    for i in range(params.size):
        gradient[i] += l2 * params[i]
        squares += params[i] * params[i]
    return np.float64(squares)


@jit(form=STEP)
def sgd_step(params, gradient, moments, start, l2, rate, hyper):
    """v <- momentum v - rate g; params += v, or momentum v - rate g (Nesterov)."""
    real = params.dtype.type
    velocity = moment(moments, 0, start, params.size)
    momentum, rate, l2, squares = real(hyper[0]), real(rate), real(l2), real(0)
    nesterov = hyper[1] != 0
    for i in range(params.size):
        w, g = penalised(params, gradient, i, l2)
        v = flush(momentum * velocity[i] - rate * g)
        velocity[i] = v
        params[i] = w + (momentum * v - rate * g if nesterov else v)
        squares += w * w
    return np.float64(squares)


@jit
def average(memory, i, decay, rest, value):
    """memory[i] <- decay memory[i] + rest value."""
    mean = flush(decay * memory[i] + rest * value)
    memory[i] = mean
    return mean


@jit(form=STEP)
def adam_step(params, gradient, moments, start, l2, rate, hyper):
    """Kingma and Ba (2015), algorithm 1; ``rate`` holds the bias correction."""
    real = params.dtype.type
    first = moment(moments, 0, start, params.size)
    second = moment(moments, 1, start, params.size)
    beta_1, rest_1 = real(hyper[0]), real(1 - hyper[0])
    beta_2, rest_2 = real(hyper[1]), real(1 - hyper[1])
    epsilon, rate, l2, squares = real(hyper[2]), real(rate), real(l2), real(0)
    for i in range(params.size):
        w, g = penalised(params, gradient, i, l2)
        m = average(first, i, beta_1, rest_1, g)
        v = average(second, i, beta_2, rest_2, g * g)
        params[i] = w - rate * m / (np.sqrt(v) + epsilon)
        squares += w * w
    return np.float64(squares)


@jit(form=STEP)
def amsgrad_step(params, gradient, moments, start, l2, rate, hyper):
    """Reddi et al. (2018), algorithm 2: Adam with the largest v so far."""
    real = params.dtype.type
    first = moment(moments, 0, start, params.size)
    second = moment(moments, 1, start, params.size)
    largest = moment(moments, 2, start, params.size)
    beta_1, rest_1 = real(hyper[0]), real(1 - hyper[0])
    beta_2, rest_2 = real(hyper[1]), real(1 - hyper[1])
    epsilon, rate, l2, squares = real(hyper[2]), real(rate), real(l2), real(0)
    for i in range(params.size):
        w, g = penalised(params, gradient, i, l2)
        m = average(first, i, beta_1, rest_1, g)
        v = average(second, i, beta_2, rest_2, g * g)
        v = largest[i] if v < largest[i] else v  # written so that NaN passes
        largest[i] = v
        params[i] = w - rate * m / (np.sqrt(v) + epsilon)
        squares += w * w
    return np.float64(squares)


@jit(form=STEP)
def nadam_step(params, gradient, moments, start, l2, rate, hyper):
    """Dozat (2016), algorithm 2 with a constant momentum: Adam that looks ahead, to

    beta_1 m / (1 - beta_1^(t + 1)) + (1 - beta_1) g / (1 - beta_1^t)

    in the place of m / (1 - beta_1^t). The last number of ``hyper`` is t.
    """
    if params.size == 0:
        hyper[3] += 1
    real, power = params.dtype.type, hyper[0] ** hyper[3]
    first = moment(moments, 0, start, params.size)
    second = moment(moments, 1, start, params.size)
    beta_1, rest_1 = real(hyper[0]), real(1 - hyper[0])
    beta_2, rest_2 = real(hyper[1]), real(1 - hyper[1])
    ahead = real(hyper[0] * (1 - power) / (1 - hyper[0] * power))
    epsilon, rate, l2, squares = real(hyper[2]), real(rate), real(l2), real(0)
    for i in range(params.size):
        w, g = penalised(params, gradient, i, l2)
        m = average(first, i, beta_1, rest_1, g)
        v = average(second, i, beta_2, rest_2, g * g)
        params[i] = w - rate * (ahead * m + rest_1 * g) / (np.sqrt(v) + epsilon)
        squares += w * w
    return np.float64(squares)


@jit(form=STEP)
def adagrad_step(params, gradient, moments, start, l2, rate, hyper):
    """Duchi, Hazan and Singer (2011), the diagonal form: v += g^2."""
    real = params.dtype.type
    total = moment(moments, 0, start, params.size)
    epsilon, rate, l2, squares = real(hyper[0]), real(rate), real(l2), real(0)
    for i in range(params.size):
        w, g = penalised(params, gradient, i, l2)
        v = flush(total[i] + g * g)
        total[i] = v
        params[i] = w - rate * g / (np.sqrt(v) + epsilon)
        squares += w * w
    return np.float64(squares)


@jit(form=STEP)
def rmsprop_step(params, gradient, moments, start, l2, rate, hyper):
    """Tieleman and Hinton (2012): v <- rho v + (1 - rho) g^2."""
    real = params.dtype.type
    second = moment(moments, 0, start, params.size)
    rho, rest, epsilon = real(hyper[0]), real(1 - hyper[0]), real(hyper[1])
    rate, l2, squares = real(rate), real(l2), real(0)
    for i in range(params.size):
        w, g = penalised(params, gradient, i, l2)
        v = average(second, i, rho, rest, g * g)
        params[i] = w - rate * g / (np.sqrt(v) + epsilon)
        squares += w * w
    return np.float64(squares)


@jit(form=STEP)
def lion_step(params, gradient, moments, start, l2, rate, hyper):
    """Chen et al. (2023): a step of the same length for all, by the sign of

    beta_1 m + (1 - beta_1) g; then m <- beta_2 m + (1 - beta_2) g.
    """
    real = params.dtype.type
    first = moment(moments, 0, start, params.size)
    beta_1, rest_1 = real(hyper[0]), real(1 - hyper[0])
    beta_2, rest_2 = real(hyper[1]), real(1 - hyper[1])
    rate, l2, squares, zero, one = real(rate), real(l2), real(0), real(0), real(1)
    for i in range(params.size):
        w, g = penalised(params, gradient, i, l2)
        c = beta_1 * first[i] + rest_1 * g
        average(first, i, beta_2, rest_2, g)
        sign = one if c > zero else (-one if c < zero else c)  # of zero and NaN: itself
        params[i] = w - rate * sign
        squares += w * w
    return np.float64(squares)


@jit(form=STEP)
def schedule_free_step(params, gradient, moments, start, l2, rate, hyper):
    """Defazio et al. (2024), algorithm 1: AdamW without a schedule.

    With z, where Adam without momentum is, its average x, and the parameters
    y = x + (1 - beta_1) (z - x), where gradients are taken,

    z <- z - rate g / (sqrt(v / (1 - beta_2^t)) + epsilon),  x <- (1 - c) x + c z.

    The second moment is z - x; the last numbers of ``hyper`` are t, the largest rate
    so far, and the sum of its squares, of which c is the share of this step.
    """
    if params.size == 0:
        hyper[3] += 1
        hyper[4] = max(hyper[4], rate)
        hyper[5] += hyper[4] ** 2
    real, correction = params.dtype.type, np.sqrt(1 - hyper[1] ** hyper[3])
    c = hyper[4] ** 2 / hyper[5] if hyper[5] > 0 else 0.0
    second = moment(moments, 0, start, params.size)
    lead = moment(moments, 1, start, params.size)
    beta_2, rest_2 = real(hyper[1]), real(1 - hyper[1])
    epsilon, rate, l2 = real(hyper[2] * correction), real(rate * correction), real(l2)
    rest_1, rest_c, squares = real(1 - hyper[0]), real(1 - c), real(0)
    from_z = real(1 - hyper[0] * (1 - c))
    for i in range(params.size):
        w, g = penalised(params, gradient, i, l2)
        v = average(second, i, beta_2, rest_2, g * g)
        before = lead[i]
        ahead = before - rate * g / (np.sqrt(v) + epsilon)  # the new z, less the old x
        lead[i] = flush(rest_c * ahead)
        params[i] = w - rest_1 * before + from_z * ahead
        squares += w * w
    return np.float64(squares)


@jit
def lead_of(moments, hyper):
    """z - x, and the share of it that is between x and y."""
    return moments[1], 1 - hyper[0]


@jit
def begin_step(step, params, moments, rate, hyper):
    """Update the optimizer's scalars in ``hyper``, by a call with an empty stretch."""
    none = np.int64(0)
    empty = vector_view(params, none, (none,))
    call(STEP, step, (empty, empty, moments, none, 0.0, rate, hyper))


@jit
def update(
    step, stretches, params, gradient, moments, l2, rate, factors, hyper, squares, team
):
    """One step of the optimizer, stretch by stretch, of which each thread takes some.

    ``rate`` is the learning rate, and ``factors`` has a factor of it for each group of
    parameters. ``squares`` receives the sum of squares of each stretch that decays, and
    0 for the others.
    """
    first, last = share(squares.size, team.rank, team.size)
    for i in range(first, last):
        start, length = stretches[i, START], stretches[i, LENGTH]
        p = vector_view(params, start, (length,))
        g = vector_view(gradient, start, (length,))
        decays = stretches[i, DECAYS] != 0
        penalty, own_rate = l2 if decays else 0.0, rate * factors[stretches[i, GROUP]]
        part = call(STEP, step, (p, g, moments, start, penalty, own_rate, hyper))
        squares[i] = part if decays else 0.0


def uncorrected(t, hyper):
    """A factor of one."""
    return 1.0


def bias_correction(t, hyper):
    """Adam's sqrt(1 - beta_2^t) / (1 - beta_1^t)."""
    beta_1, beta_2 = hyper[:2].tolist()
    return np.sqrt(1 - beta_2**t) / (1 - beta_1**t)


def ahead_of_average(moments, hyper):
    """(1 - beta_1) (z - x), from the average x to the point of the next gradient."""
    return (1 - float(hyper[0])) * moments[1]


class Optimizer(NamedTuple):
    """A row of the table.

    Attributes
    ----------
    step : callable
        The kernel.
    hyper : tuple of str
        Parameters of the estimator that it reads.
    n_moments : int
        Vectors that it carries from step to step, zero at first.
    n_scalars : int
        Numbers that it carries likewise, behind its parameters in ``hyper``.
    correction : callable
        Factor of the learning rate, of an array of steps t = 1, 2, ... and ``hyper``.
    lead : callable or None
        Distance from the weights that training is for to those whose gradient it
        takes, of ``moments`` and ``hyper``, where the two differ.
    """

    step: Callable
    hyper: tuple
    n_moments: int
    n_scalars: int = 0
    correction: Callable = uncorrected
    lead: Callable | None = None


_ADAM = "beta_1", "beta_2", "epsilon"
OPTIMIZERS = {
    "none": Optimizer(no_step, (), 0),
    "sgd": Optimizer(sgd_step, ("momentum", "nesterovs_momentum"), 1),
    "adam": Optimizer(adam_step, _ADAM, 2, correction=bias_correction),
    "adamw": Optimizer(adam_step, _ADAM, 2, correction=bias_correction),
    "nadam": Optimizer(nadam_step, _ADAM, 2, 1, correction=bias_correction),
    "amsgrad": Optimizer(amsgrad_step, _ADAM, 3, correction=bias_correction),
    "adagrad": Optimizer(adagrad_step, ("epsilon",), 1),
    "rmsprop": Optimizer(rmsprop_step, ("rho", "epsilon"), 1),
    "lion": Optimizer(lion_step, ("beta_1", "beta_2"), 1),
    "schedule_free": Optimizer(schedule_free_step, _ADAM, 2, 3, lead=ahead_of_average),
}


def step_address(name, dtype):
    """Address of an optimizer's step."""
    return address(OPTIMIZERS[name].step, dtype)
