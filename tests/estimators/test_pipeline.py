"""skmlp inside scikit-learn's meta-estimators, beside scikit-learn's own MLP."""

import numpy as np
import pandas as pd
import pytest
import sklearn
from problems import make_estimator, make_problem
from sklearn import neural_network
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.ensemble import (
    AdaBoostRegressor,
    BaggingClassifier,
    StackingClassifier,
    VotingRegressor,
)
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    GridSearchCV,
    RandomizedSearchCV,
    cross_val_predict,
    cross_validate,
    learning_curve,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.utils import estimator_html_repr, get_tags

import skmlp

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")


def meta_estimators(mlp):
    """Wrappers that have to give the same numbers around both MLPs."""
    grid = {"alpha": [1e-4, 1.0], "hidden_layer_sizes": [(3,), (5, 4)]}
    shared = {
        "pipeline": make_pipeline(StandardScaler(), mlp),
        "grid": GridSearchCV(mlp, grid, cv=2),
        "randomized": RandomizedSearchCV(mlp, grid, n_iter=2, cv=2, random_state=0),
        "grid in pipeline": GridSearchCV(
            make_pipeline(StandardScaler(), mlp), {mlp_key(mlp): [0.1, 1]}, cv=2
        ),
    }
    if is_classifier(mlp):
        return shared | {
            "calibrated": CalibratedClassifierCV(mlp, cv=2),
            "bagging": BaggingClassifier(mlp, n_estimators=3, random_state=0),
            "one versus rest": OneVsRestClassifier(mlp),
            "stacking": StackingClassifier([("mlp", mlp)], LogisticRegression(), cv=2),
        }
    return shared | {
        "target": TransformedTargetRegressor(mlp, transformer=StandardScaler()),
        "voting": VotingRegressor([("a", mlp), ("b", clone(mlp))]),
        "boosting": AdaBoostRegressor(mlp, n_estimators=3, random_state=0),
    }


def mlp_key(mlp):
    return f"{type(mlp).__name__.lower()}__alpha"


CASES = [
    (task, name)
    for task in ("binary", "multiclass", "regression")
    for name in meta_estimators(make_estimator(task))
]


@pytest.mark.parametrize(("task", "name"), CASES)
def test_same_as_with_scikit_learn(task, name):
    X, y = make_problem(task, n_rows=80)
    ours, theirs = (
        meta_estimators(make_estimator(task, module))[name].fit(X, y)
        for module in (skmlp, neural_network)
    )
    method = "predict_proba" if is_classifier(ours) else "predict"
    expected = getattr(theirs, method)(X)
    np.testing.assert_allclose(getattr(ours, method)(X), expected, rtol=1e-6)
    assert ours.score(X, y) == pytest.approx(theirs.score(X, y), rel=1e-6)
    if hasattr(ours, "best_params_"):
        assert ours.best_params_ == theirs.best_params_


@pytest.mark.parametrize("method", ["predict", "predict_proba", "predict_log_proba"])
def test_cross_val_predict(method):
    X, y = make_problem("multiclass")
    ours, theirs = (
        cross_val_predict(make_estimator("multiclass", module), X, y, method=method)
        for module in (skmlp, neural_network)
    )
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


@pytest.mark.parametrize(
    ("task", "scoring"),
    [
        ("binary", ["roc_auc", "neg_log_loss", "f1_macro"]),
        ("multiclass", ["neg_log_loss", "roc_auc_ovr", "balanced_accuracy"]),
        ("regression", ["r2", "neg_mean_absolute_error"]),
        ("poisson", ["neg_mean_poisson_deviance"]),
        ("multi-output", ["r2"]),
        ("multilabel", ["accuracy", "f1_samples"]),
    ],
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.UndefinedMetricWarning")
def test_scorers(task, scoring):
    X, y = make_problem(task, n_rows=120)
    ours, theirs = (
        cross_validate(make_estimator(task, module), X, y, scoring=scoring, cv=3)
        for module in (skmlp, neural_network)
    )
    for name in scoring:
        np.testing.assert_allclose(
            ours[f"test_{name}"], theirs[f"test_{name}"], rtol=1e-6
        )


def test_other_wrappers():
    X, Y = make_problem("multi-output")
    wrapped = MultiOutputRegressor(make_estimator("regression")).fit(X, Y)
    single = make_estimator("regression").fit(X, Y[:, 1])
    np.testing.assert_array_equal(wrapped.predict(X)[:, 1], single.predict(X))
    X, Y = make_problem("multilabel")
    chain = ClassifierChain(make_estimator("binary"), random_state=0).fit(X, Y)
    assert chain.predict_proba(X).shape == Y.shape
    X, y = make_problem("binary", n_rows=120)
    sizes, train, test = learning_curve(make_estimator("binary"), X, y, cv=3)
    assert train.shape == test.shape == (len(sizes), 3)
    importances = permutation_importance(
        make_estimator("binary", max_iter=50).fit(X, y), X, y, random_state=0
    )
    assert importances.importances.shape == (5, 5)


def test_column_transformer_and_set_output():
    rng = np.random.RandomState(0)
    X = pd.DataFrame({"size": rng.normal(size=60), "kind": rng.choice(["a", "b"], 60)})
    y = (X["size"] > 0) ^ (X["kind"] == "a")
    columns = make_column_transformer(
        (StandardScaler(), ["size"]), (OneHotEncoder(sparse_output=False), ["kind"])
    )
    clf = make_estimator("binary", max_iter=5)
    pipeline = make_pipeline(columns, clf).set_output(transform="pandas").fit(X, y)
    names = ["standardscaler__size", "onehotencoder__kind_a", "onehotencoder__kind_b"]
    assert pipeline[-1].feature_names_in_.tolist() == names
    assert pipeline[:-1].get_feature_names_out().tolist() == names
    assert set(pipeline.predict(X)) <= {False, True}


def test_no_transform():
    """A method `transform` or `decision_function` would change what pipelines do."""
    pipeline = make_pipeline(StandardScaler(), make_estimator("binary"))
    X, y = make_problem("binary")
    pipeline.fit(X, y)
    for name in ("transform", "decision_function", "set_output"):
        assert not hasattr(pipeline[-1], name)
    assert not hasattr(pipeline, "transform")


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_sample_weight_is_routed(task):
    X, y = make_problem(task)
    weight = np.linspace(0.1, 3, len(y))
    expected = make_estimator(task).fit(X, y, weight).predict(X)
    with sklearn.config_context(enable_metadata_routing=True):
        model = make_estimator(task).set_fit_request(sample_weight=True)
        model.set_score_request(sample_weight=True)
        pipeline = make_pipeline(model).fit(X, y, sample_weight=weight)
        np.testing.assert_array_equal(pipeline.predict(X), expected)
        search = GridSearchCV(model, {"alpha": [1e-4]}, cv=2)
        search.fit(X, y, sample_weight=weight)
        np.testing.assert_array_equal(search.predict(X), expected)
    step = f"{type(model).__name__.lower()}__sample_weight"
    pipeline = make_pipeline(make_estimator(task)).fit(X, y, **{step: weight})
    np.testing.assert_array_equal(pipeline.predict(X), expected)


@pytest.mark.parametrize("name", ["MLPClassifier", "MLPRegressor"])
def test_same_requests_as_scikit_learn(name):
    ours, theirs = (getattr(m, name)() for m in (skmlp, neural_network))
    for method in ("fit", "partial_fit", "score"):
        requests = (getattr(m.get_metadata_routing(), method) for m in (ours, theirs))
        mine, yours = (dict(request.requests) for request in requests)
        for name in ("X_val", "y_val", "sample_weight_val") if method == "fit" else ():
            assert mine.pop(name) is None
        assert mine == yours


@pytest.mark.parametrize("name", ["MLPClassifier", "MLPRegressor"])
def test_representation(name):
    ours, theirs = (
        getattr(m, name)(hidden_layer_sizes=(3,), alpha=1.0)
        for m in (skmlp, neural_network)
    )
    assert repr(ours) == repr(theirs)
    assert theirs.get_params().keys() <= ours.get_params().keys()
    X, y = make_problem("binary" if is_classifier(ours) else "regression")
    unfitted = estimator_html_repr(ours)
    fitted = estimator_html_repr(make_pipeline(StandardScaler(), ours).fit(X, y))
    for html in (unfitted, fitted):
        assert name in html
        assert "hidden_layer_sizes" in html
    assert "Not fitted" in unfitted
    assert "Not fitted" not in fitted


def test_tags():
    """scikit-learn's, but that the regressor says that it takes several targets."""
    for name in ("MLPClassifier", "MLPRegressor"):
        ours, theirs = (get_tags(getattr(m, name)()) for m in (skmlp, neural_network))
        assert ours.input_tags == theirs.input_tags
        assert ours.classifier_tags == theirs.classifier_tags
        theirs.target_tags.multi_output |= name == "MLPRegressor"
        assert ours.target_tags == theirs.target_tags
    assert get_tags(skmlp.MLPRegressor(loss="poisson")).target_tags.positive_only
    assert is_classifier(skmlp.MLPClassifier())
    assert is_regressor(skmlp.MLPRegressor())
