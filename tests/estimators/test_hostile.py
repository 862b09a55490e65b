"""Values that nobody means to pass: a finite result, or an error that names them."""

import numpy as np
import pytest
from problems import make_estimator, make_problem

from skmlp import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
DAYS = np.arange(40).astype("datetime64[D]").reshape(10, 4)


@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_a_scorer_that_stops_iteration_is_no_convergence(solver):
    def scorer(model, X, y):
        return next(iter(()))

    X, y = make_problem("regression")
    model = make_estimator("regression", solver=solver, scoring=scorer)
    with pytest.raises((RuntimeError, StopIteration)):
        model.fit(X, y, X_val=X, y_val=y)
    assert not hasattr(model, "coefs_")


@pytest.mark.parametrize("dtype", [">i4", ">i8", ">f4", ">f8", ">U3", "<U3", "<i4"])
@pytest.mark.parametrize("partial", [False, True])
def test_labels_come_back_in_native_order(dtype, partial):
    X, _ = make_problem("multiclass")
    y = (np.arange(len(X)) % 3).astype(dtype)
    model = make_estimator("multiclass")
    if partial:
        model.partial_fit(X, y, classes=np.unique(y))
    else:
        model.fit(X, y)
    assert model.classes_.dtype.isnative
    assert model.predict(X).dtype.isnative
    assert set(model.predict(X)) <= set(y)
    native = make_estimator("multiclass").fit(
        X, y.astype(np.dtype(dtype).newbyteorder("="))
    )
    if not partial:
        np.testing.assert_array_equal(model.predict_proba(X), native.predict_proba(X))


def frames():
    pd = pytest.importorskip("pandas")
    days = pd.DataFrame(DAYS).add_prefix("c")
    mixed = days.assign(c0=1.0)
    aware = days.apply(lambda column: column.dt.tz_localize("UTC"))
    return days, mixed, aware, days - days.iloc[0]


TIMES = {
    "dates": lambda: DAYS,
    "durations": lambda: DAYS - DAYS[0],
    "rows": lambda: [list(row) for row in DAYS],
    "arrays": lambda: list(DAYS),
    "frame": lambda: frames()[0],
    "one column": lambda: frames()[1],
    "with a zone": lambda: frames()[2],
    "frame of durations": lambda: frames()[3],
}


@pytest.mark.parametrize("make", TIMES.values(), ids=TIMES.keys())
@pytest.mark.parametrize("estimator", [MLPClassifier, MLPRegressor])
def test_dates_are_no_numbers(make, estimator):
    y = np.arange(10) % 2
    with pytest.raises(TypeError, match="dates or durations"):
        estimator().fit(make(), y)
    model = estimator(max_iter=1).fit(np.eye(10, 4), y)
    with pytest.raises(TypeError, match="dates or durations"):
        model.predict(make())


def test_dates_are_no_targets():
    with pytest.raises(TypeError, match="y holds dates or durations"):
        MLPRegressor().fit(np.eye(10, 4), DAYS[:, 0])
