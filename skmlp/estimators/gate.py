"""The one gate between users' arrays and kernels.

Kernels check no bounds, so everything that they rely on is settled here: dtype,
contiguity, alignment, shapes, the range of sparse indices, finite values.  Data
pass as read-only views and are copied only where they have to be.
"""

from functools import wraps
from math import isfinite

import numpy as np
from scipy import sparse
from sklearn.exceptions import DataConversionWarning
from sklearn.utils import column_or_1d
from sklearn.utils.validation import _num_samples, check_array

from skmlp.machine.warning import warn


def under_usual_errors(method):
    """Compute under the error handling with which NumPy begins: whatever users set by
    ``np.seterr``, results that round to zero on the way are no errors."""

    @wraps(method)
    def wrapper(*args, **kwargs):
        with np.errstate(divide="warn", over="warn", under="ignore", invalid="warn"):
            return method(*args, **kwargs)

    return wrapper


def check_sparse_structure(X):
    """Refuse a compressed matrix whose indices point outside, before scipy's C code.

    Raises
    ------
    ValueError
        If ``indptr`` does not rise from 0 to the number of entries, or an index is
        out of range.
    """
    if not sparse.issparse(X):
        return
    if X.format == "coo":
        # SciPy 1.12 has no coords, and no arrays of one dimension.
        coords = X.coords if hasattr(X, "coords") else (X.row, X.col)
        for axis, coordinates in enumerate(coords):
            _check_range(coordinates, X.shape[axis], X.format)
    elif X.format in ("csr", "csc", "bsr"):
        _check_compressed(X)


def _check_compressed(X):
    block = X.blocksize if X.format == "bsr" else (1, 1)
    major = 1 if X.format == "csc" else 0
    n_major, n_minor = X.shape[major] // block[0], X.shape[1 - major] // block[1]
    indptr, n_entries = X.indptr, len(X.indices)
    if (
        len(indptr) != n_major + 1
        or len(X.data) != n_entries
        or indptr[0] != 0
        or indptr[-1] != n_entries
        or np.any(indptr[1:] < indptr[:-1])
    ):
        raise ValueError(
            f"The sparse {X.format.upper()} matrix is corrupt: indptr must rise from 0"
            " to the length of indices and data. Rebuild it, or drop unused entries"
            " with X.prune()."
        )
    _check_range(X.indices, n_minor, X.format)


def _check_range(indices, stop, name):
    if len(indices) and (indices.min() < 0 or indices.max() >= stop):
        raise ValueError(
            f"The sparse {name.upper()} matrix is corrupt: an index lies outside"
            f" 0..{stop - 1}. Rebuild it from its rows, columns and values."
        )


def is_settled(X, dtypes):
    """Whether `check_array` would return X as it is: a matrix of finite numbers, of
    the right dtype and order. It takes longer than a network takes for a row."""
    if not (
        type(X) is np.ndarray
        and X.dtype in dtypes
        and X.ndim == 2
        and X.size > 0
        and X.flags.c_contiguous
        and X.flags.aligned
    ):
        return False
    with np.errstate(over="ignore", invalid="ignore"):
        return isfinite(X.sum())


def is_settled_target(y, n_rows):
    """Whether y is a vector of ``n_rows`` finite numbers."""
    return (
        type(y) is np.ndarray
        and y.shape == (n_rows,)
        and y.dtype.kind in "iuf"
        and isfinite(y.sum(dtype=np.float64))
    )


def refuse_times(X, name="X"):
    """Refuse dates and durations, which NumPy takes as numbers of some unit."""
    if any(getattr(dtype, "kind", None) in ("m", "M") for dtype in _dtypes_of(X)):
        raise TypeError(
            f"{name} holds dates or durations: pass numbers in a unit of your choice,"
            " such as days since the first date."
        )


def _dtypes_of(X):
    """Dtypes of an array, of a frame's columns, or of a list's first item."""
    while isinstance(X, (list, tuple)) and len(X):
        X = X[0]
    if hasattr(X, "dtypes") and np.iterable(X.dtypes):
        return list(X.dtypes)
    return [getattr(X, "dtype", None)]


def as_vector(y):
    """Targets as they are, but for a single column, with scikit-learn's warning."""
    if isinstance(y, np.ndarray) and y.shape[1:] == (1,):
        warn(
            "A column-vector y was passed when a 1d array was expected. Please"
            " change the shape of y to (n_samples, ), for example using ravel().",
            DataConversionWarning,
        )
        return column_or_1d(y)
    return y


def as_numbers(y):
    """Targets of a regressor as an array of finite numbers."""
    refuse_times(y, "y")
    if y.dtype.kind not in "biuf":
        y = y.astype(np.float64)
    if not np.isfinite(y).all():
        raise ValueError("Input y contains NaN or infinity.")
    return y


def native(y):
    """Labels in the byte order of this machine."""
    return y.astype(y.dtype.newbyteorder("="), copy=False)


def check_sample_weight(sample_weight, X):
    """Weights as float64 of shape (n_rows,), or None.

    Raises
    ------
    ValueError
        If a weight is negative or not finite, if all are zero, or if the shape is
        not (n_rows,).
    """
    if sample_weight is None:
        return None
    n_rows = _num_samples(X)
    refuse_times(sample_weight, "sample_weight")
    if np.isscalar(sample_weight):
        sample_weight = [sample_weight] * n_rows
    try:
        weight = check_array(
            sample_weight,
            accept_sparse=False,
            ensure_2d=False,
            dtype=np.float64,
            input_name="sample_weight",
        )
    except OverflowError as error:
        raise ValueError(f"sample_weight is too large: {error}.") from error
    if weight.ndim != 1:
        raise ValueError(
            f"Sample weights must be 1D array or scalar, got {weight.ndim}D array."
            f" Expected either a scalar value or a 1D array of length {n_rows}."
        )
    if weight.shape != (n_rows,):
        raise ValueError(
            f"sample_weight.shape == {weight.shape}, expected {(n_rows,)}!"
        )
    if np.any(weight < 0):
        raise ValueError("Negative values in data passed to `sample_weight`.")
    if not np.any(weight > 0):
        raise ValueError("Sample weights must contain at least one non-zero number.")
    check_size_of_weights(weight, "sample_weight")
    return weight


def check_size_of_weights(weight, name):
    """Refuse weights whose sum, or whose ratios, a float cannot hold."""
    with np.errstate(over="ignore"):
        total = weight.sum()
    if not (np.finfo(weight.dtype).tiny <= weight.max() and isfinite(total)):
        raise ValueError(
            f"{name} is too small or too large: the largest weight is"
            f" {weight.max():g}. Only ratios matter, beside alpha: scale the weights to"
            " a mean of about 1."
        )


def check_range(Y, dtype):
    """Refuse targets that the working dtype cannot hold."""
    dtype = np.dtype(dtype)
    wider = Y.dtype != dtype and Y.dtype.kind in "iuf"
    if wider and Y.size and np.abs(Y).max() > np.finfo(dtype).max:
        remedy = ", or pass X as float64" if dtype == np.float32 else ""
        raise ValueError(
            f"y contains values too large for {dtype!r}: scale the targets{remedy}."
        )
