"""What scikit-learn's users rely on."""

import inspect
import pickle

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import DataConversionWarning, NotFittedError
from sklearn.inspection import permutation_importance
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils.estimator_checks import (
    check_dataframe_column_names_consistency,
    check_param_validation,
    parametrize_with_checks,
)
from tabular.problems import TASKS, make_estimator, make_table, predictions

from skmlp import TabularMLPClassifier, TabularMLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore:X (has|does not have).* feature names")

CHECKED = [
    TabularMLPClassifier(quality="fast"),
    TabularMLPClassifier(
        hidden_layer_sizes=(20,), n_steps=200, refit=True, calibrate=False
    ),
    TabularMLPClassifier(
        hidden_layer_sizes=(20,), n_steps=200, class_weight="balanced"
    ),
    TabularMLPRegressor(quality="fast"),
    TabularMLPRegressor(hidden_layer_sizes=(20,), n_steps=200, loss="gaussian_nll"),
    TabularMLPRegressor(
        hidden_layer_sizes=(20,), n_steps=200, loss="quantile", quantile=0.4, refit=True
    ),
]
FOLDS = "the random folds hold other rows when rows are repeated"
EXPECTED_FAILURES = dict.fromkeys(
    (
        "check_sample_weight_equivalence_on_dense_data",
        "check_sample_weight_equivalence_on_sparse_data",
    ),
    FOLDS,
)


@parametrize_with_checks(CHECKED, expected_failed_checks=lambda _: EXPECTED_FAILURES)
def test_check_estimator(estimator, check):
    check(estimator)


@pytest.mark.parametrize("model", CHECKED, ids=repr)
@pytest.mark.parametrize(
    "check", [check_dataframe_column_names_consistency, check_param_validation]
)
def test_further_checks(model, check):
    check(type(model).__name__, model)


@pytest.mark.parametrize("kind", [TabularMLPClassifier, TabularMLPRegressor])
def test_docstring_names_parameters_in_order(kind):
    names = [*inspect.signature(kind).parameters]
    text = kind.__doc__.split("Parameters\n")[1].split("Attributes\n")[0]
    lines = (line.strip() for line in text.splitlines() if not line[4:5].isspace())
    assert [line.split(" : ")[0] for line in lines if " : " in line] == names
    assert set(kind._parameter_constraints) == set(names)


@pytest.mark.parametrize("task", TASKS)
def test_pickle_and_clone(task):
    X, y = make_table(task)
    model = make_estimator(task).fit(X, y)
    restored = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(predictions(restored, X), predictions(model, X))
    again = clone(model).fit(X, y)
    np.testing.assert_array_equal(predictions(again, X), predictions(model, X))
    assert not [name for name in vars(clone(model)) if name.endswith("_")]


@pytest.mark.parametrize("task", TASKS)
def test_what_is_fitted(task):
    X, y = make_table(task)
    model = make_estimator(task).fit(X, y)
    assert model.n_features_in_ == 5
    assert model.feature_names_in_.tolist() == list(X.columns)
    assert model.stopping_reason_ == "n_steps"
    assert len(model.members_) == 2
    history = model.history_
    lengths = {len(values) for values in history.values()}
    assert len(lengths) == 1
    assert set(history["member"]) == {0, 1}
    assert history["step"][-1] == model.n_iter_
    for number, member in enumerate(model.members_):
        steps = [s for s, m in zip(history["step"], history["member"]) if m == number]
        assert set(member.steps) <= set(steps)
        assert min(member.counts) >= 1
    if hasattr(model, "classes_"):
        expected = [0, 1] if task == "multilabel" else np.unique(y)
        np.testing.assert_array_equal(model.classes_, expected)


def test_not_fitted():
    X, _ = make_table()
    for model in make_estimator(), make_estimator("regression"):
        with pytest.raises(NotFittedError):
            model.predict(X)


def test_search_and_cross_validation():
    X, y = make_table()
    search = GridSearchCV(
        make_estimator(hidden_layer_sizes=(8,)),
        {"quality": ["fast", "default"], "hidden_layer_sizes": [(8,), (8, 8)]},
        cv=2,
        n_jobs=2,
        error_score="raise",
    ).fit(X, y)
    assert search.best_params_["quality"] in ("fast", "default")
    scores = cross_val_score(make_estimator("regression"), *make_table("regression"))
    assert scores.shape == (5,)


def test_pipeline():
    X, y = make_table()
    pipe = make_pipeline(FunctionTransformer(), make_estimator()).fit(X, y)
    np.testing.assert_array_equal(
        pipe.predict_proba(X), make_estimator().fit(X, y).predict_proba(X)
    )


def test_permutation_importance():
    X, y = make_table("regression", 400)
    model = make_estimator("regression", n_steps=300).fit(X, y)
    found = permutation_importance(model, X, y, n_repeats=2, random_state=0)
    means = dict(zip(X.columns, found.importances_mean))
    assert max(means, key=means.get) in ("age", "income")
    assert means["city"] < 0.3 * means["age"]


def test_quantiles_decide_on_the_tag():
    tags = make_estimator("regression", quantile=[0.1, 0.9]).__sklearn_tags__()
    assert not tags.target_tags.multi_output


def test_column_vector_warns():
    X, y = make_table("regression")
    with pytest.warns(DataConversionWarning):
        model = make_estimator("regression").fit(X, y[:, np.newaxis])
    expected = make_estimator("regression").fit(X, y).predict(X)
    np.testing.assert_array_equal(model.predict(X), expected)


def test_numbers_of_other_types():
    X, y = make_table()
    model = make_estimator(n_steps=np.int8(60), n_members=np.uint8(2)).fit(X, y)
    expected = make_estimator().fit(X, y)
    np.testing.assert_array_equal(model.predict_proba(X), expected.predict_proba(X))


def test_verbose(capsys):
    X, y = make_table()
    make_estimator(verbose=True).fit(X, y)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 * 20  # 60 steps in at most 24 equal pieces, of 3
    assert lines[0].startswith("Member")
