"""Quantiles of a column with gaps and weights."""

from math import nan

import numpy as np

# Differences of at most so many units of rounding are no differences.
ROUNDING = 8
# Spreads below it would have no finite reciprocal.
SMALLEST_SPREAD = 1e-300


class SortedColumn:
    """The numbers of a column in rising order, without gaps.

    Parameters
    ----------
    values : ndarray of shape (n_rows,), float32 or float64
        Gaps are NaN.
    weight : ndarray of shape (n_rows,), float32 or float64, or None, default=None
        Weights, not negative. Rows of weight zero do not count.

    Attributes
    ----------
    values : ndarray of shape (n_values,)
    ends : ndarray of shape (n_values,)
        Sums of weights up to each value.

    Notes
    -----
    A value of weight w counts as w equal values. Let S(t) be the value at which the sum
    of weights rises above t, and W their whole sum. The quantile q is the mean of S
    between h and h + 1, where h = q (W - 1). With weights that are whole numbers, this
    is ``numpy.quantile`` of the repeated rows, with linear interpolation. The quantiles
    0 and 1 are the smallest and the largest value.

    The width 1 stands for one row: weights with a mean below one, such as those that
    sum to one, are scaled to a mean of one.
    """

    def __init__(self, values, weight=None):
        counts = ~np.isnan(values)
        if weight is None:
            self.values = np.sort(values[counts])
            self.ends = np.arange(1.0, len(self.values) + 1)
            return
        counts &= weight > 0
        values, weight = values[counts], weight[counts]
        order = np.argsort(values, kind="stable")
        self.values = values[order]
        self.ends = np.cumsum(weight[order], dtype=np.float64)
        if len(order):
            self.ends /= min(1, self.ends[-1] / len(order))

    def __len__(self):
        return len(self.values)

    def quantile(self, q):
        """The quantile q as a float; NaN of an empty column."""
        values, ends = self.values, self.ends
        if not len(values):
            return nan
        if q in (0, 1):
            return float(values[0 if q == 0 else -1])
        start = max(0, q * (ends[-1] - 1))
        first = np.searchsorted(ends, start, side="right")
        last = min(np.searchsorted(ends, start + 1), len(values) - 1)
        inside = values[first : last + 1].astype(np.float64)
        bounds = np.clip(ends[first:last], start, start + 1)
        shares = np.diff(bounds, prepend=start, append=start + 1)
        # Rounding shall lead neither out of the values nor beyond the largest float.
        with np.errstate(over="ignore"):
            mean = shares @ inside
        return float(min(max(mean, inside[0]), inside[-1]))

    def half_spread(self):
        """Half the spread, because the spread itself may overflow.

        The spread is the interquartile range; if that is zero, half the range.
        """
        rounding = ROUNDING / 2 * float(np.finfo(self.values.dtype).eps)
        for bounds, divisor in (((0.25, 0.75), 1), ((0, 1), 2)):
            low, high = map(self.quantile, bounds)
            half = high / 2 - low / 2
            if half > rounding * max(abs(low), abs(high)):
                return max(half / divisor, SMALLEST_SPREAD)
        return 0.0
