"""What an epoch of training is made of: each part alone, beside the whole fit."""

import sys
import warnings
from functools import partial
from importlib.util import find_spec
from itertools import pairwise

import numba
import numpy as np
from bench_fit import flat_weights, run_products
from common import format_seconds, interleaved, machine, table
from sklearn.exceptions import ConvergenceWarning
from workloads import DEFAULT, chosen, estimator_fit, make_rows, make_work_parser

import skmlp
from skmlp.core.activations import activation_addresses
from skmlp.core.architecture import make_architecture
from skmlp.core.inputs import gather
from skmlp.core.intrinsics import call, matrix_view, vector_view
from skmlp.core.layout import bias
from skmlp.core.losses import weigh
from skmlp.core.network import delta_memory, products, targets, units, weight_matrix
from skmlp.core.optimizers import step_address, update
from skmlp.estimators.gate import make_data
from skmlp.training.loop import Epochs

HYPER = np.array([0.9, 0.999, 1e-8])


@numba.njit
def run_gather(network, workspace, data, rows, block_size, n_epochs):
    """Copy the rows of each block, in random order, and their targets."""
    layout, n_targets = network.layout, data.Y.shape[1]
    for _ in range(n_epochs):
        for start in range(0, rows.size, block_size):
            block = vector_view(rows, start, (min(block_size, rows.size - start),))
            gather(units(layout, workspace, block.size, 0), data.X, block)
            gather(targets(layout, workspace, (block.size, n_targets)), data.Y, block)


@numba.njit
def run_activations(
    network, addresses, params, gradient, workspace, n_rows, block_size, n_epochs
):
    """Bias, activation and slope of all layers."""
    layout, n_blocks = network.layout, -(-n_rows // block_size)
    for block in range(n_epochs * n_blocks):
        n = min(block_size, n_rows - block % n_blocks * block_size)
        for i in range(1, layout.table.shape[0]):
            A, Z = units(layout, workspace, n, i), products(layout, workspace, n, i)
            call(addresses[i, 0], (A, Z, bias(params, layout, i)))
            dA = delta_memory(layout, workspace, 0, A.shape)
            call(addresses[i, 1], (dA, bias(gradient, layout, i), dA, A, Z))


@numba.njit
def run_loss(network, workspace, n_rows, n_targets, block_size, n_epochs):
    """Loss, link and their derivative."""
    layout, n_blocks = network.layout, -(-n_rows // block_size)
    for block in range(n_epochs * n_blocks):
        n = min(block_size, n_rows - block % n_blocks * block_size)
        Z = units(layout, workspace, n, layout.table.shape[0] - 1)
        losses = matrix_view(workspace.losses, 0, Z.shape)
        Y = targets(layout, workspace, (n, n_targets))
        call(network.head, (Z, Y, losses, network.head_hyper))
        weigh(Z, losses, weight_matrix(layout, workspace, n))


@numba.njit
def run_optimizer(step, layout, params, gradient, moments, n_steps, hyper, n_epochs):
    """The steps."""
    trained = vector_view(params, 0, (layout.n_params,))
    for _ in range(n_epochs * n_steps):
        update(step, trained, gradient, moments, layout.n_weights, 1e-7, 1e-6, hyper)


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
        make_data(X, params.dtype, Y.astype(work.dtype)),
        loss=loss,
        alpha=0.0,
        mean_weight=1.0,
        batch_size=work.batch_size,
    )
    epochs.workspace.memory[:] = np.resize(X, epochs.workspace.memory.size)
    epochs.gradient[:] = np.resize(X, epochs.gradient.size) / 100
    return architecture, epochs


def parts(X, y, work):
    """Name -> function that runs this part of all epochs."""
    architecture, epochs = make_epochs(X, y, work)
    network, workspace, params = epochs.network, epochs.workspace, epochs.params
    layout, data = architecture.layout(), epochs.data
    n, size, dtype = len(X), epochs.block_size, params.dtype
    rows = np.random.default_rng(0).permutation(n)
    moments = np.zeros((2, layout.n_params), dtype)
    names = (*architecture.activations, "identity")
    pairs = [activation_addresses(name, dtype) for name in names]
    addresses = np.array([(0, 0), *pairs], np.int64)
    gradient, scratch = epochs.gradient, np.zeros_like(epochs.gradient)
    work_of = {
        "products": (
            run_products,
            network,
            params,
            scratch,
            workspace,
            n,
            size,
        ),
        "optimizer": (
            run_optimizer,
            step_address("adam", dtype),
            layout,
            params,
            gradient,
            moments,
            -(-n // work.batch_size),
            HYPER,
        ),
        "activations": (
            run_activations,
            network,
            addresses,
            params,
            scratch,
            workspace,
            n,
            size,
        ),
        "loss": (run_loss, network, workspace, n, data.Y.shape[1], size),
        "gather": (run_gather, network, workspace, data, rows, size),
    }
    runs = {}
    for name, (function, *arguments) in work_of.items():
        function(*arguments, 1)  # compile
        runs[name] = partial(function, *arguments, work.epochs)
    return runs


def torch_products(work):
    """The same products through PyTorch's BLAS, by number of threads."""
    import torch

    dtype = getattr(torch, work.dtype)
    layers = []
    for fan_in, fan_out in pairwise(work.sizes):
        shapes = (
            (work.batch_size, fan_in),
            (fan_in, fan_out),
            (work.batch_size, fan_out),
        )
        layers.append([torch.rand(shape, dtype=dtype) for shape in shapes * 2])

    def run(n_threads):
        before = torch.get_num_threads()
        torch.set_num_threads(n_threads)
        for _ in range(work.epochs * -(-work.n_rows // work.batch_size)):
            for A, W, Z, *_ in layers:
                torch.mm(A, W, out=Z)
            for i, (A, W, Z, dA, dW, _) in reversed(list(enumerate(layers))):
                torch.mm(A.T, Z, out=dW)
                if i > 0:
                    torch.mm(Z, W.T, out=dA)
        torch.set_num_threads(before)

    return {f"torch {n}": lambda n=n: run(n) for n in (1, 2)}


def multiplications(work):
    """Of all products of an epoch, on whole minibatches."""
    per_row = [fan_in * fan_out for fan_in, fan_out in pairwise(work.sizes)]
    return work.n_rows * (3 * sum(per_row) - per_row[0])


def measure(name, work, options):
    """Rows of the two tables."""
    X, y = make_rows(work)
    fit, _ = estimator_fit(skmlp, X, y, work)
    runs = {"fit": fit, **parts(X, y, work)}
    names = list(runs)
    if find_spec("torch") is not None:
        runs |= torch_products(work)
    medians, _ = interleaved(runs, options.repeats)
    medians = {name: value / work.epochs for name, value in medians.items()}
    whole = medians["fit"]
    row = [name, format_seconds(whole)]
    row += [f"{medians[part] / whole:.0%}" for part in names[1:]]
    row.append(f"{1 - sum(medians[part] for part in names[1:]) / whole:.0%}")
    n_params = sum((fan_in + 1) * out for fan_in, out in pairwise(work.sizes))
    n_steps = -(-work.n_rows // work.batch_size)
    flops = 2 * multiplications(work)
    rates = [name, f"{flops / medians['products'] / 1e9:.0f}"]
    torch_runs = [medians[run] for run in medians if run.startswith("torch")]
    rates.append(f"{flops / min(torch_runs) / 1e9:.0f}" if torch_runs else "")
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
        f"Shares of an epoch, {options.dtype}, relu, adam, median of {options.repeats}"
        " interleaved runs of each part alone.\n"
    )
    print("\n".join(descriptions), end="\n\n")
    header = ["", "epoch", "products", "optimizer", "activations", "loss", "gather"]
    header.append("the rest")
    print(table(header, shares, markdown=options.markdown), end="\n\n")
    header = ["", "products, GFLOP/s", "the same in PyTorch", "Adam, per parameter"]
    print(table(header, rates, markdown=options.markdown))


if __name__ == "__main__":
    main()
