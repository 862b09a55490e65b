import naive
import numpy as np
import pytest
from builders import DTYPES, make_problem, run_together

from skmlp.core.inputs import read_only
from skmlp.core.losses import LINKS
from skmlp.core.network import prediction_network
from skmlp.core.predict import Run, predict_blocks
from skmlp.core.workspace import make_workspace
from skmlp.machine.jit import DISABLED

TOLERANCE = {np.float32: 1e-5, np.float64: 1e-12}


def predict(problem, link, rows, block_size, n_threads=1):
    dtype = problem.params.dtype
    workspace = make_workspace(
        problem.architecture,
        block_size,
        dtype,
        sparse=problem.sparse,
        training=False,
        team_size=n_threads,
    )
    workspace.memory[:] = np.nan
    out = np.full((len(rows), problem.Y.shape[1]), np.nan, dtype)
    network = prediction_network(
        problem.architecture, link, dtype, sparse=problem.sparse
    )
    rows = read_only(np.asarray(rows, np.intp))
    vectors, last = problem.params[np.newaxis], len(problem.layout.sizes) - 1
    run = Run(block_size, last, 0, -(-len(rows) // block_size))
    fixed = network, vectors, workspace, problem.data, rows, out, run
    assert run_together(n_threads, lambda seat: predict_blocks(*fixed, seat))
    return out


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("hidden", [(), (4,), (6, 3)], ids=str)
@pytest.mark.parametrize("as_csr", [False, True], ids=["dense", "csr"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("block_size", [1, 4, 5, 64])
def test_naive_twin_at_any_block_size(link, hidden, as_csr, dtype, block_size):
    problem = make_problem((5, *hidden, 3), n_rows=13, as_csr=as_csr, dtype=dtype)
    y_pred = predict(problem, link, np.arange(13), block_size)
    assert y_pred.dtype == dtype
    expected = naive.predict(*problem.lists(), problem.X, "tanh", link)
    tolerance = TOLERANCE[dtype]
    np.testing.assert_allclose(y_pred, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.skipif(DISABLED, reason="threads work together in compiled kernels only")
@pytest.mark.parametrize("as_csr", [False, True], ids=["dense", "csr"])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("block_size", [1, 4, 64])
@pytest.mark.parametrize("n_threads", [2, 3, 8])
@pytest.mark.parametrize("normalization", [None, "batch", "layer"])
def test_threads_change_no_bit(as_csr, dtype, block_size, n_threads, normalization):
    problem = make_problem(
        (5, 60, 30, 3),
        n_rows=999,
        as_csr=as_csr,
        dtype=dtype,
        normalization=normalization,
    )
    arguments = problem, "softmax", np.arange(problem.n_rows), block_size
    expected = predict(*arguments)
    assert np.isfinite(expected).all()
    assert predict(*arguments, n_threads=n_threads).tobytes() == expected.tobytes()


@pytest.mark.parametrize("as_csr", [False, True], ids=["dense", "csr"])
def test_consecutive_rows(as_csr):
    problem = make_problem((5, 4, 2), n_rows=13, as_csr=as_csr)
    rows = [4, 5, 6, 7]
    expected = naive.predict(*problem.lists(), problem.X[rows], "tanh", "softmax")
    y_pred = predict(problem, "softmax", rows, 3)
    np.testing.assert_allclose(y_pred, expected, rtol=1e-12)


def test_no_rows():
    assert predict(make_problem((5, 4, 2)), "exp", [], 3).shape == (0, 2)


@pytest.mark.parametrize("as_csr", [False, True], ids=["dense", "csr"])
def test_nan_in_one_row_stays_in_it(as_csr):
    problem = make_problem((5, 4, 2), n_rows=6, as_csr=as_csr, activation="relu")
    array = (problem.data.values if as_csr else problem.data.X).copy()
    if as_csr:
        at = np.flatnonzero(np.diff(problem.data.indptr))[0]
        array[problem.data.indptr[at]] = np.nan
        problem.data = problem.data._replace(values=read_only(array))
    else:
        at, array[2, 1] = 2, np.nan
        problem.data = problem.data._replace(X=read_only(array))
    y_pred = predict(problem, "softmax", np.arange(6), 6)
    np.testing.assert_array_equal(np.isnan(y_pred).any(axis=1), np.arange(6) == at)
