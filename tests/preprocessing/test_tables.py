"""All forms of a table give the same output, and none is changed."""

import copy
import datetime
import sys
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from preprocessing.tables import ARRAYS, COLUMNS, FRAMES, TABLES
from scipy import sparse

from skmlp.preprocessing import TabularEncoder, columns, validation

OUTPUT = {"onehot": {}, "codes": {"categories": "codes"}}
# Columns of "categories" frames are enumerated in full, but for the names.
NAMES = [
    *("number", "integer", "whole", "decimal"),
    *("missingindicator_number", "missingindicator_integer"),
    "missingindicator_decimal",
    *("flag_True", "color_blue", "color_green", "color_red", "size_s"),
]


def encode(table, **kwargs):
    encoder = TabularEncoder(**kwargs).fit(table)
    return encoder, encoder.transform(table)


@pytest.mark.parametrize("output", OUTPUT)
@pytest.mark.parametrize("name", TABLES)
def test_all_tables_are_alike(name, output):
    reference, desired = encode(TABLES["array"](), **OUTPUT[output])
    table = TABLES[name]()
    encoder, actual = encode(table, **OUTPUT[output])
    np.testing.assert_array_equal(actual, desired)
    np.testing.assert_array_equal(encoder.is_categorical_, reference.is_categorical_)
    assert encoder.cardinalities_ == reference.cardinalities_ == (2, 3, 2)
    for ours, others in zip(encoder.categories_, reference.categories_):
        assert list(ours) == list(others)


@pytest.mark.parametrize("name", FRAMES)
def test_names_of_frames(name):
    encoder = TabularEncoder().fit(TABLES[name]())
    assert encoder.feature_names_in_.tolist() == list(COLUMNS)
    assert encoder.get_feature_names_out().tolist() == NAMES


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_have_no_names(name):
    encoder = TabularEncoder().fit(TABLES[name]())
    assert not hasattr(encoder, "feature_names_in_")
    assert encoder.get_feature_names_out(list(COLUMNS)).tolist() == NAMES
    assert encoder.get_feature_names_out()[-1] == "x6_s"


@pytest.mark.parametrize("name", FRAMES)
def test_fitted_on_one_frame_and_applied_to_another(name):
    encoder, desired = encode(TABLES["pandas"]())
    np.testing.assert_array_equal(encoder.transform(TABLES[name]()), desired)


@pytest.mark.parametrize("name", TABLES)
def test_blocks_do_not_matter(name, monkeypatch):
    encoder, desired = encode(TABLES[name]())
    monkeypatch.setattr(validation, "BLOCK_SIZE", 1)
    np.testing.assert_array_equal(encoder.transform(TABLES[name]()), desired)


@pytest.mark.parametrize("name", TABLES)
def test_weights_beside_every_table(name):
    weight = [1, 2, 0, 1, 3, 1]
    actual = TabularEncoder().fit(TABLES[name](), sample_weight=weight)
    desired = TabularEncoder().fit(TABLES["array"](), sample_weight=weight)
    X = TABLES["array"]()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        np.testing.assert_array_equal(actual.transform(X), desired.transform(X))


@pytest.mark.parametrize("name", ["pandas", "pandas objects", "array", "lists"])
def test_nothing_is_changed(name):
    table = TABLES[name]()
    before = copy.deepcopy(table)
    _, Z = encode(table)
    if isinstance(table, list):
        assert table == before
    else:
        assert pd.DataFrame(table).equals(pd.DataFrame(before))
    Z[:] = 7
    assert pd.DataFrame(table).equals(pd.DataFrame(before))


FRAME_KINDS = {
    "pandas": pd.DataFrame,
    "polars": pl.DataFrame,
    "Arrow": pa.table,
}


@pytest.mark.parametrize("kind", FRAME_KINDS)
class TestFrames:
    def test_names_are_checked(self, kind):
        make = FRAME_KINDS[kind]
        encoder = TabularEncoder().fit(make({"a": [1, 2], "b": ["x", "y"]}))
        with pytest.raises(ValueError, match=r"feature names should match[^:]*order"):
            encoder.transform(make({"b": ["x", "y"], "a": [1, 2]}))
        with pytest.raises(ValueError, match="names unseen at fit time:\n- c"):
            encoder.transform(make({"a": [1, 2], "c": ["x", "y"]}))
        with pytest.raises(ValueError, match="seen at fit time, yet now missing:\n- b"):
            encoder.transform(make({"a": [1, 2]}))

    def test_names_on_one_side_warn(self, kind):
        table = FRAME_KINDS[kind]({"a": [1, 2], "b": ["x", "y"]})
        array = np.array([[1, "x"], [2, "y"]], object)
        with pytest.warns(UserWarning, match="does not have valid feature names"):
            TabularEncoder().fit(table).transform(array)
        with pytest.warns(UserWarning, match="fitted without feature names"):
            TabularEncoder().fit(array).transform(table)

    def test_empty(self, kind):
        make = FRAME_KINDS[kind]
        empty = make({"a": [1.0], "b": ["x"]})[:0]
        with pytest.raises(ValueError, match=r"0 sample\(s\) \(shape=\(0, 2\)\)"):
            TabularEncoder().fit(empty)
        with pytest.raises(ValueError, match=r"0 (feature|sample)\(s\)"):
            TabularEncoder().fit(make({}))

    @pytest.mark.parametrize(
        "value",
        [
            datetime.datetime(2020, 1, 1),
            datetime.date(2020, 1, 1),
            datetime.timedelta(1),
        ],
        ids=str,
    )
    def test_dates_are_refused(self, kind, value):
        table = FRAME_KINDS[kind]({"when": [value, value]})
        with pytest.raises(TypeError, match=r"'when' holds dates.*extract numbers"):
            TabularEncoder().fit(table)

    def test_infinity_is_refused(self, kind):
        make = FRAME_KINDS[kind]
        encoder = TabularEncoder().fit(make({"a": [1.0, 2.0]}))
        for method in (encoder.fit, encoder.transform):
            with pytest.raises(ValueError, match="Input X contains infinity"):
                method(make({"a": [1.0, np.inf]}))

    def test_strings_need_categories(self, kind):
        table = FRAME_KINDS[kind]({"a": ["x", None], "b": [1, 2]})
        for chosen in (None, [], [1], ["b"], [False, True]):
            with pytest.raises(ValueError, match=r"'a' .*categorical_features"):
                TabularEncoder(categorical_features=chosen).fit(table)

    def test_large_integers_stay_apart(self, kind):
        big = 2**60
        table = FRAME_KINDS[kind]({"a": [big, big + 1, None, big + 2]})
        if kind == "pandas":
            table = pd.DataFrame(
                {"a": pd.array([big, big + 1, None, big + 2], "Int64")}
            )
        encoder, Z = encode(table, categorical_features=[0], categories="codes")
        assert encoder.categories_[0].tolist() == [big, big + 1, big + 2]
        assert Z.ravel().tolist() == [0, 1, -1, 2]


def test_lazy_frames_are_refused():
    with pytest.raises(TypeError, match=r"lazy LazyFrame: pass X\.collect"):
        TabularEncoder().fit(pl.DataFrame(COLUMNS).lazy())


@pytest.mark.parametrize("make", [sparse.csr_matrix, sparse.csr_array])
def test_sparse_is_refused(make):
    with pytest.raises(TypeError, match="dense data is required"):
        TabularEncoder().fit(make(np.eye(3)))


@pytest.mark.parametrize(
    "column",
    [pd.Series, pl.Series, pa.array, np.array, list],
    ids=["pandas", "polars", "pyarrow", "numpy", "list"],
)
def test_single_columns_are_refused(column):
    with pytest.raises(ValueError, match=r"Expected (2D|a 2-dim)"):
        TabularEncoder().fit(column([1.0, 2.0]))


def test_empty_arrays_are_refused():
    with pytest.raises(ValueError, match=r"0 sample\(s\)"):
        TabularEncoder().fit(np.empty((0, 2)))
    with pytest.raises(ValueError, match=r"0 feature\(s\)"):
        TabularEncoder().fit(np.empty((2, 0)))


@pytest.mark.parametrize(
    "value",
    [{"a": 1}, [1], 1j, object(), {1}],
    ids=["dict", "list", "complex", "object", "set"],
)
def test_other_objects_are_refused(value):
    X = np.empty((2, 1), object)
    X[0, 0] = value
    with pytest.raises(TypeError, match=r"objects of type .*: convert them"):
        TabularEncoder().fit(X)


@pytest.mark.parametrize("value", [np.datetime64("2020"), pd.Timestamp(0), pd.NaT])
def test_dates_among_objects(value):
    X = np.array([[value, "a"], [None, "b"]], object)
    if value is pd.NaT:
        assert TabularEncoder().fit(X).n_numbers_ == 0
        return
    with pytest.raises(TypeError, match="dates"):
        TabularEncoder().fit(X)


def test_arrays_of_dates_are_refused():
    with pytest.raises(TypeError, match="dates"):
        TabularEncoder().fit(np.zeros((2, 2), "M8[s]"))


def test_without_pyarrow(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow.interchange", None)
    monkeypatch.setattr(columns, "READERS", {})
    with pytest.raises(TypeError, match="pyarrow is needed"):
        TabularEncoder().fit(TABLES["interchange"]())


@pytest.mark.parametrize(
    "dtype",
    [*"?bBhHiIlLqQefdg"],
)
def test_every_dtype_of_numbers(dtype):
    X = np.array([[0, 1], [1, 0], [1, 1], [0, 1]], dtype)
    encoder, Z = encode(X, categorical_features=None)
    _, desired = encode(X.astype(np.float64), categorical_features=None)
    np.testing.assert_array_equal(Z, desired)
    assert not encoder.is_categorical_.any()


@pytest.mark.parametrize("dtype", ["U3", "S3", object])
def test_arrays_of_strings(dtype):
    X = np.array([["a", "1"], ["b", "2"], ["c", "1"]], dtype)
    encoder, Z = encode(X)
    assert encoder.is_categorical_.all()
    assert Z.tolist() == [[1, 0, 0, -1], [0, 1, 0, 1], [0, 0, 1, -1]]


def test_integers_of_128_bits():
    table = pl.DataFrame({"a": [1, 2, None, 4]})
    _, Z = encode(table.cast(pl.Int128))
    np.testing.assert_array_equal(Z, encode(table)[1])


def test_masked_arrays_have_gaps():
    X = np.ma.masked_equal([[1, 2], [3, -1], [5, 6]], -1)
    encoder, Z = encode(X)
    assert encoder.n_indicators_ == 1
    assert Z[:, 2].tolist() == [0, 1, 0]


def test_sparse_columns_of_pandas():
    table = pd.DataFrame({"a": pd.arrays.SparseArray([0.0, 0, 1, np.nan])})
    dense = pd.DataFrame({"a": [0.0, 0, 1, np.nan]})
    np.testing.assert_array_equal(encode(table)[1], encode(dense)[1])


def test_intervals_of_pandas_are_categories():
    table = pd.DataFrame({"a": pd.cut([1.0, 2, 3, np.nan, 9], [0, 1.5, 2.5, 10])})
    encoder, Z = encode(table, categories="codes")
    assert Z.ravel().tolist() == [0, 1, 2, -1, 2]
    np.testing.assert_array_equal(encoder.transform(table[1:2]), [[1]])


def test_names_that_are_no_strings():
    encoder = TabularEncoder().fit(pd.DataFrame({0: [1, 2], 1: ["a", "b"]}))
    assert not hasattr(encoder, "feature_names_in_")
    assert encoder.get_feature_names_out().tolist() == ["x0", "x1_b"]


def test_names_that_would_occur_twice():
    encoder = TabularEncoder().fit(pd.DataFrame({"a_c": [1, 2], "a": ["b", "c"]}))
    assert encoder.get_feature_names_out().tolist() == ["a_c", "a_c_1"]


@pytest.mark.parametrize("dtype", ["object", "str", "string", "category"])
def test_strings_of_which_all_are_missing(dtype):
    table = pd.DataFrame({"a": pd.Series([None] * 3, dtype=dtype), "b": [1, 2, 3]})
    encoder, Z = encode(table)
    assert Z.shape == (3, 1)
    assert encoder.is_categorical_.tolist() == [table["a"].dtype != object, False]
