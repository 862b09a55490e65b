"""Accuracy in units in the last place, against the C library's long double."""

import numba
import numpy as np
import pytest
from builders import DTYPES

from skmlp.machine import math
from skmlp.machine.jit import DISABLED, FAST_MATH

N_POINTS = 300 if DISABLED else 30_000
wide = np.longdouble

# Below these results are zero, as denormal numbers are slow.
FLUSHED = {np.float32: 2.4e-38, np.float64: 4.5e-308}


def normal_pdf(x):
    return np.exp(-x * x / 2) / np.sqrt(8 * np.arctan(wide(1)))


def normal_cdf(x):
    """By Taylor's series near zero, and Laplace's continued fraction elsewhere."""
    t = abs(x)
    term = total = t
    for n in range(3, 60, 2):
        term = term * t * t / n
        total = total + term
    fraction = t
    for n in range(500, 0, -1):
        fraction = t + n / fraction
    tail = np.where(t < 1, 0.5 - normal_pdf(t) * total, normal_pdf(t) / fraction)
    return np.where(x < 0, tail, 1 - tail)


EXACT = {
    "exp": (np.exp, 2),
    "expm1": (np.expm1, 2),
    "log": (np.log, 2),
    "log1p_unit": (np.log1p, 2),
    "logistic": (lambda x: 1 / (1 + np.exp(-x)), 3),
    "normal_cdf": (normal_cdf, 8),
    "normal_pdf": (normal_pdf, 6),
    "tanh": (np.tanh, 3),
    "flush": (lambda x: x, 0),
}
POSITIVE = "exp", "logistic", "normal_cdf", "normal_pdf"
SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, 2.0, np.inf, -np.inf]

needs_long_double = pytest.mark.skipif(
    np.finfo(wide).nmant <= np.finfo(np.float64).nmant,
    reason="long double is double here: no reference for float64",
)
each_dtype = pytest.mark.parametrize(
    "dtype", [np.float32, pytest.param(np.float64, marks=needs_long_double)]
)


def mapped(name, x):
    """The function over an array, in a loop that the compiler may vectorize."""
    function = getattr(math, name)

    def loop(out, x):
        for i in range(x.size):
            out[i] = function(x[i])

    # A plain njit: the kernel of a test has no business in the package's cache.
    compiled = numba.njit(fastmath=FAST_MATH, error_model="numpy")(loop)
    out = np.empty_like(x)
    compiled(out, x)
    return out


def grid(dtype):
    """The whole range, dense near zero and near both ends of exp."""
    info = np.finfo(dtype)
    top = float(np.log(wide(info.max)))
    bottom = float(np.log(wide(info.tiny)))
    tails = np.linspace(-1, 1, N_POINTS)
    magnitudes = np.geomspace(
        float(info.smallest_subnormal), float(info.max) / 2, N_POINTS
    )
    points = np.concatenate(
        [
            magnitudes,
            -magnitudes,
            np.linspace(bottom, top, N_POINTS),
            np.linspace(-1, 1, N_POINTS),
            np.linspace(-10, 10, N_POINTS),
            top + tails,
            -top + tails,
            bottom + tails,
            -bottom + tails,
            SPECIAL,
        ]
    ).astype(dtype)
    middles = (np.arange(-40, 41) + 0.5) * np.log(2)  # where the reduction turns
    return np.concatenate([points, np.nextafter(middles.astype(dtype), dtype(0))])


def ulps(actual, exact, dtype):
    """Distance in units of the last place of the rounded exact value."""
    rounded = np.abs(exact.astype(dtype))
    unit = np.spacing(np.minimum(rounded, np.finfo(dtype).max)).astype(wide)
    same = actual.astype(wide) == rounded * np.sign(exact)
    with np.errstate(invalid="ignore"):
        return np.where(same, 0, np.abs(actual.astype(wide) - exact) / unit)


@each_dtype
@pytest.mark.parametrize("name", POSITIVE)
def test_positive_functions(name, dtype):
    reference, bound = EXACT[name]
    x = grid(dtype)
    exact, actual = reference(x.astype(wide)), mapped(name, x)
    flushed = (actual == 0) & (exact < FLUSHED[dtype])
    assert np.where(flushed, 0, ulps(actual, exact, dtype)).max() <= bound


@each_dtype
@pytest.mark.parametrize("name", POSITIVE)
def test_results_are_zero_rather_than_denormal(name, dtype):
    y = mapped(name, grid(dtype))
    assert y.min() == 0
    assert y[y > 0].min() >= np.finfo(dtype).tiny


@each_dtype
@pytest.mark.parametrize("name", ["expm1", "tanh"])
def test_functions_that_are_exact_near_zero(name, dtype):
    x = grid(dtype)
    reference, bound = EXACT[name]
    if name == "tanh" and dtype == np.float32:
        bound = 6  # a cheaper formula
    assert ulps(mapped(name, x), reference(x.astype(wide)), dtype).max() <= bound


@pytest.mark.parametrize("dtype", DTYPES)
def test_tanh_is_odd_and_bounded(dtype):
    x = grid(dtype)
    y = mapped("tanh", x)
    np.testing.assert_array_equal(y, -mapped("tanh", -x))
    assert np.abs(y).max() == 1


@each_dtype
def test_log1p_of_the_unit_interval(dtype):
    x = np.abs(grid(dtype))
    x = x[x <= 1]
    reference, bound = EXACT["log1p_unit"]
    actual, exact = mapped("log1p_unit", x), reference(x.astype(wide))
    assert ulps(actual, exact, dtype).max() <= bound


@each_dtype
def test_log_of_positive_numbers(dtype):
    x = np.abs(grid(dtype))
    x = np.concatenate([x, 1 + np.linspace(-0.6, 1.5, 40_001).astype(dtype)])
    x = x[x >= np.finfo(dtype).tiny]
    reference, bound = EXACT["log"]
    actual, exact = mapped("log", x), reference(x.astype(wide))
    assert ulps(actual, exact, dtype).max() <= bound


@pytest.mark.parametrize("dtype", DTYPES)
def test_flush_removes_denormals_only(dtype):
    x = grid(dtype)
    expected = np.where(np.abs(x) < np.finfo(dtype).tiny, 0, x)
    assert (expected != x).any()
    np.testing.assert_array_equal(mapped("flush", x), expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", EXACT)
def test_nan_stays_nan_wherever_it_stands(name, dtype):
    x = np.linspace(0, 1, 37).astype(dtype)
    x[[0, 5, 36]] = np.nan
    y = mapped(name, x)
    assert y.dtype == dtype
    np.testing.assert_array_equal(np.isnan(y), np.isnan(x))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    ("name", "at", "expected"),
    [
        (
            "exp",
            [0.0, -0.0, np.inf, -np.inf, 1e30, -1e30],
            [1, 1, np.inf, 0, np.inf, 0],
        ),
        ("logistic", [0.0, np.inf, -np.inf, 1e30, -1e30], [0.5, 1, 0, 1, 0]),
        ("expm1", [0.0, -0.0, np.inf, -np.inf, -1e30], [0, 0, np.inf, -1, -1]),
        ("normal_cdf", [np.inf, -np.inf, 1e30, -1e30], [1, 0, 1, 0]),
        ("normal_pdf", [np.inf, -np.inf, 1e30, -1e30], [0, 0, 0, 0]),
        ("tanh", [0.0, -0.0, np.inf, -np.inf, 1e30, -1e30], [0, 0, 1, -1, 1, -1]),
        (
            "log",
            [1.0, 0.0, np.inf, -1.0, -np.inf],
            [0, -np.inf, np.inf, np.nan, np.nan],
        ),
        ("log1p_unit", [0.0], [0]),
        ("flush", [0.0, np.inf, -np.inf], [0, np.inf, -np.inf]),
    ],
)
def test_exact_values(name, at, expected, dtype):
    np.testing.assert_array_equal(mapped(name, np.array(at, dtype)), expected)
