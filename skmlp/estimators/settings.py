"""What an estimator's parameters describe: a network, and how to train it."""

from functools import cache

import numpy as np

from skmlp.core.architecture import make_architecture
from skmlp.estimators.numbers import (
    CheckedParameters,
    as_sizes,
    check_parameter,
    check_size,
)
from skmlp.estimators.parameters import STOCHASTIC_SOLVERS
from skmlp.machine.warning import warn
from skmlp.training.schedules import SGD_ONLY, as_decline, as_schedule
from skmlp.training.settings import Penalties, Stepping, Stopping
from skmlp.training.settings import Settings as FitSettings


class Settings(CheckedParameters):
    """The part of an estimator that knows its parameters."""

    _parameters: dict  # the table

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

    def _hidden_layer_sizes(self):
        return as_sizes(self.hidden_layer_sizes)

    def _make_architecture(self, sizes):
        n_hidden = len(sizes) - 2
        check_size(sizes)
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
            scaled_input=self.scale_input,
            parametric=self.parametric_activation,
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

    def _check_schedules(self):
        """Refuse a schedule that fails."""
        if self.learning_rate not in SGD_ONLY:
            as_schedule(self.learning_rate)
        for name in ("dropout_schedule", "weight_decay_schedule"):
            as_decline(getattr(self, name), name)
