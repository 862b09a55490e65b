"""Rows as kernels take them, and which of them to train on."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy import sparse

from skmlp.core.inputs import Data, read_only
from skmlp.machine.permutation import shuffle


class TrainingRows(NamedTuple):
    """Rows to train on.

    Attributes
    ----------
    data : Data
        All rows with their targets. Weights are relative to those of the training rows.
    rows : ndarray of shape (n_train,), intp
        Which of them to train on. A fit shuffles them in place.
    mean_weight : float
        Mean sample weight.
    """

    data: Data
    rows: np.ndarray
    mean_weight: float = 1.0


class RowStream:
    """Rows in random orders, one after another, in pieces of equal length.

    Parameters
    ----------
    rows : ndarray of int
        Shuffled in place, each time that all have been taken.
    length : int
        Of a piece, which may be longer than there are rows.

    Attributes
    ----------
    piece : ndarray of shape (length,)
        The latest.
    """

    def __init__(self, rows, length):
        self._rows, self._at = rows, rows.size
        self.piece = np.empty(length, rows.dtype)

    def advance(self, random_state):
        """Put the next rows into the piece."""
        filled = 0
        while filled < self.piece.size:
            if self._at == self._rows.size:
                shuffle(self._rows, random_state)
                self._at = 0
            taken = self._rows[self._at : self._at + self.piece.size - filled]
            self.piece[filled : filled + taken.size] = taken
            self._at += taken.size
            filled += taken.size


def relative_weights(weight):
    """(weights divided by their mean, mean), without overflow on the way."""
    if weight is None:
        return None, 1.0
    top = weight.max()
    mean = top * np.mean(weight / top)
    return weight / mean, float(mean)


def make_data(X, dtype, Y=None, weight=None):
    """Pack validated rows, dense or CSR, for the kernels."""
    no_rows, no_targets, *no_entries, no_weight = _nothing(dtype, X.shape[1])
    Y = no_targets if Y is None else _settled(Y, dtype)
    weight = no_weight if weight is None else _settled(weight, dtype)
    if not sparse.issparse(X):
        return Data(_settled(X, dtype), *no_entries, Y, weight)
    return Data(
        no_rows,
        _settled(X.data, dtype),
        _settled(X.indices, np.int32),
        _settled(X.indptr, np.int64),
        Y,
        weight,
    )


@lru_cache(maxsize=256)
def _nothing(dtype, n_features):
    """Empty arrays for rows, targets, entries of sparse rows and weights not given."""
    of_each = (
        *((dtype, (0, n_features)), (dtype, (0, 0))),
        *((dtype, 0), (np.int32, 0), (np.int64, 0)),
        (dtype, 0),
    )
    return tuple(read_only(np.empty(shape, kind)) for kind, shape in of_each)


def _settled(array, dtype):
    """C-contiguous, aligned, of native ``dtype``, read-only; a view if it can be."""
    if not (type(array) is np.ndarray and array.dtype == dtype and array.flags.carray):
        array = np.require(np.asarray(array), dtype, ["C", "A"])
    return read_only(array)
