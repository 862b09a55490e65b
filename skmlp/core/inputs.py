"""The input stage: the only part of a network that touches X.

Dense minibatches are gathered row by row.  Sparse rows never become dense: the first
layer's product and its weight gradient walk over their non-zeros, each of which meets
one row of weights.
"""

from typing import NamedTuple

import numpy as np

from skmlp.machine.forms import Form
from skmlp.machine.intrinsics import address, borrowed_matrix, flat, vector_view
from skmlp.machine.jit import jit
from skmlp.machine.tiles import copy

_ROWS_AHEAD = 4  # prefetched while rows are gathered


class Data(NamedTuple):
    """Rows to train on or to predict; all arrays read-only.

    Attributes
    ----------
    X : ndarray of shape (n_rows, n_features)
        Dense rows, or of shape (0, n_features) when the rows are sparse.
    values, indices, indptr : ndarray
        Sparse rows in CSR form, int32 and int64 indices; empty when dense.
    Y : ndarray of shape (n_rows, n_outputs)
        Targets.
    sample_weight : ndarray of shape (n_rows,)
        In units of their mean; empty when all rows count alike.
    """

    X: np.ndarray
    values: np.ndarray
    indices: np.ndarray
    indptr: np.ndarray
    Y: np.ndarray
    sample_weight: np.ndarray

    @property
    def sparse(self):
        """Whether rows are in CSR form."""
        return self.indptr.size > 0

    @property
    def n_rows(self):
        """Rows, in either form."""
        return self.indptr.size - 1 if self.sparse else len(self.X)


def read_only(array):
    """A read-only view: the only type of data that kernels are compiled for."""
    view = array.view()
    view.flags.writeable = False
    return view


@jit
def gather(A, X, rows):
    """A <- X[rows]."""
    if X.shape[1] == 1:
        a, x = flat(A), flat(X)
        for i in range(rows.size):
            a[i] = x[rows[i]]
        return
    n, last = X.shape[1], rows.size - 1
    for i in range(rows.size):
        ahead = rows[min(i + _ROWS_AHEAD, last)] - rows[i]
        copy(A, i * n, n, X, rows[i] * n, n, 1, n, ahead * n)


@jit(view=True)
def consecutive_rows(data, rows):
    """X[rows] as it lies there."""
    n_features = data.X.shape[1]
    return borrowed_matrix(data.X, rows[0] * n_features, (rows.size, n_features))


_ROWS = "values", "indices", "places", "places"
CSR_PRODUCT = Form("matrix", "matrix", *_ROWS)
CSR_GRADIENT = Form("matrix", "matrix", *_ROWS, "index", "index", "index")


@jit(form=CSR_PRODUCT)
def csr_product(Z, W, values, indices, indptr, rows):
    """Z <- X[rows] W."""
    Z[:] = 0
    for i in range(rows.size):
        for at in range(indptr[rows[i]], indptr[rows[i] + 1]):
            value, feature = values[at], indices[at]
            for j in range(W.shape[1]):
                Z[i, j] += value * W[feature, j]


@jit(form=CSR_GRADIENT)
def csr_gradient(dW, delta, values, indices, indptr, rows, first, last, adds):
    """dW <- X[rows].T delta, or dW += X[rows].T delta, in some of the columns."""
    width, shape = dW.shape[1], (last - first,)
    if not adds:
        dW[:, first:last] = 0
    for i in range(rows.size):
        d = vector_view(delta, i * width + first, shape)
        for at in range(indptr[rows[i]], indptr[rows[i] + 1]):
            value = values[at]
            dw = vector_view(dW, indices[at] * width + first, shape)
            for j in range(d.size):
                dw[j] += value * d[j]


def csr_addresses(dtype):
    """Addresses of the product and of its gradient."""
    return address(csr_product, dtype), address(csr_gradient, dtype)
