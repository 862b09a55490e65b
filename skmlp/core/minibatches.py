"""The entry kernel of training: gather, forward, loss, backward, penalty, step.

A minibatch is worked off in blocks of rows, so that memory is bounded and a very
large batch can be interrupted; the step follows its last block. The rows of a block
pass through the network in chunks, of which each thread of a team takes some.
"""

from typing import NamedTuple

import numpy as np

from skmlp.core.dropout import combine
from skmlp.core.layout import LENGTH, START
from skmlp.core.network import (
    backward,
    forward,
    pack_weights,
    weight_gradient,
)
from skmlp.core.optimizers import begin_step, update
from skmlp.core.regularization import (
    AVERAGE,
    BOUND,
    DECAY,
    PREPARE,
    Regularization,
    averaging_factor,
)
from skmlp.core.workspace import (
    NO_LAYER,
    WEIGHT,
    Chunk,
    gradient_of,
    replica_of,
    rows_of,
    start_of_gradient,
)
from skmlp.machine.intrinsics import call, flat, refer, vector_view
from skmlp.machine.jit import jit
from skmlp.machine.memory import empty_like
from skmlp.machine.team import (
    alone,
    are_together,
    begin,
    end_early,
    ends_before,
    share,
    wait,
)

FIRST, LAST, STEPS_BEFORE = np.arange(3)  # of `Recipe.span`


class State(NamedTuple):
    """Everything that training changes.

    Attributes
    ----------
    params : ndarray of shape (n_total,)
    average : ndarray of shape (n_total,) or (0,)
        Follows the parameters, if that is asked for.
    gradient : ndarray of shape (n_params,)
    moments : ndarray of shape (n_moments, n_params)
        The optimizer's memory.
    hyper : ndarray, float64
        The optimizer's own parameters, and the numbers that it carries along.
    loss : ndarray of shape (2,), float64
        Sum over the epoch's rows so far, and over those of the open minibatch.
    """

    params: np.ndarray
    average: np.ndarray
    gradient: np.ndarray
    moments: np.ndarray
    hyper: np.ndarray
    loss: np.ndarray


class Recipe(NamedTuple):
    """How one epoch is run.

    Attributes
    ----------
    rows : ndarray of shape (n_rows,), intp, read-only
        The order in which rows are visited.
    rates, base_rates : ndarray of shape (n_steps,), float64
        Learning rate of each step, with and without the optimizer's corrections.
    factors : ndarray of shape (n_groups,), float64
        Of the rates, for each group of parameters.
    dropouts, decays : ndarray of shape (n_steps,), float64
        Factors of all dropout rates, and of the weight decay, at each step.
    begin, step : int
        Addresses of what begins a step of the optimizer, or zero, and of the step.
    batch_size, block_size, chunk_size : int
        Rows per step, per part of it that the workspace holds, and per pass through the
        network. The last step has all rows that are left.
    alpha : float
        Strength of the penalty, which is divided by the minibatch's weight.
    mean_weight : float
        Mean of the sample weights over all training rows.
    regularization : Regularization
    seed : int
        What the masks of dropout follow from, beside the minibatch and the place in it.
    span : ndarray of shape (3,), int64
        The first block of the run, the one behind its last, and how many steps came
        before the epoch.
    """

    rows: np.ndarray
    rates: np.ndarray
    base_rates: np.ndarray
    factors: np.ndarray
    dropouts: np.ndarray
    decays: np.ndarray
    begin: int
    step: int
    batch_size: int
    block_size: int
    chunk_size: int
    alpha: float
    mean_weight: float
    regularization: Regularization
    seed: int
    span: np.ndarray


def arguments_of_threads(n_threads, network, state, workspace, data, recipe):
    """Arguments of `run_blocks` for each thread, with its replica if it has one."""
    own = [(state, workspace)] * n_threads
    if workspace.has_replicas:
        for k in range(1, n_threads):
            own[k] = State(*empty_like(state)), replica_of(workspace)
    return [(network, *mine, state, data, recipe) for mine in own]


def n_blocks(n_rows, n_steps, batch_size, block_size):
    """Number of blocks of an epoch, whose last step has all rows that are left."""
    left = n_rows - (n_steps - 1) * batch_size
    return (n_steps - 1) * -(-batch_size // block_size) + -(-left // block_size)


class Block(NamedTuple):
    """Rows of a minibatch that the workspace holds at once.

    Attributes
    ----------
    rows : ndarray of intp, read-only
        Which.
    step, part : int
        Number of the minibatch in the epoch, and of the block in the minibatch.
    n_batch : int
        Rows of the minibatch.
    is_last : bool
        Whether the minibatch ends with it, so that a step follows.
    first : int
        Place of the first row in the minibatch.
    key : int
        What the minibatch's masks follow from.
    n_chunks : int
    results : int
        Place of the first chunk's results: blocks take turns with two sets of them.
    """

    rows: np.ndarray
    step: int
    part: int
    n_batch: int
    is_last: bool
    first: int
    key: int
    n_chunks: int
    results: int


@jit
def block_of(recipe, workspace, i):
    """The i-th block of an epoch."""
    batch_size, last = recipe.batch_size, recipe.rates.size - 1
    n_parts = -(-batch_size // recipe.block_size)
    step = min(i // n_parts, last)
    part, batch_start = i - step * n_parts, step * batch_size
    batch_stop = recipe.rows.size if step == last else batch_start + batch_size
    start = batch_start + part * recipe.block_size
    stop = min(start + recipe.block_size, batch_stop)
    rows = vector_view(recipe.rows, start, (stop - start,))
    key = combine(recipe.seed, recipe.span[STEPS_BEFORE] + step)
    n_chunks = -(-rows.size // recipe.chunk_size)
    results = i % 2 * (workspace.sums.shape[0] // 2)
    n_batch, first = batch_stop - batch_start, start - batch_start
    is_last = stop == batch_stop
    return Block(rows, step, part, n_batch, is_last, first, key, n_chunks, results)


@jit
def row_weights(weight, data, rows, n_batch):
    """weight[i] <- share of row i in a minibatch of ``n_batch`` rows, per output."""
    equal = weight.dtype.type(1 / n_batch)
    if data.sample_weight.size == 0:
        w = flat(weight)
        for i in range(w.size):
            w[i] = equal
        return
    for i in range(rows.size):
        for k in range(weight.shape[1]):
            weight[i, k] = data.sample_weight[rows[i]] * equal


@jit(once=True)
def pass_chunks(network, state, workspace, data, recipe, block, team):
    """Forward and backward passes of the thread's chunks, whose results all may read:
    losses, and gradients or, without replicas, those of biases and scales."""
    for k in range(*share(block.n_chunks, team.rank, team.size)):
        at = k * recipe.chunk_size
        n_rows = min(recipe.chunk_size, block.rows.size - at)
        rows = vector_view(block.rows, at, (n_rows,))
        first, thread = block.first + at, np.int64(team.rank)
        dropout, n_rows = recipe.dropouts[block.step], block.rows.size
        chunk = refer(Chunk(rows, at, first, block.key, dropout, n_rows, thread))
        weight = rows_of(workspace, chunk, NO_LAYER, WEIGHT)
        row_weights(weight, data, rows, block.n_batch)
        forward(network, state.params, workspace, data, chunk)
        gradient = gradient_of(workspace, network.layout, block.results + k)
        loss = backward(network, state.params, gradient, workspace, data, chunk)
        workspace.sums[block.results + k, 0] = loss
        if workspace.has_replicas:
            adds, own = np.int64(0), alone(team)
            weight_gradient(network, gradient, workspace, data, chunk, adds, own)


@jit
def whole_weight_gradient(network, state, workspace, data, block, team):
    """The thread's share of the weights' gradient, from all rows of the block."""
    rows, at, thread = block.rows, np.int64(0), np.int64(team.rank)
    chunk = refer(Chunk(rows, at, block.first, block.key, 0.0, rows.size, thread))
    gradient, adds = state.gradient, block.part
    weight_gradient(network, gradient, workspace, data, chunk, adds, team)


@jit
def reduce_chunks(layout, state, workspace, block, team):
    """Add up what chunks have of the loss and of the gradient, each thread where it
    will take the step; but for the first block of a minibatch, to what is there."""
    start_of_part = start_of_gradient(workspace, layout)
    results = range(block.results, block.results + block.n_chunks)
    first, last = share(workspace.squares.size, team.rank, team.size)
    for i in range(first, last):
        start, length = layout.stretches[i, START], layout.stretches[i, LENGTH]
        if start < start_of_part:
            continue
        there = vector_view(state.gradient, start, (length,))
        if block.part == 0:
            there[:] = 0
        for k in results:
            part = gradient_of(workspace, layout, k)
            part = vector_view(part, start - start_of_part, (length,))
            for j in range(length):
                there[j] += part[j]
    if team.rank == 0:
        loss = loss_of_chunks(workspace, block)
        state.loss[1] = loss if block.part == 0 else state.loss[1] + loss


@jit(strict=True)
def loss_of_chunks(workspace, block):
    """Sum over the chunks of a block."""
    result = 0.0
    for k in range(block.results, block.results + block.n_chunks):
        result += workspace.sums[k, 0]
    return result


@jit(strict=True)
def total(values):
    """Sum of a vector."""
    result = 0.0
    for i in range(values.size):
        result += values[i]
    return result


@jit
def before_step(layout, state, recipe, params, alpha, step):
    """Apply what needs the whole gradient before the step; returns the penalty."""
    regularization, n_weights, penalty = recipe.regularization, layout.n_weights, 0.0
    if regularization.prepare != 0:
        l1, limits = alpha * regularization.l1_ratio, regularization.limits
        arguments = (params, state.gradient, n_weights, l1, alpha - l1, limits)
        penalty = call(PREPARE, regularization.prepare, arguments)
    if regularization.decay != 0:
        factor = recipe.base_rates[step] * regularization.weight_decay
        factor *= recipe.decays[step]
        arguments = (params, state.moments, state.hyper, n_weights, factor)
        call(DECAY, regularization.decay, arguments)
    return penalty


@jit
def after_step(layout, state, recipe, params, step):
    """Bound the weights, and let the average follow them."""
    regularization = recipe.regularization
    limits, moments, hyper = regularization.limits, state.moments, state.hyper
    if regularization.bound != 0:
        arguments = (params, moments, hyper, state.gradient, layout.table, limits)
        call(BOUND, regularization.bound, arguments)
    if regularization.average != 0:
        factor = averaging_factor(limits, recipe.span[STEPS_BEFORE] + step + 1)
        call(AVERAGE, regularization.average, (state.average, state.params, factor))


@jit
def take_step(layout, state, workspace, recipe, block, team):
    """Penalties, the optimizer's step, and what is asked for around it."""
    regularization, step, penalty = recipe.regularization, block.step, 0.0
    params = vector_view(state.params, 0, (layout.n_params,))
    alpha = recipe.alpha / (block.n_batch * recipe.mean_weight)
    if regularization.prepare != 0 or regularization.decay != 0:
        wait(team)
        if team.rank == 0:
            penalty = before_step(layout, state, recipe, params, alpha, step)
        wait(team)
    l2, rate = alpha if regularization.prepare == 0 else 0.0, recipe.rates[step]
    stretches, factors, squares = layout.stretches, recipe.factors, workspace.squares
    update(recipe.step, stretches, state, l2, rate, factors, squares, team)
    wait(team)
    if team.rank == 0:
        penalty += 0.5 * l2 * total(squares)
        state.loss[0] += (state.loss[1] + penalty) * block.n_batch
        after_step(layout, state, recipe, params, step)
    if regularization.bound != 0 or regularization.average != 0:
        wait(team)


@jit(once=True)
def run_block(network, state, workspace, data, recipe, i, last, team):
    """Add the i-th block's gradient, and take the step if its minibatch is complete.

    Between two barriers nobody reads what another thread writes. With replicas there is
    one barrier, when all chunks have their gradients. Returns behind which block the
    run ends, ``last`` or an earlier one; or -1 if not all threads came to all barriers,
    where a replica is as it was before.
    """
    lost, block = np.int64(-1), refer(block_of(recipe, workspace, i))
    owners = alone(team) if workspace.has_replicas else team  # share the parameters
    if block.part == 0 or i == recipe.span[FIRST]:  # new weights, or new threads
        pack_weights(network, state.params, workspace, block.rows.size, owners)
        if not wait(owners):
            return lost
    end_early(team, i)
    pass_chunks(network, state, workspace, data, recipe, block, team)
    if not wait(team):
        return lost
    last = ends_before(team, last)  # read here, since another barrier follows
    if block.is_last and owners.rank == 0:  # a barrier follows before the step
        begin_step(recipe.begin, recipe.rates[block.step], state.hyper)
    if not workspace.has_replicas:
        whole_weight_gradient(network, state, workspace, data, block, team)
        if not wait(team):
            return lost
    reduce_chunks(network.layout, state, workspace, block, owners)
    if block.is_last:
        take_step(network.layout, state, workspace, recipe, block, owners)
        together = are_together(owners)
    else:
        together = wait(owners)
    return last if together else lost


@jit
def copy(target, source):
    """target <- source."""
    for i in range(target.size):
        target[i] = source[i]


@jit
def follow(state, origin, is_new):
    """Bring a replica to where the first thread is before a run.

    If it was in the run before, only parameters may differ.
    """
    copy(state.params, origin.params)
    if is_new:
        copy(state.average, origin.average)
        copy(state.gradient, origin.gradient)
        copy(flat(state.moments), flat(origin.moments))
        copy(state.hyper, origin.hyper)


@jit(entry=True)
def run_blocks(network, state, workspace, origin, data, recipe, seat):
    """Run the blocks of ``recipe.span`` together with the other threads of the team.

    Returns, in the first thread, which block is the next, or -1 minus that if a thread
    was lost in it. All but the first thread stay for its next runs, which may differ in
    numbers only, not in arrays. Between runs parameters in ``origin``, the first
    thread's state, may be changed, but nothing else in it.
    """
    network, state, workspace = refer(network), refer(state), refer(workspace)
    origin, data, recipe = refer(origin), refer(data), refer(recipe)
    latest = np.int64(-2)
    while True:
        team = begin(seat)
        if team.size == 0:
            return np.int64(0)
        if workspace.has_replicas and team.rank > 0:
            follow(state, origin, team.run != latest + 1)
            latest = team.run
        i, last = recipe.span[FIRST], recipe.span[LAST]
        while i < last:
            last = run_block(network, state, workspace, data, recipe, i, last, team)
            i += np.int64(last >= 0)
        together = last >= 0
        if together and workspace.has_replicas:
            # The next run's results will overwrite those of this one.
            together = wait(team)
        if team.rank == 0:
            return i if together else -1 - i
        if not together:
            return np.int64(0)
