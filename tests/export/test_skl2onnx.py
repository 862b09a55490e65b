"""Pipelines and ensembles that hold estimators of skmlp, by skl2onnx."""

import numpy as np
import pandas as pd
import pytest
import skl2onnx
from export.models import NAMES, fitted, make_rows, make_targets
from export.test_onnx import TOLERANCE, assert_same, feeds_of, in_float32, session_of
from skl2onnx.common.data_types import (
    FloatTensorType,
    Int64TensorType,
    StringTensorType,
)
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import BaggingRegressor, VotingClassifier, VotingRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from skmlp import MLPClassifier, MLPRegressor
from skmlp.export import register_with_skl2onnx

pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning", "ignore::DeprecationWarning"
)
CLASSIFIER = {"hidden_layer_sizes": (7,), "max_iter": 5, "random_state": 0}


@pytest.fixture(autouse=True)
def registered():
    register_with_skl2onnx()


def types_of(X):
    """What skl2onnx is told of rows."""
    if isinstance(X, np.ndarray):
        return [("X", FloatTensorType([None, X.shape[1]]))]
    types = []
    for name, column in X.items():
        is_number = pd.api.types.is_float_dtype(column)
        is_flag = set(column.dropna().map(type)) == {bool}
        own = FloatTensorType if is_number else StringTensorType
        types.append((name, (Int64TensorType if is_flag else own)([None, 1])))
    return types


def converted(model, X, **options):
    options = {id(model): options} if options else None
    return session_of(
        skl2onnx.convert_sklearn(
            model, initial_types=types_of(X), options=options, target_opset=18
        )
    )


@pytest.mark.parametrize("name", NAMES)
def test_single_estimators(name):
    model, X = fitted(name)
    options = {"zipmap": False} if hasattr(model, "classes_") else {}
    session = converted(model, X, **options)
    if getattr(model, "loss", None) == "gaussian_nll":
        assert [own.name for own in session.get_outputs()] == ["variable"]
        (got,) = session.run(None, feeds_of(session, X))
        y = model.predict(in_float32(X))
        np.testing.assert_allclose(got, y.reshape(len(y), -1), **TOLERANCE)
    else:
        assert_same(model, session, X)


@pytest.mark.parametrize("normalization", [None, "batch"])
def test_pipeline(normalization):
    """Normalization is not lost behind a scaler."""
    X = 3 + 2 * make_rows()
    model = make_pipeline(
        StandardScaler(), MLPClassifier(normalization=normalization, **CLASSIFIER)
    )
    model.fit(X, make_targets(X, "multiclass"))
    session = converted(model, X, zipmap=False)
    assert_same(model, session, X)


def test_column_transformer():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(
        {
            "size": rng.normal(size=90),
            "weight": rng.normal(size=90),
            "color": rng.choice(["red", "green", "blue"], 90),
        }
    )
    transformer = ColumnTransformer(
        [
            ("numbers", StandardScaler(), ["size", "weight"]),
            ("categories", OneHotEncoder(), ["color"]),
        ]
    )
    y = np.where(X["size"] + (X["color"] == "red") > 0, "yes", "no")
    model = make_pipeline(transformer, MLPClassifier(**CLASSIFIER)).fit(X, y)
    assert_same(model, converted(model, X, zipmap=False), X)


@pytest.mark.parametrize("kind", ["binary", "multiclass"])
def test_calibrated(kind):
    X = make_rows(120)
    model = CalibratedClassifierCV(MLPClassifier(**CLASSIFIER), cv=2)
    model.fit(X, make_targets(X, kind))
    assert_same(model, converted(model, X, zipmap=False), X)


@pytest.mark.parametrize("voting", ["soft", "hard"])
def test_voting(voting):
    X = make_rows(120)
    model = VotingClassifier(
        [("ours", MLPClassifier(**CLASSIFIER)), ("theirs", LogisticRegression())],
        voting=voting,
        flatten_transform=False,
    ).fit(X, make_targets(X, "multiclass"))
    session = converted(model, X, zipmap=False)
    labels = session.run(["label"], feeds_of(session, X))[0]
    assert (labels == model.predict(in_float32(X))).mean() > 0.98
    if voting == "soft":
        assert_same(model, session, X)


@pytest.mark.parametrize(
    "make_ensemble",
    [
        lambda est: VotingRegressor([("one", est), ("other", est)]),
        lambda est: GridSearchCV(est, {"alpha": [0.1, 1.0]}, cv=2),
        lambda est: BaggingRegressor(est, n_estimators=2, random_state=0),
    ],
    ids=["voting", "search", "bagging"],
)
def test_ensembles_of_regressors(make_ensemble):
    X = make_rows()
    model = make_ensemble(MLPRegressor(**CLASSIFIER))
    model.fit(X, make_targets(X, "regression"))
    session = converted(model, X)
    (got,) = session.run(None, feeds_of(session, X))
    expected = model.predict(in_float32(X))
    np.testing.assert_allclose(got.ravel(), expected, **TOLERANCE)


def test_zipmap():
    model, X = fitted("multiclass")
    session = converted(model, X)
    _, maps = session.run(None, feeds_of(session, X))
    y_prob = model.predict_proba(in_float32(X))
    assert list(maps[0]) == model.classes_.tolist()
    got = [[row[label] for label in model.classes_] for row in maps]
    np.testing.assert_allclose(got, y_prob, **TOLERANCE)


@pytest.mark.parametrize("name", ["binary", "multiclass", "table binary"])
def test_without_class_labels(name):
    """With nocl, labels are their numbers."""
    model, X = fitted(name)
    session = converted(model, X, nocl=True, zipmap=False)
    labels, y_prob = session.run(None, feeds_of(session, X))
    assert labels.dtype == np.int64
    np.testing.assert_array_equal(labels, y_prob.argmax(axis=1))
    expected = model.predict_proba(in_float32(X))
    np.testing.assert_allclose(y_prob, expected, **TOLERANCE)


def test_float64_stays():
    model, X = fitted("gated")
    proto = skl2onnx.to_onnx(model, X, options={"zipmap": False}, target_opset=18)
    session = session_of(proto)
    assert session.get_inputs()[0].type == "tensor(double)"
    _, y_prob = session.run(None, {"X": X})
    assert y_prob.dtype == np.float64
    np.testing.assert_allclose(y_prob, model.predict_proba(X), **TOLERANCE)


def test_columns_of_categories_need_inputs_of_their_own():
    model, X = fitted("table binary")
    one = [("X", FloatTensorType([None, X.shape[1]]))]
    with pytest.raises(ValueError, match="for each of the 5 columns"):
        skl2onnx.convert_sklearn(model, initial_types=one)
    floats = [(name, FloatTensorType([None, 1])) for name in X]
    with pytest.raises(ValueError, match=r"'color' .*change the type"):
        skl2onnx.convert_sklearn(model, initial_types=floats)
