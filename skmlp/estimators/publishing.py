"""Training works on a twin, which an estimator becomes in one step."""

from contextlib import contextmanager
from dataclasses import replace
from functools import cache

VALIDATION_CURVES = "validation_loss_curve_", "validation_scores_"
CURVES = "loss_curve_", "_seconds", "learning_rates_", *VALIDATION_CURVES


class Publishing:
    """The part of an estimator that other threads may look at meanwhile."""

    def _twin(self):
        """An estimator with the same attributes, which can be assigned anew."""
        twin = object.__new__(type(self))
        vars(twin).update(vars(self))
        return twin

    @contextmanager
    def _lent_to(self, twin):
        """Hand over what is too long to copy for each call of partial_fit.

        A second thread finds no optimizer, and begins with one of its own.
        """
        carried = vars(self).get("_carried")
        optimizer = None if carried is None else carried.optimizer
        if optimizer is not None:
            self._carried = replace(carried, optimizer=None)
        n_steps = getattr(optimizer, "n_steps", 0)
        curves = [vars(twin).get(name) for name in CURVES]
        lengths = [(curve, len(curve)) for curve in curves if curve is not None]
        try:
            yield
        except BaseException:
            for curve, length in lengths:
                del curve[length:]
            if optimizer is not None:
                if optimizer.n_steps != n_steps:  # they no longer fit the weights
                    optimizer.forget()
                if self._carried.optimizer is None:
                    self._carried = carried
            raise

    def _publish(self, twin, begin):
        """Become what the twin is, but for parameters, which others may have set."""
        kept = self._parameters_and_views()
        state = {k: v for k, v in vars(twin).items() if k not in kept}
        vars(self).update(state)
        for name in begin - state.keys() - kept:
            vars(self).pop(name, None)

    @classmethod
    @cache
    def _parameters_and_views(cls):
        return frozenset((*cls._get_param_names(), "_shown"))
