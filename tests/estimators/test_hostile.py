"""Values that nobody means to pass: a finite result, or an error that names them."""

import pickle
from decimal import Decimal
from fractions import Fraction
from functools import partial
from math import inf, nan

import numpy as np
import pytest
from problems import make_estimator, make_problem
from sklearn.metrics import make_scorer, roc_auc_score

from skmlp import MLPClassifier, MLPRegressor, schedules

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


HUGE = 10**400
VALUES = [
    *(
        kind(value)
        for kind in (np.float16, np.float32, np.float64, np.longdouble)
        for value in (0.5, 1.5, 0.0, -1.0, 100.0, "nan", "inf", "-inf", 1e-7, 65504)
    ),
    *(np.float32(value) for value in ("1e-45", "3e38")),
    *(np.longdouble(value) for value in ("1e4000", "1e-4000", "0.1")),
    *(
        kind(value)
        for kind in (np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint64)
        for value in (0, 1, 2, 100, 127)
    ),
    *(np.iinfo(kind).max for kind in (np.int32, np.int64, np.uint64)),
    np.uint64(2**64 - 1),
    np.int8(-128),
    *(HUGE, -HUGE, 10**30, -(10**30), 2**63 - 1, 2**63, 2**31, 10**5000),
    *(Fraction(1, 3), Fraction(3, 2), Fraction(HUGE), Fraction(1, HUGE), Fraction(2)),
    *(Decimal("0.5"), Decimal(2), Decimal("NaN"), Decimal("1e500")),
    *(True, False, np.True_, np.False_, 0, 1, 2, -1, 0.0, -0.0, 0.5, 1.0, 2.0),
    *(nan, inf, -inf, 5e-324, 2.2e-308, 1e-300, 1e300, 1.7e308, 1 - 2**-53, 1 + 2**-52),
    *(np.array(0.5), np.array(2), np.array([0.5]), np.array([2, 3]), np.array([])),
    *(np.array([0.5], object), np.array("x"), np.matrix([[1.0]])),
    *(
        "",
        "none",
        "1",
        "auto",
        np.str_("auto"),
        np.str_("adam"),
        b"adam",
        "\0",
        "é" * 50,
    ),
    *(
        None,
        [],
        (),
        {},
        set(),
        [0.5],
        (2,),
        [None],
        [[]],
        [nan],
        [HUGE],
        [Fraction(1, 3)],
    ),
    *([np.int8(3)], [np.uint64(3)], [2**62], [10**30], ["1"], [True], [0.2, 0.8], [-1]),
    *(1j, np.complex64(1), object(), lambda *_: None, range(2)),
    *(
        lambda *_: 1,
        lambda *_: HUGE,
        lambda *_: "x",
        lambda *_: nan,
        lambda *_: np.ones(3),
    ),
    *(np.datetime64("2020"), np.timedelta64(1), slice(1), ..., NotImplemented),
]
# With these a parameter is looked at; with the others it might not be used.
SETTINGS = {
    "power_t": {"solver": "sgd", "learning_rate": "invscaling"},
    "momentum": {"solver": "sgd"},
    "nesterovs_momentum": {"solver": "sgd"},
    "max_fun": {"solver": "lbfgs"},
    "max_iter": {"tol": 1e9, "n_iter_no_change": 1},
    "validation_fraction": {"early_stopping": True},
    "scoring": {"early_stopping": True},
    "norm_momentum": {"normalization": "batch"},
    "norm_epsilon": {"normalization": "batch"},
    "norm_statistics": {"normalization": "batch"},
    "l1_ratio": {"alpha": 0.1},
    "rho": {"solver": "rmsprop"},
    "focal_gamma": {"loss": "focal"},
    "huber_delta": {"loss": "huber"},
    "quantile": {"loss": "quantile"},
    "tweedie_power": {"loss": "tweedie"},
    "nll_beta": {"loss": "gaussian_nll"},
}
OF_LBFGS = "alpha", "max_iter", "tol", "norm_epsilon", "hidden_layer_sizes", "scoring"
PARAMETERS = [
    (estimator, name, solver)
    for estimator in (MLPClassifier, MLPRegressor)
    for name in estimator().get_params()
    for solver in (None, "lbfgs")
    if solver is None or name in OF_LBFGS
]


def small_problem(dtype=np.float64):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(12, 3)).astype(dtype)
    return X, np.arange(12) % 3


def is_fitted_or_names(model, name, fit, X):
    """Whether the model was fitted, and is usable; else the error has the name."""
    try:
        fit()
    except (ValueError, TypeError) as error:
        assert name in str(error), error  # noqa: PT017
        return False
    assert np.isfinite(model.loss_curve_).all()
    if name == "learning_rate_init" and float(model.learning_rate_init) > 1e100:
        return True  # after a step as long as that, predict may refuse
    y_pred = model.predict(X)
    assert y_pred.shape[0] == len(X)
    if isinstance(model, MLPClassifier):
        y_pred = model.predict_proba(X)
    assert np.isfinite(y_pred).all()
    return True


def model_with(estimator, name, solver, value=None):
    settings = {"hidden_layer_sizes": (3,), "max_iter": 2, "random_state": 0}
    settings |= SETTINGS.get(name, {})
    if solver == "lbfgs":
        settings["solver"] = "lbfgs"
        settings["normalization"] = "layer" if name == "norm_epsilon" else None
    return estimator(**settings | ({} if value is None else value))


def values_for(name):
    """Without layers that take more memory than there is."""
    for value in VALUES:
        too_large = isinstance(value, (int, np.integer)) and 2**30 < int(value) < 2**32
        if not (too_large and name == "hidden_layer_sizes"):
            yield value


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(("estimator", "name", "solver"), PARAMETERS)
def test_every_parameter_is_checked(estimator, name, solver, capsys):
    X, y = small_problem()
    rows = {np.float32: X.astype(np.float32), np.float64: X}
    for value in values_for(name):
        for dtype in np.float64, np.float32:
            model = model_with(estimator, name, solver, {name: value})
            fit = partial(model.fit, rows[dtype], y)
            fitted = is_fitted_or_names(model, name, fit, rows[dtype])
            assert model.get_params()[name] is value
            if not fitted:
                break


THREE = np.int8(3)
UNLIKE_PARTIAL_FIT = (
    *("solver", "max_fun", "early_stopping", "validation_fraction", "scoring"),
    *("hidden_layer_sizes", "quantile"),  # which make another network
)
IN_TRAINING = [
    (estimator, name)
    for estimator in (MLPClassifier, MLPRegressor)
    for name in estimator().get_params()
    if name not in UNLIKE_PARTIAL_FIT
]


def test_defaults_of_subclasses_are_checked():
    """Before they are trusted, and made Python's own."""

    class Odd(MLPRegressor):
        def __init__(self, alpha=-1.0, max_iter=THREE, activation="relu"):
            super().__init__(alpha=alpha, max_iter=max_iter, activation=activation)

    X, y = make_problem("regression")
    with pytest.raises(ValueError, match="'alpha' parameter of Odd"):
        Odd().fit(X, y)
    assert Odd(alpha=0.1).fit(X, y).n_iter_ == 3


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(("estimator", "name"), IN_TRAINING)
def test_numbers_are_checked_between_calls_of_partial_fit(estimator, name):
    """scikit-learn checks only the first of them."""
    X, y = small_problem()
    classes = {"classes": [0, 1, 2]} if estimator is MLPClassifier else {}
    model = model_with(estimator, name, None).partial_fit(X, y, **classes)
    state = pickle.dumps(model)
    for value in values_for(name):
        model = pickle.loads(state).set_params(**{name: value})
        is_fitted_or_names(model, name, partial(model.partial_fit, X, y), X)
        assert model.get_params()[name] is value


@pytest.mark.parametrize("estimator", [MLPClassifier, MLPRegressor])
@pytest.mark.parametrize("options", [{}, {"solver": "lbfgs"}, {"early_stopping": True}])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_weights_of_rows(estimator, options):
    X, y = np.tile(small_problem()[0], (3, 1)), np.arange(36) % 3
    for value in VALUES:
        for weight in [value, *[1.0] * 35], [value] * 36:
            model = estimator((3,)) if estimator is MLPClassifier else estimator()
            model.set_params(hidden_layer_sizes=(3,), max_iter=2, **options)
            fit = partial(model.fit, X, y, weight)
            try:
                is_fitted_or_names(model, "", fit, X)
            except (ValueError, TypeError) as error:
                text = str(error).lower()
                assert "weight" in text or "float()" in text, text


@pytest.mark.parametrize("mean", [1e-300, 5e-324, 1.7e308])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_weights_are_named_not_the_data(mean, dtype):
    X, y = small_problem(dtype)
    with pytest.raises(ValueError, match="sample_weight"):
        MLPRegressor(alpha=1.0).fit(X, y, np.full(12, mean))


@pytest.mark.filterwarnings("ignore::numpy.exceptions.ComplexWarning")
def test_weights_of_classes():
    X, y = small_problem()
    for value in VALUES:
        model = MLPClassifier((3,), max_iter=2, class_weight={0: value})
        is_fitted_or_names(model, "class_weight", partial(model.fit, X, y), X)
        Y = np.eye(3, dtype=int)[y]
        model.set_params(class_weight=[{0: value, 1: 1}] * 3)
        is_fitted_or_names(model, "class_weight", partial(model.fit, X, Y), X)


SCHEDULES = [
    (kind, field)
    for kind in vars(schedules).values()
    if isinstance(kind, type) and getattr(kind, "ranges", None)
    for field in kind.ranges
]


@pytest.mark.parametrize(("kind", "field"), SCHEDULES)
def test_fields_of_schedules(kind, field):
    X, y = small_problem()
    for value in VALUES:
        try:
            schedule = kind(**{field: value})
        except (ValueError, TypeError) as error:
            assert field in str(error)  # noqa: PT017
            continue
        model = MLPRegressor(hidden_layer_sizes=(3,), max_iter=2)
        is_fitted_or_names(
            model.set_params(learning_rate=schedule), "", partial(model.fit, X, y), X
        )


@pytest.mark.parametrize(
    "factors",
    [None, "x", nan, -1, inf, HUGE, [], [1.0] * 7, np.ones((3, 2)), 1j, {}, object()],
)
@pytest.mark.parametrize("warm", [False, True])
def test_schedules_that_return_something_else(factors, warm):
    class Odd(schedules.Schedule):
        def factors(self, clock):
            return factors

    X, y = small_problem()
    rate = schedules.Warmup(Odd()) if warm else Odd()
    model = MLPRegressor(learning_rate=rate, batch_size=4, max_iter=2)
    with pytest.raises(ValueError, match="learning_rate must give finite factors"):
        model.fit(X, y)


@pytest.mark.parametrize(
    "factors", [1, 0.5, np.float32(0.5), np.array(0.5), [0.5] * 3, np.full(3, 1), True]
)
def test_schedules_may_return_scalars(factors):
    class Odd(schedules.Schedule):
        def factors(self, clock):
            return factors

    X, y = small_problem()
    options = {"hidden_layer_sizes": (3,), "batch_size": 4, "max_iter": 2}
    model = MLPRegressor(learning_rate=Odd(), random_state=0, **options).fit(X, y)
    rate = 0.001 * float(np.ravel(factors)[0])
    usual = MLPRegressor(learning_rate_init=rate, random_state=0, **options).fit(X, y)
    np.testing.assert_allclose(model.coefs_[0], usual.coefs_[0], rtol=1e-12)


@pytest.mark.parametrize("result", [HUGE, None, "x", 1j, [1.0, 2.0], nan, inf, -inf])
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
def test_scorers_that_return_no_number(result, solver):
    X, y = small_problem()
    model = MLPRegressor(solver=solver, scoring=lambda *_: result, max_iter=2)
    with pytest.raises(ValueError, match="scoring="):
        model.fit(X, y, X_val=X, y_val=y)


@pytest.mark.parametrize(
    ("task", "scoring"),
    [
        ("regression", "roc_auc"),
        ("regression", "accuracy"),
        ("regression", "neg_log_loss"),
        ("regression", make_scorer(roc_auc_score, response_method="predict_proba")),
        ("multi-output", "neg_max_error"),
        ("binary", "r2"),
        ("multiclass", "roc_auc"),
        ("multilabel", "matthews_corrcoef"),
    ],
)
@pytest.mark.parametrize("early_stopping", [False, True])
def test_scorers_that_do_not_fit(task, scoring, early_stopping):
    X, y = make_problem(task)
    model = make_estimator(task, scoring=scoring, early_stopping=early_stopping)
    with pytest.raises(ValueError, match=r"scoring=.* does not fit MLP"):
        model.fit(X, y, X_val=X, y_val=y)
    assert not hasattr(model, "loss_curve_")


def test_a_power_near_the_pole_gives_the_loss_of_the_pole():
    X, y = small_problem()
    options = {"hidden_layer_sizes": (3,), "max_iter": 2, "random_state": 0}
    for pole, loss in (1, "poisson"), (2, "gamma"):
        y = y + float(pole > 1)
        expected = MLPRegressor(loss=loss, **options).fit(X, y).loss_curve_
        power = np.nextafter(pole, 1.5)
        model = MLPRegressor(loss="tweedie", tweedie_power=power, **options).fit(X, y)
        assert model.loss_curve_ == expected


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_divergence_names_unusual_parameters():
    X, y = small_problem()
    for options in {"alpha": 1e300}, {"learning_rate_init": 1e300, "alpha": 0}:
        model = MLPRegressor(solver="sgd", max_iter=9, **options)
        with pytest.raises(ValueError, match=r"non-finite .* due to \w+=1e\+300\?"):
            model.fit(X, y)


UNDERFLOWS = [
    {
        "solver": solver,
        "max_iter": 2000,
        "tol": 0,
        "n_iter_no_change": 9999,
        "beta_1": 0.5,
    }
    for solver in ("adam", "nadam", "schedule_free", "lbfgs")
] + [
    {"early_stopping": True, "dtype": "float32"},
    {"normalization": "batch", "norm_statistics": "population"},
    {"learning_rate": "exponential", "learning_rate_init": 1e-300},
]


@pytest.mark.parametrize("options", UNDERFLOWS)
@pytest.mark.parametrize("task", ["multiclass", "regression"])
@pytest.mark.parametrize("scale", [1e-200, 1e-30, 1e3])
def test_numpy_may_be_told_to_raise(options, task, scale):
    """Whatever is right otherwise is right then, with the same bits."""
    X, y = make_problem(task)
    X *= scale
    weight = np.linspace(1e-5, 1, len(X))
    outputs = []
    for kind in "ignore", "raise":
        model = make_estimator(task, **options)
        with np.errstate(all=kind):
            model.fit(X, y, weight)
            outputs.append([model.predict(X), model.score(X, y), *model.coefs_])
            if task == "multiclass":
                outputs[-1] += [model.predict_proba(X), model.predict_log_proba(X)]
    for ignored, raised in zip(*outputs):
        np.testing.assert_array_equal(ignored, raised)
