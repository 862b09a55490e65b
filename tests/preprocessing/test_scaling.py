"""Robust scaling with a smooth bound: its formula, and columns of every kind."""

import pickle

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from skmlp.preprocessing import PiecewiseLinearEncoder, RobustScaleSmoothClip
from skmlp.preprocessing import validation as module

LARGEST = np.finfo(np.float64).max
BOTH = [RobustScaleSmoothClip, PiecewiseLinearEncoder]


def naive(x, fitted, limit=3.0):
    """The paper's formula, column by column."""
    x, out = np.asarray(x, np.float64), []
    for column in np.asarray(fitted, np.float64).T:
        column = column[~np.isnan(column)]
        low, center, high = np.quantile(column, [0.25, 0.5, 0.75])
        width = column.max() - column.min()
        scale = 1 / (high - low) if high > low else 2 / width if width else 0
        u = scale * (x[:, len(out)] - center)
        out.append(u / np.sqrt(1 + (u / limit) ** 2))
    return np.transpose(out)


def make_table(n_rows=200):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n_rows, 5)) * [1, 1e6, 1e-6, 1, 1]
    X[:, 3] = rng.integers(0, 2, n_rows)
    X[:, 4] = np.where(rng.random(n_rows) < 0.9, 7, X[:, 4])
    X[rng.random(X.shape) < 0.1] = np.nan
    return X


def column_of(*values):
    return np.array(values, np.float64)[:, None]


@pytest.mark.parametrize("limit", [0.5, 3.0, 1000])
def test_formula(limit):
    X = make_table()
    Z = RobustScaleSmoothClip(limit=limit).fit_transform(X)
    np.testing.assert_allclose(Z, naive(X, X, limit), rtol=1e-12, atol=1e-14)


def test_fitted_attributes():
    model = RobustScaleSmoothClip().fit(column_of(1, 2, 3, 4, 1e12))
    assert model.center_.tolist() == [3]
    assert model.scale_.tolist() == [0.5]
    assert model.n_features_in_ == 1


@settings(deadline=None, derandomize=True)
@given(arrays(np.float64, (8, 2), elements=st.floats(-LARGEST, LARGEST)))
def test_finite_within_the_limit_and_monotone(X):
    Z = RobustScaleSmoothClip().fit_transform(X)
    assert (np.abs(Z) <= 3).all()
    for x, z in zip(X.T, Z.T):
        assert (np.diff(z[np.argsort(x, kind="stable")]) >= 0).all()


def test_an_outlier_leaves_resolution():
    x = np.append(np.arange(100.0), 1e12)[:, None]
    z = RobustScaleSmoothClip().fit_transform(x).ravel()
    assert (np.diff(z[:100]) > 0.005).all()
    assert z[-1] == pytest.approx(3)


@pytest.mark.parametrize("scale", [1e300, LARGEST])
def test_huge_values(scale):
    x = column_of(-1, -0.5, 0, 0.5, 1) * scale
    z = RobustScaleSmoothClip().fit_transform(x)
    np.testing.assert_allclose(z, naive(x / scale, x / scale), rtol=1e-12)


def test_tiny_values():
    x = column_of(0, 1, 2, 3) * 5e-324
    model = RobustScaleSmoothClip().fit(x)
    assert np.isfinite(model.scale_).all()
    assert np.isfinite(model.transform(x)).all()
    assert np.isfinite(model.transform(column_of(1e300))).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("value", [0.0, 1.0, -1e30])
@pytest.mark.parametrize("ulps", [0, 1])
def test_constant_but_for_rounding(dtype, value, ulps):
    x = np.full((6, 1), value, dtype)
    if ulps and value:
        x[::2] = np.nextafter(x[0, 0], dtype(np.inf))
    model = RobustScaleSmoothClip().fit(x)
    assert model.scale_ == [0]
    later = np.array([[value], [0], [5], [np.finfo(dtype).max]], dtype)
    assert (model.transform(later) == 0).all()


def test_most_values_equal():
    x = column_of(*[0] * 9, 8)
    z = RobustScaleSmoothClip().fit_transform(x)
    np.testing.assert_allclose(z, naive(x, x))
    assert z[-1] == pytest.approx(2 / np.sqrt(1 + 4 / 9))


def test_column_without_numbers():
    X = np.column_stack([np.full(4, np.nan), np.arange(4)])
    model = RobustScaleSmoothClip().fit(X)
    assert model.center_[0] == model.scale_[0] == 0
    Z = model.transform([[1.0, 1.0], [np.nan, np.nan]])
    assert Z[0, 0] == 0
    assert np.isnan(Z[1]).all()


def test_gaps_pass():
    X = make_table()
    Z = RobustScaleSmoothClip().fit_transform(X)
    np.testing.assert_array_equal(np.isnan(Z), np.isnan(X))


@pytest.mark.parametrize("make", BOTH)
def test_weights_are_repeated_rows(make):
    X = make_table(50)
    counts = np.random.default_rng(1).integers(0, 4, len(X))
    weighted = make().fit(X, sample_weight=counts)
    repeated = make().fit(np.repeat(X, counts, axis=0))
    np.testing.assert_allclose(
        weighted.transform(X), repeated.transform(X), rtol=1e-9, atol=1e-12
    )


@pytest.mark.parametrize("make", BOTH)
@pytest.mark.parametrize(
    "weight", [[-1, 1, 1], [0, 0, 0], [1, np.nan, 1], [1, 1], [1e308, 1e308, 1e308]]
)
def test_bad_weights(make, weight):
    with pytest.raises(ValueError, match=r"[wW]eight"):
        make().fit(column_of(1, 2, 3), sample_weight=weight)


@pytest.mark.parametrize("make", BOTH)
@pytest.mark.parametrize("value", [np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_infinity_is_refused(make, value, dtype):
    X = make_table().astype(dtype)
    model = make().fit(X)
    X[150, 2] = value
    for method in (model.fit, model.transform):
        with pytest.raises(ValueError, match="Input X contains infinity"):
            method(X)


@pytest.mark.parametrize("make", BOTH)
@pytest.mark.parametrize("to_sparse", [sparse.csr_matrix, sparse.csr_array])
def test_sparse_is_refused(make, to_sparse):
    with pytest.raises(TypeError, match="dense data is required"):
        make().fit(to_sparse(np.eye(3)))


@pytest.mark.parametrize("make", BOTH)
def test_dates_are_refused(make):
    X = pd.DataFrame({"a": pd.date_range("2020-01-01", periods=3)})
    for table in (X, X.to_numpy(), X - X.iloc[0]):
        with pytest.raises(TypeError, match="dates or durations"):
            make().fit(table)


@pytest.mark.parametrize("make", BOTH)
def test_not_fitted(make):
    with pytest.raises(NotFittedError):
        make().transform(np.zeros((2, 3)))


@pytest.mark.parametrize("limit", [0, -1, np.nan, np.inf, "3"])
def test_bad_limit(limit):
    with pytest.raises(ValueError, match="limit"):
        RobustScaleSmoothClip(limit=limit).fit(np.eye(3))


@pytest.mark.parametrize("make", BOTH)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtype_is_kept_and_computed_in_float64(make, dtype):
    X = make_table()
    Z = make().fit_transform(X.astype(dtype))
    assert Z.dtype == dtype
    desired = make().fit(X.astype(dtype).astype(np.float64)).transform(X)
    np.testing.assert_allclose(Z, desired, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("make", BOTH)
@pytest.mark.parametrize("block_size", [1, 7, 64])
def test_blocks_do_not_matter(make, block_size, monkeypatch):
    X = make_table()
    whole = make().fit_transform(X)
    monkeypatch.setattr(module, "BLOCK_SIZE", block_size)
    np.testing.assert_array_equal(make().fit_transform(X), whole)


@pytest.mark.parametrize("make", BOTH)
@pytest.mark.parametrize(
    "change",
    [
        np.asfortranarray,
        lambda X: X.astype(">f8"),
        lambda X: X.tolist(),
        lambda X: X.astype(object),
        lambda X: np.repeat(X, 2, axis=0)[::2],
        lambda X: np.concatenate([X[i : i + 1] for i in range(len(X))]),
        lambda X: X.view(type("Own", (np.ndarray,), {})),
    ],
    ids=["fortran", "swapped", "lists", "objects", "strided", "rows", "subclass"],
)
def test_every_form_of_a_matrix(make, change):
    X = make_table()
    before = X.copy()
    model = make().fit(X)
    np.testing.assert_array_equal(model.transform(change(X)), model.transform(X))
    np.testing.assert_array_equal(
        make().fit(change(X)).transform(X), model.transform(X)
    )
    np.testing.assert_array_equal(X, before)


@pytest.mark.parametrize("make", BOTH)
def test_each_row_alone(make):
    X = make_table()
    model = make().fit(X)
    rows = [model.transform(X[i : i + 1]) for i in range(len(X))]
    np.testing.assert_array_equal(np.concatenate(rows), model.transform(X))


@pytest.mark.parametrize("make", BOTH)
def test_read_only_input(make):
    X = make_table()
    X.flags.writeable = False
    make().fit(X).transform(X)


@pytest.mark.parametrize("make", BOTH)
def test_any_handling_of_errors(make):
    X = make_table() * 1e300
    with np.errstate(all="raise"):
        make().fit_transform(X)


@pytest.mark.parametrize("make", BOTH)
@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_names_and_set_output(make, library):
    X = pd.DataFrame(make_table(), columns=list("abcde"))
    model = make().set_output(transform=library).fit(X)
    Z = model.transform(X)
    assert type(Z).__module__.startswith(library)
    assert list(Z.columns) == model.get_feature_names_out().tolist()
    with pytest.raises(ValueError, match="feature names should match"):
        model.transform(X[list("edcba")])


@pytest.mark.parametrize("make", BOTH)
def test_clone_and_pickle(make):
    X = make_table()
    model = make().fit(X)
    restored = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(restored.transform(X), model.transform(X))
    assert clone(model).get_params() == model.get_params()
