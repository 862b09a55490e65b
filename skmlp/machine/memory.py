"""Arrays in lines of the cache of their own.

Where a line holds what two threads use, and one of them writes, it goes back and forth
between their cores.
"""

from functools import lru_cache
from itertools import accumulate
from math import prod

import numpy as np

LINE = 128  # bytes: two cache lines, which processors fetch in pairs


def whole_lines(size, itemsize):
    """So many numbers, rounded up to whole lines."""
    per_line = LINE // itemsize
    return -(-size // per_line) * per_line


def empty_arrays(forms):
    """Arrays of these shapes and types, behind each other in one piece of memory.

    Parameters
    ----------
    forms : tuple of tuple
        A shape and a type for each array.
    """
    starts = _starts(forms)
    memory = np.empty(starts[-1] + LINE, np.uint8)
    skipped = -memory.ctypes.data % LINE
    return [
        np.ndarray(shape, dtype, memory, skipped + start)
        for (shape, dtype), start in zip(forms, starts)
    ]


def empty_like(arrays):
    """Others of the same shapes and types."""
    return empty_arrays(tuple((array.shape, array.dtype) for array in arrays))


@lru_cache(maxsize=256)
def _starts(forms):
    """Where they begin, and where the last one ends."""
    sizes = [prod(shape) * np.dtype(dtype).itemsize for shape, dtype in forms]
    return [0, *accumulate(whole_lines(size, 1) for size in sizes)]
