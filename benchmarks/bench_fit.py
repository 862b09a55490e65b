"""Training time beside scikit-learn, PyTorch, JAX and BLAS's matrix products alone."""

import sys
import warnings
from importlib.util import find_spec

import numba
import numpy as np
from common import format_seconds, interleaved, machine, table
from peers import initial_weights, jax_fit, torch_fit, torch_products
from sklearn import neural_network
from sklearn.exceptions import ConvergenceWarning
from workloads import (
    DEFAULT,
    chosen,
    estimator_fit,
    make_rows,
    make_work_parser,
    multiplications,
)

import skmlp
from skmlp.core.architecture import make_architecture
from skmlp.core.layout import bias_views, weight_views, weights
from skmlp.core.workspace import DELTAS, OUTPUTS, PRODUCTS, SLOPES, Chunk, rows_of
from skmlp.machine.intrinsics import vector_view
from skmlp.machine.products import multiply_panel, widest_panel
from skmlp.machine.team import begin, wait
from skmlp.machine.threads import n_threads, run_together
from skmlp.machine.tiles import TILE_ROWS
from skmlp.training.loop import Epochs
from skmlp.training.rows import TrainingRows, make_data
from skmlp.training.settings import Objective

_N_MEETINGS = 20_000


@numba.njit
def run_products(network, params, gradient, workspace, rows, block_size, n_epochs):
    """All products of some epochs by BLAS, on the threads that it may use.

    They are those of training, in the same order and on the same memory, whole blocks
    of rows at once. skmlp computes its products itself, so that it may take less time.
    """
    layout, key = network.layout, np.int64(0)
    last = layout.table.shape[0] - 1
    for _ in range(n_epochs):
        for start in range(0, rows.size, block_size):
            part = vector_view(rows, start, (min(block_size, rows.size - start),))
            block = Chunk(part, key, key, key, 1.0, part.size, key)
            for i in range(1, last + 1):
                A = rows_of(workspace, block, i - 1, OUTPUTS)
                Z = rows_of(workspace, block, i, PRODUCTS)
                np.dot(A, weights(params, layout, i), Z)
            for i in range(last, 0, -1):
                A = rows_of(workspace, block, i - 1, OUTPUTS)
                dZ = rows_of(workspace, block, i, DELTAS)
                np.dot(A.T, dZ, weights(gradient, layout, i))
                if i > 1:
                    dA = rows_of(workspace, block, i - 1, SLOPES)
                    np.dot(dZ, weights(params, layout, i).T, dA)


def flat_weights(layout, work):
    """The competitors' initial weights as a flat vector."""
    params = np.empty(layout.n_params, work.dtype)
    views = zip(weight_views(params, layout), bias_views(params, layout))
    for (W, b), (W_init, b_init) in zip(views, initial_weights(work.sizes, work.dtype)):
        W[:], b[:] = W_init, b_init
    return params


def products_only(X, y, work):
    """Function that runs the products of all epochs by BLAS, and nothing else."""
    architecture = make_architecture(work.sizes, work.activation)
    params = flat_weights(architecture.layout(), work)
    epochs = Epochs(
        architecture,
        params,
        TrainingRows(make_data(X, params.dtype, y[:, None]), np.arange(len(X))),
        Objective("squared_error"),
        alpha=0.0,
        batch_size=work.batch_size,
    )
    epochs.workspace.memory[:] = np.resize(X, epochs.workspace.memory.size)
    rows = np.arange(len(X))

    def run(n_epochs=work.epochs):
        run_products(
            epochs.network,
            params,
            epochs.gradient,
            epochs.workspace,
            rows,
            epochs.cut.block_size,
            n_epochs,
        )

    run(1)
    return run


@numba.njit(nogil=True)
def run_tiles(seat, C, A, panel, zero, one, depth, n):
    """One tile's sums over and over, from factors in the first-level cache."""
    team = begin(seat)
    for _ in range(n):
        a, size = (A, zero, depth, zero, one), (depth, TILE_ROWS, C.shape[1])
        multiply_panel(C, zero, *a, panel, zero, C.shape[1], *size, zero, zero)
    wait(team)


def tiles_only(work):
    """Function that takes as many multiplications as all products, on all threads."""
    width, depth, size = widest_panel(np.dtype(work.dtype).itemsize), 64, n_threads()
    each = TILE_ROWS * width * depth * size
    n = -(-multiplications(work) * work.epochs // each)
    shapes = (TILE_ROWS, width), TILE_ROWS * depth, width * depth
    arrays = [[np.ones(shape, work.dtype) for shape in shapes] for _ in range(size)]

    def run(n=n):
        def work_of(seat):
            run_tiles(seat, *arrays[seat.number], 0, 1, depth, n)

        run_together(work_of, size)

    run(1)
    return run


@numba.njit(nogil=True)
def meet(seat, n):
    """Wait for each other, and do nothing."""
    team = begin(seat)
    for _ in range(n):
        wait(team)


def meetings_only():
    """Function that lets two threads meet.

    How long that takes tells how far apart their cores are: on a virtual machine this
    may change from one second to the next, and with it what a second thread is worth.
    """
    size = min(2, n_threads())

    def run():
        run_together(lambda seat: meet(seat, _N_MEETINGS), size)

    run()
    return run


def bounds(work):
    """Functions that no fit can be faster than, as long as it takes the same way."""
    runs = {"tiles": tiles_only(work)}
    if find_spec("torch") is not None:
        for size in (1, 2):
            runs[f"torch products {size}"] = torch_products(work, n_threads=size)
    return runs


def row_of_bounds(name, medians, peers):
    """How many times as long the peers take as products and nothing else."""
    fastest = min((key for key in medians if "products" in key), key=medians.get)
    row = [name]
    for key in fastest, "tiles":
        row.append(format_seconds(medians[key]))
        row += [f"{medians[peer] / medians[key]:.2f}x" for peer in peers]
    row[1] += " (PyTorch)" if fastest.startswith("torch") else " (NumPy)"
    return row


def measure(name, work, options):
    """Medians, and rows of the tables: times, losses and compile times, bounds."""
    X, y = make_rows(work)
    runs, compile_seconds = {}, {}
    runs["skmlp"], compile_seconds["skmlp"] = estimator_fit(skmlp, X, y, work)
    runs["meetings"] = meetings_only()
    if work.density == 1:
        runs["products"] = products_only(X, y, work)
        runs.update(bounds(work))
    if "sklearn" in options.peers:
        runs["sklearn"], _ = estimator_fit(neural_network, X, y, work)
    if "torch" in options.peers:
        for n_threads in (1, 2):
            runs[f"torch {n_threads}"] = torch_fit(X, y, work, n_threads=n_threads)
    if "jax" in options.peers:
        runs["jax"], compile_seconds["jax"] = jax_fit(X, y, work)

    medians, losses = interleaved(runs, options.repeats)
    threads = [run for run in medians if run in ("torch 1", "torch 2")]
    if threads:
        best = min(threads, key=medians.get)
        medians["torch"], losses["torch"] = medians[best], losses[best]
    ours = medians["skmlp"]
    row = [name, format_seconds(ours)]
    for peer in options.peers:
        ratio = medians[peer] / ours
        row.append(f"{format_seconds(medians[peer])} ({ratio:.2f}x)")
    limit = medians.get("products")
    row.append(f"{ours / limit:.2f}" if limit else "")
    row.append(format_seconds(medians["meetings"] / _N_MEETINGS))
    checks = [name, f"{losses['skmlp']:.4f}"]
    checks += [f"{losses[peer]:.4f}" for peer in options.peers]
    checks += [f"{compile_seconds.get(key, 0):.2f} s" for key in ("skmlp", "jax")]
    bound = row_of_bounds(name, medians, options.peers) if limit else None
    return medians, row, checks, bound


def parse_options():
    installed = [p for p in ("sklearn", "torch", "jax") if find_spec(p) is not None]
    parser = make_work_parser(__doc__, DEFAULT, dtype="float32", repeats=5)
    parser.add_argument("--peers", default=",".join(installed))
    parser.add_argument(
        "--activation",
        choices=("identity", "logistic", "tanh", "relu"),
        default="relu",
    )
    parser.add_argument(
        "--task", choices=("classification", "regression"), default="classification"
    )
    parser.add_argument("--plot", metavar="SVG", help="draw bars of the times")
    options = parser.parse_args()
    options.peers = [peer for peer in options.peers.split(",") if peer]
    return options


def main():
    options = parse_options()
    warnings.simplefilter("ignore", ConvergenceWarning)
    times, checks, limits, descriptions, seconds_by_name = [], [], [], [], {}
    for name, work in chosen(options).items():
        work = work._replace(
            n_classes=1 if options.task == "regression" else work.n_classes,
            task=options.task,
            activation=options.activation,
        )
        print(f"{name}: {work}", file=sys.stderr)
        descriptions.append(f"- {name}: {work}")
        medians, row, check, bound = measure(name, work, options)
        times.append(row)
        checks.append(check)
        limits += [bound] if bound else []
        layers = "-".join(map(str, work.hidden))
        label = f"{work.n_rows:,} x {work.n_features}\n{layers}"
        seconds_by_name[label] = {k: medians[k] for k in ("skmlp", *options.peers)}

    markdown = options.markdown
    print(machine())
    print(
        f"{options.task}, {options.activation}, {options.dtype}, adam, median of"
        f" {options.repeats} interleaved runs. (2.00x: skmlp takes half the time.)\n"
    )
    print("\n".join(descriptions), end="\n\n")
    header = ["", "skmlp", *options.peers, "skmlp / products alone", "threads meet in"]
    print(table(header, times, markdown=markdown), end="\n\n")
    header = ["last loss", "skmlp", *options.peers, "skmlp first fit", "jax compile"]
    print(table(header, checks, markdown=markdown))
    if limits:
        header = ["bound", "fastest products alone", *options.peers]
        header += ["tiles in cache", *options.peers]
        print("\n" + table(header, limits, markdown=markdown))
    if options.plot:
        from plot import plot_times

        title = f"Training with adam, {options.activation}, {options.dtype}"
        plot_times(seconds_by_name, title, options.plot)
    print(
        "\nCompile times are not part of the times above. The first fit of skmlp is a"
        " tiny one; it compiles what the kernel cache did not hold."
    )


if __name__ == "__main__":
    main()
