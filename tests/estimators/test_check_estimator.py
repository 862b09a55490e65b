"""scikit-learn's own contract checks, over many configurations of both classes."""

import numpy as np
import pytest
import sklearn.neural_network
from sklearn.utils.estimator_checks import (
    check_dataframe_column_names_consistency,
    check_inplace_ensure_writeable,
    check_param_validation,
    parametrize_with_checks,
)

from skmlp import MLPClassifier, MLPRegressor
from skmlp.augmentation import GaussianNoise, Mixup
from skmlp.estimators.parameters import STOCHASTIC_SOLVERS
from skmlp.schedules import Warmup
from skmlp.training.schedules import SCHEDULES

pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning",
    "ignore:Got `batch_size` less than 1:UserWarning",
)

# At the default number of epochs and, as far as it does, with the other defaults.
BOTH = [
    {},
    {"solver": "sgd"},
    {"solver": "lbfgs"},
    {"early_stopping": True},
    {"batch_size": 8},
    {"activation": "identity"},
    {"activation": "logistic", "learning_rate_init": 0.02},
    {
        "activation": "tanh",
        "hidden_layer_sizes": (20, 10),
        "learning_rate_init": 0.01,
    },
    {"hidden_layer_sizes": (), "learning_rate_init": 0.1},
    {"warm_start": True},
    {"batch_size": 20, "last_batch": "merge"},
    {"batch_size": 20, "last_batch": "drop"},
    {"shuffle": False},
    {"solver": "sgd", "learning_rate": "adaptive"},
    {"solver": "sgd", "learning_rate": "invscaling", "power_t": 0.1},
    {"solver": "lbfgs", "early_stopping": True, "scoring": "loss"},
]
# What scikit-learn does not have: each parameter, solver and loss, in few estimators.
CLASSIFIER = [
    {"class_weight": "balanced", "solver": "lbfgs"},
    {"loss": "focal", "focal_gamma": 1.0, "label_smoothing": 0.1},
    {
        "solver": "nadam",
        "hidden_layer_sizes": (20, 10),
        "normalization": ["batch", "layer"],
        "norm_momentum": 0.3,
        "norm_epsilon": 1e-3,
        "norm_statistics": "population",
        "learning_rate": "coslog4",
    },
    {
        "solver": "adamw",
        "hidden_layer_sizes": (12, 8),
        "activation": ["swiglu", "mish"],
        "weight_init": "orthogonal",
        "weight_decay": 0.1,
        "weight_decay_schedule": "cosine",
        "scale_input": True,
        "learning_rate": "exponential",
        "learning_rate_init": 0.01,
    },
    {
        "solver": "adagrad",
        "learning_rate_init": 0.1,
        "alpha": 0.01,
        "l1_ratio": 0.5,
        "max_norm": 3.0,
        "clip_norm": 1.0,
        "clip_value": 0.5,
    },
    {
        "solver": "amsgrad",
        "parametric_activation": True,
        "dropout": 0.1,
        "input_dropout": 0.1,
        "dropout_schedule": "flat_cosine",
        "ema_decay": 0.8,
    },
    {
        "solver": "rmsprop",
        "rho": 0.8,
        "augmentation": Mixup(0.1),
        "dtype": "float32",
        "max_time": 60.0,
        "learning_rate": Warmup("cosine"),
    },
]
REGRESSOR = [
    {"loss": "poisson", "solver": "lbfgs"},
    {"loss": "gamma", "solver": "lbfgs"},
    {
        "loss": "poisson",
        "solver": "nadam",
        "weight_init": "lecun_normal",
        "learning_rate": "cosine",
        "learning_rate_init": 0.01,
    },
    {
        "loss": "tweedie",
        "tweedie_power": 1.2,
        "l1_ratio": 0.5,
        "learning_rate_init": 0.01,
    },
    {
        "loss": "huber",
        "huber_delta": 2.0,
        "solver": "adamw",
        "weight_decay": 0.1,
        "weight_decay_schedule": "cosine",
        "max_norm": 5.0,
        "learning_rate": "one_cycle",
    },
    {
        "loss": "quantile",
        "quantile": [0.2, 0.5, 0.8],
        "solver": "schedule_free",
        "learning_rate_init": 0.05,
        "learning_rate": "flat_cosine",
        "clip_norm": 1.0,
        "clip_value": 0.5,
    },
    {"loss": "quantile", "quantile": 0.4, "solver": "lion", "ema_decay": 0.8},
    {
        "loss": "gaussian_nll",
        "nll_beta": 0.0,
        "solver": "rmsprop",
        "rho": 0.8,
        "normalization": "batch",
        "norm_momentum": 0.3,
        "norm_epsilon": 1e-3,
        "norm_statistics": "population",
        "learning_rate": "step",
    },
    {
        "loss": "absolute_error",
        "parametric_activation": True,
        "scale_input": True,
        "dropout": 0.02,
        "input_dropout": 0.01,
        "dropout_schedule": "flat_cosine",
        "augmentation": GaussianNoise(0.01),
        "learning_rate": "plateau",
    },
    {
        "loss": "log_cosh",
        "hidden_layer_sizes": (12, 8),
        "activation": ("geglu", "selu"),
        "dtype": "float64",
        "max_time": 60.0,
        "learning_rate": np.cos,
    },
]
WEIGHT_CHECKS = (
    "check_sample_weight_equivalence_on_dense_data",
    "check_sample_weight_equivalence_on_sparse_data",
)
PARTIAL_FIT_CHECKS = (
    "check_fit_score_takes_y",
    "check_n_features_in_after_fitting",
    "check_estimators_partial_fit_n_features",
)
SHAPE_CHECKS = (
    "check_regressors_train",
    "check_estimator_sparse_array",
    "check_estimator_sparse_matrix",
)
REFIT_CHECKS = (
    "check_classifiers_multilabel_representation_invariance",
    "check_supervised_y_2d",
)


def expected_failures(estimator):
    """What mathematics or a test of scikit-learn's own MLP forces."""
    reasons = {}
    if estimator.early_stopping:
        why = "the random split sees other rows when rows are repeated"
        reasons |= dict.fromkeys(WEIGHT_CHECKS, why)
        if estimator.solver != "lbfgs":
            why = "with weights 1e7 : 1, validation is perfect once one class is right"
            reasons["check_class_weight_classifiers"] = why
            why = "test_mlp.py wants partial_fit to be there and to raise"
            reasons |= dict.fromkeys(PARTIAL_FIT_CHECKS, why)
    if estimator.batch_size == 8 or estimator.last_batch == "drop":
        why = "minibatches hold other rows when rows are repeated"
        reasons |= dict.fromkeys(WEIGHT_CHECKS, why)
    if estimator.learning_rate == "invscaling":
        why = "the rate falls with the rows seen, and repeating adds rows"
        reasons |= dict.fromkeys(WEIGHT_CHECKS, why)
    if estimator.dropout or estimator.augmentation:
        why = "masks and changes of rows are drawn by place, and repeating adds places"
        reasons |= dict.fromkeys(WEIGHT_CHECKS, why)
    if isinstance(getattr(estimator, "quantile", None), list):
        why = "each quantile has a column of predictions"
        reasons |= dict.fromkeys(SHAPE_CHECKS, why)
    if estimator.warm_start:
        why = "a second fit goes on, and cannot equal the first"
        reasons |= dict.fromkeys(REFIT_CHECKS, why)
    if getattr(estimator, "loss", None) in ("poisson", "gamma", "tweedie"):
        reasons["check_regressor_multioutput"] = "its targets are negative"
    return reasons


ESTIMATORS = [
    *(MLPClassifier(**params) for params in BOTH + CLASSIFIER),
    *(MLPRegressor(**params) for params in BOTH + REGRESSOR),
]


@pytest.mark.parametrize("cls", [MLPClassifier, MLPRegressor])
def test_every_parameter_is_turned_on(cls):
    """A new one has to be added to the grid; scikit-learn's own have their tests."""
    models = [model.get_params() for model in ESTIMATORS if isinstance(model, cls)]
    theirs = getattr(sklearn.neural_network, cls.__name__)().get_params()
    default = cls().get_params()
    forgotten = [
        name
        for name in default.keys() - theirs.keys()
        if all(model[name] == default[name] for model in models)
    ]
    assert not forgotten
    losses = cls._parameter_constraints["loss"][0].options
    assert {model["loss"] for model in models} == losses


def test_every_solver_and_schedule_is_tried():
    models = [model.get_params() for model in ESTIMATORS]
    assert {model["solver"] for model in models} == {"lbfgs", *STOCHASTIC_SOLVERS}
    assert SCHEDULES.keys() <= {
        model["learning_rate"]
        for model in models
        if isinstance(model["learning_rate"], str)
    }


@parametrize_with_checks(ESTIMATORS, expected_failed_checks=expected_failures)
def test_contract(estimator, check):
    check(estimator)


@pytest.mark.parametrize("estimator", [ESTIMATORS[0], ESTIMATORS[-1]])
@pytest.mark.parametrize(
    "check",
    [
        check_param_validation,
        check_dataframe_column_names_consistency,
        check_inplace_ensure_writeable,
    ],
)
def test_further_checks(estimator, check):
    check(type(estimator).__name__, estimator)
