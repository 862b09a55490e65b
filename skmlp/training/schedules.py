"""Learning rates over the course of training, as pure functions.

A schedule turns a `Clock`, that is, the steps of one epoch, into factors of
``learning_rate_init``.  It is a small immutable object without memory: what
training has to remember is in the clock.

To add one: a class with ``factors`` and, if it has a name, a row in ``SCHEDULES``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from numbers import Real
from typing import NamedTuple

import numpy as np

from skmlp.machine.warning import shown


def inverse_scaling(learning_rate_init, n_seen, power_t):
    """eta_0 / (t + 1)^power_t, with t the number of rows seen."""
    try:
        return float(learning_rate_init) / (n_seen + 1) ** float(power_t)
    except OverflowError:
        return 0.0


class Clock(NamedTuple):
    """The steps of one epoch, in time.

    Attributes
    ----------
    n_epochs : int
        Epochs finished before.
    n_steps : int
        Steps of this epoch.
    max_iter : int
        Epochs in all; there may be more, in partial_fit.
    n_plateaus : int
        How often the schedule's patience has run out.
    """

    n_epochs: int
    n_steps: int
    max_iter: int
    n_plateaus: int = 0

    @property
    def epochs(self):
        """Epochs finished before each step, with fractions."""
        return self.n_epochs + np.arange(self.n_steps) / self.n_steps

    @property
    def progress(self):
        """Progress as a share of all epochs, in [0, 1]."""
        return np.minimum(self.epochs / self.max_iter, 1.0)


class Range(NamedTuple):
    """Numbers from ``low`` to ``high``, of which the ends may be left out."""

    low: float
    high: float
    closed: str = "both"

    def __contains__(self, value):
        if not isinstance(value, Real) or isinstance(value, np.timedelta64):
            return False
        try:
            value = float(value)
        except OverflowError:
            return False
        return (
            self.low <= value <= self.high
            and (value != self.low or self.closed in ("both", "left"))
            and (value != self.high or self.closed in ("both", "right"))
        )

    def __str__(self):
        left = "[" if self.closed in ("both", "left") else "("
        right = "]" if self.closed in ("both", "right") else ")"
        return f"{left}{self.low}, {self.high}{right}"


_POSITIVE = Range(0, inf, "neither")
_NOT_NEGATIVE = Range(0, inf, "left")
_UNIT = Range(0, 1)
_POSITIVE_UNIT = Range(0, 1, "right")


class Schedule:
    """Base of all schedules."""

    ranges = {}  # allowed values of the numeric fields
    patience = None  # epochs without improvement until a plateau is counted, if any

    def __post_init__(self):
        for name, allowed in self.ranges.items():
            value = getattr(self, name)
            if value not in allowed:
                raise ValueError(
                    f"{name} of {type(self).__name__} must be a number in {allowed},"
                    f" got {shown(value)}."
                )
            if type(value) not in (int, float):
                object.__setattr__(self, name, float(value))

    def factors(self, clock):
        """Factors of the learning rate at the steps of an epoch.

        Parameters
        ----------
        clock : Clock

        Returns
        -------
        ndarray of shape (clock.n_steps,) or float
        """
        raise NotImplementedError

    def checked_factors(self, clock, name="learning_rate", most=inf):
        """Factors of a user's schedule, checked.

        Parameters
        ----------
        clock : Clock
        name : str, default="learning_rate"
            The parameter, for messages.
        most : float, default=inf
            The largest factor that makes sense.

        Raises
        ------
        ValueError
            If they are not numbers, finite, not negative and not above ``most``, one or
            for each step.
        """
        with np.errstate(all="ignore"):
            factors = self.factors(clock)
        if type(factors) is float and 0 <= factors <= most and factors < inf:
            return factors
        try:
            array = np.broadcast_to(np.asarray(factors, np.float64), clock.n_steps)
        except (TypeError, ValueError, OverflowError):
            array = np.array([np.nan])
        if not (np.isfinite(array) & (array >= 0) & (array <= most)).all():
            allowed = (
                "finite factors >= 0" if most == inf else f"factors in [0, {most}]"
            )
            raise ValueError(
                f"{name} must give {allowed}, one or as many as there are steps"
                f" ({clock.n_steps}): {type(self).__name__}.factors returned"
                f" {shown(factors)}."
            )
        return array

    def curve(self, max_iter, n_steps=1):
        """Factors of all steps of a fit, to look at or to plot.

        Parameters
        ----------
        max_iter : int
            Epochs.
        n_steps : int, default=1
            Steps of each epoch.

        Returns
        -------
        ndarray of shape (max_iter * n_steps,)
        """
        curve = np.empty((max_iter, n_steps))
        for epoch in range(max_iter):
            curve[epoch] = self.factors(Clock(epoch, n_steps, max_iter))
        return curve.ravel()


@dataclass(frozen=True)
class Constant(Schedule):
    """A constant rate.

    Examples
    --------
    >>> from skmlp.schedules import Constant
    >>> Constant().curve(3)
    array([1., 1., 1.])
    """

    def factors(self, clock):
        return 1.0


@dataclass(frozen=True)
class Step(Schedule):
    """``factor ** floor(epochs / every)``: a fall every few epochs.

    Parameters
    ----------
    every : float, default=20
        Epochs between two falls.
    factor : float, default=0.5
        What the rate is multiplied by, in (0, 1].

    Examples
    --------
    >>> from skmlp.schedules import Step
    >>> Step(every=2, factor=0.5).curve(5)
    array([1.  , 1.  , 0.5 , 0.5 , 0.25])
    """

    every: float = 20
    factor: float = 0.5
    ranges = {"every": _POSITIVE, "factor": _POSITIVE_UNIT}

    def factors(self, clock):
        return self.factor ** np.floor(clock.epochs / self.every)


@dataclass(frozen=True)
class Exponential(Schedule):
    """``rate ** epochs``, fractions of epochs included.

    Parameters
    ----------
    rate : float, default=0.97
        What is left of the learning rate after an epoch, in (0, 1].

    Examples
    --------
    >>> from skmlp.schedules import Exponential
    >>> Exponential(0.5).curve(4)
    array([1.   , 0.5  , 0.25 , 0.125])
    """

    rate: float = 0.97
    ranges = {"rate": _POSITIVE_UNIT}

    def factors(self, clock):
        return self.rate**clock.epochs


@dataclass(frozen=True)
class InverseScaling(Schedule):
    """``(1 + epochs) ** -power``, fractions of epochs included.

    It is milder than ``learning_rate='invscaling'``, which counts rows.

    Parameters
    ----------
    power : float, default=0.5
        At least 0.

    Examples
    --------
    >>> from skmlp.schedules import InverseScaling
    >>> InverseScaling(power=1).curve(4).round(2)
    array([1.  , 0.5 , 0.33, 0.25])
    """

    power: float = 0.5
    ranges = {"power": _NOT_NEGATIVE}

    def factors(self, clock):
        return (1 + clock.epochs) ** -float(self.power)


@dataclass(frozen=True)
class Cosine(Schedule):
    """Half a cosine, from 1 to `final` (Loshchilov and Hutter, 2017).

    Parameters
    ----------
    final : float, default=0
        Factor at the end of the fit, in [0, 1].

    Examples
    --------
    >>> from skmlp.schedules import Cosine
    >>> Cosine().curve(4).round(2)
    array([1.  , 0.85, 0.5 , 0.15])
    """

    final: float = 0.0
    ranges = {"final": _UNIT}

    def factors(self, clock):
        return _half_cosine(1.0, self.final, clock.progress)


@dataclass(frozen=True)
class OneCycle(Schedule):
    """Up from `start` to 1, then down to `final`, by half a cosine each.

    Smith and Topin (2019); momentum stays as it is.

    Parameters
    ----------
    peak : float, default=0.3
        Share of the fit after which the rate is highest, in (0, 1).
    start : float, default=0.04
        Factor at the beginning, in [0, 1].
    final : float, default=4e-6
        Factor at the end, in [0, 1].

    Examples
    --------
    >>> from skmlp.schedules import OneCycle
    >>> OneCycle(peak=0.5, start=0.2, final=0).curve(8).round(2)
    array([0.2 , 0.32, 0.6 , 0.88, 1.  , 0.85, 0.5 , 0.15])
    """

    peak: float = 0.3
    start: float = 0.04
    final: float = 4e-6
    ranges = {"peak": Range(0, 1, "neither"), "start": _UNIT, "final": _UNIT}

    def factors(self, clock):
        t, peak = clock.progress, self.peak
        up = _half_cosine(self.start, 1.0, np.minimum(t / peak, 1))
        down = _half_cosine(1.0, self.final, np.maximum((t - peak) / (1 - peak), 0))
        return np.where(t < peak, up, down)


@dataclass(frozen=True)
class CosLog(Schedule):
    """`k` cycles, each twice as long as the one before (Holzmüller et al., 2024).

    ``(1 - cos(2 pi log2(1 + (2 ** k - 1) progress))) / 2``, which begins and ends
    each cycle at zero.

    Parameters
    ----------
    k : float, default=4
        Number of cycles.

    Examples
    --------
    >>> from skmlp.schedules import CosLog
    >>> CosLog(k=2).curve(6).round(2)
    array([0.  , 0.93, 0.  , 0.72, 0.93, 0.32])
    """

    k: float = 4
    ranges = {"k": Range(0, 32, "right")}

    def factors(self, clock):
        cycles = np.log2(1 + (2.0**self.k - 1) * clock.progress)
        return 0.5 * (1 - np.cos(2 * np.pi * cycles))


@dataclass(frozen=True)
class FlatCosine(Schedule):
    """1 for a share of the training, then half a cosine from 1 to 0.

    Parameters
    ----------
    flat : float, default=0.5
        The share, in [0, 1).

    Examples
    --------
    >>> from skmlp.schedules import FlatCosine
    >>> FlatCosine().curve(6).round(2)
    array([1.  , 1.  , 1.  , 1.  , 0.75, 0.25])
    """

    flat: float = 0.5
    ranges = {"flat": Range(0, 1, "left")}

    def factors(self, clock):
        rest = np.maximum((clock.progress - self.flat) / (1 - self.flat), 0)
        return _half_cosine(1.0, 0.0, rest)


@dataclass(frozen=True)
class Plateau(Schedule):
    """``factor ** n_plateaus``: a fall whenever training makes no progress.

    What is watched, once per epoch, is the validation score with ``early_stopping``,
    else the training loss; progress is an improvement of ``tol``. Let `patience` be
    smaller than ``n_iter_no_change``, or training ends before the rate falls.

    Parameters
    ----------
    factor : float, default=0.5
        What the rate is multiplied by, in (0, 1].
    patience : float, default=5
        Epochs in a row without progress that are tolerated.

    Examples
    --------
    >>> from skmlp.schedules import Plateau
    >>> Plateau(factor=0.1, patience=3)
    Plateau(factor=0.1, patience=3)
    """

    factor: float = 0.5
    patience: float = 5
    ranges = {"factor": _POSITIVE_UNIT, "patience": _NOT_NEGATIVE}

    def factors(self, clock):
        return float(self.factor) ** clock.n_plateaus


@dataclass(frozen=True)
class Warmup(Schedule):
    """Another schedule, times a straight line from 0 to 1 at the beginning.

    Parameters
    ----------
    schedule : Schedule, str or callable, default='constant'
        Whatever `learning_rate` may be, except 'invscaling' and 'adaptive'.
    fraction : float, default=0.1
        Share of the fit that the line takes, in (0, 1].

    Examples
    --------
    >>> from skmlp.schedules import Cosine, Warmup
    >>> Warmup("constant", fraction=0.5).curve(6).round(2)
    array([0.  , 0.33, 0.67, 1.  , 1.  , 1.  ])
    >>> Warmup(Cosine(), fraction=0.5).curve(6).round(2)
    array([0.  , 0.31, 0.5 , 0.5 , 0.25, 0.07])
    """

    schedule: object = "constant"
    fraction: float = 0.1
    ranges = {"fraction": _POSITIVE_UNIT}

    def __post_init__(self):
        super().__post_init__()
        as_schedule(self.schedule, "schedule of Warmup")

    @property
    def patience(self):
        return as_schedule(self.schedule).patience

    def factors(self, clock):
        line = np.minimum(clock.progress / self.fraction, 1)
        return line * as_schedule(self.schedule).checked_factors(clock)


@dataclass(frozen=True)
class Custom(Schedule):
    """A user's function of progress, given as this parameter."""

    function: Callable
    name: str = "learning_rate"

    def __post_init__(self):
        self.curve(2, 5)

    def factors(self, clock):
        progress = clock.progress
        try:
            factors = np.asarray(self.function(progress), np.float64)
            factors = np.broadcast_to(factors, progress.shape)
        except (TypeError, ValueError, OverflowError) as error:
            raise ValueError(
                f"A {self.name} that is a function must turn an array of progress in"
                " [0, 1] into as many factors: write it with NumPy's functions, or pass"
                f" numpy.vectorize(function). It failed with: {error}"
            ) from error
        if not (np.isfinite(factors) & (factors >= 0)).all():
            raise ValueError(
                f"A {self.name} that is a function must return finite factors >= 0,"
                f" got {factors}."
            )
        return factors


def _half_cosine(first, last, t):
    """From ``first`` at t = 0 to ``last`` at t = 1."""
    return last + (first - last) * 0.5 * (1 + np.cos(np.pi * t))


SCHEDULES = {
    "constant": Constant(),
    "step": Step(),
    "exponential": Exponential(),
    "cosine": Cosine(),
    "one_cycle": OneCycle(),
    "plateau": Plateau(),
    "coslog4": CosLog(4),
    "flat_cosine": FlatCosine(),
}
SGD_ONLY = "invscaling", "adaptive"  # scikit-learn's own, applied by `OptimizerState`


def as_schedule(given, name="learning_rate"):
    """The schedule that a name, a schedule or a function of progress stands for."""
    if isinstance(given, Schedule):
        return given
    if isinstance(given, str) and given in SCHEDULES:
        return SCHEDULES[given]
    if callable(given) and not isinstance(given, type):
        return Custom(given, name)
    raise ValueError(
        f"{name} must be one of {', '.join(map(repr, SCHEDULES))}, an object such as"
        f" skmlp.schedules.Cosine(), or a function, got {shown(given)}."
    )


class Decline(NamedTuple):
    """How a penalty changes: by factors from 0 to 1, that follow no plateau.

    Attributes
    ----------
    schedule : Schedule
    name : str
        The parameter that it was given as.
    """

    schedule: Schedule
    name: str

    def factors(self, clock):
        """Factors at the steps of an epoch, checked."""
        return self.schedule.checked_factors(clock, self.name, most=1)


def as_decline(given, name):
    """The `Decline` that a name, a schedule or a function of progress stands for.

    Raises
    ------
    ValueError
        If it stands for none.
    """
    schedule = as_schedule(given, name)
    if schedule.patience is not None:
        raise ValueError(
            f"{name} cannot wait for a plateau, as {shown(given)} does: choose a"
            " schedule that follows progress, such as 'cosine'."
        )
    return Decline(schedule, name)
