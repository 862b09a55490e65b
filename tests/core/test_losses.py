import naive
import numpy as np
import pytest
from builders import DTYPES, random_targets

from skmlp.core.inputs import read_only
from skmlp.core.losses import LINKS, LOSSES

TOLERANCE = {np.float32: 2e-6, np.float64: 1e-13}
# Its value is averaged over outputs, its gradient is not, as in scikit-learn.
AVERAGED = {"squared_error"}

each_loss = pytest.mark.parametrize("name", LOSSES)
each_link = pytest.mark.parametrize("name", LINKS)
each_dtype = pytest.mark.parametrize("dtype", DTYPES)


def evaluate(name, Z, Y, weight=None, rows=None, dtype=np.float64):
    """(value, gradient); neither Y, rows nor weight may change."""
    delta = np.array(Z, dtype)
    rows = np.arange(len(delta)) if rows is None else rows
    weight = np.ones(len(delta)) if weight is None else weight
    weight = np.array(weight, dtype)
    before = weight.copy()
    Y = read_only(np.array(Y, dtype))
    value = LOSSES[name].backward(delta, Y, read_only(np.array(rows, np.intp)), weight)
    np.testing.assert_array_equal(weight, before)
    return value, delta


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
def test_value_and_gradient_are_those_of_the_naive_twin(name, dtype, n_outputs):
    Z, Y = draw(name, n_outputs=n_outputs)
    weight = np.linspace(0, 2, len(Z))
    value, delta = evaluate(name, Z, Y, weight, dtype=dtype)
    assert delta.dtype == dtype
    row_loss, link_name = naive.LOSSES[name]
    expected = weight @ row_loss(Z, Y, np.finfo(dtype).eps)
    np.testing.assert_allclose(value, expected, rtol=TOLERANCE[dtype], atol=1e-12)
    expected = weight[:, None] * (naive.LINKS[link_name](Z) - Y)
    tolerance = TOLERANCE[dtype] * max(1, np.abs(expected).max())
    np.testing.assert_allclose(delta, expected, atol=tolerance)


@each_loss
@pytest.mark.parametrize("n_outputs", [1, 3])
def test_gradient_against_central_differences(name, n_outputs):
    Z, Y = draw(name, n_outputs=n_outputs, seed=1)
    weight, h = np.linspace(0.5, 2, len(Z)), 1e-6
    _, delta = evaluate(name, Z, Y, weight)
    slope = np.empty_like(Z)
    for at in np.ndindex(Z.shape):
        up, down = Z.copy(), Z.copy()
        up[at] += h
        down[at] -= h
        rise = evaluate(name, up, Y, weight)[0] - evaluate(name, down, Y, weight)[0]
        slope[at] = rise / (2 * h)
    factor = n_outputs if name in AVERAGED else 1
    np.testing.assert_allclose(delta, factor * slope, rtol=1e-6, atol=1e-8)


@each_loss
@each_dtype
def test_weights_multiply(name, dtype):
    Z, Y = draw(name)
    weight = np.array([0, 1, 2, 0.5, 0, 4])
    value, delta = evaluate(name, Z, Y, weight, dtype=dtype)
    alone = [evaluate(name, Z[[i]], Y[[i]], dtype=dtype) for i in range(len(Z))]
    assert value == pytest.approx(
        sum(w * v for w, (v, _) in zip(weight, alone)), rel=TOLERANCE[dtype]
    )
    for w, (_, row), weighted in zip(weight, alone, delta):
        np.testing.assert_array_equal(weighted, dtype(w) * row[0])


@each_loss
def test_rows_choose_targets(name):
    Z, Y = draw(name)
    rows = [5, 2, 2, 0]
    value, delta = evaluate(name, Z[:4], Y, rows=rows)
    expected_value, expected = evaluate(name, Z[:4], Y[rows])
    assert value == expected_value
    np.testing.assert_array_equal(delta, expected)


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
    value, delta = evaluate(name, Z, Y, dtype=dtype)
    assert value == 0
    np.testing.assert_array_equal(delta, 0)


@pytest.mark.parametrize("name", ["binary_log_loss", "log_loss"])
@each_dtype
@pytest.mark.parametrize("distance", [50.0, 1e4, 1e30, np.inf])
def test_log_losses_are_capped(name, dtype, distance):
    if name == "log_loss" and distance == np.inf:
        distance = float(np.finfo(dtype).max)
    cap = -np.log(np.finfo(dtype).eps)
    Z, Y = [[distance, -distance]], [[0.0, 1.0]]
    value, delta = evaluate(name, Z, Y, dtype=dtype)
    n_wrong = 2 if name == "binary_log_loss" else 1
    assert value == pytest.approx(n_wrong * cap, rel=1e-6)
    np.testing.assert_allclose(delta, [[1, -1]], rtol=1e-6)


@each_dtype
def test_squared_error_of_large_residuals_does_not_overflow(dtype):
    value, _ = evaluate("squared_error", [[1e30]], [[-1e30]], dtype=dtype)
    assert value == pytest.approx(2e60, rel=1e-6)


@each_dtype
def test_poisson_of_extreme_predictions(dtype):
    assert evaluate("poisson", [[-1e4]], [[0.0]], dtype=dtype)[0] == 0
    assert evaluate("poisson", [[1e4]], [[0.0]], dtype=dtype)[0] == np.inf
    value, _ = evaluate("poisson", [[-1e4]], [[3.0]], dtype=dtype)
    assert value == pytest.approx(3 * (np.log(3) + 1e4) - 3, rel=1e-6)


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
    value, delta = evaluate(name, Z, Y, dtype=dtype)
    assert np.isnan(value)
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
    value, delta = evaluate(name, np.empty((0, 2)), np.empty((0, 2)))
    assert value == 0
    assert delta.shape == (0, 2)
