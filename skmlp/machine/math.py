"""exp, log, tanh, the normal distribution and others that LLVM turns into vector code.

Each function maps a scalar of the working type to another; inside a loop over an
array the compiler handles several elements at once, which calls into the C
library would prevent.  The exponential reduces its argument to

    x = k log 2 + r,   |r| <= log(2) / 2,

by adding and subtracting a number so large that k is left in the lowest bits of
the sum (hence ``strict=True``: reordering would undo it), and approximates
expm1(r) by a polynomial r + r**2 p(r), p being minimax.

The normal distribution's tail is its density times Mills' ratio M, a smooth function:

    Phi(-t) = phi(t) M(t),   (t + 4) M(t) = q((t - 4) / (t + 4)),   t >= 0,

with q minimax again; Shepherd and Laframboise (1981) use this form for erfc.

tanh is 1 - 2 / (exp(2 x) + 1), written so that nothing cancels; in float32 it is the
cheaper x p(x**2) / q(x**2), minimax up to where it rounds to 1.

Results of exp, logistic and the normal distribution below about 1.7e-38 (float32) or
3.2e-308 (float64) are zero, since denormal numbers slow down every operation on them;
``flush`` does the same to any number, ``flush_square`` to any number whose square is
denormal.  NaN stays NaN.  ``tests/machine/test_math.py`` holds the error bounds: 2 ulp
for exp, expm1, log and log1p, 3 ulp for logistic and tanh (6 in float32), 6 and 8 ulp
for density and distribution function of the normal distribution.
"""

import numpy as np

from skmlp.machine.intrinsics import by_dtype
from skmlp.machine.jit import jit

_F_ZERO, _F_HALF, _F_ONE, _F_TWO = (np.float32(c) for c in (0, 0.5, 1, 2))
_F_INF, _F_NAN = np.float32(np.inf), np.float32(np.nan)
_F_LOW, _F_HIGH = np.float32(-87.3), np.float32(89)
_F_TINY = np.finfo(np.float32).tiny
_F_ROOT_TINY = np.float32(1e-17)  # 1e-3 (Adam's 1 - beta_2) times its square is normal
_F_LOG2E = np.float32(1.4426950408889634)
_F_LN2_HIGH = np.float32(0.693359375)  # few enough bits for k times it to be exact
_F_LN2_LOW = np.float32(-2.12194440e-4)
_F_SHIFT = np.float32(1.5 * 2**23)
_F_SHIFT_BITS = _F_SHIFT.view(np.int32)
_F_BIAS, _F_MANTISSA = np.int32(126), np.int32(23)
_F_P3, _F_P4, _F_P5, _F_P6 = (
    np.float32(c)
    for c in (
        0.166665769896987757,
        0.0416665546172045742,
        0.00836317905272257737,
        0.00139261835877134945,
    )
)
_F_Q1, _F_Q2, _F_Q3, _F_Q4 = (
    np.float32(c)
    for c in (
        0.333333201683496199,
        0.200037803224556029,
        0.141183099026552407,
        0.134257490114185759,
    )
)
_F_M0, _F_M1, _F_M2, _F_M3, _F_M4, _F_M5, _F_M6, _F_M7, _F_M8, _F_M9 = (
    np.float32(c)
    for c in (
        1.893219076,
        -1.523770831,
        0.9704082563,
        -0.4675434301,
        0.1514116484,
        -0.01887272295,
        -0.008819534693,
        0.003949090589,
        4.842076243e-4,
        -3.150392401e-4,
    )
)
_F_FLAT = np.float32(9.5)  # from here on the formula of tanh exceeds 1
_F_T0, _F_T1, _F_T2, _F_T3, _F_T4 = (
    np.float32(c)
    for c in (0.999999979, 0.133797185, 3.49403515e-3, 2.05834895e-5, 1.33190811e-8)
)
_F_U1, _F_U2, _F_U3, _F_U4 = (
    np.float32(c) for c in (0.467130337, 0.0258710756, 3.28309373e-4, 7.76202366e-7)
)
_F_ROOT_HALF_BITS = np.sqrt(np.float32(0.5)).view(np.int32)
_F_THIRD, _F_FOUR, _F_FAR = np.float32(1 / 3), np.float32(4), np.float32(40)
_F_DENSITY_AT_ZERO = np.float32(0.3989422804014327)
_F_UPPER_BITS = np.int32(-(2**12))  # the square of so few bits is exact

_D_ZERO, _D_HALF, _D_ONE, _D_TWO = (np.float64(c) for c in (0, 0.5, 1, 2))
_D_INF, _D_NAN = np.float64(np.inf), np.float64(np.nan)
_D_LOW, _D_HIGH = np.float64(-708.3), np.float64(710)
_D_TINY = np.finfo(np.float64).tiny
_D_ROOT_TINY = np.float64(1e-152)
_D_LOG2E = np.float64(1.4426950408889634)
_D_LN2_HIGH = np.float64(6.93147180369123816490e-01)
_D_LN2_LOW = np.float64(1.90821492927058770002e-10)
_D_SHIFT = np.float64(1.5 * 2**52)
_D_SHIFT_BITS = _D_SHIFT.view(np.int64)
_D_BIAS, _D_MANTISSA = np.int64(1022), np.int64(52)
_D_P3, _D_P4, _D_P5, _D_P6, _D_P7, _D_P8, _D_P9, _D_P10, _D_P11 = (
    np.float64(c)
    for c in (
        0.166666666666666675,
        0.0416666666666241279,
        0.00833333333333006183,
        0.00138888889172137169,
        0.000198412698630536169,
        2.48015212959543751e-5,
        2.75572684599970648e-6,
        2.76200884454097482e-7,
        2.51003854955103191e-8,
    )
)
_D_Q1, _D_Q2, _D_Q3, _D_Q4, _D_Q5, _D_Q6, _D_Q7, _D_Q8, _D_Q9, _D_Q10 = (
    np.float64(c)
    for c in (
        0.333333333333333293,
        0.200000000000072913,
        0.142857142835543786,
        0.111111113587139315,
        0.0909089471806642908,
        0.0769278503247931155,
        0.0665707210482746808,
        0.0600053640479535627,
        0.0440036924307233694,
        0.0808202280597176611,
    )
)
_D_M0, _D_M1, _D_M2, _D_M3, _D_M4, _D_M5, _D_M6, _D_M7, _D_M8, _D_M9 = (
    np.float64(c)
    for c in (
        1.8932190633084853,
        -1.52377091081997979,
        0.97040955486760483,
        -0.467540962998717576,
        0.151391762311664788,
        -0.0189004508498693107,
        -0.00872229525885829088,
        0.00408785551503610761,
        3.34244447894589464e-4,
        -5.79268024565515552e-4,
    )
)
_D_M10, _D_M11, _D_M12, _D_M13, _D_M14, _D_M15 = (
    np.float64(c)
    for c in (
        -4.78211714009535311e-6,
        8.80897971035596556e-5,
        1.79127451778821933e-6,
        -1.48259997996900425e-5,
        -1.56357533176046085e-6,
        2.5369364849749709e-6,
    )
)
_D_M16, _D_M17, _D_M18, _D_M19, _D_M20, _D_M21 = (
    np.float64(c)
    for c in (
        6.53356890388894873e-7,
        -3.64607819943145698e-7,
        -1.81150584338331392e-7,
        2.23314214060012135e-8,
        2.72090307804784124e-8,
        4.13287838152792391e-9,
    )
)
_D_ROOT_HALF_BITS = np.sqrt(np.float64(0.5)).view(np.int64)
_D_THIRD, _D_FOUR, _D_FAR = np.float64(1 / 3), np.float64(4), np.float64(40)
_D_DENSITY_AT_ZERO = np.float64(0.3989422804014327)
_D_UPPER_BITS = np.int64(-(2**27))


@jit(strict=True)
def _reduce_single(x):
    """(expm1(r), k) of a float32."""
    x = _F_LOW if x < _F_LOW else (_F_HIGH if x > _F_HIGH else x)
    shifted = x * _F_LOG2E + _F_SHIFT
    k = shifted - _F_SHIFT
    r = (x - k * _F_LN2_HIGH) - k * _F_LN2_LOW
    p = (((_F_P6 * r + _F_P5) * r + _F_P4) * r + _F_P3) * r + _F_HALF
    k_bits = np.float32(shifted).view(np.int32)
    return p * r * r + r, np.int32(k_bits - _F_SHIFT_BITS)


@jit(strict=True)
def _reduce_double(x):
    """(expm1(r), k) of a float64."""
    x = _D_LOW if x < _D_LOW else (_D_HIGH if x > _D_HIGH else x)
    shifted = x * _D_LOG2E + _D_SHIFT
    k = shifted - _D_SHIFT
    r = (x - k * _D_LN2_HIGH) - k * _D_LN2_LOW
    p = ((_D_P11 * r + _D_P10) * r + _D_P9) * r + _D_P8
    p = (((p * r + _D_P7) * r + _D_P6) * r + _D_P5) * r + _D_P4
    p = (p * r + _D_P3) * r + _D_HALF
    k_bits = np.float64(shifted).view(np.int64)
    return p * r * r + r, k_bits - _D_SHIFT_BITS


@jit(strict=True)
def _half_power_single(k):
    """2 ** (k - 1); the full power would overflow at k = 128."""
    return np.int32((k + _F_BIAS) << _F_MANTISSA).view(np.float32)


@jit(strict=True)
def _half_power_double(k):
    """2 ** (k - 1); the full power would overflow at k = 1024."""
    return np.int64((k + _D_BIAS) << _D_MANTISSA).view(np.float64)


@jit(strict=True)
def _exp_single(x):
    expm1_r, k = _reduce_single(x)
    return (expm1_r + _F_ONE) * _half_power_single(k) * _F_TWO


@jit(strict=True)
def _exp_double(x):
    expm1_r, k = _reduce_double(x)
    return (expm1_r + _D_ONE) * _half_power_double(k) * _D_TWO


@jit(strict=True)
def _expm1_single(x):
    """2**k expm1(r) + (2**k - 1): exact near zero too."""
    expm1_r, k = _reduce_single(x)
    half = _half_power_single(k)
    return (expm1_r * half + (half - _F_HALF)) * _F_TWO


@jit(strict=True)
def _expm1_double(x):
    """`_expm1_single` for float64."""
    expm1_r, k = _reduce_double(x)
    half = _half_power_double(k)
    return (expm1_r * half + (half - _D_HALF)) * _D_TWO


@jit(strict=True)
def _tanh_single(x):
    """x p(x**2) / q(x**2), cut off where it passes 1."""
    x = -_F_FLAT if x < -_F_FLAT else x
    x = _F_FLAT if x > _F_FLAT else x
    z = x * x
    p = (((_F_T4 * z + _F_T3) * z + _F_T2) * z + _F_T1) * z + _F_T0
    q = (((_F_U4 * z + _F_U3) * z + _F_U2) * z + _F_U1) * z + _F_ONE
    y = x * p / q
    return -_F_ONE if y < -_F_ONE else (_F_ONE if y > _F_ONE else y)


@jit(strict=True)
def _tanh_double(x):
    """-expm1(-2|x|) / (expm1(-2|x|) + 2) with the sign of x."""
    t = _expm1_double(-_D_TWO * abs(x))
    y = -t / (t + _D_TWO)
    return -y if x < _D_ZERO else y


@jit
def _flush_single(x):
    return _F_ZERO if abs(x) < _F_TINY else x


@jit
def _flush_double(x):
    return _D_ZERO if abs(x) < _D_TINY else x


@jit
def _flush_square_single(x):
    return _F_ZERO if abs(x) < _F_ROOT_TINY else x


@jit
def _flush_square_double(x):
    return _D_ZERO if abs(x) < _D_ROOT_TINY else x


@jit(strict=True)
def _logistic_single(x):
    return _flush_single(_F_ONE / (_F_ONE + _exp_single(-x)))


@jit(strict=True)
def _logistic_double(x):
    return _flush_double(_D_ONE / (_D_ONE + _exp_double(-x)))


@jit(strict=True)
def _log1p_single(u):
    """2 atanh(s), s = u / (2 + u), for -1/2 <= u <= 1."""
    s = u / (_F_TWO + u)
    z = s * s
    q = ((_F_Q4 * z + _F_Q3) * z + _F_Q2) * z + _F_Q1
    return _F_TWO * (s + s * z * q)


@jit(strict=True)
def _log1p_double(u):
    """2 atanh(s), s = u / (2 + u), for -1/2 <= u <= 1."""
    s = u / (_D_TWO + u)
    z = s * s
    q = ((_D_Q10 * z + _D_Q9) * z + _D_Q8) * z + _D_Q7
    q = (((q * z + _D_Q6) * z + _D_Q5) * z + _D_Q4) * z + _D_Q3
    q = (q * z + _D_Q2) * z + _D_Q1
    return _D_TWO * (s + s * z * q)


@jit(strict=True)
def _log_single(x):
    """k log 2 + log m with x = 2**k m, 1/2 <= m**2 < 2; denormal x count as tiny."""
    bits = np.float32(x).view(np.int32)
    k = np.int32((bits - _F_ROOT_HALF_BITS) >> _F_MANTISSA)
    m = np.int32(bits - np.int32(k << _F_MANTISSA)).view(np.float32)
    wide_k = np.float32(k)
    y = wide_k * _F_LN2_HIGH + (wide_k * _F_LN2_LOW + _log1p_single(m - _F_ONE))
    edge = -_F_INF if x == _F_ZERO else (_F_NAN if x < _F_ZERO else x)
    return y if _F_ZERO < x < _F_INF else edge


@jit(strict=True)
def _log_double(x):
    """`_log_single` for float64."""
    bits = np.float64(x).view(np.int64)
    k = (bits - _D_ROOT_HALF_BITS) >> _D_MANTISSA
    m = np.int64(bits - (k << _D_MANTISSA)).view(np.float64)
    wide_k = np.float64(k)
    y = wide_k * _D_LN2_HIGH + (wide_k * _D_LN2_LOW + _log1p_double(m - _D_ONE))
    edge = -_D_INF if x == _D_ZERO else (_D_NAN if x < _D_ZERO else x)
    return y if _D_ZERO < x < _D_INF else edge


@jit(strict=True)
def _normal_pdf_single(x):
    """exp(-h**2 / 2) exp(e), e = (h**2 - x**2) / 2, where h is x without its lower
    bits: the rounding error of x**2 would grow in exp."""
    t = _F_FAR if abs(x) > _F_FAR else abs(x)
    h = np.int32(np.float32(t).view(np.int32) & _F_UPPER_BITS).view(np.float32)
    e = _F_HALF * (h - t) * (h + t)
    exp_e = ((_F_THIRD * e + _F_ONE) * _F_HALF * e + _F_ONE) * e + _F_ONE
    return _flush_single(_exp_single(-_F_HALF * h * h) * (_F_DENSITY_AT_ZERO * exp_e))


@jit(strict=True)
def _normal_pdf_double(x):
    """`_normal_pdf_single` for float64."""
    t = _D_FAR if abs(x) > _D_FAR else abs(x)
    h = np.int64(np.float64(t).view(np.int64) & _D_UPPER_BITS).view(np.float64)
    e = _D_HALF * (h - t) * (h + t)
    exp_e = ((_D_THIRD * e + _D_ONE) * _D_HALF * e + _D_ONE) * e + _D_ONE
    return _flush_double(_exp_double(-_D_HALF * h * h) * (_D_DENSITY_AT_ZERO * exp_e))


@jit(strict=True)
def _mills_single(t):
    """Mills' ratio Phi(-t) / phi(t) for 0 <= t <= 40."""
    u = _F_ONE / (t + _F_FOUR)
    s = (t - _F_FOUR) * u
    q = (((_F_M9 * s + _F_M8) * s + _F_M7) * s + _F_M6) * s + _F_M5
    q = (((q * s + _F_M4) * s + _F_M3) * s + _F_M2) * s + _F_M1
    return (q * s + _F_M0) * u


@jit(strict=True)
def _mills_double(t):
    """`_mills_single` for float64."""
    u = _D_ONE / (t + _D_FOUR)
    s = (t - _D_FOUR) * u
    q = (((_D_M21 * s + _D_M20) * s + _D_M19) * s + _D_M18) * s + _D_M17
    q = (((q * s + _D_M16) * s + _D_M15) * s + _D_M14) * s + _D_M13
    q = (((q * s + _D_M12) * s + _D_M11) * s + _D_M10) * s + _D_M9
    q = (((q * s + _D_M8) * s + _D_M7) * s + _D_M6) * s + _D_M5
    q = (((q * s + _D_M4) * s + _D_M3) * s + _D_M2) * s + _D_M1
    return (q * s + _D_M0) * u


@jit(strict=True)
def _normal_cdf_single(x):
    """Phi(x), to a small relative error in its lower tail too."""
    t = _F_FAR if abs(x) > _F_FAR else abs(x)
    tail = _flush_single(_normal_pdf_single(x) * _mills_single(t))
    return tail if x < _F_ZERO else _F_ONE - tail


@jit(strict=True)
def _normal_cdf_double(x):
    """`_normal_cdf_single` for float64."""
    t = _D_FAR if abs(x) > _D_FAR else abs(x)
    tail = _flush_double(_normal_pdf_double(x) * _mills_double(t))
    return tail if x < _D_ZERO else _D_ONE - tail


exp = by_dtype(_exp_single, _exp_double)
expm1 = by_dtype(_expm1_single, _expm1_double)
tanh = by_dtype(_tanh_single, _tanh_double)
logistic = by_dtype(_logistic_single, _logistic_double)
log = by_dtype(_log_single, _log_double)
log1p_unit = by_dtype(_log1p_single, _log1p_double)
normal_pdf = by_dtype(_normal_pdf_single, _normal_pdf_double)
normal_cdf = by_dtype(_normal_cdf_single, _normal_cdf_double)
flush = by_dtype(_flush_single, _flush_double)
flush_square = by_dtype(_flush_square_single, _flush_square_double)
