"""Encoding of tables of numbers and categories."""

from numbers import Integral

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin, _fit_context
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import (
    _check_feature_names_in,
    check_is_fitted,
    validate_data,
)

from skmlp.machine.warning import shown
from skmlp.preprocessing.categories import Categories
from skmlp.preprocessing.columns import as_table, names_of, read, take_rows
from skmlp.preprocessing.scaling import LIMIT, SmoothClip, center_and_scale
from skmlp.preprocessing.selection import categorical_mask
from skmlp.preprocessing.validation import (
    FLOATS,
    check_weight,
    is_plain,
    refuse_infinity,
    row_blocks,
)


class TabularEncoder(TransformerMixin, BaseEstimator):
    """Encode a table of numbers and categories, with gaps, as numbers of like size.

    Numbers come first, scaled and bounded as by `RobustScaleSmoothClip`, with zero, the
    median, where they are missing. Then follows an indicator of 0 and 1 for each column
    of numbers of which some were missing in `fit`. Then follow the categories.

    Parameters
    ----------
    categorical_features : "from_dtype", array-like of bool, int or str, or None, \
default="from_dtype"
        Which columns are categories: those of strings, of booleans and of the dtypes
        for categories ("from_dtype"), those of a mask, of indices or of names, or none.
        Among objects, a column with a string is one of categories, and one of numbers
        is one of numbers.
    categories : {"onehot", "codes"}, default="onehot"
        How categories are encoded. "onehot": K columns of 0 and 1; two categories share
        one column of -1 and 1; a column with a single category is left out unless some
        of its values are missing. "codes": one column of the numbers 0 to K - 1, and
        -1 for missing and unseen categories, as for an embedding.
    max_categories : int or None, default=None
        So many categories of each column are kept, those of the largest weight. Others
        count as unseen. All are kept if None.
    missing_indicator : bool, default=True
        Whether there are indicators of missing numbers.
    dtype : {numpy.float32, numpy.float64}, default=numpy.float32
        Dtype of the output.

    Attributes
    ----------
    categories_ : list of ndarray
        Categories of each categorical column, in rising order: numbers, then others by
        type.
    cardinalities_ : tuple of int
        Number of categories of each categorical column.
    n_numbers_ : int
        How many scaled numbers come first in the output.
    n_indicators_ : int
        How many indicators follow them.
    is_categorical_ : ndarray of shape (n_features,), bool
        Which columns of the input are categories.
    n_features_in_ : int
        Number of columns seen in `fit`.
    feature_names_in_ : ndarray of shape (n_features,)
        Names of columns seen in `fit`, if all are strings.

    See Also
    --------
    RobustScaleSmoothClip : For numbers alone.
    sklearn.compose.ColumnTransformer : Any transformer for each column.

    Notes
    -----
    Tables are frames of pandas, polars, Arrow or narwhals, others that offer
    ``__dataframe__``, arrays, and lists of rows. Missing are NaN, None and
    ``pandas.NA``.

    Constant columns of numbers tell nothing and are left out; so are columns without
    numbers.

    Missing and unseen categories are zeros, or the code -1. Categories are compared as
    Python compares them: 1 and 1.0 are the same, 1 and "1" are not.

    References
    ----------
    .. [1] D. Holzmüller, L. Grinsztajn and I. Steinwart, "Better by Default: Strong
       Pre-Tuned MLPs and Boosted Trees on Tabular Data", NeurIPS 2024.
       https://arxiv.org/abs/2407.04491

    Examples
    --------
    >>> from skmlp.preprocessing import TabularEncoder
    >>> X = [[20, "red"], [30, "green"], [None, "blue"], [40, None], [50, "red"]]
    >>> encoder = TabularEncoder().fit(X)
    >>> encoder.get_feature_names_out().tolist()
    ['x0', 'missingindicator_x0', 'x1_blue', 'x1_green', 'x1_red']
    >>> encoder.transform(X).round(2)
    array([[-0.95,  0.  ,  0.  ,  0.  ,  1.  ],
           [-0.33,  0.  ,  0.  ,  1.  ,  0.  ],
           [ 0.  ,  1.  ,  1.  ,  0.  ,  0.  ],
           [ 0.33,  0.  ,  0.  ,  0.  ,  0.  ],
           [ 0.95,  0.  ,  0.  ,  0.  ,  1.  ]], dtype=float32)
    """

    _parameter_constraints: dict = {
        "categorical_features": ["array-like", StrOptions({"from_dtype"}), None],
        "categories": [StrOptions({"onehot", "codes"})],
        "max_categories": [Interval(Integral, 1, None, closed="left"), None],
        "missing_indicator": ["boolean"],
        "dtype": "no_validation",
    }

    def __init__(
        self,
        *,
        categorical_features="from_dtype",
        categories="onehot",
        max_categories=None,
        missing_indicator=True,
        dtype=np.float32,
    ):
        self.categorical_features = categorical_features
        self.categories = categories
        self.max_categories = max_categories
        self.missing_indicator = missing_indicator
        self.dtype = dtype

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y=None, sample_weight=None):
        """Learn medians, spreads and categories.

        Parameters
        ----------
        X : table of shape (n_samples, n_features)
            Numbers, booleans, strings and categories, any of them missing.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of rows; equal ones if None. Rows of weight zero do not count, not
            even their categories.

        Returns
        -------
        self : TabularEncoder

        Raises
        ------
        TypeError
            If X is sparse, or if a column holds dates or unknown objects.
        ValueError
            If numbers are infinite, or if a column of strings is none of the
            ``categorical_features``.
        """
        self._dtype = self._check_dtype()
        X = as_table(X)
        validate_data(self, X, skip_check_array=True)
        weight = check_weight(sample_weight, X)
        mask = categorical_mask(self.categorical_features, X.shape[1], names_of(X))
        is_categorical, numbers, categorical = [], [], []
        for j, column in enumerate(read(X)):
            is_categorical.append(column.is_category if mask is None else mask[j])
            if is_categorical[-1]:
                categorical.append(self._learn_categories(column, weight))
            else:
                numbers.append(_learn_numbers(column, weight))
        self.is_categorical_ = np.array(is_categorical)
        self._arrange_numbers(numbers)
        self._arrange_categories(categorical)
        return self

    def _check_dtype(self):
        try:
            dtype = np.dtype(self.dtype)
        except TypeError:
            dtype = None
        if dtype is None or dtype not in FLOATS:
            raise ValueError(
                "dtype must be numpy.float32 or numpy.float64, got"
                f" {shown(self.dtype)}."
            )
        return dtype

    def _learn_categories(self, column, weight):
        categories = Categories(column, weight, self.max_categories)
        largest = 2 ** (np.finfo(self._dtype).nmant + 1)
        if self.categories == "codes" and len(categories) > largest:
            raise ValueError(
                f"Column {column.name!r} has {len(categories)} categories, but"
                f" {self._dtype} counts only up to {largest}: set max_categories, or"
                " dtype=numpy.float64."
            )
        return categories

    def _arrange_numbers(self, learned):
        """Settle which columns of numbers lead to which columns of the output."""
        center, scale, has_gaps = np.array(learned).reshape(-1, 3).T.copy()
        self._scaled = np.flatnonzero(scale)
        self._indicated = np.flatnonzero(has_gaps * self.missing_indicator)
        self._smooth_clip = SmoothClip(center[self._scaled], scale[self._scaled], LIMIT)
        self.n_numbers_, self.n_indicators_ = len(self._scaled), len(self._indicated)

    def _arrange_categories(self, categorical):
        self._categories, self._is_coded = categorical, self.categories == "codes"
        self.categories_ = [categories.values for categories in categorical]
        self.cardinalities_ = tuple(map(len, categorical))
        self._widths = [self._width_of(categories) for categories in categorical]

    def _width_of(self, categories):
        """Number of columns of the output for a column of categories."""
        if self._is_coded:
            return 1
        n = len(categories)
        return int(categories.has_rest) if n == 1 else 1 if n == 2 else n

    def transform(self, X):
        """Encode a table.

        Parameters
        ----------
        X : table of shape (n_samples, n_features)
            Columns as in `fit`; their dtypes may differ.

        Returns
        -------
        ndarray of shape (n_samples, n_columns)
            Of ``dtype``.
        """
        plain = is_plain(X, self) and not self._categories
        if not plain:
            check_is_fitted(self)
            X = as_table(X)
            validate_data(self, X, reset=False, skip_check_array=True)
        n_columns = self.n_numbers_ + self.n_indicators_ + sum(self._widths)
        out = np.zeros((X.shape[0], n_columns), self._dtype)
        for rows in row_blocks(X.shape[0], max(X.shape[1], n_columns)):
            if plain:
                self._write_numbers(X[rows], out[rows])
            else:
                self._write(read(take_rows(X, rows)), out[rows])
        return out

    def _write(self, columns, out):
        """Encode a block of rows of a table."""
        numbers, first = [], self.n_numbers_ + self.n_indicators_
        rest = zip(self._categories, self._widths)
        for column, is_categorical in zip(columns, self.is_categorical_):
            if is_categorical:
                categories, width = next(rest)
                codes = categories.encode(column)
                self._write_codes(codes, len(categories), out[:, first : first + width])
                first += width
            else:
                numbers.append(column.numbers())
        if numbers:
            self._write_numbers(np.column_stack(numbers), out)

    def _write_numbers(self, X, out):
        """Encode a matrix of all columns of numbers."""
        refuse_infinity(X)
        n_numbers, n_end = self.n_numbers_, self.n_numbers_ + self.n_indicators_
        values = out[:, :n_numbers]
        is_whole = n_numbers == X.shape[1]
        self._smooth_clip(X if is_whole else X.take(self._scaled, axis=1), values)
        np.copyto(values, 0, where=np.isnan(values))
        if self.n_indicators_:
            np.isnan(X.take(self._indicated, axis=1), out=out[:, n_numbers:n_end])

    def _write_codes(self, codes, n_categories, out):
        """Encode a column of categories."""
        if self._is_coded:
            out[:, 0] = codes
        elif out.shape[1] == 1:
            # The code -1 takes the last.
            out[:, 0] = np.array([-1, 1, 0] if n_categories == 2 else [1, 0])[codes]
        elif out.shape[1]:
            rows = np.flatnonzero(codes >= 0)
            out[rows, codes[rows]] = 1

    def get_feature_names_out(self, input_features=None):
        """Names of the columns of the output.

        They are ``<name>`` of numbers and codes, ``missingindicator_<name>``, and
        ``<name>_<category>``; of two categories, it is the one that is 1. Names that
        would occur twice end in the number of their column.

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
        numbers = names[~self.is_categorical_]
        out = [*numbers[self._scaled]]
        out += [f"missingindicator_{name}" for name in numbers[self._indicated]]
        categorical = names[self.is_categorical_]
        for name, values, width in zip(categorical, self.categories_, self._widths):
            if self._is_coded:
                out.append(name)
            elif width:
                out += [f"{name}_{category}" for category in values[-width:]]
        return np.array([*_distinct(out)], object)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        tags.transformer_tags.preserves_dtype = []
        return tags


def _learn_numbers(column, weight):
    """Median, factor, and whether some but not all numbers are missing."""
    values = column.numbers()
    center, scale = center_and_scale(values, weight)
    missing = np.isnan(values)
    if weight is not None:
        missing = missing[weight > 0]
    return center, scale, missing.any() and not missing.all()


def _distinct(names):
    seen = set()
    for j, name in enumerate(names):
        while name in seen:
            name = f"{name}_{j}"
        seen.add(name)
        yield name
