"""Model files: what is saved comes back, and nothing else does."""

import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from export.models import (
    NAMES,
    PLAIN,
    assert_same_outputs,
    fit,
    fitted,
    make,
    make_rows,
    make_targets,
)
from scipy import sparse
from sklearn.base import clone
from sklearn.exceptions import NotFittedError

import skmlp.augmentation
import skmlp.schedules
from skmlp import MLPClassifier, MLPRegressor, TabularMLPClassifier, load, save
from skmlp.estimators.versions import VERSION
from skmlp.export.estimators import FITTED_STATES, OBJECTS

DATA = Path(__file__).parents[1] / "data"
OLD_FILES = sorted(DATA.glob("*.safetensors"))


def reloaded(model, tmp_path, **options):
    path = tmp_path / "model.safetensors"
    save(model, path, **options)
    return load(path)


def states(model):
    return {k: v for k, v in model.__getstate__().items() if k != "_carried"}


@pytest.mark.parametrize("name", NAMES)
def test_predicts_bit_for_bit(name, tmp_path):
    model, X = fitted(name)
    other = reloaded(model, tmp_path)
    assert type(other) is type(model)
    assert_same_outputs(model, other, X)
    assert repr(other.get_params()) == repr(model.get_params())
    assert clone(other).get_params().keys() == model.get_params().keys()
    assert states(other).keys() == states(model).keys()
    assert other.history_ == {
        k: v for k, v in model.history_.items() if k in other.history_
    }


@pytest.mark.parametrize("name", NAMES)
def test_equal_models_have_equal_files(name, tmp_path):
    model, _ = fitted(name)
    save(model, tmp_path / "one")
    save(load(tmp_path / "one"), tmp_path / "other")
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()


@pytest.mark.parametrize("name", PLAIN)
def test_training_goes_on(name, tmp_path):
    """By `partial_fit` after a fit, and by a warm start, as with the saved one."""
    model, X, y = make(name)
    fit(model, X, y)
    ways = [lambda est: fit(est.set_params(warm_start=True), X, y)]
    if model.solver != "lbfgs" and not model.early_stopping:
        ways.append(lambda est: est.partial_fit(X, y).partial_fit(X[:30], y[:30]))
    for go_on in ways:
        other = reloaded(model, tmp_path)
        go_on(model)
        go_on(other)
        assert_same_outputs(model, other, X)
        assert other.loss_curve_ == model.loss_curve_
        assert other.n_iter_ == model.n_iter_


def test_training_goes_on_after_partial_fit(tmp_path):
    """The order of the rows too, however many there are."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(70_000, 2)), rng.normal(size=70_000)
    model = MLPRegressor(
        hidden_layer_sizes=(3,), batch_size=5000, random_state=0
    ).partial_fit(X, y)
    other = reloaded(model, tmp_path)
    model.partial_fit(X, y)
    other.partial_fit(X, y)
    np.testing.assert_array_equal(other.coefs_[0], model.coefs_[0])


def test_without_what_training_needs(tmp_path):
    model, X = fitted("binary")
    other = reloaded(model, tmp_path, resume=False)
    short = (tmp_path / "model.safetensors").stat().st_size
    save(model, tmp_path / "whole")
    assert short < 0.6 * (tmp_path / "whole").stat().st_size
    assert_same_outputs(model, other, X)
    assert other.t_ == model.t_
    other.partial_fit(X, model.predict(X))
    assert other.t_ == model.t_ + len(X)


def test_sparse_table(tmp_path):
    X = sparse.random(60, 8, density=0.3, random_state=0, format="csr")
    y = np.arange(60) % 2
    model = TabularMLPClassifier(
        n_steps=20, n_members=1, hidden_layer_sizes=(4,), random_state=0
    ).fit(X, y)
    assert_same_outputs(model, reloaded(model, tmp_path), X)


def test_names_of_features(tmp_path):
    X = pd.DataFrame(make_rows(), columns=["a", "b", "ü", "d", "e" * 100])
    model = fit(MLPClassifier((3,), max_iter=3), X, make_targets(X.values, "binary"))
    other = reloaded(model, tmp_path)
    assert other.feature_names_in_.tolist() == X.columns.tolist()
    assert other.feature_names_in_.dtype == object
    assert_same_outputs(model, other, X)
    with pytest.raises(ValueError, match="feature names"):
        other.predict(X.rename(columns={"a": "z"}))


@pytest.mark.parametrize(
    "labels",
    [
        np.array(["b", "a", "ü"]),
        np.array(["b", "a", ""], "U50"),
        np.array(["b", "a", "c"], object),
        np.array([3, -1, 7], np.int8),
        np.array([3, 2, 7], np.uint64),
        np.array([5.0, -1.0, 2.0], np.float32),
        np.array([True, False]),
    ],
    ids=lambda labels: str(labels.dtype),
)
def test_labels_keep_their_dtype(labels, tmp_path):
    X = make_rows(60)
    y = labels[np.arange(60) % len(labels)]
    model = fit(MLPClassifier((3,), max_iter=3), X, y)
    other = reloaded(model, tmp_path)
    assert other.classes_.dtype == model.classes_.dtype
    assert_same_outputs(model, other, X)


def test_categories_of_any_type(tmp_path):
    column = [
        1,
        "1",
        2.5,
        b"x",
        True,
        Decimal("0.1"),
        np.float32(7),
        None,
        np.str_("s"),
    ]
    X = [[value, i] for i, value in enumerate(column * 6)]
    y = np.arange(len(X)) % 2
    small = {"n_steps": 20, "n_members": 1, "hidden_layer_sizes": (4,)}
    model = TabularMLPClassifier(categorical_features=[0], **small).fit(X, y)
    other = reloaded(model, tmp_path)
    assert_same_outputs(model, other, X)


def test_weights_of_ones_own(tmp_path):
    """What users have put into the lists is saved, be there a fit or not."""
    X = make_rows(10)
    model = MLPRegressor(activation="tanh")
    model.coefs_ = [np.ones((5, 3)), np.ones((3, 1))]
    model.intercepts_ = [np.zeros(3), np.zeros(1)]
    other = reloaded(model, tmp_path)
    np.testing.assert_array_equal(other.predict(X), model.predict(X))
    model, X, y = make("multiclass")
    fit(model, X, y)
    model.coefs_[0] = np.zeros_like(model.coefs_[0])
    other = reloaded(model, tmp_path)
    np.testing.assert_array_equal(other.coefs_[0], 0)


def test_parameters_of_any_type(tmp_path):
    params = {
        "hidden_layer_sizes": np.array([4, 3]),
        "alpha": np.float32(0.1),
        "n_iter_no_change": np.inf,
        "class_weight": {"no": 1.5, "yes": np.float64(2)},
        "random_state": np.int64(3),
        "activation": ("relu", "tanh"),
        "max_iter": 3,
    }
    X = make_rows()
    model = fit(MLPClassifier(**params), X, make_targets(X, "binary"))
    other = reloaded(model, tmp_path)
    for name, value in params.items():
        got = getattr(other, name)
        assert type(got) is type(value)
        assert np.all(got == value)
    assert type(other.alpha) is np.float32
    assert other.class_weight == params["class_weight"]


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ({"learning_rate": np.cos}, "learning_rate='constant'"),
        ({"augmentation": lambda X, Y, rng: (X, Y)}, "augmentation=None"),
        ({"weight_init": lambda *args: np.ones(args[0])}, "weight_init='auto'"),
        ({"random_state": np.random.RandomState(0)}, "random_state=None"),
    ],
    ids=["schedule", "augmentation", "initializer", "generator"],
)
def test_what_only_a_pickle_holds_is_refused(params, words, tmp_path):
    X = make_rows()
    y = make_targets(X, "binary")
    path = tmp_path / "model"
    path.write_bytes(b"what was there")
    model = MLPClassifier((3,), max_iter=2).set_params(**params)
    if "weight_init" in params:
        model.weight_init = "auto"
    fit(model, X, y).set_params(**params)
    with pytest.raises(ValueError, match=r"cannot be saved: parameters\.") as caught:
        save(model, path)
    assert f"set_params({words})" in str(caught.value)
    assert path.read_bytes() == b"what was there"
    name, default = words.split("=")
    save(model.set_params(**{name: eval(default)}), path)
    assert load(path).predict(X).shape == y.shape


def test_bad_input(tmp_path):
    path = tmp_path / "model"
    with pytest.raises(NotFittedError):
        save(MLPClassifier(), path)
    model, X = fitted("binary")

    class Mine(MLPClassifier):
        pass

    with pytest.raises(TypeError, match="Mine cannot be saved, only MLPClassifier"):
        save(fit(Mine((3,), max_iter=2), X, model.predict(X)), path)
    other = clone(model)
    fit(other, X, model.predict(X)).note = "mine"
    with pytest.raises(ValueError, match="note"):
        save(other, path)
    del other.note
    with pytest.raises(ValueError, match="alpha"):
        save(other.set_params(alpha=-1), path)
    other.set_params(alpha=0)
    other.coefs_[0][0, 0] = np.nan
    with pytest.raises(ValueError, match="NaN"):
        save(other, path)
    assert not list(tmp_path.iterdir())


def test_places_that_cannot_be_written(tmp_path):
    model, _ = fitted("binary")
    with pytest.raises(IsADirectoryError):
        save(model, tmp_path)
    with pytest.raises(FileNotFoundError):
        save(model, tmp_path / "nowhere" / "model")
    if Path("/dev/full").exists():
        with pytest.raises(OSError, match="No space"):
            save(model, "/dev/full")
    assert not list(tmp_path.iterdir())
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "model")


_ON_A_FULL_DISK = """
import resource, sys
from skmlp import load, save
model = load(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    save(model, sys.argv[1])
except OSError as error:
    print("OSError")
"""


@pytest.mark.skipif(os.name != "posix", reason="limits of sizes are POSIX's")
def test_full_disk_leaves_the_old_file(tmp_path):
    model, X = fitted("binary")
    path = tmp_path / "model"
    save(model, path)
    command = [sys.executable, "-c", _ON_A_FULL_DISK, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "OSError\n"
    assert list(tmp_path.iterdir()) == [path]
    assert_same_outputs(model, load(path), X)


def test_link_stays_a_link(tmp_path):
    model, X = fitted("binary")
    (tmp_path / "link").symlink_to(tmp_path / "model")
    save(model, tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert_same_outputs(model, load(tmp_path / "model"), X)


def test_every_attribute_has_a_kind():
    """A new attribute of a fit has to be added to what files hold."""
    for name in NAMES:
        model, _ = fitted(name)
        known = FITTED_STATES[type(model)].kinds.keys() | model.get_params().keys()
        assert model.__getstate__().keys() <= known | {VERSION}


@pytest.mark.parametrize(
    "path", sorted(DATA.glob("*.safetensors")), ids=lambda p: p.stem
)
def test_files_of_older_versions(path):
    expected = json.loads(path.with_suffix(".json").read_text())
    model = load(path)
    X = pd.DataFrame(expected["X"], columns=expected["names"])
    X = X if hasattr(model, "feature_names_in_") else X.to_numpy()
    got = getattr(model, "predict_proba", model.predict)(X)
    np.testing.assert_allclose(got, expected["predicted"], rtol=1e-5, atol=1e-6)
    labels = model.predict(X)
    assert np.asarray(labels).dtype == np.dtype(expected["dtype"])
    assert isinstance(model, getattr(skmlp, expected["class"]))


def test_there_are_such_files():
    classes = {json.loads(p.read_text())["class"] for p in DATA.glob("*.json")}
    assert classes == {cls.__name__ for cls in FITTED_STATES}


def test_every_object_of_parameters_is_known():
    names = {*skmlp.schedules.__all__, *skmlp.augmentation.__all__} - {"Schedule"}
    assert {cls.__name__ for cls in OBJECTS} == names
