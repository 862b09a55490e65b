"""ONNX models, in onnxruntime, beside the estimators that they are made from."""

import numpy as np
import onnx
import onnxruntime
import pandas as pd
import pytest
from export.models import NAMES, PLAIN, fit, fitted, make_rows, make_targets
from hypothesis import given, settings
from hypothesis import strategies as st

from skmlp import MLPClassifier, MLPRegressor, TabularMLPClassifier
from skmlp.core.activations import ACTIVATIONS
from skmlp.core.losses import LINKS
from skmlp.export import nodes, to_onnx
from skmlp.export.plan import GATES

TOLERANCE = {"rtol": 1e-5, "atol": 1e-5}


def session_of(proto):
    onnx.checker.check_model(proto, full_check=True)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(
        proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def feeds_of(session, X):
    """What the session takes for rows: a matrix, or a column for each input."""
    inputs = session.get_inputs()
    if len(inputs) == 1 and inputs[0].name == "X":
        return {"X": np.asarray(X, np.float32)}
    types = {"tensor(float)": np.float32, "tensor(int64)": np.int64}
    feeds = {}
    for own, (_, column) in zip(inputs, pd.DataFrame(X).items(), strict=True):
        if own.type == "tensor(string)":
            column = column.astype(object).where(column.notna(), "").astype(str)
            values = column.to_numpy(object)
        else:
            missing = np.nan if own.type == "tensor(float)" else -1
            column = column.astype(object).where(column.notna(), missing)
            values = column.to_numpy().astype(types[own.type])
        feeds[own.name] = values.reshape(-1, 1)
    return feeds


def run(session, X):
    names = [own.name for own in session.get_outputs()]
    return dict(zip(names, session.run(None, feeds_of(session, X))))


def in_float32(X):
    """Rows whose numbers are the same in float32."""
    if isinstance(X, np.ndarray):
        return X.astype(np.float32).astype(X.dtype)
    numbers = {name: "float32" for name in X.select_dtypes("number")}
    return X.astype(numbers).astype(dict.fromkeys(numbers, "float64"))


def assert_same(model, session, X):
    """Labels may differ where two classes are within the tolerance."""
    X = in_float32(X)
    got = run(session, X)
    if not hasattr(model, "predict_proba"):
        y = model.predict(X)
        expected = {"variable": y.reshape(len(y), -1)}
        if model.loss == "gaussian_nll":
            std = model.predict(X, return_std=True)[1]
            expected["std"] = std.reshape(len(y), -1)
        assert got.keys() == expected.keys()
        for name, values in expected.items():
            size = np.abs(values).max() if values.size else 1
            np.testing.assert_allclose(got[name] / size, values / size, **TOLERANCE)
        return
    y_prob = model.predict_proba(X)
    np.testing.assert_allclose(got["probabilities"], y_prob, **TOLERANCE)
    labels, expected = got["label"], model.predict(X)
    assert labels.shape == expected.shape
    if labels.ndim == 2:
        close = np.abs(y_prob - 0.5) < 1e-5
    else:
        top = np.sort(y_prob, axis=1)
        close = top[:, -1] - top[:, -2] < 2e-5 if top.shape[1] > 1 else False
    assert ((labels == expected) | close).all()
    assert np.mean(close) < 0.1


@pytest.mark.parametrize("name", NAMES)
def test_same_predictions(name):
    model, X = fitted(name)
    assert_same(model, session_of(to_onnx(model)), X)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n_rows", [1, 10_000])
def test_numbers_of_rows(name, n_rows):
    model, X = fitted(name)
    places = np.random.default_rng(0).integers(len(X), size=n_rows)
    X = X[places] if isinstance(X, np.ndarray) else X.iloc[places]
    assert_same(model, session_of(to_onnx(model)), X)


@pytest.mark.parametrize("opset", [13, 14, 15, 16, 17, 18, 19, 20, 21, 22])
@pytest.mark.parametrize("name", ["normalized", "quantiles", "table multiclass"])
def test_every_opset(name, opset):
    model, X = fitted(name)
    proto = to_onnx(model, name="mine", target_opset=opset)
    assert proto.graph.name == "mine"
    versions = {own.domain: own.version for own in proto.opset_import}
    assert versions[""] == opset
    assert_same(model, session_of(proto), X)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("normalization", [None, "batch", "layer"])
@pytest.mark.parametrize("parametric", [False, True])
def test_every_activation(activation, normalization, parametric):
    if parametric and activation in (*GATES, "identity"):
        parametric = False
    X = make_rows(200)
    model = MLPRegressor(
        hidden_layer_sizes=(6, 5),
        activation=activation,
        normalization=normalization,
        parametric_activation=parametric,
        max_iter=3,
        random_state=0,
        batch_size=50,
    )
    fit(model, X, make_targets(X, "multi-output"))
    assert_same(model, session_of(to_onnx(model)), np.vstack([X, 30 * X]))


def test_nothing_is_forgotten():
    assert nodes.ACTIVATIONS.keys() | GATES.keys() == ACTIVATIONS.keys()
    assert nodes.LINKS.keys() >= LINKS.keys()


MODELS = {}


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([*PLAIN, "table numbers"]), st.data())
def test_any_rows(name, data):
    if name not in MODELS:
        model, _ = fitted(name)
        MODELS[name] = model, session_of(to_onnx(model))
    model, session = MODELS[name]
    n_features = model.n_features_in_
    number = st.floats(-10, 10, width=32)
    if name == "table numbers":
        number = st.floats(width=32, allow_infinity=False)
    rows = st.lists(
        st.lists(number, min_size=n_features, max_size=n_features),
        min_size=1,
        max_size=5,
    )
    X = np.array(data.draw(rows))
    got = run(session, X)
    if "variable" in got:
        y = model.predict(X).reshape(len(X), -1)
        np.testing.assert_allclose(got["variable"], y, **TOLERANCE)
    else:
        y_prob = model.predict_proba(X)
        np.testing.assert_allclose(got["probabilities"], y_prob, **TOLERANCE)


@pytest.mark.parametrize(
    "labels",
    [
        np.array(["b", "a", "ü"]),
        np.array(["b", "a", "c"], object),
        np.array([3, -1, 7], np.int8),
        np.array([5.0, -1.0, 2.0]),
        np.array([True, False]),
        np.array(["only"]),
    ],
    ids=["str", "object", "int8", "float", "bool", "one class"],
)
def test_labels(labels):
    X = make_rows(60)
    y = labels[np.arange(60) % len(labels)]
    model = fit(MLPClassifier((3,), max_iter=3, random_state=0), X, y)
    assert_same(model, session_of(to_onnx(model)), X)


def table_of(**columns):
    n = len(next(iter(columns.values())))
    X, y = pd.DataFrame(columns), np.arange(n) % 3 == 0
    small = {"n_steps": 20, "n_members": 1, "hidden_layer_sizes": (4,)}
    return TabularMLPClassifier(**small, random_state=0).fit(X, y), X


def test_types_of_categories():
    rng = np.random.default_rng(0)
    model, X = table_of(
        strings=rng.choice(["a", "b", "ü"], 60),
        many=pd.Categorical(rng.integers(100, 130, 60)),
        numbers=pd.Categorical(rng.choice([0.1, 0.2, 1e10], 60)),
        flags=rng.random(60) < 0.5,
        single=["same"] * 60,
        none=pd.Categorical([None] * 60, categories=["x"]),
        gaps=np.where(rng.random(60) < 0.3, np.nan, rng.normal(size=60)),
    )
    session = session_of(to_onnx(model))
    types = [own.type[7:-1] for own in session.get_inputs()]
    assert types == ["string", "int64", "float", "int64", "string", "string", "float"]
    assert_same(model, session, X)
    new = X.assign(strings="unseen", gaps=np.nan)
    assert_same(model, session, new)


def test_only_categories():
    model, X = table_of(a=["x", "y", "z"] * 20, b=["u", None] * 30)
    assert_same(model, session_of(to_onnx(model)), X)


def test_columns_that_tell_nothing():
    model, X = table_of(a=np.ones(60), b=np.full(60, np.nan))
    assert_same(model, session_of(to_onnx(model)), X)


def test_large_numbers():
    """Years and counts of seconds keep their differences."""
    rng = np.random.default_rng(0)
    model, X = table_of(
        year=rng.integers(1990, 2020, 60).astype(float),
        seconds=(1_700_000_000 + 1000.0 * rng.integers(0, 500, 60)),
        huge=rng.normal(size=60) * 1e30,
    )
    assert_same(model, session_of(to_onnx(model)), X)


def test_bad_input():
    from sklearn.exceptions import NotFittedError
    from sklearn.linear_model import LogisticRegression

    with pytest.raises(NotFittedError):
        to_onnx(MLPClassifier())
    with pytest.raises(TypeError, match="LogisticRegression is no estimator of skmlp"):
        to_onnx(LogisticRegression())
    model, _ = fitted("binary")
    for opset in (12, 1000, "18", None):
        with pytest.raises(ValueError, match="target_opset must be from 13"):
            to_onnx(model, target_opset=opset)
    model, _ = table_of(mixed=[1, "a"] * 30)
    with pytest.raises(ValueError, match="'mixed' has categories of several types"):
        to_onnx(model)
    model, _ = table_of(label=["a", "b", "c"] * 20)
    with pytest.raises(ValueError, match=r"rename .*'label'"):
        to_onnx(model)
