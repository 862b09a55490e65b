"""The entry kernel of inference: forward in blocks of rows that stay in cache."""

import numpy as np

from skmlp.core.losses import LINK
from skmlp.core.network import forward, pack_weights
from skmlp.core.workspace import OUTPUTS, Chunk, rows_of
from skmlp.machine.intrinsics import call, refer, vector_view
from skmlp.machine.jit import jit
from skmlp.machine.team import begin, wait


@jit(entry=True)
def predict_blocks(
    network, params, workspace, data, rows, out, block_size, layer, seat
):
    """out[i] <- units of ``layer`` for each of ``rows``, which are consecutive.

    Those of the last layer are link(raw prediction). Each thread of the team takes some
    of the blocks, and has room for one in the workspace. Returns whether all blocks are
    done, which the first thread knows.
    """
    network, workspace, data = refer(network), refer(workspace), refer(data)
    layout, no_key = network.layout, np.int64(0)  # a literal would be another type
    team = begin(seat)
    if team.size == 0:
        return False
    n_packed = min(block_size, rows.size)
    pack_weights(network, params, workspace, n_packed, team)
    if not wait(team):
        return False
    for start in range(team.rank * block_size, rows.size, team.size * block_size):
        n_rows = min(block_size, rows.size - start)
        block = vector_view(rows, start, (n_rows,))
        thread = np.int64(team.rank)
        place = thread * block_size
        chunk = refer(Chunk(block, place, no_key, no_key, 0.0, n_packed, thread))
        forward(network, params, workspace, data, chunk)
        Z = rows_of(workspace, chunk, layer, OUTPUTS)
        if layer == layout.table.shape[0] - 1:
            call(LINK, network.head, (Z,))
        for i in range(n_rows):
            for k in range(Z.shape[1]):
                out[start + i, k] = Z[i, k]
    return wait(team)
