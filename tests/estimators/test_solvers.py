"""Every stochastic solver, as users meet them."""

import pickle
import warnings

import numpy as np
import pytest
from problems import make_estimator, make_problem
from sklearn.base import clone

from skmlp.estimators.parameters import STOCHASTIC_SOLVERS
from skmlp.estimators.validation import Judge
from skmlp.machine.jit import DISABLED, ENTRY_KERNELS

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
each_solver = pytest.mark.parametrize("solver", STOCHASTIC_SOLVERS)


def flat(estimator):
    arrays = estimator.coefs_ + estimator.intercepts_
    return np.concatenate([array.ravel() for array in arrays]).copy()


@each_solver
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_learns(solver, dtype):
    X, y = make_problem("regression", n_rows=300, dtype=dtype)
    rate = {"sgd": 0.05, "adagrad": 0.05, "lion": 0.002}.get(solver, 0.01)
    params = {"learning_rate_init": rate, "max_iter": 200, "solver": solver}
    reg = make_estimator("regression", hidden_layer_sizes=(20,), **params).fit(X, y)
    assert reg.score(X, y) > 0.9
    assert reg.predict(X).dtype == dtype
    assert len(reg.learning_rates_) == len(reg.loss_curve_) == reg.n_iter_


@each_solver
@pytest.mark.parametrize(
    "layers", [{}, {"normalization": "batch", "dropout": 0.2}], ids=str
)
@pytest.mark.parametrize("learning_rate", ["constant", "one_cycle"])
def test_partial_fit_n_times_is_fit_for_n_epochs(solver, learning_rate, layers):
    X, y = make_problem("regression")
    params = {"solver": solver, "batch_size": 16, "learning_rate": learning_rate}
    params |= layers
    fitted = make_estimator("regression", max_iter=4, **params).fit(X, y)
    parts = clone(fitted)
    for _ in range(4):
        parts.partial_fit(X, y)
    np.testing.assert_array_equal(parts.predict(X), fitted.predict(X))
    assert parts.loss_curve_ == fitted.loss_curve_
    assert parts.learning_rates_ == fitted.learning_rates_


@each_solver
def test_pickles_go_on_where_they_were(solver):
    X, y = make_problem("binary")
    clf = make_estimator("binary", solver=solver, batch_size=16)
    clf.partial_fit(X, y, classes=["no", "yes"]).partial_fit(X, y)
    restored = pickle.loads(pickle.dumps(clf))
    np.testing.assert_array_equal(restored.predict_proba(X), clf.predict_proba(X))
    for _ in range(3):
        clf.partial_fit(X, y)
        restored.partial_fit(X, y)
    np.testing.assert_array_equal(flat(restored), flat(clf))


@each_solver
def test_warm_start_trains_on(solver):
    X, y = make_problem("regression", n_rows=300)
    params = {"solver": solver, "warm_start": True, "max_iter": 30}
    reg = make_estimator("regression", learning_rate_init=0.003, **params).fit(X, y)
    first, score = flat(reg), reg.score(X, y)
    reg.fit(X, y)
    assert np.abs(flat(reg) - first).max() > 0
    assert reg.score(X, y) > score
    assert len(reg.learning_rates_) == len(reg.loss_curve_) == 60


@each_solver
def test_the_weights_that_are_kept_are_those_of_the_best_score(solver, monkeypatch):
    X, y = make_problem("regression", n_rows=200)
    params = {"solver": solver, "early_stopping": True, "max_iter": 40}
    reg = make_estimator("regression", learning_rate_init=0.02, **params)
    seen = {}

    def judge(self, params):
        loss, score = original(self, params)
        seen.setdefault(score, params.copy())
        return loss, score

    original = Judge.__call__
    monkeypatch.setattr(Judge, "__call__", judge)
    reg.fit(X, y)
    assert len(seen) > 1
    np.testing.assert_array_equal(reg._params, seen[max(seen)])


@each_solver
@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")
def test_divergence_leaves_weights_and_forgets_moments(solver):
    X, y = make_problem("regression")
    reg = make_estimator("regression", activation="identity", solver=solver)
    reg.partial_fit(X, y)
    before = flat(reg)
    reg.coefs_[0][:] *= 1e200
    with pytest.raises(ValueError, match="non-finite parameter weights"):
        reg.partial_fit(X, y)
    reg.coefs_[0][:] /= 1e200
    np.testing.assert_allclose(flat(reg), before, rtol=1e-12)
    assert not reg._optimizer.moments.any()
    reg.partial_fit(X, y)
    assert np.isfinite(flat(reg)).all()


@pytest.mark.filterwarnings("ignore:rho=0.5 has an effect:UserWarning")
@pytest.mark.skipif(DISABLED, reason="nothing is compiled then")
@each_solver
def test_other_settings_compile_nothing(solver):
    from numba.core import event

    X, y = make_problem("regression")
    settings = {"solver": solver, "batch_size": 16, "loss": "huber", "dropout": 0.1}
    settings["hidden_layer_sizes"] = 7, 4  # a single layer needs no way back
    settings |= {"normalization": "batch", "l1_ratio": 0.1, "weight_decay": 0.1}
    averages = {} if solver == "schedule_free" else {"ema_decay": 0.9}
    settings |= {"max_norm": 1.0, "clip_norm": 1.0, **averages}
    make_estimator("regression", **settings).fit(X, y).predict(X)
    settings |= {"beta_1": 0.5, "beta_2": 0.6, "epsilon": 1e-3, "rho": 0.5}
    settings |= {"momentum": 0.1, "nesterovs_momentum": False, "alpha": 0.1}
    settings |= {"learning_rate": "cosine", "learning_rate_init": 0.1}
    settings |= {"batch_size": 7, "hidden_layer_sizes": (5, 6), "huber_delta": 2}
    settings |= {"dropout": [0.2, 0.5], "norm_momentum": 1, "norm_epsilon": 1}
    settings |= {"l1_ratio": 1, "weight_decay": 1, "max_norm": 2, "clip_norm": None}
    settings |= {
        "clip_value": 1,
        "weight_init": "zeros",
        **dict.fromkeys(averages, 0.5),
    }
    before = n_specializations()
    with event.install_recorder("numba:compile") as recorder:
        make_estimator("regression", **settings).fit(X, y).predict(X)
    assert not recorder.buffer
    assert n_specializations() == before


def n_specializations():
    """Compiled here, or loaded from the cache, which shows in no event."""
    return sum(len(kernel.overloads) for kernel in ENTRY_KERNELS)


@pytest.mark.filterwarnings("ignore:rho=0.5 has an effect:UserWarning")
def test_rho_is_that_of_rmsprop():
    X, y = make_problem("regression")
    fits = {}
    for solver in ("rmsprop", "adam"):
        for rho in (0.9, 0.5):
            reg = make_estimator("regression", solver=solver, rho=rho)
            fits[solver, rho] = flat(reg.fit(X, y))
    assert np.abs(fits["rmsprop", 0.9] - fits["rmsprop", 0.5]).max() > 1e-4
    np.testing.assert_array_equal(fits["adam", 0.9], fits["adam", 0.5])


@each_solver
@pytest.mark.parametrize("learning_rate", ["invscaling", "adaptive"])
def test_what_is_ignored_is_named(solver, learning_rate):
    X, y = make_problem("regression")
    params = {"solver": solver, "learning_rate": learning_rate}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", UserWarning)
        ignored = make_estimator("regression", **params).fit(X, y)
    texts = [str(w.message) for w in caught if "has an effect" in str(w.message)]
    if solver == "sgd":
        assert not texts
        return
    text = f"learning_rate='{learning_rate}' has an effect with solver='sgd' only"
    assert len(texts) == 1
    assert texts[0].startswith(text)
    assert {w.filename for w in caught} == {__file__}
    plain = make_estimator("regression", solver=solver).fit(X, y)
    np.testing.assert_array_equal(flat(ignored), flat(plain))


def test_lbfgs_has_no_learning_rate():
    X, y = make_problem("regression")
    reg = make_estimator("regression", solver="lbfgs", learning_rate="cosine")
    with pytest.warns(UserWarning, match="has an effect with stochastic solvers only"):
        reg.fit(X, y)
    assert not hasattr(reg, "learning_rates_")
