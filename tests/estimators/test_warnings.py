"""Where warnings come from, and what they leave behind if they are errors."""

import re
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from joblib import parallel_config
from problems import make_estimator, make_problem
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skmlp
from skmlp import MLPRegressor
from skmlp.training import loop

X, y = make_problem("regression")


def regressor(**options):
    return make_estimator("regression", **options)


class Own(MLPRegressor):
    def fit(self, X, y):
        return super().fit(X, y)


def scaled(model):
    return make_pipeline(StandardScaler(), model)


def search(**options):
    return GridSearchCV(regressor(), {"alpha": [0, 1]}, cv=2, error_score="raise")


# name: (a call in one line, of the warning that is due)
CALLS = {
    "fit": (lambda: regressor().fit(X, y), "Maximum iterations"),
    "time": (lambda: regressor(max_time=1e-9).fit(X, y), "max_time"),
    "lbfgs": (lambda: regressor(solver="lbfgs").fit(X, y), "lbfgs failed"),
    "column": (lambda: regressor().fit(X, y[:, None]), "A column-vector y"),
    "batch": (lambda: regressor(batch_size=99).fit(X, y), "Got `batch_size`"),
    "partial": (lambda: regressor(batch_size=99).partial_fit(X, y), "Got `batch_"),
    "rate": (lambda: regressor(learning_rate="adaptive").fit(X, y), "learning_rate="),
    "frame": (lambda: regressor().fit(pd.DataFrame(X), pd.Series(y)), "Maximum"),
    "pipeline": (lambda: scaled(regressor()).fit(pd.DataFrame(X), y), "Maximum"),
    "outputs": (lambda: MultiOutputRegressor(regressor()).fit(X, X), "Maximum"),
    "folds": (lambda: cross_val_score(scaled(regressor()), X, y, cv=2), "Maximum"),
    "search": (lambda: search().fit(X, y), "Maximum iterations"),
}


@pytest.mark.parametrize("name", CALLS)
def test_warnings_come_from_the_users_call(name):
    call, expected = CALLS[name]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        call()
    caught = [w for w in caught if expected in str(w.message)]
    assert caught
    for w in caught:
        assert (w.filename, w.lineno) == (__file__, call.__code__.co_firstlineno)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", module=re.escape(__name__))
        call()


def test_the_line_of_a_subclass_counts():
    line = Own.fit.__code__.co_firstlineno + 1
    with pytest.warns(ConvergenceWarning) as caught:
        Own(max_iter=2).fit(X, y)
    assert [(w.filename, w.lineno) for w in caught] == [(__file__, line)]


def test_in_workers_they_come_from_skmlp():
    """There no line of the user's is on the stack."""
    with warnings.catch_warnings(), ThreadPoolExecutor(1) as pool:
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", module=r"skmlp\.")
        pool.submit(regressor().fit, X, y).result()
        pool.submit(scaled(regressor()).fit, X, y).result()
        with parallel_config("threading", n_jobs=2):
            cross_val_score(regressor(), X, y, cv=2, error_score="raise")


def test_once_for_each_line():
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(3):
            regressor().fit(X, y)
        regressor().fit(X, y)
    lines = [w.lineno for w in caught]
    assert len(lines) == len(set(lines)) == 2


def interrupt(patch, after=3):
    """Let Ctrl-C come in a later epoch."""

    def run_blocks(*arguments):
        nonlocal n_left
        n_left -= 1
        if n_left == 0:
            raise KeyboardInterrupt
        return original(*arguments)

    n_left, original = after + 1, loop.run_blocks
    patch.setattr(loop, "run_blocks", run_blocks)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("interrupted", [False, True])
def test_as_errors_they_come_when_all_is_done(
    solver, early_stopping, interrupted, monkeypatch
):
    """The estimator is what it is after a warning."""
    options = {"solver": solver, "early_stopping": early_stopping, "max_iter": 6}
    models = regressor(**options), regressor(**options)
    for model, action in zip(models, ("ignore", "error")):
        with warnings.catch_warnings(), monkeypatch.context() as patch:
            if interrupted:
                interrupt(patch)
            warnings.simplefilter(action)
            if action == "error":
                with pytest.raises(UserWarning):
                    model.fit(X, y)
            else:
                model.fit(X, y)
    expected, found = models
    assert found.stopping_reason_ == expected.stopping_reason_
    assert found.loss_curve_ == expected.loss_curve_
    np.testing.assert_array_equal(found.predict(X), expected.predict(X))


@pytest.mark.parametrize(
    "options", [{"batch_size": 99}, {"learning_rate": "adaptive"}]
)  # fmt: skip
def test_as_errors_those_of_parameters_change_nothing(options):
    model = regressor(**options)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(UserWarning):
            model.fit(X, y)
    assert vars(model) == vars(regressor(**options))


def test_no_other_file_warns():
    """They would count frames."""
    root = Path(skmlp.__file__).parent
    files = {p.name for p in root.rglob("*.py") if "warnings.warn(" in p.read_text()}
    assert files == {"warning.py"}
