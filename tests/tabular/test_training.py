"""Seeds, threads, weights, validation rows, time, Ctrl-C."""

import _thread
import signal
import threading
import time

import numpy as np
import pandas as pd
import pytest
from processes import run_python
from tabular.problems import TASKS, make_estimator, make_table, predictions

from skmlp import TabularMLPClassifier, TabularMLPRegressor
from skmlp.machine import threads

REAL = {"hidden_layer_sizes": None, "n_members": None, "n_steps": 40}


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("options", [{}, REAL], ids=["small", "sizes of the default"])
def test_threads_change_no_bit(task, options, monkeypatch):
    monkeypatch.setattr(threads, "_FLOPS_FOR_A_THREAD", 1)
    X, y = make_table(task, 300)
    found = []
    for n_threads, n_jobs in (1, 1), (1, 3), (3, 1), (3, 2), (2, None):
        monkeypatch.setattr(threads, "n_threads", lambda n=n_threads: n)
        model = make_estimator(task, n_jobs=n_jobs, **options).fit(X, y)
        found.append(predictions(model, X))
    for other in found[1:]:
        np.testing.assert_array_equal(other, found[0])


def test_members_are_what_they_are_alone():
    """A member has the bits that it has in a smaller ensemble."""
    X, y = make_table()
    few = make_estimator(n_members=1).fit(X, y)
    many = make_estimator(n_members=3).fit(X, y)
    for own, other in zip(few._fitted.ensemble.vectors, many._fitted.ensemble.vectors):
        np.testing.assert_array_equal(own, other)


def test_seed():
    X, y = make_table()
    first = make_estimator(random_state=1).fit(X, y).predict_proba(X)
    again = make_estimator(random_state=1).fit(X, y).predict_proba(X)
    other = make_estimator(random_state=2).fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_a_second_process_has_the_same_bits():
    code = """
from tabular.problems import make_estimator, make_table
X, y = make_table()
print(make_estimator(n_jobs=2).fit(X, y).predict_proba(X).sum().hex())
"""
    X, y = make_table()
    own = make_estimator().fit(X, y).predict_proba(X).sum().hex()
    assert run_python(code, NUMBA_NUM_THREADS="1") == own


@pytest.mark.parametrize("task", TASKS)
def test_rows_of_weight_zero_do_not_count(task):
    """Not in the folds, the training, the encoding, the scale or the calibration."""
    X, y = make_table(task)
    strange = X.copy()
    strange["age"], strange["city"] = 1e6, "nowhere"
    other = y[::-1] if y.dtype.kind in "USi" else y + 1e6
    model = make_estimator(task).fit(
        pd.concat([X, strange]), np.concatenate([y, other]), [1] * 120 + [0] * 120
    )
    expected = make_estimator(task).fit(X, y)
    np.testing.assert_array_equal(
        predictions(model, X.astype({"city": object})),
        predictions(expected, X.astype({"city": object})),
    )


@pytest.mark.parametrize("task", TASKS)
def test_equal_weights_are_none(task):
    X, y = make_table(task)
    model = make_estimator(task).fit(X, y, np.ones(120))
    expected = make_estimator(task).fit(X, y)
    np.testing.assert_allclose(
        predictions(model, X), predictions(expected, X), 1e-3, 1e-4
    )


def test_weights_move_predictions():
    """The same rows with two answers: the weights decide."""
    X = np.repeat(np.linspace(-1, 1, 500), 2)[:, np.newaxis]
    y, weight = np.tile([0, 1], 500), np.tile([1.0, 3.0], 500)
    clf = TabularMLPClassifier(quality="fast", random_state=0).fit(X, y, weight)
    assert clf.predict_proba(X)[:, 1].mean() == pytest.approx(0.75, abs=0.05)
    reg = TabularMLPRegressor(quality="fast", random_state=0).fit(X, y, weight)
    assert reg.predict(X).mean() == pytest.approx(0.75, abs=0.05)
    clf = TabularMLPClassifier(
        quality="fast", class_weight={0: 3, 1: 1}, random_state=0
    )
    assert clf.fit(X, y).predict_proba(X)[:, 0].mean() == pytest.approx(0.75, abs=0.05)


def test_class_weights_are_weights_of_rows():
    X, y = make_table("multiclass")
    by_class = {1: 1.0, 3: 2.0, 5: 0.5}
    model = make_estimator("multiclass", class_weight=by_class).fit(X, y)
    weight = np.array([by_class[label] for label in y])
    expected = make_estimator("multiclass").fit(X, y, weight)
    np.testing.assert_array_equal(model.predict_proba(X), expected.predict_proba(X))


@pytest.mark.parametrize("task", TASKS)
def test_own_validation_rows(task):
    """They judge, and nothing else: all rows of X are trained on."""
    X, y = make_table(task, 200)
    given = {"X_val": X[120:], "y_val": y[120:]}
    model = make_estimator(task).fit(X[:120], y[:120], **given)
    if task == "regression":
        error = model.members_[0].validation_error
        center, spread = y[:120].mean(), y[:120].std()
        ensemble, table = model._fitted.ensemble, model._fitted.table
        own = ensemble._replace(
            vectors=ensemble.vectors[: len(model.members_[0].steps)],
            shares=np.array(model.members_[0].counts) / sum(model.members_[0].counts),
        )
        predicted = model._fitted._replace(ensemble=own).predict(X[120:])
        expected = np.mean((predicted[:, 0] - (y[120:] - center) / spread) ** 2)
        assert table is model._fitted.table
        assert error == pytest.approx(expected, rel=1e-4)
    weights = np.r_[np.ones(40), np.zeros(40)]
    weighted = make_estimator(task).fit(
        X[:120], y[:120], **given, sample_weight_val=weights
    )
    few = make_estimator(task).fit(X[:120], y[:120], X_val=X[120:160], y_val=y[120:160])
    np.testing.assert_allclose(predictions(weighted, X), predictions(few, X), rtol=1e-5)


def test_refit_takes_all_rows():
    """Rows at the edge, of which folds keep some away, are fitted better."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 3))
    y = X @ [1.0, 2.0, 3.0]
    plain = TabularMLPRegressor(quality="fast", random_state=0).fit(X, y)
    again = TabularMLPRegressor(quality="fast", refit=True, random_state=0).fit(X, y)
    assert again.members_ == plain.members_
    assert again.score(X, y) > plain.score(X, y)


def test_max_time():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(4000, 20))
    y = (X[:, 0] + X[:, 1] ** 2 > 1).astype(int)
    make_estimator(hidden_layer_sizes=None, n_steps=2).fit(X, y)  # compiles
    clf = TabularMLPClassifier(max_time=3.0, n_steps=100_000, random_state=0)
    begin = time.perf_counter()
    clf.fit(X, y)
    seconds = time.perf_counter() - begin
    assert clf.stopping_reason_ == "max_time"
    assert clf.n_iter_ < 100_000
    assert clf.score(X, y) > 0.8
    assert seconds < 60  # far from 3, lest other processes decide
    patient = make_estimator(max_time=1000.0).fit(X, y)
    assert patient.stopping_reason_ == "n_steps"
    expected = make_estimator().fit(X, y)
    np.testing.assert_array_equal(patient.predict_proba(X), expected.predict_proba(X))


def test_hardly_any_time():
    X, y = make_table()
    clf = TabularMLPClassifier(max_time=1e-9, random_state=0).fit(X, y)
    assert clf.n_iter_ >= 1
    assert np.isfinite(clf.predict_proba(X)).all()


@pytest.fixture
def ctrl_c():
    """Python's own handler, which background jobs of a shell do not have."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_interrupt_keeps_the_best_so_far(n_jobs):
    X, y = make_table(n_rows=500)
    model = TabularMLPClassifier(n_steps=2400, n_jobs=n_jobs, random_state=0)
    timer = threading.Timer(1.0, _thread.interrupt_main)
    timer.start()
    try:
        model.fit(X, y)
        assert model.stopping_reason_ == "interrupted"
        assert model.n_iter_ < 2400
        assert np.isfinite(model.predict_proba(X)).all()
    except KeyboardInterrupt:  # before the first checkpoint there is nothing to keep
        assert not hasattr(model, "history_")
    finally:
        timer.join()


def test_a_failed_fit_changes_nothing():
    X, y = make_table()
    model = make_estimator().fit(X, y)
    before, state = model.predict_proba(X), vars(model).copy()
    with pytest.raises(ValueError, match="one class"):
        model.fit(X[["age"]], np.zeros(120))
    assert vars(model) == state
    np.testing.assert_array_equal(model.predict_proba(X), before)
    with pytest.raises(ValueError, match="diverged"):
        make_estimator(learning_rate_init=1e30, hidden_layer_sizes=(8,)).fit(X, y)


def test_many_threads_fit_and_predict():
    """One estimator in several threads is always a whole one."""
    X, y = make_table()
    model = make_estimator(n_steps=5).fit(X, y)
    expected = {}
    for seed in range(3):
        own = make_estimator(n_steps=5, random_state=seed).fit(X, y)
        expected[seed] = own.predict_proba(X)
    model.set_params(random_state=0).fit(X, y)
    errors, ends = [], threading.Event()

    def look():
        while not ends.is_set():
            found = model.predict_proba(X)
            if not any(np.array_equal(found, other) for other in expected.values()):
                errors.append(found)

    lookers = [threading.Thread(target=look) for _ in range(2)]
    for looker in lookers:
        looker.start()
    for seed in [1, 2, 0] * 3:
        model.set_params(random_state=seed).fit(X, y)
    ends.set()
    for looker in lookers:
        looker.join()
    assert not errors


@pytest.mark.parametrize("task", TASKS)
def test_linear(task):
    X, y = make_table(task)
    model = make_estimator(task, hidden_layer_sizes=()).fit(X, y)
    assert np.isfinite(predictions(model, X)).all()


@pytest.mark.parametrize(
    "activation", ["relu", "identity", "tanh", "swiglu", "gelu", "leaky_relu"]
)
def test_activations(activation):
    X, y = make_table("regression", 300)
    model = make_estimator("regression", activation=activation, n_steps=300).fit(X, y)
    assert model.score(X, y) > 0.6


def test_large_steps_are_counted_in_steps():
    """n_steps is exact, whatever the number of rows, and grows with it by default."""
    X, y = make_table(n_rows=300)
    assert make_estimator(n_steps=24).fit(X, y).n_iter_ == 24
    clf = TabularMLPClassifier(quality="fast", hidden_layer_sizes=(4,), n_members=1)
    few, many = clf.fit(X[:200], y[:200]).n_iter_, None
    X, y = make_table(n_rows=3000)
    many = clf.fit(X, y).n_iter_
    assert few < many
