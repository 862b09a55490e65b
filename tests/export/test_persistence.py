"""skops, pickle and joblib."""

import copy
import pickle
import warnings

import joblib
import pytest
import skops.io
from export.models import NAMES, assert_same_outputs, fit, fitted, make, make_rows
from scipy import sparse
from sklearn.exceptions import InconsistentVersionWarning
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import skmlp
from skmlp import MLPRegressor, TabularMLPClassifier, schedules
from skmlp.augmentation import (
    Compose,
    CutMix,
    GaussianNoise,
    ImageFlip,
    ImageShift,
    Mixup,
    SwapNoise,
)
from skmlp.export.estimators import OBJECTS
from skmlp.preprocessing import PiecewiseLinearEncoder, RobustScaleSmoothClip


def through_skops(model):
    data = skops.io.dumps(model)
    assert {*skops.io.get_untrusted_types(data=data)} <= {*skmlp.SKOPS_TRUSTED_TYPES}
    return skops.io.loads(data, trusted=[*skmlp.SKOPS_TRUSTED_TYPES])


def through_joblib(model, tmp_path):
    joblib.dump(model, tmp_path / "model.joblib")
    return joblib.load(tmp_path / "model.joblib", mmap_mode="r")


@pytest.mark.parametrize("name", NAMES)
def test_skops(name, tmp_path):
    model, X = fitted(name)
    assert_same_outputs(model, through_skops(model), X)


@pytest.mark.parametrize("name", NAMES)
def test_memory_maps(name, tmp_path):
    model, X = fitted(name)
    assert_same_outputs(model, through_joblib(model, tmp_path), X)


@pytest.mark.parametrize("name", NAMES)
def test_pickle(name):
    model, X = fitted(name)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        other = pickle.loads(pickle.dumps(model))
        copy.deepcopy(model)
    assert_same_outputs(model, other, X)
    assert vars(other).keys() <= vars(model).keys() | {"_shown"}


@pytest.mark.parametrize("name", ["amsgrad", "early stopping", "normalized"])
def test_training_goes_on(name, tmp_path):
    model, X, y = make(name, warm_start=True)
    fit(model, X, y)
    others = [through_skops(model), through_joblib(model, tmp_path)]
    fit(model, X, y)
    for other in others:
        assert_same_outputs(model, fit(other, X, y), X)


def test_skops_of_all_parts():
    names = [name for name in schedules.__all__ if name != "Schedule"]
    objects = [getattr(schedules, name)() for name in names]
    noise, mix = GaussianNoise(0.1), Mixup(0.2)
    cut, shift = CutMix(0.2), ImageShift((2, 2), 1)
    swap, flip = SwapNoise(0.1), ImageFlip((2, 2))
    objects += [noise, mix, cut, shift, swap, flip, Compose(noise, mix)]
    assert {type(own) for own in objects} == {*OBJECTS}
    for own in objects:
        assert through_skops(own) == own
    X = sparse.random(60, 8, density=0.3, random_state=0, format="csr")
    small = {"n_steps": 20, "n_members": 1, "hidden_layer_sizes": (4,)}
    model = TabularMLPClassifier(**small).fit(X, [0, 1] * 30)
    assert_same_outputs(model, through_skops(model), X)
    X = make_rows()
    model = make_pipeline(
        StandardScaler(),
        RobustScaleSmoothClip(),
        PiecewiseLinearEncoder(),
        MLPRegressor(max_iter=3),
    )
    model = fit(model, X, X[:, 0])
    assert_same_outputs(model, through_skops(model), X)


@pytest.mark.parametrize("name", ["binary", "table regression"])
def test_another_version(name, monkeypatch):
    model, X = fitted(name)
    monkeypatch.setattr("skmlp.estimators.versions.__version__", "0.0.9")
    data = pickle.dumps(model)
    monkeypatch.undo()
    with pytest.warns(InconsistentVersionWarning) as caught:
        other = pickle.loads(data)
    (warning,) = caught
    assert f"estimator {type(model).__name__} from version 0.0.9" in str(
        warning.message
    )
    assert_same_outputs(model, other, X)
