"""What an optimizer remembers between runs of steps."""

import numpy as np

from skmlp.core.optimizers import OPTIMIZERS
from skmlp.training.schedules import bias_correction, inverse_scaling


class Optimizer:
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
    n_steps : int
        Steps taken.
    learning_rate : float
        The rate of the latest step, or of the first if none was taken.
    """

    _SMALLEST_RATE = 1e-6  # below it, an adaptive rate ends training

    def __init__(self, name, n_params, dtype):
        self.name = name
        self.moments = np.zeros((OPTIMIZERS[name].n_moments, n_params), dtype)
        self.n_steps = 0
        self.learning_rate_init = None

    def configure(self, *, learning_rate, learning_rate_init, power_t, **hyper):
        """Take over the estimator's settings; a changed initial rate rescales."""
        if self.learning_rate_init is None:
            self._rate = float(learning_rate_init)
        elif learning_rate_init != self.learning_rate_init:
            self._rate *= learning_rate_init / self.learning_rate_init
        self.learning_rate_init = learning_rate_init
        self.learning_rate = self._rate
        self.schedule = learning_rate if self.name == "sgd" else "constant"
        self.power_t = power_t
        self.hyper = np.array(
            [hyper[name] for name in OPTIMIZERS[self.name].hyper], dtype=np.float64
        )

    def rates(self, n_steps):
        """Rates of the next ``n_steps`` steps, with and without corrections.

        The steps count as taken.
        """
        rates = base_rates = np.full(n_steps, self._rate)
        if self.name == "adam":
            betas = self.hyper[:2].tolist()
            rates = self._rate * bias_correction(self.n_steps + 1, n_steps, *betas)
        self.n_steps += n_steps
        self.learning_rate = float(rates[-1])
        return rates, base_rates

    def epoch_ended(self, n_seen):
        """Follow the schedule after an epoch, ``n_seen`` rows since the beginning."""
        if self.schedule == "invscaling":
            self._rate = inverse_scaling(self.learning_rate_init, n_seen, self.power_t)
            self.learning_rate = self._rate

    def slow_down(self):
        """Divide an adaptive rate by 5; returns why training ends, if it does."""
        if self.schedule != "adaptive":
            return "Stopping."
        if self._rate <= self._SMALLEST_RATE:
            return "Learning rate too small. Stopping."
        self._rate /= 5.0
        self.learning_rate = self._rate
        return None

    def forget(self):
        """Start anew from zero moments."""
        self.moments[:] = 0
        self.n_steps = 0

    def __setstate__(self, state):
        vars(self).update(state)
        self.moments = writable(self.moments)


def writable(array):
    """The array itself if it can be written to, else a copy."""
    return np.require(np.asarray(array), requirements=["C", "A", "W"])
