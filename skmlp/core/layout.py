"""Where each layer's numbers lie in the one flat vector of parameters.

All weight matrices come first, then all biases, so that what is penalised is the
prefix ``params[:n_weights]``.  A layer's matrix is a view made on demand; views
are written to (``view[:] = ...``), never re-bound.
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
    weight_offsets, bias_offsets : ndarray of shape (n_layers - 1,), int64
        Start of each layer's weights, of shape (fan_in, fan_out), and biases.
    n_weights, n_params : int
        Length of the prefix that holds weights, and of the whole.
    """

    sizes: np.ndarray
    weight_offsets: np.ndarray
    bias_offsets: np.ndarray
    n_weights: int
    n_params: int


def make_layout(sizes):
    """The layout of a network with ``sizes`` units per layer, input first."""
    sizes = np.asarray(sizes, dtype=np.int64)
    ends = np.cumsum(np.concatenate([sizes[:-1] * sizes[1:], sizes[1:]]))
    starts = np.concatenate([[0], ends[:-1]]).astype(np.int64)
    n_matrices = len(sizes) - 1
    return Layout(
        sizes,
        starts[:n_matrices].copy(),
        starts[n_matrices:].copy(),
        int(ends[n_matrices - 1]),
        int(ends[-1]),
    )


@jit
def weights(params, layout, i):
    """The matrix (fan_in, fan_out) of layer ``i``."""
    shape = (layout.sizes[i], layout.sizes[i + 1])
    return matrix_view(params, layout.weight_offsets[i], shape)


@jit
def bias(params, layout, i):
    """The vector (fan_out,) of layer ``i``."""
    return vector_view(params, layout.bias_offsets[i], (layout.sizes[i + 1],))


def weight_views(params, layout):
    """List of all weight matrices, as views of ``params``."""
    shapes = zip(layout.sizes[:-1], layout.sizes[1:])
    return [
        params[start : start + fan_in * fan_out].reshape(fan_in, fan_out)
        for start, (fan_in, fan_out) in zip(layout.weight_offsets, shapes)
    ]


def bias_views(params, layout):
    """List of all bias vectors, as views of ``params``."""
    return [
        params[start : start + fan_out]
        for start, fan_out in zip(layout.bias_offsets, layout.sizes[1:])
    ]
