import numpy as np
import pytest
from builders import DTYPES
from sklearn.neural_network._stochastic_optimizers import AdamOptimizer, SGDOptimizer

from skmlp.core.optimizers import OPTIMIZERS
from skmlp.training.optimizer import Optimizer

SETTINGS = {
    "learning_rate": "constant",
    "learning_rate_init": 0.1,
    "power_t": 0.5,
    "momentum": 0.8,
    "nesterovs_momentum": False,
    "beta_1": 0.7,
    "beta_2": 0.99,
    "epsilon": 1e-6,
}


def make(name="sgd", **settings):
    optimizer = Optimizer(name, 5, np.float64)
    optimizer.configure(**{**SETTINGS, **settings})
    return optimizer


@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_memory_and_own_parameters(name, dtype):
    optimizer = Optimizer(name, 5, dtype)
    assert optimizer.moments.shape == (OPTIMIZERS[name].n_moments, 5)
    assert optimizer.moments.dtype == dtype
    assert not optimizer.moments.any()
    optimizer.configure(**SETTINGS)
    assert optimizer.hyper.dtype == np.float64
    expected = [SETTINGS[name] for name in OPTIMIZERS[name].hyper]
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
        ours.epoch_ended(n_seen)
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
        ours.epoch_ended(100)
    assert ours.n_steps == 7
    assert ours.slow_down() is not None


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
