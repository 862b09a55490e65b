"""From users' tables to the rows that a network takes."""

import numpy as np
from scipy import sparse
from sklearn.utils import check_array
from sklearn.utils.validation import validate_data

from skmlp.core.columns import Column
from skmlp.estimators.gate import check_sparse_structure, refuse_times
from skmlp.preprocessing import TabularEncoder
from skmlp.preprocessing.columns import as_table
from skmlp.preprocessing.piecewise import edges_of

_NO_KNOTS = np.zeros(0, np.float32)


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

    def columns(self, recipe, encoding, data, rows):
        """(what the encoded columns become in the input layer, knots of all pieces).

        Parameters
        ----------
        recipe : Recipe
        encoding : {"waves", "pieces"}
            Of numbers.
        data : Data
            Encoded.
        rows : ndarray of int
            Whose quantiles are the knots.
        """
        encoder = self._encoder
        n_numbers = encoder.n_numbers_
        n_pieces = n_waves = 0
        if encoding == "pieces":
            n_pieces = _for_each(n_numbers, recipe.n_pieces, recipe.most_pieces)
        if encoding == "waves" or not n_pieces:
            n_waves = _for_each(n_numbers, recipe.n_waves, recipe.most_waves)
        knots = [_knots(data, rows, j, n_pieces) for j in range(n_numbers)]
        sizes = [max(own.size - 1, 0) for own in knots]
        columns = [Column("number", size, n_waves=n_waves) for size in sizes]
        columns += [Column()] * encoder.n_indicators_
        columns += [_of_categories(size, recipe) for size in encoder.cardinalities_]
        return tuple(columns) or (Column(),), np.concatenate([*knots, _NO_KNOTS])


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

    def columns(self, recipe, encoding, data, rows):
        """Nothing: the network takes them as they are."""
        return (), _NO_KNOTS


def _for_each(n_columns, n_own, most):
    """So many for each column, or none if there is not room for two."""
    n_own = min(n_own, most // max(n_columns, 1))
    return n_own if n_own > 1 else 0


def _knots(data, rows, j, n_pieces):
    """Ends of a column's pieces, or none where two would do."""
    if n_pieces == 0:
        return _NO_KNOTS
    weight = data.sample_weight[rows] if data.sample_weight.size else None
    knots = np.unique(edges_of(data.X[rows, j], n_pieces, weight).astype(np.float32))
    return knots if knots.size > 2 else _NO_KNOTS


def _of_categories(size, recipe):
    if size <= recipe.most_one_hot:
        return Column("one_hot", max(size, 1))
    return Column("table", size, recipe.table_width)


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
