"""scikit-learn's own contract checks, over many configurations of both classes."""

import pytest
from sklearn.utils.estimator_checks import (
    check_dataframe_column_names_consistency,
    check_inplace_ensure_writeable,
    check_param_validation,
    parametrize_with_checks,
)

from skmlp import MLPClassifier, MLPRegressor

pytestmark = pytest.mark.filterwarnings(
    "ignore::sklearn.exceptions.ConvergenceWarning",
    "ignore:Got `batch_size` less than 1:UserWarning",
)

BOTH = [
    {},
    {"solver": "sgd"},
    {"solver": "lbfgs"},
    {"early_stopping": True, "n_iter_no_change": 20},
    {"batch_size": 8, "max_iter": 60},
    {"activation": "identity"},
    {"activation": "logistic", "learning_rate_init": 0.02},
    {"activation": "tanh", "hidden_layer_sizes": (20, 10)},
    {"hidden_layer_sizes": (), "learning_rate_init": 0.1},
    {"warm_start": True},
    {"shuffle": False},
    {"solver": "sgd", "learning_rate": "adaptive"},
    {"solver": "sgd", "learning_rate": "invscaling", "power_t": 0.1},
    {"solver": "lbfgs", "early_stopping": True},
]
CLASSIFIER = [
    {"loss": "focal", "label_smoothing": 0.1},
    {"class_weight": "balanced", "solver": "lbfgs"},
]
REGRESSOR = [
    {"loss": "poisson"},
    {"loss": "poisson", "solver": "lbfgs"},
    {"loss": "gamma", "solver": "lbfgs"},
    {"loss": "tweedie", "max_iter": 200},
    {"loss": "huber"},
    {"loss": "quantile"},
    {"loss": "gaussian_nll"},
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
REFIT_CHECKS = (
    "check_classifiers_multilabel_representation_invariance",
    "check_supervised_y_2d",
)


def quick(estimator, params):
    """Few epochs and a high learning rate; sgd on unscaled targets needs a low one."""
    defaults = {"hidden_layer_sizes": (20,), "max_iter": 60, "random_state": 0}
    if params.get("solver") == "sgd":
        defaults["max_iter"] = 300
    elif params.get("solver") != "lbfgs":
        defaults["learning_rate_init"] = 0.01
    return estimator(**{**defaults, **params})


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
    if estimator.batch_size == 8:
        why = "minibatches of 8 hold other rows when rows are repeated"
        reasons |= dict.fromkeys(WEIGHT_CHECKS, why)
    if estimator.learning_rate == "invscaling":
        why = "the rate falls with the rows seen, and repeating adds rows"
        reasons |= dict.fromkeys(WEIGHT_CHECKS, why)
    if estimator.warm_start:
        why = "a second fit goes on, and cannot equal the first"
        reasons |= dict.fromkeys(REFIT_CHECKS, why)
    if getattr(estimator, "loss", None) in ("poisson", "gamma", "tweedie"):
        reasons["check_regressor_multioutput"] = "its targets are negative"
    return reasons


ESTIMATORS = [
    *(quick(MLPClassifier, params) for params in BOTH + CLASSIFIER),
    *(quick(MLPRegressor, params) for params in BOTH + REGRESSOR),
]


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
