"""Normalization, dropout and trained scales, as users meet them."""

import pickle

import numpy as np
import pytest
from problems import classes, classifier, fitted_in_parts
from scipy import sparse
from sklearn.datasets import load_digits, make_regression
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import train_test_split

from skmlp import MLPClassifier, MLPRegressor
from skmlp.core.layout import front_scale_view, mix_views
from skmlp.schedules import Plateau, Warmup

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

CONFIGURATIONS = [
    {"normalization": "batch"},
    {"normalization": "layer"},
    {"dropout": 0.3},
    {"input_dropout": 0.2},
    {"normalization": ["batch", None], "dropout": [0.0, 0.4], "activation": "tanh"},
    {"activation": ["tanh", "relu"], "normalization": ("layer", "batch")},
    {"scale_input": True, "parametric_activation": True, "dropout": 0.2},
    {"parametric_activation": True, "normalization": "batch"},
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
        ({"parametric_activation": True, "activation": "glu"}, "choose another"),
        ({"dropout_schedule": "adaptive"}, "'dropout_schedule' parameter"),
        ({"dropout_schedule": "plateau"}, "'dropout_schedule' parameter"),
        ({"dropout_schedule": Plateau()}, "dropout_schedule cannot wait"),
        ({"dropout_schedule": Warmup("plateau")}, "dropout_schedule cannot wait"),
        ({"weight_decay_schedule": np.negative}, "weight_decay_schedule that is a"),
        (
            {"dropout_schedule": np.exp, "dropout": 0.1},
            r"dropout_schedule must give factors in \[0, 1\]",
        ),
        ({"normalization": "batch", "solver": "lbfgs"}, "Running statistics"),
        ({"normalization": [None, "batch"], "solver": "lbfgs"}, "Running statistics"),
    ],
    ids=str,
)
def test_refused(options, message):
    X, y = classes()
    with pytest.raises(ValueError, match=message):
        classifier(**options).fit(X, y)


@pytest.mark.parametrize("options", [{"input_dropout": 0.1}, {"scale_input": True}])
def test_what_changes_the_input_needs_dense_rows(options):
    X, y = classes()
    (name,) = options
    with pytest.raises(ValueError, match=f"{name} needs dense X"):
        classifier(**options).fit(sparse.csr_array(X), y)


def test_sparse_rows_with_dropout():
    X, y = classes()
    assert classifier(dropout=0.1).fit(sparse.csr_array(X), y).n_iter_ == 5


@pytest.mark.parametrize(
    "options",
    [
        {"normalization": "layer"},
        {"scale_input": True, "parametric_activation": True},
    ],
    ids=str,
)
def test_lbfgs(options):
    X, y = classes()
    model = classifier(solver="lbfgs", max_iter=100, **options).fit(X, y)
    assert model.score(X, y) > 0.95


@pytest.mark.parametrize("activation", ["tanh", ["relu", "selu"]], ids=str)
def test_scales_and_mixes_begin_at_one(activation):
    X, y = classes()
    settings = {"activation": activation, "learning_rate_init": 1e-12, "max_iter": 1}
    plain = classifier(**settings).fit(X, y)
    more = classifier(scale_input=True, parametric_activation=True, **settings)
    found = more.fit(X, y).predict_proba(X)
    np.testing.assert_allclose(found, plain.predict_proba(X), rtol=1e-6)
    n_inputs, *_, n_outputs = more._architecture.sizes
    n_hidden = sum(more._architecture.sizes) - n_inputs - n_outputs
    assert more.n_parameters_ == plain.n_parameters_ + n_inputs + n_hidden


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_the_network_is_its_formula(solver):
    """With trained scales of the input, and mixes of tanh and the identity."""
    X, y = classes()
    model = classifier(
        activation="tanh",
        solver=solver,
        max_iter=30,
        learning_rate_init=0.05,
        scale_input=True,
        parametric_activation=True,
    ).fit(X, y)
    factor = front_scale_view(model._params, model._layout)
    mixes = mix_views(model._params, model._layout)
    assert np.abs(factor - 1).min() > 1e-3
    A = X * factor
    for W, b, a in zip(model.coefs_[:-1], model.intercepts_[:-1], mixes):
        Z = A @ W + b
        A = Z + a * (np.tanh(Z) - Z)
        assert np.abs(a - 1).min() > 1e-4
    np.testing.assert_allclose(model.hidden_activations(X), A, rtol=1e-6, atol=1e-12)


def test_scale_input_finds_the_features_that_count():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(500, 6))
    y = (X[:, 0] * X[:, 1] > 0).astype(int)
    model = MLPClassifier(
        (32,), learning_rate_init=0.01, scale_input=True, alpha=1.0, random_state=0
    ).fit(X, y)
    factor = np.abs(front_scale_view(model._params, model._layout))
    assert factor[:2].min() > 1.5 * factor[2:].max()


@pytest.mark.parametrize("name", ["dropout", "weight_decay"])
def test_a_schedule_of_strength(name):
    """Off in the second half, and then the same as without it."""
    X, y = classes()
    strength = {name: 0.5, "max_iter": 4}
    constant = classifier(**strength).fit(X, y).loss_curve_
    schedule = {f"{name}_schedule": lambda u: (u < 0.5).astype(float)}
    halved = classifier(**strength, **schedule).fit(X, y).loss_curve_
    assert halved[:2] == constant[:2]
    assert halved[2:] != constant[2:]
    never = {f"{name}_schedule": lambda u: 0.0 * u}
    off = classifier(**strength, **never).fit(X, y).loss_curve_
    assert off == classifier(max_iter=4).fit(X, y).loss_curve_


def test_coefs_do_not_hold_scales():
    X, y = classes()
    fitted = classifier().fit(X, y)
    restored = classifier(scale_input=True)
    restored.coefs_, restored.intercepts_ = fitted.coefs_, fitted.intercepts_
    restored.classes_ = fitted.classes_
    with pytest.raises(ValueError, match="set scale_input=False"):
        restored.predict(X)


def test_warm_start_in_another_network_is_refused():
    X, y = classes()
    model = classifier(warm_start=True).fit(X, y)
    model.set_params(activation=["tanh", "relu"]).fit(X, y)
    for other in {"normalization": "batch"}, {"scale_input": True}:
        with pytest.raises(ValueError, match="ask for other parameters"):
            model.set_params(**other).fit(X, y)
        model.set_params(normalization=None, scale_input=False)
