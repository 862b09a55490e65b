"""Predictions, in runs short enough to interrupt, and their loss."""

import numpy as np

from skmlp.core.checks import check_network
from skmlp.core.inputs import read_only
from skmlp.core.losses import LINKS, LOSSES, loss_hyper
from skmlp.core.network import prediction_network
from skmlp.core.predict import predict_blocks
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
    (out,) = predict_each(architecture, (params,), data, link=link, layer=layer)
    return out


def predict_each(architecture, vectors, data, *, link="identity", layer=None):
    """What `predict` returns for each of several vectors of one dtype, in turn."""
    for params in vectors:
        check_network(architecture.layout(), params, data)
    n_blocks, block_size = _blocks(architecture, data)
    row_flops = 2 * architecture.layout().n_weights
    threads = Threads(n_blocks, block_size * row_flops, n_blocks * len(vectors))
    fixed = architecture, data, vectors[0].dtype, block_size, n_blocks
    with threads:
        make = _predictor(*fixed, link, layer, threads)
        for params in vectors:
            was_alone = threads.is_lost
            out = make(params)
            if threads.is_lost and not was_alone:
                # The lost thread may still write to the memory it knows.
                make = _predictor(*fixed, link, layer, threads)
                out = make(params)
            yield out


def _blocks(architecture, data):
    """How many blocks of rows there are, and their size."""
    block_size = prediction_block_size(architecture, data, data.n_rows)
    return -(-data.n_rows // block_size), block_size


def _predictor(architecture, data, dtype, block_size, n_blocks, link, layer, threads):
    """A function from a vector to predictions, complete unless a thread is lost on the
    way; its memory is new."""
    sizes, n_rows = architecture.sizes, data.n_rows
    options = {"sparse": data.sparse, "training": False, "team_size": threads.most}
    workspace = make_workspace(architecture, block_size, dtype, **options)
    network = prediction_network(architecture, link, dtype, sparse=data.sparse)
    layer = len(sizes) - 1 if layer is None else layer

    def make(params):
        out = np.empty((n_rows, sizes[layer]), dtype)

        def run(seat, first, last):
            start, stop = first * block_size, min(last * block_size, n_rows)
            rows, part = read_only(np.arange(start, stop)), out[start:stop]
            fixed = network, params, workspace, data, rows, part, block_size, layer
            kernel = entry_point(predict_blocks, dtype, (*fixed, ALONE))
            return last if kernel(*fixed, seat) else -1 - first

        first, alone = 0, threads.is_lost
        while first < n_blocks and threads.is_lost == alone:
            first = threads.run(run, first, n_blocks)
        return out

    return make


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
