"""The entry kernel of inference: forward in blocks of rows that stay in cache."""

import numpy as np

from skmlp.core.inputs import n_dense_rows
from skmlp.core.intrinsics import borrowed_matrix, call, vector_view
from skmlp.core.jit import jit
from skmlp.core.network import forward, units


@jit
def consecutive_rows(data, rows):
    """X[rows] as it lies there; without rows if they are sparse."""
    n_rows, n_features = n_dense_rows(data, rows), data.X.shape[1]
    return borrowed_matrix(data.X, rows[0] * n_features, (n_rows, n_features))


@jit(entry=True)
def predict_blocks(network, params, workspace, data, rows, out, block_size, layer):
    """out[i] <- units of ``layer`` for each of ``rows``, which are consecutive.

    Those of the last layer are link(raw prediction).
    """
    layout, no_key = network.layout, np.int64(0)  # a literal is a type of its own
    for start in range(0, rows.size, block_size):
        n_rows = min(block_size, rows.size - start)
        block = vector_view(rows, start, (n_rows,))
        A = consecutive_rows(data, block)
        Z = forward(network, params, workspace, A, data, block, no_key, no_key)
        if layer == layout.table.shape[0] - 1:
            call(network.head, (Z,))
        else:
            Z = units(layout, workspace, n_rows, layer)
        for i in range(n_rows):
            for k in range(Z.shape[1]):
                out[start + i, k] = Z[i, k]
