"""Where each layer's numbers lie in the one flat vector of parameters.

First come all weight matrices, so that what is penalised is the prefix
``params[:n_weights]``, then all biases, then the scales of normalised layers.
The trained part ends there, at ``n_params``.  Behind it, in the same vector, lie the
buffers: running means and variances, which are saved and restored with the rest.
A layer's matrix is a view made on demand; views are written to (``view[:] = ...``),
never re-bound.
"""

from typing import NamedTuple

import numpy as np

from skmlp.core.intrinsics import matrix_view, vector_view
from skmlp.core.jit import jit


class Layout(NamedTuple):
    """Offsets into the flat vector.

    Attributes
    ----------
    sizes : ndarray of shape (n_layers,), int64
        Units per layer: features, hidden layers, outputs.
    widths : ndarray of shape (n_layers - 1,), int64
        Columns of each layer's matrix: its units, or twice as many if it is gated.
    weight_offsets, bias_offsets, scale_offsets, buffer_offsets : ndarray of shape \
            (n_layers - 1,), int64
        Start of each layer's weights, of shape (fan_in, width), biases and scales,
        of shape (width,), and running mean and variance, of shape (2, width). The
        last two mean something for normalised layers only.
    n_weights, n_params, n_total : int
        Length of the prefix that holds weights, of the trained part, of the whole.
    """

    sizes: np.ndarray
    widths: np.ndarray
    weight_offsets: np.ndarray
    bias_offsets: np.ndarray
    scale_offsets: np.ndarray
    buffer_offsets: np.ndarray
    n_weights: int
    n_params: int
    n_total: int


def make_layout(sizes, *, gated=(), normalized=()):
    """The layout of a network with ``sizes`` units per layer, input first.

    Parameters
    ----------
    sizes : sequence of int
    gated, normalized : sequence of bool
        For each hidden layer; by default for none.
    """
    sizes = np.asarray(sizes, dtype=np.int64)
    n_matrices = len(sizes) - 1
    double, scaled = np.zeros((2, n_matrices), dtype=np.int64)
    double[: len(gated)] = gated
    scaled[: len(normalized)] = normalized
    widths = sizes[1:] * (1 + double)
    lengths = [sizes[:-1] * widths, widths, scaled * widths, 2 * scaled * widths]
    ends = np.cumsum(np.concatenate(lengths))
    starts = np.concatenate([[0], ends[:-1]]).astype(np.int64)
    return Layout(
        sizes,
        widths,
        *(part.copy() for part in np.split(starts, 4)),
        *(int(ends[k * n_matrices - 1]) for k in (1, 3, 4)),
    )


@jit
def weights(params, layout, i):
    """The matrix (fan_in, width) of layer ``i``."""
    shape = (layout.sizes[i], layout.widths[i])
    return matrix_view(params, layout.weight_offsets[i], shape)


@jit
def bias(params, layout, i):
    """The vector (width,) of layer ``i``."""
    return vector_view(params, layout.bias_offsets[i], (layout.widths[i],))


@jit
def scale(params, layout, i):
    """The scales (width,) of layer ``i``, if it is normalised."""
    return vector_view(params, layout.scale_offsets[i], (layout.widths[i],))


@jit
def running(params, layout, i):
    """Running mean and variance (2, width) of layer ``i``, if it is normalised."""
    return matrix_view(params, layout.buffer_offsets[i], (2, layout.widths[i]))


def weight_views(params, layout):
    """List of all weight matrices, as views of ``params``."""
    shapes = zip(layout.sizes[:-1], layout.widths)
    return [
        params[start : start + fan_in * width].reshape(fan_in, width)
        for start, (fan_in, width) in zip(layout.weight_offsets, shapes)
    ]


def bias_views(params, layout):
    """List of all bias vectors, as views of ``params``."""
    return _vectors(params, layout.bias_offsets, layout.widths)


def scale_views(params, layout):
    """List of the scales of all layers, empty where a layer is not normalised."""
    return _vectors(params, layout.scale_offsets, _scaled_widths(layout))


def running_views(params, layout):
    """List of running means and variances (2, width), width 0 where there are none."""
    widths = _scaled_widths(layout)
    vectors = _vectors(params, layout.buffer_offsets, 2 * widths)
    return [vector.reshape(2, width) for vector, width in zip(vectors, widths)]


def start_normalization(params, layout):
    """Set scales to one, running means to zero and running variances to one."""
    params[layout.scale_offsets[0] : layout.n_params] = 1
    for view in running_views(params, layout):
        view[:] = [[0], [1]]


def _scaled_widths(layout):
    return np.diff(layout.scale_offsets, append=layout.n_params)


def _vectors(params, starts, lengths):
    return [params[start : start + n] for start, n in zip(starts, lengths)]
