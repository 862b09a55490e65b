"""Piecewise linear encoding of numbers."""

from numbers import Integral

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin, _fit_context
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import _check_feature_names_in, check_is_fitted

from skmlp.preprocessing.quantiles import SortedColumn
from skmlp.preprocessing.validation import (
    check_matrix,
    check_matrix_to_fit,
    refuse_infinity,
    row_blocks,
)

# Edges nearer than this part of the column's spread are one.
NEAR = 1e-6


def edges_of(values, n_bins, weight=None):
    """Edges of the bins of a column: distinct quantiles, none if it is constant."""
    column = SortedColumn(values, weight)
    half_spread = column.half_spread() if len(column) else 0.0
    edges = []
    if half_spread:
        for q in np.linspace(0, 1, n_bins + 1).tolist():
            edge = column.quantile(q)
            if not edges or edge / 2 - edges[-1] / 2 > NEAR * half_spread:
                edges.append(edge)
    return np.array(edges if len(edges) > 1 else [])


class PiecewiseLinearEncoder(TransformerMixin, BaseEstimator):
    """Encode each number by how far it fills each bin of its column.

    With several columns for each, a network finds non-smooth functions of a number more
    easily.

    Parameters
    ----------
    n_bins : int, default=16
        The largest number of bins for each column.

    Attributes
    ----------
    edges_ : list of ndarray
        Rising edges of the bins of each column, one more than bins; empty for a
        constant column.
    n_features_in_ : int
        Number of columns seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of columns seen in `fit`, if all are strings.

    See Also
    --------
    RobustScaleSmoothClip : One bounded column for each.
    sklearn.preprocessing.KBinsDiscretizer : Steps instead of slopes.
    sklearn.preprocessing.SplineTransformer : Smooth functions.

    Notes
    -----
    A column with the quantiles :math:`q_0 < ... < q_T` becomes T columns,

    .. math:: p_t(x) = \\min(1, \\max(0, \\frac{x - q_{t-1}}{q_t - q_{t-1}})),

    as in [1]_, except that the first and the last are bounded as well, so that outliers
    stay within 0 and 1. Edges that nearly coincide, within 1e-6 of the interquartile
    range, or of half the range if the former is zero, are one.

    A constant column becomes one column of zeros. NaN counts as missing: it is left out
    in `fit` and becomes zeros. Weights count as in `RobustScaleSmoothClip`.

    References
    ----------
    .. [1] Y. Gorishniy, I. Rubachev and A. Babenko, "On Embeddings for Numerical
       Features in Tabular Deep Learning", NeurIPS 2022.
       https://arxiv.org/abs/2203.05556

    Examples
    --------
    >>> import numpy as np
    >>> from skmlp.preprocessing import PiecewiseLinearEncoder
    >>> X = np.array([[0.0], [1.0], [2.0], [4.0], [8.0]])
    >>> encoder = PiecewiseLinearEncoder(n_bins=2).fit(X)
    >>> encoder.edges_
    [array([0., 2., 8.])]
    >>> encoder.transform([[1.0], [5.0], [100.0], [np.nan]])
    array([[0.5, 0. ],
           [1. , 0.5],
           [1. , 1. ],
           [0. , 0. ]])
    """

    _parameter_constraints: dict = {
        "n_bins": [Interval(Integral, 1, None, closed="left")]
    }

    def __init__(self, *, n_bins=16):
        self.n_bins = n_bins

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, sample_weight=None):
        """Learn the bins of each column.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Numbers, NaN where they are missing.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of rows; equal ones if None.

        Returns
        -------
        self : PiecewiseLinearEncoder

        Raises
        ------
        ValueError
            If X holds infinity, or if weights are negative or all zero.
        """
        X, weight = check_matrix_to_fit(X, self, sample_weight)
        self.edges_ = [edges_of(column, self.n_bins, weight) for column in X.T]
        # Halves, because differences may overflow. Of a constant column, the width is
        # infinite and the left edge zero, so that quotients are zero.
        pairs = [
            (edges[:-1] / 2, np.diff(edges / 2)) if len(edges) else ([0.0], [np.inf])
            for edges in self.edges_
        ]
        self._left, self._width = (np.concatenate(part) for part in zip(*pairs))
        self._column = np.repeat(np.arange(len(pairs)), self._n_bins())
        return self

    def _n_bins(self):
        return [max(1, len(edges) - 1) for edges in self.edges_]

    def transform(self, X):
        """Encode each column by its bins.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_bins_in_total)
            Within 0 and 1; float32 if X is, else float64.
        """
        X = check_matrix(X, self, reset=False)
        out = np.empty((len(X), len(self._column)), X.dtype)
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            for rows in row_blocks(*out.shape):
                refuse_infinity(X[rows])
                t = X[rows].astype(np.float64)
                t *= 0.5
                t = np.take(t, self._column, axis=1)
                t -= self._left
                t /= self._width
                np.fmax(t, 0, out=t)  # of NaN and 0 it is 0
                np.fmin(t, 1, out=out[rows], casting="same_kind")
        return out

    def get_feature_names_out(self, input_features=None):
        """Names ``<name>_bin<t>`` of the columns of the output.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Names of the input's columns; those seen in `fit`, or x0, x1, ..., if None.

        Returns
        -------
        ndarray of str
        """
        check_is_fitted(self)
        names = _check_feature_names_in(self, input_features)
        bins = zip(names, self._n_bins())
        return np.array(
            [f"{name}_bin{t}" for name, n in bins for t in range(n)], object
        )

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
