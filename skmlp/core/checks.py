"""The last gate: what every call of an entry kernel relies on.

Kernels check no bounds. Whatever went wrong above, numbers that do not fit each other
end here, with an error instead of somebody else's memory.
"""


def check_network(layout, params, data):
    """Refuse vectors or rows that are not those of the layout.

    Parameters
    ----------
    layout : Layout
    params : ndarray of shape (n_total,) or (n_vectors, n_total)
    data : Data

    Raises
    ------
    ValueError
        If lengths, types or orders differ from what kernels take them for.
    """
    X, indptr, dtype = data.X, data.indptr, params.dtype
    fits = (
        dtype.char in "fd"
        and params.shape[-1] == layout.n_total
        and params.flags.c_contiguous
        and X.shape[1] == layout.n_columns
        and X.dtype == dtype
        and X.flags.c_contiguous
    )
    if fits and indptr.size > 0:
        n_entries = data.values.size
        fits = (
            data.values.dtype == dtype
            and data.indices.size == n_entries
            and 0 <= indptr[0] <= indptr[-1] <= n_entries
        )
    if not fits:
        _refuse(
            f"a network of {layout.n_total} numbers and {layout.n_columns} features"
            f" got {params.shape[-1]} {dtype} and rows of {X.shape[1]} {X.dtype}"
        )


def check_training(layout, workspace, state, data, recipe):
    """Refuse arrays that do not fit the network, or each other, in training.

    Raises
    ------
    ValueError
        If a target, a weight or a row is missing, or memory is too small.
    """
    check_network(layout, state.params, data)
    dtype, n_params = state.params.dtype, layout.n_params
    n_rows, n_outputs = data.n_rows, int(layout.table[-1, 0])
    rows, n_steps = recipe.rows, recipe.rates.size
    if not (
        data.Y.dtype == data.sample_weight.dtype == dtype
        and data.Y.shape[0] == n_rows
        and 1 <= data.Y.shape[1] <= n_outputs
        and data.Y.flags.c_contiguous
        and data.sample_weight.size in (0, n_rows)
    ):
        _refuse(
            f"{n_rows} rows for {n_outputs} outputs got targets of shape"
            f" {data.Y.shape}, {data.Y.dtype}, and {data.sample_weight.size} weights"
        )
    if rows.size and not 0 <= rows.min() <= rows.max() < n_rows:
        _refuse(f"an order names other rows than the {n_rows} that there are")
    arrays = state.gradient, state.average, state.moments
    if not (
        all(array.dtype == dtype and array.flags.c_contiguous for array in arrays)
        and state.gradient.shape == (n_params,)
        and state.average.size in (0, layout.n_total)
        and state.moments.shape[1:] == (n_params,)
    ):
        _refuse(
            f"a network of {n_params} parameters got a gradient of shape"
            f" {state.gradient.shape} and moments of shape {state.moments.shape}"
        )
    if not (
        0 < recipe.chunk_size <= recipe.block_size
        and workspace.losses.size >= recipe.block_size * n_outputs
        and workspace.memory.dtype == dtype
        and n_steps == recipe.base_rates.size
        and (n_steps - 1) * recipe.batch_size < max(rows.size, 1)
    ):
        _refuse(
            f"memory for {workspace.losses.size} losses got blocks of"
            f" {recipe.block_size} rows, {n_steps} steps"
        )


def _refuse(what):
    raise ValueError(
        f"Arrays do not fit each other: {what}. Was an estimator or an array changed"
        " while it was in use?"
    )
