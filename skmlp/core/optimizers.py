"""Optimizers: a rule for one number, and the loop over flat vectors made of it.

``<name>(w, g, memory, i, constants)`` returns what parameter i, now ``w``, becomes,
where ``g`` is its gradient with the penalty's. It updates item i of the vectors in
``memory``, which are zero at first. ``<name>_constants(real, rate, hyper)`` computes
once for a stretch what the rule is given: numbers of the working type ``real``, from
the learning rate times the row's correction and from ``hyper``. That holds the
parameters named in the table, in this order, and behind them the numbers that the
optimizer carries from step to step. ``<name>_begin(rate, hyper)`` changes these before
a step, if there are any.

To add one: the rule, its constants and a row in ``OPTIMIZERS``, made by `optimizer`.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from skmlp.core.layout import DECAYS, GROUP, LENGTH, START
from skmlp.machine.forms import Form
from skmlp.machine.intrinsics import address, call, vector_view
from skmlp.machine.jit import jit
from skmlp.machine.math import flush, flush_square
from skmlp.machine.team import share

STEP = Form(
    *("vector", "vector", "matrix", "index", "scalar", "scalar", "hyper"),
    returns="scalar",
)
BEGIN = Form("scalar", "hyper")


@jit
def average(memory, i, decay, rest, value):
    """memory[i] <- decay memory[i] + rest value."""
    mean = flush(decay * memory[i] + rest * value)
    memory[i] = mean
    return mean


@jit
def sgd(w, g, memory, i, constants):
    """v <- momentum v - rate g; w += v, or momentum v - rate g (Nesterov)."""
    momentum, rate, nesterov = constants
    v = flush(momentum * memory[0][i] - rate * g)
    memory[0][i] = v
    return w + (momentum * v - rate * g if nesterov else v)


@jit
def sgd_constants(real, rate, hyper):
    return real(hyper[0]), real(rate), hyper[1] != 0


@jit
def adam(w, g, memory, i, constants):
    """Kingma and Ba (2015), algorithm 1; ``rate`` holds the bias correction."""
    beta_1, rest_1, beta_2, rest_2, epsilon, rate = constants
    m = average(memory[0], i, beta_1, rest_1, g)
    v = average(memory[1], i, beta_2, rest_2, g * g)
    return w - rate * m / (np.sqrt(v) + epsilon)


@jit
def adam_constants(real, rate, hyper):
    beta_1, rest_1 = real(hyper[0]), real(1 - hyper[0])
    beta_2, rest_2 = real(hyper[1]), real(1 - hyper[1])
    return beta_1, rest_1, beta_2, rest_2, real(hyper[2]), real(rate)


@jit
def amsgrad(w, g, memory, i, constants):
    """Reddi et al. (2018), algorithm 2: Adam with the largest v so far."""
    beta_1, rest_1, beta_2, rest_2, epsilon, rate = constants
    m = average(memory[0], i, beta_1, rest_1, g)
    v = average(memory[1], i, beta_2, rest_2, g * g)
    largest = memory[2][i]
    v = largest if v < largest else v  # written so that NaN passes
    memory[2][i] = v
    return w - rate * m / (np.sqrt(v) + epsilon)


@jit
def nadam(w, g, memory, i, constants):
    """Dozat (2016), algorithm 2 with a constant momentum: Adam that looks ahead, to

    beta_1 m / (1 - beta_1^(t + 1)) + (1 - beta_1) g / (1 - beta_1^t)

    in the place of m / (1 - beta_1^t). The last number of ``hyper`` is t.
    """
    beta_1, rest_1, beta_2, rest_2, epsilon, rate, ahead = constants
    m = average(memory[0], i, beta_1, rest_1, g)
    v = average(memory[1], i, beta_2, rest_2, g * g)
    return w - rate * (ahead * m + rest_1 * g) / (np.sqrt(v) + epsilon)


@jit
def nadam_constants(real, rate, hyper):
    power = hyper[0] ** hyper[3]
    beta_1, rest_1 = real(hyper[0]), real(1 - hyper[0])
    beta_2, rest_2 = real(hyper[1]), real(1 - hyper[1])
    ahead = real(hyper[0] * (1 - power) / (1 - hyper[0] * power))
    return beta_1, rest_1, beta_2, rest_2, real(hyper[2]), real(rate), ahead


@jit(form=BEGIN)
def nadam_begin(rate, hyper):
    hyper[3] += 1


@jit
def adagrad(w, g, memory, i, constants):
    """Duchi, Hazan and Singer (2011), the diagonal form: v += g^2."""
    epsilon, rate = constants
    v = flush(memory[0][i] + g * g)
    memory[0][i] = v
    return w - rate * g / (np.sqrt(v) + epsilon)


@jit
def adagrad_constants(real, rate, hyper):
    return real(hyper[0]), real(rate)


@jit
def rmsprop(w, g, memory, i, constants):
    """Tieleman and Hinton (2012): v <- rho v + (1 - rho) g^2."""
    rho, rest, epsilon, rate = constants
    v = average(memory[0], i, rho, rest, g * g)
    return w - rate * g / (np.sqrt(v) + epsilon)


@jit
def rmsprop_constants(real, rate, hyper):
    return real(hyper[0]), real(1 - hyper[0]), real(hyper[1]), real(rate)


@jit
def lion(w, g, memory, i, constants):
    """Chen et al. (2023): a step of the same length for all, by the sign of

    beta_1 m + (1 - beta_1) g; then m <- beta_2 m + (1 - beta_2) g.
    """
    beta_1, rest_1, beta_2, rest_2, rate, zero, one = constants
    c = beta_1 * memory[0][i] + rest_1 * g
    average(memory[0], i, beta_2, rest_2, g)
    sign = one if c > zero else (-one if c < zero else c)  # zero and NaN stay
    return w - rate * sign


@jit
def lion_constants(real, rate, hyper):
    beta_1, rest_1 = real(hyper[0]), real(1 - hyper[0])
    beta_2, rest_2 = real(hyper[1]), real(1 - hyper[1])
    return beta_1, rest_1, beta_2, rest_2, real(rate), real(0), real(1)


@jit
def schedule_free(w, g, memory, i, constants):
    """Defazio et al. (2024), algorithm 1: AdamW without a schedule.

    With z, where Adam without momentum is, its average x, and the parameters
    y = x + (1 - beta_1) (z - x), where gradients are taken,

    z <- z - rate g / (sqrt(v / (1 - beta_2^t)) + epsilon),  x <- (1 - c) x + c z.

    The second moment is z - x; the last numbers of ``hyper`` are t, the largest rate
    so far, and the sum of its squares, of which c is the share of this step.
    """
    beta_2, rest_2, epsilon, rate, rest_1, rest_c, from_z = constants
    v = average(memory[0], i, beta_2, rest_2, g * g)
    before = memory[1][i]
    ahead = before - rate * g / (np.sqrt(v) + epsilon)  # the new z, less the old x
    memory[1][i] = flush(rest_c * ahead)
    return w - rest_1 * before + from_z * ahead


@jit
def schedule_free_constants(real, rate, hyper):
    correction = np.sqrt(1 - hyper[1] ** hyper[3])
    c = hyper[4] ** 2 / hyper[5] if hyper[5] > 0 else 0.0
    beta_2, rest_2 = real(hyper[1]), real(1 - hyper[1])
    epsilon, rate = real(hyper[2] * correction), real(rate * correction)
    rest_1, rest_c = real(1 - hyper[0]), real(1 - c)
    return beta_2, rest_2, epsilon, rate, rest_1, rest_c, real(1 - hyper[0] * (1 - c))


@jit(form=BEGIN)
def schedule_free_begin(rate, hyper):
    hyper[3] += 1
    hyper[4] = max(hyper[4], rate)
    hyper[5] += hyper[4] ** 2


@jit
def lead_of(moments, hyper):
    """z - x, and the share of it that is between x and y."""
    return moments[1], 1 - hyper[0]


@jit(view=True)
def moment(moments, k, start, length):
    """Stretch of the k-th moment."""
    return vector_view(moments[k], start, (length,))


@jit(view=True)
def one_moment(moments, start, length):
    return (moment(moments, 0, start, length),)


@jit(view=True)
def two_moments(moments, start, length):
    return moment(moments, 0, start, length), moment(moments, 1, start, length)


@jit(view=True)
def three_moments(moments, start, length):
    first, second = two_moments(moments, start, length)
    return first, second, moment(moments, 2, start, length)


@jit
def penalized(params, gradient, i, l2):
    """Parameter i, and its gradient with the penalty's.

    Weights of units that are never active shrink with each step. Numbers whose square
    is denormal count as zero, or such units would slow down every later step.
    """
    w = flush_square(params[i])
    return w, flush_square(gradient[i] + l2 * w)


def made_of(rule, constants, n_moments):
    """A kernel that moves a stretch of parameters by a rule.

    It begins at ``start`` in the rows of ``moments``. Its gradient is that of the loss
    plus that of the penalty l2 / 2 * sum(params ** 2). The kernel returns the sum of
    squares that it met on the way.
    """
    memory_of = (one_moment, two_moments, three_moments)[n_moments - 1]

    def step(params, gradient, moments, start, l2, rate, hyper):
        real = params.dtype.type
        memory = memory_of(moments, start, params.size)
        fixed, l2, squares = constants(real, rate, hyper), real(l2), real(0)
        for i in range(params.size):
            w, g = penalized(params, gradient, i, l2)
            params[i] = rule(w, g, memory, i, fixed)
            squares += w * w
        return np.float64(squares)

    step.__name__ = step.__qualname__ = f"{rule.__name__}_step"  # its key in the cache
    return jit(step, form=STEP)


@jit(form=STEP)
def no_step(params, gradient, moments, start, l2, rate, hyper):
    """Leave the penalized gradient as the result."""
    l2, squares = params.dtype.type(l2), params.dtype.type(0)
    for i in range(params.size):
        gradient[i] += l2 * params[i]
        squares += params[i] * params[i]
    return np.float64(squares)


@jit
def begin_step(begin, rate, hyper):
    """Change the numbers that the optimizer carries, if there are any."""
    if begin != 0:
        call(BEGIN, begin, (rate, hyper))


@jit
def update(step, stretches, state, l2, rate, factors, squares, team):
    """One step of the optimizer, stretch by stretch, of which each thread takes some.

    ``rate`` is the learning rate, and ``factors`` has a factor of it for each group of
    parameters. ``squares`` receives the sum of squares of each stretch that decays, and
    0 for the others.
    """
    first, last = share(squares.size, team.rank, team.size)
    for i in range(first, last):
        start, length = stretches[i, START], stretches[i, LENGTH]
        p = vector_view(state.params, start, (length,))
        g = vector_view(state.gradient, start, (length,))
        decays = stretches[i, DECAYS] != 0
        penalty, own_rate = l2 if decays else 0.0, rate * factors[stretches[i, GROUP]]
        arguments = (p, g, state.moments, start, penalty, own_rate, state.hyper)
        part = call(STEP, step, arguments)
        squares[i] = part if decays else 0.0


def uncorrected(t, hyper):
    """A factor of one."""
    return 1.0


def bias_correction(t, hyper):
    """Adam's sqrt(1 - beta_2^t) / (1 - beta_1^t)."""
    beta_1, beta_2 = hyper[:2].tolist()
    return np.sqrt(1 - beta_2**t) / (1 - beta_1**t)


def ahead_of_average(moments, hyper):
    """(1 - beta_1) (z - x), from the average x to the point of the next gradient."""
    return (1 - float(hyper[0])) * moments[1]


class Optimizer(NamedTuple):
    """A row of the table.

    Attributes
    ----------
    step : callable
        The kernel.
    hyper : tuple of str
        Parameters of the estimator that it reads.
    n_moments : int
        Vectors that it carries from step to step, zero at first.
    n_scalars : int
        Numbers that it carries likewise, behind its parameters in ``hyper``.
    begin : callable or None
        The kernel that changes these numbers.
    correction : callable
        Factor of the learning rate, of an array of steps t = 1, 2, ... and ``hyper``.
    lead : callable or None
        Distance from the weights that training is for to those whose gradient it
        takes, of ``moments`` and ``hyper``, where the two differ.
    """

    step: Callable
    hyper: tuple
    n_moments: int
    n_scalars: int = 0
    begin: Callable | None = None
    correction: Callable = uncorrected
    lead: Callable | None = None


def optimizer(rule, constants, hyper, n_moments, **others):
    """A row made of a rule; ``others`` are further attributes of `Optimizer`."""
    return Optimizer(made_of(rule, constants, n_moments), hyper, n_moments, **others)


_ADAM = "beta_1", "beta_2", "epsilon"
_OF_ADAM = optimizer(adam, adam_constants, _ADAM, 2, correction=bias_correction)
OPTIMIZERS = {
    "none": Optimizer(no_step, (), 0),
    "sgd": optimizer(sgd, sgd_constants, ("momentum", "nesterovs_momentum"), 1),
    "adam": _OF_ADAM,
    "adamw": _OF_ADAM,
    "nadam": optimizer(
        *(nadam, nadam_constants, _ADAM, 2),
        n_scalars=1,
        begin=nadam_begin,
        correction=bias_correction,
    ),
    "amsgrad": optimizer(amsgrad, adam_constants, _ADAM, 3, correction=bias_correction),
    "adagrad": optimizer(adagrad, adagrad_constants, ("epsilon",), 1),
    "rmsprop": optimizer(rmsprop, rmsprop_constants, ("rho", "epsilon"), 1),
    "lion": optimizer(lion, lion_constants, ("beta_1", "beta_2"), 1),
    "schedule_free": optimizer(
        *(schedule_free, schedule_free_constants, _ADAM, 2),
        n_scalars=3,
        begin=schedule_free_begin,
        lead=ahead_of_average,
    ),
}


def optimizer_addresses(name, dtype):
    """Addresses of what begins a step, or zero, and of the step."""
    row = OPTIMIZERS[name]
    return address(row.begin, dtype) if row.begin else 0, address(row.step, dtype)
