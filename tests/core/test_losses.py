import naive
import numpy as np
import pytest
from builders import DTYPES, as_kernel, random_targets

from skmlp.core.losses import LINKS, LOSSES, loss_hyper, weigh

TOLERANCE = {np.float32: 2e-6, np.float64: 1e-13}
# Its value is averaged over outputs, its gradient is not, as in scikit-learn.
AVERAGED = {"squared_error"}

each_loss = pytest.mark.parametrize("name", LOSSES)
each_link = pytest.mark.parametrize("name", LINKS)
each_dtype = pytest.mark.parametrize("dtype", DTYPES)


def evaluate(name, Z, Y, dtype=np.float64, **hyper):
    """(part of each output, derivative); Y may be scratch, but only within."""
    Z, Y = np.array(Z, dtype), np.array(Y, dtype)
    losses = np.full(Z.shape, -1.0)
    LOSSES[name].kernel(Z, Y, losses, loss_hyper(name, naive.HYPER | hyper))
    return losses, Z


def draw(name, n_rows=6, n_targets=3, seed=0):
    rng = np.random.default_rng(seed)
    Z = rng.standard_normal((n_rows, n_targets * LOSSES[name].per_target)) * 2
    return Z, random_targets(rng, name, (n_rows, n_targets))


def link(name, Z, dtype=np.float64):
    y_pred = np.array(Z, dtype)
    LINKS[name](y_pred)
    return y_pred


def test_the_naive_twin_knows_every_row():
    assert naive.LINKS.keys() == LINKS.keys()
    assert {name: row.link for name, row in LOSSES.items()} == {
        name: link for name, (_, _, link) in naive.LOSSES.items()
    }


@each_loss
@each_dtype
@pytest.mark.parametrize("n_targets", [1, 2, 5])
def test_value_and_derivative_are_those_of_the_naive_twin(name, dtype, n_targets):
    assert_twin(name, *draw(name, n_targets=n_targets), dtype)


def assert_twin(name, Z, Y, dtype=np.float64, **hyper):
    losses, delta = evaluate(name, Z, Y, dtype=dtype, **hyper)
    assert delta.dtype == dtype
    value, slope, _ = naive.LOSSES[name]
    arguments = Z, Y, np.finfo(dtype).eps, naive.HYPER | hyper
    expected, tolerance = value(*arguments), 2 * TOLERANCE[dtype]
    tolerance *= max(1, np.abs(losses).max())
    np.testing.assert_allclose(losses.sum(axis=1), expected, tolerance, tolerance)
    expected = slope(*arguments)
    tolerance = 2 * TOLERANCE[dtype] * max(1, np.abs(expected).max())
    np.testing.assert_allclose(delta, expected, atol=tolerance)


HYPERS = [
    ("huber", {"huber_delta": 1e-3}),
    ("huber", {"huber_delta": 1e300}),
    ("quantile", {"quantile": 0.99}),
    ("quantiles", {"quantile": [0.1, 0.5, 0.95]}),
    ("gaussian_nll", {"nll_beta": 0.5}),
    ("gaussian_nll", {"nll_beta": 1}),
    ("tweedie", {"tweedie_power": 1.01}),
    ("tweedie", {"tweedie_power": 1.99}),
    ("focal", {"focal_gamma": 0.5}),
    ("binary_focal", {"focal_gamma": 0.5}),
    ("focal", {"focal_gamma": 5}),
    ("binary_focal", {"focal_gamma": 5}),
]


@pytest.mark.parametrize(("name", "hyper"), HYPERS, ids=str)
@each_dtype
def test_parameters_reach_the_kernel(name, hyper, dtype):
    assert_twin(name, *draw(name), dtype, **hyper)


def slope_of(name, Z, Y, **hyper):
    """Central differences, scaled for a value that is averaged."""
    h = 1e-6
    slope = np.empty_like(Z)
    for at in np.ndindex(Z.shape):
        up, down = Z.copy(), Z.copy()
        up[at] += h
        down[at] -= h
        rise = evaluate(name, up, Y, **hyper)[0].sum()
        rise -= evaluate(name, down, Y, **hyper)[0].sum()
        slope[at] = rise / (2 * h)
    return slope * (Z.shape[1] if name in AVERAGED else 1)


@each_loss
@pytest.mark.parametrize("n_targets", [1, 3])
def test_derivative_against_central_differences(name, n_targets):
    Z, Y = draw(name, n_targets=n_targets, seed=1)
    delta = evaluate(name, Z, Y)[1]
    np.testing.assert_allclose(delta, slope_of(name, Z, Y), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(
    "case", [case for case in HYPERS if "nll_beta" not in case[1]], ids=str
)
def test_derivative_against_central_differences_for_parameters(case):
    name, hyper = case
    Z, Y = draw(name, seed=2)
    delta, slope = evaluate(name, Z, Y, **hyper)[1], slope_of(name, Z, Y, **hyper)
    np.testing.assert_allclose(delta, slope, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", ["focal", "binary_focal", "log_loss"])
def test_soft_targets(name):
    Z, Y = draw(name)
    Y = 0.8 * Y + 0.2 / 3
    assert_twin(name, Z, Y)
    delta = evaluate(name, Z, Y)[1]
    np.testing.assert_allclose(delta, slope_of(name, Z, Y), rtol=1e-6, atol=1e-8)


@each_dtype
def test_huber_of_large_delta_is_the_squared_error(dtype):
    Z, Y = draw("huber", n_rows=50, n_targets=1)
    actual = evaluate("huber", Z * 1e3, Y, dtype, huber_delta=1e6)
    for mine, other in zip(actual, evaluate("squared_error", Z * 1e3, Y, dtype)):
        np.testing.assert_array_equal(mine, other)


@each_dtype
def test_median_is_half_the_absolute_error(dtype):
    Z, Y = draw("quantile")
    actual = evaluate("quantile", Z, Y, dtype, quantile=0.5)
    for mine, other in zip(actual, evaluate("absolute_error", Z, Y, dtype)):
        np.testing.assert_array_equal(mine, other / 2)


@each_dtype
@pytest.mark.parametrize("prefix", ["", "binary_"])
def test_focal_without_focus_is_the_log_loss(prefix, dtype):
    Z, Y = draw(prefix + "focal")
    Z[0] = [1e30, -1e30, 0]
    actual = evaluate(prefix + "focal", Z, Y, dtype, focal_gamma=0)
    for mine, other in zip(actual, evaluate(prefix + "log_loss", Z, Y, dtype)):
        np.testing.assert_allclose(mine, other, rtol=1e-5, atol=TOLERANCE[dtype])


@each_dtype
def test_log_cosh_is_exact_near_zero(dtype):
    error = np.array([[1e-3, 1e-6, -1e-9]])
    losses, delta = evaluate("log_cosh", error, 0 * error, dtype)
    expected = error**2 / 2 - error**4 / 12
    np.testing.assert_allclose(
        losses, expected, rtol=1e-6 if dtype == np.float32 else 1e-13
    )
    np.testing.assert_allclose(delta, np.tanh(error), rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "theirs", "hyper"),
    [
        ("absolute_error", "AbsoluteError", {}),
        ("huber", "HuberLoss", {"huber_delta": 0.7}),
        ("quantile", "PinballLoss", {"quantile": 0.2}),
        ("poisson", "HalfPoissonLoss", {}),
        ("gamma", "HalfGammaLoss", {}),
        ("tweedie", "HalfTweedieLoss", {"tweedie_power": 1.7}),
    ],
)
def test_value_and_derivative_are_those_of_scikit_learn(name, theirs, hyper):
    scikit = pytest.importorskip("sklearn._loss.loss")
    value = next(iter(hyper.values()), None)
    options = {
        "HuberLoss": {"delta": value},
        "PinballLoss": {"quantile": value},
        "HalfTweedieLoss": {"power": value},
    }.get(theirs, {})
    loss = getattr(scikit, theirs)(**options)
    if theirs == "HuberLoss":  # it sees delta as a quantile, taken before each call
        loss.closs = type(loss.closs)(delta=value)
    Z, Y = draw(name, n_rows=40, n_targets=1)
    y, z = Y.ravel(), Z.ravel()
    expected = loss.loss(y, z) + loss.constant_to_optimal_zero(y)
    losses, delta = evaluate(name, Z, Y, **hyper)
    np.testing.assert_allclose(losses.ravel(), expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(delta.ravel(), loss.gradient(y, z), rtol=1e-12)


@pytest.mark.parametrize(("power", "name"), [(1, "poisson"), (2, "gamma")])
def test_tweedie_lies_between_poisson_and_gamma(power, name):
    Z, Y = draw("gamma", n_rows=20)
    near = power + 1e-6 * (1 if power == 1 else -1)
    actual = evaluate("tweedie", Z, Y, tweedie_power=near)
    for mine, limit in zip(actual, evaluate(name, Z, Y)):
        np.testing.assert_allclose(mine, limit, rtol=1e-4, atol=1e-4)


@each_dtype
@pytest.mark.parametrize("beta", [0, 0.5, 1])
def test_beta_weighs_derivatives_by_the_variance_and_leaves_the_value(dtype, beta):
    Z, Y = draw("gaussian_nll")
    plain_value, plain = evaluate("gaussian_nll", Z, Y, dtype)
    value, delta = evaluate("gaussian_nll", Z, Y, dtype, nll_beta=beta)
    np.testing.assert_array_equal(value, plain_value)
    weight = np.tile(np.exp(beta * Z[:, 3:]), 2)
    np.testing.assert_allclose(delta, weight * plain, rtol=20 * TOLERANCE[dtype])


@each_dtype
def test_gaussian_nll_where_the_variance_vanishes(dtype):
    Z = [[1.0, 0.5, -1e30, -1e30]]
    losses, delta = evaluate("gaussian_nll", Z, [[1.0, 0.0]], dtype)
    least = np.finfo(dtype).eps ** 2
    np.testing.assert_allclose(losses[0, :2], [np.log(least) / 2, 0.125 / least], 1e-5)
    np.testing.assert_allclose(delta, [[0, 0.5 / least, 0, 0]], rtol=1e-5)


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
    Z, Y = draw(name, n_rows=37)
    losses, delta = evaluate(name, Z, Y, dtype=dtype)
    for i in range(len(Z)):
        alone, row = evaluate(name, Z[[i]], Y[[i]], dtype=dtype)
        tolerance = TOLERANCE[dtype]
        np.testing.assert_allclose(losses[[i]], alone, rtol=tolerance, atol=tolerance)
        np.testing.assert_allclose(delta[[i]], row, rtol=tolerance, atol=tolerance)


@each_loss
@each_dtype
def test_perfect_predictions_cost_nothing(name, dtype):
    Y, Z = {
        "identity": ([[3.0, -2.0]], [[3.0, -2.0]]),
        "sorted": ([[3.0, -2.0]], [[3.0, -2.0]]),
        "gaussian": ([[3.0]], [[3.0, -1e30]]),
        "exp": ([[0.0, 1.0]], [[-1e30, 0.0]]),
        "logistic": ([[0.0, 1.0]], [[-1e30, 1e30]]),
        "softmax": ([[0.0, 1.0]], [[-1e30, 1e30]]),
    }[LOSSES[name].link]
    if name == "gamma":
        Y, Z = [[1.0, 1.0]], [[0.0, 0.0]]
    losses, delta = evaluate(name, Z, Y, dtype=dtype, tweedie_power=1.5)
    least = np.log(np.finfo(dtype).eps) if name == "gaussian_nll" else 0
    assert losses.sum() == pytest.approx(least)
    np.testing.assert_array_equal(delta, 0)


@pytest.mark.parametrize(
    "name", ["binary_log_loss", "log_loss", "binary_focal", "focal"]
)
@each_dtype
@pytest.mark.parametrize("distance", [50.0, 1e4, 1e30, np.inf])
def test_log_losses_are_capped(name, dtype, distance):
    if LOSSES[name].link == "softmax" and distance == np.inf:
        distance = float(np.finfo(dtype).max)
    cap = -np.log(np.finfo(dtype).eps)
    Z, Y = [[distance, -distance]], [[0.0, 1.0]]
    losses, delta = evaluate(name, Z, Y, dtype=dtype)
    n_wrong = 2 if LOSSES[name].link == "logistic" else 1
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


@each_dtype
@pytest.mark.parametrize("name", ["gamma", "tweedie"])
def test_deviances_of_extreme_predictions(name, dtype):
    losses, delta = evaluate(name, [[-1e4, 0.0]], [[2.0, 2.0]], dtype)
    assert losses[0, 0] == np.inf
    assert delta[0, 0] == -np.inf
    assert np.isfinite(losses[0, 1])
    assert not np.isnan(evaluate(name, [[1e4, 1e30]], [[2.0, 1e-30]], dtype)[0]).any()


@each_dtype
def test_tweedie_of_zero_targets(dtype):
    losses, delta = evaluate("tweedie", [[-1e4, 0.0, 1e4]], np.zeros((1, 3)), dtype)
    np.testing.assert_allclose(losses, [[0, 1 / 0.6, np.inf]], rtol=1e-6)
    np.testing.assert_allclose(delta, [[0, 1, np.inf]], rtol=1e-6)


@pytest.mark.parametrize(
    "name", ["absolute_error", "huber", "log_cosh", "quantile", "quantiles"]
)
@each_dtype
@pytest.mark.parametrize("distance", [1e30, np.inf])
def test_robust_losses_of_huge_residuals(name, dtype, distance):
    """Linear, with slopes that do not depend on the size."""
    losses, delta = evaluate(name, [[distance, -distance]], [[0.0, 0.0]], dtype)
    _, slope = evaluate(name, [[100.0, -100.0]], [[0.0, 0.0]], dtype)
    np.testing.assert_array_equal(delta, slope)
    expected = np.abs(slope) * distance
    np.testing.assert_allclose(losses, expected, rtol=1e-6)


@each_loss
@each_dtype
@pytest.mark.parametrize("where", range(3))
@pytest.mark.parametrize("target", [0.0, 1.0])
def test_nan_predictions_are_never_hidden(name, dtype, where, target):
    Z = np.full((1, 3 * LOSSES[name].per_target), 0.2)
    Z[0, where] = np.nan
    Y = np.full((1, 3), target)
    if LOSSES[name].link == "softmax":
        Y = np.eye(3)[[int(target)]]
    losses, delta = evaluate(name, Z, Y, dtype=dtype)
    assert np.isnan(losses.sum())
    assert np.isnan(delta[0, where])


@each_dtype
def test_nan_of_raw_variances_is_never_hidden(dtype):
    losses, delta = evaluate("gaussian_nll", [[0.1, np.nan]], [[0.1]], dtype)
    assert np.isnan(losses[0, 0])
    assert np.isnan(delta).all()


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
    losses, delta = evaluate(name, *draw(name, n_rows=0))
    assert losses.shape == delta.shape == (0, 3 * LOSSES[name].per_target)
