"""Predictions, in runs short enough to interrupt."""

import numpy as np

from skmlp.core.inputs import read_only
from skmlp.core.network import make_workspace, prediction_network
from skmlp.core.predict import predict_blocks

_WORKSPACE_BYTES = 2**19
_BLOCK_ROWS = 16, 512
_RUN_FLOPS = 1e9


def predict(layout, params, data, *, activation, link):
    """link(raw prediction) of all rows of ``data``.

    Returns
    -------
    ndarray of shape (n_rows, n_outputs), of the dtype of ``params``
    """
    sparse = data.indptr.size > 0
    n_rows = data.indptr.size - 1 if sparse else data.X.shape[0]
    block_size = _block_size(layout, params.dtype, n_rows, sparse)
    network = prediction_network(layout, activation, link, params.dtype)
    workspace = make_workspace(
        layout, block_size, params.dtype, sparse=sparse, training=False
    )
    out = np.empty((n_rows, int(layout.sizes[-1])), params.dtype)
    per_run = max(int(_RUN_FLOPS / (2 * layout.n_weights)), block_size)
    for start in range(0, n_rows, per_run):
        rows = read_only(np.arange(start, min(start + per_run, n_rows)))
        part = out[start : start + per_run]
        predict_blocks(network, params, workspace, data, rows, part, block_size)
    return out


def _block_size(layout, dtype, n_rows, sparse):
    """As many rows as keep all activations in the second-level cache."""
    row_bytes = int(layout.sizes[1 if sparse else 0 :].sum()) * dtype.itemsize
    fewest, most = _BLOCK_ROWS
    return min(max(_WORKSPACE_BYTES // row_bytes, fewest), most, n_rows)
