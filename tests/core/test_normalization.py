import naive
import numpy as np
import pytest
from builders import DTYPES

from skmlp.core.normalization import NORMALIZATIONS

EPSILON, MOMENTUM = 1e-5, 0.1
TOLERANCE = {np.float32: 2e-5, np.float64: 1e-12}

each_name = pytest.mark.parametrize("name", NORMALIZATIONS)
each_dtype = pytest.mark.parametrize("dtype", DTYPES)


class Layer:
    """Arrays of one normalized layer."""

    def __init__(self, Z, scale, weight=None, dtype=np.float64):
        n_rows, width = np.shape(Z)
        self.Z, self.scale = np.array(Z, dtype), np.array(scale, dtype)
        weight = np.ones(n_rows) if weight is None else weight
        self.weight = np.repeat(np.array(weight, dtype)[:, None], 2, axis=1)
        self.X = np.full_like(self.Z, np.nan)
        self.running = np.array([np.zeros(width), np.ones(width)], dtype)
        self.statistics = np.full(max(n_rows, 2 * width), np.nan, dtype)

    def forward(self, name, kind="forward"):
        getattr(NORMALIZATIONS[name], kind)(
            self.Z,
            self.X,
            self.scale,
            self.running,
            self.statistics,
            self.weight,
            MOMENTUM,
            EPSILON,
        )
        return self.Z

    def backward(self, name, dZ):
        dZ, dscale = np.array(dZ, self.Z.dtype), np.full_like(self.scale, np.nan)
        NORMALIZATIONS[name].backward(
            dZ, self.X, self.scale, dscale, self.statistics, self.weight
        )
        return dZ, dscale


def draw(n_rows=7, width=4, seed=0):
    rng = np.random.default_rng(seed)
    Z = rng.standard_normal((n_rows, width)) * 3 + 1
    return Z, rng.standard_normal(width), rng.random(n_rows) + 0.1


def test_the_naive_twin_knows_every_row():
    assert naive.NORMALIZATIONS.keys() == NORMALIZATIONS.keys()


@each_name
@each_dtype
def test_forward_is_that_of_the_naive_twin(name, dtype):
    Z, scale, weight = draw()
    actual = Layer(Z, scale, weight, dtype).forward(name)
    assert actual.dtype == dtype
    expected = naive.NORMALIZATIONS[name](Z, weight / weight.sum(), EPSILON) * scale
    tolerance = TOLERANCE[dtype]
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)


@each_name
def test_backward_against_central_differences(name):
    Z, scale, weight = draw()
    upstream, h = np.random.default_rng(1).standard_normal(Z.shape), 1e-5
    layer = Layer(Z, scale, weight)
    layer.forward(name)
    dZ, dscale = layer.backward(name, upstream)

    def value(Z, scale):
        return (Layer(Z, scale, weight).forward(name) * upstream).sum()

    for array, gradient in (Z, dZ), (scale, dscale):
        for at in np.ndindex(array.shape):
            middle = array[at]
            array[at] = middle + h
            rise = value(Z, scale)
            array[at] = middle - h
            rise -= value(Z, scale)
            array[at] = middle
            assert gradient[at] == pytest.approx(rise / (2 * h), rel=1e-6, abs=1e-8)


@each_dtype
@pytest.mark.parametrize("weighted", [False, True])
def test_batch_output_has_mean_zero_and_variance_one(dtype, weighted):
    """Before its scale, and before the shift, which is the bias."""
    Z, scale, weight = draw(n_rows=50)
    layer = Layer(Z, scale, weight if weighted else None, dtype)
    layer.forward("batch")
    share = weight / weight.sum() if weighted else np.full(50, 1 / 50)
    np.testing.assert_allclose(share @ layer.X, 0, atol=1e-6)
    np.testing.assert_allclose(share @ layer.X**2, 1, rtol=1e-4)


@each_dtype
def test_running_statistics_move_towards_those_of_the_minibatch(dtype):
    Z, scale, weight = draw()
    layer = Layer(Z, scale, weight, dtype)
    layer.forward("batch")
    share = weight / weight.sum()
    mean = share @ Z
    variance = share @ (Z - mean) ** 2
    expected = [0.1 * mean, 0.9 + 0.1 * variance]
    np.testing.assert_allclose(layer.running, expected, rtol=TOLERANCE[dtype])


@each_dtype
def test_prediction_uses_running_statistics(dtype):
    Z, scale, _ = draw()
    layer = Layer(Z, scale, dtype=dtype)
    layer.running[:] = [[1, 2, 3, 4], [4, 3, 2, 1]]
    expected = (Z - [1, 2, 3, 4]) / np.sqrt(np.add([4, 3, 2, 1], EPSILON)) * scale
    tolerance = TOLERANCE[dtype]
    actual = layer.forward("batch", "predict")
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)


@each_name
def test_a_weight_of_two_is_a_row_twice(name):
    Z, scale, _ = draw()
    upstream = np.random.default_rng(1).standard_normal(Z.shape)
    weight = np.ones(len(Z))
    weight[2] = 2
    rows = [0, 1, 2, 2, 3, 4, 5, 6]
    once, twice = Layer(Z, scale, weight), Layer(Z[rows], scale)
    np.testing.assert_allclose(once.forward(name)[rows], twice.forward(name))
    # Derivatives arrive times the weight.
    dZ, dscale = once.backward(name, upstream * weight[:, None])
    repeated, same = twice.backward(name, upstream[rows])
    np.testing.assert_allclose(dscale, same)
    sums = np.zeros_like(Z)
    np.add.at(sums, rows, repeated)
    np.testing.assert_allclose(dZ, sums, atol=1e-12)


@each_name
@each_dtype
def test_one_row(name, dtype):
    """Batch statistics of one row do not exist: the running ones are constants."""
    layer = Layer([[1.0, -2.0, 3.0]], [1.0, 2.0, 3.0], dtype=dtype)
    layer.running[:] = [[1, 0, 0], [1, 4, 9]]
    before = layer.running.copy()
    Z = layer.forward(name).copy()
    assert np.isfinite(Z).all()
    np.testing.assert_array_equal(layer.running, before)
    if name == "batch":
        np.testing.assert_allclose(Z, [[0, -2, 3]], rtol=1e-4)
        dZ, dscale = layer.backward(name, [[1.0, 1.0, 1.0]])
        np.testing.assert_allclose(dZ, [[1, 1, 1]], rtol=1e-4)
        np.testing.assert_allclose(dscale, layer.X[0])


@each_name
@each_dtype
def test_constant_columns_are_no_trouble(name, dtype):
    layer = Layer(np.full((5, 3), 7.0), np.ones(3), dtype=dtype)
    np.testing.assert_array_equal(layer.forward(name), 0)
    dZ, _ = layer.backward(name, np.ones((5, 3)))
    assert np.isfinite(dZ).all()


@each_name
@each_dtype
def test_nan_is_never_hidden(name, dtype):
    Z, scale, _ = draw()
    Z[2, 1] = np.nan
    assert np.isnan(Layer(Z, scale, dtype=dtype).forward(name)[2, 1])
