"""From users' tables to the rows that a network takes."""

import numpy as np
from scipy import sparse
from sklearn.utils import check_array
from sklearn.utils.validation import validate_data

from skmlp.core.columns import Column
from skmlp.estimators.gate import check_sparse_structure, refuse_times
from skmlp.preprocessing import TabularEncoder
from skmlp.preprocessing.columns import as_table


class DenseTable:
    """Numbers and categories, encoded.

    Parameters
    ----------
    categorical_features
        Of `TabularEncoder`.
    """

    is_sparse = False

    def __init__(self, categorical_features):
        self._encoder = TabularEncoder(
            categorical_features=categorical_features, categories="codes"
        )

    def fit(self, X, weight):
        """Learn from the training rows."""
        self._encoder.fit(X, sample_weight=weight)
        return self

    def transform(self, X):
        """Rows as a matrix of float32; of zeros, if no column tells anything."""
        encoded = self._encoder.transform(X)
        return encoded if encoded.shape[1] else np.zeros((len(encoded), 1), np.float32)

    def columns(self, recipe):
        """What the encoded columns become in the input layer."""
        encoder = self._encoder
        n_numbers = encoder.n_numbers_
        n_waves = min(recipe.n_waves, recipe.most_waves // max(n_numbers, 1))
        number = Column("periodic", n_waves) if n_waves else Column("number")
        columns = [number] * n_numbers + [Column("number")] * encoder.n_indicators_
        for size in encoder.cardinalities_:
            if size <= recipe.most_one_hot:
                columns.append(Column("one_hot", max(size, 1)))
            else:
                columns.append(Column("table", size, recipe.table_width))
        return tuple(columns) or (Column("number"),)


class SparseTable:
    """Numbers, most of them zero: columns divided by their largest magnitude."""

    is_sparse = True

    def fit(self, X, weight):
        """Learn from the training rows."""
        if weight is not None:
            X = X[weight > 0]
        largest = np.abs(X).max(axis=0).toarray().ravel().astype(np.float64)
        self._scale = 1 / np.where(largest > 0, largest, 1)
        return self

    def transform(self, X):
        """Rows as a CSR matrix of float32."""
        X = check_array(X, accept_sparse="csr", dtype=np.float64, input_name="X")
        scaled = sparse.csr_array(X, copy=True)
        scaled.data *= self._scale[scaled.indices]
        return scaled.astype(np.float32)

    def columns(self, recipe):
        """Nothing: the network takes them as they are."""
        return ()


def check_table(estimator, X, *, reset):
    """X as a table, with the estimator's number and names of columns.

    Raises
    ------
    TypeError
        If columns hold dates, or unknown objects.
    ValueError
        If X is empty, or has other columns than in fit.
    """
    refuse_times(X)
    if sparse.issparse(X):
        check_sparse_structure(X)
        X = validate_data(
            estimator, X, reset=reset, accept_sparse="csr", dtype=np.float64
        )
        check_sparse_structure(X)
        return X
    X = as_table(X)
    validate_data(estimator, X, reset=reset, skip_check_array=True)
    return X


def make_table(X, categorical_features):
    """The kind of table that X is."""
    return SparseTable() if sparse.issparse(X) else DenseTable(categorical_features)
