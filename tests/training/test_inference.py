import naive
import numpy as np
import pytest
from builders import DTYPES, make_data, make_problem

from skmlp.core.losses import LINKS
from skmlp.machine import pace, threads
from skmlp.training import blocks
from skmlp.training.inference import predict, predict_each


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("as_csr", [False, True], ids=["dense", "csr"])
@pytest.mark.parametrize("n_rows", [1, 40])
def test_naive_twin(link, dtype, as_csr, n_rows):
    problem = make_problem((4, 6, 2), n_rows=n_rows, dtype=dtype, as_csr=as_csr)
    y_pred = predict(problem.architecture, problem.params, problem.data, link=link)
    assert y_pred.dtype == dtype
    expected = naive.predict(*problem.lists(), problem.X, "tanh", link)
    tolerance = {np.float32: 1e-5, np.float64: 1e-12}[dtype]
    np.testing.assert_allclose(y_pred, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("as_csr", [False, True], ids=["dense", "csr"])
def test_many_short_runs(monkeypatch, as_csr):
    monkeypatch.setattr(pace, "RUN_SECONDS", 0.0)
    monkeypatch.setattr(blocks, "_PREDICTION_ROWS", (3, 7))
    problem = make_problem((4, 6, 2), n_rows=40, as_csr=as_csr)
    y_pred = predict(problem.architecture, problem.params, problem.data, link="softmax")
    expected = naive.predict(*problem.lists(), problem.X, "tanh", "softmax")
    np.testing.assert_allclose(y_pred, expected, rtol=1e-12)


@pytest.mark.parametrize("as_csr", [False, True], ids=["dense", "csr"])
def test_no_rows(as_csr):
    problem = make_problem((4, 6, 2))
    data = make_data(np.empty((0, 4)), np.empty((0, 2)), as_csr=as_csr)
    y_pred = predict(problem.architecture, problem.params, data, link="exp")
    assert y_pred.shape == (0, 2)


@pytest.mark.parametrize("n_threads", [1, 3])
@pytest.mark.parametrize("as_csr", [False, True], ids=["dense", "csr"])
def test_several_vectors(monkeypatch, n_threads, as_csr):
    """Each of them as it is alone, in memory of its own."""
    monkeypatch.setattr(threads, "_FLOPS_FOR_A_THREAD", 1)
    monkeypatch.setattr(threads, "n_threads", lambda: n_threads)
    monkeypatch.setattr(blocks, "_PREDICTION_ROWS", (3, 7))
    problem = make_problem((4, 6, 2), n_rows=40, as_csr=as_csr)
    vectors = np.array([problem.params * factor for factor in (1.0, -0.5, 2.0)])
    found = predict_each(problem.architecture, vectors, problem.data)
    for params, y_pred in zip(vectors, found):
        expected = predict(problem.architecture, params, problem.data)
        np.testing.assert_array_equal(y_pred, expected)
