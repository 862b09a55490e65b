"""The network: forward and backward pass.

With A_0 = X and layers l = 1..L of weights W_l and biases b_l,

    Z_l = A_{l-1} W_l + b_l,   A_l = f_l(Z_l),   f_L = identity: A_L raw prediction,
    delta_L = d loss / d A_L, times f_l'(Z_l) on the way down,
    dW_l = A_{l-1}^T delta_l,   db_l = sum of delta_l over rows,
    delta_{l-1} = delta_l W_l^T.
"""

from typing import NamedTuple

import numpy as np

from skmlp.core.activations import activation_addresses
from skmlp.core.inputs import (
    gather,
    input_backward,
    input_forward,
    n_dense_rows,
    product,
)
from skmlp.core.intrinsics import call, flat, matrix_view
from skmlp.core.jit import jit
from skmlp.core.layout import Layout, bias, weights
from skmlp.core.losses import link_address, loss_address, weigh


class Network(NamedTuple):
    """What a network is, apart from its numbers.

    Attributes
    ----------
    layout : Layout
    forward, backward : ndarray of shape (n_layers - 1,)
        Addresses of each layer's activation.
    head : int
        Address of the loss for training, of the link for prediction.
    """

    layout: Layout
    forward: np.ndarray
    backward: np.ndarray
    head: int


def training_network(layout, activation, loss, dtype):
    """A network that ends in a loss."""
    return Network(
        layout, *_activations(layout, activation, dtype), loss_address(loss, dtype)
    )


def prediction_network(layout, activation, link, dtype):
    """A network that ends in a link."""
    return Network(
        layout, *_activations(layout, activation, dtype), link_address(link, dtype)
    )


def _activations(layout, activation, dtype):
    names = [activation] * (len(layout.sizes) - 2) + ["identity"]
    return activation_addresses(names, dtype)


class Workspace(NamedTuple):
    """Memory for one block of rows, allocated once.

    Attributes
    ----------
    activations : ndarray of shape (starts[-1],)
        A_0, ..., A_L one after the other; A_0 is empty for sparse rows.
    starts : ndarray of shape (n_layers + 1,), int64
        Where each of them begins.
    deltas : ndarray of shape (2 * stride,)
        delta_l and delta_{l-1}, in turn; stride = block_size * widest layer.
    targets : ndarray of shape (block_size * n_outputs,)
        Y of the block's rows.
    losses : ndarray of shape (block_size * n_outputs,), float64
        Each output's part of the loss.
    weight : ndarray of shape (block_size * n_outputs,)
        What each row counts, once per output.
    gradient : ndarray of shape (n_params,) or (0,)
        The gradient of a block that is not its minibatch's first.
    """

    activations: np.ndarray
    starts: np.ndarray
    deltas: np.ndarray
    targets: np.ndarray
    losses: np.ndarray
    weight: np.ndarray
    gradient: np.ndarray


def make_workspace(layout, block_size, dtype, *, sparse, training, accumulate=False):
    """Memory for blocks of up to ``block_size`` rows."""
    widths = layout.sizes.copy()
    if sparse:
        widths[0] = 0
    starts = np.concatenate([[0], np.cumsum(widths)]).astype(np.int64) * block_size
    n_trained = block_size if training else 0
    n_outputs, widest = int(layout.sizes[-1]), int(layout.sizes[1:].max())
    return Workspace(
        np.empty(int(starts[-1]), dtype),
        starts,
        np.empty(2 * n_trained * widest, dtype),
        np.empty(n_trained * n_outputs, dtype),
        np.empty(n_trained * n_outputs),
        np.empty(n_trained * n_outputs, dtype),
        np.empty(layout.n_params if accumulate else 0, dtype),
    )


@jit
def units(network, workspace, n_rows, i):
    """A_i as an array of shape (n_rows, units of layer i)."""
    shape = (n_rows, network.layout.sizes[i])
    return matrix_view(workspace.activations, workspace.starts[i], shape)


@jit
def delta_below(network, workspace, n_rows, i):
    """Room for delta_{i-1}, of shape (n_rows, units of layer i - 1)."""
    start = (i % 2) * (workspace.deltas.size // 2)
    shape = (n_rows, network.layout.sizes[i - 1])
    return matrix_view(workspace.deltas, start, shape)


@jit
def forward(network, params, workspace, data, rows):
    """Fill the workspace with A_0, ..., A_L; returns the raw prediction A_L."""
    layout, n_rows = network.layout, rows.size
    A = units(network, workspace, n_dense_rows(data, rows), 0)
    for i in range(1, layout.sizes.size):
        Z = units(network, workspace, n_rows, i)
        W = weights(params, layout, i - 1)
        if i == 1:
            input_forward(Z, A, W, data, rows)
        else:
            product(Z, A, W)
        call(network.forward[i - 1], (Z, bias(params, layout, i - 1)))
        A = Z
    return A


@jit
def loss_backward(network, workspace, data, rows):
    """Weighted sum of the block's losses; its derivative replaces A_L."""
    last = network.layout.sizes.size - 1
    Z = units(network, workspace, rows.size, last)
    Y = matrix_view(workspace.targets, 0, Z.shape)
    losses = matrix_view(workspace.losses, 0, Z.shape)
    gather(Y, data.Y, rows)
    call(network.head, (Z, Y, losses))
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
def backward(network, params, gradient, workspace, data, rows):
    """Weighted sum of the block's losses, and its gradient, after `forward`."""
    layout, n_rows = network.layout, rows.size
    last = layout.sizes.size - 1
    loss = loss_backward(network, workspace, data, rows)
    delta = units(network, workspace, n_rows, last)
    for i in range(last, 0, -1):
        db, dW = bias(gradient, layout, i - 1), weights(gradient, layout, i - 1)
        db[:] = 0
        A = units(network, workspace, n_rows, i)
        call(network.backward[i - 1], (delta, db, A))
        if i == 1:
            A = units(network, workspace, n_dense_rows(data, rows), 0)
            input_backward(dW, A, delta, data, rows)
        else:
            product(dW, units(network, workspace, n_rows, i - 1).T, delta)
            below = delta_below(network, workspace, n_rows, i)
            delta_product(below, delta, weights(params, layout, i - 1))
            delta = below
    return loss
