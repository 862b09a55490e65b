import gc
import sys
from functools import lru_cache

import naive
import numpy as np
import pytest
from builders import DTYPES, epochs_of, flat, make_problem, train_naively

from skmlp.machine import pace, threads
from skmlp.machine.jit import DISABLED
from skmlp.training import blocks, loop
from skmlp.training.optimizer_state import OptimizerState

SETTINGS = {
    "learning_rate": "constant",
    "learning_rate_init": 0.02,
    "power_t": 0.5,
    "max_iter": 200,
    "tol": 1e-4,
    "sign": -1,
    "momentum": 0.9,
    "nesterovs_momentum": True,
    "beta_1": 0.9,
    "beta_2": 0.999,
    "epsilon": 1e-8,
}
HYPER = {"sgd": (0.9, True), "adam": (0.9, 0.999, 1e-8)}


def draw(n_rows=21, **options):
    options = {"loss": "log_loss", "alpha": 0.1, "weighted": True, **options}
    return make_problem((4, 5, 3), n_rows=n_rows, **options)


def orders_of(problem, n_epochs=4):
    rng = np.random.default_rng(0)
    return [rng.permutation(problem.n_rows) for _ in range(n_epochs)]


def train(problem, batch_size, name, **options):
    epochs = epochs_of(problem, batch_size, name, **options)
    optimizer = OptimizerState(name, problem.params.size, problem.params.dtype)
    optimizer.configure(**SETTINGS)
    losses = []
    for order in orders_of(problem):
        rates, _ = optimizer.rates(epochs.cut.minibatches(order.size)[0])
        losses.append(epochs.run(order, rates, optimizer.moments, optimizer.hyper))
    return losses


@pytest.mark.parametrize("name", ["sgd", "adam"])
@pytest.mark.parametrize("batch_size", [1, 5, 7, 21])
@pytest.mark.parametrize("as_csr", [False, True], ids=["dense", "csr"])
def test_epochs_of_the_naive_twin(name, batch_size, as_csr):
    problem = draw(as_csr=as_csr)
    expected, *lists = train_naively(
        problem,
        orders_of(problem),
        batch_size=batch_size,
        optimizer=naive.OPTIMIZERS[name](*HYPER[name]),
        rate=SETTINGS["learning_rate_init"],
    )
    np.testing.assert_allclose(train(problem, batch_size, name), expected, rtol=1e-9)
    np.testing.assert_allclose(problem.params, flat(*lists), rtol=1e-7)


@pytest.mark.parametrize("name", ["sgd", "adam"])
@pytest.mark.parametrize("batch_size", [1, 2, 5, 19, 20, 21])
@pytest.mark.parametrize("most_rows", [3, 1024])
@pytest.mark.parametrize("last_batch", ["merge", "drop"])
def test_last_minibatches_of_the_naive_twin(
    name, batch_size, most_rows, last_batch, monkeypatch
):
    monkeypatch.setattr(blocks, "_TRAINING_ROWS", (1, most_rows))
    problem = draw()
    expected, *lists = train_naively(
        problem,
        orders_of(problem),
        batch_size=batch_size,
        last_batch=last_batch,
        optimizer=naive.OPTIMIZERS[name](*HYPER[name]),
        rate=SETTINGS["learning_rate_init"],
    )
    losses = train(problem, batch_size, name, last_batch=last_batch)
    np.testing.assert_allclose(losses, expected, rtol=1e-9)
    np.testing.assert_allclose(problem.params, flat(*lists), rtol=1e-7)


@pytest.mark.parametrize("batch_size", [7, 150])
def test_lengths_of_runs_change_no_bit(monkeypatch, batch_size):
    results = []
    for seconds in 1e9, 0.0:
        monkeypatch.setattr(pace, "RUN_SECONDS", seconds)
        problem = draw(n_rows=150)
        losses = train(problem, batch_size, "adam")
        results.append((losses, problem.params.tobytes()))
    assert results[0] == results[1]


@pytest.mark.parametrize("as_csr", [False, True], ids=["dense", "csr"])
def test_loss_and_gradient_in_blocks(monkeypatch, as_csr):
    monkeypatch.setattr(blocks, "_TRAINING_FLOPS", 0)
    problem = draw(n_rows=150, as_csr=as_csr)
    before = problem.params.copy()
    epochs = epochs_of(problem, 150)
    assert epochs.cut.block_size == 50
    loss, gradient = epochs.loss_and_gradient(np.arange(150))
    expected, *lists = naive.loss_and_gradient(
        *problem.lists(), problem.X, problem.Y, problem.weight, **problem.options()
    )
    assert loss == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(gradient, flat(*lists), rtol=1e-10, atol=1e-14)
    np.testing.assert_array_equal(problem.params, before)


def calls_in_python(function, *arguments):
    """Python and C functions that Python calls on the way."""
    seen = []
    previous = sys.getprofile()
    gc.disable()  # whose callbacks would count
    sys.setprofile(lambda frame, event, argument: seen.append(event))
    try:
        function(*arguments)
    finally:
        sys.setprofile(previous)
        gc.enable()
    return sum(event in ("call", "c_call") for event in seen)


@pytest.mark.skipif(DISABLED, reason="kernels are Python then")
def test_no_python_within_an_epoch(monkeypatch):
    """Python's work does not depend on the number of minibatches."""
    monkeypatch.setattr(pace, "RUN_SECONDS", 1e9)
    monkeypatch.setattr(threads, "_TURN_SECONDS", 0.0)  # a choice for each run
    monkeypatch.setattr(threads, "_pace_of", lru_cache(threads.Pace))
    problem, counts = draw(n_rows=150), []
    for batch_size in (1, 75):
        epochs = epochs_of(problem, batch_size)
        arguments = np.arange(150), 0.0, np.empty((0, problem.params.size)), np.zeros(0)
        epochs.run(*arguments)
        counts.append(calls_in_python(epochs.run, *arguments))
    assert 0 < counts[0] == counts[1]


@pytest.mark.parametrize("dtype", DTYPES)
def test_later_epochs_take_a_shorter_way_to_the_same_kernel(dtype):
    """One that looks at no types: the last gate does."""
    lasting, anew = draw(dtype=dtype), draw(dtype=dtype)
    epochs, results = epochs_of(lasting, 5), []
    for order in orders_of(lasting):
        results.append(epochs.loss_and_gradient(order))
        loss, gradient = epochs_of(anew, 5).loss_and_gradient(order)
        assert results[-1][0] == loss
        np.testing.assert_array_equal(results[-1][1], gradient)
    if not DISABLED:
        other = np.float64 if dtype == np.float32 else np.float32
        epochs.gradient = epochs.gradient.astype(other)
        with pytest.raises(ValueError, match="Arrays do not fit each other"):
            epochs.loss_and_gradient(np.arange(21))


def test_only_the_given_rows_count():
    problem = draw()
    rows = np.array([3, 4, 8])
    loss, _ = epochs_of(problem, 3).loss_and_gradient(rows)
    expected, *_ = naive.loss_and_gradient(
        *problem.lists(),
        problem.X[rows],
        problem.Y[rows],
        problem.weight[rows],
        **problem.options(),
    )
    assert loss == pytest.approx(expected, rel=1e-12)


def test_the_callers_rows_stay_writable():
    problem, order = draw(), np.arange(21)
    epochs_of(problem, 5).loss_and_gradient(order)
    assert order.flags.writeable
    np.testing.assert_array_equal(order, np.arange(21))


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_divergence_shows_in_the_loss(bad):
    problem = draw()
    problem.params[0] = bad
    loss, _ = epochs_of(problem, 5).loss_and_gradient(np.arange(21))
    assert not np.isfinite(loss)


def test_a_diverged_epoch_is_not_run_to_its_end(monkeypatch):
    monkeypatch.setattr(pace, "RUN_SECONDS", 0.0)
    problem, calls = draw(), []
    problem.params[0] = np.nan
    epochs = epochs_of(problem, 5)
    original = loop.run_blocks

    def run_blocks(*arguments):
        calls.append(arguments)
        return original(*arguments)

    monkeypatch.setattr(loop, "run_blocks", run_blocks)
    epochs.loss_and_gradient(np.arange(21))
    assert len(calls) == 1


@pytest.mark.parametrize(("n_rows", "batch_size", "expected"), [(21, 5, 5), (20, 5, 4)])
def test_n_steps(n_rows, batch_size, expected):
    epochs = epochs_of(draw(n_rows=n_rows), batch_size)
    assert epochs.cut.minibatches(n_rows)[0] == expected
