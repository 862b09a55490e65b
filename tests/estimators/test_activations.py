"""Activations, as users meet them."""

import pickle

import naive
import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_digits
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from skmlp import MLPClassifier, MLPRegressor
from skmlp.core.activations import ACTIVATIONS

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

NONLINEAR = sorted(ACTIVATIONS.keys() - {"identity"})
each_activation = pytest.mark.parametrize("activation", NONLINEAR)
each_gated = pytest.mark.parametrize("activation", naive.GATED)
each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@each_activation
@each_dtype
def test_learns_the_digits(activation, dtype):
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(
        (X / 16).astype(dtype), y, random_state=0
    )
    model = MLPClassifier(
        (32,), activation, max_iter=30, learning_rate_init=0.01, random_state=0
    )
    model.fit(X_train, y_train)
    assert model.score(X_test, y_test) > 0.95
    assert model.predict_proba(X_test).dtype == dtype


@each_activation
def test_learns_diabetes_with_lbfgs(activation):
    X, y = load_diabetes(return_X_y=True)
    X, y = StandardScaler().fit_transform(X), (y - y.mean()) / y.std()
    model = MLPRegressor(
        "squared_error", (8,), activation, solver="lbfgs", alpha=1.0, random_state=0
    )
    assert model.fit(X, y).score(X, y) > 0.55


@each_activation
@each_dtype
def test_predictions_are_those_of_the_naive_twin(activation, dtype):
    X, y = load_diabetes(return_X_y=True)
    X, y = (X * 20).astype(dtype), y / y.std()
    model = MLPRegressor("squared_error", (6, 5), activation, max_iter=3).fit(X, y)
    lists = [
        [np.asarray(a, np.float64) for a in arrays]
        for arrays in (model.coefs_, model.intercepts_)
    ]
    expected = naive.predict(*lists, X.astype(np.float64), activation, "identity")
    rtol = {np.float32: 1e-4, np.float64: 1e-10}[dtype]
    np.testing.assert_allclose(model.predict(X), expected[:, 0], rtol=rtol, atol=rtol)


@each_gated
def test_gated_layers_have_two_columns_per_unit(activation):
    X, y = load_diabetes(return_X_y=True)
    model = MLPRegressor(
        "squared_error", (6, 5), [activation, "tanh"], max_iter=2, random_state=0
    ).fit(X, y)
    assert [c.shape for c in model.coefs_] == [(10, 12), (6, 5), (5, 1)]
    assert [b.shape for b in model.intercepts_] == [(12,), (5,), (1,)]
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copy.predict(X), model.predict(X))
    for each in model, copy:
        each.partial_fit(X, y)
    np.testing.assert_array_equal(copy.predict(X), model.predict(X))


def with_coefs(activation, *shapes):
    """A regressor that starts with weights set before any fit."""
    rng = np.random.default_rng(0)
    model = MLPRegressor("squared_error", (6, 5), activation, warm_start=True)
    model.set_params(max_iter=1, learning_rate_init=1e-9)
    model.coefs_ = [rng.standard_normal(shape) for shape in shapes]
    model.intercepts_ = [rng.standard_normal(shape[1]) for shape in shapes]
    return model


@pytest.mark.parametrize(
    ("activation", "shapes"),
    [
        ("swiglu", [(10, 12), (6, 10), (5, 1)]),
        (["glu", "relu"], [(10, 12), (6, 5), (5, 1)]),
        (["relu", "geglu"], [(10, 6), (6, 10), (5, 1)]),
    ],
    ids=str,
)
def test_weights_of_gated_layers_set_before_any_fit(activation, shapes):
    X, y = load_diabetes(return_X_y=True)
    model = with_coefs(activation, *shapes)
    before = [c.copy() for c in model.coefs_]
    model.fit(X, y)
    for coef, start in zip(model.coefs_, before):
        np.testing.assert_allclose(coef, start, atol=1e-7)


@pytest.mark.parametrize(
    ("activation", "shapes", "message"),
    [
        ("glu", [(10, 11), (6, 10), (5, 1)], r"coefs_\[0\] must have two columns"),
        (["relu", "glu"], [(10, 6), (6, 9), (5, 1)], r"coefs_\[1\] must have two"),
        ("reglu", [(10, 6), (3, 10), (5, 1)], "layers of .* units"),
        (["glu"], [(10, 12), (6, 10), (5, 1)], "activation must be given once"),
        (["glu", "sine"], [(10, 12), (6, 10), (5, 1)], "'activation' parameter"),
    ],
    ids=str,
)
def test_weights_that_do_not_fit_the_gates(activation, shapes, message):
    X, y = load_diabetes(return_X_y=True)
    model = with_coefs(activation, *shapes)
    state = vars(model).copy()
    with pytest.raises(ValueError, match=message):
        model.fit(X, y)
    assert vars(model) == state


def test_warm_start_may_change_the_gate_but_not_the_width():
    X, y = load_diabetes(return_X_y=True)
    model = MLPRegressor("squared_error", (6,), "swiglu", warm_start=True, max_iter=1)
    model.fit(X, y).set_params(activation="glu").fit(X, y)
    with pytest.raises(ValueError, match="ask for other parameters"):
        model.set_params(activation="silu").fit(X, y)
