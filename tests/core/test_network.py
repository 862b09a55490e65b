import itertools

import naive
import numpy as np
import pytest
from builders import (
    DTYPES,
    as_kernel,
    assert_gradient_is_slope,
    flat,
    loss_and_gradient,
    make_data,
    make_problem,
)

from skmlp.core.activations import ACTIVATIONS
from skmlp.core.losses import LOSSES
from skmlp.core.normalization import NORMALIZATIONS
from skmlp.core.stages import bias_gradient
from skmlp.core.workspace import make_workspace
from skmlp.machine.jit import DISABLED
from skmlp.machine.memory import whole_lines
from skmlp.machine.products import FEW_ROWS, padded_width

HIDDEN = [(), (4,), (4, 3), (3, 5, 4)]
# Its value is averaged over outputs, its gradient is not, as in scikit-learn.
N_OUTPUTS = {"squared_error": 1}

each_activation = pytest.mark.parametrize("activation", ACTIVATIONS)
each_loss = pytest.mark.parametrize("loss", LOSSES)
each_hidden = pytest.mark.parametrize("hidden", HIDDEN, ids=str)
dense_and_csr = pytest.mark.parametrize("as_csr", [False, True], ids=["dense", "csr"])
each_weighting = pytest.mark.parametrize("weighted", [False, True])


# All combinations for the rows that scikit-learn has, one for each further pair.
OF_SCIKIT_LEARN = (
    {"identity", "logistic", "tanh", "relu"},
    {"squared_error", "poisson", "binary_log_loss", "log_loss"},
)
CASES = [
    case
    for case in itertools.product(
        ACTIVATIONS, LOSSES, HIDDEN, (False, True), (False, True)
    )
    if (case[0] in OF_SCIKIT_LEARN[0] and case[1] in OF_SCIKIT_LEARN[1])
    or case[2:] == ((4, 3), False, True)
][:: 5 if DISABLED else 1]
each_case = pytest.mark.parametrize(
    ("activation", "loss", "hidden", "as_csr", "weighted"), CASES, ids=str
)
PAIRS = list(itertools.product(ACTIVATIONS, LOSSES))[:: 7 if DISABLED else 1]
each_pair = pytest.mark.parametrize(("activation", "loss"), PAIRS)


@as_kernel
def call_bias_gradient(db, dZ):
    bias_gradient(db, dZ)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("width", [1, 2, 17, 100])
@pytest.mark.parametrize("n_rows", [0, 1, 3, 4, 5, 22])
def test_bias_gradient(dtype, width, n_rows):
    """Of integers, so that sums are exact."""
    dZ = np.random.default_rng(0).integers(-9, 10, (n_rows, width)).astype(dtype)
    db = np.full(width, np.nan, dtype)
    call_bias_gradient(db, dZ)
    np.testing.assert_array_equal(db, dZ.sum(axis=0))
    if n_rows:
        dZ[-1, -1] = np.nan
        call_bias_gradient(db, dZ)
        np.testing.assert_array_equal(np.isnan(db), np.arange(width) == width - 1)


def problem_for(activation, loss, hidden, n_outputs=None, **options):
    n_outputs = n_outputs or N_OUTPUTS.get(loss, 3)
    options.setdefault("alpha", 0.7)
    return make_problem(
        (5, *hidden, n_outputs), activation=activation, loss=loss, **options
    )


@each_case
def test_gradient_against_central_differences(
    activation, loss, hidden, as_csr, weighted
):
    problem = problem_for(activation, loss, hidden, as_csr=as_csr, weighted=weighted)
    every = 3 if DISABLED else 1
    assert_gradient_is_slope(problem, range(0, problem.layout.n_params, every))


@each_pair
@pytest.mark.parametrize("normalization", NORMALIZATIONS)
def test_gradient_through_normalization(activation, loss, normalization):
    problem = problem_for(
        activation, loss, (4, 3), normalization=normalization, weighted=True
    )
    every = 3 if DISABLED else 1
    assert_gradient_is_slope(problem, range(0, problem.layout.n_params, every))


def mixed_problem(activation, as_csr, **options):
    """The masks of dropout follow from the seed and the step, and stay the same."""
    return problem_for(
        [activation, "tanh", activation],
        "log_loss",
        (6, 5, 4),
        normalization=["layer", None, "batch"],
        dropout=[0.3, 0.5, 0.2],
        input_dropout=0.0 if as_csr else 0.3,
        as_csr=as_csr,
        **options,
    )


@each_activation
@dense_and_csr
@each_weighting
def test_gradient_through_mixed_layers_and_dropout(activation, as_csr, weighted):
    problem = mixed_problem(activation, as_csr, weighted=weighted)
    every = 7 if DISABLED else 1
    assert_gradient_is_slope(problem, range(0, problem.layout.n_params, every))


REGULARISERS = (
    "l1",
    "l2",
    "label_smoothing",
    "dropout",
    "input_dropout",
    "batch",
    "layer",
    "weights",
)


@pytest.mark.parametrize(
    "pair", list(itertools.combinations(REGULARISERS, 2)), ids="-".join
)
def test_gradient_of_pairs_of_regularisers(pair):
    """Those that are part of the loss; masks of dropout stay the same here."""
    on = {name: name in pair for name in REGULARISERS}
    problem = problem_for(
        "tanh",
        "log_loss",
        (6, 5),
        alpha=0.7 * (on["l1"] or on["l2"]),
        regularization={"l1_ratio": on["l1"] / (1 + on["l2"])},
        label_smoothing=0.2 * on["label_smoothing"],
        dropout=0.4 * on["dropout"],
        input_dropout=0.3 * on["input_dropout"],
        normalization=[name if on[name] else None for name in ("batch", "layer")],
        weighted=on["weights"],
    )
    every = 7 if DISABLED else 1
    assert_gradient_is_slope(problem, range(0, problem.layout.n_params, every))


@pytest.mark.parametrize("block_size", [1, 5, 11])
def test_dropout_in_blocks_is_that_of_the_batch(block_size):
    options = {"normalization": "layer", "dropout": 0.4, "input_dropout": 0.2}
    problem = problem_for("relu", "log_loss", (8, 6), **options)
    expected_value, expected = loss_and_gradient(problem)
    value, gradient = loss_and_gradient(problem, block_size=block_size)
    assert value == pytest.approx(expected_value, rel=1e-13)
    np.testing.assert_allclose(gradient, expected, rtol=1e-11, atol=1e-14)


@each_case
def test_float32_against_float64(activation, loss, hidden, as_csr, weighted):
    options = {"as_csr": as_csr, "weighted": weighted, "n_outputs": 3}
    assert_same_in_both_types(problem_for, activation, loss, hidden, **options)


@each_activation
@dense_and_csr
def test_float32_against_float64_through_mixed_layers(activation, as_csr):
    assert_same_in_both_types(mixed_problem, activation, as_csr, weighted=True)


def assert_same_in_both_types(make, *arguments, **options):
    double = make(*arguments, **options)
    single = make(*arguments, dtype=np.float32, **options)
    value, gradient = loss_and_gradient(single)
    expected_value, expected = loss_and_gradient(double)
    assert gradient.dtype == np.float32
    assert value == pytest.approx(expected_value, rel=1e-3)
    size = np.abs(expected).max()
    np.testing.assert_allclose(gradient, expected, rtol=1e-3, atol=1e-3 * size)


@each_pair
@dense_and_csr
@pytest.mark.parametrize("n_outputs", [1, 4])
def test_value_and_gradient_are_those_of_the_naive_twin(
    activation, loss, as_csr, n_outputs
):
    problem = problem_for(
        activation, loss, (4, 6), n_outputs, as_csr=as_csr, weighted=True
    )
    value, gradient = loss_and_gradient(problem)
    expected, *lists = naive.loss_and_gradient(
        *problem.lists(), problem.X, problem.Y, problem.weight, **problem.options()
    )
    assert value == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(gradient, flat(*lists), rtol=1e-10, atol=1e-13)


@each_loss
@dense_and_csr
@pytest.mark.parametrize("block_size", [1, 5, 6, 11])
def test_blocks_sum_to_the_batch(loss, as_csr, block_size):
    problem = problem_for("tanh", loss, (4, 3), as_csr=as_csr, weighted=True)
    expected_value, expected = loss_and_gradient(problem)
    value, gradient = loss_and_gradient(problem, block_size=block_size)
    assert value == pytest.approx(expected_value, rel=1e-13)
    np.testing.assert_allclose(gradient, expected, rtol=1e-11, atol=1e-14)


@dense_and_csr
@pytest.mark.parametrize("rest", [1, 8, 20, 33, 60])
@pytest.mark.parametrize("n_threads", [1] if DISABLED else [1, 2])
def test_last_block_with_products_of_another_kind(as_csr, rest, n_threads):
    """From panels, without them; gradients with and without copies of the factors."""
    problem = make_problem((5, 90, 80, 70, 3), n_rows=240 + rest, as_csr=as_csr)
    value, gradient = loss_and_gradient(
        problem, block_size=240, chunk_size=100, n_threads=n_threads
    )
    expected, *lists = naive.loss_and_gradient(
        *problem.lists(), problem.X, problem.Y, None, **problem.options()
    )
    assert value == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(gradient, flat(*lists), rtol=1e-9, atol=1e-12)


@each_loss
@dense_and_csr
@pytest.mark.parametrize(("block_size", "chunk_size"), [(12, 1), (12, 5), (7, 3)])
def test_chunks_sum_to_the_batch(loss, as_csr, block_size, chunk_size):
    options = {"normalization": "layer", "dropout": 0.4}
    problem = problem_for("tanh", loss, (4, 3), as_csr=as_csr, weighted=True, **options)
    expected_value, expected = loss_and_gradient(problem)
    value, gradient = loss_and_gradient(
        problem, block_size=block_size, chunk_size=chunk_size
    )
    assert value == pytest.approx(expected_value, rel=1e-13)
    np.testing.assert_allclose(gradient, expected, rtol=1e-11, atol=1e-14)


@dense_and_csr
@pytest.mark.parametrize("hidden", HIDDEN, ids=str)
def test_minibatches_of_several_blocks_whatever_the_depth(as_csr, hidden):
    problem = problem_for("tanh", "log_loss", hidden, as_csr=as_csr)
    expected_value, expected = loss_and_gradient(problem)
    value, gradient = loss_and_gradient(problem, block_size=5, chunk_size=2)
    assert value == pytest.approx(expected_value, rel=1e-13)
    np.testing.assert_allclose(gradient, expected, rtol=1e-11, atol=1e-14)


@dense_and_csr
def test_penalty_leaves_biases_alone(as_csr):
    options = {"as_csr": as_csr, "n_rows": 10}
    plain = problem_for("relu", "squared_error", (4,), alpha=0.0, **options)
    penalized = problem_for("relu", "squared_error", (4,), alpha=2.0, **options)
    value, gradient = loss_and_gradient(plain)
    more, extra = loss_and_gradient(penalized)
    n_weights = plain.layout.n_weights
    w = plain.params[:n_weights]
    assert more - value == pytest.approx(2.0 / 10 / 2 * (w @ w), rel=1e-12)
    np.testing.assert_allclose((extra - gradient)[:n_weights], 0.2 * w, rtol=1e-10)
    np.testing.assert_array_equal(extra[n_weights:], gradient[n_weights:])


@each_loss
def test_csr_rows_without_entries(loss):
    problem = problem_for("tanh", loss, (3,), as_csr=True)
    X = problem.X
    X[[0, 5, -1]] = 0
    losses = []
    for as_csr in False, True:
        problem.data = make_data(X, problem.Y, as_csr=as_csr)
        losses.append(loss_and_gradient(problem))
    assert losses[0][0] == pytest.approx(losses[1][0], rel=1e-14)
    np.testing.assert_allclose(losses[0][1], losses[1][1], rtol=1e-12, atol=1e-14)


def test_workspace_of_sparse_rows_has_no_room_for_dense_ones():
    architecture = problem_for("relu", "log_loss", (4,)).architecture
    dense, sparse = (
        make_workspace(architecture, 8, np.float32, sparse=sparse, training=True)
        for sparse in (False, True)
    )
    of_input = whole_lines(8 * 5, 4)
    of_panel = whole_lines(5 * padded_width(4, 4), 4)
    assert dense.memory.size - sparse.memory.size == of_input + of_panel
    assert dense.memory.dtype == np.float32


def test_workspace_of_inference_is_activations_only():
    architecture = problem_for("relu", "log_loss", (4,)).architecture
    workspace = make_workspace(
        architecture, 8, np.float64, sparse=False, training=False
    )
    activations = 8 * 4, 8 * 3
    panels = 5 * padded_width(4, 8), 4 * padded_width(3, 8)
    expected = sum(whole_lines(size, 8) for size in (*activations, *panels))
    assert workspace.memory.size == expected
    assert not workspace.has_replicas
    for name in "losses", "sums", "squares":
        assert getattr(workspace, name).size == 0


@pytest.mark.skipif(FEW_ROWS == 1, reason="with short vectors, any rows have panels")
@pytest.mark.parametrize("sizes", [(5, 300, 1), (5, 1)])
def test_few_rows_need_no_room_for_panels(sizes):
    """Nor do a single output's weights."""
    architecture, few = make_problem(sizes).architecture, FEW_ROWS - 1
    options = {"dtype": np.float64, "sparse": False, "training": False}
    small = make_workspace(architecture, few, **options).memory.size
    larger = make_workspace(architecture, few + 1, **options).memory.size
    n_units = sum(sizes[1:])
    panel = 5 * padded_width(300, 8) if len(sizes) > 2 else 0
    assert small <= few * n_units + 16 * len(sizes)
    assert larger >= (few + 1) * n_units + panel
