"""What an optimizer remembers between runs of steps."""

from contextlib import contextmanager, nullcontext
from functools import lru_cache

import numpy as np

from skmlp.core.optimizers import OPTIMIZERS
from skmlp.training.schedules import SGD_ONLY, Clock, as_schedule, inverse_scaling
from skmlp.training.stopping import Patience

_AHEAD = 512  # steps whose corrections are computed at once


class OptimizerState:
    """Moments, step count and learning rate of a stochastic solver.

    Parameters
    ----------
    name : str
        Row of ``skmlp.core.optimizers.OPTIMIZERS``.
    n_params : int
    dtype : dtype

    Attributes
    ----------
    moments : ndarray of shape (n_moments, n_params)
    hyper : ndarray, float64
        The optimizer's own parameters, then the numbers that it carries along.
    n_steps, n_epochs : int
        Steps and epochs taken.
    n_plateaus : int
        How often the schedule's patience ran out.
    learning_rate : float
        The rate of the latest step, or of the first if none was taken.
    scheduled_rate : float
        The same before its bias correction.
    """

    _SMALLEST_RATE = 1e-6  # below it, an adaptive rate ends training

    def __init__(self, name, n_params, dtype):
        row = OPTIMIZERS[name]
        self.name = name
        self.moments = np.zeros((row.n_moments, n_params), dtype)
        self.hyper = np.zeros(len(row.hyper) + row.n_scalars)
        self.n_steps = self.n_epochs = self.n_plateaus = 0
        self.learning_rate_init = self._watch = None

    def fits(self, name, n_params, dtype):
        """Whether it can go on with such a network."""
        moments = self.moments
        return (
            self.name == name
            and moments.shape[1] == n_params
            and moments.dtype == dtype
        )

    def configure(
        self,
        *,
        learning_rate,
        learning_rate_init,
        power_t,
        max_iter,
        tol,
        sign,
        **hyper,
    ):
        """Take over the estimator's settings; a changed initial rate rescales.

        ``sign`` is 1 if higher values of what is watched are better, else -1.
        """
        if self.learning_rate_init is None:
            self._rate = float(learning_rate_init)
        elif learning_rate_init != self.learning_rate_init:
            self._rate *= learning_rate_init / self.learning_rate_init
        self.learning_rate_init = learning_rate_init
        self.learning_rate = self.scheduled_rate = self._rate
        of_sgd = learning_rate in SGD_ONLY
        self.policy = learning_rate if of_sgd and self.name == "sgd" else "constant"
        self.schedule = as_schedule("constant" if of_sgd else learning_rate)
        self.power_t, self.max_iter = power_t, max_iter
        if self._watch is None:
            self._watch = Patience(tol=tol, limit=0, sign=sign, best=-sign * np.inf)
        self._watch.tol, self._watch.limit = tol, self.schedule.patience
        names = OPTIMIZERS[self.name].hyper
        self.hyper[: len(names)] = [hyper[name] for name in names]

    def clock(self, n_steps):
        """The next epoch, of ``n_steps`` steps, in time."""
        return Clock(self.n_epochs, n_steps, self.max_iter, self.n_plateaus)

    def rates(self, n_steps):
        """Rates of an epoch of ``n_steps`` steps, which counts as taken.

        Returns
        -------
        rates : ndarray of shape (n_steps,)
        base_rates : ndarray of shape (n_steps,) or float
            Without the optimizer's corrections.
        """
        clock = self.clock(n_steps)
        base_rates = self._rate * self.schedule.checked_factors(clock)
        rates = base_rates * self._corrections(n_steps)
        is_constant = isinstance(base_rates, float)
        self.scheduled_rate = base_rates if is_constant else float(base_rates[-1])
        self.learning_rate = float(rates[-1])
        self.n_steps += n_steps
        self.n_epochs += 1
        return rates, base_rates

    def _corrections(self, n_steps):
        """Corrections of the next steps, cut from a longer cached vector."""
        own = self.hyper[: len(OPTIMIZERS[self.name].hyper)].tolist()
        first = self.n_steps % _AHEAD
        start, length = self.n_steps - first, _AHEAD + n_steps
        ahead = _corrections(self.name, tuple(own), start, length)
        return ahead[first : first + n_steps]

    def training(self, epochs):
        """A context in which ``epochs.params`` are where gradients are taken."""
        lead = OPTIMIZERS[self.name].lead
        return nullcontext() if lead is None else self._ahead(epochs, lead)

    @contextmanager
    def _ahead(self, epochs, lead):
        n_params = self.moments.shape[1]
        epochs.params[:n_params] += lead(self.moments, self.hyper)
        try:
            yield
        finally:  # a run may have replaced these arrays
            with np.errstate(over="ignore", invalid="ignore"):
                epochs.params[:n_params] -= lead(self.moments, self.hyper)

    def epoch_ended(self, n_seen, value):
        """Follow the schedule after an epoch.

        Parameters
        ----------
        n_seen : int
            Rows since the beginning.
        value : float
            The epoch's loss, or its validation score.
        """
        if self.policy == "invscaling":
            self._rate = inverse_scaling(self.learning_rate_init, n_seen, self.power_t)
            self.learning_rate = self._rate
        if self.schedule.patience is not None:
            self._watch.update(value)
            if self._watch.exhausted:
                self._watch.count = 0
                self.n_plateaus += 1

    def slow_down(self):
        """Divide an adaptive rate by 5; returns why training ends, if it does."""
        if self.policy != "adaptive":
            return "Stopping."
        if self._rate <= self._SMALLEST_RATE:
            return "Learning rate too small. Stopping."
        self._rate /= 5.0
        self.learning_rate = self._rate
        return None

    def forget(self):
        """Start anew from zero moments."""
        self.moments[:] = 0
        self.hyper[len(OPTIMIZERS[self.name].hyper) :] = 0
        self.n_steps = 0

    def __setstate__(self, state):
        vars(self).update(state)
        self.moments, self.hyper = writable(self.moments), writable(self.hyper)


@lru_cache(maxsize=16)
def _corrections(name, hyper, n_before, n_steps):
    """Factors of the rates of ``n_steps`` steps after ``n_before``."""
    t = n_before + np.arange(1.0, n_steps + 1)
    return np.ones(n_steps) * OPTIMIZERS[name].correction(t, np.array(hyper))


def writable(array):
    """The array itself if it can be written to, else a copy."""
    return np.require(np.asarray(array), requirements=["C", "A", "W"])
