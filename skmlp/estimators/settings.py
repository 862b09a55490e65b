"""What an estimator's parameters describe: a network, and how to train it."""

from functools import cache
from itertools import pairwise
from numbers import Integral

import numpy as np

from skmlp.core.architecture import make_architecture
from skmlp.estimators.numbers import (
    check_parameter,
    check_parameters,
    make_rules,
)
from skmlp.estimators.parameters import STOCHASTIC_SOLVERS
from skmlp.machine.warning import shown, warn
from skmlp.training.schedules import SGD_ONLY, as_schedule
from skmlp.training.settings import Penalties, Stepping, Stopping
from skmlp.training.settings import Settings as FitSettings

_MOST_NUMBERS = 2**56


class Settings:
    """The part of an estimator that knows its parameters."""

    _parameters: dict  # the table
    _parameter_constraints: dict

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

    @classmethod
    @cache
    def _conditional(cls):
        """Rows of parameters that depend on others, or on the data."""
        rows = cls._parameters.items()
        return {name: row for name, row in rows if row.needs or row.clashes}

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
        names = [name for name in kind.__match_args__ if name in self._parameters]
        own = {name: getattr(self, name) for name in names}
        return kind(**(own | others))

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

    def _accepted_dtypes(self):
        """Dtypes that X may keep; X of another dtype becomes the first."""
        auto = self.dtype == "auto"
        return (np.float64, np.float32) if auto else (np.dtype(self.dtype),)

    def _check_learning_rate(self):
        """Refuse a schedule that fails."""
        if self.learning_rate not in SGD_ONLY:
            as_schedule(self.learning_rate)
