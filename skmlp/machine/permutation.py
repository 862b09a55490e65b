"""Random orders: those of NumPy's ``RandomState``, in less than half the time.

``RandomState.shuffle`` draws numbers until one is small enough, and a processor cannot
guess how often that will be. For a small network this takes a tenth of its training.
"""

import ctypes
from threading import RLock

import numpy as np

from skmlp.machine.fork import hold_at_fork
from skmlp.machine.intrinsics import draw_bits
from skmlp.machine.jit import DISABLED, entry_point, jit

_FEW_ROWS = 150  # with fewer, calling the kernel takes longer than it saves
_shuffling = RLock()  # held at forks in place of the generators' own locks
hold_at_fork(_shuffling)


@jit(entry=True)
def exchange(rows, draw, state):
    """Durstenfeld (1964), algorithm 235: the last element goes to a random place, and
    so on for those before it.

    ``draw``, at that address, returns 32 random bits from ``state``, of which as many
    are taken as i has. If they are too large, element i is exchanged with itself, and
    its turn comes again.
    """
    i, mask = rows.size - 1, 1
    while mask < i:
        mask = 2 * mask + 1
    while i > 0:
        half = mask >> 1
        while i > half:
            j = draw_bits(draw, state) & mask
            is_place = j <= i
            j = j if is_place else i
            rows[i], rows[j] = rows[j], rows[i]
            i -= int(is_place)
        mask = half


def shuffle(rows, random_state):
    """Shuffle a vector of intp in place, exactly as ``random_state.shuffle(rows)``.

    Both take the same numbers from the same stream, for up to 2**32 rows.
    """
    of_ones_own = type(random_state) is not np.random.RandomState
    if DISABLED or of_ones_own or rows.size < _FEW_ROWS:
        random_state.shuffle(rows)
        return
    bits = random_state._bit_generator
    interface = bits.ctypes
    draw = ctypes.cast(interface.next_uint32, ctypes.c_void_p).value
    arguments = rows, draw, interface.state_address
    kernel = entry_point(exchange, rows.dtype, arguments)
    with _shuffling, bits.lock:
        kernel(*arguments)
