"""Encoding of tables: numbers, indicators, categories, weights."""

import pickle
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from preprocessing.tables import TABLES
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from skmlp.preprocessing import RobustScaleSmoothClip, TabularEncoder

VALUES = st.one_of(
    st.none(),
    st.sampled_from(["a", "b", "1", ""]),
    st.integers(-2, 2),
    st.sampled_from([0.5, float("nan"), Decimal("0.5"), True]),
)


def rows_of(*values):
    """A table of one column."""
    X = np.empty((len(values), 1), object)
    X[:, 0] = values
    return X


def codes_of(fitted, later=None, **kwargs):
    encoder = TabularEncoder(categorical_features=[0], categories="codes", **kwargs)
    return encoder.fit(fitted).transform(fitted if later is None else later).ravel()


def onehot_of(fitted, later=None, **kwargs):
    encoder = TabularEncoder(categorical_features=[0], **kwargs).fit(fitted)
    return encoder.transform(fitted if later is None else later).tolist()


def is_missing(value):
    return value is None or value != value


class TestNumbers:
    def test_as_robust_scaling(self):
        X = np.random.default_rng(0).normal(size=(99, 3))
        Z = TabularEncoder(dtype=np.float64).fit_transform(X)
        np.testing.assert_array_equal(Z, RobustScaleSmoothClip().fit_transform(X))

    def test_missing_numbers_are_the_median_and_indicated(self):
        X = np.array([[1.0, 1], [2, 2], [3, 3], [np.nan, 4]])
        encoder = TabularEncoder().fit(X)
        assert (encoder.n_numbers_, encoder.n_indicators_) == (2, 1)
        Z = encoder.transform([[2.0, np.nan], [np.nan, 2.5]])
        assert Z.tolist() == [[0, 0, 0], [0, 0, 1]]

    def test_without_indicators(self):
        X = np.array([[1.0], [2], [np.nan]])
        encoder = TabularEncoder(missing_indicator=False).fit(X)
        assert encoder.n_indicators_ == 0
        assert encoder.transform(X).shape == (3, 1)

    def test_constant_and_empty_columns_are_left_out(self):
        X = np.array([[5.0, np.nan, 1], [5, np.nan, 2], [5, np.nan, 3]])
        encoder = TabularEncoder().fit(X)
        assert encoder.get_feature_names_out().tolist() == ["x2"]
        later = np.array([[9.0, 9, np.nan]])
        assert encoder.transform(later).tolist() == [[0]]

    def test_one_value_and_gaps_are_an_indicator(self):
        X = np.array([[5.0], [np.nan], [5]])
        encoder = TabularEncoder().fit(X)
        assert (encoder.n_numbers_, encoder.n_indicators_) == (0, 1)
        assert encoder.transform([[7.0], [np.nan]]).tolist() == [[0], [1]]

    def test_nothing_to_tell(self):
        encoder = TabularEncoder().fit(np.ones((3, 2)))
        assert encoder.transform(np.ones((4, 2))).shape == (4, 0)
        assert encoder.get_feature_names_out().tolist() == []

    def test_objects_of_numbers(self):
        X = rows_of(1, 2.5, None, Decimal(4), np.int8(7), True)
        Z = TabularEncoder().fit_transform(X)
        desired = [[1.0], [2.5], [np.nan], [4], [7], [1]]
        np.testing.assert_array_equal(Z, TabularEncoder().fit_transform(desired))

    @pytest.mark.parametrize("value", [10**400, Decimal("1e400")])
    def test_numbers_too_large(self, value):
        with pytest.raises(ValueError, match=r"range of float64|infinity"):
            TabularEncoder().fit(rows_of(1, value))

    def test_strings_later(self):
        encoder = TabularEncoder().fit(rows_of(1, 2, 3))
        with pytest.raises(ValueError, match=r"'x0' is taken as numbers, but.*'2'"):
            encoder.transform(rows_of("2"))

    def test_empty_later(self):
        encoder = TabularEncoder().fit(rows_of(1, 2, 3))
        assert encoder.transform(rows_of(None, None)).tolist() == [[0], [0]]


class TestCategories:
    def test_two_share_a_column(self):
        later = rows_of("a", "b", None, "c")
        assert onehot_of(rows_of("a", "b", "a"), later) == [[-1], [1], [0], [0]]

    def test_three(self):
        later = rows_of("c", None, "d", "a")
        Z = onehot_of(rows_of("a", "b", "c"), later)
        assert Z == [[0, 0, 1], [0, 0, 0], [0, 0, 0], [1, 0, 0]]

    def test_one_is_left_out(self):
        assert onehot_of(rows_of("a", "a"), rows_of("a", "b", None)) == [[], [], []]

    def test_one_and_gaps(self):
        later = rows_of("a", "b", None)
        assert onehot_of(rows_of("a", None), later) == [[1], [0], [0]]

    def test_none(self):
        fitted = rows_of(None, np.nan)
        assert onehot_of(fitted, rows_of("a")) == [[]]
        assert codes_of(fitted, rows_of("a", None)).tolist() == [-1, -1]

    def test_codes(self):
        encoder = TabularEncoder(categories="codes").fit(rows_of("b", None, "a", "c"))
        assert encoder.cardinalities_ == (3,)
        assert encoder.categories_[0].tolist() == ["a", "b", "c"]
        later = rows_of("c", "d", None, np.nan, pd.NA, "a")
        assert encoder.transform(later).ravel().tolist() == [2, -1, -1, -1, -1, 0]

    def test_numbers_before_strings_by_value(self):
        fitted = rows_of("b", 2, "10", 0.5, "a", 10, Decimal("1.5"), b"x")
        encoder = TabularEncoder().fit(fitted)
        desired = [0.5, Decimal("1.5"), 2, 10, b"x", "10", "a", "b"]
        assert encoder.categories_[0].tolist() == desired

    @pytest.mark.parametrize(
        "dtype", [np.int8, np.uint64, np.float32, np.float64, object]
    )
    def test_equal_numbers_of_any_dtype(self, dtype):
        fitted = np.array([[3], [1], [2]])
        assert codes_of(fitted, fitted.astype(dtype)).tolist() == [2, 0, 1]
        assert codes_of(fitted.astype(dtype), fitted).tolist() == [2, 0, 1]
        assert codes_of(fitted, fitted.astype(str)).tolist() == [-1, -1, -1]

    def test_booleans_are_categories(self):
        encoder = TabularEncoder().fit(rows_of(True, None, False))
        assert encoder.is_categorical_.all()
        assert encoder.transform(rows_of(True, False, None)).tolist() == [
            [1],
            [-1],
            [0],
        ]

    @settings(deadline=None, derandomize=True)
    @given(st.lists(VALUES, min_size=1, max_size=12), st.lists(VALUES, max_size=6))
    def test_as_a_naive_search(self, fitted, more):
        encoder = TabularEncoder(categorical_features=[0], categories="codes")
        encoder.fit(rows_of(*fitted))
        categories = encoder.categories_[0].tolist()
        present = [value for value in fitted if not is_missing(value)]
        assert len(categories) == len(set(present))
        later = fitted + more
        for value, code in zip(later, encoder.transform(rows_of(*later)).ravel()):
            if is_missing(value) or value not in present:
                assert code == -1
            else:
                assert categories[int(code)] == value

    @settings(deadline=None, derandomize=True)
    @given(st.lists(VALUES, min_size=1, max_size=12), st.randoms())
    def test_order_of_rows_does_not_matter(self, values, random):
        shuffled = random.sample(values, len(values))
        for encode in (codes_of, onehot_of):
            actual = encode(rows_of(*shuffled), rows_of(*values))
            np.testing.assert_array_equal(actual, encode(rows_of(*values)))

    def test_the_largest_are_kept(self):
        fitted = rows_of(*"aaabbcccd", None)
        encoder = TabularEncoder(max_categories=2).fit(fitted)
        assert encoder.categories_[0].tolist() == ["a", "c"]
        assert encoder.transform(rows_of(*"abc")).tolist() == [[-1], [0], [1]]
        assert onehot_of(rows_of(*"aab"), max_categories=1) == [[1], [1], [0]]
        assert onehot_of(rows_of(*"aa"), max_categories=1) == [[], []]

    def test_as_many_as_rows(self):
        ids = rows_of(*(f"id{i}" for i in range(100_000)))
        encoder = TabularEncoder(categories="codes").fit(ids)
        assert encoder.cardinalities_ == (100_000,)
        codes = encoder.transform(ids).ravel()
        np.testing.assert_array_equal(np.sort(codes), np.arange(100_000))

    def test_too_many_for_float32(self, monkeypatch):
        X = np.arange(2**24 + 1, dtype=np.float64)[:, None]
        encoder = TabularEncoder(categorical_features=[0], categories="codes")
        monkeypatch.setattr(
            "skmlp.preprocessing.encoder.Categories", lambda column, *_: X
        )
        with pytest.raises(ValueError, match=r"16777217 categories.*max_categories"):
            encoder.fit(X[:5])


class TestSelection:
    @pytest.mark.parametrize(
        "chosen", [["b"], [1], [False, True], np.array(["b"]), np.array([1], np.int8)]
    )
    def test_columns_of_categories(self, chosen):
        table = pd.DataFrame({"a": [1, 2, 3], "b": [1, 2, 3]})
        encoder = TabularEncoder(categorical_features=chosen).fit(table)
        assert encoder.is_categorical_.tolist() == [False, True]
        assert encoder.categories_[0].tolist() == [1, 2, 3]

    @pytest.mark.parametrize(
        ("chosen", "match"),
        [
            ([2], r"integer indices must be in \[0, n_features - 1\]"),
            ([-1], r"integer indices must be in \[0, n_features - 1\]"),
            ([True], "boolean mask must have shape"),
            ([0.5], "array-like of bool, int or str, got: float"),
            ([0, "b"], "array-like of bool, int or str"),
            (["c"], "item value 'c' which is not a valid feature name"),
            ([[0]], "array-like of bool, int or str"),
            ("b", "categorical_features"),
        ],
    )
    def test_refused(self, chosen, match):
        table = pd.DataFrame({"a": [1, 2, 3], "b": [1, 2, 3]})
        with pytest.raises(ValueError, match=match):
            TabularEncoder(categorical_features=chosen).fit(table)

    def test_names_need_names(self):
        with pytest.raises(ValueError, match="data without feature names"):
            TabularEncoder(categorical_features=["b"]).fit(np.eye(2))

    def test_none(self):
        X = np.array([[True, False], [False, True], [True, True], [False, False]])
        encoder = TabularEncoder(categorical_features=None).fit(X)
        assert encoder.n_numbers_ == 2


class TestWeights:
    def test_weights_are_repeated_rows(self):
        rng = np.random.default_rng(0)
        table = pd.DataFrame(
            {
                "a": np.where(rng.random(40) < 0.2, np.nan, rng.normal(size=40)),
                "b": rng.choice([*"xyz"], 40),
                "c": rng.choice(np.array(["u", "v", None], object), 40),
            }
        )
        counts = rng.integers(0, 3, 40)
        for kwargs in ({}, {"categories": "codes"}, {"max_categories": 2}):
            weighted = TabularEncoder(**kwargs).fit(table, sample_weight=counts)
            repeated = TabularEncoder(**kwargs).fit(
                table.loc[table.index.repeat(counts)]
            )
            np.testing.assert_allclose(
                weighted.transform(table), repeated.transform(table), rtol=1e-6
            )

    def test_rows_of_weight_zero_do_not_count(self):
        X = np.array([[1, "a"], [2, "b"], [3, "a"], [1e9, "c"], [None, None]], object)
        weighted = TabularEncoder().fit(X, sample_weight=[1, 1, 1, 0, 0])
        alone = TabularEncoder().fit(X[:3])
        assert weighted.cardinalities_ == (2,)
        assert weighted.n_indicators_ == 0
        np.testing.assert_array_equal(weighted.transform(X), alone.transform(X))

    def test_negative(self):
        with pytest.raises(ValueError, match="Negative"):
            TabularEncoder().fit(np.eye(2), sample_weight=[1, -1])


class TestPlainArrays:
    """Arrays of floats take a short way."""

    @pytest.fixture
    def X(self):
        X = np.random.default_rng(0).normal(size=(50, 6))
        X[::5, [1, 3]] = np.nan
        X[:, 2], X[:, 4] = 7, np.nan
        return X

    @pytest.mark.parametrize("dtype", [np.float32, np.float64])
    @pytest.mark.parametrize("order", ["C", "F"])
    def test_as_the_long_way(self, X, dtype, order):
        X = np.array(X, dtype, order=order)
        encoder = TabularEncoder().fit(X)
        long = TabularEncoder().fit(pd.DataFrame(X))
        assert encoder.n_numbers_ == long.n_numbers_ == 4
        assert encoder.n_indicators_ == 2
        desired = long.transform(pd.DataFrame(X))
        np.testing.assert_array_equal(encoder.transform(X), desired)
        rows = [encoder.transform(X[i : i + 1]) for i in range(len(X))]
        np.testing.assert_array_equal(np.concatenate(rows), desired)

    def test_infinity(self, X):
        encoder = TabularEncoder().fit(X)
        for j in range(6):
            row = X[:1].copy()
            row[0, j] = np.inf
            with pytest.raises(ValueError, match="Input X contains infinity"):
                encoder.transform(row)

    def test_other_widths(self, X):
        encoder = TabularEncoder().fit(X)
        with pytest.raises(ValueError, match="X has 5 features, but TabularEncoder is"):
            encoder.transform(X[:, :5])

    def test_input_is_left(self, X):
        before = X.copy()
        X.flags.writeable = False
        Z = TabularEncoder().fit(X).transform(X)
        assert not np.shares_memory(X, Z)
        np.testing.assert_array_equal(X, before)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, "float64"])
def test_dtype(dtype):
    for X in (np.eye(3), TABLES["pandas"]()):
        assert TabularEncoder(dtype=dtype).fit_transform(X).dtype == dtype


@pytest.mark.parametrize("dtype", [np.int32, np.float16, "nothing", 7])
def test_bad_dtype(dtype):
    with pytest.raises(ValueError, match=r"dtype must be numpy\.float32"):
        TabularEncoder(dtype=dtype).fit(np.eye(3))


def test_not_fitted():
    with pytest.raises(NotFittedError):
        TabularEncoder().transform(np.eye(3))
    with pytest.raises(NotFittedError):
        TabularEncoder().get_feature_names_out()


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_set_output(library):
    table = TABLES["pandas"]()
    encoder = TabularEncoder().set_output(transform=library).fit(table)
    Z = encoder.transform(table)
    assert list(Z.columns) == encoder.get_feature_names_out().tolist()
    np.testing.assert_array_equal(
        Z.to_numpy(), TabularEncoder().fit(table).transform(table)
    )


@pytest.mark.parametrize("name", ["pandas", "polars", "array"])
def test_clone_and_pickle(name):
    table = TABLES[name]()
    encoder = TabularEncoder().fit(table)
    restored = pickle.loads(pickle.dumps(encoder))
    np.testing.assert_array_equal(restored.transform(table), encoder.transform(table))
    assert clone(encoder).get_params() == encoder.get_params()


def test_in_a_pipeline():
    table = TABLES["polars"]()
    y = [0, 1, 0, 1, 0, 1]
    model = make_pipeline(TabularEncoder(), LogisticRegression()).fit(table, y)
    assert model.predict(table).shape == (6,)


def test_parameters_set_after_fit_wait_for_the_next():
    encoder = TabularEncoder(categories="codes").fit(TABLES["array"]())
    before = encoder.transform(TABLES["array"]())
    encoder.set_params(categories="onehot", missing_indicator=False, dtype=np.float64)
    np.testing.assert_array_equal(encoder.transform(TABLES["array"]()), before)


def test_fitted_anew():
    encoder = TabularEncoder().fit(TABLES["pandas"]())
    X = np.random.default_rng(0).normal(size=(9, 3))
    np.testing.assert_array_equal(
        encoder.fit(X).transform(X), TabularEncoder().fit_transform(X)
    )
    assert not hasattr(encoder, "feature_names_in_")
