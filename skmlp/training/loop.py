"""The stochastic loop: one epoch after another, in runs short enough to interrupt."""

from math import isfinite
from operator import is_

import numpy as np

from skmlp.core.inputs import read_only
from skmlp.core.jit import entry_point
from skmlp.core.memory import empty_arrays
from skmlp.core.minibatches import (
    FIRST,
    LAST,
    STEPS_BEFORE,
    Recipe,
    State,
    arguments_of_threads,
    n_blocks,
    run_blocks,
)
from skmlp.core.network import training_network
from skmlp.core.optimizers import step_address
from skmlp.core.regularization import make_regularization
from skmlp.core.team import ALONE
from skmlp.core.workspace import make_workspace
from skmlp.training.blocks import (
    flops_per_row,
    minibatches,
    training_block_size,
    training_chunk_size,
)
from skmlp.training.threads import Threads

_UPDATE_FLOPS = 20


class Epochs:
    """A network, its data and the memory to train on them, epoch by epoch.

    While the context is entered there are threads that help, also between epochs.

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
    last_batch : {"keep", "merge", "drop"}, default="keep"
        What becomes of a last minibatch that is short.
    n_rows : int, default=None
        Rows of an epoch; by default all of ``data``.
    n_epochs : int, default=1
        At most.
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
        last_batch="keep",
        n_rows=None,
        n_epochs=1,
        optimizer="none",
        regularization=None,
        average=None,
        seed=0,
    ):
        dtype, layout = params.dtype, architecture.layout()
        n_rows = data.n_rows if n_rows is None else n_rows
        n_steps, n_seen = minibatches(n_rows, batch_size, last_batch)
        largest = max(batch_size, n_seen - (n_steps - 1) * batch_size)
        block_size = training_block_size(architecture, data, largest)
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
        forms = ((layout.n_params,), dtype), ((2,), np.float64), ((3,), np.int64)
        self.gradient, self._loss, self._span = empty_arrays(forms)
        self.data = data
        self.threads = Threads(
            -(-block_size // chunk_size),
            block_flops,
            n_blocks(n_seen, n_steps, batch_size, block_size) * n_epochs,
            stay=True,
        )
        self.workspace = make_workspace(
            architecture,
            block_size,
            dtype,
            sparse=data.sparse,
            training=True,
            chunk_size=chunk_size,
            team_size=self.threads.most,
        )
        self.batch_size, self.last_batch = batch_size, last_batch
        self.block_size, self.chunk_size = block_size, chunk_size
        self.alpha, self.mean_weight = float(alpha), float(mean_weight)
        self.step = step_address(optimizer, dtype)
        self.regularization = make_regularization(
            dtype, optimizer, **(regularization or {})
        )
        self.average = np.empty(0, dtype) if average is None else average
        self.seed = seed
        self._given = self._arguments = self._kernel = None
        self._nothing = np.empty((0, self.gradient.size), dtype), np.empty(0)

    def __enter__(self):
        self.threads.__enter__()
        return self

    def __exit__(self, *error):
        self.threads.__exit__(*error)

    def size(self, rows):
        """(optimizer steps, rows that are seen) of an epoch over ``rows``."""
        return minibatches(rows.size, self.batch_size, self.last_batch)

    def run(self, rows, rates, moments, hyper, *, base_rates=None, n_steps_before=0):
        """One epoch over ``rows`` in this order; returns the mean loss."""
        self._prepare(rows, moments, hyper)
        self._rates[:] = rates
        self._base_rates[:] = rates if base_rates is None else base_rates
        self._loss[:] = 0
        self._span[STEPS_BEFORE] = n_steps_before
        n_steps, n_seen = self.size(rows)
        n_total = n_blocks(n_seen, n_steps, self.batch_size, self.block_size)
        first = 0
        while first < n_total and isfinite(self._loss[0]):
            first = self.threads.run(self._work, first, n_total)
        return float(self._loss[0]) / n_seen

    def _prepare(self, *given):
        """Arguments of the kernel, the same for all epochs on the same arrays."""
        given = *given, self.data
        if self._given is not None and all(map(is_, given, self._given)):
            return
        self.threads.dismiss()
        self._given, (rows, moments, hyper, data) = given, given
        n_steps, n_seen = self.size(rows)
        self._rates, self._base_rates = np.empty((2, n_steps))
        params, average, gradient = self.params, self.average, self.gradient
        state = State(params, average, gradient, moments, hyper, self._loss)
        recipe = Recipe(
            read_only(rows[:n_seen]),
            self._rates,
            self._base_rates,
            self.step,
            self.batch_size,
            self.block_size,
            self.chunk_size,
            self.alpha,
            self.mean_weight,
            self.regularization,
            self.seed,
            self._span,
        )
        fixed = self.network, state, self.workspace, data, recipe
        self._arguments = arguments_of_threads(self.threads.most, *fixed)
        if self._kernel is None:
            arguments = *self._arguments[0], ALONE
            self._kernel = entry_point(run_blocks, params.dtype, arguments)

    def _work(self, team, first, last):
        if team.rank == 0:
            self._span[FIRST], self._span[LAST] = first, last
        return self._kernel(*self._arguments[team.rank], team)

    def loss_and_gradient(self, rows):
        """Mean loss, penalty included, and its gradient, as one full batch."""
        loss = self.run(rows, 0.0, *self._nothing)
        return loss, self.gradient
