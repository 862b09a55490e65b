"""The stochastic loop: one epoch after another, in runs short enough to interrupt."""

from math import isfinite

import numpy as np

from skmlp.core.inputs import read_only
from skmlp.core.jit import entry_point
from skmlp.core.minibatches import Recipe, State, n_blocks, run_blocks
from skmlp.core.network import training_network
from skmlp.core.optimizers import step_address
from skmlp.core.regularization import make_regularization
from skmlp.core.team import ALONE
from skmlp.core.workspace import make_workspace
from skmlp.training.blocks import (
    flops_per_row,
    training_block_size,
    training_chunk_size,
)
from skmlp.training.threads import Threads

_UPDATE_FLOPS = 20


class Epochs:
    """A network, its data and the memory to train on them, epoch by epoch.

    Parameters
    ----------
    architecture : Architecture
    params : ndarray of shape (n_total,)
        Trained in place, buffers included.
    data : Data
    loss : str
    loss_hyper : dict, default=None
        Parameters of the loss.
    alpha : float
        Strength of the L2 penalty.
    mean_weight : float
        Mean sample weight.
    batch_size : int
    optimizer : str, default="none"
        Row of the optimizer table; "none" computes gradients only.
    regularization : dict, default=None
        Arguments of `make_regularization`.
    average : ndarray of shape (n_total,), default=None
        Follows the parameters, with ``ema_decay`` in ``regularization``.
    seed : int, default=0
        Of the masks of dropout.
    """

    def __init__(
        self,
        architecture,
        params,
        data,
        *,
        loss,
        loss_hyper=None,
        alpha,
        mean_weight,
        batch_size,
        optimizer="none",
        regularization=None,
        average=None,
        seed=0,
    ):
        dtype, layout = params.dtype, architecture.layout()
        block_size = training_block_size(architecture, data, batch_size)
        chunk_size = training_chunk_size(architecture, data, block_size)
        block_flops = flops_per_row(layout, data) * block_size
        block_flops += _UPDATE_FLOPS * layout.n_params
        self.network = training_network(
            architecture,
            loss,
            dtype,
            loss_hyper,
            n_rows=block_size,
            sparse=data.sparse,
        )
        self.params = params
        self.gradient = np.empty(layout.n_params, dtype)
        self.data = data
        self.threads = Threads(-(-block_size // chunk_size), block_flops)
        self.workspace = make_workspace(
            architecture,
            block_size,
            dtype,
            sparse=data.sparse,
            training=True,
            chunk_size=chunk_size,
            team_size=self.threads.most,
        )
        self.batch_size = batch_size
        self.block_size, self.chunk_size = block_size, chunk_size
        self.alpha, self.mean_weight = float(alpha), float(mean_weight)
        self.step = step_address(optimizer, dtype)
        self.regularization = make_regularization(
            dtype, optimizer, **(regularization or {})
        )
        self.average = np.empty(0, dtype) if average is None else average
        self.seed = seed
        self._kernel = None

    def n_steps(self, rows):
        """Optimizer steps of an epoch over ``rows``."""
        return -(-rows.size // self.batch_size)

    def run(self, rows, rates, moments, hyper, *, base_rates=None, n_steps_before=0):
        """One epoch over ``rows`` in this order; returns the mean loss."""
        state = State(self.params, self.average, self.gradient, moments, np.zeros(2))
        recipe = Recipe(
            read_only(rows),
            rates,
            rates if base_rates is None else base_rates,
            self.step,
            hyper,
            self.batch_size,
            self.block_size,
            self.chunk_size,
            self.alpha,
            self.mean_weight,
            self.regularization,
            self.seed,
            n_steps_before,
        )
        fixed = self.network, state, self.workspace, self.data, recipe
        first, n_total = 0, n_blocks(rows.size, self.batch_size, self.block_size)
        if self._kernel is None:
            arguments = *fixed, ALONE, 0, 0
            self._kernel = entry_point(run_blocks, self.params.dtype, arguments)

        def work(team, first, last):
            self._kernel(*fixed, team, first, last)

        while first < n_total and isfinite(state.loss[0]):
            first = self.threads.run(work, first, n_total)
        return float(state.loss[0]) / rows.size

    def loss_and_gradient(self, rows):
        """Mean loss, penalty included, and its gradient, as one full batch."""
        moments = np.empty((0, self.gradient.size), self.params.dtype)
        loss = self.run(rows, np.zeros(self.n_steps(rows)), moments, np.zeros(0))
        return loss, self.gradient
