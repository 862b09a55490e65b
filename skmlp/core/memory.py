"""Memory in whole lines of the cache.

Where a line holds what two threads use, and one of them writes, it goes back and forth
between their cores.
"""

from math import prod

import numpy as np

LINE = 16  # numbers: one or two lines of the cache, which may come in pairs


def whole_lines(size):
    """So many numbers, rounded up to whole lines."""
    return -(-size // LINE) * LINE


def empty_lines(shape, dtype=np.float64):
    """An array that begins where a line does, and has its last one for itself."""
    size = prod(shape)
    memory = np.empty(whole_lines(size) + LINE, dtype)
    itemsize = memory.itemsize
    skipped = -memory.ctypes.data % (LINE * itemsize) // itemsize
    return memory[skipped : skipped + size].reshape(shape)


def empty_lines_like(array):
    """One of the same shape and type."""
    return empty_lines(array.shape, array.dtype)
