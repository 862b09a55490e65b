"""Piecewise linear encoding: its formula, and columns of every kind."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from skmlp.preprocessing import PiecewiseLinearEncoder

LARGEST = np.finfo(np.float64).max


def naive(x, edges):
    """One number's encoding."""
    if np.isnan(x) or len(edges) == 0:
        return [0.0] * max(1, len(edges) - 1)
    bins = pairwise(edges)
    return [min(1.0, max(0.0, (x - a) / (b - a))) for a, b in bins]


@pytest.mark.parametrize("n_bins", [1, 2, 16])
def test_formula(n_bins):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(100, 3))
    X[rng.random(X.shape) < 0.1] = np.nan
    X[:, 2] = 1
    model = PiecewiseLinearEncoder(n_bins=n_bins).fit(X)
    desired = [
        np.concatenate([naive(x, edges) for x, edges in zip(row, model.edges_)])
        for row in X
    ]
    np.testing.assert_allclose(model.transform(X), desired, rtol=1e-12, atol=1e-15)


def test_edges_are_distinct_quantiles():
    x = np.random.default_rng(0).normal(size=101)
    (edges,) = PiecewiseLinearEncoder(n_bins=4).fit(x[:, None]).edges_
    np.testing.assert_allclose(edges, np.quantile(x, [0, 0.25, 0.5, 0.75, 1]))
    integers = np.array([[0], [0], [0], [1], [1], [5]])
    (edges,) = PiecewiseLinearEncoder(n_bins=5).fit(integers).edges_
    assert edges.tolist() == [0, 1, 5]


def test_edges_encode_to_whole_numbers():
    x = np.random.default_rng(0).normal(size=(50, 1)) * 1e7
    model = PiecewiseLinearEncoder(n_bins=8).fit(x)
    Z = model.transform(model.edges_[0][:, None])
    np.testing.assert_array_equal(Z, np.tril(np.ones((9, 8)), -1))


@settings(deadline=None, derandomize=True)
@given(arrays(np.float64, (9, 2), elements=st.floats(-LARGEST, LARGEST)))
def test_within_zero_and_one_and_monotone(X):
    Z = PiecewiseLinearEncoder(n_bins=4).fit_transform(X)
    assert ((Z >= 0) & (Z <= 1)).all()
    n_first = (
        PiecewiseLinearEncoder(n_bins=4).fit(X[:, :1]).transform(X[:, :1]).shape[1]
    )
    rising = Z[np.argsort(X[:, 0], kind="stable")][:, :n_first]
    assert (np.diff(rising, axis=0) >= 0).all()


@pytest.mark.parametrize("value", [0.0, 7.0, -1e300])
@pytest.mark.parametrize("ulps", [0, 1])
def test_constant_but_for_rounding(value, ulps):
    x = np.full((6, 1), value)
    if ulps and value:
        x[::2] = np.nextafter(value, np.inf)
    model = PiecewiseLinearEncoder().fit(x)
    assert len(model.edges_[0]) == 0
    later = np.array([[value], [-LARGEST], [LARGEST], [np.nan]])
    assert (model.transform(later) == 0).all()
    assert model.transform(later).shape == (4, 1)


def test_an_outlier_leaves_resolution():
    x = np.append(np.arange(100.0), 1e12)[:, None]
    model = PiecewiseLinearEncoder(n_bins=8).fit(x)
    assert len(model.edges_[0]) == 9
    assert (np.abs(np.diff(model.transform(x)[:100], axis=0)).sum(1) > 0).all()


def test_column_without_numbers():
    x = np.full((3, 1), np.nan)
    model = PiecewiseLinearEncoder().fit(x)
    assert (model.transform([[np.nan], [1.0]]) == 0).all()


@pytest.mark.parametrize("scale", [LARGEST, 5e-324, 1e-300])
def test_extreme_values(scale):
    x = np.array([[-1.0], [-0.5], [0], [0.5], [1]]) * scale
    Z = PiecewiseLinearEncoder(n_bins=2).fit_transform(x)
    assert np.isfinite(Z).all()
    if scale != 5e-324:
        assert Z.tolist() == [[0, 0], [0.5, 0], [1, 0], [1, 0.5], [1, 1]]


def test_a_range_too_small_to_divide_by():
    x = np.array([[2e-309], [0], [0], [0], [0], [0]])
    assert (PiecewiseLinearEncoder().fit_transform(x) == 0).all()


def test_names():
    X = np.array([[1.0, 5], [2, 5], [3, 5]])
    model = PiecewiseLinearEncoder(n_bins=2).fit(X)
    assert model.get_feature_names_out().tolist() == ["x0_bin0", "x0_bin1", "x1_bin0"]
    assert model.get_feature_names_out(["a", "b"])[0] == "a_bin0"


@pytest.mark.parametrize("n_bins", [0, -1, 2.5, "16"])
def test_bad_n_bins(n_bins):
    with pytest.raises(ValueError, match="n_bins"):
        PiecewiseLinearEncoder(n_bins=n_bins).fit(np.eye(3))
