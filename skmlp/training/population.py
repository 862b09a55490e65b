"""Exact statistics for normalised layers, in the place of running averages."""

import numpy as np
from scipy import sparse

from skmlp.core.layout import running_views, weight_views
from skmlp.training.inference import predict

_ROWS = 8192


def set_population_statistics(architecture, params, data, weight):
    """Set means and variances to those over all rows, layer by layer, in place.

    Each layer's are those of its input as prediction computes it, hence after the
    layers below have theirs.

    Parameters
    ----------
    architecture : Architecture
    params : ndarray of shape (n_total,)
    data : Data
    weight : ndarray of shape (n_rows,)
        Weights of rows; zero leaves a row out.
    """
    layout = architecture.layout()
    matrices, statistics = weight_views(params, layout), running_views(params, layout)
    for i, name in enumerate(architecture.normalizations):
        if name == "batch":
            below = _blocks_of_layer(architecture, params, data, i)
            products = (A @ matrices[i] for A in below)
            statistics[i][:] = _weighted_moments(products, weight)


def _blocks_of_layer(architecture, params, data, layer):
    """Units of a layer, block by block."""
    for start in range(0, data.n_rows, _ROWS):
        block = _block(data, start, min(start + _ROWS, data.n_rows))
        yield (
            predict(architecture, params, block, layer=layer)
            if layer
            else _as_matrix(block)
        )


def _block(data, start, stop):
    if data.sparse:
        return data._replace(indptr=data.indptr[start : stop + 1])
    return data._replace(X=data.X[start:stop])


def _as_matrix(data):
    if not data.sparse:
        return data.X
    shape = data.n_rows, data.X.shape[1]
    own = slice(data.indptr[0], data.indptr[-1])
    indptr = data.indptr - data.indptr[0]
    return sparse.csr_array((data.values[own], data.indices[own], indptr), shape)


def _weighted_moments(blocks, weight):
    """Mean and variance of columns in one pass (Chan, Golub and LeVeque, 1983)."""
    total, mean, squares, seen = 0.0, 0.0, 0.0, 0
    for block in blocks:
        w = weight[seen : seen + len(block)].astype(np.float64)
        seen, added = seen + len(block), w.sum()
        if added == 0:
            continue
        block = block.astype(np.float64)
        block_mean = w @ block / added
        shift = block_mean - mean
        squares = squares + w @ (block - block_mean) ** 2
        squares = squares + shift**2 * total * added / (total + added)
        total += added
        mean = mean + shift * added / total
    return mean, squares / total
