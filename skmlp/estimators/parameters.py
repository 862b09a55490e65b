"""The constructor parameters, a row for each: one place for one parameter.

A row has the values that are allowed, what the parameter is for, with what it has an
effect, and what it makes no sense with. Estimators check and warn by it, and the
documentation is made of it; signatures and docstrings stay written out, and tests hold
all of them together.
"""

from numbers import Integral, Real

import numpy as np
from sklearn.metrics import get_scorer_names
from sklearn.utils._param_validation import Interval, Options, StrOptions

from skmlp.core.activations import ACTIVATIONS
from skmlp.core.losses import LOSSES
from skmlp.core.normalization import NORMALIZATIONS
from skmlp.core.optimizers import OPTIMIZERS
from skmlp.estimators.choices import Clash, Need, Parameter
from skmlp.training.initialization import INITIALIZERS
from skmlp.training.schedules import SCHEDULES, SGD_ONLY, Schedule

STOCHASTIC_SOLVERS = tuple(name for name in OPTIMIZERS if name != "none")
_LARGEST_FLOAT32 = float(np.finfo(np.float32).max)
_LOSSES_OF_REGRESSORS = {
    name for name, row in LOSSES.items() if row.link in ("identity", "gaussian", "exp")
}
GROUPS = NETWORK, LOSS, STEPS, CONSTANTS, REGULARIZATION, STOPPING, OTHERS = (
    *("Network", "Loss", "Steps", "Constants of the solvers", "Regularization"),
    *("Stopping and validation", "Everything else"),
)


def _fraction(closed):
    return Interval(Real, 0, 1, closed=closed)


def _positive(kind):
    return Interval(kind, 0, None, closed="neither")


def _not_negative(kind):
    return Interval(kind, 0, None, closed="left")


def _count():
    return Interval(Integral, 1, None, closed="left")


def _is_stochastic(case):
    return case.model.solver in STOCHASTIC_SOLVERS


def _with_loss(loss):
    return (Need(f"loss={loss!r}", lambda case: case.model.loss == loss),)


def _with_normalization(*names):
    where = "normalization=" + " or ".join(map(repr, names))
    return (Need(where, lambda case: bool({*names} & _kinds_of_normalization(case))),)


def _kinds_of_normalization(case):
    return {*np.atleast_1d(np.asarray(case.model.normalization, object))}


def _has_gates(model):
    names = np.atleast_1d(np.asarray(model.activation, object))
    return any(ACTIVATIONS[name].slope is None for name in names)


_STOCHASTIC = Need("stochastic solvers", _is_stochastic)


def _not_with_lbfgs(holds, message):
    return Clash(
        "solver='lbfgs'",
        lambda case: case.model.solver == "lbfgs" and holds(case),
        message,
    )


def _without_lbfgs(name, off):
    """The clash of a parameter that changes steps or loss on the way."""
    return _not_with_lbfgs(
        lambda case: getattr(case.model, name) != off,
        "{name} changes the steps or the loss on the way, while solver='lbfgs' chooses"
        " its own steps along one smooth loss: choose a stochastic solver, or"
        f" {{name}}={off}.",
    )


def _without_sparse(name, off):
    return Clash(
        "sparse X",
        lambda case: case.sparse and getattr(case.model, name) != off,
        "{name} needs dense X, not a sparse matrix: pass X.toarray(), or"
        f" {{name}}={off}.",
    )


_DECLINES = [StrOptions({*SCHEDULES} - {"plateau"}), Schedule, callable]
_DROPS_WITH_LBFGS = _not_with_lbfgs(
    lambda case: np.any(case.model.dropout) or case.model.input_dropout,
    "Dropout draws another network in each evaluation, while solver='lbfgs' needs the"
    " same loss again: choose a stochastic solver, or dropout=0 and input_dropout=0.",
)

SHARED = {
    # Network
    "hidden_layer_sizes": Parameter(NETWORK, ["array-like", _count()]),
    "activation": Parameter(NETWORK, [StrOptions(set(ACTIVATIONS)), list, tuple]),
    "normalization": Parameter(
        NETWORK,
        [StrOptions(set(NORMALIZATIONS)), list, tuple, None],
        clashes=(
            _not_with_lbfgs(
                lambda case: "batch" in _kinds_of_normalization(case),
                "Running statistics of normalization='batch' follow the weights of"
                " minibatches, which solver='lbfgs' does not have: choose a stochastic"
                " solver, or normalization='layer'.",
            ),
        ),
    ),
    "norm_momentum": Parameter(
        NETWORK, [_fraction("right")], _with_normalization("batch")
    ),
    "norm_epsilon": Parameter(
        NETWORK,
        [Interval(Real, 0, _LARGEST_FLOAT32, closed="right")],
        _with_normalization("batch", "layer"),
    ),
    "norm_statistics": Parameter(
        NETWORK,
        [StrOptions({"running", "population"})],
        _with_normalization("batch"),
    ),
    "weight_init": Parameter(NETWORK, [StrOptions({"auto", *INITIALIZERS}), callable]),
    "parametric_activation": Parameter(
        NETWORK,
        ["boolean"],
        clashes=(
            Clash(
                "gated activations",
                lambda case: (
                    case.model.parametric_activation and _has_gates(case.model)
                ),
                "parametric_activation=True mixes the activation with its input, and"
                " gated activations have two inputs: choose another activation, or"
                " parametric_activation=False.",
            ),
        ),
    ),
    "scale_input": Parameter(
        NETWORK, ["boolean"], clashes=(_without_sparse("scale_input", False),)
    ),
    # Steps
    "solver": Parameter(STEPS, [StrOptions({"lbfgs", *STOCHASTIC_SOLVERS})]),
    "batch_size": Parameter(STEPS, [StrOptions({"auto"}), _count()]),
    "last_batch": Parameter(
        STEPS, [StrOptions({"keep", "merge", "drop"})], (_STOCHASTIC,)
    ),
    "learning_rate": Parameter(
        STEPS,
        [StrOptions({*SCHEDULES, *SGD_ONLY}), Schedule, callable],
        (
            Need(
                "solver='sgd'",
                lambda case: (
                    case.model.solver == "sgd"
                    or case.model.learning_rate not in SGD_ONLY
                ),
                " and ".join(map(repr, SGD_ONLY)),
            ),
            Need(
                "stochastic solvers",
                lambda case: (
                    _is_stochastic(case) or case.model.learning_rate in SGD_ONLY
                ),
                "others",
            ),
        ),
    ),
    "learning_rate_init": Parameter(STEPS, [_positive(Real)]),
    "power_t": Parameter(STEPS, [_not_negative(Real)]),
    "shuffle": Parameter(STEPS, ["boolean"]),
    "max_iter": Parameter(STEPS, [_count()]),
    "max_fun": Parameter(STEPS, [_count()]),
    # Constants of the solvers
    "momentum": Parameter(CONSTANTS, [_fraction("both")]),
    "nesterovs_momentum": Parameter(CONSTANTS, ["boolean"]),
    "beta_1": Parameter(CONSTANTS, [_fraction("left")]),
    "beta_2": Parameter(CONSTANTS, [_fraction("left")]),
    "epsilon": Parameter(CONSTANTS, [_positive(Real)]),
    "rho": Parameter(
        CONSTANTS,
        [_fraction("left")],
        (Need("solver='rmsprop'", lambda case: case.model.solver == "rmsprop"),),
    ),
    # Regularization
    "alpha": Parameter(REGULARIZATION, [_not_negative(Real)]),
    "l1_ratio": Parameter(
        REGULARIZATION,
        [_fraction("both")],
        (Need("alpha > 0", lambda case: case.model.alpha > 0),),
        (_without_lbfgs("l1_ratio", 0),),
    ),
    "weight_decay": Parameter(
        REGULARIZATION,
        [_not_negative(Real)],
        clashes=(_without_lbfgs("weight_decay", 0),),
    ),
    "weight_decay_schedule": Parameter(
        REGULARIZATION,
        _DECLINES,
        (Need("weight_decay > 0", lambda case: case.model.weight_decay > 0),),
    ),
    "dropout": Parameter(
        REGULARIZATION,
        [_fraction("left"), list, tuple],
        clashes=(_DROPS_WITH_LBFGS,),
    ),
    "input_dropout": Parameter(
        REGULARIZATION,
        [_fraction("left")],
        clashes=(_DROPS_WITH_LBFGS, _without_sparse("input_dropout", 0)),
    ),
    "dropout_schedule": Parameter(
        REGULARIZATION,
        _DECLINES,
        (
            Need(
                "dropout or input_dropout",
                lambda case: np.any(case.model.dropout) or case.model.input_dropout,
            ),
        ),
    ),
    "clip_value": Parameter(
        REGULARIZATION,
        [_positive(Real), None],
        clashes=(_without_lbfgs("clip_value", None),),
    ),
    "clip_norm": Parameter(
        REGULARIZATION,
        [_positive(Real), None],
        clashes=(_without_lbfgs("clip_norm", None),),
    ),
    "max_norm": Parameter(
        REGULARIZATION,
        [_positive(Real), None],
        clashes=(_without_lbfgs("max_norm", None),),
    ),
    "ema_decay": Parameter(
        REGULARIZATION,
        [_fraction("neither"), None],
        clashes=(
            _without_lbfgs("ema_decay", None),
            Clash(
                "solver='schedule_free'",
                lambda case: (
                    case.model.solver == "schedule_free"
                    and case.model.ema_decay is not None
                ),
                "solver='schedule_free' predicts by an average of the weights already:"
                " choose ema_decay=None, or another solver.",
            ),
        ),
    ),
    "augmentation": Parameter(
        REGULARIZATION,
        [callable, None],
        clashes=(
            _without_lbfgs("augmentation", None),
            _without_sparse("augmentation", None),
        ),
    ),
    # Stopping and validation
    "tol": Parameter(STOPPING, [_not_negative(Real)]),
    "n_iter_no_change": Parameter(STOPPING, [_count(), Options(Real, {np.inf})]),
    "max_time": Parameter(STOPPING, [_positive(Real), None]),
    "early_stopping": Parameter(
        STOPPING,
        ["boolean"],
        clashes=(
            Clash(
                "`partial_fit`",
                lambda case: case.incremental and case.model.early_stopping,
                "partial_fit does not support early_stopping=True",
            ),
        ),
    ),
    "validation_fraction": Parameter(STOPPING, [_fraction("left")]),
    "scoring": Parameter(
        STOPPING,
        [StrOptions({"loss", *get_scorer_names()}), callable, None],
        (Need("early_stopping=True or validation rows", lambda case: case.validates),),
    ),
    # Everything else
    "dtype": Parameter(OTHERS, [StrOptions({"auto", "float32", "float64"})]),
    "random_state": Parameter(OTHERS, ["random_state"]),
    "warm_start": Parameter(OTHERS, ["boolean"]),
    "verbose": Parameter(OTHERS, ["verbose"]),
}

OF_CLASSIFIER = SHARED | {
    "loss": Parameter(LOSS, [StrOptions({"log_loss", "focal"})]),
    "focal_gamma": Parameter(LOSS, [_not_negative(Real)], _with_loss("focal")),
    "label_smoothing": Parameter(
        LOSS,
        [_fraction("left")],
        clashes=(
            Clash(
                "multilabel targets",
                lambda case: case.multilabel and case.model.label_smoothing,
                "label_smoothing moves probability from the true class to the others,"
                " but multilabel targets do not exclude each other: set"
                " label_smoothing=0.",
            ),
        ),
    ),
    "class_weight": Parameter(
        LOSS,
        [dict, list, StrOptions({"balanced"}), None],
        clashes=(
            Clash(
                "`partial_fit`, if it is 'balanced'",
                lambda case: (
                    case.incremental
                    and isinstance(case.model.class_weight, str)
                    and case.model.class_weight == "balanced"
                ),
                "class_weight='balanced' needs all rows, and partial_fit sees a part of"
                " them: pass the dict of weights that"
                " sklearn.utils.class_weight.compute_class_weight('balanced', ...)"
                " gives for a large enough sample.",
            ),
        ),
    ),
}

OF_REGRESSOR = SHARED | {
    "loss": Parameter(
        LOSS,
        [StrOptions(_LOSSES_OF_REGRESSORS)],
    ),
    "huber_delta": Parameter(LOSS, [_positive(Real)], _with_loss("huber")),
    "quantile": Parameter(
        LOSS,
        [_fraction("neither"), "array-like"],
        clashes=(
            Clash(
                "other losses than 'quantile', unless it is 0.5",
                lambda case: (
                    case.model.loss != "quantile"
                    and not np.array_equal(case.model.quantile, 0.5)
                ),
                "quantile={value} asks for what only loss='quantile' fits: choose that"
                " loss, or quantile=0.5, which has no effect.",
            ),
        ),
    ),
    "tweedie_power": Parameter(
        LOSS, [Interval(Real, 1, 2, closed="both")], _with_loss("tweedie")
    ),
    "nll_beta": Parameter(
        LOSS,
        [_fraction("both")],
        _with_loss("gaussian_nll"),
        (
            _not_with_lbfgs(
                lambda case: case.model.loss == "gaussian_nll" and case.model.nll_beta,
                "With nll_beta > 0 the gradient is not the slope of any loss, along"
                " which solver='lbfgs' searches: choose nll_beta=0, or a stochastic"
                " solver.",
            ),
        ),
    ),
}
