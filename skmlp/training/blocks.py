"""How many rows pass through the network at once."""

from typing import NamedTuple

import numpy as np

from skmlp.core.minibatches import n_blocks

_TRAINING_FLOPS = 4e9
_TRAINING_ROWS = 64, 1024
_CHUNK_FLOPS = 2e6, 8e6
_CHUNK_ROWS = 64, 128
_PREDICTION_BYTES = 2**19
_PREDICTION_ROWS = 12, 384


def flops_per_row(layout, data):
    """Floating-point operations per row of a forward and a backward pass."""
    fan_in = layout.sizes[:-1].astype(np.float64)
    if data.sparse:
        fan_in[0] = data.values.size / max(data.n_rows, 1)
    return 6.0 * float(fan_in @ layout.widths) + 1.0


def minibatches(n_rows, batch_size, last_batch):
    """How many minibatches an epoch has, and how many rows are in them.

    A rest of less than ``batch_size`` rows is a minibatch of its own if ``last_batch``
    is "keep", or if there are no others. "merge" gives it to the last full one, and
    "drop" to none.
    """
    n_full, rest = divmod(n_rows, batch_size)
    if last_batch == "keep" or n_full == 0:
        return n_full + (rest > 0), n_rows
    return n_full, n_rows if last_batch == "merge" else n_rows - rest


class Cut(NamedTuple):
    """How the rows of an epoch are cut.

    Attributes
    ----------
    batch_size : int
    last_batch : {"keep", "merge", "drop"}
        What becomes of a last minibatch that is short.
    block_size, chunk_size : int
        Rows in memory, and per pass through the network.
    """

    batch_size: int
    last_batch: str
    block_size: int
    chunk_size: int

    @property
    def n_chunks(self):
        """Chunks of a whole block."""
        return -(-self.block_size // self.chunk_size)

    def minibatches(self, n_rows):
        """(minibatches of an epoch, rows that are in them)."""
        return minibatches(n_rows, self.batch_size, self.last_batch)

    def n_blocks(self, n_rows):
        """Blocks of an epoch."""
        n_steps, n_seen = self.minibatches(n_rows)
        return n_blocks(n_seen, n_steps, self.batch_size, self.block_size)


def cut_rows(architecture, data, n_rows, batch_size, last_batch="keep"):
    """The cut of epochs over ``n_rows`` rows of data."""
    n_steps, n_seen = minibatches(n_rows, batch_size, last_batch)
    largest = max(batch_size, n_seen - (n_steps - 1) * batch_size)
    block_size = training_block_size(architecture, data, largest)
    chunk_size = training_chunk_size(architecture, data, block_size)
    return Cut(batch_size, last_batch, block_size, chunk_size)


def training_block_size(architecture, data, batch_size):
    """Rows in memory: the minibatch, or equal parts of one that is too large."""
    if architecture.needs_whole_batch():
        return batch_size
    fewest, most = _TRAINING_ROWS
    limit = int(_TRAINING_FLOPS / flops_per_row(architecture.layout(), data))
    n_parts = -(-batch_size // min(max(limit, fewest), most))
    return -(-batch_size // n_parts)


def training_chunk_size(architecture, data, block_size):
    """Rows per pass: parts of a block, for threads to take, if they are worth it.

    Two parts, if those of more would be small.
    """
    if architecture.needs_whole_batch():
        return block_size
    per_row, (few, many) = flops_per_row(architecture.layout(), data), _CHUNK_ROWS
    fewest, enough = (int(flops / per_row) for flops in _CHUNK_FLOPS)
    if block_size <= max(fewest, few):
        return block_size
    most = max(fewest, min(max(enough, few), many), block_size // 4)
    n_pairs = -(-block_size // (2 * most))
    return -(-block_size // (2 * n_pairs))


def prediction_block_size(architecture, data, n_rows):
    """Rows whose activations stay in the second-level cache."""
    fewest, most = _PREDICTION_ROWS
    units = sum(architecture.sizes[1 if data.sparse else 0 :])
    fitting = _PREDICTION_BYTES // (units * data.X.dtype.itemsize)
    return min(max(fitting, fewest), most, max(n_rows, 1))
