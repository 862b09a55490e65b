"""Fits without an estimator, which train what an estimator trains."""

import gc
import weakref

import numpy as np
import pytest
from problems import make_estimator, make_problem

from skmlp.core.architecture import make_architecture
from skmlp.training.fit import Fit
from skmlp.training.inference import mean_loss, predict
from skmlp.training.initialization import initialize_network
from skmlp.training.lbfgs import LbfgsFit
from skmlp.training.model import Model
from skmlp.training.rows import TrainingRows, make_data
from skmlp.training.settings import Objective, Penalties, Settings, Stepping, Stopping

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
X, Y = make_problem("regression")
Y = Y.reshape(len(X), -1)
DATA = make_data(X, np.float64, Y)
ARCHITECTURE = make_architecture([X.shape[1], 7, Y.shape[1]], "relu")


def make_fit(kind=Fit, *, judge=None, stopping=None, **stepping):
    """A model, and a fit with the settings of `make_estimator`."""
    random_state = np.random.RandomState(3)
    model = Model(
        ARCHITECTURE, initialize_network(ARCHITECTURE, np.float64, random_state)
    )
    stepping = {"max_iter": 5, "batch_size": len(X), **stepping}
    fit = kind(
        model,
        TrainingRows(DATA, np.arange(len(X))),
        Objective("squared_error"),
        Settings(Stepping(**stepping), stopping or Stopping(), Penalties()),
        judge=judge,
        random_state=random_state,
    )
    return model, fit


def judge(params):
    """(loss, minus loss) on all rows."""
    predicted = predict(ARCHITECTURE, params, DATA)
    loss = mean_loss(predicted, Y, None, loss="squared_error", hyper={})
    return loss, -loss


@pytest.mark.parametrize(
    ("kind", "solver"), [(Fit, "adam"), (Fit, "sgd"), (LbfgsFit, "lbfgs")]
)
def test_same_bits_as_an_estimator(kind, solver):
    batch_size = 20 if kind is Fit else len(X)
    model, fit = make_fit(kind, solver=solver, batch_size=batch_size, max_iter=30)
    records = []
    fit.run(records.append)
    expected = make_estimator(
        "regression", solver=solver, batch_size=batch_size, max_iter=30
    ).fit(X, Y.ravel())
    np.testing.assert_array_equal(model.params, expected._params)
    assert [record.loss for record in records] == expected.loss_curve_
    assert [record.number for record in records] == list(range(1, len(records) + 1))
    assert fit.reason == expected.stopping_reason_


def test_records_say_which_epoch_is_best():
    stopping = Stopping(early_stopping=True, tol=0, n_iter_no_change=3)
    settings = {"learning_rate_init": 0.3, "max_iter": 200}
    model, fit = make_fit(judge=judge, stopping=stopping, **settings)
    records = list(fit.records())
    scores = [record.score for record in records]
    assert fit.reason == "converged"
    assert [i for i, record in enumerate(records) if record.is_best][-1] == np.argmax(
        scores
    )
    assert judge(model.params)[1] == max(scores) > scores[-1]
    assert records[-1].n_idle == 4
    assert all(record.validation_loss == -record.score for record in records)


def test_stop():
    model, fit = make_fit(max_iter=50)
    for record in fit.records():
        if record.number == 3:
            fit.stop("enough")
    shorter, other = make_fit(max_iter=3)
    other.run(lambda record: None)
    assert (fit.reason, fit.n_epochs) == ("enough", 3)
    np.testing.assert_array_equal(model.params, shorter.params)


@pytest.mark.parametrize("leave", ["break", "Ctrl-C"])
def test_who_leaves_the_loop_keeps_its_weights(leave):
    def show(record):
        if record.number == 3:
            raise KeyboardInterrupt

    model, fit = make_fit(max_iter=50)
    if leave == "Ctrl-C":
        fit.run(show)
    else:
        for record in fit.records():
            if record.number == 3:
                break
        del record
    shorter, other = make_fit(max_iter=3)
    other.run(lambda record: None)
    assert fit.reason == ("interrupted" if leave == "Ctrl-C" else "stopped")
    np.testing.assert_array_equal(model.params, shorter.params)


@pytest.mark.parametrize("kind", [Fit, LbfgsFit])
def test_no_circle_keeps_a_fit_alive(kind):
    """Its memory, which may be large, is free with the last reference to it."""
    solver = "adam" if kind is Fit else "lbfgs"
    gc.disable()
    try:
        _, fit = make_fit(kind, judge=judge, solver=solver)
        fit.run(lambda record: None)
        epochs = weakref.ref(fit._epochs)
        del fit
        assert epochs() is None
    finally:
        gc.enable()


def test_threads_stay_while_rows_are_augmented():
    """They know the arguments of the first run only."""

    def shift(X, Y, random_state):
        return X + random_state.standard_normal(X.shape), Y

    _, fit = make_fit(augmentation=shift, max_iter=5, batch_size=20)
    arguments, losses = [], []
    for record in fit.records():
        arguments.append(fit._epochs._arguments)
        losses.append(record.loss)
    assert all(given is arguments[0] for given in arguments)
    assert len(set(losses)) == 5
    np.testing.assert_array_equal(DATA.X, X)


@pytest.mark.parametrize(
    ("kind", "solver"), [(Fit, "adam"), (Fit, "schedule_free"), (LbfgsFit, "lbfgs")]
)
def test_records_hold_predictions_and_snapshots_are_judged_alike(kind, solver):
    def judge_and_predict(params):
        return *judge(params), predict(ARCHITECTURE, params, DATA)

    model, fit = make_fit(kind, judge=judge_and_predict, solver=solver, max_iter=4)
    records, snapshots = [], []

    def show(record):
        records.append(record)
        snapshots.append(fit.snapshot())

    fit.run(show)
    for record, params in zip(records, snapshots):
        assert judge(params) == (record.validation_loss, record.score)
        expected = predict(ARCHITECTURE, params, DATA)
        np.testing.assert_array_equal(record.predictions, expected)
    assert not any(np.shares_memory(params, model.params) for params in snapshots)
    np.testing.assert_array_equal(snapshots[-1], model.params)


def test_without_a_judge_records_have_no_predictions():
    _, fit = make_fit()
    assert all(record.predictions is None for record in fit.records())
