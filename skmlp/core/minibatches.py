"""The entry kernel of training: gather, forward, loss, backward, penalty, step.

A minibatch is worked off in blocks of rows, so that memory is bounded and a very
large batch can be interrupted; the step follows its last block.
"""

from typing import NamedTuple

import numpy as np

from skmlp.core.dropout import combine
from skmlp.core.intrinsics import call, call_for_float, flat, vector_view
from skmlp.core.jit import jit
from skmlp.core.network import backward, forward, gather_input, weight_matrix
from skmlp.core.optimizers import update
from skmlp.core.regularization import Regularization, averaging_factor


class State(NamedTuple):
    """What training changes.

    Attributes
    ----------
    params : ndarray of shape (n_total,)
    average : ndarray of shape (n_total,) or (0,)
        Follows the parameters, if that is asked for.
    gradient : ndarray of shape (n_params,)
    moments : ndarray of shape (n_moments, n_params)
        The optimizer's memory.
    loss : ndarray of shape (2,), float64
        Sum over the epoch's rows so far, and over those of the open minibatch.
    """

    params: np.ndarray
    average: np.ndarray
    gradient: np.ndarray
    moments: np.ndarray
    loss: np.ndarray


class Recipe(NamedTuple):
    """How one epoch is run.

    Attributes
    ----------
    rows : ndarray of shape (n_rows,), intp, read-only
        The order in which rows are visited.
    rates, base_rates : ndarray of shape (n_steps,), float64
        Learning rate of each step, with and without the optimizer's corrections.
    step : int
        Address of the optimizer's step.
    hyper : ndarray, float64
        The optimizer's own parameters.
    batch_size, block_size : int
        Rows per step, and per pass through the network.
    alpha : float
        Strength of the penalty, which is divided by the minibatch's weight.
    mean_weight : float
        Mean of the sample weights over all training rows.
    regularization : Regularization
    seed, n_steps_before : int
        What the masks of dropout follow from, beside the place in the epoch.
    """

    rows: np.ndarray
    rates: np.ndarray
    base_rates: np.ndarray
    step: int
    hyper: np.ndarray
    batch_size: int
    block_size: int
    alpha: float
    mean_weight: float
    regularization: Regularization
    seed: int
    n_steps_before: int


def n_blocks(n_rows, batch_size, block_size):
    """Number of blocks of an epoch."""
    n_full, rest = divmod(n_rows, batch_size)
    return n_full * -(-batch_size // block_size) + -(-rest // block_size)


@jit
def row_weights(weight, data, rows, n_batch):
    """weight[i] <- share of row i in a minibatch of ``n_batch`` rows, per output."""
    share = weight.dtype.type(1 / n_batch)
    if data.sample_weight.size == 0:
        w = flat(weight)
        for i in range(w.size):
            w[i] = share
        return
    for i in range(rows.size):
        for k in range(weight.shape[1]):
            weight[i, k] = data.sample_weight[rows[i]] * share


@jit
def take_step(layout, state, recipe, n_batch, step):
    """Penalty, optimizer, and what is asked for around them; returns the penalty."""
    regularization, n_weights = recipe.regularization, layout.n_weights
    params = vector_view(state.params, 0, (layout.n_params,))
    alpha = recipe.alpha / (n_batch * recipe.mean_weight)
    l1, penalty = alpha * regularization.l1_ratio, 0.0
    l2, limits = alpha - l1, regularization.limits
    if regularization.prepare != 0:
        arguments = (params, state.gradient, n_weights, l1, l2, limits)
        penalty = call_for_float(regularization.prepare, arguments)
        l2 = 0.0
    if regularization.decay != 0:
        factor = recipe.base_rates[step] * regularization.weight_decay
        arguments = (params, state.moments, recipe.hyper, n_weights, factor)
        call(regularization.decay, arguments)
    penalty += update(
        recipe.step,
        params,
        state.gradient,
        state.moments,
        n_weights,
        l2,
        recipe.rates[step],
        recipe.hyper,
    )
    if regularization.bound != 0:
        arguments = (
            params,
            state.moments,
            recipe.hyper,
            state.gradient,
            layout.table,
            limits,
        )
        call(regularization.bound, arguments)
    if regularization.average != 0:
        factor = averaging_factor(limits, recipe.n_steps_before + step + 1)
        call(regularization.average, (state.average, state.params, factor))
    return penalty


@jit(entry=True)
def run_blocks(network, state, workspace, data, recipe, first, last):
    """Run blocks ``first`` to ``last - 1`` of an epoch."""
    n_rows, batch_size = recipe.rows.size, recipe.batch_size
    layout = network.layout
    params = vector_view(state.params, 0, (layout.n_params,))
    blocks_per_step = -(-batch_size // recipe.block_size)
    for block in range(first, last):
        step, part = divmod(block, blocks_per_step)
        batch_start = step * batch_size
        batch_stop = min(batch_start + batch_size, n_rows)
        start = batch_start + part * recipe.block_size
        stop = min(start + recipe.block_size, batch_stop)
        rows = vector_view(recipe.rows, start, (stop - start,))
        n_batch = batch_stop - batch_start

        weight = weight_matrix(layout, workspace, rows.size)
        row_weights(weight, data, rows, n_batch)
        key, offset = (
            combine(recipe.seed, recipe.n_steps_before + step),
            start - batch_start,
        )
        A = gather_input(network, workspace, data, rows, key, offset)
        forward(network, state.params, workspace, A, data, rows, key, offset)
        gradient = state.gradient if part == 0 else workspace.gradient
        loss = backward(network, params, gradient, workspace, data, rows, key, offset)
        if part == 0:
            state.loss[1] = loss
        else:
            state.loss[1] += loss
            add(state.gradient, gradient)

        if stop == batch_stop:
            state.loss[1] += take_step(layout, state, recipe, n_batch, step)
            state.loss[0] += state.loss[1] * n_batch


@jit
def add(total, part):
    """total += part."""
    for i in range(total.size):
        total[i] += part[i]
