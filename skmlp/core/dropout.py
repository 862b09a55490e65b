"""Inverted dropout (Srivastava et al., 2014) with counter-based masks.

Whether a unit is dropped follows from a hash of the seed, the step, the layer and the
unit's place in the minibatch.  So masks need no memory and no generator: they are the
same in any process, in blocks of any size, and when training is resumed.
"""

import numpy as np

from skmlp.machine.forms import Form
from skmlp.machine.intrinsics import address, flat
from skmlp.machine.jit import jit

_WORD = np.uint64(0xFFFFFFFF)
_FACTOR_1, _FACTOR_2 = np.uint64(0x7FEB352D), np.uint64(0x846CA68B)
_FACTOR_3, _ONE = np.uint64(0x9E3779B1), np.uint64(1)
_SHIFT_1, _SHIFT_2 = np.uint64(16), np.uint64(15)

DROP = Form("matrix", "scalar", "index", "index")
DROP_BACK = Form("matrix", "matrix", "scalar", "index", "index")


@jit
def hash_word(x):
    """Wellons' mixer of 32 bits, in which each bit of x changes half of the result."""
    x = np.uint64(x) & _WORD
    x ^= x >> _SHIFT_1
    x = (x * _FACTOR_1) & _WORD
    x ^= x >> _SHIFT_2
    x = (x * _FACTOR_2) & _WORD
    return x ^ (x >> _SHIFT_1)


@jit
def combine(key, number):
    """A new key out of one and a number that tells its uses apart."""
    product = (np.uint64(key) * _FACTOR_3) & _WORD
    return np.int64(hash_word(product + np.uint64(number) + _ONE))


@jit
def is_dropped(key, index, threshold):
    return hash_word(hash_word(np.uint64(index)) ^ key) < threshold


@jit
def threshold_of(rate):
    return np.uint64(rate * 4294967296.0)


@jit(form=DROP)
def drop_forward(A, rate, key, first):
    """A <- 0 with probability ``rate``, else A / (1 - rate)."""
    a, factor = flat(A), A.dtype.type(1 / (1 - rate))
    zero, key, threshold = A.dtype.type(0), np.uint64(key), threshold_of(rate)
    for i in range(a.size):
        a[i] = zero if is_dropped(key, first + i, threshold) else a[i] * factor


@jit(form=DROP_BACK)
def drop_backward(dA, A, rate, key, first):
    """Apply the mask of `drop_forward` to dA, and undo its scaling of A."""
    d, a, factor = flat(dA), flat(A), A.dtype.type(1 / (1 - rate))
    zero, keep = A.dtype.type(0), A.dtype.type(1 - rate)
    key, threshold = np.uint64(key), threshold_of(rate)
    for i in range(d.size):
        d[i] = zero if is_dropped(key, first + i, threshold) else d[i] * factor
        a[i] *= keep


def dropout_addresses(dtype):
    """Addresses of forward and backward."""
    return address(drop_forward, dtype), address(drop_backward, dtype)
