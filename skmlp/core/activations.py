"""Activations of hidden layers: forward and backward side by side.

``<name>_forward(Z, bias)`` overwrites the products Z = A W, of shape (rows, units),
with the activations f(Z + bias).  ``<name>_backward(delta, db, A)`` turns
delta = d loss / d activation into d loss / d pre-activation, by f' written in terms
of the activation A, and adds its sum over rows to db.

To add one: the pair of functions and a row in ``ACTIVATIONS``.  The training kernel
calls them by address, so that only what a network uses is ever compiled.
"""

from collections.abc import Callable
from typing import NamedTuple

from skmlp.core.intrinsics import addresses, flat
from skmlp.core.jit import jit
from skmlp.core.math import flush, logistic, tanh


@jit(entry=True)
def identity_forward(Z, bias):
    if Z.shape[1] == 1:  # the one output of most networks: a loop over rows
        z = flat(Z)
        for i in range(z.size):
            z[i] += bias[0]
        return
    for i in range(Z.shape[0]):
        for j in range(Z.shape[1]):
            Z[i, j] += bias[j]


@jit(entry=True)
def identity_backward(delta, db, A):
    if delta.shape[1] == 1:
        d = flat(delta)
        for i in range(d.size):
            db[0] += d[i]
        return
    for i in range(delta.shape[0]):
        for j in range(delta.shape[1]):
            db[j] += delta[i, j]


@jit(entry=True)
def logistic_forward(Z, bias):
    for i in range(Z.shape[0]):
        for j in range(Z.shape[1]):
            Z[i, j] = logistic(Z[i, j] + bias[j])


@jit(entry=True)
def logistic_backward(delta, db, A):
    one = delta.dtype.type(1)
    for i in range(delta.shape[0]):
        for j in range(delta.shape[1]):
            d = flush(delta[i, j] * A[i, j] * (one - A[i, j]))
            delta[i, j] = d
            db[j] += d


@jit(entry=True)
def tanh_forward(Z, bias):
    for i in range(Z.shape[0]):
        for j in range(Z.shape[1]):
            Z[i, j] = tanh(Z[i, j] + bias[j])


@jit(entry=True)
def tanh_backward(delta, db, A):
    one = delta.dtype.type(1)
    for i in range(delta.shape[0]):
        for j in range(delta.shape[1]):
            d = flush(delta[i, j] * (one - A[i, j] * A[i, j]))
            delta[i, j] = d
            db[j] += d


@jit(entry=True)
def relu_forward(Z, bias):
    zero = Z.dtype.type(0)
    for i in range(Z.shape[0]):
        for j in range(Z.shape[1]):
            z = Z[i, j] + bias[j]
            Z[i, j] = zero if z < zero else z  # written so that NaN passes


@jit(entry=True)
def relu_backward(delta, db, A):
    zero = delta.dtype.type(0)
    for i in range(delta.shape[0]):
        for j in range(delta.shape[1]):
            d = zero if A[i, j] == zero else delta[i, j]
            delta[i, j] = d
            db[j] += d


class Activation(NamedTuple):
    """A row of the table."""

    forward: Callable
    backward: Callable


ACTIVATIONS = {
    "identity": Activation(identity_forward, identity_backward),
    "logistic": Activation(logistic_forward, logistic_backward),
    "tanh": Activation(tanh_forward, tanh_backward),
    "relu": Activation(relu_forward, relu_backward),
}


def activation_addresses(names, dtype):
    """Addresses of the forward and backward kernels of one activation per layer."""
    forward = tuple(ACTIVATIONS[name].forward for name in names)
    backward = tuple(ACTIVATIONS[name].backward for name in names)
    return (
        addresses(forward, dtype, ("matrix", "vector")),
        addresses(backward, dtype, ("matrix", "vector", "matrix")),
    )
