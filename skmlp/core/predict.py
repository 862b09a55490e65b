"""The entry kernel of inference: forward in blocks of rows that stay in cache."""

from skmlp.core.intrinsics import call, vector_view
from skmlp.core.jit import jit
from skmlp.core.network import forward


@jit(entry=True)
def predict_blocks(network, params, workspace, data, rows, out, block_size):
    """out[i] <- link(raw prediction) for each of ``rows``."""
    for start in range(0, rows.size, block_size):
        n_rows = min(block_size, rows.size - start)
        block = vector_view(rows, start, (n_rows,))
        Z = forward(network, params, workspace, data, block)
        call(network.head, (Z,))
        for i in range(n_rows):
            for k in range(Z.shape[1]):
                out[start + i, k] = Z[i, k]
