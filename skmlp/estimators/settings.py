"""The parameters: what is allowed, and the network that they describe."""

from functools import cache
from itertools import pairwise
from numbers import Integral, Real

import numpy as np
from scipy import sparse
from sklearn.metrics import get_scorer_names
from sklearn.utils._param_validation import (
    Interval,
    Options,
    StrOptions,
)

from skmlp.core.activations import ACTIVATIONS
from skmlp.core.architecture import make_architecture
from skmlp.core.normalization import NORMALIZATIONS
from skmlp.core.optimizers import OPTIMIZERS
from skmlp.core.regularization import OFF
from skmlp.estimators.numbers import (
    check_parameter,
    check_parameters,
    make_rules,
)
from skmlp.machine.warning import shown, warn
from skmlp.training.fit import Penalties, Stepping, Stopping
from skmlp.training.fit import Settings as FitSettings
from skmlp.training.initialization import INITIALIZERS
from skmlp.training.schedules import SCHEDULES, SGD_ONLY, Schedule, as_schedule

_LARGEST_FLOAT32 = float(np.finfo(np.float32).max)
_MOST_NUMBERS = 2**56
STOCHASTIC_SOLVERS = tuple(name for name in OPTIMIZERS if name != "none")


class Settings:
    """The part of an estimator that knows its parameters."""

    _parameter_constraints: dict = {
        "hidden_layer_sizes": [
            "array-like",
            Interval(Integral, 1, None, closed="left"),
        ],
        "activation": [StrOptions(set(ACTIVATIONS)), list, tuple],
        "normalization": [StrOptions(set(NORMALIZATIONS)), list, tuple, None],
        "norm_momentum": [Interval(Real, 0, 1, closed="right")],
        "norm_epsilon": [Interval(Real, 0, _LARGEST_FLOAT32, closed="right")],
        "dropout": [Interval(Real, 0, 1, closed="left"), list, tuple],
        "input_dropout": [Interval(Real, 0, 1, closed="left")],
        "norm_statistics": [StrOptions({"running", "population"})],
        "augmentation": [callable, None],
        "dtype": [StrOptions({"auto", "float32", "float64"})],
        "max_time": [Interval(Real, 0, None, closed="neither"), None],
        "weight_init": [StrOptions({"auto", *INITIALIZERS}), callable],
        "l1_ratio": [Interval(Real, 0, 1, closed="both")],
        "weight_decay": [Interval(Real, 0, None, closed="left")],
        "clip_norm": [Interval(Real, 0, None, closed="neither"), None],
        "clip_value": [Interval(Real, 0, None, closed="neither"), None],
        "max_norm": [Interval(Real, 0, None, closed="neither"), None],
        "ema_decay": [Interval(Real, 0, 1, closed="neither"), None],
        "solver": [StrOptions({"lbfgs", *STOCHASTIC_SOLVERS})],
        "alpha": [Interval(Real, 0, None, closed="left")],
        "batch_size": [
            StrOptions({"auto"}),
            Interval(Integral, 1, None, closed="left"),
        ],
        "last_batch": [StrOptions({"keep", "merge", "drop"})],
        "learning_rate": [StrOptions({*SCHEDULES, *SGD_ONLY}), Schedule, callable],
        "learning_rate_init": [Interval(Real, 0, None, closed="neither")],
        "power_t": [Interval(Real, 0, None, closed="left")],
        "max_iter": [Interval(Integral, 1, None, closed="left")],
        "shuffle": ["boolean"],
        "random_state": ["random_state"],
        "tol": [Interval(Real, 0, None, closed="left")],
        "verbose": ["verbose"],
        "warm_start": ["boolean"],
        "momentum": [Interval(Real, 0, 1, closed="both")],
        "nesterovs_momentum": ["boolean"],
        "early_stopping": ["boolean"],
        "validation_fraction": [Interval(Real, 0, 1, closed="left")],
        "scoring": [StrOptions({"loss", *get_scorer_names()}), callable, None],
        "beta_1": [Interval(Real, 0, 1, closed="left")],
        "beta_2": [Interval(Real, 0, 1, closed="left")],
        "epsilon": [Interval(Real, 0, None, closed="neither")],
        "rho": [Interval(Real, 0, 1, closed="left")],
        "n_iter_no_change": [
            Interval(Integral, 1, None, closed="left"),
            Options(Real, {np.inf}),
        ],
        "max_fun": [Interval(Integral, 1, None, closed="left")],
    }

    @classmethod
    @cache
    def _get_param_names(cls):
        """scikit-learn inspects ``__init__`` each time, which takes long."""
        return super()._get_param_names()

    def _store_parameters(self, arguments):
        """Store the ``locals()`` of ``__init__`` unchanged."""
        vars(self).update((k, v) for k, v in arguments.items() if k != "self")

    @classmethod
    @cache
    def _rules(cls):
        return make_rules(cls)

    def _is_stochastic(self):
        return self.solver in STOCHASTIC_SOLVERS

    def _settings(self, n_rows):
        """How to train on so many rows."""
        return FitSettings(
            self._part(Stepping, batch_size=self._batch_size(n_rows)),
            self._part(Stopping),
            self._part(Penalties),
        )

    def _part(self, kind, **others):
        """Parameters as fields of the same names, but for ``others``."""
        names = [name for name in kind.__match_args__ if name not in others]
        return kind(**{name: getattr(self, name) for name in names}, **others)

    def _batch_size(self, n_rows):
        if self.batch_size == "auto":
            return min(200, n_rows)
        if self.batch_size > n_rows and self._is_stochastic():
            warn(
                "Got `batch_size` less than 1 or larger than sample size. It is going"
                " to be clipped"
            )
        return int(min(self.batch_size, n_rows))

    def _checked_parameters(self):
        """All parameters of this moment, numbers among them as Python's own."""
        state, rules = vars(self).copy(), self._rules()
        parameters = {name: state[name] for name in rules if name in state}
        return parameters | check_parameters(parameters, rules, type(self).__name__)

    def _validate_params(self):
        """Nothing: `fit` and `partial_fit` check parameters in any case."""

    def _hidden_layer_sizes(self):
        sizes = self.hidden_layer_sizes
        sizes = list(sizes) if np.iterable(sizes) else [sizes]
        if not all(isinstance(size, Integral) for size in sizes):
            raise ValueError(f"hidden_layer_sizes must be integers, got {sizes}.")
        if any(size <= 0 for size in sizes):
            raise ValueError(f"hidden_layer_sizes must be > 0, got {sizes}.")
        return [int(size) for size in sizes]

    def _check_size(self, sizes):
        """Refuse networks whose numbers cannot even be counted in memory."""
        n_numbers = sum(2 * n * (1 + below) for below, n in pairwise(sizes))
        if n_numbers > _MOST_NUMBERS:
            raise ValueError(
                f"hidden_layer_sizes={shown(self.hidden_layer_sizes)} asks for more"
                " numbers than any memory can hold."
            )

    def _make_architecture(self, sizes):
        n_hidden = len(sizes) - 2
        self._check_size(sizes)
        for name in ("activation", "normalization", "dropout"):
            self._check_for_each(name, n_hidden)
        return make_architecture(
            sizes,
            self.activation,
            normalization=self.normalization,
            dropout=self.dropout,
            input_dropout=self.input_dropout,
            norm_momentum=self.norm_momentum,
            norm_epsilon=self.norm_epsilon,
        )

    def _check_for_each(self, name, n_hidden):
        """A parameter given per hidden layer: as many items, each of them allowed."""
        values = getattr(self, name)
        if not isinstance(values, (list, tuple)):
            return
        if len(values) != n_hidden:
            raise ValueError(
                f"{name} must be given once or for each of the {n_hidden} hidden"
                f" layers, got {len(values)} items."
            )
        constraints = self._parameter_constraints[name][:1]
        for value in values:
            if value is not None or name != "normalization":
                check_parameter(name, value, constraints, type(self).__name__)

    def _check_combinations(self):
        """Refuse what makes no sense together."""
        if self.solver == "schedule_free" and self.ema_decay is not None:
            raise ValueError(
                "solver='schedule_free' predicts by an average of the weights already:"
                " choose ema_decay=None, or another solver."
            )
        if self.solver != "lbfgs":
            return
        if np.any(self.dropout) or self.input_dropout:
            raise ValueError(
                "Dropout draws another network in each evaluation, while"
                " solver='lbfgs' needs the same loss again: choose a stochastic solver,"
                " or dropout=0 and input_dropout=0."
            )
        if "batch" in np.atleast_1d(np.asarray(self.normalization, object)):
            raise ValueError(
                "Running statistics of normalization='batch' follow the weights of"
                " minibatches, which solver='lbfgs' does not have: choose a stochastic"
                " solver, or normalization='layer'."
            )
        for name, value in {**OFF, "augmentation": None}.items():
            if getattr(self, name) != value:
                raise ValueError(
                    f"{name} changes the steps or the loss on the way, while"
                    " solver='lbfgs' chooses its own steps along one smooth loss:"
                    f" choose a stochastic solver, or {name}={value}."
                )

    def _check_dense(self, X):
        for name, off in ("input_dropout", 0), ("augmentation", None):
            if sparse.issparse(X) and getattr(self, name) != off:
                raise ValueError(
                    f"{name} needs dense X, not a sparse matrix: pass X.toarray(), or"
                    f" {name}={off}."
                )

    def _accepted_dtypes(self):
        """Dtypes that X may keep; X of another dtype becomes the first."""
        auto = self.dtype == "auto"
        return (np.float64, np.float32) if auto else (np.dtype(self.dtype),)

    def _check_learning_rate(self):
        """Refuse a schedule that fails."""
        if self.learning_rate not in SGD_ONLY:
            as_schedule(self.learning_rate)
