"""The same int random_state gives what scikit-learn gives."""

import inspect
import re
import warnings

import numpy as np
import pandas as pd
import pytest
import sklearn
from problems import TASKS, is_classification, make_estimator, make_problem
from scipy import sparse
from sklearn import neural_network
from sklearn.exceptions import ConvergenceWarning
from sklearn.preprocessing import LabelBinarizer

import skmlp

ACTIVATIONS = "identity", "logistic", "tanh", "relu"
NAMES = "MLPClassifier", "MLPRegressor"
IS_OLD = sklearn.__version__.startswith("1.7.")
# Relative to the largest number of each array.  float32 is wide because scikit-learn
# computes partly in float64 there (its targets promote the gradients), and Adam's
# first steps divide rounding errors by themselves.
TOLERANCE = {np.float64: 1e-7, np.float32: 2e-4}


def run(estimator, X, y, method="fit", **kwargs):
    """Fit; returns the warnings as (category, text)."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        getattr(estimator, method)(X, y, **kwargs)
    return [(w.category, str(w.message)) for w in caught]


def assert_close(ours, theirs, tolerance):
    ours, theirs = np.asarray(ours), np.asarray(theirs)
    assert ours.shape == theirs.shape
    scale = max(np.abs(theirs).max(initial=0), 1e-3)
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance * scale)


def assert_same(ours, theirs, X, tolerance=1e-7):
    """Weights, records and predictions agree."""
    for name in ("coefs_", "intercepts_"):
        assert len(getattr(ours, name)) == len(getattr(theirs, name))
        for mine, yours in zip(getattr(ours, name), getattr(theirs, name)):
            assert_close(mine, yours, tolerance)
    for name in ("n_iter_", "n_layers_", "n_outputs_", "out_activation_", "t_"):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert_close(ours.loss_, theirs.loss_, tolerance)
    if ours.solver != "lbfgs":  # no loss_curve_ in scikit-learn's
        for name in ("loss_curve_", "validation_scores_"):
            mine, yours = getattr(ours, name), getattr(theirs, name)
            assert (mine is None) == (yours is None), name
            if yours is not None:
                assert_close(mine, yours, tolerance)
        for name in ("best_loss_", "best_validation_score_"):
            assert (getattr(ours, name) is None) == (getattr(theirs, name) is None)
    if not hasattr(theirs, "classes_"):
        assert_close(ours.predict(X), theirs.predict(X), tolerance)
        return
    np.testing.assert_array_equal(ours.classes_, theirs.classes_)
    np.testing.assert_array_equal(ours.predict(X), theirs.predict(X))
    assert ours.predict(X).dtype == theirs.predict(X).dtype
    assert_close(ours.predict_proba(X), theirs.predict_proba(X), tolerance)
    likely = theirs.predict_proba(X) > 1e-3  # theirs: log(0), and cancellation in 1 - p
    log_proba = ours.predict_log_proba(X)[likely]
    assert_close(log_proba, np.log(theirs.predict_proba(X)[likely]), 1e3 * tolerance)


def both(task, X, y, tolerance=1e-7, methods=("fit",), fit_params=None, **params):
    """Fit both, compare, and return ours."""
    if IS_OLD and params.get("early_stopping") and y.dtype.kind == "U":
        _, y = np.unique(y, return_inverse=True)  # texts it could not score
    ours = make_estimator(task, **params)
    theirs = make_estimator(task, neural_network, **params)
    for method in methods:
        kwargs = dict(fit_params or {})
        assert run(ours, X, y, method, **kwargs) == run(theirs, X, y, method, **kwargs)
        assert_same(ours, theirs, X, tolerance)
    return ours


# Every pair of values of these four occurs with every solver, activation and task; the
# full product finds nothing more and takes four times as long.
@pytest.mark.parametrize(
    ("dtype", "batch_size", "early_stopping", "csr"),
    [
        (np.float64, "auto", False, False),
        (np.float32, "auto", True, True),
        (np.float64, 16, True, True),
        (np.float32, 16, False, False),
        (np.float64, 7, True, False),
        (np.float32, 7, False, True),
    ],
)
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_stochastic(solver, activation, task, dtype, batch_size, early_stopping, csr):
    X, y = make_problem(task, dtype=dtype, csr=csr)
    both(
        task,
        X,
        y,
        TOLERANCE[dtype],
        solver=solver,
        activation=activation,
        batch_size=batch_size,
        early_stopping=early_stopping,
    )


# Without early stopping and batches: scikit-learn's lbfgs ignores both.  In float32 it
# evaluates the loss in float32, which soon makes its line search take another turn.
@pytest.mark.parametrize("csr", [False, True], ids=["dense", "csr"])
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_lbfgs(activation, task, dtype, csr):
    X, y = make_problem(task, dtype=dtype, csr=csr)
    max_iter = 5 if dtype == np.float64 else 2
    params = {"solver": "lbfgs", "activation": activation, "max_iter": max_iter}
    both(task, X, y, TOLERANCE[dtype], **params)


@pytest.mark.parametrize("csr", [False, True], ids=["dense", "csr"])
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
@pytest.mark.parametrize("task", TASKS)
def test_sample_weight_in_full_batch(task, solver, csr):
    X, y = make_problem(task, csr=csr)
    weight = np.random.RandomState(1).uniform(0.1, 5, X.shape[0])
    fit_params = {"sample_weight": weight}
    both(task, X, y, solver=solver, alpha=0.1, fit_params=fit_params)


@pytest.mark.parametrize("task", ["binary", "multi-output"])
@pytest.mark.parametrize(
    "params",
    [
        {"hidden_layer_sizes": ()},
        {"hidden_layer_sizes": [6, 5, 4], "activation": "tanh"},
        {"hidden_layer_sizes": 4},
        {"hidden_layer_sizes": np.array([4, 3])},
        {"shuffle": False, "batch_size": 13},
        {"alpha": 0},
        {"alpha": 10.0, "batch_size": 13},
        {"batch_size": 1000},
        {"batch_size": 1, "max_iter": 2},
        {"beta_1": 0.5, "beta_2": 0.9, "epsilon": 1e-3},
        {"beta_1": 0, "beta_2": 0},
        {"solver": "sgd", "momentum": 0},
        {"solver": "sgd", "momentum": 0.5, "nesterovs_momentum": False},
        {"solver": "sgd", "nesterovs_momentum": True, "learning_rate_init": 0.1},
        {"solver": "sgd", "learning_rate": "invscaling", "learning_rate_init": 0.5},
        {"solver": "sgd", "learning_rate": "invscaling", "power_t": 0.1},
        {"solver": "lbfgs", "hidden_layer_sizes": ()},
        {"solver": "lbfgs", "hidden_layer_sizes": (5, 5, 5), "activation": "logistic"},
        {"solver": "lbfgs", "max_fun": 5, "max_iter": 50},
        {"early_stopping": True, "validation_fraction": 0.4, "batch_size": 10},
    ],
    ids=str,
)
def test_parameter(task, params):
    both(task, *make_problem(task), **params)


@pytest.mark.parametrize("task", ["multiclass", "regression"])
@pytest.mark.parametrize(
    "params",
    [
        {"tol": 1e-2},
        {"tol": 1e-2, "n_iter_no_change": 2},
        {"solver": "sgd", "tol": 1e-2, "n_iter_no_change": 3, "batch_size": 10},
        {"tol": 1e-2, "early_stopping": True, "n_iter_no_change": 4},
        {
            "solver": "sgd",
            "learning_rate": "adaptive",
            "learning_rate_init": 0.2,
            "tol": 1e-2,
            "n_iter_no_change": 1,
        },
        {
            "solver": "sgd",
            "learning_rate": "adaptive",
            "early_stopping": True,
            "tol": 1e-2,
            "n_iter_no_change": 2,
        },
        {"solver": "lbfgs", "tol": 1e-2},
    ],
    ids=str,
)
def test_convergence_in_the_same_epoch(task, params):
    X, y = make_problem(task)
    params = {"learning_rate_init": 0.01, "max_iter": 500, **params}
    assert both(task, X, y, **params).n_iter_ < 500


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_infinite_patience():
    X, y = make_problem("binary")
    clf = both("binary", X, y, tol=10.0, n_iter_no_change=np.inf, max_iter=15)
    assert clf.n_iter_ == 15


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("solver", ["adam", "sgd"])
def test_partial_fit(task, solver):
    """Only the first call is comparable with shuffling: see test_deviations."""
    X, y = make_problem(task)
    fit_params = {}
    if is_classification(task):
        fit_params["classes"] = [0, 1, 2] if task == "multilabel" else np.unique(y)
    params = {"solver": solver, "batch_size": 16, "fit_params": fit_params}
    both(task, X, y, methods=["partial_fit"], **params)
    both(task, X, y, methods=["partial_fit"] * 4, shuffle=False, **params)


@pytest.mark.parametrize("task", ["binary", "regression"])
@pytest.mark.parametrize("solver", ["adam", "sgd", "lbfgs"])
def test_warm_start_before_convergence(task, solver):
    X, y = make_problem(task)
    both(task, X, y, methods=["fit"] * 3, warm_start=True, solver=solver, batch_size=20)


@pytest.mark.parametrize("container", ["csr", "csc", "coo", "bsr", "lil", "dok", "dia"])
def test_sparse_format(container):
    X, y = make_problem("binary")
    both("binary", sparse.csr_array(X).asformat(container), y)


def test_random_state_instance():
    X, y = make_problem("multiclass")
    fits = []
    for module in (skmlp, neural_network):
        rng = np.random.RandomState(5)
        estimator = make_estimator("multiclass", module, random_state=rng)
        with pytest.warns(ConvergenceWarning):
            estimator.fit(X, y)
        fits.append((estimator, rng.randint(1 << 30)))
    (ours, next_of_ours), (theirs, next_of_theirs) = fits
    assert_same(ours, theirs, X)
    assert next_of_ours == next_of_theirs


def test_global_random_state():
    """random_state=None draws from NumPy's global generator, like scikit-learn's."""
    X, y = make_problem("regression")
    state = np.random.get_state()  # noqa: NPY002
    try:
        fits = []
        for module in (skmlp, neural_network):
            np.random.seed(7)  # noqa: NPY002
            estimator = make_estimator("regression", module, random_state=None)
            with pytest.warns(ConvergenceWarning):
                fits.append(estimator.fit(X, y))
    finally:
        np.random.set_state(state)  # noqa: NPY002
    assert_same(*fits, X)


def test_feature_names():
    X, y = make_problem("binary")
    X = pd.DataFrame(X, columns=list("abcde"))
    ours = both("binary", X, y)
    theirs = make_estimator("binary", neural_network)
    run(theirs, X, y)
    np.testing.assert_array_equal(ours.feature_names_in_, theirs.feature_names_in_)
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        ours.predict(X.to_numpy())
    texts = []
    for estimator in (ours, theirs):
        with pytest.raises(ValueError, match="feature names should match") as raised:
            estimator.predict(X[list("edcba")])
        texts.append(str(raised.value))
    assert texts[0] == texts[1]
    run(ours, X.to_numpy()[:, :3], y)
    assert not hasattr(ours, "feature_names_in_")
    assert ours.n_features_in_ == 3


_LABELS = np.random.RandomState(0).randint(-1, 3, 60)


@pytest.mark.parametrize(
    "y",
    [
        _LABELS,
        _LABELS.astype(np.int8),
        np.abs(_LABELS).astype(np.uint16),
        _LABELS > 0,
        (_LABELS > 0).astype(int),
        np.zeros(60, int),
        _LABELS.astype(float),
        np.array(list("abcd"))[_LABELS],
        _LABELS > 1,
        np.array([[0, 1], [1, 1], [0, 0]] * 20),
        np.arange(60),
        np.arange(60) // 2,
    ],
)
@pytest.mark.filterwarnings("ignore:The number of unique classes")  # until 1.8
def test_label_binarizer(y):
    X = np.zeros((60, 2))
    ours, theirs = skmlp.MLPClassifier(max_iter=1), LabelBinarizer().fit(y)
    run(ours, X, y)
    found, expected = vars(ours._label_binarizer), vars(theirs)
    assert found.keys() == expected.keys()
    np.testing.assert_array_equal(found.pop("classes_"), expected["classes_"])
    assert ours.classes_.dtype == expected.pop("classes_").dtype
    assert found == expected


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"early_stopping": True},
        {"max_iter": 300, "tol": 1e-2, "learning_rate_init": 0.01},
        {"max_iter": 300, "tol": 1e-2, "early_stopping": True},
        {
            "solver": "sgd",
            "learning_rate": "adaptive",
            "max_iter": 300,
            "tol": 1e-2,
            "n_iter_no_change": 2,
        },
    ],
    ids=str,
)
def test_verbose(params, capsys):
    X, y = make_problem("regression")
    printed = []
    for module in (skmlp, neural_network):
        run(make_estimator("regression", module, verbose=True, **params), X, y)
        printed.append(capsys.readouterr().out)
    number = r"-?\d+\.\d+"
    texts = [re.sub(number, "#", text) for text in printed]
    values = [np.array(re.findall(number, text), float) for text in printed]
    assert texts[0] == texts[1]
    assert "Iteration 5, loss = #\n" in texts[0]
    np.testing.assert_allclose(values[0], values[1], rtol=0, atol=1.1e-6)


def in_order(*texts):
    """Options in braces come in the order of a set, which is that of the day."""
    return [sorted(re.split(r"[{}, ]+", str(text))) for text in texts]


def _call(method, *args, **kwargs):
    return lambda estimator: getattr(estimator, method)(*args, **kwargs)


# Parameters that allow more than scikit-learn's.
WIDER = {"activation", "solver", "learning_rate", "loss"}
X4, Y4 = np.eye(4), np.array([0, 1, 0, 1])
NAN = np.array([[np.nan, 1, 1, 1], *X4[1:]])


OLD_WEIGHT_ERROR = "Sample weights must be 1D array or scalar"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("params", "call"),
    [
        ({"hidden_layer_sizes": -1}, _call("fit", X4, Y4)),
        ({"hidden_layer_sizes": (3, 0)}, _call("fit", X4, Y4)),
        ({"alpha": -1}, _call("fit", X4, Y4)),
        ({"activation": "cosine"}, _call("fit", X4, Y4)),
        ({"solver": "newton"}, _call("fit", X4, Y4)),
        ({"max_iter": 0}, _call("fit", X4, Y4)),
        ({"max_iter": 1.5}, _call("fit", X4, Y4)),
        ({"shuffle": "yes"}, _call("fit", X4, Y4)),
        ({"random_state": -1}, _call("fit", X4, Y4)),
        ({"early_stopping": True}, _call("partial_fit", X4, Y4)),
        ({}, _call("fit", NAN, Y4)),
        ({}, _call("fit", np.full((4, 4), np.inf), Y4)),
        ({}, _call("fit", X4, [0, 1, np.nan, 1])),
        ({}, _call("fit", X4, Y4[:3])),
        ({}, _call("fit", X4[0], Y4)),
        ({}, _call("fit", X4[None], Y4)),
        ({}, _call("fit", X4[:0], Y4[:0])),
        ({}, _call("fit", X4[:, :0], Y4)),
        ({}, _call("fit", X4, None)),
        ({}, _call("fit", X4, Y4, sample_weight=[1, 2])),
        ({}, _call("fit", X4, Y4, sample_weight=X4)),
        ({}, _call("fit", X4, Y4, sample_weight=[1, 2, np.nan, 1])),
        ({}, _call("predict", X4)),
    ],
)
def test_error_text(name, params, call):
    texts = []
    for module in (skmlp, neural_network):
        estimator = getattr(module, name)(**params)
        if name == "MLPClassifier" and "early_stopping" in params:
            call = _call("partial_fit", X4, Y4, classes=[0, 1])
        with pytest.raises(Exception) as raised:  # noqa: PT011
            call(estimator)
        texts.append((raised.type.__name__, in_order(str(raised.value))))
    # What is allowed differs, and with it the text, or that of weights in old versions.
    if params.keys() & WIDER or (IS_OLD and in_order(OLD_WEIGHT_ERROR) == texts[1][1]):
        texts = [kind for kind, _ in texts]
    assert texts[0] == texts[1]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "call",
    [
        _call("predict", X4[:, :3]),
        _call("predict", NAN),
        _call("predict", X4[0]),
        _call("partial_fit", X4[:, :3], Y4),
        _call("score", X4, Y4[:3]),
    ],
)
def test_error_text_of_fitted(name, call):
    texts = []
    for module in (skmlp, neural_network):
        estimator = getattr(module, name)(max_iter=2)
        run(estimator, X4, Y4)
        with pytest.raises(ValueError) as raised:  # noqa: PT011
            call(estimator)
        texts.append(str(raised.value))
    assert texts[0] == texts[1]


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_unknown_classes(method):
    texts = []
    for module in (skmlp, neural_network):
        clf = module.MLPClassifier(warm_start=method == "fit", max_iter=2)
        run(clf, X4, Y4)
        with pytest.raises(ValueError, match="classes") as raised:
            getattr(clf, method)(X4, Y4 + 1)
        texts.append(str(raised.value))
    assert texts[0] == texts[1]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "method",
    ["__init__", "fit", "partial_fit", "predict", "score", "predict_proba"],
)
def test_signature(name, method):
    """Same names, order, defaults and kinds; whatever is added is keyword-only."""
    ours, theirs = (getattr(module, name) for module in (skmlp, neural_network))
    assert hasattr(ours, method) == hasattr(theirs, method)
    if not hasattr(theirs, method):
        return
    mine = inspect.signature(inspect.unwrap(getattr(ours, method))).parameters
    yours = inspect.signature(inspect.unwrap(getattr(theirs, method))).parameters
    shared = [p for p in mine.values() if p.name in yours]
    assert [(p.name, p.default, p.kind) for p in shared] == [
        (p.name, p.default, p.kind) for p in yours.values()
    ]
    added = [p for p in mine.values() if p.name not in yours]
    assert all(p.kind is p.KEYWORD_ONLY for p in added)


@pytest.mark.parametrize("name", NAMES)
def test_parameter_constraints(name):
    ours, theirs = (
        getattr(module, name)._parameter_constraints
        for module in (skmlp, neural_network)
    )
    assert {key: in_order(*ours[key]) for key in theirs.keys() - WIDER} == {
        key: in_order(*theirs[key]) for key in theirs.keys() - WIDER
    }
    for key in WIDER & theirs.keys():
        assert theirs[key][0].options <= ours[key][0].options


@pytest.mark.parametrize("name", NAMES)
def test_no_methods_that_change_pipelines(name):
    estimator = getattr(skmlp, name)
    assert not hasattr(estimator, "decision_function")
    assert not hasattr(estimator, "transform")
