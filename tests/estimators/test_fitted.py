"""What an estimator tells about its training, and limits to it."""

import numpy as np
import pytest
from problems import classes, classifier
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning

from skmlp import MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_history(solver, early_stopping):
    model = classifier(solver=solver, early_stopping=early_stopping).fit(*classes())
    history = model.history_
    assert history["loss"] == model.loss_curve_
    assert {len(curve) for curve in history.values()} == {model.n_iter_}
    assert ("validation_score" in history) is early_stopping
    assert (np.diff(history["seconds"]) > 0).all()
    assert history["seconds"][0] > 0


def test_reasons():
    X, y = classes()
    assert classifier().fit(X, y).stopping_reason_ == "max_iter"
    patient = classifier(tol=1.0, n_iter_no_change=1, max_iter=50).fit(X, y)
    assert patient.stopping_reason_ == "converged"
    parts = classifier().partial_fit(X, y, classes=[0, 1, 2])
    assert parts.stopping_reason_ == "one epoch"
    assert classifier(solver="lbfgs").fit(X, y).stopping_reason_ == "max_iter"
    done = classifier(solver="lbfgs", max_iter=5000, tol=1e-3).fit(X, y)
    assert done.stopping_reason_ == "converged"


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_time_runs_out(solver):
    X, y = classes(2000)
    model = classifier(solver=solver, max_iter=10**6, tol=0, max_time=0.2)
    model.set_params(n_iter_no_change=10**6, max_fun=10**6)
    model.fit(X, y)
    assert model.stopping_reason_ == "max_time"
    assert model.history_["seconds"][-1] >= 0.2
    assert model.history_["seconds"][-2] < 0.2


def test_time_running_out_is_reported_as_max_iter_is():
    with pytest.warns(ConvergenceWarning, match=r"max_time \(1e-09 s\) reached"):
        classifier(max_time=1e-9).fit(*classes())


def test_number_of_parameters():
    X, y = classes()
    expected = 6 * 12 + 12 + 12 * 8 + 8 + 8 * 3 + 3
    assert classifier().fit(X, y).n_parameters_ == expected
    normalized = classifier(normalization="batch").fit(X, y)
    assert normalized.n_parameters_ == expected + 20


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("given", [np.float32, np.float64, int])
def test_dtype_asked_for(dtype, given):
    X, y = classes()
    X = (X * 10).astype(given)
    model = classifier(dtype=dtype).fit(X, y)
    assert model.coefs_[0].dtype == model.predict_proba(X).dtype == dtype
    same = classifier().fit(X.astype(dtype), y)
    assert model.loss_curve_ == same.loss_curve_


@pytest.mark.parametrize("as_csr", [False, True])
def test_hidden_activations(as_csr):
    X, y = classes()
    X = sparse.csr_array(X) if as_csr else X
    model = classifier().fit(X, y)
    W, b = model.coefs_, model.intercepts_
    first = np.maximum(X @ W[0] + b[0], 0)
    last = np.maximum(first @ W[1] + b[1], 0)
    for layer, expected in [(0, first), (-2, first), (1, last), (-1, last)]:
        actual = model.hidden_activations(X, layer)
        np.testing.assert_allclose(actual, expected, rtol=1e-10, atol=1e-12)
    np.testing.assert_array_equal(model.hidden_activations(X), actual)
    for layer in (2, -3):
        with pytest.raises(ValueError, match=r"layer must be in \[-2, 2\)"):
            model.hidden_activations(X, layer)


def test_no_hidden_layer_to_show():
    X, y = classes()
    with pytest.raises(ValueError, match="there are 0 hidden layers"):
        classifier(hidden_layer_sizes=()).fit(X, y).hidden_activations(X)


@pytest.mark.parametrize("as_csr", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_population_statistics_are_those_of_a_direct_computation(as_csr, weighted):
    X, y = classes(300)
    X[np.abs(X) < 0.3] = 0
    weight = np.random.default_rng(0).random(300) + 0.1 if weighted else None
    settings = {"normalization": "batch", "norm_statistics": "population"}
    settings |= {"norm_epsilon": 1e-3, "activation": "tanh"}
    model = classifier(**settings).fit(
        sparse.csr_array(X) if as_csr else X, y, sample_weight=weight
    )
    share = np.full(300, 1 / 300) if weight is None else weight / weight.sum()
    A = X
    n_weights = model._layout.n_weights + 12 + 8 + 3
    scales = np.split(model._params[n_weights : n_weights + 20], [12])
    for W, b, scale in zip(model.coefs_, model.intercepts_, scales):
        Z = A @ W
        mean = share @ Z
        variance = share @ (Z - mean) ** 2
        A = np.tanh((Z - mean) / np.sqrt(variance + 1e-3) * scale + b)
    np.testing.assert_allclose(model.hidden_activations(X), A, rtol=1e-8, atol=1e-10)


def test_population_statistics_leave_validation_rows_out(monkeypatch):
    from skmlp.training import population

    X, y = classes(200)
    settings = {"normalization": "batch", "early_stopping": True, "max_iter": 3}
    seen = []
    monkeypatch.setattr(
        "skmlp.estimators.base.set_population_statistics",
        lambda *arguments: seen.append(arguments[-1]),
    )
    classifier(norm_statistics="population", **settings).fit(X, y)
    assert seen[0].size == 180
    monkeypatch.setattr(population, "_ROWS", 7)  # blocks make no difference
    small = _statistics(classifier(norm_statistics="running", **settings).fit(X, y))
    assert len(small) == 40


def _statistics(model):
    return model._params[model._layout.n_params :]


def test_blocks_of_the_population_make_no_difference(monkeypatch):
    X, y = classes(200)
    settings = {"normalization": "batch", "norm_statistics": "population"}
    whole = classifier(**settings).fit(X, y)
    monkeypatch.setattr("skmlp.training.population._ROWS", 7)
    parts = classifier(**settings).fit(X, y)
    np.testing.assert_allclose(_statistics(parts), _statistics(whole), rtol=1e-9)


def test_regressor_tells_as_much():
    X = np.random.default_rng(0).normal(size=(50, 3))
    model = MLPRegressor(max_iter=3).fit(X, X[:, 0])
    assert set(model.history_) >= {"loss", "seconds"}
    assert model.hidden_activations(X).shape == (50, 100)
