"""The entry kernel of training: gather, forward, loss, backward, penalty, step.

A minibatch is worked off in blocks of rows, so that memory is bounded and a very
large batch can be interrupted; the step follows its last block. The rows of a block
pass through the network in chunks, of which each thread of a team takes some.
"""

from typing import NamedTuple

import numpy as np

from skmlp.core.dropout import combine
from skmlp.core.intrinsics import call, call_for_float, flat, refer, vector_view
from skmlp.core.jit import jit
from skmlp.core.network import (
    backward,
    forward,
    gather_input,
    pack_weights,
    tail_gradient,
    weight_gradient,
)
from skmlp.core.optimizers import begin_step, update
from skmlp.core.regularization import Regularization, averaging_factor
from skmlp.core.team import wait
from skmlp.core.workspace import NO_LAYER, TAILS, WEIGHT, Chunk, part_of, rows_of


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
    batch_size, block_size, chunk_size : int
        Rows per step, per part of it that the workspace holds, and per pass through the
        network.
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
    chunk_size: int
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


@jit(once=True)
def work_through(network, state, workspace, data, recipe, block, n_batch, team):
    """Forward and backward passes of a block, chunk by chunk."""
    for i in range(team.rank, -(-block.rows.size // recipe.chunk_size), team.size):
        at = i * recipe.chunk_size
        n_rows = min(recipe.chunk_size, block.rows.size - at)
        rows = vector_view(block.rows, at, (n_rows,))
        chunk = refer(Chunk(rows, at, block.first + at, block.key, block.n_rows))
        weight = rows_of(workspace, chunk, NO_LAYER, WEIGHT)
        row_weights(weight, data, rows, n_batch)
        A = gather_input(network, workspace, data, chunk)
        forward(network, state.params, workspace, A, data, chunk)
        gradient = part_of(workspace, NO_LAYER, TAILS, i)
        loss = backward(network, state.params, gradient, workspace, data, chunk)
        workspace.sums[i] = loss


@jit(view=True)
def squares_of(workspace, recipe):
    """Room for the sum of squares in each stretch, behind the losses of chunks."""
    start = -(-recipe.block_size // recipe.chunk_size)
    return vector_view(workspace.sums, start, (workspace.sums.size - start,))


@jit
def take_step(layout, state, workspace, recipe, n_batch, step, team):
    """Penalty, optimizer, and what is asked for around them; returns the penalty."""
    regularization, n_weights, penalty = recipe.regularization, layout.n_weights, 0.0
    params = vector_view(state.params, 0, (layout.n_params,))
    alpha = recipe.alpha / (n_batch * recipe.mean_weight)
    l1, l2, limits = 0.0, alpha, regularization.limits
    if regularization.prepare != 0:
        l1, l2 = alpha * regularization.l1_ratio, 0.0
    if team.rank == 0:
        if regularization.prepare != 0:
            arguments = (params, state.gradient, n_weights, l1, alpha - l1, limits)
            penalty = call_for_float(regularization.prepare, arguments)
        if regularization.decay != 0:
            factor = recipe.base_rates[step] * regularization.weight_decay
            arguments = (params, state.moments, recipe.hyper, n_weights, factor)
            call(regularization.decay, arguments)
    if regularization.prepare != 0 or regularization.decay != 0:
        wait(team)
    squares = squares_of(workspace, recipe)
    update(
        recipe.step,
        params,
        state.gradient,
        state.moments,
        n_weights,
        l2,
        recipe.rates[step],
        recipe.hyper,
        squares,
        team,
    )
    wait(team)
    if team.rank == 0:
        penalty += 0.5 * l2 * total(squares, squares.size)
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
    if regularization.bound != 0 or regularization.average != 0:
        wait(team)
    return penalty


@jit(strict=True)
def total(values, n):
    """Sum of the first n."""
    result = 0.0
    for i in range(n):
        result += values[i]
    return result


@jit(entry=True)
def run_blocks(network, state, workspace, data, recipe, team, first, last):
    """Run blocks ``first`` to ``last - 1`` of an epoch, with all threads of the team.

    Between two meetings of the threads nobody reads what another one writes.
    """
    network, state, workspace = refer(network), refer(state), refer(workspace)
    data, recipe = refer(data), refer(recipe)
    n_rows, batch_size, layout = recipe.rows.size, recipe.batch_size, network.layout
    blocks_per_step = -(-batch_size // recipe.block_size)
    if not wait(team):
        return
    for i in range(first, last):
        step, part = divmod(i, blocks_per_step)
        batch_start = step * batch_size
        batch_stop = min(batch_start + batch_size, n_rows)
        start = batch_start + part * recipe.block_size
        stop = min(start + recipe.block_size, batch_stop)
        rows = vector_view(recipe.rows, start, (stop - start,))
        key = combine(recipe.seed, recipe.n_steps_before + step)
        block = refer(Chunk(rows, np.int64(0), start - batch_start, key, rows.size))
        n_batch = batch_stop - batch_start

        if part == 0 or rows.size < recipe.block_size:  # whose products may be small
            pack_weights(network, state.params, workspace, rows.size, team)
            wait(team)
        work_through(network, state, workspace, data, recipe, block, n_batch, team)
        wait(team)
        weight_gradient(network, state.gradient, workspace, data, block, part, team)
        is_last = stop == batch_stop
        if team.rank == 0:
            n_chunks = -(-rows.size // recipe.chunk_size)
            tail_gradient(layout, state.gradient, workspace, n_chunks, part)
            loss = total(workspace.sums, n_chunks)
            state.loss[1] = loss if part == 0 else state.loss[1] + loss
            if is_last:
                begin_step(
                    recipe.step,
                    state.params,
                    state.gradient,
                    state.moments,
                    recipe.rates[step],
                    recipe.hyper,
                )
        wait(team)

        if is_last:
            penalty = take_step(layout, state, workspace, recipe, n_batch, step, team)
            if team.rank == 0:
                state.loss[0] += (state.loss[1] + penalty) * n_batch
