"""When to stop, and which weights to keep."""

import numpy as np


class Patience:
    """Counts epochs in a row without an improvement of more than ``tol``.

    Parameters
    ----------
    tol : float
    limit : int or inf
        Epochs to tolerate; the next one exhausts the patience.
    sign : {1, -1}
        1 if higher values are better (scores), -1 if lower ones are (losses).
    best : float
        Best value so far.
    count : int
        Epochs without improvement so far.
    """

    def __init__(self, *, tol, limit, sign, best, count=0):
        self.tol, self.limit, self.sign = tol, limit, sign
        self.best, self.count = best, count

    def update(self, value):
        """Take in an epoch's value; returns whether it is the best so far."""
        value, best = self.sign * value, self.sign * self.best
        self.count = self.count + 1 if value < best + self.tol else 0
        if value > best:
            self.best = self.sign * value
            return True
        return False

    @property
    def exhausted(self):
        return self.count > self.limit


class Checkpoint:
    """A copy of weights to return to."""

    def __init__(self, params):
        self._copy = params.copy()

    def save(self, params):
        self._copy[:] = params

    def restore(self, params):
        """params <- the copy."""
        params[:] = self._copy


def all_finite(params):
    """Whether no parameter is NaN or infinite; counting is faster than ``all``."""
    return bool(np.count_nonzero(np.isfinite(params)) == params.size)
