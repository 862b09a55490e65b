"""Estimators that are put together by hand, and what they are stored as."""

import pickle

import joblib
import numpy as np
import pytest
from problems import make_estimator, make_problem
from sklearn import neural_network as theirs
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

import skmlp

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
PUBLIC = "coefs_", "intercepts_", "n_layers_", "n_outputs_", "out_activation_"


@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel"])
@pytest.mark.parametrize("labels", [("_label_binarizer", "classes_"), ("classes_",)])
def test_restored_from_arrays(task, labels):
    X, y = make_problem(task)
    fitted = theirs.MLPClassifier((7, 4), max_iter=5, random_state=0).fit(X, y)
    model = skmlp.MLPClassifier((7, 4))
    for name in (*PUBLIC, "n_features_in_", *labels):
        setattr(model, name, getattr(fitted, name))
    np.testing.assert_array_equal(model.predict(X), fitted.predict(X))
    restored = pickle.loads(pickle.dumps(model))
    np.testing.assert_allclose(
        restored.predict_proba(X), fitted.predict_proba(X), rtol=1e-9
    )


def test_first_layers_as_an_encoder():
    X, y = make_problem("regression")
    model = make_estimator("regression", hidden_layer_sizes=(7, 4)).fit(X, y)
    expected = model.hidden_activations(X, 0)
    model.coefs_, model.intercepts_ = model.coefs_[:1], [model.intercepts_[0][None]]
    model.out_activation_ = "relu"
    np.testing.assert_array_equal(model.predict(X), expected)


@pytest.mark.parametrize(
    ("attributes", "match"),
    [
        ({"coefs_": [np.ones((5, 1))]}, "intercepts_ must be set too"),
        ({"coefs_": [np.ones(5)], "intercepts_": [np.ones(1)]}, "must be a matrix"),
        (
            {"coefs_": [np.ones((5, 1))], "intercepts_": [[1]], "out_activation_": "x"},
            "out_activation_ must be among",
        ),
    ],
)
def test_what_makes_no_network(attributes, match):
    model = skmlp.MLPRegressor(hidden_layer_sizes=())
    for name, value in attributes.items():
        setattr(model, name, value)
    with pytest.raises(ValueError, match=match):
        model.predict(np.ones((2, 5)))


@pytest.mark.parametrize("settings", [{}, {"early_stopping": True}], ids=str)
def test_equal_fits_have_equal_hashes(settings):
    X, y = make_problem("binary")
    one, other = (make_estimator("binary", **settings).fit(X, y) for _ in range(2))
    assert joblib.hash(one) == joblib.hash(other)
    assert joblib.hash(pickle.loads(pickle.dumps(one))) == joblib.hash(other)


class Encoder(TransformerMixin, BaseEstimator):
    """Hidden units of a fitted network; counts its calls of fit."""

    n_fits = 0

    def __init__(self, network):
        self.network = network

    def fit(self, X, y=None):
        Encoder.n_fits += 1
        return self

    def transform(self, X):
        return self.network.hidden_activations(X)


def test_an_equal_fit_is_found_in_the_cache_of_a_pipeline(tmp_path):
    X, y = make_problem("binary")
    n_fits = []
    for seed in 0, 0, 1:
        network = make_estimator("binary", random_state=seed).fit(X, y)
        encoder = Encoder(FrozenEstimator(network))
        make_pipeline(encoder, LogisticRegression(), memory=str(tmp_path)).fit(X, y)
        n_fits.append(Encoder.n_fits)
    assert n_fits == [1, 1, 2]


def test_failed_partial_fit_leaves_no_epoch():
    X, y = make_problem("regression")
    model = make_estimator("regression", activation="identity").partial_fit(X, y)
    model.coefs_[0][:] *= 1e200
    with pytest.raises(ValueError, match="non-finite"), np.errstate(all="ignore"):
        model.partial_fit(X, y)
    assert len(model.loss_curve_) == len(model.learning_rates_) == 1
