"""Activations of hidden layers: functions, slopes, and the kernels made of them.

``<name>_forward(A, Z, bias)`` adds the bias to the products Z, of shape (rows, width),
and fills A, of shape (rows, units), with f(Z).  ``<name>_backward(dZ, dA, A, Z)`` turns
dA = d loss / d A into dZ = d loss / d Z.

A row of the table says where the arrays lie.  ``in_place``: Z is not kept, but becomes
A, and f' is written in terms of A; the functions use A and dZ alone.  ``gated``: A has
half as many columns as Z.  Unless gated, dZ takes the place of dA, so use dZ alone.
(Loops over two names of the same memory would not be vectorized.)

To add one: a function of one number, its slope, and a row in ``ACTIVATIONS``, made by

- ``of_output(name, f, slope)`` if the slope f'(z) is written in terms of a = f(z),
- ``of_input(name, f, slope)`` if it is written in terms of z,
- ``gated(name, g, slope)`` for A = U * g(V), where Z = [U | V], and the slope g'(v).

The training kernel calls them by address, so that only what a network uses is ever
compiled.
"""

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import numpy as np

from skmlp.machine.forms import Form
from skmlp.machine.intrinsics import address, flat
from skmlp.machine.jit import jit
from skmlp.machine.math import (
    exp,
    expm1,
    flush,
    log1p_unit,
    logistic,
    normal_cdf,
    normal_pdf,
    tanh,
)

_LEAK = 0.01
_SELU_SCALE, _SELU_ALPHA = 1.0507009873554805, 1.6732632423543772
_FAR = 1000  # beyond it every function is at its limit or asymptote
# Dropout restores A with a rounding error: 1 may have become slightly less.
_ALMOST_ONE = 1 - 1e-6


@jit(strict=True)
def clip(z, low, high):
    """The nearest number in [low, high]; NaN stays NaN."""
    low, high = type(z)(low), type(z)(high)
    return low if z < low else (high if z > high else z)


@jit(strict=True)
def logistic_slope(a):
    return a * (type(a)(1) - a)


@jit(strict=True)
def tanh_slope(a):
    return type(a)(1) - a * a


@jit(strict=True)
def leaky_relu(z):
    return type(z)(_LEAK) * z if z < type(z)(0) else z


@jit(strict=True)
def leaky_relu_slope(a):
    return type(a)(1) if a > type(a)(0) else type(a)(_LEAK)


@jit(strict=True)
def elu(z):
    """Clevert, Unterthiner and Hochreiter (2016), with alpha = 1."""
    return z if z > type(z)(0) else expm1(z)


@jit(strict=True)
def elu_slope(a):
    one = type(a)(1)
    return one if a > type(a)(0) else a + one


@jit(strict=True)
def selu(z):
    """Klambauer, Unterthiner, Mayr and Hochreiter (2017)."""
    factor = type(z)(_SELU_SCALE * _SELU_ALPHA)
    return type(z)(_SELU_SCALE) * z if z > type(z)(0) else factor * expm1(z)


@jit(strict=True)
def selu_slope(a):
    rest = a + type(a)(_SELU_SCALE * _SELU_ALPHA)
    return type(a)(_SELU_SCALE) if a > type(a)(0) else rest


@jit(strict=True)
def softplus(z):
    """log(1 + exp(z)) (Dugas, Bengio, Belisle, Nadeau and Garcia, 2000)."""
    zero = type(z)(0)
    return (zero if z < zero else z) + log1p_unit(exp(-abs(z)))


@jit(strict=True)
def softplus_slope(a):
    """logistic(z) = 1 - exp(-a), accurate for small a too."""
    return -expm1(-a)


@jit(strict=True)
def softsign(z):
    z = clip(z, -1e30, 1e30)
    return z / (type(z)(1) + abs(z))


@jit(strict=True)
def softsign_slope(a):
    """1 / (1 + |z|)**2."""
    rest = type(a)(1) - abs(a)
    return rest * rest


@jit(strict=True)
def hard_sigmoid(z):
    return clip(z * type(z)(1 / 6) + type(z)(0.5), 0, 1)


@jit(strict=True)
def hard_sigmoid_slope(a):
    inside = type(a)(0) < a < type(a)(_ALMOST_ONE)
    return type(a)(1 / 6) if inside else type(a)(0)


@jit(strict=True)
def hard_tanh(z):
    return clip(z, -1, 1)


@jit(strict=True)
def hard_tanh_slope(a):
    return type(a)(1) if abs(a) < type(a)(_ALMOST_ONE) else type(a)(0)


@jit(strict=True)
def relu(z):
    zero = type(z)(0)
    return zero if z < zero else z


@jit(strict=True)
def relu_slope(z):
    return type(z)(1) if z > type(z)(0) else type(z)(0)


@jit(strict=True)
def logistic_slope_at(z):
    """logistic(z) * logistic(-z)."""
    e = exp(-abs(z))
    rest = type(z)(1) / (type(z)(1) + e)
    return e * rest * rest


@jit(strict=True)
def gelu(z):
    """z Phi(z), Phi being the normal distribution (Hendrycks and Gimpel, 2016)."""
    return clip(z, -_FAR, np.inf) * normal_cdf(z)


@jit(strict=True)
def gelu_slope(z):
    return normal_cdf(z) + clip(z, -_FAR, _FAR) * normal_pdf(z)


@jit(strict=True)
def silu(z):
    """z logistic(z) (Elfwing, Uchibe and Doya, 2018), also known as swish."""
    return clip(z, -_FAR, np.inf) * logistic(z)


@jit(strict=True)
def silu_slope(z):
    """s(z) (1 + z s(-z)), where s is the logistic function."""
    zero, one, e = type(z)(0), type(z)(1), exp(-abs(z))
    high = one / (one + e)
    low = e * high
    up, down = (low, high) if z < zero else (high, low)
    return up * (one + clip(z, -_FAR, _FAR) * down)


@jit(strict=True)
def mish(z):
    """z tanh(softplus(z)) (Misra, 2019), the latter being n / (n + 2)."""
    two = type(z)(2)
    e = exp(clip(z, -_FAR, 20))  # beyond 20 the tanh is 1
    n = e * (e + two)
    return clip(z, -_FAR, np.inf) * (n / (n + two))


@jit(strict=True)
def mish_slope(z):
    """t + z s (1 - t**2), t = n / (n + 2) the tanh and s = e / (1 + e) its argument's
    slope, over one denominator."""
    one, two, four = type(z)(1), type(z)(2), type(z)(4)
    z = clip(z, -_FAR, 20)
    e = exp(z)
    n = e * (e + two)
    return (n * (n + two) + four * z * e * (e + one)) / ((n + two) * (n + two))


class Activation(NamedTuple):
    """A row of the table; see above for what its flags mean.

    ``f`` and ``slope`` are functions of z, which parametric layers are made of.
    """

    forward: Callable
    backward: Callable | None
    in_place: bool = False
    gated: bool = False
    f: Callable | None = None
    slope: Callable | None = None


FORWARD = Form("matrix", "matrix", "vector")
BACKWARD = Form("matrix", "matrix", "matrix", "matrix")
PARAMETRIC = Form("matrix", "matrix", "vector", "vector")
PARAMETRIC_BACK = Form("matrix", "matrix", "vector", "vector")


def _entry(kernel, name, form):
    """Compile a kernel, under a name of its own, by which the cache knows it."""
    kernel.__name__ = kernel.__qualname__ = name
    return jit(kernel, form=form)


def _row(name, forward, backward, **flags):
    forward = _entry(forward, f"{name}_forward", FORWARD)
    backward = _entry(backward, f"{name}_backward", BACKWARD)
    return Activation(forward, backward, **flags)


def of_output(name, f, slope):
    """A row for a = f(z), f'(z) = slope(a)."""

    def forward(A, Z, bias):
        for i in range(A.shape[0]):
            for j in range(A.shape[1]):
                A[i, j] = f(A[i, j] + bias[j])

    def backward(dZ, dA, A, Z):
        d, a = flat(dZ), flat(A)
        for i in range(d.size):
            d[i] = flush(d[i] * slope(a[i]))

    def slope_at(z):
        return slope(f(z))

    at = jit(slope_at, strict=True)
    return _row(name, forward, backward, in_place=True, f=f, slope=at)


def of_input(name, f, slope):
    """A row for a = f(z), f'(z) = slope(z)."""

    def forward(A, Z, bias):
        for i in range(A.shape[0]):
            for j in range(A.shape[1]):
                z = Z[i, j] + bias[j]
                Z[i, j] = z
                A[i, j] = f(z)

    def backward(dZ, dA, A, Z):
        d, z = flat(dZ), flat(Z)
        for i in range(d.size):
            d[i] = flush(d[i] * slope(z[i]))

    return _row(name, forward, backward, f=f, slope=slope)


@cache
def parametric(name):
    """Kernels of z + a (f(z) - z), with a trained mix ``a`` for each unit.

    Made when a network first asks for them.
    """
    f, slope = ACTIVATIONS[name].f, ACTIVATIONS[name].slope

    def forward(A, Z, bias, a):
        for i in range(A.shape[0]):
            for j in range(A.shape[1]):
                z = Z[i, j] + bias[j]
                Z[i, j] = z
                A[i, j] = z + a[j] * (f(z) - z)

    def backward(dZ, Z, a, da):
        one = dZ.dtype.type(1)
        da[:] = 0
        for i in range(dZ.shape[0]):
            for j in range(dZ.shape[1]):
                z, d = Z[i, j], dZ[i, j]
                da[j] += d * (f(z) - z)
                dZ[i, j] = flush(d * (one + a[j] * (slope(z) - one)))

    forward = _entry(forward, f"parametric_{name}_forward", PARAMETRIC)
    return forward, _entry(backward, f"parametric_{name}_backward", PARAMETRIC_BACK)


def gated(name, g, slope):
    """A row for A = U * g(V) with Z = [U | V], g'(v) = slope(v) (Shazeer, 2020).

    Several short loops: LLVM vectorizes none that writes to many places.
    """

    def forward(A, Z, bias):
        units = A.shape[1]
        for i in range(A.shape[0]):
            for j in range(Z.shape[1]):
                Z[i, j] += bias[j]
            for j in range(units):
                A[i, j] = Z[i, j] * g(Z[i, units + j])

    def backward(dZ, dA, A, Z):
        units = A.shape[1]
        for i in range(dA.shape[0]):
            for j in range(units):
                u, v, d = Z[i, j], Z[i, units + j], dA[i, j]
                dZ[i, j] = flush(d * g(v))
                dZ[i, units + j] = flush(d * u * slope(v))

    return _row(name, forward, backward, gated=True)


@jit(form=FORWARD)
def identity_forward(A, Z, bias):
    if A.shape[1] == 1:  # the one output of most networks: a loop over rows
        a = flat(A)
        for i in range(a.size):
            a[i] += bias[0]
        return
    for i in range(A.shape[0]):
        for j in range(A.shape[1]):
            A[i, j] += bias[j]


@jit(form=FORWARD)
def relu_forward(A, Z, bias):
    zero = A.dtype.type(0)
    for i in range(A.shape[0]):
        for j in range(A.shape[1]):
            z = A[i, j] + bias[j]
            A[i, j] = zero if z < zero else z  # written so that NaN passes


@jit(form=BACKWARD)
def relu_backward(dZ, dA, A, Z):
    zero, d, a = dZ.dtype.type(0), flat(dZ), flat(A)
    for i in range(d.size):
        d[i] = zero if a[i] == zero else d[i]


ACTIVATIONS = {
    "identity": Activation(identity_forward, None, in_place=True),
    "logistic": of_output("logistic", logistic, logistic_slope),
    "tanh": of_output("tanh", tanh, tanh_slope),
    "relu": Activation(
        relu_forward, relu_backward, in_place=True, f=relu, slope=relu_slope
    ),
    "leaky_relu": of_output("leaky_relu", leaky_relu, leaky_relu_slope),
    "elu": of_output("elu", elu, elu_slope),
    "selu": of_output("selu", selu, selu_slope),
    "softplus": of_output("softplus", softplus, softplus_slope),
    "softsign": of_output("softsign", softsign, softsign_slope),
    "hard_sigmoid": of_output("hard_sigmoid", hard_sigmoid, hard_sigmoid_slope),
    "hard_tanh": of_output("hard_tanh", hard_tanh, hard_tanh_slope),
    "gelu": of_input("gelu", gelu, gelu_slope),
    "silu": of_input("silu", silu, silu_slope),
    "mish": of_input("mish", mish, mish_slope),
    "glu": gated("glu", logistic, logistic_slope_at),
    "geglu": gated("geglu", gelu, gelu_slope),
    "swiglu": gated("swiglu", silu, silu_slope),
    "reglu": gated("reglu", relu, relu_slope),
}


def activation_addresses(name, dtype, *, training):
    """Addresses of forward, and of backward for training, if there is one."""
    row = ACTIVATIONS[name]
    back = training and row.backward is not None
    return address(row.forward, dtype), address(row.backward, dtype) if back else 0


def parametric_addresses(name, dtype, *, training):
    """Addresses of forward, and of backward for training, of a parametric layer."""
    forward, backward = parametric(name)
    return address(forward, dtype), address(backward, dtype) if training else 0
