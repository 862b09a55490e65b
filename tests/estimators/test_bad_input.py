"""Whatever users pass: finite output and inputs untouched, or a clear refusal."""

import copy
import pickle
import warnings

import joblib
import numpy as np
import pandas as pd
import pytest
from problems import make_estimator, make_problem
from scipy import sparse
from sklearn.base import clone

from skmlp import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning",
    "ignore:Got `batch_size` less than 1:UserWarning",
)
SOLVERS = "adam", "sgd", "lbfgs"


def flat(estimator):
    arrays = [*estimator.coefs_, *estimator.intercepts_]
    return np.concatenate([np.ravel(array) for array in arrays])


def assert_usable(model, X):
    assert np.isfinite(flat(model)).all()
    y_pred = model.predict(X)
    assert len(y_pred) == X.shape[0]
    if isinstance(model, MLPClassifier):
        y_pred = model.predict_proba(X)
    assert np.isfinite(y_pred).all()


def fit_or_refuse(model, X, y, match, **kwargs):
    """Finite predictions, or a ValueError with a text that matches."""
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            model.fit(X, y, **kwargs)
            assert_usable(model, X)
    except ValueError as error:
        assert match in str(error)  # noqa: PT017


@pytest.mark.parametrize("task", ["binary", "regression"])
@pytest.mark.parametrize("csr", [False, True])
def test_nan_points_to_imputers(task, csr):
    X, y = make_problem(task)
    X[3, 2] = np.nan
    X = sparse.csr_matrix(X) if csr else X
    with pytest.raises(ValueError, match=r"(?s)contains NaN.*imputer transformer"):
        make_estimator(task).fit(X, y)


@pytest.mark.parametrize("value", [np.inf, -np.inf])
@pytest.mark.parametrize("csr", [False, True])
def test_infinity(value, csr):
    X, y = make_problem("binary")
    X[3, 2] = value
    X = sparse.csr_matrix(X) if csr else X
    with pytest.raises(ValueError, match="infinity or a value too large"):
        make_estimator("binary").fit(X, y)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("task", ["binary", "multiclass", "regression", "poisson"])
@pytest.mark.parametrize("early_stopping", [False, True])
@pytest.mark.parametrize("scale", [1e300, 1e30, 1e-310, 0.0])
def test_extreme_values(task, solver, early_stopping, scale):
    X, y = make_problem(task)
    model = make_estimator(task, solver=solver, early_stopping=early_stopping)
    fit_or_refuse(model, X * scale, y, match="large values")


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("y_scale", [1e30, 1e300])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_huge_targets(solver, y_scale, dtype):
    X, y = make_problem("regression", dtype=dtype)
    model = make_estimator("regression", solver=solver)
    fit_or_refuse(model, X, y * y_scale, match="large")


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("task", ["binary", "regression"])
def test_huge_alpha(task, solver):
    X, y = make_problem(task)
    fit_or_refuse(make_estimator(task, solver=solver, alpha=1e300), X, y, "non-finite")


def test_predicting_huge_values_is_refused():
    X, y = make_problem("regression")
    reg = make_estimator("regression", hidden_layer_sizes=()).fit(X, y)
    reg.coefs_[0][:] = 1e10
    with pytest.raises(ValueError, match=r"not finite.*scale the data"):
        reg.predict(np.full((1, 5), 1e300))


@pytest.mark.parametrize("estimator", [MLPClassifier, MLPRegressor])
@pytest.mark.parametrize(
    ("X", "y", "match"),
    [
        (np.empty((0, 3)), [], "minimum of 1 is required"),
        (np.empty((3, 0)), [0, 1, 0], r"0 feature\(s\)"),
        (np.ones(3), [0, 1, 0], "Expected 2D array, got 1D array"),
        (np.ones((3, 2, 1)), [0, 1, 0], "dim 3"),
        (np.ones((3, 2)), [0, 1], "inconsistent numbers of samples"),
        (np.ones((3, 2)), [0, 1, np.nan], "NaN"),
        (np.ones((3, 2)), np.ones((3, 2, 2)), "dim 3|[Uu]nknown|multi|Found array"),
        (np.ones((3, 2)), None, "requires y to be passed"),
        ([["a", "b"], ["c", "d"]], [0, 1], "could not convert string to float"),
        (np.ones((2, 2), complex), [0, 1], "Complex data not supported"),
    ],
)
@pytest.mark.parametrize("solver", SOLVERS)
def test_wrong_shapes(estimator, solver, X, y, match):
    with pytest.raises(ValueError, match=match):
        estimator(solver=solver).fit(X, y)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("estimator", [MLPClassifier, MLPRegressor])
@pytest.mark.parametrize("n_rows", [1, 2])
def test_one_or_two_rows(estimator, n_rows, solver):
    X = np.eye(2)[:n_rows]
    model = estimator(solver=solver, max_iter=5, random_state=0)
    assert_usable(model.fit(X, [0, 1][:n_rows]), X)


@pytest.mark.parametrize("estimator", [MLPClassifier, MLPRegressor])
@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("hidden_layer_sizes", [-1, 0, (3, -1), (3.5,), "5", None, ((2, 3),), (None,)]),
        ("activation", ["sine", None, 1]),
        ("solver", ["newton", None]),
        ("alpha", [-1, np.nan, None, "1"]),
        ("batch_size", [0, -1, 2.5, "all", None]),
        ("learning_rate", ["fast", None]),
        ("learning_rate_init", [0, -1, np.nan, None]),
        ("power_t", [-1, None]),
        ("max_iter", [0, -1, 1.5, None]),
        ("shuffle", ["yes", None, 2]),
        ("random_state", [-1, "seed", 1.5]),
        ("tol", [-1, None]),
        ("verbose", [-1, "loud"]),
        ("warm_start", ["yes", None]),
        ("momentum", [-0.1, 1.1, None]),
        ("nesterovs_momentum", ["yes", None]),
        ("early_stopping", ["yes", None]),
        ("validation_fraction", [-0.1, 1, None]),
        ("beta_1", [-0.1, 1, None]),
        ("beta_2", [-0.1, 1, None]),
        ("epsilon", [0, -1, None]),
        ("n_iter_no_change", [0, -1, 1.5, None]),
        ("max_fun", [0, 1.5, None]),
    ],
)
def test_invalid_parameters(estimator, name, values):
    """ValueError or TypeError that names the parameter, before any attribute is set."""
    for value in values:
        model = estimator(**{name: value})
        with pytest.raises((ValueError, TypeError), match=name):
            model.fit(np.eye(4), [0, 1, 0, 1])
        assert not [key for key in vars(model) if key.endswith("_")]


def test_invalid_loss():
    with pytest.raises(ValueError, match="'loss' parameter"):
        MLPRegressor(loss="absolute").fit(np.eye(2), [0, 1])


def test_unknown_parameter():
    with pytest.raises(TypeError, match="dropout_rate_of_nobody"):
        MLPClassifier(dropout_rate_of_nobody=1)
    with pytest.raises(TypeError, match="positional"):
        MLPClassifier((3,), "relu", "adam")


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("task", ["binary", "regression"])
@pytest.mark.parametrize(
    ("weight", "match"),
    [
        (np.zeros(60), "at least one non-zero"),
        (-np.ones(60), "Negative values"),
        (np.r_[np.ones(59), -1e-9], "Negative values"),
        (np.r_[np.ones(59), np.nan], "NaN"),
        (np.r_[np.ones(59), np.inf], "infinity"),
        (np.ones(59), r"sample_weight.shape == \(59,\)"),
        (np.ones((60, 1)), "must be 1D array or scalar"),
        (["heavy"] * 60, "could not convert"),
        (0, "at least one non-zero"),
        (-1.0, "Negative values"),
    ],
)
def test_invalid_weights(task, solver, weight, match):
    X, y = make_problem(task)
    with pytest.raises(ValueError, match=match):
        make_estimator(task, solver=solver).fit(X, y, weight)


@pytest.mark.parametrize("scale", [1e300, 1e-300, 3])
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("task", ["multiclass", "regression"])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_scale_of_weights_does_not_matter(task, early_stopping, solver, scale):
    X, y = make_problem(task)
    weight = np.linspace(0.5, 1.5, 60)
    params = {"solver": solver, "alpha": 0, "early_stopping": early_stopping}
    expected = flat(make_estimator(task, **params).fit(X, y, weight))
    scaled = make_estimator(task, **params).fit(X, y, weight * scale)
    np.testing.assert_allclose(flat(scaled), expected, rtol=1e-6, atol=1e-9)


def test_weights_of_very_different_sizes():
    X, y = make_problem("binary")
    weight = np.logspace(-300, 300, 60)
    assert_usable(make_estimator("binary", batch_size=8).fit(X, y, weight), X)


def test_scalar_weight_is_like_ones():
    X, y = make_problem("binary")
    expected = make_estimator("binary").fit(X, y, np.ones(60))
    np.testing.assert_array_equal(
        flat(make_estimator("binary").fit(X, y, 1.0)), flat(expected)
    )


def _strided(X):
    wide = np.zeros((2 * X.shape[0], 3 * X.shape[1]), X.dtype)
    wide[::2, ::3] = X
    return wide[::2, ::3]


def _read_only(X):
    X = X.copy()
    X.flags.writeable = False
    return X


def _unaligned(X):
    array = np.frombuffer(bytearray(X.nbytes + 1), np.uint8)[1:]
    array = array.view(X.dtype).reshape(X.shape)
    array[:] = X
    assert not array.flags.aligned
    return array


def _memmap(X, tmp_path):
    np.save(tmp_path / "X.npy", X)
    return np.load(tmp_path / "X.npy", mmap_mode="r")


DENSE = {
    "F-order": np.asfortranarray,
    "strided": _strided,
    "negative stride": lambda X: X[::-1, ::-1].copy()[::-1, ::-1],
    "read-only": _read_only,
    "unaligned": _unaligned,
    "longdouble": lambda X: X.astype(np.longdouble),
    "big-endian": lambda X: X.astype(X.dtype.newbyteorder(">")),
    "object": lambda X: X.astype(object),
    "masked": np.ma.masked_array,
    "list": lambda X: X.tolist(),
    "DataFrame": pd.DataFrame,
    "column by column": lambda X: pd.DataFrame({f"c{i}": x for i, x in enumerate(X.T)}),
    "nullable": lambda X: pd.DataFrame(X).astype("Float64"),
    "sparse columns": lambda X: pd.DataFrame.sparse.from_spmatrix(sparse.csr_matrix(X)),
}


@pytest.mark.parametrize("task", ["binary", "multi-output"])
@pytest.mark.parametrize("container", DENSE)
def test_container(container, task):
    X, y = make_problem(task)
    model = make_estimator(task)
    expected = clone(model).fit(X, y)
    wrapped = DENSE[container](X)
    before = copy.deepcopy(wrapped)
    model.fit(wrapped, y)
    np.testing.assert_allclose(flat(model), flat(expected), rtol=1e-12)
    np.testing.assert_allclose(model.predict(wrapped) == expected.predict(X), True)
    assert type(wrapped) is type(before)
    np.testing.assert_array_equal(np.asarray(wrapped), np.asarray(before))


def test_memory_map(tmp_path):
    X, y = make_problem("regression")
    expected = make_estimator("regression").fit(X, y)
    mapped = _memmap(X, tmp_path)
    reg = make_estimator("regression").fit(mapped, _read_only(y))
    np.testing.assert_array_equal(flat(reg), flat(expected))
    np.testing.assert_array_equal(reg.predict(mapped), expected.predict(X))


@pytest.mark.parametrize("dtype", ["f2", "i1", "u1", "i4", "i8", "u8", "?"])
def test_dtype(dtype):
    X, y = make_problem("binary")
    X = (X * 3).astype(dtype)
    expected = make_estimator("binary").fit(X.astype(np.float64), y)
    clf = make_estimator("binary").fit(X, y)
    np.testing.assert_array_equal(flat(clf), flat(expected))
    assert flat(clf).dtype == np.float64
    np.testing.assert_array_equal(clf.predict_proba(X), expected.predict_proba(X))


def test_matrix_class_is_refused():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        X = np.matrix(np.eye(4))
    with pytest.raises(TypeError, match=r"np.matrix is not supported"):
        MLPClassifier().fit(X, [0, 1, 0, 1])


def test_missing_value_of_pandas():
    X, y = make_problem("binary")
    X = pd.DataFrame(X).astype("Float64")
    X.iloc[2, 1] = pd.NA
    with pytest.raises(ValueError, match=r"NaN|NA"):
        make_estimator("binary").fit(X, y)


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_pandas_series(task):
    X, y = make_problem(task)
    expected = make_estimator(task).fit(X, y)
    index = np.arange(60)[::-1]
    model = make_estimator(task).fit(
        pd.DataFrame(X, index=index),
        pd.Series(y, index=index),
        pd.Series(np.ones(60), index=np.roll(index, 1)),
    )
    np.testing.assert_allclose(flat(model), flat(expected), rtol=1e-9)


def test_arrow_columns():
    pytest.importorskip("pyarrow")
    X, y = make_problem("regression")
    frame = pd.DataFrame(X).astype("float64[pyarrow]")
    target = pd.Series(y).astype("float64[pyarrow]")
    reg = make_estimator("regression").fit(frame, target)
    expected = make_estimator("regression").fit(X, y)
    np.testing.assert_array_equal(flat(reg), flat(expected))


def test_polars():
    polars = pytest.importorskip("polars")
    X, y = make_problem("regression")
    names = list("abcde")
    frame = polars.DataFrame(X, schema=names)
    reg = make_estimator("regression").fit(frame, polars.Series(y))
    expected = make_estimator("regression").fit(X, y)
    np.testing.assert_array_equal(flat(reg), flat(expected))
    assert reg.feature_names_in_.tolist() == names


def _arrays_of(X):
    names = ("data", "indices", "indptr", "row", "col", "offsets")
    return {name: np.array(getattr(X, name)) for name in names if hasattr(X, name)}


@pytest.mark.parametrize("make", [sparse.csr_matrix, sparse.csr_array])
@pytest.mark.parametrize("fmt", ["csr", "csc", "coo", "bsr", "lil", "dok", "dia"])
@pytest.mark.parametrize("index", [np.int32, np.int64])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, bool])
def test_sparse(make, fmt, index, dtype):
    X, y = make_problem("binary")
    X = (X * 3).astype(dtype)
    expected = make_estimator("binary").fit(X, y)
    X = make(X).asformat(fmt)
    for name in ("indices", "indptr"):
        if hasattr(X, name):
            setattr(X, name, getattr(X, name).astype(index))
    before = _arrays_of(X)
    clf = make_estimator("binary").fit(X, y)
    tolerance = 1e-4 if dtype == np.float32 else 1e-9
    np.testing.assert_allclose(flat(clf), flat(expected), rtol=tolerance, atol=1e-6)
    np.testing.assert_array_equal(clf.predict(X), expected.predict(X.toarray()))
    after = _arrays_of(X)
    for name, array in before.items():
        np.testing.assert_array_equal(after[name], array)
        assert after[name].dtype == array.dtype


@pytest.mark.parametrize("fmt", ["csr", "csc", "coo"])
def test_unsorted_and_duplicate_entries(fmt):
    rows, columns = [0, 0, 0, 1, 2, 2, 3], [2, 0, 2, 1, 1, 1, 0]
    values = np.array([1.0, 2, 3, 4, 5, -5, 6])
    X = sparse.coo_array((values, (rows, columns)), shape=(4, 3))
    dense, y = X.toarray(), [0, 1, 1, 0]
    if fmt != "coo":
        major, minor = (rows, columns) if fmt == "csr" else (columns, rows)
        order = np.argsort(major, kind="stable")[::1]
        n_major = 4 if fmt == "csr" else 3
        indptr = np.r_[0, np.cumsum(np.bincount(major, minlength=n_major))]
        parts = values[order], np.array(minor)[order], indptr
        X = getattr(sparse, f"{fmt}_array")(parts, shape=(4, 3))
        assert not X.has_canonical_format
    reg = MLPRegressor(hidden_layer_sizes=(3,), random_state=0, max_iter=3)
    expected = clone(reg).fit(dense, y)
    before = _arrays_of(X)
    np.testing.assert_allclose(flat(reg.fit(X, y)), flat(expected), rtol=1e-12)
    for name, array in _arrays_of(X).items():
        np.testing.assert_array_equal(array, before[name])


@pytest.mark.parametrize("fmt", ["csr", "csc"])
def test_data_longer_than_indptr_says(fmt):
    X, y = make_problem("binary")
    X = sparse.csr_matrix(X).asformat(fmt)
    X.data, X.indices = np.r_[X.data, 1.0], np.r_[X.indices, np.int32(0)]
    fit_or_refuse(make_estimator("binary"), X, y, match="corrupt")
    X.prune()
    assert_usable(make_estimator("binary").fit(X, y), X)


def test_empty_rows_and_columns():
    X = sparse.csr_matrix((60, 5))
    for task in ("binary", "regression"):
        assert_usable(make_estimator(task).fit(X, make_problem(task)[1]), X)


@pytest.mark.parametrize(
    "classes",
    [
        ["no", "yes"],
        np.array(["a", "b"], dtype=object),
        [False, True],
        [0.0, 1.0],
        [-1, 1],
        [2**40, 2**50],
        ["a", "b", "c"],
        [1.0, 2.0, 5.0],
    ],
    ids=str,
)
@pytest.mark.parametrize("solver", SOLVERS)
def test_class_labels(classes, solver):
    X, _ = make_problem("binary")
    classes = np.asarray(classes)
    y = classes[np.arange(60) % len(classes)]
    clf = make_estimator("binary", solver=solver).fit(X, y)
    np.testing.assert_array_equal(clf.classes_, classes)
    assert clf.classes_.dtype == clf.predict(X).dtype
    assert set(clf.predict(X)) <= set(classes)


@pytest.mark.parametrize("dtype", ["i1", "u1", "f2", "f4", "?", ">f8", object])
def test_target_dtype(dtype):
    X, y = make_problem("poisson")
    y = np.minimum(y, 1).astype(dtype)
    expected = make_estimator("regression").fit(X, y.astype(np.float64))
    reg = make_estimator("regression").fit(X, y)
    np.testing.assert_array_equal(flat(reg), flat(expected))


def test_continuous_target_is_no_class():
    X, y = make_problem("regression")
    with pytest.raises(ValueError, match="Unknown label type"):
        MLPClassifier().fit(X, y)


def test_column_of_targets_warns():
    X, y = make_problem("regression")
    with pytest.warns(UserWarning, match="A column-vector y was passed"):
        reg = make_estimator("regression").fit(X, y[:, None])
    assert reg.predict(X).shape == (60,)


def test_sparse_targets():
    X, Y = make_problem("multilabel")
    clf = make_estimator("multilabel").fit(X, sparse.csr_matrix(Y))
    expected = make_estimator("multilabel").fit(X, Y)
    np.testing.assert_array_equal(flat(clf), flat(expected))
    np.testing.assert_array_equal(clf.predict_proba(X), expected.predict_proba(X))
    with pytest.raises(TypeError, match=r"[Ss]parse"):
        make_estimator("regression").fit(X, sparse.csr_matrix(Y.astype(float)))


@pytest.mark.parametrize("task", ["binary", "multi-output"])
@pytest.mark.parametrize(
    "edit",
    [
        lambda model: model.coefs_[0].__setitem__(slice(None), 0.5),
        lambda model: model.coefs_.__setitem__(0, np.full((5, 7), 0.5)),
        lambda model: setattr(
            model, "coefs_", [np.full((5, 7), 0.5), *model.coefs_[1:]]
        ),
        lambda model: model.coefs_.__setitem__(0, [[0.5] * 7] * 5),
        lambda model: model.coefs_.__setitem__(0, np.full((7, 5), 0.5, np.float32).T),
    ],
)
def test_edited_weights_take_effect(task, edit):
    X, y = make_problem(task)
    model = make_estimator(task, activation="tanh").fit(X, y)
    edit(model)
    raw = np.tanh(X @ np.full((5, 7), 0.5) + model.intercepts_[0])
    raw = raw @ model.coefs_[1] + model.intercepts_[1]
    if task == "binary":
        expected = 1 / (1 + np.exp(-raw[:, 0]))
        np.testing.assert_allclose(model.predict_proba(X)[:, 1], expected, rtol=1e-9)
    else:
        np.testing.assert_allclose(model.predict(X), raw, rtol=1e-9)
    restored = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(restored.predict(X), model.predict(X))
    model.partial_fit(X, y)
    assert_usable(model, X)  # predict must not take over the edit once more
    assert 0 < np.abs(np.asarray(model.coefs_[0]) - 0.5).max() < 0.1


@pytest.mark.parametrize(
    ("edit", "match"),
    [
        (lambda c: c.__setitem__(0, np.ones((4, 7))), r"coefs_\[0\] must have shape"),
        (lambda c: c.__setitem__(1, np.ones(7)), r"coefs_\[1\] must have shape"),
        (lambda c: c.__setitem__(0, None), r"coefs_\[0\] must"),
        (lambda c: c.__setitem__(0, np.full((5, 7), "a")), "must be numeric"),
        (lambda c: c.append(np.ones((1, 1))), "must hold 2 arrays, got 3"),
        (lambda c: c.pop(), "must hold 2 arrays, got 1"),
        (lambda c: c.clear(), "must hold 2 arrays, got 0"),
    ],
)
def test_broken_weights_are_refused(edit, match):
    X, y = make_problem("regression")
    reg = make_estimator("regression").fit(X, y)
    edit(reg.coefs_)
    for call in (reg.predict, lambda X: reg.partial_fit(X, y)):
        with pytest.raises(ValueError, match=match):
            call(X)
    assert_usable(reg.fit(X, y), X)


def test_weights_that_are_not_finite_are_refused():
    X, y = make_problem("regression")
    reg = make_estimator("regression", hidden_layer_sizes=()).fit(X, y)
    reg.coefs_[0][0] = np.nan
    with pytest.raises(ValueError, match="not finite"):
        reg.predict(X)


@pytest.mark.parametrize("task", ["binary", "regression"])
@pytest.mark.parametrize(
    "params",
    [
        {"activation": "tanh"},
        {"hidden_layer_sizes": (3, 3)},
        {"solver": "lbfgs"},
        {"learning_rate_init": 1.0},
    ],
    ids=str,
)
def test_parameters_set_after_fit_change_no_prediction(task, params):
    X, y = make_problem(task)
    model = make_estimator(task).fit(X, y)
    expected = model.predict(X)
    model.set_params(**params)
    np.testing.assert_array_equal(model.predict(X), expected)
    restored = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(restored.predict(X), expected)
    assert_usable(model.fit(X, y), X)
    np.testing.assert_array_equal(
        flat(model), flat(make_estimator(task, **params).fit(X, y))
    )


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_layers_changed_in_warm_start_are_refused(method):
    X, y = make_problem("regression")
    reg = make_estimator("regression", warm_start=True).fit(X, y)
    expected = reg.predict(X)
    reg.set_params(hidden_layer_sizes=(8,))
    with pytest.raises(ValueError, match="warm_start=False to start anew"):
        getattr(reg, method)(X, y)
    np.testing.assert_array_equal(reg.predict(X), expected)


@pytest.mark.parametrize("method", ["fit", "partial_fit"])
@pytest.mark.parametrize(
    "params", [{"activation": "tanh"}, {"solver": "sgd"}, {"learning_rate_init": 0.1}]
)
def test_other_parameters_changed_in_warm_start(method, params):
    X, y = make_problem("regression")
    reg = make_estimator("regression", warm_start=True).fit(X, y)
    before = flat(reg).copy()
    getattr(reg.set_params(**params), method)(X, y)
    assert np.abs(flat(reg) - before).max() > 0
    assert_usable(reg, X)


def test_clone_and_copies():
    X, y = make_problem("binary")
    clf = make_estimator("binary").fit(X, y)
    fresh = clone(clf)
    assert not hasattr(fresh, "coefs_")
    assert not [name for name in vars(fresh) if name.endswith("_")]
    np.testing.assert_array_equal(flat(fresh.fit(X, y)), flat(clf))
    deep = copy.deepcopy(clf)
    deep.coefs_[0][:] = 0
    assert np.abs(clf.coefs_[0]).max() > 0
    assert np.abs(deep.predict_proba(X) - clf.predict_proba(X)).max() > 0


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("solver", ["adam", "lbfgs"])
@pytest.mark.parametrize("task", ["multiclass", "multilabel", "poisson"])
def test_pickle(task, solver, protocol):
    X, y = make_problem(task)
    model = make_estimator(task, solver=solver).fit(X, y)
    restored = pickle.loads(pickle.dumps(model, protocol))
    np.testing.assert_array_equal(restored.predict(X), model.predict(X))
    if solver == "adam":
        model.partial_fit(X, y)
        restored.partial_fit(X, y)
        np.testing.assert_array_equal(flat(restored), flat(model))


@pytest.mark.parametrize("csr", [False, True])
@pytest.mark.parametrize("task", ["binary", "regression"])
def test_joblib_memory_map(task, csr, tmp_path):
    X, y = make_problem(task, csr=csr)
    model = make_estimator(task).fit(X, y)
    joblib.dump(model, tmp_path / "model.joblib")
    content = (tmp_path / "model.joblib").read_bytes()
    mapped = joblib.load(tmp_path / "model.joblib", mmap_mode="r")
    np.testing.assert_array_equal(mapped.predict(X), model.predict(X))
    np.testing.assert_array_equal(flat(mapped), flat(model))
    np.testing.assert_array_equal(mapped.predict(X), model.predict(X))
    mapped.partial_fit(X, y)
    np.testing.assert_array_equal(flat(mapped), flat(model.partial_fit(X, y)))
    assert (tmp_path / "model.joblib").read_bytes() == content


@pytest.mark.parametrize("task", ["binary", "multi-output"])
def test_predict_changes_no_attribute(task):
    X, y = make_problem(task)
    model = make_estimator(task).fit(X, y)
    before = pickle.dumps(model)
    attributes = dict(vars(model))
    model.predict(X)
    model.score(X, y)
    if task == "binary":
        model.predict_proba(X)
        model.predict_log_proba(X)
    assert vars(model).keys() == attributes.keys()
    assert all(vars(model)[name] is value for name, value in attributes.items())
    assert pickle.dumps(model) == before


def _bad_calls(task):
    X, y = make_problem(task)
    nan = X.copy()
    nan[0, 0] = np.nan
    calls = {
        "NaN": lambda m: m.fit(nan, y),
        "length": lambda m: m.fit(X, y[:-1]),
        "weight": lambda m: m.fit(X, y, -np.ones(60)),
        "features": lambda m: m.fit(np.ones((60, 0)), y),
        "layers": lambda m: m.set_params(hidden_layer_sizes=(-1,)).fit(X, y),
        "target": lambda m: m.fit(X, np.full(60, np.nan)),
        "complex": lambda m: m.fit(X + 1j, y),
        "other names": lambda m: m.partial_fit(X[:, :4], y),
        "partial NaN": lambda m: m.partial_fit(nan, y),
    }
    return calls.items()


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_error_after_a_good_fit(task):
    X, y = make_problem(task)
    model = make_estimator(task).fit(X, y)
    expected = model.predict(X)
    errors, filters = np.geterr(), list(warnings.filters)
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    attributes = {key for key in vars(model) if key != "_shown"}
    for _name, call in _bad_calls(task):
        with pytest.raises(ValueError):  # noqa: PT011
            call(model)
        model.set_params(hidden_layer_sizes=(7,))
        np.testing.assert_array_equal(model.predict(X), expected)
        assert {key for key in vars(model) if key != "_shown"} == attributes
    assert np.geterr() == errors
    assert warnings.filters == filters
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002


def test_invalid_parameter_after_a_good_fit():
    X, y = make_problem("regression")
    reg = make_estimator("regression").fit(X, y)
    expected = reg.predict(X)
    with pytest.raises(ValueError, match="alpha"):
        reg.set_params(alpha=-1).fit(X, y)
    np.testing.assert_array_equal(reg.predict(X), expected)


def test_too_small_validation_part_after_a_good_fit():
    X, y = make_problem("regression")
    reg = make_estimator("regression").fit(X, y)
    expected, n_iter = reg.predict(X), reg.n_iter_
    with pytest.raises(ValueError, match="validation"):
        reg.set_params(early_stopping=True).fit(X[:2], y[:2])
    np.testing.assert_array_equal(reg.predict(X), expected)
    assert reg.n_iter_ == n_iter


def test_unfitted_can_be_pickled_and_shown():
    clf = MLPClassifier()
    assert repr(pickle.loads(pickle.dumps(clf))) == "MLPClassifier()"
    with pytest.raises(AttributeError, match="has no attribute 'coefs_'"):
        _ = clf.coefs_
