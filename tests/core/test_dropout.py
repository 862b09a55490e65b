import numpy as np
import pytest
from builders import DTYPES, as_kernel
from scipy.stats import binomtest

from skmlp.core.dropout import combine, drop_backward, drop_forward

each_dtype = pytest.mark.parametrize("dtype", DTYPES)


def call_combine(key, number):
    return combine(key, number)


def mask(shape, rate, key, first=0, dtype=np.float64):
    A = np.ones(shape, dtype)
    drop_forward(A, rate, key, first)
    return A


@each_dtype
@pytest.mark.parametrize("rate", [0.05, 0.5, 0.9])
def test_dropped_at_the_rate_and_scaled_to_keep_the_mean(rate, dtype):
    A = mask((300, 100), rate, key=3, dtype=dtype)
    values = np.unique(A)
    np.testing.assert_allclose(values, [0, 1 / (1 - rate)], rtol=1e-6)
    n_dropped = int((A == 0).sum())
    assert binomtest(n_dropped, A.size, rate).pvalue > 1e-3


def test_masks_of_other_keys_and_other_places_are_independent():
    one, two = mask(20_000, 0.5, 1) > 0, mask(20_000, 0.5, 2) > 0
    for left, right in [(one, two), (one[1:], one[:-1]), (one[100:], one[:-100])]:
        n_equal = int((left == right).sum())
        assert binomtest(n_equal, left.size, 0.5).pvalue > 1e-3


def test_blocks_continue_the_mask_of_the_minibatch():
    whole = mask((10, 7), 0.4, key=5)
    parts = [mask((4, 7), 0.4, 5), mask((6, 7), 0.4, 5, first=4 * 7)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_keys_tell_steps_and_layers_apart():
    combined = as_kernel(call_combine)
    keys = {
        combined(combined(seed, step), layer)
        for seed in range(5)
        for step in range(50)
        for layer in range(4)
    }
    assert len(keys) == 5 * 50 * 4
    assert all(0 <= key < 2**32 for key in keys)


def test_a_mask_that_will_never_change():
    """The same bits in any process, on any machine, with the JIT on or off."""
    np.testing.assert_array_equal(
        mask(16, 0.5, key=12345) > 0,
        [c == "1" for c in "1100110010011011"],
    )


@each_dtype
def test_backward_applies_the_same_mask_and_restores_activations(dtype):
    rng = np.random.default_rng(0)
    before = rng.standard_normal((9, 5)).astype(dtype)
    A, dA = before.copy(), rng.standard_normal((9, 5)).astype(dtype)
    upstream = dA.copy()
    drop_forward(A, 0.3, 7, 0)
    kept = A != 0
    drop_backward(dA, A, 0.3, 7, 0)
    np.testing.assert_allclose(dA, upstream * kept / 0.7, rtol=1e-6)
    np.testing.assert_allclose(A[kept], before[kept], rtol=1e-6)


@each_dtype
def test_nan_is_never_hidden_where_it_is_kept(dtype):
    A = np.full(100, np.nan, dtype).reshape(10, 10)
    drop_forward(A, 0.5, 1, 0)
    assert 20 < np.isnan(A).sum() < 80
