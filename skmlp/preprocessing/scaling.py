"""Robust scaling with a smooth bound."""

from numbers import Real

import numpy as np
from sklearn.base import (
    BaseEstimator,
    OneToOneFeatureMixin,
    TransformerMixin,
    _fit_context,
)
from sklearn.utils._param_validation import Interval

from skmlp.preprocessing.quantiles import SortedColumn
from skmlp.preprocessing.validation import (
    check_matrix,
    check_matrix_to_fit,
    refuse_infinity,
    row_blocks,
)

LIMIT = 3.0
# From here on, t / sqrt(1 + t**2) is 1 in float64.
FAR = 1e9


def center_and_scale(values, weight=None):
    """Median of a column and reciprocal of its spread; both 0 without numbers."""
    column = SortedColumn(values, weight)
    if not len(column):
        return 0.0, 0.0
    half = column.half_spread()
    return column.quantile(0.5), 0.5 / half if half else 0.0


class SmoothClip:
    """Computes ``u / sqrt(1 + (u / limit)**2)``, where ``u = scale * (x - center)``.

    Parameters
    ----------
    center, scale : ndarray of shape (n_columns,)
    limit : float
    """

    def __init__(self, center, scale, limit):
        # Differences may overflow, and infinity times zero would be NaN.
        self.center = np.where(scale > 0, center, 0.0)
        with np.errstate(over="ignore"):
            self.gain = np.minimum(scale / limit, 1e300)
        self.limit = limit

    def __call__(self, X, out):
        """Write the values of X into ``out``; NaN is left."""
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            t = np.subtract(X, self.center, dtype=np.float64)
            t *= self.gain
            np.maximum(t, -FAR, out=t)
            np.minimum(t, FAR, out=t)
            root = t * t
            root += 1
            np.sqrt(root, out=root)
            t /= root
            np.multiply(t, self.limit, out=out, casting="same_kind")


class RobustScaleSmoothClip(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Scale numbers by median and quartiles, and bound outliers smoothly.

    The bulk of each column comes to lie within about -1 and 1, whatever its outliers,
    and nothing lies beyond ``limit``.

    Parameters
    ----------
    limit : float, default=3.0
        The bound that outliers approach.

    Attributes
    ----------
    center_ : ndarray of shape (n_features,)
        Median of each column, 0 of a column without numbers.
    scale_ : ndarray of shape (n_features,)
        Factor of each column, 0 of a constant one.
    n_features_in_ : int
        Number of columns seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of columns seen in `fit`, if all are strings.

    See Also
    --------
    PiecewiseLinearEncoder : Several bounded columns for each.
    TabularEncoder : For tables of numbers and categories.
    sklearn.preprocessing.RobustScaler : Without a bound.

    Notes
    -----
    A column x with median m becomes

    .. math:: x' = \\frac{u}{\\sqrt{1 + (u / \\mathrm{limit})^2}}, \\quad u = s (x - m),

    where s is the reciprocal of the interquartile range. If the latter is zero, s is
    2 / (max - min), and 0 if this is zero too [1]_. Differences within the rounding of
    the numbers count as zero.

    NaN counts as missing: it is left out in `fit`, and stays NaN in `transform`.

    A row of weight w counts as w rows. Weights with a mean below one are scaled to a
    mean of one.

    References
    ----------
    .. [1] D. Holzmüller, L. Grinsztajn and I. Steinwart, "Better by Default: Strong
       Pre-Tuned MLPs and Boosted Trees on Tabular Data", NeurIPS 2024.
       https://arxiv.org/abs/2407.04491

    Examples
    --------
    >>> import numpy as np
    >>> from skmlp.preprocessing import RobustScaleSmoothClip
    >>> X = np.array([[1.0], [2.0], [3.0], [4.0], [1e6], [np.nan]])
    >>> RobustScaleSmoothClip().fit_transform(X).ravel().round(2)
    array([-0.95, -0.49,  0.  ,  0.49,  3.  ,   nan])
    """

    _parameter_constraints: dict = {
        "limit": [Interval(Real, 0, None, closed="neither")]
    }

    def __init__(self, *, limit=LIMIT):
        self.limit = limit

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, sample_weight=None):
        """Learn the median and the spread of each column.

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
        self : RobustScaleSmoothClip

        Raises
        ------
        ValueError
            If X holds infinity, or if weights are negative or all zero.
        """
        if not np.isfinite(self.limit):
            raise ValueError(f"limit must be finite, got {self.limit}.")
        X, weight = check_matrix_to_fit(X, self, sample_weight)
        pairs = [center_and_scale(column, weight) for column in X.T]
        self.center_, self.scale_ = np.array(pairs).T.copy()
        return self

    def transform(self, X):
        """Scale and bound each column.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)

        Returns
        -------
        ndarray of shape (n_samples, n_features)
            Float32 if X is, else float64.
        """
        X = check_matrix(X, self, reset=False)
        out = np.empty(X.shape, X.dtype)
        smooth_clip = SmoothClip(self.center_, self.scale_, self.limit)
        for rows in row_blocks(*X.shape):
            refuse_infinity(X[rows])
            smooth_clip(X[rows], out[rows])
        return out

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags
