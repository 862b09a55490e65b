"""The entry kernel of inference: forward in blocks of rows that stay in cache."""

from typing import NamedTuple

import numpy as np

from skmlp.core.losses import LINK
from skmlp.core.network import forward, pack_weights
from skmlp.core.workspace import OUTPUTS, Chunk, rows_of
from skmlp.machine.intrinsics import call, refer, vector_view
from skmlp.machine.jit import jit
from skmlp.machine.team import begin, wait


class Run(NamedTuple):
    """Which blocks to predict: those of the first vector come first.

    Attributes
    ----------
    block_size : int
    layer : int
        Whose units are wanted.
    first, last : int
        From which block on, and up to which.
    """

    block_size: int
    layer: int
    first: int
    last: int


@jit(entry=True)
def predict_blocks(network, vectors, workspace, data, rows, out, run, seat):
    """out[m * n_rows + i] <- units of a layer for rows[i], by the m-th vector.

    Rows are consecutive. Units of the last layer are link(raw prediction). Each thread
    of the team takes some of the blocks, and has room for one in the workspace. Returns
    whether all blocks are done, which the first thread knows.
    """
    network, workspace, data = refer(network), refer(workspace), refer(data)
    layout, no_key = network.layout, np.int64(0)  # a literal would be another type
    team, size = begin(seat), run.block_size
    if team.size == 0:
        return False
    n_blocks, n_packed = max(-(-rows.size // size), 1), min(size, rows.size)
    thread = np.int64(team.rank)
    for m in range(run.first // n_blocks, -(-run.last // n_blocks)):
        params = vector_view(vectors, m * layout.n_total, (layout.n_total,))
        pack_weights(network, params, workspace, n_packed, team)
        if not wait(team):
            return False
        first = max(run.first - m * n_blocks, 0)
        last = min(run.last - m * n_blocks, n_blocks)
        for k in range(first + team.rank, last, team.size):
            block = vector_view(rows, k * size, (min(size, rows.size - k * size),))
            place = thread * size
            chunk = refer(Chunk(block, place, no_key, no_key, 0.0, n_packed, thread))
            forward(network, params, workspace, data, chunk)
            Z = rows_of(workspace, chunk, run.layer, OUTPUTS)
            if run.layer == layout.table.shape[0] - 1:
                call(LINK, network.head, (Z,))
            start = m * rows.size + k * size
            for i in range(Z.shape[0]):
                for j in range(Z.shape[1]):
                    out[start + i, j] = Z[i, j]
        if not wait(team):  # the next vector's panels take the place of these
            return False
    return True
