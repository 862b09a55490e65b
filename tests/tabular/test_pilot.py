"""The choice of the encoding of numbers."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from tabular.problems import predictions

import skmlp
from skmlp import TabularMLPClassifier, TabularMLPRegressor
from skmlp.tabular import pilot
from skmlp.tabular.members import Checkpoint

N_ROWS = 3000


def smooth(Z):
    return np.sin(2 * Z[:, 0]) + Z[:, 1] * Z[:, 2]


def edges(Z):
    """Stairs, narrow against the distance between rows of low density."""
    stairs = np.floor(6 * Z[:, 0]) % 2 + np.floor(5 * Z[:, 1]) % 2
    return stairs + (Z[:, 2] > 0.3)


def make_problem(function, is_class, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(N_ROWS, 3))
    y = function(X)
    return X, (y > np.median(y)).astype(int) if is_class else y


@pytest.mark.parametrize("estimator", [TabularMLPClassifier, TabularMLPRegressor])
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize(
    ("function", "expected"), [(smooth, "waves"), (edges, "pieces")]
)
def test_the_target_decides(estimator, seed, function, expected):
    X, y = make_problem(function, estimator is TabularMLPClassifier)
    model = estimator(quality="fast", random_state=seed).fit(X, y)
    assert model.number_encoding_ == expected


@pytest.mark.parametrize("loss", ["gaussian_nll", "quantile", "squared_error"])
@pytest.mark.parametrize(
    ("function", "expected"), [(smooth, "waves"), (edges, "pieces")]
)
def test_losses(loss, function, expected):
    """Also where an error may be negative, as a log-likelihood."""
    X, y = make_problem(function, False)
    model = TabularMLPRegressor(quality="fast", loss=loss, random_state=0).fit(X, y)
    assert model.number_encoding_ == expected


@pytest.mark.parametrize("encoding", ["waves", "pieces"])
def test_encoding_by_hand_has_the_bits_of_the_chosen(encoding):
    X, y = make_problem(smooth if encoding == "waves" else edges, True)
    chosen = TabularMLPClassifier(quality="fast", random_state=0).fit(X, y)
    given = clone(chosen).set_params(number_encoding=encoding).fit(X, y)
    assert given.number_encoding_ == chosen.number_encoding_ == encoding
    np.testing.assert_array_equal(predictions(given, X), predictions(chosen, X))


@pytest.mark.parametrize(
    ("X", "expected"),
    [
        (np.random.default_rng(0).normal(size=(60, 3)), {"waves", "pieces"}),
        (np.random.default_rng(0).normal(size=(60, 600)), {None}),  # no room
        (np.random.default_rng(0).integers(0, 2, (60, 2)), {"waves", "pieces"}),
        ([["a"], ["b"], ["c"]] * 20, {None}),
        (sparse.random_array((60, 5), density=0.5, rng=0, format="csr"), {None}),
    ],
    ids=["numbers", "very many numbers", "two values", "categories", "sparse"],
)
@pytest.mark.parametrize("encoding", ["auto", "waves", "pieces"])
def test_tables(X, expected, encoding):
    model = TabularMLPRegressor(
        quality="fast", number_encoding=encoding, n_steps=12, random_state=0
    )
    model.fit(X, np.arange(60.0))
    assert model.number_encoding_ in expected
    assert np.isfinite(model.predict(X)).all()


def choose(
    errors,
    loss="squared_error",
    steps=(40, 40),
    reasons=("n_steps", "n_steps"),
    *,
    monkeypatch,
):
    """Which of two designs the pilot chooses after these results."""
    results = [
        ([] if error is None else [Checkpoint(step, 0, 0, error, None, None)], reason)
        for error, step, reason in zip(errors, steps, reasons)
    ]
    monkeypatch.setattr(pilot, "_pilots", lambda designs, task: designs)
    monkeypatch.setattr(pilot, "train_members", lambda *args, **kwargs: results)
    task = SimpleNamespace(objective=SimpleNamespace(loss=loss))
    return pilot.choose_design(["waves", "pieces"], task, 0, n_jobs=1)


@pytest.mark.parametrize(
    ("loss", "errors", "expected"),
    [
        ("log_loss", (1.0, 0.97**2), "pieces"),
        ("squared_error", (1.0, 0.97**2), "pieces"),
        ("squared_error", (1.0, 0.98**2), "waves"),
        ("squared_error", (1.0, 2.0), "waves"),
        ("squared_error", (0.0, 0.0), "waves"),
        ("squared_error", (1.0, 0.0), "pieces"),
        ("squared_error", (np.nan, 1.0), "waves"),
        ("squared_error", (1.0, np.nan), "waves"),
        ("squared_error", (None, None), "waves"),
        ("quantile", (1.0, 0.97), "pieces"),
        ("quantiles", (1.0, 0.98), "waves"),
        ("gaussian_nll", (-1.0, -1.0 + np.log(0.97)), "pieces"),
        ("gaussian_nll", (-1.0, -1.0 + np.log(0.98)), "waves"),
    ],
)
def test_margin(loss, errors, expected, monkeypatch):
    assert choose(errors, loss, monkeypatch=monkeypatch) == expected


def test_pilots_that_did_not_come_equally_far(monkeypatch):
    reasons = "n_steps", "diverged"
    for steps, errors in ((40, 20), (1.0, 0.1)), ((40, 40), (1.0, None)):
        found = choose(errors, steps=steps, reasons=reasons, monkeypatch=monkeypatch)
        assert found == "waves"


def test_pilots_that_had_little_time(monkeypatch):
    reasons = "max_time", "max_time"
    assert choose((1.0, 0.5), reasons=reasons, monkeypatch=monkeypatch) == "pieces"


def test_interrupted_pilots_end_the_fit(monkeypatch):
    with pytest.raises(KeyboardInterrupt):
        choose(
            (1.0, 0.5),
            steps=(40, 20),
            reasons=("n_steps", "interrupted"),
            monkeypatch=monkeypatch,
        )


def test_bad_encoding():
    X, y = make_problem(smooth, True)
    with pytest.raises(ValueError, match="'number_encoding' parameter"):
        skmlp.TabularMLPClassifier(number_encoding="splines").fit(X, y)
