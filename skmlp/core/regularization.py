"""What may happen to a gradient before a step, and to the parameters around it.

Each kernel is called by address, and only where it is asked for:

``prepare(params, gradient, n_weights, l1, l2, limits)``
    adds the penalties' gradients and clips the whole; returns the penalties.
``decay(params, moments, hyper, n_weights, factor)``
    shrinks the weights, apart from the loss.
``bound(params, moments, hyper, scratch, table, limits)``
    keeps each unit's incoming weights within a norm.
``average(average, params, factor)``
    follows the parameters.

``moments`` and ``hyper`` are the optimizer's. Where it takes gradients beside the
weights that training is for (`lead`), decay and bound have forms of their own.
"""

from typing import NamedTuple

import numpy as np

from skmlp.core.layout import UNITS, WEIGHTS, WIDTH
from skmlp.core.optimizers import OPTIMIZERS, lead_of
from skmlp.machine.forms import Form
from skmlp.machine.intrinsics import address, matrix_view, vector_view
from skmlp.machine.jit import jit

PREPARE = Form(
    *("vector", "vector", "index", "scalar", "scalar", "hyper"), returns="scalar"
)
DECAY = Form("vector", "matrix", "hyper", "index", "scalar")
BOUND = Form("vector", "matrix", "hyper", "vector", "table", "hyper")
AVERAGE = Form("vector", "vector", "scalar")
# Items of `Regularization.limits`.
_CLIP_VALUE, _CLIP_NORM, _MAX_NORM, _EMA_DECAY = range(4)


class Regularization(NamedTuple):
    """Addresses of what is asked for, or zero, and its settings.

    Attributes
    ----------
    prepare, decay, bound, average : int
    l1_ratio : float
        Share of the L1 norm in the penalty.
    weight_decay : float
        Times the learning rate: by how much weights shrink in each step.
    limits : ndarray of shape (4,), float64
        Largest component and norm of the gradient, largest norm of a unit's incoming
        weights, decay of the average.
    """

    prepare: int
    decay: int
    bound: int
    average: int
    l1_ratio: float
    weight_decay: float
    limits: np.ndarray


def make_regularization(
    dtype,
    optimizer="none",
    *,
    l1_ratio=0.0,
    weight_decay=0.0,
    clip_value=None,
    clip_norm=None,
    max_norm=None,
    ema_decay=None,
):
    """Compile what is asked for, and nothing else.

    Parameters
    ----------
    dtype : dtype
    optimizer : str, default="none"
        Row of the optimizer table.
    l1_ratio, weight_decay : float, default=0.0
    clip_value, clip_norm, max_norm, ema_decay : float or None, default=None
        The estimators' parameters of these names.
    """
    clips = clip_value is not None or clip_norm is not None
    # Weights decay between penalty and step, which must then be apart.
    prepares = l1_ratio > 0 or clips or weight_decay > 0
    leads = OPTIMIZERS[optimizer].lead is not None
    decay, bound = (_decay_behind, _bound_behind) if leads else (_decay, _bound)
    limits = clip_value, clip_norm, max_norm, ema_decay
    return Regularization(
        prepare=address(_prepare, dtype) if prepares else 0,
        decay=address(decay, dtype) if weight_decay > 0 else 0,
        bound=address(bound, dtype) if max_norm is not None else 0,
        average=address(_average, dtype) if ema_decay is not None else 0,
        l1_ratio=float(l1_ratio),
        weight_decay=float(weight_decay),
        limits=np.array([np.inf if limit is None else limit for limit in limits]),
    )


@jit(form=PREPARE)
def _prepare(params, gradient, n_weights, l1, l2, limits):
    """Elastic net (Zou and Hastie, 2005), then clipping by value, then by norm."""
    real, zero = params.dtype.type, params.dtype.type(0)
    slope_1, slope_2, limit = real(l1), real(l2), real(limits[_CLIP_VALUE])
    absolute, squares, norm = 0.0, 0.0, 0.0
    for i in range(n_weights):
        w = params[i]
        absolute += abs(w)
        squares += np.float64(w) * w
        sign = slope_1 if w > zero else (-slope_1 if w < zero else zero)
        gradient[i] += slope_2 * w + sign
    for i in range(gradient.size):
        g = gradient[i]
        g = limit if g > limit else (-limit if g < -limit else g)
        gradient[i] = g
        norm += np.float64(g) * g
    norm = np.sqrt(norm)
    if norm > limits[_CLIP_NORM]:
        factor = real(limits[_CLIP_NORM] / norm)
        for i in range(gradient.size):
            gradient[i] *= factor
    return l1 * absolute + 0.5 * l2 * squares


@jit(form=DECAY)
def _decay(params, moments, hyper, n_weights, factor):
    """Loshchilov and Hutter (2019)."""
    factor = params.dtype.type(1 - factor)
    for i in range(n_weights):
        params[i] *= factor


@jit(form=DECAY)
def _decay_behind(params, moments, hyper, n_weights, factor):
    """Shrink z along y, not its average x (Defazio et al., 2024)."""
    lead, rest = lead_of(moments, hyper)
    factor, rest = params.dtype.type(factor), params.dtype.type(rest)
    for i in range(n_weights):
        shift = factor * params[i]
        lead[i] -= shift
        params[i] -= rest * shift


@jit(view=True)
def matrix_of(vector, table, layer):
    """The part of a vector like the parameters where a layer's weights lie."""
    shape = (table[layer - 1, UNITS], table[layer, WIDTH])
    return matrix_view(vector, table[layer, WEIGHTS], shape)


@jit
def to_factors(squares, limit):
    """Sums of squares <- what scales their columns down to the norm."""
    one = squares.dtype.type(1)
    for j in range(squares.size):
        norm = np.sqrt(squares[j])
        squares[j] = limit / norm if norm > limit else one


@jit(form=BOUND)
def _bound(params, moments, hyper, scratch, table, limits):
    """Scale the columns of each matrix down to the norm (Srivastava et al., 2014)."""
    limit = params.dtype.type(limits[_MAX_NORM])
    for layer in range(1, table.shape[0]):
        W = matrix_of(params, table, layer)
        factor = vector_view(scratch, 0, (W.shape[1],))
        factor[:] = 0
        for i in range(W.shape[0]):
            for j in range(W.shape[1]):
                factor[j] += W[i, j] * W[i, j]
        to_factors(factor, limit)
        for i in range(W.shape[0]):
            for j in range(W.shape[1]):
                W[i, j] *= factor[j]


@jit(form=BOUND)
def _bound_behind(params, moments, hyper, scratch, table, limits):
    """Scale the columns of both z and its average x, hence of all y between them."""
    real = params.dtype.type
    lead, rest = lead_of(moments, hyper)
    limit, rest = real(limits[_MAX_NORM]), real(rest)
    for layer in range(1, table.shape[0]):
        Y, L = matrix_of(params, table, layer), matrix_of(lead, table, layer)
        of_x = vector_view(scratch, 0, (Y.shape[1],))
        of_z = vector_view(scratch, Y.shape[1], (Y.shape[1],))
        of_x[:] = 0
        of_z[:] = 0
        for i in range(Y.shape[0]):
            for j in range(Y.shape[1]):
                x = Y[i, j] - rest * L[i, j]
                z = x + L[i, j]
                of_x[j] += x * x
                of_z[j] += z * z
        to_factors(of_x, limit)
        to_factors(of_z, limit)
        for i in range(Y.shape[0]):
            for j in range(Y.shape[1]):
                x = Y[i, j] - rest * L[i, j]
                z = of_z[j] * (x + L[i, j])
                x *= of_x[j]
                L[i, j] = z - x
                Y[i, j] = x + rest * L[i, j]


@jit(form=AVERAGE)
def _average(average, params, factor):
    """average += factor * (params - average)."""
    factor = params.dtype.type(factor)
    for i in range(params.size):
        average[i] += factor * (params[i] - average[i])


@jit
def averaging_factor(limits, t):
    """Weight of step t's parameters: larger at first, to forget the random start."""
    return max(1 - limits[_EMA_DECAY], 9 / (10 + t))
