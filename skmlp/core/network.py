"""The network: forward and backward pass.

With A_0 = X and layers l = 1..L of weights W_l and biases b_l,

    Z_l = N_l(A_{l-1} W_l) + b_l,   A_l = D_l(f_l(Z_l)),   A_L: raw prediction,
    dA_L = d loss / d A_L,
    dZ_l = dA_l times f_l'(Z_l),   db_l = sum of dZ_l over rows,
    dW_l = A_{l-1}^T dZ_l,   dA_{l-1} = dZ_l W_l^T,

where f_L is the identity, and normalization N_l and dropout D_l are, unless asked for.
A_0 may also be an embedding of X, with a trained scale. Each of these steps is a stage;
what is left to this file is their order, and what works on all layers at once.
"""

from functools import lru_cache

import numpy as np

from skmlp.core.inputs import CSR_GRADIENT, csr_addresses, gather
from skmlp.core.layout import rows_of_share, weights
from skmlp.core.losses import LOSS, link_address, loss_address, loss_hyper, weigh
from skmlp.core.program import (
    BACKWARD_PASS,
    FORWARD_PASS,
    STAGE,
    STAGE_BACK,
    Network,
)
from skmlp.core.stages import make_program
from skmlp.core.workspace import (
    DELTAS,
    NO_LAYER,
    OUTPUTS,
    PANELS,
    PANELS_BACK,
    SCRATCH,
    TARGETS,
    WEIGHT,
    WHOLE,
    largest_factor,
    part_of,
    rows_of,
)
from skmlp.machine.intrinsics import call, matrix_view, vector_view
from skmlp.machine.jit import jit
from skmlp.machine.products import (
    FEW_ROWS,
    PRODUCT_GRADIENT,
    is_copied,
    pack,
    pack_transposed,
    product_kernels,
)
from skmlp.machine.team import share
from skmlp.machine.tiles import TILE_ROWS
from skmlp.machine.vectors import VECTOR_BYTES


def training_network(architecture, loss, dtype, hyper=None, *, n_rows, sparse):
    """A network that ends in a loss, whose parameters ``hyper`` holds by name.

    It takes up to ``n_rows`` rows at once.
    """
    head = loss_address(loss, dtype), loss_hyper(loss, hyper or {})
    back = architecture.trains_input or bool(
        (architecture.layout().widths[1:] > 1).any()
    )
    largest = largest_factor(architecture, n_rows, sparse)
    copies = is_copied(largest, np.dtype(dtype).itemsize)
    products = product_kernels(dtype, back=back, copies=copies)
    return _network(architecture, dtype, *head, products, sparse=sparse, training=True)


@lru_cache(maxsize=256)
def prediction_network(architecture, link, dtype, *, sparse):
    """A network that ends in a link; shared between calls."""
    head = link_address(link, dtype), np.empty(0)
    products = product_kernels(dtype, back=False, copies=False)
    return _network(architecture, dtype, *head, products, sparse=sparse, training=False)


def _network(architecture, dtype, head, head_hyper, products, *, sparse, training):
    program, numbers = make_program(
        architecture, dtype, sparse=sparse, training=training
    )
    return Network(
        architecture.layout(),
        program,
        numbers,
        csr_addresses(dtype)[1] if sparse else 0,
        head,
        head_hyper,
        products,
    )


@jit
def lowest_dense(network):
    """The first layer whose input is not sparse."""
    return 2 if network.csr_gradient != 0 else 1


@jit
def pack_weights(network, params, workspace, n_rows, team):
    """Copy a thread's share of the weights into panels, for blocks of n_rows rows."""
    if n_rows < FEW_ROWS:
        return
    layout, lowest = network.layout, lowest_dense(network)
    for i in range(lowest, layout.table.shape[0]):
        W = weights(params, layout, i)
        lanes = VECTOR_BYTES // W.itemsize
        first, last = rows_of_share(layout, i, lowest, team.rank, team.size, lanes)
        there = part_of(workspace, i, PANELS, WHOLE)
        if there.size > 0:
            pack(there, W, network.products.panel, first, last)
        there = part_of(workspace, i, PANELS_BACK, WHOLE)
        if there.size > 0:
            pack_transposed(there, W, network.products.panel_back, first, last)


@jit
def forward(network, params, workspace, data, chunk):
    """Fill the workspace with A_0, A_1, ..., A_L, the raw prediction."""
    for s in range(network.program.shape[0]):
        kernel = network.program[s, FORWARD_PASS]
        if kernel != 0:
            call(STAGE, kernel, (network, params, workspace, data, s, chunk))


@jit
def loss_backward(network, workspace, data, chunk):
    """Weighted sum of the chunk's losses; its derivative replaces A_L."""
    layout = network.layout
    Z = rows_of(workspace, chunk, layout.table.shape[0] - 1, OUTPUTS)
    n_targets = data.Y.shape[1]
    start = workspace.starts[NO_LAYER, TARGETS] + chunk.at * n_targets
    Y = matrix_view(workspace.memory, start, (chunk.rows.size, n_targets))
    losses = matrix_view(workspace.losses, chunk.at * Z.shape[1], Z.shape)
    gather(Y, data.Y, chunk.rows)
    call(LOSS, network.head, (Z, Y, losses, network.head_hyper))
    return weigh(Z, losses, rows_of(workspace, chunk, NO_LAYER, WEIGHT))


@jit(view=True)
def end_of(vector, length):
    """View of the last ``length`` numbers of a vector."""
    return vector_view(vector, vector.size - length, (length,))


@jit(once=True)
def backward(network, params, gradient, workspace, data, chunk):
    """Weighted sum of the chunk's losses, after `forward`.

    Leaves all dZ in the workspace, and in the end of ``gradient`` that of what is not
    weights.
    """
    layout = network.layout
    gradient_tail = end_of(gradient, layout.n_params - layout.n_weights)
    loss = loss_backward(network, workspace, data, chunk)
    for s in range(network.program.shape[0] - 1, -1, -1):
        kernel = network.program[s, BACKWARD_PASS]
        if kernel != 0:
            arguments = (network, params, gradient_tail, workspace, data, s, chunk)
            call(STAGE_BACK, kernel, arguments)
    return loss


@jit
def weight_gradient(network, gradient, workspace, data, chunk, adds, team):
    """A thread's share of dW_i <- A_{i-1}^T dZ_i, or if ``adds`` is not zero, of
    dW_i += A_{i-1}^T dZ_i, of all layers."""
    layout, place = network.layout, (lowest_dense(network), team.rank, team.size)
    scratch = part_of(workspace, NO_LAYER, SCRATCH, chunk.thread)
    kernels = network.products
    for i in range(layout.table.shape[0] - 1, 0, -1):
        dW, dZ = weights(gradient, layout, i), rows_of(workspace, chunk, i, DELTAS)
        if i == 1 and network.csr_gradient != 0:
            first, last = share(dW.shape[1], team.rank, team.size)
            arguments = (
                dW,
                dZ,
                data.values,
                data.indices,
                data.indptr,
                chunk.rows,
                first,
                last,
                adds,
            )
            call(CSR_GRADIENT, network.csr_gradient, arguments)
            continue
        A = rows_of(workspace, chunk, i - 1, OUTPUTS)
        first, last = rows_of_share(layout, i, *place, TILE_ROWS)
        arguments = (dW, A, dZ, scratch, kernels, adds, first, last)
        call(PRODUCT_GRADIENT, kernels.gradient, arguments)
