"""What the transformers ask of tables of numbers and of weights."""

import numpy as np
from sklearn.utils.validation import (
    _check_sample_weight,
    check_is_fitted,
    validate_data,
)

FLOATS = (np.dtype(np.float64), np.dtype(np.float32))
BLOCK_SIZE = 2**15


def row_blocks(n_rows, n_columns):
    """Slices of rows that keep temporary arrays within a processor's cache."""
    step = max(1, BLOCK_SIZE // max(1, n_columns))
    return (slice(start, start + step) for start in range(0, n_rows, step))


def is_plain(X, estimator):
    """Whether a fitted estimator takes X as it is: scikit-learn's validation of one
    row takes longer than its transformation."""
    return (
        type(X) is np.ndarray
        and X.dtype in FLOATS
        and X.ndim == 2
        and X.shape[0] > 0
        and X.shape[1] == getattr(estimator, "n_features_in_", None)
        and not hasattr(estimator, "feature_names_in_")
    )


def check_matrix(X, estimator, *, reset):
    """X as a matrix of float32 or float64, in which NaN is left.

    Infinity is sought later, block by block, by `refuse_infinity`.

    Raises
    ------
    TypeError
        If X is sparse, or holds dates.
    ValueError
        If X has another shape or other names than in fit, or holds no numbers.
    """
    if not reset:
        if is_plain(X, estimator):
            return X
        check_is_fitted(estimator)
    refuse_times(X)
    return validate_data(
        estimator, X, reset=reset, dtype=list(FLOATS), ensure_all_finite=False
    )


def check_matrix_to_fit(X, estimator, sample_weight):
    """(X as `check_matrix` gives it, without infinity; weights or None)."""
    X = check_matrix(X, estimator, reset=True)
    weight = check_weight(sample_weight, X)
    for rows in row_blocks(*X.shape):
        refuse_infinity(X[rows])
    return X, weight


def refuse_times(X):
    """Refuse columns of dates or durations, which NumPy takes as numbers."""
    dtypes = getattr(X, "dtypes", None)
    dtypes = dtypes if np.iterable(dtypes) else [getattr(X, "dtype", None)]
    if any(getattr(dtype, "kind", None) in ("m", "M") for dtype in dtypes):
        raise TypeError(
            "X holds dates or durations: pass numbers in a unit of your choice, such as"
            " days since the first date."
        )


def refuse_infinity(X):
    """Refuse infinite numbers, with the text of scikit-learn."""
    if np.isinf(X).any():
        raise ValueError(
            "Input X contains infinity or a value too large for"
            f" {X.dtype!r}. Replace it by NaN, if it stands for a missing value, or by"
            " a finite number."
        )


def check_weight(sample_weight, X):
    """Weights as float64 of shape (n_rows,), or None.

    Raises
    ------
    ValueError
        If a weight is negative or not finite, if all are zero, if their sum is not
        finite, or if the shape is not (n_rows,).
    """
    if sample_weight is None:
        return None
    weight = _check_sample_weight(
        sample_weight, X, dtype=np.float64, ensure_non_negative=True
    )
    with np.errstate(over="ignore"):
        total = weight.sum()
    if not (np.isfinite(total) and total > 0):
        raise ValueError(
            "The sum of sample_weight must be a finite number above zero, got"
            f" {total:g}: scale the weights to a mean of about 1."
        )
    return weight
