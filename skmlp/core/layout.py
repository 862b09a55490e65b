"""Where each layer's numbers lie in the one flat vector of parameters.

First come all weight matrices, so that what is penalized is the prefix
``params[:n_weights]``, then all biases, scales, mixes of parametric activations, and
the input's embedding.  The trained part ends there, at ``n_params``.  Behind it, in the
same vector, lie the buffers: running means and variances and the input's knots, which
are saved and restored with the rest.
A layer's matrix is a view made on demand; views are written to (``view[:] = ...``),
never re-bound.
"""

from itertools import groupby, pairwise
from typing import NamedTuple

import numpy as np

from skmlp.core.columns import NO_COLUMNS
from skmlp.machine.intrinsics import matrix_view, vector_view
from skmlp.machine.jit import jit
from skmlp.machine.team import share

# Columns of `Layout.table`.
UNITS, WIDTH, WEIGHTS, _BIAS, _SCALE, _MIX, _EMBEDDING, _RUNNING, _KNOTS = range(9)
# Columns of `Layout.stretches`.
START, LENGTH, DECAYS, GROUP = range(4)
# Short enough for a precise sum of squares in the working type.
_LONGEST_STRETCH = 1024


class Layout(NamedTuple):
    """Sizes of the layers, and offsets into the flat vector.

    Attributes
    ----------
    table : ndarray of shape (n_layers, 9), int64
        One row per layer, the input first: its units; the columns of its matrix, which
        are as many, or twice as many if it is gated; then where in the vector these
        begin: its weights (fan_in, width); biases (width,); scales (width,) of a
        normalized layer, or (units,) of a scaled input; mixes (units,) of a parametric
        activation; what is trained of the input's embedding; running mean and variance
        (2, width) of a normalized layer; knots of the input.
    columns : ndarray of shape (n_columns, 7), int64
        What each column of X becomes in the input layer, or without rows if X is the
        input as it is; see ``columns.py``.
    stretches : ndarray of shape (n_stretches, 4), int64
        Pieces of the trained part that an optimizer takes one after another: where each
        begins, its length, whether the penalty shrinks it, and the number of its
        learning rate.
    n_columns, n_waves : int
        Columns of X, and waves among the units of the input.
    n_weights, n_params, n_total : int
        Length of the prefix that holds weights, of the trained part, of the whole.
    """

    table: np.ndarray
    columns: np.ndarray
    stretches: np.ndarray
    n_columns: int
    n_waves: int
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


class Segment(NamedTuple):
    """Trained numbers that may have a learning rate of their own.

    Attributes
    ----------
    kind : str
        "weights", "biases", "scales", "mixes", or of the input "front", "front_waves",
        "waves", "tables".
    layer, length : int
    """

    kind: str
    layer: int
    length: int


def make_layout(
    sizes,
    *,
    gated=(),
    normalized=(),
    parametric=(),
    columns=NO_COLUMNS,
    scaled_input=False,
    by_segment=False,
):
    """The layout of a network with ``sizes`` units per layer, input first.

    Parameters
    ----------
    sizes : sequence of int
    gated, normalized, parametric : sequence of bool
        For each hidden layer; by default for none.
    columns : Columns, default=NO_COLUMNS
        What columns of X become; by default they are the input.
    scaled_input : bool, default=False
        Whether the input has a trained scale.
    by_segment : bool, default=False
        Whether each segment (see `segments_of`) has a learning rate of its own.
    """
    sizes = np.asarray(sizes, dtype=np.int64)
    double, scaled, mixed = np.zeros((3, len(sizes)), dtype=np.int64)
    for flags, given in (double, gated), (scaled, normalized), (mixed, parametric):
        flags[1 : len(given) + 1] = given
    widths = sizes * (1 + double)
    widths[0] = 0
    scales = scaled * widths
    scales[0] = sizes[0] * scaled_input
    lengths = np.zeros((7, len(sizes)), dtype=np.int64)
    lengths[0, 1:] = sizes[:-1] * widths[1:]
    lengths[1:4] = widths, scales, mixed * sizes
    lengths[4, 0], lengths[6, 0] = columns.n_trained, columns.n_knots
    lengths[5] = 2 * scaled * widths
    ends = np.cumsum(lengths.ravel()).reshape(lengths.shape)
    table = np.zeros((len(sizes), 9), dtype=np.int64)
    table[:, UNITS], table[:, WIDTH] = sizes, widths
    table[:, WEIGHTS:] = (ends - lengths).T
    n_weights, n_params, n_total = (int(ends[k, -1]) for k in (0, 4, 6))
    segments = _segments(lengths[:5], columns.n_waves)
    return Layout(
        table,
        columns.table,
        _stretches(segments, by_segment),
        len(columns.table) or int(sizes[0]),
        columns.n_waves,
        n_weights,
        n_params,
        n_total,
    )


def segments_of(layout):
    """The trained part, segment by segment, in the order of the flat vector."""
    starts = layout.table[:, WEIGHTS:_RUNNING].T
    ends = np.append(starts.ravel()[1:], layout.n_params)
    return _segments(ends.reshape(starts.shape) - starts, layout.n_waves)


def _segments(lengths, n_waves):
    """Segments of given lengths, for each kind and layer, but for empty ones."""
    segments = [
        Segment(kind, i, int(length))
        for kind, row in zip(("weights", "biases", "scales", "mixes"), lengths)
        for i, length in enumerate(row)
        if kind != "scales" or i > 0
    ]
    n_front, at = int(lengths[2, 0]), 2 * lengths.shape[1]
    segments[at:at] = [
        Segment("front", 0, max(n_front - n_waves, 0)),
        Segment("front_waves", 0, min(n_front, n_waves)),
    ]
    segments += [
        Segment("waves", 0, 2 * n_waves),
        Segment("tables", 0, int(lengths[4, 0]) - 2 * n_waves),
    ]
    return [segment for segment in segments if segment.length]


def _stretches(segments, by_segment):
    """Cut where the penalty ends, where the group changes, and what is too long."""
    stretches, start = [], 0
    kinds = [
        (int(segment.kind == "weights"), number if by_segment else 0)
        for number, segment in enumerate(segments)
    ]
    for kind, alike in groupby(zip(kinds, segments), lambda pair: pair[0]):
        end = start + sum(segment.length for _, segment in alike)
        for first in range(start, end, _LONGEST_STRETCH):
            length = min(_LONGEST_STRETCH, end - first)
            stretches.append((first, length, *kind))
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
    """The trained part that is not weights."""
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
def front_scale(tail, layout):
    """The scales (units,) of the input, if it is scaled."""
    start = layout.table[0, _SCALE] - layout.n_weights
    return vector_view(tail, start, (layout.table[0, UNITS],))


@jit(view=True)
def mix(tail, layout, i):
    """The mixes (units,) of layer ``i``, if its activation is parametric."""
    start = layout.table[i, _MIX] - layout.n_weights
    return vector_view(tail, start, (layout.table[i, UNITS],))


@jit(view=True)
def embedding(tail, layout):
    """All that is trained of the input's columns."""
    start = layout.table[0, _EMBEDDING] - layout.n_weights
    return vector_view(tail, start, (layout.n_params - layout.table[0, _EMBEDDING],))


@jit(view=True)
def knots(params, layout):
    """Where pieces of the input's columns end."""
    start = layout.table[0, _KNOTS]
    return vector_view(params, start, (layout.n_total - start,))


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


def front_scale_view(params, layout):
    """The scales of the input, as a view of ``params``; empty if it has none."""
    return params[layout.table[0, _SCALE] : layout.table[1, _SCALE]]


def without_front_scale(params, layout):
    """The vector of the same network with its first matrix scaled, not its input."""
    first, last = layout.table[:2, _SCALE]
    folded = np.delete(params, slice(first, last))
    weight_views(folded, layout)[0][:] *= params[first:last, np.newaxis]
    return folded


def mix_views(params, layout):
    """List of the mixes of all layers, empty where the activation has none."""
    starts = np.append(layout.table[1:, _MIX], layout.table[0, _EMBEDDING])
    return [params[start:stop] for start, stop in pairwise(starts)]


def embedding_view(params, layout):
    """All that is trained of the input's columns, as a view of ``params``."""
    return params[layout.table[0, _EMBEDDING] : layout.n_params]


def knots_view(params, layout):
    """Where pieces of the input's columns end, as a view of ``params``."""
    return params[layout.table[0, _KNOTS] :]


def start_scales(params, layout):
    """Set all scales and mixes to one, running means to zero and variances to one."""
    front_scale_view(params, layout)[:] = 1
    for view in scale_views(params, layout) + mix_views(params, layout):
        view[:] = 1
    for view in running_views(params, layout):
        view[:] = [[0], [1]]


def _scaled_widths(layout):
    return np.diff(layout.table[1:, _SCALE], append=layout.table[0, _MIX])


def _vectors(params, starts, lengths):
    return [params[start : start + n] for start, n in zip(starts, lengths)]
