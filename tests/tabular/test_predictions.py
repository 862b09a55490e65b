"""Probabilities, intervals, quantiles and deviations that can be trusted."""

import numpy as np
import pytest
from scipy.special import expit, softmax
from sklearn.metrics import d2_pinball_score, log_loss, r2_score
from tabular.problems import TASKS, make_estimator, make_table

from skmlp import TabularMLPClassifier, TabularMLPRegressor
from skmlp.tabular.calibration import (
    conformal_radius,
    fit_temperature,
    logits,
    sharpen,
)
from skmlp.tabular.ensemble import mean_prediction
from skmlp.tabular.errors import mean_error
from skmlp.tabular.folds import make_folds
from skmlp.tabular.scales import fit_scale
from skmlp.tabular.selection import select
from skmlp.training.settings import Objective


@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel"])
@pytest.mark.parametrize("calibrate", [True, False])
def test_probabilities(task, calibrate):
    X, y = make_table(task)
    clf = make_estimator(task, calibrate=calibrate).fit(X, y)
    y_prob = clf.predict_proba(X)
    assert y_prob.dtype == np.float64
    assert (y_prob >= 0).all()
    assert (y_prob <= 1).all()
    np.testing.assert_array_equal(clf.predict_log_proba(X), np.log(y_prob))
    if task == "multilabel":
        np.testing.assert_array_equal(clf.predict(X), y_prob > 0.5)
    else:
        np.testing.assert_allclose(y_prob.sum(axis=1), 1, rtol=1e-6)
        most = clf.classes_[y_prob.argmax(axis=1)]
        np.testing.assert_array_equal(clf.predict(X), most)
    assert not hasattr(clf, "decision_function")


def draw(exclusive, n_rows=20_000, seed=0):
    """Logits, and classes drawn from them."""
    rng = np.random.default_rng(seed)
    z = rng.normal(scale=2, size=(n_rows, 3 if exclusive else 2))
    if exclusive:
        p = softmax(z, axis=1)
        codes = (p.cumsum(axis=1) < rng.random((n_rows, 1))).sum(axis=1)
        return z, np.eye(3)[codes]
    return z, (rng.random(z.shape) < expit(z)).astype(float)


@pytest.mark.parametrize("exclusive", [True, False])
@pytest.mark.parametrize("factor", [0.3, 1.0, 4.0])
def test_temperature_is_found(exclusive, factor):
    """Logits divided by a factor ask for that factor."""
    z, Y = draw(exclusive)
    p = softmax(z / factor, axis=1) if exclusive else expit(z / factor)
    found = fit_temperature(Y, p, None, exclusive=exclusive)
    assert found == pytest.approx(factor, rel=0.05)
    sharpened = sharpen(p, found, len(Y), exclusive=exclusive)
    expected = softmax(z, axis=1) if exclusive else expit(z)
    np.testing.assert_allclose(sharpened, expected, atol=0.02)


@pytest.mark.parametrize("exclusive", [True, False])
def test_temperature_counts_weights(exclusive):
    z, Y = draw(exclusive, 2000)
    p = softmax(2 * z, axis=1) if exclusive else expit(2 * z)
    counts = np.random.default_rng(1).integers(4, size=2000)
    found = fit_temperature(Y, p, counts, exclusive=exclusive)
    repeated = np.repeat(np.arange(2000), counts)
    expected = fit_temperature(Y[repeated], p[repeated], None, exclusive=exclusive)
    assert found == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_certain_probabilities(dtype):
    p = np.array([[0, 1], [1, 0], [0.5, 0.5]], dtype)
    for exclusive in (True, False):
        assert np.isfinite(logits(p, exclusive)).all()
        sharpened = sharpen(p, 20.0, 9, exclusive=exclusive)
        assert sharpened.min() >= 0.05 - 1e-9
        assert sharpened.max() <= 0.95 + 1e-9


def test_calibration_lowers_the_loss():
    """Of a network that is trained for too long on noise, on rows to judge by."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(3000, 10))
    y = rng.random(3000) < expit(2 * X[:, 0])
    clf = TabularMLPClassifier(hidden_layer_sizes=64, n_members=2, n_steps=800)
    clf.set_params(random_state=0)
    losses = {}
    for calibrate in (True, False):
        clf.set_params(calibrate=calibrate)
        clf.fit(X[:400], y[:400], X_val=X[400:], y_val=y[400:])
        losses[calibrate] = log_loss(y[400:], clf.predict_proba(X[400:]))
    assert losses[True] < losses[False] - 1e-4


@pytest.mark.parametrize("n_rows", [1, 9, 10, 99, 500])
@pytest.mark.parametrize("level", [0.5, 0.9, 0.99])
def test_conformal_radius(n_rows, level):
    """The formula of the literature, and the weights as repeats."""
    scores = np.random.default_rng(0).random(n_rows)
    rank = int(np.ceil(round(level * (n_rows + 1), 9)))
    expected = np.sort(scores)[rank - 1] if rank <= n_rows else np.inf
    assert conformal_radius(scores, None, level) == expected
    assert conformal_radius(scores, np.full(n_rows, 7.0), level) == expected


def noisy(n_rows, seed):
    """Targets whose noise grows with the first number."""
    rng = np.random.default_rng(seed)
    X = rng.uniform(size=(n_rows, 3))
    return X, 5 * X[:, 1] + (0.2 + 2 * X[:, 0]) * rng.normal(size=n_rows)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"loss": "gaussian_nll"},
        {"loss": "quantile", "quantile": [0.2, 0.5, 0.8]},
        {"refit": True},
    ],
    ids=lambda options: "-".join(map(str, options.values())) or "squared",
)
def test_coverage(options):
    levels, covered = [0.5, 0.8, 0.95], []
    for seed in range(4):
        X, y = noisy(1500, seed)
        new, y_new = noisy(4000, 100 + seed)
        reg = TabularMLPRegressor(quality="fast", random_state=seed, **options)
        reg.fit(X, y)
        intervals = [reg.predict(new, interval=level)[1:] for level in levels]
        covered.append(
            [np.mean((low <= y_new) & (y_new <= high)) for low, high in intervals]
        )
        if options.get("loss"):  # wider where there is more noise
            wide, (low, high) = new[:, 0] > 0.5, intervals[1]
            assert (high - low)[wide].mean() > 1.3 * (high - low)[~wide].mean()
    # Of 4 x 300 held-out rows the quantile has a deviation of 0.015 at most.
    np.testing.assert_allclose(np.mean(covered, axis=0), levels, atol=0.045)


def test_intervals_of_several_targets():
    X, y = make_table("multi-output", 300)
    reg = make_estimator("multi-output", n_steps=300).fit(X, y)
    y_pred, low, high = reg.predict(X, interval=0.8)
    assert y_pred.shape == low.shape == high.shape == y.shape
    assert (np.abs(np.mean((low <= y) & (y <= high), axis=0) - 0.8) < 0.15).all()
    assert np.unique((high - low)[:, 0].round(6)).size == 1


def test_deviations():
    X, y = noisy(1500, 0)
    reg = TabularMLPRegressor(quality="fast", loss="gaussian_nll", random_state=0)
    y_pred, std = reg.fit(X, y).predict(X, return_std=True)
    assert std.shape == y_pred.shape == y.shape
    expected = 0.2 + 2 * X[:, 0]
    assert np.median(np.abs(std / expected - 1)) < 0.3
    y_pred, std, low, high = reg.predict(X, return_std=True, interval=0.9)
    np.testing.assert_allclose((low + high) / 2, y_pred, rtol=1e-9, atol=1e-9)
    assert np.ptp((high - low) / std) < 1e-9


def test_quantiles():
    X, y = noisy(2000, 0)
    quantiles = [0.1, 0.5, 0.9]
    reg = TabularMLPRegressor(
        quality="fast", loss="quantile", quantile=quantiles, random_state=0
    )
    y_pred = reg.fit(X, y).predict(X)
    assert (np.diff(y_pred) >= 0).all()
    shares = np.mean(y[:, np.newaxis] <= y_pred, axis=0)
    np.testing.assert_allclose(shares, quantiles, atol=0.05)
    expected = np.mean(
        [d2_pinball_score(y, p, alpha=q) for p, q in zip(y_pred.T, quantiles)]
    )
    assert reg.score(X, y) == pytest.approx(expected)
    single = TabularMLPRegressor(
        quality="fast", loss="quantile", quantile=0.9, random_state=0
    ).fit(X, y)
    assert np.mean(y <= single.predict(X)) == pytest.approx(0.9, abs=0.05)
    with pytest.raises(ValueError, match="several quantiles"):
        single.predict(X, interval=0.9)


def test_score_is_r2():
    X, y = make_table("multi-output")
    reg = make_estimator("multi-output").fit(X, y)
    weight = np.arange(120)
    expected = r2_score(y, reg.predict(X), sample_weight=weight)
    assert reg.score(X, y, weight) == pytest.approx(expected)


@pytest.mark.parametrize("scale", [1e-290, 1e-5, 1.0, 1e5, 1e300])
@pytest.mark.parametrize("shift", [0.0, 1e6])
def test_targets_of_any_size(scale, shift):
    """The same network, in other units; within the range of the targets."""
    X, y = make_table("regression")
    y = y - y.mean()
    expected = make_estimator("regression").fit(X, y).predict(X)
    reg = make_estimator("regression").fit(X, (y + shift) * scale)
    found = reg.predict(X) / scale - shift
    np.testing.assert_allclose(found, expected, atol=1e-3)
    assert found.min() >= y.min() - 1e-6
    assert found.max() <= y.max() + 1e-6


def test_constant_target():
    X, _ = make_table()
    reg = make_estimator("regression").fit(X, np.full(120, 7.0))
    np.testing.assert_array_equal(reg.predict(X), 7.0)


def test_scale_is_the_weighted_one():
    rng = np.random.default_rng(0)
    Y, weight = rng.normal(3, 5, size=(50, 2)), rng.random(50)
    weight[:5], Y[:5] = 0, 100
    scale = fit_scale(Y, weight)
    mean = np.average(Y, axis=0, weights=weight)
    variance = np.average((Y - mean) ** 2, axis=0, weights=weight)
    np.testing.assert_allclose(scale.center, mean)
    np.testing.assert_allclose(scale.spread, np.sqrt(variance))
    np.testing.assert_array_equal(scale.high, Y[5:].max(axis=0))
    restored, _ = scale.restore(scale.standardize(Y[5:]), "identity")
    np.testing.assert_allclose(restored, Y[5:], rtol=1e-5, atol=1e-5)


def brute_force(predictions, y, most, n_rounds=24):
    """Greedy selection, written out."""
    chosen, least = [], np.inf
    for _ in range(n_rounds):
        errors = {}
        for k in range(len(predictions)):
            if len({*chosen, k}) <= most:
                mean = np.mean([predictions[j] for j in [*chosen, k]], axis=0)
                errors[k] = np.mean((mean - y) ** 2)
        best = min(errors, key=errors.get)
        if errors[best] >= least:
            break
        least = errors[best]
        chosen.append(best)
    return np.bincount(chosen, minlength=len(predictions))


@pytest.mark.parametrize("most", [1, 2, 3, 10])
@pytest.mark.parametrize("seed", range(5))
def test_greedy_selection(most, seed):
    rng = np.random.default_rng(seed)
    y = rng.normal(size=(30, 1))
    predictions = y + rng.normal(size=(7, 30, 1))
    found = select(predictions, lambda p: np.mean((p - y) ** 2), most=most)
    np.testing.assert_array_equal(found, brute_force(predictions, y, most))
    assert np.count_nonzero(found) <= most


@pytest.mark.parametrize("n_members", [1, 3, 5, 7])
@pytest.mark.parametrize("by_class", [False, True])
@pytest.mark.parametrize("fraction", [0.5, 0.2, 0.07])
def test_folds(n_members, by_class, fraction):
    rng = np.random.RandomState(0)
    rows = np.sort(rng.choice(400, 103, replace=False))
    codes = rng.choice(3, 400, p=[0.7, 0.2, 0.1]) if by_class else None
    folds = make_folds(rows, codes, fraction, n_members, rng)
    assert len(folds) == n_members
    n_folds = round(1 / fraction)
    for training, held_out in folds:
        np.testing.assert_array_equal(np.sort(np.r_[training, held_out]), rows)
        assert abs(len(held_out) - 103 / n_folds) < 1
        if by_class:
            for code in range(3):
                own = np.mean(codes[held_out] == code) * len(held_out)
                assert abs(own - np.sum(codes[rows] == code) / n_folds) < 2
    first_round = np.concatenate([held_out for _, held_out in folds[:n_folds]])
    assert len(set(first_round)) == len(first_round)


def test_mean_of_normal_distributions():
    """Mean and deviation of their mixture, against draws from it."""
    rng = np.random.default_rng(0)
    parts = [np.array([[0.0, 1.0]]), np.array([[4.0, 2.0]])]
    found = mean_prediction(parts, np.array([0.25, 0.75]), "gaussian")
    means = np.where(rng.random(10**6) < 0.25, 0, 4)
    draws = rng.normal(means, np.where(means == 0, 1, 2))
    np.testing.assert_allclose(found[0], [draws.mean(), draws.std()], rtol=0.01)


@pytest.mark.parametrize(
    ("loss", "hyper", "expected"),
    [
        ("log_loss", {}, (0.3**2 * 2 + 3 * 0.5**2 * 2) / 4),
        ("quantiles", {"quantile": [0.2, 0.7]}, None),
        ("gaussian_nll", {}, None),
    ],
)
def test_errors(loss, hyper, expected):
    Y = np.array([[1.0, 0.0], [0.0, 1.0]])
    predicted = np.array([[0.7, 0.3], [0.5, 0.5]])
    if loss == "quantiles":
        expected = (0.2 * 0.3 + 0.3 * 0.3 + 3 * (0.8 * 0.5 + 0.7 * 0.5)) / 4
    if loss == "gaussian_nll":
        Y = np.array([[1.0], [0.0]])
        nll = np.log([0.3, 0.5]) + np.array([1.0, 1.0]) ** 2 / 2
        expected = (nll[0] + 3 * nll[1]) / 4
    found = mean_error(Objective(loss, hyper), Y, predicted, np.array([1.0, 3.0]))
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("task", TASKS)
def test_one_row_is_the_same_alone(task):
    X, y = make_table(task)
    model = make_estimator(task).fit(X, y)
    whole = getattr(model, "predict_proba", model.predict)(X)
    one = getattr(model, "predict_proba", model.predict)(X[5:6])
    np.testing.assert_allclose(one, whole[5:6], rtol=1e-5, atol=1e-6)


def test_arrays_of_one_row_take_the_short_way():
    """Plain arrays are not validated by scikit-learn, but still are by us."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(100, 4))
    clf = TabularMLPClassifier(quality="fast", n_steps=50, random_state=0)
    clf.fit(X, X[:, 0] > 0)
    expected = clf.predict_proba(X.tolist())
    for other in X, X.astype(np.float32), np.asfortranarray(X), X[:, ::-1][:, ::-1]:
        np.testing.assert_allclose(clf.predict_proba(other), expected, atol=1e-5)
    X[3, 1] = np.inf
    with pytest.raises(ValueError, match="infinity"):
        clf.predict(X)
    with pytest.raises(ValueError, match="features"):
        clf.predict(X[:, :3])
