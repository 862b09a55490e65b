"""Predictions, in runs short enough to interrupt, and their loss."""

import numpy as np

from skmlp.core.checks import check_network
from skmlp.core.inputs import read_only
from skmlp.core.losses import LINKS, LOSSES, loss_hyper
from skmlp.core.network import prediction_network
from skmlp.core.predict import Run, predict_blocks
from skmlp.core.workspace import make_workspace
from skmlp.machine.jit import entry_point
from skmlp.machine.team import ALONE
from skmlp.machine.threads import Threads
from skmlp.training.blocks import prediction_block_size


def predict(architecture, params, data, *, link="identity", layer=None):
    """link(raw prediction) of all rows of ``data``, or the units of a hidden layer.

    Parameters
    ----------
    architecture : Architecture
    params : ndarray of shape (n_total,)
    data : Data
    link : str, default="identity"
    layer : int, default=None
        Which units to return, counted from the input, layer 0; by default the last.

    Returns
    -------
    ndarray of shape (n_rows, n_units), of the dtype of ``params``
    """
    vectors = params[np.newaxis]
    return predict_each(architecture, vectors, data, link=link, layer=layer)[0]


def predict_each(architecture, vectors, data, *, link="identity", layer=None):
    """What `predict` returns for each of several vectors.

    Parameters
    ----------
    architecture : Architecture
    vectors : ndarray of shape (n_vectors, n_total)
    data : Data
    link, layer
        See `predict`.

    Returns
    -------
    ndarray of shape (n_vectors, n_rows, n_units)
    """
    check_network(architecture.layout(), vectors, data)
    layer = len(architecture.sizes) - 1 if layer is None else layer
    block_size = prediction_block_size(architecture, data, data.n_rows)
    n_blocks = len(vectors) * -(-data.n_rows // block_size)
    row_flops = 2 * architecture.layout().n_weights
    threads = Threads(n_blocks, block_size * row_flops, n_blocks)
    fixed = architecture, vectors, data, link, layer, block_size, n_blocks, threads
    with threads:
        out = _predict_blocks(*fixed)
        if threads.is_lost:
            # The lost thread may still write to the memory it knows.
            out = _predict_blocks(*fixed)
    return out


def _predict_blocks(
    architecture, vectors, data, link, layer, block_size, n_blocks, threads
):
    """Predictions in new memory, complete unless a thread is lost on the way."""
    dtype, rows = vectors.dtype, read_only(np.arange(data.n_rows))
    options = {"sparse": data.sparse, "training": False, "team_size": threads.most}
    workspace = make_workspace(architecture, block_size, dtype, **options)
    network = prediction_network(architecture, link, dtype, sparse=data.sparse)
    shape = len(vectors), data.n_rows, architecture.sizes[layer]
    out = np.empty(shape, dtype)
    fixed = network, vectors, workspace, data, rows, out.reshape(-1, shape[2])

    def run(seat, first, last):
        arguments = *fixed, Run(block_size, layer, first, last)
        kernel = entry_point(predict_blocks, dtype, (*arguments, ALONE))
        return last if kernel(*arguments, seat) else -1 - first

    first, alone = 0, threads.is_lost
    while first < n_blocks and threads.is_lost == alone:
        first = threads.run(run, first, n_blocks)
    return out


def apply_link(raw_prediction, link):
    """raw_prediction <- link(raw_prediction)."""
    LINKS[link](raw_prediction)


def mean_loss(raw_prediction, Y, sample_weight, *, loss, hyper):
    """Weighted mean over the rows of a loss, without penalties.

    Parameters
    ----------
    raw_prediction : ndarray of shape (n_rows, n_outputs)
    Y : ndarray of shape (n_rows, n_targets), of the same dtype
    sample_weight : ndarray of shape (n_rows,) or None
    loss : str
    hyper : dict
        Parameters of the loss.
    """
    losses = np.empty(raw_prediction.shape)
    derivative, scratch = raw_prediction.copy(), Y.copy()  # the kernel overwrites both
    LOSSES[loss].kernel(derivative, scratch, losses, loss_hyper(loss, hyper))
    with np.errstate(over="ignore", invalid="ignore"):
        return float(np.average(losses.sum(axis=1), weights=sample_weight))
