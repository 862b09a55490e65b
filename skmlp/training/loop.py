"""The stochastic loop: one epoch after another, in runs short enough to interrupt."""

from functools import partial
from math import isfinite
from operator import is_

import numpy as np

from skmlp.core.checks import check_training
from skmlp.core.inputs import read_only
from skmlp.core.minibatches import (
    FIRST,
    LAST,
    STEPS_BEFORE,
    Recipe,
    State,
    arguments_of_threads,
    run_blocks,
)
from skmlp.core.network import training_network
from skmlp.core.optimizers import optimizer_addresses
from skmlp.core.regularization import make_regularization
from skmlp.core.workspace import make_workspace
from skmlp.machine.jit import entry_point
from skmlp.machine.memory import empty_arrays, empty_like
from skmlp.machine.team import ALONE
from skmlp.machine.threads import Threads
from skmlp.training.blocks import cut_rows, flops_per_row

_UPDATE_FLOPS = 20


class Epochs:
    """A network, its data and the memory to train on them, epoch by epoch.

    While the context is entered there are threads that help, also between epochs.

    Parameters
    ----------
    architecture : Architecture
    params : ndarray of shape (n_total,)
        Trained in place, buffers included.
    training : TrainingRows
    objective : Objective
    alpha : float
        Strength of the L2 penalty.
    batch_size : int
    last_batch : {"keep", "merge", "drop"}, default="keep"
        What becomes of a last minibatch that is short.
    n_epochs : int, default=1
        At most.
    optimizer : str, default="none"
        Row of the optimizer table; "none" computes gradients only.
    regularization : dict, default=None
        Arguments of `make_regularization`.
    average : ndarray of shape (n_total,), default=None
        Follows the parameters, with ``ema_decay`` in ``regularization``.
    factors : ndarray of shape (n_groups,), default=None
        Of the learning rate, for each group of parameters of the layout; by default
        there is one group.
    seed : int, default=0
        Of the masks of dropout.
    """

    def __init__(
        self,
        architecture,
        params,
        training,
        objective,
        *,
        alpha,
        batch_size,
        last_batch="keep",
        n_epochs=1,
        optimizer="none",
        regularization=None,
        average=None,
        factors=None,
        seed=0,
    ):
        dtype, layout = params.dtype, architecture.layout()
        data, n_rows = training.data, training.rows.size
        self.cut = cut_rows(architecture, data, n_rows, batch_size, last_batch)
        block_flops = flops_per_row(layout, data) * self.cut.block_size
        block_flops += _UPDATE_FLOPS * layout.n_params
        self.network = training_network(
            architecture,
            objective.loss,
            dtype,
            objective.hyper,
            n_rows=self.cut.block_size,
            sparse=data.sparse,
        )
        self.params, self.data = params, data
        n_all_blocks = self.cut.n_blocks(n_rows) * n_epochs
        self.threads = Threads(self.cut.n_chunks, block_flops, n_all_blocks, stay=True)
        self._make_memory = partial(_memory, architecture, self.cut)
        self._take_new_memory()
        self.alpha, self.mean_weight = float(alpha), float(training.mean_weight)
        self.optimizer = optimizer_addresses(optimizer, dtype)
        self.regularization = make_regularization(
            dtype, optimizer, **(regularization or {})
        )
        self.average = np.empty(0, dtype) if average is None else average
        self.factors = np.ones(1) if factors is None else factors
        self.seed = seed
        self._given = self._arguments = self._kernel = self._before = None
        self._nothing = np.empty((0, self.gradient.size), dtype), np.empty(0)

    def __enter__(self):
        self.threads.__enter__()
        return self

    def __exit__(self, *error):
        self.threads.__exit__(*error)

    def run(
        self,
        rows,
        rates,
        moments,
        hyper,
        *,
        base_rates=None,
        dropouts=1.0,
        decays=1.0,
        n_steps_before=0,
    ):
        """One epoch over ``rows`` in this order; returns the mean loss.

        ``dropouts`` and ``decays`` are factors of the dropout rates and of the weight
        decay.

        Afterwards what it changes is in the attributes of these names. They are the
        arrays that were given, unless a thread was lost that may still write to them.
        """
        self._prepare(rows, moments, hyper)
        self._rates[:] = rates
        self._base_rates[:] = rates if base_rates is None else base_rates
        self._dropouts[:], self._decays[:] = dropouts, decays
        self._loss[:] = 0
        self._span[STEPS_BEFORE] = n_steps_before
        self._before = None
        _, n_seen = self.cut.minibatches(rows.size)
        n_total = self.cut.n_blocks(rows.size)
        first = 0
        while first < n_total and isfinite(self._loss[0]):
            was_lost = self.threads.is_lost
            first = self.threads.run(self._work, first, n_total)
            if self.threads.is_lost and not was_lost:
                first = self._give_up_shared_memory(first)
        return float(self._loss[0]) / n_seen

    def _prepare(self, *given):
        """Arguments of the kernel, the same for all epochs on the same arrays."""
        given = *given, self.data
        if self._given is not None and all(map(is_, given, self._given)):
            return
        self.threads.dismiss()
        self._given, (rows, self.moments, self.hyper, data) = given, given
        n_steps, n_seen = self.cut.minibatches(rows.size)
        self._by_step = np.empty((4, n_steps))
        self._rates, self._base_rates, self._dropouts, self._decays = self._by_step
        recipe = Recipe(
            read_only(rows[:n_seen]),
            self._rates,
            self._base_rates,
            self.factors,
            self._dropouts,
            self._decays,
            *self.optimizer,
            self.cut.batch_size,
            self.cut.block_size,
            self.cut.chunk_size,
            self.alpha,
            self.mean_weight,
            self.regularization,
            self.seed,
            self._span,
        )
        state = self._state()
        check_training(self.network.layout, self.workspace, state, data, recipe)
        fixed = self.network, state, self.workspace, data, recipe
        self._arguments = arguments_of_threads(self.threads.most, *fixed)
        if self._kernel is None:
            arguments = *self._arguments[0], ALONE
            self._kernel = entry_point(run_blocks, self.params.dtype, arguments)

    def _state(self):
        """The first thread's state."""
        fixed = self.params, self.average, self.gradient, self.moments, self.hyper
        return State(*fixed, self._loss)

    def _work(self, seat, first, last):
        if seat.number == 0:
            self._span[FIRST], self._span[LAST] = first, last
            if seat.size > 1 and self._before is None:
                self._keep_state(first)
        return self._kernel(*self._arguments[seat.number], seat)

    def _keep_state(self, first):
        """Copy what threads change together, once in an epoch."""
        if self.workspace.has_replicas:
            return
        if self._copies is None:
            self._copies = State(*empty_like(self._state()))
        for copy, array in zip(self._copies, self._state()):
            copy[:] = array
        self._before = first

    def _give_up_shared_memory(self, reached):
        """Go on where no lost thread can write; returns from which block.

        Replicas are each thread's own. What threads change together is as it was when
        it was copied.
        """
        if self._before is not None:
            reached, kept = self._before, self._copies
            self.params, self.average, self.gradient = kept[:3]
            self.moments, self.hyper, self._loss = kept[3:]
        gradient, loss, span = self.gradient, self._loss, self._span
        self._take_new_memory()
        self.gradient[:], self._loss[:], self._span[:] = gradient, loss, span
        rows, self._given = self._given[0], None
        by_step = self._by_step
        self._prepare(rows, self.moments, self.hyper)
        self._by_step[:] = by_step
        return reached

    def _take_new_memory(self):
        """Memory that no other thread knows."""
        self._copies = None
        memory = self._make_memory(self.params.dtype, self.data, self.threads.most)
        self.workspace, self.gradient, self._loss, self._span = memory

    def loss_and_gradient(self, rows):
        """Mean loss, penalty included, and its gradient, as one full batch."""
        loss = self.run(rows, 0.0, *self._nothing)
        return loss, self.gradient


def _memory(architecture, cut, dtype, data, n_threads):
    """A workspace; a gradient, the loss and a span of blocks."""
    workspace = make_workspace(
        architecture,
        cut.block_size,
        dtype,
        sparse=data.sparse,
        training=True,
        chunk_size=cut.chunk_size,
        team_size=n_threads,
    )
    n_params = architecture.layout().n_params
    forms = ((n_params,), dtype), ((2,), np.float64), ((3,), np.int64)
    return workspace, *empty_arrays(forms)
