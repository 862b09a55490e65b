"""What an epoch of training is made of: each part alone, beside the whole fit.

All on one thread, by the kernels of training: parts of a fit in several threads have no
times of their own, since they overlap. How much faster it is there stands beside them.
"""

import sys
import warnings
from functools import partial
from importlib.util import find_spec
from itertools import pairwise

import numba
import numpy as np
from bench_fit import flat_weights, products_only
from common import format_seconds, interleaved, machine, table
from peers import torch_products
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import ThreadpoolController
from workloads import (
    DEFAULT,
    chosen,
    estimator_fit,
    make_rows,
    make_work_parser,
    multiplications,
)

import skmlp
from skmlp.core.activations import BACKWARD, FORWARD, activation_addresses
from skmlp.core.architecture import make_architecture
from skmlp.core.inputs import gather, read_only
from skmlp.core.layout import bias, tail
from skmlp.core.minibatches import State, row_weights
from skmlp.core.network import loss_backward, pack_weights, weight_gradient
from skmlp.core.optimizers import optimizer_addresses, update
from skmlp.core.stages import bias_gradient, dense_product, dense_product_back
from skmlp.core.workspace import (
    DELTAS,
    NO_LAYER,
    OUTPUTS,
    PRODUCTS,
    SLOPES,
    WEIGHT,
    Chunk,
    gradient_of,
    rows_of,
)
from skmlp.machine.intrinsics import call, refer, vector_view
from skmlp.machine.team import Team
from skmlp.training.loop import Epochs
from skmlp.training.rows import TrainingRows, make_data
from skmlp.training.settings import Objective

HYPER = np.array([0.9, 0.999, 1e-8])


@numba.njit
def chunk_of(rows, start, n_rows, at, size):
    """Some rows of a block of ``n_rows``, which begins at ``start``."""
    part = vector_view(rows, start + at, (min(size, n_rows - at),))
    return Chunk(part, at, at, np.int64(0), 1.0, n_rows, np.int64(0))


@numba.njit
def run_products(network, gradient, params, workspace, data, rows, sizes, n_epochs):
    """The matrix products, as training computes them; panels of weights included."""
    network, (block_size, chunk_size) = refer(network), sizes
    zero = np.int64(0)
    layout = network.layout
    last, team = layout.table.shape[0] - 1, Team(0, 1, 0, 0, 0)
    for _ in range(n_epochs):
        for start in range(0, rows.size, block_size):
            n = min(block_size, rows.size - start)
            pack_weights(network, params, workspace, n, team)
            for at in range(0, n, chunk_size):
                chunk = chunk_of(rows, start, n, at, chunk_size)
                for i in range(1, last + 1):
                    A = rows_of(workspace, chunk, i - 1, OUTPUTS)
                    dense_product(network, params, workspace, A, i, chunk)
                for i in range(last, 1, -1):
                    dense_product_back(network, params, workspace, i, chunk)
                if workspace.has_replicas:
                    part = gradient_of(workspace, layout, at // chunk_size)
                    fixed = network, part, workspace, data, chunk
                    weight_gradient(*fixed, zero, team)
            if not workspace.has_replicas:
                block = chunk_of(rows, start, n, zero, n)
                fixed = network, gradient, workspace, data, block
                weight_gradient(*fixed, zero, team)


@numba.njit
def run_gather(network, workspace, data, rows, sizes, n_epochs):
    """Copy the rows of each chunk, in random order."""
    network, (block_size, chunk_size) = refer(network), sizes
    for _ in range(n_epochs):
        for start in range(0, rows.size, block_size):
            n = min(block_size, rows.size - start)
            for at in range(0, n, chunk_size):
                chunk = refer(chunk_of(rows, start, n, at, chunk_size))
                gather(rows_of(workspace, chunk, 0, OUTPUTS), data.X, chunk.rows)


@numba.njit
def run_activations(
    network, addresses, gradient, params, workspace, rows, sizes, n_epochs
):
    """Bias, activation and slope of all layers."""
    layout, (block_size, chunk_size) = network.layout, sizes
    biases, biases_back = tail(params, layout), tail(gradient, layout)
    for _ in range(n_epochs):
        for start in range(0, rows.size, block_size):
            n = min(block_size, rows.size - start)
            for at in range(0, n, chunk_size):
                chunk = chunk_of(rows, start, n, at, chunk_size)
                for i in range(1, layout.table.shape[0]):
                    A = rows_of(workspace, chunk, i, OUTPUTS)
                    Z = rows_of(workspace, chunk, i, PRODUCTS)
                    arguments = A, Z, bias(biases, layout, i)
                    call(FORWARD, addresses[i, 0], arguments)
                    dA = rows_of(workspace, chunk, i, SLOPES)
                    dZ = rows_of(workspace, chunk, i, DELTAS)
                    if addresses[i, 1] != 0:
                        call(BACKWARD, addresses[i, 1], (dZ, dA, A, Z))
                    bias_gradient(bias(biases_back, layout, i), dZ)


@numba.njit
def run_loss(network, workspace, data, rows, sizes, n_epochs):
    """Targets, weights of rows, loss, link and their derivative."""
    block_size, chunk_size = sizes
    for _ in range(n_epochs):
        for start in range(0, rows.size, block_size):
            n = min(block_size, rows.size - start)
            for at in range(0, n, chunk_size):
                chunk = chunk_of(rows, start, n, at, chunk_size)
                weight = rows_of(workspace, chunk, NO_LAYER, WEIGHT)
                row_weights(weight, data, chunk.rows, n)
                loss_backward(network, workspace, data, chunk)


@numba.njit
def run_optimizer(step, layout, state, squares, n_steps, n_epochs):
    """The steps."""
    team, l2, rate, factors = Team(0, 1, 0, 0, 0), 1e-7, 1e-6, np.ones(1)
    for _ in range(n_epochs * n_steps):
        update(step, layout.stretches, state, l2, rate, factors, squares, team)


def make_epochs(X, y, work):
    """An `Epochs` with numbers in all of its arrays."""
    architecture = make_architecture(work.sizes, work.activation)
    params = flat_weights(architecture.layout(), work)
    loss = "squared_error"
    Y = y[:, None]
    if work.kind != "regression":
        several = work.kind == "multiclass"
        loss = "log_loss" if several else "binary_log_loss"
        Y = (y[:, None] == np.unique(y)) if several else y[:, None]
    epochs = Epochs(
        architecture,
        params,
        TrainingRows(
            make_data(X, params.dtype, Y.astype(work.dtype)), np.arange(len(X))
        ),
        Objective(loss),
        alpha=0.0,
        batch_size=work.batch_size,
    )
    epochs.workspace.memory[:] = np.resize(X, epochs.workspace.memory.size)
    epochs.gradient[:] = np.resize(X, epochs.gradient.size) / 100
    return architecture, epochs


def parts(X, y, work):
    """Name -> function that runs this part of all epochs."""
    architecture, epochs = make_epochs(X, y, work)
    network, workspace, params = epochs.network, epochs.workspace, epochs.params
    layout, data, dtype = architecture.layout(), epochs.data, params.dtype
    rows = read_only(np.random.default_rng(0).permutation(len(X)))
    sizes = epochs.cut.block_size, epochs.cut.chunk_size
    moments, none = np.zeros((2, layout.n_params), dtype), np.empty(0)
    state = State(params, none, epochs.gradient, moments, HYPER, none)
    names = (*architecture.activations, "identity")
    pairs = [activation_addresses(name, dtype, training=True) for name in names]
    addresses = np.array([(0, 0), *pairs], np.int64)
    scratch = np.zeros_like(epochs.gradient), params
    _, step = optimizer_addresses("adam", dtype)
    n_steps = -(-len(X) // work.batch_size)
    work_of = {
        "products": (run_products, network, *scratch, workspace, data),
        "optimizer": (run_optimizer, step, layout, state, workspace.squares, n_steps),
        "activations": (run_activations, network, addresses, *scratch, workspace),
        "loss": (run_loss, network, workspace, data),
        "gather": (run_gather, network, workspace, data),
    }
    runs = {}
    for name, (function, *arguments) in work_of.items():
        if name != "optimizer":
            arguments += rows, sizes
        function(*arguments, 1)  # compile
        runs[name] = partial(function, *arguments, work.epochs)
    return runs


def on_one_thread(runs):
    """The same functions with BLAS, and with it skmlp, kept to one thread."""
    controller = ThreadpoolController()

    def run(function):
        with controller.limit(limits=1):
            return function()

    return {name: partial(run, function) for name, function in runs.items()}


def measure(name, work, options):
    """Rows of the two tables."""
    X, y = make_rows(work)
    fit, _ = estimator_fit(skmlp, X, y, work)
    of_epoch = parts(X, y, work)
    runs = on_one_thread({"one": fit, **of_epoch, "BLAS": products_only(X, y, work)})
    runs["all"] = fit
    if find_spec("torch") is not None:
        runs["torch"] = torch_products(work, n_threads=1)
    medians, _ = interleaved(runs, options.repeats)
    medians = {run: value / work.epochs for run, value in medians.items()}
    whole = medians["one"]
    shares = [medians[part] / whole for part in of_epoch]
    row = [name, format_seconds(whole)]
    row += [f"{share:.0%}" for share in (*shares, 1 - sum(shares))]
    row.append(f"{format_seconds(medians['all'])} ({whole / medians['all']:.2f}x)")
    n_params = sum((fan_in + 1) * out for fan_in, out in pairwise(work.sizes))
    n_steps = -(-work.n_rows // work.batch_size)
    rates = [name]
    for run in ("products", "BLAS", "torch"):
        flops = 2 * multiplications(work)
        rates.append(f"{flops / medians[run] / 1e9:.0f}" if run in medians else "")
    rates.append(f"{medians['optimizer'] / n_steps / n_params * 1e9:.2f} ns")
    return row, rates


def main():
    parser = make_work_parser(__doc__, DEFAULT, dtype="float32", repeats=5)
    options = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    shares, rates, descriptions = [], [], []
    for name, work in chosen(options).items():
        print(f"{name}: {work}", file=sys.stderr)
        descriptions.append(f"- {name}: {work}")
        share, rate = measure(name, work, options)
        shares.append(share)
        rates.append(rate)
    print(machine())
    print(
        f"Shares of an epoch on one thread, {options.dtype}, relu, adam, median of"
        f" {options.repeats} interleaved runs of each part alone.\n"
    )
    print("\n".join(descriptions), end="\n\n")
    header = ["", "epoch", "products", "optimizer", "activations", "loss", "gather"]
    header += ["the rest", "epoch, all threads"]
    print(table(header, shares, markdown=options.markdown), end="\n\n")
    header = ["", "products, GFLOP/s", "the same by BLAS", "by PyTorch"]
    header.append("Adam, per parameter")
    print(table(header, rates, markdown=options.markdown))


if __name__ == "__main__":
    main()
