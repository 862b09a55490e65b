"""What becomes of a last minibatch that is short."""

from itertools import pairwise

import numpy as np
import pytest
from problems import classes
from sklearn.base import clone

from skmlp import MLPClassifier, MLPRegressor
from skmlp.machine import threads

pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning",
    "ignore:Got `batch_size` less than 1:UserWarning",
)

X, y = classes(401)
NORMALIZED = None, "batch", "layer"


def classifier(**options):
    settings = {"batch_size": 200, "max_iter": 4, "random_state": 0}
    return MLPClassifier((12, 8), **settings | options)


def state(model):
    return model.loss_curve_, model._params.tobytes()


@pytest.mark.parametrize("normalization", NORMALIZED)
@pytest.mark.parametrize(
    ("last_batch", "edges"),
    [("keep", (0, 200, 400, 401)), ("merge", (0, 200, 401)), ("drop", (0, 200, 400))],
)
def test_steps_of_partial_fit(normalization, last_batch, edges):
    """An epoch is a call of partial_fit for each minibatch."""
    options = {"normalization": normalization, "shuffle": False}
    whole = classifier(last_batch=last_batch, **options).fit(X, y)
    parts = classifier(**options)
    for _ in range(4):
        for start, stop in pairwise(edges):
            parts.set_params(batch_size=stop - start)
            parts.partial_fit(X[start:stop], y[start:stop], classes=[0, 1, 2])
    np.testing.assert_allclose(whole._params, parts._params, rtol=1e-9, atol=1e-12)
    losses, sizes = np.reshape(parts.loss_curve_, (4, -1)), np.diff(edges)
    expected = losses @ sizes / sizes.sum()
    np.testing.assert_allclose(whole.loss_curve_, expected, rtol=1e-9)
    assert whole.t_ == 4 * edges[-1]


@pytest.mark.parametrize("last_batch", ["merge", "drop"])
@pytest.mark.parametrize(
    "options",
    [{"batch_size": 500}, {"batch_size": "auto"}, {"batch_size": 1, "max_iter": 1}],
)
@pytest.mark.parametrize("n_rows", [150, 400])
def test_no_bit_changes_without_a_rest(last_batch, options, n_rows):
    model = classifier(**options)
    other = clone(model).set_params(last_batch=last_batch)
    rows = X[:n_rows], y[:n_rows]
    assert state(model.fit(*rows)) == state(other.fit(*rows))


@pytest.mark.parametrize("last_batch", ["merge", "drop"])
@pytest.mark.parametrize("normalization", NORMALIZED)
def test_threads_change_no_bit(last_batch, normalization, monkeypatch):
    monkeypatch.setattr(threads, "_FLOPS_FOR_A_THREAD", 1)
    model = classifier(last_batch=last_batch, normalization=normalization)
    model.set_params(hidden_layer_sizes=(300, 200), max_iter=2)
    results = []
    for n in 1, 2:
        monkeypatch.setattr(threads, "n_threads", lambda n=n: n)
        results.append(state(clone(model).fit(X, y)))
    assert results[0] == results[1]


@pytest.mark.parametrize("last_batch", ["merge", "drop"])
def test_calls_of_partial_fit_are_epochs(last_batch):
    whole = classifier(last_batch=last_batch).fit(X, y)
    parts = clone(whole)
    for _ in range(4):
        parts.partial_fit(X, y, classes=[0, 1, 2])
    assert state(whole) == state(parts)


@pytest.mark.parametrize("last_batch", ["merge", "drop"])
def test_with_validation_rows_and_weights(last_batch):
    weight = np.random.default_rng(0).random(len(X)) * 2
    model = classifier(last_batch=last_batch, early_stopping=True, batch_size=90)
    model.fit(X, y, weight)  # 360 rows train
    same = clone(model).set_params(last_batch="keep").fit(X, y, weight)
    assert state(model) == state(same)
    model.set_params(batch_size=179).fit(X, y, weight)
    assert model.t_ == 4 * (360 if last_batch == "merge" else 358)


def test_dropped_rows_are_others_in_each_epoch():
    """With shuffle; else the last rows never train."""
    rows, target = X[:11], X[:11, 0].copy()
    target[-1] = 1e9
    settings = {"batch_size": 10, "last_batch": "drop", "random_state": 0}
    model = MLPRegressor("squared_error", (3,), max_iter=20, **settings)
    assert max(clone(model).fit(rows, target).loss_curve_) > 1e9
    fixed = clone(model).set_params(shuffle=False).fit(rows, target)
    assert max(fixed.loss_curve_) < 1e3
