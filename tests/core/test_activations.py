import naive
import numpy as np
import pytest
from builders import DTYPES

from skmlp.core.activations import ACTIVATIONS

TOLERANCE = {np.float32: 1e-6, np.float64: 1e-14}
EXTREMES = [0.0, -0.0, 1e-45, -1e-45, 1e-320, 88.0, -88.0, 710.0, -745.0]
EXTREMES += [1e30, -1e30, np.inf, -np.inf]

each_activation = pytest.mark.parametrize("name", ACTIVATIONS)
each_dtype = pytest.mark.parametrize("dtype", DTYPES)


def run(name, Z, bias, dtype):
    """(A, Z) after forward, in the same memory if the table says so."""
    row, Z = ACTIVATIONS[name], np.array(Z, dtype)
    n_units = Z.shape[1] // (1 + row.gated)
    A = Z if row.in_place else np.full((len(Z), n_units), np.nan, dtype)
    row.forward(A, Z, np.array(bias, dtype))
    return A, Z


def forward(name, Z, bias, dtype=np.float64):
    return run(name, Z, bias, dtype)[0]


def backward(name, dA, Z, bias=None, dtype=np.float64, db=None):
    """(dZ, db) after forward on Z and bias."""
    bias = np.zeros(np.shape(Z)[1]) if bias is None else bias
    row, (A, Z) = ACTIVATIONS[name], run(name, Z, bias, dtype)
    dA = np.array(dA, dtype)
    dZ = np.full_like(Z, np.nan) if row.gated else dA
    db = np.zeros(dZ.shape[1], dtype) if db is None else db
    row.backward(dZ, db, dA, A, Z)
    return dZ, db


def test_the_naive_twin_knows_every_row():
    assert naive.ACTIVATIONS.keys() == ACTIVATIONS.keys()


@each_activation
@each_dtype
def test_forward_is_that_of_the_naive_twin(name, dtype):
    rng = np.random.default_rng(0)
    Z, bias = rng.standard_normal((7, 5)) * 5, rng.standard_normal(5)
    A = forward(name, Z, bias, dtype)
    assert A.dtype == dtype
    expected = naive.ACTIVATIONS[name][0](Z + bias)
    np.testing.assert_allclose(A, expected, rtol=20 * TOLERANCE[dtype], atol=1e-6)


@each_activation
def test_forward_in_double_precision(name):
    Z = np.linspace(-30, 30, 601).reshape(-1, 1)
    expected = naive.ACTIVATIONS[name][0](Z)
    np.testing.assert_allclose(forward(name, Z, [0]), expected, rtol=1e-13)


@each_activation
def test_backward_against_central_differences(name):
    rng = np.random.default_rng(1)
    Z, bias = rng.standard_normal((6, 4)) * 2, rng.standard_normal(4)
    upstream, h = rng.standard_normal((6, 4)), 1e-6
    delta, db = backward(name, upstream, Z, bias)
    slope = (forward(name, Z + h, bias) - forward(name, Z - h, bias)) / (2 * h)
    np.testing.assert_allclose(delta, upstream * slope, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(db, delta.sum(axis=0), rtol=1e-14)


@each_activation
@each_dtype
def test_backward_is_that_of_the_naive_twin(name, dtype):
    rng = np.random.default_rng(2)
    Z, upstream = rng.standard_normal((6, 4)) * 3, rng.standard_normal((6, 4))
    delta, db = backward(name, upstream, Z, dtype=dtype)
    assert delta.dtype == db.dtype == dtype
    expected = upstream * naive.ACTIVATIONS[name][1](Z)
    np.testing.assert_allclose(delta, expected, atol=10 * TOLERANCE[dtype])


@each_activation
def test_backward_adds_to_db(name):
    Z = [[0.5], [1.0]]
    _, db = backward(name, np.ones((2, 1)), Z)
    _, more = backward(name, np.ones((2, 1)), Z, db=np.array([10.0]))
    np.testing.assert_allclose(more, db + 10, rtol=1e-15)


@each_activation
@each_dtype
def test_extremes(name, dtype):
    Z = np.array([EXTREMES], dtype)
    expected = naive.ACTIVATIONS[name][0](Z)
    A = forward(name, Z, np.zeros(Z.shape[1]), dtype)
    np.testing.assert_allclose(A, expected, rtol=TOLERANCE[dtype], atol=1e-37)
    delta, db = backward(name, np.full(Z.shape, 1e-3), Z, dtype=dtype)
    assert np.isfinite(delta).all()
    np.testing.assert_array_equal(db, delta[0])


@each_activation
@each_dtype
def test_saturated_units_let_no_gradient_nor_denormal_through(name, dtype):
    info = np.finfo(dtype)
    Z = np.linspace(-800, 800, 1601)[:, None]
    delta, _ = backward(name, np.full(Z.shape, 4 * info.tiny), Z, dtype=dtype)
    assert ((delta == 0) | (np.abs(delta) >= info.tiny)).all()


@each_activation
@each_dtype
@pytest.mark.parametrize("at", [0, 4, 15])
def test_nan_is_never_hidden(name, dtype, at):
    Z = np.linspace(0.1, 3, 17)[:, None]
    Z[at] = np.nan
    A = forward(name, Z, [0.0], dtype)
    np.testing.assert_array_equal(np.isnan(A), np.isnan(Z))
    np.testing.assert_array_equal(np.isnan(forward(name, [[1.0]], [np.nan], dtype)), 1)

    upstream = np.where(np.isnan(Z), np.nan, 1.0)
    delta, db = backward(name, upstream, np.full((17, 1), 0.7), dtype=dtype)
    np.testing.assert_array_equal(np.isnan(delta), np.isnan(Z))
    assert np.isnan(db).all()


@each_activation
def test_no_rows(name):
    assert forward(name, np.empty((0, 3)), np.zeros(3)).shape == (0, 3)
    _, db = backward(name, np.empty((0, 3)), np.empty((0, 3)))
    np.testing.assert_array_equal(db, 0)
