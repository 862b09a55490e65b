"""Where each layer's numbers lie in the one flat vector of parameters.

First come all weight matrices, so that what is penalized is the prefix
``params[:n_weights]``, then all biases, then the scales of normalized layers.
The trained part ends there, at ``n_params``.  Behind it, in the same vector, lie the
buffers: running means and variances, which are saved and restored with the rest.
A layer's matrix is a view made on demand; views are written to (``view[:] = ...``),
never re-bound.
"""

from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

import numpy as np

from skmlp.machine.intrinsics import matrix_view, vector_view
from skmlp.machine.jit import jit
from skmlp.machine.team import share

# Columns of `Layout.table`.
UNITS, WIDTH, WEIGHTS, _BIAS, _SCALE, _RUNNING = range(6)
# Columns of `Layout.stretches`.
START, LENGTH, DECAYS, GROUP = range(4)
# Short enough for a precise sum of squares in the working type.
_LONGEST_STRETCH = 1024


class Layout(NamedTuple):
    """Sizes of the layers, and offsets into the flat vector.

    Attributes
    ----------
    table : ndarray of shape (n_layers, 6), int64
        One row per layer, the input first: its units; the columns of its matrix, which
        are as many, or twice as many if it is gated; then where in the vector its
        weights (fan_in, width), biases (width,), scales (width,) and running mean and
        variance (2, width) begin. The last two are for normalized layers.
    stretches : ndarray of shape (n_stretches, 4), int64
        Pieces of the trained part that an optimizer takes one after another: where each
        begins, its length, whether the penalty shrinks it, and the number of its
        learning rate.
    n_weights, n_params, n_total : int
        Length of the prefix that holds weights, of the trained part, of the whole.
    """

    table: np.ndarray
    stretches: np.ndarray
    n_weights: int
    n_params: int
    n_total: int

    @property
    def sizes(self):
        """Units per layer."""
        return self.table[:, UNITS]

    @property
    def widths(self):
        """Columns of each matrix."""
        return self.table[1:, WIDTH]


def make_layout(sizes, *, gated=(), normalized=(), groups=()):
    """The layout of a network with ``sizes`` units per layer, input first.

    Parameters
    ----------
    sizes : sequence of int
    gated, normalized : sequence of bool
        For each hidden layer; by default for none.
    groups : sequence of int
        Number of the learning rate of each layer, output included; by default 0.
    """
    sizes = np.asarray(sizes, dtype=np.int64)
    n_matrices = len(sizes) - 1
    double, scaled = np.zeros((2, n_matrices), dtype=np.int64)
    double[: len(gated)] = gated
    scaled[: len(normalized)] = normalized
    widths = sizes[1:] * (1 + double)
    lengths = np.stack(
        [sizes[:-1] * widths, widths, scaled * widths, 2 * scaled * widths]
    )
    ends = np.cumsum(lengths.ravel()).reshape(lengths.shape)
    table = np.zeros((len(sizes), 6), dtype=np.int64)
    table[:, UNITS] = sizes
    table[1:, WIDTH] = widths
    table[1:, WEIGHTS:] = (ends - lengths).T
    n_weights, n_params, n_total = (int(ends[k, -1]) for k in (0, 2, 3))
    stretches = _stretches(ends[:3], n_weights, groups or [0] * n_matrices)
    return Layout(table, stretches, n_weights, n_params, n_total)


def _stretches(ends, n_weights, groups):
    """Cut where the penalty ends, where the group changes, and what is too long."""
    segments = [
        (int(end), int(end <= n_weights), int(group))
        for row in ends
        for end, group in zip(row, groups)
    ]
    stretches, start = [], 0
    for (decays, group), alike in groupby(segments, itemgetter(1, 2)):
        *_, (end, _, _) = alike
        for first in range(start, end, _LONGEST_STRETCH):
            length = min(_LONGEST_STRETCH, end - first)
            stretches.append((first, length, decays, group))
        start = end
    return np.array(stretches, np.int64)


@jit(view=True)
def weights(params, layout, i):
    """The matrix (fan_in, width) of layer ``i``, which is at least 1."""
    shape = (layout.table[i - 1, UNITS], layout.table[i, WIDTH])
    return matrix_view(params, layout.table[i, WEIGHTS], shape)


@jit
def rows_of_share(layout, i, lowest, rank, size, step):
    """First and last of a thread's rows of W_i, which are some blocks of ``step`` rows.

    Each thread has an equal share of all weights from layer ``lowest`` on, and the
    blocks that begin there. Where it makes panels, computes the gradient and takes the
    step it then has little to read from others.
    """
    n_rows, start = layout.table[i - 1, UNITS], layout.table[i, WEIGHTS]
    block, origin = step * layout.table[i, WIDTH], layout.table[lowest, WEIGHTS]
    first, last = share(layout.n_weights - origin, rank, size)
    first = -((start - origin - first) // block) * step
    last = -((start - origin - last) // block) * step
    return min(max(first, 0), n_rows), min(max(last, 0), n_rows)


@jit(view=True)
def tail(params, layout):
    """The trained part that is not weights: biases and scales."""
    length = layout.n_params - layout.n_weights
    return vector_view(params, layout.n_weights, (length,))


@jit(view=True)
def bias(tail, layout, i):
    """The vector (width,) of layer ``i``."""
    start = layout.table[i, _BIAS] - layout.n_weights
    return vector_view(tail, start, (layout.table[i, WIDTH],))


@jit(view=True)
def scale(tail, layout, i):
    """The scales (width,) of layer ``i``, if it is normalized."""
    start = layout.table[i, _SCALE] - layout.n_weights
    return vector_view(tail, start, (layout.table[i, WIDTH],))


@jit(view=True)
def running(params, layout, i):
    """Running mean and variance (2, width) of layer ``i``, if it is normalized."""
    return matrix_view(params, layout.table[i, _RUNNING], (2, layout.table[i, WIDTH]))


def weight_views(params, layout):
    """List of all weight matrices, as views of ``params``."""
    shapes = zip(layout.sizes[:-1], layout.widths)
    return [
        params[start : start + fan_in * width].reshape(fan_in, width)
        for start, (fan_in, width) in zip(layout.table[1:, WEIGHTS], shapes)
    ]


def bias_views(params, layout):
    """List of all bias vectors, as views of ``params``."""
    return _vectors(params, layout.table[1:, _BIAS], layout.widths)


def scale_views(params, layout):
    """List of the scales of all layers, empty where a layer is not normalized."""
    return _vectors(params, layout.table[1:, _SCALE], _scaled_widths(layout))


def running_views(params, layout):
    """List of running means and variances (2, width), width 0 where there are none."""
    widths = _scaled_widths(layout)
    vectors = _vectors(params, layout.table[1:, _RUNNING], 2 * widths)
    return [vector.reshape(2, width) for vector, width in zip(vectors, widths)]


def start_normalization(params, layout):
    """Set scales to one, running means to zero and running variances to one."""
    params[layout.table[1, _SCALE] : layout.n_params] = 1
    for view in running_views(params, layout):
        view[:] = [[0], [1]]


def _scaled_widths(layout):
    return np.diff(layout.table[1:, _SCALE], append=layout.n_params)


def _vectors(params, starts, lengths):
    return [params[start : start + n] for start, n in zip(starts, lengths)]
