"""Normalization and dropout, as users meet them."""

import pickle

import numpy as np
import pytest
from problems import classes, classifier, fitted_in_parts
from scipy import sparse
from sklearn.datasets import load_digits, make_regression
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from skmlp import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

CONFIGURATIONS = [
    {"normalization": "batch"},
    {"normalization": "layer"},
    {"dropout": 0.3},
    {"input_dropout": 0.2},
    {"normalization": ["batch", None], "dropout": [0.0, 0.4], "activation": "tanh"},
    {"activation": ["tanh", "relu"], "normalization": ("layer", "batch")},
]
each_configuration = pytest.mark.parametrize("options", CONFIGURATIONS, ids=str)


@each_configuration
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_learns_the_digits(options, dtype):
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(
        (X / 16).astype(dtype), y, random_state=0
    )
    model = MLPClassifier((64, 32), max_iter=50, random_state=0, **options)
    model.fit(X_train, y_train)
    assert model.score(X_test, y_test) > 0.95
    assert model.predict_proba(X_test).dtype == dtype


@each_configuration
def test_predictions_do_not_depend_on_other_rows_nor_on_chance(options):
    X, y = classes()
    model = classifier(**options).fit(X, y)
    together = model.predict_proba(X)
    np.testing.assert_array_equal(model.predict_proba(X), together)
    alone = np.concatenate([model.predict_proba(X[[i]]) for i in range(len(X))])
    np.testing.assert_allclose(alone, together, rtol=1e-10)


@each_configuration
def test_same_seed_same_result(options):
    X, y = classes()
    first, second = (classifier(**options).fit(X, y) for _ in range(2))
    assert first.loss_curve_ == second.loss_curve_
    np.testing.assert_array_equal(first.predict_proba(X), second.predict_proba(X))
    other = classifier(**options, batch_size=30).set_params(random_state=1).fit(X, y)
    assert other.loss_curve_ != first.loss_curve_


@each_configuration
@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_partial_fit_is_an_epoch_of_fit(options, solver):
    X, y = classes()
    whole, parts = fitted_in_parts({"solver": solver, **options}, X, y)
    assert parts.loss_curve_ == whole.loss_curve_
    np.testing.assert_array_equal(parts.predict_proba(X), whole.predict_proba(X))


@each_configuration
def test_one_row_at_a_time(options):
    X, y = classes()
    for model in (
        classifier(**options, batch_size=1).fit(X, y),
        classifier(**options, batch_size=89).fit(X, y),  # leaves one row
        classifier(**options).partial_fit(X[:1], y[:1], classes=[0, 1, 2]),
    ):
        assert np.isfinite(model.predict_proba(X)).all()
        assert np.isfinite(model.loss_)


@each_configuration
def test_pickle_keeps_everything(options):
    X, y = classes()
    model = classifier(**options).fit(X, y)
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copy.predict_proba(X), model.predict_proba(X))
    for each in model, copy:
        each.partial_fit(X, y)
    np.testing.assert_array_equal(copy.predict_proba(X), model.predict_proba(X))


@pytest.mark.parametrize(
    "options",
    [
        {"normalization": "batch"},
        {"normalization": "batch", "norm_statistics": "population"},
        {"normalization": "layer"},
    ],
    ids=str,
)
def test_a_weight_of_k_is_a_row_k_times(options):
    X, y = make_regression(40, 5, random_state=0)
    y /= y.std()
    weight = np.arange(40) % 4
    rows = np.repeat(np.arange(40), weight)
    settings = {"max_iter": 20, "random_state": 0, **options}
    settings |= {"hidden_layer_sizes": (10,), "shuffle": False, "alpha": 0.1}
    weighted = MLPRegressor(batch_size=30, **settings).fit(X, y, weight)
    repeated = MLPRegressor(batch_size=60, **settings).fit(X[rows], y[rows])
    np.testing.assert_allclose(weighted.loss_curve_, repeated.loss_curve_, rtol=1e-8)
    np.testing.assert_allclose(weighted.predict(X), repeated.predict(X), rtol=1e-6)


def test_momentum_one_keeps_the_statistics_of_the_last_minibatch():
    """With one minibatch and nothing learnt, they are those of the population."""
    X, y = classes()
    settings = {"normalization": ["batch", None], "learning_rate_init": 1e-12}
    settings |= {"max_iter": 1, "norm_momentum": 1.0}
    last = classifier(**settings).fit(X, y)
    exact = classifier(norm_statistics="population", **settings).fit(X, y)
    np.testing.assert_allclose(
        last.hidden_activations(X), exact.hidden_activations(X), rtol=1e-6, atol=1e-9
    )


def test_early_stopping_keeps_running_statistics_with_their_weights():
    X, y = classes(200)
    model = classifier(
        normalization="batch",
        early_stopping=True,
        max_iter=60,
        n_iter_no_change=4,
        learning_rate_init=0.05,
    ).fit(X, y)
    _, held_out = train_test_split(
        np.arange(200), test_size=20, random_state=_generator_after_weights()
    )
    assert model.score(X[held_out], y[held_out]) == model.best_validation_score_


def _generator_after_weights():
    """scikit-learn's generator once the weights of (6, 12, 8, 3) are drawn."""
    generator = np.random.RandomState(0)
    generator.uniform(size=6 * 12 + 12 + 12 * 8 + 8 + 8 * 3 + 3)
    return generator


def test_dropout_changes_training_only():
    X, y = classes()
    plain = classifier().fit(X, y)
    dropped = classifier(dropout=0.5).fit(X, y)
    assert dropped.loss_curve_ != plain.loss_curve_
    none = classifier(dropout=[0.0, 0.0], input_dropout=0.0).fit(X, y)
    assert none.loss_curve_ == plain.loss_curve_


def test_dropout_in_blocks_is_dropout_of_the_minibatch():
    """A batch of 3,000 rows is worked off in parts."""
    X, y = make_regression(3000, 4, random_state=0)
    y /= y.std()
    model = MLPRegressor(
        hidden_layer_sizes=(16,), dropout=0.5, max_iter=3, batch_size=3000
    )
    with pytest.warns(ConvergenceWarning):
        model.fit(X, y)
    assert np.isfinite(model.loss_curve_).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"activation": ["relu"]},
            "activation must be given once or for each",
        ),
        ({"normalization": ["batch"] * 3}, "normalization must be given once"),
        ({"dropout": [0.1]}, "dropout must be given once"),
        ({"activation": ["relu", "sine"]}, "'activation' parameter of MLPClassifier"),
        ({"normalization": ["batch", "group"]}, "'normalization' parameter"),
        ({"dropout": [0.1, 1.0]}, "'dropout' parameter"),
        ({"dropout": 1.0}, "'dropout' parameter"),
        ({"dropout": 0.1, "solver": "lbfgs"}, "Dropout draws another network"),
        ({"input_dropout": 0.1, "solver": "lbfgs"}, "Dropout draws another network"),
        ({"normalization": "batch", "solver": "lbfgs"}, "Running statistics"),
        ({"normalization": [None, "batch"], "solver": "lbfgs"}, "Running statistics"),
    ],
    ids=str,
)
def test_refused(options, message):
    X, y = classes()
    with pytest.raises(ValueError, match=message):
        classifier(**options).fit(X, y)


def test_input_dropout_needs_dense_rows():
    X, y = classes()
    with pytest.raises(ValueError, match="input_dropout needs dense X"):
        classifier(input_dropout=0.1).fit(sparse.csr_array(X), y)
    assert classifier(dropout=0.1).fit(sparse.csr_array(X), y).n_iter_ == 5


def test_lbfgs_with_layer_normalization():
    X, y = classes()
    model = classifier(normalization="layer", solver="lbfgs", max_iter=100).fit(X, y)
    assert model.score(X, y) > 0.95


def test_warm_start_in_another_network_is_refused():
    X, y = classes()
    model = classifier(warm_start=True).fit(X, y)
    model.set_params(activation=["tanh", "relu"]).fit(X, y)
    with pytest.raises(ValueError, match="ask for other parameters"):
        model.set_params(normalization="batch").fit(X, y)
