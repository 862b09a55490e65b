from types import SimpleNamespace

import numpy as np
import pytest
from builders import DTYPES
from sklearn.neural_network._stochastic_optimizers import AdamOptimizer, SGDOptimizer

from skmlp.core.optimizers import OPTIMIZERS
from skmlp.schedules import Cosine, Plateau, Step, Warmup
from skmlp.training.optimizer_state import OptimizerState
from skmlp.training.schedules import SCHEDULES, SGD_ONLY

SETTINGS = {
    "learning_rate": "constant",
    "learning_rate_init": 0.1,
    "power_t": 0.5,
    "max_iter": 10,
    "tol": 1e-4,
    "sign": -1,
    "momentum": 0.8,
    "nesterovs_momentum": False,
    "beta_1": 0.7,
    "beta_2": 0.99,
    "epsilon": 1e-6,
    "rho": 0.6,
}


def make(name="sgd", **settings):
    optimizer = OptimizerState(name, 5, np.float64)
    optimizer.configure(**{**SETTINGS, **settings})
    return optimizer


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_memory_and_own_parameters(name, dtype):
    optimizer = OptimizerState(name, 5, dtype)
    assert optimizer.moments.shape == (OPTIMIZERS[name].n_moments, 5)
    assert optimizer.moments.dtype == dtype
    assert not optimizer.moments.any()
    optimizer.configure(**SETTINGS)
    assert optimizer.hyper.dtype == np.float64
    row = OPTIMIZERS[name]
    expected = [*(SETTINGS[name] for name in row.hyper), *[0] * row.n_scalars]
    np.testing.assert_array_equal(optimizer.hyper, expected)


@pytest.mark.parametrize("schedule", ["constant", "invscaling", "adaptive"])
def test_rates_of_sgd_are_those_of_scikit_learn(schedule):
    theirs = SGDOptimizer([np.zeros(1)], 0.1, schedule, power_t=0.3)
    ours = make(learning_rate=schedule, power_t=0.3)
    n_seen = 0
    for epoch in range(60):
        np.testing.assert_array_equal(ours.rates(4)[0], theirs.learning_rate)
        assert ours.learning_rate == theirs.learning_rate
        n_seen += 13
        theirs.iteration_ends(n_seen)
        ours.epoch_ended(n_seen, 1.0)
        if epoch % 5 == 4:
            stop = theirs.trigger_stopping("", False)
            assert (ours.slow_down() is not None) == stop
        assert ours.learning_rate == theirs.learning_rate


@pytest.mark.parametrize("schedule", ["constant", "invscaling", "adaptive"])
def test_rates_of_adam_are_those_of_scikit_learn(schedule):
    theirs = AdamOptimizer([np.zeros(1)], 0.1, 0.7, 0.99, 1e-6)
    ours = make("adam", learning_rate=schedule)
    for n_steps in 1, 4, 2:
        rates, _ = ours.rates(n_steps)
        expected = []
        for _ in range(n_steps):
            theirs._get_updates([np.ones(1)])
            expected.append(theirs.learning_rate)
        np.testing.assert_allclose(rates, expected, rtol=1e-13)
        assert ours.learning_rate == rates[-1]
        ours.epoch_ended(100, 1.0)
    assert ours.n_steps == 7
    assert ours.slow_down() is not None


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_rates_do_not_depend_on_epochs(name):
    """Corrections are computed ahead, which must not change a bit of them."""
    optimizer, lengths = make(name), [1, 3, 500, 7, 1, 600, 2000, 4]
    rates = np.concatenate([optimizer.rates(n_steps)[0] for n_steps in lengths])
    t = np.arange(1.0, sum(lengths) + 1)
    corrections = OPTIMIZERS[name].correction(t, optimizer.hyper)
    np.testing.assert_array_equal(rates, np.full(t.size, 0.1) * corrections)
    optimizer.configure(**{**SETTINGS, "beta_1": 0.5})
    t = t[-1] + np.arange(1.0, 4.0)
    corrections = OPTIMIZERS[name].correction(t, optimizer.hyper)
    np.testing.assert_array_equal(optimizer.rates(3)[0], np.full(3, 0.1) * corrections)


def test_a_changed_initial_rate_rescales():
    optimizer = make(learning_rate="adaptive")
    optimizer.slow_down()
    optimizer.configure(**{**SETTINGS, "learning_rate": "adaptive"})
    assert optimizer.learning_rate == pytest.approx(0.02)
    optimizer.configure(
        **{**SETTINGS, "learning_rate": "adaptive", "learning_rate_init": 0.3}
    )
    assert optimizer.learning_rate == pytest.approx(0.06)
    np.testing.assert_allclose(optimizer.rates(2)[0], 0.06)


def test_configure_keeps_memory():
    optimizer = make("adam")
    optimizer.rates(3)
    optimizer.moments[:] = 1
    optimizer.configure(**SETTINGS)
    assert optimizer.n_steps == 3
    assert optimizer.moments.all()


def test_forget():
    optimizer = make("adam")
    first, _ = optimizer.rates(3)
    optimizer.moments[:] = 1
    moments = optimizer.moments
    optimizer.forget()
    assert optimizer.moments is moments
    assert not moments.any()
    np.testing.assert_array_equal(optimizer.rates(3)[0], first)


def test_an_adaptive_rate_ends_when_small():
    optimizer = make(learning_rate="adaptive", learning_rate_init=1e-5)
    reasons = [optimizer.slow_down() for _ in range(3)]
    assert reasons[:2] == [None, None]
    assert "too small" in reasons[2]
    assert optimizer.learning_rate == pytest.approx(4e-7)


def test_rates_follow_the_schedule_in_each_step():
    schedule = Warmup(Cosine(), 0.3)
    for name in OPTIMIZERS:
        ours = make(name, learning_rate=schedule)
        plain = make(name)
        factors = schedule.curve(10, 4)
        for epoch in range(10):
            expected = plain.rates(4)[0] * factors[4 * epoch : 4 * epoch + 4]
            rates = ours.rates(4)[0]
            np.testing.assert_allclose(rates, expected, rtol=1e-14)
            assert ours.learning_rate == rates[-1]
            assert ours.scheduled_rate == 0.1 * factors[4 * epoch + 3]
        np.testing.assert_array_equal(ours.rates(3)[0], 0)  # later steps: progress is 1


def test_epochs_of_different_lengths():
    """Each call of partial_fit is an epoch, however many rows it has."""
    ours = make(learning_rate=Step(2, 0.5), learning_rate_init=8.0)
    rates = [ours.rates(n_steps)[0] for n_steps in (1, 7, 3, 2, 5)]
    assert [set(r) for r in rates] == [{8.0}, {8.0}, {4.0}, {4.0}, {2.0}]


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("wrap", [lambda s: s, lambda s: Warmup(s, 1e-9)])
def test_plateau_watches_progress(wrap, sign):
    schedule = wrap(Plateau(factor=0.1, patience=2))
    ours = make("adam", learning_rate=schedule, learning_rate_init=1.0, sign=sign)
    rates = []
    for loss in (3.0, 2.0, 2.0, 2.0, 2.0, 1.0, 1.0, 1.0, 1.0, 1.0):
        ours.rates(2)[0]
        rates.append(ours.scheduled_rate)
        ours.epoch_ended(0, -sign * loss)
    expected = [1, 1, 1, 1, 1, 0.1, 0.1, 0.1, 0.1, 0.01]
    np.testing.assert_allclose(rates, expected, rtol=1e-14)


def test_plateau_counts_improvements_beyond_tol_only():
    falls = {}
    for tol in (0.0, 0.5):
        ours = make(learning_rate=Plateau(patience=1), tol=tol)
        for value in range(10):
            ours.epoch_ended(0, -0.1 * value)
        falls[tol] = ours.n_plateaus
    assert falls == {0.0: 0, 0.5: 4}


@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if name != "sgd"])
@pytest.mark.parametrize("schedule", ["invscaling", "adaptive"])
def test_schedules_of_sgd_are_ignored_elsewhere(name, schedule):
    ours, plain = make(name, learning_rate=schedule), make(name)
    for _ in range(3):
        np.testing.assert_array_equal(ours.rates(3)[0], plain.rates(3)[0])
        ours.epoch_ended(100, 1.0)
        assert ours.slow_down() is not None


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_changed_initial_rate_rescales_any_schedule(schedule):
    ours, other = make(learning_rate=schedule), make(learning_rate=schedule)
    ours.rates(3), other.rates(3)
    changed = {"learning_rate": schedule, "learning_rate_init": 0.3}
    ours.configure(**{**SETTINGS, **changed})
    np.testing.assert_allclose(ours.rates(3)[0], 3 * other.rates(3)[0], rtol=1e-14)


def take_step(row, params, gradient, optimizer, rate):
    """All parameters as one stretch."""
    if row.begin is not None:
        row.begin(rate, optimizer.hyper)
    row.step(params, gradient, optimizer.moments, 0, 0.0, rate, optimizer.hyper)


def holder(params):
    """What has them, as `Epochs` do."""
    return SimpleNamespace(params=params)


@pytest.mark.parametrize("error", [None, KeyboardInterrupt])
def test_between_epochs_parameters_are_the_average(error):
    optimizer, row = make("schedule_free"), OPTIMIZERS["schedule_free"]
    params = np.arange(7.0)  # of which two are buffers
    for _ in range(3):
        try:
            with optimizer.training(holder(params)):
                for rate in optimizer.rates(2)[0]:
                    take_step(row, params[:5], params[:5] + 1, optimizer, rate)
                inside = params.copy()
                if error is not None:
                    raise error
        except KeyboardInterrupt:
            pass
        lead = row.lead(optimizer.moments, optimizer.hyper)
        assert lead.all()
        np.testing.assert_array_equal(params[:5], inside[:5] - lead)
        np.testing.assert_array_equal(params[5:], [5, 6])
    optimizer.forget()
    assert not row.lead(optimizer.moments, optimizer.hyper).any()
    assert not optimizer.hyper[3:].any()


@pytest.mark.parametrize("name", sorted(OPTIMIZERS.keys() - {"schedule_free"}))
def test_others_train_the_parameters_themselves(name):
    optimizer, params = make(name), np.arange(7.0)
    optimizer.moments[:] = 1
    with optimizer.training(holder(params)):
        np.testing.assert_array_equal(params, np.arange(7))
    np.testing.assert_array_equal(params, np.arange(7))


def parabola(x):
    curvature = np.array([1.0, 10.0])
    return 0.5 * curvature @ x**2, curvature * x


def rosenbrock(x):
    a, b = 1 - x[0], x[1] - x[0] ** 2
    return a**2 + 100 * b**2, np.array([-2 * a - 400 * x[0] * b, 200 * b])


# name: rates for the parabola and for Rosenbrock's function
RATES = {
    "sgd": (0.05, 1e-3),
    "adam": (0.05, 0.05),
    "adamw": (0.05, 0.05),
    "nadam": (0.05, 0.05),
    "amsgrad": (0.05, 0.2),
    "adagrad": (0.5, 1.0),
    "rmsprop": (0.05, 0.005),
    "lion": (0.05, 0.005),
    "schedule_free": (0.1, 0.1),
}


def test_every_optimizer_is_tried():
    assert RATES.keys() == OPTIMIZERS.keys() - {"none"}


def minimum(name, function, n_steps, **settings):
    """What is left after ten epochs."""
    settings = {"beta_1": 0.9, "rho": 0.9, "epsilon": 1e-8, **settings}
    optimizer, x = OptimizerState(name, 2, np.float64), np.array([-1.2, 1.0])
    optimizer.configure(**{**SETTINGS, **settings})
    for _ in range(10):
        with optimizer.training(holder(x)):
            for rate in optimizer.rates(n_steps)[0]:
                gradient = function(x)[1]
                take_step(OPTIMIZERS[name], x, gradient, optimizer, rate)
        optimizer.epoch_ended(optimizer.n_steps, function(x)[0])
    return function(x)[0]


each_function = pytest.mark.parametrize(
    ("function", "n_steps"), [(parabola, 100), (rosenbrock, 1500)]
)


@each_function
@pytest.mark.parametrize("name", RATES)
def test_minimizes(name, function, n_steps):
    rate = RATES[name][function is rosenbrock]
    settings = {"learning_rate_init": rate, "learning_rate": "cosine"}
    assert minimum(name, function, n_steps, **settings) < 1e-6


@each_function
@pytest.mark.parametrize("schedule", [*SCHEDULES, *SGD_ONLY, Warmup("exponential")])
def test_minimizes_with_each_schedule(schedule, function, n_steps):
    rate = 0.05 if function is parabola else 1e-3
    settings = {"learning_rate_init": rate, "learning_rate": schedule}
    settings["power_t"] = 0.05  # of the number of rows, which soon is large
    assert minimum("sgd", function, n_steps, **settings) < 1e-6
