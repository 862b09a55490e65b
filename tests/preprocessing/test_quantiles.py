"""Weights are repeated rows, and quantiles are those of NumPy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from skmlp.preprocessing.quantiles import SortedColumn

QS = 0, 0.1, 0.25, 1 / 3, 0.5, 0.75, 0.9, 1
NUMBERS = st.floats(-1e6, 1e6)
COLUMNS = arrays(np.float64, st.integers(1, 30), elements=NUMBERS)


def quantiles(values, weight=None):
    column = SortedColumn(np.asarray(values, np.float64), weight)
    return np.array([column.quantile(q) for q in QS])


def assert_near(actual, desired, values):
    scale = np.abs(values).max(initial=0)
    np.testing.assert_allclose(actual, desired, rtol=1e-12, atol=1e-13 * scale)


@settings(deadline=None, derandomize=True)
@given(COLUMNS)
def test_without_weights_as_numpy(values):
    assert_near(quantiles(values), np.quantile(values, QS), values)


@settings(deadline=None, derandomize=True)
@given(COLUMNS, st.data())
def test_weights_are_repeated_rows(values, data):
    counts = data.draw(arrays(np.int64, len(values), elements=st.integers(0, 5)))
    counts[0] = max(counts[0], 1)
    repeated = np.repeat(values, counts)
    actual = quantiles(values, counts.astype(np.float64))
    assert_near(actual, np.quantile(repeated, QS), repeated)


@settings(deadline=None, derandomize=True)
@given(COLUMNS, st.data())
def test_quantiles_rise_within_the_values(values, data):
    weight = data.draw(arrays(np.float64, len(values), elements=st.floats(1e-3, 1e3)))
    actual = quantiles(values, weight)
    assert actual[0] == values.min()
    assert actual[-1] == values.max()
    assert (np.diff(actual) >= -1e-9 * (1 + np.abs(values).max())).all()


@settings(deadline=None, derandomize=True)
@given(COLUMNS, st.randoms())
def test_order_of_rows_does_not_matter(values, random):
    order = list(range(len(values)))
    random.shuffle(order)
    weight = 1.0 + np.arange(len(values)) % 3
    actual = quantiles(values[order], weight[order])
    assert_near(actual, quantiles(values, weight), values)


@pytest.mark.parametrize("factor", [1, 0.5, 1e-3, 1e-300])
def test_equal_weights_below_one_are_no_weights(factor):
    values = np.random.default_rng(0).normal(size=21)
    actual = quantiles(values, np.full(21, float(factor)))
    np.testing.assert_allclose(actual, quantiles(values), rtol=1e-9)


def test_gaps_and_weights_of_zero_do_not_count():
    values = np.array([np.nan, 1, 2, 3, 1e9, np.nan])
    weight = np.array([5.0, 1, 1, 1, 0, 0])
    np.testing.assert_array_equal(quantiles(values, weight), quantiles([1, 2, 3]))


@pytest.mark.parametrize("weight", [None, np.zeros(3)])
def test_empty_columns(weight):
    values = np.full(3, np.nan) if weight is None else np.ones(3)
    column = SortedColumn(values, weight)
    assert len(column) == 0
    assert np.isnan(column.quantile(0.5))


def test_the_largest_floats():
    largest = np.finfo(np.float64).max
    column = SortedColumn(np.array([-largest, -largest, 0, largest, largest]))
    assert [column.quantile(q) for q in (0.25, 0.5, 0.75)] == [-largest, 0, largest]
    assert column.half_spread() == largest


def test_spread_of_an_outlier():
    column = SortedColumn(np.array([1.0, 2, 3, 4, 1e12]))
    assert column.half_spread() == 1


def test_spread_where_most_values_are_equal():
    column = SortedColumn(np.array([0.0] * 9 + [8]))
    assert column.half_spread() == 2  # a quarter of the range


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("center", [1.0, -1.0, 1e30])
def test_rounding_is_no_spread(dtype, center):
    values = np.full(10, center, dtype)
    values[::2] = np.nextafter(values[0], dtype(np.inf))
    assert SortedColumn(values).half_spread() == 0
