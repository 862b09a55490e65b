"""How many rows pass through the network at once."""

from functools import lru_cache

import numpy as np

# Up to so many multiplications OpenBLAS uses one thread and kernels without packing.
# Just above, its threads cost more than they gain.
SMALL_PRODUCT = 1_000_000

_TRAINING_FLOPS = 4e9
_TRAINING_ROWS = 64, 1024
_PREDICTION_BYTES = 2**19
_PREDICTION_ROWS = 16, 512
_FEWEST_INSMALL_PRODUCT = 32


def flops_per_row(layout, data):
    """Of a forward and a backward pass."""
    fan_in = layout.sizes[:-1].astype(np.float64)
    if data.sparse:
        fan_in[0] = data.values.size / max(data.n_rows, 1)
    return 6.0 * float(fan_in @ layout.widths) + 1.0


def training_block_size(architecture, data, batch_size):
    """Rows per pass: the minibatch, or equal parts of one that is too large."""
    if architecture.needs_whole_batch():
        return batch_size
    layout = architecture.layout()
    fewest, most = _TRAINING_ROWS
    limit = int(_TRAINING_FLOPS / flops_per_row(layout, data))
    n_parts = -(-batch_size // min(max(limit, fewest), most))
    largest = batch_size * largest_product(architecture, data.sparse)
    if n_parts == 1 and SMALL_PRODUCT < largest <= 2 * SMALL_PRODUCT:
        n_parts = 2
    return -(-batch_size // n_parts)


def prediction_block_size(architecture, data, n_rows):
    """Rows whose activations stay in the second-level cache, in small products if
    enough of them fit."""
    fewest, most = _PREDICTION_ROWS
    units = sum(architecture.sizes[1 if data.sparse else 0 :])
    fitting = _PREDICTION_BYTES // (units * data.X.dtype.itemsize)
    small = SMALL_PRODUCT // largest_product(architecture, data.sparse)
    if small >= _FEWEST_INSMALL_PRODUCT:
        most = min(most, small)
    return min(max(fitting, fewest), most, n_rows)


@lru_cache(maxsize=256)
def largest_product(architecture, sparse):
    """Multiplications per row in the largest product that goes through BLAS."""
    layout, first = architecture.layout(), 1 if sparse else 0
    products = layout.sizes[first:-1] * layout.widths[first:]
    return int(products.max(initial=1))
