"""One estimator in several threads: an error or a whole network, never a mixture.

SKMLP_RACE_SECONDS says how long each race lasts.
"""

import os

import numpy as np
import pytest
from problems import make_estimator, make_problem
from processes import run_python

SECONDS = os.environ.get("SKMLP_RACE_SECONDS", "1")
START = """
import os, threading, time
import numpy as np
from skmlp import MLPClassifier, MLPRegressor
rng = np.random.default_rng(0)
Xs = {{k: rng.standard_normal((60, k)) for k in (3, 40, 300)}}
y = rng.standard_normal(60)
counts, surprises = {{}}, []

def repeat(call):
    def run():
        n = 0
        while time.monotonic() < END and not surprises:
            try:
                call(n)
                counts[call.__name__] = counts.get(call.__name__, 0) + 1
            except (ValueError, AttributeError) as error:
                counts["refused"] = counts.get("refused", 0) + 1
            except BaseException as error:
                surprises.append(repr(error))
            n += 1
    return run

def race(*calls):
    global END
    END = time.monotonic() + {seconds}  # compiling does not count
    threads = [threading.Thread(target=repeat(call)) for call in calls]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    assert not surprises, surprises
    assert all(counts.get(call.__name__) for call in calls), counts
    print(counts)

def constant(model, value):
    "Whatever X is: zero weights, and a bias."
    model.coefs_ = [np.zeros_like(c) for c in model.coefs_]
    model.intercepts_ = [np.full_like(b, value) for b in model.intercepts_]
    return model

def one_of(predicted, values):
    if not any((predicted == value).all() for value in values):
        surprises.append(f"{{predicted[:5]}} belongs to no network")
"""
RACES = {
    "fit and fit": """
model = MLPRegressor(max_iter=2, batch_size=20)
kinds = [{}, {"early_stopping": True}, {"solver": "lbfgs"}]
def fit_wide(n):
    model.set_params(hidden_layer_sizes=(200, 30), **kinds[n % 3])
    model.fit(Xs[300], y)
def fit_narrow(n):
    model.set_params(hidden_layer_sizes=(5,), solver="adam", early_stopping=False)
    model.fit(Xs[3], y)
race(fit_wide, fit_narrow)
""",
    "fit and predict": """
model = MLPRegressor(hidden_layer_sizes=(20,), max_iter=1, learning_rate_init=1e-300,
    weight_init="zeros").fit(Xs[3], y)
def fit(n):
    model.fit(Xs[(3, 300)[n % 2]], y)
def predict(n):
    one_of(model.predict(Xs[(3, 300)[n % 2]]).round(9), [0])
def hidden(n):
    one_of(model.hidden_activations(Xs[(3, 300)[n % 2]]).round(9), [0])
race(fit, predict, hidden)
""",
    "partial_fit and predict": """
model = MLPRegressor(hidden_layer_sizes=(50,), batch_size=60, weight_init="zeros",
    activation="identity", alpha=0, solver="sgd", momentum=0)
model.partial_fit(Xs[40], y)
def partial_fit(n):
    model.partial_fit(Xs[40], y)
def partial_fit_too(n):
    model.partial_fit(Xs[40], y)
def predict(n):
    predicted = model.predict(Xs[40])  # weights stay zero, the bias moves
    one_of(predicted, [predicted[0]])
race(partial_fit, partial_fit_too, predict)
""",
    "set_params and predict": """
model = MLPRegressor(hidden_layer_sizes=(20,), max_iter=2).fit(Xs[3], y)
known = [model.predict(Xs[3])]
def set_params(n):
    model.set_params(hidden_layer_sizes=(5, 300)[n % 2], activation="swiglu",
        solver=("lbfgs", "adam")[n % 2], dtype="float32", normalization="batch")
def predict(n):
    one_of(model.predict(Xs[3]), known)
race(set_params, predict)
""",
    "coefs_ and predict": """
model = MLPRegressor(hidden_layer_sizes=(20,), max_iter=1).fit(Xs[40], y)
constant(model, 0).predict(Xs[40])
networks = [[np.full((40, 20), v), np.full((20, 1), v)] for v in (0.0, 1.0)]
X = np.ones((60, 40))
def assign(n):
    model.coefs_ = networks[n % 2]
def item(n):
    model.coefs_[1] = networks[n % 2][1]
def predict(n):
    one_of(model.predict(X), [0, 40 * 20])
race(assign, item, predict, predict)
""",
    "n_features_in_ by hand": """
model = MLPRegressor(hidden_layer_sizes=(20,), max_iter=2).fit(Xs[3], y)
known = [model.predict(Xs[3])]
def by_hand(n):
    model.n_features_in_ = (3, 300)[n % 2]
def predict(n):
    one_of(model.predict(Xs[3]), known)
def too_wide(n):
    try:
        model.predict(Xs[300])
        surprises.append("took 300 features")
    except ValueError:
        pass
def hidden_too_wide(n):
    try:
        model.hidden_activations(Xs[300])
        surprises.append("took 300 features")
    except ValueError:
        pass
race(by_hand, predict, too_wide, hidden_too_wide)
""",
}


@pytest.mark.parametrize("name", RACES)
def test_race(name):
    print(name, run_python(START.format(seconds=float(SECONDS)) + RACES[name]))


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_what_was_checked_is_what_trains(method, monkeypatch):
    """Parameters that another thread sets after the check are for the next fit."""
    X, y = make_problem("regression")
    model = make_estimator("regression")
    expected = getattr(model, method)(X, y).predict(X)
    model, make_twin = make_estimator("regression"), type(model)._twin

    def set_then_make(self):
        self.set_params(activation="nonsense", alpha="nonsense", solver=3)
        return make_twin(self)

    monkeypatch.setattr(type(model), "_twin", set_then_make)
    np.testing.assert_array_equal(getattr(model, method)(X, y).predict(X), expected)
    assert model.activation == "nonsense"
