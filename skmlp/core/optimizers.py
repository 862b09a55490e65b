"""Optimizers: one loop each over flat vectors.

``<name>_step(params, gradient, moments, start, l2, rate, hyper)`` moves one stretch of
the parameters, which begins at ``start`` in the rows of ``moments``, along its gradient
plus that of the penalty l2 / 2 * sum(params ** 2).  It returns the sum of squares that
it met on the way.  ``hyper`` holds the parameters named in the table, in that order.

To add one: the function and a row in ``OPTIMIZERS``.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from skmlp.core.intrinsics import addresses, call_for_float, vector_view
from skmlp.core.jit import jit
from skmlp.core.math import flush, flush_square

# So short that a sum of squares in the working type keeps its precision.
_STRETCH = 8192


@jit
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


@jit(entry=True)
def no_step(params, gradient, moments, start, l2, rate, hyper):
    """Leave the penalised gradient as the result."""
    l2, squares = params.dtype.type(l2), params.dtype.type(0)
    for i in range(params.size):
        gradient[i] += l2 * params[i]
        squares += params[i] * params[i]
    return np.float64(squares)


@jit(entry=True)
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


@jit(entry=True)
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
        m = flush(beta_1 * first[i] + rest_1 * g)
        v = flush(beta_2 * second[i] + rest_2 * (g * g))
        first[i] = m
        second[i] = v
        params[i] = w - rate * m / (np.sqrt(v) + epsilon)
        squares += w * w
    return np.float64(squares)


@jit
def update(step, params, gradient, moments, n_weights, l2, rate, hyper):
    """One step of the optimizer, stretch by stretch; biases are not penalised.

    Returns the penalty l2 / 2 * sum(weights ** 2) at the parameters given.
    """
    squares, start = 0.0, 0
    while start < params.size:
        is_weight = start < n_weights
        length = min(_STRETCH, (n_weights if is_weight else params.size) - start)
        p = vector_view(params, start, (length,))
        g = vector_view(gradient, start, (length,))
        factor = l2 if is_weight else 0.0
        part = call_for_float(step, (p, g, moments, start, factor, rate, hyper))
        squares += part if is_weight else 0.0
        start += length
    return 0.5 * l2 * squares


class Optimizer(NamedTuple):
    """A row of the table.

    Attributes
    ----------
    step : callable
        The kernel.
    hyper : tuple of str
        Parameters of the estimator that it reads.
    n_moments : int
        Vectors that it carries from step to step.
    """

    step: Callable
    hyper: tuple
    n_moments: int


OPTIMIZERS = {
    "none": Optimizer(no_step, (), 0),
    "sgd": Optimizer(sgd_step, ("momentum", "nesterovs_momentum"), 1),
    "adam": Optimizer(adam_step, ("beta_1", "beta_2", "epsilon"), 2),
}


def step_address(name, dtype):
    """Address of an optimizer's step."""
    kinds = "vector", "vector", "matrix", "index", "scalar", "scalar", "hyper"
    return addresses((OPTIMIZERS[name].step,), dtype, kinds)[0]
