"""Which of skmlp's own parameters have an effect with which choices.

scikit-learn's, such as `momentum` with 'adam', are ignored in silence, as there.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from skmlp.estimators.settings import STOCHASTIC_SOLVERS
from skmlp.machine.warning import shown, warn
from skmlp.training.schedules import SGD_ONLY


class Effect(NamedTuple):
    """When a parameter that is not at its default matters.

    Attributes
    ----------
    parameter : str
    where : str
        With what it has an effect, in words.
    holds : callable
        ``(estimator, has_validation_rows) -> bool``.
    """

    parameter: str
    where: str
    holds: Callable


def _of_loss(parameter, loss):
    return Effect(parameter, f"loss={loss!r}", lambda model, _: model.loss == loss)


def _of_normalization(parameter, *names):
    where = "normalization=" + " or ".join(map(repr, names))
    return Effect(
        parameter,
        where,
        lambda model, _: bool(
            {*names} & {*np.atleast_1d(np.array(model.normalization, object))}
        ),
    )


EFFECTS = (
    Effect(
        "learning_rate",
        "solver='sgd'",
        lambda model, _: model.solver == "sgd" or model.learning_rate not in SGD_ONLY,
    ),
    Effect(
        "learning_rate",
        "stochastic solvers",
        lambda model, _: (
            model.solver in STOCHASTIC_SOLVERS or model.learning_rate in SGD_ONLY
        ),
    ),
    Effect(
        "last_batch",
        "stochastic solvers",
        lambda model, _: model.solver in STOCHASTIC_SOLVERS,
    ),
    Effect("rho", "solver='rmsprop'", lambda model, _: model.solver == "rmsprop"),
    Effect("l1_ratio", "alpha > 0", lambda model, _: model.alpha > 0),
    Effect(
        "scoring",
        "early_stopping=True or validation rows",
        lambda model, validates: validates,
    ),
    _of_normalization("norm_momentum", "batch"),
    _of_normalization("norm_statistics", "batch"),
    _of_normalization("norm_epsilon", "batch", "layer"),
    _of_loss("huber_delta", "huber"),
    _of_loss("tweedie_power", "tweedie"),
    _of_loss("nll_beta", "gaussian_nll"),
    _of_loss("focal_gamma", "focal"),
)


def warn_of_ignored(estimator, rules, validates):
    """Name once in a fit what users have set in vain."""
    ignored = [
        f"{name}={shown(getattr(estimator, name))} has an effect with {where} only"
        for name, where, holds in EFFECTS
        if name in rules
        and not _is_default(getattr(estimator, name), rules[name].default)
        and not holds(estimator, validates)
    ]
    if ignored:
        warn(f"{', and '.join(ignored)}: it is ignored here.")


def _is_default(value, default):
    return value is default or (type(value) is type(default) and value == default)
