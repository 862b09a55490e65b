"""Activations of hidden layers: forward and backward side by side.

``<name>_forward(A, Z, bias)`` adds the bias to the products Z, of shape (rows, width),
and fills A, of shape (rows, units), with f(Z).  ``<name>_backward(dZ, db, dA, A, Z)``
turns dA = d loss / d A into dZ = d loss / d Z, and adds the sum of dZ over rows to db.

A row of the table says where the arrays lie.  ``in_place``: Z is not kept, but becomes
A, and f' is written in terms of A; the functions use A and dZ alone.  ``gated``: A has
half as many columns as Z.  Unless gated, dZ takes the place of dA, so use dZ alone.
(Loops over two names of the same memory would not be vectorised.)

To add one: the pair of functions and a row in ``ACTIVATIONS``.  The training kernel
calls them by address, so that only what a network uses is ever compiled.
"""

from collections.abc import Callable
from typing import NamedTuple

from skmlp.core.intrinsics import addresses, flat
from skmlp.core.jit import jit
from skmlp.core.math import flush, logistic, tanh


@jit(entry=True)
def identity_forward(A, Z, bias):
    if A.shape[1] == 1:  # the one output of most networks: a loop over rows
        a = flat(A)
        for i in range(a.size):
            a[i] += bias[0]
        return
    for i in range(A.shape[0]):
        for j in range(A.shape[1]):
            A[i, j] += bias[j]


@jit(entry=True)
def identity_backward(dZ, db, dA, A, Z):
    if dZ.shape[1] == 1:
        d = flat(dZ)
        for i in range(d.size):
            db[0] += d[i]
        return
    for i in range(dZ.shape[0]):
        for j in range(dZ.shape[1]):
            db[j] += dZ[i, j]


@jit(entry=True)
def logistic_forward(A, Z, bias):
    for i in range(A.shape[0]):
        for j in range(A.shape[1]):
            A[i, j] = logistic(A[i, j] + bias[j])


@jit(entry=True)
def logistic_backward(dZ, db, dA, A, Z):
    one = dZ.dtype.type(1)
    for i in range(dZ.shape[0]):
        for j in range(dZ.shape[1]):
            d = flush(dZ[i, j] * A[i, j] * (one - A[i, j]))
            dZ[i, j] = d
            db[j] += d


@jit(entry=True)
def tanh_forward(A, Z, bias):
    for i in range(A.shape[0]):
        for j in range(A.shape[1]):
            A[i, j] = tanh(A[i, j] + bias[j])


@jit(entry=True)
def tanh_backward(dZ, db, dA, A, Z):
    one = dZ.dtype.type(1)
    for i in range(dZ.shape[0]):
        for j in range(dZ.shape[1]):
            d = flush(dZ[i, j] * (one - A[i, j] * A[i, j]))
            dZ[i, j] = d
            db[j] += d


@jit(entry=True)
def relu_forward(A, Z, bias):
    zero = A.dtype.type(0)
    for i in range(A.shape[0]):
        for j in range(A.shape[1]):
            z = A[i, j] + bias[j]
            A[i, j] = zero if z < zero else z  # written so that NaN passes


@jit(entry=True)
def relu_backward(dZ, db, dA, A, Z):
    zero = dZ.dtype.type(0)
    for i in range(dZ.shape[0]):
        for j in range(dZ.shape[1]):
            d = zero if A[i, j] == zero else dZ[i, j]
            dZ[i, j] = d
            db[j] += d


class Activation(NamedTuple):
    """A row of the table; see above for what its flags mean."""

    forward: Callable
    backward: Callable
    in_place: bool = False
    gated: bool = False


ACTIVATIONS = {
    "identity": Activation(identity_forward, identity_backward, in_place=True),
    "logistic": Activation(logistic_forward, logistic_backward, in_place=True),
    "tanh": Activation(tanh_forward, tanh_backward, in_place=True),
    "relu": Activation(relu_forward, relu_backward, in_place=True),
}


def activation_addresses(name, dtype):
    """Addresses of forward and backward."""
    row = ACTIVATIONS[name]
    matrices = "matrix", "matrix"
    return (
        addresses((row.forward,), dtype, (*matrices, "vector"))[0],
        addresses((row.backward,), dtype, ("matrix", "vector", "matrix", *matrices))[0],
    )
