"""Estimators of scikit-learn that predict as ours do, and tools that know theirs."""

import numpy as np
import pytest
import skl2onnx
import sklearn.neural_network
from export.models import PLAIN, fit, fitted, make_rows, make_targets
from export.test_onnx import TOLERANCE, session_of
from skl2onnx.common.data_types import FloatTensorType
from skl2onnx.operator_converters.multilayer_perceptron import (
    convert_sklearn_mlp_classifier,
)
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

from skmlp import MLPClassifier, MLPRegressor
from skmlp.export import to_sklearn

LACKING = {
    "gated": ["activation='geglu'", "activation='swiglu'"],
    "parametric": ["activation='gelu'", "parametric_activation=True"],
    "normalized": ["activation='mish'", "normalization='layer'"],
    "quantiles": ["the link 'sorted'"],
    "gaussian": ["the link 'gaussian'"],
}


@pytest.mark.parametrize("name", [name for name in PLAIN if name not in LACKING])
def test_same_predictions(name):
    model, X = fitted(name)
    theirs = to_sklearn(model)
    assert type(theirs) is getattr(sklearn.neural_network, type(model).__name__)
    X = X.astype(model.coefs_[0].dtype)
    same = {"rtol": 1e-5 if X.dtype == np.float32 else 1e-10}
    y = model.predict(X)
    if y.dtype.kind == "f":
        np.testing.assert_allclose(theirs.predict(X), y, **same)
        return
    assert theirs.predict(X).dtype == y.dtype
    np.testing.assert_array_equal(theirs.predict(X), y)
    np.testing.assert_allclose(theirs.predict_proba(X), model.predict_proba(X), **same)
    assert theirs.score(X, y) == 1


@pytest.mark.parametrize("activation", ["identity", "logistic", "tanh", "relu"])
@pytest.mark.parametrize("kind", ["binary", "multiclass", "multilabel"])
def test_normalization_is_folded(activation, kind):
    rows = make_rows()
    X, y = 5 + 3 * rows, make_targets(rows, kind)
    model = MLPClassifier(
        hidden_layer_sizes=(7, 6),
        activation=activation,
        normalization="batch",
        scale_input=True,
        max_iter=5,
        random_state=0,
    )
    theirs = to_sklearn(fit(model, X, y))
    expected = model.predict_proba(X)
    np.testing.assert_allclose(theirs.predict_proba(X), expected, rtol=1e-9)
    if kind == "multilabel":
        return  # skl2onnx infers a wrong shape, which the checker of ONNX refuses
    session = session_of(
        skl2onnx.to_onnx(theirs, X.astype("f4"), options={"zipmap": False})
    )
    _, y_prob = session.run(None, {"X": X.astype("f4")})
    expected = model.predict_proba(X.astype("f4"))
    np.testing.assert_allclose(y_prob, expected, **TOLERANCE)


def test_parameters_are_kept():
    X = make_rows()
    params = {"alpha": 0.3, "batch_size": 20, "solver": "lion", "n_iter_no_change": 5}
    params |= {"learning_rate": "cosine", "random_state": 7, "max_iter": 3}
    model = fit(MLPRegressor(**params), X, X[:, 0])
    theirs = to_sklearn(model)
    same = {name: getattr(theirs, name) for name in params}
    assert same == {**params, "solver": "adam", "learning_rate": "constant"}
    fit(clone(theirs), X, X[:, 0])
    theirs.partial_fit(X, X[:, 0])
    assert np.abs(theirs.coefs_[0] - model.coefs_[0]).max() < 0.01


@pytest.mark.parametrize("name", LACKING)
def test_what_scikit_learn_lacks(name):
    with pytest.raises(ValueError, match="scikit-learn's networks have not") as caught:
        to_sklearn(fitted(name)[0])
    for what in LACKING[name]:
        assert what in str(caught.value)


def test_layers_that_differ():
    X = make_rows()
    params = {"hidden_layer_sizes": (3, 3), "activation": ["relu", "tanh"]}
    model = fit(MLPRegressor(**params, max_iter=3), X, X[:, 0])
    with pytest.raises(ValueError, match="activations that differ between layers"):
        to_sklearn(model)


def test_bad_input():
    with pytest.raises(NotFittedError):
        to_sklearn(MLPClassifier())
    with pytest.raises(TypeError, match="is an ensemble of networks"):
        to_sklearn(fitted("table binary")[0])


@pytest.mark.parametrize(
    "params",
    [
        {"normalization": "batch"},
        {"scale_input": True},
        {"parametric_activation": True},
    ],
    ids=str,
)
def test_converters_of_theirs_refuse_more_than_matrices(params):
    """They look the link up by its name, which says that there is more."""
    X = make_rows()
    model = MLPClassifier((6,), max_iter=3, random_state=0, **params)
    fit(model, X, make_targets(X, "multiclass"))
    (name,) = params
    assert model.out_activation_ == f"softmax, with {name}"

    def convert(scope, operator, container):
        convert_sklearn_mlp_classifier(scope, operator, container)

    skl2onnx.update_registered_converter(
        MLPClassifier,
        "TheirMLPClassifier",
        skl2onnx.common.shape_calculator.calculate_linear_classifier_output_shapes,
        convert,
        overwrite=True,
        options={"zipmap": [False], "nocl": [False]},
    )
    types = [("X", FloatTensorType([None, X.shape[1]]))]
    with pytest.raises(KeyError, match="softmax, with"):
        skl2onnx.convert_sklearn(model, initial_types=types, options={"zipmap": False})
