"""Every kind of table, and columns that hurt."""

import warnings

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from preprocessing.tables import TABLES
from scipy import sparse
from tabular.problems import make_estimator, make_table, predictions

from skmlp import TabularMLPClassifier, TabularMLPRegressor
from skmlp.core.layout import knots_view
from skmlp.preprocessing import PiecewiseLinearEncoder
from skmlp.tabular.network import Design, first_weights, make_network
from skmlp.tabular.recipe import make_recipe
from skmlp.tabular.tables import DenseTable
from skmlp.training.rows import make_data


@pytest.mark.filterwarnings("ignore:X (has|does not have).* feature names")
@pytest.mark.parametrize("name", TABLES)
@pytest.mark.parametrize("task", ["binary", "regression"])
def test_every_form_of_a_table(name, task):
    """The same table gives the same network, but for rounding of its numbers."""
    X, y = TABLES[name](), [0, 1, 0, 1, 1, 0]
    model = make_estimator(task, validation_fraction=0.5).fit(X, y)
    expected = make_estimator(task, validation_fraction=0.5).fit(TABLES["array"](), y)
    found = predictions(model, X)
    np.testing.assert_allclose(found, predictions(expected, TABLES["array"]()), 1e-3)


def frames_of(X):
    plain = X.astype({"color": object, "city": object, "member": object})
    plain = plain.where(plain.notna(), None)
    return {
        "polars": pl.DataFrame(plain.to_dict("list")),
        "Arrow": pa.Table.from_pydict(plain.to_dict("list")),
        "objects": plain.to_numpy(object),
        "lists": plain.to_numpy(object).tolist(),
    }


@pytest.mark.filterwarnings("ignore:X (has|does not have).* feature names")
@pytest.mark.parametrize("form", ["polars", "Arrow", "objects", "lists"])
def test_the_same_bits(form):
    X, y = make_table()
    expected = make_estimator().fit(X, y)
    other = frames_of(X)[form]
    model = make_estimator().fit(other, y)
    np.testing.assert_array_equal(model.predict_proba(other), expected.predict_proba(X))
    np.testing.assert_array_equal(
        expected.predict_proba(other), expected.predict_proba(X)
    )


def hostile(n_rows=60):
    """Columns that hurt, by name."""
    rng = np.random.default_rng(0)
    numbers, gap = rng.normal(size=n_rows), np.full(n_rows, np.nan)
    lonely, outliers = gap.copy(), numbers.copy()
    lonely[3], outliers[7] = 5.0, 1e12
    ulp = np.where(numbers > 0, 1.0, np.nextafter(1.0, 2.0))
    infrequent = np.array(["often"] * n_rows, object)
    infrequent[0] = None
    return {
        "constant": np.ones(n_rows),
        "all missing": gap,
        "one value and missing": lonely,
        "ids as strings": [f"id{i}" for i in range(n_rows)],
        "ids as categories": pd.Categorical(np.arange(n_rows)),
        "range of one ulp": ulp,
        "outliers": outliers,
        "huge": numbers * 1e300,
        "tiny": numbers * 1e-300,
        "subnormal": np.where(numbers > 0, 5e-324, 0),
        "one category": ["only"] * n_rows,
        "one category and missing": infrequent,
        "no category": [None] * n_rows,
        "booleans": numbers > 0,
        "nullable": pd.array([None, 1] * (n_rows // 2), "Int64"),
        "nullable booleans": pd.array([None, True] * (n_rows // 2), "boolean"),
        "Arrow strings": pd.array(["a", None] * (n_rows // 2), "string"),
        "big integers": np.arange(n_rows, dtype=np.int64) * 2**55,
        "mixed objects": [1, "one"] * (n_rows // 2),
    }


@pytest.mark.parametrize("task", ["binary", "regression"])
@pytest.mark.parametrize("name", hostile())
@pytest.mark.parametrize("alone", [False, True], ids=["beside", "alone"])
def test_hostile_columns(task, name, alone):
    """A column that hurts, beside one that tells all; and alone."""
    signal = np.linspace(-1, 1, 60)
    X = pd.DataFrame({} if alone else {"signal": signal})
    X[name] = hostile()[name]
    y = np.where(signal > 0, "b", "a") if task == "binary" else 1e3 + signal
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = make_estimator(task, n_steps=200).fit(X, y)
        found = predictions(model, X)
    assert np.isfinite(found).all()
    if not alone:
        assert model.score(X, y) > 0.8


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_all_hostile_columns_at_once(task):
    X = pd.DataFrame(hostile())
    y = np.arange(60) % 2
    model = make_estimator(task).fit(X, y)
    assert np.isfinite(predictions(model, X)).all()


@pytest.mark.parametrize("task", ["binary", "regression"])
def test_new_rows_are_stranger(task):
    """Unseen categories, gaps in columns that had none, numbers far outside."""
    X, y = make_table(task)
    X["full"] = np.arange(len(X)) % 7 + 0.5
    model = make_estimator(task).fit(X, y)
    new = X.head(4).astype({"city": object, "color": object})
    new.loc[0, "city"] = "unseen"
    new.loc[1, "full"] = np.nan
    new.loc[2, "income"] = 1e300
    new.loc[3, "color"] = None
    assert np.isfinite(predictions(model, new)).all()
    unseen, gap = new.copy(), new.copy()
    unseen["city"], gap["city"] = "other", None
    np.testing.assert_array_equal(
        predictions(model, unseen), predictions(model, gap), "unseen is like missing"
    )


def test_missing_values_tell():
    """A gap is a feature."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(400, 2))
    y = rng.integers(2, size=400)
    X[y == 1, 0] = np.nan
    model = TabularMLPClassifier(quality="fast", random_state=0).fit(X[:300], y[:300])
    assert model.score(X[300:], y[300:]) == 1


def test_categories_tell():
    """Effects of 30 categories, by trained vectors, on rows not seen."""
    rng = np.random.default_rng(0)
    effects, city = rng.normal(size=30), rng.integers(30, size=1500)
    X = pd.DataFrame({"city": city.astype(str), "noise": rng.normal(size=1500)})
    y = effects[city]
    model = TabularMLPRegressor(quality="fast", random_state=0).fit(X[:1200], y[:1200])
    assert model.score(X[1200:], y[1200:]) > 0.99


@pytest.mark.parametrize("chosen", [[False, True], [1], ["b"]], ids=str)
def test_categorical_features(chosen):
    """Codes of categories, told by a mask, by indices or by names."""
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"a": rng.normal(size=200), "b": rng.integers(9, size=200)})
    y = X["b"].to_numpy() % 2
    model = make_estimator(categorical_features=chosen, n_steps=200).fit(X, y)
    as_strings = X.astype({"b": str})
    expected = make_estimator(n_steps=200).fit(as_strings, y)
    np.testing.assert_array_equal(
        model.predict_proba(X), expected.predict_proba(as_strings)
    )


def test_names_and_order():
    X, y = make_table()
    model = make_estimator().fit(X, y)
    with pytest.raises(ValueError, match="order"):
        model.predict(X[X.columns[::-1]])
    with pytest.raises(ValueError, match="feature names"):
        model.predict(X.rename(columns={"age": "years"}))
    with pytest.warns(UserWarning, match="feature names"):
        model.predict(X.to_numpy(object))
    refitted = model.fit(X.to_numpy(object), y)
    assert not hasattr(refitted, "feature_names_in_")


@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
def test_sparse(task):
    rng = np.random.default_rng(0)
    X = sparse.random(300, 40, 0.1, "csr", random_state=0)
    coef = rng.normal(size=40)
    z = X @ coef
    y = {"binary": z > 0, "multiclass": np.digitize(z, [-0.3, 0.3]), "regression": z}
    y = y[task]
    model = make_estimator(task, n_steps=300).fit(X, y)
    assert model.score(X, y) > 0.8
    expected = predictions(model, X)
    for form in X.tocsc(), X.tocoo(), sparse.csr_array(X), X.toarray():
        np.testing.assert_allclose(predictions(model, form), expected, 1e-4)
    with pytest.raises(ValueError, match="NaN"):
        model.predict(np.full((1, 40), np.nan))
    dense = make_estimator(task).fit(X.toarray(), y)
    with pytest.raises(TypeError, match="toarray"):
        dense.predict(X)


@pytest.mark.parametrize("n_rows", [2, 3, 5, 10])
@pytest.mark.parametrize("task", ["binary", "regression"])
def test_few_rows(task, n_rows):
    X = pd.DataFrame(
        {
            "a": np.arange(n_rows),
            "b": ["x", None] * (n_rows // 2) + ["y"] * (n_rows % 2),
        }
    )
    y = np.arange(n_rows) % 2
    estimator = TabularMLPClassifier if task == "binary" else TabularMLPRegressor
    model = estimator(random_state=0, n_steps=100).fit(X, y)
    assert np.isfinite(predictions(model, X)).all()


def test_no_column_is_read_twice_or_changed():
    X, y = make_table()
    before = X.copy(deep=True)
    make_estimator().fit(X, y).predict(X)
    pd.testing.assert_frame_equal(X, before)


def test_pieces():
    """Knots are the edges that the public encoder finds, and the network begins with
    them."""
    X = np.random.default_rng(0).normal(size=(200, 3))
    X[:, 1] = X[:, 1] > 0  # two values need no pieces
    table = DenseTable(None).fit(X, None)
    data = make_data(table.transform(X), np.dtype(np.float32))
    recipe = make_recipe("regressor", "fast", 200, n_pieces=4)
    columns, knots = table.columns(recipe, "pieces", data, np.arange(200))
    assert [column.size for column in columns] == [4, 0, 4]
    edges = PiecewiseLinearEncoder(n_bins=4).fit(data.X).edges_
    np.testing.assert_allclose(knots, np.concatenate([edges[0], edges[2]]), rtol=1e-6)
    network = make_network(3, columns, 1, recipe)
    random_state = np.random.RandomState(0)
    fixed = (
        Design(network, knots),
        data,
        np.arange(200),
        random_state,
        recipe.wave_scale,
    )
    params = first_weights(*fixed)
    np.testing.assert_array_equal(knots_view(params, network.layout()), knots)
    assert np.isfinite(params).all()
