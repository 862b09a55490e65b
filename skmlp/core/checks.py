"""The last gate: what every call of an entry kernel relies on.

Kernels check no bounds. Whatever went wrong above, numbers that do not fit each other
end here, with an error instead of somebody else's memory.
"""

import numpy as np


def check_network(layout, params, data):
    """Refuse a vector or rows that are not those of the layout.

    Raises
    ------
    ValueError
        If lengths, types or orders differ from what kernels take them for.
    """
    dtype = params.dtype
    n_features = int(layout.table[0, 0])
    dense, n_entries = data.X, data.values.size
    _refuse_unless(
        dtype in (np.float32, np.float64)
        and params.shape == (layout.n_total,)
        and params.flags.c_contiguous,
        f"a network of {layout.n_total} numbers got {params.shape} of {dtype}",
    )
    _refuse_unless(
        dense.dtype == data.values.dtype == dtype
        and dense.ndim == 2
        and dense.flags.c_contiguous
        and dense.shape[1] == n_features
        and data.indices.size == n_entries
        and (data.indptr.size == 0 or 0 <= data.indptr[0] <= data.indptr[-1])
        and (data.indptr.size == 0 or data.indptr[-1] <= n_entries),
        f"a network of {n_features} features got rows of shape {dense.shape},"
        f" {dense.dtype}",
    )


def check_training(layout, workspace, state, data, recipe):
    """Refuse what does not fit in training, beside that.

    Raises
    ------
    ValueError
        If a target, a weight or a row is missing, or memory is too small.
    """
    check_network(layout, state.params, data)
    dtype, n_params = state.params.dtype, layout.n_params
    n_rows, n_outputs = data.n_rows, int(layout.table[-1, 0])
    rows, n_steps = recipe.rows, recipe.rates.size
    _refuse_unless(
        data.Y.dtype == data.sample_weight.dtype == dtype
        and data.Y.shape[0] == n_rows
        and 1 <= data.Y.shape[1] <= n_outputs
        and data.Y.flags.c_contiguous
        and data.sample_weight.size in (0, n_rows),
        f"{n_rows} rows for {n_outputs} outputs got targets of shape {data.Y.shape},"
        f" {data.Y.dtype}, and {data.sample_weight.size} weights",
    )
    _refuse_unless(
        rows.size == 0 or 0 <= rows.min() <= rows.max() < n_rows,
        f"an order names other rows than the {n_rows} that there are",
    )
    arrays = state.gradient, state.average, state.moments
    _refuse_unless(
        all(array.dtype == dtype and array.flags.c_contiguous for array in arrays)
        and state.gradient.shape == (n_params,)
        and state.average.size in (0, layout.n_total)
        and state.moments.shape[1:] == (n_params,),
        f"a network of {n_params} parameters got a gradient of shape"
        f" {state.gradient.shape} and moments of shape {state.moments.shape}",
    )
    _refuse_unless(
        0 < recipe.chunk_size <= recipe.block_size
        and workspace.losses.size >= recipe.block_size * n_outputs
        and workspace.memory.dtype == dtype
        and n_steps == recipe.base_rates.size
        and (n_steps - 1) * recipe.batch_size < max(rows.size, 1),
        f"memory for {workspace.losses.size} losses got blocks of"
        f" {recipe.block_size} rows, {n_steps} steps",
    )


def _refuse_unless(fits, what):
    if not fits:
        raise ValueError(
            f"Arrays do not fit each other: {what}. Was an estimator or an array"
            " changed while it was in use?"
        )
