"""What a model file holds of an estimator: its class, parameters and fitted state."""

from types import SimpleNamespace

import numpy as np
from sklearn.utils.validation import check_is_fitted

from skmlp.estimators.classifier import MLPClassifier
from skmlp.estimators.regressor import MLPRegressor
from skmlp.estimators.versions import VERSION
from skmlp.export.kinds import (
    Count,
    Curve,
    Mapping,
    Number,
    Optional,
    Record,
    Sequence,
    expect,
    one_of,
)
from skmlp.export.networks import (
    BINARIZER,
    CARRIED,
    GENERATOR,
    NETWORK,
    TWISTER,
    check_carried,
)
from skmlp.export.tables import OF_CLASSIFIER, OF_REGRESSOR
from skmlp.export.values import Free, Values
from skmlp.machine.warning import shown
from skmlp.tabular.classifier import TabularMLPClassifier
from skmlp.tabular.recipe import ENCODINGS
from skmlp.tabular.regressor import TabularMLPRegressor
from skmlp.tabular.training import Member
from skmlp.training.augmentation import (
    Compose,
    CutMix,
    GaussianNoise,
    ImageFlip,
    ImageShift,
    Mixup,
    SwapNoise,
)
from skmlp.training.model import Carried
from skmlp.training.schedules import (
    Constant,
    Cosine,
    CosLog,
    Exponential,
    FlatCosine,
    InverseScaling,
    OneCycle,
    Plateau,
    Step,
    Warmup,
)

OBJECTS = (
    *(Constant, Step, Exponential, InverseScaling, Cosine, OneCycle, CosLog),
    *(FlatCosine, Plateau, Warmup, GaussianNoise, SwapNoise, Mixup, CutMix),
    *(ImageShift, ImageFlip, Compose),
)
_PARAMETER = Free(
    {cls: cls for cls in OBJECTS} | {Compose: lambda steps: Compose(*steps)}
)
_ANY = Number(finite=False)
_REASON = one_of(
    *("max_iter", "max_time", "n_steps", "one epoch", "interrupted", "diverged"),
    *("converged", "stopped"),
)
_OF_INPUT = {"n_features_in_": Count(1), "feature_names_in_": Values()}
_OF_CURVES = {
    "loss_": _ANY,
    "loss_curve_": Curve(),
    "learning_rates_": Curve(),
    "validation_loss_curve_": Optional(Curve()),
    "validation_scores_": Optional(Curve()),
    "best_loss_": Optional(_ANY),
    "best_validation_score_": Optional(_ANY),
    "best_iter_": Count(),
    "n_iter_": Count(),
    "t_": Count(),
    "_no_improvement_count": Count(),
    "stopping_reason_": _REASON,
}
_OF_NETWORK = {
    "_network": NETWORK,
    "n_layers_": Count(2),
    "n_outputs_": Count(1),
    "n_parameters_": Count(1),
    "out_activation_": Free(),
}
_OF_TRAINING = {
    "_carried": CARRIED,
    "_random_state": GENERATOR,
    "_split_state": TWISTER,
}
_OF_CLASSES = {"classes_": Values(), "_label_binarizer": BINARIZER}
_OF_TABLES = {
    "n_iter_": Count(),
    "stopping_reason_": _REASON,
    "number_encoding_": Optional(one_of(*ENCODINGS)),
    "history_": Mapping(
        {
            "member": Curve(int),
            "step": Curve(int),
            "loss": Curve(),
            "validation_error": Curve(),
            "seconds": Curve(),
        }
    ),
    "members_": Sequence(
        Record(
            Member,
            {
                "steps": Sequence(Count()),
                "counts": Sequence(Count()),
                "validation_error": _ANY,
                "stopping_reason": _REASON,
            },
        ),
        list,
    ),
}


def _check_plain(state, at):
    expect(hasattr(state, "_network"), at, "no network")
    network = state._network
    architecture, classes = network.architecture, network.classes
    n_features, own = network.n_features, vars(state).get
    expect(not architecture.columns, f"{at}.network", "with an embedding")
    for name, value in (
        ("n_features_in_", n_features),
        ("n_layers_", len(architecture.sizes)),
        ("n_outputs_", network.n_outputs),
        ("out_activation_", network.shown_link),
        ("n_parameters_", architecture.layout().n_params),
    ):
        fits = own(name, value) == value
        expect(fits, f"{at}.{name.strip('_')}", f"not {value!r} as of the network")
    names = own("feature_names_in_")
    fits = names is None or len(names) == n_features
    expect(fits, f"{at}.feature_names_in", f"not names of {n_features} features")
    binarizer = own("_label_binarizer")
    for name, given in (
        ("classes", own("classes_")),
        ("label_binarizer", None if binarizer is None else binarizer.classes_),
    ):
        fits = given is None or (classes is not None and np.array_equal(given, classes))
        expect(fits, f"{at}.{name}", "not the classes of the network")
    if own("_carried") is not None:
        check_carried(state._carried, network, f"{at}.carried")


def _check_of_tables(state, at):
    expect(hasattr(state, "_fitted"), at, "not fitted")
    fitted, own = state._fitted, vars(state).get
    table = fitted.table
    n_features = table._scale.size if table.is_sparse else table._encoder.n_features_in_
    fits = own("n_features_in_") == n_features
    expect(fits, f"{at}.n_features_in", f"not {n_features} as of the table")
    names = own("feature_names_in_")
    fits = names is None or len(names) == n_features
    expect(fits, f"{at}.feature_names_in", f"not names of {n_features} features")
    classes = own("classes_")
    fits = classes is None or np.array_equal(classes, fitted.targets.classes)
    expect(fits, f"{at}.classes", "not the classes of the targets")


def _state_of(check, *parts):
    kinds = {name: kind for part in (_OF_INPUT, *parts) for name, kind in part.items()}
    return Record(SimpleNamespace, kinds, check=check, optional=frozenset(kinds))


_PLAIN = _OF_NETWORK, _OF_CURVES, _OF_TRAINING
FITTED_STATES = {
    MLPClassifier: _state_of(_check_plain, *_PLAIN, _OF_CLASSES),
    MLPRegressor: _state_of(_check_plain, *_PLAIN),
    TabularMLPClassifier: _state_of(
        _check_of_tables,
        _OF_TABLES,
        {"classes_": Values(), "_fitted": OF_CLASSIFIER},
    ),
    TabularMLPRegressor: _state_of(
        _check_of_tables, _OF_TABLES, {"_fitted": OF_REGRESSOR}
    ),
}
_NAMES = {cls.__name__: cls for cls in FITTED_STATES}


def describe(estimator, *, resume):
    """(what JSON holds of a fitted estimator, tensors by name).

    Raises
    ------
    TypeError
        If it is of none of the classes.
    ValueError
        If a parameter or an attribute cannot be stored.
    """
    cls, tensors = type(estimator), {}
    if cls not in FITTED_STATES:
        raise TypeError(
            f"{cls.__name__} cannot be saved, only {', '.join(_NAMES)}: of a Pipeline,"
            " save the last step, and the others with skops."
        )
    check_is_fitted(estimator)
    parameters = estimator.get_params(deep=False)
    document = {
        "class": cls.__name__,
        "parameters": {
            name: _dump_parameter(cls, name, value, tensors)
            for name, value in parameters.items()
        },
    }
    estimator._checked_parameters()
    if hasattr(estimator, "_current_network"):
        estimator._current_network()  # takes over what users have put into coefs_
    state = estimator.__getstate__()
    del state[VERSION]
    state = {name: v for name, v in state.items() if name not in parameters}
    unknown = state.keys() - FITTED_STATES[cls].kinds.keys()
    if unknown:
        raise ValueError(
            f"{cls.__name__} has attributes that cannot be stored:"
            f" {', '.join(sorted(unknown))}. Delete them before saving."
        )
    if not resume:
        _forget_training(state)
    state = SimpleNamespace(**state)
    document["fitted"] = FITTED_STATES[cls].dump(state, "fitted", tensors)
    return document, tensors


def _dump_parameter(cls, name, value, tensors):
    try:
        return _PARAMETER.dump(value, f"parameters.{name}", tensors)
    except ValueError as error:
        default = cls().get_params(deep=False)[name]
        raise ValueError(
            f"{cls.__name__} cannot be saved: {error}. Call"
            f" set_params({name}={default!r}) before, and set it again after loading."
        ) from error


def _forget_training(state):
    """Leave out what only further training needs."""
    state.pop("_random_state", None)
    state.pop("_split_state", None)
    if "_carried" in state:
        state["_carried"] = Carried(n_seen=state["_carried"].n_seen)


def rebuild(document, tensors):
    """The estimator that has been described; takes the tensors.

    Raises
    ------
    ValueError
        If it could not have been.
    """
    keys = {"class", "parameters", "fitted"}
    fits = isinstance(document, dict) and keys <= document.keys()
    expect(fits, "file", "no description of an estimator")
    name = document["class"]
    fits = isinstance(name, str) and name in _NAMES
    expect(fits, "class", f"{shown(name)} is not among {', '.join(_NAMES)}")
    cls = _NAMES[name]
    given = document["parameters"]
    expect(isinstance(given, dict), "parameters", "no parameters")
    unknown = given.keys() - cls._get_param_names()
    expect(not unknown, "parameters", f"the unknown {', '.join(sorted(unknown))}")
    parameters = {
        key: _PARAMETER.load(item, f"parameters.{key}", tensors)
        for key, item in given.items()
    }
    estimator = cls(**parameters)
    estimator._checked_parameters()
    state = FITTED_STATES[cls].load(document["fitted"], "fitted", tensors)
    expect(not tensors, "file", f"the unknown tensors {', '.join(sorted(tensors))}")
    vars(estimator).update(vars(state))
    return estimator
