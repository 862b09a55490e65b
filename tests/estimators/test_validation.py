"""Validation rows of one's own, the score to stop by, and what is recorded."""

import numpy as np
import pandas as pd
import pytest
from problems import TASKS, classes, classifier, is_classification, make_estimator
from problems import make_problem as problem
from scipy import sparse
from sklearn import config_context
from sklearn.base import clone
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    get_scorer,
    log_loss,
    mean_absolute_error,
    mean_pinball_loss,
    mean_squared_error,
    r2_score,
)
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skmlp import MLPClassifier, MLPRegressor
from skmlp.estimators import base

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
SOLVERS = ["adam", "lbfgs", "schedule_free"]


def halves(task="multiclass", **options):
    """(X, y) to train on, and keywords with the rows to validate on."""
    X, y = problem(task, **options)
    half = X.shape[0] // 2
    return (X[:half], y[:half]), {"X_val": X[half:], "y_val": y[half:]}


def flat(model):
    return np.concatenate([a.ravel() for a in (*model.coefs_, *model.intercepts_)])


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("solver", SOLVERS)
def test_watching_does_not_change_training(task, solver):
    train, val = halves(task)
    alone = make_estimator(task, solver=solver).fit(*train)
    watched = make_estimator(task, solver=solver).fit(*train, **val)
    np.testing.assert_array_equal(flat(watched), flat(alone))
    assert watched.loss_curve_ == alone.loss_curve_
    assert watched.best_loss_ == alone.best_loss_
    n_epochs = len(watched.loss_curve_)
    assert len(watched.validation_loss_curve_) == n_epochs
    assert len(watched.validation_scores_) == n_epochs
    assert alone.validation_loss_curve_ is alone.validation_scores_ is None


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("csr", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_curves_are_those_of_the_fitted_model(task, csr, dtype):
    train, val = halves(task, csr=csr, dtype=dtype)
    weight = np.random.default_rng(0).random(30)
    model = make_estimator(task).fit(*train, **val, sample_weight_val=weight)
    score = model.score(val["X_val"], val["y_val"], weight)
    assert model.validation_scores_[-1] == pytest.approx(score, rel=1e-5)


LOSSES = {
    "binary": lambda y, p, w: log_loss(y, p, sample_weight=w),
    "multiclass": lambda y, p, w: log_loss(y, p, sample_weight=w),
    "multilabel": lambda y, p, w: np.average(
        -(y * np.log(p) + (1 - y) * np.log(1 - p)).sum(axis=1), weights=w
    ),
    "regression": lambda y, p, w: mean_squared_error(y, p, sample_weight=w) / 2,
    "multi-output": lambda y, p, w: mean_squared_error(y, p, sample_weight=w) / 2,
}


@pytest.mark.parametrize("task", LOSSES)
@pytest.mark.parametrize("solver", SOLVERS)
def test_validation_loss_is_without_the_penalty(task, solver):
    train, val = halves(task)
    weight = np.random.default_rng(0).random(30)
    model = make_estimator(task, solver=solver, alpha=1.0)
    model.fit(*train, **val, sample_weight_val=weight)
    predict = model.predict_proba if is_classification(task) else model.predict
    expected = LOSSES[task](val["y_val"], predict(val["X_val"]), weight)
    assert model.validation_loss_curve_[-1] == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"loss": "absolute_error"}, mean_absolute_error),
        (
            {"loss": "quantile", "quantile": 0.2},
            lambda y, p: mean_pinball_loss(y, p, alpha=0.2),
        ),
    ],
)
def test_validation_loss_of_other_losses(options, expected):
    train, val = halves("regression")
    model = make_estimator("regression", max_iter=30, **options).fit(*train, **val)
    loss = expected(val["y_val"], model.predict(val["X_val"]))
    assert model.validation_loss_curve_[-1] == pytest.approx(loss, rel=1e-10)


def test_validation_loss_of_quantiles_that_may_cross():
    train, val = halves("regression")
    options = {"loss": "quantile", "quantile": (0.2, 0.7)}
    model = make_estimator("regression", **options).fit(*train, **val)
    low, high = model._predict_raw(val["X_val"], link="identity")[1].T
    expected = mean_pinball_loss(val["y_val"], low, alpha=0.2)
    expected += mean_pinball_loss(val["y_val"], high, alpha=0.7)
    assert model.validation_loss_curve_[-1] == pytest.approx(expected, rel=1e-10)


def test_validation_loss_of_the_gaussian_likelihood():
    train, val = halves("regression")
    model = make_estimator("regression", loss="gaussian_nll").fit(*train, **val)
    mean, std = model.predict(val["X_val"], return_std=True)
    expected = np.log(std) + ((val["y_val"] - mean) / std) ** 2 / 2
    assert model.validation_loss_curve_[-1] == pytest.approx(expected.mean(), rel=1e-9)


def test_validation_loss_knows_nothing_of_smoothing():
    train, val = halves()
    model = make_estimator("multiclass", label_smoothing=0.3).fit(*train, **val)
    expected = log_loss(val["y_val"], model.predict_proba(val["X_val"]))
    assert model.validation_loss_curve_[-1] == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("solver", SOLVERS)
def test_own_rows_are_worth_as_much_as_those_set_aside(task, solver, monkeypatch):
    seen = []

    def split_set(*args, **kwargs):
        seen.append(original(*args, **kwargs))
        return seen[-1]

    original = base.split_set
    monkeypatch.setattr(base, "split_set", split_set)
    X, y = problem(task)
    options = {"early_stopping": True, "shuffle": False, "max_iter": 20}
    model = make_estimator(task, solver=solver, batch_size=10, **options)
    inside = clone(model).fit(X, y)
    rows = seen[0][0].rows
    others = np.setdiff1d(np.arange(len(X)), rows)
    own = clone(model).fit(X[rows], y[rows], X_val=X[others], y_val=y[others])
    assert len(seen) == 1
    np.testing.assert_array_equal(flat(own), flat(inside))
    assert own.loss_curve_ == inside.loss_curve_
    np.testing.assert_allclose(own.validation_scores_, inside.validation_scores_)
    np.testing.assert_allclose(
        own.validation_loss_curve_, inside.validation_loss_curve_
    )


@pytest.mark.parametrize("solver", SOLVERS)
def test_best_iteration(solver):
    train, val = halves("regression")
    options = {"solver": solver, "max_iter": 40, "learning_rate_init": 0.05}
    stopping = make_estimator("regression", early_stopping=True, **options)
    stopping.fit(*train, **val)
    best = stopping.best_iter_
    assert stopping.validation_scores_[best - 1] == stopping.best_validation_score_
    assert max(stopping.validation_scores_) == stopping.best_validation_score_
    assert stopping.score(val["X_val"], val["y_val"]) == pytest.approx(
        stopping.best_validation_score_, rel=1e-12
    )
    # Trained for as long as that, a model of the same seed is the same.
    again = make_estimator("regression", **options | {"max_iter": best}).fit(*train)
    np.testing.assert_allclose(flat(again), flat(stopping), rtol=1e-12)

    watched = make_estimator("regression", **options).fit(*train, **val)
    assert watched.best_validation_score_ == max(watched.validation_scores_)
    assert watched.validation_scores_[watched.best_iter_ - 1] == max(
        watched.validation_scores_
    )
    alone = make_estimator("regression", **options).fit(*train)
    assert alone.loss_curve_[alone.best_iter_ - 1] == alone.best_loss_


def test_best_iteration_counts_along_the_curve():
    train, val = halves("regression", n_rows=200)
    options = {"early_stopping": True, "warm_start": True, "learning_rate_init": 0.02}
    model = make_estimator("regression", max_iter=30, **options).fit(*train, **val)
    best = model.best_iter_
    assert best > 0
    model.set_params(solver="sgd", momentum=0, learning_rate_init=50.0, max_iter=3)
    model.fit(*train, **val)  # does nothing but harm
    assert model.best_iter_ == best
    model.set_params(solver="adam", learning_rate_init=0.02, max_iter=40)
    model.fit(*train, **val)
    assert model.best_iter_ > 33
    assert model.validation_scores_[model.best_iter_ - 1] == pytest.approx(
        model.best_validation_score_
    )


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("scoring", ["neg_log_loss", "roc_auc_ovr", "f1_macro", "loss"])
def test_scores_by_name(solver, scoring):
    train, val = halves(n_rows=200)
    model = make_estimator("multiclass", solver=solver, scoring=scoring)
    model.fit(*train, **val)
    if scoring == "loss":
        assert model.validation_scores_ == [-v for v in model.validation_loss_curve_]
    else:
        expected = get_scorer(scoring)(model, *val.values())
        assert model.validation_scores_[-1] == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(("task", "score"), [("binary", "accuracy"), ("poisson", "r2")])
def test_a_name_is_as_good_as_the_default(task, score):
    X, y = problem(task, n_rows=200)
    options = {"early_stopping": True, "max_iter": 30}
    default = make_estimator(task, **options).fit(X, y)
    named = make_estimator(task, scoring=score, **options).fit(X, y)
    np.testing.assert_array_equal(flat(named), flat(default))
    np.testing.assert_allclose(named.validation_scores_, default.validation_scores_)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("csr", [False, True])
def test_a_callable_is_given_the_validation_rows(task, csr):
    train, val = halves(task, csr=csr)
    seen = []

    def scorer(estimator, X, y):
        seen.append(y)
        assert X.shape == val["X_val"].shape
        assert sparse.issparse(X) is csr
        return float(np.mean(estimator.predict(X) == y))

    model = make_estimator(task, scoring=scorer, early_stopping=True, max_iter=3)
    model.fit(*train, **val)
    assert len(model.validation_scores_) == len(seen) == 3
    for y in seen:
        np.testing.assert_array_equal(y, val["y_val"])
    assert model.predict(val["X_val"]).dtype == np.asarray(val["y_val"]).dtype


def test_several_quantiles_have_one_target():
    train, val = halves("regression")
    options = {"loss": "quantile", "quantile": [0.1, 0.9]}

    def coverage(estimator, X, y):
        low, high = estimator.predict(X).T
        return np.mean((low <= y) & (y <= high))

    model = make_estimator("regression", scoring=coverage, **options)
    model.fit(*train, **val)
    assert model.validation_scores_[-1] == coverage(model, *val.values())


def test_scorers_get_the_weights():
    train, val = halves()
    weight = np.random.default_rng(0).random(30)
    model = make_estimator("multiclass", scoring="accuracy")
    model.fit(*train, **val, sample_weight_val=weight)
    expected = accuracy_score(
        val["y_val"], model.predict(val["X_val"]), sample_weight=weight
    )
    assert model.validation_scores_[-1] == pytest.approx(expected)


def test_classes_are_weighed_in_validation_too():
    train, val = halves(n_rows=200)
    model = make_estimator("multiclass", class_weight="balanced").fit(*train, **val)
    expected = balanced_accuracy_score(val["y_val"], model.predict(val["X_val"]))
    assert model.validation_scores_[-1] == pytest.approx(expected)


def test_not_all_classes_need_validation():
    train, val = halves()
    some = val["y_val"] != train[1][0]
    val = {name: part[some] for name, part in val.items()}
    for warm_start in (False, True):
        model = make_estimator("multiclass", warm_start=warm_start)
        for _ in range(2):
            model.fit(*train, **val)
        expected = model.score(*val.values())
        assert model.validation_scores_[-1] == pytest.approx(expected)


def test_names_of_columns_cause_no_warning():
    train, val = halves()
    columns = list("abcde")
    X, X_val = (
        pd.DataFrame(part, columns=columns) for part in (train[0], val["X_val"])
    )
    model = make_estimator("multiclass", scoring="f1_macro", early_stopping=True)
    model.fit(X, train[1], X_val=X_val, y_val=val["y_val"])
    assert list(model.feature_names_in_) == columns
    with pytest.raises(ValueError, match=r"In X_val and y_val.*feature names"):
        model.fit(X, train[1], X_val=X_val[columns[::-1]], y_val=val["y_val"])


def test_pipelines_transform_validation_rows():
    (X, y), val = halves(n_rows=200)
    X, val["X_val"] = 3 * X + 5, 3 * val["X_val"] + 5
    network = make_estimator("multiclass", early_stopping=True, max_iter=20)
    scaler = StandardScaler().fit(X)
    expected = clone(network).fit(
        scaler.transform(X), y, X_val=scaler.transform(val["X_val"]), y_val=val["y_val"]
    )
    with config_context(enable_metadata_routing=True):
        network.set_fit_request(X_val=True, y_val=True)
        model = make_pipeline(StandardScaler(), network, transform_input=["X_val"])
        model.fit(X, y, **val)
    assert model[-1].validation_loss_curve_ == expected.validation_loss_curve_
    np.testing.assert_array_equal(flat(model[-1]), flat(expected))


def test_searches_route_weights_of_validation_rows():
    X, y = classes()
    rows = {"X_val": X[:41], "y_val": y[:41], "sample_weight_val": np.arange(1.0, 42.0)}
    with config_context(enable_metadata_routing=True):
        network = classifier().set_fit_request(**dict.fromkeys(rows, True))
        search = GridSearchCV(network, {"alpha": [1e-3]}, cv=2).fit(X, y, **rows)
    model = search.best_estimator_
    expected = model.score(rows["X_val"], rows["y_val"], rows["sample_weight_val"])
    assert model.validation_scores_[-1] == pytest.approx(expected)


def test_history_holds_the_validation_curves():
    train, val = halves()
    history = make_estimator("multiclass").fit(*train, **val).history_
    assert pd.DataFrame(history).columns.tolist() == [
        "loss",
        "validation_loss",
        "validation_score",
        "learning_rate",
        "seconds",
    ]


def test_partial_fit_afterwards_validates_no_more():
    train, val = halves()
    model = make_estimator("multiclass").fit(*train, **val).partial_fit(*train)
    assert model.validation_scores_ is model.validation_loss_curve_ is None
    assert model.best_validation_score_ is None
    assert model.loss_curve_[model.best_iter_ - 1] == model.best_loss_


def strings(y):
    return np.array(["no"] * len(y))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda v: {"X_val": v["X_val"]}, "X_val is provided, but y_val was not"),
        (lambda v: {"y_val": v["y_val"]}, "y_val is provided, but X_val was not"),
        (lambda v: {"sample_weight_val": np.ones(30)}, "but X_val and y_val were not"),
        (lambda v: {**v, "X_val": v["X_val"][:, 1:]}, "4 features, but MLPClassifier"),
        (lambda v: {**v, "X_val": v["X_val"][1:]}, "inconsistent numbers of samples"),
        (lambda v: {**v, "X_val": v["X_val"] * np.nan}, "contains NaN"),
        (lambda v: {**v, "y_val": v["y_val"] + 1}, "classes not in `self.classes_`"),
        (lambda v: {**v, "y_val": strings(v["y_val"])}, "not in `self.classes_`"),
        (lambda v: {**v, "sample_weight_val": -np.ones(30)}, "Negative values"),
        (lambda v: {**v, "sample_weight_val": np.ones(29)}, r"expected \(30,\)"),
    ],
)
@pytest.mark.parametrize("fitted", [False, True])
def test_bad_validation_rows_change_nothing(change, message, fitted):
    train, val = halves()
    model = make_estimator("multiclass")
    if fitted:
        model.fit(*train)
    before = dict(vars(model))
    with pytest.raises(ValueError, match=message):
        model.fit(*train, **change(val))
    assert vars(model).keys() == before.keys()
    assert all(vars(model)[name] is before[name] for name in before)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("constant", [False, True])
def test_r2_is_that_of_scikit_learn(dtype, weighted, constant):
    rng = np.random.RandomState(0)
    Y, noise = rng.normal(3, 2, (2, 50, 3)).astype(dtype)
    if constant:
        Y[:, 0] = 1
    weight = rng.uniform(size=50) if weighted else None
    for y_pred in Y + noise, Y, Y + noise * [0, 1, 0]:
        predicted = y_pred.astype(dtype)
        expected = r2_score(Y, predicted, sample_weight=weight)
        actual = MLPRegressor()._targets().score(Y, predicted, weight)
        assert actual == pytest.approx(expected)


def test_r2_needs_two_rows():
    train, val = halves("regression")
    one = {name: part[:1] for name, part in val.items()}
    with pytest.raises(ValueError, match="R2 is not defined for a single"):
        make_estimator("regression").fit(*train, **one)
    model = make_estimator("regression", scoring="loss").fit(*train, **one)
    expected = (model.predict(one["X_val"]) - one["y_val"])[0] ** 2 / 2
    assert model.validation_loss_curve_[-1] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("estimator", [MLPClassifier, MLPRegressor])
def test_unknown_scores_are_refused(estimator):
    with pytest.raises(ValueError, match="The 'scoring' parameter"):
        estimator(scoring="none of them").fit([[0.0], [1.0]], [0, 1])


def test_scores_that_are_nan_are_refused():
    train, val = halves()
    model = make_estimator("multiclass", scoring=lambda *_: np.nan)
    with pytest.raises(ValueError, match="NaN on the validation rows, though"):
        model.fit(*train, **val)


@pytest.mark.parametrize("scoring", [None, "loss", "neg_mean_absolute_error"])
@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")
def test_divergence_is_noticed_whatever_the_score(scoring):
    train, val = halves("regression")
    options = {"solver": "sgd", "activation": "identity", "momentum": 0, "max_iter": 50}
    model = make_estimator("regression", early_stopping=True, **options)
    model.set_params(scoring=scoring, learning_rate_init=1e9)
    with pytest.warns(UserWarning, match="Training diverged in iteration"):
        model.fit(*train, **val)
    assert np.isfinite(flat(model)).all()


def test_stopping_by_the_loss_differs_from_stopping_by_accuracy():
    """The losses of sure mistakes grow long before accuracy falls."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 20))
    y = (X[:, 0] + 1.5 * rng.normal(size=300) > 0).astype(int)
    fit = {"X_val": X[200:], "y_val": y[200:]}
    options = {"early_stopping": True, "max_iter": 200, "learning_rate_init": 0.01}
    by_loss = classifier(scoring="loss", **options).fit(X[:200], y[:200], **fit)
    by_accuracy = classifier(**options).fit(X[:200], y[:200], **fit)
    lowest = by_accuracy.validation_loss_curve_[by_accuracy.best_iter_ - 1]
    assert min(by_loss.validation_loss_curve_) == pytest.approx(
        log_loss(y[200:], by_loss.predict_proba(X[200:]))
    )
    assert lowest > min(by_loss.validation_loss_curve_)
