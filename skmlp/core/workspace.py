"""The memory that a block of rows needs on its way through a network.

A block passes through in chunks, of which each thread takes some. Views are made on
demand, as those of the parameters are.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from skmlp.core.activations import ACTIVATIONS
from skmlp.core.intrinsics import matrix_view, vector_view
from skmlp.core.jit import jit
from skmlp.core.layout import UNITS, WIDTH
from skmlp.core.optimizers import n_stretches
from skmlp.core.products import is_small, padded_width, scratch_size

# Columns of `Workspace.starts`: of each layer, and of its last row.
_UNITS, _PRODUCTS, _SLOPES, _DELTAS, _NORMALIZED, _STATISTICS = range(6)
_PANELS, _PANELS_BACK = 6, 7
_TARGETS, _WEIGHT, _TAILS, _SCRATCH = range(4)
_ALIGNED = 16  # numbers: one or two lines of the cache


class Workspace(NamedTuple):
    """Memory for one block of rows, allocated once.

    Attributes
    ----------
    memory : ndarray
        All arrays of the working type, one after the other.
    starts : ndarray of shape (n_layers + 1, 8), int64
        Where they begin. For each layer: A; Z, which is the same unless both are kept;
        dA; dZ, which is the same unless it is wider; the normalised Z; what
        normalisation keeps for its way back; the panels of W and of its transpose, or
        the latter itself for small products. In the last row: the targets, the weights
        of rows, once per output, the gradient's tail for each chunk, and scratch for
        each thread. There is no A_0 for sparse rows, and none for prediction, which
        takes rows as they lie in X.
    losses : ndarray of shape (block_size * n_outputs,), float64
        Each output's part of the loss.
    sums : ndarray, float64
        Of losses over the rows of each chunk, then of penalties over each stretch.
    """

    memory: np.ndarray
    starts: np.ndarray
    losses: np.ndarray
    sums: np.ndarray


class Chunk(NamedTuple):
    """Rows that pass through the network together.

    Attributes
    ----------
    rows : ndarray of intp, read-only
        Which.
    at : int
        Place of the first one in the workspace.
    first : int
        Place of the first one in the minibatch.
    key : int
        What the minibatch's masks follow from.
    n_rows : int
        How many there are in the whole block.
    """

    rows: np.ndarray
    at: int
    first: int
    key: int
    n_rows: int


def make_workspace(
    architecture,
    block_size,
    dtype,
    *,
    sparse,
    training,
    chunk_size=None,
    team_size=1,
):
    """Memory for blocks of up to ``block_size`` rows, each in chunks."""
    layout, dtype = architecture.layout(), np.dtype(dtype)
    n_chunks = -(-block_size // (chunk_size or block_size))
    form = dtype.itemsize, sparse, training
    starts, size = _starts(architecture, block_size, n_chunks, team_size, *form)
    n_losses = block_size * int(layout.sizes[-1]) if training else 0
    n_sums = n_chunks + n_stretches(layout) if training else 0
    memory = empty_aligned(size, dtype)
    return Workspace(memory, starts, np.empty(n_losses), np.empty(n_sums))


def empty_aligned(size, dtype):
    """An array that begins where a line of the cache does."""
    memory = np.empty(size + _ALIGNED, dtype)
    skipped = -memory.ctypes.data % (_ALIGNED * dtype.itemsize) // dtype.itemsize
    return memory[skipped : skipped + size]


@lru_cache(maxsize=256)
def _starts(architecture, *form):
    """Where all arrays in a workspace's memory begin, and its size; shared."""
    lengths = _lengths(architecture, *form)
    ends = np.cumsum(lengths.ravel())
    starts = (ends - lengths.ravel()).reshape(lengths.shape)
    for i, name in enumerate((*architecture.activations, "identity"), start=1):
        if ACTIVATIONS[name].in_place:
            starts[i, _PRODUCTS] = starts[i, _UNITS]
        if not ACTIVATIONS[name].gated:
            starts[i, _DELTAS] = starts[i, _SLOPES]
    # The loss leaves its derivative in the place of A_L.
    starts[-2, [_SLOPES, _DELTAS]] = starts[-2, _UNITS]
    return starts, int(ends[-1])


def _lengths(
    architecture,
    block_size,
    n_chunks,
    team_size,
    itemsize,
    sparse,
    training,
):
    """Of these arrays, in the order of their starts."""
    layout = architecture.layout()
    n_layers = len(layout.sizes)
    units, widths = layout.table[:, UNITS], layout.table[:, WIDTH]
    lengths = np.zeros((n_layers + 1, 8), np.int64)
    lengths[:n_layers, _UNITS] = block_size * units
    if sparse or not training:
        lengths[0, _UNITS] = 0
    dense = range(2 if sparse else 1, n_layers)
    large = [i for i in dense if not is_small(block_size, units[i - 1], widths[i])]
    for i in large:
        lengths[i, _PANELS] = units[i - 1] * padded_width(widths[i], itemsize)
    layers = zip(architecture.activations, architecture.normalizations)
    for i, (activation, normalization) in enumerate(layers, start=1):
        if not ACTIVATIONS[activation].in_place:
            lengths[i, _PRODUCTS] = block_size * widths[i]
        if normalization is not None:
            lengths[i, _NORMALIZED] = block_size * widths[i]
            lengths[i, _STATISTICS] = 2 * widths[i] + block_size
    if training:
        gated = widths[1:-1] != units[1:-1]
        lengths[1 : n_layers - 1, _SLOPES] = block_size * units[1:-1]
        lengths[1 : n_layers - 1, _DELTAS] = block_size * widths[1:-1] * gated
        for i in range(2, n_layers):
            columns = padded_width(units[i - 1], itemsize)
            lengths[i, _PANELS_BACK] = widths[i] * columns
        scratch = scratch_size(itemsize) if large else 0
        lengths[-1, :4] = (
            block_size * units[-1],
            block_size * units[-1],
            n_chunks * (layout.n_params - layout.n_weights),
            team_size * scratch,
        )
    return -(-lengths // _ALIGNED) * _ALIGNED


@jit(view=True)
def _rows_of(workspace, start, chunk, width):
    """The chunk's part of an array of that many columns."""
    shape = (chunk.rows.size, width)
    return matrix_view(workspace.memory, start + chunk.at * width, shape)


@jit(view=True)
def units(layout, workspace, chunk, i):
    """A_i as an array of shape (n_rows, units of layer i)."""
    width = layout.table[i, UNITS]
    return _rows_of(workspace, workspace.starts[i, _UNITS], chunk, width)


@jit(view=True)
def products(layout, workspace, chunk, i):
    """Z_i as an array of shape (n_rows, width of layer i)."""
    width = layout.table[i, WIDTH]
    return _rows_of(workspace, workspace.starts[i, _PRODUCTS], chunk, width)


@jit(view=True)
def deltas(layout, workspace, chunk, i):
    """dZ_i as an array of shape (n_rows, width of layer i)."""
    width = layout.table[i, WIDTH]
    return _rows_of(workspace, workspace.starts[i, _DELTAS], chunk, width)


@jit(view=True)
def slopes(layout, workspace, chunk, i):
    """dA_i as an array of shape (n_rows, units of layer i)."""
    width = layout.table[i, UNITS]
    return _rows_of(workspace, workspace.starts[i, _SLOPES], chunk, width)


@jit(view=True)
def normalized(layout, workspace, chunk, i):
    """Z_i without its scale, as an array of shape (n_rows, width of layer i)."""
    width = layout.table[i, WIDTH]
    return _rows_of(workspace, workspace.starts[i, _NORMALIZED], chunk, width)


@jit(view=True)
def statistics_of(layout, workspace, chunk, i):
    """Memory of the normalisation of layer i."""
    shape = (max(chunk.rows.size, 2 * layout.table[i, WIDTH]),)
    start = workspace.starts[i, _STATISTICS] + chunk.at
    return vector_view(workspace.memory, start, shape)


@jit(view=True)
def panels(layout, workspace, i):
    """The panels of W_i."""
    start, stop = workspace.starts[i, _PANELS], workspace.starts[i, _PANELS_BACK]
    return vector_view(workspace.memory, start, (stop - start,))


@jit(view=True)
def panels_back(layout, workspace, i):
    """The panels of W_i^T, or the matrix itself."""
    start, stop = workspace.starts[i, _PANELS_BACK], workspace.starts[i + 1, _UNITS]
    return vector_view(workspace.memory, start, (stop - start,))


@jit(view=True)
def targets(layout, workspace, chunk, n_targets):
    """Y of the chunk's rows."""
    start = workspace.starts[layout.table.shape[0], _TARGETS]
    return _rows_of(workspace, start, chunk, n_targets)


@jit(view=True)
def weight_matrix(layout, workspace, chunk):
    """Weights of rows, of shape (n_rows, n_outputs)."""
    n_layers = layout.table.shape[0]
    width = layout.table[n_layers - 1, UNITS]
    return _rows_of(workspace, workspace.starts[n_layers, _WEIGHT], chunk, width)


@jit(view=True)
def chunk_tail(layout, workspace, i_chunk):
    """A chunk's part of the gradient's tail."""
    length = layout.n_params - layout.n_weights
    start = workspace.starts[layout.table.shape[0], _TAILS] + i_chunk * length
    return vector_view(workspace.memory, start, (length,))


@jit(view=True)
def scratch_of(layout, workspace, team):
    """What a thread uses for weight gradients."""
    first = workspace.starts[layout.table.shape[0], _SCRATCH]
    length = (workspace.memory.size - first) // team.size
    return vector_view(workspace.memory, first + team.rank * length, (length,))
