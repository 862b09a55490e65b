"""The network: forward and backward pass.

With A_0 = X and layers l = 1..L of weights W_l and biases b_l,

    Z_l = N_l(A_{l-1} W_l) + b_l,   A_l = D_l(f_l(Z_l)),   A_L: raw prediction,
    dA_L = d loss / d A_L,
    dZ_l = dA_l times f_l'(Z_l),   db_l = sum of dZ_l over rows,
    dW_l = A_{l-1}^T dZ_l,   dA_{l-1} = dZ_l W_l^T,

where f_L is the identity, and normalization N_l and dropout D_l are, unless asked for.
"""

from functools import cache, lru_cache
from typing import NamedTuple

import numpy as np

from skmlp.core.activations import BACKWARD, FORWARD, activation_addresses
from skmlp.core.dropout import DROP, DROP_BACK, combine, dropout_addresses
from skmlp.core.inputs import (
    CSR_GRADIENT,
    CSR_PRODUCT,
    csr_addresses,
    gather,
    is_sparse,
    read_only,
)
from skmlp.core.layout import (
    Layout,
    bias,
    make_layout,
    rows_of_share,
    running,
    scale,
    tail,
    weights,
)
from skmlp.core.losses import LOSS, link_address, loss_address, loss_hyper, weigh
from skmlp.core.normalization import (
    NORMALIZE,
    NORMALIZE_BACK,
    normalization_addresses,
)
from skmlp.core.workspace import (
    DELTAS,
    INPUT,
    NO_LAYER,
    NORMALIZED,
    OUTPUTS,
    PANELS,
    PANELS_BACK,
    PRODUCTS,
    SCRATCH,
    SLOPES,
    STATISTICS,
    TARGETS,
    WEIGHT,
    WHOLE,
    Chunk,
    Workspace,
    largest_factor,
    part_of,
    rows_of,
)
from skmlp.machine.forms import Form
from skmlp.machine.intrinsics import (
    address,
    call,
    matrix_view,
    reference_type,
    vector_view,
)
from skmlp.machine.jit import DISABLED, jit
from skmlp.machine.products import (
    FEW_ROWS,
    PRODUCT,
    PRODUCT_GRADIENT,
    Products,
    is_copied,
    pack,
    pack_transposed,
    product_kernels,
)
from skmlp.machine.team import share
from skmlp.machine.tiles import TILE_ROWS
from skmlp.machine.vectors import VECTOR_BYTES

# Columns of `Network.kernels`.
_ACTIVATE, _ACTIVATE_BACK, _NORMALIZE, _NORMALIZE_BACK, _DROP, _DROP_BACK = range(6)
_CSR_PRODUCT, _CSR_GRADIENT = 6, 7


class Network(NamedTuple):
    """Structure and kernels of a network, without its parameters.

    Attributes
    ----------
    layout : Layout
    kernels : ndarray of shape (n_layers, 8), int64
        Addresses of what each layer, the input first, does: activation, normalization,
        dropout, products with sparse rows, forward and backward. Zero: nothing.
    dropouts : ndarray of shape (n_layers,), float64
        Rates.
    norm_momentum, norm_epsilon : float
        Constants of the normalization.
    head : int
        Address of the loss for training, of the link for prediction.
    head_hyper : ndarray, float64
        Parameters of the loss.
    products : Products
    normalize, normalize_back, drop, drop_back : int
        Addresses of the kernels of these names, which only some networks compile.
    """

    layout: Layout
    kernels: np.ndarray
    dropouts: np.ndarray
    norm_momentum: float
    norm_epsilon: float
    head: int
    head_hyper: np.ndarray
    products: Products
    normalize: int = 0
    normalize_back: int = 0
    drop: int = 0
    drop_back: int = 0


def training_network(architecture, loss, dtype, hyper=None, *, n_rows, sparse):
    """A network that ends in a loss, whose parameters ``hyper`` holds by name.

    It takes up to ``n_rows`` rows at once.
    """
    head = loss_address(loss, dtype), loss_hyper(loss, hyper or {})
    back = bool((architecture.layout().widths[1:] > 1).any())
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
    layout = architecture.layout()
    kernels = np.zeros((len(architecture.sizes), 8), object if DISABLED else np.int64)
    if sparse:
        kernels[1, [_CSR_PRODUCT, _CSR_GRADIENT]] = csr_addresses(dtype)
    for i, activation in enumerate((*architecture.activations, "identity"), start=1):
        pair = activation_addresses(activation, dtype, training=training)
        kernels[i, [_ACTIVATE, _ACTIVATE_BACK]] = pair
    for i, name in enumerate(architecture.normalizations, start=1):
        if name is not None:
            pair = normalization_addresses(name, dtype, training=training)
            kernels[i, [_NORMALIZE, _NORMALIZE_BACK]] = pair
    dropouts, steps = np.array((*architecture.dropouts, 0.0)), {}
    if training and dropouts.any():
        kernels[dropouts > 0, _DROP : _DROP_BACK + 1] = dropout_addresses(dtype)
        steps |= dropout_steps(dtype)
    if any(architecture.normalizations):
        steps |= normalization_steps(dtype, training=training)
    return Network(
        layout,
        kernels,
        dropouts,
        float(architecture.norm_momentum),
        float(architecture.norm_epsilon),
        head,
        head_hyper,
        products,
        **steps,
    )


@cache
def references(dtype):
    """Kinds of references to a network, a workspace and a chunk."""
    table, none, rows = np.zeros((2, 1), np.int64), np.empty(0), np.empty((0, 0))
    network = Network(
        layout=make_layout((1, 1)),
        kernels=table,
        dropouts=none,
        norm_momentum=0.0,
        norm_epsilon=0.0,
        head=0,
        head_hyper=none,
        products=Products(),
    )
    workspace = Workspace(
        memory=none.astype(dtype),
        starts=table,
        widths=table,
        losses=none,
        squares=none,
        gradients=rows.astype(dtype),
        sums=rows,
        has_replicas=False,
    )
    order = read_only(np.zeros(1, np.intp))
    chunk = Chunk(rows=order, at=0, first=0, key=0, n_rows_of_block=1, thread=0)
    return tuple(map(reference_type, (network, workspace, chunk)))


_NETWORK, _WORKSPACE, _CHUNK = (
    lambda dtype, k=k: references(dtype)[k] for k in range(3)
)
DROP_STAGE = Form(_NETWORK, "matrix", "index", _CHUNK)
DROP_STAGE_BACK = Form(_NETWORK, "matrix", "matrix", "index", _CHUNK)
_NORMALIZED = _WORKSPACE, "matrix", "index", _CHUNK
NORMALIZE_STAGE = Form(_NETWORK, "vector", *_NORMALIZED)
NORMALIZE_STAGE_BACK = Form(_NETWORK, "vector", "vector", *_NORMALIZED)


@jit(form=DROP_STAGE)
def drop(network, A, i, chunk):
    """Dropout of A_i."""
    kernel, rate = network.kernels[i, _DROP], network.dropouts[i]
    call(DROP, kernel, (A, rate, combine(chunk.key, i), chunk.first * A.shape[1]))


@jit(form=DROP_STAGE_BACK)
def drop_back(network, dA, A, i, chunk):
    """Back through the dropout of A_i."""
    kernel, rate = network.kernels[i, _DROP_BACK], network.dropouts[i]
    first = chunk.first * A.shape[1]
    call(DROP_BACK, kernel, (dA, A, rate, combine(chunk.key, i), first))


@jit(form=NORMALIZE_STAGE)
def normalize(network, params, workspace, Z, i, chunk):
    """Normalize and scale Z_i."""
    layout = network.layout
    arguments = (
        Z,
        rows_of(workspace, chunk, i, NORMALIZED),
        scale(tail(params, layout), layout, i),
        running(params, layout, i),
        part_of(workspace, i, STATISTICS, chunk.thread),
        rows_of(workspace, chunk, NO_LAYER, WEIGHT),
        network.norm_momentum,
        network.norm_epsilon,
    )
    call(NORMALIZE, network.kernels[i, _NORMALIZE], arguments)


@jit(form=NORMALIZE_STAGE_BACK)
def normalize_back(network, params, gradient_tail, workspace, dZ, i, chunk):
    """Back through the normalization of Z_i."""
    layout = network.layout
    arguments = (
        dZ,
        rows_of(workspace, chunk, i, NORMALIZED),
        scale(tail(params, layout), layout, i),
        scale(gradient_tail, layout, i),
        part_of(workspace, i, STATISTICS, chunk.thread),
        rows_of(workspace, chunk, NO_LAYER, WEIGHT),
    )
    call(NORMALIZE_BACK, network.kernels[i, _NORMALIZE_BACK], arguments)


def normalization_steps(dtype, *, training):
    """Addresses of `normalize` and, for training, of `normalize_back`."""
    steps = {"normalize": address(normalize, dtype)}
    if training:
        steps["normalize_back"] = address(normalize_back, dtype)
    return steps


def dropout_steps(dtype):
    """Addresses of `drop` and `drop_back`."""
    return {"drop": address(drop, dtype), "drop_back": address(drop_back, dtype)}


@jit(view=True)
def gather_input(network, workspace, data, chunk):
    """A_0, a copy of X[rows] with its dropout; without rows if they are sparse."""
    if is_sparse(data):
        return matrix_view(workspace.memory, INPUT, (INPUT, data.X.shape[1]))
    A = rows_of(workspace, chunk, INPUT, OUTPUTS)
    gather(A, data.X, chunk.rows)
    if network.kernels[INPUT, _DROP] != 0:
        call(DROP_STAGE, network.drop, (network, A, INPUT, chunk))
    return A


@jit
def lowest_dense(network):
    """The first layer whose input is not sparse."""
    return 2 if network.kernels[1, _CSR_PRODUCT] != 0 else 1


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
def affine_product(network, params, workspace, Z, A, i, data, chunk):
    """Z_i <- A_{i-1} W_i."""
    W, kernels = weights(params, network.layout, i), network.products
    if network.kernels[i, _CSR_PRODUCT] != 0:
        arguments = (Z, W, data.values, data.indices, data.indptr, chunk.rows)
        call(CSR_PRODUCT, network.kernels[i, _CSR_PRODUCT], arguments)
    else:
        there = part_of(workspace, i, PANELS, WHOLE)
        arguments = (Z, A, W, 0, chunk.n_rows_of_block, there, kernels)
        call(PRODUCT, kernels.product, arguments)


@jit
def forward(network, params, workspace, A, data, chunk):
    """Fill the workspace with A_1, ..., A_L, the raw prediction."""
    layout = network.layout
    for i in range(1, layout.table.shape[0]):
        Z = rows_of(workspace, chunk, i, PRODUCTS)
        affine_product(network, params, workspace, Z, A, i, data, chunk)
        if network.kernels[i, _NORMALIZE] != 0:
            arguments = (network, params, workspace, Z, i, chunk)
            call(NORMALIZE_STAGE, network.normalize, arguments)
        A = rows_of(workspace, chunk, i, OUTPUTS)
        arguments = (A, Z, bias(tail(params, layout), layout, i))
        call(FORWARD, network.kernels[i, _ACTIVATE], arguments)
        if network.kernels[i, _DROP] != 0:
            call(DROP_STAGE, network.drop, (network, A, i, chunk))


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


@jit
def delta_product(network, params, workspace, dA, dZ, i, chunk):
    """dA_{i-1} <- dZ_i W_i^T, the derivative by the activations of the layer below."""
    W, kernels = weights(params, network.layout, i), network.products
    there = part_of(workspace, i, PANELS_BACK, WHOLE)
    arguments = (dA, dZ, W, 1, chunk.n_rows_of_block, there, kernels)
    call(PRODUCT, kernels.product, arguments)


@jit
def bias_gradient(db, dZ):
    """db <- sum of dZ over rows, four at a time, since each time takes all of db."""
    db[:] = 0
    n_rows, rest = dZ.shape[0], dZ.shape[0] % 4
    for i in range(0, n_rows - rest, 4):
        for j in range(db.size):
            db[j] += (dZ[i, j] + dZ[i + 1, j]) + (dZ[i + 2, j] + dZ[i + 3, j])
    for i in range(n_rows - rest, n_rows):
        for j in range(db.size):
            db[j] += dZ[i, j]


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
    last = layout.table.shape[0] - 1
    loss = loss_backward(network, workspace, data, chunk)
    for i in range(last, 0, -1):
        A = rows_of(workspace, chunk, i, OUTPUTS)
        Z = rows_of(workspace, chunk, i, PRODUCTS)
        dA = rows_of(workspace, chunk, i, SLOPES)
        dZ = rows_of(workspace, chunk, i, DELTAS)
        if network.kernels[i, _ACTIVATE_BACK] != 0:
            call(BACKWARD, network.kernels[i, _ACTIVATE_BACK], (dZ, dA, A, Z))
        bias_gradient(bias(gradient_tail, layout, i), dZ)
        if network.kernels[i, _DROP] != 0:  # redo what `drop_back` undid for f'
            call(DROP_STAGE, network.drop, (network, A, i, chunk))
        if network.kernels[i, _NORMALIZE_BACK] != 0:
            arguments = (network, params, gradient_tail, workspace, dZ, i, chunk)
            call(NORMALIZE_STAGE_BACK, network.normalize_back, arguments)
        if i > 1:
            dA = rows_of(workspace, chunk, i - 1, SLOPES)
            delta_product(network, params, workspace, dA, dZ, i, chunk)
            if network.kernels[i - 1, _DROP_BACK] != 0:
                A = rows_of(workspace, chunk, i - 1, OUTPUTS)
                arguments = (network, dA, A, i - 1, chunk)
                call(DROP_STAGE_BACK, network.drop_back, arguments)
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
        if network.kernels[i, _CSR_GRADIENT] != 0:
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
            call(CSR_GRADIENT, network.kernels[i, _CSR_GRADIENT], arguments)
            continue
        A = rows_of(workspace, chunk, i - 1, OUTPUTS)
        first, last = rows_of_share(layout, i, *place, TILE_ROWS)
        arguments = (dW, A, dZ, scratch, kernels, adds, first, last)
        call(PRODUCT_GRADIENT, kernels.gradient, arguments)
