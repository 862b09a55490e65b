"""Predictions, in runs short enough to interrupt."""

import numpy as np

from skmlp.core.inputs import read_only
from skmlp.core.network import make_workspace, prediction_network
from skmlp.core.predict import predict_blocks
from skmlp.training.blocks import prediction_block_size

_RUN_FLOPS = 1e9


def predict(architecture, params, data, *, link="identity", layer=None):
    """link(raw prediction) of all rows of ``data``, or the units of a hidden layer.

    Parameters
    ----------
    architecture : Architecture
    params : ndarray of shape (n_total,)
    data : Data
    link : str, default="identity"
    layer : int, default=None
        Which units to return, counted from the input, layer 0; by default the last.

    Returns
    -------
    ndarray of shape (n_rows, n_units), of the dtype of ``params``
    """
    layout = architecture.layout()
    n_rows = data.n_rows
    block_size = prediction_block_size(layout, data, n_rows)
    network = prediction_network(architecture, link, params.dtype)
    workspace = make_workspace(
        architecture, block_size, params.dtype, sparse=data.sparse, training=False
    )
    layer = len(layout.sizes) - 1 if layer is None else layer
    out = np.empty((n_rows, int(layout.sizes[layer])), params.dtype)
    per_run = max(int(_RUN_FLOPS / (2 * layout.n_weights)), block_size)
    for start in range(0, n_rows, per_run):
        rows = read_only(np.arange(start, min(start + per_run, n_rows)))
        part = out[start : start + per_run]
        predict_blocks(network, params, workspace, data, rows, part, block_size, layer)
    return out
