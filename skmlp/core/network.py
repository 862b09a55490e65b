"""The network: forward and backward pass.

With A_0 = X and layers l = 1..L of weights W_l and biases b_l,

    Z_l = N_l(A_{l-1} W_l) + b_l,   A_l = D_l(f_l(Z_l)),   A_L: raw prediction,
    dA_L = d loss / d A_L,
    dZ_l = dA_l times f_l'(Z_l),   db_l = sum of dZ_l over rows,
    dW_l = A_{l-1}^T dZ_l,   dA_{l-1} = dZ_l W_l^T,

where f_L is the identity, and normalisation N_l and dropout D_l are, unless asked for.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np

from skmlp.core.activations import ACTIVATIONS, activation_addresses
from skmlp.core.dropout import combine, dropout_addresses
from skmlp.core.inputs import (
    csr_addresses,
    gather,
    is_sparse,
    n_dense_rows,
    product,
)
from skmlp.core.intrinsics import call, flat, matrix_view, vector_view
from skmlp.core.jit import DISABLED, jit
from skmlp.core.layout import UNITS, WIDTH, Layout, bias, running, scale, weights
from skmlp.core.losses import link_address, loss_address, loss_hyper, weigh
from skmlp.core.normalization import normalization_addresses

# Columns of `Network.kernels`.
_ACTIVATE, _ACTIVATE_BACK, _NORMALIZE, _NORMALIZE_BACK, _DROP, _DROP_BACK = range(6)
_CSR_PRODUCT, _CSR_GRADIENT = 6, 7
# Columns of `Workspace.starts`, for each layer, and in its last row.
_UNITS, _PRODUCTS, _NORMALIZED, _STATISTICS = range(4)
_DELTAS, _TARGETS, _WEIGHT = 0, 2, 3


class Network(NamedTuple):
    """What a network is, apart from its numbers.

    Attributes
    ----------
    layout : Layout
    kernels : ndarray of shape (n_layers, 8), int64
        Addresses of what each layer, the input first, does: activation, normalisation,
        dropout, products with sparse rows, forward and backward. Zero: nothing.
    dropouts : ndarray of shape (n_layers,), float64
        Rates.
    norm_momentum, norm_epsilon : float
        Constants of the normalisation.
    head : int
        Address of the loss for training, of the link for prediction.
    head_hyper : ndarray, float64
        Parameters of the loss.
    """

    layout: Layout
    kernels: np.ndarray
    dropouts: np.ndarray
    norm_momentum: float
    norm_epsilon: float
    head: int
    head_hyper: np.ndarray


def training_network(architecture, loss, dtype, hyper=None, *, sparse):
    """A network that ends in a loss, whose parameters ``hyper`` holds by name."""
    head = loss_address(loss, dtype), loss_hyper(loss, hyper or {})
    return _network(architecture, dtype, *head, sparse=sparse, training=True)


@lru_cache(maxsize=256)
def prediction_network(architecture, link, dtype, *, sparse):
    """A network that ends in a link; shared between calls."""
    head = link_address(link, dtype), np.empty(0)
    return _network(architecture, dtype, *head, sparse=sparse, training=False)


def _network(architecture, dtype, head, head_hyper, *, sparse, training):
    kernels = np.zeros((len(architecture.sizes), 8), object if DISABLED else np.int64)
    if sparse:
        kernels[1, [_CSR_PRODUCT, _CSR_GRADIENT]] = csr_addresses(dtype)
    for i, activation in enumerate((*architecture.activations, "identity"), start=1):
        addresses = activation_addresses(activation, dtype)
        kernels[i, [_ACTIVATE, _ACTIVATE_BACK]] = addresses
    for i, name in enumerate(architecture.normalizations, start=1):
        if name is not None:
            addresses = normalization_addresses(name, dtype, training=training)
            kernels[i, [_NORMALIZE, _NORMALIZE_BACK]] = addresses
    dropouts = np.array((*architecture.dropouts, 0.0))
    if training and dropouts.any():
        kernels[dropouts > 0, _DROP : _DROP_BACK + 1] = dropout_addresses(dtype)
    return Network(
        architecture.layout(),
        kernels,
        dropouts,
        float(architecture.norm_momentum),
        float(architecture.norm_epsilon),
        head,
        head_hyper,
    )


class Workspace(NamedTuple):
    """Memory for one block of rows, allocated once.

    Attributes
    ----------
    memory : ndarray
        All arrays of the working type but the gradient, one after the other.
    starts : ndarray of shape (n_layers + 1, 4), int64
        Where they begin. For each layer: A; Z, which is the same unless both are kept;
        the normalised Z; what normalisation keeps for its way back. In the last row:
        twice the memory for dA and dZ in turn, the targets, and the weights of rows,
        once per output. There is no A_0 for sparse rows, and none for prediction,
        which takes rows as they lie in X.
    losses : ndarray of shape (block_size * n_outputs,), float64
        Each output's part of the loss.
    gradient : ndarray of shape (n_params,) or (0,)
        The gradient of a block that is not its minibatch's first.
    """

    memory: np.ndarray
    starts: np.ndarray
    losses: np.ndarray
    gradient: np.ndarray


def make_workspace(
    architecture, block_size, dtype, *, sparse, training, accumulate=False
):
    """Memory for blocks of up to ``block_size`` rows."""
    layout = architecture.layout()
    lengths = _lengths(architecture, block_size, sparse, training).ravel()
    ends = np.cumsum(lengths)
    starts = (ends - lengths).reshape(-1, 4)
    for i, name in enumerate((*architecture.activations, "identity"), start=1):
        if ACTIVATIONS[name].in_place:
            starts[i, _PRODUCTS] = starts[i, _UNITS]
    n_losses = block_size * int(layout.sizes[-1]) if training else 0
    return Workspace(
        np.empty(ends[-1], dtype),
        starts,
        np.empty(n_losses),
        np.empty(layout.n_params if accumulate else 0, dtype),
    )


@lru_cache(maxsize=256)
def _lengths(architecture, block_size, sparse, training):
    """Of all arrays in a workspace's memory, in the order of its starts."""
    layout = architecture.layout()
    lengths = np.zeros((len(layout.sizes) + 1, 4), np.int64)
    rows, last = block_size * layout.table[:, :2], len(layout.sizes)
    lengths[:last, _UNITS] = rows[:, UNITS]
    if sparse or not training:
        lengths[0, _UNITS] = 0
    layers = zip(architecture.activations, architecture.normalizations)
    for i, (activation, normalization) in enumerate(layers, start=1):
        if not ACTIVATIONS[activation].in_place:
            lengths[i, _PRODUCTS] = rows[i, WIDTH]
        if normalization is not None:
            lengths[i, _NORMALIZED] = rows[i, WIDTH]
            lengths[i, _STATISTICS] = max(2 * layout.table[i, WIDTH], block_size)
    if training:
        n_outputs = rows[-1, UNITS]
        widest = rows[:, WIDTH].max()
        lengths[last] = widest, widest, n_outputs, n_outputs
    return lengths


@jit
def units(layout, workspace, n_rows, i):
    """A_i as an array of shape (n_rows, units of layer i)."""
    shape = (n_rows, layout.table[i, UNITS])
    return matrix_view(workspace.memory, workspace.starts[i, _UNITS], shape)


@jit
def products(layout, workspace, n_rows, i):
    """Z_i as an array of shape (n_rows, width of layer i)."""
    shape = (n_rows, layout.table[i, WIDTH])
    return matrix_view(workspace.memory, workspace.starts[i, _PRODUCTS], shape)


@jit
def normalized(layout, workspace, n_rows, i):
    """Z_i without its scale, as an array of shape (n_rows, width of layer i)."""
    shape = (n_rows, layout.table[i, WIDTH])
    return matrix_view(workspace.memory, workspace.starts[i, _NORMALIZED], shape)


@jit
def statistics_of(layout, workspace, n_rows, i):
    """Memory of the normalisation of layer i."""
    shape = (max(n_rows, 2 * layout.table[i, WIDTH]),)
    return vector_view(workspace.memory, workspace.starts[i, _STATISTICS], shape)


@jit
def delta_memory(layout, workspace, half, shape):
    """Room for a derivative, in one of two places."""
    start = workspace.starts[layout.table.shape[0], _DELTAS + half]
    return matrix_view(workspace.memory, start, shape)


@jit
def targets(layout, workspace, shape):
    """Y of the block's rows."""
    start = workspace.starts[layout.table.shape[0], _TARGETS]
    return matrix_view(workspace.memory, start, shape)


@jit
def weight_matrix(layout, workspace, n_rows):
    """Weights of rows, of shape (n_rows, n_outputs)."""
    n_layers = layout.table.shape[0]
    shape = (n_rows, layout.table[n_layers - 1, UNITS])
    return matrix_view(workspace.memory, workspace.starts[n_layers, _WEIGHT], shape)


@jit
def drop(network, A, i, key, first):
    """Dropout of A_i, in the minibatch that ``key`` stands for, from row ``first``."""
    if network.kernels[i, _DROP] != 0:
        kernel, rate = network.kernels[i, _DROP], network.dropouts[i]
        call(kernel, (A, rate, combine(key, i), first * A.shape[1]))


@jit
def drop_back(network, dA, A, i, key, first):
    """Back through the dropout of A_i."""
    if network.kernels[i, _DROP_BACK] != 0:
        kernel, rate = network.kernels[i, _DROP_BACK], network.dropouts[i]
        call(kernel, (dA, A, rate, combine(key, i), first * A.shape[1]))


@jit
def normalize(network, params, workspace, Z, i):
    """Normalise and scale Z_i."""
    if network.kernels[i, _NORMALIZE] != 0:
        layout, n_rows = network.layout, Z.shape[0]
        arguments = (
            Z,
            normalized(layout, workspace, n_rows, i),
            scale(params, layout, i),
            running(params, layout, i),
            statistics_of(layout, workspace, n_rows, i),
            weight_matrix(layout, workspace, n_rows),
            network.norm_momentum,
            network.norm_epsilon,
        )
        call(network.kernels[i, _NORMALIZE], arguments)


@jit
def normalize_back(network, params, gradient, workspace, dZ, i):
    """Back through the normalisation of Z_i."""
    if network.kernels[i, _NORMALIZE_BACK] != 0:
        layout, n_rows = network.layout, dZ.shape[0]
        arguments = (
            dZ,
            normalized(layout, workspace, n_rows, i),
            scale(params, layout, i),
            scale(gradient, layout, i),
            statistics_of(layout, workspace, n_rows, i),
            weight_matrix(layout, workspace, n_rows),
        )
        call(network.kernels[i, _NORMALIZE_BACK], arguments)


@jit
def gather_input(network, workspace, data, rows, key, first):
    """A_0, a copy of X[rows] with its dropout; without rows if they are sparse."""
    layer = np.int64(0)  # a literal would be a type of its own, and compiled anew
    A = units(network.layout, workspace, n_dense_rows(data, rows), layer)
    if not is_sparse(data):
        gather(A, data.X, rows)
        drop(network, A, layer, key, first)
    return A


@jit
def forward(network, params, workspace, A, data, rows, key, first):
    """Fill the workspace with A_1, ..., A_L; returns the raw prediction A_L."""
    layout, n_rows = network.layout, rows.size
    for i in range(1, layout.table.shape[0]):
        Z, W = products(layout, workspace, n_rows, i), weights(params, layout, i)
        if network.kernels[i, _CSR_PRODUCT] != 0:
            arguments = (Z, W, data.values, data.indices, data.indptr, rows)
            call(network.kernels[i, _CSR_PRODUCT], arguments)
        else:
            product(Z, A, W)
        normalize(network, params, workspace, Z, i)
        A = units(layout, workspace, n_rows, i)
        call(network.kernels[i, _ACTIVATE], (A, Z, bias(params, layout, i)))
        drop(network, A, i, key, first)
    return A


@jit
def loss_backward(network, workspace, data, rows):
    """Weighted sum of the block's losses; its derivative replaces A_L."""
    layout, n_rows = network.layout, rows.size
    Z = units(layout, workspace, n_rows, layout.table.shape[0] - 1)
    Y = targets(layout, workspace, (n_rows, data.Y.shape[1]))
    losses = matrix_view(workspace.losses, 0, Z.shape)
    gather(Y, data.Y, rows)
    call(network.head, (Z, Y, losses, network.head_hyper))
    return weigh(Z, losses, weight_matrix(layout, workspace, n_rows))


@jit
def delta_product(below, delta, W):
    """below <- delta W^T, the derivative by the activations of the layer below."""
    if W.shape[1] > 1:
        product(below, delta, W.T)
        return
    d, w = flat(delta), flat(W)
    for i in range(d.size):  # an outer product, for which BLAS takes thrice as long
        for j in range(w.size):
            below[i, j] = d[i] * w[j]


@jit
def backward(network, params, gradient, workspace, data, rows, key, first):
    """Weighted sum of the block's losses, and its gradient, after `forward`."""
    layout, n_rows = network.layout, rows.size
    last = layout.table.shape[0] - 1
    loss = loss_backward(network, workspace, data, rows)
    dA, half = units(layout, workspace, n_rows, last), np.int64(0)
    for i in range(last, 0, -1):
        db, dW = bias(gradient, layout, i), weights(gradient, layout, i)
        db[:] = 0
        A, Z = (
            units(layout, workspace, n_rows, i),
            products(layout, workspace, n_rows, i),
        )
        dZ = dA
        if Z.shape[1] != A.shape[1]:
            dZ, half = delta_memory(layout, workspace, half, Z.shape), 1 - half
        call(network.kernels[i, _ACTIVATE_BACK], (dZ, db, dA, A, Z))
        normalize_back(network, params, gradient, workspace, dZ, i)
        if network.kernels[i, _CSR_GRADIENT] != 0:
            arguments = (dW, dZ, data.values, data.indices, data.indptr, rows)
            call(network.kernels[i, _CSR_GRADIENT], arguments)
        else:
            A = units(layout, workspace, n_rows, i - 1)
            product(dW, A.T, dZ)
        if i > 1:
            dA, half = delta_memory(layout, workspace, half, A.shape), 1 - half
            delta_product(dA, dZ, weights(params, layout, i))
            drop_back(network, dA, A, i - 1, key, first)
    return loss
