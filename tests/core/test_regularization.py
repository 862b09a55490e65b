import numpy as np
import pytest
from builders import DTYPES, as_kernel

from skmlp.core import regularization as kernels
from skmlp.core.layout import make_layout, weight_views
from skmlp.core.regularization import averaging_factor, make_regularization

each_dtype = pytest.mark.parametrize("dtype", DTYPES)
MEMORY = {dtype: (np.empty((0, 0), dtype), np.empty(0)) for dtype in DTYPES}
TOLERANCE = {np.float32: 1e-5, np.float64: 1e-12}


def draw(n=50, seed=0, dtype=np.float64):
    return np.random.default_rng(seed).standard_normal((2, n)).astype(dtype)


def prepare(params, gradient, n_weights, l1=0.0, l2=0.0, **limits):
    """(penalty, new gradient); the parameters may not change."""
    dtype, before, gradient = params.dtype, params.copy(), gradient.copy()
    limits = make_regularization(dtype, **limits).limits
    penalty = kernels._prepare(params, gradient, n_weights, l1, l2, limits)
    np.testing.assert_array_equal(params, before)
    return penalty, gradient


def test_nothing_is_compiled_unless_asked_for():
    off = make_regularization(np.dtype(np.float64))
    assert off[:4] == (0, 0, 0, 0)
    on = make_regularization(
        np.dtype(np.float64), l1_ratio=1, weight_decay=1, max_norm=1, ema_decay=0.5
    )
    assert all(address != 0 for address in on[:4])


@each_dtype
@pytest.mark.parametrize(("l1", "l2"), [(0, 0.3), (0.2, 0), (0.2, 0.3)])
def test_penalty_is_that_of_the_elastic_net(l1, l2, dtype):
    params, gradient = draw(dtype=dtype)
    penalty, penalized = prepare(params, gradient, 30, l1, l2)
    w = params[:30].astype(np.float64)
    expected = l1 * np.abs(w).sum() + l2 / 2 * (w**2).sum()
    assert penalty == pytest.approx(expected, rel=TOLERANCE[dtype])
    slope = np.zeros(50)
    slope[:30] = l1 * np.sign(w) + l2 * w
    np.testing.assert_allclose(penalized, gradient + slope, rtol=1e-5, atol=1e-6)


def test_penalty_gradient_against_central_differences():
    params, zero = draw()[0], np.zeros(50)
    _, gradient = prepare(params, zero, 50, 0.4, 0.7)
    for i in range(50):
        up, down = params.copy(), params.copy()
        up[i] += 1e-6
        down[i] -= 1e-6
        rise = prepare(up, zero, 50, 0.4, 0.7)[0] - prepare(down, zero, 50, 0.4, 0.7)[0]
        assert gradient[i] == pytest.approx(rise / 2e-6, rel=1e-6)


def test_weights_of_zero_feel_no_l1():
    _, gradient = prepare(np.zeros(5), np.zeros(5), 5, l1=1.0)
    np.testing.assert_array_equal(gradient, 0)


@each_dtype
def test_clipping(dtype):
    params, gradient = draw(dtype=dtype)
    _, clipped = prepare(params, gradient, 50, clip_value=0.5)
    np.testing.assert_array_equal(clipped, gradient.clip(-0.5, 0.5))
    norm = np.linalg.norm(gradient.astype(np.float64))
    _, clipped = prepare(params, gradient, 50, clip_norm=norm / 3)
    np.testing.assert_allclose(clipped, gradient / 3, rtol=1e-5)
    _, same = prepare(params, gradient, 50, clip_norm=norm * 1.01, clip_value=100)
    np.testing.assert_array_equal(same, gradient)


@each_dtype
def test_norms_beyond_the_working_type_are_clipped_too(dtype):
    huge = np.full(50, np.sqrt(np.finfo(np.float32).max) * 10, dtype)
    _, clipped = prepare(np.zeros(50, dtype), huge, 50, clip_norm=1.0)
    assert np.linalg.norm(clipped) == pytest.approx(1, rel=1e-5)


@each_dtype
def test_nan_is_never_hidden(dtype):
    params, gradient = draw(dtype=dtype)
    gradient[3] = np.nan
    for limits in {}, {"clip_value": 0.1}, {"clip_norm": 0.1}:
        assert np.isnan(prepare(params, gradient, 50, 0.1, 0.1, **limits)[1][3])


@each_dtype
def test_decay_shrinks_weights_only(dtype):
    params, _ = draw(dtype=dtype)
    expected = params.copy()
    expected[:30] *= dtype(0.9)
    kernels._decay(params, *MEMORY[dtype], 30, 0.1)
    np.testing.assert_allclose(params, expected, rtol=1e-6)


@each_dtype
def test_bound_scales_columns_down(dtype):
    layout = make_layout((3, 5, 2), gated=[True])
    params, scratch = draw(layout.n_params, dtype=dtype)
    before = params.copy()
    limits = make_regularization(np.dtype(dtype), max_norm=1.5).limits
    kernels._bound(params, *MEMORY[dtype], scratch, layout.table, limits)
    pairs = zip(weight_views(before, layout), weight_views(params, layout))
    for old, new in pairs:
        norms = np.linalg.norm(old, axis=0)
        assert norms.max() > 1.5
        expected = old * np.minimum(1, 1.5 / norms)
        np.testing.assert_allclose(new, expected, rtol=1e-5)
    n = layout.n_weights
    np.testing.assert_array_equal(params[n:], before[n:])


@each_dtype
def test_average(dtype):
    average, params = draw(dtype=dtype)
    expected = 0.75 * average + 0.25 * params
    kernels._average(average, params, 0.25)
    np.testing.assert_allclose(average, expected, rtol=1e-5, atol=1e-6)


def call_averaging_factor(limits, t):
    return averaging_factor(limits, t)


def test_the_average_starts_fast():
    limits = make_regularization(np.dtype(np.float64), ema_decay=0.99).limits
    factor = as_kernel(call_averaging_factor)
    assert factor(limits, 1) == pytest.approx(9 / 11)
    assert factor(limits, 10_000) == pytest.approx(0.01)
