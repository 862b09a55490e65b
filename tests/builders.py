"""What kernels take, built from plain arrays."""

import itertools
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial

import naive
import numpy as np
from scipy import sparse

from skmlp.core import workspace as workspaces
from skmlp.core.activations import ACTIVATIONS
from skmlp.core.architecture import Architecture, make_architecture
from skmlp.core.inputs import Data, read_only
from skmlp.core.layout import bias_views, knots_view, weight_views
from skmlp.core.losses import LOSSES
from skmlp.core.minibatches import (
    Recipe,
    State,
    arguments_of_threads,
    n_blocks,
    run_blocks,
)
from skmlp.core.network import training_network
from skmlp.core.optimizers import OPTIMIZERS, optimizer_addresses
from skmlp.core.regularization import make_regularization
from skmlp.core.workspace import make_workspace
from skmlp.machine.jit import DISABLED
from skmlp.machine.team import ALONE, Limits, dismiss, make_seats
from skmlp.training.loop import Epochs
from skmlp.training.rows import TrainingRows
from skmlp.training.settings import Objective

DTYPES = np.float32, np.float64


def random_targets(rng, loss, shape):
    """Targets in the range of a loss."""
    link = LOSSES[loss].link
    if link == "softmax":
        return np.eye(shape[1])[rng.integers(shape[1], size=shape[0])]
    draw = {
        "gamma": lambda size: 0.5 + rng.random(size),
        "exp": lambda size: rng.poisson(1.0, size),
        "logistic": lambda size: rng.integers(2, size=size),
    }.get(loss if loss == "gamma" else link, rng.standard_normal)
    return draw(size=shape).astype(np.float64)


@cache
def as_kernel(function):
    """A Python caller of a function that kernels call."""
    if DISABLED:
        return function
    import numba

    return numba.njit(nogil=True)(function)


def make_data(X, Y, weight=None, *, dtype=np.float64, as_csr=False):
    """Pack dense float64 arrays as the gate does, as dense rows or as CSR."""
    values, indices, indptr = np.empty(0), np.empty(0), np.empty(0)
    if as_csr:
        csr = sparse.csr_array(X)
        values, indices, indptr = csr.data, csr.indices, csr.indptr
        X = np.empty((0, X.shape[1]))
    return Data(
        read_only(np.ascontiguousarray(X, dtype)),
        read_only(values.astype(dtype)),
        read_only(indices.astype(np.int32)),
        read_only(indptr.astype(np.int64)),
        read_only(np.ascontiguousarray(Y, dtype)),
        read_only(np.asarray(() if weight is None else weight, dtype)),
    )


@dataclass
class Problem:
    """A network and data to train it on, for kernels and for the naive twin."""

    architecture: Architecture
    params: np.ndarray
    X: np.ndarray
    Y: np.ndarray
    weight: np.ndarray | None
    data: Data
    loss: str
    alpha: float
    mean_weight: float
    regularization: dict

    @property
    def layout(self):
        return self.architecture.layout()

    @property
    def activation(self):
        """The one of all hidden layers."""
        return (*self.architecture.activations, "identity")[0]

    @property
    def sparse(self):
        return self.data.indptr.size > 0

    @property
    def n_rows(self):
        return len(self.Y)

    def lists(self, params=None):
        """Copies of coefs and intercepts in float64."""
        params = (self.params if params is None else params).astype(np.float64)
        return weight_views(params, self.layout), bias_views(params, self.layout)

    def options(self):
        """What the naive twin wants to know beside arrays."""
        return {
            "activation": self.activation,
            "loss": self.loss,
            "alpha": self.alpha,
            "mean_weight": self.mean_weight,
            "eps": np.finfo(self.params.dtype).eps,
            **self.regularization,
        }


def make_problem(
    sizes,
    *,
    activation="tanh",
    loss="squared_error",
    n_rows=12,
    dtype=np.float64,
    as_csr=False,
    weighted=False,
    alpha=0.0,
    label_smoothing=0.0,
    regularization=None,
    seed=0,
    **architecture,
):
    """Draw a problem; half of X is zero, and so is one of the weights.

    The last of ``sizes`` counts columns of targets, ``regularization`` is what
    `make_regularization` takes.
    """
    rng = np.random.default_rng(seed)
    n_outputs = sizes[-1] * LOSSES[loss].per_target
    architecture = make_architecture(
        (*sizes[:-1], n_outputs), activation, **architecture
    )
    layout = architecture.layout()
    n_columns = layout.n_columns
    X = rng.standard_normal((n_rows, n_columns)) * rng.integers(2, size=n_columns)
    X[rng.random(X.shape) < 0.3] = 0
    for j, column in enumerate(architecture.columns):
        if column.kind in ("one_hot", "table"):  # the first and the last are no codes
            X[:, j] = rng.integers(-1, column.size + 1, n_rows)
    Y = random_targets(rng, loss, (n_rows, sizes[-1]))
    if label_smoothing:
        Y = Y * (1 - label_smoothing) + label_smoothing / sizes[-1]
    weight = rng.random(n_rows) * 2 if weighted else None
    if weighted:
        weight[0] = 0
    relative = weight / weight.mean() if weighted else None
    # Products of gates would grow until the log-losses reach their cap.
    gated = any(ACTIVATIONS[name].gated for name in architecture.activations)
    bound = 0.7 if gated else 1.0
    params = rng.uniform(-bound, bound, layout.n_total).astype(dtype)
    params[layout.n_params :] = 1  # running means and variances
    for view in knots_of_columns(params, architecture):
        view[:] = np.sort(rng.standard_normal(view.size))
    return Problem(
        architecture,
        params,
        X,
        Y,
        weight,
        make_data(X, Y, relative, dtype=dtype, as_csr=as_csr),
        loss,
        alpha,
        float(weight.mean()) if weighted else 1.0,
        regularization or {},
    )


def knots_of_columns(params, architecture):
    """The knots of each column that has some, as views."""
    own = knots_view(params, architecture.layout())
    sizes = [c.n_knots for c in architecture.columns if c.n_knots]
    return np.split(own, np.cumsum(sizes)[:-1]) if sizes else []


def flat(d_coefs, d_intercepts):
    """Lists of arrays as one vector, in the layout's order."""
    return np.concatenate([a.ravel() for a in d_coefs + d_intercepts])


def run_time_hyper(optimizer, hyper):
    """What the step takes: its parameters, then its scalars, zero at first."""
    return np.array([*hyper, *[0] * OPTIMIZERS[optimizer].n_scalars], np.float64)


def zero_moments(optimizer, params):
    return np.zeros((OPTIMIZERS[optimizer].n_moments, params.size), params.dtype)


def run_epoch(
    problem,
    order,
    *,
    optimizer="none",
    rates=None,
    base_rates=None,
    hyper=(),
    moments=None,
    batch_size=None,
    block_size=None,
    chunk_size=None,
    cuts=(),
    average=None,
    n_steps_before=0,
    n_threads=1,
):
    """Run the entry kernel over an epoch, cut into runs of blocks at ``cuts``.

    Changes ``problem.params``, ``average``, ``moments`` and the scalars in ``hyper``;
    returns (mean loss, last gradient).
    """
    params, architecture = problem.params, problem.architecture
    batch_size = batch_size or len(order)
    block_size = block_size or batch_size
    chunk_size = chunk_size or block_size
    workspace = make_workspace(
        architecture,
        block_size,
        params.dtype,
        sparse=problem.sparse,
        training=True,
        chunk_size=chunk_size,
        team_size=n_threads,
    )
    for name in set(workspace._fields) - {"starts", "widths", "has_replicas"}:
        getattr(workspace, name)[:] = (
            np.nan
        )  # whatever is read before it is written shows
    if moments is None:
        moments = zero_moments(optimizer, params)
    gradient = np.full(architecture.layout().n_params, np.nan, params.dtype)
    average = params[:0] if average is None else average
    hyper = np.asarray(hyper, np.float64)
    state = State(params, average, gradient, moments, hyper, np.zeros(2))
    n_steps = -(-len(order) // batch_size) if rates is None else len(rates)
    rates = np.zeros(n_steps) if rates is None else np.asarray(rates, np.float64)
    base_rates = rates if base_rates is None else np.asarray(base_rates, np.float64)
    span = np.array([0, 0, n_steps_before])
    recipe = Recipe(
        read_only(np.asarray(order, np.intp)),
        rates,
        base_rates,
        np.ones(1),
        *np.ones((2, n_steps)),
        *optimizer_addresses(optimizer, params.dtype),
        batch_size,
        block_size,
        chunk_size,
        float(problem.alpha),
        problem.mean_weight,
        make_regularization(params.dtype, optimizer, **problem.regularization),
        0,
        span,
    )
    network = training_network(
        architecture,
        problem.loss,
        params.dtype,
        naive.HYPER,
        n_rows=block_size,
        sparse=problem.sparse,
    )
    n_total = n_blocks(len(order), n_steps, batch_size, block_size)
    edges = [0, *sorted(min(cut, n_total) for cut in cuts), n_total]
    for first, last in itertools.pairwise(edges):
        span[:2] = first, last
        fixed = network, state, workspace, problem.data, recipe
        arguments = arguments_of_threads(n_threads, *fixed)
        assert run_together(n_threads, partial(_run_blocks, arguments)) == last
    return state.loss[0] / len(order), state.gradient


def force_replicas(patch, replicas):
    """Whether each thread has parameters of its own, whatever their number."""
    patch.setattr(workspaces, "_FEW_GRADIENTS", np.inf if replicas else 0)
    patch.setattr(workspaces, "_plan", workspaces._plan.__wrapped__)


def _run_blocks(arguments, seat):
    return run_blocks(*arguments[seat.number], seat)


# However busy the machine is.
PATIENT = Limits(arrival=60, back=60, patience=60, lost=60, stall=1e9)


def run_together(n_threads, work):
    """Call ``work(seat)`` in so many threads, all at once.

    Returns what it returned in the first one.
    """
    if n_threads == 1:
        return work(ALONE)
    (seat, *others), board = make_seats(n_threads, PATIENT)
    with ThreadPoolExecutor(n_threads) as pool:
        results = [pool.submit(work, other) for other in others]
        try:
            first = work(seat)
        finally:
            dismiss(board)
    for result in results:
        result.result()
    return first


def loss_and_gradient(problem, **options):
    """Of all rows as one minibatch."""
    return run_epoch(problem, np.arange(problem.n_rows), **options)


def epochs_of(problem, batch_size, optimizer="none", n_epochs=1, last_batch="keep"):
    """The training floor's view of a problem."""
    return Epochs(
        problem.architecture,
        problem.params,
        TrainingRows(problem.data, np.arange(problem.n_rows), problem.mean_weight),
        Objective(problem.loss, naive.HYPER),
        alpha=problem.alpha,
        batch_size=batch_size,
        last_batch=last_batch,
        n_epochs=n_epochs,
        optimizer=optimizer,
    )


def train_naively(problem, orders, **options):
    """The naive twin's losses, and its weights and biases afterwards."""
    coefs, intercepts = problem.lists()
    losses = naive.train(
        coefs,
        intercepts,
        problem.X,
        problem.Y,
        problem.weight,
        orders,
        **options,
        **problem.options(),
    )
    return losses, coefs, intercepts


def assert_gradient_is_slope(problem, checked=None):
    """Of every trained number, or of those ``checked``."""
    _, gradient = loss_and_gradient(problem)
    params, h = problem.params, 1e-6
    checked = np.arange(gradient.size) if checked is None else checked
    slope = np.empty(len(checked))
    for i, at in enumerate(checked):
        value = params[at]
        params[at] = value + h
        up, _ = loss_and_gradient(problem)
        params[at] = value - h
        down, _ = loss_and_gradient(problem)
        params[at] = value
        slope[i] = (up - down) / (2 * h)
    size = np.abs(gradient).max()
    np.testing.assert_allclose(gradient[checked], slope, rtol=1e-6, atol=1e-6 * size)
