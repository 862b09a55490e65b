"""The parameter ``learning_rate``, as users meet it."""

import pickle

import numpy as np
import pytest
from problems import make_estimator, make_problem
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from skmlp import MLPRegressor
from skmlp.schedules import Cosine, CosLog, Exponential, Plateau, Schedule, Step, Warmup
from skmlp.training.schedules import SCHEDULES, as_schedule

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
RATE = 0.004
MANY = [*SCHEDULES, Warmup(Cosine(0.1), 0.3), Step(2), np.cos]
each_kind = pytest.mark.parametrize("learning_rate", MANY, ids=str)


def flat(estimator):
    arrays = estimator.coefs_ + estimator.intercepts_
    return np.concatenate([array.ravel() for array in arrays]).copy()


def regressor(**params):
    params = {"learning_rate_init": RATE, "batch_size": 16, **params}
    return make_estimator("regression", **params)


@each_kind
@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_rates_of_a_fit(learning_rate, solver):
    X, y = make_problem("regression")
    reg = regressor(learning_rate=learning_rate, solver=solver, max_iter=7).fit(X, y)
    expected = RATE * as_schedule(learning_rate).curve(7, 4)[3::4]
    np.testing.assert_allclose(reg.learning_rates_, expected, rtol=1e-14)
    assert {type(rate) for rate in reg.learning_rates_} == {float}


def test_constant_factor_is_a_constant_rate():
    X, y = make_problem("regression")
    halved = regressor(learning_rate=lambda t: 0.5).fit(X, y)
    plain = regressor(learning_rate_init=RATE / 2).fit(X, y)
    np.testing.assert_array_equal(flat(halved), flat(plain))


def test_rates_act_on_each_step():
    """Plain gradient descent on one weight, by hand."""
    X, y = np.ones((4, 1)), np.zeros(4)
    params = {"solver": "sgd", "momentum": 0, "alpha": 0, "hidden_layer_sizes": ()}
    params |= {"batch_size": 1, "max_iter": 2, "learning_rate_init": 0.1}
    reg = regressor(learning_rate=np.square, **params)
    reg.fit(X, y)
    start = clone(reg).set_params(learning_rate=lambda t: 0.0).fit(X, y)
    error = start.predict(X[:1])[0]
    for progress in np.arange(8) / 8:
        error -= 2 * 0.1 * progress**2 * error  # weight and bias move alike
    np.testing.assert_allclose(reg.predict(X), error, rtol=1e-12)


def test_rates_of_sgd_schedules_are_recorded():
    X, y = make_problem("regression")
    params = {"solver": "sgd", "learning_rate": "invscaling", "max_iter": 3}
    reg = regressor(**params).fit(X, y)
    expected = [RATE, RATE / 61**0.5, RATE / 121**0.5]
    np.testing.assert_allclose(reg.learning_rates_, expected, rtol=1e-14)


@each_kind
def test_partial_fit_n_times_is_fit_for_n_epochs(learning_rate):
    X, y = make_problem("regression")
    fitted = regressor(learning_rate=learning_rate, max_iter=6).fit(X, y)
    parts = clone(fitted)
    for i in range(6):
        parts.partial_fit(X, y)
        if i == 3:
            parts = pickle.loads(pickle.dumps(parts))
    np.testing.assert_array_equal(flat(parts), flat(fitted))
    assert parts.learning_rates_ == fitted.learning_rates_


def test_partial_fit_beyond_max_iter_has_the_last_rate():
    X, y = make_problem("regression")
    reg = regressor(learning_rate=Cosine(final=0.25), max_iter=2)
    for _ in range(5):
        reg.partial_fit(X, y)
    np.testing.assert_allclose(reg.learning_rates_[2:], RATE / 4, rtol=1e-14)


def test_warm_start_begins_the_schedule_anew():
    X, y = make_problem("regression")
    reg = regressor(learning_rate="cosine", max_iter=4, warm_start=True)
    rates = reg.fit(X, y).fit(X, y).learning_rates_
    assert rates[:4] == rates[4:]
    assert len(rates) == 8
    reg.set_params(warm_start=False).fit(X, y)
    assert len(reg.learning_rates_) == 4


@pytest.mark.parametrize("early_stopping", [False, True])
def test_plateau(early_stopping):
    X, y = make_problem("regression", n_rows=100)
    params = {"early_stopping": early_stopping, "max_iter": 300, "tol": 1e-3}
    schedule = Plateau(factor=0.1, patience=3)
    reg = regressor(learning_rate=schedule, learning_rate_init=0.02, **params)
    reg.fit(X, y)
    watched = reg.validation_scores_ if early_stopping else -np.array(reg.loss_curve_)
    rate, best, count, expected = 0.02, -np.inf, 0, []
    for value in watched:
        expected.append(rate)
        count = count + 1 if value < best + 1e-3 else 0
        best = max(best, value)
        if count > 3:
            rate, count = 0.1 * rate, 0
    np.testing.assert_allclose(reg.learning_rates_, expected, rtol=1e-12)
    assert len(set(expected)) > 2


def test_clone_and_parameters():
    schedule = Warmup(Step(3, 0.1), 0.2)
    reg = regressor(learning_rate=schedule)
    assert reg.get_params()["learning_rate"] is schedule
    assert clone(reg).learning_rate == schedule
    assert repr(MLPRegressor(learning_rate=Step(3, 0.1))) == (
        "MLPRegressor(learning_rate=Step(every=3, factor=0.1))"
    )


def test_grid_search():
    X, y = make_problem("regression", n_rows=90)
    grid = ["constant", Cosine(), Step(1, 1e-6), Warmup("plateau"), CosLog(2), np.cos]
    search = GridSearchCV(regressor(max_iter=20), {"learning_rate": grid}, cv=2)
    search.fit(X, y)
    results = search.cv_results_
    assert list(results["param_learning_rate"]) == grid
    assert len(set(results["mean_test_score"])) == len(grid)
    assert results["rank_test_score"][2] == len(grid)  # after an epoch it stands still
    assert search.best_params_["learning_rate"] in grid


def test_own_schedule():
    class Zigzag(Schedule):
        def factors(self, clock):
            return np.arange(clock.n_steps) % 2.0

    X, y = make_problem("regression")
    reg = regressor(learning_rate=Zigzag(), max_iter=3).fit(X, y)
    assert reg.learning_rates_ == [RATE] * 3
    with pytest.raises(NotImplementedError):
        Schedule().curve(1)


@pytest.mark.parametrize(
    ("value", "match"),
    [
        ("fast", "learning_rate"),
        (0.1, "learning_rate"),
        (lambda t: 1 if t < 0.5 else 0.1, r"numpy\.vectorize"),
        (lambda t: -t, "finite factors >= 0"),
        (lambda: 1, "must turn an array of progress"),
        (Exponential, "an object such as"),
    ],
)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_bad_rates_change_nothing(value, match, method):
    X, y = make_problem("regression")
    reg = regressor(learning_rate=value)
    with pytest.raises(ValueError, match=match):
        getattr(reg, method)(X, y)
    assert not [name for name in vars(reg) if name.endswith("_")]
    reg.set_params(learning_rate="constant").fit(X, y)
    before = vars(reg).copy()
    with pytest.raises(ValueError, match=match):
        getattr(reg.set_params(learning_rate=value), method)(X, y)
    assert vars(reg) == {**before, "learning_rate": value}
