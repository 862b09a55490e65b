"""cos(2 pi t) and sin(2 pi t), with t in turns, in the style of ``math.py``.

A whole number of turns is taken off without an error, which leaves |t| <= 1 / 2; there
the polynomials in t**2 are minimax. Results are within 2e-7 (float32) or 1e-15
(float64) of the exact ones for the t that is given. From 2**24 or 2**53 turns on, every
number is whole. NaN and infinity give NaN.
"""

import numpy as np

from skmlp.machine.intrinsics import by_dtype
from skmlp.machine.jit import jit

_F_HALF = np.float32(0.5)
_F_C0, _F_C1, _F_C2, _F_C3, _F_C4, _F_C5, _F_C6 = (
    np.float32(c)
    for c in (
        1.0,
        -19.739204466576142,
        64.939115928346537,
        -85.450113427506126,
        60.167429791960768,
        -25.966884612677383,
        6.5277059631519269,
    )
)
_F_S0, _F_S1, _F_S2, _F_S3, _F_S4, _F_S5, _F_S6 = (
    np.float32(c)
    for c in (
        6.2831853024685814,
        -41.341700392983861,
        81.605130811144353,
        -76.703005558187461,
        42.025851489638683,
        -14.899578436725834,
        3.2377800860426685,
    )
)
_D_HALF = np.float64(0.5)
_D_C0, _D_C1, _D_C2, _D_C3, _D_C4, _D_C5, _D_C6 = (
    np.float64(c)
    for c in (
        1.0,
        -19.739208802178717237,
        64.939394022668291318,
        -85.456817206693712475,
        60.244641371875962312,
        -26.426256783355395525,
        7.9035363709864389189,
    )
)
_D_C7, _D_C8, _D_C9, _D_C10, _D_C11, _D_C12 = (
    np.float64(c)
    for c in (
        -1.7143907072006794975,
        0.28200593728687259519,
        -0.036382669501113535553,
        0.0037791952650187185739,
        -0.00032145221504284498,
        0.000020924775873987433351,
    )
)
_D_S0, _D_S1, _D_S2, _D_S3, _D_S4, _D_S5, _D_S6 = (
    np.float64(c)
    for c in (
        6.2831853071795864769,
        -41.34170224039976019,
        81.605249276075045874,
        -76.705859753060763615,
        42.058693944873635864,
        -15.094642576275903229,
        3.819952576945556379,
    )
)
_D_S7, _D_S8, _D_S9, _D_S10, _D_S11 = (
    np.float64(c)
    for c in (
        -0.71812222659209856325,
        0.104228684599690182,
        -0.012029578843325473294,
        0.0011255576729681774936,
        -0.000079927760205951582369,
    )
)


@jit(strict=True)
def _cos_single(t):
    t -= np.floor(t + _F_HALF)
    u = t * t
    p = ((_F_C6 * u + _F_C5) * u + _F_C4) * u + _F_C3
    return ((p * u + _F_C2) * u + _F_C1) * u + _F_C0


@jit(strict=True)
def _cos_double(t):
    t -= np.floor(t + _D_HALF)
    u = t * t
    p = (((_D_C12 * u + _D_C11) * u + _D_C10) * u + _D_C9) * u + _D_C8
    p = (((p * u + _D_C7) * u + _D_C6) * u + _D_C5) * u + _D_C4
    return (((p * u + _D_C3) * u + _D_C2) * u + _D_C1) * u + _D_C0


@jit(strict=True)
def _sin_single(t):
    t -= np.floor(t + _F_HALF)
    u = t * t
    p = ((_F_S6 * u + _F_S5) * u + _F_S4) * u + _F_S3
    return (((p * u + _F_S2) * u + _F_S1) * u + _F_S0) * t


@jit(strict=True)
def _sin_double(t):
    t -= np.floor(t + _D_HALF)
    u = t * t
    p = (((_D_S11 * u + _D_S10) * u + _D_S9) * u + _D_S8) * u + _D_S7
    p = (((p * u + _D_S6) * u + _D_S5) * u + _D_S4) * u + _D_S3
    return (((p * u + _D_S2) * u + _D_S1) * u + _D_S0) * t


cos_turns = by_dtype(_cos_single, _cos_double)
sin_turns = by_dtype(_sin_single, _sin_double)
