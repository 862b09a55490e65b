"""Normalization of pre-activations: forward and backward side by side.

``<name>_forward(Z, X, scale, running, statistics, weight, momentum, epsilon)`` turns
the products Z = A W, of shape (rows, width), into X = (Z - mean) / sqrt(var + epsilon),
and overwrites them with X * scale; the shift is the layer's bias, which the activation
adds.
``<name>_backward(dZ, X, scale, dscale, statistics, weight)`` turns d loss / d (X scale)
into d loss / d Z, and fills ``dscale``.

Weights of rows enter means and variances: a row of weight 2 counts as two rows.
``statistics`` carries numbers from forward to backward.

To add one: its functions and a row in ``NORMALIZATIONS``.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from skmlp.machine.forms import Form
from skmlp.machine.intrinsics import address, vector_view
from skmlp.machine.jit import jit

_ARRAYS = "matrix", "matrix", "vector"
NORMALIZE = Form(*_ARRAYS, "matrix", "vector", "matrix", "scalar", "scalar")
NORMALIZE_BACK = Form(*_ARRAYS, "vector", "vector", "matrix")


@jit
def mean_and_scale(statistics, width):
    """Views for means, or sums, and for 1 / sqrt(var + epsilon), one per column."""
    shape = (width,)
    return vector_view(statistics, 0, shape), vector_view(statistics, width, shape)


@jit
def column_moments(mean, variance, Z, weight):
    """Weighted mean and (biased) variance of each column; returns the total weight."""
    mean[:] = 0
    variance[:] = 0
    total = weight.dtype.type(0)
    for i in range(Z.shape[0]):
        total += weight[i, 0]
        for j in range(Z.shape[1]):
            mean[j] += weight[i, 0] * Z[i, j]
    for j in range(mean.size):
        mean[j] /= total
    for i in range(Z.shape[0]):
        for j in range(Z.shape[1]):
            deviation = Z[i, j] - mean[j]
            variance[j] += weight[i, 0] * deviation * deviation
    for j in range(mean.size):
        variance[j] /= total
    return total


@jit
def take_running(mean, variance, running):
    """The running statistics in the place of those of a minibatch."""
    for j in range(mean.size):
        mean[j] = running[0, j]
        variance[j] = running[1, j]


@jit
def invert(variance, epsilon):
    """variance <- 1 / sqrt(variance + epsilon)."""
    one, epsilon = variance.dtype.type(1), variance.dtype.type(epsilon)
    for j in range(variance.size):
        variance[j] = one / np.sqrt(variance[j] + epsilon)


@jit(form=NORMALIZE)
def batch_forward(Z, X, scale, running, statistics, weight, momentum, epsilon):
    """Ioffe and Szegedy (2015). One row has no variance: the running ones serve."""
    mean, inverse = mean_and_scale(statistics, scale.size)
    if Z.shape[0] == 1:
        take_running(mean, inverse, running)
    else:
        column_moments(mean, inverse, Z, weight)
        momentum = scale.dtype.type(momentum)
        for j in range(scale.size):
            running[0, j] += momentum * (mean[j] - running[0, j])
            running[1, j] += momentum * (inverse[j] - running[1, j])
    invert(inverse, epsilon)
    for i in range(Z.shape[0]):
        for j in range(Z.shape[1]):
            x = (Z[i, j] - mean[j]) * inverse[j]
            X[i, j] = x
            Z[i, j] = x * scale[j]


@jit(form=NORMALIZE_BACK)
def batch_backward(dZ, X, scale, dscale, statistics, weight):
    """The mean and the variance depend on each row by its share of the weight."""
    sums, inverse = mean_and_scale(statistics, scale.size)
    zero = scale.dtype.type(0)
    sums[:] = 0
    dscale[:] = 0
    total = zero
    for i in range(dZ.shape[0]):
        total += weight[i, 0]
        for j in range(dZ.shape[1]):
            sums[j] += dZ[i, j]
            dscale[j] += dZ[i, j] * X[i, j]
    for i in range(dZ.shape[0]):
        share = zero if dZ.shape[0] == 1 else weight[i, 0] / total
        for j in range(dZ.shape[1]):
            d = dZ[i, j] - share * (sums[j] + X[i, j] * dscale[j])
            dZ[i, j] = d * scale[j] * inverse[j]


@jit(form=NORMALIZE)
def running_forward(Z, X, scale, running, statistics, weight, momentum, epsilon):
    """Batch normalization in prediction, by the running statistics."""
    mean, factor = mean_and_scale(statistics, scale.size)
    take_running(mean, factor, running)
    invert(factor, epsilon)
    for j in range(scale.size):
        factor[j] *= scale[j]
    for i in range(Z.shape[0]):
        for j in range(Z.shape[1]):
            Z[i, j] = (Z[i, j] - mean[j]) * factor[j]


@jit(form=NORMALIZE)
def layer_forward(Z, X, scale, running, statistics, weight, momentum, epsilon):
    """Ba, Kiros and Hinton (2016): over the units of a row."""
    real = scale.dtype.type
    n, epsilon = real(scale.size), real(epsilon)
    for i in range(Z.shape[0]):
        mean, variance = real(0), real(0)
        for j in range(Z.shape[1]):
            mean += Z[i, j]
        mean /= n
        for j in range(Z.shape[1]):
            variance += (Z[i, j] - mean) * (Z[i, j] - mean)
        inverse = real(1) / np.sqrt(variance / n + epsilon)
        statistics[i] = inverse
        for j in range(Z.shape[1]):
            x = (Z[i, j] - mean) * inverse
            X[i, j] = x
            Z[i, j] = x * scale[j]


@jit(form=NORMALIZE_BACK)
def layer_backward(dZ, X, scale, dscale, statistics, weight):
    real = scale.dtype.type
    n = real(scale.size)
    dscale[:] = 0
    for i in range(dZ.shape[0]):
        mean, slope = real(0), real(0)
        for j in range(dZ.shape[1]):
            dscale[j] += dZ[i, j] * X[i, j]
            dX = dZ[i, j] * scale[j]
            mean += dX
            slope += dX * X[i, j]
        mean /= n
        slope /= n
        for j in range(dZ.shape[1]):
            dX = dZ[i, j] * scale[j]
            dZ[i, j] = (dX - mean - X[i, j] * slope) * statistics[i]


class Normalization(NamedTuple):
    """A row of the table.

    Attributes
    ----------
    forward, backward, predict : callable
        The kernels of training, and what takes the place of forward in prediction.
    needs_whole_batch : bool
        Whether a minibatch must not be worked off in parts.
    """

    forward: Callable
    backward: Callable
    predict: Callable
    needs_whole_batch: bool


NORMALIZATIONS = {
    "batch": Normalization(batch_forward, batch_backward, running_forward, True),
    "layer": Normalization(layer_forward, layer_backward, layer_forward, False),
}


def normalization_addresses(name, dtype, *, training):
    """Addresses of forward and backward, or of what takes their place."""
    row = NORMALIZATIONS[name]
    if not training:
        return address(row.predict, dtype), 0
    return address(row.forward, dtype), address(row.backward, dtype)
