import naive
import numpy as np
import pytest

from skmlp.training.schedules import bias_correction, inverse_scaling


@pytest.mark.parametrize("n_seen", [0, 1, 99])
@pytest.mark.parametrize("power_t", [0.0, 0.5, 2])
def test_inverse_scaling(n_seen, power_t):
    rate = inverse_scaling(0.1, n_seen, power_t)
    assert rate == 0.1 / (n_seen + 1) ** power_t
    assert type(rate) is float


@pytest.mark.parametrize(("beta_1", "beta_2"), [(0.9, 0.999), (0.0, 0.5)])
def test_bias_correction(beta_1, beta_2):
    twin = naive.Adam(beta_1, beta_2, 1e-8)
    expected = [twin.correction(t) for t in range(1, 40)]
    actual = bias_correction(1, 39, beta_1, beta_2)
    np.testing.assert_allclose(actual, expected, rtol=1e-14)
    parts = [
        bias_correction(1, 7, beta_1, beta_2),
        bias_correction(8, 32, beta_1, beta_2),
    ]
    np.testing.assert_array_equal(np.concatenate(parts), actual)


def test_bias_correction_vanishes():
    np.testing.assert_array_equal(bias_correction(10**7, 3, 0.9, 0.999), 1)
