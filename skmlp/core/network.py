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
    csr_gradient,
    csr_product,
    gather,
    is_sparse,
    n_dense_rows,
    product,
)
from skmlp.core.intrinsics import call, flat, matrix_view, vector_view
from skmlp.core.jit import DISABLED, jit
from skmlp.core.layout import Layout, bias, running, scale, weights
from skmlp.core.losses import link_address, loss_address, loss_hyper, weigh
from skmlp.core.normalization import normalization_addresses

# Columns of `Network.kernels`.
_ACTIVATE, _ACTIVATE_BACK, _NORMALIZE, _NORMALIZE_BACK, _DROP, _DROP_BACK = range(6)
# Rows of `Workspace.starts`.
_UNITS, _PRODUCTS, _NORMALIZED = range(3)


class Network(NamedTuple):
    """What a network is, apart from its numbers.

    Attributes
    ----------
    layout : Layout
    kernels : ndarray of shape (n_layers, 6), int64
        Addresses of what each layer, the input first, does: activation, normalisation,
        dropout, forward and backward. Zero: nothing.
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


def training_network(architecture, loss, dtype, hyper=None):
    """A network that ends in a loss, whose parameters ``hyper`` holds by name."""
    head = loss_address(loss, dtype), loss_hyper(loss, hyper or {})
    return _network(architecture, dtype, *head, training=True)


@lru_cache(maxsize=256)
def prediction_network(architecture, link, dtype):
    """A network that ends in a link; shared between calls."""
    head = link_address(link, dtype), np.empty(0)
    return _network(architecture, dtype, *head, training=False)


def _network(architecture, dtype, head, head_hyper, *, training):
    kernels = np.zeros((len(architecture.sizes), 6), object if DISABLED else np.int64)
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
        For each layer A, Z if it is kept beside A, and the normalised Z.
    starts : ndarray of shape (3, n_layers), int64
        Where each layer's A, Z and normalised Z begin in it. There is no A_0 for
        sparse rows, and none for prediction, which takes rows as they lie in X.
    deltas : ndarray of shape (2 * stride,)
        dA and dZ, in turn; stride = block_size * widest layer.
    targets : ndarray of shape (block_size * n_outputs,)
        Y of the block's rows.
    losses : ndarray of shape (block_size * n_outputs,), float64
        Each output's part of the loss.
    weight : ndarray of shape (block_size * n_outputs,)
        What each row counts, once per output.
    statistics : ndarray of shape (n_layers, stride) or (0, 0)
        What normalisation keeps for its way back.
    gradient : ndarray of shape (n_params,) or (0,)
        The gradient of a block that is not its minibatch's first.
    """

    memory: np.ndarray
    starts: np.ndarray
    deltas: np.ndarray
    targets: np.ndarray
    losses: np.ndarray
    weight: np.ndarray
    statistics: np.ndarray
    gradient: np.ndarray


def make_workspace(
    architecture, block_size, dtype, *, sparse, training, accumulate=False
):
    """Memory for blocks of up to ``block_size`` rows."""
    layout = architecture.layout()
    starts, per_row = _memory_map(architecture, training and not sparse)
    normalized = any(architecture.normalizations)
    n_trained = block_size if training else 0
    n_outputs, widest = int(layout.sizes[-1]), int(layout.widths.max())
    n_statistics = max(2 * widest, block_size) if normalized else 0
    return Workspace(
        np.empty(per_row * block_size, dtype),
        starts * block_size,
        np.empty(2 * n_trained * widest, dtype),
        np.empty(n_trained * n_outputs, dtype),
        np.empty(n_trained * n_outputs),
        np.empty(n_trained * n_outputs, dtype),
        np.empty((len(layout.sizes) * normalized, n_statistics), dtype),
        np.empty(layout.n_params if accumulate else 0, dtype),
    )


@lru_cache(maxsize=256)
def _memory_map(architecture, copies_rows):
    """Starts of all arrays per row of a block, and their total length."""
    layout = architecture.layout()
    starts = np.zeros((3, len(layout.sizes)), np.int64)
    end = int(layout.sizes[0]) if copies_rows else 0
    names = (*architecture.activations, "identity")
    normalizations = (*architecture.normalizations, None)
    for i, (name, normalization) in enumerate(zip(names, normalizations), start=1):
        width = int(layout.widths[i - 1])
        starts[_UNITS, i] = starts[_PRODUCTS, i] = end
        end += int(layout.sizes[i])
        if not ACTIVATIONS[name].in_place:
            starts[_PRODUCTS, i] = end
            end += width
        starts[_NORMALIZED, i] = end
        end += width if normalization is not None else 0
    return starts, end


@jit
def units(network, workspace, n_rows, i):
    """A_i as an array of shape (n_rows, units of layer i)."""
    shape = (n_rows, network.layout.sizes[i])
    return matrix_view(workspace.memory, workspace.starts[_UNITS, i], shape)


@jit
def products(network, workspace, n_rows, i):
    """Z_i as an array of shape (n_rows, width of layer i)."""
    shape = (n_rows, network.layout.widths[i - 1])
    return matrix_view(workspace.memory, workspace.starts[_PRODUCTS, i], shape)


@jit
def normalized(network, workspace, n_rows, i):
    """Z_i without its scale, as an array of shape (n_rows, width of layer i)."""
    shape = (n_rows, network.layout.widths[i - 1])
    return matrix_view(workspace.memory, workspace.starts[_NORMALIZED, i], shape)


@jit
def weight_matrix(network, workspace, n_rows):
    """Weights of rows, of shape (n_rows, n_outputs)."""
    n_outputs = network.layout.sizes[network.layout.sizes.size - 1]
    return matrix_view(workspace.weight, 0, (n_rows, n_outputs))


@jit
def statistics_of(workspace, i):
    """Memory of the normalisation of layer i."""
    length = workspace.statistics.shape[1]
    return vector_view(workspace.statistics, i * length, (length,))


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
            normalized(network, workspace, n_rows, i),
            scale(params, layout, i - 1),
            running(params, layout, i - 1),
            statistics_of(workspace, i),
            weight_matrix(network, workspace, n_rows),
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
            normalized(network, workspace, n_rows, i),
            scale(params, layout, i - 1),
            scale(gradient, layout, i - 1),
            statistics_of(workspace, i),
            weight_matrix(network, workspace, n_rows),
        )
        call(network.kernels[i, _NORMALIZE_BACK], arguments)


@jit
def gather_input(network, workspace, data, rows, key, first):
    """A_0, a copy of X[rows] with its dropout; without rows if they are sparse."""
    A = units(network, workspace, n_dense_rows(data, rows), 0)
    if not is_sparse(data):
        gather(A, data.X, rows)
        drop(network, A, 0, key, first)
    return A


@jit
def forward(network, params, workspace, A, data, rows, key, first):
    """Fill the workspace with A_1, ..., A_L; returns the raw prediction A_L."""
    layout, n_rows = network.layout, rows.size
    for i in range(1, layout.sizes.size):
        Z, W = products(network, workspace, n_rows, i), weights(params, layout, i - 1)
        if i == 1 and is_sparse(data):
            csr_product(Z, W, data, rows)
        else:
            product(Z, A, W)
        normalize(network, params, workspace, Z, i)
        A = units(network, workspace, n_rows, i)
        call(network.kernels[i, _ACTIVATE], (A, Z, bias(params, layout, i - 1)))
        drop(network, A, i, key, first)
    return A


@jit
def loss_backward(network, workspace, data, rows):
    """Weighted sum of the block's losses; its derivative replaces A_L."""
    last = network.layout.sizes.size - 1
    Z = units(network, workspace, rows.size, last)
    Y = matrix_view(workspace.targets, 0, (rows.size, data.Y.shape[1]))
    losses = matrix_view(workspace.losses, 0, Z.shape)
    gather(Y, data.Y, rows)
    call(network.head, (Z, Y, losses, network.head_hyper))
    return weigh(Z, losses, workspace.weight)


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
def delta_memory(workspace, half, shape):
    """Room for a derivative in one of the halves of the memory for them."""
    return matrix_view(workspace.deltas, half * (workspace.deltas.size // 2), shape)


@jit
def backward(network, params, gradient, workspace, data, rows, key, first):
    """Weighted sum of the block's losses, and its gradient, after `forward`."""
    layout, n_rows = network.layout, rows.size
    last = layout.sizes.size - 1
    loss = loss_backward(network, workspace, data, rows)
    dA, half = units(network, workspace, n_rows, last), 0
    for i in range(last, 0, -1):
        db, dW = bias(gradient, layout, i - 1), weights(gradient, layout, i - 1)
        db[:] = 0
        A, Z = (
            units(network, workspace, n_rows, i),
            products(network, workspace, n_rows, i),
        )
        dZ = dA
        if Z.shape[1] != A.shape[1]:
            dZ, half = delta_memory(workspace, half, Z.shape), 1 - half
        call(network.kernels[i, _ACTIVATE_BACK], (dZ, db, dA, A, Z))
        normalize_back(network, params, gradient, workspace, dZ, i)
        if i == 1 and is_sparse(data):
            csr_gradient(dW, dZ, data, rows)
        else:
            A = units(network, workspace, n_rows, i - 1)
            product(dW, A.T, dZ)
        if i > 1:
            dA, half = delta_memory(workspace, half, A.shape), 1 - half
            delta_product(dA, dZ, weights(params, layout, i - 1))
            drop_back(network, dA, A, i - 1, key, first)
    return loss
