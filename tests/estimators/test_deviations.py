"""scikit-learn's bugs that are not inherited: PARITY in the order of its list."""

import pickle
import tracemalloc

import numpy as np
import pytest
from problems import is_classification, make_estimator, make_problem
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV

from skmlp import MLPClassifier, MLPRegressor
from skmlp.estimators import base

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
STOCHASTIC = "adam", "sgd"


def flat(estimator):
    arrays = estimator.coefs_ + estimator.intercepts_
    return np.concatenate([array.ravel() for array in arrays]).copy()


def partial_fit(estimator, X, y):
    if isinstance(estimator, MLPClassifier):
        return estimator.partial_fit(X, y, classes=np.unique(y))
    return estimator.partial_fit(X, y)


@pytest.mark.parametrize("solver", STOCHASTIC)
@pytest.mark.parametrize("batch_size", [1, 7])
def test_sample_weights_count_inside_minibatches(solver, batch_size):
    X, y = make_problem("regression")
    weight = np.where(X[:, 0] > 0, 5.0, 0.1)
    params = {"solver": solver, "batch_size": batch_size, "alpha": 0, "max_iter": 1}
    plain = make_estimator("regression", **params).fit(X, y)
    weighted = make_estimator("regression", **params).fit(X, y, weight)
    scaled = make_estimator("regression", **params).fit(X, y, 1000 * weight)
    assert np.abs(flat(plain) - flat(weighted)).max() > 1e-4
    np.testing.assert_allclose(flat(scaled), flat(weighted), rtol=1e-9, atol=1e-12)


def test_step_of_a_row_is_proportional_to_its_weight():
    """Plain gradient descent by single rows moves by weight / mean weight."""
    X, y = np.array([[1.0], [2.0]]), np.array([1.0, -1.0])
    params = {"solver": "sgd", "momentum": 0, "batch_size": 1, "alpha": 0}
    params |= {"hidden_layer_sizes": (), "shuffle": False, "learning_rate_init": 0.1}
    reg = make_estimator("regression", **params, max_iter=1)
    w, b = np.random.RandomState(3).uniform(-np.sqrt(3), np.sqrt(3), 2)
    for x, target, share in zip(X[:, 0], y, [0.5, 1.5]):
        error = share * (w * x + b - target)
        w, b = w - 0.1 * error * x, b - 0.1 * error
    reg.fit(X, y, sample_weight=[2, 6])
    np.testing.assert_allclose(flat(reg), [w, b], rtol=1e-12)


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression", "poisson"])
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_weight_k_is_row_repeated_k_times(task, solver):
    X, y = make_problem(task)
    k = np.random.RandomState(0).randint(1, 4, len(y))
    params = {"solver": solver, "shuffle": False, "alpha": 0.5}
    weighted = make_estimator(task, batch_size=len(y), **params).fit(X, y, k)
    repeated = make_estimator(task, batch_size=k.sum(), **params)
    repeated.fit(np.repeat(X, k, axis=0), np.repeat(y, k))
    np.testing.assert_allclose(flat(weighted), flat(repeated), rtol=1e-6, atol=1e-9)


LEFT_OUT = [
    {"batch_size": 1},
    {"batch_size": 7},
    {"solver": "lbfgs"},
    {"early_stopping": True},
    {"norm_statistics": "population", "normalization": "batch"},
    {"norm_statistics": "population", "normalization": "batch", "early_stopping": True},
    {"dropout": 0.3, "batch_size": 7},
]


@pytest.mark.parametrize("options", LEFT_OUT)
@pytest.mark.parametrize("task", ["regression", "binary"])
@pytest.mark.parametrize("csr", [False, True])
def test_rows_of_weight_zero_are_left_out(options, task, csr):
    X, y = make_problem(task, csr=csr)
    weight = np.arange(len(y)) % 3.0
    model = make_estimator(task, **options)
    kept = weight > 0
    expected = flat(clone(model).fit(X[kept], y[kept], weight[kept]))
    np.testing.assert_array_equal(flat(model.fit(X, y, weight)), expected)


@pytest.mark.parametrize("shuffle", [False, True])
def test_partial_fit_leaves_out_other_rows_each_time(shuffle):
    X, y = make_problem("regression")
    model = make_estimator("regression", batch_size=7, shuffle=shuffle)
    expected = clone(model)
    for shift in range(3):
        weight = (np.arange(len(y)) + shift) % 3.0
        kept = weight > 0
        model.partial_fit(X, y, weight)
        expected.partial_fit(X[kept], y[kept], weight[kept])
        np.testing.assert_array_equal(flat(model), flat(expected))


def test_rows_of_weight_zero_take_no_copy():
    X = np.ones((20_000, 60))
    weight = np.arange(20_000) % 2.0
    model = MLPRegressor(hidden_layer_sizes=(2,), max_iter=1, random_state=0)
    model.fit(X[:10], X[:10, 0])
    tracemalloc.start()
    try:
        model.fit(X, X[:, 0], weight)
        assert tracemalloc.get_traced_memory()[1] < X.nbytes / 4
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("early_stopping", [False, True])
def test_warm_start_goes_on_after_convergence(early_stopping):
    X, y = make_problem("regression")
    params = {"tol": 10, "n_iter_no_change": 4, "max_iter": 50, "warm_start": True}
    reg = make_estimator("regression", early_stopping=early_stopping, **params)
    assert reg.fit(X, y).n_iter_ >= 5
    first = flat(reg)
    assert reg.fit(X, y).n_iter_ >= 5
    if not early_stopping:
        assert np.abs(flat(reg) - first).max() > 0
    assert len(reg.loss_curve_) >= 10


@pytest.mark.parametrize("random_state", [None, 0, np.random.RandomState(0)])
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_warm_start_validates_on_the_same_rows(solver, random_state, monkeypatch):
    X, y = make_problem("multiclass")
    held_out = []

    def split_set(*args):
        training, validation = original(*args)
        held_out.append(np.setdiff1d(np.arange(len(X)), training.rows))
        return training, validation

    original = base.split_set
    monkeypatch.setattr(base, "split_set", split_set)
    params = {"warm_start": True, "early_stopping": True, "solver": solver}
    clf = make_estimator("multiclass", random_state=random_state, **params)
    for _ in range(3):
        clf.fit(X, y)
    assert len(held_out) == 3
    assert held_out[0].size == 6
    for rows in held_out[1:]:
        np.testing.assert_array_equal(rows, held_out[0])


def test_warm_start_keeps_the_best_weights():
    """A second fit that only does harm restores what it began with."""
    X, y = make_problem("regression", n_rows=200)
    params = {"early_stopping": True, "warm_start": True, "max_iter": 100}
    reg = make_estimator("regression", learning_rate_init=0.01, **params).fit(X, y)
    best, score = flat(reg), reg.best_validation_score_
    reg.set_params(learning_rate_init=20.0, max_iter=5, solver="sgd", momentum=0)
    reg.fit(X, y)
    np.testing.assert_array_equal(flat(reg), best)
    assert reg.best_validation_score_ == pytest.approx(score, rel=1e-12)


@pytest.mark.parametrize("task", ["multiclass", "regression"])
@pytest.mark.parametrize("solver", STOCHASTIC)
@pytest.mark.parametrize("batch_size", [16, 60])
def test_partial_fit_n_times_is_fit_for_n_epochs(task, solver, batch_size):
    X, y = make_problem(task)
    params = {"solver": solver, "batch_size": batch_size}
    fitted = make_estimator(task, max_iter=4, **params).fit(X, y)
    partial = make_estimator(task, **params)
    for _ in range(4):
        partial_fit(partial, X, y)
    np.testing.assert_allclose(flat(partial), flat(fitted), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(partial.loss_curve_, fitted.loss_curve_, rtol=1e-9)


@pytest.mark.parametrize(("task", "rate"), [("regression", 1e6), ("poisson", 3)])
@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")
def test_divergence_with_early_stopping(task, rate):
    X, y = make_problem(task, n_rows=200)
    params = {"solver": "sgd", "learning_rate_init": rate, "max_iter": 1000}
    model = make_estimator(task, early_stopping=True, activation="identity", **params)
    with pytest.warns(ConvergenceWarning, match="diverged in iteration"):
        model.fit(X, y)
    assert model.n_iter_ < 100
    assert np.isfinite(flat(model)).all()
    assert np.isfinite(model.predict(X)).all()


@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")
def test_divergence_without_early_stopping():
    X, y = make_problem("regression")
    params = {"solver": "sgd", "learning_rate_init": 1e6, "max_iter": 10000}
    reg = make_estimator("regression", activation="identity", **params)
    with pytest.raises(ValueError, match="non-finite parameter weights"):
        reg.fit(X, y)
    assert 1 <= reg.n_iter_ < 1000
    assert np.isfinite(flat(reg)).all()


@pytest.mark.parametrize("solver", ["sgd", "lbfgs"])
@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("scoring", [None, "loss"])
@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")
def test_without_a_finite_epoch_there_is_no_fit(solver, early_stopping, scoring):
    X, y = make_problem("regression")
    options = {"learning_rate_init": 1e300, "activation": "identity", "batch_size": 9}
    stopping = {"early_stopping": early_stopping}
    stopping |= {"scoring": scoring} if early_stopping else {}
    model = make_estimator("regression", solver=solver, **options, **stopping)
    y = y * 1e200 if solver == "lbfgs" else y
    with pytest.raises(ValueError, match="non-finite parameter weights"):
        model.fit(X, y)
    assert not hasattr(model, "coefs_")
    grid = {"learning_rate_init": [1e300]}
    search = GridSearchCV(model, grid, error_score=-7.0, refit=False, cv=2)
    with pytest.raises(ValueError, match="All the 2 fits failed"):
        search.fit(X, y)


@pytest.mark.filterwarnings("ignore:.*:RuntimeWarning")
def test_a_warm_start_that_diverges_at_once_changes_nothing():
    X, y = make_problem("regression")
    options = {"solver": "sgd", "activation": "identity", "early_stopping": True}
    model = make_estimator("regression", warm_start=True, **options).fit(X, y)
    before = flat(model).copy()
    with pytest.raises(ValueError, match="non-finite parameter weights"):
        model.set_params(learning_rate_init=1e300).fit(X, y)
    np.testing.assert_array_equal(flat(model), before)


@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("task", ["binary", "multiclass", "regression", "poisson"])
def test_float32_is_kept(task, solver):
    X, y = make_problem(task, dtype=np.float32)
    y64 = y if is_classification(task) else y.astype(np.float64)
    model = make_estimator(task, solver=solver)
    model.fit(X, y64, sample_weight=np.linspace(1, 2, len(y)))
    arrays = [*model.coefs_, *model.intercepts_]
    if solver != "lbfgs":
        arrays.append(model._optimizer.moments)
        partial_fit(model, X, y64)
    if is_classification(task):
        arrays += [model.predict_proba(X), model.predict_log_proba(X)]
    else:
        arrays.append(model.predict(X))
    assert {array.dtype for array in arrays} == {np.dtype(np.float32)}


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("seed", range(4))  # of which some begin with p > 0.5
def test_one_class(seed, early_stopping, solver):
    X, _ = make_problem("binary")
    params = {"solver": solver, "early_stopping": early_stopping, "max_iter": 1}
    clf = make_estimator("binary", random_state=seed, **params)
    clf.fit(X, ["only"] * len(X))
    assert clf.classes_.tolist() == ["only"]
    np.testing.assert_array_equal(clf.predict(X), ["only"] * len(X))
    np.testing.assert_array_equal(clf.predict_proba(X), np.ones((len(X), 1)))
    np.testing.assert_array_equal(clf.predict_log_proba(X), np.zeros((len(X), 1)))


@pytest.mark.parametrize("estimator", [MLPClassifier, MLPRegressor])
def test_no_partial_fit_with_lbfgs(estimator):
    assert hasattr(estimator(), "partial_fit")
    assert not hasattr(estimator(solver="lbfgs"), "partial_fit")


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_poisson_refuses_negative_targets(method):
    X, y = make_problem("poisson")
    with pytest.raises(ValueError, match="y >= 0"):
        getattr(make_estimator("poisson"), method)(X, y - 1)


@pytest.mark.parametrize("task", ["binary", "multiclass", "multilabel"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [1, 1e5])
def test_probabilities_are_inside_of_zero_and_one(task, dtype, scale):
    X, y = make_problem(task, dtype=dtype)
    clf = make_estimator(task, hidden_layer_sizes=()).fit(X, y)
    predicted = clf.predict(X)
    clf.coefs_[0][:] *= scale
    clf.intercepts_[0][:] *= scale  # so that no class changes
    proba, info = clf.predict_proba(X), np.finfo(dtype)
    assert proba.dtype == dtype
    assert info.tiny <= proba.min() <= proba.max() < 1
    if scale > 1:
        assert proba.min() == info.tiny
        assert proba.max() == np.nextafter(dtype(1), dtype(0))
    with np.errstate(all="raise"):
        log_proba = clf.predict_log_proba(X)
    np.testing.assert_array_equal(log_proba, np.log(proba))
    np.testing.assert_array_equal(clf.predict(X), predicted)
    if task != "multilabel":
        np.testing.assert_allclose(proba.sum(axis=1), 1, atol=4 * info.eps)
        np.testing.assert_array_equal(clf.classes_[proba.argmax(axis=1)], predicted)


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_lbfgs_keeps_a_loss_curve(task, capsys):
    X, y = make_problem(task)
    model = make_estimator(task, solver="lbfgs", verbose=True, max_iter=8).fit(X, y)
    assert len(model.loss_curve_) == model.n_iter_ == 8
    assert (np.diff(model.loss_curve_) < 0).all()
    assert model.loss_curve_[-1] == pytest.approx(model.loss_, rel=1e-12)
    printed = capsys.readouterr().out
    assert f"Iteration 8, loss = {model.loss_:.8f}" in printed


def test_lbfgs_stops_early():
    X, y = make_problem("regression")
    rng = np.random.RandomState(0)
    params = {"solver": "lbfgs", "early_stopping": True, "max_iter": 1000}
    reg = make_estimator("regression", hidden_layer_sizes=(50,), **params)
    reg.fit(X, rng.permutation(y))
    assert 11 <= reg.n_iter_ < 1000
    assert len(reg.validation_scores_) == reg.n_iter_
    assert reg.best_validation_score_ == max(reg.validation_scores_)


def test_lbfgs_keeps_the_last_iterate_after_ctrl_c(monkeypatch):
    X, y = make_problem("regression")
    expected = make_estimator("regression", solver="lbfgs", max_iter=4).fit(X, y)

    def record(self, *args):
        value = original(self, *args)
        if self.n_iter_ == 4:
            raise KeyboardInterrupt
        return value

    original = MLPRegressor._record
    monkeypatch.setattr(MLPRegressor, "_record", record)
    reg = make_estimator("regression", solver="lbfgs", max_iter=50)
    with pytest.warns(UserWarning, match="interrupted by user"):
        reg.fit(X, y)
    np.testing.assert_allclose(flat(reg), flat(expected), rtol=1e-12)
    assert reg.n_iter_ == 4


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("n_rows", [8, 12])
def test_early_stopping_on_few_rows(solver, n_rows):
    """Two rows at least, and one per class, even if the fraction says one row."""
    rng = np.random.RandomState(0)
    X, y = rng.normal(size=(n_rows, 3)), np.arange(n_rows) % 4
    clf = make_estimator("multiclass", early_stopping=True, solver=solver).fit(X, y)
    assert len(clf.validation_scores_) == clf.n_iter_
    assert {round(4 * score, 9) % 1 for score in clf.validation_scores_} == {0}
    reg = make_estimator("regression", early_stopping=True, solver=solver)
    assert np.isfinite(reg.fit(X, rng.normal(size=n_rows)).validation_scores_).all()


@pytest.mark.parametrize("model", [MLPClassifier, MLPRegressor])
@pytest.mark.parametrize("n_rows", [1, 2])
def test_early_stopping_on_too_few_rows(model, n_rows):
    with pytest.raises(ValueError, match="validation set is too small"):
        model(early_stopping=True).fit(np.eye(2)[:n_rows], np.arange(n_rows))


@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize(("solver", "copies"), [("adam", 3), ("sgd", 2), ("lbfgs", 1)])
def test_size_of_pickle(solver, copies, early_stopping):
    """The weights, and the optimizer's moments, once."""
    X, y = make_problem("multiclass", n_features=50)
    params = {"hidden_layer_sizes": (200, 100), "solver": solver}
    clf = make_estimator("multiclass", early_stopping=early_stopping, **params)
    clf.fit(X, y)
    clf.coefs_, clf.intercepts_, clf.predict(X)
    # 5000 bytes of generator state, twice, and some names.
    assert len(pickle.dumps(clf)) < copies * flat(clf).nbytes + 15_000


@pytest.mark.parametrize("solver", STOCHASTIC)
def test_pickles_do_not_grow(solver):
    X, y = make_problem("regression")
    reg = make_estimator("regression", solver=solver, batch_size=10)
    sizes = []
    for _ in range(30):
        sizes.append(len(pickle.dumps(reg.partial_fit(X, y))))
    growth = sizes[-1] - sizes[1]
    assert growth <= 30 * 40  # loss, rate and seconds: 9 bytes each per call


def corrupt(fmt, what):
    X = sparse.csr_matrix(make_problem("binary")[0]).asformat(fmt)
    if fmt == "coo":
        X.col = X.col.copy()
        X.col[0] = {"too large": 10_000_000, "negative": -1}[what]
    elif what == "indptr":
        X.indptr = X.indptr.copy()
        X.indptr[1], X.indptr[2] = X.indptr[-1], 0
    elif what == "end":
        X.indptr[-1] += 5
    else:
        X.indices[0] = {"too large": 10_000_000, "negative": -1}[what]
    return X


@pytest.mark.parametrize(
    ("fmt", "what"),
    [
        *(
            (fmt, what)
            for fmt in ("csr", "csc", "coo")
            for what in ("too large", "negative")
        ),
        *((fmt, what) for fmt in ("csr", "csc") for what in ("indptr", "end")),
    ],
)
def test_corrupt_sparse_matrix(fmt, what):
    X, y = make_problem("binary")
    clf = make_estimator("binary")
    with pytest.raises(ValueError, match="is corrupt"):
        clf.fit(corrupt(fmt, what), y)
    clf.fit(X, y)
    expected = clf.predict(X)
    for method in (clf.predict, clf.predict_proba):
        with pytest.raises(ValueError, match="is corrupt"):
            method(corrupt(fmt, what))
    with pytest.raises(ValueError, match="is corrupt"):
        clf.partial_fit(corrupt(fmt, what), y)
    np.testing.assert_array_equal(clf.predict(X), expected)
