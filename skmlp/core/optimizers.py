"""Optimizers: one loop each over flat vectors.

``<name>_step(params, gradient, moments, start, rate, hyper)`` moves one stretch of the
parameters; it begins at ``start`` in the rows of ``moments``. ``hyper`` holds the
parameters named in the table, in that order.

To add one: the function and a row in ``OPTIMIZERS``.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from skmlp.core.intrinsics import addresses, call, vector_view
from skmlp.core.jit import jit
from skmlp.core.math import flush

# A stretch of four vectors stays in the first-level cache between two passes.
_STRETCH = 2048


@jit
def moment(moments, k, start, length):
    """Stretch of the k-th moment."""
    return vector_view(moments[k], start, (length,))


@jit(entry=True)
def no_step(params, gradient, moments, start, rate, hyper):
    """Leave the gradient as the result."""
    return


@jit(entry=True)
def sgd_step(params, gradient, moments, start, rate, hyper):
    """v <- momentum v - rate g; params += v, or momentum v - rate g (Nesterov)."""
    real = params.dtype.type
    velocity = moment(moments, 0, start, params.size)
    momentum, rate = real(hyper[0]), real(rate)
    nesterov = hyper[1] != 0
    for i in range(params.size):
        v = flush(momentum * velocity[i] - rate * gradient[i])
        velocity[i] = v
        params[i] += momentum * v - rate * gradient[i] if nesterov else v


@jit(entry=True)
def adam_step(params, gradient, moments, start, rate, hyper):
    """Kingma and Ba (2015), algorithm 1; ``rate`` holds the bias correction."""
    real = params.dtype.type
    first = moment(moments, 0, start, params.size)
    second = moment(moments, 1, start, params.size)
    beta_1, rest_1 = real(hyper[0]), real(1 - hyper[0])
    beta_2, rest_2 = real(hyper[1]), real(1 - hyper[1])
    epsilon, rate = real(hyper[2]), real(rate)
    for i in range(params.size):
        g = gradient[i]
        m = flush(beta_1 * first[i] + rest_1 * g)
        v = flush(beta_2 * second[i] + rest_2 * (g * g))
        first[i] = m
        second[i] = v
        params[i] -= rate * m / (np.sqrt(v) + epsilon)


@jit
def penalise(weights, gradient, l2):
    """gradient += l2 * weights; returns the sum of squares of the weights."""
    l2 = weights.dtype.type(l2)
    squares = weights.dtype.type(0)
    for i in range(weights.size):
        w = weights[i]
        gradient[i] += l2 * w
        squares += w * w
    return np.float64(squares)


@jit
def update(step, params, gradient, moments, n_weights, l2, rate, hyper):
    """Penalty, then optimizer, stretch by stretch.

    Returns the penalty l2 / 2 * sum(weights ** 2) at the parameters given.
    """
    squares = 0.0
    for start in range(0, params.size, _STRETCH):
        length = min(_STRETCH, params.size - start)
        p = vector_view(params, start, (length,))
        g = vector_view(gradient, start, (length,))
        n_penalised = max(0, min(length, n_weights - start))
        squares += penalise(vector_view(p, 0, (n_penalised,)), g, l2)
        call(step, (p, g, moments, start, rate, hyper))
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
    kinds = "vector", "vector", "matrix", "index", "scalar", "hyper"
    return addresses((OPTIMIZERS[name].step,), dtype, kinds)[0]
