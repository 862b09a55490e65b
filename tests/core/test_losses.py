import naive
import numpy as np
import pytest
from builders import DTYPES, as_kernel, random_targets

from skmlp.core.losses import LINKS, LOSSES, weigh

TOLERANCE = {np.float32: 2e-6, np.float64: 1e-13}
# Its value is averaged over outputs, its gradient is not, as in scikit-learn.
AVERAGED = {"squared_error"}

each_loss = pytest.mark.parametrize("name", LOSSES)
each_link = pytest.mark.parametrize("name", LINKS)
each_dtype = pytest.mark.parametrize("dtype", DTYPES)


def evaluate(name, Z, Y, dtype=np.float64):
    """(part of each output, derivative); Y may be scratch, but only within."""
    Z, Y = np.array(Z, dtype), np.array(Y, dtype)
    losses = np.full(Z.shape, -1.0)
    LOSSES[name].backward(Z, Y, losses, np.zeros(0))
    return losses, Z


def draw(name, n_rows=6, n_outputs=3, seed=0):
    rng = np.random.default_rng(seed)
    Z = rng.standard_normal((n_rows, n_outputs)) * 2
    return Z, random_targets(rng, LOSSES[name].link, Z.shape)


def link(name, Z, dtype=np.float64):
    y_pred = np.array(Z, dtype)
    LINKS[name](y_pred)
    return y_pred


def test_the_naive_twin_knows_every_row():
    assert naive.LINKS.keys() == LINKS.keys()
    assert {name: row.link for name, row in LOSSES.items()} == {
        name: link for name, (_, link) in naive.LOSSES.items()
    }


@each_loss
@each_dtype
@pytest.mark.parametrize("n_outputs", [1, 2, 5])
def test_value_and_derivative_are_those_of_the_naive_twin(name, dtype, n_outputs):
    Z, Y = draw(name, n_outputs=n_outputs)
    losses, delta = evaluate(name, Z, Y, dtype=dtype)
    assert delta.dtype == dtype
    row_loss, link_name = naive.LOSSES[name]
    expected = row_loss(Z, Y, np.finfo(dtype).eps)
    np.testing.assert_allclose(
        losses.sum(axis=1), expected, rtol=2 * TOLERANCE[dtype], atol=TOLERANCE[dtype]
    )
    expected = naive.LINKS[link_name](Z) - Y
    tolerance = TOLERANCE[dtype] * max(1, np.abs(expected).max())
    np.testing.assert_allclose(delta, expected, atol=tolerance)


@each_loss
@pytest.mark.parametrize("n_outputs", [1, 3])
def test_derivative_against_central_differences(name, n_outputs):
    Z, Y = draw(name, n_outputs=n_outputs, seed=1)
    h = 1e-6
    _, delta = evaluate(name, Z, Y)
    slope = np.empty_like(Z)
    for at in np.ndindex(Z.shape):
        up, down = Z.copy(), Z.copy()
        up[at] += h
        down[at] -= h
        rise = evaluate(name, up, Y)[0].sum() - evaluate(name, down, Y)[0].sum()
        slope[at] = rise / (2 * h)
    factor = n_outputs if name in AVERAGED else 1
    np.testing.assert_allclose(delta, factor * slope, rtol=1e-6, atol=1e-8)


def call_weigh(Z, losses, weight):
    return weigh(Z, losses, weight)


@each_dtype
def test_weights_multiply(dtype):
    Z = np.arange(1.0, 7).reshape(3, 2).astype(dtype)
    losses, weight = np.full((3, 2), 10.0), np.repeat([0, 2, 0.5], 2).astype(dtype)
    assert as_kernel(call_weigh)(Z, losses, weight) == 50
    np.testing.assert_array_equal(Z, [[0, 0], [6, 8], [2.5, 3]])


@each_dtype
def test_weighted_derivatives_are_never_denormal(dtype):
    Z, weight = np.full((4, 2), np.finfo(dtype).tiny), np.full(8, 0.1, dtype)
    as_kernel(call_weigh)(Z, np.zeros((4, 2)), weight)
    np.testing.assert_array_equal(Z, 0)


@each_loss
@each_dtype
def test_rows_do_not_depend_on_each_other(name, dtype):
    Z, Y = draw(name, n_rows=37, n_outputs=3)
    losses, delta = evaluate(name, Z, Y, dtype=dtype)
    for i in range(len(Z)):
        alone, row = evaluate(name, Z[[i]], Y[[i]], dtype=dtype)
        tolerance = TOLERANCE[dtype]
        np.testing.assert_allclose(losses[[i]], alone, rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(delta[[i]], row, rtol=tolerance, atol=tolerance)


@each_loss
@each_dtype
def test_perfect_predictions_cost_nothing(name, dtype):
    Y = {
        "identity": [[3.0, -2.0]],
        "exp": [[0.0, 1.0]],
        "logistic": [[0.0, 1.0]],
        "softmax": [[0.0, 1.0]],
    }[LOSSES[name].link]
    Z = {
        "identity": [[3.0, -2.0]],
        "exp": [[-1e30, 0.0]],
        "logistic": [[-1e30, 1e30]],
        "softmax": [[-1e30, 1e30]],
    }[LOSSES[name].link]
    losses, delta = evaluate(name, Z, Y, dtype=dtype)
    np.testing.assert_array_equal(losses, 0)
    np.testing.assert_array_equal(delta, 0)


@pytest.mark.parametrize("name", ["binary_log_loss", "log_loss"])
@each_dtype
@pytest.mark.parametrize("distance", [50.0, 1e4, 1e30, np.inf])
def test_log_losses_are_capped(name, dtype, distance):
    if name == "log_loss" and distance == np.inf:
        distance = float(np.finfo(dtype).max)
    cap = -np.log(np.finfo(dtype).eps)
    Z, Y = [[distance, -distance]], [[0.0, 1.0]]
    losses, delta = evaluate(name, Z, Y, dtype=dtype)
    n_wrong = 2 if name == "binary_log_loss" else 1
    assert losses.sum() == pytest.approx(n_wrong * cap, rel=1e-6)
    np.testing.assert_allclose(delta, [[1, -1]], rtol=1e-6)


@each_dtype
def test_squared_error_of_large_residuals_does_not_overflow(dtype):
    losses, _ = evaluate("squared_error", [[1e30]], [[-1e30]], dtype=dtype)
    assert losses[0, 0] == pytest.approx(2e60, rel=1e-6)


@each_dtype
def test_poisson_of_extreme_predictions(dtype):
    assert evaluate("poisson", [[-1e4]], [[0.0]], dtype=dtype)[0] == 0
    assert evaluate("poisson", [[1e4]], [[0.0]], dtype=dtype)[0] == np.inf
    losses, _ = evaluate("poisson", [[-1e4]], [[3.0]], dtype=dtype)
    assert losses[0, 0] == pytest.approx(3 * (np.log(3) + 1e4) - 3, rel=1e-6)


@each_loss
@each_dtype
@pytest.mark.parametrize("where", range(3))
@pytest.mark.parametrize("target", [0.0, 1.0])
def test_nan_predictions_are_never_hidden(name, dtype, where, target):
    Z = np.array([[0.1, 0.2, 0.3]])
    Z[0, where] = np.nan
    Y = np.full((1, 3), target)
    if LOSSES[name].link == "softmax":
        Y = np.eye(3)[[int(target)]]
    losses, delta = evaluate(name, Z, Y, dtype=dtype)
    assert np.isnan(losses.sum())
    assert np.isnan(delta[0, where])


@each_link
@each_dtype
def test_link_is_that_of_the_naive_twin(name, dtype):
    Z = np.random.default_rng(0).standard_normal((9, 4)) * 3
    y_pred = link(name, Z, dtype)
    assert y_pred.dtype == dtype
    expected = naive.LINKS[name](Z.astype(dtype).astype(np.float64))
    np.testing.assert_allclose(y_pred, expected, rtol=TOLERANCE[dtype])


@each_link
@each_dtype
@pytest.mark.parametrize("scale", [80.0, 700.0, 1e30])
def test_link_of_extreme_predictions(name, dtype, scale):
    Z = np.array([[scale, -scale, 0.0], [-scale, -scale, -scale]], dtype)
    y_pred = link(name, Z, dtype)
    expected = naive.LINKS[name](Z)
    np.testing.assert_allclose(y_pred, expected, rtol=1e-5, atol=1e-34)


@each_link
@each_dtype
def test_link_lets_nan_through(name, dtype):
    y_pred = link(name, [[1.0, np.nan], [np.nan, 1.0], [1.0, 2.0]], dtype)
    assert np.isnan(y_pred[[0, 1], [1, 0]]).all()
    assert np.isfinite(y_pred[2]).all()


@each_dtype
@pytest.mark.parametrize("n_classes", [1, 2, 3, 40])
def test_probabilities_sum_to_one(dtype, n_classes):
    Z = np.random.default_rng(0).standard_normal((20, n_classes)) * 30
    y_pred = link("softmax", Z, dtype)
    np.testing.assert_allclose(y_pred.sum(axis=1), 1, rtol=4 * np.finfo(dtype).eps)
    assert y_pred.min() >= 0


@each_loss
def test_no_rows(name):
    losses, delta = evaluate(name, np.empty((0, 2)), np.empty((0, 2)))
    assert losses.shape == delta.shape == (0, 2)
