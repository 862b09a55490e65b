"""Losses, class weights and smoothed labels, as users meet them."""

import pickle

import numpy as np
import pytest
from problems import make_problem
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import d2_pinball_score, mean_tweedie_deviance, r2_score
from sklearn.utils import get_tags
from sklearn.utils.class_weight import compute_sample_weight

from skmlp import MLPClassifier, MLPRegressor
from skmlp.estimators.targets import ClassTargets

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

LOSSES = sorted(MLPRegressor._parameter_constraints["loss"][0].options)
POSITIVE = {"poisson", "gamma", "tweedie"}
each_loss = pytest.mark.parametrize("loss", LOSSES)
each_task = pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel"])
each_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def classifier(**options):
    settings = {"hidden_layer_sizes": (7,), "max_iter": 5, "random_state": 0}
    return MLPClassifier(**settings | options)


def regressor(loss="squared_error", **options):
    settings = {"hidden_layer_sizes": (16,), "max_iter": 20, "random_state": 0}
    return MLPRegressor(loss, **settings | options)


def linear(estimator, **options):
    """Without hidden layers, minimized to the end."""
    return estimator(
        hidden_layer_sizes=(),
        solver="lbfgs",
        tol=1e-9,
        max_iter=5000,
        max_fun=50000,
        random_state=0,
        **options,
    )


def noisy(n_rows=2000, seed=0):
    """y ~ N(x, exp(x / 2)), with x in [-2, 2]."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-2, 2, n_rows)
    return x.reshape(-1, 1), x + np.exp(x / 4) * rng.standard_normal(n_rows)


def assert_same_model(model, other):
    for mine, yours in zip(
        model.coefs_ + model.intercepts_, other.coefs_ + other.intercepts_
    ):
        np.testing.assert_array_equal(mine, yours)


# Regression


@each_loss
@each_dtype
@pytest.mark.parametrize("n_targets", [1, 2])
def test_learns(loss, dtype, n_targets):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((400, 3)).astype(dtype)
    Y = np.exp(0.5 * X[:, :n_targets] + 0.3)
    y = Y.ravel() if n_targets == 1 else Y
    model = regressor(loss, max_iter=100, learning_rate_init=0.01).fit(X, y)
    y_pred = model.predict(X)
    assert y_pred.shape == y.shape
    assert y_pred.dtype == dtype
    assert r2_score(y, y_pred) > 0.9
    assert model.loss_curve_[-1] < model.loss_curve_[0]
    restored = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(restored.predict(X), y_pred)


@each_loss
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_early_stopping_and_weights(loss, method):
    X, y = make_problem("poisson")
    weight = np.linspace(0, 2, len(y))
    model = regressor(loss, early_stopping=method == "fit", max_iter=3)
    getattr(model, method)(X, y + 0.5, weight)
    assert np.isfinite(model.predict(X)).all()
    assert np.isfinite(model.score(X, y))
    if method == "fit":
        assert np.isfinite(model.validation_scores_).all()


def test_huber_of_large_delta_is_the_squared_error():
    X, y = make_problem("regression")
    huber = regressor("huber", huber_delta=1e9).fit(X, y)
    assert_same_model(huber, regressor().fit(X, y))
    assert huber.loss_ == regressor().fit(X, y).loss_


@pytest.mark.parametrize("hidden_layer_sizes", [(), (5,), (4, 3)])
def test_layers_of_identity_are_a_linear_model(hidden_layer_sizes):
    X, Y = make_problem("multi-output")
    model = linear(MLPRegressor, activation="identity", alpha=0)
    model.set_params(hidden_layer_sizes=hidden_layer_sizes).fit(X, Y)
    expected = LinearRegression().fit(X, Y).predict(X)
    np.testing.assert_allclose(model.predict(X), expected, atol=2e-4)


def test_robust_losses_ignore_outliers():
    X, y = noisy(300)
    y = np.where(np.arange(300) % 10 == 0, 1000.0, X[:, 0])
    for loss in ("huber", "absolute_error", "log_cosh", "quantile"):
        model = linear(MLPRegressor, loss=loss, alpha=0).fit(X, y)
        assert np.abs(model.predict(X) - X[:, 0]).max() < 0.4, loss
    squared = linear(MLPRegressor, alpha=0).fit(X, y)
    assert np.abs(squared.predict(X) - X[:, 0]).min() > 50


@pytest.mark.parametrize(
    ("loss", "power"), [("poisson", 1), ("gamma", 2), ("tweedie", 1.3)]
)
def test_deviance_is_that_of_the_metric(loss, power):
    X, y = make_problem("poisson")
    y = y + 0.5
    own = {"tweedie_power": power} if loss == "tweedie" else {}
    model = linear(MLPRegressor, loss=loss, alpha=0, **own).fit(X, y)
    deviance = mean_tweedie_deviance(y, model.predict(X), power=power)
    assert model.loss_ == pytest.approx(deviance / 2, rel=1e-6)
    assert model.predict(X).sum() == pytest.approx(y.sum(), rel=0.1)


@pytest.mark.parametrize(("power", "loss"), [(1, "poisson"), (2.0, "gamma")])
def test_tweedie_ends_in_poisson_and_gamma(power, loss):
    X, y = make_problem("poisson")
    tweedie = regressor("tweedie", tweedie_power=power).fit(X, y + 0.5)
    same = regressor(loss).fit(X, y + 0.5)
    assert tweedie.loss_curve_ == same.loss_curve_
    np.testing.assert_array_equal(tweedie.predict(X), same.predict(X))
    if power == 2:
        with pytest.raises(ValueError, match=r"'tweedie' needs targets y > 0 here"):
            tweedie.fit(X, y)


def test_quantiles_cover_their_share_and_never_cross():
    X, y = noisy()
    quantiles = [0.1, 0.25, 0.5, 0.9]
    model = regressor("quantile", quantile=quantiles, max_iter=200).fit(X, y)
    assert (model.n_outputs_, model.out_activation_) == (4, "sorted")
    y_pred = model.predict(X)
    assert y_pred.shape == (2000, 4)
    assert (np.diff(y_pred) >= 0).all()
    share = (y[:, None] < y_pred).mean(axis=0)
    np.testing.assert_allclose(share, quantiles, atol=0.03)


def test_crossing_outputs_are_sorted():
    X, y = noisy(50)
    model = regressor("quantile", quantile=(0.2, 0.8), max_iter=1).fit(X, y)
    model.intercepts_[-1][:] = 50, -50
    low, high = model.predict(X).T
    assert (low < 0).all()
    assert (high > 0).all()


def test_one_quantile():
    X, y = noisy()
    Y = np.c_[y, -y]
    model = regressor("quantile", quantile=0.8, max_iter=150).fit(X, Y)
    assert model.out_activation_ == "identity"
    share = (model.predict(X) > Y).mean(axis=0)
    np.testing.assert_allclose(share, 0.8, atol=0.03)
    listed = regressor("quantile", quantile=[0.8], max_iter=2).fit(X, y)
    assert listed.predict(X).shape == y.shape
    assert_same_model(listed, regressor("quantile", quantile=0.8, max_iter=2).fit(X, y))


def test_score_of_quantiles_is_that_of_the_pinball_loss():
    X, y = noisy(300)
    weight = np.linspace(0.5, 1, 300)
    model = regressor("quantile", quantile=[0.3, 0.9]).fit(X, y)
    y_pred = model.predict(X)
    expected = np.mean(
        [
            d2_pinball_score(y, y_pred[:, k], alpha=alpha, sample_weight=weight)
            for k, alpha in enumerate([0.3, 0.9])
        ]
    )
    assert model.score(X, y.tolist(), weight) == pytest.approx(expected, rel=1e-12)
    single = regressor("quantile", quantile=0.9).fit(X, y)
    expected = d2_pinball_score(y, single.predict(X), alpha=0.9)
    assert single.score(X, y) == pytest.approx(expected, rel=1e-12)


def test_validation_scores_know_the_loss():
    X, y = noisy(400)
    options = {"early_stopping": True, "validation_fraction": 0.5, "max_iter": 3}
    gaussian = regressor("gaussian_nll", **options).fit(X, y)
    quantiles = regressor("quantile", quantile=[0.1, 0.9], **options).fit(X, y)
    for model in gaussian, quantiles:
        assert model.best_validation_score_ == max(model.validation_scores_)
        assert model.best_validation_score_ == pytest.approx(
            model.score(X, y), abs=0.15
        )


@pytest.mark.parametrize("nll_beta", [0, 0.5, 1])
def test_gaussian_recovers_mean_and_spread(nll_beta):
    X, y = noisy(3000)
    model = regressor(
        "gaussian_nll", nll_beta=nll_beta, max_iter=150, learning_rate_init=0.005
    ).fit(X, y)
    mean, std = model.predict(X, return_std=True)
    assert mean.shape == std.shape == y.shape
    np.testing.assert_array_equal(model.predict(X), mean)
    assert np.abs(mean - X[:, 0]).mean() < 0.15
    assert np.abs(std / np.exp(X[:, 0] / 4) - 1).mean() < 0.1
    assert (model.n_outputs_, model.out_activation_) == (2, "gaussian")


def test_gaussian_without_features_is_mean_and_standard_deviation():
    y = np.random.default_rng(0).normal(5, 3, (200, 2)) * [1, 100]
    X = np.zeros((200, 1))
    model = linear(MLPRegressor, loss="gaussian_nll", nll_beta=0).fit(X, y)
    mean, std = model.predict(X[:1], return_std=True)
    np.testing.assert_allclose(mean[0], y.mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(std[0], y.std(axis=0), rtol=1e-4)
    assert model.loss_ == pytest.approx(np.log(y.std(axis=0)).sum() + 1, rel=1e-6)


@each_loss
def test_standard_deviations_are_refused_elsewhere(loss):
    X, y = make_problem("regression")
    model = regressor(loss, max_iter=1).fit(X, np.abs(y) + 0.1)
    if loss != "gaussian_nll":
        with pytest.raises(ValueError, match="loss='gaussian_nll'"):
            model.predict(X, return_std=True)


@pytest.mark.parametrize(
    ("loss", "targets"),
    [
        ("poisson", [1, -1]),
        ("tweedie", [1, -1]),
        ("gamma", [1, -1]),
        ("gamma", [1, 0]),
        ("gamma", [1, 1e-60]),
    ],
)
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_targets_out_of_range(loss, targets, method):
    model = regressor(loss)
    with pytest.raises(ValueError, match="needs targets y >"):
        getattr(model, method)(np.eye(2, dtype=np.float32), targets)
    assert not hasattr(model, "n_features_in_")
    assert get_tags(model).target_tags.positive_only


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"loss": "huber", "quantile": [0.1, 0.9]}, "what only loss='quantile' fits"),
        ({"loss": "squared_error", "quantile": 0.9}, "what only loss='quantile' fits"),
        ({"quantile": []}, "quantile must be"),
        ({"quantile": [0.5, 0.1]}, "rising order"),
        ({"quantile": [0.5, 0.5]}, "rising order"),
        ({"quantile": [0.5, 1.0]}, "in \\(0, 1\\)"),
        ({"quantile": [0.5, np.nan]}, "in \\(0, 1\\)"),
        ({"quantile": [[0.5]]}, "quantile must be"),
        ({"quantile": 1.0}, "'quantile' parameter"),
        ({"quantile": "median"}, "'quantile' parameter"),
        ({"huber_delta": 0}, "'huber_delta' parameter"),
        ({"tweedie_power": 0.9}, "'tweedie_power' parameter"),
        ({"tweedie_power": 2.1}, "'tweedie_power' parameter"),
        ({"nll_beta": 1.1}, "'nll_beta' parameter"),
        ({"loss": "quantiles"}, "'loss' parameter"),
    ],
    ids=str,
)
def test_parameters_of_regression_out_of_range(params, text):
    X, y = make_problem("regression")
    with pytest.raises(ValueError, match=text):
        regressor(**{"loss": "quantile"} | params).fit(X, y)


def test_several_quantiles_of_several_targets():
    X, Y = make_problem("multi-output")
    model = regressor("quantile", quantile=[0.1, 0.9])
    with pytest.raises(ValueError, match="a regressor for each target"):
        model.fit(X, Y)
    assert not get_tags(model).target_tags.multi_output


def test_no_lbfgs_for_a_gradient_that_is_no_slope():
    X, y = make_problem("regression")
    with pytest.raises(ValueError, match="choose nll_beta=0"):
        regressor("gaussian_nll", solver="lbfgs").fit(X, y)


def test_warm_start_keeps_the_number_of_outputs():
    X, y = make_problem("regression")
    model = regressor("gaussian_nll", warm_start=True, max_iter=2).fit(X, y)
    model.set_params(loss="squared_error")
    with pytest.raises(ValueError, match="Training can only go on"):
        model.fit(X, y)
    assert model.predict(X, return_std=True)[1].min() > 0


def test_partial_fit_is_an_epoch_of_fit():
    X, y = noisy(100)
    for loss in ("gaussian_nll", "quantile"):
        whole = regressor(loss, max_iter=3).fit(X, y)
        model = regressor(loss)
        for _ in range(3):
            model.partial_fit(X, y)
        assert_same_model(model, whole)


# Classification


@each_task
@each_dtype
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_focal_learns(task, dtype, solver):
    X, y = make_problem(task, dtype=dtype)
    model = classifier(loss="focal", max_iter=200, learning_rate_init=0.02)
    model.set_params(solver=solver).fit(X, y)
    assert model.score(X, y) > 0.9
    assert model.predict_proba(X).dtype == dtype


@each_task
def test_focal_without_focus_is_the_log_loss(task):
    X, y = make_problem(task)
    focal = classifier(loss="focal", focal_gamma=0).fit(X, y)
    plain = classifier().fit(X, y)
    np.testing.assert_allclose(focal.loss_curve_, plain.loss_curve_, rtol=1e-9)
    np.testing.assert_allclose(focal.predict_proba(X), plain.predict_proba(X), 1e-6)


def test_focal_draws_probabilities_to_the_middle():
    X, y = noisy(500)
    y = y > 0
    plain, focal = (linear(MLPClassifier, loss=loss) for loss in ("log_loss", "focal"))
    edge = [np.abs(m.fit(X, y).predict_proba(X) - 0.5).mean() for m in (plain, focal)]
    assert edge[1] < 0.8 * edge[0]


@pytest.mark.parametrize("task", ["binary", "multiclass"])
@pytest.mark.parametrize("class_weight", [None, "balanced"])
def test_linear_model_is_logistic_regression(task, class_weight):
    X, y = make_problem(task, n_rows=200)
    ours = linear(MLPClassifier, alpha=2.0, class_weight=class_weight).fit(X, y)
    theirs = LogisticRegression(
        C=0.5, class_weight=class_weight, tol=1e-9, max_iter=5000
    ).fit(X, y)
    np.testing.assert_allclose(
        ours.predict_proba(X), theirs.predict_proba(X), atol=2e-4
    )


@pytest.mark.parametrize("n_classes", [2, 4])
def test_smoothed_labels_are_the_least_loss(n_classes):
    """Without features, the prediction is the mean of the smoothed targets."""
    y = np.arange(40) % n_classes
    y[:10] = 0
    X = np.zeros((40, 1))
    model = linear(MLPClassifier, label_smoothing=0.2).fit(X, y)
    share = np.bincount(y) / 40
    expected = 0.8 * share + 0.2 / n_classes
    np.testing.assert_allclose(model.predict_proba(X[:1])[0], expected, rtol=1e-5)


@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_smoothing_leaves_validation_alone(task, monkeypatch):
    seen, score = [], ClassTargets.score

    def witness(self, Y, *arguments):
        seen.append(set(Y.ravel()))
        return score(self, Y, *arguments)

    monkeypatch.setattr(ClassTargets, "score", witness)
    X, y = make_problem(task)
    MLPClassifier(7, label_smoothing=0.2, early_stopping=True, max_iter=2).fit(X, y)
    assert seen == [{0, 1}] * 2


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_no_smoothing_of_multilabel_targets(method):
    X, y = make_problem("multilabel")
    options = {} if method == "fit" else {"classes": [0, 1, 2]}
    with pytest.raises(ValueError, match="do not exclude each other"):
        getattr(classifier(label_smoothing=0.1), method)(X, y, **options)


def unequal_classes(n_classes=3):
    return make_classification(
        150,
        5,
        n_informative=4,
        n_redundant=0,
        n_classes=n_classes,
        weights=[0.7, 0.2, 0.1][:n_classes],
        random_state=0,
    )


@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize("given", [False, True], ids=["alone", "with sample_weight"])
@pytest.mark.parametrize(
    "class_weight", ["balanced", {0: 1, 1: 7.5, 2: 2}, {0: 0, 1: 1, 2: 3}, {1: 3}]
)
def test_class_weights_are_sample_weights(class_weight, given, n_classes):
    X, y = unequal_classes(n_classes)
    if isinstance(class_weight, dict):
        class_weight = {k: v for k, v in class_weight.items() if k < n_classes}
    weight = None
    factors = compute_sample_weight(class_weight, y)
    if given and class_weight != "balanced":
        weight = np.linspace(0, 2, len(y))
        factors = factors * weight
    model = classifier(class_weight=class_weight).fit(X, y, weight)
    expected = classifier().fit(X, y, factors)
    np.testing.assert_allclose(
        model.predict_proba(X), expected.predict_proba(X), rtol=1e-9
    )


def test_balanced_counts_rows_by_their_weight():
    X, y = unequal_classes()
    weight = np.arange(len(y)) % 3
    options = {"solver": "lbfgs", "class_weight": "balanced", "random_state": 0}
    model = MLPClassifier((), **options).fit(X, y, weight)
    repeated = MLPClassifier((), **options).fit(X.repeat(weight, 0), y.repeat(weight))
    np.testing.assert_allclose(
        model.predict_proba(X), repeated.predict_proba(X), rtol=1e-6
    )


def test_labels_of_strings_have_weights():
    X, y = make_problem("binary")
    model = classifier(class_weight={"yes": 1e-9, "no": 1}, max_iter=300).fit(X, y)
    assert set(model.predict(X)) == {"no"}


def test_class_weights_of_one_class():
    X, _ = make_problem("binary")
    model = classifier(class_weight="balanced").fit(X, np.ones(len(X)))
    assert set(model.predict(X)) == {1}


def test_class_weights_in_partial_fit():
    """A batch need not hold all classes that the dict names, nor name all it holds."""
    X, y = unequal_classes()
    model = classifier(class_weight={2: 5.0})
    other = classifier()
    for rows in (y == 0, y >= 1, y >= 0):
        model.partial_fit(X[rows], y[rows], classes=[0, 1, 2])
        weight = np.where(y[rows] == 2, 5.0, 1.0)
        other.partial_fit(X[rows], y[rows], weight, classes=[0, 1, 2])
    assert_same_model(model, other)
    balanced = classifier(class_weight="balanced")
    with pytest.raises(ValueError, match="compute_class_weight"):
        balanced.partial_fit(X, y, classes=[0, 1, 2])
    assert not hasattr(balanced, "classes_")


@pytest.mark.parametrize(
    "class_weight", ["balanced", [{0: 1, 1: 2}, {0: 3, 1: 1}, {0: 1, 1: 1}]]
)
def test_class_weights_of_labels(class_weight):
    X, Y = make_problem("multilabel")
    model = classifier(class_weight=class_weight).fit(X, Y)
    expected = classifier().fit(X, Y, compute_sample_weight(class_weight, Y))
    np.testing.assert_allclose(
        model.predict_proba(X), expected.predict_proba(X), rtol=1e-9
    )


@pytest.mark.parametrize(
    ("task", "class_weight", "text"),
    [
        ("multiclass", {1: 1, 3: -1, 5: 1}, "finite and not negative"),
        ("multiclass", {1: 1, 3: np.inf, 5: 1}, "finite and not negative"),
        ("multiclass", {1: 0, 3: 0, 5: 0}, "all rows the weight zero"),
        ("multiclass", {1: 1, 2: 1}, "not in class_weight"),
        ("multiclass", [{0: 1}], "is for multilabel"),
        ("multiclass", "even", "'class_weight' parameter"),
        ("multilabel", {0: 1, 1: 1}, "a dict"),
        ("multilabel", [{0: 1, 1: 1}], "each of the 3 labels"),
    ],
)
def test_bad_class_weights(task, class_weight, text):
    X, y = make_problem(task)
    model = classifier(class_weight=class_weight)
    with pytest.raises(ValueError, match=text):
        model.fit(X, y)
    assert not hasattr(model, "classes_")


@pytest.mark.parametrize(
    "params",
    [
        {"label_smoothing": 1.0},
        {"label_smoothing": -0.1},
        {"focal_gamma": -1},
        {"loss": "binary_focal"},
    ],
)
def test_parameters_of_classification_out_of_range(params):
    X, y = make_problem("binary")
    with pytest.raises(ValueError, match=f"'{next(iter(params))}' parameter"):
        classifier(**params).fit(X, y)


def test_parameters_survive_cloning():
    model = classifier(loss="focal", focal_gamma=1, label_smoothing=0.1)
    assert clone(model).get_params() == model.get_params()
