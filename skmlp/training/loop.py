"""The stochastic loop: one epoch after another, in runs short enough to interrupt."""

from time import perf_counter

import numpy as np

from skmlp.core.inputs import read_only
from skmlp.core.minibatches import Recipe, State, n_blocks, run_blocks
from skmlp.core.network import make_workspace, training_network
from skmlp.core.optimizers import step_address

_RUN_SECONDS = 0.03  # between two looks at Ctrl-C
_BLOCK_FLOPS = 4e9
_BLOCK_ROWS = 64, 1024
_UPDATE_FLOPS = 20
_FLOPS_PER_SECOND = 5e9  # a cautious guess, until a run has been measured


class Epochs:
    """A network, its data and the memory to train on them, epoch by epoch.

    Parameters
    ----------
    layout : Layout
    params : ndarray of shape (n_params,)
        Trained in place.
    data : Data
    activation, loss : str
    alpha : float
        Strength of the L2 penalty.
    mean_weight : float
        Mean sample weight.
    batch_size : int
    optimizer : str, default="none"
        Row of the optimizer table; "none" computes gradients only.
    """

    def __init__(
        self,
        layout,
        params,
        data,
        *,
        activation,
        loss,
        alpha,
        mean_weight,
        batch_size,
        optimizer="none",
    ):
        dtype, sparse = params.dtype, data.indptr.size > 0
        row_flops = _flops_per_row(layout, data, sparse)
        block_size = choose_block_size(batch_size, row_flops)
        block_flops = row_flops * block_size + _UPDATE_FLOPS * layout.n_params
        self.network = training_network(layout, activation, loss, dtype)
        self.params = params
        self.gradient = np.empty_like(params)
        self.data = data
        self.workspace = make_workspace(
            layout,
            block_size,
            dtype,
            sparse=sparse,
            training=True,
            accumulate=block_size < batch_size,
        )
        self.batch_size, self.block_size = batch_size, block_size
        self.alpha, self.mean_weight = float(alpha), float(mean_weight)
        self.step = step_address(optimizer, dtype)
        self.blocks_per_run = max(
            1, int(_RUN_SECONDS * _FLOPS_PER_SECOND / block_flops)
        )

    def n_steps(self, rows):
        """Optimizer steps of an epoch over ``rows``."""
        return -(-rows.size // self.batch_size)

    def run(self, rows, rates, moments, hyper):
        """One epoch over ``rows`` in this order; returns the mean loss."""
        state = State(self.params, self.gradient, moments, np.zeros(2))
        recipe = Recipe(
            read_only(rows),
            rates,
            self.step,
            hyper,
            self.batch_size,
            self.block_size,
            self.alpha,
            self.mean_weight,
        )
        first, n_total = 0, n_blocks(rows.size, self.batch_size, self.block_size)
        while first < n_total and np.isfinite(state.loss[0]):
            last = min(first + self.blocks_per_run, n_total)
            started = perf_counter()
            run_blocks(
                self.network, state, self.workspace, self.data, recipe, first, last
            )
            self._adjust_run(last - first, perf_counter() - started)
            first = last
        return float(state.loss[0]) / rows.size

    def loss_and_gradient(self, rows):
        """Mean loss, penalty included, and its gradient, as one full batch."""
        moments = np.empty((0, self.params.size), self.params.dtype)
        loss = self.run(rows, np.zeros(self.n_steps(rows)), moments, np.zeros(0))
        return loss, self.gradient

    def _adjust_run(self, n_run, seconds):
        """Keep runs short whatever the machine; lengths do not change results."""
        fitting = int(n_run * _RUN_SECONDS / max(seconds, 1e-9))
        self.blocks_per_run = max(1, min(fitting, 2 * self.blocks_per_run))


def choose_block_size(batch_size, row_flops):
    """Rows per pass: the minibatch, or equal parts of one that is too large."""
    fewest, most = _BLOCK_ROWS
    limit = min(max(int(_BLOCK_FLOPS / row_flops), fewest), most)
    n_parts = -(-batch_size // limit)
    return -(-batch_size // n_parts)


def _flops_per_row(layout, data, sparse):
    """Of a forward and a backward pass."""
    fan_in = layout.sizes[:-1].astype(np.float64)
    if sparse:
        n_rows = max(data.indptr.size - 1, 1)
        fan_in[0] = data.values.size / n_rows
    return 6.0 * float(fan_in @ layout.sizes[1:]) + 1.0


def shuffled(order, random_state):
    """A permutation of ``order``, drawn as `sklearn.utils.shuffle` draws it."""
    permutation = np.arange(order.size)
    random_state.shuffle(permutation)
    return order[permutation]
