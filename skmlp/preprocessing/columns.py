"""Any table as columns of one form.

To add a kind of table: a function from a table to columns and a row in ``READERS``.
"""

import sys
from collections.abc import Iterator
from datetime import date, time, timedelta
from decimal import Decimal
from importlib import import_module
from numbers import Real
from typing import NamedTuple

import numpy as np
from sklearn.utils.validation import check_array

from skmlp.machine.warning import shown
from skmlp.preprocessing.validation import FLOATS, refuse_infinity

_NUMBERS = (Real, Decimal, np.bool_)
_STRINGS = (str, bytes)
_BOOLS = (bool, np.bool_)
_TIMES = (date, time, timedelta, np.datetime64, np.timedelta64)
# Types of values that are never missing, nor unequal to themselves.
_NEVER_MISSING = {str, bool, int}


class Column(NamedTuple):
    """A column of a table.

    Attributes
    ----------
    name : object
        Its name, for messages.
    is_category : bool
        Whether its dtype, or what it holds, says that it is a category.
    values : ndarray of shape (n_rows,)
        Numbers, booleans, strings or objects.
    missing : ndarray of shape (n_rows,), bool
        Where values are missing; there, ``values`` may hold anything.
    """

    name: object
    is_category: bool
    values: np.ndarray
    missing: np.ndarray

    def numbers(self):
        """The values as float32 or float64, NaN where they are missing.

        Raises
        ------
        ValueError
            If a value is not a number, or is infinite.
        """
        values = self.values
        if values.dtype.kind not in "biuf":
            values = self._converted()
        elif values.dtype not in FLOATS:
            dtype = np.float32 if values.dtype == np.float16 else np.float64
            with np.errstate(over="ignore"):
                values = values.astype(dtype)
        refuse_infinity(values)
        if self.values.dtype.kind != "f" and self.missing.any():
            values = np.where(self.missing, values.dtype.type(np.nan), values)
        return values

    def _converted(self):
        """Objects as float64; strings are no numbers, whatever they spell."""
        numbers = np.full(len(self.values), np.nan)
        present = self.values[~self.missing]
        for value in present:
            if isinstance(value, _STRINGS):
                raise ValueError(
                    f"Column {self.name!r} is taken as numbers, but holds the string"
                    f" {shown(value)}: convert it to numbers, or name it in"
                    " categorical_features before fit."
                )
        try:
            numbers[~self.missing] = present.astype(np.float64)
        except (TypeError, ValueError, OverflowError) as error:
            raise ValueError(
                f"Column {self.name!r} is taken as numbers, but not all of its values"
                f" are numbers within the range of float64: {error}. Convert it, or"
                " name it in categorical_features before fit."
            ) from error
        return numbers

    def levels(self):
        """Distinct values, and each row's index into them; -1 where it is missing.

        Returns
        -------
        levels : list
        codes : ndarray of shape (n_rows,), intp
        """
        codes = np.full(len(self.values), -1, np.intp)
        present = self.values[~self.missing]
        if present.dtype.kind in "biuf":
            levels, codes[~self.missing] = _distinct_numbers(present)
            return levels, codes
        present = present.tolist()
        index = {level: code for code, level in enumerate(dict.fromkeys(present))}
        found = map(index.__getitem__, present)
        codes[~self.missing] = np.fromiter(found, np.intp, len(present))
        return list(index), codes


def _distinct_numbers(values):
    """Not by ``np.unique``, which since NumPy 2.3 aborts the process if a daemon thread
    is in it when the interpreter ends."""
    levels = np.sort(values)
    is_new = np.ones(len(levels), bool)
    np.not_equal(levels[1:], levels[:-1], out=is_new[1:])
    levels = levels[is_new]
    return levels.tolist(), np.searchsorted(levels, values)


def as_table(X):
    """X as a table that `read` takes: a data frame as it is, else an array of two
    dimensions.

    Raises
    ------
    TypeError
        If X is sparse or lazy.
    ValueError
        If X has not two dimensions, or no rows or no columns.
    """
    X = _native(X)
    if isinstance(X, np.ma.MaskedArray):
        X = np.where(np.ma.getmaskarray(X), None, X.data.astype(object))
    if _reader(X) is _from_array:
        dtype = object if isinstance(X, (list, tuple)) else None
        return check_array(X, dtype=dtype, ensure_all_finite=False, input_name="X")
    for n, what in zip(X.shape, ("sample", "feature")):
        if n == 0:
            raise ValueError(
                f"Found array with 0 {what}(s) (shape={X.shape}) while a minimum of 1"
                " is required."
            )
    return X


def _native(X):
    """What a wrapper of narwhals wraps; a frame of any other library as Arrow's."""
    if type(X).__module__.startswith("narwhals") and hasattr(X, "to_native"):
        X = X.to_native()
    if hasattr(X, "collect") and not hasattr(X, "__array__"):
        raise TypeError(f"X is a lazy {type(X).__name__}: pass X.collect().")
    if _reader(X) is not _from_array:
        return X
    if hasattr(X, "__dataframe__"):
        return _arrow(X, "pyarrow.interchange").from_dataframe(X)
    # Columns alone have it as well, beside __array__.
    if hasattr(X, "__arrow_c_stream__") and not hasattr(X, "__array__"):
        return _arrow(X, "pyarrow").table(X)
    return X


def _arrow(X, module):
    try:
        return import_module(module)
    except ImportError as error:
        raise TypeError(
            f"To read a table of type {type(X).__name__}, pyarrow is needed: install"
            " it, or pass a frame of pandas or polars."
        ) from error


def names_of(X):
    """Names of a table's columns, or None."""
    if isinstance(X, np.ndarray):
        return None
    return X.column_names if hasattr(X, "column_names") else list(X.columns)


def take_rows(X, rows):
    """Rows of a table by a slice."""
    return X.iloc[rows] if hasattr(X, "iloc") else X[rows]


def read(X) -> Iterator[Column]:
    """Columns of a table, one by one.

    Raises
    ------
    TypeError
        If a column holds dates, or objects that are no strings, numbers or booleans.
    """
    return _reader(X)(X)


def _reader(X):
    for (library, kind), reader in READERS.items():
        # Whoever has such a table has imported the library.
        if isinstance(X, getattr(sys.modules.get(library), kind, ())):
            return reader
    return _from_array


def _from_array(X):
    kind = X.dtype.kind
    if kind in "mM":
        raise _of_times("X")
    for j, values in enumerate(X.T):
        name = f"x{j}"
        if kind in "biuf":
            yield Column(name, kind == "b", values, np.isnan(values))
        elif kind in "US":
            yield Column(name, True, values, np.zeros(len(values), bool))
        else:
            yield _of_objects(name, values.astype(object, copy=False))


def _from_pandas(X):
    for name, series in X.items():
        dtype = series.dtype
        kind = getattr(dtype, "kind", "O")
        if hasattr(dtype, "categories"):
            yield _of_codes(name, dtype.categories.to_numpy(object), series.cat.codes)
        elif kind in "mM":
            raise _of_times(f"Column {name!r}")
        elif kind in "biuf" and isinstance(dtype, np.dtype):
            values = series.to_numpy()
            yield Column(name, kind == "b", values, np.isnan(values))
        elif kind in "biuf":
            missing = series.isna().to_numpy(bool)
            options = {"na_value": _filler(kind)} if missing.any() else {}
            values = series.to_numpy(_numpy_dtype(dtype), **options)
            yield Column(name, kind == "b", values, missing | np.isnan(values))
        else:
            is_string = True if getattr(dtype, "type", None) is str else None
            yield _of_objects(name, series.to_numpy(object), is_string)


def _numpy_dtype(dtype):
    """What a dtype of pandas holds, beside what is missing."""
    return getattr(dtype, "numpy_dtype", None) or getattr(dtype, "subtype", dtype)


def _from_polars(X):
    polars = sys.modules["polars"]
    for series in X.iter_columns():
        name, dtype = series.name, series.dtype
        is_bool = dtype == polars.Boolean
        # NumPy has no integers of 128 bits.
        is_integer = dtype.is_integer() and "128" not in str(dtype)
        if dtype.is_temporal():
            raise _of_times(f"Column {name!r}")
        elif is_bool or is_integer or dtype.is_float():
            kind = "b" if is_bool else "f" if dtype.is_float() else "i"
            values = series.fill_null(_filler(kind)).to_numpy()
            missing = series.is_null().to_numpy() | np.isnan(values)
            yield Column(name, is_bool, values, missing)
        else:
            is_category = dtype in (polars.Categorical, polars.Enum)
            if is_category:
                series = series.cast(polars.String)
            is_category = True if is_category or dtype == polars.String else None
            yield _of_objects(name, _objects(series.to_list()), is_category)


def _from_arrow(X):
    types = sys.modules["pyarrow"].types
    for name, column in zip(X.column_names, X.columns):
        is_dictionary = types.is_dictionary(column.type)
        if is_dictionary:
            column = column.cast(column.type.value_type)
        if types.is_float16(column.type):
            column = column.cast("float32")
        kind = _arrow_kind(types, column.type)
        if kind == "M":
            raise _of_times(f"Column {name!r}")
        elif kind in "bif":
            values = column.fill_null(_filler(kind)).to_numpy()
            missing = column.is_null().to_numpy() | np.isnan(values)
            yield Column(name, is_dictionary or kind == "b", values, missing)
        else:
            is_category = True if is_dictionary or kind == "U" else None
            yield _of_objects(name, _objects(column.to_pylist()), is_category)


def _arrow_kind(types, dtype):
    """NumPy's letter for what a type of Arrow holds."""
    of_kinds = {
        "b": (types.is_boolean,),
        "i": (types.is_integer,),
        "f": (types.is_floating,),
        "M": (types.is_temporal,),
        "U": (types.is_string, types.is_large_string, types.is_string_view),
    }
    for kind, questions in of_kinds.items():
        if any(question(dtype) for question in questions):
            return kind
    return "O"


def _filler(kind):
    """What stands where a number or boolean of a kind is missing."""
    return {"b": False, "f": np.nan}.get(kind, 0)


READERS = {
    ("pandas", "DataFrame"): _from_pandas,
    ("polars", "DataFrame"): _from_polars,
    ("pyarrow", "Table"): _from_arrow,
}


def _objects(values):
    return np.fromiter(values, object, len(values))


def _of_codes(name, categories, codes):
    """A column of categories of any hashable type."""
    codes = codes.to_numpy()
    levels = np.empty(len(categories) + 1, object)
    levels[:-1] = categories
    return Column(name, True, levels[codes], codes < 0)


def _of_objects(name, values, is_category=None):
    """A column of objects; what it is, is judged by the types of its values, unless it
    is told."""
    types = set(map(type, values))
    if types <= _NEVER_MISSING:
        missing = np.zeros(len(values), bool)
    else:
        missing = np.fromiter(map(is_missing, values), bool, len(values))
        types = set(map(type, values[~missing]))
    for kind in types:
        _check_type(name, kind)
    if is_category is None:
        is_category = any(issubclass(kind, _STRINGS) for kind in types) or (
            bool(types) and all(issubclass(kind, _BOOLS) for kind in types)
        )
    return Column(name, is_category, values, missing)


def is_missing(value):
    """Whether a value stands for none: None, NaN, or ``pandas.NA``."""
    # pandas.NA is neither equal nor unequal to itself.
    return value is None or type(value).__name__ == "NAType" or bool(value != value)


def _check_type(name, kind):
    if issubclass(kind, (*_STRINGS, *_NUMBERS)):
        return
    if issubclass(kind, _TIMES):
        raise _of_times(f"Column {name!r}")
    raise TypeError(
        f"Column {name!r} holds objects of type {kind.__name__}: convert them to"
        " strings, to numbers or to booleans."
    )


def _of_times(what):
    return TypeError(
        f"{what} holds dates or durations: extract numbers, such as the year, the hour"
        " or the days since a first date, or strings, such as the day of the week."
    )
