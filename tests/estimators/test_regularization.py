"""Penalties, clipping, norms, averages and initial weights, as users meet them."""

import pickle

import numpy as np
import pytest
from problems import classes, classifier, fitted_in_parts
from sklearn.datasets import load_digits

from skmlp import MLPClassifier
from skmlp.core.layout import running_views
from skmlp.training.initialization import INITIALIZERS

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

CONFIGURATIONS = [
    {"l1_ratio": 0.5, "alpha": 0.1},
    {"weight_decay": 0.1},
    {"clip_norm": 0.1},
    {"clip_value": 0.01},
    {"max_norm": 2.0},
    {"ema_decay": 0.9},
    {"ema_decay": 0.9, "max_norm": 1.0, "clip_norm": 1.0, "normalization": "batch"},
]
each_configuration = pytest.mark.parametrize("options", CONFIGURATIONS, ids=str)
each_solver = pytest.mark.parametrize("solver", ["adam", "sgd"])


def weights(model):
    return np.concatenate([W.ravel() for W in model.coefs_])


@each_configuration
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_learns_the_digits(options, dtype):
    X, y = load_digits(return_X_y=True)
    options = {**options, "alpha": options.get("alpha", 1e-4) / 100}
    model = MLPClassifier((50,), max_iter=60, random_state=0, **options)
    model.fit((X / 16).astype(dtype), y)
    assert model.score((X / 16).astype(dtype), y) > 0.95
    assert model.coefs_[0].dtype == dtype


@each_configuration
@each_solver
def test_partial_fit_is_an_epoch_of_fit(options, solver):
    X, y = classes()
    whole, parts = fitted_in_parts({"solver": solver, **options}, X, y)
    assert parts.loss_curve_ == whole.loss_curve_
    np.testing.assert_array_equal(parts.predict_proba(X), whole.predict_proba(X))
    copy = pickle.loads(pickle.dumps(parts))
    for each in copy, parts:
        each.partial_fit(X, y)
    np.testing.assert_array_equal(copy.predict_proba(X), parts.predict_proba(X))


@each_solver
def test_limits_that_are_never_reached_change_nothing(solver):
    X, y = classes()
    plain = classifier(solver=solver).fit(X, y)
    wide = classifier(solver=solver, clip_norm=1e6, clip_value=1e6, max_norm=1e6)
    wide.fit(X, y)
    np.testing.assert_allclose(wide.loss_curve_, plain.loss_curve_, rtol=1e-12)
    np.testing.assert_allclose(weights(wide), weights(plain), rtol=1e-8)


def test_l1_makes_weights_vanish():
    X, y = classes(200)
    settings = {"alpha": 5.0, "max_iter": 500, "learning_rate_init": 0.002}
    small = [
        np.mean(
            np.abs(weights(classifier(l1_ratio=ratio, **settings).fit(X, y))) < 2e-3
        )
        for ratio in (0.0, 0.5, 1.0)
    ]
    assert small[0] < 0.1 < 0.4 < small[1] < small[2]


def test_decay_is_scaled_by_the_rate_and_leaves_biases_alone():
    """Constant features and balanced classes: the loss has nothing to say."""
    X, y = np.zeros((4, 3)), [0, 1, 0, 1]
    settings = {"hidden_layer_sizes": (), "solver": "sgd", "momentum": 0.0}
    settings |= {"alpha": 0.0, "learning_rate_init": 0.1, "weight_init": "he_normal"}
    start = classifier(**settings, max_iter=1).fit(X, y)
    model = classifier(**settings, max_iter=3, weight_decay=0.5).fit(X, y)
    np.testing.assert_allclose(model.coefs_[0], start.coefs_[0] * 0.95**3)
    np.testing.assert_allclose(model.intercepts_[0], start.intercepts_[0])


@pytest.mark.parametrize("solver", ["adam", "sgd", "schedule_free"])
def test_no_unit_exceeds_the_norm(solver):
    X, y = classes()
    settings = {"learning_rate_init": 0.1, "batch_size": 20, "max_iter": 20}
    model = classifier(solver=solver, max_norm=0.7, **settings).fit(X, y)
    norms = np.concatenate([np.linalg.norm(W, axis=0) for W in model.coefs_])
    assert norms.max() <= 0.7 * (1 + 1e-12)
    assert np.isclose(norms, 0.7).any()


def test_clipping_keeps_sgd_from_diverging():
    X, y = classes()
    settings = {"solver": "sgd", "learning_rate_init": 0.5, "max_iter": 30}
    with pytest.raises(ValueError, match="non-finite"), np.errstate(all="ignore"):
        classifier(**settings, activation="identity").fit(X * 1e3, y)
    model = classifier(**settings, activation="identity", clip_norm=1e-3)
    assert np.isfinite(model.fit(X * 1e3, y).loss_)


def test_an_average_of_an_average_is_refused():
    with pytest.raises(ValueError, match="an average of the weights already"):
        classifier(solver="schedule_free", ema_decay=0.9).fit(*classes())


@pytest.mark.parametrize("normalization", [None, "batch"])
def test_average_of_the_weights(normalization):
    """And of running statistics, which begin at the mean 0 and the variance 1."""
    X, y = classes()
    settings = {"batch_size": 90, "normalization": normalization}
    plain = classifier(max_iter=4, **settings).fit(X, y)
    snapshots = [
        classifier(max_iter=n, **settings).fit(X, y)._params for n in range(1, 5)
    ]
    start = classifier(max_iter=1, learning_rate_init=1e-12, **settings).fit(X, y)
    average, n_params = start._params.copy(), start.n_parameters_
    for view in running_views(average, start._layout):
        view[:] = [[0], [1]]
    for t, snapshot in enumerate(snapshots, start=1):
        average += max(1 - 0.5, 9 / (10 + t)) * (snapshot - average)
    model = classifier(max_iter=4, ema_decay=0.5, **settings).fit(X, y)
    np.testing.assert_allclose(model._params, average, rtol=1e-6, atol=1e-9)
    assert (model._params.size > n_params) == (normalization is not None)
    assert model.loss_curve_ == plain.loss_curve_  # of the weights that move


def test_early_stopping_watches_and_keeps_the_average():
    X, y = classes(300)
    settings = {"early_stopping": True, "max_iter": 200, "learning_rate_init": 0.01}
    model = classifier(ema_decay=0.9, **settings).fit(X, y)
    assert model.score(X, y) > 0.8
    assert model.best_validation_score_ == max(model.validation_scores_)


@pytest.mark.parametrize(
    "options",
    [
        {"l1_ratio": 0.1},
        {"weight_decay": 0.1},
        {"clip_norm": 1.0},
        {"clip_value": 1.0},
        {"max_norm": 1.0},
        {"ema_decay": 0.9},
    ],
    ids=str,
)
def test_refused_with_lbfgs(options):
    X, y = classes()
    with pytest.raises(ValueError, match=f"{next(iter(options))} changes the steps"):
        classifier(solver="lbfgs", **options).fit(X, y)


@pytest.mark.parametrize(
    "options",
    [
        {"l1_ratio": 1.1},
        {"weight_decay": -1},
        {"clip_norm": 0},
        {"clip_value": -1},
        {"max_norm": 0},
        {"ema_decay": 1.0},
        {"weight_init": "xavier"},
    ],
    ids=str,
)
def test_out_of_range(options):
    X, y = classes()
    with pytest.raises(ValueError, match=f"'{next(iter(options))}' parameter"):
        classifier(**options).fit(X, y)


@pytest.mark.parametrize("name", INITIALIZERS)
def test_initial_weights(name):
    draw = INITIALIZERS[name]
    W = draw(300, 200, np.random.RandomState(0))
    assert W.shape == (300, 200)
    expected = {
        "glorot": 2 / 500,
        "he": 2 / 300,
        "lecun": 1 / 300,
        "zeros": 0,
        "orthogonal": 1 / 300,
    }[name.split("_")[0]]
    assert W.var() == pytest.approx(expected, rel=0.02)
    assert abs(W.mean()) <= 0.01 * np.sqrt(expected) + 1e-12
    if name.endswith("uniform"):
        assert np.abs(W).max() <= np.sqrt(3 * expected)


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4)])
def test_orthogonal_weights(shape):
    W = INITIALIZERS["orthogonal"](*shape, np.random.RandomState(0))
    gram = W.T @ W if shape[0] >= shape[1] else W @ W.T
    np.testing.assert_allclose(gram, np.eye(min(shape)), atol=1e-12)


def test_own_initial_weights():
    X, y = classes()
    shapes = []

    def ones(fan_in, fan_out, rng):
        shapes.append((fan_in, fan_out))
        return np.ones((fan_in, fan_out)) + 0 * rng.uniform()

    model = classifier(weight_init=ones, learning_rate_init=1e-9, alpha=0.0).fit(X, y)
    assert shapes == [(6, 12), (12, 8), (8, 3)]
    np.testing.assert_allclose(weights(model), 1, atol=1e-6)
    with pytest.raises(ValueError, match=r"weight_init must return finite numbers"):
        classifier(weight_init=lambda i, o, rng: np.ones((o, i))).fit(X, y)


def test_zeros_leave_units_alike():
    X, y = classes()
    model = classifier(weight_init="zeros", activation="tanh").fit(X, y)
    for W in model.coefs_[1:-1]:
        assert np.ptp(W) == 0
