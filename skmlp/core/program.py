"""A network as kernels take it: a list of stages, one after another.

A stage is a step of the forward pass, such as the product of one layer or its
activation, with what it does in the backward pass.  It is called by address:

``forward(network, params, workspace, data, s, chunk)``
    works on the chunk's part of the workspace;
``backward(network, params, gradient_tail, workspace, data, s, chunk)``
    turns the derivatives by what the stage has made into those by what it was given,
    and fills the gradient of its own parameters, unless these are weights.

``s`` is the stage's number, by which it finds its layer, its leaf kernels and its
numbers.  An address of zero means that there is nothing to do.
"""

from functools import cache
from typing import NamedTuple

import numpy as np

from skmlp.core.inputs import Data, read_only
from skmlp.core.layout import Layout, make_layout
from skmlp.core.workspace import Chunk, Workspace
from skmlp.machine.forms import Form
from skmlp.machine.intrinsics import reference_type
from skmlp.machine.products import Products

# Columns of `Network.program`; the leaves are kernels that stages call.
FORWARD_PASS, BACKWARD_PASS, LAYER, LEAF, LEAF_BACK = range(5)


class Network(NamedTuple):
    """Structure and kernels of a network, without its parameters.

    Attributes
    ----------
    layout : Layout
    program : ndarray of shape (n_stages, 5), int64
        For each stage: addresses of its forward and its backward pass, its layer, and
        addresses of the kernels that they call.
    numbers : ndarray of shape (n_stages, 2), float64
        Settings of stages, such as a dropout rate.
    csr_gradient : int
        Address of the first layer's weight gradient, if rows are sparse.
    head : int
        Address of the loss for training, of the link for prediction.
    head_hyper : ndarray, float64
        Parameters of the loss.
    products : Products
    """

    layout: Layout
    program: np.ndarray
    numbers: np.ndarray
    csr_gradient: int
    head: int
    head_hyper: np.ndarray
    products: Products


@cache
def references(dtype):
    """Kinds of references to a network, a workspace, data and a chunk."""
    table, none, rows = np.zeros((2, 1), np.int64), np.empty(0), np.empty((0, 0))
    network = Network(
        layout=make_layout((1, 1)),
        program=table,
        numbers=rows,
        csr_gradient=0,
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
    data = Data(
        X=read_only(rows.astype(dtype)),
        values=read_only(none.astype(dtype)),
        indices=read_only(none.astype(np.int32)),
        indptr=read_only(none.astype(np.int64)),
        Y=read_only(rows.astype(dtype)),
        sample_weight=read_only(none.astype(dtype)),
    )
    order = read_only(np.zeros(1, np.intp))
    chunk = Chunk(
        rows=order, at=0, first=0, key=0, dropout=1.0, n_rows_of_block=1, thread=0
    )
    return tuple(map(reference_type, (network, workspace, data, chunk)))


_NETWORK, _WORKSPACE, _DATA, _CHUNK = (
    lambda dtype, k=k: references(dtype)[k] for k in range(4)
)
STAGE = Form(_NETWORK, "vector", _WORKSPACE, _DATA, "index", _CHUNK)
STAGE_BACK = Form(_NETWORK, "vector", "vector", _WORKSPACE, _DATA, "index", _CHUNK)
