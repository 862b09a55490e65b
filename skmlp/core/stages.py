"""The stages of a network: forward and backward side by side; see ``program.py``.

To add one: its two functions, and a place in `stages_of`, which lists the stages of an
architecture in their order.
"""

from typing import NamedTuple

import numpy as np

from skmlp.core.activations import (
    BACKWARD,
    FORWARD,
    PARAMETRIC,
    PARAMETRIC_BACK,
    activation_addresses,
    parametric_addresses,
)
from skmlp.core.dropout import DROP, DROP_BACK, combine, dropout_addresses
from skmlp.core.embedding import embed, embed_backward
from skmlp.core.inputs import (
    CSR_PRODUCT,
    consecutive_rows,
    csr_addresses,
    gather,
)
from skmlp.core.layout import (
    bias,
    embedding,
    front_scale,
    knots,
    mix,
    running,
    scale,
    tail,
    weights,
)
from skmlp.core.normalization import NORMALIZE, NORMALIZE_BACK, normalization_addresses
from skmlp.core.program import LAYER, LEAF, LEAF_BACK, STAGE, STAGE_BACK
from skmlp.core.workspace import (
    DELTAS,
    INPUT,
    NO_LAYER,
    NORMALIZED,
    OUTPUTS,
    PANELS,
    PANELS_BACK,
    PRODUCTS,
    SLOPES,
    STATISTICS,
    WEIGHT,
    WHOLE,
    part_of,
    rows_of,
)
from skmlp.machine.intrinsics import address, call
from skmlp.machine.jit import DISABLED, jit
from skmlp.machine.products import PRODUCT


@jit(form=STAGE)
def gather_rows(network, params, workspace, data, s, chunk):
    """A_0 <- X[rows]."""
    gather(rows_of(workspace, chunk, INPUT, OUTPUTS), data.X, chunk.rows)


@jit(form=STAGE)
def embed_rows(network, params, workspace, data, s, chunk):
    """A_0 <- the embedding of X[rows]."""
    layout = network.layout
    A = rows_of(workspace, chunk, INPUT, OUTPUTS)
    trained = embedding(tail(params, layout), layout)
    columns, fixed = layout.columns, knots(params, layout)
    embed(A, data.X, chunk.rows, columns, layout.n_waves, trained, fixed)


@jit(form=STAGE_BACK)
def embed_rows_back(network, params, gradient_tail, workspace, data, s, chunk):
    """Gradient of what is trained of the embedding."""
    layout = network.layout
    dA = rows_of(workspace, chunk, INPUT, SLOPES)
    trained = embedding(tail(params, layout), layout)
    gradient = embedding(gradient_tail, layout)
    columns, n_waves = layout.columns, layout.n_waves
    embed_backward(dA, data.X, chunk.rows, columns, n_waves, trained, gradient)


@jit(form=STAGE)
def scale_input(network, params, workspace, data, s, chunk):
    """A_0 <- A_0 times a trained scale of each unit, which keeps what A_0 was."""
    layout = network.layout
    A = rows_of(workspace, chunk, INPUT, OUTPUTS)
    kept = rows_of(workspace, chunk, INPUT, NORMALIZED)
    factor = front_scale(tail(params, layout), layout)
    for i in range(A.shape[0]):
        for j in range(A.shape[1]):
            a = A[i, j]
            kept[i, j] = a
            A[i, j] = a * factor[j]


@jit(form=STAGE)
def scale_input_only(network, params, workspace, data, s, chunk):
    """`scale_input` in prediction."""
    layout = network.layout
    A = rows_of(workspace, chunk, INPUT, OUTPUTS)
    factor = front_scale(tail(params, layout), layout)
    for i in range(A.shape[0]):
        for j in range(A.shape[1]):
            A[i, j] *= factor[j]


@jit(form=STAGE_BACK)
def scale_input_back(network, params, gradient_tail, workspace, data, s, chunk):
    """ds = column sums of dA_0 times what A_0 was; dA_0 <- dA_0 times s."""
    layout = network.layout
    dA = rows_of(workspace, chunk, INPUT, SLOPES)
    kept = rows_of(workspace, chunk, INPUT, NORMALIZED)
    factor = front_scale(tail(params, layout), layout)
    d_factor = front_scale(gradient_tail, layout)
    d_factor[:] = 0
    for i in range(dA.shape[0]):
        for j in range(dA.shape[1]):
            d = dA[i, j]
            d_factor[j] += d * kept[i, j]
            dA[i, j] = d * factor[j]


@jit
def dense_product(network, params, workspace, A, i, chunk):
    """Z_i <- A W_i."""
    W, kernels = weights(params, network.layout, i), network.products
    Z = rows_of(workspace, chunk, i, PRODUCTS)
    there = part_of(workspace, i, PANELS, WHOLE)
    arguments = (Z, A, W, 0, chunk.n_rows_of_block, there, kernels)
    call(PRODUCT, kernels.product, arguments)


@jit(form=STAGE)
def product(network, params, workspace, data, s, chunk):
    """Z_i <- A_{i-1} W_i."""
    i = network.program[s, LAYER]
    A = rows_of(workspace, chunk, i - 1, OUTPUTS)
    dense_product(network, params, workspace, A, i, chunk)


@jit(form=STAGE)
def product_in_place(network, params, workspace, data, s, chunk):
    """Z_1 <- X[rows] W_1, where rows follow each other and lie in X."""
    A, i = consecutive_rows(data, chunk.rows), network.program[s, LAYER]
    dense_product(network, params, workspace, A, i, chunk)


@jit(form=STAGE)
def sparse_product(network, params, workspace, data, s, chunk):
    """Z_1 <- X[rows] W_1 of sparse rows."""
    i = network.program[s, LAYER]
    W, Z = weights(params, network.layout, i), rows_of(workspace, chunk, i, PRODUCTS)
    arguments = (Z, W, data.values, data.indices, data.indptr, chunk.rows)
    call(CSR_PRODUCT, network.program[s, LEAF], arguments)


@jit
def dense_product_back(network, params, workspace, i, chunk):
    """dA_{i-1} <- dZ_i W_i^T."""
    W, kernels = weights(params, network.layout, i), network.products
    there = part_of(workspace, i, PANELS_BACK, WHOLE)
    dA = rows_of(workspace, chunk, i - 1, SLOPES)
    dZ = rows_of(workspace, chunk, i, DELTAS)
    arguments = (dA, dZ, W, 1, chunk.n_rows_of_block, there, kernels)
    call(PRODUCT, kernels.product, arguments)


@jit(form=STAGE_BACK)
def product_back(network, params, gradient_tail, workspace, data, s, chunk):
    """dA_{i-1} <- dZ_i W_i^T."""
    dense_product_back(network, params, workspace, network.program[s, LAYER], chunk)


@jit(form=STAGE)
def normalize(network, params, workspace, data, s, chunk):
    """Normalize and scale Z_i."""
    layout, i = network.layout, network.program[s, LAYER]
    arguments = (
        rows_of(workspace, chunk, i, PRODUCTS),
        rows_of(workspace, chunk, i, NORMALIZED),
        scale(tail(params, layout), layout, i),
        running(params, layout, i),
        part_of(workspace, i, STATISTICS, chunk.thread),
        rows_of(workspace, chunk, NO_LAYER, WEIGHT),
        network.numbers[s, 0],
        network.numbers[s, 1],
    )
    call(NORMALIZE, network.program[s, LEAF], arguments)


@jit(form=STAGE_BACK)
def normalize_back(network, params, gradient_tail, workspace, data, s, chunk):
    """Back through the normalization of Z_i."""
    layout, i = network.layout, network.program[s, LAYER]
    arguments = (
        rows_of(workspace, chunk, i, DELTAS),
        rows_of(workspace, chunk, i, NORMALIZED),
        scale(tail(params, layout), layout, i),
        scale(gradient_tail, layout, i),
        part_of(workspace, i, STATISTICS, chunk.thread),
        rows_of(workspace, chunk, NO_LAYER, WEIGHT),
    )
    call(NORMALIZE_BACK, network.program[s, LEAF_BACK], arguments)


@jit(form=STAGE)
def activate(network, params, workspace, data, s, chunk):
    """A_i <- f(Z_i + b_i)."""
    layout, i = network.layout, network.program[s, LAYER]
    A, Z = rows_of(workspace, chunk, i, OUTPUTS), rows_of(workspace, chunk, i, PRODUCTS)
    arguments = (A, Z, bias(tail(params, layout), layout, i))
    call(FORWARD, network.program[s, LEAF], arguments)


@jit
def bias_gradient(db, dZ):
    """db <- sum of dZ over rows, four at a time, since each time takes all of db."""
    db[:] = 0
    n_rows, rest = dZ.shape[0], dZ.shape[0] % 4
    for i in range(0, n_rows - rest, 4):
        for j in range(db.size):
            db[j] += (dZ[i, j] + dZ[i + 1, j]) + (dZ[i + 2, j] + dZ[i + 3, j])
    for i in range(n_rows - rest, n_rows):
        for j in range(db.size):
            db[j] += dZ[i, j]


@jit(form=STAGE_BACK)
def activate_back(network, params, gradient_tail, workspace, data, s, chunk):
    """dZ_i <- dA_i times f'; db_i."""
    layout, i = network.layout, network.program[s, LAYER]
    A, Z = rows_of(workspace, chunk, i, OUTPUTS), rows_of(workspace, chunk, i, PRODUCTS)
    dA, dZ = rows_of(workspace, chunk, i, SLOPES), rows_of(workspace, chunk, i, DELTAS)
    if network.program[s, LEAF_BACK] != 0:
        call(BACKWARD, network.program[s, LEAF_BACK], (dZ, dA, A, Z))
    bias_gradient(bias(gradient_tail, layout, i), dZ)


@jit(form=STAGE)
def blend(network, params, workspace, data, s, chunk):
    """A_i <- z + a (f(z) - z), z = Z_i + b_i, with a trained mix a of each unit."""
    layout, i = network.layout, network.program[s, LAYER]
    A, Z = rows_of(workspace, chunk, i, OUTPUTS), rows_of(workspace, chunk, i, PRODUCTS)
    own = tail(params, layout)
    arguments = (A, Z, bias(own, layout, i), mix(own, layout, i))
    call(PARAMETRIC, network.program[s, LEAF], arguments)


@jit(form=STAGE_BACK)
def blend_back(network, params, gradient_tail, workspace, data, s, chunk):
    """dZ_i <- dA_i times (1 + a (f' - 1)); da_i, db_i."""
    layout, i = network.layout, network.program[s, LAYER]
    dZ, Z = rows_of(workspace, chunk, i, DELTAS), rows_of(workspace, chunk, i, PRODUCTS)
    a, da = mix(tail(params, layout), layout, i), mix(gradient_tail, layout, i)
    call(PARAMETRIC_BACK, network.program[s, LEAF_BACK], (dZ, Z, a, da))
    bias_gradient(bias(gradient_tail, layout, i), dZ)


@jit
def drop_units(network, workspace, kind, s, chunk):
    """Dropout of A_i or dA_i."""
    i = network.program[s, LAYER]
    A, rate = rows_of(workspace, chunk, i, kind), network.numbers[s, 0]
    first = chunk.first * A.shape[1]
    arguments = (A, rate * chunk.dropout, combine(chunk.key, i), first)
    call(DROP, network.program[s, LEAF], arguments)


@jit(form=STAGE)
def drop(network, params, workspace, data, s, chunk):
    """Dropout of A_i."""
    drop_units(network, workspace, OUTPUTS, s, chunk)


@jit(form=STAGE_BACK)
def drop_slopes(network, params, gradient_tail, workspace, data, s, chunk):
    """Back through the dropout of A_i, where nothing behind it reads A_i as it was."""
    drop_units(network, workspace, SLOPES, s, chunk)


@jit(form=STAGE_BACK)
def drop_again(network, params, gradient_tail, workspace, data, s, chunk):
    """Dropout of A_i, which `drop_back` has undone, for the weight gradient."""
    drop_units(network, workspace, OUTPUTS, s, chunk)


@jit(form=STAGE_BACK)
def drop_back(network, params, gradient_tail, workspace, data, s, chunk):
    """Back through the dropout of A_i."""
    i, rate = network.program[s, LAYER], network.numbers[s, 0]
    A, dA = rows_of(workspace, chunk, i, OUTPUTS), rows_of(workspace, chunk, i, SLOPES)
    first = chunk.first * A.shape[1]
    arguments = (dA, A, rate * chunk.dropout, combine(chunk.key, i), first)
    call(DROP_BACK, network.program[s, LEAF_BACK], arguments)


class Stage(NamedTuple):
    """A row of the program; see `Network`."""

    forward: object
    backward: object
    layer: int
    leaves: tuple = (0, 0)
    numbers: tuple = (0.0, 0.0)


_READ_OUTPUTS = {activate_back}


def make_program(architecture, dtype, *, sparse, training):
    """(program, numbers) of `Network`."""
    stages = list(stages_of(architecture, dtype, sparse=sparse, training=training))
    program = np.zeros((len(stages), 5), object if DISABLED else np.int64)
    for row, stage in zip(program, stages):
        pair = stage.forward, stage.backward if training else None
        kernels = [0 if kernel is None else address(kernel, dtype) for kernel in pair]
        row[:] = *kernels, stage.layer, *stage.leaves
    return program, np.array([stage.numbers for stage in stages])


def stages_of(architecture, dtype, *, sparse, training):
    """Stages of an architecture, in the order of the forward pass."""
    yield from _stages_of_input(architecture, dtype, sparse, training)
    names = *architecture.activations, "identity"
    normalizations = *architecture.normalizations, None
    for i, (name, normalization) in enumerate(zip(names, normalizations), start=1):
        yield _product_stage(architecture, dtype, i, sparse, training)
        if normalization is not None:
            leaves = normalization_addresses(normalization, dtype, training=training)
            numbers = architecture.norm_momentum, architecture.norm_epsilon
            yield Stage(normalize, normalize_back, i, leaves, numbers)
        activation = _activation_stage(architecture, name, dtype, i, training)
        yield from _with_dropout(architecture, activation, dtype, training)


def _stages_of_input(architecture, dtype, sparse, training):
    if sparse:
        return
    if architecture.columns:
        trains = architecture.column_table.n_trained > 0
        last = Stage(embed_rows, embed_rows_back if trains else None, 0)
    elif training or architecture.scaled_input:
        last = Stage(gather_rows, None, 0)
    else:
        return
    if architecture.scaled_input:
        yield last
        last = Stage(scale_input if training else scale_input_only, scale_input_back, 0)
    yield from _with_dropout(architecture, last, dtype, training)


def _with_dropout(architecture, stage, dtype, training):
    """The last stage of a layer, and its dropout, which is undone before the stage's
    backward pass, if that reads A_i, and redone behind it."""
    i = stage.layer
    if not (training and i < len(architecture.dropouts) and architecture.dropouts[i]):
        yield stage
        return
    rest = i, dropout_addresses(dtype), (architecture.dropouts[i], 0.0)
    if stage.backward not in _READ_OUTPUTS:
        yield stage
        yield Stage(drop, drop_slopes if stage.backward is not None else None, *rest)
        return
    yield Stage(None, drop_again, *rest)
    yield stage
    yield Stage(drop, drop_back, *rest)


def _product_stage(architecture, dtype, i, sparse, training):
    if i > 1:
        return Stage(product, product_back, i)
    if sparse:
        return Stage(sparse_product, None, i, csr_addresses(dtype))
    if training or architecture.has_input_stages:
        return Stage(product, product_back if architecture.trains_input else None, i)
    return Stage(product_in_place, None, i)


def _activation_stage(architecture, name, dtype, i, training):
    if architecture.parametric and i <= len(architecture.activations):
        leaves = parametric_addresses(name, dtype, training=training)
        return Stage(blend, blend_back, i, leaves)
    leaves = activation_addresses(name, dtype, training=training)
    return Stage(activate, activate_back, i, leaves)
