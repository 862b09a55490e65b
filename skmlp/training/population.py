"""Exact statistics for normalized layers, in the place of running averages."""

import numpy as np
from scipy import sparse

from skmlp.core.inputs import read_only
from skmlp.core.layout import running_views, weight_views
from skmlp.training.inference import predict

_ROWS = 8192


def set_population_statistics(architecture, params, data, rows):
    """Set means and variances to those over ``rows``, layer by layer, in place.

    Each layer's are those of its input as prediction computes it, hence after the
    layers below have theirs.

    Parameters
    ----------
    architecture : Architecture
    params : ndarray of shape (n_total,)
    data : Data
    rows : ndarray of int
        In rising order.
    """
    layout = architecture.layout()
    matrices, statistics = weight_views(params, layout), running_views(params, layout)
    for i, name in enumerate(architecture.normalizations):
        if name == "batch":
            below = _blocks_of_layer(architecture, params, data, rows, i)
            products = ((A @ matrices[i], weight) for A, weight in below)
            statistics[i][:] = _weighted_moments(products)


def _blocks_of_layer(architecture, params, data, rows, layer):
    """Units of a layer and weights of rows, block by block."""
    for start in range(0, rows.size, _ROWS):
        own = rows[start : start + _ROWS]
        block, weight = block_of_rows(data, own), np.ones(own.size)
        if data.sample_weight.size:
            weight = data.sample_weight[own].astype(np.float64)
        yield layer_input(architecture, params, block, layer), weight


def layer_input(architecture, params, data, layer):
    """Units of a layer; of the input they may be sparse."""
    if layer or architecture.has_input_stages:
        return predict(architecture, params, data, layer=layer)
    return _as_matrix(data)


def block_of_rows(data, rows):
    """Some of the rows: a view, if they follow each other."""
    first, last = rows[0], rows[-1] + 1
    if data.sparse:
        block = data._replace(indptr=data.indptr[first : last + 1])
        return block if last - first == rows.size else _some_of(block, rows - first)
    if last - first == rows.size:
        return data._replace(X=data.X[first:last])
    return data._replace(X=read_only(data.X[rows]))


def _some_of(data, rows):
    own = _as_matrix(data)[rows]
    return data._replace(
        values=read_only(own.data),
        indices=read_only(own.indices.astype(np.int32, copy=False)),
        indptr=read_only(own.indptr.astype(np.int64, copy=False)),
    )


def _as_matrix(data):
    if not data.sparse:
        return data.X
    shape = data.n_rows, data.X.shape[1]
    own = slice(data.indptr[0], data.indptr[-1])
    indptr = data.indptr - data.indptr[0]
    return sparse.csr_array((data.values[own], data.indices[own], indptr), shape)


def _weighted_moments(blocks):
    """Mean and variance of columns in one pass (Chan, Golub and LeVeque, 1983)."""
    total, mean, squares = 0.0, 0.0, 0.0
    for block, w in blocks:
        added = w.sum()
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
