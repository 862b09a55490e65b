"""The memory that a block of rows needs on its way through a network.

A block passes through in chunks, of which each thread takes some. Views are made on
demand, as those of the parameters are.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from skmlp.core.activations import ACTIVATIONS
from skmlp.core.layout import UNITS, WIDTH
from skmlp.machine.intrinsics import matrix_view, vector_view
from skmlp.machine.jit import jit
from skmlp.machine.memory import empty_arrays, empty_like, whole_lines
from skmlp.machine.products import FEW_ROWS, padded_width, scratch_size

# Columns of `Workspace.starts`. NumPy integers, since each literal would be a type of
# its own, and functions would be compiled for each.
OUTPUTS, PRODUCTS, SLOPES, DELTAS, NORMALIZED, STATISTICS = np.arange(6)
PANELS, PANELS_BACK = np.arange(6, 8)
TARGETS, WEIGHT, SCRATCH = np.arange(8, 11)
# Layer 0 also has what belongs to no layer; WHOLE is the only part of a shared array.
INPUT, NO_LAYER, WHOLE = np.zeros(3, np.int64)
_N_COLUMNS = 11
_FEW_GRADIENTS = 1 / 3  # at most this share of a block's A and dZ


class Workspace(NamedTuple):
    """Memory for one block of rows, allocated once.

    Attributes
    ----------
    memory : ndarray
        All arrays of the working type, one after the other.
    starts : ndarray of shape (n_layers, 11), int64
        Where they begin. For each layer: A; Z, which is the same unless both are kept;
        dA; dZ, which is the same unless it is wider; the normalized Z; what each
        thread's normalization keeps for its way back; the panels of W and of its
        transpose. In the first row: the targets, the weights of rows, once per output,
        and scratch for each thread. There is no A_0 for sparse rows, and none for
        prediction, which takes rows as they lie in X.
    widths : ndarray of shape (n_layers, 11), int64
        How many numbers there are for each row or thread, or in all.
    losses : ndarray of shape (block_size * n_outputs,), float64
        Each output's part of the loss.
    squares : ndarray of shape (n_stretches,), float64
        Of weights, summed over each stretch.
    gradients : ndarray of shape (2 * n_chunks, width)
        Of each chunk, or only its tail, in whole lines of the cache. There are two
        sets, of which blocks take turns: who goes ahead overwrites nothing.
    sums : ndarray of shape (2 * n_chunks, width), float64
        First in each row, of losses over the rows of the chunk.
    has_replicas : bool
        Whether each thread has parameters of its own, each chunk a whole gradient.
    """

    memory: np.ndarray
    starts: np.ndarray
    widths: np.ndarray
    losses: np.ndarray
    squares: np.ndarray
    gradients: np.ndarray
    sums: np.ndarray
    has_replicas: bool


class Chunk(NamedTuple):
    """Rows that pass through the network together.

    Attributes
    ----------
    rows : ndarray of intp, read-only
        Which.
    at : int
        Place of the first one in the workspace, among the rows of a block or, in
        prediction, of the blocks of all threads.
    first : int
        Place of the first one in the minibatch.
    key : int
        What the minibatch's masks follow from.
    dropout : float
        Factor of all dropout rates.
    n_rows_of_block : int
        How many there are in the whole block.
    thread : int
        Whose part of the memory of threads may be used.
    """

    rows: np.ndarray
    at: int
    first: int
    key: int
    dropout: float
    n_rows_of_block: int
    thread: int


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
    """Memory for blocks of up to ``block_size`` rows.

    In training a team passes one block through in chunks, of which each thread takes
    some; in prediction each of its threads has room for a block.
    """
    n_chunks = -(-block_size // (chunk_size or block_size))
    form = block_size, n_chunks, team_size, np.dtype(dtype), sparse, training
    names, forms, shared = _plan(architecture, *form)
    return Workspace(**dict(zip(names, empty_arrays(forms))), **shared)


def replica_of(workspace):
    """Workspace of another thread, which has parameters of its own."""
    shared = workspace.memory, workspace.losses, workspace.squares
    memory, losses, squares = empty_like(shared)
    return workspace._replace(memory=memory, losses=losses, squares=squares)


@lru_cache(maxsize=256)
def _plan(architecture, block_size, n_chunks, team_size, dtype, sparse, training):
    """Names, and shapes with dtypes, of a workspace's own arrays; fields that all
    workspaces of one form share."""
    form = block_size, dtype.itemsize, sparse, training
    starts, widths, size = _places(architecture, team_size, *form)
    shared, memory = {"starts": starts, "widths": widths}, ((size,), dtype)
    if not training:
        none = {name: np.empty(0) for name in ("losses", "squares")}
        none |= {"gradients": np.empty((0, 0), dtype), "sums": np.empty((0, 0))}
        return ("memory",), (memory,), {**shared, **none, "has_replicas": False}
    layout = architecture.layout()
    has_replicas = are_few_gradients(architecture, block_size, n_chunks, sparse)
    length = layout.n_params - (0 if has_replicas else layout.n_weights)
    forms = {
        "memory": memory,
        "losses": ((block_size * int(layout.sizes[-1]),), np.float64),
        "squares": ((len(layout.stretches),), np.float64),
        "gradients": ((2 * n_chunks, whole_lines(length, dtype.itemsize)), dtype),
        "sums": ((2 * n_chunks, whole_lines(1, 8)), np.float64),
    }
    shared["has_replicas"] = has_replicas
    return tuple(forms), tuple(forms.values()), shared


def _places(architecture, team_size, block_size, itemsize, sparse, training):
    """Where all arrays in a workspace's memory begin, their widths, the whole size."""
    widths = _widths(architecture, block_size, itemsize, sparse, training)
    counts = np.full(_N_COLUMNS, block_size if training else team_size * block_size)
    counts[[PANELS, PANELS_BACK]] = 1
    counts[[STATISTICS, SCRATCH]] = team_size
    lengths = whole_lines(widths * counts, itemsize)
    shared = list(_shared(architecture))
    for i, array, _ in shared:
        lengths[i, array] = 0
    ends = np.cumsum(lengths.ravel())
    starts = (ends - lengths.ravel()).reshape(lengths.shape)
    for i, array, other in shared:
        starts[i, array] = starts[i, other]
    return starts, widths, int(ends[-1])


def _shared(architecture):
    """Layers, arrays that take no memory there, and in whose place they lie."""
    names = *architecture.activations, "identity"
    for i, name in enumerate(names, start=1):
        parametric = architecture.parametric and i < len(names)
        if ACTIVATIONS[name].in_place and not parametric:
            yield i, PRODUCTS, OUTPUTS
        if not ACTIVATIONS[name].gated:
            yield i, DELTAS, SLOPES
    # The loss leaves its derivative in the place of A_L.
    yield len(names), SLOPES, OUTPUTS
    yield len(names), DELTAS, OUTPUTS


def largest_factor(architecture, n_rows, sparse):
    """Numbers of the largest factor of a gradient; sparse rows are none."""
    layout = architecture.layout()
    units = layout.sizes[1 if sparse else 0 :]
    return n_rows * int(max(units.max(), layout.widths.max()))


def are_few_gradients(architecture, block_size, n_chunks, sparse):
    """Whether each chunk has a gradient of its own, to be added up.

    Where these are few numbers beside all A and dZ, threads that each take its chunks',
    and each the whole step, have less to read from each other than if they share the
    work on one gradient and one step.
    """
    layout = architecture.layout()
    per_row = layout.sizes[1 if sparse else 0 :].sum() + layout.widths.sum()
    return (
        n_chunks > 1
        and n_chunks * layout.n_params <= _FEW_GRADIENTS * block_size * per_row
    )


def _widths(architecture, block_size, itemsize, sparse, training):
    """`Workspace.widths`, zero where there is no such array."""
    layout = architecture.layout()
    n_layers = len(layout.sizes)
    units, width = layout.table[:, UNITS], layout.table[:, WIDTH]
    widths = np.zeros((n_layers, _N_COLUMNS), np.int64)
    widths[:, OUTPUTS] = units
    widths[:, PRODUCTS] = width
    if sparse or not (training or architecture.has_input_stages):
        widths[0, OUTPUTS] = 0
    for i in np.flatnonzero((width > 1) & (block_size >= FEW_ROWS)):
        if i > 1 or not sparse:
            widths[i, PANELS] = units[i - 1] * padded_width(width[i], itemsize)
        if training and (i > 1 or architecture.trains_input):
            widths[i, PANELS_BACK] = width[i] * padded_width(units[i - 1], itemsize)
    for i, normalization in enumerate(architecture.normalizations, start=1):
        if normalization is not None:
            widths[i, NORMALIZED] = width[i]
            # Per unit or per row: a thread needs one chunk's at a time.
            length = max(2 * int(width[i]), block_size)
            widths[i, STATISTICS] = whole_lines(length, itemsize)
    if training:
        widths[1:, SLOPES], widths[1:, DELTAS] = units[1:], width[1:]
        if architecture.trains_input:
            widths[0, SLOPES] = units[0]
        if architecture.scaled_input:
            widths[0, NORMALIZED] = units[0]
        widths[NO_LAYER, [TARGETS, WEIGHT]] = units[-1]
        largest = largest_factor(architecture, block_size, sparse)
        widths[NO_LAYER, SCRATCH] = scratch_size(largest, itemsize)
    return widths


@jit(view=True)
def rows_of(workspace, chunk, i, array):
    """The chunk's part of one of layer i's arrays of rows."""
    width = workspace.widths[i, array]
    start = workspace.starts[i, array] + chunk.at * width
    return matrix_view(workspace.memory, start, (chunk.rows.size, width))


@jit(view=True)
def part_of(workspace, i, array, k):
    """The k-th part of one of layer i's arrays of threads, or all of it."""
    width = workspace.widths[i, array]
    start = workspace.starts[i, array] + k * width
    return vector_view(workspace.memory, start, (width,))


@jit
def start_of_gradient(workspace, layout):
    """Where in the flat vector the gradient of a chunk begins."""
    return np.int64(0) if workspace.has_replicas else layout.n_weights


@jit(view=True)
def gradient_of(workspace, layout, k):
    """The k-th gradient of a chunk, or its tail."""
    length = layout.n_params - start_of_gradient(workspace, layout)
    start = k * workspace.gradients.shape[1]
    return vector_view(workspace.gradients, start, (length,))
