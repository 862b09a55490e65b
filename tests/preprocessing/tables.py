"""One table in every form in which it may come."""

import decimal

import narwhals
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa

# Missing are the third row's number, the fourth's integer, and so on.
COLUMNS = {
    "number": [1.5, -2.0, None, 4.0, 8.0, 0.25],
    "integer": [3, 1, 2, None, 5, 4],
    "whole": [1, 2, 3, 4, 5, 60],
    "decimal": [1, 2, None, 4, 5, 7],
    "flag": [True, False, None, True, False, True],
    "color": ["red", "blue", None, "green", "red", "blue"],
    "size": ["s", "m", "s", None, "m", "m"],
}
FLAGS, TEXTS = ["flag"], ["color", "size"]


def _pandas(numbers, flags, texts, decimals=None):
    dtypes = {name: numbers for name in COLUMNS}
    dtypes |= dict.fromkeys(FLAGS, flags) | dict.fromkeys(TEXTS, texts)
    if decimals is not None:
        dtypes["decimal"] = decimals
    return pd.DataFrame(
        {
            name: pd.Series(values, dtype=dtypes[name])
            for name, values in COLUMNS.items()
        }
    )


def _decimals():
    return {
        **COLUMNS,
        "decimal": [x and decimal.Decimal(x) for x in COLUMNS["decimal"]],
    }


def _arrow():
    table = pa.table(_decimals())
    dictionary = table["color"].dictionary_encode()
    return table.set_column(table.column_names.index("color"), "color", dictionary)


def _arrow_dtypes():
    return _pandas(
        pd.ArrowDtype(pa.float64()),
        pd.ArrowDtype(pa.bool_()),
        pd.ArrowDtype(pa.string()),
        pd.ArrowDtype(pa.decimal128(8, 2)),
    )


def _objects():
    return np.array([*zip(*COLUMNS.values())], object)


class Interchange:
    """What only offers ``__dataframe__``."""

    def __init__(self, table):
        self.table = table

    def __dataframe__(self, *args, **kwargs):
        return self.table.__dataframe__(*args, **kwargs)


class Capsule:
    """What only offers a stream of Arrow's."""

    def __init__(self, table):
        self.table = table

    def __arrow_c_stream__(self, requested_schema=None):
        return self.table.__arrow_c_stream__(requested_schema)


def _polars():
    enum = pl.Enum(["s", "m", "unused"])
    casts = {"color": pl.Categorical, "size": enum, "number": pl.Float32}
    return pl.DataFrame(_decimals()).cast(casts)


FRAMES = {
    "pandas objects": lambda: _pandas(object, object, object),
    "pandas": lambda: _pandas(np.float64, object, "str"),
    "pandas nullable": lambda: _pandas("Float64", "boolean", "string"),
    "pandas categories": lambda: _pandas("float32", "category", "category"),
    "pandas Arrow": _arrow_dtypes,
    "polars": lambda: pl.DataFrame(COLUMNS),
    "polars categories": _polars,
    "Arrow": lambda: pa.table(COLUMNS),
    "Arrow dictionaries": _arrow,
    "Arrow batch": lambda: pa.table(COLUMNS).to_batches()[0],
    "narwhals of pandas": lambda: narwhals.from_native(
        _pandas("Float64", "boolean", "string")
    ),
    "narwhals of polars": lambda: narwhals.from_native(pl.DataFrame(COLUMNS)),
    "interchange": lambda: Interchange(pa.table(COLUMNS)),
    "capsule": lambda: Capsule(pa.table(COLUMNS)),
}
ARRAYS = {
    "array": _objects,
    "lists": lambda: _objects().tolist(),
    "tuples": lambda: tuple(zip(*COLUMNS.values())),
    "missing are NaN": lambda: np.where(pd.isna(_objects()), np.nan, _objects()),
    "missing are NA": lambda: np.where(pd.isna(_objects()), pd.NA, _objects()),
}
TABLES = FRAMES | ARRAYS
